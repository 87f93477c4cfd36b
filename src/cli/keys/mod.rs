//! `pgseal keys`: data keys from their making to their end.
//!
//! Each change is refused until what it needs of the proxies and the tables holds, and is on disk when the command ends.

pub(super) mod fleet;
mod rows;

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use self::fleet::Proxy;
use super::database::Database;
use super::{DatabaseArg, Exit, KeyringArg, PolicyArg, block_on};
use crate::crypto::KeyId;
use crate::jobs::{self, Promotion};
use crate::keyring::{
    self, ChangeError, Entry, KekSource, Keks, Keyring, KeyringError, State, VersionName, os_entropy,
};
use crate::policy::Policy;
use crate::sql::Schema;

/// See and change the data keys
///
/// A version of a data key is written NAME@N. It is added (staged), promoted when every proxy holds it (active: it seals),
/// retires when another one is promoted, and is archived when no row needs it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal keys list --keyring keys/keyring.toml
  pgseal keys add default --keyring keys/keyring.toml
  pgseal keys promote default@2 --keyring keys/keyring.toml --database postgres://me@db.internal/app
  pgseal keys archive default@1 --keyring keys/keyring.toml --policy policy.toml \\
    --database postgres://me@db.internal/app

Proxies that were started with --database report there which keys they hold; they read the keyring again within a few
seconds of a change.")]
pub(super) struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: KeysCommand,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Print every version, one a line, in order of creation
    List(FileArgs),
    /// Make a new version, staged: proxies open with it and do not seal yet
    Add {
        /// The data key's name; a new name makes its first version.
        #[arg(value_name = "NAME")]
        name: String,
        /// The keyring.
        #[command(flatten)]
        file: FileArgs,
    },
    /// Seal with a version from now on; the one before it retires
    ///
    /// Refused until every proxy that reports in the database holds it: one that does not could not open what the others
    /// seal.
    Promote(ChangeArgs),
    /// Load a version no longer; kept for old backups
    ///
    /// Refused while a proxy seals with it, or a row of the policy's columns is under it: PostgreSQL itself proves that
    /// none is and none will be, by a CHECK on each column.
    Archive(ChangeArgs),
    /// Load an archived version again: it opens, and its values may be stored again
    Restore(ChangeArgs),
    /// Take an archived version's key out of the keyring for good; copies elsewhere are beyond reach
    Destroy {
        /// Which, and where.
        #[command(flatten)]
        change: ChangeArgs,
        /// It cannot be undone: backups under this key become unreadable.
        #[arg(long)]
        yes: bool,
    },
    /// Wrap all data keys by another key-encryption key as well, or drop the wraps by the one before
    ///
    /// First with --kek: each key has two wraps then, and proxies that know either key-encryption key go on. When all know
    /// the new one, --finish drops the old wraps.
    #[command(group = clap::ArgGroup::new("step").args(["new_kek", "finish"]).required(true))]
    Rewrap {
        /// The new key-encryption key, as for `init`. A file that is not there is made.
        #[arg(id = "new_kek", long = "kek", value_name = "KEK")]
        kek: Option<String>,
        /// Drop the wraps by other key-encryption keys than the keyring's own.
        #[arg(long)]
        finish: bool,
        /// The keyring.
        #[command(flatten)]
        file: FileArgs,
    },
    /// Write a copy of the keyring, whose keys are wrapped, to a file that is not there yet
    Export {
        /// Where to.
        #[arg(value_name = "FILE")]
        to: PathBuf,
        /// The keyring.
        #[command(flatten)]
        file: FileArgs,
    },
    /// Take in the keys of another keyring that this one does not have; nothing is overwritten
    Import {
        /// The other keyring. Its keys have to unwrap.
        #[arg(value_name = "FILE")]
        from: PathBuf,
        /// The other keyring's key-encryption key, if it is elsewhere than it says.
        #[arg(id = "other_kek", long = "kek", value_name = "KEK")]
        kek: Option<String>,
        /// The keyring.
        #[command(flatten)]
        file: FileArgs,
    },
}

/// Where the keyring is.
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The keyring.
    #[command(flatten)]
    pub(super) keyring: KeyringArg,
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl FileArgs {
    fn path(&self) -> &Path {
        &self.keyring.keyring
    }

    /// The folder of the keyring itself, from which the paths in it start, where it is reached by a link.
    fn folder(&self) -> PathBuf {
        keyring::folder_of(&self.path().canonicalize().unwrap_or_else(|_| self.path().to_owned()))
    }
}

