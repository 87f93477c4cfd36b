//! Bytea: canonical form the bytes themselves.

use super::{DatumError, Quoted};

/// Reads the hexadecimal form (`\x00ff`) or the escape form (`a\000\\`).
pub(super) fn parse(input: &str, out: &mut Vec<u8>) -> Result<(), DatumError> {
    match input.strip_prefix("\\x") {
        Some(hex) => parse_hex(hex, out),
        None => parse_escape(input, out),
    }
}

/// Writes the hexadecimal form.
pub(super) fn print_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        out.extend_from_slice(&hex_pair(*byte));
    }
}

/// Writes the escape form.
pub(super) fn print_escape(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7E => out.push(*byte),
            _ => out.extend_from_slice(&[
                b'\\',
                b'0' + (byte >> 6),
                b'0' + ((byte >> 3) & 7),
                b'0' + (byte & 7),
            ]),
        }
    }
}

/// A byte as two hexadecimal digits.
pub(super) fn hex_pair(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 })
}

fn parse_hex(hex: &str, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let mut chars = hex.chars();
    let digit = |c: char| {
        let value = c.to_digit(16).and_then(|value| u8::try_from(value).ok());
        value.ok_or_else(|| DatumError::HexDigit(Quoted::new(c)))
    };
    out.reserve(hex.len() / 2);
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(c)?;
        let low = digit(chars.next().ok_or(DatumError::HexLength)?)?;
        out.push(high << 4 | low);
    }
    Ok(())
}

fn parse_escape(input: &str, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let mut rest = input.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(()),
            [b'\\', b'\\', tail @ ..] => {
                out.push(b'\\');
                tail
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            [b'\\', ..] => return Err(DatumError::ByteaEscape),
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        }
    }
}
