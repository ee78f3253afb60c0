//! Facts made by hand: sound networks, and pieces to break them with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::SignedDuration;

use super::facts::{
    Acl, AclEntry, Bastion, Direction, Facts, Gap, GapReason, Group, Grouped, ImageFacts, InstanceFacts,
    Known, NetworkEnd, Peer, Peering, PortRange, Protocol, Route, RouteTable, RouteVia, Rule, Status,
    Transit,
};
use crate::domain::Target;
use crate::target::testing::target;

/// The bastion and `web-1` in two subnets of `vpc-1`; everything is as it should be.
pub(crate) fn one_vpc() -> Facts {
    facts("10.0.0.5", "10.0.1.10", "vpc-1", &["10.0.0.0/16"], &["10.0.0.0/16"])
}

/// The same with IPv6 addresses.
pub(crate) fn one_vpc_ipv6() -> Facts {
    facts("fd00:1::5", "fd00:1:1::10", "vpc-1", &["fd00:1::/32"], &["fd00:1::/32"])
}

/// The bastion in `vpc-hub`, 10.9.0.0/16, and `web-1` in `vpc-1`, joined by `pcx-1` in one region.
pub(crate) fn two_vpcs() -> Facts {
    let mut facts = facts("10.9.0.5", "10.0.1.10", "vpc-hub", &["10.9.0.0/16"], &["10.0.0.0/16"]);
    join(&mut facts, &RouteVia::Peering("pcx-1".to_owned()));
    facts.peerings.insert("pcx-1".to_owned(), Known::As(peering("active")));
    facts
}

/// The same, joined by `tgw-1`.
pub(crate) fn transit() -> Facts {
    let mut facts = facts("10.9.0.5", "10.0.1.10", "vpc-hub", &["10.9.0.0/16"], &["10.0.0.0/16"]);
    join(&mut facts, &RouteVia::TransitGateway("tgw-1".to_owned()));
    let attachments = ["vpc-hub", "vpc-1"].map(|vpc| (vpc.to_owned(), "available".to_owned())).into();
    facts.transits.insert("tgw-1".to_owned(), Known::As(Transit { attachments }));
    facts
}

/// A peering connection between `vpc-hub` and `vpc-1`.
pub(crate) fn peering(state: &str) -> Peering {
    Peering {
        state: state.to_owned(),
        requester_vpc: "vpc-hub".to_owned(),
        accepter_vpc: "vpc-1".to_owned(),
        same_region: true,
    }
}

fn join(facts: &mut Facts, via: &RouteVia) {
    edit(&mut facts.bastion_end.routes).routes.push(route("10.0.0.0/16", via.clone()));
    edit(&mut facts.target_end.routes).routes.push(route("10.9.0.0/16", via.clone()));
}

fn facts(from: &str, to: &str, bastion_vpc: &str, bastion_ranges: &[&str], target_ranges: &[&str]) -> Facts {
    let target = Target {
        private_ip: address(to),
        vpc: "vpc-1".to_owned(),
        subnet: "subnet-t".to_owned(),
        ..target("web-1", 10)
    };
    let bastion = Bastion {
        id: "i-0000000000000b0b0".to_owned(),
        account: target.account.clone(),
        region: target.region.clone(),
        addresses: vec![address(from)],
    };
    let everywhere = if target.private_ip.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
    Facts {
        asked_at: Some("2026-11-22T12:00:00Z".parse().expect("a moment")),
        instance: Known::As(instance(&target)),
        status: Known::As(Status { system: "ok".to_owned(), instance: "ok".to_owned(), ..Status::default() }),
        image: Known::As(ImageFacts {
            name: "al2023-ami-2023.9.20251117.1-kernel-6.12-x86_64".to_owned(),
            owner_alias: "amazon".to_owned(),
            platform: String::new(),
        }),
        bastion: Known::As(bastion),
        target_end: end("t", "vpc-1", target_ranges, Rule::inbound("sgr-t1", 22, group_peer("sg-b"))),
        bastion_end: end("b", bastion_vpc, bastion_ranges, Rule::everything_out("sgr-b1", everywhere)),
        prefix_lists: BTreeMap::new(),
        peerings: BTreeMap::new(),
        transits: BTreeMap::new(),
        clock_ahead: Known::As(SignedDuration::ZERO),
        target: Arc::new(target),
    }
}

