use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use super::*;
use crate::audit::Collected;

const MINUTE: Duration = Duration::from_mins(1);

/// A journal in memory that knows how much of it is in somebody's hands.
#[derive(Clone)]
struct Book(Arc<Pages>);

struct Pages {
    lines: Mutex<BTreeMap<u64, String>>,
    committed: watch::Sender<u64>,
    passed: AtomicU64,
    read_at_once_max: AtomicUsize,
}

impl Book {
    fn new() -> Self {
        Self(Arc::new(Pages {
            lines: Mutex::default(),
            committed: watch::Sender::new(0),
            passed: AtomicU64::new(0),
            read_at_once_max: AtomicUsize::new(0),
        }))
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds lines of 100 bytes.
    fn add(&self, count: u64) {
        let last = *self.0.committed.borrow();
        for seq in last + 1..=last + count {
            self.lines().insert(seq, format!("{seq:099}"));
        }
        self.0.committed.send_replace(last + count);
    }

    fn remove_through(&self, seq: u64) {
        self.lines().retain(|at, _| *at > seq);
    }
}

impl Journal for Book {
    fn committed(&self) -> watch::Receiver<u64> {
        self.0.committed.subscribe()
    }

    async fn read(&self, after: u64, lines_max: usize, bytes_max: usize) -> io::Result<Vec<JournalLine>> {
        let mut lines = Vec::new();
        let mut room = bytes_max;
        for (seq, text) in self.lines().range(after + 1..).take(lines_max) {
            if !lines.is_empty() && room < text.len() + 1 {
                break;
            }
            room = room.saturating_sub(text.len() + 1);
            lines.push(JournalLine { seq: *seq, text: text.clone() });
        }
        self.0.read_at_once_max.fetch_max(lines.len(), Ordering::Relaxed);
        Ok(lines)
    }

    fn bytes_after(&self, seq: u64) -> u64 {
        self.lines().range(seq + 1..).count() as u64 * 100
    }

    fn passed(&self, seq: u64) {
        self.0.passed.fetch_max(seq, Ordering::Relaxed);
    }
}

/// A receiver that can be down, hang, and lose what it did not settle.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    got: Vec<u64>,
    recalled: Vec<u64>,
    down: bool,
    hangs: bool,
    refuses: u64,
    attempts: u64,
    reached: Option<u64>,
    /// Lines count as settled only when this says so.
    settled: Option<u64>,
    rewind_to: Option<u64>,
    closed: bool,
}

impl Receiver {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn got(&self) -> Vec<u64> {
        self.inside().got.clone()
    }
}

impl Destination for Receiver {
    async fn reached(&mut self) -> Option<u64> {
        self.inside().reached
    }

    fn wants_the_past(&self) -> bool {
        true
    }

    fn recall(&mut self, line: &JournalLine) {
        self.inside().recalled.push(line.seq);
    }

    async fn deliver(&mut self, lines: &[JournalLine]) -> Result<Delivered, Failure> {
        self.inside().attempts += 1;
        if self.inside().hangs {
            std::future::pending::<()>().await;
        }
        let mut inside = self.inside();
        if let Some(seq) = inside.rewind_to.take() {
            return Err(Failure::new("the connection broke").resuming_after(seq));
        }
        if inside.down {
            return Err(Failure::new("nobody is there"));
        }
        inside.got.extend(lines.iter().map(|line| line.seq));
        Ok(Delivered { refused: inside.refuses, why: None })
    }

    async fn settled(&mut self, sent: u64) -> Result<u64, Failure> {
        Ok(self.inside().settled.unwrap_or(sent))
    }

    async fn close(&mut self) {
        let mut inside = self.inside();
        (inside.closed, inside.settled) = (true, None);
    }
}

#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    given_up: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Observer for Counts {
    fn delivered(&self, _sink: &str, lines: u64) {
        self.delivered.fetch_add(lines, Ordering::Relaxed);
    }
    fn given_up(&self, _sink: &str, lines: u64) {
        self.given_up.fetch_add(lines, Ordering::Relaxed);
    }
    fn refused(&self, _sink: &str, lines: u64) {
        self.refused.fetch_add(lines, Ordering::Relaxed);
    }
    fn failed(&self, _sink: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
    fn waiting(&self, _sink: &str, _lines: u64, _bytes: u64) {}
}

/// One sink on a stage.
struct Stage {
    book: Book,
    directory: tempfile::TempDir,
    counts: Arc<Counts>,
    log: Log,
    told: Collected,
    spool_max: u64,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends");
    }
}

impl Stage {
    fn new() -> Self {
        let (log, told) = Log::for_test();
        let directory = tempfile::tempdir().expect("a directory");
        Self { book: Book::new(), directory, counts: Arc::default(), log, told, spool_max: 1 << 30 }
    }

