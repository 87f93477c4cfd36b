//! Rows per key, counted by the server from the beginnings of the stored values.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::record::{self, Job};
use super::value::hex;
use super::{JobError, MARK, doing, of_t};
use crate::catalog::{Catalog, Class, ColumnName, Form, Pin, RelationKind, RelationName, Storage};
use crate::crypto::{self, HEADER_LEN, Header, KeyId, Mode, TEXT_PREFIX};
use crate::sql::{OutputValue, Schema};

/// What is stored in one column of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnStatus {
    /// The column; of a materialized view, too.
    pub column: ColumnName,
    /// How it is encrypted.
    pub mode: Mode,
    /// Its key's name.
    pub key: String,
    /// Rows that hold a value, those of partitions and children included.
    pub rows: u64,
    /// Those of them whose value does not begin as a sealed one of this mode.
    pub plaintext: u64,
    /// The others by the key that sealed them.
    pub keys: BTreeMap<String, u64>,
}

/// What [`status`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// By name.
    pub columns: Vec<ColumnStatus>,
    /// Begun and not ended.
    pub jobs: Vec<Job>,
    /// Contexts of deterministic columns of which the database says in which form their values are.
    pub pins: Vec<Pin>,
}

/// Counts the rows of every encrypted column. Each table is read whole, once for each of its columns.
///
/// # Errors
/// The server refuses a query.
pub async fn status(client: &Client, schema: &Schema, catalog: &Catalog) -> Result<Status, JobError> {
    Ok(Status {
        columns: count(client, schema, catalog, |_| true).await?,
        jobs: record::jobs(client).await?,
        pins: super::contexts::pins(client).await?,
    })
}

/// Counts the rows of encrypted columns of the policy for which `is_wanted` holds, and those of the materialized views
/// that have copies of them.
///
/// # Errors
/// The server refuses a query.
pub async fn count(
    client: &Client,
    schema: &Schema,
    catalog: &Catalog,
    is_wanted: impl Fn(&ColumnName) -> bool,
) -> Result<Vec<ColumnStatus>, JobError> {
    let mut columns = Vec::new();
    for relation in &catalog.relations {
        let is_counted = match relation.kind {
            // Partitions and children are counted with the table that the policy names.
            RelationKind::Table | RelationKind::PartitionedTable => {
                |class: &Class, name: &ColumnName| class.column == *name
            }
            RelationKind::MaterializedView => |_: &Class, _: &ColumnName| true,
            RelationKind::View
            | RelationKind::ForeignTable
            | RelationKind::Sequence
            | RelationKind::CompositeType => continue,
        };
        for attribute in &relation.columns {
            let name = relation.name.column(&attribute.name);
            match schema.sealed_column(relation.oid, attribute.number) {
                Some(OutputValue::Sealed(class)) if is_counted(class, &name) && is_wanted(&class.column) => {
                    columns.push(column(client, &name, class).await?);
                }
                Some(OutputValue::Plain | OutputValue::Sealed(_) | OutputValue::SealedArray(_)) | None => {}
            }
        }
    }
    columns.sort_by(|a, b| a.column.cmp(&b.column));
    Ok(columns)
}

/// Rows of one table's own in each form.
pub(super) async fn by_form(
    client: &Client,
    table: &RelationName,
    column: &str,
    class: &Class,
) -> Result<BTreeMap<Form, u64>, JobError> {
    let rows = counts(client, &format!("ONLY {table}"), column, class).await?;
    let mut forms = BTreeMap::new();
    for (id, count) in rows {
        *forms.entry(id.map_or(Form::Plaintext, Form::Sealed)).or_default() += count;
    }
    Ok(forms)
}

