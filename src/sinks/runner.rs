//! One sink at work: it follows the journal, delivers, keeps its position, and gives up what is too much.
//!
//! What always holds: lines go out in order, and the position is never ahead of what was delivered; one batch is in memory.
//! What it does not do: know what a line looks like to its receiver, or wait for another sink.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::destination::{Delivered, Destination, Failure};
use super::journal::{Journal, first_within};
use super::observer::Observer;
use super::position::{Gap, Position, PositionFile};
use crate::audit::{Entry, Event, JournalLine, Log};

/// The most lines of one delivery.
pub(super) const LINES_MAX: usize = 512;
/// The most bytes of one delivery, beyond its first line.
pub(super) const BYTES_MAX: usize = 512 * 1024;
/// The longest that one delivery may take.
const DELIVERY: Duration = Duration::from_secs(30);
/// How often the position is written down at most: each time costs a sync or two.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is tried to put a loss on record.
const TELL_INTERVAL: Duration = Duration::from_secs(10);
/// The longest that a sink may take for what is left when the daemon stops.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(4);
/// How much of the past is read again at the start, where a destination wants it.
const PAST_BYTES_MAX: u64 = 64 << 20;

/// One sink.
#[derive(Debug)]
pub(super) struct Runner<J, D> {
    journal: J,
    destination: D,
    terms: Terms,
    committed: watch::Receiver<u64>,
    /// What is being delivered; the first line is the one after `sent`.
    batch: Vec<JournalLine>,
    /// The last line that was handed over, or given up.
    sent: u64,
    /// The last line of the position file.
    saved: u64,
    /// Nothing before this line is delivered again: it was given up.
    floor: u64,
    untold: Option<Gap>,
    /// As the position file has it.
    saved_untold: Option<Gap>,
    backoff: Backoff,
    next_save: Instant,
    next_tell: Instant,
}

/// What a sink is called and how it may behave.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) name: Arc<str>,
    /// This node's name.
    pub(super) node: Arc<str>,
    pub(super) position: PositionFile,
    /// The most bytes that may wait.
    pub(super) spool_max: u64,
    /// Where losses go on record.
    pub(super) log: Log,
    pub(super) observer: Arc<dyn Observer>,
    /// Someone rotated files.
    pub(super) reopen: Arc<Notify>,
}

