//! Expressions.

mod column;
mod constant;
mod function;

pub(super) use constant::{is_constant, strip};
pub(super) use function::argument;
use sqlparser::ast::{
    Array, BinaryOperator, CaseWhen, Expr, Function, FunctionArgExpr, FunctionArguments, InTarget, Interval,
    Query, UnaryOperator,
};

use super::Place;
use super::analysis::Analyzer;
use super::refusal::Reason;
use super::scope::Env;
use super::types::{Meeting, Ty};
use crate::datum::Base;

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
            self.truth(expr, env, construct);
        }
    }

    /// A boolean that decides something. An encrypted one is compared with the sealed true.
    pub(in crate::sql) fn truth(&mut self, expr: &Expr, env: &Env<'_>, construct: &str) {
        let ty = self.expr(expr, env);
        if let Ty::Sealed(class) = self.inference.resolve(&ty)
            && class.ty.base == Base::Bool
            && let Some(bytes) = self.expr_tokens(expr).and_then(|tokens| self.bytes(&tokens))
        {
            self.comparable(&ty, Meeting::Equality, construct);
            self.truths.push((bytes, class));
            return;
        }
        self.plain(&ty, construct);
    }

    fn truths<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        env: &Env<'_>,
        construct: &str,
    ) -> Ty {
        for expr in exprs {
            self.truth(expr, env, construct);
        }
        Ty::Plain
    }

    fn compare(&mut self, left: &Expr, right: &Expr, env: &Env<'_>, how: Meeting, construct: &str) -> Ty {
        let first = self.constants.len();
        let are_constants = is_constant(left) && is_constant(right);
        let left = self.expr(left, env);
        let at = self.at;
        let right = self.expr(right, env);
        if are_constants {
            self.constants.iter_mut().skip(first).for_each(|constant| constant.is_condition = true);
        }
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
                self.null_test(inner, env);
                Ty::Plain
            }
            Expr::IsTrue(inner) | Expr::IsNotTrue(inner) => self.truths([&**inner], env, "IS TRUE"),
            Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => self.truths([&**inner], env, "IS FALSE"),
            Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => self.truths([&**inner], env, "IS UNKNOWN"),
            Expr::IsDistinctFrom(left, right) => {
                self.compare(left, right, env, Meeting::Equality, "IS DISTINCT FROM")
            }
            Expr::IsNotDistinctFrom(left, right) => {
                self.compare(left, right, env, Meeting::Equality, "IS NOT DISTINCT FROM")
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, env),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.truths([&**expr], env, "NOT"),
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
                sets.iter().flatten().for_each(|expr| self.grouping_set(expr, env));
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

    fn null_test(&mut self, expr: &Expr, env: &Env<'_>) {
        let (first, known) = (self.constants.len(), self.parameters.len());
        self.expr(expr, env);
        let Some(constant) = self.constants.get_mut(first).filter(|_| is_constant(expr)) else { return };
        constant.is_null_test = true;
        let is_untyped = constant.casts.is_empty() && !self.in_assignment;
        if let Some(number) = constant.kind.parameter()
            && is_untyped
            && self.parameters.len() > known
            && self.declared_type(number).is_none()
        {
            self.untyped.push(number);
        }
    }

    /// An expression in GROUPING SETS, where ROLLUP and CUBE look like functions.
    fn grouping_set(&mut self, expr: &Expr, env: &Env<'_>) {
        if let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr
            && matches!(name.to_string().as_str(), "rollup" | "cube" | "ROLLUP" | "CUBE")
        {
            for arg in &list.args {
                match argument(arg) {
                    FunctionArgExpr::Expr(expr) => self.grouping_set(expr, env),
                    FunctionArgExpr::QualifiedWildcard(_)
                    | FunctionArgExpr::Wildcard
                    | FunctionArgExpr::WildcardWithOptions(_) => self.not_understood("* as an argument"),
                }
            }
            return;
        }
        let ty = self.expr(expr, env);
        self.comparable(&ty, Meeting::Equality, "GROUP BY");
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, env: &Env<'_>) -> Ty {
        match comparison(op) {
            Some(how) => {
                let ty = self.compare(left, right, env, how, &format!("operator {op}"));
                if !is_constant(left) && is_constant(right) {
                    self.place_last(equality(op));
                }
                ty
            }
            None => match op {
                BinaryOperator::And => self.truths([left, right], env, "AND"),
                BinaryOperator::Or => self.truths([left, right], env, "OR"),
                op => self.plain_exprs([left, right], env, &format!("operator {op}")),
            },
        }
    }

    fn membership(&mut self, expr: &Expr, target: &InTarget, env: &Env<'_>) -> Ty {
        let start = self.constants.len();
        let left = self.expr(expr, env);
        let at = self.at;
        match target {
            InTarget::List(items) => {
                let first = self.constants.len();
                for item in items {
                    let is_direct = is_constant(item) && !is_constant(expr);
                    let item = self.expr(item, env);
                    if is_direct {
                        self.place_last(Place::Listed);
                    }
                    self.at = if self.inference.sealed_in(&left).is_some() { at } else { self.at };
                    self.meet(&left, &item, Meeting::Equality, "IN");
                }
                if is_constant(expr) {
                    self.constants.iter_mut().skip(start).for_each(|constant| constant.is_condition = true);
                }
                self.lists.push((first..self.constants.len(), left.clone()));
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
                let first = self.constants.len();
                let place = if is_constant(array) { Some(Place::Argument) } else { place_of_elements(array) };
                let array = self.expr(array, env);
                if let (Some(place), (Place::Any, "ANY") | (Place::All, "ALL")) =
                    (place, (equality(op), word))
                {
                    let new = self.constants.get_mut(first..).unwrap_or_default();
                    new.iter_mut().for_each(|constant| constant.place = place);
                }
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
        // Elements that are known by now are those of a column: `= ANY (ARRAY(SELECT email ...))` is a join.
        let right = match self.inference.resolve(&right) {
            known @ Ty::Sealed(_) => known,
            Ty::Plain | Ty::Var(_) | Ty::Array(_) | Ty::Row(_) => right,
        };
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

    /// Says where the constant stands that was met last.
    fn place_last(&mut self, place: Place) {
        if let Some(constant) = self.constants.last_mut() {
            constant.place = place;
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
                None => self.truth(condition, env, "CASE"),
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
}

/// Where a constant stands behind a comparison operator.
fn equality(op: &BinaryOperator) -> Place {
    let named = |name: &str| match name {
        "=" => Place::Any,
        "<>" | "!=" => Place::All,
        _ => Place::Alone,
    };
    match op {
        BinaryOperator::Eq => Place::Any,
        BinaryOperator::NotEq => Place::All,
        BinaryOperator::PGCustomBinaryOperator(parts) => {
            parts.last().map_or(Place::Alone, |name| named(name))
        }
        _ => Place::Alone,
    }
}

/// Where the elements of an array constructor stand that a column is compared with, if all of them are constants.
fn place_of_elements(array: &Expr) -> Option<Place> {
    match array {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => place_of_elements(inner),
        Expr::Array(Array { elem, named: true }) => elem.iter().all(is_constant).then_some(Place::Listed),
        _ => None,
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
