//! What one file operation was, whichever protocol carried it.

use std::borrow::Cow;

use aws_lc_rs::digest;

use crate::audit::{FileAct, FileFacts, FileProtocol, PathFacts, Text};

/// How an operation came out, as the target told the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileResult {
    /// It was done.
    Ok,
    /// It was refused or failed, wholly or in part: in the words of events, `permission-denied` and the like.
    Failed(&'static str),
    /// The channel ended before it was answered, or before the file was closed.
    Unfinished,
    /// What the two ends said does not tell.
    Unknown,
}

impl FileResult {
    /// The word that events carry.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(label) => label,
            Self::Unfinished => "unfinished",
            Self::Unknown => "unknown",
        }
    }
}

/// The name of a file as it was sent: bytes that are usually, but not always, UTF-8.
///
/// Nothing is resolved: a relative name stays relative, for nobody here knows the login's home.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathName {
    bytes: Box<[u8]>,
    cut: bool,
}

impl PathName {
    /// The most bytes that are kept: Linux's `PATH_MAX`.
    pub const BYTES_MAX: usize = 4096;

    /// Takes a name, and of one that is too long its beginning.
    #[must_use]
    pub fn new(sent: &[u8]) -> Self {
        match sent.get(..Self::BYTES_MAX) {
            Some(kept) => Self { bytes: kept.into(), cut: kept.len() < sent.len() },
            None => Self { bytes: sent.into(), cut: false },
        }
    }

    /// Takes the beginning of a name.
    #[must_use]
    pub fn cut_off(begins: &[u8]) -> Self {
        Self { cut: true, ..Self::new(begins) }
    }

    /// A name below this one, as `/` joins them.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        let separator: &[u8] = if self.bytes.is_empty() || self.bytes.ends_with(b"/") { b"" } else { b"/" };
        let joined = Self::new(&[&self.bytes, separator, name].concat());
        Self { cut: joined.cut || self.cut, ..joined }
    }

    /// The bytes that are kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name as text, with U+FFFD where it is not UTF-8. It may hold any character, line feeds and
    /// escapes among them.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Whether the name that was sent is longer.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}

impl std::fmt::Debug for PathName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text())?;
        if self.cut { f.write_str("…") } else { Ok(()) }
    }
}

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Of those bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(running(bytes))
    }

    pub(super) const fn new(value: [u8; 32]) -> Self {
        Self(value)
    }

    fn finish(context: digest::Context) -> Self {
        let mut value = [0; 32];
        // SHA-256 has 32 bytes.
        value.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(value)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn running(bytes: &[u8]) -> digest::Context {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(bytes);
    context
}

/// Lower-case hexadecimal, as `sha256sum` prints it.
impl std::fmt::Display for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// One operation on a file of the target. All sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOperation {
    /// What carried it.
    pub protocol: FileProtocol,
    /// What was done.
    pub action: FileAct,
    /// What it was done to; absent where the name was never seen.
    pub path: Option<PathName>,
    /// The name that came into being by it: of a rename, a link or a copy.
    pub new_path: Option<PathName>,
    /// How much was transferred. Of a write, as much as the target has acknowledged; of a read, as much as has
    /// gone to the client. Of attributes, the length that was set.
    pub bytes: Option<u64>,
    /// The offset in the file of the first byte that was transferred.
    pub from: Option<u64>,
    /// Of exactly the bytes that `bytes` counts, where they are one piece of the file.
    pub sha256: Option<Sha256>,
    /// Whether what was transferred is one piece of the file, each byte once.
    pub sequential: Option<bool>,
    /// The permission bits that were asked for.
    pub mode: Option<u32>,
    /// How it came out.
    pub result: FileResult,
    /// More about it: how a file was opened, why it failed.
    pub detail: Option<String>,
}

impl FileOperation {
    /// The longest detail, in bytes.
    pub const DETAIL_MAX: usize = 512;

    pub(super) fn new(protocol: FileProtocol, action: FileAct) -> Self {
        Self {
            protocol,
            action,
            path: None,
            new_path: None,
            bytes: None,
            from: None,
            sha256: None,
            sequential: None,
            mode: None,
            result: FileResult::Unfinished,
            detail: None,
        }
    }

    pub(super) fn untracked(protocol: FileProtocol, detail: &str) -> Self {
        Self { result: FileResult::Unknown, ..Self::new(protocol, FileAct::Untracked) }.with_detail(detail)
    }

    /// Adds to the detail.
    pub(super) fn with_detail(mut self, more: &str) -> Self {
        self.add_detail(more);
        self
    }

