//! The commands, on a journal that a log has written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;

use crate::audit::{self, AuditKey, Entry, Event, Heads, Log, NoOthers, Reloadable};
use crate::cli::{Arguments, Exit, run};
use crate::clock::SystemClock;
use crate::domain::NodeName;

/// A journal with four records, a head and one more.
struct Lab {
    directory: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { directory: tempfile::tempdir().expect("a directory") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(lab.live());
        std::fs::write(lab.path("key.pub"), format!("# of this test\n{}\n", lab.key().public_line()))
            .expect("written");
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn key(&self) -> AuditKey {
        AuditKey::load_or_create(&self.path("key"), &node()).expect("a key")
    }

    async fn live(&self) {
        let settings =
            audit::Settings { journal: self.path("journal"), node: node(), sync: true, resume: None };
        let log = Log::open(&settings, Arc::new(SystemClock)).expect("it opens");
        let heads = Heads::new(log.clone(), Arc::new(self.key()), Arc::new(NoOthers));
        for _ in 0..4 {
            log.record(entry()).await.expect("recorded");
        }
        heads.sign().await.expect("signed");
        heads.sign().await.expect("nothing is new");
        log.record(entry()).await.expect("recorded");
        log.close().await.expect("closed");
    }

    fn trail(&self) -> PathBuf {
        self.path("journal").join("00000000000000000001.jsonl")
    }

    fn verify(&self, more: &[&str]) -> (Exit, String, String) {
        let (file, key) = (self.trail(), self.path("key.pub"));
        let mut arguments = vec!["drawbridge", "audit", "verify", "--file", text(&file), "--key", text(&key)];
        arguments.extend(more);
        run_with(&arguments)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn node() -> NodeName {
    NodeName::parse("bastion-1").expect("a name")
}

fn entry() -> Entry {
    Entry::of_daemon(Event::Reloaded { what: Reloadable::Users })
}

fn run_with(arguments: &[&str]) -> (Exit, String, String) {
    let arguments = Arguments::try_parse_from(arguments).expect("arguments that clap accepts");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(arguments, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (exit, text(out), text(err))
}

#[test]
fn a_sound_trail_passes_and_an_edited_one_fails_and_names_the_record() {
    let lab = Lab::new();
    let (exit, out, err) = lab.verify(&[]);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""), "{out}");
    assert!(
        out.starts_with("node bastion-1: records 1 to 6, until ") && out.contains("signed up to record 4 at"),
        "{out}"
    );
    assert!(out.ends_with("The trail is as it was written.\n"), "{out}");
    let sound = std::fs::read_to_string(lab.trail()).expect("text");
    let lines: Vec<&str> = sound.lines().collect();
    let edited = sound.replacen(lines[2], &lines[2].replace("users", "Users"), 1);
    std::fs::write(lab.trail(), edited).expect("written");
    let (exit, out, _) = lab.verify(&[]);
    assert_eq!(exit, Exit::Failed);
    assert!(out.contains("changed: record 3 of the node bastion-1 (reloaded, "), "{out}");
    assert!(
        out.contains("00000000000000000001.jsonl:3: the next record names another hash than it has."),
        "{out}"
    );
    let (exit, out, _) = lab.verify(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (exit, &json["findings"][0]["what"], &json["findings"][0]["seq"]),
        (Exit::Failed, &"changed".into(), &3.into())
    );
}

#[test]
fn a_head_from_the_operators_log_finds_what_was_cut_off() {
    let lab = Lab::new();
    let sound = std::fs::read_to_string(lab.trail()).expect("text");
    let hash = audit::LineHash::of(sound.lines().next_back().expect("a line"));
    let head = format!("bastion-1:6:{hash}");
    assert_eq!(lab.verify(&["--head", &head]).0, Exit::Done);
    let cut: String = sound.lines().take(5).map(|line| format!("{line}\n")).collect();
    std::fs::write(lab.trail(), cut).expect("written");
    assert_eq!(lab.verify(&[]).0, Exit::Done, "nothing vouches for record 6");
    let (exit, out, _) = lab.verify(&["--head", &head]);
    assert!(exit == Exit::Failed && out.contains("cut off: record 6 of the node bastion-1: "), "{out}");
}

#[test]
fn what_cannot_be_used_is_explained() {
    let lab = Lab::new();
    let (exit, _, err) = run_with(&[
        "drawbridge",
        "audit",
        "verify",
        "--file",
        "/nonexistent/a.jsonl",
        "--key",
        text(&lab.path("key.pub")),
    ]);
    assert!(
        exit == Exit::Failed && err.contains("/nonexistent/a.jsonl cannot be read: No such file"),
        "{err}"
    );
    let (_, _, err) = lab.verify(&["--key", "/nonexistent/key"]);
    assert!(err.contains("/nonexistent/key cannot be read"), "{err}");
    let (_, _, err) = lab.verify(&["--key", "ssh-rsa AAAA"]);
    assert!(err.contains("--key: line 1 is no Ed25519 public key"), "{err}");
    let (_, _, err) = lab.verify(&["--key", "/dev/null"]);
    assert!(err.contains("/dev/null has no key in it"), "{err}");
    for wrong in ["a", "a:1:00", "a:x:00", "/:1:00"] {
        assert!(
            Arguments::try_parse_from(["drawbridge", "audit", "verify", "--head", wrong]).is_err(),
            "{wrong}"
        );
    }
}
