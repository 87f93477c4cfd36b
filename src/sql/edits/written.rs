//! What a statement makes of a constant before it meets a column: the type of its token, and its casts.

use std::collections::{HashMap, HashSet};

use crate::catalog::Class;
use crate::datum::{self, Base, Oid, Type};
use crate::sql::analysis::{Analyzer, Cast, Constant, ConstantKind};
use crate::sql::edits::links::Links;
use crate::sql::lex::{self, Number};
use crate::sql::typename::{
    self, BOOL, BPCHAR, DATE, FLOAT4, FLOAT8, INT2, INT4, INT8, Modifier, NUMERIC, TEXT, TIMESTAMP,
    TIMESTAMPTZ, VARCHAR,
};
use crate::sql::types::{Ty, Var};

/// What a client declares that leaves the type open.
const UNKNOWN: Oid = 705;

/// The type of a constant as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// The type that its value is read as; `None` if nothing says.
    read_as: Option<Oid>,
    /// The type that it has after its casts.
    pub(super) ty: Option<Oid>,
    /// The same before casts of what it makes with others.
    pub(super) own: Option<Oid>,
    casts: Vec<Cast>,
    /// Whether some of the casts are of an expression that it is in.
    pub(super) is_linked: bool,
    /// Whether one of the casts may change the value, or PostgreSQL would describe another type than the last.
    changes: bool,
}

/// As it is written, or the cast that cannot be carried out.
pub(super) type Outcome = Result<Written, String>;

impl Written {
    /// The type that the value is read as, if its casts are evaluated, else the one that it has.
    pub(super) fn source(&self) -> Option<Oid> {
        if self.changes { self.read_as } else { self.ty }
    }

    /// Whether the value is the same after its casts.
    pub(super) fn changes_nothing(&self) -> bool {
        !self.changes
    }

    fn settle(&mut self, oid: Oid) {
        if self.ty.is_none() {
            (self.read_as, self.ty, self.own) = (Some(oid), Some(oid), Some(oid));
        }
    }
}

