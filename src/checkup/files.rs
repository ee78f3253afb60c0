//! Keys and directories: whose they are, who else may read or change them, and whether the keys are keys.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::geteuid;

use super::check::{Check, Subject};
use super::errands::Errands;
use crate::config::Config;
use crate::ssh::HostKey;

/// Bits for the group and for everybody.
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

pub(super) fn send(errands: &mut Errands, config: &Arc<Config>) {
    let keys = [&config.server.host_key, &config.server.host_ca_key, &config.audit.key];
    for path in keys {
        let (path, data) = (path.clone(), config.data.dir.clone());
        errands.send_blocking(Subject::Files, path.display().to_string(), move || vec![key(&path, &data)]);
    }
    for path in directories(config) {
        let data = config.data.dir.clone();
        errands
            .send_blocking(Subject::Files, path.display().to_string(), move || vec![directory(&path, &data)]);
    }
}

/// What drawbridge writes to, each once.
pub(super) fn directories(config: &Config) -> Vec<PathBuf> {
    let mut directories = vec![config.data.dir.clone()];
    for more in [&config.recording.dir, &config.audit.journal] {
        if !directories.contains(more) {
            directories.push(more.clone());
        }
    }
    directories
}

fn key(path: &Path, data: &Path) -> Check {
    let check = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Check::sound(Subject::Files, "This key is made when it is needed first.")
        }
        Err(error) => cannot_look(&error),
        Ok(metadata) => owner(path, &metadata, data).or_else(|| private(path, &metadata)).unwrap_or_else(|| {
            match HostKey::load_or_create(path, "") {
                Ok(key) => {
                    Check::sound(Subject::Files, format!("It is a key, {}, and only its owner reads it.", key.fingerprint()))
                }
                Err(error) => Check::broken(
                    Subject::Files,
                    sentence(&error),
                    "Put the key back from a backup. A new one makes clients warn (host keys) or auditors ask (audit key).",
                ),
            }
        }),
    };
    check.about(path.display().to_string())
}

fn private(path: &Path, metadata: &Metadata) -> Option<Check> {
    let mode = metadata.permissions().mode() & 0o7777;
    (mode & OTHERS != 0).then(|| {
        Check::broken(
            Subject::Files,
            format!("It is a private key that others may read (mode {mode:04o})."),
            format!("Run: chmod 600 {}", path.display()),
        )
    })
}

fn directory(path: &Path, data: &Path) -> Check {
    let check = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Check::sound(Subject::Files, "This directory is made when it is needed first.")
        }
        Err(error) => cannot_look(&error),
        Ok(metadata) => owner(path, &metadata, data).unwrap_or_else(|| closed(path, &metadata)),
    };
    check.about(path.display().to_string())
}

fn closed(path: &Path, metadata: &Metadata) -> Check {
    let mode = metadata.permissions().mode() & 0o7777;
    let change = format!("Run: chmod 700 {}", path.display());
    if mode & OTHERS_WRITE != 0 {
        let finding =
            format!("Others may write here (mode {mode:04o}), and so replace keys and remove records.");
        return Check::broken(Subject::Files, finding, change);
    }
    if mode & OTHERS != 0 {
        return Check::unknown(Subject::Files, format!("Others may look in here (mode {mode:04o})."))
            .change(change);
    }
    Check::sound(Subject::Files, "Only its owner may look in here.")
}

/// Whether it belongs to who runs drawbridge: to whoever asks, and for root, who may read everything, to the owner of
/// `data.dir`.
fn owner(path: &Path, metadata: &Metadata, data: &Path) -> Option<Check> {
    let me = geteuid();
    let expected = if me.is_root() { fs::metadata(data).ok()?.uid() } else { me.as_raw() };
    let owner = metadata.uid();
    (owner != expected).then(|| {
        Check::broken(
            Subject::Files,
            format!("It belongs to the user {owner}, and drawbridge runs as the user {expected}."),
            format!(
                "Run: chown {expected} {}; or run this as the user that runs drawbridge.",
                path.display()
            ),
        )
    })
}

fn cannot_look(error: &io::Error) -> Check {
    Check::unknown(Subject::Files, format!("It could not be looked at: {error}."))
        .change("Run this as the user that runs drawbridge, or as root.")
}

fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}
