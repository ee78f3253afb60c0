//! What VS Code Remote does: a script on the standard input of `ssh -T host bash`, which installs a server and
//! keeps running; then forwards to that server through the same connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::lab;
use crate::support::{Running, Supervisor, Way, wait_for};

/// A server on the instance's loopback that answers one client with what it says, in capitals.
const SERVER: &str = r#"python3 -u -c '
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(f"listeningOn=={listener.getsockname()[1]}==", flush=True)
client, _ = listener.accept()
while data := client.recv(4096):
    client.sendall(data.upper())
' &
"#;

fn say(shell: &mut Running, text: &str) {
    let stdin = shell.child().stdin.as_mut().expect("piped");
    stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("ssh takes input");
}

#[test]
fn a_script_on_standard_input_keeps_running_and_answers() {
    for way in Way::BOTH {
        let mut shell = lab().client(way, "web-1").args(&["-T"]).start(&["bash"]);
        // The script comes in one piece, longer than one packet, as installers are.
        say(&mut shell, &format!("# {}\n", "padding ".repeat(20_000)));
        say(&mut shell, SERVER);
        shell.expect("listeningOn==");
        say(&mut shell, "printf '%s\\n' re''ady\n");
        shell.expect("ready\n");
        say(&mut shell, "kill %1; exit 37\n");
        wait_for("the script to end", Duration::from_secs(30), || shell.ended().is_some());
        assert_eq!(shell.ended(), Some(Some(37)), "{way:?}");
    }
}

#[test]
fn a_server_that_the_script_started_is_reached_through_a_forward() {
    for way in Way::BOTH {
        let socks = Supervisor::get().free_port("127.0.0.1");
        let mut shell = lab().client(way, "web-1").args(&["-T", "-D", &socks.to_string()]).start(&["bash"]);
        say(&mut shell, SERVER);
        shell.expect("listeningOn==");
        let port: u16 = until(&mut shell, "==").parse().expect("a port");
        let mut server = through_socks(socks, port);
        server.write_all(b"hello through the bastion").expect("it takes data");
        server.shutdown(std::net::Shutdown::Write).expect("connected");
        let mut answer = String::new();
        server.read_to_string(&mut answer).expect("it answers, and ends");
        assert_eq!(answer, "HELLO THROUGH THE BASTION", "{way:?}");
        say(&mut shell, "wait; exit 37\n");
        wait_for("the script to end", Duration::from_secs(30), || shell.ended().is_some());
        assert_eq!(shell.ended(), Some(Some(37)), "{way:?}");
    }
}

/// What it says up to there.
fn until(shell: &mut Running, end: &str) -> String {
    let mut said = String::new();
    while !said.ends_with(end) {
        let mut byte = [0];
        shell.child().stdout.as_mut().expect("piped").read_exact(&mut byte).expect("it says more");
        said.push(char::from(byte[0]));
    }
    said.truncate(said.len() - end.len());
    said
}

/// Connects to a port of the instance's loopback (RFC 1928, no authentication, an IPv4 address).
fn through_socks(socks: u16, port: u16) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, socks)).expect("ssh -D listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("our own socket");
    stream.write_all(&[5, 1, 0]).expect("greeting");
    let mut method = [0; 2];
    stream.read_exact(&mut method).expect("a method");
    assert_eq!(method, [5, 0]);
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).expect("request");
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).expect("a reply");
    assert_eq!(reply[1], 0, "the forward was refused");
    stream
}
