//! (Identity, Target, Login, Action, now) → [`Permit`] | [`Refusal`]. Pure once loaded: no IO, no clock.
//!
//! What always holds here: a [`Permit`] is made only by a decision, and carries exactly the
//! machine that was decided about, so that nothing later can re-resolve another one. What no rule
//! permits is refused, a `forbid` rule wins, and a rule that fails to evaluate refuses everything.
//! A [`Policy`] never changes: a reload makes another one, whole, or none at all.
//!
//! What it deliberately does not do: resolve names, know users beyond the identity it is given,
//! or say anything to the person who is refused.

mod again;
mod annotation;
mod connect;
mod decide;
mod depth;
mod excluded;
mod explain;
mod facts;
mod lexer;
mod named;
mod oversight;
mod parse;
mod permit;
mod reach;
mod report;
mod rule;
mod scope;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;

use cedar_policy::{EntityUid, PolicyId, PolicySet};

pub use again::Again;
pub use connect::{ConnectPermit, ConnectQuestion, parse_endpoint};
pub use explain::{Explained, Explanation, Miss, NearMiss, Outcome};
pub use facts::SCHEMA_TEXT;
pub use permit::{Limits, Permit, Question, Refusal, RefusalReason, RuleId};
pub use reach::{ANY_LOGIN, Reach};
pub use rule::{Effect, Place, Rule};
pub use scope::PolicyLogins;
pub use table::{TableReport, run_table};

use crate::problem::Problem;
use facts::Vocabulary;
use parse::Source;
use reach::Gists;

/// The rules in force: parsed, validated, immutable. Swapped whole on reload.
pub struct Policy {
    vocabulary: Vocabulary,
    set: PolicySet,
    rules: Vec<Rule>,
    by_id: HashMap<PolicyId, usize>,
    levels: usize,
    gists: Gists,
    warnings: Vec<Problem>,
}

impl Policy {
    /// Reads policy files; together they are one policy. Without files, everything is refused.
    ///
    /// # Errors
    /// Every mistake in every file.
    pub fn load(files: &[PathBuf]) -> Result<Self, Vec<Problem>> {
        Self::from_sources(&parse::read(files)?)
    }

    /// Reads a policy from a text; `name` stands for the file in problems and rule ids.
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn from_text(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        Self::from_sources(&[Source { name: PathBuf::from(name), text: text.to_owned() }])
    }

    fn from_sources(sources: &[Source]) -> Result<Self, Vec<Problem>> {
        let vocabulary = Vocabulary::embedded()
            .map_err(|error| vec![Problem::new("schema.cedarschema", error.to_string())])?;
        let parsed = parse::parse(&vocabulary, sources)?;
        let index = |(index, rule): (usize, &Rule)| (PolicyId::new(&rule.id.0), index);
        let gists = || Gists::of(&vocabulary, &parsed.set, &parsed.rules);
        Ok(Self {
            gists: depth::with_room(parsed.levels, gists),
            by_id: parsed.rules.iter().enumerate().map(index).collect(),
            vocabulary,
            set: parsed.set,
            rules: parsed.rules,
            levels: parsed.levels,
            warnings: parsed.warnings,
        })
    }

    /// The rules, in the order they are written.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What is allowed but probably not meant, such as a rule that can never match.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The groups that rules name, each with the first rule that does. Cedar cannot know which
    /// groups exist, so whoever has the users file looks for misspelt ones here.
    #[must_use]
    pub fn named_groups(&self) -> BTreeMap<String, &Rule> {
        self.named(|entity| self.vocabulary.is_group(entity))
    }

    /// The users that rules name, each with the first rule that does; see [`Self::named_groups`].
    #[must_use]
    pub fn named_users(&self) -> BTreeMap<String, &Rule> {
        self.named(|entity| self.vocabulary.is_user(entity))
    }

    fn named(&self, wanted: impl Fn(&EntityUid) -> bool) -> BTreeMap<String, &Rule> {
        let mut names = BTreeMap::new();
        for rule in &self.rules {
            let policy = self.set.policy(&PolicyId::new(&rule.id.0));
            let entities = || policy.map(cedar_policy::Policy::entity_literals).unwrap_or_default();
            for entity in depth::with_room(self.levels, entities) {
                if wanted(&entity) {
                    names.entry(entity.id().unescaped().to_owned()).or_insert(rule);
                }
            }
        }
        names
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}
