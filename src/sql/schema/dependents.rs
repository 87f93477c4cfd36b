//! What hangs on a protected table: each thing either means the same over ciphertext, or stands in the way.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, InTarget, SetExpr, Statement, UnaryOperator,
};

use super::{Consequence, Relation, RelationColumn, Schema};
use crate::catalog::{Class, Dependent, DependentKind, OWN_TRIGGER, Relation as CatalogRelation, Storage};
use crate::crypto::Mode;
use crate::sql::{OutputValue, lex, view};

/// What follows from a table's dependents: column, consequence and message of each.
pub(super) fn judge(
    schema: &Schema,
    table: &Relation,
    relation: &CatalogRelation,
    acknowledged: bool,
) -> Vec<(Option<String>, Consequence, String)> {
    let mut found = Vec::new();
    for dependent in &relation.dependents {
        let judge = Judge { schema, table, acknowledged };
        if let Some((consequence, message)) = judge.dependent(dependent) {
            let column = dependent.columns.iter().find_map(|number| sealed(table, *number));
            found.push((column.map(|(column, _)| column.name.clone()), consequence, message));
        }
    }
    for attribute in relation.columns.iter().filter(|attribute| attribute.generated) {
        let expression = attribute.default.as_deref().unwrap_or_default();
        if let Err(why) = view::expression(expression, table, schema, true) {
            let message = format!("generated column {} uses encrypted columns: {why}", attribute.name);
            found.push((None, Consequence::Refused, message));
        }
    }
    found
}

struct Judge<'a> {
    schema: &'a Schema,
    table: &'a Relation,
    acknowledged: bool,
}

impl Judge<'_> {
    fn dependent(&self, dependent: &Dependent) -> Option<(Consequence, String)> {
        let Dependent { kind, name, columns, expression, other_end } = dependent;
        let sealed: Vec<_> = columns.iter().filter_map(|number| sealed(self.table, *number)).collect();
        let randomized = sealed.iter().find(|(_, class)| class.binding.mode == Mode::Randomized);
        let writes = |message: String| Some((Consequence::WritesRefused, message));
        match kind {
            DependentKind::Rule => {
                Some((Consequence::Refused, format!("rule {name} would run over encrypted columns")))
            }
            DependentKind::Policy => {
                let why = self.expression(expression.as_deref())?;
                Some((
                    Consequence::Refused,
                    format!("row security policy {name} uses encrypted columns: {why}"),
                ))
            }
            DependentKind::Check => {
                if expression.as_deref().is_some_and(|expression| is_shape_check(expression, self.table)) {
                    return None;
                }
                let why = self.expression(expression.as_deref())?;
                writes(format!("CHECK {name} uses encrypted columns: {why}"))
            }
            DependentKind::Unique => {
                let (column, _) = randomized?;
                writes(format!(
                    "{name} is unique over column {}, which is encrypted as randomized",
                    column.name
                ))
            }
            DependentKind::Exclusion => {
                let (column, _) = sealed.first()?;
                let equality =
                    expression.as_deref().is_some_and(|operators| operators.split(',').all(|o| o == "="));
                if equality && randomized.is_none() {
                    return None;
                }
                writes(format!("exclusion constraint {name} compares encrypted column {}", column.name))
            }
            DependentKind::ForeignKey | DependentKind::ReferencedBy => {
                self.foreign_key(columns, other_end.as_ref()).and_then(|column| {
                    writes(format!(
                        "foreign key {name} joins column {column} with one that is encrypted differently"
                    ))
                })
            }
            DependentKind::Index => {
                let (column, _) = randomized?;
                let message = format!(
                    "index {name} is of no use on column {}, which is encrypted as randomized",
                    column.name
                );
                Some((Consequence::Warning, message))
            }
            DependentKind::ExpressionIndex => {
                let why = self.expression(expression.as_deref())?;
                writes(format!("index {name} is over an expression of encrypted columns: {why}"))
            }
            DependentKind::PartitionKey => {
                let (column, class) = sealed.first()?;
                let by_hash_or_list = matches!(expression.as_deref(), Some("hash" | "list"));
                if by_hash_or_list && class.binding.mode != Mode::Randomized {
                    return None;
                }
                writes(format!("encrypted column {} is the partition key", column.name))
            }
            DependentKind::BeforeRowTrigger if name.starts_with(OWN_TRIGGER) => None,
            DependentKind::BeforeRowTrigger => {
                let text = self.table.columns.iter().any(|column| {
                    matches!(&column.value, OutputValue::Sealed(class) if class.storage == Storage::Text)
                });
                if text && !self.acknowledged {
                    return writes(format!(
                        "trigger {name} might change encrypted text; if it does not, write \
                         before_triggers = \"acknowledged\" in the policy"
                    ));
                }
                let why = expression.as_deref().and_then(|expression| self.expression(Some(expression)))?;
                writes(format!("the condition of trigger {name} uses encrypted columns: {why}"))
            }
            DependentKind::ConditionalTrigger => {
                let why = self.expression(expression.as_deref())?;
                writes(format!("the condition of trigger {name} uses encrypted columns: {why}"))
            }
        }
    }

    /// Why an expression does not mean the same over ciphertext.
    fn expression(&self, expression: Option<&str>) -> Option<String> {
        match expression {
            Some(expression) => view::expression(expression, self.table, self.schema, false).err(),
            None => Some("it could not be read".to_owned()),
        }
    }

    /// The first column of a foreign key whose other end is encrypted differently.
    fn foreign_key(&self, columns: &[i16], other_end: Option<&(u32, Vec<i16>)>) -> Option<String> {
        let column = |number: i16| self.table.columns.iter().find(|column| column.number == number);
        let Some((oid, others)) = other_end else {
            return columns
                .iter()
                .find_map(|n| sealed(self.table, *n))
                .map(|(column, _)| column.name.clone());
        };
        let other = self.schema.names_by_oid.get(oid).and_then(|name| self.schema.relation(name));
        for (position, number) in columns.iter().enumerate() {
            let Some(own) = column(*number) else { continue };
            let theirs = others.get(position).and_then(|number| {
                other
                    .as_ref()?
                    .columns
                    .iter()
                    .find(|column| column.number == *number)
                    .map(|c| c.value.clone())
            });
            let agrees = match (&own.value, theirs) {
                (OutputValue::Plain, Some(OutputValue::Plain)) => true,
                (OutputValue::Sealed(a), Some(OutputValue::Sealed(b))) => a.compares_with(&b),
                (own, None) => matches!(own, OutputValue::Plain),
                (OutputValue::Plain | OutputValue::Sealed(_) | OutputValue::SealedArray(_), Some(_)) => false,
            };
            if !agrees {
                return Some(own.name.clone());
            }
        }
        None
    }
}

