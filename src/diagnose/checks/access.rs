//! What was seen when somebody tried: the push of the key, what the machine answered, the host key.

use super::case::Case;
use crate::diagnose::subject::{Subject, seen};
use crate::diagnose::verdict::Check;
use crate::domain::FailureClass;

/// The IAM action that pushes a key.
const PUSH: &str = "ec2-instance-connect:SendSSHPublicKey";

/// Could the key be pushed?
pub(super) fn push(case: &Case<'_>) -> Option<Check> {
    let class = case.class?;
    if matches!(class, FailureClass::LoginRejected | FailureClass::LoginTimeout) {
        return Some(Check::sound(Subject::Push, "EC2 Instance Connect took the key."));
    }
    (seen(class) == Some(Subject::Push)).then(|| {
        let (finding, change) = push_failed(case, class);
        Check::broken(Subject::Push, finding, change)
    })
}

fn push_failed(case: &Case<'_>, class: FailureClass) -> (String, String) {
    let id = case.id();
    let again = || "Wait a minute and try again.".to_owned();
    match class {
        FailureClass::PushDenied => denied(case),
        FailureClass::PushNoCredentials => (
            format!("drawbridge has no working AWS credentials for {}.", place(case)),
            "Check the daemon's credentials and that the account's role may be assumed; `drawbridge doctor` says which fails."
                .to_owned(),
        ),
        FailureClass::PushThrottled => ("AWS is limiting how fast keys may be pushed.".to_owned(), again()),
        FailureClass::PushInvalid => (
            format!("EC2 Instance Connect did not accept {} for {id}.", login_words(case)),
            "Check the spelling of the login.".to_owned(),
        ),
        FailureClass::InstanceGone => (
            format!("EC2 Instance Connect does not know {id} in {}.", place(case)),
            "Check that the instance still exists.".to_owned(),
        ),
        FailureClass::InstanceNotRunning => {
            (format!("EC2 Instance Connect says that {id} is not running."), format!("Start {id} and try again."))
        }
        FailureClass::InstanceUnavailable => {
            (format!("EC2 Instance Connect says that {id} is not ready for connections."), again())
        }
        FailureClass::PushFailed
        | FailureClass::ConnectionRefused
        | FailureClass::ConnectTimeout
        | FailureClass::Unreachable
        | FailureClass::NoBanner
        | FailureClass::NotSsh
        | FailureClass::NoCommonAlgorithm
        | FailureClass::HandshakeFailed
        | FailureClass::HostKeyUnknown
        | FailureClass::HostKeyChanged
        | FailureClass::LoginRejected
        | FailureClass::LoginTimeout
        | FailureClass::OwnFault => (
            "EC2 Instance Connect did not answer as it should.".to_owned(),
            "Try again; check that the bastion can reach ec2-instance-connect on the internet, which has no private link."
                .to_owned(),
        ),
    }
}

/// What IAM has to grant, as narrowly as it can.
fn denied(case: &Case<'_>) -> (String, String) {
    let target = &case.facts.target;
    let arn = format!(
        "arn:{}:ec2:{}:{}:instance/{}",
        partition(&target.region),
        target.region,
        target.account,
        case.id()
    );
    let osuser = case.login.map_or_else(
        || "if the statement has a condition on ec2:osuser, it has to include the login".to_owned(),
        |login| format!("a condition on ec2:osuser has to include \"{login}\""),
    );
    (
        format!("IAM does not permit drawbridge to call {PUSH} on {} for {}.", case.id(), login_words(case)),
        format!(
            "Grant {PUSH} on {arn} to drawbridge's role; {osuser}, and one on aws:ResourceTag has to fit the instance's tags."
        ),
    )
}

fn partition(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 5] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-iso-", "aws-iso"),
        ("eusc-", "aws-eusc"),
    ];
    PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

fn place(case: &Case<'_>) -> String {
    let target = &case.facts.target;
    format!("account {} in {}", target.account, target.region)
}

fn login_words(case: &Case<'_>) -> String {
    case.login.map_or_else(|| "this login".to_owned(), |login| format!("the login {login}"))
}

