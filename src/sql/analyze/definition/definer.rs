//! What all definitions share: names that are looked up, types that have to agree, and expressions that are typed.

use std::ops::Range;
use std::sync::Arc;

use super::MADE_HERE;
use super::elements::{Collation, IndexElement, IndexKey, References};
use super::reader::{Name, Reader};
use crate::catalog::{Class, ColumnName, RelationName};
use crate::crypto::Mode;
use crate::datum::{self, Base, Type};
use crate::policy::{quote_ident, type_name};
use crate::sql::analysis::Analyzer;
use crate::sql::analyze::statement::One;
use crate::sql::edits::{Constants, storage_type};
use crate::sql::lex::{self, Lexeme, LexemeKind, Parsed};
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::schema::{Relation, Schema};
use crate::sql::scope::{Ctes, Env, From, Scope};
use crate::sql::types::{Meeting, Ty, holds};
use crate::sql::{Edit, Replacement, scan, typename};

/// One definition: what is edited in it.
pub(super) struct Definer<'a> {
    pub(super) one: &'a One<'a>,
    pub(super) schema: &'a Schema,
    pub(super) edits: Vec<Edit>,
    /// The protected name that brought it here.
    pub(super) named: String,
}

/// How a column is sealed that a definition makes or changes.
#[derive(Clone, Debug)]
pub(super) struct Sealing {
    pub(super) class: Arc<Class>,
    /// The policy's type, where it is the policy that names the column.
    pub(super) ty: Option<datum::TypeName>,
    /// Why no value can be sealed for it yet.
    pub(super) undecided: Option<String>,
}