fn sealed(table: &Relation, number: i16) -> Option<(&RelationColumn, &Class)> {
    let column = table.columns.iter().find(|column| column.number == number)?;
    match &column.value {
        OutputValue::Sealed(class) | OutputValue::SealedArray(class) => Some((column, class)),
        OutputValue::Plain => None,
    }
}

/// Whether a CHECK looks at encrypted columns only through functions that read an envelope's shape: the one that
/// keeps unencrypted values out is of this kind. It has to name what begins an envelope, or its bytes: a CHECK of a
/// length or a beginning alone (`length(name) > 3`) was written for values in clear, and would let anything in.
fn is_shape_check(expression: &str, table: &Relation) -> bool {
    const MARKS: [&str; 3] = ["get_byte(", "'\\xe5", "'pgs1."];
    if !MARKS.iter().any(|mark| expression.contains(mark)) {
        return false;
    }
    let text = format!("SELECT {expression}");
    let Ok(lexemes) = lex::tokenize(&text) else { return false };
    let Ok(parsed) = lex::parse(&text, &lexemes) else { return false };
    let Statement::Query(query) = &parsed.statement else { return false };
    let SetExpr::Select(select) = &*query.body else { return false };
    let [sqlparser::ast::SelectItem::UnnamedExpr(expr)] = select.projection.as_slice() else { return false };
    lex::with_stack(parsed.depth(), || is_shape(expr, table))
}

fn is_shape(expr: &Expr, table: &Relation) -> bool {
    match expr {
        Expr::Value(_) | Expr::TypedString(_) => true,
        // A column that is not encrypted may be used in any way.
        Expr::Identifier(ident) => {
            table.column(&ident.value).is_some_and(|column| matches!(column.value, OutputValue::Plain))
        }
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_shape(inner, table),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => is_envelope(inner) || is_shape(inner, table),
        Expr::BinaryOp { left, op: _, right } => is_shape(left, table) && is_shape(right, table),
        Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::Minus, expr } => is_shape(expr, table),
        Expr::Between { expr, negated: _, low, high } => [expr, low, high].iter().all(|e| is_shape(e, table)),
        Expr::In { expr, target: InTarget::List(items), negated: _, global: false } => {
            is_shape(expr, table) && items.iter().all(|item| is_shape(item, table))
        }
        Expr::AnyOp { left, compare_op: _, right, is_some: _ } => {
            is_shape(left, table) && is_shape(right, table)
        }
        Expr::Array(array) => array.elem.iter().all(|item| is_shape(item, table)),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            let mut rest = substring_from.iter().chain(substring_for);
            (is_envelope(expr) || is_shape(expr, table)) && rest.all(|item| is_shape(item, table))
        }
        Expr::Function(function) => {
            let name =
                function.name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str());
            let reads_shape = matches!(
                name,
                Some(
                    "get_byte" | "octet_length" | "length" | "substring" | "substr" | "left" | "starts_with"
                )
            );
            let FunctionArguments::List(list) = &function.args else { return false };
            let mut args = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            });
            reads_shape && args.all(|arg| arg.is_some_and(|arg| is_envelope(arg) || is_shape(arg, table)))
        }
        _ => false,
    }
}

/// A column, cast by the server as it may be.
fn is_envelope(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) => true,
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_envelope(inner),
        _ => false,
    }
}
