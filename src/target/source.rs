//! Where targets come from: one account in one region.

use std::fmt;

use crate::domain::{Target, TargetRef};
use crate::tasks::BoxFuture;

/// One account in one region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The alias that the config gives the account.
    pub account_alias: String,
    /// The region, such as `eu-west-1`.
    pub region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account_alias, self.region)
    }
}

/// Lists the instances of one place and looks single ones up.
pub trait Source: Send + Sync + fmt::Debug {
    /// The account and region this is about.
    fn place(&self) -> &Place;

    /// Everything there that is pending, running, stopping or stopped.
    ///
    /// # Errors
    /// When the place does not answer, or holds more than `at_most` instances: an incomplete list
    /// is an error, never a short answer.
    fn list(&self, at_most: usize) -> BoxFuture<'_, Result<Vec<Target>, SourceError>>;

    /// What goes by this name there: an instance id, a private address, a private DNS name or a
    /// `Name` tag. May answer with more than what was asked for; the caller matches again.
    ///
    /// # Errors
    /// When the place does not answer. Nothing found is an empty list, not an error.
    fn lookup<'a>(&'a self, wanted: &'a TargetRef) -> BoxFuture<'a, Result<Vec<Target>, SourceError>>;
}

/// Why a source did not answer. Its text is for the operator; users read [`super::Resolution`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operator}")]
pub struct SourceError {
    /// What went wrong, for metrics and for choosing how long to back off.
    pub kind: SourceErrorKind,
    /// What went wrong, for the operator, with what to do where that is known.
    pub operator: String,
    /// The id under which AWS knows the request, where there was an answer.
    pub request_id: Option<String>,
}

/// What went wrong while asking a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// Asked too often.
    Throttled,
    /// Not permitted, or the daemon's credentials do not work.
    Denied {
        /// The IAM action that was refused.
        action: &'static str,
    },
    /// No connection.
    Unreachable,
    /// An answer that cannot be understood.
    BadAnswer,
    /// No answer in time.
    Timeout,
    /// More instances than the config allows to be held.
    TooMany,
    /// Anything else, such as a fault inside AWS.
    Other,
}

impl SourceErrorKind {
    /// The label in logs and metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Denied { .. } => "denied",
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad-answer",
            Self::Timeout => "timeout",
            Self::TooMany => "too-many",
            Self::Other => "other",
        }
    }
}

impl SourceError {
    /// An error that AWS gave no request id for.
    #[must_use]
    pub fn new(kind: SourceErrorKind, operator: impl Into<String>) -> Self {
        Self { kind, operator: operator.into(), request_id: None }
    }
}
