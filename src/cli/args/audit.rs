//! `drawbridge audit …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigArgs;
use crate::audit::{LineHash, NodeHead};
use crate::domain::NodeName;

/// What to do with the record.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no record was changed, removed, reordered, inserted or cut off, and name the first that was
    Verify(VerifyArgs),
    /// Print the public half of the key that signs the record of this node
    Key {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// `audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Check these files, in the order in which they were written, instead of the store: audit.jsonl, an export, the
    /// journal
    #[arg(long = "file", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Believe these keys: a file of lines as `drawbridge audit key` prints them, or one line; may be repeated
    /// [default: this node's own]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<String>,
    /// What is known from elsewhere, such as the operator's log: this record must be there; may be repeated
    #[arg(long = "head", value_name = "NODE:NUMBER:HASH", value_parser = node_head)]
    pub heads: Vec<NodeHead>,
    /// The files hold a part of the record: do not ask for what comes before
    #[arg(long, requires = "files")]
    pub part: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

fn node_head(text: &str) -> Result<NodeHead, &'static str> {
    let parse = || {
        let mut parts = text.split(':');
        let (node, through) = (NodeName::parse(parts.next()?)?, parts.next()?.parse().ok()?);
        let hash = LineHash::parse(parts.next()?)?;
        parts.next().is_none().then_some(NodeHead { node, through, hash })
    };
    parse().ok_or("write the node's name, the record's number and its hash of 64 hexadecimal digits, with colons between")
}
