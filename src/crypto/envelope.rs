//! The bytes around a sealed value.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | magic `0xE5` |
//! | 1 | 1 | version (high nibble, 1) and mode (low nibble) |
//! | 2 | 4 | key id |
//! | 6 | | body, by mode |

use super::{KeyId, Mode};

/// The first byte of every envelope. It begins no valid UTF-8 text by itself: a continuation byte must
/// follow, and the version byte is none.
pub const MAGIC: u8 = 0xE5;
/// The version of the format that this release seals in.
pub const VERSION: u8 = 1;
/// Size of the part before the body, in bytes.
pub const HEADER_LEN: usize = 6;

/// What an envelope says about itself before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How the value is sealed.
    pub mode: Mode,
    /// The key that sealed it.
    pub key_id: KeyId,
}

impl Header {
    /// The six bytes.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let KeyId([a, b, c, d]) = self.key_id;
        let mode = match self.mode {
            Mode::Randomized => 0,
            Mode::Deterministic => 1,
            Mode::Ordered => 2,
        };
        [MAGIC, VERSION << 4 | mode, a, b, c, d]
    }
}

/// A sealed value taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Mode and key id.
    pub header: Header,
    /// What follows them.
    pub body: Body<'a>,
}

/// The body of each mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// XAES-256-GCM.
    Randomized {
        /// The first 12 bytes of the nonce: they choose the subkey.
        prefix: &'a [u8; 12],
        /// The last 12 bytes of the nonce.
        nonce: &'a [u8; 12],
        /// As long as the canonical bytes.
        ciphertext: &'a [u8],
        /// The authentication tag.
        tag: &'a [u8; 16],
    },
    /// AES-256-SIV.
    Deterministic {
        /// The synthetic IV, which is the authentication tag too.
        iv: &'a [u8; 16],
        /// As long as the canonical bytes.
        ciphertext: &'a [u8],
    },
    /// An order token, then as in `Deterministic`. The token's own form is not part of this release.
    Ordered(&'a [u8]),
}

/// Why bytes cannot be read as an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// They do not begin as one.
    #[error("it is not a sealed value")]
    NotAnEnvelope,
    /// They begin as one and end too early.
    #[error("it is a sealed value that was cut short")]
    Truncated,
    /// A later release sealed it, or it is damaged.
    #[error("it is sealed in format version {version}, mode {mode}, which this release does not know")]
    Unsupported {
        /// The high nibble of the second byte.
        version: u8,
        /// The low nibble.
        mode: u8,
    },
    /// The text form does not decode.
    #[error("it begins as a sealed value in text form but is not valid base64url")]
    InvalidText,
}

impl<'a> Envelope<'a> {
    /// Takes an envelope apart.
    ///
    /// # Errors
    /// The bytes are no envelope of this version; nothing is said about whether they open.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let (&magic, rest) = bytes.split_first().ok_or(EnvelopeError::NotAnEnvelope)?;
        if magic != MAGIC {
            return Err(EnvelopeError::NotAnEnvelope);
        }
        let (&kind, rest) = rest.split_first().ok_or(EnvelopeError::Truncated)?;
        let mode = match (kind >> 4, kind & 0x0f) {
            (VERSION, 0) => Mode::Randomized,
            (VERSION, 1) => Mode::Deterministic,
            (VERSION, 2) => Mode::Ordered,
            (version, mode) => return Err(EnvelopeError::Unsupported { version, mode }),
        };
        let (&key_id, body) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
        let body = Body::parse(mode, body).ok_or(EnvelopeError::Truncated)?;
        Ok(Self { header: Header { mode, key_id: KeyId(key_id) }, body })
    }
}

impl<'a> Body<'a> {
    fn parse(mode: Mode, bytes: &'a [u8]) -> Option<Self> {
        Some(match mode {
            Mode::Randomized => {
                let (prefix, rest) = bytes.split_first_chunk()?;
                let (nonce, rest) = rest.split_first_chunk()?;
                let (ciphertext, tag) = rest.split_last_chunk()?;
                Self::Randomized { prefix, nonce, ciphertext, tag }
            }
            Mode::Deterministic => {
                let (iv, ciphertext) = bytes.split_first_chunk()?;
                Self::Deterministic { iv, ciphertext }
            }
            Mode::Ordered => Self::Ordered(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: KeyId = KeyId([1, 2, 3, 4]);

    fn envelope(mode: Mode, body: usize) -> Vec<u8> {
        let mut bytes = Header { mode, key_id: ID }.to_bytes().to_vec();
        bytes.resize(HEADER_LEN + body, 0xAA);
        bytes
    }

    #[test]
    fn headers_read_back_as_they_were_written() {
        for (mode, second) in [(Mode::Randomized, 0x10), (Mode::Deterministic, 0x11), (Mode::Ordered, 0x12)] {
            let bytes = envelope(mode, 40);
            assert_eq!(bytes[..6], [0xE5, second, 1, 2, 3, 4]);
            assert_eq!(Envelope::parse(&bytes).unwrap().header, Header { mode, key_id: ID });
        }
    }

    #[test]
    fn an_envelope_cut_at_any_byte_of_its_fixed_part_is_refused() {
        for mode in [Mode::Randomized, Mode::Deterministic] {
            let whole = envelope(mode, mode.overhead().unwrap() - HEADER_LEN);
            assert!(Envelope::parse(&whole).is_ok(), "{mode}: the empty value");
            for len in 1..whole.len() {
                assert_eq!(Envelope::parse(&whole[..len]), Err(EnvelopeError::Truncated), "{mode} at {len}");
            }
        }
    }

    #[test]
    fn what_does_not_begin_as_an_envelope_is_none() {
        for bytes in [&b""[..], b"\xE4\x10\x01\x02\x03\x04", b"hello", b"\0"] {
            assert_eq!(Envelope::parse(bytes), Err(EnvelopeError::NotAnEnvelope), "{bytes:?}");
        }
    }

    #[test]
    fn every_version_and_mode_that_is_not_ours_is_named() {
        let mut bytes = envelope(Mode::Randomized, 64);
        for kind in (0..=255).filter(|k| !matches!(k, 0x10..=0x12)) {
            bytes[1] = kind;
            let expected = EnvelopeError::Unsupported { version: kind >> 4, mode: kind & 15 };
            assert_eq!(Envelope::parse(&bytes), Err(expected));
        }
    }

    #[test]
    fn an_envelope_is_never_valid_text() {
        for mode in [Mode::Randomized, Mode::Deterministic, Mode::Ordered] {
            assert!(std::str::from_utf8(&envelope(mode, 0)[..2]).is_err());
        }
    }
}
