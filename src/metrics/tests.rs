use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::audit::{Event, Text, examples};
use crate::clock::HandSetClock;
use crate::sinks::Observer as _;

const DOCUMENT: &str = include_str!("../../docs/operating.md");

fn metrics() -> Arc<Metrics> {
    Metrics::new("1.2.3", HandSetClock::at("2026-11-22T10:00:00Z").as_ref())
}

/// With every room connected.
fn connected() -> Arc<Metrics> {
    let metrics = metrics();
    metrics.watch_store(|| StoreState { up: true, lag_lines: 7 });
    metrics.watch_journal(|| JournalState { bytes: 1 << 20, seq: u64::MAX });
    metrics.waiting("siem", 3, 12);
    metrics.delivered("siem", 40);
    metrics.failed("siem");
    metrics.given_up("siem", 3);
    metrics.refused("siem", 1);
    metrics.upload_failed();
    metrics.watch_spool(|| SpoolState { files: 2, bytes: 100 });
    metrics.watch_inventory(|| vec![place("prod", Some(Duration::from_millis(1500))), place("new", None)]);
    metrics.watch_workers(|| vec![3, 0]);
    metrics
}

fn place(account: &str, age: Option<Duration>) -> PlaceState {
    PlaceState { account: account.to_owned(), region: "eu-west-1".to_owned(), instances: 4, age }
}

#[track_caller]
fn assert_shows(text: &str, line: &str) {
    assert!(text.lines().any(|shown| shown == line), "no line {line:?} in:\n{text}");
}

#[test]
fn entries_become_counts() {
    let metrics = metrics();
    for entry in examples::all() {
        metrics.recorded(&entry);
    }
    let text = metrics.text();
    for line in [
        "drawbridge_connections_total 1",
        "drawbridge_connections_open 0",
        "drawbridge_connections_refused_total{reason=\"too-many-from-address\"} 1",
        "drawbridge_connections_refused_total{reason=\"no-worker\"} 0",
        "drawbridge_authentications_total{method=\"certificate\",result=\"failed\"} 1",
        "drawbridge_authentications_total{method=\"publickey\",result=\"succeeded\"} 1",
        "drawbridge_authentication_failures_total{reason=\"certificate-expired\"} 1",
        "drawbridge_decisions_total{outcome=\"permit\",action=\"exec\"} 1",
        "drawbridge_refusals_total{reason=\"no-rule-permits\"} 2",
        "drawbridge_key_pushes_total{result=\"throttled\"} 1",
        "drawbridge_key_push_duration_seconds_count{result=\"pushed\"} 1",
        "drawbridge_upstream_connects_total{result=\"host-key-changed\"} 1",
        "drawbridge_upstream_host_keys_total{vouched_by=\"ca\"} 1",
        "drawbridge_sessions_total{way=\"jump\"} 1",
        "drawbridge_channels_total{action=\"shell\"} 1",
        "drawbridge_channels_ended_total{action=\"shell\",ending=\"finished\"} 1",
        "drawbridge_carried_bytes_total{direction=\"to-client\",action=\"local-forward\"} 65536",
        "drawbridge_reload_succeeded{what=\"users\"} 0",
        "drawbridge_reload_succeeded{what=\"policy\"} 1",
        "drawbridge_audit_lines_total{event=\"daemon-started\"} 1",
        "drawbridge_kill_orders_total 1",
        "drawbridge_heads_total 1",
        "drawbridge_store_outages_total 1",
        "drawbridge_connect_failures_total{class=\"host-key-changed\"} 1",
        "drawbridge_connect_failures_total{class=\"instance-not-running\"} 1",
        "drawbridge_connect_failures_total{class=\"connect-timeout\"} 0",
        "drawbridge_diagnoses_total{result=\"cause\"} 1",
        "drawbridge_diagnoses_total{result=\"sound\"} 1",
        "drawbridge_recording_failures_total{mode=\"required\"} 1",
        "drawbridge_interrupted_total{what=\"session\"} 1",
    ] {
        assert_shows(&text, line);
    }
}

#[test]
fn what_is_open_goes_up_and_down_and_never_drifts() {
    let metrics = metrics();
    let all = examples::all();
    let named = |name: &str| all.iter().find(|entry| entry.event.name() == name).expect("an example");
    metrics.recorded(named("connection-opened"));
    metrics.recorded(named("session-started"));
    metrics.recorded(named("channel-started"));
    let text = metrics.text();
    assert_shows(&text, "drawbridge_connections_open 1");
    assert_shows(&text, "drawbridge_sessions_open{way=\"jump\"} 1");
    assert_shows(&text, "drawbridge_channels_open 1");
    // The disk is full: the endings are not on record, and over all the same. A start that is not on record is none.
    let full = AuditError::Write(Arc::new(std::io::ErrorKind::StorageFull.into()));
    metrics.lost(named("session-started"), &full);
    metrics.lost(named("session-ended"), &full);
    metrics.lost(named("connection-ended"), &full);
    let text = metrics.text();
    for line in [
        "drawbridge_connections_open 0",
        "drawbridge_sessions_open{way=\"jump\"} 0",
        "drawbridge_channels_open 0",
        "drawbridge_sessions_total{way=\"jump\"} 1",
        "drawbridge_sessions_ended_total{way=\"jump\",ending=\"idle\"} 1",
        "drawbridge_audit_lines_lost_total{reason=\"write\"} 3",
    ] {
        assert_shows(&text, line);
    }
}

