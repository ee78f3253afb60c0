//! Places for connections, and who makes way where those for strangers are all taken.
//!
//! What always holds here: connections are bounded in all, per client address, and while they have not logged in; and
//! one address alone cannot keep others from logging in. Whoever comes when all places for strangers are taken gets that of
//! the one who has waited longest at the address that has most of them, if that address has at least two more than the
//! newcomer's own: so the addresses come nearer to each other with each step, and no two take turns at a place.
//!
//! What is not here: who says so to whom (the session's entrance), and help against many addresses at once, which can still
//! hold all places between them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::audit::EarlyRefusal;

/// IPv6 clients are counted by network: whoever has one address has 2^64 of them.
const IPV6_PREFIX: u8 = 64;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub connections_max: usize,
    /// From one client address.
    pub per_address_max: usize,
    /// That have not logged in.
    pub unauthenticated_max: usize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    strangers: Strangers,
}

/// Those who have not logged in, and have not had to make way.
#[derive(Debug, Default)]
struct Strangers {
    count: usize,
    /// By address, in the order in which they came. No address is here without anybody.
    by_address: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
    /// The number of the next one.
    next: u64,
}

impl Strangers {
    fn from(&self, key: IpAddr) -> usize {
        self.by_address.get(&key).map_or(0, BTreeMap::len)
    }

    fn add(&mut self, key: IpAddr) -> (u64, CancellationToken) {
        let (number, displaced) = (self.next, CancellationToken::new());
        self.next += 1;
        self.count += 1;
        self.by_address.entry(key).or_default().insert(number, displaced.clone());
        (number, displaced)
    }

    /// Nothing where they are not among them any more.
    fn remove(&mut self, key: IpAddr, number: u64) -> Option<CancellationToken> {
        let here = self.by_address.get_mut(&key)?;
        let removed = here.remove(&number)?;
        if here.is_empty() {
            self.by_address.remove(&key);
        }
        self.count = self.count.saturating_sub(1);
        Some(removed)
    }

    /// Makes somebody give way to a newcomer from that address; false where nobody has to.
    fn make_way(&mut self, newcomer: IpAddr) -> bool {
        let Some((&heaviest, waiting)) = self.by_address.iter().max_by_key(|(_, waiting)| waiting.len())
        else {
            return false;
        };
        if waiting.len() < self.from(newcomer).saturating_add(2) {
            return false;
        }
        let oldest = waiting.keys().next().copied();
        let displaced = oldest.and_then(|oldest| self.remove(heaviest, oldest));
        displaced.inspect(CancellationToken::cancel).is_some()
    }
}

/// The places there are. Shared by all listeners.
#[derive(Debug)]
pub struct Places {
    limits: Limits,
    counts: Mutex<Counts>,
}

impl Places {
    /// All places are free.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::default() })
    }

    /// Takes a place for a client that has yet to log in. Another who has yet to may have to make way for it.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Result<Place, EarlyRefusal> {
        let key = network(client);
        let mut counts = self.lock();
        if counts.all >= self.limits.connections_max {
            return Err(EarlyRefusal::TooManyConnections);
        }
        if counts.by_address.get(&key).is_some_and(|count| *count >= self.limits.per_address_max) {
            return Err(EarlyRefusal::TooManyFromAddress);
        }
        if counts.strangers.count >= self.limits.unauthenticated_max && !counts.strangers.make_way(key) {
            return Err(EarlyRefusal::TooManyUnauthenticated);
        }
        counts.all += 1;
        *counts.by_address.entry(key).or_default() += 1;
        let (number, displaced) = counts.strangers.add(key);
        Ok(Place { places: Arc::clone(self), key, number, displaced })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    key: IpAddr,
    number: u64,
    displaced: CancellationToken,
}

impl Place {
    /// Its client has logged in.
    pub fn logged_in(&self) {
        // Nobody is there the second time, or where they had to make way at that moment.
        let _stranger = self.places.lock().strangers.remove(self.key, self.number);
    }

    /// Told when its client has to make way, having not logged in.
    #[must_use]
    pub fn displaced(&self) -> CancellationToken {
        self.displaced.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.logged_in();
        let mut counts = self.places.lock();
        counts.all = counts.all.saturating_sub(1);
        if let Some(count) = counts.by_address.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_address.remove(&self.key);
            }
        }
    }
}

fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => match ipnet::Ipv6Net::new(address, IPV6_PREFIX) {
            Ok(network) => IpAddr::V6(network.network()),
            Err(_) => IpAddr::V6(address),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections_max: usize, per_address_max: usize, unauthenticated_max: usize) -> Arc<Places> {
        Places::new(Limits { connections_max, per_address_max, unauthenticated_max })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn places_are_bounded_in_all_per_address_and_before_login() {
        let places = places(4, 2, 3);
        let a = places.take(ip("10.0.0.1")).expect("free");
        let b = places.take(ip("10.0.0.1")).expect("free");
        assert_eq!(places.take(ip("10.0.0.1")).expect_err("full"), EarlyRefusal::TooManyFromAddress);
        let _c = places.take(ip("10.0.0.2")).expect("free");
        b.logged_in();
        let _d = places.take(ip("10.0.0.3")).expect("free");
        assert_eq!(places.take(ip("10.0.0.4")).expect_err("full"), EarlyRefusal::TooManyConnections);
        drop(b);
        assert_eq!(places.take(ip("10.0.0.4")).expect_err("full"), EarlyRefusal::TooManyUnauthenticated);
        a.logged_in();
        a.logged_in();
        let _e = places.take(ip("10.0.0.4")).expect("free");
    }

    #[test]
    fn a_place_is_free_again_when_its_client_leaves() {
        let places = places(4, 2, 3);
        for _ in 0..100 {
            let place = places.take(ip("10.0.0.1")).expect("free");
            place.logged_in();
        }
        for _ in 0..100 {
            let _stranger = places.take(ip("10.0.0.1")).expect("free");
        }
        let counts = places.lock();
        assert_eq!((counts.all, counts.strangers.count), (0, 0));
        assert!(counts.by_address.is_empty() && counts.strangers.by_address.is_empty());
    }

    /// With as many places for strangers as for one address, which are the defaults, a single machine could hold them all.
    #[test]
    fn one_address_alone_does_not_keep_others_from_logging_in() {
        let places = places(100, 4, 4);
        let held: Vec<_> = (0..4).map(|_| places.take(ip("10.0.0.1")).expect("free")).collect();
        let newcomer = places.take(ip("10.0.0.2")).expect("somebody makes way");
        assert!(!newcomer.displaced().is_cancelled());
        let displaced: Vec<_> = held.iter().map(|place| place.displaced().is_cancelled()).collect();
        assert_eq!(displaced, [true, false, false, false], "who has waited longest makes way");
        // They leave, or log in at that very moment: their place is another's already.
        held[0].logged_in();
        drop(held);
        assert_eq!(places.lock().strangers.count, 1);
        drop(newcomer);
        assert_eq!(places.lock().strangers.count, 0);
    }

    #[test]
    fn addresses_come_nearer_to_each_other_and_never_take_turns() {
        let places = places(100, 100, 4);
        let mut held: Vec<_> = (0..4).map(|_| places.take(ip("10.0.0.1")).expect("free")).collect();
        held.extend((0..2).map(|_| places.take(ip("10.0.0.2")).expect("somebody makes way")));
        for even in ["10.0.0.1", "10.0.0.2"] {
            let full = places.take(ip(even)).expect_err("both have two");
            assert_eq!(full, EarlyRefusal::TooManyUnauthenticated);
        }
        held.push(places.take(ip("10.0.0.3")).expect("somebody makes way"));
        held.push(places.take(ip("10.0.0.4")).expect("somebody makes way"));
        let full = places.take(ip("10.0.0.5")).expect_err("each has one");
        assert_eq!(full, EarlyRefusal::TooManyUnauthenticated);
        assert_eq!(places.lock().strangers.count, 4);
        assert_eq!(held.iter().filter(|place| !place.displaced().is_cancelled()).count(), 4);
    }

    #[test]
    fn who_has_logged_in_makes_way_for_nobody() {
        let places = places(100, 100, 2);
        let held: Vec<_> = (0..4)
            .map(|_| {
                let place = places.take(ip("10.0.0.1")).expect("free");
                place.logged_in();
                place
            })
            .collect();
        let _strangers = [(); 2].map(|()| places.take(ip("10.0.0.1")).expect("free"));
        let _newcomer = places.take(ip("10.0.0.2")).expect("somebody makes way");
        assert!(held.iter().all(|place| !place.displaced().is_cancelled()));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::ffff")));
        assert_eq!(network(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }
}
