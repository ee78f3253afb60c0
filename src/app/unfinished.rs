//! Brings to an end what an earlier run left unfinished, because it was killed.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::recordings;
use crate::audit::{Entry, Event, Log, Text};
use crate::domain::{ChannelNumber, ConnectionId, NodeName, RecordMode, RecordingId, SessionId};
use crate::record::vault::Vault;
use crate::record::{Salvaged, Spool};
use crate::session::Roster;
use crate::store::{EventFilter, RecordingRow, Store};

/// How long starting waits for the store to have everything, before it goes on and tries again beside the sessions.
const FIRST: Duration = Duration::from_secs(10);
/// How long it waits between two tries.
const AGAIN: Duration = Duration::from_secs(10);
/// How long a bucket may take to give a recording that is to be read again.
const FETCH: Duration = Duration::from_secs(30);
/// The most channels of a session that are looked through for a recording's.
const CHANNELS_MAX: u32 = 10_000;

/// Sessions and connections that have no ending, because the daemon was killed.
pub(super) struct Unfinished {
    pub(super) store: Store,
    pub(super) node: NodeName,
    pub(super) log: Log,
    pub(super) roster: Roster,
    /// Where recordings are, and where they go.
    pub(super) recordings: Option<(Spool, Vault)>,
    /// The last line before this run let anybody in. A clock may have been set back between two runs; numbers go up.
    pub(super) through: u64,
}

