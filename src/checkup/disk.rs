//! Room on the disks: a session that cannot be put on record does not begin.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::{Check, Subject};
use super::errands::Errands;
use super::files::directories;
use crate::config::Config;

const MIB: u64 = 1 << 20;
/// With less room than this, the journal's next segments and a few recordings fill it.
const ROOM_MIN: u64 = 100 * MIB;
/// With less, somebody should have a look.
const ROOM_FEW: u64 = 1024 * MIB;

pub(super) fn send(errands: &mut Errands, config: &Arc<Config>) {
    let directories = directories(config);
    errands.send_blocking(Subject::Disk, "the disks", move || look(&directories));
}

/// One check for each file system.
fn look(directories: &[PathBuf]) -> Vec<Check> {
    let mut seen = Vec::new();
    let mut checks = Vec::new();
    for directory in directories {
        let Some((existing, device)) = nearest(directory) else { continue };
        if seen.contains(&device) {
            continue;
        }
        seen.push(device);
        checks.push(room(&existing).about(directory.display().to_string()));
    }
    checks
}

/// The directory, or the one above it in which it will be made, and its file system.
fn nearest(directory: &Path) -> Option<(PathBuf, u64)> {
    directory.ancestors().find_map(|path| Some((path.to_owned(), fs::metadata(path).ok()?.dev())))
}

fn room(path: &Path) -> Check {
    match rustix::fs::statvfs(path) {
        Err(error) => Check::unknown(Subject::Disk, format!("The free room could not be asked: {error}.")),
        Ok(found) => judge(Room {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            files_free: (found.f_files > 0).then_some(found.f_favail),
            read_only: found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        }),
    }
}

/// What a file system has left for those who are not root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) free: u64,
    /// Nothing where the file system does not count.
    pub(super) files_free: Option<u64>,
    pub(super) read_only: bool,
}

pub(super) fn judge(room: Room) -> Check {
    const CHANGE: &str =
        "Make room: prune old records (docs/operating.md), send recordings to a bucket, or enlarge the disk.";
    let mib = room.free / MIB;
    if room.read_only {
        let finding = "The file system is mounted read-only, so nothing can be put on record.";
        return Check::broken(
            Subject::Disk,
            finding,
            "Mount it for writing; look into the system's log for why it is not.",
        );
    }
    if room.files_free.is_some_and(|left| left < 100) {
        return Check::broken(Subject::Disk, "Almost no further files can be made here.", CHANGE);
    }
    if room.free < ROOM_MIN {
        return Check::broken(
            Subject::Disk,
            format!("Only {mib} MiB are free; without room no session begins."),
            CHANGE,
        );
    }
    if room.free < ROOM_FEW {
        return Check::unknown(Subject::Disk, format!("{mib} MiB are free.")).change(CHANGE);
    }
    Check::sound(Subject::Disk, format!("{} GiB are free.", mib / 1024))
}