/// What an expression is for.
pub(super) enum Purpose<'p> {
    /// It is stored in an encrypted column.
    Stored(&'p Arc<Class>),
    /// It is evaluated over rows, and named so.
    Plain(&'p str),
    /// It is evaluated over the old and the new row of a change, and named so.
    Rows(&'p str),
    /// It is compared for equality with those of other rows, and named so.
    Key(&'p str),
}

impl Sealing {
    pub(super) fn of(class: &Arc<Class>) -> Self {
        Self { class: Arc::clone(class), ty: None, undecided: None }
    }

    pub(super) fn column(&self) -> &ColumnName {
        &self.class.column
    }
}

impl<'a> Definer<'a> {
    pub(super) fn new(one: &'a One<'a>, named: String) -> Self {
        Self { one, schema: one.cx.schema, edits: Vec::new(), named }
    }

    pub(super) fn reader(&self, from: usize) -> Reader<'a> {
        Reader::new(self.one.text, self.one.lexemes, from..self.one.lexemes.len())
    }

    /// A refusal at a token.
    pub(super) fn refuse<T>(&self, reason: impl Into<Box<Reason>>, token: usize) -> Result<T, Refusal> {
        Err(Refusal::new(reason, self.one.lexemes.get(token).map(|lexeme| lexeme.start)))
    }

    /// A construct that is not known, at a token.
    pub(super) fn not_understood<T>(&self, construct: &str, token: usize) -> Result<T, Refusal> {
        let (construct, name) = (construct.to_owned(), self.named.clone());
        self.refuse(Reason::NotUnderstood { construct, name }, token)
    }

    pub(super) fn construct<T>(
        &self,
        construct: &str,
        column: &ColumnName,
        token: usize,
    ) -> Result<T, Refusal> {
        let (construct, column) = (construct.to_owned(), column.clone());
        self.refuse(Reason::Construct { construct, column }, token)
    }

    pub(super) fn undefined<T>(&self, column: &str, token: usize) -> Result<T, Refusal> {
        self.refuse(Reason::UndefinedColumn { name: format!("\"{column}\"") }, token)
    }

    pub(super) fn edit(&mut self, tokens: &Range<usize>, text: impl Into<String>) {
        if let Some(range) = self.bytes(tokens) {
            self.edits.push(Edit { range, replacement: Replacement::Text(text.into()) });
        }
    }

    /// Puts a text behind a token.
    pub(super) fn insert_behind(&mut self, token: usize, text: impl Into<String>) {
        if let Some(lexeme) = self.one.lexemes.get(token) {
            let range = lexeme.end..lexeme.end;
            self.edits.push(Edit { range, replacement: Replacement::Text(text.into()) });
        }
    }

    pub(super) fn bytes(&self, tokens: &Range<usize>) -> Option<Range<usize>> {
        let first = self.one.lexemes.get(tokens.start)?;
        let last = self.one.lexemes.get(tokens.end.checked_sub(1)?)?;
        Some(first.start..last.end)
    }

    /// The text of some tokens.
    pub(super) fn shown(&self, tokens: &Range<usize>) -> String {
        let shown = self.bytes(tokens).and_then(|bytes| self.one.text.get(bytes));
        shown.unwrap_or_default().to_owned()
    }

    /// An enum type by its name.
    pub(super) fn resolve_type(&self, parts: &[String]) -> Option<datum::Oid> {
        self.schema.type_named(parts, self.one.cx.search_path)
    }

    /// A name's schema as it is written; the name of the session's own for `pg_temp`.
    fn written_schema(&self, name: &Name) -> Result<Option<String>, Refusal> {
        match name.parts.as_slice() {
            [_] => Ok(None),
            [schema, _] if schema == "pg_temp" => {
                let temporary = self.one.cx.search_path.iter().find(|s| s.starts_with("pg_temp_"));
                Ok(Some(temporary.unwrap_or(schema).clone()))
            }
            [schema, _] => Ok(Some(schema.clone())),
            [database, schema, _] if database == self.schema.database() => Ok(Some(schema.clone())),
            _ => self.not_understood("a name with more than two parts", name.tokens.start),
        }
    }

    /// A relation that is there. One whose name could mean a protected one elsewhere is sent qualified.
    pub(super) fn relation(&mut self, name: &Name) -> Result<Option<Arc<Relation>>, Refusal> {
        match self.written_schema(name)? {
            Some(schema) => Ok(self.schema.relation(&RelationName::new(schema, name.last()))),
            None => {
                let found = self.schema.resolve(name.last(), self.one.cx.search_path);
                if let Some(relation) = &found {
                    self.qualify(name, &relation.name.schema);
                }
                Ok(found)
            }
        }
    }

    /// The same; it has to be there.
    pub(super) fn existing(&mut self, name: &Name) -> Result<Arc<Relation>, Refusal> {
        match self.relation(name)? {
            Some(relation) => Ok(relation),
            None => self.refuse(Reason::UndefinedTable { name: name.parts.join(".") }, name.token()),
        }
    }

    /// The name of a relation that is to be made.
    pub(super) fn made(&mut self, name: &Name) -> Result<RelationName, Refusal> {
        if let Some(schema) = self.written_schema(name)? {
            return Ok(RelationName::new(schema, name.last()));
        }
        match Schema::creation_schema(self.one.cx.search_path) {
            Some(schema) => {
                self.qualify(name, schema);
                Ok(RelationName::new(schema.clone(), name.last()))
            }
            None => self.refuse(Reason::UndefinedTable { name: name.last().to_owned() }, name.token()),
        }
    }

    fn qualify(&mut self, name: &Name, schema: &str) {
        if !self.schema.is_protected_name(name.last()) {
            return;
        }
        let schema = if schema.starts_with("pg_temp_") { "pg_temp" } else { schema };
        if let Some(lexeme) = self.one.lexemes.get(name.token()) {
            let replacement = Replacement::Text(format!("{}.", quote_ident(schema)));
            self.edits.push(Edit { range: lexeme.start..lexeme.start, replacement });
        }
    }

    /// What the policy says of a column of a table.
    pub(super) fn sealing(&self, table: &RelationName, column: &str) -> Option<Sealing> {
        let planned = self.schema.planned(table)?.columns.get(column)?;
        let (ty, undecided) = (Some(planned.ty.clone()), planned.undecided.clone());
        Some(Sealing { class: Arc::clone(&planned.class), ty, undecided })
    }

    /// Proves that a type is declared as the policy says, or as a narrower one, and puts the stored one in its place.
    pub(super) fn stored_type(&mut self, ty: &Range<usize>, sealing: &Sealing) -> Result<(), Refusal> {
        if !self.agrees(ty, sealing) {
            let policy = sealing.ty.as_ref().map_or_else(|| sealing.class.ty.to_string(), type_name);
            let (column, declared) = (sealing.column().clone(), self.shown(ty));
            return self.refuse(Reason::DeclaredType { column, declared, policy }, ty.start);
        }
        self.edit(ty, storage_type(sealing.class.storage));
        Ok(())
    }

    fn agrees(&self, tokens: &Range<usize>, sealing: &Sealing) -> bool {
        let lexemes = self.one.lexemes.get(tokens.clone()).unwrap_or_default();
        let mut written = String::new();
        for (at, lexeme) in lexemes.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| lexemes.get(before));
            // PostgreSQL ignores the size of an array.
            if lexeme.kind == LexemeKind::Integer && before.is_some_and(|before| before.is_symbol(b'[')) {
                continue;
            }
            if lexeme.is_word(self.one.text, "array") {
                written.push_str("[]");
                break;
            }
            written.push_str(lexeme.text(self.one.text));
            written.push(' ');
        }
        let own = &sealing.class.ty;
        match (Type::parse(&written), &sealing.undecided) {
            (Ok(datum::TypeName::Builtin(ty)), None) => stores_alike(own, &ty),
            (Ok(datum::TypeName::Builtin(_)), Some(_)) | (Err(_), _) => false,
            (Ok(datum::TypeName::Named { schema, name, array }), None) => {
                let parts: Vec<_> = schema.into_iter().chain([name]).collect();
                let element = own.base.element().unwrap_or(&own.base);
                array == own.base.element().is_some()
                    && matches!(element, Base::Enum(own) if self.resolve_type(&parts) == Some(own.oid))
            }
            (Ok(datum::TypeName::Named { schema, name, array }), Some(_)) => match &sealing.ty {
                // The database does not have the type yet: one of the same name will be it.
                Some(datum::TypeName::Named { schema: own_schema, name: own, array: own_array }) => {
                    *own == name
                        && *own_array == array
                        && (schema.is_none() || own_schema.is_none() || schema == *own_schema)
                }
                Some(datum::TypeName::Builtin(_)) | None => false,
            },
        }
    }

    /// Takes COLLATE off a column that is encrypted, unless the collation may take different values for equal.
    pub(super) fn collation(
        &mut self,
        collation: &Collation,
        column: &ColumnName,
        mode: Mode,
    ) -> Result<(), Refusal> {
        if mode != Mode::Randomized && !is_deterministic(&collation.name) {
            let construct = format!("COLLATE {}", collation.name);
            return self.construct(&construct, column, collation.tokens.start);
        }
        self.edit(&collation.tokens, "");
        Ok(())
    }

    /// Types an expression over a table's columns, and collects what is edited in it.
    pub(super) fn expression(
        &mut self,
        tokens: &Range<usize>,
        table: Option<&Relation>,
        purpose: &Purpose<'_>,
    ) -> Result<(), Refusal> {
        let lexemes = self.one.lexemes.get(tokens.clone()).unwrap_or_default();
        let at = lexemes.first().map(|lexeme| lexeme.start);
        // A column before a string is a type to PostgreSQL: an operator is missing.
        let is_column = |lexeme: &Lexeme| {
            let name = if lexeme.is_identifier() { lex::identifier(lexeme, self.one.text) } else { None };
            name.is_some_and(|name| table.is_some_and(|table| table.column(&name).is_some()))
        };
        let is_string = |lexeme: &Lexeme| matches!(lexeme.kind, LexemeKind::String(_));
        if lexemes.windows(2).any(|pair| matches!(pair, [a, b] if is_column(a) && is_string(b))) {
            return self.not_understood("a constant behind a column", tokens.start);
        }
        let Ok(parsed) = lex::parse_expression(self.one.text, lexemes) else {
            let construct = match purpose {
                Purpose::Stored(_) => "the expression of DEFAULT",
                Purpose::Plain(construct) | Purpose::Rows(construct) | Purpose::Key(construct) => construct,
            };
            return self.not_understood(construct, tokens.start);
        };
        let mut analyzer = Analyzer::new(self.one.text, &parsed, self.schema, self.one.cx.search_path);
        lex::with_stack(parsed.depth(), || type_expression(&mut analyzer, &parsed, table, purpose));
        analyzer.finish_literals();
        let Constants { edits, parameters } = analyzer.finish_constants();
        if let Some(refusal) = analyzer.refusal.take().or_else(|| analyzer.obstacle.take()) {
            return Err(Refusal { at: refusal.at.or(at), ..refusal });
        }
        if !parameters.is_empty() {
            return self.not_understood("a parameter", tokens.start);
        }
        if let Purpose::Plain(construct) | Purpose::Rows(construct) | Purpose::Key(construct) = purpose
            && let Some(usage) = edits.iter().find_map(|edit| edit.replacement.usage())
        {
            let (construct, column) = ((*construct).to_owned(), usage.class.column.clone());
            return Err(Refusal::new(Reason::LastingConstant { construct, column }, at));
        }
        self.edits.extend(edits);
        self.edits.append(&mut analyzer.edits);
        Ok(())
    }

    /// A default of a column that is not encrypted: it reads no row, but it may call what reaches encrypted columns.
    pub(super) fn plain_default(&mut self, tokens: &Range<usize>) -> Result<(), Refusal> {
        let lexemes = self.one.lexemes.get(tokens.clone()).unwrap_or_default();
        if scan::names_any(self.one.text, lexemes, self.schema.names()).is_none() {
            return Ok(());
        }
        // A sequence of the table's has its name in a string.
        self.expression(tokens, None, &Purpose::Plain("DEFAULT"))
    }

    /// An element of an index, of UNIQUE, EXCLUDE or PARTITION BY over a table: gives the class of a sealed column.
    pub(super) fn key(
        &mut self,
        element: &IndexElement,
        table: &Relation,
        construct: &str,
    ) -> Result<Option<Arc<Class>>, Refusal> {
        match &element.key {
            IndexKey::Expression(tokens) => {
                self.expression(tokens, Some(table), &Purpose::Key(construct))?;
                Ok(None)
            }
            IndexKey::Column(name, token) => {
                let Some(class) = self.key_column(name, *token, table, construct)? else { return Ok(None) };
                if let Some(collation) = &element.collation {
                    self.collation(collation, &class.column, class.binding.mode)?;
                }
                if let Some((operators, tokens)) = &element.class {
                    // An order of text, and a set of operators that equality belongs to as well.
                    if !is_ordinary(operators.last()) {
                        let construct = format!("operator class {}", operators.last());
                        return self.construct(&construct, &class.column, tokens.start);
                    }
                    self.edit(tokens, "");
                }
                Ok(Some(class))
            }
        }
    }

    /// A column whose values are compared for equality with those of other rows.
    pub(super) fn key_column(
        &self,
        name: &str,
        token: usize,
        table: &Relation,
        construct: &str,
    ) -> Result<Option<Arc<Class>>, Refusal> {
        let Some(column) = table.column(name) else {
            return match table.columns_known {
                true => self.undefined(name, token),
                false => Ok(None),
            };
        };
        let Some(class) = column.class() else { return Ok(None) };
        if class.binding.mode == Mode::Randomized {
            let (construct, column) = (construct.to_owned(), class.column.clone());
            return self.refuse(Reason::NotComparable { column, construct }, token);
        }
        Ok(Some(Arc::clone(class)))
    }

    /// Proves that a foreign key joins columns that are sealed alike; `table` is the one that has it.
    pub(super) fn foreign_key(
        &mut self,
        columns: &[(String, usize)],
        references: &References,
        table: &Relation,
    ) -> Result<(), Refusal> {
        let sealed = |(name, _): &(String, usize)| table.column(name).and_then(|column| column.class());
        let is_own = table.oid == MADE_HERE
            && references.table.last() == table.name.name
            && self.written_schema(&references.table)?.is_none_or(|schema| schema == table.name.schema);
        let other = if is_own {
            self.made(&references.table)?;
            Some(Arc::new(table.clone()))
        } else {
            self.relation(&references.table)?
        };
        let Some(other) = other else {
            return match columns.iter().find_map(sealed) {
                None => Ok(()),
                Some(_) => self.refuse(
                    Reason::UndefinedTable { name: references.table.parts.join(".") },
                    references.table.token(),
                ),
            };
        };
        let Some(others) = &references.columns else {
            return match columns.iter().find_map(sealed) {
                None => Ok(()),
                Some(_) => self.not_understood("REFERENCES without columns", references.table.token()),
            };
        };
        for (own, (name, token)) in columns.iter().zip(others) {
            let construct = "FOREIGN KEY".to_owned();
            match (sealed(own), other.column(name).and_then(|column| column.class())) {
                (None, None) => {}
                (Some(a), Some(_)) if a.binding.mode == Mode::Randomized => {
                    let column = a.column.clone();
                    return self.refuse(Reason::NotComparable { column, construct }, own.1);
                }
                (Some(a), Some(b)) if a.compares_with(b) => {}
                (Some(a), Some(b)) => {
                    let (left, right) = (a.column.clone(), b.column.clone());
                    return self.refuse(Reason::DifferentlySealed { left, right, construct }, own.1);
                }
                (Some(class), None) => {
                    let column = class.column.clone();
                    return self.refuse(Reason::MeetsPlain { column, construct }, *token);
                }
                (None, Some(class)) => {
                    let column = class.column.clone();
                    return self.refuse(Reason::MeetsPlain { column, construct }, own.1);
                }
            }
        }
        Ok(())
    }
}

