//! What the status page shows, in JSON. Times are seconds since 1970.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::http::{Response, nothing};
use super::{Admin, Fleet, history};
use crate::jobs::work_of;
use crate::metrics::{KekCalls, LatencyCounts, Totals, as_float};
use crate::net::Stage;
use crate::policy::{ColumnState, Policy, type_name};

impl Admin {
    pub(super) async fn status(&self) -> Response {
        let hindrances = self.hindrances().await;
        let (sources, now) = (&self.sources, Instant::now());
        let totals = sources.metrics.totals();
        let (policy, keys) = (sources.policy.borrow().clone(), sources.keys.borrow().clone());
        let mut held: Vec<_> = keys.iter().collect();
        held.sort_by_key(|key| (&key.name, key.version));
        let held: Vec<_> = held
            .iter()
            .map(|key| {
                json!({ "name": key.name, "version": key.version, "id": key.id().to_string(),
                        "state": key.state.as_str() })
            })
            .collect();
        let refusals: Vec<_> = sources
            .metrics
            .refusals()
            .into_iter()
            .map(|r| {
                json!({ "reason": r.reason, "column": r.column, "construct": r.construct, "hint": r.hint,
                        "count": r.count })
            })
            .collect();
        let catalogs: Vec<_> = sources
            .metrics
            .catalog_ages(now)
            .into_iter()
            .map(|(database, age)| json!({ "database": database, "age_seconds": age.round() }))
            .collect();
        let known = sources.fleet.borrow().clone();
        let reload = sources.reloads.borrow().clone();
        let failed = reload.failed.map(|(at, error)| json!({ "at": unix(at), "error": error }));
        let samples = self.history.lock().unwrap_or_else(std::sync::PoisonError::into_inner).samples();
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "upstream": sources.upstream.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            "stage": stage(*sources.stage.borrow()),
            "ready": hindrances.is_empty(),
            "hindrances": hindrances,
            "sessions": { "open": totals.open_sessions(), "total": totals.sessions },
            "statements": { "forward": totals.forwarded, "rewrite": totals.rewritten, "refuse": totals.refused },
            "traffic": traffic(&totals),
            "batches": batches(&totals.batches),
            "columns": columns(&policy, &totals, known.as_ref()),
            "policy": { "digest": policy.digest(), "loaded": unix(reload.loaded), "failed": failed },
            "keys": held,
            "keks": keks(&sources.metrics.kek_calls(), now),
            "refusals": refusals,
            "catalogs": catalogs,
            "fleet": known.as_ref().map(fleet),
            "history": { "period_seconds": history::PERIOD.as_secs(), "samples": samples },
        });
        Response {
            status: 200,
            content_type: "application/json; charset=utf-8",
            policy: nothing(),
            body: status.to_string(),
        }
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Serving => "serving",
        Stage::Draining => "draining",
        Stage::Ending => "ending",
    }
}

fn traffic(totals: &Totals) -> Value {
    let [by_text, by_shape, by_analysis] = totals.verdicts;
    json!({
        "from_clients": { "bytes": totals.from_clients.bytes, "messages": totals.from_clients.messages },
        "from_server": { "bytes": totals.from_server.bytes, "messages": totals.from_server.messages },
        "verdicts": { "text": by_text, "shape": by_shape, "analysis": by_analysis },
    })
}

fn batches(counts: &LatencyCounts) -> Value {
    let micros = |share| counts.quantile(share).map(|nanoseconds| nanoseconds / 1000);
    json!({
        "count": counts.count,
        "mean_micros": counts.nanoseconds.checked_div(counts.count).map(|n| n / 1000),
        "p50_micros": micros(0.5),
        "p99_micros": micros(0.99),
    })
}

/// Calls of key-encryption keys, by kind.
fn keks(calls: &BTreeMap<&'static str, KekCalls>, now: Instant) -> Vec<Value> {
    let one = |(provider, calls): (&&str, &KekCalls)| {
        let all = as_float(calls.count());
        json!({
            "provider": provider,
            "done": calls.done,
            "failed": calls.failed,
            "mean_millis": calls.time.as_secs_f64() * 1e3 / all.max(1.0),
            "age_seconds": calls.last.map(|last| now.saturating_duration_since(last).as_secs()),
        })
    };
    calls.iter().map(one).collect()
}

/// Each protected column with what has passed of its context since the start, and how many rows are stored, if somebody
/// has counted them.
fn columns(policy: &Policy, totals: &Totals, fleet: Option<&Fleet>) -> Vec<Value> {
    let counted = |name: &str| {
        let counted = fleet?.counted.iter().find(|counted| counted.column == name)?;
        Some(json!({ "keys": counted.keys, "plaintext": counted.plaintext, "age_seconds": counted.age }))
    };
    let of_context = |context: &str| {
        let counts = totals.values.iter().filter(|((found, _), _)| found == context);
        let one = |((_, key), (sealed, opened)): (&(String, String), &(u64, u64))| json!({ "key": key, "sealed": sealed, "opened": opened });
        counts.map(one).collect::<Vec<_>>()
    };
    let state = |state| match state {
        ColumnState::Sealed => "sealed",
        ColumnState::Migrating => "migrating",
    };
    policy
        .columns()
        .map(|(name, column)| {
            json!({
                "table": name.relation.to_string(),
                "column": name.column,
                "type": type_name(&column.ty),
                "mode": column.mode.to_string(),
                "key": column.key,
                "state": state(column.state),
                "context": (column.context != name.to_string()).then_some(&column.context),
                "values": of_context(&column.context),
                "stored": counted(&name.to_string()),
            })
        })
        .collect()
}

fn fleet(fleet: &Fleet) -> Value {
    let proxies: Vec<_> = fleet
        .proxies
        .iter()
        .map(|p| {
            json!({ "id": p.id, "host": p.host, "process": p.process, "version": p.version, "policy": p.policy,
                    "age_seconds": p.age, "silent": p.is_silent, "this": p.is_this })
        })
        .collect();
    let jobs: Vec<_> = fleet
        .jobs
        .iter()
        .map(|j| {
            json!({ "work": j.work, "by": fleet.unit(j), "table": j.table, "columns": j.columns, "pass": j.pass, "done": j.done,
                    "total": j.total, "moved": j.moved, "paused": j.paused, "running": j.is_running })
        })
        .collect();
    let moves: Vec<_> = fleet
        .moves
        .iter()
        .map(|pin| {
            json!({ "context": pin.context, "work": work_of(pin).as_str(), "phase": pin.phase.as_str(),
                    "old": pin.old.to_string(), "new": pin.new.to_string() })
        })
        .collect();
    json!({ "proxies": proxies, "jobs": jobs, "moves": moves })
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
