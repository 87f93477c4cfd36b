//! Each statement to its verdict: under what is known now, kept if it was reached before, and reached again
//! before a prepared statement is bound.

use std::borrow::Cow;
use std::sync::Arc;

use super::knowledge::Readiness;
use super::plans::{Basis, Prepared};
use super::queue::{Kind, StandIn};
use super::refuse::{in_failed_transaction, plan_changed, stand_in, without_catalog};
use super::verdicts::Key;
use super::{Session, Step, Tools};
use crate::datum::Oid;
use crate::error::ClientFacing as _;
use crate::sql::{self, Arrival, Context, Effects, Verdict};
use crate::wire::backend::TransactionStatus;
use crate::wire::frontend::Target;

/// A statement's verdict with what it was reached under.
pub(super) enum Judged {
    Verdict(Verdict, Option<Basis>),
    Wait,
    Refused(Box<StandIn>),
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
        let verdict = self.analyse(text, utf8, declared, &basis, tools);
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
            Verdict::Refuse(refusal) => self.freshen(refusal.may_be_stale(), tools),
        };
        match fresh {
            Step::Done => Judged::Verdict(verdict, Some(basis)),
            Step::More | Step::Stall => Judged::Wait,
        }
    }

    /// The transaction has failed, and nothing that is on its way may have ended it.
    pub(super) fn has_failed(&self) -> bool {
        self.status == TransactionStatus::Failed && self.queue.is_empty() && !self.unsynced
    }

    pub(super) fn analyse(
        &self,
        text: &str,
        utf8: bool,
        declared: Option<&[Oid]>,
        basis: &Basis,
        tools: &mut Tools<'_>,
    ) -> Verdict {
        let key = Key::new(text, declared, basis, self.standard_strings, utf8);
        if let Some(verdict) = tools.verdicts.find(&basis.schema, &key) {
            return verdict.clone();
        }
        // A verdict that asked for the session's own plans holds for this session only.
        let asked = std::cell::Cell::new(false);
        let is_protected_plan = |name: &str| {
            asked.set(true);
            let is_refused = self.refused_names.contains(name);
            let name = name.as_bytes();
            if is_refused || self.queue.is_unsettled(Target::Statement(name)) {
                return true;
            }
            self.statements.get(name).is_some_and(|p| p.plan.is_some())
                || self.portals.get(name).is_some_and(|p| p.prepared.plan.is_some())
        };
        let context = Context {
            schema: &basis.schema,
            search_path: &basis.search_path,
            standard_conforming_strings: self.standard_strings,
            utf8,
            is_protected_plan: &is_protected_plan,
        };
        let arrival = match declared {
            Some(declared) => Arrival::Parse { declared },
            None => Arrival::Query,
        };
        let verdict = sql::analyze(text, arrival, &context);
        if !asked.get() {
            tools.verdicts.keep(&basis.schema, key, &verdict);
        }
        verdict
    }

    /// A prepared statement that is about to be bound, its plan checked against what is known now: one whose
    /// names have moved since it was parsed would send plaintext where it no longer belongs.
    pub(super) fn current(&mut self, name: &[u8], tools: &mut Tools<'_>) -> Current {
        if self.queue.is_unsettled(Target::Statement(name)) {
            return Current::Wait;
        }
        let Some(prepared) = self.statements.get(name).cloned() else { return Current::Unknown };
        if self.unclear_names.contains(name) {
            return Current::Refused(plan_changed());
        }
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
            return Current::Refused(stand_in(Kind::Bind, refusal.client_error(), refusal.label()));
        }
        if prepared.looked_up && self.freshen(false, tools) != Step::Done {
            return Current::Wait;
        }
        if *before == basis {
            return Current::Known(prepared);
        }
        let (plan, effects) =
            match self.analyse(&prepared.text, self.utf8, Some(&prepared.declared), &basis, tools) {
                Verdict::Forward(proof) => (None, proof.effects),
                Verdict::Rewrite(plan) => (Some(plan), Effects::default()),
                Verdict::Refuse(_) => return Current::Refused(plan_changed()),
            };
        if plan.as_deref() != prepared.plan.as_deref() {
            return Current::Refused(plan_changed());
        }
        let effects = plan.as_ref().map_or(effects, |p| p.effects);
        let renewed = Prepared::new(
            prepared.text.clone(),
            prepared.declared.clone(),
            prepared.plan.clone(),
            effects,
            Some(basis),
            prepared.positions.clone(),
        );
        let renewed = Arc::new(renewed.looked_up(prepared.looked_up));
        self.statements.insert(Box::from(name), renewed.clone());
        Current::Known(renewed)
    }
}
