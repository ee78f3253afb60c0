//! Which logins a rule's conditions exclude, whatever else holds.
//!
//! A condition is evaluated for one login, with everything else unknown. What then comes out false keeps that login
//! out; what is unknown may let it in.

use serde_json::Value;

use super::named::{context_attribute, literal};

/// Whether a rule, in Cedar's JSON form, could let somebody log in as `login`.
pub(super) fn may_admit(rule: &Value, login: &str) -> bool {
    let mut conditions = rule.get("conditions").and_then(Value::as_array).into_iter().flatten();
    conditions.all(|condition| {
        let truth = condition.get("body").and_then(|body| truth(body, login));
        let excludes = condition.get("kind").and_then(Value::as_str) == Some("unless");
        truth != Some(excludes)
    })
}

/// What a condition comes to for a login; nothing where that depends on something else.
fn truth(node: &Value, login: &str) -> Option<bool> {
    let (operator, operands) = node.as_object()?.iter().next()?;
    let of = |name: &str| operands.get(name).and_then(|operand| truth(operand, login));
    match operator.as_str() {
        "Value" => operands.as_bool(),
        "!" => of("arg").map(|holds| !holds),
        "&&" => both(of("left"), of("right")),
        "||" => both(of("left").map(|holds| !holds), of("right").map(|holds| !holds)).map(|none| !none),
        "if-then-else" => match of("if") {
            Some(true) => of("then"),
            Some(false) => of("else"),
            None => of("then").filter(|holds| of("else") == Some(*holds)),
        },
        "==" => equal(operands, login),
        "!=" => equal(operands, login).map(|same| !same),
        "contains" => contains(operands, login),
        _ => None,
    }
}

fn both(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        (None, _) | (_, None) => None,
    }
}

fn equal(operands: &Value, login: &str) -> Option<bool> {
    let (left, right) = (operands.get("left")?, operands.get("right")?);
    let other = if is_login(left) { right } else { Some(left).filter(|_| is_login(right))? };
    literal(Some(other)).first().map(|named| named == login)
}

fn contains(operands: &Value, login: &str) -> Option<bool> {
    let items = operands.get("left")?.get("Set")?.as_array()?;
    let names: Vec<String> = items.iter().flat_map(|item| literal(Some(item))).collect();
    let is_about_logins = names.len() == items.len() && operands.get("right").is_some_and(is_login);
    is_about_logins.then(|| names.iter().any(|named| named == login))
}

fn is_login(node: &Value) -> bool {
    matches!(context_attribute(node).as_deref(), Some(["login"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(conditions: &str) -> Vec<&'static str> {
        let rule = format!("permit (principal, action, resource) {conditions};");
        let rule = cedar_policy::Policy::parse(None, rule).expect("a rule").to_json().expect("JSON");
        ["root", "ubuntu", "other"].into_iter().filter(|login| may_admit(&rule, login)).collect()
    }

    #[test]
    fn a_login_is_kept_out_by_what_is_false_for_it_whatever_else_holds() {
        for (conditions, expected) in [
            ("", vec!["root", "ubuntu", "other"]),
            (r#"unless { context.login == "root" }"#, vec!["ubuntu", "other"]),
            (
                r#"when { context.login != "root" && resource.region == "eu-west-1" }"#,
                vec!["ubuntu", "other"],
            ),
            (r#"when { !(["root", "ubuntu"].contains(context.login)) }"#, vec!["other"]),
            (
                r#"when { ["root", "ubuntu"].contains(context.login) } unless { "root" == context.login }"#,
                vec!["ubuntu"],
            ),
            (
                r#"when { context.login == "ubuntu" || resource.region == "eu-west-1" }"#,
                vec!["root", "ubuntu", "other"],
            ),
            (r#"when { context.login == "ubuntu" || context.login == "root" }"#, vec!["root", "ubuntu"]),
            (
                r#"unless { context.login == "root" && resource.region == "eu-west-1" }"#,
                vec!["root", "ubuntu", "other"],
            ),
            (
                r#"when { if resource.region == "x" then context.login == "root" else context.login == "root" }"#,
                vec!["root"],
            ),
            (r#"when { false }"#, vec![]),
            (r#"when { context.login like "u*" }"#, vec!["root", "ubuntu", "other"]),
        ] {
            assert_eq!(admitted(conditions), expected, "{conditions}");
        }
    }
}
