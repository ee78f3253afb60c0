//! What holds for any bytes, any messages and any order of things.
//!
//! Time is paused: where nothing can go on any more, a deadline passes at once, so a hang fails fast.

use std::ops::Range;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::hostile_tests::{pair_of, patiently, server_config, session_on, strangers};
use super::wire::{Put, message};
use super::*;

/// What one peer may make us remember in these tests, whatever it sends: four channels' windows and
/// requests, what waits for a key exchange, and buffers.
const FOOTPRINT_MAX: usize = 24 * 1024 * 1024;
const CHANNELS_MAX: usize = 4;

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

/// A connection that ends by itself says why; only a driver that panicked or was dropped says this.
fn assert_no_panic(closed: &Closed) {
    assert_ne!(*closed.0, CloseReason::Local, "the driver did not end by itself");
}

/// What happens to one direction of a conversation on its way.
#[derive(Debug, Clone)]
enum Harm {
    Flip { at: usize, mask: u8 },
    Insert { at: usize, bytes: Vec<u8> },
    Drop { range: Range<usize> },
    Cut { at: usize },
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = 0..3000_usize;
    prop_oneof![
        (at.clone(), 1..=255_u8).prop_map(|(at, mask)| Harm::Flip { at, mask }),
        (at.clone(), vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Harm::Insert { at, bytes }),
        (at.clone(), 1..40_usize).prop_map(|(at, count)| Harm::Drop { range: at..at + count }),
        at.prop_map(|at| Harm::Cut { at }),
    ]
}

/// Carries bytes one way and does its harm; ends the way there at the cut, or with its source.
async fn carry(
    mut from: tokio::io::ReadHalf<DuplexStream>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
    harm: Option<Harm>,
) {
    let mut position = 0;
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let mut out = Vec::with_capacity(count + 40);
        for &byte in buffer.iter().take(count) {
            match &harm {
                Some(Harm::Flip { at, mask }) if *at == position => out.push(byte ^ mask),
                Some(Harm::Insert { at, bytes }) if *at == position => {
                    out.extend_from_slice(bytes);
                    out.push(byte);
                }
                Some(Harm::Drop { range }) if range.contains(&position) => {}
                Some(Harm::Cut { at }) if *at == position => return,
                Some(_) | None => out.push(byte),
            }
            position += 1;
        }
        if to.write_all(&out).await.is_err() {
            return;
        }
    }
}

/// A login through a stream that is harmed; whatever happens must end, and without a panic.
async fn harmed_login(to_server: Option<Harm>, to_client: Option<Harm>) -> bool {
    let (near, client_side) = duplex(4096);
    let (server_side, far) = duplex(4096);
    let ((from_client, to_client_half), (from_server, to_server_half)) =
        (tokio::io::split(client_side), tokio::io::split(server_side));
    tokio::spawn(carry(from_client, to_server_half, to_server));
    tokio::spawn(carry(from_server, to_client_half, to_client));
    let config = server_config();
    let server = async {
        let unauthenticated = accept(far, &config).await?;
        loop {
            if let AuthAttempt::PublicKey { proof: Proof::Valid { .. }, .. } =
                unauthenticated.next().await?.attempt
            {
                return Ok::<Connection, Closed>(unauthenticated.succeed());
            }
            unauthenticated.refuse();
        }
    };
    let key = super::testing::TestKey::fresh();
    let client = async {
        let unverified = connect(near, &ClientConfig::default()).await?;
        match unverified.authenticate("someone", &key).await {
            Ok(connection) => Ok(Some(connection)),
            Err(ClientAuthError::Refused { .. }) => Ok(None),
            Err(ClientAuthError::Closed(closed)) => Err(closed),
        }
    };
    // Bytes that are missing are waited for: that is what deadlines are for.
    let deadline = std::time::Duration::from_secs(10);
    let (server, client) =
        tokio::join!(tokio::time::timeout(deadline, server), tokio::time::timeout(deadline, client));
    for closed in
        [server.as_ref().map(|ended| ended.as_ref().err()), client.as_ref().map(|e| e.as_ref().err())]
    {
        if let Ok(Some(closed)) = closed {
            assert_no_panic(closed);
        }
    }
    matches!((server, client), (Ok(Ok(_)), Ok(Ok(Some(_)))))
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn any_bytes_end_a_transport_cleanly(
        ident in any::<bool>(),
        mut bytes in vec(any::<u8>(), 0..2000),
        length in 0..3000_u32,
    ) {
        if ident {
            let line = [b"SSH-2.0-x\r\n", &length.to_be_bytes()[..]].concat();
            bytes.splice(0..0, line);
        }
        run(async {
            for role in [Role::Server, Role::Client] {
                let (mut near, far) = duplex(64 * 1024);
                near.write_all(&bytes).await.expect("room");
                near.shutdown().await.expect("shut");
                let closed = match role {
                    Role::Server => patiently(accept(far, &server_config())).await.map(drop),
                    Role::Client => patiently(connect(far, &ClientConfig::default())).await.map(drop),
                };
                assert_no_panic(&closed.expect_err("that was no key exchange"));
            }
        });
    }
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn a_conversation_that_is_tampered_with_ends_cleanly(harm in harm(), to_server in any::<bool>()) {
        run(async {
            let (there, back) = if to_server { (Some(harm), None) } else { (None, Some(harm)) };
            harmed_login(there, back).await;
        });
    }
}

