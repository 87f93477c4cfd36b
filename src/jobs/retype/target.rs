//! Which columns change their types, and what will stand in the way of encrypted ones.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use crate::catalog::{Attribute, Catalog, ColumnName, Relation, RelationName};
use crate::datum::Oid;
use crate::jobs::{ColumnStatus, JobError, MARK, Table, Work, doing, tables};
use crate::policy::{ColumnState, Policy, quote_ident};
use crate::sql::{Consequence, Schema, SchemaProblem};

const BYTEA: Oid = 17;
const TEXTS: [Oid; 2] = [25, 1043];

/// A table with columns that change their types.
#[derive(Clone, Debug)]
pub struct Target {
    /// The table, with those columns only, as they are when encrypted.
    pub table: Table,
    /// Its object id.
    pub oid: Oid,
    /// The numbers of the columns.
    pub numbers: Vec<i16>,
    /// The columns' types in plaintext, as SQL.
    pub types: Vec<String>,
    /// The names of CHECK constraints of the table.
    pub checks: Vec<String>,
    /// What statements would be refused for once the columns are encrypted.
    pub problems: Vec<String>,
    /// The columns have their type already.
    pub is_done: bool,
}

/// Those of the chosen columns whose types have to change, by their tables; the names in the second list are theirs, and
/// are not moved in place.
pub fn targets(
    policy: &Policy,
    catalog: &Catalog,
    chosen: &BTreeSet<ColumnName>,
    work: Work,
) -> (Vec<Target>, BTreeSet<ColumnName>) {
    // By table: those that are to change, and those that have changed.
    let mut by_table: BTreeMap<&RelationName, [BTreeSet<ColumnName>; 2]> = BTreeMap::new();
    for name in chosen {
        let Some((_, attribute)) = attribute(catalog, name) else { continue };
        let is_migrating = policy.column(name).is_some_and(|column| column.state == ColumnState::Migrating);
        let is_plain = attribute.type_oid != BYTEA && !TEXTS.contains(&attribute.type_oid);
        let is_bytea = attribute.type_oid == BYTEA;
        let (changes, has_changed) = match work {
            Work::Encrypt => (is_plain, is_bytea && is_migrating),
            Work::Decrypt => (is_bytea, is_plain),
            Work::Rotate => (false, false),
        };
        let [to_change, changed] = by_table.entry(&name.relation).or_default();
        if changes {
            to_change.insert(name.clone());
        } else if has_changed {
            changed.insert(name.clone());
        }
    }
    let names = by_table.values().flatten().flatten().cloned().collect();
    let found = by_table.iter().filter_map(|(table, [to_change, changed])| {
        let columns = if to_change.is_empty() { changed } else { to_change };
        (!columns.is_empty()).then(|| target(policy, catalog, table, columns, work)).flatten()
    });
    (found.collect(), names)
}

/// Rows of the columns that hold plaintext until their types change.
///
/// # Errors
/// The server refuses a query.
pub async fn plaintext(
    client: &Client,
    policy: &Policy,
    catalog: &Catalog,
) -> Result<Vec<ColumnStatus>, JobError> {
    let mut found = Vec::new();
    for (name, column) in policy.columns().filter(|(_, column)| column.state == ColumnState::Migrating) {
        let Some((relation, attribute)) = attribute(catalog, &name) else { continue };
        if attribute.type_oid == BYTEA || TEXTS.contains(&attribute.type_oid) {
            continue;
        }
        let sql =
            format!("SELECT pg_catalog.count({}) FROM {} {MARK}", quote_ident(&name.column), relation.name);
        let row = client.query_one(&sql, &[]).await.map_err(doing("does not count the rows of a column"))?;
        let rows = u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        found.push(ColumnStatus {
            column: name,
            mode: column.mode,
            key: column.key.clone(),
            rows,
            plaintext: rows,
            keys: BTreeMap::new(),
        });
    }
    Ok(found)
}

fn attribute<'a>(catalog: &'a Catalog, name: &ColumnName) -> Option<(&'a Relation, &'a Attribute)> {
    let relation = catalog.relations.iter().find(|relation| relation.name == name.relation)?;
    Some((relation, relation.columns.iter().find(|attribute| attribute.name == name.column)?))
}

fn target(
    policy: &Policy,
    catalog: &Catalog,
    table: &RelationName,
    columns: &BTreeSet<ColumnName>,
    work: Work,
) -> Option<Target> {
    let mut one = policy.clone();
    one.tables.retain(|name, _| name == table);
    for of_table in one.tables.values_mut() {
        of_table.columns.retain(|name, _| columns.contains(&table.column(name)));
    }
    // The analysis says what encrypted columns of this table would mean for what hangs on them.
    let planned = catalog.once_encrypted(&one);
    let (schema, problems) = Schema::build(policy, &planned);
    let (_, known) = Schema::build(policy, catalog);
    let is_new = |problem: &SchemaProblem| problem.relation == *table || !known.contains(problem);
    let now = known.iter().filter(|problem| problem.relation == *table);
    let problems = problems.iter().filter(|problem| is_new(problem)).chain(now);
    let problems: BTreeSet<String> = problems
        .filter(|problem| work == Work::Encrypt && problem.consequence != Consequence::Warning)
        .map(|problem| format!("{}: {}", problem.relation, problem.message))
        .collect();
    let relation = catalog.relations.iter().find(|relation| relation.name == *table)?;
    let found = tables(&schema, &planned, |column, _| columns.contains(column));
    // Partitions and children are not there: a table with them is refused.
    let own = found
        .into_iter()
        .find(|found| found.name == *table)
        .unwrap_or_else(|| Table { name: table.clone(), columns: Vec::new() });
    let attributes = own
        .columns
        .iter()
        .filter_map(|column| relation.columns.iter().find(|attribute| attribute.name == column.name));
    let attributes: Vec<&Attribute> = attributes.collect();
    let is_done = !attributes.is_empty()
        && attributes.iter().all(|attribute| (attribute.type_oid == BYTEA) == (work == Work::Encrypt));
    let checks = relation.dependents.iter().filter(|one| one.kind == crate::catalog::DependentKind::Check);
    Some(Target {
        oid: relation.oid,
        numbers: attributes.iter().map(|attribute| attribute.number).collect(),
        types: own.columns.iter().map(|column| column.class.ty.name()).collect(),
        checks: checks.map(|check| check.name.clone()).collect(),
        problems: problems.into_iter().collect(),
        is_done,
        table: own,
    })
}
