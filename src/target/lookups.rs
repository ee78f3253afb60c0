//! Look-ups on a miss: one at a time per name, few at once, few a minute, and remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::catalogue::Catalogue;
use super::inventory::Lane;
use super::source::{SourceError, SourceErrorKind};
use crate::clock::SharedClock;
use crate::domain::{Target, TargetRef};

/// What a look-up came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) found: Vec<Arc<Target>>,
    /// Whether "nothing found" is to be believed.
    pub(super) complete: bool,
}

/// What the places answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) catalogues: Vec<Arc<Catalogue>>,
    pub(super) complete: bool,
    expires_at: Timestamp,
}

type Cell = Arc<OnceCell<Arc<Answer>>>;

#[derive(Debug)]
pub(super) struct Lookups {
    memory: Duration,
    clock: SharedClock,
    /// At most [`PLACES_AT_ONCE`] places are being asked.
    turns: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    cells: HashMap<String, Cell>,
    allowance: Allowance,
}

/// A token bucket: [`BURST`] look-ups at once, and one more each [`REFILL`].
#[derive(Debug)]
struct Allowance {
    left: u32,
    refilled_at: Timestamp,
}

/// Places asked at the same time, all look-ups together.
const PLACES_AT_ONCE: usize = 8;
/// Look-ups that may happen at once after a quiet time. A look-up costs each place one or two
/// calls out of EC2's bucket of 100 (20 a second), which others in the account share.
const BURST: u32 = 30;
/// One more look-up is allowed each second.
const REFILL: Duration = Duration::from_secs(1);
/// Names remembered at a time.
const NAMES_MAX: usize = 4096;

impl Lookups {
    pub(super) fn new(memory: Duration, clock: SharedClock) -> Self {
        let allowance = Allowance { left: BURST, refilled_at: clock.now() };
        let state = Mutex::new(State { cells: HashMap::new(), allowance });
        Self { memory, clock, turns: Arc::new(Semaphore::new(PLACES_AT_ONCE)), state }
    }

    /// The remembered answer, the one that is under way, or a new one; nothing when the allowance
    /// is used up.
    pub(super) async fn ask(
        &self,
        key: String,
        questions: Vec<(Arc<Lane>, Vec<TargetRef>)>,
        timeout: Duration,
    ) -> Option<Arc<Answer>> {
        let cell = self.cell(key)?;
        let answer = cell.get_or_init(|| async { Arc::new(self.ask_places(questions, timeout).await) });
        // Boxed: a look-up is rare, and every session's future would have to hold its size.
        Some(Arc::clone(Box::pin(answer).await))
    }

    /// If the one who asks goes away, the next who waits on the cell takes over.
    fn cell(&self, key: String) -> Option<Cell> {
        let now = self.clock.now();
        let mut state = self.lock();
        if let Some(cell) = state.cells.get(&key) {
            if cell.get().is_none_or(|answer| now < answer.expires_at) {
                return Some(Arc::clone(cell));
            }
            state.cells.remove(&key);
        }
        if state.cells.len() >= NAMES_MAX {
            state.cells.retain(|_, cell| cell.get().is_none_or(|answer| now < answer.expires_at));
        }
        if state.cells.len() >= NAMES_MAX || !state.allowance.take(now) {
            warn!("too many unknown target names; answering from the copies alone");
            return None;
        }
        let cell = Cell::default();
        state.cells.insert(key, Arc::clone(&cell));
        Some(cell)
    }

    async fn ask_places(&self, questions: Vec<(Arc<Lane>, Vec<TargetRef>)>, timeout: Duration) -> Answer {
        let mut asks = JoinSet::new();
        for (lane, names) in questions {
            let turns = Arc::clone(&self.turns);
            asks.spawn(async move {
                let asked = tokio::time::timeout(timeout, ask_place(&lane, &names, &turns)).await;
                let answer = asked.unwrap_or_else(|_| Err(timed_out(timeout)));
                (lane, answer)
            });
        }
        let now = self.clock.now();
        let mut answer = Answer { catalogues: Vec::new(), complete: true, expires_at: now };
        while let Some(joined) = asks.join_next().await {
            let Ok((lane, result)) = joined else { continue };
            let place = lane.source.place();
            match result {
                Ok(targets) => {
                    debug!(%place, found = targets.len(), "looked a target up");
                    answer.catalogues.push(Arc::new(Catalogue::new(place.clone(), now, targets)));
                }
                Err(error) => {
                    warn!(%place, kind = error.kind.label(), request_id = error.request_id, "look-up failed: {error}");
                    answer.complete &= lane.catalogue.load().is_some();
                }
            }
        }
        answer.expires_at = self.clock.now().saturating_add(self.memory).unwrap_or(Timestamp::MAX);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask_place(lane: &Lane, names: &[TargetRef], turns: &Semaphore) -> Result<Vec<Target>, SourceError> {
    let _turn = turns.acquire().await;
    let mut found = Vec::new();
    for name in names {
        found.extend(lane.source.lookup(name).await?);
    }
    // Two readings may bring the same machine.
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    Ok(found)
}

fn timed_out(timeout: Duration) -> SourceError {
    let text = format!("the look-up did not finish within {} ms", timeout.as_millis());
    SourceError::new(SourceErrorKind::Timeout, text)
}

impl Allowance {
    fn take(&mut self, now: Timestamp) -> bool {
        let since = Duration::try_from(now.duration_since(self.refilled_at)).unwrap_or_default();
        let refill = since.as_nanos() / REFILL.as_nanos();
        if refill > 0 {
            self.left = self.left.saturating_add(u32::try_from(refill).unwrap_or(BURST)).min(BURST);
            self.refilled_at = now;
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}
