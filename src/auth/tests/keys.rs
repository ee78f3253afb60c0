//! Plain keys: whose they are, and what their lines demand.

use super::*;
use crate::auth::parse_public_key;
use crate::domain::{AuthMethod, Fingerprint, UserName};
use crate::signature::keygen::SoftToken;
use crate::signature::{SK_FLAG_USER_PRESENT, SK_FLAG_USER_VERIFIED, SignatureError};

#[test]
fn every_kind_of_key_lets_its_owner_in() {
    let house = House::new();
    for (kind, bits) in [
        ("ed25519", "256"),
        ("ecdsa", "256"),
        ("ecdsa", "384"),
        ("ecdsa", "521"),
        ("rsa", "2048"),
        ("rsa", "3072"),
    ] {
        let key = house.shop.key(&format!("{kind}{bits}"), kind, bits);
        house.alice_has(&key.line);
        let accepted = Try::default().with(&house.directory(), &key.blob).expect("an identity");
        assert_eq!(accepted.identity.user.as_str(), "alice");
        assert_eq!(accepted.identity.groups, ["eng"]);
        assert_eq!(accepted.identity.auth.fingerprint(), &Fingerprint::of_blob(&key.blob));
        assert_eq!(accepted.identity.auth.name(), "publickey");
        assert!(accepted.extensions.permit_pty);
    }
}

