//! From what is known of each constant and parameter to edits and roles.

mod array;
mod echo;
mod forms;
mod links;
mod null_test;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::forms::{each_of, one_of};
pub(super) use self::links::Link;
use self::links::Links;
use super::analysis::{Analyzer, Cast, Constant, ConstantKind};
use super::lex::{self, LexemeKind, Number};
use super::refusal::Reason;
use super::typename::{self, BOOL, TEXT, VARCHAR};
use super::types::{Ty, joins_as_constant};
use super::{Edit, OutputValue, Parameter, Place, Replacement, Use};
use crate::catalog::{Class, Storage};
use crate::datum::{self, Base, Oid, Purpose, Type};

/// What is to be done about the constants and parameters of a statement.
pub(super) struct Constants {
    /// Literals to be sealed, and casts of them and of parameters.
    pub(super) edits: Vec<Edit>,
    /// The parameters that are sealed.
    pub(super) parameters: BTreeMap<usize, Parameter>,
}

/// What a constant or parameter turned out to be.
enum Role {
    Plain,
    Value(Arc<Class>),
    Array(Arc<Class>),
}

impl Role {
    /// What only stands beside a column in the result of an expression has no length: PostgreSQL drops a length where
    /// expressions become one. (What is stored has it all the same.)
    fn unlimited(self, only_read: bool) -> Self {
        match self {
            Self::Value(class) if only_read && class.bare && class.ty.base == Base::Varchar => {
                let ty = Type { modifier: -1, ..class.ty.clone() };
                Self::Value(Arc::new(Class { ty, ..Class::clone(&class) }))
            }
            other => other,
        }
    }
}

