//! Why a text is not carried out, and what the client can do about it.

use std::sync::Arc;

use crate::catalog::{ColumnName, RelationName};
use crate::error::{ClientError, ClientFacing, SqlState};

/// Why a text is not carried out. Holds no value.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The reason.
    pub reason: Box<Reason>,
    /// Byte offset in the client's text.
    pub at: Option<usize>,
    /// The same in characters counted from 1, as PostgreSQL reports it.
    pub position: Option<usize>,
}

/// The reasons. Where a construct is named, it is in the statement's own words (`operator ||`, `ORDER BY`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Equality on a randomized column.
    #[error("column {column} is encrypted as randomized, so {construct} cannot be carried out on it")]
    NotComparable {
        /// The column.
        column: ColumnName,
        /// What would have compared it.
        construct: String,
    },
    /// Order on a column that has none.
    #[error("column {column} is encrypted without order, so {construct} cannot be carried out on it")]
    NotOrdered {
        /// The column.
        column: ColumnName,
        /// What would have ordered it.
        construct: String,
    },
    /// Two columns whose ciphertexts say nothing about each other.
    #[error("columns {left} and {right} are encrypted differently, so they cannot meet in {construct}")]
    DifferentlySealed {
        /// One.
        left: ColumnName,
        /// The other.
        right: ColumnName,
        /// Where they meet.
        construct: String,
    },
    /// Two columns of one context whose declared types do not go together.
    #[error(
        "columns {left} and {right} are declared with different types, so they cannot meet in {construct}"
    )]
    DifferentlyTyped {
        /// One.
        left: ColumnName,
        /// The other.
        right: ColumnName,
        /// Where they meet.
        construct: String,
    },
    /// An expression that is not encrypted where an encrypted one is needed.
    #[error("column {column} is encrypted, so it cannot meet an expression that is not in {construct}")]
    MeetsPlain {
        /// The encrypted column.
        column: ColumnName,
        /// Where they meet.
        construct: String,
    },
    /// An encrypted value on its way into a column that is not encrypted.
    #[error("column {column} is encrypted, so it cannot be stored in column {target}, which is not")]
    StoredInPlain {
        /// The encrypted column.
        column: ColumnName,
        /// The target.
        target: String,
    },
    /// An expression computed by the server on its way into an encrypted column.
    #[error(
        "only a constant, a parameter or a column that is encrypted alike can be stored in encrypted column {column}"
    )]
    PlainStored {
        /// The target.
        column: ColumnName,
    },
    /// A stored value that might not fit, which only the server could tell from the plaintext.
    #[error(
        "column {source_column} is declared with a wider type than {target}, so it cannot be stored there"
    )]
    Narrower {
        /// Where the value comes from.
        source_column: ColumnName,
        /// Where it would go.
        target: ColumnName,
    },
    /// A function over ciphertext.
    #[error("function {name} cannot be carried out on encrypted column {column}")]
    Function {
        /// As written.
        name: String,
        /// The column.
        column: ColumnName,
    },
    /// An operator, a clause or anything else over ciphertext.
    #[error("{construct} cannot be carried out on encrypted column {column}")]
    Construct {
        /// What it is.
        construct: String,
        /// The column.
        column: ColumnName,
    },
    /// A cast of an encrypted expression.
    #[error("encrypted column {column} cannot be cast to {target}")]
    CastOfColumn {
        /// The column.
        column: ColumnName,
        /// The type.
        target: String,
    },
    /// A cast of a constant that only the server could evaluate.
    #[error("the cast to {target} of a constant for encrypted column {column} cannot be carried out")]
    CastOfConstant {
        /// The column.
        column: ColumnName,
        /// The type.
        target: String,
    },
    /// A constant that would not have the form of the column beside it.
    #[error(
        "a constant cannot stand beside encrypted column {column} in {construct}, because its type or scale would differ"
    )]
    BesideColumn {
        /// The column.
        column: ColumnName,
        /// CASE and the like.
        construct: &'static str,
    },
    /// One parameter in two roles.
    #[error(
        "parameter ${number} is used both for encrypted column {column} and as a value that is not encrypted"
    )]
    ParameterConflict {
        /// Which.
        number: usize,
        /// The column.
        column: ColumnName,
    },
    /// A parameter that is asked whether it is NULL before anything says what it is.
    #[error("could not determine data type of parameter ${number}")]
    UntypedParameter {
        /// Which.
        number: usize,
    },
    /// A row as one value.
    #[error("a row of {relation} as one value would hand out encrypted columns")]
    WholeRow {
        /// The relation or alias.
        relation: String,
    },
    /// No such column.
    #[error("column {name} does not exist")]
    UndefinedColumn {
        /// As PostgreSQL writes it: `"x"`, or `t.x` when it was qualified.
        name: String,
    },
    /// More than one such column.
    #[error("column reference \"{name}\" is ambiguous")]
    AmbiguousColumn {
        /// The column.
        name: String,
    },
    /// No such relation.
    #[error("relation \"{name}\" does not exist")]
    UndefinedTable {
        /// As written.
        name: String,
    },
    /// No such prepared statement.
    #[error("prepared statement \"{name}\" does not exist")]
    UndefinedStatement {
        /// The statement.
        name: String,
    },
    /// EXECUTE with another number of arguments than the statement takes.
    #[error("wrong number of parameters for prepared statement \"{name}\"")]
    WrongArguments {
        /// The statement.
        name: String,
        /// Parameters that it has.
        expected: usize,
        /// Arguments that it was given.
        given: usize,
    },
    /// A prepared statement whose names have moved since.
    #[error("cached plan must not change result type")]
    PlanChanged,
    /// A table is defined or changed while values are moved from one key to another in the tables that there are.
    #[error(
        "no table with encrypted columns can be made or changed while the values of {column} are being moved, or the policy says state = \"migrating\" of it"
    )]
    Moving {
        /// A column whose values are moved to another key or another type.
        column: ColumnName,
    },
    /// No such alias.
    #[error("missing FROM-clause entry for table \"{name}\"")]
    UndefinedAlias {
        /// As written.
        name: String,
    },
    /// A column that a definition declares with another type than the policy does.
    #[error("column {column} is declared as {declared}, but the policy says {policy}")]
    DeclaredType {
        /// The column.
        column: ColumnName,
        /// The type of the statement.
        declared: String,
        /// That of the policy.
        policy: String,
    },
    /// A constant for an encrypted column that the database would keep.
    #[error("a constant for encrypted column {column} cannot stand in {construct}")]
    LastingConstant {
        /// Where it stands: CHECK, a view ...
        construct: String,
        /// The column.
        column: ColumnName,
    },
    /// A definition after which an encrypted column would be known under a name that the policy does not have.
    #[error(
        "{target} would hold the encrypted values of {column} (context {context}), but the policy does not say so"
    )]
    LeavesPolicy {
        /// The column as it is named now.
        column: ColumnName,
        /// What it is bound to.
        context: String,
        /// Its new name.
        target: ColumnName,
    },
    /// A definition after which a column that is not encrypted would have the name of one that is.
    #[error("{target} is encrypted by the policy, and what would take that name is not")]
    EntersPolicy {
        /// The column of the policy.
        target: ColumnName,
    },
    /// A temporary table of a protected table's name.
    #[error("a temporary table {name} would take the place of the encrypted one")]
    Shadows {
        /// The name.
        name: String,
    },
    /// A default that the server would store in clear.
    #[error("the default of encrypted column {column} is not encrypted")]
    PlainDefault {
        /// The column.
        column: ColumnName,
    },
    /// Something on the relation stands in the way of every statement.
    #[error("{relation} cannot be used: {why}")]
    Blocked {
        /// The relation.
        relation: RelationName,
        /// What stands in the way.
        why: Arc<str>,
    },
    /// Something on the relation stands in the way of writes.
    #[error("{relation} cannot be written to: {why}")]
    WritesBlocked {
        /// The relation.
        relation: RelationName,
        /// What stands in the way.
        why: Arc<str>,
    },
    /// A kind of statement that is not carried out on protected relations.
    #[error("{kind} cannot be carried out on {name}, which has encrypted columns")]
    Kind {
        /// The kind, as its first words.
        kind: String,
        /// The relation or other protected name.
        name: String,
    },
    /// A function that may reach encrypted columns behind the proxy's back.
    #[error("function {name} may reach encrypted columns")]
    ReachingFunction {
        /// Its name.
        name: String,
    },
    /// A construct that the analysis does not know.
    #[error("{construct} is not supported in a statement that names {name}")]
    NotUnderstood {
        /// What it is.
        construct: String,
        /// The protected name.
        name: String,
    },
    /// A text that was not understood and names something protected.
    #[error("this statement names {name}, which has encrypted columns, and is not understood")]
    NotParsed {
        /// The protected name.
        name: String,
    },
    /// `client_encoding` is not UTF8.
    #[error("client_encoding must be UTF8 for statements on encrypted columns")]
    Encoding,
    /// `standard_conforming_strings` is off.
    #[error("standard_conforming_strings must be on for statements on encrypted columns")]
    Strings,
    /// Larger or deeper than the analysis goes.
    #[error("the statement is too large or too deeply nested to be analysed")]
    TooComplex,
    /// Reached the database before the catalog did.
    #[error("the schema is not known yet")]
    NoSchema,
}

