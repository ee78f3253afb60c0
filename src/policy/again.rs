//! Many questions at one instant: what is under way is asked about again when something has changed.
//!
//! Cedar looks at every rule for each question. Of a company's rules most are about other people, kinds of action, machines
//! or logins; where its scope or a plain comparison says so, such a rule can neither match nor fail, and each question
//! is put to the rules that are left. The answers are those of [`Policy::decide`] and [`Policy::decide_connect`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cedar_policy::{PolicyId, PolicySet};
use jiff::Timestamp;

use super::Policy;
use super::connect::{ConnectPermit, ConnectQuestion};
use super::decide::{Verdict, refusal_for};
use super::depth;
use super::facts::{FactsError, Scene};
use super::permit::{Permit, Question, Refusal};
use crate::domain::{Action, ActionKind, Destination, Identity, Login, Target};

/// A policy that is asked many questions at one instant.
pub struct Again<'p> {
    policy: &'p Policy,
    now: Timestamp,
    /// Rules, by the places of those that may have a say.
    sets: HashMap<Vec<usize>, Option<Arc<PolicySet>>>,
}

/// An answer, and whether the next instant may bring another.
#[derive(Debug)]
pub struct Answer<P> {
    /// The decision.
    pub decision: Result<P, Refusal>,
    /// A rule that may have a say reads the time.
    pub depends_on_time: bool,
}

/// The rules that may have a say.
struct Thin {
    set: Option<Arc<PolicySet>>,
    reads_time: bool,
}

impl Policy {
    /// Ready to be asked much at this instant.
    #[must_use]
    pub fn again(&self, now: Timestamp) -> Again<'_> {
        Again { policy: self, now, sets: HashMap::new() }
    }
}

impl Again<'_> {
    /// Decides as [`Policy::decide`] does.
    #[must_use]
    pub fn decide(
        &mut self,
        identity: &Arc<Identity>,
        target: &Arc<Target>,
        login: &Login,
        action: &Action,
    ) -> Answer<Permit> {
        let work = ActionKind::WORK.contains(&action.kind()).then_some((&**target, login, action));
        let thin = self.thin(identity, action.kind(), work);
        let question = Question { identity, target, login, action, now: self.now };
        let verdict = || -> Result<Verdict<'_>, FactsError> {
            let scene = Scene::new(&self.policy.vocabulary, identity, target)?;
            let request = scene.request(login, action, self.now)?;
            Ok(self.policy.ask_of(thin.of(self.policy), &scene, &request))
        };
        let decision = verdict()
            .map_err(|error| refusal_for(&error))
            .and_then(|verdict| verdict.into_decision(&question));
        Answer { decision, depends_on_time: thin.reads_time }
    }

    /// Decides as [`Policy::decide_connect`] does.
    #[must_use]
    pub fn decide_connect(
        &mut self,
        identity: &Arc<Identity>,
        destination: &Destination,
    ) -> Answer<ConnectPermit> {
        let thin = self.thin(identity, ActionKind::Connect, None);
        let question = ConnectQuestion { identity, destination, now: self.now };
        let verdict = || -> Result<Verdict<'_>, FactsError> {
            let scene = Scene::of_destination(&self.policy.vocabulary, identity, destination)?;
            let request = scene.connect_request(destination, self.now)?;
            Ok(self.policy.ask_of(thin.of(self.policy), &scene, &request))
        };
        let decision = verdict()
            .map_err(|error| refusal_for(&error))
            .and_then(|verdict| verdict.into_connect_decision(&question));
        Answer { decision, depends_on_time: thin.reads_time }
    }

    fn thin(
        &mut self,
        identity: &Identity,
        kind: ActionKind,
        work: Option<(&Target, &Login, &Action)>,
    ) -> Thin {
        let policy = self.policy;
        let about = depth::with_room(policy.levels, || policy.gists.about(identity, kind, work));
        let set =
            self.sets.entry(about.places).or_insert_with_key(|places| policy.some_of(places).map(Arc::new));
        Thin { set: set.clone(), reads_time: about.reads_time }
    }
}

impl Thin {
    /// Where the rules could not be taken out, all of them are asked.
    fn of<'a>(&'a self, policy: &'a Policy) -> &'a PolicySet {
        self.set.as_deref().unwrap_or(&policy.set)
    }
}

impl Policy {
    fn some_of(&self, places: &[usize]) -> Option<PolicySet> {
        let mut set = PolicySet::new();
        for place in places {
            let rule = self.rules.get(*place)?;
            set.add(self.set.policy(&PolicyId::new(&rule.id.0))?.clone()).ok()?;
        }
        Some(set)
    }
}

impl fmt::Debug for Again<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again")
            .field("now", &self.now)
            .field("sets", &self.sets.len())
            .finish_non_exhaustive()
    }
}
