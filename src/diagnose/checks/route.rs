//! Routes: the longest prefix decides, at each end for itself.

use std::net::IpAddr;

use super::case::{Case, Doubt, End};
use super::lists::Lists;
use crate::diagnose::facts::{Known, Peering, Route, RouteTable, RouteVia, Transit};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;
use crate::diagnose::words;

/// How packets leave one end for the other.
pub(super) enum Way<'a> {
    /// Both are in one subnet: no route is asked.
    Direct,
    /// By this route.
    By(&'a RouteTable, &'a Route, Lead),
    /// No route of this table covers the address.
    Nowhere(&'a RouteTable),
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lead {
    /// To the other machine's VPC.
    There,
    /// Not there: why, and what to change.
    Astray(String, String),
    /// It cannot be told: a sentence.
    Unseen(String),
}

pub(super) fn there(case: &Case<'_>) -> Option<Check> {
    Some(check(case, Subject::RouteThere, End::Bastion))
}

pub(super) fn back(case: &Case<'_>) -> Option<Check> {
    Some(check(case, Subject::RouteBack, End::Target))
}

fn check(case: &Case<'_>, subject: Subject, end: End) -> Check {
    let away = match case.address(end.other()) {
        Ok(address) => address.to_string(),
        Err(doubt) => return case.doubt(subject, &doubt),
    };
    match way(case, end) {
        Err(doubt) => case.doubt(subject, &doubt),
        Ok(Way::Direct) => Check::sound(subject, "Both are in one subnet, inside which no route is needed."),
        Ok(Way::By(table, route, Lead::There)) => {
            Check::sound(subject, format!("The {} leads to {away}.", named(route, table)))
        }
        Ok(Way::By(_, _, Lead::Astray(finding, change))) => Check::broken(subject, finding, change),
        Ok(Way::By(_, _, Lead::Unseen(said))) => Check::unknown(subject, format!("Could not check: {said}")),
        Ok(Way::Nowhere(table)) => Check::broken(
            subject,
            format!("No route in {} leads to {away}.", table_name(table)),
            format!(
                "Add a route to {} to {}.",
                range_of(case, end.other(), &away),
                words::foreign(&table.id)
            ),
        ),
    }
}

/// The way from this end to the other.
pub(super) fn way<'a>(case: &Case<'a>, end: End) -> Result<Way<'a>, Doubt<'a>> {
    let same_subnet = case.same_subnet();
    if same_subnet == Ok(true) {
        return Ok(Way::Direct);
    }
    let same_vpc = case.same_vpc()?;
    same_subnet?;
    let away = case.address(end.other())?;
    let table = match &case.end(end).routes {
        Known::As(table) => table,
        Known::Not(gap) => return Err(Doubt::Gap(gap, end)),
    };
    match best(table, away, end, case.lists(end.other()))? {
        Some(route) => Ok(Way::By(table, route, lead(case, end, table, route)?)),
        None if same_vpc => Err(Doubt::Said(format!(
            "{} has not even the local route of its VPC, so AWS's answer is not whole.",
            words::foreign(&table.id)
        ))),
        None => Ok(Way::Nowhere(table)),
    }
}

/// The route with the longest prefix; a range wins over a prefix list of the same length.
fn best<'a>(
    table: &'a RouteTable,
    away: IpAddr,
    end: End,
    lists: &Lists<'a>,
) -> Result<Option<&'a Route>, Doubt<'a>> {
    let mut covering = Vec::new();
    let mut doubtful = Vec::new();
    for route in &table.routes {
        match rank(route, away, end, lists) {
            Ok(Some(rank)) => covering.push((rank, route)),
            Ok(None) => {}
            Err(doubt) => doubtful.push((doubt, route)),
        }
    }
    let top = covering.iter().map(|(rank, _)| *rank).max();
    let leaders = || covering.iter().filter(|(rank, _)| Some(*rank) == top).map(|(_, route)| *route);
    let leader = leaders().next();
    if leaders().any(|route| leader.is_some_and(|leader| !alike(leader, route))) {
        let table = words::foreign(&table.id);
        return Err(Doubt::Said(format!(
            "two routes of {table} cover {away} alike and lead to different places."
        )));
    }
    let rival = doubtful.into_iter().find(|(_, route)| leader.is_none_or(|leader| !alike(leader, route)));
    match rival {
        Some((doubt, _)) => Err(doubt),
        None => Ok(leader),
    }
}

