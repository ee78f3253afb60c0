//! What started is on record with its end, whatever happens in the middle: `kill -9`, and a database that goes away.
//!
//! `ROUNDS` and `SESSIONS` say how often and how many, `AWAY_SECONDS` for how long; a short run by default.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Lab, Postgres, Running, Way, finish, wait_for};

const SOON: Duration = Duration::from_secs(60);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Says the time over and over: the last one that was seen says how much was seen.
const CLOCK: &str = "while :; do date +t%s.%N; sleep 0.1; done";

/// The last time in a text, in seconds; of lines that are whole.
fn last_time(shown: &str) -> Option<f64> {
    let whole = shown.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().rev().find_map(|line| line.trim().strip_prefix('t')?.parse().ok())
}

/// So many recorded terminals, each of which has gone on for more than a second.
fn terminals(lab: &Lab, many: u64) -> Vec<Running> {
    let start = |number: u64| {
        let way = Way::BOTH[usize::try_from(number % 2).expect("small")];
        lab.client(way, "web-1").args(&["-tt"]).start(&[CLOCK])
    };
    let mut running: Vec<Running> = Vec::new();
    let numbers: Vec<u64> = (0..many).collect();
    // A few at a time: more would wait longer for two processors than a login may take.
    for some in numbers.chunks(8) {
        let mut some: Vec<Running> = some.iter().copied().map(start).collect();
        some.iter_mut().for_each(|terminal| terminal.expect("\n"));
        running.append(&mut some);
    }
    // The last one has gone on for longer than may be lost.
    let last = running.last_mut().expect("at least one");
    (0..15).for_each(|_| last.expect("\n"));
    running
}

/// The sessions that fit.
fn sessions(lab: &Lab, words: &[&str]) -> Vec<Value> {
    let answer = lab.ask(&[&["sessions", "list", "--json", "--limit", "100000"], words].concat());
    let list: Value =
        serde_json::from_str(&answer.out()).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    list["sessions"].as_array().expect("a list").clone()
}

/// The events of a session.
fn events(lab: &Lab, session: &str) -> Vec<Value> {
    let answer = lab.ask(&["events", "--session", session, "--json"]).ended_with(0);
    answer.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {value}"))
}

/// The text that a recording shows.
fn shown_by(lab: &Lab, recording: &str) -> String {
    let cast = lab.ask(&["export", recording, "--format", "asciicast"]).ended_with(0).out();
    let output = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event[1] == "o").then(|| event[2].as_str().map(str::to_owned))?
    };
    cast.lines().skip(1).filter_map(output).collect()
}

#[track_caller]
fn the_trail_verifies(lab: &Lab) {
    lab.ask(&["audit", "verify"]).ended_with(0);
}

#[test]
fn kill_9_in_the_middle_of_recorded_sessions_loses_nothing() {
    let (rounds, many) = (number("ROUNDS", 2), number("SESSIONS", 6));
    let mut lab = Lab::with()
        .config("recording", "default", "\"required\"")
        .config("audit", "sync", "true")
        .config("server", "connections_unauthenticated_max", "1000")
        .config("server", "connections_per_address_max", "1000")
        .instance("web-1")
        .sshd("MaxStartups 500")
        .start();
    for round in 0..rounds {
        let terminals = terminals(&lab, many);
        lab.daemon.signal(Signal::KILL);
        lab.daemon.wait(SOON);
        let seen: Vec<f64> = terminals
            .into_iter()
            .filter_map(|terminal| last_time(&finish(terminal.take(), Vec::new(), SOON).out()))
            .collect();
        lab.serve_again();
        let sessions = sessions(&lab, &[]);
        let expected = usize::try_from(many * (round + 1)).expect("small");
        assert_eq!(sessions.len(), expected, "every session that started is there, once");
        assert!(sessions.iter().all(|session| session["ending"].is_string()), "each has an ending");
        let interrupted = sessions.iter().filter(|session| session["ending"] == "interrupted").count();
        assert_eq!(interrupted, expected, "round {round}: {sessions:?}");
        let recent = sessions.iter().take(usize::try_from(many).expect("small"));
        let mut recorded: Vec<f64> = recent
            .map(|session| {
                let events = events(&lab, text(session, "id"));
                let started = events.iter().find(|event| event["event"] == "channel-started");
                let recording = text(started.expect("a channel"), "recording").to_owned();
                let shown = shown_by(&lab, &recording);
                last_time(&shown).unwrap_or_else(|| panic!("{recording} plays {shown:?}; {events:#?}"))
            })
            .collect();
        let mut seen = seen;
        seen.sort_by(f64::total_cmp);
        recorded.sort_by(f64::total_cmp);
        let lost = seen.iter().zip(&recorded).map(|(seen, recorded)| seen - recorded).fold(0.0, f64::max);
        println!("round {round}: at most {lost:.2} s of what clients saw is not in the recordings");
        assert!(lost <= 1.0, "{lost} s are lost");
        the_trail_verifies(&lab);
    }
}

#[test]
fn a_database_that_goes_away_for_a_while_loses_and_doubles_nothing() {
    let away = Duration::from_secs(number("AWAY_SECONDS", 4));
    let mut postgres = Postgres::start();
    let lab = Lab::with().config("store", "url", &format!("{:?}", postgres.url())).instance("web-1").start();
    let mut master = lab.client(Way::Jump, "web-1").master();
    master.client.run("true").ended_with(0);
    let mut terminals = terminals(&lab, 3);
    postgres.stop();
    // What runs goes on, its further channels included; nothing new starts, and the sentence says why.
    let began = Instant::now();
    let mut channels = 0;
    while began.elapsed() < away {
        master.client.run("true").ended_with(0);
        channels += 1;
    }
    let refused = lab.client(Way::Direct, "web-1").run("true").ended_with(255).with_a_sentence();
    assert!(refused.err().contains("database"), "{refused:?}");
    assert!(terminals.iter_mut().all(|terminal| terminal.ended().is_none()), "no session was dropped");
    postgres.serve();
    wait_for("new sessions", SOON, || lab.client(Way::Direct, "web-1").run("true").code == Some(0));
    assert!(terminals.iter_mut().all(|terminal| terminal.ended().is_none()), "no session was dropped");
    assert!(master.process.ended().is_none(), "no session was dropped");
    drop(terminals);
    drop(master);
    wait_for("the end of all sessions", SOON, || sessions(&lab, &["--live"]).is_empty());
    lab.daemon.signal(Signal::TERM);
    lab.daemon.wait(SOON);
    let rows = postgres.query("SELECT seq FROM events ORDER BY seq");
    let numbers: Vec<u64> = rows.iter().map(|row| row.parse().expect("a number")).collect();
    let expected: Vec<u64> = (1..=u64::try_from(numbers.len()).expect("small")).collect();
    assert_eq!(numbers, expected, "each line once, none missing");
    let named = |name: &str| postgres.query(&format!("SELECT line FROM events WHERE event = '{name}'"));
    assert!(named("channel-started").len() > channels, "the channels of that time are there");
    let of = |name: &str| -> BTreeSet<String> {
        let line = |line: &String| -> Value { serde_json::from_str(line).expect("JSON") };
        named(name).iter().map(|row| text(&line(row), "session").to_owned()).collect()
    };
    assert_eq!(of("session-started"), of("session-ended"));
    let counts: BTreeMap<&str, usize> =
        ["store-unavailable", "store-recovered"].map(|name| (name, named(name).len())).into();
    assert!(counts.values().all(|count| *count >= 1), "{counts:?}");
    the_trail_verifies(&lab);
}
