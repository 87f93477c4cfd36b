//! A name that statements of the corpus use, for both tests that read it.

use std::sync::Arc;

use super::sql::{
    Arrival, Context, Cursor, Effects, Meaning, NamedStatement, Names, NoNames, Plan, Schema, Verdict,
    analyze,
};

/// What the corpus knows by the name of `sealed_plan`: a prepared statement and a cursor.
pub(crate) struct SealedPlan(pub(crate) Option<Arc<Plan>>);

impl SealedPlan {
    const STATEMENT: &'static str = "SELECT email FROM users WHERE email = $1";

    pub(crate) fn new(schema: &Schema) -> Self {
        let search_path = ["pg_catalog".to_owned(), "public".to_owned()];
        let cx = Context {
            schema,
            search_path: &search_path,
            standard_conforming_strings: true,
            utf8: true,
            names: &NoNames,
        };
        match analyze(Self::STATEMENT, Arrival::Parse { declared: &[] }, &cx) {
            Verdict::Rewrite(plan) => Self(Some(plan)),
            // Of a database without that table.
            Verdict::Forward(_) | Verdict::Refuse(_) => Self(None),
        }
    }
}

impl Names for SealedPlan {
    fn statement(&self, name: &str) -> Meaning<NamedStatement> {
        match name {
            "sealed_plan" => Meaning::Is(NamedStatement {
                text: Arc::from(Self::STATEMENT),
                declared: Vec::new(),
                plan: self.0.clone(),
                effects: Effects::NONE,
                looked_up: true,
            }),
            "refused_plan" => Meaning::Void,
            _ => Meaning::Unknown,
        }
    }

    fn cursor(&self, name: &str) -> Meaning<Cursor> {
        match name {
            "sealed_plan" => Meaning::Is(Cursor {
                plan: self.0.clone(),
                effects: Effects::NONE,
                is_held: true,
                is_binary: false,
            }),
            _ => Meaning::Unknown,
        }
    }
}
