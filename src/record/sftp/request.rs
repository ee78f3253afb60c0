//! Puts a request's head into one of the few kinds that matter here.

use super::super::operation::{FileOperation, PathName, said};
use super::fields::{Attributes, Fields};
use super::files::OpenedFile;
use super::numbers::{
    BLOCK, CLOSE, EXTENDED, FSETSTAT, FSTAT, HANDLE_MAX, LINK, LSTAT, MKDIR, OPEN, OPENDIR, READ, READDIR,
    READLINK, REALPATH, REMOVE, RENAME, RMDIR, SETSTAT, STAT, SYMLINK, UNBLOCK, WRITE,
};
use crate::audit::{FileAct, FileProtocol};

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Request<'a> {
    Open(OpenedFile),
    Close(&'a [u8]),
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Names {
        handle: &'a [u8],
    },
    /// Something that is told when it is answered.
    Operation(FileOperation),
    /// The same, of what is open under that handle.
    OnHandle(&'a [u8], FileOperation),
    CopyData {
        from: &'a [u8],
        to: &'a [u8],
        length: u64,
    },
    /// To go on with another version of the protocol.
    Version(u32),
    /// Nothing that is told.
    Quiet,
}

/// Reads what comes after the id; nothing where it is malformed. `left` is how much of the packet follows.
pub(super) fn read<'a>(version: u32, kind: u8, fields: &mut Fields<'a>, left: u32) -> Option<Request<'a>> {
    Some(match kind {
        OPEN => Request::Open(open(version, fields)?),
        CLOSE => Request::Close(handle(fields)?),
        READ => Request::Read { handle: handle(fields)?, offset: fields.u64()?, length: fields.u32()? },
        WRITE => {
            let (handle, offset, length) = (handle(fields)?, fields.u64()?, fields.u32()?);
            (length <= left).then_some(Request::Write { handle, offset, length })?
        }
        SETSTAT => Request::Operation(FileOperation {
            path: Some(fields.path()?),
            ..set(&Attributes::read(version, fields).unwrap_or_default())
        }),
        FSETSTAT => {
            let handle = handle(fields)?;
            Request::OnHandle(handle, set(&Attributes::read(version, fields).unwrap_or_default()))
        }
        OPENDIR => {
            let path = Some(fields.path()?);
            Request::Open(OpenedFile { path, directory: true, ..OpenedFile::default() })
        }
        READDIR => Request::Names { handle: handle(fields)? },
        REMOVE => named(FileAct::Remove, fields)?,
        RMDIR => named(FileAct::Rmdir, fields)?,
        MKDIR => {
            let path = fields.path()?;
            let mode = Attributes::read(version, fields).and_then(|attributes| attributes.mode);
            Request::Operation(FileOperation { path: Some(path), mode, ..new(FileAct::Mkdir) })
        }
        RENAME => two_names(FileAct::Rename, fields)?,
        SYMLINK => two_names(FileAct::Symlink, fields)?,
        LINK if version >= 6 => link(fields)?,
        EXTENDED => extended(version, fields)?,
        STAT | LSTAT | FSTAT | REALPATH | READLINK => Request::Quiet,
        BLOCK | UNBLOCK if version >= 6 => Request::Quiet,
        _ => Request::Operation(
            new(FileAct::Untracked).with_detail(&format!("a request of the unknown type {kind}")),
        ),
    })
}

fn new(action: FileAct) -> FileOperation {
    FileOperation::new(FileProtocol::Sftp, action)
}

fn handle<'a>(fields: &mut Fields<'a>) -> Option<&'a [u8]> {
    fields.string().filter(|handle| handle.len() <= HANDLE_MAX)
}

fn named<'a>(action: FileAct, fields: &mut Fields<'_>) -> Option<Request<'a>> {
    Some(Request::Operation(FileOperation { path: Some(fields.path()?), ..new(action) }))
}

/// The name that is there, and the one that comes into being. OpenSSH takes the names of SYMLINK in this
/// order, contrary to the draft's, and everybody followed.
fn two_names<'a>(action: FileAct, fields: &mut Fields<'_>) -> Option<Request<'a>> {
    let path = fields.path()?;
    let new_path = fields.path_after(&path)?;
    Some(Request::Operation(FileOperation { path: Some(path), new_path, ..new(action) }))
}

/// -13 §8.7: the new name comes first.
fn link<'a>(fields: &mut Fields<'_>) -> Option<Request<'a>> {
    let new_path = fields.path()?;
    let path = fields.path_after(&new_path)?;
    let action = match fields.byte() {
        Some(0) => FileAct::Hardlink,
        Some(_) => FileAct::Symlink,
        None if path.as_ref().is_none_or(PathName::is_cut) => FileAct::Untracked,
        None => return None,
    };
    Some(Request::Operation(FileOperation { path, new_path: Some(new_path), ..new(action) }))
}

