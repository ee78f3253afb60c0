//! A second evaluation, written another way: it sends packets.
//!
//! Addresses are plain numbers; prefix lists and groups are unfolded into addresses before anything is compared; ACLs are walked
//! entry by entry for every single port that could make a difference; routes are sought from the longest prefix
//! downwards. It shares the facts with the first one and none of its code.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnose::{
    Acl, Direction, Facts, Known, NetworkEnd, Peer, Peering, Protocol, Route, RouteTable, RouteVia, Rule,
};

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Unclear,
    Arrives,
}

/// Whether a connection to the target's port comes about.
pub(super) fn connects(facts: &Facts) -> Fate {
    let (Known::As(instance), Known::As(bastion)) = (&facts.instance, &facts.bastion) else {
        return Fate::Unclear;
    };
    let to = facts.target.private_ip;
    if instance.state != "running" || !instance.addresses.contains(&to) {
        return Fate::Lost;
    }
    let Some(from) = bastion.addresses.iter().find(|address| address.is_ipv6() == to.is_ipv6()) else {
        return Fate::Lost;
    };
    let mut world = World { facts, to, seen_from: Side::At(*from) };
    if world.is_rewritten() {
        world.seen_from = Side::Somewhere { is_ipv4: to.is_ipv4() };
    }
    let request = [world.leaves_group(), world.request(), world.enters_group()];
    let answers = world.ports_of_answers().into_iter().map(|port| world.answer(port));
    worst(request.into_iter().chain(answers))
}

struct World<'a> {
    facts: &'a Facts,
    to: IpAddr,
    /// Where packets come from, as the target sees it.
    seen_from: Side,
}

/// The other side of a packet: its address, or nothing but the family where something on the way may have changed it.
#[derive(Clone, Copy)]
enum Side {
    At(IpAddr),
    Somewhere { is_ipv4: bool },
}

impl Side {
    fn is_inside(self, network: &IpNet) -> Option<bool> {
        match self {
            Self::At(address) => Some(inside(network, address)),
            Self::Somewhere { is_ipv4 } if network.addr().is_ipv4() != is_ipv4 => Some(false),
            Self::Somewhere { .. } => (network.prefix_len() == 0).then_some(true),
        }
    }
}