impl Analyzer<'_> {
    /// The types that statements give to their constants.
    pub(super) fn written(&self, constants: &[Constant], links: &Links) -> Vec<Outcome> {
        let mut all: Vec<Outcome> = constants.iter().map(|constant| self.own(constant)).collect();
        // In the output of a subquery, what is unknown takes the type of what it stands with, else text.
        let mut of_group = self.group_types(constants, &all);
        for link in links.values().flatten() {
            if let Some(target) = link.cast.target.oid {
                of_group.entry(self.inference.root(link.to)).or_insert(target);
            }
        }
        self.cast_later(constants, &mut all, links, &of_group);
        let has_cast: HashSet<usize> = constants
            .iter()
            .filter(|constant| !constant.casts.is_empty())
            .filter_map(|constant| constant.kind.parameter())
            .collect();
        for (constant, written) in constants.iter().zip(&mut all) {
            let (Ty::Var(var), Ok(written)) = (&constant.ty, written) else { continue };
            let known = of_group.get(&self.inference.root(*var)).copied();
            if self.inference.is_text(*var) && constant.kind != ConstantKind::Null {
                written.settle(known.unwrap_or(TEXT));
            } else if let (Some(number), Some(known)) = (constant.kind.parameter(), known)
                // Another use of the same parameter has a cast.
                && has_cast.contains(&number)
            {
                written.settle(known);
            }
        }
        all
    }

    /// The types that are to be evaluated one after the other, for elements of an array if `is_array`; `None` for one
    /// that is not known here.
    pub(super) fn cast_types(&self, written: &Written, class: &Class, is_array: bool) -> Option<Vec<Type>> {
        if !written.changes {
            return Some(Vec::new());
        }
        let types = written.casts.iter().map(|cast| {
            let element = self.cast_type(cast, class)?;
            Some(match is_array {
                true => Type { base: Base::Array(Box::new(element.base)), ..element },
                false => element,
            })
        });
        types.collect()
    }

    /// Casts of an array constructor that may cut its elements, as types of the array.
    pub(super) fn length_casts(&self, casts: &[Cast], class: &Class) -> Option<Vec<Type>> {
        let limits = casts.iter().filter(|cast| cast.target.modifier != Modifier::None);
        let types = limits.map(|cast| {
            let element = self.cast_type(cast, class)?;
            Some(Type { base: Base::Array(Box::new(element.base)), ..element })
        });
        types.collect()
    }

    /// The type of a cast (of an array its element).
    fn cast_type(&self, cast: &Cast, class: &Class) -> Option<Type> {
        let oid = cast.target.oid?;
        let own = class.ty.element().unwrap_or_else(|| class.ty.clone());
        match cast.target.modifier {
            Modifier::None if own.oid() == oid => Some(Type::plain(own.base)),
            Modifier::None | Modifier::Length(_) | Modifier::Other => self.modified_type(cast, oid),
        }
    }

    /// A built-in type with the modifier that a cast gives it.
    pub(super) fn modified_type(&self, cast: &Cast, oid: Oid) -> Option<Type> {
        if cast.target.modifier == Modifier::None {
            return Type::from_oid(oid, -1);
        }
        let written = self.text.get(self.bytes(&cast.target.tokens)?)?;
        let Ok(datum::TypeName::Builtin(ty)) = Type::parse(written) else { return None };
        let ty = ty.element().unwrap_or(ty);
        (ty.oid() == oid).then_some(ty)
    }

    /// The type that each group of constants takes, of those that are known in it.
    fn group_types(&self, constants: &[Constant], all: &[Outcome]) -> HashMap<Var, Oid> {
        let mut types = HashMap::new();
        for (constant, written) in constants.iter().zip(all) {
            if let (Ty::Var(var), Ok(Written { ty: Some(ty), .. })) = (&constant.ty, written) {
                types
                    .entry(self.inference.root(*var))
                    .and_modify(|known| {
                        if widens(*known, *ty) {
                            *known = *ty;
                        }
                    })
                    .or_insert(*ty);
            }
        }
        types
    }

    /// A cast of what constants make is one of each of them. What was unknown is text by then, so a string is read
    /// as the type is, and the server would say that a parameter is text.
    fn cast_later(
        &self,
        constants: &[Constant],
        all: &mut [Outcome],
        links: &Links,
        of_group: &HashMap<Var, Oid>,
    ) {
        if links.is_empty() {
            return;
        }
        for (constant, outcome) in constants.iter().zip(all) {
            let Ty::Var(var) = &constant.ty else { continue };
            if constant.kind == ConstantKind::Null {
                continue;
            }
            let linked = match self.linked(*var, links) {
                Ok(linked) => linked,
                Err(shown) => {
                    *outcome = Err(shown);
                    continue;
                }
            };
            let known = of_group.get(&self.inference.root(*var));
            for link in linked {
                let Ok(written) = outcome else { break };
                written.is_linked = true;
                match known {
                    Some(known) => written.settle(*known),
                    None if constant.kind != ConstantKind::String => written.settle(TEXT),
                    None => {}
                }
                if let Err(shown) = self.add_cast(written, constant, &link.cast) {
                    *outcome = Err(shown);
                }
            }
        }
    }

    /// The type that a constant's token and its own casts give it.
    fn own(&self, constant: &Constant) -> Outcome {
        let oid = match constant.kind {
            ConstantKind::Bool => Some(BOOL),
            ConstantKind::Number => Some(self.number_type(constant).oid()),
            ConstantKind::String if constant.is_national() => Some(BPCHAR),
            ConstantKind::Parameter(number) => self.declared_type(number),
            ConstantKind::String | ConstantKind::Null => None,
        };
        let mut written = Written { read_as: oid, ty: oid, ..Written::default() };
        for cast in &constant.casts {
            self.add_cast(&mut written, constant, cast)?;
        }
        written.own = written.ty;
        Ok(written)
    }

    /// The type that the client declared for a parameter; for an array that of its elements.
    pub(in crate::sql) fn declared_type(&self, number: usize) -> Option<Oid> {
        let oid = self.declared_oid(number)?;
        Some(datum::element_of(oid).unwrap_or(oid))
    }

    /// The type that the client declared for a parameter.
    pub(super) fn declared_oid(&self, number: usize) -> Option<Oid> {
        let oid = *self.declared.get(number.checked_sub(1)?)?;
        (!matches!(oid, 0 | UNKNOWN)).then_some(oid)
    }

    fn add_cast(&self, written: &mut Written, constant: &Constant, cast: &Cast) -> Result<(), String> {
        let target = cast.target.oid.ok_or_else(|| self.shown(cast))?;
        let is_text = |oid: Oid| matches!(oid, TEXT | VARCHAR);
        let fits = |length: u32| {
            constant.is_read.set(true);
            let characters =
                lex::string_value(&constant.lexeme, self.text).map(|value| value.chars().count());
            characters.is_some_and(|characters| characters <= length as usize)
        };
        let keeps_length = match cast.target.modifier {
            Modifier::None => true,
            Modifier::Length(length) => constant.kind == ConstantKind::String && fits(length),
            Modifier::Other => false,
        };
        let keeps_value = match (written.ty, self.number(constant)) {
            (None, _) => true,
            (Some(from), _) if from == target || (is_text(from) && is_text(target)) => true,
            // A string that is cast to text first is read as the type is.
            (Some(from), None) if is_text(from) => constant.kind == ConstantKind::String,
            (Some(INT2 | INT4 | INT8), Some(_)) => {
                matches!(target, INT2 | INT4 | INT8 | NUMERIC | FLOAT4 | FLOAT8) || is_text(target)
            }
            (Some(NUMERIC), Some(Number::Numeric(_))) => matches!(target, FLOAT4 | FLOAT8),
            (Some(BOOL), None) if constant.kind == ConstantKind::Bool => is_text(target),
            (Some(_), _) => false,
        };
        written.read_as = written.read_as.or(Some(target));
        written.ty = Some(target);
        written.changes |= !(keeps_length && keeps_value) && constant.kind != ConstantKind::Null;
        written.casts.push(cast.clone());
        Ok(())
    }

    /// The type that PostgreSQL gives a number.
    pub(super) fn number_type(&self, constant: &Constant) -> Base {
        match self.number(constant) {
            Some(Number::Int4(_)) => Base::Int4,
            Some(Number::Int8(_)) => Base::Int8,
            Some(Number::Numeric(_)) | None => Base::Numeric,
        }
    }

    fn number(&self, constant: &Constant) -> Option<Number> {
        match constant.kind {
            ConstantKind::Number => {
                lex::number(&constant.lexeme, self.text, constant.range.start < constant.lexeme.start)
            }
            ConstantKind::String | ConstantKind::Bool | ConstantKind::Null | ConstantKind::Parameter(_) => {
                None
            }
        }
    }

    /// A cast's type as it stands in the statement.
    pub(super) fn shown(&self, cast: &Cast) -> String {
        let bytes = self.bytes(&cast.target.tokens);
        bytes.and_then(|bytes| self.text.get(bytes)).unwrap_or("another type").to_owned()
    }

    /// The name of a cast's type as pg_catalog has it, or as it is written.
    pub(super) fn type_name(&self, cast: &Cast) -> Option<String> {
        let own = cast.target.oid.and_then(typename::name_of).map(str::to_owned);
        own.or_else(|| {
            let written = self.parsed.lexemes().get(cast.target.tokens.clone())?;
            let last = written.iter().rev().find(|lexeme| lexeme.is_identifier())?;
            lex::identifier(last, self.text)
        })
    }
}

/// Whether a type gives way to another one that stands behind it in VALUES, CASE or a set operation: it is converted to
/// that one implicitly, and not the other way round.
///
/// <https://www.postgresql.org/docs/current/typeconv-union-case.html>
fn widens(known: Oid, next: Oid) -> bool {
    const LADDERS: [&[Oid]; 2] =
        [&[INT2, INT4, INT8, NUMERIC, FLOAT4, FLOAT8], &[DATE, TIMESTAMP, TIMESTAMPTZ]];
    let rung = |ladder: &[Oid], oid| ladder.iter().position(|rung| *rung == oid);
    LADDERS.iter().any(|ladder| rung(ladder, known).is_some_and(|from| rung(ladder, next) > Some(from)))
}
