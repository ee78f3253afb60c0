//! What AWS says, in plain values.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use crate::domain::Target;

/// Something that AWS was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// The answer.
    As(T),
    /// There is no answer.
    Not(Gap),
}

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The IAM action that asks for it, such as `ec2:DescribeNetworkAcls`; empty where no call does.
    pub permission: String,
    /// What kept it.
    pub reason: GapReason,
}

/// What kept a fact from being known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GapReason {
    /// IAM refused the call.
    Denied,
    /// The answer did not come in time.
    Timeout,
    /// The call was throttled.
    Throttled,
    /// The call failed otherwise, or its answer could not be understood: a label for the operator.
    Failed(String),
    /// The call was answered, and what was asked about is not in it: it belongs to an account that is not ours, or is gone.
    NotVisible,
    /// Nobody asked, because nothing needs it or another gap is before it.
    NotAsked,
}

impl Gap {
    /// A gap in what this IAM action tells.
    #[must_use]
    pub fn new(permission: impl Into<String>, reason: GapReason) -> Self {
        Self { permission: permission.into(), reason }
    }
}

impl<T> Known<T> {
    /// The answer, where there is one.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::As(value) => Some(value),
            Self::Not(_) => None,
        }
    }

    /// The gap, where there is no answer.
    #[must_use]
    pub fn gap(&self) -> Option<&Gap> {
        match self {
            Self::As(_) => None,
            Self::Not(gap) => Some(gap),
        }
    }
}

/// Everything that is known about the way from the bastion to one target's SSH port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The machine, as the inventory has it: address and port are those that are dialled.
    pub target: Arc<Target>,
    /// When AWS was asked; none where nobody asked. What is scheduled has begun or not by this.
    pub asked_at: Option<Timestamp>,
    /// The instance as AWS describes it at this moment.
    pub instance: Known<InstanceFacts>,
    /// Its health checks and scheduled events.
    pub status: Known<Status>,
    /// The image it was started from.
    pub image: Known<ImageFacts>,
    /// The instance that the bastion runs on.
    pub bastion: Known<Bastion>,
    /// The target's end of the network.
    pub target_end: NetworkEnd,
    /// The bastion's end.
    pub bastion_end: NetworkEnd,
    /// What is in each prefix list that rules or routes of either end name.
    pub prefix_lists: BTreeMap<String, Known<Vec<IpNet>>>,
    /// Each peering connection that routes of either end name.
    pub peerings: BTreeMap<String, Known<Peering>>,
    /// Each transit gateway that routes of either end name.
    pub transits: BTreeMap<String, Known<Transit>>,
    /// AWS's clock minus ours, from an answer's `Date`.
    pub clock_ahead: Known<SignedDuration>,
}

/// The instance itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    /// `running`, `stopped`, ….
    pub state: String,
    /// Why it is in that state, as AWS says; empty where nothing is said.
    pub state_reason: String,
    /// When it was last started.
    pub launch_time: Option<Timestamp>,
    /// Its private addresses, of every interface.
    pub addresses: Vec<IpAddr>,
    /// `windows` or empty (`Platform`).
    pub platform: String,
    /// Whether its metadata service answers (`MetadataOptions.HttpEndpoint`); without it Instance Connect cannot work.
    pub metadata_enabled: bool,
}

/// Health checks and scheduled events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The checks of AWS's systems: `ok`, `impaired`, `initializing`, `insufficient-data`, `not-applicable`.
    pub system: String,
    /// The checks of the instance.
    pub instance: String,
    /// The checks of attached volumes; empty where there are none.
    pub volumes: String,
    /// What is scheduled, the next first.
    pub events: Vec<ScheduledEvent>,
}

/// Something that AWS will do with the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledEvent {
    /// `instance-stop`, `system-reboot`, …
    pub code: String,
    /// AWS's description.
    pub description: String,
    /// From when.
    pub not_before: Option<Timestamp>,
}

/// The image that an instance was started from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageFacts {
    /// Its name, such as `al2023-ami-2023.9.20251117.1-kernel-6.12-x86_64`.
    pub name: String,
    /// `amazon`, `aws-marketplace`, … or empty.
    pub owner_alias: String,
    /// `windows` or empty.
    pub platform: String,
}

/// The instance that the bastion runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bastion {
    /// Its id.
    pub id: String,
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its private addresses, of the interface that leads to targets first.
    pub addresses: Vec<IpAddr>,
}

