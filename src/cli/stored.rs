//! The commands on stored values: `pgseal status`, `rotate`, `encrypt`, `decrypt` and `verify`.

mod counts;
mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::counts::{count_anew, kept};
use self::progress::Display;
use super::database::Database;
use super::keys::fleet::{self, Proxy};
use super::{DatabaseArg, Exit, SealingArgs, block_on};
use crate::catalog::{self, Catalog, ColumnName, Grade, Phase, Pin, RelationKind, Statistics};
use crate::crypto::Mode;
use crate::jobs::{
    self, ColumnStatus, ContextEstimate, Estimate, Failure, Limits, Measured, Mover, Retype, RetypeEstimate,
    Runner, Status, Work, connection,
};
use crate::keyring::{self, Entry, Keyring};
use crate::policy::{ColumnState, Policy};
use crate::sql::{Consequence, NOT_BEGUN, OutputValue, Schema, SchemaProblem};

/// Where policy, keys and values are.
#[derive(Debug, Args)]
pub(super) struct StoredArgs {
    #[command(flatten)]
    pub sealing: SealingArgs,
    #[command(flatten)]
    pub database: DatabaseArg,
}

/// Show what is stored: rows per column and key, plaintext left, keys with their states, jobs
///
/// Counts in the database, by the beginnings of the stored values; nothing is decrypted, and the key-encryption key is
/// not asked for. Each encrypted column is read whole. Where proxies report themselves, the counts are written into
/// pgseal.counted for their status pages, if this user may do that.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub stored: StoredArgs,
    /// One object of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Open every value, and name those that do not open by their primary keys
#[derive(Debug, Args)]
#[command(after_long_help = "\
The exit code is 1 if a value does not open. Values are never printed.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub stored: StoredArgs,
    /// Only columns of this key, of this table, or this column: KEY, TABLE or TABLE.COLUMN.
    #[arg(value_name = "WHAT")]
    pub what: Option<String>,
    /// Only so many rows of each table, drawn at random.
    #[arg(long, value_name = "N")]
    pub sample: Option<NonZeroU32>,
}

/// What is moved, and how fast.
#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    #[command(flatten)]
    pub stored: StoredArgs,
    /// A key, a table or a column: KEY, TABLE or TABLE.COLUMN, names as in SQL.
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// Rows of one transaction.
    #[arg(long, value_name = "ROWS", default_value = "500")]
    pub batch: NonZeroU32,
    /// Rows of each second at most.
    #[arg(long, value_name = "ROWS")]
    pub rows_per_second: Option<NonZeroU32>,
    /// How long a statement of the job waits for a lock; never longer than half of deadlock_timeout.
    #[arg(long, value_name = "MILLISECONDS", default_value = "200")]
    pub max_lock_wait: NonZeroU32,
    /// How far standbys may be behind: while the slowest has not replayed what is older, no rows are moved. The role has to
    /// be a member of pg_monitor. What is not known stops the job: no standby, or one that is connected no more.
    #[arg(long, value_name = "SECONDS")]
    pub max_lag: Option<NonZeroU32>,
    /// Connections that move rows.
    #[arg(id = "job_workers", long = "workers", value_name = "N", default_value = "1")]
    pub workers: NonZeroU32,
    /// The longest catalog lease of any proxy (`serve --catalog-lease`), in seconds: so long each step of a rotation of
    /// deterministic columns waits until all proxies know of it.
    #[arg(long, value_name = "SECONDS", env = "PGSEAL_CATALOG_LEASE", default_value_t = 30)]
    pub catalog_lease: u64,
    /// The table may be in a publication: the subscribers' columns are changed at the same time, by somebody.
    ///
    /// Only asked where the type of a column changes (`encrypt` and `decrypt`).
    #[arg(long)]
    pub replicated: bool,
    /// Only count and measure what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Rows of deterministic columns that are left for the lock which ends their move; more are walked once more.
    #[arg(long, hide = true, default_value_t = 100)]
    pub left_for_the_end: u64,
}

