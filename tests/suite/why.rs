//! Why a session did not come about: real servers that are ill in every way, the sentence that a stock client shows, and
//! the class on record.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Builder, Finished, Lab, Network, Supervisor, Way, named, wait_for};

/// Generous: the machine may be busy.
const SOON: Duration = Duration::from_secs(60);

/// Sessions and nothing else: nobody may ask why.
const SESSIONS: &str =
    r#"permit(principal, action in [Action::"shell", Action::"exec", Action::"sftp"], resource);"#;

fn prompt(builder: Builder) -> Lab {
    let builder = builder.config("upstream", "connect_timeout", "\"4s\"");
    builder.config("upstream", "handshake_timeout", "\"4s\"").start()
}

/// One who may not ask reads one sentence, by both ways, and nothing of AWS or of asking.
#[track_caller]
fn fails(lab: &Lab, target: &str, sentence: &str, class: &str) {
    for way in Way::BOTH {
        let done = lab.client(way, target).within(SOON).run("true").ended_with(255).with_a_sentence();
        let said = done.err();
        let told: Vec<&str> = said.lines().filter(|line| line.starts_with("drawbridge: ")).collect();
        assert!(told.len() == 1 && told[0].contains(sentence), "{way:?} {target}: {said}");
        assert!(!said.contains("doctor") && !said.contains("cause"), "{way:?} {target}: {said}");
    }
    let port = lab.instance(target).port;
    let address = format!("{}:{port}", lab.instance(target).ip);
    lab.audited("upstream-failed", |event| {
        event["class"] == class && event["target_address"] == address.as_str()
    });
}

#[test]
fn what_answers_wrongly_or_not_at_all_is_told_apart() {
    let http = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let builder = Lab::with().policy(SESSIONS).closed("closed-1").silent("silent-1").dropping("lost-1");
    let builder = builder.says("hasty-1", "").says("web-1", http);
    let builder = builder.says("full-1", "Exceeded MaxStartups\r\n").says("half-1", "SSH-2.0-x\r\n");
    let lab = prompt(builder);
    fails(&lab, "closed-1", "nothing answers on its port", "connection-refused");
    fails(&lab, "lost-1", "did not answer on port", "connect-timeout");
    fails(&lab, "silent-1", "and then says nothing", "no-banner");
    fails(&lab, "hasty-1", "closes them without a word", "no-banner");
    fails(&lab, "web-1", "does not speak SSH", "not-ssh");
    fails(&lab, "full-1", "is turning drawbridge away", "handshake-failed");
    fails(&lab, "half-1", "broke off the SSH connection", "handshake-failed");
    let said =
        |class: &str| lab.audited("upstream-failed", |event| event["class"] == class)["detail"].clone();
    assert!(said("not-ssh").as_str().expect("text").contains("HTTP/1.1 400 Bad Request"));
    assert!(named(&lab.audit(), "diagnosed").is_empty(), "nobody may ask");
    let reason = |reason: &str| lab.audited("upstream-failed", |event| event["reason"] == reason);
    assert_eq!(reason("silent")["class"], reason("no-banner")["class"]);
}

#[test]
fn a_login_that_fails_after_the_push_is_told_apart_by_how() {
    let builder = Lab::with().policy(SESSIONS);
    let builder = builder.instance("bare-1").sshd("AuthorizedKeysCommand none");
    let builder =
        builder.instance("gone-1").sshd("AuthorizedKeysCommand /nonexistent/eic_run_authorized_keys %u %f");
    let builder = builder.instance("deaf-1").sshd("AuthorizedKeysCommand /bin/true %u %f");
    let builder = builder.instance("slow-1").sshd("AuthorizedKeysCommand /bin/sleep 300");
    let builder = builder.instance("early-1").clock_ahead(120);
    let builder = builder.instance("strict-1").sshd("MaxAuthTries 1\nAuthorizedKeysCommand none");
    let lab = prompt(builder);
    // No agent, an agent whose file is gone, another command in its place, a clock by which every key has expired.
    for target in ["bare-1", "gone-1", "deaf-1", "early-1"] {
        fails(&lab, target, "although the key was pushed", "login-rejected");
    }
    fails(&lab, "slow-1", "has not answered the login of", "login-timeout");
    fails(&lab, "strict-1", "although the key was pushed", "login-rejected");
    assert_eq!(lab.pushes().len(), 12, "each of them was pushed");
}

/// One connection at a time, and the place is taken by somebody who never logs in.
#[test]
fn an_sshd_that_has_no_place_left_says_so() {
    let busy = "MaxStartups 1:100:1\nLoginGraceTime 120";
    let lab = prompt(Lab::with().policy(SESSIONS).instance("busy-1").sshd(busy));
    let instance = lab.instance("busy-1");
    let mut held = None;
    // The lab's own look whether sshd is up may still have the place.
    wait_for("the only place", SOON, || {
        let mut stream = TcpStream::connect((instance.ip.as_str(), instance.port)).expect("sshd listens");
        let mut greeting = [0; 4];
        let greeted = stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-";
        held = greeted.then_some(stream);
        greeted
    });
    fails(&lab, "busy-1", "is turning drawbridge away", "handshake-failed");
    lab.audited("upstream-failed", |event| event["reason"] == "turned-away");
}

#[test]
fn where_no_way_leads_is_said_not_to_be_reachable() {
    let Some(network) = Network::new() else { return };
    let nobody =
        network.theirs[0].rsplit_once('.').map(|(block, _)| format!("{block}.99")).expect("an address");
    let lab = Lab::with().policy(SESSIONS).closed("nowhere-1").at(&nobody).start();
    fails(&lab, "nowhere-1", "(\"no route to host\"); check the firewall on nowhere-1", "unreachable");
}

