//! Two channels joined as a plain stream of bytes: a forward, an agent, a display.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::outcome::{Activity, Outcome};
use super::pump::Stop;
use crate::domain::Ending;
use crate::ssh::{Channel, ChannelEvent, ChannelRequest};

/// "My reader has left": the one request that plain streams have (OpenSSH PROTOCOL §2.1).
const READER_LEFT: &str = "eow@openssh.com";

/// Joins two channels until either side closes, or the order to end comes. Both are closed then.
///
/// An end of data passes through and leaves the other direction open. What a side wrote before it closed still
/// reaches the other, however slowly that one reads. [`Ending::Finished`] means that both directions had ended
/// before either side closed.
pub async fn join(client: &Channel, target: &Channel, activity: &Activity, mut stop: Stop) -> Outcome {
    let (up, down) = (Direction::default(), Direction::default());
    let ending = tokio::select! {
        biased;
        ending = ordered(&mut stop) => ending,
        () = down.pass_on(target, client, |count| activity.add_to_client(count)) => Ending::TargetLeft,
        () = up.pass_on(client, target, |count| activity.add_to_target(count)) => Ending::ClientLeft,
    };
    for channel in [client, target] {
        channel.eof();
        channel.close();
    }
    let by_itself = matches!(ending, Ending::ClientLeft | Ending::TargetLeft);
    let said_all = up.ended.into_inner() && down.ended.into_inner();
    Outcome {
        exit: None,
        bytes_to_target: up.bytes.into_inner(),
        bytes_to_client: down.bytes.into_inner(),
        ending: if by_itself && said_all { Ending::Finished } else { ending },
    }
}

async fn ordered(stop: &mut Stop) -> Ending {
    match stop.wait_for(Option::is_some).await.map(|order| *order) {
        Ok(Some((ending, _sentence))) => ending,
        // Nobody is left who could give the order.
        Ok(None) | Err(_) => pending().await,
    }
}

/// One of the two directions, and what is known of it.
#[derive(Debug, Default)]
struct Direction {
    bytes: AtomicU64,
    /// The writer has said that there is no more.
    ended: AtomicBool,
}

impl Direction {
    /// Ends when everything that `from` wrote before it closed has been passed on.
    async fn pass_on(&self, from: &Channel, to: &Channel, counted: impl Fn(usize)) {
        let mut read_there = true;
        while let Some(event) = from.recv().await {
            match event {
                // As with sshd, a reader that has closed does not hold up the writer, who may be about to
                // read what came the other way.
                ChannelEvent::Data(data) if read_there => {
                    let count = data.len();
                    read_there = to.write(data).await.is_ok();
                    if read_there {
                        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
                        counted(count);
                    }
                }
                ChannelEvent::Eof => {
                    self.ended.store(true, Ordering::Relaxed);
                    to.eof();
                }
                ChannelEvent::Request(request) => answer(from, to, &request).await,
                ChannelEvent::Data(_) | ChannelEvent::Extended(..) => {}
            }
        }
    }
}

