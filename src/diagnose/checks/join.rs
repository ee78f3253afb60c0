//! How the two VPCs are joined at all.

use super::case::{Case, Doubt, End};
use super::route::{self, Lead, Way};
use crate::diagnose::facts::{Known, Peering, RouteVia, Transit};
use crate::diagnose::subject::Subject;
use crate::diagnose::verdict::Check;
use crate::diagnose::words;

pub(super) fn join(case: &Case<'_>) -> Option<Check> {
    let (bastion, target) = match (case.vpc(End::Bastion), case.vpc(End::Target)) {
        (Ok(bastion), Ok(target)) => (bastion, target),
        (Err(doubt), Ok(_) | Err(_)) | (Ok(_), Err(doubt)) => {
            let doubt = if case.facts.bastion.get().is_none() { Doubt::NoBastion } else { doubt };
            return Some(case.doubt(Subject::Join, &doubt));
        }
    };
    if bastion == target {
        return Some(Check::sound(
            Subject::Join,
            format!("The bastion and the instance are both in {bastion}."),
        ));
    }
    Some(joined(case, bastion, target))
}

fn joined(case: &Case<'_>, bastion: &str, target: &str) -> Check {
    if let Some((id, _)) = peerings(case, bastion, target).find(|(_, peering)| peering.is_active()) {
        return Check::sound(Subject::Join, format!("{id} joins {bastion} and {target}."));
    }
    if let Some(id) = transit(case, bastion, target) {
        return Check::sound(Subject::Join, format!("{bastion} and {target} are both attached to {id}."));
    }
    if let Err(doubt) = is_all_seen(case) {
        return case.doubt(Subject::Join, &doubt);
    }
    if let Some((id, peering)) = peerings(case, bastion, target).next() {
        let state = words::foreign(&peering.state);
        return Check::broken(
            Subject::Join,
            format!("{id}, which is to join {bastion} and {target}, is not active but \"{state}\"."),
            peering.mend(&id, bastion, target),
        );
    }
    let astray = [End::Bastion, End::Target].into_iter().find_map(|end| astray(case, end));
    let (finding, change) = astray.unwrap_or_else(|| {
        (
            format!("No peering connection or transit gateway to which a route leads joins {bastion} and {target}."),
            format!("Join {bastion} and {target} by a peering connection or a transit gateway, with routes both ways."),
        )
    });
    Check::broken(Subject::Join, finding, change)
}

/// Why a route of this end towards the other VPC does not lead there, although it is meant to.
fn astray(case: &Case<'_>, end: End) -> Option<(String, String)> {
    let Ok(Way::By(_, route, Lead::Astray(finding, change))) = route::way(case, end) else { return None };
    match route.via {
        RouteVia::Peering(_) | RouteVia::TransitGateway(_) => Some((finding, change)),
        RouteVia::Local | RouteVia::Other(_) => None,
    }
}

fn peerings<'a>(
    case: &Case<'a>,
    one: &'a str,
    other: &'a str,
) -> impl Iterator<Item = (String, &'a Peering)> + use<'a> {
    let known = case.facts.peerings.iter().filter_map(|(id, peering)| Some((id, peering.get()?)));
    known
        .filter(move |(_, peering)| peering.joins(one, other))
        .map(|(id, peering)| (words::foreign(id), peering))
}

fn transit(case: &Case<'_>, one: &str, other: &str) -> Option<String> {
    let available =
        |transit: &Transit, vpc: &str| transit.attachments.get(vpc).is_some_and(|state| state == "available");
    let both = |transit: &Transit| available(transit, one) && available(transit, other);
    let mut known = case.facts.transits.iter().filter_map(|(id, transit)| Some((id, transit.get()?)));
    known.find(|(_, transit)| both(transit)).map(|(id, _)| words::foreign(id))
}

/// Whether nothing that might join the two is out of sight.
fn is_all_seen<'a>(case: &Case<'a>) -> Result<(), Doubt<'a>> {
    let peering_gaps = case.facts.peerings.values().filter_map(Known::gap);
    let transit_gaps = case.facts.transits.values().filter_map(Known::gap);
    if let Some(gap) = peering_gaps.chain(transit_gaps).next() {
        return Err(Doubt::Gap(gap, End::Bastion));
    }
    for end in [End::Bastion, End::Target] {
        let Known::As(table) = &case.end(end).routes else { continue };
        for route in &table.routes {
            match &route.via {
                RouteVia::Peering(id) => route::peering(case, id, end).map(|_| ())?,
                RouteVia::TransitGateway(id) => route::transit(case, id, end).map(|_| ())?,
                RouteVia::Local | RouteVia::Other(_) => {}
            }
        }
    }
    for end in [End::Bastion, End::Target] {
        if let Way::By(_, _, Lead::Unseen(said)) = route::way(case, end)? {
            return Err(Doubt::Said(said));
        }
    }
    Ok(())
}
