//! Why a key could not be pushed: one sentence for the user, the whole story for the operator.

/// A key was not pushed, or the push was not confirmed in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operator}")]
pub struct InjectError {
    /// What went wrong; the metric label comes from it.
    pub kind: InjectErrorKind,
    /// One sentence that says what to do, without anything the user is not entitled to know.
    pub user: String,
    /// The whole story, for the log and the audit.
    pub operator: String,
    /// The id under which AWS knows the (last) request, where there was an answer.
    pub request_id: Option<String>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InjectErrorKind {
    /// IAM does not allow the push.
    Denied,
    /// The daemon's own credentials are missing, expired or wrong, or its role cannot be assumed.
    NoCredentials,
    /// The login or the key was not accepted.
    InvalidRequest,
    /// There is no such instance.
    NotFound,
    /// The instance is stopped or terminated.
    NotRunning,
    /// The instance is still starting, or its host has a problem.
    TargetUnavailable,
    /// Too many pushes.
    Throttled,
    /// A fault inside the service.
    ServiceFailing,
    /// No answer in time.
    Timeout,
    /// No connection to the service.
    Unreachable,
    /// An answer that cannot be understood.
    BadAnswer,
    /// The queue of pushes did not move in time.
    Busy,
    /// The config has no such account and region.
    NotConfigured,
}

impl InjectError {
    pub(crate) fn new(
        kind: InjectErrorKind,
        operator: impl Into<String>,
        request_id: Option<String>,
    ) -> Self {
        Self { kind, user: kind.sentence().to_owned(), operator: operator.into(), request_id }
    }
}

impl InjectErrorKind {
    /// Every kind, in the order in which the documentation lists them.
    pub const ALL: [Self; 13] = [
        Self::Denied,
        Self::NoCredentials,
        Self::InvalidRequest,
        Self::NotFound,
        Self::NotRunning,
        Self::TargetUnavailable,
        Self::Throttled,
        Self::ServiceFailing,
        Self::Timeout,
        Self::Unreachable,
        Self::BadAnswer,
        Self::Busy,
        Self::NotConfigured,
    ];

    /// The label in metrics, logs and audit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::NoCredentials => "no-credentials",
            Self::InvalidRequest => "invalid-request",
            Self::NotFound => "not-found",
            Self::NotRunning => "not-running",
            Self::TargetUnavailable => "target-unavailable",
            Self::Throttled => "throttled",
            Self::ServiceFailing => "service-failing",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad-answer",
            Self::Busy => "busy",
            Self::NotConfigured => "not-configured",
        }
    }

    /// What the user reads: what happened, and what to do.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Denied => {
                "AWS does not let drawbridge push a key for this login to this instance; \
                 please ask your drawbridge operator to check its IAM permissions."
            }
            Self::NoCredentials => {
                "drawbridge has no working AWS credentials for this instance's account; \
                 please tell your drawbridge operator."
            }
            Self::InvalidRequest => {
                "EC2 Instance Connect did not accept this login for the instance; \
                 please check the spelling of the login and try again."
            }
            Self::NotFound => {
                "AWS does not find this instance any more; \
                 please check that it still exists, wait a minute and try again."
            }
            Self::NotRunning => "The instance is not running; please start it and try again.",
            Self::TargetUnavailable => {
                "The instance is not ready for connections yet; please wait a minute or two and try again."
            }
            Self::Throttled => {
                "AWS is limiting how fast keys may be pushed just now; please wait a minute and try again."
            }
            Self::ServiceFailing => {
                "EC2 Instance Connect reports a fault of its own and did not recover in time; \
                 please try again in a few minutes."
            }
            Self::Timeout => {
                "EC2 Instance Connect did not answer in time; \
                 please try again, and tell your drawbridge operator if it happens again."
            }
            Self::Unreachable => {
                "drawbridge cannot reach EC2 Instance Connect; \
                 please tell your drawbridge operator, and try again in a few minutes."
            }
            Self::BadAnswer => {
                "EC2 Instance Connect gave an answer that drawbridge cannot read; \
                 please try again, and tell your drawbridge operator if it happens again."
            }
            Self::Busy => {
                "Too many sessions are being opened at the same moment; please try again in a few seconds."
            }
            Self::NotConfigured => {
                "drawbridge is not set up for this instance's account and region; \
                 please tell your drawbridge operator."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_kind_sentence_that_says_what_to_do() {
        for kind in InjectErrorKind::ALL {
            let sentence = kind.sentence();
            assert!(sentence.ends_with('.') && sentence.contains("please"), "{sentence}");
            assert!(!sentence.contains("  ") && sentence.len() < 200, "{sentence}");
        }
    }

    #[test]
    fn labels_are_distinct() {
        let labels: std::collections::BTreeSet<_> = InjectErrorKind::ALL.map(InjectErrorKind::label).into();
        assert_eq!(labels.len(), InjectErrorKind::ALL.len());
    }
}
