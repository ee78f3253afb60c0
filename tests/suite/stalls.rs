//! While one channel is stalled, the others of the same connection live on, and memory stays bounded.
//!
//! The reader of one channel stops, in either direction and on either end. Beside it, on the same
//! connection, typed keys must echo, the client's keepalives must be answered (it gives up after
//! three seconds otherwise) and its time-driven rekeying must complete.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Lab, Running, Terminal, Way, finish, named, noise, wait_for};

/// How long a stall is watched, in seconds, unless `STALL_SECONDS` says otherwise. A person's minute shows
/// nothing that these do not.
const WATCHED: u64 = 12;
/// From one typed key to the next, which is no synchronisation: it keeps the machine from
/// spending itself on keys.
const PACE: Duration = Duration::from_millis(100);
/// How long an echo may take on a busy machine.
const ECHO: Duration = Duration::from_secs(5);
/// How much the daemon may grow while channels are stalled, in KiB: its bound is 2 MiB for each
/// channel and direction and a little for each connection, and allocators keep some.
const GROWTH_MAX_KIB: u64 = 48 * 1024;

fn watched() -> Duration {
    let asked = std::env::var("STALL_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(WATCHED))
}

/// A shared connection that notices silence and changes its keys every few seconds.
fn watchful<'a>(lab: &'a Lab, way: Way) -> Client<'a> {
    lab.client(way, "web-1")
        .option("ServerAliveInterval 1")
        .option("ServerAliveCountMax 3")
        .option("RekeyLimit default 4s")
}

/// Writes zeros into a program until it takes no more.
fn pour_into(running: &mut Running) {
    let mut stdin = running.child().stdin.take().expect("piped");
    thread::spawn(move || {
        let zeros = vec![0; 1 << 16];
        while stdin.write_all(&zeros).is_ok() {}
    });
}

/// Types and waits for the echo, over and over, while the daemon's memory is watched.
#[track_caller]
fn echoes_throughout(lab: &Lab, terminal: &mut Terminal, memory_before: u64) {
    let (began, mut slowest, mut keys) = (Instant::now(), Duration::ZERO, 0);
    while began.elapsed() < watched() {
        let typed = Instant::now();
        keys += 1;
        terminal.type_in(&format!("k{keys}."));
        terminal.expect(&format!("k{keys}."), ECHO);
        slowest = slowest.max(typed.elapsed());
        let grown = lab.daemon.memory_kib().saturating_sub(memory_before);
        assert!(grown < GROWTH_MAX_KIB, "the daemon grew by {grown} KiB");
        thread::sleep(PACE);
    }
    println!("{keys} keys, the slowest echo took {slowest:?}");
}

