//! The groups of fields that several events share, and the closed lists of reasons.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::text::{CommandLine, Text, is_false};
use crate::domain::{
    Action, ActionKind, AuthMethod, CertificateFacts, Destination, Exit, Fingerprint, InstanceId, RecordMode,
    Target,
};
use crate::policy::Limits;

/// How the client addressed the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// `ssh -J bastion login@target`: an inner SSH server on a `direct-tcpip` channel.
    Jump,
    /// `ssh login@target@bastion`.
    Direct,
    /// `ssh -t bastion target`, or a choice from the menu of `ssh bastion`.
    Console,
    /// As a jump, but the SSH connection to the target is the client's own, end to end.
    PassThrough,
    /// `ssh -L`, `-D` or `-W` through the bastion alone.
    Connect,
}

/// Why a connection was turned away before it said anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyRefusal {
    /// The listener carries as many connections as it may.
    TooManyConnections,
    /// The client's address has as many connections as one address may.
    TooManyFromAddress,
    /// As many connections as may are still authenticating.
    TooManyUnauthenticated,
    /// No thread could take it up.
    NoWorker,
}

/// Why what was typed did not lead to one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unresolved {
    /// No instance is called that.
    Unknown,
    /// Several are.
    Ambiguous,
    /// The inventory could not answer, or the instance is not running.
    Unavailable,
    /// No instance can be called that.
    Malformed,
    /// The bastion never connects there, whatever a policy says.
    NeverReachable,
}

/// What drawbridge knows of what is said in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Nothing: it is encrypted between the client and the target.
    NotSeen,
}

/// What policy decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionOutcome {
    /// It may happen.
    Permit,
    /// It may not.
    Refuse,
}

/// What vouched for the target's host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VouchedBy {
    /// A host certificate of a trusted CA.
    Ca,
    /// It equals the pin that is bound to the instance.
    Pinned,
    /// A tag of the instance.
    Tag,
    /// The instance's console output.
    Console,
    /// Nothing: it was the first one seen, and is the pin from here on.
    TofuFirstUse,
}

/// What can be read again while the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reloadable {
    /// The policy and its schema.
    Policy,
    /// The users file.
    Users,
    /// The revocation lists.
    Revocation,
    /// The CAs whose host certificates are believed.
    HostCas,
}

/// What a key exchange agreed on (RFC 4253 §7.1), by the names of the algorithms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Algorithms {
    /// Key exchange.
    pub kex: Text,
    /// The server's host key.
    pub host_key: Text,
    /// Cipher from the SSH client to the SSH server.
    pub cipher_client_to_server: Text,
    /// Cipher from the SSH server to the SSH client.
    pub cipher_server_to_client: Text,
    /// MAC from client to server; none where the cipher authenticates by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_client_to_server: Option<Text>,
    /// MAC from server to client; none where the cipher authenticates by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_server_to_client: Option<Text>,
    /// Whether one of these is offered only to targets that are listed as legacy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub legacy: bool,
}

/// What a certificate said about its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateProof {
    /// The key id that the CA wrote into it.
    pub key_id: Text,
    /// The serial number, as a decimal text: it has 64 bits, and many JSON readers keep 53.
    pub serial: String,
    /// The CA that signed it.
    pub ca: Fingerprint,
}

impl From<&CertificateFacts> for CertificateProof {
    fn from(facts: &CertificateFacts) -> Self {
        Self {
            key_id: Text::from(facts.key_id.as_str()),
            serial: facts.serial.to_string(),
            ca: facts.ca.clone(),
        }
    }
}

/// How an identity was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthProof {
    /// `publickey` or `certificate`.
    pub method: &'static str,
    /// The algorithm of the key that signed, as SSH names it.
    pub algorithm: Text,
    /// The key that signed.
    pub fingerprint: Fingerprint,
    /// The certificate, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateProof>,
}

impl From<&AuthMethod> for AuthProof {
    fn from(auth: &AuthMethod) -> Self {
        let (algorithm, certificate) = match auth {
            AuthMethod::PublicKey { algorithm, .. } => (algorithm, None),
            AuthMethod::Certificate { algorithm, certificate, .. } => (algorithm, Some(certificate.into())),
        };
        Self {
            method: auth.name(),
            algorithm: Text::from(algorithm.as_str()),
            fingerprint: auth.fingerprint().clone(),
            certificate,
        }
    }
}

/// The one machine an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetFacts {
    /// The instance id.
    pub id: InstanceId,
    /// The `Name` tag, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The 12-digit account id.
    pub account: String,
    /// The region.
    pub region: String,
    /// The private address at that instant.
    pub private_ip: IpAddr,
}

impl From<&Target> for TargetFacts {
    fn from(target: &Target) -> Self {
        Self {
            id: target.id.clone(),
            name: target.name.as_deref().map(Text::from),
            account: target.account.clone(),
            region: target.region.clone(),
            private_ip: target.private_ip,
        }
    }
}

