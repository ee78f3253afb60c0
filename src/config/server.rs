//! `[server]`, `[data]` and `[log]`: this process and the files it writes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::Value;

use super::disk::Expect;
use super::origin::Complaint;
use super::reader::Section;
use super::suggest::nearest;
use super::value::{quoted, text};
use crate::domain::ServerAddress;
use crate::ssh::{NotAddable, Offer};
use crate::telemetry;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// `[server]`: how clients are let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The addresses to listen on; at least one, no two alike.
    pub listen: Vec<SocketAddr>,
    /// How clients reach the bastion, where that is not the address they connect to.
    pub address: Option<ServerAddress>,
    /// The host key (private, OpenSSH format); made at first start when it is missing.
    pub host_key: PathBuf,
    /// The key that certifies host names for `@cert-authority` lines; made at first start.
    pub host_ca_key: PathBuf,
    /// From the end of the first key exchange to a successful login.
    pub login_grace: Duration,
    /// From accept to the end of the first key exchange.
    pub handshake_timeout: Duration,
    /// The most connections at a time.
    pub connections_max: usize,
    /// The most connections at a time from one client address.
    pub connections_per_address_max: usize,
    /// The most connections at a time that have not logged in.
    pub connections_unauthenticated_max: usize,
    /// The most failed login attempts on one connection.
    pub auth_attempts_max: u32,
    /// The algorithms that clients are offered. Written as `post_quantum` and `additional_algorithms`.
    pub offer: Offer,
    /// The most channels at a time on one connection.
    pub channels_per_connection_max: usize,
    /// How long a client may be silent before it is asked for a sign of life; zero: never asked.
    pub keepalive_interval: Duration,
    /// How many such questions may stay unanswered before the connection ends.
    pub keepalive_max: u32,
    /// The most bytes in one direction under the same keys (RFC 4253 §9). Written as
    /// `rekey_after_mib`.
    pub rekey_after_bytes: u64,
    /// The longest time under the same keys (RFC 4253 §9).
    pub rekey_after: Duration,
    /// How long sessions may go on after the order to stop.
    pub shutdown_grace: Duration,
    /// The number of worker threads; none for one per core. Written as 0 for none.
    pub worker_threads: Option<NonZeroUsize>,
}

impl Server {
    pub(super) fn read(section: &mut Section<'_>, data_dir: &Path) -> Self {
        let rekey_after_mib: u64 = section.integer("rekey_after_mib", 1024, 1..=65_536);
        Self {
            listen: listen_addresses(section),
            address: section.parse("address", server_address),
            host_key: section.state_path("host_key", "host_ed25519", data_dir, Expect::PrivateKey),
            host_ca_key: section.state_path("host_ca_key", "host_ca_ed25519", data_dir, Expect::PrivateKey),
            login_grace: section.duration("login_grace", 30 * SECOND, SECOND..=10 * MINUTE),
            handshake_timeout: section.duration("handshake_timeout", 10 * SECOND, SECOND..=5 * MINUTE),
            connections_max: section.integer("connections_max", 1000, 1..=1_000_000),
            connections_per_address_max: section.integer("connections_per_address_max", 100, 1..=1_000_000),
            connections_unauthenticated_max: section.integer(
                "connections_unauthenticated_max",
                100,
                1..=1_000_000,
            ),
            auth_attempts_max: section.integer("auth_attempts_max", 20, 1..=100),
            offer: offer(section),
            channels_per_connection_max: section.integer("channels_per_connection_max", 64, 1..=1024),
            keepalive_interval: section.duration("keepalive_interval", MINUTE, Duration::ZERO..=HOUR),
            keepalive_max: section.integer("keepalive_max", 3, 1..=100),
            rekey_after_bytes: rekey_after_mib << 20,
            rekey_after: section.duration("rekey_after", HOUR, SECOND..=24 * HOUR),
            shutdown_grace: section.duration("shutdown_grace", 30 * SECOND, Duration::ZERO..=24 * HOUR),
            worker_threads: NonZeroUsize::new(section.integer("worker_threads", 0, 0..=1024)),
        }
    }
}

