//! Each statement to its verdict: under what is known now, kept if it was reached before, and reached again
//! before a prepared statement is bound.

use std::borrow::Cow;
use std::sync::Arc;

use super::knowledge::Readiness;
use super::names::SessionNames;
use super::plans::{Basis, Prepared};
use super::queue::{Errand, Kind, StandIn};
use super::refuse::{in_failed_transaction, plan_changed, stand_in, stand_in_of, without_catalog};
use super::stopwatch::Part;
use super::verdicts::Key;
use super::{Session, Step, Tools};
use crate::datum::Oid;
use crate::sql::{self, Arrival, Mold, Plan, Shape, Verdict};
use crate::wire::backend::TransactionStatus;
use crate::wire::frontend::{Parse, Target};

/// A statement's verdict with what it was reached under.
pub(super) enum Judged {
    Verdict(Verdict, Option<Grounds>),
    Wait,
    Refused(Box<StandIn>),
}

/// What a verdict rests on.
#[derive(Clone)]
pub(super) struct Grounds {
    pub(super) basis: Basis,
    /// And on what names stood for.
    pub(super) asked_names: bool,
}

/// A verdict, and whether it asked for names.
pub(super) struct Analysed {
    verdict: Verdict,
    asked_names: bool,
}

/// What a Bind's statement is now.
pub(super) enum Current {
    Known(Arc<Prepared>),
    /// Not one that was parsed through here: the server's to judge.
    Unknown,
    Wait,
    Refused(Box<StandIn>),
}

