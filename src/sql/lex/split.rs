//! Statements of a query text.

use std::ops::Range;

use super::Lexeme;

/// The statements of a text, as ranges of its lexemes without the `;`; empty ones are left out.
///
/// A `;` between parentheses (the actions of CREATE RULE) and in the body of a function (BEGIN ATOMIC) ends
/// none.
pub fn split(text: &str, lexemes: &[Lexeme]) -> Vec<Range<usize>> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut parentheses = 0usize;
    // BEGIN ATOMIC and the CASEs in it that wait for their END.
    let mut blocks = 0usize;
    let mut previous: Option<&Lexeme> = None;
    for (index, lexeme) in lexemes.iter().enumerate() {
        if lexeme.is_symbol(b';') && parentheses == 0 && blocks == 0 {
            if start < index {
                statements.push(start..index);
            }
            start = index + 1;
        } else if lexeme.is_symbol(b'(') {
            parentheses += 1;
        } else if lexeme.is_symbol(b')') {
            parentheses = parentheses.saturating_sub(1);
        } else if blocks == 0 {
            let begins = lexeme.is_word(text, "atomic")
                && previous.is_some_and(|word| word.is_word(text, "begin"))
                && lexemes.get(start).is_some_and(|word| word.is_word(text, "create"));
            blocks = usize::from(begins);
        } else if !previous.is_some_and(|before| before.is_symbol(b'.') || before.is_word(text, "as")) {
            if lexeme.is_word(text, "case") {
                blocks += 1;
            } else if lexeme.is_word(text, "end") {
                blocks -= 1;
            }
        }
        previous = Some(lexeme);
    }
    if start < lexemes.len() {
        statements.push(start..lexemes.len());
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::super::tokenize;
    use super::*;

    #[test]
    fn statements_end_where_postgresql_ends_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" ; ;; -- a\n;", &[]),
            ("a", &["a"]),
            ("a; b ;", &["a", "b"]),
            ("select ';'; select $$;$$ /*;*/; \";\"", &["select ';'", "select $$;$$", "\";\""]),
            (
                "create rule r as on insert to t do also (insert into l values (1); delete from m); select 1",
                &[
                    "create rule r as on insert to t do also (insert into l values (1); delete from m)",
                    "select 1",
                ],
            ),
            (
                "create or replace function f() returns int begin atomic select case when x then 1 end; select 2; end; select 3",
                &[
                    "create or replace function f() returns int begin atomic select case when x then 1 end; select 2; end",
                    "select 3",
                ],
            ),
            (
                "create procedure p() begin atomic insert into t(a) values (case a when 1 then 2 else 3 end); end; b",
                &[
                    "create procedure p() begin atomic insert into t(a) values (case a when 1 then 2 else 3 end); end",
                    "b",
                ],
            ),
            (
                "create function f() begin atomic select a.end, 1 as case; end; b",
                &["create function f() begin atomic select a.end, 1 as case; end", "b"],
            ),
            ("begin; a; end; b", &["begin", "a", "end", "b"]),
            ("select begin atomic; b", &["select begin atomic", "b"]),
        ];
        for (text, expected) in cases {
            let lexemes = tokenize(text).unwrap();
            let found: Vec<_> = split(text, &lexemes)
                .into_iter()
                .map(|range| text.get(lexemes[range.start].start..lexemes[range.end - 1].end).unwrap())
                .collect();
            assert_eq!(found, *expected, "{text}");
        }
    }
}
