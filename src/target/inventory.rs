//! The inventory: a copy of every place, and answers from it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::catalogue::{Catalogue, find};
use super::lookups::{Lookups, Outcome};
use super::readings::{Reading, levels};
use super::source::{Place, Source};
use crate::clock::SharedClock;
use crate::domain::{Target, TargetRef};

/// A copy that is older than so many refreshes is behind: the source fails, or is slow.
const MISSED_REFRESHES: u32 = 3;

/// How the inventory behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Between two refreshes of one place; 10 % of jitter comes on top or off.
    pub refresh_interval: Duration,
    /// The longest that one refresh of one place may take.
    pub refresh_timeout: Duration,
    /// The longest that one look-up may take, waiting for its turn included.
    pub lookup_timeout: Duration,
    /// How long the answer of a look-up is remembered, "there is none" included.
    pub lookup_memory: Duration,
    /// The most instances to hold, all places together. A refresh that would exceed it is
    /// refused and the old copy stays.
    pub instances_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            refresh_interval: Duration::from_secs(60),
            refresh_timeout: Duration::from_secs(60),
            lookup_timeout: Duration::from_secs(5),
            lookup_memory: Duration::from_secs(10),
            instances_max: 50_000,
        }
    }
}

/// What a reference turned out to mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Exactly one machine. It may be stopped: see [`Target::state`].
    Found(Arc<Target>),
    /// Several, running ones first. The caller shows only those the user may reach.
    Ambiguous(Vec<Arc<Target>>),
    /// None.
    Unknown,
    /// None is known, and a place whose instances were never listed does not answer.
    Unavailable,
}

/// Every account and region, cheap to clone.
#[derive(Debug, Clone)]
pub struct Inventory {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) lanes: Vec<Arc<Lane>>,
    pub(super) settings: Settings,
    pub(super) clock: SharedClock,
    /// Held while a new copy is measured and stored.
    pub(super) storing: Mutex<()>,
    /// Counts the copies that were stored.
    pub(super) stored: watch::Sender<u64>,
    /// Counts those of them that said something else than the one before.
    pub(super) changed: watch::Sender<u64>,
    places: Vec<Place>,
    lookups: Lookups,
}

/// One place: where it comes from, and the last good copy.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) source: Arc<dyn Source>,
    pub(super) catalogue: ArcSwapOption<Catalogue>,
}

