//! Json and jsonb.
//!
//! The canonical form of `json` is the text as written. That of `jsonb` is the text that the server prints:
//! keys by length and then by bytes, the last of equal keys, numbers as numeric prints them (1e2 is 100, 1.0
//! stays), strings with as few escapes as can be, one space after `:` and `,`.

use std::fmt::Write as _;
use std::ops::Range;

use super::DatumError;
use super::numeric::Numeric;

/// The first byte of jsonb in binary format.
pub(super) const BINARY_VERSION: u8 = 1;

/// How deep the server parses with the stack of its default configuration, less a margin.
const MAX_DEPTH: usize = 10_000;

/// Checks that a text is JSON.
pub(super) fn check(input: &str) -> Result<(), DatumError> {
    Parser { input, at: 0, tree: None }.document()
}

/// Writes a JSON text in the form of `jsonb`.
pub(super) fn normalise(input: &str, out: &mut Vec<u8>) -> Result<(), DatumError> {
    let mut tree = Tree::default();
    Parser { input, at: 0, tree: Some(&mut tree) }.document()?;
    tree.print(out);
    Ok(())
}

/// Values in the order in which they ended; a container knows its members by their places here. Flat, so
/// that neither printing nor dropping needs a deep stack.
#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
    /// Printed scalars and keys.
    text: Vec<u8>,
}

enum Node {
    Scalar(Range<usize>),
    Array(Vec<usize>),
    /// Printed keys and values.
    Object(Vec<(Range<usize>, usize)>),
}

/// A container that is still being read.
enum Open {
    Array(Vec<usize>),
    Object(Vec<Member>),
}

/// A member of an object: its key, printed and as it is, and its value's place.
struct Member {
    printed: Range<usize>,
    key: String,
    value: usize,
}

impl Tree {
    fn scalar(&mut self, text: &[u8]) -> usize {
        let range = self.keep(text);
        self.push(Node::Scalar(range))
    }

