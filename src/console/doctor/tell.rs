//! How a diagnosis is told: as a checklist, in JSON, and in a line or two below something else.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::super::text::{count, shown, shown_json};
use super::Examined;
use crate::diagnose::{Check, Diagnosis, Facts, Gap, GapReason, Subject, Verdict};
use crate::domain::{FailureClass, Login, ServerAddress, Target};
use crate::target::default_login;

/// The facts where not one came in time.
pub(super) fn nothing_known(target: &Arc<Target>) -> Facts {
    Facts::unknown(Arc::clone(target), &Gap::new("", GapReason::Timeout))
}

fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Sound => '✓',
        Verdict::Broken => '✗',
        Verdict::Unknown => '?',
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Sound => "sound",
        Verdict::Broken => "broken",
        Verdict::Unknown => "unknown",
    }
}

fn line_to(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

/// The whole checklist, ending in what to change.
pub(super) fn checklist(examined: &Examined) -> String {
    let Examined { target, login, tried, diagnosis, .. } = examined;
    let mut text = heading(target, login.as_ref());
    let wide = diagnosis.checks.iter().map(|check| check.subject.title().width()).max().unwrap_or_default();
    let mut group = "";
    for check in &diagnosis.checks {
        if check.subject.group() != group {
            group = check.subject.group();
            line_to(&mut text, &format!("\n{group}"));
        }
        let (title, finding) = (check.subject.title(), shown(&check.finding));
        line_to(&mut text, &format!("  {} {title:wide$}  {finding}", mark(check.verdict)));
    }
    let is_told = diagnosis.checks.iter().any(|check| check.subject == Subject::Answer);
    if let Some(tried) = tried.as_ref().filter(|_| !is_told) {
        let login = login.as_ref().map_or("", Login::as_str);
        line_to(&mut text, "\nThe bastion's own try");
        line_to(
            &mut text,
            &match tried {
                Ok(()) => format!("  {} Port {} answers, and speaks SSH.", mark(Verdict::Sound), target.port),
                Err(error) => {
                    format!("  {} {}", mark(Verdict::Broken), capital(&error.sentence(target, login)))
                }
            },
        );
    }
    conclusion(&mut text, examined);
    text
}

fn heading(target: &Target, login: Option<&Login>) -> String {
    let Target { id, account_alias, region, private_ip, port, .. } = target;
    let name = shown(target.display_name());
    let as_login = login.map(|login| format!(", as {login}")).unwrap_or_default();
    format!(
        "{name} ({id}, {}, {}) at {private_ip}, port {port}{as_login}\n",
        shown(account_alias),
        shown(region)
    )
}

fn conclusion(text: &mut String, examined: &Examined) {
    let diagnosis = &examined.diagnosis;
    let cause = diagnosis.cause();
    if let Some(cause) = cause {
        line_to(text, &format!("\nThe most likely cause: {}", shown(&cause.finding)));
    } else {
        line_to(text, &format!("\n{}", without_a_cause(examined)));
    }
    // What helps most comes first.
    let others =
        diagnosis.checks.iter().filter(|check| Some(check.subject) != cause.map(|cause| cause.subject));
    let mut changes: Vec<String> = Vec::new();
    for change in cause.into_iter().chain(others).filter(|check| check.verdict != Verdict::Sound) {
        let change = change.change.as_deref().map(shown);
        changes.extend(change.filter(|change| !changes.contains(change)));
    }
    if !changes.is_empty() {
        line_to(text, "To change:");
        for change in &changes {
            line_to(text, &format!("  - {change}"));
        }
    }
}

fn without_a_cause(examined: &Examined) -> String {
    let open = examined.diagnosis.open().count();
    let reached = matches!(examined.tried, Some(Ok(())));
    let untold = format!("{} could not be made", count(open, "check"));
    match (examined.is_sick(), reached, open) {
        (true, _, 0) => "AWS's answers name no cause.".to_owned(),
        (true, _, _) => format!("AWS's answers name no cause; {untold}."),
        (false, true, 0) => "Nothing is in the way.".to_owned(),
        (false, true, _) => format!("Nothing is in the way as far as can be told; {untold}."),
        (false, false, 0) => "By AWS's answers nothing is in the way.".to_owned(),
        (false, false, _) => format!("By AWS's answers nothing is in the way, but {untold}."),
    }
}

fn capital(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The answer in JSON: its fields stay.
#[derive(Serialize)]
struct Told<'a> {
    target: ToldTarget<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a Login>,
    /// What came of the bastion's own try; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    tried: Option<ToldTry>,
    checks: Vec<ToldCheck<'a>>,
    /// The subject of the most likely cause.
    cause: Option<&'static str>,
    /// Whether packets would arrive.
    arrives: &'static str,
}

#[derive(Serialize)]
struct ToldTarget<'a> {
    id: &'a str,
    name: Option<&'a str>,
    account: &'a str,
    region: &'a str,
    address: std::net::IpAddr,
    port: u16,
}

