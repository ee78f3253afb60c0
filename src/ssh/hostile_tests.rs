//! Peers that break the rules: one end of the engine is made to say what it never says by itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::watch;

use super::testing::TestKey;
use super::wire::{Put, message};
use super::*;
use crate::domain::Ending;
use crate::relay;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn server_config() -> ServerConfig {
    let key = HostKey::generate("test").expect("host key");
    ServerConfig {
        identity: ServerIdentity { key: Arc::new(key), certificate: None },
        offer: Offer::default(),
        rekey: RekeyPolicy::default(),
        limits: Limits::default(),
    }
}

pub(super) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("finished in time")
}

/// A stream whose reader can be stopped: a peer that is alive and reads nothing.
struct Stoppable {
    stream: DuplexStream,
    stopped: Arc<AtomicBool>,
}

impl AsyncRead for Stoppable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.stopped.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Stoppable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Both ends after the key exchange, before the login.
pub(super) async fn strangers(server: ServerConfig, client: ClientConfig) -> (Unverified, Unauthenticated) {
    let (unverified, unauthenticated, _) = stoppable_strangers(server, client).await;
    (unverified, unauthenticated)
}

/// And what stops the server from reading.
async fn stoppable_strangers(
    server: ServerConfig,
    client: ClientConfig,
) -> (Unverified, Unauthenticated, Arc<AtomicBool>) {
    let (near, far) = duplex(64 * 1024);
    let stopped = Arc::new(AtomicBool::new(false));
    let far = Stoppable { stream: far, stopped: Arc::clone(&stopped) };
    let (near, far) = patiently(async { tokio::join!(connect(near, &client), accept(far, &server)) }).await;
    (near.expect("keys exchanged"), far.expect("keys exchanged"), stopped)
}

/// Both ends of an open connection, client first.
pub(super) async fn pair_of(server: ServerConfig, client: ClientConfig) -> (Connection, Connection) {
    let (client, server, _) = stoppable_pair(server, client).await;
    (client, server)
}

/// And what stops the server from reading.
async fn stoppable_pair(
    server: ServerConfig,
    client: ClientConfig,
) -> (Connection, Connection, Arc<AtomicBool>) {
    let (unverified, unauthenticated, stopped) = stoppable_strangers(server, client).await;
    let key = TestKey::fresh();
    let let_in = async {
        unauthenticated.next().await.expect("a request");
        unauthenticated.succeed()
    };
    let (near, far) =
        patiently(async { tokio::join!(unverified.authenticate("someone", &key), let_in) }).await;
    (near.expect("let in"), far, stopped)
}

async fn protocol_error_of(shared: &super::connection::Shared) -> String {
    let never = shared.wait_for(|_| None::<()>);
    let closed = patiently(never).await.expect_err("nothing is looked for");
    assert!(matches!(*closed.0, CloseReason::Protocol(_)), "{closed}");
    closed.to_string()
}

/// A session channel, both ends.
pub(super) async fn session_on(client: &Connection, server: &Connection) -> (Channel, Channel) {
    let accepted = async {
        match server.next().await.expect("an event") {
            ConnectionEvent::Open(asked) => asked.accept(),
            ConnectionEvent::Global(_) => panic!("a channel was asked for"),
        }
    };
    let (near, far) = patiently(async { tokio::join!(client.open(&ChannelKind::Session), accepted) }).await;
    (near.expect("opened"), far)
}

fn pending(connection: &Connection) -> usize {
    connection.shared.lock().transport.writer.waiting()
}

async fn pair() -> (Connection, Connection) {
    pair_of(server_config(), ClientConfig::default()).await
}

/// Makes one end say something, whatever its state.
fn say(connection: &Connection, message: &[u8]) {
    connection.shared.lock().send(message, &[]);
}

async fn protocol_error(connection: &Connection) -> String {
    protocol_error_of(&connection.shared).await
}

#[tokio::test]
async fn a_peer_cannot_confirm_or_refuse_the_channel_that_it_asks_for_itself() {
    for answer in [numbers::CHANNEL_OPEN_CONFIRMATION, numbers::CHANNEL_OPEN_FAILURE] {
        let (client, server) = pair().await;
        let opening = client.open(&ChannelKind::Session);
        let asked = async {
            let ConnectionEvent::Open(asked) = server.next().await.expect("an event") else {
                panic!("a channel was asked for")
            };
            asked
        };
        tokio::select! {
            _ = opening => panic!("nobody has answered"),
            asked = asked => {
                let mut forged = message(answer);
                forged.uint32(0).uint32(0).uint32(1000).uint32(1000);
                say(&client, &forged);
                let error = protocol_error(&server).await;
                assert!(error.contains("not open"), "{error}");
                drop(asked);
            }
        }
    }
}