impl Session {
    /// The text, and whether it may hold protected values: only UTF-8 may. Text in another encoding is looked
    /// at for names, which are found as far as they are ASCII.
    pub(super) fn decode<'t>(&self, text: &'t [u8]) -> (Cow<'t, str>, bool) {
        match std::str::from_utf8(text) {
            Ok(text) => (Cow::Borrowed(text), self.utf8),
            Err(_) => (String::from_utf8_lossy(text), false),
        }
    }

    /// What is to be done with a text; `declared` for one that came by Parse.
    pub(super) fn judge(
        &mut self,
        text: &str,
        utf8: bool,
        declared: Option<&[Oid]>,
        tools: &mut Tools<'_>,
    ) -> Judged {
        let kind = if declared.is_some() { Kind::Parse } else { Kind::Query };
        // To read the catalog inside a transaction might get in the way of these: SET TRANSACTION has to come
        // before any query, and the end of a transaction makes what was read in it void.
        if (self.unsynced || self.status != TransactionStatus::Idle)
            && !self.knowledge.is_complete()
            && let Some(effects) = sql::without_catalog(text)
        {
            return Judged::Verdict(Verdict::Forward(sql::Untouched::by_words(effects)), None);
        }
        let basis = match self.readiness(tools) {
            Readiness::Go(basis) => basis,
            Readiness::Wait => return Judged::Wait,
            Readiness::Refused(error) => {
                return Judged::Refused(without_catalog(kind, error));
            }
            // The server refuses it whatever it holds, so it need not see it.
            Readiness::InFailedTransaction => {
                return Judged::Refused(stand_in(kind, in_failed_transaction(), "failed transaction"));
            }
        };
        let Analysed { verdict, asked_names } = match self.analyse(text, utf8, declared, &basis, tools) {
            Some(analysed) => analysed,
            None => {
                self.ask_for_replies();
                return Judged::Wait;
            }
        };
        let fresh = match &verdict {
            // A name that cannot be looked up now may be a protected relation's new one. The server carries
            // nothing out before the transaction ends.
            Verdict::Forward(proof) if proof.unresolved && self.has_failed() => {
                return Judged::Refused(stand_in(kind, in_failed_transaction(), "failed transaction"));
            }
            Verdict::Forward(proof) if proof.unresolved || proof.looked_up => {
                self.freshen(proof.unresolved, tools)
            }
            Verdict::Forward(_) => Step::Done,
            Verdict::Rewrite(plan) => self.freshen(plan.unresolved, tools),
            Verdict::Refuse(refusal) => match refusal.may_be_stale() {
                true => self.refreshed(tools),
                false => self.freshen(false, tools),
            },
        };
        match fresh {
            Step::Done => {
                self.saw_verdict(text, &verdict);
                Judged::Verdict(verdict, Some(Grounds { basis, asked_names }))
            }
            Step::More | Step::Stall => Judged::Wait,
        }
    }

    /// Whether what speaks against a statement still does in a catalog that is read now.
    fn refreshed(&mut self, tools: &mut Tools<'_>) -> Step {
        match self.freshen(true, tools) {
            Step::Done => self.await_locks(tools),
            waiting => waiting,
        }
    }

    /// The transaction has failed, and nothing that is on its way may have ended it.
    pub(super) fn has_failed(&self) -> bool {
        self.status == TransactionStatus::Failed && self.queue.is_empty() && !self.unsynced
    }

    /// `None`: it depends on what a name stands for, and that on an answer that is still due.
    pub(super) fn analyse(
        &self,
        text: &str,
        utf8: bool,
        declared: Option<&[Oid]>,
        basis: &Basis,
        tools: &mut Tools<'_>,
    ) -> Option<Analysed> {
        let since = self.timer();
        let analysed = self.analyse_text(text, utf8, declared, basis, tools);
        self.spent(Part::Analysis, since);
        analysed
    }

    fn analyse_text(
        &self,
        text: &str,
        utf8: bool,
        declared: Option<&[Oid]>,
        basis: &Basis,
        tools: &mut Tools<'_>,
    ) -> Option<Analysed> {
        let key = Key::new(text, declared, basis, self.standard_strings, utf8);
        if let Some(verdict) = tools.verdicts.find(&basis.schema, &key) {
            tools.metrics.worker.verdicts_by_text.add(1);
            return Some(Analysed { verdict: verdict.clone(), asked_names: false });
        }
        // Parsed statements come again as they are; texts with values in them hardly ever do.
        let shape = if declared.is_none() { Shape::of(text) } else { None };
        let shape = shape.map(|shape| (key.of_shape(&shape), shape));
        if let Some((key, shape)) = &shape
            && let Some(verdict) = tools.verdicts.find_shape(&basis.schema, key, text, shape)
        {
            tools.metrics.worker.verdicts_by_shape.add(1);
            return Some(Analysed { verdict, asked_names: false });
        }
        tools.metrics.worker.verdicts_by_analysis.add(1);
        let names = SessionNames::new(self, basis);
        let context = self.context(basis, utf8, &names);
        let arrival = match declared {
            Some(declared) => Arrival::Parse { declared },
            None => Arrival::Query,
        };
        let verdict = sql::analyze(text, arrival, &context);
        if names.awaited.get() {
            return None;
        }
        let asked_names = names.asked.get();
        // One that asked for the session's names holds for this session only.
        if !asked_names {
            let mold = shape.and_then(|(key, shape)| {
                Some((key, Mold::new(text, &shape, &verdict, basis.schema.names())?))
            });
            match mold {
                Some((key, mold)) => tools.verdicts.keep_shape(&basis.schema, key, mold),
                None => tools.verdicts.keep(&basis.schema, key, &verdict),
            }
        }
        Some(Analysed { verdict, asked_names })
    }

    /// A prepared statement that is about to be bound, its plan checked against what is known now: one whose
    /// names have moved since it was parsed would send plaintext where it no longer belongs.
    pub(super) fn current(&mut self, name: &[u8], tools: &mut Tools<'_>) -> Current {
        if self.queue.is_unsettled(Target::Statement(name)) || self.awaits_name(name) {
            return Current::Wait;
        }
        let Some(prepared) = self.statements.get(name).cloned() else { return Current::Unknown };
        let Some(before) = &prepared.basis else { return Current::Known(prepared) };
        if !self.knowledge.is_complete() && sql::without_catalog(&prepared.text).is_some() {
            return Current::Known(prepared);
        }
        let basis = match self.readiness(tools) {
            Readiness::Go(basis) => basis,
            Readiness::Wait => return Current::Wait,
            Readiness::Refused(error) => {
                return Current::Refused(without_catalog(Kind::Bind, error));
            }
            // The server refuses it whatever it holds, so it need not see it.
            Readiness::InFailedTransaction => {
                return Current::Refused(stand_in(Kind::Bind, in_failed_transaction(), "failed transaction"));
            }
        };
        if prepared.plan.is_some() && !self.utf8 {
            let refusal = sql::Refusal::new(sql::Reason::Encoding, None);
            return Current::Refused(stand_in_of(Kind::Bind, &refusal));
        }
        if prepared.looked_up && self.freshen(false, tools) != Step::Done {
            return Current::Wait;
        }
        if *before == basis && !prepared.asked_names {
            return Current::Known(prepared);
        }
        let (text, declared) = (prepared.text.clone(), prepared.declared.clone());
        let Some(Analysed { verdict, asked_names }) =
            self.analyse(&text, self.utf8, Some(&declared), &basis, tools)
        else {
            self.ask_for_replies();
            return Current::Wait;
        };
        let renewed = match (verdict, &prepared.plan) {
            (Verdict::Forward(proof), None) => Prepared::forwarded(text, declared, proof, Some(basis)),
            (Verdict::Rewrite(plan), Some(before)) if plan == *before => {
                let positions = prepared.positions.clone();
                Prepared::rewritten(text, declared, plan, Some(basis), positions)
            }
            (Verdict::Rewrite(plan), Some(then))
                if before.search_path == basis.search_path
                    && (plan.differs_by_forms(then)
                        || plan.differs_by_change(&basis.schema, then, &before.schema)) =>
            {
                // The transaction has failed, and what is bound in it is not looked at.
                if self.status == TransactionStatus::Failed {
                    return Current::Known(prepared);
                }
                return self.parse_again(name, &prepared, plan, basis, asked_names, tools);
            }
            (Verdict::Refuse(refusal), _)
                if refusal.may_be_stale() && self.refreshed(tools) != Step::Done =>
            {
                return Current::Wait;
            }
            (Verdict::Forward(_) | Verdict::Rewrite(_) | Verdict::Refuse(_), _) => {
                return Current::Refused(plan_changed());
            }
        };
        let looked_up = renewed.looked_up || prepared.looked_up;
        let renewed = Arc::new(Prepared { asked_names, looked_up, ..renewed });
        self.statements.insert(Box::from(name), renewed.clone());
        Current::Known(renewed)
    }

    /// Has the server parse a statement again whose constants stand there in other forms than when the client had it
    /// parsed: a move of values to another key has begun or ended since. The client sees nothing of it.
    fn parse_again(
        &mut self,
        name: &[u8],
        before: &Prepared,
        plan: Arc<Plan>,
        basis: Basis,
        asked_names: bool,
        tools: &mut Tools<'_>,
    ) -> Current {
        let (text, declared) = (before.text.clone(), before.declared.clone());
        let (edited, positions) = match super::splice::text(&text, &plan.edits, &mut self.values(tools)) {
            Ok(edited) => edited,
            Err(error) => return Current::Refused(stand_in(Kind::Bind, error, "value")),
        };
        let types = super::splice::declared_types(&declared, &plan.parameters);
        let prepared = Prepared::rewritten(text, declared, plan, Some(basis), positions);
        let prepared = Arc::new(Prepared { asked_names, ..prepared });
        self.inject(Kind::Close, Errand::Verify, |out| Target::Statement(name).write(out, b'C'));
        self.inject(Kind::Parse, Errand::Verify, |out| {
            Parse { name, text: edited.as_bytes(), types }.write(out);
        });
        let undo = self.remember(name, prepared.clone());
        if let Some(entry) = self.queue.back_mut() {
            entry.prepared = Some(prepared.clone());
        }
        self.queue.undo_of_last(undo);
        self.describe_to_verify(name, &prepared);
        self.unsynced = true;
        Current::Known(prepared)
    }
}
