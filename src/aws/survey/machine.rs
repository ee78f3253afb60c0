//! One instance: as it is described, its health and its image.

use std::net::IpAddr;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    Instance, InstanceMetadataEndpointState, InstanceNetworkInterface, InstanceStatus, Reservation,
};
use ipnet::IpNet;

use super::reading::{address, gap_of, moment, network, not_visible, text};
use crate::aws::question::filter;
use crate::diagnose::{Gap, ImageFacts, InstanceFacts, ScheduledEvent, Status};
use crate::domain::InstanceId;

pub(super) const DESCRIBE_INSTANCES: &str = "ec2:DescribeInstances";
pub(super) const DESCRIBE_INSTANCE_STATUS: &str = "ec2:DescribeInstanceStatus";
pub(super) const DESCRIBE_IMAGES: &str = "ec2:DescribeImages";

/// The most events that are kept; more than a handful are never scheduled.
const EVENTS_MAX: usize = 16;

/// An instance and where it is in its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) facts: InstanceFacts,
    pub(super) owner: String,
    pub(super) image: String,
    /// The primary one first; there may be none (a terminated instance).
    pub(super) interfaces: Vec<Interface>,
}

/// A network interface of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) vpc: String,
    pub(super) subnet: String,
    pub(super) groups: Vec<GroupName>,
    pub(super) addresses: Vec<IpAddr>,
    /// Ranges that are delegated to it, as for containers.
    pub(super) delegated: Vec<IpNet>,
}

impl Interface {
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address) || self.delegated.iter().any(|range| range.contains(&address))
    }
}

/// A security group by id and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GroupName {
    pub(super) id: String,
    pub(super) name: String,
}

impl Described {
    /// The interface with that address, else the primary one.
    pub(super) fn interface(&self, with: Option<IpAddr>) -> Option<&Interface> {
        let has = |interface: &&Interface| with.is_some_and(|address| interface.has(address));
        self.interfaces.iter().find(has).or_else(|| self.interfaces.first())
    }

