//! The checks, one file for each kind of thing; each takes the whole case and gives one line, or none where the question does
//! not arise. What they share is here: whom it is about, who dials whom, and how a gap is told.

mod machine;

use std::net::IpAddr;

use super::facts::{Bastion, Facts, Gap, Known};
use super::subject::{Subject, proves_arrival};
use super::verdict::{Check, Diagnosis, Symptom, Verdict};
use super::words;
use crate::domain::{FailureClass, Login};

/// What facts say: the whole checklist, and by it the most likely cause of what was seen.
#[must_use]
pub fn diagnose(facts: &Facts, symptom: Option<&Symptom>) -> Diagnosis {
    diagnose_login(facts, symptom, symptom.and_then(|symptom| symptom.login.as_ref()))
}

/// The same for a login that nothing has failed for.
#[must_use]
pub fn diagnose_login(facts: &Facts, symptom: Option<&Symptom>, login: Option<&Login>) -> Diagnosis {
    let class = symptom.map(|symptom| symptom.class);
    let case = Case::new(facts, class, login);
    let reached = class.is_some_and(proves_arrival);
    let checks = CHECKS.iter().filter_map(|check| check(&case));
    let believed = |check: Check| {
        let contradicted = reached && check.verdict == Verdict::Broken && check.subject.is_network();
        if contradicted { check.contradicted() } else { check }
    };
    Diagnosis::of(checks.map(believed).collect(), class)
}

/// In the order of [`Subject::ALL`].
const CHECKS: &[fn(&Case<'_>) -> Option<Check>] =
    &[machine::instance, machine::state, machine::status, machine::events, machine::address];

/// What every check sees.
pub(super) struct Case<'a> {
    facts: &'a Facts,
    class: Option<FailureClass>,
    login: Option<&'a Login>,
    /// The address that the bastion dials from, where it is known and there is one of the target's family.
    from: Option<IpAddr>,
    /// The address and port that it dials.
    to: IpAddr,
    port: u16,
}

/// Which of the two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Bastion,
    Target,
}

impl<'a> Case<'a> {
    fn new(facts: &'a Facts, class: Option<FailureClass>, login: Option<&'a Login>) -> Self {
        let to = facts.target.private_ip;
        let from = facts.bastion.get().and_then(|bastion| bastion.address_towards(to));
        Self { facts, class, login, from, to, port: facts.target.port }
    }

    /// `in account 123456789012`, of the end that a gap is about; empty where it is not known.
    fn account(&self, end: End) -> String {
        let account = match end {
            End::Target => Some(self.facts.target.account.as_str()),
            End::Bastion => self.facts.bastion.get().map(|bastion| bastion.account.as_str()),
        };
        match account {
            Some(account) if !account.is_empty() => format!("in account {}", words::foreign(account)),
            Some(_) | None => "in the bastion's account".to_owned(),
        }
    }

    /// "Could not check", and what to grant where that is what is missing.
    fn gap(&self, subject: Subject, gap: &Gap, end: End) -> Check {
        let account = self.account(end);
        let check = Check::unknown(subject, words::could_not_check(gap, &account));
        match words::let_it_be_checked(gap, &account) {
            Some(change) => check.with_change(change),
            None => check,
        }
    }

    /// The id of the instance.
    fn id(&self) -> &str {
        self.facts.target.id.as_str()
    }
}

impl Bastion {
    /// The address that it dials from: the first one of the same family.
    fn address_towards(&self, to: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == to.is_ipv4())
    }
}

/// The value, or the gap as a check.
fn known<T>(value: &Known<T>, otherwise: impl FnOnce(&Gap) -> Check) -> Result<&T, Check> {
    match value {
        Known::As(value) => Ok(value),
        Known::Not(gap) => Err(otherwise(gap)),
    }
}
