//! Wrong passwords, counted by user and address.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For so long failures count together, from the first of them.
const WINDOW: Duration = Duration::from_secs(60);

/// So many pairs of user and address are counted at a time; the oldest makes way for one more.
const MOST: usize = 4096;

/// The last failures.
pub(super) struct Attempts {
    limit: Option<u32>,
    hasher: RandomState,
    table: Mutex<HashMap<u64, Failures>>,
}

struct Failures {
    since: Instant,
    count: u32,
}

impl Attempts {
    pub(super) fn new(limit: Option<u32>) -> Self {
        Self { limit, hasher: RandomState::new(), table: Mutex::default() }
    }

    /// False for whoever has failed too often.
    pub(super) fn may_try(&self, user: &str, from: Option<IpAddr>) -> bool {
        self.may_try_at(user, from, Instant::now())
    }

    fn may_try_at(&self, user: &str, from: Option<IpAddr>, now: Instant) -> bool {
        let Some(limit) = self.limit else { return true };
        let table = self.table();
        let failures = table.get(&self.key(user, from)).filter(|failures| failures.counts_at(now));
        failures.is_none_or(|failures| failures.count < limit)
    }

    /// Counts a failure.
    pub(super) fn note(&self, user: &str, from: Option<IpAddr>) {
        self.note_at(user, from, Instant::now());
    }

    fn note_at(&self, user: &str, from: Option<IpAddr>, now: Instant) {
        if self.limit.is_none() {
            return;
        }
        let key = self.key(user, from);
        let mut table = self.table();
        if let Some(failures) = table.get_mut(&key).filter(|failures| failures.counts_at(now)) {
            failures.count = failures.count.saturating_add(1);
            return;
        }
        if table.len() >= MOST {
            table.retain(|_, failures| failures.counts_at(now));
        }
        if table.len() >= MOST
            && let Some(oldest) = table.iter().min_by_key(|(_, failures)| failures.since).map(|(key, _)| *key)
        {
            table.remove(&oldest);
        }
        table.insert(key, Failures { since: now, count: 1 });
    }

    /// It has come in: what was before is forgotten.
    pub(super) fn forget(&self, user: &str, from: Option<IpAddr>) {
        if self.limit.is_some() {
            self.table().remove(&self.key(user, from));
        }
    }

    fn key(&self, user: &str, from: Option<IpAddr>) -> u64 {
        self.hasher.hash_one((user, from))
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Failures>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn counts_at(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_user_from_one_address_count_for_a_minute() {
        let attempts = Attempts::new(Some(2));
        let (now, here, there) = (Instant::now(), None, Some(IpAddr::from([127, 0, 0, 1])));
        attempts.note_at("u", here, now);
        assert!(attempts.may_try_at("u", here, now));
        attempts.note_at("u", here, now + WINDOW / 2);
        assert!(!attempts.may_try_at("u", here, now + WINDOW / 2));
        assert!(attempts.may_try_at("v", here, now) && attempts.may_try_at("u", there, now));
        assert!(attempts.may_try_at("u", here, now + WINDOW));
        attempts.note_at("u", here, now + WINDOW);
        assert!(attempts.may_try_at("u", here, now + WINDOW));
        attempts.note_at("u", here, now + WINDOW);
        attempts.forget("u", here);
        assert!(attempts.may_try_at("u", here, now + WINDOW));
    }

    #[test]
    fn the_table_is_bounded_and_may_be_switched_off() {
        let attempts = Attempts::new(Some(1));
        let now = Instant::now();
        for i in 0..MOST + 10 {
            let later = now + Duration::from_millis(u64::try_from(i).unwrap());
            attempts.note_at(&i.to_string(), None, later);
        }
        assert_eq!(attempts.table().len(), MOST);
        assert!(attempts.may_try_at("0", None, now) && !attempts.may_try_at("100", None, now));
        let off = Attempts::new(None);
        off.note("u", None);
        assert!(off.may_try("u", None) && off.table().is_empty());
    }
}
