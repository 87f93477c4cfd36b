//! Calls of key-encryption keys: at start, on reload and never per statement, so a lock does no harm.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Upper bounds of the histogram's buckets, in milliseconds: from a file that is read to a service that is waited for
/// as long as it may take.
pub const KEK_BUCKETS: [u64; 10] = [1, 2, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000];

/// What was asked of the key-encryption keys of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KekCalls {
    /// Data keys that were unwrapped.
    pub done: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Up to each of [`KEK_BUCKETS`], those below included.
    pub up_to: [u64; KEK_BUCKETS.len()],
    /// What all took.
    pub time: Duration,
    /// When the last one was.
    pub last: Option<Instant>,
}

impl KekCalls {
    /// All, by whatever outcome.
    pub fn count(&self) -> u64 {
        self.done + self.failed
    }

    fn note(&mut self, is_done: bool, time: Duration, now: Instant) {
        *if is_done { &mut self.done } else { &mut self.failed } += 1;
        let milliseconds = time.as_secs_f64() * 1000.0;
        for (bound, up_to) in KEK_BUCKETS.iter().zip(&mut self.up_to) {
            *up_to += u64::from(milliseconds <= super::as_float(*bound));
        }
        self.time += time;
        self.last = Some(now);
    }
}

/// By the kind of the provider.
pub(super) type Keks = BTreeMap<&'static str, KekCalls>;

impl super::Metrics {
    /// Counts a call of a key-encryption key that began then.
    pub fn kek_was_called<T, E>(&self, provider: &'static str, began: Instant, outcome: &Result<T, E>) {
        let now = Instant::now();
        let time = now.saturating_duration_since(began);
        super::lock(&self.shared.keks).entry(provider).or_default().note(outcome.is_ok(), time, now);
    }

    /// Calls of key-encryption keys by the kind of their provider.
    pub fn kek_calls(&self) -> BTreeMap<&'static str, KekCalls> {
        super::lock(&self.shared.keks).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_outcome_and_time() {
        let (mut calls, now) = (KekCalls::default(), Instant::now());
        for (is_done, milliseconds) in [(true, 1), (true, 30), (false, 60_000)] {
            calls.note(is_done, Duration::from_millis(milliseconds), now);
        }
        assert_eq!((calls.done, calls.failed, calls.count()), (2, 1, 3));
        assert_eq!(calls.up_to, [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
        assert_eq!((calls.time, calls.last), (Duration::from_millis(60_031), Some(now)));
    }
}
