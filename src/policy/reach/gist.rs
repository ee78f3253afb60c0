//! What lists need to know of each rule: whom, what and where it is about, and what it asks.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, EntityUid, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint,
};
use serde_json::Value as Json;

use super::atom::{Atom, Question, constant};
use super::formula::{AtomId, Formula, Truth};
use super::probe::Probe;
use super::value::Case;
use crate::domain::{Action, ActionKind, Identity, Login, Target};
use crate::policy::facts::Vocabulary;
use crate::policy::rule::{Effect, Rule};

/// The gists of a policy's rules, and the questions that they ask, each once.
#[derive(Debug, Default)]
pub(crate) struct Gists {
    pub(super) atoms: Vec<Atom>,
    pub(super) rules: Vec<Gist>,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Gist {
    /// Its place among the rules.
    pub(super) place: usize,
    pub(super) effect: Effect,
    pub(super) kinds: Kinds,
    pub(super) formula: Formula,
    pub(super) atoms: Vec<AtomId>,
    pub(super) reads_action: bool,
    /// Its answer may change with nothing but the time.
    reads_time: bool,
    whom: Whom,
}

/// Whom a rule's scope takes in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    Everyone,
    Nobody,
    User(String),
    Group(String),
}

/// Kinds of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) fn one(kind: ActionKind) -> Self {
        let place = ActionKind::WORK.iter().position(|other| *other == kind).unwrap_or_default();
        Self(1 << place)
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn overlap(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn list(self) -> Vec<ActionKind> {
        ActionKind::WORK.into_iter().filter(|kind| self.overlap(Self::one(*kind))).collect()
    }
}

impl Gists {
    /// Reads the rules. One that is not understood is left to Cedar, machine by machine.
    pub(crate) fn of(vocabulary: &Vocabulary, set: &PolicySet, rules: &[Rule]) -> Self {
        let mut reading = Reading::default();
        for (place, rule) in rules.iter().enumerate() {
            if let Some(policy) = set.policy(&PolicyId::new(&rule.id.0)) {
                let gist = reading.gist(vocabulary, place, rule.effect, policy);
                reading.gists.rules.push(gist);
            }
        }
        reading.gists
    }

    /// The places of the rules that may have a say about this identity and kind of action, and whether one of them reads
    /// the time. No other rule can match, or fail: its scope is about others, or, where the machine, the login and the
    /// action are given, a comparison that comes before anything else says that it does not hold.
    pub(crate) fn about(
        &self,
        identity: &Identity,
        kind: ActionKind,
        work: Option<(&Target, &Login, &Action)>,
    ) -> About {
        let probe = work.map(|(.., action)| Probe::Act(action.clone()));
        let case = work.zip(probe.as_ref());
        let case =
            case.map(|((target, login, _), probe)| Case { identity, target, login: Some(login), probe });
        let is_out = |gist: &Gist| case.is_some_and(|case| self.certainly_does_not_hold(gist, case));
        let mut about = About::default();
        let in_scope = |gist: &&Gist| gist.is_about(identity) && gist.takes_in(kind);
        for gist in self.rules.iter().filter(in_scope).filter(|gist| !is_out(gist)) {
            about.places.push(gist.place);
            about.reads_time |= gist.reads_time;
        }
        about
    }

    /// Whether comparisons alone say that a rule's conditions do not hold. A question that only Cedar can answer counts
    /// as one that fails: whatever is reached only by way of it is not certain.
    fn certainly_does_not_hold(&self, gist: &Gist, case: Case<'_>) -> bool {
        let truth = |atom: AtomId| match self.atoms.get(atom).map(|atom| &atom.question) {
            Some(Question::Compared(subject, check)) => check.truth(subject.of(case), case.identity),
            Some(Question::Person { users, groups }) => {
                Truth::from(Atom::is_person(case.identity, users, groups))
            }
            Some(Question::Cedar(_)) | None => Truth::Fails,
        };
        gist.formula.truth(&truth) == Truth::DoesNotHold
    }

