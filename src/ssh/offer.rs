//! What we offer to whom, newest first. Why, and how a site changes it: `docs/algorithms.md`.
//!
//! What always holds here: clients are never offered anything that is broken or legacy, whatever is
//! configured; SHA-1 and finite-field Diffie-Hellman go only to targets that the operator lists one by one.
//!
//! What is absent is absent on purpose, for everybody: CBC, DSA, group exchange, compression.

use super::client::ClientConfig;
use super::transport::ServerIdentity;

/// Key exchanges, newest first: ML-KEM beside X25519, and X25519 alone under its two names.
const KEX: &[&str] = &["mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org"];
/// The key exchanges that withstand a quantum computer.
const KEX_POST_QUANTUM: &[&str] = &["mlkem768x25519-sha256"];
/// Sound as far as anybody knows; their constants were never explained.
const KEX_NIST: &[&str] = &["ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"];
/// 112 bits, and SHA-1 in the last one.
pub(super) const KEX_LEGACY: &[&str] = &["diffie-hellman-group14-sha256", "diffie-hellman-group14-sha1"];

/// Ciphers, fastest of the sound ones first: AES-GCM runs in hardware on every EC2 instance.
const CIPHERS: &[&str] = &[
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
];

/// MACs, for the CTR ciphers only.
const MACS: &[&str] = &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"];
/// These decrypt before they check.
const MACS_PLAIN: &[&str] = &["hmac-sha2-256", "hmac-sha2-512"];
/// SHA-1, of which an HMAC does not need what is broken.
pub(super) const MACS_LEGACY: &[&str] = &["hmac-sha1-etm@openssh.com", "hmac-sha1"];

/// Host key algorithms that we accept from a target, best first.
const HOST_KEYS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
/// The same by certificate (OpenSSH PROTOCOL.certkeys), for targets whose host certificates may be believed.
const HOST_CERTIFICATES: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
];
/// RSA with SHA-1: whoever makes SHA-1 collide can pose as the target.
pub(super) const HOST_KEYS_LEGACY: &[&str] = &["ssh-rsa"];

/// Signature algorithms that we accept from users (RFC 8308 `server-sig-algs`).
pub(super) const USER_SIGNATURES: &[&str] = &[
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// What clients are offered. The default is what `ssh-audit` has nothing against, but for its remark that
/// X25519 alone does not withstand a quantum computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offer {
    post_quantum_only: bool,
    added: [bool; Offer::ADDITIONS.len()],
}

/// Why an algorithm cannot be added to an [`Offer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAddable {
    /// It is none of [`Offer::ADDITIONS`].
    #[error("it is not an algorithm that can be added")]
    Unknown,
    /// It was added before.
    #[error("it is listed twice")]
    Twice,
    /// The offer is for post-quantum key exchanges only, and it is another.
    #[error("it does not withstand a quantum computer")]
    NotPostQuantum,
}

impl Offer {
    /// What may be added by name for clients that have nothing newer. Sound, and not what `ssh-audit` likes.
    pub const ADDITIONS: [&'static str; 5] =
        ["ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "hmac-sha2-256", "hmac-sha2-512"];

    /// No key exchange but those that withstand a quantum computer.
    #[must_use]
    pub fn post_quantum_only() -> Self {
        Self { post_quantum_only: true, ..Self::default() }
    }

    /// This offer with one of [`Self::ADDITIONS`] at the end of its list.
    ///
    /// # Errors
    /// When it is none of them, was added before, or contradicts [`Self::post_quantum_only`].
    pub fn with(mut self, name: &str) -> Result<Self, NotAddable> {
        let places = Self::ADDITIONS.iter().zip(self.added.iter_mut());
        let (_, added) = places.into_iter().find(|(known, _)| **known == name).ok_or(NotAddable::Unknown)?;
        if self.post_quantum_only && KEX_NIST.contains(&name) {
            return Err(NotAddable::NotPostQuantum);
        }
        if std::mem::replace(added, true) { Err(NotAddable::Twice) } else { Ok(self) }
    }

    /// What was added, in the order of [`Self::ADDITIONS`].
    pub fn additions(&self) -> impl Iterator<Item = &'static str> + use<> {
        Self::ADDITIONS.into_iter().zip(self.added).filter(|(_, added)| *added).map(|(name, _)| name)
    }

    fn added_of(&self, kind: &[&str]) -> Vec<&'static str> {
        self.additions().filter(|name| kind.contains(name)).collect()
    }
}

