//! Dropbear's `dbclient`.

use super::{Person, copies_a_large_file, runs_a_command};

/// Somebody with a key in Dropbear's format, who knows the bastion's host key.
fn person() -> Person {
    let person = Person::with(&["dbclient", "dropbearconvert"]);
    person.runs(&person.snippet("dropbear-key")).ended_with(0);
    person
}

#[test]
fn dbclient_runs_a_command() {
    let person = person();
    runs_a_command(&person, "dbclient-direct");
    runs_a_command(&person, "dbclient-jump");
}

#[test]
fn dbclient_moves_a_large_file() {
    let person = person();
    copies_a_large_file(&person, "dbclient-copy-direct");
    copies_a_large_file(&person, "dbclient-copy-jump");
}
