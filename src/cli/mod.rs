//! The command line: one file for each command, and what they share.
//!
//! Flags are also read from the environment, as `PGSEAL_` and the flag's name. Exit codes are in [`Exit`] and in
//! docs/cli.md.

mod audit;
mod auth;
mod check;
mod config;
mod database;
mod explain;
mod generate;
mod health;
mod heartbeat;
pub mod init;
mod jobs;
mod keys;
mod logging;
mod open;
mod reload;
mod serve;
mod settings;
mod stored;
mod suggest;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand};

pub use self::settings::{
    AuthMethod, AuthMode, Authorities, DatabaseArg, KekArg, KeyringArg, Negotiation, Permissions, PolicyArg,
    SealingArgs, ServeArgs, TlsMode, UpstreamTlsMode,
};

use self::config::{ParseError, Parsed};
use crate::admin::Exposed;
use crate::jobs::connection::ConnectError;
use crate::jobs::{ChoiceError, JobError, Work};
use crate::keyring::{self, KeyringError};
use crate::net::auth::UserlistError;
use crate::net::tls::TlsError;
use crate::policy::PolicyError;

/// How a command ended, for whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and nothing is wrong. Warnings may have been printed.
    Success = 0,
    /// The policy, the keyring or the database is not as it has to be, or the statement would be refused.
    Problems = 1,
    /// The command line is wrong (clap's own code for it).
    Usage = 2,
    /// The database cannot be reached, or refuses the login.
    NoDatabase = 3,
    /// Anything else: a file that cannot be read, a port that is taken.
    Failure = 4,
}

