//! Answers that come about while they are given: long lists, recordings, whatever waits for something to happen.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answer::Verdict;
use crate::policy::Permit;

/// How many pieces wait for a reader who is slow; whoever makes them waits from there on.
const PIECES_MAX: usize = 4;
/// How many inputs wait for an answer that is busy; what is typed beyond that waits with its sender.
const INPUTS_MAX: usize = 16;

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text for standard output, with line feeds.
    Text(String),
    /// Bytes for standard output as they are: what a recorded program printed.
    Raw(Bytes),
    /// Text for standard error, with line feeds.
    Complaint(String),
}

/// What whoever asked does while they are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// They typed.
    Keys(Bytes),
    /// Their terminal has another size.
    Resized(Size),
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Width; 0 where it is not known.
    pub columns: u32,
    /// Height; 0 where it is not known.
    pub rows: u32,
}

/// Whoever asked has left: nobody reads the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("whoever asked has left")]
pub struct Left;

/// Where an answer is given.
#[derive(Debug)]
pub struct Stage {
    out: mpsc::Sender<Piece>,
    input: mpsc::Receiver<Input>,
    terminal: Option<Size>,
}

/// The other side of a [`Stage`]: what comes out, and what goes in.
#[derive(Debug)]
pub struct Audience {
    /// The pieces, in order; it ends when the answer does.
    pub out: mpsc::Receiver<Piece>,
    /// What whoever asked does; the answer goes on when it is dropped.
    pub input: mpsc::Sender<Input>,
}

impl Stage {
    /// A stage and its audience. `terminal` is the size of the reader's terminal, where they have one.
    #[must_use]
    pub fn new(terminal: Option<Size>) -> (Self, Audience) {
        let (out, pieces) = mpsc::channel(PIECES_MAX);
        let (inputs, input) = mpsc::channel(INPUTS_MAX);
        (Self { out, input, terminal }, Audience { out: pieces, input: inputs })
    }

    /// The reader's terminal, where there is one.
    #[must_use]
    pub fn terminal(&self) -> Option<Size> {
        self.terminal
    }

    /// Writes text; waits for a slow reader.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn say(&self, text: String) -> Result<(), Left> {
        if text.is_empty() { Ok(()) } else { self.put(Piece::Text(text)).await }
    }

    /// Writes bytes as they are; waits for a slow reader.
    ///
    /// # Errors
    /// As [`Self::say`].
    pub async fn show(&self, bytes: Bytes) -> Result<(), Left> {
        if bytes.is_empty() { Ok(()) } else { self.put(Piece::Raw(bytes)).await }
    }

    /// Says a sentence on standard error.
    ///
    /// # Errors
    /// As [`Self::say`].
    pub async fn complain(&self, sentence: &str) -> Result<(), Left> {
        self.put(Piece::Complaint(format!("drawbridge: {sentence}\n"))).await
    }

    async fn put(&self, piece: Piece) -> Result<(), Left> {
        self.out.send(piece).await.map_err(|_nobody| Left)
    }

    /// The next input. Where nobody can type, it never comes.
    pub async fn input(&mut self) -> Input {
        match self.input.recv().await {
            Some(input) => {
                if let Input::Resized(size) = input {
                    self.terminal = Some(size);
                }
                input
            }
            None => std::future::pending().await,
        }
    }
}

/// An answer in the making; it says in the end how it went.
pub type Playing = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// An answer that is given on a [`Stage`]. Nothing happens before it is begun.
pub struct Live {
    begin: Box<dyn FnOnce(Stage) -> Playing + Send>,
    keyboard: bool,
    permit: Option<Box<Permit>>,
}

impl Live {
    /// An answer that only writes.
    pub fn new<F>(begin: impl FnOnce(Stage) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        Self { begin: Box::new(move |stage| Box::pin(begin(stage))), keyboard: false, permit: None }
    }

    /// The same with each key as it is pressed, on a terminal in raw mode.
    #[must_use]
    pub fn with_keyboard(self) -> Self {
        Self { keyboard: true, ..self }
    }

    /// The same, given for as long as a permit holds.
    #[must_use]
    pub fn under(self, permit: Option<Permit>) -> Self {
        Self { permit: permit.map(Box::new), ..self }
    }

    /// The permit that it is given under; nothing where it rests on none.
    #[must_use]
    pub fn permit(&self) -> Option<&Permit> {
        self.permit.as_deref()
    }

    /// Whether it takes single keys.
    #[must_use]
    pub fn takes_keys(&self) -> bool {
        self.keyboard
    }

    /// Begins.
    pub fn begin(self, stage: Stage) -> Playing {
        (self.begin)(stage)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("keyboard", &self.keyboard).finish_non_exhaustive()
    }
}