impl World<'_> {
    fn same_vpc(&self) -> bool {
        self.facts.bastion_end.vpc.get() == self.facts.target_end.vpc.get()
    }

    fn leaves_subnet(&self) -> bool {
        !self.same_vpc() || self.facts.bastion_end.subnet.get() != self.facts.target_end.subnet.get()
    }

    /// The request, from the edge of the bastion's subnet to that of the target's.
    fn request(&self) -> Fate {
        if !self.leaves_subnet() {
            return Fate::Arrives;
        }
        let port = self.facts.target.port;
        worst([
            crosses(&self.facts.bastion_end, Direction::Out, Side::At(self.to), port),
            self.travels(&self.facts.bastion_end, &self.facts.target_end, self.to).0,
            crosses(&self.facts.target_end, Direction::In, self.seen_from, port),
        ])
    }

    /// An answer to one port of the bastion.
    fn answer(&self, port: u16) -> Fate {
        if !self.leaves_subnet() {
            return Fate::Arrives;
        }
        let back = match self.seen_from {
            Side::At(from) => self.travels(&self.facts.target_end, &self.facts.bastion_end, from).0,
            Side::Somewhere { .. } => Fate::Unclear,
        };
        worst([
            crosses(&self.facts.target_end, Direction::Out, self.seen_from, port),
            back,
            crosses(&self.facts.bastion_end, Direction::In, Side::At(self.to), port),
        ])
    }

    /// Whether the request passes something that may put its own address into it.
    fn is_rewritten(&self) -> bool {
        if !self.leaves_subnet() {
            return false;
        }
        let Known::As(table) = &self.facts.bastion_end.routes else { return false };
        let best = self.best_routes(table, self.to).unwrap_or_default();
        match best.first() {
            Some(Route { via: RouteVia::Other(id), active: true, .. }) => {
                !["igw-", "eigw-"].iter().any(|kind| id.starts_with(kind))
            }
            Some(_) | None => false,
        }
    }

    /// Ports at which some entry begins or ends, and the ends of the range from which Linux dials.
    fn ports_of_answers(&self) -> Vec<u16> {
        let ends = [&self.facts.bastion_end, &self.facts.target_end];
        let entries = ends.into_iter().filter_map(|end| end.acl.get()).flat_map(|acl| &acl.entries);
        let edges = entries.flat_map(|entry| {
            let (from, to) = (entry.ports.from, entry.ports.to);
            [from.saturating_sub(1), from, to, to.saturating_add(1)]
        });
        let mut ports: Vec<u16> =
            edges.chain([32_768, 60_999]).filter(|port| (32_768..=60_999).contains(port)).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Where the best route leads, and the peering connection by which.
    fn travels(
        &self,
        here: &NetworkEnd,
        there: &NetworkEnd,
        towards: IpAddr,
    ) -> (Fate, Option<(String, Peering)>) {
        let Known::As(table) = &here.routes else { return (Fate::Unclear, None) };
        let Some(routes) = self.best_routes(table, towards) else { return (Fate::Unclear, None) };
        let Some(route) = routes.first() else {
            return (if self.same_vpc() { Fate::Unclear } else { Fate::Lost }, None);
        };
        if !route.active {
            return (Fate::Lost, None);
        }
        let (Known::As(own), Known::As(far)) = (&here.vpc, &there.vpc) else { return (Fate::Unclear, None) };
        match (&route.via, own == far) {
            (RouteVia::Local, true) => (Fate::Arrives, None),
            (RouteVia::Local, false) => (Fate::Lost, None),
            (_, true) => (Fate::Unclear, None),
            (RouteVia::Peering(id), false) => self.over_peering(id, own, far),
            (RouteVia::TransitGateway(id), false) => (self.over_transit(id, own, far), None),
            (RouteVia::Other(id), false) => {
                let private = match towards {
                    IpAddr::V4(_) => true,
                    IpAddr::V6(address) => address.octets()[0] & 0xfe == 0xfc,
                };
                let internet = id.starts_with("igw-") || id.starts_with("eigw-");
                (if internet && private { Fate::Lost } else { Fate::Unclear }, None)
            }
        }
    }

    fn over_peering(&self, id: &str, own: &str, far: &str) -> (Fate, Option<(String, Peering)>) {
        let Some(Known::As(peering)) = self.facts.peerings.get(id) else { return (Fate::Unclear, None) };
        let ends = [peering.requester_vpc.as_str(), peering.accepter_vpc.as_str()];
        let Some(own_end) = ends.iter().position(|vpc| *vpc == own) else { return (Fate::Unclear, None) };
        if ends[1 - own_end] != far || peering.state != "active" {
            return (Fate::Lost, None);
        }
        (Fate::Arrives, Some((id.to_owned(), peering.clone())))
    }

    fn over_transit(&self, id: &str, own: &str, far: &str) -> Fate {
        let Some(Known::As(transit)) = self.facts.transits.get(id) else { return Fate::Unclear };
        // Where an attachment is missing, another gateway or another account's attachment may lead on.
        let works = |vpc: &&str| match transit.attachments.get(*vpc).map(String::as_str) {
            None | Some("available" | "modifying" | "rollingBack" | "deleting" | "deleted") => true,
            Some(_) => false,
        };
        if [own, far].iter().all(works) { Fate::Unclear } else { Fate::Lost }
    }

    /// The routes of the longest prefix that fits; nothing where several differ or a list is not known that might
    /// fit better.
    fn best_routes<'r>(&self, table: &'r RouteTable, towards: IpAddr) -> Option<Vec<&'r Route>> {
        let same = |routes: &[&Route]| {
            routes.iter().all(|route| (&route.via, route.active) == (&routes[0].via, routes[0].active))
        };
        let mut hidden: Vec<&Route> = Vec::new();
        for route in &table.routes {
            if let Err(list) = &route.to
                && !matches!(self.facts.prefix_lists.get(list), Some(Known::As(_)))
            {
                hidden.push(route);
            }
        }
        for length in (0..=bits(towards)).rev() {
            let fits = |network: &IpNet| network.prefix_len() == length && inside(network, towards);
            let plain: Vec<_> =
                table.routes.iter().filter(|route| route.to.as_ref().is_ok_and(fits)).collect();
            let listed = table.routes.iter().filter(|route| match &route.to {
                Err(list) => match self.facts.prefix_lists.get(list) {
                    Some(Known::As(networks)) => {
                        let longest = networks
                            .iter()
                            .filter(|network| inside(network, towards))
                            .map(IpNet::prefix_len)
                            .max();
                        longest == Some(length)
                    }
                    Some(Known::Not(_)) | None => false,
                },
                Ok(_) => false,
            });
            let found = if plain.is_empty() { listed.collect() } else { plain };
            if !found.is_empty() {
                let rivals: Vec<_> = found.iter().chain(&hidden).copied().collect();
                return same(&rivals).then_some(found);
            }
        }
        hidden.is_empty().then(Vec::new)
    }

    fn leaves_group(&self) -> Fate {
        self.passes_groups(&self.facts.bastion_end, &self.facts.target_end, Direction::Out, Side::At(self.to))
    }

    fn enters_group(&self) -> Fate {
        self.passes_groups(&self.facts.target_end, &self.facts.bastion_end, Direction::In, self.seen_from)
    }

    fn passes_groups(
        &self,
        here: &NetworkEnd,
        there: &NetworkEnd,
        direction: Direction,
        other: Side,
    ) -> Fate {
        let Known::As(groups) = &here.groups else { return Fate::Unclear };
        if groups.is_empty() {
            return Fate::Unclear;
        }
        let rules = groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.direction == direction);
        let fates: Vec<_> = rules.map(|rule| self.rule(rule, there, other)).collect();
        [Fate::Arrives, Fate::Unclear].into_iter().find(|fate| fates.contains(fate)).unwrap_or(Fate::Lost)
    }

    /// What one rule does for the connection.
    fn rule(&self, rule: &Rule, there: &NetworkEnd, other: Side) -> Fate {
        let port = self.facts.target.port;
        let fits = match rule.protocol {
            Protocol::All => true,
            Protocol::Tcp | Protocol::Other(6) => rule.ports.from <= port && port <= rule.ports.to,
            Protocol::Other(_) => false,
        };
        if !fits {
            return Fate::Lost;
        }
        let means = |yes: bool| if yes { Fate::Arrives } else { Fate::Lost };
        match &rule.peer {
            Peer::Network(network) => other.is_inside(network).map_or(Fate::Unclear, means),
            Peer::PrefixList(list) => match (self.facts.prefix_lists.get(list), other) {
                (Some(Known::As(networks)), Side::At(other)) => {
                    means(networks.iter().any(|network| inside(network, other)))
                }
                (_, _) => Fate::Unclear,
            },
            Peer::Group(grouped) => {
                let members = match &there.groups {
                    Known::As(groups) if !groups.is_empty() => groups,
                    Known::As(_) | Known::Not(_) => return Fate::Unclear,
                };
                if !members.iter().any(|group| group.id == grouped.group) {
                    return Fate::Lost;
                }
                if self.same_vpc() {
                    return Fate::Arrives;
                }
                match self.travels(&self.facts.bastion_end, &self.facts.target_end, self.to).1 {
                    Some((id, peering)) if grouped.peering.as_ref().is_none_or(|named| *named == id) => {
                        means(peering.same_region)
                    }
                    Some(_) | None => Fate::Unclear,
                }
            }
        }
    }
}

