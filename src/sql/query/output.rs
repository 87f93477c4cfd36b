//! What a SELECT gives out: its columns, their names and where they come from.

use sqlparser::ast::{
    DataType, Expr, Function, FunctionArguments, Ident, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    WildcardAdditionalOptions,
};

use crate::sql::analysis::Analyzer;
use crate::sql::expr::{is_constant, strip};
use crate::sql::refusal::Reason;
use crate::sql::scope::{Column, Columns, Env, Found, From, Origin, Physical};
use crate::sql::typename::{BYTEA, TEXT, VARCHAR};
use crate::sql::types::Ty;

impl Analyzer<'_> {
    /// A SELECT list or RETURNING.
    pub(in crate::sql) fn projection(&mut self, items: &[SelectItem], from: &From, env: &Env<'_>) -> Columns {
        let mut columns = Columns::of(Vec::new());
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = output_name(expr).unwrap_or_else(|| "?column?".to_owned());
                    let before = self.constants.len();
                    columns.list.push(self.output(name, expr, env));
                    self.name_of_cast(expr, columns.list.last());
                    if is_constant(expr)
                        && let Some(constant) = self.constants.get_mut(before)
                    {
                        constant.is_output = true;
                    }
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    columns.list.push(self.output(alias.value.clone(), expr, env));
                }
                SelectItem::ExprWithAliases { .. } => {
                    self.not_understood("several aliases of one expression")
                }
                SelectItem::Wildcard(options) => {
                    self.star(options);
                    columns.list.extend(from.columns.list.iter().cloned());
                    columns.complete &= from.columns.complete;
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    self.star(options);
                    let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        self.not_understood("the fields of an expression");
                        continue;
                    };
                    let parts: Vec<Ident> =
                        self.parts(name).unwrap_or_default().into_iter().cloned().collect();
                    let found = env.outer.and_then(|scope| self.qualifier(scope, &parts)).cloned();
                    match found {
                        Some(entry) => {
                            columns.list.extend(entry.columns.list);
                            columns.complete &= entry.columns.complete;
                        }
                        None => {
                            let name = parts.last().map(|part| part.value.clone()).unwrap_or_default();
                            self.refuse(Reason::UndefinedAlias { name });
                        }
                    }
                }
            }
        }
        columns
    }

    /// PostgreSQL names what has no name by its cast, which may become another one.
    fn name_of_cast(&mut self, expr: &Expr, column: Option<&Column>) {
        let is_cast = matches!(strip(expr), Expr::Cast { .. }) && !is_constant(expr);
        if let (true, Some((name, false)), Some(column)) = (is_cast, named(expr), column)
            && let Some(tokens) = self.expr_tokens(expr)
        {
            self.named_by_cast.push((column.ty.clone(), tokens.end, name));
        }
    }

    pub(super) fn star(&mut self, options: &WildcardAdditionalOptions) {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let foreign = opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some();
        self.foreign(foreign, "* with options");
    }

    pub(super) fn output(&mut self, name: String, expr: &Expr, env: &Env<'_>) -> Column {
        let ty = self.expr(expr, env);
        if let Ty::Row(_) = self.inference.resolve(&ty) {
            self.plain(&ty, "a row as one value");
        }
        let is_sealed = matches!(self.inference.resolve(&ty), Ty::Sealed(_));
        let (origin, physical) = self.origin(expr, env, is_sealed);
        Column { name, ty, origin, physical }
    }

    /// Where the server says that an output comes from.
    fn origin(&self, expr: &Expr, env: &Env<'_>, is_sealed: bool) -> (Option<Origin>, Option<Physical>) {
        let Some(scope) = env.outer else { return (None, None) };
        let found = match expr {
            Expr::Nested(inner) => return self.origin(inner, env, is_sealed),
            // PostgreSQL drops a cast to the type that a column has; one of a sealed column is sent as such.
            Expr::Cast { expr: inner, data_type, .. } => {
                let (origin, physical) = self.origin(inner, env, is_sealed);
                let changes_nothing = match physical {
                    Some((BYTEA, _)) => true,
                    Some((TEXT, _)) => match data_type {
                        DataType::Text => true,
                        DataType::Varchar(length)
                        | DataType::CharVarying(length)
                        | DataType::CharacterVarying(length) => is_sealed && length.is_some(),
                        _ => false,
                    },
                    Some((VARCHAR, _)) => {
                        matches!(data_type, DataType::Varchar(None) | DataType::CharacterVarying(None))
                    }
                    _ => false,
                };
                return if changes_nothing { (origin, physical) } else { (None, None) };
            }
            Expr::Identifier(ident) => scope.column(&ident.value),
            Expr::CompoundIdentifier(parts) => match parts.split_last() {
                Some((column, qualifiers)) => match self.qualifier(scope, qualifiers) {
                    Some(entry) => entry.column(&column.value),
                    None => Found::Nothing,
                },
                None => Found::Nothing,
            },
            _ => Found::Nothing,
        };
        match found {
            Found::Column(column) => (column.origin, column.physical),
            Found::Plain | Found::WholeRow(_) | Found::Ambiguous | Found::Nothing => (None, None),
        }
    }

    /// PostgreSQL reads what is unknown in the output of a subquery as text.
    pub(in crate::sql) fn settle(&mut self, columns: &Columns) {
        for column in &columns.list {
            self.inference.settle_as_text(&column.ty);
        }
    }
}

