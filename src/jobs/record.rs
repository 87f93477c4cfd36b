//! How far a job is, in the database: one row for each table of a job, in schema `pgseal`.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::table::Table;
use super::walk::Position;
use super::{JobError, Work, doing, schema};
use crate::catalog::ColumnName;
use crate::policy::quote_ident;

/// Made on demand, and dropped when the last job has ended.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS pgseal.job (
  work text NOT NULL, relation text NOT NULL, columns text[] NOT NULL, target text NOT NULL,
  pass int NOT NULL DEFAULT 1, reached text[], done bigint NOT NULL DEFAULT 0, total bigint NOT NULL,
  began timestamptz NOT NULL DEFAULT pg_catalog.now(), moved timestamptz NOT NULL DEFAULT pg_catalog.now(),
  paused timestamptz, PRIMARY KEY (work, relation, columns));
  ALTER TABLE pgseal.job ADD COLUMN IF NOT EXISTS paused timestamptz";

/// Tries to make the table, where several commands may try at once.
const TRIES: u32 = 5;

/// What the database does that refuses to look for them.
const UNKNOWN: &str = "does not tell whether it has jobs";

/// A job on one table, as far as the database tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// `rotate`, `encrypt` or `decrypt`.
    pub work: String,
    /// The table.
    pub table: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Which walk of the table it is in, from 1.
    pub pass: i32,
    /// Rows moved.
    pub done: i64,
    /// Rows that were to be moved when it began.
    pub total: i64,
    /// When it last moved rows, as the server writes it.
    pub moved: String,
    /// Since when it is to move none, as the server writes it.
    pub paused: Option<String>,
    /// Somebody works on it; otherwise it was stopped or killed, and goes on when its command is run again.
    pub is_running: bool,
}

impl Job {
    /// Whether a word of a command line means it: a table or a context, with its schema or without, or a column.
    fn is_called(&self, name: &str) -> bool {
        let is_same =
            |full: &str| full == name || full.strip_suffix(name).is_some_and(|head| head.ends_with('.'));
        let column =
            |column: &String| is_same(column) || is_same(&format!("{}.{}", self.table, quote_ident(column)));
        is_same(&self.table) || self.columns.iter().any(column)
    }

    /// What a command that works on it has locked, see [`lock`]. A job on a context names its columns in full.
    fn locks(&self) -> Vec<String> {
        let names = |column: &String| [column.clone(), format!("{}.{}", self.table, quote_ident(column))];
        self.columns.iter().flat_map(names).map(|column| lock_name(&column)).collect()
    }
}

/// The jobs that have begun and not ended, those that were killed included.
///
/// # Errors
/// The server refuses a query.
pub async fn jobs(client: &Client) -> Result<Vec<Job>, JobError> {
    if !schema::exists(client, "pgseal.job", UNKNOWN).await? {
        return Ok(Vec::new());
    }
    let refused = || doing("does not show its jobs");
    // A table that an older release has made lacks the last column.
    let rows = client
        .query(
            "SELECT work, relation, columns, pass, done, total, moved::text,
               (pg_catalog.to_jsonb(j) ->> 'paused')::timestamptz::text
             FROM pgseal.job j ORDER BY began, relation",
            &[],
        )
        .await;
    let rows = match rows {
        // The last job has ended since.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(Vec::new()),
        rows => rows.map_err(refused())?,
    };
    let mut jobs = Vec::new();
    for row in &rows {
        let mut job = Job {
            work: row.get(0),
            table: row.get(1),
            columns: row.get(2),
            pass: row.get(3),
            done: row.get(4),
            total: row.get(5),
            moved: row.get(6),
            paused: row.get(7),
            is_running: false,
        };
        let held = client
            .query_one(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l
                   WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                     AND l.database = (SELECT oid FROM pg_catalog.pg_database
                                       WHERE datname = pg_catalog.current_database())
                     AND ((l.classid::bigint << 32) | l.objid::bigint)
                       IN (SELECT pg_catalog.hashtextextended(name, 0) FROM unnest($1::text[]) name))",
                &[&job.locks()],
            )
            .await
            .map_err(refused())?;
        job.is_running = held.get(0);
        jobs.push(job);
    }
    Ok(jobs)
}

/// Pauses jobs, or lets them go on: those that are called so, or all. Gives them as they are then.
///
/// # Errors
/// The server refuses a statement.
pub async fn pause(client: &Client, name: Option<&str>, is_paused: bool) -> Result<Vec<Job>, JobError> {
    let is_meant = |job: &Job| name.is_none_or(|name| job.is_called(name));
    let chosen: Vec<Job> = jobs(client).await?.into_iter().filter(is_meant).collect();
    if !chosen.is_empty() && !is_ready(client).await? {
        schema::make(client, TABLE).await.map_err(doing("does not pause its jobs"))?;
    }
    for job in &chosen {
        let paused = client
            .execute(
                "UPDATE pgseal.job SET paused = CASE WHEN $4 THEN COALESCE(paused, pg_catalog.now()) END
                 WHERE work = $1 AND relation = $2 AND columns = $3",
                &[&job.work, &job.table, &job.columns, &is_paused],
            )
            .await;
        match paused {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(Vec::new()),
            paused => drop(paused.map_err(doing("does not pause its jobs"))?),
        }
    }
    Ok(jobs(client).await?.into_iter().filter(is_meant).collect())
}

/// What names a job on one table.
pub(super) struct Record {
    pub(super) work: &'static str,
    pub(super) relation: String,
    pub(super) columns: Vec<String>,
}

