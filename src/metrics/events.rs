//! What each event counts for.

use super::counters::{Counters, add, one, took};
use super::labels::{
    AUTHENTICATION_FAILURES, ActionEnd, ByWay, CHANNEL_REFUSALS, Decided, FileDone, FileMoved, ForAction,
    HowEnded, METHODS, Mode, Moved, OTHER, OfClass, PUSH_FAILURES, Proof, Reason, Recorded,
    Result as Outcome, SessionEnd, UPSTREAM_FAILURES, Vouched, What, closed, early_refusal, file_protocol,
    outcome, record_mode, refusal, unresolved, vouched_by, way,
};
use super::open::Open;
use crate::audit::{Entry, Event, FileFacts, Way};
use crate::domain::{ActionKind, Ending};

/// Whether the event tells of an ending. Those count even where their line is lost: what is over is over.
pub(super) fn is_ending(event: &Event) -> bool {
    matches!(
        event,
        Event::ConnectionEnded { .. }
            | Event::SessionEnded { .. }
            | Event::ChannelEnded { .. }
            | Event::ForwardEnded { .. }
    )
}

/// Counts one entry. `open` knows what it belongs to.
pub(super) fn count(counters: &Counters, open: &Open, entry: &Entry) {
    match &entry.event {
        Event::DaemonStarted { .. }
        | Event::DaemonStopped { .. }
        | Event::HostKeyPinned { .. }
        | Event::ClientIdentified { .. }
        | Event::TargetRequested { .. }
        | Event::ForwardListening { .. }
        // The sinks count what they gave up themselves.
        | Event::SinkOverflowed { .. }
        | Event::StoreRecovered { .. } => {}
        Event::Reloaded { what } => counters.reload(*what, true, true),
        Event::ReloadRefused { what, .. } => counters.reload(*what, false, true),
        Event::ConnectionOpened { .. } => {
            counters.connections.inc();
        }
        Event::ConnectionRefused { reason, .. } => {
            one(&counters.connections_refused, Reason { reason: early_refusal(*reason) });
        }
        Event::AuthenticationFailed { method, reason, .. } => {
            let method = closed(method, &[METHODS]);
            one(&counters.authentications, Proof { method, result: "failed" });
            let reason = closed(reason, &[AUTHENTICATION_FAILURES]);
            one(&counters.authentication_failures, Reason { reason });
        }
        Event::AuthenticationSucceeded { proof, .. } => {
            one(&counters.authentications, Proof { method: proof.method, result: "succeeded" });
        }
        Event::TargetNotResolved { reason, class, .. } => {
            one(&counters.targets_not_resolved, Reason { reason: unresolved(*reason) });
            if let Some(class) = class {
                one(&counters.connect_failures, OfClass { class: class.label() });
            }
        }
        Event::Decision { outcome: decided, action, reason, .. } => {
            let action = action.action.name();
            one(&counters.decisions, Decided { outcome: outcome(*decided), action });
            if let Some(reason) = reason {
                one(&counters.refusals, Reason { reason: refusal(*reason) });
            }
        }
        Event::KeyPushed { .. }
        | Event::KeyPushFailed { .. }
        | Event::UpstreamConnected { .. }
        | Event::UpstreamFailed { .. } => upstream(counters, &entry.event),
        Event::Diagnosed { cause, broken, unknown, .. } => {
            one(&counters.diagnoses, Outcome { result: diagnosed(cause.is_some(), *broken, *unknown) });
        }
        Event::SessionStarted { way: by, .. } => one(&counters.sessions, ByWay { way: way(Some(*by)) }),
        Event::ChannelStarted { action, .. } | Event::ForwardStarted { action, .. } => {
            one(&counters.channels, ForAction { action: action.action.name() });
        }
        Event::ChannelRefused { reason, .. } => {
            one(&counters.channels_refused, Reason { reason: closed(reason, &[CHANNEL_REFUSALS]) });
        }
        Event::ConsoleCommand { exit_status, .. } => {
            let result = if *exit_status == 0 { "answered" } else { "failed" };
            one(&counters.console_commands, Outcome { result });
        }
        Event::FileOperation { file, .. } => file_operation(counters, file),
        Event::RecordingFailed { mode, .. } => {
            one(&counters.recording_failures, Mode { mode: record_mode(Some(*mode)) });
        }
        Event::SessionWatched { .. } => {
            counters.watches.inc();
        }
        Event::KillOrdered { .. } => {
            counters.kill_orders.inc();
        }
        Event::SessionInterrupted { .. } => one(&counters.interrupted, What { what: "session" }),
        Event::RecordingSalvaged { .. } => one(&counters.interrupted, What { what: "recording" }),
        Event::ConnectionInterrupted { .. } => one(&counters.interrupted, What { what: "connection" }),
        Event::StoreUnavailable { .. } => {
            counters.store_outages.inc();
        }
        Event::Head { head } => {
            counters.heads.inc();
            counters.head_through.set(i64::try_from(head.through).unwrap_or(i64::MAX));
        }
        Event::ChannelEnded { .. }
        | Event::ForwardEnded { .. }
        | Event::SessionEnded { .. }
        | Event::ConnectionEnded { .. } => ended(counters, open, entry),
    }
}

