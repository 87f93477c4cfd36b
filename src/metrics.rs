//! Counters, handed down as values; their names are in one table.
//!
//! The handles are taken from the recorder that is installed when [`Metrics::new`] runs. Without one each
//! update is a branch on `None`.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Every metric: its name as an exporter shows it, and what it counts.
pub const TABLE: &[(&str, &str)] = &[
    (SESSIONS, "Client sessions accepted."),
    (SESSIONS_OPEN, "Client sessions open now."),
    (SESSIONS_REFUSED, "Client sessions refused because there were as many as there may be."),
    (
        LOGINS,
        "Clients that the proxy authenticated itself, by outcome: accepted, failed, or too_many (not asked).",
    ),
    (STATEMENTS, "Query texts analysed, by verdict: forward, rewrite or refuse."),
    (VERDICTS, "Verdicts by where they come from: kept for the text, kept for its shape, or analysis."),
    (REFUSALS, "Query texts refused, by reason."),
    (VALUES_SEALED, "Values sealed on their way to the server."),
    (VALUES_OPENED, "Values opened on their way to a client."),
    (OPEN_FAILURES, "Values that could not be opened: unknown key, damaged, or of another context."),
    (ORIGIN_DISAGREEMENTS, "Results whose columns came from elsewhere than the analysis had proved."),
    (PLAN_CHANGES, "Binds refused because the plan of their statement had changed."),
    (CATALOG_LOADS, "Catalogs read from a server."),
    (CATALOG_LOAD_FAILURES, "Attempts to read a catalog that failed, by a lock for example."),
    (KEYRING_LOADS, "Times that the keyring was read while the proxy runs, by outcome: taken or failed."),
    (TLS_HANDSHAKES, "TLS handshakes done, by side: client or server."),
    (TLS_HANDSHAKE_FAILURES, "TLS handshakes that failed or took too long, by side: client or server."),
    (PROTOCOL_VIOLATIONS, "Sessions closed because a peer broke the protocol."),
];

const SESSIONS: &str = "pgseal_sessions_total";
const SESSIONS_OPEN: &str = "pgseal_sessions_open";
const SESSIONS_REFUSED: &str = "pgseal_sessions_refused_total";
const LOGINS: &str = "pgseal_logins_total";
const STATEMENTS: &str = "pgseal_statements_total";
const VERDICTS: &str = "pgseal_verdicts_total";
const REFUSALS: &str = "pgseal_refusals_total";
const VALUES_SEALED: &str = "pgseal_values_sealed_total";
const VALUES_OPENED: &str = "pgseal_values_opened_total";
const OPEN_FAILURES: &str = "pgseal_open_failures_total";
const ORIGIN_DISAGREEMENTS: &str = "pgseal_origin_disagreements_total";
const PLAN_CHANGES: &str = "pgseal_plan_changes_total";
const CATALOG_LOADS: &str = "pgseal_catalog_loads_total";
const CATALOG_LOAD_FAILURES: &str = "pgseal_catalog_load_failures_total";
const KEYRING_LOADS: &str = "pgseal_keyring_loads_total";
const TLS_HANDSHAKES: &str = "pgseal_tls_handshakes_total";
const TLS_HANDSHAKE_FAILURES: &str = "pgseal_tls_handshake_failures_total";
const PROTOCOL_VIOLATIONS: &str = "pgseal_protocol_violations_total";

/// Handles of all metrics; a clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Client sessions accepted.
    pub sessions: Counter,
    /// Client sessions open now.
    pub sessions_open: Gauge,
    /// Sessions that were one too many.
    pub sessions_refused: Counter,
    /// Clients that the proxy authenticated.
    pub logins: Logins,
    /// Texts that were forwarded.
    pub forwarded: Counter,
    /// Texts that were rewritten.
    pub rewritten: Counter,
    /// Texts that were refused; [`Metrics::refused`] counts the reason too.
    refused: Counter,
    /// Verdicts that were kept for the text.
    pub verdicts_by_text: Counter,
    /// Verdicts that were kept for the text's shape.
    pub verdicts_by_shape: Counter,
    /// Verdicts of an analysis.
    pub verdicts_by_analysis: Counter,
    /// Values sealed.
    pub values_sealed: Counter,
    /// Values opened.
    pub values_opened: Counter,
    /// Values that could not be opened.
    pub open_failures: Counter,
    /// Results whose columns the server and the analysis disagree about.
    pub origin_disagreements: Counter,
    /// Binds whose plan had changed.
    pub plan_changes: Counter,
    /// Catalogs read.
    pub catalog_loads: Counter,
    /// Attempts to read one that failed.
    pub catalog_load_failures: Counter,
    /// Times that the keyring was read again and taken.
    pub keyrings_taken: Counter,
    /// Times that it was not, because it is wrong or its key-encryption key is out of reach.
    pub keyrings_failed: Counter,
    /// TLS handshakes with clients.
    pub client_handshakes: Handshakes,
    /// TLS handshakes with servers.
    pub server_handshakes: Handshakes,
    /// Sessions closed because a peer broke the protocol.
    pub protocol_violations: Counter,
}

