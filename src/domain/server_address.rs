//! How clients reach the bastion, as they write it after `ssh -J`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A host name, an address or a name of the client's own `ssh_config`, and the port where it is not for the client
/// to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    port: Option<u16>,
}

/// Why an address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write HOST or HOST:PORT, such as \"bastion.example.com:2222\" or \"[2001:db8::1]:22\"")]
pub struct ServerAddressError;

impl ServerAddress {
    /// The longest host, in bytes: as long as a DNS name.
    pub const HOST_LENGTH_MAX: usize = 253;

    /// Reads `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address.
    ///
    /// # Errors
    /// When it is none of these, or could mean more than a host in an `ssh_config`.
    pub fn parse(text: &str) -> Result<Self, ServerAddressError> {
        if text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
            return Ok(Self { host: text.to_owned(), port: None });
        }
        let (host, rest) = match text.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, rest)) if host.parse::<IpAddr>().is_ok() => (host, rest),
            Some(_) => return Err(ServerAddressError),
            None => text.split_at_checked(text.find(':').unwrap_or(text.len())).ok_or(ServerAddressError)?,
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(digits.parse().ok().filter(|port| *port > 0).ok_or(ServerAddressError)?),
            None if rest.is_empty() => None,
            None => return Err(ServerAddressError),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let begins = host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':');
        if !begins || host.len() > Self::HOST_LENGTH_MAX || !host.chars().all(plain) {
            return Err(ServerAddressError);
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where it was written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl From<SocketAddr> for ServerAddress {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_canonical().to_string(), port: Some(address.port()) }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]", self.host) } else { f.write_str(&self.host) }?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_it_was_written() {
        for text in ["bastion", "bastion.example.com:2222", "192.0.2.1:22", "[2001:db8::1]:22", "[::1]"] {
            assert_eq!(ServerAddress::parse(text).map(|address| address.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(ServerAddress::parse("::1").map(|address| address.to_string()).as_deref(), Ok("[::1]"));
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:22".parse().expect("an address");
        assert_eq!(ServerAddress::from(mapped).to_string(), "192.0.2.1:22");
    }

    #[test]
    fn what_would_be_more_than_a_host_in_an_ssh_config_is_refused() {
        let long = "a".repeat(254);
        for text in [
            "",
            ":22",
            "a:0",
            "a:65536",
            "a:b",
            "a b",
            "a\nProxyCommand x",
            "-oProxyCommand=x",
            "*",
            "!a",
            "%h",
            "a,b",
            "user@a",
            "[a]:22",
            "[::1",
            "a\"b",
            "é",
            &long,
        ] {
            assert!(ServerAddress::parse(text).is_err(), "{text:?}");
        }
    }
}
