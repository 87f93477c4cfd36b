//! How statements use the columns of a proposal, found by the analysis itself.
//!
//! All columns start randomized. Each statement is analysed; a refusal that says that a column is compared makes it
//! deterministic, one that says that two columns meet gives them one context, until nothing changes. What is refused
//! then is refused in any mode.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::columns::{Column, Proposal};
use crate::catalog::{Catalog, ColumnName, SessionFacts};
use crate::cli::check::queries::Sent;
use crate::cli::check::tally::Judge;
use crate::crypto::Mode;
use crate::policy::Policy;
use crate::sql::{Reason, Refusal, Schema, Verdict};

/// What the statements are, and under what they are analysed.
pub(super) struct Usage<'a> {
    /// The statements, views' queries (of no calls) among them.
    pub(super) sent: &'a [Sent],
    /// The database's catalog, as it is.
    pub(super) catalog: &'a Catalog,
    /// The search path.
    pub(super) facts: &'a SessionFacts,
}

/// Schemas of one proposal, by the columns that are left out.
struct Schemas<'a> {
    usage: &'a Usage<'a>,
    proposal: &'a Proposal,
    known: BTreeMap<BTreeSet<ColumnName>, Rc<Schema>>,
}

impl Usage<'_> {
    /// Gives the columns of a proposal the modes and contexts that the statements need, and notes what they do.
    /// Returns what will be refused for reasons that are no column's, with the calls.
    ///
    /// # Errors
    /// A proposal is no policy, which would be a mistake of this program.
    pub(super) fn learn(&self, proposal: &mut Proposal) -> anyhow::Result<BTreeMap<String, u64>> {
        // Each round but the last makes a column deterministic, or two contexts one.
        for _ in 0..=2 * proposal.columns.len() {
            let mut next = proposal.clone();
            let mut schemas = Schemas::new(self, proposal);
            let mut changed = false;
            for sent in self.sent {
                for refusal in schemas.refusals(sent)? {
                    changed |= improve(&mut next, &refusal);
                }
            }
            if !changed {
                break;
            }
            *proposal = next;
        }
        choose_contexts(proposal);
        self.note_comparisons(proposal)?;
        self.note_refusals(proposal)
    }

    /// What compares each deterministic column: the statements that would be refused if it alone were not.
    fn note_comparisons(&self, proposal: &mut Proposal) -> anyhow::Result<()> {
        let compared = proposal.columns.iter().filter(|(_, column)| column.mode == Mode::Deterministic);
        let names: Vec<ColumnName> = compared.map(|(name, _)| name.clone()).collect();
        for name in names {
            let mut without = proposal.clone();
            randomize(&mut without, &name);
            let mut schemas = Schemas::new(self, &without);
            let mut found: BTreeMap<String, u64> = BTreeMap::new();
            let word = name.column.to_lowercase();
            for sent in self.sent.iter().filter(|sent| sent.text.to_lowercase().contains(&word)) {
                for refusal in schemas.refusals(sent)? {
                    match &*refusal.reason {
                        Reason::NotComparable { column, construct } if *column == name => {
                            *found.entry(construct.clone()).or_default() += sent.calls;
                        }
                        Reason::DifferentlySealed { left, right, construct }
                            if *left == name || *right == name =>
                        {
                            *found.entry(construct.clone()).or_default() += sent.calls;
                        }
                        _ => {}
                    }
                }
            }
            if let Some(column) = proposal.columns.get_mut(&name) {
                column.compared = found;
            }
        }
        Ok(())
    }

    fn note_refusals(&self, proposal: &mut Proposal) -> anyhow::Result<BTreeMap<String, u64>> {
        let frozen = proposal.clone();
        let mut schemas = Schemas::new(self, &frozen);
        let mut others: BTreeMap<String, u64> = BTreeMap::new();
        for sent in self.sent {
            for refusal in schemas.refusals(sent)? {
                let (column, construct) = refusal.about();
                let noted = match column.and_then(|column| proposal.columns.get_mut(column)) {
                    Some(column) => column.refused.entry(construct.unwrap_or_else(|| refusal.to_string())),
                    None if fails_today(&refusal) => continue,
                    None => others.entry(refusal.to_string()),
                };
                let calls = noted.or_default();
                *calls = calls.saturating_add(sent.calls);
            }
        }
        Ok(others)
    }
}

