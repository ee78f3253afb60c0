//! The indexer follows a journal through whatever happens to the database.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::testing::postgres::Cluster;
use crate::store::testing::{Lab, Scribe, on_both};
use crate::store::{Indexer, JournalLine, Lines, News, Place, Store, StoreError, Stored};

const ALL: u32 = 100_000;
const REAL: Duration = Duration::from_secs(90);

/// A journal in memory.
struct Journal {
    lines: Mutex<Vec<JournalLine>>,
    committed: watch::Sender<u64>,
    passed: watch::Sender<u64>,
}

impl Journal {
    fn of(scribe: &Scribe) -> Arc<Self> {
        let journal =
            Self { lines: Mutex::default(), committed: watch::Sender::new(0), passed: watch::Sender::new(0) };
        journal.take(scribe);
        Arc::new(journal)
    }

    fn take(&self, scribe: &Scribe) {
        *self.lines.lock().expect("not poisoned") = scribe.lines.clone();
        self.committed.send_replace(scribe.lines.last().map_or(0, |line| line.seq));
    }
}

impl Lines for Journal {
    fn committed(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    fn read(&self, after: u64, lines_max: usize, _bytes_max: usize) -> io::Result<Vec<JournalLine>> {
        let lines = self.lines.lock().expect("not poisoned");
        Ok(lines.iter().filter(|line| line.seq > after).take(lines_max).cloned().collect())
    }

    fn passed(&self, seq: u64) {
        self.passed.send_replace(seq);
    }
}

/// A running indexer.
struct Following {
    journal: Arc<Journal>,
    stored: watch::Receiver<Stored>,
    news: Arc<Mutex<Vec<News>>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Following {
    async fn start(store: &Store, scribe: &Scribe) -> Result<Self, StoreError> {
        let (journal, news, stop) =
            (Journal::of(scribe), Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        let told = Arc::clone(&news);
        let tell = move |new| told.lock().expect("not poisoned").push(new);
        let lines = Arc::clone(&journal) as Arc<dyn Lines>;
        let (indexer, stored) = Indexer::start(store.clone(), scribe.node.clone(), lines, tell).await?;
        let task = tokio::spawn(indexer.run(stop.clone()));
        Ok(Self { journal, stored, news, stop, task })
    }

    async fn until(&mut self, state: Stored) {
        let waiting = self.stored.wait_for(|now| *now == state);
        tokio::time::timeout(REAL, waiting).await.expect("in time").expect("it runs");
    }

    async fn caught_up(&mut self, scribe: &Scribe) {
        self.journal.take(scribe);
        self.until(Stored::UpTo(scribe.lines.last().expect("a line").seq)).await;
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(REAL, self.task).await.expect("in time").expect("no panic");
    }
}

on_both! {
    async fn everything_is_stored_and_only_what_is_durable_is_forgotten(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        for number in 0..300 {
            scribe.visit(number, "alice", "web-1", "uptime");
        }
        let mut following = Following::start(&store, &scribe).await.expect("it starts");
        following.caught_up(&scribe).await;
        scribe.visit(1_000, "bob", "web-1", "uptime");
        following.caught_up(&scribe).await;
        let journal = Arc::clone(&following.journal);
        following.end().await;
        assert_eq!(*journal.passed.borrow(), scribe.lines.len() as u64);
        assert_eq!(store.lines(&scribe.node, 0, ALL).await.expect("an answer"), scribe.lines);
        let again = Following::start(&store, &scribe).await.expect("it is the same chain");
        again.end().await;
    }

    async fn another_drawbridge_of_the_same_name_is_refused_with_a_sentence(lab) {
        let store = lab.open().await;
        let (mut first, mut second) = (Scribe::new("bastion"), Scribe::new("bastion"));
        first.visit(1, "alice", "web-1", "uptime");
        second.visit(2, "bob", "web-1", "uptime");
        store.append(&first.node, &first.lines).await.expect("appended");
        let error = Following::start(&store, &second).await.err().expect("refused");
        assert!(matches!(error, StoreError::OtherChain { .. }), "{error}");
        assert!(error.to_string().contains("a `node.name` of its own"), "{error}");
        second.lines.truncate(3);
        let error = Following::start(&store, &second).await.err().expect("refused");
        assert!(matches!(error, StoreError::JournalBehind { stored: 8, journal: 3, .. }), "{error}");
        let mut grown = first.clone();
        grown.visit(3, "alice", "web-1", "uptime");
        grown.lines.drain(..8); // the journal's older segments are gone
        let mut following = Following::start(&store, &grown).await.expect("it is the same chain");
        following.caught_up(&grown).await;
        following.end().await;
    }

    async fn a_database_that_lost_its_last_transactions_gets_them_again_and_it_is_told(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        scribe.visit(1, "alice", "web-1", "uptime");
        // The state of a server that followed at a distance, and is to take the first one's place.
        let behind = (scribe.lines.len(), scribe.lines.last().expect("a line").clone());
        let mut following = Following::start(&store, &scribe).await.expect("it starts");
        following.caught_up(&scribe).await;
        scribe.visit(2, "bob", "web-1", "uptime");
        following.caught_up(&scribe).await;
        for sql in [
            "DELETE FROM events WHERE seq > 8",
            "DELETE FROM sessions WHERE user_name = 'bob'",
            "DELETE FROM connections WHERE user_name = 'bob'",
            "DELETE FROM decisions WHERE seq > 8",
        ] {
            store.tamper(sql).await;
        }
        assert_eq!(behind.0, 8);
        let mut back = crate::store::sql::Sql::new("UPDATE nodes SET seq = 8, hash = ");
        back.bind(crate::store::LineHash::of(&behind.1.text).to_string());
        store.run(back).await.expect("set back");
        scribe.visit(3, "carol", "web-1", "uptime");
        following.caught_up(&scribe).await;
        let news = Arc::clone(&following.news);
        following.end().await;
        let news = news.lock().expect("not poisoned").clone();
        assert!(
            matches!(news.as_slice(), [News::Unavailable { detail }, News::Recovered { lines: 16, .. }] if detail.contains("up to 8")),
            "{news:?}"
        );
        assert_eq!(store.lines(&scribe.node, 0, ALL).await.expect("an answer"), scribe.lines);
        assert_eq!(store.check_derived().await.expect("an answer").mismatches, []);
    }

    async fn a_database_that_refuses_for_a_while_is_told_once_and_catches_up(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        scribe.visit(1, "alice", "web-1", "uptime");
        let mut following = Following::start(&store, &scribe).await.expect("it starts");
        following.caught_up(&scribe).await;
        store.tamper("ALTER TABLE decisions RENAME TO mislaid").await;
        scribe.visit(2, "bob", "web-1", "uptime");
        following.journal.take(&scribe);
        following.until(Stored::Down).await;
        scribe.visit(3, "carol", "web-1", "uptime");
        following.journal.take(&scribe);
        store.tamper("ALTER TABLE mislaid RENAME TO decisions").await;
        following.caught_up(&scribe).await;
        let news = Arc::clone(&following.news);
        following.end().await;
        let news = news.lock().expect("not poisoned").clone();
        assert!(matches!(news.as_slice(), [News::Unavailable { .. }, News::Recovered { lines: 16, .. }]), "{news:?}");
        assert_eq!(store.lines(&scribe.node, 0, ALL).await.expect("an answer"), scribe.lines);
        assert_eq!(store.check_derived().await.expect("an answer").mismatches, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_in_the_middle_loses_nothing_and_doubles_nothing() {
    let Some(mut server) = tokio::task::spawn_blocking(Cluster::start).await.expect("no panic") else {
        return;
    };
    let url = server.database("crashing");
    let store = Store::open(Place::server(&url)).await.expect("it opens");
    let mut scribe = Scribe::new("a");
    for number in 0..500 {
        scribe.visit(number, "alice", "web-1", "uptime");
    }
    let mut following = Following::start(&store, &scribe).await.expect("it starts");
    for round in 1..=3_u128 {
        // In the middle: some of it is stored, and not yet all.
        let base = store.position(&scribe.node).await.expect("an answer").map_or(0, |(seq, _)| seq);
        for number in 0..500 {
            scribe.visit(round * 10_000 + number, "alice", "web-1", "uptime");
        }
        following.journal.take(&scribe);
        let begun = following.stored.wait_for(|now| matches!(now, Stored::UpTo(seq) if *seq > base));
        tokio::time::timeout(REAL, begun).await.expect("in time").expect("it runs");
        server = tokio::task::spawn_blocking(move || {
            server.crash();
            server
        })
        .await
        .expect("no panic");
        following.until(Stored::Down).await;
        server = tokio::task::spawn_blocking(move || {
            server.start_again();
            server
        })
        .await
        .expect("no panic");
        following.caught_up(&scribe).await;
    }
    following.end().await;
    assert_eq!(store.lines(&scribe.node, 0, ALL).await.expect("an answer"), scribe.lines);
    assert_eq!(store.check_derived().await.expect("an answer").mismatches, []);
}

#[tokio::test]
async fn a_file_that_another_process_has_locked_is_waited_for() {
    let lab = Lab::sqlite();
    let store = lab.open().await;
    let mut scribe = Scribe::new("a");
    scribe.visit(1, "alice", "web-1", "uptime");
    let other = lab.open().await;
    let mut holding = other.pool.begin().await.expect("a transaction");
    sqlx::query("DELETE FROM words").execute(&mut *holding).await.expect("it takes the lock");
    let mut following = Following::start(&store, &scribe).await.expect("it starts");
    following.until(Stored::Down).await;
    holding.rollback().await.expect("it gives the lock back");
    following.caught_up(&scribe).await;
    following.end().await;
}
