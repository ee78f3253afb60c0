//! The story of one client: the pipeline from an accepted stream to the last ending, top to bottom.
//!
//! ```text
//! stream ─entrance▶ Guest ─resolve▶ Target ─(policy)▶ Permit ─live▶ Upstream ─program▶ Outcome
//! ```
//!
//! Stages return values; this room calls them in order and writes the audit events. What always holds:
//! - No effect before its line is durable: nobody is let in, no key is pushed and no program is started
//!   unless the audit says so already. When the audit cannot be written, the thing does not happen.
//! - Each thing that starts on record ends on record: connection, session, channel, forward.
//! - A user reads sentences from `sentences` and from typed failures only; "unknown" and "not yours" are one.
//!
//! What is not here: how bytes move (`relay`), what SSH looks like (`ssh`), who decides (`policy`).

mod addressing;
mod cause;
mod choice;
mod client;
mod console;
mod entrance;
mod forward;
mod gateway;
mod house;
mod jump;
mod limits;
mod live;
mod menu;
mod oversight;
mod passthrough;
mod pipe;
mod prelude;
mod program;
mod recorded;
mod resolve;
mod roster;
mod sentences;
mod standing;
mod story;
#[cfg(test)]
mod tests;
mod visit;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::Log;
use crate::auth::Directory;
use crate::clock::SharedClock;
use crate::console::Archive;
use crate::diagnose::Surveyor;
use crate::domain::ServerAddress;
use crate::policy::Policy;
use crate::record::Recorders;
use crate::reload::Reloadable;
use crate::ssh::{HostKey, Limits, Offer, RekeyPolicy};
use crate::target::Inventory;
use crate::tasks::Tasks;
use crate::upstream::Connector;

pub use client::serve;
pub use gateway::Gateway;
pub use oversight::{Order, OrderKind, Orders, obey};
pub use roster::Roster;
pub use standing::{Standing, keep};

/// How sessions behave.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// From accept to the end of the first key exchange.
    pub handshake_timeout: Duration,
    /// From there to a successful login.
    pub login_grace: Duration,
    /// Failed attempts on one connection.
    pub auth_attempts_max: u32,
    /// Channels and keepalives.
    pub limits: Limits,
    /// The algorithms that clients may choose from, by jump too.
    pub offer: Offer,
    /// When keys are renewed.
    pub rekey: RekeyPolicy,
}

/// Everything a session calls on. Made once, shared by all.
#[derive(Debug)]
pub struct Services {
    /// Who is who.
    pub directory: Reloadable<Directory>,
    /// Who may do what.
    pub policy: Reloadable<Policy>,
    /// Which machines there are.
    pub inventory: Inventory,
    /// The way to them.
    pub connector: Connector,
    /// What the bastion connects to itself.
    pub gateway: Gateway,
    /// What records channels.
    pub recorders: Recorders,
    /// The sessions that are in use.
    pub roster: Roster,
    /// The permits that are in use.
    pub standing: Standing,
    /// The audit trail.
    pub log: Log,
    /// The time.
    pub clock: SharedClock,
    /// The bastion's host key.
    pub host_key: Arc<HostKey>,
    /// What vouches for every name it answers to.
    pub host_ca: Arc<HostKey>,
    /// The record, for those who ask about it.
    pub archive: Option<Archive>,
    /// What AWS says about why a target cannot be reached.
    pub surveyor: Arc<dyn Surveyor>,
    /// The most time that somebody whose connection has failed waits for the cause.
    pub diagnosis_patience: Duration,
    /// How clients reach the bastion, where that is not the address they connect to.
    pub address: Option<ServerAddress>,
    /// How sessions behave.
    pub settings: Settings,
    /// The tasks, and the order that ends what is left of them.
    pub tasks: Tasks,
}

/// An accepted TCP connection, from the listener.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The client's address and port.
    pub client: SocketAddr,
    /// Our address that it connected to.
    pub listener: SocketAddr,
}