impl<'a> Schemas<'a> {
    fn new(usage: &'a Usage<'a>, proposal: &'a Proposal) -> Self {
        Self { usage, proposal, known: BTreeMap::new() }
    }

    /// What speaks against a statement. The analysis tells one thing at a time, so a column that it has told of is
    /// left out, with those that share its context, and it is asked again.
    fn refusals(&mut self, sent: &Sent) -> anyhow::Result<Vec<Refusal>> {
        let mut refusals = Vec::new();
        let mut without = BTreeSet::new();
        loop {
            let schema = self.schema(&without)?;
            let Verdict::Refuse(refusal) =
                Judge::new(&schema, self.usage.facts).verdict(&sent.text, sent.way)
            else {
                return Ok(refusals);
            };
            let column =
                refusal.about().0.filter(|column| self.proposal.columns.contains_key(column)).cloned();
            let Some(column) = column else {
                if without.is_empty() {
                    refusals.push(refusal);
                }
                return Ok(refusals);
            };
            if !without.is_empty() && is_made_by_leaving_out(&refusal) {
                return Ok(refusals);
            }
            let more = self.proposal.family(&column);
            if more.is_subset(&without) {
                return Ok(refusals);
            }
            without.extend(more);
            refusals.push(refusal);
        }
    }

    fn schema(&mut self, without: &BTreeSet<ColumnName>) -> anyhow::Result<Rc<Schema>> {
        if let Some(schema) = self.known.get(without) {
            return Ok(Rc::clone(schema));
        }
        let policy = Policy::parse(&self.proposal.policy(without), "the proposed policy")?;
        // What stands in the way of every statement would hide what each of them does; it is told of later.
        let catalog = self.usage.catalog.once_encrypted(&policy).without_dependents();
        let schema = Rc::new(Schema::build(&policy, &catalog).0);
        self.known.insert(without.clone(), Rc::clone(&schema));
        Ok(schema)
    }
}

/// Changes a proposal so that a refusal goes away, if a mode or a context can do that.
fn improve(proposal: &mut Proposal, refusal: &Refusal) -> bool {
    match &*refusal.reason {
        Reason::NotComparable { column, .. } => proposal.compare(column),
        Reason::DifferentlySealed { left, right, .. } => {
            let context = |name| proposal.columns.get(name).map(|column| column.context.clone());
            context(left) != context(right) && proposal.join(left, right)
        }
        _ => false,
    }
}

/// Whether a refusal may come from columns that were left out beside it.
fn is_made_by_leaving_out(refusal: &Refusal) -> bool {
    matches!(
        &*refusal.reason,
        Reason::MeetsPlain { .. }
            | Reason::StoredInPlain { .. }
            | Reason::PlainStored { .. }
            | Reason::ParameterConflict { .. }
            | Reason::CastOfConstant { .. }
            | Reason::BesideColumn { .. }
    )
}

/// Whether a plaintext database would refuse it too.
fn fails_today(refusal: &Refusal) -> bool {
    matches!(
        &*refusal.reason,
        Reason::UndefinedColumn { .. }
            | Reason::UndefinedTable { .. }
            | Reason::UndefinedAlias { .. }
            | Reason::AmbiguousColumn { .. }
            | Reason::UndefinedStatement { .. }
    )
}

/// Takes a column out of its context and makes it randomized.
fn randomize(proposal: &mut Proposal, name: &ColumnName) {
    let heirs: Vec<ColumnName> = proposal.family(name).into_iter().filter(|other| other != name).collect();
    if let Some(heir) = heirs.first().cloned() {
        for other in &heirs {
            if let Some(column) = proposal.columns.get_mut(other) {
                column.context.clone_from(&heir);
            }
        }
    }
    if let Some(column) = proposal.columns.get_mut(name) {
        column.mode = Mode::Randomized;
        column.context = name.clone();
    }
}

/// Names each context after its unique column, or the first.
fn choose_contexts(proposal: &mut Proposal) {
    let names: Vec<ColumnName> = proposal.columns.keys().cloned().collect();
    for name in names {
        let family = proposal.family(&name);
        let is_unique = |column: &&Column| column.constraints.iter().any(|why| why.starts_with("unique"));
        let unique = family.iter().find(|name| proposal.columns.get(name).as_ref().is_some_and(is_unique));
        let Some(chosen) = unique.or(family.first()).cloned() else { continue };
        for name in &family {
            if let Some(column) = proposal.columns.get_mut(name) {
                column.context.clone_from(&chosen);
            }
        }
    }
}
