//! `drawbridge doctor` without an instance.

use std::io::Write;

use super::args::ConfigArgs;
use super::{CliError, Exit};

/// Says whether drawbridge itself is well.
pub(super) fn run(_: &ConfigArgs, _: bool, _: &mut impl Write) -> Result<Exit, CliError> {
    let which = "Which instance is it about? Write its name, as in `drawbridge doctor web-1`.";
    Err(CliError::Usage(which.to_owned()))
}
