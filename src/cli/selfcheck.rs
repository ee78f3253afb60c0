//! `drawbridge doctor` without an instance.

use std::io::Write;

use super::{CliError, Exit};
use crate::config::Config;

/// Says whether drawbridge itself is well.
#[expect(clippy::unused_async, reason = "what is checked asks AWS")]
pub(super) async fn run(_: &Config, _: bool, _: &mut impl Write) -> Result<Exit, CliError> {
    Err(CliError::Usage(
        "Which instance is it about? Write its name, as in `drawbridge doctor web-1`.".to_owned(),
    ))
}
