//! Reading the statements of a dump: where they end, and the words and literals in them.

use std::ops::Range;

use crate::policy::RelationName;

/// Follows a text line by line to where a statement ends.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    state: State,
    depth: u32,
    /// The last byte that is no white space and in no comment was a semicolon.
    ends: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    /// Within quotes; `true` if a backslash escapes.
    Quoted(u8, bool),
    /// Within `$tag$`; the tag with its dollars.
    Dollar(Vec<u8>),
    /// Within comments, nested so deep.
    Comment(u32),
}

impl Splitter {
    /// Takes a line; true if the statement ends with it.
    pub(super) fn feed(&mut self, line: &[u8]) -> bool {
        let mut at = 0;
        while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
            at += self.step(line, at, rest);
        }
        self.state == State::Plain && self.depth == 0 && self.ends
    }

    /// Takes what stands at a place, and says how long it is.
    fn step(&mut self, line: &[u8], at: usize, rest: &[u8]) -> usize {
        match &mut self.state {
            State::Quoted(quote, escapes) => match rest {
                [b'\\', _, ..] if *escapes => 2,
                [first, second, ..] if first == quote && second == quote => 2,
                [first, ..] => {
                    if first == quote {
                        self.state = State::Plain;
                    }
                    1
                }
                [] => 1,
            },
            State::Dollar(tag) => {
                if rest.starts_with(tag) {
                    let len = tag.len();
                    self.state = State::Plain;
                    return len;
                }
                1
            }
            State::Comment(depth) => {
                let (change, len) = match rest {
                    [b'*', b'/', ..] => (-1, 2),
                    [b'/', b'*', ..] => (1, 2),
                    _ => (0, 1),
                };
                match depth.saturating_add_signed(change) {
                    0 => self.state = State::Plain,
                    left => *depth = left,
                }
                len
            }
            State::Plain => self.plain(line, at, rest),
        }
    }

    fn plain(&mut self, line: &[u8], at: usize, rest: &[u8]) -> usize {
        match rest {
            [b'-', b'-', ..] => return rest.len(),
            [b'/', b'*', ..] => {
                self.state = State::Comment(1);
                return 2;
            }
            [space, ..] if space.is_ascii_whitespace() => return 1,
            _ => {}
        }
        self.ends = rest.first() == Some(&b';');
        let before = at.checked_sub(1).and_then(|before| line.get(before)).copied();
        match rest.first() {
            Some(b'(') => self.depth += 1,
            Some(b')') => self.depth = self.depth.saturating_sub(1),
            Some(b'\'') => self.state = State::Quoted(b'\'', matches!(before, Some(b'E' | b'e'))),
            Some(b'"') => self.state = State::Quoted(b'"', false),
            Some(b'$') if !before.is_some_and(is_word) => {
                if let Some(tag) = dollar_tag(rest) {
                    let len = tag.len();
                    self.state = State::Dollar(tag.to_vec());
                    return len;
                }
            }
            _ => {}
        }
        1
    }
}

