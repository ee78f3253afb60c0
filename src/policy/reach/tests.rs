//! Lists against decisions, one by one.

use std::net::IpAddr;

use cedar_policy::PolicyId;
use proptest::prelude::*;

use super::probe::{Probe, probes};
use super::witness::ANY_LOGIN;
use super::*;
use crate::domain::{Destination, InstanceId};
use crate::policy::explain::Part;
use crate::policy::facts::Scene;
use crate::policy::rule::Effect;
use crate::policy::tests::{identity, login, noon, policy, target};
use crate::policy::{ConnectPermit, ConnectQuestion, Permit, Question};

/// What the list should say of one machine: Cedar is asked about each login and probe.
fn one_by_one(policy: &Policy, identity: &Arc<Identity>, target: &Arc<Target>, usual: &[Login]) -> Answer {
    let about = rules_about(policy, identity, target);
    let permits: Vec<&Rule> = about.iter().copied().filter(|rule| rule.effect == Effect::Permit).collect();
    let forbids = about.iter().copied().filter(|rule| rule.effect == Effect::Forbid);
    let in_order: Vec<&Rule> = permits.iter().copied().chain(forbids).collect();
    let probes = if permits.is_empty() { Vec::new() } else { probes(&in_order) };
    let preferred = permits
        .iter()
        .flat_map(|rule| rule.preferred_logins.iter().map(|login| (login.clone(), Some(*rule))));
    let named = permits.iter().flat_map(|rule| &rule.named.logins).map(|name| (login(name), None));
    let candidates = preferred.chain(usual.iter().map(|login| (login.clone(), None))).chain(named);
    let (mut logins, mut kinds) = (Vec::new(), Kinds::default());
    for (login, because_of) in candidates.chain([(login(ANY_LOGIN), None)]) {
        for probe in &probes {
            let Some(deciders) = decided(policy, identity, target, &login, probe) else { continue };
            kinds = kinds.with(Kinds::one(probe.kind()));
            let counts =
                because_of.is_none_or(|rule| deciders.contains(&rule.id)) && login.as_str() != ANY_LOGIN;
            if counts && probe.kind() != ActionKind::Connect && !logins.contains(&login) {
                logins.push(login.clone());
            }
        }
    }
    (logins, kinds.list())
}

fn rules_about<'p>(policy: &'p Policy, identity: &Identity, target: &Target) -> Vec<&'p Rule> {
    let scene = Scene::new(&policy.vocabulary, identity, target).expect("a scene");
    let request = scene.request(&login(ANY_LOGIN), &Action::Shell, noon()).expect("a request");
    let about = |rule: &&Rule| {
        let json = policy.set.policy(&PolicyId::new(&rule.id.0)).expect("a rule").to_json().expect("json");
        Part::scope("principal", &json).expect("a scope").holds(&scene, &request)
    };
    policy.rules().iter().filter(about).collect()
}

/// The deciding rules, where it is permitted.
fn decided(
    policy: &Policy,
    identity: &Arc<Identity>,
    target: &Arc<Target>,
    login: &Login,
    probe: &Probe,
) -> Option<Vec<crate::policy::RuleId>> {
    match probe {
        Probe::Act(action) => {
            let permit = policy.decide(&Question { identity, target, login, action, now: noon() }).ok()?;
            Some(permit.rules().to_vec())
        }
        Probe::Connect { host, port } => {
            let instance = Some(Arc::clone(target));
            let destination =
                Destination { host: host.clone(), address: target.private_ip, port: *port, instance };
            let question = ConnectQuestion { identity, destination: &destination, now: noon() };
            Some(policy.decide_connect(&question).ok()?.rules().to_vec())
        }
    }
}

