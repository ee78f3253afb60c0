//! `ssh -L`, `-W` and `-D` through the bastion alone: what policy allows is dialled, what is never reachable is
//! not, and each has its lines.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Finished, Lab, Network, Supervisor, Way, certify, named, new_key, noise, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

/// `ssh -W` to there, with that on standard input.
fn to(lab: &Lab, user: &str, destination: &str, input: impl Into<Vec<u8>>) -> Finished {
    let client = lab.client(Way::Jump, "bastion").user(user).option("LogLevel INFO");
    client.args(&["-W", destination]).input(input).run_without_command()
}

/// What is read until the other side ends, and nothing where it breaks.
fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.set_read_timeout(Some(PATIENCE)).expect("our own socket");
    // What came before a reset is what counts.
    let _broken = stream.read_to_end(&mut all).is_err();
    all
}

/// A client that listens (`-L`, `-D`), once it does.
fn listening(lab: &Lab, user: &str, kind: &str, forward: &dyn Fn(u16) -> String) -> (impl Drop + use<>, u16) {
    let port = Supervisor::get().free_port("127.0.0.1");
    let client = lab.client(Way::Jump, "bastion").user(user).option("ExitOnForwardFailure yes");
    let mut running = client.args(&["-N", kind, &forward(port)]).start(&[]);
    wait_for("ssh to listen", PATIENCE, || {
        assert!(running.ended().is_none(), "ssh has ended");
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
    (running, port)
}

/// Connects through a SOCKS5 proxy (RFC 1928); the answer's code, and the stream.
fn by_socks(proxy: u16, name: &str, port: u16) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy)).expect("ssh listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("our own socket");
    stream.write_all(&[5, 1, 0]).expect("sent");
    stream.read_exact(&mut [0; 2]).expect("a method");
    let mut request = vec![5, 1, 0, 3, u8::try_from(name.len()).expect("short")];
    request.extend(name.as_bytes());
    request.extend(port.to_be_bytes());
    stream.write_all(&request).expect("sent");
    let mut answer = [0; 10];
    // OpenSSH closes without an answer, or answers, as the channel is refused early or late.
    let code = if stream.read_exact(&mut answer).is_ok() { answer[1] } else { 255 };
    (code, stream)
}

/// One rule for the databases' port of the network, one for a web server by its tag.
fn policy(network: &Network) -> String {
    format!(
        r#"
@id("databases")
permit(principal in Group::"eng", action == Action::"connect", resource is PrivateAddress)
when {{ resource.private_ip.isInRange(ip("{}")) && context.destination.port == 5432 }};

@id("web")
permit(principal in Group::"eng", action == Action::"connect", resource is Instance)
when {{ resource.hasTag("role") && resource.getTag("role") == "web" && context.destination.port == 8080 }};
"#,
        network.block
    )
}

/// A database at the first address of the network, and `web-1` at the second.
fn lab_with(network: &Network, policy: &str) -> Lab {
    let [database, web] = &network.theirs;
    for (ip, port) in [(database, 5432), (database, 5433), (web, 8080), (web, 5432)] {
        network.echo(ip, port);
    }
    Lab::with().closed("web-1").at(web).tag("role", "web").user("bob", &["sales"]).policy(policy).start()
}