/// Policy and catalog, joined.
struct Ground {
    policy: Policy,
    catalog: Catalog,
    schema: Schema,
    problems: Vec<SchemaProblem>,
}

impl Ground {
    async fn new(args: &StoredArgs) -> anyhow::Result<Self> {
        let policy = Policy::load(args.sealing.policy())?;
        let catalog = Database::connect(&args.database.database).await?.catalog().await?;
        let (schema, problems) = Schema::build(&policy, &catalog);
        Ok(Self { policy, catalog, schema, problems })
    }

    fn tables(&self, chosen: &BTreeSet<ColumnName>) -> Vec<jobs::Table> {
        jobs::tables(&self.schema, &self.catalog, |column, _| chosen.contains(column))
    }

    /// The deterministic columns that share their context with one of those.
    fn of_one_context(&self, chosen: &BTreeSet<ColumnName>) -> BTreeSet<ColumnName> {
        let contexts: BTreeSet<_> = chosen
            .iter()
            .filter_map(|name| self.policy.column(name))
            .filter(|column| column.mode == Mode::Deterministic)
            .map(|column| (&column.key, &column.context))
            .collect();
        let all = self.policy.columns();
        let alike = all.filter(|(_, column)| {
            column.mode == Mode::Deterministic && contexts.contains(&(&column.key, &column.context))
        });
        alike.map(|(name, _)| name).collect()
    }

    /// Materialized views that hold copies of the columns.
    fn copies(&self, chosen: &BTreeSet<ColumnName>) -> BTreeSet<String> {
        let views =
            self.catalog.relations.iter().filter(|relation| relation.kind == RelationKind::MaterializedView);
        let holds = |relation: &&crate::catalog::Relation| {
            relation.columns.iter().any(|column| {
                match self.schema.sealed_column(relation.oid, column.number) {
                    Some(OutputValue::Sealed(class) | OutputValue::SealedArray(class)) => {
                        chosen.contains(&class.column)
                    }
                    Some(OutputValue::Plain) | None => false,
                }
            })
        };
        views.filter(holds).map(|relation| relation.name.to_string()).collect()
    }

    /// Prints what stands in the way of encrypted values in the columns; false if nothing does.
    fn hindered(
        &self,
        chosen: &BTreeSet<ColumnName>,
        args: &MoveArgs,
        out: &mut impl Write,
    ) -> anyhow::Result<bool> {
        let places: BTreeSet<_> =
            chosen.iter().filter_map(|name| Some(self.policy.column(name)?.place)).collect();
        let findings = catalog::check(&self.policy, &self.catalog, &Statistics::default());
        let wrong = findings.into_iter().filter(|finding| finding.grade == Grade::Problem);
        let of_columns = wrong.filter(|finding| places.contains(&finding.place));
        let mut messages: Vec<String> = of_columns.map(|finding| finding.message).collect();
        let tables: BTreeSet<_> = chosen.iter().map(|name| &name.relation).collect();
        let blocking = self.problems.iter().filter(|problem| {
            problem.consequence != Consequence::Warning
                && tables.contains(&problem.relation)
                && !problem.message.ends_with(NOT_BEGUN)
        });
        messages.extend(blocking.map(|problem| problem.message.clone()));
        for message in &messages {
            writeln!(out, "{}: {message}", args.what)?;
        }
        Ok(!messages.is_empty())
    }

    /// Whether the policy lets the types of the columns change; says so if not.
    fn are_migrating(
        &self,
        columns: &BTreeSet<ColumnName>,
        args: &MoveArgs,
        out: &mut impl Write,
    ) -> anyhow::Result<bool> {
        let is_sealed = |name: &&ColumnName| {
            self.policy.column(name).is_none_or(|column| column.state != ColumnState::Migrating)
        };
        let sealed: Vec<&ColumnName> = columns.iter().filter(is_sealed).collect();
        for name in &sealed {
            writeln!(
                out,
                "{}: column {name} is not state = \"migrating\" in the policy: say so, and let every proxy read the \
                 policy again",
                args.what
            )?;
        }
        Ok(sealed.is_empty())
    }

