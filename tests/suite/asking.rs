//! The record, asked about: over ssh under the policy, and on the operator's command line.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Client, Finished, Lab, Terminal, Way, finish, noise, start, wait_for};

const SOON: Duration = Duration::from_secs(60);

const POLICY: &str = r#"
@id("work") @record("required") @watched("told")
permit(principal in Group::"eng", action in Action::"session", resource);

@id("audit") permit(principal in Group::"audit", action == Action::"audit", resource);

@id("on-call") permit(principal in Group::"on-call", action in [Action::"watch", Action::"kill"], resource)
when { resource has name && resource.name == "web-1" };
"#;

/// Alice works; bob does so, too; carol audits; dave is on call for web-1.
fn lab() -> Lab {
    Lab::with()
        .instance("web-1")
        .user("bob", &["eng"])
        .user("carol", &["audit"])
        .user("dave", &["on-call"])
        .policy(POLICY)
        .start()
}

fn bastion<'a>(lab: &'a Lab, user: &str) -> Client<'a> {
    lab.client(Way::Jump, "bastion").user(user)
}

/// The id of the first session of that user.
fn session_of(lab: &Lab, user: &str) -> String {
    let started = lab.audited("session-started", |event| event["user"] == user);
    started["session"].as_str().expect("an id").to_owned()
}

/// Asks the operator's command line until the answer is as it should be: the store is a moment behind.
#[track_caller]
fn asked(lab: &Lab, words: &[&str], good: impl Fn(&Finished) -> bool) -> Finished {
    let mut last = None;
    wait_for(&format!("a good answer to {words:?}"), SOON, || {
        let done = lab.ask(words);
        let so = good(&done);
        last = Some(done);
        so
    });
    last.expect("it was asked")
}

fn ended(lab: &Lab, session: &str) {
    lab.audited("session-ended", |event| event["session"] == session);
    asked(lab, &["sessions", "show", session], |done| done.out().contains("It ended on "));
}

/// A shell of alice's on web-1, on a terminal.
fn shell(lab: &Lab) -> Terminal {
    let mut terminal = lab.client(Way::Direct, "web-1").terminal(&["echo ready; cat"], 30, 100);
    terminal.expect("ready", SOON);
    terminal
}

fn json(done: &Finished) -> Value {
    serde_json::from_str(&done.out()).expect("JSON")
}

