//! How long to wait after a failure.

use std::time::Duration;

/// Grows from half a second to a minute, with a spread so that many bastions do not return in step.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The first wait.
    pub(super) const FIRST: Duration = Duration::from_millis(500);
    /// The longest wait of our own choice.
    pub(super) const LONGEST: Duration = Duration::from_mins(1);
    /// The longest wait that a receiver can ask for.
    pub(super) const ASKED_LONGEST: Duration = Duration::from_mins(5);

    /// The wait after one more failure: at least what the receiver asked for. `spread` is random; it takes away
    /// up to half.
    pub(super) fn after_failure(&mut self, asked: Option<Duration>, spread: u8) -> Duration {
        let whole = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        let own = whole.saturating_mul(512 - u32::from(spread)) / 512;
        own.max(asked.unwrap_or_default().min(Self::ASKED_LONGEST))
    }

    /// Forgets the failures. Says whether there were any.
    pub(super) fn succeeded(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }

    /// Whether the last attempt failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.after_failure(None, 0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert!((0..1000).all(|_| backoff.after_failure(None, 255) >= Backoff::LONGEST / 2));
        assert!(backoff.succeeded());
        assert!(!backoff.succeeded());
        assert_eq!(backoff.after_failure(None, 0), Backoff::FIRST);
    }

    #[test]
    fn a_receiver_may_ask_for_more_within_reason() {
        let mut backoff = Backoff::default();
        let seconds = |asked| Some(Duration::from_secs(asked));
        assert_eq!(backoff.after_failure(seconds(30), 0), Duration::from_secs(30));
        assert_eq!(backoff.after_failure(seconds(0), 0), 2 * Backoff::FIRST);
        assert_eq!(backoff.after_failure(seconds(1_000_000), 0), Backoff::ASKED_LONGEST);
    }
}
