//! Instances: what they are, how they do, and what their consoles show.

use std::net::IpAddr;

use super::describe::Described;
use super::ec2::document;
use super::http::Caller;
use super::images::write_platform;
use super::select::{Filter, Query, QueryError};
use super::world::{Health, World, WorldInstance};
use super::xml::Xml;
use crate::domain::InstanceId;

/// What nobody can say of an instance that does not run.
const NOT_APPLICABLE: &str = "not-applicable";

/// An instance in its world, which knows the names of its groups and what its image is.
#[derive(Debug)]
pub(super) struct Inhabitant<'a> {
    world: &'a World,
    instance: &'a WorldInstance,
}

/// The caller's instances, once every id that was asked for has the form of one.
pub(super) fn inhabitants<'a>(
    query: &Query,
    world: &'a World,
    caller: &Caller,
) -> Result<Vec<Inhabitant<'a>>, QueryError> {
    query.list("InstanceId").iter().try_for_each(|id| parse_id(id).map(drop))?;
    let own = world.instances.iter().filter(|instance| caller.owns(instance));
    Ok(own.map(|instance| Inhabitant { world, instance }).collect())
}

/// How the caller's instances do: of those that run, unless all are asked for.
pub(super) fn checked<'a>(
    query: &Query,
    world: &'a World,
    caller: &Caller,
) -> Result<Vec<Checked<'a>>, QueryError> {
    let all = query.get("IncludeAllInstances") == Some("true");
    let own = inhabitants(query, world, caller)?.into_iter().map(|one| one.instance);
    Ok(own.filter(|instance| all || instance.state == "running").map(Checked).collect())
}

fn parse_id(text: &str) -> Result<InstanceId, QueryError> {
    InstanceId::parse(text)
        .ok_or_else(|| QueryError::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{text}\"")))
}

impl Described for Inhabitant<'_> {
    const SET: &'static str = "reservationSet";
    const IDS: &'static str = "InstanceId";
    const NOT_FOUND: (&'static str, &'static str) = ("InvalidInstanceID.NotFound", "instance ID");
    const PAGES_WITH_IDS: bool = false;

    fn id(&self) -> &str {
        self.instance.id.as_str()
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        let instance = self.instance;
        let address = instance.private_ip.to_string();
        Some(match filter.name.as_str() {
            "instance-state-name" => filter.fits(&instance.state),
            "instance-id" => filter.fits(instance.id.as_str()),
            "private-ip-address" | "network-interface.addresses.private-ip-address" => {
                instance.private_ip.is_ipv4() && filter.fits(&address)
            }
            "ipv6-address" => instance.private_ip.is_ipv6() && filter.fits(&address),
            "private-dns-name" => filter.fits(&instance.private_dns),
            "vpc-id" => filter.fits(&instance.vpc),
            "subnet-id" => filter.fits(&instance.subnet),
            "instance.group-id" | "network-interface.group-id" => {
                instance.groups.iter().any(|group| filter.fits(group))
            }
            "availability-zone" => filter.fits(&instance.availability_zone),
            "image-id" => filter.fits(&instance.image),
            "owner-id" => filter.fits(&instance.account),
            "tag-key" => instance.tags.keys().any(|key| filter.fits(key)),
            name => instance.tags.get(name.strip_prefix("tag:")?).is_some_and(|value| filter.fits(value)),
        })
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("reservationId", &self.instance.id.as_str().replacen("i-", "r-", 1));
        xml.text("ownerId", &self.instance.account);
        xml.list("instancesSet", [self], |xml, one| one.write_instance(xml));
    }
}

impl Inhabitant<'_> {
    fn write_instance(&self, xml: &mut Xml) {
        let instance = self.instance;
        xml.text("instanceId", instance.id.as_str());
        xml.text("imageId", &instance.image);
        xml.element("instanceState", |xml| write_state(xml, &instance.state));
        if let Some((code, _)) = instance.state_reason.split_once(": ") {
            xml.element("stateReason", |xml| {
                xml.text("code", code);
                xml.text("message", &instance.state_reason);
            });
        }
        xml.text("privateDnsName", &instance.private_dns);
        xml.text("dnsName", "");
        xml.text("instanceType", "t4g.nano");
        xml.text("launchTime", &format!("{:.3}", instance.launch_time));
        xml.element("placement", |xml| {
            xml.text("availabilityZone", &instance.availability_zone);
            xml.text("tenancy", "default");
        });
        let image = self.world.images.iter().find(|image| image.id == instance.image);
        write_platform(xml, image.map_or("", |image| &image.platform));
        xml.text("architecture", "arm64");
        self.write_place(xml);
        xml.list("networkInterfaceSet", [()], |xml, ()| self.write_interface(xml));
        xml.list("tagSet", &instance.tags, |xml, (key, value)| {
            xml.text("key", key);
            xml.text("value", value);
        });
        xml.element("metadataOptions", |xml| {
            xml.text("state", "applied");
            xml.text("httpTokens", "required");
            xml.text("httpEndpoint", if instance.metadata_enabled { "enabled" } else { "disabled" });
            xml.text("httpPutResponseHopLimit", "1");
        });
    }

    /// What an instance and its interface have in common, but for the address's own elements.
    fn write_place(&self, xml: &mut Xml) {
        xml.text("subnetId", &self.instance.subnet);
        xml.text("vpcId", &self.instance.vpc);
        match self.instance.private_ip {
            IpAddr::V4(address) => xml.text("privateIpAddress", &address.to_string()),
            IpAddr::V6(address) => xml.text("ipv6Address", &address.to_string()),
        }
        xml.list("groupSet", &self.instance.groups, |xml, group| {
            xml.text("groupId", group);
            xml.text("groupName", self.world.group_name(group));
        });
    }

    fn write_interface(&self, xml: &mut Xml) {
        let instance = self.instance;
        xml.text("networkInterfaceId", &instance.id.as_str().replacen("i-", "eni-", 1));
        xml.text("ownerId", &instance.account);
        xml.text("status", "in-use");
        xml.text("interfaceType", "interface");
        self.write_place(xml);
        match instance.private_ip {
            IpAddr::V4(address) => xml.list("privateIpAddressesSet", [address], |xml, address| {
                xml.text("privateIpAddress", &address.to_string());
                xml.text("primary", "true");
            }),
            IpAddr::V6(address) => xml.list("ipv6AddressesSet", [address], |xml, address| {
                xml.text("ipv6Address", &address.to_string());
            }),
        }
        xml.element("attachment", |xml| {
            xml.text("attachmentId", &instance.id.as_str().replacen("i-", "eni-attach-", 1));
            xml.text("deviceIndex", "0");
            xml.text("status", "attached");
        });
    }
}

