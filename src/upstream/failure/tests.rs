use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::ssh::{Closed, ProtocolError};
use crate::target::testing::target;

/// Two lines of a terminal, as wide as people have them.
const SENTENCE_MAX: usize = 240;

fn pushed(kind: InjectErrorKind) -> UpstreamError {
    UpstreamError::Push(InjectError::new(kind, "of AWS: i-0123456789abcdef0 is not yours", None))
}

/// Every way to fail, with its class.
fn all() -> Vec<(UpstreamError, FailureClass)> {
    use FailureClass as Class;
    let fingerprint = |of: &str| Fingerprint::of_blob(of.as_bytes());
    let no_common = |legacy| {
        let offered = "diffie-hellman-group1-sha1".to_owned();
        UpstreamError::Ssh(CloseReason::NoCommonAlgorithm { kind: "key exchange", offered, legacy })
    };
    let patience = Duration::from_secs(15);
    let mut all: Vec<_> = InjectErrorKind::ALL
        .into_iter()
        .zip([
            Class::PushDenied,
            Class::PushNoCredentials,
            Class::PushInvalid,
            Class::InstanceGone,
            Class::InstanceNotRunning,
            Class::InstanceUnavailable,
            Class::PushThrottled,
            Class::PushFailed,
            Class::PushFailed,
            Class::PushFailed,
            Class::PushFailed,
            Class::PushThrottled,
            Class::OwnFault,
        ])
        .map(|(kind, class)| (pushed(kind), class))
        .collect();
    all.extend([
        (UpstreamError::Key, Class::OwnFault),
        (UpstreamError::Pins(PinError("the disk is full".to_owned())), Class::OwnFault),
        (UpstreamError::ConnectionRefused, Class::ConnectionRefused),
        (UpstreamError::ConnectTimeout(patience), Class::ConnectTimeout),
        (UpstreamError::Unreachable(io::ErrorKind::HostUnreachable), Class::Unreachable),
        (UpstreamError::Unreachable(io::ErrorKind::NetworkUnreachable), Class::Unreachable),
        (UpstreamError::Silent(patience), Class::NoBanner),
        (UpstreamError::NoBanner(CloseReason::Eof), Class::NoBanner),
        (UpstreamError::NotSsh { said: "HTTP/1.1 400 Bad Request".to_owned() }, Class::NotSsh),
        (UpstreamError::Ssh(CloseReason::NotSsh), Class::NotSsh),
        (UpstreamError::TurnedAway { said: "Exceeded MaxStartups".to_owned() }, Class::HandshakeFailed),
        (UpstreamError::HandshakeTimeout(patience), Class::HandshakeFailed),
        (UpstreamError::Ssh(CloseReason::Eof), Class::HandshakeFailed),
        (UpstreamError::Ssh(CloseReason::Protocol(ProtocolError("a short packet"))), Class::HandshakeFailed),
        (no_common(true), Class::NoCommonAlgorithm),
        (no_common(false), Class::NoCommonAlgorithm),
        (
            UpstreamError::HostKeyChanged {
                pinned: fingerprint("old"),
                shown: fingerprint("new"),
                by: Contradicts::Console,
            },
            Class::HostKeyChanged,
        ),
        (
            UpstreamError::HostKeyUnknown { shown: fingerprint("new"), why: Unvouched::Silence(Vec::new()) },
            Class::HostKeyUnknown,
        ),
        (UpstreamError::LoginRejected { offers: "publickey".to_owned() }, Class::LoginRejected),
        (UpstreamError::LoginClosed(CloseReason::Eof), Class::LoginRejected),
        (UpstreamError::LoginTimeout(patience), Class::LoginTimeout),
    ]);
    all
}

#[test]
fn every_failure_has_its_class_and_every_class_a_failure() {
    for (error, class) in all() {
        assert_eq!(error.class(), class, "{error}");
    }
    let seen: BTreeSet<_> = all().iter().map(|(_, class)| *class).collect();
    assert_eq!(seen, BTreeSet::from(FailureClass::ALL));
}

#[test]
fn every_failure_has_a_kind_sentence_with_the_next_step() {
    let web = target("web-1", 1);
    let steps = ["check ", "ask ", "tell ", "wait ", "try again", "update ", "see ", "start it"];
    for (error, class) in all() {
        let sentence = error.sentence(&web, "ec2-user");
        assert!(
            sentence.ends_with('.') && !sentence.contains("  ") && !sentence.contains('\n'),
            "{sentence}"
        );
        assert!(steps.iter().any(|step| sentence.contains(step)), "no next step: {sentence}");
        // Two fingerprints take a line of their own.
        let room = if class == FailureClass::HostKeyChanged { 2 * SENTENCE_MAX } else { SENTENCE_MAX };
        assert!(sentence.len() <= room, "{} bytes: {sentence}", sentence.len());
        assert!(!sentence.contains("of AWS"), "AWS's words reach the user: {sentence}");
    }
}

/// A firewall that rejects (`icmp-host-prohibited`, `icmp-admin-prohibited`) makes Linux say EHOSTUNREACH: no route of the
/// bastion's is missing then.
#[test]
fn a_firewall_that_rejects_is_not_blamed_on_the_bastion_s_routes() {
    let said = |kind| UpstreamError::Unreachable(kind).sentence(&target("web-1", 1), "ec2-user");
    let rejected = said(io::ErrorKind::HostUnreachable);
    assert!(
        rejected.contains("firewall on web-1") && !rejected.contains("has no network route"),
        "{rejected}"
    );
    assert!(said(io::ErrorKind::NetworkUnreachable).contains("has no network route to web-1"));
}

#[test]
fn what_was_heard_tells_the_failures_of_an_exchange_apart() {
    let patience = Duration::from_secs(1);
    let label = |heard, closed: Option<CloseReason>| {
        let closed = closed.map(|reason| Closed(Arc::new(reason)));
        UpstreamError::of_exchange(NoExchange { heard, closed }, patience).label()
    };
    let said = |text: &str| Heard::Other(text.to_owned());
    let reset = || Some(CloseReason::Io(io::ErrorKind::ConnectionReset));
    assert_eq!(label(Heard::Nothing, None), "silent");
    assert_eq!(label(Heard::Nothing, Some(CloseReason::Eof)), "no-banner");
    assert_eq!(label(Heard::Nothing, reset()), "no-banner");
    assert_eq!(label(said("HTTP/1.1 400 Bad Request"), Some(CloseReason::Eof)), "not-ssh");
    assert_eq!(label(said("220 mail.example.com ESMTP"), None), "not-ssh");
    assert_eq!(label(said("Exceeded MaxStartups"), Some(CloseReason::Eof)), "turned-away");
    assert_eq!(label(said("Not allowed at this time"), reset()), "turned-away");
    assert_eq!(label(Heard::Identification, None), "handshake-timeout");
    assert_eq!(label(Heard::Identification, Some(CloseReason::Eof)), "ssh-failed");
}