/// Whether a packet crosses the edge of a subnet.
fn crosses(end: &NetworkEnd, direction: Direction, other: Side, port: u16) -> Fate {
    match &end.acl {
        Known::As(acl) if !acl.entries.is_empty() => walk(acl, direction, other, port),
        Known::As(_) | Known::Not(_) => Fate::Unclear,
    }
}

fn walk(acl: &Acl, direction: Direction, other: Side, port: u16) -> Fate {
    let mut number = 0;
    loop {
        let ahead = acl.entries.iter().filter(|entry| entry.direction == direction && entry.number >= number);
        let Some(next) = ahead.map(|entry| entry.number).min() else { return Fate::Lost };
        for entry in acl.entries.iter().filter(|entry| entry.direction == direction && entry.number == next) {
            let port_fits = match entry.protocol {
                Protocol::All => true,
                Protocol::Tcp | Protocol::Other(6) => entry.ports.from <= port && port <= entry.ports.to,
                Protocol::Other(_) => false,
            };
            if !port_fits {
                continue;
            }
            match other.is_inside(&entry.network) {
                Some(true) => return if entry.allows { Fate::Arrives } else { Fate::Lost },
                Some(false) => {}
                None => return Fate::Unclear,
            }
        }
        number = next + 1;
    }
}

fn worst(fates: impl IntoIterator<Item = Fate>) -> Fate {
    let fates: Vec<_> = fates.into_iter().collect();
    [Fate::Lost, Fate::Unclear].into_iter().find(|fate| fates.contains(fate)).unwrap_or(Fate::Arrives)
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// Whether the first bits are the same.
fn inside(network: &IpNet, address: IpAddr) -> bool {
    let rest = u32::from(bits(address) - network.prefix_len().min(bits(address)));
    let differing = number(network.addr()) ^ number(address);
    network.addr().is_ipv4() == address.is_ipv4() && differing.checked_shr(rest).unwrap_or(0) == 0
}