/// One stalled channel, made by `stall`, beside a terminal on the same connection.
fn beside_a_stalled_channel(way: Way, stall: impl Fn(&Client<'_>) -> Running) {
    let lab = Lab::with().instance("web-1").start();
    let mut master = watchful(&lab, way).master();
    let mut terminal = master.client.terminal(&["stty raw -echo; echo ready; exec cat"], 24, 80);
    terminal.expect("ready", Duration::from_secs(20));
    let before = lab.daemon.memory_kib();
    let mut stalled = [stall(&master.client), stall(&master.client)];
    echoes_throughout(&lab, &mut terminal, before);
    assert!(master.process.ended().is_none(), "{way:?}: the client gave up on the connection");
    for channel in &mut stalled {
        assert!(
            channel.ended().is_none(),
            "{way:?}: the stalled channel did not stay: {:?}",
            channel.ended()
        );
    }
    master.client.run("exit 3").ended_with(3);
}

#[test]
fn a_client_that_stops_reading_by_direct() {
    beside_a_stalled_channel(Way::Direct, |client| client.start(&["head -c 4000000000 /dev/zero"]));
}

#[test]
fn a_client_that_stops_reading_by_jump() {
    beside_a_stalled_channel(Way::Jump, |client| client.start(&["head -c 4000000000 /dev/zero"]));
}

#[test]
fn a_program_that_stops_reading_by_direct() {
    beside_a_stalled_channel(Way::Direct, stopped_program);
}

#[test]
fn a_program_that_stops_reading_by_jump() {
    beside_a_stalled_channel(Way::Jump, stopped_program);
}

fn stopped_program(client: &Client<'_>) -> Running {
    let mut running = client.start(&["exec sleep 600"]);
    pour_into(&mut running);
    running
}

#[test]
fn a_stalled_channel_goes_on_where_it_stopped() {
    for way in Way::BOTH {
        let lab = Lab::with().instance("web-1").start();
        let master = watchful(&lab, way).master();
        let size = 24 << 20;
        let stalled = master.client.start(&[&format!("head -c {size} /dev/zero")]);
        master.client.run("echo meanwhile").ended_with(0);
        let done = finish(stalled.take(), Vec::new(), Duration::from_secs(60)).ended_with(0);
        assert_eq!(done.stdout.len(), size, "{way:?}");
    }
}

#[test]
fn sixty_four_mebibytes_both_ways_at_once() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        let before = lab.daemon.memory_kib();
        let data = noise(64 << 20, 64);
        let client = lab.client(way, "web-1").input(data.clone()).within(Duration::from_secs(180));
        let done = client.run("cat").ended_with(0);
        assert!(done.stdout == data, "{way:?}: {} of {} bytes", done.stdout.len(), data.len());
        let grown = lab.daemon.memory_kib().saturating_sub(before);
        assert!(grown < GROWTH_MAX_KIB, "{way:?}: the daemon grew by {grown} KiB");
    }
}

#[test]
fn bulk_both_ways_on_two_channels_with_rekeying() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        let master =
            lab.client(way, "web-1").option("RekeyLimit 4M").within(Duration::from_secs(180)).master();
        thread::scope(|scope| {
            for seed in [1, 2] {
                let client = master.client.clone();
                scope.spawn(move || {
                    let data = noise(24 << 20, seed);
                    let done = client.input(data.clone()).run("cat").ended_with(0);
                    assert!(done.stdout == data, "{way:?}: {} of {} bytes", done.stdout.len(), data.len());
                });
            }
        });
    }
}

#[test]
fn a_big_input_to_a_command_that_ends_at_once() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        for _ in 0..3 {
            let client = lab.client(way, "web-1").input(vec![b'x'; 64 << 20]).within(Duration::from_secs(30));
            let done = client.run("echo early; exit 7").ended_with(7);
            assert_eq!(done.out(), "early\n", "{way:?}");
        }
    }
}

#[test]
fn memory_comes_back_after_stalls() {
    let lab = Lab::with().instance("web-1").start();
    for way in Way::BOTH {
        lab.client(way, "web-1").run("true").ended_with(0);
    }
    let count = |event: &str| named(&lab.audit(), event).len();
    let (memory, descriptors) = (lab.daemon.memory_kib(), lab.daemon.descriptors());
    for way in Way::BOTH {
        let standing = count("channel-started") + 4;
        let stalled: Vec<Running> = (0..4).map(|_| stopped_program(&lab.client(way, "web-1"))).collect();
        wait_for("the stalled sessions to stand", Duration::from_secs(30), || {
            count("channel-started") >= standing
        });
        drop(stalled);
    }
    wait_for("everything to end on record", Duration::from_secs(30), || {
        count("session-ended") == count("session-started")
            && count("connection-ended") == count("connection-opened")
    });
    // Connections to AWS stay open for the next push, one at most for each push of the four at a time.
    wait_for("the connections to be closed", Duration::from_secs(20), || {
        lab.daemon.descriptors() <= descriptors + 4
    });
    // An allocator gives back what is free when it is used again.
    wait_for("the memory to come back", Duration::from_secs(30), || {
        lab.client(Way::Direct, "web-1").run("true").ended_with(0);
        let grown = lab.daemon.memory_kib().saturating_sub(memory);
        println!("{grown} KiB stayed behind");
        grown < GROWTH_MAX_KIB
    });
}
