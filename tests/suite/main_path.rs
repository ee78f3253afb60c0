//! What people do all day, by both ways in, must work as it does without a bastion.

use std::sync::OnceLock;
use std::time::Duration;

use crate::support::{Client, Lab, Running, Supervisor, Way, finish, lines_of, named, noise};

/// One lab for all of this file: nothing here changes it.
fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let login = &Supervisor::get().login;
        let builder = Lab::with().instance("web-1").tag("drawbridge:login", login);
        builder.instance("web-2").instance("by-other-names").start()
    })
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn output_and_errors_arrive_apart() {
    for way in Way::BOTH {
        let done = lab().client(way, "web-1").run("echo out; echo err >&2").ended_with(0);
        assert_eq!((done.out().as_str(), done.err().as_str()), ("out\n", "err\n"), "{way:?}");
    }
}

#[test]
fn exit_codes_arrive() {
    for way in Way::BOTH {
        lab().client(way, "web-1").run("exit 37").ended_with(37);
        lab().client(way, "web-1").run("no-such-command-here").ended_with(127);
    }
}

#[test]
fn an_exit_signal_arrives() {
    for way in Way::BOTH {
        let done = lab().client(way, "web-1").args(&["-v"]).run("kill -TERM $$").ended_with(255);
        assert!(done.err().contains("exit-signal"), "{way:?}: {}", done.err());
    }
}

#[test]
fn standard_input_ends() {
    for way in Way::BOTH {
        let done = lab().client(way, "web-1").input(noise(100_000, 1)).run("wc -c; echo done").ended_with(0);
        assert_eq!(lines_of(&done.out()), ["100000", "done"], "{way:?}");
    }
}

#[test]
fn a_shell_without_a_terminal_reads_commands() {
    for way in Way::BOTH {
        let done =
            lab().client(way, "web-1").input("echo a$((40+2))\nexit 5\n").run_without_command().ended_with(5);
        assert!(done.out().contains("a42"), "{way:?}: {:?}", done.out());
    }
}

#[test]
fn a_shell_in_a_terminal_talks_back() {
    for way in Way::BOTH {
        let mut shell = lab().client(way, "web-1").terminal(&[], 24, 80);
        shell.type_in("echo he'llo' $((6*7)) there\r");
        shell.expect("hello 42 there", SOON);
        shell.type_in("exit 4\r");
        assert_eq!(shell.finish(SOON).0, Some(4), "{way:?}");
    }
}

#[test]
fn a_terminal_keeps_its_size_and_is_told_of_a_new_one() {
    for way in Way::BOTH {
        let script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.1; done";
        let mut terminal = lab().client(way, "web-1").terminal(&[script], 45, 123);
        terminal.expect("45 123", SOON);
        terminal.resize(33, 77);
        terminal.expect("33 77", SOON);
    }
}

#[test]
fn a_terminal_keeps_its_modes_and_kind() {
    for way in Way::BOTH {
        let client = lab().client(way, "web-1");
        let mut terminal = client.terminal(&["stty -a; echo TERM=$TERM; read x; stty -a"], 24, 80);
        terminal.expect("icanon", SOON);
        terminal.expect(&format!("TERM={}", std::env::var("TERM").unwrap_or_default()), SOON);
    }
}

#[test]
fn control_c_reaches_the_program() {
    for way in Way::BOTH {
        let mut terminal =
            lab().client(way, "web-1").terminal(&["echo go; sleep 300; echo not reached"], 24, 80);
        terminal.expect("go", SOON);
        terminal.type_in("\u{3}");
        let (code, printed) = terminal.finish(SOON);
        assert!(code != Some(0) && !printed.contains("not reached"), "{way:?}: {code:?} {printed:?}");
    }
}

#[test]
fn the_environment_passes() {
    for way in Way::BOTH {
        let many: Vec<String> = (0..100).map(|n| format!("DB_N{n}={n}")).collect();
        let option = format!("SetEnv DB_ONE=bar DB_BIG={} {}", "v".repeat(20_000), many.join(" "));
        let done =
            lab().client(way, "web-1").option(&option).run("echo $DB_ONE ${#DB_BIG}; env | grep -c ^DB_N");
        assert_eq!(lines_of(&done.ended_with(0).out()), ["bar 20000", "100"], "{way:?}");
    }
}

#[test]
fn long_commands_pass() {
    for way in Way::BOTH {
        for length in [30_000, 120_000] {
            let command = format!("echo {} | wc -c", "a".repeat(length));
            let done = lab().client(way, "web-1").run(&command).ended_with(0);
            assert_eq!(done.out().trim(), (length + 1).to_string(), "{way:?}");
        }
    }
}

