//! `pgseal audit`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Exit, KekArg, KeyringArg};
use crate::audit::{Report, verify};
use crate::keyring::{Keks, Keyring};
use crate::session::digest;

/// Look into an audit log
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Verify(VerifyArgs),
    /// Print the digest by which records name a statement
    ///
    /// Statements that differ in values, parameters, comments, blanks and case alone have the same.
    Digest {
        /// The statement.
        #[arg(value_name = "SQL")]
        sql: String,
    },
}

/// Find out whether an audit log is whole, and as it was written
///
/// The exit code is 1 if records were changed, taken out, put in or moved, or if that cannot be told.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal audit verify /var/log/pgseal/audit.jsonl.* /var/log/pgseal/audit.jsonl --keyring keys/keyring.toml
  pgseal audit verify audit.jsonl --keyring keys/keyring.toml --anchor 1234:9f2c...

An anchor is what the proxy's ordinary log says of how far the audit log has come. With one from another place, an end
that was cut off behind the proxy's back is found too.")]
struct VerifyArgs {
    /// The files, the oldest first.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    keyring: KeyringArg,
    #[command(flatten)]
    kek: KekArg,
    /// Number and code of a record that has to be there.
    #[arg(long, value_name = "N:CODE", value_parser = anchor)]
    anchor: Option<String>,
}

fn anchor(text: &str) -> Result<String, &'static str> {
    let parts =
        text.split_once(':').filter(|(number, code)| number.parse::<u64>().is_ok() && code.len() == 64);
    parts.map(|_| text.to_owned()).ok_or("a record's number, a colon, and 64 hexadecimal digits")
}

pub(super) fn run(args: &AuditArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    match &args.command {
        AuditCommand::Verify(args) => verify_files(args, out),
        AuditCommand::Digest { sql } => {
            writeln!(out, "{}", digest(sql))?;
            Ok(Exit::Success)
        }
    }
}

fn verify_files(args: &VerifyArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let keyring = &args.keyring.keyring;
    // A log may be older than the key that is active now.
    let mut keks = Keks::new(args.kek.kek.as_deref());
    let keys = Keyring::read(keyring)?.unlock_with(keyring, &mut keks, true)?;
    let Report { findings, records, last } = verify(&args.files, &keys, args.anchor.as_deref())?;
    for finding in &findings {
        let grade = if finding.found.is_problem() { "problem" } else { "note" };
        writeln!(out, "{}:{}: {grade}: {}", finding.file.display(), finding.line, finding.found)?;
    }
    let problems = findings.iter().filter(|finding| finding.found.is_problem()).count();
    let last = last.unwrap_or_else(|| "none".to_owned());
    writeln!(out, "{records} records, {problems} problems, last {last}")?;
    Ok(if problems == 0 { Exit::Success } else { Exit::Problems })
}
