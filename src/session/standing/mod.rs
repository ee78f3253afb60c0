//! Permission is continuous: what a permit carries lasts as long as the permit holds.
//!
//! ```text
//! users, policy, lists ─┐
//! another copy of EC2 ──┼─▶ keep ─(seats)▶ judge ─(findings)▶ a line in the audit, the order to end
//! every two seconds ────┘
//! ```
//!
//! Whatever uses a permit (a program, a forwarded connection, a place where a target listens, an agent, a display, a
//! jump that is passed through, a connection by the bastion, a look at somebody's terminal, the session itself) has a
//! [`Claim`] for as long as it does. So has each client's connection, which rests on who its guest is and on no permit.
//! What always holds:
//! - A claim is asked about again when users, keys, revocations, policy or what the copies of the inventory say change,
//!   once within two seconds of its coming, since something may have changed while it came, once when a copy comes that
//!   is newer than what was known of its machine, and every two seconds where a rule about that person and action reads
//!   the time.
//! - It is asked as everything is at that moment: the identity by the files, the machine by the newest copy, the same
//!   login and action.
//! - What does not hold any more ends, and nothing else does: a channel by its own permit; the session when the permit
//!   that opened it does not hold and none of its channels' does; the connection when its guest is known no more.
//! - A machine that is gone or replaced ends all that goes to it. A list that could not be had ends nothing.
//! - An answer that is as before leaves no trace.
//!
//! What is not here: what ending looks like (whoever holds the claim), and letting anything new begin.

mod claim;
mod judge;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::claim::Seat;
use self::judge::Finding;
use super::Services;
use crate::tasks::Tasks;

pub(super) use claim::{Claim, Claimed, Role};

/// How long the lines about what ends may take to be handed to the audit.
const ON_RECORD: Duration = Duration::from_secs(1);
/// How often claims are looked at that are new, or depend on the time.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The permits that are in use on this node, and who is here. Clones are of the same.
#[derive(Clone, Default)]
pub struct Standing(Arc<Inner>);

#[derive(Default)]
struct Inner {
    seats: Mutex<BTreeMap<u64, Arc<Seat>>>,
    next: AtomicU64,
    changed: Notify,
}

impl Standing {
    /// Says that users, policy or lists are others than before: every claim is asked about again.
    pub fn changed(&self) {
        self.0.changed.notify_one();
    }

    /// How many claims there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Seat>>> {
        self.0.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> u64 {
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("seats", &self.len()).finish()
    }
}

/// Which claims are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    /// Those whose machine no copy was new enough for, and those that are due.
    Unsure,
    /// Those that are new, and those whose answer may change with the time.
    Due,
}

impl Scope {
    fn concerns(self, seat: &Seat) -> bool {
        match self {
            Self::All => true,
            Self::Unsure => seat.is_unsure() || seat.is_due(),
            Self::Due => seat.is_due(),
        }
    }
}

/// Asks again whenever something has changed, until `stop`.
pub async fn keep(services: Arc<Services>, stop: CancellationToken) {
    let (mut copies, mut stored) = (services.inventory.changes(), services.inventory.copies_stored());
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let scope = tokio::select! {
            () = stop.cancelled() => return,
            () = services.standing.0.changed.notified() => Scope::All,
            Ok(()) = copies.changed() => Scope::All,
            Ok(()) = stored.changed() => Scope::Unsure,
            _ = look.tick() => Scope::Due,
        };
        ask_again(&services, scope).await;
    }
}

/// Asks about the claims there are, and ends what does not hold. One at a time: what changes meanwhile is seen by
/// the next.
async fn ask_again(services: &Arc<Services>, scope: Scope) {
    let seats: Vec<Arc<Seat>> = services.standing.seats().values().cloned().collect();
    if !seats.iter().any(|seat| scope.concerns(seat)) {
        return;
    }
    let own = Arc::clone(services);
    // Cedar may take some time over a thousand claims, and this thread carries other things.
    match tokio::task::spawn_blocking(move || judge::findings(&own, &seats, scope)).await {
        Ok(findings) => end(&services.tasks, findings).await,
        Err(fault) => {
            tracing::error!(%fault, "permits in use could not be asked about again; please report this");
        }
    }
}

/// Puts on record why, and gives the orders in their turn.
async fn end(tasks: &Tasks, mut findings: Vec<Finding>) {
    if findings.is_empty() {
        return;
    }
    findings.sort_by_key(Finding::turn);
    let findings = Arc::new(findings);
    let told = Arc::clone(&findings);
    end_after(tasks, async move { tell(&told).await }, &findings).await;
}

/// Gives the orders when that is told, or takes too long. It is told to its end beside: what is withdrawn meanwhile must
/// not wait for a disk that hangs.
async fn end_after(tasks: &Tasks, telling: impl Future<Output = ()> + Send + 'static, findings: &[Finding]) {
    let (done, all_told) = oneshot::channel::<Infallible>();
    tasks.spawn_named("withdrawals", async move {
        telling.await;
        drop(done);
    });
    // It ends whether or not that can be written; the failure is in the operator's log.
    let _in_time = tokio::time::timeout(ON_RECORD, all_told).await;
    findings.iter().for_each(Finding::give_order);
}

/// Each reason once, however many claims of a session it ends.
async fn tell(findings: &[Finding]) {
    let mut told = HashSet::new();
    for finding in findings {
        let session = finding.seat.story().session;
        tracing::info!(?session, why = %finding.detail, "a permit does not hold any more");
        let Some(event) = finding.event() else { continue };
        if told.insert((finding.seat.whole(), finding.what())) {
            let _on_record = finding.seat.story().tell(event).await;
        }
    }
}
