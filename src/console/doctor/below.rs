//! What stands below the sentence about a session that failed: the cause in a line or two, and how to see the rest.

use super::super::text::{count, shown};
use crate::diagnose::{Check, Diagnosis, Subject, Verdict};
use crate::domain::{FailureClass, Login, ServerAddress, Target};
use crate::target::default_login;

/// What is said below the sentence about a session that failed.
pub(crate) fn cause_told(
    diagnosis: &Diagnosis,
    class: FailureClass,
    target: &Target,
    login: &Login,
    bastion: Option<&ServerAddress>,
) -> String {
    let command = doctor_command(target, login, bastion);
    let open = || count(diagnosis.open().count(), "check");
    let said = match diagnosis.cause() {
        Some(cause) => told_cause(cause, class),
        None if !was_looked_at(diagnosis) => {
            return format!("drawbridge could not find out why; `{command}` shows what it could not check.");
        }
        None if diagnosis.open().next().is_none() => "AWS's answers name no cause.".to_owned(),
        None => format!("AWS's answers name no cause, and {} could not be made.", open()),
    };
    format!("{said}\n`{command}` shows the rest.")
}

fn told_cause(cause: &Check, class: FailureClass) -> String {
    let helps = cause.change.as_deref().map(|change| format!("What helps: {}", shown(change)));
    // The sentence has said already what the machine answered.
    let found = match (cause.subject == Subject::Answer, answer_is_cause(class)) {
        (false, _) => Some(format!("The most likely cause: {}", shown(&cause.finding))),
        (true, false) => Some("AWS's answers show nothing in the way.".to_owned()),
        (true, true) => None,
    };
    found.into_iter().chain(helps).collect::<Vec<_>>().join("\n")
}

/// Whether the machine's answer is the cause, wherever else one looks.
fn answer_is_cause(class: FailureClass) -> bool {
    matches!(class, FailureClass::ConnectionRefused | FailureClass::NotSsh | FailureClass::NoCommonAlgorithm)
}

/// Whether anything could be told; what was seen is in the checklist, too, and is no answer of AWS's.
fn was_looked_at(diagnosis: &Diagnosis) -> bool {
    let seen = |subject| matches!(subject, Subject::Answer | Subject::HostKey | Subject::Push);
    diagnosis.checks.iter().any(|check| check.verdict != Verdict::Unknown && !seen(check.subject))
}

/// What to type for the checklist.
fn doctor_command(target: &Target, login: &Login, bastion: Option<&ServerAddress>) -> String {
    let port = bastion.and_then(ServerAddress::port).filter(|port| *port != 22);
    let port = port.map(|port| format!("-p {port} ")).unwrap_or_default();
    let host = bastion.map_or("BASTION", ServerAddress::host);
    let usual = default_login(target).as_ref() == Some(login);
    let login = if usual { String::new() } else { format!(" --login {}", quoted(login.as_str())) };
    format!("ssh {port}{host} doctor {}{login}", typeable(target))
}

/// A name that can be copied into a shell whatever others wrote into the tag; else the id.
fn typeable(target: &Target) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_plain =
        |name: &&str| name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain);
    target.name.as_deref().filter(is_plain).unwrap_or(target.id.as_str())
}

/// A login may have a `$`.
fn quoted(login: &str) -> String {
    if login.contains('$') { format!("'{login}'") } else { login.to_owned() }
}
