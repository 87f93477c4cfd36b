//! Counters, handed down as values; their names are in one table.
//!
//! The handles are taken from the recorder that is installed when [`Metrics::new`] runs. Without one each
//! update is a branch on `None`. What happens in every batch of messages is counted by each worker alone
//! ([`WorkerMetrics`]) and summed up when somebody asks.

mod kek;
mod refusals;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

pub use self::kek::{KEK_BUCKETS, KekCalls};
pub use self::refusals::{RefusalCount, Refused};
pub use self::worker::{BUCKETS, Flow, Latency, LatencyCounts, Tally, ValueCounts, WorkerMetrics};

use self::refusals::Refusals;

/// Every metric but the histograms [`BATCH_SECONDS`] and [`KEK_SECONDS`]: its name as an exporter shows it, its kind, and what it tells.
pub const TABLE: &[(&str, Kind, &str)] = &[
    (SESSIONS, Kind::Counter, "Client sessions accepted."),
    (SESSIONS_OPEN, Kind::Gauge, "Client sessions open now."),
    (AUDIT_RECORDS, Kind::Counter, "Records of opened values written to the audit log."),
    (AUDIT_FAILURES, Kind::Counter, "Records that could not be written to the audit log."),
    (SESSIONS_REFUSED, Kind::Counter, "Client sessions refused because there were as many as there may be."),
    (
        LOGINS,
        Kind::Counter,
        "Clients that the proxy authenticated itself, by outcome: accepted, failed, or too_many (not asked).",
    ),
    (BYTES, Kind::Counter, "Bytes taken from a side, without TLS, by direction."),
    (MESSAGES, Kind::Counter, "Messages taken from a side, by direction; none under a policy that is empty."),
    (STATEMENTS, Kind::Counter, "Query texts analysed, by verdict: forward, rewrite or refuse."),
    (
        VERDICTS,
        Kind::Counter,
        "Verdicts by where they come from: kept for the text, kept for its shape, or analysis.",
    ),
    (VERDICT_CACHE_BYTES, Kind::Gauge, "What the kept verdicts of all workers take, roughly."),
    (REFUSALS, Kind::Counter, "Query texts and values refused, by reason."),
    (
        VALUES_SEALED,
        Kind::Counter,
        "Values sealed on their way to the server, by context (the column, if it shares its context with no other) and key id.",
    ),
    (VALUES_OPENED, Kind::Counter, "Values opened on their way to a client, by context and key id."),
    (
        OPEN_FAILURES,
        Kind::Counter,
        "Values that could not be opened: unknown key, damaged, or of another context.",
    ),
    (
        ORIGIN_DISAGREEMENTS,
        Kind::Counter,
        "Results whose columns came from elsewhere than the analysis had proved.",
    ),
    (CATALOG_LOADS, Kind::Counter, "Catalogs read from a server."),
    (CATALOG_LOAD_FAILURES, Kind::Counter, "Attempts to read a catalog that failed, by a lock for example."),
    (CATALOG_AGE, Kind::Gauge, "Seconds since the catalog of a database was read."),
    (TLS_HANDSHAKES, Kind::Counter, "TLS handshakes done, by side: client or server."),
    (
        TLS_HANDSHAKE_FAILURES,
        Kind::Counter,
        "TLS handshakes that failed or took too long, by side: client or server.",
    ),
    (PROTOCOL_VIOLATIONS, Kind::Counter, "Sessions closed because a peer broke the protocol."),
    (
        KEYRING_LOADS,
        Kind::Counter,
        "Times that the keyring was read and its key-encryption keys were asked, by outcome: taken or failed.",
    ),
    (
        KEK_CALLS,
        Kind::Counter,
        "Data keys that key-encryption keys were asked to unwrap, by the kind of provider and outcome: done or failed.",
    ),
    (
        RELOADS,
        Kind::Counter,
        "Times that policy, keyring and certificates were read again, by outcome: ok or failed.",
    ),
    (RELOADED, Kind::Gauge, "When they were last read well, in seconds since 1970."),
    (
        READY,
        Kind::Gauge,
        "1 if the proxy is ready: with keys, policy and a server that can be reached, and not stopping.",
    ),
    (KEYS, Kind::Gauge, "1 for each data key that is held, by name, version, id and state."),
    (COLUMNS, Kind::Gauge, "Columns that the policy protects, by mode."),
    (
        JOB_ROWS,
        Kind::Gauge,
        "Rows of a job in the database, by work, by what it moves (row or value), and by table or context: done and total.",
    ),
    (
        CONTEXTS_MOVING,
        Kind::Gauge,
        "Contexts of deterministic columns whose values are between two forms, by phase: old (announced) or moving.",
    ),
    (
        STORED_ROWS,
        Kind::Gauge,
        "Rows of a column under a key, or in plaintext, as a command of pgseal has counted them last.",
    ),
    (STORED_ROWS_AGE, Kind::Gauge, "Seconds since a command of pgseal has counted the rows of a column."),
    (PROXIES, Kind::Gauge, "Proxies that report in the database, by whether they were heard of lately."),
    (INFO, Kind::Gauge, "1; its labels are the program's version and the policy's digest."),
];

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// The histogram of the proxy's own time for each batch of messages. It is not the recorder's: that would keep each
/// single figure until somebody asks.
pub const BATCH_SECONDS: &str = "pgseal_batch_seconds";
/// What it tells.
pub const BATCH_SECONDS_MEANING: &str =
    "The proxy's own time for each batch of messages that was read: analysis, sealing, opening, copying.";
