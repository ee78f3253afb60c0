//! Certificates made by `ssh-keygen -s`.

use super::*;
use crate::domain::{AuthMethod, CertificateFacts, Fingerprint};
use crate::signature::keygen::SoftToken;
use crate::signature::{SK_FLAG_USER_PRESENT, SK_FLAG_USER_VERIFIED};

/// A house that trusts a CA and knows Alice (also as alice@corp) and Bob.
fn house_with_ca() -> (House, KeyFiles, KeyFiles) {
    let mut house = House::new();
    let (ca, key) = (house.shop.ed25519("ca"), house.shop.ed25519("key"));
    house.trust(&ca);
    house.users("[users.alice]\ngroups = [\"eng\"]\nprincipals = [\"alice@corp\", \"ops\"]\n[users.bob]\nprincipals = [\"ops\"]\n");
    (house, ca, key)
}

#[test]
fn a_certificate_lets_its_principal_in_and_tells_its_facts() {
    let (house, ca, key) = house_with_ca();
    let blob = house.shop.certify(&ca, &key, &["-I", "laptop of alice", "-z", "42", "-n", "alice@corp,x"]);
    let accepted =
        Try { ssh_user: "root", ..Try::default() }.with(&house.directory(), &blob).expect("an identity");
    assert_eq!(accepted.identity.user.as_str(), "alice");
    let expected = AuthMethod::Certificate {
        fingerprint: Fingerprint::of_blob(&key.blob),
        algorithm: "ssh-ed25519-cert-v01@openssh.com".to_owned(),
        certificate: CertificateFacts {
            key_id: "laptop of alice".to_owned(),
            serial: 42,
            ca: Fingerprint::of_blob(&ca.blob),
        },
    };
    assert_eq!(accepted.identity.auth, expected);
    assert!(accepted.extensions.permit_pty && accepted.extensions.permit_port_forwarding);
}

#[test]
fn every_kind_of_ca_and_key_works() {
    let mut house = House::new();
    house.users("[users.alice]\n");
    for (kind, bits) in
        [("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048")]
    {
        let ca = house.shop.key(&format!("ca-{kind}{bits}"), kind, bits);
        let key = house.shop.key(&format!("{kind}{bits}"), kind, bits);
        house.trust(&ca);
        let blob = house.shop.certify(&ca, &key, &["-I", "id", "-n", "alice"]);
        assert_eq!(Try::default().enters(&house.directory(), &blob), "alice", "{kind} {bits}");
    }
}

#[test]
fn sha1_signatures_and_short_keys_of_a_ca_are_refused() {
    let mut house = House::new();
    house.users("[users.alice]\n");
    let (ca, key) = (house.shop.key("ca", "rsa", "2048"), house.shop.ed25519("key"));
    house.trust(&ca);
    let blob = house.shop.certify(&ca, &key, &["-t", "ssh-rsa", "-I", "id", "-n", "alice"]);
    assert_eq!(Try::default().refused(&house.directory(), &blob), AuthFailure::CaSignature);
    let blob = house.shop.certify(&ca, &key, &["-t", "rsa-sha2-256", "-I", "id", "-n", "alice"]);
    assert_eq!(Try::default().enters(&house.directory(), &blob), "alice");

    let weak = house.shop.key("weak", "rsa", "1024");
    let blob = house.shop.certify(&weak, &key, &["-I", "id", "-n", "alice"]);
    assert_eq!(Try::default().refused(&house.directory(), &blob), AuthFailure::UntrustedCa);
    house.trust(&weak);
    assert!(house.problems().contains("the CA's key is RSA with 1024 bits"));
    house.trust(&ca);
    let weak_key = house.shop.key("weak-key", "rsa", "1024");
    let blob = house.shop.certify(&ca, &weak_key, &["-I", "id", "-n", "alice"]);
    assert_eq!(Try::default().refused(&house.directory(), &blob), AuthFailure::WeakKey { bits: 1024 });
}

