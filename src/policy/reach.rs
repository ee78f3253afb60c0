//! What someone could do at all: the default login, lists, and early refusals.
//!
//! Cedar decides one login and one action at a time, so these are questions asked many times over.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{PolicyId, PolicySet};
use jiff::Timestamp;

use super::Policy;
use super::facts::{Scene, plain_action};
use super::rule::{Effect, Rule};
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
        let Some(mut inquiry) = Inquiry::new(self, identity, target, now) else { return Vec::new() };
        let rules = inquiry.permit_rules();
        let actions = action.map_or_else(|| probes(&rules), |action| vec![action.clone()]);
        let preferred = rules
            .iter()
            .flat_map(|rule| rule.preferred_logins.iter().map(move |login| (login.clone(), Some(*rule))));
        let also = also.iter().cloned().map(|login| (login, None));
        let named = named_logins(&rules).map(|login| (login, None));
        let mut permitted = Vec::new();
        for (login, because_of) in preferred.chain(also).chain(named) {
            if !permitted.contains(&login) && inquiry.any_permits(&login, &actions, because_of) {
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
        let Some(mut inquiry) = Inquiry::new(self, identity, target, now) else { return false };
        let rules = inquiry.permit_rules();
        if rules.is_empty() {
            return false;
        }
        let actions = probes(&rules);
        let preferred = rules.iter().flat_map(|rule| rule.preferred_logins.iter().cloned());
        let whichever = Login::parse(ANY_LOGIN).ok();
        let mut candidates =
            logins.iter().cloned().chain(preferred).chain(named_logins(&rules)).chain(whichever);
        candidates.any(|login| inquiry.any_permits(&login, &actions, None))
    }
}

/// One person and one machine, asked about again and again. No question is put to Cedar twice, and the
/// rules that are about other people are left out of it: they could not change an answer.
struct Inquiry<'p> {
    policy: &'p Policy,
    scene: Scene<'p>,
    now: Timestamp,
    rules: Vec<&'p Rule>,
    set: PolicySet,
    /// The deciding rules where login and action, by its place, are permitted.
    answers: HashMap<(Login, usize), Option<Vec<&'p Rule>>>,
}

impl<'p> Inquiry<'p> {
    /// Nothing when the facts cannot be put to Cedar.
    fn new(policy: &'p Policy, identity: &'p Identity, target: &Target, now: Timestamp) -> Option<Self> {
        let scene = Scene::new(&policy.vocabulary, identity, target).ok()?;
        let rules: Vec<&Rule> =
            policy.rules.iter().filter(|rule| scene.is_one_of(&rule.principals)).collect();
        let in_cedar = |rule: &&Rule| policy.set.policy(&PolicyId::new(&rule.id.0)).cloned();
        let set = PolicySet::from_policies(rules.iter().filter_map(in_cedar)).ok()?;
        Some(Self { policy, scene, now, rules, set, answers: HashMap::new() })
    }

    fn permit_rules(&self) -> Vec<&'p Rule> {
        self.rules.iter().copied().filter(|rule| rule.effect == Effect::Permit).collect()
    }

    /// `actions` are the same in every call.
    fn any_permits(&mut self, login: &Login, actions: &[Action], because_of: Option<&Rule>) -> bool {
        actions.iter().enumerate().any(|(place, action)| {
            let deciders = self.deciders(login, place, action);
            deciders.is_some_and(|rules| {
                because_of.is_none_or(|wanted| rules.iter().any(|rule| rule.id == wanted.id))
            })
        })
    }

    fn deciders(&mut self, login: &Login, place: usize, action: &Action) -> Option<&[&'p Rule]> {
        let Self { policy, scene, now, set, answers, .. } = self;
        let answer = answers.entry((login.clone(), place)).or_insert_with(|| {
            let request = scene.request(login, action, *now).ok()?;
            let verdict = policy.ask_of(set, scene, &request);
            verdict.permits().then_some(verdict.rules)
        });
        answer.as_deref()
    }
}

fn named_logins(rules: &[&Rule]) -> impl Iterator<Item = Login> {
    rules.iter().flat_map(|rule| &rule.named.logins).filter_map(|name| Login::parse(name).ok())
}

/// The actions to try to find out whether any is allowed: one of each kind, and those that rules name.
fn probes(rules: &[&Rule]) -> Vec<Action> {
    let commands = rules.iter().flat_map(|rule| &rule.named.commands).take(PROBES_MAX);
    let subsystems = rules.iter().flat_map(|rule| &rule.named.subsystems).take(PROBES_MAX);
    let mut probes: Vec<Action> = ActionKind::ALL.into_iter().filter_map(plain_action).collect();
    probes.extend(commands.map(|command| Action::Exec { command: command.clone() }));
    probes.extend(subsystems.map(|name| Action::Subsystem { name: name.clone() }));
    probes
}
