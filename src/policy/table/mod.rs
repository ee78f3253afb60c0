//! A table of expected decisions: `drawbridge policy test FILE`.
//!
//! Every case has the same answer on every machine and every day: what a case leaves out is
//! filled in from the table's `[defaults]`, then from fixed values.

mod case;
mod raw;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use super::Policy;
use super::permit::{Refusal, RefusalReason, RuleId};
use crate::domain::UserName;
use crate::problem::{Problem, position};
use case::Case;
use raw::{Decision, RawTable};

/// How a table compares with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// How many cases the table has.
    pub cases: usize,
    /// The cases that are decided differently, with their lines.
    pub failures: Vec<Problem>,
    /// The rules that decided in no case, in the policy's order.
    pub untested: Vec<RuleId>,
}

impl TableReport {
    /// Whether every case is decided as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for TableReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failures.iter().try_for_each(|failure| writeln!(f, "{failure}"))?;
        if !self.untested.is_empty() {
            let ids: Vec<String> = self.untested.iter().map(ToString::to_string).collect();
            writeln!(f, "No case is decided by these rules: {}.", ids.join(", "))?;
        }
        match (self.failures.len(), self.cases) {
            (0, 1) => writeln!(f, "The only case is decided as expected."),
            (0, cases) => writeln!(f, "All {cases} cases are decided as expected."),
            (failed, cases) => writeln!(f, "Decided differently: {failed} of {cases}."),
        }
    }
}

/// Decides every case of a table. `name` stands for the table in problems; `groups_of` knows the
/// groups of users whose case does not give them.
///
/// # Errors
/// Every mistake in the table itself; a decision other than expected is no mistake of the table
/// but a failure in the report.
pub fn run_table(
    policy: &Policy,
    name: &Path,
    table_text: &str,
    groups_of: &dyn Fn(&UserName) -> Option<Vec<String>>,
) -> Result<TableReport, Vec<Problem>> {
    let table = RawTable::parse(name, table_text)?;
    let mut problems = Vec::new();
    let mut cases = Vec::new();
    for case in &table.case {
        let (line, _) = position(table_text, case.span().start);
        let filled = case.get_ref().clone().or(&table.defaults);
        match Case::new(policy, filled, groups_of) {
            Ok(case) => cases.push((line, case)),
            Err(complaints) => {
                problems
                    .extend(complaints.into_iter().map(|message| Problem::new(name, message).at_line(line)));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(run_cases(policy, name, &cases))
}

fn run_cases(policy: &Policy, name: &Path, cases: &[(usize, Case)]) -> TableReport {
    let mut failures = Vec::new();
    let mut tested = BTreeSet::new();
    for (line, case) in cases {
        let answer = Answer::of(case.decide(policy));
        if let Some(message) = case.compare(&answer) {
            failures.push(Problem::new(name, message).at_line(*line));
        }
        tested.extend(answer.rules);
    }
    let untested = policy.rules().iter().map(|rule| &rule.id).filter(|id| !tested.contains(id));
    TableReport { cases: cases.len(), failures, untested: untested.cloned().collect() }
}

/// What the policy answered.
struct Answer {
    decision: Decision,
    rules: Vec<RuleId>,
    text: String,
}

impl Answer {
    fn of(decided: Result<Vec<RuleId>, Refusal>) -> Self {
        match decided {
            Ok(rules) => {
                Self { decision: Decision::Permit, text: format!("{} permits", list(&rules)), rules }
            }
            Err(refusal) => {
                let text = match refusal.reason {
                    RefusalReason::NoRulePermits => "no rule permits it".to_owned(),
                    RefusalReason::Forbidden => format!("{} forbids", list(&refusal.rules)),
                    RefusalReason::EvaluationFailed => {
                        format!("a rule could not be evaluated: {}", refusal.errors.join("; "))
                    }
                };
                Self { decision: Decision::Refuse, rules: refusal.rules, text }
            }
        }
    }
}

fn list(rules: &[RuleId]) -> String {
    rules.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ")
}
