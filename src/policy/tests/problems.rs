use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

#[test]
fn a_syntax_error() {
    assert_snapshot!(problems("permit (principal, action, resource)\nwhen { context.login = \"root\" };"), @r#"
    policy.cedar:2:8: '=' is not a valid operator in Cedar: `context.login = "root"`
        hint: try using '==' instead
    "#);
}

#[test]
fn an_unclosed_rule() {
    assert_snapshot!(problems("// who\npermit (principal, action"), @r"
    policy.cedar:2:26: unexpected end of input
        hint: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`
    ");
}

#[test]
fn a_string_in_single_quotes() {
    assert_snapshot!(problems("permit (principal, action, resource) when { context.login == 'root' };"), @r"
    policy.cedar:1:62: invalid token: `'root' };`
        hint: strings must use double quotes, not single quotes
    ");
}

#[test]
fn a_type_error_against_the_schema() {
    assert_snapshot!(problems("permit (principal, action, resource)\nwhen { context.login == 3 };"), @r"
    policy.cedar:2:8: the types Long and String are not compatible: `context.login == 3`
        hint: for policy `policy.cedar#1`, both operands to a `==` expression must have compatible types. Types must be exactly equal to be compatible
    ");
}

#[test]
fn an_unknown_attribute() {
    assert_snapshot!(problems("permit (principal, action, resource)\nwhen { resource.nmae == \"web-1\" };"), @r"
    policy.cedar:2:8: for policy `policy.cedar#1`, attribute `nmae` on entity type `Instance` not found: `resource.nmae`
        hint: did you mean `image`?
    ");
}

#[test]
fn an_optional_attribute_without_a_guard() {
    assert_snapshot!(problems("permit (principal, action, resource)\nwhen { resource.name == \"web-1\" };"), @r"
    policy.cedar:2:8: for policy `policy.cedar#1`, unable to guarantee safety of access to optional attribute `name` on entity type `Instance`: `resource.name`
        hint: try testing for the attribute's presence with `e has name && ..`
    ");
}

#[test]
fn a_tag_without_a_guard() {
    assert_snapshot!(problems("permit (principal, action, resource)\nwhen { resource.getTag(\"env\") == \"dev\" };"), @r#"
    policy.cedar:2:8: for policy `policy.cedar#1`, unable to guarantee safety of access to tag `"env"` on entity type `Instance`: `resource.getTag("env")`
        hint: try testing for the tag's presence with `.hasTag("env") && ..`
    "#);
}

#[test]
fn an_unknown_entity_type_and_action() {
    assert_snapshot!(
        problems("permit (principal in Team::\"eng\", action == Action::\"shel\", resource);"),
        @r#"
    policy.cedar:1:22: for policy `policy.cedar#1`, unrecognized entity type `Team`
        hint: did you mean `User`?
    policy.cedar:1:45: for policy `policy.cedar#1`, unrecognized action `Action::"shel"`
        hint: did you mean `Action::"shell"`?
    "#
    );
}

#[test]
fn a_command_where_there_may_be_none() {
    assert_snapshot!(problems("permit (principal, action, resource)\nwhen { context.command == \"ls\" };"), @r#"
    policy.cedar:2:8: for policy `policy.cedar#1`, attribute `command` in context for Action::"agent" not found: `context.command`
        hint: only the action `exec` has it: write action == Action::"exec", or context has command && …
    "#);
}

#[test]
fn a_bad_address_and_a_bad_time() {
    assert_snapshot!(
        problems(
            "forbid (principal, action, resource)
             when { context.client_addr.isInRange(ip(\"10.0.0.0/64\")) };
             forbid (principal, action, resource)
             when { context.time < datetime(\"tomorrow\") };"
        ),
        @r#"
    policy.cedar:2:51: for policy `policy.cedar#1`, error during extension function argument validation: failed to parse as IP address: `"10.0.0.0/64"`: `ip("10.0.0.0/64")`
        hint: valid IP strings are IPv4/IPv6 addresses or CIDR ranges like `127.0.0.1`, `127.0.0.1/24`, or `ffee::/64`
    policy.cedar:4:36: for policy `policy.cedar#2`, error during extension function argument validation: failed to parse as a datetime value: `"tomorrow"`: `datetime("tomorrow")`
        hint: valid datetime strings start with `YYYY-MM-DD` and may optionally include `THH:MM:SS` plus `Z`, `.SSSZ`, or an offset like `+0700`
    "#
    );
}

#[test]
fn an_unknown_annotation() {
    assert_snapshot!(
        problems("// first\n\n  @id(\"a\")\n  @max_sesion(\"8h\")\n  permit (principal, action, resource);"),
        @r"
    policy.cedar:4:3: unknown annotation `@max_sesion`
        hint: known annotations are @id, @description, @max_session, @idle, @login, @record, @keyboard, @output and @watched
    "
    );
}

#[test]
fn a_bad_duration_a_bad_login_and_a_bad_id() {
    assert_snapshot!(
        problems(
            "@max_session(\"8 parsecs\") @idle(\"0s\") permit (principal, action, resource);
             @login(\"root, ../etc\") permit (principal, action, resource);
             @id(\"\") permit (principal, action, resource);"
        ),
        @r#"
    policy.cedar:1:1: `@max_session("8 parsecs")` is not a duration
        hint: write hours, minutes and seconds, from 1s to 8784h, such as "8h", "15m" or "1h30m"
    policy.cedar:1:27: `@idle("0s")` is not a duration
        hint: write hours, minutes and seconds, from 1s to 8784h, such as "8h", "15m" or "1h30m"
    policy.cedar:2:14: `@login("root, ../etc")` names no usable login: '.' may not stand in a name; use letters, digits, '.', '_' and '-'
        hint: write one login or several, best first, such as "ubuntu" or "ubuntu, ec2-user"
    policy.cedar:3:14: `@id("")` is not a usable id
        hint: write 1 to 100 characters without line breaks, such as @id("eng-dev")
    "#
    );
}

#[test]
fn an_annotation_is_found_where_it_stands_and_not_where_it_is_mentioned() {
    assert_snapshot!(
        problems("@description(\"no @idle here\") // @idle\n@idle(\"x\") permit (principal, action, resource);"),
        @r#"
    policy.cedar:2:1: `@idle("x")` is not a duration
        hint: write hours, minutes and seconds, from 1s to 8784h, such as "8h", "15m" or "1h30m"
    "#
    );
}

#[test]
fn duties_have_a_closed_list_of_values() {
    let rules = "@record(\"always\") permit (principal, action, resource);
        @keyboard(\"yes\") permit (principal, action, resource);
        @watched(\"told\") forbid (principal, action, resource);";
    assert_snapshot!(problems(rules), @r#"
    policy.cedar:1:1: `@record("always")` is not a way to record
        hint: write "required", "best_effort" or "off"
    policy.cedar:2:9: `@keyboard("yes")` means nothing
        hint: write @keyboard("on"), or leave it out
    policy.cedar:3:9: `@watched` has no meaning on a `forbid` rule
        hint: a `forbid` rule may have @id and @description; everything else belongs to `permit` rules
    "#);
}

#[test]
fn limits_on_a_forbid_rule() {
    assert_snapshot!(problems("@idle(\"15m\") forbid (principal, action, resource);"), @r"
    policy.cedar:1:1: `@idle` has no meaning on a `forbid` rule
        hint: a `forbid` rule may have @id and @description; everything else belongs to `permit` rules
    ");
}

#[test]
fn the_same_id_twice() {
    assert_snapshot!(
        problems(
            "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);"
        ),
        @r"
    policy.cedar:2:1: the rule id `a` is already taken by the rule at policy.cedar:1:1
        hint: give each rule an @id of its own; the audit names rules by it
    "
    );
}

#[test]
fn a_template() {
    assert_snapshot!(problems("permit (principal == ?principal, action, resource);"), @r#"
    policy.cedar:1:1: this rule is a template: `?principal` and `?resource` have no value here
        hint: name the user, group or instance, such as principal in Group::"eng"
    "#);
}

#[test]
fn mistakes_of_every_kind_are_listed_at_once_and_in_order() {
    assert_snapshot!(
        problems(
            "@idle(\"x\") permit (principal, action, resource) when { resource.nmae == \"a\" };
             permit (principal, action, resource) when { principal.age > 3 };
             @recrod permit (principal, action, resource);"
        ),
        @r#"
    policy.cedar:1:1: `@idle("x")` is not a duration
        hint: write hours, minutes and seconds, from 1s to 8784h, such as "8h", "15m" or "1h30m"
    policy.cedar:1:56: for policy `policy.cedar#1`, attribute `nmae` on entity type `Instance` not found: `resource.nmae`
        hint: did you mean `image`?
    policy.cedar:2:58: for policy `policy.cedar#2`, attribute `age` on entity type `User` not found: `principal.age`
        hint: did you mean `name`?
    policy.cedar:3:14: unknown annotation `@recrod`
        hint: known annotations are @id, @description, @max_session, @idle, @login, @record, @keyboard, @output and @watched
    "#
    );
}

#[test]
fn files_are_one_policy_and_problems_name_the_right_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let good = file("a.cedar", b"@id(\"x\") permit (principal, action, resource);");
    let bad = file(
        "b.cedar",
        b"\n@id(\"x\") permit (principal, action, resource) when { resource.nmae == \"a\" };",
    );
    let binary = file("c.cedar", b"permit\n\xff");
    let missing = folder.path().join("d.cedar");

    let list = |files: &[std::path::PathBuf]| {
        let text = listing(&Policy::load(files).expect_err("problems"));
        text.replace(&format!("{}/", folder.path().display()), "")
    };
    assert_snapshot!(list(&[good.clone(), bad]), @r"
    b.cedar:2:1: the rule id `x` is already taken by the rule at a.cedar:1:1
        hint: give each rule an @id of its own; the audit names rules by it
    b.cedar:2:54: for policy `x at b.cedar:2:1`, attribute `nmae` on entity type `Instance` not found: `resource.nmae`
        hint: did you mean `image`?
    ");
    assert_snapshot!(list(&[good, binary, missing]), @r"
    c.cedar:2: the policy file is not UTF-8 text
    d.cedar: the policy file cannot be read: No such file or directory (os error 2)
        hint: check the path and that drawbridge's user may read it
    ");
}

#[test]
fn a_policy_that_is_too_deep_or_too_large_is_refused_before_it_is_parsed() {
    let deep = format!(
        "permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(500),
        ")".repeat(500)
    );
    assert_snapshot!(problems(&deep), @r#"
    policy.cedar:1:108: the rule is too deep here: too many brackets or operators
        hint: a rule may nest 64 brackets and have 500 operators: use sets, as in ["a", "b"].contains(…), or several rules
    "#);
    let long = format!("permit (principal, action, resource) when {{ true{} }};", " || true".repeat(100_000));
    assert!(problems(&long).contains("the rule is too deep here"));
    assert_snapshot!(problems(&" ".repeat(2_000_000)), @r"
    policy.cedar: the policy file is larger than 1 MiB
        hint: split it into several files; all of them are one policy
    ");
}

#[test]
fn a_rule_that_can_never_match_is_a_warning() {
    let policy = policy("permit (principal, action, resource) when { false };");
    assert_snapshot!(listing(policy.warnings()), @r"
    policy.cedar:1:1: for policy `policy.cedar#1`, policy is impossible: the policy expression evaluates to false for all valid requests: `permit (principal, action, resource) when { false };`
    ");
}

/// Cargo gives a test's thread 2 MiB of stack, as much as a tokio worker has.
#[test]
fn a_rule_as_deep_as_is_accepted_is_decided_as_it_says() {
    for operand in ["context.login == \"x\"", "true == (((context.login) == \"x\"))"] {
        let condition = vec![operand; 248].join(" || ");
        let deepest = policy(&format!("permit (principal, action, resource) when {{ {condition} }};"));
        assert!(asks(identity("alice", &[]), Action::Shell).login("x").of(&deepest).is_ok());
        let refusal = asks(identity("alice", &[]), Action::Shell).of(&deepest).expect_err("a refusal");
        assert_eq!(refusal.errors, Vec::<String>::new());
    }
}

#[test]
fn long_lists_are_not_deep() {
    let logins = vec!["\"x\""; 10_000].join(", ");
    let rule = format!("permit (principal, action, resource) when {{ [{logins}].contains(context.login) }};");
    assert!(asks(identity("alice", &[]), Action::Shell).login("x").of(&policy(&rule)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_text_is_too_strange(tokens in prop::collection::vec(prop::sample::select(TOKENS.to_vec()), 0..60)) {
        match Policy::from_text("policy.cedar", &tokens.join(" ")) {
            Ok(policy) => prop_assert!(policy.rules().len() <= tokens.len()),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}

const TOKENS: [&str; 38] = [
    "permit",
    "forbid",
    "(",
    ")",
    "principal",
    ",",
    "action",
    "resource",
    ";",
    "when",
    "{",
    "}",
    "unless",
    "==",
    "in",
    "[",
    "]",
    "@",
    "id",
    "idle",
    "(\"a\")",
    "(principal, action, resource)",
    "context",
    ".",
    "login",
    "&&",
    "||",
    "!",
    "-",
    "User::\"a\"",
    "\"",
    "'",
    "//",
    "\n",
    "?principal",
    "1",
    "ü",
    "\0",
];
