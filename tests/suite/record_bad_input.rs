//! Disks that are full or cannot be written to, under the daemon's data.
//!
//! The daemon's data directory is a small file system in memory, in a mount namespace of the daemon's own: it is gone
//! when the daemon is. Tests look at it through `/proc`.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::operating::get;
use crate::support::{Daemon, Lab, Way, wait_for};

const SOON: Duration = Duration::from_secs(30);

/// Puts a small file system over the data directory (`$0`) and becomes the program. The words after it come behind.
const SMALL_DISK: &str = r#"mkdir -p "$0" && mount -t tmpfs -o mode=0700,size=6m tmpfs "$0" && exec "$@""#;
/// The same, and nothing can be written there.
const READ_ONLY: &str =
    r#"mkdir -p "$0" && mount -t tmpfs -o mode=0700 tmpfs "$0" && mount -o remount,ro "$0" && exec "$@""#;

/// Whether this machine lets us have a mount namespace: as root, or by user namespaces.
fn namespaces() -> Option<&'static [&'static str]> {
    const ROOT: &[&str] = &["unshare", "--mount"];
    const USER: &[&str] = &["unshare", "--mount", "--map-root-user"];
    let works = |words: &&&[&str]| {
        let tried =
            Command::new(words[0]).args(&words[1..]).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
        tried.is_ok_and(|done| done.status.success())
    };
    let found = [ROOT, USER].iter().find(works).copied();
    if found.is_none() {
        eprintln!("SKIPPED: this machine lets nobody mount anything, so there is no small disk to fill");
    }
    found
}

/// The data directory as the daemon sees it.
fn data(lab: &Lab) -> PathBuf {
    let dir = lab.dir().join("data");
    PathBuf::from(format!("/proc/{}/root{}", lab.daemon.pid, dir.display()))
}

/// Writes until not a byte more fits; where it did so.
fn fill(lab: &Lab) -> PathBuf {
    let path = data(lab).join("ballast");
    let mut file = File::create(&path).expect("room for a file");
    for size in [64 * 1024, 512, 1] {
        let full = loop {
            if let Err(error) = file.write_all(&vec![b'x'; size]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }
    path
}

#[test]
fn a_full_disk_stops_new_sessions_and_nothing_else() {
    let Some(words) = namespaces() else { return };
    let prepared = Lab::with()
        .instance("web-1")
        .config("metrics", "listen", "\"127.0.0.1:0\"")
        // Beside the small disk, so that what is run outside finds it too.
        .config("server", "host_ca_key", "\"../host_ca\"")
        .prepare();
    let dir = prepared.dir().join("data").display().to_string();
    let words: Vec<&str> = words.iter().copied().chain(["sh", "-c", SMALL_DISK, &dir]).collect();
    let lab = prepared.serve_by(&words);
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
    assert!(get(&lab, "/readyz").1.contains("journal: ok"));

    let mut running = lab.client(Way::Direct, "web-1").start(&["cat"]);
    running.say("before\n");
    running.expect("before\n");
    let ballast = fill(&lab);
    wait_for("the node to say that it is not ready", SOON, || {
        let (status, report) = get(&lab, "/readyz");
        status.contains(" 503 ") && report.contains("journal: ") && report.contains("No space left on device")
    });
    let refused = lab.client(Way::Direct, "web-1").run("true").failed();
    assert!(refused.err().contains("drawbridge"), "a sentence, not a silence: {}", refused.err());
    running.say("during\n");
    running.expect("during\n");
    let lost = |text: &str| {
        text.lines().any(|line| {
            line.strip_prefix("drawbridge_audit_lines_lost_total{reason=\"write\"} ")
                .is_some_and(|count| count != "0")
        })
    };
    assert!(lost(&get(&lab, "/metrics").1), "what could not be written is counted");

    std::fs::remove_file(&ballast).expect("our own file");
    wait_for("the node to be ready again", SOON, || get(&lab, "/readyz").0.contains(" 200 "));
    lab.client(Way::Direct, "web-1").run("echo after").ended_with(0);
    running.say("after\n");
    running.expect("after\n");
}

#[test]
fn a_data_directory_that_cannot_be_written_to_is_named_at_start() {
    let Some(words) = namespaces() else { return };
    let prepared = Lab::with().prepare();
    let dir = prepared.dir().join("data").display().to_string();
    let words: Vec<&str> = words.iter().copied().chain(["sh", "-c", READ_ONLY, &dir]).collect();
    let daemon = Daemon::spawn_by(&words, &prepared.how_to_serve());
    assert_ne!(daemon.wait(SOON), 0);
    let log = daemon.log();
    assert!(log.contains(&dir) && log.to_lowercase().contains("read-only"), "{log}");
}
