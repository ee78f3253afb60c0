//! What goes wrong on purpose: throttling, errors, slowness and answers that are no answers,
//! each switchable per service while the look-alike runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest delay that can be asked for, in milliseconds.
const DELAY_MAX_MS: u64 = 600_000;

/// The switches, shared between the look-alike and whoever flips them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    plan: Plan,
    /// Requests counted per service since the plan was set, for `throttle: {"every": N}`.
    counted: [u64; 3],
}

/// One of the services behind the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ec2,
    Sts,
    Connect,
}

/// What the control endpoint takes; what is absent does not go wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Plan {
    ec2: ServicePlan,
    sts: ServicePlan,
    eic: ServicePlan,
    /// Added to the delay of every service.
    delay_ms: u64,
    /// Every service answers with something that is neither XML nor JSON.
    garbage: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ServicePlan {
    throttle: Throttle,
    /// An HTTP status of 500 to 599 to answer with.
    status: Option<u16>,
    /// A modelled error's name to answer with, such as `EC2InstanceUnavailableException`.
    error: Option<String>,
    delay_ms: u64,
    garbage: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Throttle {
    Switch(bool),
    Every { every: u64 },
}

impl Default for Throttle {
    fn default() -> Self {
        Self::Switch(false)
    }
}

/// Why a plan was refused.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// It is not the JSON that is understood here.
    #[error("the faults could not be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A number is out of its range.
    #[error("{0}")]
    Range(&'static str),
}

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The service's own way to say "slow down".
    Throttled,
    /// This HTTP status.
    Status(u16),
    /// This modelled error.
    Modelled(String),
    /// Something that is neither XML nor JSON.
    Garbage,
}

impl Faults {
    /// Replaces all switches by what this JSON says, as `POST /_faults` does; `{}` switches
    /// everything off.
    ///
    /// ```json
    /// {"ec2": {"throttle": true}, "eic": {"throttle": {"every": 2}, "status": 500},
    ///  "sts": {"garbage": true, "delay_ms": 100}, "delay_ms": 50}
    /// ```
    ///
    /// # Errors
    /// When it is not valid JSON, has an unknown key or a number out of range; nothing changes.
    pub fn set(&self, json: &str) -> Result<(), FaultsError> {
        let plan: Plan = serde_json::from_str(json)?;
        for service in [&plan.ec2, &plan.sts, &plan.eic] {
            service.check()?;
        }
        check_delay(plan.delay_ms)?;
        *self.state() = State { plan, counted: [0; 3] };
        Ok(())
    }

    /// The switches as JSON.
    #[must_use]
    pub fn show(&self) -> String {
        serde_json::to_string(&self.state().plan).unwrap_or_default()
    }

    /// Counts a request and says how long it waits, and what goes wrong with it, if anything.
    pub(super) fn next(&self, service: Service) -> (Duration, Option<Fault>) {
        let mut state = self.state();
        let State { plan, counted: [ec2, sts, eic] } = &mut *state;
        let (own, counted) = match service {
            Service::Ec2 => (&plan.ec2, ec2),
            Service::Sts => (&plan.sts, sts),
            Service::Connect => (&plan.eic, eic),
        };
        *counted += 1;
        let delay = Duration::from_millis(plan.delay_ms.saturating_add(own.delay_ms));
        let fault = if own.throttle.hits(*counted) {
            Some(Fault::Throttled)
        } else if let Some(status) = own.status {
            Some(Fault::Status(status))
        } else if let Some(error) = &own.error {
            Some(Fault::Modelled(error.clone()))
        } else {
            (plan.garbage || own.garbage).then_some(Fault::Garbage)
        };
        (delay, fault)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plans are replaced whole, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServicePlan {
    fn check(&self) -> Result<(), FaultsError> {
        check_delay(self.delay_ms)?;
        if self.status.is_some_and(|status| !(500..=599).contains(&status)) {
            return Err(FaultsError::Range("`status` must be from 500 to 599"));
        }
        if self.throttle == (Throttle::Every { every: 0 }) {
            return Err(FaultsError::Range("`every` must be at least 1"));
        }
        Ok(())
    }
}

fn check_delay(delay_ms: u64) -> Result<(), FaultsError> {
    if delay_ms > DELAY_MAX_MS {
        return Err(FaultsError::Range("`delay_ms` must be at most 600000 (ten minutes)"));
    }
    Ok(())
}

impl Throttle {
    fn hits(&self, counted: u64) -> bool {
        match self {
            Self::Switch(on) => *on,
            Self::Every { every } => counted.is_multiple_of(*every),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_request_is_throttled() {
        let faults = Faults::default();
        faults.set(r#"{"eic":{"throttle":{"every":2}}}"#).expect("a plan");
        let seen: Vec<_> = (0..4).map(|_| faults.next(Service::Connect).1).collect();
        assert_eq!(seen, [None, Some(Fault::Throttled), None, Some(Fault::Throttled)]);
        assert_eq!(faults.next(Service::Ec2).1, None);
    }

    #[test]
    fn delays_add_up_and_an_empty_plan_switches_all_off() {
        let faults = Faults::default();
        faults.set(r#"{"delay_ms":5,"sts":{"delay_ms":7,"status":503},"garbage":true}"#).expect("a plan");
        assert_eq!(faults.next(Service::Sts), (Duration::from_millis(12), Some(Fault::Status(503))));
        assert_eq!(faults.next(Service::Ec2), (Duration::from_millis(5), Some(Fault::Garbage)));
        faults.set("{}").expect("a plan");
        assert_eq!(faults.next(Service::Sts), (Duration::ZERO, None));
    }

    #[test]
    fn a_wrong_plan_changes_nothing_and_is_named() {
        let faults = Faults::default();
        for wrong in [
            "",
            r#"{"ec3":{}}"#,
            r#"{"eic":{"status":200}}"#,
            r#"{"ec2":{"throttle":{"every":0}}}"#,
            r#"{"delay_ms":99999999}"#,
        ] {
            assert!(faults.set(wrong).is_err(), "{wrong}");
        }
        assert_eq!(faults.next(Service::Ec2), (Duration::ZERO, None));
    }
}