/// What someone wants to do, or does, on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActionFacts {
    /// What policies call it: `shell`, `exec`, `local-forward`, …
    pub action: ActionKind,
    /// The command line of an `exec`.
    #[serde(flatten)]
    pub command: Option<CommandLine>,
    /// The name of a `subsystem` other than `sftp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<Text>,
    /// Where a `local-forward` or a `connect` leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<EndpointFacts>,
    /// Where a `remote-forward` listens on the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<EndpointFacts>,
    /// The socket of a `local-socket` or `remote-socket` on the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Text>,
}

/// One end of a forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointFacts {
    /// The host as the client named it; empty for every address of a listener.
    pub host: Text,
    /// The address that is dialled, where it is drawbridge that dials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The port; 0 where a listener may choose.
    pub port: u16,
}

impl EndpointFacts {
    fn named(host: &str, port: u16) -> Self {
        Self { host: Text::from(host), address: None, port }
    }
}

impl ActionFacts {
    fn plain(action: ActionKind) -> Self {
        Self { action, command: None, subsystem: None, destination: None, listen: None, path: None }
    }

    /// An `exec` with the very bytes that the client sent.
    #[must_use]
    pub fn exec(command: &[u8]) -> Self {
        Self { command: Some(CommandLine::from_bytes(command)), ..Self::plain(ActionKind::Exec) }
    }
}

impl From<&Action> for ActionFacts {
    fn from(action: &Action) -> Self {
        let mut facts = Self::plain(action.kind());
        match action {
            Action::Exec { command } => facts.command = Some(CommandLine::from(command.as_str())),
            Action::Subsystem { name } => facts.subsystem = Some(Text::from(name.as_str())),
            Action::LocalForward { host, port } => {
                facts.destination = Some(EndpointFacts::named(host, *port));
            }
            Action::RemoteForward { host, port } => facts.listen = Some(EndpointFacts::named(host, *port)),
            Action::LocalSocket { path } | Action::RemoteSocket { path } => {
                facts.path = Some(Text::from(path.as_str()));
            }
            Action::Shell
            | Action::Sftp
            | Action::Tunnel
            | Action::Agent
            | Action::X11
            | Action::Watch
            | Action::Kill
            | Action::Diagnose => {}
        }
        facts
    }
}

impl From<&Destination> for ActionFacts {
    fn from(destination: &Destination) -> Self {
        let place = EndpointFacts {
            host: Text::from(destination.host.as_str()),
            address: Some(destination.address),
            port: destination.port,
        };
        Self { destination: Some(place), ..Self::plain(ActionKind::Connect) }
    }
}

/// The limits that the permitting rules set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LimitFacts {
    /// The longest the session may last, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_session_ms: Option<u64>,
    /// The longest it may say nothing, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Whether what is done is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordMode>,
    /// Whether what is typed on a terminal is recorded as well.
    #[serde(skip_serializing_if = "is_false")]
    pub keyboard: bool,
    /// Whether the first part of what a command says is kept.
    #[serde(skip_serializing_if = "is_false")]
    pub keep_output: bool,
    /// Whether somebody who is watched is told so.
    #[serde(skip_serializing_if = "is_false")]
    pub tell_watched: bool,
}

impl From<&Limits> for LimitFacts {
    fn from(limits: &Limits) -> Self {
        Self {
            max_session_ms: limits.max_session.map(whole_ms),
            idle_ms: limits.idle.map(whole_ms),
            record: limits.record,
            keyboard: limits.keyboard,
            keep_output: limits.keep_output,
            tell_watched: limits.tell_watched,
        }
    }
}

/// A duration in whole milliseconds.
pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The terminal of a channel (RFC 4254 §6.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PtyFacts {
    /// The `TERM` value.
    pub term: Text,
    /// Width, in characters.
    pub columns: u32,
    /// Height, in rows.
    pub rows: u32,
}

/// How a remote program ended; all absent when the target never said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ExitFacts {
    /// The exit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<u32>,
    /// The signal that ended it, without `SIG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<Text>,
    /// Whether a core was dumped; only beside a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_dumped: Option<bool>,
}

impl From<&Exit> for ExitFacts {
    fn from(exit: &Exit) -> Self {
        match exit {
            Exit::Status { code } => Self { exit_status: Some(*code), ..Self::default() },
            Exit::Signal { name, core_dumped } => Self {
                exit_signal: Some(Text::from(name.as_str())),
                core_dumped: Some(*core_dumped),
                ..Self::default()
            },
        }
    }
}

impl From<Option<&Exit>> for ExitFacts {
    fn from(exit: Option<&Exit>) -> Self {
        exit.map(Self::from).unwrap_or_default()
    }
}
