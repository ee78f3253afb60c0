//! Security groups: rules only permit, any that matches lets a connection through, and its answers with it.

use std::net::IpAddr;

use super::case::{Case, Doubt, End, alone};
use super::route::{self, Lead, Way};
use crate::diagnose::facts::{Direction, Group, Grouped, Known, Peer, Protocol, RouteVia, Rule};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;
use crate::diagnose::words;

/// Groups that are named in a sentence.
const NAMED_MAX: usize = 5;

/// Does a group of the bastion let it out?
pub(super) fn bastion(case: &Case<'_>) -> Option<Check> {
    Some(check(case, Subject::BastionGroup, End::Bastion, Direction::Out))
}

/// Does a group of the target let it in?
pub(super) fn target(case: &Case<'_>) -> Option<Check> {
    Some(check(case, Subject::TargetGroup, End::Target, Direction::In))
}

fn check(case: &Case<'_>, subject: Subject, end: End, direction: Direction) -> Check {
    let groups = match &case.end(end).groups {
        Known::As(groups) if groups.is_empty() => {
            let doubt =
                Doubt::Said("AWS names no security group at the interface, which always has one.".to_owned());
            return case.doubt(subject, &doubt);
        }
        Known::As(groups) => groups,
        Known::Not(gap) => return case.doubt(subject, &Doubt::Gap(gap, end)),
    };
    let question = Question { case, end, direction };
    match question.answer(groups) {
        Answer::Permitted(group, rule) => Check::sound(subject, question.permitted(group, rule)),
        Answer::Doubtful(doubt) => case.doubt(subject, &doubt),
        Answer::NotPermitted => {
            Check::broken(subject, question.not_permitted(groups), question.missing_rule(groups))
        }
    }
}

/// Do the groups of this end let the connection through in this direction?
struct Question<'c, 'a> {
    case: &'c Case<'a>,
    end: End,
    direction: Direction,
}

enum Answer<'a> {
    Permitted(&'a Group, &'a Rule),
    Doubtful(Doubt<'a>),
    NotPermitted,
}

