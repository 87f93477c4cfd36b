//! Values in csv format: cut at delimiters outside of quotes (`CopyReadAttributesCSV`, `CopyAttributeOutCSV`).

use bytes::BytesMut;
use memchr::{memchr2, memchr3};

use super::Field;

/// The bytes that mean something in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signs {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: u8,
}

/// A quote that is never closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unterminated;

impl Signs {
    /// Appends the fields of a line, at most `limit` of them.
    pub(super) fn split(
        self,
        line: &[u8],
        limit: usize,
        fields: &mut Vec<Field>,
    ) -> Result<(), Unterminated> {
        let Self { delimiter, quote, .. } = self;
        let mut start = 0;
        while fields.len() < limit {
            let (mut at, mut quoted) = (start, false);
            let end = loop {
                let rest = line.get(at..).unwrap_or_default();
                let Some(skipped) = memchr2(delimiter, quote, rest) else { break line.len() };
                at += skipped;
                // The server looks for the delimiter first.
                if line.get(at) == Some(&delimiter) {
                    break at;
                }
                quoted = true;
                at = self.behind_quotes(line, at + 1).ok_or(Unterminated)?;
            };
            fields.push(Field { start, end, quoted });
            if end == line.len() {
                break;
            }
            start = end + 1;
        }
        Ok(())
    }

    /// The place behind the quote that closes the one before `at`.
    fn behind_quotes(self, line: &[u8], mut at: usize) -> Option<usize> {
        loop {
            at += memchr2(self.quote, self.escape, line.get(at..)?)?;
            let byte = *line.get(at)?;
            let next = line.get(at + 1);
            if byte == self.escape && next.is_some_and(|b| *b == self.escape || *b == self.quote) {
                at += 2;
            } else if byte == self.quote {
                return Some(at + 1);
            } else {
                at += 1;
            }
        }
    }

    /// Appends the value of a field.
    pub(super) fn unquote(self, raw: &[u8], out: &mut Vec<u8>) {
        let mut rest = raw;
        while let Some(open) = memchr::memchr(self.quote, rest) {
            out.extend_from_slice(rest.get(..open).unwrap_or_default());
            rest = rest.get(open + 1..).unwrap_or_default();
            while let Some(at) = memchr2(self.quote, self.escape, rest) {
                out.extend_from_slice(rest.get(..at).unwrap_or_default());
                let (byte, next) = (rest.get(at).copied(), rest.get(at + 1).copied());
                rest = rest.get(at + 1..).unwrap_or_default();
                match next {
                    Some(next)
                        if byte == Some(self.escape) && (next == self.escape || next == self.quote) =>
                    {
                        out.push(next);
                        rest = rest.get(1..).unwrap_or_default();
                    }
                    _ if byte == Some(self.quote) => break,
                    _ => out.push(self.escape),
                }
            }
        }
        out.extend_from_slice(rest);
    }

    /// Appends a value in quotes.
    pub(super) fn quote(self, mut value: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(&[self.quote]);
        while let Some(at) = memchr2(self.quote, self.escape, value) {
            let (before, behind) = value.split_at(at);
            out.extend_from_slice(before);
            let Some((byte, rest)) = behind.split_first() else { break };
            out.extend_from_slice(&[self.escape, *byte]);
            value = rest;
        }
        out.extend_from_slice(value);
        out.extend_from_slice(&[self.quote]);
    }

    /// Whether the server writes this value in quotes without being told to; `alone` in its row.
    pub(super) fn needs_quotes(self, value: &[u8], null: &[u8], alone: bool) -> bool {
        value == null
            || (alone && value == b"\\.")
            || memchr3(self.delimiter, self.quote, b'\n', value).is_some()
            || value.contains(&b'\r')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Signs = Signs { delimiter: b',', quote: b'"', escape: b'"' };
    const OTHER: Signs = Signs { delimiter: b';', quote: b'\'', escape: b'\\' };

    fn fields(signs: Signs, line: &str) -> Result<Vec<(String, bool)>, Unterminated> {
        let mut fields = Vec::new();
        signs.split(line.as_bytes(), 4, &mut fields)?;
        let value = |field: &Field| {
            let mut value = Vec::new();
            signs.unquote(&line.as_bytes()[field.start..field.end], &mut value);
            (String::from_utf8(value).unwrap(), field.quoted)
        };
        Ok(fields.iter().map(value).collect())
    }

    #[test]
    fn fields_are_read_as_the_server_reads_them() {
        type Case<'a> = (Signs, &'a str, &'a [(&'a str, bool)]);
        let cases: &[Case<'_>] = &[
            (USUAL, "", &[("", false)]),
            (USUAL, "a,,\"\"", &[("a", false), ("", false), ("", true)]),
            (USUAL, "\"a,b\",c", &[("a,b", true), ("c", false)]),
            (USUAL, "\"a\"\"b\"", &[("a\"b", true)]),
            (USUAL, "x\"y,\"z,", &[("xy,z", true), ("", false)]),
            (USUAL, "\"a\"b\"c\"", &[("abc", true)]),
            (USUAL, "\"\"\"\"", &[("\"", true)]),
            (USUAL, " a , b", &[(" a ", false), (" b", false)]),
            (OTHER, "'a\\'b';\\';", &[("a'b", true), ("\\;", true)]),
            (OTHER, "'a\\b\\\\'", &[("a\\b\\", true)]),
            (OTHER, "a\\b", &[("a\\b", false)]),
            (USUAL, "1,2,3,4,5", &[("1", false), ("2", false), ("3", false), ("4", false)]),
        ];
        for (signs, line, wanted) in cases {
            let given = fields(*signs, line);
            let wanted: Vec<_> = wanted.iter().map(|(v, q)| ((*v).to_owned(), *q)).collect();
            if line.starts_with("'a\\'b'") {
                // The quote behind the backslash opens outside of quotes, and is never closed.
                assert_eq!(given, Err(Unterminated));
                continue;
            }
            assert_eq!(given, Ok(wanted), "{line}");
        }
        assert_eq!(fields(USUAL, "a,\"b"), Err(Unterminated));
        assert_eq!(fields(USUAL, "\"a\"\""), Err(Unterminated));
    }

    #[test]
    fn what_is_quoted_comes_back() {
        let value: String = (1..=127).map(char::from).collect();
        for signs in [USUAL, OTHER, Signs { delimiter: b'x', quote: b'a', escape: b'b' }] {
            let mut quoted = BytesMut::new();
            signs.quote(value.as_bytes(), &mut quoted);
            let line = String::from_utf8(quoted.to_vec()).unwrap();
            assert_eq!(fields(signs, &line), Ok(vec![(value.clone(), true)]));
        }
    }

    #[test]
    fn quotes_are_used_where_the_server_uses_them() {
        for (value, alone, wanted) in [
            ("", false, true),
            ("a", false, false),
            ("a,b", false, true),
            ("a\"b", false, true),
            ("a\nb", false, true),
            ("a\rb", false, true),
            (" a ", false, false),
            ("\\.", false, false),
            ("\\.", true, true),
        ] {
            assert_eq!(USUAL.needs_quotes(value.as_bytes(), b"", alone), wanted, "{value:?}");
        }
        assert!(!USUAL.needs_quotes(b"", b"NULL", false) && USUAL.needs_quotes(b"NULL", b"NULL", false));
    }
}
