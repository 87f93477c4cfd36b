//! A reader over bytes from outside that cannot go out of bounds, and the writer's few helpers.

use bytes::{BufMut, BytesMut};

/// Why a message is not what it claims to be. Holds sizes and tags, never content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field needs more bytes than the message has.
    #[error("message ends early: {wanted} bytes wanted, {left} left")]
    Truncated {
        /// Bytes that the field needs at least.
        wanted: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes follow after the last field.
    #[error("{0} bytes too many at the end of a message")]
    Trailing(usize),
    /// A string without its terminator.
    #[error("unterminated string in a message")]
    Unterminated,
    /// A name or query text that is not UTF-8.
    #[error("invalid UTF-8 in a message")]
    Utf8,
    /// A length word that no message of its type can have.
    #[error("invalid message length {length} for type {tag:#04x}")]
    Length {
        /// The message type, 0 for a startup packet.
        tag: u8,
        /// What the length word says.
        length: i64,
    },
    /// A message type that does not exist in this direction.
    #[error("invalid message type {0:#04x}")]
    Tag(u8),
    /// A field with a value that the protocol does not define.
    #[error("invalid {0} in a message")]
    Field(&'static str),
}

/// Reads fields from the front of a message body.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader over a body (without type and length).
    pub fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) =
            self.0.split_at_checked(n).ok_or(WireError::Truncated { wanted: n, left: self.0.len() })?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, tail) =
            self.0.split_first_chunk::<N>().ok_or(WireError::Truncated { wanted: N, left: self.0.len() })?;
        self.0 = tail;
        Ok(*head)
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[b]| b)
    }

    /// A two-byte unsigned number.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A two-byte signed number.
    pub fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// A four-byte unsigned number.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A four-byte signed number.
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A string's bytes up to its terminator, which is taken too.
    pub fn cstr(&mut self) -> Result<&'a [u8], WireError> {
        let end = memchr::memchr(0, self.0).ok_or(WireError::Unterminated)?;
        let text = self.bytes(end)?;
        self.u8()?;
        Ok(text)
    }

    /// A string that has to be UTF-8.
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.cstr()?).map_err(|_| WireError::Utf8)
    }

    /// An element count, refused if the body cannot hold that many elements of `min_size` bytes.
    pub fn count(&mut self, min_size: usize) -> Result<usize, WireError> {
        let n = usize::from(self.u16()?);
        let (wanted, left) = (n.saturating_mul(min_size), self.0.len());
        (wanted <= left).then_some(n).ok_or(WireError::Truncated { wanted, left })
    }

    /// A value with its four-byte length in front; `None` for a length of -1 (NULL).
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.i32()? {
            -1 => Ok(None),
            n => self.bytes(usize::try_from(n).map_err(|_| WireError::Field("value length"))?).map(Some),
        }
    }

    /// The end: refused if bytes are left.
    pub fn finish(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing(self.0.len())) }
    }
}

/// Writes one message: type, length, and the body that `body` writes.
///
/// A body of more than 2 GB does not fit a length word; the caller bounds values far below that
/// (a sealed value is at most 256 MB, a frame that is looked into at most [`super::frame::MAX_LARGE`]).
pub fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    sized(out, body);
}

/// Writes a length word that counts itself, and what `body` writes.
pub fn sized(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    body(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(word) = out.get_mut(start..start + 4) {
        word.copy_from_slice(&length.to_be_bytes());
    }
}

/// Writes a string and its terminator.
pub fn put_cstr(out: &mut BytesMut, text: &[u8]) {
    out.put_slice(text);
    out.put_u8(0);
}

/// Writes a count of two bytes.
pub fn put_count(out: &mut BytesMut, n: usize) {
    // Counts come from messages whose own count had two bytes.
    out.put_u16(u16::try_from(n).unwrap_or(u16::MAX));
}

/// Writes a value with its length in front, -1 for NULL.
pub fn put_value(out: &mut BytesMut, value: Option<&[u8]>) {
    match value {
        None => out.put_i32(-1),
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            out.put_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_larger_than_the_body_is_refused() {
        let mut r = Reader::new(&[0xff, 0xff, 0, 0]);
        assert_eq!(r.count(4), Err(WireError::Truncated { wanted: 0xffff * 4, left: 2 }));
    }

    #[test]
    fn every_truncation_of_a_value_is_refused() {
        let whole = [0, 0, 0, 3, b'a', b'b', b'c'];
        for cut in 0..whole.len() {
            assert!(Reader::new(&whole[..cut]).value().is_err(), "cut at {cut}");
        }
        assert_eq!(Reader::new(&whole).value(), Ok(Some(&b"abc"[..])));
        assert_eq!(Reader::new(&[0xff; 4]).value(), Ok(None));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xfe]).value(), Err(WireError::Field("value length")));
    }

    #[test]
    fn a_string_without_its_end_is_refused() {
        assert_eq!(Reader::new(b"abc").cstr(), Err(WireError::Unterminated));
        assert_eq!(Reader::new(b"abc\0").cstr(), Ok(&b"abc"[..]));
        assert_eq!(Reader::new(b"\xff\0").text(), Err(WireError::Utf8));
    }

    #[test]
    fn a_written_message_counts_its_own_length() {
        let mut out = BytesMut::new();
        message(&mut out, b'Q', |b| put_cstr(b, b"x"));
        assert_eq!(&out[..], b"Q\0\0\0\x06x\0");
    }
}
