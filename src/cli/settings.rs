//! The settings of `serve`, and the flags that commands share.
//!
//! Each flag with a variable here is a setting of the file that `--config` names, by the same name: [`super::config`]
//! asks clap which there are.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use crate::net::tls::UpstreamTls;
use crate::session::{ClientTls, Target};

/// The policy.
#[derive(Debug, Args)]
pub struct PolicyArg {
    /// The policy file: which columns are encrypted, and how.
    #[arg(long, value_name = "FILE", env = "PGSEAL_POLICY")]
    pub policy: PathBuf,
}

/// The keyring.
#[derive(Debug, Args)]
pub struct KeyringArg {
    /// The keyring.
    #[arg(long, value_name = "FILE", env = "PGSEAL_KEYRING")]
    pub keyring: PathBuf,
}

/// What unwraps the keys.
#[derive(Debug, Args)]
pub struct KekArg {
    /// A key-encryption key to use instead of the one that the keyring names, as for `init`.
    // PGSEAL_KEK may be the variable that holds the key itself.
    #[arg(long, value_name = "KEK", env = "PGSEAL_KEK_URI", hide_env_values = true)]
    pub kek: Option<String>,
}

/// Policy and keys.
#[derive(Debug, Args)]
pub struct SealingArgs {
    /// The policy.
    #[command(flatten)]
    pub policy: PolicyArg,
    /// The keyring.
    #[command(flatten)]
    pub keyring: KeyringArg,
    /// What unwraps its keys.
    #[command(flatten)]
    pub kek: KekArg,
}

impl SealingArgs {
    pub(super) fn policy(&self) -> &Path {
        &self.policy.policy
    }

    pub(super) fn keyring(&self) -> &Path {
        &self.keyring.keyring
    }

    pub(super) fn kek(&self) -> Option<&str> {
        self.kek.kek.as_deref()
    }
}

/// A database that a command asks itself.
#[derive(Debug, Args)]
pub struct DatabaseArg {
    /// The database, directly and not through the proxy: a URL or key=value pairs.
    ///
    /// The password comes from there, from PGPASSWORD, or from the password file (PGPASSFILE or ~/.pgpass).
    #[arg(long, value_name = "URL", env = "PGSEAL_DATABASE", hide_env_values = true)]
    pub database: String,
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
    #[arg(long, value_name = "MODE", env = "PGSEAL_LISTEN_PERMISSIONS", default_value = "0777")]
    pub listen_permissions: Permissions,
    /// The PostgreSQL server; or the folder of its Unix socket, as /FOLDER or /FOLDER:PORT. Several with commas between
    /// them are tried in order.
    #[arg(long, value_name = "HOST:PORT", env = "PGSEAL_UPSTREAM", value_delimiter = ',', required = true)]
    pub upstream: Vec<String>,
    /// What that server has to be, by libpq's words for target_session_attrs.
    #[arg(long, value_name = "WHAT", env = "PGSEAL_UPSTREAM_TARGET", default_value = "any")]
    pub upstream_target: UpstreamTarget,
    /// Policy and keys.
    #[command(flatten)]
    pub sealing: SealingArgs,
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
    pub upstream_ca: Option<Authorities>,
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
    /// Milliseconds from which on a statement is told to the log as slow, with where its time went; 0 for never.
    #[arg(long, value_name = "MS", env = "PGSEAL_SLOW_STATEMENT", default_value_t = 0)]
    pub slow_statement: u64,
    /// Where to write down who has opened which columns. Not if absent.
    #[arg(long, value_name = "FILE", env = "PGSEAL_AUDIT")]
    pub audit: Option<PathBuf>,
    /// What becomes of values when that cannot be written.
    #[arg(long, value_name = "HOW", env = "PGSEAL_AUDIT_FAIL", default_value = "closed")]
    pub audit_fail: AuditFail,
    /// Bytes from which on the file is put aside and a new one begun; 0 for never.
    #[arg(long, value_name = "BYTES", env = "PGSEAL_AUDIT_SIZE", default_value_t = 100_000_000)]
    pub audit_size: u64,
    /// Threads that serve sessions; 0 for one per core.
    #[arg(long, value_name = "N", env = "PGSEAL_WORKERS", default_value_t = 0)]
    pub workers: usize,
}
/// Permissions as chmod takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(pub u32);

impl FromStr for Permissions {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or("three octal digits, such as 0770")
    }
}

/// A file of authorities, or the word `system`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities(pub PathBuf);

impl FromStr for Authorities {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.into()))
    }
}

impl Authorities {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        (self.0 != Path::new("system")).then_some(&self.0)
    }
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

/// What a server has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum UpstreamTarget {
    /// Reached.
    Any,
    /// One whose sessions may write by default.
    ReadWrite,
    /// One whose sessions may not.
    ReadOnly,
    /// No standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, or any server if there is none.
    PreferStandby,
}

impl From<UpstreamTarget> for Target {
    fn from(target: UpstreamTarget) -> Self {
        match target {
            UpstreamTarget::Any => Self::Any,
            UpstreamTarget::ReadWrite => Self::ReadWrite,
            UpstreamTarget::ReadOnly => Self::ReadOnly,
            UpstreamTarget::Primary => Self::Primary,
            UpstreamTarget::Standby => Self::Standby,
            UpstreamTarget::PreferStandby => Self::PreferStandby,
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

/// What becomes of opened values that cannot be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AuditFail {
    /// They are withheld: the session ends with an error.
    Closed,
    /// They go out, and the log says later how many records it lacks.
    Open,
}