#[test]
fn scp_copies_both_ways() {
    for way in Way::BOTH {
        for protocol in [&[][..], &["-O"]] {
            copy_round(way, |client, from, to| {
                let args: Vec<&str> = protocol.iter().copied().chain([from, to]).collect();
                client.tool("scp", &args).ended_with(0);
            });
        }
    }
}

#[test]
fn rsync_copies_both_ways() {
    for way in Way::BOTH {
        copy_round(way, |client, from, to| {
            client.rsync(&["-a", from, to]).ended_with(0);
        });
    }
}

/// Copies a file to the target and back, and compares.
fn copy_round(way: Way, copy: impl Fn(&Client<'_>, &str, &str)) {
    let lab = lab();
    let folder = tempfile::tempdir_in(lab.dir()).expect("our own folder");
    let remote = tempfile::Builder::new().tempfile_in(lab.scratch()).expect("our own folder");
    let remote = format!("{}.copy", remote.path().display());
    let (source, back) = (folder.path().join("source"), folder.path().join("back"));
    let contents = noise(5 << 20, 7);
    std::fs::write(&source, &contents).expect("our own folder");
    let client = lab.client(way, "web-1");
    let there = format!("{}:{remote}", client.host());
    copy(&client, &source.display().to_string(), &there);
    copy(&client, &there, &back.display().to_string());
    assert!(std::fs::read(&back).expect("it came back") == contents, "{way:?}: the contents differ");
}

#[test]
fn sftp_does_what_sftp_does() {
    for way in Way::BOTH {
        let lab = lab();
        let folder = tempfile::tempdir_in(lab.dir()).expect("our own folder");
        let (source, got) = (folder.path().join("source"), folder.path().join("got"));
        std::fs::write(&source, noise(5 << 20, 8)).expect("our own folder");
        let d = lab.scratch().join(format!("sftp-{way:?}"));
        let (source_s, got_s, d_s) = (source.display(), got.display(), d.display());
        let batch = format!(
            "mkdir {d_s}\nput {source_s} {d_s}/a\nrename {d_s}/a {d_s}/b\nls -l {d_s}\nget {d_s}/b {got_s}\nrm {d_s}/b\nrmdir {d_s}\n"
        );
        let client = lab.client(way, "web-1").input(batch);
        client.tool("sftp", &["-b", "-", &client.host()]).ended_with(0);
        assert!(std::fs::read(got).expect("got") == std::fs::read(source).expect("written"), "{way:?}");
        assert!(!d.exists(), "{way:?}");
    }
}

#[test]
fn one_connection_carries_many_sessions() {
    for way in Way::BOTH {
        let master = lab().client(way, "web-1").master();
        for code in [0, 3, 7] {
            let done = master.client.run(&format!("echo {code}; exit {code}")).ended_with(code);
            assert_eq!(done.out(), format!("{code}\n"), "{way:?}");
        }
        let mut terminal = master.client.terminal(&["tty"], 24, 80);
        terminal.expect("/dev/pts/", SOON);
    }
}

#[test]
fn the_client_rekeys_under_load() {
    for way in Way::BOTH {
        let data = noise(32 << 20, 9);
        let client = lab().client(way, "web-1").option("RekeyLimit 1M").input(data.clone());
        let done = client.run("cat").ended_with(0);
        assert!(done.stdout == data, "{way:?}: {} of {} bytes", done.stdout.len(), data.len());
    }
}

#[test]
fn drawbridge_rekeys_under_load() {
    let lab = Lab::with().instance("web-1").config("server", "rekey_after_mib", "1").start();
    for way in Way::BOTH {
        let data = noise(16 << 20, 10);
        let client = lab.client(way, "web-1").args(&["-v"]).input(data.clone());
        let done = client.run("cat").ended_with(0);
        assert!(done.stdout == data, "{way:?}: {} of {} bytes", done.stdout.len(), data.len());
        let exchanges = done.err().matches("SSH2_MSG_NEWKEYS received").count();
        assert!(exchanges > 4, "{way:?}: only {exchanges} key exchanges in 16 MiB");
    }
}

#[test]
fn the_target_rekeys_under_load() {
    let lab = Lab::with().instance("web-1").sshd("RekeyLimit 1M").start();
    for way in Way::BOTH {
        let data = noise(16 << 20, 12);
        let done = lab.client(way, "web-1").input(data.clone()).run("cat").ended_with(0);
        assert!(done.stdout == data, "{way:?}: {} of {} bytes", done.stdout.len(), data.len());
    }
}

#[test]
fn an_instance_has_several_names() {
    let lab = lab();
    let instance = lab.instance("by-other-names");
    for way in Way::BOTH {
        for name in [&instance.id, &instance.ip, &instance.dns] {
            let done = lab.client(way, name).run("echo here").ended_with(0);
            assert_eq!(done.out(), "here\n", "{way:?} {name}");
        }
    }
}

#[test]
fn without_a_login_the_instance_s_own_is_used() {
    let done = lab().client(Way::Direct, "web-1").login("").run("id -un").ended_with(0);
    assert_eq!(done.out().trim(), Supervisor::get().login);
}

#[test]
fn exactly_one_key_is_offered_and_signed_at_once() {
    let lab = Lab::with().instance("web-1").start();
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
    let pushed = lab.audited("key-pushed", |_| true);
    let runs = lab.instance("web-1").agent_runs();
    let offered =
        format!("{} {}", Supervisor::get().login, pushed["key_fingerprint"].as_str().expect("text"));
    assert_eq!(runs, [offered], "each run of the target's agent beyond the first costs the user time");
}

#[test]
fn every_connection_has_a_fresh_key() {
    let lab = Lab::with().instance("web-1").start();
    for way in [Way::Direct, Way::Jump, Way::Direct] {
        lab.client(way, "web-1").run("true").ended_with(0);
    }
    let trail = lab.audit();
    let keys: std::collections::BTreeSet<_> =
        named(&trail, "key-pushed").iter().map(|event| event["key_fingerprint"].to_string()).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[test]
fn names_are_certified_so_that_one_line_covers_all() {
    // `known_hosts` of the lab has the one line that `drawbridge host-ca` prints, checking is strict,
    // and every other test depends on it; here the line itself.
    let lab = lab();
    let line = std::fs::read_to_string(lab.dir().join("known_hosts")).expect("written at the start");
    assert!(line.starts_with("@cert-authority * ssh-ed25519 "), "{line}");
    assert_eq!(lines_of(&line).len(), 1, "{line}");
    let stranger = lab.dir().join("stranger_known_hosts");
    std::fs::write(&stranger, "").expect("our own folder");
    for way in Way::BOTH {
        let option = format!("UserKnownHostsFile {}", stranger.display());
        let done = lab.client(way, "web-1").option(&option).run("true").ended_with(255);
        assert!(done.err().contains("Host key verification failed"), "{way:?}: {}", done.err());
    }
}

#[test]
fn two_targets_at_once_are_two_machines() {
    let lab = lab();
    for way in Way::BOTH {
        let clients = [lab.client(way, "web-1"), lab.client(way, "web-2")];
        std::thread::scope(|scope| {
            for (client, name) in clients.iter().zip(["web-1", "web-2"]) {
                scope.spawn(move || {
                    let done = client.run("echo $SSH_CONNECTION").ended_with(0);
                    let instance = lab.instance(name);
                    let end = format!(" {} {}", instance.ip, instance.port);
                    assert!(done.out().trim().ends_with(&end), "{way:?} {name}: {}", done.out());
                });
            }
        });
    }
}

#[test]
fn another_account_is_reached_through_a_role() {
    let lab = Lab::with().instance("web-1").through_a_role().start();
    for way in Way::BOTH {
        let done = lab.client(way, "web-1").run("echo here").ended_with(0);
        assert_eq!(done.out(), "here\n", "{way:?}");
        lab.client(way, "web-1.other").run("true").ended_with(0);
    }
    assert_eq!(lab.pushes().len(), 4);
}

/// sshd takes ten programs on one connection (`MaxSessions`), and ssh, refused an eleventh by it, connects anew. Here the
/// client's channel has been accepted by then.
#[test]
fn more_programs_at_once_than_the_target_takes_on_one_connection() {
    let lab = Lab::with().instance("web-1").sshd("MaxSessions 3").start();
    for way in Way::BOTH {
        let master = lab.client(way, "web-1").master();
        let gate = lab.scratch().join(format!("gate-{way:?}"));
        let wait = format!("while ! test -e {}; do sleep 0.1; done", gate.display());
        let mut running: Vec<Running> = (0..8)
            .map(|n| {
                let mut program = master.client.start(&[&format!("echo up; {wait}; exit 1{n}")]);
                program.expect("up\n");
                program
            })
            .collect();
        std::fs::write(&gate, b"").expect("our own folder");
        for (n, program) in running.drain(..).enumerate() {
            let done = finish(program.take(), Vec::new(), Duration::from_secs(60));
            done.ended_with(10 + i32::try_from(n).expect("small"));
        }
        master.client.run("exit 5").ended_with(5);
    }
    let audit = lab.audit();
    let sessions = named(&audit, "session-started");
    assert_eq!(sessions.len(), 6, "three for each way: {sessions:#?}");
    for session in &sessions {
        let of = |name: &str| {
            named(&audit, name).iter().filter(|event| event["session"] == session["session"]).count()
        };
        assert!(of("decision") >= of("channel-started") && of("channel-started") > 0, "{session}");
        assert_eq!(of("key-pushed"), 1, "{session}");
    }
}
