//! PuTTY's command-line programs.

use super::{Person, copies_a_large_file, lab, runs_a_command};
use crate::support::named;

const PROGRAMS: [&str; 4] = ["plink", "pscp", "psftp", "puttygen"];

/// Somebody with a key in PuTTY's format.
fn person() -> Person {
    let person = Person::with(&PROGRAMS);
    person.runs(&person.snippet("putty-key")).ended_with(0);
    person
}

#[test]
fn plink_runs_a_command() {
    let person = person();
    runs_a_command(&person, "plink-direct");
    runs_a_command(&person, "plink-jump");
}

#[test]
fn plink_knows_the_bastion_and_its_instances_by_the_host_ca() {
    let person = person();
    runs_a_command(&person, "putty-ca");
    let by_jump =
        person.snippet("plink-jump").lines().map(without_fingerprint).collect::<Vec<_>>().join("\n");
    assert!(!by_jump.contains("SHA256"), "{by_jump}");
    person.runs(&by_jump).ended_with(0);
}

fn without_fingerprint(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    while let Some(at) = words.iter().position(|word| *word == "-hostkey") {
        words.drain(at..at + 2);
    }
    words.join(" ")
}

#[test]
fn a_wrong_fingerprint_keeps_plink_away() {
    let person = person();
    let wrong = format!("SHA256:{}", "A".repeat(43));
    let script = person.snippet("plink-direct");
    let right = script.split(' ').find(|word| word.starts_with("SHA256:")).expect("it is there").to_owned();
    person.runs(&script.replace(&right, &wrong)).failed();
}

#[test]
fn pscp_moves_a_large_file() {
    let person = person();
    copies_a_large_file(&person, "pscp-direct");
    copies_a_large_file(&person, "pscp-jump");
}

/// PuTTY asks for as many writes at once as the SSH window takes, and OpenSSH's sftp-server, if it got them all, would
/// spend its time on a queue that grows (see the page). Whoever reads the transfer holds them back.
#[test]
fn psftp_moves_a_large_file() {
    let person = person();
    copies_a_large_file(&person, "psftp-direct");
    copies_a_large_file(&person, "psftp-jump");
}

/// PuTTY announces that it will open no second channel; that was on record as a refusal.
#[test]
fn what_putty_says_of_itself_is_not_on_record_as_refused() {
    let person = person();
    runs_a_command(&person, "plink-direct");
    for refused in named(&lab().audit(), "channel-refused") {
        let requested = refused["requested"].as_str().expect("text");
        assert!(!requested.ends_with("@putty.projects.tartarus.org"), "{refused}");
    }
}
