//! What tokens mean: strings, numbers, identifiers.

use super::scanner::continuation;
use super::{Lexeme, LexemeKind, StringForm};

/// NAMEDATALEN less its closing zero: longer identifiers are cut.
const MAX_IDENTIFIER: usize = 63;

/// A number token's value and type, as PostgreSQL gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Number {
    /// Fits int4.
    Int4(i32),
    /// Fits int8.
    Int8(i64),
    /// Any other: decimal digits with an optional sign, point and exponent, underscores taken out. An integer
    /// in another base that does not fit int8 keeps its base (`0x...`).
    Numeric(String),
}

/// A bit string constant: `B'0101'`, `X'1F'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitString {
    /// The content as written, parts joined.
    pub digits: String,
    /// True for `X''`.
    pub is_hex: bool,
}

impl BitString {
    /// The content of a bit string token; `None` for any other token, and for digits that are none.
    pub fn of(lexeme: &Lexeme, text: &str) -> Option<Self> {
        let is_hex = match lexeme.kind {
            LexemeKind::Bits => false,
            LexemeKind::Hex => true,
            _ => return None,
        };
        let mut digits = String::new();
        for part in Parts::new(lexeme.text(text).get(1..)?, false) {
            digits.push_str(part);
        }
        let is_digit = |c: char| if is_hex { c.is_ascii_hexdigit() } else { matches!(c, '0' | '1') };
        digits.chars().all(is_digit).then_some(Self { digits, is_hex })
    }
}

/// The content of a string token, all forms decoded and all parts joined.
///
/// `None` for any other token, and for what PostgreSQL refuses: a bad escape, a zero character, bytes that
/// are not UTF-8.
pub fn string_value(lexeme: &Lexeme, text: &str) -> Option<String> {
    let LexemeKind::String(form) = lexeme.kind else { return None };
    let written = lexeme.text(text);
    match form {
        StringForm::Plain => Some(undouble(written)),
        StringForm::National => Some(undouble(written.get(1..)?)),
        StringForm::Escaped => {
            let mut bytes = Vec::with_capacity(written.len());
            for part in Parts::new(written.get(1..)?, true) {
                unescape(part, &mut bytes)?;
            }
            (!bytes.contains(&0)).then(|| String::from_utf8(bytes).ok())?
        }
        StringForm::Unicode => unicode(written.get(2..)?, '\''),
        StringForm::Dollar => {
            let delimiter = written.get(1..)?.find('$')? + 2;
            written.get(delimiter..written.len().checked_sub(delimiter)?).map(str::to_owned)
        }
    }
}

impl Number {
    /// As PostgreSQL prints it.
    pub fn into_text(self) -> String {
        match self {
            Self::Int4(number) => number.to_string(),
            Self::Int8(number) => number.to_string(),
            Self::Numeric(digits) => digits,
        }
    }
}

/// The value of a number token; `negative` says that a minus sign belongs to it, as in `-9223372036854775808`.
pub fn number(lexeme: &Lexeme, text: &str, negative: bool) -> Option<Number> {
    let digits: String = lexeme.text(text).chars().filter(|c| *c != '_').collect();
    let sign = if negative { "-" } else { "" };
    let value = match lexeme.kind {
        LexemeKind::Numeric => return Some(Number::Numeric(format!("{sign}{digits}"))),
        LexemeKind::Integer => {
            let (radix, body) = match digits.get(..2) {
                Some("0x" | "0X") => (16, digits.get(2..)?),
                Some("0o" | "0O") => (8, digits.get(2..)?),
                Some("0b" | "0B") => (2, digits.get(2..)?),
                _ => (10, digits.as_str()),
            };
            i64::from_str_radix(&format!("{sign}{body}"), radix)
        }
        _ => return None,
    };
    Some(match value {
        Ok(value) => i32::try_from(value).map_or(Number::Int8(value), Number::Int4),
        Err(_) => Number::Numeric(format!("{sign}{digits}")),
    })
}

/// The name that an identifier token stands for: folded unless quoted, unquoted, cut at 63 bytes.
///
/// `None` for any other token, and for bad escapes in `U&""`.
pub fn identifier(lexeme: &Lexeme, text: &str) -> Option<String> {
    let written = lexeme.text(text);
    let mut name = match lexeme.kind {
        LexemeKind::Word => fold(written),
        LexemeKind::QuotedWord => {
            written.strip_prefix('"').and_then(|w| w.strip_suffix('"'))?.replace("\"\"", "\"")
        }
        LexemeKind::UnicodeWord => unicode(written.get(2..)?, '"')?,
        _ => return None,
    };
    name.truncate(clip(&name).len());
    Some(name)
}

