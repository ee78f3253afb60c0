//! What the rules and routes of one end name.

use std::collections::BTreeSet;

use crate::diagnose::{Direction, NetworkEnd, Peer, Protocol, RouteVia, Rule};

/// Prefix lists that are asked for in one survey; an interface's rules can hardly name more.
const LISTS_MAX: usize = 32;

/// Ids that the diagnosis needs to know more about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Prefix lists that could decide about the connection.
    pub(super) lists: BTreeSet<String>,
    /// Prefix lists that cannot: of rules about another direction, protocol or port.
    pub(super) other_lists: BTreeSet<String>,
    /// Prefix lists beyond what is asked for in one survey.
    pub(super) lists_left_out: BTreeSet<String>,
    pub(super) peerings: BTreeSet<String>,
    pub(super) transits: BTreeSet<String>,
}

impl Wanted {
    /// What one end names, for a connection that goes in this direction to this port.
    pub(super) fn by(end: &NetworkEnd, direction: Direction, port: u16) -> Self {
        let mut wanted = Self::default();
        for rule in end.groups.get().into_iter().flatten().flat_map(|group| &group.rules) {
            wanted.add_rule(rule, concerns(rule, direction, port));
        }
        for route in end.routes.get().into_iter().flat_map(|table| &table.routes) {
            if let Err(list) = &route.to {
                wanted.lists.insert(list.clone());
            }
            match &route.via {
                RouteVia::Peering(id) => drop(wanted.peerings.insert(id.clone())),
                RouteVia::TransitGateway(id) => drop(wanted.transits.insert(id.clone())),
                RouteVia::Local | RouteVia::Other(_) => {}
            }
        }
        wanted.lists_left_out = wanted.lists.iter().skip(LISTS_MAX).cloned().collect();
        wanted.lists.retain(|list| !wanted.lists_left_out.contains(list));
        wanted
    }

    fn add_rule(&mut self, rule: &Rule, concerns: bool) {
        match &rule.peer {
            Peer::PrefixList(list) if concerns => drop(self.lists.insert(list.clone())),
            Peer::PrefixList(list) => drop(self.other_lists.insert(list.clone())),
            Peer::Group(named) => self.peerings.extend(named.peering.clone()),
            Peer::Network(_) => {}
        }
    }

    /// Both together, for two ends in one place.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.lists.extend(other.lists);
        self.other_lists.extend(other.other_lists);
        self.lists_left_out.extend(other.lists_left_out);
        self.peerings.extend(other.peerings);
        self.transits.extend(other.transits);
        self
    }
}

fn concerns(rule: &Rule, direction: Direction, port: u16) -> bool {
    let speaks_tcp = match rule.protocol {
        Protocol::All => true,
        Protocol::Tcp => rule.ports.contains(port),
        Protocol::Other(_) => false,
    };
    rule.direction == direction && speaks_tcp
}
