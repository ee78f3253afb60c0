//! Keeping the copies fresh, and keeping the old one while that fails.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::catalogue::Catalogue;
use super::inventory::{Inner, Inventory, Lane};
use super::source::{SourceError, SourceErrorKind};

/// The first pause after a failure, where the interval is not shorter still; doubles each time.
const BACK_OFF_FIRST: Duration = Duration::from_secs(5);
/// The longest pause after failures, where the interval is not longer.
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

impl Inventory {
    /// Fills the copies before anyone asks: all places at once, bounded by the refresh timeout.
    /// A place that fails is a warning; [`Self::run`] goes on trying.
    pub async fn first_refresh(&self) {
        let mut refreshes = JoinSet::new();
        for lane in &self.inner.lanes {
            let (inner, lane) = (Arc::clone(&self.inner), Arc::clone(lane));
            refreshes.spawn(async move { inner.refresh(&lane).await });
        }
        while refreshes.join_next().await.is_some() {}
    }

    /// Refreshes every place, each in its own task, until told to stop; where there is no place, it waits for that.
    pub async fn run(self, shutdown: CancellationToken) {
        if self.inner.lanes.is_empty() {
            return shutdown.cancelled().await;
        }
        let mut tasks = JoinSet::new();
        for lane in &self.inner.lanes {
            let (inner, lane, shutdown) = (Arc::clone(&self.inner), Arc::clone(lane), shutdown.clone());
            tasks.spawn(async move {
                shutdown.run_until_cancelled(inner.keep_fresh(&lane)).await;
            });
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(failure) = ended {
                error!(%failure, "a refresh task ended on its own; its place keeps its last copy");
            }
        }
    }
}

impl Inner {
    async fn keep_fresh(&self, lane: &Lane) {
        let interval = self.settings.refresh_interval;
        let mut failures = u32::from(lane.catalogue.load().is_none());
        loop {
            sleep(jittered(pause(interval, failures), rand::random_range(0.9..1.1))).await;
            match self.refresh(lane).await {
                Ok(()) if failures > 0 => {
                    info!(place = %lane.source.place(), failures, "inventory refreshes again");
                    failures = 0;
                }
                Ok(()) => {}
                Err(_) => failures = failures.saturating_add(1),
            }
        }
    }

    /// One refresh of one place: a whole new copy, or the old one untouched.
    pub(super) async fn refresh(&self, lane: &Lane) -> Result<(), SourceErrorKind> {
        let started = Instant::now();
        let refreshed = match self.list(lane).await {
            Ok(catalogue) => self.store(lane, catalogue, started),
            Err(failure) => Err(failure),
        };
        refreshed.map_err(|failure| {
            self.report(lane, &failure);
            failure.kind
        })
    }

    async fn list(&self, lane: &Lane) -> Result<Catalogue, SourceError> {
        let limit = self.settings.refresh_timeout;
        let asked_at = self.clock.now();
        let listed = timeout(limit, lane.source.list(self.room_for(lane))).await;
        let targets = listed.map_err(|_| {
            let text = format!("the refresh did not finish within {} s", limit.as_secs());
            SourceError::new(SourceErrorKind::Timeout, text)
        })??;
        let mut catalogue = Catalogue::new(lane.source.place().clone(), self.clock.now(), targets);
        catalogue.asked_at = asked_at;
        Ok(catalogue)
    }

