//! What someone could do at all: the default login, lists, and early refusals.
//!
//! Cedar decides one login and one action on one machine at a time, and to ask it about ten thousand machines takes
//! seconds. So rules are taken apart when they are read: into the questions that they ask, and what each question
//! reads of the machine, the login and the action. A question is answered once for each combination of what it reads,
//! by a comparison where it is a common one and by Cedar where it is not, and machines that are alike to every rule are
//! looked at once.
//!
//! What always holds here: an answer is the one that [`Policy::decide`] and [`Policy::decide_connect`] would give for
//! the logins and actions that are tried. Nothing here makes a permit: whatever is then done is decided on its own.
//!
//! What is not here: decisions that anything rests on (`decide` and `connect`, which ask Cedar), why a decision is what it
//! is (`explain`), and who is asking.

mod atom;
mod check;
mod column;
mod formula;
mod gist;
mod holding;
mod probe;
mod survey;
#[cfg(test)]
mod tests;
mod value;
mod witness;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Policy;
use super::depth;
use super::rule::Rule;
use crate::domain::{Action, ActionKind, Identity, Login, Target};
pub(super) use gist::Gists;
use gist::Kinds;
use probe::Probe;
use survey::{Group, LoginClass, NOBODY, Survey};
pub use witness::ANY_LOGIN;

/// One machine that someone may reach, and what they may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The machine.
    pub target: Arc<Target>,
    /// The logins that are permitted there, best first: what [`Policy::logins`] answers for any action. Empty
    /// where rules allow logins that none of them names and the machine has no usual one, and where only
    /// `connect` is permitted, which is about no login.
    pub logins: Vec<Login>,
    /// The kinds of action that are permitted as some login, and `connect` where the bastion may connect to some
    /// port; in the order of [`ActionKind::WORK`], never empty.
    pub actions: Vec<ActionKind>,
}

impl Policy {
    /// What one person may reach of many machines, in their order: those for which [`Policy::may_reach`] says
    /// yes, given the login that is `usual` on each, such as the image family's default.
    #[must_use]
    pub fn listing(
        &self,
        identity: &Arc<Identity>,
        targets: &[Arc<Target>],
        now: Timestamp,
        usual: &dyn Fn(&Target) -> Option<Login>,
    ) -> Vec<Reach> {
        let list = || {
            let Some(first) = targets.first() else { return Vec::new() };
            let Some(mut list) = List::new(self, identity, first, now, None) else { return Vec::new() };
            let reach = |(place, target)| list.reach(place, target, usual(target));
            targets.iter().enumerate().filter_map(reach).collect()
        };
        depth::with_room(self.levels, list)
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
        let logins = || Some(List::new(self, identity, target, now, action)?.answer_of_one(target, also)?.0);
        depth::with_room(self.levels, logins).unwrap_or_default()
    }

    /// Whether there is anything this identity may do on the target: any kind of action, as any of
    /// `logins`, of those that rules name, or of those no rule singles out; or have the bastion connect to it.
    ///
    /// Made for lists and for early refusals. Conditions on commands, ports and other particulars are tried with
    /// those that rules name, so a rule about them in more involved ways may be missed; whatever is
    /// then done is decided on its own by [`Policy::decide`].
    #[must_use]
    pub fn may_reach(
        &self,
        identity: &Arc<Identity>,
        target: &Arc<Target>,
        logins: &[Login],
        now: Timestamp,
    ) -> bool {
        let kinds = || Some(List::new(self, identity, target, now, None)?.answer_of_one(target, logins)?.1);
        depth::with_room(self.levels, kinds).is_some_and(|kinds| !kinds.is_empty())
    }
}

/// A list in the making.
struct List<'a> {
    survey: Survey<'a>,
    groups: HashMap<survey::Signature, usize>,
    members: Vec<Group<'a>>,
    /// Logins that rules prefer, with the rule, and those that rules name.
    preferred: Vec<(Candidate, usize)>,
    named: Vec<Candidate>,
    whichever: Option<LoginClass>,
    /// The usual logins that were met.
    usual: HashMap<Login, usize>,
    /// The answer for a group and its usual login, by its number.
    answers: HashMap<(usize, Option<usize>), Option<Answer>>,
}

