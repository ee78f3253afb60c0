//! The target opens channels towards the client.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::super::live::Live;
use super::super::program::START;
use super::super::standing::Claim;
use super::narrate::Forward;
use super::wire::{self, Opened};
use crate::audit::{Event, Text};
use crate::domain::{Action, Ending};
use crate::ssh::{ChannelOpen, Connection, ConnectionEvent, OpenError, RefusalCode};

/// Deals with whatever a target wants of us, until the connection to it is over: channels that the client asked
/// for are passed on to it; whatever else is refused, on record.
pub(in crate::session) async fn receive(live: &Arc<Live>) {
    while let Some(open) = next_open(&live.upstream.connection).await {
        let Some(opened) = wire::read_opened(&open.kind) else {
            refuse(live, open, "opened-by-target").await;
            continue;
        };
        let Ok(place) = Arc::clone(&live.arrivals).try_acquire_owned() else {
            refuse(live, open, "too-many").await;
            continue;
        };
        let own = Arc::clone(live);
        let serving = live.channels.track_future(async move { serve(&own, open, opened, place).await });
        live.services.tasks.spawn_named("forward", serving);
    }
}

/// The next channel that a target opens; nothing once the connection is over. Its questions are answered with no:
/// replies go out in their order, so one that nobody answers would hold back every sign of life behind it.
async fn next_open(connection: &Connection) -> Option<ChannelOpen> {
    loop {
        match connection.next().await.ok()? {
            ConnectionEvent::Open(open) => return Some(open),
            ConnectionEvent::Global(request) => request.fail(),
        }
    }
}

async fn refuse(live: &Live, open: ChannelOpen, reason: &str) {
    let requested: String = open.kind.name().chars().take(64).collect();
    open.refuse(RefusalCode::AdministrativelyProhibited, "not asked for");
    let event = Event::ChannelRefused { requested: Text::from(requested), reason: Text::from(reason) };
    // It has not happened in any case.
    let _on_record = live.story.tell(event).await;
}

async fn serve(live: &Live, open: ChannelOpen, opened: Opened, _place: OwnedSemaphorePermit) {
    let Some(Invited { action, claim, originator }) = invited(live, opened).await else {
        return refuse(live, open, "opened-by-target").await;
    };
    let Ok(forward) = Forward::begin(live, &claim, &action, originator).await else {
        return open.refuse(RefusalCode::AdministrativelyProhibited, "not available");
    };
    let opening = tokio::time::timeout(START, live.client.open(&open.kind));
    let client = tokio::select! {
        client = opening => client,
        ending = forward.ordered() => {
            open.refuse(RefusalCode::AdministrativelyProhibited, "not available");
            return forward.failed(ending, "the session was ended".to_owned()).await;
        }
    };
    match client {
        Ok(Ok(client)) => {
            let target = open.accept();
            forward.carry(&client, &target).await;
        }
        Ok(Err(why @ (OpenError::Refused(_) | OpenError::Closed(_)))) => {
            open.refuse(RefusalCode::ConnectFailed, "the client does not take it");
            forward.failed(Ending::ClientLeft, why.to_string()).await;
        }
        Err(_too_slow) => {
            open.refuse(RefusalCode::ConnectFailed, "the client does not answer");
            forward.failed(Ending::ClientLeft, "the client did not answer".to_owned()).await;
        }
    }
}

/// A channel that was asked for, and the permit that it is a use of.
struct Invited {
    action: Action,
    claim: Arc<Claim>,
    originator: Option<String>,
}

