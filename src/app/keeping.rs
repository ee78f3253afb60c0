//! Keeps the record while the daemon runs: the store follows the journal, heads are signed, orders are carried out; and what an earlier run left unfinished is brought to an end.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{AppError, recordings};
use crate::audit::{
    AuditError, AuditKey, Entry, Event, Follower, HeadBoard, Heads, JournalLine, JournalReader, LineHash,
    Log, NodeHead, Text,
};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::domain::{NodeName, SessionId};
use crate::metrics::Metrics;
use crate::record::{Salvaged, Spool};
use crate::session::{Orders, Roster, Services, obey};
use crate::sinks::{self, Sinks};
use crate::store::{Indexer, Lines, News, NodeOrders, Store};
use crate::tasks::BoxFuture;

/// What the store has to tell waits here; it says little.
const NEWS_MAX: usize = 16;
/// How long starting waits for the store to have everything, before it goes on and tries again beside the sessions.
const FIRST: Duration = Duration::from_secs(10);
/// How long it waits between two tries.
const AGAIN: Duration = Duration::from_secs(10);
/// The name under which the store follows the journal.
const FOLLOWER: &str = "store";

/// Everything that keeps the record, before it is started.
pub(super) struct Keeping {
    store: Store,
    node: NodeName,
    clock: SharedClock,
    indexer: Indexer,
    news: mpsc::Receiver<News>,
    heads: Arc<Heads>,
    head_interval: Duration,
    metrics: Arc<Metrics>,
    sinks: Arc<Sinks>,
}

/// Everything that keeps the record, at work.
pub(super) struct Kept {
    running: JoinSet<()>,
    heads: Arc<Heads>,
    sinks: Arc<Sinks>,
    /// Ends what follows the journal, when the last line is in it.
    last: CancellationToken,
}

impl Keeping {
    /// Opens the journal, and what belongs to it.
    pub(super) async fn open(
        config: &Config,
        store: Store,
        clock: &SharedClock,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, Log), AppError> {
        let node = config.node.name_or_host();
        let resume = store.position(&node).await?;
        let log = Log::open(
            &crate::audit::Settings {
                journal: config.audit.journal.clone(),
                node: node.clone(),
                sync: config.audit.sync,
                resume,
            },
            Arc::clone(clock),
        )?
        .observed_by(Arc::clone(metrics) as _);
        let reader = log.journal();
        let follower = reader.follow(FOLLOWER, resume.map_or(0, |(seq, _)| seq));
        let (tell, news) = mpsc::channel(NEWS_MAX);
        let tell = move |one: News| {
            // Where nobody takes it up, the log has it all the same.
            let _taken = tell.try_send(one).is_ok();
        };
        let followed = Arc::new(Followed { reader, follower });
        let (indexer, stored) = Indexer::start(store.clone(), node.clone(), followed, tell).await?;
        let log = log.stored_by(stored).observed_by(Arc::clone(metrics) as _);
        let key = Arc::new(AuditKey::load_or_create(&config.audit.key, &node)?);
        let heads = Arc::new(Heads::new(log.clone(), key, Arc::new(Board(store.clone()))));
        let sinks = sinks::start(
            &config.audit,
            &sinks::Settings {
                dir: config.data.dir.join("sinks"),
                log: log.clone(),
                observer: Arc::clone(metrics) as _,
            },
        )?;
        let keeping = Self {
            sinks: Arc::new(sinks),
            store,
            node,
            clock: Arc::clone(clock),
            indexer,
            news,
            heads,
            head_interval: config.audit.head_interval,
            metrics: Arc::clone(metrics),
        };
        Ok((keeping, log))
    }

    /// Those who follow the journal for others.
    pub(super) fn sinks(&self) -> Arc<Sinks> {
        Arc::clone(&self.sinks)
    }

    /// Where recordings are is noted there.
    pub(super) fn index(&self) -> recordings::Listed {
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        recordings::Listed { store: self.store.clone(), clock, metrics }
    }

    /// Starts everything, and brings to an end what an earlier run left unfinished.
    pub(super) async fn start(self, services: &Arc<Services>, stop: &CancellationToken) -> Kept {
        let last = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(self.indexer.run(last.clone()));
        running.spawn(retell(services.log.clone(), self.news, last.clone()));
        let unfinished = Unfinished {
            store: self.store.clone(),
            node: self.node.clone(),
            log: services.log.clone(),
            roster: services.roster.clone(),
            spool: services.recorders.spool().cloned(),
            since: self.clock.now(),
        };
        unfinished.end_soon(&mut running, stop.clone()).await;
        let (heads, interval, ended) = (Arc::clone(&self.heads), self.head_interval, stop.clone());
        running.spawn(async move { heads.run(interval, ended).await });
        let orders: Arc<dyn Orders> =
            Arc::new(NodeOrders { store: self.store, node: self.node, clock: self.clock });
        running.spawn(obey(Arc::clone(services), orders, stop.clone()));
        Kept { running, heads: self.heads, sinks: self.sinks, last }
    }
}

