//! EC2 Instance Connect (JSON 1.1): `SendSSHPublicKey`, with the errors that its model names.

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::Caller;
use super::world::World;
use crate::domain::InstanceId;

/// `X-Amz-Target` is this and an operation's name.
pub(super) const TARGET_PREFIX: &str = "AWSEC2InstanceConnectService.";

/// The shortest and the longest public key that the service takes, in characters.
const KEY_LENGTH: std::ops::RangeInclusive<usize> = 80..=4096;

/// An error as the service answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConnectError {
    pub(super) status: u16,
    pub(super) kind: String,
    pub(super) message: String,
}

impl ConnectError {
    pub(super) fn new(kind: &str, message: impl Into<String>) -> Self {
        // `ServiceException` is the one that the model marks as a fault of the service.
        let status = if kind == "ServiceException" { 500 } else { 400 };
        Self { status, kind: kind.to_owned(), message: message.into() }
    }

    pub(super) fn document(&self) -> String {
        json!({"__type": self.kind, "message": self.message}).to_string()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendSshPublicKey {
    instance_id: String,
    #[serde(rename = "InstanceOSUser")]
    instance_os_user: String,
    #[serde(rename = "SSHPublicKey")]
    ssh_public_key: String,
    availability_zone: Option<String>,
}

/// Answers one request with a JSON document; a good one leaves its key in the world.
pub(super) fn answer(
    operation: &str,
    body: &[u8],
    world: &World,
    caller: &Caller,
    request_id: &str,
) -> Result<String, ConnectError> {
    if operation != "SendSSHPublicKey" {
        return Err(ConnectError::new("UnknownOperationException", format!("{operation} is not known here")));
    }
    let request: SendSshPublicKey =
        serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
    let id = check_instance(&request, world, caller)?;
    let blob = check_key(&request.ssh_public_key)?;
    world.push_key(&id, &request.instance_os_user, blob);
    let answer: Value = json!({"RequestId": request_id, "Success": true});
    Ok(answer.to_string())
}

/// The instance that a request is about; empty where it cannot be read.
pub(super) fn instance_named(body: &[u8]) -> String {
    serde_json::from_slice::<SendSshPublicKey>(body).map(|request| request.instance_id).unwrap_or_default()
}

fn check_instance(
    request: &SendSshPublicKey,
    world: &World,
    caller: &Caller,
) -> Result<InstanceId, ConnectError> {
    let id = InstanceId::parse(&request.instance_id)
        .ok_or_else(|| invalid("InstanceId must be i- and hexadecimal digits, 10 to 32 characters"))?;
    if !is_os_user(&request.instance_os_user) {
        return Err(invalid("InstanceOSUser is not a valid user name of at most 32 characters"));
    }
    let missing = || ConnectError::new("EC2InstanceNotFoundException", "The instance was not found.");
    let instance = world.instance(&id).filter(|instance| caller.owns(instance)).ok_or_else(missing)?;
    if request.availability_zone.as_ref().is_some_and(|zone| *zone != instance.availability_zone) {
        return Err(missing());
    }
    match instance.state.as_str() {
        "running" => Ok(id),
        "pending" => Err(ConnectError::new(
            "EC2InstanceUnavailableException",
            "The instance is currently unavailable. Wait a few minutes and try again.",
        )),
        state => Err(ConnectError::new(
            "EC2InstanceStateInvalidException",
            format!("Unable to connect because the instance is not in a valid state: it is {state}."),
        )),
    }
}

/// The key's wire form. Only RSA and Ed25519 keys can be pushed.
fn check_key(line: &str) -> Result<Vec<u8>, ConnectError> {
    if !KEY_LENGTH.contains(&line.len()) {
        return Err(invalid("SSHPublicKey must have 80 to 4096 characters"));
    }
    let key = ssh_key::PublicKey::from_openssh(line.trim())
        .map_err(|_| invalid("SSHPublicKey is not an OpenSSH public key"))?;
    if !matches!(key.algorithm(), ssh_key::Algorithm::Ed25519 | ssh_key::Algorithm::Rsa { .. }) {
        return Err(invalid("SSHPublicKey must be an RSA or an Ed25519 key"));
    }
    key.to_bytes().map_err(|_| invalid("SSHPublicKey is not an OpenSSH public key"))
}

/// The model's pattern for `InstanceOSUser`: like a login that starts with a letter or `_`, or
/// one that starts with digits but is not all digits; either may end in `$`.
fn is_os_user(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '-');
    let last = |c: char| c.is_ascii_alphanumeric() || matches!(c, '$' | '_' | '-');
    let Some(first) = name.chars().next() else { return false };
    // `$` stands only at the end.
    let body = name.strip_suffix('$').unwrap_or(name);
    let fits = name.len() <= 32 && body.chars().all(inner) && !body.is_empty();
    let starts_with_letter = first.is_ascii_alphabetic() || first == '_';
    let ends_well = name.len() < 32 || name.chars().next_back().is_some_and(last);
    let digits_and_more =
        first.is_ascii_digit() && name.len() >= 2 && body.chars().any(|c| !c.is_ascii_digit());
    fits && ((starts_with_letter && ends_well) || digits_and_more)
}

fn invalid(message: impl Into<String>) -> ConnectError {
    ConnectError::new("InvalidArgsException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_users_follow_the_models_pattern() {
        for good in ["ec2-user", "ubuntu", "_x", "a", "1a", "svc$", "me@corp.example", "7.x"] {
            assert!(is_os_user(good), "{good}");
        }
        for bad in ["", "123", "-x", "a b", "a$b", "$", "ünal", &"a".repeat(33), "1"] {
            assert!(!is_os_user(bad), "{bad}");
        }
    }

    #[test]
    fn keys_of_other_types_or_lengths_are_refused() {
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";
        assert!(check_key(ecdsa).is_err_and(|error| error.message.contains("RSA or an Ed25519")));
        assert!(check_key("ssh-ed25519 AAAA").is_err_and(|error| error.message.contains("80 to 4096")));
        assert!(check_key(&"x".repeat(100)).is_err());
        let bare = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        assert_eq!(bare.len(), 80);
        assert_eq!(check_key(bare).map(|blob| blob.len()), Ok(51));
    }
}
