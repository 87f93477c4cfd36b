//! Arrays of either format, element by element.
//!
//! Canonical form: PostgreSQL's binary array, whose elements are canonical and whose element type is 0
//! (the elements are of a family, and an enum's object id does not survive a dump):
//!
//! | bytes | field |
//! |---|---|
//! | 4 | number of dimensions, 0 for an empty array |
//! | 4 | 1 if an element is NULL, else 0 |
//! | 4 | element type: 0 |
//! | 8 each | length and lower bound of a dimension |
//! | 4 and so many | length of an element (-1: NULL) and its bytes |

use std::borrow::Cow;

use super::cursor::Cursor;
use super::text::is_space;
use super::{DatumError, Format, Oid, Quoted};

/// The server's limit of dimensions.
const MAX_DIMENSIONS: usize = 6;
/// The server's limit of elements.
const MAX_ELEMENTS: usize = 134_217_727;

/// An array: dimensions, and elements in row-major order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Array<'a> {
    /// Length and lower bound of each dimension; none for an empty array.
    pub dimensions: Vec<Dimension>,
    /// The elements in the array's format; `None` is NULL.
    pub elements: Vec<Option<Cow<'a, [u8]>>>,
    /// The element type that a binary array names; 0 from text.
    pub element: Oid,
}

/// One dimension of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimension {
    /// How many elements.
    pub length: usize,
    /// The index of the first.
    pub lower: i32,
}

/// Takes an array apart.
pub fn parse(bytes: &[u8], format: Format) -> Result<Array<'_>, DatumError> {
    match format {
        Format::Text => TextParser::new(super::text::utf8(bytes)?).array(),
        Format::Binary => parse_binary(bytes),
    }
}

impl Array<'_> {
    /// The same array with every element that is not NULL replaced by what `write` appends for it.
    pub fn map<E>(
        &self,
        mut write: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Array<'static>, E> {
        let elements = self
            .elements
            .iter()
            .map(|element| {
                element
                    .as_deref()
                    .map(|bytes| {
                        let mut out = Vec::new();
                        write(bytes, &mut out).map(|()| Cow::Owned(out))
                    })
                    .transpose()
            })
            .collect::<Result<_, E>>()?;
        Ok(Array { dimensions: self.dimensions.clone(), elements, element: self.element })
    }

    /// Writes the array as `array_out` prints or `array_send` sends it; the elements must be in that format.
    pub fn write(&self, element: Oid, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Text => self.print(out),
            Format::Binary => self.send(element, out),
        }
    }

    fn send(&self, element: Oid, out: &mut Vec<u8>) {
        let nulls = self.elements.iter().any(Option::is_none);
        out.extend_from_slice(&length(self.dimensions.len()).to_be_bytes());
        out.extend_from_slice(&i32::from(nulls).to_be_bytes());
        out.extend_from_slice(&element.to_be_bytes());
        for dimension in &self.dimensions {
            out.extend_from_slice(&length(dimension.length).to_be_bytes());
            out.extend_from_slice(&dimension.lower.to_be_bytes());
        }
        for element in &self.elements {
            match element {
                Some(bytes) => {
                    out.extend_from_slice(&length(bytes.len()).to_be_bytes());
                    out.extend_from_slice(bytes);
                }
                None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            }
        }
    }

    fn print(&self, out: &mut Vec<u8>) {
        if self.dimensions.iter().any(|dimension| dimension.lower != 1) {
            for dimension in &self.dimensions {
                let upper = i64::from(dimension.lower) + i64::from(length(dimension.length)) - 1;
                out.extend_from_slice(format!("[{}:{upper}]", dimension.lower).as_bytes());
            }
            out.push(b'=');
        }
        if self.elements.is_empty() {
            out.extend_from_slice(b"{}");
            return;
        }
        // Sizes of the sub-arrays that start and end at an element.
        let mut sizes: Vec<usize> = self
            .dimensions
            .iter()
            .rev()
            .scan(1_usize, |size, dimension| {
                *size = size.saturating_mul(dimension.length);
                Some(*size)
            })
            .collect();
        sizes.reverse();
        for (at, element) in self.elements.iter().enumerate() {
            let opening = sizes.iter().filter(|size| at.is_multiple_of(**size)).count();
            if at > 0 {
                let closing = opening;
                out.extend(std::iter::repeat_n(b'}', closing));
                out.push(b',');
            }
            out.extend(std::iter::repeat_n(b'{', opening));
            match element {
                Some(bytes) => quote(bytes, out),
                None => out.extend_from_slice(b"NULL"),
            }
        }
        out.extend(std::iter::repeat_n(b'}', sizes.len()));
    }
}

