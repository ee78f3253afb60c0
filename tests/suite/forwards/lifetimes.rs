//! How long forwards last, and how many there may be.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::ends::{connect_port, connect_socket, echo_port};
use super::{forwarding, socket_path};
use crate::support::{Lab, Way, named, next_address, wait_for};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn who_counts_on_the_target_s_listening_learns_that_it_is_over() {
    for way in Way::BOTH {
        let lab = Lab::with().instance("web-1").sshd("GatewayPorts clientspecified").start();
        let (echo, ip) = (echo_port(), next_address());
        let forward = format!("{ip}:8080:{}:{}", echo.ip(), echo.port());
        let mut ssh = forwarding(&lab.client(way, "web-1"), &["-R", &forward]);
        drop(connect_port(&format!("{ip}:8080")));
        lab.instance("web-1").crash();
        ssh.complains("the target closed the connection.");
        wait_for("ssh to end", SOON, || ssh.ended() == Some(Some(255)));
        let over = lab.audited("session-ended", |_| true);
        assert_eq!(over["ending"], "target-left", "{over}");
        let ceased = lab.audited("forward-listening", |event| event["listening"] == false);
        assert_eq!(ceased["listen"]["host"], ip, "{ceased}");
    }
}

#[test]
fn a_limit_of_the_rule_ends_what_it_permitted() {
    let policy = r#"@id("short") @max_session("3s") permit(principal, action, resource);"#;
    for way in Way::BOTH {
        let lab = Lab::with().instance("web-1").policy(policy).start();
        let (echo, socket) = (echo_port(), socket_path(&lab));
        let forward = format!("{}:{}:{}", socket.display(), echo.ip(), echo.port());
        let _ssh = forwarding(&lab.client(way, "web-1"), &["-L", &forward]);
        let mut stream = connect_socket(&socket);
        stream.write_all(b"hello").expect("open");
        let mut rest = Vec::new();
        stream.set_read_timeout(Some(SOON)).expect("our own stream");
        stream.read_to_end(&mut rest).expect("ended by the bastion");
        assert_eq!(rest, b"hello", "{way:?}");
        let ended = lab.audited("forward-ended", |_| true);
        assert_eq!(ended["ending"], "max-session", "{ended}");
        assert_eq!(ended["bytes_to_client"], 5, "{ended}");
        lab.audited("session-ended", |event| event["ending"] == "max-session");
    }
}

#[test]
fn a_thousand_connections_at_once_are_too_many_and_harm_nobody() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        let (echo, socket) = (echo_port(), socket_path(&lab));
        let forward = format!("{}:{}:{}", socket.display(), echo.ip(), echo.port());
        // Nobody reads what ssh says of each one that is refused.
        let quiet = lab.client(way, "web-1").option("LogLevel ERROR");
        let _ssh = forwarding(&quiet, &["-L", &forward]);
        let hello = |stream: &mut UnixStream| {
            let mut back = [0; 5];
            stream.set_read_timeout(Some(SOON)).expect("our own stream");
            stream.write_all(b"hello").and_then(|()| stream.read_exact(&mut back)).is_ok()
                && back == *b"hello"
        };
        let mut first = connect_socket(&socket);
        assert!(hello(&mut first), "{way:?}");
        let mut many: Vec<UnixStream> = (0..1_000).map(|_| connect_socket(&socket)).collect();
        let carried: Vec<bool> = many.iter_mut().map(hello).collect();
        let count = carried.iter().filter(|carried| **carried).count();
        assert_eq!(count, 63, "{way:?}: of 64 channels one was taken");
        assert!(hello(&mut first), "{way:?}: the first one is as it was");
        drop(many);
        wait_for("room for another", SOON, || hello(&mut connect_socket(&socket)));
        assert!(hello(&mut first), "{way:?}");
        drop(first);
        wait_for("all to end on record", SOON, || {
            let trail = lab.audit();
            named(&trail, "forward-started").len() == named(&trail, "forward-ended").len()
        });
    }
}

#[test]
fn shutting_down_ends_forwards_on_record() {
    for way in Way::BOTH {
        let lab = Lab::with().instance("web-1").config("server", "shutdown_grace", "\"1s\"").start();
        let (echo, socket) = (echo_port(), socket_path(&lab));
        let forward = format!("{}:{}:{}", socket.display(), echo.ip(), echo.port());
        let _ssh = forwarding(&lab.client(way, "web-1"), &["-L", &forward]);
        let mut stream = connect_socket(&socket);
        let mut back = [0; 5];
        stream.write_all(b"hello").and_then(|()| stream.read_exact(&mut back)).expect("carried");
        lab.daemon.signal(rustix::process::Signal::TERM);
        let ended = lab.audited("forward-ended", |_| true);
        assert_eq!(ended["ending"], "shutting-down", "{ended}");
        lab.audited("session-ended", |event| event["ending"] == "shutting-down");
    }
}

/// The answer about a listener takes as long as the target takes to be reached, and every answer behind it waits.
#[test]
fn a_client_that_asks_for_signs_of_life_outlives_a_slow_listener() {
    let lab = Lab::with().silent("silent-1").config("upstream", "handshake_timeout", "\"14s\"").start();
    std::thread::scope(|scope| {
        for way in Way::BOTH {
            let lab = &lab;
            scope.spawn(move || {
                let watchful = lab.client(way, "silent-1").option("ServerAliveInterval 3");
                let watchful = watchful.option("ServerAliveCountMax 2");
                let said = forwarding(&watchful, &["-R", "127.0.0.1:0:127.0.0.1:9"]).complains("failed");
                assert!(said.contains("remote port forwarding failed"), "{way:?}: {said}");
            });
        }
    });
}