impl<'a> Question<'_, 'a> {
    fn answer(&self, groups: &'a [Group]) -> Answer<'a> {
        let mut doubt = None;
        for (group, rule) in self.rules(groups).filter(|(_, rule)| self.is_about_port(rule)) {
            match self.is_other_side(&rule.peer) {
                Ok(true) => return Answer::Permitted(group, rule),
                Ok(false) => {}
                Err(why) => doubt = doubt.or(Some(why)),
            }
        }
        doubt.map_or(Answer::NotPermitted, Answer::Doubtful)
    }

    fn rules(&self, groups: &'a [Group]) -> impl Iterator<Item = (&'a Group, &'a Rule)> + use<'a> {
        let direction = self.direction;
        let all = groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
        all.filter(move |(_, rule)| rule.direction == direction)
    }

    fn is_about_port(&self, rule: &Rule) -> bool {
        rule.protocol == Protocol::All || (is_tcp(rule.protocol) && rule.ports.contains(self.case.port))
    }

    /// Whether the machine at the other end is whom a rule means.
    fn is_other_side(&self, peer: &'a Peer) -> Result<bool, Doubt<'a>> {
        let other = self.end.other();
        match peer {
            Peer::Network(network) if self.case.is_everything(network) => Ok(true),
            Peer::Network(network) if network.addr().is_ipv4() != self.case.to.is_ipv4() => Ok(false),
            Peer::Network(network) => Ok(network.contains(&self.case.address(other)?)),
            Peer::PrefixList(list) => Ok(self.case.lists(other).longest(list, self.end)?.is_some()),
            Peer::Group(grouped) => self.is_member(grouped, other),
        }
    }

    /// A group counts inside one VPC, and over an active peering connection in one region.
    fn is_member(&self, grouped: &'a Grouped, other: End) -> Result<bool, Doubt<'a>> {
        let groups = match &self.case.end(other).groups {
            Known::As(groups) if groups.is_empty() => {
                return Err(Doubt::Said("AWS names no security group at the other end.".to_owned()));
            }
            Known::As(groups) => groups,
            Known::Not(gap) => return Err(Doubt::Gap(gap, other)),
        };
        if groups.iter().all(|group| group.id != grouped.group) {
            return Ok(false);
        }
        if self.case.same_vpc()? {
            return Ok(true);
        }
        self.counts_between_vpcs(grouped)
    }

    fn counts_between_vpcs(&self, grouped: &Grouped) -> Result<bool, Doubt<'a>> {
        let group = words::foreign(&grouped.group);
        if let Way::By(_, route, Lead::There) = route::way(self.case, End::Bastion)?
            && let RouteVia::Peering(id) = &route.via
            && grouped.peering.as_ref().is_none_or(|named| named == id)
        {
            return Ok(route::peering(self.case, id, End::Bastion)?.same_region);
        }
        Err(Doubt::Said(format!(
            "a rule names {group}, which is in another VPC; whether it counts depends on how the two are joined."
        )))
    }

    fn permitted(&self, group: &Group, rule: &Rule) -> String {
        let (ports, way) = (ports(rule), self.way());
        format!(
            "{} of {} lets {ports} {way} {}.",
            words::foreign(&rule.id),
            group_name(group),
            peer(&rule.peer)
        )
    }

    /// That no rule permits, and the one that comes closest.
    fn not_permitted(&self, groups: &'a [Group]) -> String {
        let (port, other) = (self.case.port, self.other_side());
        let which = match self.direction {
            Direction::In => "inbound",
            Direction::Out => "outbound",
        };
        let said = format!("No {which} rule of {} lets TCP {port} {} {other}.", names(groups), self.way());
        let right_port = self.rules(groups).find(|(_, rule)| self.is_about_port(rule));
        let right_peer = || self.rules(groups).find(|(_, rule)| self.is_other_side(&rule.peer) == Ok(true));
        match right_port.or_else(right_peer) {
            Some((_, rule)) => {
                let (id, peer) = (words::foreign(&rule.id), peer(&rule.peer));
                format!("{said} The closest, {id}, is for {} {} {peer}.", ports(rule), self.way())
            }
            None => said,
        }
    }

    /// Which rule to add.
    fn missing_rule(&self, groups: &[Group]) -> String {
        let group = groups.first().map(|group| words::foreign(&group.id)).unwrap_or_default();
        let (port, peer) = (self.case.port, self.missing_peer());
        match self.direction {
            Direction::In => format!("Add an inbound rule to {group}: TCP {port} from {peer}."),
            Direction::Out => format!("Add an outbound rule to {group}: TCP {port} to {peer}."),
        }
    }

    /// Whom the missing rule should name: a group where that counts, or an address.
    fn missing_peer(&self) -> String {
        let other = self.end.other();
        let address = self.case.address(other).map(alone);
        let groups = self.case.end(other).groups.get();
        let group = groups.and_then(|groups| groups.first()).map(|group| words::foreign(&group.id));
        match (group.filter(|_| self.case.same_vpc() == Ok(true)), address) {
            (Some(group), Ok(address)) => format!("{group} (or {address})"),
            (Some(group), Err(_)) => group,
            (None, Ok(address)) => address,
            (None, Err(_)) => "the bastion's address".to_owned(),
        }
    }

    fn other_side(&self) -> String {
        let address = self.case.address(self.end.other()).as_ref().map(IpAddr::to_string).ok();
        match (self.end, address) {
            (End::Target, Some(address)) => format!("the bastion ({address})"),
            (End::Target, None) => "anywhere".to_owned(),
            (End::Bastion, Some(address)) => address,
            (End::Bastion, None) => "the instance".to_owned(),
        }
    }

    fn way(&self) -> &'static str {
        match self.direction {
            Direction::In => "in from",
            Direction::Out => "out to",
        }
    }
}

/// Whether rules for this protocol are about TCP.
pub(super) fn is_tcp(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Other(6))
}

fn ports(rule: &Rule) -> String {
    match rule.protocol {
        Protocol::All => "everything".to_owned(),
        Protocol::Tcp | Protocol::Other(6) => format!("TCP {}", rule.ports.text()),
        Protocol::Other(number) => format!("protocol {number}"),
    }
}

fn peer(peer: &Peer) -> String {
    match peer {
        Peer::Network(network) => network.to_string(),
        Peer::PrefixList(list) => words::foreign(list),
        Peer::Group(grouped) => words::foreign(&grouped.group),
    }
}

fn group_name(group: &Group) -> String {
    let (id, name) = (words::foreign(&group.id), words::foreign(&group.name));
    if name.is_empty() { id } else { format!("{id} ({name})") }
}

fn names(groups: &[Group]) -> String {
    let named: Vec<_> = groups.iter().take(NAMED_MAX).map(group_name).collect();
    let more = groups.len().saturating_sub(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}
