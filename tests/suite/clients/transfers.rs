//! What clients move is on record, whichever program does it: one event each way, with the size and the hash that
//! `sha256sum` has on the target.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{LARGE, Person, lab};
use crate::support::{named, wait_for};

const SOON: Duration = Duration::from_secs(30);

/// What is on record of data that were moved to or from that person's `/srv`. OpenSSH's scp also sets the length of
/// what it has sent.
fn operations(person: &Person) -> Vec<Value> {
    let below = format!("{}/", person.srv().display());
    let trail = lab().audit();
    let operations =
        named(&trail, "file-operation").into_iter().filter(|event| event["operation"] != "setstat");
    operations
        .filter(|event| event["path"].as_str().is_some_and(|path| path.starts_with(&below)))
        .cloned()
        .collect()
}

/// A copy there and back, and what is on record of it.
struct Copied {
    /// The path on the target.
    far: String,
    /// What `sha256sum` says there.
    sum: String,
    told: Vec<Value>,
}

/// Runs a script that copies `report.tar` to `/srv` and back, and compares what is on record.
#[track_caller]
fn is_told(person: &Person, protocol: &str, script: &str) {
    compare(&copied(person, script), protocol, script);
}

#[track_caller]
fn copied(person: &Person, script: &str) -> Copied {
    person.has_a_file("report.tar", LARGE);
    let before = operations(person).len();
    let far = person.srv().join("report.tar").display().to_string();
    person.runs(script).ended_with(0);
    let summed = person.runs(&format!("ssh web-1 sha256sum {far}")).ended_with(0).out();
    let sum = summed.split(' ').next().expect("a word").to_owned();
    wait_for("what was moved to be on record", SOON, || operations(person).len() >= before + 2);
    let told = operations(person).split_off(before);
    std::fs::remove_file(&far).expect("our own folder");
    Copied { far, sum, told }
}

#[track_caller]
fn compare(copied: &Copied, protocol: &str, script: &str) {
    let Copied { far, sum, told } = copied;
    let moved: BTreeMap<_, _> = told.iter().map(|event| (event["operation"].as_str(), event)).collect();
    assert_eq!(told.len(), 2, "{script}: {told:#?}");
    for operation in ["read", "write"] {
        let event =
            moved.get(&Some(operation)).unwrap_or_else(|| panic!("{script}: no {operation}: {told:#?}"));
        let facts =
            ["protocol", "path", "bytes", "sha256", "result", "out_of_order", "from"].map(|key| &event[key]);
        let expected = [protocol, far.as_str()].map(Value::from);
        let [protocol, path] = &expected;
        let (bytes, ok) = (json!(LARGE), json!("ok"));
        assert_eq!(facts, [protocol, path, &bytes, &json!(sum), &ok, &Value::Null, &Value::Null], "{script}");
    }
}

#[test]
fn what_openssh_moves_is_told() {
    let person = Person::with(&[]);
    for snippet in ["copy-jump", "copy-direct"] {
        let script = person.snippet(snippet);
        is_told(&person, "sftp", &script);
        is_told(&person, "scp", &script.replace("scp ", "scp -O "));
    }
    is_told(&person, "sftp", &person.snippet("sftp-direct"));
}

#[test]
fn what_putty_moves_is_told() {
    let person = Person::with(&["pscp", "psftp", "puttygen"]);
    person.runs(&person.snippet("putty-key")).ended_with(0);
    is_told(&person, "scp", &person.snippet("pscp-direct"));
    is_told(&person, "sftp", &person.snippet("psftp-direct"));
}

#[test]
fn what_paramiko_moves_is_told() {
    let person = Person::with(&[]);
    person.runs(&person.snippet("paramiko-known-hosts")).ended_with(0);
    for way in ["paramiko-direct", "paramiko-jump"] {
        let script = format!("{}\n{}", person.snippet(way), person.snippet("paramiko-copy"));
        person.writes("transfer.py", &script);
        // Where the answer to paramiko's first request overtakes its second request, paramiko takes what it has asked for
        // in advance for complete and asks for everything behind it once more: the record then tells of that.
        let twice = |copied: &Copied| copied.told.iter().any(|event| event["out_of_order"] == true);
        let mut tries = (0..10).map(|_| copied(&person, "python transfer.py"));
        let once = tries.find(|copied| !twice(copied)).expect("a copy that paramiko asked for once");
        compare(&once, "sftp", "python transfer.py");
    }
}
