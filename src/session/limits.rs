//! The limits of what is under way: they may become tighter, never looser, and whoever sits at a terminal is warned
//! before they have passed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::sentences;
use crate::domain::Ending;
use crate::policy::Limits;
use crate::relay::Activity;

/// Limits are looked at again after this time in any case: they may have become tighter.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The first warning before the longest time has passed.
const FIRST_WARNING: Duration = Duration::from_secs(5 * 60);
/// The last one, and the one before the idle time has.
const LAST_WARNING: Duration = Duration::from_secs(60);
/// No warning comes earlier than when this part of a limit is left.
const WARNING_PART: u32 = 10;

/// The limits of something under way. Clones are of the same.
#[derive(Debug, Clone)]
pub(super) struct Tightening(Arc<Mutex<Limits>>);

impl Tightening {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(limits)))
    }

    /// Others hold as well: the tighter of each counts from here on.
    pub(super) fn tighten(&self, limits: &Limits) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.and(limits);
    }

    pub(super) fn current(&self) -> Limits {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a limit has passed, and has those concerned warned before.
    pub(super) async fn passed(&self, activity: &Activity, warn: impl Fn(&str)) -> (Ending, &'static str) {
        let started = Instant::now();
        let mut warnings = Warnings::default();
        loop {
            let limits = self.current();
            let left = Left::of(&limits, started.elapsed(), activity.idle_for());
            if left.session == Some(Duration::ZERO) {
                return (Ending::MaxSession, sentences::MAX_SESSION);
            }
            if left.idle == Some(Duration::ZERO) {
                return (Ending::Idle, sentences::IDLE);
            }
            if let Some(warning) = warnings.due(&limits, left) {
                warn(&warning);
            }
            tokio::time::sleep(left.until_next(&limits).max(Duration::from_millis(1))).await;
        }
    }
}

/// What is left of each limit.
#[derive(Debug, Clone, Copy)]
struct Left {
    session: Option<Duration>,
    idle: Option<Duration>,
}

impl Left {
    fn of(limits: &Limits, lasted: Duration, idle_for: Duration) -> Self {
        Self {
            session: limits.max_session.map(|most| most.saturating_sub(lasted)),
            idle: limits.idle.map(|most| most.saturating_sub(idle_for)),
        }
    }

    /// How long nothing can happen: until a limit or a warning.
    fn until_next(self, limits: &Limits) -> Duration {
        let mut next = LOOK_AGAIN;
        for (left, most) in [(self.session, limits.max_session), (self.idle, limits.idle)] {
            let (Some(left), Some(most)) = (left, most) else { continue };
            next = next.min(left);
            for lead in leads(most) {
                if let Some(until) = left.checked_sub(lead).filter(|until| !until.is_zero()) {
                    next = next.min(until);
                }
            }
        }
        next
    }
}

/// When warnings come, before so long a time has passed; the first one first.
fn leads(most: Duration) -> [Duration; 2] {
    let part = most / WARNING_PART;
    [FIRST_WARNING.min(part), LAST_WARNING.min(part)]
}

/// Which warnings were given.
#[derive(Debug, Default)]
struct Warnings {
    /// The lead of the last one about the longest time.
    session: Option<Duration>,
    idle: bool,
}

impl Warnings {
    /// The warning to give, where there is one.
    fn due(&mut self, limits: &Limits, left: Left) -> Option<String> {
        let session = limits.max_session.zip(left.session).and_then(|(most, left)| {
            let lead = leads(most).into_iter().rev().find(|lead| left <= *lead)?;
            let earlier = self.session.is_none_or(|last| lead < last);
            earlier.then(|| {
                self.session = Some(lead);
                sentences::max_session_soon(left)
            })
        });
        let [_, idle_lead] = limits.idle.map(leads).unwrap_or_default();
        let idle_soon = left.idle.is_some_and(|left| left <= idle_lead);
        let idle = left.idle.filter(|_| idle_soon && !self.idle).map(sentences::idle_soon);
        // Whoever goes on is warned again the next time.
        self.idle = idle_soon;
        session.or(idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn limits(max_session: Option<Duration>, idle: Option<Duration>) -> Limits {
        Limits { max_session, idle, ..Limits::default() }
    }

    #[test]
    fn limits_become_tighter_and_never_looser() {
        let held = Tightening::new(limits(Some(8 * MINUTE), None));
        held.tighten(&limits(Some(9 * MINUTE), Some(MINUTE)));
        assert_eq!(held.current(), limits(Some(8 * MINUTE), Some(MINUTE)));
        held.tighten(&limits(Some(2 * MINUTE), None));
        assert_eq!(held.current(), limits(Some(2 * MINUTE), Some(MINUTE)));
    }

    /// The warnings of a session of that length that is never idle, and what was left then, in seconds.
    fn warned(most: Duration) -> Vec<u64> {
        let limits = limits(Some(most), None);
        let (mut warnings, mut lasted, mut told) = (Warnings::default(), Duration::ZERO, Vec::new());
        while lasted < most {
            let left = Left::of(&limits, lasted, Duration::ZERO);
            if warnings.due(&limits, left).is_some() {
                told.push((most - lasted).as_secs());
            }
            lasted += left.until_next(&limits);
        }
        told
    }

    #[test]
    fn warnings_come_five_minutes_and_one_before_and_for_short_limits_when_a_tenth_is_left() {
        assert_eq!(warned(60 * MINUTE), [300, 60]);
        assert_eq!(warned(30 * MINUTE), [180, 60]);
        assert_eq!(warned(10 * MINUTE), [60]);
        assert_eq!(warned(MINUTE), [6]);
    }

    #[test]
    fn who_was_warned_of_idleness_and_goes_on_is_warned_again() {
        let limits = limits(None, Some(20 * MINUTE));
        let mut warnings = Warnings::default();
        let mut warned = |idle_for| warnings.due(&limits, Left::of(&limits, Duration::ZERO, idle_for));
        assert_eq!(warned(18 * MINUTE), None);
        assert!(warned(19 * MINUTE).is_some_and(|sentence| sentence.contains("1 minute")));
        assert_eq!(warned(19 * MINUTE + MINUTE / 2), None, "once");
        assert_eq!(warned(Duration::ZERO), None);
        assert!(warned(19 * MINUTE).is_some());
    }
}