/// Where a job goes on.
pub(super) struct Begun {
    pub(super) reached: Position,
    pub(super) done: u64,
    pub(super) is_resumed: bool,
}

impl Record {
    pub(super) fn new(work: Work, table: &Table) -> Self {
        Self {
            work: work.as_str(),
            relation: table.name.to_string(),
            columns: table.columns.iter().map(|column| column.name.clone()).collect(),
        }
    }

    /// Makes the row, or finds what an earlier run has left of the same job. `target` is what values are moved to: a
    /// job that had another begins anew.
    pub(super) async fn begin(&self, client: &Client, target: &str, total: u64) -> Result<Begun, JobError> {
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        for attempt in 1.. {
            let made = if is_ready(client).await? {
                Ok(())
            } else {
                let made = schema::make(client, TABLE).await;
                schema::show(client, "pgseal.job").await;
                made
            };
            let begun = match made {
                Ok(()) => self.insert(client, target, total).await,
                Err(error) => Err(error),
            };
            match begun {
                Ok(begun) => return Ok(begun),
                // Another command makes or drops it at this moment.
                Err(error) if attempt < TRIES && schema::is_race(&error) => {}
                Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                    return Err(JobError::NoSchema);
                }
                Err(error) => return Err(doing("does not keep the checkpoint")(error)),
            }
        }
        Err(JobError::Removed)
    }

    async fn insert(
        &self,
        client: &Client,
        target: &str,
        total: i64,
    ) -> Result<Begun, tokio_postgres::Error> {
        let row = client
            .query_one(
                "INSERT INTO pgseal.job AS j (work, relation, columns, target, total) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (work, relation, columns) DO UPDATE SET
                   reached = CASE WHEN j.target = excluded.target THEN j.reached END,
                   done = CASE WHEN j.target = excluded.target THEN j.done ELSE 0 END,
                   total = excluded.total + CASE WHEN j.target = excluded.target THEN j.done ELSE 0 END,
                   target = excluded.target
                 RETURNING reached, done, reached IS NOT NULL",
                &[&self.work, &self.relation, &self.columns, &target, &total],
            )
            .await?;
        let done = u64::try_from(row.get::<_, i64>(1)).unwrap_or_default();
        Ok(Begun { reached: row.get(0), done, is_resumed: row.get(2) })
    }

    /// So many rows are done by now; in a transaction of the caller's.
    pub(super) async fn advance(
        &self,
        client: &impl tokio_postgres::GenericClient,
        done: i64,
    ) -> Result<(), tokio_postgres::Error> {
        let sql = "UPDATE pgseal.job SET done = greatest(done, $4), moved = pg_catalog.now()
                   WHERE work = $1 AND relation = $2 AND columns = $3";
        client.execute(sql, &[&self.work, &self.relation, &self.columns, &done]).await.map(drop)
    }

    /// Since when the job is paused, if it is.
    pub(super) async fn paused(&self, client: &Client) -> Result<Option<String>, JobError> {
        let sql = "SELECT paused::text FROM pgseal.job WHERE work = $1 AND relation = $2 AND columns = $3";
        let row = client
            .query_opt(sql, &[&self.work, &self.relation, &self.columns])
            .await
            .map_err(doing("does not tell whether the job is paused"))?;
        row.map(|row| row.get(0)).ok_or(JobError::Removed)
    }

    /// Another walk begins.
    pub(super) async fn next_pass(&self, client: &Client) -> Result<(), JobError> {
        let changed = client
            .execute(
                "UPDATE pgseal.job SET pass = pass + 1, reached = NULL
                 WHERE work = $1 AND relation = $2 AND columns = $3",
                &[&self.work, &self.relation, &self.columns],
            )
            .await
            .map_err(doing("does not keep the checkpoint"))?;
        if changed == 1 { Ok(()) } else { Err(JobError::Removed) }
    }

    /// The job is done. What it has made goes with the last one.
    pub(super) async fn end(&self, client: &Client) -> Result<(), JobError> {
        client
            .execute(
                "DELETE FROM pgseal.job WHERE work = $1 AND relation = $2 AND columns = $3",
                &[&self.work, &self.relation, &self.columns],
            )
            .await
            .map_err(doing("does not end the job"))?;
        // Whoever else uses the table or the schema keeps it; that is no failure of the job.
        let drop_if_unused = "DO $$ BEGIN
            LOCK TABLE pgseal.job IN ACCESS EXCLUSIVE MODE NOWAIT;
            IF NOT EXISTS (SELECT FROM pgseal.job) THEN DROP TABLE pgseal.job; END IF;
            EXCEPTION WHEN OTHERS THEN NULL; END $$";
        let _ = client.batch_execute(drop_if_unused).await;
        let _ = client.batch_execute("DROP SCHEMA pgseal RESTRICT").await;
        Ok(())
    }
}

/// Keeps others from working on a column while this session lasts.
pub(super) async fn lock(client: &Client, column: &ColumnName) -> Result<(), JobError> {
    let name = lock_name(&column.to_string());
    let row = client
        .query_one("SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0))", &[&name])
        .await
        .map_err(doing("does not lock a column"))?;
    if row.get(0) { Ok(()) } else { Err(JobError::Busy(column.clone())) }
}

fn lock_name(column: &str) -> String {
    format!("pgseal.job {column}")
}

/// Whether the table is there, as this release makes it.
async fn is_ready(client: &Client) -> Result<bool, JobError> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
               WHERE attrelid = pg_catalog.to_regclass('pgseal.job') AND attname = 'paused')";
    let row = client.query_one(sql, &[]).await.map_err(doing(UNKNOWN))?;
    Ok(row.get(0))
}
