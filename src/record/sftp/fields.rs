//! Reads the fields of a packet's head.

use super::super::operation::PathName;

/// A cursor over a head. What a field needs and the packet does not have makes it malformed; what lies
/// beyond the head, in the part of the packet that is not gathered, is merely cut.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    beyond: usize,
}

impl<'a> Fields<'a> {
    /// Of a head without its type; `left` is how much of the packet follows it.
    pub(super) fn new(head: &'a [u8], left: u32) -> Self {
        Self { rest: head, beyond: usize::try_from(left).unwrap_or(usize::MAX) }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*bytes))
    }

    /// A string that is wholly in the head.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (string, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(string)
    }

    /// A text, or its beginning.
    pub(super) fn text_or_part(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let part = self.rest.get(..length).unwrap_or(self.rest);
        self.rest = self.rest.get(part.len()..).unwrap_or_default();
        Some(part)
    }

    /// A name; of one that goes on beyond the head, its beginning.
    pub(super) fn path(&mut self) -> Option<PathName> {
        let length = usize::try_from(self.u32()?).ok()?;
        if let Some((name, rest)) = self.rest.split_at_checked(length) {
            self.rest = rest;
            return Some(PathName::new(name));
        }
        if length - self.rest.len() > self.beyond {
            return None;
        }
        Some(PathName::cut_off(std::mem::take(&mut self.rest)))
    }

    /// A name after another one, which may have been cut: then nothing is known of this one.
    pub(super) fn path_after(&mut self, other: &PathName) -> Option<Option<PathName>> {
        if other.is_cut() && self.rest.is_empty() { Some(None) } else { self.path().map(Some) }
    }
}

/// What is said of a file's attributes (-02 §5, -04 §5, -13 §7), as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    /// Permission bits, without the type of the file.
    pub(super) mode: Option<u32>,
    /// In words.
    pub(super) owner: Option<String>,
    pub(super) times: bool,
    /// Something else, such as an ACL.
    pub(super) other: bool,
}

const SIZE: u32 = 0x1;
const UID_GID: u32 = 0x2;
const PERMISSIONS: u32 = 0x4;
const TIMES_V3: u32 = 0x8;
const OWNER_GROUP: u32 = 0x80;
const TIMES_V4: u32 = 0x8 | 0x10 | 0x20;
const ALLOCATION: u32 = 0x400;
/// The fractions of times say nothing by themselves.
const SUBSECOND: u32 = 0x100;
const KNOWN_V4: u32 = SIZE | ALLOCATION | PERMISSIONS | OWNER_GROUP | TIMES_V4 | SUBSECOND;
const KNOWN_V3: u32 = SIZE | UID_GID | PERMISSIONS | TIMES_V3;
const PERMISSION_BITS: u32 = 0o7777;

impl Attributes {
    /// As the negotiated version writes them.
    pub(super) fn read(version: u32, fields: &mut Fields<'_>) -> Option<Self> {
        if version <= 3 { Self::read_v3(fields) } else { Self::read_v4(version, fields) }
    }

    fn read_v3(fields: &mut Fields<'_>) -> Option<Self> {
        let flags = fields.u32()?;
        let has = |flag| flags & flag != 0;
        Some(Self {
            size: optional(has(SIZE), || fields.u64())?,
            owner: optional(has(UID_GID), || {
                let (user, group) = (fields.u32()?, fields.u32()?);
                Some(format!("owner {user}, group {group}"))
            })?,
            mode: optional(has(PERMISSIONS), || fields.u32().map(|bits| bits & PERMISSION_BITS))?,
            times: has(TIMES_V3),
            other: flags & !KNOWN_V3 != 0,
        })
    }

    fn read_v4(version: u32, fields: &mut Fields<'_>) -> Option<Self> {
        let flags = fields.u32()?;
        let has = |flag| flags & flag != 0;
        let _type = fields.byte()?;
        let size = optional(has(SIZE), || fields.u64())?;
        let _allocation = optional(version >= 6 && has(ALLOCATION), || fields.u64())?;
        Some(Self {
            size,
            owner: optional(has(OWNER_GROUP), || {
                let (user, group) = (fields.string()?, fields.string()?);
                let [user, group] = [user, group].map(super::super::operation::said);
                Some(format!("owner {user}, group {group}"))
            })?,
            mode: optional(has(PERMISSIONS), || fields.u32().map(|bits| bits & PERMISSION_BITS))?,
            times: has(TIMES_V4),
            other: flags & !KNOWN_V4 != 0,
        })
    }
}

/// Nothing where there is none; `None` where there ought to be and is not.
fn optional<T>(there: bool, read: impl FnOnce() -> Option<T>) -> Option<Option<T>> {
    if there { read().map(Some) } else { Some(None) }
}
