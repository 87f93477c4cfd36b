//! PostgreSQL's scanner.
//!
//! <https://github.com/postgres/postgres/blob/master/src/backend/parser/scan.l>

use super::{Lexeme, LexemeKind, StringForm};

/// Longest operator, in bytes: one less than NAMEDATALEN.
const MAX_OPERATOR: usize = 63;

/// A text that PostgreSQL's scanner refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {at}")]
pub struct LexError {
    /// Byte offset of the token that is wrong.
    pub at: usize,
    /// What is wrong with it.
    pub kind: LexErrorKind,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says it in its message")]
pub enum LexErrorKind {
    #[error("unterminated comment")]
    UnterminatedComment,
    #[error("unterminated string")]
    UnterminatedString,
    #[error("unterminated quoted identifier")]
    UnterminatedIdentifier,
    #[error("zero-length quoted identifier")]
    EmptyIdentifier,
    #[error("trailing characters after a number or parameter")]
    TrailingJunk,
    #[error("number of a parameter too large")]
    ParameterTooLarge,
    #[error("operator too long")]
    OperatorTooLong,
    #[error("UESCAPE without its character")]
    Uescape,
    #[error("unexpected character")]
    UnexpectedCharacter,
}

/// Cuts a text into its tokens; white space and comments are what lies between them.
pub fn tokenize(text: &str) -> Result<Vec<Lexeme>, LexError> {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0 };
    let mut lexemes = Vec::with_capacity(text.len() / 6);
    while let Some(lexeme) = scanner.next()? {
        attach_uescape(text, &mut lexemes, lexeme)?;
    }
    if let Some(last) = lexemes.last().filter(|last| is_word_uescape(text, last) && follows_unicode(&lexemes))
    {
        return Err(LexError { at: last.start, kind: LexErrorKind::Uescape });
    }
    Ok(lexemes)
}

