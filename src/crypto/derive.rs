//! One key for each purpose, type family and context: HKDF-SHA256 without salt.
//!
//! <https://www.rfc-editor.org/rfc/rfc5869>

use hkdf::Hkdf;
use sha2::Sha256;

use super::KeyId;
use crate::secret::Secret;

/// What every label begins with.
const LABEL_PREFIX: &[u8] = b"pgseal/v1/";

/// What a key (or an id, or a wrap) is made for. This is the one table of labels; a label never changes
/// its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The id of a data key.
    Id,
    /// The XAES-256-GCM key of randomized values: 32 bytes.
    Seal,
    /// The AES-256-SIV key of deterministic values, and of ordered ones: 64 bytes.
    Siv,
    /// The key of order tokens: 32 bytes.
    Order,
    /// The key by which users who are not known get their salts: 32 bytes.
    Mock,
    /// The key of the codes in the audit log: 32 bytes.
    Audit,
    /// Not a derivation: the associated data of a wrapped data key.
    Wrap,
}

impl Purpose {
    /// The label after [`LABEL_PREFIX`].
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Id => b"id",
            Self::Seal => b"seal",
            Self::Siv => b"siv",
            Self::Order => b"order",
            Self::Mock => b"mock",
            Self::Audit => b"audit",
            Self::Wrap => b"wrap",
        }
    }

    /// The whole label, in the parts that make it.
    pub(super) fn parts(self) -> [&'static [u8]; 2] {
        [LABEL_PREFIX, self.label()]
    }
}

/// The id of a data key: the first four bytes of HKDF-SHA256(key, info `pgseal/v1/id`).
pub fn key_id(key: &Secret<32>) -> KeyId {
    let mut id = [0; 4];
    let [prefix, label] = Purpose::Id.parts();
    expand(key, &[prefix, label], &mut id);
    KeyId(id)
}

/// The key of `purpose` for a type family and a context:
/// HKDF-SHA256(key, info `pgseal/v1/` + purpose + NUL + family + NUL + context).
///
/// The family holds no NUL, so that no two pairs of family and context have one info.
pub fn derive<const N: usize>(key: &Secret<32>, purpose: Purpose, family: &str, context: &str) -> Secret<N> {
    const { assert!(N <= 64, "more than HKDF would have to be asked for") };
    let [prefix, label] = purpose.parts();
    let info = [prefix, label, b"\0", family.as_bytes(), b"\0", context.as_bytes()];
    let Ok(derived) = Secret::try_fill(|out| {
        expand(key, &info, out);
        Ok::<(), std::convert::Infallible>(())
    });
    derived
}

#[expect(
    clippy::expect_used,
    reason = "HKDF refuses only lengths above 8,160 bytes; ours are constants up to 64"
)]
fn expand(key: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
    Hkdf::<Sha256>::new(None, key.expose()).expand_multi_info(info, out).expect("at most 64 bytes")
}
