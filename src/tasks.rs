//! Every task is named, tracked and answered for.
//!
//! A panic ends its own task and no other: there are other people's sessions to lose.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A future behind a pointer, so that a trait with asynchronous methods can be an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The running tasks and the signal that tells them to end. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
    running: Running,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The signal to end; it stays on.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// How many tasks run.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Runs a task to its end. If it panics, the panic is logged with the task's name, and that
    /// is all that ends.
    pub fn spawn_named(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let present = self.running.enter(name);
        let task = async move {
            let _present = present;
            if let Err(panic) = caught(future).await {
                tracing::error!(
                    task = name,
                    panic = said(panic.as_ref()),
                    "a task panicked and was ended; please report this"
                );
            }
        };
        self.tracker.spawn(task).abort_handle()
    }

    /// Tells every task to end and waits for them, at most for `grace`. Says whether all ended
    /// in time; those that did not are named in the log and end with the runtime.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.tracker.close();
        self.token.cancel();
        let in_time = tokio::time::timeout(grace, self.tracker.wait()).await.is_ok();
        if !in_time {
            tracing::warn!(left = %self.running, "some tasks did not end within the grace time");
        }
        in_time
    }
}

/// Runs a future; a panic in it becomes a value.
async fn caught(future: impl Future<Output = ()>) -> Result<(), Box<dyn Any + Send>> {
    let mut future = Box::pin(future);
    // A future that panicked is not polled again, so what the panic left behind is never seen.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}

/// How many tasks of each name run.
#[derive(Debug, Clone, Default)]
struct Running(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl Running {
    fn enter(&self, name: &'static str) -> Present {
        *self.counts().entry(name).or_default() += 1;
        Present { name, running: self.clone() }
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, count)) in self.counts().iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name} ×{count}")?;
        }
        Ok(())
    }
}

/// A task that runs; counted until it is dropped.
struct Present {
    name: &'static str,
    running: Running,
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut counts = self.running.counts();
        if let Some(count) = counts.get_mut(self.name) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn tasks_that_listen_to_the_token_end_in_time() {
        let tasks = Tasks::new();
        for _ in 0..3 {
            let token = tasks.token().clone();
            tasks.spawn_named("listener", async move { token.cancelled().await });
        }
        assert_eq!(tasks.count(), 3);
        assert_eq!(tasks.running.to_string(), "listener ×3");
        assert!(tasks.shutdown(GRACE).await);
        assert_eq!((tasks.count(), tasks.running.to_string()), (0, String::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_listen_is_named() {
        let tasks = Tasks::new();
        tasks.spawn_named("deaf", std::future::pending());
        let before = tokio::time::Instant::now();
        assert!(!tasks.shutdown(GRACE).await);
        assert_eq!(before.elapsed(), GRACE);
        assert_eq!(tasks.running.to_string(), "deaf ×1");
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_task_only() {
        let tasks = Tasks::new();
        let (answer, answered) = oneshot::channel();
        tasks.spawn_named("clumsy", async {
            tokio::task::yield_now().await;
            panic!("dropped it");
        });
        tasks.spawn_named("careful", async move {
            tokio::task::yield_now().await;
            answer.send(()).expect("someone waits");
        });
        answered.await.expect("the careful one finished");
        assert!(tasks.shutdown(GRACE).await);
        assert_eq!(tasks.running.to_string(), "");
    }

    #[tokio::test]
    async fn what_a_panic_said_is_kept() {
        let fixed = caught(async { panic!("fixed") }).await.expect_err("it panicked");
        assert_eq!(said(fixed.as_ref()), "fixed");
        let number = 7;
        let made = caught(async move { panic!("made {number}") }).await.expect_err("it panicked");
        assert_eq!(said(made.as_ref()), "made 7");
        assert!(caught(async {}).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_task_is_not_left() {
        let tasks = Tasks::new();
        tasks.spawn_named("endless", std::future::pending()).abort();
        assert!(tasks.shutdown(GRACE).await);
    }
}
