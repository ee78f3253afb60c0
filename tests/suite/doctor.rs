//! `drawbridge doctor` and `drawbridge iam-policy`, as an operator uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Daemon, Finished, Lab, Prepared, Start, Supervisor, run_drawbridge, wait_for};

fn ask(prepared: &Prepared, words: &[&str]) -> Finished {
    let environment = prepared.environment();
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let config = prepared.config_file().display().to_string();
    let args: Vec<&str> = words.iter().copied().chain(["--config", &config]).collect();
    run_drawbridge(&args, &environment)
}

/// The checks that doctor lists, of one verdict: subject, permission, finding.
fn checks(done: &Finished, verdict: &str) -> Vec<(String, Option<String>, String)> {
    let list: Value =
        serde_json::from_str(&done.out()).unwrap_or_else(|_| panic!("{}{}", done.out(), done.err()));
    let of_verdict =
        list["checks"].as_array().expect("a list").iter().filter(|check| check["verdict"] == verdict);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    of_verdict
        .map(|check| {
            (
                text(&check["subject"]).expect("text"),
                text(&check["permission"]),
                text(&check["finding"]).expect("text"),
            )
        })
        .collect()
}

#[test]
fn a_lab_in_order_has_nothing_to_repair() {
    let lab = Lab::with().instance("web-1").start();
    let done = lab.ask(&["doctor", "--json"]).ended_with(0);
    assert_eq!(checks(&done, "broken"), []);
    let sound = checks(&done, "sound");
    let about: BTreeSet<&str> = sound.iter().map(|(subject, _, _)| subject.as_str()).collect();
    for subject in
        ["users", "policy", "listeners", "store", "credentials", "permissions", "endpoints", "clock"]
    {
        assert!(about.contains(subject), "{subject} is not sound: {}", done.out());
    }
    let has = |wanted: &str| sound.iter().any(|(_, _, finding)| finding.contains(wanted));
    assert!(has("A drawbridge that runs listens here.") && has("arn:aws:"), "{}", done.out());
    let words = lab.ask(&["doctor"]).ended_with(0);
    assert!(words.out().contains("AWS permissions\n  ✓ "), "{}", words.out());
}

#[test]
fn what_is_broken_on_the_machine_is_named_before_anybody_connects() {
    let prepared =
        Lab::with().policy("permit (principal in Group::\"nobody-here\", action, resource);").prepare();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let done =
        ask(&prepared, &["doctor", "--json", "--set", &format!("server.listen={address}")]).ended_with(1);
    let broken: BTreeSet<String> =
        checks(&done, "broken").into_iter().map(|(subject, _, _)| subject).collect();
    assert_eq!(broken, ["listeners", "policy"].map(str::to_owned).into(), "{}", done.out());
    assert!(!prepared.dir().join("data/host_ed25519").exists(), "doctor has made something");
}

/// Runs doctor behind a proxy that leads nowhere; answers to which hosts it was to lead.
fn hosts_asked_for(prepared: &Prepared, region: &str) -> BTreeSet<String> {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = proxy.local_addr().expect("bound");
    let asked = std::thread::spawn(move || {
        let mut hosts = BTreeSet::new();
        for stream in proxy.incoming() {
            let mut stream = stream.expect("a connection");
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).expect("a line");
            let Some(host) = line.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
                break;
            };
            hosts.insert(host.to_owned());
            // Whoever asked may have left.
            let _answered = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").is_ok();
        }
        hosts
    });
    let way = format!("http://{address}");
    let config = prepared.config_file().display().to_string();
    let environment = [
        ("HTTPS_PROXY", way.as_str()),
        ("AWS_REGION", region),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ACCESS_KEY_ID", "AKIATEST"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    run_drawbridge(&["doctor", "--json", "--config", &config], &environment);
    TcpStream::connect(address).and_then(|mut end| end.write_all(b"END\r\n")).expect("the proxy listens");
    asked.join().expect("no panic")
}

