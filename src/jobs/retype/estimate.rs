//! How long a change will take, measured on a sample of the table's rows.
//!
//! The sample is a temporary table of one transaction that is rolled back, with the same columns and indexes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::{Retype, preflight, prepare, swap, views};
use crate::jobs::table::Order;
use crate::jobs::value::Values;
use crate::jobs::walk::{Form, Walk};
use crate::jobs::{JobError, Table, Work, doing};
use crate::keyring::{Vault, os_entropy};
use crate::policy::{ColumnName, RelationName};

/// Rows of the sample.
const SAMPLE: u32 = 20_000;
/// What comes on top of the measured time: dropping and making objects, reading the catalog, the last rows.
const FIXED: Duration = Duration::from_millis(500);
/// A machine that is busy, and a table that does not fit into memory, are slower than the sample.
const MARGIN: u32 = 2;

/// What a change of types would do.
#[derive(Clone, Debug)]
pub struct RetypeEstimate {
    /// The table.
    pub table: RelationName,
    /// Its columns.
    pub columns: Vec<ColumnName>,
    /// The types that they get.
    pub types: Vec<String>,
    /// Rows with values.
    pub rows: u64,
    /// Bytes of the table and its indexes now.
    pub bytes: u64,
    /// Views that are made again.
    pub views: Vec<String>,
    /// What keeps it from being done.
    pub hindrances: Vec<String>,
    /// What was measured, if there was something to measure.
    pub measured: Option<Measured>,
}

/// What a sample has told.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Rows of the sample.
    pub sample: u64,
    /// Time to prepare all values, without the pauses that were asked for.
    pub prepare: Duration,
    /// The longest that the table is locked: statements that come meanwhile wait.
    pub lock: Duration,
    /// Bytes of the table and its indexes afterwards.
    pub bytes: u64,
}

/// Measures; nothing is changed.
pub(super) async fn measured(job: &Retype<'_>, client: &Client) -> Result<RetypeEstimate, JobError> {
    let target = &job.target;
    let mut hindrances = target.problems.clone();
    hindrances.extend(preflight::hindrances(job, client).await?);
    let views = views::over(client, target.oid, &target.numbers).await?;
    let rows = prepare::rows(job, client).await?;
    let name = target.table.name.to_string();
    let bytes = size(client, &name).await?;
    let can_measure = hindrances.is_empty() && !target.is_done && rows > 0;
    let measured = if can_measure {
        client.batch_execute("BEGIN").await.map_err(doing("does not begin a transaction"))?;
        let measured = sample(job, client, bytes, rows).await;
        client.batch_execute("ROLLBACK").await.map_err(doing("does not drop the sample"))?;
        Some(measured?)
    } else {
        None
    };
    Ok(RetypeEstimate {
        table: target.table.name.clone(),
        columns: target.table.columns.iter().map(|column| target.table.column_name(column)).collect(),
        types: (0..target.table.columns.len()).map(|i| prepare::new_type(job, i).to_owned()).collect(),
        rows,
        bytes,
        views: views.iter().map(|view| view.name.clone()).collect(),
        hindrances,
        measured,
    })
}

async fn size(client: &Client, table: &str) -> Result<u64, JobError> {
    let sql = "SELECT pg_catalog.pg_total_relation_size(($1::text)::regclass)";
    let row = client.query_one(sql, &[&table]).await.map_err(doing("does not tell a table's size"))?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}

async fn sample(job: &Retype<'_>, client: &Client, bytes: u64, rows: u64) -> Result<Measured, JobError> {
    const COPY: &str = "pg_temp.pgseal_sample";
    const SEALED: &str = "pg_temp.pgseal_sealed";
    let refused = || doing("does not make a sample of the table");
    let name = &job.target.table.name;
    let sql = format!(
        "CREATE TEMP TABLE pgseal_sample (LIKE {name} INCLUDING INDEXES INCLUDING STORAGE) ON COMMIT DROP;
         CREATE TEMP TABLE pgseal_sealed ({}) ON COMMIT DROP;
         INSERT INTO {COPY} SELECT * FROM ONLY {name} LIMIT {SAMPLE}; ANALYZE {COPY}",
        prepare::columns(job)
    );
    client.batch_execute(&sql).await.map_err(refused())?;
    let small = size(client, COPY).await?.max(1);
    let table = Table { name: RelationName::new("pg_temp", "pgseal_sample"), ..job.target.table.clone() };
    let order = Order::Key(Vec::new());
    let condition = prepare::has_value(job);
    let form = Form::Versions { as_text: job.work == Work::Encrypt };
    let began = Instant::now();
    let walk = Walk { table: &table, order: &order, condition: &condition, batch: SAMPLE, form };
    let found = walk.first(client, SAMPLE).await?;
    let mut values = Values::new(Vault::new(Arc::clone(&job.keys), os_entropy()));
    for chunk in found.chunks(usize::try_from(job.limits.batch.get()).unwrap_or(usize::MAX)) {
        let batch = prepare::seal(job, &mut values, chunk, &Order::Blocks);
        prepare::insert(job, client, SEALED, &batch).await?;
        if !batch.failures.is_empty() {
            let why = "\n  values of the sample cannot be moved: the job names them by their rows";
            return Err(JobError::Unchangeable(name.clone(), why.to_owned()));
        }
    }
    let prepared = began.elapsed();
    let lookup = |i: usize| format!("pg_temp.pgseal_prepared_{i}");
    client.batch_execute(&prepare::lookups(job, lookup, SEALED)).await.map_err(refused())?;
    let began = Instant::now();
    let alter = swap::alter(job, COPY, lookup, &[]);
    client.batch_execute(&alter).await.map_err(doing("refuses the change of a sample of the table"))?;
    let locked = began.elapsed();
    let sample = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let scale = |time: Duration| {
        let nanos = time.as_nanos().saturating_mul(u128::from(rows)) / u128::from(sample.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    };
    let grown = u128::from(size(client, COPY).await?) * u128::from(bytes) / u128::from(small);
    Ok(Measured {
        sample,
        prepare: scale(prepared),
        lock: scale(locked) * MARGIN + FIXED + job.limits.lock_wait,
        bytes: u64::try_from(grown).unwrap_or(u64::MAX),
    })
}