impl Refusal {
    /// A refusal at a byte of the text, if one is known.
    pub fn new(reason: impl Into<Box<Reason>>, at: Option<usize>) -> Self {
        Self { reason: reason.into(), at, position: None }
    }

    /// Counts the position out in the client's text.
    #[must_use]
    pub fn located(mut self, text: &str) -> Self {
        self.position = self.at.and_then(|at| text.get(..at)).map(|before| before.chars().count() + 1);
        self
    }

    /// The kind of reason in a few fixed words, for metrics.
    pub fn label(&self) -> &'static str {
        match &*self.reason {
            Reason::NotComparable { .. } => "not comparable",
            Reason::NotOrdered { .. } => "not ordered",
            Reason::DifferentlySealed { .. } => "differently sealed",
            Reason::DifferentlyTyped { .. } => "differently typed",
            Reason::MeetsPlain { .. } => "meets plain",
            Reason::StoredInPlain { .. } => "stored in plain",
            Reason::PlainStored { .. } => "plain stored",
            Reason::Narrower { .. } => "narrower",
            Reason::Function { .. } => "function",
            Reason::Construct { .. } => "construct",
            Reason::CastOfColumn { .. } => "cast of column",
            Reason::CastOfConstant { .. } => "cast of constant",
            Reason::BesideColumn { .. } => "beside column",
            Reason::ParameterConflict { .. } => "parameter conflict",
            Reason::UntypedParameter { .. } => "untyped parameter",
            Reason::WholeRow { .. } => "whole row",
            Reason::UndefinedColumn { .. } => "undefined column",
            Reason::AmbiguousColumn { .. } => "ambiguous column",
            Reason::UndefinedTable { .. } => "undefined table",
            Reason::UndefinedAlias { .. } => "undefined alias",
            Reason::UndefinedStatement { .. } => "undefined statement",
            Reason::WrongArguments { .. } => "wrong arguments",
            Reason::PlanChanged => "plan changed",
            Reason::Moving { .. } => "moving",
            Reason::DeclaredType { .. } => "declared type",
            Reason::LastingConstant { .. } => "lasting constant",
            Reason::LeavesPolicy { .. } => "leaves policy",
            Reason::EntersPolicy { .. } => "enters policy",
            Reason::Shadows { .. } => "shadows",
            Reason::PlainDefault { .. } => "plain default",
            Reason::Blocked { .. } => "blocked",
            Reason::WritesBlocked { .. } => "writes blocked",
            Reason::Kind { .. } => "kind",
            Reason::ReachingFunction { .. } => "reaching function",
            Reason::NotUnderstood { .. } => "not understood",
            Reason::NotParsed { .. } => "not parsed",
            Reason::Encoding => "encoding",
            Reason::Strings => "strings",
            Reason::TooComplex => "too complex",
            Reason::NoSchema => "no schema",
        }
    }

    /// The way out, and where more is said of it; none where the server itself would have said as much.
    fn hint(&self) -> Option<String> {
        if self.reason.is_the_servers() {
            return self.reason.hint().map(str::to_owned);
        }
        let more = format!("See docs/errors.md#{}.", self.label().replace(' ', "-"));
        Some(self.reason.hint().map_or_else(|| more.clone(), |hint| format!("{hint} {more}")))
    }

    /// The encrypted column that it is about (the first, where there are two), and what in the statement, in the
    /// statement's own words; each where it can be named.
    pub fn about(&self) -> (Option<&ColumnName>, Option<String>) {
        match &*self.reason {
            Reason::NotComparable { column, construct }
            | Reason::NotOrdered { column, construct }
            | Reason::DifferentlySealed { left: column, construct, .. }
            | Reason::DifferentlyTyped { left: column, construct, .. }
            | Reason::MeetsPlain { column, construct }
            | Reason::LastingConstant { column, construct }
            | Reason::Construct { column, construct } => (Some(column), Some(construct.clone())),
            Reason::BesideColumn { column, construct } => (Some(column), Some((*construct).to_owned())),
            Reason::Function { name, column } => (Some(column), Some(format!("function {name}"))),
            Reason::CastOfColumn { column, target } | Reason::CastOfConstant { column, target } => {
                (Some(column), Some(format!("cast to {target}")))
            }
            Reason::ParameterConflict { number, column } => (Some(column), Some(format!("${number}"))),
            Reason::StoredInPlain { column, .. }
            | Reason::PlainStored { column }
            | Reason::Narrower { source_column: column, .. }
            | Reason::PlainDefault { column }
            | Reason::LeavesPolicy { column, .. }
            | Reason::EntersPolicy { target: column } => (Some(column), None),
            Reason::DeclaredType { column, declared, .. } => (Some(column), Some(declared.clone())),
            Reason::NotUnderstood { construct, .. } | Reason::Kind { kind: construct, .. } => {
                (None, Some(construct.clone()))
            }
            Reason::ReachingFunction { name } => (None, Some(format!("function {name}"))),
            Reason::WholeRow { .. } => (None, Some("a row as one value".to_owned())),
            Reason::UntypedParameter { number } => (None, Some(format!("${number}"))),
            Reason::UndefinedColumn { .. }
            | Reason::AmbiguousColumn { .. }
            | Reason::UndefinedTable { .. }
            | Reason::UndefinedAlias { .. }
            | Reason::UndefinedStatement { .. }
            | Reason::WrongArguments { .. }
            | Reason::PlanChanged
            | Reason::Moving { .. }
            | Reason::Blocked { .. }
            | Reason::WritesBlocked { .. }
            | Reason::Shadows { .. }
            | Reason::NotParsed { .. }
            | Reason::Encoding
            | Reason::Strings
            | Reason::TooComplex
            | Reason::NoSchema => (None, None),
        }
    }

    /// True if a newer catalog might know the relation or column that this one does not.
    pub fn may_be_stale(&self) -> bool {
        match &*self.reason {
            Reason::UndefinedColumn { .. }
            | Reason::UndefinedTable { .. }
            | Reason::Blocked { .. }
            | Reason::WritesBlocked { .. }
            | Reason::ReachingFunction { .. }
            | Reason::PlainDefault { .. }
            | Reason::LeavesPolicy { .. }
            | Reason::EntersPolicy { .. }
            | Reason::NoSchema => true,
            Reason::NotComparable { .. }
            | Reason::NotOrdered { .. }
            | Reason::DifferentlySealed { .. }
            | Reason::DifferentlyTyped { .. }
            | Reason::MeetsPlain { .. }
            | Reason::StoredInPlain { .. }
            | Reason::PlainStored { .. }
            | Reason::Narrower { .. }
            | Reason::Function { .. }
            | Reason::Construct { .. }
            | Reason::CastOfColumn { .. }
            | Reason::CastOfConstant { .. }
            | Reason::BesideColumn { .. }
            | Reason::ParameterConflict { .. }
            | Reason::UntypedParameter { .. }
            | Reason::WholeRow { .. }
            | Reason::DeclaredType { .. }
            | Reason::LastingConstant { .. }
            | Reason::Shadows { .. }
            | Reason::AmbiguousColumn { .. }
            | Reason::UndefinedAlias { .. }
            | Reason::UndefinedStatement { .. }
            | Reason::WrongArguments { .. }
            | Reason::PlanChanged
            | Reason::Moving { .. }
            | Reason::Kind { .. }
            | Reason::NotUnderstood { .. }
            | Reason::NotParsed { .. }
            | Reason::Encoding
            | Reason::Strings
            | Reason::TooComplex => false,
        }
    }
}