impl Inventory {
    /// An inventory that knows nothing yet; see [`Self::first_refresh`] and [`Self::run`].
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn Source>>, settings: Settings, clock: SharedClock) -> Self {
        let places = sources.iter().map(|source| source.place().clone()).collect();
        let lanes = sources
            .into_iter()
            .map(|source| Arc::new(Lane { source, catalogue: ArcSwapOption::empty() }))
            .collect();
        let lookups = Lookups::new(settings.lookup_memory, Arc::clone(&clock));
        let (storing, stored, changed) = (Mutex::new(()), watch::Sender::new(0), watch::Sender::new(0));
        Self { inner: Arc::new(Inner { lanes, settings, clock, storing, stored, changed, places, lookups }) }
    }

    /// Says what a reference means: from the copies, else by a look-up.
    ///
    /// A single match that is not running is looked up too, because the copy may be older than
    /// the start of the machine; if nothing answers, the copy's word stands.
    pub async fn resolve(&self, wanted: &TargetRef) -> Resolution {
        let levels = levels(wanted, &self.inner.places);
        let known = choose(search(&levels, &self.catalogues()));
        match known {
            Some(Resolution::Found(target)) if !is_running(&target) => {
                let looked_up = choose(self.look_up(wanted, &levels).await.found);
                looked_up.unwrap_or(Resolution::Found(target))
            }
            Some(resolution) => resolution,
            None => {
                let outcome = self.look_up(wanted, &levels).await;
                let nothing = if outcome.complete { Resolution::Unknown } else { Resolution::Unavailable };
                choose(outcome.found).unwrap_or(nothing)
            }
        }
    }

    /// Says what a reference means by the copies alone: it costs nobody anything, and an instance that was started
    /// since the last refresh is unknown.
    #[must_use]
    pub fn known(&self, wanted: &TargetRef) -> Resolution {
        let levels = levels(wanted, &self.inner.places);
        let incomplete = || self.inner.lanes.iter().any(|lane| lane.catalogue.load().is_none());
        choose(search(&levels, &self.catalogues()))
            .unwrap_or_else(|| if incomplete() { Resolution::Unavailable } else { Resolution::Unknown })
    }

    /// Every target of every copy, in no particular order.
    #[must_use]
    pub fn all(&self) -> Arc<[Arc<Target>]> {
        self.catalogues().iter().flat_map(|catalogue| catalogue.targets.iter().cloned()).collect()
    }

    /// Counts the copies that differ from the one before: it changes when [`Self::all`] may answer something else. A
    /// receiver that was not looked at for a while sees the last count alone.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Counts all copies that were stored, be it that they say the same: it changes when [`Self::presence`] may be
    /// surer than before.
    #[must_use]
    pub fn copies_stored(&self) -> watch::Receiver<u64> {
        self.inner.stored.subscribe()
    }

    /// How old each place's copy is; nothing where there is none yet.
    #[must_use]
    pub fn ages(&self) -> Vec<(Place, Option<Duration>)> {
        let now = self.inner.clock.now();
        let age = |lane: &Arc<Lane>| {
            let taken_at = lane.catalogue.load().as_ref().map(|catalogue| catalogue.taken_at)?;
            Some(Duration::try_from(now.duration_since(taken_at)).unwrap_or_default())
        };
        self.inner.lanes.iter().map(|lane| (lane.source.place().clone(), age(lane))).collect()
    }

    /// How many instances each place's copy has, and how old it is; none and nothing where there is none yet.
    #[must_use]
    pub fn copies(&self) -> Vec<(Place, usize, Option<Duration>)> {
        let sizes =
            self.inner.lanes.iter().map(|lane| lane.catalogue.load().as_ref().map_or(0, |c| c.targets.len()));
        self.ages().into_iter().zip(sizes).map(|((place, age), size)| (place, size, age)).collect()
    }

    /// The places whose copy is older than three refreshes, with its age, and those without one.
    #[must_use]
    pub fn behind(&self) -> Vec<(Place, Option<Duration>)> {
        let patience = self.inner.settings.refresh_interval * MISSED_REFRESHES;
        self.ages().into_iter().filter(|(_, age)| age.is_none_or(|age| age > patience)).collect()
    }

    fn catalogues(&self) -> Vec<Arc<Catalogue>> {
        self.inner.lanes.iter().filter_map(|lane| lane.catalogue.load_full()).collect()
    }

    /// Asks the places themselves. "Nothing" is only complete when every place that a reading
    /// admits has a copy or has answered.
    async fn look_up(&self, wanted: &TargetRef, levels: &[Vec<Reading>; 3]) -> Outcome {
        let questions = self.inner.questions(levels);
        let copies_missing = questions.iter().any(|(lane, _)| lane.catalogue.load().is_none());
        let key = wanted.as_str().to_ascii_lowercase();
        let timeout = self.inner.settings.lookup_timeout;
        match self.inner.lookups.ask(key, questions, timeout).await {
            Some(answer) => Outcome { found: search(levels, &answer.catalogues), complete: answer.complete },
            None => Outcome { found: Vec::new(), complete: !copies_missing },
        }
    }
}

impl Inner {
    /// Which places to ask, and for which names.
    fn questions(&self, levels: &[Vec<Reading>; 3]) -> Vec<(Arc<Lane>, Vec<TargetRef>)> {
        let names_for = |place: &Place| {
            let mut names: Vec<TargetRef> = Vec::new();
            for reading in levels.iter().flatten().filter(|reading| reading.admits_place(place)) {
                let name = TargetRef::parse(&reading.name).ok().filter(|name| !names.contains(name));
                names.extend(name);
            }
            names
        };
        self.lanes
            .iter()
            .map(|lane| (Arc::clone(lane), names_for(lane.source.place())))
            .filter(|(_, names)| !names.is_empty())
            .collect()
    }
}

fn is_running(target: &Target) -> bool {
    target.state == "running"
}

