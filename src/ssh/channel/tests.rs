//! What a channel may be made to remember.

use crate::ssh::testing::connected;
use crate::ssh::{ChannelKind, ConnectionEvent};

use super::*;

fn open() -> ChannelState {
    ChannelState::new(Phase::Open)
}

#[test]
fn an_eof_that_is_repeated_is_remembered_once_and_nothing_follows_it() {
    let mut channel = open();
    for _ in 0..1000 {
        channel.take_eof();
    }
    channel.take_data(None, Bytes::from_static(b"late").into()).expect("within the window");
    assert_eq!(channel.pop(), Some(ChannelEvent::Eof));
    assert_eq!(channel.pop(), None);
}

#[test]
fn what_follows_a_close_is_not_remembered() {
    let mut channel = open();
    channel.take_close();
    for _ in 0..2000 {
        channel.take_eof();
        let request = ChannelRequest { name: "x".to_owned(), want_reply: true, payload: Bytes::new() };
        channel.take_request(request).expect("passed over");
    }
    assert_eq!(channel.pop(), None);
}

#[test]
fn the_names_of_requests_count_towards_what_may_wait() {
    let mut channel = open();
    let long = || ChannelRequest { name: "n".repeat(200_000), want_reply: false, payload: Bytes::new() };
    let taken = (0..REQUESTS_MAX).take_while(|_| channel.take_request(long()).is_ok()).count();
    assert_eq!(taken, REQUEST_BYTES_MAX / 200_000);
}

#[test]
fn a_byte_of_each_stream_in_turn_holds_about_its_own_size() {
    let mut channel = open();
    let (mut main, mut other) = (Vec::new(), Vec::new());
    for n in 0..200_000_u32 {
        let byte = n.to_be_bytes()[2];
        let (kind, sent) = if n % 2 == 0 { (None, &mut main) } else { (Some(STDERR), &mut other) };
        sent.push(byte);
        channel.take_data(kind, Bytes::from(vec![byte]).into()).expect("within the window");
    }
    assert!(channel.inbox.len() < 2 * ITEMS_APART_MAX, "{} items", channel.inbox.len());
    while let Some(event) = channel.pop() {
        let (sent, got) = match event {
            ChannelEvent::Data(got) => (&mut main, got),
            ChannelEvent::Extended(_, got) => (&mut other, got),
            ChannelEvent::Eof | ChannelEvent::Request(_) => panic!("only data was sent"),
        };
        let rest = sent.split_off(got.len());
        assert_eq!(std::mem::replace(sent, rest), *got, "each stream in order");
    }
    assert!(main.is_empty() && other.is_empty());
}

#[test]
fn a_stream_number_for_every_byte_is_refused_before_it_fills_memory() {
    let mut channel = open();
    let refused =
        (0..100_000).find(|kind| channel.take_data(Some(*kind), Bytes::from_static(b"x").into()).is_err());
    assert_eq!(refused, Some(8 * 1024));
}

/// RFC 4254 §5.3: after CLOSE nothing more is sent on a channel.
#[test]
fn no_window_is_given_after_our_close() {
    let mut channel = open();
    channel.take_data(None, Bytes::from(vec![0; WINDOW_START as usize]).into()).expect("within the window");
    channel.close_sent = true;
    assert!(channel.pop().is_some());
    assert_eq!(channel.credit(), None);
}

fn held(channel: &ChannelState) -> usize {
    channel.inbox.iter().filter(|item| matches!(item, Item::Data(_, Chunk::Slice(_)))).count()
}

#[test]
fn chunks_hold_a_few_buffers_and_of_those_as_much_as_they_bring() {
    let mut channel = open();
    let packet = Bytes::from(vec![5; COALESCE_BELOW]);
    let chunk = |buffer| Data::of(&packet, 0..COALESCE_BELOW, buffer);
    let per_buffer = 2;
    for number in 0..BUFFERS_MAX * per_buffer {
        channel.take_data(None, chunk((number / per_buffer) as u64)).expect("within the window");
    }
    assert_eq!(held(&channel), BUFFERS_MAX * per_buffer, "each buffer counts once");
    channel.take_data(None, chunk(100)).expect("within the window");
    assert_eq!(held(&channel), BUFFERS_MAX * per_buffer, "one buffer more would be too many");
    for _ in 0..per_buffer {
        assert!(channel.pop_data().is_some());
    }
    channel.take_data(None, chunk(101)).expect("within the window");
    assert_eq!(
        held(&channel),
        (BUFFERS_MAX - 1) * per_buffer + 1,
        "a buffer that was left makes room for one"
    );
    while channel.pop().is_some() {}
    assert!(channel.inbox_buffers.is_empty());
}

/// Pieces that are taken at once, with a peer that takes none of them meanwhile.
fn taken_at_once(channel: &Channel) -> usize {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let piece = || Data::from(Bytes::from(vec![7; PACKET_DATA_MAX as usize]));
    (0..100).take_while(|_| channel.poll_write(&mut context, None, &mut piece()).is_ready()).count()
}

#[tokio::test]
async fn a_packet_goes_out_while_the_next_is_sealed_and_more_at_once_where_they_are_gathered() {
    for (gathered, expected) in [(false, 1), (true, 8)] {
        let (near, far) = connected().await;
        let opening =
            tokio::spawn(async move { near.open(&ChannelKind::Session).await.map(|open| (near, open)) });
        let Ok(ConnectionEvent::Open(open)) = far.next().await else { panic!("a channel is opened") };
        let _far_channel = open.accept();
        let (_near, channel) = opening.await.expect("no panic").expect("opened");
        if gathered {
            channel.gather();
        }
        assert_eq!(taken_at_once(&channel), expected);
    }
}
