//! Each kind is allowed by one rule and denied by another; what cannot be is refused with a word.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use super::ends::{Agent, WINDOW, connect_port, connect_socket, display, echo_port, exchange, through_socks};
use super::{allocated, forwarding, socket_path, with_agent};
use crate::support::{Lab, UserEntry, Way, certify, named, new_key, next_address};

/// Everything is allowed by one rule; on `shut-1`, everything but programs is denied by another.
const POLICY: &str = r#"
@id("all")
permit(principal, action, resource);

@id("programs-only")
forbid(principal, action, resource)
when { resource has name && resource.name == "shut-1" }
unless { action in Action::"session" };
"#;

fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        let builder = Lab::with().policy(POLICY).instance("open-1").sshd("X11Forwarding yes");
        builder.instance("shut-1").sshd("X11Forwarding yes").start()
    })
}

/// The decision about that on `open-1` and on `shut-1`, each by the rule that is meant.
#[track_caller]
fn decided(action: &str) {
    for (target, outcome, rule) in [("open-1", "permit", "all"), ("shut-1", "refuse", "programs-only")] {
        let decision =
            lab().audited("decision", |event| event["action"] == action && event["target"]["name"] == target);
        assert_eq!(decision["outcome"], outcome, "{decision}");
        assert_eq!(decision["rules"], serde_json::json!([rule]), "{decision}");
    }
    let trail = lab().audit();
    let shut = named(&trail, "forward-started").into_iter().filter(|event| event["action"] == action);
    let open = lab().instance("open-1").id.clone();
    for started in shut {
        let of = |event: &&&serde_json::Value| event["session"] == started["session"];
        let session =
            named(&trail, "session-started").into_iter().find(|event| of(&event)).expect("a session");
        assert_eq!(session["target"]["id"], open.as_str(), "{started}");
    }
}

#[test]
fn ports_to_connect_to() {
    for way in Way::BOTH {
        let echo = echo_port().to_string();
        let client = |target| {
            let client = lab().client(way, target).option("LogLevel INFO");
            client.args(&["-W", &echo]).input("hello")
        };
        assert_eq!(client("open-1").run_without_command().ended_with(0).out(), "hello", "{way:?}");
        let refused = client("shut-1").run_without_command().failed();
        let said = refused.err();
        assert!(
            said.contains("administratively prohibited: policy does not let you forward connections there"),
            "{way:?}: {said}"
        );
        decided("local-forward");
    }
}

#[test]
fn ports_to_listen_on() {
    for way in Way::BOTH {
        let echo = echo_port();
        let forward = format!("127.0.0.1:0:{}:{}", echo.ip(), echo.port());
        allocated(&mut forwarding(&lab().client(way, "open-1"), &["-R", &forward]));
        let mut refused = forwarding(&lab().client(way, "shut-1"), &["-R", &forward]);
        refused.complains("remote port forwarding failed");
        decided("remote-forward");
    }
}

#[test]
fn sockets_to_connect_to_and_to_listen_on() {
    for way in Way::BOTH {
        let (ours, theirs) = (socket_path(lab()), socket_path(lab()));
        super::ends::echo_socket(&ours);
        let forward = format!("{}:{}", theirs.display(), ours.display());
        let mut refused = forwarding(&lab().client(way, "shut-1"), &["-R", &forward]);
        refused.complains("remote port forwarding failed");
        let _open = forwarding(&lab().client(way, "open-1"), &["-R", &forward]);
        assert_eq!(exchange(connect_socket(&theirs), b"hello"), b"hello", "{way:?}");
        for (target, answer) in [("open-1", &b"hello"[..]), ("shut-1", b"")] {
            let near = socket_path(lab());
            let forward = format!("{}:{}", near.display(), theirs.display());
            let _ssh = forwarding(&lab().client(way, target), &["-L", &forward]);
            assert_eq!(exchange(connect_socket(&near), b"hello"), answer, "{way:?} {target}");
        }
        decided("remote-socket");
        decided("local-socket");
    }
}

#[test]
fn the_agent() {
    let folder = tempfile::tempdir_in(lab().dir()).expect("our own folder");
    let agent = Agent::start(folder.path());
    for way in Way::BOTH {
        let listed = |target| with_agent(lab().client(way, target), &agent).run("ssh-add -l; echo done");
        assert!(listed("open-1").ended_with(0).out().contains(&agent.fingerprint), "{way:?}");
        let shut = listed("shut-1").ended_with(0);
        assert_eq!(shut.out(), "done\n", "{way:?}: {shut:?}");
        decided("agent");
    }
}