fn listen_addresses(section: &mut Section<'_>) -> Vec<SocketAddr> {
    let everywhere = || vec![SocketAddr::from(([0, 0, 0, 0], 2222))];
    let mut seen = BTreeSet::new();
    section.list("listen", 1, everywhere, |value| {
        let address = socket_address(value)?;
        let fresh = address.port() == 0 || seen.insert(address);
        fresh
            .then_some(address)
            .ok_or_else(|| Complaint::new(format!("{address} is listed twice")).hint("remove one of the two"))
    })
}

pub(super) fn socket_address(value: &Value) -> Result<SocketAddr, Complaint> {
    let text = text(value)?;
    text.parse().map_err(|_| {
        Complaint::new(format!("{} is not an address and a port", quoted(text)))
            .hint("write a numeric address and a port, such as \"0.0.0.0:2222\" or \"[::]:2222\"")
    })
}

fn offer(section: &mut Section<'_>) -> Offer {
    let ways = [("preferred", Offer::default()), ("required", Offer::post_quantum_only())];
    let mut offer = section.choice("post_quantum", Offer::default(), &ways);
    section.list("additional_algorithms", 0, Vec::new, |value| {
        let name = text(value)?;
        offer = offer.with(name).map_err(|why| not_addable(name, why))?;
        Ok(())
    });
    offer
}

fn not_addable(name: &str, why: NotAddable) -> Complaint {
    let name = quoted(name);
    match why {
        NotAddable::Unknown => {
            let known: Vec<String> = Offer::ADDITIONS.iter().map(|known| format!("\"{known}\"")).collect();
            Complaint::new(format!("{name} is not an algorithm that can be added"))
                .hint(format!("the algorithms that can be added are {}", known.join(", ")))
        }
        NotAddable::Twice => Complaint::new(format!("{name} is listed twice")).hint("remove one of the two"),
        NotAddable::NotPostQuantum => Complaint::new(format!(
            "{name} does not withstand a quantum computer, which `post_quantum` asks for"
        ))
        .hint("remove it, or set post_quantum = \"preferred\""),
    }
}

fn server_address(value: &Value) -> Result<ServerAddress, Complaint> {
    let text = text(value)?;
    ServerAddress::parse(text).map_err(|error| {
        Complaint::new(format!("{} is not how a client could name a host", quoted(text)))
            .hint(error.to_string())
    })
}

/// `[data]`: where drawbridge keeps what must survive a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The directory; made when it is missing.
    pub dir: PathBuf,
}

impl Data {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { dir: section.path("dir", "/var/lib/drawbridge", Expect::WritableDirectory) }
    }
}

/// `[log]`: what the operator reads, on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// Which lines: a level, or directives such as `info,drawbridge::inventory=debug`. Always one that
    /// [`telemetry::init`] can read.
    pub level: String,
}

/// The form of the operator's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            format: section.choice(
                "format",
                LogFormat::Text,
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            ),
            level: section.parse("level", log_directives).unwrap_or_else(|| "info".to_owned()),
        }
    }
}

/// What the log cannot read would keep the daemon from starting, and a misspelt level is the likeliest cause.
fn log_directives(value: &Value) -> Result<String, Complaint> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = text(value)?;
    if telemetry::can_read(text) {
        return Ok(text.to_owned());
    }
    let level_of = |directive: &str| directive.rsplit('=').next().unwrap_or_default().trim().to_lowercase();
    let misspelt = text.split(',').map(str::trim).find_map(|directive| {
        let level = level_of(directive);
        let meant = nearest(&level, LEVELS).filter(|meant| *meant != level)?;
        Some((directive, meant))
    });
    match misspelt {
        Some((directive, meant)) => Err(Complaint::new(format!("{} is not a level", quoted(directive)))
            .hint(format!("did you mean \"{meant}\"? The levels are {}", LEVELS.join(", ")))),
        None => Err(Complaint::new(format!("{} is neither a level nor directives", quoted(text))).hint(
            format!("write one of {}, or directives such as \"info,drawbridge=debug\"", LEVELS.join(", ")),
        )),
    }
}