/// What was asked for and permitted that this channel is a use of; nothing where it is none.
async fn invited(live: &Live, opened: Opened) -> Option<Invited> {
    match opened {
        Opened::Forwarded(listen, originator) => {
            let (asked, claim) = live.listeners.invited(&listen).await?;
            Some(Invited { action: asked.action(), claim, originator })
        }
        Opened::Agent => {
            let claim = live.features.agent()?;
            Some(Invited { action: Action::Agent, claim, originator: None })
        }
        Opened::X11(originator) => {
            let claim = live.features.take_x11()?;
            Some(Invited { action: Action::X11, claim, originator })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::super::super::tests::Bastion;
    use super::super::wire::Listen;
    use super::*;
    use crate::domain::Fingerprint;
    use crate::ssh::testing::connected;
    use crate::ssh::{ChannelEvent, ChannelKind};
    use crate::upstream::{Facts, Upstream};
    use crate::vouch::Vouched;

    #[tokio::test]
    async fn a_question_of_the_target_holds_back_no_sign_of_life() {
        let (ours, target) = connected().await;
        let asking = async {
            let question = target.ask("who-are-you@example.com", b"?").await;
            (question, target.ask("keepalive@openssh.com", &[]).await)
        };
        let answers = tokio::select! {
            answers = tokio::time::timeout(Duration::from_secs(20), asking) => answers.expect("answered"),
            uninvited = next_open(&ours) => panic!("{uninvited:?}"),
        };
        assert_eq!(answers, (Ok(false), Ok(true)));
    }

    fn other(name: &str, payload: &'static [u8]) -> ChannelKind {
        ChannelKind::Other { name: name.to_owned(), payload: Bytes::from_static(payload) }
    }

    fn forwarded() -> ChannelKind {
        other(wire::FORWARDED_PORT, b"\0\0\0\x04here\0\0\0\x50\0\0\0\x09127.0.0.1\0\0\0\x05")
    }

    async fn is_refused(target: &Connection, kind: &ChannelKind) -> bool {
        matches!(target.open(kind).await, Err(OpenError::Refused(_)))
    }

    #[tokio::test]
    async fn a_target_opens_only_what_was_asked_for() {
        let bastion = Bastion::new();
        let (client, ours_to_client) = connected().await;
        let (connection, target) = connected().await;
        let facts = Facts {
            target_ident: String::new(),
            host_key: Fingerprint::of_blob(b"host"),
            vouched: Vouched::Pinned,
            pin_vouched_by: None,
            replaced: None,
            negotiated: None,
        };
        let mut errand = bastion.errand("web-1");
        errand.client = ours_to_client.opener();
        let live = Live::dangerous_for_test(&bastion.services, &errand, Upstream { connection, facts });
        let own = Arc::clone(&live);
        let receiving = tokio::spawn(async move { receive(&own).await });
        let agent = other(wire::AGENT, b"");
        let x11 = other(wire::X11, b"\0\0\0\x09127.0.0.1\0\0\0\x05");
        for kind in [&ChannelKind::Session, &forwarded(), &agent, &x11, &other("tun@openssh.com", b"")] {
            assert!(is_refused(&target, kind).await, "{kind:?}");
        }
        let here = Listen::Port { host: "here".to_owned(), port: 80 };
        live.listeners.ask(here.clone(), Arc::new(bastion.claim("web-1"))).expect("room").listens_at(80);
        let taken = async {
            let Ok(ConnectionEvent::Open(open)) = client.next().await else { panic!("a channel is opened") };
            assert_eq!(open.kind, forwarded());
            open.accept()
        };
        let opening = forwarded();
        let (opened, taken) = tokio::join!(target.open(&opening), taken);
        let opened = opened.expect("it was asked for");
        opened.write(Bytes::from_static(b"hello")).await.expect("written");
        assert_eq!(taken.recv().await, Some(ChannelEvent::Data(Bytes::from_static(b"hello").into())));
        assert!(is_refused(&target, &agent).await);
        live.listeners.cease(&here).expect("it listened");
        assert!(is_refused(&target, &forwarded()).await);
        drop((opened, taken, target));
        receiving.await.expect("no panic");
        live.channels.close();
        live.channels.wait().await;
        let trail = |name| bastion.trail(name);
        assert_eq!(trail("channel-refused").len(), 7);
        assert!(trail("channel-refused").iter().all(|line| line["reason"] == "opened-by-target"));
        assert_eq!((trail("forward-started").len(), trail("forward-ended").len()), (1, 1));
    }
}
