//! Key exchange methods: the shared secret, the exchange hash and the keys derived from it.
//!
//! curve25519-sha256 (RFC 8731), ecdh-sha2-nistp* (RFC 5656) and the post-quantum hybrid
//! mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex). The mathematics is aws-lc's. As the client
//! only, for legacy targets: diffie-hellman-group14-* (RFC 4253 §8, RFC 8268).

use aws_lc_rs::agreement::{
    self, ECDH_P256, ECDH_P384, ECDH_P521, EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral,
};
use aws_lc_rs::digest::{self, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::rand::SystemRandom;
use zeroize::Zeroizing;

use super::diffie_hellman::Exponent;
use super::error::ProtocolError;
use super::wire::Put;

const FAILED: ProtocolError = ProtocolError("the key exchange failed");
const MLKEM_PUBLIC: usize = 1184;
const MLKEM_CIPHERTEXT: usize = 1088;

/// A negotiated method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    X25519,
    P256,
    P384,
    P521,
    MlKem768X25519,
    Group14Sha256,
    Group14Sha1,
}

impl Method {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "curve25519-sha256" | "curve25519-sha256@libssh.org" => Some(Self::X25519),
            "ecdh-sha2-nistp256" => Some(Self::P256),
            "ecdh-sha2-nistp384" => Some(Self::P384),
            "ecdh-sha2-nistp521" => Some(Self::P521),
            "mlkem768x25519-sha256" => Some(Self::MlKem768X25519),
            "diffie-hellman-group14-sha256" => Some(Self::Group14Sha256),
            "diffie-hellman-group14-sha1" => Some(Self::Group14Sha1),
            _ => None,
        }
    }

    pub(super) fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::X25519 | Self::P256 | Self::MlKem768X25519 | Self::Group14Sha256 => &SHA256,
            Self::Group14Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::P384 => &SHA384,
            Self::P521 => &SHA512,
        }
    }

    fn curve(self) -> Option<&'static agreement::Algorithm> {
        match self {
            Self::X25519 | Self::MlKem768X25519 => Some(&X25519),
            Self::P256 => Some(&ECDH_P256),
            Self::P384 => Some(&ECDH_P384),
            Self::P521 => Some(&ECDH_P521),
            Self::Group14Sha256 | Self::Group14Sha1 => None,
        }
    }
}

/// The shared secret, encoded as it enters the hash: an `mpint`, or a `string` for the hybrid.
pub(super) struct Secret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The client's half, between its first message and the server's answer.
pub(super) struct ClientShare {
    method: Method,
    private: Private,
    /// What was sent: C_INIT.
    pub(super) public: Vec<u8>,
}

enum Private {
    Curve(EphemeralPrivateKey),
    Hybrid(EphemeralPrivateKey, DecapsulationKey),
    Group14(Exponent),
}

impl std::fmt::Debug for ClientShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientShare({:?})", self.method)
    }
}

fn fresh(method: Method) -> Result<(EphemeralPrivateKey, Vec<u8>), ProtocolError> {
    let curve = method.curve().ok_or(FAILED)?;
    let private = EphemeralPrivateKey::generate(curve, &SystemRandom::new()).map_err(|_| FAILED)?;
    let public = private.compute_public_key().map_err(|_| FAILED)?;
    Ok((private, public.as_ref().to_vec()))
}

fn agree(
    method: Method,
    private: EphemeralPrivateKey,
    peer: &[u8],
) -> Result<Zeroizing<Vec<u8>>, ProtocolError> {
    let curve = method.curve().ok_or(FAILED)?;
    agree_ephemeral(private, UnparsedPublicKey::new(curve, peer), FAILED, |shared| {
        Ok(Zeroizing::new(shared.to_vec()))
    })
}

fn plain_secret(shared: &[u8]) -> Secret {
    let mut encoded = Zeroizing::new(Vec::with_capacity(shared.len() + 5));
    encoded.mpint(shared);
    Secret(encoded)
}

fn hybrid_secret(post_quantum: &[u8], classical: &[u8]) -> Secret {
    let mut context = digest::Context::new(&SHA256);
    context.update(post_quantum);
    context.update(classical);
    let mut encoded = Zeroizing::new(Vec::with_capacity(36));
    encoded.string(context.finish().as_ref());
    Secret(encoded)
}

impl ClientShare {
    /// Makes the client's half.
    pub(super) fn start(method: Method) -> Result<Self, ProtocolError> {
        let (private, public) = match method {
            Method::X25519 | Method::P256 | Method::P384 | Method::P521 => {
                let (private, public) = fresh(method)?;
                (Private::Curve(private), public)
            }
            Method::MlKem768X25519 => {
                let (private, classical) = fresh(method)?;
                let key = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| FAILED)?;
                let encapsulation = key.encapsulation_key().map_err(|_| FAILED)?;
                let mut public = encapsulation.key_bytes().map_err(|_| FAILED)?.as_ref().to_vec();
                public.extend_from_slice(&classical);
                (Private::Hybrid(private, key), public)
            }
            Method::Group14Sha256 | Method::Group14Sha1 => {
                let (exponent, public) = Exponent::generate()?;
                (Private::Group14(exponent), public)
            }
        };
        Ok(Self { method, private, public })
    }

    /// Combines it with the server's answer.
    pub(super) fn finish(self, server_reply: &[u8]) -> Result<Secret, ProtocolError> {
        match self.private {
            Private::Curve(private) => Ok(plain_secret(&agree(self.method, private, server_reply)?)),
            Private::Hybrid(private, key) => {
                let (ciphertext, classical) =
                    server_reply.split_at_checked(MLKEM_CIPHERTEXT).ok_or(FAILED)?;
                let post_quantum = key.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| FAILED)?;
                let classical = agree(self.method, private, classical)?;
                Ok(hybrid_secret(post_quantum.as_ref(), &classical))
            }
            Private::Group14(exponent) => Ok(plain_secret(&exponent.agree(server_reply)?)),
        }
    }
}

