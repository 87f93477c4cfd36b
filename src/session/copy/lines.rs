//! Where a row of text or csv ends, as the server decides it (`CopyReadLineText`).
//!
//! The style of line ends is the first line's: `\n`, `\r\n` or `\r`, and the others are errors from then on. In
//! text a backslash takes the next byte with it; in csv a line goes on inside of quotes. `\.` alone on a line
//! ends the data that a client sends (csv: up to server 17).

use std::borrow::Cow;

use memchr::{memchr2, memchr3};

use crate::error::SqlState;

/// Cuts a stream into lines. It is shown the bytes of one line from their start, as many as are there, and
/// remembers how far it has looked.
#[derive(Debug)]
pub(super) struct Lines {
    dialect: Dialect,
    marker: EndMarker,
    ends: Ends,
    /// Bytes of this line that have been looked at.
    at: usize,
    in_quote: bool,
    was_escape: bool,
    /// Lines that have begun, those inside of quotes too.
    number: u64,
    /// The byte that counts as a line inside of quotes, and how many of them this line has.
    counted: u8,
    inner: usize,
    begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Text,
    /// With an escape that is not the quote itself.
    Csv {
        quote: u8,
        escape: Option<u8>,
    },
}

/// What `\.` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndMarker {
    /// Data: in what the server writes, NULL may be written so.
    Data,
    /// It ends the data; in text behind a value too, as up to server 17.
    Anywhere,
    /// It ends the data, and has to be alone on its line.
    Alone,
}

/// The style of line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Unknown,
    Newline,
    CarriageReturn,
    Both,
}

/// What is at the front of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Not yet a whole line.
    More,
    /// A line of `end` bytes; the next one begins at `next`.
    Line { end: usize, next: usize },
    /// The same, and then `\.`, which ends the data; `next` is behind it.
    Over { end: usize, next: usize },
    /// Nothing more.
    Nothing,
}

/// Why data is not cut into lines: what the server says, and its hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: SqlState,
    pub(super) message: Cow<'static, str>,
    pub(super) hint: Option<&'static str>,
    /// The column that it is in.
    pub(super) column: Option<usize>,
}

impl Fault {
    pub(super) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: SqlState::BAD_COPY_FILE_FORMAT, message: message.into(), hint: None, column: None }
    }

    fn with_hint(message: &'static str, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..Self::new(message) }
    }
}

enum Marker {
    More,
    /// Not here.
    No,
    /// It ends here.
    To(usize),
}

impl Lines {
    pub(super) fn new(dialect: Dialect, marker: EndMarker) -> Self {
        Self {
            dialect,
            marker,
            ends: Ends::Unknown,
            at: 0,
            in_quote: false,
            was_escape: false,
            number: 0,
            counted: b'\r',
            inner: 0,
            begun: false,
        }
    }

    /// The number of the line at the front, or of the last one that was cut off; the server counts the lines
    /// inside of quotes, and is in the first line before it has any.
    pub(super) fn number(&self) -> u64 {
        self.number.max(1)
    }

    /// The byte that the server counts as a line inside of quotes, and how many of it the last line had.
    pub(super) fn inner(&self) -> (u8, usize) {
        (self.counted, self.inner)
    }

    /// The bytes of the line at the front that have been looked at.
    pub(super) fn seen(&self) -> usize {
        self.at
    }

    /// The server came no further than to byte `at` of the line that was looked at, and has not counted the lines
    /// inside of quotes behind it. Behind `\r` it wants to see a byte before it goes on.
    pub(super) fn back_to(&mut self, at: usize, line: &[u8]) {
        if self.dialect == Dialect::Text {
            return;
        }
        let (front, rest) = line.split_at_checked(at).unwrap_or((line, &[]));
        let rest = if front.ends_with(b"\r") { line.get(at - 1..).unwrap_or_default() } else { rest };
        let lines = memchr::memchr_iter(self.counted, rest).count();
        self.number = self.number.saturating_sub(u64::try_from(lines).unwrap_or(0));
    }

