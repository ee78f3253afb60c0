//! The EC2 Query API: `DescribeInstances`, `DescribeImages` and `GetConsoleOutput`.

use std::net::IpAddr;

use super::http::Caller;
use super::select::{Filter, Query, QueryError};
use super::world::{Image, World, WorldInstance};
use super::xml::Xml;
use crate::domain::InstanceId;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// Answers one request with an XML document.
pub(super) fn answer(
    query: &Query,
    world: &World,
    caller: &Caller,
    request_id: &str,
) -> Result<String, QueryError> {
    match query.get("Action").unwrap_or_default() {
        "DescribeInstances" => describe_instances(query, world, caller, request_id),
        "DescribeImages" => describe_images(query, world, request_id),
        "GetConsoleOutput" => get_console_output(query, world, caller, request_id),
        other => Err(unknown_action(other)),
    }
}

/// An error as EC2 writes it.
pub(super) fn error_document(error: &QueryError, request_id: &str) -> String {
    let mut xml = Xml::new();
    xml.element("Response", |xml| {
        xml.element("Errors", |xml| {
            xml.element("Error", |xml| {
                xml.text("Code", &error.code);
                xml.text("Message", &error.message);
            });
        });
        xml.text("RequestID", request_id);
    });
    xml.finish()
}

pub(super) fn unknown_action(action: &str) -> QueryError {
    QueryError::new("InvalidAction", format!("The action {action} is not valid for this web service."))
}

fn describe_instances(
    query: &Query,
    world: &World,
    caller: &Caller,
    request_id: &str,
) -> Result<String, QueryError> {
    let ids = instance_ids(query, world, caller)?;
    let filters = query.filters();
    let mut found = Vec::new();
    for instance in world.instances.iter().filter(|instance| caller.owns(instance)) {
        let named = ids.is_empty() || ids.contains(&instance.id);
        if named && passes(instance, &filters)? {
            found.push(instance);
        }
    }
    let (page, next) = query.page(found, !ids.is_empty())?;
    Ok(document("DescribeInstancesResponse", request_id, |xml| {
        xml.list("reservationSet", page, |xml, instance| {
            xml.text("reservationId", &instance.id.as_str().replacen("i-", "r-", 1));
            xml.text("ownerId", &instance.account);
            xml.list("instancesSet", [instance], write_instance);
        });
        write_next(xml, next.as_deref());
    }))
}

/// The ids that were asked for, each of which must exist.
fn instance_ids(query: &Query, world: &World, caller: &Caller) -> Result<Vec<InstanceId>, QueryError> {
    let parse = |text: String| {
        let id = InstanceId::parse(&text).ok_or_else(|| {
            QueryError::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{text}\""))
        })?;
        match world.instance(&id).filter(|instance| caller.owns(instance)) {
            Some(_) => Ok(id),
            None => {
                let message = format!("The instance ID '{id}' does not exist");
                Err(QueryError::new("InvalidInstanceID.NotFound", message))
            }
        }
    };
    query.list("InstanceId").into_iter().map(parse).collect()
}

