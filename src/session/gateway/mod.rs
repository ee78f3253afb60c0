//! `ssh -L`, `-W` and `-D` through the bastion alone: it dials a private address that policy allows.
//!
//! ```text
//! host:port ─find▶ Meaning ─choose (policy)▶ ConnectPermit ─reach▶ TCP ─pipe▶ Outcome
//! ```
//!
//! What always holds (decision 0007):
//! - What is dialled is the very address that was judged and decided about; a name is looked up once.
//! - Loopback, link-local and the like, and the bastion's own addresses, are never dialled, whatever a policy says.
//! - The decision is on record before anything is dialled.
//! - What is unknown and what is not yours read the same.
//!
//! What is not here: SSH to an instance, which is a jump, and forwarding through a session.

mod call;
mod choose;
mod find;
mod names;
mod refused;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use self::names::Names;
use crate::reachable;

pub(super) use call::{Call, SSH_PORT, serve};

/// What the bastion knows of itself and of names.
#[derive(Debug, Clone)]
pub struct Gateway {
    names: Names,
    listeners: Vec<IpAddr>,
    is_own: fn(IpAddr) -> std::io::Result<bool>,
}

impl Gateway {
    /// A gateway for a bastion that listens there.
    #[must_use]
    pub fn new(listeners: &[SocketAddr]) -> Self {
        let plain = |listener: &SocketAddr| listener.ip().to_canonical();
        Self {
            names: Names::of_the_system(),
            listeners: listeners.iter().map(plain).filter(|address| !address.is_unspecified()).collect(),
            is_own: reachable::is_own,
        }
    }
}
