//! Values of one bucket, moved in one transaction.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::time::sleep;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient};

use super::objects::{bucket_of, exactly};
use super::{BATCH_WITHOUT_INDEX, Context, Mover, lock_key, pins, preflight};
use crate::catalog::{Class, Pin, Storage};
use crate::jobs::record::Record;
use crate::jobs::runner::{Moved, Progress};
pub(super) use crate::jobs::runner::{gives_way, pause};
use crate::jobs::throttle::Throttle;
use crate::jobs::value::{Values, sql_type};
use crate::jobs::verify::FAILURES_KEPT;
use crate::jobs::walk::{Form, Position, Walk};
use crate::jobs::{Failure, JobError, MARK, doing, of_t};
use crate::keyring::{Vault, os_entropy};
use crate::policy::quote_ident;
use crate::sql::LOCK_CLASS;

/// A batch that so often had to give way is cut in two.
const TRIES_BEFORE_A_CUT: u32 = 3;

/// The old forms that a walk has met, with what is needed to seal them anew.
type Met = BTreeMap<Vec<u8>, Origin>;

/// Where a value was met first.
#[derive(Clone)]
struct Origin {
    class: std::sync::Arc<Class>,
    column: crate::policy::ColumnName,
    row: String,
}

/// What a run has done so far, and whom it tells.
struct Run<'a> {
    context: &'a Context,
    pin: &'a Pin,
    record: Record,
    values: Values,
    batch: usize,
    has_triggers: bool,
    progress: &'a (dyn Fn(Progress<'_>) + Sync),
    pass: u32,
    before: u64,
    total: u64,
    rows: u64,
    throttle: &'a Throttle,
    is_resumed: bool,
}

