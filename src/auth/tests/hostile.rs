//! What a stranger may send: anything.

use proptest::prelude::*;

use super::*;
use crate::auth::{KEY_BLOB_BYTES_MAX, parse_public_key};
use crate::signature::KeyKind;

#[test]
fn a_ten_megabyte_user_name_is_just_not_a_name() {
    let house = House::new();
    let key = house.shop.ed25519("k");
    house.alice_has(&key.line);
    let directory = house.directory();
    let huge = "a".repeat(10 * 1024 * 1024);
    let attempt = Try { ssh_user: &huge, ..Try::default() };
    assert_eq!(attempt.enters(&directory, &key.blob), "alice");
    let stranger = house.shop.ed25519("stranger");
    assert!(attempt.refused(&directory, &stranger.blob).to_string().len() < 200);
}

#[test]
fn a_blob_beyond_the_bound_is_not_looked_at() {
    let mut blob = vec![0, 0, 0, 11];
    blob.extend_from_slice(b"ssh-ed25519");
    blob.resize(KEY_BLOB_BYTES_MAX + 1, 0);
    assert_eq!(Try::default().refused(&House::new().directory(), &blob), AuthFailure::Malformed);
}

#[test]
fn reasons_have_labels_of_their_own() {
    let all = [
        AuthFailure::UnknownKey,
        AuthFailure::WrongUser,
        AuthFailure::AmbiguousUser,
        AuthFailure::KeyExpired,
        AuthFailure::CertificateExpired,
        AuthFailure::CertificateNotYetValid,
        AuthFailure::SourceAddress,
        AuthFailure::Revoked,
        AuthFailure::UntrustedCa,
        AuthFailure::CaSignature,
        AuthFailure::WrongCertificateType,
        AuthFailure::Principals,
        AuthFailure::CriticalOption("x".to_owned()),
        AuthFailure::WeakKey { bits: 1024 },
        AuthFailure::UnsupportedAlgorithm,
        AuthFailure::Malformed,
        AuthFailure::TouchMissing,
        AuthFailure::VerificationMissing,
    ];
    let labels: std::collections::BTreeSet<_> = all.iter().map(AuthFailure::label).collect();
    assert_eq!(labels.len(), all.len());
}

/// Wire strings with random content: gets deeper into the parsers than random bytes.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| {
            let mut field = u32::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
            field.extend_from_slice(&bytes);
            field
        }),
        1 => any::<u64>().prop_map(|number| number.to_be_bytes().to_vec()),
        1 => any::<u32>().prop_map(|number| number.to_be_bytes().to_vec()),
    ];
    proptest::collection::vec(field, 0..16).prop_map(|fields| fields.concat())
}

proptest! {
    #[test]
    fn random_keys_and_certificates_are_refused_without_panic(
        kind in 0_usize..7,
        certificate in any::<bool>(),
        rest in fields(),
        ssh_user in any::<String>(),
        sk_flags in any::<Option<u8>>(),
    ) {
        let kind = KeyKind::ALL[kind];
        let name = if certificate { kind.certificate_name() } else { kind.name() };
        let mut blob = u32::try_from(name.len()).expect("short").to_be_bytes().to_vec();
        blob.extend_from_slice(name.as_bytes());
        blob.extend_from_slice(&rest);
        let attempt = Try { ssh_user: &ssh_user, sk_flags, algorithm: Some(name), ..Try::default() };
        prop_assert!(attempt.with(&Directory::default(), &blob).is_err());
    }

    #[test]
    fn random_bytes_are_no_key(algorithm in any::<String>(), blob in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse_public_key(&algorithm, &blob).is_err());
    }

    #[test]
    fn random_krls_never_panic(rest in fields(), section in any::<u8>()) {
        let mut krl = b"SSHKRL\n\0\0\0\0\x01".to_vec();
        krl.extend_from_slice(&[0; 24 + 8]);
        krl.push(section);
        krl.extend_from_slice(&u32::try_from(rest.len()).expect("short").to_be_bytes());
        krl.extend_from_slice(&rest);
        if let Ok(krl) = crate::auth::krl::Krl::parse(&krl) {
            krl.revokes_certificate(&rest, 1, &rest);
        }
    }

    #[test]
    fn random_lines_never_panic(line in any::<String>(), options in "[a-z,=\"\\\\ ]{0,40}") {
        prop_assert!(crate::auth::authorized_key::AuthorizedKey::parse(&line).is_err());
        let line = format!("{options} ssh-ed25519 AAAA");
        prop_assert!(crate::auth::authorized_key::AuthorizedKey::parse(&line).is_err());
    }
}
