//! Identifiers that join log lines, audit events and metrics.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh identifier; later ones sort after earlier ones.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }

            /// Reads an identifier as it is written; nothing where it is none.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.strip_prefix($prefix)?;
                let plain = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
                if plain { Uuid::try_parse(digits).ok().map(Self) } else { None }
            }

            /// A fixed identifier, for snapshots and tests.
            #[must_use]
            pub fn fixed(number: u128) -> Self {
                Self(Uuid::from_u128(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    };
}

id! {
    /// One TCP connection of a client.
    ConnectionId, "c-"
}
id! {
    /// One permit in use on one upstream.
    SessionId, "s-"
}
id! {
    /// One recording: what was on one channel's terminal, or the first part of what a command said.
    RecordingId, "r-"
}

/// A channel within a session, counted from 1 in the order in which they were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ChannelNumber(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_else_is_one() {
        let id = RecordingId::fresh();
        assert_eq!(RecordingId::parse(&id.to_string()), Some(id));
        let digits = "0".repeat(32);
        for wrong in [
            String::new(),
            "r-".to_owned(),
            digits.clone(),
            format!("s-{digits}"),
            format!("r-{digits}0"),
            format!("r-{}", "A".repeat(32)),
            format!("r-{{{}}}", "0".repeat(30)),
            "r-../../etc/passwd".to_owned(),
            format!("r-{digits}\n"),
        ] {
            assert_eq!(RecordingId::parse(&wrong), None, "{wrong}");
        }
    }
}
