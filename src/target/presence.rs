//! What became of a machine that was found before.

use std::sync::Arc;

use jiff::Timestamp;

use super::inventory::Inventory;
use crate::domain::Target;

/// What the copies say of a machine that was found before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is there, and this is what is known of it.
    Here(Arc<Target>),
    /// It is not, or not at the address that it had.
    Gone(Gone),
    /// No copy of its place is newer than what was known of it: it is as it was, as far as anybody can tell.
    Unsure,
}

/// Why a machine counts as gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// A whole list of its place, asked for after it was found, does not have it.
    #[error("EC2 does not list the instance any more")]
    NotListed,
    /// EC2 says so.
    #[error("EC2 says that the instance is {0}")]
    Ended(String),
    /// It has another private address.
    #[error("the instance has another private address")]
    Moved,
    /// It is not running, and a machine that is has its address.
    #[error("its private address belongs to another instance, {0}")]
    Succeeded(String),
}

impl Inventory {
    /// What became of a machine that was found at `since`. It costs nobody anything.
    ///
    /// Only a whole list that was asked for later can make it gone: a refresh that fails changes nothing, and what was
    /// found by a look-up may be younger than the copy.
    #[must_use]
    pub fn presence(&self, known: &Target, since: Timestamp) -> Presence {
        let lane = self.inner.lanes.iter().find(|lane| {
            let place = lane.source.place();
            place.account_alias == known.account_alias && place.region == known.region
        });
        let Some(copy) = lane.and_then(|lane| lane.catalogue.load_full()) else { return Presence::Unsure };
        if copy.asked_at <= since {
            return Presence::Unsure;
        }
        let Some(found) = copy.machine(known) else { return Presence::Gone(Gone::NotListed) };
        if matches!(found.state.as_str(), "terminated" | "shutting-down") {
            return Presence::Gone(Gone::Ended(found.state.clone()));
        }
        if found.private_ip != known.private_ip {
            return Presence::Gone(Gone::Moved);
        }
        match copy.usurper(known) {
            Some(other) if found.state != "running" => {
                Presence::Gone(Gone::Succeeded(other.id.as_str().to_owned()))
            }
            Some(_) | None => Presence::Here(Arc::clone(found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, HandSetClock, SharedClock};
    use crate::target::testing::{Answer, FakeSource, place, target};
    use crate::target::{Settings, Source, SourceErrorKind};

    /// What is said of `web-1`, found at the first list, after the second.
    async fn after(second: Answer, since_first: Duration) -> Presence {
        let lists = [Ok(vec![target("web-1", 1)]), second];
        let source = Arc::new(FakeSource::new(place("prod", "eu-west-1"), lists)) as Arc<dyn Source>;
        let clock = HandSetClock::at("2026-11-22T10:00:00Z");
        let inventory = Inventory::new(vec![source], Settings::default(), Arc::clone(&clock) as SharedClock);
        inventory.first_refresh().await;
        let found_at = clock.now();
        assert_eq!(inventory.presence(&target("web-1", 1), found_at), Presence::Unsure);
        clock.advance(since_first);
        inventory.first_refresh().await;
        inventory.presence(&target("web-1", 1), found_at)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_machine_is_there_as_the_newest_copy_has_it() {
        let mut tagged = target("web-1", 1);
        tagged.tags.insert("env".to_owned(), "prod".to_owned());
        let here = Presence::Here(Arc::new(tagged.clone()));
        assert_eq!(after(Ok(vec![target("db", 2), tagged]), MINUTE).await, here);
    }

    #[tokio::test]
    async fn only_a_whole_list_that_is_newer_says_that_a_machine_is_gone() {
        assert_eq!(after(Ok(vec![target("db", 2)]), MINUTE).await, Presence::Gone(Gone::NotListed));
        assert_eq!(after(Err(SourceErrorKind::Throttled), MINUTE).await, Presence::Unsure);
        assert_eq!(after(Ok(Vec::new()), Duration::ZERO).await, Presence::Unsure, "it may be younger");
    }

    #[tokio::test]
    async fn who_has_the_address_of_a_machine_that_does_not_run_has_replaced_it() {
        let stopped = Target { state: "stopped".to_owned(), ..target("web-1", 1) };
        let heir = Target { private_ip: stopped.private_ip, ..target("web-1", 2) };
        let elsewhere = Target { vpc: "vpc-2".to_owned(), ..heir.clone() };
        let gone = Presence::Gone(Gone::Succeeded(heir.id.as_str().to_owned()));
        assert_eq!(after(Ok(vec![stopped.clone(), heir]), MINUTE).await, gone);
        let here = Presence::Here(Arc::new(stopped.clone()));
        assert_eq!(after(Ok(vec![stopped, elsewhere]), MINUTE).await, here, "addresses overlap between VPCs");
        let moved = Target { private_ip: target("x", 9).private_ip, ..target("web-1", 1) };
        assert_eq!(after(Ok(vec![moved]), MINUTE).await, Presence::Gone(Gone::Moved));
        let ended = Target { state: "shutting-down".to_owned(), ..target("web-1", 1) };
        assert_eq!(
            after(Ok(vec![ended]), MINUTE).await,
            Presence::Gone(Gone::Ended("shutting-down".to_owned()))
        );
    }
}