fn type_expression(
    analyzer: &mut Analyzer<'_>,
    parsed: &Parsed,
    table: Option<&Relation>,
    purpose: &Purpose<'_>,
) {
    let Some(expression) = parsed.expression() else { return };
    let from = match (table, purpose) {
        (None, _) => From::nothing(),
        (Some(table), Purpose::Rows(_)) => {
            let [old, new] = ["old", "new"].map(|name| {
                let mut row = analyzer.entry(table, None);
                (row.name, row.relation) = (name.to_owned(), None);
                From::single(row)
            });
            old.and(new)
        }
        (Some(table), _) => From::single(analyzer.entry(table, None)),
    };
    let scope = Scope { from: &from, outer: None };
    let env = Env { outer: Some(&scope), ctes: Ctes::default() };
    let ty = analyzer.expr(expression, &env);
    match purpose {
        Purpose::Plain(construct) | Purpose::Rows(construct) => analyzer.plain(&ty, construct),
        Purpose::Key(construct) => analyzer.comparable(&ty, Meeting::Equality, construct),
        Purpose::Stored(class) => {
            let stored = Ty::Sealed(Arc::clone(class));
            if let Err(reason) = analyzer.inference.meet(&stored, &ty, Meeting::Store, "DEFAULT") {
                let column = class.column.clone();
                analyzer.refuse(match *reason {
                    Reason::MeetsPlain { .. } => Reason::PlainStored { column },
                    reason => reason,
                });
            }
        }
    }
}

