//! How far AWS's clock is ahead of ours, by the `Date` of its answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::diagnose::{Gap, GapReason, Known};

/// What was seen longer ago says nothing.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// The difference that was last seen; clones share it. A `Date` has whole seconds, and an answer its way to go: this
/// is good to about a second.
#[derive(Debug, Clone)]
pub(super) struct Skew {
    clock: SharedClock,
    seen: Arc<Mutex<Option<Seen>>>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Timestamp,
    ahead: SignedDuration,
}

impl Skew {
    pub(super) fn new(clock: &SharedClock) -> Self {
        Self { clock: Arc::clone(clock), seen: Arc::default() }
    }

    /// AWS's clock minus ours. No call is made for it.
    pub(super) fn ahead(&self) -> Known<SignedDuration> {
        let now = self.clock.now();
        let recent = self.lock().filter(|seen| now.duration_since(seen.at).abs() < LIFETIME);
        recent.map_or_else(|| Known::Not(Gap::new("", GapReason::NotAsked)), |seen| Known::As(seen.ahead))
    }

    fn see(&self, date: &str) {
        let Ok(date) = DateTime::from_str(date, DateTimeFormat::HttpDate) else { return };
        let Ok(there) = Timestamp::from_second(date.secs()) else { return };
        let at = self.clock.now();
        *self.lock() = Some(Seen { at, ahead: there.duration_since(at) });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Skew {
    fn name(&self) -> &'static str {
        "Skew"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.see(date);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HandSetClock;

    #[test]
    fn a_date_tells_the_difference_for_a_while_and_nonsense_tells_nothing() {
        let clock = HandSetClock::at("2026-11-22T10:00:00Z");
        let skew = Skew::new(&(Arc::clone(&clock) as SharedClock));
        for nonsense in ["", "yesterday", "Sun, 99 Nov 2026 10:00:00 GMT"] {
            skew.see(nonsense);
            assert_eq!(skew.ahead(), Known::Not(Gap::new("", GapReason::NotAsked)));
        }
        skew.see("Sun, 22 Nov 2026 10:02:00 GMT");
        assert_eq!(skew.ahead(), Known::As(SignedDuration::from_mins(2)));
        skew.see("Sun, 22 Nov 2026 09:59:30 GMT");
        assert_eq!(skew.ahead(), Known::As(SignedDuration::from_secs(-30)));
        clock.advance(std::time::Duration::from_secs(300));
        assert_eq!(skew.ahead(), Known::Not(Gap::new("", GapReason::NotAsked)));
    }
}
