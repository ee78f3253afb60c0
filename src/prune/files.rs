//! The files of recordings that nobody needs any more.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::credential::BoxFuture;
use crate::domain::{NodeName, RecordingId};
use crate::store::Discarded;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It was removed.
    Removed,
    /// There was none.
    Absent,
    /// It is locked until then, and stays.
    Locked(Timestamp),
    /// It is on another node's disk.
    Elsewhere(NodeName),
    /// It could not be removed; why, for the operator.
    Failed(String),
}

/// Where recordings are kept, as far as removing them goes.
pub trait Bin: Send + Sync {
    /// Removes the file of a recording, wherever it is.
    fn remove<'a>(&'a self, recording: &'a Discarded, now: Timestamp) -> BoxFuture<'a, Removal>;
}

/// The directory of this node.
#[derive(Debug, Clone)]
pub struct OwnFiles {
    /// This node.
    pub node: NodeName,
    /// Its recordings.
    pub dir: PathBuf,
}

impl OwnFiles {
    /// Removes whatever file of the recording is in the directory. Names are made of the parsed id, so nothing
    /// outside the directory can be meant; a link is removed, not followed.
    ///
    /// # Errors
    /// When a file is there and cannot be removed.
    pub fn remove_own(&self, id: RecordingId) -> io::Result<bool> {
        let mut removed = false;
        for ending in ["cast.zst", "cast.zst.part", "part"] {
            match std::fs::remove_file(self.dir.join(format!("{id}.{ending}"))) {
                Ok(()) => removed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

impl Bin for OwnFiles {
    fn remove<'a>(&'a self, recording: &'a Discarded, _now: Timestamp) -> BoxFuture<'a, Removal> {
        Box::pin(async move {
            match self.remove_own(recording.id) {
                Ok(true) => Removal::Removed,
                Err(error) => Removal::Failed(error.to_string()),
                Ok(false) => match &recording.node {
                    Some(node) if *node != self.node => Removal::Elsewhere(node.clone()),
                    Some(_) | None => Removal::Absent,
                },
            }
        })
    }
}
