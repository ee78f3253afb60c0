//! The client opens a channel for which the target is to connect somewhere.

use super::super::program::START;
use super::super::standing::Role;
use super::super::visit::Visit;
use super::super::{live::Live, sentences};
use super::narrate::Forward;
use super::wire;
use crate::audit::ActionFacts;
use crate::domain::Ending;
use crate::ssh::{ChannelKind, ChannelOpen, OpenError, OpenRefused, RefusalCode};

/// Whether a channel asks the target for a connection.
pub(in crate::session) fn is_for_the_target(kind: &ChannelKind) -> bool {
    match kind {
        ChannelKind::DirectTcpip { .. } => true,
        ChannelKind::Other { name, .. } => name == wire::DIRECT_SOCKET,
        ChannelKind::Session => false,
    }
}

/// Serves one such channel until it is over.
pub(in crate::session) async fn serve(visit: &Visit, open: ChannelOpen) {
    if let Err((open, sentence)) = start(visit, open).await {
        open.refuse(RefusalCode::AdministrativelyProhibited, &sentence);
    }
}

async fn start(visit: &Visit, open: ChannelOpen) -> Result<(), (ChannelOpen, String)> {
    let (action, originator) = match wire::read_direct(&open.kind) {
        Some(Ok(read)) => read,
        Some(Err(nonsense)) => {
            visit.refuse(open.kind.name(), "malformed").await;
            return Err((open, nonsense.to_owned()));
        }
        None => return Err((open, sentences::SESSIONS_ONLY.to_owned())),
    };
    let permit = match visit.decide(&action, ActionFacts::from(&action), open.kind.name()).await {
        Ok(permit) => permit,
        Err(sentence) => return Err((open, sentence)),
    };
    let live = match visit.session(&permit).await {
        Ok(live) => live,
        Err(not_opened) => return Err((open, not_opened.sentence)),
    };
    let _present = live.channels.token();
    let claim = live.claim(&permit, Role::Work);
    match Forward::begin(&live, &claim, &action, originator).await {
        Ok(forward) => carry(&live, forward, open).await,
        Err(_unrecorded) => return Err((open, sentences::AUDIT_UNAVAILABLE.to_owned())),
    }
    Ok(())
}

async fn carry(live: &Live, forward: Forward<'_>, open: ChannelOpen) {
    let opening = tokio::time::timeout(START, live.upstream.connection.open(&open.kind));
    let target = tokio::select! {
        opened = opening => opened,
        ending = forward.ordered() => {
            open.refuse(RefusalCode::AdministrativelyProhibited, sentences::OVER);
            return forward.failed(ending, "the session was ended".to_owned()).await;
        }
    };
    match target {
        Ok(Ok(target)) => forward.carry(&open.accept(), &target).await,
        Ok(Err(OpenError::Refused(why))) => {
            open.refuse(code_of(&why), &sentences::target_says(&why.text));
            forward.failed(Ending::UpstreamFailed, why.to_string()).await;
        }
        Ok(Err(OpenError::Closed(closed))) => {
            open.refuse(RefusalCode::ConnectFailed, sentences::TARGET_LEFT);
            forward.failed(Ending::TargetLeft, closed.to_string()).await;
        }
        Err(_too_slow) => {
            open.refuse(RefusalCode::ConnectFailed, sentences::TARGET_SILENT);
            forward.failed(Ending::UpstreamFailed, "the target did not answer".to_owned()).await;
        }
    }
}

/// The target's own reason (RFC 4254 §5.1).
fn code_of(why: &OpenRefused) -> RefusalCode {
    let codes =
        [RefusalCode::AdministrativelyProhibited, RefusalCode::UnknownKind, RefusalCode::ResourceShortage];
    codes.into_iter().find(|code| *code as u32 == why.code).unwrap_or(RefusalCode::ConnectFailed)
}
