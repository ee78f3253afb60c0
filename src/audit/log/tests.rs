use std::io;
use std::sync::mpsc as sync_mpsc;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use super::*;
use crate::audit::chain::Batch;
use crate::audit::{Event, Placed, Reloadable};
use crate::clock::HandSetClock;

const REAL: Duration = Duration::from_secs(30);

fn clock() -> SharedClock {
    HandSetClock::at("2026-01-02T03:04:05.678Z")
}

fn entry() -> Entry {
    Entry::of_daemon(Event::Reloaded { what: Reloadable::Users })
}

fn numbered(problems: usize) -> Entry {
    let event = Event::ReloadRefused { what: Reloadable::Users, problems, detail: "x".into() };
    Entry::of_daemon(event)
}

fn node() -> NodeName {
    NodeName::parse("bastion-1").expect("a name")
}

fn settings(journal: PathBuf) -> Settings {
    Settings { journal, node: node(), sync: true, resume: None }
}

/// Every line that a log has on record.
fn lines(log: &Log) -> Vec<String> {
    let lines = log.journal().read(0, usize::MAX, usize::MAX).expect("readable");
    lines.into_iter().map(|line| line.text).collect()
}

fn problems(text: &str) -> Vec<u64> {
    let line = |line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line");
    text.lines().map(|text| line(text)["problems"].as_u64().expect("a number")).collect()
}

/// Keeps each append; waits for a go-ahead before each; fails where told.
struct Gated {
    arrived: mpsc::Sender<()>,
    go: sync_mpsc::Receiver<()>,
    appends: Arc<Mutex<Vec<String>>>,
    /// Fails appends of more than this many bytes.
    room: usize,
}

impl Append for Gated {
    fn append(&mut self, batch: &Batch) -> io::Result<()> {
        let lines = &batch.bytes;
        self.arrived.blocking_send(()).map_err(io::Error::other)?;
        self.go.recv_timeout(REAL).map_err(io::Error::other)?;
        self.appends.lock().expect("not poisoned").push(String::from_utf8_lossy(lines).into_owned());
        if lines.len() > self.room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

struct Gate {
    arrived: mpsc::Receiver<()>,
    go: sync_mpsc::Sender<()>,
    appends: Arc<Mutex<Vec<String>>>,
    log: Log,
}

fn gate(room: usize) -> Gate {
    let (go, waits) = sync_mpsc::channel();
    let (arrives, arrived) = mpsc::channel(200);
    let appends = Arc::new(Mutex::new(Vec::new()));
    let journal = Gated { arrived: arrives, go: waits, appends: Arc::clone(&appends), room };
    let chain = Chain { node: node(), tip: Tip::START };
    let log = Log::writing(Box::new(journal), chain, Arc::new(Book::in_memory()), clock()).expect("a thread");
    Gate { arrived, go, appends, log }
}

impl Gate {
    /// Sends 100 entries, the first of which is being written while the others wait.
    async fn hundred_waiting(&mut self) -> JoinSet<Result<(), AuditError>> {
        let mut callers = JoinSet::new();
        let Way::Thread(sender) = &self.log.way else { panic!("a threaded log") };
        for number in 0..100 {
            let log = self.log.clone();
            callers.spawn(async move { log.record(numbered(number)).await });
            if number == 0 {
                self.arrived.recv().await.expect("the thread lives");
            }
            while sender.max_capacity() - sender.capacity() != number {
                tokio::task::yield_now().await;
            }
        }
        callers
    }
}

#[tokio::test]
async fn a_recorded_line_is_in_the_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let log = Log::open(&settings(path.clone()), clock()).expect("it opens");
    log.record(entry()).await.expect("recorded");
    let zeros = LineHash::NONE;
    let line = format!(
        r#"{{"v":1,"node":"bastion-1","seq":1,"prev":"{zeros}","time":"2026-01-02T03:04:05.678Z","event":"reloaded","what":"users"}}"#
    );
    let file = path.join("00000000000000000001.jsonl");
    assert_eq!(std::fs::read_to_string(file).expect("readable"), format!("{line}\n"));
    assert_eq!(lines(&log), std::slice::from_ref(&line));
    assert_eq!(log.tip(), Tip { seq: 1, hash: LineHash::of(&line) });
    log.close().await.expect("closed");
    assert!(matches!(log.record(entry()).await, Err(AuditError::Closed)));
    assert!(matches!(log.close().await, Err(AuditError::Closed)));
}

#[tokio::test]
async fn closing_lets_go_of_the_journal_and_a_new_log_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    for _ in 0..20 {
        let log = Log::open(&settings(path.clone()), clock()).expect("it opens");
        log.record(entry()).await.expect("recorded");
        log.close().await.expect("closed");
    }
    let log = Log::open(&settings(path), clock()).expect("it opens");
    let lines = lines(&log);
    assert_eq!(lines.len(), 20);
    for (at, pair) in lines.windows(2).enumerate() {
        let placed = Placed::read(&pair[1]).expect("a place");
        assert_eq!((placed.seq, placed.prev), (at as u64 + 2, LineHash::of(&pair[0])));
    }
}

