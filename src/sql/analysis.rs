//! The state of one statement's analysis: names, constants and the first thing that speaks against it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Value, ValueWithSpan};

use super::edits::Link;
use super::lex::{Lexeme, LexemeKind, Literals, Parsed, StringForm};
use super::refusal::{Reason, Refusal};
use super::schema::{Relation, Schema};
use super::scope::{Column, Columns, Ctes, Entry};
use super::typename::TypeName;
use super::types::{Inference, Meeting, Ty, Var};
use super::{Edit, Effects, OutputValue, Place, Replacement};
use crate::catalog::{Change, Class, RelationName};
use crate::datum::Oid;
use crate::policy::quote_ident;

/// Parameters that Bind can carry: their count is an Int16 without sign.
///
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
const MAX_PARAMETERS: usize = 65_535;

/// One statement's analysis.
pub(super) struct Analyzer<'a> {
    pub(super) text: &'a str,
    pub(super) parsed: &'a Parsed,
    pub(super) schema: &'a Schema,
    pub(super) search_path: &'a [String],
    pub(super) literals: Literals,
    pub(super) inference: Inference,
    pub(super) constants: Vec<Constant>,
    /// The types of constants, by what stands for them and those that were united with them.
    pub(super) constant_types: HashMap<Var, Oid>,
    /// Casts of array constructors and of columns, whose types become what the server holds.
    pub(super) later_casts: Vec<(Ty, Cast)>,
    /// Casts of what constants make.
    pub(super) links: Vec<Link>,
    /// What is sealed after such a cast.
    pub(super) cast_roots: HashSet<Var>,
    /// Columns of WITH RECURSIVE: what the first query gives, and what both do.
    pub(super) recursions: Vec<(Ty, Ty)>,
    /// Constants and columns whose types have to be of one kind, or the result would have another one.
    pub(super) alike: Vec<(Ty, Ty)>,
    /// Lists of IN, as places in `constants`, with what they are compared with.
    pub(super) lists: Vec<(Range<usize>, Ty)>,
    /// Parameters that are asked whether they are NULL before anything says what they are.
    pub(super) untyped: Vec<usize>,
    /// It is in the assignments of UPDATE, which PostgreSQL reads last.
    pub(super) in_assignment: bool,
    /// The types that the client declared for the first parameters (0: none).
    pub(super) declared: &'a [Oid],
    /// Results without an alias that are casts, which name them: their types, last tokens and names.
    pub(super) named_by_cast: Vec<(Ty, usize, String)>,
    /// Encrypted booleans that stand as conditions, and their bytes.
    pub(super) truths: Vec<(Range<usize>, Arc<Class>)>,
    /// It stores something in an encrypted column.
    pub(super) stores: bool,
    pub(super) parameters: BTreeMap<usize, Ty>,
    /// Relation names that are sent qualified.
    pub(super) edits: Vec<Edit>,
    /// Bytes where the last parts of relations' names start.
    pub(super) relations: HashSet<usize>,
    /// The first protected relation that it touches.
    pub(super) protected: Option<String>,
    /// Announced changes of the types of what it touches.
    pub(super) announced: BTreeSet<Change>,
    /// It names a relation that the catalog does not know.
    pub(super) unresolved: bool,
    /// It names a relation or a function that is not PostgreSQL's own.
    pub(super) looked_up: bool,
    /// It may change something, or calls a function that may.
    pub(super) changes: bool,
    /// The first function that it calls which may run a text that it is given.
    pub(super) runner: Option<String>,
    /// What the functions that it calls may do to the session's knowledge.
    pub(super) effects: Effects,
    /// What speaks against it if it touches a protected relation.
    pub(super) refusal: Option<Refusal>,
    /// What speaks against it in any case: it was not understood whole.
    pub(super) obstacle: Option<Refusal>,
    /// The byte where the token stands that was looked at last.
    pub(super) at: Option<usize>,
}

/// A constant or one use of a parameter.
#[derive(Debug)]
pub(super) struct Constant {
    pub(super) kind: ConstantKind,
    /// Its token.
    pub(super) lexeme: Lexeme,
    /// Its bytes, a sign before a number included.
    pub(super) range: Range<usize>,
    /// Its tokens as indices, parentheses and casts around it included.
    pub(super) tokens: Range<usize>,
    pub(super) ty: Ty,
    pub(super) casts: Vec<Cast>,
    /// It is a result column without an alias, which PostgreSQL names by its last cast.
    pub(super) is_output: bool,
    /// It stands with others in an IN list.
    pub(super) is_listed: bool,
    /// Where it stands, if it is compared with a column directly.
    pub(super) place: Place,
    /// It is only asked whether it is NULL.
    pub(super) is_null_test: bool,
    /// It is compared with other constants.
    pub(super) is_condition: bool,
    /// What it says was looked at, so the verdict is one for this content only.
    pub(super) is_read: Cell<bool>,
}

