//! The one file here that knows the SSH engine.
//!
//! SEAM: the engine is not here yet; connections are closed.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpStream;

use super::server::Instance;
use crate::demo::keys;

/// An instance's host key.
#[derive(Debug)]
pub struct HostKey {
    public: String,
}

impl HostKey {
    /// Loads the key at a path, or makes it.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn load_or_create(path: &Path, comment: &str) -> io::Result<Self> {
        Ok(Self { public: keys::load_or_create(path, comment)? })
    }

    /// The public half, as OpenSSH writes it.
    #[must_use]
    pub fn public_line(&self) -> String {
        self.public.clone()
    }
}

/// Serves one connection to its end.
#[expect(clippy::unused_async, reason = "the engine will be awaited here")]
pub(super) async fn serve(stream: TcpStream, _peer: SocketAddr, _instance: &Instance) {
    drop(stream);
}
