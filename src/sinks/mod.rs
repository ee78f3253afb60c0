//! Copies of the audit trail for people and for other systems: files, standard output, OCSF, syslog, OpenTelemetry.
//!
//! Each sink is a task of its own that follows the journal at its own pace: it reads lines, delivers them in order,
//! and keeps its position in a small file. `docs/sinks.md` has what an operator wants to know.
//!
//! What always holds:
//! - At least once, and in order. What a sink has not delivered stays in the journal; after a restart it goes on
//!   where its position file says, and that is never ahead of what was delivered.
//! - A sink that is slow, down or broken harms nobody: not sessions, not the journal, not another sink. It holds at
//!   most one batch of lines in memory, and every attempt has a deadline.
//! - Lines that are given up (more than `spool_max_mib` waits) are counted, logged and on record as
//!   `sink-overflowed`. Lines that a receiver refuses for good are counted and logged.
//!
//! What this room does not do: filter lines, or keep a spool of its own. The journal is the spool.

mod backoff;
mod destination;
mod escape;
mod journal;
mod local;
mod observer;
mod ocsf;
mod otlp;
mod position;
mod record;
mod runner;
mod syslog;
mod tls;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

pub use observer::{Observer, Unobserved};
pub use ocsf::{OcsfExport, SCHEMA as OCSF_SCHEMA};
pub use otlp::OtlpError;
pub use tls::TlsError;

use self::destination::Destination;
use self::journal::{Followed, Journal};
use self::local::{Form, Local};
use self::otlp::Otlp;
use self::position::{Position, PositionFile};
use self::runner::{LAST_WORDS, Runner, Terms};
use self::syslog::Syslog;
use crate::audit::Log;
use crate::config::{AuditConfig, SinkConfig, SinkKind};
use crate::tasks::Tasks;

/// The name of the sink that is `audit.file`. No configured sink can have it.
pub const AUDIT_FILE: &str = "audit.file";
/// The name of the sink that is `audit.stdout`.
pub const AUDIT_STDOUT: &str = "audit.stdout";

/// What all sinks have in common.
pub struct Settings {
    /// The directory of the position files; made when it is missing.
    pub dir: PathBuf,
    /// The log whose journal the sinks follow, and in which losses go on record.
    pub log: Log,
    /// Who counts.
    pub observer: Arc<dyn Observer>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Why sinks cannot start. A receiver that is down, or a file that cannot be opened, is no reason.
#[derive(Debug, thiserror::Error)]
pub enum SinksError {
    /// The directory of the positions.
    #[error("the directory {path} for the positions of sinks cannot be made: {source}")]
    Dir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("a thread for the sink {name} cannot be started: {source}")]
    Thread {
        /// The sink.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A syslog receiver cannot be addressed.
    #[error("the sink {name} cannot be used: {source}")]
    Syslog {
        /// The sink.
        name: String,
        /// Why.
        source: TlsError,
    },
    /// An OTLP receiver cannot be addressed.
    #[error("the sink {name} cannot be used: {source}")]
    Otlp {
        /// The sink.
        name: String,
        /// Why.
        source: OtlpError,
    },
}

/// The sinks at work.
#[derive(Debug)]
pub struct Sinks {
    tasks: Tasks,
    reopen: Vec<Arc<Notify>>,
}

impl Sinks {
    /// Has files that were rotated away opened anew at once. They are when there is a line to write, too.
    pub fn reopen(&self) {
        self.reopen.iter().for_each(|notify| notify.notify_one());
    }

    /// Has every sink deliver what is left, as far as that goes within seconds, and stop. To be called when the last
    /// line is in the journal. Says whether all sinks ended in time; what they did not deliver they do at the next start.
    pub async fn shutdown(&self) -> bool {
        // To finish what is under way, to catch up, to say goodbye, and a moment for the position.
        self.tasks.shutdown(4 * LAST_WORDS).await
    }
}

/// Starts `audit.file`, `audit.stdout` and every `[[audit.sinks]]`, each as a follower of the journal of `settings.log`.
///
/// # Errors
/// When one cannot be started at all; then none is.
pub fn start(config: &AuditConfig, settings: &Settings) -> Result<Sinks, SinksError> {
    let node = settings.log.node().as_str();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&settings.dir);
    made.map_err(|source| SinksError::Dir { path: settings.dir.clone(), source })?;
    let sinks: Vec<(SinkConfig, Receiver)> = configured(config)
        .into_iter()
        .map(|sink| Receiver::of(&sink, node).map(|receiver| (sink, receiver)))
        .collect::<Result<_, _>>()?;
    let reader = settings.log.journal();
    let tasks = Tasks::new();
    let mut reopen = Vec::new();
    for (sink, receiver) in sinks {
        let file = PositionFile::new(&settings.dir, &sink.name);
        let position = read_position(&sink.name, &file, node);
        let journal =
            Followed::new(&reader, &sink.name, position.as_ref().map_or(0, |position| position.seq));
        let terms = Terms {
            name: sink.name.as_str().into(),
            node: node.into(),
            position: file,
            spool_max: sink.spool_max,
            log: settings.log.clone(),
            observer: Arc::clone(&settings.observer),
            reopen: Arc::new(Notify::new()),
        };
        reopen.push(Arc::clone(&terms.reopen));
        match receiver {
            Receiver::Local(to) => spawn(&tasks, journal, *to, terms, position.as_ref()),
            Receiver::Syslog(to) => spawn(&tasks, journal, *to, terms, position.as_ref()),
            Receiver::Otlp(to) => spawn(&tasks, journal, *to, terms, position.as_ref()),
        }
    }
    Ok(Sinks { tasks, reopen })
}

