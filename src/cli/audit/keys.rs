//! Audit keys: the node's own and those that were given.

use std::fs;

use crate::audit::{AuditKey, AuditKeys};
use crate::cli::CliError;
use crate::config::Config;

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!("The audit key cannot be used: {error}."))
}

/// The key of this node; made at first use.
pub(super) fn own(config: &Config) -> Result<AuditKey, CliError> {
    AuditKey::load_or_create(&config.audit.key, &config.node.name_or_host()).map_err(failed)
}

/// The public half of this node's key, where there is one.
pub(super) fn known(config: &Config) -> Result<AuditKeys, CliError> {
    if !config.audit.key.try_exists().map_err(failed)? {
        return Ok(AuditKeys::default());
    }
    AuditKeys::parse(&own(config)?.public_line()).map_err(failed)
}

/// Keys of a file are some lines; anything far beyond is something else.
const KEY_FILE_BYTES_MAX: u64 = 1 << 20;

/// The keys that were given, each as a line or as the name of a file of lines.
pub(super) fn given(keys: &[String]) -> Result<AuditKeys, CliError> {
    let mut all = AuditKeys::default();
    for key in keys {
        let (text, whose) = if key.starts_with("ssh-") {
            (key.clone(), "--key".to_owned())
        } else {
            (
                read(key).map_err(|error| CliError::Failed(format!("{key} cannot be read: {error}.")))?,
                key.clone(),
            )
        };
        let some = AuditKeys::parse(&text).map_err(|error| CliError::Failed(format!("{whose}: {error}.")))?;
        if some.is_empty() {
            return Err(CliError::Failed(format!("{whose} has no key in it.")));
        }
        all.extend(some);
    }
    Ok(all)
}

fn read(path: &str) -> std::io::Result<String> {
    if fs::metadata(path)?.len() > KEY_FILE_BYTES_MAX {
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            "it is too large to be a file of keys",
        ));
    }
    fs::read_to_string(path)
}
