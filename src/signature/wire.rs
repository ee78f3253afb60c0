//! Reading RFC 4251 §5 data types from bytes that a stranger sent, without copying them.

use thiserror::Error;

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// A length or a field reaches beyond the end.
    #[error("the data ends before the field does")]
    Truncated,
    /// Bytes are left over after the last field.
    #[error("there are bytes after the last field")]
    TrailingBytes,
    /// A number that is negative or not in its shortest form.
    #[error("a number is negative or not in its shortest form")]
    Number,
    /// Text that is not UTF-8.
    #[error("a text is not valid UTF-8")]
    Text,
}

/// A cursor over wire data. Every read either succeeds whole or is an error.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Exactly `count` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    /// A `byte`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    /// A `uint32`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] near the end.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array::<4>().map(u32::from_be_bytes)
    }

    /// A `uint64`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] near the end.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array::<8>().map(u64::from_be_bytes)
    }

    /// A `string`: a length and as many bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the length reaches beyond the end.
    pub fn string(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.u32()?).map_err(|_| WireError::Truncated)?;
        self.take(length)
    }

    /// A `string` that is text.
    ///
    /// # Errors
    /// As [`Reader::string`], and [`WireError::Text`] when it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.string()?).map_err(|_| WireError::Text)
    }

    /// The magnitude of a non-negative `mpint`, big-endian and without leading zeros. Superfluous
    /// zeros are accepted, as OpenSSH does.
    ///
    /// # Errors
    /// As [`Reader::string`], and [`WireError::Number`] when it is negative.
    pub fn mpint(&mut self) -> Result<&'a [u8], WireError> {
        let raw = self.string()?;
        if raw.first().is_some_and(|first| first & 0x80 != 0) {
            return Err(WireError::Number);
        }
        let zeros = raw.iter().take_while(|byte| **byte == 0).count();
        raw.get(zeros..).ok_or(WireError::Number)
    }

    /// Like [`Reader::mpint`], for a number that must be positive and in its only valid form: what
    /// a key is made of, so that one key has one encoding and one fingerprint.
    ///
    /// # Errors
    /// As [`Reader::mpint`], and [`WireError::Number`] for zero or another form.
    pub fn canonical_mpint(&mut self) -> Result<&'a [u8], WireError> {
        let mut ahead = *self;
        let raw_length = ahead.string()?.len();
        let magnitude = self.mpint()?;
        let sign_byte = usize::from(magnitude.first().ok_or(WireError::Number)? & 0x80 != 0);
        if raw_length == magnitude.len() + sign_byte { Ok(magnitude) } else { Err(WireError::Number) }
    }

    /// The end.
    ///
    /// # Errors
    /// [`WireError::TrailingBytes`] when there is more.
    pub fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::TrailingBytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_end_is_an_error() {
        assert_eq!(Reader::new(&[0, 0, 0, 5, 1]).string(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff]).string(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0, 0, 0]).u32(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0, 0, 0, 1, 7]).string(), Ok(&[7][..]));
    }

    #[test]
    fn keys_have_numbers_in_one_form_only() {
        let number = |bytes: &'static [u8]| Reader::new(bytes).canonical_mpint();
        assert_eq!(number(&[0, 0, 0, 1, 0x7f]), Ok(&[0x7f][..]));
        assert_eq!(number(&[0, 0, 0, 2, 0, 0x80]), Ok(&[0x80][..]));
        assert_eq!(number(&[0, 0, 0, 2, 0, 0x7f]), Err(WireError::Number));
        assert_eq!(number(&[0, 0, 0, 1, 0x80]), Err(WireError::Number), "negative");
        assert_eq!(number(&[0, 0, 0, 0]), Err(WireError::Number), "zero");
        assert_eq!(Reader::new(&[0, 0, 0, 2, 0, 0x7f]).mpint(), Ok(&[0x7f][..]));
    }
}