/// What guards one end: the interface's groups, the subnet's ACL and the routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkEnd {
    /// The VPC.
    pub vpc: Known<String>,
    /// The subnet.
    pub subnet: Known<String>,
    /// The ranges of the VPC.
    pub vpc_ranges: Known<Vec<IpNet>>,
    /// The security groups at the interface, with their rules.
    pub groups: Known<Vec<Group>>,
    /// The ACL at the subnet.
    pub acl: Known<Acl>,
    /// The route table of the subnet: its own, else the VPC's main one.
    pub routes: Known<RouteTable>,
}

/// A security group. Rules only permit; any that matches lets a connection through, and its answers (stateful).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `sg-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its rules, of both directions.
    pub rules: Vec<Rule>,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Into the instance or subnet.
    In,
    /// Out of it.
    Out,
}

/// One rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `sgr-…`.
    pub id: String,
    /// Which way.
    pub direction: Direction,
    /// Of which protocol.
    pub protocol: Protocol,
    /// Which ports, where the protocol has any; of the receiving side.
    pub ports: PortRange,
    /// Who the other side is.
    pub peer: Peer,
}

/// An IP protocol, as rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Every protocol (`-1`); ports do not count then.
    All,
    /// TCP (6).
    Tcp,
    /// Another one.
    Other(u8),
}

/// Ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The first.
    pub from: u16,
    /// The last.
    pub to: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self { from: 0, to: u16::MAX };

    /// Whether a port is in it.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.from..=self.to).contains(&port)
    }
}

/// The other side of a security group's rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A range of addresses.
    Network(IpNet),
    /// A managed prefix list, `pl-…`.
    PrefixList(String),
    /// Members of a group, by their private addresses.
    Group(Grouped),
}

/// A group that a rule names, perhaps another account's or a peered VPC's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouped {
    /// `sg-…`.
    pub group: String,
    /// The peering connection by which the group is reached, where it is another VPC's.
    pub peering: Option<String>,
}

/// A network ACL: per direction the entries in order of their numbers, the first match decides; stateless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// `acl-…`.
    pub id: String,
    /// Its entries, in no particular order. 32767 is the last one, which refuses.
    pub entries: Vec<AclEntry>,
}

/// One entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// Its number: 1 to 32767.
    pub number: u32,
    /// Which way.
    pub direction: Direction,
    /// Of which protocol.
    pub protocol: Protocol,
    /// Which ports, of the receiving side of a packet.
    pub ports: PortRange,
    /// The other side.
    pub network: IpNet,
    /// Whether it lets through.
    pub allows: bool,
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// Whether it is the subnet's for want of one of its own.
    pub is_main: bool,
    /// Its routes; the longest prefix decides.
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// To where: a network, or a prefix list (`pl-…`).
    pub to: Result<IpNet, String>,
    /// By what.
    pub via: RouteVia,
    /// Whether what it leads to exists (`active`), or not (`blackhole`).
    pub active: bool,
}

/// What a route leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteVia {
    /// The VPC itself.
    Local,
    /// A peering connection, `pcx-…`.
    Peering(String),
    /// A transit gateway, `tgw-…`.
    TransitGateway(String),
    /// An internet gateway, NAT gateway, interface, endpoint, …: its id.
    Other(String),
}

/// A peering connection between two VPCs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peering {
    /// `active`, `pending-acceptance`, `deleted`, …
    pub state: String,
    /// One VPC.
    pub requester_vpc: String,
    /// The other one.
    pub accepter_vpc: String,
    /// Whether both are in one region: only then may rules name the other's groups.
    pub same_region: bool,
}

/// A transit gateway, as far as it can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transit {
    /// The VPCs that are attached to it, with the attachment's state.
    pub attachments: BTreeMap<String, String>,
}

impl NetworkEnd {
    /// An end of which nothing is known.
    #[must_use]
    pub fn unknown(gap: &Gap) -> Self {
        let not = || gap.clone();
        Self {
            vpc: Known::Not(not()),
            subnet: Known::Not(not()),
            vpc_ranges: Known::Not(not()),
            groups: Known::Not(not()),
            acl: Known::Not(not()),
            routes: Known::Not(not()),
        }
    }
}

impl Facts {
    /// Nothing but the machine itself.
    #[must_use]
    pub fn unknown(target: Arc<Target>, gap: &Gap) -> Self {
        Self {
            target,
            asked_at: None,
            instance: Known::Not(gap.clone()),
            status: Known::Not(gap.clone()),
            image: Known::Not(gap.clone()),
            bastion: Known::Not(gap.clone()),
            target_end: NetworkEnd::unknown(gap),
            bastion_end: NetworkEnd::unknown(gap),
            prefix_lists: BTreeMap::new(),
            peerings: BTreeMap::new(),
            transits: BTreeMap::new(),
            clock_ahead: Known::Not(gap.clone()),
        }
    }
}
