//! What cannot be moved value by value, or only slowly.

use std::fmt;

use tokio_postgres::Client;

use super::Context;
use crate::catalog::{Attribute, Catalog, DependentKind, OWN_TRIGGER, Relation, RelationKind};
use crate::datum::Base;
use crate::jobs::walk::{Form, Walk};
use crate::jobs::{JobError, Table, of_t, value};
use crate::policy::{ColumnName, RelationName};

/// A btree's entry has 2,692 bytes at most, and base64 makes four of three.
const MAX_PLAINTEXT: usize = 1900;

/// Something that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// Bounds of partitions are values.
    PartitionKey(ColumnName),
    /// A constant in the table's definition.
    Default(ColumnName),
    /// Copies that no batch reaches.
    Materialized(RelationName),
    /// A foreign key to a column of another context.
    ForeignKey(RelationName, String),
    /// A trigger that would change values behind ours.
    LaterTrigger(RelationName, String),
    /// A server of its own.
    Foreign(RelationName),
    /// Values that are sealed for different types cannot be told apart in one map.
    Types,
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartitionKey(column) => {
                write!(f, "column {column} is in a partition key, whose bounds do not move")
            }
            Self::Default(column) => write!(
                f,
                "column {column} has a default: drop it, and set it again through the proxy afterwards"
            ),
            Self::Materialized(view) => {
                write!(f, "materialized view {view} has copies: drop it, and make it again afterwards")
            }
            Self::ForeignKey(table, name) => write!(
                f,
                "foreign key {name} of {table} goes to a column of another context: give both columns one context"
            ),
            Self::LaterTrigger(table, name) => write!(
                f,
                "trigger {name} on {table} would come behind the one of this job: give it a name that sorts before {OWN_TRIGGER}"
            ),
            Self::Foreign(table) => write!(f, "{table} is a foreign table"),
            Self::Types => write!(f, "its columns have different types"),
        }
    }
}

/// Refuses plaintext that could not be told from sealed values, is not what the policy declares, or is too long for the
/// map's index (and any other) once it is sealed.
pub(super) async fn plaintext(client: &Client, context: &Context) -> Result<(), JobError> {
    for table in &context.tables {
        let order = table.order(client).await?;
        for column in &table.columns {
            let value = of_t(&column.name);
            let limit = match (&column.class.ty.base, column.class.ty.modifier) {
                (Base::Varchar, modifier @ 4..) => modifier - 4,
                _ => i32::MAX,
            };
            let wrong = [
                (value::is_sealed_text(&value), "begin as encrypted ones do"),
                (format!("pg_catalog.length({value}) > {limit}"), "are longer than the policy allows"),
                (
                    format!("pg_catalog.octet_length({value}) > {MAX_PLAINTEXT}"),
                    "are too long to be indexed once they are encrypted",
                ),
            ];
            for (condition, why) in wrong {
                let one = Table { name: table.name.clone(), columns: vec![column.clone()] };
                let walk =
                    Walk { table: &one, order: &order, condition: &condition, batch: 1, form: Form::Stored };
                let count = walk.count(client).await?;
                if count > 0 {
                    let row = walk.sample(client, 1).await?.pop();
                    let row = row.map_or_else(String::new, |row| order.row(&row.key, &row.place));
                    let column = table.column_name(column);
                    return Err(JobError::Plaintext { column, count, why, row });
                }
            }
        }
    }
    Ok(())
}

/// One a line.
pub(super) fn list(hindrances: &[Hindrance]) -> String {
    hindrances.iter().map(|hindrance| format!("\n  {hindrance}")).collect()
}

/// What keeps a context from being moved.
pub(super) fn hindrances(context: &Context, catalog: &Catalog) -> Vec<Hindrance> {
    let mut found = Vec::new();
    let families: std::collections::BTreeSet<&str> = context
        .tables
        .iter()
        .flat_map(|table| table.columns.iter().map(|column| column.class.binding.family.as_str()))
        .collect();
    let storages = || context.tables.iter().flat_map(|table| &table.columns).map(|c| c.class.storage);
    if families.len() > 1 || storages().any(|storage| storage != context.storage) {
        found.push(Hindrance::Types);
    }
    for relation in &catalog.relations {
        let own = columns_of(context, relation);
        if own.is_empty() {
            continue;
        }
        match relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable => {
                table(context, catalog, relation, &own, &mut found)
            }
            RelationKind::MaterializedView => found.push(Hindrance::Materialized(relation.name.clone())),
            RelationKind::ForeignTable => found.push(Hindrance::Foreign(relation.name.clone())),
            RelationKind::View | RelationKind::Sequence | RelationKind::CompositeType => {}
        }
    }
    found
}

