//! The text format of COPY: fields between tabs, with backslashes before what would be misread.

/// A field as it is without its escapes; `None` for NULL.
///
/// <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>
pub(super) fn unescape(field: &[u8]) -> Option<Vec<u8>> {
    if field == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        let Some(escaped) = bytes.next() else {
            value.push(byte);
            break;
        };
        value.push(match escaped {
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0B,
            b'0'..=b'7' => {
                let mut number = u32::from(escaped - b'0');
                for _ in 0..2 {
                    let Some(digit) = bytes.next_if(|byte| matches!(byte, b'0'..=b'7')) else { break };
                    number = number * 8 + u32::from(digit - b'0');
                }
                number.to_le_bytes()[0]
            }
            b'x' => {
                let mut number = None;
                for _ in 0..2 {
                    let Some(digit) = bytes.next_if(u8::is_ascii_hexdigit) else { break };
                    number = Some(number.unwrap_or(0) * 16 + char::from(digit).to_digit(16).unwrap_or(0));
                }
                number.map_or(b'x', |number: u32| number.to_le_bytes()[0])
            }
            other => other,
        });
    }
    Some(value)
}

/// Appends a value as the server writes it.
pub(super) fn escape(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            0x08 => out.extend(b"\\b"),
            0x0C => out.extend(b"\\f"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x0B => out.extend(b"\\v"),
            b'\\' => out.extend(b"\\\\"),
            other => out.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_comes_back() {
        let all: Vec<u8> = (1..=255).collect();
        let mut escaped = Vec::new();
        escape(&all, &mut escaped);
        assert!(!escaped.contains(&b'\n') && !escaped.contains(&b'\t'));
        assert_eq!(unescape(&escaped), Some(all));
        for (field, value) in [
            ("\\N", None),
            ("", Some("")),
            ("\\\\x41", Some("\\x41")),
            ("\\x41\\x4\\xg", Some("A\u{4}xg")),
            ("\\101\\60z", Some("A0z")),
            ("a\\", Some("a\\")),
        ] {
            assert_eq!(unescape(field.as_bytes()), value.map(|value| value.as_bytes().to_vec()), "{field}");
        }
    }
}
