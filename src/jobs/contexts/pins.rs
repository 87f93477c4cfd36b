//! Pins in the database: what every proxy is told about the values of a context.

use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient};

use super::Context;
use crate::catalog::{Form, Phase, Pin, Storage};
use crate::jobs::value::{Work, sql_type};
use crate::jobs::{JobError, doing, schema};
use crate::policy::quote_literal;

/// The phases, by the numbers in the objects' names. What the comments of the maps tell is for the proxies, which read
/// it with the catalog; this is for the functions, which need it as of a statement's snapshot.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS pgseal.pin (number int PRIMARY KEY, key text NOT NULL, \
     context text NOT NULL, phase text NOT NULL, UNIQUE (key, context))";

/// Tries to make the schema, where several commands may try at once.
const TRIES: u32 = 10;

/// The pin of a context, if it has one.
pub(super) async fn find(client: &Client, context: &Context) -> Result<Option<Pin>, JobError> {
    let all = all(client).await?;
    Ok(all.into_iter().find(|pin| is_of(pin, context) && pin.is_about(context.storage)))
}

fn is_of(pin: &Pin, context: &Context) -> bool {
    pin.key == context.key && pin.context == context.context
}

/// Every pin of the database.
///
/// # Errors
/// The server refuses a query, or a comment is not what it has to be.
pub async fn all(client: &Client) -> Result<Vec<Pin>, JobError> {
    let rows = client
        .query(
            "SELECT c.relname::text, pg_catalog.obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c
             WHERE c.relnamespace = pg_catalog.to_regnamespace('pgseal') AND c.relkind = 'r'
               AND c.relname ~ '^map_[0-9]+$' ORDER BY c.oid",
            &[],
        )
        .await
        .map_err(doing("does not show its pins"))?;
    let read = |row: &tokio_postgres::Row| {
        let (table, comment) = (row.get::<_, String>(0), row.get::<_, Option<String>>(1));
        Pin::read(&table, comment.as_deref().unwrap_or_default()).ok_or(JobError::Pin(table))
    };
    rows.iter().map(read).collect()
}

/// What moves the values that a pin is about.
pub fn work(pin: &Pin) -> Work {
    match (pin.old, pin.new) {
        (_, Form::Plaintext) => Work::Decrypt,
        (Form::Plaintext, Form::Sealed(_)) => Work::Encrypt,
        (Form::Sealed(_), Form::Sealed(_)) => Work::Rotate,
    }
}

/// Says that a context's values are in form `old` and are to be moved to `new`; in the place of a pin that has ended.
pub(super) async fn set(
    client: &mut Client,
    context: &Context,
    (old, new): (Form, Form),
    phase: Phase,
) -> Result<Pin, JobError> {
    let before = all(client).await?.into_iter().find(|pin| is_of(pin, context));
    prepare(client).await?;
    let refused = || doing("does not pin a context");
    let transaction = client.transaction().await.map_err(refused())?;
    transaction.batch_execute("LOCK TABLE pgseal.pin IN EXCLUSIVE MODE").await.map_err(refused())?;
    if let Some(before) = before {
        drop_map(&transaction, &before).await?;
    }
    let row = transaction
        .query_one(
            "INSERT INTO pgseal.pin (number, key, context, phase)
             SELECT COALESCE(pg_catalog.max(number), 0) + 1, $1, $2, $3 FROM pgseal.pin RETURNING number",
            &[&context.key, &context.context, &phase.as_str()],
        )
        .await
        .map_err(refused())?;
    let number = u32::try_from(row.get::<_, i32>(0)).unwrap_or_default();
    let (key, name) = (context.key.clone(), context.context.clone());
    let columns = context.policy_columns().into_iter().collect();
    let pin = Pin { number, key, context: name, phase, old, new, columns };
    let collation = match context.storage {
        Storage::Bytea => "",
        Storage::Text => " COLLATE \"C\"",
    };
    let ty = sql_type(context.storage).to_owned() + collation;
    // Values may be longer than what fits into a btree.
    transaction
        .batch_execute(&format!(
            "CREATE TABLE pgseal.map_{number} (old {ty} NOT NULL, new {ty} NOT NULL, \
             EXCLUDE USING hash (old WITH OPERATOR(pg_catalog.=)), EXCLUDE USING hash (new WITH OPERATOR(pg_catalog.=)))"
        ))
        .await
        .map_err(refused())?;
    if work(&pin) != Work::Rotate {
        // ANALYZE would keep samples of the plaintext.
        let unseen =
            format!("ALTER TABLE pgseal.map_{number} ALTER old SET STATISTICS 0, ALTER new SET STATISTICS 0");
        transaction.batch_execute(&unseen).await.map_err(refused())?;
    }
    comment(&transaction, &pin).await?;
    transaction.commit().await.map_err(refused())?;
    Ok(pin)
}