/// True for what PostgreSQL takes as white space.
///
/// The vertical tab is one from version 16 on; before it is a syntax error, so nothing is misread.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// True for the first byte of an identifier.
pub(super) fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// True for a further byte of an identifier.
pub(super) fn is_identifier_part(byte: u8) -> bool {
    is_identifier_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Appends a token, or joins `UESCAPE 'c'` to the U& token before it.
fn attach_uescape(text: &str, lexemes: &mut Vec<Lexeme>, lexeme: Lexeme) -> Result<(), LexError> {
    let Some(word) = lexemes.last().copied().filter(|w| is_word_uescape(text, w) && follows_unicode(lexemes))
    else {
        lexemes.push(lexeme);
        return Ok(());
    };
    if !matches!(lexeme.kind, LexemeKind::String(form) if form != StringForm::National) {
        return Err(LexError { at: word.start, kind: LexErrorKind::Uescape });
    }
    lexemes.pop();
    if let Some(unicode) = lexemes.last_mut() {
        unicode.end = lexeme.end;
    }
    Ok(())
}

fn is_word_uescape(text: &str, lexeme: &Lexeme) -> bool {
    lexeme.is_word(text, "uescape")
}

/// True if the token before the last is a U& one.
fn follows_unicode(lexemes: &[Lexeme]) -> bool {
    lexemes.iter().rev().nth(1).is_some_and(|before| {
        matches!(before.kind, LexemeKind::UnicodeWord | LexemeKind::String(StringForm::Unicode))
    })
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Result<Option<Lexeme>, LexError> {
        self.skip_blank()?;
        let start = self.at;
        let Some(first) = self.peek(0) else { return Ok(None) };
        let kind = match (first, self.peek(1), self.peek(2)) {
            (b'\'', ..) => self.string(0, StringForm::Plain)?,
            (b'e' | b'E', Some(b'\''), _) => self.string(1, StringForm::Escaped)?,
            (b'n' | b'N', Some(b'\''), _) => self.string(1, StringForm::National)?,
            (b'u' | b'U', Some(b'&'), Some(b'\'')) => self.string(2, StringForm::Unicode)?,
            (b'b' | b'B', Some(b'\''), _) => self.bits(LexemeKind::Bits)?,
            (b'x' | b'X', Some(b'\''), _) => self.bits(LexemeKind::Hex)?,
            (b'"', ..) => self.quoted_word(0, LexemeKind::QuotedWord)?,
            (b'u' | b'U', Some(b'&'), Some(b'"')) => self.quoted_word(2, LexemeKind::UnicodeWord)?,
            (b'$', ..) => self.dollar()?,
            (b'0'..=b'9', ..) | (b'.', Some(b'0'..=b'9'), _) => self.number()?,
            (b':', Some(b':'), _) => self.fixed(2, LexemeKind::DoubleColon),
            (b':', Some(b'='), _) => self.fixed(2, LexemeKind::ColonEquals),
            (b'.', Some(b'.'), _) => self.fixed(2, LexemeKind::DoubleDot),
            (b',' | b'(' | b')' | b'[' | b']' | b'.' | b';' | b':', ..) => {
                self.fixed(1, LexemeKind::Symbol(first))
            }
            (byte, ..) if is_operator(byte) => self.operator()?,
            (byte, ..) if is_identifier_start(byte) => {
                self.skip_while(is_identifier_part);
                LexemeKind::Word
            }
            _ => return Err(self.error(start, LexErrorKind::UnexpectedCharacter)),
        };
        Ok(Some(Lexeme { kind, start, end: self.at }))
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at.saturating_add(ahead)).copied()
    }

    fn skip_while(&mut self, pass: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&pass) {
            self.at += 1;
        }
    }

    fn error(&self, at: usize, kind: LexErrorKind) -> LexError {
        LexError { at, kind }
    }

    fn fixed(&mut self, len: usize, kind: LexemeKind) -> LexemeKind {
        self.at += len;
        kind
    }

    /// Skips white space and comments; `--` ends at a line feed or a carriage return, `/* */` nests.
    fn skip_blank(&mut self) -> Result<(), LexError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(byte), _) if is_space(byte) => self.at += 1,
                (Some(b'-'), Some(b'-')) => self.skip_while(|byte| byte != b'\n' && byte != b'\r'),
                (Some(b'/'), Some(b'*')) => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), LexError> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(self.error(start, LexErrorKind::UnterminatedComment)),
            }
        }
    }

    /// A string constant with all its parts.
    fn string(&mut self, prefix: usize, form: StringForm) -> Result<LexemeKind, LexError> {
        let start = self.at;
        self.at += prefix;
        loop {
            self.at += 1;
            loop {
                match (self.peek(0), self.peek(1)) {
                    (Some(b'\''), Some(b'\'')) => self.at += 2,
                    (Some(b'\''), _) => break,
                    (Some(b'\\'), Some(_)) if form == StringForm::Escaped => self.at += 2,
                    (Some(_), _) => self.at += 1,
                    (None, _) => return Err(self.error(start, LexErrorKind::UnterminatedString)),
                }
            }
            self.at += 1;
            if !self.continues() {
                return Ok(LexemeKind::String(form));
            }
        }
    }

    /// A bit string: it has no doubled quotes, but parts on further lines.
    fn bits(&mut self, kind: LexemeKind) -> Result<LexemeKind, LexError> {
        let start = self.at;
        self.at += 1;
        loop {
            self.at += 1;
            self.skip_while(|byte| byte != b'\'');
            if self.peek(0).is_none() {
                return Err(self.error(start, LexErrorKind::UnterminatedString));
            }
            self.at += 1;
            if !self.continues() {
                return Ok(kind);
            }
        }
    }

    /// Behind a closing quote: if the constant goes on after white space with a line break, moves to the next
    /// part's quote.
    fn continues(&mut self) -> bool {
        let next = continuation(self.bytes, self.at);
        if let Some(next) = next {
            self.at = next;
        }
        next.is_some()
    }

    fn quoted_word(&mut self, prefix: usize, kind: LexemeKind) -> Result<LexemeKind, LexError> {
        let start = self.at;
        self.at += prefix + 1;
        let content = self.at;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'"'), Some(b'"')) => self.at += 2,
                (Some(b'"'), _) => break,
                (Some(0) | None, _) => return Err(self.error(start, LexErrorKind::UnterminatedIdentifier)),
                (Some(_), _) => self.at += 1,
            }
        }
        if self.at == content {
            return Err(self.error(start, LexErrorKind::EmptyIdentifier));
        }
        self.at += 1;
        Ok(kind)
    }

    /// `$1` or `$tag$...$tag$`.
    fn dollar(&mut self) -> Result<LexemeKind, LexError> {
        let start = self.at;
        self.at += 1;
        if self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            let mut number = 0u32;
            while let Some(digit @ b'0'..=b'9') = self.peek(0) {
                number = number
                    .checked_mul(10)
                    .and_then(|n| n.checked_add(u32::from(digit - b'0')))
                    .filter(|n| i32::try_from(*n).is_ok())
                    .ok_or(LexError { at: start, kind: LexErrorKind::ParameterTooLarge })?;
                self.at += 1;
            }
            if self.peek(0).is_some_and(is_identifier_start) {
                return Err(self.error(start, LexErrorKind::TrailingJunk));
            }
            return Ok(LexemeKind::Parameter(number));
        }
        if self.peek(0).is_some_and(is_identifier_start) {
            self.skip_while(|byte| is_identifier_part(byte) && byte != b'$');
        }
        if self.peek(0) != Some(b'$') {
            return Err(self.error(start, LexErrorKind::UnexpectedCharacter));
        }
        self.at += 1;
        let unterminated = LexError { at: start, kind: LexErrorKind::UnterminatedString };
        let delimiter = self.text.get(start..self.at).ok_or(unterminated)?;
        let rest = self.text.get(self.at..).ok_or(unterminated)?;
        let length = rest.find(delimiter).ok_or(unterminated)?;
        self.at += length + delimiter.len();
        Ok(LexemeKind::String(StringForm::Dollar))
    }

    fn number(&mut self) -> Result<LexemeKind, LexError> {
        let start = self.at;
        let mut kind = LexemeKind::Integer;
        let radix = match (self.peek(0), self.peek(1)) {
            (Some(b'0'), Some(b'x' | b'X')) => Some(16),
            (Some(b'0'), Some(b'o' | b'O')) => Some(8),
            (Some(b'0'), Some(b'b' | b'B')) => Some(2),
            _ => None,
        };
        if let Some(radix) = radix {
            self.at += 2;
            if self.peek(0) == Some(b'_') {
                self.at += 1;
            }
            if !self.digits(radix) || self.peek(0).is_some_and(is_identifier_part) {
                return Err(self.error(start, LexErrorKind::TrailingJunk));
            }
        } else {
            self.digits(10);
            // `1..2` is 1, `..`, 2.
            if self.peek(0) == Some(b'.') && self.peek(1) != Some(b'.') {
                kind = LexemeKind::Numeric;
                self.at += 1;
                self.digits(10);
            }
            if matches!(self.peek(0), Some(b'e' | b'E')) {
                kind = LexemeKind::Numeric;
                self.at += 1;
                if matches!(self.peek(0), Some(b'+' | b'-')) {
                    self.at += 1;
                }
                if !self.digits(10) {
                    return Err(self.error(start, LexErrorKind::TrailingJunk));
                }
            }
        }
        if self.peek(0).is_some_and(is_identifier_start) {
            return Err(self.error(start, LexErrorKind::TrailingJunk));
        }
        Ok(kind)
    }

    /// Digits with single underscores between them; false if there is none.
    fn digits(&mut self, radix: u32) -> bool {
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| char::from(byte).is_digit(radix));
        if !is_digit(self.peek(0)) {
            return false;
        }
        while is_digit(self.peek(0)) || (self.peek(0) == Some(b'_') && is_digit(self.peek(1))) {
            self.at += 1;
        }
        true
    }

    /// The longest run of operator characters that holds no start of a comment, less trailing signs if
    /// it is made of SQL's own operators only.
    fn operator(&mut self) -> Result<LexemeKind, LexError> {
        let start = self.at;
        self.skip_while(is_operator);
        let run = self.bytes.get(start..self.at).unwrap_or_default();
        let mut len = run.windows(2).position(|pair| pair == b"--" || pair == b"/*").unwrap_or(run.len());
        let keeps_sign = run
            .iter()
            .take(len)
            .any(|byte| matches!(byte, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%'));
        if !keeps_sign {
            while len > 1 && run.get(len - 1).is_some_and(|byte| matches!(byte, b'+' | b'-')) {
                len -= 1;
            }
        }
        self.at = start + len;
        if len > MAX_OPERATOR {
            return Err(self.error(start, LexErrorKind::OperatorTooLong));
        }
        Ok(match run.first() {
            Some(&byte) if len == 1 && b"+-*/%^<>=".contains(&byte) => LexemeKind::Symbol(byte),
            _ => LexemeKind::Operator,
        })
    }
}

/// Where the next part of a string constant opens, if it goes on behind the quote that closes at `at`.
pub(super) fn continuation(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut broken = false;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'\'', _) => return broken.then_some(at),
            (b'-', Some(b'-')) => {
                at += bytes.get(at..)?.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            }
            (byte, _) if is_space(*byte) => {
                broken |= matches!(byte, b'\n' | b'\r');
                at += 1;
            }
            _ => return None,
        }
    }
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let lexemes = tokenize(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        lexemes.iter().map(|lexeme| lexeme.text(text)).collect()
    }

    #[test]
    fn tokens_are_cut_where_postgresql_cuts_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \t\r\n\x0c\x0b", &[]),
            ("select a,b", &["select", "a", ",", "b"]),
            // Comments.
            ("a/* b /* c */ d */e", &["a", "e"]),
            ("a/*/**/*/b", &["a", "b"]),
            ("a/***/b/****/c", &["a", "b", "c"]),
            ("a-- b\nc", &["a", "c"]),
            ("a-- b\rc", &["a", "c"]),
            ("a--", &["a"]),
            // Strings.
            ("'a''b'", &["'a''b'"]),
            ("'a\\'b", &["'a\\'", "b"]),
            ("''", &["''"]),
            ("E'a\\'b' c", &["E'a\\'b'", "c"]),
            ("e'a\\\\' c", &["e'a\\\\'", "c"]),
            ("E'a''\\''", &["E'a''\\''"]),
            ("xE'a'", &["xE", "'a'"]),
            ("N'a' n'b'", &["N'a'", "n'b'"]),
            ("B'01' x'1f' X''", &["B'01'", "x'1f'", "X''"]),
            ("B'01''a'", &["B'01'", "'a'"]),
            ("U&'a\\0041' u&\"b\" u&c", &["U&'a\\0041'", "u&\"b\"", "u", "&", "c"]),
            ("U&'a!0041' uescape '!' b", &["U&'a!0041' uescape '!'", "b"]),
            ("U&\"a\" UESCAPE '!'.b", &["U&\"a\" UESCAPE '!'", ".", "b"]),
            ("'a' 'b'", &["'a'", "'b'"]),
            ("'a'\n'b'\r\t'c' 'd'", &["'a'\n'b'\r\t'c'", "'d'"]),
            ("'a' -- c\n  -- d\n 'b'", &["'a' -- c\n  -- d\n 'b'"]),
            ("'a' /* c */\n'b'", &["'a'", "'b'"]),
            ("'a'\nE'b'", &["'a'", "E'b'"]),
            ("E'a'\n'b\\'c'", &["E'a'\n'b\\'c'"]),
            ("'a' --'b'", &["'a'"]),
            ("'a'-1", &["'a'", "-", "1"]),
            ("$$a'b$$", &["$$a'b$$"]),
            ("$a$ $b$ $ $$ $a$c", &["$a$ $b$ $ $$ $a$", "c"]),
            ("$a$x$b$a$", &["$a$x$b$a$"]),
            ("$é1$x$é1$", &["$é1$x$é1$"]),
            ("a$b$c", &["a$b$c"]),
            ("$$a$$\n'b'", &["$$a$$", "'b'"]),
            // Identifiers.
            ("\"a\"\"b\" c", &["\"a\"\"b\"", "c"]),
            ("été\u{a0}x", &["été\u{a0}x"]),
            ("_a1$ A", &["_a1$", "A"]),
            // Parameters.
            ("$1,$23", &["$1", ",", "$23"]),
            ("$1$2", &["$1", "$2"]),
            ("a=$1", &["a", "=", "$1"]),
            // Numbers.
            ("1 .5 1. 1.5 1e5 1.e-5 .5E+2", &["1", ".5", "1.", "1.5", "1e5", "1.e-5", ".5E+2"]),
            ("1..2 a.1 1.5.5", &["1", "..", "2", "a", ".1", "1.5", ".5"]),
            ("1_000.5_5e1_0 0x_1F 0o17 0b1_0", &["1_000.5_5e1_0", "0x_1F", "0o17", "0b1_0"]),
            ("1-2 1 -2", &["1", "-", "2", "1", "-", "2"]),
            // Operators.
            (
                "a<=b>=c<>d!=e=>f:=g::h",
                &["a", "<=", "b", ">=", "c", "<>", "d", "!=", "e", "=>", "f", ":=", "g", "::", "h"],
            ),
            ("@-1 @ -1", &["@-", "1", "@", "-", "1"]),
            ("a=-1 a<-1 a*-1", &["a", "=", "-", "1", "a", "<", "-", "1", "a", "*", "-", "1"]),
            ("a<=-1", &["a", "<=", "-", "1"]),
            ("a+-+1", &["a", "+", "-", "+", "1"]),
            ("a->>'b' a@>b", &["a", "->>", "'b'", "a", "@>", "b"]),
            ("a*--b\nc", &["a", "*", "c"]),
            ("a@/*b*/c", &["a", "@", "c"]),
            ("a%-1", &["a", "%-", "1"]),
            ("a[1:2]", &["a", "[", "1", ":", "2", "]"]),
            ("a ? b ?| c", &["a", "?", "b", "?|", "c"]),
            (":x", &[":", "x"]),
        ];
        for (text, tokens) in cases {
            assert_eq!(cut(text), *tokens, "{text}");
        }
    }

    #[test]
    fn what_postgresql_refuses_is_an_error() {
        use LexErrorKind::*;
        let cases = [
            ("a /* b", 2, UnterminatedComment),
            ("/*/", 0, UnterminatedComment),
            ("a 'b", 2, UnterminatedString),
            ("'a''", 0, UnterminatedString),
            ("E'a\\'", 0, UnterminatedString),
            ("'a'\n'b", 0, UnterminatedString),
            ("$$a$", 0, UnterminatedString),
            ("$a$ $A$", 0, UnterminatedString),
            ("B'1", 0, UnterminatedString),
            ("\"a", 0, UnterminatedIdentifier),
            ("\"\"", 0, EmptyIdentifier),
            ("U&\"\"", 0, EmptyIdentifier),
            ("123abc", 0, TrailingJunk),
            ("1e", 0, TrailingJunk),
            ("1e+", 0, TrailingJunk),
            ("1_", 0, TrailingJunk),
            ("1__0", 0, TrailingJunk),
            ("1._5", 0, TrailingJunk),
            ("0x", 0, TrailingJunk),
            ("0b12", 0, TrailingJunk),
            ("0x1G", 0, TrailingJunk),
            ("1.5a", 0, TrailingJunk),
            ("$1a", 0, TrailingJunk),
            ("$2147483648", 0, ParameterTooLarge),
            ("$a", 0, UnexpectedCharacter),
            ("a $", 2, UnexpectedCharacter),
            ("\\d", 0, UnexpectedCharacter),
            ("{", 0, UnexpectedCharacter),
            ("a\0b", 1, UnexpectedCharacter),
            ("U&'a' uescape", 6, Uescape),
            ("U&'a' uescape b", 6, Uescape),
        ];
        for (text, at, kind) in cases {
            assert_eq!(tokenize(text), Err(LexError { at, kind }), "{text}");
        }
        assert_eq!(tokenize(&"~".repeat(64)).map_err(|e| e.kind), Err(OperatorTooLong));
    }

    #[test]
    fn nothing_but_blanks_lies_between_tokens() {
        let text = "/*x*/select -- y\n 'a' -- z\n 'b', U&'c' uescape '!' ;;$1";
        let lexemes = tokenize(text).unwrap();
        let mut at = 0;
        for lexeme in &lexemes {
            assert_eq!(text.get(at..lexeme.start).map(tokenize), Some(Ok(vec![])));
            at = lexeme.end;
        }
        assert_eq!(lexemes.len(), 7);
    }
}
