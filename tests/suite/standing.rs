//! Permission is continuous: what runs ends when the permission for it does, with a sentence on the terminal.

use std::path::Path;
use std::time::Duration;

use drawbridge::clock::{Clock, SystemClock};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Client, Lab, Supervisor, Terminal, Way, finish, named, revocation_list, wait_for};

/// Generous: what counts is that it comes.
const SOON: Duration = Duration::from_secs(60);

const WITHDRAWN: &str = "your access to drawbridge has been withdrawn since you logged in";
const LOST: &str = "your permission for this session has ended";
const REPLACED: &str = "the instance of this session was replaced or is gone";

/// Somebody at a terminal who has started a program there.
#[track_caller]
fn at_work(client: &Client<'_>) -> Terminal {
    let mut terminal = client.terminal(&["echo ready; exec cat"], 24, 80);
    terminal.expect("ready", SOON);
    terminal
}

/// The terminal says why, and `ssh` fails.
#[track_caller]
fn is_ended(terminal: Terminal, sentence: &str) {
    let (code, said) = terminal.finish(SOON);
    assert!(said.contains(&format!("drawbridge: {sentence}")), "{said}");
    assert_eq!(code, Some(255), "{said}");
}

/// The terminal still answers.
#[track_caller]
fn goes_on(terminal: &mut Terminal) {
    terminal.type_in("still here\n");
    terminal.expect("still here\r\nstill here", SOON);
}

fn rewrite(path: &Path, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(path).expect("the lab wrote it");
    let draft = path.with_extension("draft");
    std::fs::write(&draft, change(&text))
        .and_then(|()| std::fs::rename(&draft, path))
        .expect("our own folder");
}

/// The users file without that user.
fn without(user: &str) -> impl Fn(&str) -> String {
    move |text: &str| {
        let sections =
            text.split("[users.").skip(1).filter(|section| !section.starts_with(&format!("{user}]")));
        sections.map(|section| format!("[users.{section}")).collect()
    }
}

#[track_caller]
fn ended(lab: &Lab, user: &str) -> Value {
    let started = lab.audited("session-started", |event| event["user"] == user);
    lab.audited("session-ended", |event| event["session"] == started["session"])
}

#[test]
fn whoever_is_removed_loses_what_runs_by_every_way() {
    let lab = Lab::with().instance("web-1").user("bob", &["eng"]).start();
    let running: Vec<Terminal> = Way::BOTH.map(|way| at_work(&lab.client(way, "web-1"))).into();
    let mut bob = at_work(&lab.client(Way::Direct, "web-1").user("bob"));
    rewrite(&lab.dir().join("users.toml"), without("alice"));
    for terminal in running {
        is_ended(terminal, WITHDRAWN);
    }
    goes_on(&mut bob);
    let ended = ended(&lab, "alice");
    assert_eq!(ended["ending"], "permission-ended");
    let detail = ended["detail"].as_str().expect("it says why");
    assert!(detail.starts_with("permitted by everything; access was withdrawn since: "), "{detail}");
    wait_for("the programs to end", SOON, || {
        named(&lab.audit(), "channel-ended").iter().filter(|e| e["ending"] == "permission-ended").count() == 2
    });
    let lines = lab.audit();
    let withdrawn = |event: &&&Value| event["reason"] == "access-withdrawn";
    assert_eq!(named(&lines, "channel-refused").iter().filter(withdrawn).count(), 2, "one for each session");
}