    fn file(&self, name: &str) -> PositionFile {
        PositionFile::new(self.directory.path(), name)
    }

    fn position(&self, name: &str) -> Option<u64> {
        self.file(name).read().expect("readable").map(|position| position.seq)
    }

    /// The losses on record: sink, lines, from, to.
    fn told_of(&self) -> Vec<(String, u64, u64, u64)> {
        let of = |line: serde_json::Value| {
            assert_eq!(line["event"], "sink-overflowed");
            let number = |field: &str| line[field].as_u64().expect("a number");
            let sink = line["sink"].as_str().expect("a name").to_owned();
            (sink, number("lines"), number("from"), number("to"))
        };
        self.told.lines().into_iter().map(of).collect()
    }

    fn start(&self, name: &str, receiver: &Receiver) -> Running {
        let terms = Terms {
            name: name.into(),
            node: "b1".into(),
            position: self.file(name),
            spool_max: self.spool_max,
            log: self.log.clone(),
            observer: Arc::clone(&self.counts) as Arc<dyn Observer>,
            reopen: Arc::new(Notify::new()),
        };
        let position = terms.position.read().expect("readable");
        let runner = Runner::new(self.book.clone(), receiver.clone(), terms, position.as_ref());
        let stop = CancellationToken::new();
        Running { task: tokio::spawn(runner.run(stop.clone())), stop }
    }
}

