//! The file operations behind the protocol; all of them block.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use russh_sftp::protocol::{FileAttributes, OpenFlags};

/// The permission bits of a mode, with set-user-id, set-group-id and sticky.
const PERMISSIONS: u32 = 0o7777;

pub(super) fn open(path: &Path, flags: OpenFlags, attributes: &FileAttributes) -> io::Result<File> {
    let mut options = OpenOptions::from(flags);
    if let Some(mode) = attributes.permissions {
        options.mode(mode & PERMISSIONS);
    }
    options.open(path)
}

/// Reads up to `length` bytes at an offset; fewer only at the end of the file.
pub(super) fn read(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = data.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(filled);
    Ok(data)
}

pub(super) fn attributes(metadata: &Metadata) -> FileAttributes {
    let seconds = |time: i64| u32::try_from(time).unwrap_or_default();
    FileAttributes {
        size: Some(metadata.len()),
        uid: Some(metadata.uid()),
        user: None,
        gid: Some(metadata.gid()),
        group: None,
        permissions: Some(metadata.mode()),
        atime: Some(seconds(metadata.atime())),
        mtime: Some(seconds(metadata.mtime())),
    }
}

/// Sets what `wanted` names of an open file.
pub(super) fn set_attributes(file: &File, wanted: &FileAttributes) -> io::Result<()> {
    if let Some(size) = wanted.size {
        file.set_len(size)?;
    }
    if let Some(mode) = wanted.permissions {
        file.set_permissions(Permissions::from_mode(mode & PERMISSIONS))?;
    }
    if wanted.uid.is_some() || wanted.gid.is_some() {
        std::os::unix::fs::fchown(file, wanted.uid, wanted.gid)?;
    }
    match (wanted.atime, wanted.mtime) {
        (Some(accessed), Some(modified)) => {
            file.set_times(FileTimes::new().set_accessed(time(accessed)).set_modified(time(modified)))
        }
        (_, _) => Ok(()),
    }
}

/// Sets what `wanted` names of whatever is at a path.
pub(super) fn set_attributes_at(path: &Path, wanted: &FileAttributes) -> io::Result<()> {
    let mut rest = wanted.clone();
    if let Some(size) = rest.size.take() {
        OpenOptions::new().write(true).open(path)?.set_len(size)?;
    }
    if let Some(mode) = rest.permissions.take() {
        fs::set_permissions(path, Permissions::from_mode(mode & PERMISSIONS))?;
    }
    if rest.uid.is_some() || rest.gid.is_some() {
        std::os::unix::fs::chown(path, rest.uid.take(), rest.gid.take())?;
    }
    match (rest.atime, rest.mtime) {
        (Some(accessed), Some(modified)) => set_times_at(path, accessed, modified),
        (_, _) => Ok(()),
    }
}

/// By path, because a file that may not be opened may still have its times set by its owner.
fn set_times_at(path: &Path, accessed: u32, modified: u32) -> io::Result<()> {
    let spec = |seconds: u32| rustix::fs::Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: spec(accessed), last_modification: spec(modified) };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty())?)
}

/// Renames without replacing, as SFTP version 3 asks.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    fs::rename(from, to)
}

fn time(seconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(seconds))
}
