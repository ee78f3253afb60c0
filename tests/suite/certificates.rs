//! OpenSSH user certificates, as `ssh-keygen` makes them.

use std::path::{Path, PathBuf};

use crate::support::{
    Builder, Lab, Prepared, UserEntry, Way, certify, new_key, new_key_of, public_half, revocation_list,
};

/// A user who is known by the principal `carol@corp`, and a CA to vouch for her.
fn lab_with_a_ca() -> Builder {
    let carol = UserEntry {
        name: "carol".to_owned(),
        groups: vec!["eng".to_owned()],
        keys: Vec::new(),
        principals: vec!["carol@corp".to_owned()],
    };
    let builder = Lab::with().instance("web-1").user_entry(carol);
    builder.config("identity", "trusted_user_ca_keys", "[\"user_ca.pub\"]")
}

fn with_its_ca(builder: Builder) -> (Prepared, PathBuf) {
    let prepared = builder.prepare();
    let ca = prepared.dir().join("user_ca");
    new_key(&ca);
    (prepared, ca)
}

/// A key of that name with a certificate for `carol@corp`.
fn certified(dir: &Path, name: &str, ca: &Path, more: &[&str]) -> PathBuf {
    certified_for(dir, name, ca, "carol@corp", more)
}

fn certified_for(dir: &Path, name: &str, ca: &Path, principals: &str, more: &[&str]) -> PathBuf {
    let key = dir.join(name);
    new_key(&key);
    certify(ca, &key, &format!("id of {name}"), principals, more);
    key
}

/// Runs a command as carol with that key, by both ways.
#[track_caller]
fn lets_in(lab: &Lab, key: &Path) {
    for way in Way::BOTH {
        let done = lab.client(way, "web-1").user("carol").key(key.to_owned()).run("echo in").ended_with(0);
        assert_eq!(done.out(), "in\n", "{way:?} {key:?}");
    }
}

#[track_caller]
fn refuses(lab: &Lab, key: &Path, reason: &str) {
    denied(lab, key);
    lab.audited("authentication-failed", |event| event["reason"] == reason);
}

#[track_caller]
fn denied(lab: &Lab, key: &Path) {
    for way in Way::BOTH {
        let done = lab.client(way, "web-1").user("carol").key(key.to_owned()).run("echo in").ended_with(255);
        assert!(done.err().contains("Permission denied (publickey)"), "{way:?} {key:?}: {}", done.err());
    }
}

#[test]
fn a_certificate_of_a_trusted_ca_lets_in_and_is_audited() {
    let (prepared, ca) = with_its_ca(lab_with_a_ca());
    let key = certified(prepared.dir(), "laptop", &ca, &["-z", "4711", "-V", "-1m:+10m"]);
    let lab = prepared.serve();
    lets_in(&lab, &key);
    let event = lab.audited("authentication-succeeded", |event| event["method"] == "certificate");
    assert_eq!(event["user"], "carol");
    assert_eq!(event["certificate"]["key_id"], "id of laptop");
    assert_eq!(event["certificate"]["serial"], "4711");
}

#[test]
fn every_kind_of_key_can_be_certified() {
    let (prepared, ca) = with_its_ca(lab_with_a_ca());
    let kinds: [(&str, &[&str]); 4] = [
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("rsa2048", &["-t", "rsa", "-b", "2048"]),
        ("ed25519", &["-t", "ed25519"]),
    ];
    let keys: Vec<PathBuf> = kinds
        .iter()
        .map(|(name, kind)| {
            let key = prepared.dir().join(name);
            new_key_of(&key, kind);
            certify(&ca, &key, name, "carol@corp", &[]);
            key
        })
        .collect();
    let lab = prepared.serve();
    for key in keys {
        lab.client(Way::Direct, "web-1").user("carol").key(key).run("true").ended_with(0);
    }
}

#[test]
fn the_principal_must_be_a_user_s() {
    let (prepared, ca) = with_its_ca(lab_with_a_ca());
    let other = certified_for(prepared.dir(), "other", &ca, "dave@corp", &[]);
    let among = certified_for(prepared.dir(), "among", &ca, "staff,carol@corp", &[]);
    let lab = prepared.serve();
    refuses(&lab, &other, "principals");
    lets_in(&lab, &among);
}

