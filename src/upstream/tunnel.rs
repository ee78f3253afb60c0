//! TCP connections on which drawbridge itself says nothing: pass-through, where the client's key is pushed
//! meanwhile, and those that the bastion makes for somebody who asked for no session.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Connector;
use super::connect::{PUSH_LINGER, Pushed, dial_tcp, taken};
use super::failure::UpstreamError;
use crate::credential::PublicHalf;
use crate::policy::{ConnectPermit, Permit};
use crate::tcp::PromptTcp;

/// An attempt to open the way for a client's own SSH connection, told whole: the session narrates it.
#[derive(Debug)]
pub struct Tunnel {
    /// The address that was dialled.
    pub address: SocketAddr,
    /// The push; nothing when it was still under way as the attempt failed.
    pub pushed: Option<Pushed>,
    /// The connection, or why there is none.
    pub result: Result<PromptTcp, UpstreamError>,
    /// From the start to the end.
    pub took: Duration,
}

impl Connector {
    /// Opens the way to the permit's target for whoever has the private half of `key`, as the permit's login.
    ///
    /// The host key is the client's to verify: the exchange is between the two.
    pub async fn tunnel(&self, permit: &Permit, key: &PublicHalf) -> Tunnel {
        let started = Instant::now();
        let target = permit.target();
        let address = SocketAddr::new(target.private_ip, target.port);
        let mut pushed = None;
        let result = self.open_way(permit, key, address, &mut pushed).await;
        Tunnel { address, pushed, result, took: started.elapsed() }
    }

    /// Connects to the permit's destination, and to nothing else.
    ///
    /// # Errors
    /// When it refuses, does not answer in time, or there is no way there.
    pub async fn reach(&self, permit: &ConnectPermit) -> Result<PromptTcp, UpstreamError> {
        dial_tcp(permit.destination().socket_addr(), &self.settings).await
    }

    async fn open_way(
        &self,
        permit: &Permit,
        key: &PublicHalf,
        address: SocketAddr,
        pushed: &mut Option<Pushed>,
    ) -> Result<PromptTcp, UpstreamError> {
        let mut push = pin!(self.push(permit, key));
        let mut dial = pin!(dial_tcp(address, &self.settings));
        tokio::select! {
            outcome = &mut push => {
                taken(pushed, outcome)?;
                dial.await
            }
            dialled = &mut dial => match dialled {
                Ok(stream) => {
                    taken(pushed, push.await)?;
                    Ok(stream)
                }
                Err(error) => {
                    *pushed = timeout(PUSH_LINGER, push).await.ok();
                    Err(error)
                }
            },
        }
    }
}
