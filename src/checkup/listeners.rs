//! The addresses that are listened on: free, or taken by a drawbridge that runs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::check::{Check, Subject};
use super::errands::Errands;
use crate::config::Config;

/// The longest that whoever listens may take to say who it is.
const GREETING_MAX: Duration = Duration::from_secs(3);
/// The most that is read of what it says, in bytes.
const GREETING_BYTES: u64 = 1024;

/// What is expected at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ssh,
    Metrics,
}

pub(super) fn send(errands: &mut Errands, config: &Arc<Config>) {
    let ssh = config.server.listen.iter().map(|address| (*address, Service::Ssh));
    let metrics = config.metrics.listen.iter().map(|address| (*address, Service::Metrics));
    for (address, service) in ssh.chain(metrics) {
        errands.send(
            Subject::Listeners,
            address.to_string(),
            async move { vec![look(address, service).await] },
        );
    }
}

pub(super) async fn look(address: SocketAddr, service: Service) -> Check {
    let check = match TcpListener::bind(address).await {
        Ok(_free) => Check::sound(Subject::Listeners, "This address is free for drawbridge to listen on."),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match ask(address, service).await {
            true => Check::sound(Subject::Listeners, "A drawbridge that runs listens here."),
            false => Check::broken(
                Subject::Listeners,
                "Another program listens here.",
                format!(
                    "End it, or listen elsewhere; `ss -ltnp 'sport = {}'` says which it is.",
                    address.port()
                ),
            ),
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Check::broken(
            Subject::Listeners,
            "Only root may listen on this port.",
            "Take a port from 1024, or give drawbridge CAP_NET_BIND_SERVICE (see deploy/drawbridge.service). \
             Run this as the user that runs drawbridge to see it as it will be.",
        ),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Check::broken(
            Subject::Listeners,
            "This machine does not have this address.",
            "Listen on one of its own, or on 0.0.0.0 or [::] for all.",
        ),
        Err(error) => Check::broken(
            Subject::Listeners,
            format!("This address cannot be listened on: {error}."),
            "Correct the address, or what the system says is in the way.",
        ),
    };
    check.about(address.to_string())
}

/// Whether a drawbridge answers there.
async fn ask(address: SocketAddr, service: Service) -> bool {
    timeout(GREETING_MAX, greeting(address, service)).await.is_ok_and(|said| {
        said.is_ok_and(|said| match service {
            Service::Ssh => said.starts_with("SSH-2.0-") && said.contains("drawbridge"),
            Service::Metrics => said.starts_with("HTTP/1.") && said.trim_end().ends_with("alive"),
        })
    })
}

async fn greeting(address: SocketAddr, service: Service) -> io::Result<String> {
    let mut stream = TcpStream::connect(dialled(address)).await?;
    let mut said = String::new();
    match service {
        Service::Ssh => {
            // The first line is all; the server waits for ours after it.
            while !said.contains('\n') && said.len() < 256 {
                said.push(char::from(stream.read_u8().await?));
            }
        }
        Service::Metrics => {
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .await?;
            stream.take(GREETING_BYTES).read_to_string(&mut said).await?;
        }
    }
    Ok(said)
}

/// One that listens everywhere is reached on loopback.
fn dialled(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other @ (IpAddr::V4(_) | IpAddr::V6(_)) => other,
    };
    SocketAddr::new(host, address.port())
}
