//! What atoms come to in a case: by comparison where that is enough, by Cedar where it is not.

use std::cell::RefCell;
use std::rc::Rc;

use cedar_policy::{Authorizer, Decision, PolicySet};
use jiff::Timestamp;

use super::atom::{Atom, Question};
use super::formula::Truth;
use super::probe::Probe;
use super::value::Case;
use crate::domain::{Destination, Identity, Login, Target};
use crate::policy::Policy;
use crate::policy::facts::{FactsError, Scene};

/// The login of questions that are about no login: permitted where rules permit whichever.
pub const ANY_LOGIN: &str = "any-login";

/// One person at one instant, who can be asked about any machine.
pub(super) struct Witness<'a> {
    policy: &'a Policy,
    identity: &'a Identity,
    now: Timestamp,
    /// The facts about the machine that Cedar was last asked about: they cost more than the question.
    stage: RefCell<Option<(&'a Target, Rc<Scene<'a>>)>>,
}

impl<'a> Witness<'a> {
    pub(super) fn new(policy: &'a Policy, identity: &'a Identity, now: Timestamp) -> Self {
        Self { policy, identity, now, stage: RefCell::new(None) }
    }

    /// What an atom comes to. What it does not read may be anything.
    pub(super) fn truth(
        &self,
        atom: &Atom,
        target: &'a Target,
        login: Option<&Login>,
        probe: &Probe,
    ) -> Truth {
        match &atom.question {
            Question::Compared(subject, check) => {
                let case = Case { identity: self.identity, target, login, probe };
                check.truth(subject.of(case), self.identity)
            }
            Question::Person { users, groups } => Truth::from(Atom::is_person(self.identity, users, groups)),
            Question::Cedar(rule) => self.ask(rule, target, login, probe).unwrap_or(Truth::Fails),
        }
    }

    fn ask(
        &self,
        rule: &PolicySet,
        target: &'a Target,
        login: Option<&Login>,
        probe: &Probe,
    ) -> Result<Truth, FactsError> {
        let scene = self.scene(target)?;
        let request = match probe {
            Probe::Act(action) => {
                let login = login.cloned().or_else(|| Login::parse(ANY_LOGIN).ok());
                scene.request(&login.ok_or_else(FactsError::no_login)?, action, self.now)?
            }
            Probe::Connect { host, port } => {
                let address = target.private_ip;
                let destination = Destination { host: host.clone(), address, port: *port, instance: None };
                scene.connect_request(&destination, self.now)?
            }
        };
        let response = Authorizer::new().is_authorized(&request, rule, &scene.entities);
        if response.diagnostics().errors().next().is_some() {
            return Ok(Truth::Fails);
        }
        Ok(Truth::from(response.decision() == Decision::Allow))
    }

    fn scene(&self, target: &'a Target) -> Result<Rc<Scene<'a>>, FactsError> {
        let mut stage = self.stage.borrow_mut();
        if let Some((on_stage, scene)) = &*stage
            && std::ptr::eq(*on_stage, target)
        {
            return Ok(Rc::clone(scene));
        }
        let scene = Rc::new(Scene::new(&self.policy.vocabulary, self.identity, target)?);
        *stage = Some((target, Rc::clone(&scene)));
        Ok(scene)
    }
}