    /// Whether some permit rule is about this identity and this kind of action, whatever its conditions say.
    pub(crate) fn may_permit(&self, identity: &Identity, kind: ActionKind) -> bool {
        let about = |gist: &Gist| gist.is_about(identity) && gist.kinds.overlap(Kinds::one(kind));
        self.rules.iter().any(|gist| gist.effect == Effect::Permit && about(gist))
    }
}

/// The rules that may have a say.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) places: Vec<usize>,
    pub(crate) reads_time: bool,
}

impl Gist {
    /// Kinds that are no work are not kept apart.
    fn takes_in(&self, kind: ActionKind) -> bool {
        !ActionKind::WORK.contains(&kind) || self.kinds.overlap(Kinds::one(kind))
    }

    pub(super) fn is_about(&self, identity: &Identity) -> bool {
        match &self.whom {
            Whom::Everyone => true,
            Whom::Nobody => false,
            Whom::User(user) => identity.user.as_str() == user,
            Whom::Group(group) => identity.groups.contains(group),
        }
    }
}

#[derive(Default)]
struct Reading {
    gists: Gists,
    known: HashMap<String, AtomId>,
}

impl Reading {
    fn gist(
        &mut self,
        vocabulary: &Vocabulary,
        place: usize,
        effect: Effect,
        policy: &cedar_policy::Policy,
    ) -> Gist {
        let actions = policy.action_constraint();
        let in_scope = |kind: &ActionKind| applies(vocabulary, &actions, *kind);
        let kinds = ActionKind::WORK.into_iter().filter(in_scope).map(Kinds::one);
        let json = policy.to_json().unwrap_or_default();
        let formula = self.formula_of(vocabulary, policy, &json);
        let mut atoms = Vec::new();
        formula.collect(&mut atoms);
        atoms.sort_unstable();
        atoms.dedup();
        let mut reads = atoms.iter().filter_map(|atom| self.gists.atoms.get(*atom)).map(|atom| &atom.reads);
        Gist {
            place,
            effect,
            kinds: kinds.fold(Kinds::default(), Kinds::with),
            reads_action: reads.any(|reads| reads.action),
            reads_time: mentions_time(&json),
            whom: whom(vocabulary, &policy.principal_constraint()),
            formula,
            atoms,
        }
    }

    /// The part of the scope that is about machines, and the conditions.
    fn formula_of(&mut self, vocabulary: &Vocabulary, policy: &cedar_policy::Policy, json: &Json) -> Formula {
        let mut parts = vec![self.machines(vocabulary, &policy.resource_constraint())];
        let conditions = json.get("conditions").and_then(Json::as_array);
        for condition in conditions.into_iter().flatten() {
            let body = self.formula(condition.get("body").unwrap_or(&Json::Null));
            let negated = condition.get("kind").and_then(Json::as_str) == Some("unless");
            parts.push(if negated { Formula::Not(Box::new(body)) } else { body });
        }
        Formula::All(parts)
    }

