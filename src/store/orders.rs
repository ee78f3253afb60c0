//! What one node asks of another: to end a session, or to note that somebody watches it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::postgres::PgListener;
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

use super::line::storable;
use super::open::Secret;
use super::rows::Cells;
use super::sql::{Sql, Value};
use super::{Store, StoreError, answered};
use crate::clock::SharedClock;
use crate::domain::{NodeName, SessionId};
use crate::session::{Order, OrderKind, Orders};
use crate::tasks::BoxFuture;

fn name(what: OrderKind) -> &'static str {
    match what {
        OrderKind::Kill => "kill",
        OrderKind::Watch => "watch",
    }
}

fn parse(text: &str) -> Option<OrderKind> {
    [OrderKind::Kill, OrderKind::Watch].into_iter().find(|what| name(*what) == text)
}

/// What became of an attempt to order something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    /// The session's node will see it; this is the order's id.
    Placed(i64),
    /// There is no such session in the store (yet).
    NoSuchSession,
    /// The session is over.
    Ended,
}

/// How often orders are looked for where nobody tells that there are some.
const POLL: Duration = Duration::from_millis(500);

/// How often they are looked for where a server tells.
const POLL_RUNG: Duration = Duration::from_secs(5);

/// The channel of LISTEN and NOTIFY.
const CHANNEL: &str = "drawbridge_orders";

/// The most characters of a reason that are kept.
const REASON_MAX: usize = 500;

/// Tells that there may be new orders.
pub(super) struct Bell {
    here: Notify,
    server: Option<Secret>,
    listener: Mutex<Option<PgListener>>,
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Bell {
    /// One that looks again and again.
    pub(super) fn polled() -> Self {
        Self { here: Notify::new(), server: None, listener: Mutex::new(None) }
    }

    /// One that a server rings.
    pub(super) fn rung(server: Secret) -> Self {
        Self { server: Some(server), ..Self::polled() }
    }

    /// Waits for the server to ring, at most as long as one looks again anyway.
    async fn rings(&self) {
        let Some(url) = &self.server else { return tokio::time::sleep(POLL).await };
        let mut listener = self.listener.lock().await;
        if listener.is_none() {
            let made = tokio::time::timeout(POLL_RUNG, listen(url)).await;
            let Ok(Ok(made)) = made else { return tokio::time::sleep(POLL).await };
            // What was ordered before we listened is not told.
            *listener = Some(made);
            return;
        }
        if let Some(waiting) = listener.as_mut()
            && let Ok(Err(_)) = tokio::time::timeout(POLL_RUNG, waiting.recv()).await
        {
            *listener = None;
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn listen(url: &Secret) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect(url.expose()).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

impl Store {
    /// Orders a session to end, on whichever node it runs. `by` is a user, or `operator`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn order_kill(
        &self,
        session: &SessionId,
        by: &str,
        client_addr: Option<IpAddr>,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<Ordered, StoreError> {
        self.place(session, OrderKind::Kill, by, client_addr, reason, now).await
    }

    /// Tells a session's node that somebody watches it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn order_watch(
        &self,
        session: &SessionId,
        by: &str,
        client_addr: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Ordered, StoreError> {
        self.place(session, OrderKind::Watch, by, client_addr, None, now).await
    }

    async fn place(
        &self,
        session: &SessionId,
        what: OrderKind,
        by: &str,
        client_addr: Option<IpAddr>,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<Ordered, StoreError> {
        let Some(found) = self.session_by_id(session).await? else { return Ok(Ordered::NoSuchSession) };
        if found.ended.is_some() {
            return Ok(Ordered::Ended);
        }
        let id = order_id(now);
        let reason = reason.map(|reason| storable(&reason.chars().take(REASON_MAX).collect::<String>()));
        let mut sql = Sql::new(
            "INSERT INTO orders (id, node, session, what, ordered_by, client_addr, reason, ordered) VALUES ",
        );
        sql.bind_all([
            Value::from(id),
            found.node.as_str().into(),
            session.to_string().into(),
            name(what).into(),
            storable(by).into(),
            client_addr.map(|addr| addr.to_string()).into(),
            reason.into(),
            now.as_millisecond().into(),
        ]);
        self.run(sql).await?;
        self.ring().await;
        Ok(Ordered::Placed(id))
    }

    /// Rings the bell here and on the server; where that fails, the others look by themselves.
    async fn ring(&self) {
        self.orders.here.notify_waiters();
        if self.orders.server.is_some() {
            let mut sql = Sql::new("SELECT pg_notify(");
            sql.bind(CHANNEL).push(", '')");
            let _rung = self.run(sql).await.is_ok();
        }
    }

    /// The orders for sessions of this node that are not done, oldest first.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn orders(&self, node: &NodeName, limit: u32) -> Result<Vec<Order>, StoreError> {
        let mut sql =
            Sql::new("SELECT id, session, what, ordered_by, client_addr, reason FROM orders WHERE node = ");
        sql.bind(node.as_str()).push(" AND done IS NULL ORDER BY id LIMIT ").bind(i64::from(limit));
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        rows.iter().map(read).collect()
    }

    /// Resolves when there may be new orders: at once for those that were placed through this very
    /// store or PostgreSQL tells of, after half a second for others. May be dropped at any time.
    pub async fn ordered(&self) {
        tokio::select! {
            () = self.orders.here.notified() => {}
            () = self.orders.rings() => {}
        }
    }

    /// Notes that an order was carried out, or cannot be any more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn order_done(&self, order: &Order, now: Timestamp) -> Result<(), StoreError> {
        let mut sql = Sql::new("UPDATE orders SET done = ");
        sql.bind(now.as_millisecond()).push(" WHERE id = ").bind(order.id);
        self.run(sql).await?;
        Ok(())
    }

    /// Whether an order was carried out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn order_is_done(&self, order: i64) -> Result<bool, StoreError> {
        let mut sql = Sql::new("SELECT id FROM orders WHERE done IS NOT NULL AND id = ");
        sql.bind(order);
        let row = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
        Ok(row.is_some())
    }
}

/// A number that is later than those of earlier orders, and no other's.
fn order_id(now: Timestamp) -> i64 {
    const RANDOM: u128 = (1 << 20) - 1;
    let random = i64::try_from(Uuid::now_v7().as_u128() & RANDOM).unwrap_or_default();
    now.as_millisecond().saturating_mul(1 << 20).saturating_add(random)
}

/// The orders for the sessions of one node.
#[derive(Debug, Clone)]
pub struct NodeOrders {
    /// Where they are.
    pub store: Store,
    /// Whose they are.
    pub node: NodeName,
    /// Says when they are done.
    pub clock: SharedClock,
}

impl NodeOrders {
    const PENDING_MAX: u32 = 100;
}

impl Orders for NodeOrders {
    fn ordered(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.store.ordered())
    }

    fn pending(&self) -> BoxFuture<'_, Result<Vec<Order>, String>> {
        Box::pin(async move {
            self.store.orders(&self.node, Self::PENDING_MAX).await.map_err(|error| error.to_string())
        })
    }

    fn done<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.store.order_done(order, self.clock.now()).await.map_err(|error| error.to_string())
        })
    }
}

fn read(row: &AnyRow) -> Result<Order, StoreError> {
    let cells = Cells { row, table: "orders" };
    Ok(Order {
        id: cells.number("id")?,
        session: cells.parsed("session", SessionId::parse)?,
        what: cells.parsed("what", parse)?,
        by: cells.text("ordered_by")?,
        client_addr: cells.maybe_parsed("client_addr", |text| text.parse().ok())?,
        reason: cells.maybe_text("reason")?,
    })
}
