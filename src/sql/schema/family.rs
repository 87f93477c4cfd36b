//! Tables that share columns, and columns that were made for sealed values and have lost their policy.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Consequence;
use super::build::Builder;
use crate::catalog::Relation as CatalogRelation;
use crate::catalog::{DependentKind, RelationName};
use crate::datum::Oid;
use crate::sql::{OutputValue, sealed_check};

impl Builder<'_> {
    /// Partitions and inheritance children hold what their parents hold.
    pub(super) fn inherited(&mut self) {
        let mut open = true;
        // Each round goes one generation down; a cycle cannot be in a catalog, and would end here too.
        for _ in 0..=self.catalog.relations.len() {
            if !std::mem::take(&mut open) {
                return;
            }
            for child in &self.catalog.relations {
                for parent in &child.parents {
                    open |= self.inherit(child, *parent);
                }
            }
        }
    }

    fn inherit(&mut self, child: &CatalogRelation, parent: Oid) -> bool {
        let parent = self.schema.names_by_oid.get(&parent).and_then(|name| self.schema.relation(name));
        let Some(parent) = parent.filter(|parent| parent.is_protected) else { return false };
        let mut conflict = None;
        let Some(relation) = self.relation_mut(&child.name) else { return false };
        let mut changed = !std::mem::replace(&mut relation.is_protected, true);
        for column in &mut relation.columns {
            let Some(OutputValue::Sealed(class)) = parent.column(&column.name).map(|c| &c.value) else {
                continue;
            };
            match &column.value {
                OutputValue::Plain => {
                    column.value = OutputValue::Sealed(Arc::clone(class));
                    changed = true;
                }
                OutputValue::Sealed(own)
                    if own.binding == class.binding && own.key == class.key && own.ty == class.ty => {}
                OutputValue::Sealed(_) | OutputValue::SealedArray(_) => conflict = Some(column.name.clone()),
            }
        }
        if let Some(column) = conflict {
            let message = format!("column {column} is encrypted in another way than in {}", parent.name);
            self.problem(&child.name, Some(&column), Consequence::Refused, message);
        }
        changed
    }

    /// A statement on a parent reads and writes the rows of its children. Where the policy names a child only, the
    /// rest of the family that shares the column would hold and take the same values in clear.
    pub(super) fn families(&mut self) {
        for (child, table) in &self.policy.tables {
            let own = self.schema.relations.get(child).map(|child| child.oid);
            let mut open: Vec<Oid> = own.into_iter().collect();
            let mut family = BTreeSet::new();
            while let Some(relation) = open.pop().and_then(|oid| self.by_oid.get(&oid).copied()) {
                let parents = relation.parents.iter().filter(|parent| family.insert(**parent));
                open.extend(parents);
            }
            let parents: Vec<_> = family.iter().filter_map(|oid| self.by_oid.get(oid).copied()).collect();
            for parent in parents {
                // Columns that the children have of their own are no part of the family.
                let names = parent.columns.iter().map(|column| column.name.as_str());
                let shared: Vec<&str> = names.filter(|name| table.columns.contains_key(*name)).collect();
                let below = self.catalog.with_descendants(parent.oid);
                for relation in self.catalog.relations.iter().filter(|relation| below.contains(&relation.oid))
                {
                    if relation.name != *child {
                        self.exposed(child, &shared, relation, family.contains(&relation.oid));
                    }
                }
            }
        }
    }

    /// Refuses a relation of a child's family that has an encrypted column of it in clear.
    fn exposed(
        &mut self,
        child: &RelationName,
        shared: &[&str],
        relation: &CatalogRelation,
        is_parent: bool,
    ) {
        let Some(member) = self.relation_mut(&relation.name) else { return };
        if member.blocked.is_some() {
            return;
        }
        let bare = member.columns.iter().find(|column| {
            shared.contains(&column.name.as_str()) && matches!(column.value, OutputValue::Plain)
        });
        let Some(column) = bare.map(|column| column.name.clone()) else { return };
        member.is_protected = true;
        let name = &relation.name;
        let message = if is_parent {
            format!(
                "column {column} is encrypted in {child}, which is a part of it, but not in itself; \
                 name {name} in the policy instead"
            )
        } else {
            format!(
                "column {column} is encrypted in {child}, which has the same parent, but not here; \
                 name their parent in the policy instead"
            )
        };
        self.problem(name, Some(&column), Consequence::Refused, message);
    }

    /// A column that was made for sealed values, as its CHECK says, and that the policy does not name (any more): it
    /// was renamed, or its table was. Statements would send plaintext to it.
    pub(super) fn marked(&mut self) {
        for relation in &self.catalog.relations {
            let Some(table) = self.schema.relation(&relation.name) else { continue };
            let marked = relation.dependents.iter().filter(|dependent| {
                dependent.kind == DependentKind::Check
                    && dependent
                        .expression
                        .as_deref()
                        .is_some_and(|expression| sealed_check::is_ours(&dependent.name, expression))
            });
            for dependent in marked {
                let bare = table.columns.iter().find(|column| {
                    dependent.columns.contains(&column.number) && matches!(column.value, OutputValue::Plain)
                });
                let Some(column) = bare else { continue };
                if let Some(table) = self.relation_mut(&relation.name) {
                    table.is_protected = true;
                }
                let message = format!(
                    "column {} holds encrypted values, as its CHECK {} says, but the policy does not name it; name it \
                     with the context that it had, or drop the constraint",
                    column.name, dependent.name
                );
                self.problem(&relation.name, Some(&column.name), Consequence::Refused, message);
            }
        }
    }
}
