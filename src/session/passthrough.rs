//! A jump that is passed through: the inner SSH is between the client and the target, and drawbridge sees none of it.
//!
//! The key that the client logged in to drawbridge with is pushed for the permitted login. What always holds: nothing is pushed
//! or dialled before the decision is on record; the pipe is opened only after the push was confirmed; what is inside
//! is never looked at, which the audit says of each such session.

use std::sync::Arc;
use std::time::Instant;

use super::cause::Case;
use super::entrance::{self, Guest};
use super::limits::Tightening;
use super::live::push_event;
use super::standing::{Claim, Claimed, Role};
use super::story::{Story, Unrecorded};
use super::{Services, addressing, pipe, sentences};
use crate::audit::{Content, Event, TargetFacts, Text, Way};
use crate::credential::{InjectErrorKind, PublicHalf};
use crate::domain::{Action, Identity, Login, SessionId, Target};
use crate::policy::{ANY_LOGIN, Permit, Question};
use crate::relay::Outcome;
use crate::ssh::ChannelOpen;
use crate::target::default_login;
use crate::tcp::PromptTcp;
use crate::upstream::{Tunnel, UpstreamError};

/// What a jump to a target is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// A visit, by an inner SSH server of ours.
    Visit,
    /// Passed through, with this login.
    Tunnel(Login),
    /// To be passed through, but it cannot be.
    Tell(String),
}

/// A pass-through that is asked for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) story: &'a Story,
    pub(super) guest: &'a Arc<Guest>,
    pub(super) target: &'a Arc<Target>,
    pub(super) login: Login,
}

/// Decides which kind of jump policy wants: passed through where it grants `tunnel` and no login a `shell`.
pub(super) fn plan(services: &Services, guest: &Guest, target: &Arc<Target>) -> Plan {
    // Whoever lost their access since is told so by each of the two.
    let Ok(identity) = guest.as_of_now(services) else { return Plan::Visit };
    let policy = services.policy.current();
    let now = services.clock.now();
    let usual = default_login(target);
    let whichever = Login::parse(ANY_LOGIN).ok();
    let logins = |action: &Action, also: &[Login]| policy.logins(&identity, target, Some(action), now, also);
    let all: Vec<Login> = usual.iter().chain(&whichever).cloned().collect();
    if !logins(&Action::Shell, &all).is_empty() {
        return Plan::Visit;
    }
    let mut permitted = logins(&Action::Tunnel, &all);
    if permitted.is_empty() && addressing::named_login(&guest.ssh_user).is_none() {
        return Plan::Visit;
    }
    if let Some(named) = addressing::named_login(&guest.ssh_user) {
        let Ok(named) = Login::parse(named) else { return Plan::Tell(sentences::not_a_login(named)) };
        let wanted =
            !permitted.is_empty() || logins(&Action::Tunnel, std::slice::from_ref(&named)).contains(&named);
        return if wanted { Plan::Tunnel(named) } else { Plan::Visit };
    }
    permitted.retain(|login| Some(login) != whichever.as_ref());
    match permitted.as_slice() {
        [] => Plan::Tell(sentences::NO_LOGIN_TO_TUNNEL.to_owned()),
        [only] => Plan::Tunnel(only.clone()),
        several => Plan::Tell(sentences::several_logins_to_tunnel(&identity.user, target, several)),
    }
}

/// Passes one jump through until it is over. Where it cannot be, the channel comes back with the reason, a sentence.
pub(super) async fn serve(
    services: &Services,
    wanted: Wanted<'_>,
    open: ChannelOpen,
) -> Result<(), (ChannelOpen, String)> {
    let session = SessionId::fresh();
    let story = wanted.story.of_session(session);
    let prepared = tokio::select! {
        prepared = prepare(services, &story, &wanted) => prepared,
        () = services.tasks.token().cancelled() => Err(sentences::SHUTTING_DOWN.to_owned()),
    };
    let (permit, stream) = match prepared {
        Ok(prepared) => prepared,
        Err(sentence) => return Err((open, sentence)),
    };
    let begun = Instant::now();
    let presence = services.roster.enter(session, false);
    if story.record(started(&wanted, &permit)).await.is_err() {
        return Err((open, sentences::AUDIT_UNAVAILABLE.to_owned()));
    }
    let killed = presence.kill_order();
    let limits = Tightening::new(*permit.limits());
    let claim = services.standing.claim(wanted.guest, &story, Claimed::Work(permit), Role::Session, &limits);
    let outcome = pipe::run(services, open.accept(), stream, &claim, killed).await;
    // It has ended whether or not that can be written; the failure is in the operator's log.
    let _on_record = story.record(ended(&outcome, &claim, begun)).await;
    Ok(())
}