/// Which version, and where the proof is that it may change.
#[derive(Debug, Args)]
#[command(mut_arg("policy", |flag| flag.required(false)), mut_arg("database", |flag| flag.required(false)))]
pub(super) struct ChangeArgs {
    /// The version: NAME@N; of `promote` also NAME, for the only one that is staged.
    #[arg(value_name = "NAME@N")]
    pub(super) version: VersionName,
    /// The keyring.
    #[command(flatten)]
    pub(super) file: FileArgs,
    /// The policy: which columns are sealed by the key.
    #[command(flatten)]
    pub(super) policy: Option<PolicyArg>,
    /// The database.
    #[command(flatten)]
    pub(super) database: Option<DatabaseArg>,
    /// A proxy that no longer reports and is gone for good, by the id in the message. May be repeated.
    #[arg(long, value_name = "ID")]
    pub(super) gone: Vec<String>,
    /// The longest catalog lease of any proxy (`serve --catalog-lease`), in seconds: so long a promotion waits until all
    /// proxies know under which version deterministic columns are.
    #[arg(long, value_name = "SECONDS", env = "PGSEAL_CATALOG_LEASE", default_value_t = 30)]
    pub(super) catalog_lease: u64,
    /// Go ahead although no proxy reports in the database: none runs, or you have seen to each one yourself.
    #[arg(long)]
    pub(super) no_proxies: bool,
}

impl ChangeArgs {
    fn policy(&self) -> Option<&Path> {
        Some(&self.policy.as_ref()?.policy)
    }

    fn database(&self) -> Option<&str> {
        Some(&self.database.as_ref()?.database)
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(self.catalog_lease)
    }
}

/// A change that has to wait.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotYet(String);

/// Runs one of the commands.
///
/// # Errors
/// The keyring cannot be read or written, or what the change needs does not hold.
pub(super) fn run(args: &KeysArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    match &args.command {
        KeysCommand::List(file) => list(file.path(), out)?,
        KeysCommand::Add { name, file } => add(name, file, out)?,
        KeysCommand::Promote(change) => promote(change, out)?,
        KeysCommand::Archive(change) => archive(change, out)?,
        KeysCommand::Restore(change) => restore(change, out)?,
        KeysCommand::Destroy { change, yes } => destroy(change, *yes, out)?,
        KeysCommand::Rewrap { kek, finish: _, file } => rewrap(kek.as_deref(), file, out)?,
        KeysCommand::Export { to, file } => export(to, file, out)?,
        KeysCommand::Import { from, kek, file } => import(from, kek.as_deref(), file, out)?,
    }
    Ok(Exit::Success)
}

fn list(keyring: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    for key in &Keyring::read(keyring)?.keys {
        let keks: Vec<_> = key.wraps.iter().map(|wrap| wrap.kek.as_str()).collect();
        let keks = if keks.is_empty() { "-".to_owned() } else { keks.join(",") };
        let Entry { id, state, created, since, .. } = key;
        writeln!(out, "{key}  {state}  id {id}  created {created}  since {since}  kek {keks}")?;
    }
    Ok(())
}

/// Changes the keyring and says so; with `--dry-run` only says so.
fn change<T>(
    file: &FileArgs,
    change: impl FnOnce(&mut Keyring, &mut keyring::Entropy) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut entropy = os_entropy();
    if file.dry_run {
        return change(&mut Keyring::read(file.path())?, &mut entropy);
    }
    Keyring::update(file.path(), &mut entropy, change)
}

fn said(file: &FileArgs, done: &str, out: &mut impl Write) -> anyhow::Result<()> {
    if file.dry_run {
        write!(out, "would have ")?;
    }
    writeln!(out, "{done}")?;
    Ok(())
}

fn add(name: &str, file: &FileArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = file.folder();
    let added = change(file, |keyring, entropy| {
        let provider = keyring
            .kek
            .parse::<KekSource>()
            .and_then(|source| source.open(&folder))
            .with_context(|| format!("key-encryption key {}", keyring.kek))?;
        let id = keyring.add(name, State::Staged, provider.as_ref(), entropy, Timestamp::now())?;
        keyring.keys.iter().find(|key| key.id == id).cloned().context("the new key is not there")
    })?;
    said(file, &format!("added {added} (id {}), staged; back up the keyring", added.id), out)?;
    Ok(())
}

