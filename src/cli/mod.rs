//! The command line: one file for each command, and what they share.
//!
//! Flags are also read from the environment, as `PGSEAL_` and the flag's name. Exit codes are in [`Exit`] and in
//! docs/cli.md.

mod auth;
mod check;
mod database;
mod explain;
mod generate;
mod health;
mod heartbeat;
pub mod init;
mod keys;
mod logging;
mod open;
mod reload;
mod serve;
mod stored;
mod suggest;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand};

use crate::admin::Exposed;
use crate::jobs::connection::ConnectError;
use crate::jobs::{ChoiceError, JobError, Work};
use crate::keyring::{self, KeyringError};
use crate::net::auth::UserlistError;
use crate::net::tls::{TlsError, UpstreamTls};
use crate::policy::PolicyError;
use crate::session::ClientTls;

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
    #[command(subcommand)]
    command: Command,
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

Every flag can be given as an environment variable: --keyring is PGSEAL_KEYRING, and so on.
PGSEAL_LOG sets what is logged: error, warn, info (default), debug, or per module as in
`info,pgseal::session=debug`. Logs hold no SQL, no parameters and no values.

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
    Check(CheckArgs),
    Explain(ExplainArgs),
    Keys(keys::KeysArgs),
    Auth(auth::AuthArgs),
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
    #[arg(long, value_name = "KEK", env = "PGSEAL_KEK", required_unless_present = "suggest")]
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

/// Run the proxy
///
/// Listens for clients, connects each to the upstream server, and encrypts and decrypts between the two. Neither
/// the application nor the server needs to know. What the analysis cannot prove to be safe is refused.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal serve --listen 127.0.0.1:6432 --upstream db.internal:5432 \\
    --policy policy.toml --keyring keys/keyring.toml
  DATABASE_URL=postgres://me@127.0.0.1:6432/app ./application

Clients log in with the server's own users and passwords, which pass through. The proxy needs no
credentials of its own. With --auth terminate it authenticates them itself: see docs/authentication.md.

The server has to speak TLS and to show a certificate for its host, unless it is on this machine:
  --upstream-ca ca.crt         its certificate is from this authority, or is this one
  --upstream-tls disable       no TLS; for a network in which nobody else can listen")]