#[test]
fn an_address_that_one_rule_allows_is_reached_and_another_port_is_not() {
    let Some(network) = Network::new() else { return };
    let lab = lab_with(&network, &policy(&network));
    let database = &network.theirs[0];
    let done = to(&lab, "alice", &format!("{database}:5432"), "select").ended_with(0);
    assert_eq!(done.out(), "select<6 bytes>");
    let refused = to(&lab, "alice", &format!("{database}:5433"), "").failed();
    assert!(refused.err().contains("there is no destination"), "{refused:?}");
    assert!(refused.stdout.is_empty(), "{refused:?}");

    let permitted = lab.audited("decision", |event| event["outcome"] == "permit");
    assert_eq!(permitted["action"], "connect");
    assert_eq!(permitted["rules"], json!(["databases"]));
    assert_eq!(permitted["destination"], json!({"host": database, "address": database, "port": 5432}));
    assert_eq!((&permitted["target"], &permitted["login"]), (&Value::Null, &Value::Null));
    let started = lab.audited("forward-started", |_| true);
    assert_eq!((&started["user"], &started["client_addr"]), (&json!("alice"), &json!("127.0.0.1")));
    assert_eq!((&started["action"], &started["channel"]), (&json!("connect"), &json!(1)));
    assert_eq!(started["session"], Value::Null);
    let ended = lab.audited("forward-ended", |_| true);
    assert_eq!((&ended["bytes_to_target"], &ended["bytes_to_client"]), (&json!(6), &json!(15)));
    assert_eq!((&ended["ending"], &ended["destination"]), (&json!("finished"), &permitted["destination"]));
    let not_theirs = lab.audited("decision", |event| event["outcome"] == "refuse");
    assert_eq!(
        (&not_theirs["destination"]["port"], &not_theirs["reason"]),
        (&json!(5433), &json!("no-rule-permits"))
    );
    lab.audited("target-requested", |event| {
        event["typed"] == format!("{database}:5432") && event["way"] == "connect"
    });
    assert_eq!(named(&lab.audit(), "forward-started").len(), 1, "the refused one was dialled");
}

#[test]
fn an_instance_is_reached_by_name_id_and_address_where_a_rule_about_it_allows() {
    let Some(network) = Network::new() else { return };
    let lab = lab_with(&network, &policy(&network));
    let web = lab.instance("web-1");
    for name in ["web-1", &web.id, &web.dns, &web.ip] {
        let done = to(&lab, "alice", &format!("{name}:8080"), "GET /").ended_with(0);
        assert_eq!(done.out(), "GET /<5 bytes>", "{name}");
        lab.audited("forward-ended", |event| {
            event["destination"] == json!({"host": name, "address": web.ip, "port": 8080})
        });
        let decision = lab.audited("decision", |event| event["destination"]["host"] == name);
        assert_eq!((&decision["rules"], &decision["target"]["name"]), (&json!(["web"]), &json!("web-1")));
    }
    // Its address is in the block of the databases, and it is none: the rule is about what is no instance's.
    to(&lab, "alice", &format!("{}:5432", web.ip), "").failed();
    to(&lab, "alice", "web-1:5432", "").failed();
}

#[test]
fn what_is_unknown_and_what_is_not_yours_read_the_same() {
    let Some(network) = Network::new() else { return };
    let lab = lab_with(&network, &policy(&network));
    let words = |user: &str, host: &str| {
        let refused = to(&lab, user, &format!("{host}:8080"), "").failed();
        refused.err().replace(host, "HOST")
    };
    let foreign = words("bob", "web-1");
    assert!(foreign.contains("there is no destination \"HOST:8080\""), "{foreign}");
    assert_eq!(foreign, words("bob", "no-such-1"));
    assert_eq!(foreign, words("bob", &network.theirs[0]));
    assert_eq!(foreign, words("alice", "no-such-1"));
    assert_eq!(foreign, words("alice", &network.theirs[0]));
    lab.audited("target-not-resolved", |event| {
        event["typed"] == "no-such-1:8080" && event["reason"] == "unknown"
    });
}

/// The metadata service gives out the bastion's own credentials.
#[test]
fn what_is_never_reachable_is_not_reached_whatever_the_policy_says() {
    let lab = Lab::with().instance("web-1").start();
    let listener = lab.port();
    for host in [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "127.0.0.1",
        "[::1]",
        "0.0.0.0",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        // Its machine in the lab is this one.
        "web-1",
    ] {
        let refused = to(&lab, "alice", &format!("{host}:{listener}"), "").failed();
        assert!(refused.err().contains("never reachable"), "{host}: {refused:?}");
        let typed = format!("{host}:{listener}");
        lab.audited("target-not-resolved", |event| {
            event["typed"] == typed && event["reason"] == "never-reachable"
        });
    }
    let public = to(&lab, "alice", "8.8.8.8:53", "").failed();
    assert!(public.err().contains("private addresses only"), "{public:?}");
    assert!(named(&lab.audit(), "forward-started").is_empty());
}

