//! Key derivation, XAES-256-GCM, AES-SIV and the stored envelope.
//!
//! Everything here is a pure function of its arguments: no clock, no randomness, no key that outlives a
//! call's owner. The format is written down in `docs/format.md` and pinned by the known-answer vectors in
//! `tests/vectors/`; it only grows.
//!
//! | module | what |
//! |---|---|
//! | `derive` | the labels, and one key for each purpose, type family and context |
//! | `xaes` | XAES-256-GCM (C2SP), split so that a subkey can be kept |
//! | `siv` | AES-256-SIV (RFC 5297) |
//! | `envelope` | the bytes around a sealed value, and their strict reading |
//! | `value` | sealing and opening one value with derived keys |
//! | `text` | an envelope as text |
//! | `wrap` | a data key under a key-encryption key |

mod derive;
mod envelope;
mod siv;
mod text;
mod value;
mod wrap;
mod xaes;

use std::fmt;
use std::str::FromStr;

pub use derive::{Purpose, derive, key_id};
pub use envelope::{Body, Envelope, EnvelopeError, HEADER_LEN, Header, MAGIC, VERSION};
pub use siv::Siv;
pub use text::{TEXT_PREFIX, decode_text, encode_text, looks_like_text_envelope};
pub use value::{DeterministicKey, RandomizedKey, ValueKey};
pub use wrap::{WRAPPED_LEN, associated_data as wrap_associated_data, unwrap_key, wrap_key};
pub use xaes::{Subkey, Xaes};

/// The largest envelope, in bytes. PostgreSQL's own limit for a value is 1 GB; sealing and opening work on
/// whole values, so what one value may take is bounded well below.
pub const MAX_ENVELOPE: usize = 256 * 1024 * 1024;

/// Which native comparisons of the ciphertext mean the same as on the plaintext: the low nibble of an
/// envelope's second byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// None but NULL-ness.
    #[default]
    Randomized = 0,
    /// Equality.
    Deterministic = 1,
    /// Equality and order.
    Ordered = 2,
}

impl Mode {
    /// The name in a policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Randomized => "randomized",
            Self::Deterministic => "deterministic",
            Self::Ordered => "ordered",
        }
    }

    /// How many bytes an envelope has beside the canonical bytes; `None` where it depends on them.
    pub fn overhead(self) -> Option<usize> {
        match self {
            Self::Randomized => Some(HEADER_LEN + 24 + 16),
            Self::Deterministic => Some(HEADER_LEN + 16),
            Self::Ordered => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the keys of a value are derived for, beside the data key itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// How it is sealed.
    pub mode: Mode,
    /// Label of the type family, as `datum::Family` gives it. It holds no NUL.
    pub family: String,
    /// The context: by default `schema.table.column`, each part quoted as `quote_ident` does.
    pub context: String,
}

/// Which version of which data key sealed a value; shown as eight hexadecimal digits.
///
/// It is the first four bytes of a hash of the key ([`key_id`]), so it says nothing about the key's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The text is not eight lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is eight hexadecimal digits in lower case")]
pub struct InvalidKeyId;

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let strict = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match u32::from_str_radix(text, 16) {
            Ok(id) if strict => Ok(Self(id.to_be_bytes())),
            _ => Err(InvalidKeyId),
        }
    }
}

/// A ciphertext is not what was sealed under this key and associated data. It says no more on purpose: the
/// causes (a changed bit, another column, another key) cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext is not authentic")]
pub struct NotAuthentic;

/// A cipher refused its input. Its limits (64 GB) lie far above [`MAX_ENVELOPE`], so this is a fault of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cipher refused its input")]
pub struct CipherFault;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_reads_as_it_shows_and_nothing_else() {
        let id = KeyId([0x00, 0xab, 0xcd, 0xef]);
        assert_eq!(id.to_string(), "00abcdef");
        assert_eq!("00abcdef".parse(), Ok(id));
        for bad in ["", "00abcde", "00abcdef0", "00ABCDEF", "+0abcdef", "00abcdeg", "00abcde\u{e9}"] {
            assert_eq!(bad.parse::<KeyId>(), Err(InvalidKeyId), "{bad:?}");
        }
    }
}