fn instance(target: &Target) -> InstanceFacts {
    InstanceFacts {
        state: "running".to_owned(),
        state_reason: String::new(),
        launch_time: Some("2026-11-20T08:00:00Z".parse().expect("a moment")),
        addresses: vec![target.private_ip],
        platform: String::new(),
        metadata_enabled: true,
    }
}

fn end(name: &str, vpc: &str, ranges: &[&str], rule: Rule) -> NetworkEnd {
    let ranges: Vec<_> = ranges.iter().map(|range| network(range)).collect();
    let locals = ranges.iter().map(|range| route(&range.to_string(), RouteVia::Local)).collect();
    NetworkEnd {
        vpc: Known::As(vpc.to_owned()),
        subnet: Known::As(format!("subnet-{name}")),
        vpc_ranges: Known::As(ranges),
        groups: Known::As(vec![Group {
            id: format!("sg-{name}"),
            name: format!("group-{name}"),
            rules: vec![rule],
        }]),
        acl: Known::As(open_acl(&format!("acl-{name}"))),
        routes: Known::As(RouteTable { id: format!("rtb-{name}"), is_main: true, routes: locals }),
    }
}

/// An ACL as AWS makes it: everything is allowed, and what is not is refused.
pub(crate) fn open_acl(id: &str) -> Acl {
    let both = [Direction::In, Direction::Out];
    let all = |number, direction, range: &str, allows| AclEntry {
        ports: PortRange::ALL,
        protocol: Protocol::All,
        ..entry(number, direction, range, 0, 0, allows)
    };
    let entries = both.into_iter().flat_map(|direction| {
        [
            all(100, direction, "0.0.0.0/0", true),
            all(101, direction, "::/0", true),
            all(32_767, direction, "0.0.0.0/0", false),
            all(32_768, direction, "::/0", false),
        ]
    });
    Acl { id: id.to_owned(), entries: entries.collect() }
}

/// An entry for TCP.
pub(crate) fn entry(
    number: u32,
    direction: Direction,
    range: &str,
    from: u16,
    to: u16,
    allows: bool,
) -> AclEntry {
    let ports = PortRange { from, to };
    AclEntry { number, direction, protocol: Protocol::Tcp, ports, network: network(range), allows }
}

/// An active route.
pub(crate) fn route(to: &str, via: RouteVia) -> Route {
    let to = if to.starts_with("pl-") { Err(to.to_owned()) } else { Ok(network(to)) };
    Route { to, via, active: true }
}

/// A peer by its range.
pub(crate) fn range_peer(range: &str) -> Peer {
    Peer::Network(network(range))
}

/// A peer by its group.
pub(crate) fn group_peer(group: &str) -> Peer {
    Peer::Group(Grouped { group: group.to_owned(), peering: None })
}

impl Rule {
    /// Lets TCP to one port in.
    pub(crate) fn inbound(id: &str, port: u16, peer: Peer) -> Self {
        let ports = PortRange { from: port, to: port };
        Self { id: id.to_owned(), direction: Direction::In, protocol: Protocol::Tcp, ports, peer }
    }

    /// Lets TCP to one port out.
    pub(crate) fn outbound(id: &str, port: u16, peer: Peer) -> Self {
        Self { direction: Direction::Out, ..Self::inbound(id, port, peer) }
    }

    /// Lets everything out to this range.
    pub(crate) fn everything_out(id: &str, range: &str) -> Self {
        Self { protocol: Protocol::All, ports: PortRange::ALL, ..Self::outbound(id, 0, range_peer(range)) }
    }
}

/// What is known, to change it.
pub(crate) fn edit<T>(known: &mut Known<T>) -> &mut T {
    match known {
        Known::As(value) => value,
        Known::Not(gap) => panic!("it is known, not {gap:?}"),
    }
}

/// A call that IAM denies.
pub(crate) fn denied<T>(call: &str) -> Known<T> {
    Known::Not(Gap::new(call, GapReason::Denied))
}

pub(crate) fn network(text: &str) -> IpNet {
    text.parse().expect("a network")
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
