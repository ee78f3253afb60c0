//! `drawbridge iam-policy`.

use std::io::Write;

use super::args::IamPolicyArgs;
use super::{CliError, Exit};
use crate::app;
use crate::config::Config;
use crate::iam::{AccountPolicies, Options, Policies};

/// Prints the policies that the configuration needs; what was assumed goes to `err`.
pub(super) fn run(
    config: &Config,
    args: &IamPolicyArgs,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<Exit, CliError> {
    let policy = app::policy(config).map_err(CliError::Problems)?;
    let options = Options {
        logins: args.logins.clone(),
        required_tag: args.require_tag.clone(),
        bastion_role: args.bastion_role.clone(),
        diagnosis: args.diagnosis,
    };
    let policies = Policies::of(config, &policy, &options);
    let wanted = args.account.as_deref().map(|alias| wanted(config, &policies, alias)).transpose()?;
    if args.json {
        let text = match wanted {
            Some(Wanted::Role(account)) => serde_json::to_string_pretty(account),
            Some(Wanted::Bastion) | None => serde_json::to_string_pretty(&policies),
        };
        writeln!(out, "{}", text.map_err(|error| CliError::Failed(error.to_string()))?)?;
        return Ok(Exit::Done);
    }
    for note in &policies.notes {
        writeln!(err, "note: {note}")?;
    }
    match wanted {
        // One document alone, fit for `aws iam put-role-policy --policy-document`.
        Some(Wanted::Bastion) => writeln!(out, "{}", policies.bastion.pretty())?,
        Some(Wanted::Role(account)) => writeln!(out, "{}", account.permissions.pretty())?,
        None => print(&policies, out)?,
    }
    Ok(Exit::Done)
}

/// Whose document an alias asks for.
enum Wanted<'a> {
    Bastion,
    Role(&'a AccountPolicies),
}

fn wanted<'a>(config: &Config, policies: &'a Policies, alias: &str) -> Result<Wanted<'a>, CliError> {
    if let Some(role) = policies.accounts.iter().find(|account| account.aliases.iter().any(|a| a == alias)) {
        return Ok(Wanted::Role(role));
    }
    let aliases: Vec<&str> = config.inventory.accounts.iter().map(|account| account.alias.as_str()).collect();
    if aliases.contains(&alias) {
        return Ok(Wanted::Bastion);
    }
    Err(CliError::Usage(format!(
        "The configuration has no account \"{alias}\"; its accounts are: {}.",
        if aliases.is_empty() { "none".to_owned() } else { aliases.join(", ") }
    )))
}

fn print(policies: &Policies, out: &mut impl Write) -> Result<(), CliError> {
    writeln!(out, "# What drawbridge itself may do: for the role that it runs with.")?;
    writeln!(out, "{}", policies.bastion.pretty())?;
    for account in &policies.accounts {
        let (whose, role) = (account.aliases.join(", "), &account.role_arn);
        writeln!(out, "\n# {whose}: what {role} may do.\n{}", account.permissions.pretty())?;
        writeln!(out, "\n# {whose}: who may take {role} on (its trust policy).\n{}", account.trust.pretty())?;
    }
    Ok(())
}
