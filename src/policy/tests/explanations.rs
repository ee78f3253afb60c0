use insta::assert_snapshot;

use super::*;
use crate::domain::Destination;
use crate::policy::ConnectQuestion;

const RULES: &str = r#"
@id("eng-dev")
@description("Engineers may work on development machines.")
@max_session("8h") @idle("90m")
permit (
  principal in Group::"eng",
  action in [Action::"shell", Action::"exec"],
  resource
)
when { resource.hasTag("env") && resource.getTag("env") == "dev" && context.login != "backup" }
unless { context.login == "root" };

permit (principal == User::"alice", action, resource == Instance::"i-00000000") when { resource has name };

permit (principal in Group::"ops", action, resource);

@id("closed") forbid (principal, action, resource) when { resource.hasTag("closed") };
"#;

fn explained(question: &Asks) -> String {
    policy(RULES).explain(&question.question()).to_string()
}

#[test]
fn a_permit_names_its_rules_and_limits() {
    let question = asks(identity("alice", &["eng"]), exec("uptime\n"));
    assert_snapshot!(explained(&question), @r#"
    alice (groups: eng), from 192.0.2.7 by publickey
    on web-1 (i-0123456789abcdef0) as ec2-user: exec `uptime\n`, at 2026-01-07T12:00:00Z

    PERMITTED, for at most 8h, idle for at most 1h 30m.

    policy.cedar:2:1: permit rule `eng-dev` matches:
        @id("eng-dev")
        @description("Engineers may work on development machines.")
        @max_session("8h") @idle("90m")
        permit (
          principal in Group::"eng",
          action in [Action::"shell", Action::"exec"],
          resource
        )
        when { resource.hasTag("env") && resource.getTag("env") == "dev" && context.login != "backup" }
        unless { context.login == "root" };
    "#);
}

#[test]
fn a_forbid_rule_is_shown() {
    let question = asks(identity("olga", &["ops"]), Action::Shell).on(target("db-1", &[("closed", "")]));
    assert_snapshot!(explained(&question), @r#"
    olga (groups: ops), from 192.0.2.7 by publickey
    on db-1 (i-0123456789abcdef0) as ec2-user: shell, at 2026-01-07T12:00:00Z

    REFUSED: a forbid rule matches, and forbid wins over every permit.

    policy.cedar:17:1: forbid rule `closed` matches:
        @id("closed") forbid (principal, action, resource) when { resource.hasTag("closed") };
    "#);
}

#[test]
fn where_no_rule_permits_the_rules_about_the_user_say_what_is_missing() {
    let alice = || identity("alice", &["eng"]);
    let production = asks(alice(), Action::Sftp).on(target("db-1", &[("env", "prod")]));
    assert_snapshot!(explained(&production), @r#"
    alice (groups: eng), from 192.0.2.7 by publickey
    on db-1 (i-0123456789abcdef0) as ec2-user: sftp, at 2026-01-07T12:00:00Z

    REFUSED: no rule permits it.

    policy.cedar:13:1: permit rule `policy.cedar#2` does not match:
        it is about other machines

    policy.cedar:2:1: permit rule `eng-dev` does not match:
        it is about other actions
        this does not hold: resource.getTag("env") == "dev"
    "#);
    let as_root = asks(alice(), Action::Shell).login("root");
    assert_snapshot!(explained(&as_root), @r#"
    alice (groups: eng), from 192.0.2.7 by publickey
    on web-1 (i-0123456789abcdef0) as root: shell, at 2026-01-07T12:00:00Z

    REFUSED: no rule permits it.

    policy.cedar:2:1: permit rule `eng-dev` does not match:
        this holds and must not: context.login == "root"

    policy.cedar:13:1: permit rule `policy.cedar#2` does not match:
        it is about other machines
    "#);
    let stranger = asks(identity("mallory", &[]), Action::Shell);
    assert_snapshot!(explained(&stranger), @r"
    mallory (groups: none), from 192.0.2.7 by publickey
    on web-1 (i-0123456789abcdef0) as ec2-user: shell, at 2026-01-07T12:00:00Z

    REFUSED: no rule permits it, and no permit rule is about mallory.
    ");
}

#[test]
fn conditions_are_quoted_whole_and_names_cannot_drive_the_terminal() {
    let policy = policy(r#"permit (principal, action, resource) when { { a: "x  y" } == { a: "b" } };"#);
    let question = asks(identity("alice", &[]), Action::Shell).on(target("web\u{1b}[2J", &[]));
    let text = policy.explain(&question.question()).to_string();
    assert!(text.ends_with("this does not hold: {a: \"x  y\"} == {a: \"b\"}\n"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn an_explanation_is_also_for_programs() {
    let question = asks(identity("mallory", &[]), exec("ls"));
    let explanation = policy("").explain(&question.question());
    insta::assert_json_snapshot!(explanation, @r#"
    {
      "user": "mallory",
      "groups": [],
      "client_addr": "192.0.2.7",
      "auth_method": "publickey",
      "target": "web-1",
      "target_id": "i-0123456789abcdef0",
      "login": "ec2-user",
      "action": "exec",
      "command": "ls",
      "time": "2026-01-07T12:00:00Z",
      "outcome": {
        "decision": "refused",
        "reason": "no-rule-permits"
      },
      "rules": [],
      "errors": [],
      "near_misses": []
    }
    "#);
}

#[test]
fn limits_are_milliseconds_for_programs() {
    let question = asks(identity("alice", &["eng"]), Action::Shell);
    let explanation = policy(RULES).explain(&question.question());
    assert_eq!(
        serde_json::to_value(explanation.outcome).expect("json"),
        serde_json::json!({
            "decision": "permitted",
            "limits": {
                "max_session_ms": 28_800_000, "idle_ms": 5_400_000,
                "record": null, "keyboard": false, "keep_output": false, "tell_watched": false
            }
        })
    );
}

#[test]
fn a_connection_of_the_bastion_is_explained_with_what_is_missing() {
    let rules = policy(
        r#"@id("databases") permit (principal, action == Action::"connect", resource is PrivateAddress)
           when { resource.private_ip.isInRange(ip("10.9.0.0/16")) && context.destination.port == 5432 };"#,
    );
    let explained = |address: &str, port, instance| {
        let address = address.parse().expect("an address");
        let destination = Destination { host: "db.internal".to_owned(), address, port, instance };
        let identity = identity("dana", &[]);
        rules.explain_connect(&ConnectQuestion {
            identity: &identity,
            destination: &destination,
            now: noon(),
        })
    };
    let permitted = explained("10.9.1.2", 5432, None);
    let text = permitted.to_string();
    assert!(
        text.contains("connect to db.internal:5432, at 10.9.1.2, which is no instance's address"),
        "{text}"
    );
    assert!(text.contains("PERMITTED."), "{text}");
    let json = serde_json::to_value(&permitted).expect("json");
    assert_eq!(
        (&json["action"], &json["address"], &json["port"]),
        (&"connect".into(), &"10.9.1.2".into(), &5432.into())
    );
    let text = explained("10.9.1.2", 22, None).to_string();
    assert!(text.contains("this does not hold: context.destination.port == 5432"), "{text}");
    let text = explained("10.0.0.10", 5432, Some(target("db-1", &[]))).to_string();
    assert!(text.contains("which is db-1 (i-0123456789abcdef0) at 10.0.0.10"), "{text}");
    assert!(text.contains("it is about other machines"), "{text}");
}
