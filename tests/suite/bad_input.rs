//! Bytes from strangers: a clean close for each, and the next client is served.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Lab, Way, noise, wait_for};

fn connect(lab: &Lab) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, lab.port())).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream
}

/// Reads until the daemon closes; panics when it does not.
#[track_caller]
fn closed_by_the_daemon(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut sink = Vec::new();
    if let Err(error) = stream.read_to_end(&mut sink) {
        assert!(
            error.kind() == std::io::ErrorKind::ConnectionReset,
            "not closed after {:?}: {error}",
            began.elapsed()
        );
    }
    began.elapsed()
}

#[test]
fn a_client_that_stalls_before_the_key_exchange_is_let_go() {
    let lab = Lab::with().instance("web-1").config("server", "handshake_timeout", "\"2s\"").start();
    for sent in
        [&b""[..], b"SSH-2.0-", b"SSH-2.0-stalled\r\n", b"SSH-2.0-stalled\r\n\x00\x00\x01\x0c\x0a\x14"]
    {
        let mut stream = connect(&lab);
        stream.write_all(sent).expect("a socket");
        let took = closed_by_the_daemon(&mut stream);
        assert!(took >= Duration::from_secs(1), "{sent:?}: closed after {took:?}, before its deadline");
    }
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
}

#[test]
fn a_client_that_stalls_before_it_proves_itself_is_let_go() {
    let lab = Lab::with().instance("web-1").config("server", "login_grace", "\"2s\"").start();
    let socket = lab.dir().join("agent");
    let silent_agent = UnixListener::bind(&socket).expect("our own folder");
    let client = lab.client(Way::Direct, "web-1").option(&format!("IdentityAgent {}", socket.display()));
    let stalled = client.start(&["true"]); // after the key exchange, it asks its agent and waits for ever
    lab.audited("client-identified", |_| true);
    let ended = lab.audited("connection-ended", |event| event["duration_ms"].as_u64() > Some(1000));
    assert!(ended["duration_ms"].as_u64() < Some(10_000), "{ended}");
    drop((stalled, silent_agent));
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
}

#[test]
fn nonsense_is_answered_with_a_close() {
    let lab = Lab::with().instance("web-1").config("server", "handshake_timeout", "\"3s\"").start();
    let mut long_line = b"SSH-2.0-".to_vec();
    long_line.extend(vec![b'a'; 10 << 20]);
    let mut huge_packet = b"SSH-2.0-x\r\n".to_vec();
    huge_packet.extend([0xff; 4096]);
    let mut empty_packets = b"SSH-2.0-x\r\n".to_vec();
    empty_packets.extend([0; 4096]);
    let inputs: [Vec<u8>; 7] = [
        b"GET / HTTP/1.1\r\nHost: bastion\r\n\r\n".to_vec(),
        b"SSH-1.5-old\r\n".to_vec(),
        noise(1 << 20, 11),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), // the start of a TLS handshake
        long_line,
        huge_packet,
        empty_packets,
    ];
    let before = lab.daemon.memory_kib();
    for input in inputs {
        let mut stream = connect(&lab);
        // The daemon may close before it has read everything: that is its right.
        let _cut_short = stream.write_all(&input).is_err();
        closed_by_the_daemon(&mut stream);
    }
    let grown = lab.daemon.memory_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "nonsense made the daemon grow by {grown} KiB");
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
}

#[test]
fn the_listener_survives_a_lack_of_descriptors() {
    let lab = Lab::with().instance("web-1").start();
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
    let limit = |number: usize| {
        let pid = lab.daemon.pid.to_string();
        let done = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={number}:")]).status();
        assert!(done.expect("prlimit is part of util-linux").success());
    };
    limit(lab.daemon.descriptors() + 4);
    let crowd: Vec<TcpStream> = (0..20).map(|_| connect(&lab)).collect();
    wait_for("the daemon to meet its limit", Duration::from_secs(10), || lab.daemon.log().contains("accept"));
    drop(crowd);
    limit(1024);
    lab.client(Way::Direct, "web-1").run("true").ended_with(0);
}

#[test]
fn one_address_cannot_take_all_connections() {
    let builder = Lab::with().instance("web-1").config("server", "connections_per_address_max", "3");
    let lab = builder.config("server", "handshake_timeout", "\"120s\"").start();
    let mut held: Vec<TcpStream> = (0..3).map(|_| connect(&lab)).collect();
    lab.audited("connection-opened", |_| true);
    wait_for("the fourth to be turned away", Duration::from_secs(10), || {
        let mut fourth = connect(&lab);
        closed_by_the_daemon(&mut fourth);
        lab.audit().iter().any(|event| event["event"] == "connection-refused")
    });
    for way in Way::BOTH {
        wait_for("a stock client to read why", Duration::from_secs(30), || {
            // Somebody who was there before may have left a place.
            held.push(connect(&lab));
            let done = lab.client(way, "web-1").run("true");
            done.err().contains("there are as many connections from your address as drawbridge allows")
        });
    }
    drop(held);
    wait_for("room for the next", Duration::from_secs(10), || {
        lab.client(Way::Direct, "web-1").run("true").code == Some(0)
    });
}

#[test]
fn one_address_cannot_keep_others_from_logging_in() {
    let builder = Lab::with().instance("web-1").config("server", "connections_unauthenticated_max", "3");
    let builder = builder.config("server", "handshake_timeout", "\"120s\"");
    let lab = builder.config("server", "login_grace", "\"120s\"").start();
    let socket = lab.dir().join("agent");
    let silent_agent = UnixListener::bind(&socket).expect("our own folder");
    let client = lab.client(Way::Direct, "web-1").option(&format!("IdentityAgent {}", socket.display()));
    let mut first = client.start(&["true"]); // after the key exchange, it asks its agent and waits for ever
    lab.audited("client-identified", |_| true);
    let held: Vec<TcpStream> = (0..2).map(|_| connect(&lab)).collect();
    wait_for("all places to be taken", Duration::from_secs(10), || {
        let count = |name| lab.audit().iter().filter(|event| event["event"] == name).count();
        count("connection-opened") - count("connection-ended") == 3
    });
    let elsewhere = lab.client(Way::Direct, "web-1").option("BindAddress 127.0.0.2");
    elsewhere.run("true").ended_with(0);
    let ended = lab.audited("connection-ended", |event| event["ending"] == "refused");
    let why = "too many were logging in, most of them from this address";
    assert_eq!(ended["detail"], why, "{ended}");
    drop(silent_agent);
    first.complains("most of them from your address; try again in a few seconds");
    drop(held);
}
