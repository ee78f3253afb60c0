//! Results as SFTP statuses.

use std::io;

use russh_sftp::protocol::{Status, StatusCode};
use russh_sftp::server::StatusReply;

/// An answer that is an error, or the end of a file.
#[derive(Debug)]
pub(super) struct Failure(StatusReply);

impl Failure {
    pub(super) fn end_of_file() -> Self {
        Self(StatusCode::Eof.into())
    }

    pub(super) fn unsupported() -> Self {
        Self(StatusCode::OpUnsupported.into())
    }

    pub(super) fn unknown_handle() -> Self {
        Self(StatusCode::Failure.with_message("there is no such open file"))
    }

    pub(super) fn because(message: &str) -> Self {
        Self(StatusCode::Failure.with_message(message))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let known = [
            (io::ErrorKind::NotFound, StatusCode::NoSuchFile),
            (io::ErrorKind::PermissionDenied, StatusCode::PermissionDenied),
            (io::ErrorKind::Unsupported, StatusCode::OpUnsupported),
        ];
        let code = known.into_iter().find(|(kind, _)| *kind == error.kind());
        let code = code.map_or(StatusCode::Failure, |(_, code)| code);
        Self(code.with_message(error.to_string()))
    }
}

impl From<Failure> for StatusReply {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

pub(super) fn done(id: u32) -> Status {
    Status {
        id,
        status_code: StatusCode::Ok,
        error_message: "Ok".to_owned(),
        language_tag: "en-US".to_owned(),
    }
}
