//! The form of a line, and the codes that chain lines to each other.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::secret::Secret;

/// What stands before the code at a line's end; behind it stand its digits, a quotation mark and a brace.
const CODE: &str = ",\"chain\":\"";
const END: &str = "\"}";

/// The code of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code(pub(super) [u8; 32]);

impl Code {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if !rest.is_empty() || digits.len() != bytes.len() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(digits) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |four: u8| DIGITS.get(usize::from(four & 15)).map_or('0', |digit| char::from(*digit));
        self.0.iter().try_for_each(|byte| {
            f.write_char(digit(byte >> 4))?;
            f.write_char(digit(*byte))
        })
    }
}

/// What every line begins with.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a, T> {
    /// Its number, from 1 on.
    pub(super) n: u64,
    pub(super) time: String,
    pub(super) kind: &'a str,
    #[serde(flatten)]
    pub(super) rest: T,
}

/// What a file begins with, and a process.
#[derive(Debug, Serialize)]
pub(super) struct Begin<'a> {
    /// Of this form.
    pub(super) version: u32,
    /// The data key of which the key of the codes is derived, from here on.
    pub(super) key: &'a str,
    /// The code of the line before, which may be in another file.
    pub(super) previous: String,
    /// Bytes of a record that was cut off by a crash, and taken away.
    pub(super) torn: u64,
}

/// What a reader has to know of a line.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) n: u64,
    pub(super) kind: String,
    pub(super) key: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) records: Option<u64>,
    pub(super) torn: Option<u64>,
}

/// The code of a line whose bytes before it are these.
pub(super) fn code(key: &Secret<32>, previous: Code, before: &[u8]) -> Code {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length");
    mac.update(&previous.0);
    mac.update(before);
    Code(mac.finalize().into_bytes().into())
}

/// Appends a line, and gives its code.
pub(super) fn append(
    line: &impl Serialize,
    key: &Secret<32>,
    previous: Code,
    out: &mut Vec<u8>,
) -> serde_json::Result<Code> {
    let start = out.len();
    serde_json::to_writer(&mut *out, line)?;
    out.pop();
    let code = code(key, previous, out.get(start..).unwrap_or_default());
    out.extend_from_slice(format!("{CODE}{code}{END}\n").as_bytes());
    Ok(code)
}

/// A line without its end, as what its code is over, and the code.
pub(super) fn split(line: &str) -> Option<(&str, Code)> {
    let (before, code) = line.strip_suffix(END)?.rsplit_once(CODE)?;
    Some((before, Code::parse(code)?))
}
