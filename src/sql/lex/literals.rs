//! Proof that the analysis has seen every value of a statement.

use std::ops::Range;

use super::Lexeme;

/// The string, bit string, number and parameter tokens of a statement, each marked once it has been seen.
///
/// A parser that drops a literal, or reads it as something else, leaves it unseen here; whoever decides on
/// a statement refuses it then.
#[derive(Debug)]
pub struct Literals {
    tokens: Vec<(Lexeme, bool)>,
}

/// A value token in a place where the analysis did not expect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VisitError {
    /// No value token has exactly this range.
    #[error("no value stands at byte {0}")]
    NoValue(usize),
    /// The token was seen before.
    #[error("the value at byte {0} was read twice")]
    Twice(usize),
}

impl Literals {
    /// All value tokens among these lexemes, none of them seen.
    pub fn new(lexemes: &[Lexeme]) -> Self {
        Self { tokens: lexemes.iter().filter(|l| l.is_value()).map(|l| (*l, false)).collect() }
    }

    /// Marks the value token with exactly this range of bytes as seen.
    pub fn visit(&mut self, range: &Range<usize>) -> Result<Lexeme, VisitError> {
        let index = self
            .tokens
            .binary_search_by_key(&range.start, |(lexeme, _)| lexeme.start)
            .map_err(|_| VisitError::NoValue(range.start))?;
        match self.tokens.get_mut(index) {
            Some((lexeme, _)) if lexeme.end != range.end => Err(VisitError::NoValue(range.start)),
            Some((_, true)) => Err(VisitError::Twice(range.start)),
            Some((lexeme, seen)) => {
                *seen = true;
                Ok(*lexeme)
            }
            None => Err(VisitError::NoValue(range.start)),
        }
    }

    /// Marks all tokens within a range of bytes that are not yet seen: a clause whose literals take no
    /// value of a column (options, type modifiers), or one whose tree keeps no places.
    pub fn ignore(&mut self, range: &Range<usize>) {
        let from = self.tokens.partition_point(|(lexeme, _)| lexeme.start < range.start);
        let inside = self.tokens.iter_mut().skip(from).take_while(|(lexeme, _)| lexeme.end <= range.end);
        inside.for_each(|(_, seen)| *seen = true);
    }

    /// The tokens that nobody has seen.
    pub fn unvisited(&self) -> impl Iterator<Item = Lexeme> + '_ {
        self.tokens.iter().filter(|(_, seen)| !seen).map(|(lexeme, _)| *lexeme)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokenize;
    use super::*;

    #[test]
    fn every_value_is_visited_once() {
        let text = "SELECT 'a', 1, $1, x FROM t LIMIT 10";
        let mut literals = Literals::new(&tokenize(text).unwrap());
        assert_eq!(literals.unvisited().count(), 4);
        assert_eq!(literals.visit(&(7..10)).unwrap().text(text), "'a'");
        assert_eq!(literals.visit(&(7..10)), Err(VisitError::Twice(7)));
        assert_eq!(literals.visit(&(7..11)), Err(VisitError::NoValue(7)));
        assert_eq!(literals.visit(&(19..20)), Err(VisitError::NoValue(19)));
        literals.ignore(&(28..text.len()));
        let left: Vec<_> = literals.unvisited().map(|l| l.text(text)).collect();
        assert_eq!(left, ["1", "$1"]);
    }
}