#[test]
fn an_upload_is_shown_with_its_size_and_the_hash_that_the_target_has() {
    let lab = lab();
    let (local, remote) = (lab.dir().join("upload.bin"), lab.scratch().join("up\u{1b}[2Jload.bin"));
    std::fs::write(&local, noise(3_000_017, 11)).expect("our own folder");
    let there = format!("web-1:{}", remote.display());
    lab.client(Way::Jump, "web-1").tool("scp", &[&local.display().to_string(), &there]).ended_with(0);
    let session = session_of(&lab, "alice");
    ended(&lab, &session);
    let sum = Command::new("sha256sum").arg("--").arg(&remote).output().expect("it runs");
    let sum = String::from_utf8(sum.stdout).expect("ASCII");
    // A name with a backslash is marked by one in front.
    let sum = sum.trim_start_matches('\\').split(' ').next().expect("a hash").to_owned();
    let shown = bastion(&lab, "alice").run(&format!("sessions show {session}")).ended_with(0).out();
    let line = shown.lines().find(|line| line.contains("sftp write")).expect("the upload");
    assert!(line.contains("3000017 bytes") && line.contains(&format!("SHA-256 {sum}")), "{line}");
    assert!(line.contains("up\\u{1b}[2Jload.bin") && !shown.contains('\u{1b}'), "{shown:?}");
    for told in [
        "alice came from 127.0.0.1",
        "They proved it with the key ssh-ed25519 SHA256:",
        "Allowed by the rule work",
        "RequestId ",
        "its host key SHA256:",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    let by_path =
        asked(&lab, &["sessions", "list", "--json", "--text", "load.bin"], |done| done.code == Some(0));
    assert_eq!(json(&by_path)["sessions"][0]["id"], session);
}

#[test]
fn people_see_what_is_theirs_and_auditors_everything() {
    let lab = lab();
    lab.client(Way::Jump, "web-1").run("true").ended_with(0);
    lab.client(Way::Direct, "web-1").user("bob").run("true").ended_with(0);
    let (alice, bob) = (session_of(&lab, "alice"), session_of(&lab, "bob"));
    ended(&lab, &alice);
    ended(&lab, &bob);
    let own = bastion(&lab, "alice").run("sessions list --json").ended_with(0);
    assert!(own.out().contains(&alice) && !own.out().contains(&bob), "{own:?}");
    let of_bob = bastion(&lab, "alice").run(&format!("sessions show {bob}")).ended_with(1).with_a_sentence();
    let unknown = format!("s-{}", "f".repeat(32));
    let of_nobody = bastion(&lab, "alice").run(&format!("sessions show {unknown}")).ended_with(1);
    assert_eq!(of_bob.err().replace(&bob, "X"), of_nobody.err().replace(&unknown, "X"));
    let all = bastion(&lab, "carol").run("sessions list --json").ended_with(0);
    assert_eq!(all.out(), lab.ask(&["sessions", "list", "--json"]).ended_with(0).out());
    assert!(all.out().contains(&alice) && all.out().contains(&bob), "{all:?}");
    for command in ["events", "export --format jsonl"] {
        bastion(&lab, "alice").run(command).ended_with(1).with_a_sentence();
        assert!(
            bastion(&lab, "carol").run(command).ended_with(0).out().contains("session-started"),
            "{command}"
        );
        lab.audited("console-command", |event| event["command"] == command && event["user"] == "carol");
    }
    for path in ["sessions show ../../etc/passwd", "replay ../../etc/passwd"] {
        bastion(&lab, "carol").run(path).ended_with(2);
    }
    let as_alice = lab.ask(&["sessions", "list", "--json", "--as", "alice"]).ended_with(0);
    assert_eq!(as_alice.out(), own.out());
}

#[test]
fn a_live_terminal_is_watched_on_record_and_the_one_watched_is_told() {
    let lab = lab();
    let mut alice = shell(&lab);
    let session = session_of(&lab, "alice");
    asked(&lab, &["sessions", "list", "--live"], |done| done.out().contains("live"));
    let watch = format!("sessions watch {session}");
    bastion(&lab, "bob").args(&["-tt"]).run(&watch).ended_with(1);
    bastion(&lab, "carol").args(&["-tt"]).run(&watch).ended_with(1);
    let mut dave = bastion(&lab, "dave").terminal(&["sessions", "watch", &session], 24, 80);
    dave.expect("That terminal has 100x30 characters and yours 80x24", SOON);
    dave.expect("ready", SOON);
    alice.expect("this session is being watched by dave", SOON);
    alice.type_in("hello\r");
    dave.expect("hello", SOON);
    dave.type_in("q");
    let (code, rest) = dave.finish(SOON);
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("\u{1b}[?1049l") && rest.contains("You look on no longer."), "{rest:?}");
    let watched = lab.audited("session-watched", |event| event["watched"] == session.as_str());
    assert_eq!((&watched["by"], &watched["told"]), (&"dave".into(), &true.into()), "{watched}");
    alice.type_in("\u{4}");
    alice.finish(SOON);
    ended(&lab, &session);
    let shown = lab.ask(&["sessions", "show", &session]).ended_with(0).out();
    assert!(shown.contains("dave from 127.0.0.1 looked on, and they were told"), "{shown}");
}

