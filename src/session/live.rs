//! A session: one upstream in use, from its first channel to its ending, and who may order that ending.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Services;
use super::cause::NotOpened;
use super::entrance::Guest;
use super::forward::{self, Features, Listeners};
use super::limits::Tightening;
use super::roster::{Notice, Presence};
use super::sentences;
use super::standing::{Claim, Claimed, Role};
use super::story::{Story, Unrecorded};
use super::visit::Errand;
use crate::audit::{Algorithms, Event, TargetFacts, Text, VouchedBy};
use crate::domain::{ChannelNumber, Ending, SessionId, UserName};
use crate::policy::{Limits, Permit};
use crate::relay::{Activity, Outcome, Stop};
use crate::ssh::{Negotiated, Opener};
use crate::upstream::{Attempt, Pushed, Upstream};
use crate::vouch::Vouched;

#[cfg(test)]
use crate::domain::Action;
#[cfg(test)]
use crate::policy::Question;

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
    guest: Arc<Guest>,
    presence: Presence,
    /// The permit that opened it.
    ground: Claim,
    /// It has to be recorded, and is not any more.
    unrecorded: CancellationToken,
    numbers: AtomicU32,
    order: watch::Sender<Option<(Ending, &'static str)>>,
    limits: Tightening,
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
        Ok(Self::in_use(services, errand, session, presence, upstream, permit))
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
        let question = Question {
            identity: &errand.guest.identity,
            target: &errand.target,
            login: &errand.login,
            action: &Action::Shell,
            now: services.clock.now(),
        };
        let permit = Permit::dangerous_for_test(&question);
        Self::in_use(services, errand, session, presence, upstream, &permit)
    }

    fn in_use(
        services: &Arc<Services>,
        errand: &Errand,
        session: SessionId,
        presence: Presence,
        upstream: Upstream,
        permit: &Permit,
    ) -> Arc<Self> {
        let story = errand.story.of_session(session);
        let identity = &errand.guest.identity;
        let limits = Tightening::new(*permit.limits());
        let claimed = Claimed::Work(permit.clone());
        let ground = services.standing.claim(&errand.guest, &story, claimed, Role::Session, &limits);
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
            guest: Arc::clone(&errand.guest),
            presence,
            ground,
            unrecorded: CancellationToken::new(),
            numbers: AtomicU32::new(0),
            order: watch::Sender::new(None),
            limits,
            tally: Mutex::new(Tally { channels: 0, ending: None }),
            started: Instant::now(),
        })
    }

    /// Whether another channel may be opened on it.
    pub(super) fn is_usable(&self) -> bool {
        !self.upstream.connection.is_closed() && !self.channels.is_closed()
    }

    /// The order to end, for a relay.
    pub(super) fn stop(&self) -> Stop {
        self.order.subscribe()
    }

    /// What those in the session are to be told.
    pub(super) fn notices(&self) -> watch::Receiver<Notice> {
        self.presence.notices()
    }

    /// A permit is in use on this session, for as long as what this returns lives.
    pub(super) fn claim(&self, permit: &Permit, role: Role) -> Claim {
        let claimed = Claimed::Work(permit.clone());
        self.services.standing.claim(&self.guest, &self.story, claimed, role, &self.limits)
    }

    /// Whether the permit that opened it has been withdrawn, and it ends.
    pub(super) fn loses_permission(&self) -> bool {
        self.ground.has_ended()
    }

    pub(super) fn next_channel(&self) -> ChannelNumber {
        ChannelNumber(self.numbers.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    /// Another permit is used on this session: the tightest limits hold.
    pub(super) fn tighten(&self, limits: &Limits) {
        self.limits.tighten(limits);
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

    /// Watches a session to its end and puts the ending on record.
    pub(super) async fn supervise(self: Arc<Self>, shutdown: CancellationToken, over: CancellationToken) {
        let cause = tokio::select! {
            // Shutting down also ends the visit: the cause comes before its consequence.
            biased;
            () = shutdown.cancelled() => Cause::Order(Ending::ShuttingDown, sentences::SHUTTING_DOWN),
            () = self.unrecorded.cancelled() => Cause::Order(Ending::RecordingFailed, sentences::RECORDING_FAILED),
            () = self.presence.killed() => Cause::Order(Ending::Killed, sentences::KILLED),
            (ending, sentence) = self.ground.ended() => Cause::Order(ending, sentence),
            (ending, sentence) = self.limits.passed(&self.activity, |warning| self.presence.warn(warning)) => {
                Cause::Order(ending, sentence)
            }
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
                detail: cause.detail(&self.ground).map(Text::from),
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

    /// For the record, which says more about a permit than its user reads.
    fn detail(self, ground: &Claim) -> Option<&str> {
        match self {
            Self::Order(Ending::PermissionEnded | Ending::TargetReplaced, sentence) => {
                Some(ground.detail().unwrap_or(sentence))
            }
            Self::Order(_, sentence) => Some(sentence),
            Self::TargetLeft | Self::ClientLeft => None,
        }
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
                Vouched::Ca => VouchedBy::Ca,
                Vouched::Pinned => VouchedBy::Pinned,
                Vouched::Tag => VouchedBy::Tag,
                Vouched::Console => VouchedBy::Console,
                Vouched::FirstUse => VouchedBy::TofuFirstUse,
            },
            pin_vouched_by: upstream.facts.pin_vouched_by,
            replaced_fingerprint: upstream.facts.replaced.clone(),
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
