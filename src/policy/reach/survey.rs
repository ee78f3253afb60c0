//! One person at one instant: what is tried, which rules matter, and what they come to on a machine.
//!
//! Logins that no rule tells apart are one class, and so are probes; a class is tried once.

use std::borrow::Cow;
use std::cell::{Cell as Flag, OnceCell};
use std::collections::HashMap;

use jiff::Timestamp;

pub(super) use super::column::Signature;
use super::column::{Cell, Columns};
use super::formula::{AtomId, Truth};
use super::gist::{Gist, Kinds};
use super::holding::{Allowed, Holding, RuleSet};
use super::probe::{Probe, probes};
use super::witness::Witness;
use crate::domain::{Action, Identity, Login, Target};
use crate::policy::Policy;
use crate::policy::facts;
use crate::policy::rule::{Effect, Rule};

/// The place of a class of logins.
pub(super) type LoginClass = usize;
/// The class of nobody: `connect` is about no login.
pub(super) const NOBODY: LoginClass = 0;

pub(super) struct Survey<'a> {
    policy: &'a Policy,
    witness: Witness<'a>,
    /// The rules about the person; sets of rules are by place in this list.
    rules: Vec<&'a Gist>,
    sources: Vec<Source>,
    columns: Columns<'a>,
    login_atoms: Vec<AtomId>,
    action_atoms: Vec<AtomId>,
    /// Whether an atom reads the login, or the action, and something else with it.
    login_mixed: bool,
    action_mixed: bool,
    logins: Vec<LoginKind>,
    login_classes: HashMap<(bool, Vec<Truth>, Option<Login>), LoginClass>,
    probes: Vec<ProbeKind>,
    /// Some machine, for atoms that read none.
    any_target: &'a Target,
    /// Something to do, for atoms that do not read what: as some login, and as nobody.
    any_act: Probe,
    any_connect: Probe,
}

/// Where the truth of an atom comes from.
enum Source {
    /// No rule about the person asks it.
    Unasked,
    /// The person and the instant.
    Constant(OnceCell<Truth>),
    Machine(Cell),
    Login(usize),
    Action(usize),
    /// Several of these together: it is asked in each case anew.
    Mixed,
}

/// Logins that are alike to every rule.
struct LoginKind {
    /// One of them; nobody, for `connect`.
    login: Option<Login>,
    truths: Vec<Truth>,
}

/// Probes that are alike to every rule.
struct ProbeKind {
    probe: Probe,
    kinds: Kinds,
    /// The rules whose scope takes them in.
    scope: RuleSet,
    truths: Vec<Truth>,
}

/// Machines that are alike to every rule.
pub(super) struct Group<'a> {
    target: &'a Target,
    signature: Signature,
    /// The rules that hold there whatever the login and the action.
    fixed: Holding,
    /// The rules of which that depends on the login, and on the action.
    by_login: Vec<usize>,
    by_action: Vec<usize>,
    allowed: Vec<Option<Allowed>>,
}

impl<'a> Survey<'a> {
    /// Tries `asked`, or whatever is worth trying where that is empty. Nothing when there is nothing that the person may
    /// do anywhere.
    pub(super) fn new(
        policy: &'a Policy,
        identity: &'a Identity,
        now: Timestamp,
        any_target: &'a Target,
        asked: Vec<Probe>,
    ) -> Option<Self> {
        let rules: Vec<&Gist> = policy.gists.rules.iter().filter(|gist| gist.is_about(identity)).collect();
        let permits = rules.iter().any(|gist| gist.effect == Effect::Permit);
        if !permits || !facts::can_tell(now) {
            return None;
        }
        let mut survey = Self {
            policy,
            witness: Witness::new(policy, identity, now),
            sources: policy.gists.atoms.iter().map(|_| Source::Unasked).collect(),
            columns: Columns::default(),
            login_atoms: Vec::new(),
            action_atoms: Vec::new(),
            login_mixed: false,
            action_mixed: false,
            logins: Vec::new(),
            login_classes: HashMap::new(),
            probes: Vec::new(),
            any_target,
            any_act: Probe::Act(Action::Shell),
            any_connect: Probe::Connect { host: String::new(), port: facts::ANY_PORT },
            rules,
        };
        survey.sort_atoms();
        survey.login_class(None);
        let probes = if asked.is_empty() { probes(&survey.rules_in_order()) } else { asked };
        survey.sort_probes(probes);
        Some(survey)
    }

