//! Moving values, batch by batch, by several workers.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::connection::connect;
use super::record::{self, Record};
use super::table::{Order, Table};
use super::throttle::Throttle;
use super::value::{Values, Work, sql_type};
use super::verify::{FAILURES_KEPT, Verified, verify_where};
use super::walk::{Form, Position, Stored, Walk};
use super::{Failure, JobError, MARK, doing, of_t};
use crate::catalog::Storage;
use crate::crypto::{KeyId, Mode};
use crate::datum::Base;
use crate::keyring::{Keys, Vault, os_entropy};
use crate::policy::{ColumnState, quote_ident};

/// Pauses before a batch is tried again that met a lock or a deadlock, in milliseconds; which one is chance.
const PAUSES: std::ops::Range<u64> = 20..250;
/// Pause before a table is walked again of which the last walk moved nothing: others hold the rows that are left.
const HELD: Duration = Duration::from_secs(1);

/// How much a job may take of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of one transaction.
    pub batch: NonZeroU32,
    /// Connections that move rows.
    pub workers: NonZeroU32,
    /// Rows of each second, of all workers.
    pub rows_per_second: Option<NonZeroU32>,
    /// How long a statement of the job waits for a lock before it gives way.
    pub lock_wait: Duration,
    /// How far standbys may be behind, in time.
    pub max_lag: Option<Duration>,
}

/// A job on the columns of some tables.
pub struct Runner<'a> {
    /// How to come to the database, see [`connect`].
    pub database: &'a str,
    /// What becomes of the values.
    pub work: Work,
    /// The tables.
    pub tables: Vec<Table>,
    /// What opens and seals.
    pub keys: Arc<Keys>,
    /// How fast.
    pub limits: Limits,
}

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The table.
    pub table: crate::policy::RelationName,
    /// Rows to be moved.
    pub rows: u64,
    /// Bytes of the table and its indexes now.
    pub bytes: u64,
    /// It has no primary key.
    pub is_keyless: bool,
    /// Its triggers that each moved row will start.
    pub triggers: Vec<String>,
}

/// What a job has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows moved by this run.
    pub rows: u64,
    /// Values that could not be moved.
    pub failed: u64,
    /// The first of them.
    pub failures: Vec<Failure>,
}

/// How far a table is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The table.
    pub table: &'a crate::policy::RelationName,
    /// Which walk of it, by this run.
    pub pass: u32,
    /// Rows moved, by earlier runs of the job too.
    pub done: u64,
    /// Rows to be moved, as counted at the beginning.
    pub total: u64,
    /// Rows moved by this run, and since when.
    pub rate: (u64, Duration),
    /// An earlier run's job goes on.
    pub is_resumed: bool,
}

