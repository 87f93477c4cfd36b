//! Expressions.

use std::sync::Arc;

use sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CaseWhen, CastKind, DataType, DuplicateTreatment, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, InTarget, Interval,
    ObjectName, OrderByExpr, Query, Subscript, TypedString, UnaryOperator, Value, WindowFrameBound,
    WindowSpec, WindowType,
};

use super::analysis::{Analyzer, Cast};
use super::lex::{LexemeKind, Parsed};
use super::refusal::Reason;
use super::schema::DeclaredFunction;
use super::scope::{Columns, Env, Found, Scope};
use super::typename::{self, Modifier, TypeName};
use super::types::{Meeting, Ty, bare};
use crate::catalog::{Class, Storage};
use crate::datum::{Base, Type};

/// Stack that has to be left before one more level, and the size of the next piece.
const STACK_LEFT: usize = 128 * 1024;
const STACK_PIECE: usize = 2 * 1024 * 1024;

/// Runs one level of the walk on a stack that is large enough for it.
pub(super) fn level<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_LEFT, STACK_PIECE, f)
}

impl Analyzer<'_> {
    /// An expression's type. What it does to encrypted columns beyond that is checked on the way.
    pub(super) fn expr(&mut self, expr: &Expr, env: &Env<'_>) -> Ty {
        level(|| match self.constant_expr(expr) {
            Some(ty) => ty,
            None => self.compound(expr, env),
        })
    }

    /// An expression that must not be encrypted; `construct` is what stands in the refusal.
    pub(super) fn plain_expr(&mut self, expr: &Expr, env: &Env<'_>, construct: &str) {
        let ty = self.expr(expr, env);
        self.plain(&ty, construct);
    }

    fn plain_exprs<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        env: &Env<'_>,
        construct: &str,
    ) -> Ty {
        for expr in exprs {
            self.plain_expr(expr, env, construct);
        }
        Ty::Plain
    }

    /// A condition: WHERE, ON, HAVING, FILTER, WHEN.
    pub(super) fn condition(&mut self, expr: Option<&Expr>, env: &Env<'_>, construct: &str) {
        if let Some(expr) = expr {
            self.plain_expr(expr, env, construct);
        }
    }

    fn compare(&mut self, left: &Expr, right: &Expr, env: &Env<'_>, how: Meeting, construct: &str) -> Ty {
        let left = self.expr(left, env);
        let at = self.at;
        let right = self.expr(right, env);
        if self.inference.sealed_in(&left).is_some() {
            self.at = at;
        }
        self.meet(&left, &right, how, construct);
        Ty::Plain
    }

    fn merge<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        env: &Env<'_>,
        how: Meeting,
        name: &str,
    ) -> Ty {
        let types: Vec<Ty> = exprs.into_iter().map(|expr| self.expr(expr, env)).collect();
        self.merged(&types, how, name)
    }

    /// Expressions that need no table: constants, their signs, parentheses and casts.
    fn constant_expr(&mut self, expr: &Expr) -> Option<Ty> {
        let before = self.constants.len();
        let constant = self.constant_index(expr)?;
        debug_assert!(constant >= before, "a constant is made where it stands");
        self.constants.get(constant).map(|constant| constant.ty.clone())
    }

    fn constant_index(&mut self, expr: &Expr) -> Option<usize> {
        if !is_constant(expr) {
            return None;
        }
        match expr {
            Expr::Value(value) => self.constant(value, None),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
                let Expr::Value(value) = expr.as_ref() else { return None };
                let sign = self.token(value).and_then(|(index, _)| index.checked_sub(1));
                if !self.is_symbol(sign, b'-') {
                    self.not_understood("a sign that is not where it seems to be");
                }
                self.constant(value, sign)
            }
            Expr::Nested(inner) => {
                let constant = self.constant_index(inner)?;
                let tokens = self.constants.get(constant)?.tokens.clone();
                let open = tokens.start.checked_sub(1);
                if self.is_symbol(open, b'(') && self.is_symbol(Some(tokens.end), b')') {
                    self.constants.get_mut(constant)?.tokens = tokens.start - 1..tokens.end + 1;
                } else {
                    self.not_understood("parentheses that are not where they seem to be");
                }
                Some(constant)
            }
            Expr::Cast { kind, expr, data_type: _, format: _ } => {
                let constant = self.constant_index(expr)?;
                let tokens = self.constants.get(constant)?.tokens.clone();
                let (target, tokens) = self.cast_target(kind, tokens)?;
                let constant_ref = self.constants.get_mut(constant)?;
                constant_ref.tokens = tokens;
                constant_ref.casts.push(Cast { target, is_prefix: false });
                Some(constant)
            }
            Expr::TypedString(TypedString { data_type: _, value, uses_odbc_syntax: _ }) => {
                let (index, _) = self.token(value)?;
                self.prefixed(index, |this| this.constant(value, None))
            }
            Expr::Interval(Interval { value, .. }) => {
                let Expr::Value(value) = value.as_ref() else { return None };
                let (index, _) = self.token(value)?;
                self.prefixed(index, |this| this.constant(value, None))
            }
            _ => None,
        }
    }

    /// `type 'string'`: the constant is at this token.
    fn prefixed(&mut self, index: usize, constant: impl FnOnce(&mut Self) -> Option<usize>) -> Option<usize> {
        let target = self.type_before(index);
        let constant = constant(self)?;
        let Some(target) = target else {
            // A type that cannot be sealed: the constant belongs to no encrypted column.
            let ty = self.constants.get(constant)?.ty.clone();
            self.plain(&ty, "a typed constant");
            return Some(constant);
        };
        self.ignore(&target);
        let constant_ref = self.constants.get_mut(constant)?;
        constant_ref.tokens = target.tokens.start..constant_ref.tokens.end;
        constant_ref.casts.push(Cast { target, is_prefix: true });
        Some(constant)
    }

    /// The type of a cast of the expression at these tokens, and the tokens of the whole cast.
    fn cast_target(
        &mut self,
        kind: &CastKind,
        tokens: std::ops::Range<usize>,
    ) -> Option<(TypeName, std::ops::Range<usize>)> {
        let found = match kind {
            CastKind::DoubleColon => {
                let colons = self.lexeme(tokens.end).is_some_and(|l| l.kind == LexemeKind::DoubleColon);
                let target = self.type_at(tokens.end + 1).filter(|_| colons);
                target.map(|target| (target.clone(), tokens.start..target.tokens.end))
            }
            CastKind::Cast => {
                let open = tokens.start.checked_sub(1);
                let cast = tokens.start.checked_sub(2);
                let shaped = self.is_symbol(open, b'(')
                    && self.is_word(cast, "cast")
                    && self.is_word(Some(tokens.end), "as");
                let target = self
                    .type_at(tokens.end + 1)
                    .filter(|target| shaped && self.is_symbol(Some(target.tokens.end), b')'));
                cast.zip(target).map(|(cast, target)| (target.clone(), cast..target.tokens.end + 1))
            }
            CastKind::TryCast | CastKind::SafeCast => None,
        };
        match &found {
            Some((target, _)) => self.ignore(target),
            None => self.not_understood("a cast to a type that is not understood"),
        }
        found
    }

    pub(super) fn type_at(&self, start: usize) -> Option<TypeName> {
        let resolve = |parts: &[String]| self.schema.type_named(parts, self.search_path);
        typename::read(self.text, self.parsed.lexemes(), start, &resolve)
    }

    fn type_before(&self, end: usize) -> Option<TypeName> {
        let resolve = |parts: &[String]| self.schema.type_named(parts, self.search_path);
        typename::read_before(self.text, self.parsed.lexemes(), end, &resolve)
    }

    /// A type's modifiers are values of no column.
    pub(super) fn ignore(&mut self, target: &TypeName) {
        if let Some(bytes) = self.bytes(&target.tokens) {
            self.literals.ignore(&bytes);
        }
    }

    fn compound(&mut self, expr: &Expr, env: &Env<'_>) -> Ty {
        match expr {
            Expr::Identifier(ident) => self.identifier(ident, env),
            Expr::CompoundIdentifier(parts) => self.qualified_column(parts, env),
            Expr::Nested(inner) => self.expr(inner, env),
            Expr::Value(value) => {
                self.constant(value, None);
                Ty::Plain
            }
            Expr::TypedString(_) => Ty::Plain,
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                let first = self.constants.len();
                self.expr(inner, env);
                if is_constant(inner)
                    && let Some(constant) = self.constants.get_mut(first)
                {
                    constant.is_null_test = true;
                }
                Ty::Plain
            }
            Expr::IsTrue(inner) | Expr::IsNotTrue(inner) => self.plain_exprs([&**inner], env, "IS TRUE"),
            Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => self.plain_exprs([&**inner], env, "IS FALSE"),
            Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => {
                self.plain_exprs([&**inner], env, "IS UNKNOWN")
            }
            Expr::IsDistinctFrom(left, right) => {
                self.compare(left, right, env, Meeting::Equality, "IS DISTINCT FROM")
            }
            Expr::IsNotDistinctFrom(left, right) => {
                self.compare(left, right, env, Meeting::Equality, "IS NOT DISTINCT FROM")
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, env),
            Expr::UnaryOp { op, expr } => self.plain_exprs([&**expr], env, &format!("operator {op}")),
            Expr::In { expr, target, negated: _, global } => {
                self.foreign(*global, "GLOBAL IN");
                self.membership(expr, target, env)
            }
            Expr::Between { expr, negated: _, low, high } => {
                let ty = self.expr(expr, env);
                for bound in [low, high] {
                    let bound = self.expr(bound, env);
                    self.meet(&ty, &bound, Meeting::Order, "BETWEEN");
                }
                Ty::Plain
            }
            Expr::AnyOp { left, compare_op, right, is_some: _ } => {
                self.quantified(left, compare_op, right, env, "ANY")
            }
            Expr::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, env, "ALL"),
            Expr::Cast { kind, expr, data_type, format } => {
                self.foreign(format.is_some(), "CAST ... FORMAT");
                self.cast(kind, expr, data_type, env)
            }
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), env)
            }
            Expr::Exists { subquery, negated: _ } => {
                self.query(subquery, env);
                Ty::Plain
            }
            Expr::Subquery(query) => self.subquery(query, env),
            Expr::Tuple(items) => Ty::Row(items.iter().map(|item| self.expr(item, env)).collect()),
            Expr::Array(Array { elem, named: _ }) => {
                let element = self.merge(elem, env, Meeting::Merge, "ARRAY");
                self.array_of(element, "ARRAY")
            }
            Expr::Function(function) => self.function(function, env),
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain, env),
            Expr::Like { negated: _, any, expr, pattern, escape_char } => {
                self.foreign(*any, "LIKE ANY");
                self.plain_exprs([&**expr, &**pattern].into_iter().chain(escape_char.as_deref()), env, "LIKE")
            }
            Expr::ILike { negated: _, any, expr, pattern, escape_char } => {
                self.foreign(*any, "ILIKE ANY");
                self.plain_exprs(
                    [&**expr, &**pattern].into_iter().chain(escape_char.as_deref()),
                    env,
                    "ILIKE",
                )
            }
            Expr::SimilarTo { negated: _, expr, pattern, escape_char } => self.plain_exprs(
                [&**expr, &**pattern].into_iter().chain(escape_char.as_deref()),
                env,
                "SIMILAR TO",
            ),
            Expr::Collate { expr, collation: _ } => self.plain_exprs([&**expr], env, "COLLATE"),
            Expr::AtTimeZone { timestamp, time_zone } => {
                self.plain_exprs([&**timestamp, &**time_zone], env, "AT TIME ZONE")
            }
            Expr::Extract { field: _, syntax: _, expr } => self.plain_exprs([&**expr], env, "EXTRACT"),
            Expr::Ceil { expr, field: _ } => self.plain_exprs([&**expr], env, "function ceil"),
            Expr::Floor { expr, field: _ } => self.plain_exprs([&**expr], env, "function floor"),
            Expr::Position { expr, r#in } => self.plain_exprs([&**expr, &**r#in], env, "POSITION"),
            Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
                let rest = substring_from.as_deref().into_iter().chain(substring_for.as_deref());
                self.plain_exprs(std::iter::once(&**expr).chain(rest), env, "SUBSTRING")
            }
            Expr::Trim { trim_where: _, trim_what, expr, trim_characters } => {
                let rest = trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten());
                self.plain_exprs(std::iter::once(&**expr).chain(rest), env, "TRIM")
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let rest =
                    [&**expr, &**overlay_what, &**overlay_from].into_iter().chain(overlay_for.as_deref());
                self.plain_exprs(rest, env, "OVERLAY")
            }
            Expr::IsNormalized { expr, form: _, negated: _ } => {
                self.plain_exprs([&**expr], env, "IS NORMALIZED")
            }
            Expr::IsJson { expr, kind: _, unique_keys: _, negated: _ } => {
                self.plain_exprs([&**expr], env, "IS JSON")
            }
            Expr::Interval(Interval { value, .. }) => self.plain_exprs([&**value], env, "INTERVAL"),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                for expr in sets.iter().flatten() {
                    let ty = self.expr(expr, env);
                    self.comparable(&ty, Meeting::Equality, "GROUP BY");
                }
                Ty::Plain
            }
            Expr::JsonAccess { .. }
            | Expr::RLike { .. }
            | Expr::Convert { .. }
            | Expr::Prefixed { .. }
            | Expr::Struct { .. }
            | Expr::Named { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::MatchAgainst { .. }
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..)
            | Expr::OuterJoin(_)
            | Expr::Prior(_)
            | Expr::Lambda(_)
            | Expr::MemberOf(_) => {
                self.not_understood("this expression");
                Ty::Plain
            }
        }
    }

    fn identifier(&mut self, ident: &Ident, env: &Env<'_>) -> Ty {
        self.look_at(ident);
        let name = &ident.value;
        if ident.quote_style.is_none() && is_value_word(name) {
            return Ty::Plain;
        }
        if ident.quote_style.is_none() && RESERVED.binary_search(&name.as_str()).is_ok() {
            self.not_understood("a key word in the place of a column");
            return Ty::Plain;
        }
        // A key word since 16, and a column's name before.
        let is_system_user = name == "system_user" && ident.quote_style.is_none();
        let undefined = Reason::UndefinedColumn { name: format!("\"{name}\"") };
        let Some(scope) = env.outer else {
            self.refuse(undefined);
            return Ty::Plain;
        };
        match scope.column(name) {
            Found::Column(column) => column.ty.clone(),
            Found::Plain => Ty::Plain,
            Found::WholeRow(entry) => {
                let columns = entry.columns.clone();
                self.whole_row(name, &columns)
            }
            Found::Ambiguous => {
                self.refuse(Reason::AmbiguousColumn { name: name.clone() });
                Ty::Plain
            }
            Found::Nothing if is_system_user => Ty::Plain,
            Found::Nothing => {
                self.refuse(undefined);
                Ty::Plain
            }
        }
    }

    fn qualified_column(&mut self, parts: &[Ident], env: &Env<'_>) -> Ty {
        let Some((column, qualifiers)) = parts.split_last() else { return Ty::Plain };
        self.look_at(parts.first().unwrap_or(column));
        let entry = env.outer.and_then(|scope| self.qualifier(scope, qualifiers));
        let shown = || parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
        let Some(entry) = entry else {
            let name = qualifiers.last().map(|part| part.value.clone()).unwrap_or_default();
            self.refuse(Reason::UndefinedAlias { name });
            return Ty::Plain;
        };
        match entry.column(&column.value) {
            Found::Column(column) => column.ty.clone(),
            Found::Plain | Found::WholeRow(_) => Ty::Plain,
            Found::Ambiguous => {
                self.refuse(Reason::AmbiguousColumn { name: column.value.clone() });
                Ty::Plain
            }
            Found::Nothing => {
                self.refuse(Reason::UndefinedColumn { name: shown() });
                Ty::Plain
            }
        }
    }

    /// The item of FROM that qualifies a column.
    pub(super) fn qualifier<'s>(
        &self,
        scope: &'s Scope<'_>,
        parts: &[Ident],
    ) -> Option<&'s super::scope::Entry> {
        match parts {
            [alias] => scope.entry(&alias.value),
            [.., schema, table] => {
                let name = self.qualified(&schema.value, &table.value);
                scope.relation(&name)
            }
            [] => None,
        }
    }

    /// A row as one value, which must hand out nothing encrypted.
    pub(super) fn whole_row(&mut self, name: &str, columns: &Columns) -> Ty {
        if columns.list.iter().any(|column| self.inference.sealed_in(&column.ty).is_some()) {
            self.refuse(Reason::WholeRow { relation: name.to_owned() });
        }
        for column in &columns.list {
            self.plain(&column.ty, "a row as one value");
        }
        Ty::Plain
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, env: &Env<'_>) -> Ty {
        match comparison(op) {
            Some(how) => self.compare(left, right, env, how, &format!("operator {op}")),
            None => {
                let construct = match op {
                    BinaryOperator::And => "AND".to_owned(),
                    BinaryOperator::Or => "OR".to_owned(),
                    op => format!("operator {op}"),
                };
                self.plain_exprs([left, right], env, &construct)
            }
        }
    }

    fn membership(&mut self, expr: &Expr, target: &InTarget, env: &Env<'_>) -> Ty {
        let left = self.expr(expr, env);
        let at = self.at;
        match target {
            InTarget::List(items) => {
                let first = self.constants.len();
                for item in items {
                    let item = self.expr(item, env);
                    self.at = if self.inference.sealed_in(&left).is_some() { at } else { self.at };
                    self.meet(&left, &item, Meeting::Equality, "IN");
                }
                if items.iter().filter(|item| is_constant(item)).count() > 1 {
                    self.constants.iter_mut().skip(first).for_each(|constant| constant.is_listed = true);
                }
            }
            InTarget::Subquery(query) => {
                let right = self.subquery(query, env);
                self.at = at;
                self.meet(&left, &right, Meeting::Equality, "IN");
            }
            InTarget::Unnest(_) | InTarget::Table { .. } => {
                self.not_understood("IN without a list or a subquery")
            }
        }
        Ty::Plain
    }

    fn quantified(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        env: &Env<'_>,
        word: &str,
    ) -> Ty {
        let construct = format!("operator {op} {word}");
        let left = self.expr(left, env);
        let at = self.at;
        let right = match right {
            Expr::Subquery(query) => self.subquery(query, env),
            array => {
                let array = self.expr(array, env);
                let element = self.inference.fresh();
                let wanted = Ty::Array(Box::new(element.clone()));
                // An array that is not encrypted meets what is not.
                match self.inference.resolve(&array) {
                    Ty::Plain => Ty::Plain,
                    _ => {
                        self.at = at;
                        match self.inference.sealed_in(&array) {
                            Some(class) if matches!(self.inference.resolve(&array), Ty::Sealed(_)) => {
                                self.refuse(Reason::Construct {
                                    construct: construct.clone(),
                                    column: class.column.clone(),
                                });
                                Ty::Plain
                            }
                            _ => {
                                self.meet(&wanted, &array, Meeting::Equality, &construct);
                                element
                            }
                        }
                    }
                }
            }
        };
        self.at = at;
        match comparison(op) {
            Some(how) => {
                self.meet(&left, &right, how, &construct);
            }
            None => {
                self.plain(&left, &construct);
                self.plain(&right, &construct);
            }
        }
        Ty::Plain
    }

    /// A cast of what is not a constant.
    fn cast(&mut self, kind: &CastKind, expr: &Expr, data_type: &DataType, env: &Env<'_>) -> Ty {
        let inner = self.expr(expr, env);
        if let Expr::Array(_) = strip(expr)
            && let Ty::Array(element) = &inner
            && let Some((first, last)) = self.array_tokens(expr)
            && let Some((target, _)) = self.cast_target(kind, first..last)
        {
            if target.is_array {
                // Elements that are constants have their types by this cast.
                for constant in &mut self.constants {
                    if first <= constant.tokens.start
                        && constant.tokens.end <= last
                        && constant.casts.is_empty()
                    {
                        let target = TypeName { is_array: false, tokens: 0..0, ..target.clone() };
                        constant.casts.push(Cast { target, is_prefix: false });
                    }
                }
                self.later_casts.push((Ty::clone(element), Cast { target, is_prefix: false }));
                return inner;
            }
            self.plain(&inner, "this cast");
            return Ty::Plain;
        }
        let resolved = self.inference.resolve(&inner);
        if let Ty::Var(_) = resolved
            && let Some(tokens) = self.column_tokens(expr)
            && let Some((target, _)) = self.cast_target(kind, tokens)
            && !target.is_array
        {
            self.later_casts.push((inner.clone(), Cast { target, is_prefix: false }));
            return inner;
        }
        if let Ty::Sealed(class) = &resolved
            && let Some(tokens) = self.column_tokens(expr)
            && let Some((target, _)) = self.cast_target(kind, tokens)
            && let Some(ty) = unchanged(&class.ty, &target)
        {
            // Text stays text: the cast can stay too, as it does in views.
            if !(class.storage == Storage::Text
                && matches!(target.oid, Some(typename::TEXT | typename::VARCHAR)))
            {
                self.later_casts.push((resolved.clone(), Cast { target, is_prefix: false }));
            }
            return Ty::Sealed(Arc::new(Class { ty, ..Class::clone(class) }));
        }
        let target = data_type.to_string();
        let refusal = |class: &Class| Reason::CastOfColumn { column: class.column.clone(), target };
        if let Err(reason) = self.inference.plain(&inner, refusal) {
            self.refuse(reason);
        }
        Ty::Plain
    }

    /// The tokens of a column's name, parentheses around it included.
    fn column_tokens(&self, expr: &Expr) -> Option<std::ops::Range<usize>> {
        let (first, last) = match expr {
            Expr::Nested(inner) => {
                let tokens = self.column_tokens(inner)?;
                let open = tokens.start.checked_sub(1);
                let closed = self.is_symbol(open, b'(') && self.is_symbol(Some(tokens.end), b')');
                return closed.then_some(tokens.start - 1..tokens.end + 1);
            }
            Expr::Identifier(ident) => (ident, ident),
            Expr::CompoundIdentifier(parts) => (parts.first()?, parts.last()?),
            _ => return None,
        };
        let index = |ident: &Ident| {
            let range = Parsed::range(ident.span)?;
            self.parsed.lexemes().binary_search_by_key(&range.start, |lexeme| lexeme.start).ok()
        };
        Some(index(first)?..index(last)? + 1)
    }

    /// The tokens of an array constructor, parentheses around it included.
    fn array_tokens(&self, expr: &Expr) -> Option<(usize, usize)> {
        match expr {
            Expr::Nested(inner) => {
                let (first, last) = self.array_tokens(inner)?;
                let open = first.checked_sub(1);
                (self.is_symbol(open, b'(') && self.is_symbol(Some(last), b')'))
                    .then_some((first - 1, last + 1))
            }
            Expr::Array(Array { elem, named: true }) => {
                // The constants in it have just been read; the bracket before the first of them opens it.
                let inside = self.constants.iter().rev().take(elem.len());
                let first = inside.map(|constant| constant.tokens.start).min()?;
                let last = self.constants.last()?.tokens.end;
                let open = first.checked_sub(1)?;
                let word = open.checked_sub(1)?;
                let closed = self.is_symbol(Some(open), b'[') && self.is_symbol(Some(last), b']');
                (closed && self.is_word(Some(word), "array")).then_some((word, last + 1))
            }
            _ => None,
        }
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        other: Option<&Expr>,
        env: &Env<'_>,
    ) -> Ty {
        let operand = operand.map(|operand| self.expr(operand, env));
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for CaseWhen { condition, result: then } in conditions {
            match &operand {
                Some(operand) => {
                    let condition = self.expr(condition, env);
                    self.meet(operand, &condition, Meeting::Equality, "CASE");
                }
                None => self.plain_expr(condition, env, "CASE"),
            }
            results.push(self.expr(then, env));
        }
        // It has the first say in the type; left out it is NULL.
        let other = match other {
            Some(other) => self.expr(other, env),
            None => self.inference.fresh(),
        };
        results.insert(0, other);
        self.merged(&results, Meeting::Merge, "CASE")
    }

    /// A subquery as a value: a column, or a row of them.
    fn subquery(&mut self, query: &Query, env: &Env<'_>) -> Ty {
        let columns = self.query(query, env);
        self.settle(&columns);
        match columns.list.as_slice() {
            [column] if columns.complete => column.ty.clone(),
            _ => Ty::Row(columns.list.into_iter().map(|column| column.ty).collect()),
        }
    }

    fn access(&mut self, root: &Expr, chain: &[AccessExpr], env: &Env<'_>) -> Ty {
        let mut ty = self.expr(root, env);
        for access in chain {
            match access {
                AccessExpr::Dot(_) => {
                    self.plain(&ty, "a field of a row");
                    ty = Ty::Plain;
                }
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    self.plain_expr(index, env, "a subscript");
                    ty = match self.inference.resolve(&ty) {
                        Ty::Array(element) => bare(*element),
                        other => {
                            self.plain(&other, "a subscript");
                            Ty::Plain
                        }
                    };
                }
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                    for bound in [lower_bound, upper_bound, stride].into_iter().flatten() {
                        self.plain_expr(bound, env, "a subscript");
                    }
                    self.plain(&ty, "a slice");
                    ty = Ty::Plain;
                }
            }
        }
        ty
    }

    /// A function call, aggregate or window function.
    pub(super) fn function(&mut self, function: &Function, env: &Env<'_>) -> Ty {
        let Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment: _,
            over,
        } = function;
        self.foreign(*uses_odbc_syntax, "{fn ...}");
        self.foreign(!matches!(parameters, FunctionArguments::None), "a function with parameters");
        let own = self.called(name);
        let at = self.at;
        let shown = name.to_string();
        let mut types = Vec::new();
        let mut whole_rows = false;
        match args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(query) => {
                let ty = self.subquery(query, env);
                return match own.as_deref() {
                    Some("array") => self.array_of(ty, "ARRAY"),
                    Some(_) | None => {
                        self.plain(&ty, &format!("function {shown}"));
                        Ty::Plain
                    }
                };
            }
            FunctionArguments::List(list) => {
                for arg in &list.args {
                    match argument(arg) {
                        FunctionArgExpr::Expr(expr) => types.push(self.expr(expr, env)),
                        FunctionArgExpr::Wildcard => {}
                        FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_) => {
                            whole_rows = true;
                        }
                    }
                }
                if let Some(DuplicateTreatment::Distinct) = list.duplicate_treatment {
                    // array_agg(DISTINCT) gives its elements sorted.
                    let how = match own.as_deref() {
                        Some("count") => Meeting::Equality,
                        Some(_) | None => Meeting::Order,
                    };
                    for ty in &types {
                        self.comparable(ty, how, "DISTINCT");
                    }
                }
                for clause in &list.clauses {
                    match clause {
                        FunctionArgumentClause::IgnoreOrRespectNulls(_) => {}
                        FunctionArgumentClause::OrderBy(exprs) => self.sorted(exprs, env),
                        FunctionArgumentClause::Where(_)
                        | FunctionArgumentClause::Limit(_)
                        | FunctionArgumentClause::OnOverflow(_)
                        | FunctionArgumentClause::Having(_)
                        | FunctionArgumentClause::Separator(_)
                        | FunctionArgumentClause::JsonNullClause(_)
                        | FunctionArgumentClause::JsonReturningClause(_) => {
                            self.not_understood(format!("a clause of function {shown}"));
                        }
                    }
                }
            }
        }
        self.foreign(whole_rows, "a row as an argument");
        let is_positional = match args {
            FunctionArguments::List(list) => {
                list.args.iter().all(|arg| matches!(arg, FunctionArg::Unnamed(_)))
            }
            FunctionArguments::None | FunctionArguments::Subquery(_) => true,
        };
        self.sorted(within_group, env);
        self.condition(filter.as_deref(), env, "FILTER");
        if let Some(WindowType::WindowSpec(spec)) = over {
            self.window(spec, env);
        }
        self.at = at;
        match self.declared(name) {
            Some(declared) => {
                self.foreign(!is_positional, "named arguments of a function of the policy");
                self.declared_result(&declared, &shown, &types)
            }
            None => self.result(own.as_deref(), &shown, types),
        }
    }

    /// The function of the policy that a call means.
    pub(super) fn declared(&mut self, name: &ObjectName) -> Option<Arc<DeclaredFunction>> {
        let parts = self.parts(name)?;
        let names: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        let declared = self.schema.declared_function(&names, self.search_path)?;
        self.protected.get_or_insert_with(|| declared.name.to_string());
        Some(declared)
    }

    /// A call of a function of the policy: what it takes is stored, what it gives is as declared.
    pub(super) fn declared_result(&mut self, function: &DeclaredFunction, shown: &str, types: &[Ty]) -> Ty {
        let construct = format!("function {shown}");
        for (position, ty) in types.iter().enumerate() {
            match function.arguments.get(position) {
                Some(Some(class)) => {
                    self.meet(&Ty::Sealed(Arc::clone(class)), ty, Meeting::Store, &construct);
                }
                Some(None) | None => self.plain(ty, &construct),
            }
        }
        function.returns.as_ref().map_or(Ty::Plain, |class| Ty::Sealed(Arc::clone(class)))
    }

    /// The type of a call of a function by the types of its arguments.
    pub(super) fn result(&mut self, own: Option<&str>, shown: &str, types: Vec<Ty>) -> Ty {
        let construct = format!("function {shown}");
        match (own, types.as_slice()) {
            (Some("count" | "grouping" | "num_nulls" | "num_nonnulls"), _) => Ty::Plain,
            (Some("coalesce"), _) => self.merged(&types, Meeting::Merge, "COALESCE"),
            (Some("nullif"), [left, right]) => {
                let ty = self.meet(left, right, Meeting::Equality, "NULLIF");
                // The operator is that of text, and the result has its argument's type.
                match self.inference.resolve(&ty) {
                    Ty::Sealed(class) if class.ty.base == Base::Varchar => {
                        let ty = Type { base: Base::Text, modifier: -1 };
                        Ty::Sealed(Arc::new(Class { ty, ..Class::clone(&class) }))
                    }
                    _ => ty,
                }
            }
            (Some(name @ ("greatest" | "least")), _) => {
                let merged = self.merged(&types, Meeting::Order, &name.to_uppercase());
                self.merged(&types, Meeting::Merge, &name.to_uppercase());
                merged
            }
            (Some("row"), _) => Ty::Row(types),
            (Some("array_agg"), [ty]) if !matches!(self.inference.resolve(ty), Ty::Array(_)) => {
                self.array_of(ty.clone(), &construct)
            }
            (Some("any_value" | "first_value" | "last_value"), [ty]) => bare(self.inference.resolve(ty)),
            (Some("nth_value"), [ty, number]) => {
                self.plain(number, &construct);
                bare(self.inference.resolve(ty))
            }
            (Some("lag" | "lead"), [ty, rest @ ..]) => {
                if let Some(offset) = rest.first() {
                    self.plain(offset, &construct);
                }
                let ty = match rest.get(1) {
                    Some(default) => self.meet(ty, default, Meeting::Merge, &construct),
                    None => ty.clone(),
                };
                bare(self.inference.resolve(&ty))
            }
            (Some("unnest"), [array]) => self.element(array, &construct),
            (
                Some("cardinality" | "array_length" | "array_upper" | "array_lower" | "array_ndims"),
                [array, rest @ ..],
            ) if matches!(self.inference.resolve(array), Ty::Array(_)) => {
                for ty in rest {
                    self.plain(ty, &construct);
                }
                Ty::Plain
            }
            _ => {
                for ty in &types {
                    let refusal = |class: &Class| Reason::Function {
                        name: shown.to_owned(),
                        column: class.column.clone(),
                    };
                    if let Err(reason) = self.inference.plain(ty, refusal) {
                        self.refuse(reason);
                    }
                }
                Ty::Plain
            }
        }
    }

    /// An array of these. One of arrays has one dimension more, which ciphertexts of whole arrays have not.
    fn array_of(&mut self, element: Ty, construct: &str) -> Ty {
        if let Ty::Sealed(class) = self.inference.resolve(&element)
            && matches!(class.ty.base, Base::Array(_))
        {
            let (construct, column) = (construct.to_owned(), class.column.clone());
            self.refuse(Reason::Construct { construct, column });
        }
        Ty::Array(Box::new(element))
    }

    /// The element of an array that is handed on one by one.
    pub(super) fn element(&mut self, array: &Ty, construct: &str) -> Ty {
        match self.inference.resolve(array) {
            Ty::Array(element) => bare(*element),
            Ty::Var(_) => {
                let element = self.inference.fresh();
                self.meet(array, &Ty::Array(Box::new(element.clone())), Meeting::Merge, construct);
                element
            }
            other @ (Ty::Plain | Ty::Sealed(_) | Ty::Row(_)) => {
                self.plain(&other, construct);
                Ty::Plain
            }
        }
    }

    fn merged(&mut self, types: &[Ty], how: Meeting, construct: &str) -> Ty {
        let Some((first, rest)) = types.split_first() else { return self.inference.fresh() };
        self.comparable(first, how, construct);
        let merged = rest.iter().fold(first.clone(), |merged, ty| self.meet(&merged, ty, how, construct));
        // What is unknown in all of them has become text.
        self.inference.settle_as_text(&merged);
        merged
    }

    /// The name of a function of PostgreSQL's own, after checks on what the call may reach.
    pub(super) fn called(&mut self, name: &ObjectName) -> Option<String> {
        let parts = self.parts(name)?;
        let names: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        if let Some(function) = self.schema.reaching_function(&names, self.search_path) {
            self.protected.get_or_insert_with(|| function.clone());
            self.refuse(Reason::ReachingFunction { name: function });
        }
        let own = match names.as_slice() {
            [name] | ["pg_catalog", name] => Some((*name).to_owned()),
            _ => None,
        };
        let is_known = own.as_deref().is_some_and(changes_nothing);
        self.changes |= !is_known;
        self.looked_up |= !is_known;
        if !is_known {
            self.runner.get_or_insert_with(|| names.join("."));
        }
        self.effects = self.effects.and(self.schema.function_effects(&names, self.search_path));
        own
    }

    pub(super) fn sorted(&mut self, exprs: &[OrderByExpr], env: &Env<'_>) {
        for OrderByExpr { expr, options: _, with_fill } in exprs {
            self.foreign(with_fill.is_some(), "WITH FILL");
            let ty = self.expr(expr, env);
            self.comparable(&ty, Meeting::Order, "ORDER BY");
            self.settle_row(&ty);
        }
    }

    pub(super) fn window(&mut self, spec: &WindowSpec, env: &Env<'_>) {
        let WindowSpec { window_name: _, partition_by, order_by, window_frame } = spec;
        for expr in partition_by {
            let ty = self.expr(expr, env);
            self.comparable(&ty, Meeting::Equality, "PARTITION BY");
        }
        self.sorted(order_by, env);
        if let Some(frame) = window_frame {
            for bound in [Some(&frame.start_bound), frame.end_bound.as_ref()].into_iter().flatten() {
                match bound {
                    WindowFrameBound::CurrentRow => {}
                    WindowFrameBound::Preceding(bound) | WindowFrameBound::Following(bound) => {
                        self.condition(bound.as_deref(), env, "a window frame");
                    }
                }
            }
        }
    }

    /// A row that is handed to the server as one value is compared by order and may not hold ciphertext
    /// beyond what was proved.
    fn settle_row(&mut self, ty: &Ty) {
        if let Ty::Row(_) = self.inference.resolve(ty) {
            self.plain(ty, "a row");
        }
    }
}

