//! Moves bytes between a client's channel and a plain stream, both ways, until it is over.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::outcome::{Activity, Outcome};
use crate::domain::Ending;
use crate::ssh::{Channel, ChannelEvent, ChannelStream};

/// A read from the stream: small at first, twice the size after each one that was filled.
const READ_MIN: usize = 16 * 1024;
const READ_MAX: usize = 256 * 1024;
/// What a client sent is written in one go up to so many packets.
const WRITE_PIECES: usize = 16;
/// How long the far end may take to read what a client wrote that has closed its channel.
const LINGER: Duration = Duration::from_secs(5);

/// Why a direction is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// All was said and passed on.
    AllSaid,
    /// The client closed the channel, or went away.
    ClientGone,
    /// The far end broke the stream, or reads no more.
    FarGone,
}

/// Pipes until both sides have said all, either closes, or `order` tells that it must end and why. The
/// channel is closed then and the stream dropped.
///
/// An end of data is passed on by itself, either way. Nothing is kept here but what is being written, so a
/// side that does not read stops the other.
pub async fn pipe<S, O>(client: &Arc<Channel>, far: S, activity: &Activity, order: O) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
    O: Future<Output = Ending>,
{
    let counted = Counted::default();
    let (far_read, far_write) = tokio::io::split(far);
    let ending = {
        let mut order = pin!(order);
        let mut to_far = pin!(to_far(client, far_write, activity, &counted.to_far));
        let mut to_client = pin!(to_client(client, far_read, activity, &counted.to_client));
        let (mut client_over, mut far_over) = (None, None);
        loop {
            tokio::select! {
                biased;
                ending = &mut order => break ending,
                over = &mut to_client, if far_over.is_none() => {
                    if over == Over::AllSaid {
                        client.eof();
                    }
                    far_over = Some(over);
                }
                over = &mut to_far, if client_over.is_none() => client_over = Some(over),
                () = client.closed() => {
                    if client_over.is_none() && !client.is_cut_off() {
                        // A far end that does not read it in time is none of this client's concern.
                        let _in_time = tokio::time::timeout(LINGER, &mut to_far).await;
                    }
                    client_over = Some(Over::ClientGone);
                }
            }
            if let Some(ending) = verdict(client_over, far_over) {
                break ending;
            }
        }
    };
    client.close();
    Outcome {
        exit: None,
        bytes_to_target: counted.to_far.into_inner(),
        bytes_to_client: counted.to_client.into_inner(),
        ending,
    }
}

/// How a pipe ended whose directions ended like this; nothing while it goes on.
fn verdict(client_over: Option<Over>, far_over: Option<Over>) -> Option<Ending> {
    match (client_over, far_over) {
        (_, Some(Over::FarGone)) => Some(Ending::TargetLeft),
        // A client that closes once it was told all is done like any other.
        (Some(Over::AllSaid | Over::ClientGone), Some(Over::AllSaid)) => Some(Ending::Finished),
        (Some(Over::FarGone), Some(Over::AllSaid)) => Some(Ending::TargetLeft),
        (Some(Over::ClientGone), None) | (_, Some(Over::ClientGone)) => Some(Ending::ClientLeft),
        // A far end that reads no more may still speak, as with any TCP connection.
        (Some(Over::AllSaid | Over::FarGone) | None, None) | (None, Some(Over::AllSaid)) => None,
    }
}

#[derive(Debug, Default)]
struct Counted {
    to_far: AtomicU64,
    to_client: AtomicU64,
}

async fn to_client(
    client: &Arc<Channel>,
    mut far: impl AsyncRead + Unpin,
    activity: &Activity,
    counter: &AtomicU64,
) -> Over {
    // What comes is read in larger pieces than packets, and copied: as with a recording, each costs more than its sending.
    client.gather();
    let mut out = ChannelStream::new(Arc::clone(client));
    let mut buffer = vec![0; READ_MIN];
    loop {
        let Ok(count) = far.read(&mut buffer).await else { return Over::FarGone };
        if count == 0 {
            return Over::AllSaid;
        }
        if out.write_all(buffer.get(..count).unwrap_or_default()).await.is_err() {
            return Over::ClientGone;
        }
        counter.fetch_add(count as u64, Ordering::Relaxed);
        activity.add_to_client(count);
        if count == buffer.len() && count < READ_MAX {
            buffer.resize(count.saturating_mul(2), 0);
        }
    }
}

async fn to_far(
    client: &Channel,
    mut far: impl AsyncWrite + Unpin,
    activity: &Activity,
    counter: &AtomicU64,
) -> Over {
    while let Some(first) = client.recv_data().await {
        let (mut pieces, mut next, mut all_said) = (Vec::new(), Some(first), false);
        while let Some(event) = next {
            match event {
                ChannelEvent::Data(data) => pieces.push(data),
                ChannelEvent::Eof => all_said = true,
                ChannelEvent::Extended(..) | ChannelEvent::Request(_) => {}
            }
            next = if all_said || pieces.len() >= WRITE_PIECES { None } else { waiting(client).await };
        }
        let count = pieces.iter().map(|piece| piece.len()).sum();
        if count > 0 {
            if write_all(&mut far, &pieces).await.is_err() {
                return Over::FarGone;
            }
            counter.fetch_add(count as u64, Ordering::Relaxed);
            activity.add_to_target(count);
        }
        if all_said {
            return if far.shutdown().await.is_ok() { Over::AllSaid } else { Over::FarGone };
        }
    }
    Over::ClientGone
}

/// What the client has sent already.
async fn waiting(client: &Channel) -> Option<ChannelEvent> {
    let mut next = pin!(client.recv_data());
    poll_fn(|cx| match next.as_mut().poll(cx) {
        Poll::Ready(event) => Poll::Ready(event),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn write_all(
    far: &mut (impl AsyncWrite + Unpin),
    pieces: &[impl Deref<Target = [u8]>],
) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = slices.as_mut_slice();
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let count = far.write_vectored(left).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, count);
    }
    Ok(())
}
