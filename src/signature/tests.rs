//! Signatures made by `ssh-keygen` verify; the same ones, bent, do not.

use proptest::prelude::*;

use super::keygen::{SoftToken, Workshop};
use super::public_key::put_string;
use super::*;

const KINDS: [(&str, &str, &str); 6] = [
    ("ed25519", "256", "ssh-ed25519"),
    ("ecdsa", "256", "ecdsa-sha2-nistp256"),
    ("ecdsa", "384", "ecdsa-sha2-nistp384"),
    ("ecdsa", "521", "ecdsa-sha2-nistp521"),
    ("rsa", "2048", "rsa-sha2-512"),
    ("rsa", "3072", "rsa-sha2-512"),
];

#[test]
fn every_kind_of_openssh_key_verifies_and_only_over_its_own_message() {
    let shop = Workshop::new();
    for (kind, bits, algorithm) in KINDS {
        let key = shop.key(&format!("{kind}-{bits}"), kind, bits);
        let (signed, blob) = shop.sign(&key, b"a message");
        assert_eq!(algorithm_of(&blob), Some(algorithm));
        let valid = verify(&key.blob, algorithm, &signed, &blob);
        assert_eq!(valid, Ok(Verified { sk_flags: None, sk_counter: None }), "{kind} {bits}");

        let other = [signed.as_slice(), b"!"].concat();
        assert_eq!(verify(&key.blob, algorithm, &other, &blob), Err(SignatureError::BadSignature));
        let stranger = shop.key(&format!("stranger-{kind}-{bits}"), kind, bits);
        assert_eq!(verify(&stranger.blob, algorithm, &signed, &blob), Err(SignatureError::BadSignature));

        let parsed = PublicKey::parse(&key.blob).expect("a key");
        assert_eq!(parsed.to_blob(), key.blob);
        assert_eq!(parsed.bits().to_string(), bits);
    }
}

#[test]
fn a_certificate_verifies_with_the_key_in_it() {
    let shop = Workshop::new();
    let ca = shop.ed25519("ca");
    for (kind, bits, algorithm) in KINDS {
        let key = shop.key(&format!("{kind}-{bits}"), kind, bits);
        let certificate = shop.certify(&ca, &key, &["-I", "id", "-n", "alice"]);
        let (signed, blob) = shop.sign(&key, b"a message");
        let announced = format!("{algorithm}-cert-v01@openssh.com");
        assert!(verify(&certificate, &announced, &signed, &blob).is_ok(), "{announced}");
        assert!(key_type(&certificate).is_some_and(|name| name.ends_with("-cert-v01@openssh.com")));
    }
}

#[test]
fn the_announced_algorithm_is_the_only_one_accepted() {
    let shop = Workshop::new();
    let rsa = shop.key("rsa", "rsa", "2048");
    let (signed, blob) = shop.sign(&rsa, b"a message");
    let with = |algorithm: &str| verify(&rsa.blob, algorithm, &signed, &blob);
    assert_eq!(with("rsa-sha2-256"), Err(SignatureError::WrongAlgorithm));
    assert_eq!(with("ssh-rsa"), Err(SignatureError::UnsupportedAlgorithm), "SHA-1");
    assert_eq!(with("ssh-ed25519"), Err(SignatureError::UnsupportedAlgorithm));
    assert_eq!(with("ssh-dss"), Err(SignatureError::UnsupportedAlgorithm));
    assert_eq!(with(""), Err(SignatureError::UnsupportedAlgorithm));
}

/// That a valid one is taken is seen with a real sshd, in `tests/suite/algorithms.rs`.
#[test]
fn a_sha1_signature_has_to_be_one() {
    let shop = Workshop::new();
    let rsa = shop.key("rsa", "rsa", "2048");
    let (signed, sha2) = shop.sign(&rsa, b"a message");
    assert_eq!(dangerous_verify_sha1(&rsa.blob, &signed, &sha2), Err(SignatureError::WrongAlgorithm));
    let (_, bytes) = sha2.split_at(4 + "rsa-sha2-512".len());
    let mut renamed = Vec::new();
    put_string(&mut renamed, b"ssh-rsa");
    renamed.extend_from_slice(bytes);
    assert_eq!(dangerous_verify_sha1(&rsa.blob, &signed, &renamed), Err(SignatureError::BadSignature));
    let ed25519 = shop.ed25519("ed25519");
    let (signed, blob) = shop.sign(&ed25519, b"a message");
    let refused = dangerous_verify_sha1(&ed25519.blob, &signed, &blob);
    assert_eq!(refused, Err(SignatureError::UnsupportedAlgorithm));
}

#[test]
fn a_short_rsa_key_is_weak() {
    let shop = Workshop::new();
    let key = shop.key("weak", "rsa", "1024");
    assert_eq!(PublicKey::parse(&key.blob), Err(SignatureError::WeakKey { bits: 1024 }));
    let (signed, blob) = shop.sign(&key, b"a message");
    let result = verify(&key.blob, "rsa-sha2-512", &signed, &blob);
    assert_eq!(result, Err(SignatureError::WeakKey { bits: 1024 }));
}

