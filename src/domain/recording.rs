//! Whether a session is recorded.

use serde::Serialize;

/// What policy wants of a recording (`@record`). Later ones are stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordMode {
    /// Nothing is recorded.
    Off,
    /// It is recorded; where that fails, the session goes on without, and the audit says so.
    BestEffort,
    /// It is recorded, or there is no session.
    Required,
}

impl RecordMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Off, Self::BestEffort, Self::Required];

    /// The name in policies and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::BestEffort => "best_effort",
            Self::Required => "required",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == text)
    }
}
