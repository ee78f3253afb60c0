//! Routes, and how two VPCs are joined.

use super::{Row, peering_is, row, timeout};
use crate::diagnose::testing::{address, edit, network, one_vpc_ipv6, peering, route, transit, two_vpcs};
use crate::diagnose::{Facts, Known, RouteVia, Subject};
use crate::domain::FailureClass as Class;

pub(super) const WAYS: &[Row] = &[
    timeout(
        "two VPCs that nothing joins",
        two_vpcs,
        |facts| {
            facts.peerings.clear();
            edit(&mut facts.bastion_end.routes).routes.pop();
            edit(&mut facts.target_end.routes).routes.pop();
        },
        Subject::Join,
        "joins vpc-hub and vpc-1",
    ),
    row(
        "two VPCs, and the bastion's default route leads to the internet",
        two_vpcs,
        |facts| {
            facts.peerings.clear();
            let routes = &mut edit(&mut facts.bastion_end.routes).routes;
            routes.pop();
            routes.push(route("0.0.0.0/0", RouteVia::Other("igw-1".to_owned())));
            edit(&mut facts.target_end.routes).routes.pop();
        },
        Some(Class::Unreachable),
        Some(Subject::Join),
        "No peering connection or transit gateway",
    ),
    timeout(
        "the peering has not been accepted",
        two_vpcs,
        |facts| peering_is(facts, "pending-acceptance"),
        Subject::Join,
        "Accept pcx-1 as the owner of vpc-1.",
    ),
    timeout(
        "the peering was deleted, and its routes are blackholes",
        two_vpcs,
        |facts| {
            peering_is(facts, "deleted");
            blackhole(facts);
        },
        Subject::Join,
        "\"deleted\"",
    ),
    timeout(
        "no route there",
        two_vpcs,
        |facts| drop(edit(&mut facts.bastion_end.routes).routes.pop()),
        Subject::RouteThere,
        "Add a route to 10.0.0.0/16 to rtb-b.",
    ),
    timeout(
        "no route back",
        two_vpcs,
        |facts| drop(edit(&mut facts.target_end.routes).routes.pop()),
        Subject::RouteBack,
        "No route in rtb-t (the VPC's main route table) leads to 10.9.0.5. Add a route to 10.9.0.0/16 to rtb-t.",
    ),
    row(
        "the network itself says that there is no route",
        two_vpcs,
        |facts| drop(edit(&mut facts.bastion_end.routes).routes.pop()),
        Some(Class::Unreachable),
        Some(Subject::RouteThere),
        "No route in rtb-b",
    ),
    timeout(
        "a blackhole in front of the peering",
        two_vpcs,
        |facts| {
            let mut gone = route("10.0.1.0/24", RouteVia::Other("eni-1".to_owned()));
            gone.active = false;
            edit(&mut facts.bastion_end.routes).routes.insert(0, gone);
        },
        Subject::RouteThere,
        "The route to 10.0.1.0/24 in rtb-b (the VPC's main route table) is a blackhole",
    ),
    timeout(
        "a more particular route by a prefix list leads elsewhere",
        two_vpcs,
        |facts| {
            facts.prefix_lists.insert("pl-7".to_owned(), Known::As(vec![network("10.0.1.0/28")]));
            let routes = &mut edit(&mut facts.bastion_end.routes).routes;
            routes.push(route("pl-7", RouteVia::Other("igw-1".to_owned())));
        },
        Subject::RouteThere,
        "The route to pl-7 in rtb-b (the VPC's main route table), the best there is, leads to the internet (igw-1)",
    ),
    timeout(
        "the route leads to a peering with a third VPC",
        two_vpcs,
        |facts| {
            let mut other = peering("active");
            other.accepter_vpc = "vpc-3".to_owned();
            facts.peerings.insert("pcx-3".to_owned(), Known::As(other));
            let routes = &mut edit(&mut facts.bastion_end.routes).routes;
            routes.push(route("10.0.1.0/24", RouteVia::Peering("pcx-3".to_owned())));
        },
        Subject::RouteThere,
        "pcx-3, which does not join vpc-hub to vpc-1",
    ),
    timeout(
        "the ranges of the two VPCs overlap",
        two_vpcs,
        |facts| {
            let routes = &mut edit(&mut facts.bastion_end.routes).routes;
            routes.insert(0, route("10.0.0.0/16", RouteVia::Local));
            routes.retain(|route| !matches!(route.via, RouteVia::Peering(_)));
        },
        Subject::RouteThere,
        "overlap",
    ),
    timeout(
        "the attachment of the bastion's VPC waits to be accepted",
        transit,
        |facts| attachment(facts, "vpc-hub", "pendingAcceptance"),
        Subject::Join,
        "tgw-1, to which the attachment of vpc-hub is \"pendingAcceptance\"",
    ),
    timeout(
        "a transit gateway, and no route back",
        transit,
        |facts| drop(edit(&mut facts.target_end.routes).routes.pop()),
        Subject::RouteBack,
        "No route in rtb-t",
    ),
    timeout(
        "a rule by group over a peering between regions",
        two_vpcs,
        |facts| {
            let mut far = peering("active");
            far.same_region = false;
            facts.peerings.insert("pcx-1".to_owned(), Known::As(far));
        },
        Subject::TargetGroup,
        "Add an inbound rule to sg-t: TCP 22 from 10.9.0.5/32.",
    ),
    timeout(
        "the bastion has no IPv6 address",
        one_vpc_ipv6,
        |facts| edit(&mut facts.bastion).addresses = vec![address("10.0.0.5")],
        Subject::Bastion,
        "has no IPv6 address, and fd00:1:1::10 is one",
    ),
];

fn blackhole(facts: &mut Facts) {
    for end in [&mut facts.bastion_end, &mut facts.target_end] {
        for route in &mut edit(&mut end.routes).routes {
            route.active = route.via == RouteVia::Local;
        }
    }
}

fn attachment(facts: &mut Facts, vpc: &str, state: &str) {
    let transit = edit(facts.transits.get_mut("tgw-1").expect("tgw-1"));
    transit.attachments.insert(vpc.to_owned(), state.to_owned());
}