/// A transparent encrypting proxy for PostgreSQL.
///
/// pgseal stands between an application and its database, speaks the PostgreSQL protocol on both sides, encrypts
/// the columns that a policy file names on their way to the server and decrypts them on their way back.
#[derive(Debug, Parser)]
#[command(name = "pgseal", version, max_term_width = 100, after_long_help = GETTING_STARTED)]
struct Cli {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct ProcessArgs {
    /// A file of settings: each is called as its flag. A flag wins over its variable, and that over the file.
    #[arg(long, value_name = "FILE", env = "PGSEAL_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, or per module as in `info,pgseal::session=debug`.
    #[arg(long, value_name = "FILTER", env = "PGSEAL_LOG", default_value = "info", global = true)]
    #[arg(value_parser = logging::filter)]
    log: String,
    /// For people, or one object of JSON a line.
    #[arg(long, value_name = "FORMAT", env = "PGSEAL_LOG_FORMAT", default_value = "auto", global = true)]
    log_format: LogFormat,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// One object a line.
    Json,
}

const GETTING_STARTED: &str = "\
Getting started:
  1. Make a keyring:            pgseal init --keyring keys/keyring.toml --kek file:keys/kek
  2. Name columns in a policy:  see policies/quickstart.toml and docs/policy.md, or start from
                                pgseal init --suggest postgres://me@db.internal/app
  3. Check the policy:          pgseal check --policy policy.toml \\
                                  --database postgres://me@db.internal/app
  4. Start the proxy:           pgseal serve --listen 127.0.0.1:6432 --upstream db.internal:5432 \\
                                  --policy policy.toml --keyring keys/keyring.toml
  5. Point the application at it: DATABASE_URL=postgres://me@127.0.0.1:6432/app

Flags can be given as environment variables (--keyring is PGSEAL_KEYRING, and so on), and those of
serve in a file, which --config or PGSEAL_CONFIG names. Logs hold no SQL, no parameters and no values.

Exit codes:
  0  done; nothing is wrong (warnings may have been printed)
  1  problems found: in the policy, the keyring or the database, or a statement would be refused
  2  the command line is wrong
  3  the database cannot be reached, or refuses the login
  4  anything else, such as a file that cannot be read or a port that is taken";

#[derive(Debug, Subcommand)]
enum Command {
    Init(InitArgs),
    Serve(Box<ServeArgs>),
    Config(Box<config::ConfigArgs>),
    Check(CheckArgs),
    Explain(ExplainArgs),
    Keys(keys::KeysArgs),
    Auth(auth::AuthArgs),
    Audit(audit::AuditArgs),
    Status(stored::StatusArgs),
    /// Move stored values to the active version of their key
    ///
    /// Values of randomized columns are sealed anew, batch by batch, while the application goes on. A job that was
    /// stopped or killed goes on where it was when it is started again.
    Rotate(stored::MoveArgs),
    /// Encrypt the plaintext that is in a column, while the application goes on
    ///
    /// The column stays of type text or varchar, and the policy that all proxies run under says state = "migrating" of
    /// it. A deterministic one is encrypted value by value, with all columns that it is compared with.
    Encrypt(stored::MoveArgs),
    /// Make stored values plaintext again, while the application goes on
    Decrypt(stored::MoveArgs),
    Verify(stored::VerifyArgs),
    Jobs(jobs::JobsArgs),
    Open(open::OpenArgs),
    Health(health::HealthArgs),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// Make a keyring with one active data key named `default`, or propose a policy
///
/// The data key is wrapped by a key-encryption key (KEK), which lies elsewhere: in a file, which is made when it
/// is absent, in an environment variable, behind a passphrase, or with a service that never gives it away (Vault's
/// transit engine, AWS KMS, a PKCS #11 module). A keyring that is there already is never overwritten.
///
/// With `--suggest`, no keyring is made: a policy is proposed, of the columns that look sensitive by their names and
/// types, each with the mode that constraints and the statements seen need, and with the reasons in comments.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal init --keyring keys/keyring.toml --kek file:keys/kek
  pgseal init --keyring keys/keyring.toml --kek env:APP_KEK   # APP_KEK holds 32 bytes in base64
  pgseal init --keyring keys/keyring.toml --kek passphrase:   # asks for it; or passphrase:file:PATH
  pgseal init --keyring keys/keyring.toml --kek vault-transit:app       # VAULT_ADDR, VAULT_TOKEN
  pgseal init --keyring keys/keyring.toml --kek aws-kms:alias/app       # AWS_REGION, ...
  pgseal init --keyring keys/keyring.toml --kek 'pkcs11:token=app;object=kek?module-path=/usr/lib/m.so'
  pgseal init --suggest postgres://me@db.internal/app > policy.toml
  pgseal init --suggest postgres://me@db.internal/app --queries postgresql.log --out policy.toml

Back up the keyring and the KEK, each in a place of its own: without both, nothing that was encrypted can be
read again.")]
pub struct InitArgs {
    /// The keyring file to make, in a directory that only its owner can read.
    #[arg(long, value_name = "FILE", env = "PGSEAL_KEYRING", required_unless_present = "suggest")]
    pub keyring: Option<PathBuf>,
    /// Where the key-encryption key is: `file:PATH`, `env:NAME`, `passphrase:[file:PATH|env:NAME]`,
    /// `vault-transit:[MOUNT/]KEY`, `aws-kms:KEY` or `pkcs11:URI`.
    #[arg(
        id = "new_kek",
        long = "kek",
        value_name = "KEK",
        env = "PGSEAL_KEK",
        required_unless_present = "suggest"
    )]
    pub kek: Option<String>,
    /// Leave a keyring that is there already as it is, and succeed if it opens; for scripts that run at each start.
    #[arg(long, conflicts_with = "suggest")]
    pub if_absent: bool,
    /// Propose a policy for this database, from its columns and from what pg_stat_statements has seen there.
    #[arg(long, value_name = "URL")]
    pub suggest: Option<String>,
    /// Statements that the application runs, as for `check`; `-` for standard input.
    #[arg(long, value_name = "FILE", requires = "suggest")]
    pub queries: Option<PathBuf>,
    /// Where to write the policy instead of to standard output; a file that is there is never overwritten.
    #[arg(long, value_name = "FILE", requires = "suggest")]
    pub out: Option<PathBuf>,
}

/// Flags that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongFlags(&'static str);

/// Read a policy and report everything that is wrong with it
///
/// Checks the policy file in itself; with a keyring, that each of its keys can seal; with a database, that its
/// tables and columns are there, can hold sealed values, and that indexes, constraints, triggers and views on them
/// make sense under their mode. Every problem is printed with file, line and column.
///
/// With the statements that an application runs, it tells before anything is encrypted which of them will work,
/// which are refused, why, and how often they are called. The columns may still have their plaintext types: all is
/// judged as it will be once they are encrypted.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal check --policy policy.toml
  pgseal check --policy policy.toml --keyring keys/keyring.toml \\
    --database postgres://me@db.internal/app
  pgseal check --policy policy.toml --from-pg-stat-statements postgres://me@db.internal/app
  pgseal check --policy policy.toml --database postgres://me@db.internal/app --queries postgresql.log

