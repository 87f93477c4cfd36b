//! Work on stored values, done straight at the database and not through the proxy.
//!
//! | module | what |
//! |---|---|
//! | `connection` | how commands and jobs come to the database |
//! | `table` | the tables that hold rows of encrypted columns, and how each is walked |
//! | `choice` | which columns the words of a command line mean |
//! | `value` | one stored value: what it is, opened, sealed anew |
//! | `status` | rows per key, counted by the server |
//! | `counted` | what was counted last, for proxies to show |
//! | `walk` | reading a table piece by piece |
//! | `runner` | moving values, batch by batch, by several workers |
//! | `schema` | what there is in schema `pgseal`, made on demand |
//! | `contexts` | deterministic columns, moved value by value |
//! | `retype` | columns whose type changes when they are encrypted |
//! | `record` | how far a job is, in the database |
//! | `throttle` | what holds a job up between its batches |
//! | `verify` | opening every value |
//!
//! # Why nothing is lost
//!
//! A batch is one statement, and so one transaction: it locks the rows that are still as they were read (`ctid` and
//! `xmin` together name one version of a row), writes their new values and the checkpoint. A row that somebody
//! else holds is left to the next pass, and so is one that was changed since. Killed at any instant, a job has done
//! whole batches, and the next run goes on from the checkpoint.

mod choice;
pub mod connection;
mod contexts;
mod counted;
mod record;
mod retype;
mod runner;
pub mod schema;
mod status;
mod table;
mod throttle;
mod value;
mod verify;
mod walk;

use crate::policy::quote_ident;
pub use choice::{ChoiceError, choose};
pub use contexts::{
    Context, ContextEstimate, Mover, Promotion, contexts, hold, keep, pins, release, unneeded, work_of,
};
pub use counted::{Counted, are_counts_shown, counted, keep_counts};
pub use record::{Job, jobs as under_way, pause};
pub use retype::{Measured, Retype, RetypeEstimate, Target, plaintext, targets};
pub use runner::{Estimate, Limits, Moved, Progress, Runner};
pub use status::{ColumnStatus, Status, count, status};
pub use table::{Column, Table, tables};
pub use value::{Fault, Work};
pub use verify::{Verified, verify};

/// What this program's own statements end with, so that they are known where statements are counted.
pub const MARK: &str = "/* pgseal */";

/// A value that cannot be opened, or not be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The column, of the table that holds the row.
    pub column: crate::policy::ColumnName,
    /// The row, by its primary key (`id = 7`) or, in a table without one, its `ctid`.
    pub row: String,
    /// Why.
    pub why: Fault,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { column, row, why } = self;
        write!(f, "{column}: {row}: {why}")
    }
}

