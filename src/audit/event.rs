//! What can happen. The names and fields are documented for readers in `docs/audit.md`.
//!
//! What always holds: an event is complete by its type; every text in it is bounded ([`Text`]) and every duration is in
//! milliseconds on the wire. What is not here: time, ids and place in the chain ([`super::Entry`], `lines`), and what is
//! worth an event.

mod decided;
mod names;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::facts::{
    ActionFacts, Algorithms, AuthProof, CertificateProof, Content, DecisionOutcome, EarlyRefusal, ExitFacts,
    LimitFacts, PtyFacts, Reloadable, TargetFacts, Unresolved, VouchedBy, Way,
};
use super::json::{as_ms, as_utc_ms};
use super::record_facts::{ContentFacts, FileFacts, HeadFacts, RecordFacts, RecordingFacts};
use super::text::{CommandLine, SshUser, Text};
use crate::domain::{
    ChannelNumber, Ending, FailureClass, Fingerprint, Login, PinVoucher, RecordMode, RecordingId, SessionId,
    UserName,
};
use crate::policy::{RefusalReason, RuleId};

/// One line of the audit trail, without its time and ids.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// The daemon is ready to take connections.
    DaemonStarted {
        /// drawbridge's version.
        version: &'static str,
        /// The addresses it listens on.
        listeners: Vec<SocketAddr>,
    },
    /// The daemon has ended; the last line of a clean run.
    DaemonStopped {
        /// drawbridge's version.
        version: &'static str,
        /// Whether every session had ended within the grace time.
        drained: bool,
    },
    /// A file that decides about access was read again and is in force.
    Reloaded {
        /// Which one.
        what: Reloadable,
    },
    /// A file that decides about access was read again and refused; the old one stays in force.
    ReloadRefused {
        /// Which one.
        what: Reloadable,
        /// How many problems it has.
        problems: usize,
        /// The first of them.
        detail: Text,
    },
    /// The host key of an instance was pinned as it was discovered, before anybody connected.
    HostKeyPinned {
        /// The machine.
        target: TargetFacts,
        /// Its host key.
        host_key_fingerprint: Fingerprint,
        /// What vouched for it.
        vouched_by: PinVoucher,
    },
    /// A client connected.
    ConnectionOpened {
        /// The client's address.
        client_addr: IpAddr,
        /// The client's port.
        client_port: u16,
        /// Our address that it connected to.
        listener: SocketAddr,
    },
    /// A client was turned away before it said anything.
    ConnectionRefused {
        /// The client's address.
        client_addr: IpAddr,
        /// The client's port.
        client_port: u16,
        /// Our address that it connected to.
        listener: SocketAddr,
        /// Why.
        reason: EarlyRefusal,
    },
    /// The first key exchange with a client is complete.
    ClientIdentified {
        /// The client's identification string (RFC 4253 §4.2).
        client_version: Text,
        /// What was agreed.
        algorithms: Algorithms,
    },
    /// An attempt to prove an identity failed. Outside, all failures read the same.
    AuthenticationFailed {
        /// The user name of the SSH login.
        #[serde(flatten)]
        ssh_user: SshUser,
        /// The method that was tried (RFC 4252), or `certificate`.
        method: Text,
        /// The algorithm of the key that was offered.
        #[serde(skip_serializing_if = "Option::is_none")]
        algorithm: Option<Text>,
        /// The key that was offered.
        #[serde(skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        /// What the certificate claims; its signature may be what failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        certificate: Option<CertificateProof>,
        /// The true reason, as a label.
        reason: Text,
        /// The true reason, as a sentence.
        detail: Text,
    },
    /// An identity was proved.
    AuthenticationSucceeded {
        /// The user name of the SSH login.
        #[serde(flatten)]
        ssh_user: SshUser,
        /// The user of local policy.
        user: UserName,
        /// The user's groups.
        groups: Vec<String>,
        /// How it was proved.
        #[serde(flatten)]
        proof: AuthProof,
    },
    /// A client named a target.
    TargetRequested {
        /// What was typed.
        typed: Text,
        /// How it was addressed.
        way: Way,
    },
    /// What was typed does not lead to one instance.
    TargetNotResolved {
        /// What was typed.
        typed: Text,
        /// Why.
        reason: Unresolved,
        /// The class of the failure, where there is one such instance and it does not run.
        #[serde(skip_serializing_if = "Option::is_none")]
        class: Option<FailureClass>,
        /// Why, as a sentence.
        detail: Text,
    },
    /// Policy decided.
    Decision {
        /// What it decided.
        outcome: DecisionOutcome,
        /// Who asked.
        user: UserName,
        /// Where they came from.
        client_addr: IpAddr,
        /// The machine it is about; none where the bastion is to connect to an address that is no instance's.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<TargetFacts>,
        /// The OS user on it; none where the bastion itself is to connect.
        #[serde(skip_serializing_if = "Option::is_none")]
        login: Option<Login>,
        /// What is to be done there.
        #[serde(flatten)]
        action: ActionFacts,
        /// The rules that decided.
        rules: Vec<RuleId>,
        /// Why not, where it was a refusal.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<RefusalReason>,
        /// What went wrong while rules were evaluated.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        errors: Vec<Text>,
        /// The limits that hold, where it was a permit.
        #[serde(skip_serializing_if = "Option::is_none")]
        limits: Option<Box<LimitFacts>>,
    },
    /// Instance Connect took the one-session key.
    KeyPushed {
        /// AWS's request id: the same as in CloudTrail.
        request_id: Text,
        /// The key: the same as in the target's own log.
        key_fingerprint: Fingerprint,
        /// Until when the target lets it in.
        #[serde(serialize_with = "as_utc_ms")]
        valid_until: Timestamp,
        /// How long it took.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// Instance Connect did not take the key.
    KeyPushFailed {
        /// AWS's request id, where AWS answered.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<Text>,
        /// The key.
        key_fingerprint: Fingerprint,
        /// The kind of failure, as a label.
        reason: Text,
        /// What was said, for the operator.
        detail: Text,
        /// How long it took.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// The SSH connection to the target stands, and the target let us in.
    UpstreamConnected {
        /// The address that was dialled.
        target_address: SocketAddr,
        /// The target's identification string (RFC 4253 §4.2).
        target_version: Text,
        /// The target's host key.
        host_key_fingerprint: Fingerprint,
        /// What vouched for it.
        vouched_by: VouchedBy,
        /// What had vouched for the pin when it was set, where the pin vouched.
        #[serde(skip_serializing_if = "Option::is_none")]
        pin_vouched_by: Option<PinVoucher>,
        /// The pin in whose place a host certificate has put this key.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaced_fingerprint: Option<Fingerprint>,
        /// What was agreed.
        algorithms: Algorithms,
        /// From dialling to being let in.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// The target could not be reached, proved to be another, or did not let us in.
    UpstreamFailed {
        /// The address that was dialled.
        target_address: SocketAddr,
        /// The class of the failure.
        class: FailureClass,
        /// The kind of failure, as a label: within a class it may say more.
        reason: Text,
        /// What went wrong, for the operator.
        detail: Text,
        /// The host key that was shown, where it came to that.
        #[serde(skip_serializing_if = "Option::is_none")]
        host_key_fingerprint: Option<Fingerprint>,
        /// The pin it should have equalled, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        pinned_fingerprint: Option<Fingerprint>,
        /// From dialling to giving up.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// Somebody was told what AWS says about why a target cannot be reached, or whether it can.
    Diagnosed {
        /// Who.
        user: UserName,
        /// Where they come from.
        client_addr: IpAddr,
        /// The target.
        target: TargetFacts,
        /// The OS user on it.
        login: Login,
        /// The class of the failure that was seen; none where nothing failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        class: Option<FailureClass>,
        /// The check that names the most likely cause, as a label; none where no check does.
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<&'static str>,
        /// What that check found.
        #[serde(skip_serializing_if = "Option::is_none")]
        finding: Option<Text>,
        /// How many checks found nothing wrong.
        sound: usize,
        /// How many found something wrong.
        broken: usize,
        /// How many could not be made.
        unknown: usize,
        /// How long it took to ask AWS.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// A permit is in use on an upstream.
    SessionStarted {
        /// Who.
        user: UserName,
        /// The client's address.
        client_addr: IpAddr,
        /// The client's port.
        client_port: u16,
        /// How the target was addressed.
        way: Way,
        /// The OS user on the target.
        login: Login,
        /// The target.
        target: TargetFacts,
        /// What drawbridge knows of what is said; absent where it sees all.
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Content>,
    },
    /// A program was asked for on a channel.
    ChannelStarted {
        /// The channel.
        channel: ChannelNumber,
        /// Which program.
        #[serde(flatten)]
        action: ActionFacts,
        /// Its terminal, where it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        pty: Option<PtyFacts>,
        /// Whether it is recorded.
        #[serde(flatten)]
        record: RecordFacts,
    },
    /// Something was asked for that drawbridge does not carry.
    ChannelRefused {
        /// The channel type or request name (RFC 4254).
        requested: Text,
        /// Why it was refused, as a label.
        reason: Text,
    },
    /// A channel closed.
    ChannelEnded {
        /// The channel.
        channel: ChannelNumber,
        /// How the program ended.
        #[serde(flatten)]
        exit: ExitFacts,
        /// Data bytes from the client to the target.
        bytes_to_target: u64,
        /// Data bytes from the target to the client, standard error included.
        bytes_to_client: u64,
        /// What went through it, where it had no terminal.
        #[serde(flatten)]
        content: ContentFacts,
        /// Its recording, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        recording: Option<RecordingFacts>,
        /// Why it closed.
        ending: Ending,
        /// From opened to closed.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// Something was done with a file.
    FileOperation {
        /// The channel.
        channel: ChannelNumber,
        /// What, and how it went.
        #[serde(flatten)]
        file: Box<FileFacts>,
    },
    /// A recording could not be begun, or broke.
    RecordingFailed {
        /// The channel.
        channel: ChannelNumber,
        /// The recording, where it was begun.
        #[serde(skip_serializing_if = "Option::is_none")]
        recording: Option<RecordingId>,
        /// What policy or the configuration asked for: where it was required, the channel ends.
        mode: RecordMode,
        /// What went wrong.
        detail: Text,
    },
    /// A recording of an earlier run, which ended without telling, was closed: this is how far it goes.
    RecordingSalvaged {
        /// The channel.
        channel: ChannelNumber,
        /// The recording.
        recording: RecordingFacts,
    },
    /// The target listens for the client, or listens no longer.
    ForwardListening {
        /// Where.
        #[serde(flatten)]
        action: ActionFacts,
        /// The port that the target chose, where it was to choose one.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Whether it listens from here on, or has ceased to.
        listening: bool,
    },
    /// One forwarded connection began: a forward of a session, a use of the client's key agent or display, or a
    /// connection by the bastion alone.
    ForwardStarted {
        /// The channel.
        channel: ChannelNumber,
        /// Who.
        user: UserName,
        /// The client's address.
        client_addr: IpAddr,
        /// What kind, and to where.
        #[serde(flatten)]
        action: ActionFacts,
        /// Who connected to the forward, as that side says: not verified.
        #[serde(skip_serializing_if = "Option::is_none")]
        originator: Option<Text>,
    },
    /// One forwarded connection is over.
    ForwardEnded {
        /// The channel.
        channel: ChannelNumber,
        /// What kind, and to where.
        #[serde(flatten)]
        action: ActionFacts,
        /// Data bytes from the client to the other end.
        bytes_to_target: u64,
        /// Data bytes from the other end to the client.
        bytes_to_client: u64,
        /// Why it is over.
        ending: Ending,
        /// More about why, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Text>,
        /// From opened to closed.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// The bastion itself was asked something: `ssh bastion COMMAND`.
    ConsoleCommand {
        /// Who asked.
        user: UserName,
        /// The client's address.
        client_addr: IpAddr,
        /// What was asked; empty where a shell was, without a terminal, which is answered with the help.
        #[serde(flatten)]
        command: CommandLine,
        /// The exit status of the answer.
        exit_status: u32,
    },
    /// Somebody sees another one's session as it goes on.
    SessionWatched {
        /// Who watches: a user, or `operator` where it is done on a node's command line.
        by: Text,
        /// The address that they watch from.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_addr: Option<IpAddr>,
        /// The session that is watched.
        watched: SessionId,
        /// Whether the one who is watched is told.
        told: bool,
    },
    /// Somebody ordered a session to end.
    KillOrdered {
        /// Who: a user, or `operator` where it was done on a node's command line.
        by: Text,
        /// The session that is to end.
        killed: SessionId,
        /// Why, as they said.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
    },
    /// A session of an earlier run, which ended without telling: the daemon was killed, or its machine went down.
    SessionInterrupted {
        /// The time of its last event.
        #[serde(serialize_with = "as_utc_ms")]
        last_seen: Timestamp,
    },
    /// A connection of an earlier run, likewise.
    ConnectionInterrupted {
        /// The time of its last event.
        #[serde(serialize_with = "as_utc_ms")]
        last_seen: Timestamp,
    },
    /// The store does not answer: no new session starts, and what happens waits on this node's disk.
    StoreUnavailable {
        /// What went wrong.
        detail: Text,
    },
    /// The store answers again and has everything that waited.
    StoreRecovered {
        /// How many lines had waited.
        lines: u64,
        /// For how long there was no store.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// A sink was down or slow for so long that lines were given up for it. They are in the store.
    SinkOverflowed {
        /// Which sink, as the configuration names it.
        sink: Text,
        /// How many lines it does not get.
        lines: u64,
        /// The number of the first of them.
        from: u64,
        /// The number of the last of them.
        to: u64,
    },
    /// A signed statement about this node's chain of events so far.
    Head {
        /// What it says.
        #[serde(flatten)]
        head: HeadFacts,
    },
    /// A session is over.
    SessionEnded {
        /// Why.
        ending: Ending,
        /// More about why, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Text>,
        /// Data bytes from the client to the target, all channels.
        bytes_to_target: u64,
        /// Data bytes from the target to the client, all channels.
        bytes_to_client: u64,
        /// How many channels it had.
        channels: u32,
        /// From started to ended.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
    /// A client's connection is over.
    ConnectionEnded {
        /// Why.
        ending: Ending,
        /// More about why, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Text>,
        /// From opened to ended.
        #[serde(rename = "duration_ms", serialize_with = "as_ms")]
        duration: Duration,
    },
}
