//! One permit in use, and the order to end what uses it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::watch;

use super::super::entrance::Guest;
use super::super::limits::Tightening;
use super::super::story::Story;
use super::Standing;
use crate::domain::{ConnectionId, Ending, RecordMode, SessionId};
use crate::policy::{ConnectPermit, Limits, Permit, RuleId};
use crate::relay::Stop;

/// A permit of either kind.
#[derive(Debug, Clone)]
pub(in crate::session) enum Claimed {
    /// About a machine.
    Work(Permit),
    /// For the bastion to connect.
    Connect(ConnectPermit),
    /// None: to be here, which who they are is enough for.
    Presence,
}

/// What a permit is in use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Role {
    /// The session as a whole: the permit that opened it.
    Session,
    /// Something that goes on: a program, a forward, a place where a target listens.
    Work,
    /// Something that a program may use beside, and that is nothing without one.
    Beside,
    /// The client's connection, with whatever goes on on it: a menu, an answer of the console, nothing at all.
    Connection,
}

/// The part of a claim that whoever asks again sees.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    guest: Arc<Guest>,
    story: Story,
    claimed: Claimed,
    role: Role,
    limits: Tightening,
    /// What holds for its recording, where it has one or could have.
    recorded: Mutex<Option<RecordMode>>,
    /// Nobody has asked about it since it came, or the answer may change with the time.
    due: AtomicBool,
    /// No copy of the inventory was new enough to say what became of its machine.
    unsure: AtomicBool,
    order: watch::Sender<Option<(Ending, &'static str)>>,
    detail: OnceLock<String>,
}

/// A permit in use, for whoever uses it; asked about again until it is dropped.
#[derive(Debug)]
pub(in crate::session) struct Claim {
    standing: Standing,
    seat: Arc<Seat>,
}

impl Standing {
    /// Notes that somebody is here, for as long as what this returns lives.
    pub(in crate::session) fn stay(&self, guest: &Arc<Guest>, story: &Story) -> Claim {
        let limits = Tightening::new(Limits::default());
        self.claim(guest, story, Claimed::Presence, Role::Connection, &limits)
    }

    /// Notes that a permit is in use. Its limits tighten those.
    pub(in crate::session) fn claim(
        &self,
        guest: &Arc<Guest>,
        story: &Story,
        claimed: Claimed,
        role: Role,
        limits: &Tightening,
    ) -> Claim {
        if let Some(own) = claimed.limits() {
            limits.tighten(own);
        }
        let seat = Arc::new(Seat {
            number: self.next(),
            guest: Arc::clone(guest),
            story: story.clone(),
            claimed,
            role,
            limits: limits.clone(),
            recorded: Mutex::new(None),
            due: AtomicBool::new(true),
            unsure: AtomicBool::new(true),
            order: watch::Sender::new(None),
            detail: OnceLock::new(),
        });
        self.seats().insert(seat.number, Arc::clone(&seat));
        Claim { standing: self.clone(), seat }
    }
}

impl Claimed {
    pub(super) fn limits(&self) -> Option<&Limits> {
        match self {
            Self::Work(permit) => Some(permit.limits()),
            Self::Connect(permit) => Some(permit.limits()),
            Self::Presence => None,
        }
    }

    /// The rules that permitted it; none where no permit is needed.
    pub(super) fn rules(&self) -> &[RuleId] {
        match self {
            Self::Work(permit) => permit.rules(),
            Self::Connect(permit) => permit.rules(),
            Self::Presence => &[],
        }
    }
}

impl Claim {
    /// The order to end, for a relay.
    pub(in crate::session) fn stop(&self) -> Stop {
        self.seat.order.subscribe()
    }

    /// Whether it does not hold any more.
    pub(in crate::session) fn has_ended(&self) -> bool {
        self.seat.order.borrow().is_some()
    }

    /// Whether what uses it is recorded: where it is not, a rule that wants that ends it.
    pub(in crate::session) fn is_recorded(&self, mode: RecordMode) {
        *self.seat.recorded.lock().unwrap_or_else(PoisonError::into_inner) = Some(mode);
        self.seat.set_due(true);
    }

    /// The limits of what uses it.
    pub(in crate::session) fn limits(&self) -> Tightening {
        self.seat.limits.clone()
    }

    /// Waits until it does not hold any more.
    pub(in crate::session) fn ended(&self) -> impl Future<Output = (Ending, &'static str)> + use<> {
        ordered(self.stop())
    }

    /// Ends it as if it did not hold any more, for tests.
    #[cfg(test)]
    pub(in crate::session) fn dangerous_end(&self, order: (Ending, &'static str)) {
        self.seat.give_order(order);
    }

    /// Why it does not, for the record.
    pub(in crate::session) fn detail(&self) -> Option<&str> {
        self.seat.detail.get().map(String::as_str)
    }

    /// Takes the session's order to end for its own, for as long as this is polled.
    pub(in crate::session) async fn heed(&self, session: Stop) -> Infallible {
        let order = ordered(session).await;
        self.seat.give_order(order);
        pending().await
    }
}

/// Waits for an order.
async fn ordered(mut order: Stop) -> (Ending, &'static str) {
    match order.wait_for(Option::is_some).await.map(|order| *order) {
        Ok(Some(order)) => order,
        // Nobody is left who could give the order.
        Ok(None) | Err(_) => pending().await,
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.standing.seats().remove(&self.seat.number);
    }
}

impl Seat {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }

    pub(super) fn story(&self) -> &Story {
        &self.story
    }

    pub(super) fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// What it is a part of: a session, or a connection by the bastion.
    pub(super) fn whole(&self) -> (ConnectionId, Option<SessionId>) {
        (self.story.connection, self.story.session)
    }

    pub(super) fn has_order(&self) -> bool {
        self.order.borrow().is_some()
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.load(Ordering::Relaxed)
    }

    pub(super) fn set_due(&self, due: bool) {
        self.due.store(due, Ordering::Relaxed);
    }

    pub(super) fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::Relaxed)
    }

    pub(super) fn set_unsure(&self, unsure: bool) {
        self.unsure.store(unsure, Ordering::Relaxed);
    }

    pub(super) fn recorded(&self) -> Option<RecordMode> {
        *self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tighten(&self, limits: &Limits) {
        self.limits.tighten(limits);
    }

    /// Why it ends, for the record; the first reason stays.
    pub(super) fn note_detail(&self, detail: &str) {
        self.detail.get_or_init(|| detail.to_owned());
    }

    /// The first order stays.
    pub(super) fn give_order(&self, order: (Ending, &'static str)) {
        self.order.send_if_modified(|given| {
            let first = given.is_none();
            if first {
                *given = Some(order);
            }
            first
        });
    }
}