/// Conditions that rules are made of: the common comparisons, and what only Cedar can tell.
const CONDITIONS: &[&str] = &[
    r#"true"#,
    r#"resource.region == "eu-west-1""#,
    r#""us-east-1" == resource.region"#,
    r#"resource.account_alias != "main""#,
    r#"["ami-1", "ami-2"].contains(resource.image)"#,
    r#"resource has name && resource.name like "web-*""#,
    r#"resource has name && resource.name like "*-1""#,
    r#"resource has name && resource.name like "w*b*1""#,
    r#"resource has name && resource has image_name && resource.image_name != resource.name"#,
    r#"resource.hasTag("env") && resource.getTag("env") == "dev""#,
    r#"resource.hasTag("env") && resource.getTag("env") != "dev""#,
    r#"resource.hasTag("env") && ["dev", "test"].contains(resource.getTag("env"))"#,
    r#"resource.hasTag("owner") && resource.getTag("owner") == principal.name"#,
    r#"resource.hasTag("owner") && principal.groups.contains(resource.getTag("owner"))"#,
    r#"resource.hasTag("owner") && resource.getTag("owner") == context.login"#,
    r#"resource.hasTag(context.login)"#,
    r#"resource.hasTag(principal.name)"#,
    r#"resource == Instance::"i-00000000000000001""#,
    r#"Instance::"i-00000000000000001" == resource"#,
    r#"resource != Instance::"i-00000000000000002""#,
    r#"resource in [Instance::"i-00000000000000001", Instance::"i-00000000000000002"]"#,
    r#"resource is Instance"#,
    r#"resource is PrivateAddress"#,
    r#"resource is Instance in Instance::"i-00000000000000001""#,
    r#"resource.private_ip.isInRange(ip("10.0.0.0/24"))"#,
    r#"resource.private_ip.isInRange(ip("fd00::/8"))"#,
    r#"resource.private_ip == ip("10.0.0.10")"#,
    r#"resource.private_ip.isIpv4()"#,
    r#"context.client_addr.isInRange(ip("192.0.2.0/24"))"#,
    r#"context.client_addr.isInRange(ip("198.51.100.7"))"#,
    r#"context.auth_method == "publickey""#,
    r#"context.time.toTime() < duration("13h")"#,
    r#"context.time > datetime("2030-01-01")"#,
    r#"context.login == "root""#,
    r#"context.login like "ec2-*""#,
    r#"["root", "deploy"].contains(context.login)"#,
    r#"context.login == principal.name"#,
    r#"context.login != resource.region"#,
    r#"principal.name == "alice""#,
    r#"principal == User::"alice""#,
    r#"principal in Group::"eng""#,
    r#"principal in [Group::"ops", User::"bob"]"#,
    r#"principal.groups.containsAny(["ops"])"#,
    r#"action == Action::"shell""#,
    r#"action in Action::"session""#,
    r#"action in [Action::"forward", Action::"connect"]"#,
    r#"context has login"#,
    r#"context has command && context.command == "uptime""#,
    r#"context has command && context.command like "git *""#,
    r#"context has subsystem && ["netconf"].contains(context.subsystem)"#,
    r#"context has destination && context.destination.port == 5432"#,
    r#"context has destination && context.destination.port < 1024"#,
    r#"context has destination && 1024 <= context.destination.port"#,
    r#"context has destination && [80, 443].contains(context.destination.port)"#,
    r#"context has destination && context.destination.host == "localhost""#,
    r#"context has destination.port && context.destination.port > 1 + 21"#,
    r#"context has destination.ip && context.destination.ip.isInRange(ip("10.0.0.0/24"))"#,
    r#"context has listen && context.listen.port == 0"#,
    r#"context has listen && context.listen.host like "local*""#,
    r#"context has path && context.path like "/run/*""#,
    r#"{Var: resource.region}.Var == "eu-west-1""#,
    r#"(if resource.region == "eu-west-1" then "root" else "deploy") == context.login"#,
    // These fail: the first always, the others in some cases.
    r#"context.time.offset(duration("9223372036854775807ms")) > context.time"#,
    r#"(if resource.region == "eu-west-1" then 9223372036854775807 else 0) + 1 > 0"#,
    r#"(if context.login == "root" then 9223372036854775807 else 0) + 1 > 0"#,
    r#"(if action == Action::"sftp" then 9223372036854775807 else 0) + 1 > 0"#,
];

const PRINCIPALS: &[&str] = &[
    "principal",
    "principal",
    r#"principal == User::"alice""#,
    r#"principal == User::"bob""#,
    r#"principal in Group::"eng""#,
    r#"principal in Group::"nobody""#,
    r#"principal in User::"alice""#,
    "principal is User",
    r#"principal is User in Group::"ops""#,
];

const ACTIONS: &[&str] = &[
    "action",
    "action",
    r#"action in Action::"session""#,
    r#"action in [Action::"forward", Action::"tunnel"]"#,
    r#"action == Action::"exec""#,
    r#"action == Action::"connect""#,
    r#"action in [Action::"shell", Action::"agent", Action::"x11"]"#,
];

const RESOURCES: &[&str] = &[
    "resource",
    "resource",
    "resource",
    r#"resource == Instance::"i-00000000000000001""#,
    r#"resource in Instance::"i-00000000000000002""#,
    "resource is Instance",
    "resource is PrivateAddress",
    r#"resource is Instance in Instance::"i-00000000000000001""#,
];

fn any_condition() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(CONDITIONS.to_vec()).prop_map(|text| format!("({text})"));
    atom.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} && {right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} || {right})")),
            inner.clone().prop_map(|operand| format!("!{operand}")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(first, then, other)| format!("(if {first} then {then} else {other})")),
        ]
    })
}