#[test]
fn a_conversation_that_is_left_alone_succeeds() {
    assert!(run(harmed_login(None, None)));
}

/// One message, from well formed to nonsense.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![9 => 0..4_u32, 1 => any::<u32>()];
    let size = prop_oneof![8 => 0..200_usize, 2 => 0..40_000_usize, 1 => 0..250_000_usize];
    let name = prop_oneof![
        Just("session"),
        Just("direct-tcpip"),
        Just("x11"),
        Just("exec"),
        Just("keepalive@openssh.com"),
        Just("tcpip-forward"),
        Just("hostkeys-00@openssh.com"),
        Just("exit-status"),
        Just(""),
    ];
    let shaped = (80..=100_u8, id.clone(), id, name, any::<bool>(), size.clone()).prop_map(
        |(number, id, other, name, flag, size)| {
            let mut out = message(number);
            let body = vec![7; size];
            match number {
                numbers::GLOBAL_REQUEST => out.string(name.as_bytes()).boolean(flag).string(&body),
                numbers::CHANNEL_OPEN => {
                    out.string(name.as_bytes()).uint32(id).uint32(other).uint32(32_768).string(&body)
                }
                numbers::CHANNEL_DATA => out.uint32(id).string(&body),
                numbers::CHANNEL_EXTENDED_DATA => out.uint32(id).uint32(other).string(&body),
                numbers::CHANNEL_REQUEST => {
                    out.uint32(id).string(name.as_bytes()).boolean(flag).string(&body)
                }
                _ => out.uint32(id).uint32(other).uint32(1000).string(b""),
            };
            out
        },
    );
    let transport =
        (prop_oneof![Just(1_u8), Just(2), Just(4), Just(7), Just(20), Just(21), Just(30), Just(31)], size)
            .prop_map(|(number, size)| [vec![number], vec![0; size]].concat());
    let ping = (0..100_000_usize).prop_map(|size| {
        let mut out = message(numbers::PING);
        out.string(&vec![0; size]);
        out
    });
    let mutated = (shaped.clone(), any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>())
        .prop_map(|(mut bytes, at, mask, end): (Vec<u8>, _, _, _)| {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            bytes.truncate(end.index(bytes.len()) + 1);
            bytes
        });
    prop_oneof![12 => shaped, 3 => mutated, 1 => ping, 1 => transport, 1 => vec(any::<u8>(), 1..100)]
}

