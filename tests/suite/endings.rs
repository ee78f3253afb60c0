//! However a session ends, both ends learn of it, in the right order, and nothing is left over.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Lab, Way, finish, lines_of, named, wait_for};

const SOON: Duration = Duration::from_secs(15);

#[test]
fn the_last_bytes_come_before_the_exit_code() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        let master = lab.client(way, "web-1").master();
        for round in 0..10 {
            let done = master.client.run("head -c 1048576 /dev/zero; exit 3").ended_with(3);
            assert_eq!(done.stdout.len(), 1 << 20, "{way:?}, round {round}");
        }
    }
}

#[test]
fn output_after_the_end_of_input_arrives() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        let client = lab.client(way, "web-1").input("first\n");
        let done = client.run("cat; exec </dev/null; sleep 0.3; echo last").ended_with(0);
        assert_eq!(lines_of(&done.out()), ["first", "last"], "{way:?}");
    }
}

#[test]
fn a_program_in_the_background_does_not_hold_the_session() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        let client = lab.client(way, "web-1").within(SOON);
        client.run("sleep 300 >/dev/null 2>&1 </dev/null & echo started").ended_with(0);
    }
}

#[test]
fn a_client_that_dies_ends_the_program() {
    let lab = Lab::with().instance("web-1").start();
    for (way, sessions) in Way::BOTH.into_iter().zip(1..) {
        let mut client = lab.client(way, "web-1").args(&["-tt"]).start(&["echo ready; exec cat"]);
        client.expect("ready");
        drop(client); // SIGKILL
        wait_for("the program on the instance to end", SOON, || lab.instance("web-1").processes().is_empty());
        wait_for("the session's last line", SOON, || {
            let trail = lab.audit();
            named(&trail, "session-ended").iter().filter(|event| event["ending"] == "client-left").count()
                == sessions
        });
    }
}

#[test]
fn a_target_that_dies_ends_the_session_with_a_sentence() {
    for way in Way::BOTH {
        let lab = Lab::with().instance("web-1").start();
        let client = lab.client(way, "web-1");
        let mut running = client.start(&["echo ready; exec sleep 600"]);
        running.expect("ready");
        lab.instance("web-1").crash();
        finish(running.take(), Vec::new(), SOON).failed().with_a_sentence();
        lab.audited("session-ended", |event| event["ending"] == "target-left");
    }
}

#[test]
fn the_longest_session_ends_with_a_sentence() {
    let policy = r#"@id("short") @max_session("2s") permit(principal, action, resource);"#;
    let lab = Lab::with().instance("web-1").policy(policy).start();
    for way in Way::BOTH {
        let began = Instant::now();
        let client = lab.client(way, "web-1").within(Duration::from_secs(20));
        let done = client.run("while :; do echo busy; sleep 0.2; done");
        let done = done.failed();
        assert!(began.elapsed() >= Duration::from_secs(2), "{way:?}: it ended too early");
        done.with_a_sentence();
    }
    wait_for("the programs on the instance to end", SOON, || lab.instance("web-1").processes().is_empty());
    assert_eq!(lab.audited("session-ended", |_| true)["ending"], "max-session");
}

#[test]
fn an_idle_session_ends_with_a_sentence_and_a_busy_one_does_not() {
    let policy = r#"@id("idle") @idle("2s") permit(principal, action, resource);"#;
    let lab = Lab::with().instance("web-1").policy(policy).start();
    for way in Way::BOTH {
        let busy = lab.client(way, "web-1").run("for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.5; done");
        assert_eq!(lines_of(&busy.ended_with(0).out()).len(), 8, "{way:?}");
        lab.client(way, "web-1").within(Duration::from_secs(20)).run("sleep 600").failed().with_a_sentence();
    }
    lab.audited("session-ended", |event| event["ending"] == "idle");
}

#[test]
fn the_daemon_ends_cleanly_on_sigterm() {
    let lab = Lab::with().instance("web-1").config("server", "shutdown_grace", "\"1s\"").start();
    let mut running = Vec::new();
    for way in Way::BOTH {
        let mut client = lab.client(way, "web-1").start(&["echo ready; exec sleep 600"]);
        client.expect("ready");
        running.push(client);
    }
    lab.daemon.signal(Signal::TERM);
    assert_eq!(lab.daemon.wait(SOON), 0, "{}", lab.daemon.log_tail());
    for client in running {
        finish(client.take(), Vec::new(), SOON).failed();
    }
    wait_for("the programs on the instance to end", SOON, || lab.instance("web-1").processes().is_empty());
    let trail = lab.audit();
    let last: Vec<&Value> = trail.iter().rev().take(2).map(|event| &event["event"]).collect();
    assert_eq!(last, ["head", "daemon-stopped"], "and the head vouches for it");
    assert_eq!(named(&trail, "session-ended").iter().filter(|e| e["ending"] == "shutting-down").count(), 2);
}

#[test]
fn sessions_leave_nothing_behind() {
    /// Connections to AWS are kept for the next push: one for each of the sessions at once, and a few for the
    /// inventory. What every session left would come to thirty.
    const KEPT_MAX: usize = 15;
    let lab = Lab::with().instance("web-1").start();
    let round = || {
        std::thread::scope(|scope| {
            for n in 0..10 {
                let way = if n % 2 == 0 { Way::Jump } else { Way::Direct };
                let lab = &lab;
                scope.spawn(move || lab.client(way, "web-1").run("true").ended_with(0));
            }
        });
    };
    round();
    wait_for("the first round to be over", SOON, || lab.instance("web-1").processes().is_empty());
    let before = lab.daemon.descriptors();
    for _ in 0..3 {
        round();
    }
    wait_for("the descriptors to be closed", SOON, || lab.daemon.descriptors() <= before + KEPT_MAX);
    assert!(lab.instance("web-1").processes().is_empty());
}
