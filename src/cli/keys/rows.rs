//! Proof that no stored value needs a key any more.
//!
//! Counting alone proves nothing: a writer whose transaction is open, or a proxy that was suspended, may store a value
//! under the old key just after. So PostgreSQL is made to keep such values out: a CHECK, added NOT VALID (its lock
//! waits out the transactions that write), then validated over the rows that are there.

use anyhow::Context as _;

use crate::cli::database::Database;
use crate::crypto::{HEADER_LEN, Header, KeyId, Mode, encode_text};
use crate::policy::{ColumnName, Policy, quote_ident, quote_literal};

/// A column of the database in which a key's values may be.
pub(super) struct Place {
    column: ColumnName,
    mode: Mode,
    /// Its physical type is text.
    is_text: bool,
}

/// The columns of the policy that are sealed by a key and are there.
pub(super) async fn places(database: &Database, policy: &Policy, key: &str) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    for (column, named) in policy.columns().filter(|(_, named)| named.key == key) {
        let rows = database
            .rows(&format!(
                "SELECT a.atttypid = 'pg_catalog.bytea'::pg_catalog.regtype FROM pg_catalog.pg_attribute a \
                 JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = {} AND c.relname = {} AND a.attname = {} AND NOT a.attisdropped",
                quote_literal(&column.relation.schema),
                quote_literal(&column.relation.name),
                quote_literal(&column.column)
            ))
            .await?;
        if let Some(is_bytea) = rows.first().and_then(|row| row.get(0)) {
            places.push(Place { column, mode: named.mode, is_text: is_bytea != "t" });
        }
    }
    Ok(places)
}

impl Place {
    /// The rows whose value is under a key.
    pub(super) async fn count(&self, database: &Database, id: KeyId) -> anyhow::Result<u64> {
        let (table, condition) = (&self.column.relation, self.is_under(id));
        let rows =
            database.rows(&format!("SELECT pg_catalog.count(*) FROM {table} WHERE {condition}")).await?;
        let count = rows.first().and_then(|row| row.get(0)?.parse().ok());
        count.context("the database counts no rows")
    }

    /// Keeps values under a key out, for good, and proves that none is there.
    ///
    /// # Errors
    /// One is there; the constraint is taken back then.
    pub(super) async fn shut(&self, database: &Database, id: KeyId) -> anyhow::Result<()> {
        let (table, name) = (&self.column.relation, quote_ident(&self.constraint(id)));
        self.open(database, id).await?;
        let condition = self.is_under(id);
        database
            .rows(&format!("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK (NOT ({condition})) NOT VALID"))
            .await
            .with_context(|| format!("column {}", self.column))?;
        let valid = database.rows(&format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")).await;
        if let Err(error) = valid {
            self.open(database, id).await?;
            return Err(error.context(format!("column {} still has rows under this key", self.column)));
        }
        Ok(())
    }

    /// Lets values under a key in again.
    pub(super) async fn open(&self, database: &Database, id: KeyId) -> anyhow::Result<()> {
        let (table, name) = (&self.column.relation, quote_ident(&self.constraint(id)));
        database.rows(&format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")).await?;
        Ok(())
    }

    /// For messages.
    pub(super) fn column(&self) -> &ColumnName {
        &self.column
    }

    fn is_under(&self, id: KeyId) -> String {
        let name = quote_ident(&self.column.column);
        let header = Header { mode: self.mode, key_id: id }.to_bytes();
        if self.is_text {
            let mut text = Vec::new();
            encode_text(&header, &mut text);
            return format!(
                "pg_catalog.substr({name}, 1, {}) = '{}'",
                text.len(),
                String::from_utf8_lossy(&text)
            );
        }
        let header: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("pg_catalog.substr({name}, 1, {HEADER_LEN}) = E'\\\\x{header}'::pg_catalog.bytea")
    }

    /// At most 63 bytes, as PostgreSQL cuts names: the key's id stands whole behind the column's name. The end is that of
    /// the CHECKs that the analysis knows for ours.
    fn constraint(&self, id: KeyId) -> String {
        let suffix = format!("_not_{id}_sealed_check");
        let room = 63 - suffix.len();
        let mut name = String::new();
        for c in self.column.column.chars() {
            if name.len() + c.len_utf8() > room {
                break;
            }
            name.push(c);
        }
        name + &suffix
    }
}
