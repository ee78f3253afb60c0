//! Whether this node lives, whether it may be given sessions, and the listener that says so.
//!
//! `/healthz` answers as long as the process can answer at all: whoever restarts it for less ends other people's
//! sessions. `/readyz` answers yes when a session could begin here at this moment, and names what is in the way
//! when not: for a load balancer, which then sends new connections elsewhere. `/metrics` is `metrics`'.
//!
//! What always holds: nothing that arrives here changes anything; a connection carries one question, is bounded in
//! bytes and time, and there are few of them ([`Server`]).
//!
//! What this room does not do: authenticate. It listens on loopback unless the operator says `metrics.public`, and
//! what it tells is no secret among operators: counts, versions, names from the configuration.

mod disk;
mod server;
mod visit;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub use disk::can_write;
pub use server::{HealthError, Server};

/// How long one check may take before its answer is no.
const CHECK_DEADLINE: Duration = Duration::from_secs(2);
/// How long an answer is good for, so that asking often costs nothing.
const ANSWER_LASTS: Duration = Duration::from_secs(1);

/// Nothing, or a sentence for the operator.
pub type Verdict = Result<(), String>;

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync>;

/// What a session needs from this node before it can begin.
#[derive(Default)]
pub struct Readiness {
    checks: Mutex<Vec<(&'static str, Check)>>,
    draining: AtomicBool,
    last: tokio::sync::Mutex<Option<(Instant, Report)>>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("draining", &self.draining).finish_non_exhaustive()
    }
}

impl Readiness {
    /// Nothing is needed yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds something that is needed. Its sentence says what is in the way and what to do; it must not quote what
    /// strangers wrote. A check that takes longer than two seconds has failed.
    pub fn needs<F>(&self, what: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        let check: Check = Arc::new(move || Box::pin(check()));
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).push((what, check));
    }

    /// From here on the answer is no: this node is shutting down.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Runs all checks side by side, or gives an answer that is less than a second old.
    pub async fn report(&self) -> Report {
        if self.draining.load(Ordering::Relaxed) {
            return Report(vec![("shutdown", Err("drawbridge is shutting down".to_owned()))]);
        }
        // Whoever asks while the checks run waits for them, and gets their answer.
        let mut last = self.last.lock().await;
        if let Some((at, report)) = last.as_ref()
            && at.elapsed() < ANSWER_LASTS
        {
            return report.clone();
        }
        let report = self.check_all().await;
        *last = Some((Instant::now(), report.clone()));
        report
    }

    async fn check_all(&self) -> Report {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // What never gives its verdict, because its check panicked, has failed.
        let unknown = || Err("the check itself failed; see the log".to_owned());
        let mut verdicts: Vec<(&'static str, Verdict)> =
            checks.iter().map(|(what, _)| (*what, unknown())).collect();
        let mut running = JoinSet::new();
        for (at, (_, check)) in checks.into_iter().enumerate() {
            running.spawn(async move { (at, judge(check()).await) });
        }
        while let Some(judged) = running.join_next().await {
            if let Ok((at, verdict)) = judged
                && let Some((_, known)) = verdicts.get_mut(at)
            {
                *known = verdict;
            }
        }
        Report(verdicts)
    }
}

async fn judge(check: Pin<Box<dyn Future<Output = Verdict> + Send>>) -> Verdict {
    let late = || format!("it did not answer within {} seconds", CHECK_DEADLINE.as_secs());
    timeout(CHECK_DEADLINE, check).await.unwrap_or_else(|_| Err(late()))
}

/// What the checks said, in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Vec<(&'static str, Verdict)>);

impl Report {
    /// Whether a session could begin.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|(_, verdict)| verdict.is_ok())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.is_ready() { "ready" } else { "not ready" })?;
        for (what, verdict) in &self.0 {
            match verdict {
                Ok(()) => writeln!(f, "{what}: ok")?,
                Err(sentence) => writeln!(f, "{what}: {}", plain(sentence))?,
            }
        }
        Ok(())
    }
}

/// One line that steers no terminal, whatever an error's text was made of.
fn plain(sentence: &str) -> String {
    sentence.chars().map(|c| if crate::audit::json::misleads(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_in_the_way_is_named_and_the_rest_is_not_blamed() {
        let readiness = Readiness::new();
        readiness.needs("policy", || async { Ok(()) });
        readiness.needs("store", || async { Err("the database is away\u{1b}[2J\nfor now".to_owned()) });
        readiness.needs("inventory", std::future::pending);
        let report = readiness.report().await;
        assert!(!report.is_ready());
        assert_eq!(
            report.to_string(),
            "not ready\npolicy: ok\nstore: the database is away [2J for now\n\
             inventory: it did not answer within 2 seconds\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn asking_often_checks_once_a_second() {
        let (readiness, asked) = (Readiness::new(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        readiness.needs("store", move || {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        });
        for _ in 0..100 {
            assert!(readiness.report().await.is_ready());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(ANSWER_LASTS).await;
        readiness.report().await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_check_that_panics_is_not_a_yes() {
        let readiness = Readiness::new();
        readiness.needs("broken", || async { panic!("a mistake") });
        assert!(!readiness.report().await.is_ready());
    }

    #[tokio::test]
    async fn a_node_that_shuts_down_is_not_ready() {
        let readiness = Readiness::new();
        assert!(readiness.report().await.is_ready());
        readiness.drain();
        assert_eq!(
            readiness.report().await.to_string(),
            "not ready\nshutdown: drawbridge is shutting down\n"
        );
    }
}
