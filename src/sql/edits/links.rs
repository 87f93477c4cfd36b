//! Casts of what constants make (`v.born::date`, `(CASE ... END)::text`): where such a cast belongs to an encrypted
//! column, it is one of each of those constants.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::catalog::Class;
use crate::sql::analysis::{Analyzer, Cast};
use crate::sql::refusal::Reason;
use crate::sql::typename::{Modifier, TEXT, VARCHAR};
use crate::sql::types::{Ty, Var};

/// A cast between what constants make and what becomes of it.
#[derive(Clone, Debug)]
pub(in crate::sql) struct Link {
    /// What is cast.
    pub(in crate::sql) from: Var,
    /// The result.
    pub(in crate::sql) to: Var,
    /// The cast.
    pub(in crate::sql) cast: Cast,
}

impl Link {
    /// Whether it only calls a string a string.
    pub(super) fn keeps_text(&self) -> bool {
        matches!(self.cast.target.oid, Some(TEXT | VARCHAR)) && self.cast.target.modifier == Modifier::None
    }
}

/// The casts by what they are made of.
pub(super) type Links = HashMap<Var, Vec<Link>>;

impl Analyzer<'_> {
    /// Gives what is cast the class of what becomes of it, and the other way round where the cast changes nothing.
    /// Returns the casts that are carried out on constants.
    pub(super) fn follow_links(&mut self) -> Links {
        let links = std::mem::take(&mut self.links);
        // A cast of a cast comes later.
        for link in links.iter().rev() {
            let Ty::Sealed(class) = self.inference.resolve(&Ty::Var(link.to)) else { continue };
            match self.inference.resolve(&Ty::Var(link.from)) {
                Ty::Var(_) => self.inference.adopt(link.from, link.to, Ty::Sealed(class)),
                Ty::Sealed(known) => self.both_known(link, &known, &class),
                Ty::Plain | Ty::Array(_) | Ty::Row(_) => {
                    let construct = "a cast".to_owned();
                    self.refuse(Reason::MeetsPlain { column: class.column.clone(), construct });
                }
            }
        }
        for link in &links {
            let Ty::Sealed(class) = self.inference.resolve(&Ty::Var(link.from)) else { continue };
            match self.inference.resolve(&Ty::Var(link.to)) {
                Ty::Sealed(_) => {}
                Ty::Var(_) if link.keeps_text() && self.unchanged(&class, &link.cast.target).is_some() => {
                    let ty = self.unchanged(&class, &link.cast.target).unwrap_or_else(|| class.ty.clone());
                    let class = Arc::new(Class { ty, bare: true, ..Class::clone(&class) });
                    self.inference.adopt(link.to, link.from, Ty::Sealed(class));
                }
                Ty::Var(_) | Ty::Plain | Ty::Array(_) | Ty::Row(_) => self.cast_refused(link, &class),
            }
        }
        let mut by_source = Links::new();
        for link in links {
            if let Ty::Sealed(_) = self.inference.resolve(&Ty::Var(link.to)) {
                by_source.entry(self.inference.root(link.from)).or_default().push(link);
            }
        }
        self.cast_roots = self.changing_roots(&by_source);
        by_source
    }

    fn both_known(&mut self, link: &Link, known: &Arc<Class>, class: &Arc<Class>) {
        let alike =
            known.binding == class.binding && known.key == class.key && known.storage == class.storage;
        if !alike || self.unchanged(known, &link.cast.target).is_none() {
            self.cast_refused(link, known);
        }
    }

    fn cast_refused(&mut self, link: &Link, class: &Class) {
        let (column, target) = (class.column.clone(), self.shown(&link.cast));
        self.refuse(Reason::CastOfColumn { column, target });
    }

    /// What is sealed after a cast that may change it: it is not what it was before.
    fn changing_roots(&self, links: &Links) -> HashSet<Var> {
        links
            .iter()
            .filter(|(_, links)| links.iter().any(|link| !link.keeps_text()))
            .map(|(root, _)| *root)
            .collect()
    }

    /// The casts that a constant goes through, one after the other, or the one that cannot be carried out.
    pub(super) fn linked<'l>(&self, var: Var, links: &'l Links) -> Result<Vec<&'l Link>, String> {
        let mut found: Vec<&Link> = Vec::new();
        let mut at = self.inference.root(var);
        while let Some(next) = links.get(&at) {
            let [first, rest @ ..] = next.as_slice() else { break };
            // Its other uses would have to be other values.
            let changes =
                !first.keeps_text() || !rest.is_empty() && rest.iter().any(|link| !link.keeps_text());
            if changes && (!rest.is_empty() || self.inference.is_compared(at)) || found.len() > links.len() {
                return Err(self.shown(&first.cast));
            }
            found.push(first);
            at = self.inference.root(first.to);
        }
        Ok(found)
    }
}
