//! What was opened for the client, for the audit log: gathered where values are opened, taken by the shell before it
//! sends them.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::Session;
use super::plans::Prepared;
use crate::catalog::{Class, ColumnName};
use crate::sql::normalized::shape;

/// Values that were opened for one statement, and are due to the client.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Of the statement's shape, in hexadecimal.
    pub statement: Option<String>,
    /// What holds the values.
    pub within: Within,
    /// So many rows.
    pub rows: u64,
    /// So many values of each column, by its name.
    pub columns: Vec<(String, u64)>,
}

/// What holds opened values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Rows of a result.
    Rows,
    /// Data of a COPY.
    Copy,
    /// The text of an error or a notice.
    Error,
}

impl Within {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Copy => "copy",
            Self::Error => "error",
        }
    }
}

/// Counts of values since they were last noted.
#[derive(Debug, Default)]
pub(super) struct Trail {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    /// Where its class is: as long as nothing is noted, that is nowhere else.
    place: usize,
    name: ColumnName,
    values: u64,
}

impl Trail {
    /// A value of this class was opened.
    pub(super) fn add(&mut self, class: &Class) {
        let place = std::ptr::from_ref(class).addr();
        match self.columns.iter_mut().find(|column| column.place == place) {
            Some(column) => column.values += 1,
            None => self.columns.push(Column { place, name: class.column.clone(), values: 1 }),
        }
    }
}

/// What was opened and not told of yet, where that is wanted.
#[derive(Debug, Default)]
pub(super) struct Kept {
    opened: Vec<Opened>,
    /// The statement of the last one.
    last: Option<Arc<Prepared>>,
    application: String,
}

impl Session {
    /// Keeps account of what is opened, until [`Self::take_opened`].
    pub fn keep_trail(&mut self) {
        self.scratch.trail = Some(Trail::default());
    }

    /// What was opened since this was last asked, and is due to the client.
    pub fn take_opened(&mut self) -> Vec<Opened> {
        self.kept.last = None;
        std::mem::take(&mut self.kept.opened)
    }

    /// True if there is something of that.
    pub fn has_opened(&self) -> bool {
        !self.kept.opened.is_empty()
    }

    /// Who the client is: user, and what the application calls itself.
    pub fn client_names(&self) -> (&str, &str) {
        (&self.user, &self.kept.application)
    }

    pub(super) fn is_called(&mut self, application: &str) {
        self.kept.application = application.chars().take(MAX_NAME).collect();
    }

    /// What was opened just now was for the front of the queue. To be called before anything else is opened.
    pub(super) fn note_opened(&mut self, within: Within, rows: u64) {
        let Some(trail) = &mut self.scratch.trail else { return };
        let prepared = self.queue.front().and_then(|entry| entry.prepared.clone());
        let is_more = match (&self.kept.last, &prepared) {
            (Some(last), Some(prepared)) => Arc::ptr_eq(last, prepared),
            _ => false,
        };
        let last = self.kept.opened.last_mut().filter(|last| is_more && last.within == within);
        let of_front = match last {
            Some(last) => last,
            // Rows without a value in them.
            None if trail.columns.is_empty() => return,
            None => {
                let statement = prepared.as_ref().map(|prepared| prepared.digest().to_owned());
                self.kept.opened.push(Opened { statement, within, rows: 0, columns: Vec::new() });
                self.kept.last = prepared;
                let Some(new) = self.kept.opened.last_mut() else { return };
                new
            }
        };
        of_front.rows += rows;
        for Column { name, values, .. } in trail.columns.drain(..) {
            let name = name.to_string();
            match of_front.columns.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += values,
                None => of_front.columns.push((name, values)),
            }
        }
    }
}

/// Characters of an application's name that are kept, as by the server.
const MAX_NAME: usize = 63;

/// The digest by which an audit log names statements: of their text without values, comments, blanks and case.
pub fn digest(text: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(shape(text).key.as_bytes()).into();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
