//! A data key under a key-encryption key that is at hand as 32 bytes.
//!
//! XAES-256-GCM with a random nonce; the associated data is `pgseal/v1/wrap`, NUL, the key's name, NUL, its
//! id. A provider that holds its key elsewhere (a KMS) wraps in its own way and binds the same two.

use super::{CipherFault, KeyId, NotAuthentic, Purpose, Xaes};
use crate::secret::Secret;

/// Size of a wrapped key: nonce (24), ciphertext (32), tag (16).
pub const WRAPPED_LEN: usize = 24 + 32 + 16;

/// Wraps a data key. `nonce` is random and used for nothing else.
///
/// # Errors
/// A fault of ours.
pub fn wrap_key(
    kek: &Secret<32>,
    nonce: &[u8; 24],
    name: &str,
    id: KeyId,
    key: &Secret<32>,
) -> Result<Vec<u8>, CipherFault> {
    let (prefix, rest) = halves(nonce).ok_or(CipherFault)?;
    let mut wrapped = Vec::with_capacity(WRAPPED_LEN);
    wrapped.extend_from_slice(nonce);
    Xaes::new(kek).subkey(prefix).seal(rest, &associated_data(name, id), key.expose(), &mut wrapped)?;
    Ok(wrapped)
}

/// Unwraps a data key.
///
/// # Errors
/// It was not wrapped by this key-encryption key, or for another name or id, or it is damaged.
pub fn unwrap_key(
    kek: &Secret<32>,
    name: &str,
    id: KeyId,
    wrapped: &[u8],
) -> Result<Secret<32>, NotAuthentic> {
    let (nonce, rest) = wrapped.split_first_chunk::<24>().ok_or(NotAuthentic)?;
    let (ciphertext, tag) = rest.split_last_chunk().ok_or(NotAuthentic)?;
    let (prefix, nonce) = halves(nonce).ok_or(NotAuthentic)?;
    let mut key = zeroize::Zeroizing::new(Vec::with_capacity(ciphertext.len()));
    Xaes::new(kek).subkey(prefix).open(nonce, &associated_data(name, id), ciphertext, tag, &mut key)?;
    Secret::from_slice(&key).ok_or(NotAuthentic)
}

fn halves(nonce: &[u8; 24]) -> Option<(&[u8; 12], &[u8; 12])> {
    let (prefix, rest) = nonce.split_first_chunk()?;
    Some((prefix, rest.first_chunk()?))
}

/// What a wrap is bound to, whoever makes it: `pgseal/v1/wrap`, NUL, name, NUL, id.
pub fn associated_data(name: &str, id: KeyId) -> Vec<u8> {
    let [prefix, label] = Purpose::Wrap.parts();
    [prefix, label, b"\0", name.as_bytes(), b"\0", &id.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: KeyId = KeyId([1, 2, 3, 4]);

    #[test]
    fn a_wrapped_key_comes_back_only_under_its_kek_name_and_id() {
        let (kek, key) = (Secret::new([7; 32]), Secret::new([9; 32]));
        let wrapped = wrap_key(&kek, &[5; 24], "default", ID, &key).unwrap();
        assert_eq!(wrapped.len(), WRAPPED_LEN);
        assert_eq!(unwrap_key(&kek, "default", ID, &wrapped).unwrap().expose(), key.expose());
        for (kek, name, id) in
            [([8; 32], "default", ID), ([7; 32], "defaulT", ID), ([7; 32], "default", KeyId([0; 4]))]
        {
            assert!(unwrap_key(&Secret::new(kek), name, id, &wrapped).is_err(), "{name} {id}");
        }
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(unwrap_key(&kek, "default", ID, &changed).is_err(), "byte {at}");
            assert!(unwrap_key(&kek, "default", ID, &wrapped[..at]).is_err(), "cut at {at}");
        }
    }
}
