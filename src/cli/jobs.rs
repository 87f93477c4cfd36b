//! `pgseal jobs`: the jobs that move values, seen, paused, and let go on.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{DatabaseArg, Exit, block_on};
use crate::jobs::{self, Job, connection};

/// See, pause and resume the jobs that move values
///
/// A job pauses between two batches, within a second; it stays where it is, and so do its locks against other jobs, but it
/// holds no row and no table. It is paused in the database: also when its process is stopped and started again.
#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// The jobs that have begun and not ended: how far they are, and whether somebody works on them
    List {
        /// The database.
        #[command(flatten)]
        database: DatabaseArg,
        /// An array of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have jobs move no more rows until they are resumed: one, or all
    Pause(WhichArgs),
    /// Let paused jobs go on: one, or all
    Resume(WhichArgs),
}

/// Which jobs, and where.
#[derive(Debug, Args)]
struct WhichArgs {
    /// A table, column or context as `jobs list` shows it; without it all jobs are meant.
    #[arg(value_name = "WHAT")]
    what: Option<String>,
    /// The database.
    #[command(flatten)]
    database: DatabaseArg,
}

/// Runs one of the commands.
///
/// # Errors
/// The database does not answer, or refuses.
pub(super) fn run(args: &JobsArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    match &args.command {
        JobsCommand::List { database, json } => {
            let found = block_on(async {
                Ok(jobs::under_way(&connection::connect(&database.database).await?).await?)
            })?;
            if *json {
                let all: serde_json::Value = found.iter().map(self::json).collect();
                writeln!(out, "{all}")?;
            } else {
                list(&found, out)?;
            }
            Ok(Exit::Success)
        }
        JobsCommand::Pause(which) => change(which, true, out),
        JobsCommand::Resume(which) => change(which, false, out),
    }
}

fn change(which: &WhichArgs, is_paused: bool, out: &mut impl Write) -> anyhow::Result<Exit> {
    let what = which.what.as_deref();
    let (changed, all) = block_on(async {
        let client = connection::connect(&which.database.database).await?;
        Ok((jobs::pause(&client, what, is_paused).await?, jobs::under_way(&client).await?))
    })?;
    if let Some(what) = what.filter(|_| changed.is_empty()) {
        writeln!(out, "no job is called {what}:")?;
        list(&all, out)?;
        return Ok(Exit::Problems);
    }
    list(&changed, out)?;
    Ok(Exit::Success)
}

fn list(jobs: &[Job], out: &mut impl Write) -> anyhow::Result<()> {
    if jobs.is_empty() {
        writeln!(out, "no job has begun and not ended")?;
    }
    for job in jobs {
        writeln!(out, "{}", text(job))?;
    }
    Ok(())
}

/// A job in one line.
pub(super) fn text(job: &Job) -> String {
    let Job { work, table, columns, pass, done, total, moved, paused, is_running } = job;
    let columns = columns.join(", ");
    let state = match (paused, is_running) {
        (None, true) => "running".to_owned(),
        (None, false) => "stopped: run its command again to go on".to_owned(),
        (Some(since), true) => format!("paused since {since}"),
        (Some(since), false) => {
            format!("paused since {since}, and stopped: resume it, and run its command again")
        }
    };
    format!("{work} {table} ({columns}): {done} of {total} rows, walk {pass}, last moved at {moved}; {state}")
}

/// A job as an object.
pub(super) fn json(job: &Job) -> serde_json::Value {
    serde_json::json!({
        "work": job.work,
        "table": job.table,
        "columns": job.columns,
        "pass": job.pass,
        "done": job.done,
        "total": job.total,
        "moved": job.moved,
        "paused": job.paused,
        "running": job.is_running,
    })
}
