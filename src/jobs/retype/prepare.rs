//! Values that are sealed (or opened) beforehand, in a table of their own.
//!
//! Each is kept by the place of its row (`ctid`) and its version: the file that the table has then, and the transaction
//! that wrote the row (`xmin`). A version of a row never changes, so what was prepared for it fits it, and a row that has
//! changed is another version, for which nothing is prepared yet. No plaintext, and no hash of it, is kept. The table is
//! not logged: after a crash of the server it is empty, and the job begins again.

use std::sync::Arc;
use std::time::Instant;

use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::{Retype, make_schema};
use crate::jobs::record::Record;
use crate::jobs::runner::{Moved, Progress};
use crate::jobs::table::{Column, Order};
use crate::jobs::throttle::Throttle;
use crate::jobs::value::Values;
use crate::jobs::verify::FAILURES_KEPT;
use crate::jobs::walk::{Form, Position, Stored, Walk};
use crate::jobs::{Failure, JobError, MARK, Work, doing, of_t};
use crate::keyring::{Vault, os_entropy};
use crate::policy::quote_literal;

/// As many rows at most are prepared under the lock; more are prepared before it is tried again.
pub(super) const LEFT_FOR_THE_SWAP: u32 = 1000;

/// A version of a row of table `t`.
pub(in crate::jobs) const VERSION: &str =
    "pg_catalog.concat(pg_catalog.pg_relation_filenode(t.tableoid), ' ', t.xmin)";

/// The table of the prepared values.
pub(super) fn sealed(job: &Retype<'_>) -> String {
    format!("pgseal.sealed_{}", job.target.oid)
}

/// Makes the table, or keeps the one that an earlier run of the same job has left.
pub(super) async fn make(job: &Retype<'_>, client: &Client) -> Result<(), JobError> {
    let refused = || doing("does not make the table of prepared values");
    let (name, goal) = (sealed(job), job.goal());
    let row = client
        .query_one("SELECT pg_catalog.obj_description(pg_catalog.to_regclass($1), 'pg_class')", &[&name])
        .await
        .map_err(refused())?;
    if row.get::<_, Option<String>>(0).is_some_and(|kept| kept == goal) {
        tracing::info!(table = %job.target.table.name, "goes on with what was prepared before");
        return Ok(());
    }
    make_schema(client, &format!("DROP TABLE IF EXISTS {name}")).await?;
    let sql = format!(
        "CREATE UNLOGGED TABLE {name} ({}) WITH (autovacuum_enabled = off);
         COMMENT ON TABLE {name} IS {}",
        columns(job),
        quote_literal(&goal)
    );
    client.batch_execute(&sql).await.map_err(refused())
}

/// The columns of the table of prepared values.
pub(super) fn columns(job: &Retype<'_>) -> String {
    let columns: String =
        (0..job.target.table.columns.len()).map(|i| format!(", c{i} {}", new_type(job, i))).collect();
    format!("place tid PRIMARY KEY, version text NOT NULL{columns}")
}

/// The type that a column changes to.
pub(super) fn new_type<'a>(job: &'a Retype<'_>, index: usize) -> &'a str {
    match job.work {
        Work::Encrypt | Work::Rotate => "bytea",
        Work::Decrypt => job.target.types.get(index).map_or("text", String::as_str),
    }
}

/// Takes away what the job has made for itself.
pub(super) async fn drop(job: &Retype<'_>, client: &Client) -> Result<(), JobError> {
    let sql = format!("DROP TABLE IF EXISTS {}", sealed(job));
    client.batch_execute(&sql).await.map_err(doing("does not drop the prepared values"))
}

/// The function that finds the prepared value of a column.
pub(super) fn lookup(job: &Retype<'_>, index: usize) -> String {
    format!("pgseal.prepared_{}_{index}", job.target.oid)
}

