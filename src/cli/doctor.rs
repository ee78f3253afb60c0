//! `drawbridge doctor`: of an instance, or of drawbridge itself.

use std::io::Write;

use super::args::DoctorArgs;
use super::{CliError, Exit, exit, load, parts, runtime, selfcheck};

/// What the checklist is about.
enum About<'a> {
    Instance(&'a str),
    Drawbridge,
}

/// Prints the checklist. Failed where something on it is broken.
pub(super) fn run(args: &DoctorArgs, out: &mut impl Write, err: &mut impl Write) -> Result<Exit, CliError> {
    match args.target.as_deref().map_or(About::Drawbridge, About::Instance) {
        About::Instance(typed) => {
            let config = load(&args.config)?;
            let answer = runtime(&config)?.block_on(parts::doctor(&config, args, typed))?;
            let verdict = answer.verdict;
            answer.write(out, err)?;
            Ok(exit(verdict))
        }
        About::Drawbridge => selfcheck::run(&args.config, args.json, out),
    }
}
