//! Statement analysis: a type system that proves where each literal, parameter and output column belongs.
//!
//! [`analyze`] gives exactly one [`Verdict`]. It knows no wire, no cryptography and no key: an edit says
//! *what* is to be sealed for which class, and the session seals.

mod analysis;
mod analyze;
pub mod copy;
mod describe;
mod dml;
mod edits;
mod expr;
pub mod kinds;
pub mod lex;
pub mod names;
pub mod normalized;
mod query;
mod refusal;
mod replication;
pub mod scan;
mod schema;
mod scope;
pub(crate) mod sealed_check;
mod shape;
mod typename;
mod types;
mod view;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

pub use analyze::{analyze, without_catalog};
pub use describe::describe;
pub use edits::{each_of, one_of};
pub use names::{Cursor, Meaning, NameChange, NamedStatement, Names, NoNames};
pub use refusal::{Reason, Refusal};
pub use replication::is_safe_for_replication;
pub use schema::{Consequence, NOT_BEGUN, Schema, SchemaProblem};
pub(crate) use sealed_check::{constraint as sealed_check, is_ours as is_sealed_check};
pub use shape::{Mold, Shape};

use crate::catalog::{Change, Class};
use crate::datum::{Oid, Purpose, Type};

/// What the proxy does with one query text. There is no "unknown, so forward".
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Proved to touch no protected column; its bytes go on as they came.
    Forward(Untouched),
    /// Touches protected relations in ways that we can carry out.
    Rewrite(Arc<Plan>),
    /// Anything else, including everything that we do not understand.
    Refuse(Refusal),
}

/// Proof that a text reaches no protected column.
#[derive(Clone, Debug)]
pub struct Untouched {
    /// What it does to the session's knowledge.
    pub effects: Effects,
    /// It names a relation that the catalog does not know (and whose name is not protected): the proof holds
    /// if a catalog that is read now does not know it either.
    pub unresolved: bool,
    /// It names relations or functions of the database: the proof is as old as the catalog.
    pub looked_up: bool,
    /// What its statements, by their numbers, do to names of prepared statements and cursors.
    pub names: Vec<(usize, NameChange)>,
    /// The bytes where literals start on whose content the verdict does not depend.
    pub free: Vec<usize>,
}

/// How to carry out a text.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// The statements in their order; exactly one when the text came by Parse.
    pub statements: Vec<Statement>,
    /// Edits of the whole text, in ascending order, disjoint.
    pub edits: Vec<Edit>,
    /// Roles of `$1`, `$2`, ...
    pub parameters: Vec<Parameter>,
    /// What it does to the session's knowledge.
    pub effects: Effects,
    /// As in [`Untouched`].
    pub unresolved: bool,
    /// As in [`Untouched`].
    pub names: Vec<(usize, NameChange)>,
    /// As in [`Untouched`].
    pub free: Vec<usize>,
    /// What the text's shape is named by, once somebody has asked.
    pub digest: Digest,
}

/// A place for the digest of a text's shape: what texts of one shape have in common need not be worked out for each.
#[derive(Clone, Debug, Default)]
pub struct Digest(Arc<OnceLock<String>>);

impl Digest {
    /// It, by `of` the first time.
    pub fn get(&self, of: impl FnOnce() -> String) -> &str {
        self.0.get_or_init(of)
    }
}

/// Two plans do not differ by whether somebody has asked.
impl PartialEq for Digest {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Plan {
    /// The edits of a text that comes by Query: before each statement that needs it stands one that takes its locks.
    pub fn edits_with_locks(&self) -> Cow<'_, [Edit]> {
        if self.statements.iter().all(|statement| statement.locks.is_empty()) {
            return Cow::Borrowed(&self.edits);
        }
        let mut edits = self.edits.clone();
        for statement in &self.statements {
            let at = statement.range.start;
            let locks = statement.locks.iter().map(|lock| lock.statement() + "; ");
            let before = edits.partition_point(|edit| edit.range.start < at);
            edits.splice(
                before..before,
                locks.map(|text| Edit { range: at..at, replacement: Replacement::Text(text) }),
            );
        }
        Cow::Owned(edits)
    }