    pub(super) fn add_detail(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        let detail = self.detail.get_or_insert_default();
        if !detail.is_empty() {
            detail.push_str("; ");
        }
        detail.push_str(more);
        if detail.len() > Self::DETAIL_MAX {
            detail.truncate(detail.floor_char_boundary(Self::DETAIL_MAX - '…'.len_utf8()));
            detail.push('…');
        }
    }

    /// The bytes of the names that it holds.
    pub(super) fn names_len(&self) -> usize {
        [&self.path, &self.new_path].into_iter().flatten().map(|name| name.as_bytes().len()).sum()
    }
}

impl From<FileOperation> for FileFacts {
    fn from(operation: FileOperation) -> Self {
        let facts = |path: &PathName| PathFacts::from_bytes(path.as_bytes());
        let path = operation.path.as_ref().map(facts);
        let other = operation.new_path.as_ref().map(facts);
        let mut detail = operation.detail.unwrap_or_default();
        if [&operation.path, &operation.new_path].into_iter().flatten().any(PathName::is_cut) {
            detail.push_str(if detail.is_empty() { NAME_IS_CUT } else { NAME_IS_CUT_TOO });
        }
        Self {
            protocol: operation.protocol,
            operation: operation.action,
            path: path.as_ref().map_or_else(|| Text::from(""), |path| path.text.clone()),
            path_hex: path.and_then(|path| path.hex),
            other_path: other.as_ref().map(|path| path.text.clone()),
            other_path_hex: other.and_then(|path| path.hex),
            bytes: operation.bytes,
            from: operation.from.filter(|from| *from > 0),
            sha256: operation.sha256.map(|hash| hash.to_string()),
            out_of_order: operation.sequential == Some(false),
            mode: operation.mode.map(|bits| format!("{bits:04o}")),
            result: operation.result.label(),
            detail: Some(detail).filter(|detail| !detail.is_empty()).map(Text::from),
        }
    }
}

const NAME_IS_CUT: &str = "a name is longer than is kept of it";
const NAME_IS_CUT_TOO: &str = "; a name is longer than is kept of it";

/// What a peer says about an error, bounded.
pub(super) fn said(bytes: &[u8]) -> String {
    let kept = bytes.get(..SAID_MAX).unwrap_or(bytes);
    String::from_utf8_lossy(kept).trim_end().to_owned()
}

/// The most bytes that are kept of a peer's message.
const SAID_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_bytes_and_says_when_it_is_cut() {
        let odd = PathName::new(b"a\xffb");
        assert_eq!(
            (odd.text().as_ref(), odd.as_bytes(), odd.is_cut()),
            ("a\u{fffd}b", &b"a\xffb"[..], false)
        );
        let long = PathName::new(&[b'a'; 5000]);
        assert_eq!((long.as_bytes().len(), long.is_cut()), (4096, true));
        assert!(!PathName::new(&[b'a'; 4096]).is_cut());
    }

    #[test]
    fn names_join_with_one_slash() {
        let joined = |parent: &str| PathName::new(parent.as_bytes()).join(b"x").text().into_owned();
        assert_eq!([joined("/a"), joined("/a/"), joined("")], ["/a/x", "/a/x", "x"]);
        assert!(PathName::cut_off(b"/a").join(b"x").is_cut());
    }

    #[test]
    fn a_detail_is_bounded() {
        let mut operation = FileOperation::new(FileProtocol::Sftp, FileAct::Open).with_detail("to read");
        operation.add_detail("");
        operation.add_detail(&"é".repeat(4000));
        let detail = operation.detail.expect("it has one");
        assert!(detail.starts_with("to read; é") && detail.ends_with('…'), "{detail}");
        assert!(detail.len() <= FileOperation::DETAIL_MAX);
    }

    #[test]
    fn an_operation_becomes_an_event() {
        let mut operation = FileOperation::new(FileProtocol::Sftp, FileAct::Write).with_detail("to write");
        operation.path = Some(PathName::new(&[b'x'; 5000]));
        (operation.mode, operation.from, operation.sequential) = (Some(0o640), Some(0), Some(false));
        operation.result = FileResult::Failed("no-space");
        let facts = FileFacts::from(operation);
        assert_eq!(facts.path_hex.map(|hex| hex.len()), Some(2 * 4096), "a name that is cut is there whole");
        assert_eq!((facts.mode.as_deref(), facts.from, facts.out_of_order), (Some("0640"), None, true));
        let detail = facts.detail.expect("there is one");
        assert_eq!(
            (facts.result, detail.as_str()),
            ("no-space", "to write; a name is longer than is kept of it")
        );
    }

    #[test]
    fn a_hash_reads_as_sha256sum_prints_it() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::of(b"").to_string(), empty);
    }
}
