//! The shape of a statement: its text without comments and values, so that it can be shown and counted.

use super::lex::{self, Lexeme, LexemeKind};

/// A statement's text without values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// For people: words as they were written, `?` for each value, one blank where there was any.
    pub shown: String,
    /// The same for all statements that differ in blanks, comments, case, and values and parameters only.
    pub key: String,
}

/// What stands behind the part of a text that can be cut into tokens.
const CUT: &str = "...";

/// The shape of a text.
///
/// Lists of values that follow each other are given once, so that inserts of many rows are one statement.
pub fn shape(text: &str) -> Shape {
    let (readable, is_cut) = match lex::tokenize(text) {
        Ok(lexemes) => (lexemes, false),
        Err(error) => {
            let before = text.get(..error.at).unwrap_or_default();
            (lex::tokenize(before).unwrap_or_default(), true)
        }
    };
    let mut pieces = Vec::new();
    let mut end = None;
    for lexeme in &readable {
        let spaced = end.is_some_and(|end| end < lexeme.start);
        pieces.push(Piece { text: piece(text, lexeme), is_value: lexeme.is_value(), spaced });
        end = Some(lexeme.end);
    }
    let mut pieces = shorter_lists(pieces);
    if is_cut {
        pieces.push(Piece { text: CUT.to_owned(), is_value: false, spaced: true });
    }
    let (mut shown, mut key) = (String::new(), String::new());
    for piece in &pieces {
        if piece.spaced && !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(&piece.text);
        key.push(' ');
        let is_quoted = piece.text.contains('"');
        key.push_str(&if is_quoted { piece.text.clone() } else { masked(&piece.text) });
    }
    Shape { shown, key }
}

#[derive(Clone, Debug)]
struct Piece {
    text: String,
    is_value: bool,
    /// There was a blank or a comment before it.
    spaced: bool,
}

fn piece(text: &str, lexeme: &Lexeme) -> String {
    let is_parameter = matches!(lexeme.kind, LexemeKind::Parameter(_));
    if lexeme.is_value() && !is_parameter { "?".to_owned() } else { lexeme.text(text).to_owned() }
}

/// Gives runs of values as one (`?, ...`), and then rows of values as one.
fn shorter_lists(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut short: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        // value, value -> the first and dots; dots, value -> dots.
        if piece.is_value
            && let [.., before, comma] = short.as_slice()
            && comma.text == ","
            && (before.is_value || before.text == CUT)
        {
            if before.is_value {
                short.push(Piece { text: CUT.to_owned(), is_value: false, spaced: true });
            } else {
                short.pop();
            }
            continue;
        }
        short.push(piece);
        while let Some(length) = repeated_row(&short) {
            short.truncate(short.len() - length);
            let has_dots = short.last().is_some_and(|last| last.text == CUT);
            if has_dots {
                break;
            }
            short.push(Piece { text: ",".to_owned(), is_value: false, spaced: false });
            short.push(Piece { text: CUT.to_owned(), is_value: false, spaced: true });
        }
    }
    short
}

/// The length of a row in parentheses at the end, with the comma before it, that follows a row of the same shape or
/// the dots that stand for some.
fn repeated_row(pieces: &[Piece]) -> Option<usize> {
    let row = row_at_end(pieces)?;
    let before = pieces.get(..pieces.len() - row)?;
    let (comma, before) = before.split_last()?;
    let (dots, rest) = before.split_last()?;
    let first = if dots.text == CUT { rest.get(..rest.len().checked_sub(1)?)? } else { before };
    let other = row_at_end(first)?;
    let texts = |pieces: &[Piece], length: usize| -> Vec<String> {
        let from = pieces.len() - length;
        pieces.get(from..).unwrap_or_default().iter().map(|piece| masked(&piece.text)).collect()
    };
    (comma.text == "," && texts(pieces, row) == texts(first, other)).then_some(row + 1)
}

/// A word in any case, a parameter as a value.
fn masked(text: &str) -> String {
    if text.starts_with('$') { "?".to_owned() } else { text.to_lowercase() }
}

/// The length of `( ... )` at the end, if nothing in it is nested.
fn row_at_end(pieces: &[Piece]) -> Option<usize> {
    pieces.last().filter(|last| last.text == ")")?;
    let inner = pieces.iter().rev().skip(1).position(|piece| matches!(piece.text.as_str(), "(" | ")"))?;
    let open = pieces.len().checked_sub(inner + 2)?;
    let row = pieces.get(open..)?;
    let has_values = row.iter().any(|piece| piece.is_value);
    (has_values && row.first()?.text == "(").then_some(row.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_comments_are_not_shown() {
        let cases = [
            ("SELECT  1", "SELECT ?"),
            ("select a -- secret\n  from t /* secret */ where b='secret'", "select a from t where b=?"),
            ("SELECT E'a\\'b', $$secret$$, x'1f', U&'a' UESCAPE '!', -1.5e3", "SELECT ?, ..., -?"),
            ("SELECT 'a'\n'b' FROM \"T t\"", "SELECT ? FROM \"T t\""),
            (
                "SELECT * FROM t WHERE a IN (1, 2,3, 4) AND b = $1",
                "SELECT * FROM t WHERE a IN (?, ...) AND b = $1",
            ),
            (
                "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z') RETURNING a",
                "INSERT INTO t (a, b) VALUES (?, ...), ... RETURNING a",
            ),
            (
                "INSERT INTO t VALUES ($1, now()), ($2, now()), ($3, NOW())",
                "INSERT INTO t VALUES ($1, now()), ($2, now()), ($3, NOW())",
            ),
            ("INSERT INTO t VALUES ($1, DEFAULT), ($2, default)", "INSERT INTO t VALUES ($1, DEFAULT), ..."),
            ("SELECT f($1, 'x')", "SELECT f($1, ...)"),
            ("SELECT 'unterminated secret", "SELECT ..."),
            ("SELECT 'a', \"unterminated secret", "SELECT ?, ..."),
        ];
        for (text, wanted) in cases {
            assert_eq!(shape(text).shown, wanted, "{text}");
        }
    }

    #[test]
    fn statements_of_one_shape_have_one_key() {
        let alike = [
            "SELECT id FROM users WHERE email IN ('a', 'b')",
            "select ID\n from users -- x\nwhere email in ('c', 'd', 'e')",
        ];
        assert_eq!(shape(alike[0]).key, shape(alike[1]).key);
        assert_eq!(shape("SELECT $7").key, shape("SELECT 'x'").key);
        assert_ne!(shape("SELECT \"A\"").key, shape("SELECT \"a\"").key);
    }
}
