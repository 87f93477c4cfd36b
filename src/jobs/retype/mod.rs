//! Columns whose type changes when they are encrypted or decrypted: `date` to `bytea` and back.
//!
//! A column cannot hold both, so all of it changes in one instant: by one ALTER TABLE, under an exclusive lock, with values
//! that were sealed (or opened) beforehand.
//!
//! | file | what |
//! |---|---|
//! | `target` | which columns of which table, and what will stand in the way of encrypted ones |
//! | `preflight` | what the server would refuse, or what would not mean the same afterwards |
//! | `prepare` | values, sealed beforehand, kept by the place and the version of their row |
//! | `views` | views over the columns, to be dropped and made again |
//! | `swap` | the one instant |
//! | `estimate` | how long it will take, measured |
//!
//! A change goes through these steps, and each can be the last one before a crash; the next run goes on from there.
//!
//! 1. Values are prepared, while everybody works. Nothing but a table of schema `pgseal` is changed.
//! 2. The change is announced by the table `pgseal.before_N` (`N` is the table's object id). Proxies have statements that
//!    reach the table lock that one first. A lease later, and when no transaction is left that began before, all of them do.
//! 3. The swap: in one transaction `pgseal.before_N` goes, the columns change, and `pgseal.after_N` comes. Statements
//!    that had waited, and were analysed for the type before, find their lock's table gone, and their transaction fails.
//! 4. When no transaction is left that does not see the change, `pgseal.after_N` goes, too.

mod estimate;
mod preflight;
mod prepare;
mod swap;
mod target;
mod views;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

pub use self::estimate::{Measured, RetypeEstimate};
pub(super) use self::prepare::VERSION;
use self::swap::Swapped;
pub use self::target::{Target, plaintext, targets};
use super::connection::connect;
use super::contexts::announce;
use super::record::{self, Record};
use super::runner::{Limits, Moved, Progress, pause, settle};
use super::throttle::Throttle;
use super::{JobError, Work, doing, schema};
use crate::catalog::{Change, ChangePhase};
use crate::keyring::Keys;

/// Tries at the lock before people are told.
const TRIES_BEFORE_WORDS: u32 = 20;
/// What the database does that refuses to look for a table.
const UNKNOWN: &str = "does not tell how far the change is";

/// Changes the types of one table's columns.
pub struct Retype<'a> {
    /// How to come to the database, see [`connect`].
    pub database: &'a str,
    /// To encrypt or to decrypt.
    pub work: Work,
    /// The table and its columns.
    pub target: Target,
    /// What opens and seals.
    pub keys: Arc<Keys>,
    /// How fast.
    pub limits: Limits,
    /// For how long a proxy may act by a catalog that it has read.
    pub lease: Duration,
    /// The table may be in a publication: its subscribers are taken care of.
    pub replicated: bool,
}

