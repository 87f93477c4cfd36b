//! Names of prepared statements and cursors: what they stand for, and what a statement does to them.
//!
//! SQL's PREPARE and the protocol's Parse share one set of names, and so do DECLARE and Bind. What a name stands
//! for is the session's knowledge; a statement that uses one asks it through [`Names`].
//!
//! <https://www.postgresql.org/docs/current/sql-prepare.html>,
//! <https://www.postgresql.org/docs/current/sql-declare.html>

use std::sync::Arc;

use super::{Effects, Plan};
use crate::datum::Oid;

/// What the session knows of its names.
pub trait Names {
    /// What a prepared statement's name stands for.
    fn statement(&self, name: &str) -> Meaning<NamedStatement>;

    /// What a cursor's or portal's name stands for.
    fn cursor(&self, name: &str) -> Meaning<Cursor>;

    /// True if a statement of this text's session would reach a protected relation by this name, or if that is
    /// not known.
    fn is_protected(&self, name: &str) -> bool {
        let statement = match self.statement(name) {
            Meaning::Is(statement) => statement.plan.is_some(),
            meaning => meaning.is_doubtful(),
        };
        statement
            || match self.cursor(name) {
                Meaning::Is(cursor) => cursor.plan.is_some(),
                meaning => meaning.is_doubtful(),
            }
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning<T> {
    /// Nothing: the server will say so.
    Nothing,
    /// Nothing that was given through the proxy; a function may have given it.
    Unknown,
    /// Nothing, since the statement that would have given it was refused, or taken away.
    Void,
    /// What it was prepared as no longer has the same plan.
    Changed,
    /// This.
    Is(T),
}

impl<T> Meaning<T> {
    fn is_doubtful(&self) -> bool {
        match self {
            Self::Nothing | Self::Unknown | Self::Is(_) => false,
            Self::Void | Self::Changed => true,
        }
    }
}

/// A prepared statement.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedStatement {
    /// Its own text: of PREPARE what stands behind AS.
    pub text: Arc<str>,
    /// The types that were declared for its first parameters (0: none).
    pub declared: Vec<Oid>,
    /// `None` if it touches nothing protected.
    pub plan: Option<Arc<Plan>>,
    /// What it does to the session's knowledge.
    pub effects: Effects,
    /// As in [`super::Untouched`].
    pub looked_up: bool,
}

impl NamedStatement {
    /// One that nothing is known of but that it was not given through the proxy.
    pub(super) fn unknown() -> Self {
        let (text, declared) = (Arc::from(""), Vec::new());
        Self { text, declared, plan: None, effects: Effects::UNKNOWN, looked_up: true }
    }
}

/// A cursor: a query that is under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// `None` if it touches nothing protected.
    pub plan: Option<Arc<Plan>>,
    /// What fetching from it does to the session's knowledge.
    pub effects: Effects,
    /// It outlives its transaction (WITH HOLD).
    pub is_held: bool,
    /// It gives its values in binary format.
    pub is_binary: bool,
}

/// What a statement does to names once it has been carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum NameChange {
    /// PREPARE.
    Prepared(String, NamedStatement),
    /// DEALLOCATE; `None` for ALL.
    Deallocated(Option<String>),
    /// DECLARE.
    Declared(String, Cursor),
    /// CLOSE; `None` for ALL.
    Closed(Option<String>),
    /// DISCARD ALL.
    Discarded,
}

/// A session without names.
#[derive(Clone, Copy, Debug)]
pub struct NoNames;

impl Names for NoNames {
    fn statement(&self, _: &str) -> Meaning<NamedStatement> {
        Meaning::Unknown
    }

    fn cursor(&self, _: &str) -> Meaning<Cursor> {
        Meaning::Unknown
    }
}

/// The names as they are behind some statements of one text.
pub(super) struct Behind<'a> {
    /// Before the text.
    pub(super) names: &'a dyn Names,
    /// What its statements have done so far.
    pub(super) changes: &'a [(usize, NameChange)],
}

impl Names for Behind<'_> {
    fn statement(&self, name: &str) -> Meaning<NamedStatement> {
        for (_, change) in self.changes.iter().rev() {
            match change {
                NameChange::Prepared(given, statement) if given == name => {
                    return Meaning::Is(statement.clone());
                }
                NameChange::Deallocated(Some(taken)) if taken == name => return Meaning::Nothing,
                NameChange::Deallocated(None) | NameChange::Discarded => return Meaning::Nothing,
                NameChange::Prepared(..)
                | NameChange::Deallocated(Some(_))
                | NameChange::Declared(..)
                | NameChange::Closed(_) => {}
            }
        }
        self.names.statement(name)
    }

    fn cursor(&self, name: &str) -> Meaning<Cursor> {
        for (_, change) in self.changes.iter().rev() {
            match change {
                NameChange::Declared(given, cursor) if given == name => return Meaning::Is(cursor.clone()),
                NameChange::Closed(Some(taken)) if taken == name => return Meaning::Nothing,
                NameChange::Closed(None) | NameChange::Discarded => return Meaning::Nothing,
                NameChange::Prepared(..)
                | NameChange::Deallocated(_)
                | NameChange::Declared(..)
                | NameChange::Closed(Some(_)) => {}
            }
        }
        self.names.cursor(name)
    }
}
