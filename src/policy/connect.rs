//! May the bastion itself connect there? The decision about `ssh -L`, `-D` and `-W` without a session.

use std::sync::Arc;

use jiff::Timestamp;

use super::Policy;
use super::decide::{Verdict, refusal_for};
use super::facts::{FactsError, Scene};
use super::permit::{Limits, Refusal, RuleId};
use crate::domain::{ActionKind, Destination, Identity};

/// Reads `HOST:PORT`, with an IPv6 address in brackets; the host may be empty, and the port 0.
#[must_use]
pub fn parse_endpoint(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let plain = (!host.contains([':', '[', ']'])).then_some(host);
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { port.parse().ok()? } else { return None };
    Some((bracketed.or(plain)?.to_owned(), port))
}

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
    decided_at: Timestamp,
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

    /// When it was decided.
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        self.decided_at
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
        self.connect_verdict(question).map_err(|error| refusal_for(&error))?.into_connect_decision(question)
    }

    /// Whether some permit rule is about this identity and about connecting, wherever to: who has none need not
    /// be asked about, and no name is looked up for them.
    #[must_use]
    pub fn may_connect(&self, identity: &Arc<Identity>) -> bool {
        self.gists.may_permit(identity, ActionKind::Connect)
    }

    pub(super) fn connect_verdict(&self, question: &ConnectQuestion<'_>) -> Result<Verdict<'_>, FactsError> {
        let scene = Scene::of_destination(&self.vocabulary, question.identity, question.destination)?;
        let request = scene.connect_request(question.destination, question.now)?;
        Ok(self.ask(&scene, &request))
    }
}

impl Verdict<'_> {
    pub(super) fn into_connect_decision(
        self,
        question: &ConnectQuestion<'_>,
    ) -> Result<ConnectPermit, Refusal> {
        if !self.permits() {
            return Err(self.into_refusal());
        }
        Ok(ConnectPermit {
            identity: Arc::clone(question.identity),
            destination: question.destination.clone(),
            limits: self.limits(),
            rules: self.rule_ids(),
            decided_at: question.now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_a_host_and_a_port() {
        let read = |text: &str| parse_endpoint(text).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(read("localhost:5432").as_deref(), Some("localhost 5432"));
        assert_eq!(read(":0").as_deref(), Some(" 0"));
        assert_eq!(read("[fd00::7]:443").as_deref(), Some("fd00::7 443"));
        for wrong in
            ["", "localhost", "localhost:", "localhost:+1", "localhost:65536", "fd00::7:443", "[fd00::7:443"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