impl Unfinished {
    /// Ends them before anybody is let in; where the store has not caught up by then, as soon as it has.
    pub(super) async fn end_soon(self, running: &mut JoinSet<()>, stop: CancellationToken) {
        if let Ok(true) = tokio::time::timeout(FIRST, self.end()).await {
            return;
        }
        tracing::warn!("sessions of an earlier run are brought to an end once the store answers");
        running.spawn(async move {
            while !self.end().await {
                if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Whether all are ended.
    async fn end(&self) -> bool {
        match self.try_end().await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(error, "sessions of an earlier run cannot be brought to an end yet");
                false
            }
        }
    }

    async fn try_end(&self) -> Result<(), String> {
        self.log.in_store().await.map_err(|error| error.to_string())?;
        let sessions = self.store.unfinished(&self.node).await.map_err(|error| error.to_string())?;
        let gone: HashSet<SessionId> =
            sessions.iter().map(|session| session.row.id).filter(|id| !self.roster.has(*id)).collect();
        // One of this run may have ended in between: then its ending is on record, and in the store after this.
        self.log.in_store().await.map_err(|error| error.to_string())?;
        let sessions = self.store.unfinished(&self.node).await.map_err(|error| error.to_string())?;
        let interrupted = || sessions.iter().filter(|session| gone.contains(&session.row.id));
        for session in interrupted() {
            let connection = session.row.connection;
            self.end_recordings(connection, session.row.id).await?;
            let event = Event::SessionInterrupted { last_seen: session.last_seen };
            self.record(Entry { connection, session: Some(session.row.id), event }).await?;
        }
        let connections =
            self.store.unfinished_connections(&self.node).await.map_err(|error| error.to_string())?;
        for connection in &connections {
            if self.is_of_an_earlier_run(connection.row.id).await? {
                let event = Event::ConnectionInterrupted { last_seen: connection.last_seen };
                self.record(Entry::of_connection(connection.row.id, event)).await?;
            }
        }
        if interrupted().next().is_some() {
            tracing::warn!(sessions = interrupted().count(), "sessions of an earlier run were interrupted");
        }
        Ok(())
    }

    async fn is_of_an_earlier_run(&self, connection: ConnectionId) -> Result<bool, String> {
        let its = EventFilter { connection: Some(connection), ..EventFilter::default() };
        let first = self.store.events(&its, 1, None).await.map_err(|error| error.to_string())?;
        // Whose lines somebody removed is not of this run: these are being written.
        Ok(first.first().is_none_or(|first| first.seq <= self.through))
    }

    /// Says of each recording of a session whose ending did not get into the record what there is of it, or that there
    /// is nothing: what the record promised does not go in silence.
    async fn end_recordings(
        &self,
        connection: Option<ConnectionId>,
        session: SessionId,
    ) -> Result<(), String> {
        let known = self.store.recordings_of(&session).await.map_err(|error| error.to_string())?;
        for row in known.iter().filter(|row| row.sha256.is_none()) {
            match self.reread(row.id).await {
                Ok(found) => self.record(recordings::told(&found)).await?,
                Err(why) if row.failure.is_none() => {
                    let event = self.lost(session, row, &why).await?;
                    self.record(Entry { connection, session: Some(session), event }).await?;
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Reads a recording again, wherever it is; why not, without the full stop.
    async fn reread(&self, id: RecordingId) -> Result<Salvaged, String> {
        let Some((spool, vault)) = &self.recordings else {
            return Err("recordings are not kept here".to_owned());
        };
        let here = spool.clone();
        let read = blocking(move || here.reread(id)).await;
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => return read.map_err(|error| error.to_string()),
        }
        // It may have been moved before the line about its ending was written.
        let fetched = tokio::time::timeout(FETCH, vault.open_recording(spool, id)).await;
        let file = fetched.map_err(|_| "the bucket did not answer in time".to_owned())?;
        let file = file.map_err(|error| {
            if error.is_absence() { "its file is not there".to_owned() } else { error.to_string() }
        })?;
        let spool = spool.clone();
        blocking(move || spool.reread_from(id, file)).await.map_err(|error| error.to_string())
    }

    async fn lost(&self, session: SessionId, row: &RecordingRow, why: &str) -> Result<Event, String> {
        let channel = row.channel.and_then(|channel| u32::try_from(channel).ok()).unwrap_or_default();
        let detail =
            format!("the daemon was stopped while it was written, and nothing of it can be read: {why}");
        tracing::error!(recording = %row.id, %session, why, "a recording of an earlier run is not there");
        Ok(Event::RecordingFailed {
            channel: ChannelNumber(channel),
            recording: Some(row.id),
            mode: self.mode_of(session, row.id).await?,
            detail: Text::from(detail),
        })
    }

    /// What the line that began a recording said of it.
    async fn mode_of(&self, session: SessionId, recording: RecordingId) -> Result<RecordMode, String> {
        #[derive(Deserialize)]
        struct Started {
            record: String,
            recording: Option<String>,
        }
        let started = EventFilter {
            session: Some(session),
            kind: Some("channel-started".to_owned()),
            ..EventFilter::default()
        };
        let rows =
            self.store.events(&started, CHANNELS_MAX, None).await.map_err(|error| error.to_string())?;
        let its = rows
            .iter()
            .filter_map(|row| serde_json::from_str::<Started>(&row.line).ok())
            .find(|line| line.recording.as_deref().and_then(RecordingId::parse) == Some(recording));
        Ok(its.and_then(|line| RecordMode::parse(&line.record)).unwrap_or(RecordMode::BestEffort))
    }

    async fn record(&self, entry: Entry) -> Result<(), String> {
        self.log.record(entry).await.map_err(|error| error.to_string())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    use super::*;
    use crate::audit::{ActionFacts, RecordFacts};
    use crate::clock::HandSetClock;
    use crate::domain::Action;
    use crate::policy::Limits;
    use crate::record::{FinishedRecording, Program, Recorders, Settings, Subject, Terminal};

    /// What an earlier run left: a log, a store that has all of it, and a place for recordings.
    struct Left {
        log: Log,
        store: Store,
        folder: tempfile::TempDir,
        vault: Vault,
    }

    impl Left {
        async fn new() -> Self {
            // The clock stands still: times tell nothing.
            let (log, _) = Log::in_memory(HandSetClock::at("2026-01-02T03:04:05Z"));
            let store = Store::in_memory().await.expect("a store");
            let folder = tempfile::tempdir().expect("a directory");
            Self { log, store, folder, vault: Vault::open(None).expect("a vault") }
        }

        async fn connected(&self, number: u128) -> ConnectionId {
            let connection = ConnectionId::fixed(number);
            let address = "127.0.0.1:2222".parse().expect("an address");
            let client_addr = "203.0.113.7".parse().expect("an address");
            let event = Event::ConnectionOpened { client_addr, client_port: 50_122, listener: address };
            self.log.record(Entry::of_connection(connection, event)).await.expect("recorded");
            connection
        }

        /// A session with one terminal, which is recorded.
        async fn recorded(&self, connection: ConnectionId, recording: RecordingId) -> SessionId {
            let session = SessionId::fixed(2);
            let mut examples = crate::audit::examples::all().into_iter().map(|entry| entry.event);
            let started = examples.find(|event| matches!(event, Event::SessionStarted { .. }));
            let channel = Event::ChannelStarted {
                channel: ChannelNumber(1),
                action: ActionFacts::from(&Action::Shell),
                pty: None,
                record: RecordFacts { record: RecordMode::Required, recording: Some(recording) },
            };
            for event in [started.expect("an example"), channel] {
                let entry = Entry { connection: Some(connection), session: Some(session), event };
                self.log.record(entry).await.expect("recorded");
            }
            session
        }

        fn spool(&self) -> Spool {
            Spool::open(self.folder.path()).expect("made")
        }

        /// Begins a new run, in which nothing is before the line `through`; what it says.
        async fn ended(&self, through: u64) -> Vec<Value> {
            let lines = || self.log.journal().read(0, 1_000, usize::MAX).expect("in memory");
            self.store.append(self.log.node(), &lines()).await.expect("appended");
            let before = lines().len();
            let unfinished = Unfinished {
                store: self.store.clone(),
                node: self.log.node().clone(),
                log: self.log.clone(),
                roster: Roster::default(),
                recordings: Some((self.spool(), self.vault.clone())),
                through,
            };
            unfinished.try_end().await.expect("it answers");
            let said = lines();
            let said = said.iter().skip(before);
            said.map(|line| serde_json::from_str(&line.text).expect("JSON")).collect()
        }
    }

    fn events(said: &[Value]) -> Vec<&str> {
        said.iter().map(|line| line["event"].as_str().expect("a name")).collect()
    }

    #[tokio::test]
    async fn whose_run_a_connection_is_of_is_told_by_numbers_and_not_by_the_clock() {
        let left = Left::new().await;
        let earlier = left.connected(1).await;
        let through = left.log.tip().seq;
        left.connected(2).await;
        let said = left.ended(through).await;
        assert_eq!(events(&said), ["connection-interrupted"]);
        assert_eq!(said[0]["connection"], earlier.to_string());
    }

    #[tokio::test]
    async fn a_recording_that_is_not_there_does_not_go_in_silence() {
        let left = Left::new().await;
        let recording = RecordingId::fixed(3);
        left.recorded(left.connected(1).await, recording).await;
        let said = left.ended(left.log.tip().seq).await;
        assert_eq!(events(&said), ["recording-failed", "session-interrupted", "connection-interrupted"]);
        assert_eq!(
            (&said[0]["recording"], &said[0]["mode"]),
            (&recording.to_string().into(), &"required".into())
        );
        let detail = said[0]["detail"].as_str().expect("a text");
        assert!(detail.ends_with("nothing of it can be read: its file is not there"), "{detail}");
        // It is said once.
        assert_eq!(events(&left.ended(left.log.tip().seq).await), [""; 0]);
    }

    /// A whole recording of a terminal, and what it came to.
    async fn made(left: &Left, connection: ConnectionId) -> FinishedRecording {
        let settings = Settings { spool: left.folder.path().to_owned(), default_mode: RecordMode::Required };
        let recorders = Recorders::start(settings).expect("it starts");
        let subject = Subject {
            connection,
            session: SessionId::fixed(2),
            channel: ChannelNumber(1),
            now: "2026-01-02T03:04:05Z".parse().expect("a time"),
            title: "alice → ec2-user@web-1",
            terminal: Some(Terminal { term: "xterm", columns: 80, rows: 24 }),
            program: Program::Shell,
            farewell: "it ends.",
        };
        let recorder = recorders.begin(&subject, &Limits::default()).await.expect("it begins");
        recorder.finish("ending: finished").await.recording.expect("a terminal is recorded")
    }

    #[tokio::test]
    async fn a_recording_whose_ending_was_not_written_is_read_again_wherever_it_is() {
        for moved in [false, true] {
            let mut left = Left::new().await;
            let connection = left.connected(1).await;
            let made = made(&left, connection).await;
            left.recorded(connection, made.id).await;
            if moved {
                left.vault = Vault::in_memory();
                left.vault.take_from(&left.spool(), made.id).await;
            }
            let said = left.ended(left.log.tip().seq).await;
            let expected = ["recording-salvaged", "session-interrupted", "connection-interrupted"];
            assert_eq!(events(&said), expected, "{moved}");
            let recording = &said[0]["recording"];
            assert_eq!(recording["sha256"], HEXLOWER.encode(&made.sha256), "{moved}");
            assert_eq!(recording["compressed_bytes"], made.compressed_bytes, "{moved}");
        }
    }
}
