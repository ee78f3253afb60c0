//! The proof that old records were removed on purpose: a chain that begins later is sound with it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::{LineHash, Tip};
use super::head::AuditKey;
use super::keys::{AuditKeys, Distrust};
use crate::domain::{Fingerprint, NodeName};

/// That the records of a node up to one of them were removed, signed with an audit key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneRecord {
    /// Whose records.
    pub node: NodeName,
    /// The number of the last one that was removed.
    pub through: u64,
    /// Its hash: the next record says it too.
    pub hash: LineHash,
    /// When: whole milliseconds.
    #[serde(serialize_with = "super::json::as_utc_ms")]
    pub at: Timestamp,
    /// The audit key that signed.
    pub key: Fingerprint,
    /// The Ed25519 signature over [`PruneRecord::text`], in base64.
    pub signature: String,
}

/// As it is written.
#[derive(Deserialize)]
struct Written {
    node: String,
    through: u64,
    hash: String,
    at: Timestamp,
    key: String,
    signature: String,
}

impl PruneRecord {
    /// Signs that a node's records were removed up to and including `through`.
    #[must_use]
    pub fn sign(key: &AuditKey, node: &NodeName, through: Tip, at: Timestamp) -> Self {
        // The text has milliseconds, so the value has no more.
        let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
        let mut record = Self {
            node: node.clone(),
            through: through.seq,
            hash: through.hash,
            at,
            key: key.fingerprint(),
            signature: String::new(),
        };
        record.signature = key.sign(&record.text());
        record
    }

    /// What is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "drawbridge audit prune v1\nnode {}\nthrough {}\nhash {}\nat {:.3}\n",
            self.node, self.through, self.hash, self.at
        )
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When the key is not believed or the signature is not its own.
    pub fn verify(&self, keys: &AuditKeys) -> Result<(), Distrust> {
        keys.check(self.key.as_str(), &self.text(), &self.signature)
    }

    /// As one line of JSON, without a line feed. [`super::verify::Verifier`] takes it among the lines of a trail.
    ///
    /// # Errors
    /// When it cannot be put into JSON, which would be a mistake in its types.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{{\"pruned\":{}}}", serde_json::to_string(self)?))
    }

    /// Reads such a line; nothing where it is another.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        Self::from_json(line.strip_prefix("{\"pruned\":")?.strip_suffix('}')?)
    }

    /// Reads what its `Serialize` writes; nothing where it is something else.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(json).ok()?;
        Some(Self {
            node: NodeName::parse(&written.node)?,
            through: written.through,
            hash: LineHash::parse(&written.hash)?,
            at: written.at,
            key: Fingerprint::parse(&written.key)?,
            signature: written.signature,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_every_field_is_signed() {
        let key = AuditKey::for_test();
        let node = NodeName::parse("a").expect("a name");
        let through = Tip { seq: 7, hash: LineHash::of("seven") };
        let at = "2026-01-02T03:04:05.6789Z".parse().expect("a time");
        let record = PruneRecord::sign(&key, &node, through, at);
        let line = record.to_line().expect("JSON");
        let back = PruneRecord::from_line(&line).expect("a record");
        assert_eq!(back, record);
        let keys = AuditKeys::parse(&key.public_line()).expect("a key");
        assert_eq!(back.verify(&keys), Ok(()));
        let other = AuditKey::for_test();
        let edits: [fn(&mut PruneRecord); 4] = [
            |record| record.node = NodeName::parse("b").expect("a name"),
            |record| record.through += 1,
            |record| record.hash = LineHash::of("eight"),
            |record| record.at += jiff::SignedDuration::from_millis(1),
        ];
        for edit in edits {
            let mut edited = record.clone();
            edit(&mut edited);
            assert_eq!(edited.verify(&keys), Err(Distrust::BadSignature));
        }
        let forged = PruneRecord::sign(&other, &node, through, at);
        assert_eq!(forged.verify(&keys), Err(Distrust::UnknownKey));
        let claimed = PruneRecord { key: key.fingerprint(), ..forged };
        assert_eq!(claimed.verify(&keys), Err(Distrust::BadSignature));
    }
}