pub struct ServeArgs {
    /// Where to listen for clients: ADDRESS:PORT, or unix:/FOLDER for a socket `.s.PGSQL.6432` in it (unix:/FOLDER:PORT
    /// for another number). Several with commas between them.
    #[arg(
        long,
        value_name = "ADDR",
        env = "PGSEAL_LISTEN",
        default_value = "127.0.0.1:6432",
        value_delimiter = ','
    )]
    pub listen: Vec<String>,
    /// Permissions of Unix sockets that are listened on, as octal digits.
    #[arg(long, value_name = "MODE", env = "PGSEAL_LISTEN_PERMISSIONS", default_value = "0777", value_parser = octal)]
    pub listen_permissions: u32,
    /// The PostgreSQL server; or the folder of its Unix socket, as /FOLDER or /FOLDER:PORT. Several with commas between
    /// them are tried in order.
    #[arg(long, value_name = "HOST:PORT", env = "PGSEAL_UPSTREAM", value_delimiter = ',', required = true)]
    pub upstream: Vec<String>,
    /// The policy file: which columns are encrypted, and how.
    #[arg(long, value_name = "FILE", env = "PGSEAL_POLICY")]
    pub policy: PathBuf,
    /// The keyring.
    #[arg(long, value_name = "FILE", env = "PGSEAL_KEYRING")]
    pub keyring: PathBuf,
    /// A key-encryption key to use instead of the one that the keyring names, as for `init`.
    // No variable stands for it: PGSEAL_KEK may be the one that holds the key itself.
    #[arg(long, value_name = "KEK")]
    pub kek: Option<String>,
    /// TLS towards clients.
    #[arg(long, value_name = "MODE", env = "PGSEAL_TLS", default_value = "off")]
    pub tls: TlsMode,
    /// The proxy's certificate in PEM form, followed by those of the authorities between it and the root.
    #[arg(long, value_name = "FILE", env = "PGSEAL_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate; nobody else may be able to read it.
    #[arg(long, value_name = "FILE", env = "PGSEAL_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Authorities whose certificates clients have to show under `--tls mutual`.
    #[arg(long, value_name = "FILE", env = "PGSEAL_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// TLS towards the server; by default verify-full, except on loopback addresses without --upstream-ca.
    #[arg(long, value_name = "MODE", env = "PGSEAL_UPSTREAM_TLS")]
    pub upstream_tls: Option<UpstreamTlsMode>,
    /// Authorities of the server's certificate, or the certificate itself; `system` (the default) for those that
    /// this machine trusts.
    #[arg(long, value_name = "FILE", env = "PGSEAL_UPSTREAM_CA")]
    pub upstream_ca: Option<PathBuf>,
    /// A certificate to show to a server that asks for one.
    #[arg(long, value_name = "FILE", env = "PGSEAL_UPSTREAM_CERT", requires = "upstream_key")]
    pub upstream_cert: Option<PathBuf>,
    /// The key of that certificate; nobody else may be able to read it.
    #[arg(long, value_name = "FILE", env = "PGSEAL_UPSTREAM_KEY", requires = "upstream_cert")]
    pub upstream_key: Option<PathBuf>,
    /// How TLS with the server begins: by a request, or at once (PostgreSQL 17 and newer).
    #[arg(long, value_name = "HOW", env = "PGSEAL_UPSTREAM_TLS_NEGOTIATION", default_value = "postgres")]
    pub upstream_tls_negotiation: Negotiation,
    /// Who authenticates clients.
    #[arg(long, value_name = "WHO", env = "PGSEAL_AUTH", default_value = "passthrough")]
    pub auth: AuthMode,
    /// Users with their SCRAM verifiers or passwords, in the form of PgBouncer's auth_file; nobody else may be able to
    /// read it. It is read again when it changes.
    #[arg(long, value_name = "FILE", env = "PGSEAL_AUTH_FILE")]
    pub auth_file: Option<PathBuf>,
    /// A query for the verifier of user $1 in its last column, such as
    /// `SELECT rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin`.
    #[arg(long, value_name = "SQL", env = "PGSEAL_AUTH_QUERY")]
    pub auth_query: Option<String>,
    /// The login to ask that query with; by default that of --database.
    #[arg(long, value_name = "URL", env = "PGSEAL_AUTH_DATABASE", hide_env_values = true)]
    pub auth_database: Option<String>,
    /// What clients prove who they are with under `--auth terminate`; by default scram.
    #[arg(long, value_name = "METHOD", env = "PGSEAL_AUTH_METHOD")]
    pub auth_method: Option<AuthMethod>,
    /// Wrong passwords a minute for one user from one address, before it has to wait; 0 for any number.
    #[arg(long, value_name = "N", env = "PGSEAL_AUTH_FAILURES", default_value_t = 10)]
    pub auth_failures: u32,
    /// Sessions at a time; 0 for as many as come. One too many is refused with 53300, as PostgreSQL does.
    #[arg(long, value_name = "N", env = "PGSEAL_MAX_SESSIONS", default_value_t = 0)]
    pub max_sessions: usize,
    /// Seconds that a client may take from its connection until it is let in.
    #[arg(long, value_name = "SECONDS", env = "PGSEAL_AUTHENTICATION_TIMEOUT", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub authentication_timeout: u64,
    /// Seconds for which statements are analysed by a catalog that was read. Shorter, changes around the proxy are seen
    /// sooner; jobs wait so long for what they announce.
    #[arg(long, value_name = "SECONDS", env = "PGSEAL_CATALOG_LEASE", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=30))]
    pub catalog_lease: u64,
    /// Seconds that connecting to one address of the server may take.
    #[arg(long, value_name = "SECONDS", env = "PGSEAL_CONNECT_TIMEOUT", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub connect_timeout: u64,
    /// Seconds between two transactions after which a silent client is disconnected (57P05); 0 for never.
    #[arg(long, value_name = "SECONDS", env = "PGSEAL_IDLE_SESSION_TIMEOUT", default_value_t = 0)]
    pub idle_session_timeout: u64,
    /// The same in a transaction (25P03).
    #[arg(long, value_name = "SECONDS", env = "PGSEAL_IDLE_IN_TRANSACTION_TIMEOUT", default_value_t = 0)]
    pub idle_in_transaction_timeout: u64,
    /// The longest message, in bytes, that a client may send once it has been let in; by default PostgreSQL's own limit.
    #[arg(long, value_name = "BYTES", env = "PGSEAL_MAX_MESSAGE_SIZE", default_value_t = 1 << 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(10_000..=1 << 30))]
    pub max_message_size: u64,
    /// Seconds that sessions may take to finish their transactions after SIGTERM.
    #[arg(long, value_name = "SECONDS", env = "PGSEAL_DRAIN_TIMEOUT", default_value_t = 25)]
    pub drain_timeout: u64,
    /// Where to report which keys this proxy holds, so that keys can be changed safely: a login of pgseal's own at the
    /// server, as a URL or key=value pairs. It makes the schema pgseal there, or uses the one that is there.
    #[arg(long, value_name = "URL", env = "PGSEAL_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Where to answer about this proxy, by HTTP: metrics, health, readiness and a status page. Not if absent.
    #[arg(long, value_name = "ADDR", env = "PGSEAL_ADMIN")]
    pub admin: Option<String>,
    /// The admin address may be one that others can reach. It tells which columns are protected, and no value.
    #[arg(long, env = "PGSEAL_ADMIN_EXPOSED", requires = "admin")]
    pub admin_exposed: bool,
    /// Threads that serve sessions; 0 for one per core.
    #[arg(long, value_name = "N", env = "PGSEAL_WORKERS", default_value_t = 0)]
    pub workers: usize,
}

