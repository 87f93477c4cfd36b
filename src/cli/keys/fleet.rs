//! The proxies that live, as they report in the database themselves.
//!
//! Each proxy that was started with `--database` writes a row into `pgseal.proxy` every few seconds: who it is, and
//! which keys it holds in which state. A row that is no longer renewed is a proxy that has ended, is cut off, or is
//! suspended: which of these nobody can tell, so it counts until it is told to be gone, or until a day has passed.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_postgres::SimpleQueryRow;

use crate::cli::database::Database;
use crate::crypto::KeyId;
use crate::keyring::{Keys, State};
use crate::policy::quote_literal;

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
pub(in crate::cli) struct Proxy {
    pub(in crate::cli) id: String,
    pub(in crate::cli) host: String,
    pub(in crate::cli) process: i64,
    pub(in crate::cli) version: String,
    /// Seconds since the report.
    pub(in crate::cli) age: i64,
    /// The keys that it holds, by their ids, each with its state.
    pub(in crate::cli) keys: BTreeMap<String, String>,
    pub(super) is_silent: bool,
    pub(super) is_forgotten: bool,
}

impl Proxy {
    /// The state in which it holds a key; `None` if it does not.
    fn holds(&self, id: KeyId) -> Option<&str> {
        self.keys.get(&id.to_string()).map(String::as_str)
    }

    /// For messages.
    fn shown(&self) -> String {
        format!("proxy {} ({}, process {})", self.id, self.host, self.process)
    }
}

/// Makes schema and table where they are missing.
pub(in crate::cli) async fn prepare(database: &Database) -> anyhow::Result<()> {
    let there = database.rows("SELECT pg_catalog.to_regclass('pgseal.proxy')").await?;
    if there.first().and_then(|row| row.get(0)).is_some() {
        return Ok(());
    }
    database.make(TABLE).await
}

/// Writes a report.
pub(in crate::cli) async fn report(database: &Database, who: &Identity, keys: &Held) -> anyhow::Result<()> {
    let (id, host, version) =
        (quote_literal(&who.id), quote_literal(&who.host), quote_literal(env!("CARGO_PKG_VERSION")));
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
    database.rows(&format!("DELETE FROM pgseal.proxy WHERE id = {}", quote_literal(&who.id))).await?;
    Ok(())
}

/// Every proxy that has reported and did not take its report away.
pub(in crate::cli) async fn proxies(database: &Database) -> anyhow::Result<Vec<Proxy>> {
    let there = database.rows("SELECT pg_catalog.to_regclass('pgseal.proxy')").await?;
    if there.first().and_then(|row| row.get(0)).is_none() {
        return Ok(Vec::new());
    }
    let rows = database
        .rows(&format!(
            "SELECT id, host, process, version, \
             pg_catalog.floor(extract(epoch FROM pg_catalog.now() - seen))::bigint, \
             pg_catalog.array_to_string(keys, ','), seen < pg_catalog.now() - interval '{SILENT_AFTER}', \
             seen <= pg_catalog.now() - interval '{FORGOTTEN_AFTER}' \
             FROM pgseal.proxy ORDER BY host, process, id"
        ))
        .await?;
    let text = |row: &SimpleQueryRow, index| row.get(index).unwrap_or_default().to_owned();
    let number = |row: &SimpleQueryRow, index| row.get(index).and_then(|number| number.parse().ok());
    let keys = |row: &SimpleQueryRow| {
        let pairs = row.get(5).unwrap_or_default().split(',').filter_map(|key| key.split_once(':'));
        pairs.map(|(id, state)| (id.to_owned(), state.to_owned())).collect()
    };
    let proxies = rows.iter().map(|row| Proxy {
        id: text(row, 0),
        host: text(row, 1),
        process: number(row, 2).unwrap_or_default(),
        version: text(row, 3),
        age: number(row, 4).unwrap_or_default(),
        keys: keys(row),
        is_silent: row.get(6) == Some("t"),
        is_forgotten: row.get(7) == Some("t"),
    });
    Ok(proxies.collect())
}

/// Takes away the reports of proxies that are gone.
pub(super) async fn forget(database: &Database, ids: &[String]) -> anyhow::Result<()> {
    for id in ids {
        database.rows(&format!("DELETE FROM pgseal.proxy WHERE id = {}", quote_literal(id))).await?;
    }
    Ok(())
}

/// What is missing for a key to seal: every proxy holds it. `None` if nothing is.
pub(super) fn missing(proxies: &[Proxy], id: KeyId) -> Option<String> {
    hindrances(proxies, |proxy| proxy.holds(id).is_none().then_some("does not hold it yet"))
}

/// Proxies that still hold a key. `None` if none does.
pub(super) fn knowing(proxies: &[Proxy], id: KeyId) -> Option<String> {
    hindrances(proxies, |proxy| proxy.holds(id).is_some().then_some("still holds it"))
}

/// What keeps a key from being taken away: a proxy that seals with it. `None` if nothing does.
pub(super) fn sealing(proxies: &[Proxy], id: KeyId) -> Option<String> {
    let seals = |proxy: &Proxy| proxy.holds(id) == Some(State::Active.as_str());
    hindrances(proxies, |proxy| seals(proxy).then_some("still seals with it"))
}

/// A line for each proxy that stands in the way: what it does is unknown, or known and in the way.
fn hindrances(proxies: &[Proxy], hinders: impl Fn(&Proxy) -> Option<&'static str>) -> Option<String> {
    let line = |proxy: &Proxy| match hinders(proxy) {
        _ if proxy.is_silent => Some(format!(
            "  {} was last heard of {} s ago; if it is gone for good: --gone {}",
            proxy.shown(),
            proxy.age,
            proxy.id
        )),
        Some(what) => Some(format!("  {} {what}", proxy.shown())),
        None => None,
    };
    let lines: Vec<_> = proxies.iter().filter_map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