fn promote(args: &ChangeArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut keyring = Keyring::read(args.file.path())?;
    let chosen = keyring.version(&args.version, &[State::Staged])?.clone();
    keyring.promote(&args.version, Timestamp::now())?;
    with_proxies(args, "promote", |proxies| fleet::missing(proxies, chosen.id))?;
    if !args.file.dry_run {
        hold(args, &chosen)?;
    }
    // Where an attempt to archive it was cut off, its values are kept out.
    if chosen.state == State::Retiring {
        let_in(args, &chosen)?;
    }
    let promoted = change(&args.file, |keyring, _| Ok(keyring.promote(&args.version, Timestamp::now())?))?;
    said(&args.file, &format!("promoted {promoted} (id {}): it seals from now on", promoted.id), out)
}

fn archive(args: &ChangeArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut keyring = Keyring::read(args.file.path())?;
    let chosen = keyring.archive(&args.version, Timestamp::now())?;
    with_proxies(args, "archive", |proxies| fleet::sealing(proxies, chosen.id))?;
    shut_out(args, &chosen)?;
    let archived = change(&args.file, |keyring, _| Ok(keyring.archive(&args.version, Timestamp::now())?))?;
    said(&args.file, &format!("archived {archived} (id {}): no row is under it", archived.id), out)
}

fn restore(args: &ChangeArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut keyring = Keyring::read(args.file.path())?;
    let chosen = keyring.restore(&args.version, Timestamp::now())?;
    if !args.file.dry_run {
        keep(args, &chosen)?;
    }
    let_in(args, &chosen)?;
    let restored = change(&args.file, |keyring, _| Ok(keyring.restore(&args.version, Timestamp::now())?))?;
    said(&args.file, &format!("restored {restored} (id {}): it opens, and does not seal", restored.id), out)
}

fn destroy(args: &ChangeArgs, yes: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut keyring = Keyring::read(args.file.path())?;
    let chosen = keyring.destroy(&args.version, Timestamp::now())?;
    if !yes && !args.file.dry_run {
        bail!(NotYet(format!(
            "{chosen} would be gone for good, and with it every backup under id {}: say --yes if that is meant",
            chosen.id
        )));
    }
    let destroyed = change(&args.file, |keyring, _| Ok(keyring.destroy(&args.version, Timestamp::now())?))?;
    said(
        &args.file,
        &format!(
            "destroyed {destroyed} (id {}) in this keyring; copies of the keyring elsewhere may still have it",
            destroyed.id
        ),
        out,
    )?;
    let is_retiring = |key: &Entry| key.name == destroyed.name && key.state == State::Retiring;
    match args.database() {
        Some(url) if !args.file.dry_run && !Keyring::read(args.file.path())?.keys.iter().any(is_retiring) => {
            release(url, &destroyed)
        }
        Some(_) | None => Ok(()),
    }
}

fn rewrap(kek: Option<&str>, file: &FileArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let Some(kek) = kek else {
        let dropped = change(file, |keyring, _| Ok(keyring.drop_old_wraps()))?;
        return said(file, &format!("dropped {dropped} wraps by other key-encryption keys"), out);
    };
    let path =
        file.path().canonicalize().with_context(|| format!("cannot read {}", file.path().display()))?;
    let folder = keyring::folder_of(&path);
    let source = kek.parse::<KekSource>()?.relative_to(&folder)?;
    if !file.dry_run {
        source.create_if_absent(&folder, &mut os_entropy())?;
    }
    let name = source.to_string();
    let rewrapped = change(file, |keyring, entropy| {
        let provider = source.open_new(&folder).with_context(|| format!("key-encryption key {name}"))?;
        let mut keks = Keks::default();
        let before = keyring.clone();
        let unwrapped = |entry: &Entry| before.unwrap_one(&path, &mut keks, entry.id);
        Ok(keyring.rewrap(&name, provider.as_ref(), unwrapped, entropy)?)
    })?;
    said(
        file,
        &format!(
            "wrapped {rewrapped} keys by {name} as well; when every proxy knows it: pgseal keys rewrap --finish"
        ),
        out,
    )
}

