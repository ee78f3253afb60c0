//! A session: one upstream in use, from its first channel to its ending, and who may order that ending.

use std::future::pending;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Services;
use super::cause::NotOpened;
use super::forward::{self, Features, Listeners};
use super::roster::{Notice, Presence};
use super::sentences;
use super::story::{Story, Unrecorded};
use super::visit::Errand;
use crate::audit::{Algorithms, Event, TargetFacts, Text, VouchedBy};
use crate::domain::{ChannelNumber, Ending, SessionId, UserName};
use crate::policy::{Limits, Permit};
use crate::relay::{Activity, Outcome, Stop};
use crate::ssh::{Negotiated, Opener};
use crate::upstream::{Attempt, Pushed, Upstream, Vouched};

/// How long the channels of a session that was ordered to end may take to say so.
const FAREWELL: Duration = Duration::from_secs(3);

/// A session that is in use.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) services: Arc<Services>,
    pub(super) story: Story,
    pub(super) user: UserName,
    pub(super) client_addr: IpAddr,
    /// Towards the client, for what the target opens.
    pub(super) client: Opener,
    pub(super) upstream: Upstream,
    pub(super) activity: Activity,
    /// Channels of this session; it is over when they are.
    pub(super) channels: TaskTracker,
    /// Where the target listens for the client.
    pub(super) listeners: Listeners,
    /// What else of the client's the target may use.
    pub(super) features: Features,
    /// Room for channels that the target opens: as many as a client may open.
    pub(super) arrivals: Arc<Semaphore>,
    presence: Presence,
    /// It has to be recorded, and is not any more.
    unrecorded: CancellationToken,
    numbers: AtomicU32,
    order: watch::Sender<Option<(Ending, &'static str)>>,
    limits: Mutex<Limits>,
    tally: Mutex<Tally>,
    started: Instant,
}

#[derive(Debug)]
struct Tally {
    channels: u32,
    /// How the programs ended; nothing where there was none.
    ending: Option<Ending>,
}

