//! Columns, whole rows, and what is cast or taken out of them.

use std::sync::Arc;

use sqlparser::ast::{AccessExpr, Array, CastKind, DataType, Expr, Function, Ident, Subscript};
use sqlparser::tokenizer::Span;

use super::constant::strip;
use crate::catalog::{Class, Storage};
use crate::datum::{Base, Type};
use crate::sql::analysis::{Analyzer, Cast};
use crate::sql::edits::Link;
use crate::sql::lex::{self, Parsed};
use crate::sql::refusal::Reason;
use crate::sql::scope::{Columns, Env, Found, Scope};
use crate::sql::typename::{self, Modifier, TypeName};
use crate::sql::types::{Ty, bare};

/// Modifiers of lengths count the header of a variable-length value.
const VARHDRSZ: i32 = 4;

impl Analyzer<'_> {
    pub(super) fn identifier(&mut self, ident: &Ident, env: &Env<'_>) -> Ty {
        self.look_at(ident);
        let name = &ident.value;
        if ident.quote_style.is_none() && is_value_word(name) {
            return Ty::Plain;
        }
        // A key word since 16, and a column's name before.
        let is_system_user = name == "system_user" && ident.quote_style.is_none();
        // The parser takes some key words for names where PostgreSQL reads another statement.
        if ident.quote_style.is_none() && !is_system_user && lex::is_reserved(name) {
            self.not_understood("a key word in the place of a column");
            return Ty::Plain;
        }
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

    pub(super) fn qualified_column(&mut self, parts: &[Ident], env: &Env<'_>) -> Ty {
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
    pub(in crate::sql) fn qualifier<'s>(
        &self,
        scope: &'s Scope<'_>,
        parts: &[Ident],
    ) -> Option<&'s crate::sql::scope::Entry> {
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
    pub(in crate::sql) fn whole_row(&mut self, name: &str, columns: &Columns) -> Ty {
        if columns.list.iter().any(|column| self.inference.sealed_in(&column.ty).is_some()) {
            self.refuse(Reason::WholeRow { relation: name.to_owned() });
        }
        for column in &columns.list {
            self.plain(&column.ty, "a row as one value");
        }
        Ty::Plain
    }

    /// A cast of what is not a constant.
    pub(super) fn cast(&mut self, kind: &CastKind, expr: &Expr, data_type: &DataType, env: &Env<'_>) -> Ty {
        let before = self.constants.len();
        let inner = self.expr(expr, env);
        if let Expr::Array(_) = strip(expr)
            && let Ty::Array(element) = &inner
            && let Some((first, last)) = self.array_tokens(expr)
            && let Some((target, _)) = self.cast_target(kind, first..last)
        {
            if target.is_array {
                // Elements that are constants have their types by this cast.
                for constant in self.constants.iter_mut().skip(before) {
                    if first <= constant.tokens.start
                        && constant.tokens.end <= last
                        && constant.casts.is_empty()
                    {
                        let target = TypeName { is_array: false, ..target.clone() };
                        constant.casts.push(Cast { target, is_prefix: false, is_outer: true });
                    }
                }
                self.later_casts
                    .push((Ty::clone(element), Cast { target, is_prefix: false, is_outer: false }));
                return inner;
            }
            self.plain(&inner, "this cast");
            return Ty::Plain;
        }
        let resolved = self.inference.resolve(&inner);
        if let Ty::Var(from) = resolved
            && let Some(tokens) = self.expr_tokens(expr)
            && let Some((target, _)) = self.cast_target(kind, tokens)
            && !target.is_array
        {
            let result = self.inference.fresh();
            if let Ty::Var(to) = result {
                if let Some(oid) = target.oid {
                    self.inference.note_type(to, oid);
                }
                let cast = Cast { target, is_prefix: false, is_outer: false };
                self.links.push(Link { from, to, cast });
            }
            return result;
        }
        if let Ty::Sealed(class) = &resolved
            && let Some(tokens) = self.expr_tokens(expr)
            && let Some((target, _)) = self.cast_target(kind, tokens)
            && let Some(ty) = self.unchanged(class, &target)
        {
            // Text stays text: the cast can stay too, as it does in views. One with a length would cut what is stored.
            if !(class.storage == Storage::Text
                && matches!(target.oid, Some(typename::TEXT | typename::VARCHAR))
                && target.modifier == Modifier::None)
            {
                self.later_casts.push((resolved.clone(), Cast { target, is_prefix: false, is_outer: false }));
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

    /// The type of an encrypted column behind a cast that changes none of its values; `None` if it may change some.
    pub(in crate::sql) fn unchanged(&self, class: &Class, target: &TypeName) -> Option<Type> {
        let column = &class.ty;
        let oid = target.oid.filter(|_| !target.is_array)?;
        let length = column.modifier - VARHDRSZ;
        match (&column.base, oid, target.modifier) {
            (Base::Text | Base::Varchar | Base::Enum(_), typename::TEXT, Modifier::None) => {
                Some(Type::plain(Base::Text))
            }
            (Base::Varchar, typename::VARCHAR, Modifier::None) => Some(Type::plain(Base::Varchar)),
            (Base::Text | Base::Enum(_), typename::VARCHAR, Modifier::None) => {
                Some(Type::plain(Base::Varchar))
            }
            (Base::Varchar, typename::VARCHAR, Modifier::Length(wider)) if column.modifier != -1 => {
                let wider = i32::try_from(wider).ok().filter(|wider| *wider >= length)?;
                Some(Type { modifier: wider + VARHDRSZ, ..column.clone() })
            }
            (Base::Int2 | Base::Int4, typename::INT8, Modifier::None) => Some(Type::plain(Base::Int8)),
            (Base::Int2, typename::INT4, Modifier::None) => Some(Type::plain(Base::Int4)),
            (Base::Float4, typename::FLOAT8, Modifier::None) => Some(Type::plain(Base::Float8)),
            (base, oid, Modifier::None) => {
                (base.oid() == oid && column.modifier == -1).then(|| column.clone())
            }
            (_, _, Modifier::Length(_) | Modifier::Other) => None,
        }
    }

    /// The tokens of a column's name, a CASE or a call like that of COALESCE, parentheses and casts around it
    /// included.
    pub(in crate::sql) fn expr_tokens(&self, expr: &Expr) -> Option<std::ops::Range<usize>> {
        let index = |span: Span| {
            let range = Parsed::range(span)?;
            self.parsed.lexemes().binary_search_by_key(&range.start, |lexeme| lexeme.start).ok()
        };
        let (first, last) = match expr {
            Expr::Nested(inner) => {
                let tokens = self.expr_tokens(inner)?;
                let open = tokens.start.checked_sub(1);
                let closed = self.is_symbol(open, b'(') && self.is_symbol(Some(tokens.end), b')');
                return closed.then_some(tokens.start - 1..tokens.end + 1);
            }
            Expr::Cast { kind, expr, .. } => {
                let tokens = self.expr_tokens(expr)?;
                return self.cast_tokens(kind, &tokens).map(|(_, tokens)| tokens);
            }
            Expr::Identifier(ident) => (index(ident.span)?, index(ident.span)?),
            Expr::CompoundIdentifier(parts) => (index(parts.first()?.span)?, index(parts.last()?.span)?),
            Expr::Case { case_token, end_token, .. } => {
                let (first, last) = (index(case_token.0.span)?, index(end_token.0.span)?);
                if !self.is_word(Some(first), "case") || !self.is_word(Some(last), "end") {
                    return None;
                }
                (first, last)
            }
            Expr::Function(Function { name, filter: None, over: None, within_group, .. })
                if within_group.is_empty() =>
            {
                let (first, last) = (name.0.first()?.as_ident()?, name.0.last()?.as_ident()?);
                (index(first.span)?, self.closing(index(last.span)? + 1)?)
            }
            _ => return None,
        };
        Some(first..last + 1)
    }

    /// The parenthesis that closes the one at a token.
    fn closing(&self, open: usize) -> Option<usize> {
        if !self.is_symbol(Some(open), b'(') {
            return None;
        }
        let mut depth = 0usize;
        for (index, lexeme) in self.parsed.lexemes().iter().enumerate().skip(open) {
            if lexeme.is_symbol(b'(') {
                depth += 1;
            } else if lexeme.is_symbol(b')') {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index);
                }
            }
        }
        None
    }

    /// The tokens of an array constructor, parentheses around it included.
    pub(super) fn array_tokens(&self, expr: &Expr) -> Option<(usize, usize)> {
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

    pub(super) fn access(&mut self, root: &Expr, chain: &[AccessExpr], env: &Env<'_>) -> Ty {
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
}

/// Words without quotes that are values and not columns.
pub(super) fn is_value_word(word: &str) -> bool {
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