/// The histogram of what key-encryption keys took to unwrap a data key.
pub const KEK_SECONDS: &str = "pgseal_kek_call_seconds";
/// What it tells.
pub const KEK_SECONDS_MEANING: &str =
    "What key-encryption keys took to unwrap a data key or to fail, by the kind of provider.";

const SESSIONS: &str = "pgseal_sessions_total";
const SESSIONS_OPEN: &str = "pgseal_sessions_open";
const AUDIT_RECORDS: &str = "pgseal_audit_records_total";
const AUDIT_FAILURES: &str = "pgseal_audit_failures_total";
const SESSIONS_REFUSED: &str = "pgseal_sessions_refused_total";
const LOGINS: &str = "pgseal_logins_total";
const BYTES: &str = "pgseal_bytes_total";
const MESSAGES: &str = "pgseal_messages_total";
const STATEMENTS: &str = "pgseal_statements_total";
const VERDICTS: &str = "pgseal_verdicts_total";
const VERDICT_CACHE_BYTES: &str = "pgseal_verdict_cache_bytes";
const REFUSALS: &str = "pgseal_refusals_total";
const VALUES_SEALED: &str = "pgseal_values_sealed_total";
const VALUES_OPENED: &str = "pgseal_values_opened_total";
const OPEN_FAILURES: &str = "pgseal_open_failures_total";
const ORIGIN_DISAGREEMENTS: &str = "pgseal_origin_disagreements_total";
const CATALOG_LOADS: &str = "pgseal_catalog_loads_total";
const CATALOG_LOAD_FAILURES: &str = "pgseal_catalog_load_failures_total";
/// See [`TABLE`].
pub const CATALOG_AGE: &str = "pgseal_catalog_age_seconds";
const TLS_HANDSHAKES: &str = "pgseal_tls_handshakes_total";
const TLS_HANDSHAKE_FAILURES: &str = "pgseal_tls_handshake_failures_total";
const PROTOCOL_VIOLATIONS: &str = "pgseal_protocol_violations_total";
const KEYRING_LOADS: &str = "pgseal_keyring_loads_total";
const KEK_CALLS: &str = "pgseal_kek_calls_total";
const RELOADS: &str = "pgseal_reloads_total";
const RELOADED: &str = "pgseal_last_reload_timestamp_seconds";
/// A gauge that its owner looks up when somebody asks, as are the following ones.
pub const READY: &str = "pgseal_ready";
/// See [`TABLE`].
pub const KEYS: &str = "pgseal_keys";
/// See [`TABLE`].
pub const COLUMNS: &str = "pgseal_policy_columns";
/// See [`TABLE`].
pub const JOB_ROWS: &str = "pgseal_job_rows";
/// See [`TABLE`].
pub const CONTEXTS_MOVING: &str = "pgseal_contexts_moving";
/// See [`TABLE`].
pub const STORED_ROWS: &str = "pgseal_stored_rows";
/// See [`TABLE`].
pub const STORED_ROWS_AGE: &str = "pgseal_stored_rows_age_seconds";
/// See [`TABLE`].
pub const PROXIES: &str = "pgseal_proxies";
/// See [`TABLE`].
pub const INFO: &str = "pgseal_info";

