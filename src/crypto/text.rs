//! Text storage: an envelope in a `text` or `varchar` column.
//!
//! `pgs1.`, then the envelope in base64url (RFC 4648, section 5) without padding. The six header bytes are
//! exactly the first eight characters after the prefix.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::EnvelopeError;

/// What every envelope in text form begins with.
pub const TEXT_PREFIX: &str = "pgs1.";

/// Appends the text form of an envelope to `out`; it is ASCII.
pub fn encode_text(envelope: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(TEXT_PREFIX.as_bytes());
    let start = out.len();
    // Never shorter than what the encoder needs, and cut to what it wrote.
    out.resize(start + envelope.len().div_ceil(3) * 4, 0);
    let target = out.get_mut(start..).unwrap_or_default();
    let written = URL_SAFE_NO_PAD.encode_slice(envelope, target).unwrap_or(0);
    out.truncate(start + written);
}

/// Appends the envelope whose text form is `text` to `out`. The envelope itself is not looked at.
///
/// # Errors
/// `text` has no prefix, or is not the one text form of any bytes (padding, other alphabets, white space
/// and bits left over are refused); `out` is then as it was.
pub fn decode_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), EnvelopeError> {
    let encoded = text.strip_prefix(TEXT_PREFIX.as_bytes()).ok_or(EnvelopeError::NotAnEnvelope)?;
    let start = out.len();
    URL_SAFE_NO_PAD.decode_vec(encoded, out).map_err(|_| {
        out.truncate(start);
        EnvelopeError::InvalidText
    })
}

/// True if `text` begins as an envelope in text form does, whether or not it is one. While a column holds
/// both plaintext and sealed values, this is what tells them apart.
pub fn looks_like_text_envelope(text: &[u8]) -> bool {
    text.starts_with(TEXT_PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{HEADER_LEN, Header, KeyId, Mode};

    fn encode(bytes: &[u8]) -> Vec<u8> {
        let mut out = b"kept".to_vec();
        encode_text(bytes, &mut out);
        out.split_off(4)
    }

    #[test]
    fn every_length_comes_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..bytes.len() {
            let text = encode(&bytes[..len]);
            assert!(looks_like_text_envelope(&text));
            let mut out = b"kept".to_vec();
            decode_text(&text, &mut out).unwrap();
            assert_eq!(out, [b"kept", &bytes[..len]].concat());
        }
    }

    #[test]
    fn the_header_is_the_first_eight_characters() {
        let header = Header { mode: Mode::Deterministic, key_id: KeyId([0xde, 0xad, 0xbe, 0xef]) }.to_bytes();
        let text = encode(&[&header[..], b"any body"].concat());
        assert_eq!(text[..13], encode(&header)[..]);
        assert_eq!(text[5..13].len() * 6, HEADER_LEN * 8);
    }

    #[test]
    fn what_is_not_the_canonical_text_is_refused_and_leaves_the_output_alone() {
        let text = encode(b"\xE5\x10abcde");
        assert_eq!(text, b"pgs1.5RBhYmNkZQ");
        for (bad, why) in [
            (&b"5RBhYmNkZQ"[..], EnvelopeError::NotAnEnvelope),
            (b"pgs1", EnvelopeError::NotAnEnvelope),
            (b"PGS1.5RBhYmNkZQ", EnvelopeError::NotAnEnvelope),
            (b"pgs1.5RBhYmNkZQ==", EnvelopeError::InvalidText),
            (b"pgs1.5RBhYmNkZR", EnvelopeError::InvalidText),
            (b"pgs1.5RBhYmNkZ", EnvelopeError::InvalidText),
            (b"pgs1.5RBhYmN+ZQ", EnvelopeError::InvalidText),
            (b"pgs1.5RBhYmN/ZQ", EnvelopeError::InvalidText),
            (b"pgs1.5RBhYmNk ZQ", EnvelopeError::InvalidText),
            (b"pgs1.5RBhYmNkZQ\n", EnvelopeError::InvalidText),
            (b"pgs1.5RBhYmN\xC3\xA9", EnvelopeError::InvalidText),
        ] {
            let mut out = b"kept".to_vec();
            assert_eq!(decode_text(bad, &mut out), Err(why), "{}", String::from_utf8_lossy(bad));
            assert_eq!(out, b"kept");
        }
    }
}
