//! People who are in while the files change.

use super::*;
use crate::domain::Identity;

#[test]
fn a_key_that_is_taken_away_or_revoked_is_noticed() {
    let mut house = House::new();
    let key = house.shop.ed25519("k");
    house.alice_has(&key.line);
    let identity = Try::default().with(&house.directory(), &key.blob).expect("an identity").identity;
    assert_eq!(house.directory().refresh(&identity, &key.blob), Ok(identity.clone()));

    house.users(&format!("[users.alice]\ngroups = [\"ops\"]\nauthorized_keys = [\"{}\"]\n", key.line));
    let moved = house.directory().refresh(&identity, &key.blob).expect("still Alice");
    assert_eq!(moved, Identity { groups: vec!["ops".to_owned()], ..identity.clone() });

    house.alice_has(&format!("from=\"192.0.2.0/24\" {}", key.line));
    assert_eq!(house.directory().refresh(&identity, &key.blob), Err(AuthFailure::SourceAddress));
    house.alice_has(&format!("expiry-time=\"20200101\" {}", key.line));
    assert!(house.directory().refresh(&identity, &key.blob).is_ok(), "windows are about logging in");
    house.revoke(&key.line);
    assert_eq!(house.directory().refresh(&identity, &key.blob), Err(AuthFailure::Revoked));
    house.users("[users.alice]\n[users.bob]\n");
    assert_eq!(house.directory().refresh(&identity, &key.blob), Err(AuthFailure::UnknownKey));
    house.users("[users.bob]\n");
    assert_eq!(house.directory().refresh(&identity, &key.blob), Err(AuthFailure::UnknownKey));
}

#[test]
fn a_certificate_that_is_revoked_or_whose_ca_is_gone_is_noticed() {
    let mut house = House::new();
    let (ca, key) = (house.shop.ed25519("ca"), house.shop.ed25519("key"));
    house.trust(&ca);
    house.users("[users.alice]\n");
    let blob = house.shop.certify(&ca, &key, &["-I", "laptop", "-z", "7", "-n", "alice"]);
    let identity = Try::default().with(&house.directory(), &blob).expect("an identity").identity;
    assert_eq!(house.directory().refresh(&identity, &blob), Ok(identity.clone()));

    let fingerprint = identity.auth.fingerprint().to_string();
    for list in ["serial: 7", "id: laptop", ca.line.as_str(), key.line.as_str(), fingerprint.as_str()] {
        house.revoke(list);
        assert_eq!(house.directory().refresh(&identity, &blob), Err(AuthFailure::Revoked), "{list}");
    }
    house.revoke("serial: 8");
    assert!(house.directory().refresh(&identity, &blob).is_ok());

    house.sources.trusted_user_ca_keys.clear();
    assert_eq!(house.directory().refresh(&identity, &blob), Err(AuthFailure::UntrustedCa));
    house.alice_has(&format!("cert-authority {}", ca.line));
    assert!(house.directory().refresh(&identity, &blob).is_ok());
    house.alice_has(&ca.line);
    assert_eq!(
        house.directory().refresh(&identity, &blob),
        Err(AuthFailure::UntrustedCa),
        "a login key is no CA"
    );
    house.alice_has(&format!("cert-authority,from=\"192.0.2.1\" {}", ca.line));
    assert_eq!(house.directory().refresh(&identity, &blob), Err(AuthFailure::SourceAddress));
}

/// An alias that was taken from its user let them go on with what they had come in by.
#[test]
fn a_certificate_none_of_whose_principals_is_the_user_s_any_more_is_noticed() {
    let mut house = House::new();
    let (ca, key) = (house.shop.ed25519("ca"), house.shop.ed25519("key"));
    house.trust(&ca);
    house.users("[users.alice]\nprincipals = [\"deploy\", \"ops\"]\n");
    let blob = house.shop.certify(&ca, &key, &["-I", "laptop", "-n", "deploy,night"]);
    let named = Try { ssh_user: "alice", ..Try::default() };
    let identity = named.with(&house.directory(), &blob).expect("an identity").identity;
    let refresh = |house: &House| house.directory().refresh(&identity, &blob);
    assert_eq!(refresh(&house), Ok(identity.clone()));
    house.users("[users.alice]\nprincipals = [\"night\"]\n");
    assert!(refresh(&house).is_ok(), "another one of its principals will do");
    house.users("[users.alice]\nprincipals = [\"ops\"]\n");
    assert_eq!(refresh(&house), Err(AuthFailure::Principals));
    house.users("[users.alice]\n[users.bob]\nprincipals = [\"deploy\"]\n");
    assert_eq!(refresh(&house), Err(AuthFailure::Principals), "it is another's");

    // Of a CA of their own, the line says which.
    house.sources.trusted_user_ca_keys.clear();
    house.alice_has(&format!("cert-authority,principals=\"deploy\" {}", ca.line));
    assert!(refresh(&house).is_ok());
    house.alice_has(&format!("cert-authority,principals=\"ops\" {}", ca.line));
    assert_eq!(refresh(&house), Err(AuthFailure::Principals));
}

/// After the login a certified key was not found where a list has its SHA-1 alone.
#[test]
fn a_certificate_is_revoked_after_the_login_by_whatever_revokes_it_before() {
    let mut house = House::new();
    let (ca, key) = (house.shop.ed25519("ca"), house.shop.ed25519("key"));
    house.trust(&ca);
    house.users("[users.alice]\n");
    let blob = house.shop.certify(&ca, &key, &["-I", "laptop", "-n", "alice"]);
    let identity = Try::default().with(&house.directory(), &blob).expect("an identity").identity;
    house.shop.write("spec", format!("sha1: {}\n", key.line));
    house.shop.ssh_keygen(&["-q", "-k", "-f", "krl", "spec"]);
    house.sources.revoked_keys = vec![house.shop.path("krl")];
    assert_eq!(Try::default().refused(&house.directory(), &blob), AuthFailure::Revoked);
    assert_eq!(house.directory().refresh(&identity, &blob), Err(AuthFailure::Revoked));
}