/// What did the machine answer?
pub(super) fn answer(case: &Case<'_>) -> Option<Check> {
    let failed = case.class.and_then(|class| answered(case, class));
    let broken = failed.map(|(finding, change)| Check::broken(Subject::Answer, finding, change));
    let sound = || Check::sound(Subject::Answer, format!("{} answers in SSH.", case.name()));
    broken.or_else(|| case.reached.then(sound))
}

fn answered(case: &Case<'_>, class: FailureClass) -> Option<(String, String)> {
    let (name, port) = (case.name(), case.port);
    let (finding, change) = match class {
        FailureClass::ConnectionRefused => (
            format!("{name} refuses connections on port {port}: it is reached, and nothing listens there."),
            "Start the SSH server there; if it listens on another port, name that one by the instance's tag (`upstream.port_tag`).".to_owned(),
        ),
        FailureClass::ConnectTimeout => (
            format!("{name} does not answer on port {port}."),
            "Look at what AWS does not see: firewalls on the instance, appliances on the way, or a machine that hangs (its system log tells)."
                .to_owned(),
        ),
        FailureClass::Unreachable => (
            format!("The bastion's own network says that there is no way to {}.", case.to),
            "Look at the routes and firewall rules on the bastion itself (ip route get).".to_owned(),
        ),
        FailureClass::NoBanner => (
            format!("{name} takes connections on port {port} and says nothing."),
            "Look whether the SSH server there hangs or has too many connections (MaxStartups).".to_owned(),
        ),
        FailureClass::NotSsh => (
            format!("What listens on port {port} of {name} does not speak SSH."),
            "Find out which port the SSH server uses there, and name that one by the instance's tag (`upstream.port_tag`).".to_owned(),
        ),
        FailureClass::NoCommonAlgorithm => (
            format!("The SSH server of {name} offers no algorithms that drawbridge takes."),
            "Update the SSH server there, or list the instance under `upstream.legacy_targets`.".to_owned(),
        ),
        FailureClass::HandshakeFailed => (
            format!("{name} broke off the SSH connection before the login."),
            "Read the SSH server's log there (journalctl -u sshd, or -u ssh).".to_owned(),
        ),
        FailureClass::LoginRejected => (
            format!("The SSH server of {name} did not take the pushed key{}.", login_suffix(case)),
            "On the instance, see that `sshd -T` names the agent as AuthorizedKeysCommand, that AllowUsers lets the login in, that \
             the login exists, and that its clock is right."
                .to_owned(),
        ),
        FailureClass::LoginTimeout => (
            format!("The SSH server of {name} did not answer the login{} in time.", login_suffix(case)),
            "On the instance, see whether AuthorizedKeysCommand or PAM hangs, and whether the metadata service answers."
                .to_owned(),
        ),
        FailureClass::PushDenied
        | FailureClass::PushNoCredentials
        | FailureClass::PushThrottled
        | FailureClass::PushInvalid
        | FailureClass::PushFailed
        | FailureClass::InstanceGone
        | FailureClass::InstanceNotRunning
        | FailureClass::InstanceUnavailable
        | FailureClass::HostKeyUnknown
        | FailureClass::HostKeyChanged
        | FailureClass::OwnFault => return None,
    };
    Some((finding, change))
}

fn login_suffix(case: &Case<'_>) -> String {
    case.login.map(|login| format!(" for {login}")).unwrap_or_default()
}

/// Was the host key the one that is known?
pub(super) fn host_key(case: &Case<'_>) -> Option<Check> {
    let name = case.name();
    match case.class {
        Some(FailureClass::HostKeyUnknown) => Some(Check::broken(
            Subject::HostKey,
            format!("Nothing vouches for the host key that {name} shows."),
            "Pin it (drawbridge host-keys pin), or let something vouch for it: see `upstream.host_keys`.",
        )),
        Some(FailureClass::HostKeyChanged) => Some(Check::broken(
            Subject::HostKey,
            format!("{name} shows another host key than the one that is known."),
            "If the key was replaced on purpose, let the operator forget the old one (drawbridge host-keys forget).",
        )),
        Some(FailureClass::LoginRejected | FailureClass::LoginTimeout) => {
            Some(Check::sound(Subject::HostKey, format!("{name} shows the host key that is known.")))
        }
        Some(_) | None => None,
    }
}
