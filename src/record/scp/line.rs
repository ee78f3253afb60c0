//! The lines by which the sending end announces what comes.

/// One announcement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `C`: a file, whose bytes follow.
    File { mode: u32, size: u64, name: &'a [u8] },
    /// `D`: a directory; what comes up to its `E` is in it.
    Directory { mode: u32, name: &'a [u8] },
    /// `E`: back to the directory above.
    Leave,
    /// `T`: the times of what is announced next.
    Times,
    /// `\1` or `\2`: something cannot be sent.
    Error(&'a [u8]),
}

impl<'a> Line<'a> {
    /// Reads a line without its line feed; nothing where it is none of these.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        let (kind, rest) = line.split_first()?;
        match kind {
            b'C' => file(rest).map(|(mode, size, name)| Self::File { mode, size, name }),
            b'D' => file(rest).map(|(mode, _, name)| Self::Directory { mode, name }),
            b'E' => rest.is_empty().then_some(Self::Leave),
            b'T' => Some(Self::Times),
            1 | 2 => Some(Self::Error(rest)),
            _ => None,
        }
    }
}

/// `0644 123 name`.
fn file(text: &[u8]) -> Option<(u32, u64, &[u8])> {
    let mut parts = text.splitn(3, |byte| *byte == b' ');
    let mut number = |radix| {
        let digits = std::str::from_utf8(parts.next()?).ok()?;
        // No sign: `from_str_radix` would take one.
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| u64::from_str_radix(digits, radix).ok())?
    };
    let mode = u32::try_from(number(8)?).ok()? & 0o7777;
    let size = number(10)?;
    let name = parts.next().filter(|name| !name.is_empty())?;
    Some((mode, size, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let file = Line::File { mode: 0o644, size: 12, name: b"a b" };
        assert_eq!(Line::read(b"C0644 12 a b"), Some(file));
        assert_eq!(Line::read(b"D0755 0 dir"), Some(Line::Directory { mode: 0o755, name: b"dir" }));
        assert_eq!(Line::read(b"E"), Some(Line::Leave));
        assert_eq!(Line::read(b"T1700000000 0 1700000000 0"), Some(Line::Times));
        assert_eq!(Line::read(b"\x01scp: x: No such file"), Some(Line::Error(b"scp: x: No such file")));
    }

    #[test]
    fn nonsense_is_not() {
        for line in [
            &b""[..],
            b"C",
            b"C0644",
            b"C0644 12",
            b"C0644 12 ",
            b"C+644 12 x",
            b"C0888 12 x",
            b"C0644 -1 x",
            b"C0644 99999999999999999999 x",
            b"Ex",
            b"Welcome",
        ] {
            assert_eq!(Line::read(line), None, "{line:?}");
        }
    }
}
