//! The configuration, the users and the policy: who may come in, and what for.

use super::check::{Check, Subject};
use super::names::unknown_names;
use crate::auth::Directory;
use crate::config::Config;
use crate::policy::{Effect, Policy};
use crate::problem::Problem;

/// OS users that a push is tried for, at most.
const LOGINS_MAX: usize = 4;
/// Names in one sentence, at most.
const NAMES_MAX: usize = 5;

/// What the files say.
pub(super) fn look(
    config: &Config,
    directory: &Result<Directory, Vec<Problem>>,
    policy: &Result<Policy, Vec<Problem>>,
) -> Vec<Check> {
    let mut checks = vec![configuration(config)];
    match directory {
        Err(found) => checks.extend(problems(Subject::Users, found)),
        Ok(directory) => checks.push(users(directory)),
    }
    match policy {
        Err(found) => checks.extend(problems(Subject::Policy, found)),
        Ok(policy) => {
            checks.push(rules(policy));
            checks.extend(
                policy.warnings().iter().map(|warning| problem(Subject::Policy, warning, Check::unknown)),
            );
        }
    }
    if let (Ok(directory), Ok(policy)) = (directory, policy) {
        checks.extend(problems(Subject::Policy, &unknown_names(directory, policy)));
    }
    checks
}

/// Each problem as a broken check.
pub(super) fn problems(subject: Subject, problems: &[Problem]) -> Vec<Check> {
    let broken = |subject, finding: String| Check::broken(subject, finding, "See `drawbridge check`.");
    problems.iter().map(|found| problem(subject, found, broken)).collect()
}

fn problem(subject: Subject, problem: &Problem, make: impl Fn(Subject, String) -> Check) -> Check {
    let place = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
    let check =
        make(subject, sentence(&problem.message)).about(format!("{}{place}", problem.origin.display()));
    match &problem.hint {
        Some(hint) => check.change(sentence(hint)),
        None => check,
    }
}

/// A problem's texts have no full stop and begin small.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let rest = letters.as_str().trim_end_matches('.');
    let stop = if rest.ends_with(['?', '!']) { "" } else { "." };
    format!("{first}{rest}{stop}")
}

fn configuration(config: &Config) -> Check {
    let aliases: Vec<&str> = config.inventory.accounts.iter().map(|account| account.alias.as_str()).collect();
    if aliases.is_empty() {
        return Check::unknown(
            Subject::Configuration,
            "It can be read, but names no account, so no instance can be reached.",
        )
        .change("Add [[inventory.accounts]].");
    }
    Check::sound(Subject::Configuration, format!("It can be read. Accounts: {}.", names(&aliases)))
}

fn users(directory: &Directory) -> Check {
    let count = directory.users().count();
    let shut_out: Vec<&str> = directory.users_without_a_way_in().map(|user| user.name.as_str()).collect();
    if count == 0 {
        return Check::broken(
            Subject::Users,
            "The users file names nobody, so nobody can come in.",
            "Add a user to the users file.",
        );
    }
    if !shut_out.is_empty() {
        return Check::unknown(
            Subject::Users,
            format!("Without a key, and without a trusted CA, these cannot come in: {}.", names(&shut_out)),
        )
        .change("Give them `authorized_keys`, or name a CA in identity.trusted_user_ca_keys.");
    }
    Check::sound(Subject::Users, format!("{}, and each has a way in.", counted(count, "user")))
}

fn rules(policy: &Policy) -> Check {
    let permits = policy.rules().iter().filter(|rule| rule.effect == Effect::Permit).count();
    if permits == 0 {
        return Check::broken(
            Subject::Policy,
            "No rule permits anything, so everything is refused to everybody.",
            "Write a `permit` rule; docs/policy.md has examples.",
        );
    }
    Check::sound(
        Subject::Policy,
        format!("It can be read: {}, of which {permits} permit.", counted(policy.rules().len(), "rule")),
    )
}

/// OS users for whom the policy lets keys be pushed, and the usual ones of images where it leaves them open.
pub(super) fn logins(policy: Option<&Policy>) -> Vec<String> {
    let of_policy = policy.map(Policy::named_logins).unwrap_or_default();
    let usual = ["ec2-user", "ubuntu", "admin"].map(str::to_owned);
    let open = of_policy.open || of_policy.named.is_empty();
    let mut logins: Vec<String> = if open { usual.to_vec() } else { Vec::new() };
    for login in of_policy.named.iter().map(|login| login.as_str().to_owned()) {
        if !logins.contains(&login) {
            logins.insert(0, login);
        }
    }
    logins.truncate(LOGINS_MAX);
    logins
}

fn names(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_MAX).copied().collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
