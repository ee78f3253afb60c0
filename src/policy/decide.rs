//! The decisions: Cedar's answer with our ids, limits and reasons.

use std::collections::BTreeMap;

use cedar_policy::{Authorizer, Decision, PolicySet, Request};

use super::Policy;
use super::depth;
use super::facts::{FactsError, Scene};
use super::permit::{Limits, Permit, Question, Refusal, RefusalReason, RuleId};
use super::rule::{Effect, Rule};

/// Cedar's answer.
#[derive(Debug)]
pub(super) struct Verdict<'p> {
    pub(super) allowed: bool,
    /// The rules that decided, in the policy's order.
    pub(super) rules: Vec<&'p Rule>,
    pub(super) errors: Vec<String>,
}

impl Verdict<'_> {
    /// Whether a permit may follow: an error in any rule, even one about others, is a refusal.
    pub(super) fn permits(&self) -> bool {
        self.allowed && self.errors.is_empty()
    }

    pub(super) fn rule_ids(&self) -> Vec<RuleId> {
        let mut ids: Vec<RuleId> = self.rules.iter().map(|rule| rule.id.clone()).collect();
        ids.sort();
        ids
    }

    /// The tightest limits of the deciding rules.
    pub(super) fn limits(&self) -> Limits {
        self.rules.iter().fold(Limits::default(), |limits, rule| limits.and(&rule.limits))
    }

    pub(super) fn refusal_reason(&self) -> RefusalReason {
        if !self.errors.is_empty() {
            RefusalReason::EvaluationFailed
        } else if self.rules.is_empty() {
            RefusalReason::NoRulePermits
        } else {
            RefusalReason::Forbidden
        }
    }
}

impl Policy {
    /// Decides: the only way to a [`Permit`].
    ///
    /// # Errors
    /// A [`Refusal`] when no rule permits, when a `forbid` rule matches, and when a rule fails to evaluate.
    pub fn decide(&self, question: &Question<'_>) -> Result<Permit, Refusal> {
        self.verdict(question).map_err(|error| refusal_for(&error))?.into_decision(question)
    }

    pub(super) fn verdict(&self, question: &Question<'_>) -> Result<Verdict<'_>, FactsError> {
        let scene = Scene::new(&self.vocabulary, question.identity, question.target)?;
        let request = scene.request(question.login, question.action, question.now)?;
        Ok(self.ask(&scene, &request))
    }

    pub(super) fn ask(&self, scene: &Scene<'_>, request: &Request) -> Verdict<'_> {
        self.ask_of(&self.set, scene, request)
    }

    /// Asks some of the rules.
    pub(super) fn ask_of(&self, set: &PolicySet, scene: &Scene<'_>, request: &Request) -> Verdict<'_> {
        let authorize = || Authorizer::new().is_authorized(request, set, &scene.entities);
        let response = depth::with_room(self.levels, authorize);
        let diagnostics = response.diagnostics();
        let deciders: BTreeMap<usize, &Rule> = diagnostics
            .reason()
            .filter_map(|id| self.by_id.get(id))
            .filter_map(|index| self.rules.get(*index).map(|rule| (*index, rule)))
            .collect();
        let mut errors: Vec<String> = diagnostics.errors().map(ToString::to_string).collect();
        errors.sort();
        Verdict {
            allowed: response.decision() == Decision::Allow,
            rules: deciders.into_values().collect(),
            errors,
        }
    }

    pub(super) fn permit_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.effect == Effect::Permit)
    }
}

impl Verdict<'_> {
    pub(super) fn into_decision(self, question: &Question<'_>) -> Result<Permit, Refusal> {
        if self.permits() {
            return Ok(Permit::grant(question, self.limits(), self.rule_ids()));
        }
        Err(self.into_refusal())
    }

    pub(super) fn into_refusal(self) -> Refusal {
        Refusal {
            reason: self.refusal_reason(),
            rules: if self.allowed { Vec::new() } else { self.rule_ids() },
            errors: self.errors,
        }
    }
}

pub(super) fn refusal_for(error: &FactsError) -> Refusal {
    Refusal { reason: RefusalReason::EvaluationFailed, rules: Vec::new(), errors: vec![error.to_string()] }
}
