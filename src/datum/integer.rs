//! Int2, int4 and int8: family `int`, canonical form 8 bytes, big-endian two's complement.
//!
//! One form for the three widths, so that widening a column needs no re-encryption.

use std::borrow::Cow;

use super::cursor::exactly;
use super::{Base, DatumError, Quoted, text};

/// Reads digits with a sign, within the range of the type.
pub(super) fn parse(base: &Base, input: &str) -> Result<i64, DatumError> {
    let name = name(base);
    let digits = text::trim(input);
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DatumError::syntax(name, input));
    }
    let value = digits.parse().ok().filter(|value| fits(base, *value));
    value.ok_or_else(|| DatumError::ValueOutOfRange { ty: Cow::Borrowed(name), input: Quoted::new(input) })
}

pub(super) fn receive(base: &Base, bytes: &[u8]) -> Result<i64, DatumError> {
    let (value, length) = match base {
        Base::Int2 => (exactly(bytes).map(|bytes| i64::from(i16::from_be_bytes(bytes))), 2),
        Base::Int4 => (exactly(bytes).map(|bytes| i64::from(i32::from_be_bytes(bytes))), 4),
        _ => (exactly(bytes).map(i64::from_be_bytes), 8),
    };
    value.ok_or_else(|| DatumError::received(name(base), bytes, length))
}

pub(super) fn read(canonical: &[u8]) -> Option<i64> {
    exactly(canonical).map(i64::from_be_bytes)
}

/// Writes the binary format; `None` if the value does not fit the type.
pub(super) fn send(base: &Base, value: i64, out: &mut Vec<u8>) -> Option<()> {
    match base {
        Base::Int2 => out.extend_from_slice(&i16::try_from(value).ok()?.to_be_bytes()),
        Base::Int4 => out.extend_from_slice(&i32::try_from(value).ok()?.to_be_bytes()),
        _ => out.extend_from_slice(&value.to_be_bytes()),
    }
    Some(())
}

/// Whether the type holds the value.
pub(super) fn fits(base: &Base, value: i64) -> bool {
    match base {
        Base::Int2 => i16::try_from(value).is_ok(),
        Base::Int4 => i32::try_from(value).is_ok(),
        _ => true,
    }
}

/// The value, if the type holds it.
pub(super) fn checked(base: &Base, value: i64) -> Result<i64, DatumError> {
    fits(base, value).then_some(value).ok_or_else(|| DatumError::OutOfRange { ty: Cow::Borrowed(name(base)) })
}

pub(super) fn name(base: &Base) -> &'static str {
    match base {
        Base::Int2 => "smallint",
        Base::Int4 => "integer",
        _ => "bigint",
    }
}