fn any_rule() -> impl Strategy<Value = String> {
    let effect = prop_oneof![
        3 => Just("permit"),
        1 => Just(r#"@login("root, ubuntu") permit"#),
        1 => Just(r#"@login("deploy") permit"#),
        2 => Just("forbid"),
    ];
    let scope = (
        prop::sample::select(PRINCIPALS.to_vec()),
        prop::sample::select(ACTIONS.to_vec()),
        prop::sample::select(RESOURCES.to_vec()),
    );
    let clause = (prop::sample::select(vec!["when", "unless"]), any_condition());
    (effect, scope, prop::collection::vec(clause, 0..3)).prop_map(|(effect, (who, what, place), clauses)| {
        let clauses: Vec<String> =
            clauses.into_iter().map(|(word, body)| format!("{word} {{ {body} }}")).collect();
        format!("{effect} ({who}, {what}, {place}) {};", clauses.join(" "))
    })
}

/// Some rules; a text that validation refuses, such as an address compared with nothing that has one, is left out.
fn any_policy() -> impl Strategy<Value = Policy> {
    prop::collection::vec(any_rule(), 1..6).prop_filter_map("a valid policy", |rules| {
        if let Ok(policy) = Policy::from_text("policy.cedar", &rules.join("\n")) {
            return Some(policy);
        }
        let valid = |rule: &&String| Policy::from_text("policy.cedar", rule).is_ok();
        let text: Vec<String> = rules.iter().filter(valid).cloned().collect();
        (!text.is_empty()).then(|| policy(&text.join("\n")))
    })
}

fn any_identity() -> impl Strategy<Value = Arc<Identity>> {
    let groups = prop::sample::subsequence(vec!["eng", "ops", "dev"], 0..=3);
    let from = prop::sample::select(vec!["192.0.2.7", "::ffff:192.0.2.7", "198.51.100.7", "fd00::7"]);
    (prop::sample::select(vec!["alice", "bob"]), groups, from).prop_map(|(user, groups, from)| {
        let mut identity = Identity::clone(&identity(user, &groups));
        identity.client_addr = address(from);
        Arc::new(identity)
    })
}

fn any_target() -> impl Strategy<Value = Arc<Target>> {
    let id = prop::sample::select(vec![1, 2, 3]);
    let name = prop::sample::select(vec![Some("web-1"), Some("web-21"), Some("db-1"), None]);
    let env = prop::sample::select(vec![None, Some("dev"), Some("prod")]);
    let owner = prop::sample::select(vec![None, Some("alice"), Some("dev"), Some("root")]);
    let place = prop::sample::select(vec![
        ("eu-west-1", "10.0.0.10", "main"),
        ("us-east-1", "fd00::10", "main"),
        ("us-east-1", "::ffff:10.0.0.11", "lab"),
    ]);
    (id, name, env, owner, place).prop_map(|(id, name, env, owner, (region, ip, alias))| {
        let tags = [("env", env), ("owner", owner), ("alice", name)];
        let tags: Vec<_> = tags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let mut target = Target::clone(&target("web-1", &tags));
        target.id = InstanceId::parse(&format!("i-{id:017x}")).expect("an id");
        target.name = name.map(str::to_owned);
        target.region = region.to_owned();
        target.account_alias = alias.to_owned();
        target.private_ip = address(ip);
        Arc::new(target)
    })
}

fn any_probe() -> impl Strategy<Value = Probe> {
    prop::sample::select(probes(&[])).prop_flat_map(|probe| {
        let texts = prop::sample::select(vec!["", "uptime", "git x", "netconf", "localhost", "/run/x"]);
        let ports = prop::sample::select(vec![0_u16, 22, 443, 1023, 1024, 5432]);
        (texts, ports).prop_map(move |(text, at)| {
            let text = text.to_owned();
            match probe.clone() {
                Probe::Act(Action::Exec { .. }) => Probe::Act(Action::Exec { command: text }),
                Probe::Act(Action::Subsystem { .. }) => Probe::Act(Action::Subsystem { name: text }),
                Probe::Act(Action::LocalForward { .. }) => {
                    Probe::Act(Action::LocalForward { host: text, port: at })
                }
                Probe::Act(Action::RemoteForward { .. }) => {
                    Probe::Act(Action::RemoteForward { host: text, port: at })
                }
                Probe::Act(Action::LocalSocket { .. }) => Probe::Act(Action::LocalSocket { path: text }),
                Probe::Act(Action::RemoteSocket { .. }) => Probe::Act(Action::RemoteSocket { path: text }),
                Probe::Connect { .. } => Probe::Connect { host: text, port: at },
                other @ Probe::Act(_) => other,
            }
        })
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn usual_of(target: &Target) -> Option<Login> {
    target.name.as_deref().map(|name| login(if name.starts_with("web") { "ec2-user" } else { "admin" }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_probe_comes_to_what_the_decision_does(
        policy in any_policy(),
        identity in any_identity(),
        target in any_target(),
        tried in prop::sample::select(vec!["root", "deploy", "ec2-user", "alice", "eu-west-1"]),
        probe in any_probe(),
    ) {
        let tried = if matches!(probe, Probe::Connect { .. }) { None } else { Login::parse(tried).ok() };
        let decided = decided(&policy, &identity, &target, &tried.clone().unwrap_or_else(|| login("x")), &probe);
        let kind = probe.kind();
        let survey = Survey::new(&policy, &identity, noon(), &target, vec![probe]);
        let allowed = survey.and_then(|mut survey| {
            let class = survey.login_class(tried.as_ref());
            let signature = survey.signature(&target, 0);
            let mut group = survey.group(&target, signature);
            survey.allowed(&mut group, class).cloned()
        });
        let allowed = allowed.is_some_and(|allowed| allowed.kinds == Kinds::one(kind));
        prop_assert_eq!(allowed, decided.is_some());
    }

    #[test]
    fn a_question_that_is_asked_again_has_the_answer_that_it_has_by_itself(
        policy in any_policy(),
        people in prop::collection::vec(any_identity(), 1..3),
        target in any_target(),
        login in prop::sample::select(vec!["root", "deploy", "ec2-user"]).prop_map(login),
        probes in prop::collection::vec(any_probe(), 1..3),
    ) {
        let now = noon();
        let mut again = policy.again(now);
        for (identity, probe) in people.iter().flat_map(|who| probes.iter().map(move |probe| (who, probe))) {
            match probe {
                Probe::Act(action) => {
                    let question = Question { identity, target: &target, login: &login, action, now };
                    let told = |permit: &Permit| (permit.rules().to_vec(), *permit.limits());
                    let answer = again.decide(identity, &target, &login, action).decision;
                    let by_itself = policy.decide(&question);
                    prop_assert_eq!(answer.as_ref().map(told), by_itself.as_ref().map(told));
                }
                Probe::Connect { host, port } => {
                    let instance = port.is_multiple_of(2).then(|| Arc::clone(&target));
                    let place = Destination { host: host.clone(), address: target.private_ip, port: *port, instance };
                    let question = ConnectQuestion { identity, destination: &place, now };
                    let told = |permit: &ConnectPermit| (permit.rules().to_vec(), *permit.limits());
                    let answer = again.decide_connect(identity, &place).decision;
                    let by_itself = policy.decide_connect(&question);
                    prop_assert_eq!(answer.as_ref().map(told), by_itself.as_ref().map(told));
                }
            }
        }
    }
}

#[test]
fn an_answer_depends_on_the_time_where_a_rule_about_that_person_and_action_reads_it() {
    let policy = policy(
        r#"permit (principal == User::"alice", action == Action::"shell", resource)
           when { context.time < datetime("2030-01-01") };
           permit (principal, action == Action::"exec", resource);
           forbid (principal in Group::"eng", action == Action::"exec", resource)
           unless { context.time.toTime() < duration("13h") };"#,
    );
    let mut again = policy.again(noon());
    let mut timed = |user: &str, groups: &[&str], action: &Action| {
        let answer = again.decide(&identity(user, groups), &target("web-1", &[]), &login("root"), action);
        answer.depends_on_time
    };
    let exec = Action::Exec { command: "uptime".to_owned() };
    assert!(timed("alice", &[], &Action::Shell));
    assert!(!timed("bob", &[], &Action::Shell));
    assert!(!timed("alice", &[], &exec));
    assert!(timed("bob", &["eng"], &exec));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_list_says_what_decisions_say_one_by_one(
        policy in any_policy(),
        identity in any_identity(),
        targets in prop::collection::vec(any_target(), 1..4),
    ) {
        let mut expected = Vec::new();
        for target in &targets {
            let usual: Vec<Login> = usual_of(target).into_iter().collect();
            let (logins, actions) = one_by_one(&policy, &identity, target, &usual);
            prop_assert_eq!(policy.may_reach(&identity, target, &usual, noon()), !actions.is_empty());
            prop_assert_eq!(&policy.logins(&identity, target, None, noon(), &usual), &logins);
            if !actions.is_empty() {
                expected.push(Reach { target: Arc::clone(target), logins, actions });
            }
        }
        prop_assert_eq!(policy.listing(&identity, &targets, noon(), &usual_of), expected);
    }
}
