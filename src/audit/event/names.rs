//! The events' names.

use super::Event;

/// Declares the names once, so that the list and the match cannot differ.
macro_rules! names {
    ($($variant:ident => $name:literal),* $(,)?) => {
        impl Event {
            /// Every name, in the order in which `docs/audit.md` tells of them.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The name on the wire.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name),*
                }
            }
        }
    };
}

names! {
    DaemonStarted => "daemon-started",
    DaemonStopped => "daemon-stopped",
    Reloaded => "reloaded",
    ReloadRefused => "reload-refused",
    HostKeyPinned => "host-key-pinned",
    ConnectionOpened => "connection-opened",
    ConnectionRefused => "connection-refused",
    ClientIdentified => "client-identified",
    AuthenticationFailed => "authentication-failed",
    AuthenticationSucceeded => "authentication-succeeded",
    TargetRequested => "target-requested",
    TargetNotResolved => "target-not-resolved",
    Decision => "decision",
    KeyPushed => "key-pushed",
    KeyPushFailed => "key-push-failed",
    UpstreamConnected => "upstream-connected",
    UpstreamFailed => "upstream-failed",
    Diagnosed => "diagnosed",
    SessionStarted => "session-started",
    ChannelStarted => "channel-started",
    ChannelRefused => "channel-refused",
    ChannelEnded => "channel-ended",
    FileOperation => "file-operation",
    RecordingFailed => "recording-failed",
    RecordingSalvaged => "recording-salvaged",
    ForwardListening => "forward-listening",
    ForwardStarted => "forward-started",
    ForwardEnded => "forward-ended",
    ConsoleCommand => "console-command",
    SessionWatched => "session-watched",
    KillOrdered => "kill-ordered",
    SessionEnded => "session-ended",
    SessionInterrupted => "session-interrupted",
    ConnectionEnded => "connection-ended",
    ConnectionInterrupted => "connection-interrupted",
    StoreUnavailable => "store-unavailable",
    StoreRecovered => "store-recovered",
    SinkOverflowed => "sink-overflowed",
    Head => "head",
}
