//! What the policy says of columns, whether the database has them or not: what CREATE TABLE and ADD COLUMN make.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Relation, RelationColumn, Schema};
use crate::catalog::{Class, RelationKind, RelationName};
use crate::datum::TypeName;
use crate::sql::OutputValue;

/// A table of the policy.
#[derive(Clone, Debug, Default)]
pub(in crate::sql) struct Planned {
    /// Its columns by name.
    pub(in crate::sql) columns: BTreeMap<String, PlannedColumn>,
}

/// A column of the policy.
#[derive(Clone, Debug)]
pub(in crate::sql) struct PlannedColumn {
    /// The type, as the policy has it.
    pub(in crate::sql) ty: TypeName,
    /// How it is sealed, and as what it is made.
    pub(in crate::sql) class: Arc<Class>,
    /// Why no value can be sealed for it yet: the database has no type of that name.
    pub(in crate::sql) undecided: Option<String>,
}

impl Schema {
    /// What the policy says of a table.
    pub(in crate::sql) fn planned(&self, table: &RelationName) -> Option<&Planned> {
        self.planned.get(table)
    }

    /// The same database with another relation in it, or another one in the place of one of its name.
    #[must_use]
    pub(in crate::sql) fn with(&self, relation: Relation) -> Self {
        let mut schema = self.clone();
        schema.names_by_oid.insert(relation.oid, relation.name.clone());
        if relation.is_protected {
            schema.names.insert(&relation.name.name);
        }
        schema.relations.insert(relation.name.clone(), Arc::new(relation));
        schema
    }

    /// The same database without a relation.
    #[must_use]
    pub(in crate::sql) fn without(&self, relation: &RelationName) -> Self {
        let mut schema = self.clone();
        schema.relations.remove(relation);
        schema
    }

    /// The first thing that the policy would not say of a table under another name. Columns that are sealed because a
    /// parent's are stay so.
    pub(in crate::sql) fn renamed(&self, relation: &Relation, new: &RelationName) -> Option<Disagreement> {
        let planned = self.planned(new);
        let columns = relation.columns.iter().map(|column| (column, self.class_by_policy(relation, column)));
        let is_own = |(column, class): &(&RelationColumn, Option<&Arc<Class>>)| {
            class.is_none_or(|class| class.column.relation == relation.name)
                || planned.is_some_and(|planned| planned.columns.contains_key(&column.name))
        };
        let columns = columns.filter(is_own);
        let columns = columns.map(|(column, class)| (column.name.as_str(), class.map(Arc::as_ref)));
        Planned::disagrees(planned, columns)
    }

    /// How a column is sealed; or how it should be, where the database has it in another type.
    pub(in crate::sql) fn class_by_policy<'c>(
        &'c self,
        relation: &Relation,
        column: &'c RelationColumn,
    ) -> Option<&'c Arc<Class>> {
        let planned = || Some(&self.planned(&relation.name)?.columns.get(&column.name)?.class);
        column.class().or_else(planned)
    }

    /// The same for all tables of a schema, by their new names.
    pub(in crate::sql) fn renamed_schema(
        &self,
        old: &str,
        new: &str,
    ) -> Option<(RelationName, Disagreement)> {
        let tables = self.relations.values().filter(|relation| {
            relation.name.schema == old
                && !matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView)
        });
        let found = tables.filter_map(|relation| {
            let name = RelationName::new(new, &relation.name.name);
            self.renamed(relation, &name).map(|disagreement| (name, disagreement))
        });
        found.min_by(|(a, _), (b, _)| a.name.cmp(&b.name))
    }

    /// Where a table of that name would be made: in the first schema of the search path that is not PostgreSQL's own.
    /// The schema of temporary tables stands in front of all where the path does not name it, and is not meant then.
    pub(in crate::sql) fn creation_schema(search_path: &[String]) -> Option<&String> {
        let implied = usize::from(search_path.first().is_some_and(|first| first.starts_with("pg_temp_")));
        search_path.iter().skip(implied).find(|schema| *schema != "pg_catalog")
    }
}

impl Planned {
    /// Whether exactly the columns of the policy are sealed in a relation, and each as the policy says.
    pub(in crate::sql) fn disagrees<'c>(
        planned: Option<&Self>,
        columns: impl IntoIterator<Item = (&'c str, Option<&'c Class>)>,
    ) -> Option<Disagreement> {
        columns.into_iter().find_map(|(name, sealed)| {
            let own = planned.and_then(|planned| planned.columns.get(name));
            match (own, sealed) {
                (None, None) => None,
                (None, Some(class)) => Some(Disagreement::Unnamed(name.to_owned(), class.clone())),
                (Some(_), None) => Some(Disagreement::Plain(name.to_owned())),
                (Some(own), Some(class)) if alike(&own.class, class) => None,
                (Some(_), Some(class)) => Some(Disagreement::Differs(name.to_owned(), class.clone())),
            }
        })
    }
}

/// How a relation's column is not what the policy says.
#[derive(Clone, Debug)]
pub(in crate::sql) enum Disagreement {
    /// It is sealed, and the policy does not name it.
    Unnamed(String, Class),
    /// The policy names it, and it is not sealed.
    Plain(String),
    /// It is sealed in another way than the policy says.
    Differs(String, Class),
}

/// Whether a value of one column opens as one of another: they may be stored differently.
pub(in crate::sql) fn alike(a: &Class, b: &Class) -> bool {
    a.binding == b.binding && a.key == b.key && a.ty == b.ty
}

impl RelationColumn {
    /// How it is sealed, if it is.
    pub(in crate::sql) fn class(&self) -> Option<&Arc<Class>> {
        match &self.value {
            OutputValue::Sealed(class) => Some(class),
            OutputValue::Plain | OutputValue::SealedArray(_) => None,
        }
    }
}
