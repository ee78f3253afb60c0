//! What a failure tells by itself, before anything is looked at.

use super::subject::Subject;
use crate::domain::FailureClass;

/// What follows from the mere fact that a connection failed in a certain way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Testimony {
    /// The subject under which what was seen stands, where there is one.
    pub(super) seen: Option<Subject>,
    /// Whether what was seen says by itself where the fault is. Otherwise it is a cause only when everything that
    /// could explain it was looked at and is sound.
    pub(super) speaks_for_itself: bool,
    /// Whether the machine must have been reached for a connection to fail in this way: packets go there and back.
    pub(super) proves_arrival: bool,
}

impl Testimony {
    /// What a failure of this class tells.
    pub(super) const fn of(class: FailureClass) -> Self {
        let (seen, speaks_for_itself, proves_arrival) = match class {
            FailureClass::PushDenied
            | FailureClass::PushNoCredentials
            | FailureClass::PushThrottled
            | FailureClass::PushInvalid
            | FailureClass::PushFailed
            | FailureClass::InstanceGone
            | FailureClass::InstanceNotRunning
            | FailureClass::InstanceUnavailable => (Some(Subject::Push), true, false),
            FailureClass::ConnectTimeout | FailureClass::Unreachable => (Some(Subject::Answer), false, false),
            FailureClass::ConnectionRefused | FailureClass::NotSsh | FailureClass::NoCommonAlgorithm => {
                (Some(Subject::Answer), true, true)
            }
            FailureClass::NoBanner
            | FailureClass::HandshakeFailed
            | FailureClass::LoginRejected
            | FailureClass::LoginTimeout => (Some(Subject::Answer), false, true),
            FailureClass::HostKeyUnknown | FailureClass::HostKeyChanged => {
                (Some(Subject::HostKey), true, true)
            }
            FailureClass::OwnFault => (None, false, false),
        };
        Self { seen, speaks_for_itself, proves_arrival }
    }
}
