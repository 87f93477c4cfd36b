//! Sessions under stress, from fixed seeds: valid messages in every order, and bytes that are no messages.
//!
//! `PGSEAL_FUZZ_ROUNDS` multiplies the rounds of a run, `PGSEAL_FUZZ_SEED` starts it elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failed expectation is a failed test"
)]

#[path = "session_fuzz/hostile.rs"]
mod hostile;
#[path = "session_fuzz/interleaved.rs"]
mod interleaved;
#[path = "support/mod.rs"]
mod support;

/// SplitMix64: the same numbers everywhere.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// The seeds of a test's rounds.
fn seeds(rounds: u64) -> impl Iterator<Item = u64> {
    let number = |name| std::env::var(name).ok().map(|v: String| v.parse::<u64>().expect("a number"));
    let first = number("PGSEAL_FUZZ_SEED").unwrap_or(1);
    first..first + rounds * number("PGSEAL_FUZZ_ROUNDS").unwrap_or(1)
}
