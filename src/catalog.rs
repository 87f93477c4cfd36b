//! The server's catalog as the analysis needs it, and the queries that fill it.

use std::fmt;
use std::sync::Arc;

use crate::crypto::{Binding, Mode};
use crate::datum::{Oid, Type};

/// A relation's qualified name, folded and unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    /// The schema.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

/// A column's qualified name, as refusals and logs show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnName {
    /// The table.
    pub relation: RelationName,
    /// The column.
    pub column: String,
}

/// The physical type of a protected column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// `bytea`: the envelope itself.
    Bytea,
    /// `text` or `varchar`: `pgs1.` and the envelope in base64url.
    Text,
}

/// How one protected column is sealed: the type of sealed expressions in the analysis.
///
/// Two sealed expressions may be compared if [`Class::compares_with`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The column that it was taken from, for messages.
    pub column: ColumnName,
    /// The type that the application sees.
    pub ty: Type,
    /// The name of the data key that seals.
    pub key: String,
    /// What the derived key is bound to.
    pub binding: Arc<Binding>,
    /// What the server holds.
    pub storage: Storage,
}

impl Class {
    /// True if native equality of the two columns' ciphertexts means equality of their plaintexts.
    pub fn compares_with(&self, other: &Self) -> bool {
        self.binding.mode != Mode::Randomized
            && self.binding == other.binding
            && self.key == other.key
            && self.storage == other.storage
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.relation, self.column)
    }
}