fn export(to: &Path, file: &FileArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut keyring = Keyring::read(file.path())?;
    let folder = file.folder();
    // A key-encryption key beside the keyring is not beside the copy.
    let absolute = |kek: &str| match kek.parse::<KekSource>() {
        Ok(source) => {
            let path = source.path().map(|path| folder.join(path));
            path.map_or_else(|| kek.to_owned(), |path| source.with_path(path).to_string())
        }
        Err(_) => kek.to_owned(),
    };
    keyring.kek = absolute(&keyring.kek);
    for wrap in keyring.keys.iter_mut().flat_map(|key| &mut key.wraps) {
        wrap.kek = absolute(&wrap.kek);
    }
    if !file.dry_run {
        keyring.create(to, &mut os_entropy())?;
    }
    let count = keyring.keys.len();
    said(
        file,
        &format!(
            "exported {count} keys, wrapped by {}, to {}; keep that key elsewhere",
            keyring.kek,
            to.display()
        ),
        out,
    )
}

fn import(from: &Path, kek: Option<&str>, file: &FileArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let other = Keyring::read(from)?;
    let folder = file.folder();
    let added = change(file, |keyring, entropy| {
        let mut added = keyring.merge(&other, Timestamp::now());
        let mut keks = Keks::new(kek);
        let source = keyring.kek.parse::<KekSource>()?;
        let provider = source.open(&folder).with_context(|| format!("key-encryption key {source}"))?;
        // Here they are wrapped by this keyring's own key, which proves that they unwrap.
        for entry in added.iter_mut().filter(|entry| entry.state != State::Destroyed) {
            let secret = other.unwrap_one(from, &mut keks, entry.id)?;
            let context = keyring::WrapContext { name: &entry.name, id: entry.id };
            let key = provider.wrap(context, &secret, entropy)?;
            entry.wraps = vec![keyring::Wrap { kek: keyring.kek.clone(), key }];
            for own in keyring.keys.iter_mut().filter(|own| own.id == entry.id) {
                own.wraps.clone_from(&entry.wraps);
            }
        }
        Ok(added)
    })?;
    for entry in &added {
        said(file, &format!("imported {entry} (id {}), {}", entry.id, entry.state), out)?;
    }
    if added.is_empty() {
        writeln!(out, "every key of {} is here already", from.display())?;
    }
    Ok(())
}

/// Has the database say that the values of deterministic columns are under the version that is active now, until they
/// are moved.
fn hold(args: &ChangeArgs, chosen: &Entry) -> anyhow::Result<()> {
    let before = Keyring::read(args.file.path())?;
    let versions = || before.keys.iter().filter(|key| key.name == chosen.name);
    let Some(active) = versions().find(|key| key.state == State::Active) else { return Ok(()) };
    let promotion = Promotion {
        active: active.id,
        next: chosen.id,
        is_retiring: versions().any(|key| key.state == State::Retiring && key.id != chosen.id),
    };
    let Some((policy, url)) = told(args, "promote", chosen)? else { return Ok(()) };
    block_on(async {
        let contexts = contexts(url, &policy, &chosen.name).await?;
        Ok(jobs::hold(url, &contexts, promotion, args.lease()).await?)
    })
}

/// The same before a version is held again that no value is under.
fn keep(args: &ChangeArgs, chosen: &Entry) -> anyhow::Result<()> {
    let keyring = Keyring::read(args.file.path())?;
    let is_active = |key: &&Entry| key.name == chosen.name && key.state == State::Active;
    let Some(active) = keyring.keys.iter().find(is_active) else { return Ok(()) };
    let Some((policy, url)) = told(args, "restore", chosen)? else { return Ok(()) };
    block_on(async {
        let contexts = contexts(url, &policy, &chosen.name).await?;
        Ok(jobs::keep(url, &contexts, active.id, chosen.id, args.lease()).await?)
    })
}

/// Where the database is that has to be told of a change, and which columns it is about.
fn told<'a>(args: &'a ChangeArgs, doing: &str, chosen: &Entry) -> anyhow::Result<Option<(Policy, &'a str)>> {
    match (args.policy(), args.database()) {
        (Some(policy), Some(url)) => Ok(Some((Policy::load(policy)?, url))),
        // Proxies refuse to seal for such columns until a rotation has found out.
        (_, _) if args.no_proxies => Ok(None),
        (_, _) => bail!(NotYet(format!(
            "{doing} {chosen}: the database has to be told under which version deterministic columns are: name --policy and \
             --database"
        ))),
    }
}

