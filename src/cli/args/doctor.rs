//! `drawbridge doctor`.

use std::net::{IpAddr, Ipv4Addr};

use clap::Args;

use super::ConfigArgs;
use crate::domain::{Login, UserName};

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The instance: an id, a name, a private DNS name or a private address [default: drawbridge itself]
    #[arg(value_name = "INSTANCE")]
    pub target: Option<String>,
    /// The OS user on it
    #[arg(long, requires = "target", value_parser = Login::parse)]
    pub login: Option<Login>,
    /// Answer as this user would be answered over ssh, and not as the operator
    #[arg(long, requires = "target", value_parser = UserName::parse)]
    pub user: Option<UserName>,
    /// The address that the user comes from
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub from: IpAddr,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}
