//! The questions to one account and region.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use ipnet::IpNet;

use super::asked::{Answer, Asked, Desk, Keeping};
use super::guards::{self, DESCRIBE_ACLS, DESCRIBE_GROUPS, DESCRIBE_RULES};
use super::links::{self, DESCRIBE_PEERINGS, DESCRIBE_TRANSITS, GET_PREFIX_LIST};
use super::machine::{
    self, DESCRIBE_IMAGES, DESCRIBE_INSTANCE_STATUS, DESCRIBE_INSTANCES, Described, GroupName,
};
use super::roads::{self, DESCRIBE_ROUTE_TABLES, DESCRIBE_VPCS, Spot};
use super::skew::Skew;
use crate::aws::access::PlaceClients;
use crate::diagnose::{Acl, Group, ImageFacts, Peering, RouteTable, Status, Transit};
use crate::domain::InstanceId;
use crate::target::Place;

/// Calls at the same time per account and region.
const TURNS: usize = 16;
/// The longest that a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// One account and region, with what was asked of it lately.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) place: Place,
    /// The account's number, where a role tells it; none means the daemon's own credentials.
    pub(super) account: Option<String>,
    client: Client,
    instances: Asked<InstanceId, Described>,
    statuses: Asked<InstanceId, Status>,
    images: Asked<String, ImageFacts>,
    groups: Asked<Vec<GroupName>, Vec<Group>>,
    visible_groups: Asked<Vec<String>, BTreeSet<String>>,
    acls: Asked<String, Acl>,
    vpcs: Asked<String, Vec<IpNet>>,
    route_tables: Asked<Spot, RouteTable>,
    prefix_lists: Asked<String, Vec<IpNet>>,
    peerings: Asked<Vec<String>, BTreeMap<String, Peering>>,
    transits: Asked<Vec<String>, BTreeMap<String, Transit>>,
}

impl Lane {
    pub(super) fn new(clients: &PlaceClients, skew: &Skew, desk: &Desk) -> Self {
        let desk = &desk.another(TURNS);
        let minute = Keeping::Minute;
        Self {
            place: clients.place.clone(),
            account: clients.role_account.clone(),
            client: without_retries(&clients.ec2, skew, desk.page_max()),
            instances: Asked::new(DESCRIBE_INSTANCES, minute, desk),
            statuses: Asked::new(DESCRIBE_INSTANCE_STATUS, minute, desk),
            images: Asked::new(DESCRIBE_IMAGES, minute, desk),
            groups: Asked::new(DESCRIBE_RULES, minute, desk),
            visible_groups: Asked::new(DESCRIBE_GROUPS, minute, desk),
            acls: Asked::new(DESCRIBE_ACLS, minute, desk),
            vpcs: Asked::new(DESCRIBE_VPCS, minute, desk),
            route_tables: Asked::new(DESCRIBE_ROUTE_TABLES, minute, desk),
            prefix_lists: Asked::new(GET_PREFIX_LIST, Keeping::MinuteEach, desk),
            peerings: Asked::new(DESCRIBE_PEERINGS, minute, desk),
            transits: Asked::new(DESCRIBE_TRANSITS, minute, desk),
        }
    }

    pub(super) fn instance(&self, id: &InstanceId) -> Answer<Described> {
        self.instances.ask(id, machine::describe(self.client.clone(), id.clone()))
    }

    pub(super) fn status(&self, id: &InstanceId) -> Answer<Status> {
        self.statuses.ask(id, machine::status(self.client.clone(), id.clone()))
    }

    pub(super) fn image(&self, id: &str) -> Answer<ImageFacts> {
        self.images.ask(&id.to_owned(), machine::image(self.client.clone(), id.to_owned()))
    }

    pub(super) fn groups(&self, names: &[GroupName]) -> Answer<Vec<Group>> {
        let names = names.to_vec();
        self.groups.ask(&names, guards::groups(self.client.clone(), names.clone()))
    }

    pub(super) fn visible_groups(&self, ids: &[String]) -> Answer<BTreeSet<String>> {
        let ids = ids.to_vec();
        self.visible_groups.ask(&ids, guards::visible(self.client.clone(), ids.clone()))
    }

    pub(super) fn acl(&self, subnet: &str) -> Answer<Acl> {
        self.acls.ask(&subnet.to_owned(), guards::acl(self.client.clone(), subnet.to_owned()))
    }

    pub(super) fn vpc_ranges(&self, vpc: &str) -> Answer<Vec<IpNet>> {
        self.vpcs.ask(&vpc.to_owned(), roads::vpc_ranges(self.client.clone(), vpc.to_owned()))
    }

    pub(super) fn route_table(&self, spot: &Spot) -> Answer<RouteTable> {
        self.route_tables.ask(spot, roads::route_table(self.client.clone(), spot.clone()))
    }

    pub(super) fn prefix_list(&self, id: &str) -> Answer<Vec<IpNet>> {
        self.prefix_lists.ask(&id.to_owned(), links::prefix_list(self.client.clone(), id.to_owned()))
    }

    pub(super) fn peerings(&self, ids: &[String]) -> Answer<BTreeMap<String, Peering>> {
        let ids = ids.to_vec();
        self.peerings.ask(&ids, links::peerings(self.client.clone(), ids.clone()))
    }

    pub(super) fn transits(&self, ids: &[String]) -> Answer<BTreeMap<String, Transit>> {
        let ids = ids.to_vec();
        self.transits.ask(&ids, links::transits(self.client.clone(), ids.clone()))
    }
}

/// The same client without retries, with short deadlines and an eye on the answers' `Date`.
fn without_retries(client: &Client, skew: &Skew, page_max: Duration) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(page_max)
        .operation_timeout(page_max)
        .build();
    let config = client
        .config()
        .to_builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .interceptor(skew.clone());
    Client::from_conf(config.build())
}
