//! The checks, one file for each kind of thing; each takes the whole case and gives one line, or none where the question does
//! not arise. What they share is in [`case`]: whom it is about, who dials whom, and how a doubt is told.
//!
//! What always holds:
//! - A check is a pure function of the case, and none reads what another one found; so their order is only that of the list.
//! - What is not known is a doubt with its reason, never an answer (`hiding_a_fact_never_turns_a_verdict_round`).
//! - Where packets are proved to arrive, what AWS says against it is told as a contradiction, whatever the check.
//!
//! What is not here: which check is the cause ([`super::Diagnosis::cause`]), and what a failure tells by itself
//! (`testimony`).

mod access;
mod acl;
mod bastion;
mod case;
mod clock;
mod failure;
mod family;
mod group;
mod image;
mod join;
mod lists;
mod machine;
mod route;

use case::Case;

use super::facts::Facts;
use super::testimony::Testimony;
use super::verdict::{Check, Diagnosis, Symptom};
use crate::domain::{Login, Verdict};

/// What facts say: the whole checklist, and by it the most likely cause of what was seen.
#[must_use]
pub fn diagnose(facts: &Facts, symptom: Option<&Symptom>) -> Diagnosis {
    diagnose_login(facts, symptom, symptom.and_then(|symptom| symptom.login.as_ref()))
}

/// The same for a login that nothing has failed for.
#[must_use]
pub fn diagnose_login(facts: &Facts, symptom: Option<&Symptom>, login: Option<&Login>) -> Diagnosis {
    let class = symptom.map(|symptom| symptom.class);
    let reached = class.is_some_and(|class| Testimony::of(class).proves_arrival);
    Diagnosis::of(checklist(&Case::new(facts, class, reached, login)), class)
}

/// The same where somebody tried and was answered in SSH: the network is sound by proof.
#[must_use]
pub fn diagnose_reached(facts: &Facts, login: Option<&Login>) -> Diagnosis {
    Diagnosis::of_reached(checklist(&Case::new(facts, None, true, login)))
}

/// Where packets arrive, what AWS says against it is told as a contradiction, and not as a fault.
fn checklist(case: &Case<'_>) -> Vec<Check> {
    let believed = |check: Check| {
        let contradicted = case.reached && check.verdict == Verdict::Broken && check.subject.is_network();
        if contradicted { check.contradicted() } else { check }
    };
    CHECKS.iter().filter_map(|check| check(case)).map(believed).collect()
}

/// In the order of [`super::Subject::ALL`].
const CHECKS: &[fn(&Case<'_>) -> Option<Check>] = &[
    machine::instance,
    machine::state,
    machine::status,
    machine::events,
    machine::address,
    machine::metadata,
    image::platform,
    image::agent,
    image::login,
    access::push,
    bastion::bastion,
    join::join,
    route::there,
    route::back,
    group::bastion,
    group::target,
    acl::bastion,
    acl::target,
    access::answer,
    access::host_key,
    clock::clock,
];
