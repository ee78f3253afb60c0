//! Keeps the record while the daemon runs: the store follows the journal, heads are signed, orders are carried out; and what an earlier run left unfinished is brought to an end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::unfinished::Unfinished;
use super::{AppError, recordings};
use crate::audit::{
    AuditError, AuditKey, Entry, Event, Follower, HeadBoard, Heads, JournalLine, JournalReader, LineHash,
    Log, NodeHead, Text,
};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::domain::NodeName;
use crate::metrics::Metrics;
use crate::record::vault::Vault;
use crate::session::{Orders, Services, obey};
use crate::sinks::{self, Sinks};
use crate::store::{Indexer, Lines, News, NodeOrders, Store};
use crate::tasks::BoxFuture;

/// What the store has to tell waits here; it says little.
const NEWS_MAX: usize = 16;
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
    vault: Vault,
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
            vault: recordings::vault(config)?,
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
            recordings: services.recorders.spool().cloned().map(|spool| (spool, self.vault)),
            through: services.log.tip().seq,
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
