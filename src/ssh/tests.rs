//! The engine against itself, and against russh and OpenSSH, which others wrote.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::testing::TestKey;
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn server_config() -> ServerConfig {
    let key = Arc::new(HostKey::generate("test").expect("host key"));
    ServerConfig {
        identity: ServerIdentity { key, certificate: None },
        offer: Offer::default(),
        rekey: RekeyPolicy::default(),
        limits: Limits::default(),
    }
}

fn with_all_additions() -> Offer {
    Offer::ADDITIONS.iter().try_fold(Offer::default(), |offer, name| offer.with(name)).expect("addable")
}

async fn let_in(unauthenticated: Unauthenticated) -> Connection {
    loop {
        let request = unauthenticated.next().await.expect("a request");
        match request.attempt {
            AuthAttempt::PublicKey { proof: Proof::Valid { .. }, .. } => return unauthenticated.succeed(),
            AuthAttempt::PublicKey { proof: Proof::Asked, algorithm, key_blob } => {
                unauthenticated.key_would_do(&algorithm, &key_blob);
            }
            AuthAttempt::PublicKey { proof: Proof::Invalid, .. }
            | AuthAttempt::None
            | AuthAttempt::Other(_) => {
                unauthenticated.refuse();
            }
        }
    }
}

/// Echoes what a session channel is sent; `exit` in the command is its status.
async fn echo(channel: Channel) {
    let mut code = 0;
    while let Some(event) = channel.recv().await {
        match event {
            ChannelEvent::Data(data) => {
                if channel.write(data).await.is_err() {
                    return;
                }
            }
            ChannelEvent::Request(request) => {
                if request.name == "exec" && request.payload.ends_with(b"exit 7") {
                    code = 7;
                }
                if request.want_reply {
                    channel.reply(request.name != "subsystem");
                }
            }
            ChannelEvent::Eof => {
                channel.exit_status(code);
                channel.eof();
                channel.close();
            }
            ChannelEvent::Extended(..) => {}
        }
    }
}

async fn serve_echo<S: Stream>(stream: S, config: ServerConfig) {
    let connection = let_in(accept(stream, &config).await.expect("accepted")).await;
    while let Ok(event) = connection.next().await {
        match event {
            ConnectionEvent::Open(open) => match open.kind {
                ChannelKind::Session => {
                    tokio::spawn(echo(open.accept()));
                }
                ChannelKind::DirectTcpip { .. } | ChannelKind::Other { .. } => {
                    open.refuse(RefusalCode::AdministrativelyProhibited, "only sessions here");
                }
            },
            ConnectionEvent::Global(request) => request.fail(),
        }
    }
}

async fn connected(server: ServerConfig, client: ClientConfig) -> Connection {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(serve_echo(far, server));
    let unverified = connect(near, &client).await.expect("keys exchanged");
    assert!(!unverified.host_key().is_empty());
    unverified.authenticate("someone", &TestKey::fresh()).await.expect("let in")
}

async fn send_all(channel: &Channel, total: usize) {
    let piece = Bytes::from(vec![0xa5; 100_000]);
    let mut left = total;
    while left > 0 {
        let count = left.min(piece.len());
        channel.write(piece.slice(..count)).await.expect("written");
        left -= count;
    }
}

async fn receive_all(channel: &Channel, total: usize) {
    let mut got = 0;
    while got < total {
        match channel.recv_data().await.expect("more data") {
            ChannelEvent::Data(data) => {
                assert!(data.iter().all(|byte| *byte == 0xa5));
                got += data.len();
            }
            other @ (ChannelEvent::Extended(..) | ChannelEvent::Eof | ChannelEvent::Request(_)) => {
                panic!("unexpected {other:?}")
            }
        }
    }
    assert_eq!(got, total);
}

async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("finished in time")
}

#[tokio::test]
async fn every_cipher_and_key_exchange_carries_data_both_ways() {
    let server = ServerConfig { offer: with_all_additions(), ..server_config() };
    let lists = offer::Lists::for_client(server.offer, &server.identity);
    for kex in &lists.kex {
        for cipher in &lists.ciphers {
            let client = ClientConfig {
                kex: vec![kex.clone()],
                ciphers: vec![cipher.clone()],
                ..ClientConfig::default()
            };
            let connection = connected(server.clone(), client).await;
            let channel = connection.open(&ChannelKind::Session).await.expect("opened");
            patiently(async {
                tokio::join!(send_all(&channel, 300_000), receive_all(&channel, 300_000));
            })
            .await;
        }
    }
}

#[tokio::test]
async fn bulk_both_ways_at_once_neither_deadlocks_nor_loses_a_byte_while_keys_are_renewed() {
    let often = RekeyPolicy { bytes: 1 << 20, interval: Duration::from_secs(3600) };
    let server = ServerConfig { rekey: often, ..server_config() };
    let connection = connected(server, ClientConfig { rekey: often, ..ClientConfig::default() }).await;
    let channel = connection.open(&ChannelKind::Session).await.expect("opened");
    let total = 32 << 20;
    patiently(async {
        tokio::join!(send_all(&channel, total), receive_all(&channel, total));
    })
    .await;
}

