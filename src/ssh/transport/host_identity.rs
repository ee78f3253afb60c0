//! What a server proves itself with.

use std::sync::Arc;

use crate::ssh::hostkeys::HostKey;

/// What a server proves itself with.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// The host key.
    pub key: Arc<HostKey>,
    /// A host certificate for it, where there is one.
    pub certificate: Option<HostCertificate>,
}

/// A host certificate, in wire form.
#[derive(Debug, Clone)]
pub struct HostCertificate {
    /// For every client.
    pub usual: Vec<u8>,
    /// For OpenSSH before 10.3, and for PuTTY, instead: it takes `*` in a host certificate for a plain character, and a
    /// certificate without names for any name; from 10.3 on it is the other way round.
    pub before_openssh_10_3: Option<Vec<u8>>,
}

impl HostCertificate {
    pub(super) fn for_client(&self, ident: &str) -> &[u8] {
        match &self.before_openssh_10_3 {
            Some(certificate) if takes_a_pattern_for_a_name(ident) => certificate,
            Some(_) | None => &self.usual,
        }
    }
}

/// Clients to which `*` in a host certificate is a plain character, and a certificate without names one for any:
/// OpenSSH before 10.3, and PuTTY, which knows certificates from 0.78 on.
fn takes_a_pattern_for_a_name(ident: &str) -> bool {
    let version = || {
        let (_, rest) = ident.split_once("OpenSSH_")?;
        let rest = rest.strip_prefix("for_Windows_").unwrap_or(rest);
        let (major, rest) = rest.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    ident.contains("PuTTY") || version().is_some_and(|version| version < (10, 3))
}

#[cfg(test)]
mod tests {
    use super::takes_a_pattern_for_a_name;

    #[test]
    fn clients_that_take_a_star_for_a_character_are_recognised() {
        for old in [
            "SSH-2.0-OpenSSH_9.2p1 Debian-2",
            "SSH-2.0-OpenSSH_for_Windows_8.1",
            "SSH-2.0-OpenSSH_10.2",
            "SSH-2.0-PuTTY_Release_0.83",
        ] {
            assert!(takes_a_pattern_for_a_name(old), "{old}");
        }
        for other in ["SSH-2.0-OpenSSH_10.3", "SSH-2.0-OpenSSH_11.0p1", "SSH-2.0-paramiko_5.1.0", ""] {
            assert!(!takes_a_pattern_for_a_name(other), "{other}");
        }
    }
}