#[test]
fn principals_decide_whom_it_is_for() {
    let (house, ca, key) = house_with_ca();
    let directory = house.directory();
    let certify = |principals: &str| house.shop.certify(&ca, &key, &["-I", "id", "-n", principals]);
    let named = |ssh_user: &'static str| Try { ssh_user, ..Try::default() };

    assert_eq!(named("bob").refused(&directory, &certify("alice")), AuthFailure::WrongUser);
    assert_eq!(named("alice").enters(&directory, &certify("alice,bob")), "alice");
    assert_eq!(named("web-1").refused(&directory, &certify("alice,bob")), AuthFailure::AmbiguousUser);
    assert_eq!(named("web-1").refused(&directory, &certify("ops")), AuthFailure::AmbiguousUser);
    assert_eq!(named("bob").enters(&directory, &certify("ops")), "bob");
    assert_eq!(named("alice").refused(&directory, &certify("Alice,alice@other")), AuthFailure::Principals);
    let nobody = house.shop.certify(&ca, &key, &["-I", "id"]);
    assert_eq!(named("alice").refused(&directory, &nobody), AuthFailure::Principals);
}

#[test]
fn only_user_certificates_of_trusted_cas_count() {
    let (house, ca, key) = house_with_ca();
    let directory = house.directory();
    let stranger = house.shop.ed25519("stranger");
    let foreign = house.shop.certify(&stranger, &key, &["-I", "id", "-n", "alice"]);
    assert_eq!(Try::default().refused(&directory, &foreign), AuthFailure::UntrustedCa);
    let host = house.shop.certify(&ca, &key, &["-h", "-I", "id", "-n", "alice"]);
    assert_eq!(Try::default().refused(&directory, &host), AuthFailure::WrongCertificateType);
    assert_eq!(Try::default().refused(&directory, &key.blob), AuthFailure::UnknownKey, "the bare key");
}

#[test]
fn the_window_is_half_open() {
    let (house, ca, key) = house_with_ca();
    let directory = house.directory();
    let window = ["-I", "id", "-n", "alice", "-V", "20261122120000Z:20261122130000Z"];
    let blob = house.shop.certify(&ca, &key, &window);
    let at = |at: &'static str| Try { at, ..Try::default() };
    assert_eq!(at("2026-11-22T11:59:59Z").refused(&directory, &blob), AuthFailure::CertificateNotYetValid);
    assert_eq!(at("2026-11-22T12:00:00Z").enters(&directory, &blob), "alice");
    assert_eq!(at("2026-11-22T12:59:59Z").enters(&directory, &blob), "alice");
    assert_eq!(at("2026-11-22T13:00:00Z").refused(&directory, &blob), AuthFailure::CertificateExpired);
}

#[test]
fn critical_options_are_enforced_or_refuse() {
    let (house, ca, key) = house_with_ca();
    let directory = house.directory();
    let certify = |option: &str| house.shop.certify(&ca, &key, &["-I", "id", "-n", "alice", "-O", option]);
    let from = |from: &'static str| Try { from, ..Try::default() };

    let pinned = certify("source-address=10.0.0.0/8,2001:db8::/32");
    assert_eq!(from("10.9.9.9").enters(&directory, &pinned), "alice");
    assert_eq!(from("2001:db8::1").enters(&directory, &pinned), "alice");
    assert_eq!(from("192.0.2.1").refused(&directory, &pinned), AuthFailure::SourceAddress);

    let forced = certify("force-command=id");
    let option = AuthFailure::CriticalOption("force-command".to_owned());
    assert_eq!(Try::default().refused(&directory, &forced), option);
    let long = format!("critical:{}=x", "n".repeat(300));
    let option = AuthFailure::CriticalOption("n".repeat(64));
    assert_eq!(Try::default().refused(&directory, &certify(&long)), option, "bounded");
    let verify = certify("verify-required");
    assert_eq!(Try::default().refused(&directory, &verify), AuthFailure::VerificationMissing, "no token");
}

