//! `[node]`, `[store]`, `[recording]` and `[audit]`: the record, and where it is kept.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::Value;

use super::disk::Expect;
use super::origin::Complaint;
use super::reader::Section;
use super::sinks::{self, SinkConfig};
use super::value::{quoted, text};
use crate::domain::{NodeName, RecordMode};
use crate::record::vault::S3Settings;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// `[node]`: this daemon among several that share a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// What it is called; none means the host's name.
    pub name: Option<NodeName>,
}

impl NodeConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { name: section.parse("name", node_name) }
    }

    /// The configured name, else the host's, else `drawbridge`.
    #[must_use]
    pub fn name_or_host(&self) -> NodeName {
        let of_host = || NodeName::parse(std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim());
        self.name.clone().or_else(of_host).unwrap_or_default()
    }
}

fn node_name(value: &Value) -> Result<NodeName, Complaint> {
    let text = text(value)?;
    NodeName::parse(text).ok_or_else(|| {
        Complaint::new(format!("{} cannot be a node's name", quoted(text))).hint(format!(
            "write at most {} letters, digits, '-', '.' and '_', beginning with a letter or a digit",
            NodeName::LENGTH_MAX
        ))
    })
}

/// `[store]`: the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// SQLite, in this file.
    Sqlite(PathBuf),
    /// PostgreSQL.
    Postgres(DatabaseUrl),
}

/// A `postgres://` URL, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL, password included.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl StoreConfig {
    pub(super) fn read(section: &mut Section<'_>, data_dir: &Path) -> Self {
        let file = || Self::Sqlite(data_dir.join("drawbridge.db"));
        section.parse("url", database_url).map_or_else(file, Self::Postgres)
    }
}

fn database_url(value: &Value) -> Result<DatabaseUrl, Complaint> {
    let text = text(value)?;
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let sound = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if sound && rest.is_some_and(|rest| !rest.is_empty()) {
        return Ok(DatabaseUrl(text.to_owned()));
    }
    // The text may hold a password, so it is not quoted.
    Err(Complaint::new("it is not the URL of a PostgreSQL database").hint(
        "its form is postgres://USER:PASSWORD@HOST:5432/DATABASE; leave `url` out for an SQLite file in data.dir",
    ))
}

/// `[recording]`: what is recorded where no rule says, and where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingConfig {
    /// What holds where no rule has `@record`.
    pub default: RecordMode,
    /// The directory that recordings are written to; made when it is missing.
    pub dir: PathBuf,
    /// The bucket that they are moved to; without one they stay.
    pub upload_to: Option<S3Settings>,
}

impl RecordingConfig {
    pub(super) fn read(section: &mut Section<'_>, data_dir: &Path) -> Self {
        let modes = RecordMode::ALL.map(|mode| (mode.name(), mode));
        Self {
            default: section.choice("default", RecordMode::BestEffort, &modes),
            dir: section.state_path("dir", "recordings", data_dir, Expect::WritableDirectory),
            upload_to: super::bucket::read(section),
        }
    }
}

/// `[audit]`: the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    /// The directory of the journal, which is the trail itself; made when it is missing.
    pub journal: PathBuf,
    /// The file that lines are copied to, for people and log shippers.
    pub file: PathBuf,
    /// Whether the lines are copied to standard output as well.
    pub stdout: bool,
    /// Whether a line is on the disk (fsync) before its effect happens.
    pub sync: bool,
    /// The key that signs the chain's heads.
    pub key: PathBuf,
    /// How often a head is signed while things happen.
    pub head_interval: Duration,
    /// Further places that lines are copied to.
    pub sinks: Vec<SinkConfig>,
}

impl AuditConfig {
    pub(super) fn read(section: &mut Section<'_>, data_dir: &Path) -> Self {
        Self {
            journal: section.state_path("journal", "journal", data_dir, Expect::WritableDirectory),
            file: section.state_path("file", "audit.jsonl", data_dir, Expect::AppendableFile),
            stdout: section.boolean("stdout", false),
            sync: section.boolean("sync", true),
            key: section.state_path("key", "audit_key", data_dir, Expect::PrivateKey),
            head_interval: section.duration("head_interval", 60 * SECOND, SECOND..=24 * HOUR),
            sinks: sinks::read(section, data_dir),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_one_and_is_never_printed() {
        let read = |text: &str| database_url(&Value::new(None, text));
        let url = read("postgres://drawbridge:secret@db.internal/drawbridge").expect("a URL");
        assert!(!format!("{url:?}").contains("secret"));
        for bad in ["", "postgres://", "mysql://a:secret@b/c", "postgres://a b"] {
            let complaint = read(bad).expect_err(bad);
            assert!(!complaint.message.contains("secret"));
        }
    }

    #[test]
    fn a_node_without_a_name_has_its_host_s() {
        assert!(!NodeConfig { name: None }.name_or_host().as_str().is_empty());
    }
}
