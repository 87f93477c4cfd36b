//! SQL texts: tokens, statements, shapes and the analysis.
//!
//! Beside that nothing panics: tokens lie in the text and in order, and the analysis of a text always ends the same.
#![no_main]

#[path = "../../benches/fixture/mod.rs"]
#[allow(dead_code)]
mod fixture;

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use pgseal::sql::{Arrival, Context, NoNames, Schema, Shape, analyze, lex};

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(fixture::schema);

fuzz_target!(|data: &[u8]| {
    let Some((how, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(lexemes) = lex::tokenize(text) {
        let mut end = 0;
        for lexeme in &lexemes {
            assert!(end <= lexeme.start && lexeme.start < lexeme.end && text.get(lexeme.range()).is_some());
            end = lexeme.end;
        }
        for statement in lex::split(text, &lexemes) {
            assert!(!lexemes[statement].is_empty());
        }
    }
    let search_path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context {
        schema: &SCHEMA,
        search_path: &search_path,
        standard_conforming_strings: how & 1 == 0,
        utf8: true,
        names: &NoNames,
    };
    let arrival = if how & 2 == 0 { Arrival::Parse { declared: &[] } } else { Arrival::Query };
    let verdict = analyze(text, arrival, &context);
    if let Some(shape) = Shape::of(text) {
        // The same text has the same shape, and the same verdict.
        assert_eq!(Some(shape.key()), Shape::of(text).as_ref().map(Shape::key));
    }
    assert_eq!(format!("{verdict:?}"), format!("{:?}", analyze(text, arrival, &context)));
});
