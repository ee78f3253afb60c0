//! Where the bastion itself is asked to connect.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Target;

/// One address and port that the bastion may be asked to connect to, found and ready to be decided about.
///
/// A name is looked up before this value is made and never again: what policy decides about is what is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The host as the client named it.
    pub host: String,
    /// The address that is dialled.
    pub address: IpAddr,
    /// The port, 1 to 65535.
    pub port: u16,
    /// The instance that has this private address, where the inventory knows one.
    pub instance: Option<Arc<Target>>,
}

impl Destination {
    /// What is dialled.
    #[must_use]
    pub fn socket_addr(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}
