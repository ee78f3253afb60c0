//! The composition root: builds every part from the config, binds, announces, runs, drains.
//!
//! Only this file knows everything. It decides nothing: parts are made here and handed to each other.

mod build;
mod reload;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditError, Entry, Event};
use crate::aws::AwsAccess;
use crate::config::Config;
use crate::listener::{self, Limits, Places};
use crate::problem::Problem;
use crate::session::{self, Services};

pub use build::{directory, policy};
pub(crate) use build::host_ca;
use workers::Workers;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why the daemon could not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Users, policy, keys or lists are broken; all problems at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another program using this port?")]
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
    /// A thread could not be started.
    #[error("a worker thread could not be started: {0}")]
    Worker(std::io::Error),
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
    let watch = crate::reload::FileWatch::start(config.reloadable_files());
    let services = build::services(&config, &aws).await?;
    let listeners = bind(&config.server.listen).await?;
    let addresses: Vec<SocketAddr> = listeners.iter().map(|(_, address)| *address).collect();
    let workers = Workers::start(config.server.worker_threads).map_err(AppError::Worker)?;
    let started = Event::DaemonStarted { version: VERSION, listeners: addresses.clone() };
    services.log.record(Entry::of_daemon(started)).await?;

    let places = Places::new(Limits {
        connections_max: config.server.connections_max,
        per_address_max: config.server.connections_per_address_max,
        unauthenticated_max: config.server.connections_unauthenticated_max,
    });
    let mut accepting = tokio::task::JoinSet::new();
    for (listener, address) in listeners {
        let (places, services, stop) = (Arc::clone(&places), Arc::clone(&services), stop.clone());
        let workers = workers.clone();
        accepting.spawn(async move {
            let handed = Arc::clone(&services);
            listener::run(listener, address, places, services, stop, |accepted| {
                workers.spawn(serve(Arc::clone(&handed), accepted), accepted_error);
            })
            .await;
        });
    }
    let background = background(&config, &services, watch, &stop);
    for address in &addresses {
        tracing::info!(%address, version = VERSION, "listening");
    }
    // Whoever waited for this may have left.
    let _nobody = ready.send(addresses);
    notify(&[sd_notify::NotifyState::Ready]);

    stop.cancelled().await;
    notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping: no new connections; sessions may go on for the grace time");
    accepting.join_all().await;
    let drained = drain(&services, &workers, config.server.shutdown_grace).await;
    background.abort_all_and_wait().await;
    services.log.record(Entry::of_daemon(Event::DaemonStopped { version: VERSION, drained })).await?;
    services.log.close().await?;
    Ok(())
}

async fn serve(services: Arc<Services>, accepted: listener::Accepted) {
    let listener::Accepted { stream, peer, place } = accepted;
    // Keys typed must not wait for company.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a client left before it was served");
        return;
    }
    session::serve(services, peer, stream, || place.logged_in()).await;
}
