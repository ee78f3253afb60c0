//! The SSH server of one instance: who gets in, and which program each channel gets. The one
//! file here that knows the engine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::program::{ProgramControl, PtyRequest, RunningProgram, Start};
use super::requests::{self, Asked};
use super::server::Instance;
use crate::domain::Exit;
use crate::ssh::{
    AuthAttempt, Channel, ChannelEvent, ChannelKind, ChannelOpen, ChannelRequest, ChannelStream, Connection,
    ConnectionEvent, Limits, Offer, Proof, RefusalCode, RekeyPolicy, STDERR, ServerConfig, ServerIdentity,
    Unauthenticated, accept,
};

/// From the accepted connection to a user who is let in.
const LOGIN_GRACE: Duration = Duration::from_secs(30);

/// For a connection that a forward asks for.
const CONNECT: Duration = Duration::from_secs(10);

/// The most attempts to authenticate on one connection, as OpenSSH has it.
const ATTEMPTS_MAX: usize = 6;

/// The most variables that one channel may set, and the most bytes that one may have with its name.
const VARIABLES_MAX: usize = 128;
const VARIABLE_LENGTH_MAX: usize = 16 * 1024;

/// How much is read from a program at once, in bytes.
const PIECE: usize = 32 * 1024;

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, instance: &Arc<Instance>) {
    let env = connection_env(&stream, peer, instance.name);
    let Ok(Some(connection)) = timeout(LOGIN_GRACE, log_in(stream, instance)).await else { return };
    let mut channels = JoinSet::new();
    while let Ok(event) = connection.next().await {
        match event {
            ConnectionEvent::Open(open) => match open.kind {
                ChannelKind::Session => {
                    let session = Session { channel: open.accept(), env: env.clone(), pty: None };
                    channels.spawn(session.run(Arc::clone(instance)));
                }
                ChannelKind::DirectTcpip { ref host, port, .. } => {
                    let host = host.clone();
                    channels.spawn(forward(open, host, port));
                }
                ChannelKind::Other { .. } => {
                    let sentence = "the demo's instances serve sessions and forwards only";
                    open.refuse(RefusalCode::AdministrativelyProhibited, sentence);
                }
            },
            ConnectionEvent::Global(request) => request.fail(),
        }
        while channels.try_join_next().is_some() {}
    }
}