impl Analyzer<'_> {
    /// Looks for constants that the walk has not seen; numbers in types' modifiers, and the field of EXTRACT, are
    /// no values.
    pub(super) fn finish_literals(&mut self) {
        let lexemes = self.parsed.lexemes();
        for index in 0..lexemes.len() {
            let double_colon =
                lexemes.get(index).is_some_and(|lexeme| lexeme.kind == LexemeKind::DoubleColon);
            if double_colon {
                self.ignore_modifiers(index + 1);
            } else if self.is_word(Some(index), "cast") && self.is_symbol(Some(index + 1), b'(') {
                if let Some(word) = self.last_as(index + 2) {
                    self.ignore_modifiers(word + 1);
                }
            } else if self.is_word(Some(index), "extract")
                && self.is_symbol(Some(index + 1), b'(')
                && self.is_word(Some(index + 3), "from")
                && let Some(field) = self.lexeme(index + 2)
            {
                self.literals.ignore(&field.range());
            }
        }
        self.finish_relations();
        let unvisited = self.literals.unvisited().next();
        if let Some(lexeme) = unvisited {
            self.at = Some(lexeme.start);
            self.not_understood("the place of this constant");
        }
    }

    /// Looks for protected names in the place of a relation that the walk has not seen as one: the key word before
    /// them was read as something else (`SELECT a COLLATE FROM users`, where COLLATE is an alias).
    fn finish_relations(&mut self) {
        let lexemes = self.parsed.lexemes();
        for (index, lexeme) in lexemes.iter().enumerate().filter(|(_, lexeme)| lexeme.is_identifier()) {
            let mut first = index;
            while first >= 2 && self.is_symbol(Some(first - 1), b'.') {
                first -= 2;
            }
            let before = first.checked_sub(1);
            let is_place =
                ["from", "join", "into", "update", "only"].iter().any(|word| self.is_word(before, word));
            if is_place
                && !self.is_symbol(Some(index + 1), b'.')
                && !self.relations.contains(&lexeme.start)
                && lex::identifier(lexeme, self.text).is_some_and(|name| self.schema.is_protected_name(&name))
            {
                self.at = Some(lexeme.start);
                self.not_understood("the place of this name");
                return;
            }
        }
    }

    /// The AS of the CAST whose inside starts at a token.
    fn last_as(&self, from: usize) -> Option<usize> {
        let mut depth = 0usize;
        let mut found = None;
        for index in from..self.parsed.lexemes().len() {
            if self.is_symbol(Some(index), b'(') {
                depth += 1;
            } else if self.is_symbol(Some(index), b')') {
                if depth == 0 {
                    return found;
                }
                depth -= 1;
            } else if depth == 0 && self.is_word(Some(index), "as") {
                found = Some(index);
            }
        }
        None
    }

    fn ignore_modifiers(&mut self, start: usize) {
        let Some(target) = self.type_at(start) else { return };
        let inside = self.parsed.lexemes().get(target.tokens.clone()).unwrap_or_default();
        if inside.iter().all(|lexeme| !lexeme.is_value() || lexeme.kind == LexemeKind::Integer) {
            self.ignore(&target);
        }
    }

    /// Says what each constant is; one whose form cannot be carried out is refused.
    pub(super) fn finish_constants(&mut self) -> Constants {
        let mut edits = Vec::new();
        let mut parameters = BTreeMap::new();
        let constants = std::mem::take(&mut self.constants);
        self.seal_echoes(&constants);
        let links = self.follow_links();
        for number in std::mem::take(&mut self.untyped) {
            if let Some(Ty::Sealed(_)) = self.parameters.get(&number).map(|ty| self.inference.resolve(ty)) {
                self.refuse(Reason::UntypedParameter { number });
            }
        }
        let all = self.written(&constants, &links);
        for (constant, written) in constants.iter().zip(&all) {
            if let (Ty::Var(var), Ok(written)) = (&constant.ty, written)
                && let Some(ty) = written.own
            {
                self.constant_types.entry(self.inference.root(*var)).or_insert(ty);
            }
        }
        for link in links.values().flatten() {
            if let Some(target) = link.cast.target.oid {
                self.constant_types.insert(self.inference.root(link.to), target);
            }
        }
        for (constant, written) in constants.iter().zip(&all) {
            self.at = Some(constant.range.start);
            let role = self.role(&constant.ty).unlimited(!self.stores);
            let (class, is_array) = match &role {
                Role::Plain => continue,
                Role::Value(class) => (class, matches!(class.ty.base, Base::Array(_))),
                Role::Array(class) => (class, true),
            };
            let written = match written {
                Ok(written) => written,
                Err(target) => {
                    self.refuse(Reason::CastOfConstant {
                        column: class.column.clone(),
                        target: target.clone(),
                    });
                    continue;
                }
            };
            if constant.casts.iter().any(|cast| cast.target.is_array != is_array) {
                let target = if is_array { "what is no array" } else { "an array" }.to_owned();
                self.refuse(Reason::CastOfConstant { column: class.column.clone(), target });
                continue;
            }
            if let Ty::Var(var) = &constant.ty
                && self.inference.is_mismatched(*var)
            {
                let (column, construct) = (class.column.clone(), "constants of different types");
                self.refuse(Reason::BesideColumn { column, construct });
                continue;
            }
            let is_value = matches!(role, Role::Value(_));
            let Some(casts) = self.cast_types(written, class, is_array && is_value) else {
                let target =
                    constant.casts.last().map_or_else(|| "another type".to_owned(), |c| self.shown(c));
                self.refuse(Reason::CastOfConstant { column: class.column.clone(), target });
                continue;
            };
            // What has become text is no array.
            let is_text = written.ty == Some(TEXT) && constant.casts.is_empty() && !written.is_linked;
            let is_declared = constant.kind.parameter().is_some_and(|n| self.declared_type(n).is_some());
            if is_array && is_value && is_text && !is_declared && constant.kind != ConstantKind::Null {
                let (column, target) = (class.column.clone(), "text".to_owned());
                self.refuse(Reason::CastOfConstant { column, target });
                continue;
            }
            // Without a cast no array becomes a value, and no value an array.
            if let Some(declared) = constant.kind.parameter().and_then(|number| self.declared_oid(number))
                && constant.casts.is_empty()
                && datum::element_of(declared).is_some() != is_array
            {
                let target = typename::name_of(declared).unwrap_or("another type").to_owned();
                self.refuse(Reason::CastOfConstant { column: class.column.clone(), target });
                continue;
            }
            let whole =
                |oid: Option<Oid>| if is_array && is_value { oid.and_then(typename::array_of) } else { oid };
            let (ty, source) = (whole(written.ty), whole(written.source()));
            let purpose = match &constant.ty {
                Ty::Var(var) if !self.inference.is_stored(*var) => Purpose::Compare,
                _ => Purpose::Store,
            };
            let source = match (source, constant.kind, purpose) {
                (None, ConstantKind::Parameter(_), Purpose::Compare) => compared_as(&class.ty.base, constant),
                (source, _, _) => source,
            };
            let ty = ty.or(source);
            let (beside_column, leads) = match &constant.ty {
                Ty::Var(var) => (self.inference.is_beside_column(*var), self.inference.leads_column(*var)),
                _ => (false, false),
            };
            if beside_column
                && constant.kind != ConstantKind::Null
                && (!joins_as_constant(&class.ty, ty, leads) || !casts.is_empty())
            {
                let construct = "CASE, COALESCE, VALUES or a set operation";
                self.refuse(Reason::BesideColumn { column: class.column.clone(), construct });
                continue;
            }
            // One that is NULL would not be looked at.
            if let (ConstantKind::Parameter(_), Some(oid)) = (constant.kind, ty)
                && !datum::takes(oid, &class.ty, purpose)
            {
                let target = typename::name_of(oid).unwrap_or("another type").to_owned();
                self.refuse(Reason::CastOfConstant { column: class.column.clone(), target });
                continue;
            }
            let is_conditional = written.is_linked;
            let place = constant.place;
            let usage = Use { class: Arc::clone(class), purpose, source, casts, is_conditional, place };
            if class.moving().is_some() && constant.kind != ConstantKind::Null {
                if constant.is_output {
                    self.name_edit(constant, &mut edits);
                }
                let is_array = matches!(role, Role::Array(_));
                if is_array && !matches!(constant.kind, ConstantKind::String | ConstantKind::Parameter(_)) {
                    let (column, construct) = (class.column.clone(), "an array".to_owned());
                    self.refuse(Reason::MeetsPlain { column, construct });
                    continue;
                }
                let mut into = Constants { edits, parameters };
                self.form_edit(constant, usage, is_array, &mut into);
                Constants { edits, parameters } = into;
                continue;
            }
            for cast in &constant.casts {
                self.cast_edit(cast, class, matches!(role, Role::Array(_)), &mut edits);
            }
            if constant.is_output {
                self.name_edit(constant, &mut edits);
            }
            match constant.kind {
                // One that has become text would not meet what is stored.
                ConstantKind::Null => self.null_edit(constant, class, is_array, &links, &mut edits),
                ConstantKind::Parameter(number) => {
                    let parameter = match role {
                        Role::Array(_) => Parameter::SealedArray(usage),
                        Role::Value(_) | Role::Plain => Parameter::Sealed(usage),
                    };
                    self.parameter(number, parameter, &mut parameters);
                }
                ConstantKind::String | ConstantKind::Number | ConstantKind::Bool => {
                    let value = self.written_value(constant);
                    let replacement = match (role, constant.kind) {
                        (Role::Array(_), ConstantKind::String) => Replacement::SealedArray { usage, value },
                        (Role::Array(class), _) => {
                            self.refuse(Reason::MeetsPlain {
                                column: class.column.clone(),
                                construct: "an array".to_owned(),
                            });
                            continue;
                        }
                        (Role::Value(_) | Role::Plain, _) => Replacement::Sealed { usage, value },
                    };
                    edits.push(Edit { range: constant.range.clone(), replacement });
                }
            }
        }
        for (ty, cast) in std::mem::take(&mut self.later_casts) {
            if let Role::Value(class) = self.role(&ty) {
                self.cast_edit(&cast, &class, cast.target.is_array, &mut edits);
            }
        }
        self.check_recursions();
        self.check_alike(&constants, &all);
        for link in links.values().flatten() {
            if let Role::Value(class) = self.role(&Ty::Var(link.to)) {
                self.cast_edit(&link.cast, &class, false, &mut edits);
            }
        }
        for (ty, end, name) in std::mem::take(&mut self.named_by_cast) {
            let is_sealed = matches!(self.role(&ty), Role::Value(_) | Role::Array(_));
            if let (true, Some(last)) = (is_sealed, end.checked_sub(1).and_then(|last| self.lexeme(last))) {
                let replacement = Replacement::Text(alias(&name));
                edits.push(Edit { range: last.end..last.end, replacement });
            }
        }
        for (range, class) in std::mem::take(&mut self.truths) {
            truth_edits(range, class, &mut edits);
        }
        self.constants = constants;
        Constants { edits, parameters }
    }

    /// NULLIF has the type that its arguments are compared as, and so has a parameter in a list.
    fn check_alike(&mut self, constants: &[Constant], all: &[written::Outcome]) {
        let differs = |oid: Oid, class: &Class| {
            let own = Type::from_oid(oid, -1);
            own.is_some_and(|own| {
                own.family() != class.ty.family()
                    || (own.base == Base::Bpchar) != (class.ty.base == Base::Bpchar)
            })
        };
        for (ty, both) in std::mem::take(&mut self.alike) {
            let (Ty::Var(var), Ty::Sealed(class)) = (&ty, self.inference.resolve(&both)) else { continue };
            let known = self.constant_types.get(&self.inference.root(*var));
            // Of two varchars it is text.
            let becomes_text = matches!(both, Ty::Var(_)) && known == Some(&VARCHAR);
            if becomes_text || known.is_some_and(|oid| differs(*oid, &class)) {
                self.refuse(Reason::BesideColumn { column: class.column.clone(), construct: "NULLIF" });
            }
        }
        for (range, left) in std::mem::take(&mut self.lists) {
            let Ty::Sealed(class) = self.inference.resolve(&left) else { continue };
            let listed = || range.clone().filter_map(|index| Some((constants.get(index)?, all.get(index)?)));
            let is_open = listed().any(|(constant, written)| {
                constant.kind.parameter().is_some() && written.as_ref().is_ok_and(|w| w.ty.is_none())
            });
            let is_other = |written: &written::Outcome| {
                written.as_ref().is_ok_and(|w| w.ty.is_some_and(|oid| differs(oid, &class)))
            };
            if is_open && listed().any(|(_, written)| is_other(written)) {
                self.refuse(Reason::BesideColumn { column: class.column.clone(), construct: "a list" });
            }
        }
    }

    /// The first query of WITH RECURSIVE has to have the types of both.
    fn check_recursions(&mut self) {
        for (own, both) in std::mem::take(&mut self.recursions) {
            let Ty::Sealed(class) = self.inference.resolve(&both) else { continue };
            let same = match (&own, self.inference.resolve(&own)) {
                (Ty::Var(var), _) => {
                    let known = self.constant_types.get(&self.inference.root(*var)).copied();
                    known.unwrap_or(TEXT) == class.ty.oid()
                }
                (_, Ty::Sealed(own)) => own.ty.base == class.ty.base,
                (_, _) => true,
            };
            if !same {
                let (column, construct) = (class.column.clone(), "WITH RECURSIVE");
                self.refuse(Reason::BesideColumn { column, construct });
            }
        }
    }

    /// What an output is. A constant that is compared with a column keeps a type of its own.
    pub(super) fn output_type(&self, ty: &Ty) -> Result<Ty, Box<Reason>> {
        let resolved = self.inference.resolve(ty);
        let (Ty::Var(var), Ty::Sealed(class)) = (ty, &resolved) else { return Ok(resolved) };
        let known = self.constant_types.get(&self.inference.root(*var));
        let own = match known.and_then(|oid| Type::from_oid(*oid, -1)) {
            Some(own) => own,
            None if class.ty.base == Base::Varchar => Type { base: Base::Text, modifier: -1 },
            None => class.ty.clone(),
        };
        let is_cast = self.cast_roots.contains(&self.inference.root(*var));
        if own == class.ty && !is_cast {
            return Ok(resolved);
        }
        let is_padded = |ty: &Type| ty.base == Base::Bpchar;
        if is_cast
            || own.family() != class.ty.family()
            || is_padded(&own) != is_padded(&class.ty)
            || !joins_as_constant(&class.ty, None, false)
        {
            let construct = "the output beside a comparison";
            return Err(Box::new(Reason::BesideColumn { column: class.column.clone(), construct }));
        }
        Ok(Ty::Sealed(Arc::new(Class { ty: own, ..Class::clone(class) })))
    }

    fn role(&mut self, ty: &Ty) -> Role {
        match self.inference.resolve(ty) {
            Ty::Plain | Ty::Var(_) => Role::Plain,
            Ty::Sealed(class) => Role::Value(class),
            Ty::Array(element) => match *element {
                Ty::Sealed(class) => Role::Array(class),
                Ty::Plain | Ty::Var(_) => Role::Plain,
                Ty::Array(_) | Ty::Row(_) => self.shapeless(),
            },
            Ty::Row(_) => self.shapeless(),
        }
    }

    fn shapeless(&mut self) -> Role {
        self.not_understood("an array of arrays");
        Role::Plain
    }

    /// The value of a literal as text, for a verdict that depends on it.
    pub(in crate::sql) fn value(&self, constant: &Constant) -> String {
        constant.is_read.set(true);
        self.written_value(constant)
    }

    /// The same for an edit that puts it in its own place, whatever it is.
    pub(in crate::sql) fn written_value(&self, constant: &Constant) -> String {
        let lexeme = &constant.lexeme;
        let written = || lexeme.text(self.text).to_ascii_lowercase();
        match constant.kind {
            ConstantKind::String => lex::string_value(lexeme, self.text).unwrap_or_default(),
            ConstantKind::Number => {
                let number = lex::number(lexeme, self.text, constant.range.start < lexeme.start);
                number.map_or_else(written, Number::into_text)
            }
            ConstantKind::Bool | ConstantKind::Null | ConstantKind::Parameter(_) => written(),
        }
    }

    /// The type of a cast becomes what the server holds; that before a string goes, as the literal has its own.
    fn cast_edit(&mut self, cast: &Cast, class: &Class, is_array: bool, edits: &mut Vec<Edit>) {
        if cast.is_outer {
            return;
        }
        let Some(range) = self.bytes(&cast.target.tokens) else {
            self.not_understood("the place of a cast");
            return;
        };
        let text = match (cast.is_prefix, is_array) {
            (true, _) => String::new(),
            (false, false) => storage_type(class.storage).to_owned(),
            (false, true) => format!("{}[]", storage_type(class.storage)),
        };
        edits.push(Edit { range, replacement: Replacement::Text(text) });
    }

    /// Gives a NULL without a type that of what it stands with, where PostgreSQL would take it for text.
    fn null_edit(
        &mut self,
        constant: &Constant,
        class: &Class,
        is_array: bool,
        links: &Links,
        edits: &mut Vec<Edit>,
    ) {
        let is_text = matches!(&constant.ty, Ty::Var(var) if self.inference.is_text(*var));
        if !is_text || !constant.casts.is_empty() {
            return;
        }
        if !matches!(class.ty.base, Base::Text | Base::Varchar)
            && !self.has_typed_company(constant, &class.ty, links)
        {
            self.refuse(Reason::CastOfConstant { column: class.column.clone(), target: "text".to_owned() });
            return;
        }
        let is_array = is_array && !matches!(class.ty.base, Base::Array(_));
        let cast = format!("::{}{}", storage_type(class.storage), if is_array { "[]" } else { "" });
        let name = if constant.is_output { " AS \"?column?\"" } else { "" };
        let end = constant.range.end;
        edits.push(Edit { range: end..end, replacement: Replacement::Text(cast) });
        if let (Some(range), true) = (self.bytes(&constant.tokens), constant.is_output) {
            let place = range.end..range.end;
            edits.push(Edit { range: place, replacement: Replacement::Text(name.to_owned()) });
        }
    }

    /// Whether a constant stands with one that has a type other than text, or in a column that is cast to `column`.
    fn has_typed_company(&self, constant: &Constant, column: &Type, links: &Links) -> bool {
        let Ty::Var(var) = constant.ty else { return false };
        let root = self.inference.root(var);
        self.constant_types.get(&root).is_some_and(|oid| !matches!(*oid, TEXT | VARCHAR))
            || links
                .get(&root)
                .is_some_and(|links| links.iter().any(|link| link.cast.target.oid == Some(column.oid())))
    }

    /// A result column keeps the name that PostgreSQL would have given it: that of its last cast.
    fn name_edit(&mut self, constant: &Constant, edits: &mut Vec<Edit>) {
        let name = match (constant.casts.last(), constant.kind) {
            (Some(cast), _) => self.type_name(cast),
            (None, ConstantKind::Parameter(_)) if self.is_moving(constant) => Some("?column?".to_owned()),
            (None, ConstantKind::Parameter(_) | ConstantKind::Null) => return,
            // Before PostgreSQL 15 a boolean was a cast of a string.
            (None, ConstantKind::Bool) if self.schema.server_version() < 150_000 => Some("bool".to_owned()),
            (None, ConstantKind::String | ConstantKind::Number | ConstantKind::Bool) => {
                Some("?column?".to_owned())
            }
        };
        let (Some(name), Some(range)) = (name, self.bytes(&constant.tokens)) else {
            self.not_understood("the name of a result column");
            return;
        };
        edits.push(Edit { range: range.end..range.end, replacement: Replacement::Text(alias(&name)) });
    }

    /// The role of a parameter is that of all its uses.
    pub(super) fn parameter(
        &mut self,
        number: usize,
        role: Parameter,
        parameters: &mut BTreeMap<usize, Parameter>,
    ) {
        let known = parameters.get(&number).map(Parameter::usage);
        let (known, new) = match (known, role.usage()) {
            // Only one value is sent for all of them.
            (Some(Some(known)), Some(new)) if known.casts != new.casts => {
                let target = new.casts.iter().chain(&known.casts).map(Type::name).next().unwrap_or_default();
                self.refuse(Reason::CastOfConstant { column: new.class.column.clone(), target });
                return;
            }
            (Some(Some(known)), Some(new)) => (known.source, new),
            _ => {
                parameters.insert(number, role);
                return;
            }
        };
        let is_text = |oid: Option<Oid>| matches!(oid, Some(TEXT | VARCHAR));
        let source = match (known, new.source) {
            (Some(a), Some(b)) if a != b && !(is_text(Some(a)) && is_text(Some(b))) => {
                let target = typename::name_of(b).unwrap_or("another type").to_owned();
                self.refuse(Reason::CastOfConstant { column: new.class.column.clone(), target });
                return;
            }
            (known, new) => known.or(new),
        };
        let role = role.with_source(source);
        parameters.insert(number, role);
    }
}