/// facts: with russh, one stalled channel stopped every other one of its connection.
#[tokio::test]
async fn an_unread_channel_stops_its_sender_and_nobody_else() {
    let connection = connected(server_config(), ClientConfig::default()).await;
    let stalled = connection.open(&ChannelKind::Session).await.expect("opened");
    // The echo of this channel is never read: the sender must come to a halt, with bounded memory.
    let blocked = tokio::time::timeout(Duration::from_millis(1500), send_all(&stalled, 1 << 30)).await;
    assert!(blocked.is_err(), "a sender was never stopped");
    let lively = connection.open(&ChannelKind::Session).await.expect("opened beside a stalled channel");
    patiently(async {
        for _ in 0..100 {
            lively.write(Bytes::from_static(b"\xa5")).await.expect("written");
            receive_all(&lively, 1).await;
        }
        connection.rekey();
        connection.ask("keepalive@openssh.com", &[]).await.expect("a keepalive is answered");
        tokio::join!(send_all(&lively, 5 << 20), receive_all(&lively, 5 << 20));
    })
    .await;
}

#[tokio::test]
async fn a_writer_learns_that_the_channel_was_closed() {
    let connection = connected(server_config(), ClientConfig::default()).await;
    let channel = Arc::new(connection.open(&ChannelKind::Session).await.expect("opened"));
    let writer = Arc::clone(&channel);
    let task = tokio::spawn(async move {
        let piece = Bytes::from(vec![0; 1 << 20]);
        while writer.write(piece.clone()).await.is_ok() {}
    });
    drop(connection);
    patiently(task).await.expect("the writer ended");
    assert_eq!(patiently(channel.recv()).await, None);
}

#[tokio::test]
async fn too_many_channels_are_refused_and_the_others_live_on() {
    let limits = Limits { channels_max: 3, ..Limits::default() };
    let connection = connected(ServerConfig { limits, ..server_config() }, ClientConfig::default()).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(connection.open(&ChannelKind::Session).await.expect("opened"));
    }
    let refused = connection.open(&ChannelKind::Session).await.expect_err("one too many");
    assert!(matches!(refused, OpenError::Refused(OpenRefused { code: 4, .. })), "{refused}");
    let first = open.first().expect("there");
    patiently(async {
        tokio::join!(send_all(first, 1000), receive_all(first, 1000));
    })
    .await;
}

#[tokio::test]
async fn of_a_thousand_channels_as_many_open_as_are_allowed_and_those_are_unharmed() {
    let channels_max = 64;
    let limits = Limits { channels_max, ..Limits::default() };
    let connection = connected(ServerConfig { limits, ..server_config() }, ClientConfig::default()).await;
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..1000 {
        match patiently(connection.open(&ChannelKind::Session)).await {
            Ok(channel) => open.push(channel),
            Err(OpenError::Refused(OpenRefused { code: 4, text })) => {
                assert!(text.contains("as many channels open"), "{text}");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((open.len(), refused), (channels_max, 1000 - channels_max));
    for channel in &open {
        patiently(async {
            tokio::join!(send_all(channel, 10_000), receive_all(channel, 10_000));
        })
        .await;
    }
    drop(open.pop());
    let freed = async { while connection.open(&ChannelKind::Session).await.is_err() {} };
    patiently(freed).await;
}

#[tokio::test]
async fn what_is_not_ssh_ends_cleanly() {
    let cases: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\n\r\n", b"SSH-1.5-old\r\n", &[0; 300], b"SSH-2.0-x\r\n\xff\xff\xff\xff\xff"];
    for garbage in cases {
        let (mut near, far) = duplex(4096);
        near.write_all(garbage).await.expect("written");
        let error = patiently(accept(far, &server_config())).await.expect_err("not SSH");
        assert!(matches!(*error.0, CloseReason::NotSsh | CloseReason::Protocol(_)), "{error}");
    }
}

#[tokio::test]
async fn channels_before_authentication_end_the_connection() {
    let (near, far) = duplex(64 * 1024);
    let server = tokio::spawn(async move {
        let unauthenticated = accept(far, &server_config()).await.expect("accepted");
        unauthenticated.next().await
    });
    let unverified = connect(near, &ClientConfig::default()).await.expect("keys");
    {
        use super::wire::Put;
        let mut inner = unverified.dangerous_inner().lock();
        let mut out = super::wire::message(numbers::CHANNEL_OPEN);
        out.string(b"session").uint32(0).uint32(1000).uint32(1000);
        inner.send(&out, &[]);
    }
    let error = patiently(server).await.expect("no panic").expect_err("refused");
    assert!(matches!(*error.0, CloseReason::Protocol(_)), "{error}");
}

/// Sends a login as `user` with a key that is never let in; answers what the server's end saw.
async fn attempt_as(user: String) -> Result<AuthRequest, Closed> {
    let (near, far) = duplex(64 * 1024);
    let server = tokio::spawn(async move {
        let unauthenticated = accept(far, &server_config()).await.expect("accepted");
        unauthenticated.next().await
    });
    let unverified = connect(near, &ClientConfig::default()).await.expect("keys");
    let key = TestKey::fresh();
    tokio::select! {
        // When the server has seen enough it leaves, and then the login fails too.
        biased;
        seen = server => seen.expect("no panic"),
        _ = unverified.authenticate(&user, &key) => panic!("nobody answered"),
    }
}

#[tokio::test]
async fn a_long_user_name_is_cut_and_one_of_10_mb_ends_the_connection() {
    let seen = patiently(attempt_as("a".repeat(100_000))).await.expect("a request");
    assert_eq!(seen.user.len(), USER_NAME_MAX);
    let error = patiently(attempt_as("a".repeat(10_000_000))).await.expect_err("too long a packet");
    assert!(matches!(*error.0, CloseReason::Protocol(_)), "{error}");
}

async fn tcp_server() -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("address").port();
    let config = ServerConfig { offer: with_all_additions(), ..server_config() };
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_echo(stream, config.clone()));
        }
    });
    (port, task)
}