    fn keep(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        start..self.text.len()
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn close(&mut self, open: Open) -> usize {
        let node = match open {
            Open::Array(values) => Node::Array(values),
            Open::Object(mut members) => {
                // Stable, so that of equal keys the last one written stays last.
                members.sort_by(|a, b| (a.key.len(), &a.key).cmp(&(b.key.len(), &b.key)));
                members.reverse();
                members.dedup_by(|earlier, kept| earlier.key == kept.key);
                members.reverse();
                Node::Object(members.into_iter().map(|member| (member.printed, member.value)).collect())
            }
        };
        self.push(node)
    }

    fn print(&self, out: &mut Vec<u8>) {
        // Containers on the way to the current value, and the next member of each.
        let mut path: Vec<(&Node, usize)> = Vec::new();
        let mut next = self.nodes.last();
        loop {
            match next.take() {
                Some(Node::Scalar(range)) => {
                    out.extend_from_slice(self.text.get(range.clone()).unwrap_or(&[]))
                }
                Some(node) => {
                    out.push(if matches!(node, Node::Array(_)) { b'[' } else { b'{' });
                    path.push((node, 0));
                }
                None => {}
            }
            let Some((node, member)) = path.last_mut() else { return };
            let (close, found) = match node {
                Node::Array(values) => (b']', values.get(*member).map(|value| (None, *value))),
                Node::Object(members) => {
                    (b'}', members.get(*member).map(|(key, value)| (Some(key.clone()), *value)))
                }
                Node::Scalar(_) => return,
            };
            match found {
                Some((key, value)) => {
                    if *member > 0 {
                        out.extend_from_slice(b", ");
                    }
                    *member += 1;
                    if let Some(key) = key {
                        out.extend_from_slice(self.text.get(key).unwrap_or(&[]));
                        out.extend_from_slice(b": ");
                    }
                    next = self.nodes.get(value);
                }
                None => {
                    out.push(close);
                    path.pop();
                }
            }
        }
    }
}

/// Reads JSON as the server does. Without a tree it only checks, and then escapes of halves of pairs and of
/// U+0000 are allowed, as in `json`.
struct Parser<'a, 't> {
    input: &'a str,
    at: usize,
    tree: Option<&'t mut Tree>,
}

impl<'a> Parser<'a, '_> {
    fn document(&mut self) -> Result<(), DatumError> {
        let mut stack: Vec<Open> = Vec::new();
        // The keys that values are being read for.
        let mut keys: Vec<Option<(Range<usize>, String)>> = Vec::new();
        loop {
            // A value starts here.
            self.space();
            let mut done = match self.peek() {
                Some(b'[') => {
                    self.at += 1;
                    self.space();
                    let open = Open::Array(Vec::new());
                    if self.accept(b']') {
                        self.close(open)
                    } else {
                        stack.push(open);
                        keys.push(None);
                        deep(&stack)?;
                        continue;
                    }
                }
                Some(b'{') => {
                    self.at += 1;
                    self.space();
                    let open = Open::Object(Vec::new());
                    if self.accept(b'}') {
                        self.close(open)
                    } else {
                        stack.push(open);
                        keys.push(Some(self.key()?));
                        deep(&stack)?;
                        continue;
                    }
                }
                _ => self.scalar()?,
            };
            // A value has ended; it may end containers.
            loop {
                self.space();
                let Some(open) = stack.last_mut() else {
                    return if self.at == self.input.len() {
                        Ok(())
                    } else {
                        Err(self.expected("end of input"))
                    };
                };
                let close = match open {
                    Open::Array(values) => {
                        values.push(done);
                        b']'
                    }
                    Open::Object(members) => {
                        if let Some((printed, key)) = keys.last_mut().and_then(Option::take) {
                            members.push(Member { printed, key, value: done });
                        }
                        b'}'
                    }
                };
                if self.accept(b',') {
                    if close == b'}' {
                        self.space();
                        let key = self.key()?;
                        if let Some(last) = keys.last_mut() {
                            *last = Some(key);
                        }
                    }
                    break;
                }
                if !self.accept(close) {
                    return Err(self.expected(if close == b']' {
                        "\",\" or \"]\""
                    } else {
                        "\",\" or \"}\""
                    }));
                }
                keys.pop();
                done = match stack.pop() {
                    Some(open) => self.close(open),
                    None => 0,
                };
            }
        }
    }

