//! What AWS does not show may be what matters: then nothing is blamed.

use crate::diagnose::testing::{
    edit, entry, group_peer, one_vpc, open_acl, range_peer, route, transit, two_vpcs,
};
use crate::diagnose::{
    Check, Direction, Facts, Known, RouteVia, Rule, ScheduledEvent, Subject, Symptom, Verdict, diagnose,
};
use crate::domain::FailureClass;

fn check(facts: &Facts, subject: Subject) -> Check {
    let diagnosis = diagnose(facts, None);
    diagnosis.checks.into_iter().find(|check| check.subject == subject).expect("it is in the list")
}

fn cause_of_a_timeout(facts: &Facts) -> Option<Subject> {
    let symptom = Symptom { class: FailureClass::ConnectTimeout, login: None };
    diagnose(facts, Some(&symptom)).cause().map(|check| check.subject)
}

/// Transit gateways of two regions are peered, and the VPC that is shared with an account is attached by another.
#[test]
fn a_vpc_whose_attachment_is_not_seen_may_be_behind_another_gateway() {
    for (vpc, state) in
        [("vpc-1", None), ("vpc-hub", None), ("vpc-1", Some("deleted")), ("vpc-1", Some("modifying"))]
    {
        let mut facts = transit();
        let attachments = &mut edit(facts.transits.get_mut("tgw-1").expect("tgw-1")).attachments;
        attachments.remove(vpc);
        attachments.extend(state.map(|state: &str| (vpc.to_owned(), state.to_owned())));
        for subject in [Subject::Join, Subject::RouteThere, Subject::RouteBack] {
            let found = check(&facts, subject);
            assert_eq!(found.verdict, Verdict::Unknown, "{vpc} {state:?}: {found:?}");
            assert!(found.finding.contains(&format!("no attachment of {vpc} to it is seen")), "{found:?}");
        }
        assert_eq!(cause_of_a_timeout(&facts), None, "{vpc} {state:?}");
        assert_eq!(diagnose(&facts, None).arrives(), Verdict::Unknown);
    }
}

/// The bastion's way goes through a private NAT gateway; what lets the gateway's address in is right as it is.
fn behind_nat(to: &str) -> Facts {
    let mut facts = two_vpcs();
    facts.peerings.clear();
    let routes = &mut edit(&mut facts.bastion_end.routes).routes;
    routes.retain(|route| route.via == RouteVia::Local);
    routes.push(route(to, RouteVia::Other("nat-1".to_owned())));
    edit(&mut facts.target_end.groups)[0].rules =
        vec![Rule::inbound("sgr-nat", 22, range_peer("100.64.0.9/32"))];
    let mut acl = open_acl("acl-t");
    acl.entries.retain(|entry| !entry.allows);
    acl.entries.push(entry(10, Direction::In, "100.64.0.0/24", 22, 22, true));
    acl.entries.push(entry(10, Direction::Out, "100.64.0.0/24", 1024, 65_535, true));
    facts.target_end.acl = Known::As(acl);
    edit(&mut facts.target_end.routes).routes = vec![
        route("10.0.0.0/16", RouteVia::Local),
        route("100.64.0.0/24", RouteVia::Peering("pcx-9".to_owned())),
    ];
    facts
}

#[test]
fn what_depends_on_an_address_that_a_nat_gateway_may_change_is_not_blamed() {
    let facts = behind_nat("10.0.0.0/16");
    for subject in [Subject::TargetGroup, Subject::TargetAcl, Subject::RouteBack] {
        let found = check(&facts, subject);
        assert_eq!(found.verdict, Verdict::Unknown, "{found:?}");
        assert!(found.finding.contains("nat-1, which may put another address"), "{found:?}");
    }
    assert_eq!(cause_of_a_timeout(&facts), None);
    assert_eq!(check(&facts, Subject::BastionGroup).verdict, Verdict::Sound, "the bastion's own end is seen");
    assert_eq!(check(&facts, Subject::Bastion).verdict, Verdict::Sound);
}

#[test]
fn what_no_address_changes_is_blamed_behind_a_nat_gateway_too() {
    let mut facts = behind_nat("10.0.0.0/16");
    edit(&mut facts.target_end.groups)[0].rules =
        vec![Rule::inbound("sgr-web", 443, range_peer("0.0.0.0/0"))];
    assert_eq!(cause_of_a_timeout(&facts), Some(Subject::TargetGroup));
    let mut facts = behind_nat("10.0.0.0/16");
    edit(&mut facts.target_end.groups)[0].rules = vec![Rule::inbound("sgr-all", 22, range_peer("0.0.0.0/0"))];
    assert_eq!(check(&facts, Subject::TargetGroup).verdict, Verdict::Sound);
    let acl = edit(&mut facts.target_end.acl);
    acl.entries.push(entry(5, Direction::In, "0.0.0.0/0", 22, 22, false));
    assert_eq!(cause_of_a_timeout(&facts), Some(Subject::TargetAcl));
    // A NAT gateway for the internet alone changes nothing about a way that leads elsewhere.
    let mut facts = one_vpc();
    edit(&mut facts.bastion_end.routes).routes.push(route("0.0.0.0/0", RouteVia::Other("nat-1".to_owned())));
    edit(&mut facts.target_end.groups)[0].rules = vec![Rule::inbound("sgr-x", 22, group_peer("sg-x"))];
    assert_eq!(cause_of_a_timeout(&facts), Some(Subject::TargetGroup));
}

/// Of an unknown address some ports are in doubt; the others are judged all the same.
#[test]
fn an_acl_that_refuses_a_port_whoever_asks_is_blamed_although_an_address_is_not_known() {
    let mut facts = behind_nat("10.0.0.0/16");
    edit(&mut facts.target_end.groups)[0].rules = vec![Rule::inbound("sgr-all", 22, range_peer("0.0.0.0/0"))];
    let acl = edit(&mut facts.target_end.acl);
    acl.entries.retain(|entry| entry.direction == Direction::In || !entry.allows);
    acl.entries.push(entry(10, Direction::Out, "100.64.0.0/24", 40_000, 40_000, true));
    acl.entries.push(entry(20, Direction::Out, "0.0.0.0/0", 50_000, 50_010, false));
    let found = check(&facts, Subject::TargetAcl);
    assert_eq!(found.verdict, Verdict::Broken, "{found:?}");
    assert!(found.finding.contains("Entry 20 of acl-t refuses answers, TCP 50000-50010"), "{found:?}");
}

#[test]
fn an_event_of_long_ago_is_not_blamed_on_a_machine_that_is_well() {
    let began = |at: &str| {
        let mut facts = one_vpc();
        edit(&mut facts.status).events.push(ScheduledEvent {
            code: "instance-retirement".to_owned(),
            description: "retirement".to_owned(),
            not_before: Some(at.parse().expect("a moment")),
        });
        facts
    };
    let mut facts = began("2026-11-20T11:50:00Z");
    assert_eq!(check(&facts, Subject::Events).verdict, Verdict::Unknown);
    assert_eq!(cause_of_a_timeout(&facts), None);
    edit(&mut facts.target_end.groups)[0].rules.clear();
    assert_eq!(cause_of_a_timeout(&facts), Some(Subject::TargetGroup));
    edit(&mut facts.status).system = "initializing".to_owned();
    assert_eq!(cause_of_a_timeout(&facts), Some(Subject::Events));
    assert_eq!(cause_of_a_timeout(&began("2026-11-22T11:10:00Z")), Some(Subject::Events));
}
