//! Moves whole recordings from the spool to the vault. The spool is all that has to survive a restart: what is in it
//! is what is still to be moved.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Index, Vault};
use crate::domain::RecordingId;
use crate::record::recorders::Recorders;
use crate::record::spool::Spool;

/// The first wait after a failure; each further one is twice as long.
const WAIT_MIN: Duration = Duration::from_secs(5);
/// The longest.
const WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// How often the spool is looked through without a reason.
const LOOK: Duration = Duration::from_secs(60);
/// How many are moved at a time, so that one that crawls leaves room for others. Each may have a part in memory.
const AT_A_TIME: usize = 3;
/// How long it goes on with what is there after it was told to stop.
const LAST: Duration = Duration::from_secs(8);
/// How long it then waits until what is half uploaded has been called off.
const CALLED_OFF: Duration = Duration::from_secs(3);

/// Moves recordings until `stop`, and then as many as there is time for: the machine may not come back. One that cannot
/// be moved is tried again later, and holds up no other.
pub async fn run(recorders: Recorders, vault: Vault, index: Arc<dyn Index>, stop: CancellationToken) {
    let Some(spool) = recorders.spool().cloned().filter(|_| !vault.is_the_spool()) else {
        return stop.cancelled().await;
    };
    let give_up = CancellationToken::new();
    let carrier = Arc::new(Carrier { spool, vault, index, give_up });
    let mut mover =
        Mover { carrier, under_way: JoinSet::new(), moving: HashMap::new(), failed: HashMap::new() };
    let finished = recorders.finished();
    while !stop.is_cancelled() {
        let next = mover.begin_what_is_due().await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = finished.notified() => {}
            Some(moved) = mover.under_way.join_next_with_id() => mover.note(moved),
            () = sleep_until(next) => {}
        }
    }
    mover.end().await;
}

type Moved = Result<(task::Id, Result<String, String>), JoinError>;

struct Mover {
    carrier: Arc<Carrier>,
    under_way: JoinSet<Result<String, String>>,
    moving: HashMap<task::Id, RecordingId>,
    /// How often in a row, and when it is tried again.
    failed: HashMap<RecordingId, (u32, Instant)>,
}

impl Mover {
    /// Begins to move what is due, as far as there is room; when to look again at the latest.
    async fn begin_what_is_due(&mut self) -> Instant {
        let listing = self.carrier.spool.clone();
        let listed = task::spawn_blocking(move || listing.whole()).await;
        let ids = match listed {
            Ok(Ok(ids)) => ids,
            Ok(Err(error)) => {
                tracing::error!(%error, "the directory of recordings cannot be read; nothing is moved from it");
                Vec::new()
            }
            Err(error) => {
                tracing::error!(%error, "the directory of recordings was not read");
                Vec::new()
            }
        };
        self.failed.retain(|id, _| ids.binary_search(id).is_ok());
        let now = Instant::now();
        for id in ids {
            if self.moving.len() >= AT_A_TIME {
                break;
            }
            let due = self.failed.get(&id).is_none_or(|(_, due)| *due <= now);
            if due && !self.is_moving(id) {
                let carrier = Arc::clone(&self.carrier);
                let task = self.under_way.spawn(async move { carrier.carry(id).await });
                self.moving.insert(task.id(), id);
            }
        }
        let waiting = self.failed.iter().filter(|(id, _)| !self.is_moving(**id));
        let due = waiting.map(|(_, (_, due))| *due).min().filter(|_| self.moving.len() < AT_A_TIME);
        let latest = now + LOOK;
        due.map_or(latest, |due| due.min(latest))
    }

    fn is_moving(&self, id: RecordingId) -> bool {
        self.moving.values().any(|moving| *moving == id)
    }

    fn note(&mut self, moved: Moved) {
        let (task, outcome) = match moved {
            Ok((task, outcome)) => (task, outcome),
            Err(fault) => (fault.id(), Err(fault.to_string())),
        };
        let Some(id) = self.moving.remove(&task) else { return };
        match outcome {
            Ok(location) => {
                self.failed.remove(&id);
                tracing::debug!(recording = %id, location, "a recording is in the vault");
            }
            Err(error) => {
                self.carrier.index.failed(id);
                let (times, due) = self.failed.entry(id).or_insert((0, Instant::now()));
                let wait = WAIT_MIN.saturating_mul(1 << (*times).min(16)).min(WAIT_MAX);
                *times = times.saturating_add(1);
                *due = Instant::now() + wait;
                tracing::warn!(recording = %id, error, attempts = *times, again_in_s = wait.as_secs(),
                    "a recording could not be moved to the vault; it stays in the spool and is tried again");
            }
        }
    }

