//! One example and more of each event, for the snapshot and for the check of `docs/audit.md`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::domain::{
    Action, AuthMethod, CertificateFacts, ChannelNumber, Destination, Ending, Exit, FailureClass,
    Fingerprint, InstanceId, Login, NodeName, PinVoucher, RecordMode, RecordingId, UserName,
};
use crate::policy::{RefusalReason, RuleId};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 20));

fn listener() -> SocketAddr {
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, 2222))
}

pub(super) fn now() -> Timestamp {
    "2026-01-02T03:04:05.6789Z".parse().expect("a time")
}

fn alice() -> UserName {
    UserName::parse("alice").expect("a name")
}

fn login() -> Login {
    Login::parse("ec2-user").expect("a login")
}

fn fingerprint(of: &str) -> Fingerprint {
    Fingerprint::of_blob(of.as_bytes())
}

fn target() -> TargetFacts {
    TargetFacts {
        id: InstanceId::parse("i-0123456789abcdef0").expect("an instance id"),
        name: Some("web-1".into()),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        private_ip: TARGET,
    }
}

fn algorithms(aead: bool) -> Algorithms {
    let cipher = if aead { "aes256-gcm@openssh.com" } else { "aes256-ctr" };
    let mac = || (!aead).then(|| Text::from("hmac-sha2-256-etm@openssh.com"));
    Algorithms {
        kex: if aead { "mlkem768x25519-sha256" } else { "diffie-hellman-group14-sha1" }.into(),
        host_key: "ssh-ed25519".into(),
        cipher_client_to_server: cipher.into(),
        cipher_server_to_client: cipher.into(),
        mac_client_to_server: mac(),
        mac_server_to_client: mac(),
        legacy: !aead,
    }
}