    /// The rules about the person, `permit` rules first: what they name is tried first.
    fn rules_in_order(&self) -> Vec<&'a Rule> {
        let of = |effect: Effect| {
            let of_effect = self.rules.iter().filter(move |gist| gist.effect == effect);
            of_effect.filter_map(|gist| self.policy.rules.get(gist.place))
        };
        of(Effect::Permit).chain(of(Effect::Forbid)).collect()
    }

    /// The permit rules about the person, with their places in sets of rules.
    pub(super) fn permit_rules(&self) -> impl Iterator<Item = (usize, &'a Rule)> {
        let permits = self.rules.iter().enumerate().filter(|(_, gist)| gist.effect == Effect::Permit);
        permits.filter_map(|(place, gist)| Some((place, self.policy.rules.get(gist.place)?)))
    }

    fn sort_atoms(&mut self) {
        let asked: Vec<AtomId> = self.rules.iter().flat_map(|gist| gist.atoms.iter().copied()).collect();
        for id in asked {
            let (Some(atom), Some(source)) = (self.policy.gists.atoms.get(id), self.sources.get_mut(id))
            else {
                continue;
            };
            if !matches!(source, Source::Unasked) {
                continue;
            }
            let reads = &atom.reads;
            *source = match (reads.fields.is_empty(), reads.login, reads.action) {
                (true, false, false) => Source::Constant(OnceCell::new()),
                (false, false, false) => Source::Machine(self.columns.add(id, &reads.fields)),
                (true, true, false) => {
                    self.login_atoms.push(id);
                    Source::Login(self.login_atoms.len() - 1)
                }
                (true, false, true) => {
                    self.action_atoms.push(id);
                    Source::Action(self.action_atoms.len() - 1)
                }
                (_, login, action) => {
                    self.login_mixed |= login;
                    self.action_mixed |= action;
                    self.columns.tell_apart(&reads.fields);
                    Source::Mixed
                }
            };
        }
    }

    fn sort_probes(&mut self, probes: Vec<Probe>) {
        let mut known = HashMap::new();
        for (place, probe) in probes.into_iter().enumerate() {
            let kind = Kinds::one(probe.kind());
            let mut scope = RuleSet::default();
            for (place, _) in self.rules.iter().enumerate().filter(|(_, gist)| gist.kinds.overlap(kind)) {
                scope.insert(place);
            }
            let truth = |atom: &AtomId| self.ask(*atom, self.any_target, None, &probe);
            let truths: Vec<Truth> = self.action_atoms.iter().map(truth).collect();
            let connects = matches!(probe, Probe::Connect { .. });
            let key = (connects, scope.clone(), truths.clone(), self.action_mixed.then_some(place));
            let class = *known.entry(key).or_insert(self.probes.len());
            match self.probes.get_mut(class) {
                Some(like_it) => like_it.kinds = like_it.kinds.with(kind),
                None => self.probes.push(ProbeKind { probe, kinds: kind, scope, truths }),
            }
        }
    }

    /// The class that a login is in.
    pub(super) fn login_class(&mut self, login: Option<&Login>) -> LoginClass {
        let truth = |atom: &AtomId| self.ask(*atom, self.any_target, login, self.any_probe(login));
        let truths: Vec<Truth> = self.login_atoms.iter().map(truth).collect();
        let alone = if self.login_mixed { login.cloned() } else { None };
        let key = (login.is_none(), truths.clone(), alone);
        let class = *self.login_classes.entry(key).or_insert(self.logins.len());
        if class == self.logins.len() {
            self.logins.push(LoginKind { login: login.cloned(), truths });
        }
        class
    }

    fn any_probe(&self, login: Option<&Login>) -> &Probe {
        if login.is_some() { &self.any_act } else { &self.any_connect }
    }

    fn ask(&self, atom: AtomId, target: &'a Target, login: Option<&Login>, probe: &Probe) -> Truth {
        let atom = self.policy.gists.atoms.get(atom);
        atom.map_or(Truth::Fails, |atom| self.witness.truth(atom, target, login, probe))
    }

    /// A machine as rules see it. `place` tells it apart from the other machines that are looked at.
    pub(super) fn signature(&mut self, target: &'a Target, place: usize) -> Signature {
        let (witness, atoms, probe) = (&self.witness, &self.policy.gists.atoms, &self.any_act);
        let truth = |atom: AtomId| {
            atoms.get(atom).map_or(Truth::Fails, |atom| witness.truth(atom, target, None, probe))
        };
        self.columns.signature(target, place, &truth)
    }

    /// The machines with a signature, of which this is one.
    pub(super) fn group(&self, target: &'a Target, signature: Signature) -> Group<'a> {
        let (mut fixed, mut by_login, mut by_action) = (Holding::default(), Vec::new(), Vec::new());
        for (place, gist) in self.rules.iter().enumerate() {
            let is_open = Flag::new(false);
            // What is reached before the login or the action is, is the same for all of them.
            let truth = gist.formula.truth(&|atom| {
                self.settled(atom, &signature).unwrap_or_else(|| {
                    is_open.set(true);
                    Truth::Fails
                })
            });
            match (is_open.get(), gist.reads_action) {
                (false, _) => fixed.note(place, gist.effect, truth),
                (true, false) => by_login.push(place),
                (true, true) => by_action.push(place),
            }
        }
        Group { target, signature, fixed, by_login, by_action, allowed: Vec::new() }
    }

    /// The truth of an atom that reads neither login nor action.
    fn settled(&self, atom: AtomId, signature: &Signature) -> Option<Truth> {
        match self.sources.get(atom) {
            None | Some(Source::Unasked) => Some(Truth::Fails),
            Some(Source::Constant(truth)) => {
                Some(*truth.get_or_init(|| self.ask(atom, self.any_target, None, &self.any_act)))
            }
            Some(Source::Machine(cell)) => Some(self.columns.truth(*cell, signature).unwrap_or(Truth::Fails)),
            Some(Source::Login(_) | Source::Action(_) | Source::Mixed) => None,
        }
    }

    /// What logins of a class may do there; for [`NOBODY`], where the bastion may connect.
    pub(super) fn allowed<'g>(&self, group: &'g mut Group<'a>, class: LoginClass) -> Option<&'g Allowed> {
        if group.allowed.len() <= class {
            group.allowed.resize(class + 1, None);
        }
        if group.allowed.get(class)?.is_none() {
            let allowed = self.allow(group, class)?;
            *group.allowed.get_mut(class)? = Some(allowed);
        }
        group.allowed.get(class)?.as_ref()
    }

    fn allow(&self, group: &Group<'a>, class: LoginClass) -> Option<Allowed> {
        let login = self.logins.get(class)?;
        let mut base = group.fixed.clone();
        group.by_login.iter().for_each(|place| self.hold(*place, group, login, None, &mut base));
        let mut allowed = Allowed::default();
        let of_login = |probe: &&ProbeKind| matches!(probe.probe, Probe::Connect { .. }) == (class == NOBODY);
        for probe in self.probes.iter().filter(of_login) {
            if base.against.overlaps(&probe.scope) {
                continue;
            }
            let mut holding = Cow::Borrowed(&base);
            for place in group.by_action.iter().filter(|place| probe.scope.contains(**place)) {
                self.hold(*place, group, login, Some(probe), holding.to_mut());
            }
            if holding.permits.overlaps(&probe.scope) && !holding.against.overlaps(&probe.scope) {
                allowed.kinds = allowed.kinds.with(probe.kinds);
                allowed.deciders.add_common(&holding.permits, &probe.scope);
            }
        }
        Some(allowed)
    }

    fn hold(
        &self,
        place: usize,
        group: &Group<'a>,
        login: &LoginKind,
        probe: Option<&ProbeKind>,
        holding: &mut Holding,
    ) {
        if let Some(gist) = self.rules.get(place) {
            let truth = gist.formula.truth(&|atom| self.truth(atom, group, login, probe));
            holding.note(place, gist.effect, truth);
        }
    }

    fn truth(&self, atom: AtomId, group: &Group<'a>, login: &LoginKind, probe: Option<&ProbeKind>) -> Truth {
        let truth = match self.sources.get(atom) {
            None | Some(Source::Unasked | Source::Constant(_) | Source::Machine(_)) => {
                self.settled(atom, &group.signature)
            }
            Some(Source::Login(place)) => login.truths.get(*place).copied(),
            Some(Source::Action(place)) => probe.and_then(|probe| probe.truths.get(*place).copied()),
            Some(Source::Mixed) => {
                let login = login.login.as_ref();
                let probe = probe.map_or_else(|| self.any_probe(login), |probe| &probe.probe);
                Some(self.ask(atom, group.target, login, probe))
            }
        };
        truth.unwrap_or(Truth::Fails)
    }
}
