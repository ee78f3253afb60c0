//! Heads: signed statements about where this node's chain, and other nodes' chains, have got to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::chain::{LineHash, Tip};
use super::{AuditError, Entry, Event, HeadFacts, Log, OtherHead};
use crate::domain::{Fingerprint, NodeName};
use crate::ssh::{HostKey, HostKeyError};
use crate::tasks::BoxFuture;

/// The key that signs for a node: Ed25519, in OpenSSH's format, mode 0600.
#[derive(Debug)]
pub struct AuditKey(HostKey);

impl AuditKey {
    /// Reads the key, or makes it where the file is absent.
    ///
    /// # Errors
    /// When the file cannot be read, is no unencrypted Ed25519 key, or cannot be written.
    pub fn load_or_create(path: &Path, node: &NodeName) -> Result<Self, HostKeyError> {
        Ok(Self(HostKey::load_or_create(path, &format!("drawbridge audit {node}"))?))
    }

    /// A fresh key.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self(HostKey::generate("test").expect("a key"))
    }

    /// The public half as one line of OpenSSH's format, without a comment.
    #[must_use]
    pub fn public_line(&self) -> String {
        self.0.public_line()
    }

    /// The fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    /// An Ed25519 signature over a text, in base64.
    pub(super) fn sign(&self, text: &str) -> String {
        data_encoding::BASE64.encode(&self.0.sign_bare(text.as_bytes()))
    }
}

/// What a node's last head said: through which line its chain went, and that line's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHead {
    /// The node.
    pub node: NodeName,
    /// The number of the line.
    pub through: u64,
    /// The hash of the line.
    pub hash: LineHash,
}

/// Where the last heads of other nodes are known.
pub trait HeadBoard: Send + Sync {
    /// The last head of each other node; none where it cannot be said.
    fn others(&self) -> BoxFuture<'_, Vec<NodeHead>>;
}

/// A board for a node that is alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoOthers;

impl HeadBoard for NoOthers {
    fn others(&self) -> BoxFuture<'_, Vec<NodeHead>> {
        Box::pin(async { Vec::new() })
    }
}

/// What a head states, and what its signature is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The node that states it.
    pub node: &'a str,
    /// The number of the last line that it vouches for.
    pub through: u64,
    /// That line's hash, in hexadecimal.
    pub hash: &'a str,
    /// Node, number and hash of other nodes' heads, in the order in which they are written.
    pub others: Vec<(&'a str, u64, &'a str)>,
}

impl Statement<'_> {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "drawbridge audit head v1\nnode {}\nthrough {}\nhash {}\n",
            self.node, self.through, self.hash
        );
        for (node, through, hash) in &self.others {
            text.push_str(&format!("other {node} {through} {hash}\n"));
        }
        text
    }
}

/// Signs heads of a log.
pub struct Heads {
    log: Log,
    key: Arc<AuditKey>,
    board: Arc<dyn HeadBoard>,
    /// The last line that was signed for. Held while a head is made: of two at a time the one for fewer lines could come
    /// on record last, and a head says of itself that it is the later one.
    through: Mutex<u64>,
}

impl Heads {
    /// The most other heads in one head.
    pub const OTHERS_MAX: usize = 64;
    /// The longest that a head waits for what the board says.
    const BOARD_DEADLINE: Duration = Duration::from_secs(5);

    /// Signs for the log with the key; other nodes' heads come from the board.
    #[must_use]
    pub fn new(log: Log, key: Arc<AuditKey>, board: Arc<dyn HeadBoard>) -> Self {
        Self { log, key, board, through: Mutex::new(0) }
    }

    /// Signs at each interval while there are new lines, until it is told to stop; whoever stops it calls
    /// [`Heads::sign`] when the last event is on record. Also removes what of the journal everybody has passed, so it
    /// is to be started when all who follow do.
    pub async fn run(&self, interval: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.sign().await {
                tracing::error!(%error, "the head of the audit trail is not on record");
            }
            let reader = self.log.journal();
            // Removing files blocks.
            if tokio::task::spawn_blocking(move || reader.remove_passed()).await.is_err() {
                tracing::error!("the journal's old segments could not be removed");
            }
        }
    }

    /// Puts a head on record, unless nothing but the last head is new.
    ///
    /// # Errors
    /// When it cannot be put on record.
    pub async fn sign(&self) -> Result<(), AuditError> {
        let mut through = self.through.lock().await;
        let tip = self.log.tip();
        if tip.seq <= through.saturating_add(u64::from(*through > 0)) {
            return Ok(());
        }
        let head = self.head(tip).await;
        let hash = head.hash.clone();
        self.log.record(Entry::of_daemon(Event::Head { head })).await?;
        *through = tip.seq;
        tracing::info!(
            node = %self.log.node(), through = tip.seq, %hash, key = %self.key.fingerprint(),
            "the audit trail's head is signed"
        );
        Ok(())
    }

    async fn head(&self, tip: Tip) -> HeadFacts {
        let answer = tokio::time::timeout(Self::BOARD_DEADLINE, self.board.others()).await;
        let mut others = answer.unwrap_or_default();
        others.retain(|other| other.node != *self.log.node());
        others.sort_by(|a, b| a.node.cmp(&b.node));
        others.truncate(Self::OTHERS_MAX);
        let others: Vec<OtherHead> = others
            .into_iter()
            .map(|o| OtherHead { node: o.node, through: o.through, hash: o.hash.to_string() })
            .collect();
        let hash = tip.hash.to_string();
        let statement = Statement {
            node: self.log.node().as_str(),
            through: tip.seq,
            hash: &hash,
            others: others.iter().map(|o| (o.node.as_str(), o.through, o.hash.as_str())).collect(),
        };
        let signature = self.key.sign(&statement.text());
        HeadFacts { through: tip.seq, hash, key: self.key.fingerprint(), signature, others }
    }
}

impl std::fmt::Debug for Heads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heads").field("node", self.log.node()).finish_non_exhaustive()
    }
}
