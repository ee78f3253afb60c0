//! What is offered to whom: judged by `ssh-audit`, by clients with old settings, and by targets with old servers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Client, Lab, Prepared, Supervisor, UserEntry, Way, finish, named, new_key_of, noise, start,
};

/// `ssh-audit`'s remark on key exchanges that are not post-quantum. It makes it of X25519 too, without which
/// OpenSSH before 9.9, PuTTY before 0.83 and paramiko could not come in.
const NOT_POST_QUANTUM: &str = "does not provide protection against post-quantum attacks";

/// What `ssh-audit` has against the listener, as `level kind algorithm: note`, and its exit code.
fn audit(lab: &Lab) -> (Vec<String>, Option<i32>) {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/venv/bin/python");
    let port = lab.port().to_string();
    let mut command = Command::new(python);
    command.args(["-m", "ssh_audit", "--json", "--skip-rate-test", "--port", &port, "127.0.0.1"]);
    let done = finish(start(&mut command), Vec::new(), Duration::from_secs(60));
    assert!(!done.hung, "{done:?}");
    let report: Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|e| panic!("{e}; is ssh-audit installed? Run `tests/run setup`. {done:?}"));
    let mut findings = Vec::new();
    for kind in ["kex", "key", "enc", "mac"] {
        let algorithms = report[kind].as_array().expect("a list");
        assert!(!algorithms.is_empty(), "{report:#}");
        for algorithm in algorithms {
            for level in ["fail", "warn"] {
                for note in algorithm["notes"][level].as_array().into_iter().flatten() {
                    let (name, note) = (algorithm["algorithm"].as_str(), note.as_str());
                    findings.push(format!("{level} {kind} {}: {}", name.expect("text"), note.expect("text")));
                }
            }
        }
    }
    assert_eq!(report["cves"], json!([]), "{report:#}");
    for level in ["critical", "warning"] {
        let listed = report["recommendations"][level].as_object().map_or(0, |kinds| kinds.len());
        assert!(!findings.is_empty() || listed == 0, "{report:#}");
    }
    (findings, done.code)
}

#[test]
fn ssh_audit_has_nothing_against_the_listener_but_that_x25519_is_not_post_quantum() {
    let lab = Lab::with().start();
    let (findings, _) = audit(&lab);
    let expected = ["curve25519-sha256", "curve25519-sha256@libssh.org"]
        .map(|name| format!("warn kex {name}: {NOT_POST_QUANTUM}"));
    assert_eq!(findings, expected, "what ssh-audit found, and what it may find");
}

#[test]
fn ssh_audit_has_nothing_at_all_against_a_listener_that_requires_post_quantum() {
    let lab = Lab::with().instance("web-1").config("server", "post_quantum", "\"required\"").start();
    let (findings, code) = audit(&lab);
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!(code, Some(0));
    // OpenSSH 9.2 has no ML-KEM.
    refused(&lab, Way::Direct, &["KexAlgorithms curve25519-sha256"], "key exchange");
}

/// A client whose every hop has these settings, and that takes plain host keys.
fn old<'a>(lab: &'a Lab, way: Way, settings: &[&str]) -> Client<'a> {
    let client = lab.client(way, "web-1");
    let known_hosts = format!("UserKnownHostsFile {}", lab.dir().join("known_plain").display());
    let client = client.option("StrictHostKeyChecking no").option(&known_hosts);
    settings.iter().fold(client, |client, setting| client.option(setting))
}

/// The stock client says what it found no match for, and what we offer; the audit says what it offers.
#[track_caller]
fn refused(lab: &Lab, way: Way, settings: &[&str], kind: &str) {
    let before = named(&lab.audit(), "connection-ended").len();
    let done = old(lab, way, settings).option("LogLevel INFO").run("true").ended_with(255);
    let said = done.err();
    let its_word = if kind == "host key algorithm" { "host key type" } else { kind };
    let its_word = if kind == "key exchange" { "key exchange method" } else { its_word };
    assert!(said.contains(&format!("no matching {its_word} found. Their offer: ")), "{settings:?}: {said}");
    let mut ended = Value::Null;
    crate::support::wait_for("the end on record", Duration::from_secs(10), || {
        ended = named(&lab.audit(), "connection-ended").get(before).map_or(Value::Null, |event| json!(event));
        !ended.is_null()
    });
    let detail = ended["detail"].as_str().unwrap_or_default();
    assert_eq!(ended["ending"], "protocol-error", "{settings:?}: {ended}");
    assert!(detail.starts_with(&format!("no common {kind}: the peer offers ")), "{settings:?}: {ended}");
}

