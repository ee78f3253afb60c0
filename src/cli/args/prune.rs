//! `drawbridge prune`.

use std::time::Duration;

use clap::Args;

use super::ConfigArgs;
use crate::config::parse_duration;

/// `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// How old it must be: 90d, 36h, …
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub older_than: Duration,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Nobody means "everything up to now".
fn age(text: &str) -> Result<Duration, String> {
    let age = parse_duration(text).map_err(|error| error.to_string())?;
    if age < Duration::from_secs(1) { Err("write a second or more, such as 90d".to_owned()) } else { Ok(age) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Arguments;

    #[test]
    fn what_is_to_be_pruned_has_an_age() {
        let parse = |age: &str| Arguments::try_parse_from(["drawbridge", "prune", "--older-than", age]);
        assert!(parse("90d").is_ok() && parse("1s").is_ok());
        for wrong in ["0s", "", "90", "-1d", "tomorrow"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(Arguments::try_parse_from(["drawbridge", "prune"]).is_err(), "there is no default");
    }
}
