//! What is kept for a shape says of each text what a fresh analysis says.

use super::fixture::{Database, database};
use super::*;

const CORPUS: [&str; 5] = [
    include_str!("../../../tests/corpus/select.sql"),
    include_str!("../../../tests/corpus/modify.sql"),
    include_str!("../../../tests/corpus/drivers.sql"),
    include_str!("../../../tests/corpus/adversarial.sql"),
    include_str!("../../../tests/corpus/documented.sql"),
];

fn statements() -> impl Iterator<Item = String> {
    CORPUS.iter().flat_map(|corpus| corpus.split("\n\n")).filter_map(|block| {
        let lines = block.trim_matches('\n').lines().skip_while(|line| line.starts_with("--!"));
        let statement: Vec<_> = lines.take_while(|line| !line.starts_with("=> ")).collect();
        (!statement.is_empty()).then(|| statement.join("\n"))
    })
}

/// A verdict without what only says where it can be used again.
fn essence(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Forward(Untouched { effects, unresolved, looked_up, names, free: _ }) => {
            format!("forward {effects:?} {unresolved} {looked_up} {names:?}")
        }
        Verdict::Rewrite(plan) => {
            let Plan { statements, edits, parameters, effects, unresolved, names, free: _, digest: _ } =
                &**plan;
            format!("rewrite {statements:#?} {edits:#?} {parameters:?} {effects:?} {unresolved} {names:?}")
        }
        Verdict::Refuse(refusal) => format!("refuse {refusal:?}"),
    }
}

/// The text with every literal replaced, and with other white space.
fn variant(text: &str, string: &str, integer: &str, numeric: &str) -> String {
    let lexemes = lex::tokenize(text).unwrap();
    let mut out = String::new();
    let mut end = 0;
    for lexeme in &lexemes {
        if lexeme.start > end || (end == 0 && lexeme.start > 0) {
            out.push_str(" /* other */\n");
        }
        match lexeme.kind {
            lex::LexemeKind::String(lex::StringForm::Plain) => out.push_str(string),
            lex::LexemeKind::Integer => out.push_str(integer),
            lex::LexemeKind::Numeric => out.push_str(numeric),
            _ => out.push_str(lexeme.text(text)),
        }
        end = lexeme.end;
    }
    out
}

fn kept(database: &Database, text: &str) -> Option<(Shape, Mold)> {
    let shape = Shape::of(text)?;
    let mold = Mold::new(text, &shape, &database.analyze(text), database.schema.names())?;
    Some((shape, mold))
}

#[test]
fn what_is_kept_says_what_a_fresh_analysis_says() {
    let database = database();
    let literals = [
        ("'other'", "7", "8.25"),
        ("''", "999999999", "0."),
        ("'a longer string than any that stood there before'", "0", "123456789012345678901234567890.5"),
        ("'users'", "1", ".5"),
        ("'SELECT email FROM users'", "2", "1.0"),
        ("'it''s'", "3", "1.50"),
        ("'1'", "2147483648", "1e3"),
        ("'execute sealed_plan'", "4", "2.5"),
        ("'add_user'", "5", "2.5"),
    ];
    let (mut used, mut kept_ones) = (0, 0);
    for text in statements().filter(|text| lex::tokenize(text).is_ok()) {
        let Some((shape, mold)) = kept(&database, &text) else { continue };
        kept_ones += 1;
        let again = mold.verdict(&text, &shape, database.schema.names()).expect(&text);
        assert_eq!(essence(&again), essence(&database.analyze(&text)), "{text}");
        for (string, integer, numeric) in literals {
            let other = variant(&text, string, integer, numeric);
            let Some(its_shape) = Shape::of(&other) else { continue };
            if its_shape.key() != shape.key() {
                continue;
            }
            if let Some(verdict) = mold.verdict(&other, &its_shape, database.schema.names()) {
                used += 1;
                assert_eq!(essence(&verdict), essence(&database.analyze(&other)), "{text}\n{other}");
                // The digest is shared.
                let named = |text: &str| crate::sql::normalized::shape(text).key;
                assert_eq!(named(&other), named(&text));
            }
        }
    }
    assert!(kept_ones > 150 && used > 400, "{kept_ones} kept, {used} used");
}

