//! What an operator's machines see: metrics, health, and a log that nobody else writes into.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Builder, Finished, Lab, Postgres, Way, finish, run_drawbridge, start, wait_for};

const SOON: Duration = Duration::from_secs(20);

/// A lab that tells of itself at a port of the system's choice.
fn told() -> Builder {
    Lab::with().config("metrics", "listen", "\"127.0.0.1:0\"")
}

/// Where it is told, as the log says.
#[track_caller]
fn address(lab: &Lab) -> SocketAddr {
    let log = lab.daemon.log();
    let line =
        log.lines().find(|line| line.contains("metrics and health are told")).expect("the log says where");
    let address =
        line.split("address=").nth(1).expect("an address").split_whitespace().next().expect("an address");
    address.parse().expect("an address")
}

/// Asks as curl would; the status line and the body.
#[track_caller]
pub(crate) fn get(lab: &Lab, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address(lab)).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer, and then the end");
    let (head, body) = said.split_once("\r\n\r\n").expect("a head and a body");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// What Prometheus' own parser makes of the metrics.
struct Scraped {
    text: String,
    samples: Vec<Value>,
}

#[track_caller]
fn scrape(lab: &Lab) -> Scraped {
    let (status, text) = get(lab, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut judge = Command::new(package.join("target/lab/venv/bin/python"));
    judge.arg(package.join("tests/lab/openmetrics.py"));
    let judged = finish(start(&mut judge), text.clone().into_bytes(), SOON).ended_with(0);
    let judged: Value = serde_json::from_str(&judged.out()).expect("JSON");
    Scraped { text, samples: judged["samples"].as_array().expect("a list").clone() }
}

impl Scraped {
    /// The sum of the samples of that name with these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Value| {
            sample["name"] == name && labels.iter().all(|(label, value)| sample["labels"][label] == *value)
        };
        self.samples.iter().filter(fits).map(|sample| sample["value"].as_f64().expect("a number")).sum()
    }

    fn whole(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        format!("{:.0}", self.sum(name, labels)).parse().expect("a number")
    }
}

#[test]
fn metrics_agree_with_the_audit() {
    let lab = told().instance("web-1").start();
    for way in Way::BOTH {
        lab.client(way, "web-1").run("head -c 100000 /dev/zero").ended_with(0);
    }
    lab.client(Way::Direct, "no-such-evil").run("true").ended_with(255);
    wait_for("everything to be over", SOON, || scrape(&lab).whole("drawbridge_connections_open", &[]) == 0);
    let scraped = scrape(&lab);
    for (name, labels, wanted) in [
        ("drawbridge_sessions_total", &[("way", "jump")][..], 1),
        ("drawbridge_sessions_total", &[("way", "direct")], 1),
        ("drawbridge_sessions_ended_total", &[], 2),
        ("drawbridge_sessions_open", &[], 0),
        ("drawbridge_channels_ended_total", &[("action", "exec"), ("ending", "finished")], 2),
        ("drawbridge_carried_bytes_total", &[("action", "exec"), ("direction", "to-client")], 200_000),
        ("drawbridge_key_pushes_total", &[("result", "pushed")], 2),
        ("drawbridge_key_push_duration_seconds_count", &[], 2),
        ("drawbridge_upstream_connects_total", &[("result", "connected")], 2),
        ("drawbridge_inventory_instances", &[("account", "lab"), ("region", "eu-west-1")], 1),
        ("drawbridge_inventory_listed", &[], 1),
        ("drawbridge_audit_lines_lost_total", &[], 0),
        ("drawbridge_reload_succeeded", &[("what", "policy")], 1),
        ("drawbridge_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1),
    ] {
        assert_eq!(scraped.whole(name, labels), wanted, "{name} {labels:?}");
    }
    let trail = lab.audit();
    for event in ["connection-opened", "decision", "authentication-succeeded"] {
        let lines = trail.iter().filter(|line| line["event"] == event).count();
        let counted = scraped.whole("drawbridge_audit_lines_total", &[("event", event)]);
        assert_eq!(counted, i64::try_from(lines).expect("a number"), "{event}");
    }
    assert!(scraped.sum("process_resident_memory_bytes", &[]) > 1e6);
    assert!(scraped.sum("drawbridge_journal_lines_total", &[]) > 10.0);
    for told in ["alice", "evil", "web-1", "127.0.0.1", "SHA256", "/dev/zero", &lab.account()] {
        assert!(!scraped.text.contains(told), "{told} is in the metrics");
    }
}

#[test]
fn a_node_lives_is_ready_and_says_when_it_is_no_longer() {
    let lab = told().instance("web-1").config("server", "shutdown_grace", "\"30s\"").start();
    assert_eq!(get(&lab, "/healthz"), ("HTTP/1.1 200 OK".to_owned(), "alive\n".to_owned()));
    let (status, report) = get(&lab, "/readyz");
    assert_eq!(status, "HTTP/1.1 200 OK", "{report}");
    for part in ["ready\n", "policy: ok\n", "inventory: ok\n", "journal: ok\n"] {
        assert!(report.contains(part), "{report}");
    }
    let session = lab.client(Way::Direct, "web-1").start(&["cat"]);
    wait_for("the session", SOON, || scrape(&lab).whole("drawbridge_sessions_open", &[]) == 1);
    lab.daemon.signal(Signal::TERM);
    wait_for("the node to say that it goes", SOON, || {
        get(&lab, "/readyz")
            == (
                "HTTP/1.1 503 Service Unavailable".to_owned(),
                "not ready\nshutdown: drawbridge is shutting down\n".to_owned(),
            )
    });
    assert_eq!(get(&lab, "/healthz").1, "alive\n", "and it is alive while sessions go on");
    drop(session);
    assert_eq!(lab.daemon.wait(SOON), 0);
}

#[test]
fn the_listener_is_off_by_default_and_stays_at_home() {
    let lab = Lab::with().start();
    assert!(!lab.daemon.log().contains("metrics and health are told"));
    let abroad = Lab::with().config("metrics", "listen", "\"0.0.0.0:0\"").prepare();
    let checked: Finished =
        run_drawbridge(&["check", "--config", &abroad.config_file().display().to_string()], &[])
            .ended_with(1);
    assert!(
        checked.out().contains("metrics.listen") && checked.out().contains("public = true"),
        "{}",
        checked.out()
    );
}

#[test]
fn on_postgresql_the_first_lines_of_the_log_were_missing() {
    let postgres = Postgres::start();
    let lab = told().config("store", "url", &format!("{:?}", postgres.url())).start();
    wait_for("the line that it listens", SOON, || lab.daemon.log().contains("listening"));
    address(&lab);
}

#[test]
fn an_address_that_is_taken_is_explained() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let prepared = Lab::with().config("metrics", "listen", &format!("{address:?}")).prepare();
    let environment = prepared.environment();
    let env: Vec<(&str, &str)> =
        environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let done =
        run_drawbridge(&["serve", "--config", &prepared.config_file().display().to_string()], &env).failed();
    assert!(done.err().contains(&address) && done.err().contains("metrics.listen"), "{}", done.err());
}

