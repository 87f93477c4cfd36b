//! Sealing and opening one value with the keys derived for it.

use super::{
    Binding, Body, CipherFault, HEADER_LEN, Header, KeyId, Mode, NotAuthentic, Purpose, Siv, Subkey, Xaes,
    derive,
};
use crate::secret::Secret;

/// The ciphers of one data key for one binding, and the associated data that goes with them.
pub enum ValueKey {
    /// Mode `randomized`.
    Randomized(RandomizedKey),
    /// Mode `deterministic`.
    Deterministic(DeterministicKey),
}

impl ValueKey {
    /// Derives them; `None` for mode `ordered`, whose order token is not part of this release.
    pub fn derive(key: &Secret<32>, key_id: KeyId, binding: &Binding) -> Option<Self> {
        let Binding { mode, family, context } = binding;
        let header = Header { mode: *mode, key_id }.to_bytes();
        let associated_data = [&header, context.as_bytes()].concat().into();
        match mode {
            Mode::Randomized => {
                let xaes = Xaes::new(&derive(key, Purpose::Seal, family, context));
                Some(Self::Randomized(RandomizedKey { xaes, header, associated_data }))
            }
            Mode::Deterministic => {
                let siv = Siv::new(&derive(key, Purpose::Siv, family, context));
                Some(Self::Deterministic(DeterministicKey { siv, header, associated_data }))
            }
            Mode::Ordered => None,
        }
    }
}

/// Seals and opens randomized values.
pub struct RandomizedKey {
    xaes: Xaes,
    header: [u8; HEADER_LEN],
    /// Header and context.
    associated_data: Box<[u8]>,
}

impl RandomizedKey {
    /// The subkey of all nonces that begin with `prefix`.
    pub fn subkey(&self, prefix: &[u8; 12]) -> Subkey {
        self.xaes.subkey(prefix)
    }

    /// Appends an envelope to `out`. `subkey` is that of `prefix`, and `nonce` was not used with it before.
    ///
    /// # Errors
    /// A fault of ours; `out` is then as it was.
    pub fn seal(
        &self,
        subkey: &Subkey,
        prefix: &[u8; 12],
        nonce: &[u8; 12],
        canonical: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CipherFault> {
        let start = out.len();
        out.reserve(HEADER_LEN + 24 + 16 + canonical.len());
        out.extend_from_slice(&self.header);
        out.extend_from_slice(prefix);
        out.extend_from_slice(nonce);
        subkey.seal(nonce, &self.associated_data, canonical, out).inspect_err(|_| out.truncate(start))
    }

    /// Appends the canonical bytes to `out`. `subkey` is that of the body's prefix.
    ///
    /// # Errors
    /// The body was not sealed by this key for this binding; `out` is then as it was.
    pub fn open(&self, subkey: &Subkey, body: &Body<'_>, out: &mut Vec<u8>) -> Result<(), NotAuthentic> {
        match body {
            Body::Randomized { prefix: _, nonce, ciphertext, tag } => {
                subkey.open(nonce, &self.associated_data, ciphertext, tag, out)
            }
            Body::Deterministic { .. } | Body::Ordered(_) => Err(NotAuthentic),
        }
    }
}

/// Seals and opens deterministic values.
pub struct DeterministicKey {
    siv: Siv,
    header: [u8; HEADER_LEN],
    /// Header and context.
    associated_data: Box<[u8]>,
}

impl DeterministicKey {
    /// Appends an envelope to `out`: always the same one for the same value.
    ///
    /// # Errors
    /// A fault of ours; `out` is then as it was.
    pub fn seal(&mut self, canonical: &[u8], out: &mut Vec<u8>) -> Result<(), CipherFault> {
        let start = out.len();
        out.reserve(HEADER_LEN + 16 + canonical.len());
        out.extend_from_slice(&self.header);
        self.siv.seal(&[&self.associated_data], canonical, out).inspect_err(|_| out.truncate(start))
    }

    /// Appends the canonical bytes to `out`.
    ///
    /// # Errors
    /// The body was not sealed by this key for this binding; `out` is then as it was.
    pub fn open(&mut self, body: &Body<'_>, out: &mut Vec<u8>) -> Result<(), NotAuthentic> {
        match body {
            Body::Deterministic { iv, ciphertext } => {
                self.siv.open(&[&self.associated_data], iv, ciphertext, out)
            }
            Body::Randomized { .. } | Body::Ordered(_) => Err(NotAuthentic),
        }
    }
}
