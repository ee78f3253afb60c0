//! A channel and a TCP connection, joined under a permit's limits: drawbridge adds nothing to what they say.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::standing::Claim;
use super::{Services, sentences};
use crate::domain::Ending;
use crate::relay::{self, Activity, Outcome};
use crate::ssh::Channel;
use crate::tcp::PromptTcp;

/// Joins the two until it is over. Nothing can be said to the client in between, so an order to end is told in
/// the audit alone; `killed` and the end of the permit are such orders.
pub(super) async fn run(
    services: &Services,
    client: Channel,
    far: PromptTcp,
    claim: &Claim,
    killed: CancellationToken,
) -> Outcome {
    let shutdown = services.tasks.token().clone();
    let (limits, permission) = (claim.limits(), claim.ended());
    // A task of its own: should it panic, whoever waits here still puts the ending on record.
    let joined = tokio::spawn(async move {
        let activity = Activity::default();
        let order = async {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => Ending::ShuttingDown,
                () = killed.cancelled() => Ending::Killed,
                (ending, _sentence) = permission => ending,
                (ending, _sentence) = limits.passed(&activity, |_nobody_could_read_it| {}) => ending,
            }
        };
        relay::pipe(&Arc::new(client), far, &activity, order).await
    });
    joined.await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "a pipe was ended by a fault; please report this");
        Outcome { exit: None, bytes_to_target: 0, bytes_to_client: 0, ending: Ending::InternalFault }
    })
}