impl Kept {
    /// Signs the last head, closes the log, and lets everybody who follows read to its end.
    pub(super) async fn end(mut self, log: &Log) -> Result<(), AuditError> {
        self.heads.sign().await?;
        log.close().await?;
        self.last.cancel();
        while self.running.join_next().await.is_some() {}
        if !self.sinks.shutdown().await {
            tracing::warn!("a sink did not take the last lines in time; it gets them at the next start");
        }
        Ok(())
    }
}

/// The journal, as the store follows it.
struct Followed {
    reader: JournalReader,
    follower: Follower,
}

impl Lines for Followed {
    fn committed(&self) -> watch::Receiver<u64> {
        self.reader.committed()
    }

    fn read(&self, after: u64, lines_max: usize, bytes_max: usize) -> io::Result<Vec<JournalLine>> {
        self.reader.read(after, lines_max, bytes_max)
    }

    fn passed(&self, seq: u64) {
        self.follower.passed(seq);
    }
}

/// Other nodes' heads are in the store.
struct Board(Store);

impl HeadBoard for Board {
    fn others(&self) -> BoxFuture<'_, Vec<NodeHead>> {
        Box::pin(async {
            match self.0.heads().await {
                Ok(heads) => heads
                    .into_iter()
                    .filter_map(|head| {
                        let hash = LineHash::parse(&head.hash)?;
                        Some(NodeHead { node: head.node, through: head.through, hash })
                    })
                    .collect(),
                Err(error) => {
                    tracing::warn!(%error, "other nodes' heads are not known; this head is signed without them");
                    Vec::new()
                }
            }
        })
    }
}

/// Puts on record what the store has to tell.
async fn retell(log: Log, mut news: mpsc::Receiver<News>, last: CancellationToken) {
    while let Some(Some(one)) = last.run_until_cancelled(news.recv()).await {
        let event = match one {
            News::Unavailable { detail } => Event::StoreUnavailable { detail: Text::from(detail) },
            News::Recovered { lines, duration } => Event::StoreRecovered { lines, duration },
        };
        if let Err(error) = log.record(Entry::of_daemon(event)).await {
            tracing::error!(%error, "what became of the store is not in the audit trail");
        }
    }
}

/// Sessions and connections that have no ending, because the daemon was killed.
struct Unfinished {
    store: Store,
    node: NodeName,
    log: Log,
    roster: Roster,
    spool: Option<Spool>,
    /// When this run began.
    since: Timestamp,
}

impl Unfinished {
    /// Ends them before anybody is let in; where the store has not caught up by then, as soon as it has.
    async fn end_soon(self, running: &mut JoinSet<()>, stop: CancellationToken) {
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
            for recording in self.recordings_of(session.row.id).await? {
                self.record(recordings::told(&recording)).await?;
            }
            let event = Event::SessionInterrupted { last_seen: session.last_seen };
            self.record(Entry { connection, session: Some(session.row.id), event }).await?;
        }
        let connections =
            self.store.unfinished_connections(&self.node).await.map_err(|error| error.to_string())?;
        for connection in connections.iter().filter(|connection| connection.row.opened < self.since) {
            let event = Event::ConnectionInterrupted { last_seen: connection.last_seen };
            self.record(Entry::of_connection(connection.row.id, event)).await?;
        }
        if interrupted().next().is_some() {
            tracing::warn!(sessions = interrupted().count(), "sessions of an earlier run were interrupted");
        }
        Ok(())
    }

    /// The recordings of a session that are whole, and whose ending did not get into the record.
    async fn recordings_of(&self, session: SessionId) -> Result<Vec<Salvaged>, String> {
        let known = self.store.recordings_of(&session).await.map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        for recording in known.iter().filter(|recording| recording.sha256.is_none()) {
            if let Some(spool) = self.spool.clone() {
                let id = recording.id;
                let reread = tokio::task::spawn_blocking(move || spool.reread(id)).await;
                // What cannot be read is missing, and verification says so.
                found.extend(reread.ok().and_then(Result::ok));
            }
        }
        Ok(found)
    }

    async fn record(&self, entry: Entry) -> Result<(), String> {
        self.log.record(entry).await.map_err(|error| error.to_string())
    }
}
