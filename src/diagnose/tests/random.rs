//! Random networks: the two evaluations agree, and knowing less never turns a verdict round.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::second::{Fate, connects};
use crate::diagnose::testing::{
    address, edit, entry, network, one_vpc, one_vpc_ipv6, open_acl, peering, route, transit, two_vpcs,
};
use crate::diagnose::{
    Acl, Direction, Facts, Gap, GapReason, Group, Grouped, Known, NetworkEnd, Peer, Peering, PortRange,
    Protocol, Route, RouteVia, Rule, Subject, Transit, Verdict, diagnose,
};

/// Ranges that hold one of the machines, or both, or none.
const RANGES: [&str; 18] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/15",
    "10.0.0.0/16",
    "10.9.0.0/16",
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.9.0.0/24",
    "10.0.1.10/32",
    "10.0.0.5/32",
    "10.9.0.5/32",
    "10.0.1.8/30",
    "192.168.0.0/16",
    "::/0",
    "fd00:1::/32",
    "fd00:1::/64",
    "fd00:1:1::10/128",
    "fd00:1::5/128",
];

const PORTS: [(u16, u16); 10] = [
    (0, 65_535),
    (22, 22),
    (20, 30),
    (80, 443),
    (1024, 65_535),
    (32_768, 60_999),
    (32_768, 50_000),
    (50_001, 65_535),
    (40_000, 40_000),
    (0, 1023),
];

const LISTS: [&str; 3] = ["pl-1", "pl-2", "pl-absent"];

fn range() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&RANGES[..])
}

fn ports() -> impl Strategy<Value = PortRange> {
    prop::sample::select(&PORTS[..]).prop_map(|(from, to)| PortRange { from, to })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![
        6 => Just(Protocol::Tcp),
        2 => Just(Protocol::All),
        1 => Just(Protocol::Other(6)),
        1 => Just(Protocol::Other(17)),
    ]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::In), Just(Direction::Out)]
}

fn peer() -> impl Strategy<Value = Peer> {
    let group = (
        prop::sample::select(&["sg-b", "sg-t", "sg-x"][..]),
        prop::sample::select(&[None, Some("pcx-1"), Some("pcx-2")][..]),
    );
    prop_oneof![
        3 => range().prop_map(|range| Peer::Network(network(range))),
        1 => prop::sample::select(&LISTS[..]).prop_map(|list| Peer::PrefixList(list.to_owned())),
        2 => group.prop_map(|(group, peering)| {
            Peer::Group(Grouped { group: group.to_owned(), peering: peering.map(str::to_owned) })
        }),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    (direction(), protocol(), ports(), peer()).prop_map(|(direction, protocol, ports, peer)| Rule {
        id: "sgr-x".to_owned(),
        direction,
        protocol,
        ports,
        peer,
    })
}

fn groups(own: &'static str) -> impl Strategy<Value = Vec<Group>> {
    let group = move |(id, rules): (&str, Vec<Rule>)| Group { id: id.to_owned(), name: String::new(), rules };
    let first = move || prop::collection::vec(rule(), 0..5).prop_map(move |rules| group((own, rules)));
    let second = prop::collection::vec(rule(), 0..3).prop_map(move |rules| group(("sg-x", rules)));
    prop_oneof![
        4 => first().prop_map(|group| vec![group]),
        2 => (first(), second).prop_map(|(first, second)| vec![first, second]),
        1 => Just(Vec::new()),
    ]
}

fn acl(id: &'static str) -> impl Strategy<Value = Acl> {
    let number = 1_u32..300;
    let one = (number, direction(), range(), protocol(), ports(), prop::bool::weighted(0.6));
    let made = |(number, direction, range, protocol, ports, allows): (u32, _, &str, _, PortRange, _)| {
        let entry = entry(number, direction, range, ports.from, ports.to, allows);
        crate::diagnose::AclEntry { protocol, ..entry }
    };
    let entries = prop::collection::btree_map((0_u32..300, direction()), one.prop_map(made), 0..6);
    let numbered =
        entries.prop_map(|entries| {
            let numbered = entries
                .into_iter()
                .map(|((number, direction), entry)| crate::diagnose::AclEntry { number, direction, ..entry });
            numbered.collect::<Vec<_>>()
        });
    (numbered, any::<bool>()).prop_map(move |(mut entries, open_below)| {
        let mut acl = open_acl(id);
        acl.entries.retain(|entry| open_below || !entry.allows);
        for entry in &mut acl.entries {
            entry.number += 1000;
        }
        entries.extend(acl.entries);
        Acl { id: id.to_owned(), entries }
    })
}

fn via() -> impl Strategy<Value = RouteVia> {
    prop_oneof![
        2 => Just(RouteVia::Local),
        4 => Just(RouteVia::Peering("pcx-1".to_owned())),
        1 => Just(RouteVia::Peering("pcx-2".to_owned())),
        1 => Just(RouteVia::Peering("pcx-absent".to_owned())),
        1 => Just(RouteVia::TransitGateway("tgw-1".to_owned())),
        2 => Just(RouteVia::Other("igw-1".to_owned())),
        1 => Just(RouteVia::Other("nat-1".to_owned())),
    ]
}

fn one_route() -> impl Strategy<Value = Route> {
    let to = prop_oneof![4 => range(), 1 => prop::sample::select(&LISTS[..])];
    (to, via(), prop::bool::weighted(0.9)).prop_map(|(to, via, active)| Route { active, ..route(to, via) })
}

fn a_peering() -> impl Strategy<Value = Peering> {
    let vpc = || prop::sample::select(&["vpc-hub", "vpc-1", "vpc-3"][..]);
    let state = prop_oneof![4 => Just("active"), 1 => Just("pending-acceptance"), 1 => Just("deleted")];
    (vpc(), vpc(), state, prop::bool::weighted(0.7)).prop_map(|(requester, accepter, state, same_region)| {
        Peering {
            requester_vpc: requester.to_owned(),
            accepter_vpc: accepter.to_owned(),
            same_region,
            ..peering(state)
        }
    })
}

fn a_transit() -> impl Strategy<Value = Transit> {
    let state =
        prop_oneof![2 => Just(Some("available")), 2 => Just(Some("pendingAcceptance")), 1 => Just(None)];
    (state.clone(), state).prop_map(|(hub, one)| {
        let all = [("vpc-hub", hub), ("vpc-1", one)].into_iter();
        let attachments = all.filter_map(|(vpc, state)| Some((vpc.to_owned(), state?.to_owned())));
        Transit { attachments: attachments.collect() }
    })
}

fn lists() -> impl Strategy<Value = BTreeMap<String, Known<Vec<ipnet::IpNet>>>> {
    let list = || prop::collection::vec(range().prop_map(network), 0..4);
    (list(), list()).prop_map(|(one, two)| {
        [("pl-1", one), ("pl-2", two)].map(|(id, list)| (id.to_owned(), Known::As(list))).into()
    })
}

/// Mostly what a sound network has, sometimes another: so that whole networks are sound often enough.
fn perhaps<T: std::fmt::Debug + Clone>(
    another: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.18, another)
}