    /// Places refresh side by side, so the limit on all together is held here, one at a time.
    fn store(&self, lane: &Lane, catalogue: Catalogue, started: Instant) -> Result<(), SourceError> {
        let differs = lane.catalogue.load().as_ref().is_none_or(|before| !before.says_the_same(&catalogue));
        let _one_at_a_time = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let instances = catalogue.targets.len();
        if instances > self.room_for(lane) {
            let max = self.settings.instances_max;
            let text = format!("{instances} instances here would exceed the limit of {max} for all places");
            return Err(SourceError::new(SourceErrorKind::TooMany, text));
        }
        let (place, took_ms) = (lane.source.place(), started.elapsed().as_millis());
        let before = lane.catalogue.swap(Some(Arc::new(catalogue)));
        if differs {
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
        self.stored.send_modify(|count| *count = count.wrapping_add(1));
        if before.is_some_and(|before| before.targets.len() == instances) {
            debug!(%place, instances, took_ms, "inventory refreshed");
        } else {
            info!(%place, instances, took_ms, "inventory refreshed");
        }
        Ok(())
    }

    fn room_for(&self, lane: &Lane) -> usize {
        self.settings.instances_max.saturating_sub(self.held_beside(lane))
    }

    /// How many instances the other places hold.
    fn held_beside(&self, lane: &Lane) -> usize {
        self.lanes
            .iter()
            .filter(|other| other.source.place() != lane.source.place())
            .filter_map(|other| other.catalogue.load().as_ref().map(|catalogue| catalogue.targets.len()))
            .sum()
    }

    fn report(&self, lane: &Lane, failure: &SourceError) {
        let (place, kind, request_id) =
            (lane.source.place(), failure.kind.label(), failure.request_id.as_deref());
        let taken_at = lane.catalogue.load().as_ref().map(|catalogue| catalogue.taken_at);
        let age_s = taken_at.map(|taken_at| self.clock.now().duration_since(taken_at).as_secs());
        if failure.kind == SourceErrorKind::TooMany {
            error!(%place, kind, age_s, "inventory refresh refused; raise inventory.instances_max: {failure}");
        } else if age_s.is_some() {
            warn!(%place, kind, request_id, age_s, "inventory refresh failed; the last good copy stays: {failure}");
        } else {
            warn!(%place, kind, request_id, "inventory refresh failed and there is no copy yet: {failure}");
        }
    }
}

/// The pause before the next refresh after so many failures in a row.
fn pause(interval: Duration, failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return interval };
    let first = interval.min(BACK_OFF_FIRST);
    first.saturating_mul(2_u32.saturating_pow(doublings)).min(interval.max(BACK_OFF_MAX))
}

