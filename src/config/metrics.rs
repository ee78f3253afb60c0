//! `[metrics]`: where metrics and health are told.

use std::net::SocketAddr;

use ::config::Value;

use super::origin::Complaint;
use super::reader::Section;
use super::server::socket_address;

/// `[metrics]`: where metrics and health are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The address; none means nowhere. Of loopback, unless the operator said `public`.
    pub listen: Option<SocketAddr>,
    /// Whether the address may be another one.
    pub public: bool,
}

impl MetricsConfig {
    /// `taken` are the addresses that clients connect to.
    pub(super) fn read(section: &mut Section<'_>, taken: &[SocketAddr]) -> Self {
        let public = section.boolean("public", false);
        Self { listen: section.parse("listen", |value| apart(listen(value, public)?, taken)), public }
    }
}

fn apart(address: SocketAddr, taken: &[SocketAddr]) -> Result<SocketAddr, Complaint> {
    let everywhere = |other: &SocketAddr| other.ip().is_unspecified() || address.ip().is_unspecified();
    let meets = |other: &&SocketAddr| {
        other.port() == address.port()
            && address.port() != 0
            && (other.ip() == address.ip() || everywhere(other))
    };
    match taken.iter().find(meets) {
        None => Ok(address),
        Some(other) => Err(Complaint::new(format!("clients connect to {other}, so {address} is taken"))
            .hint("choose another port")),
    }
}

fn listen(value: &Value, public: bool) -> Result<SocketAddr, Complaint> {
    let address = socket_address(value)?;
    if public || address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err(Complaint::new(format!(
        "{address} can be reached from elsewhere, and whoever reaches it is answered"
    ))
    .hint("listen on 127.0.0.1 or [::1], or say `public = true` and let a firewall decide who gets there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_taken_and_elsewhere_only_on_purpose() {
        let read = |text: &str, public| {
            listen(&Value::new(None, text), public).ok().map(|address| address.to_string())
        };
        for loopback in ["127.0.0.1:9222", "[::1]:9222", "127.3.2.1:0", "[::ffff:127.0.0.1]:9222"] {
            assert_eq!(read(loopback, false).as_deref(), Some(loopback));
        }
        for elsewhere in ["0.0.0.0:9222", "[::]:9222", "10.0.0.1:9222"] {
            assert_eq!(read(elsewhere, false), None);
            assert_eq!(read(elsewhere, true).as_deref(), Some(elsewhere));
        }
        assert_eq!(read("localhost:9222", true), None);
    }

    #[test]
    fn metrics_and_clients_cannot_have_one_port() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let clients = [address("0.0.0.0:2222"), address("10.0.0.1:22")];
        for taken in ["127.0.0.1:2222", "10.0.0.1:22", "0.0.0.0:22"] {
            assert!(apart(address(taken), &clients).is_err(), "{taken}");
        }
        for free in ["127.0.0.1:9222", "127.0.0.1:22"] {
            assert!(apart(address(free), &clients).is_ok(), "{free}");
        }
        let any = [address("127.0.0.1:0")];
        assert!(apart(any[0], &any).is_ok());
    }
}