/// One side's lists, each with what it likes best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) kex: Vec<String>,
    pub(super) host_keys: Vec<String>,
    pub(super) ciphers: Vec<String>,
    pub(super) macs: Vec<String>,
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Lists {
    /// For a client.
    pub(super) fn for_client(offer: Offer, identity: &ServerIdentity) -> Self {
        let kex = if offer.post_quantum_only { KEX_POST_QUANTUM } else { KEX };
        let certificate = identity.certificate.is_some().then_some("ssh-ed25519-cert-v01@openssh.com");
        let host_keys: Vec<&str> = certificate.into_iter().chain(["ssh-ed25519"]).collect();
        Self {
            kex: owned(&[kex, &offer.added_of(KEX_NIST)].concat()),
            host_keys: owned(&host_keys),
            ciphers: owned(CIPHERS),
            macs: owned(&[MACS, &offer.added_of(MACS_PLAIN)].concat()),
        }
    }

    /// For a target. The algorithms of a host key that is known come first, so that a target with several
    /// keys shows the one we can recognise; certificates come before plain keys.
    pub(super) fn for_target(config: &ClientConfig) -> Self {
        let legacy = |names: &'static [&'static str]| if config.legacy { names } else { &[] };
        let or = |mine: &[String], usual: Vec<String>| if mine.is_empty() { usual } else { mine.to_vec() };
        let is_known = |name: &&str| {
            let plain = name.strip_suffix("-cert-v01@openssh.com").unwrap_or(name);
            match config.known_host_key.as_deref() {
                Some("ssh-rsa") => plain.starts_with("rsa-") || plain == "ssh-rsa",
                Some(known) => plain == known,
                None => false,
            }
        };
        let certificates = if config.host_certificates { HOST_CERTIFICATES } else { &[] };
        let host_keys = [certificates, HOST_KEYS, legacy(HOST_KEYS_LEGACY)].concat();
        let (mut first, rest): (Vec<&str>, Vec<&str>) = host_keys.into_iter().partition(is_known);
        first.extend(rest);
        Self {
            kex: or(&config.kex, owned(&[KEX, KEX_NIST, legacy(KEX_LEGACY)].concat())),
            host_keys: owned(&first),
            ciphers: or(&config.ciphers, owned(CIPHERS)),
            macs: owned(&[MACS, MACS_PLAIN, legacy(MACS_LEGACY)].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::cipher::{Suite, is_aead};
    use super::super::hostkeys::HostKey;
    use super::super::kex::Method;
    use super::*;

    fn for_client(offer: Offer) -> Lists {
        let key = Arc::new(HostKey::generate("test").expect("key"));
        Lists::for_client(offer, &ServerIdentity { key, certificate: None })
    }

    fn everything() -> Offer {
        Offer::ADDITIONS.iter().try_fold(Offer::default(), |offer, name| offer.with(name)).expect("addable")
    }

    fn for_target(legacy: bool, known: Option<&str>) -> Lists {
        let known_host_key = known.map(str::to_owned);
        Lists::for_target(&ClientConfig { legacy, known_host_key, ..ClientConfig::default() })
    }

    fn all(lists: &Lists) -> String {
        [&lists.kex, &lists.host_keys, &lists.ciphers, &lists.macs].map(|list| list.join(",")).join(" ")
    }

    #[test]
    fn what_is_offered_to_whom() {
        assert_eq!(
            all(&for_client(Offer::default())),
            "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org ssh-ed25519 \
             aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr \
             hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"
        );
        assert_eq!(for_client(Offer::post_quantum_only()).kex, ["mlkem768x25519-sha256"]);
        assert_eq!(
            all(&for_target(false, None)),
            "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,\
             ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521 \
             ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256 \
             aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr \
             hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
        );
    }

    #[test]
    fn legacy_goes_to_listed_targets_only_and_comes_last() {
        let (usual, legacy) = (for_target(false, None), for_target(true, None));
        assert_eq!(legacy.kex, [usual.kex, owned(KEX_LEGACY)].concat());
        assert_eq!(legacy.host_keys, [usual.host_keys, owned(HOST_KEYS_LEGACY)].concat());
        assert_eq!(legacy.macs, [usual.macs, owned(MACS_LEGACY)].concat());
        assert_eq!(legacy.ciphers, usual.ciphers);
        for lists in [for_client(everything()), for_target(false, Some("ssh-rsa"))] {
            for name in [KEX_LEGACY, MACS_LEGACY, HOST_KEYS_LEGACY].concat() {
                assert!(!all(&lists).split([',', ' ']).any(|offered| offered == name), "{name}");
            }
        }
    }

    #[test]
    fn the_algorithms_of_a_known_host_key_come_first() {
        assert!(for_target(false, Some("ecdsa-sha2-nistp384")).host_keys[0] == "ecdsa-sha2-nistp384");
        assert_eq!(
            for_target(true, Some("ssh-rsa")).host_keys[..3],
            ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]
        );
    }

    #[test]
    fn certificates_are_asked_for_before_plain_keys_of_the_same_standing() {
        let offered = |known: Option<&str>| {
            let known_host_key = known.map(str::to_owned);
            let config = ClientConfig { host_certificates: true, known_host_key, ..ClientConfig::default() };
            Lists::for_target(&config).host_keys
        };
        assert_eq!(offered(None), owned(&[HOST_CERTIFICATES, HOST_KEYS].concat()));
        let known = offered(Some("ecdsa-sha2-nistp256"));
        assert_eq!(
            known[..3],
            ["ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256", HOST_CERTIFICATES[0]]
        );
        assert_eq!(
            offered(Some("ssh-rsa"))[..2],
            ["rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"]
        );
    }

    #[test]
    fn everything_that_is_offered_is_implemented() {
        for lists in [for_client(everything()), for_target(true, None)] {
            assert!(lists.kex.iter().all(|kex| Method::of(kex).is_some()), "{:?}", lists.kex);
            for cipher in &lists.ciphers {
                for mac in &lists.macs {
                    assert!(Suite::of(cipher, mac).is_some(), "{cipher} {mac}");
                }
            }
            assert!(lists.ciphers.iter().any(|cipher| !is_aead(cipher)), "MACs are of no use");
        }
    }

    #[test]
    fn additions_come_last_and_once_and_from_a_closed_list() {
        let offer = Offer::default().with("hmac-sha2-256").expect("addable");
        let offer = offer.with("ecdh-sha2-nistp384").expect("addable");
        assert_eq!(for_client(offer).kex.last().map(String::as_str), Some("ecdh-sha2-nistp384"));
        assert_eq!(for_client(offer).macs.last().map(String::as_str), Some("hmac-sha2-256"));
        assert_eq!(offer.additions().collect::<Vec<_>>(), ["ecdh-sha2-nistp384", "hmac-sha2-256"]);
        assert_eq!(offer.with("hmac-sha2-256"), Err(NotAddable::Twice));
        for name in [KEX_LEGACY, MACS_LEGACY, HOST_KEYS_LEGACY, &["aes128-cbc", ""]].concat() {
            assert_eq!(Offer::default().with(name), Err(NotAddable::Unknown), "{name}");
        }
        assert_eq!(Offer::post_quantum_only().with("ecdh-sha2-nistp256"), Err(NotAddable::NotPostQuantum));
        assert!(Offer::post_quantum_only().with("hmac-sha2-512").is_ok());
    }
}
