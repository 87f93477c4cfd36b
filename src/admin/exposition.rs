//! Prometheus' text: what the recorder has, and what is looked up when somebody asks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use super::http::{Response, nothing};
use super::{Admin, Fleet};
use crate::catalog::Phase;
use crate::metrics::{
    BATCH_SECONDS, BATCH_SECONDS_MEANING, BUCKETS, CATALOG_AGE, COLUMNS, CONTEXTS_MOVING, INFO, JOB_ROWS,
    KEK_BUCKETS, KEK_SECONDS, KEK_SECONDS_MEANING, KEYS, KekCalls, LatencyCounts, PROXIES, READY,
    STORED_ROWS, STORED_ROWS_AGE, TABLE, as_float,
};

/// The text format's version, as Prometheus wants it said.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Admin {
    pub(super) async fn exposition(&self) -> Response {
        let (sources, now) = (&self.sources, Instant::now());
        let is_ready = self.hindrances().await.is_empty();
        sources.metrics.publish();
        let mut text = Text(sources.recorder.render());
        text.batches(&sources.metrics.totals().batches);
        text.keks(&sources.metrics.kek_calls());
        text.gauge(READY, [(Vec::new(), f64::from(u8::from(is_ready)))]);
        let policy = sources.policy.borrow().clone();
        let info = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("policy", policy.digest())];
        text.gauge(INFO, [(info, 1.0)]);
        let mut modes = BTreeMap::<_, u64>::new();
        policy.columns().for_each(|(_, column)| *modes.entry(column.mode.to_string()).or_default() += 1);
        text.gauge(COLUMNS, modes.into_iter().map(|(mode, n)| (vec![("mode", mode)], as_float(n))));
        let keys = sources.keys.borrow().clone();
        let mut held: Vec<_> = keys.iter().collect();
        held.sort_by_key(|key| (&key.name, key.version));
        let label = |key: &&crate::keyring::DataKey| {
            let (name, version) = (key.name.clone(), key.version.to_string());
            let (id, state) = (key.id().to_string(), key.state.to_string());
            (vec![("name", name), ("version", version), ("id", id), ("state", state)], 1.0)
        };
        text.gauge(KEYS, held.iter().map(label));
        let ages = sources.metrics.catalog_ages(now);
        text.gauge(CATALOG_AGE, ages.into_iter().map(|(database, age)| (vec![("database", database)], age)));
        if let Some(fleet) = &*sources.fleet.borrow() {
            text.fleet(fleet);
        }
        Response { status: 200, content_type: CONTENT_TYPE, policy: nothing(), body: text.0 }
    }
}

fn size(n: usize) -> f64 {
    as_float(u64::try_from(n).unwrap_or_default())
}

