//! Who vouches for the host key of a machine that was never seen: its console, its tag, a host certificate.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Builder, Finished, Instance, Lab, Prepared, Way, certify, fingerprint, new_key, new_key_of, public_half,
    wait_for,
};

const NAMES_OF_ITSELF: [&str; 2] = ["-n", "web-1"];

/// What cloud-init writes on the console of an instance with that host key.
fn console_of(host_key: &str) -> String {
    format!(
        "[    0.000000] Linux version 6.1.0\r\n[   12.345678] cloud-init[800]: Cloud-init v. 24.1 running\r\n\
         -----BEGIN SSH HOST KEY KEYS-----\r\n{host_key}\r\n-----END SSH HOST KEY KEYS-----\r\n\
         [   13.000000] random: crng init done\r\nAmazon Linux 2023\r\n"
    )
}

fn web_1() -> Builder {
    Lab::with().instance("web-1")
}

/// A lab in which the console of `web-1` was asked for, and said nothing: no connection has been made.
fn after_a_silent_console(builder: Builder) -> Lab {
    let lab = builder.start();
    let instance = lab.instance("web-1");
    wait_for("both copies of the console to be asked for", Duration::from_secs(20), || {
        instance.reads_of_console() >= 2
    });
    lab
}

#[track_caller]
fn connected(lab: &Lab) -> Value {
    lab.client(Way::Jump, "web-1").run("true").ended_with(0);
    lab.audited("upstream-connected", |_| true)
}

#[track_caller]
fn refused(lab: &Lab) -> Finished {
    for way in Way::BOTH {
        lab.client(way, "web-1").run("true").ended_with(255).with_a_sentence();
    }
    lab.client(Way::Jump, "web-1").run("true").ended_with(255)
}

fn pins(lab: &Lab) -> String {
    lab.ask(&["host-keys", "list"]).ended_with(0).out()
}

#[test]
fn a_machine_that_was_never_seen_is_verified_through_its_console() {
    let lab = after_a_silent_console(web_1().config("upstream", "host_keys", "[\"pins\", \"console\"]"));
    let instance = lab.instance("web-1");
    let said = refused(&lab).err();
    assert!(said.contains("nothing vouches for it"), "{said}");
    let failed = lab.audited("upstream-failed", |_| true);
    assert_eq!(failed["reason"], "host-key-unknown");
    instance.writes_on_its_console(&console_of(&instance.host_key()));
    let event = connected(&lab);
    assert_eq!(event["vouched_by"], "console", "{event}");
    assert!(pins(&lab).contains("console"), "{}", pins(&lab));
    let reads = instance.reads_of_console();
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
    let again = lab.audited("upstream-connected", |event| event["vouched_by"] == "pinned");
    assert_eq!(again["pin_vouched_by"], "console", "{again}");
    assert_eq!(instance.reads_of_console(), reads, "a pinned target costs no call");
}

#[test]
fn a_machine_that_is_not_the_one_of_its_console_is_refused() {
    // Although a first key would be believed where nobody knew better.
    let lab = after_a_silent_console(web_1());
    let instance = lab.instance("web-1");
    let another = new_key(&lab.dir().join("another"));
    instance.writes_on_its_console(&console_of(&another));
    let (known, shown) = (fingerprint(&another), instance.host_fingerprint());
    let said = refused(&lab).err();
    assert!(said.contains(&known) && said.contains(&shown) && said.contains("console"), "{said}");
    let failed = lab.audited("upstream-failed", |_| true);
    assert_eq!(failed["reason"], "host-key-changed");
    assert_eq!(
        (&failed["pinned_fingerprint"], &failed["host_key_fingerprint"]),
        (&known.as_str().into(), &shown.as_str().into())
    );
    let contradicting = format!("{}{}", console_of(&instance.host_key()), console_of(&another));
    instance.writes_on_its_console(&contradicting);
    let said = refused(&lab).err();
    assert!(said.contains("two different keys"), "{said}");
    assert!(pins(&lab).contains("No host key is pinned"), "{}", pins(&lab));
}