#[test]
fn clients_with_older_settings_come_in() {
    let login = &Supervisor::get().login;
    let folder = Supervisor::get().new_folder();
    let rsa = folder.path().join("rsa");
    let line = new_key_of(&rsa, &["-t", "rsa", "-b", "2048"]);
    let entry = UserEntry { name: "rita".to_owned(), groups: vec![], keys: vec![line], principals: vec![] };
    let lab = Lab::with().instance("web-1").user_entry(entry).start();
    let sets: [&[&str]; 6] = [
        &[
            "KexAlgorithms curve25519-sha256@libssh.org",
            "Ciphers aes256-ctr",
            "MACs hmac-sha2-256-etm@openssh.com",
            "HostKeyAlgorithms ssh-ed25519",
        ],
        &["KexAlgorithms curve25519-sha256", "Ciphers aes128-ctr", "MACs hmac-sha2-512-etm@openssh.com"],
        &["Ciphers chacha20-poly1305@openssh.com"],
        &["Ciphers aes256-gcm@openssh.com"],
        &["Ciphers 3des-cbc,aes128-cbc,aes128-ctr", "MACs hmac-md5,hmac-sha1,hmac-sha2-512-etm@openssh.com"],
        &["KexAlgorithms diffie-hellman-group14-sha1,curve25519-sha256", "RekeyLimit 64K"],
    ];
    for way in Way::BOTH {
        for settings in sets {
            let done = old(&lab, way, settings).input(noise(300_000, 5)).run("wc -c");
            assert_eq!(done.out().trim(), "300000", "{way:?} {settings:?}: {done:?}");
        }
        for signature in ["rsa-sha2-256", "rsa-sha2-512"] {
            let setting = format!("PubkeyAcceptedAlgorithms {signature}");
            let client = old(&lab, way, &[&setting]).user("rita").key(rsa.clone());
            let done = client.login(login).run("true");
            done.ended_with(0);
        }
    }
    let sha1 = old(&lab, Way::Direct, &["PubkeyAcceptedAlgorithms ssh-rsa"]).user("rita").key(rsa);
    let said = sha1.run("true").ended_with(255).err();
    assert!(said.contains("Permission denied (publickey)") || said.contains("no mutual signature"), "{said}");
}

#[test]
fn clients_that_have_nothing_sound_are_told_what_there_is() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        for (settings, kind) in [
            (&["KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1"][..], "key exchange"),
            (&["KexAlgorithms ecdh-sha2-nistp256"], "key exchange"),
            (&["Ciphers aes128-cbc,3des-cbc"], "cipher"),
            (&["Ciphers aes128-ctr", "MACs hmac-sha2-256,hmac-sha1"], "MAC"),
            (&["HostKeyAlgorithms rsa-sha2-512,ssh-rsa"], "host key algorithm"),
        ] {
            refused(&lab, way, settings, kind);
        }
    }
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
}

#[test]
fn what_a_site_adds_is_offered_and_said_at_the_start() {
    let all = r#"["ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "hmac-sha2-256", "hmac-sha2-512"]"#;
    let lab = Lab::with().instance("web-1").config("server", "additional_algorithms", all).start();
    assert!(lab.daemon.log().contains("server.additional_algorithms"), "{}", lab.daemon.log_tail());
    for way in Way::BOTH {
        for (kex, mac) in [("nistp256", "256"), ("nistp384", "512"), ("nistp521", "256")] {
            let (kex, mac) = (format!("KexAlgorithms ecdh-sha2-{kex}"), format!("MACs hmac-sha2-{mac}"));
            old(&lab, way, &[&kex, "Ciphers aes128-ctr", &mac]).run("true").ended_with(0);
        }
    }
    let (findings, _) = audit(&lab);
    assert!(findings.iter().any(|finding| finding.contains("ecdh-sha2-nistp256")), "{findings:#?}");
}

/// Lists these instances in a config that has been written.
fn list_as_legacy(prepared: &Prepared, names: &[&str]) {
    let ids: Vec<String> = names.iter().map(|name| format!("{:?}", prepared.instance(name).id)).collect();
    let text = std::fs::read_to_string(prepared.config_file()).expect("written");
    let line = format!("[upstream]\nlegacy_targets = [{}]\n", ids.join(", "));
    let text = text.replacen("[upstream]\n", &line, 1);
    assert!(text.contains("legacy_targets"), "{text}");
    std::fs::write(prepared.config_file(), text).expect("our own folder");
}

