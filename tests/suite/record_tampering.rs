//! Whoever edits the record is found: in the database, in exported lines, and in recordings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Finished, Lab, Way, named, run_drawbridge};

const SOON: Duration = Duration::from_secs(60);

/// A finished run with two recorded terminals and a command; the daemon has stopped.
fn a_record() -> Lab {
    let lab =
        Lab::with().on_sqlite().config("recording", "default", "\"required\"").instance("web-1").start();
    for word in ["one", "two"] {
        lab.client(Way::Direct, "web-1").args(&["-tt"]).run(&format!("echo {word}; sleep 0.1")).ended_with(0);
    }
    lab.client(Way::Jump, "web-1").run("true").ended_with(0);
    lab.daemon.signal(Signal::TERM);
    lab.daemon.wait(SOON);
    lab
}

/// A copy of everything that the daemon kept.
fn copy(lab: &Lab, name: &str) -> PathBuf {
    let to = lab.dir().join(name);
    let copied = Command::new("cp").args(["-a"]).arg(lab.dir().join("data")).arg(&to).status();
    assert!(copied.is_ok_and(|status| status.success()));
    to
}

fn verify(lab: &Lab, data: &Path) -> Finished {
    let config = lab.config_file().display().to_string();
    let moved = format!("data.dir={}", data.display());
    run_drawbridge(&["audit", "verify", "--config", &config, "--set", &moved], &[])
}

/// Changes the database as somebody would who has it in hand.
fn tamper(data: &Path, sql: &str) {
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1])\n\
                  db.executescript(sys.argv[2])\n\
                  db.commit()\n";
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/venv/bin/python");
    let out = Command::new(python).args(["-c", script]).arg(data.join("drawbridge.db")).arg(sql).output();
    let out = out.expect("python");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn number(line: &Value) -> u64 {
    line["seq"].as_u64().expect("a number")
}

#[track_caller]
fn found(answer: &Finished, what: &str, names: &[String]) {
    let said = format!("{}{}", answer.out(), answer.err());
    assert!(answer.code.is_some_and(|code| code != 0), "{what} was not found: {said}");
    assert!(names.iter().any(|name| said.contains(name)), "{what}: {names:?} is not named in: {said}");
}

