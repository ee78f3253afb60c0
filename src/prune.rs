//! `drawbridge prune`: takes away what is older than it has to be kept.
//!
//! Of each node in the store a prefix of its chain of events goes, with what was derived from it, and the files of the
//! recordings that no session has any more. What is left can still be verified: a statement, signed with the audit
//! key, says from where on the chain begins on purpose.
//!
//! What always holds: no session loses a line before all of it is old; at any moment, killed or not, the store is
//! what its lines say; a file goes only after the index has let go of it, and is remembered until it is gone.
//!
//! What this room does not do: touch the journal (its followers decide what may go), files of exports and sinks, or
//! anything on other nodes' disks.

mod files;
mod report;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::domain::{NodeName, RecordingId};
use crate::store::{PrunePlan, Pruned, Store, StoreError};
pub use files::{AllFiles, Bin, OwnFiles, Removal};
pub use report::Report;

/// How often one slice is tried where the database is busy.
const TRIES: u32 = 5;
/// The longest and shortest pause after a slice. Others write too.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));
/// Recordings that are looked at together.
const PAGE: u32 = 200;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What is older goes.
    pub before: Timestamp,
    /// The time of the run.
    pub now: Timestamp,
    /// Only say what would go.
    pub dry_run: bool,
}

/// Why a run ended early. What had gone by then had gone properly.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The store did not answer.
    #[error("{0}; what has gone so far has gone properly, and the next run goes on from there")]
    Store(#[from] StoreError),
    /// A signed statement could not be written down.
    #[error(
        "the statement about what goes could not be written: {0}; it is a mistake in drawbridge, please report it"
    )]
    Statement(#[from] serde_json::Error),
}

/// Makes the signed statement that a node's lines are gone up to one of them: its number, its text, the time.
pub type Sign<'a> =
    dyn Fn(&NodeName, u64, &str, Timestamp) -> Result<String, serde_json::Error> + Send + Sync + 'a;

/// Says what can go, and takes it away unless it is a dry run.
///
/// # Errors
/// When the store does not answer. What had gone by then had gone properly.
pub async fn run(store: &Store, sign: &Sign<'_>, bin: &dyn Bin, order: Order) -> Result<Report, PruneError> {
    let mut report = Report::new(order);
    for node in store.nodes().await? {
        let plan = store.plan_prune(&node, order.before).await?;
        let gone =
            if order.dry_run { Pruned::default() } else { prune(store, sign, &plan, order.now).await? };
        report.node(plan, gone);
    }
    if order.dry_run {
        return Ok(report);
    }
    store.prune_leavings(order.before).await?;
    remove_files(store, bin, order.now, &mut report).await?;
    Ok(report)
}

/// Takes away one node's lines, slice by slice.
async fn prune(
    store: &Store,
    sign: &Sign<'_>,
    plan: &PrunePlan,
    now: Timestamp,
) -> Result<Pruned, PruneError> {
    let mut sum = Pruned::default();
    if plan.through == 0 {
        return Ok(sum);
    }
    // Made up front: a statement that cannot be written down must not be found out within a transaction.
    sign(&plan.node, plan.through, "", now)?;
    loop {
        let begun = Instant::now();
        let Some(slice) = slice(store, sign, plan, now).await? else { return Ok(sum) };
        sum.events = sum.events.saturating_add(slice.events);
        sum.sessions = sum.sessions.saturating_add(slice.sessions);
        sum.recordings = sum.recordings.saturating_add(slice.recordings);
        // As long a pause as the slice took: a daemon that writes meanwhile gets its turn.
        sleep(begun.elapsed().clamp(PAUSE.0, PAUSE.1)).await;
    }
}

async fn slice(
    store: &Store,
    sign: &Sign<'_>,
    plan: &PrunePlan,
    now: Timestamp,
) -> Result<Option<Pruned>, PruneError> {
    let signed = |seq: u64, line: &str| sign(&plan.node, seq, line, now).unwrap_or_default();
    let mut tries = 1;
    loop {
        match store.prune_slice(&plan.node, plan.through, now, &signed).await {
            Err(error) if tries < TRIES => {
                tracing::warn!(%error, tries, "the store was busy; trying again");
                tries += 1;
                sleep(PAUSE.1).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// Removes the files of recordings that are in no index any more, those of earlier runs included.
async fn remove_files(
    store: &Store,
    bin: &dyn Bin,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), PruneError> {
    let mut after: Option<RecordingId> = None;
    loop {
        let page = store.discarded(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for recording in &page {
            let removal = bin.remove(recording, now).await;
            if matches!(removal, Removal::Removed | Removal::Absent) {
                store.forget_discarded(recording.id).await?;
            }
            report.file(recording, removal);
        }
    }
}
