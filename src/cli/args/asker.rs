//! On whose behalf a question of the console is asked.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;

use super::ConfigArgs;
use crate::domain::UserName;

/// On whose behalf a command of the console is asked.
#[derive(Debug, Args)]
pub struct AsUser {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The user, as the users file names them
    #[arg(long, value_parser = UserName::parse)]
    pub user: UserName,
    /// The address that the user comes from
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub from: IpAddr,
}

/// Who asks about the record: the operator, who may see everything, or a user.
#[derive(Debug, Args)]
pub struct AsAnybody {
    /// The configuration file
    #[arg(long, value_name = "FILE", global = true, default_value = "/etc/drawbridge/drawbridge.toml")]
    pub config: PathBuf,
    /// Set one key, whatever the configuration says; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE", global = true)]
    pub set: Vec<String>,
    /// Answer as this user would be answered over ssh, and not as the operator
    // Its name is not `user`: questions have a filter of that name, and clap would take the two for one.
    #[arg(long = "as", value_name = "USER", global = true, value_parser = UserName::parse)]
    pub as_user: Option<UserName>,
    /// The address that the user comes from
    #[arg(long, value_name = "ADDR", global = true, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub from: IpAddr,
}

impl AsAnybody {
    /// Where the configuration is.
    #[must_use]
    pub fn config(&self) -> ConfigArgs {
        ConfigArgs { config: self.config.clone(), set: self.set.clone() }
    }
}