/// Rows by the key in their value's beginning.
async fn counts(
    client: &Client,
    from: &str,
    column: &str,
    class: &Class,
) -> Result<Vec<(Option<KeyId>, u64)>, JobError> {
    let value = of_t(column);
    let start = beginning(&value, class);
    let sql = format!(
        "SELECT {start}, pg_catalog.count(*) FROM {from} t WHERE {value} IS NOT NULL GROUP BY 1 ORDER BY 1 {MARK}"
    );
    let rows = client.query(&sql, &[]).await.map_err(doing("does not count the rows of a column"))?;
    let read = |row: &tokio_postgres::Row| {
        let id = row.get::<_, Option<String>>(0).and_then(|start| key_id(&start, class));
        (id, u64::try_from(row.get::<_, i64>(1)).unwrap_or_default())
    };
    Ok(rows.iter().map(read).collect())
}

async fn column(client: &Client, name: &ColumnName, class: &Class) -> Result<ColumnStatus, JobError> {
    let rows = counts(client, &name.relation.to_string(), &name.column, class).await?;
    let mut counted = ColumnStatus {
        column: name.clone(),
        mode: class.binding.mode,
        key: class.key.clone(),
        rows: 0,
        plaintext: 0,
        keys: BTreeMap::new(),
    };
    for (id, count) in rows {
        counted.rows += count;
        match id {
            Some(id) => *counted.keys.entry(id.to_string()).or_default() += count,
            None => counted.plaintext += count,
        }
    }
    Ok(counted)
}

/// The part of a value that names its key, in text; NULL where the value is none that is sealed in the column's mode.
/// Plaintext stays where it is.
pub(super) fn beginning(value: &str, class: &Class) -> String {
    match class.storage {
        Storage::Bytea => {
            let header = Header { mode: class.binding.mode, key_id: KeyId([0; 4]) }.to_bytes();
            let kind = hex(header.first_chunk::<2>().map_or(&[], |kind| kind));
            format!(
                "CASE WHEN pg_catalog.substring({value}, 1, 2) = '\\x{kind}'::bytea \
                 THEN pg_catalog.encode(pg_catalog.substring({value}, 3, 4), 'hex') END"
            )
        }
        Storage::Text => {
            let (prefix, header) = (TEXT_PREFIX.len(), HEADER_LEN * 4 / 3);
            format!(
                "CASE WHEN pg_catalog.left({value}, {prefix}) = '{TEXT_PREFIX}' COLLATE \"C\" \
                 AND pg_catalog.length({value}) >= {0} THEN pg_catalog.left({value}, {0}) END",
                prefix + header
            )
        }
    }
}

fn key_id(beginning: &str, class: &Class) -> Option<KeyId> {
    match class.storage {
        Storage::Bytea => beginning.parse().ok(),
        Storage::Text => {
            let mut header = Vec::new();
            crypto::decode_text(beginning.as_bytes(), &mut header).ok()?;
            let id = KeyId(*header.last_chunk()?);
            (Header { mode: class.binding.mode, key_id: id }.to_bytes() == *header).then_some(id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_value_in_text_form_names_its_key() {
        let binding =
            crypto::Binding { mode: Mode::Randomized, family: "text".into(), context: String::new() };
        let class = Class {
            column: "a.b.c".parse().unwrap(),
            ty: crate::datum::Type { base: crate::datum::Base::Text, modifier: -1 },
            key: "k".into(),
            binding: std::sync::Arc::new(binding),
            storage: Storage::Text,
            state: crate::policy::ColumnState::Sealed,
            bare: false,
            pin: None,
        };
        let id = KeyId([0xab, 0xcd, 0xef, 0x01]);
        for (mode, wanted) in [(Mode::Randomized, Some(id)), (Mode::Deterministic, None)] {
            let mut text = Vec::new();
            crypto::encode_text(&Header { mode, key_id: id }.to_bytes(), &mut text);
            assert_eq!(text.len(), 13);
            assert_eq!(key_id(&String::from_utf8(text).unwrap(), &class), wanted, "{mode}");
        }
        assert_eq!(key_id("pgs1.hello wo", &class), None);
    }
}
