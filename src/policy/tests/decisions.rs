use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::{ActionKind, Destination};
use crate::policy::facts::{Scene, Vocabulary, plain_action};
use crate::policy::{ConnectQuestion, Limits, RefusalReason};

fn alice() -> Arc<Identity> {
    identity("alice", &["eng", "staff"])
}

#[test]
fn an_empty_policy_refuses_everything() {
    let refusal = asks(alice(), Action::Shell).of(&policy("")).expect_err("a refusal");
    assert_eq!(refusal.reason, RefusalReason::NoRulePermits);
    assert!(refusal.rules.is_empty() && refusal.errors.is_empty());
    assert!(Policy::load(&[]).is_ok_and(|policy| asks(alice(), Action::Shell).of(&policy).is_err()));
}

#[test]
fn a_policy_is_shared_between_threads() {
    fn shared<T: Send + Sync + std::fmt::Debug + 'static>(_: &T) {}
    shared(&policy(""));
}

#[test]
fn a_permit_carries_what_was_asked_and_which_rules_allowed_it() {
    let policy = policy(
        r#"
        @id("z") permit (principal in Group::"eng", action == Action::"shell", resource);
        permit (principal == User::"alice", action in Action::"session", resource);
        permit (principal == User::"bob", action, resource);
        "#,
    );
    let question = asks(alice(), Action::Shell);
    let permit = question.of(&policy).expect("a permit");
    assert_eq!(ids(permit.rules()), ["policy.cedar#2", "z"]);
    assert!(Arc::ptr_eq(permit.target(), &question.target));
    assert!(Arc::ptr_eq(permit.identity(), &question.identity));
    assert_eq!((permit.login().as_str(), permit.action()), ("ec2-user", &Action::Shell));
    assert_eq!(permit.decided_at(), noon());
}

