//! Answers that come about while they are given, on the client's channel.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::console::{self, Audience, Input, Live, Piece, Size, Stage, Verdict};
use crate::session::prelude::Prelude;
use crate::ssh::{Channel, ChannelEvent, Closed, STDERR};

/// How long a client may take to read why an answer breaks off, or the last of it.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// The size of the client's terminal.
pub(super) fn size(prelude: &Prelude) -> Option<Size> {
    prelude.pty.as_ref().map(|(_, pty)| Size { columns: pty.columns, rows: pty.rows })
}

/// Gives an answer to its end, or until the client closes or `order` says why it ends before; says how it went.
pub(super) async fn perform(
    channel: &Channel,
    terminal: Option<Size>,
    live: Live,
    order: impl Future<Output = &'static str>,
) -> Result<Verdict, Closed> {
    let (stage, Audience { out, input }) = Stage::new(terminal);
    let whole_screen = live.takes_keys();
    let playing = live.begin(stage);
    let given = async {
        let (verdict, written) = tokio::join!(playing, write(channel, terminal.is_some(), out));
        written.map(|()| verdict)
    };
    tokio::select! {
        biased;
        sentence = order => {
            // A client that does not read will not read this either.
            let _read = timeout(FAREWELL, break_off(channel, whole_screen, sentence)).await;
            Ok(Verdict::No)
        }
        given = given => given,
        left = listen(channel, input) => match left {},
        () = channel.closed() => Ok(Verdict::No),
    }
}

/// Says why an answer ends in the middle, on a terminal that is in order.
async fn break_off(channel: &Channel, whole_screen: bool, sentence: &str) -> Result<(), Closed> {
    if whole_screen {
        channel.write(Bytes::from_static(console::ORDER)).await?;
    }
    let sentence = format!("drawbridge: {sentence}\r\n");
    channel.write_extended(STDERR, Bytes::from(sentence)).await
}

/// Writes pieces as fast as the client takes them.
async fn write(
    channel: &Channel,
    on_terminal: bool,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<(), Closed> {
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::Text(text) => channel.write(Bytes::from(super::lines(text, on_terminal))).await?,
            Piece::Raw(bytes) => channel.write(bytes).await?,
            Piece::Complaint(text) => {
                channel.write_extended(STDERR, Bytes::from(super::lines(text, on_terminal))).await?;
            }
        }
        // What is at hand at once is work, too: others on this thread may come first.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Passes on what the client types; it never ends by itself.
async fn listen(channel: &Channel, input: mpsc::Sender<Input>) -> Infallible {
    while let Some(event) = channel.recv().await {
        let input_event = match event {
            ChannelEvent::Data(data) => Input::Keys(data.into_bytes()),
            ChannelEvent::Request(request) => {
                if request.want_reply {
                    channel.reply(request.name == "window-change");
                }
                match (request.name.as_str(), columns_and_rows(&request.payload)) {
                    ("window-change", Some(size)) => Input::Resized(size),
                    _ => continue,
                }
            }
            ChannelEvent::Extended(..) | ChannelEvent::Eof => continue,
        };
        if input.send(input_event).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

fn columns_and_rows(window: &[u8]) -> Option<Size> {
    let (columns, rest) = window.split_first_chunk::<4>()?;
    let rows = rest.first_chunk::<4>()?;
    Some(Size { columns: u32::from_be_bytes(*columns), rows: u32::from_be_bytes(*rows) })
}
