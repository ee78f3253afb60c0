//! Checks that are made at the same time, each with its deadline.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::check::{Check, Subject};

type Errand = Pin<Box<dyn Future<Output = Vec<Check>> + Send>>;

/// What is to be checked, in the order in which it is told.
#[derive(Default)]
pub(super) struct Errands {
    sent: Vec<(Subject, String, Errand)>,
    done: Vec<Check>,
}

impl Errands {
    /// Checks that are made.
    pub(super) fn done(&mut self, checks: Vec<Check>) {
        self.done.extend(checks);
    }

    /// A check that takes its time. `what` stands for it where it does not come to an end: `the directory /data`.
    pub(super) fn send(
        &mut self,
        subject: Subject,
        what: impl Into<String>,
        errand: impl Future<Output = Vec<Check>> + Send + 'static,
    ) {
        self.sent.push((subject, what.into(), Box::pin(errand)));
    }

    /// The same for what waits for the disk.
    pub(super) fn send_blocking(
        &mut self,
        subject: Subject,
        what: impl Into<String>,
        errand: impl FnOnce() -> Vec<Check> + Send + 'static,
    ) {
        let what = what.into();
        let failed = Check::unknown(subject, format!("Looking at {what} broke off."));
        self.send(subject, what, async move {
            tokio::task::spawn_blocking(errand).await.unwrap_or_else(|_| vec![failed])
        });
    }

    /// Makes all of them, and tells what has come by then.
    pub(super) async fn collect(self, each: Duration, all: Duration) -> Vec<Check> {
        let ends = Instant::now() + all;
        let mut running = JoinSet::new();
        let mut told: Vec<Vec<Check>> = Vec::new();
        for (index, (subject, what, errand)) in self.sent.into_iter().enumerate() {
            told.push(vec![late(subject, &what, all)]);
            running.spawn(async move {
                let checks = timeout(each, errand).await;
                (index, checks.unwrap_or_else(|_| vec![late(subject, &what, each)]))
            });
        }
        while let Ok(Some(ended)) = timeout_at(ends, running.join_next()).await {
            // One that panicked keeps the sentence it began with.
            if let Ok((index, checks)) = ended
                && let Some(slot) = told.get_mut(index)
            {
                *slot = checks;
            }
        }
        self.done.into_iter().chain(told.into_iter().flatten()).collect()
    }
}

fn late(subject: Subject, what: &str, limit: Duration) -> Check {
    Check::unknown(
        subject,
        format!("Looking at {what} did not come to an end within {} seconds.", limit.as_secs()),
    )
    .change("Try again; if it stays so, what is behind it hangs.")
}
