//! Forwarding through a session with OpenSSH on both ends: every kind carries what it should, where a rule allows it.

mod denied;
mod ends;
mod lifetimes;

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Client, Lab, Running, Way, lines_of, named, next_address, noise, wait_for};
use ends::{
    Agent, WINDOW, connect_port, connect_socket, display, echo_port, echo_socket, exchange, through_socks,
};

/// One lab for all of this file: nothing here changes it.
fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let builder = Lab::with().instance("web-1").sshd("GatewayPorts clientspecified");
        builder.sshd("X11Forwarding yes").start()
    })
}

/// A path for a socket that nobody else uses, which sessions on the instances may make.
fn socket_path(lab: &Lab) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    lab.scratch().join(format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// `ssh -N` with those arguments, which ends if a forward cannot be had.
fn forwarding(client: &Client<'_>, args: &[&str]) -> Running {
    let client = client.clone().option("ExitOnForwardFailure yes").option("StreamLocalBindMask 0111");
    client.option("LogLevel INFO").args(&["-N", "-T"]).args(args).start(&[])
}

/// The end of a forward with that many bytes each way, and its start.
#[track_caller]
fn on_record(lab: &Lab, action: &str, bytes: usize, of: impl Fn(&Value) -> bool) -> Value {
    let ended = lab.audited("forward-ended", |event| {
        event["action"] == action && event["bytes_to_target"] == bytes && of(event)
    });
    assert_eq!(ended["bytes_to_client"], bytes, "{ended}");
    assert_eq!(ended["ending"], "finished", "{ended}");
    let same = |event: &Value| ["session", "channel", "action"].iter().all(|key| event[key] == ended[key]);
    let trail = lab.audit();
    let at = |event: &Value| trail.iter().position(|other| other == event);
    let started = named(&trail, "forward-started").into_iter().find(|event| same(event));
    let started = started.unwrap_or_else(|| panic!("no start of {ended}"));
    assert_eq!(started["user"], "alice", "{started}");
    let decided = named(&trail, "decision").into_iter().find(|event| {
        event["action"] == action && event["outcome"] == "permit" && event["session"] == ended["session"]
    });
    assert!(at(decided.expect("a decision")) < at(started), "it started before it was decided");
    ended
}

#[test]
fn a_port_of_the_target_s_network() {
    for way in Way::BOTH {
        let (echo, socket) = (echo_port(), socket_path(lab()));
        let forward = format!("{}:{}:{}", socket.display(), echo.ip(), echo.port());
        let _ssh = forwarding(&lab().client(way, "web-1"), &["-L", &forward]);
        for size in [10_001, 300_002] {
            let data = noise(size, 21);
            assert!(exchange(connect_socket(&socket), &data) == data, "{way:?}");
            let to = |event: &Value| event["destination"]["port"] == echo.port();
            let ended = on_record(lab(), "local-forward", size, to);
            assert_eq!(ended["destination"]["host"], "127.0.0.1", "{ended}");
        }
    }
}

#[test]
fn sixty_four_mebibytes_both_ways() {
    for way in Way::BOTH {
        let (echo, socket) = (echo_port(), socket_path(lab()));
        let forward = format!("{}:{}:{}", socket.display(), echo.ip(), echo.port());
        let _ssh = forwarding(&lab().client(way, "web-1"), &["-L", &forward]);
        let data = noise(64 << 20, 22);
        let back = exchange(connect_socket(&socket), &data);
        assert!(back == data, "{way:?}: {} of {} bytes", back.len(), data.len());
        on_record(lab(), "local-forward", data.len(), |event| event["destination"]["port"] == echo.port());
    }
}

#[test]
fn standard_input_and_output_as_a_connection() {
    for way in Way::BOTH {
        let echo = echo_port();
        let data = noise(1 << 20, 23);
        let client = lab().client(way, "web-1").args(&["-W", &echo.to_string()]).input(data.clone());
        let done = client.run_without_command().ended_with(0);
        assert!(done.stdout == data, "{way:?}: {} of {} bytes", done.stdout.len(), data.len());
    }
}

#[test]
fn another_ssh_through_the_target() {
    let lab = lab();
    for way in Way::BOTH {
        let sshd = lab.instance("web-1");
        let place = format!("{}:{}", sshd.ip, sshd.port);
        let client = lab.client(way, "web-1").args(&["-W", &place]);
        let mut through = client.start(&[]);
        through.expect("SSH-2.0-OpenSSH");
    }
}

#[test]
fn socks_asks_for_any_port() {
    for way in Way::BOTH {
        let (echo, ip) = (echo_port(), next_address());
        let _ssh = forwarding(&lab().client(way, "web-1"), &["-D", &format!("{ip}:1080")]);
        let socks = format!("{ip}:1080");
        for size in [1_003, 1_004] {
            let data = noise(size, 24);
            let stream = through_socks(connect_port(&socks), echo).expect("a connection");
            assert!(exchange(stream, &data) == data, "{way:?}");
            on_record(lab(), "local-forward", size, |event| event["destination"]["port"] == echo.port());
        }
    }
}

#[test]
fn a_socket_of_the_target() {
    for way in Way::BOTH {
        let (theirs, ours) = (socket_path(lab()), socket_path(lab()));
        echo_socket(&theirs);
        let forward = format!("{}:{}", ours.display(), theirs.display());
        let _ssh = forwarding(&lab().client(way, "web-1"), &["-L", &forward]);
        let data = noise(20_005, 25);
        assert!(exchange(connect_socket(&ours), &data) == data, "{way:?}");
        on_record(lab(), "local-socket", data.len(), |event| event["path"] == theirs.display().to_string());
    }
}

#[test]
fn a_port_that_the_target_listens_on() {
    for way in Way::BOTH {
        let (echo, ip) = (echo_port(), next_address());
        let forward = format!("{ip}:8080:{}:{}", echo.ip(), echo.port());
        let _ssh = forwarding(&lab().client(way, "web-1"), &["-R", &forward]);
        for size in [10_006, 300_007] {
            let data = noise(size, 26);
            assert!(exchange(connect_port(&format!("{ip}:8080")), &data) == data, "{way:?}");
            let ended = on_record(lab(), "remote-forward", size, |event| event["listen"]["host"] == ip);
            assert_eq!(ended["listen"]["port"], 8080, "{ended}");
        }
        let listening = lab().audited("forward-listening", |event| event["listen"]["host"] == ip);
        assert_eq!((&listening["listening"], &listening["port"]), (&true.into(), &Value::Null));
    }
}

/// The port that ssh says the target chose.
fn allocated(ssh: &mut Running) -> u16 {
    let line = ssh.complains("Allocated port");
    let port = line.split_whitespace().nth(2).and_then(|word| word.parse().ok());
    port.unwrap_or_else(|| panic!("no port in {line:?}"))
}

#[test]
fn a_port_that_the_target_chooses() {
    for way in Way::BOTH {
        let echo = echo_port();
        let forward = format!("127.0.0.1:0:{}:{}", echo.ip(), echo.port());
        let mut ssh = forwarding(&lab().client(way, "web-1"), &["-R", &forward]);
        let port = allocated(&mut ssh);
        let data = noise(20_008, 27);
        assert!(exchange(connect_port(&format!("127.0.0.1:{port}")), &data) == data, "{way:?}");
        lab().audited("forward-listening", |event| event["port"] == port && event["listen"]["port"] == 0);
        on_record(lab(), "remote-forward", data.len(), |event| event["listen"]["port"] == 0);
    }
}

#[test]
fn a_target_listens_where_the_user_name_is_only_the_target() {
    let login = &crate::support::Supervisor::get().login;
    let lab = Lab::with().instance("web-1").tag("drawbridge:login", login).start();
    let echo = echo_port();
    let forward = format!("127.0.0.1:0:{}:{}", echo.ip(), echo.port());
    let mut ssh = forwarding(&lab.client(Way::Direct, "web-1").login(""), &["-R", &forward]);
    let port = allocated(&mut ssh);
    assert_eq!(exchange(connect_port(&format!("127.0.0.1:{port}")), b"hello"), b"hello");
}

#[test]
fn the_target_asks_for_any_port_of_the_client() {
    for way in Way::BOTH {
        let echo = echo_port();
        let mut ssh = forwarding(&lab().client(way, "web-1"), &["-R", "127.0.0.1:0"]);
        let port = allocated(&mut ssh);
        let stream = through_socks(connect_port(&format!("127.0.0.1:{port}")), echo).expect("a connection");
        let data = noise(20_009, 28);
        assert!(exchange(stream, &data) == data, "{way:?}");
    }
}

#[test]
fn a_socket_that_the_target_listens_on() {
    for way in Way::BOTH {
        let (theirs, ours) = (socket_path(lab()), socket_path(lab()));
        echo_socket(&ours);
        let forward = format!("{}:{}", theirs.display(), ours.display());
        let _ssh = forwarding(&lab().client(way, "web-1"), &["-R", &forward]);
        let data = noise(20_010, 29);
        assert!(exchange(connect_socket(&theirs), &data) == data, "{way:?}");
        on_record(lab(), "remote-socket", data.len(), |event| event["path"] == theirs.display().to_string());
    }
}

#[test]
fn a_shared_connection_takes_and_drops_forwards() {
    for way in Way::BOTH {
        let (echo, ip) = (echo_port(), next_address());
        let master = lab().client(way, "web-1").master();
        let forward = format!("{ip}:8080:{}:{}", echo.ip(), echo.port());
        master.client.clone().args(&["-O", "forward", "-R", &forward]).run_without_command().ended_with(0);
        assert_eq!(exchange(connect_port(&format!("{ip}:8080")), b"hello"), b"hello", "{way:?}");
        master.client.clone().args(&["-O", "cancel", "-R", &forward]).run_without_command().ended_with(0);
        lab().audited("forward-listening", |event| {
            event["listen"]["host"] == ip && event["listening"] == false
        });
        wait_for("the port to be closed", Duration::from_secs(20), || {
            TcpStream::connect(format!("{ip}:8080")).is_err()
        });
    }
}

fn with_agent<'a>(client: Client<'a>, agent: &Agent) -> Client<'a> {
    client.option(&format!("IdentityAgent {}", agent.socket.display())).option("ForwardAgent yes")
}

