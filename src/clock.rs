//! Time as an input. Pure code takes `now`; long-lived adapters hold a [`Clock`].

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Says what time it is.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant, UTC.
    fn now(&self) -> Timestamp;
}

/// A clock that can be shared.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is told otherwise. For tests.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct HandSetClock(std::sync::Mutex<Timestamp>);

#[cfg(test)]
impl HandSetClock {
    pub(crate) fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(std::sync::Mutex::new(text.parse().expect("an RFC 3339 time"))))
    }

    pub(crate) fn advance(&self, by: std::time::Duration) {
        let mut now = self.0.lock().expect("not poisoned");
        *now += by;
    }
}

#[cfg(test)]
impl Clock for HandSetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("not poisoned")
    }
}
