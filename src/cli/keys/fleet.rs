//! The proxies that live, as they report in the database themselves.
//!
//! Each proxy that was started with `--database` writes a row into `pgseal.proxy` every few seconds: who it is, and
//! which keys it holds in which state. A row that is no longer renewed is a proxy that has ended, is cut off, or is
//! suspended: which of these nobody can tell, so it counts until it is told to be gone, or until a day has passed.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::database::Database;
use crate::crypto::KeyId;
use crate::keyring::{Keys, State};

/// So often a proxy reports.
pub(in crate::cli) const BEAT: Duration = Duration::from_secs(3);
/// A proxy whose last report is older is not heard of.
const SILENT_AFTER: &str = "15 seconds";
/// One that was silent for so long is forgotten.
const FORGOTTEN_AFTER: &str = "1 day";

/// What the reports stand in.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS pgseal.proxy (id text PRIMARY KEY, host text NOT NULL, \
     process int NOT NULL, version text NOT NULL, started timestamptz NOT NULL DEFAULT pg_catalog.now(), \
     seen timestamptz NOT NULL DEFAULT pg_catalog.now(), keys text[] NOT NULL)";

/// Who reports.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Identity {
    /// Drawn at start.
    pub(in crate::cli) id: String,
    pub(in crate::cli) host: String,
    pub(in crate::cli) process: u32,
}

/// The keys that a proxy holds, each with its state.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Held(Vec<String>);

impl Held {
    pub(in crate::cli) fn of(keys: &Keys) -> Self {
        let mut held: Vec<_> = keys.iter().map(|key| format!("{}:{}", key.id(), key.state)).collect();
        held.sort_unstable();
        Self(held)
    }
}

/// A proxy's last report.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) process: String,
    /// Seconds since the report.
    pub(super) age: u64,
    pub(super) is_silent: bool,
    keys: Vec<String>,
}

impl Proxy {
    /// The state in which it holds a key; `None` if it does not.
    pub(super) fn holds(&self, id: KeyId) -> Option<&str> {
        let id = id.to_string();
        self.keys
            .iter()
            .find_map(|key| key.split_once(':').filter(|(held, _)| *held == id).map(|(_, state)| state))
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        format!("proxy {} ({}, process {})", self.id, self.host, self.process)
    }
}

/// Makes schema and table where they are missing.
pub(in crate::cli) async fn prepare(database: &Database) -> anyhow::Result<()> {
    let there = database.rows("SELECT pg_catalog.to_regclass('pgseal.proxy')").await?;
    if there.first().and_then(|row| row.get(0)).is_some() {
        return Ok(());
    }
    // Two proxies that start together may both find it missing: the second attempt finds it.
    let made = async {
        database.rows("CREATE SCHEMA IF NOT EXISTS pgseal").await?;
        database.rows(TABLE).await
    };
    if made.await.is_err() {
        database.rows("CREATE SCHEMA IF NOT EXISTS pgseal").await?;
        database.rows(TABLE).await?;
    }
    Ok(())
}

/// Writes a report.
pub(in crate::cli) async fn report(database: &Database, who: &Identity, keys: &Held) -> anyhow::Result<()> {
    let (id, host, version) = (literal(&who.id), literal(&who.host), literal(env!("CARGO_PKG_VERSION")));
    let (process, keys) = (who.process, keys.0.join(","));
    database
        .rows(&format!(
            "INSERT INTO pgseal.proxy (id, host, process, version, keys) \
             VALUES ({id}, {host}, {process}, {version}, '{{{keys}}}') \
             ON CONFLICT (id) DO UPDATE SET seen = pg_catalog.now(), keys = excluded.keys"
        ))
        .await?;
    Ok(())
}

/// Takes the report away when its proxy ends.
pub(in crate::cli) async fn leave(database: &Database, who: &Identity) -> anyhow::Result<()> {
    database.rows(&format!("DELETE FROM pgseal.proxy WHERE id = {}", literal(&who.id))).await?;
    Ok(())
}

/// Every proxy that has reported and is not gone; `None` if none ever did.
pub(super) async fn proxies(database: &Database) -> anyhow::Result<Option<Vec<Proxy>>> {
    let there = database.rows("SELECT pg_catalog.to_regclass('pgseal.proxy')").await?;
    if there.first().and_then(|row| row.get(0)).is_none() {
        return Ok(None);
    }
    let rows = database
        .rows(&format!(
            "SELECT id, host, process, pg_catalog.floor(extract(epoch FROM pg_catalog.now() - seen))::bigint, \
             seen < pg_catalog.now() - interval '{SILENT_AFTER}', pg_catalog.array_to_string(keys, ',') \
             FROM pgseal.proxy WHERE seen > pg_catalog.now() - interval '{FORGOTTEN_AFTER}' ORDER BY started, id"
        ))
        .await?;
    let text = |row: &tokio_postgres::SimpleQueryRow, index| row.get(index).unwrap_or_default().to_owned();
    let proxies = rows.iter().map(|row| Proxy {
        id: text(row, 0),
        host: text(row, 1),
        process: text(row, 2),
        age: row.get(3).and_then(|age| age.parse().ok()).unwrap_or_default(),
        is_silent: row.get(4) == Some("t"),
        keys: text(row, 5).split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
    });
    Ok(Some(proxies.collect()))
}

/// Takes away the reports of proxies that are gone.
pub(super) async fn forget(database: &Database, ids: &[String]) -> anyhow::Result<()> {
    for id in ids {
        database.rows(&format!("DELETE FROM pgseal.proxy WHERE id = {}", literal(id))).await?;
    }
    Ok(())
}

/// What is missing for a key to seal: every proxy holds it. `None` if nothing is.
pub(super) fn missing(proxies: &[Proxy], id: KeyId) -> Option<String> {
    let mut missing = String::new();
    for proxy in proxies {
        if proxy.is_silent {
            let _ = writeln!(
                missing,
                "  {} was last heard of {} s ago; if it is gone for good: --gone {}",
                proxy.shown(),
                proxy.age,
                proxy.id
            );
        } else if proxy.holds(id).is_none() {
            let _ = writeln!(missing, "  {} does not hold it yet", proxy.shown());
        }
    }
    (!missing.is_empty()).then_some(missing)
}

/// What keeps a key from being taken away: a proxy that seals with it. `None` if nothing does.
pub(super) fn sealing(proxies: &[Proxy], id: KeyId) -> Option<String> {
    let mut sealing = String::new();
    for proxy in proxies {
        if proxy.is_silent {
            let _ = writeln!(
                sealing,
                "  {} was last heard of {} s ago; if it is gone for good: --gone {}",
                proxy.shown(),
                proxy.age,
                proxy.id
            );
        } else if proxy.holds(id) == Some(State::Active.as_str()) {
            let _ = writeln!(sealing, "  {} still seals with it", proxy.shown());
        }
    }
    (!sealing.is_empty()).then_some(sealing)
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
