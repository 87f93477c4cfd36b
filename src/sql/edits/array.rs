//! `ARRAY[...]` of literals on its way into a column whose arrays are encrypted whole: one literal of it.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{Array, Expr};

use crate::catalog::Class;
use crate::datum::{Base, Oid, Purpose};
use crate::sql::analysis::{Analyzer, Cast, Constant, ConstantKind};
use crate::sql::expr::is_constant;
use crate::sql::refusal::Reason;
use crate::sql::typename::{self, BOOL, INT2, INT4, INT8, NUMERIC, TEXT, VARCHAR};
use crate::sql::{Edit, Place, Replacement, Use, edits::storage_type};

impl Analyzer<'_> {
    /// Stores an array of literals in a column of encrypted arrays; false if this is something else.
    pub(in crate::sql) fn store_array(&mut self, class: &Arc<Class>, value: &Expr) -> bool {
        if !matches!(class.ty.base, Base::Array(_)) || !is_literal_array(value) {
            return false;
        }
        let refused =
            |target: &str| Reason::CastOfConstant { column: class.column.clone(), target: target.to_owned() };
        let before = self.constants.len();
        let mut text = String::new();
        let Some((tokens, casts)) = self.array_literal(value, &mut text) else {
            self.not_understood("this array");
            return true;
        };
        let elements = self.constants.split_off(before.min(self.constants.len()));
        let element = match self.element_type(&elements, &casts) {
            Ok(oid) => oid,
            Err(target) => {
                self.refuse(refused(&target));
                return true;
            }
        };
        let Some(types) = self.length_casts(&casts, class) else {
            self.refuse(refused("this type"));
            return true;
        };
        let usage = Use {
            class: Arc::clone(class),
            purpose: Purpose::Store,
            source: typename::array_of(element),
            casts: types,
            is_conditional: false,
            place: Place::Alone,
        };
        let Some(range) = self.bytes(&tokens) else { return true };
        self.edits.push(Edit { range, replacement: Replacement::Sealed { usage, value: text } });
        for cast in casts {
            if let Some(range) = self.bytes(&cast.target.tokens) {
                let storage = storage_type(class.storage).to_owned();
                self.edits.push(Edit { range, replacement: Replacement::Text(storage) });
            }
        }
        true
    }

    /// Appends the text form of an array; gives the constructor's tokens and the casts of it.
    fn array_literal(&mut self, expr: &Expr, text: &mut String) -> Option<(Range<usize>, Vec<Cast>)> {
        match expr {
            Expr::Nested(inner) => {
                let (tokens, casts) = self.array_literal(inner, text)?;
                let open = tokens.start.checked_sub(1);
                let closed = self.is_symbol(open, b'(') && self.is_symbol(Some(tokens.end), b')');
                (closed && casts.is_empty()).then_some((tokens.start - 1..tokens.end + 1, casts))
            }
            Expr::Cast { kind, expr, .. } => {
                let (tokens, mut casts) = self.array_literal(expr, text)?;
                let end = casts.last().map_or(tokens.end, |cast: &Cast| cast.target.tokens.end);
                let (target, _) = self.cast_target(kind, tokens.start..end)?;
                casts.push(Cast { target, is_prefix: false, is_outer: false });
                Some((tokens, casts))
            }
            Expr::Array(Array { elem, named: _ }) => {
                let before = self.constants.len();
                text.push('{');
                for (position, element) in elem.iter().enumerate() {
                    if position > 0 {
                        text.push(',');
                    }
                    if let Expr::Array(_) = element {
                        self.array_literal(element, text)?;
                    } else {
                        let index = self.constant_index(element)?;
                        let constant = self.constants.get(index)?;
                        text.push_str(&element_text(constant.kind, &self.value(constant)));
                    }
                }
                text.push('}');
                let depth = depth(expr);
                let (first, last) = (self.constants.get(before)?, self.constants.last()?);
                let (mut start, mut end) = (first.tokens.start, last.tokens.end);
                for _ in 0..depth {
                    start = start.checked_sub(1).filter(|open| self.is_symbol(Some(*open), b'['))?;
                    if self.is_word(start.checked_sub(1), "array") {
                        start -= 1;
                    }
                    end = self.is_symbol(Some(end), b']').then_some(end + 1)?;
                }
                Some((start..end, Vec::new()))
            }
            _ => None,
        }
    }

    /// The type of an array's elements as PostgreSQL would find it, if each of them has the text form of that type.
    fn element_type(&self, elements: &[Constant], casts: &[Cast]) -> Result<Oid, String> {
        let other = || "a type of which it is not".to_owned();
        let mut common: Option<Oid> = None;
        for written in self.written(elements, &super::links::Links::new()) {
            let written = written?;
            if !written.changes_nothing() {
                return Err(other());
            }
            common = match (common, written.ty) {
                (known, None) => known,
                (None, known) => known,
                (Some(a), Some(b)) if a == b => Some(a),
                (Some(a @ (INT4 | INT8)), Some(b @ (INT4 | INT8))) => Some(a.min(b)),
                (Some(NUMERIC | INT4 | INT8), Some(NUMERIC | INT4 | INT8)) => Some(NUMERIC),
                (Some(_), Some(_)) => return Err(other()),
            };
        }
        let mut oid = common;
        for cast in casts {
            let target = cast.target.oid.filter(|_| cast.target.is_array).ok_or_else(|| self.shown(cast))?;
            let is_text = |oid: Oid| matches!(oid, TEXT | VARCHAR);
            oid = match oid {
                // A string is read as the type is.
                None => Some(target),
                Some(from) if from == target || (is_text(from) && is_text(target)) => Some(target),
                Some(INT2 | INT4 | INT8)
                    if matches!(target, INT2 | INT4 | INT8 | NUMERIC) || is_text(target) =>
                {
                    Some(target)
                }
                Some(_) => return Err(self.shown(cast)),
            };
        }
        match oid {
            // What PostgreSQL prints for true is no literal of another type.
            Some(BOOL) if common != Some(BOOL) => Err(other()),
            oid => Ok(oid.unwrap_or(TEXT)),
        }
    }
}

/// Whether an expression is an array constructor with at least one element, all of them literals, perhaps cast.
fn is_literal_array(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, format: None, .. } => is_literal_array(inner),
        Expr::Array(Array { elem, named: true }) => elements_are_literals(elem),
        _ => false,
    }
}

fn elements_are_literals(elements: &[Expr]) -> bool {
    !elements.is_empty()
        && elements.iter().all(|element| match element {
            Expr::Array(Array { elem, named: _ }) => elements_are_literals(elem),
            element => is_constant(element) && !is_parameter(element),
        })
}

fn is_parameter(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_parameter(inner),
        Expr::Value(value) => matches!(value.value, sqlparser::ast::Value::Placeholder(_)),
        _ => false,
    }
}

fn depth(expr: &Expr) -> usize {
    match expr {
        Expr::Array(Array { elem, .. }) => 1 + elem.first().map_or(0, depth),
        _ => 0,
    }
}

fn element_text(kind: ConstantKind, value: &str) -> String {
    match kind {
        ConstantKind::Null => "NULL".to_owned(),
        ConstantKind::String => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        ConstantKind::Number | ConstantKind::Bool | ConstantKind::Parameter(_) => value.to_owned(),
    }
}
