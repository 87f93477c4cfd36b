//! sqlparser's tokens, so that it reads what PostgreSQL reads.

use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::keywords::opens_expression;
use super::{BitString, Lexeme, LexemeKind, ParseProblem, StringForm, identifier, string_value};

/// The tokens of one statement, each with the bytes of its lexeme as its span.
///
/// Forms that sqlparser does not know or misreads, and that mean nothing for where values belong, are written in
/// another way; what stands in for a lexeme has its span.
///
/// | written | read as |
/// |---|---|
/// | `a ISNULL` | `a IS NULL` |
/// | `TABLE t` as a query | `SELECT * FROM t` |
/// | `FOR NO KEY UPDATE OF a, b`, `FOR KEY SHARE` | `FOR UPDATE`, `FOR SHARE` |
/// | `WHERE CURRENT OF c` | `WHERE TRUE` |
/// | `f(VARIADIC a)` | `f(a)` |
pub(super) fn tokens(text: &str, lexemes: &[Lexeme]) -> Result<Vec<TokenWithSpan>, ParseProblem> {
    let words = Words { text, lexemes, is_query: is_query(text, lexemes) };
    let mut tokens = Vec::with_capacity(lexemes.len());
    let mut at = 0;
    while let Some(lexeme) = lexemes.get(at) {
        let span = Span::new(location(lexeme.start), location(lexeme.end));
        let mut push = |token| tokens.push(TokenWithSpan::new(token, span));
        match words.rewritten(at) {
            Some((keywords, len)) => {
                keywords
                    .iter()
                    .for_each(|word| push(if *word == "*" { Token::Mul } else { Token::make_keyword(word) }));
                at += len;
            }
            None => {
                push(token(text, lexeme, words.before(at), lexemes.get(at + 1))?);
                at += 1;
            }
        }
    }
    Ok(tokens)
}

/// True for statements that hold expressions over rows; the words of others mean other things.
fn is_query(text: &str, lexemes: &[Lexeme]) -> bool {
    const QUERIES: [&str; 12] = [
        "select", "insert", "update", "delete", "merge", "values", "table", "with", "explain", "prepare",
        "declare", "copy",
    ];
    lexemes
        .first()
        .is_some_and(|first| first.is_symbol(b'(') || QUERIES.iter().any(|word| first.is_word(text, word)))
}

struct Words<'a> {
    text: &'a str,
    lexemes: &'a [Lexeme],
    is_query: bool,
}

impl<'a> Words<'a> {
    /// What stands in for the lexemes from a place on, and for how many of them.
    fn rewritten(&self, at: usize) -> Option<(&'static [&'static str], usize)> {
        let before = self.before(at);
        let follows =
            |words: &[&str]| before.is_some_and(|before| words.iter().any(|w| before.is_word(self.text, w)));
        let is_name = before.is_some_and(|before| before.is_symbol(b'.')) || follows(&["as"]);
        let lexeme = self.lexemes.get(at).filter(|lexeme| lexeme.kind == LexemeKind::Word && !is_name)?;
        let is = |word: &str| lexeme.is_word(self.text, word);
        if is("isnull") && before.is_some_and(|before| ends_operand(self.text, before)) {
            return Some((&["is", "null"], 1));
        }
        if !self.is_query {
            return None;
        }
        let symbol =
            |symbols: &[u8]| before.is_some_and(|before| symbols.iter().any(|s| before.is_symbol(*s)));
        if is("table")
            && (before.is_none()
                || symbol(b"()")
                || follows(&["union", "intersect", "except", "all", "distinct"]))
        {
            return Some((&["select", "*", "from"], 1));
        }
        if is("for") {
            return self.locks(at);
        }
        if is("current") && follows(&["where"]) && self.is(at + 1, "of") && self.is_identifier(at + 2) {
            return Some((&["true"], 3));
        }
        if is("variadic") && symbol(b"(,") {
            return Some((&[], 1));
        }
        None
    }

    /// A locking clause up to its NOWAIT or SKIP LOCKED.
    fn locks(&self, at: usize) -> Option<(&'static [&'static str], usize)> {
        let no = usize::from(self.is(at + 1, "no") && self.is(at + 2, "key"));
        let key = usize::from(self.is(at + 1 + no, "key"));
        let mut end = at + 1 + no + key;
        let clause: &[&str] = match (self.is(end, "update"), self.is(end, "share")) {
            (true, _) => &["for", "update"],
            (_, true) => &["for", "share"],
            _ => return None,
        };
        end += 1;
        if self.is(end, "of") {
            end += 1;
            while self.is_identifier(end) {
                end += 1;
                if !self.lexemes.get(end).is_some_and(|l| l.is_symbol(b',') || l.is_symbol(b'.')) {
                    break;
                }
                end += 1;
            }
        }
        Some((clause, end - at))
    }

    fn before(&self, at: usize) -> Option<&'a Lexeme> {
        self.lexemes.get(at.checked_sub(1)?)
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.lexemes.get(at).is_some_and(|lexeme| lexeme.is_word(self.text, word))
    }

    fn is_identifier(&self, at: usize) -> bool {
        self.lexemes.get(at).is_some_and(Lexeme::is_identifier)
    }
}