/// The contexts of the deterministic columns that a key seals.
async fn contexts(url: &str, policy: &Policy, key: &str) -> anyhow::Result<Vec<jobs::Context>> {
    let catalog = Database::connect(url).await?.catalog().await?;
    let (schema, _) = Schema::build(policy, &catalog);
    Ok(jobs::contexts(&schema, &catalog, |_, class| class.key == key))
}

/// Takes away what says under which version deterministic columns are, where no proxy has had a choice for long: not
/// sooner, since a worker may still go by keys that its proxy has dropped.
fn release(url: &str, destroyed: &Entry) -> anyhow::Result<()> {
    block_on(async {
        let database = Database::connect(url).await?;
        let proxies = fleet::proxies(&database).await?;
        if fleet::knowing(&proxies, destroyed.id).is_none() {
            jobs::release(url, &destroyed.name).await?;
        }
        Ok(())
    })
}

/// Holds a change against what proxies report.
fn with_proxies(
    args: &ChangeArgs,
    doing: &str,
    hinders: impl FnOnce(&[Proxy]) -> Option<String>,
) -> anyhow::Result<()> {
    let Some(url) = args.database() else {
        if args.no_proxies {
            return Ok(());
        }
        bail!(NotYet(format!(
            "{doing} {}: whether every proxy is ready cannot be told without --database, in which they report; if none \
             runs, say --no-proxies",
            args.version
        )));
    };
    let mut proxies = block_on(async {
        let database = Database::connect(url).await?;
        if !args.file.dry_run && !args.gone.is_empty() {
            fleet::forget(&database, &args.gone).await?;
        }
        fleet::proxies(&database).await
    })?;
    proxies.retain(|proxy| !proxy.is_forgotten && !args.gone.contains(&proxy.id));
    if proxies.is_empty() && !args.no_proxies {
        bail!(NotYet(format!(
            "{doing} {}: no proxy reports in this database; start proxies with --database, or say --no-proxies if none \
             runs",
            args.version
        )));
    }
    match hinders(&proxies) {
        None => Ok(()),
        Some(hindrances) => {
            bail!(NotYet(format!("{doing} {}: not yet\n{}", args.version, hindrances)))
        }
    }
}

/// Has the database prove that no row is under a key, and keep it so.
fn shut_out(args: &ChangeArgs, chosen: &Entry) -> anyhow::Result<()> {
    let (Some(policy), Some(url)) = (args.policy(), args.database()) else {
        bail!(NotYet(format!(
            "archive {chosen}: that no row is under it is proved in the database: name --policy and --database"
        )));
    };
    let policy = Policy::load(policy)?;
    let left = block_on(async {
        let database = Database::connect(url).await?;
        let places = rows::places(&database, &policy, &chosen.name).await?;
        let left = count(&database, &places, chosen.id).await?;
        if left.is_empty() {
            let contexts = contexts(url, &policy, &chosen.name).await?;
            jobs::unneeded(url, &contexts, chosen.id).await?;
        }
        if left.is_empty() && !args.file.dry_run {
            for place in &places {
                place.shut(&database, chosen.id).await?;
            }
        }
        Ok(left)
    })?;
    if left.is_empty() {
        return Ok(());
    }
    bail!(NotYet(format!("archive {chosen}: rows are under it\n{}", left.trim_end())))
}

/// Lets values under a key be stored again.
fn let_in(args: &ChangeArgs, chosen: &Entry) -> anyhow::Result<()> {
    let (Some(policy), Some(url), false) = (args.policy(), args.database(), args.file.dry_run) else {
        return Ok(());
    };
    let policy = Policy::load(policy)?;
    block_on(async {
        let database = Database::connect(url).await?;
        for place in rows::places(&database, &policy, &chosen.name).await? {
            place.open(&database, chosen.id).await?;
        }
        Ok(())
    })
}

/// The rows that are under a key, by column; empty if there is none.
async fn count(database: &Database, places: &[rows::Place], id: KeyId) -> anyhow::Result<String> {
    let mut left = String::new();
    for place in places {
        let rows = place.count(database, id).await?;
        if rows > 0 {
            let _ = writeln!(left, "  {}: {rows}", place.column());
        }
    }
    Ok(left)
}

/// Whether an error is about the keys, and not about a file or the machine.
pub(super) fn is_problem(error: &anyhow::Error) -> bool {
    error.is::<NotYet>()
        || error.is::<ChangeError>()
        || error.downcast_ref::<KeyringError>().is_some_and(|error| !matches!(error, KeyringError::Disk(_)))
}
