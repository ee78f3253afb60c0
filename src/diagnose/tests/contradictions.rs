//! Facts that cannot all be true, and facts by the thousand: a sentence comes of them, and no panic.

use crate::diagnose::testing::{denied, edit, network, one_vpc, range_peer, route, two_vpcs};
use crate::diagnose::{
    Check, Facts, Known, Peer, Peering, RouteVia, Rule, ScheduledEvent, Subject, Symptom, Verdict, diagnose,
    diagnose_reached,
};
use crate::domain::FailureClass;

fn check(facts: &Facts, subject: Subject) -> Check {
    let diagnosis = diagnose(facts, None);
    diagnosis.checks.into_iter().find(|check| check.subject == subject).expect("it is in the list")
}

#[test]
fn contradictions_are_not_known_rather_than_blamed() {
    type Breaks = fn(&mut Facts);
    let cases: [(Subject, Breaks, &str); 15] = [
        (Subject::TargetGroup, |facts| edit(&mut facts.target_end.groups).clear(), "which always has one"),
        (Subject::BastionGroup, |facts| edit(&mut facts.bastion_end.groups).clear(), "which always has one"),
        (Subject::TargetAcl, |facts| edit(&mut facts.target_end.acl).entries.clear(), "no entry of acl-t"),
        (
            Subject::TargetAcl,
            |facts| {
                let entries = &mut edit(&mut facts.target_end.acl).entries;
                let twin = entries
                    .iter()
                    .map(|entry| crate::diagnose::AclEntry { allows: !entry.allows, ..entry.clone() });
                let twins: Vec<_> = twin.collect();
                entries.extend(twins);
            },
            "two entries with the number 100",
        ),
        (Subject::RouteThere, |facts| edit(&mut facts.bastion_end.routes).routes.clear(), "is not whole"),
        (
            Subject::RouteBack,
            |facts| {
                let other = route("10.0.0.0/16", RouteVia::Other("eni-1".to_owned()));
                edit(&mut facts.target_end.routes).routes.push(other);
            },
            "lead to different places",
        ),
        (
            Subject::Join,
            |facts| facts.target_end.vpc = Known::As("vpc-2".to_owned()),
            "contradict each other",
        ),
        (Subject::Join, |facts| facts.bastion_end.vpc = Known::As(String::new()), "names no VPC"),
        (
            Subject::State,
            |facts| edit(&mut facts.instance).state = "running\u{7}?".to_owned(),
            "\"running?\"",
        ),
        (Subject::State, |facts| edit(&mut facts.instance).state.clear(), "\"\""),
        (Subject::Status, |facts| edit(&mut facts.status).instance = "stopped".to_owned(), "\"stopped\""),
        (
            Subject::Status,
            |facts| {
                edit(&mut facts.status).instance = "not-applicable".to_owned();
                edit(&mut facts.status).system = "not-applicable".to_owned();
            },
            "does not run its status checks",
        ),
        (Subject::Address, |facts| edit(&mut facts.instance).addresses.clear(), "names no address"),
        (Subject::Bastion, |facts| edit(&mut facts.bastion).addresses.clear(), "no IPv4 address"),
        (
            Subject::Events,
            |facts| {
                edit(&mut facts.status).events.push(ScheduledEvent {
                    code: "x".repeat(10_000),
                    description: "\u{202e}\u{1b}]0;x\u{7}".repeat(1_000),
                    not_before: None,
                });
            },
            "cannot be told whether it has begun",
        ),
    ];
    for (subject, breaks, says) in cases {
        let mut facts = one_vpc();
        breaks(&mut facts);
        let found = check(&facts, subject);
        assert_eq!(found.verdict, Verdict::Unknown, "{found:?}");
        assert!(found.finding.contains(says), "{found:?}");
    }
}