#[tokio::test]
async fn many_waiting_lines_are_written_together_in_order() {
    let mut gate = gate(usize::MAX);
    let callers = gate.hundred_waiting().await;
    gate.go.send(()).expect("the thread lives");
    gate.go.send(()).expect("the thread lives");
    let results = callers.join_all().await;
    assert!(results.iter().all(Result::is_ok));
    let appends = gate.appends.lock().expect("not poisoned").clone();
    assert_eq!(appends.len(), 2, "one for the first, one for the 99 that waited");
    assert_eq!(problems(&appends.concat()), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn when_a_group_does_not_fit_each_line_is_tried_by_itself() {
    let mut gate = gate(400);
    let callers = gate.hundred_waiting().await;
    for _ in 0..101 {
        gate.go.send(()).expect("the thread lives");
    }
    let results = callers.join_all().await;
    assert!(results.iter().all(Result::is_ok), "each line fits by itself");
    assert_eq!(gate.appends.lock().expect("not poisoned").len(), 101);
}

#[tokio::test]
async fn closing_writes_what_waits() {
    let mut gate = gate(usize::MAX);
    let callers = gate.hundred_waiting().await;
    let closing = tokio::spawn({
        let log = gate.log.clone();
        async move { log.close().await }
    });
    for _ in 0..100 {
        gate.go.send(()).expect("the thread lives");
    }
    closing.await.expect("no panic").expect("closed");
    assert!(callers.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_full_disk_fails_the_caller_and_the_next_call_recovers() {
    let (log, collected) = Log::for_test();
    log.record(entry()).await.expect("recorded");
    collected.fail_from(1);
    assert!(matches!(log.record(entry()).await, Err(AuditError::Write(_))));
    collected.recover();
    log.record(entry()).await.expect("recorded");
    assert_eq!(collected.names(), ["reloaded", "reloaded"]);
}

#[tokio::test]
async fn a_line_that_failed_leaves_its_number_to_the_next() {
    let mut gate = gate(400);
    let callers = gate.hundred_waiting().await;
    for _ in 0..101 {
        gate.go.send(()).expect("the thread lives");
    }
    assert!(callers.join_all().await.iter().all(Result::is_ok));
    let appends = gate.appends.lock().expect("not poisoned").clone();
    // The group of 99 failed as a whole; then each came alone, with the numbers that the group did not use.
    let numbers = |text: &str| -> Vec<u64> {
        text.lines().map(|line| Placed::read(line).expect("a place").seq).collect()
    };
    assert_eq!(numbers(&appends[0]), [1]);
    assert_eq!(numbers(&appends[1]), (2..=100).collect::<Vec<_>>());
    let alone: Vec<u64> = appends[2..].iter().flat_map(|text| numbers(text)).collect();
    assert_eq!(alone, (2..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_be_opened_is_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = Log::open(&settings(directory.path().join("no/journal")), clock()).expect_err("refused");
    let text = missing.to_string();
    assert!(
        text.contains("no/journal") && text.contains("check that the directory above it exists"),
        "{text}"
    );
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    assert!(matches!(Log::open(&settings(file), clock()), Err(AuditError::Open { .. })));
    let path = directory.path().join("journal");
    let first = Log::open(&settings(path.clone()), clock()).expect("it opens");
    let second = Log::open(&settings(path), clock()).expect_err("refused").to_string();
    assert!(second.contains("another process writes to it"), "{second}");
    first.close().await.expect("closed");
}

#[tokio::test(start_paused = true)]
async fn the_store_must_have_what_is_on_record() {
    let (log, _) = Log::for_test();
    log.in_store().await.expect("nobody stores it, so nobody waits");
    let (tell, stored) = watch::channel(Stored::UpTo(0));
    let log = log.stored_by(stored);
    log.in_store().await.expect("nothing is on record");
    log.record(entry()).await.expect("recorded");
    assert!(matches!(log.in_store().await, Err(AuditError::StoreSlow)));
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.in_store().await }
    });
    tell.send_replace(Stored::UpTo(1));
    waiting.await.expect("no panic").expect("it has the line");
    tell.send_replace(Stored::Down);
    assert!(matches!(log.in_store().await, Err(AuditError::StoreDown)));
    tell.send_replace(Stored::UpTo(0));
    drop(tell);
    assert!(matches!(log.in_store().await, Err(AuditError::StoreDown)));
}

#[tokio::test]
async fn who_observes_is_told_of_what_is_on_record_and_of_nothing_else() {
    #[derive(Default)]
    struct Names(Mutex<Vec<&'static str>>);
    impl Observer for Names {
        fn recorded(&self, entry: &Entry) {
            self.0.lock().expect("not poisoned").push(entry.event.name());
        }
    }
    let names = Arc::new(Names::default());
    let (log, collected) = Log::for_test();
    let log = log.observed_by(Arc::<Names>::clone(&names));
    log.record(entry()).await.expect("recorded");
    collected.fail_from(1);
    assert!(log.record(entry()).await.is_err());
    assert_eq!(*names.0.lock().expect("not poisoned"), ["reloaded"]);
    let directory = tempfile::tempdir().expect("a directory");
    let log = Log::open(&settings(directory.path().join("journal")), clock()).expect("it opens");
    log.observed_by(Arc::<Names>::clone(&names)).record(entry()).await.expect("recorded");
    assert_eq!(*names.0.lock().expect("not poisoned"), ["reloaded", "reloaded"]);
}

#[tokio::test]
async fn a_disk_that_does_not_answer_is_not_waited_for_for_ever() {
    let gate = gate(usize::MAX);
    tokio::time::pause();
    assert!(matches!(gate.log.record(entry()).await, Err(AuditError::TooSlow)));
}

/// How much a record costs beside the sync that it cannot do without. To be read, not to be held to:
/// `cargo test --release --lib audit::log::tests::what_a_record_costs -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn what_a_record_costs() {
    use std::io::Write;
    use std::time::Instant;

    const COUNT: u32 = 300;
    let directory =
        tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).expect("a directory");
    let line = vec![b'x'; 400];
    let mut file = std::fs::File::create(directory.path().join("bare")).expect("a file");
    let begun = Instant::now();
    for _ in 0..COUNT {
        file.write_all(&line).and_then(|()| file.sync_data()).expect("written");
    }
    let bare = begun.elapsed() / COUNT;
    let log = Log::open(&settings(directory.path().join("journal")), clock()).expect("it opens");
    let begun = Instant::now();
    for _ in 0..COUNT {
        log.record(entry()).await.expect("recorded");
    }
    let alone = begun.elapsed() / COUNT;
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for number in 0..64 {
        let log = log.clone();
        callers.spawn(async move {
            for _ in 0..50 {
                log.record(numbered(number)).await.expect("recorded");
            }
        });
    }
    callers.join_all().await;
    let together = begun.elapsed() / (64 * 50);
    let chain = Chain { node: node(), tip: Tip::START };
    let line = json::line(clock().now(), &entry()).expect("a line");
    let begun = Instant::now();
    let batch = chain.place(std::iter::repeat_n(line.as_slice(), 100_000));
    let place = begun.elapsed() / 100_000;
    assert_eq!(batch.tip.seq, 100_000);
    println!(
        "write and fdatasync {bare:?}; record() {alone:?}; with 64 callers {together:?} each; a place in the chain {place:?}"
    );
}