#[test]
fn the_keys_of_new_instances_are_pinned_as_they_are_discovered() {
    let prepared = web_1().prepare();
    let instance = prepared.instance("web-1");
    instance.writes_on_its_console(&console_of(&instance.host_key()));
    let fingerprint = instance.host_fingerprint();
    let lab = prepared.serve();
    wait_for("the key to be pinned", Duration::from_secs(20), || pins(&lab).contains(&fingerprint));
    let event = lab.audited("host-key-pinned", |event| event["target"]["name"] == "web-1");
    assert_eq!(
        (event["host_key_fingerprint"].as_str(), &event["vouched_by"]),
        (Some(fingerprint.as_str()), &"console".into())
    );
    let event = connected(&lab);
    assert_eq!((&event["vouched_by"], &event["pin_vouched_by"]), (&"pinned".into(), &"console".into()));
    let session = event["session"].as_str().expect("a session").to_owned();
    wait_for("the story to be told", Duration::from_secs(10), || {
        let told = lab.ask(&["sessions", "show", &session]);
        told.code == Some(0) && told.out().contains("as its console output named it")
    });
    // Another key after that: what changed since is said.
    let instance = lab.instance("web-1");
    instance.crash();
    instance.come_back_with_another_host_key();
    let said = refused(&lab).err();
    assert!(said.contains("pinned as the console output said on"), "{said}");
    assert!(said.contains("was not started again since and has the same image"), "{said}");
}

/// drawbridge likes Ed25519 keys best, and the console of this machine does not know its Ed25519 key.
#[test]
fn a_machine_is_asked_for_the_kind_of_key_that_its_console_knows() {
    let lab = after_a_silent_console(web_1());
    let instance = lab.instance("web-1");
    let key = lab.dir().join("ecdsa");
    let public = new_key_of(&key, &["-t", "ecdsa"]);
    instance.crash();
    instance.come_back_with(&format!("HostKey {}", key.display()));
    instance.writes_on_its_console(&console_of(&public));
    let event = connected(&lab);
    assert_eq!(
        (&event["vouched_by"], event["host_key_fingerprint"].as_str()),
        (&"console".into(), Some(fingerprint(&public).as_str()))
    );
    assert_eq!(event["algorithms"]["host_key"], "ecdsa-sha2-nistp256");

    // Without that key it has none that anybody knows.
    lab.ask(&["host-keys", "forget", &instance.id]).ended_with(0);
    instance.crash();
    instance.come_back_with_another_host_key();
    let said = refused(&lab).err();
    assert!(said.contains(&fingerprint(&public)) && said.contains(&instance.host_fingerprint()), "{said}");
}

fn with_a_tag(value: impl FnOnce(&Prepared) -> String) -> Lab {
    let prepared = web_1().prepare();
    let value = value(&prepared);
    prepared.tag(prepared.instance("web-1"), "drawbridge:host-key", &value);
    prepared.serve()
}

#[test]
fn a_tag_vouches_for_the_key_that_it_names_and_refuses_every_other() {
    let lab = with_a_tag(|prepared| prepared.instance("web-1").host_fingerprint());
    assert_eq!(connected(&lab)["vouched_by"], "tag");
    assert_eq!(lab.instance("web-1").reads_of_console(), 0, "the tag stands before the console");

    let other = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    let lab = with_a_tag(|_| other.to_owned());
    let said = refused(&lab).err();
    assert!(said.contains(other) && said.contains(&lab.instance("web-1").host_fingerprint()), "{said}");
    assert_eq!(lab.audited("upstream-failed", |_| true)["reason"], "host-key-changed");

    let whole = |prepared: &Prepared| {
        let line = prepared.instance("web-1").host_key();
        line.rsplit_once(' ').expect("a comment").0.to_owned()
    };
    assert_eq!(connected(&with_a_tag(whole))["vouched_by"], "tag");
    let mislabelled = with_a_tag(|prepared| whole(prepared).replace("ssh-ed25519", "ssh-rsa"));
    let said = refused(&mislabelled).err();
    assert!(said.contains("says ssh-rsa and holds a key of the kind ssh-ed25519"), "{said}");
    assert_eq!(mislabelled.audited("upstream-failed", |_| true)["reason"], "host-key-unknown");
}

/// A lab that trusts the CA `host_ca`, whose `web-1` comes back with a certificate made with these options.
fn certified(chain: &str, options: &[&str]) -> Lab {
    let builder = web_1().config("upstream", "host_cas", "[\"host_ca.pub\"]");
    let prepared = builder.config("upstream", "host_keys", chain).prepare();
    let ca = prepared.dir().join("host_ca");
    new_key(&ca);
    let lab = prepared.serve();
    come_back(lab.instance("web-1"), &lab, options);
    lab
}

fn come_back(instance: &Instance, lab: &Lab, options: &[&str]) {
    instance.crash();
    instance.come_back_certified(&lab.dir().join("host_ca"), options);
}

