//! The schema `pgseal`, in which jobs keep how far they are and proxies report themselves.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

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
