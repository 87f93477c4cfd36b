//! Numbers at random that are the same in each run.

/// Xorshift (Marsaglia 2003), from a seed that is not 0.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One that is less than `bound`.
    pub fn roll(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
