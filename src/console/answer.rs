//! What a command answers.

use std::fmt;
use std::io;

use super::stage::Live;

/// How a command went; its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered.
    Yes,
    /// It was refused, or the answer is no.
    No,
    /// The command line makes no sense.
    Usage,
}

impl Verdict {
    /// The exit status.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Usage => 2,
        }
    }
}

/// An answer: what goes to standard output, piece by piece, what comes about after that, and what is said on standard
/// error in the end.
pub struct Answer {
    /// How it went; of an answer that is [`Live`], as far as is known before it is given.
    pub verdict: Verdict,
    /// Standard output. Each piece is small; none is kept.
    pub output: Box<dyn Iterator<Item = String> + Send>,
    /// What is given as it comes about.
    pub live: Option<Live>,
    /// What is said on standard error, as full lines; empty for nothing.
    pub complaint: String,
}

impl Answer {
    /// An answer in pieces.
    pub fn yes(output: impl Iterator<Item = String> + Send + 'static) -> Self {
        Self { verdict: Verdict::Yes, output: Box::new(output), live: None, complaint: String::new() }
    }

    /// An answer that comes about while it is given.
    #[must_use]
    pub fn live(live: Live) -> Self {
        Self { live: Some(live), ..Self::text(String::new()) }
    }

    /// An answer that is one text.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self::yes(std::iter::once(text))
    }

    /// A refusal, with its sentence.
    #[must_use]
    pub fn no(sentence: &str) -> Self {
        Self::text(String::new()).but(Verdict::No, sentence)
    }

    /// A command line that makes no sense; `help` says what would.
    #[must_use]
    pub fn usage(help: String) -> Self {
        Self { verdict: Verdict::Usage, complaint: help, ..Self::text(String::new()) }
    }

    /// The same output with another verdict and a sentence about it.
    #[must_use]
    pub fn but(self, verdict: Verdict, sentence: &str) -> Self {
        Self { verdict, complaint: format!("drawbridge: {sentence}\n"), ..self }
    }

    /// Writes output and complaint; what is live is for whoever has a [`super::Stage`].
    ///
    /// # Errors
    /// When a writer fails.
    pub fn write(self, out: &mut impl io::Write, err: &mut impl io::Write) -> io::Result<()> {
        for piece in self.output {
            out.write_all(piece.as_bytes())?;
        }
        err.write_all(self.complaint.as_bytes())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("verdict", &self.verdict).finish_non_exhaustive()
    }
}
