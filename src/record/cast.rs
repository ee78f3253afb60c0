//! The text of a recording: asciicast v2, one JSON value a line, and nothing that is not UTF-8.
//!
//! What a player of others knows: the header, `"o"`, `"i"`, `"r"` and `"m"`. What is ours alone, and ignored by
//! them: `"bytes"`, the very bytes (base64) of the event that follows, where these are not UTF-8; and `"e"`, what
//! a program without a terminal said on its standard error.

use std::io::Write as _;

use data_encoding::BASE64;
use serde::Serialize;

use super::tape::{Batch, Kind, Span};
use crate::domain::{ChannelNumber, ConnectionId, RecordingId, SessionId};

/// The code of the event that holds what the next one cannot say in UTF-8.
pub(super) const BYTES: &str = "bytes";
/// A batch's text is handed on in pieces of about this size.
const PIECE: usize = 512 * 1024;

/// The first line of a recording. Players of others read the first four fields and `env`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct HeaderLine<'a> {
    pub(super) version: u8,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Seconds since 1970.
    pub(super) timestamp: i64,
    pub(super) title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) env: Option<Environment<'a>>,
    pub(super) drawbridge: Origin,
}

/// The environment that an asciicast tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Environment<'a> {
    #[serde(rename = "TERM")]
    pub(super) term: &'a str,
}

/// What a recording is of; in its header, so that a file whose daemon was killed still says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The recording.
    pub recording: RecordingId,
    /// The client's connection.
    pub connection: ConnectionId,
    /// The session.
    pub session: SessionId,
    /// The channel within it.
    pub channel: ChannelNumber,
    /// What is in it.
    pub format: Format,
}

/// What is in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// What a terminal showed.
    Asciicast,
    /// The first output of a program without a terminal, in the same form, standard error as `"e"`.
    Output,
}

impl Format {
    /// The name in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asciicast => "asciicast",
            Self::Output => "output",
        }
    }

    /// Reads a name, or nothing where there is no such format.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Asciicast, Self::Output].into_iter().find(|format| format.name() == text)
    }
}

/// Writes events as lines, and joins what was split.
#[derive(Debug, Default)]
pub(super) struct Scribe {
    /// The beginning of a character whose end has not come yet; at most 3 bytes for each kind.
    carried: [Vec<u8>; 3],
    joined: Vec<u8>,
}

impl Scribe {
    /// Writes a batch; `piece` takes the text whenever there is much of it, and the rest stays in `text`.
    pub(super) fn write<E>(
        &mut self,
        batch: &Batch,
        text: &mut Vec<u8>,
        mut piece: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = batch.bytes.as_slice();
        for span in &batch.spans {
            let (data, after) = rest.split_at_checked(span.length).unwrap_or((rest, &[]));
            rest = after;
            self.event(*span, data, text);
            if text.len() >= PIECE {
                piece(text)?;
            }
        }
        Ok(())
    }

    /// Whether the beginning of a character waits for its end.
    pub(super) fn is_waiting(&self) -> bool {
        self.carried.iter().any(|carried| !carried.is_empty())
    }

    /// No end will come: what waits is written as what it is.
    pub(super) fn give_up_waiting(&mut self, at_us: u64, text: &mut Vec<u8>) {
        for kind in [Kind::Output, Kind::Error, Kind::Input] {
            let left = std::mem::take(self.carry(kind));
            if !left.is_empty() {
                put_data(text, at_us, kind, &left);
            }
        }
    }

    fn carry(&mut self, kind: Kind) -> &mut Vec<u8> {
        let [output, error, input] = &mut self.carried;
        match kind {
            Kind::Error => error,
            Kind::Input => input,
            Kind::Output | Kind::Resize | Kind::Marker => output,
        }
    }

    fn event(&mut self, span: Span, data: &[u8], text: &mut Vec<u8>) {
        match span.kind {
            Kind::Output | Kind::Error | Kind::Input => self.data(span, data, text),
            Kind::Resize | Kind::Marker => {
                put_text(text, span.at_us, span.kind.code(), &String::from_utf8_lossy(data));
            }
        }
    }

    fn data(&mut self, span: Span, data: &[u8], text: &mut Vec<u8>) {
        if self.carry(span.kind).is_empty() {
            let (whole, begun) = split_begun(data);
            put_data(text, span.at_us, span.kind, whole);
            self.carry(span.kind).extend_from_slice(begun);
            return;
        }
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        joined.append(self.carry(span.kind));
        joined.extend_from_slice(data);
        let (whole, begun) = split_begun(&joined);
        put_data(text, span.at_us, span.kind, whole);
        self.carry(span.kind).extend_from_slice(begun);
        self.joined = joined;
    }
}