/// Handles of all metrics; a clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What happens often.
    pub worker: Arc<WorkerMetrics>,
    /// Records of the audit log.
    pub audit_records: Counter,
    /// Records that could not be written.
    pub audit_failures: Counter,
    /// Sessions that were one too many.
    pub sessions_refused: Counter,
    /// Clients that the proxy authenticated.
    pub logins: Logins,
    /// Values that could not be opened.
    pub open_failures: Counter,
    /// Results whose columns the server and the analysis disagree about.
    pub origin_disagreements: Counter,
    /// Catalogs read.
    pub catalog_loads: Counter,
    /// Attempts to read one that failed.
    pub catalog_load_failures: Counter,
    /// TLS handshakes with clients.
    pub client_handshakes: Outcomes,
    /// TLS handshakes with servers.
    pub server_handshakes: Outcomes,
    /// Sessions closed because a peer broke the protocol.
    pub protocol_violations: Counter,
    /// The keyring read and its key-encryption keys asked.
    pub keyring_loads: Outcomes,
    /// Policy, keyring and certificates read again.
    pub reloads: Outcomes,
    last_reload: Gauge,
    shared: Arc<Shared>,
}

/// What is summed up when somebody asks.
#[derive(Debug, Default)]
struct Shared {
    workers: Mutex<Vec<Arc<WorkerMetrics>>>,
    refusals: Mutex<Refusals>,
    keks: Mutex<kek::Keks>,
    /// When the catalog of each database was last read.
    catalogs: Mutex<BTreeMap<String, Instant>>,
}

/// What was counted of traffic, by all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// From clients.
    pub from_clients: Flow<u64>,
    /// From the server.
    pub from_server: Flow<u64>,
    /// The proxy's own time.
    pub batches: LatencyCounts,
    /// Values sealed and opened, by context and key id.
    pub values: BTreeMap<(String, String), (u64, u64)>,
    /// Bytes that kept verdicts take.
    pub verdict_bytes: u64,
    /// Client sessions accepted.
    pub sessions: u64,
    /// Those of them that are over.
    pub sessions_ended: u64,
    /// Texts that were forwarded.
    pub forwarded: u64,
    /// Texts that were rewritten.
    pub rewritten: u64,
    /// What was refused.
    pub refused: u64,
    /// Verdicts that were kept for the text, kept for its shape, and reached by analysis.
    pub verdicts: [u64; 3],
}

impl Totals {
    /// Client sessions open now.
    pub fn open_sessions(&self) -> u64 {
        self.sessions.saturating_sub(self.sessions_ended)
    }
}

impl Metrics {
    /// Registers every metric with the recorder that is installed, if any.
    pub fn new() -> Self {
        for (name, kind, meaning) in TABLE {
            match kind {
                Kind::Counter => describe_counter!(*name, Unit::Count, *meaning),
                Kind::Gauge => describe_gauge!(*name, Unit::Count, *meaning),
            }
        }
        let shared = Shared::default();
        let worker = Arc::new(WorkerMetrics::default());
        lock(&shared.workers).push(worker.clone());
        Self {
            worker,
            audit_records: counter!(AUDIT_RECORDS),
            audit_failures: counter!(AUDIT_FAILURES),
            sessions_refused: counter!(SESSIONS_REFUSED),
            logins: Logins::new(),
            open_failures: counter!(OPEN_FAILURES),
            origin_disagreements: counter!(ORIGIN_DISAGREEMENTS),
            catalog_loads: counter!(CATALOG_LOADS),
            catalog_load_failures: counter!(CATALOG_LOAD_FAILURES),
            client_handshakes: Outcomes::of_handshakes("client"),
            server_handshakes: Outcomes::of_handshakes("server"),
            protocol_violations: counter!(PROTOCOL_VIOLATIONS),
            keyring_loads: Outcomes::by_label(KEYRING_LOADS, "taken"),
            reloads: Outcomes::by_label(RELOADS, "ok"),
            last_reload: gauge!(RELOADED),
            shared: Arc::new(shared),
        }
    }

