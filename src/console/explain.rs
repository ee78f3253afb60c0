//! `explain`: may you, by which rule, and if not, what is missing?

use std::fmt::Write as _;
use std::sync::Arc;

use super::Desk;
use super::answer::{Answer, Verdict};
use super::args::{ExplainArgs, senseless};
use super::doctor;
use super::find::find;
use super::listing::listing;
use super::text::shown;
use crate::domain::{Action, Login, RecordMode, Target};
use crate::policy::{Explanation, Limits, Outcome, Question, RefusalReason, Rule};
use crate::target::default_login;

pub(super) async fn answer(desk: &Desk, args: &ExplainArgs) -> Answer {
    let action = match args.action() {
        Ok(action) => action,
        Err(sentence) => return senseless(sentence),
    };
    let found = find(&desk.inventory, &desk.policy, &desk.identity, &args.target, desk.now).await;
    let target = match found.target(&args.target) {
        Ok(target) => target,
        Err(sentence) => return Answer::no(&sentence),
    };
    let Some(login) = args.login.clone().or_else(|| best_login(desk, &target, &action)) else {
        return senseless("policy names no login for you there; say which one with --login.");
    };
    let question =
        Question { identity: &desk.identity, target: &target, login: &login, action: &action, now: desk.now };
    let explanation = desk.policy.explain(&question);
    let mut text = headline(&explanation, &target, &login, &action);
    match explanation.outcome {
        Outcome::Permitted { limits } => {
            permitted(&mut text, &explanation, &limits);
            if let Some(told) = doctor::line_about(desk, &target, &login).await {
                line(&mut text, &told);
            }
        }
        Outcome::Refused { reason } => refused(&mut text, &explanation, reason, desk, &target),
    }
    let answer = Answer::text(text);
    match explanation.outcome {
        Outcome::Permitted { .. } => answer,
        Outcome::Refused { .. } => Answer { verdict: Verdict::No, ..answer },
    }
}

/// The login that would be taken, preferring one with which the action is permitted.
pub(super) fn best_login(desk: &Desk, target: &Arc<Target>, action: &Action) -> Option<Login> {
    let usual: Vec<Login> = default_login(target).into_iter().collect();
    let permitted = |action| desk.policy.logins(&desk.identity, target, action, desk.now, &usual);
    let first = permitted(Some(action)).into_iter().next();
    first.or_else(|| permitted(None).into_iter().next()).or_else(|| usual.into_iter().next())
}

fn headline(explanation: &Explanation, target: &Target, login: &Login, action: &Action) -> String {
    let verdict = match explanation.outcome {
        Outcome::Permitted { .. } => "You may",
        Outcome::Refused { .. } => "You may not",
    };
    let Target { id, account_alias, region, .. } = target;
    let place =
        format!("{} ({id}, {}, {})", shown(target.display_name()), shown(account_alias), shown(region));
    format!("{verdict}: {} on {place} as {login}.\n", named(action))
}

/// The action with its particulars.
fn named(action: &Action) -> String {
    let kind = action.kind();
    match action {
        Action::Exec { command } => format!("{kind} `{}`", shown(command)),
        Action::Subsystem { name } => format!("{kind} `{}`", shown(name)),
        Action::LocalForward { host, port } | Action::RemoteForward { host, port } => {
            format!("{kind} `{}:{port}`", shown(host))
        }
        Action::LocalSocket { path } | Action::RemoteSocket { path } => format!("{kind} `{}`", shown(path)),
        Action::Shell
        | Action::Sftp
        | Action::Tunnel
        | Action::Agent
        | Action::X11
        | Action::Watch
        | Action::Kill
        | Action::Diagnose => kind.to_string(),
    }
}

/// A rule as people may know it: its id and what it is for, and not how it is written.
fn rule_line(rule: &Rule) -> String {
    let description = rule.description.as_deref().map(|text| format!(": {}", shown(text)));
    format!("{}{}", shown(&rule.id.0), description.unwrap_or_default())
}