    /// True if another plan differs from this one by no more than the forms in which its constants are sent, since
    /// values are moved to another key: to the client the two are one.
    pub fn differs_by_forms(&self, other: &Self) -> bool {
        let class = |class: &Arc<Class>| Class { pin: None, ..Class::clone(class) };
        let value = |value: &OutputValue| match value {
            OutputValue::Plain => None,
            OutputValue::Sealed(sealed) => Some((false, class(sealed))),
            OutputValue::SealedArray(sealed) => Some((true, class(sealed))),
        };
        let outputs = |plan: &Self| {
            let statement = |statement: &Statement| {
                let outputs = statement.outputs.as_ref()?;
                Some(outputs.iter().map(|output| (value(&output.value), output.origin)).collect::<Vec<_>>())
            };
            plan.statements.iter().map(statement).collect::<Vec<_>>()
        };
        let usage =
            |usage: &Use| Use { class: Arc::new(class(&usage.class)), place: Place::Alone, ..usage.clone() };
        let parameters = |plan: &Self| {
            let parameter = |parameter: &Parameter| match parameter {
                Parameter::Plain | Parameter::NullTest(_) => parameter.clone(),
                Parameter::Sealed(sealed) => Parameter::Sealed(usage(sealed)),
                Parameter::SealedArray(sealed) => Parameter::SealedArray(usage(sealed)),
            };
            plan.parameters.iter().map(parameter).collect::<Vec<_>>()
        };
        let is_pinned = |plan: &Self| {
            plan.classes().any(|class| class.pin.is_some())
                || plan.statements.iter().any(|statement| !statement.locks.is_empty())
        };
        (is_pinned(self) || is_pinned(other))
            && outputs(self) == outputs(other)
            && parameters(self) == parameters(other)
            && self.effects == other.effects
            && self.names == other.names
    }

    /// True if another plan differs from this one by no more than an announced change of columns' types that has happened
    /// in between: to the client the two are one. Each plan comes with the schema that it was reached under.
    pub fn differs_by_change(&self, schema: &Schema, other: &Self, others: &Schema) -> bool {
        let is_announced = |plan: &Self| {
            let mut locks = plan.statements.iter().flat_map(|statement| &statement.locks);
            locks.any(|lock| matches!(lock, Lock::Change(_)))
        };
        let output = |mine: &Output, theirs: &Output| {
            let name = |schema: &Schema, output: &Output| {
                output.origin.map(|(oid, number)| (schema.name_of(oid).cloned(), number))
            };
            let is_shown_as = |plain: &Output, schema: &Schema, class: &Class| {
                plain.origin.and_then(|origin| schema.physical(origin))
                    == Some((class.ty.oid(), class.ty.modifier))
            };
            name(schema, mine) == name(others, theirs)
                && match (&mine.value, &theirs.value) {
                    (OutputValue::Sealed(class), OutputValue::Plain) => is_shown_as(theirs, others, class),
                    (OutputValue::Plain, OutputValue::Sealed(class)) => is_shown_as(mine, schema, class),
                    (mine, theirs) => mine == theirs,
                }
        };
        let outputs = |mine: &Statement, theirs: &Statement| match (&mine.outputs, &theirs.outputs) {
            (Some(mine), Some(theirs)) => {
                mine.len() == theirs.len()
                    && mine.iter().zip(theirs).all(|(mine, theirs)| output(mine, theirs))
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        (is_announced(self) || is_announced(other))
            && self.statements.len() == other.statements.len()
            && self.statements.iter().zip(&other.statements).all(|(mine, theirs)| outputs(mine, theirs))
            && self.effects == other.effects
            && self.names == other.names
    }

    /// The classes of all that it seals and opens.
    fn classes(&self) -> impl Iterator<Item = &Arc<Class>> {
        let outputs = self.statements.iter().filter_map(|statement| statement.outputs.as_ref()).flatten();
        let opened = outputs.filter_map(|output| match &output.value {
            OutputValue::Plain => None,
            OutputValue::Sealed(class) | OutputValue::SealedArray(class) => Some(class),
        });
        let literals = self.edits.iter().filter_map(|edit| edit.replacement.usage());
        let usages = literals.chain(self.parameters.iter().filter_map(Parameter::usage));
        opened.chain(usages.map(|usage| &usage.class))
    }
}

/// One statement of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its bytes in the text, for positions.
    pub range: Range<usize>,
    /// Columns of its result, `None` where the analysis proves nothing about them but that none is sealed
    /// (a forwarded statement, or one that gives no rows).
    pub outputs: Option<Vec<Output>>,
    /// A COPY of it carries sealed values.
    pub copy: Option<Arc<copy::Copy>>,
    /// True for a lone SELECT (or VALUES, TABLE) that changes nothing: a value that cannot be opened may
    /// then be answered by an error in its place.
    pub read_only: bool,
    /// What has to stand still while it runs.
    pub locks: Vec<Lock>,
}

/// One result column.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What it holds.
    pub value: OutputValue,
    /// Where the server will say it comes from, in RowDescription: relation and attribute number for a plain
    /// column reference (the view's for a view, the parent's for a partition), `None` for zeros.
    pub origin: Option<(Oid, i16)>,
}