Problems and refused statements make the exit code 1; warnings, and statements that name what the database does
not have, leave it 0. The database is only read from. Values in statements are never printed.")]
#[command(group = ArgGroup::new("catalog").args(["database", "from_pg_stat_statements"]).multiple(true))]
#[command(mut_arg("keyring", |flag| flag.required(false)), mut_arg("database", |flag| flag.required(false)))]
pub struct CheckArgs {
    /// The policy.
    #[command(flatten)]
    pub policy: PolicyArg,
    /// The keyring, to see that it holds an active key under each name in the policy.
    #[command(flatten)]
    pub keyring: Option<KeyringArg>,
    /// What unwraps its keys.
    #[command(flatten)]
    pub kek: KekArg,
    /// The database to hold the policy against.
    #[command(flatten)]
    pub database: Option<DatabaseArg>,
    /// Statements that the application runs, `-` for standard input. Needs a database.
    ///
    /// SQL separated by `;`, PostgreSQL's log with its statements (log_statement = all, or
    /// log_min_duration_statement) as text, csvlog or jsonlog, or objects in JSON, one a line, with `query` and
    /// `calls`.
    #[arg(long, value_name = "FILE", env = "PGSEAL_QUERIES", requires = "catalog")]
    pub queries: Option<PathBuf>,
    /// Takes the statements from the extension pg_stat_statements of this database.
    ///
    /// The catalog is read there too, unless `--database` names another.
    #[arg(long, value_name = "URL", env = "PGSEAL_FROM_PG_STAT_STATEMENTS", hide_env_values = true)]
    pub from_pg_stat_statements: Option<String>,
    /// For people, or one object of JSON.
    #[arg(long, value_name = "FORMAT", env = "PGSEAL_FORMAT", default_value = "text")]
    pub format: Format,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One object.
    Json,
}

/// Show what the proxy would do with a statement, and why
///
/// Says whether the statement would be forwarded as it is, rewritten (with the role of each parameter, literal and
/// result column), or refused (with the reason, the place and the way out). Nothing is run but catalog queries.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal explain --policy policy.toml --database postgres://me@db.internal/app \\
    \"SELECT name FROM users WHERE email = $1\"
  pgseal explain --policy policy.toml --database postgres://me@db.internal/app \\
    \"SELECT * FROM users ORDER BY email\"; echo $?     # 1: refused

The names in the statement are looked up under the search path that the database gives this user.")]
pub struct ExplainArgs {
    /// The policy.
    #[command(flatten)]
    pub policy: PolicyArg,
    /// The database whose catalog to read.
    #[command(flatten)]
    pub database: DatabaseArg,
    /// The statement. Parameters are written $1, $2, ...
    #[arg(value_name = "SQL")]
    pub sql: String,
}

/// The command line's definition, for manual pages, completions, and tests of what the documentation says.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command, and maps the outcome to an exit code.
pub fn main() -> ExitCode {
    let Parsed { cli, given } = match config::parse(std::env::args_os().collect()) {
        Ok(parsed) => parsed,
        Err(ParseError::CommandLine(error)) => error.exit(),
        Err(ParseError::File(error)) => {
            let _ = writeln!(io::stderr(), "pgseal: {error}");
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    let logging = logging::start(&cli.process.log, cli.process.log_format);
    let mut out = io::stdout().lock();
    let exit = match cli.command {
        Command::Init(args) => init_or_suggest(&args, &mut out),
        Command::Serve(args) => serve::run(&args, &logging),
        Command::Config(_) => config::print(&given, &mut out),
        Command::Check(args) => check::run(&args, &mut out),
        Command::Explain(args) => explain::run(&args, &mut out),
        Command::Keys(args) => keys::run(&args, &mut out),
        Command::Audit(args) => audit::run(&args, &mut out),
        Command::Auth(args) => auth::run(&args, &mut out),
        Command::Status(args) => stored::status(&args, &mut out),
        Command::Rotate(args) => stored::moved(Work::Rotate, &args, &mut out),
        Command::Encrypt(args) => stored::moved(Work::Encrypt, &args, &mut out),
        Command::Decrypt(args) => stored::moved(Work::Decrypt, &args, &mut out),
        Command::Verify(args) => stored::verify(&args, &mut out),
        Command::Jobs(args) => jobs::run(&args, &mut out),
        Command::Open(args) => open::run(&args, &mut out),
        Command::Health(args) => health::run(&args, &mut out),
        Command::Completions(args) => Ok(generate::completions(&args, command(), &mut out)),
        Command::Man(args) => generate::man(&args, command()),
    };
    let exit = exit.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "pgseal: {error:#}");
        exit_of(&error)
    });
    ExitCode::from(exit as u8)
}

