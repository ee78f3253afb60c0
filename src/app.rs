//! The composition root: builds every part from the config, binds, announces, runs, drains.
//!
//! Only this file knows everything. It decides nothing: parts are made here and handed to each other.

mod build;
mod keeping;
mod operating;
mod pins;
mod recordings;
mod reload;
mod unfinished;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditError, Entry, Event};
use crate::aws::AwsAccess;
use crate::config::Config;
use crate::listener::{self, Accepted, Limits, Places};
use crate::problem::Problem;
use crate::reload::FileWatch;
use crate::session::{self, Services};
use crate::sinks::Sinks;
use crate::tcp::PromptTcp;

pub use build::{directory, host_cas, policy};
pub(crate) use build::{host_ca, inventory, store, surveyor, upstream_settings};
use operating::Operating;
use workers::Workers;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long starting waits for the first list of instances.
const FIRST_INVENTORY: Duration = Duration::from_secs(10);
/// How long sessions that are ended at shutdown may take to say goodbye.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why the daemon could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Users, policy, keys or lists are broken; all problems at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// An address cannot be listened on.
    #[error("drawbridge cannot listen on {address}: {source}; {}", listener::remedy(.source, .address))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The audit log cannot be opened or written.
    #[error("the audit log cannot be used: {0}")]
    Audit(#[from] AuditError),
    /// A key of the bastion's own cannot be used.
    #[error(transparent)]
    HostKey(#[from] crate::ssh::HostKeyError),
    /// The state database cannot be used.
    #[error("the database cannot be used: {0}")]
    Store(#[from] crate::store::StoreError),
    /// The trail cannot be copied to where it is wanted.
    #[error(transparent)]
    Sinks(#[from] crate::sinks::SinksError),
    /// Recordings cannot be kept.
    #[error("recordings cannot be kept: {0}")]
    Record(#[from] crate::record::RecordError),
    /// Where recordings are to be kept cannot be used.
    #[error(transparent)]
    Vault(#[from] crate::record::vault::VaultError),
    /// Metrics and health cannot be told.
    #[error(transparent)]
    Health(#[from] crate::health::HealthError),
    /// A thread could not be started.
    #[error("a worker thread could not be started: {0}")]
    Worker(std::io::Error),
    /// A shared service ended before it was told to.
    #[error("a part that everything rests on has failed; see the log above")]
    ServiceEnded,
    /// A directory could not be made.
    #[error("the data directory {path} cannot be made: {source}")]
    DataDir {
        /// The directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Runs the daemon until `stop` is cancelled and everything has drained. `ready` gets the addresses that
/// are listened on once connections are served.
///
/// # Errors
/// When it cannot start; all problems of users, policy and lists at once.
pub async fn run(
    config: Config,
    aws: AwsAccess,
    stop: CancellationToken,
    ready: oneshot::Sender<Vec<SocketAddr>>,
) -> Result<(), AppError> {
    // Changes of files count from here on, so that none between reading and watching is lost.
    let watch = FileWatch::start(config.reloadable_files());
    let vault = recordings::vault(&config)?;
    let mut operating = Operating::bind(&config).await?;
    let (services, keeping, harvest) = build::services(&config, &aws, &operating).await?;
    let listeners = bind(&config.server.listen)?;
    let addresses: Vec<SocketAddr> = listeners.iter().map(|(_, address)| *address).collect();
    let workers = Workers::start(config.server.worker_threads, &services.tasks).map_err(AppError::Worker)?;
    operating.watch(&config, &services, &workers);
    let _told_to_the_end = operating.serve();
    let started = Event::DaemonStarted { version: VERSION, listeners: addresses.clone() };
    services.log.record(Entry::of_daemon(started)).await?;
    recordings::salvage(&services).await?;
    let (index, sinks) = (Arc::new(keeping.index()), keeping.sinks());
    let kept = keeping.start(&services, &stop).await;

    let mut running = JoinSet::new();
    let inventory = services.inventory.clone();
    if timeout(FIRST_INVENTORY, inventory.first_refresh()).await.is_err() {
        tracing::warn!("AWS has not listed the instances yet; drawbridge starts and goes on asking");
    }
    running.spawn(inventory.run(stop.clone()));
    running.spawn(harvest.run(stop.clone()));
    running.spawn(session::keep(Arc::clone(&services), stop.clone()));
    let recorded = Arc::clone(&services);
    // Recordings are made, and moved, until the last session has ended.
    let (mut moving, drained_out) = (JoinSet::new(), CancellationToken::new());
    moving.spawn(recordings::keep(recorded, vault, index, drained_out.clone()));
    running.spawn(watch_files(watch, config.clone(), Arc::clone(&services), sinks, stop.clone()));
    accept(&config, listeners, &services, &workers, &stop, &mut running);
    for address in &addresses {
        tracing::info!(%address, version = VERSION, "listening");
    }
    // Whoever waited for this may have left.
    let _nobody = ready.send(addresses);
    notify(NotifyState::Ready);

    let faulty = tokio::select! {
        // The order to stop ends the services too: the cause comes before its consequence.
        biased;
        () = stop.cancelled() => false,
        _ended = running.join_next() => true,
        _ended = moving.join_next() => true,
    };
    if faulty {
        tracing::error!("a service that everything rests on has ended; stopping (decision 0001)");
        stop.cancel();
    }
    operating.drain();
    notify(NotifyState::Stopping);
    tracing::info!("stopping: no new connections; sessions may go on for the grace time");
    while running.join_next().await.is_some() {}
    let drained = drain(&services, &workers, config.server.shutdown_grace).await;
    drained_out.cancel();
    services.log.record(Entry::of_daemon(Event::DaemonStopped { version: VERSION, drained })).await?;
    let moved = async { while moving.join_next().await.is_some() {} };
    let (ended, ()) = tokio::join!(kept.end(&services.log), moved);
    ended?;
    if faulty { Err(AppError::ServiceEnded) } else { Ok(()) }
}

fn bind(addresses: &[SocketAddr]) -> Result<Vec<(TcpListener, SocketAddr)>, AppError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        let refused = |source| AppError::Listen { address, source };
        let listener = listener::bind(address, addresses).map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        listeners.push((listener, bound));
    }
    Ok(listeners)
}

fn accept(
    config: &Config,
    listeners: Vec<(TcpListener, SocketAddr)>,
    services: &Arc<Services>,
    workers: &Workers,
    stop: &CancellationToken,
    running: &mut JoinSet<()>,
) {
    let places = Places::new(Limits {
        connections_max: config.server.connections_max,
        per_address_max: config.server.connections_per_address_max,
        unauthenticated_max: config.server.connections_unauthenticated_max,
    });
    for (listener, address) in listeners {
        let (places, services, stop) = (Arc::clone(&places), Arc::clone(services), stop.clone());
        let (workers, carrying) = (workers.clone(), Arc::clone(&services));
        running.spawn(listener::run(listener, address, places, services, stop, move |accepted| {
            let services = Arc::clone(&carrying);
            workers.spawn(move || carry(services, accepted))
        }));
    }
}

/// Serves one client, on the worker that took it up.
async fn carry(services: Arc<Services>, accepted: Accepted) {
    let Accepted { stream, peer, place } = accepted;
    // The stream belongs to this worker's loop from here on.
    let ours = stream.into_std().and_then(TcpStream::from_std).and_then(PromptTcp::new);
    match ours {
        Ok(stream) => {
            let place = Arc::new(place);
            let (taken, displaced) = (Arc::clone(&place), place.displaced());
            session::serve(services, peer, stream, displaced, move || taken.logged_in()).await;
            drop(place);
        }
        Err(error) => tracing::debug!(%error, "a client left before it was served"),
    }
}

async fn watch_files(
    watch: FileWatch,
    config: Config,
    services: Arc<Services>,
    sinks: Arc<Sinks>,
    stop: CancellationToken,
) {
    let read_again = |cause| {
        sinks.reopen();
        reload::reload(&config, &services, &cause);
    };
    watch.run(stop, read_again).await;
}

/// Lets sessions go on for the grace time, then ends them. Says whether all had ended by themselves.
async fn drain(services: &Services, workers: &Workers, grace: Duration) -> bool {
    workers.carried.close();
    let drained = timeout(grace, workers.carried.wait()).await.is_ok();
    let ended = services.tasks.shutdown(LAST_WORDS).await;
    drained && ended
}

/// Tells systemd, where it started us.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