/// Flags that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongFlags(&'static str);

/// Permissions as chmod takes them.
fn octal(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "three octal digits, such as 0770".to_owned())
}

/// Who authenticates clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AuthMode {
    /// The server; what it asks and what clients answer is relayed.
    Passthrough,
    /// The proxy, which then logs in to the server on its own.
    Terminate,
}

/// What clients prove who they are with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AuthMethod {
    /// A password, by SCRAM-SHA-256; under --tls mutual the certificate has to be right too.
    Scram,
    /// Their certificate alone, under --tls mutual.
    Certificate,
}

/// What is offered to clients, and demanded of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TlsMode {
    /// No TLS.
    Off,
    /// TLS for clients that ask for it.
    Optional,
    /// No session without TLS.
    Required,
    /// No session without a client's certificate that bears the user's name.
    Mutual,
}

impl From<TlsMode> for ClientTls {
    fn from(mode: TlsMode) -> Self {
        match mode {
            TlsMode::Off => Self::Off,
            TlsMode::Optional => Self::Optional,
            TlsMode::Required => Self::Required,
            TlsMode::Mutual => Self::Mutual,
        }
    }
}

/// What is demanded of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum UpstreamTlsMode {
    /// No TLS.
    Disable,
    /// TLS, whoever answers.
    Require,
    /// And a certificate from an authority in --upstream-ca.
    VerifyCa,
    /// And the certificate bears the name of the host in --upstream.
    VerifyFull,
}

impl From<UpstreamTlsMode> for UpstreamTls {
    fn from(mode: UpstreamTlsMode) -> Self {
        match mode {
            UpstreamTlsMode::Disable => Self::Disable,
            UpstreamTlsMode::Require => Self::Require,
            UpstreamTlsMode::VerifyCa => Self::VerifyCa,
            UpstreamTlsMode::VerifyFull => Self::VerifyFull,
        }
    }
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Negotiation {
    /// By SSLRequest.
    Postgres,
    /// At once.
    Direct,
}

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
pub struct CheckArgs {
    /// The policy file.
    #[arg(long, value_name = "FILE", env = "PGSEAL_POLICY")]
    pub policy: PathBuf,
    /// The keyring, to see that it holds an active key under each name in the policy.
    #[arg(long, value_name = "FILE", env = "PGSEAL_KEYRING")]
    pub keyring: Option<PathBuf>,
    /// A key-encryption key to use instead of the one that the keyring names, as for `init`.
    // No variable stands for it: PGSEAL_KEK may be the one that holds the key itself.
    #[arg(long, value_name = "KEK")]
    pub kek: Option<String>,
    /// The database to hold the policy against, directly and not through the proxy: a URL or key=value pairs.
    ///
    /// The password comes from there, from PGPASSWORD, or from the password file (PGPASSFILE or ~/.pgpass).
    #[arg(long, value_name = "URL", env = "PGSEAL_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
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
    /// The policy file.
    #[arg(long, value_name = "FILE", env = "PGSEAL_POLICY")]
    pub policy: PathBuf,
    /// The database whose catalog to read, directly and not through the proxy: a URL or key=value pairs.
    ///
    /// The password comes from there, from PGPASSWORD, or from the password file (PGPASSFILE or ~/.pgpass).
    #[arg(long, value_name = "URL", env = "PGSEAL_DATABASE", hide_env_values = true)]
    pub database: String,
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
    let cli = Cli::parse();
    logging::start();
    let mut out = io::stdout().lock();
    let exit = match cli.command {
        Command::Init(args) => init_or_suggest(&args, &mut out),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args, &mut out),
        Command::Explain(args) => explain::run(&args, &mut out),
        Command::Keys(args) => keys::run(&args, &mut out),
        Command::Auth(args) => auth::run(&args, &mut out),
        Command::Status(args) => stored::status(&args, &mut out),
        Command::Rotate(args) => stored::moved(Work::Rotate, &args, &mut out),
        Command::Encrypt(args) => stored::moved(Work::Encrypt, &args, &mut out),
        Command::Decrypt(args) => stored::moved(Work::Decrypt, &args, &mut out),
        Command::Verify(args) => stored::verify(&args, &mut out),
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
            | JobError::Ambiguous { .. }
            | JobError::Plaintext { .. }
            | JobError::Pin(_)
            | JobError::Unfinished { .. }
            | JobError::Mixed(_)
            | JobError::Hindered(..)
            | JobError::Unopened { .. },
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
