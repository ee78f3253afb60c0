//! OpenSSH's own programs.

use std::time::Duration;

use super::{LARGE, Person, copies_a_large_file, copies_a_large_file_by, lab, runs_a_command};
use crate::support::{Way, new_key_of, public_half};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn ssh_runs_a_command() {
    let person = Person::with(&[]);
    runs_a_command(&person, "ssh-jump");
    runs_a_command(&person, "ssh-direct");
}

#[test]
fn scp_moves_a_large_file() {
    let person = Person::with(&[]);
    for snippet in ["copy-jump", "copy-direct"] {
        copies_a_large_file(&person, snippet);
        copies_a_large_file_by(&person, &person.snippet(snippet).replace("scp ", "scp -O "));
    }
}

#[test]
fn sftp_moves_a_large_file() {
    let person = Person::with(&[]);
    copies_a_large_file(&person, "sftp-jump");
    copies_a_large_file(&person, "sftp-direct");
}

#[test]
fn a_shell_is_not_disturbed_by_files_and_commands_on_its_connection() {
    for way in Way::BOTH {
        let person = Person::with(&[]);
        let sent = person.has_a_file("report.tar", LARGE);
        let master = lab().client(way, "web-1").master();
        let mut shell = master.client.terminal(&[], 24, 80);
        shell.type_in("echo be'fore'\r");
        shell.expect("before", SOON);
        let far = person.srv().join("report.tar");
        let there = format!("{}:{}", master.client.host(), far.display());
        let here = person.home().join("report.tar").display().to_string();
        let socket = format!("ControlPath={}", master.socket.display());
        std::thread::scope(|scope| {
            let copy =
                scope.spawn(|| master.client.tool("scp", &["-o", &socket, &here, &there]).ended_with(0));
            for code in 1..=8 {
                let client = &master.client;
                scope.spawn(move || client.run(&format!("echo {code}; exit {code}")).ended_with(code));
            }
            copy.join().expect("the copy arrives");
        });
        assert!(std::fs::read(&far).expect("it arrived") == sent, "{way:?}");
        shell.type_in("echo af'ter'; exit 3\r");
        shell.expect("after", SOON);
        assert_eq!(shell.finish(SOON).0, Some(3), "{way:?}");
    }
}

/// A private key in PEM form without its public half, as EC2 hands them out, is signed with unasked: each is a
/// failed attempt. The right one comes after all of them.
#[test]
fn a_folder_of_ec2_s_pem_files_does_not_lock_anybody_out() {
    let folder = tempfile::tempdir_in(lab().dir()).expect("our own folder");
    let mut options = Vec::new();
    for number in 0..10 {
        let key = folder.path().join(format!("{number}.pem"));
        new_key_of(&key, &["-t", "ecdsa", "-m", "PEM"]);
        std::fs::remove_file(public_half(&key)).expect("ssh-keygen wrote it");
        options.push(format!("IdentityFile {}", key.display()));
    }
    for way in Way::BOTH {
        let client = lab().client(way, "web-1").option(&options.join("\n"));
        client.run("exit 5").ended_with(5);
    }
    lab().audited("authentication-failed", |event| event["algorithm"] == "ecdsa-sha2-nistp256");
}