fn any_network() -> impl Strategy<Value = Facts> {
    let base = prop_oneof![
        4 => Just(one_vpc as fn() -> Facts),
        4 => Just(two_vpcs as fn() -> Facts),
        2 => Just(transit as fn() -> Facts),
        2 => Just(one_vpc_ipv6 as fn() -> Facts),
    ];
    let ends = (
        perhaps(groups("sg-b")),
        perhaps(groups("sg-t")),
        perhaps(acl("acl-b")),
        perhaps(acl("acl-t")),
        perhaps(prop::collection::vec(one_route(), 1..4)),
        perhaps(prop::collection::vec(one_route(), 1..4)),
    );
    let between =
        (perhaps(a_peering()), a_peering(), perhaps(a_transit()), lists(), prop::bool::weighted(0.2));
    let lost = (prop::bool::weighted(0.12), prop::bool::weighted(0.12));
    let machines = (prop::bool::weighted(0.05), prop::bool::weighted(0.05), prop::bool::weighted(0.2));
    (base, ends, between, lost, machines).prop_map(|(base, ends, between, lost, machines)| {
        let mut facts = base();
        drop_last_route(&mut facts.bastion_end, lost.0);
        drop_last_route(&mut facts.target_end, lost.1);
        let (bastion_groups, target_groups, bastion_acl, target_acl, bastion_routes, target_routes) = ends;
        replace(&mut facts.bastion_end.groups, bastion_groups);
        replace(&mut facts.target_end.groups, target_groups);
        replace(&mut facts.bastion_end.acl, bastion_acl);
        replace(&mut facts.target_end.acl, target_acl);
        edit(&mut facts.bastion_end.routes).routes.extend(bastion_routes.into_iter().flatten());
        edit(&mut facts.target_end.routes).routes.extend(target_routes.into_iter().flatten());
        let (first, second, transit, lists, one_subnet) = between;
        facts.peerings.extend(first.map(|peering| ("pcx-1".to_owned(), Known::As(peering))));
        facts.peerings.insert("pcx-2".to_owned(), Known::As(second));
        facts.transits.extend(transit.map(|transit| ("tgw-1".to_owned(), Known::As(transit))));
        facts.prefix_lists = lists;
        if one_subnet {
            facts.bastion_end.subnet = facts.target_end.subnet.clone();
        }
        let (stopped, moved, addressless) = machines;
        if stopped {
            edit(&mut facts.instance).state = "stopped".to_owned();
        }
        if moved {
            edit(&mut facts.instance).addresses = vec![address("10.0.1.99")];
        }
        if addressless && facts.target.private_ip.is_ipv6() {
            edit(&mut facts.bastion).addresses = vec![address("10.0.0.5")];
        }
        facts
    })
}

