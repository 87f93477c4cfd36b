//! Literals and parameters with their signs and casts.

use sqlparser::ast::{CastKind, Expr, Interval, TypedString, UnaryOperator, Value};

use crate::sql::analysis::{Analyzer, Cast, ConstantKind};
use crate::sql::lex::LexemeKind;
use crate::sql::typename::{self, TypeName};
use crate::sql::types::Ty;

impl Analyzer<'_> {
    /// Expressions that need no table: constants, their signs, parentheses and casts.
    pub(super) fn constant_expr(&mut self, expr: &Expr) -> Option<Ty> {
        let before = self.constants.len();
        let constant = self.constant_index(expr)?;
        debug_assert!(constant >= before, "a constant is made where it stands");
        self.note_type(constant);
        self.constants.get(constant).map(|constant| constant.ty.clone())
    }

    fn note_type(&mut self, index: usize) {
        let Some(constant) = self.constants.get(index) else { return };
        let declared = constant.kind.parameter().and_then(|number| self.declared_type(number));
        let oid = match (constant.casts.last(), constant.kind) {
            (Some(cast), _) => cast.target.oid,
            (None, ConstantKind::Number) => Some(typename::NUMERIC),
            (None, ConstantKind::Bool) => Some(typename::BOOL),
            (None, ConstantKind::String | ConstantKind::Null | ConstantKind::Parameter(_)) => declared,
        };
        if let (Ty::Var(var), Some(oid)) = (&constant.ty, oid) {
            self.inference.note_type(*var, oid);
        }
    }

    pub(in crate::sql) fn constant_index(&mut self, expr: &Expr) -> Option<usize> {
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
                constant_ref.casts.push(Cast { target, is_prefix: false, is_outer: false });
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
    pub(super) fn prefixed(
        &mut self,
        index: usize,
        constant: impl FnOnce(&mut Self) -> Option<usize>,
    ) -> Option<usize> {
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
        constant_ref.casts.push(Cast { target, is_prefix: true, is_outer: false });
        Some(constant)
    }

    /// The type of a cast of the expression at these tokens, and the tokens of the whole cast.
    pub(in crate::sql) fn cast_target(
        &mut self,
        kind: &CastKind,
        tokens: std::ops::Range<usize>,
    ) -> Option<(TypeName, std::ops::Range<usize>)> {
        let found = self.cast_tokens(kind, &tokens);
        match &found {
            Some((target, _)) => self.ignore(target),
            None => self.not_understood("a cast to a type that is not understood"),
        }
        found
    }

    /// The same, if it is one.
    pub(super) fn cast_tokens(
        &self,
        kind: &CastKind,
        tokens: &std::ops::Range<usize>,
    ) -> Option<(TypeName, std::ops::Range<usize>)> {
        match kind {
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
        }
    }

    pub(in crate::sql) fn type_at(&self, start: usize) -> Option<TypeName> {
        let resolve = |parts: &[String]| self.schema.type_named(parts, self.search_path);
        typename::read(self.text, self.parsed.lexemes(), start, &resolve)
    }

    pub(super) fn type_before(&self, end: usize) -> Option<TypeName> {
        let resolve = |parts: &[String]| self.schema.type_named(parts, self.search_path);
        typename::read_before(self.text, self.parsed.lexemes(), end, &resolve)
    }

    /// A type's modifiers are values of no column.
    pub(in crate::sql) fn ignore(&mut self, target: &TypeName) {
        if let Some(bytes) = self.bytes(&target.tokens) {
            self.literals.ignore(&bytes);
        }
    }
}

/// Whether an expression is a constant in the sense of [`Analyzer::constant_index`].
pub(in crate::sql) fn is_constant(expr: &Expr) -> bool {
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

pub(in crate::sql) fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => strip(inner),
        other => other,
    }
}
