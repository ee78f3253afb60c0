//! Holds what was read from files that may change.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::{error, info};

use crate::problem::Problem;

/// What was read from files that may change: readers get a whole version, the latest good one.
#[derive(Debug)]
pub struct Reloadable<T> {
    name: &'static str,
    current: ArcSwap<T>,
}

impl<T> Reloadable<T> {
    /// Holds the first version; `name` is what the log calls it, such as `policy`.
    #[must_use]
    pub fn new(name: &'static str, first: T) -> Self {
        Self { name, current: ArcSwap::from_pointee(first) }
    }

    /// The latest good version. Hold it for one decision and no longer.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Takes a new version; a broken one is refused and the old one stays. Either is logged.
    ///
    /// # Errors
    /// The problems of the broken version, as they came in.
    pub fn replace_with(&self, read: Result<T, Vec<Problem>>) -> Result<(), Vec<Problem>> {
        match read {
            Ok(next) => {
                self.current.store(Arc::new(next));
                info!(what = self.name, "reloaded");
                Ok(())
            }
            Err(problems) => {
                for problem in &problems {
                    error!(what = self.name, %problem, "the new version is refused and the old one stays");
                }
                Err(problems)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_new_version_is_refused_and_the_old_one_stays() {
        let policy = Reloadable::new("policy", 1);
        let held = policy.current();
        assert_eq!(policy.replace_with(Ok(2)), Ok(()));
        let problems = vec![Problem::new("policy.cedar", "unexpected end of input")];
        assert_eq!(policy.replace_with(Err(problems.clone())), Err(problems));
        assert_eq!((*held, *policy.current()), (1, 2));
    }
}
