//! What a decision is asked and what it answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::domain::{Action, Identity, Login, RecordMode, Target};

/// The id of a rule: its `@id("…")` annotation, else the file's name and its place in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RuleId(pub String);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is asked: may this identity do this, there, as that login, at this instant?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub identity: &'a Arc<Identity>,
    /// The one machine it is about.
    pub target: &'a Arc<Target>,
    /// The OS user on it.
    pub login: &'a Login,
    /// What they want to do.
    pub action: &'a Action,
    /// The instant of asking.
    pub now: Timestamp,
}

/// Limits and duties that the permitting rules set; where several do, the tightest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// The longest a session may last (`@max_session`); in JSON `max_session_ms`.
    #[serde(rename = "max_session_ms", serialize_with = "milliseconds")]
    pub max_session: Option<Duration>,
    /// The longest a session may say nothing in either direction (`@idle`); in JSON `idle_ms`.
    #[serde(rename = "idle_ms", serialize_with = "milliseconds")]
    pub idle: Option<Duration>,
    /// Whether what is done is recorded (`@record`); where no rule says, the configuration does.
    pub record: Option<RecordMode>,
    /// Whether what is typed on a terminal is recorded as well (`@keyboard`); it holds passwords.
    pub keyboard: bool,
    /// Whether the first part of what a command says is kept (`@output`).
    pub keep_output: bool,
    /// Whether somebody who is watched is told so (`@watched`).
    pub tell_watched: bool,
}

impl Limits {
    /// What holds where both these and others do: the tighter of each.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let tighter = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, None) | (None, one) => one,
        };
        Self {
            max_session: tighter(self.max_session, other.max_session),
            idle: tighter(self.idle, other.idle),
            record: self.record.max(other.record),
            keyboard: self.keyboard || other.keyboard,
            keep_output: self.keep_output || other.keep_output,
            tell_watched: self.tell_watched || other.tell_watched,
        }
    }
}

#[expect(clippy::ref_option, reason = "serde hands a reference to the field")]
fn milliseconds<S: Serializer>(limit: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    limit.map(|limit| limit.as_millis()).serialize(serializer)
}

/// The sealed proof that policy allowed something, and which rule did. Only `policy` makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    identity: Arc<Identity>,
    target: Arc<Target>,
    login: Login,
    action: Action,
    limits: Limits,
    rules: Vec<RuleId>,
    decided_at: Timestamp,
}

impl Permit {
    pub(super) fn grant(question: &Question<'_>, limits: Limits, rules: Vec<RuleId>) -> Self {
        Self {
            identity: Arc::clone(question.identity),
            target: Arc::clone(question.target),
            login: question.login.clone(),
            action: question.action.clone(),
            limits,
            rules,
            decided_at: question.now,
        }
    }

    /// A permit that no policy granted, for tests of later stages.
    #[cfg(test)]
    pub(crate) fn dangerous_for_test(question: &Question<'_>) -> Self {
        Self {
            identity: Arc::clone(question.identity),
            target: Arc::clone(question.target),
            login: question.login.clone(),
            action: question.action.clone(),
            limits: Limits::default(),
            rules: vec![RuleId("test".to_owned())],
            decided_at: question.now,
        }
    }

    /// Who may.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The machine it is about; the very one that is dialled.
    #[must_use]
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The OS user on the target.
    #[must_use]
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// What is allowed.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
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

    /// When it was decided.
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        self.decided_at
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// No rule permits it (default deny).
    NoRulePermits,
    /// A `forbid` rule matched; it wins over every `permit`.
    Forbidden,
    /// A rule failed while it was evaluated; such a decision is a refusal.
    EvaluationFailed,
}

/// A decision against. Says nothing to the user by itself: "not for you" reads like "no such target".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// The `forbid` rules that decided, sorted; empty where none permitted.
    pub rules: Vec<RuleId>,
    /// What Cedar said while evaluating, for the operator.
    pub errors: Vec<String>,
}
