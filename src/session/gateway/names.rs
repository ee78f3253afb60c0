//! One bounded look-up of a name by the system's resolver.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The longest a look-up may take, waiting for its turn included.
const DEADLINE: Duration = Duration::from_secs(5);
/// Look-ups at once, each on a thread of its own until the resolver gives up.
const AT_ONCE: usize = 16;
/// Addresses of one answer that are looked at.
const ADDRESSES_MAX: usize = 8;

/// What asks for the addresses of a name. It may block.
type Resolver = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Looks names up. Clones share the turns.
#[derive(Clone)]
pub(super) struct Names {
    resolver: Arc<Resolver>,
    turns: Arc<Semaphore>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl Names {
    pub(super) fn new(resolver: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self { resolver: Arc::new(resolver), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The system's resolver: its hosts file, its search list, its name servers.
    pub(super) fn of_the_system() -> Self {
        Self::new(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    /// The addresses of a name, each once, in the resolver's order; none where it has none or does not answer
    /// in time.
    pub(super) async fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let (resolver, turns, asked) = (Arc::clone(&self.resolver), Arc::clone(&self.turns), name.to_owned());
        let looking_up = async move {
            let turn = turns.acquire_owned().await.ok()?;
            let answer = tokio::task::spawn_blocking(move || {
                // The turn is over when the thread is free, which may be long after anybody waits for it.
                let _turn = turn;
                resolver(&asked)
            });
            answer.await.ok()
        };
        match timeout(DEADLINE, looking_up).await {
            Ok(Some(Ok(found))) => {
                let mut addresses: Vec<IpAddr> = Vec::new();
                for address in found.into_iter().map(|address| address.to_canonical()) {
                    if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                addresses
            }
            Ok(Some(Err(error))) => {
                tracing::debug!(name, %error, "a name was not found");
                Vec::new()
            }
            Ok(None) => Vec::new(),
            Err(_) => {
                tracing::warn!(name, "the system's resolver did not answer in time");
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_short_plain_and_without_repetition() {
        let names = Names::new(|name| {
            assert_eq!(name, "many.example");
            let addresses = (1..=100_u8).flat_map(|n| {
                [IpAddr::from([10, 0, 0, n]), format!("::ffff:10.0.0.{n}").parse().expect("an address")]
            });
            Ok(addresses.collect())
        });
        let addresses = names.addresses("many.example").await;
        assert_eq!(addresses.len(), ADDRESSES_MAX);
        assert_eq!(addresses.first(), Some(&IpAddr::from([10, 0, 0, 1])));
        assert_eq!(addresses.last(), Some(&IpAddr::from([10, 0, 0, 8])));
    }

    #[tokio::test]
    async fn a_resolver_that_fails_finds_nothing() {
        let names = Names::new(|_| Err(io::ErrorKind::NotFound.into()));
        assert!(names.addresses("x").await.is_empty());
    }

    /// A resolver that hangs must not take a thread for each question.
    #[tokio::test]
    async fn no_more_than_a_few_look_ups_are_under_way() {
        let (asked, mut count) = tokio::sync::mpsc::channel(AT_ONCE * 2);
        let gate = Arc::new(Semaphore::new(0));
        let (held, runtime) = (Arc::clone(&gate), tokio::runtime::Handle::current());
        let names = Names::new(move |_| {
            asked.blocking_send(()).expect("the test listens");
            runtime.block_on(held.acquire()).expect("open").forget();
            Ok(Vec::new())
        });
        let ask = |names: Names| tokio::spawn(async move { names.addresses("slow.example").await });
        let tasks: Vec<_> = (0..AT_ONCE * 2).map(|_| ask(names.clone())).collect();
        for _ in 0..AT_ONCE {
            count.recv().await.expect("asked");
        }
        assert_eq!(names.turns.available_permits(), 0);
        assert!(count.try_recv().is_err(), "one more than may be was asked");
        gate.add_permits(AT_ONCE * 2);
        for task in tasks {
            task.await.expect("no panic");
        }
    }
}