#[test]
fn the_window_must_include_now() {
    let (prepared, ca) = with_its_ca(lab_with_a_ca());
    let expired = certified(prepared.dir(), "expired", &ca, &["-V", "-2h:-1h"]);
    let early = certified(prepared.dir(), "early", &ca, &["-V", "+1h:+2h"]);
    let lab = prepared.serve();
    refuses(&lab, &expired, "certificate-expired");
    refuses(&lab, &early, "certificate-not-yet-valid");
}

#[test]
fn source_address_is_enforced() {
    let (prepared, ca) = with_its_ca(lab_with_a_ca());
    let here = certified(prepared.dir(), "here", &ca, &["-O", "source-address=127.0.0.0/8,::1/128"]);
    let elsewhere = certified(prepared.dir(), "elsewhere", &ca, &["-O", "source-address=192.0.2.0/24"]);
    let lab = prepared.serve();
    lets_in(&lab, &here);
    refuses(&lab, &elsewhere, "source-address");
}

#[test]
fn a_critical_option_nobody_knows_refuses() {
    let (prepared, ca) = with_its_ca(lab_with_a_ca());
    let key = certified(prepared.dir(), "odd", &ca, &["-O", "critical:must-do@example.com=x"]);
    let lab = prepared.serve();
    refuses(&lab, &key, "critical-option");
}

#[test]
fn another_ca_is_not_trusted() {
    let (prepared, _) = with_its_ca(lab_with_a_ca());
    let other_ca = prepared.dir().join("other_ca");
    new_key(&other_ca);
    let key = certified(prepared.dir(), "foreign", &other_ca, &[]);
    let lab = prepared.serve();
    refuses(&lab, &key, "untrusted-ca");
}

#[test]
fn a_host_certificate_is_no_user_certificate() {
    let (prepared, ca) = with_its_ca(lab_with_a_ca());
    let key = certified(prepared.dir(), "host", &ca, &["-h"]);
    let lab = prepared.serve();
    // OpenSSH does not even offer it; the directory's own tests hold what happens when another client does.
    denied(&lab, &key);
}

#[test]
fn revocation_lists_of_both_kinds_refuse() {
    let builder = lab_with_a_ca().config("identity", "revoked_keys", "[\"revoked.krl\", \"revoked.txt\"]");
    let (prepared, ca) = with_its_ca(builder);
    let dir = prepared.dir().to_owned();
    let by_serial = certified(&dir, "by-serial", &ca, &["-z", "13"]);
    let by_key = certified(&dir, "by-key", &ca, &["-z", "14"]);
    let good = certified(&dir, "good", &ca, &["-z", "15"]);
    std::fs::write(dir.join("serials"), "serial: 13\n").expect("our own folder");
    let (krl, specification) = (dir.join("revoked.krl"), dir.join("serials"));
    revocation_list(&krl, &[Path::new("-s"), &public_half(&ca), &specification]);
    std::fs::copy(public_half(&by_key), dir.join("revoked.txt")).expect("our own folder");
    let lab = prepared.serve();
    lets_in(&lab, &good);
    refuses(&lab, &by_serial, "revoked");
    refuses(&lab, &by_key, "revoked");
}

#[test]
fn a_revocation_takes_effect_without_a_restart() {
    let builder = lab_with_a_ca().config("identity", "revoked_keys", "[\"revoked.txt\"]");
    let (prepared, ca) = with_its_ca(builder.file("revoked.txt", Vec::new()));
    let key = certified(prepared.dir(), "laptop", &ca, &[]);
    let lab = prepared.serve();
    lets_in(&lab, &key);
    std::fs::copy(public_half(&key), lab.dir().join("revoked.txt")).expect("our own folder");
    lab.daemon.signal(rustix::process::Signal::HUP);
    lab.audited("reloaded", |event| event["what"] == "revocation");
    refuses(&lab, &key, "revoked");
}
