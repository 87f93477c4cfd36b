//! Values in text format: cut at delimiters, escaped by backslashes (`CopyReadAttributesText`,
//! `CopyAttributeOutText`).

use bytes::BytesMut;
use memchr::memchr2;

use super::Field;

/// Appends the fields of a line, at most `limit` of them.
pub(super) fn split(line: &[u8], delimiter: u8, limit: usize, fields: &mut Vec<Field>) {
    let (mut start, mut at) = (0, 0);
    while fields.len() < limit {
        let found = memchr2(delimiter, b'\\', line.get(at..).unwrap_or_default());
        let end = found.map_or(line.len(), |skipped| at + skipped);
        if line.get(end) == Some(&b'\\') {
            // A backslash takes the next byte with it; one at the very end of the data is none.
            at = end + 2;
            if at <= line.len() {
                continue;
            }
        }
        fields.push(Field { start, end, quoted: false });
        if line.get(end) != Some(&delimiter) {
            return;
        }
        (start, at) = (end + 1, end + 1);
    }
}

/// Appends the value of a field.
pub(super) fn unescape(mut raw: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', raw) {
        let (before, behind) = raw.split_at(at);
        out.extend_from_slice(before);
        raw = behind.get(1..).unwrap_or_default();
        let Some((byte, rest)) = raw.split_first() else { return };
        raw = rest;
        let byte = match *byte {
            b'0'..=b'7' => {
                let (mut value, mut digits) = (byte - b'0', 1);
                while let (true, Some((digit @ b'0'..=b'7', rest))) = (digits < 3, raw.split_first()) {
                    value = value << 3 | (digit - b'0');
                    digits += 1;
                    raw = rest;
                }
                value
            }
            b'x' => {
                let (mut value, mut digits) = (0, 0);
                while let (true, Some((digit, rest))) = (digits < 2, raw.split_first()) {
                    let Some(nibble) = char::from(*digit).to_digit(16) else { break };
                    // A digit has four bits.
                    value = value << 4 | u8::try_from(nibble).unwrap_or(0);
                    digits += 1;
                    raw = rest;
                }
                if digits == 0 { b'x' } else { value }
            }
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            other => other,
        };
        out.push(byte);
    }
    out.extend_from_slice(raw);
}

/// Appends a value as the server would write it.
pub(super) fn escape(mut value: &[u8], delimiter: u8, out: &mut BytesMut) {
    while let Some(at) = special(value, delimiter) {
        let (before, behind) = value.split_at(at);
        out.extend_from_slice(before);
        let Some((byte, rest)) = behind.split_first() else { return };
        value = rest;
        let letter = match *byte {
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            other => other,
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
    out.extend_from_slice(value);
}

/// The first byte that is escaped.
fn special(value: &[u8], delimiter: u8) -> Option<usize> {
    let is_special =
        |byte: &u8| (byte.wrapping_sub(0x08) <= 0x0d - 0x08) | (*byte == b'\\') | (*byte == delimiter);
    // In blocks and without branches, the compiler looks at many bytes at once.
    let (blocks, _) = value.as_chunks::<8>();
    let quiet = |block: &&[u8; 8]| !block.iter().fold(false, |found, byte| found | is_special(byte));
    let start = 8 * blocks.iter().take_while(quiet).count();
    let rest = value.get(start..).unwrap_or_default();
    rest.iter().position(is_special).map(|at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_at_delimiters_that_are_not_escaped() {
        for (line, wanted) in [
            ("", &[""][..]),
            ("a", &["a"]),
            ("a|b|", &["a", "b", ""]),
            ("a\\|b|c", &["a\\|b", "c"]),
            ("a\\\\|b", &["a\\\\", "b"]),
            ("a|b\\", &["a", "b"]),
            ("\\", &[""]),
            ("a|b|c|d|e", &["a", "b", "c", "d"]),
        ] {
            let mut fields = Vec::new();
            split(line.as_bytes(), b'|', 4, &mut fields);
            let given: Vec<&str> = fields.iter().map(|f| line.get(f.start..f.end).unwrap()).collect();
            assert_eq!(given, wanted, "{line}");
        }
    }

    #[test]
    fn escapes_are_read_as_the_server_reads_them() {
        for (raw, value) in [
            ("plain", &b"plain"[..]),
            ("\\b\\f\\n\\r\\t\\v\\\\", b"\x08\x0c\n\r\t\x0b\\"),
            ("\\N\\.\\\"", b"N.\""),
            ("\\101\\1\\18\\7777", b"A\x01\x018\xff7"),
            ("\\x41\\x4\\xg\\x414\\x", b"A\x04xgA4x"),
            ("a\\", b"a"),
        ] {
            let mut out = Vec::new();
            unescape(raw.as_bytes(), &mut out);
            assert_eq!(out, value, "{raw}");
        }
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let value: Vec<u8> = (1..=255).collect();
        for delimiter in [b'\t', b'|', 0x01] {
            let (mut escaped, mut out, mut fields) = (BytesMut::new(), Vec::new(), Vec::new());
            escape(&value, delimiter, &mut escaped);
            assert!(!escaped.contains(&b'\n') && !escaped.contains(&b'\r'));
            split(&escaped, delimiter, 2, &mut fields);
            assert_eq!(fields.len(), 1);
            unescape(&escaped, &mut out);
            assert_eq!(out, value);
        }
    }
}
