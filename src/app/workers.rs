//! Threads that carry connections. Each runs its own loop, and a connection stays on one: its client side,
//! its inner servers and its upstreams share a thread, so no byte crosses between cores on its way.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::ssh;
use crate::tasks::Tasks;

type Work = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Connections that may wait for a worker to take them up.
const WAITING_MAX: usize = 1024;

#[derive(Debug)]
struct Worker {
    inbox: mpsc::Sender<Work>,
    load: Arc<AtomicUsize>,
}

/// The threads. Clones share them; they end when the last clone is dropped and their work is done.
#[derive(Debug, Clone)]
pub(super) struct Workers {
    workers: Arc<Vec<Worker>>,
    /// What they carry.
    pub(super) carried: TaskTracker,
}

/// Counts one connection on a worker while it lives.
struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts the threads: one a core unless told otherwise.
    pub(super) fn start(count: Option<NonZeroUsize>, tasks: &Tasks) -> std::io::Result<Self> {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let count = count.unwrap_or_else(cores).get();
        let workers = (0..count).map(|number| start_one(number, tasks.clone())).collect::<Result<_, _>>()?;
        Ok(Self { workers: Arc::new(workers), carried: TaskTracker::new() })
    }

    /// How many connections each thread carries.
    pub(super) fn loads(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.load.load(Ordering::Relaxed)).collect()
    }

    /// Gives work to the thread that carries least. False when none can take it.
    pub(super) fn spawn<F>(&self, work: impl FnOnce() -> F + Send + 'static) -> bool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(worker) = self.workers.iter().min_by_key(|w| w.load.load(Ordering::Relaxed)) else {
            return false;
        };
        worker.load.fetch_add(1, Ordering::Relaxed);
        let load = Load(Arc::clone(&worker.load));
        let token = self.carried.token();
        let boxed: Work = Box::new(move || {
            let work = work();
            Box::pin(async move {
                let _counted = (load, token);
                work.await;
            })
        });
        worker.inbox.try_send(boxed).is_ok()
    }
}

fn start_one(number: usize, tasks: Tasks) -> std::io::Result<Worker> {
    let (inbox, mut work) = mpsc::channel::<Work>(WAITING_MAX);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(ssh::give_way).build()?;
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        runtime.block_on(async {
            while let Some(work) = work.recv().await {
                tasks.spawn_named("connection", work());
            }
        });
    })?;
    Ok(Worker { inbox, load: Arc::default() })
}