/// Why sinks could not start, as far as that is known without starting one: the certificates and keys that they speak
/// TLS with are read.
#[must_use]
pub fn obstacles(config: &AuditConfig) -> Vec<SinksError> {
    let speaks_tls = |sink: &&SinkConfig| match sink.kind {
        SinkKind::Syslog(_) | SinkKind::Otlp(_) => true,
        SinkKind::File(_) | SinkKind::Stdout | SinkKind::Ocsf(_) => false,
    };
    config.sinks.iter().filter(speaks_tls).filter_map(|sink| Receiver::of(sink, "").err()).collect()
}

fn spawn<J: Journal, D: Destination>(
    tasks: &Tasks,
    journal: J,
    to: D,
    terms: Terms,
    position: Option<&Position>,
) {
    let runner = Runner::new(journal, to, terms, position);
    tasks.spawn_named("sink", Box::pin(runner.run(tasks.token().clone())));
}

/// The sinks that the configuration has, those of `[audit]` among them.
fn configured(config: &AuditConfig) -> Vec<SinkConfig> {
    let of_audit = |name: &str, kind| SinkConfig {
        name: name.to_owned(),
        spool_max: SinkConfig::SPOOL_MAX_DEFAULT,
        kind,
    };
    let mut sinks = vec![of_audit(AUDIT_FILE, SinkKind::File(config.file.clone()))];
    if config.stdout {
        sinks.push(of_audit(AUDIT_STDOUT, SinkKind::Stdout));
    }
    sinks.extend_from_slice(&config.sinks);
    sinks
}

/// Where a sink delivers to.
enum Receiver {
    Local(Box<Local>),
    Syslog(Box<Syslog>),
    Otlp(Box<Otlp>),
}

impl Receiver {
    fn of(sink: &SinkConfig, node: &str) -> Result<Self, SinksError> {
        let name = || sink.name.clone();
        let local = |made: io::Result<Local>| match made {
            Ok(local) => Ok(Self::Local(Box::new(local))),
            Err(source) => Err(SinksError::Thread { name: name(), source }),
        };
        match &sink.kind {
            SinkKind::File(path) => local(Local::file(path.clone(), Form::Native, node)),
            SinkKind::Stdout => local(Local::stdout(node)),
            SinkKind::Ocsf(path) => {
                let form = Form::Ocsf(Box::new(ocsf::Translator::new(node)));
                local(Local::file(path.clone(), form, node))
            }
            SinkKind::Syslog(config) => match Syslog::new(config, node) {
                Ok(syslog) => Ok(Self::Syslog(Box::new(syslog))),
                Err(source) => Err(SinksError::Syslog { name: name(), source }),
            },
            SinkKind::Otlp(config) => match Otlp::new(config, node) {
                Ok(otlp) => Ok(Self::Otlp(Box::new(otlp))),
                Err(source) => Err(SinksError::Otlp { name: name(), source }),
            },
        }
    }
}

/// A position that is another node's, or that cannot be read, is none: lines that are there twice do less harm than
/// lines that are missing.
fn read_position(name: &str, file: &PositionFile, node: &str) -> Option<Position> {
    match file.read() {
        Ok(Some(position)) if position.node != node => {
            tracing::warn!(
                sink = name,
                before = position.node,
                "the position of a sink is another node's: the sink begins with the first line of the journal"
            );
            None
        }
        Ok(position) => position,
        Err(error) => {
            tracing::warn!(
                sink = name, %error,
                "the position of a sink cannot be read: the sink begins with the first line of the journal"
            );
            None
        }
    }
}
