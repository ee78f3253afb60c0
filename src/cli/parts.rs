//! The calls into the rooms that do the work: one small function each.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::args::Question;
use super::{CliError, Exit, logging};
use crate::config::{Config, LogConfig, LogFormat};
use crate::demo::{self, DemoOptions};
use crate::domain::Action;
use crate::problem::Problem;

/// Runs the daemon until it is told to stop and has drained.
#[expect(clippy::unused_async, reason = "PLACEHOLDER: wire to app::run(config)")]
pub(super) async fn serve(_config: Config) -> Result<(), CliError> {
    Err(CliError::NotBuilt("running the daemon"))
}

/// Runs the demo until it is told to stop.
pub(super) fn demo(dir: Option<PathBuf>, listen: SocketAddr, out: &mut impl Write) -> Result<(), CliError> {
    logging::start(&LogConfig { format: LogFormat::Text, level: "warn".to_owned() })
        .map_err(CliError::Failed)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| CliError::Failed(format!("The demo cannot be started: {error}.")))?;
    let options = DemoOptions { dir, listen };
    runtime.block_on(demo::run(options, out)).map_err(|error| CliError::Failed(error.to_string()))
}

/// Every problem in the users file, CA keys, revocation lists and policy.
pub(super) fn problems_of_files(_config: &Config) -> Result<Vec<Problem>, CliError> {
    // PLACEHOLDER: read config.identity.* and config.policy.files and collect their problems.
    Err(CliError::NotBuilt("checking users, policy and revocation lists"))
}

/// Prints the decision on one case, and why. Done when it is allowed, failed when it is not.
pub(super) fn policy_explain(
    _config: &Config,
    _question: &Question,
    _action: &Action,
    _out: &mut impl Write,
) -> Result<Exit, CliError> {
    // PLACEHOLDER: wire to the policy room.
    Err(CliError::NotBuilt("explaining a decision"))
}

/// Prints the rows whose decision is not the expected one. Failed when there is such a row.
pub(super) fn policy_test(_config: &Config, _table: &Path, _out: &mut impl Write) -> Result<Exit, CliError> {
    // PLACEHOLDER: wire to the policy room.
    Err(CliError::NotBuilt("testing the policy"))
}

/// The `@cert-authority` line for `known_hosts`, without the end of line.
pub(super) fn host_ca_line(_config: &Config) -> Result<String, CliError> {
    // PLACEHOLDER: wire to the key files (config.server.host_ca_key).
    Err(CliError::NotBuilt("printing the host CA"))
}
