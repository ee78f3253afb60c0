//! `drawbridge doctor` without a target: the bastion itself.

use std::io::Write;
use std::sync::Arc;

use super::args::ConfigArgs;
use super::{CliError, Exit, load, runtime};
use crate::app;
use crate::aws::AwsCheckup;
use crate::checkup::{self, Checkup};
use crate::clock::SystemClock;

/// Checks everything that drawbridge rests on, and prints the list. Failed when something is broken.
pub(super) fn run(arguments: &ConfigArgs, json: bool, out: &mut impl Write) -> Result<Exit, CliError> {
    let checkup = match load(arguments) {
        // Without a configuration there is nothing else to be looked at.
        Err(CliError::Problems(problems)) => Checkup::of(checkup::broken_configuration(&problems)),
        Err(other) => return Err(other),
        Ok(config) => {
            let runtime = runtime(&config)?;
            let config = Arc::new(config);
            let checkup = runtime.block_on(async {
                let cloud = AwsCheckup::new(&config, Arc::new(SystemClock)).await;
                let (directory, policy) = (app::directory(&config), app::policy(&config));
                checkup::run(Arc::clone(&config), directory, policy, Arc::new(cloud)).await
            });
            // A disk that hangs must not keep a command that is over.
            runtime.shutdown_background();
            checkup
        }
    };
    if json {
        let text = serde_json::to_string(&checkup).map_err(|error| CliError::Failed(error.to_string()))?;
        writeln!(out, "{text}")?;
    } else {
        write!(out, "{checkup}")?;
    }
    Ok(if checkup.is_sound() { Exit::Done } else { Exit::Failed })
}