/// What has no session of its own rests on who its user is, or on the permit to look on.
#[test]
fn a_bare_connection_ends_with_its_user_and_looking_on_with_the_permit() {
    let policy = r#"@id("work") @record("required")
                    permit(principal in Group::"eng", action in Action::"session", resource);
                    @id("on-call") permit(principal == User::"dave", action == Action::"watch", resource);"#;
    let lab = Lab::with().instance("web-1").user("bob", &[]).user("dave", &[]).policy(policy).start();
    let mut alice = at_work(&lab.client(Way::Direct, "web-1"));
    let session = lab.audited("session-started", |_| true)["session"].as_str().expect("an id").to_owned();
    wait_for("the store to have it", SOON, || {
        lab.ask(&["sessions", "list", "--live"]).out().contains("live")
    });
    let bastion = |user| lab.client(Way::Jump, "bastion").user(user);
    let mut dave = bastion("dave").terminal(&["sessions", "watch", &session], 24, 80);
    dave.expect("ready", SOON);
    rewrite(&lab.dir().join("policy.cedar"), |text| text.replace("dave", "nobody"));
    let (code, said) = dave.finish(SOON);
    assert!(said.contains("\u{1b}[?1049l") && said.contains(&format!("drawbridge: {LOST}")), "{said:?}");
    assert_eq!(code, Some(1), "{said:?}");
    let refused = lab.audited("decision", |event| event["outcome"] == "refuse");
    assert_eq!((&refused["user"], &refused["action"]), (&json!("dave"), &json!("watch")));

    let mut bare = bastion("bob").args(&["-N"]).start(&[]);
    lab.audited("authentication-succeeded", |event| event["user"] == "bob");
    rewrite(&lab.dir().join("users.toml"), without("bob"));
    bare.complains(WITHDRAWN);
    wait_for("ssh -N to end", SOON, || bare.ended().is_some());
    let ended = lab.audited("connection-ended", |event| event["ending"] == "permission-ended");
    let detail = ended["detail"].as_str().expect("it says why");
    assert!(detail.starts_with("access was withdrawn since: "), "{detail}");
    goes_on(&mut alice);
}

#[test]
fn groups_keys_revocations_and_rules_take_away_what_they_gave() {
    let policy = r#"@id("eng") permit(principal in Group::"eng", action, resource);
                    @id("dave") permit(principal == User::"dave", action, resource);"#;
    let lab = Lab::with()
        .instance("web-1")
        .user("bob", &["eng"])
        .user("carol", &["eng"])
        .user("dave", &[])
        .user("erin", &["eng"])
        .policy(policy)
        .file("revoked", Vec::new())
        .config("identity", "revoked_keys", "[\"revoked\"]")
        .start();
    let people = ["alice", "bob", "carol", "dave", "erin"];
    let at_work = people.map(|user| at_work(&lab.client(Way::Direct, "web-1").user(user)));
    // Bob leaves the group, and Carol's key is another one; both in one change of the file.
    let carol = std::fs::read_to_string(lab.dir().join("key_carol.pub")).expect("the lab made it");
    let other = std::fs::read_to_string(lab.dir().join("key_alice.pub")).expect("the lab made it");
    let (carol, other) = (carol.trim().to_owned(), other.trim().to_owned());
    rewrite(&lab.dir().join("users.toml"), |text| {
        let bob = text.split_once("[users.bob]").expect("bob is there").1;
        let out = bob.replacen("groups = [\"eng\"]", "groups = [\"sales\"]", 1);
        text.replace(bob, &out).replace(&carol, &other)
    });
    let [mut alice, bob, carol, mut dave, mut erin] = at_work;
    is_ended(bob, LOST);
    is_ended(carol, WITHDRAWN);
    goes_on(&mut dave);
    rewrite(&lab.dir().join("policy.cedar"), |text| text.lines().take(1).collect());
    is_ended(dave, LOST);
    goes_on(&mut erin);
    revocation_list(&lab.dir().join("revoked"), &[&lab.dir().join("key_erin.pub")]);
    is_ended(erin, WITHDRAWN);
    goes_on(&mut alice);
    let details = ["bob", "dave"].map(|user| ended(&lab, user)["detail"].clone());
    let no_rule = |rule: &str| json!(format!("permitted by {rule}; no rule permits it any more"));
    assert_eq!(details, [no_rule("eng"), no_rule("dave")]);
    let refused = lab.audited("decision", |event| event["user"] == "dave" && event["outcome"] == "refuse");
    assert_eq!((&refused["reason"], &refused["action"]), (&json!("no-rule-permits"), &json!("exec")));
}

