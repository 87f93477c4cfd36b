//! What was counted of stored rows last: written by the commands that have counted anyway, read by proxies that show it
//! and never count themselves, since that reads whole tables.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::status::ColumnStatus;
use super::{JobError, doing, schema};

/// Made on demand. `keys` has rows by the ids of keys.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS pgseal.counted (
  column_name text PRIMARY KEY, counted timestamptz NOT NULL, plaintext bigint NOT NULL, keys jsonb NOT NULL)";

/// What the database does that refuses to look for a table.
const UNKNOWN: &str = "does not tell what is in schema pgseal";

/// The last count of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The column's qualified name.
    pub column: String,
    /// Seconds since it was counted.
    pub age: i64,
    /// Rows whose value is not sealed.
    pub plaintext: u64,
    /// Rows by the id of the key that has sealed their value.
    pub keys: BTreeMap<String, u64>,
}

/// Whether there is anybody who shows counts: a proxy that reports in the database.
///
/// # Errors
/// The server refuses a query.
pub async fn are_counts_shown(client: &Client) -> Result<bool, JobError> {
    schema::exists(client, "pgseal.proxy", UNKNOWN).await
}

/// Writes down what was counted, in the place of what was counted of the same columns before.
///
/// # Errors
/// The server refuses a statement, since this user may not make the table or write to it for example.
pub async fn keep_counts(client: &Client, columns: &[ColumnStatus]) -> Result<(), JobError> {
    if !schema::exists(client, "pgseal.counted", UNKNOWN).await? {
        match schema::make(client, TABLE).await {
            Err(error) if schema::is_race(&error) => {}
            made => made.map_err(doing("makes no table in schema pgseal"))?,
        }
        schema::show(client, "pgseal.counted").await;
    }
    for column in columns {
        let plaintext = i64::try_from(column.plaintext).unwrap_or(i64::MAX);
        let keys = serde_json::json!(column.keys).to_string();
        client
            .execute(
                "INSERT INTO pgseal.counted (column_name, counted, plaintext, keys)
                 VALUES ($1, pg_catalog.now(), $2, ($3::text)::jsonb)
                 ON CONFLICT (column_name) DO UPDATE SET
                   counted = excluded.counted, plaintext = excluded.plaintext, keys = excluded.keys",
                &[&column.column.to_string(), &plaintext, &keys],
            )
            .await
            .map_err(doing("does not keep what was counted"))?;
    }
    Ok(())
}

/// What was written down last, by column.
///
/// # Errors
/// The server refuses a query, since this user may not read the table for example.
pub async fn counted(client: &Client) -> Result<Vec<Counted>, JobError> {
    if !schema::exists(client, "pgseal.counted", UNKNOWN).await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT column_name, pg_catalog.floor(extract(epoch FROM pg_catalog.now() - counted))::bigint,
               plaintext, keys::text FROM pgseal.counted ORDER BY column_name",
            &[],
        )
        .await
        .map_err(doing("does not show what was counted"))?;
    let one = |row: &tokio_postgres::Row| Counted {
        column: row.get(0),
        age: row.get(1),
        plaintext: u64::try_from(row.get::<_, i64>(2)).unwrap_or_default(),
        // Whoever may write there may have written anything.
        keys: serde_json::from_str(row.get(3)).unwrap_or_default(),
    };
    Ok(rows.iter().map(one).collect())
}
