//! `pgseal open`: opens what was taken out of a database, offline.

mod copy;
mod csv;
mod dump;
mod opener;
mod text;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;

use self::dump::Dump;
use self::opener::{Opener, say};
use super::{Exit, SealingArgs};
use crate::keyring::{Keks, Keyring};
use crate::policy::{ColumnName, Policy, RelationName};

/// What is read and written at once.
const BUFFER: usize = 256 * 1024;

/// Open a dump, a CSV or single values, with the keyring and the policy alone
///
/// Reads a file of pg_dump (as SQL with COPY or INSERTs, or in an archive format, by pg_restore) and writes it with the
/// values opened and the columns of their plaintext types, so that it can be restored into an ordinary database.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal open app.sql --out plain.sql --policy policy.toml --keyring keys/keyring.toml
  pgseal open app.dump --with-archived --policy policy.toml --keyring keys/keyring.toml | psql app_copy
  pgseal open --csv public.users users.csv --policy policy.toml --keyring keys/keyring.toml
  echo '\\xe510...' | pgseal open --values public.users.ssn --policy policy.toml --keyring keys/keyring.toml

What comes out is plaintext: keep it where that may be.")]
pub(super) struct OpenArgs {
    /// The dump, CSV or values; `-` (the default) for standard input. An archive of pg_dump has to be a file.
    #[arg(value_name = "FILE")]
    from: Option<PathBuf>,
    /// The file is a CSV of this table, with a header: schema.table.
    #[arg(long, value_name = "TABLE", conflicts_with = "values")]
    csv: Option<RelationName>,
    /// What stands between the fields of a CSV.
    #[arg(long, value_name = "CHARACTER", default_value = ",", requires = "csv")]
    delimiter: char,
    /// The file has values of this column, one a line: schema.table.column.
    #[arg(long, value_name = "COLUMN")]
    values: Option<ColumnName>,
    /// Where to write instead of standard output: a new file, which only its owner may read.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Open with archived keys too.
    #[arg(long)]
    with_archived: bool,
    /// Leave values that cannot be opened as they are, count them, and end with exit code 1.
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    sealing: SealingArgs,
}

/// Opens it.
///
/// # Errors
/// Something cannot be read or written, or a value cannot be opened.
pub(super) fn run(args: &OpenArgs, out: impl Write) -> anyhow::Result<Exit> {
    let policy = Policy::load(args.sealing.policy())?;
    let keys = Keyring::read(args.sealing.keyring())?.unlock_with(
        args.sealing.keyring(),
        &mut Keks::new(args.sealing.kek()),
        args.with_archived,
    )?;
    let mut opener = Opener::new(&policy, keys, args.keep_going);
    let opened = match &args.out {
        None => all(args, out, &mut opener),
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let file = file.with_context(|| format!("cannot create {}", path.display()))?;
            all(args, &file, &mut opener)
                .and_then(|()| file.sync_all().context("the output cannot be written"))
        }
    };
    let failed_early = match opened {
        Ok(()) => false,
        // Nobody reads on, as in `| head`.
        Err(error) if is_broken_pipe(&error) => return Ok(Exit::Success),
        Err(error) if opener.failed > 0 => {
            say(&format!("{error:#}"));
            true
        }
        Err(error) => return Err(error),
    };
    let Opener { opened, failed, left, .. } = opener;
    let and_left = if left > 0 { format!(", {left} places were left as they are") } else { String::new() };
    say(&format!("{opened} values were opened, {failed} could not be{and_left}"));
    Ok(if failed_early || failed > 0 || left > 0 { Exit::Problems } else { Exit::Success })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn all(args: &OpenArgs, out: impl Write, opener: &mut Opener) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, out);
    let path = args.from.as_deref().filter(|path| *path != Path::new("-"));
    if let Some(table) = &args.csv {
        let targets = opener.table(table).with_context(|| format!("the policy has no table {table}"))?;
        let delimiter =
            u8::try_from(args.delimiter).ok().filter(|byte| byte.is_ascii() && !b"\"\r\n".contains(byte));
        let delimiter = delimiter.context("a delimiter is one character of ASCII, and no quote")?;
        csv::open(input(path)?, &mut out, &targets, delimiter, opener)?;
    } else if let Some(column) = &args.values {
        values(input(path)?, &mut out, column, opener)?;
    } else {
        dumped(path, &mut out, opener)?;
    }
    Ok(out.flush()?)
}

fn input(path: Option<&Path>) -> anyhow::Result<Box<dyn BufRead>> {
    Ok(match path {
        None => Box::new(BufReader::with_capacity(BUFFER, io::stdin().lock())),
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            Box::new(BufReader::with_capacity(BUFFER, file))
        }
    })
}

/// Values one a line, as COPY writes them or as SQL shows them.
fn values(
    mut input: impl BufRead,
    out: &mut impl Write,
    column: &ColumnName,
    opener: &mut Opener,
) -> anyhow::Result<()> {
    let target = opener.table(&column.relation).and_then(|targets| targets.get(&column.column).cloned());
    let target = target.with_context(|| format!("the policy has no column {column}"))?;
    let (mut line, mut number, mut written) = (Vec::new(), 0, Vec::new());
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).context("the values cannot be read")? == 0 {
            return Ok(());
        }
        number += 1;
        let value = line.trim_ascii();
        written.clear();
        let stored = if value.starts_with(b"\\\\x") { value.get(1..).unwrap_or_default() } else { value };
        let is_null = stored.is_empty() || stored == b"\\N";
        match if is_null { None } else { opener.open(&target, stored, number)? } {
            Some(plaintext) => copy::escape(&plaintext, &mut written),
            None => written.extend_from_slice(value),
        }
        written.push(b'\n');
        out.write_all(&written)?;
    }
}

/// A dump, by way of pg_restore if it is an archive.
fn dumped(path: Option<&Path>, out: &mut impl Write, opener: &mut Opener) -> anyhow::Result<()> {
    const ARCHIVE: &[u8] = b"PGDMP";
    let Some(path) = path else {
        let mut input = BufReader::with_capacity(BUFFER, io::stdin().lock());
        if input.fill_buf()?.starts_with(ARCHIVE) {
            bail!(
                "this is an archive of pg_dump, not SQL: name it as a file, so that pg_restore can read it"
            );
        }
        return Dump::new(opener, out).run(input);
    };
    let is_archive = path.is_dir() || {
        let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut start = [0; ARCHIVE.len()];
        file.read_exact(&mut start).is_ok() && start == *ARCHIVE
    };
    if !is_archive {
        return Dump::new(opener, out).run(input(Some(path))?);
    }
    let mut restore = Restore(
        Command::new("pg_restore")
            .args(["-f", "-"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context(
                "pg_restore, which reads archives of pg_dump, cannot be started; it has to be in PATH",
            )?,
    );
    let stdout = restore.0.stdout.take().context("pg_restore has no output")?;
    Dump::new(opener, out).run(BufReader::with_capacity(BUFFER, stdout))?;
    let status = restore.0.wait()?;
    if !status.success() {
        bail!("pg_restore failed ({status}), so the dump is not whole");
    }
    Ok(())
}

/// Ended when it is no longer listened to.
struct Restore(Child);

impl Drop for Restore {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