/// Kinds of [`Constant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConstantKind {
    String,
    Number,
    Bool,
    Null,
    Parameter(usize),
}

impl ConstantKind {
    /// The number of a parameter.
    pub(super) fn parameter(self) -> Option<usize> {
        match self {
            Self::Parameter(number) => Some(number),
            Self::String | Self::Number | Self::Bool | Self::Null => None,
        }
    }
}

/// A cast of a constant.
#[derive(Clone, Debug)]
pub(super) struct Cast {
    pub(super) target: TypeName,
    /// The type stands before the string: `date '2020-01-01'`.
    pub(super) is_prefix: bool,
    /// Its tokens are those of a cast around this constant, which is edited there.
    pub(super) is_outer: bool,
}

/// What a relation's name means.
pub(super) enum Named {
    /// A table of WITH.
    Cte(String, Columns),
    /// A relation of the catalog.
    Relation(Arc<Relation>),
    /// Nothing that the catalog knows.
    Unknown(String),
}

impl<'a> Analyzer<'a> {
    pub(super) fn new(
        text: &'a str,
        parsed: &'a Parsed,
        schema: &'a Schema,
        search_path: &'a [String],
    ) -> Self {
        Self {
            text,
            parsed,
            schema,
            search_path,
            literals: Literals::new(parsed.lexemes()),
            inference: Inference::default(),
            constants: Vec::new(),
            constant_types: HashMap::new(),
            later_casts: Vec::new(),
            links: Vec::new(),
            cast_roots: HashSet::new(),
            recursions: Vec::new(),
            untyped: Vec::new(),
            alike: Vec::new(),
            lists: Vec::new(),
            in_assignment: false,
            declared: &[],
            truths: Vec::new(),
            named_by_cast: Vec::new(),
            stores: false,
            parameters: BTreeMap::new(),
            edits: Vec::new(),
            relations: HashSet::new(),
            protected: None,
            announced: BTreeSet::new(),
            unresolved: false,
            looked_up: false,
            runner: None,
            changes: false,
            effects: Effects::default(),
            refusal: None,
            obstacle: None,
            at: None,
        }
    }

    /// Speaks against the statement, at the token that was looked at last.
    pub(super) fn refuse(&mut self, reason: impl Into<Box<Reason>>) {
        self.refusal.get_or_insert(Refusal::new(reason, self.at));
    }

    /// Says that the statement was not understood whole.
    pub(super) fn not_understood(&mut self, construct: impl Into<String>) {
        let name = self.protected.clone().unwrap_or_else(|| "an encrypted column".to_owned());
        let reason = Reason::NotUnderstood { construct: construct.into(), name };
        self.obstacle.get_or_insert(Refusal::new(reason, self.at));
    }

    /// The same where `present` is true: a clause that PostgreSQL does not have.
    pub(super) fn foreign(&mut self, present: bool, construct: &str) {
        if present {
            self.not_understood(construct);
        }
    }

    /// Remembers where the analysis is.
    pub(super) fn look_at(&mut self, ident: &Ident) {
        if let Some(range) = Parsed::range(ident.span) {
            self.at = Some(range.start);
        }
    }

    /// Brings two expressions together.
    pub(super) fn meet(&mut self, left: &Ty, right: &Ty, how: Meeting, construct: &str) -> Ty {
        self.inference.meet(left, right, how, construct).unwrap_or_else(|reason| {
            self.refuse(reason);
            Ty::Plain
        })
    }

    /// Proves that an expression is not encrypted, or refuses `construct`.
    pub(super) fn plain(&mut self, ty: &Ty, construct: &str) {
        let refusal = |class: &Class| Reason::Construct {
            construct: construct.to_owned(),
            column: class.column.clone(),
        };
        if let Err(reason) = self.inference.plain(ty, refusal) {
            self.refuse(reason);
        }
    }

    /// Proves that an expression may be compared with others of its kind.
    pub(super) fn comparable(&mut self, ty: &Ty, how: Meeting, construct: &str) {
        if let Err(reason) = self.inference.check_mode(ty, how, construct) {
            self.refuse(reason);
        }
    }

