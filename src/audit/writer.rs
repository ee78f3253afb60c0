//! The thread that gives lines their place and writes them. Whatever waits is written together (group commit): one
//! write and one sync serve every caller that was waiting, so many logins cost few syncs.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::chain::{Batch, Chain};
use super::{AuditError, Entry, Observer};

/// Where lines end up.
pub(super) trait Append: Send {
    /// Appends whole lines and returns when they are durable.
    ///
    /// # Errors
    /// When they are not; then none of them is left, or no later call succeeds before none is.
    fn append(&mut self, batch: &Batch) -> io::Result<()>;
}

/// What the thread is asked for. Each is answered, also when the asker has gone.
pub(super) enum Command {
    Append(Waiting),
    Close(oneshot::Sender<Result<(), AuditError>>),
}

/// One line, who waits for it and who is told of it.
pub(super) struct Waiting {
    pub(super) line: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<(), AuditError>>,
    pub(super) told: Option<Box<(Arc<dyn Observer>, Entry)>>,
}

impl Waiting {
    fn recorded(self) {
        if let Some(told) = &self.told {
            told.0.recorded(&told.1);
        }
        reply(self.answer, Ok(()));
    }

    fn lost(self, error: AuditError) {
        if let Some(told) = &self.told {
            told.0.lost(&told.1, &error);
        }
        reply(self.answer, Err(error));
    }
}

/// How many lines may wait; more callers wait for a place.
pub(super) const WAITING_MAX: usize = 256;

/// The most bytes that are written together, so that one answer does not wait for megabytes.
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// Writes until it is told to close or nobody can ask any more; then writes what still waits.
pub(super) fn run(mut commands: mpsc::Receiver<Command>, journal: Box<dyn Append>, chain: Chain) {
    let mut writer = Writer { journal, chain, failing: false };
    let mut closers = Vec::new();
    let mut next = None;
    while let Some(command) = next.take().or_else(|| commands.blocking_recv()) {
        match command {
            Command::Append(first) => next = writer.append_group(first, &mut commands),
            Command::Close(answer) => {
                // What was sent before still comes out of the channel; nothing else goes in.
                commands.close();
                closers.push(answer);
            }
        }
    }
    // Whoever closed may open the same journal again at once, so let go of it first.
    drop(writer);
    closers.into_iter().for_each(|answer| reply(answer, Ok(())));
}

struct Writer {
    journal: Box<dyn Append>,
    chain: Chain,
    /// The last write failed; the operator has been told.
    failing: bool,
}

impl Writer {
    /// Writes `first` and everything that waits behind it; returns the command that ended the group.
    fn append_group(&mut self, first: Waiting, commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let mut size = first.line.len();
        let mut group = vec![first];
        let mut after = None;
        while size < GROUP_BYTES_MAX && group.len() < WAITING_MAX {
            match commands.try_recv() {
                Ok(Command::Append(waiting)) => {
                    size = size.saturating_add(waiting.line.len());
                    group.push(waiting);
                }
                Ok(other @ Command::Close(_)) => {
                    after = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(group);
        after
    }

    fn commit(&mut self, group: Vec<Waiting>) {
        if group.len() > 1 && self.append(&group).is_ok() {
            group.into_iter().for_each(Waiting::recorded);
            return;
        }
        // One at a time: each caller gets the truth about its own line, and a short line may
        // still fit where the group did not. A line that failed leaves its number to the next.
        for waiting in group {
            match self.append(std::slice::from_ref(&waiting)) {
                Ok(()) => waiting.recorded(),
                Err(error) => waiting.lost(AuditError::Write(Arc::new(error))),
            }
        }
    }

    /// The chain goes on only when the lines are durable.
    fn append(&mut self, lines: &[Waiting]) -> io::Result<()> {
        let batch = self.chain.place(lines.iter().map(|waiting| waiting.line.as_slice()));
        let written = self.journal.append(&batch);
        match &written {
            Err(error) if !self.failing => {
                tracing::error!(%error, "the journal cannot be written: sessions are refused until it can");
            }
            Ok(()) if self.failing => tracing::info!("the journal can be written again"),
            Ok(()) | Err(_) => {}
        }
        self.failing = written.is_err();
        if written.is_ok() {
            self.chain.tip = batch.tip;
        }
        written
    }
}

/// Answers; an asker that has gone wants no answer.
fn reply(answer: oneshot::Sender<Result<(), AuditError>>, result: Result<(), AuditError>) {
    drop(answer.send(result));
}
