//! Where a key may be used from: `from=` of authorized_keys and `source-address` of certificates.

use std::net::IpAddr;

use ipnet::IpNet;

/// OpenSSH's pattern list (ssh_config(5), PATTERNS) on addresses: networks, wildcards, negation.
/// One matching `!pattern` refuses, whatever else matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressPatterns {
    patterns: Vec<AddressPattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AddressPattern {
    negated: bool,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Network(IpNet),
    /// `*` and `?` on the address as it is written (RFC 5952 for IPv6), in lower case.
    Wildcard(String),
}

impl AddressPatterns {
    /// Reads a comma-separated list.
    ///
    /// # Errors
    /// A sentence about the first pattern that is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let patterns = text.split(',').map(AddressPattern::parse).collect::<Result<Vec<_>, _>>()?;
        if patterns.iter().all(|pattern| pattern.negated) {
            return Err("has only negated patterns, so no address would ever match".to_owned());
        }
        Ok(Self { patterns })
    }

    /// Whether a client may come from there.
    pub(crate) fn allow(&self, client_addr: IpAddr) -> bool {
        let address = client_addr.to_canonical();
        let text = address.to_string();
        let matches = |negated: bool| {
            self.patterns.iter().any(|p| p.negated == negated && p.shape.matches(address, &text))
        };
        matches(false) && !matches(true)
    }
}

impl AddressPattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (negated, pattern) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Ok(Self { negated, shape: Shape::parse(pattern)? })
    }
}

impl Shape {
    fn parse(pattern: &str) -> Result<Self, String> {
        let address_like = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '*' | '?');
        if pattern.contains(['*', '?']) && pattern.chars().all(address_like) {
            return Ok(Self::Wildcard(pattern.to_ascii_lowercase()));
        }
        parse_network(pattern).map(Self::Network)
    }

    fn matches(&self, address: IpAddr, text: &str) -> bool {
        match self {
            Self::Network(network) => network.contains(&address),
            Self::Wildcard(pattern) => wildcard(pattern.as_bytes(), text.as_bytes()),
        }
    }
}

/// An address, or a network in CIDR form whose host bits are zero, as OpenSSH demands.
fn parse_network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = text.parse().map_err(|_| {
        format!(
            "has {text:?}, which is no address, network or address wildcard; host names are not looked up"
        )
    })?;
    if matches!(network.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        return Err(format!("has {text:?}; write the IPv4 network itself"));
    }
    if network.addr() == network.network() {
        Ok(network)
    } else {
        Err(format!("has {text:?}, whose address reaches beyond its mask; write {}", network.trunc()))
    }
}

/// `*` is any run of characters, `?` any one. Linear in practice, quadratic at worst, on short text.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}

/// A certificate's `source-address`: networks only, no wildcards and no negation (PROTOCOL.certkeys).
/// Nothing when the list is not well formed, which refuses the certificate.
pub(crate) fn source_address_allows(list: &str, client_addr: IpAddr) -> Option<bool> {
    let networks = list.split(',').map(|text| parse_network(text).ok()).collect::<Option<Vec<_>>>()?;
    let address = client_addr.to_canonical();
    Some(networks.iter().any(|network| network.contains(&address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, address: &str) -> bool {
        AddressPatterns::parse(list).expect("a list").allow(address.parse().expect("an address"))
    }

    #[test]
    fn networks_and_negation_work_in_any_order() {
        for list in ["10.0.0.0/8,!10.1.2.3", "!10.1.2.3,10.0.0.0/8"] {
            assert!(allows(list, "10.1.2.4"));
            assert!(!allows(list, "10.1.2.3"), "negation wins");
            assert!(!allows(list, "192.0.2.1"));
        }
        assert!(allows("2001:db8::/32", "2001:db8::1"));
        assert!(!allows("2001:db8::/32", "10.0.0.1"));
        assert!(allows("192.0.2.7", "192.0.2.7"));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_the_same_address() {
        assert!(allows("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(!allows("10.0.0.0/8,!10.1.1.1", "::ffff:10.1.1.1"));
    }

    #[test]
    fn wildcards_are_about_the_written_address() {
        assert!(allows("10.1.*", "10.1.2.3"));
        assert!(!allows("10.1.*", "10.10.2.3"));
        assert!(allows("10.1.2.?", "10.1.2.3"));
        assert!(!allows("10.1.2.?", "10.1.2.33"));
        assert!(allows("*", "2001:db8::1"));
        assert!(allows("2001:DB8:*", "2001:db8::1"));
        assert!(allows("*,!10.0.0.*", "10.0.1.1"));
        assert!(!allows("*.1*.3", "10.2.2.4"));
    }

    #[test]
    fn what_cannot_be_checked_is_an_error() {
        for list in
            ["", "web.example.com", "*.example.com", "10.0.0.1/8", "10.0.0.0/33", "!10.0.0.0/8", "10.0.0.1,,"]
        {
            assert!(AddressPatterns::parse(list).is_err(), "{list:?}");
        }
    }

    #[test]
    fn a_malformed_source_address_allows_nothing() {
        let client = "10.0.0.1".parse().expect("an address");
        assert_eq!(source_address_allows("10.0.0.0/8,2001:db8::/32", client), Some(true));
        assert_eq!(source_address_allows("10.0.0.2", client), Some(false));
        for list in ["", "*", "!10.0.0.2", "10.0.0.1/8", "10.0.0.0/8,"] {
            assert_eq!(source_address_allows(list, client), None, "{list:?}");
        }
    }
}