#[test]
fn tags_and_instances_take_away_what_they_gave_and_a_failing_aws_does_not() {
    let policy = r#"@id("dev") permit(principal, action, resource)
                    when { resource.hasTag("env") && resource.getTag("env") == "dev" };"#;
    let names = ["web-1", "web-2", "web-3", "web-4"];
    let lab = Lab::with().config("inventory", "refresh_interval", "\"1s\"").policy(policy);
    let lab = names.iter().fold(lab, |lab, name| lab.instance(name).tag("env", "dev")).start();
    let [retagged, mut replaced, mut gone, mut other] =
        names.map(|name| at_work(&lab.client(Way::Jump, name)));
    let aws = |call: &str, mut arguments: Value| {
        arguments["account"] = json!(lab.account());
        Supervisor::get().aws(call, arguments)
    };
    let id = |name: &str| lab.instance(name).id.clone();

    aws("tag", json!({"instance": id("web-1"), "tags": {"env": "prod"}}));
    is_ended(retagged, LOST);

    lab.fault("ec2", Some("error"));
    let calls = || aws("calls", json!({}))["ec2"].as_u64().unwrap_or_default();
    let before = calls();
    wait_for("AWS to fail a few times", SOON, || calls() >= before + 3);
    for terminal in [&mut replaced, &mut gone, &mut other] {
        goes_on(terminal);
    }
    lab.fault("ec2", None);
    aws("set_state", json!({"instance": id("web-2"), "state": "terminated"}));
    aws("set_state", json!({"instance": id("web-3"), "state": "terminated"}));
    let heir = json!({"ip": lab.instance("web-2").ip, "tags": {"Name": "web-2", "env": "dev"}});
    aws("instance", heir);
    is_ended(replaced, REPLACED);
    is_ended(gone, REPLACED);
    goes_on(&mut other);

    wait_for("the sessions' last lines", SOON, || named(&lab.audit(), "session-ended").len() == 3);
    let trail = lab.audit();
    let endings: Vec<&Value> = named(&trail, "session-ended").iter().map(|event| &event["ending"]).collect();
    assert_eq!(endings, ["permission-ended", "target-replaced", "target-replaced"]);
    assert_eq!(
        named(&trail, "session-ended")[1]["detail"],
        "permitted by dev; EC2 does not list the instance any more"
    );
}

#[test]
fn a_rule_whose_time_is_over_ends_what_it_permitted() {
    let lab = Lab::with().instance("web-1").start();
    let (shell, mut other) =
        (at_work(&lab.client(Way::Jump, "web-1")), at_work(&lab.client(Way::Direct, "web-1")));
    // Long enough for the change of the file to be seen before, unless the machine is very slow.
    let until = SystemClock.now() + Duration::from_secs(4);
    rewrite(&lab.dir().join("policy.cedar"), |_| {
        format!(
            r#"@id("until") permit(principal, action, resource) when {{ context.time < datetime("{until:.3}") }};"#
        )
    });
    lab.audited("reloaded", |event| event["what"] == "policy");
    is_ended(shell, LOST);
    other.expect(LOST, SOON);
    assert!(SystemClock.now() >= until, "not before");
    let refused = lab.audited("decision", |event| event["outcome"] == "refuse");
    assert_eq!(refused["reason"], "no-rule-permits");
}

/// Whoever changes the files by way of a session may lose it by that, in order.
#[test]
fn whoever_removes_themselves_is_ended_in_order_and_the_reload_is_on_record_before() {
    let lab = Lab::with().instance("web-1").user("bob", &[]).start();
    let users = lab.dir().join("users.toml");
    let draft = lab.scratch().join("users.toml");
    let text = std::fs::read_to_string(&users).expect("the lab wrote it");
    std::fs::write(&draft, without("alice")(&text)).expect("our own folder");
    let mut alice = lab.client(Way::Jump, "web-1").terminal(&[], 24, 80);
    alice.type_in(&format!("mv -f {} {}; echo mo''ved; cat\n", draft.display(), users.display()));
    alice.expect("moved", SOON);
    is_ended(alice, WITHDRAWN);
    ended(&lab, "alice");
    let trail = lab.audit();
    let place = |name: &str, that: &dyn Fn(&Value) -> bool| {
        trail.iter().position(|event| event["event"] == name && that(event)).expect("it is there")
    };
    let reloaded = place("reloaded", &|event| event["what"] == "users");
    let withdrawn = place("channel-refused", &|event| event["reason"] == "access-withdrawn");
    assert!(reloaded < withdrawn && withdrawn < place("session-ended", &|_| true));
}

