//! `drawbridge demo`: the main job in one command, with nothing installed.
//!
//! ```text
//! ssh, scp, rsync ─▶ the daemon ─▶ web-1, db-1 (vault-1 is forbidden, old-1 is stopped, locked-1
//!                        │          does not answer, bare-1 lets nobody in)
//!                        └──▶ an AWS look-alike that they all share
//! ```
//!
//! What always holds here: the daemon is the one that `drawbridge serve` runs, with a config
//! file that it reads like any other; everything listens on loopback unless told otherwise; and
//! when the demo has ended, nothing that it started still runs.
//!
//! What it deliberately does not do: stand in for tests, which use OpenSSH and moto.

mod announcement;
pub mod aws;
mod cast;
mod daemon;
mod files;
pub mod instance;
mod landscape;
mod stage;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use self::files::DirectoryError;
use self::files::{Directory, Facts};
use self::stage::Stages;
use crate::app::AppError;
use crate::problem::Problem;
use crate::ssh::{HostKey, HostKeyError};

/// What the demo can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoOptions {
    /// Where to write keys and files; none for a fresh directory, which is named.
    pub dir: Option<PathBuf>,
    /// Where the daemon listens; port 0 lets the system choose one.
    pub listen: SocketAddr,
}

/// Why the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The daemon's address is taken.
    #[error("{addr} is in use by another program: end it, or choose another address with --listen.")]
    InUse {
        /// The address.
        addr: SocketAddr,
    },
    /// The daemon's address cannot be listened on.
    #[error("The demo cannot listen on {addr}: {source}.")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The directory cannot be used.
    #[error("The demo's directory cannot be used: {0}.")]
    Directory(#[from] DirectoryError),
    /// A key file cannot be used.
    #[error("The demo's keys cannot be used: {0}.")]
    Key(#[from] HostKeyError),
    /// An instance's address is not this machine's.
    #[error(
        "The demo's instance {name} cannot listen on {address}: {source}. Linux has all of 127.0.0.0/8; \
         on macOS add the address first, with: sudo ifconfig lo0 alias {address}."
    )]
    Instance {
        /// The instance's name.
        name: &'static str,
        /// Its address.
        address: std::net::Ipv4Addr,
        /// What the system said.
        source: io::Error,
    },
    /// The AWS look-alike could not be started.
    #[error("The demo cannot go on: {0}.")]
    LookAlike(#[from] aws::LookAlikeError),
    /// The daemon could not be started, or failed.
    #[error("The bastion could not run: {0}.")]
    Daemon(#[from] AppError),
    /// The config that the demo wrote is not sound.
    #[error("The bastion refuses its configuration: {}", problem_list(.0))]
    Config(Vec<Problem>),
    /// The system does not let us wait for signals, or the output is closed.
    #[error("The demo cannot go on: {0}.")]
    Io(#[from] io::Error),
}

/// Runs the demo until Ctrl-C or SIGTERM; writes what to do with it to `out`, and then `ready`.
///
/// # Errors
/// When something cannot be started, or the daemon fails.
pub async fn run(options: DemoOptions, out: &mut impl Write) -> Result<(), DemoError> {
    run_until(options, Interrupts::of_this_process()?, out).await
}

async fn run_until(
    options: DemoOptions,
    interrupts: Interrupts,
    out: &mut impl Write,
) -> Result<(), DemoError> {
    let listen = free_address(options.listen).await?;
    let directory = Directory::prepare(options.dir.as_deref())?;
    let _lock = directory.lock()?;
    let shutdown = CancellationToken::new();
    let stages = Stages::start(&directory, &shutdown).await?;
    let outcome = run_daemon(listen, &directory, &stages, &shutdown, interrupts, out).await;
    // The instances go last: the daemon's sessions end properly while they are still there.
    shutdown.cancel();
    stages.ended().await;
    outcome
}

async fn run_daemon(
    listen: SocketAddr,
    directory: &Directory,
    stages: &Stages,
    shutdown: &CancellationToken,
    mut interrupts: Interrupts,
    out: &mut impl Write,
) -> Result<(), DemoError> {
    write_files(listen, directory, stages)?;
    let (ready, is_ready) = oneshot::channel();
    let stop = shutdown.child_token();
    let (config, endpoint) = (directory.config(), stages.endpoint_url());
    let mut daemon = std::pin::pin!(daemon::run(&config, endpoint, stop.clone(), ready));
    tokio::select! {
        ended = &mut daemon => return ended,
        () = interrupts.next() => stop.cancel(),
        Ok(_) = is_ready => announcement::write(listen, directory, stages.endpoint_url(), out)?,
    }
    tokio::select! {
        ended = &mut daemon => return ended,
        () = interrupts.next(), if !stop.is_cancelled() => stop.cancel(),
    }
    tokio::select! {
        ended = daemon => ended,
        // Asked twice: the daemon's grace for its sessions is over.
        () = interrupts.next() => Ok(()),
    }
}

fn write_files(listen: SocketAddr, directory: &Directory, stages: &Stages) -> Result<(), DemoError> {
    let host_ca = HostKey::load_or_create(&directory.host_ca_key(), "drawbridge host CA")?;
    let host_key = HostKey::load_or_create(&directory.host_key(), "drawbridge")?;
    // The same kind of file: an Ed25519 key that only its owner reads.
    let user_key = HostKey::load_or_create(&directory.user_key(), "drawbridge demo user")?;
    directory.write(&Facts {
        listen,
        endpoint_url: stages.endpoint_url().to_owned(),
        region: cast::REGION,
        user_key: format!("{} demo", user_key.public_line()),
        host_ca: host_ca.public_line(),
        host_key: host_key.public_line(),
    })?;
    Ok(())
}

fn problem_list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Checks that the address is free before anything else is made, and settles port 0.
async fn free_address(addr: SocketAddr) -> Result<SocketAddr, DemoError> {
    match TcpListener::bind(addr).await.and_then(|listener| listener.local_addr()) {
        Ok(free) => Ok(free),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(DemoError::InUse { addr }),
        Err(source) => Err(DemoError::Listen { addr, source }),
    }
}

/// Requests to end: Ctrl-C and SIGTERM.
#[derive(Debug)]
struct Interrupts(mpsc::Receiver<()>);

impl Interrupts {
    /// Takes both signals over from the system's default, which is to end at once.
    fn of_this_process() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (sender, requests) = mpsc::channel(1);
        tokio::spawn(async move {
            while !sender.is_closed() {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    () = sender.closed() => {}
                }
                // A request that finds another one waiting has nothing to add.
                sender.try_send(()).unwrap_or_default();
            }
        });
        Ok(Self(requests))
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