/// Moves values until no more are left than can be moved under a lock.
pub(super) async fn all(
    mover: &Mover<'_>,
    client: &mut Client,
    context: &Context,
    pin: &Pin,
    throttle: &Throttle,
    progress: &(dyn Fn(Progress<'_>) + Sync),
    moved: &mut Moved,
) -> Result<(), JobError> {
    let total = context.left(client, pin.old).await?;
    let record = Record {
        work: pins::work(pin).as_str(),
        relation: context.context.clone(),
        columns: context.columns().map(|column| column.to_string()).collect(),
    };
    let begun = record.begin(client, &pin.new.to_string(), total).await?;
    let batch = mover.limits.batch.get();
    let batch = match preflight::without_index(context, mover.catalog).is_empty() {
        true => batch,
        false => batch.max(BATCH_WITHOUT_INDEX),
    };
    let mut run = Run {
        context,
        pin,
        record,
        values: Values::new(Vault::new(mover.keys.clone(), os_entropy())),
        batch: usize::try_from(batch).unwrap_or(usize::MAX),
        has_triggers: preflight::has_triggers(context, mover.catalog),
        progress,
        pass: 0,
        before: begun.done,
        total: total + begun.done,
        rows: 0,
        throttle,
        is_resumed: begun.done > 0,
    };
    let mut left = total;
    while left > mover.left_for_the_end {
        run.pass += 1;
        throttle.rest(client, &run.record, 0).await?;
        run.walk(client, moved).await?;
        if moved.failed > 0 {
            let first = moved.failures.first().map(ToString::to_string).unwrap_or_default();
            return Err(unopened(context, moved.failed, first));
        }
        left = context.left(client, pin.old).await?;
    }
    run.tell();
    moved.rows += run.rows;
    run.record.end(client).await
}

/// Moves the values that are left, in a transaction that keeps writers out, and says in how many rows.
pub(super) async fn rest(
    mover: &Mover<'_>,
    client: &impl GenericClient,
    context: &Context,
    pin: &Pin,
) -> Result<u64, JobError> {
    let mut values = Values::new(Vault::new(mover.keys.clone(), os_entropy()));
    let mut found: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for table in &context.tables {
        for column in &table.columns {
            let value = of_t(&column.name);
            let sql = format!(
                "SELECT DISTINCT {value} FROM ONLY {} t WHERE {}",
                table.name,
                super::objects::is_in(context.storage, &value, pin.old)
            );
            for row in client.query(&sql, &[]).await.map_err(doing("does not give the last values"))? {
                let old = stored(context.storage, &row)?;
                let new = values.in_form(&column.class, &old, (pin.old, pin.new), Instant::now());
                let new =
                    new.map_err(|why| unopened(context, 1, format!("{}: {why}", table.column_name(column))))?;
                found.insert(old, new);
            }
        }
    }
    let (old, new): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let moved = exchange(client, context, pin, &old, &new, true).await;
    moved.map_err(doing("refuses the last values"))?.ok_or_else(|| JobError::Kept(context.context.clone()))
}

fn unopened(context: &Context, failed: u64, first: String) -> JobError {
    JobError::Unopened { context: context.context.clone(), failed, first }
}

fn stored(storage: Storage, row: &tokio_postgres::Row) -> Result<Vec<u8>, JobError> {
    let unread = doing("gives a value in another form than was asked for");
    match storage {
        Storage::Bytea => row.try_get(0).map_err(unread),
        Storage::Text => row.try_get::<_, String>(0).map(String::into_bytes).map_err(unread),
    }
}

impl Run<'_> {
    /// Walks every table of the context once.
    async fn walk(&mut self, client: &mut Client, moved: &mut Moved) -> Result<(), JobError> {
        let mut buckets: BTreeMap<u32, Met> = BTreeMap::new();
        let context = self.context;
        for table in &context.tables {
            let order = table.order(client).await?;
            let condition = context.condition(table, self.pin.old);
            let walk = Walk {
                table,
                order: &order,
                condition: &condition,
                batch: u32::try_from(self.batch).unwrap_or(u32::MAX).max(1000),
                form: Form::Stored,
            };
            let mut position: Position = None;
            loop {
                let piece = walk.next(client, &position).await?;
                for row in &piece.rows {
                    for (column, value) in table.columns.iter().zip(&row.values) {
                        let Some(old) = value.as_ref().filter(|old| self.is_old(&column.class, old)) else {
                            continue;
                        };
                        let met = buckets.entry(bucket_of(context.storage, self.pin.old, old)).or_default();
                        met.entry(old.clone()).or_insert_with(|| Origin {
                            class: column.class.clone(),
                            column: table.column_name(column),
                            row: order.row(&row.key, &row.place),
                        });
                    }
                }
                let full: Vec<u32> = buckets
                    .iter()
                    .filter(|(_, met)| met.len() >= self.batch)
                    .map(|(bucket, _)| *bucket)
                    .collect();
                for bucket in full {
                    let met = buckets.remove(&bucket).unwrap_or_default();
                    self.bucket(client, bucket, met, moved).await?;
                }
                position = piece.position;
                if piece.is_last {
                    break;
                }
            }
        }
        for (bucket, met) in buckets {
            self.bucket(client, bucket, met, moved).await?;
        }
        Ok(())
    }

    fn is_old(&mut self, class: &Class, value: &[u8]) -> bool {
        self.values.form_of(class, value) == Some(self.pin.old)
    }

    /// Seals values of one bucket anew and moves them.
    async fn bucket(
        &mut self,
        client: &mut Client,
        bucket: u32,
        met: Met,
        moved: &mut Moved,
    ) -> Result<(), JobError> {
        let (mut old, mut new) = (Vec::with_capacity(met.len()), Vec::with_capacity(met.len()));
        for (value, origin) in met {
            let forms = (self.pin.old, self.pin.new);
            match self.values.in_form(&origin.class, &value, forms, Instant::now()) {
                Ok(sealed) => {
                    old.push(value);
                    new.push(sealed);
                }
                Err(why) => {
                    moved.failed += 1;
                    if moved.failures.len() < FAILURES_KEPT {
                        moved.failures.push(Failure { column: origin.column, row: origin.row, why });
                    }
                }
            }
        }
        // Parts that are still to be moved, the next one last.
        let mut parts = vec![(old, new)];
        let mut tries = 0_u32;
        while let Some((old, new)) = parts.pop() {
            if old.is_empty() {
                continue;
            }
            match self.transaction(client, bucket, &old, &new).await {
                Ok(None) => return Err(JobError::Kept(self.context.context.clone())),
                Ok(Some(rows)) => {
                    tries = 0;
                    self.rows += rows;
                    self.tell();
                    self.throttle.rest(client, &self.record, rows).await?;
                }
                Err(error) if gives_way(&error) => {
                    tries += 1;
                    if tries.is_multiple_of(100) {
                        tracing::warn!(
                            context = self.context.context,
                            tries,
                            "others hold what the job needs"
                        );
                    }
                    sleep(pause()).await;
                    if tries >= TRIES_BEFORE_A_CUT && old.len() > 1 {
                        let (mut old, mut new) = (old, new);
                        let second = (old.split_off(old.len() / 2), new.split_off(new.len() / 2));
                        parts.extend([second, (old, new)]);
                    } else {
                        parts.push((old, new));
                    }
                }
                Err(error) => return Err(doing("refuses a batch")(error)),
            }
        }
        Ok(())
    }

    /// One batch. The locks come first: what writers of these values have stored is there by then, and they store none
    /// before it is over. `None`: something keeps rows from being changed, and nothing is.
    async fn transaction(
        &self,
        client: &mut Client,
        bucket: u32,
        old: &[Vec<u8>],
        new: &[Vec<u8>],
    ) -> Result<Option<u64>, tokio_postgres::Error> {
        let n = self.pin.number;
        let transaction = client.transaction().await?;
        transaction
            .batch_execute(&format!(
                "SELECT pg_catalog.pg_advisory_xact_lock({LOCK_CLASS}, {}), \
                 pg_catalog.pg_advisory_xact_lock({LOCK_CLASS}, {}); \
                 UPDATE pgseal.bucket_{n} SET batches = batches + 1 WHERE bucket = {bucket}",
                lock_key(n, 0),
                lock_key(n, bucket),
            ))
            .await?;
        let moved = exchange(&transaction, self.context, self.pin, old, new, self.has_triggers).await?;
        let Some(rows) = moved else { return Ok(None) };
        let done = i64::try_from(self.before + self.rows + rows).unwrap_or(i64::MAX);
        self.record.advance(&transaction, done).await?;
        transaction.commit().await?;
        Ok(Some(rows))
    }

    fn tell(&self) {
        let Some(table) = self.context.tables.first() else { return };
        (self.progress)(Progress {
            table: &table.name,
            pass: self.pass.max(1),
            done: self.before + self.rows,
            total: self.total,
            rate: (self.rows, self.throttle.worked()),
            is_resumed: self.is_resumed,
        });
    }
}

/// Writes the new forms into the map and into all rows of the context: in one statement, at whose end foreign keys are
/// looked at, so that both of their sides have moved by then. `None`: rows have kept their old values, as a look says
/// that is taken if triggers might have seen to it (`has_triggers`).
async fn exchange(
    client: &impl GenericClient,
    context: &Context,
    pin: &Pin,
    old: &[Vec<u8>],
    new: &[Vec<u8>],
    has_triggers: bool,
) -> Result<Option<u64>, tokio_postgres::Error> {
    let n = pin.number;
    let ty = sql_type(context.storage);
    let texts = |values: &[Vec<u8>]| -> Vec<String> {
        values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    let (old_texts, new_texts);
    let parameters: [&(dyn ToSql + Sync); 2] = match context.storage {
        Storage::Bytea => [&old, &new],
        Storage::Text => {
            (old_texts, new_texts) = (texts(old), texts(new));
            [&old_texts, &new_texts]
        }
    };
    client
        .execute(
            &format!(
                "INSERT INTO pgseal.map_{n} (old, new) SELECT * FROM unnest($1::{ty}[], $2::{ty}[]) \
                 ON CONFLICT DO NOTHING {MARK}"
            ),
            &parameters,
        )
        .await?;
    let found = |table: &crate::jobs::Table| {
        let columns = table.columns.iter().map(|column| of_t(&column.name));
        columns.map(|value| format!("{value} = ANY ($1::{ty}[])")).collect::<Vec<_>>().join(" OR ")
    };
    let update = |(index, table): (usize, &crate::jobs::Table)| {
        let set = table.columns.iter().map(|column| {
            let value = of_t(&column.name);
            let exact = exactly(context.storage, &value);
            let moved = format!("(SELECT m.new FROM pgseal.map_{n} m WHERE m.old = {exact})");
            format!("{} = COALESCE({moved}, {value})", quote_ident(&column.name))
        });
        format!(
            "u{index} AS (UPDATE ONLY {} t SET {} WHERE {} RETURNING 1)",
            table.name,
            set.collect::<Vec<_>>().join(", "),
            found(table)
        )
    };
    let updates: Vec<_> = context.tables.iter().enumerate().map(update).collect();
    let counts: Vec<_> =
        (0..updates.len()).map(|index| format!("(SELECT pg_catalog.count(*) FROM u{index})")).collect();
    let sql = format!("WITH {} SELECT {} {MARK}", updates.join(", "), counts.join(" + "));
    let [old, _] = parameters;
    let row = client.query_one(&sql, &[old]).await?;
    if has_triggers {
        let left = |table: &crate::jobs::Table| {
            format!("EXISTS (SELECT FROM ONLY {} t WHERE {})", table.name, found(table))
        };
        let left: Vec<_> = context.tables.iter().map(left).collect();
        let left = client.query_one(&format!("SELECT {} {MARK}", left.join(" OR ")), &[old]).await?;
        if left.get(0) {
            return Ok(None);
        }
    }
    Ok(Some(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default()))
}
