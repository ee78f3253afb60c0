//! What is at the ends of forwards: servers, an agent, a display, a SOCKS client.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::{new_key, wait_for};

const SOON: Duration = Duration::from_secs(30);

/// Either kind of stream.
pub(super) trait Stream: Read + Write + Send + Sized + 'static {
    fn twin(&self) -> Self;
    fn said_all(&self);
}

impl Stream for TcpStream {
    fn twin(&self) -> Self {
        self.set_read_timeout(Some(SOON)).expect("our own stream");
        self.try_clone().expect("our own stream")
    }

    fn said_all(&self) {
        self.shutdown(Shutdown::Write).expect("our own stream");
    }
}

impl Stream for UnixStream {
    fn twin(&self) -> Self {
        self.set_read_timeout(Some(SOON)).expect("our own stream");
        self.try_clone().expect("our own stream")
    }

    fn said_all(&self) {
        self.shutdown(Shutdown::Write).expect("our own stream");
    }
}

/// Repeats what it is told, and ends when there is no more. It lives as long as this process.
pub(super) fn echo_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || listener.incoming().flatten().for_each(echo));
    address
}

/// As [`echo_port`], on a Unix socket that everyone may use.
pub(super) fn echo_socket(path: &Path) {
    let listener = UnixListener::bind(path).expect("our own folder");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("our own socket");
    thread::spawn(move || listener.incoming().flatten().for_each(echo));
}

fn echo(stream: impl Stream) {
    thread::spawn(move || {
        let (mut from, mut to) = (stream.twin(), stream);
        if std::io::copy(&mut from, &mut to).is_ok() {
            to.said_all();
        }
    });
}

/// Says all of it, then that there is no more, and answers what came back until its end.
pub(super) fn exchange(stream: impl Stream, data: &[u8]) -> Vec<u8> {
    let mut back = stream.twin();
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        back.read_to_end(&mut all).map(|_| all)
    });
    let mut stream = stream;
    // A forward that is refused is closed while we write.
    let _refused = stream.write_all(data).map(|()| stream.said_all());
    reading.join().expect("no panic").unwrap_or_default()
}

/// Connects to a Unix socket that is about to be there.
pub(super) fn connect_socket(path: &Path) -> UnixStream {
    let mut stream = None;
    wait_for(&format!("the socket {}", path.display()), SOON, || {
        stream = UnixStream::connect(path).ok();
        stream.is_some()
    });
    stream.expect("connected")
}

/// Connects to a port that is about to be there.
pub(super) fn connect_port(address: &str) -> TcpStream {
    let mut stream = None;
    wait_for(&format!("the port {address}"), SOON, || {
        stream = TcpStream::connect(address).ok();
        stream.is_some()
    });
    stream.expect("connected")
}

/// Asks a SOCKS 5 server for a connection; nothing where it declines (RFC 1928).
pub(super) fn through_socks(mut socks: TcpStream, to: SocketAddr) -> Option<TcpStream> {
    socks.set_read_timeout(Some(SOON)).expect("our own stream");
    let SocketAddr::V4(to) = to else { panic!("an IPv4 address") };
    socks.write_all(&[5, 1, 0]).ok()?;
    let mut greeting = [0; 2];
    socks.read_exact(&mut greeting).ok()?;
    let ask = [&[5, 1, 0, 1], &to.ip().octets()[..], &to.port().to_be_bytes()].concat();
    socks.write_all(&ask).ok()?;
    let mut answer = [0; 10];
    socks.read_exact(&mut answer).ok()?;
    (answer[1] == 0).then_some(socks)
}

/// A key agent with one key.
pub(super) struct Agent {
    child: Child,
    pub(super) socket: PathBuf,
    pub(super) fingerprint: String,
}

impl Agent {
    pub(super) fn start(dir: &Path) -> Self {
        let (socket, key) = (dir.join("agent.sock"), dir.join("key_in_agent"));
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("ssh-agent starts");
        wait_for("the agent", SOON, || socket.exists());
        new_key(&key);
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.args(args).arg(&key).env("SSH_AUTH_SOCK", &socket);
            let done = command.output().expect("it starts");
            assert!(done.status.success(), "{program}: {done:?}");
            String::from_utf8_lossy(&done.stdout).into_owned()
        };
        run("ssh-add", &["-q"]);
        let fingerprint =
            run("ssh-keygen", &["-l", "-f"]).split(' ').nth(1).expect("a fingerprint").to_owned();
        Self { child, socket, fingerprint }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait()).is_ok();
    }
}

/// What a window says first: the cookie, big-endian (X11 protocol, "Connection Setup").
const SETUP: usize = 12 + 20 + 16;

/// A display that greets every window whose setup is whole; answers what `DISPLAY` names it by.
pub(super) fn display(ip: &str) -> String {
    let listener = TcpListener::bind((ip, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for mut window in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut setup = [0; SETUP];
                window.read_exact(&mut setup).and_then(|()| window.write_all(b"WINDOW")).is_ok()
            });
        }
    });
    format!("{ip}:{}.0", port - 6000)
}

/// A program that shows a window on `$DISPLAY`, and prints what the display says.
pub(super) const WINDOW: &str = r"
    cookie=$(/usr/bin/xauth list $DISPLAY | head -1 | sed 's/.* //');
    number=${DISPLAY#*:}; exec 3<>/dev/tcp/127.0.0.1/$((6000 + ${number%.*}));
    { printf 'B\0\0\013\0\0\0\022\0\020\0\0MIT-MAGIC-COOKIE-1\0\0';
      printf $(echo $cookie | sed 's/../\\x&/g'); } >&3;
    head -c 6 <&3";
