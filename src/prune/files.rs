//! The files of recordings that nobody needs any more.

use std::io;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::domain::{NodeName, RecordingId};
use crate::record::vault::Vault;
use crate::store::Discarded;
use crate::tasks::BoxFuture;

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

/// The directory of this node, and the bucket where there is one.
#[derive(Debug)]
pub struct AllFiles {
    /// The directory.
    pub own: OwnFiles,
    /// The bucket.
    pub vault: Vault,
    /// For how many days objects are locked from their upload on, where they are.
    pub lock_days: Option<u32>,
}

impl Bin for AllFiles {
    fn remove<'a>(&'a self, recording: &'a Discarded, now: Timestamp) -> BoxFuture<'a, Removal> {
        Box::pin(async move {
            let own = match self.own.remove_own(recording.id) {
                Ok(removed) => removed,
                Err(error) => return Removal::Failed(error.to_string()),
            };
            let removal = self.remove_stored(recording, now).await;
            match (removal == Removal::Absent, own) {
                (true, true) => Removal::Removed,
                (true, false) => self.on_another_node(recording),
                (false, _) => removal,
            }
        })
    }
}

impl AllFiles {
    async fn remove_stored(&self, recording: &Discarded, now: Timestamp) -> Removal {
        let in_a_bucket = recording.location.as_ref().filter(|location| location.starts_with("s3://"));
        match (self.vault.location(recording.id), in_a_bucket) {
            (None, None) => return Removal::Absent,
            (here, Some(there)) if here.as_ref() != Some(there) => {
                return Removal::Failed(format!("it is at {there}, which recording.upload_to does not name"));
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        if let Some(until) = self.locked_until(recording).filter(|until| *until > now) {
            return Removal::Locked(until);
        }
        match self.vault.remove(recording.id).await {
            Ok(true) => Removal::Removed,
            Ok(false) => Removal::Absent,
            Err(error) => Removal::Failed(error.to_string()),
        }
    }

    fn locked_until(&self, recording: &Discarded) -> Option<Timestamp> {
        let days = SignedDuration::from_hours(24 * i64::from(self.lock_days?));
        recording.stored?.checked_add(days).ok()
    }

    /// A file that is not here may be on the disk of the node that made it, unless it was moved or lost.
    fn on_another_node(&self, recording: &Discarded) -> Removal {
        let moved = matches!(recording.state.as_deref(), Some("stored" | "lost"));
        match &recording.node {
            Some(node) if *node != self.own.node && !moved => Removal::Elsewhere(node.clone()),
            Some(_) | None => Removal::Absent,
        }
    }
}
