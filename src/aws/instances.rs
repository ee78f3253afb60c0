//! EC2's instances → our targets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use aws_sdk_ec2::types::{Instance, Reservation};
use jiff::Timestamp;
use tracing::{debug, warn};

use crate::domain::{InstanceId, Target};
use crate::target::{Place, port_from_tags};

/// Where sshd listens: the port in a tag, else a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRule {
    /// The tag's name, such as `drawbridge:port`.
    pub port_tag: String,
    /// The port of instances without that tag.
    pub port_default: u16,
}

impl Default for PortRule {
    fn default() -> Self {
        Self { port_tag: "drawbridge:port".to_owned(), port_default: 22 }
    }
}

/// The targets of one reservation. What has no private address cannot be dialled and is left out.
pub(super) fn targets(
    place: &Place,
    port_rule: &PortRule,
    reservation: Reservation,
) -> impl Iterator<Item = Target> {
    let account = reservation.owner_id.unwrap_or_default();
    let instances = reservation.instances.unwrap_or_default();
    instances.into_iter().filter_map(move |instance| target(place, port_rule, &account, instance))
}

fn target(place: &Place, port_rule: &PortRule, account: &str, instance: Instance) -> Option<Target> {
    let id = InstanceId::parse(instance.instance_id().unwrap_or_default())?;
    let Some(private_ip) = private_address(&instance) else {
        debug!(%place, target_id = %id, "left out: no private address");
        return None;
    };
    let other_ips = other_addresses(&instance, private_ip);
    let state = instance.state().and_then(|state| state.name()).map(|name| name.as_str().to_owned());
    let tags: BTreeMap<String, String> = instance
        .tags
        .unwrap_or_default()
        .into_iter()
        .filter_map(|tag| Some((tag.key?, tag.value?)))
        .collect();
    let port =
        port_from_tags(&tags, &port_rule.port_tag, port_rule.port_default).unwrap_or_else(|complaint| {
            warn!(%place, target_id = %id, "{complaint}");
            port_rule.port_default
        });
    Some(Target {
        id,
        name: tags.get("Name").filter(|name| is_printable(name)).cloned(),
        account: account.to_owned(),
        account_alias: place.account_alias.clone(),
        region: place.region.clone(),
        availability_zone: instance
            .placement
            .and_then(|placement| placement.availability_zone)
            .unwrap_or_default(),
        vpc: instance.vpc_id.unwrap_or_default(),
        subnet: instance.subnet_id.unwrap_or_default(),
        image: instance.image_id.unwrap_or_default(),
        image_name: None,
        platform: instance.platform_details.unwrap_or_default(),
        private_ip,
        other_ips,
        private_dns: instance.private_dns_name.filter(|name| !name.is_empty()),
        launch_time: instance.launch_time.and_then(|at| Timestamp::from_second(at.secs()).ok()),
        port,
        state: state.unwrap_or_default(),
        tags,
    })
}

/// Names are shown in terminals, so one that could steer them is no name.
fn is_printable(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

/// The private IPv4 address, else the first IPv6 address.
fn private_address(instance: &Instance) -> Option<IpAddr> {
    let v4 = instance.private_ip_address().and_then(|text| text.parse().ok());
    let v6 = || instance.ipv6_address().and_then(|text| text.parse().ok());
    let of_interfaces = || {
        instance
            .network_interfaces()
            .iter()
            .flat_map(|interface| interface.ipv6_addresses())
            .find_map(|address| address.ipv6_address()?.parse().ok())
    };
    v4.or_else(v6).or_else(of_interfaces)
}

/// The other addresses of all interfaces. Ranges that are delegated to an interface are not among them.
fn other_addresses(instance: &Instance, dialled: IpAddr) -> Vec<IpAddr> {
    let of_instance = [instance.private_ip_address(), instance.ipv6_address()].into_iter().flatten();
    let of_interfaces = instance.network_interfaces().iter().flat_map(|interface| {
        let v4 = interface.private_ip_addresses().iter().filter_map(|private| private.private_ip_address());
        let v6 = interface.ipv6_addresses().iter().filter_map(|address| address.ipv6_address());
        interface.private_ip_address().into_iter().chain(v4).chain(v6)
    });
    let read = of_instance.chain(of_interfaces).filter_map(|text| text.parse::<IpAddr>().ok());
    let all: BTreeSet<IpAddr> = read.filter(|address| *address != dialled).collect();
    all.into_iter().collect()
}
