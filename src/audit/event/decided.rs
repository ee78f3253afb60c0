//! The events that permits, refusals and diagnoses are: what of a decision is on record is said here, once.

use std::time::Duration;

use super::Event;
use crate::audit::facts::{ActionFacts, DecisionOutcome, TargetFacts};
use crate::audit::text::Text;
use crate::diagnose::{Diagnosis, Verdict};
use crate::domain::{Destination, FailureClass, Identity, Login};
use crate::policy::{ConnectPermit, ConnectQuestion, Limits, Permit, Question, Refusal, RuleId};

impl Event {
    /// The event that a permit is.
    #[must_use]
    pub fn permitted(permit: &Permit) -> Self {
        let about = About {
            identity: permit.identity(),
            target: Some(permit.target().as_ref().into()),
            login: Some(permit.login().clone()),
            action: permit.action().into(),
        };
        about.permitted(permit.rules(), permit.limits())
    }

    /// The event that a refusal is.
    #[must_use]
    pub fn refused(question: &Question<'_>, refusal: &Refusal) -> Self {
        let about = About {
            identity: question.identity,
            target: Some(question.target.as_ref().into()),
            login: Some(question.login.clone()),
            action: question.action.into(),
        };
        about.refused(refusal)
    }

    /// The event that a permit to have the bastion connect is.
    #[must_use]
    pub fn connect_permitted(permit: &ConnectPermit) -> Self {
        About::connection(permit.identity(), permit.destination()).permitted(permit.rules(), permit.limits())
    }

    /// The event that a refusal to have the bastion connect is.
    #[must_use]
    pub fn connect_refused(question: &ConnectQuestion<'_>, refusal: &Refusal) -> Self {
        About::connection(question.identity, question.destination).refused(refusal)
    }

    /// The same event with the particulars of a decision's action as they came in, bytes that are not
    /// UTF-8 included.
    #[must_use]
    pub fn with_action(mut self, facts: ActionFacts) -> Self {
        if let Self::Decision { action, .. } = &mut self {
            *action = facts;
        }
        self
    }

    /// The event that a diagnosis is, which the permit's identity is told.
    #[must_use]
    pub fn diagnosed(
        permit: &Permit,
        class: Option<FailureClass>,
        diagnosis: &Diagnosis,
        duration: Duration,
    ) -> Self {
        let count = |verdict| diagnosis.checks.iter().filter(|check| check.verdict == verdict).count();
        let identity = permit.identity();
        Self::Diagnosed {
            user: identity.user.clone(),
            client_addr: identity.client_addr,
            target: permit.target().as_ref().into(),
            login: permit.login().clone(),
            class,
            cause: diagnosis.cause().map(|check| check.subject.label()),
            finding: diagnosis.cause().map(|check| Text::from(check.finding.as_str())),
            sound: count(Verdict::Sound),
            broken: count(Verdict::Broken),
            unknown: count(Verdict::Unknown),
            duration,
        }
    }
}

/// What a decision is about.
struct About<'a> {
    identity: &'a Identity,
    target: Option<TargetFacts>,
    login: Option<Login>,
    action: ActionFacts,
}

impl<'a> About<'a> {
    /// A connection by the bastion itself: to no login of a machine.
    fn connection(identity: &'a Identity, destination: &Destination) -> Self {
        let target = destination.instance.as_deref().map(TargetFacts::from);
        Self { identity, target, login: None, action: destination.into() }
    }

    fn permitted(self, rules: &[RuleId], limits: &Limits) -> Event {
        Event::Decision {
            outcome: DecisionOutcome::Permit,
            user: self.identity.user.clone(),
            client_addr: self.identity.client_addr,
            target: self.target,
            login: self.login,
            action: self.action,
            rules: rules.to_vec(),
            reason: None,
            errors: Vec::new(),
            limits: Some(Box::new(limits.into())),
        }
    }

    fn refused(self, refusal: &Refusal) -> Event {
        Event::Decision {
            outcome: DecisionOutcome::Refuse,
            user: self.identity.user.clone(),
            client_addr: self.identity.client_addr,
            target: self.target,
            login: self.login,
            action: self.action,
            rules: refusal.rules.clone(),
            reason: Some(refusal.reason),
            errors: errors_of(refusal),
            limits: None,
        }
    }
}

/// The most evaluation errors that one decision keeps.
const ERRORS_MAX: usize = 8;

fn errors_of(refusal: &Refusal) -> Vec<Text> {
    refusal.errors.iter().take(ERRORS_MAX).map(|error| Text::from(error.as_str())).collect()
}