#[test]
fn rooms_say_how_they_are() {
    let text = connected().text();
    for line in [
        "drawbridge_store_up 1",
        "drawbridge_store_lag_lines 7",
        "drawbridge_sink_up{sink=\"siem\"} 0",
        "drawbridge_sink_overflowed_lines_total{sink=\"siem\"} 3",
        "drawbridge_sink_delivered_lines_total{sink=\"siem\"} 40",
        "drawbridge_sink_lag_bytes{sink=\"siem\"} 12",
        "drawbridge_recording_upload_failures_total 1",
        "drawbridge_inventory_age_seconds{account=\"prod\",region=\"eu-west-1\"} 1.5",
        "drawbridge_inventory_listed{account=\"new\",region=\"eu-west-1\"} 0",
        "drawbridge_worker_connections{worker=\"1\"} 0",
    ] {
        assert_shows(&text, line);
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!metrics().text().contains("store_up"), "what is not connected is not claimed");
}

/// Texts from outside, and numbers that no machine has.
fn hostile() -> Vec<Entry> {
    const EVIL: &str = "evil\"} 1\nforged_metric 7\u{1b}[2J";
    let text = |n: usize| Text::from(format!("{EVIL}{n}"));
    let mut entries = Vec::new();
    for n in 0..500 {
        let events = [
            Event::AuthenticationFailed {
                ssh_user: EVIL.into(),
                method: text(n),
                algorithm: Some(text(n)),
                fingerprint: None,
                certificate: None,
                reason: text(n),
                detail: text(n),
            },
            Event::ChannelRefused { requested: text(n), reason: text(n) },
            Event::TargetRequested { typed: text(n), way: crate::audit::Way::Direct },
            Event::UpstreamFailed {
                target_address: ([10, 0, 0, 1], 22).into(),
                class: crate::domain::FailureClass::ConnectTimeout,
                reason: text(n),
                detail: text(n),
                host_key_fingerprint: None,
                pinned_fingerprint: None,
                duration: Duration::MAX,
            },
            Event::SessionEnded {
                ending: crate::domain::Ending::Finished,
                detail: Some(text(n)),
                bytes_to_target: u64::MAX,
                bytes_to_client: u64::MAX,
                channels: 0,
                duration: Duration::MAX,
            },
        ];
        entries.extend(events.map(Entry::of_daemon));
    }
    entries
}

#[test]
fn hostile_entries_add_no_series_and_no_text() {
    let metrics = metrics();
    let [first, rest] = [&hostile()[..5], &hostile()[5..]];
    first.iter().for_each(|entry| metrics.recorded(entry));
    let lines = metrics.text().lines().count();
    rest.iter().for_each(|entry| metrics.recorded(entry));
    let text = metrics.text();
    assert_eq!(text.lines().count(), lines, "the series are as many as before");
    assert!(!text.contains("evil") && !text.contains("forged") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn no_label_is_an_address_a_user_or_a_target() {
    let metrics = connected();
    for entry in examples::all() {
        metrics.recorded(&entry);
    }
    let text = metrics.text();
    for told in
        ["203.0.113.7", "10.0.1.20", "alice", "ec2-user", "web-1", "i-0123456789abcdef0", "SHA256:", "uptime"]
    {
        assert!(!text.contains(told), "{told}");
    }
}

#[test]
fn the_document_explains_every_family_and_no_other() {
    let metrics = connected();
    for entry in examples::all() {
        metrics.recorded(&entry);
    }
    let text = metrics.text();
    let families: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next()).collect();
    assert!(families.len() > 40, "{families:?}");
    for family in &families {
        let row = format!("| `{family}");
        let told = DOCUMENT
            .lines()
            .any(|line| line.strip_prefix(&row).is_some_and(|rest| rest.starts_with(['`', '_', '{'])));
        assert!(told, "`{family}` in docs/operating.md");
    }
    for row in DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `drawbridge_")) {
        let name = format!("drawbridge_{}", row.split(['`', '{']).next().unwrap_or_default());
        let there = families.iter().any(|family| {
            name.strip_prefix(family).is_some_and(|rest| ["", "_total", "_info"].contains(&rest))
        });
        assert!(there, "`{name}` of docs/operating.md does not occur");
    }
}
