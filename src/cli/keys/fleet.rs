//! The proxies that live, as they report in the database themselves.
//!
//! Each proxy that was started with `--database` writes a row into `pgseal.proxy` every few seconds: who it is, and
//! which keys it holds in which state, and the digest of its policy. A row that is no longer renewed is a proxy that has ended, is cut off, or is
//! suspended: which of these nobody can tell, so it counts until it is told to be gone, or until a day has passed.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_postgres::SimpleQueryRow;

use crate::cli::database::Database;
use crate::crypto::KeyId;
use crate::keyring::{Keys, State};
use crate::policy::{Policy, quote_literal};

/// So often a proxy reports.
pub(in crate::cli) const BEAT: Duration = Duration::from_secs(3);
/// A proxy whose last report is older is not heard of.
const SILENT_AFTER: &str = "15 seconds";
/// One that was silent for so long is forgotten.
const FORGOTTEN_AFTER: &str = "1 day";

/// What the reports stand in.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS pgseal.proxy (id text PRIMARY KEY, host text NOT NULL, \
     process int NOT NULL, version text NOT NULL, started timestamptz NOT NULL DEFAULT pg_catalog.now(), \
     seen timestamptz NOT NULL DEFAULT pg_catalog.now(), keys text[] NOT NULL, policy text)";
/// For a table that an earlier release has made.
const POLICY_COLUMN: &str = "ALTER TABLE pgseal.proxy ADD COLUMN IF NOT EXISTS policy text";

/// Who reports.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Identity {
    /// Drawn at start.
    pub(in crate::cli) id: String,
    pub(in crate::cli) host: String,
    pub(in crate::cli) process: u32,
}

/// What all of a proxy works with: the keys that it holds, each with its state, and the digest of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Held {
    keys: Vec<String>,
    policy: String,
}

impl Held {
    pub(in crate::cli) fn of(keys: &Keys, policy: &Policy) -> Self {
        let mut held: Vec<_> = keys.iter().map(|key| format!("{}:{}", key.id(), key.state)).collect();
        held.sort_unstable();
        Self { keys: held, policy: policy.digest() }
    }

    /// A session is still under an older policy.
    pub(in crate::cli) fn still_under(&mut self, digest: &str) {
        digest.clone_into(&mut self.policy);
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
    /// Digest of its policy; empty if it does not say.
    pub(in crate::cli) policy: String,
    pub(in crate::cli) is_silent: bool,
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
    let there = database
        .rows(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c AND a.attname = 'policy') \
             FROM pg_catalog.to_regclass('pgseal.proxy') c WHERE c IS NOT NULL",
        )
        .await?;
    match there.first().and_then(|row| row.get(0)) {
        Some("t") => Ok(()),
        Some(_) => database.rows(POLICY_COLUMN).await.map(drop),
        None => database.make(TABLE).await,
    }
}

/// Writes a report.
pub(in crate::cli) async fn report(database: &Database, who: &Identity, held: &Held) -> anyhow::Result<()> {
    let (id, host, version) =
        (quote_literal(&who.id), quote_literal(&who.host), quote_literal(env!("CARGO_PKG_VERSION")));
    let (process, keys, policy) = (who.process, held.keys.join(","), &held.policy);
    database
        .rows(&format!(
            "INSERT INTO pgseal.proxy (id, host, process, version, keys, policy) \
             VALUES ({id}, {host}, {process}, {version}, '{{{keys}}}', '{policy}') \
             ON CONFLICT (id) DO UPDATE SET seen = pg_catalog.now(), keys = excluded.keys, policy = excluded.policy"
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
             seen <= pg_catalog.now() - interval '{FORGOTTEN_AFTER}', pg_catalog.to_jsonb(p) ->> 'policy' \
             FROM pgseal.proxy p ORDER BY host, process, id"
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
        policy: text(row, 8),
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

/// The proxies that are heard of and run another policy, or do not say which. `None` if there are none.
pub(in crate::cli) fn under_another_policy(proxies: &[Proxy], digest: &str) -> Option<String> {
    let others = proxies.iter().filter(|proxy| !proxy.is_silent && proxy.policy != digest);
    let line = |proxy: &Proxy| match proxy.policy.as_str() {
        "" => format!("  {} does not say which it runs", proxy.shown()),
        other => format!("  {} runs {other}, and this one is {digest}", proxy.shown()),
    };
    let lines: Vec<_> = others.map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
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