#[test]
fn an_rsa_exponent_of_one_is_refused() {
    let modulus = [&[0][..], &[0xff; 256]].concat();
    for exponent in [&[1][..], &[4], &[1, 0, 0, 0, 1]] {
        let mut blob = Vec::new();
        for field in [b"ssh-rsa", exponent, &modulus] {
            put_string(&mut blob, field);
        }
        assert_eq!(PublicKey::parse(&blob), Err(SignatureError::UnsupportedKey), "{exponent:?}");
    }
}

#[test]
fn a_token_signature_tells_its_flags_and_they_are_signed() {
    let token = SoftToken::new();
    let name = "sk-ssh-ed25519@openssh.com";
    let blob = token.sign(b"a message", SK_FLAG_USER_PRESENT, 7);
    let verified = verify(&token.blob(), name, b"a message", &blob);
    assert_eq!(verified, Ok(Verified { sk_flags: Some(1), sk_counter: Some(7) }));

    let mut bent = blob.clone();
    let flags_at = bent.len() - 5;
    bent[flags_at] = SK_FLAG_USER_PRESENT | SK_FLAG_USER_VERIFIED;
    assert_eq!(verify(&token.blob(), name, b"a message", &bent), Err(SignatureError::BadSignature));
    let short = &blob[..blob.len() - 1];
    assert_eq!(verify(&token.blob(), name, b"a message", short), Err(SignatureError::MalformedSignature));
    assert_eq!(verify(&token.blob(), name, b"another", &blob), Err(SignatureError::BadSignature));
}

#[test]
fn a_token_on_a_nist_curve_verifies() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
    let name = "sk-ecdsa-sha2-nistp256@openssh.com";
    let mut key = Vec::new();
    for field in [name.as_bytes(), b"nistp256", pair.public_key().as_ref(), b"ssh:"] {
        put_string(&mut key, field);
    }
    let signed = token_message(b"ssh:", 5, 9, b"a message");
    let raw = pair.sign(&SystemRandom::new(), &signed).expect("a signature");
    let mut numbers = Vec::new();
    for half in raw.as_ref().chunks(32) {
        // A leading zero keeps each number positive; superfluous ones are accepted in signatures.
        put_string(&mut numbers, &[&[0], half].concat());
    }
    let mut blob = Vec::new();
    put_string(&mut blob, name.as_bytes());
    put_string(&mut blob, &numbers);
    blob.extend_from_slice(&[5, 0, 0, 0, 9]);
    let verified = verify(&key, name, b"a message", &blob);
    assert_eq!(verified, Ok(Verified { sk_flags: Some(5), sk_counter: Some(9) }));
}

#[test]
fn an_rsa_signature_without_its_leading_zeros_still_verifies() {
    // One signature in 256 starts with a zero byte; try messages until one does.
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key pair");
    // PKCS #1: a sequence of the modulus (with its sign byte) and the exponent 65537.
    let der = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    let modulus = &der[8..8 + 257];
    let mut key = Vec::new();
    for field in [&b"ssh-rsa"[..], &[1, 0, 1], modulus] {
        put_string(&mut key, field);
    }
    let mut raw = vec![0; pair.public_modulus_len()];
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let message = (0_u32..20_000)
        .map(u32::to_be_bytes)
        .find(|message| {
            pair.sign(&lc::RSA_PKCS1_SHA256, &rng, message, &mut raw).expect("a signature");
            raw[0] == 0
        })
        .expect("one in 256");
    let mut blob = Vec::new();
    put_string(&mut blob, b"rsa-sha2-256");
    put_string(&mut blob, &raw[1..]);
    assert!(verify(&key, "rsa-sha2-256", &message, &blob).is_ok());
}

#[test]
fn names_of_blobs_are_bounded_and_printable() {
    let named = |name: &[u8]| {
        let mut blob = Vec::new();
        put_string(&mut blob, name);
        key_type(&blob).map(str::to_owned)
    };
    assert_eq!(named(b"ssh-ed25519").as_deref(), Some("ssh-ed25519"));
    assert_eq!(named(b""), None);
    assert_eq!(named(b"a b"), None);
    assert_eq!(named(&[b'a'; 65]), None);
    assert_eq!(named(b"\xff"), None);
    assert_eq!(key_type(&[0, 0]), None);
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic_and_never_verify(
        kind in 0_usize..8,
        key in proptest::collection::vec(any::<u8>(), 0..200),
        signature in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut blob = Vec::new();
        let name = KeyKind::ALL.get(kind).map_or("no-such-kind", |kind| kind.name());
        put_string(&mut blob, name.as_bytes());
        blob.extend_from_slice(&key);
        let mut signed = Vec::new();
        put_string(&mut signed, name.as_bytes());
        signed.extend_from_slice(&signature);
        for algorithm in [name, "rsa-sha2-256", "ssh-ed25519-cert-v01@openssh.com"] {
            prop_assert!(verify(&blob, algorithm, b"message", &signed).is_err());
        }
    }

    #[test]
    fn a_bent_key_is_refused_or_another_key(at in 0_usize..51, bit in 0_u8..8) {
        let token = SoftToken::new();
        let original = token.blob();
        let mut bent = original.clone();
        bent[at] ^= 1 << bit;
        if let Ok(key) = PublicKey::parse(&bent) {
            prop_assert_eq!(key.to_blob(), bent, "what parses has exactly one encoding");
        }
    }
}
