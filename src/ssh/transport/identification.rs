//! The identification line of the peer (RFC 4253 §4.2), and what may stand before it.

use bytes::BytesMut;

use crate::ssh::algorithms::Role;
use crate::ssh::error::CloseReason;

/// The longest line, in bytes.
const IDENT_MAX: usize = 255;
/// A server may send lines before its identification: so many bytes of them.
const PREAMBLE_MAX: usize = 8 * 1024;

/// What a peer has said of itself before keys were exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Not a byte.
    Nothing,
    /// Something, and no identification line of SSH 2.0 in it: its first line, shortened.
    Other(String),
    /// Its identification line (RFC 4253 §4.2).
    Identification,
}

/// What the peer has said of itself.
#[derive(Debug, Default)]
pub(super) struct Identification {
    line: Option<String>,
    /// The first line that it said, whatever it is; shortened.
    first_line: Option<String>,
    preamble: usize,
}

impl Identification {
    /// The identification line, once it is whole.
    pub(super) fn line(&self) -> Option<&str> {
        self.line.as_deref()
    }

    /// How far it has come, where `unread` has come after the last whole line.
    pub(super) fn heard(&self, unread: &[u8]) -> Heard {
        match (&self.line, &self.first_line) {
            (Some(_), _) => Heard::Identification,
            (None, Some(line)) => Heard::Other(line.clone()),
            (None, None) if unread.is_empty() => Heard::Nothing,
            (None, None) => Heard::Other(printable(unread)),
        }
    }

    /// Takes lines out of what was received, in this role; says whether the identification line is whole.
    pub(super) fn read(&mut self, buffer: &mut BytesMut, our_role: Role) -> Result<bool, CloseReason> {
        loop {
            let Some(end) = buffer.iter().take(IDENT_MAX + 1).position(|byte| *byte == b'\n') else {
                return if buffer.len() > IDENT_MAX { Err(CloseReason::NotSsh) } else { Ok(false) };
            };
            let line = buffer.split_to(end + 1);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.first_line.get_or_insert_with(|| printable(line));
            if line.starts_with(b"SSH-") {
                let text = std::str::from_utf8(line).map_err(|_| CloseReason::NotSsh)?;
                if !(text.starts_with("SSH-2.0-") || text.starts_with("SSH-1.99-")) {
                    return Err(CloseReason::NotSsh);
                }
                self.line = Some(text.to_owned());
                return Ok(true);
            }
            self.preamble += end + 1;
            if our_role == Role::Server || self.preamble > PREAMBLE_MAX {
                return Err(CloseReason::NotSsh);
            }
        }
    }
}

/// What a peer says, shortened and without control characters.
pub(super) fn printable(said: &[u8]) -> String {
    String::from_utf8_lossy(said).chars().filter(|c| !c.is_control()).take(200).collect()
}
