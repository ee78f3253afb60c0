//! What can be typed about the record.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::ids::{Playable, SessionStart};
use super::when::{When, parse_length};
use crate::audit::Event;
use crate::domain::{ConnectionId, Ending, Login, NodeName, UserName};

/// What is asked about sessions.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum SessionsCommand {
    /// The sessions that fit, newest first
    List(ListArgs),
    /// The story of one session: who, from where, allowed by what, what was run and moved, how it ended
    Show(ShowArgs),
    /// Look on at the terminal of a session that is live; q leaves
    Watch(WatchArgs),
    /// End a session that is live, wherever it runs
    Kill(KillArgs),
}

/// `sessions list`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ListArgs {
    /// Which ones.
    #[command(flatten)]
    pub fitting: Fitting,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Only those that are older than this session: the next page
    #[arg(long, value_name = "ID", value_parser = SessionStart::parse)]
    pub before: Option<SessionStart>,
    /// Answer in JSON, one session a line
    #[arg(long)]
    pub json: bool,
}

/// What has to be so about a session. All that is given has to fit.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Fitting {
    /// Of this user
    #[arg(long, value_parser = UserName::parse)]
    pub user: Option<UserName>,
    /// On the instance with this name or id
    #[arg(long, value_name = "INSTANCE", value_parser = plain)]
    pub target: Option<String>,
    /// As this OS user
    #[arg(long, value_parser = Login::parse)]
    pub login: Option<Login>,
    /// Begun at this time or later: 2026-01-02T03:04:05Z, 2026-01-02, today, yesterday, or 90s, 15m, 2h, 3d ago
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub since: Option<When>,
    /// Begun before this time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,
    /// Ended like this: finished, client-left, target-left, max-session, idle, killed, …
    #[arg(long, value_parser = ending, conflicts_with = "live")]
    pub ending: Option<Ending>,
    /// Not ended yet
    #[arg(long)]
    pub live: bool,
    /// Carried by this bastion
    #[arg(long, value_parser = node)]
    pub node: Option<NodeName>,
    /// With this text in a command or a path
    #[arg(long, value_parser = plain)]
    pub text: Option<String>,
}

/// `sessions show`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ShowArgs {
    /// The session, or the beginning of its id
    #[arg(value_name = "ID", value_parser = SessionStart::parse)]
    pub session: SessionStart,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// `sessions watch`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct WatchArgs {
    /// The session, or the beginning of its id
    #[arg(value_name = "ID", value_parser = SessionStart::parse)]
    pub session: SessionStart,
    /// The terminal on this channel, where there are several [default: the newest]
    #[arg(long, value_name = "N")]
    pub channel: Option<u32>,
}

/// `sessions kill`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct KillArgs {
    /// The session, or the beginning of its id
    #[arg(value_name = "ID", value_parser = SessionStart::parse)]
    pub session: SessionStart,
    /// Why; it is kept in the record
    #[arg(long, value_name = "TEXT", value_parser = plain)]
    pub reason: Option<String>,
}

/// `replay`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = super::play::KEYS_HELP)]
pub struct ReplayArgs {
    /// The session, or the beginning of its id; or the whole id of a recording (r-…)
    #[arg(value_name = "ID", value_parser = Playable::parse)]
    pub what: Playable,
    /// The terminal on this channel, where there are several [default: the first]
    #[arg(long, value_name = "N")]
    pub channel: Option<u32>,
    /// So many times as fast as it was
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Wait at most so long where nothing happened: 2s
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub idle_limit: Option<Duration>,
    /// Begin there: 90s, or 1:30
    #[arg(long, value_name = "TIME", value_parser = parse_length)]
    pub seek: Option<Duration>,
}

/// `events`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct EventsArgs {
    /// Of this session, or the beginning of its id
    #[arg(long, value_name = "ID", value_parser = SessionStart::parse)]
    pub session: Option<SessionStart>,
    /// Of this connection
    #[arg(long, value_name = "ID", value_parser = connection)]
    pub connection: Option<ConnectionId>,
    /// Of this user
    #[arg(long, value_parser = UserName::parse)]
    pub user: Option<UserName>,
    /// Of this kind, such as decision or file-operation
    #[arg(long, value_name = "EVENT", value_parser = kind)]
    pub kind: Option<String>,
    /// At this time or later, as in `sessions list` [default: 1d, unless a session or connection is named]
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub since: Option<When>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub until: Option<When>,
    /// With this text in them
    #[arg(long, value_parser = plain)]
    pub text: Option<String>,
    /// So many at most [default: all that fit]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Answer with the lines as they are on record: JSON
    #[arg(long)]
    pub json: bool,
}

/// `export`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ExportArgs {
    /// One session, or the beginning of its id; for asciicast a recording's whole id will do
    #[arg(value_name = "ID", value_parser = Playable::parse)]
    pub what: Option<Playable>,
    /// The form
    #[arg(long, value_enum)]
    pub format: Format,
    /// Which sessions.
    #[command(flatten)]
    pub fitting: Fitting,
    /// The sessions themselves, one a line, and not their events
    #[arg(long)]
    pub sessions: bool,
    /// The terminal on this channel, for asciicast [default: the first]
    #[arg(long, value_name = "N")]
    pub channel: Option<u32>,
}

/// A form to export in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON Lines: the lines of the record, as they are
    Jsonl,
    /// CSV for a spreadsheet
    Csv,
    /// A recording for asciinema and other players
    Asciicast,
    /// OCSF, JSON Lines
    Ocsf,
}

/// A text that somebody looks for or gives as a reason.
const TEXT_MAX: usize = 256;

fn plain(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned()).ok_or("write 1 to 256 bytes without control characters")
}

fn speed(text: &str) -> Result<f64, &'static str> {
    let factor: Option<f64> = text.strip_suffix('x').unwrap_or(text).parse().ok();
    factor.filter(|factor| (0.1..=100.0).contains(factor)).ok_or("write a factor from 0.1 to 100")
}

fn connection(text: &str) -> Result<ConnectionId, &'static str> {
    ConnectionId::parse(text).ok_or("a connection's id is c- and 32 hexadecimal digits")
}

fn kind(text: &str) -> Result<String, String> {
    let known = || format!("the events are {}", Event::NAMES.join(", "));
    Event::NAMES.contains(&text).then(|| text.to_owned()).ok_or_else(known)
}

fn node(text: &str) -> Result<NodeName, &'static str> {
    NodeName::parse(text).ok_or("a node's name is letters, digits, '-', '.' and '_'")
}

/// What sessions can end with.
const ENDINGS: [Ending; 15] = [
    Ending::Finished,
    Ending::ClientLeft,
    Ending::TargetLeft,
    Ending::MaxSession,
    Ending::Idle,
    Ending::Killed,
    Ending::PermissionEnded,
    Ending::TargetReplaced,
    Ending::RecordingFailed,
    Ending::Interrupted,
    Ending::AuditUnavailable,
    Ending::ShuttingDown,
    Ending::ProtocolError,
    Ending::InternalFault,
    Ending::UpstreamFailed,
];

fn ending(text: &str) -> Result<Ending, String> {
    let known = || format!("the endings are {}", ENDINGS.map(Ending::label).join(", "));
    ENDINGS.into_iter().find(|ending| ending.label() == text).ok_or_else(known)
}