fn dollar_tag(rest: &[u8]) -> Option<&[u8]> {
    let end = rest.iter().skip(1).position(|byte| *byte == b'$')? + 2;
    let tag = rest.get(..end)?;
    let name = tag.get(1..end - 1)?;
    (name.iter().copied().all(is_word) && !name.first().is_some_and(u8::is_ascii_digit)).then_some(tag)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// A place in a statement.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Passes white space and comments of one line.
    pub(super) fn blank(&mut self) {
        loop {
            let rest = self.rest();
            match rest {
                [space, ..] if space.is_ascii_whitespace() => self.at += 1,
                [b'-', b'-', ..] => self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
                _ => return,
            }
        }
    }

    /// Passes these words, if they stand here; capitals do not matter.
    pub(super) fn words(&mut self, words: &str) -> bool {
        let mut next = *self;
        for word in words.split(' ') {
            next.blank();
            let rest = next.rest();
            let stands =
                rest.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()));
            if !stands || rest.get(word.len()).copied().is_some_and(is_word) {
                return false;
            }
            next.at += word.len();
        }
        *self = next;
        true
    }

    /// Passes a byte, if it stands here.
    pub(super) fn byte(&mut self, byte: u8) -> bool {
        self.blank();
        let stands = self.rest().first() == Some(&byte);
        self.at += usize::from(stands);
        stands
    }

    /// Reads an identifier, folded and unquoted.
    pub(super) fn identifier(&mut self) -> Option<String> {
        self.blank();
        let rest = self.rest();
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let mut name = Vec::new();
            let mut at = 0;
            loop {
                match quoted.get(at..)? {
                    [b'"', b'"', ..] => {
                        name.push(b'"');
                        at += 2;
                    }
                    [b'"', ..] => break,
                    [byte, ..] => {
                        name.push(*byte);
                        at += 1;
                    }
                    [] => return None,
                }
            }
            self.at += at + 2;
            return String::from_utf8(name).ok();
        }
        let len = rest.iter().take_while(|byte| is_word(**byte) || **byte == b'$').count();
        let name = rest.get(..len).filter(|name| !name.is_empty())?;
        self.at += len;
        Some(std::str::from_utf8(name).ok()?.to_ascii_lowercase())
    }

    /// Reads `schema.name`; dumps name nothing without its schema.
    pub(super) fn name(&mut self) -> Option<RelationName> {
        let schema = self.identifier()?;
        let name = if self.byte(b'.') { self.identifier()? } else { return None };
        Some(RelationName::new(schema, name))
    }

    /// Reads names in parentheses.
    pub(super) fn names(&mut self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        if !self.byte(b'(') {
            return None;
        }
        while !self.byte(b')') {
            names.push(self.identifier()?);
            self.byte(b',');
        }
        Some(names)
    }

    /// Reads a literal in quotes: where it stands, and its value.
    pub(super) fn literal(&mut self) -> Option<(Range<usize>, Vec<u8>)> {
        self.blank();
        let start = self.at;
        let rest = self.rest();
        let (escapes, mut at) = match rest {
            [b'E' | b'e', b'\'', ..] => (true, 2),
            [b'\'', ..] => (false, 1),
            _ => return None,
        };
        let mut value = Vec::new();
        loop {
            match rest.get(at..)? {
                [b'\'', b'\'', ..] => {
                    value.push(b'\'');
                    at += 2;
                }
                [b'\'', ..] => break,
                [b'\\', b'\\', ..] if escapes => {
                    value.push(b'\\');
                    at += 2;
                }
                // Dumps escape nothing else.
                [b'\\', ..] if escapes => return None,
                [byte, ..] => {
                    value.push(*byte);
                    at += 1;
                }
                [] => return None,
            }
        }
        self.at += at + 1;
        Some((start..self.at, value))
    }

    /// The parts between commas of what stands in the parentheses that open here, which are passed.
    pub(super) fn list(&mut self) -> Option<Vec<Range<usize>>> {
        if !self.byte(b'(') {
            return None;
        }
        let (mut parts, mut start, mut depth) = (Vec::new(), self.at, 0_u32);
        loop {
            let before = self.at;
            if self.literal_here() {
                continue;
            }
            self.at = before;
            match self.rest().first()? {
                b'"' => {
                    self.identifier()?;
                    continue;
                }
                b'(' | b'[' => depth += 1,
                b')' if depth == 0 => {
                    parts.push(start..self.at);
                    self.at += 1;
                    return Some(parts);
                }
                b')' | b']' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    parts.push(start..self.at);
                    start = self.at + 1;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn literal_here(&mut self) -> bool {
        let is_start = match self.rest() {
            [b'\'', ..] => true,
            [b'E' | b'e', b'\'', ..] => {
                !self.at.checked_sub(1).and_then(|at| self.text.get(at)).copied().is_some_and(is_word)
            }
            _ => false,
        };
        is_start && self.literal().is_some()
    }
}

/// Appends a literal that means the same whatever standard_conforming_strings is.
pub(super) fn write_literal(value: &[u8], out: &mut Vec<u8>) {
    let has_backslash = value.contains(&b'\\');
    out.extend_from_slice(if has_backslash { b"E'" } else { b"'" });
    for byte in value {
        if matches!(byte, b'\'' | b'\\') {
            out.push(*byte);
        }
        out.push(*byte);
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_they_do() {
        for (lines, ends) in [
            (&["SELECT 1;\n"][..], &[true][..]),
            (&["SELECT 'a;\n", "b''c;\n", "';\n"], &[false, false, true]),
            (&["SELECT E'\\';\n", "';\n"], &[false, true]),
            (&["SELECT $$;\n", "$a$;\n", "$$;\n"], &[false, false, true]),
            (&["SELECT $a$;\n", "$$;\n", "$a$ -- ;\n", ";\n"], &[false, false, false, true]),
            (&["SELECT a$1$ ;\n"], &[true]),
            (&["/* ; /* ;\n", "*/ ; */ SELECT 1; -- x\n"], &[false, true]),
            (&["CREATE TABLE \"a;(\" (\n", "b int;\n", ");\n"], &[false, false, true]),
        ] {
            let mut splitter = Splitter::default();
            let found: Vec<_> = lines.iter().map(|line| splitter.feed(line.as_bytes())).collect();
            assert_eq!(found, ends, "{lines:?}");
        }
    }

    #[test]
    fn lists_are_split_at_their_own_commas() {
        let text = br#" (a, 'x,)''', f(1, 2), E'\\,', "q,)", ARRAY[1,2]) rest"#;
        let mut cursor = Cursor::new(text);
        let parts: Vec<_> = cursor
            .list()
            .unwrap()
            .into_iter()
            .map(|part| String::from_utf8_lossy(&text[part]).trim().to_owned())
            .collect();
        assert_eq!(parts, ["a", "'x,)'''", "f(1, 2)", "E'\\\\,'", "\"q,)\"", "ARRAY[1,2]"]);
        assert!(cursor.words("REST"));
        assert!(Cursor::new(b"(a, 'x").list().is_none());
    }

    #[test]
    fn a_literal_comes_back() {
        for value in ["", "it's", "a\\b'c", "\u{e9}\n"] {
            let mut out = Vec::new();
            write_literal(value.as_bytes(), &mut out);
            let (range, read) = Cursor::new(&out).literal().unwrap();
            assert_eq!((range, read), (0..out.len(), value.as_bytes().to_vec()));
        }
    }
}
