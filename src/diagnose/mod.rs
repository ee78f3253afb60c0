//! Why can a target not be reached, and would the packets arrive? Pure functions over plain facts.
//!
//! [`Facts`] are what AWS says of both ends and of the network between; a [`Surveyor`] gathers them. What always
//! holds: nothing is guessed. What could not be asked is [`Known::Not`], with the permission or the fault that kept it,
//! and a check that needs it says "could not check". No fact is changed, no AWS call is made here.
//!
//! What is not here: who may ask (policy action `diagnose`), calls to AWS (`aws`), how it is told (`console`, `session`).

mod facts;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use facts::{
    Acl, AclEntry, Bastion, Direction, Facts, Gap, GapReason, Group, Grouped, ImageFacts, InstanceFacts,
    Known, NetworkEnd, Peer, Peering, PortRange, Protocol, Route, RouteTable, RouteVia, Rule, ScheduledEvent,
    Status, Transit,
};

use crate::domain::Target;

/// Gathers facts.
pub trait Surveyor: Send + Sync + std::fmt::Debug {
    /// What is known of the way to a target when `patience` is over at the latest. What has not answered by then is a
    /// gap; nothing fails.
    fn survey<'a>(
        &'a self,
        target: &'a Arc<Target>,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Facts> + Send + 'a>>;
}

/// Knows nothing: where AWS is not asked.
#[derive(Debug, Clone, Copy)]
pub struct Unasked;

impl Surveyor for Unasked {
    fn survey<'a>(
        &'a self,
        target: &'a Arc<Target>,
        _patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Facts> + Send + 'a>> {
        Box::pin(std::future::ready(Facts::unknown(Arc::clone(target), &Gap::new("", GapReason::NotAsked))))
    }
}