    /// Looks for the end of the line that `data` begins with; `last` says that no data follows.
    pub(super) fn next(&mut self, data: &[u8], last: bool) -> Result<Next, Fault> {
        if !self.begun {
            // A stream that ends here has no line of this number, which does not matter any more.
            self.begun = true;
            self.number += 1;
            self.inner = 0;
            self.counted = if self.ends == Ends::Newline { b'\n' } else { b'\r' };
        }
        let next = match self.dialect {
            Dialect::Text => self.text(data, last),
            Dialect::Csv { quote, escape } => self.csv(data, last, quote, escape),
        }?;
        if next != Next::More {
            (self.at, self.in_quote, self.was_escape, self.begun) = (0, false, false, false);
        }
        Ok(next)
    }

    fn text(&mut self, data: &[u8], last: bool) -> Result<Next, Fault> {
        loop {
            let Some(skipped) = memchr3(b'\n', b'\r', b'\\', data.get(self.at..).unwrap_or_default()) else {
                return Ok(self.at_end(data, last));
            };
            self.at += skipped;
            match (data.get(self.at), data.get(self.at + 1)) {
                (Some(b'\\'), None) if last => return Ok(self.at_end(data, last)),
                (Some(b'\\'), None) => return Ok(Next::More),
                (Some(b'\\'), Some(b'.')) if self.marker != EndMarker::Data => {
                    match self.marker(data, last)? {
                        Marker::More => return Ok(Next::More),
                        Marker::No => self.at += 2,
                        Marker::To(next) => return Ok(Next::Over { end: self.at, next }),
                    }
                }
                (Some(b'\\'), Some(_)) => self.at += 2,
                _ => return self.line_end(data, last),
            }
        }
    }

    fn csv(&mut self, data: &[u8], last: bool, quote: u8, escape: Option<u8>) -> Result<Next, Fault> {
        if self.at == 0 && self.marker != EndMarker::Data && data.first() == Some(&b'\\') {
            match data.get(1) {
                None if !last => return Ok(Next::More),
                Some(b'.') => match self.marker(data, last)? {
                    Marker::More => return Ok(Next::More),
                    Marker::No => {}
                    Marker::To(next) => return Ok(Next::Over { end: 0, next }),
                },
                _ => {}
            }
        }
        loop {
            let rest = data.get(self.at..).unwrap_or_default();
            if !self.in_quote {
                let Some(skipped) = memchr3(b'\n', b'\r', quote, rest) else {
                    return Ok(self.at_end(data, last));
                };
                self.at += skipped;
                if data.get(self.at) != Some(&quote) {
                    return self.line_end(data, last);
                }
                self.in_quote = true;
                self.at += 1;
                continue;
            }
            let found = match escape {
                Some(escape) => memchr3(quote, escape, self.counted, rest),
                None => memchr2(quote, self.counted, rest),
            };
            let Some(skipped) = found else {
                self.was_escape &= rest.is_empty();
                return Ok(self.at_end(data, last));
            };
            self.was_escape &= skipped == 0;
            self.at += skipped;
            let byte = data.get(self.at).copied();
            if byte == escape {
                self.was_escape = !self.was_escape;
            } else {
                if byte == Some(quote) && !self.was_escape {
                    self.in_quote = false;
                }
                self.was_escape = false;
            }
            if self.in_quote && byte == Some(self.counted) {
                self.number += 1;
                self.inner += 1;
            }
            self.at += 1;
        }
    }

