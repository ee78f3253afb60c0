//! What came of a check on a list.

use serde::Serialize;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is as it must be (✓).
    Sound,
    /// It is not, and keeps something from working (✗).
    Broken,
    /// It could not be told, or somebody should have a look (?).
    Unknown,
}

impl Verdict {
    /// One character for people.
    #[must_use]
    pub const fn mark(self) -> char {
        match self {
            Self::Sound => '✓',
            Self::Broken => '✗',
            Self::Unknown => '?',
        }
    }
}
