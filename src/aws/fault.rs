//! What went wrong in a call, in our words.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;

use crate::target::{SourceError, SourceErrorKind};

/// The longest text that is kept of what AWS or something between said, in characters.
const TEXT_MAX: usize = 600;

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// AWS's code, such as `RequestLimitExceeded`.
    pub(super) code: Option<String>,
    pub(super) request_id: Option<String>,
    /// Everything that is known, on one line, for the operator.
    pub(super) text: String,
}

/// What kind of failure it was, as far as AWS's services have them in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// No credentials could be had, or AWS does not know them.
    NoCredentials,
    /// IAM refused.
    Denied,
    Throttled,
    /// The service reports a fault of its own.
    ServiceFailing,
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// An answer that cannot be understood.
    BadAnswer,
    /// An error of the operation itself: see the code.
    Refused,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, code: None, request_id: None, text: text.into() }
    }

    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let request_id = error
            .raw_response()
            .and_then(|response| response.headers().get("x-amzn-requestid"))
            .or_else(|| error.meta().request_id());
        Self {
            kind: kind_of(error),
            code: error.code().map(bounded),
            request_id: request_id.map(bounded),
            text: chain(error),
        }
    }

    /// The same, as the inventory's error about an IAM action.
    pub(super) fn into_source_error(self, action: &'static str) -> SourceError {
        let kind = match self.kind {
            FaultKind::NoCredentials | FaultKind::Denied => SourceErrorKind::Denied { action },
            FaultKind::Throttled => SourceErrorKind::Throttled,
            FaultKind::Timeout => SourceErrorKind::Timeout,
            FaultKind::Unreachable => SourceErrorKind::Unreachable,
            FaultKind::BadAnswer => SourceErrorKind::BadAnswer,
            FaultKind::ServiceFailing | FaultKind::Refused => SourceErrorKind::Other,
        };
        SourceError { kind, operator: format!("{action}: {}", self.text), request_id: self.request_id }
    }
}

fn kind_of<E>(error: &SdkError<E, HttpResponse>) -> FaultKind
where
    E: Error + ProvideErrorMetadata + 'static,
{
    // A role that cannot be assumed, or no role at all, surfaces in several disguises.
    if sources(error).any(|source| source.is::<CredentialsError>()) {
        return FaultKind::NoCredentials;
    }
    match error {
        SdkError::TimeoutError(_) => FaultKind::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => FaultKind::Timeout,
        SdkError::DispatchFailure(_) => FaultKind::Unreachable,
        SdkError::ConstructionFailure(_) => FaultKind::Refused,
        SdkError::ServiceError(answer) => kind_of_answer(answer.err().code(), answer.raw().status().as_u16()),
        // The answer broke off or could not be parsed; the SDK may gain variants.
        SdkError::ResponseError(_) | _ => FaultKind::BadAnswer,
    }
}

/// Codes that several services share (EC2 API reference, "Common client error codes"; JSON
/// services use the same with other endings).
fn kind_of_answer(code: Option<&str>, status: u16) -> FaultKind {
    const UNKNOWN_CREDENTIALS: [&str; 8] = [
        "AuthFailure",
        "ExpiredToken",
        "InvalidClientTokenId",
        "InvalidSignature",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
    ];
    const THROTTLED: [&str; 5] =
        ["RequestLimitExceeded", "TooManyRequests", "RequestThrottled", "SlowDown", "EC2Throttled"];
    const FAILING: [&str; 5] =
        ["InternalError", "InternalFailure", "InternalServer", "ServiceUnavailable", "ServiceException"];
    let Some(code) = code else {
        return match status {
            429 => FaultKind::Throttled,
            500.. => FaultKind::ServiceFailing,
            _ => FaultKind::BadAnswer,
        };
    };
    let starts_with = |known: &[&str]| known.iter().any(|start| code.starts_with(start));
    if code.starts_with("Throttl") || starts_with(&THROTTLED) {
        FaultKind::Throttled
    } else if starts_with(&UNKNOWN_CREDENTIALS) {
        FaultKind::NoCredentials
    } else if starts_with(&["AccessDenied", "UnauthorizedOperation", "AuthException", "OptInRequired"]) {
        FaultKind::Denied
    } else if starts_with(&FAILING) || status >= 500 {
        FaultKind::ServiceFailing
    } else {
        FaultKind::Refused
    }
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The error and its causes on one bounded line; consecutive repetitions are left out.
fn chain<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let mut parts: Vec<String> = Vec::new();
    for source in sources(error) {
        let part = source.to_string();
        if !part.is_empty() && !parts.last().is_some_and(|before| before.ends_with(&part)) {
            parts.push(part);
        }
    }
    if let (Some(code), Some(message)) = (error.code(), error.message()) {
        let said = format!("{code}: {message}");
        parts.extend((!parts.iter().any(|part| part.contains(&said))).then_some(said));
    }
    parts.extend(error.raw_response().map(|response| format!("HTTP {}", response.status().as_u16())));
    bounded(&parts.join(": "))
}

/// What comes from outside is bounded and holds no control characters.
fn bounded(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_into_kinds() {
        for (code, kind) in [
            ("RequestLimitExceeded", FaultKind::Throttled),
            ("ThrottlingException", FaultKind::Throttled),
            ("Throttling", FaultKind::Throttled),
            ("UnauthorizedOperation", FaultKind::Denied),
            ("AccessDeniedException", FaultKind::Denied),
            ("AccessDenied", FaultKind::Denied),
            ("AuthException", FaultKind::Denied),
            ("AuthFailure", FaultKind::NoCredentials),
            ("ExpiredTokenException", FaultKind::NoCredentials),
            ("UnrecognizedClientException", FaultKind::NoCredentials),
            ("InternalError", FaultKind::ServiceFailing),
            ("ServiceException", FaultKind::ServiceFailing),
            ("InvalidInstanceID.NotFound", FaultKind::Refused),
        ] {
            assert_eq!(kind_of_answer(Some(code), 400), kind, "{code}");
        }
        assert_eq!(kind_of_answer(Some("SomethingNew"), 503), FaultKind::ServiceFailing);
        assert_eq!(kind_of_answer(None, 429), FaultKind::Throttled);
        assert_eq!(kind_of_answer(None, 502), FaultKind::ServiceFailing);
        assert_eq!(kind_of_answer(None, 200), FaultKind::BadAnswer);
    }

    #[test]
    fn foreign_text_is_bounded_and_on_one_line() {
        assert_eq!(bounded("a\r\nb"), "a  b");
        assert_eq!(bounded(&"x".repeat(10_000)).len(), TEXT_MAX);
    }
}
