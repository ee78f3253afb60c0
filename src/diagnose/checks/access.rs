//! What was seen when somebody tried: the push of the key, what the machine answered, the host key.

use super::case::Case;
use super::failure;
use crate::diagnose::subject::Subject;
use crate::diagnose::testimony::Testimony;
use crate::diagnose::verdict::Check;
use crate::domain::FailureClass;

/// Could the key be pushed?
pub(super) fn push(case: &Case<'_>) -> Option<Check> {
    let sound = || Check::sound(Subject::Push, "EC2 Instance Connect took the key.");
    failed(case, Subject::Push).or_else(|| came_to_the_login(case).then(sound))
}

/// What did the machine answer?
pub(super) fn answer(case: &Case<'_>) -> Option<Check> {
    let sound = || Check::sound(Subject::Answer, format!("{} answers in SSH.", case.name()));
    failed(case, Subject::Answer).or_else(|| case.reached.then(sound))
}

/// Was the host key the one that is known?
pub(super) fn host_key(case: &Case<'_>) -> Option<Check> {
    let words = || format!("{} shows the host key that is known.", case.name());
    let sound = || Check::sound(Subject::HostKey, words());
    failed(case, Subject::HostKey).or_else(|| came_to_the_login(case).then(sound))
}

/// The failure, where it was seen under this subject.
fn failed(case: &Case<'_>, subject: Subject) -> Option<Check> {
    let class = case.class.filter(|class| Testimony::of(*class).seen == Some(subject))?;
    Some(Check::broken(subject, failure::finding(case, class)?, failure::change(case, class)?))
}

/// The key is pushed and the host key verified before the machine is asked to let anybody in.
fn came_to_the_login(case: &Case<'_>) -> bool {
    matches!(case.class, Some(FailureClass::LoginRejected | FailureClass::LoginTimeout))
}
