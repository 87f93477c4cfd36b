//! A definition's tokens, read one after the other by PostgreSQL's grammar.
//!
//! sqlparser's trees of definitions keep hardly any places, and it knows clauses that PostgreSQL does not have and the
//! other way round. So definitions of protected tables are read here; what is not read to its end is refused.

use std::ops::Range;

use crate::sql::lex::{self, Lexeme, LexemeKind};

/// Reads on from a token. What returns an `Option` leaves the place undefined where it gives none.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) lexemes: &'a [Lexeme],
    pub(super) at: usize,
    /// It ends before this token.
    pub(super) end: usize,
}

/// A name with its qualifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Folded, unquoted and cut.
    pub(super) parts: Vec<String>,
    /// The tokens.
    pub(super) tokens: Range<usize>,
}

impl Name {
    /// The name itself.
    pub(super) fn last(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// The token of the name itself.
    pub(super) fn token(&self) -> usize {
        self.tokens.end.saturating_sub(1)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, lexemes: &'a [Lexeme], tokens: Range<usize>) -> Self {
        Self { text, lexemes, at: tokens.start, end: tokens.end.min(lexemes.len()) }
    }

    /// The same over a part of the tokens.
    pub(super) fn inside(&self, tokens: Range<usize>) -> Self {
        Self::new(self.text, self.lexemes, tokens)
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn peek(&self) -> Option<&'a Lexeme> {
        self.ahead(0)
    }

    fn ahead(&self, tokens: usize) -> Option<&'a Lexeme> {
        let at = self.at + tokens;
        if at < self.end { self.lexemes.get(at) } else { None }
    }

    /// Whether a word without quotes stands so many tokens ahead.
    pub(super) fn is_ahead(&self, tokens: usize, word: &str) -> bool {
        self.ahead(tokens).is_some_and(|lexeme| lexeme.is_word(self.text, word))
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.is_ahead(0, word)
    }

    pub(super) fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    pub(super) fn is_symbol(&self, symbol: u8) -> bool {
        self.peek().is_some_and(|lexeme| lexeme.is_symbol(symbol))
    }

    /// Takes these words, if all of them stand here.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(ahead, word)| self.is_ahead(ahead, word));
        self.at += if found { words.len() } else { 0 };
        found
    }

    /// The same; it must be there.
    pub(super) fn expect(&mut self, words: &[&str]) -> Option<()> {
        self.take(words).then_some(())
    }

    /// Takes one of these words.
    pub(super) fn take_any(&mut self, words: &[&str]) -> bool {
        let found = self.is_one_of(words);
        self.at += usize::from(found);
        found
    }

    pub(super) fn symbol(&mut self, symbol: u8) -> bool {
        let found = self.is_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    pub(super) fn skip(&mut self) -> Option<()> {
        self.peek()?;
        self.at += 1;
        Some(())
    }

    /// An identifier that is no reserved word.
    pub(super) fn identifier(&mut self) -> Option<String> {
        let lexeme = self.peek().filter(|lexeme| lexeme.is_identifier())?;
        if lexeme.kind == LexemeKind::Word && lex::is_reserved(lexeme.text(self.text)) {
            return None;
        }
        self.at += 1;
        lex::identifier(lexeme, self.text)
    }

    /// A name with its qualifiers, behind which any word can stand.
    pub(super) fn name(&mut self) -> Option<Name> {
        let start = self.at;
        let mut parts = vec![self.identifier()?];
        while self.symbol(b'.') {
            let lexeme = self.peek().filter(|lexeme| lexeme.is_identifier())?;
            self.at += 1;
            parts.push(lex::identifier(lexeme, self.text)?);
        }
        Some(Name { parts, tokens: start..self.at })
    }

    /// `( ... )`: the tokens inside.
    pub(super) fn group(&mut self) -> Option<Range<usize>> {
        if !self.symbol(b'(') {
            return None;
        }
        let start = self.at;
        let mut open = 1usize;
        while open > 0 {
            let lexeme = self.peek()?;
            if lexeme.is_symbol(b'(') {
                open += 1;
            } else if lexeme.is_symbol(b')') {
                open -= 1;
            }
            self.at += 1;
        }
        Some(start..self.at - 1)
    }

    /// The same if one stands here.
    pub(super) fn optional_group(&mut self) -> Option<Option<Range<usize>>> {
        if self.is_symbol(b'(') { self.group().map(Some) } else { Some(None) }
    }

    /// `(a, b)`: names of columns with their tokens.
    pub(super) fn columns(&mut self) -> Option<Vec<(String, usize)>> {
        let inside = self.group()?;
        let mut reader = self.inside(inside);
        let mut columns = Vec::new();
        loop {
            let at = reader.at;
            columns.push((reader.identifier()?, at));
            if reader.is_done() {
                return Some(columns);
            }
            reader.symbol(b',').then_some(())?;
        }
    }

    /// Whether what is left holds no constant: no string at all, and no number outside parentheses, where it is a
    /// modifier or an option.
    pub(super) fn holds_no_constant(&self) -> bool {
        let mut open = 0usize;
        self.lexemes.get(self.at..self.end).unwrap_or_default().iter().all(|lexeme| match lexeme.kind {
            LexemeKind::Symbol(b'(') => {
                open += 1;
                true
            }
            LexemeKind::Symbol(b')') => {
                open = open.saturating_sub(1);
                true
            }
            LexemeKind::Integer | LexemeKind::Numeric => open > 0,
            _ => !lexeme.is_value(),
        })
    }

    /// Whether what is left holds no string.
    pub(super) fn holds_no_string(&self) -> bool {
        let left = self.lexemes.get(self.at..self.end).unwrap_or_default();
        left.iter().all(|lexeme| {
            !lexeme.is_value() || matches!(lexeme.kind, LexemeKind::Integer | LexemeKind::Numeric)
        })
    }

    /// Whether what is left holds no constant of any kind.
    pub(super) fn holds_no_value(&self) -> bool {
        !self.lexemes.get(self.at..self.end).unwrap_or_default().iter().any(Lexeme::is_value)
    }

    /// The ranges between the commas that stand in no parentheses, up to the end.
    pub(super) fn list(&self) -> Vec<Range<usize>> {
        let mut items = Vec::new();
        let (mut start, mut open) = (self.at, 0usize);
        for at in self.at..self.end {
            let Some(lexeme) = self.lexemes.get(at) else { break };
            match lexeme.kind {
                LexemeKind::Symbol(b'(' | b'[') => open += 1,
                LexemeKind::Symbol(b')' | b']') => open = open.saturating_sub(1),
                LexemeKind::Symbol(b',') if open == 0 => {
                    items.push(start..at);
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.push(start..self.end);
        items
    }

    /// Skips to the first of these words that stands in no parentheses, or to the end.
    pub(super) fn skip_to(&mut self, words: &[&str]) {
        let mut open = 0usize;
        while let Some(lexeme) = self.peek() {
            match lexeme.kind {
                LexemeKind::Symbol(b'(' | b'[') => open += 1,
                LexemeKind::Symbol(b')' | b']') => open = open.saturating_sub(1),
                _ if open == 0 && self.is_one_of(words) => return,
                _ => {}
            }
            self.at += 1;
        }
    }
}