#[test]
fn a_stopped_instance_has_its_sentence_and_its_class_and_aws_is_not_asked() {
    let lab = Lab::with().stopped("old-1").start();
    for way in Way::BOTH {
        let said = lab.client(way, "old-1").run("true").ended_with(255).err();
        assert!(said.contains("old-1 is stopped; start it and try again."), "{way:?}: {said}");
        assert!(!said.contains("doctor"), "{way:?}: {said}");
    }
    let event = lab.audited("target-not-resolved", |event| event["typed"] == "old-1");
    assert_eq!((&event["class"], &event["reason"]), (&"instance-not-running".into(), &"unavailable".into()));
    assert!(named(&lab.audit(), "diagnosed").is_empty());
}

fn stderr(done: Finished) -> String {
    done.ended_with(255).err()
}

/// Whoever may ask is told how to see the rest, the name of the bastion included, and it is on record.
#[test]
fn those_who_may_ask_are_told_more_and_that_is_on_record() {
    let builder = Lab::with().closed("closed-1").user("bob", &[]).policy(
        r#"permit(principal, action in [Action::"exec"], resource);
        @id("doctors") permit(principal in Group::"eng", action == Action::"diagnose", resource);"#,
    );
    let lab = prompt(builder.config("server", "address", "\"bastion.example.com:2022\""));
    for way in Way::BOTH {
        let said = stderr(lab.client(way, "closed-1").within(SOON).run("true"));
        assert!(said.contains("nothing answers on its port"), "{way:?}: {said}");
        assert!(said.contains("`ssh -p 2022 bastion.example.com doctor closed-1"), "{way:?}: {said}");
    }
    let diagnosed = lab.audited("diagnosed", |event| event["user"] == "alice");
    assert_eq!(diagnosed["class"], "connection-refused");
    let of_session = |event: &Value| event["session"] == diagnosed["session"];
    let failed = lab.audited("upstream-failed", of_session);
    let decided = lab.audited("decision", |event| of_session(event) && event["action"] == "diagnose");
    assert_eq!((&decided["outcome"], &decided["rules"][0]), (&"permit".into(), &"doctors".into()));
    assert!(failed["seq"].as_u64() < decided["seq"].as_u64(), "AWS is asked after the failure");
    let bob = lab.client(Way::Direct, "closed-1").user("bob").within(SOON);
    let said = stderr(bob.run("true"));
    assert!(said.contains("nothing answers") && !said.contains("doctor"), "{said}");
    assert!(named(&lab.audit(), "diagnosed").iter().all(|event| event["user"] == "alice"));
}

#[test]
fn doctor_prints_a_checklist_with_the_bastion_s_own_try() {
    let login = &Supervisor::get().login;
    let policy = r#"permit(principal in Group::"eng", action, resource)
        when { resource has name && resource.name != "vault-1" };
        permit(principal in Group::"ops", action == Action::"exec", resource);"#;
    let builder =
        Lab::with().policy(policy).user("bob", &["ops"]).instance("web-1").tag("drawbridge:login", login);
    let lab = prompt(builder.closed("closed-1").instance("vault-1"));
    let ask = |line: &str| lab.client(Way::Jump, "bastion").within(SOON).run(line);
    let unknown = ask("doctor no-such-1").ended_with(1).err();
    assert_eq!(ask("doctor vault-1").ended_with(1).err().replace("vault-1", "no-such-1"), unknown);

    let json = |done: Finished| -> Value { serde_json::from_str(&done.out()).expect("JSON") };
    let well = json(ask("doctor web-1 --json"));
    assert_eq!((&well["tried"]["verdict"], &well["arrives"]), (&"sound".into(), &"sound".into()), "{well}");
    assert_eq!(well["login"], login.as_str());
    let sick = json(ask(&format!("doctor closed-1 --login {login} --json")).ended_with(1));
    assert_eq!(sick["tried"]["class"], "connection-refused", "{sick}");
    let text = ask(&format!("doctor closed-1 --login {login}")).ended_with(1).out();
    assert!(
        text.starts_with("closed-1 (i-") && text.contains("\nThe machine\n") && text.contains('✗'),
        "{text}"
    );
    lab.audited("diagnosed", |event| {
        event["class"] == "connection-refused" && event["target"]["name"] == "closed-1"
    });
    lab.audited("console-command", |event| event["command"] == "doctor web-1 --json");
    assert!(lab.pushes().is_empty(), "looking pushes nothing");

    let bob = lab.client(Way::Jump, "bastion").user("bob").within(SOON);
    let refused = bob.run(&format!("doctor web-1 --login {login}")).ended_with(1).with_a_sentence();
    assert!(refused.err().contains("policy does not let you ask why web-1"), "{refused:?}");
    ask("doctor").ended_with(2);

    // On the node's command line: the operator, and in a user's place.
    let operator = lab.ask(&["doctor", "closed-1"]).ended_with(1).out();
    assert!(operator.starts_with("closed-1 (i-") && operator.contains('✗'), "{operator}");
    lab.ask(&["doctor", "web-1", "--user", "bob", "--login", login]).ended_with(1).with_a_sentence();
    let nobody = lab.ask(&["doctor", "no-such-1"]).ended_with(1);
    assert!(nobody.err().contains("No instance is called"), "{nobody:?}");
}