/// A broken new version changes nothing for those who are in, either.
#[test]
fn a_broken_new_version_ends_nothing() {
    let lab = Lab::with().instance("web-1").start();
    let mut terminal = at_work(&lab.client(Way::Jump, "web-1"));
    rewrite(&lab.dir().join("users.toml"), |_| "[users".to_owned());
    rewrite(&lab.dir().join("policy.cedar"), |_| "permit (".to_owned());
    lab.audited("reload-refused", |event| event["what"] == "policy");
    lab.audited("reload-refused", |event| event["what"] == "users");
    lab.daemon.signal(Signal::HUP);
    goes_on(&mut terminal);
}

#[test]
fn one_channel_ends_by_its_own_rule_and_the_others_go_on() {
    let policy = r#"@id("exec") permit(principal, action == Action::"exec", resource);
                    @id("sockets") permit(principal, action == Action::"remote-socket", resource);
                    @id("forward") permit(principal, action == Action::"remote-forward", resource);"#;
    let lab = Lab::with().instance("web-1").policy(policy).start();
    let socket = lab.scratch().join("listener");
    let back = format!("{}:127.0.0.1:9", socket.display());
    let listening = lab.client(Way::Jump, "web-1").args(&["-o", "ExitOnForwardFailure=yes", "-R", &back]);
    let mut both = at_work(&listening);
    let bare = lab.client(Way::Direct, "web-1").option("LogLevel INFO");
    let mut bare = bare.args(&["-N", "-R", "127.0.0.1:0:127.0.0.1:9"]).start(&[]);
    bare.complains("Allocated port");
    rewrite(&lab.dir().join("policy.cedar"), |text| text.lines().take(1).collect());
    lab.audited("forward-listening", |event| {
        event["listening"] == false && event["action"] == "remote-socket"
    });
    goes_on(&mut both);
    // Whoever counts on nothing but the listening learns that it is over.
    wait_for("ssh -N to end", SOON, || bare.ended().is_some());
    let lost = lab.audited("session-ended", |_| true);
    assert_eq!(
        (&lost["ending"], &lost["detail"]),
        (&json!("permission-ended"), &json!("permitted by forward; no rule permits it any more"))
    );
    assert_eq!(named(&lab.audit(), "session-ended").len(), 1);
}

/// Nothing can be said in the middle of somebody else's stream; the record has it.
#[test]
fn what_is_passed_through_ends_too() {
    let login = &Supervisor::get().login;
    let policy = format!(
        r#"@id("through") permit(principal, action == Action::"tunnel", resource)
           when {{ context.login == "{login}" }};"#
    );
    let lab = Lab::with().instance("web-1").policy(&policy).start();
    let client = lab.client(Way::Jump, "web-1").option("StrictHostKeyChecking no");
    let mut running = client.start(&["echo ready; exec sleep 600"]);
    running.expect("ready");
    rewrite(&lab.dir().join("policy.cedar"), |_| String::new());
    finish(running.take(), Vec::new(), SOON).failed();
    let ended = lab.audited("session-ended", |_| true);
    assert_eq!(ended["ending"], "permission-ended");
    assert_eq!(ended["detail"], "permitted by through; no rule permits it any more");
}

#[test]
fn a_terminal_is_warned_before_a_limit_and_a_program_s_output_is_not_touched() {
    let policy = r#"@max_session("40s") permit(principal == User::"alice", action, resource);
                    @idle("40s") permit(principal == User::"bob", action, resource);"#;
    let lab = Lab::with().instance("web-1").user("bob", &[]).policy(policy).start();
    let plain = lab.client(Way::Direct, "web-1").start(&["echo ready; exec sleep 600"]);
    let mut alice = at_work(&lab.client(Way::Direct, "web-1"));
    let mut bob = at_work(&lab.client(Way::Jump, "web-1").user("bob"));
    alice.expect("drawbridge: this session ends in ", SOON);
    is_ended(alice, "this session has reached the longest time");
    bob.expect("drawbridge: this session is idle, and policy ends it in ", SOON);
    is_ended(bob, "this session was idle");
    let plain = finish(plain.take(), Vec::new(), SOON);
    assert_eq!(plain.out(), "ready\n");
    assert!(!plain.err().contains("ends in"), "{}", plain.err());
}
