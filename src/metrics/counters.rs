//! The families, with the names and helps that `docs/operating.md` explains.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{
    ActionEnd, ByWay, Decided, EARLY_REFUSALS, FileDone, FileMoved, ForAction, HowEnded, METHODS, Mode,
    Moved, OfClass, OfEvent, Proof, REFUSAL_REASONS, RELOADABLES, Reason, Recorded, Result as Outcome,
    SessionEnd, Vouched, WAYS, What, WhatResult, audit_error, early_refusal, record_mode, refusal,
    reloadable, way,
};
use super::open::Open;
use crate::audit::{AuditError, Event, Reloadable};
use crate::domain::{ActionKind, FailureClass, RecordMode};

/// Seconds: what a push, a handshake or a disk takes, up to the deadlines.
const DURATIONS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// Declares the families once: field, type, name, help.
macro_rules! families {
    ($($field:ident: $type:ty = $new:expr, $register:ident($name:literal $(, $unit:expr)?), $help:literal;)*) => {
        /// All families that are counted here.
        #[derive(Debug)]
        pub(super) struct Counters { $(pub(super) $field: $type,)* }

        impl Counters {
            fn zero() -> Self {
                Self { $($field: $new,)* }
            }

            /// Puts all families into the registry.
            pub(super) fn register(&self, registry: &mut Registry) {
                $(families!(@$register registry, $name, $help, self.$field.clone() $(, $unit)?);)*
            }
        }
    };
    (@plain $registry:ident, $name:literal, $help:literal, $family:expr) => {
        $registry.register($name, $help, $family)
    };
    (@in_unit $registry:ident, $name:literal, $help:literal, $family:expr, $unit:expr) => {
        $registry.register_with_unit($name, $help, $unit, $family)
    };
}

families! {
    connections: Counter = Counter::default(), plain("connections"), "Connections taken from clients";
    connections_refused: Family<Reason, Counter> = Family::default(), plain("connections_refused"),
        "Connections turned away before they said anything";
    connections_ended: Family<HowEnded, Counter> = Family::default(), plain("connections_ended"),
        "Connections that are over";
    connections_open: Gauge = Gauge::default(), plain("connections_open"), "Connections that are open";
    authentications: Family<Proof, Counter> = Family::default(), plain("authentications"),
        "Attempts to prove an identity";
    authentication_failures: Family<Reason, Counter> = Family::default(), plain("authentication_failures"),
        "Attempts to prove an identity that failed, by their true reason";
    targets_not_resolved: Family<Reason, Counter> = Family::default(), plain("targets_not_resolved"),
        "Names that did not lead to one instance";
    decisions: Family<Decided, Counter> = Family::default(), plain("decisions"), "Decisions of the policy";
    refusals: Family<Reason, Counter> = Family::default(), plain("refusals"), "Refusals of the policy, by their reason";
    key_pushes: Family<Outcome, Counter> = Family::default(), plain("key_pushes"),
        "Keys given to EC2 Instance Connect: `pushed`, or why not";
    key_push_duration: Durations<Outcome> = Durations::new_with_constructor(durations),
        in_unit("key_push_duration", Unit::Seconds), "How long EC2 Instance Connect took, retries included";
    upstream_connects: Family<Outcome, Counter> = Family::default(), plain("upstream_connects"),
        "SSH connections to targets: `connected`, or why not";
    upstream_connect_duration: Durations<Outcome> = Durations::new_with_constructor(durations),
        in_unit("upstream_connect_duration", Unit::Seconds), "From dialling a target to being let in, or giving up";
    connect_failures: Family<OfClass, Counter> = Family::default(), plain("connect_failures"),
        "Connections to targets that did not come about, by the class of the failure";
    diagnoses: Family<Outcome, Counter> = Family::default(), plain("diagnoses"),
        "Diagnoses of targets: `cause` where one was named, `sound`, or `unclear`";
    host_keys: Family<Vouched, Counter> = Family::default(), plain("upstream_host_keys"),
        "Host keys of targets that were accepted, by what vouched for them";
    sessions: Family<ByWay, Counter> = Family::default(), plain("sessions"), "Sessions that started";
    sessions_ended: Family<SessionEnd, Counter> = Family::default(), plain("sessions_ended"), "Sessions that are over";
    sessions_open: Family<ByWay, Gauge> = Family::default(), plain("sessions_open"), "Sessions that are open";
    session_duration: Durations<ByWay> = Durations::new_with_constructor(session_durations),
        in_unit("session_duration", Unit::Seconds), "How long sessions lasted";
    channels: Family<ForAction, Counter> = Family::default(), plain("channels"),
        "Programs and forwarded connections that started";
    channels_ended: Family<ActionEnd, Counter> = Family::default(), plain("channels_ended"),
        "Programs and forwarded connections that are over";
    channels_refused: Family<Reason, Counter> = Family::default(), plain("channels_refused"),
        "Channels and requests that are not carried";
    channels_open: Gauge = Gauge::default(), plain("channels_open"), "Programs that run";
    carried: Family<Moved, Counter> = Family::default(), in_unit("carried", Unit::Bytes),
        "Data carried, counted when a channel ends";
    console_commands: Family<Outcome, Counter> = Family::default(), plain("console_commands"),
        "Questions to the bastion itself: `answered` or `failed`";
    file_operations: Family<FileDone, Counter> = Family::default(), plain("file_operations"),
        "Operations on files by SFTP and scp";
    file_bytes: Family<FileMoved, Counter> = Family::default(), in_unit("files", Unit::Bytes),
        "Contents of files that were read, written and copied by SFTP and scp";
    recordings: Family<Recorded, Counter> = Family::default(), plain("recordings"),
        "Recordings that ended: `complete` or `incomplete`";
    recording_failures: Family<Mode, Counter> = Family::default(), plain("recording_failures"),
        "Recordings that could not be begun, or broke";
    upload_failures: Counter = Counter::default(), plain("recording_upload_failures"),
        "Recordings that could not be moved to where they are kept; each is tried again";
    watches: Counter = Counter::default(), plain("sessions_watched"), "Sessions that somebody else began to watch";
    kill_orders: Counter = Counter::default(), plain("kill_orders"), "Orders to end a session";
    interrupted: Family<What, Counter> = Family::default(), plain("interrupted"),
        "Sessions and connections of an earlier run that had no ending";
    store_outages: Counter = Counter::default(), plain("store_outages"), "Times at which the store went away";
    heads: Counter = Counter::default(), plain("heads"), "Heads of this node's chain that were signed";
    head_through: Gauge = Gauge::default(), plain("head_through"), "The last line that a signed head covers";
    reloads: Family<WhatResult, Counter> = Family::default(), plain("reloads"), "Files that were read again";
    reload_succeeded: Family<What, Gauge> = Family::default(), plain("reload_succeeded"),
        "Whether the files in force are the ones on the disk: 1, or 0 after a version that was refused";
    audit_lines: Family<OfEvent, Counter> = Family::default(), plain("audit_lines"), "Lines of the audit trail, by event";
    audit_lines_lost: Family<Reason, Counter> = Family::default(), plain("audit_lines_lost"),
        "Lines that could not be written; what they announced did not happen";
}

