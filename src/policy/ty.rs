//! Holds the place of `datum::TypeName` until that lands; same shape.

use crate::datum::Type;

/// What a policy file's type name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeName {
    /// A type of PostgreSQL's own.
    Builtin(Type),
    /// A name that only the database's catalog can resolve (an enum), folded and unquoted.
    Named {
        /// The schema, if one is given.
        schema: Option<String>,
        /// The name.
        name: String,
        /// True for an array of it.
        array: bool,
    },
}

impl TypeName {
    pub(super) fn read(text: &str) -> Self {
        Self::Named { schema: None, name: text.to_owned(), array: false }
    }
}