/// The permitted logins, and what is permitted as some login or as nobody.
type Answer = (Vec<Login>, Vec<ActionKind>);

struct Candidate {
    login: Login,
    class: LoginClass,
}

impl<'a> List<'a> {
    fn new(
        policy: &'a Policy,
        identity: &'a Identity,
        any_target: &'a Target,
        now: Timestamp,
        action: Option<&Action>,
    ) -> Option<Self> {
        let asked = action.map(|action| Probe::Act(action.clone())).into_iter().collect();
        let mut survey = Survey::new(policy, identity, now, any_target, asked)?;
        let rules: Vec<(usize, &Rule)> = survey.permit_rules().collect();
        let preferred = rules
            .iter()
            .flat_map(|(place, rule)| rule.preferred_logins.iter().map(move |login| (login.clone(), *place)))
            .map(|(login, place)| (Candidate::of(&mut survey, login), place))
            .collect();
        let mut named: Vec<Candidate> = Vec::new();
        for login in
            rules.iter().flat_map(|(_, rule)| &rule.named.logins).filter_map(|name| Login::parse(name).ok())
        {
            if named.iter().all(|known| known.login != login) {
                named.push(Candidate::of(&mut survey, login));
            }
        }
        let whichever = Login::parse(ANY_LOGIN).ok().map(|login| survey.login_class(Some(&login)));
        Some(Self {
            survey,
            groups: HashMap::new(),
            members: Vec::new(),
            preferred,
            named,
            whichever,
            usual: HashMap::new(),
            answers: HashMap::new(),
        })
    }

    fn reach(&mut self, place: usize, target: &'a Arc<Target>, usual: Option<Login>) -> Option<Reach> {
        let group = self.group(place, target);
        let known = self.usual.len();
        let number = usual.clone().map(|login| *self.usual.entry(login).or_insert(known));
        if !self.answers.contains_key(&(group, number)) {
            let also: Vec<Login> = usual.into_iter().collect();
            let answer = self.answer(group, &also).filter(|(_, kinds)| !kinds.is_empty());
            self.answers.insert((group, number), answer.map(|(logins, kinds)| (logins, kinds.list())));
        }
        let (logins, actions) = self.answers.get(&(group, number))?.clone()?;
        Some(Reach { target: Arc::clone(target), logins, actions })
    }

    fn group(&mut self, place: usize, target: &'a Target) -> usize {
        let signature = self.survey.signature(target, place);
        let Self { survey, groups, members, .. } = self;
        *groups.entry(signature).or_insert_with_key(|signature| {
            members.push(survey.group(target, signature.clone()));
            members.len() - 1
        })
    }

    fn answer_of_one(&mut self, target: &'a Target, also: &[Login]) -> Option<(Vec<Login>, Kinds)> {
        let group = self.group(0, target);
        self.answer(group, also)
    }

    fn answer(&mut self, group: usize, also: &[Login]) -> Option<(Vec<Login>, Kinds)> {
        let Self { survey, members, preferred, named, whichever, .. } = self;
        let also: Vec<Candidate> = also.iter().map(|login| Candidate::of(survey, login.clone())).collect();
        let group = members.get_mut(group)?;
        let mut kinds = survey.allowed(group, NOBODY)?.kinds;
        if let Some(whichever) = whichever {
            kinds = kinds.with(survey.allowed(group, *whichever)?.kinds);
        }
        let preferred = preferred.iter().map(|(candidate, rule)| (candidate, Some(*rule)));
        let others = also.iter().chain(named.iter()).map(|candidate| (candidate, None));
        let mut permitted = Vec::new();
        for (candidate, because_of) in preferred.chain(others) {
            let allowed = survey.allowed(group, candidate.class)?;
            kinds = kinds.with(allowed.kinds);
            let counts = because_of.is_none_or(|rule| allowed.deciders.contains(rule));
            if counts && !allowed.kinds.is_empty() && !permitted.contains(&candidate.login) {
                permitted.push(candidate.login.clone());
            }
        }
        Some((permitted, kinds))
    }
}

impl Candidate {
    fn of(survey: &mut Survey<'_>, login: Login) -> Self {
        Self { class: survey.login_class(Some(&login)), login }
    }
}
