//! The logins, commands and subsystems that a rule's conditions spell out.
//!
//! Cedar answers about one login and one command at a time. To say whether there is *any* that a
//! rule allows, the ones it names are tried. They are only ever candidates: each is still decided.

use serde_json::Value;

/// The most names of one kind taken from one rule; further ones are not tried.
const NAMES_MAX: usize = 32;

/// What a rule's conditions compare the context's strings with, in the order they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Named {
    pub(super) logins: Vec<String>,
    pub(super) commands: Vec<String>,
    pub(super) subsystems: Vec<String>,
}

impl Named {
    /// Reads the conditions of a rule in Cedar's JSON form.
    pub(super) fn in_rule(rule: &Value) -> Self {
        let mut named = Self::default();
        if let Some(conditions) = rule.get("conditions") {
            named.visit(conditions);
        }
        named
    }

    fn visit(&mut self, node: &Value) {
        match node {
            Value::Object(fields) => {
                for (operator, operands) in fields {
                    self.compare(operator, operands);
                    self.visit(operands);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn compare(&mut self, operator: &str, operands: &Value) {
        let (left, right) = (operands.get("left"), operands.get("right"));
        match operator {
            "==" => {
                self.take(left, literal(right));
                self.take(right, literal(left));
            }
            "contains" => self.take(right, set_of_literals(left)),
            "like" => self.take(left, operands.get("pattern").and_then(shortest_match).into_iter().collect()),
            _ => {}
        }
    }

    fn take(&mut self, attribute: Option<&Value>, values: Vec<String>) {
        let names = match attribute.and_then(context_attribute) {
            Some("login") => &mut self.logins,
            Some("command") => &mut self.commands,
            Some("subsystem") => &mut self.subsystems,
            Some(_) | None => return,
        };
        for value in values {
            if names.len() < NAMES_MAX && !names.contains(&value) {
                names.push(value);
            }
        }
    }
}

/// `login` for `context.login`.
fn context_attribute(node: &Value) -> Option<&str> {
    let access = node.get(".")?;
    (access.get("left")?.get("Var")?.as_str()? == "context").then(|| access.get("attr")?.as_str()).flatten()
}

fn literal(node: Option<&Value>) -> Vec<String> {
    let text = node.and_then(|node| node.get("Value")).and_then(Value::as_str);
    text.map(str::to_owned).into_iter().collect()
}

fn set_of_literals(node: Option<&Value>) -> Vec<String> {
    let items = node.and_then(|node| node.get("Set")).and_then(Value::as_array);
    items.into_iter().flatten().flat_map(|item| literal(Some(item))).collect()
}

/// The pattern with every wildcard standing for nothing.
fn shortest_match(pattern: &Value) -> Option<String> {
    let parts = pattern.as_array()?;
    Some(parts.iter().filter_map(|part| part.get("Literal")?.as_str()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(conditions: &str) -> Named {
        let rule = format!("permit (principal, action, resource) {conditions};");
        let policy = cedar_policy::Policy::parse(None, rule).expect("a rule");
        Named::in_rule(&policy.to_json().expect("json"))
    }

    #[test]
    fn logins_are_found_however_they_are_compared() {
        let found = named(
            r#"when { context.login == "ubuntu" || "root" == context.login }
               unless { ["deploy", "ubuntu"].contains(context.login) }"#,
        );
        assert_eq!(found.logins, ["ubuntu", "root", "deploy"]);
    }

    #[test]
    fn a_pattern_offers_its_shortest_match() {
        assert_eq!(named(r#"when { context.command like "git *" }"#).commands, ["git "]);
    }

    #[test]
    fn what_is_compared_with_other_things_is_no_login() {
        assert_eq!(
            named(r#"when { resource.name == "root" && context.auth_method == "x" }"#),
            Named::default()
        );
    }
}