/// -02 §6.3.
const READS: u32 = 0x1;
const WRITES: u32 = 0x2;
const APPENDS: u32 = 0x4;
const CREATES: u32 = 0x8;
const TRUNCATES: u32 = 0x10;
const EXCLUSIVE: u32 = 0x20;
/// -13 §8.1.1.
const READ_DATA: u32 = 0x1;
const WRITE_DATA: u32 = 0x2;
const APPEND_DATA: u32 = 0x4;
const DISPOSITION: u32 = 0x7;
const APPEND: u32 = 0x8 | 0x10;

fn open(version: u32, fields: &mut Fields<'_>) -> Option<OpenedFile> {
    let path = fields.path()?;
    if path.is_cut() {
        return Some(OpenedFile { path: Some(path), ..OpenedFile::default() });
    }
    let flags = fields.u32()?;
    let has = |flag| flags & flag != 0;
    let (words, makes, appends) = if version >= 5 {
        let how = fields.u32()?;
        let appends = how & APPEND != 0 || (has(APPEND_DATA) && !has(WRITE_DATA));
        let (disposition, makes) = match how & DISPOSITION {
            0 => ("must be new", true),
            1 => ("made or emptied", true),
            3 => ("made if missing", true),
            4 => ("emptied", false),
            _ => ("", false),
        };
        let to = [(has(READ_DATA), "to read"), (has(WRITE_DATA | APPEND_DATA), "to write")];
        (words(&to, &[(appends, "to append"), (!disposition.is_empty(), disposition)]), makes, appends)
    } else {
        let to = [(has(READS), "to read"), (has(WRITES), "to write")];
        let how = [
            (has(APPENDS), "to append"),
            (has(CREATES) && has(EXCLUSIVE), "must be new"),
            (has(CREATES) && !has(EXCLUSIVE), "made if missing"),
            (has(TRUNCATES), "emptied"),
        ];
        (words(&to, &how), has(CREATES), has(APPENDS))
    };
    let mode = Attributes::read(version, fields).and_then(|attributes| attributes.mode).filter(|_| makes);
    Some(OpenedFile { path: Some(path), directory: false, how: words, appends, mode })
}

fn words(to: &[(bool, &str)], how: &[(bool, &str)]) -> String {
    let chosen = to.iter().chain(how).filter(|(there, _)| *there).map(|(_, word)| *word);
    chosen.collect::<Vec<_>>().join(", ")
}

/// What is set. Length and permissions have fields of their own.
fn set(attributes: &Attributes) -> FileOperation {
    let mut operation =
        FileOperation { bytes: attributes.size, mode: attributes.mode, ..new(FileAct::Setstat) };
    operation.add_detail(attributes.owner.as_deref().unwrap_or_default());
    operation.add_detail(if attributes.times { "times" } else { "" });
    operation.add_detail(if attributes.other { "other attributes" } else { "" });
    operation
}

/// OpenSSH's `PROTOCOL` §4, and draft-ietf-secsh-filexfer-extensions-00.
fn extended<'a>(version: u32, fields: &mut Fields<'a>) -> Option<Request<'a>> {
    let name = fields.string()?;
    Some(match name {
        b"posix-rename@openssh.com" => two_names(FileAct::Rename, fields)?,
        b"hardlink@openssh.com" => two_names(FileAct::Hardlink, fields)?,
        b"lsetstat@openssh.com" => {
            let path = Some(fields.path()?);
            Request::Operation(FileOperation {
                path,
                ..set(&Attributes::read(version, fields).unwrap_or_default())
            })
        }
        b"copy-data" => {
            let (from, _offset, length) = (handle(fields)?, fields.u64()?, fields.u64()?);
            Request::CopyData { from, to: handle(fields)?, length }
        }
        b"copy-file" => two_names(FileAct::Copy, fields)?,
        b"version-select" => {
            let text = std::str::from_utf8(fields.string()?).ok()?;
            // A version that is no number is none that is understood.
            Request::Version(text.parse().unwrap_or(u32::MAX))
        }
        b"fsync@openssh.com"
        | b"statvfs@openssh.com"
        | b"fstatvfs@openssh.com"
        | b"limits@openssh.com"
        | b"expand-path@openssh.com"
        | b"users-groups-by-id@openssh.com"
        | b"home-directory"
        | b"space-available"
        | b"check-file-handle"
        | b"check-file-name"
        | b"md5-hash"
        | b"md5-hash-handle"
        | b"text-seek"
        | b"vendor-id" => Request::Quiet,
        _ => Request::Operation(
            new(FileAct::Untracked).with_detail(&format!("the unknown extension {}", said(name))),
        ),
    })
}
