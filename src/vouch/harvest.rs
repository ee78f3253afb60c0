//! Fetches the host keys of instances as they are discovered: what stands on a console is lost after a while.
//!
//! Every running instance without a pin is looked after once; one that was started a short while ago is looked after
//! again until cloud-init has written its keys. What the console says is pinned. Nothing rests on it: a key that was
//! not fetched here is looked for at the first connection.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::chain::Chain;
use super::known::KnownKeys;
use super::pin::{PinBoard, PinError, PinnedKey};
use super::reader::{ConsoleFault, ConsoleReader, Unread, ask_console};
use crate::clock::SharedClock;
use crate::domain::{PinVoucher, Target};
use crate::signature::KeyKind;
use crate::target::{Inventory, Place};

/// How eagerly consoles are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HarvestSettings {
    /// Instances that are looked after at the same time.
    pub at_once: usize,
    /// Between two consoles: AWS has one allowance for all calls of this kind.
    pub pace: Duration,
    /// The longest that one console is waited for.
    pub patience: Duration,
    /// How long after its start an instance may still be about to write its keys.
    pub young: Duration,
    /// Between two looks at the same instance, at first; doubles each time.
    pub pause_first: Duration,
    /// And at most.
    pub pause_max: Duration,
    /// How long a place is left alone in which consoles may not be read.
    pub pause_denied: Duration,
}

impl Default for HarvestSettings {
    fn default() -> Self {
        Self {
            at_once: 4,
            pace: Duration::from_millis(250),
            patience: Duration::from_secs(20),
            young: Duration::from_mins(20),
            pause_first: Duration::from_secs(15),
            pause_max: Duration::from_mins(3),
            pause_denied: Duration::from_mins(10),
        }
    }
}

/// The most often that one instance is looked after, however young it is.
const LOOKS_MAX: u32 = 16;

/// Puts on record what was pinned.
pub trait PinLedger: Send + Sync + std::fmt::Debug {
    /// This machine has this pin from here on.
    fn pinned<'a>(
        &'a self,
        target: &'a Target,
        pin: &'a PinnedKey,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// Pins what the consoles of new instances say.
#[derive(Debug)]
pub struct Harvest {
    /// The instances.
    pub inventory: Inventory,
    /// The chain that will judge them.
    pub chain: Chain,
    /// Their consoles.
    pub consoles: Arc<dyn ConsoleReader>,
    /// Where their keys are pinned.
    pub pins: Arc<dyn PinBoard>,
    /// Where that is put on record.
    pub ledger: Arc<dyn PinLedger>,
    /// The time.
    pub clock: SharedClock,
    /// How eagerly.
    pub settings: HarvestSettings,
}

/// One instance that is to be looked after.
#[derive(Debug, Clone)]
struct Task {
    target: Arc<Target>,
    /// How often it was, so far.
    looks: u32,
}

/// What a look at an instance gave.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It has a pin, or there is nothing to be had.
    Settled,
    /// There are no keys on the console.
    Silent,
    /// The console cannot be read, for the moment.
    Unavailable,
    /// Consoles may not be read there.
    Denied,
}

/// Who is known, and who is to be looked after when.
#[derive(Debug, Default)]
struct Book {
    known: HashSet<Machine>,
    /// By time, young ones first, then in order.
    due: BTreeMap<(Instant, bool, u64), Task>,
    count: u64,
    closed: BTreeMap<Place, Instant>,
}

type Machine = (String, String, String);

