//! Who may not come in, and what stands in the way: a sentence each for the user, the truth in the
//! audit, nothing for a stranger to learn.

use std::time::Duration;

use crate::support::{Finished, Lab, Supervisor, Way, lines_of, named, new_key, run_drawbridge, wait_for};

/// Only `web-1` and only as the lab's login; `vault-1` is forbidden, all else is not mentioned.
fn narrow_policy() -> String {
    format!(
        r#"
@id("web")
permit(principal in Group::"eng", action, resource)
when {{ resource has name && resource.name like "web-*" && context.login == "{login}" }};

@id("vault")
forbid(principal, action, resource)
when {{ resource has name && resource.name == "vault-1" }};
"#,
        login = Supervisor::get().login
    )
}

/// What the user reads, without the parts of it that name what they typed themselves.
fn words(done: &Finished, typed: &str) -> String {
    done.err().replace(typed, "TARGET")
}

#[test]
fn strangers_of_every_kind_read_the_same_words() {
    let prepared = Lab::with().instance("web-1").user("bob", &[]).prepare();
    let stranger_key = prepared.dir().join("key_stranger");
    new_key(&stranger_key);
    let lab = prepared.serve();
    for way in Way::BOTH {
        let wrong_key = lab.client(way, "web-1").key(stranger_key.clone());
        let unknown_user = lab.client(way, "web-1").user("mallory").key(stranger_key.clone());
        let said: Vec<String> = [wrong_key, unknown_user]
            .iter()
            .map(|client| words(&client.run("true").ended_with(255), "mallory").replace("alice", "mallory"))
            .map(|words| words.replace("mallory", "USER").replace("TARGET", "USER"))
            .collect();
        assert_eq!(said[0], said[1], "{way:?}");
        assert!(said[0].contains("Permission denied (publickey)"), "{way:?}: {}", said[0]);
    }
    let other_users_key = lab.client(Way::Jump, "web-1").user("bob").key(lab.key("alice"));
    let denied = other_users_key.run("true").ended_with(255);
    assert!(denied.err().contains("Permission denied (publickey)"), "{}", denied.err());
    let reasons: Vec<String> = named(&lab.audit(), "authentication-failed")
        .iter()
        .map(|event| event["reason"].to_string())
        .collect();
    assert!(reasons.contains(&"\"unknown-key\"".to_owned()), "{reasons:?}");
    assert!(reasons.contains(&"\"wrong-user\"".to_owned()), "{reasons:?}");
    assert!(lab.pushes().is_empty(), "a stranger made drawbridge call AWS");
}

#[test]
fn unknown_and_forbidden_read_the_same() {
    let lab = Lab::with().instance("web-1").instance("vault-1").policy(&narrow_policy()).start();
    for way in Way::BOTH {
        let forbidden = lab.client(way, "vault-1").run("true").ended_with(255);
        let unknown = lab.client(way, "no-such-1").run("true").ended_with(255);
        assert_eq!(words(&forbidden, "vault-1"), words(&unknown, "no-such-1"), "{way:?}");
        let forbidden = forbidden.with_a_sentence();
        assert!(forbidden.stdout.is_empty(), "{way:?}: {:?}", forbidden.out());
    }
    let refused = lab.audited("decision", |event| event["outcome"] == "refuse");
    assert_eq!(refused["target"]["name"], "vault-1");
    assert_eq!(refused["rules"], serde_json::json!(["vault"]));
    lab.audited("target-not-resolved", |event| event["typed"] == "no-such-1" && event["reason"] == "unknown");
    assert!(lab.pushes().is_empty(), "a key was pushed for a refused session");
    // One connection is the lab's own, which looks whether sshd is up.
    let connections = lab.instance("vault-1").log().matches("Connection from").count();
    assert!(connections <= 1, "the forbidden instance was connected to");
}

#[test]
fn a_login_that_policy_does_not_name_is_refused() {
    let lab = Lab::with().instance("web-1").policy(&narrow_policy()).start();
    for way in Way::BOTH {
        let done = lab.client(way, "web-1").login("root").run("id").ended_with(255);
        assert!(done.stdout.is_empty(), "{way:?}: {:?}", done.out());
    }
    let refused = lab.audited("decision", |event| event["login"] == "root");
    assert_eq!((&refused["outcome"], &refused["reason"]), (&"refuse".into(), &"no-rule-permits".into()));
}

