//! A session: one upstream in use, from its first channel to its ending, and who may order that ending.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Services;
use super::sentences;
use super::story::{Story, Unrecorded};
use super::visit::Errand;
use crate::audit::{Algorithms, Event, TargetFacts, Text, VouchedBy};
use crate::domain::{Ending, SessionId};
use crate::policy::{Limits, Permit};
use crate::relay::{Activity, Outcome, Stop};
use crate::ssh::{Connection, ConnectionEvent, Negotiated, RefusalCode};
use crate::upstream::{Attempt, Pushed, Upstream, Vouched};

/// How long the channels of a session that was ordered to end may take to say so.
const FAREWELL: Duration = Duration::from_secs(3);

/// A session that is in use.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) story: Story,
    pub(super) upstream: Upstream,
    pub(super) activity: Activity,
    /// Channels of this session; it is over when they are.
    pub(super) channels: TaskTracker,
    order: watch::Sender<Option<(Ending, &'static str)>>,
    limits: Mutex<Limits>,
    tally: Mutex<Tally>,
    started: Instant,
}

#[derive(Debug)]
struct Tally {
    channels: u32,
    ending: Ending,
}

impl Live {
    /// Opens a session: pushes a key, connects, and puts each on record. The error is a sentence.
    pub(super) async fn open(
        services: &Arc<Services>,
        errand: &Errand,
        session: SessionId,
        permit: &Permit,
    ) -> Result<Arc<Self>, String> {
        let story = errand.story.of_session(session);
        let attempt = services.connector.connect(permit).await;
        let unavailable = |_: Unrecorded| sentences::AUDIT_UNAVAILABLE.to_owned();
        narrate(&story, &attempt).await.map_err(unavailable)?;
        let upstream = attempt.result.map_err(|error| {
            tracing::warn!(session = %session, target = %permit.target().id, reason = error.label(), %error, "a target could not be reached");
            error.sentence(permit.target(), permit.login().as_str())
        })?;
        let identity = permit.identity();
        let started = Event::SessionStarted {
            user: identity.user.clone(),
            client_addr: identity.client_addr,
            client_port: errand.guest.peer.client.port(),
            way: errand.way,
            login: permit.login().clone(),
            target: TargetFacts::from(permit.target().as_ref()),
            content: None,
        };
        story.record(started).await.map_err(unavailable)?;
        Ok(Arc::new(Self {
            story,
            upstream,
            activity: Activity::default(),
            channels: TaskTracker::new(),
            order: watch::Sender::new(None),
            limits: Mutex::new(*permit.limits()),
            tally: Mutex::new(Tally { channels: 0, ending: Ending::Finished }),
            started: Instant::now(),
        }))
    }

    /// The order to end, for a relay.
    pub(super) fn stop(&self) -> Stop {
        self.order.subscribe()
    }

    /// Another permit is used on this session: the tightest limits hold.
    pub(super) fn tighten(&self, limits: &Limits) {
        let mut held = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        held.max_session = tightest(held.max_session, limits.max_session);
        held.idle = tightest(held.idle, limits.idle);
    }

    /// A channel is over.
    pub(super) fn count(&self, outcome: &Outcome) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.channels = tally.channels.saturating_add(1);
        if outcome.ending != Ending::Finished {
            tally.ending = outcome.ending;
        }
    }

    fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a session to its end and puts the ending on record.
    pub(super) async fn supervise(self: Arc<Self>, shutdown: CancellationToken, over: CancellationToken) {
        let cause = tokio::select! {
            // Shutting down also ends the visit: the cause comes before its consequence.
            biased;
            () = shutdown.cancelled() => Some((Ending::ShuttingDown, sentences::SHUTTING_DOWN)),
            order = self.out_of_time() => Some(order),
            () = self.refuse_uninvited() => None,
            () = over.cancelled() => None,
        };
        if let Some(order) = cause {
            self.order.send_replace(Some(order));
        }
        self.channels.close();
        // The relays end by themselves: their channels are closed or they were ordered to.
        if tokio::time::timeout(FAREWELL, self.channels.wait()).await.is_err() {
            self.upstream.connection.disconnect("the session is over");
            self.channels.wait().await;
        }
        self.upstream.connection.disconnect("the session is over");
        let ended = {
            let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            Event::SessionEnded {
                ending: cause.map_or(tally.ending, |(ending, _)| ending),
                detail: cause.map(|(_, sentence)| Text::from(sentence)),
                bytes_to_target: self.activity.to_target(),
                bytes_to_client: self.activity.to_client(),
                channels: tally.channels,
                duration: self.started.elapsed(),
            }
        };
        // It has ended whether or not that can be written; the failure is in the operator's log.
        let _on_record = self.story.record(ended).await;
    }

    /// A target has no business opening channels towards us: refuses, on record, until the connection is over.
    async fn refuse_uninvited(&self) {
        while let Some(kind) = next_uninvited(&self.upstream.connection).await {
            let (requested, reason) = (Text::from(kind), Text::from("opened-by-target"));
            // It has not happened in any case.
            let _on_record = self.story.tell(Event::ChannelRefused { requested, reason }).await;
        }
    }

    /// Waits until a limit of the permit has passed.
    async fn out_of_time(&self) -> (Ending, &'static str) {
        loop {
            let limits = self.limits();
            if limits.max_session.is_some_and(|most| self.started.elapsed() >= most) {
                return (Ending::MaxSession, sentences::MAX_SESSION);
            }
            if limits.idle.is_some_and(|most| self.activity.idle_for() >= most) {
                return (Ending::Idle, sentences::IDLE);
            }
            let session_left = limits.max_session.map(|most| most.saturating_sub(self.started.elapsed()));
            let idle_left = limits.idle.map(|most| most.saturating_sub(self.activity.idle_for()));
            // A later permit may tighten the limits, so it is looked at again after a while in any case.
            let next = tightest(session_left, idle_left).unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN);
            tokio::time::sleep(next.max(Duration::from_millis(1))).await;
        }
    }
}

