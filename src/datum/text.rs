//! Text, varchar, bpchar and enum labels: family `text`, canonical form UTF-8 without U+0000.
//!
//! A `char(n)` is sealed without its padding and padded again on the way out. A `bpchar` without a
//! length keeps the spaces it was written with.

use super::{DatumError, EnumType, Quoted, Type};

/// The bytes as text: valid UTF-8 without U+0000, as the server demands of every value in text format.
///
/// # Errors
/// 22021, with the first bytes that are not.
pub fn utf8(bytes: &[u8]) -> Result<&str, DatumError> {
    let valid = match (std::str::from_utf8(bytes), memchr::memchr(0, bytes)) {
        (Ok(text), None) => return Ok(text),
        (Ok(_), Some(zero)) => zero,
        (Err(error), zero) => error.valid_up_to().min(zero.unwrap_or(bytes.len())),
    };
    let bad = bytes.get(valid..).unwrap_or_default();
    let length = match bad.first() {
        Some(0xC0..0xE0) => 2,
        Some(0xE0..0xF0) => 3,
        Some(0xF0..0xF8) => 4,
        _ => 1,
    };
    let shown: Vec<_> = bad.iter().take(length).map(|b| format!("0x{b:02x}")).collect();
    Err(DatumError::Encoding(shown.join(" ")))
}

/// Whether the bytes are what [`utf8`] takes. Most text is ASCII, which is seen faster.
///
/// # Errors
/// As there.
pub fn check_utf8(bytes: &[u8]) -> Result<(), DatumError> {
    if bytes.is_ascii() && memchr::memchr(0, bytes).is_none() {
        return Ok(());
    }
    utf8(bytes).map(drop)
}

/// The length of what is valid at the front of `bytes`.
pub fn valid_up_to(bytes: &[u8]) -> usize {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    memchr::memchr(0, bytes).unwrap_or(bytes.len()).min(valid)
}

/// Whether an enum has the label.
pub(super) fn check_label(ty: &EnumType, label: &str) -> Result<(), DatumError> {
    if ty.labels.iter().any(|known| known == label) {
        return Ok(());
    }
    // The server names the type without its schema.
    let name = ty.name.rsplit_once('.').map_or(ty.name.as_str(), |(_, name)| name);
    Err(DatumError::EnumLabel { ty: name.to_owned(), input: Quoted::new(label) })
}

/// Cuts `out[start..]` to the declared length: spaces beyond it go silently, anything else is an error.
pub(super) fn fit(ty: &Type, out: &mut Vec<u8>, start: usize) -> Result<(), DatumError> {
    let Some(limit) = ty.length() else { return Ok(()) };
    let Some(text) = out.get(start..).filter(|text| text.len() > limit) else { return Ok(()) };
    if let Some(end) = nth_char(text, limit) {
        if text.iter().skip(end).any(|byte| *byte != b' ') {
            return Err(DatumError::TooLong { ty: ty.name() });
        }
        out.truncate(start + end);
    }
    Ok(())
}

/// Cuts a string to the declared length, as an explicit cast does.
pub(super) fn cut(ty: &Type, text: &mut Vec<u8>) {
    if let Some(end) = ty.length().and_then(|limit| nth_char(text, limit)) {
        text.truncate(end);
    }
}

/// Takes trailing spaces off `out[start..]`.
pub(super) fn trim_end(out: &mut Vec<u8>, start: usize) {
    let kept = out.iter().skip(start).rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    out.truncate(start + kept);
}

/// Writes a `bpchar` with its padding.
pub(super) fn pad(ty: &Type, canonical: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(canonical);
    if let Some(length) = ty.length() {
        let missing = length.saturating_sub(canonical.iter().filter(|byte| is_char_start(**byte)).count());
        out.extend(std::iter::repeat_n(b' ', missing));
    }
}

/// Text without what C's `isspace` calls space around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// C's `isspace`.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// The byte at which the character after the first `n` starts, if there is one.
fn nth_char(text: &[u8], n: usize) -> Option<usize> {
    text.iter().enumerate().filter(|(_, byte)| is_char_start(**byte)).nth(n).map(|(at, _)| at)
}

fn is_char_start(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}
