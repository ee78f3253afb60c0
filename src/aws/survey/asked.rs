//! What was asked within the last minute, with the answer or the promise of one.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::reading::NO_CREDENTIALS;
use crate::clock::SharedClock;
use crate::diagnose::{Gap, GapReason};

/// A question is asked at most once in this time, counted from when it is asked.
const LIFETIME: SignedDuration = SignedDuration::from_secs(60);
/// Different questions of one kind in one place within one minute. EC2 refills 20 calls a second per account, region
/// and operation, and the account's other tools want some of them.
const QUESTIONS_MAX: usize = 256;

/// What a question came to.
pub(super) type Outcome<A> = Result<Arc<A>, Gap>;

/// What calls are made with.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    clock: SharedClock,
    /// The longest that one question may take with all its pages, whether anybody still waits or not.
    call_max: Duration,
    /// Calls that may be under way at a time.
    turns: Arc<Semaphore>,
    /// Where calls run. Reading a large answer takes milliseconds, for which the keystrokes on a session's own thread
    /// would have to wait. None: where they are asked for.
    runtime: Option<Handle>,
}

/// The questions of one kind to one account and region.
pub(super) struct Asked<Q, A> {
    permission: &'static str,
    keeping: Keeping,
    desk: Desk,
    memory: Arc<Mutex<Memory<Q, A>>>,
}

/// How long an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// A minute; a denial stands for every question of its kind.
    Minute,
    /// A minute; a denial is about what was asked for, since IAM knows these by resource.
    MinuteEach,
    /// For good, where there is one.
    Good,
}

struct Memory<Q, A> {
    entries: HashMap<Q, Entry<A>>,
    denied: Option<(Timestamp, Gap)>,
}

struct Entry<A> {
    asked_at: Timestamp,
    answer: Answer<A>,
}

/// An answer that is there or will be.
pub(super) struct Answer<A> {
    permission: &'static str,
    outcome: watch::Receiver<Option<Outcome<A>>>,
}

impl Desk {
    /// Calls run on the runtime that this is called in.
    pub(super) fn new(call_max: Duration, turns: usize, clock: &SharedClock) -> Self {
        let turns = Arc::new(Semaphore::new(turns));
        Self { clock: Arc::clone(clock), call_max, turns, runtime: Handle::try_current().ok() }
    }

    /// The longest that one page may take: less than the whole, so that the call itself can say what was silent.
    pub(super) fn page_max(&self) -> Duration {
        self.call_max / 5 * 4
    }

    /// The same with turns of its own.
    pub(super) fn another(&self, turns: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(turns)), ..self.clone() }
    }
}

impl<Q, A> Asked<Q, A>
where
    Q: Clone + Eq + Hash + Send + 'static,
    A: Send + Sync + 'static,
{
    /// Nothing asked yet.
    pub(super) fn new(permission: &'static str, keeping: Keeping, desk: &Desk) -> Self {
        let memory = Memory { entries: HashMap::new(), denied: None };
        Self { permission, keeping, desk: desk.clone(), memory: Arc::new(Mutex::new(memory)) }
    }

    /// The answer to a question. `call` is begun only where the last minute has none; it runs to its end by itself.
    pub(super) fn ask<F>(&self, question: &Q, call: F) -> Answer<A>
    where
        F: Future<Output = Result<A, Gap>> + Send + 'static,
    {
        let now = self.desk.clock.now();
        let mut memory = lock(&self.memory);
        if let Some(entry) = memory.entries.get(question).filter(|entry| entry.holds(now, self.keeping)) {
            return entry.answer.clone();
        }
        if let Some(gap) = memory.denied(now) {
            return Answer::settled(self.permission, Err(gap));
        }
        if !memory.has_room(now) {
            let reason = GapReason::Failed("AWS was asked as often as is allowed in a minute".to_owned());
            return Answer::settled(self.permission, Err(Gap::new(self.permission, reason)));
        }
        let (tell, outcome) = watch::channel(None);
        let answer = Answer { permission: self.permission, outcome };
        memory.entries.insert(question.clone(), Entry { asked_at: now, answer: answer.clone() });
        drop(memory);
        self.begin(now, call, tell);
        answer
    }

    fn begin<F>(&self, asked_at: Timestamp, call: F, tell: watch::Sender<Option<Outcome<A>>>)
    where
        F: Future<Output = Result<A, Gap>> + Send + 'static,
    {
        let (turns, memory) = (Arc::clone(&self.desk.turns), Arc::clone(&self.memory));
        let (permission, keeping, call_max) = (self.permission, self.keeping, self.desk.call_max);
        let in_turn = async move {
            let _turn = turns.acquire_owned().await;
            call.await
        };
        let to_the_end = async move {
            let outcome = timeout(call_max, in_turn)
                .await
                .unwrap_or_else(|_| Err(Gap::new(permission, GapReason::Timeout)));
            if let Err(gap) = &outcome
                && keeping == Keeping::Minute
                && is_general(gap)
            {
                lock(&memory).denied = Some((asked_at, gap.clone()));
            }
            tell.send_replace(Some(outcome.map(Arc::new)));
        };
        // A task of its own: the answer is wanted by who asks next, however long this one waits.
        match &self.desk.runtime {
            Some(runtime) => drop(runtime.spawn(to_the_end)),
            None => drop(tokio::spawn(to_the_end)),
        }
    }
}

