//! An instance that nothing reaches: packets to it are dropped, as a security group does it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A port that answers nobody, without a firewall and without privileges.
///
/// Its listener accepts nothing, and the one place in its queue is taken. Linux drops whatever arrives
/// after that, so whoever connects gets no answer until they give up. Other systems may keep longer queues;
/// there a connection comes about on which nothing is ever said.
#[derive(Debug)]
pub struct Shut {
    _listener: TcpListener,
    port: u16,
    /// Who has the place.
    _waiting: TcpStream,
}

impl Shut {
    /// Shuts a port that the system chooses.
    ///
    /// # Errors
    /// When the address is not this machine's.
    pub async fn at(address: Ipv4Addr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((address, 0)))?;
        // A queue that is "full" when it holds more than none.
        let listener = socket.listen(0)?;
        let addr = listener.local_addr()?;
        let waiting = TcpStream::connect(addr).await?;
        Ok(Self { _listener: listener, port: addr.port(), _waiting: waiting })
    }

    /// The port that was chosen.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn nobody_gets_an_answer() {
        let shut = Shut::at(Ipv4Addr::new(127, 0, 1, 44)).await.expect("shut");
        let addr = SocketAddr::from(([127, 0, 1, 44], shut.port()));
        // The answer to a connection on loopback takes microseconds, whether it is yes or no.
        let tries =
            (0..3).map(|_| tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(addr)));
        for tried in tries {
            assert!(tried.await.is_err(), "an answer came");
        }
    }
}
