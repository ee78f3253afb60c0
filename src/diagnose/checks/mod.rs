//! The checks, one file for each kind of thing; each takes the whole case and gives one line, or none where the question does
//! not arise. What they share is in [`case`]: whom it is about, who dials whom, and how a doubt is told.

mod access;
mod acl;
mod bastion;
mod case;
mod clock;
mod family;
mod group;
mod image;
mod join;
mod lists;
mod machine;
mod route;

use case::Case;

use super::facts::Facts;
use super::subject::proves_arrival;
use super::verdict::{Check, Diagnosis, Symptom};
use crate::domain::Login;
use crate::domain::Verdict;

/// What facts say: the whole checklist, and by it the most likely cause of what was seen.
#[must_use]
pub fn diagnose(facts: &Facts, symptom: Option<&Symptom>) -> Diagnosis {
    diagnose_login(facts, symptom, symptom.and_then(|symptom| symptom.login.as_ref()))
}

/// The same for a login that nothing has failed for.
#[must_use]
pub fn diagnose_login(facts: &Facts, symptom: Option<&Symptom>, login: Option<&Login>) -> Diagnosis {
    let class = symptom.map(|symptom| symptom.class);
    let reached = class.is_some_and(proves_arrival);
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