/// Decides, pushes and dials, and puts each on record. The error is a sentence.
async fn prepare(
    services: &Services,
    story: &Story,
    wanted: &Wanted<'_>,
) -> Result<(Permit, PromptTcp), String> {
    let Ok(identity) = wanted.guest.as_of_now(services) else {
        return Err(entrance::withdrawn(story, "direct-tcpip").await);
    };
    let unavailable = |_: Unrecorded| sentences::AUDIT_UNAVAILABLE.to_owned();
    let permit = decide(services, story, wanted, &identity).await?;
    if services.log.in_store().await.is_err() {
        return Err(sentences::STORE_UNAVAILABLE.to_owned());
    }
    let key = PublicHalf::of_client(&wanted.guest.key_blob)
        .map_err(|why| sentences::key_not_pushable(wanted.target, why))?;
    let tunnel = services.connector.tunnel(&permit, &key).await;
    narrate(story, &tunnel).await.map_err(unavailable)?;
    let stream = tunnel.result.map_err(|error| {
        let session = story.session.map(tracing::field::display);
        tracing::warn!(session, target = %permit.target().id, reason = error.label(), %error, "a target could not be reached");
        let sentence = if matches!(&error, UpstreamError::Push(push) if push.kind == InjectErrorKind::InvalidRequest) {
            sentences::push_not_accepted(permit.login())
        } else {
            error.sentence(permit.target(), permit.login().as_str())
        };
        (sentence, error.class())
    });
    match stream {
        Ok(stream) => Ok((permit, stream)),
        Err((sentence, class)) => {
            let case =
                Case { services, story, guest: wanted.guest, target: wanted.target, login: &wanted.login };
            Err(case.told(sentence, class).await)
        }
    }
}

async fn decide(
    services: &Services,
    story: &Story,
    wanted: &Wanted<'_>,
    identity: &Arc<Identity>,
) -> Result<Permit, String> {
    let question = Question {
        identity,
        target: wanted.target,
        login: &wanted.login,
        action: &Action::Tunnel,
        now: services.clock.now(),
    };
    let decision = services.policy.current().decide(&question);
    let event = match &decision {
        Ok(permit) => Event::permitted(permit),
        Err(refusal) => Event::refused(&question, refusal),
    };
    story.record(event).await.map_err(|_| sentences::AUDIT_UNAVAILABLE.to_owned())?;
    decision.map_err(|_| sentences::refused(wanted.target, &wanted.login, Action::Tunnel.kind()))
}

async fn narrate(story: &Story, tunnel: &Tunnel) -> Result<(), Unrecorded> {
    if let Some(pushed) = &tunnel.pushed {
        story.tell(push_event(pushed)).await?;
    }
    let Err(error) = &tunnel.result else { return Ok(()) };
    let failed = Event::UpstreamFailed {
        target_address: tunnel.address,
        class: error.class(),
        reason: Text::from(error.label()),
        detail: Text::from(error.to_string()),
        host_key_fingerprint: None,
        pinned_fingerprint: None,
        duration: tunnel.took,
    };
    story.tell(failed).await
}

fn started(wanted: &Wanted<'_>, permit: &Permit) -> Event {
    let identity = permit.identity();
    Event::SessionStarted {
        user: identity.user.clone(),
        client_addr: identity.client_addr,
        client_port: wanted.guest.peer.client.port(),
        way: Way::PassThrough,
        login: permit.login().clone(),
        target: TargetFacts::from(permit.target().as_ref()),
        content: Some(Content::NotSeen),
    }
}

fn ended(outcome: &Outcome, claim: &Claim, begun: Instant) -> Event {
    Event::SessionEnded {
        ending: outcome.ending,
        detail: pipe::detail(outcome.ending, claim).map(Text::from),
        bytes_to_target: outcome.bytes_to_target,
        bytes_to_client: outcome.bytes_to_client,
        channels: 0,
        duration: begun.elapsed(),
    }
}