    /// Counts something refused.
    pub fn refused(&self, refused: Refused<'_>) {
        self.worker.refused.add(1);
        counter!(REFUSALS, "reason" => refused.reason.replace(' ', "_")).increment(1);
        lock(&self.shared.refusals).note(&refused);
    }

    /// What was refused, the most frequent first.
    pub fn refusals(&self) -> Vec<RefusalCount> {
        lock(&self.shared.refusals).list()
    }

    /// Counts a session as open until the answer is dropped.
    #[must_use]
    pub fn session(&self) -> OpenSession {
        self.worker.sessions.add(1);
        OpenSession(self.worker.clone())
    }

    /// The same for another worker: each thread needs its own, or some of what it counts is lost.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        let worker = Arc::new(WorkerMetrics::default());
        lock(&self.shared.workers).push(worker.clone());
        Self { worker, ..self.clone() }
    }

    /// Notes that the catalog of a database was read.
    pub fn catalog_was_read(&self, database: &str, at: Instant) {
        let mut catalogs = lock(&self.shared.catalogs);
        match catalogs.get_mut(database) {
            Some(last) => *last = at.max(*last),
            None => drop(catalogs.insert(database.to_owned(), at)),
        }
    }

    /// Seconds since the catalog of each database was read.
    pub fn catalog_ages(&self, now: Instant) -> BTreeMap<String, f64> {
        let age = |at: &Instant| now.saturating_duration_since(*at).as_secs_f64();
        lock(&self.shared.catalogs).iter().map(|(name, at)| (name.clone(), age(at))).collect()
    }

    /// Notes that policy, keyring and certificates were read well.
    pub fn has_reloaded(&self, at: SystemTime) {
        self.last_reload.set(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    }

    /// What all workers have counted.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for worker in lock(&self.shared.workers).iter() {
            worker.add_to(&mut totals);
        }
        totals
    }

    /// Hands to the recorder what workers count alone.
    pub fn publish(&self) {
        let totals = self.totals();
        for (direction, flow) in
            [("client_to_server", &totals.from_clients), ("server_to_client", &totals.from_server)]
        {
            counter!(BYTES, "direction" => direction).absolute(flow.bytes);
            counter!(MESSAGES, "direction" => direction).absolute(flow.messages);
        }
        for ((context, key), (sealed, opened)) in &totals.values {
            let labels = [("context", context.clone()), ("key", key.clone())];
            counter!(VALUES_SEALED, &labels).absolute(*sealed);
            counter!(VALUES_OPENED, &labels).absolute(*opened);
        }
        counter!(SESSIONS).absolute(totals.sessions);
        gauge!(SESSIONS_OPEN).set(as_float(totals.open_sessions()));
        for (verdict, texts) in
            [("forward", totals.forwarded), ("rewrite", totals.rewritten), ("refuse", totals.refused)]
        {
            counter!(STATEMENTS, "verdict" => verdict).absolute(texts);
        }
        for (from, verdicts) in ["text", "shape", "analysis"].into_iter().zip(totals.verdicts) {
            counter!(VERDICTS, "from" => from).absolute(verdicts);
        }
        gauge!(VERDICT_CACHE_BYTES).set(as_float(totals.verdict_bytes));
        for (provider, calls) in self.kek_calls() {
            for (outcome, n) in [("done", calls.done), ("failed", calls.failed)] {
                counter!(KEK_CALLS, "provider" => provider, "outcome" => outcome).absolute(n);
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A number of things as recorders take it.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the last digits tell nobody anything")]
pub fn as_float(number: u64) -> f64 {
    number as f64
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often something went well, and how often not.
#[derive(Clone, Debug)]
pub struct Outcomes {
    done: Counter,
    failed: Counter,
}

impl Outcomes {
    fn of_handshakes(side: &'static str) -> Self {
        Self {
            done: counter!(TLS_HANDSHAKES, "side" => side),
            failed: counter!(TLS_HANDSHAKE_FAILURES, "side" => side),
        }
    }

    fn by_label(name: &'static str, done: &'static str) -> Self {
        Self { done: counter!(name, "outcome" => done), failed: counter!(name, "outcome" => "failed") }
    }

    /// Counts one by its outcome.
    pub fn count<T, E>(&self, outcome: &Result<T, E>) {
        if outcome.is_ok() { &self.done } else { &self.failed }.increment(1);
    }
}

/// What became of clients that the proxy authenticated.
#[derive(Clone, Debug)]
pub struct Logins {
    accepted: Counter,
    failed: Counter,
    /// Those that were not even asked, because too many before them had failed.
    pub too_many: Counter,
}

impl Logins {
    fn new() -> Self {
        Self {
            accepted: counter!(LOGINS, "outcome" => "accepted"),
            failed: counter!(LOGINS, "outcome" => "failed"),
            too_many: counter!(LOGINS, "outcome" => "too_many"),
        }
    }

    /// Counts one by its outcome.
    pub fn count(&self, accepted: bool) {
        if accepted { &self.accepted } else { &self.failed }.increment(1);
    }
}

/// A session that counts as open.
#[derive(Debug)]
pub struct OpenSession(Arc<WorkerMetrics>);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.sessions_ended.add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use metrics::{Histogram, Key, KeyName, Metadata, Recorder, SharedString, with_local_recorder};

    use super::*;

    /// Keeps each counter's value and every described name.
    #[derive(Default)]
    struct Kept {
        counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
        described: Mutex<BTreeSet<String>>,
    }

    impl Recorder for Kept {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.described.lock().unwrap().insert(name.as_str().to_owned());
        }
        fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
            self.describe_counter(name, unit, text);
        }
        fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
            self.describe_counter(name, unit, text);
        }
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<_> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = format!("{} {}", key.name(), labels.join(","));
            let value = self.counters.lock().unwrap().entry(name.trim().to_owned()).or_default().clone();
            Counter::from_arc(value)
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn every_metric_is_in_the_table_and_counts() {
        let kept = Kept::default();
        with_local_recorder(&kept, || {
            let metrics = Metrics::new();
            let _open = metrics.session();
            metrics.refused(Refused { reason: "not ordered", ..Refused::default() });
            let worker = metrics.for_worker().worker;
            worker.values("public.users.email", "01020304").sealed.add(3);
            worker.from_client.bytes.add(7);
            metrics.kek_was_called("file", std::time::Instant::now(), &Err::<(), ()>(()));
            metrics.publish();
        });
        let counters = kept.counters.lock().unwrap();
        let value = |name: &str| counters.get(name).map(|value| value.load(Ordering::Relaxed));
        assert_eq!(value("pgseal_sessions_total"), Some(1));
        assert_eq!(value("pgseal_statements_total verdict=refuse"), Some(1));
        assert_eq!(value("pgseal_refusals_total reason=not_ordered"), Some(1));
        let sealed = "pgseal_values_sealed_total context=public.users.email,key=01020304";
        assert_eq!(value(sealed), Some(3));
        assert_eq!(value("pgseal_bytes_total direction=client_to_server"), Some(7));
        assert_eq!(value("pgseal_kek_calls_total provider=file,outcome=failed"), Some(1));
        assert_eq!(value("pgseal_kek_calls_total provider=file,outcome=done"), Some(0));
        let described = kept.described.lock().unwrap();
        for name in counters.keys().filter_map(|name| name.split(' ').next()) {
            assert!(described.contains(name), "{name} is not in the table");
        }
        assert_eq!(described.len(), TABLE.len());
    }

    #[test]
    fn names_and_kinds_follow_the_conventions() {
        for (name, kind, meaning) in TABLE {
            assert!(name.starts_with("pgseal_") && meaning.ends_with('.'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        }
    }

    #[test]
    fn without_a_recorder_nothing_is_counted() {
        let metrics = Metrics::new();
        metrics.refused(Refused::default());
        drop(metrics.session());
    }
}