fn certificate() -> CertificateFacts {
    CertificateFacts { key_id: "alice@laptop".to_owned(), serial: u64::MAX, ca: fingerprint("ca") }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Every event, some of them twice to show the fields that are not always there.
pub(crate) fn all() -> Vec<Entry> {
    let connection = ConnectionId::fixed(1);
    let session = SessionId::fixed(2);
    let mut entries: Vec<_> = daemon().into_iter().chain(trail()).map(Entry::of_daemon).collect();
    let interrupted = Event::ConnectionInterrupted { last_seen: now() };
    entries.push(Entry::of_connection(connection, interrupted));
    entries.extend(oversight().into_iter().map(|event| Entry::of_connection(connection, event)));
    let of_files = files().into_iter().chain([Event::SessionInterrupted { last_seen: now() }]);
    entries.extend(of_files.map(|event| Entry::of_session(connection, session, event)));
    entries.extend(of_connections().into_iter().map(|event| Entry::of_connection(connection, event)));
    entries.extend(of_sessions().into_iter().map(|event| Entry::of_session(connection, session, event)));
    let ended = Event::ConnectionEnded {
        ending: Ending::ProtocolError,
        detail: Some("the client sent a packet of 1048576 bytes".into()),
        duration: ms(62_003),
    };
    entries.push(Entry::of_connection(connection, ended));
    entries
}

fn daemon() -> Vec<Event> {
    vec![
        Event::DaemonStarted { version: "0.1.0", listeners: vec![listener()] },
        Event::DaemonStopped { version: "0.1.0", drained: true },
        Event::Reloaded { what: Reloadable::Policy },
        Event::ReloadRefused {
            what: Reloadable::Users,
            problems: 2,
            detail: "users.toml:3:1: unknown key `grups`".into(),
        },
        Event::HostKeyPinned {
            target: target(),
            host_key_fingerprint: fingerprint("host key"),
            vouched_by: PinVoucher::Console,
        },
    ]
}

fn of_connections() -> Vec<Event> {
    vec![
        Event::ConnectionOpened { client_addr: CLIENT, client_port: 50_122, listener: listener() },
        Event::ConnectionRefused {
            client_addr: CLIENT,
            client_port: 50_123,
            listener: listener(),
            reason: EarlyRefusal::TooManyFromAddress,
        },
        Event::ClientIdentified {
            client_version: "SSH-2.0-OpenSSH_10.0".into(),
            algorithms: algorithms(true),
        },
        Event::AuthenticationFailed {
            ssh_user: SshUser::from("root\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}".repeat(5).as_str()),
            method: "certificate".into(),
            algorithm: Some("ssh-ed25519-cert-v01@openssh.com".into()),
            fingerprint: Some(fingerprint("key")),
            certificate: Some((&certificate()).into()),
            reason: "certificate-expired".into(),
            detail: "the certificate was valid until 2026-01-01T00:00:00Z".into(),
        },
        Event::AuthenticationFailed {
            ssh_user: "alice".into(),
            method: "none".into(),
            algorithm: None,
            fingerprint: None,
            certificate: None,
            reason: "method-not-offered".into(),
            detail: "the client asked without a key".into(),
        },
        Event::AuthenticationSucceeded {
            ssh_user: "ec2-user@web-1".into(),
            user: alice(),
            groups: vec!["oncall".to_owned(), "web".to_owned()],
            proof: (&AuthMethod::Certificate {
                fingerprint: fingerprint("key"),
                algorithm: "ssh-ed25519-cert-v01@openssh.com".to_owned(),
                certificate: certificate(),
            })
                .into(),
        },
        Event::AuthenticationSucceeded {
            ssh_user: "alice".into(),
            user: alice(),
            groups: vec![],
            proof: (&AuthMethod::PublicKey {
                fingerprint: fingerprint("key"),
                algorithm: "ssh-ed25519".to_owned(),
            })
                .into(),
        },
        Event::TargetRequested { typed: "web-1".into(), way: Way::Jump },
        Event::TargetNotResolved {
            typed: "../../etc".into(),
            reason: Unresolved::Malformed,
            class: None,
            detail: "the target's name has a character that cannot stand in one".into(),
        },
        Event::TargetNotResolved {
            typed: "old-1".into(),
            reason: Unresolved::Unavailable,
            class: Some(FailureClass::InstanceNotRunning),
            detail: "the instance is stopped".into(),
        },
    ]
}

fn of_sessions() -> Vec<Event> {
    let mut events = decisions();
    events.extend(upstreams());
    events.push(Event::SessionStarted {
        user: alice(),
        client_addr: CLIENT,
        client_port: 50_122,
        way: Way::Jump,
        login: login(),
        target: target(),
        content: None,
    });
    events.push(Event::SessionStarted {
        user: alice(),
        client_addr: CLIENT,
        client_port: 50_123,
        way: Way::PassThrough,
        login: login(),
        target: target(),
        content: Some(Content::NotSeen),
    });
    events.extend(channels());
    events.extend(forwards());
    events.push(Event::SessionEnded {
        ending: Ending::Idle,
        detail: Some("nothing was said for 15 minutes".into()),
        bytes_to_target: 1_024,
        bytes_to_client: 5_000_000_000,
        channels: 2,
        duration: ms(61_500),
    });
    events
}

fn decisions() -> Vec<Event> {
    vec![
        Event::Decision {
            outcome: DecisionOutcome::Permit,
            user: alice(),
            client_addr: CLIENT,
            target: Some(target()),
            login: Some(login()),
            action: (&Action::Exec { command: "uptime".to_owned() }).into(),
            rules: vec![RuleId("web-team".to_owned())],
            reason: None,
            errors: vec![],
            limits: Some(Box::new(LimitFacts {
                max_session_ms: Some(28_800_000),
                idle_ms: Some(900_000),
                record: Some(RecordMode::Required),
                keyboard: true,
                keep_output: true,
                tell_watched: true,
            })),
        },
        Event::Decision {
            outcome: DecisionOutcome::Refuse,
            user: alice(),
            client_addr: CLIENT,
            target: Some(TargetFacts { name: None, ..target() }),
            login: Some(login()),
            action: (&Action::Subsystem { name: "netconf".to_owned() }).into(),
            rules: vec![RuleId("no-vault".to_owned())],
            reason: Some(RefusalReason::Forbidden),
            errors: vec!["attribute `owner` does not exist".into()],
            limits: None,
        },
        Event::Decision {
            outcome: DecisionOutcome::Permit,
            user: alice(),
            client_addr: CLIENT,
            target: None,
            login: None,
            action: (&destination()).into(),
            rules: vec![RuleId("databases".to_owned())],
            reason: None,
            errors: vec![],
            limits: Some(Box::default()),
        },
        refused(&listen()),
        refused(&socket()),
    ]
}

fn listen() -> Action {
    Action::RemoteForward { host: String::new(), port: 0 }
}

fn socket() -> Action {
    Action::RemoteSocket { path: "/run/app.sock".to_owned() }
}

fn refused(action: &Action) -> Event {
    Event::Decision {
        outcome: DecisionOutcome::Refuse,
        user: alice(),
        client_addr: CLIENT,
        target: Some(target()),
        login: Some(login()),
        action: action.into(),
        rules: vec![],
        reason: Some(RefusalReason::NoRulePermits),
        errors: vec![],
        limits: None,
    }
}

fn destination() -> Destination {
    Destination { host: "db.example.internal".to_owned(), address: TARGET, port: 5432, instance: None }
}

fn forwards() -> Vec<Event> {
    let to_target = Action::LocalForward { host: "localhost".to_owned(), port: 8080 };
    let started = |channel, action: ActionFacts, originator: Option<Text>| Event::ForwardStarted {
        channel: ChannelNumber(channel),
        user: alice(),
        client_addr: CLIENT,
        action,
        originator,
    };
    let ended = |channel, action: ActionFacts, detail: Option<Text>| Event::ForwardEnded {
        channel: ChannelNumber(channel),
        action,
        bytes_to_target: 512,
        bytes_to_client: 65_536,
        ending: if detail.is_some() { Ending::UpstreamFailed } else { Ending::Finished },
        detail,
        duration: ms(1_250),
    };
    vec![
        Event::ForwardListening { action: (&listen()).into(), port: Some(34_567), listening: true },
        Event::ForwardListening { action: (&socket()).into(), port: None, listening: false },
        started(5, (&to_target).into(), Some("127.0.0.1:50412".into())),
        started(6, (&destination()).into(), None),
        started(7, (&listen()).into(), Some("198.51.100.4:40022".into())),
        started(8, (&socket()).into(), None),
        ended(5, (&to_target).into(), None),
        ended(6, (&destination()).into(), Some("connection refused".into())),
        ended(7, (&listen()).into(), None),
        ended(8, (&socket()).into(), None),
    ]
}

fn upstreams() -> Vec<Event> {
    vec![
        Event::KeyPushed {
            request_id: "0d3f8c7e-3c2b-4f0e-9a51-1b2c3d4e5f60".into(),
            key_fingerprint: fingerprint("injected"),
            valid_until: "2026-01-02T03:05:05Z".parse().expect("a time"),
            duration: ms(143),
        },
        Event::KeyPushFailed {
            request_id: Some("1e4f8c7e-3c2b-4f0e-9a51-1b2c3d4e5f60".into()),
            key_fingerprint: fingerprint("injected"),
            reason: "throttled".into(),
            detail: "ThrottlingException: Rate exceeded".into(),
            duration: ms(5_000),
        },
        Event::UpstreamConnected {
            target_address: SocketAddr::new(TARGET, 22),
            target_version: "SSH-2.0-OpenSSH_8.7".into(),
            host_key_fingerprint: fingerprint("host"),
            vouched_by: VouchedBy::Ca,
            pin_vouched_by: Some(PinVoucher::Console),
            replaced_fingerprint: Some(fingerprint("host before")),
            algorithms: algorithms(false),
            duration: ms(187),
        },
        Event::UpstreamFailed {
            target_address: SocketAddr::new(TARGET, 22),
            class: FailureClass::HostKeyChanged,
            reason: "host-key-changed".into(),
            detail: "the host key is not the pinned one".into(),
            host_key_fingerprint: Some(fingerprint("other host")),
            pinned_fingerprint: Some(fingerprint("host")),
            duration: ms(40),
        },
        Event::Diagnosed {
            user: alice(),
            client_addr: CLIENT,
            target: target(),
            login: login(),
            class: Some(FailureClass::ConnectTimeout),
            cause: Some("target-groups"),
            finding: Some("no rule of sg-0123456789abcdef0 lets TCP port 22 in from 10.0.0.10".into()),
            sound: 7,
            broken: 1,
            unknown: 2,
            duration: ms(640),
        },
        Event::Diagnosed {
            user: alice(),
            client_addr: CLIENT,
            target: target(),
            login: login(),
            class: None,
            cause: None,
            finding: None,
            sound: 10,
            broken: 0,
            unknown: 0,
            duration: ms(310),
        },
    ]
}

fn channels() -> Vec<Event> {
    let ended = |exit: Option<Exit>, ending| Event::ChannelEnded {
        channel: ChannelNumber(1),
        exit: exit.as_ref().into(),
        bytes_to_target: 17,
        bytes_to_client: 4_096,
        content: ContentFacts::default(),
        recording: None,
        ending,
        duration: ms(1_250),
    };
    let pty = PtyFacts { term: "xterm-256color".into(), columns: 120, rows: 40 };
    vec![
        Event::ChannelStarted {
            channel: ChannelNumber(1),
            action: (&Action::Shell).into(),
            pty: Some(pty),
            record: RecordFacts { record: RecordMode::Required, recording: Some(recording()) },
        },
        Event::ChannelStarted {
            channel: ChannelNumber(2),
            action: ActionFacts::exec(b"printf '\xff\n'"),
            pty: None,
            record: RecordFacts { record: RecordMode::Off, recording: None },
        },
        Event::ChannelStarted {
            channel: ChannelNumber(3),
            action: ActionFacts::exec("x".repeat(CommandLine::LENGTH_MAX + 1).as_bytes()),
            pty: None,
            record: RecordFacts { record: RecordMode::Off, recording: None },
        },
        Event::ChannelStarted {
            channel: ChannelNumber(4),
            action: (&Action::Subsystem { name: "netconf".to_owned() }).into(),
            pty: None,
            record: RecordFacts { record: RecordMode::Off, recording: None },
        },
        Event::ChannelRefused { requested: "x11-req".into(), reason: "not-carried".into() },
        Event::ConsoleCommand {
            user: alice(),
            client_addr: CLIENT,
            command: CommandLine::from_bytes(b"targets tag:env=\xff"),
            exit_status: 1,
        },
        Event::ConsoleCommand {
            user: alice(),
            client_addr: CLIENT,
            command: CommandLine::from("x".repeat(CommandLine::LENGTH_MAX + 1).as_str()),
            exit_status: 2,
        },
        ended(Some(Exit::Status { code: 0 }), Ending::Finished),
        ended(Some(Exit::Signal { name: "KILL".to_owned(), core_dumped: false }), Ending::Finished),
        ended(None, Ending::TargetLeft),
        recorded(RecordingFormat::Asciicast, ContentFacts::default()),
        recorded(
            RecordingFormat::Output,
            ContentFacts {
                sha256_to_target: Some(sha256("in")),
                sha256_to_client: Some(sha256("out")),
                bytes_stderr: Some(12),
                sha256_stderr: Some(sha256("err")),
            },
        ),
        Event::RecordingFailed {
            channel: ChannelNumber(1),
            recording: Some(recording()),
            mode: RecordMode::Required,
            detail: "no space left on device".into(),
        },
        Event::RecordingSalvaged {
            channel: ChannelNumber(1),
            recording: RecordingFacts {
                id: recording(),
                format: RecordingFormat::Asciicast,
                bytes: 5120,
                compressed_bytes: 1337,
                sha256: sha256("a recording"),
                complete: false,
            },
        },
    ]
}

fn recording() -> RecordingId {
    RecordingId::fixed(3)
}

fn sha256(of: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, of.as_bytes());
    data_encoding::HEXLOWER.encode(digest.as_ref())
}

