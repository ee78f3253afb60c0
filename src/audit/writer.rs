//! The thread that owns the sink. Whatever waits is written together (group commit): one write
//! and one sync serve every caller that was waiting, so many logins cost few syncs.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{AuditError, Sink};

/// What the thread is asked for. Each is answered, also when the asker has gone.
pub(super) enum Command {
    Append(Waiting),
    Reopen(oneshot::Sender<Result<(), AuditError>>),
    Close(oneshot::Sender<Result<(), AuditError>>),
}

/// One line and who waits for it.
pub(super) struct Waiting {
    pub(super) line: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<(), AuditError>>,
}

/// How many lines may wait; more callers wait for a place.
pub(super) const WAITING_MAX: usize = 256;

/// The most bytes that are written together, so that one answer does not wait for megabytes.
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// Writes until it is told to close or nobody can ask any more; then writes what still waits.
pub(super) fn run(mut commands: mpsc::Receiver<Command>, sink: Box<dyn Sink>) {
    let mut writer = Writer { sink, failing: false };
    let mut closers = Vec::new();
    let mut next = None;
    while let Some(command) = next.take().or_else(|| commands.blocking_recv()) {
        match command {
            Command::Append(first) => next = writer.append_group(first, &mut commands),
            Command::Reopen(answer) => reply(answer, writer.sink.reopen().map_err(write_error)),
            Command::Close(answer) => {
                // What was sent before still comes out of the channel; nothing else goes in.
                commands.close();
                closers.push(answer);
            }
        }
    }
    // Whoever closed may open the same file again at once, so let go of it first.
    drop(writer);
    closers.into_iter().for_each(|answer| reply(answer, Ok(())));
}

struct Writer {
    sink: Box<dyn Sink>,
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
                Ok(other @ (Command::Reopen(_) | Command::Close(_))) => {
                    after = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(group, size);
        after
    }

    fn commit(&mut self, group: Vec<Waiting>, size: usize) {
        if group.len() > 1 {
            let mut lines = Vec::with_capacity(size);
            group.iter().for_each(|waiting| lines.extend_from_slice(&waiting.line));
            if self.append(&lines).is_ok() {
                group.into_iter().for_each(|waiting| reply(waiting.answer, Ok(())));
                return;
            }
        }
        // One at a time: each caller gets the truth about its own line, and a short line may
        // still fit where the group did not.
        for waiting in group {
            let written = self.append(&waiting.line).map_err(write_error);
            reply(waiting.answer, written);
        }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.sink.append(lines);
        match &written {
            Err(error) if !self.failing => {
                tracing::error!(%error, "the audit log cannot be written: sessions are refused until it can");
            }
            Ok(()) if self.failing => tracing::info!("the audit log can be written again"),
            Ok(()) | Err(_) => {}
        }
        self.failing = written.is_err();
        written
    }
}

fn write_error(error: io::Error) -> AuditError {
    AuditError::Write(Arc::new(error))
}

/// Answers; an asker that has gone wants no answer.
fn reply(answer: oneshot::Sender<Result<(), AuditError>>, result: Result<(), AuditError>) {
    drop(answer.send(result));
}
