//! What a channel may be made to remember.

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
    channel.take_data(None, Bytes::from_static(b"late")).expect("within the window");
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
        channel.take_data(kind, Bytes::from(vec![byte])).expect("within the window");
    }
    assert!(channel.inbox.len() < 2 * ITEMS_APART_MAX, "{} items", channel.inbox.len());
    while let Some(event) = channel.pop() {
        let (sent, got) = match event {
            ChannelEvent::Data(got) => (&mut main, got),
            ChannelEvent::Extended(_, got) => (&mut other, got),
            ChannelEvent::Eof | ChannelEvent::Request(_) => panic!("only data was sent"),
        };
        let rest = sent.split_off(got.len());
        assert_eq!(std::mem::replace(sent, rest), got, "each stream in order");
    }
    assert!(main.is_empty() && other.is_empty());
}

#[test]
fn a_stream_number_for_every_byte_is_refused_before_it_fills_memory() {
    let mut channel = open();
    let refused = (0..100_000).find(|kind| channel.take_data(Some(*kind), Bytes::from_static(b"x")).is_err());
    assert_eq!(refused, Some(8 * 1024));
}

/// RFC 4254 §5.3: after CLOSE nothing more is sent on a channel.
#[test]
fn no_window_is_given_after_our_close() {
    let mut channel = open();
    channel.take_data(None, Bytes::from(vec![0; WINDOW_START as usize])).expect("within the window");
    channel.close_sent = true;
    assert!(channel.pop().is_some());
    assert_eq!(channel.credit(), None);
}