/// Whether each value that a declared type takes is stored as the policy's type stores it. What the policy's takes beyond
/// that, migrations that widen a column make good: the first ones declare what is the policy's type after the last.
fn stores_alike(policy: &Type, declared: &Type) -> bool {
    match (&policy.base, &declared.base) {
        (Base::Text | Base::Varchar, _) | (Base::Int4 | Base::Int8, Base::Int2 | Base::Int4 | Base::Int8) => {
            holds(policy, declared)
        }
        (Base::Numeric, Base::Numeric) => {
            let parts = |ty: &Type| (ty.modifier >> 16, ty.modifier & 0xffff);
            let ((policy, scale), (declared, other)) = (parts(policy), parts(declared));
            scale == other && policy >= declared
        }
        (Base::Time | Base::Timestamp | Base::Timestamptz, other) => {
            // Six digits are what there is.
            let precision = |ty: &Type| if ty.modifier == -1 { 6 } else { ty.modifier };
            policy.base == *other && precision(policy) == precision(declared)
        }
        _ => policy == declared,
    }
}

/// Whether a collation is one of those that come with PostgreSQL, which take no two different texts for equal.
///
/// <https://www.postgresql.org/docs/current/collation.html#COLLATION-MANAGING>
fn is_deterministic(name: &str) -> bool {
    let base = name.split(['.', '@']).next().unwrap_or_default();
    let is_locale = base.split_once('_').is_some_and(|(language, country)| {
        matches!(language.len(), 2 | 3)
            && country.len() == 2
            && language.bytes().all(|byte| byte.is_ascii_lowercase())
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
    });
    matches!(base, "C" | "POSIX" | "default" | "ucs_basic" | "unicode" | "pg_c_utf8" | "pg_unicode_fast")
        || name.ends_with("-x-icu")
        || is_locale
}

/// Whether an operator class orders and compares as a type's own does, or as text byte by byte.
fn is_ordinary(operators: &str) -> bool {
    let pattern = ["text", "varchar", "bpchar"]
        .iter()
        .any(|ty| operators.strip_suffix("_pattern_ops").is_some_and(|own| own == *ty));
    let own = operators.strip_suffix("_ops").is_some_and(|own| {
        matches!(own, "numeric" | "enum" | "timestamp" | "timestamptz") || typename::is_own(own)
    });
    pattern || own
}
