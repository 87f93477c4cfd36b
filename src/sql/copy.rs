//! What a COPY of a protected relation carries over the wire, as its options say.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>

use super::{OutputValue, Place, Use};
use crate::catalog::Storage;
use crate::datum::Purpose;

/// The data of one COPY that has sealed values in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// Which way it goes.
    pub direction: Direction,
    /// The relation's name as the server writes it in an error's context; empty for a query.
    pub relation: String,
    /// How rows and values are written.
    pub format: CopyFormat,
    /// What the first line is; always [`Header::None`] in binary format.
    pub header: Header,
    /// The columns, in the order of their values in a row.
    pub columns: Vec<CopyColumn>,
}

/// Which way data is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// COPY FROM STDIN.
    In,
    /// COPY TO STDOUT.
    Out,
}

/// FORMAT with the options that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// A line a row, values escaped by backslashes.
    Text(LineFormat),
    /// A line a row, values in quotes where needed.
    Csv {
        /// What it has in common with text.
        lines: LineFormat,
        /// QUOTE.
        quote: u8,
        /// ESCAPE, the quote itself by default.
        escape: u8,
    },
    /// Values with their lengths.
    Binary,
}

/// What text and csv have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFormat {
    /// DELIMITER.
    pub delimiter: u8,
    /// NULL: how a value that is none is written.
    pub null: String,
    /// DEFAULT: what stands for the column's default; only FROM, from server 16 on.
    pub default: Option<String>,
    /// The server is older than 18, and takes `\.` alone on a line for the end of csv data too.
    pub is_before_18: bool,
}

/// HEADER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The first line is a row.
    None,
    /// The first line is skipped (FROM), or holds the columns' names (TO).
    Line,
    /// FROM: the first line has to hold the columns' names.
    Match,
}

/// One column of a COPY.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyColumn {
    /// Its name; empty where it has none that matters.
    pub name: String,
    /// What it holds.
    pub value: CopyValue,
    /// FORCE_QUOTE: its values stand in quotes, needed or not.
    pub force_quote: bool,
    /// FORCE_NOT_NULL: a value that would be read as NULL is a string.
    pub force_not_null: bool,
    /// FORCE_NULL: a value in quotes that looks like NULL is NULL.
    pub force_null: bool,
}

/// What a column of a COPY holds.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyValue {
    /// Goes on as it comes.
    Plain,
    /// FROM: each value is sealed.
    Seal(Use),
    /// TO: each value is opened; never [`OutputValue::Plain`].
    Open(OutputValue),
}

impl CopyColumn {
    pub(super) fn new(name: &str, direction: Direction, value: &OutputValue) -> Self {
        let value = match (value, direction) {
            (OutputValue::Plain, _) => CopyValue::Plain,
            (OutputValue::Sealed(class), Direction::In) => {
                let class = class.clone();
                CopyValue::Seal(Use {
                    class,
                    purpose: Purpose::Store,
                    source: None,
                    casts: Vec::new(),
                    is_conditional: false,
                    place: Place::Alone,
                })
            }
            (value, _) => CopyValue::Open(value.clone()),
        };
        let name = name.to_owned();
        Self { name, value, force_quote: false, force_not_null: false, force_null: false }
    }

    /// True if its values are changed on their way.
    pub fn is_sealed(&self) -> bool {
        self.value != CopyValue::Plain
    }

    /// As what its values are stored that come from the client; `None` if they are not changed.
    pub fn storage(&self) -> Option<Storage> {
        match &self.value {
            CopyValue::Seal(usage) => Some(usage.class.storage),
            CopyValue::Plain | CopyValue::Open(_) => None,
        }
    }
}