impl Metrics {
    /// Registers every metric with the recorder that is installed, if any.
    pub fn new() -> Self {
        for (name, meaning) in TABLE {
            if *name == SESSIONS_OPEN {
                describe_gauge!(*name, Unit::Count, *meaning);
            } else {
                describe_counter!(*name, Unit::Count, *meaning);
            }
        }
        Self {
            sessions: counter!(SESSIONS),
            sessions_open: gauge!(SESSIONS_OPEN),
            sessions_refused: counter!(SESSIONS_REFUSED),
            logins: Logins::new(),
            forwarded: counter!(STATEMENTS, "verdict" => "forward"),
            rewritten: counter!(STATEMENTS, "verdict" => "rewrite"),
            refused: counter!(STATEMENTS, "verdict" => "refuse"),
            verdicts_by_text: counter!(VERDICTS, "from" => "text"),
            verdicts_by_shape: counter!(VERDICTS, "from" => "shape"),
            verdicts_by_analysis: counter!(VERDICTS, "from" => "analysis"),
            values_sealed: counter!(VALUES_SEALED),
            values_opened: counter!(VALUES_OPENED),
            open_failures: counter!(OPEN_FAILURES),
            origin_disagreements: counter!(ORIGIN_DISAGREEMENTS),
            plan_changes: counter!(PLAN_CHANGES),
            catalog_loads: counter!(CATALOG_LOADS),
            catalog_load_failures: counter!(CATALOG_LOAD_FAILURES),
            keyrings_taken: counter!(KEYRING_LOADS, "outcome" => "taken"),
            keyrings_failed: counter!(KEYRING_LOADS, "outcome" => "failed"),
            client_handshakes: Handshakes::of("client"),
            server_handshakes: Handshakes::of("server"),
            protocol_violations: counter!(PROTOCOL_VIOLATIONS),
        }
    }

    /// Counts a refused text. `reason` is one of few fixed words, for it becomes a label.
    pub fn refused(&self, reason: &'static str) {
        self.refused.increment(1);
        counter!(REFUSALS, "reason" => reason).increment(1);
    }

    /// Counts a session as open until the answer is dropped.
    #[must_use]
    pub fn session(&self) -> OpenSession {
        self.sessions.increment(1);
        self.sessions_open.increment(1);
        OpenSession(self.sessions_open.clone())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of TLS handshakes on one side.
#[derive(Clone, Debug)]
pub struct Handshakes {
    done: Counter,
    failed: Counter,
}

impl Handshakes {
    fn of(side: &'static str) -> Self {
        Self {
            done: counter!(TLS_HANDSHAKES, "side" => side),
            failed: counter!(TLS_HANDSHAKE_FAILURES, "side" => side),
        }
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
pub struct OpenSession(Gauge);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.decrement(1);
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
            metrics.refused("not_ordered");
            metrics.values_sealed.increment(3);
        });
        let counters = kept.counters.lock().unwrap();
        let value = |name: &str| counters.get(name).map(|value| value.load(Ordering::Relaxed));
        assert_eq!(value("pgseal_sessions_total"), Some(1));
        assert_eq!(value("pgseal_statements_total verdict=refuse"), Some(1));
        assert_eq!(value("pgseal_refusals_total reason=not_ordered"), Some(1));
        assert_eq!(value("pgseal_values_sealed_total"), Some(3));
        let described = kept.described.lock().unwrap();
        for name in counters.keys().filter_map(|name| name.split(' ').next()) {
            assert!(described.contains(name), "{name} is not in the table");
        }
        assert_eq!(described.len(), TABLE.len());
    }

    #[test]
    fn without_a_recorder_nothing_is_counted() {
        let metrics = Metrics::new();
        metrics.refused("x");
        drop(metrics.session());
    }
}
