//! The labels: sets of names, and the closed lists their values come from.
//!
//! Every value is a `&'static str`, so what comes from outside cannot become one: a text is looked up in a list,
//! and what is not there is [`OTHER`].

use prometheus_client::encoding::EncodeLabelSet;

use crate::audit::{
    AuditError, DecisionOutcome, EarlyRefusal, FileProtocol, Reloadable, Text, Unresolved, VouchedBy, Way,
};
use crate::domain::RecordMode;
use crate::policy::RefusalReason;

/// What stands for a text that is in no list.
pub(super) const OTHER: &str = "other";

/// Declares label sets with public fields.
macro_rules! label_sets {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),* })*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(super) struct $name { $(pub(super) $field: &'static str),* })*
    };
}

label_sets! {
    /// Why not.
    Reason { reason }
    /// How it ended.
    HowEnded { ending }
    /// How an identity was proved, or not.
    Proof { method, result }
    /// What was decided about what.
    Decided { outcome, action }
    /// How a target was addressed.
    ByWay { way }
    /// How a session by this way ended.
    SessionEnd { way, ending }
    /// What was to be done.
    ForAction { action }
    /// How it ended.
    ActionEnd { action, ending }
    /// Which way bytes went, and for what.
    Moved { direction, action }
    /// How it went.
    Result { result }
    /// What vouched for a host key.
    Vouched { vouched_by }
    /// What was read again.
    What { what }
    /// How reading it again went.
    WhatResult { what, result }
    /// Which class of failure.
    OfClass { class }
    /// Which event.
    OfEvent { event }
    /// What was done with a file.
    FileDone { protocol, operation, result }
    /// What was moved as files.
    FileMoved { protocol, operation }
    /// How a recording ended, and whether it had to be.
    Recorded { mode, outcome }
    /// Whether it had to be.
    Mode { mode }
}

/// The methods of RFC 4252 and its successors, as clients may name them.
pub(super) const METHODS: &[&str] = &[
    "publickey",
    "certificate",
    "password",
    "keyboard-interactive",
    "hostbased",
    "gssapi-with-mic",
    "gssapi-keyex",
    "none",
];

/// Why an attempt to log in failed: `auth::AuthFailure`'s labels, and those of `session::entrance`.
pub(super) const AUTHENTICATION_FAILURES: &[&str] = &[
    "unknown-key",
    "wrong-user",
    "ambiguous-user",
    "key-expired",
    "certificate-expired",
    "certificate-not-yet-valid",
    "source-address",
    "revoked",
    "untrusted-ca",
    "ca-signature",
    "wrong-certificate-type",
    "principals",
    "critical-option",
    "weak-key",
    "unsupported-algorithm",
    "malformed",
    "touch-missing",
    "verification-missing",
    "method-not-offered",
];

/// Why a key was not pushed: `credential::InjectErrorKind`'s labels.
pub(super) const PUSH_FAILURES: &[&str] = &[
    "denied",
    "no-credentials",
    "invalid-request",
    "not-found",
    "not-running",
    "target-unavailable",
    "throttled",
    "service-failing",
    "timeout",
    "unreachable",
    "bad-answer",
    "busy",
    "not-configured",
];

/// Why there is no SSH connection to a target: `upstream::UpstreamError`'s labels beyond those of a push.
pub(super) const UPSTREAM_FAILURES: &[&str] = &[
    "no-key",
    "connection-refused",
    "connect-timeout",
    "unreachable",
    "silent",
    "no-banner",
    "not-ssh",
    "turned-away",
    "handshake-timeout",
    "no-common-algorithm",
    "ssh-failed",
    "host-key-changed",
    "host-key-unknown",
    "pins-unavailable",
    "login-rejected",
    "login-closed",
    "login-timeout",
];

/// Why something asked for on a connection is not carried.
pub(super) const CHANNEL_REFUSALS: &[&str] = &[
    "not-carried",
    "not-in-certificate",
    "malformed",
    "too-many",
    "refused-by-target",
    "opened-by-target",
    "access-withdrawn",
    "target-replaced",
    "not-recorded",
];

/// A text that is in the list, else [`OTHER`].
pub(super) fn closed(text: &Text, lists: &[&'static [&'static str]]) -> &'static str {
    let known = lists.iter().flat_map(|list| list.iter()).find(|known| **known == text.as_str());
    known.copied().unwrap_or(OTHER)
}

pub(super) const WAYS: [Way; 5] = [Way::Jump, Way::Direct, Way::Console, Way::PassThrough, Way::Connect];

pub(super) fn way(way: Option<Way>) -> &'static str {
    match way {
        Some(Way::Jump) => "jump",
        Some(Way::Direct) => "direct",
        Some(Way::Console) => "console",
        Some(Way::PassThrough) => "pass-through",
        Some(Way::Connect) => "connect",
        None => OTHER,
    }
}

pub(super) const EARLY_REFUSALS: [EarlyRefusal; 4] = [
    EarlyRefusal::TooManyConnections,
    EarlyRefusal::TooManyFromAddress,
    EarlyRefusal::TooManyUnauthenticated,
    EarlyRefusal::NoWorker,
];

