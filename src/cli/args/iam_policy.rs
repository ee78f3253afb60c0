//! `drawbridge iam-policy`.

use clap::Args;

use super::ConfigArgs;
use crate::domain::Login;
use crate::iam::{Principal, RequiredTag};

/// `iam-policy`.
#[derive(Debug, Args)]
pub struct IamPolicyArgs {
    /// Print only what is permitted in this account of the configuration, as one document
    #[arg(long, value_name = "ALIAS")]
    pub account: Option<String>,
    /// An OS user for whom keys are pushed; may be repeated [default: those that the policy allows]
    #[arg(long = "login", value_name = "LOGIN", value_parser = Login::parse)]
    pub logins: Vec<Login>,
    /// Let keys be pushed only to instances with this tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = RequiredTag::parse)]
    pub require_tag: Option<RequiredTag>,
    /// The ARN of the role that drawbridge runs with, for trust policies
    #[arg(long, value_name = "ARN", value_parser = Principal::parse)]
    pub bastion_role: Option<Principal>,
    /// Permit what diagnosis needs even if no rule of the policy permits anybody to diagnose
    #[arg(long)]
    pub diagnosis: bool,
    /// Answer in JSON: every document, and what was assumed
    #[arg(long)]
    pub json: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}