/// The server's half, at once: its answer and the secret. There is none for legacy methods.
pub(super) fn respond(method: Method, client_init: &[u8]) -> Result<(Vec<u8>, Secret), ProtocolError> {
    let (private, public) = fresh(method)?;
    if method != Method::MlKem768X25519 {
        let secret = plain_secret(&agree(method, private, client_init)?);
        return Ok((public, secret));
    }
    let (encapsulation, classical) = client_init.split_at_checked(MLKEM_PUBLIC).ok_or(FAILED)?;
    let encapsulation = EncapsulationKey::new(&ML_KEM_768, encapsulation).map_err(|_| FAILED)?;
    let (ciphertext, post_quantum) = encapsulation.encapsulate().map_err(|_| FAILED)?;
    let classical = agree(method, private, classical)?;
    let mut reply = ciphertext.as_ref().to_vec();
    reply.extend_from_slice(&public);
    Ok((reply, hybrid_secret(post_quantum.as_ref(), &classical)))
}

/// Everything that both sides said before the exchange hash (RFC 4253 §8).
#[derive(Debug)]
pub(super) struct Transcript<'a> {
    pub(super) client_ident: &'a str,
    pub(super) server_ident: &'a str,
    pub(super) client_kexinit: &'a [u8],
    pub(super) server_kexinit: &'a [u8],
    pub(super) host_key: &'a [u8],
    pub(super) client_share: &'a [u8],
    pub(super) server_share: &'a [u8],
}

/// The exchange hash H.
pub(super) fn exchange_hash(method: Method, transcript: &Transcript<'_>, secret: &Secret) -> Digest {
    let mut text = Vec::with_capacity(4096);
    text.string(transcript.client_ident.as_bytes()).string(transcript.server_ident.as_bytes());
    text.string(transcript.client_kexinit).string(transcript.server_kexinit);
    text.string(transcript.host_key).string(transcript.client_share).string(transcript.server_share);
    let mut context = digest::Context::new(method.hash());
    context.update(&text);
    context.update(&secret.0);
    context.finish()
}

/// The keys of one direction.
#[derive(Debug)]
pub(super) struct DirectionKeys {
    pub(super) iv: Zeroizing<Vec<u8>>,
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) mac: Zeroizing<Vec<u8>>,
}

/// Derives one direction's keys (RFC 4253 §7.2); `letters` are those of IV, key and MAC key.
pub(super) fn derive(
    method: Method,
    secret: &Secret,
    hash: &[u8],
    session_id: &[u8],
    letters: [u8; 3],
    lengths: (usize, usize, usize),
) -> DirectionKeys {
    let [iv, key, mac] = letters;
    let one = |letter: u8, length: usize| {
        let mut material = Zeroizing::new(Vec::with_capacity(length + 64));
        while material.len() < length {
            let mut context = digest::Context::new(method.hash());
            context.update(&secret.0);
            context.update(hash);
            if material.is_empty() {
                context.update(&[letter]);
                context.update(session_id);
            } else {
                context.update(&material);
            }
            material.extend_from_slice(context.finish().as_ref());
        }
        material.truncate(length);
        material
    };
    DirectionKeys { iv: one(iv, lengths.0), key: one(key, lengths.1), mac: one(mac, lengths.2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_arrive_at_the_same_secret() {
        for method in [Method::X25519, Method::P256, Method::P384, Method::P521, Method::MlKem768X25519] {
            let client = ClientShare::start(method).expect("share");
            let (reply, server) = respond(method, &client.public).expect("answer");
            let client = client.finish(&reply).expect("secret");
            assert_eq!(*client.0, *server.0, "{method:?}");
        }
    }

    #[test]
    fn a_share_of_the_wrong_size_or_of_low_order_is_refused() {
        for method in [Method::X25519, Method::P256, Method::MlKem768X25519] {
            assert!(respond(method, &[]).is_err());
            assert!(respond(method, &[0; 32]).is_err(), "{method:?} took an all-zero share");
            assert!(respond(method, &[7; 2000]).is_err());
        }
    }

    #[test]
    fn no_client_is_ever_answered_with_group_14() {
        for method in [Method::Group14Sha256, Method::Group14Sha1] {
            let client = ClientShare::start(method).expect("share");
            assert!(respond(method, &client.public).is_err());
        }
    }
}