    /// What ends a line, and makes the server look at it.
    pub(super) fn terminator(&self) -> &'static [u8] {
        match self.ends {
            Ends::Unknown | Ends::Newline => b"\n",
            // It may wait for the byte behind, which begins a line that never ends.
            Ends::CarriageReturn => b"\rx",
            Ends::Both => b"\r\n",
        }
    }

    /// A `\n` or `\r` that ends a line, if it may.
    fn line_end(&mut self, data: &[u8], last: bool) -> Result<Next, Fault> {
        let is_csv = self.dialect != Dialect::Text;
        let end = self.at;
        let mut next = end + 1;
        if data.get(end) == Some(&b'\r') {
            match (self.ends, data.get(next)) {
                (Ends::Unknown | Ends::Both, None) if !last => return Ok(Next::More),
                (Ends::Unknown | Ends::Both, Some(b'\n')) => {
                    self.ends = Ends::Both;
                    next += 1;
                }
                (Ends::Unknown | Ends::CarriageReturn, _) => self.ends = Ends::CarriageReturn,
                (Ends::Newline | Ends::Both, _) if is_csv => {
                    return Err(Fault::with_hint(
                        "unquoted carriage return found in data",
                        "Use quoted CSV field to represent carriage return.",
                    ));
                }
                (Ends::Newline | Ends::Both, _) => {
                    return Err(Fault::with_hint(
                        "literal carriage return found in data",
                        "Use \"\\r\" to represent carriage return.",
                    ));
                }
            }
        } else {
            match self.ends {
                Ends::Unknown | Ends::Newline => self.ends = Ends::Newline,
                Ends::CarriageReturn | Ends::Both if is_csv => {
                    return Err(Fault::with_hint(
                        "unquoted newline found in data",
                        "Use quoted CSV field to represent newline.",
                    ));
                }
                Ends::CarriageReturn | Ends::Both => {
                    return Err(Fault::with_hint(
                        "literal newline found in data",
                        "Use \"\\n\" to represent newline.",
                    ));
                }
            }
        }
        Ok(Next::Line { end, next })
    }

    /// Whether the `\.` that has been found ends the data.
    fn marker(&self, data: &[u8], last: bool) -> Result<Marker, Fault> {
        let is_csv = self.dialect != Dialect::Text;
        let corrupt = |fault| if is_csv { Ok(Marker::No) } else { Err(Fault::new(fault)) };
        let not_alone = match self.marker {
            EndMarker::Data | EndMarker::Anywhere => "end-of-copy marker corrupt",
            EndMarker::Alone => "end-of-copy marker is not alone on its line",
        };
        let other_style = "end-of-copy marker does not match previous newline style";
        let mut next = self.at + 2;
        // At the end of the data, the server sees a zero byte.
        let mut byte = || match data.get(next) {
            None if !last => None,
            byte => {
                next += 1;
                Some(byte.copied().unwrap_or(0))
            }
        };
        if self.ends == Ends::Both {
            match byte() {
                None => return Ok(Marker::More),
                Some(b'\r') => {}
                Some(b'\n') => return corrupt(other_style),
                Some(_) => return corrupt(not_alone),
            }
        }
        let fits = match (byte(), self.ends) {
            (None, _) => return Ok(Marker::More),
            (Some(b'\n'), ends) => ends != Ends::CarriageReturn,
            (Some(b'\r'), ends) => matches!(ends, Ends::Unknown | Ends::CarriageReturn),
            (Some(_), _) => return corrupt(not_alone),
        };
        if !fits {
            return Err(Fault::new(other_style));
        }
        if !is_csv && self.marker == EndMarker::Alone && self.at > 0 {
            return Err(Fault::new(not_alone));
        }
        Ok(Marker::To(next))
    }

    /// No end was found in what is there.
    fn at_end(&mut self, data: &[u8], last: bool) -> Next {
        self.at = data.len();
        match last {
            false => Next::More,
            true if data.is_empty() => Next::Nothing,
            true => Next::Line { end: data.len(), next: data.len() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: Dialect = Dialect::Csv { quote: b'"', escape: None };

    /// The lines of a stream that is fed in pieces of `step` bytes, each with its number; `!` for its end by a
    /// marker, and the fault that ends it.
    fn lines(dialect: Dialect, marker: EndMarker, stream: &[u8], step: usize) -> Vec<String> {
        let mut lines = Lines::new(dialect, marker);
        let (mut start, mut seen, mut all) = (0, 0, Vec::new());
        loop {
            let last = seen == stream.len();
            let data = &stream[start..seen];
            match lines.next(data, last) {
                Err(Fault { message, .. }) => {
                    all.push(format!("{}: {message}", lines.number()));
                    return all;
                }
                Ok(Next::More) => {
                    assert!(!last);
                    seen = (seen + step).min(stream.len());
                }
                Ok(Next::Nothing) => return all,
                Ok(Next::Line { end, next }) => {
                    all.push(format!("{} {}", lines.number(), data[..end].escape_ascii()));
                    start += next;
                }
                Ok(Next::Over { end, next }) => {
                    all.push(format!("{} {}!", lines.number(), data[..end].escape_ascii()));
                    assert!(next <= data.len());
                    return all;
                }
            }
        }
    }

    fn each(dialect: Dialect, marker: EndMarker, cases: &[(&[u8], &[&str])]) {
        for (stream, wanted) in cases {
            for step in 1..=stream.len().max(1) {
                assert_eq!(
                    &lines(dialect, marker, stream, step),
                    wanted,
                    "{} by {step}",
                    stream.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn text_ends_where_the_server_ends_it() {
        let cases: &[(&[u8], &[&str])] = &[
            (b"", &[]),
            (b"a\nb\n", &["1 a", "2 b"]),
            (b"a\nb", &["1 a", "2 b"]),
            (b"\n\n", &["1 ", "2 "]),
            (b"a\r\nb\r\n", &["1 a", "2 b"]),
            (b"a\rb\r", &["1 a", "2 b"]),
            (b"a\r", &["1 a"]),
            (b"a\\\nb\nc", &["1 a\\\\\\nb", "2 c"]),
            (b"a\\", &["1 a\\\\"]),
            (b"a\nb\rc\n", &["1 a", "2: literal carriage return found in data"]),
            (b"a\r\nb\n", &["1 a", "2: literal newline found in data"]),
            (b"a\r\nb\rc", &["1 a", "2: literal carriage return found in data"]),
            (b"a\rb\n", &["1 a", "2: literal newline found in data"]),
            (b"a\n\\.\nrest", &["1 a", "2 !"]),
            (b"a\r\n\\.\r\nrest", &["1 a", "2 !"]),
            (b"a\nb\\.\nrest", &["1 a", "2 b!"]),
            (b"a\n\\.", &["1 a", "2: end-of-copy marker corrupt"]),
            (b"a\n\\.x\n", &["1 a", "2: end-of-copy marker corrupt"]),
            (b"a\n\\.\r", &["1 a", "2: end-of-copy marker does not match previous newline style"]),
            (b"a\r\n\\.\n", &["1 a", "2: end-of-copy marker does not match previous newline style"]),
            (b"\\.\n", &["1 !"]),
            (b"a\\\\.\n", &["1 a\\\\\\\\."]),
        ];
        each(Dialect::Text, EndMarker::Anywhere, cases);
        each(Dialect::Text, EndMarker::Data, &[(b"a\n\\.\nb\\.x\n", &["1 a", "2 \\\\.", "3 b\\\\.x"])]);
        each(
            Dialect::Text,
            EndMarker::Alone,
            &[
                (b"a\n\\.\nrest", &["1 a", "2 !"]),
                (b"a\nb\\.\nrest", &["1 a", "2: end-of-copy marker is not alone on its line"]),
            ],
        );
    }

    #[test]
    fn csv_lines_go_on_inside_of_quotes() {
        let cases: &[(&[u8], &[&str])] = &[
            (b"a,b\nc\n", &["1 a,b", "2 c"]),
            // Before the style is known, only \r counts.
            (b"\"a\nb\"\nc\n", &["1 \\\"a\\nb\\\"", "2 c"]),
            (b"x\n\"a\nb\"\nc\n", &["1 x", "3 \\\"a\\nb\\\"", "4 c"]),
            (b"x\r\n\"a\r\nb\"\r\n", &["1 x", "3 \\\"a\\r\\nb\\\""]),
            (b"\"a\"\"\n\"\n", &["1 \\\"a\\\"\\\"\\n\\\""]),
            (b"a\nb\rc", &["1 a", "2: unquoted carriage return found in data"]),
            (b"a\rb\nc", &["1 a", "2: unquoted newline found in data"]),
            (b"a\n\\.\nrest", &["1 a", "2 !"]),
            (b"a\n\\.x\n\\\n", &["1 a", "2 \\\\.x", "3 \\\\"]),
            (b"a\n\\.", &["1 a", "2 \\\\."]),
            (b"a\nb\\.\n", &["1 a", "2 b\\\\."]),
            (b"\"never", &["1 \\\"never"]),
        ];
        each(CSV, EndMarker::Anywhere, cases);
        each(CSV, EndMarker::Data, &[(b"a\n\\.\nb\n", &["1 a", "2 \\\\.", "3 b"])]);
        let escaped = Dialect::Csv { quote: b'\'', escape: Some(b'\\') };
        each(
            escaped,
            EndMarker::Anywhere,
            &[
                (b"'a\\'\nb'\nc\n", &["1 \\'a\\\\\\'\\nb\\'", "2 c"]),
                (b"'a\\\\'\nb\n", &["1 \\'a\\\\\\\\\\'", "2 b"]),
                (b"a\\'\n'\nb\n", &["1 a\\\\\\'\\n\\'", "2 b"]),
            ],
        );
    }
}