#[test]
fn sts_is_asked_in_the_region_of_this_machine() {
    let prepared = Lab::with().prepare();
    for (region, host) in [
        ("eu-central-1", "sts.eu-central-1.amazonaws.com:443"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn:443"),
    ] {
        let hosts = hosts_asked_for(&prepared, region);
        let of_sts: Vec<&String> = hosts.iter().filter(|host| host.starts_with("sts.")).collect();
        assert_eq!(of_sts, [host], "{hosts:?}");
    }
}

#[test]
fn without_a_configuration_each_mistake_is_a_line() {
    let prepared = Lab::with().config("server", "lisen", "\"127.0.0.1:1\"").prepare();
    let done = ask(&prepared, &["doctor"]).ended_with(1);
    assert!(done.out().contains("✗ ") && done.out().contains("lisen"), "{}", done.out());
}

#[test]
fn the_policies_are_for_exactly_this_configuration() {
    let policy =
        "permit (principal, action in Action::\"session\", resource) when { context.login == \"ubuntu\" };";
    let prepared = Lab::with().policy(policy).prepare();
    let role = "arn:aws:iam::111122223333:role/bastion";
    let words = ["iam-policy", "--json", "--require-tag", "drawbridge=allowed", "--bastion-role", role];
    let all: Value = serde_json::from_str(&ask(&prepared, &words).ended_with(0).out()).expect("JSON");
    let statements = all["bastion"]["Statement"].as_array().expect("statements");
    let push = statements.iter().find(|statement| statement["Sid"] == "PushKeys").expect("pushes");
    assert_eq!(push["Condition"]["StringEquals"]["ec2:osuser"], serde_json::json!(["ubuntu"]));
    assert_eq!(
        push["Condition"]["StringEquals"]["aws:ResourceTag/drawbridge"],
        serde_json::json!(["allowed"])
    );
    assert!(!statements.iter().any(|statement| statement["Sid"] == "Diagnose"), "{all}");
    let words = ask(&prepared, &["iam-policy", "--diagnosis"]).ended_with(0);
    assert!(words.out().contains("ec2:DescribeNetworkAcls"), "{}", words.out());
    assert!(words.err().contains("note: Keys may be pushed for ubuntu."), "{}", words.err());
    assert_eq!(ask(&prepared, &["iam-policy", "--account", "nobody"]).code, Some(2));
    assert_eq!(ask(&prepared, &["iam-policy", "--require-tag", "a=*"]).code, Some(2));
}

/// The demo, whose AWS takes permissions away: one IAM action a line in `DIR/denied-actions`.
struct Demo {
    _daemon: Daemon,
    folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = Supervisor::get().new_folder();
        let port = Supervisor::get().free_port("127.0.0.1");
        let dir = folder.path().join("D").display().to_string();
        let argv = ["demo", "--dir", &dir, "--listen", &format!("127.0.0.1:{port}")].map(str::to_owned);
        let env = BTreeMap::from([("HOME".to_owned(), folder.path().display().to_string())]);
        let daemon = Daemon::spawn(&Start { argv: argv.to_vec(), env, log: folder.path().join("log"), port });
        wait_for("the demo to print `ready`", Duration::from_secs(60), || {
            assert!(daemon.ended().is_none(), "the demo has ended:\n{}", daemon.log_tail());
            daemon.log().lines().any(|line| line.trim() == "ready")
        });
        Self { _daemon: daemon, folder }
    }

    /// Asks doctor while these actions are denied.
    fn doctor(&self, denied: &str) -> Finished {
        let dir = self.folder.path().join("D");
        std::fs::write(dir.join("denied-actions"), denied).expect("our own folder");
        let config = dir.join("drawbridge.toml").display().to_string();
        // No credentials: the demo's own config is enough.
        let environment = [("AWS_EC2_METADATA_DISABLED", "true")];
        run_drawbridge(&["doctor", "--json", "--config", &config], &environment)
    }
}

#[test]
fn in_the_demo_each_permission_that_is_taken_away_is_named() {
    let demo = Demo::start();
    let sound = demo.doctor("").ended_with(0);
    assert_eq!(checks(&sound, "broken"), []);
    let permitted = checks(&sound, "sound").into_iter().find_map(|(_, _, finding)| {
        Some(
            finding
                .strip_prefix("Permitted: ")?
                .trim_end_matches('.')
                .split(", ")
                .map(str::to_owned)
                .collect(),
        )
    });
    let permitted: Vec<String> = permitted.expect("what is permitted");
    for wanted in
        ["ec2:DescribeInstances", "ec2-instance-connect:SendSSHPublicKey", "ec2:DescribeRouteTables"]
    {
        assert!(permitted.iter().any(|action| action == wanted), "{wanted} in {permitted:?}");
    }
    for action in permitted {
        let done = demo.doctor(&action).ended_with(1);
        let broken = checks(&done, "broken");
        let named: Vec<Option<&str>> =
            broken.iter().map(|(_, permission, _)| permission.as_deref()).collect();
        assert_eq!(named, [Some(action.as_str())], "{}", done.out());
    }
}
