//! SQL that is on the server already: views and expressions of constraints, policies and triggers.
//!
//! It cannot be edited, so a constant in it that would have to be sealed is a constant that compares wrongly.

use std::sync::Arc;

use sqlparser::ast::{SetExpr, Statement};

use super::analysis::Analyzer;
use super::edits::{Constants, output_value};
use super::lex;
use super::schema::{Relation, Schema};
use super::scope::{Columns, Ctes, Env, From, Scope};
use super::{OutputValue, Replacement};
use crate::catalog::Class;

/// What the columns of a view hold and the classes of columns that it joins while their values are moved, or why that
/// cannot be told.
pub(super) fn outputs(
    definition: &str,
    schema: &Schema,
) -> Result<(Vec<OutputValue>, Vec<Arc<Class>>), String> {
    let columns = typed(definition, schema, |analyzer, statement| {
        let Statement::Query(query) = statement else { return None };
        Some(analyzer.query(query, &Env::default()))
    })?;
    if columns.complete {
        Ok((columns.values, columns.joined))
    } else {
        Err("its columns are not known".to_owned())
    }
}

/// Whether an expression over a table's columns means the same over ciphertext; else why not. `is_stored` asks
/// for its value not to be encrypted. Gives the classes of columns that it joins while their values are moved.
pub(super) fn expression(
    expression: &str,
    table: &Relation,
    schema: &Schema,
    is_stored: bool,
) -> Result<Vec<Arc<Class>>, String> {
    let text = format!("SELECT {expression}");
    let columns = typed(&text, schema, |analyzer, statement| {
        let Statement::Query(query) = statement else { return None };
        let SetExpr::Select(select) = &*query.body else { return None };
        let mut from = From::single(analyzer.entry(table, None));
        // What the condition of a trigger compares.
        for name in ["new", "old"] {
            let mut row = analyzer.entry(table, None);
            (row.name, row.relation) = (name.to_owned(), None);
            from.entries.push(row);
        }
        let scope = Scope { from: &from, outer: None };
        let env = Env { outer: Some(&scope), ctes: Ctes::default() };
        Some(analyzer.projection(&select.projection, &from, &env))
    })?;
    if is_stored && columns.values.iter().any(|value| !matches!(value, OutputValue::Plain)) {
        return Err("an encrypted value would be stored in a column that is not encrypted".to_owned());
    }
    Ok(columns.joined)
}

struct Typed {
    values: Vec<OutputValue>,
    complete: bool,
    joined: Vec<Arc<Class>>,
}

fn typed(
    text: &str,
    schema: &Schema,
    walk: impl FnOnce(&mut Analyzer<'_>, &Statement) -> Option<Columns>,
) -> Result<Typed, String> {
    let text = text.trim_end().trim_end_matches(';');
    let not_understood = || "it is not understood".to_owned();
    let lexemes = lex::tokenize(text).map_err(|_| not_understood())?;
    let parsed = lex::parse(text, &lexemes).map_err(|_| not_understood())?;
    let search_path = ["pg_catalog".to_owned()];
    let mut analyzer = Analyzer::new(text, &parsed, schema, &search_path);
    let columns = walk(&mut analyzer, &parsed.statement).ok_or_else(not_understood)?;
    analyzer.finish_literals();
    let Constants { edits, parameters } = analyzer.finish_constants();
    if let Some(refusal) = analyzer.refusal.take().or_else(|| analyzer.obstacle.take()) {
        return Err(refusal.to_string());
    }
    if analyzer.unresolved {
        return Err("it names a relation that is not known".to_owned());
    }
    if edits.iter().all(|edit| matches!(edit.replacement, Replacement::Text(_))) && !edits.is_empty() {
        return Err("it casts an encrypted column".to_owned());
    }
    if !edits.is_empty() || !parameters.is_empty() {
        return Err("it compares an encrypted column with a constant that is not encrypted".to_owned());
    }
    let values: Option<Vec<_>> =
        columns.list.iter().map(|column| output_value(&analyzer.inference.resolve(&column.ty))).collect();
    let (values, complete) = (values.ok_or_else(not_understood)?, columns.complete);
    Ok(Typed { values, complete, joined: analyzer.inference.joined })
}
