//! The data types of RFC 4251 §5, read from hostile bytes and written to a buffer.

use super::error::ProtocolError;

/// Reads fields off the front of a message. Every read is checked; nothing is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

const SHORT: ProtocolError = ProtocolError("a message is shorter than its fields");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ProtocolError> {
        let (&first, rest) = self.rest.split_first().ok_or(SHORT)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, ProtocolError> {
        Ok(self.u8()? != 0)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ProtocolError> {
        let (&four, rest) = self.rest.split_first_chunk::<4>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(four))
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], ProtocolError> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }

    pub(super) fn utf8(&mut self) -> Result<&'a str, ProtocolError> {
        std::str::from_utf8(self.string()?).map_err(|_| ProtocolError("a text field is not UTF-8"))
    }

    pub(super) fn name_list(&mut self) -> Result<Vec<String>, ProtocolError> {
        let text = self.utf8()?;
        Ok(text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

/// The fields of a message, appended.
pub(super) trait Put {
    fn byte(&mut self, value: u8) -> &mut Self;
    fn boolean(&mut self, value: bool) -> &mut Self;
    fn uint32(&mut self, value: u32) -> &mut Self;
    /// A `string` of at most 4 GiB; longer input cannot occur, since every message is bounded far below.
    fn string(&mut self, value: &[u8]) -> &mut Self;
    fn mpint(&mut self, big_endian: &[u8]) -> &mut Self;
    fn name_list<S: AsRef<str>>(&mut self, names: &[S]) -> &mut Self;
}

impl Put for Vec<u8> {
    fn byte(&mut self, value: u8) -> &mut Self {
        self.push(value);
        self
    }

    fn boolean(&mut self, value: bool) -> &mut Self {
        self.byte(u8::from(value))
    }

    fn uint32(&mut self, value: u32) -> &mut Self {
        self.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn string(&mut self, value: &[u8]) -> &mut Self {
        self.uint32(length(value.len()));
        self.extend_from_slice(value);
        self
    }

    /// RFC 4251 §5 `mpint` of an unsigned number: no leading zeroes, one more where the top bit is set.
    fn mpint(&mut self, big_endian: &[u8]) -> &mut Self {
        let start = big_endian.iter().position(|byte| *byte != 0).unwrap_or(big_endian.len());
        let digits = big_endian.get(start..).unwrap_or_default();
        let pad = digits.first().is_some_and(|byte| byte & 0x80 != 0);
        self.uint32(length(digits.len() + usize::from(pad)));
        if pad {
            self.push(0);
        }
        self.extend_from_slice(digits);
        self
    }

    fn name_list<S: AsRef<str>>(&mut self, names: &[S]) -> &mut Self {
        let joined = names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",");
        self.string(joined.as_bytes())
    }
}

/// A length as the wire has it; saturates, which no bounded message reaches.
pub(super) fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A message that starts with its number.
pub(super) fn message(number: u8) -> Vec<u8> {
    vec![number]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mpints_are_minimal_and_positive() {
        let encode = |bytes: &[u8]| {
            let mut out = Vec::new();
            out.mpint(bytes);
            out
        };
        assert_eq!(encode(&[]), [0, 0, 0, 0]);
        assert_eq!(encode(&[0, 0]), [0, 0, 0, 0]);
        assert_eq!(encode(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(encode(&[0, 0x12]), [0, 0, 0, 1, 0x12]);
    }

    #[test]
    fn a_length_beyond_the_message_is_an_error() {
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).string().is_err());
        assert!(Reader::new(&[0, 0, 0]).u32().is_err());
        assert!(Reader::new(&[]).u8().is_err());
    }
}