/// What kind of failure it is.
fn exit_of(error: &anyhow::Error) -> Exit {
    let wrong_policy = matches!(error.downcast_ref(), Some(PolicyError::Problems(_)));
    let wrong_keyring =
        error.downcast_ref::<KeyringError>().is_some_and(|e| !matches!(e, KeyringError::Disk(_)));
    let wrong_users = matches!(error.downcast_ref(), Some(UserlistError::Line { .. }));
    let connection = match error.downcast_ref() {
        Some(JobError::Connect(error)) => Some(error),
        Some(
            JobError::Busy(_)
            | JobError::Mode { .. }
            | JobError::NoActiveKey(_)
            | JobError::Unfit { .. }
            | JobError::NoSchema
            | JobError::UnseenLag
            | JobError::NoStandby
            | JobError::Ambiguous { .. }
            | JobError::Plaintext { .. }
            | JobError::Pin(_)
            | JobError::Unfinished { .. }
            | JobError::Mixed(_)
            | JobError::Hindered(..)
            | JobError::Unchangeable(..)
            | JobError::Unopened { .. }
            | JobError::Kept(_)
            | JobError::Joined { .. },
        ) => return Exit::Problems,
        Some(
            JobError::Database { .. } | JobError::Removed | JobError::Unreached { .. } | JobError::Worker,
        ) => return Exit::Failure,
        None => error.downcast_ref(),
    };
    let tls = match connection {
        Some(ConnectError::Tls(error)) => Some(error),
        Some(ConnectError::Unreachable(_)) => return Exit::NoDatabase,
        Some(ConnectError::Wrong(_)) => return Exit::Failure,
        None => error.downcast_ref(),
    };
    let wrong_flags = error.is::<ChoiceError>() || error.is::<WrongFlags>() || error.is::<Exposed>();
    if matches!(tls, Some(TlsError::Settings(_))) || wrong_flags {
        Exit::Usage
    } else if wrong_policy || wrong_keyring || wrong_users || keys::is_problem(error) {
        Exit::Problems
    } else {
        Exit::Failure
    }
}

fn init_or_suggest(args: &InitArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    match (&args.suggest, &args.keyring, &args.kek) {
        (Some(url), _, _) => suggest::run(args, url, out),
        (None, Some(keyring), Some(_)) if args.if_absent && keyring.exists() => {
            keyring::load(keyring, None)?;
            writeln!(out, "the keyring {} is there already", keyring.display())?;
            Ok(Exit::Success)
        }
        (None, Some(keyring), Some(kek)) => init_keyring(keyring, kek, out),
        // clap asks for both.
        (None, _, _) => Ok(Exit::Usage),
    }
}

fn init_keyring(keyring: &Path, kek: &str, out: &mut impl Write) -> anyhow::Result<Exit> {
    let made = init::init(keyring, kek)?;
    if let Some(kek) = &made.kek_made {
        writeln!(out, "made the key-encryption key {}", kek.display())?;
    }
    writeln!(
        out,
        "made the keyring {} with data key {} ({})",
        keyring.display(),
        init::FIRST_KEY,
        made.key_id
    )?;
    writeln!(out, "back up both, each in a place of its own: without them nothing can be decrypted")?;
    Ok(Exit::Success)
}

/// Runs a command's conversation with a database, on this thread.
fn block_on<T>(conversation: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(conversation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
