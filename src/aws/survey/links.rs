//! What rules and routes name: prefix lists, peering connections and transit gateways.

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;
use ipnet::IpNet;

use super::reading::{PAGES_MAX, gap_of, network, strange, text};
use crate::aws::question::filter;
use crate::diagnose::{Gap, Peering, Transit};

pub(super) const GET_PREFIX_LIST: &str = "ec2:GetManagedPrefixListEntries";
pub(super) const DESCRIBE_PEERINGS: &str = "ec2:DescribeVpcPeeringConnections";
pub(super) const DESCRIBE_TRANSITS: &str = "ec2:DescribeTransitGatewayAttachments";

/// EC2's largest page of a prefix list (EC2 API reference, PrefixListMaxResults).
const ENTRIES_PAGE: i32 = 100;
const ATTACHMENTS_PAGE: i32 = 1000;

/// What is in a prefix list.
pub(super) async fn prefix_list(client: Client, id: String) -> Result<Vec<IpNet>, Gap> {
    let mut pages = client
        .get_managed_prefix_list_entries()
        .prefix_list_id(id)
        .max_results(ENTRIES_PAGE)
        .into_paginator()
        .send();
    let mut networks = Vec::new();
    for _ in 0..PAGES_MAX {
        let Some(page) = pages.next().await else { return Ok(networks) };
        let page = page.map_err(|error| gap_of(GET_PREFIX_LIST, &error))?;
        for entry in page.entries() {
            let read = entry.cidr().and_then(network);
            networks.push(read.ok_or_else(|| strange(GET_PREFIX_LIST, "an entry cannot be read"))?);
        }
    }
    Err(strange(GET_PREFIX_LIST, "there are more entries than any list can have"))
}

/// Those of these peering connections that are visible.
pub(super) async fn peerings(client: Client, ids: Vec<String>) -> Result<BTreeMap<String, Peering>, Gap> {
    let mut pages = client
        .describe_vpc_peering_connections()
        .filters(filter("vpc-peering-connection-id", &ids))
        .into_paginator()
        .send();
    let mut found = BTreeMap::new();
    for _ in 0..PAGES_MAX {
        let Some(page) = pages.next().await else { return Ok(found) };
        let page = page.map_err(|error| gap_of(DESCRIBE_PEERINGS, &error))?;
        let named = page.vpc_peering_connections().iter().map(read_peering);
        found.extend(named.filter(|(id, _)| ids.contains(id)));
    }
    Err(strange(DESCRIBE_PEERINGS, "the pages have no end"))
}

fn read_peering(peering: &types::VpcPeeringConnection) -> (String, Peering) {
    let state = peering.status().and_then(|status| status.code());
    let (requester, accepter) = (peering.requester_vpc_info(), peering.accepter_vpc_info());
    let vpc = |end: Option<&types::VpcPeeringConnectionVpcInfo>| text(end.and_then(|end| end.vpc_id()));
    let region = |end: Option<&types::VpcPeeringConnectionVpcInfo>| text(end.and_then(|end| end.region()));
    let read = Peering {
        state: text(state.map(types::VpcPeeringConnectionStateReasonCode::as_str)),
        requester_vpc: vpc(requester),
        accepter_vpc: vpc(accepter),
        same_region: region(requester) == region(accepter),
    };
    (text(peering.vpc_peering_connection_id()), read)
}

/// The VPCs that are attached to these transit gateways, as far as one account can see. A gateway without an
/// attachment that is visible is left out.
pub(super) async fn transits(client: Client, ids: Vec<String>) -> Result<BTreeMap<String, Transit>, Gap> {
    let mut pages = client
        .describe_transit_gateway_attachments()
        .filters(filter("transit-gateway-id", &ids))
        .filters(filter("resource-type", ["vpc"]))
        .max_results(ATTACHMENTS_PAGE)
        .into_paginator()
        .send();
    let mut found: BTreeMap<String, Transit> = BTreeMap::new();
    for _ in 0..PAGES_MAX {
        let Some(page) = pages.next().await else { return Ok(found) };
        let page = page.map_err(|error| gap_of(DESCRIBE_TRANSITS, &error))?;
        for attachment in page.transit_gateway_attachments() {
            let gateway = text(attachment.transit_gateway_id());
            let of_vpc =
                attachment.resource_type() == Some(&types::TransitGatewayAttachmentResourceType::Vpc);
            if of_vpc && ids.contains(&gateway) {
                attach(found.entry(gateway).or_insert_with(no_attachments), attachment);
            }
        }
    }
    Err(strange(DESCRIBE_TRANSITS, "the pages have no end"))
}

pub(super) fn no_attachments() -> Transit {
    Transit { attachments: BTreeMap::new() }
}

/// A deleted attachment stays visible for a while, beside the one that replaced it.
fn attach(transit: &mut Transit, attachment: &types::TransitGatewayAttachment) {
    let state = text(attachment.state().map(types::TransitGatewayAttachmentState::as_str));
    let vpc = text(attachment.resource_id());
    let known = transit.attachments.entry(vpc).or_insert_with(|| state.clone());
    if state == "available" {
        *known = state;
    }
}
