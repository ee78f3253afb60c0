//! How two offers become one choice (RFC 4253 §7.1). What we offer is in [`super::offer`].

use super::cipher::{Suite, is_aead};
use super::error::{CloseReason, ProtocolError};
use super::numbers;
use super::offer::{HOST_KEYS_LEGACY, KEX_LEGACY, Lists, MACS_LEGACY};
use super::wire::{Put, Reader, message};

const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
const EXT_INFO_CLIENT: &str = "ext-info-c";

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We were connected to.
    Server,
    /// We connected.
    Client,
}

/// One side's offer.
#[derive(Debug, Clone, Default)]
pub(super) struct KexInit {
    kex: Vec<String>,
    host_keys: Vec<String>,
    cipher_to_server: Vec<String>,
    cipher_to_client: Vec<String>,
    mac_to_server: Vec<String>,
    mac_to_client: Vec<String>,
    guess_follows: bool,
}

/// Our own SSH_MSG_KEXINIT.
pub(super) fn our_kexinit(role: Role, offer: &Lists) -> Result<Vec<u8>, ProtocolError> {
    let mut cookie = [0; 16];
    aws_lc_rs::rand::fill(&mut cookie).map_err(|_| ProtocolError("the system has no randomness"))?;
    let Lists { kex, host_keys, ciphers, macs } = offer;
    let mut kex: Vec<&str> = kex.iter().map(String::as_str).collect();
    kex.push(match role {
        Role::Server => STRICT_SERVER,
        Role::Client => STRICT_CLIENT,
    });
    let mut out = message(numbers::KEXINIT);
    out.extend_from_slice(&cookie);
    out.name_list(&kex).name_list(host_keys);
    out.name_list(ciphers).name_list(ciphers).name_list(macs).name_list(macs);
    out.name_list(&["none"]).name_list(&["none"]).string(b"").string(b"");
    out.boolean(false).uint32(0);
    Ok(out)
}

impl KexInit {
    /// Reads a SSH_MSG_KEXINIT, number included.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut fields = Reader::new(payload);
        fields.bytes(17)?;
        let kex = fields.name_list()?;
        let host_keys = fields.name_list()?;
        let (cipher_to_server, cipher_to_client) = (fields.name_list()?, fields.name_list()?);
        let (mac_to_server, mac_to_client) = (fields.name_list()?, fields.name_list()?);
        for _compression_then_language in 0..4 {
            fields.string()?;
        }
        let guess_follows = fields.boolean()?;
        fields.u32()?;
        Ok(Self {
            kex,
            host_keys,
            cipher_to_server,
            cipher_to_client,
            mac_to_server,
            mac_to_client,
            guess_follows,
        })
    }

    /// Whether the peer resets sequence numbers with each key exchange (OpenSSH PROTOCOL §1.10).
    pub(super) fn is_strict(&self) -> bool {
        self.kex.iter().any(|name| name == STRICT_CLIENT || name == STRICT_SERVER)
    }

    /// Whether a client wants SSH_MSG_EXT_INFO (RFC 8308 §2.1).
    pub(super) fn wants_ext_info(&self) -> bool {
        self.kex.iter().any(|name| name == EXT_INFO_CLIENT)
    }
}

/// What both sides will use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) kex: String,
    pub(super) host_key: String,
    pub(super) cipher_to_server: String,
    pub(super) cipher_to_client: String,
    /// Nothing where the cipher authenticates by itself.
    pub(super) mac_to_server: Option<String>,
    pub(super) mac_to_client: Option<String>,
    pub(super) to_server: Suite,
    pub(super) to_client: Suite,
    /// The peer sent a first message of an exchange that was not chosen; it is to be ignored.
    pub(super) ignore_guess: bool,
}

/// One kind of algorithm.
struct Kind {
    name: &'static str,
    /// Those that only targets are offered that are listed as legacy.
    legacy: &'static [&'static str],
}

const KIND_KEX: Kind = Kind { name: "key exchange", legacy: KEX_LEGACY };
const KIND_HOST_KEY: Kind = Kind { name: "host key algorithm", legacy: HOST_KEYS_LEGACY };
const KIND_CIPHER: Kind = Kind { name: "cipher", legacy: &[] };
const KIND_MAC: Kind = Kind { name: "MAC", legacy: MACS_LEGACY };

impl Kind {
    fn pick<'a>(&self, client: &'a [String], server: &[String], peer: Role) -> Result<&'a str, CloseReason> {
        client.iter().find(|name| server.contains(name)).map(String::as_str).ok_or_else(|| {
            let theirs = if peer == Role::Client { client } else { server };
            CloseReason::NoCommonAlgorithm {
                kind: self.name,
                offered: theirs.join(",").chars().filter(|c| !c.is_control()).take(300).collect(),
                legacy: theirs.iter().any(|name| self.legacy.contains(&name.as_str())),
            }
        })
    }
}

/// Whether one of these is what only targets are offered that are listed as legacy.
pub(super) fn is_legacy(kex: &str, host_key: &str, macs: [Option<&str>; 2]) -> bool {
    let legacy_mac = |mac: &str| MACS_LEGACY.contains(&mac);
    KEX_LEGACY.contains(&kex)
        || HOST_KEYS_LEGACY.contains(&host_key)
        || macs.into_iter().flatten().any(legacy_mac)
}