#[test]
fn a_host_certificate_vouches_for_a_key_and_for_the_one_after_it() {
    let lab = certified("[\"ca\", \"pins\"]", &NAMES_OF_ITSELF);
    let instance = lab.instance("web-1");
    let event = connected(&lab);
    assert_eq!(event["vouched_by"], "ca", "{event}");
    assert_eq!(event["algorithms"]["host_key"], "ssh-ed25519-cert-v01@openssh.com");
    assert_eq!(event["host_key_fingerprint"], instance.host_fingerprint());
    assert!(event.get("replaced_fingerprint").is_none(), "{event}");

    let before = instance.host_fingerprint();
    come_back(instance, &lab, &["-n", &format!("other,{}", instance.ip)]);
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
    let event = lab.audited("upstream-connected", |event| event.get("replaced_fingerprint").is_some());
    assert_eq!(event["replaced_fingerprint"], before);
    assert!(pins(&lab).contains(&instance.host_fingerprint()), "{}", pins(&lab));

    // The certificate of another machine vouches for nothing, and the pin still binds.
    come_back(instance, &lab, &["-n", "web-2"]);
    let said = refused(&lab).err();
    assert!(said.contains("has changed"), "{said}");
}

#[test]
fn certificates_that_do_not_hold_are_no_vouchers_and_rule_first_use_out() {
    let everybody = "[\"ca\", \"pins\", \"tofu\"]";
    let lab = certified(everybody, &["-n", "web-2"]);
    for options in [&["-n", "web-2"][..], &["-V", "20200101:20200102", "-n", "web-1"], &[]] {
        come_back(lab.instance("web-1"), &lab, options);
        let said = refused(&lab).err();
        assert!(said.contains("nothing vouches for it"), "{options:?}: {said}");
    }
    let details: Vec<Value> =
        lab.audit().into_iter().filter(|event| event["event"] == "upstream-failed").collect();
    let told =
        |text: &str| details.iter().any(|event| event["detail"].as_str().is_some_and(|d| d.contains(text)));
    assert!(
        told("is for another machine") && told("has expired") && told("names no machine"),
        "{details:#?}"
    );
    // A certificate of somebody else's is as good as none.
    new_key(&lab.dir().join("stranger"));
    lab.instance("web-1").crash();
    lab.instance("web-1").come_back_certified(&lab.dir().join("stranger"), &NAMES_OF_ITSELF);
    assert_eq!(connected(&lab)["vouched_by"], "tofu-first-use");
}

/// RSA certificates go by names of their own, by the hash of the signature (rsa-sha2-512).
#[test]
fn certificates_of_ecdsa_and_rsa_keys_vouch_too() {
    let lab = certified("[\"ca\", \"pins\"]", &NAMES_OF_ITSELF);
    let instance = lab.instance("web-1");
    for (kind, algorithm) in [
        (&["-t", "ecdsa"][..], "ecdsa-sha2-nistp256-cert-v01@openssh.com"),
        (&["-t", "ecdsa", "-b", "521"], "ecdsa-sha2-nistp521-cert-v01@openssh.com"),
        (&["-t", "rsa", "-b", "2048"], "rsa-sha2-512-cert-v01@openssh.com"),
    ] {
        let key = lab.dir().join(algorithm);
        let public = new_key_of(&key, kind);
        certify(&lab.dir().join("host_ca"), &key, "web-1", "web-1", &["-h"]);
        instance.crash();
        instance.come_back_with(&format!("HostKey {0}\nHostCertificate {0}-cert.pub", key.display()));
        lab.client(Way::Jump, "web-1").run("true").ended_with(0);
        let shown = fingerprint(&public);
        let event =
            lab.audited("upstream-connected", |event| event["host_key_fingerprint"] == shown.as_str());
        assert_eq!(
            (&event["vouched_by"], &event["algorithms"]["host_key"]),
            (&"ca".into(), &algorithm.into())
        );
    }
}

#[test]
fn a_new_host_ca_is_believed_without_a_restart_and_a_broken_file_changes_nothing() {
    let lab = certified("[\"ca\", \"pins\"]", &NAMES_OF_ITSELF);
    let (ca, file) = (lab.dir().join("another_ca"), lab.dir().join("host_ca.pub"));
    new_key(&ca);
    lab.instance("web-1").crash();
    lab.instance("web-1").come_back_certified(&ca, &NAMES_OF_ITSELF);
    assert!(refused(&lab).err().contains("nothing vouches for it"));
    std::fs::copy(public_half(&ca), &file).expect("our own folder");
    lab.audited("reloaded", |event| event["what"] == "host-cas");
    assert_eq!(connected(&lab)["vouched_by"], "ca");
    std::fs::write(&file, "no key\n").expect("our own folder");
    lab.audited("reload-refused", |event| event["what"] == "host-cas");
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
}