    /// Columns of the policy that the database does not have, or not as it should.
    fn absent(&self, chosen: &BTreeSet<ColumnName>) -> Vec<ColumnName> {
        let there: BTreeSet<ColumnName> = self.schema.sealed_columns().map(|(name, _)| name).collect();
        chosen.difference(&there).cloned().collect()
    }
}

/// Prints what is stored.
///
/// # Errors
/// The policy or the keyring cannot be read, or the database does not answer.
pub(super) fn status(args: &StatusArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let ring = Keyring::read(args.stored.sealing.keyring())?;
    let (status, absent, proxies) = block_on(async {
        let ground = Ground::new(&args.stored).await?;
        let proxies = fleet::proxies(&Database::connect(&args.stored.database.database).await?).await?;
        let client = connection::connect(&args.stored.database.database).await?;
        let all = ground.policy.columns().map(|(name, _)| name).collect();
        let mut status = jobs::status(&client, &ground.schema, &ground.catalog).await?;
        let plaintext = jobs::plaintext(&client, &ground.policy, &ground.catalog).await?;
        let all: BTreeSet<ColumnName> = all;
        let known: BTreeSet<ColumnName> = plaintext.iter().map(|column| column.column.clone()).collect();
        status.columns.extend(plaintext);
        status.columns.sort_by(|a, b| a.column.cmp(&b.column));
        let rest = all.difference(&known).cloned().collect();
        if jobs::are_counts_shown(&client).await? {
            kept(jobs::keep_counts(&client, &status.columns).await);
        }
        Ok((status, ground.absent(&rest), proxies))
    })?;
    if args.json {
        let columns: Vec<_> = status.columns.iter().map(column_json).collect();
        let keys: Vec<_> = ring.keys.iter().map(key_json).collect();
        let jobs: Vec<_> = status.jobs.iter().map(super::jobs::json).collect();
        let proxies: Vec<_> = proxies.iter().map(proxy_json).collect();
        let contexts: Vec<_> = status.pins.iter().map(pin_json).collect();
        let all = json!({
            "columns": columns, "keys": keys, "jobs": jobs, "proxies": proxies, "contexts": contexts,
        });
        writeln!(out, "{all}")?;
    } else {
        status_text(&status, &ring, out)?;
        if !proxies.is_empty() {
            writeln!(out, "\nproxies")?;
        }
        for proxy in proxies {
            let Proxy { id, host, age, keys, policy, .. } = proxy;
            let policy = if policy.is_empty() { "not said" } else { &policy };
            let keys: Vec<_> = keys.iter().map(|(id, state)| format!("{id} ({state})")).collect();
            writeln!(
                out,
                "  {id} on {host}, heard of {age} s ago, policy {policy}, keys {}",
                keys.join(", ")
            )?;
        }
        for column in absent {
            writeln!(out, "\ncolumn {column} is not in the database, or cannot hold encrypted values")?;
        }
    }
    Ok(Exit::Success)
}

fn column_json(column: &ColumnStatus) -> serde_json::Value {
    json!({
        "column": column.column.to_string(),
        "mode": column.mode.to_string(),
        "rows": column.rows,
        "plaintext": column.plaintext,
        "keys": column.keys,
    })
}

fn key_json(key: &Entry) -> serde_json::Value {
    json!({
        "name": key.name,
        "version": key.version,
        "id": key.id.to_string(),
        "state": key.state.as_str(),
        "created": key.created.to_string(),
        "since": key.since.to_string(),
    })
}

fn proxy_json(proxy: &Proxy) -> serde_json::Value {
    json!({
        "id": proxy.id,
        "host": proxy.host,
        "process": proxy.process,
        "version": proxy.version,
        "seconds_ago": proxy.age,
        "policy": proxy.policy,
        "keys": proxy.keys,
    })
}