impl Runner<'_> {
    /// Counts what would be done, and changes nothing.
    ///
    /// # Errors
    /// The columns are not fit for this work, or the server refuses a query.
    pub async fn estimate(&self) -> Result<Vec<Estimate>, JobError> {
        self.check()?;
        let client = self.connect().await?;
        let mut estimates = Vec::new();
        for table in &self.tables {
            let order = table.order(&client).await?;
            let condition = self.condition(table)?;
            let walk = Walk { table, order: &order, condition: &condition, batch: 1, form: Form::Stored };
            let size = "SELECT pg_catalog.pg_total_relation_size(($1::text)::regclass)";
            let size = client
                .query_one(size, &[&table.name.to_string()])
                .await
                .map_err(doing("does not tell a table's size"))?;
            estimates.push(Estimate {
                table: table.name.clone(),
                rows: walk.count(&client).await?,
                bytes: u64::try_from(size.get::<_, i64>(0)).unwrap_or_default(),
                is_keyless: order == Order::Blocks,
                triggers: triggers(&client, table).await?,
            });
        }
        Ok(estimates)
    }

    /// Moves every value, and tells `progress` after each batch.
    ///
    /// # Errors
    /// The columns are not fit for this work, another job works on one, or the server refuses a statement. What was
    /// moved stays moved, and the next run goes on from there.
    pub async fn run(&self, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Result<Moved, JobError> {
        self.check()?;
        let client = self.connect().await?;
        for table in &self.tables {
            for column in &table.columns {
                record::lock(&client, &table.column_name(column)).await?;
            }
        }
        let mut moved = Moved::default();
        for table in &self.tables {
            self.table(&client, table, progress, &mut moved).await?;
        }
        Ok(moved)
    }

    /// Refuses columns that this work is not for.
    fn check(&self) -> Result<(), JobError> {
        for table in &self.tables {
            for column in &table.columns {
                let class = &column.class;
                let name = || class.column.clone();
                if class.binding.mode != Mode::Randomized {
                    return Err(JobError::Mode { column: name(), mode: class.binding.mode });
                }
                if self.keys.active(&class.key).is_none() {
                    return Err(JobError::NoActiveKey(class.key.clone()));
                }
                let why = match (self.work, class.storage, class.state) {
                    (Work::Rotate, _, _) => continue,
                    (Work::Encrypt | Work::Decrypt, _, ColumnState::Sealed) => {
                        "is not state = \"migrating\" in the policy: say so, and let every proxy read the policy again"
                    }
                    (Work::Encrypt | Work::Decrypt, Storage::Bytea, ColumnState::Migrating) => {
                        "is of type bytea: only columns that stay text can be moved in this release"
                    }
                    (Work::Encrypt | Work::Decrypt, Storage::Text, ColumnState::Migrating) => {
                        match class.ty.base {
                            Base::Text | Base::Varchar => continue,
                            _ => {
                                "is not declared as text: only columns that stay text can be moved in this release"
                            }
                        }
                    }
                };
                return Err(JobError::Unfit { column: name(), why });
            }
        }
        Ok(())
    }

    /// A connection on which no setting of the role or the database stands in the way.
    async fn connect(&self) -> Result<Client, JobError> {
        let client = connect(self.database).await?;
        settle(&client, self.limits.lock_wait).await?;
        Ok(client)
    }

    /// The condition on table `t` that holds for rows that have a value to be moved.
    fn condition(&self, table: &Table) -> Result<String, JobError> {
        let left = |column: &super::Column| {
            let key = &column.class.key;
            let active = self.keys.active(key).ok_or_else(|| JobError::NoActiveKey(key.clone()))?;
            Ok(self.work.is_left(&column.name, &column.class, active))
        };
        Ok(table.columns.iter().map(left).collect::<Result<Vec<_>, JobError>>()?.join(" OR "))
    }

    /// What values are moved to: a job that was begun towards other keys begins anew.
    fn target(&self, table: &Table) -> String {
        let keys: BTreeSet<KeyId> =
            table.columns.iter().filter_map(|column| self.keys.active(&column.class.key)).collect();
        keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    async fn table(
        &self,
        client: &Client,
        table: &Table,
        progress: &(dyn Fn(Progress<'_>) + Sync),
        moved: &mut Moved,
    ) -> Result<(), JobError> {
        let order = table.order(client).await?;
        if order == Order::Blocks {
            tracing::warn!(table = %table.name, "the table has no primary key: it is walked by its blocks");
        }
        for trigger in triggers(client, table).await? {
            tracing::warn!(table = %table.name, trigger, "each row that is moved starts this trigger");
        }
        let condition = self.condition(table)?;
        let walk = Walk {
            table,
            order: &order,
            condition: &condition,
            batch: self.limits.batch.get(),
            form: Form::Stored,
        };
        let throttle = Arc::new(Throttle::begin(&self.limits, client).await?);
        let total = walk.count(client).await?;
        let record = Record::new(self.work, table);
        let begun = record.begin(client, &self.target(table), total).await?;
        if self.work == Work::Encrypt && !begun.is_resumed {
            let refused = self.no_ambiguity(client, table).await;
            if refused.is_err() {
                record.end(client).await?;
            }
            refused?;
        }
        let total = total + begun.done;
        let (before, is_resumed) = (begun.done, begun.is_resumed);
        let (mut reached, mut done) = (begun.reached, 0);
        for pass in 1.. {
            let tell = |now: u64| {
                let rate = (done + now, throttle.worked());
                progress(Progress {
                    table: &table.name,
                    pass,
                    done: before + done + now,
                    total,
                    rate,
                    is_resumed,
                });
            };
            let walked = self.pass(&walk, reached.take(), before + done, &throttle, &tell).await?;
            done += walked.moved;
            moved.rows += walked.moved;
            let left = walk.count(client).await?;
            if left <= walked.failed_rows {
                record.end(client).await?;
                moved.failed += walked.failed;
                let room = FAILURES_KEPT.saturating_sub(moved.failures.len());
                moved.failures.extend(walked.failures.into_iter().take(room));
                return Ok(());
            }
            // The first walk of a resumed job may begin behind rows that were passed over.
            let is_whole = pass > 1 || !is_resumed;
            if walked.moved == 0 && walked.skipped == 0 && is_whole && pass > 3 {
                return Err(JobError::Unreached { table: table.name.clone(), left });
            }
            if walked.moved == 0 {
                sleep(HELD).await;
            }
            record.next_pass(client).await?;
        }
        Ok(())
    }

    /// Refuses a column whose plaintext begins as a sealed value does: nobody could tell them apart.
    async fn no_ambiguity(&self, client: &Client, table: &Table) -> Result<(), JobError> {
        let mut values = Values::new(Vault::new(Arc::clone(&self.keys), os_entropy()));
        for column in &table.columns {
            let one = Table { name: table.name.clone(), columns: vec![column.clone()] };
            let mut found = Verified::default();
            let sealed = format!("({} IS NOT NULL AND {})", of_t(&column.name), {
                let active = self.keys.active(&column.class.key);
                let active = active.ok_or_else(|| JobError::NoActiveKey(column.class.key.clone()))?;
                Work::Decrypt.is_left(&column.name, &column.class, active)
            });
            verify_where(client, &one, &sealed, None, &mut values, &mut found).await?;
            if let Some(first) = found.failures.first() {
                let (column, row) = (first.column.clone(), first.row.clone());
                return Err(JobError::Ambiguous { column, count: found.failed, row });
            }
        }
        Ok(())
    }

    /// Walks a table once.
    async fn pass(
        &self,
        walk: &Walk<'_>,
        from: Position,
        done: u64,
        throttle: &Arc<Throttle>,
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<Walked, JobError> {
        let pass = Arc::new(Pass {
            table: walk.table.clone(),
            order: walk.order.clone(),
            condition: walk.condition.to_owned(),
            work: self.work,
            limits: self.limits,
            statement: statement(walk.table),
            record: Record::new(self.work, walk.table),
            done_before: done,
            throttle: Arc::clone(throttle),
            moved: AtomicU64::new(0),
            cursor: Mutex::new(Cursor { position: from, ..Cursor::default() }),
            walked: Mutex::new(Walked::default()),
        });
        let mut workers = JoinSet::new();
        for _ in 0..self.limits.workers.get() {
            let client = self.connect().await?;
            let values = Values::new(Vault::new(Arc::clone(&self.keys), os_entropy()));
            let pass = Arc::clone(&pass);
            workers.spawn(async move { pass.work(&client, values).await });
        }
        let mut shown = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                ended = workers.join_next() => match ended {
                    // The others are stopped with the set, their transactions with their connections.
                    Some(ended) => ended.map_err(|_| JobError::Worker)??,
                    None => break,
                },
                _ = shown.tick() => tell(pass.moved.load(Ordering::Relaxed)),
            }
        }
        tell(pass.moved.load(Ordering::Relaxed));
        let mut walked = std::mem::take(&mut *pass.walked.lock().await);
        walked.moved = pass.moved.load(Ordering::Relaxed);
        Ok(walked)
    }
}

/// Takes settings of the role or the database out of a job's way. Should the job itself be stopped in the middle of a
/// transaction, or its network, the server ends that: others wait for its locks. A planner that knows nothing of a map's values
/// takes each look into it for dear, and would compile the statement, which takes a thousand times as long as it.
pub(super) async fn settle(client: &Client, lock_wait: Duration) -> Result<(), JobError> {
    client
            .batch_execute(
                "SET row_security = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '10s';
                 SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;
                 SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1;
                 SET bytea_output = 'hex'; SET jit = off;
                 SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
                 WHERE name = 'idle_session_timeout'",
            )
            .await
            .map_err(doing("refuses a setting"))?;
    // In a deadlock it is the job that gives way, before the server looks for somebody who has to.
    let wait = lock_wait.as_millis();
    client
        .batch_execute(&format!(
            "SELECT pg_catalog.set_config('lock_timeout', (greatest(1, least({wait}, (SELECT setting::bigint
                 FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout') / 2)))::text || 'ms', false)"
        ))
        .await
        .map_err(doing("refuses a setting"))?;
    Ok(())
}

/// What one walk has met.
#[derive(Debug, Default)]
struct Walked {
    moved: u64,
    /// Rows that others held or had changed.
    skipped: u64,
    failed: u64,
    failed_rows: u64,
    failures: Vec<Failure>,
}

/// One walk of a table, shared by the workers.
struct Pass {
    table: Table,
    order: Order,
    condition: String,
    work: Work,
    limits: Limits,
    statement: String,
    record: Record,
    done_before: u64,
    throttle: Arc<Throttle>,
    moved: AtomicU64,
    cursor: Mutex<Cursor>,
    walked: Mutex<Walked>,
}

/// Where the workers read on.
#[derive(Default)]
struct Cursor {
    position: Position,
    is_at_end: bool,
    next_batch: u64,
    /// Batches that are not written yet, with the positions that they began at.
    in_flight: BTreeMap<u64, Position>,
}

/// Rows that a worker has read.
struct Batch {
    number: u64,
    rows: Vec<Stored>,
}

/// Parameters of a batch's statement: where the rows are, and a new value for each column.
#[derive(Default)]
struct Writes {
    places: Vec<String>,
    versions: Vec<String>,
    values: Vec<Column>,
}

/// New values in the type of the column; `None` where a row keeps its own.
enum Column {
    Bytes(Vec<Option<Vec<u8>>>),
    Texts(Vec<Option<String>>),
}

impl Pass {
    /// Moves batches until there are none.
    async fn work(&self, client: &Client, mut values: Values) -> Result<(), JobError> {
        self.throttle.rest(client, &self.record, 0).await?;
        while let Some(batch) = self.next(client).await? {
            values.begin_batch();
            let writes = self.writes(&mut values, &batch).await;
            let rows = writes.places.len() as u64;
            let moved = if rows == 0 { 0 } else { self.write(client, batch.number, &writes).await? };
            self.cursor.lock().await.in_flight.remove(&batch.number);
            self.walked.lock().await.skipped += rows.saturating_sub(moved);
            self.moved.fetch_add(moved, Ordering::Relaxed);
            self.throttle.rest(client, &self.record, moved).await?;
        }
        Ok(())
    }

    /// Reads the next batch. Nothing is locked by it.
    async fn next(&self, client: &Client) -> Result<Option<Batch>, JobError> {
        let mut cursor = self.cursor.lock().await;
        if cursor.is_at_end {
            return Ok(None);
        }
        let batch = self.limits.batch.get();
        let walk = Walk {
            table: &self.table,
            order: &self.order,
            condition: &self.condition,
            batch,
            form: Form::Stored,
        };
        let piece = walk.next(client, &cursor.position).await?;
        let number = cursor.next_batch;
        let from = std::mem::replace(&mut cursor.position, piece.position);
        cursor.is_at_end = piece.is_last;
        cursor.next_batch += 1;
        cursor.in_flight.insert(number, from);
        Ok(Some(Batch { number, rows: piece.rows }))
    }

    /// Seals what the rows are to hold.
    async fn writes(&self, values: &mut Values, batch: &Batch) -> Writes {
        let columns = &self.table.columns;
        let empty = |column: &super::Column| match column.class.storage {
            Storage::Bytea => Column::Bytes(Vec::new()),
            Storage::Text => Column::Texts(Vec::new()),
        };
        let mut writes = Writes { values: columns.iter().map(empty).collect(), ..Writes::default() };
        let mut failures = Vec::new();
        let mut failed_rows = 0;
        for row in &batch.rows {
            let known = failures.len();
            let mut new = Vec::with_capacity(columns.len());
            for (column, stored) in columns.iter().zip(&row.values) {
                let moved = stored.as_deref().map_or(Ok(None), |stored| {
                    values.moved(self.work, &column.class, stored, Instant::now())
                });
                new.push(moved.unwrap_or_else(|why| {
                    let column = self.table.column_name(column);
                    failures.push(Failure { column, row: self.order.row(&row.key, &row.place), why });
                    None
                }));
            }
            failed_rows += u64::from(failures.len() > known);
            if new.iter().any(Option::is_some) {
                writes.places.push(row.place.clone());
                writes.versions.push(row.version.clone());
                writes.values.iter_mut().zip(new).for_each(|(column, value)| column.push(value));
            }
        }
        if !failures.is_empty() {
            let mut walked = self.walked.lock().await;
            walked.failed += failures.len() as u64;
            walked.failed_rows += failed_rows;
            let room = FAILURES_KEPT.saturating_sub(walked.failures.len());
            walked.failures.extend(failures.into_iter().take(room));
        }
        writes
    }

    /// Writes a batch and the checkpoint in one statement, however often it has to give way to others.
    async fn write(&self, client: &Client, number: u64, writes: &Writes) -> Result<u64, JobError> {
        for attempt in 1_u32.. {
            let reached = self.checkpoint(number).await;
            let done = self.done_before + self.moved.load(Ordering::Relaxed);
            let done = i64::try_from(done).unwrap_or(i64::MAX);
            let Record { work, relation, columns } = &self.record;
            let mut parameters: Vec<&(dyn ToSql + Sync)> =
                vec![&writes.places, &writes.versions, work, relation, columns, &reached, &done];
            parameters.extend(writes.values.iter().map(Column::parameter));
            match client.query_one(&self.statement, &parameters).await {
                Ok(row) if row.get::<_, i64>(1) == 0 => return Err(JobError::Removed),
                Ok(row) => return Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default()),
                Err(error) if gives_way(&error) => {
                    if attempt.is_multiple_of(100) {
                        tracing::warn!(table = %self.table.name, attempt, "others hold what the job needs");
                    }
                    sleep(pause()).await;
                }
                Err(error) => return Err(doing("refuses a batch")(error)),
            }
        }
        Ok(0)
    }

    /// What is behind this batch and all before it, if those are written already: the position that a later run may go
    /// on from.
    async fn checkpoint(&self, number: u64) -> Position {
        let cursor = self.cursor.lock().await;
        let mut in_flight = cursor.in_flight.iter();
        let is_first = in_flight.next().is_some_and(|(first, _)| *first == number);
        let behind = in_flight.next().map_or(&cursor.position, |(_, from)| from);
        if is_first { behind.clone() } else { None }
    }
}

impl Column {
    fn push(&mut self, value: Option<Vec<u8>>) {
        match self {
            Self::Bytes(values) => values.push(value),
            Self::Texts(values) => {
                values.push(value.map(|text| String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }

    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Bytes(values) => values,
            Self::Texts(values) => values,
        }
    }
}

/// The statement of a batch. Rows that somebody holds, or that are not the versions that were read, stay as they are:
/// so no plaintext and no old value has to be sent for the comparison. The row of the job is written last, so that
/// workers wait for each other only when they hold all that they need. (`unnest` of several arrays is a construct of the
/// grammar and takes no schema.)
fn statement(table: &Table) -> String {
    let (name, columns) = (&table.name, &table.columns);
    let numbered = columns.iter().enumerate();
    let arrays: String = numbered
        .clone()
        .map(|(i, column)| format!(", ${}::{}[]", i + 8, sql_type(column.class.storage)))
        .collect();
    let names: String = numbered.clone().map(|(i, _)| format!(", v{i}")).collect();
    let set = |(i, column): (usize, &super::Column)| {
        format!("{} = COALESCE(k.v{i}, {})", quote_ident(&column.name), of_t(&column.name))
    };
    let sets = numbered.map(set).collect::<Vec<_>>().join(", ");
    format!(
        "WITH kept AS MATERIALIZED (
           SELECT t.ctid AS place{names} FROM ONLY {name} t
           JOIN unnest($1::text[], $2::text[]{arrays}) AS n (place, version{names})
             ON t.ctid = n.place::tid AND t.xmin::text = n.version
           FOR NO KEY UPDATE OF t SKIP LOCKED),
         moved AS (UPDATE ONLY {name} t SET {sets} FROM kept k WHERE t.ctid = k.place RETURNING 1),
         marked AS (UPDATE pgseal.job SET reached = COALESCE($6::text[], reached), done = greatest(done, $7::bigint),
             moved = pg_catalog.now()
           WHERE work = $3::text AND relation = $4::text AND columns = $5::text[] RETURNING 1)
         SELECT (SELECT pg_catalog.count(*) FROM moved), (SELECT pg_catalog.count(*) FROM marked) {MARK}"
    )
}

/// Triggers of the application that an update of the columns starts.
async fn triggers(client: &Client, table: &Table) -> Result<Vec<String>, JobError> {
    // 16 is UPDATE; foreign keys' own triggers are internal.
    let rows = client
        .query(
            "SELECT tgname::text FROM pg_catalog.pg_trigger WHERE tgrelid = ($1::text)::regclass
             AND NOT tgisinternal AND NOT pg_catalog.starts_with(tgname::text, '~~pgseal_') AND tgenabled <> 'D' AND tgtype & 16 <> 0 ORDER BY 1",
            &[&table.name.to_string()],
        )
        .await
        .map_err(doing("does not tell a table's triggers"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Others are in the way, and it is the job that tries again.
pub(super) fn gives_way(error: &tokio_postgres::Error) -> bool {
    let codes =
        [SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_SERIALIZATION_FAILURE];
    error.code().is_some_and(|code| codes.contains(code))
}

pub(super) fn pause() -> Duration {
    let mut byte = [0];
    // Without chance the pauses are all the shortest.
    let _ = getrandom::fill(&mut byte);
    let [chance] = byte;
    Duration::from_millis(PAUSES.start + (PAUSES.end - PAUSES.start) * u64::from(chance) / 256)
}