#[test]
fn a_session_is_ended_by_order_over_ssh_and_locally() {
    let lab = lab();
    for (by, reason) in [("dave", "wrong machine"), ("operator", "maintenance")] {
        let alice = shell(&lab);
        let live =
            || json(&asked(&lab, &["sessions", "list", "--live", "--json"], |done| done.code == Some(0)));
        let session = live()["sessions"][0]["id"].as_str().expect("an id").to_owned();
        let refused = bastion(&lab, "bob").run(&format!("sessions kill {session}")).ended_with(1);
        refused.with_a_sentence();
        let done = if by == "dave" {
            bastion(&lab, "dave").run(&format!("sessions kill {session} --reason '{reason}'"))
        } else {
            lab.ask(&["sessions", "kill", &session, "--reason", reason])
        };
        let done = done.ended_with(0);
        assert!(done.out().contains("has ended: somebody ordered it to end"), "{done:?}");
        let (code, _) = alice.finish(SOON);
        assert_ne!(code, Some(0));
        let ended = lab.audited("session-ended", |event| event["session"] == session.as_str());
        assert_eq!(ended["ending"], "killed");
        let order = lab.audited("kill-ordered", |event| event["killed"] == session.as_str());
        assert_eq!((&order["by"], &order["reason"]), (&by.into(), &reason.into()));
        let again = lab.ask(&["sessions", "kill", &session]).ended_with(1);
        assert!(again.err().contains("has ended already"), "{again:?}");
    }
}

#[test]
fn a_recorded_terminal_is_replayed_and_exported_for_asciinema() {
    let lab = lab();
    let mut terminal =
        lab.client(Way::Direct, "web-1").terminal(&["printf 'one\\n\\342\\224\\200 two\\n'"], 24, 80);
    let seen = terminal.expect("two", SOON);
    let (_, rest) = terminal.finish(SOON);
    let seen = seen + &rest.replace("Connection to web-1 closed.", "");
    let session = session_of(&lab, "alice");
    ended(&lab, &session);
    let exported = bastion(&lab, "carol").run(&format!("export {session} --format asciicast")).ended_with(0);
    let cast = lab.dir().join("session.cast");
    std::fs::write(&cast, &exported.stdout).expect("our own folder");
    let asciinema = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/venv/bin/asciinema");
    let mut player = Command::new(asciinema);
    player.arg("cat").arg(&cast).env("LC_ALL", "C.UTF-8").env("HOME", lab.dir());
    let played = finish(start(&mut player), Vec::new(), SOON).ended_with(0).out();
    assert!(played.contains("one\r\n─ two") && seen.contains(played.trim_end()), "{played:?} {seen:?}");
    let replay = ["replay", &session, "--speed", "100", "--idle-limit", "100ms"];
    let (code, replayed) = bastion(&lab, "carol").terminal(&replay, 24, 80).finish(SOON);
    assert_eq!(code, Some(0), "{replayed}");
    assert!(replayed.contains("one\r\n─ two") && replayed.contains("The recording is over"), "{replayed:?}");
    let config = lab.config_file().display().to_string();
    let local = ["replay", &session, "--config", &config].map(str::to_owned);
    let (code, replayed) = Terminal::start(env!("CARGO_BIN_EXE_drawbridge"), &local, 24, 80).finish(SOON);
    assert_eq!(code, Some(0), "{replayed}");
    assert!(replayed.contains("one\r\n─ two") && replayed.contains("over after 0:0"), "{replayed:?}");
    let mut local = Terminal::start(
        env!("CARGO_BIN_EXE_drawbridge"),
        &[&local[..], &["--speed".to_owned(), "0.1".to_owned()]].concat(),
        24,
        80,
    );
    local.expect("q leaves.", SOON);
    // Paused, it waits for a key, which comes without Enter.
    local.type_in(" q");
    let (code, left) = local.finish(SOON);
    assert!(code == Some(0) && left.contains("\u{1b}[?1049l"), "{left:?}");
    let without = bastion(&lab, "carol").run(&format!("replay {session}")).ended_with(1);
    assert!(without.err().contains("this needs a terminal"), "{without:?}");
    bastion(&lab, "alice").args(&["-tt"]).run(&format!("replay {session}")).ended_with(1);
}
