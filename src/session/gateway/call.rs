//! One call: from what the client named to the last byte.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::choose::{Asking, Denied};
use super::find::{Meaning, Nowhere, find};
use super::refused::Refused;
use crate::audit::{ActionFacts, Event, Text, Unresolved, Way};
use crate::domain::{ChannelNumber, Identity, Target};
use crate::policy::ConnectPermit;
use crate::session::entrance::{self, Guest};
use crate::session::limits::Tightening;
use crate::session::standing::{Claimed, Role};
use crate::session::story::Story;
use crate::session::{Services, jump, pipe, resolve, sentences};
use crate::ssh::{ChannelOpen, RefusalCode};
use crate::tcp::PromptTcp;
use crate::upstream::UpstreamError;

/// The port people mean when they name none.
pub(in crate::session) const SSH_PORT: u16 = 22;

/// A `direct-tcpip` channel on a guest's own connection.
#[derive(Debug)]
pub(in crate::session) struct Call {
    pub(in crate::session) services: Arc<Services>,
    pub(in crate::session) story: Story,
    pub(in crate::session) guest: Arc<Guest>,
    /// Its number among those of the connection.
    pub(in crate::session) number: ChannelNumber,
    pub(in crate::session) host: String,
    pub(in crate::session) port: u32,
    /// Who connected at the client, as it says.
    pub(in crate::session) originator: String,
}

/// Serves one channel until it is over: a jump where it is for SSH to an instance that the guest may enter, else a
/// connection by the bastion.
pub(in crate::session) async fn serve(call: Call, open: ChannelOpen) {
    let Some(port) = u16::try_from(call.port).ok().filter(|port| *port != 0) else {
        let requested = format!("{}:{}", call.host, call.port);
        call.not_resolved(&requested, Unresolved::Malformed, "ports go from 1 to 65535").await;
        let sentence = sentences::bad_port(call.port);
        return open.refuse(RefusalCode::AdministrativelyProhibited, &sentence);
    };
    let mut jump_refusal = None;
    if port == SSH_PORT {
        match call.resolve_jump().await {
            Ok(target) => return call.jump(open, target).await,
            Err(sentence) => jump_refusal = Some(sentence),
        }
    }
    let Ok(identity) = call.guest.as_of_now(&call.services) else {
        let sentence = match jump_refusal {
            Some(sentence) => return call.turn_away(open, &sentence).await,
            None => entrance::withdrawn(&call.story, "direct-tcpip").await,
        };
        return open.refuse(RefusalCode::AdministrativelyProhibited, &sentence);
    };
    let policy = call.services.policy.current();
    let inventory = &call.services.inventory;
    let meaning =
        Box::pin(find(&call.services.gateway, inventory, &policy, &identity, &call.host, port)).await;
    drop(policy);
    if jump_refusal.is_none() && meaning.as_ref().is_ok_and(Meaning::is_ssh) {
        match call.resolve_jump().await {
            Ok(target) if target.port == port => return call.jump(open, target).await,
            Ok(_) => {}
            Err(sentence) => jump_refusal = Some(sentence),
        }
    }
    let refused = match call.decide(&identity, meaning, port, jump_refusal.as_deref()).await {
        Ok(permit) => match call.dial(&permit).await {
            Ok(stream) => return call.join(open, &permit, stream).await,
            Err(refused) => refused,
        },
        Err(refused) => refused,
    };
    if jump_refusal.is_some() {
        return call.turn_away(open, &refused.sentence).await;
    }
    open.refuse(refused.code, &refused.sentence);
}

impl Call {
    async fn resolve_jump(&self) -> Result<Arc<Target>, String> {
        resolve::resolve(&self.services, &self.story, &self.guest, &self.host, Way::Jump).await
    }

    async fn jump(self, open: ChannelOpen, target: Arc<Target>) {
        Box::pin(jump::serve(self.services, self.story, self.guest, open, self.host, target)).await;
    }

    /// Where SSH was meant, an SSH server says why not: a refused channel would leave the user
    /// with "stdio forwarding failed" and, at `LogLevel ERROR`, without the reason.
    async fn turn_away(self, open: ChannelOpen, sentence: &str) {
        Box::pin(jump::turn_away(&self.services, open, &self.host, None, sentence)).await;
    }

    /// What was typed, with the port.
    fn typed(&self, port: u16) -> String {
        if self.host.contains(':') {
            format!("[{}]:{port}", self.host)
        } else {
            format!("{}:{port}", self.host)
        }
    }

