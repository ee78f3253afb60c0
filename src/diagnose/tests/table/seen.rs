//! Sound worlds in which something failed all the same: what was seen is all there is to say.

use super::{Row, as_seen, row};
use crate::diagnose::Subject;
use crate::diagnose::testing::one_vpc;
use crate::domain::FailureClass as Class;

pub(super) const SEEN: &[Row] = &[
    as_seen(
        "IAM denies the push",
        Class::PushDenied,
        Subject::Push,
        "Grant ec2-instance-connect:SendSSHPublicKey on arn:aws:ec2:eu-west-1:123456789012:instance/i-0000000000000000a to \
         drawbridge's role; a condition on ec2:osuser has to include \"ec2-user\"",
    ),
    as_seen("no credentials", Class::PushNoCredentials, Subject::Push, "account 123456789012 in eu-west-1"),
    as_seen("too many pushes", Class::PushThrottled, Subject::Push, "limiting"),
    as_seen("Instance Connect does not take the login", Class::PushInvalid, Subject::Push, "spelling"),
    as_seen("Instance Connect is not reached", Class::PushFailed, Subject::Push, "no private link"),
    as_seen("gone, says Instance Connect alone", Class::InstanceGone, Subject::Push, "does not know"),
    as_seen(
        "not running, says Instance Connect alone",
        Class::InstanceNotRunning,
        Subject::Push,
        "is not running",
    ),
    as_seen("not ready", Class::InstanceUnavailable, Subject::Push, "not ready"),
    as_seen("refused", Class::ConnectionRefused, Subject::Answer, "nothing listens there"),
    as_seen(
        "no answer, and AWS sees no reason",
        Class::ConnectTimeout,
        Subject::Answer,
        "Look at what AWS does not see",
    ),
    as_seen("unreachable, and AWS sees no reason", Class::Unreachable, Subject::Answer, "ip route get"),
    as_seen("silence", Class::NoBanner, Subject::Answer, "MaxStartups"),
    as_seen("not SSH", Class::NotSsh, Subject::Answer, "does not speak SSH"),
    as_seen("no common algorithm", Class::NoCommonAlgorithm, Subject::Answer, "legacy_targets"),
    as_seen("broken off", Class::HandshakeFailed, Subject::Answer, "broke off"),
    as_seen("an unknown host key", Class::HostKeyUnknown, Subject::HostKey, "Nothing vouches"),
    as_seen("another host key", Class::HostKeyChanged, Subject::HostKey, "another host key"),
    as_seen("login timeout", Class::LoginTimeout, Subject::Answer, "AuthorizedKeysCommand or PAM hangs"),
    row("a fault of our own", one_vpc, |_| {}, Some(Class::OwnFault), None, "exists"),
];
