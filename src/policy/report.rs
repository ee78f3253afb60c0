//! What is said about a mistake in a policy: Cedar's words, the place, the offending text, a way out.

use miette::Diagnostic;

use super::parse::Source;
use super::rule::{Place, Rule};
use crate::problem::{Problem, position};

/// The longest stretch of a policy quoted in a problem, in characters.
const SNIPPET_MAX: usize = 80;

pub(super) fn same_complaint(first: &Problem, next: &Problem) -> bool {
    let place =
        |problem: &Problem| (problem.origin.clone(), problem.line, problem.column, problem.hint.clone());
    place(first) == place(next) && (first.message == next.message || first.hint.is_some())
}

pub(super) fn duplicate_id(rule: &Rule, first: &Place) -> Problem {
    at_place(&rule.place, format!("the rule id `{}` is already taken by the rule at {first}", rule.id))
        .with_hint("give each rule an @id of its own; the audit names rules by it")
}

pub(super) fn template_problem(source: &Source, template: &cedar_policy::Template) -> Problem {
    let text = template.to_cedar();
    let offset = source.text.find(&text).unwrap_or_default();
    let message = "this rule is a template: `?principal` and `?resource` have no value here";
    at(source, Problem::new(&source.name, message), offset)
        .with_hint("name the user, group or instance, such as principal in Group::\"eng\"")
}

/// What Cedar reports, with the offending text where its message does not quote it.
pub(super) fn problem_of(source: &Source, diagnostic: &dyn Diagnostic) -> Problem {
    let mut message = diagnostic.to_string();
    let label = diagnostic.labels().and_then(|mut labels| labels.next());
    let mut expected = None;
    let mut offset = None;
    if let Some(label) = label {
        offset = Some(label.offset());
        let snippet = snippet(labelled(&source.text, label.offset(), label.len()));
        if !snippet.is_empty() && !message.contains(&snippet) {
            message = format!("{message}: `{snippet}`");
        }
        expected = label.label().map(str::to_owned);
    }
    let problem = Problem::new(&source.name, message);
    let problem = match offset {
        Some(offset) => at(source, problem, offset),
        None => problem,
    };
    let help = diagnostic.help().map(|help| help.to_string());
    match only_for_some_actions(&problem.message).or(help).or(expected) {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    }
}

/// Attributes that the context has for one action only. Cedar would guess at a misspelling.
fn only_for_some_actions(message: &str) -> Option<String> {
    let (attribute, action) = [("command", "exec"), ("subsystem", "subsystem")]
        .into_iter()
        .find(|(attribute, _)| message.contains(&format!("attribute `{attribute}` in context")))?;
    Some(format!(
        "only the action `{action}` has it: write action == Action::\"{action}\", or context has {attribute} && …"
    ))
}

/// The text that a label marks; where it marks a point, the rest of that line.
fn labelled(text: &str, offset: usize, length: usize) -> &str {
    let rest = text.get(offset..).unwrap_or_default();
    if length == 0 { rest.lines().next().unwrap_or_default() } else { rest.get(..length).unwrap_or_default() }
}

fn snippet(text: &str) -> String {
    let first_line = text.trim().lines().next().unwrap_or_default();
    let short: String = first_line.chars().take(SNIPPET_MAX).collect();
    if short.len() < text.trim().len() { format!("{short} …") } else { short }
}

pub(super) fn at(source: &Source, problem: Problem, offset: usize) -> Problem {
    let (line, column) = position(&source.text, offset);
    problem.at_line(line).at_column(column)
}

pub(super) fn at_place(place: &Place, message: String) -> Problem {
    Problem::new(&place.file, message).at_line(place.line).at_column(place.column)
}