    /// The permit, on record. After a jump was refused, which is on record, no other refusal is, unless it says more.
    async fn decide(
        &self,
        identity: &Arc<Identity>,
        meaning: Result<Meaning, Nowhere>,
        port: u16,
        jump_refusal: Option<&str>,
    ) -> Result<ConnectPermit, Refused> {
        let services = &self.services;
        let typed = self.typed(port);
        let nobody_s = meaning.as_ref().is_ok_and(Meaning::is_nobody_s);
        let chosen = meaning.map(|meaning| {
            let policy = services.policy.current();
            let asking = Asking {
                policy: &policy,
                identity,
                now: services.clock.now(),
                is_own: services.gateway.is_own,
                listeners: &services.gateway.listeners,
            };
            asking.choose(meaning)
        });
        let may_forward = self.guest.extensions.permit_port_forwarding;
        let says_more = match &chosen {
            Ok(Ok(_permit)) => may_forward,
            // Of an instance, the jump's refusal is what matters.
            Ok(Err(Denied::Never(_))) => may_forward && nobody_s,
            Ok(Err(_)) | Err(_) => false,
        };
        if let (Some(sentence), false) = (jump_refusal, says_more) {
            return Err(Refused::not_allowed(sentence));
        }
        self.story
            .tell(Event::TargetRequested { typed: Text::from(typed.as_str()), way: Way::Connect })
            .await?;
        if !may_forward {
            let (requested, reason) = (Text::from("direct-tcpip"), Text::from("not-in-certificate"));
            self.story.record(Event::ChannelRefused { requested, reason }).await?;
            return Err(Refused::not_allowed(sentences::NO_FORWARDING_IN_CERTIFICATE));
        }
        match chosen {
            Ok(Ok(permit)) => {
                self.story.record(Event::connect_permitted(&permit)).await?;
                Ok(permit)
            }
            Ok(Err(denied)) => Err(self.denied(&typed, denied).await?),
            Err(nowhere) => Err(self.nowhere(&typed, nowhere).await),
        }
    }

    async fn dial(&self, permit: &ConnectPermit) -> Result<PromptTcp, Refused> {
        let started = Instant::now();
        let destination = permit.destination();
        if self.services.log.in_store().await.is_err() {
            return Err(Refused::failed(sentences::STORE_UNAVAILABLE));
        }
        let dialled = tokio::select! {
            dialled = self.services.connector.reach(permit) => dialled,
            () = self.services.tasks.token().cancelled() => {
                return Err(Refused::failed(sentences::SHUTTING_DOWN));
            }
        };
        let error = match dialled {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let failed = Event::UpstreamFailed {
            target_address: destination.socket_addr(),
            class: error.class(),
            reason: Text::from(error.label()),
            detail: Text::from(error.to_string()),
            host_key_fingerprint: None,
            pinned_fingerprint: None,
            duration: started.elapsed(),
        };
        self.story.tell(failed).await?;
        let typed = self.typed(destination.port);
        Err(Refused::failed(match error {
            UpstreamError::ConnectionRefused => sentences::nothing_listens(&typed),
            UpstreamError::ConnectTimeout(_) => sentences::no_answer(&typed),
            UpstreamError::Push(_)
            | UpstreamError::Key
            | UpstreamError::Unreachable(_)
            | UpstreamError::Silent(_)
            | UpstreamError::NoBanner(_)
            | UpstreamError::NotSsh { .. }
            | UpstreamError::TurnedAway { .. }
            | UpstreamError::HandshakeTimeout(_)
            | UpstreamError::Ssh(_)
            | UpstreamError::HostKeyChanged { .. }
            | UpstreamError::HostKeyUnknown { .. }
            | UpstreamError::Pins(_)
            | UpstreamError::LoginRejected { .. }
            | UpstreamError::LoginClosed(_)
            | UpstreamError::LoginTimeout(_) => sentences::no_way(&typed),
        }))
    }

    /// Bytes flow, on record, until it is over.
    async fn join(self, open: ChannelOpen, permit: &ConnectPermit, stream: PromptTcp) {
        let identity = permit.identity();
        let action = ActionFacts::from(permit.destination());
        let begun = Instant::now();
        let started = Event::ForwardStarted {
            channel: self.number,
            user: identity.user.clone(),
            client_addr: identity.client_addr,
            action: action.clone(),
            originator: (!self.originator.is_empty()).then(|| Text::from(self.originator.as_str())),
        };
        if self.story.record(started).await.is_err() {
            return open.refuse(RefusalCode::ConnectFailed, sentences::AUDIT_UNAVAILABLE);
        }
        let limits = Tightening::new(*permit.limits());
        let claimed = Claimed::Connect(permit.clone());
        let claim = self.services.standing.claim(&self.guest, &self.story, claimed, Role::Session, &limits);
        let outcome =
            pipe::run(&self.services, open.accept(), stream, &claim, CancellationToken::new()).await;
        let ended = Event::ForwardEnded {
            channel: self.number,
            action,
            bytes_to_target: outcome.bytes_to_target,
            bytes_to_client: outcome.bytes_to_client,
            ending: outcome.ending,
            detail: pipe::detail(outcome.ending, &claim).map(Text::from),
            duration: begun.elapsed(),
        };
        // It has ended whether or not that can be written; the failure is in the operator's log.
        let _on_record = self.story.record(ended).await;
    }
}
