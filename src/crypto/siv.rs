//! AES-256-SIV: the same plaintext under the same key and associated data gives the same ciphertext.
//!
//! <https://www.rfc-editor.org/rfc/rfc5297>

use aes_siv::KeyInit;
use aes_siv::aead::inout::InOutBuf;
use aes_siv::siv::Aes256Siv;
use zeroize::Zeroize;

use super::{CipherFault, NotAuthentic};
use crate::secret::Secret;

/// AES-SIV with a 64-byte key, whose first half makes the synthetic IV and whose second half encrypts.
pub struct Siv(Aes256Siv);

impl Siv {
    /// Prepares a key.
    pub fn new(key: &Secret<64>) -> Self {
        Self(Aes256Siv::new(key.expose().into()))
    }

    /// Appends synthetic IV (16 bytes) and ciphertext to `out`.
    ///
    /// # Errors
    /// A fault of ours; `out` is then as it was.
    pub fn seal(
        &mut self,
        associated_data: &[&[u8]],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CipherFault> {
        let start = out.len();
        // As in XAES: plaintext is read in its place, `out` sees ciphertext only.
        out.resize(start + 16 + plaintext.len(), 0);
        let sealed = out.get_mut(start..).and_then(|target| target.split_first_chunk_mut::<16>()).and_then(
            |(iv, body)| {
                let buffer = InOutBuf::new(plaintext, body).ok()?;
                *iv = self.0.encrypt_inout_detached(associated_data, buffer).ok()?.into();
                Some(())
            },
        );
        if sealed.is_none() {
            out.truncate(start);
            return Err(CipherFault);
        }
        Ok(())
    }

    /// Appends the plaintext to `out`.
    ///
    /// # Errors
    /// The synthetic IV does not fit; `out` is then as it was.
    pub fn open(
        &mut self,
        associated_data: &[&[u8]],
        iv: &[u8; 16],
        ciphertext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), NotAuthentic> {
        let start = out.len();
        out.extend_from_slice(ciphertext);
        let buffer = out.get_mut(start..).unwrap_or_default();
        // SIV has to decrypt before it can check, so what did not pass is wiped.
        let opened = self.0.decrypt_inout_detached(associated_data, (&mut *buffer).into(), iv.into()).is_ok();
        if !opened {
            buffer.zeroize();
            out.truncate(start);
            return Err(NotAuthentic);
        }
        Ok(())
    }
}
