//! Reads a recording that is still being written.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::player::{Frame, Header, PlayError, Player};
use super::spool::Spool;
use crate::domain::RecordingId;

/// How often a running recording is looked at; it grows four times a second at most.
const LOOK: Duration = Duration::from_millis(200);

/// A recording that grows, from its beginning. It ends with the recording.
#[derive(Debug)]
pub struct Follow {
    player: Option<Player<File>>,
    header: Header,
    /// Where the file is while it is written.
    part: PathBuf,
}

impl Follow {
    /// Opens a recording of this node, running or whole.
    ///
    /// # Errors
    /// When there is none of that id here, or it cannot be read.
    pub async fn open(spool: &Spool, id: RecordingId) -> Result<Self, PlayError> {
        let (part, whole) = (spool.part(id), spool.path(id));
        let opening = part.clone();
        let player = blocking(move || {
            // It may get its last name in between.
            let file = File::open(&opening).or_else(|_| File::open(&whole))?;
            Player::open(file)
        })
        .await?;
        Ok(Self { header: player.header().clone(), player: Some(player), part })
    }

    /// What it is of.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What has been written since the last call, at most about a megabyte at a time; empty where nothing has.
    /// Waits for nothing. The second value says whether the recording is over and this was all of it.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub async fn poll(&mut self) -> Result<(Vec<Frame>, bool), PlayError> {
        let Some(mut player) = self.player.take() else { return Ok((Vec::new(), true)) };
        let part = self.part.clone();
        let (player, read) = blocking(move || {
            // Asked first: what was written before the file got its last name is read below.
            let over = !part.exists();
            let read = read_on(&mut player).map(|(frames, at_end)| (frames, over && at_end));
            Ok((player, read))
        })
        .await?;
        self.player = Some(player);
        read
    }

    /// As [`Self::poll`], but waits until there is something; nothing once the recording is over.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub async fn next(&mut self) -> Result<Option<Vec<Frame>>, PlayError> {
        loop {
            let (frames, over) = self.poll().await?;
            if !frames.is_empty() {
                return Ok(Some(frames));
            }
            if over {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Frames that are handed over together, and bytes in them.
const TOGETHER: (usize, usize) = (4096, 1024 * 1024);

/// Reads frames that are there; whether these were all.
fn read_on(player: &mut Player<File>) -> Result<(Vec<Frame>, bool), PlayError> {
    let (mut frames, mut bytes) = (Vec::new(), 0);
    while frames.len() < TOGETHER.0 && bytes < TOGETHER.1 {
        let Some(frame) = player.next_frame()? else { return Ok((frames, true)) };
        bytes += frame.what.length();
        frames.push(frame);
    }
    Ok((frames, false))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlayError> + Send + 'static,
) -> Result<T, PlayError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| io::Error::other(error.to_string()))?
}