fn search(levels: &[Vec<Reading>; 3], catalogues: &[Arc<Catalogue>]) -> Vec<Arc<Target>> {
    levels
        .iter()
        .map(|readings| find(readings, catalogues))
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// One running machine is meant even where stopped ones bear the same name: replaced machines
/// are often left behind stopped.
fn choose(mut candidates: Vec<Arc<Target>>) -> Option<Resolution> {
    candidates.sort_by_key(|target| !is_running(target));
    let running = candidates.iter().filter(|target| is_running(target)).count();
    let first = candidates.first().cloned()?;
    if running == 1 || candidates.len() == 1 {
        return Some(Resolution::Found(first));
    }
    Some(Resolution::Ambiguous(candidates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HandSetClock;
    use crate::target::SourceErrorKind;
    use crate::target::testing::{FakeSource, place, target};

    struct Fixture {
        inventory: Inventory,
        sources: Vec<Arc<FakeSource>>,
        clock: Arc<HandSetClock>,
    }

    /// Each source lists what is given for its place and has been refreshed once.
    async fn with(lists: Vec<(Place, Vec<Target>)>) -> Fixture {
        let sources: Vec<_> = lists
            .into_iter()
            .map(|(place, targets)| {
                let targets = targets
                    .into_iter()
                    .map(|target| Target {
                        account_alias: place.account_alias.clone(),
                        region: place.region.clone(),
                        ..target
                    })
                    .collect();
                Arc::new(FakeSource::new(place, [Ok(targets)]))
            })
            .collect();
        let fixture = unrefreshed(sources);
        fixture.inventory.first_refresh().await;
        fixture
    }

    fn unrefreshed(sources: Vec<Arc<FakeSource>>) -> Fixture {
        let clock = HandSetClock::at("2026-11-22T10:00:00Z");
        let dyn_sources = sources.iter().map(|source| Arc::clone(source) as Arc<dyn Source>).collect();
        let inventory = Inventory::new(dyn_sources, Settings::default(), Arc::clone(&clock) as SharedClock);
        Fixture { inventory, sources, clock }
    }

    async fn resolve(fixture: &Fixture, text: &str) -> Resolution {
        fixture.inventory.resolve(&TargetRef::parse(text).expect("a reference")).await
    }

    async fn found(fixture: &Fixture, text: &str) -> String {
        let resolution = resolve(fixture, text).await;
        let Resolution::Found(target) = &resolution else { panic!("{text}: {resolution:?}") };
        target.display_name().to_owned()
    }

    #[tokio::test]
    async fn a_target_answers_to_all_its_names() {
        let fixture =
            with(vec![(place("prod", "eu-west-1"), vec![target("Web-1", 1), target("db", 2)])]).await;
        for name in [
            "Web-1",
            "web-1",
            "WEB-1.PROD",
            "prod.web-1",
            "web-1.eu-west-1",
            "web-1.prod.eu-west-1",
            "eu-west-1.web-1.prod",
            "web-1.123456789012",
            "i-00000000000000001",
            "I-00000000000000001",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "10.0.0.1.prod",
            "ip-10-0-0-1",
            "IP-10-0-0-1.eu-west-1.compute.internal",
            "ip-10-0-0-1.eu-west-1.compute.internal.",
        ] {
            assert_eq!(found(&fixture, name).await, "Web-1", "{name}");
        }
        assert_eq!(fixture.sources[0].lookups(), 0, "every answer came from the copy");
    }

    #[tokio::test]
    async fn an_ipv6_address_is_found_in_any_spelling() {
        let six = Target { private_ip: "fd00::10".parse().expect("an address"), ..target("six", 6) };
        let fixture = with(vec![(place("prod", "eu-west-1"), vec![six])]).await;
        for name in ["fd00::10", "FD00:0:0::10", "[fd00::10]", "[fd00::10].prod"] {
            assert_eq!(found(&fixture, name).await, "six", "{name}");
        }
    }

    #[tokio::test]
    async fn two_running_machines_of_one_name_are_ambiguous_until_qualified() {
        let fixture = with(vec![
            (place("prod", "eu-west-1"), vec![target("web-1", 1)]),
            (place("dev", "us-east-1"), vec![target("web-1", 2)]),
        ])
        .await;
        let Resolution::Ambiguous(candidates) = resolve(&fixture, "web-1").await else {
            panic!("not ambiguous")
        };
        assert_eq!(candidates.len(), 2);
        for (name, alias) in [("web-1.dev", "dev"), ("prod.web-1", "prod"), ("web-1.us-east-1", "dev")] {
            let Resolution::Found(target) = resolve(&fixture, name).await else { panic!("{name}") };
            assert_eq!(target.account_alias, alias, "{name}");
        }
    }

    #[tokio::test]
    async fn names_that_differ_in_case_alone_are_ambiguous() {
        let fixture =
            with(vec![(place("prod", "eu-west-1"), vec![target("Web", 1), target("web", 2)])]).await;
        assert!(matches!(resolve(&fixture, "web").await, Resolution::Ambiguous(_)));
    }

    #[tokio::test]
    async fn a_name_tag_with_dots_wins_over_a_qualified_name() {
        let fixture =
            with(vec![(place("prod", "eu-west-1"), vec![target("web-1", 1), target("web-1.prod", 2)])]).await;
        assert_eq!(found(&fixture, "web-1.prod").await, "web-1.prod");
        assert_eq!(found(&fixture, "web-1").await, "web-1");
        assert_eq!(found(&fixture, "web-1.prod.prod").await, "web-1.prod");
    }

    #[tokio::test]
    async fn nobody_can_tag_an_instance_into_anothers_place() {
        let fixture = with(vec![(
            place("prod", "eu-west-1"),
            vec![
                target("db", 1),
                target("10.0.0.1", 2),
                target("i-00000000000000001", 3),
                target("ip-10-0-0-1", 4),
            ],
        )])
        .await;
        for name in ["10.0.0.1", "i-00000000000000001", "ip-10-0-0-1"] {
            assert_eq!(found(&fixture, name).await, "db", "{name}");
        }
    }

    #[tokio::test]
    async fn the_running_one_is_meant_and_a_lone_stopped_one_is_found() {
        let stopped = |number| Target { state: "stopped".to_owned(), ..target("web-1", number) };
        let old = Target { state: "stopped".to_owned(), ..target("old-1", 9) };
        let fixture =
            with(vec![(place("prod", "eu-west-1"), vec![stopped(1), target("web-1", 2), stopped(3), old])])
                .await;
        let Resolution::Found(web) = resolve(&fixture, "web-1").await else { panic!("not found") };
        assert_eq!(web.state, "running");
        let Resolution::Found(old) = resolve(&fixture, "old-1").await else { panic!("not found") };
        assert_eq!(old.state, "stopped");
    }

    #[tokio::test]
    async fn two_stopped_ones_are_ambiguous() {
        let stopped = |number| Target { state: "stopped".to_owned(), ..target("old", number) };
        let fixture = with(vec![(place("prod", "eu-west-1"), vec![stopped(1), stopped(2)])]).await;
        assert!(matches!(resolve(&fixture, "old").await, Resolution::Ambiguous(_)));
    }

    #[tokio::test]
    async fn a_machine_that_was_started_since_the_refresh_is_seen_running() {
        let old = Target { state: "stopped".to_owned(), ..target("old-1", 9) };
        let fixture = with(vec![(place("prod", "eu-west-1"), vec![old.clone()])]).await;
        fixture.sources[0].answer_lookups(Ok(vec![Target { state: "running".to_owned(), ..old }]));
        let Resolution::Found(target) = resolve(&fixture, "old-1").await else { panic!("not found") };
        assert_eq!(target.state, "running");
    }

    #[tokio::test]
    async fn a_miss_is_looked_up_once_and_remembered_for_a_while() {
        let fixture = with(vec![(place("prod", "eu-west-1"), vec![target("web-1", 1)])]).await;
        for name in ["web-2", "WEB-2", "web-2"] {
            assert_eq!(resolve(&fixture, name).await, Resolution::Unknown);
        }
        assert_eq!(fixture.sources[0].lookups(), 1);
        fixture.sources[0].answer_lookups(Ok(vec![target("web-2", 2)]));
        assert_eq!(resolve(&fixture, "web-2").await, Resolution::Unknown);
        fixture.clock.advance(Duration::from_secs(11));
        assert_eq!(found(&fixture, "web-2").await, "web-2");
    }

    #[tokio::test]
    async fn what_a_look_up_brings_is_matched_again() {
        let fixture = with(vec![(place("prod", "eu-west-1"), Vec::new())]).await;
        fixture.sources[0].answer_lookups(Ok(vec![target("web-22", 2)]));
        assert_eq!(resolve(&fixture, "web-2").await, Resolution::Unknown);
    }

    #[tokio::test]
    async fn a_qualified_miss_asks_only_the_place_that_is_meant() {
        let fixture =
            with(vec![(place("prod", "eu-west-1"), Vec::new()), (place("dev", "us-east-1"), Vec::new())])
                .await;
        fixture.sources[1].answer_lookups(Ok(vec![target("new", 2)]));
        assert_eq!(found(&fixture, "new.dev").await, "new");
        // "new.dev" may also be a Name tag anywhere, so both places are asked for that; only dev is
        // asked for "new" as well.
        assert_eq!((fixture.sources[0].lookups(), fixture.sources[1].lookups()), (1, 2));
    }

    #[tokio::test]
    async fn nothing_known_and_no_answer_is_unavailable() {
        let failing =
            Arc::new(FakeSource::new(place("prod", "eu-west-1"), [Err(SourceErrorKind::Throttled)]));
        failing.answer_lookups(Err(SourceErrorKind::Throttled));
        let fixture = unrefreshed(vec![failing]);
        fixture.inventory.first_refresh().await;
        assert_eq!(resolve(&fixture, "web-1").await, Resolution::Unavailable);
    }

    #[tokio::test]
    async fn a_failed_look_up_beside_a_good_copy_is_unknown() {
        let fixture = with(vec![(place("prod", "eu-west-1"), vec![target("web-1", 1)])]).await;
        fixture.sources[0].answer_lookups(Err(SourceErrorKind::Unreachable));
        assert_eq!(resolve(&fixture, "web-2").await, Resolution::Unknown);
    }

    #[tokio::test]
    async fn many_who_miss_the_same_name_share_one_look_up() {
        let fixture = with(vec![(place("prod", "eu-west-1"), Vec::new())]).await;
        fixture.sources[0].answer_lookups(Ok(vec![target("web-2", 2)]));
        fixture.sources[0].shut();
        let wanted = TargetRef::parse("web-2").expect("a reference");
        let asks = std::iter::repeat_with(|| {
            let (inventory, wanted) = (fixture.inventory.clone(), wanted.clone());
            tokio::spawn(async move { inventory.resolve(&wanted).await })
        });
        let asks: Vec<_> = asks.take(50).collect();
        tokio::task::yield_now().await;
        fixture.sources[0].open();
        for ask in asks {
            assert!(matches!(ask.await.expect("no panic"), Resolution::Found(_)));
        }
        assert_eq!(fixture.sources[0].lookups(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_never_answers_costs_the_timeout_and_no_more() {
        let fixture = with(vec![(place("prod", "eu-west-1"), Vec::new())]).await;
        fixture.sources[0].shut();
        let started = tokio::time::Instant::now();
        assert_eq!(resolve(&fixture, "web-2").await, Resolution::Unknown);
        assert_eq!(started.elapsed(), Settings::default().lookup_timeout);
    }

    #[tokio::test]
    async fn made_up_names_cannot_drive_the_sources() {
        let fixture = with(vec![(place("prod", "eu-west-1"), Vec::new())]).await;
        for number in 0..500 {
            assert_eq!(resolve(&fixture, &format!("name-{number}")).await, Resolution::Unknown);
        }
        assert_eq!(fixture.sources[0].lookups(), 30);
        fixture.clock.advance(Duration::from_secs(5));
        for number in 500..600 {
            assert_eq!(resolve(&fixture, &format!("name-{number}")).await, Resolution::Unknown);
        }
        assert_eq!(fixture.sources[0].lookups(), 35);
    }
}