/// Makes the functions that find prepared values, in a schema, over a table.
pub(super) fn lookups(job: &Retype<'_>, name: impl Fn(usize) -> String, table: &str) -> String {
    let function = |i: usize| {
        let (name, ty) = (name(i), new_type(job, i));
        format!(
            "CREATE FUNCTION {name}(place tid, version text) RETURNS {ty} LANGUAGE plpgsql STABLE AS $$
             DECLARE found_value {table}.c{i}%TYPE;
             BEGIN
               SELECT s.c{i} INTO found_value FROM {table} s
               WHERE s.place OPERATOR(pg_catalog.=) $1 AND s.version OPERATOR(pg_catalog.=) $2;
               IF NOT FOUND OR found_value IS NULL THEN
                 RAISE EXCEPTION 'the value of a row has not been prepared';
               END IF;
               RETURN found_value;
             END $$;\n"
        )
    };
    (0..job.target.table.columns.len()).map(function).collect()
}

/// Drops the functions that find prepared values.
pub(super) fn drop_lookups(job: &Retype<'_>) -> String {
    let drop = |i: usize| format!("DROP FUNCTION {}(tid, text);\n", lookup(job, i));
    (0..job.target.table.columns.len()).map(drop).collect()
}

/// The condition on table `t` that a row has a value of the columns.
pub(super) fn has_value(job: &Retype<'_>) -> String {
    let held = job.target.table.columns.iter().map(|column| format!("{} IS NOT NULL", of_t(&column.name)));
    held.collect::<Vec<_>>().join(" OR ")
}

/// Walks until a walk finds no more than can be prepared under the lock.
pub(super) async fn all(
    job: &Retype<'_>,
    client: &Client,
    record: &Record,
    throttle: &Throttle,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Moved, JobError> {
    let total = rows(job, client).await?;
    let table = sealed(job);
    let count = format!("SELECT pg_catalog.count(*) FROM {table}");
    let row = client.query_one(&count, &[]).await.map_err(doing("does not count what is prepared"))?;
    let before = u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
    // A look into the table for each row: it is a walk in the order of the key, which must not be joined as a whole.
    let condition = format!(
        "({}) AND (SELECT s.version FROM {table} s WHERE s.place = t.ctid) IS DISTINCT FROM {VERSION}",
        has_value(job)
    );
    let order = job.target.table.order(client).await?;
    let walk = Walk {
        table: &job.target.table,
        order: &order,
        condition: &condition,
        batch: job.limits.batch.get(),
        form: Form::Versions { as_text: job.work == Work::Encrypt },
    };
    let mut values = Values::new(Vault::new(Arc::clone(&job.keys), os_entropy()));
    let mut moved = Moved::default();
    throttle.rest(client, record, 0).await?;
    for pass in 1.. {
        let (mut position, mut found): (Position, u64) = (None, 0);
        loop {
            let piece = walk.next(client, &position).await?;
            position.clone_from(&piece.position);
            let batch = seal(job, &mut values, &piece.rows, &order);
            insert(job, client, &table, &batch).await?;
            let rows = batch.places.len() as u64;
            found += rows;
            moved.rows += rows;
            moved.failed += batch.failures.len() as u64;
            let room = FAILURES_KEPT.saturating_sub(moved.failures.len());
            moved.failures.extend(batch.failures.into_iter().take(room));
            let done = before + moved.rows;
            record
                .advance(client, i64::try_from(done).unwrap_or(i64::MAX))
                .await
                .map_err(doing("does not keep how far the job is"))?;
            progress(Progress {
                table: &job.target.table.name,
                pass,
                done,
                total: total.max(done),
                rate: (moved.rows, throttle.worked()),
                is_resumed: before > 0,
            });
            throttle.rest(client, record, rows).await?;
            if piece.is_last {
                break;
            }
        }
        if moved.failed > 0 || found <= u64::from(LEFT_FOR_THE_SWAP) {
            break;
        }
    }
    client
        .batch_execute(&format!("ANALYZE {table}"))
        .await
        .map_err(doing("does not analyze the prepared values"))?;
    Ok(moved)
}

/// How many rows have values.
pub(super) async fn rows(job: &Retype<'_>, client: &Client) -> Result<u64, JobError> {
    let sql = format!(
        "SELECT pg_catalog.count(*) FROM ONLY {} t WHERE {} {MARK}",
        job.target.table.name,
        has_value(job)
    );
    let row = client.query_one(&sql, &[]).await.map_err(doing("does not count rows"))?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}

/// Rows with their new values.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) places: Vec<String>,
    versions: Vec<String>,
    values: Vec<Vec<Option<Vec<u8>>>>,
    pub(super) failures: Vec<Failure>,
}

