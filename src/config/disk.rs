//! What the config says about the disk, and whether it holds. Nothing is created or changed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::origin::{Complaint, Origin, Placed};

/// Something on disk that a key promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) origin: Origin,
    /// `section.key`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) expect: Expect,
}

/// What is expected at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// A file that exists and can be read.
    ReadableFile,
    /// A private key that only its owner may read; made at first start when it is missing.
    PrivateKey,
    /// A file that can be appended to; made when it is missing.
    AppendableFile,
    /// A directory that can be written; made when it is missing.
    WritableDirectory,
}

/// What does not hold, of all that is claimed. Nothing is said about what lies below a directory
/// that is at fault itself, or below a `doubtful` path.
pub(super) fn check(claims: &[Claim], mut doubtful: Vec<PathBuf>) -> Vec<Placed> {
    let mut complaints = Vec::new();
    let (directories, files): (Vec<_>, Vec<_>) =
        claims.iter().partition(|claim| claim.expect == Expect::WritableDirectory);
    for claim in directories.into_iter().chain(files) {
        if doubtful.iter().any(|above| claim.path.starts_with(above)) {
            continue;
        }
        if let Some(complaint) = claim.check() {
            doubtful.push(claim.path.clone());
            complaints.push(complaint);
        }
    }
    complaints
}

impl Claim {
    /// What does not hold, where anything does not.
    fn check(&self) -> Option<Placed> {
        let complaint = match self.expect {
            Expect::ReadableFile => readable_file(&self.path),
            Expect::PrivateKey => private_key(&self.path),
            Expect::AppendableFile => appendable_file(&self.path),
            Expect::WritableDirectory => writable_directory(&self.path),
        }
        .err()?;
        let message = format!("`{}`: {}", self.name, complaint.message);
        Some(Placed::new(self.origin.clone(), Complaint { message, hint: complaint.hint }))
    }
}

fn readable_file(path: &Path) -> Result<(), Complaint> {
    let metadata = fs::metadata(path).map_err(|error| {
        cannot("read", path, &error)
            .hint("create the file, or correct the path (relative paths start at the config file's folder)")
    })?;
    if !metadata.is_file() {
        return Err(Complaint::new(format!("{} is not a file", path.display())).hint("name a regular file"));
    }
    File::open(path)
        .map(drop)
        .map_err(|error| cannot("read", path, &error).hint("let the user that runs drawbridge read it"))
}

fn private_key(path: &Path) -> Result<(), Complaint> {
    let Ok(metadata) = fs::metadata(path) else { return can_be_made(path) };
    readable_file(path)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Complaint::new(format!("{} is a private key that others may read (mode {mode:04o})", path.display()))
        .hint(format!("run: chmod 600 {}", path.display())))
}

fn appendable_file(path: &Path) -> Result<(), Complaint> {
    let Ok(metadata) = fs::metadata(path) else { return can_be_made(path) };
    if metadata.is_dir() {
        return Err(Complaint::new(format!("{} is a directory", path.display())).hint("name a file in it"));
    }
    // access(2) and no open(2): opening a FIFO for writing would wait for its reader.
    access(path, Access::WRITE_OK).map_err(|error| {
        cannot("write to", path, &error.into()).hint("let the user that runs drawbridge write to it")
    })
}

fn writable_directory(path: &Path) -> Result<(), Complaint> {
    let Ok(metadata) = fs::metadata(path) else { return can_be_made(path) };
    if !metadata.is_dir() {
        return Err(Complaint::new(format!("{} is not a directory", path.display())).hint("name a directory"));
    }
    access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        cannot("write to", path, &error.into()).hint("let the user that runs drawbridge write to it")
    })
}

/// Something is missing, and can be made: the nearest directory above it that exists is writable.
fn can_be_made(path: &Path) -> Result<(), Complaint> {
    for above in path.ancestors().skip(1) {
        match fs::metadata(above) {
            Ok(_) => {
                return writable_directory(above).map_err(|why| Complaint {
                    message: format!("{} cannot be created: {}", path.display(), why.message),
                    hint: why.hint,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("reach", path, &error).hint("correct the path")),
        }
    }
    Err(Complaint::new(format!("{} cannot be created", path.display())).hint("correct the path"))
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Complaint {
    Complaint::new(format!("cannot {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &Path, expect: Expect) -> Option<String> {
        let claim = Claim { origin: Origin::Line(1), name: "a.b".to_owned(), path: path.to_owned(), expect };
        claim.check().map(|placed| placed.complaint.message)
    }

    #[test]
    fn missing_files_are_named_with_the_reason_of_the_system() {
        let folder = tempfile::tempdir().expect("a directory");
        let missing = folder.path().join("users.toml");
        let message = check(&missing, Expect::ReadableFile).expect("a complaint");
        assert_eq!(
            message,
            format!("`a.b`: cannot read {}: No such file or directory (os error 2)", missing.display())
        );
        assert_eq!(
            check(folder.path(), Expect::ReadableFile),
            Some(format!("`a.b`: {} is not a file", folder.path().display()))
        );
    }

    #[test]
    fn what_can_be_made_is_fine_and_is_not_made() {
        let folder = tempfile::tempdir().expect("a directory");
        let deep = folder.path().join("a/b/c");
        for expect in [Expect::PrivateKey, Expect::AppendableFile, Expect::WritableDirectory] {
            assert_eq!(check(&deep, expect), None, "{expect:?}");
        }
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_is_a_problem() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        assert!(
            check(&file, Expect::WritableDirectory).is_some_and(|text| text.ends_with("is not a directory"))
        );
        assert!(check(&file.join("below"), Expect::WritableDirectory).is_some());
        assert!(
            check(folder.path(), Expect::AppendableFile).is_some_and(|text| text.ends_with("is a directory"))
        );
    }

    #[test]
    fn a_private_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a directory");
        let key = folder.path().join("host_ed25519");
        fs::write(&key, "").expect("a file");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("permissions");
        assert!(check(&key, Expect::PrivateKey).is_some_and(|text| text.contains("(mode 0640)")));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("permissions");
        assert_eq!(check(&key, Expect::PrivateKey), None);
    }
}
