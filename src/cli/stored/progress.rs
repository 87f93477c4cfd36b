//! How far a job is: one line that changes on a terminal, and log lines elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::jobs::{Progress, Work};

/// Between two log lines.
const PERIOD: Duration = Duration::from_secs(10);

/// Shows progress on standard error.
pub(super) struct Display {
    work: Work,
    is_terminal: bool,
    next_line: Mutex<Option<Instant>>,
}

impl Display {
    pub(super) fn new(work: Work) -> Self {
        Self { work, is_terminal: stderr().is_terminal(), next_line: Mutex::new(None) }
    }

    pub(super) fn show(&self, progress: &Progress<'_>) {
        let Progress { table, pass, done, total, .. } = progress;
        let (per_second, left) = speed(progress);
        if self.is_terminal {
            let share = done.saturating_mul(100).checked_div(*total).unwrap_or(100).min(100);
            let filled = usize::try_from(share / 5).unwrap_or_default();
            let bar = format!("{}{}", "#".repeat(filled), "-".repeat(20_usize.saturating_sub(filled)));
            let left = left.map_or_else(String::new, |left| format!(", {left} s left"));
            // What stands behind on the line is cleared.
            let _ = write!(
                stderr(),
                "\r{table} [{bar}] {share}% {done} of {total} rows, {per_second}/s{left}\x1b[K"
            );
            return;
        }
        let mut next_line = self.next_line.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if next_line.is_none_or(|due| due <= now) {
            *next_line = Some(now + PERIOD);
            let work = self.work.as_str();
            tracing::info!(
                %table, pass, done, total, per_second, seconds_left = left, resumed = progress.is_resumed, "{work}"
            );
        }
    }

    /// Leaves the line.
    pub(super) fn end(&self) {
        if self.is_terminal {
            let _ = writeln!(stderr());
        }
    }
}

/// Rows per second, and the seconds that are left at that rate.
fn speed(progress: &Progress<'_>) -> (u64, Option<u64>) {
    let (rows, time) = progress.rate;
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let per_second = rows.saturating_mul(1000).checked_div(millis).unwrap_or_default();
    let left = progress.total.saturating_sub(progress.done);
    (per_second, left.checked_div(per_second))
}