fn pin_json(pin: &Pin) -> serde_json::Value {
    json!({
        "context": pin.context,
        "key": pin.key,
        "work": jobs::work_of(pin).as_str(),
        "phase": pin.phase.as_str(),
        "old": pin.old.to_string(),
        "new": pin.new.to_string(),
    })
}

fn status_text(status: &Status, ring: &Keyring, out: &mut impl Write) -> anyhow::Result<()> {
    let known: BTreeMap<String, &Entry> = ring.keys.iter().map(|key| (key.id.to_string(), key)).collect();
    let width = status.columns.iter().map(|column| column.column.to_string().len()).max().unwrap_or(6).max(6);
    writeln!(out, "{:width$}  {:13}  {:>10}  {:>10}  under keys", "column", "mode", "rows", "plaintext")?;
    for column in &status.columns {
        let key = |(id, rows): (&String, &u64)| match known.get(id) {
            Some(key) => format!("{}@{} {id} ({}): {rows}", key.name, key.version, key.state),
            None => format!("{id} (not in the keyring): {rows}"),
        };
        let (name, mode) = (column.column.to_string(), column.mode.to_string());
        let keys = column.keys.iter().map(key).collect::<Vec<_>>().join(", ");
        writeln!(out, "{name:width$}  {mode:13}  {:>10}  {:>10}  {keys}", column.rows, column.plaintext)?;
    }
    writeln!(out, "\nkeys")?;
    for key in &ring.keys {
        writeln!(out, "  {}@{} {} {} since {}", key.name, key.version, key.id, key.state, key.since)?;
    }
    let moving: Vec<_> = status.pins.iter().filter(|pin| pin.phase != Phase::New).collect();
    if !moving.is_empty() {
        writeln!(out, "\ncontexts between two forms")?;
    }
    for pin in moving {
        let Pin { context, phase, old, new, .. } = pin;
        let (work, phase) = (jobs::work_of(pin).as_str(), phase.as_str());
        writeln!(out, "  {context}: phase {phase} of {work}, from {old} to {new}")?;
    }
    if !status.jobs.is_empty() {
        writeln!(out, "\njobs begun and not ended")?;
    }
    for job in &status.jobs {
        writeln!(out, "  {}", super::jobs::text(job))?;
    }
    Ok(())
}

/// Opens the values.
///
/// # Errors
/// The policy or the keyring cannot be read, or the database does not answer.
pub(super) fn verify(args: &VerifyArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let keys = Arc::new(keyring::load(args.stored.sealing.keyring(), args.stored.sealing.kek())?);
    let found = block_on(async {
        let ground = Ground::new(&args.stored).await?;
        let chosen = match &args.what {
            Some(what) => jobs::choose(&ground.policy, what)?,
            None => ground.policy.columns().map(|(name, _)| name).collect(),
        };
        let client = connection::connect(&args.stored.database.database).await?;
        Ok(jobs::verify(&client, &ground.tables(&chosen), &keys, args.sample.map(NonZeroU32::get)).await?)
    })?;
    failures(&found.failures, found.failed, out)?;
    let plaintext = match found.plaintext {
        0 => String::new(),
        n => format!(", {n} not encrypted yet"),
    };
    writeln!(out, "{} values open, {} do not{plaintext}", found.opened, found.failed)?;
    Ok(if found.failed == 0 { Exit::Success } else { Exit::Problems })
}