#[test]
fn an_action_that_policy_does_not_permit_is_refused() {
    let policy = r#"@id("commands") permit(principal, action == Action::"exec", resource);"#;
    let lab = Lab::with().instance("web-1").policy(policy).start();
    for way in Way::BOTH {
        let client = lab.client(way, "web-1");
        client.run("true").ended_with(0);
        let shell = client.clone().input("echo got in\n").run_without_command();
        assert!(shell.code != Some(0) && shell.stdout.is_empty() && !shell.hung, "{way:?}: {shell:?}");
        let sftp = client.input("ls\n").tool("sftp", &["-b", "-", &lab.client(way, "web-1").host()]);
        assert!(sftp.code != Some(0) && !sftp.hung, "{way:?}: {sftp:?}");
    }
}

#[test]
fn a_stopped_instance_is_said_to_be_stopped() {
    let lab = Lab::with().instance("web-1").stopped("old-1").start();
    for way in Way::BOTH {
        let done = lab.client(way, "old-1").run("true").ended_with(255);
        assert!(done.err().contains("stopped"), "{way:?}: {:?}", done.err());
    }
}

#[test]
fn a_stopped_instance_that_is_not_for_you_is_not_said_to_be_stopped() {
    let lab = Lab::with().stopped("old-1").policy(&narrow_policy()).start();
    for way in Way::BOTH {
        let stopped = lab.client(way, "old-1").run("true").ended_with(255);
        let unknown = lab.client(way, "new-1").run("true").ended_with(255);
        assert_eq!(words(&stopped, "old-1"), words(&unknown, "new-1"), "{way:?}");
    }
}

#[test]
fn an_ambiguous_name_lists_the_candidates_you_may_reach() {
    let policy = r#"permit(principal, action, resource)
        when { resource.hasTag("team") && resource.getTag("team") == "web" };"#;
    let builder = Lab::with().policy(policy);
    let builder = builder.instance("first").tag("Name", "twin").tag("team", "web");
    let builder = builder.instance("second").tag("Name", "twin").tag("team", "web");
    let lab = builder.instance("third").tag("Name", "twin").tag("team", "other").start();
    for way in Way::BOTH {
        let said = lab.client(way, "twin").run("true").ended_with(255).err();
        for (name, listed) in [("first", true), ("second", true), ("third", false)] {
            assert_eq!(said.contains(&lab.instance(name).id), listed, "{way:?} {name}: {said}");
        }
    }
}

#[test]
fn an_instance_that_cannot_be_reached_gets_a_sentence_in_time() {
    let builder = Lab::with().closed("closed-1").silent("silent-1");
    let lab = builder.config("upstream", "handshake_timeout", "\"2s\"").start();
    for way in Way::BOTH {
        for target in ["closed-1", "silent-1"] {
            lab.client(way, target)
                .within(Duration::from_secs(20))
                .run("true")
                .ended_with(255)
                .with_a_sentence();
        }
    }
    let trail = lab.audit();
    assert!(named(&trail, "upstream-failed").len() >= 4, "{trail:#?}");
}

#[test]
fn a_changed_host_key_refuses_with_both_fingerprints() {
    let lab = Lab::with().instance("web-1").start();
    let client = lab.client(Way::Direct, "web-1");
    client.run("true").ended_with(0);
    let instance = lab.instance("web-1");
    let before = instance.host_fingerprint();
    instance.crash();
    instance.come_back_with_another_host_key();
    let after = instance.host_fingerprint();
    for way in Way::BOTH {
        let said = lab.client(way, "web-1").run("true").ended_with(255).err();
        assert!(said.contains(&before) && said.contains(&after), "{way:?}: {said}");
    }
    let failed = lab.audited("upstream-failed", |_| true);
    assert_eq!(
        (&failed["pinned_fingerprint"], &failed["host_key_fingerprint"]),
        (&before.as_str().into(), &after.as_str().into())
    );
    let config = lab.config_file().display().to_string();
    let forget = ["host-keys", "forget", &instance.id, "--config", &config];
    let forgot = run_drawbridge(&forget, &[]).ended_with(0).out();
    assert!(forgot.contains(&before), "{forgot}");
    for way in Way::BOTH {
        lab.client(way, "web-1").run("true").ended_with(0);
    }
    let listed = run_drawbridge(&["host-keys", "list", "--config", &config], &[]).ended_with(0).out();
    assert!(listed.contains(&after) && !listed.contains(&before), "{listed}");
}