    /// All addresses: that one first, where it is among them, then those of its interface.
    pub(super) fn addresses_from(&self, with: Option<IpAddr>) -> Vec<IpAddr> {
        let first = self.interface(with);
        let used = with.filter(|address| first.is_some_and(|interface| interface.has(*address)));
        let of_interface = first.into_iter().flat_map(|interface| interface.addresses.iter().copied());
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in used.into_iter().chain(of_interface).chain(self.facts.addresses.iter().copied()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }
}

/// The instance with this id.
pub(super) async fn describe(client: Client, id: InstanceId) -> Result<Described, Gap> {
    let answer = client
        .describe_instances()
        .instance_ids(id.as_str())
        .send()
        .await
        .map_err(|error| gap_of(DESCRIBE_INSTANCES, &error))?;
    let found =
        answer.reservations.unwrap_or_default().into_iter().find_map(|reservation| of_id(reservation, &id));
    found.ok_or_else(|| not_visible(DESCRIBE_INSTANCES))
}

fn of_id(reservation: Reservation, id: &InstanceId) -> Option<Described> {
    let owner = text(reservation.owner_id.as_deref());
    let instances = reservation.instances.unwrap_or_default();
    let instance = instances.iter().find(|instance| instance.instance_id() == Some(id.as_str()))?;
    Some(described(owner, instance))
}

fn described(owner: String, instance: &Instance) -> Described {
    let interfaces = interfaces(instance);
    let mut addresses: Vec<IpAddr> =
        interfaces.iter().flat_map(|interface| interface.addresses.iter().copied()).collect();
    let also = [address(instance.private_ip_address()), address(instance.ipv6_address())];
    for address in also.into_iter().flatten() {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let state = instance.state().and_then(|state| state.name());
    let said = instance.state_reason().and_then(|reason| reason.message()).filter(|said| !said.is_empty());
    let metadata = instance.metadata_options();
    let switched_off = metadata.and_then(|options| options.http_endpoint())
        == Some(&InstanceMetadataEndpointState::Disabled);
    let facts = InstanceFacts {
        state: text(state.map(aws_sdk_ec2::types::InstanceStateName::as_str)),
        state_reason: text(said.or(instance.state_transition_reason())),
        launch_time: moment(instance.launch_time()),
        addresses,
        platform: text(instance.platform().map(aws_sdk_ec2::types::PlatformValues::as_str)),
        metadata_enabled: !switched_off,
    };
    Described { facts, owner, image: text(instance.image_id()), interfaces }
}

/// The interfaces in the order of their device index. What is said of the instance itself counts where it has none.
fn interfaces(instance: &Instance) -> Vec<Interface> {
    let mut found: Vec<&InstanceNetworkInterface> = instance.network_interfaces().iter().collect();
    found.sort_by_key(|interface| {
        interface.attachment().and_then(|attachment| attachment.device_index()).unwrap_or(i32::MAX)
    });
    let mut interfaces: Vec<Interface> = found.into_iter().map(interface).collect();
    if let (true, Some(vpc)) = (interfaces.is_empty(), instance.vpc_id()) {
        let addresses = [address(instance.private_ip_address()), address(instance.ipv6_address())];
        interfaces.push(Interface {
            vpc: text(Some(vpc)),
            subnet: text(instance.subnet_id()),
            groups: group_names(instance.security_groups()),
            addresses: addresses.into_iter().flatten().collect(),
            delegated: Vec::new(),
        });
    }
    interfaces
}

fn interface(interface: &InstanceNetworkInterface) -> Interface {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let primary = [interface.private_ip_address()].into_iter();
    let secondary = interface.private_ip_addresses().iter().map(|private| private.private_ip_address());
    let of_v6 = interface.ipv6_addresses().iter().map(|v6| v6.ipv6_address());
    for found in primary.chain(secondary).chain(of_v6).filter_map(address) {
        if !addresses.contains(&found) {
            addresses.push(found);
        }
    }
    let v4 = interface.ipv4_prefixes().iter().filter_map(|prefix| prefix.ipv4_prefix());
    let v6 = interface.ipv6_prefixes().iter().filter_map(|prefix| prefix.ipv6_prefix());
    Interface {
        vpc: text(interface.vpc_id()),
        subnet: text(interface.subnet_id()),
        groups: group_names(interface.groups()),
        addresses,
        delegated: v4.chain(v6).filter_map(network).collect(),
    }
}

fn group_names(groups: &[aws_sdk_ec2::types::GroupIdentifier]) -> Vec<GroupName> {
    let mut names: Vec<GroupName> = groups
        .iter()
        .map(|group| GroupName { id: text(group.group_id()), name: text(group.group_name()) })
        .filter(|group| !group.id.is_empty())
        .collect();
    names.sort();
    names.dedup_by(|one, other| one.id == other.id);
    names
}

/// Health checks and scheduled events, of instances in any state.
pub(super) async fn status(client: Client, id: InstanceId) -> Result<Status, Gap> {
    let answer = client
        .describe_instance_status()
        .instance_ids(id.as_str())
        .include_all_instances(true)
        .send()
        .await
        .map_err(|error| gap_of(DESCRIBE_INSTANCE_STATUS, &error))?;
    let found = answer.instance_statuses().iter().find(|status| status.instance_id() == Some(id.as_str()));
    found.map(status_of).ok_or_else(|| not_visible(DESCRIBE_INSTANCE_STATUS))
}

fn status_of(status: &InstanceStatus) -> Status {
    let system = status.system_status().and_then(|summary| summary.status());
    let instance = status.instance_status().and_then(|summary| summary.status());
    let volumes = status.attached_ebs_status().and_then(|summary| summary.status());
    let word =
        |status: Option<&aws_sdk_ec2::types::SummaryStatus>| text(status.map(|status| status.as_str()));
    let mut events: Vec<ScheduledEvent> = status.events().iter().filter_map(event).take(EVENTS_MAX).collect();
    events.sort_by_key(|event| event.not_before.unwrap_or(jiff::Timestamp::MAX));
    Status { system: word(system), instance: word(instance), volumes: word(volumes), events }
}

/// What is over stays listed for up to a week, marked in its description (EC2 User Guide, "Scheduled events").
fn event(event: &aws_sdk_ec2::types::InstanceStatusEvent) -> Option<ScheduledEvent> {
    let description = text(event.description());
    let is_over = ["[Completed]", "[Canceled]"].iter().any(|mark| description.starts_with(mark));
    let code = text(event.code().map(aws_sdk_ec2::types::EventCode::as_str));
    (!is_over).then(|| ScheduledEvent { code, description, not_before: moment(event.not_before()) })
}

/// An image, which is not visible where it is deregistered or was never shared with the account.
pub(super) async fn image(client: Client, id: String) -> Result<ImageFacts, Gap> {
    let answer = client
        .describe_images()
        .include_deprecated(true)
        .filters(filter("image-id", [id.as_str()]))
        .send()
        .await
        .map_err(|error| gap_of(DESCRIBE_IMAGES, &error))?;
    let found = answer.images().iter().find(|image| image.image_id() == Some(id.as_str()));
    let image = found.ok_or_else(|| not_visible(DESCRIBE_IMAGES))?;
    Ok(ImageFacts {
        name: text(image.name()),
        owner_alias: text(image.image_owner_alias()),
        platform: text(image.platform().map(aws_sdk_ec2::types::PlatformValues::as_str)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn interface(addresses: &[&str], delegated: &[&str]) -> Interface {
        let (vpc, subnet) = ("vpc-1".to_owned(), "subnet-1".to_owned());
        let addresses = addresses.iter().map(|address| ip(address)).collect();
        let delegated = delegated.iter().filter_map(|range| network(range)).collect();
        Interface { vpc, subnet, groups: Vec::new(), addresses, delegated }
    }

    /// A rule about one address is judged by the one that is dialled from.
    #[test]
    fn the_address_that_is_dialled_from_comes_first_whichever_it_is() {
        let interfaces =
            vec![interface(&["10.0.0.1", "10.0.0.2"], &[]), interface(&["10.0.7.1"], &["10.0.8.0/28"])];
        let facts = InstanceFacts {
            state: "running".to_owned(),
            state_reason: String::new(),
            launch_time: None,
            addresses: ["10.0.0.1", "10.0.0.2", "10.0.7.1"].map(ip).to_vec(),
            platform: String::new(),
            metadata_enabled: true,
        };
        let machine = Described { facts, owner: String::new(), image: String::new(), interfaces };
        for (from, order) in [
            (Some("10.0.0.2"), &["10.0.0.2", "10.0.0.1", "10.0.7.1"][..]),
            (Some("10.0.8.5"), &["10.0.8.5", "10.0.7.1", "10.0.0.1", "10.0.0.2"]),
            (Some("172.17.0.2"), &["10.0.0.1", "10.0.0.2", "10.0.7.1"]),
            (None, &["10.0.0.1", "10.0.0.2", "10.0.7.1"]),
        ] {
            let order: Vec<IpAddr> = order.iter().map(|address| ip(address)).collect();
            assert_eq!(machine.addresses_from(from.map(ip)), order, "{from:?}");
        }
    }
}
