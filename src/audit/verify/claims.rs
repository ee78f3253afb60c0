//! What the trail says of recordings, to be compared with their files.

use serde::Deserialize;

use super::report::{Break, Finding};
use super::wire::Wire;

/// What a record says of a recording when its channel ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingClaim {
    /// The node that says so.
    pub node: String,
    /// The number of the record.
    pub seq: u64,
    /// The time that it tells.
    pub time: String,
    /// Its event.
    pub event: String,
    /// The session.
    pub session: Option<String>,
    /// The recording's id, `r-…`.
    pub id: String,
    /// How long its file is, in bytes.
    pub compressed_bytes: u64,
    /// The SHA-256 of its file, in lower-case hexadecimal.
    pub sha256: String,
}

/// What became of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingState {
    /// Its file has what the record says.
    Sound,
    /// It was pruned, or its time to be kept is over.
    Pruned,
    /// Its file has something else, or is not there: a sentence without the full stop.
    Broken(String),
    /// It could not be looked at, as when the object store does not answer: a sentence without the full stop.
    Unknown(String),
}

#[derive(Deserialize)]
struct Ended {
    seq: u64,
    recording: Option<Recording>,
}

#[derive(Deserialize)]
struct Recording {
    id: String,
    compressed_bytes: u64,
    sha256: String,
}

/// The claim in a line, where it has one.
pub(super) fn of(wire: &Wire<'_>, text: &str) -> Option<RecordingClaim> {
    if !matches!(wire.event.as_ref(), "channel-ended" | "recording-salvaged") {
        return None;
    }
    let ended: Ended = serde_json::from_str(text).ok()?;
    let recording = ended.recording?;
    Some(RecordingClaim {
        node: wire.node.to_string(),
        seq: ended.seq,
        time: wire.time.to_string(),
        event: wire.event.to_string(),
        session: wire.session.clone(),
        id: recording.id,
        sha256: recording.sha256,
        compressed_bytes: recording.compressed_bytes,
    })
}

impl RecordingClaim {
    /// The finding that it is not as the record says.
    #[must_use]
    pub fn broken(&self, why: &str) -> Finding {
        let mut finding = Finding::of_node(Break::Recording, &self.node, self.seq);
        finding.time = Some(super::shown(&self.time));
        finding.event = Some(super::shown(&self.event));
        finding.saying(format!("the recording {}: {}", super::shown(&self.id), super::shown(why)))
    }
}
