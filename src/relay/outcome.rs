//! What a relay counts while it runs and tells when it is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::domain::{Ending, Exit};

/// How a channel ended and what went through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the program ended, where the target said so.
    pub exit: Option<Exit>,
    /// Data bytes from the client to the target.
    pub bytes_to_target: u64,
    /// Data bytes from the target to the client, standard error included.
    pub bytes_to_client: u64,
    /// Why it is over.
    pub ending: Ending,
}

/// Bytes so far, and when there was last a sign of life. Shared with whoever watches for idleness.
#[derive(Debug)]
pub struct Activity {
    started: Instant,
    last_ms: AtomicU64,
    to_target: AtomicU64,
    to_client: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            last_ms: AtomicU64::new(0),
            to_target: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
        }
    }
}

impl Activity {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A sign of life without bytes, such as a channel that was opened.
    pub fn touch(&self) {
        self.last_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    pub(super) fn add_to_target(&self, count: usize) {
        self.to_target.fetch_add(count as u64, Ordering::Relaxed);
        self.touch();
    }

    pub(super) fn add_to_client(&self, count: usize) {
        self.to_client.fetch_add(count as u64, Ordering::Relaxed);
        self.touch();
    }

    /// How long nothing has been said in either direction.
    #[must_use]
    pub fn idle_for(&self) -> Duration {
        let since = self.elapsed_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed));
        Duration::from_millis(since)
    }

    /// Bytes from the client to the target.
    #[must_use]
    pub fn to_target(&self) -> u64 {
        self.to_target.load(Ordering::Relaxed)
    }

    /// Bytes from the target to the client.
    #[must_use]
    pub fn to_client(&self) -> u64 {
        self.to_client.load(Ordering::Relaxed)
    }
}
