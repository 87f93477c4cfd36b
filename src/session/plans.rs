//! Prepared statements and portals as the session knows them, and the places of a text that was edited.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::datum::Oid;
use crate::sql::copy::Copy;
use crate::sql::{
    Digest, Effects, Lock, NameChange, Output, OutputValue, Parameter, Plan, Schema, Untouched,
};
use crate::wire::frontend::Formats;

/// What a statement was analysed under. A statement whose basis has changed is analysed again before it is
/// bound.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub(super) schema: Arc<Schema>,
    pub(super) search_path: Arc<[String]>,
}

impl PartialEq for Basis {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.schema, &other.schema) && self.search_path == other.search_path
    }
}

/// A statement that was parsed.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The client's text.
    pub(super) text: Arc<str>,
    /// The parameter types that the client declared.
    pub(super) declared: Vec<Oid>,
    /// `None`: forwarded, touches nothing protected.
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) effects: Effects,
    /// `None` if it was forwarded without an analysis (nothing is protected).
    pub(super) basis: Option<Basis>,
    pub(super) positions: Positions,
    /// What it means was looked up in the catalog, and is as old as that.
    pub(super) looked_up: bool,
    /// What it does to names of prepared statements and cursors when it is executed.
    pub(super) names: Vec<(usize, NameChange)>,
    /// Its plan depends on what a name stands for, which changes without the catalog.
    pub(super) asked_names: bool,
    /// Of its text's shape, once it was asked for.
    pub(super) digest: OnceLock<String>,
    /// The same, where it is shared by all texts of the shape.
    pub(super) shared_digest: Option<Digest>,
    /// The server said that its columns come from elsewhere than the analysis says.
    pub(super) disagrees: AtomicBool,
}

impl Prepared {
    pub(super) fn new(
        text: Arc<str>,
        declared: Vec<Oid>,
        plan: Option<Arc<Plan>>,
        effects: Effects,
        basis: Option<Basis>,
    ) -> Self {
        let looked_up = plan.is_some();
        Self {
            text,
            declared,
            plan,
            effects,
            basis,
            positions: Positions::default(),
            looked_up,
            names: Vec::new(),
            asked_names: false,
            digest: OnceLock::new(),
            shared_digest: None,
            disagrees: AtomicBool::new(false),
        }
    }

    /// One that is forwarded.
    pub(super) fn forwarded(
        text: Arc<str>,
        declared: Vec<Oid>,
        proof: Untouched,
        basis: Option<Basis>,
    ) -> Self {
        let Untouched { effects, unresolved: _, looked_up, names, free: _ } = proof;
        Self { looked_up, names, ..Self::new(text, declared, None, effects, basis) }
    }

    /// One that is rewritten.
    pub(super) fn rewritten(
        text: Arc<str>,
        declared: Vec<Oid>,
        plan: Arc<Plan>,
        basis: Option<Basis>,
        positions: Positions,
    ) -> Self {
        let (effects, names) = (plan.effects, plan.names.clone());
        let shared_digest = Some(plan.digest.clone());
        Self { names, positions, shared_digest, ..Self::new(text, declared, Some(plan), effects, basis) }
    }

    /// The sealed columns of the statement's result, if it has any.
    pub(super) fn outputs(&self, statement: usize) -> Option<&[Output]> {
        let outputs = self.plan.as_ref()?.statements.get(statement)?.outputs.as_deref()?;
        outputs.iter().any(|o| !matches!(o.value, OutputValue::Plain)).then_some(outputs)
    }

    /// What its COPY carries, if that has sealed values.
    pub(super) fn copy(&self, statement: usize) -> Option<&Arc<Copy>> {
        self.plan.as_ref()?.statements.get(statement)?.copy.as_ref()
    }

    /// The moves of values that have to stand still while a statement runs.
    pub(super) fn locks(&self, statement: usize) -> &[Lock] {
        let statement = self.plan.as_ref().and_then(|plan| plan.statements.get(statement));
        statement.map_or(&[], |statement| &statement.locks)
    }

    pub(super) fn has_sealed_parameters(&self) -> bool {
        self.plan.as_ref().is_some_and(|p| p.parameters.iter().any(|p| !matches!(p, Parameter::Plain)))
    }

    /// By which the audit log names it.
    pub(super) fn digest(&self) -> &str {
        let digest = || super::trail::digest(&self.text);
        match &self.shared_digest {
            Some(shared) => shared.get(digest),
            None => self.digest.get_or_init(digest),
        }
    }

    pub(super) fn mark_disagreement(&self) {
        self.disagrees.store(true, Ordering::Relaxed);
    }

    pub(super) fn disagrees(&self) -> bool {
        self.disagrees.load(Ordering::Relaxed)
    }
}

/// A portal: a prepared statement with its result formats.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) result_formats: Formats,
    /// It outlives its transaction.
    pub(super) is_held: bool,
}

/// Where a text was edited, in characters, to carry an error's position back to the client's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions(Vec<Place>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Characters of the client's text before the edit.
    start: usize,
    /// Characters that were replaced.
    old: usize,
    /// Characters that replaced them.
    new: usize,
}

impl Positions {
    /// Notes an edit behind those noted before.
    pub(super) fn push(&mut self, start: usize, old: usize, new: usize) {
        self.0.push(Place { start, old, new });
    }

    /// The position in the client's text (in characters, from 1) of one in the text that was sent. A place
    /// inside of a replacement becomes the place of what was replaced.
    pub(super) fn to_client(&self, sent: usize) -> usize {
        let (mut old_gone, mut new_gone) = (0, 0);
        for place in &self.0 {
            let begins = place.start - old_gone + new_gone;
            if sent <= begins {
                break;
            }
            if sent <= begins + place.new {
                return place.start + 1;
            }
            old_gone += place.old;
            new_gone += place.new;
        }
        (sent + old_gone).saturating_sub(new_gone).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_back_to_the_clients_text() {
        // "select 'a', b" sent as "select ('xyz'), b"
        let mut p = Positions::default();
        p.push(7, 3, 7);
        for (sent, client) in [(1, 1), (7, 7), (8, 8), (12, 8), (14, 8), (15, 11), (17, 13)] {
            assert_eq!(p.to_client(sent), client, "sent {sent}");
        }
    }

    #[test]
    fn insertions_do_not_shift_what_stands_before_them() {
        // "select u" sent as "select public.u"
        let mut p = Positions::default();
        p.push(7, 0, 7);
        assert_eq!((p.to_client(7), p.to_client(15)), (7, 8));
    }
}
