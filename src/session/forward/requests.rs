//! The client asks that the target listen, or cease to: answered in the order of asking.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::live::Live;
use super::super::program::START;
use super::super::standing::Role;
use super::super::visit::Visit;
use super::listeners::event;
use super::wire::{self, Listen, Request};
use crate::audit::ActionFacts;
use crate::relay::Stop;
use crate::ssh::GlobalRequest;

/// Requests of one connection that wait for their turn.
const QUEUE_MAX: usize = 64;
/// While a request is being dealt with, every answer behind it waits, those to a client's own questions whether
/// we are alive included (RFC 4254 §4): so often it is told.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Requests on their way to [`answer`].
#[derive(Debug)]
pub(in crate::session) struct Queue(mpsc::Sender<GlobalRequest>);

impl Queue {
    /// A queue, and its other end.
    pub(in crate::session) fn new() -> (Self, mpsc::Receiver<GlobalRequest>) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Self(sender), receiver)
    }

    /// Puts a request in the queue. Where that is full, the request is answered with a failure.
    pub(in crate::session) fn put(&self, request: GlobalRequest) {
        // Dropping a request answers it.
        drop(self.0.try_send(request));
    }
}

/// Answers what a client asks of a connection to one target.
pub(in crate::session) async fn answer(visit: &Visit, request: GlobalRequest) {
    let mut answering = pin!(deal_with(visit, request));
    while tokio::time::timeout(SIGN_OF_LIFE, &mut answering).await.is_err() {
        visit.errand.client.sign_of_life();
    }
}

async fn deal_with(visit: &Visit, request: GlobalRequest) {
    match wire::read_request(&request.name, &request.payload) {
        Some(Ok(Request::Listen(listen))) => begin(visit, request, listen).await,
        Some(Ok(Request::Cease(listen))) => cease(visit, request, &listen).await,
        Some(Err(_nonsense)) => visit.refuse(&request.name, "malformed").await,
        None => visit.decline(&request.name).await,
    }
    // A request that was not answered is, with a failure, as it is dropped.
}

async fn begin(visit: &Visit, request: GlobalRequest, listen: Listen) {
    let action = listen.action();
    let Ok(permit) = visit.decide(&action, ActionFacts::from(&action), &request.name).await else { return };
    let Ok(live) = visit.session(&permit).await else { return };
    let _present = live.channels.token();
    live.activity.touch();
    let claim = Arc::new(live.claim(&permit, Role::Work));
    let order = claim.stop();
    let Some(asked) = live.listeners.ask(listen.clone(), claim) else {
        return visit.refuse(&request.name, "too-many").await;
    };
    let asking = live.upstream.connection.ask_for(&request.name, &request.payload);
    let Ok(Ok(Some(answer))) = tokio::time::timeout(START, asking).await else {
        return visit.refuse(&request.name, "refused-by-target").await;
    };
    let (port, chosen, reply) = match &listen {
        Listen::Port { port: 0, .. } => match wire::read_port(&answer) {
            Some(port) => (port, Some(port), u32::from(port).to_be_bytes().to_vec()),
            None => return visit.refuse(&request.name, "refused-by-target").await,
        },
        Listen::Port { port, .. } => (*port, None, Vec::new()),
        Listen::Socket { .. } => (0, None, Vec::new()),
    };
    // Where that cannot be written the client is told no, and nothing that the target opens is let through.
    if live.story.tell(event(&listen, chosen, true)).await.is_ok() {
        request.succeed(&reply);
        asked.listens_at(port);
        let at = listen.at_port(port);
        live.services.tasks.spawn_named("listener", cease_by_order(Arc::downgrade(&live), at, order));
    }
}

/// Waits until the permit does not hold any more, or is not needed, and has the target cease to listen. A session that ends
/// by the same change takes its listeners with it.
async fn cease_by_order(live: Weak<Live>, at: Listen, mut order: Stop) {
    if order.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let Some(live) = live.upgrade().filter(|live| !live.loses_permission()) else { return };
    let _present = live.channels.token();
    let (name, payload) = at.cease_request();
    // A target that does not cease gets nothing through in any case.
    let _answer = tokio::time::timeout(START, live.upstream.connection.ask_for(name, &payload)).await;
    if let Some((listen, port)) = live.listeners.cease(&at) {
        // It has ceased whether or not that can be written; the failure is in the operator's log.
        let _on_record = live.story.tell(event(&listen, port, false)).await;
    }
}

async fn cease(visit: &Visit, request: GlobalRequest, listen: &Listen) {
    let Some(live) = visit.current().await.filter(|live| live.listeners.has(listen)) else {
        return visit.refuse(&request.name, "not-listening").await;
    };
    let asking = live.upstream.connection.ask_for(&request.name, &request.payload);
    let Ok(Ok(Some(_))) = tokio::time::timeout(START, asking).await else {
        return visit.refuse(&request.name, "refused-by-target").await;
    };
    if let Some((listen, port)) = live.listeners.cease(listen) {
        // It has ceased whether or not that can be written; the failure is in the operator's log.
        let _on_record = live.story.tell(event(&listen, port, false)).await;
    }
    request.succeed(&[]);
}
