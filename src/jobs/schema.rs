//! The schema `pgseal`, in which jobs keep how far they are and proxies report themselves.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{JobError, doing};

/// Makes a table of the schema, by its CREATE TABLE IF NOT EXISTS, and the schema before it where it is missing.
///
/// # Errors
/// The server's, also where somebody makes or drops the same at this moment ([`is_race`]): it can be tried again.
pub async fn make(client: &Client, table: &str) -> Result<(), tokio_postgres::Error> {
    let there = client.query_one("SELECT pg_catalog.to_regnamespace('pgseal') IS NOT NULL", &[]).await?;
    // Even IF NOT EXISTS asks for the right to make it.
    if !there.get::<_, bool>(0) {
        client.batch_execute("CREATE SCHEMA IF NOT EXISTS pgseal").await?;
    }
    client.batch_execute(table).await
}

/// Whether there is a relation of this name, which has its schema; `refusal` is what the database is said to do if it does
/// not tell.
///
/// # Errors
/// The server refuses the query.
pub(super) async fn exists(client: &Client, relation: &str, refusal: &'static str) -> Result<bool, JobError> {
    let sql = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
    let row = client.query_one(sql, &[&relation]).await.map_err(doing(refusal))?;
    Ok(row.get(0))
}

/// Lets the proxies' login read a table of the schema, where another one has made it: they show what is in it. That it
/// cannot be done is no failure.
pub(super) async fn show(client: &Client, table: &str) {
    let grant = format!(
        "DO $$ DECLARE reader name := (
           SELECT pg_catalog.pg_get_userbyid(relowner) FROM pg_catalog.pg_class
           WHERE oid = pg_catalog.to_regclass('pgseal.proxy'));
         BEGIN
           IF NOT pg_catalog.has_table_privilege(reader, '{table}', 'SELECT') THEN
             EXECUTE pg_catalog.format('GRANT SELECT ON {table} TO %I', reader);
           END IF;
         EXCEPTION WHEN OTHERS THEN NULL; END $$"
    );
    let _ = client.batch_execute(&grant).await;
}

/// Whether an error is one of two that make or drop the same at one time.
pub fn is_race(error: &tokio_postgres::Error) -> bool {
    let codes = [
        SqlState::UNIQUE_VIOLATION,
        SqlState::UNDEFINED_TABLE,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_SCHEMA,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| codes.contains(code))
}
