//! Uuid: canonical form its 16 bytes.

use super::DatumError;
use super::bytea::hex_pair;

/// Bytes of a uuid.
pub(super) const LENGTH: usize = 16;

/// 32 digits, with a hyphen allowed after every four and braces around the whole.
pub(super) fn parse(input: &str) -> Result<[u8; LENGTH], DatumError> {
    parse_inner(input).ok_or_else(|| DatumError::syntax("uuid", input))
}

pub(super) fn print(uuid: [u8; LENGTH], out: &mut Vec<u8>) {
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&hex_pair(*byte));
    }
}

fn parse_inner(input: &str) -> Option<[u8; LENGTH]> {
    let body = match input.strip_prefix('{') {
        Some(body) => body.strip_suffix('}')?,
        None => input,
    };
    let mut chars = body.chars().peekable();
    let mut uuid = [0; LENGTH];
    for (at, byte) in uuid.iter_mut().enumerate() {
        let mut digit = || chars.next()?.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit()? << 4 | digit()?;
        if at % 2 == 1 && at < LENGTH - 1 {
            chars.next_if_eq(&'-');
        }
    }
    chars.next().is_none().then_some(uuid)
}