impl Live {
    /// Opens a session: pushes a key, connects, and puts each on record.
    pub(super) async fn open(
        services: &Arc<Services>,
        errand: &Errand,
        session: SessionId,
        permit: &Permit,
    ) -> Result<Arc<Self>, NotOpened> {
        let story = errand.story.of_session(session);
        let attempt = services.connector.connect(permit).await;
        let unavailable = |_: Unrecorded| NotOpened::because(sentences::AUDIT_UNAVAILABLE);
        narrate(&story, &attempt).await.map_err(unavailable)?;
        let upstream = attempt.result.map_err(|error| {
            tracing::warn!(session = %session, target = %permit.target().id, reason = error.label(), %error, "a target could not be reached");
            let sentence = error.sentence(permit.target(), permit.login().as_str());
            NotOpened::failed(sentence, error.class(), session)
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
        // Whoever looks for sessions that are not here any more looks for those on record.
        let presence = services.roster.enter(session, permit.limits().tell_watched);
        story.record(started).await.map_err(unavailable)?;
        Ok(Self::in_use(services, errand, session, presence, upstream, *permit.limits()))
    }

    /// A session on that connection, as if it had been opened, for tests.
    #[cfg(test)]
    pub(super) fn dangerous_for_test(
        services: &Arc<Services>,
        errand: &Errand,
        upstream: Upstream,
    ) -> Arc<Self> {
        let session = SessionId::fresh();
        let presence = services.roster.enter(session, false);
        Self::in_use(services, errand, session, presence, upstream, Limits::default())
    }

    fn in_use(
        services: &Arc<Services>,
        errand: &Errand,
        session: SessionId,
        presence: Presence,
        upstream: Upstream,
        limits: Limits,
    ) -> Arc<Self> {
        let story = errand.story.of_session(session);
        let identity = &errand.guest.identity;
        Arc::new(Self {
            services: Arc::clone(services),
            story,
            user: identity.user.clone(),
            client_addr: identity.client_addr,
            client: errand.client.clone(),
            upstream,
            activity: Activity::default(),
            channels: TaskTracker::new(),
            listeners: Listeners::default(),
            features: Features::default(),
            arrivals: Arc::new(Semaphore::new(services.settings.limits.channels_max)),
            presence,
            unrecorded: CancellationToken::new(),
            numbers: AtomicU32::new(0),
            order: watch::Sender::new(None),
            limits: Mutex::new(limits),
            tally: Mutex::new(Tally { channels: 0, ending: None }),
            started: Instant::now(),
        })
    }

    /// The order to end, for a relay.
    pub(super) fn stop(&self) -> Stop {
        self.order.subscribe()
    }

    /// What those in the session are to be told.
    pub(super) fn notices(&self) -> watch::Receiver<Notice> {
        self.presence.notices()
    }

    /// Waits for the order to end.
    pub(super) async fn ordered(&self) -> Ending {
        let mut order = self.stop();
        match order.wait_for(Option::is_some).await.map(|order| *order) {
            Ok(Some((ending, _sentence))) => ending,
            // Nobody is left who could give the order.
            Ok(None) | Err(_) => pending().await,
        }
    }

    pub(super) fn next_channel(&self) -> ChannelNumber {
        ChannelNumber(self.numbers.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    /// Another permit is used on this session: the tightest limits hold.
    pub(super) fn tighten(&self, limits: &Limits) {
        let mut held = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.and(limits);
        if limits.tell_watched {
            self.presence.tell();
        }
    }

    /// A program's channel is over.
    pub(super) fn count(&self, outcome: &Outcome) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.channels = tally.channels.saturating_add(1);
        if outcome.ending != Ending::Finished || tally.ending.is_none() {
            tally.ending = Some(outcome.ending);
        }
    }

    /// What had to be recorded was not: the session ends.
    pub(super) fn not_recorded(&self) {
        self.unrecorded.cancel();
    }

    /// A forwarded connection is over; how is no matter to the session.
    pub(super) fn count_forward(&self) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.channels = tally.channels.saturating_add(1);
    }

    fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a session to its end and puts the ending on record.
    pub(super) async fn supervise(self: Arc<Self>, shutdown: CancellationToken, over: CancellationToken) {
        let cause = tokio::select! {
            // Shutting down also ends the visit: the cause comes before its consequence.
            biased;
            () = shutdown.cancelled() => Cause::Order(Ending::ShuttingDown, sentences::SHUTTING_DOWN),
            () = self.unrecorded.cancelled() => Cause::Order(Ending::RecordingFailed, sentences::RECORDING_FAILED),
            () = self.presence.killed() => Cause::Order(Ending::Killed, sentences::KILLED),
            (ending, sentence) = self.out_of_time() => Cause::Order(ending, sentence),
            () = forward::receive(&self) => Cause::TargetLeft,
            () = over.cancelled() => Cause::ClientLeft,
        };
        if let Cause::Order(ending, sentence) = cause {
            self.order.send_replace(Some((ending, sentence)));
        }
        self.channels.close();
        // The relays end by themselves: their channels are closed or they were ordered to.
        if tokio::time::timeout(FAREWELL, self.channels.wait()).await.is_err() {
            self.upstream.connection.disconnect("the session is over");
            self.channels.wait().await;
        }
        self.upstream.connection.disconnect("the session is over");
        let ceased = forward::still_listening(&self.listeners);
        let listened = !ceased.is_empty();
        for event in ceased {
            // It has ceased whether or not that can be written; the failure is in the operator's log.
            let _on_record = self.story.tell(event).await;
        }
        let ended = {
            let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            Event::SessionEnded {
                ending: cause.ending(tally.ending, listened),
                detail: cause.sentence().map(Text::from),
                bytes_to_target: self.activity.to_target(),
                bytes_to_client: self.activity.to_client(),
                channels: tally.channels,
                duration: self.started.elapsed(),
            }
        };
        // It has ended whether or not that can be written; the failure is in the operator's log.
        let _on_record = self.story.record(ended).await;
        match cause {
            // As without us: whoever counts on the target's listening (`ssh -N -R`) learns that it is over.
            Cause::Order(_, sentence) if listened => self.client.disconnect(sentence),
            Cause::TargetLeft if listened => self.client.disconnect(sentences::TARGET_LEFT),
            Cause::Order(..) | Cause::TargetLeft | Cause::ClientLeft => {}
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

/// Why a session is over.
#[derive(Debug, Clone, Copy)]
enum Cause {
    Order(Ending, &'static str),
    TargetLeft,
    ClientLeft,
}

impl Cause {
    /// How the session ended, given how its programs did. Where nothing was carried but forwards, or a target ceased to
    /// listen by leaving, it is who left that counts.
    fn ending(self, programs: Option<Ending>, listened: bool) -> Ending {
        match self {
            Self::Order(ending, _) => ending,
            Self::TargetLeft if listened => Ending::TargetLeft,
            Self::TargetLeft => programs.unwrap_or(Ending::TargetLeft),
            Self::ClientLeft => programs.unwrap_or(Ending::ClientLeft),
        }
    }

    fn sentence(self) -> Option<&'static str> {
        match self {
            Self::Order(_, sentence) => Some(sentence),
            Self::TargetLeft | Self::ClientLeft => None,
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
                class: error.class(),
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
        legacy: negotiated.is_some_and(Negotiated::is_legacy),
    }
}