#[tokio::test(start_paused = true)]
async fn lines_come_once_in_order_and_the_position_follows() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    stage.book.add(2000);
    let running = stage.start("a", &receiver);
    sleep(MINUTE).await;
    stage.book.add(1);
    sleep(MINUTE).await;
    assert_eq!(receiver.got(), (1..=2001).collect::<Vec<_>>());
    assert_eq!((stage.position("a"), stage.book.0.passed.load(Ordering::Relaxed)), (Some(2001), 2001));
    stage.book.add(5);
    running.stop().await;
    assert_eq!((receiver.got().len(), stage.position("a")), (2006, Some(2006)));
    assert!(receiver.inside().closed);
    assert_eq!(stage.counts.delivered.load(Ordering::Relaxed), 2006);
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_for_an_hour_costs_no_memory_and_no_other_sink_and_loses_nothing() {
    let stage = Stage::new();
    let (dead, alive, hanging) = (Receiver::default(), Receiver::default(), Receiver::default());
    dead.inside().down = true;
    hanging.inside().hangs = true;
    let running = [("dead", &dead), ("alive", &alive), ("hanging", &hanging)]
        .map(|(name, receiver)| stage.start(name, receiver));
    for step in 1..=360_u64 {
        stage.book.add(100);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(alive.got().last(), Some(&(step * 100)), "the other one is current");
    }
    assert!(dead.got().is_empty() && hanging.got().is_empty());
    assert!((60..200).contains(&dead.inside().attempts), "{}", dead.inside().attempts);
    assert!(stage.book.0.read_at_once_max.load(Ordering::Relaxed) <= LINES_MAX, "one batch in memory");
    dead.inside().down = false;
    hanging.inside().hangs = false;
    sleep(2 * MINUTE).await;
    let all: Vec<_> = (1..=36_000).collect();
    assert_eq!((dead.got(), hanging.got()), (all.clone(), all));
    assert_eq!(stage.counts.given_up.load(Ordering::Relaxed), 0);
    assert!(stage.told_of().is_empty());
    for one in running {
        one.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_given_up_oldest_first_counted_and_put_on_record() {
    let stage = Stage { spool_max: 100_000, ..Stage::new() };
    let receiver = Receiver::default();
    receiver.inside().down = true;
    stage.book.add(900);
    let running = stage.start("siem", &receiver);
    sleep(MINUTE).await;
    assert!(stage.told_of().is_empty());
    stage.book.add(900);
    sleep(2 * MINUTE).await;
    receiver.inside().down = false;
    sleep(2 * MINUTE).await;
    // 1800 lines of 100 bytes wait, and fifteen sixteenths of 100,000 bytes stay.
    let given_up = 1800 - 937;
    assert_eq!(stage.counts.given_up.load(Ordering::Relaxed), given_up);
    assert_eq!(receiver.got(), (given_up + 1..=1800).collect::<Vec<_>>());
    assert_eq!(stage.told_of(), [("siem".to_owned(), given_up, 1, given_up)]);
    running.stop().await;
    assert_eq!(stage.file("siem").read().expect("readable"), Some(Position::new("b1", 1800, None)));
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_loses_nothing_and_doubles_only_what_was_not_written_down() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    let running = stage.start("a", &receiver);
    stage.book.add(100);
    sleep(MINUTE).await;
    running.task.abort();
    stage.book.add(100);
    let running = stage.start("a", &receiver);
    sleep(MINUTE).await;
    // The second run is killed when 50 more lines were delivered and no position was written.
    receiver.inside().settled = Some(200);
    stage.book.add(50);
    sleep(MINUTE).await;
    running.task.abort();
    receiver.inside().settled = None;
    let running = stage.start("a", &receiver);
    sleep(MINUTE).await;
    let expected: Vec<u64> = (1..=250).chain(201..=250).collect();
    assert_eq!(receiver.got(), expected);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_destination_has_already_is_not_sent_again_and_it_may_see_the_past() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    stage.book.add(100);
    stage.file("a").write(&Position::new("b1", 80, None)).expect("written");
    receiver.inside().reached = Some(90);
    let running = stage.start("a", &receiver);
    sleep(MINUTE).await;
    assert_eq!(receiver.got(), (91..=100).collect::<Vec<_>>());
    assert_eq!(receiver.inside().recalled, (1..=90).collect::<Vec<_>>());
    running.stop().await;
    // What it claims to have is nonsense where the journal does not have it.
    let receiver = Receiver::default();
    receiver.inside().reached = Some(5000);
    let running = stage.start("a", &receiver);
    stage.book.add(1);
    sleep(MINUTE).await;
    assert_eq!(receiver.got(), [101]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_were_on_their_way_when_a_connection_broke_go_again() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    receiver.inside().settled = Some(3);
    let running = stage.start("a", &receiver);
    stage.book.add(10);
    sleep(MINUTE).await;
    assert_eq!(stage.position("a"), Some(3), "what is not settled is not written down");
    receiver.inside().rewind_to = Some(3);
    stage.book.add(1);
    sleep(MINUTE).await;
    assert_eq!(receiver.got(), (1..=10).chain(4..=11).collect::<Vec<_>>());
    running.stop().await;
    assert_eq!(stage.position("a"), Some(11));
}

#[tokio::test(start_paused = true)]
async fn lines_that_the_journal_has_no_longer_are_told() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    stage.book.add(100);
    stage.book.remove_through(50);
    stage.file("a").write(&Position::new("b1", 10, None)).expect("written");
    let running = stage.start("a", &receiver);
    sleep(MINUTE).await;
    assert_eq!(receiver.got(), (51..=100).collect::<Vec<_>>());
    assert_eq!(stage.counts.given_up.load(Ordering::Relaxed), 40);
    assert_eq!(stage.told_of(), [("a".to_owned(), 40, 11, 50)]);
    running.stop().await;
    // A sink that is new begins with what there is.
    let receiver = Receiver::default();
    stage.start("new", &receiver).stop().await;
    assert_eq!((receiver.got().first(), stage.told_of().len()), (Some(&51), 1));
}

#[tokio::test(start_paused = true)]
async fn another_journal_is_followed_from_its_first_line() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    stage.book.add(3);
    stage.file("a").write(&Position::new("b1", 1000, None)).expect("written");
    let running = stage.start("a", &receiver);
    sleep(MINUTE).await;
    running.stop().await;
    assert_eq!((receiver.got(), stage.position("a")), (vec![1, 2, 3], Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_could_not_be_put_on_record_is_told_after_a_restart() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    stage.book.add(10);
    let untold = Some(Gap::between(2, 7));
    stage.file("a").write(&Position::new("b1", 7, untold)).expect("written");
    let running = stage.start("a", &receiver);
    sleep(MINUTE).await;
    running.stop().await;
    assert_eq!(stage.told_of(), [("a".to_owned(), 5, 3, 7)]);
    assert_eq!(stage.file("a").read().expect("readable"), Some(Position::new("b1", 10, None)));
}

#[tokio::test(start_paused = true)]
async fn what_a_receiver_refuses_is_counted_and_not_sent_again() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    receiver.inside().refuses = 2;
    stage.book.add(5);
    let running = stage.start("a", &receiver);
    sleep(MINUTE).await;
    running.stop().await;
    assert_eq!(receiver.got().len(), 5);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((count(&stage.counts.delivered), count(&stage.counts.refused)), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_receiver_that_hangs() {
    let stage = Stage::new();
    let receiver = Receiver::default();
    receiver.inside().hangs = true;
    let running = stage.start("a", &receiver);
    stage.book.add(5);
    sleep(Duration::from_secs(3)).await;
    let before = Instant::now();
    running.stop().await;
    assert!(before.elapsed() <= 3 * LAST_WORDS, "{:?}", before.elapsed());
    assert_eq!(stage.position("a"), None);
}
