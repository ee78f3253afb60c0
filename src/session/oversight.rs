//! What others order about the sessions of this node: to end one, or to say that it is watched.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Services;
use crate::audit::{AuditError, Entry, Event, Text};
use crate::domain::SessionId;
use crate::tasks::BoxFuture;

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which one it is.
    pub id: i64,
    /// The session that it concerns.
    pub session: SessionId,
    /// What is to be done.
    pub what: OrderKind,
    /// Who gave it: a user, or `operator`.
    pub by: String,
    /// Where they gave it from; nothing on a node's own command line.
    pub client_addr: Option<IpAddr>,
    /// Why, as they said.
    pub reason: Option<String>,
}

/// What is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// The session ends.
    Kill,
    /// The session is watched from here on.
    Watch,
}

/// Where orders about this node's sessions come from.
pub trait Orders: fmt::Debug + Send + Sync {
    /// Resolves when there may be new ones.
    fn ordered(&self) -> BoxFuture<'_, ()>;
    /// Those that are not carried out yet; a bounded number, the oldest first. The error is for the operator's log.
    fn pending(&self) -> BoxFuture<'_, Result<Vec<Order>, String>>;
    /// One is carried out and need not be told again.
    fn done<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<(), String>>;
}

/// Carries out orders until `stop`.
pub async fn obey(services: Arc<Services>, orders: Arc<dyn Orders>, stop: CancellationToken) {
    let working = async {
        loop {
            match orders.pending().await {
                Ok(pending) => carry_out(&services, &*orders, pending).await,
                Err(error) => tracing::warn!(%error, "orders about sessions cannot be read"),
            }
            orders.ordered().await;
        }
    };
    tokio::select! {
        () = working => {}
        () = stop.cancelled() => {}
    }
}

async fn carry_out(services: &Services, orders: &dyn Orders, pending: Vec<Order>) {
    for order in pending {
        // An order that is not on record is not carried out; it stays where it is.
        if let Err(error) = obey_one(services, &order).await {
            tracing::error!(%error, session = %order.session, "an order about a session is not carried out");
            return;
        }
        if let Err(error) = orders.done(&order).await {
            tracing::warn!(%error, session = %order.session, "an order about a session was carried out and cannot be marked so");
        }
    }
}

async fn obey_one(services: &Services, order: &Order) -> Result<(), AuditError> {
    match order.what {
        OrderKind::Kill => {
            let event = Event::KillOrdered {
                by: Text::from(order.by.as_str()),
                killed: order.session,
                reason: order.reason.as_deref().map(Text::from),
            };
            services.log.record(Entry::of_daemon(event)).await?;
            if services.roster.kill(order.session) {
                tracing::info!(session = %order.session, "a session is ended by order");
            }
        }
        OrderKind::Watch => {
            let told = services.roster.watched(order.session, &order.by).unwrap_or(false);
            let event = Event::SessionWatched {
                by: Text::from(order.by.as_str()),
                client_addr: order.client_addr,
                watched: order.session,
                told,
            };
            services.log.record(Entry::of_daemon(event)).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::tests::Bastion;
    use super::*;

    /// Orders that are there from the start.
    #[derive(Debug)]
    struct Given(Mutex<Vec<Order>>);

    impl Orders for Given {
        fn ordered(&self) -> BoxFuture<'_, ()> {
            Box::pin(std::future::pending())
        }

        fn pending(&self) -> BoxFuture<'_, Result<Vec<Order>, String>> {
            Box::pin(async { Ok(self.0.lock().expect("not poisoned").clone()) })
        }

        fn done<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<(), String>> {
            self.0.lock().expect("not poisoned").retain(|given| given.id != order.id);
            Box::pin(async { Ok(()) })
        }
    }

    fn order(session: SessionId, what: OrderKind) -> Order {
        let reason = Some("the wrong machine".to_owned());
        Order { id: 1, session, what, by: "carol".to_owned(), client_addr: None, reason }
    }

    #[tokio::test]
    async fn an_order_to_end_a_session_is_on_record_and_carried_out() {
        let bastion = Bastion::new();
        let session = SessionId::fresh();
        let presence = bastion.services.roster.enter(session, false);
        let orders = Arc::new(Given(Mutex::new(vec![order(session, OrderKind::Kill)])));
        let given: Arc<dyn Orders> = Arc::<Given>::clone(&orders);
        let stop = CancellationToken::new();
        let obeying = tokio::spawn(obey(Arc::clone(&bastion.services), given, stop.clone()));
        presence.killed().await;
        stop.cancel();
        obeying.await.expect("no panic");
        let [line] = &bastion.trail("kill-ordered")[..] else { panic!("one line") };
        assert_eq!((&line["by"], &line["killed"]), (&"carol".into(), &session.to_string().into()));
        assert_eq!(line["reason"], "the wrong machine");
    }

    #[tokio::test]
    async fn an_order_that_cannot_be_recorded_is_not_carried_out_and_stays() {
        let bastion = Bastion::new();
        bastion.audit.fail_from(0);
        let session = SessionId::fresh();
        let _presence = bastion.services.roster.enter(session, false);
        let orders = Given(Mutex::new(vec![order(session, OrderKind::Watch)]));
        let pending = orders.pending().await.expect("orders");
        carry_out(&bastion.services, &orders, pending).await;
        assert_eq!(orders.pending().await.expect("orders").len(), 1);
    }
}
