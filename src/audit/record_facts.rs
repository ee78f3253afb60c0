//! The groups of fields of events that tell of content: recordings, hashes, files, and of the trail itself.

use serde::Serialize;

use super::text::{Text, is_false};
use crate::domain::{Fingerprint, NodeName, RecordMode, RecordingId};

/// Whether a channel is recorded, and where that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RecordFacts {
    /// What held in the end: what policy or the configuration asked for, or `off` where that was best effort and failed.
    pub record: RecordMode,
    /// The recording, where there is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingId>,
}

/// The form of a recording's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingFormat {
    /// A terminal: asciicast v2, compressed with zstd.
    Asciicast,
    /// The first part of what a command said, compressed with zstd.
    Output,
}

/// A recording that is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordingFacts {
    /// Its id.
    pub id: RecordingId,
    /// Its form.
    pub format: RecordingFormat,
    /// Its size before compression, in bytes.
    pub bytes: u64,
    /// The size of its file, in bytes.
    pub compressed_bytes: u64,
    /// The SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Whether everything is in it; not where it broke, or where it keeps the first part only.
    pub complete: bool,
}

/// What went through a channel without a terminal, by its hashes. All are in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ContentFacts {
    /// SHA-256 of what the client sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256_to_target: Option<String>,
    /// SHA-256 of what the client got, without standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256_to_client: Option<String>,
    /// How many bytes of standard error the client got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_stderr: Option<u64>,
    /// SHA-256 of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256_stderr: Option<String>,
}

/// The protocol by which files are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileProtocol {
    /// The `sftp` subsystem (draft-ietf-secsh-filexfer).
    Sftp,
    /// `scp -t` and `scp -f`, the protocol of BSD's rcp.
    Scp,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAct {
    /// It was opened and nothing was moved, or it could not be opened.
    Open,
    /// It was read: a download.
    Read,
    /// It was written: an upload.
    Write,
    /// It was removed.
    Remove,
    /// It was given another name.
    Rename,
    /// A directory was made.
    Mkdir,
    /// A directory was removed.
    Rmdir,
    /// Its size, owner, mode or times were set.
    Setstat,
    /// A symbolic link to it was made.
    Symlink,
    /// Another name for it was made.
    Hardlink,
    /// A directory was listed.
    List,
    /// The target copied it, or a part of it, to another file there.
    Copy,
    /// What was done could not be understood.
    Untracked,
}

impl FileAct {
    /// The label in the audit and in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
            Self::Setstat => "setstat",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
            Self::List => "list",
            Self::Copy => "copy",
            Self::Untracked => "untracked",
        }
    }
}

/// A path as it was sent: bytes that are usually, but not always, UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFacts {
    /// The path, U+FFFD where it is not UTF-8; cut like every [`Text`].
    pub text: Text,
    /// Its bytes in hexadecimal, where the text does not say them all: where they are not UTF-8, or more than a
    /// text holds. At most [`PathFacts::BYTES_MAX`] of them.
    pub hex: Option<String>,
}

impl PathFacts {
    /// The most bytes that are kept: Linux's `PATH_MAX`. The end of a path matters more than its beginning, so
    /// none that a target takes is cut.
    pub const BYTES_MAX: usize = 4096;

    /// Takes a path.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let said = bytes.len() <= Text::LENGTH_MAX && std::str::from_utf8(bytes).is_ok();
        let kept = bytes.get(..Self::BYTES_MAX).unwrap_or(bytes);
        Self { text: Text::from_bytes(bytes), hex: (!said).then(|| data_encoding::HEXLOWER.encode(kept)) }
    }
}

/// One operation on a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    /// How.
    pub protocol: FileProtocol,
    /// What.
    pub operation: FileAct,
    /// The file, as the client named it.
    pub path: Text,
    /// Its bytes in hexadecimal, where they are not UTF-8 or more than the text holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// The name that came into being: of a rename, a link or a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_path: Option<Text>,
    /// Its bytes in hexadecimal, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_path_hex: Option<String>,
    /// How many bytes were moved; of `setstat`, the size that was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Where in the file the first of them lies, where that is not its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// SHA-256 of those bytes, in hexadecimal; absent where they are not one piece of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether bytes came out of order or twice, so that there is no hash.
    #[serde(skip_serializing_if = "is_false")]
    pub out_of_order: bool,
    /// The mode bits that were set, in octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `ok`, or what the target said: `no-such-file`, `permission-denied`, `failure`, …; `unfinished` or `unknown`
    /// where it did not say.
    pub result: &'static str,
    /// More about it, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Text>,
}

/// Through where another node's chain was signed, as this node saw it in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherHead {
    /// That node.
    pub node: NodeName,
    /// The number of its last line that its head vouches for.
    pub through: u64,
    /// The SHA-256 of that line, in hexadecimal.
    pub hash: String,
}

/// A signed statement about the chain of events so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeadFacts {
    /// The number of the last line that it vouches for.
    pub through: u64,
    /// The SHA-256 of that line, in hexadecimal.
    pub hash: String,
    /// The audit key that signs.
    pub key: Fingerprint,
    /// The Ed25519 signature, in base64; `docs/audit.md` says over what.
    pub signature: String,
    /// Other nodes' heads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherHead>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_utf8_loses_nothing() {
        let path = PathFacts::from_bytes(b"/tmp/\xff");
        assert_eq!((path.text.as_str(), path.hex.as_deref()), ("/tmp/\u{fffd}", Some("2f746d702fff")));
        assert_eq!(PathFacts::from_bytes("/tmp/ä".as_bytes()).hex, None);
        assert_eq!(PathFacts::from_bytes(&[b'a'; 1024]).hex, None);
        let long = PathFacts::from_bytes("ä".repeat(2000).as_bytes());
        let hex = long.hex.map(|hex| hex.len());
        assert_eq!((long.text.as_str().len(), hex), (1024 + '…'.len_utf8(), Some(2 * 4000)));
        let too_long = PathFacts::from_bytes(&[b'a'; 5000]);
        assert_eq!(too_long.hex.map(|hex| hex.len()), Some(2 * 4096));
    }
}
