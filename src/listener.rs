//! The accept loop: who may take a place, and that the loop lives on.
//!
//! What always holds here: every connection has a place ([`Places`] bounds them); an error of `accept` (EMFILE
//! above all) never ends the loop; a connection that is turned away is on record, and is told why where that costs
//! little.

mod places;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::audit::{EarlyRefusal, Entry, Event};
use crate::session::{Peer, Services};
use crate::ssh;

pub use places::{Limits, Place, Places};

/// How long to wait after `accept` failed: the error (no more file descriptors) passes when others leave.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// Connections at a time that are told why they are turned away; further ones are just closed.
const GOODBYES_MAX: usize = 32;
/// How long each of them may take to read it and leave.
const GOODBYE: Duration = Duration::from_secs(2);

/// Connections that the system completes while none is accepted; as the standard library has it.
const BACKLOG: i32 = 1024;

/// Listens on one of the addresses that are listened on together.
///
/// By itself an IPv6 address such as `[::]` takes IPv4 as well. Beside an IPv4 address with the same port it leaves
/// IPv4 to that one: the second of the two would find the port taken.
///
/// # Errors
/// What the system says. [`remedy`] has what helps.
pub fn bind(address: SocketAddr, together: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    let same_port = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
    if address.is_ipv6() && together.iter().any(same_port) {
        socket.set_only_v6(true)?;
    }
    // A restart does not wait for connections of before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What helps when an address cannot be listened on, as the end of a sentence.
#[must_use]
pub fn remedy(error: &io::Error, address: &SocketAddr) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        let port = address.port();
        return format!("another program uses this port, and `ss -ltnp 'sport = {port}'` says which");
    }
    let helps = if kind == io::ErrorKind::PermissionDenied {
        "choose a port from 1024, or give drawbridge CAP_NET_BIND_SERVICE (deploy/drawbridge.service says how)"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "this machine does not have that address: listen on one of its own, or on 0.0.0.0 or [::] for all"
    } else {
        "check `server.listen`"
    };
    helps.to_owned()
}

/// An accepted connection with its place.
#[derive(Debug)]
pub struct Accepted {
    /// The stream.
    pub stream: TcpStream,
    /// Both addresses.
    pub peer: Peer,
    /// Its place, freed when dropped.
    pub place: Place,
}

/// Accepts until told to stop; hands every connection that gets a place to `hand_over`, which says whether
/// it could take it.
pub async fn run(
    listener: TcpListener,
    address: SocketAddr,
    places: Arc<Places>,
    services: Arc<Services>,
    stop: CancellationToken,
    mut hand_over: impl FnMut(Accepted) -> bool + Send,
) {
    let goodbyes = Arc::new(Semaphore::new(GOODBYES_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, client)) => {
                let peer = Peer { client, listener: stream.local_addr().unwrap_or(address) };
                match places.take(client.ip()) {
                    Ok(place) => {
                        if !hand_over(Accepted { stream, peer, place }) {
                            turn_away(&services, peer, EarlyRefusal::NoWorker).await;
                        }
                    }
                    Err(reason) => {
                        if let Ok(one_of_few) = Arc::clone(&goodbyes).try_acquire_owned() {
                            services.tasks.spawn_named("goodbye", async move {
                                // Whoever does not read it is closed all the same.
                                let _in_time = tokio::time::timeout(GOODBYE, say_why(stream, reason)).await;
                                drop(one_of_few);
                            });
                        }
                        turn_away(&services, peer, reason).await;
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, %address, "a connection could not be accepted; trying on");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Tells a client why there is no place for it, and waits until it has left: were it closed with something of the
/// client's unread, the system would send a reset, and some clients would not get to read the sentence.
async fn say_why(mut stream: TcpStream, reason: EarlyRefusal) -> std::io::Result<()> {
    let sentence = match reason {
        EarlyRefusal::TooManyFromAddress => {
            "there are as many connections from your address as drawbridge allows; close some or share one \
             (ControlMaster), or ask your drawbridge operator to allow more."
        }
        EarlyRefusal::TooManyUnauthenticated => {
            "too many people are logging in to drawbridge at this moment; try again in a few seconds."
        }
        EarlyRefusal::TooManyConnections | EarlyRefusal::NoWorker => {
            "drawbridge has as many connections as it allows; try again later, or tell your drawbridge operator."
        }
    };
    stream.write_all(&ssh::goodbye_in_the_clear(sentence)).await?;
    stream.shutdown().await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

async fn turn_away(services: &Services, peer: Peer, reason: EarlyRefusal) {
    tracing::warn!(client = %peer.client, ?reason, "a connection was turned away");
    let event = Event::ConnectionRefused {
        client_addr: peer.client.ip().to_canonical(),
        client_port: peer.client.port(),
        listener: peer.listener,
        reason,
    };
    // An audit log that is stuck must not keep the loop from the next client.
    let post = tokio::time::timeout(AFTER_ERROR, services.log.post(Entry::of_daemon(event)));
    if !matches!(post.await, Ok(Ok(_))) {
        tracing::error!(client = %peer.client, "a connection that was turned away is not on record");
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[tokio::test]
    async fn every_address_of_ipv4_and_of_ipv6_goes_together_with_one_port() {
        let Ok(probe) = bind("[::]:0".parse().expect("an address"), &[]) else { return };
        let port = probe.local_addr().expect("bound").port();
        drop(probe);
        let together = [SocketAddr::new(ip("0.0.0.0"), port), SocketAddr::new(ip("::"), port)];
        let bound: Vec<_> = together.iter().map(|address| bind(*address, &together)).collect();
        assert!(bound.iter().all(Result::is_ok), "{bound:?}");
        let both = [ip("127.0.0.1"), ip("::1")].map(|host| std::net::TcpStream::connect((host, port)));
        assert!(both[0].is_ok(), "{both:?}");
    }

    #[tokio::test]
    async fn ipv6_alone_takes_ipv4_as_well() {
        let Ok(listener) = bind("[::]:0".parse().expect("an address"), &[]) else { return };
        let port = listener.local_addr().expect("bound").port();
        assert!(std::net::TcpStream::connect((ip("127.0.0.1"), port)).is_ok());
    }

    #[tokio::test]
    async fn who_cannot_listen_is_told_what_helps_with_that_reason() {
        let taken = bind("127.0.0.1:0".parse().expect("an address"), &[]).expect("free");
        let address = taken.local_addr().expect("bound");
        let error = bind(address, &[]).expect_err("taken");
        assert!(remedy(&error, &address).contains("another program"), "{error}");
        let below = remedy(&io::ErrorKind::PermissionDenied.into(), &address);
        assert!(below.contains("CAP_NET_BIND_SERVICE") && !below.contains("another program"), "{below}");
        let elsewhere = "192.0.2.1:0".parse().expect("an address");
        let error = bind(elsewhere, &[]).expect_err("a documentation address");
        assert!(remedy(&error, &elsewhere).contains("does not have that address"), "{error}");
    }
}
