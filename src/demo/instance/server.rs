//! One instance's listener.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::program::Host;
use super::ssh;
use crate::demo::aws::World;
use crate::domain::InstanceId;
use crate::ssh::HostKey;

/// The most connections that one instance serves at a time.
const CONNECTIONS_MAX: usize = 256;

/// How long accepting rests after an error, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An instance's address, taken before the world can tell of it.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    port: u16,
}

/// What one instance's connections share.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: InstanceId,
    pub(super) name: &'static str,
    pub(super) world: Arc<World>,
    pub(super) host: Host,
    pub(super) host_key: Arc<HostKey>,
}

impl Bound {
    /// Binds a port that the system chooses: 22 is for the privileged.
    ///
    /// # Errors
    /// When the address is not this machine's.
    pub async fn at(address: Ipv4Addr) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((address, 0))).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The port that was chosen.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves the instance until `shutdown`, and ends with its last program.
    pub async fn serve(
        self,
        id: InstanceId,
        name: &'static str,
        host_key: HostKey,
        world: Arc<World>,
        shutdown: CancellationToken,
    ) {
        let host = Host::new(motd(name, &id), shutdown.clone());
        let instance =
            Arc::new(Instance { id, name, world, host: host.clone(), host_key: Arc::new(host_key) });
        let connections = TaskTracker::new();
        shutdown.run_until_cancelled(self.accept(&instance, &connections, &shutdown)).await;
        connections.close();
        connections.wait().await;
        host.ended().await;
    }

    async fn accept(
        &self,
        instance: &Arc<Instance>,
        connections: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let (instance, shutdown) = (Arc::clone(instance), shutdown.clone());
                    connections.spawn(async move {
                        shutdown.run_until_cancelled(connection(stream, peer, &instance)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a demo instance could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, instance: &Arc<Instance>) {
    // Without this, keystrokes wait for acknowledgements; a session works either way.
    stream.set_nodelay(true).unwrap_or_default();
    ssh::serve(stream, peer, instance).await;
}

fn motd(name: &str, id: &InstanceId) -> String {
    format!(
        "This is {name} ({id}), an instance of the drawbridge demo.\r\n\
         It is this very machine, and you are its own user: what you do here is real.\r\n"
    )
}