/// Declines whatever a target asks of us, and refuses the next channel it opens: its kind, or nothing once the
/// connection is over. Questions must be answered: replies go out in their order, so one that nobody answers
/// would hold back every sign of life behind it.
async fn next_uninvited(connection: &Connection) -> Option<String> {
    loop {
        match connection.next().await.ok()? {
            ConnectionEvent::Open(open) => {
                let kind = open.kind.name().chars().take(64).collect();
                open.refuse(RefusalCode::AdministrativelyProhibited, "not asked for");
                return Some(kind);
            }
            ConnectionEvent::Global(request) => request.fail(),
        }
    }
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);

fn tightest(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

async fn narrate(story: &Story, attempt: &Attempt) -> Result<(), Unrecorded> {
    if let Some(pushed) = &attempt.pushed {
        story.tell(push_event(pushed)).await?;
    }
    let event = match &attempt.result {
        Ok(upstream) => Event::UpstreamConnected {
            target_address: attempt.address,
            target_version: Text::from(upstream.facts.target_ident.as_str()),
            host_key_fingerprint: upstream.facts.host_key.clone(),
            vouched_by: match upstream.facts.vouched {
                Vouched::Pinned => VouchedBy::Pinned,
                Vouched::FirstUse => VouchedBy::TofuFirstUse,
            },
            algorithms: algorithms(upstream.facts.negotiated.as_ref()),
            duration: attempt.took,
        },
        Err(error) => {
            let (shown, pinned) = error.host_keys();
            Event::UpstreamFailed {
                target_address: attempt.address,
                reason: Text::from(error.label()),
                detail: Text::from(error.to_string()),
                host_key_fingerprint: shown.cloned(),
                pinned_fingerprint: pinned.cloned(),
                duration: attempt.took,
            }
        }
    };
    story.tell(event).await
}

/// What became of a push.
pub(super) fn push_event(pushed: &Pushed) -> Event {
    match &pushed.result {
        Ok(injected) => Event::KeyPushed {
            request_id: Text::from(injected.request_id()),
            key_fingerprint: pushed.fingerprint.clone(),
            valid_until: injected.valid_until(),
            duration: pushed.took,
        },
        Err(error) => Event::KeyPushFailed {
            request_id: error.request_id.as_deref().map(Text::from),
            key_fingerprint: pushed.fingerprint.clone(),
            reason: Text::from(error.kind.label()),
            detail: Text::from(error.operator.as_str()),
            duration: pushed.took,
        },
    }
}

/// The agreed names as the audit has them.
pub(super) fn algorithms(negotiated: Option<&Negotiated>) -> Algorithms {
    let name = |get: fn(&Negotiated) -> &String| Text::from(negotiated.map_or("", |n| get(n).as_str()));
    Algorithms {
        kex: name(|n| &n.kex),
        host_key: name(|n| &n.host_key),
        cipher_client_to_server: name(|n| &n.cipher_to_server),
        cipher_server_to_client: name(|n| &n.cipher_to_client),
        mac_client_to_server: negotiated.and_then(|n| n.mac_to_server.as_deref()).map(Text::from),
        mac_server_to_client: negotiated.and_then(|n| n.mac_to_client.as_deref()).map(Text::from),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::connected;
    use super::*;

    #[tokio::test]
    async fn a_question_of_the_target_holds_back_no_sign_of_life() {
        let (ours, target) = connected().await;
        let asking = async {
            let question = target.ask("who-are-you@example.com", b"?").await;
            (question, target.ask("keepalive@openssh.com", &[]).await)
        };
        let answers = tokio::select! {
            answers = tokio::time::timeout(Duration::from_secs(20), asking) => answers.expect("answered"),
            uninvited = next_uninvited(&ours) => panic!("{uninvited:?}"),
        };
        assert_eq!(answers, (Ok(false), Ok(true)));
    }

    #[tokio::test]
    async fn a_channel_that_the_target_opens_is_refused_and_named() {
        let (ours, target) = connected().await;
        let opening = target.open(&crate::ssh::ChannelKind::Session);
        let (refused, kind) = tokio::join!(opening, next_uninvited(&ours));
        assert!(matches!(refused, Err(crate::ssh::OpenError::Refused(_))), "{refused:?}");
        assert_eq!(kind.as_deref(), Some("session"));
    }
}