impl Reason {
    fn code(&self) -> SqlState {
        match self {
            Self::UndefinedColumn { .. } => SqlState::UNDEFINED_COLUMN,
            Self::AmbiguousColumn { .. } => SqlState::AMBIGUOUS_COLUMN,
            Self::UndefinedTable { .. } | Self::UndefinedAlias { .. } => SqlState::UNDEFINED_TABLE,
            Self::UntypedParameter { .. } => SqlState::AMBIGUOUS_PARAMETER,
            Self::TooComplex => SqlState::STATEMENT_TOO_COMPLEX,
            Self::UndefinedStatement { .. } => SqlState::INVALID_STATEMENT_NAME,
            Self::WrongArguments { .. } => SqlState::SYNTAX_ERROR,
            Self::NotComparable { .. }
            | Self::NotOrdered { .. }
            | Self::DifferentlySealed { .. }
            | Self::DifferentlyTyped { .. }
            | Self::MeetsPlain { .. }
            | Self::StoredInPlain { .. }
            | Self::PlainStored { .. }
            | Self::Narrower { .. }
            | Self::Function { .. }
            | Self::Construct { .. }
            | Self::CastOfColumn { .. }
            | Self::CastOfConstant { .. }
            | Self::BesideColumn { .. }
            | Self::ParameterConflict { .. }
            | Self::WholeRow { .. }
            | Self::DeclaredType { .. }
            | Self::LastingConstant { .. }
            | Self::LeavesPolicy { .. }
            | Self::EntersPolicy { .. }
            | Self::Shadows { .. }
            | Self::PlainDefault { .. }
            | Self::Blocked { .. }
            | Self::WritesBlocked { .. }
            | Self::Kind { .. }
            | Self::ReachingFunction { .. }
            | Self::NotUnderstood { .. }
            | Self::NotParsed { .. }
            | Self::PlanChanged
            | Self::Moving { .. }
            | Self::Encoding
            | Self::Strings
            | Self::NoSchema => SqlState::FEATURE_NOT_SUPPORTED,
        }
    }