/// A client's requests on a running program, while the target does as `target_does`; the most that waited on
/// the way to the target, and how the relay ended.
async fn relay_requests(stop_target: bool, want_reply: bool, count: usize, size: usize) -> (usize, Ending) {
    let (client, entry) = pair().await;
    let (exit, target, stopped) = stoppable_pair(server_config(), ClientConfig::default()).await;
    let (program, from_client) = session_on(&client, &entry).await;
    let (to_target, _unread) = session_on(&exit, &target).await;
    stopped.store(stop_target, Ordering::Relaxed);
    let activity = relay::Activity::default();
    let (_orders, stop) = watch::channel(None);
    let mut most = 0;
    let flood = async {
        for _ in 0..count {
            program.room().await;
            drop(program.request("signal", want_reply, &vec![0; size]));
            tokio::task::yield_now().await;
            most = most.max(pending(&exit));
        }
        std::future::pending::<()>().await;
    };
    let relayed = relay::run(&from_client, &to_target, &activity, stop, relay::Hold::Whole, None);
    let ending = patiently(async {
        tokio::select! {
            outcome = relayed => outcome.ending,
            () = flood => unreachable!("it is pending"),
        }
    })
    .await;
    (most, ending)
}

#[tokio::test]
async fn requests_do_not_pile_up_before_a_target_that_does_not_read() {
    let (most, ending) = relay_requests(true, false, 400, 100_000).await;
    assert!(most < 2 << 20, "{most} bytes waited");
    assert_eq!(ending, Ending::ClientLeft, "the client was cut off for what it sent");
}

#[tokio::test]
async fn requests_do_not_pile_up_before_a_target_that_does_not_answer() {
    let (_, ending) = relay_requests(false, true, 5000, 0).await;
    assert_eq!(ending, Ending::ClientLeft, "the client was cut off for what it sent");
}

#[tokio::test]
async fn pings_during_a_key_exchange_that_is_never_finished_do_not_fill_memory() {
    let (client, server) = pair().await;
    // The server has offered new keys; its peer goes on as if it had not heard.
    server.shared.lock().transport.start_exchange().expect("offered");
    for _ in 0..200 {
        let mut ping = message(numbers::PING);
        ping.string(&[0; 100_000]);
        server.shared.lock().send(&ping, &[]);
        if server.is_closed() {
            break;
        }
    }
    let error = protocol_error(&server).await;
    assert!(error.contains("during a key exchange"), "{error}");
    drop(client);
}

struct Panicking;

impl AsyncRead for Panicking {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        panic!("a defect of the stream")
    }
}