fn openssh(port: u16, dir: &std::path::Path, options: &[&str]) -> Command {
    let key = dir.join("key");
    if !key.exists() {
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()
            .expect("ssh-keygen");
        assert!(made.success());
    }
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-p", &port.to_string(), "-i"]).arg(key);
    command.args([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ]);
    for option in options {
        command.args(["-o", option]);
    }
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_openssh_client_gets_its_bytes_and_exit_status_with_every_algorithm() {
    let (port, _server) = tcp_server().await;
    let dir = tempfile::tempdir().expect("dir");
    let option_sets: [&[&str]; 8] = [
        &[],
        &["Ciphers=aes128-gcm@openssh.com"],
        &["Ciphers=aes256-gcm@openssh.com"],
        &["Ciphers=chacha20-poly1305@openssh.com", "KexAlgorithms=ecdh-sha2-nistp256"],
        &["Ciphers=aes256-ctr", "MACs=hmac-sha2-256-etm@openssh.com", "KexAlgorithms=ecdh-sha2-nistp384"],
        &["Ciphers=aes128-ctr", "MACs=hmac-sha2-512", "KexAlgorithms=ecdh-sha2-nistp521"],
        &["RekeyLimit=256K"],
        &["ServerAliveInterval=1"],
    ];
    for options in option_sets {
        let mut child =
            openssh(port, dir.path(), options).args(["127.0.0.1", "exit 7"]).spawn().expect("ssh");
        let mut stdin = child.stdin.take().expect("stdin");
        let mut stdout = child.stdout.take().expect("stdout");
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let (_, got) = patiently(async {
            tokio::join!(
                async move {
                    stdin.write_all(&sent).await.expect("written");
                    drop(stdin);
                },
                async {
                    let mut got = Vec::new();
                    stdout.read_to_end(&mut got).await.expect("read");
                    got
                }
            )
        })
        .await;
        let output = patiently(child.wait_with_output()).await.expect("ended");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{options:?}: {stderr}");
        assert!(got == expected, "{options:?}: {} of {} bytes", got.len(), expected.len());
    }
}

mod russh_peer {
    //! russh as the client: the only peer here that speaks mlkem768x25519-sha256.

    use std::borrow::Cow;

    use super::*;

    struct AcceptAll;

    impl russh::client::Handler for AcceptAll {
        type Error = russh::Error;

        async fn check_server_key(
            &mut self,
            _: &russh::keys::PublicKeyOrCertificate,
        ) -> Result<bool, Self::Error> {
            Ok(true)
        }
    }

    #[tokio::test]
    async fn the_post_quantum_exchange_agrees_with_russh() {
        let (port, _server) = tcp_server().await;
        let preferred = russh::Preferred {
            kex: Cow::Owned(vec![russh::kex::MLKEM768X25519_SHA256]),
            ..russh::Preferred::DEFAULT
        };
        let config = russh::client::Config { preferred, ..Default::default() };
        let mut session = russh::client::connect(Arc::new(config), ("127.0.0.1", port), AcceptAll)
            .await
            .expect("keys exchanged");
        let key =
            russh::keys::PrivateKey::random(&mut rand::rng(), russh::keys::Algorithm::Ed25519).expect("key");
        let key = russh::keys::PrivateKeyWithHashAlg::new(Arc::new(key), None);
        assert!(session.authenticate_publickey("someone", key).await.expect("answer").success());
        let mut channel = session.channel_open_session().await.expect("opened");
        channel.exec(true, "exit 7").await.expect("asked");
        channel.data_bytes(&b"hello"[..]).await.expect("sent");
        channel.eof().await.expect("sent");
        let (mut echoed, mut status) = (Vec::new(), None);
        while let Some(message) = patiently(channel.wait()).await {
            if let russh::ChannelMsg::Data { data } = &message {
                echoed.extend_from_slice(data);
            } else if let russh::ChannelMsg::ExitStatus { exit_status } = message {
                status = Some(exit_status);
            }
        }
        assert_eq!((echoed.as_slice(), status), (&b"hello"[..], Some(7)));
    }
}
