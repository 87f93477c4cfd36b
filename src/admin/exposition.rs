//! Prometheus' text: what the recorder has, and what is looked up when somebody asks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use super::Admin;
use super::http::{Response, nothing};
use crate::metrics::{
    BATCH_SECONDS, BATCH_SECONDS_MEANING, BUCKETS, CATALOG_AGE, COLUMNS, INFO, JOB_ROWS, KEYS, LatencyCounts,
    PROXIES, READY, TABLE, as_float,
};

/// The text format's version, as Prometheus wants it said.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Admin {
    pub(super) async fn exposition(&self) -> Response {
        let (sources, now) = (&self.sources, Instant::now());
        let is_ready = self.hindrances().await.is_empty();
        sources.metrics.publish();
        let mut text = Text(sources.recorder.render());
        text.histogram(&sources.metrics.totals().batches);
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
            let silent = fleet.proxies.iter().filter(|proxy| proxy.is_silent).count();
            let counts = [("live", fleet.proxies.len() - silent), ("silent", silent)];
            text.gauge(PROXIES, counts.map(|(state, n)| (vec![("state", state.to_owned())], size(n))));
            let jobs = fleet.jobs.iter().flat_map(|job| {
                [("done", job.done), ("total", job.total)].map(|(state, rows)| {
                    let labels = vec![
                        ("work", job.work.clone()),
                        ("table", job.table.clone()),
                        ("state", state.to_owned()),
                    ];
                    (labels, as_float(u64::try_from(rows).unwrap_or_default()))
                })
            });
            text.gauge(JOB_ROWS, jobs);
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

    fn histogram(&mut self, counts: &LatencyCounts) {
        self.family(BATCH_SECONDS, "histogram", BATCH_SECONDS_MEANING);
        let bucket = format!("{BATCH_SECONDS}_bucket");
        for (bound, count) in BUCKETS.iter().zip(counts.up_to) {
            self.sample(&bucket, &[("le", seconds(*bound).to_string())], as_float(count));
        }
        self.sample(&bucket, &[("le", "+Inf".to_owned())], as_float(counts.count));
        self.sample(&format!("{BATCH_SECONDS}_sum"), &[], seconds(counts.nanoseconds));
        self.sample(&format!("{BATCH_SECONDS}_count"), &[], as_float(counts.count));
        self.0.push('\n');
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
        text.histogram(&counts);
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