impl Harvest {
    /// Looks after instances until told to stop.
    pub async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(Arc::new(self).tend_all()).await;
    }

    async fn tend_all(self: Arc<Self>) {
        let mut changes = self.inventory.changes();
        let (mut book, mut at_work) = (Book::default(), JoinSet::new());
        let pace = Arc::new(Mutex::new(paced(self.settings.pace)));
        self.note(&mut book);
        loop {
            while at_work.len() < self.settings.at_once {
                let Some(task) = book.next(Instant::now()) else { break };
                let (harvest, pace) = (Arc::clone(&self), Arc::clone(&pace));
                at_work.spawn(async move {
                    let outcome = harvest.look(&task.target, &pace).await;
                    (task, outcome)
                });
            }
            let next = if at_work.len() < self.settings.at_once { book.next_at() } else { None };
            tokio::select! {
                Some(ended) = at_work.join_next() => match ended {
                    Ok((task, outcome)) => self.afterwards(&mut book, task, &outcome),
                    Err(failure) => warn!(%failure, "looking after an instance's host key failed"),
                },
                changed = changes.changed() => match changed {
                    Ok(()) => self.note(&mut book),
                    // Whoever held the inventory is gone.
                    Err(_) => return,
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Takes up who is new, and lets go of who is gone.
    fn note(&self, book: &mut Book) {
        let wanted = |target: &&Arc<Target>| {
            target.state == "running"
                && !target.platform.starts_with("Windows")
                && self.chain.asks_the_console(target, false)
        };
        let all = self.inventory.all();
        let present: HashSet<Machine> = all.iter().filter(wanted).map(|target| machine(target)).collect();
        book.known.retain(|known| present.contains(known));
        for target in all.iter().filter(wanted) {
            if book.known.insert(machine(target)) {
                let task = Task { target: Arc::clone(target), looks: 0 };
                book.put(Instant::now(), !self.is_young(target), task);
            }
        }
    }

    fn is_young(&self, target: &Target) -> bool {
        let young = jiff::SignedDuration::try_from(self.settings.young).unwrap_or(jiff::SignedDuration::MAX);
        target.launch_time.is_some_and(|started| self.clock.now().duration_since(started) < young)
    }

    /// One look at one instance: is it pinned, and what does its console say?
    async fn look(&self, target: &Target, pace: &Mutex<Interval>) -> Outcome {
        match self.pins.pin(target).await {
            Ok(None) => {}
            Ok(Some(_)) => return Outcome::Settled,
            Err(error) => return unusable(target, &error),
        }
        pace.lock().await.tick().await;
        match timeout(self.settings.patience, ask_console(&*self.consoles, target)).await {
            Ok(Ok(Some(known))) => self.pin(target, &known).await,
            Ok(Ok(None)) => Outcome::Silent,
            Ok(Err(Unread::Contents(contradiction))) => {
                warn!(target = %target.id, "host key: the console output {contradiction}; nothing is pinned");
                Outcome::Settled
            }
            Ok(Err(Unread::Fault(fault))) => self.failed(target, &fault),
            Err(_) => Outcome::Unavailable,
        }
    }

    fn failed(&self, target: &Target, fault: &ConsoleFault) -> Outcome {
        match fault {
            ConsoleFault::Denied { .. } => {
                let minutes = self.settings.pause_denied.as_secs() / 60;
                warn!(
                    account = target.account_alias,
                    region = target.region,
                    minutes,
                    "host keys of new instances cannot be read from their consoles: {fault}"
                );
                Outcome::Denied
            }
            ConsoleFault::Throttled(_) | ConsoleFault::Unavailable(_) => {
                debug!(target = %target.id, "host key: the console output cannot be read: {fault}");
                Outcome::Unavailable
            }
        }
    }

    /// Pins the best key that the console gives whole. Where it gives fingerprints alone, the first connection
    /// compares them.
    async fn pin(&self, target: &Target, known: &KnownKeys) -> Outcome {
        let rank = |kind: Option<KeyKind>| KeyKind::ALL.iter().position(|other| Some(*other) == kind);
        let whole = known.all().iter().filter_map(|key| Some((key.kind, key.blob.as_deref()?)));
        let Some((_, blob)) = whole.min_by_key(|(kind, _)| rank(*kind)) else { return Outcome::Settled };
        match self.pins.remember(target, blob, PinVoucher::Console, self.clock.now()).await {
            Ok(pin) if pin.vouched_by == PinVoucher::Console => {
                info!(
                    target = %target.id, account = target.account, region = target.region,
                    fingerprint = %pin.fingerprint, "host key pinned as the console output says"
                );
                self.ledger.pinned(target, &pin).await;
                Outcome::Settled
            }
            Ok(_) => Outcome::Settled,
            Err(error) => unusable(target, &error),
        }
    }

    /// What follows from a look.
    fn afterwards(&self, book: &mut Book, task: Task, outcome: &Outcome) {
        let (now, looks) = (Instant::now(), task.looks.saturating_add(1));
        let again = match outcome {
            Outcome::Settled => false,
            Outcome::Silent => self.is_young(&task.target),
            Outcome::Unavailable => true,
            Outcome::Denied => {
                book.closed.insert(place(&task.target), now + self.settings.pause_denied);
                // Being turned away is no look.
                book.put(now + self.settings.pause_denied, true, task);
                return;
            }
        };
        if !again || looks >= LOOKS_MAX || !book.known.contains(&machine(&task.target)) {
            return;
        }
        let doubled = self.settings.pause_first.saturating_mul(2_u32.saturating_pow(looks.saturating_sub(1)));
        let young = self.is_young(&task.target);
        book.put(now + doubled.min(self.settings.pause_max), !young, Task { looks, ..task });
    }
}

impl Book {
    fn put(&mut self, at: Instant, old: bool, task: Task) {
        self.count = self.count.wrapping_add(1);
        self.due.insert((at, old, self.count), task);
    }

    /// The next one that is due, is still there, and is in a place where consoles may be read.
    fn next(&mut self, now: Instant) -> Option<Task> {
        loop {
            let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
            let ((_, old, _), task) = entry.remove_entry();
            if !self.known.contains(&machine(&task.target)) {
                continue;
            }
            match self.closed.get(&place(&task.target)).copied() {
                Some(until) if until > now => self.put(until, old, task),
                Some(_) | None => return Some(task),
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _, _), _)| *at)
    }
}

fn paced(pace: Duration) -> Interval {
    let mut interval = interval(pace.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn unusable(target: &Target, error: &PinError) -> Outcome {
    warn!(target = %target.id, %error, "the host key of a new instance cannot be pinned");
    Outcome::Unavailable
}

fn machine(target: &Target) -> Machine {
    (target.account.clone(), target.region.clone(), target.id.as_str().to_owned())
}

fn place(target: &Target) -> Place {
    Place { account_alias: target.account_alias.clone(), region: target.region.clone() }
}

#[cfg(test)]
mod tests;