/// Says it all to `ours`, whose application takes out nothing; then checks what that left behind.
async fn withstand(
    ours: &super::connection::Shared,
    theirs: &super::connection::Shared,
    said: &[(Vec<u8>, usize)],
) {
    for (text, times) in said {
        for _ in 0..*times {
            let mut inner = theirs.lock();
            if inner.is_closed() || inner.transport.writer.waiting() > 1 << 20 {
                break;
            }
            inner.send(text, &[]);
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let inner = ours.lock();
        assert!(inner.footprint() < FOOTPRINT_MAX, "{} bytes are remembered", inner.footprint());
        assert!(inner.channels.len() <= CHANNELS_MAX + 2, "{} channels", inner.channels.len());
    }
    let mut inner = ours.lock();
    if let Some(closed) = inner.closed() {
        assert_no_panic(&closed);
    }
    // Whoever still waits for it learns that it is over.
    inner.finish(CloseReason::Eof);
}

fn said() -> impl Strategy<Value = Vec<(Vec<u8>, usize)>> {
    let times = prop_oneof![6 => 1..3_usize, 1 => 1..3000_usize];
    vec((any_message(), times), 1..30)
}

fn few_channels() -> Limits {
    Limits { channels_max: CHANNELS_MAX, ..Limits::default() }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn any_messages_after_the_login_are_withstood_by_a_server(said in said(), exchanging in any::<bool>()) {
        run(async {
            let config = ServerConfig { limits: few_channels(), ..server_config() };
            let (client, server) = pair_of(config, ClientConfig::default()).await;
            let (_near, _far) = session_on(&client, &server).await;
            if exchanging {
                server.shared.lock().transport.start_exchange().expect("offered");
            }
            withstand(&server.shared, &client.shared, &said).await;
        });
    }

    #[test]
    fn any_messages_after_the_login_are_withstood_by_a_client(said in said()) {
        run(async {
            let config = ClientConfig { limits: few_channels(), ..ClientConfig::default() };
            let (client, server) = pair_of(server_config(), config).await;
            let (_near, _far) = session_on(&client, &server).await;
            withstand(&client.shared, &server.shared, &said).await;
        });
    }

    #[test]
    fn any_messages_before_the_login_are_withstood(
        said in vec((vec(any::<u8>(), 1..200), 1..3_usize), 1..10),
        number in prop_oneof![5..=7_u8, 50..=66_u8, 80..=100_u8, 192..=193_u8],
        to_server in any::<bool>(),
    ) {
        run(async {
            let (client, server) = strangers(server_config(), ClientConfig::default()).await;
            let (client, server) = (client.dangerous_inner(), server.dangerous_inner());
            let said: Vec<_> = said.into_iter().map(|(mut text, times)| { text[0] = number; (text, times) }).collect();
            if to_server {
                withstand(server, client, &said).await;
            } else {
                withstand(client, server, &said).await;
            }
        });
    }
}

/// What one end does on one channel, in order.
#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    WriteExtended(usize),
    Request,
    Rekey,
    Pause(usize),
}

/// How one end leaves a channel when its steps are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// It says EOF, reads on to the end and then closes.
    Orderly,
    /// It closes at once.
    Abrupt,
}

type Part = (Vec<Step>, Leave);

/// What one end saw, or should see, with neighbouring data joined.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Data(Vec<u8>),
    Extended(Vec<u8>),
    Request(u32),
    Eof,
}

fn note(trace: &mut Vec<Seen>, seen: Seen) {
    match (trace.last_mut(), seen) {
        (Some(Seen::Data(tail)), Seen::Data(more)) | (Some(Seen::Extended(tail)), Seen::Extended(more)) => {
            tail.extend_from_slice(&more);
        }
        (_, Seen::Data(none) | Seen::Extended(none)) if none.is_empty() => {}
        (_, seen) => trace.push(seen),
    }
}

fn piece(size: usize, salt: &mut u32) -> Vec<u8> {
    (0..size)
        .map(|_| {
            *salt = salt.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            salt.to_be_bytes()[0]
        })
        .collect()
}

