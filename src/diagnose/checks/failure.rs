//! What is said of each way to fail: what it means for this target, and what to do about it.

use super::case::Case;
use crate::domain::FailureClass;

/// The IAM action that pushes a key.
const PUSH: &str = "ec2-instance-connect:SendSSHPublicKey";

/// What was found; nothing where the fault is drawbridge's own, of which AWS and the target tell nothing.
pub(super) fn finding(case: &Case<'_>, class: FailureClass) -> Option<String> {
    let (id, name, port) = (case.id(), case.name(), case.port);
    Some(match class {
        FailureClass::PushDenied => {
            format!("IAM does not permit drawbridge to call {PUSH} on {id} for {}.", login(case))
        }
        FailureClass::PushNoCredentials => {
            format!("drawbridge has no working AWS credentials for {}.", place(case))
        }
        FailureClass::PushThrottled => "AWS is limiting how fast keys may be pushed.".to_owned(),
        FailureClass::PushInvalid => {
            format!("EC2 Instance Connect did not accept {} for {id}.", login(case))
        }
        FailureClass::PushFailed => "EC2 Instance Connect did not answer as it should.".to_owned(),
        FailureClass::InstanceGone => {
            format!("EC2 Instance Connect does not know {id} in {}.", place(case))
        }
        FailureClass::InstanceNotRunning => format!("EC2 Instance Connect says that {id} is not running."),
        FailureClass::InstanceUnavailable => {
            format!("EC2 Instance Connect says that {id} is not ready for connections.")
        }
        FailureClass::ConnectionRefused => {
            format!("{name} refuses connections on port {port}: it is reached, and nothing listens there.")
        }
        FailureClass::ConnectTimeout => format!("{name} does not answer on port {port}."),
        // A firewall that rejects (firewalld does) is told to us in the same way as a route that is missing.
        FailureClass::Unreachable => format!(
            "Something answers that {} cannot be reached: the bastion's own network, or a firewall that refuses, most \
             of all on {name} itself.",
            case.to
        ),
        FailureClass::NoBanner => format!("{name} takes connections on port {port} and says nothing."),
        FailureClass::NotSsh => format!("What listens on port {port} of {name} does not speak SSH."),
        FailureClass::NoCommonAlgorithm => {
            format!("The SSH server of {name} offers no algorithms that drawbridge takes.")
        }
        FailureClass::HandshakeFailed => format!("{name} broke off the SSH connection before the login."),
        FailureClass::HostKeyUnknown => format!("Nothing vouches for the host key that {name} shows."),
        FailureClass::HostKeyChanged => {
            format!("{name} shows another host key than the one that is known.")
        }
        FailureClass::LoginRejected => {
            format!("The SSH server of {name} did not take the pushed key{}.", for_login(case))
        }
        FailureClass::LoginTimeout => {
            format!("The SSH server of {name} did not answer the login{} in time.", for_login(case))
        }
        FailureClass::OwnFault => return None,
    })
}

/// What to do about it; nothing where there is no finding.
pub(super) fn change(case: &Case<'_>, class: FailureClass) -> Option<String> {
    let words = match class {
        FailureClass::PushDenied => return Some(grant(case)),
        FailureClass::PushNoCredentials => {
            "Check the daemon's credentials and that the account's role may be assumed; `drawbridge doctor` says which fails."
        }
        FailureClass::PushThrottled | FailureClass::InstanceUnavailable => "Wait a minute and try again.",
        FailureClass::PushInvalid => "Check the spelling of the login.",
        FailureClass::PushFailed => {
            "Try again; check that the bastion can reach ec2-instance-connect on the internet, which has no private link."
        }
        FailureClass::InstanceGone => "Check that the instance still exists.",
        FailureClass::InstanceNotRunning => return Some(format!("Start {} and try again.", case.id())),
        FailureClass::ConnectionRefused => {
            "Start the SSH server there; if it listens on another port, name that one by the instance's tag (`upstream.port_tag`)."
        }
        FailureClass::ConnectTimeout => {
            "Look at what AWS does not see: firewalls on the instance, appliances on the way, or a machine that hangs (its system log tells)."
        }
        FailureClass::Unreachable => {
            "Look at the firewall on the instance (firewalld, nftables) and at the routes and firewall rules on the bastion itself (ip route get)."
        }
        FailureClass::NoBanner => {
            "Look whether the SSH server there hangs or has too many connections (MaxStartups)."
        }
        FailureClass::NotSsh => {
            "Find out which port the SSH server uses there, and name that one by the instance's tag (`upstream.port_tag`)."
        }
        FailureClass::NoCommonAlgorithm => {
            "Update the SSH server there, or list the instance under `upstream.legacy_targets`."
        }
        FailureClass::HandshakeFailed => "Read the SSH server's log there (journalctl -u sshd, or -u ssh).",
        FailureClass::HostKeyUnknown => {
            "Pin it (drawbridge host-keys pin), or let something vouch for it: see `upstream.host_keys`."
        }
        FailureClass::HostKeyChanged => {
            "If the key was replaced on purpose, let the operator forget the old one (drawbridge host-keys forget)."
        }
        FailureClass::LoginRejected => {
            "On the instance, see that `sshd -T` names the agent as AuthorizedKeysCommand, that AllowUsers lets the login in, that \
             the login exists, and that its clock is right."
        }
        FailureClass::LoginTimeout => {
            "On the instance, see whether AuthorizedKeysCommand or PAM hangs, and whether the metadata service answers."
        }
        FailureClass::OwnFault => return None,
    };
    Some(words.to_owned())
}

/// What IAM has to grant, as narrowly as it can.
fn grant(case: &Case<'_>) -> String {
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
    format!(
        "Grant {PUSH} on {arn} to drawbridge's role; {osuser}, and one on aws:ResourceTag has to fit the instance's tags."
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

fn login(case: &Case<'_>) -> String {
    case.login.map_or_else(|| "this login".to_owned(), |login| format!("the login {login}"))
}

fn for_login(case: &Case<'_>) -> String {
    case.login.map(|login| format!(" for {login}")).unwrap_or_default()
}