/// Seals, or opens, what rows hold.
pub(super) fn seal(job: &Retype<'_>, values: &mut Values, rows: &[Stored], order: &Order) -> Batch {
    let columns = &job.target.table.columns;
    let mut batch = Batch { values: vec![Vec::new(); columns.len()], ..Batch::default() };
    values.begin_batch();
    for row in rows {
        let mut new = Vec::with_capacity(columns.len());
        let known = batch.failures.len();
        for (column, stored) in columns.iter().zip(&row.values) {
            let moved = stored.as_deref().map(|stored| moved(job.work, values, column, stored)).transpose();
            match moved {
                Ok(moved) => new.push(moved),
                Err(why) => batch.failures.push(Failure {
                    column: job.target.table.column_name(column),
                    row: order.row(&row.key, &row.place),
                    why,
                }),
            }
        }
        if batch.failures.len() == known {
            batch.places.push(row.place.clone());
            batch.versions.push(row.version.clone());
            batch.values.iter_mut().zip(new).for_each(|(column, value)| column.push(value));
        }
    }
    batch
}

fn moved(
    work: Work,
    values: &mut Values,
    column: &Column,
    stored: &[u8],
) -> Result<Vec<u8>, crate::jobs::Fault> {
    values.retyped(work, &column.class, stored, Instant::now())
}

/// Keeps new values; those of an older version at the same place go.
pub(super) async fn insert(
    job: &Retype<'_>,
    client: &Client,
    table: &str,
    batch: &Batch,
) -> Result<(), JobError> {
    if batch.places.is_empty() {
        return Ok(());
    }
    let numbers = 0..batch.values.len();
    let list = |part: &dyn Fn(usize) -> String| numbers.clone().map(part).collect::<String>();
    let is_text = job.work == Work::Decrypt;
    let array = if is_text { "text[]" } else { "bytea[]" };
    // What a value does not fit into is an error, not cut: assignment casts do that, explicit ones do not.
    let value = |i: usize| match is_text {
        true => format!(", n.v{i}::{}", without_modifier(new_type(job, i))),
        false => format!(", n.v{i}"),
    };
    let sql = format!(
        "INSERT INTO {table} AS s (place, version{}) SELECT n.place::tid, n.version{}
         FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]){}) AS n (place, version{})
         ON CONFLICT (place) DO UPDATE SET version = excluded.version{} {MARK}",
        list(&|i| format!(", c{i}")),
        list(&value),
        list(&|i| format!(", pg_catalog.unnest(${}::{array})", i + 3)),
        list(&|i| format!(", v{i}")),
        list(&|i| format!(", c{i} = excluded.c{i}")),
    );
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&batch.places, &batch.versions];
    let texts: Vec<Vec<Option<String>>>;
    if is_text {
        let text = |value: &Option<Vec<u8>>| {
            value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
        };
        texts = batch.values.iter().map(|column| column.iter().map(text).collect()).collect();
        parameters.extend(texts.iter().map(|column| column as &(dyn ToSql + Sync)));
    } else {
        parameters.extend(batch.values.iter().map(|column| column as &(dyn ToSql + Sync)));
    }
    client.execute(&sql, &parameters).await.map_err(doing("does not keep prepared values"))?;
    Ok(())
}

/// `numeric(12,2)` without its `(12,2)`; an array type without that of its elements.
fn without_modifier(ty: &str) -> String {
    match (ty.split_once('('), ty.rsplit_once(')')) {
        (Some((head, _)), Some((_, tail))) if !ty.starts_with('"') => format!("{head}{tail}"),
        _ => ty.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_taken_off() {
        let cases = [
            ("numeric(12,2)", "numeric"),
            ("date", "date"),
            ("numeric(12,2)[]", "numeric[]"),
            ("timestamp(3) with time zone", "timestamp with time zone"),
            ("\"My (odd) type\"", "\"My (odd) type\""),
        ];
        for (ty, bare) in cases {
            assert_eq!(without_modifier(ty), bare);
        }
    }
}