/// Moves values.
///
/// # Errors
/// The policy or the keyring cannot be read, the columns are not fit for it, or the database does not answer.
pub(super) fn moved(work: Work, args: &MoveArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let keys = Arc::new(keyring::load(args.stored.sealing.keyring(), args.stored.sealing.kek())?);
    block_on(async {
        let ground = Ground::new(&args.stored).await?;
        let is_deterministic =
            |name: &ColumnName| ground.policy.column(name).is_some_and(|c| c.mode == Mode::Deterministic);
        let mut chosen = jobs::choose(&ground.policy, &args.what)?;
        let mut touched = chosen.clone();
        let (targets, retyped) = jobs::targets(&ground.policy, &ground.catalog, &chosen, work);
        if !ground.are_migrating(&retyped, args, out)? {
            return Ok(Exit::Problems);
        }
        chosen.retain(|column| !retyped.contains(column));
        // A deterministic column moves with all that it is compared with.
        chosen.extend(ground.of_one_context(&chosen));
        touched.extend(chosen.iter().cloned());
        chosen.retain(|column| !retyped.contains(column));
        for column in ground.absent(&chosen) {
            writeln!(out, "column {column} is not in the database, or cannot hold encrypted values")?;
        }
        let (by_value, row_by_row): (BTreeSet<_>, BTreeSet<_>) =
            chosen.iter().cloned().partition(is_deterministic);
        let limits = Limits {
            batch: args.batch,
            workers: args.workers,
            rows_per_second: args.rows_per_second,
            lock_wait: Duration::from_millis(args.max_lock_wait.get().into()),
            max_lag: args.max_lag.map(|seconds| Duration::from_secs(seconds.get().into())),
        };
        let needs_policy = match work {
            Work::Rotate => false,
            Work::Encrypt => true,
            Work::Decrypt => !by_value.is_empty() || !retyped.is_empty(),
        };
        if needs_policy && ground.hindered(&chosen, args, out)? {
            return Ok(Exit::Problems);
        }
        let tables = ground.tables(&row_by_row);
        let contexts = jobs::contexts(&ground.schema, &ground.catalog, |column, _| by_value.contains(column));
        let database = &args.stored.database.database;
        let lease = Duration::from_secs(args.catalog_lease);
        let mover = Mover {
            database,
            contexts,
            catalog: &ground.catalog,
            keys: keys.clone(),
            work,
            limits,
            left_for_the_end: args.left_for_the_end,
            lease,
        };
        let retypes: Vec<Retype<'_>> = targets
            .into_iter()
            .map(|target| Retype {
                database,
                work,
                target,
                keys: keys.clone(),
                limits,
                lease,
                replicated: args.replicated,
            })
            .collect();
        let runner = Runner { database, work, tables, keys, limits };
        if args.dry_run {
            let mut code = Exit::Success;
            if !chosen.is_empty() {
                code = estimated(&runner.estimate().await?, args, out)?;
            }
            for retype in &retypes {
                code = retype_estimated(&retype.estimate().await?, code, out)?;
            }
            return contexts_estimated(&mover.estimate().await?, code, out);
        }
        if needs_policy {
            mover.prepare().await?;
        }
        if needs_policy
            && let Some(others) = fleet::under_another_policy(
                &fleet::proxies(&Database::connect(&args.stored.database.database).await?).await?,
                &ground.policy.digest(),
            )
        {
            writeln!(
                out,
                "proxies that run another policy than this one would write plaintext, or not read what is stored:\n\
                 {others}\ngive them this policy first: they read it again when its file changes, and at SIGHUP"
            )?;
            return Ok(Exit::Problems);
        }
        let display = Display::new(work);
        let mut moved = mover.run(&|progress| display.show(&progress)).await;
        if let Ok(by_value) = &moved {
            let rows = by_value.rows;
            moved = runner.run(&|progress| display.show(&progress)).await.map(|mut moved| {
                moved.rows += rows;
                moved
            });
        }
        if let Ok(before) = &mut moved {
            for retype in &retypes {
                let now = retype.run(&|progress| display.show(&progress)).await;
                let Ok(now) = now else {
                    moved = now;
                    break;
                };
                before.rows += now.rows;
                before.failed += now.failed;
                before.failures.extend(now.failures);
            }
        }
        display.end();
        let moved = moved?;
        kept(count_anew(&args.stored, &touched).await);
        failures(&moved.failures, moved.failed, out)?;
        writeln!(out, "{} rows moved, {} values could not be", moved.rows, moved.failed)?;
        for view in ground.copies(&chosen) {
            writeln!(
                out,
                "materialized view {view} has copies of the old values: REFRESH MATERIALIZED VIEW {view}"
            )?;
        }
        match work {
            // A table that was written anew has no dead rows, and was analyzed.
            Work::Encrypt if chosen.is_empty() => writeln!(
                out,
                "plaintext remains in WAL, archives, base backups and the server's log until they expire \
                 (docs/lifecycle.md)"
            )?,
            Work::Encrypt => writeln!(
                out,
                "plaintext remains in dead rows, statistics, WAL and backups until they are cleared: ANALYZE and \
                 VACUUM FULL the tables, and let archives expire (docs/lifecycle.md)"
            )?,
            Work::Rotate | Work::Decrypt => {}
        }
        Ok(if moved.failed == 0 { Exit::Success } else { Exit::Problems })
    })
}

