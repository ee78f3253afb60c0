//! Where the target listens for the client, as far as the client asked for it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::super::standing::Claim;
use super::wire::Listen;
use crate::audit::{ActionFacts, Event};

/// Places where one session's target may listen.
const LISTENERS_MAX: usize = 64;

/// The places of one session.
#[derive(Debug, Default)]
pub(in crate::session) struct Listeners {
    places: Mutex<Places>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    all: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    number: u64,
    /// As it was asked for.
    listen: Listen,
    /// The port; 0 for a socket, and until the target has chosen one.
    port: u16,
    /// The client has been told that it listens.
    told: bool,
    claim: Arc<Claim>,
}

/// A place that the target is being asked to listen at; dropped before it listens, it is forgotten.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    listeners: &'a Listeners,
    number: u64,
}

impl Listeners {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the target is about to be asked; nothing when there are too many places.
    pub(super) fn ask(&self, listen: Listen, claim: Arc<Claim>) -> Option<Asked<'_>> {
        let mut places = self.places();
        if places.all.len() >= LISTENERS_MAX {
            return None;
        }
        let number = places.next;
        places.next += 1;
        let port = match &listen {
            Listen::Port { port, .. } => *port,
            Listen::Socket { .. } => 0,
        };
        places.all.push(Place { number, listen, port, told: false, claim });
        Some(Asked { listeners: self, number })
    }

    /// Waits until nothing that is being asked for could be it, and answers the place as it was asked for with its
    /// permit, or nothing where nobody asked or the permit does not hold any more. A target may open its first channel before its own answer has been dealt with.
    pub(super) async fn invited(&self, opened: &Listen) -> Option<(Listen, Arc<Claim>)> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let places = self.places();
                if let Some(place) = places.find(opened) {
                    let invited = (place.listen.clone(), Arc::clone(&place.claim));
                    return (!place.claim.has_ended()).then_some(invited);
                }
                if places.all.iter().all(|place| place.told) {
                    return None;
                }
            }
            if changed.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Whether the target listens at exactly this place, by the port that it has.
    pub(super) fn has(&self, listen: &Listen) -> bool {
        self.places().exactly(listen).is_some()
    }

    /// The target listens there no longer. Answers the place as it was asked for, and the port that was chosen.
    pub(super) fn cease(&self, listen: &Listen) -> Option<(Listen, Option<u16>)> {
        let mut places = self.places();
        let at = places.exactly(listen)?;
        let place = places.all.remove(at);
        Some((place.chosen(), place)).map(|(port, place)| (place.listen, port))
    }

    /// The session is over: forgets every place and answers those where the target listened.
    fn close(&self) -> Vec<(Listen, Option<u16>)> {
        let places = std::mem::take(&mut self.places().all);
        self.changed.send_replace(());
        let told = places.into_iter().filter(|place| place.told);
        told.map(|place| (place.chosen(), place)).map(|(port, place)| (place.listen, port)).collect()
    }
}

impl Asked<'_> {
    /// The target listens, and the client has been told so.
    pub(super) fn listens_at(self, port: u16) {
        let mut places = self.listeners.places();
        if let Some(place) = places.all.iter_mut().find(|place| place.number == self.number) {
            place.port = port;
            place.told = true;
        }
        // What is told stays when this goes, which wakes whoever waits.
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.listeners.places().all.retain(|place| place.told || place.number != self.number);
        self.listeners.changed.send_replace(());
    }
}

impl Place {
    /// The port that the target chose, where it was to choose one.
    fn chosen(&self) -> Option<u16> {
        matches!(self.listen, Listen::Port { port: 0, .. }).then_some(self.port)
    }

    fn is(&self, wanted: &Listen) -> bool {
        match (&self.listen, wanted) {
            (Listen::Port { host, .. }, Listen::Port { host: wanted, port }) => {
                host == wanted && self.port == *port
            }
            (Listen::Socket { path }, Listen::Socket { path: wanted }) => path == wanted,
            (Listen::Port { .. }, Listen::Socket { .. }) | (Listen::Socket { .. }, Listen::Port { .. }) => {
                false
            }
        }
    }

    /// Servers differ in whether they repeat the address that was asked for or say where the connection came in.
    fn may_be(&self, opened: &Listen) -> bool {
        let (Listen::Port { host, .. }, Listen::Port { host: said, port }) = (&self.listen, opened) else {
            return false;
        };
        let every = matches!(host.as_str(), "" | "*" | "0.0.0.0" | "::");
        let local = host == "localhost" && said.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        self.port == *port && (every || local)
    }
}

impl Places {
    fn exactly(&self, wanted: &Listen) -> Option<usize> {
        self.all.iter().position(|place| place.told && place.is(wanted))
    }

    fn find(&self, opened: &Listen) -> Option<&Place> {
        let exactly = self.exactly(opened).and_then(|at| self.all.get(at));
        exactly.or_else(|| self.all.iter().find(|place| place.told && place.may_be(opened)))
    }
}

