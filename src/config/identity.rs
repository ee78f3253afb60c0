//! `[identity]` and `[policy]`: who may come in and what they may do. The contents of these
//! files are read by their own rooms; here it is only which files they are.

use std::path::PathBuf;

use super::disk::Expect;
use super::reader::Section;

/// `[identity]`: the files that say who is who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// Users, groups and keys (TOML).
    pub users: PathBuf,
    /// Public keys of the CAs whose user certificates are accepted, one a line.
    pub trusted_user_ca_keys: Vec<PathBuf>,
    /// OpenSSH KRLs or plain lists of keys that are refused.
    pub revoked_keys: Vec<PathBuf>,
}

impl IdentityFiles {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            users: section.path("users", "users.toml", Expect::ReadableFile),
            trusted_user_ca_keys: section.paths("trusted_user_ca_keys", 0, &[], Expect::ReadableFile),
            revoked_keys: section.paths("revoked_keys", 0, &[], Expect::ReadableFile),
        }
    }
}

/// `[policy]`: the Cedar files that together are the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFiles {
    /// The files; at least one.
    pub files: Vec<PathBuf>,
}

impl PolicyFiles {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { files: section.paths("files", 1, &["policy.cedar"], Expect::ReadableFile) }
    }
}
