use std::path::Path;

use insta::assert_snapshot;

use super::*;
use crate::policy::{TableReport, run_table};

const RULES: &str = r#"
@id("eng") permit (principal in Group::"eng", action, resource)
when { resource.hasTag("env") && resource.getTag("env") == "dev" };
@id("no-root") forbid (principal, action, resource) when { context.login == "root" };
@id("night") forbid (principal, action, resource) when { context.time.toTime() < duration("6h") };
"#;

fn run(table: &str) -> Result<TableReport, String> {
    let groups_of = |user: &UserName| (user.as_str() == "alice").then(|| vec!["eng".to_owned()]);
    run_table(&policy(RULES), Path::new("cases.toml"), table, &groups_of)
        .map_err(|problems| listing(&problems))
}

#[test]
fn a_table_that_agrees_says_so_and_which_rules_it_leaves_out() {
    let report = run(r#"
        [defaults]
        user = "alice"
        target.tags.env = "dev"

        [[case]]
        expect = "permit"
        rule = "eng"

        [[case]]
        login = "root"
        expect = "refuse"
        rule = "no-root"

        [[case]]
        target = { tags = { env = "prod" } }
        expect = "refuse"

        [[case]]
        user = "bob"
        groups = []
        expect = "refuse"
        "#)
    .expect("a report");
    assert!(report.passed());
    assert_snapshot!(report, @r"
    No case is decided by these rules: night.
    All 4 cases are decided as expected.
    ");
}

#[test]
fn decisions_other_than_expected_are_listed_with_their_lines() {
    let report = run(r#"# a comment
[[case]]
user = "alice"
target = { name = "web-1", tags = { env = "dev" } }
command = "uptime"
expect = "refuse"

[[case]]
name = "root is fine"
user = "alice"
login = "root"
expect = "permit"

[[case]]
user = "alice"
expect = "permit"

[[case]]
name = "at night"
user = "alice"
target = { tags = { env = "dev" } }
login = "root"
expect = "refuse"
rule = "night"
"#)
    .expect("a report");
    assert!(!report.passed());
    assert_snapshot!(report, @r"
    cases.toml:2: alice, exec on web-1 as ec2-user: expected a refusal, but `eng` permits
    cases.toml:8: root is fine: expected a permit, but `no-root` forbids
    cases.toml:14: alice, shell on i-00000000000000000 as ec2-user: expected a permit, but no rule permits it
    cases.toml:18: at night: expected rule `night` to decide, but `no-root` forbids
    No case is decided by these rules: night.
    Decided differently: 4 of 4.
    ");
}

#[test]
fn mistakes_in_a_table_are_listed_at_once() {
    let wrong = r#"
[[case]]
user = "carol"
login = "no such login"
action = "dance"
rule = "nosuch"
time = "noon"
target = { id = "web-1" }
auth_method = "password"

[[case]]
expect = "permit"
"#;
    assert_snapshot!(run(wrong).expect_err("problems"), @r#"
    cases.toml:2: there is no action `dance`; the actions are shell, exec, sftp, subsystem, tunnel, local-forward, remote-forward, local-socket, remote-socket, agent, x11, connect, watch, kill, diagnose, audit
    cases.toml:2: the groups of `carol` are not known; add groups = […] to the case, [] for none
    cases.toml:2: there is no auth_method `password`; it is publickey or certificate
    cases.toml:2: `web-1` is no instance id; it is `i-` and 17 hexadecimal digits
    cases.toml:2: `no such login` is no login: ' ' may not stand in a name; use letters, digits, '.', '_' and '-'
    cases.toml:2: `noon` is no time; write it like 2026-01-07T12:00:00Z
    cases.toml:2: the policy has no rule `nosuch`
    cases.toml:2: the case does not say what it expects; add expect = "permit" or "refuse"
    cases.toml:11: the case names no user; add user = "…"
    "#);
}

#[test]
fn a_table_that_cannot_be_read_says_where() {
    assert_snapshot!(run("[[case]]\nuser = \"alice\"\nexpects = \"permit\"\n").expect_err("problems"), @r"
    cases.toml:3:1: unknown field `expects`, expected one of `name`, `user`, `groups`, `target`, `login`, `action`, `command`, `subsystem`, `destination`, `listen`, `path`, `connect`, `address`, `client_addr`, `auth_method`, `time`, `expect`, `rule`
    ");
    assert_snapshot!(run("[[case]]\nexpect = \"maybe\"\n").expect_err("problems"), @r"
    cases.toml:2:10: unknown variant `maybe`, expected `permit` or `refuse`
    ");
    assert_snapshot!(run("[[case\n").expect_err("problems"), @r"
    cases.toml:1:7: unclosed array table, expected `]]`
    ");
    assert_snapshot!(run("").expect_err("problems"), @r"
    cases.toml: the table has no cases
        hint: begin each case with a line [[case]]
    ");
}
