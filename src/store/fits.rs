//! Fits the database to what others ask for.

use std::io;

use tokio::sync::watch;

use super::{Checked, JournalLine, LineHash, Lines, RecordingState, Store};
use crate::audit::{Follower, HeadBoard, JournalReader, NodeHead};
use crate::clock::SharedClock;
use crate::credential::BoxFuture;
use crate::domain::{NodeName, RecordingId};
use crate::record;

/// A node's journal, followed for the store.
#[derive(Debug)]
pub struct Followed {
    reader: JournalReader,
    follower: Follower,
}

impl Followed {
    /// Follows the journal. From here on it keeps what is not in the store for good; `position` is how
    /// far the store is.
    #[must_use]
    pub fn new(reader: JournalReader, position: u64) -> Self {
        let follower = reader.follow("store", position);
        Self { reader, follower }
    }
}

impl Lines for Followed {
    fn committed(&self) -> watch::Receiver<u64> {
        self.reader.committed()
    }

    fn read(&self, after: u64, lines_max: usize, bytes_max: usize) -> io::Result<Vec<JournalLine>> {
        self.reader.read(after, lines_max, bytes_max)
    }

    fn passed(&self, seq: u64) {
        self.follower.passed(seq);
    }
}

/// The last heads of the other nodes that use the database.
#[derive(Debug, Clone)]
pub struct OtherHeads {
    /// Where they are.
    pub store: Store,
    /// Who is not one of the others.
    pub node: NodeName,
}

impl HeadBoard for OtherHeads {
    fn others(&self) -> BoxFuture<'_, Vec<NodeHead>> {
        Box::pin(async move {
            // A head without the others is better than none.
            let heads = self.store.heads().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a head is signed without the heads of other nodes");
                Vec::new()
            });
            let others = heads.into_iter().filter(|head| head.node != self.node);
            others
                .filter_map(|head| {
                    let hash = LineHash::parse(&head.hash)?;
                    Some(NodeHead { node: head.node, through: head.through, hash })
                })
                .collect()
        })
    }
}

/// The index of recordings, for whoever keeps them.
#[derive(Debug, Clone)]
pub struct RecordingIndex {
    /// Where it is.
    pub store: Store,
    /// Says when something was told.
    pub clock: SharedClock,
}

impl record::vault::Index for RecordingIndex {
    fn stored<'a>(&'a self, id: RecordingId, location: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let told =
                self.store.set_recording(&id, RecordingState::Stored, Some(location), self.clock.now());
            told.await.map_err(|error| error.to_string())
        })
    }
}

impl Checked {
    /// What differs, a sentence without the full stop each.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let told = self.mismatches.iter();
        let mut all: Vec<String> =
            told.map(|found| format!("the row {} of `{}`: {}", found.row, found.table, found.what)).collect();
        if self.more > 0 {
            all.push(format!("{} more rows are not what the lines say", self.more));
        }
        all
    }
}