impl Retype<'_> {
    /// What stands in the way, and how long it will take; nothing is changed.
    ///
    /// # Errors
    /// The server refuses a query.
    pub async fn estimate(&self) -> Result<RetypeEstimate, JobError> {
        let client = self.connect().await?;
        estimate::measured(self, &client).await
    }

    /// Changes the types, and tells `progress` how far preparing is.
    ///
    /// # Errors
    /// Something stands in the way, another job works on the table, or the server refuses a statement. What was prepared
    /// stays, and the next run goes on from there.
    pub async fn run(&self, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Result<Moved, JobError> {
        let client = self.connect().await?;
        for column in &self.target.table.columns {
            record::lock(&client, &self.target.table.column_name(column)).await?;
        }
        record::lock(&client, &self.target.table.name.column("*")).await?;
        // One record for the table, whichever of its columns an earlier run was about.
        let record = Record { columns: vec!["*".to_owned()], ..Record::new(self.work, &self.target.table) };
        if schema::exists(&client, &self.change(ChangePhase::After).relation(), UNKNOWN).await? {
            tracing::info!(table = %self.target.table.name, "ends a change that has happened");
            record.begin(&client, &self.goal(), 0).await?;
            self.finish(&client, &record).await?;
        }
        if self.target.is_done {
            self.clean(&client, &record).await?;
            self.is_encrypted(&client).await?;
            return Ok(Moved::default());
        }
        self.hindered(&client).await?;
        let throttle = Throttle::begin(&self.limits, &client).await?;
        record.begin(&client, &self.goal(), prepare::rows(self, &client).await?).await?;
        prepare::make(self, &client).await?;
        let mut moved = prepare::all(self, &client, &record, &throttle, progress).await?;
        if moved.failed > 0 {
            return Ok(moved);
        }
        self.announce(&client).await?;
        let swapped = self.swapped(&client, &record, &throttle, progress, &mut moved).await;
        if swapped.is_err() || moved.failed > 0 {
            tracing::warn!("the change is called off: proxies are told so");
            self.withdraw(&client, ChangePhase::Before).await?;
            return swapped.map(|()| moved);
        }
        self.finish(&client, &record).await?;
        Ok(moved)
    }

    /// Prepares what has come meanwhile and swaps, until that has gone through.
    async fn swapped(
        &self,
        client: &Client,
        record: &Record,
        throttle: &Throttle,
        progress: &(dyn Fn(Progress<'_>) + Sync),
        moved: &mut Moved,
    ) -> Result<(), JobError> {
        for attempt in 1_u32.. {
            if attempt.is_multiple_of(TRIES_BEFORE_WORDS) {
                tracing::warn!(attempt, table = %self.target.table.name, "others do not leave the table");
            }
            throttle.rest(client, record, 0).await?;
            match swap::swap(self, client).await? {
                Swapped::Done => return Ok(()),
                Swapped::GaveWay => sleep(pause()).await,
                Swapped::TooManyLeft => {
                    let more = prepare::all(self, client, record, throttle, progress).await?;
                    moved.rows += more.rows;
                    (moved.failed, moved.failures) = (more.failed, more.failures);
                    if moved.failed > 0 {
                        return Ok(());
                    }
                }
            }
        }
        Err(JobError::Worker)
    }

    /// Ends a change that has happened.
    async fn finish(&self, client: &Client, record: &Record) -> Result<(), JobError> {
        let analyze = format!("ANALYZE {}", self.target.table.name);
        client.batch_execute(&analyze).await.map_err(doing("does not analyze the table"))?;
        announce::older_gone(client).await?;
        self.withdraw(client, ChangePhase::After).await?;
        prepare::drop(self, client).await?;
        record.end(client).await
    }

    /// Refuses to take columns for encrypted ones that have the type but hold something else.
    async fn is_encrypted(&self, client: &Client) -> Result<(), JobError> {
        let table = &self.target.table;
        let mut list = String::new();
        for column in table.columns.iter().filter(|_| self.work == Work::Encrypt) {
            let name = &column.name;
            let value = super::of_t(name);
            let sql = format!(
                "SELECT pg_catalog.count(*) FROM ONLY {} t WHERE {value} IS NOT NULL AND {} IS NULL",
                table.name,
                super::status::beginning(&value, &column.class)
            );
            let row = client.query_one(&sql, &[]).await.map_err(doing("does not count rows"))?;
            let others: i64 = row.get(0);
            if others > 0 {
                list += &format!(
                    "\n  column {name} is bytea already, and {others} of its values are not encrypted"
                );
            }
        }
        if list.is_empty() { Ok(()) } else { Err(JobError::Unchangeable(table.name.clone(), list)) }
    }

    /// Takes away what a run has left that was killed at its very end.
    async fn clean(&self, client: &Client, record: &Record) -> Result<(), JobError> {
        let has_record = schema::exists(client, "pgseal.job", UNKNOWN).await?;
        if has_record || schema::exists(client, &prepare::sealed(self), UNKNOWN).await? {
            record.begin(client, &self.goal(), 0).await?;
            prepare::drop(self, client).await?;
            record.end(client).await?;
        }
        Ok(())
    }

    /// Refuses what stands in the way.
    async fn hindered(&self, client: &Client) -> Result<(), JobError> {
        let mut found: BTreeSet<String> = self.target.problems.iter().cloned().collect();
        found.extend(preflight::hindrances(self, client).await?);
        if found.is_empty() {
            return Ok(());
        }
        let list = found.iter().map(|hindrance| format!("\n  {hindrance}")).collect();
        Err(JobError::Unchangeable(self.target.table.name.clone(), list))
    }

    /// Has statements that reach the table take a lock first, and waits until all do.
    async fn announce(&self, client: &Client) -> Result<(), JobError> {
        let relation = self.change(ChangePhase::Before).relation();
        let sql = format!(
            "BEGIN; GRANT USAGE ON SCHEMA pgseal TO PUBLIC; CREATE TABLE IF NOT EXISTS {relation} ();
             GRANT SELECT ON {relation} TO PUBLIC;
             COMMENT ON TABLE {relation} IS 'the types of columns of {} are about to change'; COMMIT",
            self.target.oid
        );
        client.batch_execute(&sql).await.map_err(doing("does not announce the change"))?;
        announce::heard(client, self.lease).await?;
        announce::older_gone(client).await
    }

    /// Takes an announcement back: proxies go by it until they have read that it is over.
    async fn withdraw(&self, client: &Client, phase: ChangePhase) -> Result<(), JobError> {
        let relation = self.change(phase).relation();
        let refused = || doing("does not end the announcement");
        client.batch_execute(&format!("COMMENT ON TABLE {relation} IS NULL")).await.map_err(refused())?;
        announce::heard(client, self.lease).await?;
        for _ in 0..100 {
            match client.batch_execute(&format!("DROP TABLE IF EXISTS {relation}")).await {
                Err(error) if super::runner::gives_way(&error) => sleep(pause()).await,
                dropped => return dropped.map_err(refused()),
            }
        }
        tracing::warn!(relation, "others hold the table: it can be dropped later");
        Ok(())
    }

    fn change(&self, phase: ChangePhase) -> Change {
        Change { table: self.target.oid, phase }
    }

    /// What the prepared values are: others are of no use.
    fn goal(&self) -> String {
        let column = |(column, ty): (&super::Column, &String)| {
            let key = self.keys.active(&column.class.key).map(|id| id.to_string()).unwrap_or_default();
            let binding = &column.class.binding;
            format!("{} {ty} {} {} {} {key}", column.name, binding.mode, binding.context, binding.family)
        };
        let columns: Vec<String> =
            self.target.table.columns.iter().zip(&self.target.types).map(column).collect();
        format!("{}: {}", self.work.as_str(), columns.join(", "))
    }

    async fn connect(&self) -> Result<Client, JobError> {
        let client = connect(self.database).await?;
        settle(&client, self.limits.lock_wait).await?;
        // Definitions of views and defaults are read and written with all schemas.
        let sql = "SELECT pg_catalog.set_config('search_path', '', false); SET TimeZone = 'UTC';
                   SET max_parallel_workers_per_gather = 0";
        client.batch_execute(sql).await.map_err(doing("refuses a setting"))?;
        Ok(client)
    }
}

/// Makes the schema `pgseal`.
async fn make_schema(client: &Client, table: &str) -> Result<(), JobError> {
    schema::make(client, table).await.map_err(|error| match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => JobError::NoSchema,
        _ => doing("does not make a table in schema pgseal")(error),
    })
}