/// A stream asks for nothing; that its reader has left is worth knowing on the other side.
async fn answer(from: &Channel, to: &Channel, request: &ChannelRequest) {
    if request.want_reply {
        from.room().await;
        from.reply(false);
    } else if request.name == READER_LEFT {
        to.room().await;
        drop(to.request(READER_LEFT, false, &[]));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::sync::watch;

    use super::*;
    use crate::ssh::testing::connected;
    use crate::ssh::{ChannelKind, Connection, ConnectionEvent};

    /// Both ends of two connections: the client and the target, and the channels in the middle.
    struct Joined {
        client: Channel,
        target: Channel,
        order: watch::Sender<Option<(Ending, &'static str)>>,
        outcome: tokio::task::JoinHandle<Outcome>,
        _connections: [Connection; 4],
    }

    /// A channel that one end opens and the other accepts.
    async fn channel(opener: &Connection, acceptor: &Connection) -> (Channel, Channel) {
        let accepted = async {
            let Ok(ConnectionEvent::Open(open)) = acceptor.next().await else {
                panic!("a channel is opened")
            };
            open.accept()
        };
        let (opened, accepted) = tokio::join!(opener.open(&ChannelKind::Session), accepted);
        (opened.expect("opened"), accepted)
    }

    async fn joined() -> Joined {
        let (client_end, ours_to_client) = connected().await;
        let (ours_to_target, target_end) = connected().await;
        let (client, near_client) = channel(&client_end, &ours_to_client).await;
        let (near_target, target) = channel(&ours_to_target, &target_end).await;
        let (order, stop) = watch::channel(None);
        let outcome = tokio::spawn(async move {
            let activity = Activity::default();
            let outcome = join(&near_client, &near_target, &activity, stop).await;
            assert_eq!(activity.to_target(), outcome.bytes_to_target);
            assert_eq!(activity.to_client(), outcome.bytes_to_client);
            outcome
        });
        let _connections = [client_end, ours_to_client, ours_to_target, target_end];
        Joined { client, target, order, outcome, _connections }
    }

    async fn said(channel: &Channel) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(ChannelEvent::Data(data)) = channel.recv().await {
            all.extend_from_slice(&data);
        }
        all
    }

    #[tokio::test]
    async fn an_end_of_data_leaves_the_other_direction_open() {
        for client_is_first in [true, false] {
            let joined = joined().await;
            let (first, second) = if client_is_first {
                (&joined.client, &joined.target)
            } else {
                (&joined.target, &joined.client)
            };
            first.write(Bytes::from_static(b"question")).await.expect("written");
            first.eof();
            assert_eq!(said(second).await, b"question");
            second.write(Bytes::from_static(b"the answer")).await.expect("written");
            second.eof();
            assert_eq!(said(first).await, b"the answer");
            first.close();
            let outcome = joined.outcome.await.expect("no panic");
            let bytes = [outcome.bytes_to_target, outcome.bytes_to_client];
            assert_eq!(bytes, if client_is_first { [8, 10] } else { [10, 8] });
            assert_eq!(outcome.ending, Ending::Finished);
            second.closed().await;
        }
    }

    #[tokio::test]
    async fn a_side_that_only_closes_is_the_one_that_left() {
        for (client_leaves, ending) in [(true, Ending::ClientLeft), (false, Ending::TargetLeft)] {
            let joined = joined().await;
            let (leaves, stays) = if client_leaves {
                (&joined.client, &joined.target)
            } else {
                (&joined.target, &joined.client)
            };
            leaves.write(Bytes::from_static(b"last words")).await.expect("written");
            leaves.close();
            assert_eq!(said(stays).await, b"last words");
            stays.closed().await;
            assert_eq!(joined.outcome.await.expect("no panic").ending, ending);
        }
    }

    /// The target reads nothing: its sender is stopped after a bounded amount, and the other direction lives.
    #[tokio::test]
    async fn a_side_that_does_not_read_stops_its_sender_only() {
        let joined = joined().await;
        let flood = async {
            let mut written = 0_usize;
            loop {
                let chunk = Bytes::from_static(&[0; 32 * 1024]);
                let size = chunk.len();
                let soon = tokio::time::timeout(Duration::from_millis(500), joined.client.write(chunk)).await;
                if soon.is_err() {
                    return written;
                }
                written += size;
            }
        };
        let written = flood.await;
        assert!(written < 16 << 20, "{written} bytes were taken that nobody reads");
        joined.target.write(Bytes::from_static(b"alive")).await.expect("written");
        assert_eq!(joined.client.recv().await, Some(ChannelEvent::Data(Bytes::from_static(b"alive").into())));
        let mut read = 0;
        while read < written {
            let Some(ChannelEvent::Data(data)) = joined.target.recv().await else { panic!("data goes on") };
            read += data.len();
        }
    }

    #[tokio::test]
    async fn the_order_to_end_closes_both_sides() {
        let joined = joined().await;
        joined.client.write(Bytes::from_static(b"begun")).await.expect("written");
        assert!(joined.target.recv().await.is_some());
        joined.order.send_replace(Some((Ending::MaxSession, "over")));
        let outcome = joined.outcome.await.expect("no panic");
        assert_eq!((outcome.ending, outcome.bytes_to_target), (Ending::MaxSession, 5));
        joined.client.closed().await;
        joined.target.closed().await;
    }

    #[tokio::test]
    async fn a_question_on_a_stream_is_answered_with_no() {
        let joined = joined().await;
        for side in [&joined.client, &joined.target] {
            assert_eq!(side.request("exec", true, b"\0\0\0\x02ls").await, Ok(false));
        }
    }
}