pub(super) fn early_refusal(reason: EarlyRefusal) -> &'static str {
    match reason {
        EarlyRefusal::TooManyConnections => "too-many-connections",
        EarlyRefusal::TooManyFromAddress => "too-many-from-address",
        EarlyRefusal::TooManyUnauthenticated => "too-many-unauthenticated",
        EarlyRefusal::NoWorker => "no-worker",
    }
}

pub(super) fn unresolved(reason: Unresolved) -> &'static str {
    match reason {
        Unresolved::Unknown => "unknown",
        Unresolved::Ambiguous => "ambiguous",
        Unresolved::Unavailable => "unavailable",
        Unresolved::Malformed => "malformed",
        Unresolved::NeverReachable => "never-reachable",
    }
}

pub(super) fn outcome(outcome: DecisionOutcome) -> &'static str {
    match outcome {
        DecisionOutcome::Permit => "permit",
        DecisionOutcome::Refuse => "refuse",
    }
}

pub(super) const REFUSAL_REASONS: [RefusalReason; 3] =
    [RefusalReason::NoRulePermits, RefusalReason::Forbidden, RefusalReason::EvaluationFailed];

pub(super) fn refusal(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::NoRulePermits => "no-rule-permits",
        RefusalReason::Forbidden => "forbidden",
        RefusalReason::EvaluationFailed => "evaluation-failed",
    }
}

pub(super) fn vouched_by(by: VouchedBy) -> &'static str {
    match by {
        VouchedBy::Ca => "ca",
        VouchedBy::Pinned => "pinned",
        VouchedBy::Tag => "tag",
        VouchedBy::Console => "console",
        VouchedBy::TofuFirstUse => "tofu-first-use",
    }
}

pub(super) const RELOADABLES: [Reloadable; 4] =
    [Reloadable::Policy, Reloadable::Users, Reloadable::Revocation, Reloadable::HostCas];

pub(super) fn reloadable(what: Reloadable) -> &'static str {
    match what {
        Reloadable::Policy => "policy",
        Reloadable::Users => "users",
        Reloadable::Revocation => "revocation",
        Reloadable::HostCas => "host-cas",
    }
}

pub(super) fn record_mode(mode: Option<RecordMode>) -> &'static str {
    match mode {
        Some(RecordMode::Off) => "off",
        Some(RecordMode::BestEffort) => "best-effort",
        Some(RecordMode::Required) => "required",
        None => OTHER,
    }
}

pub(super) fn file_protocol(protocol: FileProtocol) -> &'static str {
    match protocol {
        FileProtocol::Sftp => "sftp",
        FileProtocol::Scp => "scp",
    }
}

/// The kind of failure that kept a line from the record.
pub(super) fn audit_error(error: &AuditError) -> &'static str {
    match error {
        AuditError::Open { .. } => "open",
        AuditError::Unsound { .. } => "unsound",
        AuditError::Start(_) => "start",
        AuditError::Write(_) => "write",
        AuditError::Encode(_) => "encode",
        AuditError::TooSlow => "too-slow",
        AuditError::StoreDown => "store-down",
        AuditError::StoreSlow => "store-slow",
        AuditError::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels that a `match` in a source file gives out.
    fn in_source(source: &'static str, function: &str) -> Vec<&'static str> {
        let body = source.split_once(function).expect("the function").1;
        let body = body.split_once("\n    }\n").expect("its end").0;
        let labels: Vec<_> = body
            .lines()
            .filter_map(|line| line.split_once("=> \"")?.1.split_once('"').map(|(label, _)| label))
            .collect();
        assert!(labels.len() > 5, "{function}: {labels:?}");
        labels
    }

    #[test]
    fn every_label_of_the_rooms_is_in_its_list() {
        for (source, list) in [
            (include_str!("../auth/failure.rs"), AUTHENTICATION_FAILURES),
            (include_str!("../credential/failure.rs"), PUSH_FAILURES),
            (include_str!("../upstream/failure.rs"), UPSTREAM_FAILURES),
        ] {
            for label in in_source(source, "fn label(") {
                assert!(list.contains(&label), "{label} is missing in {list:?}");
            }
        }
    }

    #[test]
    fn a_text_from_outside_is_other() {
        assert_eq!(closed(&"password".into(), &[METHODS]), "password");
        assert_eq!(closed(&"pass\u{1b}[2Jword".into(), &[METHODS]), OTHER);
    }

    /// What serde makes of a value: the words of the audit and of the metrics are the same.
    fn on_the_wire(value: impl serde::Serialize) -> String {
        serde_json::to_value(value).expect("JSON").as_str().expect("a word").to_owned()
    }

    #[test]
    fn the_audit_says_the_same_words() {
        for value in WAYS {
            assert_eq!(way(Some(value)), on_the_wire(value));
        }
        for value in EARLY_REFUSALS {
            assert_eq!(early_refusal(value), on_the_wire(value));
        }
        for value in REFUSAL_REASONS {
            assert_eq!(refusal(value), on_the_wire(value));
        }
        for value in RecordMode::ALL {
            assert_eq!(record_mode(Some(value)), on_the_wire(value));
        }
        for value in [FileProtocol::Sftp, FileProtocol::Scp] {
            assert_eq!(file_protocol(value), on_the_wire(value));
        }
        for value in RELOADABLES {
            assert_eq!(reloadable(value), on_the_wire(value));
        }
    }
}