#[test]
fn every_kind_of_action_is_in_its_group_and_nothing_but_itself() {
    let group = |name: &str| policy(&format!(r#"permit (principal, action in Action::"{name}", resource);"#));
    let (session, forward) = (group("session"), group("forward"));
    for kind in ActionKind::WORK {
        let Some(action) = plain_action(kind) else { continue };
        let of_session =
            matches!(kind, ActionKind::Shell | ActionKind::Exec | ActionKind::Sftp | ActionKind::Subsystem);
        let of_forward = matches!(
            kind,
            ActionKind::LocalForward
                | ActionKind::RemoteForward
                | ActionKind::LocalSocket
                | ActionKind::RemoteSocket
        );
        assert_eq!(asks(alice(), action.clone()).of(&session).is_ok(), of_session, "{kind}");
        assert_eq!(asks(alice(), action).of(&forward).is_ok(), of_forward, "{kind}");
        let one = policy(&format!(r#"permit (principal, action == Action::"{kind}", resource);"#));
        for other in ActionKind::WORK.into_iter().filter_map(plain_action) {
            let is_it = kind == other.kind();
            assert_eq!(asks(alice(), other.clone()).of(&one).is_ok(), is_it, "{kind} {other:?}");
        }
    }
}

#[test]
fn a_forward_is_decided_by_where_it_leads() {
    let rules = policy(
        r#"permit (principal, action == Action::"local-forward", resource)
           when { context.destination.host == "localhost" && context.destination.port == 5432 };
           permit (principal, action == Action::"remote-forward", resource)
           when { context.listen.port >= 1024 };
           permit (principal, action == Action::"local-socket", resource)
           when { context.path like "/run/app/*" };"#,
    );
    let local = |host: &str, port| Action::LocalForward { host: host.to_owned(), port };
    let remote = |port| Action::RemoteForward { host: String::new(), port };
    let socket = |path: &str| Action::LocalSocket { path: path.to_owned() };
    for (action, permitted) in [
        (local("localhost", 5432), true),
        (local("localhost", 22), false),
        (local("169.254.169.254", 5432), false),
        (remote(8080), true),
        (remote(80), false),
        (socket("/run/app/web.sock"), true),
        (socket("/run/docker.sock"), false),
        (Action::RemoteSocket { path: "/run/app/web.sock".to_owned() }, false),
    ] {
        assert_eq!(asks(alice(), action.clone()).of(&rules).is_ok(), permitted, "{action:?}");
    }
}

#[test]
fn the_bastion_connects_by_instance_or_by_range_and_port() {
    let rules = policy(
        r#"permit (principal, action == Action::"connect", resource is Instance)
           when { resource.hasTag("env") && context.destination.port == 5432 };
           permit (principal, action == Action::"connect", resource is PrivateAddress)
           when { resource.private_ip.isInRange(ip("10.9.0.0/16")) && context.destination.port == 443 };
           forbid (principal, action, resource) when { resource.hasTag("secret") };
           forbid (principal, action, resource) when { context.login == "root" };"#,
    );
    let may = |address: &str, port, instance| {
        let address = address.parse().expect("an address");
        let destination = Destination { host: "there".to_owned(), address, port, instance };
        let identity = alice();
        rules.decide_connect(&ConnectQuestion { identity: &identity, destination: &destination, now: noon() })
    };
    let tagged = |key: &str| Some(target("db-1", &[("env", "dev"), (key, "yes")]));
    let permit = may("10.0.1.20", 5432, tagged("env")).expect("permitted");
    assert_eq!(permit.destination().socket_addr().to_string(), "10.0.1.20:5432");
    assert!(may("10.0.1.20", 22, tagged("env")).is_err());
    assert!(may("10.0.1.20", 5432, tagged("secret")).is_err());
    assert!(may("10.9.3.4", 443, None).is_ok());
    assert!(may("10.9.3.4", 5432, None).is_err());
    assert!(may("10.8.3.4", 443, None).is_err());
}

#[test]
fn forbid_wins_and_says_which_rule_did() {
    let policy = policy(
        r#"
        permit (principal, action, resource);
        @id("no-prod") forbid (principal, action, resource)
        when { resource.hasTag("env") && resource.getTag("env") == "prod" };
        "#,
    );
    assert!(asks(alice(), Action::Shell).of(&policy).is_ok());
    let refusal = asks(alice(), Action::Shell)
        .on(target("db-1", &[("env", "prod")]))
        .of(&policy)
        .expect_err("a refusal");
    assert_eq!(refusal.reason, RefusalReason::Forbidden);
    assert_eq!(ids(&refusal.rules), ["no-prod"]);
}

#[test]
fn a_rule_that_fails_to_evaluate_refuses_what_another_permits() {
    let policy = policy(
        r#"
        @id("fine") permit (principal, action, resource);
        @id("overflows") permit (principal, action, resource)
        when { context.time.offset(duration("9223372036854775807ms")) > context.time };
        "#,
    );
    let refusal = asks(alice(), Action::Shell).of(&policy).expect_err("a refusal");
    assert_eq!(refusal.reason, RefusalReason::EvaluationFailed);
    assert!(refusal.rules.is_empty());
    assert!(refusal.errors[0].contains("`overflows`"), "{:?}", refusal.errors);
}

#[test]
fn limits_are_the_tightest_of_the_rules_that_decided() {
    let policy = policy(
        r#"
        @max_session("8h") @idle("15m") permit (principal in Group::"eng", action, resource);
        @max_session("1h") permit (principal in Group::"staff", action, resource);
        @max_session("1s") permit (principal in Group::"others", action, resource);
        permit (principal == User::"alice", action, resource);
        "#,
    );
    let permit = asks(alice(), Action::Shell).of(&policy).expect("a permit");
    let limits = Limits {
        max_session: Some(Duration::from_hours(1)),
        idle: Some(Duration::from_mins(15)),
        ..Limits::default()
    };
    assert_eq!(*permit.limits(), limits);
}

#[test]
fn rules_can_ask_about_the_client_address_and_mean_mapped_ones_too() {
    let policy = policy(
        r#"permit (principal, action, resource) when { context.client_addr.isInRange(ip("192.0.2.0/24")) };"#,
    );
    let from = |address: &str| {
        let mut identity = Identity::clone(&alice());
        identity.client_addr = address.parse::<IpAddr>().expect("an address");
        asks(Arc::new(identity), Action::Shell).of(&policy).is_ok()
    };
    assert!(from("192.0.2.99"));
    assert!(from("::ffff:192.0.2.99"));
    assert!(!from("203.0.113.1"));
    assert!(!from("2001:db8::1"));
}

#[test]
fn rules_can_ask_about_the_time_of_day_and_the_date() {
    let policy = policy(
        r#"permit (principal, action, resource) when {
            context.time.toTime() >= duration("8h") && context.time.toTime() < duration("18h") &&
            context.time < datetime("2026-02-01T00:00:00Z")
        };"#,
    );
    let at = |time: &str| asks(alice(), Action::Shell).at(time).of(&policy).is_ok();
    assert!(at("2026-01-07T08:00:00Z"));
    assert!(at("2026-01-07T17:59:59.999999999Z"));
    assert!(!at("2026-01-07T07:59:59.999Z"));
    assert!(!at("2026-01-07T18:00:00Z"));
    assert!(!at("2026-02-01T09:00:00Z"));
}

#[test]
fn an_instant_that_cedar_cannot_hold_is_a_refusal() {
    let policy = policy("permit (principal, action, resource);");
    let refusal =
        asks(alice(), Action::Shell).at("-000044-03-15T12:00:00Z").of(&policy).expect_err("a refusal");
    assert_eq!(refusal.reason, RefusalReason::EvaluationFailed);
}

#[test]
fn commands_and_subsystems_can_be_named() {
    let policy = policy(
        r#"
        permit (principal, action == Action::"exec", resource) when { context.command like "git-*" };
        permit (principal, action, resource) when { context has subsystem && context.subsystem == "netconf" };
        "#,
    );
    let subsystem = |name: &str| Action::Subsystem { name: name.to_owned() };
    assert!(asks(alice(), exec("git-upload-pack x")).of(&policy).is_ok());
    assert!(asks(alice(), exec("rm -rf /")).of(&policy).is_err());
    assert!(asks(alice(), subsystem("netconf")).of(&policy).is_ok());
    assert!(asks(alice(), subsystem("other")).of(&policy).is_err());
    assert!(asks(alice(), Action::Shell).of(&policy).is_err());
}

#[test]
fn logins_are_listed_in_the_order_of_preference() {
    let policy = policy(
        r#"
        @login("ubuntu") permit (principal, action, resource)
        when { resource.hasTag("os") && resource.getTag("os") == "ubuntu" };
        @login("admin, ec2-user") permit (principal, action, resource) unless { context.login == "root" };
        permit (principal, action == Action::"exec", resource) when { context.login == "root" };
        "#,
    );
    let logins = |tags: &[(&str, &str)], action: Option<&Action>| {
        let also = [login("centos"), login("ec2-user")];
        let logins = policy.logins(&alice(), &target("web-1", tags), action, noon(), &also);
        logins.iter().map(|login| login.as_str().to_owned()).collect::<Vec<_>>()
    };
    // `ubuntu` would be permitted everywhere, but it is preferred only where its own rule permits.
    assert_eq!(logins(&[], Some(&Action::Shell)), ["admin", "ec2-user", "centos"]);
    let ubuntu = logins(&[("os", "ubuntu")], Some(&Action::Shell));
    assert_eq!(ubuntu, ["ubuntu", "admin", "ec2-user", "centos", "root"]);
    assert_eq!(logins(&[], None), ["admin", "ec2-user", "centos", "root"]);
}

#[test]
fn reach_is_anything_that_is_allowed_there() {
    let may = |rules: &str, logins: &[Login]| {
        policy(rules).may_reach(&alice(), &target("web-1", &[("env", "dev")]), logins, noon())
    };
    assert!(!may("", &[]));
    assert!(may("permit (principal, action, resource);", &[]));
    assert!(may(r#"permit (principal, action == Action::"sftp", resource);"#, &[]));
    assert!(may(r#"permit (principal, action, resource) when { context.login == "deploy" };"#, &[]));
    let one_command = r#"permit (principal, action == Action::"exec", resource)
        when { context.login == "deploy" && context.command like "release *" };"#;
    assert!(may(one_command, &[login("ec2-user")]));
    assert!(may(
        r#"permit (principal, action, resource) when { context.login like "ec2-*" };"#,
        &[login("ec2-user")]
    ));
    for forward in [
        r#"permit (principal, action == Action::"local-forward", resource) when { context.destination.port == 5432 };"#,
        r#"permit (principal, action == Action::"remote-forward", resource) when { context.listen.port >= 60000 };"#,
        r#"permit (principal, action == Action::"local-socket", resource) when { context.path like "/run/*.sock" };"#,
        r#"permit (principal, action == Action::"connect", resource) when { context.destination.port == 5432 };"#,
    ] {
        assert!(may(forward, &[]), "{forward}");
    }
    assert!(!may(r#"permit (principal in Group::"ops", action, resource);"#, &[login("ec2-user")]));
    assert!(!may("permit (principal, action, resource); forbid (principal, action, resource);", &[]));
    assert!(!may(
        r#"permit (principal, action, resource) when { resource.getTag("env") == "prod" || false };"#
            .replace("resource.getTag", r#"resource.hasTag("env") && resource.getTag"#)
            .as_str(),
        &[]
    ));
}

#[test]
fn groups_and_users_that_rules_name_are_listed_with_the_rule() {
    let policy = policy(
        r#"
        @id("a") permit (principal in Group::"eng", action, resource);
        @id("b") permit (principal, action, resource) when { principal in [Group::"ops", Group::"eng"] };
        @id("c") forbid (principal == User::"mallory", action, resource);
        "#,
    );
    let groups: Vec<_> =
        policy.named_groups().into_iter().map(|(group, rule)| format!("{group}: {}", rule.id)).collect();
    assert_eq!(groups, ["eng: a", "ops: b"]);
    let users: Vec<_> =
        policy.named_users().into_iter().map(|(user, rule)| format!("{user}: {}", rule.id)).collect();
    assert_eq!(users, ["mallory: c"]);
}

/// Rules of which any subset may be put together; each is valid by itself.
const RULES: [&str; 10] = [
    r#"permit (principal, action, resource);"#,
    r#"permit (principal in Group::"eng", action, resource);"#,
    r#"permit (principal == User::"bob", action == Action::"shell", resource);"#,
    r#"permit (principal is User, action == Action::"exec", resource) when { context.command like "ls*" };"#,
    r#"permit (principal is User in Group::"ops", action, resource) when { resource.hasTag("env") && resource.getTag("env") == "dev" };"#,
    r#"forbid (principal, action, resource) when { resource.hasTag("env") && resource.getTag("env") == "prod" };"#,
    r#"forbid (principal, action, resource) unless { context.client_addr.isInRange(ip("192.0.2.0/24")) };"#,
    r#"forbid (principal in Group::"ops", action == Action::"sftp", resource);"#,
    r#"forbid (principal, action, resource) when { context.login == "root" };"#,
    r#"forbid (principal, action, resource) when { context.time.toTime() < duration("8h") };"#,
];

fn any_question() -> impl Strategy<Value = Asks> {
    let user = prop::sample::select(vec!["alice", "bob"]);
    let groups = prop::sample::subsequence(vec!["eng", "ops"], 0..=2);
    let env = prop::sample::select(vec!["dev", "prod", ""]);
    let login = prop::sample::select(vec!["ec2-user", "root"]);
    let action = prop::sample::select(vec![Action::Shell, Action::Sftp, exec("ls"), exec("rm")]);
    let time = prop::sample::select(vec!["2026-01-07T12:00:00Z", "2026-01-07T03:00:00Z"]);
    (user, groups, env, login, action, time).prop_map(|(user, groups, env, login, action, time)| {
        let tags = [("env", env)];
        let tags = if env.is_empty() { &[][..] } else { &tags[..] };
        asks(identity(user, &groups), action).on(target("web-1", tags)).login(login).at(time)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_forbid_rule_more_never_turns_a_refusal_into_a_permit(
        chosen in prop::sample::subsequence(RULES.to_vec(), 0..RULES.len()),
        more in prop::sample::select(RULES[5..].to_vec()),
        question in any_question(),
    ) {
        let before = question.of(&policy(&chosen.join("\n")));
        let after = question.of(&policy(&format!("{}\n{more}", chosen.join("\n"))));
        prop_assert!(before.is_ok() || after.is_err());
    }

    #[test]
    fn nothing_is_permitted_without_a_permit_rule(
        forbids in prop::sample::subsequence(RULES[5..].to_vec(), 0..=5),
        question in any_question(),
    ) {
        prop_assert!(question.of(&policy(&forbids.join("\n"))).is_err());
    }

    #[test]
    fn what_may_be_done_may_be_reached_and_explained(
        chosen in prop::sample::subsequence(RULES.to_vec(), 0..RULES.len()),
        question in any_question(),
    ) {
        let policy = policy(&chosen.join("\n"));
        let explanation = policy.explain(&question.question());
        let permitted = question.of(&policy).is_ok();
        let explained = matches!(explanation.outcome, crate::policy::Outcome::Permitted { .. });
        prop_assert_eq!(permitted, explained);
        let logins = [question.login.clone()];
        prop_assert!(!permitted || policy.may_reach(&question.identity, &question.target, &logins, question.now));
    }

    #[test]
    fn whatever_a_machine_is_called_its_facts_agree_with_the_schema(
        name in prop::option::of(".{0,20}"),
        tags in prop::collection::btree_map(".{0,10}", ".{0,10}", 0..5),
        command in ".{0,20}",
    ) {
        let vocabulary = Vocabulary::embedded().expect("a schema");
        let mut target = Target::clone(&target("web-1", &[]));
        target.name = name.clone();
        target.image_name = name;
        target.tags = tags;
        let identity = alice();
        let scene = Scene::new(&vocabulary, &identity, &target).expect("facts");
        let entities: Vec<_> = scene.entities.iter().cloned().collect();
        prop_assert!(cedar_policy::Entities::from_entities(entities, Some(&vocabulary.schema)).is_ok());
        for action in [Action::Shell, exec(&command), Action::Sftp, Action::Subsystem { name: command.clone() }] {
            let request = scene.request(&login("ec2-user"), &action, noon()).expect("a request");
            let uid = request.action().expect("an action").clone();
            let context = request.context().expect("a context");
            prop_assert!(context.validate(&vocabulary.schema, &uid).is_ok());
        }
    }
}

#[test]
fn oversight_is_granted_by_name_and_reaches_no_machine() {
    let rules = policy(
        r#"permit (principal, action == Action::"audit", resource);
           permit (principal, action == Action::"watch", resource) when { context.login != "root" };"#,
    );
    let identity = alice();
    assert!(rules.decide_audit(&identity, noon()).is_ok());
    assert!(asks(alice(), Action::Watch).of(&rules).is_ok());
    for action in [Action::Kill, Action::Shell] {
        assert!(asks(alice(), action.clone()).of(&rules).is_err(), "{action:?}");
    }
    let of_machines = policy(r#"permit (principal, action in Action::"session", resource);"#);
    assert!(of_machines.decide_audit(&identity, noon()).is_err());
    let everything = policy("permit (principal, action, resource) when { resource.region != \"mars\" };");
    assert!(everything.decide_audit(&identity, noon()).is_ok());
}

#[test]
fn of_several_duties_the_strictest_holds() {
    let rules = policy(
        r#"@record("off") permit (principal, action, resource);
           @record("required") @keyboard("on") permit (principal, action, resource);
           @output("keep") @watched("told") permit (principal, action, resource);"#,
    );
    let permit = asks(alice(), Action::Shell).of(&rules).expect("permitted");
    let limits = permit.limits();
    assert_eq!(limits.record, Some(crate::domain::RecordMode::Required));
    assert!(limits.keyboard && limits.keep_output && limits.tell_watched);
}