    /// True of the errors that PostgreSQL itself would give.
    fn is_the_servers(&self) -> bool {
        let ours = [SqlState::FEATURE_NOT_SUPPORTED, SqlState::STATEMENT_TOO_COMPLEX];
        matches!(self, Self::PlanChanged) || !ours.contains(&self.code())
    }

    /// The way out, where there is one to name.
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotComparable { .. } => {
                "Give the column mode = \"deterministic\" in the policy (before its data is encrypted), \
                 or compare in the application."
            }
            Self::NotOrdered { .. } => "Sort and compare by order in the application.",
            Self::DifferentlySealed { .. } => {
                "Columns that meet need one key, one mode, one context and one storage in the policy."
            }
            Self::DifferentlyTyped { .. } | Self::Narrower { .. } => {
                "Declare both columns with the same type in the policy."
            }
            Self::MeetsPlain { .. } => {
                "Use a constant, a parameter, or a column that is encrypted under the same context."
            }
            Self::StoredInPlain { .. } => {
                "Name the target column in the policy with the same key, mode, type and context."
            }
            Self::PlainStored { .. } => "Compute the value in the application and send it as a parameter.",
            Self::Function { .. } | Self::Construct { .. } => {
                "Read the column and compute in the application, or take the column out of the policy."
            }
            Self::CastOfColumn { .. } => "Leave the cast out: the column arrives with its declared type.",
            Self::CastOfConstant { .. } => "Leave the cast out, or cast to the type of the column.",
            Self::BesideColumn { .. } => "Choose between the column and the constant in the application.",
            Self::ParameterConflict { .. } => "Send the value twice, as two parameters.",
            Self::UntypedParameter { .. } => "Declare its type, or cast it where it stands first.",
            Self::WholeRow { .. } => "Name the columns one by one.",
            Self::DeclaredType { .. } => "Write the same type into the policy and into the statement.",
            Self::LastingConstant { .. } => {
                "It would no longer match once the key is rotated; compare with a parameter in the statements instead."
            }
            Self::LeavesPolicy { .. } => {
                "Write the new name into the policy first, with the same type, mode and key and with this context; \
                 with both names in it, the old one can be dropped later."
            }
            Self::EntersPolicy { .. } => "Give it another name, or take that name out of the policy.",
            Self::Shadows { .. } => "Give it another name.",
            Self::PlainDefault { .. } => {
                "Give a value in the statement, or drop the column's default in the database."
            }
            Self::Kind { .. } => {
                "Run it on a direct connection to the database if it holds no value of an encrypted column."
            }
            Self::ReachingFunction { .. } => {
                "Declare it in the policy under [function] if it may be called through the proxy."
            }
            Self::NotUnderstood { .. } | Self::NotParsed { .. } => {
                "Write the statement in a simpler form; what the proxy cannot prove to be safe is not sent."
            }
            Self::Encoding => "SET client_encoding TO 'UTF8'.",
            Self::Strings => "SET standard_conforming_strings TO on.",
            Self::TooComplex => "Split the statement.",
            Self::NoSchema => "Try again.",
            Self::Moving { .. } => {
                "Wait for the end of \"pgseal rotate\", \"encrypt\" or \"decrypt\"; \"pgseal status\" tells how far it is."
            }
            Self::UndefinedColumn { .. }
            | Self::AmbiguousColumn { .. }
            | Self::UndefinedTable { .. }
            | Self::UndefinedAlias { .. }
            | Self::UndefinedStatement { .. }
            | Self::WrongArguments { .. }
            | Self::PlanChanged
            | Self::Blocked { .. }
            | Self::WritesBlocked { .. } => return None,
        })
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refusal {}

impl ClientFacing for Refusal {
    fn client_error(&self) -> ClientError {
        let mut error = ClientError::error(self.reason.code(), self.reason.to_string());
        error.hint = self.hint();
        error.position = self.position;
        if let Reason::WrongArguments { expected, given, .. } = &*self.reason {
            error.detail = Some(format!("Expected {expected} parameters but got {given}."));
        }
        error
    }
}