/// What a result column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputValue {
    /// Not encrypted.
    Plain,
    /// One sealed value.
    Sealed(Arc<Class>),
    /// An array of sealed values (`array_agg(email)`).
    SealedArray(Arc<Class>),
}

/// What a parameter is.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// Not encrypted.
    Plain,
    /// Sealed before it is sent.
    Sealed(Use),
    /// An array whose elements are each sealed (`= ANY($1)`).
    SealedArray(Use),
    /// Only asked whether it is NULL, and sent as an empty text if it is not, once it has been read as its type: the
    /// declared one or that which a cast gives it.
    NullTest(Option<Oid>),
}

/// How a constant or parameter of a protected column is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The class that it belongs to.
    pub class: Arc<Class>,
    /// Stored, or only compared; stored if both.
    pub purpose: Purpose,
    /// The type that the statement itself gives it (an explicit cast, a number token), as a type's object id;
    /// for arrays that of the element. `None`: unknown, so what the client declares, else the column's type.
    pub source: Option<Oid>,
    /// Casts that may change the value before it meets the column (`$1::varchar(3)`, `'...'::timestamp::date`), to
    /// be evaluated in this order as PostgreSQL would; for arrays those of the elements.
    pub casts: Vec<Type>,
    /// The casts are those of an expression that the server may not evaluate for this value (`(CASE ... END)::date`):
    /// a value that they do not take may be no error.
    pub is_conditional: bool,
    /// Where a literal stands, for a class whose values are being moved from one key to another.
    pub place: Place,
}

/// Where a constant stands whose value has two sealed forms, of which rows have one or the other.
///
/// Rows hold exactly one of the two at every instant, so what is compared directly is compared with both, and stays
/// right where the server looks at a row again that was changed meanwhile. Elsewhere the statement's own snapshot says
/// which it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Anywhere: the one form that rows have.
    #[default]
    Alone,
    /// Behind `=`.
    Any,
    /// Behind `<>`.
    All,
    /// In a list that a column is compared with.
    Listed,
    /// The argument for a parameter, which has both.
    Argument,
}

/// A replacement at token positions.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Bytes of the client's text that are replaced (empty: an insertion).
    pub range: Range<usize>,
    /// By what.
    pub replacement: Replacement,
}