fn recorded(format: RecordingFormat, content: ContentFacts) -> Event {
    Event::ChannelEnded {
        channel: ChannelNumber(1),
        exit: Some(&Exit::Status { code: 0 }).into(),
        bytes_to_target: 17,
        bytes_to_client: 4_096,
        content,
        recording: Some(RecordingFacts {
            id: recording(),
            format,
            bytes: 5_120,
            compressed_bytes: 911,
            sha256: sha256("recording"),
            complete: format == RecordingFormat::Asciicast,
        }),
        ending: Ending::Finished,
        duration: ms(1_250),
    }
}

fn files() -> Vec<Event> {
    let plain = |protocol, operation, path: &str| FileFacts {
        protocol,
        operation,
        path: path.into(),
        path_hex: None,
        other_path: None,
        other_path_hex: None,
        bytes: None,
        from: None,
        sha256: None,
        out_of_order: false,
        mode: None,
        result: "ok",
        detail: None,
    };
    let upload = FileFacts {
        bytes: Some(1_048_576),
        sha256: Some(sha256("upload")),
        ..plain(FileProtocol::Sftp, FileAct::Write, "/srv/www/index.html")
    };
    let odd = PathFacts::from_bytes(b"/tmp/\xff\x1b[2J");
    let rename = FileFacts {
        path: odd.text.clone(),
        path_hex: odd.hex.clone(),
        other_path: Some(odd.text),
        other_path_hex: odd.hex,
        result: "permission-denied",
        detail: Some("the directory is not writable".into()),
        ..plain(FileProtocol::Sftp, FileAct::Rename, "")
    };
    let resumed = FileFacts {
        bytes: Some(4_096),
        from: Some(65_536),
        out_of_order: true,
        ..plain(FileProtocol::Sftp, FileAct::Read, "core")
    };
    let mode = FileFacts {
        mode: Some("0640".to_owned()),
        ..plain(FileProtocol::Scp, FileAct::Setstat, "notes.txt")
    };
    [upload, rename, resumed, mode]
        .map(|file| Event::FileOperation { channel: ChannelNumber(5), file: Box::new(file) })
        .into()
}

fn oversight() -> Vec<Event> {
    vec![
        Event::SessionWatched {
            by: "alice".into(),
            client_addr: Some(CLIENT),
            watched: SessionId::fixed(2),
            told: true,
        },
        Event::KillOrdered {
            by: "alice".into(),
            killed: SessionId::fixed(2),
            reason: Some("the wrong machine".into()),
        },
    ]
}

fn trail() -> Vec<Event> {
    let other =
        OtherHead { node: NodeName::parse("bastion-2").expect("a name"), through: 99, hash: sha256("other") };
    let head = HeadFacts {
        through: 41,
        hash: sha256("line"),
        key: fingerprint("audit key"),
        signature: data_encoding::BASE64.encode(&[7; 64]),
        others: vec![other],
    };
    vec![
        Event::StoreUnavailable { detail: "connection refused".into() },
        Event::StoreRecovered { lines: 12, duration: ms(61_000) },
        Event::SinkOverflowed { sink: "siem".into(), lines: 1_000, from: 1, to: 1_000 },
        Event::Head { head },
    ]
}
