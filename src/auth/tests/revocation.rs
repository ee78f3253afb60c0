//! KRLs made by `ssh-keygen -k`, and plain lists.

use super::*;
use crate::domain::Fingerprint;

struct Revoked {
    house: House,
    ca: KeyFiles,
    key: KeyFiles,
}

impl Revoked {
    /// Alice has a key and may have certificates.
    fn new() -> Self {
        let mut house = House::new();
        let (ca, key) = (house.shop.ed25519("ca"), house.shop.ed25519("key"));
        house.trust(&ca);
        house.alice_has(&key.line);
        Self { house, ca, key }
    }

    fn krl(&mut self, spec: &str) -> Directory {
        self.house.shop.write("spec", spec);
        self.house.shop.ssh_keygen(&["-q", "-k", "-f", "krl", "-s", "ca.pub", "spec"]);
        self.house.sources.revoked_keys = vec![self.house.shop.path("krl")];
        self.house.directory()
    }

    fn certificate(&self, serial: &str, key_id: &str) -> Vec<u8> {
        self.house.shop.certify(&self.ca, &self.key, &["-I", key_id, "-z", serial, "-n", "alice"])
    }

    fn serials_refused(&self, directory: &Directory, serials: &[&str]) -> Vec<String> {
        let refused = |serial: &&&str| {
            let blob = self.certificate(serial, "someone");
            match Try::default().with(directory, &blob) {
                Ok(_) => false,
                Err(failure) => {
                    assert_eq!(failure, AuthFailure::Revoked);
                    true
                }
            }
        };
        serials.iter().filter(refused).map(|serial| (*serial).to_owned()).collect()
    }
}

#[test]
fn a_krl_revokes_keys_by_blob_and_by_either_fingerprint() {
    let mut revoked = Revoked::new();
    assert_eq!(Try::default().enters(&revoked.house.directory(), &revoked.key.blob), "alice");
    for how in ["key", "sha1", "sha256"] {
        let directory = revoked.krl(&format!("{how}: {}\n", revoked.key.line));
        assert_eq!(Try::default().refused(&directory, &revoked.key.blob), AuthFailure::Revoked, "{how}");
        let certificate = revoked.certificate("1", "id");
        assert_eq!(
            Try::default().refused(&directory, &certificate),
            AuthFailure::Revoked,
            "{how}, certified"
        );
    }
    let other = revoked.house.shop.ed25519("other");
    let directory = revoked.krl(&format!("key: {}\n", other.line));
    assert_eq!(Try::default().enters(&directory, &revoked.key.blob), "alice");
}

#[test]
fn a_krl_revokes_certificates_by_serial_in_every_encoding() {
    let mut revoked = Revoked::new();
    // ssh-keygen packs near serials into bitmaps, far ones into lists, long runs into ranges.
    let spec = "serial: 1\nserial: 5-9\nserial: 100-1000000\nserial: 2000000\nserial: 2000002\nserial: 2000017\n\
                serial: 9000000000\nserial: 18446744073709551615\n";
    let directory = revoked.krl(spec);
    let serials = [
        "0",
        "1",
        "2",
        "4",
        "5",
        "9",
        "10",
        "99",
        "100",
        "1000000",
        "1000001",
        "2000000",
        "2000001",
        "2000002",
        "2000016",
        "2000017",
        "2000018",
        "9000000000",
        "9000000001",
        "18446744073709551615",
    ];
    assert_eq!(
        revoked.serials_refused(&directory, &serials),
        [
            "1",
            "5",
            "9",
            "100",
            "1000000",
            "2000000",
            "2000002",
            "2000017",
            "9000000000",
            "18446744073709551615"
        ]
    );
    assert_eq!(Try::default().enters(&directory, &revoked.key.blob), "alice", "the key is not revoked");
}

#[test]
fn a_krl_is_about_its_own_ca() {
    let mut revoked = Revoked::new();
    let other = revoked.house.shop.ed25519("other-ca");
    revoked.house.trust(&other);
    let directory = revoked.krl("serial: 7\nid: lost laptop\n");
    let blob =
        revoked.house.shop.certify(&other, &revoked.key, &["-I", "lost laptop", "-z", "7", "-n", "alice"]);
    assert_eq!(Try::default().enters(&directory, &blob), "alice");
    let ours = revoked.ca.clone();
    revoked.house.trust(&ours);
    let directory = revoked.house.directory();
    assert_eq!(
        Try::default().refused(&directory, &revoked.certificate("8", "lost laptop")),
        AuthFailure::Revoked
    );
    assert_eq!(Try::default().enters(&directory, &revoked.certificate("8", "new laptop")), "alice");
}

