//! Bool: canonical form one byte, 0 or 1.

use super::{DatumError, text};

const NAME: &str = "boolean";

/// Words that mean true and false; any prefix that is not of both kinds will do.
const WORDS: [(&str, usize, bool); 8] = [
    ("true", 1, true),
    ("false", 1, false),
    ("yes", 1, true),
    ("no", 1, false),
    ("on", 2, true),
    ("off", 2, false),
    ("1", 1, true),
    ("0", 1, false),
];

pub(super) fn parse(input: &str) -> Result<bool, DatumError> {
    let word = text::trim(input).to_ascii_lowercase();
    WORDS
        .iter()
        .find(|(full, shortest, _)| word.len() >= *shortest && full.starts_with(&word))
        .map(|(.., value)| *value)
        .ok_or_else(|| DatumError::syntax(NAME, input))
}

/// Any byte but 0 is true.
pub(super) fn receive(bytes: &[u8]) -> Result<bool, DatumError> {
    match bytes {
        [byte] => Ok(*byte != 0),
        _ => Err(DatumError::received(NAME, bytes, 1)),
    }
}

pub(super) fn read(canonical: &[u8]) -> Option<bool> {
    match canonical {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}
