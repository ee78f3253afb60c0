//! What someone could do at all: the default login, lists, and early refusals.
//!
//! Cedar decides one login and one action at a time, so these are questions asked many times over.

use std::sync::Arc;

use jiff::Timestamp;

use super::Policy;
use super::facts::{Scene, plain_action};
use super::rule::Rule;
use crate::domain::{Action, ActionKind, Identity, Login, Target};

/// The login tried where no rule and no caller names one: does a rule allow whichever login?
const ANY_LOGIN: &str = "any-login";
/// The most commands, and the most subsystems, that are tried to find out whether any is allowed.
const PROBES_MAX: usize = 32;

impl Policy {
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
        let rules = self.permit_rules_about(&scene);
        let actions = action.map_or_else(|| probes(&rules), |action| vec![action.clone()]);
        let preferred = rules
            .iter()
            .flat_map(|rule| rule.preferred_logins.iter().map(move |login| (login.clone(), Some(*rule))));
        let also = also.iter().cloned().map(|login| (login, None));
        let named = named_logins(&rules).map(|login| (login, None));
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
        let Ok(scene) = Scene::new(&self.vocabulary, identity, target) else { return false };
        let rules = self.permit_rules_about(&scene);
        if rules.is_empty() {
            return false;
        }
        let actions = probes(&rules);
        let preferred = rules.iter().flat_map(|rule| rule.preferred_logins.iter().cloned());
        let whichever = Login::parse(ANY_LOGIN).ok();
        let candidates = logins.iter().cloned().chain(preferred).chain(named_logins(&rules)).chain(whichever);
        let mut tried = Vec::new();
        for login in candidates {
            if tried.contains(&login) {
                continue;
            }
            if self.any_permits(&scene, &login, &actions, now, None) {
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

    /// The permit rules whose scope takes in the person: the others need not be tried.
    fn permit_rules_about(&self, scene: &Scene<'_>) -> Vec<&Rule> {
        self.permit_rules().filter(|rule| scene.is_one_of(&rule.principals)).collect()
    }
}

fn named_logins(rules: &[&Rule]) -> impl Iterator<Item = Login> {
    rules.iter().flat_map(|rule| &rule.named.logins).filter_map(|name| Login::parse(name).ok())
}

/// The actions to try to find out whether any is allowed: one of each kind, and those that rules name.
fn probes(rules: &[&Rule]) -> Vec<Action> {
    let commands = rules.iter().flat_map(|rule| &rule.named.commands).take(PROBES_MAX);
    let subsystems = rules.iter().flat_map(|rule| &rule.named.subsystems).take(PROBES_MAX);
    let mut probes: Vec<Action> = ActionKind::ALL.into_iter().map(plain_action).collect();
    probes.extend(commands.map(|command| Action::Exec { command: command.clone() }));
    probes.extend(subsystems.map(|name| Action::Subsystem { name: name.clone() }));
    probes
}