#[test]
fn a_revoked_ca_revokes_its_certificates() {
    let mut revoked = Revoked::new();
    let spec = format!("key: {}\n", revoked.ca.line);
    let directory = revoked.krl(&spec);
    assert_eq!(Try::default().refused(&directory, &revoked.certificate("1", "id")), AuthFailure::Revoked);
    let line = revoked.ca.line.clone();
    revoked.house.revoke(line);
    assert_eq!(
        Try::default().refused(&revoked.house.directory(), &revoked.certificate("1", "id")),
        AuthFailure::Revoked
    );
}

#[test]
fn a_plain_list_revokes_by_key_fingerprint_serial_and_id() {
    let mut revoked = Revoked::new();
    let fingerprint = Fingerprint::of_blob(&revoked.key.blob);
    for entry in [revoked.key.line.clone(), fingerprint.to_string(), format!("hash: {fingerprint}")] {
        revoked.house.revoke(format!("# lost\n\n{entry}\n"));
        let directory = revoked.house.directory();
        assert_eq!(Try::default().refused(&directory, &revoked.key.blob), AuthFailure::Revoked, "{entry}");
    }
    revoked.house.revoke("serial: 7\nserial: 10-12\nid: lost laptop\n");
    let directory = revoked.house.directory();
    assert_eq!(
        revoked.serials_refused(&directory, &["0", "6", "7", "8", "10", "12", "13"]),
        ["7", "10", "12"]
    );
    assert_eq!(
        Try::default().refused(&directory, &revoked.certificate("1", "lost laptop")),
        AuthFailure::Revoked
    );
}

#[test]
fn a_weak_key_can_be_revoked() {
    let mut house = House::new();
    let weak = house.shop.key("weak", "rsa", "1024");
    house.revoke(weak.line);
    assert!(house.load().is_ok());
}

#[test]
fn a_list_that_cannot_be_honoured_is_refused() {
    let mut house = House::new();
    let cut = house.shop.ed25519("k").line.chars().take(60).collect::<String>();
    house.revoke(format!(
        "SHA256:abc\n{cut}\nserial: 0\nserial: 9-3\nserial: x\nwhat\nssh-ed25519-cert-v01@openssh.com AAAA\n"
    ));
    let problems = house.load().expect_err("problems");
    assert_eq!(problems.iter().filter_map(|p| p.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    house.revoke([0xff, 0xfe]);
    assert!(house.problems().contains("neither a KRL nor a text list"));
    house.sources.revoked_keys = vec![house.shop.path("missing")];
    assert!(house.problems().contains("the revocation list cannot be read"));
}

#[test]
fn a_krl_that_says_something_unknown_is_refused() {
    let mut house = House::new();
    let with_section = |section: u8, data: &[u8]| {
        let mut krl = b"SSHKRL\n\0".to_vec();
        krl.extend_from_slice(&1_u32.to_be_bytes());
        krl.extend_from_slice(&[0; 24 + 8]);
        krl.push(section);
        krl.extend_from_slice(&u32::try_from(data.len()).expect("short").to_be_bytes());
        krl.extend_from_slice(data);
        krl
    };
    let extension = |critical: u8| [&[0, 0, 0, 1, b'x', critical][..], &[0; 4]].concat();
    house.revoke(with_section(255, &extension(0)));
    assert!(house.load().is_ok(), "an extension that says it may be ignored");
    house.revoke(with_section(255, &extension(1)));
    assert!(house.problems().contains("critical extension \"x\""));
    house.revoke(with_section(9, b""));
    assert!(house.problems().contains("unknown type 9"));
    house.revoke(with_section(4, b""));
    assert!(house.problems().contains("signed"));
    house.revoke(with_section(3, &[0, 0, 0, 2, 1, 2]));
    assert!(house.problems().contains("wrong length"));
    house.revoke(&with_section(9, b"")[..20]);
    assert!(house.problems().contains("damaged"));
}
