//! Copies of the audit trail, and receivers that others wrote: rsyslog, Python's TLS, an OCSF schema from a package, and
//! the protobuf of OpenTelemetry.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Finished, Lab, Supervisor, Way, finish, start, wait_for};

const SOON: Duration = Duration::from_secs(60);
/// Every version from that of the youngest thing in our events to that which they name.
const OCSF_VERSIONS: [&str; 4] = ["1.5.0", "1.6.0", "1.7.0", "1.8.0"];

fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Has the events judged, one a line.
fn judge(events: &str) -> Finished {
    let mut command = Command::new(package("target/lab/venv/bin/python"));
    command.arg(package("tests/lab/ocsf_judge.py")).args(OCSF_VERSIONS);
    finish(start(&mut command), events.as_bytes().to_vec(), SOON)
}

#[test]
fn events_are_valid_for_a_judge_that_others_wrote() {
    let snapshot = package("src/sinks/ocsf/snapshots/drawbridge__sinks__ocsf__tests__the_wire_form.snap");
    let snapshot = std::fs::read_to_string(snapshot).expect("the snapshot of every event");
    let events: Vec<&str> = snapshot.lines().filter(|line| line.starts_with('{')).collect();
    assert!(events.len() > 50, "{}", events.len());
    judge(&events.join("\n")).ended_with(0);
    // The judge finds fault where there is one.
    for (right, wrong) in [
        (r#""class_uid":4007"#, r#""class_uid":3002"#),
        (r#""metadata":{"#, r#""meta":{"#),
        (r#""severity_id":1"#, r#""severity_id":77"#),
        (r#""ip":"203.0.113.7""#, r#""ip":"nowhere""#),
    ] {
        let event = events.iter().find(|event| event.contains(right)).expect("an event that has it");
        judge(&event.replacen(right, wrong, 1)).ended_with(1);
    }
}

/// A syslog receiver with TLS.
struct SyslogReceiver {
    folder: PathBuf,
    port: u16,
    pid: Option<u64>,
}

impl SyslogReceiver {
    /// Makes its folder and its certificates, and listens.
    fn start(folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).expect("a folder");
        let mut receiver = Self { folder, port: Supervisor::get().free_port("127.0.0.1"), pid: None };
        receiver.listen();
        receiver
    }

    fn listen(&mut self) {
        let argv = [
            package("target/lab/venv/bin/python"),
            package("tests/lab/syslog_receiver.py"),
            self.folder.clone(),
        ];
        let mut argv: Vec<String> = argv.iter().map(|path| path.display().to_string()).collect();
        argv.push(self.port.to_string());
        let log = self.folder.join("log");
        self.pid = Some(Supervisor::get().spawn(&argv, &json!({}), &log, &log));
        wait_for("the syslog receiver", SOON, || {
            std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
        });
    }

    fn end(&mut self) {
        self.pid.take().into_iter().for_each(|pid| Supervisor::get().end(pid));
    }

    fn sink(&self) -> String {
        let Self { folder, port, .. } = self;
        format!(
            r#"{{ name = "siem", kind = "syslog", to = "tls://127.0.0.1:{port}", ca = "{}/ca.pem" }}"#,
            folder.display()
        )
    }

    /// Every message so far.
    fn messages(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("messages")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The lines in them.
    fn lines(&self) -> Vec<Value> {
        let json = |message: &String| message.split_once("] ").expect("structured data").1.to_owned();
        self.messages().iter().map(|message| serde_json::from_str(&json(message)).expect("JSON")).collect()
    }
}

impl Drop for SyslogReceiver {
    fn drop(&mut self) {
        self.end();
    }
}

/// An OpenTelemetry receiver in this process.
struct OtlpReceiver {
    bodies: Arc<Mutex<Vec<String>>>,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

async fn take(State(bodies): State<Arc<Mutex<Vec<String>>>>, request: Bytes) {
    let request = ExportLogsServiceRequest::decode(request).expect("protobuf");
    let records = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
    for record in records.flat_map(|logs| logs.log_records) {
        let Some(Any::StringValue(body)) = record.body.and_then(|body| body.value) else { panic!("a text") };
        bodies.lock().expect("a lock").push(body);
    }
}

impl OtlpReceiver {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let bodies = Arc::<Mutex<Vec<String>>>::default();
        let router = Router::new().route("/v1/logs", post(take)).with_state(Arc::clone(&bodies));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { bodies, port, _runtime: runtime }
    }

    fn sink(&self) -> String {
        format!(r#"{{ name = "collector", kind = "otlp", url = "http://127.0.0.1:{}/v1/logs" }}"#, self.port)
    }

    fn lines(&self) -> Vec<Value> {
        let bodies = self.bodies.lock().expect("a lock");
        bodies.iter().map(|body| serde_json::from_str(body).expect("JSON")).collect()
    }
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["seq"].as_u64().expect("a number")).collect()
}

/// The OCSF file's events.
fn ocsf(lab: &Lab) -> Vec<Value> {
    let text = std::fs::read_to_string(lab.dir().join("data/ocsf.jsonl")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Ends the daemon in good order, and answers the whole trail.
fn stopped(lab: &Lab) -> Vec<Value> {
    lab.daemon.signal(Signal::TERM);
    assert_eq!(lab.daemon.wait(SOON), 0);
    let trail = lab.audit();
    assert_eq!(
        seqs(&trail),
        (1..=u64::try_from(trail.len()).expect("small")).collect::<Vec<_>>(),
        "audit.jsonl"
    );
    trail
}

#[test]
fn a_session_reaches_every_sink() {
    let folder = Supervisor::get().new_folder();
    let syslog = SyslogReceiver::start(folder.path().join("syslog"));
    let otlp = OtlpReceiver::start();
    let ocsf_sink = r#"{ name = "ocsf", kind = "ocsf", path = "ocsf.jsonl" }"#;
    let lab = Lab::with()
        .instance("web-1")
        .config("audit", "sinks", &format!("[{ocsf_sink}, {}, {}]", syslog.sink(), otlp.sink()))
        .start();
    lab.client(Way::Jump, "web-1").run("printf '\\033]0;x\\a'; true").ended_with(0);
    lab.audited("connection-ended", |_| true);
    // At the end everything that was recorded is everywhere, once and in order.
    let trail = stopped(&lab);
    assert_eq!(trail.last().expect("a trail")["event"], "head");
    assert_eq!(syslog.lines(), trail, "syslog");
    assert_eq!(otlp.lines(), trail, "OTLP");
    let events = ocsf(&lab);
    let numbers: Vec<u64> =
        events.iter().map(|event| event["metadata"]["sequence"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, seqs(&trail), "OCSF");
    let text: Vec<String> = events.iter().map(Value::to_string).collect();
    judge(&text.join("\n")).ended_with(0);
    for message in syslog.messages() {
        assert!(!message.contains(|c: char| c.is_control()), "{message}");
        assert!(message.starts_with('<') && message.contains("[drawbridge@32473 node="), "{message}");
    }
    let session = trail.iter().find(|line| line["event"] == "session-started").expect("a session");
    let event =
        events.iter().find(|event| event["metadata"]["event_code"] == "channel-ended").expect("an event");
    assert_eq!(event["actor"]["session"]["uid"], session["session"]);
    assert_eq!(event["actor"]["user"]["name"], "alice");
    assert_eq!(event["dst_endpoint"]["instance_uid"], session["target"]["id"]);
}

#[test]
fn what_a_receiver_missed_it_gets_when_it_is_back_also_after_kill_9() {
    let folder = Supervisor::get().new_folder();
    let mut syslog = SyslogReceiver::start(folder.path().join("syslog"));
    syslog.end();
    let mut lab =
        Lab::with().instance("web-1").config("audit", "sinks", &format!("[{}]", syslog.sink())).start();
    for round in 0..3 {
        // The receiver is away: sessions go on, and audit.jsonl is current.
        let before = lab.audit().len();
        lab.client(Way::Direct, "web-1").run("true").ended_with(0);
        wait_for("audit.jsonl to have the session", SOON, || {
            lab.audit().iter().skip(before).any(|line| line["event"] == "connection-ended")
        });
        lab.daemon.signal(Signal::KILL);
        lab.daemon.wait(SOON);
        if round == 1 {
            // And it comes, takes some, and goes again in the middle.
            syslog.listen();
        }
        lab.serve_again();
        if round == 1 {
            wait_for("the receiver to get something", SOON, || !syslog.messages().is_empty());
            syslog.end();
        }
    }
    syslog.listen();
    let reached = |lab: &Lab, syslog: &SyslogReceiver| {
        let (trail, got) = (lab.audit(), syslog.lines());
        let all: BTreeSet<u64> = seqs(&got).into_iter().collect();
        all == seqs(&trail).into_iter().collect()
    };
    wait_for("the receiver to have everything", SOON, || reached(&lab, &syslog));
    let trail = stopped(&lab);
    // Nothing is missing and nothing is changed; what went twice is the same line.
    let got = syslog.lines();
    let different: BTreeSet<String> = got.iter().map(Value::to_string).collect();
    assert_eq!(different, trail.iter().map(Value::to_string).collect());
    assert_eq!(seqs(&got).last(), seqs(&trail).last());
}

/// An rsyslog that takes messages in three ways and says what it understood.
struct Rsyslog {
    folder: PathBuf,
    port: u16,
    pid: u64,
}

const RSYSLOG: &str = r#"
global(workDirectory="FOLDER")
module(load="imtcp")
module(load="imudp")
module(load="imuxsock" SysSock.Use="off")
template(name="line" type="list" option.jsonf="on") {
  property(outname="input" name="inputname" format="jsonf")
  property(outname="priority" name="pri" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="id" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}
input(type="imtcp" port="PORT" address="127.0.0.1")
input(type="imudp" port="PORT" address="127.0.0.1")
input(type="imuxsock" Socket="FOLDER/log" UseSpecialParser="off" ParseHostname="on" RateLimit.Interval="0")
action(type="omfile" file="FOLDER/messages" template="line")
"#;

impl Rsyslog {
    fn start(folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).expect("a folder");
        let port = Supervisor::get().free_port("127.0.0.1");
        let path = folder.display().to_string();
        let config = RSYSLOG.replace("FOLDER", &path).replace("PORT", &port.to_string());
        std::fs::write(folder.join("rsyslog.conf"), config).expect("written");
        let argv =
            ["/usr/sbin/rsyslogd", "-n", "-f", &format!("{path}/rsyslog.conf"), "-i", &format!("{path}/pid")];
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let out = folder.join("out");
        let pid = Supervisor::get().spawn(&argv, &json!({}), &out, &out);
        wait_for("rsyslog", SOON, || {
            folder.join("log").exists() && std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        Self { folder, port, pid }
    }

    /// What it understood of messages that came in that way.
    fn understood(&self, input: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("messages")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let all = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        all.filter(|message| message["input"] == input).collect()
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        Supervisor::get().end(self.pid);
    }
}

#[test]
fn rsyslog_understands_every_message_over_tcp_udp_and_a_unix_socket() {
    let folder = Supervisor::get().new_folder();
    let rsyslog = Rsyslog::start(folder.path().join("rsyslog"));
    let sink = |name: &str, to: String| format!(r#"{{ name = "{name}", kind = "syslog", to = "{to}" }}"#);
    let sinks = [
        sink("tcp", format!("tcp://127.0.0.1:{}", rsyslog.port)),
        sink("udp", format!("udp://127.0.0.1:{}", rsyslog.port)),
        sink("unix", format!("unix://{}/log", rsyslog.folder.display())),
    ];
    let lab = Lab::with()
        .instance("web-1")
        .config("audit", "sinks", &format!("[{}]", sinks.join(", ")))
        .config("node", "name", "\"bastion-1\"")
        .start();
    lab.client(Way::Jump, "web-1").run("echo \"grüß ] \\\" $(printf '\\033[2J')\"; true").ended_with(0);
    lab.audited("connection-ended", |_| true);
    let trail = stopped(&lab);
    for input in ["imtcp", "imudp", "imuxsock"] {
        wait_for("rsyslog to have every line", SOON, || rsyslog.understood(input).len() >= trail.len());
        let understood = rsyslog.understood(input);
        let lines: Vec<Value> = understood
            .iter()
            .map(|message| serde_json::from_str(message["message"].as_str().expect("a text")).expect("JSON"))
            .collect();
        assert_eq!(lines, trail, "{input}");
        for (message, line) in understood.iter().zip(&trail) {
            assert_eq!(
                (&message["host"], &message["app"]),
                (&json!("bastion-1"), &json!("drawbridge")),
                "{input}"
            );
            assert_eq!(message["id"], line["event"], "{input}");
            let data = message["data"].as_str().expect("a text");
            assert!(data.contains(&format!("seq=\"{}\"", line["seq"])), "{input}: {data}");
        }
    }
}