#[derive(Serialize)]
struct ToldTry {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<FailureClass>,
}

#[derive(Serialize)]
struct ToldCheck<'a> {
    subject: &'static str,
    verdict: &'static str,
    finding: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a str>,
}

pub(super) fn json(examined: &Examined) -> String {
    let Examined { target, login, tried, diagnosis, .. } = examined;
    let told = Told {
        target: ToldTarget {
            id: target.id.as_str(),
            name: target.name.as_deref(),
            account: &target.account,
            region: &target.region,
            address: target.private_ip,
            port: target.port,
        },
        login: login.as_ref(),
        tried: tried.as_ref().map(|tried| ToldTry {
            verdict: word(if tried.is_ok() { Verdict::Sound } else { Verdict::Broken }),
            class: examined.class(),
        }),
        checks: diagnosis.checks.iter().map(told_check).collect(),
        cause: diagnosis.cause().map(|check| check.subject.label()),
        arrives: word(arrives(examined)),
    };
    shown_json(&serde_json::to_string_pretty(&told).unwrap_or_default()) + "\n"
}

/// What was tried with success needs no deduction.
fn arrives(examined: &Examined) -> Verdict {
    if matches!(examined.tried, Some(Ok(()))) { Verdict::Sound } else { examined.diagnosis.arrives() }
}

fn told_check(check: &Check) -> ToldCheck<'_> {
    ToldCheck {
        subject: check.subject.label(),
        verdict: word(check.verdict),
        finding: &check.finding,
        change: check.change.as_deref(),
    }
}

/// One line for `explain`: would the packets arrive?
pub(super) fn line(diagnosis: &Diagnosis, target: &Target) -> String {
    let name = shown(target.display_name());
    let cause = diagnosis.cause().map(|cause| format!(" {}", shown(&cause.finding)));
    match diagnosis.arrives() {
        Verdict::Sound => {
            format!("By AWS's answers, packets would arrive at port {} of {name}.", target.port)
        }
        Verdict::Broken => format!(
            "By AWS's answers, packets would not arrive at port {} of {name}.{}",
            target.port,
            cause.unwrap_or_default()
        ),
        Verdict::Unknown => format!(
            "Whether packets would arrive at port {} of {name} cannot be told; `doctor` says what could not be checked.",
            target.port
        ),
    }
}

/// What is said below the sentence about a session that failed; nothing where that has said it all.
pub(crate) fn cause_told(
    diagnosis: &Diagnosis,
    class: FailureClass,
    target: &Target,
    login: &Login,
    bastion: Option<&ServerAddress>,
) -> Option<String> {
    let command = doctor_command(target, login, bastion);
    let looked = diagnosis.checks.iter().filter(|check| check.verdict != Verdict::Unknown);
    // What was seen is in the checklist too, and alone is no look.
    if looked.filter(|check| !is_what_was_seen(check.subject)).count() == 0 {
        return Some(format!(
            "drawbridge could not find out why; `{command}` shows what it could not check."
        ));
    }
    let said = match diagnosis.cause() {
        Some(cause) if says_what_the_sentence_says(cause.subject, class) => None,
        Some(cause) => Some(told_cause(cause)),
        None => match diagnosis.open().count() {
            0 => Some("AWS's answers name no cause.".to_owned()),
            open => {
                Some(format!("AWS's answers name no cause, and {} could not be made.", count(open, "check")))
            }
        },
    };
    let rest = format!("`{command}` shows the rest.");
    Some(said.map_or_else(|| rest.clone(), |said| format!("{said}\n{rest}")))
}

fn told_cause(cause: &Check) -> String {
    let change = cause.change.as_deref().map(|change| format!("\nWhat helps: {}", shown(change)));
    format!("The most likely cause: {}{}", shown(&cause.finding), change.unwrap_or_default())
}

fn is_what_was_seen(subject: Subject) -> bool {
    matches!(subject, Subject::Answer | Subject::HostKey | Subject::Push)
}

/// The sentences of these classes name their cause and what to do about it.
fn says_what_the_sentence_says(subject: Subject, class: FailureClass) -> bool {
    let clear =
        matches!(class, FailureClass::ConnectionRefused | FailureClass::NotSsh | FailureClass::NoBanner);
    clear && is_what_was_seen(subject)
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