/// Connects to a service on this machine, which is all the network that an instance of the demo has.
async fn forward(open: ChannelOpen, host: String, port: u32) {
    let local = ["localhost", "127.0.0.1"].contains(&host.as_str());
    let Some(port) = u16::try_from(port).ok().filter(|_| local) else {
        let sentence = "the demo's instances connect to localhost only";
        return open.refuse(RefusalCode::AdministrativelyProhibited, sentence);
    };
    let connecting = timeout(CONNECT, TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
    let mut service = match connecting.await {
        Ok(Ok(service)) => service,
        Ok(Err(error)) => return open.refuse(RefusalCode::ConnectFailed, &error.kind().to_string()),
        Err(_) => return open.refuse(RefusalCode::ConnectFailed, "timed out"),
    };
    let mut client = ChannelStream::new(Arc::new(open.accept()));
    // Either side may break off.
    let _carried = tokio::io::copy_bidirectional(&mut client, &mut service).await;
}

/// Exchanges keys and lets in who holds a key that was pushed for this instance and login.
async fn log_in(stream: TcpStream, instance: &Instance) -> Option<Connection> {
    let config = ServerConfig {
        identity: ServerIdentity { key: Arc::clone(&instance.host_key), certificate: None },
        offer: Offer::default(),
        rekey: RekeyPolicy::default(),
        limits: Limits::default(),
    };
    let client = accept(stream, &config).await.ok()?;
    for _ in 0..ATTEMPTS_MAX {
        if attempt(&client, instance).await? {
            return Some(client.succeed());
        }
    }
    client.disconnect("Too many authentication failures");
    None
}

/// Answers one attempt, and says whether it lets in; nothing when the client has left.
async fn attempt(client: &Unauthenticated, instance: &Instance) -> Option<bool> {
    let request = client.next().await.ok()?;
    if let AuthAttempt::PublicKey { algorithm, key_blob, proof } = &request.attempt
        && instance.world.lets_in(&instance.id, &request.user, key_blob)
    {
        match proof {
            Proof::Valid { .. } => return Some(true),
            Proof::Asked => {
                client.key_would_do(algorithm, key_blob);
                return Some(false);
            }
            Proof::Invalid => {}
        }
    }
    client.refuse();
    Some(false)
}

/// What sshd tells programs about the connection, and which instance this is: the machine is the
/// same for all.
fn connection_env(stream: &TcpStream, peer: SocketAddr, name: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(local) = stream.local_addr() else { return Vec::new() };
    let (client, port) = (peer.ip(), peer.port());
    let connection = format!("{client} {port} {} {}", local.ip(), local.port());
    let client = format!("{client} {port} {}", local.port());
    vec![
        ("SSH_CONNECTION".to_owned(), connection.into_bytes()),
        ("SSH_CLIENT".to_owned(), client.into_bytes()),
        ("DRAWBRIDGE_DEMO_INSTANCE".to_owned(), name.as_bytes().to_vec()),
    ]
}

/// A session channel before its program.
struct Session {
    channel: Channel,
    env: Vec<(String, Vec<u8>)>,
    pty: Option<PtyRequest>,
}

impl Session {
    async fn run(mut self, instance: Arc<Instance>) {
        while let Some(event) = self.channel.recv().await {
            // Data before there is a program has nobody to go to.
            let ChannelEvent::Request(request) = event else { continue };
            let asked = requests::read(&request.name, &request.payload);
            if let Asked::Start(start) = asked {
                let program = self.start(start, &instance);
                answer(&self.channel, &request, program.is_some());
                if let Some(program) = program {
                    return run_program(&self.channel, program).await;
                }
            } else {
                let prepared = self.prepare(asked);
                answer(&self.channel, &request, prepared);
            }
        }
    }

    /// Takes in what the program is to be started with.
    fn prepare(&mut self, asked: Asked) -> bool {
        match asked {
            Asked::Pty(pty) => self.pty = Some(pty),
            Asked::Env(name, value) if self.takes(&name, &value) => self.env.push((name, value)),
            Asked::WindowChange { columns, rows } => {
                if let Some(pty) = &mut self.pty {
                    (pty.columns, pty.rows) = (columns, rows);
                }
            }
            Asked::Env(..) | Asked::Signal(_) | Asked::ReaderLeft | Asked::Start(_) | Asked::Unknown => {
                return false;
            }
        }
        true
    }

    fn takes(&self, name: &str, value: &[u8]) -> bool {
        self.env.len() < VARIABLES_MAX && name.len().saturating_add(value.len()) <= VARIABLE_LENGTH_MAX
    }

    fn start(&mut self, start: Start, instance: &Instance) -> Option<RunningProgram> {
        let (pty, env) = (self.pty.take(), std::mem::take(&mut self.env));
        match instance.host.start(start, pty, env) {
            Ok(program) => Some(program),
            Err(error) => {
                tracing::warn!(%error, "a demo instance could not start a program");
                None
            }
        }
    }
}

fn answer(channel: &Channel, request: &ChannelRequest, success: bool) {
    if request.want_reply {
        channel.reply(success);
    }
}

/// Connects a program with its channel until the program has ended and all was sent, or until
/// the client is gone; the program does not outlive this.
async fn run_program(channel: &Channel, program: RunningProgram) {
    let RunningProgram { stdin, stdout, stderr, control } = program;
    let reader_left = CancellationToken::new();
    let exit = async {
        // Closed, so that a program that goes on writing hears of it (SIGPIPE), as with sshd.
        let output = reader_left.run_until_cancelled(send(channel, None, Some(stdout)));
        let (_sent, ()) = tokio::join!(output, send(channel, Some(STDERR), stderr));
        control.wait().await
    };
    tokio::select! {
        exit = exit => report(channel, &exit),
        () = feed(channel, stdin) => {}
        () = obey(channel, &control, &reader_left) => {}
        () = channel.closed() => {}
    }
}

/// Sends what a program writes. An output that fails has ended.
async fn send(channel: &Channel, kind: Option<u32>, output: Option<Box<dyn AsyncRead + Send + Unpin>>) {
    let Some(mut output) = output else { return };
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        match output.read_buf(&mut buffer).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let piece = buffer.split().freeze();
        let sent = match kind {
            None => channel.write(piece).await,
            Some(kind) => channel.write_extended(kind, piece).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Gives a program what the client sends. What a program no longer reads is dropped, so that the
/// client is not held up. Never returns.
async fn feed(channel: &Channel, stdin: Box<dyn AsyncWrite + Send + Unpin>) {
    let mut stdin = Some(stdin);
    while let Some(event) = channel.recv_data().await {
        match event {
            ChannelEvent::Data(data) => {
                if let Some(open) = &mut stdin
                    && (open.write_all(&data).await.is_err() || open.flush().await.is_err())
                {
                    stdin = None;
                }
            }
            ChannelEvent::Eof => stdin = None,
            ChannelEvent::Extended(..) | ChannelEvent::Request(_) => {}
        }
    }
    std::future::pending().await
}

/// Does what the client asks of a running program. Never returns.
async fn obey(channel: &Channel, control: &ProgramControl, reader_left: &CancellationToken) {
    while let Some(request) = channel.recv_request().await {
        let obeyed = match requests::read(&request.name, &request.payload) {
            Asked::WindowChange { columns, rows } => {
                control.resize(columns, rows);
                true
            }
            Asked::Signal(name) => {
                control.signal(&name);
                true
            }
            Asked::ReaderLeft => {
                reader_left.cancel();
                true
            }
            Asked::Pty(_) | Asked::Env(..) | Asked::Start(_) | Asked::Unknown => false,
        };
        answer(channel, &request, obeyed);
    }
    std::future::pending().await
}

/// Says how the program ended. The end of the data goes after that: some clients stop reading
/// there and would report success (RFC 4254 §6.10).
fn report(channel: &Channel, exit: &Exit) {
    match exit {
        Exit::Status { code } => channel.exit_status(*code),
        Exit::Signal { name, core_dumped } => {
            let mut payload = Vec::new();
            put_string(&mut payload, name.as_bytes());
            payload.push(u8::from(*core_dumped));
            put_string(&mut payload, b"");
            put_string(&mut payload, b"");
            drop(channel.request("exit-signal", false, &payload));
        }
    }
    channel.eof();
    channel.close();
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u32::try_from(text.len()).unwrap_or_default().to_be_bytes());
    out.extend(text);
}