/// What came of a diagnosis.
fn diagnosed(has_cause: bool, broken: usize, unknown: usize) -> &'static str {
    match (has_cause, broken, unknown) {
        (true, _, _) => "cause",
        (false, 0, 0) => "sound",
        (false, _, _) => "unclear",
    }
}

fn file_operation(counters: &Counters, file: &FileFacts) {
    let (protocol, operation) = (file_protocol(file.protocol), file.operation.label());
    one(&counters.file_operations, FileDone { protocol, operation, result: file.result });
    if let Some(bytes) = file.bytes {
        add(&counters.file_bytes, FileMoved { protocol, operation }, bytes);
    }
}

fn upstream(counters: &Counters, event: &Event) {
    if let Event::KeyPushed { duration, .. } = event {
        one(&counters.key_pushes, Outcome { result: "pushed" });
        took(&counters.key_push_duration, Outcome { result: "pushed" }, *duration);
    }
    if let Event::KeyPushFailed { reason, duration, .. } = event {
        one(&counters.key_pushes, Outcome { result: closed(reason, &[PUSH_FAILURES]) });
        took(&counters.key_push_duration, Outcome { result: "failed" }, *duration);
    }
    if let Event::UpstreamConnected { vouched_by: by, duration, .. } = event {
        one(&counters.upstream_connects, Outcome { result: "connected" });
        took(&counters.upstream_connect_duration, Outcome { result: "connected" }, *duration);
        one(&counters.host_keys, Vouched { vouched_by: vouched_by(*by) });
    }
    if let Event::UpstreamFailed { class, reason, duration, .. } = event {
        one(&counters.connect_failures, OfClass { class: class.label() });
        let result = closed(reason, &[UPSTREAM_FAILURES, PUSH_FAILURES]);
        one(&counters.upstream_connects, Outcome { result });
        took(&counters.upstream_connect_duration, Outcome { result: "failed" }, *duration);
    }
}

fn ended(counters: &Counters, open: &Open, entry: &Entry) {
    if let Event::ChannelEnded { channel, bytes_to_target, bytes_to_client, ending, recording, .. } =
        &entry.event
    {
        let known = open.channel(entry.session, *channel);
        let action = known.map_or(OTHER, |channel| channel.action.name());
        channel_ended(counters, action, *ending, [*bytes_to_target, *bytes_to_client]);
        if let Some(recording) = recording {
            let mode = record_mode(known.map(|channel| channel.record));
            let outcome = if recording.complete { "complete" } else { "incomplete" };
            one(&counters.recordings, Recorded { mode, outcome });
        }
    }
    if let Event::ForwardEnded { action, bytes_to_target, bytes_to_client, ending, .. } = &entry.event {
        channel_ended(counters, action.action.name(), *ending, [*bytes_to_target, *bytes_to_client]);
    }
    if let Event::SessionEnded { ending, bytes_to_target, bytes_to_client, duration, .. } = &entry.event {
        let by = open.way(entry.session);
        one(&counters.sessions_ended, SessionEnd { way: way(by), ending: ending.label() });
        took(&counters.session_duration, ByWay { way: way(by) }, *duration);
        // What is passed through has no channels of ours that would have counted it.
        if by == Some(Way::PassThrough) {
            carried(counters, ActionKind::Tunnel.name(), [*bytes_to_target, *bytes_to_client]);
        }
    }
    if let Event::ConnectionEnded { ending, .. } = &entry.event {
        one(&counters.connections_ended, HowEnded { ending: ending.label() });
    }
}

fn channel_ended(counters: &Counters, action: &'static str, ending: Ending, bytes: [u64; 2]) {
    one(&counters.channels_ended, ActionEnd { action, ending: ending.label() });
    carried(counters, action, bytes);
}

fn carried(counters: &Counters, action: &'static str, [to_target, to_client]: [u64; 2]) {
    add(&counters.carried, Moved { direction: "to-target", action }, to_target);
    add(&counters.carried, Moved { direction: "to-client", action }, to_client);
}
