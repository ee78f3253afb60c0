//! `drawbridge doctor`: everything that drawbridge rests on, tried one by one before anybody needs it.
//!
//! What always holds: each check is by itself, with a deadline, and one that hangs or fails says so and stops no
//! other; nothing is guessed (what cannot be tried is `?`, with the reason); nothing is made or changed, on the disk
//! or in AWS, but for the upload that is begun and called off where recordings go to a bucket.
//!
//! What it deliberately does not do: look at targets and the way to them (`diagnose`), or repair anything.

mod answers;
mod check;
mod cloud;
mod disk;
mod errands;
mod files;
mod listeners;
mod names;
mod network;
mod people;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use crate::domain::Verdict;
pub use answers::{Caller, Cloud, MetadataOptions, Trouble, TroubleKind, WhereWeRun};
pub use check::{Check, Checkup, Subject};
use errands::Errands;
pub use names::unknown_names;

use crate::auth::Directory;
use crate::config::Config;
use crate::iam::Circumstances;
use crate::policy::Policy;
use crate::problem::Problem;

/// The longest that one check may take.
const EACH_MAX: Duration = Duration::from_secs(12);
/// The longest that all of them may take together.
const ALL_MAX: Duration = Duration::from_secs(20);

/// What is said of a configuration that cannot be read.
#[must_use]
pub fn broken_configuration(problems: &[Problem]) -> Vec<Check> {
    people::problems(Subject::Configuration, problems)
}

/// Tries everything, at the same time.
pub async fn run(
    config: Arc<Config>,
    directory: Result<Directory, Vec<Problem>>,
    policy: Result<Policy, Vec<Problem>>,
    cloud: Arc<dyn Cloud>,
) -> Checkup {
    let mut errands = Errands::default();
    errands.done(people::look(&config, &directory, &policy));
    let needs = Arc::new(Circumstances::of(&config, policy.as_ref().ok()));
    let logins = Arc::new(people::logins(policy.as_ref().ok()));
    cloud::send(&mut errands, &config, &needs, &logins, &cloud);
    files::send(&mut errands, &config);
    disk::send(&mut errands, &config);
    listeners::send(&mut errands, &config);
    state::send(&mut errands, &config);
    Checkup::of(errands.collect(EACH_MAX, ALL_MAX).await)
}
