//! A key-encryption key that is at hand as 32 bytes.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::{KekError, KekProvider, WrapContext};
use crate::crypto::{unwrap_key, wrap_key};
use crate::keyring::Entropy;
use crate::secret::Secret;

/// A key-encryption key that is at hand.
pub(super) struct LocalKek(pub(super) Secret<32>);

impl KekProvider for LocalKek {
    fn wrap(
        &self,
        context: WrapContext<'_>,
        key: &Secret<32>,
        entropy: &mut Entropy,
    ) -> Result<Vec<u8>, KekError> {
        let mut nonce = [0; 24];
        entropy(&mut nonce)?;
        Ok(wrap_key(&self.0, &nonce, context.name, context.id, key)?)
    }

    fn unwrap(&self, context: WrapContext<'_>, wrapped: &[u8]) -> Result<Secret<32>, KekError> {
        unwrap_key(&self.0, context.name, context.id, wrapped).map_err(|_| KekError::NotAuthentic)
    }
}

/// 32 bytes from 64 hexadecimal digits, or from base64 in either alphabet, padded or not.
pub(super) fn key_from_text(text: &str) -> Option<Secret<32>> {
    let text = text.trim_ascii();
    if text.len() == 64 {
        return Secret::try_fill(|bytes| {
            text.as_bytes().chunks_exact(2).zip(bytes).try_for_each(|(pair, byte)| {
                let digits =
                    std::str::from_utf8(pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit));
                *byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(())?;
                Ok::<(), ()>(())
            })
        })
        .ok();
    }
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = Zeroizing::new(GeneralPurpose::new(alphabet, config).decode(text).ok()?);
    Secret::from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_32_bytes_in_base64_or_hexadecimal_is_a_key_and_nothing_else_is() {
        let bytes: [u8; 32] = std::array::from_fn(|i| 0xF8 ^ u8::try_from(i).unwrap());
        for good in [
            "f8f9fafbfcfdfefff0f1f2f3f4f5f6f7e8e9eaebecedeeefe0e1e2e3e4e5e6e7",
            "F8F9FAFBFCFDFEFFF0F1F2F3F4F5F6F7E8E9EAEBECEDEEEFE0E1E2E3E4E5E6E7",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5uc=",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5uc\n",
            "-Pn6-_z9_v_w8fLz9PX29-jp6uvs7e7v4OHi4-Tl5uc",
        ] {
            assert_eq!(key_from_text(good).map(|key| *key.expose()), Some(bytes), "{good}");
        }
        for bad in [
            "",
            "password",
            "f8f9fafbfcfdfefff0f1f2f3f4f5f6f7e8e9eaebecedeeefe0e1e2e3e4e5e6+7",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5g==",
            "+Pn6-/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5uc=",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5uf=",
        ] {
            assert!(key_from_text(bad).is_none(), "{bad}");
        }
    }
}