fn write_state(xml: &mut Xml, state: &str) {
    xml.text("code", state_code(state));
    xml.text("name", state);
}

/// The low byte of the state code (EC2 API reference, `InstanceState`).
fn state_code(state: &str) -> &'static str {
    match state {
        "pending" => "0",
        "running" => "16",
        "shutting-down" => "32",
        "terminated" => "48",
        "stopping" => "64",
        "stopped" => "80",
        _ => "255",
    }
}

/// An instance, as `DescribeInstanceStatus` tells of it.
#[derive(Debug)]
pub(super) struct Checked<'a>(&'a WorldInstance);

impl Checked<'_> {
    /// What the checks say: of an instance that does not run they say nothing.
    fn health(&self) -> Health {
        if self.0.state == "running" {
            return self.0.health.clone();
        }
        let unknown = || NOT_APPLICABLE.to_owned();
        Health {
            system: unknown(),
            instance: unknown(),
            volumes: unknown(),
            events: self.0.health.events.clone(),
        }
    }
}

impl Described for Checked<'_> {
    const SET: &'static str = "instanceStatusSet";
    const IDS: &'static str = "InstanceId";
    const NOT_FOUND: (&'static str, &'static str) = ("InvalidInstanceID.NotFound", "instance ID");
    const PAGES_WITH_IDS: bool = false;

    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "instance-state-name" => filter.fits(&self.0.state),
            "availability-zone" => filter.fits(&self.0.availability_zone),
            "instance-status.status" => filter.fits(&self.health().instance),
            "system-status.status" => filter.fits(&self.health().system),
            "event.code" => self.0.health.events.iter().any(|event| filter.fits(&event.code)),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        let health = self.health();
        xml.text("instanceId", self.0.id.as_str());
        xml.text("availabilityZone", &self.0.availability_zone);
        xml.list("eventsSet", &health.events, |xml, event| {
            xml.text("instanceEventId", "instance-event-0de30000000000001");
            xml.text("code", &event.code);
            xml.text("description", &event.description);
            xml.text("notBefore", &format!("{:.3}", event.not_before));
        });
        xml.element("instanceState", |xml| write_state(xml, &self.0.state));
        let all = [
            ("systemStatus", health.system),
            ("instanceStatus", health.instance),
            ("attachedEbsStatus", health.volumes),
        ];
        for (name, status) in all {
            xml.element(name, |xml| {
                xml.text("status", &status);
                let passed = if status == "ok" { "passed" } else { "failed" };
                let details = (status != NOT_APPLICABLE).then_some(passed);
                xml.list("details", details, |xml, passed| {
                    xml.text("name", "reachability");
                    xml.text("status", passed);
                });
            });
        }
    }
}

/// The console of an instance shows its host key, as cloud-init prints it on the first boot.
pub(super) fn console_output(
    query: &Query,
    world: &World,
    caller: &Caller,
    request_id: &str,
) -> Result<String, QueryError> {
    let id = parse_id(query.get("InstanceId").unwrap_or_default())?;
    let instance = world.instance(&id).filter(|instance| caller.owns(instance)).ok_or_else(|| {
        QueryError::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
    })?;
    let output = instance.host_key.as_ref().map(|key| {
        format!(
            "cloud-init: first boot\r\n-----BEGIN SSH HOST KEY KEYS-----\r\n{key}\r\n-----END SSH HOST KEY KEYS-----\r\n"
        )
    });
    Ok(document(query.action(), request_id, |xml| {
        xml.text("instanceId", id.as_str());
        xml.text("timestamp", &world.now().to_string());
        xml.text("output", &data_encoding::BASE64.encode(output.unwrap_or_default().as_bytes()));
    }))
}