impl<Q: Eq + Hash, A> Memory<Q, A> {
    fn denied(&self, now: Timestamp) -> Option<Gap> {
        let (at, gap) = self.denied.as_ref()?;
        is_recent(*at, now).then(|| gap.clone())
    }

    /// Whether one more question may be asked; forgets what is old where it must.
    fn has_room(&mut self, now: Timestamp) -> bool {
        if self.entries.len() >= QUESTIONS_MAX {
            self.entries.retain(|_, entry| is_recent(entry.asked_at, now));
        }
        self.entries.len() < QUESTIONS_MAX
    }
}

impl<A> Entry<A> {
    fn holds(&self, now: Timestamp, keeping: Keeping) -> bool {
        let for_good = keeping == Keeping::Good && self.answer.is_good();
        for_good || is_recent(self.asked_at, now)
    }
}

impl<A> Answer<A> {
    fn settled(permission: &'static str, outcome: Outcome<A>) -> Self {
        let (_, outcome) = watch::channel(Some(outcome));
        Self { permission, outcome }
    }

    /// What has come by then. An answer that is there already is had at any time.
    pub(super) async fn by(mut self, until: Instant) -> Outcome<A> {
        let permission = self.permission;
        let came = async { self.outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone()) };
        match timeout_at(until, came).await {
            Ok(Ok(Some(outcome))) => outcome,
            Ok(Ok(None) | Err(_)) => {
                let reason = GapReason::Failed("the call ended without an answer".to_owned());
                Err(Gap::new(permission, reason))
            }
            Err(_) => Err(Gap::new(permission, GapReason::Timeout)),
        }
    }

    fn is_good(&self) -> bool {
        matches!(*self.outcome.borrow(), Some(Ok(_)))
    }
}

impl<A> Clone for Answer<A> {
    fn clone(&self) -> Self {
        Self { permission: self.permission, outcome: self.outcome.clone() }
    }
}

impl<Q, A> fmt::Debug for Asked<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("permission", &self.permission).finish_non_exhaustive()
    }
}

/// Whether a failure would meet every question of its kind.
fn is_general(gap: &Gap) -> bool {
    match &gap.reason {
        GapReason::Denied => true,
        GapReason::Failed(text) => text == NO_CREDENTIALS,
        GapReason::Timeout | GapReason::Throttled | GapReason::NotVisible | GapReason::NotAsked => false,
    }
}