/// Cuts off the beginning of a character that lacks its end.
fn split_begun(data: &[u8]) -> (&[u8], &[u8]) {
    // A character has at most 4 bytes, so what has begun is within the last 3.
    for length in 1..=data.len().min(3) {
        let (whole, end) = data.split_at(data.len() - length);
        let first = end.first().copied().unwrap_or_default();
        if first & 0xC0 == 0x80 {
            continue;
        }
        let begun = std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none());
        return if begun { (whole, end) } else { (data, &[]) };
    }
    (data, &[])
}

fn put_data(text: &mut Vec<u8>, at_us: u64, kind: Kind, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    if let Ok(plain) = std::str::from_utf8(data) {
        return put_text(text, at_us, kind.code(), plain);
    }
    open(text, at_us, BYTES);
    text.extend_from_slice(BASE64.encode(data).as_bytes());
    text.extend_from_slice(b"\"]\n");
    open(text, at_us, kind.code());
    for chunk in data.utf8_chunks() {
        put_escaped(text, chunk.valid());
        if !chunk.invalid().is_empty() {
            text.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    text.extend_from_slice(b"\"]\n");
}

fn put_text(text: &mut Vec<u8>, at_us: u64, code: &str, data: &str) {
    open(text, at_us, code);
    put_escaped(text, data);
    text.extend_from_slice(b"\"]\n");
}

fn open(text: &mut Vec<u8>, at_us: u64, code: &str) {
    // Writing to memory does not fail.
    let _written = write!(text, "[{}.{:06}, \"{code}\", \"", at_us / 1_000_000, at_us % 1_000_000);
}

/// The inside of a JSON text (RFC 8259 §7).
fn put_escaped(text: &mut Vec<u8>, data: &str) {
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\' || *byte == 0x7f;
    let mut rest = data.as_bytes();
    while let Some(at) = rest.iter().position(special) {
        let (plain, more) = rest.split_at(at);
        text.extend_from_slice(plain);
        let Some((byte, after)) = more.split_first() else { break };
        match byte {
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            byte => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                text.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        }
        rest = after;
    }
    text.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of these packets of output, each its own event.
    fn text_of(packets: &[&[u8]]) -> String {
        let mut batch = Batch::default();
        for (at, packet) in packets.iter().enumerate() {
            batch.push(at as u64 * 1_000_000, Kind::Output, packet);
        }
        let (mut scribe, mut text) = (Scribe::default(), Vec::new());
        scribe.write(&batch, &mut text, |_| Ok::<(), ()>(())).expect("in memory");
        scribe.give_up_waiting(9_000_000, &mut text);
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn each_packet_is_an_event() {
        let text = text_of(&[b"plain\r\n", b"\x1b[1m\"\\\x7f\x00"]);
        assert_eq!(
            text,
            "[0.000000, \"o\", \"plain\\r\\n\"]\n[1.000000, \"o\", \"\\u001b[1m\\\"\\\\\\u007f\\u0000\"]\n"
        );
    }

    #[test]
    fn a_character_that_was_split_is_joined() {
        let snowman = "☃".as_bytes();
        let text = text_of(&[&snowman[..1], &snowman[1..2], &snowman[2..], b"!"]);
        assert_eq!(text, "[2.000000, \"o\", \"☃\"]\n[3.000000, \"o\", \"!\"]\n");
        let text = text_of(&[&[b"a", &snowman[..2]].concat(), &[&snowman[2..], b"b"].concat()]);
        assert_eq!(text, "[0.000000, \"o\", \"a\"]\n[1.000000, \"o\", \"☃b\"]\n");
    }

    #[test]
    fn what_is_not_utf_8_is_shown_and_kept() {
        assert_eq!(
            text_of(&[b"a\xffb"]),
            "[0.000000, \"bytes\", \"Yf9i\"]\n[0.000000, \"o\", \"a\u{FFFD}b\"]\n"
        );
        // The beginning of a character that never ends.
        assert_eq!(
            text_of(&[b"a\xe2\x98"]),
            "[0.000000, \"o\", \"a\"]\n[9.000000, \"bytes\", \"4pg=\"]\n[9.000000, \"o\", \"\u{FFFD}\"]\n"
        );
    }

    #[test]
    fn only_what_can_still_become_a_character_waits() {
        assert_eq!(split_begun(b"ab\xe2\x98"), (&b"ab"[..], &b"\xe2\x98"[..]));
        assert_eq!(split_begun(b"ab\xf0\x9f\x98"), (&b"ab"[..], &b"\xf0\x9f\x98"[..]));
        assert_eq!(split_begun(b"ab\xff"), (&b"ab\xff"[..], &b""[..]));
        assert_eq!(split_begun(b"\x80\x80\x80\x80"), (&b"\x80\x80\x80\x80"[..], &b""[..]));
        // No character begins with these (RFC 3629 §3).
        assert_eq!(split_begun(b"\xe0\x80"), (&b"\xe0\x80"[..], &b""[..]));
        assert_eq!(split_begun("☃".as_bytes()), ("☃".as_bytes(), &b""[..]));
        assert_eq!(split_begun(b""), (&b""[..], &b""[..]));
    }
}