#[test]
fn every_way_to_edit_the_database_or_the_recordings_is_found_and_named() {
    let lab = a_record();
    verify(&lab, &copy(&lab, "untouched")).ended_with(0);
    let trail = lab.audit();
    let last = number(trail.last().expect("a trail"));
    let decision = number(named(&trail, "decision")[0]);
    let pushed = number(named(&trail, "key-pushed")[0]);
    let session = named(&trail, "session-started")[0]["session"].as_str().expect("a session").to_owned();
    let at = |seq: u64| vec![seq.to_string()];
    let cases = [
        (
            "an edit",
            format!("UPDATE events SET line = replace(line, 'alice', 'malice') WHERE seq = {decision}"),
            at(decision),
        ),
        ("a deletion", format!("DELETE FROM events WHERE seq = {pushed}"), at(pushed)),
        (
            "an insertion",
            format!(
                "UPDATE events SET seq = -seq - 1 WHERE seq >= {pushed}; UPDATE events SET seq = -seq WHERE seq < 0; \
                 INSERT INTO events (node, seq, time, event, line) \
                 SELECT node, {pushed}, time, event, line FROM events WHERE seq = {decision}"
            ),
            at(pushed),
        ),
        (
            "a change of order",
            format!(
                "UPDATE events SET seq = -1 WHERE seq = {decision}; \
                 UPDATE events SET seq = {decision} WHERE seq = {pushed}; \
                 UPDATE events SET seq = {pushed} WHERE seq = -1"
            ),
            vec![decision.to_string(), pushed.to_string()],
        ),
        ("a cut", format!("DELETE FROM events WHERE seq > {}", last - 1), at(last)),
        (
            "an edit of what is derived",
            format!("UPDATE sessions SET user_name = 'malice' WHERE id = '{session}'"),
            vec![session.clone()],
        ),
        (
            "the deletion of a session from what is derived",
            format!("DELETE FROM sessions WHERE id = '{session}'"),
            vec![session.clone()],
        ),
    ];
    for (index, (what, sql, names)) in cases.iter().enumerate() {
        let data = copy(&lab, &format!("case-{index}"));
        tamper(&data, sql);
        found(&verify(&lab, &data), what, names);
    }
    let recordings: Vec<String> = named(&trail, "channel-started")
        .iter()
        .filter_map(|event| event["recording"].as_str().map(str::to_owned))
        .collect();
    assert!(recordings.len() >= 2, "two terminals were recorded");
    let file = |data: &Path, id: &str| {
        let all = fs::read_dir(data.join("recordings")).expect("recordings");
        let mut paths = all.map(|entry| entry.expect("an entry").path());
        paths.find(|path| path.to_string_lossy().contains(id)).expect("its file")
    };
    let data = copy(&lab, "swapped");
    let (one, two) = (file(&data, &recordings[0]), file(&data, &recordings[1]));
    let aside = data.join("aside");
    fs::rename(&one, &aside).expect("renamed");
    fs::rename(&two, &one).expect("renamed");
    fs::rename(&aside, &two).expect("renamed");
    found(&verify(&lab, &data), "a swap of two recordings", &recordings);
    let data = copy(&lab, "changed");
    let path = file(&data, &recordings[0]);
    let mut bytes = fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    found(&verify(&lab, &data), "a change of a recording", &recordings[..1]);
    let data = copy(&lab, "missing");
    fs::remove_file(file(&data, &recordings[1])).expect("removed");
    found(&verify(&lab, &data), "the loss of a recording", &recordings[1..2]);
}

#[test]
fn every_way_to_edit_exported_lines_is_found_and_named() {
    let lab = a_record();
    let key = lab.dir().join("audit_key.pub");
    fs::write(&key, lab.ask(&["audit", "key"]).ended_with(0).stdout).expect("our own folder");
    let trail = fs::read_to_string(lab.dir().join("data/audit.jsonl")).expect("a trail");
    let lines: Vec<&str> = trail.lines().collect();
    let file = lab.dir().join("lines.jsonl");
    let check = |lines: &[String]| {
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("written");
        run_drawbridge(
            &["audit", "verify", "--file", &file.display().to_string(), "--key", &key.display().to_string()],
            &[],
        )
    };
    let whole: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    check(&whole).ended_with(0);
    let middle = whole.len() / 2;
    let name = |index: usize| vec![number(&serde_json::from_str(lines[index]).expect("JSON")).to_string()];
    let mut edited = whole.clone();
    edited[middle] = edited[middle].replacen("\"time\":\"2", "\"time\":\"1", 1);
    found(&check(&edited), "an edit", &name(middle));
    let mut deleted = whole.clone();
    deleted.remove(middle);
    found(&check(&deleted), "a deletion", &name(middle));
    let mut inserted = whole.clone();
    inserted.insert(middle, whole[2].clone());
    found(&check(&inserted), "an insertion", &[name(2), name(middle)].concat());
    let mut reordered = whole.clone();
    reordered.swap(middle, middle + 1);
    found(&check(&reordered), "a change of order", &[name(middle), name(middle + 1)].concat());
    let other = lab.dir().join("other_key.pub");
    fs::write(
        &other,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f other\n",
    )
    .expect("our own folder");
    fs::write(&file, &trail).expect("written");
    let answer = run_drawbridge(
        &["audit", "verify", "--file", &file.display().to_string(), "--key", &other.display().to_string()],
        &[],
    );
    assert_ne!(answer.code, Some(0), "heads that another key signed prove nothing: {answer:?}");
}
