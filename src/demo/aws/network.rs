//! The network of an account in one region, as the look-alike tells of it.
//!
//! Plain values, as EC2 writes them: addresses and ids are text, and nothing here keeps anybody from
//! describing a network that cannot work. That is what these networks are for.

/// What one account has in one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The 12-digit account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The VPCs.
    pub vpcs: Vec<Vpc>,
    /// Their subnets.
    pub subnets: Vec<Subnet>,
    /// Their security groups.
    pub groups: Vec<SecurityGroup>,
    /// Their network ACLs.
    pub acls: Vec<NetworkAcl>,
    /// Their route tables.
    pub route_tables: Vec<RouteTable>,
    /// The managed prefix lists, AWS's own among them.
    pub prefix_lists: Vec<PrefixList>,
    /// The peering connections that the account has a part in.
    pub peerings: Vec<Peering>,
    /// The attachments of VPCs to transit gateways that the account may see.
    pub attachments: Vec<Attachment>,
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Its IPv4 ranges, the primary one first.
    pub ranges: Vec<String>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Its availability zone.
    pub availability_zone: String,
    /// Its IPv4 range.
    pub range: String,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// Its rules of both directions.
    pub rules: Vec<GroupRule>,
}

/// One rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    /// `sgr-…`.
    pub id: String,
    /// Whether it lets out; it lets in otherwise.
    pub is_egress: bool,
    /// `tcp`, `udp`, `icmp`, a protocol's number, or `-1` for all.
    pub protocol: String,
    /// The first and the last port; nothing where the protocol is `-1`.
    pub ports: Option<(u16, u16)>,
    /// The other side.
    pub peer: RulePeer,
}

/// The other side of a security group's rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RulePeer {
    /// A range of IPv4 or IPv6 addresses.
    Range(String),
    /// A managed prefix list, `pl-…`.
    PrefixList(String),
    /// The members of a group of this account.
    Group(String),
    /// The members of a group in a peered VPC.
    PeeredGroup {
        /// `sg-…`.
        group: String,
        /// The account of the group.
        account: String,
        /// The VPC of the group.
        vpc: String,
        /// `pcx-…`.
        peering: String,
    },
}

/// A network ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkAcl {
    /// `acl-…`.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Whether it is the VPC's default one.
    pub is_default: bool,
    /// The subnets that it guards.
    pub subnets: Vec<String>,
    /// Its entries, but for the last ones (32767), which refuse everything and are always there.
    pub entries: Vec<AclEntry>,
}

/// One entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// 1 to 32766.
    pub number: u16,
    /// Whether it is about what leaves the subnet.
    pub is_egress: bool,
    /// The protocol's number, `-1` for all.
    pub protocol: String,
    /// The first and the last port; nothing where the protocol has none.
    pub ports: Option<(u16, u16)>,
    /// The range of IPv4 or IPv6 addresses of the other side.
    pub range: String,
    /// Whether it lets through.
    pub allows: bool,
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// Its VPC.
    pub vpc: String,
    /// Whether it is the VPC's main one, which counts for subnets without one of their own.
    pub is_main: bool,
    /// The subnets that are associated with it.
    pub subnets: Vec<String>,
    /// Its routes.
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// A range of IPv4 or IPv6 addresses, or a prefix list (`pl-…`).
    pub to: String,
    /// `local`, `igw-…`, `vpce-…`, `nat-…`, `pcx-…`, `tgw-…` or `eni-…`.
    pub via: String,
    /// Whether it is `active`; it is a `blackhole` otherwise.
    pub is_active: bool,
}

/// A managed prefix list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixList {
    /// `pl-…`.
    pub id: String,
    /// Its ranges.
    pub entries: Vec<String>,
}

/// A peering connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peering {
    /// `pcx-…`.
    pub id: String,
    /// `active`, `pending-acceptance`, `deleted`, ….
    pub state: String,
    /// The VPC that asked for it.
    pub requester: PeeredVpc,
    /// The VPC that was asked.
    pub accepter: PeeredVpc,
}

/// One end of a peering connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeredVpc {
    /// `vpc-…`.
    pub vpc: String,
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its IPv4 range.
    pub range: String,
}

/// The attachment of a VPC to a transit gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `tgw-attach-…`.
    pub id: String,
    /// `tgw-…`.
    pub transit_gateway: String,
    /// The VPC.
    pub vpc: String,
    /// The VPC's account.
    pub vpc_account: String,
    /// `available`, `pendingAcceptance`, `deleted`, ….
    pub state: String,
}

impl GroupRule {
    /// A rule that lets TCP in to these ports.
    #[must_use]
    pub fn tcp_in(id: &str, ports: (u16, u16), peer: RulePeer) -> Self {
        Self { id: id.to_owned(), is_egress: false, protocol: "tcp".to_owned(), ports: Some(ports), peer }
    }

    /// A rule that lets everything out to every IPv4 address, as new groups have it.
    #[must_use]
    pub fn all_out(id: &str) -> Self {
        let peer = RulePeer::Range("0.0.0.0/0".to_owned());
        Self { id: id.to_owned(), is_egress: true, protocol: "-1".to_owned(), ports: None, peer }
    }
}

impl AclEntry {
    /// An entry that lets TCP through.
    #[must_use]
    pub fn tcp(number: u16, is_egress: bool, ports: (u16, u16), range: &str) -> Self {
        Self {
            number,
            is_egress,
            protocol: "6".to_owned(),
            ports: Some(ports),
            range: range.to_owned(),
            allows: true,
        }
    }

    /// An entry that lets everything through to or from every IPv4 address.
    #[must_use]
    pub fn all(number: u16, is_egress: bool) -> Self {
        Self {
            number,
            is_egress,
            protocol: "-1".to_owned(),
            ports: None,
            range: "0.0.0.0/0".to_owned(),
            allows: true,
        }
    }
}

impl Route {
    /// A route that works.
    #[must_use]
    pub fn active(to: &str, via: &str) -> Self {
        Self { to: to.to_owned(), via: via.to_owned(), is_active: true }
    }
}