/// How closely a route fits, and nothing where it does not cover the address.
fn rank<'a>(
    route: &Route,
    away: IpAddr,
    end: End,
    lists: &Lists<'a>,
) -> Result<Option<(u8, bool)>, Doubt<'a>> {
    match &route.to {
        Ok(network) => Ok(network.contains(&away).then(|| (network.prefix_len(), true))),
        Err(list) => Ok(lists.longest(list, end)?.map(|length| (length, false))),
    }
}

/// Whether it makes no difference which of the two is taken.
fn alike(one: &Route, other: &Route) -> bool {
    one.via == other.via && one.active == other.active
}

fn lead<'a>(case: &Case<'a>, end: End, table: &RouteTable, route: &Route) -> Result<Lead, Doubt<'a>> {
    let name = named(route, table);
    if !route.active {
        return Ok(Lead::Astray(
            format!("The {name} is a blackhole: what it leads to does not exist any more."),
            format!("Let the {name} lead to something that exists, or remove it."),
        ));
    }
    if case.same_vpc()? {
        return Ok(match &route.via {
            RouteVia::Local => Lead::There,
            RouteVia::Peering(_) | RouteVia::TransitGateway(_) | RouteVia::Other(_) => Lead::Unseen(format!(
                "the {name} leads out of the VPC in which both are; what is there is not seen."
            )),
        });
    }
    let (own, far) = (case.vpc(end)?, case.vpc(end.other())?);
    Ok(match &route.via {
        RouteVia::Local => Lead::Astray(
            format!("The {name} keeps the packets in {own}, whose ranges cover an address of {far}."),
            format!(
                "Ranges of {own} and {far} overlap; use an address of the instance that is outside of {own}'s."
            ),
        ),
        RouteVia::Peering(id) => across_peering(id, peering(case, id, end)?, own, far),
        RouteVia::TransitGateway(id) => across_transit(id, transit(case, id, end)?, own, far),
        RouteVia::Other(id) => elsewhere(case.address(end.other())?, &name, id),
    })
}

/// The peering connection of this name.
pub(super) fn peering<'a>(case: &Case<'a>, id: &str, end: End) -> Result<&'a Peering, Doubt<'a>> {
    match case.facts.peerings.get(id) {
        Some(Known::As(peering)) => Ok(peering),
        Some(Known::Not(gap)) => Err(Doubt::Gap(gap, end)),
        None => Err(Doubt::Absent(id.to_owned(), "ec2:DescribeVpcPeeringConnections")),
    }
}

/// The transit gateway of this name.
pub(super) fn transit<'a>(case: &Case<'a>, id: &str, end: End) -> Result<&'a Transit, Doubt<'a>> {
    match case.facts.transits.get(id) {
        Some(Known::As(transit)) => Ok(transit),
        Some(Known::Not(gap)) => Err(Doubt::Gap(gap, end)),
        None => Err(Doubt::Absent(id.to_owned(), "ec2:DescribeTransitGatewayAttachments")),
    }
}

fn across_peering(id: &str, peering: &Peering, own: &str, far: &str) -> Lead {
    let id = words::foreign(id);
    let names = |vpc: &str| peering.requester_vpc == vpc || peering.accepter_vpc == vpc;
    if !names(own) {
        return Lead::Unseen(format!(
            "a route leads to {id}, which AWS says does not join {own} to anything."
        ));
    }
    if !peering.joins(own, far) {
        return Lead::Astray(
            format!(
                "The route leads to {id}, which does not join {own} to {far}; peering does not lead on from there."
            ),
            format!(
                "Let the route lead to a peering connection or transit gateway that joins {own} and {far}."
            ),
        );
    }
    if !peering.is_active() {
        let state = words::foreign(&peering.state);
        return Lead::Astray(
            format!("The route leads to {id}, which is not active but \"{state}\"."),
            peering.mend(&id, own, far),
        );
    }
    Lead::There
}

