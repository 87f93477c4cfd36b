//! Names that statements give and take: PREPARE, DEALLOCATE, DECLARE, CLOSE, DISCARD.
//!
//! SQL's names and the protocol's are the same to the server, so they are kept in the same maps. What a statement
//! does to them counts from the moment that the server says it was carried out; until then, whatever uses a name
//! waits.

use std::cell::Cell;
use std::sync::Arc;

use super::Session;
use super::plans::{Basis, Portal, Prepared};
use crate::datum::Format;
use crate::sql::{self, Cursor, Effects, Meaning, NameChange, NamedStatement, Names, Verdict};
use crate::wire::frontend::{Formats, Target, write_bare};

/// What the statements of a message do to names, once each is carried out.
#[derive(Debug)]
pub(super) struct NameChanges {
    /// By the statement's number in the text.
    changes: Vec<(usize, NameChange)>,
    /// What they were analysed under.
    basis: Option<Basis>,
}

impl NameChanges {
    /// `None` if there are none.
    pub(super) fn new(changes: &[(usize, NameChange)], basis: Option<Basis>) -> Option<Arc<Self>> {
        (!changes.is_empty()).then(|| Arc::new(Self { changes: changes.to_vec(), basis }))
    }
}

/// Names that were refused are remembered so far; beyond, those that were refused first are forgotten together.
const MAX_REFUSED: usize = 4096;

impl Session {
    /// Notes names that were not given, since what would have given them was refused or taken away: values and
    /// constants that come for them after all are not the server's to see.
    pub(super) fn void_names(&mut self, names: impl IntoIterator<Item = String>) {
        if self.refused_names.len() >= MAX_REFUSED {
            self.refused_names.clear();
        }
        self.refused_names.extend(names);
    }

    /// The server has carried out a statement of a message.
    pub(super) fn names_change(&mut self, all: &NameChanges, statement: usize) {
        for (_, change) in all.changes.iter().filter(|(number, _)| *number == statement) {
            match change {
                NameChange::Prepared(name, statement) => {
                    self.refused_names.remove(name);
                    let prepared = Prepared::named(statement, all.basis.clone());
                    self.statements.insert(Box::from(name.as_bytes()), Arc::new(prepared));
                }
                NameChange::Deallocated(Some(name)) => self.free_statements(|freed| freed == name.as_bytes()),
                NameChange::Deallocated(None) => self.free_statements(|freed| !freed.is_empty()),
                NameChange::Declared(name, cursor) => {
                    self.refused_names.remove(name);
                    let portal = Portal::cursor(cursor, all.basis.clone());
                    self.portals.insert(Box::from(name.as_bytes()), Arc::new(portal));
                }
                NameChange::Closed(Some(name)) => {
                    self.portals.remove(name.as_bytes());
                }
                NameChange::Closed(None) => self.portals.clear(),
                NameChange::Discarded => {
                    self.free_statements(|freed| !freed.is_empty());
                    self.portals.clear();
                }
            }
        }
    }

    /// Prepared statements are gone. Values that come for protected ones after all are not the server's to see.
    fn free_statements(&mut self, is_freed: impl Fn(&[u8]) -> bool) {
        let freed = self.statements.iter().filter(|(name, one)| is_freed(name) && one.plan.is_some());
        let voided: Vec<_> = freed.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        self.statements.retain(|name, _| !is_freed(name));
        self.void_names(voided);
    }

    /// The server has not carried out a message's statements from this one on.
    pub(super) fn names_stay(&mut self, all: &NameChanges, from: usize) {
        let given = all.changes.iter().filter(|(number, _)| *number >= from);
        let names: Vec<String> = given
            .filter_map(|(_, change)| match change {
                NameChange::Prepared(name, NamedStatement { plan: Some(_), .. }) => Some(name.clone()),
                NameChange::Prepared(..)
                | NameChange::Deallocated(_)
                | NameChange::Declared(..)
                | NameChange::Closed(_)
                | NameChange::Discarded => None,
            })
            .filter(|name| !self.statements.contains_key(name.as_bytes()))
            .collect();
        self.void_names(names);
    }

    /// True if what a name stands for depends on an answer that is still due. In a pipeline the server is asked
    /// for it, since it would keep it back up to Sync.
    pub(super) fn awaits_name(&mut self, name: &[u8]) -> bool {
        let awaits = !name.is_empty() && self.queue.changes_names();
        if awaits {
            self.ask_for_replies();
        }
        awaits
    }

    /// Asks for the replies that are due, which the server would keep back up to the next Sync.
    pub(super) fn ask_for_replies(&mut self) {
        if self.unsynced && !self.flushed {
            write_bare(&mut self.to_server, b'H');
            self.flushed = true;
        }
    }
}

