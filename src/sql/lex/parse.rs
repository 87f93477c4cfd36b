//! Statements as sqlparser's trees, from PostgreSQL's tokens.

use std::ops::Range;

use sqlparser::ast::{Expr, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::tokens::tokens;
use super::{Lexeme, LexemeKind};

/// Tokens of one statement: its tree takes some 500 bytes for each. A bulk insert of 60,000 values fits.
const MAX_TOKENS: usize = 400_000;
/// Nesting that the parser follows before it gives up.
const MAX_NESTING: usize = 250;
/// Links in the longest chain of operators or set operations, nesting included: each is one level of the
/// tree, so one call of whoever walks it.
const MAX_DEPTH: usize = 16_000;
/// A set operation counts as so many links: a level of whole queries takes more stack than one of expressions.
const SET_OPERATION: usize = 4;
/// Stack that one level of a tree may take, whoever walks it. Pages that are not touched cost nothing.
const STACK_PER_LEVEL: usize = if cfg!(debug_assertions) { 32 * 1024 } else { 16 * 1024 };
/// Stack that is left for everything else.
const STACK_BASE: usize = 512 * 1024;

/// Why there is no tree. Holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says it in its message")]
pub enum ParseProblem {
    #[error("the statement has more than {MAX_TOKENS} tokens")]
    TooManyTokens,
    #[error("the statement is nested too deep")]
    TooDeep,
    #[error("a literal at byte {at} that PostgreSQL refuses")]
    Literal { at: usize },
    #[error("the statement is not understood from byte {at} on")]
    NotUnderstood { at: usize },
}

/// One statement's tree, and the tokens that it was made from.
///
/// Every span in the tree counts bytes of the whole text ([`Parsed::range`]); spans of literals, parameters
/// and identifiers are those of their lexemes, spans of larger nodes are not to be trusted. Values of
/// identifiers are PostgreSQL's names (folded, unquoted, cut); values of strings are decoded.
#[derive(Debug)]
pub struct Parsed {
    /// The tree. Walk it within [`with_stack`].
    pub statement: Statement,
    lexemes: Vec<Lexeme>,
    depth: usize,
}

impl Parsed {
    /// The expression that [`parse_expression`] has read.
    pub fn expression(&self) -> Option<&Expr> {
        match &self.statement {
            Statement::Assert { condition, message: None } => Some(condition),
            _ => None,
        }
    }

    /// The tokens of the statement.
    pub fn lexemes(&self) -> &[Lexeme] {
        &self.lexemes
    }

    /// At most so many levels has the tree, for [`with_stack`].
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The bytes of the text that a span covers; `None` for an empty span.
    pub fn range(span: Span) -> Option<Range<usize>> {
        let offset = |location: Location| usize::try_from(location.column.checked_sub(1)?).ok();
        Some(offset(span.start)?..offset(span.end)?)
    }

    /// The token that a span covers exactly: that of a literal, a parameter or an identifier.
    pub fn lexeme_at(&self, span: Span) -> Option<Lexeme> {
        let range = Self::range(span)?;
        let index = self.lexemes.binary_search_by_key(&range.start, |lexeme| lexeme.start).ok()?;
        self.lexemes.get(index).copied().filter(|lexeme| lexeme.end == range.end)
    }
}

impl Drop for Parsed {
    fn drop(&mut self) {
        let statement = std::mem::replace(&mut self.statement, Statement::UnlockTables);
        with_stack(self.depth, || drop(statement));
    }
}

/// Runs `f` on a stack that is deep enough to walk a tree of `depth` levels by recursion.
pub fn with_stack<T>(depth: usize, f: impl FnOnce() -> T) -> T {
    let wanted = STACK_BASE + depth.min(MAX_DEPTH) * STACK_PER_LEVEL;
    stacker::maybe_grow(wanted, wanted + STACK_BASE, f)
}

/// Parses the tokens of one statement, as [`split`](super::split) cuts them.
pub fn parse(text: &str, lexemes: &[Lexeme]) -> Result<Parsed, ParseProblem> {
    parse_by(text, lexemes, |parser| parser.parse_statement())
}

/// Parses the tokens of one expression, which is [`Parsed::expression`] then.
pub fn parse_expression(text: &str, lexemes: &[Lexeme]) -> Result<Parsed, ParseProblem> {
    parse_by(text, lexemes, |parser| Ok(Statement::Assert { condition: parser.parse_expr()?, message: None }))
}

fn parse_by(
    text: &str,
    lexemes: &[Lexeme],
    rule: impl FnOnce(&mut Parser<'_>) -> Result<Statement, ParserError>,
) -> Result<Parsed, ParseProblem> {
    if lexemes.len() > MAX_TOKENS {
        return Err(ParseProblem::TooManyTokens);
    }
    let depth = depth(text, lexemes);
    if depth > MAX_DEPTH {
        return Err(ParseProblem::TooDeep);
    }
    let tokens = tokens(text, lexemes)?;
    with_stack(depth, || {
        let mut parser = Parser::new(&PostgreSqlDialect {})
            .with_recursion_limit(MAX_NESTING)
            .with_tokens_with_locations(tokens);
        let statement = rule(&mut parser).map_err(|error| problem(&error, lexemes))?;
        let parsed = Parsed { statement, lexemes: lexemes.to_vec(), depth };
        match parser.peek_token_ref() {
            TokenWithSpan { token: Token::EOF, .. } => Ok(parsed),
            rest => Err(ParseProblem::NotUnderstood { at: Parsed::range(rest.span).map_or(0, |r| r.start) }),
        }
    })
}

/// What a parser's error tells about the place; its text may hold values and is dropped.
fn problem(error: &ParserError, lexemes: &[Lexeme]) -> ParseProblem {
    let message = match error {
        ParserError::RecursionLimitExceeded => return ParseProblem::TooDeep,
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    let column = message.rsplit_once("Column: ").and_then(|(_, column)| column.parse::<usize>().ok());
    let end = lexemes.last().map_or(0, |lexeme| lexeme.end);
    ParseProblem::NotUnderstood { at: column.map_or(end, |column| column.saturating_sub(1)) }
}

/// An upper bound for the levels of the tree: parentheses, and the operators between two commas.
fn depth(text: &str, lexemes: &[Lexeme]) -> usize {
    const WORDS: [&str; 16] = [
        "and", "or", "not", "is", "like", "ilike", "similar", "in", "between", "at", "collate", "case",
        "isnull", "notnull", "overlaps", "operator",
    ];
    // Of each open parenthesis: links of the chain since the last comma, and set operations.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let (mut chain, mut sets) = (0usize, 0usize);
    let mut outside = 0usize;
    let mut deepest = 0usize;
    for lexeme in lexemes {
        let word = if lexeme.kind == LexemeKind::Word { lexeme.text(text) } else { "" };
        match lexeme.kind {
            LexemeKind::Symbol(b'(' | b'[') => {
                open.push((chain, sets));
                outside += chain + sets + 1;
                (chain, sets) = (0, 0);
            }
            LexemeKind::Symbol(b')' | b']') => {
                let inside = open.pop().unwrap_or_default();
                outside = outside.saturating_sub(inside.0 + inside.1 + 1);
                (chain, sets) = (inside.0 + 1, inside.1);
            }
            LexemeKind::Symbol(b',') => chain = 0,
            LexemeKind::Symbol(b'.' | b':') => {}
            LexemeKind::Symbol(_) | LexemeKind::DoubleColon | LexemeKind::Operator => chain += 1,
            _ if ["union", "intersect", "except"].iter().any(|w| w.eq_ignore_ascii_case(word)) => {
                (chain, sets) = (0, sets + SET_OPERATION);
            }
            _ if WORDS.iter().any(|w| w.eq_ignore_ascii_case(word)) => chain += 1,
            _ => {}
        }
        deepest = deepest.max(outside + chain + sets);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use sqlparser::ast::{Expr, SelectItem, SetExpr};

    use super::super::tokenize;
    use super::*;

    fn parsed(text: &str) -> Result<Parsed, ParseProblem> {
        parse(text, &tokenize(text).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    fn items(parsed: &Parsed) -> &[SelectItem] {
        match &parsed.statement {
            Statement::Query(query) => match query.body.as_ref() {
                SetExpr::Select(select) => &select.projection,
                _ => panic!("no select"),
            },
            _ => panic!("no query"),
        }
    }

    #[test]
    fn spans_lead_back_to_the_lexemes() {
        let text = "SELECT  /*é*/ 'é'\n'b', $1, \"Col\" , 12 FROM t";
        let parsed = parsed(text).unwrap();
        let found: Vec<_> = items(&parsed)
            .iter()
            .map(|item| match item {
                SelectItem::UnnamedExpr(Expr::Value(value)) => value.span,
                SelectItem::UnnamedExpr(Expr::Identifier(ident)) => ident.span,
                _ => panic!("{item:?}"),
            })
            .map(|span| parsed.lexeme_at(span).unwrap().text(text))
            .collect();
        assert_eq!(found, ["'é'\n'b'", "$1", "\"Col\"", "12"]);
    }

    #[test]
    fn one_statement_is_parsed_and_no_more() {
        assert!(parsed("SELECT 1").is_ok());
        assert_eq!(parsed("SELECT 1; SELECT 2").err(), Some(ParseProblem::NotUnderstood { at: 8 }));
        assert_eq!(parsed("").err(), Some(ParseProblem::NotUnderstood { at: 0 }));
        assert_eq!(
            parsed("SELECT 'a' 'b' 'c'").err().map(|p| matches!(p, ParseProblem::NotUnderstood { .. })),
            Some(true)
        );
        assert_eq!(parsed("SELECT E'\\u12'").err(), Some(ParseProblem::Literal { at: 7 }));
    }

    #[test]
    fn long_and_deep_statements_neither_overflow_nor_take_long() {
        let terms = |n: usize, term: &str, glue: &str| vec![term; n].join(glue);
        let nested = |n: usize| format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n));
        let cases = [
            (format!("SELECT * FROM t WHERE {}", terms(3000, "a = 1", " OR ")), true),
            (format!("SELECT {}", terms(15_900, "1", "+")), true),
            (format!("SELECT {}", terms(15_900, "a", " AND ")), true),
            (format!("SELECT {}", terms(200_000, "1", "+")), false),
            (format!("SELECT * FROM t WHERE a IN ({})", terms(100_000, "'x'", ",")), true),
            (format!("INSERT INTO t VALUES {}", terms(20_000, "(1, 'some text', NULL, now())", ",")), true),
            (terms(3000, "SELECT 1, 'a'", " UNION ALL "), true),
            (format!("SELECT {} FROM t", terms(2000, "a", ",")), true),
            (nested(60), true),
            (nested(100_000), false),
            (format!("SELECT {}1", "- ".repeat(5000)), false),
            (format!("SELECT {}true", "NOT ".repeat(5000)), false),
            (format!("SELECT 1{}", "::int".repeat(2000)), true),
            (format!("SELECT a{}", "[1]".repeat(2000)), true),
            (format!("SELECT {}1{}", "CASE WHEN a THEN 1 ELSE ".repeat(5000), " END".repeat(5000)), false),
        ];
        let small = std::thread::Builder::new().stack_size(2 << 20);
        let done = small.spawn(move || {
            for (text, parses) in cases {
                let start = std::time::Instant::now();
                let parsed = parsed(&text);
                let found = parsed.is_ok();
                // Whoever walks the tree needs as much stack, and more of it than dropping does.
                if let Ok(parsed) = &parsed {
                    with_stack(parsed.depth(), || assert!(!parsed.statement.clone().to_string().is_empty()));
                }
                drop(parsed);
                let shown: String = text.chars().take(60).collect();
                println!("{shown}: {:?}", start.elapsed());
                assert_eq!(found, parses, "{shown}");
                assert!(start.elapsed().as_secs() < 10, "{shown}");
            }
        });
        done.unwrap().join().unwrap();
    }
}