/// Whether an instance passes every filter.
fn passes(instance: &WorldInstance, filters: &[Filter]) -> Result<bool, QueryError> {
    for filter in filters {
        let fits = match filter.name.as_str() {
            "instance-state-name" => filter.fits(&instance.state),
            "instance-id" => filter.fits(instance.id.as_str()),
            "private-ip-address" | "network-interface.addresses.private-ip-address" => {
                instance.private_ip.is_ipv4() && filter.fits(&instance.private_ip.to_string())
            }
            "ipv6-address" => instance.private_ip.is_ipv6() && filter.fits(&instance.private_ip.to_string()),
            "private-dns-name" => filter.fits(&instance.private_dns),
            "vpc-id" => filter.fits(&instance.vpc),
            "subnet-id" => filter.fits(&instance.subnet),
            "availability-zone" => filter.fits(&instance.availability_zone),
            "image-id" => filter.fits(&instance.image),
            "tag-key" => instance.tags.keys().any(|key| filter.fits(key)),
            name => match name.strip_prefix("tag:") {
                Some(key) => instance.tags.get(key).is_some_and(|value| filter.fits(value)),
                None => return Err(filter.unknown()),
            },
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write_instance(xml: &mut Xml, instance: &WorldInstance) {
    xml.text("instanceId", instance.id.as_str());
    xml.text("imageId", &instance.image);
    xml.element("instanceState", |xml| {
        xml.text("code", state_code(&instance.state));
        xml.text("name", &instance.state);
    });
    xml.text("privateDnsName", &instance.private_dns);
    xml.text("dnsName", "");
    xml.text("instanceType", "t4g.nano");
    xml.text("launchTime", "2026-11-01T08:00:00.000Z");
    xml.element("placement", |xml| {
        xml.text("availabilityZone", &instance.availability_zone);
        xml.text("tenancy", "default");
    });
    xml.text("platformDetails", "Linux/UNIX");
    xml.text("architecture", "arm64");
    xml.text("subnetId", &instance.subnet);
    xml.text("vpcId", &instance.vpc);
    match instance.private_ip {
        IpAddr::V4(address) => xml.text("privateIpAddress", &address.to_string()),
        IpAddr::V6(address) => xml.text("ipv6Address", &address.to_string()),
    }
    xml.list("tagSet", &instance.tags, |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
    xml.element("metadataOptions", |xml| {
        xml.text("state", "applied");
        xml.text("httpTokens", "required");
        xml.text("httpEndpoint", "enabled");
        xml.text("httpPutResponseHopLimit", "1");
    });
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

fn describe_images(query: &Query, world: &World, request_id: &str) -> Result<String, QueryError> {
    let ids = query.list("ImageId");
    if let Some(id) = ids.iter().find(|id| !world.images.iter().any(|image| image.id == **id)) {
        let message = format!("The image id '[{id}]' does not exist");
        return Err(QueryError::new("InvalidAMIID.NotFound", message));
    }
    let filters = query.filters();
    let mut found = Vec::new();
    for image in &world.images {
        if (ids.is_empty() || ids.contains(&image.id)) && image_passes(image, &filters)? {
            found.push(image);
        }
    }
    let (page, next) = query.page(found, !ids.is_empty())?;
    Ok(document("DescribeImagesResponse", request_id, |xml| {
        xml.list("imagesSet", page, |xml, image| {
            xml.text("imageId", &image.id);
            xml.text("name", &image.name);
            xml.text("imageOwnerAlias", &image.owner_alias);
            xml.text("imageState", "available");
            xml.text("platformDetails", "Linux/UNIX");
        });
        write_next(xml, next.as_deref());
    }))
}

fn image_passes(image: &Image, filters: &[Filter]) -> Result<bool, QueryError> {
    for filter in filters {
        let fits = match filter.name.as_str() {
            "image-id" => filter.fits(&image.id),
            "name" => filter.fits(&image.name),
            "owner-alias" => filter.fits(&image.owner_alias),
            _ => return Err(filter.unknown()),
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The console of an instance shows its host key, as cloud-init prints it on the first boot.
fn get_console_output(
    query: &Query,
    world: &World,
    caller: &Caller,
    request_id: &str,
) -> Result<String, QueryError> {
    let text = query.get("InstanceId").unwrap_or_default();
    let id = InstanceId::parse(text)
        .ok_or_else(|| QueryError::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{text}\"")))?;
    let instance = world.instance(&id).filter(|instance| caller.owns(instance)).ok_or_else(|| {
        QueryError::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
    })?;
    let output = instance.host_key.as_ref().map(|key| {
        format!(
            "cloud-init: first boot\r\n-----BEGIN SSH HOST KEY KEYS-----\r\n{key}\r\n-----END SSH HOST KEY KEYS-----\r\n"
        )
    });
    Ok(document("GetConsoleOutputResponse", request_id, |xml| {
        xml.text("instanceId", id.as_str());
        xml.text("timestamp", &world.now().to_string());
        xml.text("output", &data_encoding::BASE64.encode(output.unwrap_or_default().as_bytes()));
    }))
}

fn document(name: &str, request_id: &str, body: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::new();
    xml.root(name, Some(NAMESPACE), |xml| {
        xml.text("requestId", request_id);
        body(xml);
    });
    xml.finish()
}

fn write_next(xml: &mut Xml, next: Option<&str>) {
    if let Some(token) = next {
        xml.text("nextToken", token);
    }
}