#[test]
fn a_statement_that_differs_in_its_values_needs_no_analysis() {
    let database = database();
    let names = database.schema.names();
    for (first, second) in [
        (
            "SELECT id FROM users WHERE email = 'a' AND id = 5",
            "SELECT id FROM users  WHERE email = 'bcd' AND id = 17",
        ),
        (
            "INSERT INTO users (id, email) VALUES (1, 'a')",
            "INSERT INTO users (id, email) VALUES (-- x\n 22, 'b')",
        ),
        ("SELECT id FROM users WHERE age = -5 LIMIT 3", "SELECT id FROM users WHERE age = -77 LIMIT 4"),
        ("UPDATE plain SET email = 'x' WHERE id = 3", "UPDATE plain SET email = 'y' WHERE id = 4"),
    ] {
        let (_, mold) = kept(&database, first).expect(first);
        let shape = Shape::of(second).unwrap();
        assert!(mold.verdict(second, &shape, names).is_some(), "{second}");
    }
}

#[test]
fn literals_that_count_are_looked_at() {
    let database = database();
    let names = database.schema.names();
    for (first, second) in [
        // A place in the output.
        (
            "SELECT email, id FROM users WHERE email = 'a' ORDER BY 2",
            "SELECT email, id FROM users WHERE email = 'a' ORDER BY 1",
        ),
        // A length that a cast cuts at.
        (
            "SELECT id FROM users WHERE email = 'abc'::varchar(3)",
            "SELECT id FROM users WHERE email = 'abcd'::varchar(3)",
        ),
        (
            "SELECT id FROM users WHERE email = 'abc'::varchar(3)",
            "SELECT id FROM users WHERE email = 'abc'::varchar(2)",
        ),
        // A value that stands a second time.
        (
            "SELECT id FROM users WHERE ('x' = '' OR email = 'y')",
            "SELECT id FROM users WHERE ('y' = '' OR email = 'y')",
        ),
        (
            "SELECT id FROM users WHERE ('x' = 'z' OR email = 'y')",
            "SELECT id FROM users WHERE ('x' = 'y' OR email = 'y')",
        ),
        // Names.
        ("SELECT 'x', id FROM plain WHERE id = 5", "SELECT 'users', id FROM plain WHERE id = 5"),
        ("DO 'x'", "DO 'DELETE FROM users'"),
        (
            "SELECT id FROM plain WHERE email = 'x'",
            "SELECT id FROM plain WHERE email = 'EXECUTE sealed_plan'",
        ),
        // Other types.
        ("SELECT id FROM users WHERE age = 5", "SELECT id FROM users WHERE age = 5000000000"),
        ("SELECT id FROM users WHERE age = 5", "SELECT id FROM users WHERE age = 5.5"),
        ("SELECT id FROM users WHERE email = 'a'", "SELECT id FROM users WHERE email = E'a'"),
    ] {
        let Some((first_shape, mold)) = kept(&database, first) else { continue };
        let Some(shape) = Shape::of(second) else { continue };
        if shape.key() == first_shape.key() {
            assert!(mold.verdict(second, &shape, names).is_none(), "{second}");
        }
    }
}

#[test]
fn texts_of_other_tokens_have_other_shapes() {
    let key = |text: &str| Shape::of(text).map(|shape| shape.key().to_owned());
    for (one, other) in [
        ("SELECT 'a' 'b'", "SELECT 'a'"),
        ("SELECT 1", "SELECT '1'"),
        ("SELECT 1 a", "SELECT 1a"),
        ("SELECT a.b, 1", "SELECT a . b, 1"),
        ("SELECT \"a\", 1", "SELECT a, 1"),
        ("SELECT 1 -1", "SELECT 1 - 1"),
        ("SELECT 1", "SELECT 1 ;"),
    ] {
        assert_ne!(key(one), key(other), "{one}, {other}");
    }
    assert_eq!(key("SELECT \u{3}, 1"), None);
    assert_eq!(key("SELECT a FROM b"), None);
}
