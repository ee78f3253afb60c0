//! People who are in while the files change.

use super::*;
use crate::domain::Identity;

#[test]
fn a_key_that_is_taken_away_or_revoked_is_noticed() {
    let mut house = House::new();
    let key = house.shop.ed25519("k");
    house.alice_has(&key.line);
    let identity = Try::default().with(&house.directory(), &key.blob).expect("an identity").identity;
    assert_eq!(house.directory().refresh(&identity), Ok(identity.clone()));

    house.users(&format!("[users.alice]\ngroups = [\"ops\"]\nauthorized_keys = [\"{}\"]\n", key.line));
    let moved = house.directory().refresh(&identity).expect("still Alice");
    assert_eq!(moved, Identity { groups: vec!["ops".to_owned()], ..identity.clone() });

    house.alice_has(&format!("from=\"192.0.2.0/24\" {}", key.line));
    assert_eq!(house.directory().refresh(&identity), Err(AuthFailure::SourceAddress));
    house.alice_has(&format!("expiry-time=\"20200101\" {}", key.line));
    assert!(house.directory().refresh(&identity).is_ok(), "windows are about logging in");
    house.revoke(&key.line);
    assert_eq!(house.directory().refresh(&identity), Err(AuthFailure::Revoked));
    house.users("[users.alice]\n[users.bob]\n");
    assert_eq!(house.directory().refresh(&identity), Err(AuthFailure::UnknownKey));
    house.users("[users.bob]\n");
    assert_eq!(house.directory().refresh(&identity), Err(AuthFailure::UnknownKey));
}

#[test]
fn a_certificate_that_is_revoked_or_whose_ca_is_gone_is_noticed() {
    let mut house = House::new();
    let (ca, key) = (house.shop.ed25519("ca"), house.shop.ed25519("key"));
    house.trust(&ca);
    house.users("[users.alice]\n");
    let blob = house.shop.certify(&ca, &key, &["-I", "laptop", "-z", "7", "-n", "alice"]);
    let identity = Try::default().with(&house.directory(), &blob).expect("an identity").identity;
    assert_eq!(house.directory().refresh(&identity), Ok(identity.clone()));

    let fingerprint = identity.auth.fingerprint().to_string();
    for list in ["serial: 7", "id: laptop", ca.line.as_str(), key.line.as_str(), fingerprint.as_str()] {
        house.revoke(list);
        assert_eq!(house.directory().refresh(&identity), Err(AuthFailure::Revoked), "{list}");
    }
    house.revoke("serial: 8");
    assert!(house.directory().refresh(&identity).is_ok());

    house.sources.trusted_user_ca_keys.clear();
    assert_eq!(house.directory().refresh(&identity), Err(AuthFailure::UntrustedCa));
    house.alice_has(&format!("cert-authority {}", ca.line));
    assert!(house.directory().refresh(&identity).is_ok());
    house.alice_has(&ca.line);
    assert_eq!(house.directory().refresh(&identity), Err(AuthFailure::UntrustedCa), "a login key is no CA");
    house.alice_has(&format!("cert-authority,from=\"192.0.2.1\" {}", ca.line));
    assert_eq!(house.directory().refresh(&identity), Err(AuthFailure::SourceAddress));
}
