//! May the bastion itself connect there? The decision about `ssh -L`, `-D` and `-W` without a session.

use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityUid, PolicyId};
use jiff::Timestamp;

use super::Policy;
use super::decide::{Verdict, refusal_for};
use super::facts::{FactsError, Scene};
use super::permit::{Limits, Refusal, RuleId};
use super::rule::{Effect, Rule};
use crate::domain::{ActionKind, Destination, Identity};

/// What is asked: may this identity have the bastion connect there, at this instant?
#[derive(Debug, Clone, Copy)]
pub struct ConnectQuestion<'a> {
    /// Who asks.
    pub identity: &'a Arc<Identity>,
    /// The one address and port it is about.
    pub destination: &'a Destination,
    /// The instant of asking.
    pub now: Timestamp,
}

/// The sealed proof that policy allowed the bastion to connect somewhere. Only `policy` makes one.
#[derive(Debug, Clone)]
pub struct ConnectPermit {
    identity: Arc<Identity>,
    destination: Destination,
    limits: Limits,
    rules: Vec<RuleId>,
}

impl ConnectPermit {
    /// Who may.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The very address and port that is dialled.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The limits the rules set.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The rules that permitted it, sorted.
    #[must_use]
    pub fn rules(&self) -> &[RuleId] {
        &self.rules
    }
}

impl Policy {
    /// Decides: the only way to a [`ConnectPermit`].
    ///
    /// What is never reachable, whatever a policy says, is not this room's to know: whoever dials refuses it.
    ///
    /// # Errors
    /// As [`Policy::decide`].
    pub fn decide_connect(&self, question: &ConnectQuestion<'_>) -> Result<ConnectPermit, Refusal> {
        let verdict = self.connect_verdict(question).map_err(|error| refusal_for(&error))?;
        if !verdict.permits() {
            return Err(verdict.into_refusal());
        }
        Ok(ConnectPermit {
            identity: Arc::clone(question.identity),
            destination: question.destination.clone(),
            limits: verdict.limits(),
            rules: verdict.rule_ids(),
        })
    }

    /// Whether some permit rule is about this identity and about connecting, wherever to: who has none need not
    /// be asked about, and no name is looked up for them.
    #[must_use]
    pub fn may_connect(&self, identity: &Arc<Identity>) -> bool {
        let nowhere = Destination {
            host: String::new(),
            address: std::net::Ipv4Addr::UNSPECIFIED.into(),
            port: 0,
            instance: None,
        };
        let Ok(scene) = Scene::of_destination(&self.vocabulary, identity, &nowhere) else { return false };
        self.rules.iter().any(|rule| {
            rule.effect == Effect::Permit && scene.is_one_of(&rule.principals) && self.is_about_connect(rule)
        })
    }

    fn is_about_connect(&self, rule: &Rule) -> bool {
        let is_connect = |action: &EntityUid| action.id().unescaped() == ActionKind::Connect.name();
        match self.set.policy(&PolicyId::new(&rule.id.0)).map(|policy| policy.action_constraint()) {
            Some(ActionConstraint::Any) => true,
            Some(ActionConstraint::Eq(action)) => is_connect(&action),
            Some(ActionConstraint::In(actions)) => actions.iter().any(is_connect),
            None => false,
        }
    }

    pub(super) fn connect_verdict(&self, question: &ConnectQuestion<'_>) -> Result<Verdict<'_>, FactsError> {
        let scene = Scene::of_destination(&self.vocabulary, question.identity, question.destination)?;
        let request = scene.connect_request(question.destination, question.now)?;
        Ok(self.ask(&scene, &request))
    }
}
