//! A diagnosis for people: the whole checklist, or one line.

use std::fmt::Write as _;
use std::sync::Arc;

use unicode_width::UnicodeWidthStr;

use super::super::text::{count, shown};
use super::Examined;
use crate::diagnose::{Diagnosis, Facts, Gap, GapReason, Subject, Verdict};
use crate::domain::{Login, Target};

/// The facts where not one came in time.
pub(super) fn nothing_known(target: &Arc<Target>) -> Facts {
    Facts::unknown(Arc::clone(target), &Gap::new("", GapReason::Timeout))
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
        line_to(&mut text, &format!("  {} {title:wide$}  {finding}", check.verdict.mark()));
    }
    let is_told = diagnosis.checks.iter().any(|check| check.subject == Subject::Answer);
    if let Some(tried) = tried.as_ref().filter(|_| !is_told) {
        let login = login.as_ref().map_or("", Login::as_str);
        line_to(&mut text, "\nThe bastion's own try");
        line_to(
            &mut text,
            &match tried {
                Ok(()) => {
                    format!("  {} Port {} answers, and speaks SSH.", Verdict::Sound.mark(), target.port)
                }
                Err(error) => {
                    format!("  {} {}", Verdict::Broken.mark(), capital(&error.sentence(target, login)))
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