/// Takes a pin to another phase, in a transaction of the caller's. To the functions a move that is ending has ended:
/// each of them goes by its statement's snapshot.
pub(super) async fn turn(client: &impl GenericClient, pin: &Pin, phase: Phase) -> Result<Pin, JobError> {
    let number = i32::try_from(pin.number).unwrap_or_default();
    let row = match phase {
        Phase::Old | Phase::Moving | Phase::New => phase,
        Phase::Ending => Phase::New,
    };
    client
        .execute("UPDATE pgseal.pin SET phase = $2 WHERE number = $1", &[&number, &row.as_str()])
        .await
        .map_err(doing("does not change a pin"))?;
    let pin = Pin { phase, ..pin.clone() };
    comment(client, &pin).await?;
    Ok(pin)
}

/// Takes a context's pin away: its values are under the active version of its key for sure.
pub(super) async fn remove(client: &mut Client, pin: &Pin) -> Result<(), JobError> {
    let transaction = client.transaction().await.map_err(doing("does not drop a pin"))?;
    drop_map(&transaction, pin).await?;
    transaction.commit().await.map_err(doing("does not drop a pin"))
}

/// Makes schema and table, for every role to look things up by the functions in it.
async fn prepare(client: &Client) -> Result<(), JobError> {
    for attempt in 1.. {
        let made = match schema::make(client, TABLE).await {
            Ok(()) => open(client).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => return Ok(()),
            // Another command makes it at this moment, or opens it.
            Err(error) if attempt < TRIES && (schema::is_race(&error) || is_concurrent(&error)) => {
                sleep(super::batch::pause()).await;
            }
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                return Err(JobError::NoSchema);
            }
            Err(error) => return Err(doing("does not make the schema pgseal")(error)),
        }
    }
    Err(JobError::Worker)
}

/// Opens the schema to the roles that use the tables.
async fn open(client: &Client) -> Result<(), tokio_postgres::Error> {
    let is_open = "SELECT pg_catalog.has_schema_privilege('public', 'pgseal', 'USAGE')";
    if client.query_one(is_open, &[]).await?.get(0) {
        return Ok(());
    }
    client.batch_execute("GRANT USAGE ON SCHEMA pgseal TO PUBLIC").await
}

/// What two that grant at one time are told: "tuple concurrently updated".
fn is_concurrent(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INTERNAL_ERROR)
}

async fn drop_map(client: &impl GenericClient, pin: &Pin) -> Result<(), JobError> {
    let number = pin.number;
    client
        .batch_execute(&format!(
            "DELETE FROM pgseal.pin WHERE number = {number}; DROP TABLE IF EXISTS pgseal.map_{number}"
        ))
        .await
        .map_err(doing("does not drop a pin"))
}

async fn comment(client: &impl GenericClient, pin: &Pin) -> Result<(), JobError> {
    let text = quote_literal(&pin.comment());
    client
        .batch_execute(&format!("COMMENT ON TABLE pgseal.map_{} IS {text}", pin.number))
        .await
        .map_err(doing("does not announce a pin"))
}