/// A word as PostgreSQL folds it: ASCII letters only.
pub(in crate::sql) fn fold(word: &str) -> String {
    word.to_ascii_lowercase()
}

/// A name cut at 63 bytes, at a character's boundary.
pub(in crate::sql) fn clip(name: &str) -> &str {
    let mut end = name.len().min(MAX_IDENTIFIER);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or(name)
}

/// A text with every escape of an `E''` constant decoded, wherever it stands; what is none stays as it is.
pub(in crate::sql) fn decode_escapes(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let behind = rest.get(c.len_utf8()..).unwrap_or_default();
        let (escape, after) =
            Some(c).filter(|c| *c == '\\').and_then(|_| escape(behind)).unwrap_or((Escape::Char(c), behind));
        match escape {
            Escape::Byte(byte) => out.push(byte),
            Escape::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Escape::Unicode(unit) => {
                let c = char::from_u32(unit).unwrap_or('\\');
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A text with every escape of a `U&''` constant decoded, wherever it stands.
pub(in crate::sql) fn decode_unicode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        let digits = if let Some(six) = rest.strip_prefix('+') { six.get(..6) } else { rest.get(..4) };
        let decoded = digits.filter(|_| c == '\\').and_then(|digits| {
            let behind = rest.split_at_checked(digits.len() + usize::from(digits.len() == 6))?.1;
            Some((char::from_u32(hexadecimal(digits)?)?, behind))
        });
        match decoded {
            Some((c, behind)) => {
                out.push(c);
                rest = behind;
            }
            None => out.push(c),
        }
    }
    out
}

/// A text whose string constants do not go on over lines: what stands between two parts is taken out.
pub(in crate::sql) fn join_continued(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(quote) = rest.find('\'') {
        match continuation(rest.as_bytes(), quote + 1) {
            Some(next) => {
                out.push_str(rest.get(..quote).unwrap_or_default());
                rest = rest.get(next + 1..).unwrap_or_default();
            }
            None => {
                out.push_str(rest.get(..=quote).unwrap_or_default());
                rest = rest.get(quote + 1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// The parts of a constant in single quotes, their escapes and doubled quotes still in them.
struct Parts<'a> {
    text: &'a str,
    opens: Option<usize>,
    /// Behind the closing quote of the part that was given last.
    end: usize,
    escapes: bool,
}

impl<'a> Parts<'a> {
    /// Over a text that starts with a quote; `escapes` if a backslash protects what follows it.
    fn new(text: &'a str, escapes: bool) -> Self {
        Self { text, opens: Some(0), end: 0, escapes }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let content = self.opens.take()? + 1;
        let mut at = content;
        loop {
            match (bytes.get(at)?, bytes.get(at + 1)) {
                (b'\'', Some(b'\'')) => at += 2,
                (b'\\', Some(_)) if self.escapes => at += 2,
                (b'\'', _) => break,
                _ => at += 1,
            }
        }
        self.end = at + 1;
        self.opens = continuation(bytes, self.end);
        self.text.get(content..at)
    }
}

/// Joins the parts of a constant without escapes.
fn undouble(written: &str) -> String {
    Parts::new(written, false).map(|part| part.replace("''", "'")).collect()
}

/// Decodes one part of an `E''` constant.
fn unescape(part: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = part;
    let mut high = None;
    while let Some(c) = rest.chars().next() {
        let (escape, after) = match c {
            '\'' => (Escape::Char('\''), rest.get(2..)?),
            '\\' => escape(rest.get(1..)?)?,
            c => (Escape::Char(c), rest.get(c.len_utf8()..)?),
        };
        rest = after;
        let c = match (escape, high.take()) {
            (Escape::Unicode(unit), high_unit) => match join_surrogates(high_unit, unit)? {
                Some(c) => c,
                None => {
                    high = Some(unit);
                    continue;
                }
            },
            (_, Some(_)) => return None,
            (Escape::Char(c), None) => c,
            (Escape::Byte(byte), None) => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    high.is_none().then_some(())
}

enum Escape {
    Char(char),
    Byte(u8),
    /// A code point, or half of a surrogate pair.
    Unicode(u32),
}

/// One escape of an `E''` constant, the backslash taken off, and what stands behind it.
fn escape(text: &str) -> Option<(Escape, &str)> {
    let c = text.chars().next()?;
    let after = text.get(c.len_utf8()..)?;
    let digits = |text: &str, radix: u32, most: usize| {
        text.chars().take(most).take_while(|c| c.is_digit(radix)).count()
    };
    Some(match c {
        'b' => (Escape::Char('\u{8}'), after),
        'f' => (Escape::Char('\u{c}'), after),
        'n' => (Escape::Char('\n'), after),
        'r' => (Escape::Char('\r'), after),
        't' => (Escape::Char('\t'), after),
        'v' => (Escape::Char('\u{b}'), after),
        '0'..='7' => {
            let len = digits(text, 8, 3);
            let value = u32::from_str_radix(text.get(..len)?, 8).ok()?;
            (Escape::Byte(u8::try_from(value & 0xff).ok()?), text.get(len..)?)
        }
        'x' if digits(after, 16, 2) > 0 => {
            let len = digits(after, 16, 2);
            (Escape::Byte(u8::from_str_radix(after.get(..len)?, 16).ok()?), after.get(len..)?)
        }
        'u' | 'U' => {
            let len = if c == 'u' { 4 } else { 8 };
            (Escape::Unicode(hexadecimal(after.get(..len)?)?), after.get(len..)?)
        }
        c => (Escape::Char(c), after),
    })
}

/// Decodes a `U&` constant or identifier, the prefix taken off.
fn unicode(written: &str, quote: char) -> Option<String> {
    let (content, behind) = if quote == '\'' {
        let mut parts = Parts::new(written, false);
        let mut content = String::new();
        for part in parts.by_ref() {
            content.push_str(&part.replace("''", "'"));
        }
        (content, written.get(parts.end..)?)
    } else {
        let bytes = written.as_bytes();
        let mut at = 1;
        loop {
            match (bytes.get(at)?, bytes.get(at + 1)) {
                (b'"', Some(b'"')) => at += 2,
                (b'"', _) => break,
                _ => at += 1,
            }
        }
        (written.get(1..at)?.replace("\"\"", "\""), written.get(at + 1..)?)
    };
    let escape = escape_character(behind)?;
    let mut out = String::with_capacity(content.len());
    let mut rest = content.as_str();
    let mut high = None;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        let unit = if c != escape {
            None
        } else if rest.starts_with(escape) {
            rest = rest.get(escape.len_utf8()..)?;
            None
        } else if let Some(digits) = rest.strip_prefix('+') {
            rest = digits.get(6..)?;
            Some(hexadecimal(digits.get(..6)?)?)
        } else {
            let digits = rest.get(..4)?;
            rest = rest.get(4..)?;
            Some(hexadecimal(digits)?)
        };
        match (unit, high.take()) {
            (None, None) => out.push(c),
            (None, Some(_)) => return None,
            (Some(unit), high_unit) => match join_surrogates(high_unit, unit)? {
                Some(c) => out.push(c),
                None => high = Some(unit),
            },
        }
    }
    high.is_none().then_some(out)
}

/// The escape character that a UESCAPE clause names; a backslash if there is none.
fn escape_character(behind: &str) -> Option<char> {
    let Some(open) = behind.rfind(['\'', '$']) else { return Some('\\') };
    let mut characters = behind.get(..open)?.chars().rev();
    let character = characters.next()?;
    let refused =
        character.is_ascii_hexdigit() || matches!(character, '+' | '\'' | '"') || character.is_whitespace();
    // Only the form that is ever written: 'c'.
    (character.is_ascii() && !refused && characters.next() == Some('\'')).then_some(character)
}

/// A character from a code point or from the second half of a pair; `Some(None)` for a first half.
fn join_surrogates(high: Option<u32>, unit: u32) -> Option<Option<char>> {
    match (high, unit) {
        (None, 0xd800..0xdc00) => Some(None),
        (Some(high), 0xdc00..0xe000) => {
            char::from_u32(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00)).map(Some)
        }
        (Some(_), _) | (None, 0) => None,
        (None, unit) => char::from_u32(unit).map(Some),
    }
}

fn hexadecimal(digits: &str) -> Option<u32> {
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::super::tokenize;
    use super::*;

    fn only(text: &str) -> Lexeme {
        let lexemes = tokenize(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(lexemes.len(), 1, "{text}");
        lexemes[0]
    }

    #[test]
    fn strings_are_decoded_in_all_forms() {
        let cases = [
            ("'a'", Some("a")),
            ("''", Some("")),
            ("'a''b'", Some("a'b")),
            ("'a\\n'", Some("a\\n")),
            ("N'a''b'", Some("a'b")),
            ("'a'\n'b''c' -- d\n '''e'", Some("ab'c'e")),
            ("$$a''b\\n$$", Some("a''b\\n")),
            ("$x$a$$b$x$", Some("a$$b")),
            ("$$$$", Some("")),
            ("E'a\\n\\t\\b\\f\\r\\v\\q\\'\\\\'''", Some("a\n\t\u{8}\u{c}\r\u{b}q'\\'")),
            ("E'\\165sers'", Some("users")),
            ("E'\\x75\\x73ers'", Some("users")),
            ("E'\\xg'", Some("xg")),
            ("E'\\1\\12\\1234'", Some("\u{1}\nS4")),
            ("E'\\xc3\\xa9'", Some("é")),
            ("E'\\303'\n'\\251'", Some("é")),
            ("E'\\xc3'", None),
            ("E'\\000'", None),
            ("E'\\x0'", None),
            ("E'\\u0075\\U00000073'", Some("us")),
            ("E'\\ud83d\\ude00'", Some("😀")),
            ("E'\\ud83d'", None),
            ("E'\\ud83d'\n'\\ude00'", None),
            ("E'\\ud83da'", None),
            ("E'\\ude00'", None),
            ("E'\\u12'", None),
            ("E'\\u0000'", None),
            ("E'\\U00110000'", None),
            ("E'\\é'", Some("é")),
            ("U&'\\0075s\\+000065rs'", Some("users")),
            ("U&'a\\\\b''c'", Some("a\\b'c")),
            ("U&'a!0041!!b\\' UESCAPE '!'", Some("aA!b\\")),
            ("U&'a'\n'\\0041'", Some("aA")),
            ("U&'\\d83d\\de00'", Some("😀")),
            ("U&'\\d83d'", None),
            ("U&'\\0000'", None),
            ("U&'\\004'", None),
            ("U&'\\'", None),
            ("U&'a' UESCAPE '+'", None),
            ("U&'a' UESCAPE 'ab'", None),
            ("1", None),
            ("B'1'", None),
        ];
        for (text, value) in cases {
            assert_eq!(string_value(&only(text), text).as_deref(), value, "{text}");
        }
    }

    #[test]
    fn numbers_have_the_type_that_their_value_needs() {
        let numeric = |s: &str| Some(Number::Numeric(s.to_owned()));
        let cases = [
            ("0", false, Some(Number::Int4(0))),
            ("007", false, Some(Number::Int4(7))),
            ("2147483647", false, Some(Number::Int4(2_147_483_647))),
            ("2147483648", false, Some(Number::Int8(2_147_483_648))),
            ("2147483648", true, Some(Number::Int4(-2_147_483_648))),
            ("9223372036854775807", false, Some(Number::Int8(i64::MAX))),
            ("9223372036854775808", false, numeric("9223372036854775808")),
            ("9223372036854775808", true, Some(Number::Int8(i64::MIN))),
            ("1_000", false, Some(Number::Int4(1000))),
            ("0x1F", false, Some(Number::Int4(31))),
            ("0x_FFFF_FFFF", false, Some(Number::Int8(0xffff_ffff))),
            ("0o17", true, Some(Number::Int4(-15))),
            ("0b101", false, Some(Number::Int4(5))),
            ("1.50", false, numeric("1.50")),
            ("1e3", false, numeric("1e3")),
            (".5", true, numeric("-.5")),
            ("'1'", false, None),
        ];
        for (text, negative, value) in cases {
            assert_eq!(number(&only(text), text, negative), value, "{text}");
        }
    }

    #[test]
    fn identifiers_are_folded_unquoted_and_cut() {
        let long = "é".repeat(40);
        let cases = [
            ("Users", Some("users".to_owned())),
            ("ÉTÉ", Some("ÉtÉ".to_owned())),
            ("\"Users\"", Some("Users".to_owned())),
            ("\"a\"\"b\"", Some("a\"b".to_owned())),
            ("U&\"d\\0061t\\+000061\"", Some("data".to_owned())),
            ("U&\"d!0061\" UESCAPE '!'", Some("da".to_owned())),
            ("U&\"\\00\"", None),
            (long.as_str(), Some("é".repeat(31))),
            ("'users'", None),
        ];
        for (text, name) in cases {
            assert_eq!(identifier(&only(text), text), name, "{text}");
        }
        let exact = "A".repeat(63);
        assert_eq!(identifier(&only(&exact), &exact), Some("a".repeat(63)));
    }

    #[test]
    fn bit_strings_keep_their_digits() {
        let cases = [
            ("B'01'\n'10'", Some(("0110", false))),
            ("x'1F'", Some(("1F", true))),
            ("B''", Some(("", false))),
            ("B'2'", None),
            ("X'g'", None),
            ("'1'", None),
        ];
        for (text, expected) in cases {
            let found = BitString::of(&only(text), text);
            assert_eq!(found.as_ref().map(|b| (b.digits.as_str(), b.is_hex)), expected, "{text}");
        }
    }
}