/// A byte offset as a place of sqlparser's: all on one line, columns counted from 1.
fn location(byte: usize) -> Location {
    Location::new(1, (byte as u64).saturating_add(1))
}

/// True if an operand of an operator can end with this token.
fn ends_operand(text: &str, lexeme: &Lexeme) -> bool {
    match lexeme.kind {
        LexemeKind::Word => !opens_expression(lexeme.text(text)),
        LexemeKind::Symbol(symbol) => matches!(symbol, b')' | b']'),
        LexemeKind::QuotedWord | LexemeKind::UnicodeWord => true,
        _ => lexeme.is_value(),
    }
}

/// A lexeme as the token that makes sqlparser read what PostgreSQL reads.
fn token(
    text: &str,
    lexeme: &Lexeme,
    previous: Option<&Lexeme>,
    next: Option<&Lexeme>,
) -> Result<Token, ParseProblem> {
    let literal = ParseProblem::Literal { at: lexeme.start };
    let written = lexeme.text(text);
    Ok(match lexeme.kind {
        LexemeKind::Word => Token::make_word(&identifier(lexeme, text).ok_or(literal)?, None),
        LexemeKind::QuotedWord | LexemeKind::UnicodeWord => {
            Token::make_word(&identifier(lexeme, text).ok_or(literal)?, Some('"'))
        }
        LexemeKind::String(StringForm::National) => {
            Token::NationalStringLiteral(string_value(lexeme, text).ok_or(literal)?)
        }
        LexemeKind::String(_) => Token::SingleQuotedString(string_value(lexeme, text).ok_or(literal)?),
        LexemeKind::Bits => {
            Token::SingleQuotedByteStringLiteral(BitString::of(lexeme, text).ok_or(literal)?.digits)
        }
        LexemeKind::Hex => Token::HexStringLiteral(BitString::of(lexeme, text).ok_or(literal)?.digits),
        LexemeKind::Integer | LexemeKind::Numeric => Token::Number(written.replace('_', ""), false),
        LexemeKind::Parameter(number) => Token::Placeholder(format!("${number}")),
        LexemeKind::DoubleColon => Token::DoubleColon,
        LexemeKind::ColonEquals => Token::Assignment,
        LexemeKind::DoubleDot => return Err(ParseProblem::NotUnderstood { at: lexeme.start }),
        LexemeKind::Symbol(symbol) => match symbol {
            b',' => Token::Comma,
            b'(' => Token::LParen,
            b')' => Token::RParen,
            b'[' => Token::LBracket,
            b']' => Token::RBracket,
            b'.' => Token::Period,
            b';' => Token::SemiColon,
            b':' => Token::Colon,
            b'+' => Token::Plus,
            b'-' => Token::Minus,
            b'*' => Token::Mul,
            b'/' => Token::Div,
            b'%' => Token::Mod,
            b'^' => Token::Caret,
            b'<' => Token::Lt,
            b'>' => Token::Gt,
            b'=' => Token::Eq,
            _ => return Err(ParseProblem::NotUnderstood { at: lexeme.start }),
        },
        LexemeKind::Operator => match written {
            "<>" | "!=" => Token::Neq,
            "<=" => Token::LtEq,
            ">=" => Token::GtEq,
            "=>" => Token::RArrow,
            "||" => Token::StringConcat,
            "->" => Token::Arrow,
            "->>" => Token::LongArrow,
            "#>" => Token::HashArrow,
            "#>>" => Token::HashLongArrow,
            "@>" => Token::AtArrow,
            "<@" => Token::ArrowAt,
            "#-" => Token::HashMinus,
            "@?" => Token::AtQuestion,
            "@@" => Token::AtAt,
            "?" => Token::Question,
            "?&" => Token::QuestionAnd,
            "?|" => Token::QuestionPipe,
            "&&" => Token::Overlap,
            "^@" => Token::CaretAt,
            "<<" => Token::ShiftLeft,
            ">>" => Token::ShiftRight,
            "#" => Token::Sharp,
            "&" => Token::Ampersand,
            "|" => Token::Pipe,
            // Between operands it binds as other operators do, which sqlparser knows of those that it does not know.
            "~" if !previous.is_some_and(|previous| ends_operand(text, previous)) => Token::Tilde,
            "~" if next.is_some_and(|next| ["any", "all", "some"].iter().any(|w| next.is_word(text, w))) => {
                Token::Tilde
            }
            "|/" => Token::PGSquareRoot,
            "||/" => Token::PGCubeRoot,
            "@-@" => Token::AtDashAt,
            "?-" => Token::QuestionMarkDash,
            // All others bind as PostgreSQL's other operators do, which sqlparser does not know of its own
            // tokens for them.
            custom => Token::CustomBinaryOperator(custom.to_owned()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::{parse, tokenize};

    #[test]
    fn statements_are_read_as_postgresql_reads_them() {
        let cases = [
            ("SELECT a ISNULL, 1 IsNull FROM t", "SELECT a IS NULL, 1 IS NULL FROM t"),
            ("SELECT a AS isnull, b.isnull FROM b", "SELECT a AS isnull, b.isnull FROM b"),
            ("TABLE t", "SELECT * FROM t"),
            ("TABLE ONLY s.t ORDER BY 1", "SELECT * FROM ONLY s.t ORDER BY 1"),
            ("TABLE t UNION ALL TABLE u", "SELECT * FROM t UNION ALL SELECT * FROM u"),
            ("WITH a AS (TABLE t) TABLE a", "WITH a AS (SELECT * FROM t) SELECT * FROM a"),
            ("SELECT 1 AS table", "SELECT 1 AS table"),
            ("SELECT a FROM t, u FOR NO KEY UPDATE OF t, u NOWAIT", "SELECT a FROM t, u FOR UPDATE NOWAIT"),
            ("SELECT a FROM t FOR KEY SHARE SKIP LOCKED", "SELECT a FROM t FOR SHARE SKIP LOCKED"),
            ("SELECT substring(a FROM 1 FOR share) FROM t", "SELECT SUBSTRING(a FROM 1 FOR share) FROM t"),
            ("UPDATE t SET a = 'x' WHERE CURRENT OF c", "UPDATE t SET a = 'x' WHERE true"),
            ("SELECT concat('a', VARIADIC $1)", "SELECT concat('a', $1)"),
            ("SELECT A, \"A\" FROM \"T\" *", "SELECT a, \"A\" FROM \"T\" *"),
            ("SELECT * FROM ONLY (t), ONLY u", "SELECT * FROM ONLY (t), ONLY u"),
            ("SELECT E'a\\n', $$b'$$, U&'\\0063'", "SELECT 'a\n', 'b''', 'c'"),
            ("SELECT ~a, b ~ c, d ~ ANY (e)", "SELECT ~ a, b ~ c, d ~ ANY(e)"),
            ("SELECT a ~ 'b' || 'c'", "SELECT a ~ 'b' || 'c'"),
            ("SELECT B'01', X'1F', N'x'", "SELECT B'01', X'1F', N'x'"),
        ];
        for (text, expected) in cases {
            let parsed = parse(text, &tokenize(text).unwrap()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(parsed.statement.to_string(), expected, "{text}");
        }
    }
}