fn estimated(estimates: &[Estimate], args: &MoveArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut all = 0;
    for estimate in estimates {
        all += estimate.rows;
        writeln!(
            out,
            "{}: {} rows to be moved; table and indexes have {} bytes, and each moved row leaves a dead one until VACUUM",
            estimate.table, estimate.rows, estimate.bytes
        )?;
        if estimate.is_keyless {
            writeln!(out, "  it has no primary key, and is walked by its blocks")?;
        }
        for trigger in &estimate.triggers {
            writeln!(out, "  each moved row starts the trigger {trigger}")?;
        }
    }
    let batches = all.div_ceil(args.batch.get().into());
    write!(out, "{all} rows in {batches} transactions of up to {} rows", args.batch)?;
    match args.rows_per_second {
        Some(rate) => writeln!(out, ", {} s at {rate} rows per second", all.div_ceil(rate.get().into()))?,
        None => writeln!(out)?,
    }
    Ok(Exit::Success)
}

fn retype_estimated(estimate: &RetypeEstimate, mut code: Exit, out: &mut impl Write) -> anyhow::Result<Exit> {
    let RetypeEstimate { table, columns, types, rows, bytes, views, hindrances, measured } = estimate;
    let to = columns.iter().zip(types).map(|(column, ty)| format!("{} to {ty}", column.column));
    let to = to.collect::<Vec<_>>().join(", ");
    writeln!(out, "{table} ({to}): {rows} rows; table and indexes have {bytes} bytes")?;
    if let Some(Measured { sample, prepare, lock, bytes }) = measured {
        let seconds = |time: &Duration| format!("{:.1} s", time.as_secs_f64());
        writeln!(
            out,
            "  by a sample of {sample} rows: {} to prepare the values, while everybody works; then the table is locked \
             for up to {}; {bytes} bytes afterwards, and as many more until then",
            seconds(prepare),
            seconds(lock)
        )?;
    }
    for view in views {
        writeln!(out, "  view {view} is dropped and made again")?;
    }
    for hindrance in hindrances {
        writeln!(out, "  {hindrance}")?;
        code = Exit::Problems;
    }
    Ok(code)
}

fn contexts_estimated(
    estimates: &[ContextEstimate],
    mut code: Exit,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    for ContextEstimate { context, columns, rows, hindrances, without_index } in estimates {
        let columns = columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        writeln!(out, "context {context} ({columns}): {rows} rows to be moved value by value")?;
        for column in without_index {
            writeln!(out, "  no index begins with {column}: each transaction reads its table whole")?;
        }
        for hindrance in hindrances {
            writeln!(out, "  {hindrance}")?;
            code = Exit::Problems;
        }
    }
    Ok(code)
}

fn failures(failures: &[Failure], failed: u64, out: &mut impl Write) -> anyhow::Result<()> {
    for Failure { column, row, why } in failures {
        writeln!(out, "{column}: {row}: {why}")?;
    }
    let more = failed.saturating_sub(failures.len() as u64);
    if more > 0 {
        writeln!(out, "and {more} more")?;
    }
    Ok(())
}