#[test]
fn the_display() {
    for way in Way::BOTH {
        let display = display(&next_address());
        let client = |target| {
            let client = lab().client(way, target).option("XAuthLocation /usr/bin/xauth").args(&["-Y"]);
            client.showing(&display, &format!("test -n \"$DISPLAY\" && {WINDOW}; true"))
        };
        assert_eq!(client("open-1").ended_with(0).out(), "WINDOW", "{way:?}");
        let shut = client("shut-1").ended_with(0);
        assert!(shut.out().is_empty(), "{way:?}: {shut:?}");
        assert!(shut.err().contains("X11 forwarding request failed"), "{way:?}: {}", shut.err());
        decided("x11");
    }
}

/// The target's own words come through, as the target's.
#[test]
fn a_port_on_which_nothing_listens() {
    for way in Way::BOTH {
        let nobody = format!("{}:1", next_address());
        let client = lab().client(way, "open-1").option("LogLevel INFO").args(&["-W", &nobody]);
        let said = client.run_without_command().failed().err();
        assert!(said.contains("connect failed: the target says: Connection refused"), "{way:?}: {said}");
        let ended = lab().audited("forward-ended", |event| event["ending"] == "upstream-failed");
        assert!(ended["detail"].as_str().is_some_and(|why| why.contains("Connection refused")), "{ended}");
    }
}

#[test]
fn a_target_that_forbids_forwarding() {
    let lab = Lab::with().instance("web-1").sshd("AllowTcpForwarding no").start();
    for way in Way::BOTH {
        let echo = echo_port();
        let client = lab.client(way, "web-1").option("LogLevel INFO").args(&["-W", &echo.to_string()]);
        let said = client.run_without_command().failed().err();
        assert!(said.contains("administratively prohibited: the target says: "), "{way:?}: {said}");
        let forward = format!("127.0.0.1:0:{}:{}", echo.ip(), echo.port());
        forwarding(&lab.client(way, "web-1"), &["-R", &forward]).complains("remote port forwarding failed");
        lab.audited("channel-refused", |event| event["reason"] == "refused-by-target");
    }
}

#[test]
fn port_nought() {
    for way in Way::BOTH {
        let socks = format!("{}:1080", next_address());
        let mut ssh = forwarding(&lab().client(way, "open-1"), &["-D", &socks]);
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        assert!(through_socks(connect_port(&socks), nowhere).is_none(), "{way:?}");
        let said = ssh.complains("open failed");
        assert!(said.contains("there is no such port; ports go from 1 to 65535."), "{way:?}: {said}");
        lab().audited("channel-refused", |event| {
            event["requested"] == "direct-tcpip" && event["reason"] == "malformed"
        });
    }
}

/// A CA that leaves the permission out means it, whatever the policy says.
#[test]
fn a_certificate_that_does_not_permit_it() {
    let prepared = Lab::with()
        .instance("web-1")
        .user_entry(UserEntry {
            name: "carol".to_owned(),
            groups: Vec::new(),
            keys: Vec::new(),
            principals: vec!["carol@corp".to_owned()],
        })
        .config("identity", "trusted_user_ca_keys", "[\"ca.pub\"]")
        .prepare();
    let (ca, key) = (prepared.dir().join("ca"), prepared.dir().join("narrow"));
    new_key(&ca);
    new_key(&key);
    certify(&ca, &key, "narrow", "carol@corp", &["-O", "clear", "-O", "permit-pty"]);
    let folder = tempfile::tempdir_in(prepared.dir()).expect("our own folder");
    let lab = prepared.serve();
    let agent = Agent::start(folder.path());
    for way in Way::BOTH {
        let client = lab.client(way, "web-1").user("carol").key(key.clone());
        let agentless = with_agent(client.clone(), &agent).option(&format!("IdentityFile {}", key.display()));
        let done = agentless.run("ssh-add -l; echo done").ended_with(0);
        assert_eq!(done.out(), "done\n", "{way:?}: {done:?}");
        let echo = echo_port();
        let forward = format!("127.0.0.1:0:{}:{}", echo.ip(), echo.port());
        forwarding(&client, &["-R", &forward]).complains("remote port forwarding failed");
        // By jump, what comes first is a channel to the bastion.
        if way == Way::Direct {
            let client = client.option("LogLevel INFO").args(&["-W", &echo.to_string()]);
            let said = client.run_without_command().failed().err();
            assert!(said.contains("your certificate does not permit this"), "{way:?}: {said}");
        }
    }
    for requested in ["auth-agent-req@openssh.com", "tcpip-forward", "direct-tcpip"] {
        lab.audited("channel-refused", |event| {
            event["requested"] == requested && event["reason"] == "not-in-certificate"
        });
    }
}
