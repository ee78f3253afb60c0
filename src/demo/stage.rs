//! Sets the stage: the instances, the world they are in, and the look-alike that tells of them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::DemoError;
use super::aws::{Denials, Faults, LookAlike};
use super::cast::{PARTS, Part, Role, Stage, world};
use super::files::Directory;
use super::instance::{Bound, Shut};
use crate::clock::SystemClock;
use crate::ssh::HostKey;

/// Everything around the daemon, running.
#[derive(Debug)]
pub(super) struct Stages {
    endpoint_url: String,
    tasks: TaskTracker,
}

impl Stages {
    /// Starts the instances and the look-alike; they run until `shutdown`.
    pub(super) async fn start(
        directory: &Directory,
        shutdown: &CancellationToken,
    ) -> Result<Self, DemoError> {
        let mut actors = Vec::new();
        for part in PARTS.iter().filter(|part| part.runs()) {
            actors.push(Actor::enter(part, directory).await?);
        }
        let stages: BTreeMap<_, _> = actors.iter().map(|actor| (actor.part.name, actor.stage())).collect();
        let world = Arc::new(world(&stages, Arc::new(SystemClock)));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let look_alike = LookAlike::bind(any, Arc::clone(&world), Faults::default()).await?;
        let look_alike = look_alike.denying(Denials::from_file(directory.denied_actions()));
        let endpoint_url = look_alike.endpoint_url();
        let tasks = TaskTracker::new();
        let stopped = shutdown.clone();
        tasks.spawn(async move {
            if let Err(error) = look_alike.serve(stopped).await {
                tracing::error!(%error, "the demo goes on without AWS");
            }
        });
        for Actor { part, port, host_key } in actors {
            let (world, shutdown) = (Arc::clone(&world), shutdown.clone());
            match (port, part.instance_id()) {
                (Port::Open(bound), Some(id)) => {
                    tasks.spawn(bound.serve(id, part.name, host_key, world, shutdown));
                }
                (Port::Shut(shut), _) => {
                    tasks.spawn(async move {
                        shutdown.cancelled().await;
                        drop(shut);
                    });
                }
                (Port::Open(_), None) => {}
            }
        }
        Ok(Self { endpoint_url, tasks })
    }

    /// Where the look-alike is.
    pub(super) fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }

    /// Waits until everything has ended; call it after `shutdown` was cancelled.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A part with its address and its host key, which survive from run to run: the daemon pins them.
struct Actor {
    part: &'static Part,
    port: Port,
    host_key: HostKey,
}

/// What is at a part's address.
enum Port {
    Open(Bound),
    Shut(Shut),
}

impl Actor {
    async fn enter(part: &'static Part, directory: &Directory) -> Result<Self, DemoError> {
        let refused = |source| DemoError::Instance { name: part.name, address: part.private_ip, source };
        let port = match part.role {
            Role::Locked => Port::Shut(Shut::at(part.private_ip).await.map_err(refused)?),
            Role::Serves | Role::Bare | Role::Stopped => {
                Port::Open(Bound::at(part.private_ip).await.map_err(refused)?)
            }
        };
        let path = directory.instances().join(format!("{}_host_ed25519", part.name));
        let host_key = HostKey::load_or_create(&path, part.name)?;
        Ok(Self { part, port, host_key })
    }

    fn stage(&self) -> Stage {
        let port = match &self.port {
            Port::Open(bound) => bound.port(),
            Port::Shut(shut) => shut.port(),
        };
        Stage { port, host_key: self.host_key.public_line() }
    }
}