#[test]
fn what_clients_and_targets_say_does_not_write_the_log() {
    let lab = told().instance("web-1").start();
    let forged = "x\u{1b}]0;owned\u{7}\n2026-01-01T00:00:00Z  INFO drawbridge: forged";
    lab.client(Way::Direct, "web-1").run(&format!("echo '{forged}' >&2; exit 3")).ended_with(3);
    let log = lab.daemon.log();
    let steers = |c: char| c.is_control() && c != '\n';
    assert!(!log.contains(steers), "{}", log.escape_debug());
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01") || line.starts_with("forged")), "{log}");
}

/// A command of the operator's beside the daemon; what it prints.
#[track_caller]
fn operator(lab: &Lab, args: &[&str]) -> Finished {
    let config = lab.config_file().display().to_string();
    let environment = lab.environment();
    let env: Vec<(&str, &str)> =
        environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    run_drawbridge(&[args, &["--config", &config]].concat(), &env)
}

fn recordings(lab: &Lab) -> usize {
    std::fs::read_dir(lab.dir().join("data/recordings")).map_or(0, Iterator::count)
}

#[test]
fn what_is_old_goes_while_the_daemon_runs_and_the_rest_verifies() {
    let lab = Lab::with().instance("web-1").config("recording", "default", "\"required\"").start();
    for way in Way::BOTH {
        lab.client(way, "web-1").args(&["-tt"]).run("echo recorded").ended_with(0);
    }
    let dry = || -> Value {
        let done = operator(&lab, &["prune", "--older-than", "1s", "--dry-run", "--json"]).ended_with(0);
        serde_json::from_str(&done.out()).expect("JSON")
    };
    wait_for("both sessions to be old", SOON, || dry()["nodes"][0]["sessions"] == 2);
    assert_eq!(
        (dry()["nodes"][0]["recordings"].clone(), recordings(&lab)),
        (2.into(), 2),
        "nothing has gone yet"
    );

    let done = operator(&lab, &["prune", "--older-than", "1s"]).ended_with(0);
    assert!(
        done.out().contains("2 sessions, 2 recordings") && done.out().contains("2 removed"),
        "{}",
        done.out()
    );
    assert_eq!(recordings(&lab), 0);
    operator(&lab, &["audit", "verify"]).ended_with(0);

    lab.client(Way::Direct, "web-1").run("echo the daemon goes on").ended_with(0);
    wait_for("the new session to be in the store", SOON, || {
        let listed = operator(&lab, &["sessions", "list", "--json"]).out();
        listed.lines().filter(|line| line.contains("web-1")).count() == 1
    });
    operator(&lab, &["audit", "verify"]).ended_with(0);
}