/// More about an ending, where there is more to say; for the record.
pub(super) fn detail(ending: Ending, claim: &Claim) -> Option<&str> {
    match ending {
        Ending::MaxSession => Some(sentences::MAX_SESSION),
        Ending::Idle => Some(sentences::IDLE),
        Ending::ShuttingDown => Some(sentences::SHUTTING_DOWN),
        Ending::Killed => Some(sentences::KILLED),
        Ending::PermissionEnded => Some(claim.detail().unwrap_or(sentences::PERMISSION_ENDED)),
        Ending::TargetReplaced => Some(claim.detail().unwrap_or(sentences::TARGET_REPLACED)),
        Ending::RecordingFailed => Some(sentences::RECORDING_FAILED),
        Ending::Finished
        | Ending::Interrupted
        | Ending::ClientLeft
        | Ending::TargetLeft
        | Ending::Refused
        | Ending::UpstreamFailed
        | Ending::AuditUnavailable
        | Ending::ProtocolError
        | Ending::InternalFault => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::ssh::testing::connected;
    use crate::ssh::{ChannelEvent, ChannelKind, Connection, ConnectionEvent};

    /// A client's channel, the far end of a pipe, and the pipe between them.
    struct Joined {
        client: Channel,
        far: DuplexStream,
        pipe: JoinHandle<Outcome>,
        order: oneshot::Sender<Ending>,
        _connections: (Connection, Connection),
    }

    async fn joined(buffer: usize) -> Joined {
        let (ours, theirs) = connected().await;
        let accepted = async {
            let Ok(ConnectionEvent::Open(open)) = theirs.next().await else { panic!("a channel is opened") };
            open.accept()
        };
        let (client, channel) = tokio::join!(ours.open(&ChannelKind::Session), accepted);
        let (far, near) = duplex(buffer);
        let (order, ordered) = oneshot::channel();
        let pipe = tokio::spawn(async move {
            let order = async { ordered.await.unwrap_or(Ending::InternalFault) };
            relay::pipe(&Arc::new(channel), near, &Activity::default(), order).await
        });
        Joined { client: client.expect("opened"), far, pipe, order, _connections: (ours, theirs) }
    }

    async fn rest_of(client: &Channel) -> (Vec<u8>, bool) {
        let (mut all, mut eof) = (Vec::new(), false);
        while let Some(event) = client.recv().await {
            match event {
                ChannelEvent::Data(data) => all.extend_from_slice(&data),
                ChannelEvent::Eof => eof = true,
                ChannelEvent::Extended(..) | ChannelEvent::Request(_) => panic!("{event:?}"),
            }
            if eof {
                break;
            }
        }
        (all, eof)
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| u8::try_from(at % 251).expect("below 256")).collect()
    }

    #[tokio::test]
    async fn each_side_may_end_first_and_still_hear_the_other_out() {
        let mut joined = joined(64 * 1024).await;
        joined.client.write(Bytes::from_static(b"a question")).await.expect("written");
        joined.client.eof();
        let mut asked = Vec::new();
        joined.far.read_to_end(&mut asked).await.expect("an end");
        assert_eq!(asked, b"a question");
        joined.far.write_all(b"a long answer").await.expect("written");
        joined.far.shutdown().await.expect("shut down");
        assert_eq!(rest_of(&joined.client).await, (b"a long answer".to_vec(), true));
        let outcome = joined.pipe.await.expect("no panic");
        assert_eq!((outcome.bytes_to_target, outcome.bytes_to_client), (10, 13));
        assert_eq!(outcome.ending, Ending::Finished);
        drop(joined.order);
    }

    #[tokio::test]
    async fn a_far_end_that_says_all_first_still_hears_the_client_out() {
        let mut joined = joined(64 * 1024).await;
        joined.far.write_all(b"greetings").await.expect("written");
        joined.far.shutdown().await.expect("shut down");
        assert_eq!(rest_of(&joined.client).await, (b"greetings".to_vec(), true));
        joined.client.write(Bytes::from_static(b"thanks")).await.expect("written");
        joined.client.eof();
        let mut heard = Vec::new();
        joined.far.read_to_end(&mut heard).await.expect("an end");
        assert_eq!(heard, b"thanks");
        assert_eq!(joined.pipe.await.expect("no panic").ending, Ending::Finished);
        drop(joined.order);
    }

    #[tokio::test]
    async fn megabytes_pass_both_ways_at_once_unharmed() {
        const SIZE: usize = 8 * 1024 * 1024;
        let joined = joined(32 * 1024).await;
        let (mut far_read, mut far_write) = tokio::io::split(joined.far);
        let sending = tokio::spawn(async move {
            far_write.write_all(&bytes(SIZE)).await.expect("written");
            far_write.shutdown().await.expect("shut down");
        });
        let receiving = tokio::spawn(async move {
            let mut all = Vec::new();
            far_read.read_to_end(&mut all).await.expect("an end");
            all
        });
        let client = Arc::new(joined.client);
        let writer = Arc::clone(&client);
        let asking = tokio::spawn(async move {
            writer.write(Bytes::from(bytes(SIZE))).await.expect("written");
            writer.eof();
        });
        let (came, eof) = rest_of(&client).await;
        assert!(eof && came == bytes(SIZE), "{} bytes", came.len());
        assert!(receiving.await.expect("no panic") == bytes(SIZE));
        sending.await.expect("no panic");
        asking.await.expect("no panic");
        let outcome = joined.pipe.await.expect("no panic");
        assert_eq!((outcome.bytes_to_target, outcome.bytes_to_client), (SIZE as u64, SIZE as u64));
        drop(joined.order);
    }

    #[tokio::test]
    async fn what_a_client_wrote_before_it_closed_arrives() {
        let mut joined = joined(64 * 1024).await;
        joined.client.write(Bytes::from_static(b"last words")).await.expect("written");
        joined.client.close();
        let mut heard = Vec::new();
        joined.far.read_to_end(&mut heard).await.expect("an end");
        assert_eq!(heard, b"last words");
        assert_eq!(joined.pipe.await.expect("no panic").ending, Ending::ClientLeft);
        drop(joined.order);
    }

    /// A service that hangs must not hold what belongs to a client that has left.
    #[tokio::test(start_paused = true)]
    async fn a_far_end_that_reads_nothing_does_not_outlive_the_client() {
        let joined = joined(16).await;
        joined.client.write(Bytes::from(bytes(100_000))).await.expect("written");
        joined.client.close();
        assert_eq!(joined.pipe.await.expect("no panic").ending, Ending::ClientLeft);
        drop((joined.far, joined.order));
    }

    #[tokio::test]
    async fn an_order_ends_a_pipe_on_which_nothing_is_said() {
        let joined = joined(1024).await;
        joined.order.send(Ending::Idle).expect("the pipe listens");
        assert_eq!(joined.pipe.await.expect("no panic").ending, Ending::Idle);
        joined.client.closed().await;
    }

    #[tokio::test]
    async fn a_far_end_that_is_gone_ends_it() {
        let joined = joined(1024).await;
        drop(joined.far);
        let (_, eof) = rest_of(&joined.client).await;
        assert!(eof);
        joined.client.write(Bytes::from_static(b"hello?")).await.expect("the channel is open");
        assert_eq!(joined.pipe.await.expect("no panic").ending, Ending::TargetLeft);
        drop(joined.order);
    }
}
