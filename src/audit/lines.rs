//! Reads files of lines that may be torn, endless or no text, with bounded memory.

use std::io::{self, BufRead, Read};

/// The longest line that is read, in bytes; drawbridge's own are far shorter.
pub(super) const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads one line after the other.
#[derive(Debug)]
pub(super) struct LineReader<R> {
    from: R,
    line: Vec<u8>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line, without its line feed.
    Line(&'a [u8]),
    /// The end of the file, without a line feed.
    Torn(&'a [u8]),
    /// A line that is longer than any of ours; it has been passed over.
    TooLong,
    /// Nothing.
    End,
}

impl<R: BufRead> LineReader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, line: Vec::new() }
    }

    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        self.line.clear();
        self.from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(Next::End);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Next::Line(&self.line));
        }
        if u64::try_from(self.line.len()).is_ok_and(|length| length < LINE_BYTES_MAX) {
            return Ok(Next::Torn(&self.line));
        }
        self.from.skip_until(b'\n')?;
        Ok(Next::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fragments_and_endless_lines() {
        let long = "x".repeat(5 * 1024 * 1024);
        let text = format!("one\n\n{long}\ntwo\nthr");
        let mut lines = LineReader::new(text.as_bytes());
        assert_eq!(lines.next().expect("read"), Next::Line(b"one"));
        assert_eq!(lines.next().expect("read"), Next::Line(b""));
        assert_eq!(lines.next().expect("read"), Next::TooLong);
        assert_eq!(lines.next().expect("read"), Next::Line(b"two"));
        assert_eq!(lines.next().expect("read"), Next::Torn(b"thr"));
        assert_eq!(lines.next().expect("read"), Next::End);
    }
}