    fn close(&mut self, open: Open) -> usize {
        self.tree.as_mut().map_or(0, |tree| tree.close(open))
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(Range<usize>, String), DatumError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("string"));
        }
        let key = self.string()?;
        self.space();
        if !self.accept(b':') {
            return Err(self.expected("\":\""));
        }
        let printed = self.tree.as_mut().map_or(0..0, |tree| {
            let mut text = Vec::new();
            print_string(&key, &mut text);
            tree.keep(&text)
        });
        Ok((printed, key))
    }

    fn scalar(&mut self) -> Result<usize, DatumError> {
        let mut text = Vec::new();
        match self.peek() {
            Some(b'"') => {
                let string = self.string()?;
                print_string(&string, &mut text);
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                if self.tree.is_some() {
                    Numeric::parse(number)?.print(&mut text);
                }
            }
            _ => {
                let word = ["true", "false", "null"].into_iter().find(|word| {
                    let rest = self.input.get(self.at..).unwrap_or("");
                    rest.strip_prefix(word).is_some_and(|after| !after.starts_with(is_word))
                });
                let word = word.ok_or_else(|| self.expected("JSON value"))?;
                self.at += word.len();
                text.extend_from_slice(word.as_bytes());
            }
        }
        Ok(self.tree.as_mut().map_or(0, |tree| tree.scalar(&text)))
    }

    fn number(&mut self) -> Result<&'a str, DatumError> {
        let start = self.at;
        self.accept(b'-');
        let valid = (self.accept(b'0') || self.digits() > 0)
            && (!self.accept(b'.') || self.digits() > 0)
            && (!(self.accept(b'e') || self.accept(b'E')) || {
                let _ = self.accept(b'+') || self.accept(b'-');
                self.digits() > 0
            });
        let rest = self.input.get(self.at..).unwrap_or("");
        if !valid || rest.starts_with(is_word) {
            return Err(self.invalid_token());
        }
        Ok(self.input.get(start..self.at).unwrap_or(""))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    /// A string's content (empty when only checking).
    fn string(&mut self) -> Result<String, DatumError> {
        let mut content = String::new();
        // A high surrogate whose other half must follow.
        let mut high: Option<u32> = None;
        let wanted = self.tree.is_some();
        let mut chars = self.input.get(self.at + 1..).unwrap_or("").char_indices();
        let start = self.at + 1;
        loop {
            let Some((at, c)) = chars.next() else { return Err(self.invalid_token()) };
            let mut unit = None;
            match c {
                '"' if high.is_none() => {
                    self.at = start + at + 1;
                    return Ok(content);
                }
                '"' => return Err(surrogate(LOW_MUST_FOLLOW)),
                '\\' => {
                    let plain = match chars.next().map(|(_, c)| c) {
                        Some(c @ ('"' | '\\' | '/')) => Some(c),
                        Some('b') => Some('\u{8}'),
                        Some('f') => Some('\u{c}'),
                        Some('n') => Some('\n'),
                        Some('r') => Some('\r'),
                        Some('t') => Some('\t'),
                        Some('u') => {
                            let mut value = 0;
                            for _ in 0..4 {
                                let digit = chars.next().and_then(|(_, c)| c.to_digit(16));
                                value = value * 16
                                    + digit.ok_or_else(|| {
                                        json("\"\\u\" must be followed by four hexadecimal digits.")
                                    })?;
                            }
                            unit = Some(value);
                            None
                        }
                        Some(_) => return Err(json("Escape sequence is invalid.")),
                        None => return Err(self.invalid_token()),
                    };
                    if let (true, Some(c)) = (wanted, plain) {
                        if high.is_some() {
                            return Err(surrogate(LOW_MUST_FOLLOW));
                        }
                        content.push(c);
                    }
                }
                '\0'..='\u{1f}' => return Err(json("Control characters must be escaped.")),
                c if wanted => {
                    if high.is_some() {
                        return Err(surrogate(LOW_MUST_FOLLOW));
                    }
                    content.push(c);
                }
                _ => {}
            }
            if let (true, Some(unit)) = (wanted, unit) {
                let code = match (high.take(), unit) {
                    (Some(_), 0xD800..=0xDBFF) => {
                        return Err(surrogate("Unicode high surrogate must not follow a high surrogate."));
                    }
                    (None, 0xD800..=0xDBFF) => {
                        high = Some(unit);
                        continue;
                    }
                    (Some(high), 0xDC00..=0xDFFF) => 0x10000 + ((high & 0x3FF) << 10 | unit & 0x3FF),
                    (Some(_), _) | (None, 0xDC00..=0xDFFF) => return Err(surrogate(LOW_MUST_FOLLOW)),
                    (None, 0) => return Err(DatumError::JsonNul),
                    (None, unit) => unit,
                };
                content.extend(char::from_u32(code));
            }
        }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.input.as_bytes().get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> DatumError {
        match self.input.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => json(format!("Expected {what}, but found \"{found}\".")),
            None => json("The input string ended unexpectedly."),
        }
    }

    fn invalid_token(&self) -> DatumError {
        json("Token is invalid.")
    }
}

const LOW_MUST_FOLLOW: &str = "Unicode low surrogate must follow a high surrogate.";

fn surrogate(detail: &str) -> DatumError {
    json(detail)
}

fn json(detail: impl Into<String>) -> DatumError {
    DatumError::Json { detail: detail.into() }
}

fn deep(stack: &[Open]) -> Result<(), DatumError> {
    if stack.len() > MAX_DEPTH { Err(DatumError::TooDeep) } else { Ok(()) }
}

/// What may not follow a number or a word directly.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// Writes a string as `escape_json` does.
fn print_string(string: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in string.bytes() {
        match byte {
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0..0x20 => {
                let mut escape = String::new();
                let _ = write!(escape, "\\u{byte:04x}");
                out.extend_from_slice(escape.as_bytes());
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