/// Seconds: from a command to a working day.
fn session_durations() -> Histogram {
    Histogram::new([1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 4.0 * 3600.0, 12.0 * 3600.0])
}

impl Default for Counters {
    /// Series whose labels are few and known begin at zero: a rate needs a value before the first event.
    fn default() -> Self {
        let new = Self::zero();
        for reason in EARLY_REFUSALS {
            add(&new.connections_refused, Reason { reason: early_refusal(reason) }, 0);
        }
        for &method in METHODS {
            for result in ["succeeded", "failed"] {
                add(&new.authentications, Proof { method, result }, 0);
            }
        }
        for reason in REFUSAL_REASONS {
            add(&new.refusals, Reason { reason: refusal(reason) }, 0);
        }
        for action in ActionKind::all() {
            let action = action.name();
            add(&new.channels, ForAction { action }, 0);
            for outcome in ["permit", "refuse"] {
                add(&new.decisions, Decided { outcome, action }, 0);
            }
        }
        for by in WAYS {
            add(&new.sessions, ByWay { way: way(Some(by)) }, 0);
        }
        for mode in RecordMode::ALL.into_iter().filter(|mode| *mode != RecordMode::Off) {
            let mode = record_mode(Some(mode));
            add(&new.recording_failures, Mode { mode }, 0);
            for outcome in ["complete", "incomplete"] {
                add(&new.recordings, Recorded { mode, outcome }, 0);
            }
        }
        for what in RELOADABLES {
            new.reload(what, true, false);
        }
        add(&new.key_pushes, Outcome { result: "pushed" }, 0);
        add(&new.upstream_connects, Outcome { result: "connected" }, 0);
        for class in FailureClass::ALL {
            add(&new.connect_failures, OfClass { class: class.label() }, 0);
        }
        for result in ["cause", "sound", "unclear"] {
            add(&new.diagnoses, Outcome { result }, 0);
        }
        for &event in Event::NAMES {
            add(&new.audit_lines, OfEvent { event }, 0);
        }
        for reason in ["write", "too-slow"] {
            add(&new.audit_lines_lost, Reason { reason }, 0);
        }
        new
    }
}

impl Counters {
    pub(super) fn line(&self, event: &'static str) {
        one(&self.audit_lines, OfEvent { event });
    }

    pub(super) fn lost(&self, error: &AuditError) {
        one(&self.audit_lines_lost, Reason { reason: audit_error(error) });
    }

    /// A file was read again; `counted` but for the first time, when the daemon started with it.
    pub(super) fn reload(&self, what: Reloadable, succeeded: bool, counted: bool) {
        let (what, result) = (reloadable(what), if succeeded { "succeeded" } else { "refused" });
        add(&self.reloads, WhatResult { what, result }, u64::from(counted));
        self.reload_succeeded.get_or_create(&What { what }).set(i64::from(succeeded));
    }

    /// Sets the gauges of what is open.
    pub(super) fn show_open(&self, open: &Open) {
        self.connections_open.set(whole(open.connections()));
        self.channels_open.set(whole(open.channels()));
        for by in WAYS {
            self.sessions_open.get_or_create(&ByWay { way: way(Some(by)) }).set(whole(open.sessions(by)));
        }
    }
}

/// Counts one.
pub(super) fn one<L>(family: &Family<L, Counter>, labels: L)
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet,
{
    add(family, labels, 1);
}

/// Counts several.
pub(super) fn add<L>(family: &Family<L, Counter>, labels: L, count: u64)
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet,
{
    family.get_or_create(&labels).inc_by(count);
}

/// Notes how long something took.
pub(super) fn took<L>(family: &Durations<L>, labels: L, duration: Duration)
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet,
{
    family.get_or_create(&labels).observe(duration.as_secs_f64());
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
