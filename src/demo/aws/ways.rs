//! Which way packets take: VPCs, subnets, route tables, prefix lists, peering and transit gateways.

use super::describe::{Described, Placed, write_next};
use super::ec2::document;
use super::network::{Attachment, PeeredVpc, Peering, PrefixList, Route, RouteTable, Subnet, Vpc};
use super::select::{Filter, Query, QueryError};
use super::xml::Xml;

/// How many entries of a prefix list fit in one page (EC2 API reference, `GetManagedPrefixListEntries`).
const ENTRIES_IN_PAGE: std::ops::RangeInclusive<usize> = 1..=100;

impl Described for Placed<'_, Vpc> {
    const SET: &'static str = "vpcSet";
    const IDS: &'static str = "VpcId";
    const NOT_FOUND: (&'static str, &'static str) = ("InvalidVpcID.NotFound", "vpc ID");

    fn id(&self) -> &str {
        &self.it.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        let primary = || self.it.ranges.iter().take(1);
        Some(match filter.name.as_str() {
            "vpc-id" => filter.fits(&self.it.id),
            "owner-id" => filter.fits(&self.network.account),
            "state" => filter.fits("available"),
            "cidr" => primary().any(|range| filter.fits(range)),
            "cidr-block-association.cidr-block" => self.it.ranges.iter().any(|range| filter.fits(range)),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("vpcId", &self.it.id);
        xml.text("ownerId", &self.network.account);
        xml.text("state", "available");
        if let Some(primary) = self.it.ranges.first() {
            xml.text("cidrBlock", primary);
        }
        xml.list("cidrBlockAssociationSet", self.it.ranges.iter().enumerate(), |xml, (at, range)| {
            xml.text("associationId", &format!("vpc-cidr-assoc-{at:017x}"));
            xml.text("cidrBlock", range);
            xml.element("cidrBlockState", |xml| xml.text("state", "associated"));
        });
        xml.text("instanceTenancy", "default");
        xml.text("isDefault", "false");
    }
}

impl Described for Placed<'_, Subnet> {
    const SET: &'static str = "subnetSet";
    const IDS: &'static str = "SubnetId";
    const NOT_FOUND: (&'static str, &'static str) = ("InvalidSubnetID.NotFound", "subnet ID");

    fn id(&self) -> &str {
        &self.it.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "subnet-id" => filter.fits(&self.it.id),
            "vpc-id" => filter.fits(&self.it.vpc),
            "owner-id" => filter.fits(&self.network.account),
            "availability-zone" => filter.fits(&self.it.availability_zone),
            "cidr-block" => filter.fits(&self.it.range),
            "state" => filter.fits("available"),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("subnetId", &self.it.id);
        xml.text("vpcId", &self.it.vpc);
        xml.text("ownerId", &self.network.account);
        xml.text("availabilityZone", &self.it.availability_zone);
        xml.text("cidrBlock", &self.it.range);
        xml.text("state", "available");
    }
}

impl Described for Placed<'_, RouteTable> {
    const SET: &'static str = "routeTableSet";
    const IDS: &'static str = "RouteTableId";
    const NOT_FOUND: (&'static str, &'static str) = ("InvalidRouteTableID.NotFound", "routeTable ID");

    fn id(&self) -> &str {
        &self.it.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "route-table-id" | "association.route-table-id" => filter.fits(&self.it.id),
            "vpc-id" => filter.fits(&self.it.vpc),
            "owner-id" => filter.fits(&self.network.account),
            "association.subnet-id" => self.it.subnets.iter().any(|subnet| filter.fits(subnet)),
            "association.main" => filter.fits(if self.it.is_main { "true" } else { "false" }),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        let Self { network, it: table } = self;
        xml.text("routeTableId", &table.id);
        xml.text("vpcId", &table.vpc);
        xml.text("ownerId", &network.account);
        xml.list("routeSet", &table.routes, write_route);
        let main = table.is_main.then_some(None);
        let associations = main.into_iter().chain(table.subnets.iter().map(Some));
        xml.list("associationSet", associations, |xml, subnet| write_association(xml, table, subnet));
    }
}

fn write_route(xml: &mut Xml, route: &Route) {
    let to = match &route.to {
        list if list.starts_with("pl-") => "destinationPrefixListId",
        range if range.contains(':') => "destinationIpv6CidrBlock",
        _ => "destinationCidrBlock",
    };
    xml.text(to, &route.to);
    let kind = route.via.split_once('-').map_or(route.via.as_str(), |(kind, _)| kind);
    // Gateways of VPCs and gateway endpoints go by this name, and so does the VPC itself.
    let via = match kind {
        "nat" => "natGatewayId",
        "pcx" => "vpcPeeringConnectionId",
        "tgw" => "transitGatewayId",
        "eni" => "networkInterfaceId",
        _ => "gatewayId",
    };
    xml.text(via, &route.via);
    xml.text("state", if route.is_active { "active" } else { "blackhole" });
    xml.text("origin", if kind == "local" { "CreateRouteTable" } else { "CreateRoute" });
}

