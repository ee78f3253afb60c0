//! One target visited over one SSH connection of a client: its channels, and the session they share.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cause::NotOpened;
use super::client::GOODBYE;
use super::entrance::{self, Guest};
use super::live::Live;
use super::prelude::Prelude;
use super::story::Story;
use super::{Services, forward, program, sentences};
use crate::audit::{ActionFacts, Event, Text, Way};
use crate::domain::{Action, Login, SessionId, Target};
use crate::policy::{Permit, Question};
use crate::ssh::{ChannelKind, ChannelOpen, Connection, ConnectionEvent, GlobalRequest, Opener, RefusalCode};
use crate::target::Presence;

/// Sessions of one visit beside the first. With what sshd usually allows for each, they carry all of a client's channels.
const BESIDE_MAX: usize = 7;

/// Who wants to go where, and how they asked.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) story: Story,
    pub(super) guest: Arc<Guest>,
    pub(super) target: Arc<Target>,
    pub(super) login: Login,
    pub(super) way: Way,
    /// Towards the client, for channels that the target opens.
    pub(super) client: Opener,
    /// When the target was found.
    pub(super) found_at: Timestamp,
}

/// A visit: channels come and go, and share one session while it lasts.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) services: Arc<Services>,
    pub(super) errand: Errand,
    session: Mutex<Held>,
    /// The client's connection is over.
    over: CancellationToken,
    /// The channels and sessions of this visit.
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Held {
    /// The id of the session that is open, or of the next one.
    id: SessionId,
    live: Option<Arc<Live>>,
    /// For channels that the target refused on those before.
    beside: Vec<Arc<Live>>,
}

