//! What IAM does not allow here: permissions that are taken away while the look-alike runs.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::connect::ConnectError;
use super::http::Caller;
use super::select::{QueryError, glob};

/// The most that is read of the file, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// The IAM actions that are denied to everyone, by name (`ec2:DescribeNetworkAcls`) or pattern
/// (`ec2:Describe*`); capitals do not matter, as in IAM. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Denials(Arc<Denied>);

#[derive(Debug, Default)]
struct Denied {
    named: Mutex<BTreeSet<String>>,
    file: Option<PathBuf>,
}

impl Denials {
    /// Denies what this file names, one action or pattern a line; `#` begins a comment. It is read again
    /// for every request, and need not exist.
    #[must_use]
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Denied { named: Mutex::default(), file: Some(path.into()) }))
    }

    /// Denies these actions, and none that an earlier call named.
    pub fn set<T: Into<String>>(&self, actions: impl IntoIterator<Item = T>) {
        let mut named = self.0.named.lock().unwrap_or_else(PoisonError::into_inner);
        *named = actions.into_iter().map(Into::into).collect();
    }

    /// Whether an action, such as `ec2:DescribeInstances`, is denied.
    pub(super) async fn deny(&self, action: &str) -> bool {
        let named = self.0.named.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if named.iter().any(|pattern| fits(pattern, action)) {
            return true;
        }
        let Some(file) = self.0.file.clone() else { return false };
        let read = tokio::task::spawn_blocking(move || read(&file).map_err(|error| (file, error)));
        match read.await {
            Ok(Ok(text)) => actions(&text).any(|pattern| fits(pattern, action)),
            Ok(Err((file, error))) => {
                tracing::warn!(file = %file.display(), %error, "what the look-alike denies could not be read");
                false
            }
            Err(_) => false,
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    match std::fs::File::open(file) {
        Ok(file) => {
            let mut text = String::new();
            file.take(FILE_MAX).read_to_string(&mut text)?;
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn actions(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(action, _)| action).trim());
    lines.filter(|action| !action.is_empty())
}

fn fits(pattern: &str, action: &str) -> bool {
    glob(pattern.to_ascii_lowercase().as_bytes(), action.to_ascii_lowercase().as_bytes())
}

/// What EC2 says when IAM refuses.
pub(super) fn by_ec2(caller: &Caller, action: &str) -> QueryError {
    let refused = refusal(caller, action, None);
    // The real message is encrypted for whoever may call sts:DecodeAuthorizationMessage.
    let encoded = data_encoding::BASE64URL_NOPAD.encode(refused.as_bytes());
    let message = format!(
        "You are not authorized to perform this operation. {refused}. \
         Encoded authorization failure message: {encoded}"
    );
    QueryError::new("UnauthorizedOperation", message).with_status(403)
}

/// What STS says when IAM refuses.
pub(super) fn by_sts(caller: &Caller, action: &str, role: &str) -> QueryError {
    QueryError::new("AccessDenied", refusal(caller, action, Some(role))).with_status(403)
}

/// What Instance Connect says when IAM refuses.
pub(super) fn by_connect(caller: &Caller, action: &str, instance: &str) -> ConnectError {
    let region = caller.region.as_deref().unwrap_or_default();
    let resource = format!("arn:aws:ec2:{region}:{}:instance/{instance}", caller.account);
    ConnectError::new("AccessDeniedException", refusal(caller, action, Some(&resource)))
}

fn refusal(caller: &Caller, action: &str, resource: Option<&str>) -> String {
    let resource = resource.map(|resource| format!(" on resource: {resource}")).unwrap_or_default();
    format!(
        "User: {} is not authorized to perform: {action}{resource} \
         because no identity-based policy allows the {action} action",
        caller.arn()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn actions_and_patterns_are_denied_until_others_are_set() {
        let denials = Denials::default();
        assert!(!denials.deny("ec2:DescribeInstances").await);
        denials.set(["ec2:describeNetworkAcls", "sts:*"]);
        assert!(denials.deny("ec2:DescribeNetworkAcls").await);
        assert!(denials.deny("sts:AssumeRole").await);
        assert!(!denials.deny("ec2:DescribeInstances").await);
        denials.set::<&str>([]);
        assert!(!denials.deny("sts:AssumeRole").await);
    }

    #[tokio::test]
    async fn the_file_counts_as_it_is_at_the_moment() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("denied-actions");
        let denials = Denials::from_file(&file);
        assert!(!denials.deny("ec2:DescribeVpcs").await);
        std::fs::write(&file, "# for a while\n\n  ec2:DescribeVpcs # this one\n").expect("written");
        assert!(denials.deny("ec2:DescribeVpcs").await);
        assert!(!denials.deny("ec2:DescribeSubnets").await);
        std::fs::remove_file(&file).expect("removed");
        assert!(!denials.deny("ec2:DescribeVpcs").await);
    }
}