    fn machines(&mut self, vocabulary: &Vocabulary, scope: &ResourceConstraint) -> Formula {
        let one = |uid: &EntityUid| -> Vec<String> {
            vocabulary.is_instance(uid).then(|| uid.id().unescaped().to_owned()).into_iter().collect()
        };
        match scope {
            ResourceConstraint::Any => Formula::Constant(true),
            ResourceConstraint::Is(of_type) => Formula::Constant(vocabulary.is_instance_type(of_type)),
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) => {
                self.atom(Atom::machine(one(uid)), format!("{uid}"))
            }
            ResourceConstraint::IsIn(of_type, uid) if vocabulary.is_instance_type(of_type) => {
                self.atom(Atom::machine(one(uid)), format!("{uid}"))
            }
            ResourceConstraint::IsIn(..) => Formula::Constant(false),
        }
    }

    fn formula(&mut self, condition: &Json) -> Formula {
        let operands = |operator: &str, left: &str, right: &str| {
            let operands = condition.get(operator)?;
            Some((operands.get(left)?, operands.get(right)?))
        };
        if let Some((left, right)) = operands("&&", "left", "right") {
            let (left, right) = (self.formula(left), self.formula(right));
            let Formula::All(mut parts) = left else { return Formula::All(vec![left, right]) };
            parts.push(right);
            return Formula::All(parts);
        }
        if let Some((left, right)) = operands("||", "left", "right") {
            let (left, right) = (self.formula(left), self.formula(right));
            let Formula::Any(mut parts) = left else { return Formula::Any(vec![left, right]) };
            parts.push(right);
            return Formula::Any(parts);
        }
        if let Some((left, right)) = operands("!=", "left", "right") {
            let equal = serde_json::json!({ "==": { "left": left, "right": right } });
            return Formula::Not(Box::new(self.formula(&equal)));
        }
        if let Some(operand) = condition.get("!").and_then(|operands| operands.get("arg")) {
            return Formula::Not(Box::new(self.formula(operand)));
        }
        if let Some(choice) = condition.get("if-then-else")
            && let (Some(first), Some(then), Some(otherwise)) =
                (choice.get("if"), choice.get("then"), choice.get("else"))
        {
            let choice = [self.formula(first), self.formula(then), self.formula(otherwise)];
            return Formula::Choice(Box::new(choice));
        }
        constant(condition).unwrap_or_else(|| self.ask(condition))
    }

    fn ask(&mut self, condition: &Json) -> Formula {
        let text = condition.to_string();
        if let Some(known) = self.known.get(&text) {
            return Formula::Atom(*known);
        }
        match Atom::parse(condition) {
            Some(atom) => self.atom(atom, text),
            // Cedar wrote the condition, so Cedar reads it; a rule of which part is lost must not decide.
            None => Formula::Atom(AtomId::MAX),
        }
    }

    fn atom(&mut self, atom: Atom, text: String) -> Formula {
        let atoms = &mut self.gists.atoms;
        Formula::Atom(*self.known.entry(text).or_insert_with(|| {
            atoms.push(atom);
            atoms.len() - 1
        }))
    }
}

/// Whatever depends on the time names it somewhere. A tag of that name counts too, which harms nobody.
fn mentions_time(rule: &Json) -> bool {
    match rule {
        Json::Object(fields) => fields.iter().any(|(name, value)| name == "time" || mentions_time(value)),
        Json::Array(items) => items.iter().any(mentions_time),
        Json::String(text) => text == "time",
        // A rule that could not be read.
        Json::Null => true,
        Json::Bool(_) | Json::Number(_) => false,
    }
}

fn whom(vocabulary: &Vocabulary, scope: &PrincipalConstraint) -> Whom {
    let id = |uid: &EntityUid| uid.id().unescaped().to_owned();
    match scope {
        PrincipalConstraint::Any => Whom::Everyone,
        PrincipalConstraint::Is(of_type) if vocabulary.is_user_type(of_type) => Whom::Everyone,
        PrincipalConstraint::IsIn(of_type, _) if !vocabulary.is_user_type(of_type) => Whom::Nobody,
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid)
            if vocabulary.is_user(uid) =>
        {
            Whom::User(id(uid))
        }
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) if vocabulary.is_group(uid) => {
            Whom::Group(id(uid))
        }
        PrincipalConstraint::Is(_)
        | PrincipalConstraint::Eq(_)
        | PrincipalConstraint::In(_)
        | PrincipalConstraint::IsIn(..) => Whom::Nobody,
    }
}

fn applies(vocabulary: &Vocabulary, scope: &ActionConstraint, kind: ActionKind) -> bool {
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => *uid == vocabulary.action_uid(kind),
        ActionConstraint::In(uids) => uids.iter().any(|uid| vocabulary.takes_in(uid, kind)),
    }
}
