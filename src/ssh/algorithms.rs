//! What we offer, newest first, and how two offers become one choice (RFC 4253 §7.1).
//!
//! What is absent is absent on purpose: no SHA-1 anywhere, no CBC, no DSA, no finite-field
//! Diffie-Hellman, no compression.

use super::cipher::{Suite, is_aead};
use super::error::{CloseReason, ProtocolError};
use super::numbers;
use super::wire::{Put, Reader, message};

/// Key exchanges, newest first.
pub(super) const KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
];

/// Ciphers, fastest of the sound ones first: AES-GCM runs in hardware on every EC2 instance.
pub(super) const CIPHERS: &[&str] = &[
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes128-ctr",
];

/// MACs, for the CTR ciphers only.
pub(super) const MACS: &[&str] =
    &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"];

/// Host key algorithms that we accept from a target, best first.
pub(super) const HOST_KEYS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

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

/// A list of names as the wire code takes it.
pub(super) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The host key algorithms to ask a target for; those of a key that is known come first, so that a
/// target with several keys shows the one we can recognise.
pub(super) fn host_keys_preferring(known: Option<&str>) -> Vec<String> {
    let is_known = |name: &str| match known {
        Some("ssh-rsa") => name.starts_with("rsa-"),
        Some(known) => name == known,
        None => false,
    };
    let (mut first, rest): (Vec<&str>, Vec<&str>) = HOST_KEYS.iter().partition(|name| is_known(name));
    first.extend(rest);
    owned(&first)
}

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
pub(super) fn our_kexinit(
    role: Role,
    kex: &[String],
    host_keys: &[String],
    ciphers: &[String],
) -> Result<Vec<u8>, ProtocolError> {
    let mut cookie = [0; 16];
    aws_lc_rs::rand::fill(&mut cookie).map_err(|_| ProtocolError("the system has no randomness"))?;
    let mut kex: Vec<&str> = kex.iter().map(String::as_str).collect();
    kex.push(match role {
        Role::Server => STRICT_SERVER,
        Role::Client => STRICT_CLIENT,
    });
    let mut out = message(numbers::KEXINIT);
    out.extend_from_slice(&cookie);
    out.name_list(&kex).name_list(host_keys);
    out.name_list(ciphers).name_list(ciphers).name_list(MACS).name_list(MACS);
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

fn pick<'a>(kind: &'static str, client: &'a [String], server: &[String]) -> Result<&'a str, CloseReason> {
    client.iter().find(|name| server.contains(name)).map(String::as_str).ok_or_else(|| {
        CloseReason::NoCommonAlgorithm { kind, offered: client.join(",").chars().take(300).collect() }
    })
}

/// The first of the client's that the server has, list by list; `peer` says whose guess may be wrong.
pub(super) fn negotiate(client: &KexInit, server: &KexInit, peer: Role) -> Result<Choice, CloseReason> {
    let kex = pick("key exchange", &client.kex, &server.kex)?;
    let host_key = pick("host key algorithm", &client.host_keys, &server.host_keys)?;
    let mac = |cipher: &str, client_macs: &[String], server_macs: &[String]| {
        if is_aead(cipher) {
            return Ok(None);
        }
        pick("MAC", client_macs, server_macs).map(|mac| Some(mac.to_owned()))
    };
    let suite = |cipher: &str, mac: Option<&str>| {
        let mac = mac.unwrap_or_default();
        Suite::of(cipher, mac)
            .ok_or(CloseReason::Protocol(ProtocolError("an algorithm was chosen that we lack")))
    };
    let cipher_to_server = pick("cipher", &client.cipher_to_server, &server.cipher_to_server)?;
    let cipher_to_client = pick("cipher", &client.cipher_to_client, &server.cipher_to_client)?;
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

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn offer(role: Role, kex: &[&str], ciphers: &[&str]) -> KexInit {
        let init = our_kexinit(role, &names(kex), &names(&["ssh-ed25519"]), &names(ciphers)).expect("random");
        KexInit::parse(&init).expect("our own offer")
    }

    #[test]
    fn the_clients_order_decides() {
        let client = offer(
            Role::Client,
            &["curve25519-sha256", "ecdh-sha2-nistp256"],
            &["aes256-ctr", "aes128-gcm@openssh.com"],
        );
        let server = offer(Role::Server, KEX, CIPHERS);
        let choice = negotiate(&client, &server, Role::Client).expect("common");
        assert_eq!(choice.kex, "curve25519-sha256");
        assert_eq!(choice.cipher_to_server, "aes256-ctr");
        assert_eq!(choice.mac_to_server.as_deref(), Some("hmac-sha2-256-etm@openssh.com"));
    }

    #[test]
    fn no_common_cipher_says_which_kind_and_what_was_offered() {
        let client = offer(Role::Client, KEX, &["3des-cbc"]);
        let server = offer(Role::Server, KEX, CIPHERS);
        let error = negotiate(&client, &server, Role::Client).expect_err("nothing in common");
        assert_eq!(error.to_string(), "no common cipher: the peer offers 3des-cbc");
    }

    #[test]
    fn strictness_marks_are_never_chosen_as_a_key_exchange() {
        let client = offer(Role::Client, &[], CIPHERS);
        let server = offer(Role::Server, &[], CIPHERS);
        assert!(negotiate(&client, &server, Role::Client).is_err());
        assert!(client.is_strict() && server.is_strict());
    }
}