#[test]
fn many_programs_use_the_agent_at_once() {
    let folder = tempfile::tempdir_in(lab().dir()).expect("our own folder");
    let agent = Agent::start(folder.path());
    for way in Way::BOTH {
        let client = with_agent(lab().client(way, "web-1"), &agent);
        let done = client.run("for n in $(seq 24); do ssh-add -l & done; wait; ssh-add -l");
        let listed = done.ended_with(0).out();
        let right = lines_of(&listed).iter().filter(|line| line.contains(&agent.fingerprint)).count();
        assert_eq!(right, 25, "{way:?}: {listed}");
        let session = lab().audited("channel-started", |event| {
            event["command"].as_str().is_some_and(|command| command.contains("seq 24"))
        });
        wait_for("each use to have ended on record", Duration::from_secs(10), || {
            let trail = lab().audit();
            let uses = |name: &str| {
                let of = |e: &&&Value| e["action"] == "agent" && e["session"] == session["session"];
                named(&trail, name).iter().filter(of).count()
            };
            (uses("forward-started"), uses("forward-ended")) == (25, 25)
        });
    }
}

#[test]
fn windows_appear_on_the_client_s_display() {
    for way in Way::BOTH {
        let display = display(&next_address());
        let client = lab().client(way, "web-1").option("XAuthLocation /usr/bin/xauth").args(&["-Y"]);
        let done = client.showing(&display, WINDOW).ended_with(0);
        assert_eq!(done.out(), "WINDOW", "{way:?}: {done:?}");
        let used = lab().audited("forward-ended", |event| event["action"] == "x11");
        assert_eq!((&used["bytes_to_client"], &used["bytes_to_target"]), (&48.into(), &6.into()), "{used}");
    }
}
