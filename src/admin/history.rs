//! The last minutes, for the plots of the status page.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::metrics::Totals;

/// Between two samples.
pub(super) const PERIOD: Duration = Duration::from_secs(2);
/// So many are kept: five minutes.
const SAMPLES: usize = 150;

/// What happened between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sample {
    /// Sessions that were open at its end.
    pub(super) sessions: u64,
    /// Texts that were judged.
    pub(super) statements: u64,
    /// Bytes in both directions.
    pub(super) bytes: u64,
    /// Values sealed and opened.
    pub(super) values: u64,
}

#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    /// What all was at the last one.
    before: Option<Sample>,
}

impl History {
    pub(super) fn note(&mut self, totals: &Totals) {
        let now = Sample {
            sessions: totals.open_sessions(),
            statements: totals.forwarded + totals.rewritten + totals.refused,
            bytes: totals.from_clients.bytes + totals.from_server.bytes,
            values: totals.values.values().map(|(sealed, opened)| sealed + opened).sum(),
        };
        if let Some(before) = self.before.replace(now) {
            if self.samples.len() >= SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back(Sample {
                sessions: now.sessions,
                statements: now.statements.saturating_sub(before.statements),
                bytes: now.bytes.saturating_sub(before.bytes),
                values: now.values.saturating_sub(before.values),
            });
        }
    }

    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_hold_what_happened_between_them() {
        let mut history = History::default();
        for forwarded in 0..200 {
            history.note(&Totals {
                forwarded: 10 * forwarded,
                sessions: 5,
                sessions_ended: 2,
                ..Totals::default()
            });
        }
        let samples = history.samples();
        assert_eq!(samples.len(), SAMPLES);
        assert!(samples.iter().all(|sample| (sample.statements, sample.sessions) == (10, 3)));
    }
}
