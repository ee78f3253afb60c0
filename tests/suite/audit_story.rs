//! One session's id finds its whole story; no line ever speaks of two sessions.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Lab, Way, named, of_session, wait_for};

const SOON: Duration = Duration::from_secs(10);

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {event}"))
}

#[test]
fn one_session_id_finds_the_whole_story() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        let before = named(&lab.audit(), "session-ended").len();
        lab.client(way, "web-1").run("echo hi; exit 5").ended_with(5);
        wait_for("the session's last line", SOON, || named(&lab.audit(), "session-ended").len() > before);
        let trail = lab.audit();
        let started = *named(&trail, "session-started").last().expect("a session");
        let session = text(started, "session");
        let story = of_session(&trail, session);
        let names: Vec<&str> = story.iter().map(|event| text(event, "event")).collect();
        for wanted in [
            "decision",
            "key-pushed",
            "upstream-connected",
            "session-started",
            "channel-started",
            "channel-ended",
            "session-ended",
        ] {
            assert!(names.contains(&wanted), "{way:?}: no {wanted} in {names:?}");
        }
        let one = |name: &str| *story.iter().find(|event| event["event"] == name).expect("asserted above");
        assert_eq!(one("session-started")["client_addr"], Ipv4Addr::LOCALHOST.to_string());
        assert_eq!(one("session-started")["user"], "alice");
        assert_eq!(one("decision")["rules"], serde_json::json!(["everything"]));
        assert_eq!(one("channel-started")["command"], "echo hi; exit 5");
        assert_eq!(one("channel-ended")["exit_status"], 5);
        assert_eq!(one("channel-ended")["bytes_to_client"], 3);
        let pushes = lab.pushes();
        let pushed = one("key-pushed");
        assert!(pushes.iter().any(|push| push["request_id"] == pushed["request_id"]), "{way:?}: {pushed}");
        assert_eq!(
            one("upstream-connected")["host_key_fingerprint"],
            lab.instance("web-1").host_fingerprint()
        );
    }
}

#[test]
fn every_line_has_its_version_time_and_documentation() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        lab.client(way, "web-1").run("true").ended_with(0);
        lab.client(way, "no-such-1").run("true").ended_with(255);
    }
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md"))
        .expect("docs/audit.md");
    let mut times = Vec::new();
    for event in lab.audit() {
        assert_eq!(event["v"], 1, "{event}");
        let time = text(&event, "time").to_owned();
        let (_, fraction) = time.rsplit_once('.').expect("milliseconds");
        assert!(fraction.len() == 4 && fraction.ends_with('Z'), "{time} is not UTC with milliseconds");
        times.push(time);
        let name = format!("`{}`", text(&event, "event"));
        assert!(document.contains(&name), "docs/audit.md does not tell of {name}");
        for field in event.as_object().expect("an object").keys() {
            assert!(
                document.contains(&format!("`{field}`")),
                "docs/audit.md does not tell of `{field}` ({name})"
            );
        }
    }
    assert!(times.is_sorted(), "the trail is out of order");
}

#[test]
fn parallel_sessions_keep_their_lines_apart() {
    let lab = Lab::with().instance("web-1").instance("web-2").user("bob", &[]).start();
    std::thread::scope(|scope| {
        for n in 0..12 {
            let lab = &lab;
            scope.spawn(move || {
                let (user, target) = if n % 2 == 0 { ("alice", "web-1") } else { ("bob", "web-2") };
                let way = if n % 3 == 0 { Way::Jump } else { Way::Direct };
                lab.client(way, target).user(user).run(&format!("echo {user} {target}")).ended_with(0);
            });
        }
    });
    let trail = lab.audit();
    let sessions: BTreeSet<&str> = trail.iter().filter_map(|event| event["session"].as_str()).collect();
    assert_eq!(sessions.len(), 12);
    for session in sessions {
        let story = of_session(&trail, session);
        let all = |key: fn(&Value) -> Option<&str>| -> BTreeSet<String> {
            story.iter().filter_map(|event| key(event)).map(str::to_owned).collect()
        };
        let users = all(|event| event["user"].as_str());
        let targets = all(|event| event["target"]["name"].as_str());
        let commands = all(|event| event["command"].as_str());
        let connections = all(|event| event["connection"].as_str());
        for (what, found) in
            [("user", &users), ("target", &targets), ("command", &commands), ("connection", &connections)]
        {
            assert_eq!(found.len(), 1, "{session} has more than one {what}: {found:?}");
        }
        let wanted = if users.contains("alice") { "echo alice web-1" } else { "echo bob web-2" };
        assert!(commands.contains(wanted), "{session}: {users:?} {targets:?} {commands:?}");
    }
}

#[test]
fn every_beginning_has_its_end() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        lab.client(way, "web-1").run("true").ended_with(0);
    }
    wait_for("the connections to end", SOON, || {
        let trail = lab.audit();
        let open = named(&trail, "connection-opened").len();
        open > 2 && named(&trail, "connection-ended").len() == open
    });
    let trail = lab.audit();
    for (begin, end) in [("session-started", "session-ended"), ("channel-started", "channel-ended")] {
        assert_eq!(named(&trail, begin).len(), named(&trail, end).len(), "{begin}");
    }
}