fn table(
    context: &Context,
    catalog: &Catalog,
    relation: &Relation,
    own: &[&Attribute],
    found: &mut Vec<Hindrance>,
) {
    let of = |numbers: &[i16]| own.iter().find(|attribute| numbers.contains(&attribute.number));
    for attribute in own {
        if attribute.default.as_deref().is_some_and(|default| !default.starts_with("NULL")) {
            found.push(Hindrance::Default(relation.name.column(&attribute.name)));
        }
    }
    for dependent in &relation.dependents {
        match dependent.kind {
            DependentKind::PartitionKey => {
                if let Some(attribute) = of(&dependent.columns) {
                    found.push(Hindrance::PartitionKey(relation.name.column(&attribute.name)));
                }
            }
            DependentKind::ForeignKey | DependentKind::ReferencedBy => {
                let Some((other, numbers)) = &dependent.other_end else { continue };
                let other = catalog.relations.iter().find(|relation| relation.oid == *other);
                let pairs = dependent.columns.iter().zip(numbers);
                let leaves = pairs.filter(|(number, _)| of(&[**number]).is_some()).any(|(_, number)| {
                    other.is_none_or(|other| {
                        !columns_of(context, other).iter().any(|attribute| attribute.number == *number)
                    })
                });
                if leaves {
                    found.push(Hindrance::ForeignKey(relation.name.clone(), dependent.name.clone()));
                }
            }
            DependentKind::BeforeRowTrigger
                if dependent.name.as_str() > OWN_TRIGGER && !dependent.name.starts_with(OWN_TRIGGER) =>
            {
                found.push(Hindrance::LaterTrigger(relation.name.clone(), dependent.name.clone()));
            }
            DependentKind::BeforeRowTrigger
            | DependentKind::Policy
            | DependentKind::Check
            | DependentKind::Unique
            | DependentKind::Exclusion
            | DependentKind::Index
            | DependentKind::ExpressionIndex
            | DependentKind::ConditionalTrigger
            | DependentKind::Rule => {}
        }
    }
}

/// Whether triggers of the application may change what is written to the tables, or keep it from being written.
pub(super) fn has_triggers(context: &Context, catalog: &Catalog) -> bool {
    let with_rows = |relation: &&Relation| !columns_of(context, relation).is_empty();
    let mut dependents = catalog.relations.iter().filter(with_rows).flat_map(|relation| &relation.dependents);
    dependents.any(|dependent| {
        dependent.kind == DependentKind::BeforeRowTrigger && !dependent.name.starts_with(OWN_TRIGGER)
    })
}

/// Columns whose rows are found by reading the whole table, since no index begins with them.
pub(super) fn without_index(context: &Context, catalog: &Catalog) -> Vec<ColumnName> {
    let mut found = Vec::new();
    for table in &context.tables {
        let relation = catalog.relations.iter().find(|relation| relation.name == table.name);
        for column in &table.columns {
            let number = relation.and_then(|relation| {
                relation.columns.iter().find(|attribute| attribute.name == column.name).map(|a| a.number)
            });
            let is_indexed =
                relation.into_iter().flat_map(|relation| &relation.dependents).any(|dependent| {
                    matches!(dependent.kind, DependentKind::Unique | DependentKind::Index)
                        && dependent.columns.first().copied() == number
                });
            if !is_indexed {
                found.push(table.column_name(column));
            }
        }
    }
    found
}

/// The columns of a relation that belong to a context, as far as they hold rows of it or copies.
pub(super) fn columns_of<'a>(context: &Context, relation: &'a Relation) -> Vec<&'a Attribute> {
    let is_own = |attribute: &&Attribute| {
        context.members.iter().any(|(oid, number)| *oid == relation.oid && *number == attribute.number)
    };
    relation.columns.iter().filter(is_own).collect()
}
