//! The tables that hold rows of encrypted columns, and how each is walked.

use std::sync::Arc;

use tokio_postgres::Client;

use super::{JobError, doing};
use crate::catalog::{Catalog, Class, ColumnName, RelationKind, RelationName};
use crate::policy::quote_ident;
use crate::sql::{OutputValue, Schema};

/// A table with rows of its own: a plain one, a partition, a parent or a child.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its own name, not that of a parent.
    pub name: RelationName,
    /// Those of its encrypted columns that a job is about.
    pub columns: Vec<Column>,
}

/// An encrypted column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in that table.
    pub name: String,
    /// How it is encrypted.
    pub class: Arc<Class>,
}

/// The order in which a table is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By its primary key: names and types of its columns.
    Key(Vec<(String, String)>),
    /// By blocks of its file, where it has none.
    Blocks,
}

/// The tables that hold values of the encrypted columns for which `is_meant` holds; it is asked about a column by the
/// name that the policy has.
pub fn tables(
    schema: &Schema,
    catalog: &Catalog,
    is_meant: impl Fn(&ColumnName, &Class) -> bool,
) -> Vec<Table> {
    let with_rows = catalog.relations.iter().filter(|relation| relation.kind == RelationKind::Table);
    let table = |relation: &crate::catalog::Relation| {
        let columns = relation.columns.iter().filter_map(|attribute| {
            match schema.sealed_column(relation.oid, attribute.number)? {
                OutputValue::Sealed(class) if is_meant(&class.column, class) => {
                    Some(Column { name: attribute.name.clone(), class: Arc::clone(class) })
                }
                OutputValue::Plain | OutputValue::Sealed(_) | OutputValue::SealedArray(_) => None,
            }
        });
        Table { name: relation.name.clone(), columns: columns.collect() }
    };
    let mut tables: Vec<Table> = with_rows.map(table).filter(|table| !table.columns.is_empty()).collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    tables
}

impl Table {
    /// The order in which it is read.
    pub(super) async fn order(&self, client: &Client) -> Result<Order, JobError> {
        let rows = client
            .query(
                "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, -1)
                 FROM pg_catalog.pg_index i
                 CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (number, place)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                 WHERE i.indrelid = ($1::text)::regclass AND i.indisprimary AND k.place <= i.indnkeyatts
                 ORDER BY k.place",
                &[&self.name.to_string()],
            )
            .await
            .map_err(doing("does not tell the primary key"))?;
        let columns: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(if columns.is_empty() { Order::Blocks } else { Order::Key(columns) })
    }

    /// A column's name with the table's own.
    pub(super) fn column_name(&self, column: &Column) -> ColumnName {
        self.name.column(&column.name)
    }
}

impl Order {
    /// What names a row, for people.
    pub(super) fn row(&self, key: &[String], place: &str) -> String {
        match self {
            Self::Key(columns) => {
                let pair = |((name, _), value): (&(String, String), &String)| {
                    format!("{} = {value}", quote_ident(name))
                };
                columns.iter().zip(key).map(pair).collect::<Vec<_>>().join(", ")
            }
            Self::Blocks => format!("ctid = {place}"),
        }
    }
}
