//! What a guest may reach, and as whom, found out off the connection's thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::super::entrance::Guest;
use super::super::{Services, resolve, sentences};
use crate::console;
use crate::domain::{Action, Login, Target};
use crate::menu::Listing;
use crate::target::default_login;

/// Work on a thread where nobody waits.
#[derive(Debug)]
pub(super) struct Job<T> {
    handle: JoinHandle<Result<T, String>>,
}

impl<T: Send + 'static> Job<T> {
    fn start(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Self {
        Self { handle: tokio::task::spawn_blocking(work) }
    }

    /// Its result; the error is a sentence. Call it no more afterwards.
    pub(super) async fn result(&mut self) -> Result<T, String> {
        (&mut self.handle).await.unwrap_or_else(|fault| {
            tracing::error!(%fault, "a list could not be made; please report this");
            Err(sentences::OUT_OF_ORDER.to_owned())
        })
    }
}

/// Everything the guest may do anything on.
pub(super) fn targets(services: &Arc<Services>, guest: &Arc<Guest>) -> Job<Listing> {
    let (services, guest) = (Arc::clone(services), Arc::clone(guest));
    Job::start(move || {
        let identity = guest.as_of_now(&services).map_err(|_| sentences::WITHDRAWN.to_owned())?;
        let (policy, now) = (services.policy.current(), services.clock.now());
        let all = services.inventory.all();
        let reach = console::listing(&policy, &identity, &all, now);
        Ok(Listing::new(reach.into_iter().map(|reach| reach.target).collect()))
    })
}

/// The logins that may open a shell on a target, best first; at least one.
pub(super) fn logins(
    services: &Arc<Services>,
    guest: &Arc<Guest>,
    target: Arc<Target>,
) -> Job<(Arc<Target>, Vec<Login>)> {
    let (services, guest) = (Arc::clone(services), Arc::clone(guest));
    Job::start(move || {
        let identity = guest.as_of_now(&services).map_err(|_| sentences::WITHDRAWN.to_owned())?;
        let usual: Vec<Login> = default_login(&target).into_iter().collect();
        let (policy, now) = (services.policy.current(), services.clock.now());
        let mut logins = policy.logins(&identity, &target, Some(&Action::Shell), now, &usual);
        if logins.is_empty() {
            // Whoever may do other things there is told so by the decision, which is on record.
            logins.push(resolve::login(&services, &guest, &target, None)?);
        }
        Ok((target, logins))
    })
}

/// How old the oldest copy is that the list is made of.
pub(super) fn age(services: &Services) -> Option<Duration> {
    services.inventory.ages().into_iter().filter_map(|(_, age)| age).max()
}