/// The association of the main table names no subnet.
fn write_association(xml: &mut Xml, table: &RouteTable, subnet: Option<&String>) {
    let id = subnet.map_or(table.id.replacen("rtb-", "rtbassoc-", 1), |subnet| {
        subnet.replacen("subnet-", "rtbassoc-", 1)
    });
    xml.text("routeTableAssociationId", &id);
    xml.text("routeTableId", &table.id);
    if let Some(subnet) = subnet {
        xml.text("subnetId", subnet);
    }
    xml.text("main", if subnet.is_none() { "true" } else { "false" });
    xml.element("associationState", |xml| xml.text("state", "associated"));
}

/// The ranges of one prefix list.
pub(super) fn prefix_list_entries(
    query: &Query,
    lists: &[Placed<'_, PrefixList>],
    request_id: &str,
) -> Result<String, QueryError> {
    let id = query.get("PrefixListId").unwrap_or_default();
    let list = lists.iter().find(|list| list.it.id == id).ok_or_else(|| {
        QueryError::new("InvalidPrefixListID.NotFound", format!("The prefix list ID '{id}' does not exist"))
    })?;
    let (page, next) = query.page_of(list.it.entries.iter().collect(), &ENTRIES_IN_PAGE)?;
    Ok(document(query.action(), request_id, |xml| {
        xml.list("entrySet", page, |xml, range| xml.text("cidr", range));
        write_next(xml, next.as_deref());
    }))
}

impl Described for Placed<'_, Peering> {
    const SET: &'static str = "vpcPeeringConnectionSet";
    const IDS: &'static str = "VpcPeeringConnectionId";
    const NOT_FOUND: (&'static str, &'static str) =
        ("InvalidVpcPeeringConnectionID.NotFound", "vpcPeeringConnection ID");

    fn id(&self) -> &str {
        &self.it.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "vpc-peering-connection-id" => filter.fits(&self.it.id),
            "status-code" => filter.fits(&self.it.state),
            "requester-vpc-info.vpc-id" => filter.fits(&self.it.requester.vpc),
            "accepter-vpc-info.vpc-id" => filter.fits(&self.it.accepter.vpc),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("vpcPeeringConnectionId", &self.it.id);
        xml.element("requesterVpcInfo", |xml| write_peered(xml, &self.it.requester));
        xml.element("accepterVpcInfo", |xml| write_peered(xml, &self.it.accepter));
        xml.element("status", |xml| {
            xml.text("code", &self.it.state);
            xml.text("message", &self.it.state);
        });
    }
}

fn write_peered(xml: &mut Xml, end: &PeeredVpc) {
    xml.text("ownerId", &end.account);
    xml.text("vpcId", &end.vpc);
    xml.text("cidrBlock", &end.range);
    xml.list("cidrBlockSet", [&end.range], |xml, range| xml.text("cidrBlock", range));
    xml.text("region", &end.region);
}

impl Described for Placed<'_, Attachment> {
    const SET: &'static str = "transitGatewayAttachments";
    const IDS: &'static str = "TransitGatewayAttachmentIds";
    const NOT_FOUND: (&'static str, &'static str) = NO_ATTACHMENT;

    fn id(&self) -> &str {
        &self.it.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "resource-id" => filter.fits(&self.it.vpc),
            "resource-owner-id" => filter.fits(&self.it.vpc_account),
            "resource-type" => filter.fits("vpc"),
            _ => return passes_any_attachment(self.it, filter),
        })
    }

    fn write(&self, xml: &mut Xml) {
        write_attachment(xml, self.it);
        xml.text("resourceOwnerId", &self.it.vpc_account);
        xml.text("resourceType", "vpc");
        xml.text("resourceId", &self.it.vpc);
    }
}

/// The same attachment, as the action about VPCs' attachments tells of it.
#[derive(Debug)]
pub(super) struct OfVpc<'a>(pub(super) &'a Attachment);

impl Described for OfVpc<'_> {
    const SET: &'static str = "transitGatewayVpcAttachments";
    const IDS: &'static str = "TransitGatewayAttachmentIds";
    const NOT_FOUND: (&'static str, &'static str) = NO_ATTACHMENT;

    fn id(&self) -> &str {
        &self.0.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        match filter.name.as_str() {
            "vpc-id" => Some(filter.fits(&self.0.vpc)),
            _ => passes_any_attachment(self.0, filter),
        }
    }

    fn write(&self, xml: &mut Xml) {
        write_attachment(xml, self.0);
        xml.text("vpcId", &self.0.vpc);
        xml.text("vpcOwnerId", &self.0.vpc_account);
    }
}

const NO_ATTACHMENT: (&str, &str) =
    ("InvalidTransitGatewayAttachmentID.NotFound", "transit gateway attachment");

fn passes_any_attachment(attachment: &Attachment, filter: &Filter) -> Option<bool> {
    Some(match filter.name.as_str() {
        "transit-gateway-attachment-id" => filter.fits(&attachment.id),
        "transit-gateway-id" => filter.fits(&attachment.transit_gateway),
        "state" => filter.fits(&attachment.state),
        _ => return None,
    })
}

fn write_attachment(xml: &mut Xml, attachment: &Attachment) {
    xml.text("transitGatewayAttachmentId", &attachment.id);
    xml.text("transitGatewayId", &attachment.transit_gateway);
    xml.text("state", &attachment.state);
}
