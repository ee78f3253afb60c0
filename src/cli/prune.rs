//! `drawbridge prune`.

use std::io::Write;
use std::sync::Arc;

use super::args::PruneArgs;
use super::{CliError, Exit};
use crate::app;
use crate::audit::{AuditKey, LineHash, PruneRecord, Tip};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::prune::{self, AllFiles, Order, OwnFiles};
use crate::record::vault::Vault;

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}

/// Removes what is old, or says what would be removed.
pub(super) async fn run(config: &Config, args: &PruneArgs, out: &mut impl Write) -> Result<Exit, CliError> {
    let now = SystemClock.now();
    let before = now.checked_sub(args.older_than).map_err(|_| {
        CliError::Usage("--older-than reaches back beyond the beginning of time; write less.".to_owned())
    })?;
    let store = app::store(config).await.map_err(failed)?;
    let node = config.node.name_or_host();
    let key = Arc::new(AuditKey::load_or_create(&config.audit.key, &node).map_err(failed)?);
    let sign = move |node: &_, seq, line: &str, at| {
        PruneRecord::sign(&key, node, Tip { seq, hash: LineHash::of(line) }, at).to_line()
    };
    let bucket = config.recording.upload_to.as_ref();
    let bin = AllFiles {
        own: OwnFiles { node, dir: config.recording.dir.clone() },
        vault: Vault::open(bucket).map_err(failed)?,
        lock_days: bucket.and_then(|bucket| bucket.lock).map(|lock| lock.days),
    };
    let order = Order { before, now, dry_run: args.dry_run };
    let report = prune::run(&store, &sign, &bin, order).await;
    store.close().await;
    let report = report.map_err(failed)?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report).map_err(failed)?)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::Failed })
}
