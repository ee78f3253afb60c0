//! The logins, commands, ports and other particulars that a rule's conditions spell out.
//!
//! Cedar answers about one login and one command at a time. To say whether there is *any* that a
//! rule allows, the ones it names are tried. They are only ever candidates: each is still decided.

use serde_json::Value;

/// The most names of one kind taken from one rule; further ones are not tried.
const NAMES_MAX: usize = 32;

/// What a rule's conditions compare the context's values with, in the order they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Named {
    pub(super) logins: Vec<String>,
    pub(super) commands: Vec<String>,
    pub(super) subsystems: Vec<String>,
    pub(super) paths: Vec<String>,
    pub(super) destinations: Places,
    pub(super) listens: Places,
}

/// Hosts and ports, named one without the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places {
    hosts: Vec<String>,
    ports: Vec<u16>,
}

impl Places {
    /// Every host, and none in particular, with every port and the one given.
    pub(super) fn places(&self, any_port: u16) -> impl Iterator<Item = (String, u16)> {
        let hosts = self.hosts.iter().cloned().chain([String::new()]);
        hosts.flat_map(move |host| {
            let ports = self.ports.iter().copied().chain([any_port]);
            ports.map(move |port| (host.clone(), port))
        })
    }
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
                self.take_ports(left, right, &[0]);
                self.take_ports(right, left, &[0]);
            }
            "<" | "<=" | ">" | ">=" => {
                self.take_ports(left, right, &[-1, 0, 1]);
                self.take_ports(right, left, &[-1, 0, 1]);
            }
            "contains" => {
                self.take(right, set_of_literals(left));
                for item in
                    left.and_then(|node| node.get("Set")).and_then(Value::as_array).into_iter().flatten()
                {
                    self.take_ports(right, Some(item), &[0]);
                }
            }
            "like" => self.take(left, operands.get("pattern").and_then(shortest_match).into_iter().collect()),
            _ => {}
        }
    }

    fn take(&mut self, attribute: Option<&Value>, values: Vec<String>) {
        let names = match attribute.and_then(context_attribute).as_deref() {
            Some(["login"]) => &mut self.logins,
            Some(["command"]) => &mut self.commands,
            Some(["subsystem"]) => &mut self.subsystems,
            Some(["path"]) => &mut self.paths,
            Some(["destination", "host"]) => &mut self.destinations.hosts,
            Some(["listen", "host"]) => &mut self.listens.hosts,
            Some(_) | None => return,
        };
        values.into_iter().for_each(|value| note(names, value));
    }

    /// Takes the ports around a literal: a comparison changes its answer next to it.
    fn take_ports(&mut self, attribute: Option<&Value>, literal: Option<&Value>, around: &[i64]) {
        let ports = match attribute.and_then(context_attribute).as_deref() {
            Some(["destination", "port"]) => &mut self.destinations.ports,
            Some(["listen", "port"]) => &mut self.listens.ports,
            Some(_) | None => return,
        };
        let Some(port) = literal.and_then(|node| node.get("Value")).and_then(Value::as_i64) else { return };
        let near = around.iter().filter_map(|by| u16::try_from(port.checked_add(*by)?).ok());
        near.for_each(|port| note(ports, port));
    }
}

fn note<T: PartialEq>(names: &mut Vec<T>, name: T) {
    if names.len() < NAMES_MAX && !names.contains(&name) {
        names.push(name);
    }
}

/// `["login"]` for `context.login`, `["destination", "port"]` for `context.destination.port`.
pub(super) fn context_attribute(node: &Value) -> Option<Vec<&str>> {
    let access = node.get(".")?;
    let (of, attribute) = (access.get("left")?, access.get("attr")?.as_str()?);
    if of.get("Var").and_then(Value::as_str) == Some("context") {
        return Some(vec![attribute]);
    }
    let mut path = context_attribute(of)?;
    path.push(attribute);
    Some(path)
}

pub(super) fn literal(node: Option<&Value>) -> Vec<String> {
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
    fn ports_hosts_and_paths_are_found_and_so_is_what_is_next_to_a_bound() {
        let found = named(
            r#"when { context.destination.host == "localhost" && 5432 == context.destination.port ||
                      [80, 443].contains(context.destination.port) }
               when { context.listen.port >= 1024 && context.listen.port < 65536 }
               when { context.path like "/run/app/*" }"#,
        );
        assert_eq!(found.destinations.ports, [5432, 80, 443]);
        assert_eq!(found.listens.ports, [1023, 1024, 1025, 65535]);
        assert_eq!(found.paths, ["/run/app/"]);
        let places: Vec<(String, u16)> = found.destinations.places(1).collect();
        assert_eq!(places.len(), 8);
        assert!(places.contains(&("localhost".to_owned(), 443)) && places.contains(&(String::new(), 1)));
    }

    #[test]
    fn what_is_compared_with_other_things_is_no_login() {
        assert_eq!(
            named(r#"when { resource.name == "root" && context.auth_method == "x" }"#),
            Named::default()
        );
    }
}
