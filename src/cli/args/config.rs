//! Where the configuration is: every command that needs one takes these.

use std::path::PathBuf;

use clap::Args;

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/drawbridge/drawbridge.toml")]
    pub config: PathBuf,
    /// Set one key, whatever the configuration says; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}