/// Does the steps; tells what was sent, as far as it was.
async fn act(
    connection: &Connection,
    channel: &Channel,
    (steps, leave): &Part,
    mut salt: u32,
) -> (Vec<Seen>, bool) {
    let mut sent = Vec::new();
    for (at, step) in (0_u32..).zip(steps) {
        match step {
            Step::Write(size) => {
                let bytes = piece(*size, &mut salt);
                if channel.write(Bytes::from(bytes.clone())).await.is_err() {
                    return (sent, false);
                }
                note(&mut sent, Seen::Data(bytes));
            }
            Step::WriteExtended(size) => {
                let bytes = piece(*size, &mut salt);
                if channel.write_extended(STDERR, Bytes::from(bytes.clone())).await.is_err() {
                    return (sent, false);
                }
                note(&mut sent, Seen::Extended(bytes));
            }
            Step::Request => {
                if channel.is_closed() {
                    return (sent, false);
                }
                drop(channel.request("note", false, &at.to_be_bytes()));
                note(&mut sent, Seen::Request(at));
            }
            Step::Rekey => connection.rekey(),
            Step::Pause(turns) => {
                for _ in 0..*turns {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    match leave {
        Leave::Orderly => {
            channel.eof();
            note(&mut sent, Seen::Eof);
        }
        Leave::Abrupt => channel.close(),
    }
    (sent, true)
}

async fn watch(channel: &Channel) -> Vec<Seen> {
    let mut trace = Vec::new();
    while let Some(event) = channel.recv().await {
        note(
            &mut trace,
            match event {
                ChannelEvent::Data(bytes) => Seen::Data(bytes.to_vec()),
                ChannelEvent::Extended(_, bytes) => Seen::Extended(bytes.to_vec()),
                ChannelEvent::Eof => {
                    let seen = Seen::Eof;
                    trace.push(seen);
                    break;
                }
                ChannelEvent::Request(request) => {
                    Seen::Request(u32::from_be_bytes(request.payload[..].try_into().expect("four bytes")))
                }
            },
        );
    }
    trace
}

struct End {
    sent: Vec<Seen>,
    /// Whether all of `sent` went out before this end left.
    whole: bool,
    seen: Vec<Seen>,
}

async fn play(connection: &Connection, channel: Channel, part: &Part, salt: u32) -> End {
    let ((sent, whole), seen) = tokio::join!(act(connection, &channel, part, salt), watch(&channel));
    channel.close();
    // The peer closes too, once, and nothing follows.
    channel.closed().await;
    while let Some(event) = channel.recv().await {
        assert!(part.1 == Leave::Abrupt || !whole || event != ChannelEvent::Eof, "a second EOF");
    }
    assert_eq!(channel.recv().await, None, "what is over stays over");
    End { sent, whole, seen }
}

fn flat(trace: &[Seen]) -> (Vec<u8>, Vec<u8>) {
    let (mut main, mut extended) = (Vec::new(), Vec::new());
    for seen in trace {
        match seen {
            Seen::Data(bytes) => main.extend_from_slice(bytes),
            Seen::Extended(bytes) => extended.extend_from_slice(bytes),
            Seen::Request(_) | Seen::Eof => {}
        }
    }
    (main, extended)
}

/// One way of a channel: what was sent against what was seen at the other end.
fn check(sender: &End, sender_leaves: Leave, receiver: &End, receiver_leaves: Leave) {
    if receiver_leaves == Leave::Orderly && sender.whole {
        // Everything that was sent, in order, and the EOF if there was one.
        assert_eq!(sender.sent, receiver.seen, "{sender_leaves:?}");
        return;
    }
    // Someone left early: no byte that was not sent, and none out of place.
    let (sent, seen) = (flat(&sender.sent), flat(&receiver.seen));
    if sender.whole {
        assert!(sent.0.starts_with(&seen.0) && sent.1.starts_with(&seen.1));
    }
}

fn part() -> impl Strategy<Value = Part> {
    let step = prop_oneof![
        4 => (0..60_000_usize).prop_map(Step::Write),
        2 => (0..300_usize).prop_map(Step::Write),
        2 => (0..20_000_usize).prop_map(Step::WriteExtended),
        2 => Just(Step::Request),
        1 => Just(Step::Rekey),
        3 => (0..40_usize).prop_map(Step::Pause),
    ];
    (vec(step, 0..16), prop_oneof![3 => Just(Leave::Orderly), 1 => Just(Leave::Abrupt)])
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn no_byte_is_lost_or_reordered_whatever_is_done_on_other_channels(
        parts in vec((part(), part()), 1..4),
        often in prop_oneof![Just(1_u64 << 30), 20_000..200_000_u64],
    ) {
        run(async {
            let rekey = RekeyPolicy { bytes: often, ..RekeyPolicy::default() };
            let (client, server) = pair_of(
                ServerConfig { rekey, ..server_config() },
                ClientConfig { rekey, ..ClientConfig::default() },
            ).await;
            let mut plays = Vec::new();
            for (salt, (near_part, far_part)) in (1_u32..).zip(&parts) {
                let (near, far) = session_on(&client, &server).await;
                let (client, server) = (&client, &server);
                plays.push(async move {
                    let (near, far) = tokio::join!(
                        play(client, near, near_part, salt),
                        play(server, far, far_part, salt << 8)
                    );
                    check(&near, near_part.1, &far, far_part.1);
                    check(&far, far_part.1, &near, near_part.1);
                });
            }
            patiently(all(plays)).await;
            assert_eq!((client.is_closed(), server.is_closed()), (false, false));
            // Nothing of a channel is left at either end.
            client.ask("keepalive@openssh.com", &[]).await.expect("alive");
            server.ask("keepalive@openssh.com", &[]).await.expect("alive");
            assert_eq!(client.shared.lock().channels.len(), 0);
            assert_eq!(server.shared.lock().channels.len(), 0);
        });
    }
}

/// Runs them all at once.
async fn all<F: Future<Output = ()>>(work: Vec<F>) {
    let mut work: Vec<_> = work.into_iter().map(|each| Some(Box::pin(each))).collect();
    std::future::poll_fn(|cx| {
        for each in &mut work {
            if each.as_mut().is_some_and(|future| future.as_mut().poll(cx).is_ready()) {
                *each = None;
            }
        }
        if work.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
