//! Moves whole recordings from the spool to the vault. The spool is all that has to survive a restart: what is in it
//! is what is still to be moved.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
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
/// How long one recording may take.
const ATTEMPT: Duration = Duration::from_secs(30 * 60);

/// Moves recordings until `stop`. One that cannot be moved is tried again later, and holds up no other.
pub async fn run(recorders: Recorders, vault: Vault, index: Arc<dyn Index>, stop: CancellationToken) {
    let Some(spool) = recorders.spool().cloned().filter(|_| !vault.is_the_spool()) else {
        return stop.cancelled().await;
    };
    let mut mover = Mover { spool, vault, index, failed: HashMap::new() };
    let finished = recorders.finished();
    loop {
        let moving = async {
            let next = mover.round().await;
            tokio::select! {
                () = finished.notified() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        };
        tokio::select! {
            () = moving => {}
            () = stop.cancelled() => return,
        }
    }
}

#[derive(Debug)]
struct Mover {
    spool: Spool,
    vault: Vault,
    index: Arc<dyn Index>,
    /// How often in a row, and when it is tried again.
    failed: HashMap<RecordingId, (u32, Instant)>,
}

impl Mover {
    /// Moves what is due; when to look again at the latest.
    async fn round(&mut self) -> Instant {
        let listing = self.spool.clone();
        let listed = tokio::task::spawn_blocking(move || listing.whole()).await;
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
        for id in ids {
            if self.failed.get(&id).is_none_or(|(_, due)| *due <= Instant::now()) {
                self.attempt(id).await;
            }
        }
        let due = self.failed.values().map(|(_, due)| *due).min();
        let latest = Instant::now() + LOOK;
        due.map_or(latest, |due| due.min(latest))
    }

    async fn attempt(&mut self, id: RecordingId) {
        let moved = tokio::time::timeout(ATTEMPT, self.transfer(id)).await;
        match moved.unwrap_or_else(|_| Err("it took too long".to_owned())) {
            Ok(location) => {
                self.failed.remove(&id);
                tracing::debug!(recording = %id, location, "a recording is in the vault");
            }
            Err(error) => {
                self.index.failed(id);
                let (times, due) = self.failed.entry(id).or_insert((0, Instant::now()));
                let wait = WAIT_MIN.saturating_mul(1 << (*times).min(16)).min(WAIT_MAX);
                *times = times.saturating_add(1);
                *due = Instant::now() + wait;
                tracing::warn!(recording = %id, error, attempts = *times, again_in_s = wait.as_secs(),
                    "a recording could not be moved to the vault; it stays in the spool and is tried again");
            }
        }
    }

    async fn transfer(&self, id: RecordingId) -> Result<String, String> {
        let location = self.vault.put(&self.spool, id).await.map_err(|error| error.to_string())?;
        self.index.stored(id, &location).await?;
        let path = self.spool.path(id);
        tokio::fs::remove_file(&path).await.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(location)
    }
}
