//! Why can a target not be reached, and would the packets arrive? Pure functions over plain facts.
//!
//! [`Facts`] are what AWS says of both ends and of the network between; a [`Surveyor`] gathers them, and [`diagnose`]
//! makes the checklist of them ([0017](../../docs/decisions/0017-diagnosis.md)). What always holds:
//!
//! - **Nothing is guessed.** What could not be asked is [`Known::Not`], with the permission or the fault that kept it, and
//!   a check that needs it says "could not check". Knowing less never turns a sound check into a broken one, nor the
//!   other way round (`hiding_a_fact_never_turns_a_verdict_round`).
//! - **A cause explains what was seen.** A security group is never blamed for a refused connection
//!   (`what_cannot_explain_a_failure_is_never_blamed_for_it`).
//! - **Contradictions are no faults of ours.** Facts that cannot all be true end in a sentence.
//! - **It is linear in what AWS said**: each prefix list is read once for each of the two addresses.
//!
//! What is not here: who may ask (policy action `diagnose`), calls to AWS (`aws`), how it is told (`console`, `session`).
//! Nor what AWS does not tell: firewalls on the machines, the configuration of sshd, appliances on the way.

mod checks;
mod facts;
mod subject;
mod testimony;
mod verdict;
mod words;

use std::sync::Arc;
use std::time::Duration;

pub use crate::domain::Verdict;
pub use checks::{diagnose, diagnose_login, diagnose_reached};
pub use facts::{
    Acl, AclEntry, Bastion, Direction, Facts, Gap, GapReason, Group, Grouped, ImageFacts, InstanceFacts,
    Known, NetworkEnd, Peer, Peering, PortRange, Protocol, Route, RouteTable, RouteVia, Rule, ScheduledEvent,
    Status, Transit,
};
pub use subject::Subject;
pub use verdict::{Check, Diagnosis, Symptom};

use crate::domain::Target;
use crate::tasks::BoxFuture;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

/// Gathers facts.
pub trait Surveyor: Send + Sync + std::fmt::Debug {
    /// What is known of the way to a target when `patience` is over at the latest. What has not answered by then is a
    /// gap; nothing fails.
    fn survey<'a>(&'a self, target: &'a Arc<Target>, patience: Duration) -> BoxFuture<'a, Facts>;
}

/// Knows nothing: where AWS is not asked.
#[derive(Debug, Clone, Copy)]
pub struct Unasked;

impl Surveyor for Unasked {
    fn survey<'a>(&'a self, target: &'a Arc<Target>, _patience: Duration) -> BoxFuture<'a, Facts> {
        Box::pin(std::future::ready(Facts::unknown(Arc::clone(target), &Gap::new("", GapReason::NotAsked))))
    }
}