fn parse_binary(bytes: &[u8]) -> Result<Array<'_>, DatumError> {
    let (bad, short) = (|| DatumError::binary("array"), || DatumError::Short);
    let mut bytes = Cursor(bytes);
    let count = bytes.i32().ok_or_else(short)?;
    let count = usize::try_from(count).map_err(|_| bad())?;
    if count > MAX_DIMENSIONS {
        return Err(DatumError::Limit("number of array dimensions exceeds the maximum allowed (6)"));
    }
    Some(bytes.u32().ok_or_else(short)?).filter(|flags| *flags <= 1).ok_or_else(bad)?;
    let element = bytes.u32().ok_or_else(short)?;
    let mut dimensions = Vec::with_capacity(count);
    for _ in 0..count {
        let length = bytes.i32().ok_or_else(short)?;
        let lower = bytes.i32().ok_or_else(short)?;
        dimensions.push(dimension(i64::from(length), lower)?);
    }
    let total = total(&dimensions)?;
    // Each element takes at least its length.
    if total.saturating_mul(4) > bytes.0.len() {
        return Err(short());
    }
    let mut elements = Vec::with_capacity(total);
    for _ in 0..total {
        elements.push(match bytes.i32().ok_or_else(short)? {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| bad())?;
                Some(Cow::Borrowed(bytes.take(length).ok_or_else(bad)?))
            }
        });
    }
    if !bytes.is_empty() {
        return Err(bad());
    }
    if total == 0 {
        dimensions.clear();
    }
    Ok(Array { dimensions, elements, element })
}

fn dimension(length: i64, lower: i32) -> Result<Dimension, DatumError> {
    let end = i64::from(lower) + length;
    let length = usize::try_from(length).map_err(|_| DatumError::binary("array"))?;
    if end > i64::from(i32::MAX) {
        return Err(DatumError::Limit("array lower bound is too large"));
    }
    Ok(Dimension { length, lower })
}

/// The number of elements.
fn total(dimensions: &[Dimension]) -> Result<usize, DatumError> {
    if dimensions.is_empty() {
        return Ok(0);
    }
    let product =
        dimensions.iter().try_fold(1_usize, |product, dimension| product.checked_mul(dimension.length));
    product
        .filter(|total| *total <= MAX_ELEMENTS)
        .ok_or(DatumError::Limit("array size exceeds the maximum allowed (134217727)"))
}