/// The route to the other VPC, or the local one.
fn drop_last_route(end: &mut NetworkEnd, dropped: bool) {
    if dropped {
        edit(&mut end.routes).routes.pop();
    }
}

fn replace<T>(known: &mut Known<T>, other: Option<T>) {
    if let Some(other) = other {
        *known = Known::As(other);
    }
}

fn fate(verdict: Verdict) -> Fate {
    match verdict {
        Verdict::Sound => Fate::Arrives,
        Verdict::Broken => Fate::Lost,
        Verdict::Unknown => Fate::Unclear,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_evaluations_agree(facts in any_network()) {
        let diagnosis = diagnose(&facts, None);
        prop_assert_eq!(fate(diagnosis.arrives()), connects(&facts), "{:#?}", diagnosis.checks);
    }

    #[test]
    fn hiding_a_fact_never_turns_a_verdict_round(facts in any_network(), hidden in any::<u32>()) {
        let whole = diagnose(&facts, None);
        let mut less = facts;
        hide(&mut less, hidden);
        let partly = diagnose(&less, None);
        for (one, other) in whole.checks.iter().zip(&partly.checks) {
            prop_assert_eq!(one.subject, other.subject);
            let turned = (one.verdict, other.verdict);
            prop_assert!(!is_turned(turned), "{:?}: {:?} and {:?}", one.subject, one, other);
        }
        prop_assert!(!is_turned((whole.arrives(), partly.arrives())));
    }
}

fn is_turned(verdicts: (Verdict, Verdict)) -> bool {
    matches!(verdicts, (Verdict::Sound, Verdict::Broken) | (Verdict::Broken, Verdict::Sound))
}

/// Takes away one fact for each bit that is set.
fn hide(facts: &mut Facts, bits: u32) {
    let bit = |number: u32| bits >> number & 1 == 1;
    let gap = || Gap::new("ec2:Describe", GapReason::Denied);
    for (number, end) in [(0, &mut facts.bastion_end), (6, &mut facts.target_end)] {
        hide_if(&mut end.vpc, bit(number), gap());
        hide_if(&mut end.subnet, bit(number + 1), gap());
        hide_if(&mut end.vpc_ranges, bit(number + 2), gap());
        hide_if(&mut end.groups, bit(number + 3), gap());
        hide_if(&mut end.acl, bit(number + 4), gap());
        hide_if(&mut end.routes, bit(number + 5), gap());
    }
    hide_if(&mut facts.instance, bit(12), gap());
    hide_if(&mut facts.status, bit(13), gap());
    hide_if(&mut facts.image, bit(14), gap());
    hide_if(&mut facts.bastion, bit(15), gap());
    hide_if(&mut facts.clock_ahead, bit(16), gap());
    for (number, list) in (17..).zip(facts.prefix_lists.values_mut()) {
        hide_if(list, bit(number), gap());
    }
    for (number, peering) in (20..).zip(facts.peerings.values_mut()) {
        hide_if(peering, bit(number), gap());
    }
    for (number, transit) in (24..).zip(facts.transits.values_mut()) {
        hide_if(transit, bit(number), gap());
    }
}

fn hide_if<T>(known: &mut Known<T>, hidden: bool, gap: Gap) {
    if hidden {
        *known = Known::Not(gap);
    }
}

/// The agreement above means something only where networks of each kind come often.
#[test]
fn every_outcome_comes_often() {
    let mut runner = TestRunner::deterministic();
    let strategy = any_network();
    let mut fates = [0_u32; 3];
    let mut broken: BTreeMap<Subject, u32> = BTreeMap::new();
    for _ in 0..1_000 {
        let facts = strategy.new_tree(&mut runner).expect("a network").current();
        let diagnosis = diagnose(&facts, None);
        fates[diagnosis.arrives() as usize] += 1;
        let found = diagnosis.checks.iter().filter(|check| check.verdict == Verdict::Broken);
        found.for_each(|check| *broken.entry(check.subject).or_default() += 1);
    }
    assert!(fates.iter().all(|count| *count >= 100), "{fates:?}");
    for subject in Subject::ALL.into_iter().filter(|subject| subject.is_network()) {
        assert!(broken.get(&subject).is_some_and(|count| *count >= 10), "{subject:?} {broken:?}");
    }
}
