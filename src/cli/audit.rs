//! `drawbridge audit`: checks the record, and prints the key that signs it.
//!
//! What always holds: nothing is changed, and a finding is an exit code other than 0. What counts as one is
//! `audit::verify`'s to say.

mod keys;
mod store;

use std::io::{self, Write};
use std::time::Duration;

use self::store::StoredTrail;
use super::args::{AuditCommand, ConfigArgs, VerifyArgs};
use super::{CliError, Exit, load, runtime};
use crate::audit::AuditKeys;
use crate::audit::verify::{Demands, Report, verify_files, verify_trail};
use crate::config::Config;

/// Files may be exports of any age, and of daemons whose interval is not known here.
const UNSIGNED_MAX_OF_FILES: Duration = Duration::from_hours(25);

/// How much longer than twice the interval a record may go without a head: the clock may be set, and a store be slow.
const UNSIGNED_GRACE: Duration = Duration::from_mins(90);

/// Does what was asked.
pub(super) fn run(command: &AuditCommand, out: &mut impl Write) -> Result<Exit, CliError> {
    match command {
        AuditCommand::Key { config } => {
            let config = load(config)?;
            let node = config.node.name_or_host();
            writeln!(out, "{} drawbridge-audit-{node}", keys::own(&config)?.public_line())?;
            Ok(Exit::Done)
        }
        AuditCommand::Verify(args) if args.files.is_empty() => {
            let config = load(&args.config)?;
            runtime(&config)?.block_on(stored(&config, args, out))
        }
        AuditCommand::Verify(args) => files(args, out),
    }
}

fn files(args: &VerifyArgs, out: &mut impl Write) -> Result<Exit, CliError> {
    let demands = Demands {
        keys: believed(args, &args.config)?,
        heads: args.heads.clone(),
        part: args.part,
        whole: false,
        unsigned_max: Some(UNSIGNED_MAX_OF_FILES),
    };
    let report = verify_files(&args.files, demands)
        .map_err(|(path, error)| CliError::Failed(format!("{} cannot be read: {error}.", path.display())))?;
    answer(&report, args.json, out)
}

async fn stored(config: &Config, args: &VerifyArgs, out: &mut impl Write) -> Result<Exit, CliError> {
    let demands = Demands {
        keys: believed(args, &args.config)?,
        heads: args.heads.clone(),
        part: false,
        whole: true,
        unsigned_max: Some(config.audit.head_interval.saturating_mul(2).saturating_add(UNSIGNED_GRACE)),
    };
    let trail = StoredTrail::open(config).await?;
    let report = verify_trail(&trail, demands).await;
    trail.close().await;
    let report = report.map_err(|why| CliError::Failed(format!("The record cannot be checked: {why}.")))?;
    answer(&report, args.json, out)
}

/// The keys that were given; else this node's own, where there is a configuration.
fn believed(args: &VerifyArgs, config: &ConfigArgs) -> Result<AuditKeys, CliError> {
    if !args.keys.is_empty() {
        return keys::given(&args.keys);
    }
    if !args.files.is_empty() && !config.config.exists() {
        return Ok(AuditKeys::default());
    }
    keys::known(&load(config)?)
}

fn answer(report: &Report, json: bool, out: &mut impl Write) -> Result<Exit, CliError> {
    if json {
        serde_json::to_writer_pretty(&mut *out, report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.passed() { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests;