#[test]
fn extensions_are_told() {
    let (house, ca, key) = house_with_ca();
    let bare =
        ["-I", "id", "-n", "alice", "-O", "clear", "-O", "permit-agent-forwarding", "-O", "extension:x@y=z"];
    let blob = house.shop.certify(&ca, &key, &bare);
    let extensions = Try::default().with(&house.directory(), &blob).expect("an identity").extensions;
    assert!(extensions.permit_agent_forwarding);
    assert!(
        !extensions.permit_pty && !extensions.permit_port_forwarding && !extensions.permit_x11_forwarding
    );
}

#[test]
fn any_bent_bit_breaks_the_certificate() {
    let (house, ca, key) = house_with_ca();
    let directory = house.directory();
    let blob = house.shop.certify(&ca, &key, &["-I", "id", "-n", "alice", "-V", "always:forever"]);
    for at in 0..blob.len() {
        let mut bent = blob.clone();
        bent[at] ^= 1;
        let attempt = Try { algorithm: Some("ssh-ed25519-cert-v01@openssh.com"), ..Try::default() };
        assert!(attempt.with(&directory, &bent).is_err(), "byte {at}");
        assert!(attempt.with(&directory, &blob[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_ca_of_one_user_speaks_for_that_user_only() {
    let house = House::new();
    let (ca, key) = (house.shop.ed25519("ca"), house.shop.ed25519("key"));
    let users = |options: &str| {
        house.users(&format!("[users.alice]\nauthorized_keys = ['{options} {}']\n[users.bob]\n", ca.line));
        house.directory()
    };
    let certify = |principal: &str| house.shop.certify(&ca, &key, &["-I", "id", "-n", principal]);
    let named = |ssh_user: &'static str| Try { ssh_user, ..Try::default() };

    let directory = users("cert-authority");
    assert_eq!(named("alice").enters(&directory, &certify("alice")), "alice");
    assert_eq!(named("bob").refused(&directory, &certify("bob")), AuthFailure::Principals);
    assert_eq!(named("bob").refused(&directory, &certify("alice")), AuthFailure::WrongUser);
    assert_eq!(
        named("alice").refused(&directory, &ca.blob),
        AuthFailure::UnknownKey,
        "the CA is no login key"
    );

    let directory = users("cert-authority,principals=\"deploy,ci\",from=\"10.0.0.0/8\"");
    assert_eq!(named("x").enters(&directory, &certify("ci")), "alice");
    assert_eq!(named("x").refused(&directory, &certify("alice")), AuthFailure::Principals);
    let outside = Try { from: "192.0.2.1", ..Try::default() };
    assert_eq!(outside.refused(&directory, &certify("ci")), AuthFailure::SourceAddress);
}

#[test]
fn a_certified_security_key_has_to_be_touched() {
    let (house, ca, _) = house_with_ca();
    let token = SoftToken::new();
    let public = house.shop.write("token.pub", token.line());
    let files = KeyFiles { path: public.with_extension(""), line: token.line(), blob: token.blob() };
    let directory = house.directory();
    let flags = |sk_flags: u8| Try { sk_flags: Some(sk_flags), ..Try::default() };
    let certify =
        |options: &[&str]| house.shop.certify(&ca, &files, &[&["-I", "id", "-n", "alice"], options].concat());

    let plain = certify(&[]);
    assert_eq!(flags(SK_FLAG_USER_PRESENT).enters(&directory, &plain), "alice");
    assert_eq!(flags(0).refused(&directory, &plain), AuthFailure::TouchMissing);
    assert_eq!(flags(0).enters(&directory, &certify(&["-O", "no-touch-required"])), "alice");
    let verify = certify(&["-O", "verify-required"]);
    assert_eq!(flags(SK_FLAG_USER_PRESENT).refused(&directory, &verify), AuthFailure::VerificationMissing);
    assert_eq!(flags(SK_FLAG_USER_PRESENT | SK_FLAG_USER_VERIFIED).enters(&directory, &verify), "alice");
}
