//! AES-SIV: the same plaintext under the same key and associated data gives the same ciphertext.
//!
//! The associated data of a column's values is always the same, so what it adds to the synthetic IV is computed once
//! with the key schedules. A short value then costs two or three blocks for its IV and as many to encrypt it.
//!
//! <https://www.rfc-editor.org/rfc/rfc5297>

use aes::Aes256;
use aes::cipher::array::Array;
use aes::cipher::consts::{U16, U32, U64};
use aes::cipher::{Block, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::NotAuthentic;
use super::xaes::double;
use crate::secret::Secret;

/// AES-SIV under one key and for one list of associated data. AES-256 is what is stored; the vectors of the RFC are
/// of AES-128.
pub struct Siv<C = Aes256> {
    mac: Cmac<C>,
    cipher: C,
    /// S2V of the associated data: D before the plaintext is added.
    associated: Zeroizing<u128>,
}

impl Siv {
    /// Prepares a key of 64 bytes, whose first half makes the synthetic IV and whose second half encrypts.
    pub fn new(key: &Secret<64>, associated_data: &[&[u8]]) -> Self {
        let key: &Array<u8, U64> = key.expose().into();
        let (mac, cipher) = key.split_ref::<U32>();
        Self::with(Aes256::new(mac), Aes256::new(cipher), associated_data)
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> Siv<C> {
    /// The cipher that makes the synthetic IV, and the one that encrypts.
    pub fn with(mac: C, cipher: C, associated_data: &[&[u8]]) -> Self {
        let mac = Cmac::new(mac);
        let mut associated = Zeroizing::new(mac.of(&[0; 16], 0));
        for part in associated_data {
            *associated = double(*associated) ^ mac.of(part, 0);
        }
        Self { mac, cipher, associated }
    }

    /// Appends synthetic IV (16 bytes) and ciphertext to `out`.
    pub fn seal(&self, plaintext: &[u8], out: &mut Vec<u8>) {
        let iv = self.iv(plaintext).to_be_bytes();
        out.extend_from_slice(&iv);
        self.encrypt(&iv, plaintext, out);
    }

    /// Appends the plaintext to `out`.
    ///
    /// # Errors
    /// The synthetic IV does not fit; `out` is then as it was.
    pub fn open(&self, iv: &[u8; 16], ciphertext: &[u8], out: &mut Vec<u8>) -> Result<(), NotAuthentic> {
        let start = out.len();
        self.encrypt(iv, ciphertext, out);
        let opened = out.get_mut(start..).unwrap_or_default();
        // SIV has to decrypt before it can check, so what did not pass is wiped.
        if bool::from(self.iv(opened).to_be_bytes().ct_eq(iv)) {
            return Ok(());
        }
        opened.zeroize();
        out.truncate(start);
        Err(NotAuthentic)
    }

    /// S2V (section 2.4).
    fn iv(&self, plaintext: &[u8]) -> u128 {
        // D is put on the end of a plaintext of a block or more, and under a shorter one.
        match plaintext.len() {
            16.. => self.mac.of(plaintext, *self.associated),
            _ => self.mac.of_block(padded(plaintext) ^ double(*self.associated)),
        }
    }

    /// Appends `input` encrypted, or decrypted, in counter mode (section 2.5).
    fn encrypt(&self, iv: &[u8; 16], input: &[u8], out: &mut Vec<u8>) {
        /// The top bits of the last two words, which are not counted with.
        const NOT_COUNTED: u128 = 1 << 63 | 1 << 31;
        let mut counter = u128::from_be_bytes(*iv) & !NOT_COUNTED;
        let start = out.len();
        out.resize(start + input.len().next_multiple_of(16), 0);
        let (blocks, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<16>();
        for block in &mut *blocks {
            *block = counter.to_be_bytes();
            counter = counter.wrapping_add(1);
        }
        self.cipher.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        out.truncate(start + input.len());
        let stream = out.get_mut(start..).unwrap_or_default();
        stream.iter_mut().zip(input).for_each(|(byte, with)| *byte ^= with);
    }
}

/// CMAC (RFC 4493).
struct Cmac<C> {
    cipher: C,
    /// The subkeys for a message that ends with a whole block, and for one that is padded.
    whole: Zeroizing<u128>,
    padded: Zeroizing<u128>,
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> Cmac<C> {
    fn new(cipher: C) -> Self {
        let whole = Zeroizing::new(double(encrypted(&cipher, 0)));
        let padded = Zeroizing::new(double(*whole));
        Self { cipher, whole, padded }
    }

    /// The code of a message with `end` added to its last 16 bytes; a shorter one takes only 0.
    fn of(&self, message: &[u8], end: u128) -> u128 {
        let (blocks, rest) = message.as_chunks::<16>();
        let (last, blocks) = match blocks.split_last() {
            None => return encrypted(&self.cipher, padded(rest) ^ *self.padded),
            Some((last, blocks)) => (u128::from_be_bytes(*last), blocks),
        };
        let code = blocks.iter().fold(0, |code, b| encrypted(&self.cipher, code ^ u128::from_be_bytes(*b)));
        if rest.is_empty() {
            return encrypted(&self.cipher, code ^ last ^ end ^ *self.whole);
        }
        // What is added lies over two blocks.
        let behind = 8 * rest.len();
        let code = encrypted(&self.cipher, code ^ last ^ (end >> behind));
        encrypted(&self.cipher, code ^ padded(rest) ^ (end << (128 - behind)) ^ *self.padded)
    }

    /// The code of a message of one block.
    fn of_block(&self, block: u128) -> u128 {
        encrypted(&self.cipher, block ^ *self.whole)
    }
}

fn encrypted<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>>(cipher: &C, block: u128) -> u128 {
    let mut block: Block<C> = block.to_be_bytes().into();
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// Less than a block with a one and zeroes behind it.
fn padded(part: &[u8]) -> u128 {
    let mut block = [0; 16];
    block.iter_mut().zip(part.iter().chain([&0x80])).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(block)
}

#[cfg(test)]
mod tests {
    use aes_siv::siv::Aes256Siv;

    use super::*;

    #[test]
    fn values_of_every_length_are_those_of_another_implementation() {
        let key: [u8; 64] = std::array::from_fn(|i| u8::try_from(i * 3).unwrap());
        let bytes: Vec<u8> = (0..=255).chain(0..=255).collect();
        let mut other: Aes256Siv = aes_siv::KeyInit::new((&key).into());
        let secret = Secret::new(key);
        for associated in (0..=49).chain([255]).map(|length| &bytes[7..7 + length]) {
            let siv = Siv::new(&secret, &[associated]);
            for plaintext in (0..=50).chain([127, 128, 129, 300]).map(|length| &bytes[..length]) {
                let mut sealed = b"kept".to_vec();
                siv.seal(plaintext, &mut sealed);
                let expected = other.encrypt([associated], plaintext).unwrap();
                assert_eq!(sealed[4..], expected, "{} and {} bytes", associated.len(), plaintext.len());
                let (iv, ciphertext) = expected.split_first_chunk().unwrap();
                let mut opened = b"kept".to_vec();
                siv.open(iv, ciphertext, &mut opened).unwrap();
                assert_eq!(opened[4..], *plaintext);
            }
        }
    }

    #[test]
    fn a_counter_carries_over_all_its_bits() {
        // 2^128 - 1 with two bits taken out: the next block carries into the middle, the rest is counted on.
        let siv = Siv::new(&Secret::new([1; 64]), &[]);
        for iv in [u128::MAX, u128::MAX >> 64, (1 << 63) - 1, (1 << 31) - 1] {
            let counted = iv & !(1 << 63 | 1 << 31);
            let mut out = Vec::new();
            siv.encrypt(&iv.to_be_bytes(), &[0; 40], &mut out);
            for (number, block) in (0..).zip(out.chunks(16)) {
                let expected = encrypted(&siv.cipher, counted.wrapping_add(number)).to_be_bytes();
                assert_eq!(*block, expected[..block.len()]);
            }
        }
    }

    #[test]
    fn any_change_is_found_and_leaves_the_output_alone() {
        let siv = Siv::new(&Secret::new([1; 64]), &[b"context"]);
        for length in [0, 1, 15, 16, 17, 33] {
            let mut sealed = Vec::new();
            siv.seal(&vec![b'a'; length], &mut sealed);
            for bit in 0..8 * sealed.len() {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let (iv, ciphertext) = changed.split_first_chunk().unwrap();
                let mut out = b"kept".to_vec();
                assert_eq!(siv.open(iv, ciphertext, &mut out), Err(NotAuthentic));
                assert_eq!(out, b"kept");
            }
        }
    }
}