/// Whether a statement may give and take names unseen: one that was not understood.
pub(super) fn hides_names(effects: Effects) -> bool {
    effects == Effects::UNKNOWN
}

/// A session's names for one analysis.
pub(super) struct SessionNames<'a> {
    session: &'a Session,
    basis: &'a Basis,
    /// The analysis has asked for a name, so its verdict is this session's only.
    pub(super) asked: Cell<bool>,
    /// What it asked for depends on an answer that is still due.
    pub(super) awaited: Cell<bool>,
}

impl<'a> SessionNames<'a> {
    pub(super) fn new(session: &'a Session, basis: &'a Basis) -> Self {
        Self { session, basis, asked: Cell::new(false), awaited: Cell::new(false) }
    }

    fn is_settled(&self, target: Target<'_>) -> bool {
        self.asked.set(true);
        let queue = &self.session.queue;
        let awaited = queue.changes_names() || queue.is_unsettled(target);
        self.awaited.set(self.awaited.get() || awaited);
        !awaited
    }

    /// What a name stands for that is in no map.
    fn absent<T>(&self, name: &str) -> Meaning<T> {
        if self.session.refused_names.contains(name) {
            Meaning::Void
        } else if self.session.has_hidden_names {
            Meaning::Unknown
        } else {
            Meaning::Nothing
        }
    }
}

impl Names for SessionNames<'_> {
    fn statement(&self, name: &str) -> Meaning<NamedStatement> {
        if !self.is_settled(Target::Statement(name.as_bytes())) {
            return Meaning::Void;
        }
        let Some(prepared) = self.session.statements.get(name.as_bytes()) else { return self.absent(name) };
        let same = prepared.basis.as_ref().is_none_or(|basis| basis == self.basis);
        if !same && !prepared.keeps_its_plan(|| self.session.analyse_again(prepared, self.basis)) {
            return Meaning::Changed;
        }
        Meaning::Is(prepared.as_named())
    }

    fn cursor(&self, name: &str) -> Meaning<Cursor> {
        if !self.is_settled(Target::Portal(name.as_bytes())) {
            return Meaning::Void;
        }
        match self.session.portals.get(name.as_bytes()) {
            Some(portal) => Meaning::Is(portal.as_cursor()),
            None => self.absent(name),
        }
    }
}

impl Session {
    /// The verdict on a prepared statement's own text under another basis.
    fn analyse_again(&self, prepared: &Prepared, basis: &Basis) -> Verdict {
        let names = SessionNames::new(self, basis);
        let context = self.context(basis, true, &names);
        sql::analyze(&prepared.text, sql::Arrival::Parse { declared: &prepared.declared }, &context)
    }

    pub(super) fn context<'a>(
        &'a self,
        basis: &'a Basis,
        utf8: bool,
        names: &'a SessionNames<'a>,
    ) -> sql::Context<'a> {
        sql::Context {
            schema: &basis.schema,
            search_path: &basis.search_path,
            standard_conforming_strings: self.standard_strings,
            utf8,
            names,
        }
    }
}

impl Prepared {
    /// A statement of PREPARE.
    fn named(statement: &NamedStatement, basis: Option<Basis>) -> Self {
        let NamedStatement { text, declared, plan, effects, looked_up } = statement;
        Self {
            looked_up: *looked_up,
            ..Self::new(text.clone(), declared.clone(), plan.clone(), *effects, basis)
        }
    }

    fn as_named(&self) -> NamedStatement {
        NamedStatement {
            text: self.text.clone(),
            declared: self.declared.clone(),
            plan: self.plan.clone(),
            effects: self.effects,
            looked_up: self.looked_up,
        }
    }

    /// Whether an analysis of today gives the plan that it was prepared with.
    pub(super) fn keeps_its_plan(&self, again: impl FnOnce() -> Verdict) -> bool {
        match again() {
            Verdict::Forward(_) => self.plan.is_none(),
            Verdict::Rewrite(plan) => self.plan.as_ref() == Some(&plan),
            Verdict::Refuse(_) => false,
        }
    }
}

impl Portal {
    /// A cursor of DECLARE.
    fn cursor(cursor: &Cursor, basis: Option<Basis>) -> Self {
        let Cursor { plan, effects, is_held, is_binary } = cursor;
        let prepared = Prepared::new(Arc::from(""), Vec::new(), plan.clone(), *effects, basis);
        let formats = if *is_binary { vec![Format::Binary] } else { Vec::new() };
        Self { prepared: Arc::new(prepared), result_formats: Formats(formats), is_held: *is_held }
    }

    fn as_cursor(&self) -> Cursor {
        Cursor {
            plan: self.prepared.plan.clone(),
            effects: self.prepared.effects,
            is_held: self.is_held,
            is_binary: self.result_formats.0.first() == Some(&Format::Binary),
        }
    }
}