/// States in which an attachment works, or another one may have taken its place.
const MAY_WORK: [&str; 5] = ["available", "modifying", "rollingBack", "deleting", "deleted"];

/// A VPC that is not attached may be behind another transit gateway that is peered with this one, or be shared by an
/// account whose attachments are not visible; so only an attachment that does not work says something for certain.
fn across_transit(id: &str, transit: &Transit, own: &str, far: &str) -> Lead {
    let id = words::foreign(id);
    let attachment = |vpc: &str| transit.attachments.get(vpc).map(String::as_str);
    for vpc in [own, far] {
        let state = attachment(vpc).filter(|state| !MAY_WORK.contains(state));
        if let Some(state) = state {
            let state = words::foreign(state);
            return Lead::Astray(
                format!("The route leads to {id}, to which the attachment of {vpc} is \"{state}\"."),
                format!("Bring the attachment of {vpc} to {id} into the state \"available\"."),
            );
        }
    }
    Lead::Unseen(match [own, far].into_iter().find(|vpc| attachment(vpc) != Some("available")) {
        Some(vpc) => format!(
            "a route leads to {id}, and no attachment of {vpc} to it is seen that works; whether another transit \
             gateway, or an attachment of another account, leads on is not looked at."
        ),
        None => format!(
            "both VPCs are attached to {id}; the route tables of the transit gateway itself are not looked at."
        ),
    })
}

/// Internet gateways lead to no private address; what other devices do with a packet is theirs to know.
fn elsewhere(away: IpAddr, name: &str, id: &str) -> Lead {
    let device = words::foreign(id);
    let out = id.starts_with("igw-") || id.starts_with("eigw-");
    let private = match away {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.is_unique_local(),
    };
    if out && private {
        return Lead::Astray(
            format!(
                "The {name}, the best there is, leads to the internet ({device}), where private addresses are not."
            ),
            "Join the two VPCs (peering or transit gateway) and add a route to it.".to_owned(),
        );
    }
    Lead::Unseen(format!("the {name} leads through {device}; what is behind it is not seen."))
}

impl Peering {
    /// Whether these are the two VPCs.
    pub(super) fn joins(&self, one: &str, other: &str) -> bool {
        let (requester, accepter) = (self.requester_vpc.as_str(), self.accepter_vpc.as_str());
        (requester, accepter) == (one, other) || (requester, accepter) == (other, one)
    }

    pub(super) fn is_active(&self) -> bool {
        self.state == "active"
    }

    /// What to do about one that is not active.
    pub(super) fn mend(&self, id: &str, one: &str, other: &str) -> String {
        match self.state.as_str() {
            "pending-acceptance" => {
                format!("Accept {id} as the owner of {}.", words::foreign(&self.accepter_vpc))
            }
            "initiating-request" | "provisioning" => format!("Wait until {id} is active."),
            _ => {
                format!("Make a peering connection between {one} and {other}, and let the routes lead to it.")
            }
        }
    }
}

/// `route to 10.0.0.0/16 in rtb-1`.
fn named(route: &Route, table: &RouteTable) -> String {
    let to = match &route.to {
        Ok(network) => network.to_string(),
        Err(list) => words::foreign(list),
    };
    format!("route to {to} in {}", table_name(table))
}

fn table_name(table: &RouteTable) -> String {
    let main = if table.is_main { " (the VPC's main route table)" } else { "" };
    format!("{}{main}", words::foreign(&table.id))
}

/// What a new route should lead to: the range of the other VPC that has the address.
fn range_of(case: &Case<'_>, end: End, address: &str) -> String {
    let ranges = case.end(end).vpc_ranges.get();
    let Ok(there) = case.address(end) else { return address.to_owned() };
    let range = ranges.and_then(|ranges| ranges.iter().find(|range| range.contains(&there)));
    range.map_or_else(|| super::case::alone(there), ToString::to_string)
}