#[test]
fn a_peering_that_joins_neither_vpc_is_not_known() {
    let mut facts = two_vpcs();
    let strange = Peering {
        state: "active".to_owned(),
        requester_vpc: "vpc-7".to_owned(),
        accepter_vpc: "vpc-8".to_owned(),
        same_region: true,
    };
    facts.peerings.insert("pcx-1".to_owned(), Known::As(strange));
    let diagnosis = diagnose(&facts, None);
    assert_eq!(diagnosis.cause(), None, "{:#?}", diagnosis.checks);
    assert_eq!(diagnosis.arrives(), Verdict::Unknown);
    facts.peerings.clear();
    assert_eq!(diagnose(&facts, None).arrives(), Verdict::Unknown, "a peering of which nothing is known");
}

/// Where packets went and came back, AWS's answers that speak against it are told as such and not blamed.
#[test]
fn proof_of_arrival_overrules_the_network_checks() {
    let mut facts = one_vpc();
    edit(&mut facts.target_end.groups)[0].rules.clear();
    let symptom = |class| Symptom { class, login: None };
    let diagnosis = diagnose(&facts, Some(&symptom(FailureClass::ConnectionRefused)));
    let group = diagnosis.checks.iter().find(|check| check.subject == Subject::TargetGroup).expect("a check");
    assert_eq!((group.verdict, &group.change), (Verdict::Unknown, &None));
    assert!(
        group.finding.starts_with("Packets arrive, although AWS's answers speak against it: No inbound rule"),
        "{group:?}"
    );
    assert_eq!(diagnosis.arrives(), Verdict::Sound);
    assert_eq!(diagnose(&facts, Some(&symptom(FailureClass::PushDenied))).arrives(), Verdict::Broken);

    let reached = diagnose_reached(&facts, None);
    assert_eq!((reached.arrives(), reached.cause()), (Verdict::Sound, None), "{:#?}", reached.checks);
    assert!(reached.checks.iter().any(|check| check.finding == "web-1 answers in SSH."));
    edit(&mut facts.image).name = "debian-12-arm64-20251112-2294".to_owned();
    let cause = diagnose_reached(&facts, None).cause().map(|check| check.subject);
    assert_eq!(cause, Some(Subject::Agent), "what the network has nothing to do with counts");
}

#[test]
fn a_thousand_rules_with_lists_of_a_thousand_entries() {
    let mut facts = one_vpc();
    let lists = (0..1_000).map(|number| format!("pl-{number}"));
    let entries: Vec<_> =
        (0..1_000).map(|n| network(&format!("172.{}.{}.0/24", 16 + n / 256, n % 256))).collect();
    for list in lists.clone() {
        facts.prefix_lists.insert(list, Known::As(entries.clone()));
    }
    let rules: Vec<_> =
        lists.map(|list| Rule::inbound(&format!("sgr-{list}"), 22, Peer::PrefixList(list))).collect();
    edit(&mut facts.target_end.groups)[0].rules = rules;
    let group = check(&facts, Subject::TargetGroup);
    assert_eq!(group.verdict, Verdict::Broken);
    let last = Rule::inbound("sgr-last", 22, range_peer("10.0.0.0/29"));
    edit(&mut facts.target_end.groups)[0].rules.push(last);
    let group = check(&facts, Subject::TargetGroup);
    assert_eq!(group.finding, "sgr-last of sg-t (group-t) lets TCP 22 in from 10.0.0.0/29.");
}

#[test]
fn a_rule_that_fits_is_enough_whatever_else_may_not_be_seen() {
    let mut facts = one_vpc();
    facts.prefix_lists.insert("pl-1".to_owned(), denied("ec2:GetManagedPrefixListEntries"));
    let hidden = Rule::inbound("sgr-hidden", 22, Peer::PrefixList("pl-1".to_owned()));
    edit(&mut facts.target_end.groups)[0].rules.insert(0, hidden);
    assert_eq!(check(&facts, Subject::TargetGroup).verdict, Verdict::Sound);
}