/// Why a job cannot be done, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The server refuses a statement, or is gone.
    #[error("the database {doing}: {words}")]
    Database {
        /// What failed, as in "the database ...".
        doing: &'static str,
        /// The server's message, without its details, which may hold values; or what became of the connection.
        words: String,
    },
    /// A worker cannot connect.
    #[error(transparent)]
    Connect(#[from] connection::ConnectError),
    /// Somebody works on the column already.
    #[error("another job works on column {0}: wait for its end")]
    Busy(crate::policy::ColumnName),
    /// The mode of a column is not moved yet.
    #[error(
        "column {column} is {mode}, and this release moves values of randomized columns only: name the randomized \
         columns one by one"
    )]
    Mode {
        /// The column.
        column: crate::policy::ColumnName,
        /// Its mode.
        mode: crate::crypto::Mode,
    },
    /// There is no key to seal with.
    #[error("the keyring has no active key {0}")]
    NoActiveKey(String),
    /// The column is not one that this kind of work is for.
    #[error("column {column} {why}")]
    Unfit {
        /// The column.
        column: crate::policy::ColumnName,
        /// What it is, and what it should be.
        why: &'static str,
    },
    /// The schema for the checkpoint cannot be made.
    #[error(
        "this user may not make the schema pgseal, in which jobs keep their checkpoints: GRANT CREATE ON DATABASE, or \
         let an administrator run CREATE SCHEMA pgseal AUTHORIZATION this user"
    )]
    NoSchema,
    /// The lag of standbys is to be kept short, and this role is not told of it.
    #[error(
        "this user may not see how far standbys are behind, so --max-lag cannot hold: GRANT pg_monitor to it, or leave \
         --max-lag out"
    )]
    UnseenLag,
    /// The lag of standbys is to be kept short, and there are none.
    #[error("no standby streams from this server, so --max-lag has nothing to go by: leave it out")]
    NoStandby,
    /// The checkpoint is not there any more.
    #[error("the job's row in pgseal.job is gone: somebody has removed it, and the job stops")]
    Removed,
    /// A value that begins like a sealed one.
    #[error(
        "column {column} has {count} values that begin as encrypted ones do and do not open, the first at {row}: \
         whether they are plaintext cannot be told, so nothing is changed"
    )]
    Ambiguous {
        /// The column.
        column: crate::policy::ColumnName,
        /// How many.
        count: u64,
        /// Where.
        row: String,
    },
    /// Plaintext that cannot be encrypted where it is.
    #[error("column {column} has {count} values that {why}, one of them at {row}: nothing is changed")]
    Plaintext {
        /// The column.
        column: crate::policy::ColumnName,
        /// How many.
        count: u64,
        /// What they are.
        why: &'static str,
        /// Where one of them is.
        row: String,
    },
    /// Rows that the walk does not come to.
    #[error("{left} values of table {table} are left, and walking the table does not find them")]
    Unreached {
        /// The table.
        table: crate::policy::RelationName,
        /// How many.
        left: u64,
    },
    /// What stands in a map's comment is no pin.
    #[error("the comment of table pgseal.{0} is not what this program has written there")]
    Pin(String),
    /// An earlier move has not ended.
    #[error(
        "a move of the values of context {context} has not ended: run \"pgseal {}\" to its end first", work.as_str()
    )]
    Unfinished {
        /// The context.
        context: String,
        /// What it is.
        work: Work,
    },
    /// Values of one context are under several keys, and no move is under way.
    #[error(
        "the values of context {0} are in several forms (plaintext, versions of their key), and nothing says how far a \
         move was: equal values may differ, and no job can tell; restore the table pgseal.map_N of the move, or the rows"
    )]
    Mixed(String),
    /// Something stands in the way of a move.
    #[error("the values of context {0} cannot be moved:{1}")]
    Hindered(String, String),
    /// Values that do not open cannot be moved, and a move ends only with all.
    #[error(
        "{failed} values of context {context} cannot be moved, so the move cannot end before they are mended or deleted \
         ({first})"
    )]
    Unopened {
        /// The context.
        context: String,
        /// One of them.
        first: String,
        /// How many.
        failed: u64,
    },
    /// A trigger of the application's undoes what a move does.
    #[error(
        "a trigger keeps rows of context {0} as they are, so that equal values would differ: disable it for the time, and \
         run the same command again"
    )]
    Kept(String),
    /// A partition or child has come since the command has read the catalog.
    #[error(
        "table {table} has come under a table of context {context} since this command began: run the same command again"
    )]
    Joined {
        /// The context.
        context: String,
        /// The table.
        table: String,
    },
    /// Something stands in the way of a change of types.
    #[error("the types of columns of {0} cannot be changed:{1}")]
    Unchangeable(crate::policy::RelationName, String),
    /// A fault of this program.
    #[error("a worker has stopped")]
    Worker,
}

/// Says what was being done when the server refused.
fn doing(what: &'static str) -> impl FnOnce(tokio_postgres::Error) -> JobError {
    move |error| {
        let words = match error.as_db_error() {
            Some(error) => format!("{} ({})", error.message(), error.code().code()),
            None => std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
        };
        JobError::Database { doing: what, words }
    }
}

/// The reference to a column of the table that is called `t`.
fn of_t(column: &str) -> String {
    format!("t.{}", quote_ident(column))
}