#[test]
fn the_bastion_s_own_machine_is_never_reached() {
    let Some(network) = Network::new() else { return };
    let lab = Lab::with().start();
    let refused = to(&lab, "alice", &format!("{}:{}", network.ours, lab.port()), "").failed();
    assert!(refused.err().contains("never reachable"), "{refused:?}");
    lab.audited("target-not-resolved", |event| {
        event["detail"] == "it is an address of the bastion's own machine"
    });
    // Where SSH is meant, an SSH server says why not.
    let told = to(&lab, "alice", &format!("{}:22", network.ours), "");
    assert!(told.out().starts_with("SSH-2.0-"), "{told:?}");
    let told = lab.client(Way::Jump, &network.ours).run("true").ended_with(255).with_a_sentence();
    assert!(told.err().contains("never reachable"), "{told:?}");
    assert!(named(&lab.audit(), "forward-started").is_empty());
}

/// `/etc/hosts` of most systems has such names, and anybody's DNS may.
#[test]
fn a_name_that_leads_to_loopback_is_refused_like_the_address() {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let names = hosts.lines().filter(|line| line.starts_with("127.") || line.starts_with("::1"));
    let names: Vec<&str> = names.flat_map(|line| line.split_whitespace().skip(1)).collect();
    let lab = Lab::with().start();
    for name in names.into_iter().take(4).chain(["db.localhost"]) {
        let refused = to(&lab, "alice", &format!("{name}:80"), "").failed();
        assert!(refused.err().contains("never reachable"), "{name}: {refused:?}");
    }
    assert!(named(&lab.audit(), "forward-started").is_empty());
}

#[test]
fn a_forward_listens_at_the_client_and_carries_every_byte_both_ways() {
    let Some(network) = Network::new() else { return };
    let lab = lab_with(&network, &policy(&network));
    let (_running, port) =
        listening(&lab, "alice", "-L", &|port| format!("127.0.0.1:{port}:{}:5432", network.theirs[0]));
    let sent = noise(3_000_000, 7);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("ssh listens");
    let mut writer = stream.try_clone().expect("our own socket");
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&bytes).expect("the forward takes it");
        writer.shutdown(Shutdown::Write).expect("our own socket");
    });
    let came = rest_of(&mut stream);
    writing.join().expect("no panic");
    assert_eq!(came.len(), sent.len() + "<3000000 bytes>".len());
    assert!(came.starts_with(&sent) && came.ends_with(b"<3000000 bytes>"));
    lab.audited("forward-ended", |event| {
        event["bytes_to_target"] == 3_000_000 && event["ending"] == "finished"
    });
}

#[test]
fn a_dynamic_forward_is_decided_about_connection_by_connection() {
    let Some(network) = Network::new() else { return };
    let lab = lab_with(&network, &policy(&network));
    let (_running, proxy) = listening(&lab, "alice", "-D", &|port| format!("127.0.0.1:{port}"));
    let (code, mut stream) = by_socks(proxy, "web-1", 8080);
    assert_eq!(code, 0);
    stream.write_all(b"hello").expect("sent");
    stream.shutdown(Shutdown::Write).expect("our own socket");
    assert_eq!(rest_of(&mut stream), b"hello<5 bytes>");
    for (host, port) in [("web-1", 8081), ("169.254.169.254", 80), ("localhost", 8080), ("no-such-1", 80)] {
        let (code, mut stream) = by_socks(proxy, host, port);
        assert!(code != 0 || rest_of(&mut stream).is_empty(), "{host}:{port}");
    }
    // `ssh` refuses port 0 by itself everywhere but here.
    let (code, mut stream) = by_socks(proxy, "web-1", 0);
    assert!(code != 0 || rest_of(&mut stream).is_empty());
    lab.audited("target-not-resolved", |event| event["typed"] == "web-1:0" && event["reason"] == "malformed");
    assert_eq!(named(&lab.audit(), "forward-started").len(), 1);
}

