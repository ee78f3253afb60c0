//! The `drawbridge` binary: arguments in, exit code out.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use drawbridge::cli::{self, Arguments};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => cli::run(arguments, &mut stdout(), &mut stderr()).into(),
        Err(help_or_mistake) => {
            let exit_code = u8::try_from(help_or_mistake.exit_code()).unwrap_or(2);
            // Where nobody can read it, the exit code is all that is left to say.
            drop(help_or_mistake.print());
            ExitCode::from(exit_code)
        }
    }
}
