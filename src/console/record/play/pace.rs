//! Where in a recording we are, and when what comes next is due.

use std::time::Duration;

use tokio::time::Instant;

/// How fast it can get, and how slow.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=100.0;
/// The most that is waited at a time; then it is looked at again.
const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// The place in the recording that is shown at this moment.
#[derive(Debug)]
pub(super) struct Pace {
    /// Where we were …
    at: Duration,
    /// … at that moment.
    since: Instant,
    speed: f64,
    paused: bool,
}

impl Pace {
    pub(super) fn new(speed: f64, now: Instant) -> Self {
        Self {
            at: Duration::ZERO,
            since: now,
            speed: speed.clamp(*SPEEDS.start(), *SPEEDS.end()),
            paused: false,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Where we are.
    pub(super) fn place(&self, now: Instant) -> Duration {
        if self.paused {
            return self.at;
        }
        self.at.saturating_add(stretched(now.saturating_duration_since(self.since), self.speed))
    }

    /// We are there from this moment on.
    pub(super) fn put(&mut self, at: Duration, now: Instant) {
        (self.at, self.since) = (at, now);
    }

    /// Stops, or goes on.
    pub(super) fn pause(&mut self, now: Instant) {
        self.put(self.place(now), now);
        self.paused = !self.paused;
    }

    /// Goes faster or slower by that factor.
    pub(super) fn change(&mut self, factor: f64, now: Instant) {
        self.put(self.place(now), now);
        self.speed = (self.speed * factor).clamp(*SPEEDS.start(), *SPEEDS.end());
    }

    /// Where nothing happens up to that place, at most so much of it is waited for.
    pub(super) fn skip_idle(&mut self, next: Duration, limit: Option<Duration>, now: Instant) {
        let Some(from) = limit.map(|limit| next.saturating_sub(limit)) else { return };
        if from > self.place(now) {
            self.put(from, now);
        }
    }

    /// When that place is reached; now, where it is behind us.
    pub(super) fn due(&self, place: Duration, now: Instant) -> Instant {
        let wait = stretched(place.saturating_sub(self.place(now)), 1.0 / self.speed);
        now.checked_add(wait.min(WAIT_MAX)).unwrap_or(now)
    }
}

fn stretched(length: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(length.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn time_passes_at_the_speed_that_was_asked_for() {
        let start = Instant::now();
        let mut pace = Pace::new(2.0, start);
        let later = start + SECOND * 3;
        assert_eq!(pace.place(later), SECOND * 6);
        assert_eq!(pace.due(SECOND * 10, later), later + SECOND * 2);
        assert_eq!(pace.due(SECOND, later), later, "what is late is due at once");
        pace.pause(later);
        assert_eq!((pace.is_paused(), pace.place(later + SECOND * 60)), (true, SECOND * 6));
        pace.pause(later + SECOND * 60);
        pace.change(2.0, later + SECOND * 61);
        assert_eq!(pace.place(later + SECOND * 62), SECOND * 12);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_is_cut_short() {
        let start = Instant::now();
        let mut pace = Pace::new(1.0, start);
        pace.skip_idle(SECOND * 100, Some(SECOND * 2), start);
        assert_eq!(pace.due(SECOND * 100, start), start + SECOND * 2);
        pace.skip_idle(SECOND * 101, Some(SECOND * 2), start + SECOND * 2);
        assert_eq!(pace.place(start + SECOND * 2), SECOND * 100, "what is short is left as it is");
    }

    #[tokio::test(start_paused = true)]
    async fn absurd_times_are_no_faults() {
        let start = Instant::now();
        let mut pace = Pace::new(f64::MAX, start);
        assert_eq!(pace.due(Duration::MAX, start), start + WAIT_MAX);
        pace.put(Duration::MAX, start);
        assert_eq!(pace.place(start + SECOND), Duration::MAX);
    }
}
