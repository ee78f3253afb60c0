//! Every stock client, by both ways in, with the recipes of `docs/clients.md` as they stand there.
//!
//! What always holds: what is run is a block of that page, with the lab's names in place of the
//! page's (see [`person`]); every client runs a command with output, errors and exit code apart, and
//! moves 64 MiB both ways, compared byte for byte. What people do all day with OpenSSH is in
//! `main_path`; here are the other clients, and the volume.

mod ansible;
mod dropbear;
mod editor;
mod git;
mod openssh;
mod page;
mod paramiko;
mod person;
mod putty;
mod rsync;
mod transfers;

use std::sync::OnceLock;

use crate::support::Lab;
use person::Person;

/// How much every client moves both ways.
const LARGE: usize = 64 << 20;

/// One lab for all of this folder: nothing here changes it.
fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let builder = Lab::with().instance("web-1").sshd("AcceptEnv GIT_PROTOCOL");
        builder.instance("web-2").start()
    })
}

/// Has a snippet run a command that says something on both streams and fails.
#[track_caller]
fn runs_a_command(person: &Person, snippet: &str) {
    let command = "echo out; echo err >&2; exit 37";
    let done = person.runs(&person.snippet(snippet).replace("uptime", &format!("'{command}'")));
    let done = done.ended_with(37);
    assert_eq!(done.out(), "out\n", "{snippet}: {done:?}");
    assert!(done.err().lines().any(|line| line == "err"), "{snippet}: {done:?}");
}

/// Has a snippet copy `report.tar` to `/srv` and back, and compares.
#[track_caller]
fn copies_a_large_file(person: &Person, snippet: &str) {
    copies_a_large_file_by(person, &person.snippet(snippet));
}

#[track_caller]
fn copies_a_large_file_by(person: &Person, script: &str) {
    let sent = person.has_a_file("report.tar", LARGE);
    let done = person.runs(script).ended_with(0);
    for path in [person.home().join("back.tar"), person.srv().join("report.tar")] {
        let arrived = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; {done:?}", path.display()));
        let there = path.display();
        assert!(arrived == sent, "{there}: {} of {} bytes, or others: {done:?}", arrived.len(), sent.len());
        std::fs::remove_file(&path).expect("our own folder");
    }
}