/// Text in the exposition format.
///
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, meaning: &str) {
        let _ = writeln!(self.0, "# HELP {name} {meaning}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, samples: impl IntoIterator<Item = (Vec<(&'static str, String)>, f64)>) {
        let meaning = TABLE.iter().find(|(listed, ..)| *listed == name).map_or("", |(.., meaning)| meaning);
        self.family(name, "gauge", meaning);
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
        self.0.push('\n');
    }

    /// What the database tells.
    fn fleet(&mut self, fleet: &Fleet) {
        let silent = fleet.proxies.iter().filter(|proxy| proxy.is_silent).count();
        let counts = [("live", fleet.proxies.len() - silent), ("silent", silent)];
        self.gauge(PROXIES, counts.map(|(state, n)| (vec![("state", state.to_owned())], size(n))));
        let jobs = fleet.jobs.iter().flat_map(|job| {
            [("done", job.done), ("total", job.total)].map(|(state, rows)| {
                let (work, of) = (job.work.clone(), job.table.clone());
                let unit = fleet.unit(job).to_owned();
                let labels = vec![("work", work), ("by", unit), ("table", of), ("state", state.to_owned())];
                (labels, as_float(u64::try_from(rows).unwrap_or_default()))
            })
        });
        // The same table may have jobs on different columns.
        let mut sums = BTreeMap::<_, f64>::new();
        jobs.for_each(|(labels, rows)| *sums.entry(labels).or_default() += rows);
        self.gauge(JOB_ROWS, sums);
        let phases = [Phase::Old, Phase::Moving].map(|phase| {
            let count = fleet.moves.iter().filter(|pin| pin.phase == phase).count();
            (vec![("phase", phase.as_str().to_owned())], size(count))
        });
        self.gauge(CONTEXTS_MOVING, phases);
        let rows = fleet.counted.iter().flat_map(|counted| {
            let plaintext = (counted.plaintext > 0).then_some(("plaintext", counted.plaintext));
            let keys = counted.keys.iter().map(|(key, rows)| (key.as_str(), *rows)).chain(plaintext);
            keys.map(move |(key, rows)| {
                (vec![("column", counted.column.clone()), ("key", key.to_owned())], as_float(rows))
            })
        });
        self.gauge(STORED_ROWS, rows);
        let ages = fleet.counted.iter().map(|counted| {
            let age = as_float(u64::try_from(counted.age).unwrap_or_default());
            (vec![("column", counted.column.clone())], age)
        });
        self.gauge(STORED_ROWS_AGE, ages);
    }

    fn batches(&mut self, counts: &LatencyCounts) {
        self.family(BATCH_SECONDS, "histogram", BATCH_SECONDS_MEANING);
        let buckets = BUCKETS.iter().map(|bound| seconds(*bound)).zip(counts.up_to);
        self.histogram(BATCH_SECONDS, &[], buckets, (counts.count, seconds(counts.nanoseconds)));
        self.0.push('\n');
    }

    fn keks(&mut self, keks: &BTreeMap<&'static str, KekCalls>) {
        self.family(KEK_SECONDS, "histogram", KEK_SECONDS_MEANING);
        for (provider, calls) in keks {
            let labels = [("provider", (*provider).to_owned())];
            let buckets = KEK_BUCKETS.iter().map(|bound| as_float(*bound) / 1e3).zip(calls.up_to);
            self.histogram(KEK_SECONDS, &labels, buckets, (calls.count(), calls.time.as_secs_f64()));
        }
        self.0.push('\n');
    }

    fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, String)],
        buckets: impl Iterator<Item = (f64, u64)>,
        (count, sum): (u64, f64),
    ) {
        let bucket = format!("{name}_bucket");
        let ends = buckets.map(|(bound, up_to)| (bound.to_string(), up_to));
        for (bound, up_to) in ends.chain([("+Inf".to_owned(), count)]) {
            self.sample(&bucket, &[labels, &[("le", bound)]].concat(), as_float(up_to));
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, as_float(count));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, String)], value: f64) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let pairs: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let pairs = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(self.0, "{name}{pairs} {value}");
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    as_float(nanoseconds) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_histograms_complete() {
        let mut text = Text(String::new());
        text.gauge(READY, [(vec![("a", "x\"y\\z\n".to_owned())], 1.0)]);
        assert!(text.0.contains("pgseal_ready{a=\"x\\\"y\\\\z\\n\"} 1\n"), "{}", text.0);
        let mut counts = LatencyCounts { count: 3, nanoseconds: 1_500_000_000, ..LatencyCounts::default() };
        counts.up_to = [2; BUCKETS.len()];
        text.batches(&counts);
        for line in [
            "# TYPE pgseal_batch_seconds histogram",
            "pgseal_batch_seconds_bucket{le=\"0.000002\"} 2",
            "pgseal_batch_seconds_bucket{le=\"+Inf\"} 3",
            "pgseal_batch_seconds_sum 1.5",
            "pgseal_batch_seconds_count 3",
        ] {
            assert!(text.0.lines().any(|found| found == line), "{line} in {}", text.0);
        }
    }
}
