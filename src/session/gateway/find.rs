//! A host and a port, as they were typed → the places that may be meant.

use std::net::IpAddr;
use std::sync::Arc;

use super::Gateway;
use crate::domain::{Destination, Identity, Target, TargetRef};
use crate::policy::Policy;
use crate::target::{Inventory, Resolution};

/// What may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A name of these instances: one must be meant.
    Instances(Vec<Destination>),
    /// An address, or a name of several: the first that may be reached will do. Each comes with every instance that
    /// has it, for private addresses are not unique, and may only be reached by whoever may reach all of them.
    Addresses(Vec<Vec<Destination>>),
}

/// Why nothing is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nowhere {
    Malformed,
    Unknown,
    /// The inventory cannot tell.
    Unavailable,
}

impl Meaning {
    /// Whether it is about addresses that no instance has.
    pub(super) fn is_nobody_s(&self) -> bool {
        match self {
            Self::Instances(_) => false,
            Self::Addresses(addresses) => addresses.iter().flatten().all(|place| place.instance.is_none()),
        }
    }

    /// Whether the port is where one of the instances speaks SSH.
    pub(super) fn is_ssh(&self) -> bool {
        let speaks =
            |place: &Destination| place.instance.as_ref().is_some_and(|instance| instance.port == place.port);
        match self {
            Self::Instances(places) => places.iter().any(speaks),
            Self::Addresses(addresses) => addresses.iter().flatten().any(speaks),
        }
    }
}

/// Finds what may be meant. Names of instances come first, so that nobody's DNS can take one over; strangers to
/// `connect` drive no look-up of a name.
pub(super) async fn find(
    gateway: &Gateway,
    inventory: &Inventory,
    policy: &Policy,
    identity: &Arc<Identity>,
    host: &str,
    port: u16,
) -> Result<Meaning, Nowhere> {
    let wanted = TargetRef::parse(host).map_err(|_| Nowhere::Malformed)?;
    let at = |address: IpAddr| at(inventory, host, address, port);
    if let Some(address) = literal(host) {
        return Ok(Meaning::Addresses(vec![at(address)?]));
    }
    let found = match inventory.known(&wanted) {
        // The copy may be older than the start of the machine.
        Resolution::Found(target) if target.state != "running" => inventory.resolve(&wanted).await,
        known @ (Resolution::Found(_)
        | Resolution::Ambiguous(_)
        | Resolution::Unknown
        | Resolution::Unavailable) => known,
    };
    match found {
        Resolution::Found(_) | Resolution::Ambiguous(_) => {
            return Ok(Meaning::Instances(named(host, port, found)));
        }
        Resolution::Unavailable => return Err(Nowhere::Unavailable),
        Resolution::Unknown => {}
    }
    if is_localhost(host) {
        return Ok(Meaning::Addresses(vec![at(std::net::Ipv4Addr::LOCALHOST.into())?]));
    }
    if policy.may_connect(identity) {
        let addresses = gateway.names.addresses(host).await;
        if !addresses.is_empty() {
            return Ok(Meaning::Addresses(addresses.into_iter().map(at).collect::<Result<_, _>>()?));
        }
    }
    match inventory.resolve(&wanted).await {
        Resolution::Unknown => Err(Nowhere::Unknown),
        Resolution::Unavailable => Err(Nowhere::Unavailable),
        found @ (Resolution::Found(_) | Resolution::Ambiguous(_)) => {
            Ok(Meaning::Instances(named(host, port, found)))
        }
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    let plain = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    plain.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// RFC 6761 §6.3: these are loopback everywhere, so that nothing needs to be asked.
fn is_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn instances(found: Resolution) -> Vec<Arc<Target>> {
    match found {
        Resolution::Found(target) => vec![target],
        Resolution::Ambiguous(targets) => targets,
        Resolution::Unknown | Resolution::Unavailable => Vec::new(),
    }
}

fn named(host: &str, port: u16, found: Resolution) -> Vec<Destination> {
    let place = |target: Arc<Target>| Destination {
        host: host.to_owned(),
        address: target.private_ip,
        port,
        instance: Some(target),
    };
    instances(found).into_iter().map(place).collect()
}

/// The same address of each of them, be it the one that sessions dial or another.
fn owned(host: &str, address: IpAddr, port: u16, found: Resolution) -> Vec<Destination> {
    named(host, port, found).into_iter().map(|place| Destination { address, ..place }).collect()
}

/// One address and every instance that has it, or nobody's.
fn at(inventory: &Inventory, host: &str, address: IpAddr, port: u16) -> Result<Vec<Destination>, Nowhere> {
    let nobody_s = || vec![Destination { host: host.to_owned(), address, port, instance: None }];
    let Ok(wanted) = TargetRef::parse(&address.to_string()) else { return Ok(nobody_s()) };
    match inventory.known(&wanted) {
        Resolution::Unavailable => Err(Nowhere::Unavailable),
        Resolution::Unknown => Ok(nobody_s()),
        found @ (Resolution::Found(_) | Resolution::Ambiguous(_)) => Ok(owned(host, address, port, found)),
    }
}
