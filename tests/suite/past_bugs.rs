//! What went wrong in bastions before us, each under its own name, from outside with a stock client.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::support::{Lab, Way, finish, new_key, noise, start, wait_for};

/// One lab for all of this file: nothing here changes it.
fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let builder = Lab::with().instance("web-1").config("server", "auth_attempts_max", "10");
        builder.start()
    })
}

/// Input that arrives while the target is still being connected is data: a leading 0x03 is no Ctrl-C.
#[test]
fn early_input_is_held_and_never_interpreted() {
    for way in Way::BOTH {
        for size in [4, 8 << 20] {
            let mut data = noise(size, 3);
            data[0] = 3;
            let done = lab().client(way, "web-1").input(data.clone()).run("cat").ended_with(0);
            assert!(done.stdout == data, "{way:?}: {} of {size} bytes", done.stdout.len());
        }
    }
}

/// Input sent right behind the request was dropped, and Ansible's pipelining returned nothing with exit 0.
#[test]
fn input_right_behind_the_request_arrives() {
    for way in Way::BOTH {
        for _ in 0..5 {
            let done = lab().client(way, "web-1").input("echo from the script\n").run("sh -s").ended_with(0);
            assert_eq!(done.out(), "from the script\n", "{way:?}");
        }
    }
}

/// Writing inside the loop that reads: `get` of a large file stopped for ever.
#[test]
fn sftp_gets_and_puts_large_files() {
    for way in Way::BOTH {
        let lab = lab();
        let folder = tempfile::tempdir_in(lab.dir()).expect("our own folder");
        let (source, back) = (folder.path().join("source"), folder.path().join("back"));
        std::fs::write(&source, noise(96 << 20, 5)).expect("our own folder");
        let remote = lab.scratch().join(format!("large-{way:?}"));
        let batch =
            format!("put {} {1}\nget {1} {2}\nrm {1}\n", source.display(), remote.display(), back.display());
        let client = lab.client(way, "web-1").input(batch).within(Duration::from_secs(180));
        client.tool("sftp", &["-b", "-", &client.host()]).ended_with(0);
        assert!(std::fs::read(back).expect("got") == std::fs::read(source).expect("written"), "{way:?}");
    }
}

/// A channel's close was lost on a full queue, and its client waited for ever or returned 255.
#[test]
fn thirty_parallel_sessions_on_one_connection_all_close() {
    for way in Way::BOTH {
        let master = lab().client(way, "web-1").master();
        std::thread::scope(|scope| {
            for n in 0..30 {
                let client = master.client.clone();
                scope.spawn(move || {
                    let done = client.run(&format!("sleep 0.5; echo n{n}; exit {n}")).ended_with(n);
                    assert_eq!(done.out(), format!("n{n}\n"), "{way:?}");
                });
            }
        });
    }
}

/// `yes | ssh host head -1` hung.
#[test]
fn endless_input_to_a_command_that_ends() {
    for way in Way::BOTH {
        for _ in 0..4 {
            let mut yes = Command::new("yes").stdout(Stdio::piped()).spawn().expect("yes runs");
            let client = lab().client(way, "web-1");
            let mut ssh = Command::new("ssh");
            ssh.args(["-F", &client.config(), &client.host(), "head -1"]);
            ssh.stdin(yes.stdout.take().expect("piped")).stdout(Stdio::piped()).stderr(Stdio::piped());
            let child = ssh.spawn().expect("ssh runs");
            let done = finish(child, Vec::new(), Duration::from_secs(30));
            yes.kill().and_then(|()| yes.wait()).expect("our own child");
            assert_eq!(done.ended_with(0).out(), "y\n", "{way:?}");
        }
    }
}

/// An unknown subsystem hung instead of failing.
#[test]
fn an_unknown_subsystem_fails() {
    for way in Way::BOTH {
        let client = lab().client(way, "web-1").args(&["-s"]).within(Duration::from_secs(20));
        client.run("no-such-subsystem").failed();
    }
}

