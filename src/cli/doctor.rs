//! `drawbridge doctor`: of an instance, or of drawbridge itself.

use std::io::Write;

use super::args::DoctorArgs;
use super::{CliError, Exit, exit, parts, selfcheck};
use crate::config::Config;

/// What the checklist is about.
enum About<'a> {
    Instance(&'a str),
    Drawbridge,
}

/// Prints the checklist. Failed where something on it is broken.
pub(super) async fn run(
    config: &Config,
    args: &DoctorArgs,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Exit, CliError> {
    match args.target.as_deref().map_or(About::Drawbridge, About::Instance) {
        About::Instance(typed) => {
            let answer = parts::doctor(config, args, typed).await?;
            let verdict = answer.verdict;
            answer.write(out, err)?;
            Ok(exit(verdict))
        }
        About::Drawbridge => selfcheck::run(config, args.json, out).await,
    }
}