/// The name of a result column; in quotes, since what follows may touch it.
fn alias(name: &str) -> String {
    format!(" AS \"{}\"", name.replace('"', "\"\""))
}

/// An encrypted boolean that stands as a condition becomes a comparison with the sealed true, which is true, false or
/// NULL where the boolean is.
fn truth_edits(range: std::ops::Range<usize>, class: Arc<Class>, edits: &mut Vec<Edit>) {
    let text =
        |at: usize, text: &str| Edit { range: at..at, replacement: Replacement::Text(text.to_owned()) };
    let usage = Use {
        class,
        purpose: Purpose::Compare,
        source: Some(BOOL),
        casts: Vec::new(),
        is_conditional: false,
        place: Place::Any,
    };
    edits.push(text(range.start, "("));
    edits.push(text(range.end, " = "));
    let replacement = Replacement::Sealed { usage, value: "true".to_owned() };
    edits.push(Edit { range: range.end..range.end, replacement });
    edits.push(text(range.end, ")"));
}

/// The type that a parameter of no type gets from a column that it is compared with, if it is not the column's.
/// PostgreSQL has no comparisons of varchar; it is compared as text. A list's elements take one type with the column
/// first.
fn compared_as(column: &Base, constant: &Constant) -> Option<Oid> {
    (*column == Base::Varchar && !constant.is_listed).then_some(TEXT)
}

