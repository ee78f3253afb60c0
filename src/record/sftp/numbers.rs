//! The protocol's numbers (draft-ietf-secsh-filexfer-02 §3 to §7, and -13 for what came later).

pub(super) const INIT: u8 = 1;
pub(super) const VERSION: u8 = 2;
pub(super) const OPEN: u8 = 3;
pub(super) const CLOSE: u8 = 4;
pub(super) const READ: u8 = 5;
pub(super) const WRITE: u8 = 6;
pub(super) const LSTAT: u8 = 7;
pub(super) const FSTAT: u8 = 8;
pub(super) const SETSTAT: u8 = 9;
pub(super) const FSETSTAT: u8 = 10;
pub(super) const OPENDIR: u8 = 11;
pub(super) const READDIR: u8 = 12;
pub(super) const REMOVE: u8 = 13;
pub(super) const MKDIR: u8 = 14;
pub(super) const RMDIR: u8 = 15;
pub(super) const REALPATH: u8 = 16;
pub(super) const STAT: u8 = 17;
pub(super) const RENAME: u8 = 18;
pub(super) const READLINK: u8 = 19;
pub(super) const SYMLINK: u8 = 20;
/// From version 6 on.
pub(super) const LINK: u8 = 21;
/// From version 6 on.
pub(super) const BLOCK: u8 = 22;
/// From version 6 on.
pub(super) const UNBLOCK: u8 = 23;
pub(super) const STATUS: u8 = 101;
pub(super) const HANDLE: u8 = 102;
pub(super) const DATA: u8 = 103;
pub(super) const NAME: u8 = 104;
pub(super) const ATTRS: u8 = 105;
pub(super) const EXTENDED: u8 = 200;
pub(super) const EXTENDED_REPLY: u8 = 201;

/// A status: done.
pub(super) const OK: u32 = 0;
/// A status: there is no more to read.
pub(super) const EOF: u32 = 1;

/// The last version whose requests are understood.
pub(super) const VERSION_MAX: u32 = 6;

/// The longest handle (§6.2).
pub(super) const HANDLE_MAX: usize = 256;

/// What a status means, in the word of events (-02 §7, -13 §9.1).
pub(super) fn status_label(code: u32) -> &'static str {
    match code {
        1 => "end-of-file",
        2 => "no-such-file",
        3 => "permission-denied",
        5 => "bad-message",
        6 => "no-connection",
        7 => "connection-lost",
        8 => "not-supported",
        9 => "invalid-handle",
        10 => "no-such-path",
        11 => "file-already-exists",
        12 => "write-protected",
        13 => "no-media",
        14 => "no-space",
        15 => "quota-exceeded",
        16 => "unknown-principal",
        17 => "locked",
        18 => "directory-not-empty",
        19 => "not-a-directory",
        20 => "invalid-name",
        21 => "link-loop",
        22 => "cannot-delete",
        23 => "invalid-parameter",
        24 => "is-a-directory",
        _ => "failure",
    }
}