/// A clock that was set back makes nothing hold longer.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    (SignedDuration::ZERO..LIFETIME).contains(&now.duration_since(at))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::HandSetClock;

    struct Bench {
        clock: Arc<HandSetClock>,
        asked: Asked<u32, u32>,
        calls: Arc<AtomicUsize>,
    }

    impl Bench {
        fn keeping(keeping: Keeping) -> Self {
            let clock = HandSetClock::at("2026-11-22T10:00:00Z");
            let shared: SharedClock = Arc::clone(&clock) as SharedClock;
            let asked =
                Asked::new("ec2:DescribeVpcs", keeping, &Desk::new(Duration::from_secs(10), 4, &shared));
            Self { clock, asked, calls: Arc::default() }
        }

        async fn ask(&self, question: u32, outcome: Result<u32, GapReason>) -> Result<u32, GapReason> {
            let calls = Arc::clone(&self.calls);
            let call = async move {
                calls.fetch_add(1, Ordering::Relaxed);
                outcome.map_err(|reason| Gap::new("ec2:DescribeVpcs", reason))
            };
            let soon = Instant::now() + Duration::from_secs(30);
            self.asked.ask(&question, call).by(soon).await.map(|answer| *answer).map_err(|gap| gap.reason)
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn a_question_is_asked_once_a_minute_and_failures_count() {
        let bench = Bench::keeping(Keeping::Minute);
        for _ in 0..3 {
            assert_eq!(bench.ask(1, Ok(10)).await, Ok(10));
            assert_eq!(bench.ask(2, Err(GapReason::Throttled)).await, Err(GapReason::Throttled));
        }
        assert_eq!(bench.calls(), 2);
        bench.clock.advance(Duration::from_secs(59));
        assert_eq!(bench.ask(1, Ok(11)).await, Ok(10));
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(bench.ask(1, Ok(11)).await, Ok(11));
        assert_eq!(bench.calls(), 3);
    }

    #[tokio::test]
    async fn a_denial_stands_for_all_of_its_kind_unless_iam_knows_them_by_resource() {
        for (keeping, calls) in [(Keeping::Minute, 1), (Keeping::MinuteEach, 3)] {
            let bench = Bench::keeping(keeping);
            for question in 0..3 {
                assert_eq!(bench.ask(question, Err(GapReason::Denied)).await, Err(GapReason::Denied));
            }
            assert_eq!(bench.calls(), calls, "{keeping:?}");
            bench.clock.advance(Duration::from_secs(60));
            assert_eq!(bench.ask(9, Ok(1)).await, Ok(1));
        }
    }

    #[tokio::test]
    async fn what_is_kept_for_good_is_an_answer_and_no_failure() {
        let bench = Bench::keeping(Keeping::Good);
        assert_eq!(bench.ask(1, Err(GapReason::Timeout)).await, Err(GapReason::Timeout));
        bench.clock.advance(Duration::from_secs(60));
        assert_eq!(bench.ask(1, Ok(1)).await, Ok(1));
        bench.clock.advance(Duration::from_secs(86_400));
        assert_eq!(bench.ask(1, Ok(2)).await, Ok(1));
        assert_eq!(bench.calls(), 2);
    }

    #[tokio::test]
    async fn many_questions_in_a_minute_are_not_all_asked() {
        let bench = Bench::keeping(Keeping::Minute);
        for question in 0..300 {
            let heard = bench.ask(question, Ok(question)).await;
            assert_eq!(heard.is_ok(), question < 256, "{question}");
        }
        assert_eq!(bench.calls(), QUESTIONS_MAX);
        bench.clock.advance(Duration::from_secs(60));
        assert_eq!(bench.ask(300, Ok(1)).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_out_of_patience_leaves_the_answer_to_the_next() {
        let bench = Bench::keeping(Keeping::Minute);
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let slow = async move {
            gate.await.expect("it is opened");
            Ok(7)
        };
        let patience = Instant::now() + Duration::from_millis(50);
        let gap = bench.asked.ask(&1, slow).by(patience).await.expect_err("nothing came yet");
        assert_eq!(gap, Gap::new("ec2:DescribeVpcs", GapReason::Timeout));
        open.send(()).expect("somebody still listens");
        assert_eq!(bench.ask(1, Ok(8)).await, Ok(7));
        // And one that is there is had although the time is over.
        let answer = bench.asked.ask(&1, async { Ok(9) }).by(patience).await;
        assert_eq!(answer.map(|answer| *answer), Ok(7));
        assert_eq!(bench.calls(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_in_time_and_a_panic_in_it_is_a_gap() {
        let bench = Bench::keeping(Keeping::Minute);
        let for_ever = Instant::now() + Duration::from_secs(3600);
        let gap = bench.asked.ask(&1, std::future::pending()).by(for_ever).await.expect_err("no answer");
        assert_eq!(gap.reason, GapReason::Timeout);
        let gap = bench.asked.ask(&2, async { panic!("clumsy") }).by(for_ever).await.expect_err("no answer");
        assert!(matches!(gap.reason, GapReason::Failed(_)), "{gap:?}");
    }
}