fn permitted(text: &mut String, explanation: &Explanation, limits: &Limits) {
    for rule in &explanation.rules {
        line(text, &format!("  permitted by {}", rule_line(rule)));
    }
    for (limit, what) in [(limits.max_session, "at most"), (limits.idle, "idle for at most")] {
        if let Some(limit) = limit.and_then(|limit| jiff::SignedDuration::try_from(limit).ok()) {
            line(text, &format!("  {what} {limit:#}"));
        }
    }
    match limits.record {
        Some(RecordMode::Required) => line(text, "  what is done is recorded"),
        Some(RecordMode::BestEffort) => line(text, "  what is done is recorded where that is possible"),
        Some(RecordMode::Off) => line(text, "  what is done is not recorded"),
        None => {}
    }
    if limits.keyboard {
        line(text, "  what is typed is recorded as well, passwords included");
    }
}

fn refused(
    text: &mut String,
    explanation: &Explanation,
    reason: RefusalReason,
    desk: &Desk,
    target: &Arc<Target>,
) {
    match reason {
        RefusalReason::Forbidden => {
            for rule in &explanation.rules {
                line(text, &format!("  forbidden by {}", rule_line(rule)));
            }
            line(text, "A rule that forbids wins over every rule that permits.");
        }
        RefusalReason::EvaluationFailed => {
            line(
                text,
                "A rule could not be evaluated, so nothing is permitted; please tell your drawbridge operator.",
            );
        }
        RefusalReason::NoRulePermits if explanation.near_misses.is_empty() => {
            line(text, "No rule that permits anything is about you.");
        }
        RefusalReason::NoRulePermits => {
            line(text, "No rule permits it. These rules are about you, and this keeps them from it:");
            for near in &explanation.near_misses {
                line(text, &format!("  {}", rule_line(&near.rule)));
                for miss in &near.misses {
                    line(text, &format!("    {}", shown(&miss.to_string().replace('\n', " "))));
                }
            }
        }
    }
    for reach in listing(&desk.policy, &desk.identity, std::slice::from_ref(target), desk.now) {
        let names = |items: Vec<String>| items.join(", ");
        let logins = names(reach.logins.iter().map(ToString::to_string).collect());
        let actions = names(reach.actions.iter().map(ToString::to_string).collect());
        if !(logins.is_empty() || actions.is_empty()) {
            line(text, &format!("What you may do there: {actions}; as {logins}."));
        }
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ask, target};
    use super::*;

    const POLICY: &str = r#"
@id("eng-dev") @description("Engineers work on development machines.") @max_session("8h") @idle("15m")
permit(principal in Group::"eng", action in [Action::"shell", Action::"exec"], resource)
when { resource.hasTag("env") && resource.getTag("env") == "dev" && context.login == "ec2-user" };

@id("ops")
permit(principal in Group::"ops", action, resource);

@id("no-sudo") @description("Nobody becomes root.")
forbid(principal, action == Action::"exec", resource) when { context.command like "sudo *" };
"#;

    fn fleet() -> Vec<Target> {
        let mut web = target("web-1", 1);
        web.tags.insert("env".to_owned(), "dev".to_owned());
        vec![web, target("db-1", 2), target("twin", 3), target("twin", 4)]
    }

    async fn explained(line: &str) -> String {
        let (code, out, err) = ask(POLICY, fleet(), line).await;
        format!("{code}\n{out}{err}")
    }

    #[tokio::test]
    async fn allowed_by_which_rule() {
        insta::assert_snapshot!(explained("explain web-1").await);
    }

    #[tokio::test]
    async fn refused_and_what_is_missing() {
        insta::assert_snapshot!(explained("explain web-1 --action sftp").await);
        insta::assert_snapshot!(explained("explain web-1 --login root").await);
    }

    #[tokio::test]
    async fn forbidden_by_which_rule() {
        insta::assert_snapshot!(explained("explain web-1 --command 'sudo \u{1b}[2J'").await);
    }

    #[tokio::test]
    async fn unknown_and_not_yours_read_the_same() {
        let unknown = explained("explain no-1").await.replace("no-1", "X");
        assert_eq!(explained("explain db-1").await.replace("db-1", "X"), unknown);
        assert_eq!(explained("explain twin").await.replace("twin", "X"), unknown);
        assert_eq!(explained("explain 'a b'").await.replace("a b", "X"), unknown);
        assert!(unknown.starts_with("1\ndrawbridge: there is no target \"X\""), "{unknown}");
    }

    #[tokio::test]
    async fn several_are_told_apart() {
        let (code, out, err) = ask("permit(principal, action, resource);", fleet(), "explain twin").await;
        assert_eq!((code, out.as_str()), (1, ""));
        insta::assert_snapshot!(err);
    }
}
