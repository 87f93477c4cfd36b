//! XAES-256-GCM: AES-256-GCM with a 24-byte nonce that may be drawn at random.
//!
//! A subkey is derived from the first 12 bytes of the nonce; AES-256-GCM runs under it with the last 12.
//! The two steps are apart here, so that one who keeps the prefix can keep the subkey.
//!
//! <https://c2sp.org/XAES-256-GCM>

use aes::Aes256;
use aes::cipher::BlockCipherEncrypt;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::{Zeroize, Zeroizing};

use super::{CipherFault, NotAuthentic};
use crate::secret::Secret;

/// An XAES-256-GCM key, ready to derive subkeys.
pub struct Xaes {
    cipher: Aes256,
    /// The CMAC subkey K1: the encrypted zero block, doubled.
    k1: Zeroizing<[u8; 16]>,
}

impl Xaes {
    /// Prepares a key.
    pub fn new(key: &Secret<32>) -> Self {
        let cipher = Aes256::new(key.expose().into());
        let mut zero = [0; 16].into();
        cipher.encrypt_block(&mut zero);
        let k1 = Zeroizing::new(double(u128::from_be_bytes(zero.into())).to_be_bytes());
        zero.zeroize();
        Self { cipher, k1 }
    }

    /// The AES-256-GCM key of all nonces that begin with `prefix`.
    pub fn subkey(&self, prefix: &[u8; 12]) -> Subkey {
        let mut key = Zeroizing::new([0; 32]);
        for (half, counter) in key.chunks_exact_mut(16).zip([1, 2]) {
            // CMAC of one whole block: counter (16 bits), label "X", a zero byte, the prefix.
            let head = [0, counter, b'X', 0];
            let mut block = *self.k1;
            block.iter_mut().zip(head.iter().chain(prefix)).for_each(|(b, m)| *b ^= m);
            let mut block = block.into();
            self.cipher.encrypt_block(&mut block);
            half.copy_from_slice(&block);
            block.zeroize();
        }
        Subkey(Aes256Gcm::new((&*key).into()))
    }
}

/// AES-256-GCM under a derived key.
pub struct Subkey(Aes256Gcm);

impl Subkey {
    /// Appends ciphertext and tag (16 bytes more than `plaintext`) to `out`. `nonce` is the second half of
    /// the 24 bytes and must never repeat under this subkey.
    ///
    /// # Errors
    /// A fault of ours; `out` is then as it was.
    pub fn seal(
        &self,
        nonce: &[u8; 12],
        associated_data: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CipherFault> {
        let start = out.len();
        // The cipher reads the plaintext where it is and writes ciphertext only: no copy of the plaintext
        // is ever in `out`, whatever goes wrong.
        out.resize(start + plaintext.len(), 0);
        let target = out.get_mut(start..).unwrap_or_default();
        let tag = InOutBuf::new(plaintext, target)
            .ok()
            .and_then(|buffer| self.0.encrypt_inout_detached(nonce.into(), associated_data, buffer).ok());
        match tag {
            Some(tag) => {
                out.extend_from_slice(&tag);
                Ok(())
            }
            None => {
                out.truncate(start);
                Err(CipherFault)
            }
        }
    }

    /// Appends the plaintext to `out`.
    ///
    /// # Errors
    /// The tag does not fit; `out` is then as it was, and no byte was decrypted.
    pub fn open(
        &self,
        nonce: &[u8; 12],
        associated_data: &[u8],
        ciphertext: &[u8],
        tag: &[u8; 16],
        out: &mut Vec<u8>,
    ) -> Result<(), NotAuthentic> {
        let start = out.len();
        out.extend_from_slice(ciphertext);
        let opened = out.get_mut(start..).is_some_and(|buffer| {
            self.0.decrypt_inout_detached(nonce.into(), associated_data, buffer.into(), tag.into()).is_ok()
        });
        if !opened {
            out.truncate(start);
            return Err(NotAuthentic);
        }
        Ok(())
    }
}

/// Doubling in GF(2^128) as CMAC does it, in constant time.
fn double(block: u128) -> u128 {
    (block << 1) ^ ((block >> 127) * 0x87)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_the_derivation_are_those_of_the_specification() {
        // K1 for both values of the most significant bit, from the specification's test vectors.
        for (key, k1) in [
            (0x01, 0xe531954a_ca063d5b_8d9c47a4_7d4cc6f0_u128),
            (0x03, 0x23810ec5_0edb99f3_74409466_ed1f4b7b_u128),
        ] {
            assert_eq!(*Xaes::new(&Secret::new([key; 32])).k1, k1.to_be_bytes());
        }
    }
}