/// The first of the client's that the server has, list by list; `peer` says whose guess may be wrong.
pub(super) fn negotiate(client: &KexInit, server: &KexInit, peer: Role) -> Result<Choice, CloseReason> {
    let kex = KIND_KEX.pick(&client.kex, &server.kex, peer)?;
    let host_key = KIND_HOST_KEY.pick(&client.host_keys, &server.host_keys, peer)?;
    let mac = |cipher: &str, client_macs: &[String], server_macs: &[String]| {
        if is_aead(cipher) {
            return Ok(None);
        }
        KIND_MAC.pick(client_macs, server_macs, peer).map(|mac| Some(mac.to_owned()))
    };
    let suite = |cipher: &str, mac: Option<&str>| {
        let mac = mac.unwrap_or_default();
        Suite::of(cipher, mac)
            .ok_or(CloseReason::Protocol(ProtocolError("an algorithm was chosen that we lack")))
    };
    let cipher_to_server = KIND_CIPHER.pick(&client.cipher_to_server, &server.cipher_to_server, peer)?;
    let cipher_to_client = KIND_CIPHER.pick(&client.cipher_to_client, &server.cipher_to_client, peer)?;
    let theirs = if peer == Role::Client { client } else { server };
    let ours = if peer == Role::Client { server } else { client };
    let guessed_right =
        theirs.kex.first() == ours.kex.first() && theirs.host_keys.first() == ours.host_keys.first();
    let mac_to_server = mac(cipher_to_server, &client.mac_to_server, &server.mac_to_server)?;
    let mac_to_client = mac(cipher_to_client, &client.mac_to_client, &server.mac_to_client)?;
    Ok(Choice {
        kex: kex.to_owned(),
        host_key: host_key.to_owned(),
        to_server: suite(cipher_to_server, mac_to_server.as_deref())?,
        to_client: suite(cipher_to_client, mac_to_client.as_deref())?,
        mac_to_server,
        mac_to_client,
        cipher_to_server: cipher_to_server.to_owned(),
        cipher_to_client: cipher_to_client.to_owned(),
        ignore_guess: theirs.guess_follows && !guessed_right,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEX: &[&str] = &["mlkem768x25519-sha256", "curve25519-sha256", "ecdh-sha2-nistp256"];
    const CIPHERS: &[&str] = &["aes128-gcm@openssh.com", "aes256-ctr"];
    const MACS: &[&str] = &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512"];

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn offer(role: Role, kex: &[&str], ciphers: &[&str], macs: &[&str]) -> KexInit {
        let (kex, ciphers, macs) = (names(kex), names(ciphers), names(macs));
        let lists = Lists { kex, ciphers, macs, host_keys: names(&["ssh-ed25519"]) };
        let init = our_kexinit(role, &lists).expect("random");
        KexInit::parse(&init).expect("our own offer")
    }

    #[test]
    fn the_clients_order_decides() {
        let client = offer(
            Role::Client,
            &["curve25519-sha256", "ecdh-sha2-nistp256"],
            &["aes256-ctr", "aes128-gcm@openssh.com"],
            MACS,
        );
        let server = offer(Role::Server, KEX, CIPHERS, MACS);
        let choice = negotiate(&client, &server, Role::Client).expect("common");
        assert_eq!(choice.kex, "curve25519-sha256");
        assert_eq!(choice.cipher_to_server, "aes256-ctr");
        assert_eq!(choice.mac_to_server.as_deref(), Some("hmac-sha2-256-etm@openssh.com"));
    }

    #[test]
    fn nothing_in_common_says_which_kind_and_what_the_peer_offered() {
        let client = offer(Role::Client, KEX, &["3des-cbc"], MACS);
        let server = offer(Role::Server, KEX, CIPHERS, MACS);
        let error = negotiate(&client, &server, Role::Client).expect_err("nothing in common");
        assert_eq!(error.to_string(), "no common cipher: the peer offers 3des-cbc");
        let error = negotiate(&client, &server, Role::Server).expect_err("nothing in common");
        assert_eq!(error.to_string(), "no common cipher: the peer offers aes128-gcm@openssh.com,aes256-ctr");
    }

    #[test]
    fn a_target_that_would_do_as_legacy_is_recognised() {
        let says_so = |server: KexInit| {
            let error = negotiate(&offer(Role::Client, KEX, CIPHERS, MACS), &server, Role::Server);
            matches!(error, Err(CloseReason::NoCommonAlgorithm { legacy: true, .. }))
        };
        assert!(says_so(offer(Role::Server, &["diffie-hellman-group14-sha1"], CIPHERS, MACS)));
        assert!(says_so(offer(Role::Server, KEX, &["aes256-ctr"], &["hmac-md5", "hmac-sha1"])));
        assert!(!says_so(offer(Role::Server, &["diffie-hellman-group1-sha1"], CIPHERS, MACS)));
        assert!(!says_so(offer(Role::Server, KEX, &["aes256-cbc"], MACS)));
    }

    #[test]
    fn legacy_is_told_from_the_rest_by_name() {
        assert!(!is_legacy("curve25519-sha256", "rsa-sha2-256", [None, Some("hmac-sha2-256")]));
        assert!(is_legacy("diffie-hellman-group14-sha256", "ssh-ed25519", [None, None]));
        assert!(is_legacy("curve25519-sha256", "ssh-rsa", [None, None]));
        assert!(is_legacy("curve25519-sha256", "ssh-ed25519", [None, Some("hmac-sha1")]));
    }

    #[test]
    fn strictness_marks_are_never_chosen_as_a_key_exchange() {
        let client = offer(Role::Client, &[], CIPHERS, MACS);
        let server = offer(Role::Server, &[], CIPHERS, MACS);
        assert!(negotiate(&client, &server, Role::Client).is_err());
        assert!(client.is_strict() && server.is_strict());
    }
}
