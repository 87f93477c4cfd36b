//! PostgreSQL's tokens with their places, and statements parsed from them.
//!
//! sqlparser's tokenizer differs from PostgreSQL's in silent ways (it changes dollar-quoted strings, ends
//! `--` comments elsewhere, splits operators otherwise and cannot continue a string), so the scanner is our
//! own, rule by rule after `scan.l`, and feeds sqlparser's parser. Every byte of a text belongs to exactly
//! one lexeme or to the white space and comments between two of them.
//!
//! `standard_conforming_strings` is taken to be on, and the server's encoding to be UTF-8.

mod keywords;
mod literal;
mod literals;
mod parse;
mod scanner;
mod split;
mod tokens;

use std::ops::Range;

pub use literal::{BitString, Number, identifier, number, string_value};
pub use literals::{Literals, VisitError};
pub use parse::{ParseProblem, Parsed, parse, parse_expression, with_stack};
pub use scanner::{LexError, LexErrorKind, tokenize};
pub use split::split;

pub(super) use keywords::is_reserved;
pub(super) use literal::{clip, decode_escapes, decode_unicode, fold, join_continued};

/// A token of PostgreSQL and its bytes in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lexeme {
    /// What it is.
    pub kind: LexemeKind,
    /// The first byte.
    pub start: usize,
    /// The byte behind the last.
    pub end: usize,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexemeKind {
    /// An identifier or keyword without quotes.
    Word,
    /// `"name"`
    QuotedWord,
    /// `U&"name"`, with its UESCAPE clause if it has one.
    UnicodeWord,
    /// A string constant; all parts of one that is continued over lines.
    String(StringForm),
    /// `B'01'`
    Bits,
    /// `X'1F'`
    Hex,
    /// Digits only (underscores between them, 0x, 0o, 0b): int4, int8 or numeric by value.
    Integer,
    /// With a point or an exponent: numeric.
    Numeric,
    /// `$1`
    Parameter(u32),
    /// A character that the grammar knows by itself, one of `, ( ) [ ] . ; : + - * / % ^ < > =`
    Symbol(u8),
    /// `::`
    DoubleColon,
    /// `..`
    DoubleDot,
    /// `:=`
    ColonEquals,
    /// Any other operator, `=>` and `<=` among them.
    Operator,
}

/// How a string constant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringForm {
    /// `'text'`
    Plain,
    /// `E'text\n'`
    Escaped,
    /// `U&'text\0041'`, with its UESCAPE clause if it has one.
    Unicode,
    /// `$tag$text$tag$`
    Dollar,
    /// `N'text'`, which PostgreSQL reads as `nchar 'text'`, so that its type is bpchar.
    National,
}

impl Lexeme {
    /// Its bytes in the text.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Its text; empty if this is not the text that it was cut from.
    pub fn text<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.range()).unwrap_or_default()
    }

    /// True for this word without quotes, in any case.
    pub fn is_word(&self, text: &str, word: &str) -> bool {
        self.kind == LexemeKind::Word && self.text(text).eq_ignore_ascii_case(word)
    }

    /// True for this character of the grammar.
    pub fn is_symbol(&self, symbol: u8) -> bool {
        self.kind == LexemeKind::Symbol(symbol)
    }

    /// True for what names something: a word or a quoted identifier.
    pub fn is_identifier(&self) -> bool {
        matches!(self.kind, LexemeKind::Word | LexemeKind::QuotedWord | LexemeKind::UnicodeWord)
    }

    /// True for what carries a value: a string, a bit string, a number or a parameter.
    pub fn is_value(&self) -> bool {
        match self.kind {
            LexemeKind::String(_)
            | LexemeKind::Bits
            | LexemeKind::Hex
            | LexemeKind::Integer
            | LexemeKind::Numeric
            | LexemeKind::Parameter(_) => true,
            LexemeKind::Word
            | LexemeKind::QuotedWord
            | LexemeKind::UnicodeWord
            | LexemeKind::Symbol(_)
            | LexemeKind::DoubleColon
            | LexemeKind::DoubleDot
            | LexemeKind::ColonEquals
            | LexemeKind::Operator => false,
        }
    }
}
