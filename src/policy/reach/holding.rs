//! Sets of rules, and which of them hold.

use super::formula::Truth;
use super::gist::Kinds;
use crate::policy::rule::Effect;

/// Some of the rules about a person, by their place among them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct RuleSet(Vec<u64>);

impl RuleSet {
    pub(super) fn insert(&mut self, place: usize) {
        let word = place / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (place % 64);
        }
    }

    pub(super) fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|bits| bits & (1 << (place % 64)) != 0)
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(bits, others)| bits & others != 0)
    }

    /// Adds those that are in both of the others.
    pub(super) fn add_common(&mut self, one: &Self, other: &Self) {
        let common = one.0.len().min(other.0.len());
        if self.0.len() < common {
            self.0.resize(common, 0);
        }
        for (bits, (one, other)) in self.0.iter_mut().zip(one.0.iter().zip(&other.0)) {
            *bits |= one & other;
        }
    }
}

/// The rules that hold in a case.
#[derive(Debug, Clone, Default)]
pub(super) struct Holding {
    pub(super) permits: RuleSet,
    /// `forbid` rules that hold, and rules of either kind that fail: each refuses whatever its scope takes in.
    pub(super) against: RuleSet,
}

impl Holding {
    /// Notes what a rule comes to.
    pub(super) fn note(&mut self, place: usize, effect: Effect, truth: Truth) {
        match (truth, effect) {
            (Truth::DoesNotHold, _) => {}
            (Truth::Holds, Effect::Permit) => self.permits.insert(place),
            (Truth::Holds, Effect::Forbid) | (Truth::Fails, _) => self.against.insert(place),
        }
    }
}

/// What some login may do.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowed {
    pub(super) kinds: Kinds,
    /// The rules that permit any of it.
    pub(super) deciders: RuleSet,
}