pub(super) fn without_origins(mut columns: Columns) -> Columns {
    for column in &mut columns.list {
        column.origin = None;
    }
    columns
}

/// The name that PostgreSQL gives to an output without an alias.
///
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/parser/parse_target.c> (FigureColname)
pub(super) fn output_name(expr: &Expr) -> Option<String> {
    named(expr).map(|(name, _)| name)
}

/// A name and whether it is a strong one, which a cast does not replace.
pub(super) fn named(expr: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    match expr {
        Expr::Identifier(ident) => strong(&ident.value),
        Expr::CompoundIdentifier(parts) => strong(&parts.last()?.value),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => named(inner),
        Expr::Function(Function { name, args, .. }) => {
            let last = name.0.last()?.as_ident()?;
            match args {
                FunctionArguments::Subquery(_) | FunctionArguments::List(_) | FunctionArguments::None => {
                    strong(&last.value)
                }
            }
        }
        Expr::Cast { expr, data_type, .. } => match named(expr) {
            Some((name, true)) => Some((name, true)),
            _ => Some((type_label(&data_type.to_string()), false)),
        },
        Expr::TypedString(typed) => Some((type_label(&typed.data_type.to_string()), false)),
        Expr::Interval(_) => Some(("interval".to_owned(), false)),
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(named) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        Expr::Subquery(query) => match &*query.body {
            SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::ExprWithAlias { alias, .. } => strong(&alias.value),
                SelectItem::UnnamedExpr(expr) => named(expr),
                _ => None,
            },
            _ => None,
        },
        Expr::Exists { .. } => strong("exists"),
        Expr::Array(_) => strong("array"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Position { .. } => strong("position"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        _ => None,
    }
}

pub(super) fn type_label(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let base: String = name.chars().take_while(|c| *c != '(' && *c != '[').collect();
    match base.trim() {
        "integer" | "int" => "int4".to_owned(),
        "bigint" => "int8".to_owned(),
        "smallint" => "int2".to_owned(),
        "boolean" => "bool".to_owned(),
        "real" => "float4".to_owned(),
        "double precision" => "float8".to_owned(),
        "decimal" => "numeric".to_owned(),
        "character varying" => "varchar".to_owned(),
        "character" | "char" => "bpchar".to_owned(),
        "timestamp with time zone" => "timestamptz".to_owned(),
        "timestamp without time zone" => "timestamp".to_owned(),
        other => other.to_owned(),
    }
}
