//! The handle through which everyone records.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::file::FileSink;
use super::memory::{Collected, MemorySink};
use super::writer::{self, Command, Waiting};
use super::{AuditError, Entry, Sink, json};
use crate::clock::SharedClock;

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file; created with mode 0600 where it is missing. Its directory must exist.
    pub path: PathBuf,
    /// Whether each line also goes to standard output, and counts only when it got there.
    pub stdout: bool,
    /// Whether a line counts only when the disk has it (`fdatasync`). Without it, a power cut
    /// loses the last lines.
    pub sync: bool,
}

/// The audit log. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    way: Way,
    clock: SharedClock,
}

#[derive(Clone)]
enum Way {
    /// To the writer thread.
    Thread(mpsc::Sender<Command>),
    /// To memory, at once.
    Memory(MemorySink),
}

impl Log {
    /// The longest that [`Log::record`] waits for the disk.
    pub const RECORD_DEADLINE: Duration = Duration::from_secs(10);

    /// Opens the log that the settings describe.
    ///
    /// # Errors
    /// When the file cannot be opened, is not a regular file or is written to by another
    /// process, or the writer thread cannot be started.
    pub fn open(settings: &Settings, clock: SharedClock) -> Result<Self, AuditError> {
        let echo = settings.stdout.then(|| -> Box<dyn Write + Send> { Box::new(io::stdout()) });
        let sink = FileSink::open(&settings.path, settings.sync, echo).map_err(|error| AuditError::Open {
            path: settings.path.display().to_string(),
            source: Arc::new(error),
        })?;
        Self::to_sink(Box::new(sink), clock)
    }

    /// A log that writes to `sink` from a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn to_sink(sink: Box<dyn Sink>, clock: SharedClock) -> Result<Self, AuditError> {
        let (sender, commands) = mpsc::channel(writer::WAITING_MAX);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer::run(commands, sink))
            .map_err(|error| AuditError::Start(Arc::new(error)))?;
        Ok(Self { way: Way::Thread(sender), clock })
    }

    /// A log in memory and what it collects, for tests. It has no thread, so it works with
    /// tokio's paused time.
    #[must_use]
    pub fn in_memory(clock: SharedClock) -> (Self, Collected) {
        let sink = MemorySink::default();
        let collected = sink.collected();
        (Self { way: Way::Memory(sink), clock }, collected)
    }

    /// A log in memory at a fixed time.
    #[cfg(test)]
    pub(crate) fn for_test() -> (Self, Collected) {
        Self::in_memory(crate::clock::HandSetClock::at("2026-01-02T03:04:05.678Z"))
    }

    /// Records what happened, or is about to. Resolves when the line is durable.
    ///
    /// A caller that stops waiting does not take its line back.
    ///
    /// # Errors
    /// When the line is not on record; then the thing must not happen. A later call may succeed:
    /// every line is tried anew.
    pub async fn record(&self, entry: Entry) -> Result<(), AuditError> {
        let line =
            json::line(self.clock.now(), &entry).map_err(|error| AuditError::Encode(Arc::new(error)))?;
        match &self.way {
            Way::Memory(sink) => {
                sink.clone().append(&line).map_err(|error| AuditError::Write(Arc::new(error)))
            }
            Way::Thread(sender) => {
                let asking = ask(sender, |answer| Command::Append(Waiting { line, answer }));
                tokio::time::timeout(Self::RECORD_DEADLINE, asking).await.unwrap_or(Err(AuditError::TooSlow))
            }
        }
    }

    /// Opens the file again if it was renamed or removed, as after SIGHUP from log rotation.
    /// Appending does so too: this only makes an empty new file appear early.
    ///
    /// # Errors
    /// When it cannot be opened; lines then fail too, until it can.
    pub async fn reopen(&self) -> Result<(), AuditError> {
        match &self.way {
            Way::Memory(_) => Ok(()),
            Way::Thread(sender) => ask(sender, Command::Reopen).await,
        }
    }

    /// Writes what waits and lets go of the file. Later records fail with [`AuditError::Closed`].
    ///
    /// # Errors
    /// When the log was closed before.
    pub async fn close(&self) -> Result<(), AuditError> {
        match &self.way {
            Way::Memory(_) => Ok(()),
            Way::Thread(sender) => ask(sender, Command::Close).await,
        }
    }
}

/// Sends a command and waits for its answer.
async fn ask(
    sender: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<Result<(), AuditError>>) -> Command,
) -> Result<(), AuditError> {
    let (answer, answered) = oneshot::channel();
    sender.send(command(answer)).await.map_err(|_| AuditError::Closed)?;
    answered.await.unwrap_or(Err(AuditError::Closed))
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc as sync_mpsc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::audit::{Event, Reloadable};
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

    fn settings(path: PathBuf) -> Settings {
        Settings { path, stdout: false, sync: true }
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

    impl Sink for Gated {
        fn append(&mut self, lines: &[u8]) -> io::Result<()> {
            self.arrived.blocking_send(()).map_err(io::Error::other)?;
            self.go.recv_timeout(REAL).map_err(io::Error::other)?;
            self.appends.lock().expect("not poisoned").push(String::from_utf8_lossy(lines).into_owned());
            if lines.len() > self.room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn reopen(&mut self) -> io::Result<()> {
            Ok(())
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
        let sink = Gated { arrived: arrives, go: waits, appends: Arc::clone(&appends), room };
        Gate { arrived, go, appends, log: Log::to_sink(Box::new(sink), clock()).expect("a thread") }
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
    async fn a_recorded_line_is_in_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        let log = Log::open(&settings(path.clone()), clock()).expect("it opens");
        log.record(entry()).await.expect("recorded");
        let line =
            "{\"v\":1,\"time\":\"2026-01-02T03:04:05.678Z\",\"event\":\"reloaded\",\"what\":\"users\"}\n";
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), line);
        log.close().await.expect("closed");
        assert!(matches!(log.record(entry()).await, Err(AuditError::Closed)));
        assert!(matches!(log.close().await, Err(AuditError::Closed)));
    }

    #[tokio::test]
    async fn closing_lets_go_of_the_file_and_a_new_log_goes_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        for _ in 0..20 {
            let log = Log::open(&settings(path.clone()), clock()).expect("it opens");
            log.record(entry()).await.expect("recorded");
            log.close().await.expect("closed");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("readable").lines().count(), 20);
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
        let mut gate = gate(200);
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
    async fn a_missing_directory_is_explained() {
        let directory = tempfile::tempdir().expect("a directory");
        let error =
            Log::open(&settings(directory.path().join("no/audit.jsonl")), clock()).expect_err("refused");
        let text = error.to_string();
        assert!(
            text.contains("no/audit.jsonl") && text.contains("check that its directory exists"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_disk_that_does_not_answer_is_not_waited_for_for_ever() {
        let gate = gate(usize::MAX);
        tokio::time::pause();
        assert!(matches!(gate.log.record(entry()).await, Err(AuditError::TooSlow)));
    }
}
