//! May somebody read the record? The one decision that is about no machine.

use std::sync::Arc;

use jiff::Timestamp;

use super::Policy;
use super::decide::refusal_for;
use super::facts::Scene;
use super::permit::{Refusal, RuleId};
use crate::domain::Identity;

impl Policy {
    /// Decides whether this identity may read the record at this instant; the rules that permit it, sorted.
    ///
    /// # Errors
    /// As [`Policy::decide`].
    pub fn decide_audit(&self, identity: &Arc<Identity>, now: Timestamp) -> Result<Vec<RuleId>, Refusal> {
        let asked = || {
            let scene = Scene::of_record(&self.vocabulary, identity)?;
            let request = scene.audit_request(now)?;
            Ok((scene, request))
        };
        let (scene, request) = asked().map_err(|error| refusal_for(&error))?;
        let verdict = self.ask(&scene, &request);
        if verdict.permits() { Ok(verdict.rule_ids()) } else { Err(verdict.into_refusal()) }
    }
}
