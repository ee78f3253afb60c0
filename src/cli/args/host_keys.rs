//! `drawbridge host-keys …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigArgs;
use crate::config::is_region;
use crate::domain::InstanceId;

/// What to do with the pinned host keys.
#[derive(Debug, Subcommand)]
pub enum HostKeysCommand {
    /// List the pinned host keys
    List {
        /// Where the configuration is.
        #[command(flatten)]
        config: ConfigArgs,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget the pinned host key of an instance
    Forget(ForgetArgs),
    /// Pin a host key to an instance
    Pin(PinArgs),
}

impl HostKeysCommand {
    pub(in crate::cli) fn config(&self) -> &ConfigArgs {
        match self {
            Self::List { config, .. } => config,
            Self::Forget(ForgetArgs { config, .. }) | Self::Pin(PinArgs { config, .. }) => config,
        }
    }
}

/// `host-keys forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The instance's id
    #[arg(value_name = "INSTANCE_ID", value_parser = instance_id)]
    pub instance: InstanceId,
    /// The number of its account, where the id is pinned in several
    #[arg(long, value_parser = account)]
    pub account: Option<String>,
    /// Its region, where the id is pinned in several
    #[arg(long, value_parser = region)]
    pub region: Option<String>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `host-keys pin`.
#[derive(Debug, Args)]
pub struct PinArgs {
    /// The instance's id
    #[arg(value_name = "INSTANCE_ID", value_parser = instance_id)]
    pub instance: InstanceId,
    /// The number of its account
    #[arg(long, value_parser = account)]
    pub account: String,
    /// Its region
    #[arg(long, value_parser = region)]
    pub region: String,
    /// The key.
    #[command(flatten)]
    pub key: KeySource,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Where a public key is; one of the two.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct KeySource {
    /// The public key's line, such as "ssh-ed25519 AAAA…"
    #[arg(long, value_name = "LINE")]
    pub key: Option<String>,
    /// A file with the public key: a .pub file, or what ssh-keyscan printed
    #[arg(long, value_name = "PATH")]
    pub key_file: Option<PathBuf>,
}

fn instance_id(text: &str) -> Result<InstanceId, &'static str> {
    InstanceId::parse(text).ok_or("an instance id is i- and 8 or 17 hexadecimal digits")
}

fn account(text: &str) -> Result<String, &'static str> {
    let is_number = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.to_owned()).ok_or("an account is named by its number of 12 digits")
}

fn region(text: &str) -> Result<String, &'static str> {
    is_region(text).then(|| text.to_owned()).ok_or("a region is named by its code, such as eu-west-1")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Arguments;

    #[test]
    fn a_key_to_pin_is_given_in_one_way_for_one_machine() {
        let parse = |tail: &[&str]| {
            let head = ["drawbridge", "host-keys", "pin", "i-0123456789abcdef0"];
            Arguments::try_parse_from(head.iter().chain(tail)).map_err(|error| error.exit_code())
        };
        let place = ["--account", "123456789012", "--region", "eu-west-1"];
        let with = |tail: &[&'static str]| parse(&[&place, tail].concat());
        assert!(with(&["--key", "ssh-ed25519 AAAA"]).is_ok());
        assert!(with(&["--key-file", "key.pub"]).is_ok());
        for wrong in [
            with(&[]),
            with(&["--key", "ssh-ed25519 AAAA", "--key-file", "key.pub"]),
            parse(&["--account", "production", "--region", "eu-west-1", "--key", "x"]),
            parse(&["--account", "123456789012", "--region", "west\u{1b}[2J", "--key", "x"]),
            parse(&["--region", "eu-west-1", "--key", "x"]),
        ] {
            assert_eq!(wrong.map(drop), Err(2));
        }
    }
}