/// The expression of an argument, named or not.
pub(super) fn argument(arg: &FunctionArg) -> &FunctionArgExpr {
    match arg {
        FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. } | FunctionArg::Unnamed(arg) => {
            arg
        }
    }
}

/// What a comparison operator needs, `None` for other operators.
fn comparison(op: &BinaryOperator) -> Option<Meeting> {
    let named = |name: &str| match name {
        "=" | "<>" | "!=" => Some(Meeting::Equality),
        "<" | "<=" | ">" | ">=" => Some(Meeting::Order),
        _ => None,
    };
    match op {
        BinaryOperator::Eq | BinaryOperator::NotEq => Some(Meeting::Equality),
        BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq => {
            Some(Meeting::Order)
        }
        BinaryOperator::PGCustomBinaryOperator(parts) => match parts.as_slice() {
            [name] => named(name),
            [schema, name] if schema == "pg_catalog" => named(name),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression is a constant in the sense of [`Analyzer::constant_index`].
pub(super) fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::TypedString(_) => true,
        Expr::Value(value) => {
            !matches!(value.value, Value::HexStringLiteral(_) | Value::SingleQuotedByteStringLiteral(_))
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            matches!(&**expr, Expr::Value(value) if matches!(value.value, Value::Number(..)))
        }
        Expr::Nested(inner) => is_constant(inner),
        Expr::Cast { expr, format: None, .. } => is_constant(expr),
        Expr::Interval(Interval {
            value,
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }) => {
            matches!(&**value, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
        }
        _ => false,
    }
}

fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => strip(inner),
        other => other,
    }
}

