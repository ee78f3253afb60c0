//! Where packets are sent: the ranges of a VPC and its route tables.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, RouteState, RouteTableAssociation};
use ipnet::IpNet;

use super::reading::{gap_of, network, not_visible, strange, text};
use crate::aws::question::filter;
use crate::diagnose::{Gap, Route, RouteTable, RouteVia};

pub(super) const DESCRIBE_VPCS: &str = "ec2:DescribeVpcs";
pub(super) const DESCRIBE_ROUTE_TABLES: &str = "ec2:DescribeRouteTables";

/// A subnet in its VPC.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Spot {
    pub(super) vpc: String,
    pub(super) subnet: String,
}

/// The ranges of a VPC, of both families.
pub(super) async fn vpc_ranges(client: Client, vpc: String) -> Result<Vec<IpNet>, Gap> {
    let answer =
        client.describe_vpcs().vpc_ids(&vpc).send().await.map_err(|error| gap_of(DESCRIBE_VPCS, &error))?;
    let found = answer.vpcs().iter().find(|found| found.vpc_id() == Some(vpc.as_str()));
    let found = found.ok_or_else(|| not_visible(DESCRIBE_VPCS))?;
    let unreadable = || strange(DESCRIBE_VPCS, "a range of the VPC cannot be read");
    let ranges: Option<Vec<IpNet>> = ranges_of(found).into_iter().map(network).collect();
    let mut ranges = ranges.filter(|ranges| !ranges.is_empty()).ok_or_else(unreadable)?;
    ranges.sort();
    ranges.dedup();
    Ok(ranges)
}

fn ranges_of(vpc: &types::Vpc) -> Vec<&str> {
    let is_there = |state: Option<&types::VpcCidrBlockState>| {
        let state = state.and_then(|state| state.state());
        state.is_none_or(|state| *state == types::VpcCidrBlockStateCode::Associated)
    };
    let v4 = vpc.cidr_block_association_set().iter();
    let v4 = v4.filter(|block| is_there(block.cidr_block_state())).filter_map(|block| block.cidr_block());
    let v6 = vpc.ipv6_cidr_block_association_set().iter();
    let v6 = v6
        .filter(|block| is_there(block.ipv6_cidr_block_state()))
        .filter_map(|block| block.ipv6_cidr_block());
    vpc.cidr_block().into_iter().chain(v4).chain(v6).collect()
}

/// The route table of a subnet: the one that it is associated with, else its VPC's main one.
pub(super) async fn route_table(client: Client, spot: Spot) -> Result<RouteTable, Gap> {
    let own = |association: &RouteTableAssociation| association.subnet_id() == Some(spot.subnet.as_str());
    let filters = vec![filter("association.subnet-id", [spot.subnet.as_str()])];
    if let Some(table) = one_table(&client, filters, own).await? {
        return read_table(&table, false);
    }
    let main = |association: &RouteTableAssociation| association.main() == Some(true);
    let filters = vec![filter("vpc-id", [spot.vpc.as_str()]), filter("association.main", ["true"])];
    let table =
        one_table(&client, filters, main).await?.filter(|table| table.vpc_id() == Some(spot.vpc.as_str()));
    read_table(&table.ok_or_else(|| not_visible(DESCRIBE_ROUTE_TABLES))?, true)
}

async fn one_table(
    client: &Client,
    filters: Vec<types::Filter>,
    wanted: impl Fn(&RouteTableAssociation) -> bool,
) -> Result<Option<types::RouteTable>, Gap> {
    let answer = client
        .describe_route_tables()
        .set_filters(Some(filters))
        .send()
        .await
        .map_err(|error| gap_of(DESCRIBE_ROUTE_TABLES, &error))?;
    let tables = answer.route_tables.unwrap_or_default().into_iter();
    let mut found = tables.filter(|table| table.associations().iter().any(&wanted));
    let table = found.next();
    if found.next().is_some() {
        return Err(strange(DESCRIBE_ROUTE_TABLES, "two route tables claim one subnet"));
    }
    Ok(table)
}

fn read_table(table: &types::RouteTable, is_main: bool) -> Result<RouteTable, Gap> {
    let routes: Option<Vec<Route>> = table.routes().iter().map(read_route).collect();
    let routes = routes.ok_or_else(|| strange(DESCRIBE_ROUTE_TABLES, "a route cannot be read"))?;
    Ok(RouteTable { id: text(table.route_table_id()), is_main, routes })
}

fn read_route(route: &types::Route) -> Option<Route> {
    let cidr = route.destination_cidr_block().or(route.destination_ipv6_cidr_block());
    let to = match (cidr, route.destination_prefix_list_id()) {
        (Some(cidr), _) => Ok(network(cidr)?),
        (None, Some(list)) => Err(text(Some(list))),
        (None, None) => return None,
    };
    // A state that is not said, or that the SDK does not know, is not taken for a hole.
    Some(Route { to, via: via(route), active: route.state() != Some(&RouteState::Blackhole) })
}

fn via(route: &types::Route) -> RouteVia {
    if let Some(id) = route.vpc_peering_connection_id() {
        return RouteVia::Peering(text(Some(id)));
    }
    if let Some(id) = route.transit_gateway_id() {
        return RouteVia::TransitGateway(text(Some(id)));
    }
    if route.gateway_id() == Some("local") {
        return RouteVia::Local;
    }
    let others = [
        route.gateway_id(),
        route.nat_gateway_id(),
        route.egress_only_internet_gateway_id(),
        route.network_interface_id(),
        route.instance_id(),
        route.carrier_gateway_id(),
        route.local_gateway_id(),
        route.core_network_arn(),
        route.odb_network_arn(),
    ];
    RouteVia::Other(text(others.into_iter().flatten().next()))
}
