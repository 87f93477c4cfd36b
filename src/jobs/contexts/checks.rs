//! The CHECK that lets only sealed values in: made when the first encryption of a column has ended, and dropped before
//! its values become plaintext again.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::{Context, batch, preflight};
use crate::catalog::{Attribute, Catalog, DependentKind, Relation, RelationKind};
use crate::crypto::Mode;
use crate::jobs::{JobError, doing};
use crate::policy::quote_ident;
use crate::sql::{is_sealed_check, sealed_check};

/// Adds it to the columns that have none, without a look at the rows. Partitions and children get theirs with the table
/// above them.
pub(super) fn add(context: &Context, catalog: &Catalog) -> String {
    let mut sql = String::new();
    for (relation, own) in relations(context, catalog) {
        let is_below = relation.parents.iter().any(|oid| context.members.iter().any(|(of, _)| of == oid));
        let mut taken: Vec<String> =
            relation.dependents.iter().map(|dependent| dependent.name.clone()).collect();
        for attribute in own {
            let has_one = ours(relation).any(|check| check.columns.contains(&attribute.number));
            if is_below || has_one {
                continue;
            }
            let check = sealed_check(&attribute.name, Mode::Deterministic, context.storage, &taken);
            sql += &format!("ALTER TABLE {} ADD {check} NOT VALID;\n", relation.name);
            taken.extend(check.split_whitespace().nth(1).map(str::to_owned));
        }
    }
    sql
}

/// Drops those that are there.
pub(super) fn remove(context: &Context, catalog: &Catalog) -> String {
    let mut found = relations(context, catalog);
    // One of a parent goes from its children with it; then theirs.
    found.sort_by_key(|(relation, _)| depth(catalog, relation));
    let mut sql = String::new();
    for (relation, own) in found {
        let numbers: BTreeSet<i16> = own.iter().map(|attribute| attribute.number).collect();
        for check in ours(relation).filter(|check| check.columns.iter().any(|n| numbers.contains(n))) {
            let name = quote_ident(&check.name);
            sql += &format!("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {name};\n", relation.name);
        }
    }
    sql
}

/// Looks at the rows, and lets nobody wait for that.
pub(super) async fn validate(client: &Client, context: &Context) -> Result<(), JobError> {
    let oids: Vec<u32> = context.members.iter().map(|(oid, _)| *oid).collect();
    let open = client
        .query(
            "SELECT c.conrelid::regclass::text, c.conname::text, pg_catalog.pg_get_constraintdef(c.oid)
             FROM pg_catalog.pg_constraint c
             WHERE c.contype = 'c' AND NOT c.convalidated AND c.conislocal AND c.conrelid = ANY ($1)",
            &[&oids],
        )
        .await
        .map_err(doing("does not show its constraints"))?;
    for row in &open {
        let (table, name, text): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        if !is_sealed_check(&name, &text) {
            continue;
        }
        let sql = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {}", quote_ident(&name));
        loop {
            match client.batch_execute(&sql).await {
                Ok(()) => break,
                Err(error) if batch::gives_way(&error) => tokio::time::sleep(batch::pause()).await,
                Err(error) => return Err(doing("finds rows that are not encrypted")(error)),
            }
        }
    }
    Ok(())
}

/// The tables of a context, partitioned ones too, with its columns.
fn relations<'c>(context: &Context, catalog: &'c Catalog) -> Vec<(&'c Relation, Vec<&'c Attribute>)> {
    let is_table = |kind: RelationKind| matches!(kind, RelationKind::Table | RelationKind::PartitionedTable);
    let tables = catalog.relations.iter().filter(|relation| is_table(relation.kind));
    let with_columns = tables.map(|relation| (relation, preflight::columns_of(context, relation)));
    with_columns.filter(|(_, own)| !own.is_empty()).collect()
}

fn ours(relation: &Relation) -> impl Iterator<Item = &crate::catalog::Dependent> {
    relation.dependents.iter().filter(|dependent| {
        dependent.kind == DependentKind::Check
            && dependent.expression.as_deref().is_some_and(|text| is_sealed_check(&dependent.name, text))
    })
}

/// How many relations stand above one.
fn depth(catalog: &Catalog, relation: &Relation) -> usize {
    let above = catalog.relations.iter().filter(|other| {
        other.oid != relation.oid && catalog.with_descendants(other.oid).contains(&relation.oid)
    });
    above.count()
}
