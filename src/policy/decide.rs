//! The decisions: Cedar's answer with our ids, limits and reasons.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cedar_policy::{Authorizer, Decision, Request};
use jiff::Timestamp;

use super::Policy;
use super::depth;
use super::facts::{FactsError, Scene, plain_action};
use super::permit::{Limits, Permit, Question, Refusal, RefusalReason, RuleId};
use super::rule::{Effect, Rule};
use crate::domain::{Action, ActionKind, Identity, Login, Target};

/// The login tried where no rule and no caller names one: does a rule allow whichever login?
const ANY_LOGIN: &str = "any-login";
/// The most commands, and the most subsystems, that are tried to find out whether any is allowed.
const PROBES_MAX: usize = 32;

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
        let tightest = |limit: fn(&Limits) -> Option<Duration>| {
            self.rules.iter().filter_map(|rule| limit(&rule.limits)).min()
        };
        Limits { max_session: tightest(|limits| limits.max_session), idle: tightest(|limits| limits.idle) }
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
        let verdict = self.verdict(question).map_err(|error| refusal_for(&error))?;
        if verdict.permits() {
            return Ok(Permit::grant(question, verdict.limits(), verdict.rule_ids()));
        }
        Err(verdict.into_refusal())
    }

    /// The logins that are permitted on a target, best first: those that permitting rules prefer
    /// (`@login`), in the policy's order; then `also`, such as the image family's default; then
    /// those that rules name in their conditions. A rule's preference counts only where that very
    /// rule permits. Without an action, any action will do.
    #[must_use]
    pub fn logins(
        &self,
        identity: &Arc<Identity>,
        target: &Arc<Target>,
        action: Option<&Action>,
        now: Timestamp,
        also: &[Login],
    ) -> Vec<Login> {
        let Ok(scene) = Scene::new(&self.vocabulary, identity, target) else { return Vec::new() };
        let actions = action.map_or_else(|| self.probes.clone(), |action| vec![action.clone()]);
        let preferred = self
            .permit_rules()
            .flat_map(|rule| rule.preferred_logins.iter().map(move |login| (login.clone(), Some(rule))));
        let also = also.iter().cloned().map(|login| (login, None));
        let named = self.named_logins().map(|login| (login, None));
        let mut permitted = Vec::new();
        for (login, because_of) in preferred.chain(also).chain(named) {
            if !permitted.contains(&login) && self.any_permits(&scene, &login, &actions, now, because_of) {
                permitted.push(login);
            }
        }
        permitted
    }

    /// Whether there is anything this identity may do on the target: any kind of action, as any of
    /// `logins`, of those that rules name, or of those no rule singles out.
    ///
    /// Made for lists and for early refusals. Conditions on commands are tried with the commands
    /// that rules name, so a rule about commands in more involved ways may be missed; whatever is
    /// then done is decided on its own by [`Policy::decide`].
    #[must_use]
    pub fn may_reach(
        &self,
        identity: &Arc<Identity>,
        target: &Arc<Target>,
        logins: &[Login],
        now: Timestamp,
    ) -> bool {
        if self.permit_rules().next().is_none() {
            return false;
        }
        let Ok(scene) = Scene::new(&self.vocabulary, identity, target) else { return false };
        let preferred = self.permit_rules().flat_map(|rule| rule.preferred_logins.iter().cloned());
        let whichever = Login::parse(ANY_LOGIN).ok();
        let candidates = logins.iter().cloned().chain(preferred).chain(self.named_logins()).chain(whichever);
        let mut tried = Vec::new();
        for login in candidates {
            if tried.contains(&login) {
                continue;
            }
            if self.any_permits(&scene, &login, &self.probes, now, None) {
                return true;
            }
            tried.push(login);
        }
        false
    }

    fn any_permits(
        &self,
        scene: &Scene<'_>,
        login: &Login,
        actions: &[Action],
        now: Timestamp,
        because_of: Option<&Rule>,
    ) -> bool {
        actions.iter().any(|action| {
            scene.request(login, action, now).is_ok_and(|request| {
                let verdict = self.ask(scene, &request);
                let decisive = |rule: &Rule| verdict.rules.iter().any(|decider| decider.id == rule.id);
                verdict.permits() && because_of.is_none_or(decisive)
            })
        })
    }

    pub(super) fn verdict(&self, question: &Question<'_>) -> Result<Verdict<'_>, FactsError> {
        let scene = Scene::new(&self.vocabulary, question.identity, question.target)?;
        let request = scene.request(question.login, question.action, question.now)?;
        Ok(self.ask(&scene, &request))
    }

    fn ask(&self, scene: &Scene<'_>, request: &Request) -> Verdict<'_> {
        let authorize = || Authorizer::new().is_authorized(request, &self.set, &scene.entities);
        let response = depth::with_room(self.levels, authorize);
        let diagnostics = response.diagnostics();
        let deciders: BTreeMap<usize, &Rule> = diagnostics
            .reason()
            .filter_map(|id| self.by_id.get(id))
            .filter_map(|index| self.rules.get(*index).map(|rule| (*index, rule)))
            .collect();
        Verdict {
            allowed: response.decision() == Decision::Allow,
            rules: deciders.into_values().collect(),
            errors: diagnostics.errors().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn permit_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.effect == Effect::Permit)
    }

    fn named_logins(&self) -> impl Iterator<Item = Login> {
        let names = self.permit_rules().flat_map(|rule| &rule.named.logins);
        names.filter_map(|name| Login::parse(name).ok())
    }
}

impl Verdict<'_> {
    fn into_refusal(self) -> Refusal {
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

/// The actions to try to find out whether any is allowed: one of each kind, and those that rules name.
pub(super) fn probes(rules: &[Rule]) -> Vec<Action> {
    let permits = || rules.iter().filter(|rule| rule.effect == Effect::Permit);
    let commands = permits().flat_map(|rule| &rule.named.commands).take(PROBES_MAX);
    let subsystems = permits().flat_map(|rule| &rule.named.subsystems).take(PROBES_MAX);
    let mut probes: Vec<Action> = ActionKind::ALL.into_iter().map(plain_action).collect();
    probes.extend(commands.map(|command| Action::Exec { command: command.clone() }));
    probes.extend(subsystems.map(|name| Action::Subsystem { name: name.clone() }));
    probes
}