    /// The identifiers of a name; `None` if it has other parts.
    pub(super) fn parts<'n>(&mut self, name: &'n ObjectName) -> Option<Vec<&'n Ident>> {
        let parts: Option<Vec<_>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
        match &parts {
            Some(idents) => {
                if let Some(last) = idents.last() {
                    self.look_at(last);
                }
            }
            None => self.not_understood("a name made by a function"),
        }
        parts
    }

    /// What a relation's name means; one that could mean a protected relation elsewhere is sent qualified.
    pub(super) fn named(&mut self, name: &ObjectName, ctes: &Ctes) -> Named {
        let unknown = || Named::Unknown("?".to_owned());
        let Some(parts) = self.parts(name) else { return unknown() };
        let (last, qualifiers) = match parts.split_last() {
            Some((last, qualifiers)) => (*last, qualifiers),
            None => return unknown(),
        };
        self.relations.extend(Parsed::range(last.span).map(|range| range.start));
        let relation = match qualifiers {
            [] => {
                if let Some(columns) = ctes.find(&last.value) {
                    return Named::Cte(last.value.clone(), columns.clone());
                }
                let found = self.schema.resolve(&last.value, self.search_path);
                if let Some(relation) = &found
                    && self.schema.is_protected_name(&last.value)
                {
                    self.qualify(last, &relation.name);
                }
                found
            }
            [schema] => self.schema.relation(&self.qualified(&schema.value, &last.value)),
            [database, schema] if database.value == self.schema.database() => {
                self.schema.relation(&self.qualified(&schema.value, &last.value))
            }
            _ => {
                self.not_understood("a name with more than two parts");
                None
            }
        };
        let Some(relation) = relation else {
            let shown = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
            // Where the text names something protected, a relation that is not there is one that was misread
            // (an alias taken for a table) or that hides what it is: its constants must not be sent.
            let reason = Reason::UndefinedTable { name: shown.clone() };
            self.obstacle.get_or_insert(Refusal::new(reason, self.at));
            self.unresolved = true;
            return Named::Unknown(last.value.clone());
        };
        self.looked_up |= relation.oid >= FIRST_OWN_OID;
        self.announced.extend(relation.changes.iter().copied());
        self.inference.joined.extend(relation.joined.iter().cloned());
        if relation.is_protected {
            self.protected.get_or_insert_with(|| relation.name.to_string());
            if let Some(why) = &relation.blocked {
                self.refuse(Reason::Blocked { relation: relation.name.clone(), why: Arc::clone(why) });
            }
        }
        Named::Relation(relation)
    }

    /// A relation as an item of FROM under this alias.
    pub(super) fn entry(&self, relation: &Relation, alias: Option<&Ident>) -> Entry {
        let list = relation.columns.iter().map(|column| Column {
            name: column.name.clone(),
            ty: ty_of(&column.value),
            origin: Some((relation.oid, column.number)),
            physical: Some(column.physical),
        });
        Entry {
            name: alias.map_or_else(|| relation.name.name.clone(), |alias| alias.value.clone()),
            relation: alias.is_none().then(|| relation.name.clone()),
            has_system_columns: true,
            columns: Columns { list: list.collect(), complete: relation.columns_known },
        }
    }

    /// A constant as it stands; `sign` is the token of a minus directly before it.
    pub(super) fn constant(&mut self, value: &ValueWithSpan, sign: Option<usize>) -> Option<usize> {
        let Some((index, lexeme)) = self.token(value) else {
            self.not_understood("a constant that is not where it seems to be");
            return None;
        };
        self.at = Some(lexeme.start);
        if lexeme.is_value() && self.literals.visit(&lexeme.range()).is_err() {
            self.not_understood("a constant that is read twice");
            return None;
        }
        let (kind, ty) = match (&value.value, lexeme.kind) {
            (Value::Placeholder(_), LexemeKind::Parameter(number)) => {
                let Some(number) = usize::try_from(number).ok().filter(|number| *number <= MAX_PARAMETERS)
                else {
                    self.not_understood("a parameter of that number");
                    return None;
                };
                let inference = &mut self.inference;
                let ty = self.parameters.entry(number).or_insert_with(|| inference.fresh_for(Some(number)));
                (ConstantKind::Parameter(number), ty.clone())
            }
            // Before 16, PostgreSQL ends the number where this one has other digits or an underscore.
            (Value::Number(..), LexemeKind::Integer | LexemeKind::Numeric)
                if self.schema.server_version() < 160_000 && !is_decimal(lexeme.text(self.text)) =>
            {
                self.not_understood("a number of this form");
                return None;
            }
            // Servers differ in what they take `\v` for.
            (Value::SingleQuotedString(_), LexemeKind::String(StringForm::Escaped))
                if lexeme.text(self.text).contains("\\v") =>
            {
                self.not_understood("the escape \\v");
                return None;
            }
            (Value::Number(..), LexemeKind::Integer | LexemeKind::Numeric) => {
                (ConstantKind::Number, self.inference.fresh())
            }
            (Value::SingleQuotedString(_) | Value::NationalStringLiteral(_), LexemeKind::String(_)) => {
                (ConstantKind::String, self.inference.fresh())
            }
            (Value::Boolean(_), LexemeKind::Word) => (ConstantKind::Bool, self.inference.fresh()),
            (Value::Null, LexemeKind::Word) => (ConstantKind::Null, self.inference.fresh()),
            // Bit strings belong to no type that can be sealed.
            (Value::HexStringLiteral(_), LexemeKind::Hex)
            | (Value::SingleQuotedByteStringLiteral(_), LexemeKind::Bits) => return None,
            _ => {
                self.not_understood("a constant of a form that PostgreSQL does not have");
                return None;
            }
        };
        let (first, start) = match sign.and_then(|sign| Some((sign, self.lexeme(sign)?.start))) {
            Some(signed) => signed,
            None => (index, lexeme.start),
        };
        self.constants.push(Constant {
            kind,
            lexeme,
            range: start..lexeme.end,
            tokens: first..index + 1,
            ty,
            casts: Vec::new(),
            is_output: false,
            is_listed: false,
            place: Place::Alone,
            is_null_test: false,
            is_condition: false,
            is_read: Cell::new(false),
        });
        Some(self.constants.len() - 1)
    }

    /// Where literals start on whose content the verdict does not depend.
    pub(super) fn free_literals(&self) -> Vec<usize> {
        let is_free = |constant: &&Constant| {
            matches!(constant.kind, ConstantKind::String | ConstantKind::Number) && !constant.is_read.get()
        };
        // A text that is run may say anything.
        let constants = if self.runner.is_none() { self.constants.as_slice() } else { &[] };
        constants.iter().filter(is_free).map(|constant| constant.lexeme.start).collect()
    }

    /// The token of a constant and its index.
    pub(super) fn token(&self, value: &ValueWithSpan) -> Option<(usize, Lexeme)> {
        let range = Parsed::range(value.span)?;
        let index = self.parsed.lexemes().binary_search_by_key(&range.start, |lexeme| lexeme.start).ok()?;
        let lexeme = self.lexeme(index)?;
        (lexeme.end == range.end).then_some((index, lexeme))
    }

    pub(super) fn lexeme(&self, index: usize) -> Option<Lexeme> {
        self.parsed.lexemes().get(index).copied()
    }

    pub(super) fn is_word(&self, index: Option<usize>, word: &str) -> bool {
        index.and_then(|index| self.lexeme(index)).is_some_and(|lexeme| lexeme.is_word(self.text, word))
    }

    pub(super) fn is_symbol(&self, index: Option<usize>, symbol: u8) -> bool {
        index.and_then(|index| self.lexeme(index)).is_some_and(|lexeme| lexeme.is_symbol(symbol))
    }

    /// The bytes of some tokens.
    pub(super) fn bytes(&self, tokens: &Range<usize>) -> Option<Range<usize>> {
        let first = self.lexeme(tokens.start)?;
        let last = self.lexeme(tokens.end.checked_sub(1)?)?;
        Some(first.start..last.end)
    }

    pub(super) fn qualified(&self, schema: &str, name: &str) -> RelationName {
        let temporary = || self.search_path.iter().find(|schema| is_temporary(schema)).cloned();
        let schema =
            if schema == "pg_temp" { temporary() } else { None }.unwrap_or_else(|| schema.to_owned());
        RelationName { schema, name: name.to_owned() }
    }

    fn qualify(&mut self, ident: &Ident, relation: &RelationName) {
        let Some(range) = Parsed::range(ident.span) else {
            self.not_understood("a name that is not where it seems to be");
            return;
        };
        let schema = if is_temporary(&relation.schema) { "pg_temp" } else { relation.schema.as_str() };
        self.edits.push(Edit {
            range: range.start..range.start,
            replacement: Replacement::Text(format!("{}.", quote_ident(schema))),
        });
    }
}

/// The first object id that is not of an object that every database has (`FirstNormalObjectId`).
const FIRST_OWN_OID: Oid = 16384;

/// The type of a column.
pub(super) fn ty_of(value: &OutputValue) -> Ty {
    match value {
        OutputValue::Plain => Ty::Plain,
        OutputValue::Sealed(class) => Ty::Sealed(Arc::clone(class)),
        OutputValue::SealedArray(class) => Ty::Array(Box::new(Ty::Sealed(Arc::clone(class)))),
    }
}

/// Whether a number is written in digits, a point and an exponent only.
fn is_decimal(number: &str) -> bool {
    number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
}

/// Whether this is a session's schema of temporary tables.
pub(super) fn is_temporary(schema: &str) -> bool {
    schema.strip_prefix("pg_temp_").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
}

impl Constant {
    /// Whether it is `N'text'`, which PostgreSQL reads as bpchar.
    pub(super) fn is_national(&self) -> bool {
        self.lexeme.kind == LexemeKind::String(StringForm::National)
    }
}