#[test]
fn a_service_that_is_not_there_is_said_not_to_be() {
    let Some(network) = Network::new() else { return };
    let lab = Lab::with().start();
    let refused = to(&lab, "alice", &format!("{}:9", network.theirs[0]), "").failed();
    assert!(refused.err().contains("refused the connection"), "{refused:?}");
    lab.audited("upstream-failed", |event| event["reason"] == "connection-refused");
    assert!(named(&lab.audit(), "forward-started").is_empty());
}

#[test]
fn the_limits_of_the_rule_end_a_connection_on_record() {
    let Some(network) = Network::new() else { return };
    network.echo(&network.theirs[0], 5432);
    for (limit, ending) in [("@max_session(\"1s\")", "max-session"), ("@idle(\"1s\")", "idle")] {
        let rule = format!("{limit} permit(principal, action == Action::\"connect\", resource);");
        let lab = Lab::with().policy(&rule).start();
        let client = lab.client(Way::Jump, "bastion").args(&["-W", &format!("{}:5432", network.theirs[0])]);
        let mut running = client.start(&[]);
        wait_for("the limit to end it", PATIENCE, || running.ended().is_some());
        let ended = lab.audited("forward-ended", |_| true);
        assert_eq!(ended["ending"], ending);
    }
}

#[test]
fn shutting_down_ends_a_connection_on_record() {
    let Some(network) = Network::new() else { return };
    network.echo(&network.theirs[0], 5432);
    let lab = Lab::with().config("server", "shutdown_grace", "\"1s\"").start();
    let client = lab.client(Way::Jump, "bastion").args(&["-W", &format!("{}:5432", network.theirs[0])]);
    let running = client.start(&[]);
    lab.audited("forward-started", |_| true);
    lab.daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(lab.daemon.wait(PATIENCE), 0);
    drop(running);
    let trail = lab.audit();
    assert_eq!(
        named(&trail, "forward-ended").first().map(|event| &event["ending"]),
        Some(&json!("shutting-down"))
    );
}

#[test]
fn a_certificate_that_does_not_permit_forwarding_is_obeyed() {
    let Some(network) = Network::new() else { return };
    network.echo(&network.theirs[0], 5432);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ca, plain, strict) =
        (folder.path().join("ca"), folder.path().join("plain"), folder.path().join("strict"));
    let ca_line = new_key(&ca);
    new_key(&plain);
    new_key(&strict);
    certify(&ca, &plain, "plain", "alice", &[]);
    certify(&ca, &strict, "strict", "alice", &["-O", "no-port-forwarding"]);
    let builder = Lab::with().config("identity", "trusted_user_ca_keys", "[\"ca.pub\"]");
    let lab = builder.file("ca.pub", ca_line.into_bytes()).start();
    let with = |key: &std::path::Path| {
        let client = lab.client(Way::Jump, "bastion").key(key.to_owned()).option("LogLevel INFO");
        client.args(&["-W", &format!("{}:5432", network.theirs[0])]).input("x").run_without_command()
    };
    assert_eq!(with(&plain).ended_with(0).out(), "x<1 bytes>");
    let refused = with(&strict).failed();
    assert!(refused.err().contains("does not permit port forwarding"), "{refused:?}");
    lab.audited("channel-refused", |event| event["reason"] == "not-in-certificate");
}

/// `ssh` fills in the name of the account on the laptop; a jump goes on as if it had not.
#[test]
fn forwards_of_somebody_with_another_name_on_their_laptop_are_the_bastion_s() {
    let Some(network) = Network::new() else { return };
    let lab = lab_with(&network, &policy(&network));
    let client = lab.client(Way::Jump, "bastion").option("Host bastion\n  User somebody-else\nHost *");
    let done = client.args(&["-W", "web-1:8080"]).input("GET /").run_without_command();
    assert_eq!(done.ended_with(0).out(), "GET /<5 bytes>");
    let typed: Vec<Value> =
        named(&lab.audit(), "target-requested").iter().map(|event| event["typed"].clone()).collect();
    assert_eq!(typed, ["web-1:8080"]);
}
