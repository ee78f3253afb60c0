//! One client, from its TCP connection to its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::entrance::{self, Guest, NotLetIn};
use super::house::House;
use super::jump::ASKS_NOTHING;
use super::live::algorithms;
use super::story::Story;
use super::{Peer, Services, forward, sentences};
use crate::audit::{Event, Text};
use crate::domain::{ConnectionId, Ending};
use crate::ssh::{
    self, CloseReason, Closed, Connection, ConnectionEvent, HostCertificate, ServerConfig, ServerIdentity,
    Stream,
};

/// How long sessions may take to say goodbye, at shutdown and when access is withdrawn, before their connection is ended.
pub(super) const GOODBYE: Duration = Duration::from_secs(3);

/// Serves one client until it is over. `logged_in` is called once, when it has authenticated; until then it makes way for
/// others when it is `displaced`.
pub async fn serve<S: Stream>(
    services: Arc<Services>,
    peer: Peer,
    stream: S,
    displaced: CancellationToken,
    logged_in: impl FnOnce() + Send + 'static,
) {
    let id = ConnectionId::fresh();
    let story = Story::of_connection(&services, id);
    let started = Instant::now();
    let opened = Event::ConnectionOpened {
        client_addr: peer.client.ip().to_canonical(),
        client_port: peer.client.port(),
        listener: peer.listener,
    };
    if story.tell(opened).await.is_err() {
        return;
    }
    // A task of its own: should it panic, this one still puts the ending on record (decision 0001).
    let (at_home, told) = (Arc::clone(&services), story.clone());
    let visit = tokio::spawn(async move {
        let shutdown = at_home.tasks.token().clone();
        let entered = tokio::select! {
            entered = enter(&at_home, &told, peer, stream, &displaced) => entered,
            () = shutdown.cancelled() => Err((Ending::ShuttingDown, String::new())),
        };
        let (guest, connection) = match entered {
            Ok(entered) => entered,
            Err(refusal) => return refusal,
        };
        logged_in();
        host(&at_home, &told, guest, &connection).await
    });
    let (ending, detail) = visit.await.unwrap_or_else(|fault| {
        tracing::error!(connection = %id, %fault, "a connection was ended by a fault; please report this");
        (Ending::InternalFault, String::new())
    });
    tracing::debug!(connection = %id, ending = ending.label(), detail, "a client's connection is over");
    let ended = Event::ConnectionEnded {
        ending,
        detail: (!detail.is_empty()).then(|| Text::from(detail)),
        duration: started.elapsed(),
    };
    // It has ended whether or not that can be written; the failure is in the operator's log.
    let _on_record = story.record(ended).await;
}

type Over = (Ending, String);

/// Key exchange and login, each with its deadline.
async fn enter<S: Stream>(
    services: &Services,
    story: &Story,
    peer: Peer,
    stream: S,
    displaced: &CancellationToken,
) -> Result<(Guest, Connection), Over> {
    let settings = &services.settings;
    let too_slow = |phase: &str| (Ending::ClientLeft, format!("no {phase} within the time allowed"));
    let config = outer_config(services);
    let accepting = ssh::accept(stream, &config);
    let client = tokio::select! {
        biased;
        accepted = tokio::time::timeout(settings.handshake_timeout, accepting) => {
            accepted.map_err(|_| too_slow("key exchange"))?.map_err(|closed| over(&closed))?
        }
        () = displaced.cancelled() => return Err(made_way()),
    };
    let identified = Event::ClientIdentified {
        client_version: Text::from(client.client_ident()),
        algorithms: algorithms(client.negotiated().as_ref()),
    };
    story.tell(identified).await.map_err(|_| unrecorded())?;
    let authenticating = entrance::authenticate(services, story, peer, client, displaced);
    match tokio::time::timeout(settings.login_grace, authenticating).await {
        Ok(Ok(entered)) => Ok(entered),
        Ok(Err(NotLetIn::Closed(closed))) => Err(over(&closed)),
        Ok(Err(NotLetIn::TooManyAttempts)) => {
            Err((Ending::Refused, "too many attempts to log in".to_owned()))
        }
        Ok(Err(NotLetIn::MadeWay)) => Err(made_way()),
        Ok(Err(NotLetIn::Unrecorded)) => Err(unrecorded()),
        Err(_) => Err(too_slow("login")),
    }
}

