//! What each worker counts alone, so that counting is an addition in memory that nobody else writes to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Totals, lock};

/// A number that one thread counts up and others read.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Counts up. Of two threads that do at once, one may count in vain.
    pub fn add(&self, n: u64) {
        self.set(self.value().wrapping_add(n));
    }

    /// Says what it is now.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// What it is.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes and messages of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow<T> {
    /// Bytes, without TLS.
    pub bytes: T,
    /// Whole messages.
    pub messages: T,
}

/// Values of one context under one key.
#[derive(Debug, Default)]
pub struct ValueCounts {
    /// On their way to the server.
    pub sealed: Tally,
    /// On their way to a client.
    pub opened: Tally,
}

/// What one worker counts.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    /// What was taken of clients' bytes.
    pub from_client: Flow<Tally>,
    /// What was taken of the server's.
    pub from_server: Flow<Tally>,
    /// The proxy's own time for each batch.
    pub batches: Latency,
    /// Bytes that kept verdicts take.
    pub verdict_bytes: Tally,
    /// Client sessions accepted.
    pub sessions: Tally,
    /// Those of them that are over.
    pub sessions_ended: Tally,
    /// Texts that were forwarded.
    pub forwarded: Tally,
    /// Texts that were rewritten.
    pub rewritten: Tally,
    /// What was refused; [`super::Metrics::refused`] counts it.
    pub(super) refused: Tally,
    /// Verdicts that were kept for the text.
    pub verdicts_by_text: Tally,
    /// Verdicts that were kept for the text's shape.
    pub verdicts_by_shape: Tally,
    /// Verdicts of an analysis.
    pub verdicts_by_analysis: Tally,
    /// By context and key id.
    values: Mutex<BTreeMap<(String, String), Arc<ValueCounts>>>,
}

impl WorkerMetrics {
    /// The counts of a context's values under a key. To be kept: they are looked up under a lock.
    pub fn values(&self, context: &str, key: &str) -> Arc<ValueCounts> {
        lock(&self.values).entry((context.to_owned(), key.to_owned())).or_default().clone()
    }

    pub(super) fn add_to(&self, totals: &mut Totals) {
        let flows =
            [(&self.from_client, &mut totals.from_clients), (&self.from_server, &mut totals.from_server)];
        for (mine, all) in flows {
            all.bytes += mine.bytes.value();
            all.messages += mine.messages.value();
        }
        self.batches.add_to(&mut totals.batches);
        totals.verdict_bytes += self.verdict_bytes.value();
        totals.sessions += self.sessions.value();
        totals.sessions_ended += self.sessions_ended.value();
        totals.forwarded += self.forwarded.value();
        totals.rewritten += self.rewritten.value();
        totals.refused += self.refused.value();
        let verdicts = [&self.verdicts_by_text, &self.verdicts_by_shape, &self.verdicts_by_analysis];
        totals.verdicts.iter_mut().zip(verdicts).for_each(|(all, mine)| *all += mine.value());
        for (place, counts) in lock(&self.values).iter() {
            let (sealed, opened) = totals.values.entry(place.clone()).or_default();
            *sealed += counts.sealed.value();
            *opened += counts.opened.value();
        }
    }
}

/// Upper bounds of the histogram's buckets, in nanoseconds: from a batch that is only copied to one that holds up
/// everybody.
pub const BUCKETS: [u64; 14] = [
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    50_000_000,
    250_000_000,
];

/// A histogram of times.
#[derive(Debug, Default)]
pub struct Latency {
    /// The last one is for what is above all bounds.
    buckets: [Tally; BUCKETS.len() + 1],
    nanoseconds: Tally,
}

/// What a [`Latency`] has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyCounts {
    /// Up to each bound, those below included.
    pub up_to: [u64; BUCKETS.len()],
    /// All.
    pub count: u64,
    /// Their sum, in nanoseconds.
    pub nanoseconds: u64,
}

impl Latency {
    /// Counts one.
    pub fn record(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // Most are short.
        let place = BUCKETS.iter().position(|bound| nanoseconds <= *bound).unwrap_or(BUCKETS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.add(1);
        }
        self.nanoseconds.add(nanoseconds);
    }

    fn add_to(&self, counts: &mut LatencyCounts) {
        let mut below = 0;
        for (bucket, all) in self.buckets.iter().zip(&mut counts.up_to) {
            below += bucket.value();
            *all += below;
        }
        counts.count += self.buckets.iter().map(Tally::value).sum::<u64>();
        counts.nanoseconds += self.nanoseconds.value();
    }
}

impl LatencyCounts {
    /// The bound, in nanoseconds, below which this share of the batches is; `None` if there were none, or if it is
    /// above all bounds.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = super::as_float(self.count) * share;
        let place = self.up_to.iter().position(|n| super::as_float(*n) >= wanted)?;
        BUCKETS.get(place).copied().filter(|_| self.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_their_buckets() {
        let latency = Latency::default();
        for nanoseconds in [0, 2_000, 2_001, 60_000, 1_000_000_000] {
            latency.record(Duration::from_nanos(nanoseconds));
        }
        let mut counts = LatencyCounts::default();
        latency.add_to(&mut counts);
        assert_eq!(counts.up_to, [2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!((counts.count, counts.nanoseconds), (5, 1_000_064_001));
        assert_eq!((counts.quantile(0.5), counts.quantile(0.99)), (Some(5_000), None));
        assert_eq!(LatencyCounts::default().quantile(0.5), None);
    }

    #[test]
    fn workers_are_summed_up() {
        let mut totals = Totals::default();
        for n in [1, 2] {
            let worker = WorkerMetrics::default();
            worker.from_client.bytes.add(10 * n);
            worker.from_server.messages.add(n);
            worker.values("a.b.c", "00000001").opened.add(n);
            worker.values("a.b.c", "00000001").opened.add(n);
            worker.add_to(&mut totals);
        }
        assert_eq!((totals.from_clients.bytes, totals.from_server.messages), (30, 3));
        assert_eq!(totals.values.values().collect::<Vec<_>>(), [&(0, 6)]);
    }
}