/// Many daemons started together must not ask together.
fn jittered(pause: Duration, factor: f64) -> Duration {
    pause.mul_f64(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    use crate::clock::{HandSetClock, SharedClock};
    use crate::domain::TargetRef;
    use crate::target::testing::{Answer, FakeSource, place, target};
    use crate::target::{Resolution, Settings, Source};

    fn inventory(lists: Vec<Answer>, settings: Settings) -> (Inventory, Arc<FakeSource>, Arc<HandSetClock>) {
        let source = Arc::new(FakeSource::new(place("prod", "eu-west-1"), lists));
        let clock = HandSetClock::at("2026-11-22T10:00:00Z");
        let sources = vec![Arc::clone(&source) as Arc<dyn Source>];
        let inventory = Inventory::new(sources, settings, Arc::clone(&clock) as SharedClock);
        (inventory, source, clock)
    }

    #[tokio::test]
    async fn the_last_good_copy_stays_while_its_source_fails_and_its_age_grows() {
        let lists = vec![Ok(vec![target("web-1", 1)]), Err(SourceErrorKind::Throttled)];
        let (inventory, _, clock) = inventory(lists, Settings::default());
        assert_eq!(inventory.ages()[0].1, None);
        inventory.first_refresh().await;
        clock.advance(Duration::from_secs(90));
        let lane = &inventory.inner.lanes[0];
        assert_eq!(inventory.inner.refresh(lane).await, Err(SourceErrorKind::Throttled));
        assert_eq!(inventory.ages()[0].1, Some(Duration::from_secs(90)));
        let web = TargetRef::parse("web-1").expect("a reference");
        assert!(matches!(inventory.resolve(&web).await, Resolution::Found(_)));
    }

    #[tokio::test]
    async fn without_any_account_it_runs_until_it_is_told_to_stop() {
        let clock: SharedClock = HandSetClock::at("2026-11-22T10:00:00Z");
        let inventory = Inventory::new(Vec::new(), Settings::default(), clock);
        let stop = CancellationToken::new();
        let mut running = std::pin::pin!(inventory.run(stop.clone()));
        tokio::select! {
            biased;
            () = &mut running => panic!("it ended by itself, and the daemon with it"),
            () = std::future::ready(()) => {}
        }
        stop.cancel();
        running.await;
    }

    #[tokio::test]
    async fn whoever_waits_for_changes_hears_of_copies_that_differ_and_of_no_others() {
        let both = || vec![target("web-1", 1), target("db", 2)];
        let turned = both().into_iter().rev().collect();
        let lists = vec![Ok(both()), Err(SourceErrorKind::Throttled), Ok(turned), Ok(Vec::new())];
        let (inventory, _, _) = inventory(lists, Settings::default());
        let mut changes = inventory.changes();
        inventory.first_refresh().await;
        assert!(changes.has_changed().expect("the inventory lives"));
        assert_eq!(*changes.borrow_and_update(), 1);
        inventory.first_refresh().await;
        assert!(!changes.has_changed().expect("the inventory lives"), "that refresh failed");
        let stored = inventory.copies_stored();
        inventory.first_refresh().await;
        assert!(!changes.has_changed().expect("the inventory lives"), "EC2's order means nothing");
        assert!(stored.has_changed().expect("the inventory lives"), "but the copy is newer");
        inventory.first_refresh().await;
        changes.changed().await.expect("the inventory lives");
        assert!(inventory.all().is_empty());
    }

    #[tokio::test]
    async fn too_many_instances_are_refused_and_the_old_copy_stays() {
        let lists = vec![Ok(vec![target("a", 1)]), Ok(vec![target("b", 1), target("c", 2), target("d", 3)])];
        let (inventory, _, _) = inventory(lists, Settings { instances_max: 2, ..Settings::default() });
        inventory.first_refresh().await;
        let lane = &inventory.inner.lanes[0];
        assert_eq!(inventory.inner.refresh(lane).await, Err(SourceErrorKind::TooMany));
        let names: Vec<_> = inventory.all().iter().map(|target| target.display_name().to_owned()).collect();
        assert_eq!(names, ["a"]);
    }

    #[tokio::test]
    async fn the_limit_is_on_all_places_together_however_they_race() {
        let source = |alias: &str| {
            let targets = vec![target("a", 1), target("b", 2)];
            Arc::new(FakeSource::new(place(alias, "eu-west-1"), [Ok(targets)])) as Arc<dyn Source>
        };
        let settings = Settings { instances_max: 5, ..Settings::default() };
        let clock = HandSetClock::at("2026-11-22T10:00:00Z");
        let inventory = Inventory::new(vec![source("x"), source("y"), source("z")], settings, clock);
        inventory.first_refresh().await;
        assert_eq!(inventory.all().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn the_loop_refreshes_recovers_and_ends_when_told() {
        let lists = vec![
            Err(SourceErrorKind::Unreachable),
            Err(SourceErrorKind::Unreachable),
            Ok(vec![target("web-1", 1)]),
            Ok(vec![target("web-1", 1), target("web-2", 2)]),
        ];
        let (inventory, source, _) = inventory(lists, Settings::default());
        inventory.first_refresh().await;
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(inventory.clone().run(shutdown.clone()));
        tokio::time::sleep(Duration::from_secs(17)).await; // 5 s and 10 s of back-off, with jitter
        assert_eq!(inventory.all().len(), 1);
        tokio::time::sleep(Duration::from_secs(67)).await; // the interval
        assert_eq!(inventory.all().len(), 2);
        assert_eq!(source.list_calls.load(Ordering::SeqCst), 4);
        shutdown.cancel();
        running.await.expect("no panic");
    }

    #[test]
    fn pauses_double_after_failures_and_are_bounded() {
        let minute = Duration::from_secs(60);
        let pauses: Vec<u64> = (0..7).map(|failures| pause(minute, failures).as_secs()).collect();
        assert_eq!(pauses, [60, 5, 10, 20, 40, 60, 60]);
        assert_eq!(pause(Duration::from_secs(2), 1), Duration::from_secs(2));
        assert_eq!(pause(Duration::from_secs(600), 40), Duration::from_secs(600));
        assert_eq!(jittered(minute, 0.9), Duration::from_secs(54));
    }
}