#[test]
fn targets_with_very_old_servers_are_reached_where_the_operator_lists_them() {
    let folder = Supervisor::get().new_folder();
    let rsa = folder.path().join("rsa");
    new_key_of(&rsa, &["-t", "rsa", "-b", "2048"]);
    let rsa_only = [format!("HostKey {}", rsa.display()), "HostKeyAlgorithms ssh-rsa".to_owned()];
    let builder = Lab::with().config("upstream", "connect_timeout", "\"10s\"");
    let builder = builder.instance("group14").sshd("KexAlgorithms diffie-hellman-group14-sha256");
    let builder = builder.instance("old-key").sshd(&rsa_only[0]).sshd(&rsa_only[1]);
    let builder =
        builder.instance("old-mac").sshd("Ciphers aes128-ctr").sshd("MACs hmac-sha1-etm@openssh.com");
    let ancient = |builder: crate::support::Builder, name: &str| {
        let builder = builder.instance(name).sshd(&rsa_only[0]).sshd(&rsa_only[1]);
        let builder = builder.sshd("KexAlgorithms diffie-hellman-group14-sha1").sshd("RekeyLimit 256K");
        builder.sshd("Ciphers aes256-ctr").sshd("MACs hmac-sha1")
    };
    let builder = ancient(ancient(builder, "ancient"), "not-listed").instance("modern");
    let prepared = builder.prepare();
    let listed = ["group14", "old-key", "old-mac", "ancient"];
    list_as_legacy(&prepared, &[&listed[..], &["modern"]].concat());
    let lab = prepared.serve();
    for way in Way::BOTH {
        for name in listed {
            let client = lab.client(way, name).input(noise(1_000_000, 7));
            assert_eq!(client.run("wc -c; exit 3").ended_with(3).out().trim(), "1000000", "{way:?} {name}");
        }
        lab.client(way, "modern").run("true").ended_with(0);
        let said = lab.client(way, "not-listed").run("true").ended_with(255).with_a_sentence().err();
        assert!(said.contains("upstream.legacy_targets"), "{way:?}: {said}");
        assert!(said.contains(&lab.instance("not-listed").id), "{way:?}: {said}");
    }
    let connected = |name: &str| {
        let address = format!("{}:{}", lab.instance(name).ip, lab.instance(name).port);
        lab.audited("upstream-connected", |event| event["target_address"] == address.as_str())["algorithms"]
            .clone()
    };
    let agreed = connected("ancient");
    for (what, name) in [
        ("kex", "diffie-hellman-group14-sha1"),
        ("host_key", "ssh-rsa"),
        ("cipher_client_to_server", "aes256-ctr"),
        ("mac_client_to_server", "hmac-sha1"),
    ] {
        assert_eq!(agreed[what], name, "{agreed}");
    }
    for name in listed {
        assert_eq!(connected(name)["legacy"], true, "{name}: {}", connected(name));
    }
    assert_eq!(
        connected("modern")["legacy"],
        Value::Null,
        "the best that both have: {}",
        connected("modern")
    );
    let failed = lab.audited("upstream-failed", |event| event["reason"] == "no-common-algorithm");
    assert!(failed["detail"].to_string().contains("diffie-hellman-group14-sha1"), "{failed}");
    let log = lab.daemon.log();
    for name in listed {
        let id = &lab.instance(name).id;
        let warned =
            |line: &str| line.contains("WARN") && line.contains("legacy_targets") && line.contains(id);
        assert!(log.lines().any(warned), "{name} is not warned of: {}", lab.daemon.log_tail());
    }
}

#[test]
fn what_cannot_be_offered_is_a_mistake_in_the_config() {
    let prepared = Lab::with()
        .config("server", "additional_algorithms", r#"["hmac-sha1", "hmac-sha2-256", "hmac-sha2-256"]"#)
        .config("upstream", "legacy_targets", r#"["web-1"]"#)
        .prepare();
    let config = prepared.config_file().display().to_string();
    let done = crate::support::run_drawbridge(&["check", "--config", &config], &[]).ended_with(1);
    let said = format!("{}{}", done.out(), done.err());
    for wanted in [
        "\"hmac-sha1\" is not an algorithm",
        "ecdh-sha2-nistp256",
        "listed twice",
        "\"web-1\" is not an instance id",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}