/// The type of an encrypted column behind a cast that changes none of its values; `None` if it may change some.
fn unchanged(column: &Type, target: &TypeName) -> Option<Type> {
    let oid = target.oid.filter(|_| !target.is_array && target.modifier == Modifier::None)?;
    match (&column.base, oid) {
        (Base::Text | Base::Varchar, typename::TEXT) => Some(Type { base: Base::Text, modifier: -1 }),
        (Base::Varchar, typename::VARCHAR) => Some(column.clone()),
        (Base::Text, typename::VARCHAR) => Some(Type { base: Base::Varchar, modifier: -1 }),
        (base, oid) => (base.oid() == oid && column.modifier == -1).then(|| column.clone()),
    }
}

/// Words without quotes that are values and not columns.
fn is_value_word(word: &str) -> bool {
    matches!(
        word,
        "current_catalog"
            | "current_date"
            | "current_role"
            | "current_schema"
            | "current_time"
            | "current_timestamp"
            | "current_user"
            | "localtime"
            | "localtimestamp"
            | "session_user"
            | "user"
    )
}

/// Key words that name no column without quotes, beside those that are values. The parser takes some of them for
/// names where PostgreSQL reads another statement.
///
/// <https://www.postgresql.org/docs/current/sql-keywords-appendix.html>
const RESERVED: [&str; 67] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// Functions of PostgreSQL's own that change nothing, so that a SELECT that calls them may be answered by an
/// error at any row.
fn changes_nothing(function: &str) -> bool {
    const NAMES: [&str; 78] = [
        "abs",
        "age",
        "any_value",
        "array",
        "array_agg",
        "array_length",
        "array_lower",
        "array_ndims",
        "array_to_string",
        "array_upper",
        "avg",
        "bool_and",
        "bool_or",
        "btrim",
        "cardinality",
        "ceil",
        "ceiling",
        "char_length",
        "coalesce",
        "concat",
        "concat_ws",
        "count",
        "cume_dist",
        "current_catalog",
        "current_date",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "date_part",
        "date_trunc",
        "dense_rank",
        "every",
        "exp",
        "extract",
        "first_value",
        "floor",
        "format",
        "generate_series",
        "greatest",
        "initcap",
        "json_agg",
        "json_build_object",
        "jsonb_agg",
        "jsonb_build_object",
        "lag",
        "last_value",
        "lead",
        "least",
        "left",
        "length",
        "localtime",
        "localtimestamp",
        "lower",
        "lpad",
        "ltrim",
        "max",
        "md5",
        "min",
        "mod",
        "now",
        "nth_value",
        "ntile",
        "nullif",
        "num_nonnulls",
        "num_nulls",
        "percent_rank",
        "power",
        "rank",
        "replace",
        "right",
        "round",
        "row",
        "row_number",
        "string_agg",
        "sum",
        "to_char",
        "unnest",
    ];
    NAMES.binary_search(&function).is_ok()
        || matches!(function, "upper" | "trunc" | "substring" | "trim" | "version")
}