#[test]
fn where_only_pinned_keys_are_believed_an_operator_pins_them() {
    let builder = Lab::with().instance("web-1").config("upstream", "host_keys", "[\"pins\"]");
    let lab = builder.start();
    let instance = lab.instance("web-1");
    let shown = instance.host_fingerprint();
    for way in Way::BOTH {
        let said = lab.client(way, "web-1").run("true").ended_with(255).err();
        assert!(said.contains(&shown), "{way:?}: {said}");
    }
    let config = lab.config_file().display().to_string();
    let (account, key) = (lab.account(), instance.host_key());
    let pin =
        ["host-keys", "pin", &instance.id, "--account", &account, "--region", "eu-west-1", "--key", &key];
    let pinned = run_drawbridge(&[&pin[..], &["--config", &config]].concat(), &[]).ended_with(0).out();
    assert!(pinned.contains(&shown), "{pinned}");
    for way in Way::BOTH {
        lab.client(way, "web-1").run("true").ended_with(0);
    }
}

#[test]
fn instance_connect_s_own_refusals_become_sentences() {
    let lab = Lab::with().instance("web-1").config("instance_connect", "deadline", "\"4s\"").start();
    for (fault, within) in [("deny", 20), ("throttle", 20), ("error", 20), ("garbage", 20), ("stall", 20)] {
        lab.fault("ec2-instance-connect", Some(fault));
        for way in Way::BOTH {
            let client = lab.client(way, "web-1").within(Duration::from_secs(within));
            let done = client.run("true").ended_with(255).with_a_sentence();
            assert!(!done.err().contains("a fault was switched on"), "AWS's words leak to the user");
        }
    }
    lab.fault("ec2-instance-connect", None);
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
    let trail = lab.audit();
    assert_eq!(named(&trail, "key-push-failed").len(), 10, "{trail:#?}");
}

#[test]
fn the_inventory_serves_from_its_last_good_copy() {
    let lab = Lab::with().instance("web-1").config("inventory", "refresh_interval", "\"1s\"").start();
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
    for fault in ["throttle", "error", "garbage", "deny", "stall"] {
        lab.fault("ec2", Some(fault));
        for way in Way::BOTH {
            lab.client(way, "web-1").within(Duration::from_secs(20)).run("true").ended_with(0);
            let unknown = lab.client(way, "no-such-1").within(Duration::from_secs(20)).run("true");
            assert!(!lines_of(&unknown.ended_with(255).err()).is_empty(), "{fault} {way:?}");
        }
    }
}

#[test]
fn a_target_called_dot_dot_slash_etc_is_no_target() {
    let lab = Lab::with().instance("web-1").start();
    lab.client(Way::Direct, "../../etc").run("true").ended_with(255).with_a_sentence();
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
}

/// Someone who is taken out of the users file while connected loses the connection, and opens nothing more.
#[test]
fn access_withdrawn_during_a_connection_opens_no_more_sessions() {
    for way in Way::BOTH {
        let lab = Lab::with().instance("web-1").start();
        let mut master = lab.client(way, "web-1").master();
        master.client.run("true").ended_with(0);
        std::fs::write(lab.dir().join("users.toml"), "[users.somebody-else]\ngroups = []\n")
            .expect("our own folder");
        lab.daemon.signal(rustix::process::Signal::HUP);
        lab.audited("reloaded", |event| event["what"] == "users");
        wait_for("the connection to end", Duration::from_secs(60), || master.process.ended().is_some());
        let refused = master.client.run("true").ended_with(255);
        assert!(!refused.err().is_empty(), "{way:?}");
    }
}

/// `ssh -N` asks for nothing that could be answered with a sentence, and would sit there for ever.
#[test]
fn who_only_forwards_reads_that_there_is_nowhere_to_go() {
    let lab = Lab::with().instance("web-1").instance("vault-1").policy(&narrow_policy()).start();
    for way in Way::BOTH {
        let client = lab.client(way, "vault-1").args(&["-N"]).within(Duration::from_secs(30));
        let done = client.run_without_command().failed().with_a_sentence();
        assert!(done.err().contains("there is no target \"vault-1\""), "{way:?}: {done:?}");
        let mut goes_on = lab.client(way, "web-1").args(&["-N"]).start(&[]);
        lab.client(way, "vault-1").args(&["-N"]).run_without_command().failed();
        assert_eq!(goes_on.ended(), None, "{way:?}: a connection that may be used was ended");
    }
}