fn unrecorded() -> Over {
    (Ending::AuditUnavailable, String::new())
}

fn made_way() -> Over {
    (Ending::Refused, "too many were logging in, most of them from this address".to_owned())
}

fn over(closed: &Closed) -> Over {
    let ending = match closed.0.as_ref() {
        CloseReason::Protocol(_) | CloseReason::NoCommonAlgorithm { .. } | CloseReason::NotSsh => {
            Ending::ProtocolError
        }
        CloseReason::Eof
        | CloseReason::PeerDisconnected { .. }
        | CloseReason::Io(_)
        | CloseReason::KeepaliveTimeout
        | CloseReason::HostKeyChanged
        | CloseReason::Local => Ending::ClientLeft,
    };
    (ending, closed.to_string())
}

/// The bastion cannot know by which names it is called, so its certificate is for any; the plain key serves
/// clients that do not know the CA.
fn outer_config(services: &Services) -> ServerConfig {
    let certify =
        |names: &[String]| services.host_ca.certify(&services.host_key, names, services.clock.now());
    let certificate = certify(&["*".to_owned()])
        .and_then(|usual| Ok(HostCertificate { usual, before_openssh_10_3: Some(certify(&[])?) }));
    if let Err(error) = &certificate {
        tracing::error!(%error, "the bastion's own host certificate could not be made");
    }
    ServerConfig {
        identity: ServerIdentity { key: Arc::clone(&services.host_key), certificate: certificate.ok() },
        offer: services.settings.offer,
        rekey: services.settings.rekey,
        limits: services.settings.limits,
    }
}

/// The guest is in: jumps, connections by the bastion, a direct visit, or a word with drawbridge itself.
async fn host(services: &Arc<Services>, story: &Story, guest: Guest, connection: &Connection) -> Over {
    let guest = Arc::new(guest);
    let stay = services.standing.stay(&guest, story);
    let house = House::new(services, story, &guest, connection.opener());
    let (requests, mut queue) = forward::Queue::new();
    let asked = Arc::clone(&house);
    let answering = house.channels.track_future(async move {
        while let Some(request) = queue.recv().await {
            asked.answer(request).await;
        }
    });
    services.tasks.spawn_named("requests", answering);
    let shutdown = services.tasks.token().clone();
    let told = Arc::clone(&house);
    let mut nowhere = Box::pin(async move {
        tokio::time::sleep(ASKS_NOTHING).await;
        told.leads_nowhere().await
    });
    let mut opened = false;
    let mut withdrawn = pin!(stay.ended());
    let result = loop {
        tokio::select! {
            event = connection.next() => match event {
                Ok(ConnectionEvent::Open(open)) => {
                    opened = true;
                    let house = Arc::clone(&house);
                    let tracked = house.channels.clone();
                    services.tasks.spawn_named("channel", tracked.track_future(house.open(open)));
                }
                Ok(ConnectionEvent::Global(request)) => requests.put(request),
                Err(closed) => break Err(over(&closed)),
            },
            sentence = &mut nowhere, if !opened => {
                // Asked once: what the name means later is told to whoever opens something.
                opened = true;
                if let Some(sentence) = sentence {
                    connection.disconnect(&sentence);
                    break Err((Ending::Refused, sentence));
                }
            },
            () = shutdown.cancelled() => {
                break Ok((Ending::ShuttingDown, sentences::SHUTTING_DOWN, String::new()));
            }
            (ending, sentence) = &mut withdrawn => {
                guest.withdrawn.cancel();
                break Ok((ending, sentence, stay.detail().unwrap_or_default().to_owned()));
            }
        }
    };
    drop(requests);
    let result = match result {
        Err(gone) => gone,
        Ok((ending, sentence, detail)) => {
            // Sessions say goodbye; what waits for the client, such as a channel on which nothing is asked
            // or a jump that does not log in, ends with the connection.
            let _in_time = tokio::time::timeout(GOODBYE, house.ended()).await;
            connection.disconnect(sentence);
            (ending, detail)
        }
    };
    house.ended().await;
    result
}