/// The session is over: what its target listened at has ended too, one event for each place.
pub(in crate::session) fn still_listening(listeners: &Listeners) -> Vec<Event> {
    listeners.close().into_iter().map(|(listen, port)| event(&listen, port, false)).collect()
}

pub(super) fn event(listen: &Listen, port: Option<u16>, listening: bool) -> Event {
    Event::ForwardListening { action: ActionFacts::from(&listen.action()), port, listening }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::Bastion;
    use super::*;
    use crate::domain::Ending;

    fn port(host: &str, port: u16) -> Listen {
        Listen::Port { host: host.to_owned(), port }
    }

    fn permit(bastion: &Bastion) -> Arc<Claim> {
        Arc::new(bastion.claim("web-1"))
    }

    async fn invited(listeners: &Listeners, opened: &Listen) -> Option<Listen> {
        listeners.invited(opened).await.map(|(listen, _permit)| listen)
    }

    fn socket(path: &str) -> Listen {
        Listen::Socket { path: path.to_owned() }
    }

    #[tokio::test]
    async fn only_what_was_asked_for_and_still_listens_is_invited() {
        let (listeners, bastion) = (Listeners::default(), Bastion::new());
        assert_eq!(invited(&listeners, &port("localhost", 80)).await, None);
        listeners.ask(port("localhost", 80), permit(&bastion)).expect("room").listens_at(80);
        listeners.ask(socket("/run/x"), permit(&bastion)).expect("room").listens_at(0);
        assert_eq!(invited(&listeners, &port("localhost", 80)).await, Some(port("localhost", 80)));
        assert_eq!(invited(&listeners, &port("127.0.0.1", 80)).await, Some(port("localhost", 80)));
        assert_eq!(invited(&listeners, &socket("/run/x")).await, Some(socket("/run/x")));
        for other in [port("localhost", 81), port("192.0.2.1", 80), port("", 80), socket("/run/y")] {
            assert_eq!(invited(&listeners, &other).await, None, "{other:?}");
        }
        assert_eq!(listeners.cease(&port("localhost", 80)), Some((port("localhost", 80), None)));
        assert_eq!(invited(&listeners, &port("localhost", 80)).await, None);
        assert_eq!(listeners.cease(&port("localhost", 80)), None);
    }

    #[tokio::test]
    async fn a_chosen_port_is_the_one_that_counts() {
        let (listeners, bastion) = (Listeners::default(), Bastion::new());
        listeners.ask(port("", 0), permit(&bastion)).expect("room").listens_at(4711);
        assert_eq!(invited(&listeners, &port("127.0.0.1", 4711)).await, Some(port("", 0)));
        assert!(!listeners.has(&port("", 0)) && listeners.has(&port("", 4711)));
        assert_eq!(listeners.cease(&port("", 4711)), Some((port("", 0), Some(4711))));
    }

    /// sshd may accept a connection before the client knows that it listens.
    #[tokio::test]
    async fn who_opens_before_the_client_was_told_waits() {
        let (listeners, bastion) = (Listeners::default(), Bastion::new());
        let asked = listeners.ask(port("", 0), permit(&bastion)).expect("room");
        let refused = listeners.ask(port("", 99), permit(&bastion)).expect("room");
        let opened = port("", 4711);
        let mut early = std::pin::pin!(invited(&listeners, &opened));
        assert!(futures_are_pending(&mut early).await);
        drop(refused);
        assert!(futures_are_pending(&mut early).await);
        asked.listens_at(4711);
        assert_eq!(early.await, Some(port("", 0)));
    }

    #[tokio::test]
    async fn who_comes_after_the_permit_has_ended_is_not_invited() {
        let (listeners, bastion) = (Listeners::default(), Bastion::new());
        let permit = permit(&bastion);
        listeners.ask(port("", 80), Arc::clone(&permit)).expect("room").listens_at(80);
        assert!(invited(&listeners, &port("", 80)).await.is_some());
        permit.dangerous_end((Ending::PermissionEnded, "over"));
        assert_eq!(invited(&listeners, &port("", 80)).await, None);
    }

    async fn futures_are_pending<F: Future>(future: &mut std::pin::Pin<&mut F>) -> bool {
        tokio::select! {
            biased;
            _ = future => false,
            () = tokio::task::yield_now() => true,
        }
    }

    #[test]
    fn there_are_only_so_many() {
        let (listeners, bastion) = (Listeners::default(), Bastion::new());
        for number in 1..=64 {
            listeners.ask(port("", number), permit(&bastion)).expect("room").listens_at(number);
        }
        assert!(listeners.ask(port("", 65), permit(&bastion)).is_none());
        listeners.cease(&port("", 1)).expect("it was there");
        drop(listeners.ask(port("", 65), permit(&bastion)).expect("room again"));
        drop(listeners.ask(port("", 66), permit(&bastion)).expect("what the target refused takes no room"));
        assert_eq!(still_listening(&listeners).len(), 63);
        assert!(still_listening(&listeners).is_empty());
    }
}