/// Remote forwarding was answered with a reply that lacks the port, and the client died of it.
#[test]
fn a_remote_forward_is_refused_in_good_form() {
    let policy = r#"permit(principal, action in Action::"session", resource);"#;
    let lab = Lab::with().instance("web-1").policy(policy).start();
    for way in Way::BOTH {
        let client = lab.client(way, "web-1").args(&["-R", "0:127.0.0.1:9"]);
        let done = client.run("echo still here").ended_with(0);
        assert_eq!(done.out(), "still here\n", "{way:?}");
        let strict = client.option("ExitOnForwardFailure yes").within(Duration::from_secs(20)).run("true");
        assert!(!strict.hung && strict.code == Some(255), "{way:?}: {strict:?}");
        assert!(!strict.err().contains("parse"), "{way:?}: {}", strict.err());
    }
}

/// A banner with escapes stood in the output of a command in a terminal.
#[test]
fn nothing_of_ours_is_in_a_terminal_s_output() {
    for way in Way::BOTH {
        let done = lab().client(way, "web-1").args(&["-tt"]).run("echo hello").ended_with(0);
        assert_eq!(done.out(), "hello\r\n", "{way:?}");
        assert_eq!(lab().client(way, "web-1").args(&["-tt"]).run("exit 9").code, Some(9), "{way:?}");
    }
}

/// A command or sftp without a target hung in a menu that has no terminal.
#[test]
fn a_command_without_a_target_ends_with_a_sentence() {
    let client = lab().client(Way::Jump, "bastion").within(Duration::from_secs(20));
    let command = client.run("echo hello").failed().with_a_sentence();
    assert!(command.stdout.is_empty(), "{:?}", command.out());
    client.clone().input("ls\n").tool("sftp", &["-b", "-", "bastion"]).failed();
    client.input("").run_without_command().failed();
}

/// Each rejected key cost a second.
#[test]
fn wrong_keys_cost_no_time() {
    let lab = lab();
    let mut options = Vec::new();
    for n in 0..6 {
        let key = lab.dir().join(format!("wrong_{n}"));
        new_key(&key);
        options.push(format!("IdentityFile {}", key.display()));
    }
    let client = lab.client(Way::Direct, "web-1");
    let quick = client.run("true").ended_with(0).took;
    let slow = client.option(&options.join("\n")).run("true").ended_with(0).took;
    assert!(
        slow < quick + Duration::from_secs(2),
        "{quick:?} with the right key, {slow:?} with six wrong ones first"
    );
}

/// A command that is not UTF-8 was refused.
#[test]
fn a_command_that_is_not_utf8_runs_unchanged() {
    for way in Way::BOTH {
        let client = lab().client(way, "web-1");
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", &client.config(), &client.host()]);
        ssh.arg(std::ffi::OsStr::from_bytes(b"printf '\xff\xfe\x80' | od -An -tx1"));
        let done = finish(start(&mut ssh), Vec::new(), Duration::from_secs(30)).ended_with(0);
        assert_eq!(done.out().trim(), "ff fe 80", "{way:?}");
    }
}

/// A reader that closes early (`| head`) must not wedge the connection it shares.
#[test]
fn a_local_reader_that_leaves_does_not_wedge_the_connection() {
    for way in Way::BOTH {
        let master = lab().client(way, "web-1").master();
        for _ in 0..3 {
            let mut running = master.client.start(&["yes"]);
            running.expect("y\ny\n");
            drop(running.child().stdout.take());
            wait_for("ssh to end", Duration::from_secs(20), || running.ended().is_some());
        }
        master.client.run("exit 6").ended_with(6);
    }
}

/// A client that hangs up in the middle of typing must not leave a half-open channel that blocks exit.
#[test]
fn input_that_stops_in_the_middle_is_an_end_of_file() {
    for way in Way::BOTH {
        let mut running = lab().client(way, "web-1").start(&["wc -c"]);
        let mut stdin = running.child().stdin.take().expect("piped");
        stdin.write_all(b"12345").expect("ssh reads");
        drop(stdin);
        let done = finish(running.take(), Vec::new(), Duration::from_secs(30)).ended_with(0);
        assert_eq!(done.out().trim(), "5", "{way:?}");
    }
}