impl AsyncWrite for Panicking {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_driver_that_panics_ends_its_connection_for_everyone() {
    let error = patiently(accept(Panicking, &server_config())).await.expect_err("there is no connection");
    assert_eq!(*error.0, CloseReason::Local);
}

#[tokio::test]
async fn a_message_that_means_nothing_is_answered_with_its_own_number() {
    let (client, server) = pair().await;
    say(&client, &message(150));
    client.ask("keepalive@openssh.com", &[]).await.expect("answered");
    // Numbers start at 0 with the new keys: the service, the login, the nonsense, and the question.
    assert_eq!(server.shared.lock().transport.unimplemented(), [numbers::UNIMPLEMENTED, 0, 0, 0, 3]);
}

#[tokio::test]
async fn a_server_cannot_let_us_in_before_we_have_asked() {
    for answer in [numbers::USERAUTH_SUCCESS, numbers::USERAUTH_FAILURE, numbers::USERAUTH_PK_OK] {
        let (client, server) = strangers(server_config(), ClientConfig::default()).await;
        let mut out = message(answer);
        out.name_list(&["publickey"]).boolean(false);
        server.dangerous_inner().lock().send(&out, &[]);
        let error = protocol_error_of(client.dangerous_inner()).await;
        assert!(error.contains("out of turn"), "{error}");
    }
}

#[tokio::test]
async fn a_stranger_cannot_make_us_exchange_keys_for_ever() {
    let (client, server) = strangers(server_config(), ClientConfig::default()).await;
    let exchanging = async {
        let offer = || {
            let mut inner = client.dangerous_inner().lock();
            if !inner.is_closed() {
                inner.transport.start_exchange().expect("offered");
                inner.wake_driver();
            }
            inner.is_closed()
        };
        while !offer() {
            tokio::task::yield_now().await;
        }
    };
    patiently(exchanging).await;
    let error = protocol_error_of(server.dangerous_inner()).await;
    assert!(error.contains("too many key exchanges"), "{error}");
}

#[tokio::test]
async fn login_requests_that_wait_are_bounded_in_bytes() {
    let (client, server) = strangers(server_config(), ClientConfig::default()).await;
    for _ in 0..10 {
        let mut out = message(numbers::USERAUTH_REQUEST);
        out.string(b"someone").string(b"ssh-connection").string(b"publickey").boolean(false);
        out.string(b"ssh-ed25519").string(&[0; 60_000]);
        client.dangerous_inner().lock().send(&out, &[]);
    }
    let error = protocol_error_of(server.dangerous_inner()).await;
    assert!(error.contains("too many authentication requests"), "{error}");
}

/// OpenSSH may send `window-change` while the CLOSE of the other side is under way.
#[tokio::test]
async fn a_window_change_for_a_closed_channel_harms_no_other() {
    let (client, server) = pair().await;
    let (lively, lively_end) = session_on(&client, &server).await;
    let (closed, closed_end) = session_on(&client, &server).await;
    let mut resize = message(numbers::CHANNEL_REQUEST);
    resize.uint32(1).string(b"window-change").boolean(false);
    resize.uint32(80).uint32(24).uint32(0).uint32(0);
    let mut to_nobody = message(numbers::CHANNEL_REQUEST);
    to_nobody.uint32(77).string(b"window-change").boolean(true);
    to_nobody.uint32(80).uint32(24).uint32(0).uint32(0);
    closed.close();
    say(&client, &resize); // after our CLOSE, before theirs
    patiently(closed_end.closed()).await;
    assert_eq!(patiently(closed_end.recv()).await, None, "nothing is handed on after CLOSE");
    drop(closed_end);
    drop(closed);
    client.ask("keepalive@openssh.com", &[]).await.expect("answered");
    say(&client, &resize); // after both
    say(&client, &to_nobody);
    client.ask("keepalive@openssh.com", &[]).await.expect("answered");
    let asked = lively.request("window-change", true, &[0; 16]);
    patiently(lively_end.recv_request()).await.expect("its own request");
    lively_end.reply(true);
    assert_eq!(patiently(asked).await, Ok(true));
}

#[tokio::test]
async fn who_asks_a_channel_that_its_peer_has_closed_learns_that_there_is_no_answer() {
    let (client, server) = pair().await;
    let (near, far) = session_on(&client, &server).await;
    far.close();
    patiently(near.closed()).await;
    patiently(near.request("exec", true, &[])).await.expect_err("no answer will come");
}

#[tokio::test]
async fn a_sign_of_life_is_not_taken_for_the_answer_to_an_earlier_request() {
    let (client, server) = pair().await;
    let (near, far) = session_on(&client, &server).await;
    let exec = near.request("exec", true, &[]);
    let alive = near.request("keepalive@openssh.com", true, &[]);
    patiently(far.recv_request()).await.expect("the exec");
    client.ask("keepalive@openssh.com", &[]).await.expect("both have arrived");
    far.reply(true);
    patiently(far.recv_request()).await.expect("the sign of life, behind it");
    far.reply(false);
    assert_eq!((patiently(exec).await, patiently(alive).await), (Ok(true), Ok(false)));
    let idle = near.request("keepalive@openssh.com", true, &[]);
    assert_eq!(patiently(idle).await, Ok(false), "at once where nothing is due");
}

/// Each was a line of the audit trail that told of a refusal: paramiko's keepalive, one every few seconds;
/// PuTTY's announcement, one for each session.
#[tokio::test]
async fn small_talk_of_clients_is_not_passed_on() {
    let (client, server) = pair().await;
    client.ask("keepalive@lag.net", &[]).await.expect("a sign of life is answered here");
    let (near, far) = session_on(&client, &server).await;
    drop(near.request("simple@putty.projects.tartarus.org", false, &[]));
    let measured = near.request("winadj@putty.projects.tartarus.org", true, &[]);
    assert_eq!(patiently(measured).await, Ok(false), "at once, as it measures the distance");
    drop(near.request("shell", false, &[]));
    assert_eq!(patiently(far.recv_request()).await.map(|request| request.name), Some("shell".to_owned()));
}

/// Not hostile, just brief: as with sshd, what was written before CLOSE reaches a program that reads late.
#[tokio::test]
async fn what_a_client_writes_before_it_closes_reaches_a_program_that_reads_late() {
    let (client, entry) = pair().await;
    let (exit, target) = pair_of(server_config(), ClientConfig::default()).await;
    let (near, from_client) = session_on(&client, &entry).await;
    let (to_target, program) = session_on(&exit, &target).await;
    let activity = relay::Activity::default();
    let (_orders, stop) = watch::channel(None);
    let total = 900 * 1024;
    let story = async {
        near.write(bytes::Bytes::from(vec![7; total])).await.expect("written");
        near.close();
        from_client.closed().await;
        tokio::task::yield_now().await;
        let mut got = 0;
        while let Some(ChannelEvent::Data(data)) = program.recv_data().await {
            got += data.len();
        }
        program.close();
        got
    };
    let relayed = relay::run(&from_client, &to_target, &activity, stop, relay::Hold::Whole, None);
    let (got, outcome) = patiently(async { tokio::join!(story, relayed) }).await;
    assert_eq!((got, outcome.ending), (total, Ending::ClientLeft));
}