    /// Moves what is there while there is time, and calls off the rest.
    async fn end(&mut self) {
        let late = sleep(LAST);
        let mut late = std::pin::pin!(late);
        loop {
            self.begin_what_is_due().await;
            tokio::select! {
                moved = self.under_way.join_next_with_id() => match moved {
                    Some(moved) => self.note(moved),
                    None => break,
                },
                () = &mut late => {
                    tracing::warn!("not every recording is in the vault; the rest stays in the spool until the next start");
                    break;
                }
            }
        }
        self.carrier.give_up.cancel();
        let called_off = async { while self.under_way.join_next().await.is_some() {} };
        if timeout(CALLED_OFF, called_off).await.is_err() {
            tracing::warn!(
                "an upload was not called off in time; the bucket may keep parts of it until its rules remove them"
            );
        }
    }
}

/// Takes one recording to the vault.
#[derive(Debug)]
struct Carrier {
    spool: Spool,
    vault: Vault,
    index: Arc<dyn Index>,
    give_up: CancellationToken,
}

impl Carrier {
    async fn carry(&self, id: RecordingId) -> Result<String, String> {
        let put = self.vault.put(&self.spool, id, &self.give_up).await;
        let location = put.map_err(|error| error.to_string())?;
        self.index.stored(id, &location).await?;
        let path = self.spool.path(id);
        tokio::fs::remove_file(&path).await.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(location)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;
    use object_store::throttle::{ThrottleConfig, ThrottledStore};

    use super::super::{Kept, key};
    use super::*;
    use crate::domain::RecordMode;
    use crate::record::Settings;
    use crate::tasks::BoxFuture;

    #[derive(Debug, Default)]
    struct Listed(Mutex<Vec<RecordingId>>);

    impl Index for Listed {
        fn stored<'a>(&'a self, id: RecordingId, _location: &'a str) -> BoxFuture<'a, Result<(), String>> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id);
            Box::pin(async { Ok(()) })
        }
    }

    /// A bucket that takes so long for each upload.
    fn bucket(slow: Duration) -> (Arc<ThrottledStore<InMemory>>, Vault) {
        let config = ThrottleConfig { wait_put_per_call: slow, ..ThrottleConfig::default() };
        let store = Arc::new(ThrottledStore::new(InMemory::new(), config));
        let kept =
            Kept::Bucket { store: Arc::clone(&store) as _, bucket: "b".to_owned(), prefix: "p".to_owned() };
        (store, Vault(kept))
    }

    fn spool_of(dir: &Path, recordings: u128) -> (Recorders, Spool) {
        let settings = Settings { spool: dir.to_owned(), default_mode: RecordMode::BestEffort };
        let recorders = Recorders::start(settings).expect("it starts");
        let spool = recorders.spool().expect("a spool").clone();
        for number in 1..=recordings {
            std::fs::write(spool.path(RecordingId::fixed(number)), "a recording").expect("our own folder");
        }
        (recorders, spool)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_whole_when_the_daemon_stops_is_moved_while_there_is_time() {
        let folder = tempfile::tempdir().expect("a directory");
        let (recorders, spool) = spool_of(folder.path(), 5);
        let (store, vault) = bucket(Duration::from_secs(1));
        let listed = Arc::new(Listed::default());
        let stop = CancellationToken::new();
        stop.cancel();
        run(recorders, vault, Arc::clone(&listed) as _, stop).await;
        assert!(spool.whole().expect("readable").is_empty());
        assert_eq!(listed.0.lock().expect("not poisoned").len(), 5);
        for number in 1..=5 {
            assert!(store.head(&key("p", RecordingId::fixed(number))).await.is_ok(), "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_does_not_answer_does_not_hold_up_the_end() {
        let folder = tempfile::tempdir().expect("a directory");
        let (recorders, spool) = spool_of(folder.path(), 5);
        let (_store, vault) = bucket(Duration::from_hours(1));
        let listed = Arc::new(Listed::default());
        let stop = CancellationToken::new();
        let begun = Instant::now();
        let running = tokio::spawn(run(recorders, vault, Arc::clone(&listed) as _, stop.clone()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        stop.cancel();
        running.await.expect("no panic");
        assert!(begun.elapsed() < Duration::from_secs(60) + LAST + CALLED_OFF);
        assert_eq!(spool.whole().expect("readable").len(), 5, "they are there at the next start");
        assert!(listed.0.lock().expect("not poisoned").is_empty());
    }
}