fn length(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Writes an element, in quotes where `array_in` would misread it bare.
fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    let needs_quotes = bytes.is_empty()
        || bytes.eq_ignore_ascii_case(b"NULL")
        || bytes
            .iter()
            .any(|byte| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(char::from(*byte)));
    if !needs_quotes {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Reads `{a,"b c",NULL}`, nested and with bounds before it (`[2:3]={a,b}`).
struct TextParser<'a> {
    input: &'a str,
    rest: &'a str,
}

impl<'a> TextParser<'a> {
    fn new(input: &'a str) -> Self {
        Self { input, rest: input }
    }

    fn array(mut self) -> Result<Array<'a>, DatumError> {
        let bounds = self.bounds()?;
        let mut array = Array::default();
        self.expect('{', "Array value must start with \"{\" or dimension information.")?;
        self.space();
        if self.accept('}') {
            if !bounds.is_empty() {
                return Err(self.fail(MISMATCH));
            }
        } else {
            let lengths = self.elements(&mut array.elements)?;
            if bounds.is_empty() {
                array.dimensions =
                    lengths.iter().map(|length| Dimension { length: *length, lower: 1 }).collect();
            } else {
                if bounds.iter().map(|bound| bound.length).ne(lengths) {
                    return Err(self.fail(MISMATCH));
                }
                array.dimensions = bounds;
            }
            total(&array.dimensions)?;
        }
        self.space();
        if !self.rest.is_empty() {
            return Err(self.fail("Junk after closing right brace."));
        }
        Ok(array)
    }

    /// `[lower:upper][upper]=` if it is there.
    fn bounds(&mut self) -> Result<Vec<Dimension>, DatumError> {
        let mut bounds = Vec::new();
        self.space();
        while self.accept('[') {
            if bounds.len() == MAX_DIMENSIONS {
                return Err(TOO_MANY);
            }
            let first = self.number()?;
            let (lower, upper) = if self.accept(':') { (first, self.number()?) } else { (1, first) };
            self.expect(']', "Missing \"]\" after array dimensions.")?;
            if upper < lower {
                return Err(DatumError::ArrayBounds("upper bound cannot be less than lower bound"));
            }
            bounds.push(dimension(i64::from(upper) - i64::from(lower) + 1, lower)?);
            self.space();
        }
        if !bounds.is_empty() {
            self.expect('=', "Missing \"=\" after array dimensions.")?;
            self.space();
        }
        Ok(bounds)
    }

    /// Everything up to the brace that closes the one just read; gives the lengths of the dimensions.
    fn elements(&mut self, elements: &mut Vec<Option<Cow<'a, [u8]>>>) -> Result<Vec<usize>, DatumError> {
        // Elements so far in each open level, and lengths that a closed level has fixed.
        let mut open = vec![0_usize];
        let mut lengths: Vec<Option<usize>> = vec![None];
        // The level at which elements stand, once one has been seen.
        let mut leaf = None;
        loop {
            self.space();
            if self.accept('{') {
                if leaf.is_some_and(|leaf| open.len() >= leaf) {
                    return Err(self.fail(RAGGED));
                }
                if open.len() == MAX_DIMENSIONS {
                    return Err(TOO_MANY);
                }
                open.push(0);
                if lengths.len() < open.len() {
                    lengths.push(None);
                }
                continue;
            }
            if *leaf.get_or_insert(open.len()) != open.len() {
                return Err(self.fail(RAGGED));
            }
            elements.push(self.element()?);
            if elements.len() > MAX_ELEMENTS {
                return Err(DatumError::Limit("array size exceeds the maximum allowed (134217727)"));
            }
            // An element, or the brace that closes a level, ends with a comma or another brace.
            loop {
                if let Some(count) = open.last_mut() {
                    *count += 1;
                }
                self.space();
                if self.accept(',') {
                    break;
                }
                self.expect('}', "Unexpected end of input.")?;
                let (level, count) = (open.len(), open.pop().unwrap_or(0));
                let fixed = level.checked_sub(1).and_then(|at| lengths.get_mut(at));
                if fixed.is_none_or(|length| *length.get_or_insert(count) != count) {
                    return Err(self.fail(RAGGED));
                }
                if open.is_empty() {
                    return Ok(lengths.into_iter().flatten().collect());
                }
            }
        }
    }

    fn element(&mut self) -> Result<Option<Cow<'a, [u8]>>, DatumError> {
        let quoted = self.accept('"');
        let mut plain = true;
        let mut end = None;
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    plain = false;
                    if chars.next().is_none() {
                        break;
                    }
                }
                '"' if quoted => {
                    end = Some(at);
                    break;
                }
                '"' | '{' if !quoted => return Err(self.fail("Unexpected array element.")),
                ',' | '}' if !quoted => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let (raw, rest) = end
            .and_then(|end| self.rest.split_at_checked(end))
            .ok_or_else(|| self.fail("Unexpected end of input."))?;
        self.rest = rest;
        if quoted {
            self.accept('"');
            return Ok(Some(unescape(raw, plain)));
        }
        let raw = trim_end(raw);
        if raw.is_empty() {
            return Err(self.fail("Unexpected array element."));
        }
        if plain && raw.eq_ignore_ascii_case("null") {
            return Ok(None);
        }
        Ok(Some(unescape(raw, plain)))
    }

    fn number(&mut self) -> Result<i32, DatumError> {
        let end = self
            .rest
            .char_indices()
            .position(|(at, c)| !(c.is_ascii_digit() || (at == 0 && c == '-' || c == '+')));
        let (digits, rest) = end
            .and_then(|end| self.rest.split_at_checked(end))
            .ok_or_else(|| self.fail("\"[\" must introduce explicitly-specified array dimensions."))?;
        self.rest = rest;
        digits.parse().map_err(|_| self.fail("\"[\" must introduce explicitly-specified array dimensions."))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }

    fn accept(&mut self, mark: char) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: char, detail: &'static str) -> Result<(), DatumError> {
        if self.accept(mark) { Ok(()) } else { Err(self.fail(detail)) }
    }

    fn fail(&self, detail: &'static str) -> DatumError {
        DatumError::Array { input: Quoted::new(self.input), detail }
    }
}

const MISMATCH: &str = "Specified array dimensions do not match array contents.";
const RAGGED: &str = "Multidimensional arrays must have sub-arrays with matching dimensions.";
const TOO_MANY: DatumError = DatumError::Limit("number of array dimensions exceeds the maximum allowed (6)");

/// Trailing space off, but not one that a backslash keeps.
fn trim_end(raw: &str) -> &str {
    let trimmed = raw.trim_end_matches(is_space);
    let backslashes = trimmed.bytes().rev().take_while(|byte| *byte == b'\\').count();
    let kept = if backslashes.is_multiple_of(2) { trimmed.len() } else { trimmed.len() + 1 };
    raw.get(..kept).unwrap_or(raw)
}

fn unescape(raw: &str, plain: bool) -> Cow<'_, [u8]> {
    if plain {
        return Cow::Borrowed(raw.as_bytes());
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        text.extend(if byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    Cow::Owned(text)
}