/// What an edit puts in.
#[derive(Clone, Debug, PartialEq)]
pub enum Replacement {
    /// This text: a storage type, a qualified name.
    Text(String),
    /// A literal sealed by the session, written with its storage cast.
    Sealed {
        /// Its class, purpose and type.
        usage: Use,
        /// The literal's value: a string's content, or a number or boolean as it stands (with its sign).
        value: String,
    },
    /// An array literal (`'{a,b}'`), each element sealed.
    SealedArray {
        /// Class, purpose and type of the elements.
        usage: Use,
        /// The array in text form.
        value: String,
    },
    /// A literal that is only asked whether it is NULL: an empty text takes its place once it has been read as its
    /// casts' types, one after the other, as the server would have read it.
    NullTest {
        /// The types, from the inside out.
        casts: Vec<Type>,
        /// The literal's value, as in [`Replacement::Sealed`].
        value: String,
    },
}

/// What a job may not do before the transaction of a statement ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// To move values from one key to another, by the pin's number.
    ///
    /// At READ COMMITTED the server looks again at a row that was changed meanwhile, with what the statement has read
    /// elsewhere before. Where that are values of the same context, a value that was moved in between would not be found
    /// equal to itself.
    ///
    /// <https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED>
    Move(u32),
    /// To change the types of a table's columns.
    Change(Change),
}

impl Lock {
    /// The statement that takes it.
    pub fn statement(self) -> String {
        match self {
            Self::Move(pin) => {
                let key = u64::from(pin) * LOCKS_OF_A_MOVE;
                format!("SELECT pg_catalog.pg_advisory_xact_lock_shared({LOCK_CLASS}, {key})")
            }
            Self::Change(change) => change.fence(),
        }
    }
}

/// So many numbers a move has for the second key of its advisory locks; the first is for statements.
pub const LOCKS_OF_A_MOVE: u64 = 1024;

/// The first key of the advisory locks for moves.
pub const LOCK_CLASS: i32 = 0x7067_736c;

/// What stands for a value that is only asked whether it is NULL.
pub const NOT_NULL: &str = "(''::pg_catalog.text)";

/// What a text does to the session's knowledge once it has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// It may change the effective search path (SET, RESET, set_config, SET ROLE, DISCARD, a
    /// function whose body may, or anything that was not understood).
    pub search_path: bool,
    /// It may change the catalog (DDL, or anything that was not understood).
    pub catalog: bool,
    /// It may give or take names of prepared statements and cursors (PREPARE, DECLARE, DEALLOCATE, DISCARD).
    pub prepared: bool,
    /// It may change settings that texts and values depend on (DateStyle, TimeZone, IntervalStyle, client_encoding,
    /// standard_conforming_strings, extra_float_digits, bytea_output).
    pub settings: bool,
    /// It may end a transaction (COMMIT, ROLLBACK, ROLLBACK TO), which undoes what the transaction changed of
    /// the above. Such a statement does not set `search_path` or `catalog` by itself: the session knows
    /// whether anything in the transaction did.
    pub transaction_end: bool,
}

/// How a text reached the proxy.
#[derive(Clone, Copy, Debug)]
pub enum Arrival<'a> {
    /// By Query: any number of statements, no parameters.
    Query,
    /// By Parse: at most one statement; the types that the client declared for the first parameters (0: none).
    Parse {
        /// Object ids of types.
        declared: &'a [Oid],
    },
}

/// What a statement is analysed under, beside its own text.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Policy and catalog.
    pub schema: &'a Schema,
    /// The effective search path: what `current_schemas(true)` gives, the session's own `pg_temp_N` and
    /// `pg_catalog` included.
    pub search_path: &'a [String],
    /// The session's `standard_conforming_strings`.
    pub standard_conforming_strings: bool,
    /// True if `client_encoding` is UTF8.
    pub utf8: bool,
    /// What the session's prepared statements and cursors are.
    pub names: &'a dyn Names,
}

#[cfg(test)]
mod tests;