impl Visit {
    pub(super) fn new(services: &Arc<Services>, errand: Errand) -> Arc<Self> {
        Arc::new(Self {
            services: Arc::clone(services),
            errand,
            session: Mutex::new(Held { id: SessionId::fresh(), live: None, beside: Vec::new() }),
            over: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// The story of the session that is open, or of the next one.
    pub(super) async fn story(&self) -> Story {
        self.errand.story.of_session(self.session.lock().await.id)
    }

    /// The session, opened if need be.
    ///
    /// Whoever comes while it is being opened waits for it: one push serves them all.
    pub(super) async fn session(&self, permit: &Permit) -> Result<Arc<Live>, NotOpened> {
        let mut held = self.session.lock().await;
        match &held.live {
            Some(live) if live.is_usable() => {
                live.tighten(permit.limits());
                return Ok(Arc::clone(live));
            }
            Some(_) => {
                held.id = SessionId::fresh();
                held.live = None;
            }
            None => {}
        }
        match self.begin(held.id, permit).await {
            Ok(live) => {
                held.live = Some(Arc::clone(&live));
                Ok(live)
            }
            Err(not_opened) => {
                held.id = SessionId::fresh();
                Err(not_opened)
            }
        }
    }

    /// The session beside the first at that place, opened if need be, and the permit to use it, on its own record; nothing
    /// where there are enough of them. For a program that the target refuses on the sessions before: how many it takes on
    /// one connection (`MaxSessions` in its sshd) is no limit of the client's, who sees another connection.
    pub(super) async fn session_beside(
        &self,
        at: usize,
        prelude: &Prelude,
    ) -> Result<Option<(Permit, Arc<Live>)>, NotOpened> {
        let mut held = self.session.lock().await;
        held.beside.retain(|live| live.is_usable());
        let found = held.beside.get(at).map(Arc::clone);
        if found.is_none() && held.beside.len() >= BESIDE_MAX {
            return Ok(None);
        }
        let id = SessionId::fresh();
        let story =
            found.as_ref().map_or_else(|| self.errand.story.of_session(id), |live| live.story.clone());
        let deciding = self.decide_in(&story, &prelude.action, prelude.facts.clone(), &prelude.start.name);
        let permit = deciding.await.map_err(|sentence| NotOpened::because(&sentence))?;
        let live = match found {
            Some(live) => {
                live.tighten(permit.limits());
                live
            }
            None => {
                let live = self.begin(id, &permit).await?;
                held.beside.push(Arc::clone(&live));
                live
            }
        };
        Ok(Some((permit, live)))
    }

    /// Opens a session, which lasts until the client's connection or that to the target is over.
    async fn begin(&self, id: SessionId, permit: &Permit) -> Result<Arc<Live>, NotOpened> {
        if self.services.log.in_store().await.is_err() {
            return Err(NotOpened::because(sentences::STORE_UNAVAILABLE));
        }
        let over = self.over.child_token();
        let live = Live::open(&self.services, &self.errand, id, permit).await?;
        let shutdown = self.services.tasks.token().clone();
        let supervised = self.tasks.track_future(Arc::clone(&live).supervise(shutdown, over));
        self.services.tasks.spawn_named("session", supervised);
        let (services, target) = (Arc::clone(&self.services), Arc::clone(permit.target()));
        self.services.tasks.spawn_named("pin", async move { services.connector.note_seen(&target).await });
        Ok(live)
    }

    /// The session that is open, if one is.
    pub(super) async fn current(&self) -> Option<Arc<Live>> {
        let held = self.session.lock().await;
        held.live.clone().filter(|live| live.is_usable())
    }

    /// Asks policy, and puts its answer on record; durable before this returns. `requested` is what SSH calls it. The
    /// error is a sentence for the user.
    pub(super) async fn decide(
        &self,
        action: &Action,
        facts: ActionFacts,
        requested: &str,
    ) -> Result<Permit, String> {
        let story = self.story().await;
        self.decide_in(&story, action, facts, requested).await
    }

    async fn decide_in(
        &self,
        story: &Story,
        action: &Action,
        facts: ActionFacts,
        requested: &str,
    ) -> Result<Permit, String> {
        let errand = &self.errand;
        // Users and revocations may have changed since the login: the identity is judged as it is at this moment.
        let Ok(identity) = errand.guest.as_of_now(&self.services) else {
            return Err(entrance::withdrawn(story, requested).await);
        };
        if !errand.guest.extensions.permit(action.kind()) {
            refuse_in(story, requested, "not-in-certificate").await;
            return Err(sentences::NOT_IN_CERTIFICATE.to_owned());
        }
        let Some(target) = self.target_as_of_now() else {
            refuse_in(story, requested, "target-replaced").await;
            return Err(sentences::TARGET_REPLACED.to_owned());
        };
        let question = Question {
            identity: &identity,
            target: &target,
            login: &errand.login,
            action,
            now: self.services.clock.now(),
        };
        let decision = self.services.policy.current().decide(&question);
        let event = match &decision {
            Ok(permit) => Event::permitted(permit),
            Err(refusal) => Event::refused(&question, refusal),
        }
        .with_action(facts);
        story.record(event).await.map_err(|_| sentences::AUDIT_UNAVAILABLE.to_owned())?;
        decision.map_err(|_| sentences::refused(&errand.target, &errand.login, action.kind()))
    }

    /// The machine as it is known to be now; nothing where it is gone.
    fn target_as_of_now(&self) -> Option<Arc<Target>> {
        let Errand { target, found_at, .. } = &self.errand;
        match self.services.inventory.presence(target, *found_at) {
            Presence::Here(target) => Some(target),
            Presence::Unsure => Some(Arc::clone(target)),
            Presence::Gone(_) => None,
        }
    }

    /// Serves a client's connection whose every channel is for this target, until it is over.
    pub(super) async fn serve(self: &Arc<Self>, connection: &Connection) {
        let shutdown = self.services.tasks.token().clone();
        let (requests, mut queue) = forward::Queue::new();
        let visit = Arc::clone(self);
        let answering = self.tasks.track_future(async move {
            while let Some(request) = queue.recv().await {
                visit.answer(request).await;
            }
        });
        self.services.tasks.spawn_named("requests", answering);
        loop {
            tokio::select! {
                event = connection.next() => match event {
                    Ok(ConnectionEvent::Open(open)) => self.open(open).await,
                    Ok(ConnectionEvent::Global(request)) => requests.put(request),
                    Err(_over) => {
                        drop(requests);
                        return self.end().await;
                    }
                },
                () = shutdown.cancelled() => {
                    drop(requests);
                    let _in_time = tokio::time::timeout(GOODBYE, self.end()).await;
                    connection.disconnect(sentences::SHUTTING_DOWN);
                    return self.end().await;
                }
            }
        }
    }

    /// A channel on a connection to this target.
    pub(super) async fn open(self: &Arc<Self>, open: ChannelOpen) {
        match &open.kind {
            ChannelKind::Session => {
                let channel = open.accept();
                let visit = Arc::clone(self);
                let tracked = self.tasks.track_future(async move { program::run(&visit, channel).await });
                self.services.tasks.spawn_named("channel", tracked);
            }
            kind @ (ChannelKind::DirectTcpip { .. } | ChannelKind::Other { .. })
                if forward::is_for_the_target(kind) =>
            {
                let visit = Arc::clone(self);
                let tracked = self.tasks.track_future(async move { forward::connect(&visit, open).await });
                self.services.tasks.spawn_named("forward", tracked);
            }
            other @ (ChannelKind::DirectTcpip { .. } | ChannelKind::Other { .. }) => {
                self.decline(other.name()).await;
                open.refuse(RefusalCode::UnknownKind, sentences::SESSIONS_ONLY);
            }
        }
    }

    /// A request about a connection to this target as a whole. Those of one connection are answered one by one.
    pub(super) async fn answer(&self, request: GlobalRequest) {
        forward::answer(self, request).await;
    }

    /// Puts on record that something was asked for that drawbridge does not carry.
    pub(super) async fn decline(&self, requested: &str) {
        self.refuse(requested, "not-carried").await;
    }

    /// Puts on record that something was asked for that does not happen; `reason` is a label.
    pub(super) async fn refuse(&self, requested: &str, reason: &str) {
        refuse_in(&self.story().await, requested, reason).await;
    }

    /// The client's connection is over: waits until channels and session have ended, on record.
    pub(super) async fn end(&self) {
        self.over.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn refuse_in(story: &Story, requested: &str, reason: &str) {
    let event = Event::ChannelRefused { requested: Text::from(requested), reason: Text::from(reason) };
    // It does not happen in any case.
    let _on_record = story.tell(event).await;
}

impl Drop for Visit {
    /// Whoever held it may have panicked: its sessions end all the same.
    fn drop(&mut self) {
        self.over.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bastion;
    use super::*;

    #[tokio::test]
    async fn the_sessions_of_a_visit_that_was_lost_to_a_panic_end() {
        let bastion = Bastion::new();
        let visit = Visit::new(&bastion.services, bastion.errand("web-1"));
        let of_a_session = visit.over.child_token();
        drop(visit);
        assert!(of_a_session.is_cancelled());
    }
}