impl Replacement {
    /// How a sealed one is used.
    pub fn usage(&self) -> Option<&Use> {
        match self {
            Self::Text(_) | Self::NullTest { .. } => None,
            Self::Sealed { usage, .. } | Self::SealedArray { usage, .. } => Some(usage),
        }
    }
}

impl Parameter {
    /// How a sealed one is used.
    pub fn usage(&self) -> Option<&Use> {
        match self {
            Self::Plain | Self::NullTest(_) => None,
            Self::Sealed(usage) | Self::SealedArray(usage) => Some(usage),
        }
    }

    fn with_source(self, source: Option<Oid>) -> Self {
        match self {
            Self::Plain | Self::NullTest(_) => self,
            Self::Sealed(usage) => Self::Sealed(Use { source, ..usage }),
            Self::SealedArray(usage) => Self::SealedArray(Use { source, ..usage }),
        }
    }
}

/// What an output column of a resolved type holds; `None` for what no client can be given.
pub(super) fn output_value(ty: &Ty) -> Option<OutputValue> {
    Some(match ty {
        Ty::Plain | Ty::Var(_) | Ty::Row(_) => OutputValue::Plain,
        Ty::Sealed(class) => OutputValue::Sealed(Arc::clone(class)),
        Ty::Array(element) => match &**element {
            Ty::Sealed(class) => OutputValue::SealedArray(Arc::clone(class)),
            Ty::Plain | Ty::Var(_) => OutputValue::Plain,
            Ty::Array(_) | Ty::Row(_) => return None,
        },
    })
}

/// The type that literals and parameters have towards the server.
pub(super) fn storage_type(storage: Storage) -> &'static str {
    match storage {
        Storage::Bytea => "pg_catalog.bytea",
        Storage::Text => "pg_catalog.text",
    }
}