#[test]
fn a_short_rsa_key_is_refused_in_the_file_and_on_the_wire() {
    let house = House::new();
    let weak = house.shop.key("weak", "rsa", "1024");
    assert_eq!(Try::default().refused(&house.directory(), &weak.blob), AuthFailure::WeakKey { bits: 1024 });
    house.alice_has(&weak.line);
    insta::assert_snapshot!(house.problems(), @"
    users.toml:3:20: user alice: key 1 is RSA with 1024 bits; at least 2048 are needed
        hint: make a new one with `ssh-keygen -t ed25519`
    ");
}

#[test]
fn sha1_and_foreign_algorithms_are_refused() {
    let house = House::new();
    let rsa = house.shop.key("rsa", "rsa", "2048");
    house.alice_has(&rsa.line);
    let directory = house.directory();
    for algorithm in ["ssh-rsa", "ssh-ed25519", "ssh-dss", "", "rsa-sha2-512-cert-v01@openssh.com"] {
        let attempt = Try { algorithm: Some(algorithm), ..Try::default() };
        assert_eq!(attempt.refused(&directory, &rsa.blob), AuthFailure::UnsupportedAlgorithm, "{algorithm}");
        assert_eq!(parse_public_key(algorithm, &rsa.blob), Err(SignatureError::UnsupportedAlgorithm));
    }
    let sha256 = Try { algorithm: Some("rsa-sha2-256"), ..Try::default() };
    assert_eq!(sha256.enters(&directory, &rsa.blob), "alice");
}

#[test]
fn the_owner_decides_and_a_name_can_only_refuse() {
    let house = House::new();
    let (alice, bob) = (house.shop.ed25519("a"), house.shop.ed25519("b"));
    let stranger = house.shop.ed25519("stranger");
    house.users(&format!(
        "[users.alice]\nauthorized_keys = [\"{}\"]\n[users.bob]\nauthorized_keys = [\"{}\"]\n",
        alice.line, bob.line
    ));
    let directory = house.directory();
    let named = |ssh_user: &'static str| Try { ssh_user, ..Try::default() };
    for name in ["alice", "root", "ec2-user@web-1", "web-1", "", "Alice", "alice@web-1", "alice\0"] {
        assert_eq!(named(name).enters(&directory, &alice.blob), "alice", "{name:?}");
    }
    assert_eq!(named("bob").refused(&directory, &alice.blob), AuthFailure::WrongUser);
    assert_eq!(named("alice").refused(&directory, &stranger.blob), AuthFailure::UnknownKey);
    assert_eq!(named("nobody").refused(&directory, &stranger.blob), AuthFailure::UnknownKey);
}

#[test]
fn a_shared_key_needs_the_name() {
    let house = House::new();
    let key = house.shop.ed25519("shared");
    let other = house.shop.ed25519("other");
    house.users(&format!(
        "[users.alice]\nauthorized_keys = [\"{0}\"]\n[users.bob]\nauthorized_keys = [\"{0}\"]\n\
         [users.carol]\nauthorized_keys = [\"{1}\"]\n",
        key.line, other.line
    ));
    let directory = house.directory();
    let named = |ssh_user: &'static str| Try { ssh_user, ..Try::default() };
    assert_eq!(named("alice").enters(&directory, &key.blob), "alice");
    assert_eq!(named("bob").enters(&directory, &key.blob), "bob");
    assert_eq!(named("root").refused(&directory, &key.blob), AuthFailure::AmbiguousUser);
    assert_eq!(named("carol").refused(&directory, &key.blob), AuthFailure::WrongUser);
    // With a login behind it, a name says the same.
    assert_eq!(named("alice+ec2-user").enters(&directory, &key.blob), "alice");
    assert_eq!(named("bob+").enters(&directory, &key.blob), "bob");
    assert_eq!(named("carol+alice").refused(&directory, &key.blob), AuthFailure::WrongUser);
    assert_eq!(named("alice+x@web-1").refused(&directory, &key.blob), AuthFailure::AmbiguousUser);
}

/// Public keys are published: with one of them, a stranger could ask for name after name.
#[test]
fn whoever_only_asks_learns_nothing_about_names() {
    let mut house = House::new();
    let (one, shared, ca) = (house.shop.ed25519("a"), house.shop.ed25519("b"), house.shop.ed25519("ca"));
    house.trust(&ca);
    house.users(&format!(
        "[users.alice]\nauthorized_keys = [\"{0}\", \"{1}\"]\n[users.bob]\nauthorized_keys = [\"{1}\"]\n[users.carol]\n",
        one.line, shared.line
    ));
    let certified = house.shop.certify(&ca, &one, &["-I", "laptop", "-n", "alice"]);
    let directory = house.directory();
    for key_blob in [&one.blob, &shared.blob, &certified] {
        let algorithm = crate::signature::key_type(key_blob).expect("a key");
        for ssh_user in ["alice", "bob", "carol", "nobody", "carol+x", "ec2-user@web-1", ""] {
            let attempt = KeyAttempt {
                ssh_user,
                algorithm,
                key_blob,
                client_addr: "10.0.0.1".parse().expect("an address"),
                sk_flags: None,
            };
            assert!(directory.query(&attempt, NOW.parse().expect("a time")).is_ok(), "{ssh_user:?}");
        }
    }
}

#[test]
fn from_is_enforced() {
    let house = House::new();
    let key = house.shop.ed25519("k");
    house.alice_has(&format!("from=\"10.0.0.0/8,!10.1.2.3\" {}", key.line));
    let directory = house.directory();
    let from = |from: &'static str| Try { from, ..Try::default() };
    assert_eq!(from("10.1.2.4").enters(&directory, &key.blob), "alice");
    assert_eq!(from("::ffff:10.1.2.4").enters(&directory, &key.blob), "alice");
    assert_eq!(from("10.1.2.3").refused(&directory, &key.blob), AuthFailure::SourceAddress);
    assert_eq!(from("192.0.2.1").refused(&directory, &key.blob), AuthFailure::SourceAddress);
}

#[test]
fn expiry_time_is_enforced_to_the_second() {
    let house = House::new();
    let key = house.shop.ed25519("k");
    house.alice_has(&format!("expiry-time=\"20270101\" {}", key.line));
    let directory = house.directory();
    let at = |at: &'static str| Try { at, ..Try::default() };
    assert_eq!(at("2026-12-31T23:59:59Z").enters(&directory, &key.blob), "alice");
    assert_eq!(at("2027-01-01T00:00:00.9Z").enters(&directory, &key.blob), "alice");
    assert_eq!(at("2027-01-01T00:00:01Z").refused(&directory, &key.blob), AuthFailure::KeyExpired);
}

#[test]
fn a_security_key_has_to_be_touched() {
    let house = House::new();
    let token = SoftToken::new();
    let flags = |sk_flags: Option<u8>| Try { sk_flags, ..Try::default() };
    let both = Some(SK_FLAG_USER_PRESENT | SK_FLAG_USER_VERIFIED);

    house.alice_has(&token.line());
    let directory = house.directory();
    assert_eq!(flags(Some(SK_FLAG_USER_PRESENT)).enters(&directory, &token.blob()), "alice");
    assert_eq!(flags(Some(0)).refused(&directory, &token.blob()), AuthFailure::TouchMissing);
    assert_eq!(flags(None).refused(&directory, &token.blob()), AuthFailure::TouchMissing);

    house.alice_has(&format!("no-touch-required {}", token.line()));
    assert_eq!(flags(Some(0)).enters(&house.directory(), &token.blob()), "alice");

    house.alice_has(&format!("verify-required {}", token.line()));
    let directory = house.directory();
    assert_eq!(flags(both).enters(&directory, &token.blob()), "alice");
    let touched = flags(Some(SK_FLAG_USER_PRESENT));
    assert_eq!(touched.refused(&directory, &token.blob()), AuthFailure::VerificationMissing);
}

#[test]
fn a_decision_can_be_explained_without_logging_in() {
    let mut house = House::new();
    let (key, ca) = (house.shop.ed25519("k"), house.shop.ed25519("ca"));
    house.trust(&ca);
    house.users(&format!(
        "[users.alice]\ngroups = [\"eng\"]\nauthorized_keys = [\"{}\"]\n[users.bob]\n",
        key.line
    ));
    let directory = house.directory();
    let explain = |name: &str| {
        let name = UserName::parse(name).expect("a name");
        directory.identity_for_explain(&name, "10.0.0.1".parse().expect("an address"))
    };
    let alice = explain("alice").expect("a user");
    assert_eq!(alice.auth.fingerprint(), &Fingerprint::of_blob(&key.blob));
    let AuthMethod::Certificate { certificate, .. } = explain("bob").expect("a user").auth else {
        panic!("bob has no key");
    };
    assert_eq!(certificate.ca, Fingerprint::of_blob(&ca.blob));
    assert_eq!(explain("carol"), None);
    let names: Vec<&str> = directory.users().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
}