impl std::fmt::Debug for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terms").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<J: Journal, D: Destination> Runner<J, D> {
    /// A sink at its position.
    pub(super) fn new(journal: J, destination: D, terms: Terms, position: Option<&Position>) -> Self {
        let seq = position.map_or(0, |position| position.seq);
        Self {
            committed: journal.committed(),
            journal,
            destination,
            terms,
            batch: Vec::new(),
            sent: seq,
            saved: seq,
            floor: 0,
            untold: position.and_then(|position| position.untold),
            saved_untold: position.and_then(|position| position.untold),
            backoff: Backoff::default(),
            next_save: Instant::now(),
            next_tell: Instant::now(),
        }
    }

    /// Works until it is told to stop, then delivers what is left, as far as it goes quickly.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.begin().await;
        while self.step(&stop).await.is_continue() {}
        let caught_up = timeout(LAST_WORDS, self.catch_up()).await;
        if !matches!(caught_up, Ok(true)) {
            let waiting = self.waiting();
            tracing::warn!(sink = %self.terms.name, waiting, "a sink stops before it has delivered every line; it goes on at the next start");
        }
        if timeout(LAST_WORDS, self.destination.close()).await.is_err() {
            tracing::debug!(sink = %self.terms.name, "the receiver did not say goodbye");
        }
        if timeout(LAST_WORDS, self.save()).await.is_err() {
            tracing::warn!(sink = %self.terms.name, "a sink's position is not written down: some lines go again at the next start");
        }
    }

    async fn begin(&mut self) {
        let committed = *self.committed.borrow();
        if let Some(reached) = self.destination.reached().await
            && (self.sent..=committed).contains(&reached)
        {
            self.sent = reached;
        }
        if self.sent > committed {
            tracing::warn!(sink = %self.terms.name, position = self.sent, last = committed,
                "the journal ends before the sink's position, so it is another one: the sink begins with its first line");
            (self.sent, self.saved) = (0, 0);
        }
        if self.destination.wants_the_past()
            && let Err(error) = self.recall().await
        {
            tracing::warn!(sink = %self.terms.name, %error, "the journal's past cannot be read");
        }
    }

    /// Reads what was delivered in earlier runs, as far as it is there, for those who need to know.
    async fn recall(&mut self) -> std::io::Result<()> {
        let within = PAST_BYTES_MAX.saturating_add(self.journal.bytes_after(self.sent));
        let mut at = first_within(&self.journal, 0, self.sent, within);
        while at < self.sent {
            let lines = self.journal.read(at, LINES_MAX, BYTES_MAX).await?;
            let Some(last) = lines.last() else { break };
            at = last.seq;
            lines.iter().filter(|line| line.seq <= self.sent).for_each(|line| self.destination.recall(line));
        }
        Ok(())
    }

    async fn step(&mut self, stop: &CancellationToken) -> ControlFlow<()> {
        self.give_up_what_is_too_much().await;
        self.tell().await;
        if self.next_save <= Instant::now() {
            self.save().await;
        }
        match self.fetch().await {
            Ok(true) => {}
            Ok(false) => return self.idle(stop).await,
            Err(failure) => return self.wait_after(failure, stop).await,
        }
        let outcome = tokio::select! {
            biased;
            outcome = within(DELIVERY, self.destination.deliver(&self.batch)) => outcome,
            () = after(stop, LAST_WORDS) => return ControlFlow::Break(()),
        };
        match outcome {
            Ok(delivered) => {
                self.succeeded(delivered);
                ControlFlow::Continue(())
            }
            Err(failure) => self.wait_after(failure, stop).await,
        }
    }

    /// Sees to it that there are lines to deliver; says whether there are any.
    async fn fetch(&mut self) -> Result<bool, Failure> {
        if !self.batch.is_empty() {
            return Ok(true);
        }
        self.committed.borrow_and_update();
        let lines = self.journal.read(self.sent, LINES_MAX, BYTES_MAX).await;
        self.batch = lines.map_err(|error| Failure::new(format!("the journal cannot be read: {error}")))?;
        let Some(first) = self.batch.first() else { return Ok(false) };
        let before = first.seq.saturating_sub(1);
        if self.sent > 0 && before > self.sent {
            self.give_up_through(before, "the journal has them no longer").await;
        }
        Ok(true)
    }

    async fn idle(&mut self, stop: &CancellationToken) -> ControlFlow<()> {
        let unsaved = self.saved < self.sent || self.untold.is_some();
        let next_save =
            if self.untold.is_some() { self.next_save.max(self.next_tell) } else { self.next_save };
        tokio::select! {
            biased;
            () = stop.cancelled() => return ControlFlow::Break(()),
            () = self.terms.reopen.notified() => {
                if timeout(DELIVERY, self.destination.reopen()).await.is_err() {
                    tracing::warn!(sink = %self.terms.name, "the file of a sink could not be opened again in time");
                }
            }
            changed = self.committed.changed() => if changed.is_err() {
                // Nobody writes any more; what follows is the order to stop.
                stop.cancelled().await;
            },
            () = sleep_until(next_save), if unsaved => {}
        }
        ControlFlow::Continue(())
    }

    fn succeeded(&mut self, delivered: Delivered) {
        let lines = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
        self.sent = self.batch.last().map_or(self.sent, |line| line.seq);
        self.batch.clear();
        let (name, observer) = (&self.terms.name, &self.terms.observer);
        observer.delivered(name, lines.saturating_sub(delivered.refused));
        if delivered.refused > 0 {
            observer.refused(name, delivered.refused);
            let why = delivered.why.as_deref().unwrap_or("it did not say why");
            tracing::error!(sink = %name, lines = delivered.refused, why, "the receiver of a sink refused lines for good");
        }
        if self.backoff.succeeded() {
            tracing::info!(sink = %name, "a sink delivers again");
        }
    }

    async fn wait_after(&mut self, failure: Failure, stop: &CancellationToken) -> ControlFlow<()> {
        let wait = self.failed(&failure);
        tokio::select! {
            biased;
            () = stop.cancelled() => ControlFlow::Break(()),
            () = sleep(wait) => ControlFlow::Continue(()),
        }
    }

    /// Takes note of a failure; says how long to wait.
    fn failed(&mut self, failure: &Failure) -> Duration {
        let name = &self.terms.name;
        self.terms.observer.failed(name);
        if self.backoff.is_failing() {
            tracing::debug!(sink = %name, error = %failure, "a sink cannot deliver");
        } else {
            tracing::warn!(sink = %name, error = %failure,
                "a sink cannot deliver; its lines wait in the journal, and it is tried again");
        }
        if let Some(seq) = failure.resume_after {
            self.go_on_after(seq);
        }
        self.backoff.after_failure(failure.retry_after, rand::random())
    }

    fn go_on_after(&mut self, seq: u64) {
        let seq = seq.max(self.floor);
        if seq < self.sent {
            self.batch.clear();
        }
        self.batch.retain(|line| line.seq > seq);
        self.sent = seq;
    }

    async fn give_up_what_is_too_much(&mut self) {
        let bytes = self.journal.bytes_after(self.sent);
        self.terms.observer.waiting(&self.terms.name, self.waiting(), bytes);
        if bytes <= self.terms.spool_max {
            return;
        }
        // A little more than needed: one loss now and then, and none at each line.
        let keep = self.terms.spool_max - self.terms.spool_max / 16;
        let through = first_within(&self.journal, self.sent, *self.committed.borrow(), keep);
        self.give_up_through(through, "more lines waited than spool_max_mib allows").await;
    }

    async fn give_up_through(&mut self, seq: u64, why: &'static str) {
        if seq <= self.sent {
            return;
        }
        let gap = Gap::between(self.sent, seq);
        tracing::error!(sink = %self.terms.name, lines = gap.lines, from = gap.from, to = gap.to, why,
            "a sink gave up lines: its receiver will not get them");
        self.terms.observer.given_up(&self.terms.name, gap.lines);
        self.untold = Some(gap.and(self.untold));
        self.batch.retain(|line| line.seq > seq);
        (self.sent, self.floor) = (seq, seq);
        // A loss that is written down is told even if this process ends here.
        self.save().await;
        self.tell().await;
    }

    /// Puts a loss on record. Where that fails it stays to be told.
    async fn tell(&mut self) {
        let Some(gap) = self.untold else { return };
        if self.next_tell > Instant::now() {
            return;
        }
        self.next_tell = Instant::now() + TELL_INTERVAL;
        let event = Event::SinkOverflowed {
            sink: self.terms.name.as_ref().into(),
            lines: gap.lines,
            from: gap.from,
            to: gap.to,
        };
        match self.terms.log.record(Entry::of_daemon(event)).await {
            Ok(()) => {
                self.untold = None;
                self.next_tell = Instant::now();
                self.save().await;
            }
            Err(error) => {
                tracing::error!(sink = %self.terms.name, %error, "a sink's loss is not on record yet")
            }
        }
    }

    /// Writes the position down, where there is a new one.
    async fn save(&mut self) {
        self.next_save = Instant::now() + SAVE_INTERVAL;
        if (self.sent, self.untold) == (self.saved, self.saved_untold) {
            return;
        }
        let settled = within(DELIVERY, self.destination.settled(self.sent)).await;
        let settled = match settled {
            Ok(settled) => settled.clamp(self.floor, self.sent.max(self.floor)),
            Err(failure) => {
                self.failed(&failure);
                return;
            }
        };
        let position = Position::new(&self.terms.node, settled.max(self.saved), self.untold);
        if (position.seq, position.untold) == (self.saved, self.saved_untold) {
            return;
        }
        let file = self.terms.position.clone();
        let (seq, untold) = (position.seq, position.untold);
        let written = tokio::task::spawn_blocking(move || file.write(&position)).await;
        match written.map_err(std::io::Error::other).and_then(|written| written) {
            Ok(()) => {
                (self.saved, self.saved_untold) = (seq, untold);
                self.journal.passed(seq);
            }
            Err(error) => {
                tracing::error!(sink = %self.terms.name, %error,
                    "a sink's position cannot be written; after a restart it delivers lines again");
            }
        }
    }

    /// Delivers what is left; says whether nothing is.
    async fn catch_up(&mut self) -> bool {
        loop {
            match self.fetch().await {
                Ok(true) => {}
                Ok(false) => return true,
                Err(failure) => {
                    self.failed(&failure);
                    return false;
                }
            }
            match self.destination.deliver(&self.batch).await {
                Ok(delivered) => self.succeeded(delivered),
                Err(failure) => {
                    self.failed(&failure);
                    return false;
                }
            }
        }
    }

    fn waiting(&self) -> u64 {
        self.committed.borrow().saturating_sub(self.sent)
    }
}

async fn within<T>(
    longest: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let late = || Failure::new(format!("there was no answer within {} seconds", longest.as_secs()));
    timeout(longest, answer).await.unwrap_or_else(|_| Err(late()))
}

async fn after(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    sleep(grace).await;
}

#[cfg(test)]
mod tests;
