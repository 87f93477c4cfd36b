//! What holds a job up between its batches: the rate that it may have, somebody who has paused it, and standbys that are
//! behind.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::record::Record;
use super::runner::Limits;
use super::{JobError, MARK, doing};

/// Between two looks whether the job is paused, and how far standbys are.
const LOOK: Duration = Duration::from_millis(500);
/// A job that was slower than its rate makes up for no more than this, so that no flood follows a pause.
const CATCH_UP: Duration = Duration::from_secs(1);
/// While a job is held up, people are told as often.
const WORDS: Duration = Duration::from_secs(60);

/// One run's, shared by its workers.
pub(super) struct Throttle {
    began: Instant,
    /// Milliseconds of it in which the job was held up, but for those that its rate took.
    held: AtomicU64,
    state: Mutex<State>,
}

struct State {
    pace: Option<Pace>,
    lag: Option<Lag>,
    looked: Option<Instant>,
}

impl Throttle {
    /// Begins a run.
    ///
    /// # Errors
    /// The lag of standbys is to be kept short, and is not to be seen.
    pub(super) async fn begin(limits: &Limits, client: &Client) -> Result<Self, JobError> {
        let lag = match limits.max_lag {
            Some(most) => Some(Lag::begin(most, client).await?),
            None => None,
        };
        let pace = limits.rows_per_second.map(|rate| Pace { rate, due: None });
        let state = Mutex::new(State { pace, lag, looked: None });
        Ok(Self { began: Instant::now(), held: AtomicU64::new(0), state })
    }

    /// The time in which the run could move rows.
    pub(super) fn worked(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.held.load(Ordering::Relaxed)))
    }

    /// Comes back when the next batch may be moved, after one of so many rows. Workers wait here together.
    ///
    /// # Errors
    /// The job's record is gone, or the server refuses a query.
    pub(super) async fn rest(&self, client: &Client, record: &Record, rows: u64) -> Result<(), JobError> {
        let mut state = self.state.lock().await;
        if let Some(pace) = state.pace.as_mut().filter(|_| rows > 0) {
            sleep(pace.moved(rows, Instant::now())).await;
        }
        if state.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(());
        }
        let mut told: Option<Instant> = None;
        loop {
            let why = match (record.paused(client).await?, &mut state.lag) {
                (Some(since), _) => {
                    Some(format!("the job is paused since {since}: \"pgseal jobs resume\" lets it go on"))
                }
                (None, Some(lag)) => lag.look(client).await?,
                (None, None) => None,
            };
            state.looked = Some(Instant::now());
            let Some(why) = why else { break };
            if told.is_none_or(|at| at.elapsed() > WORDS) {
                told = Some(Instant::now());
                tracing::warn!(of = record.relation, "{why}");
            }
            sleep(LOOK).await;
            self.held.fetch_add(u64::try_from(LOOK.as_millis()).unwrap_or_default(), Ordering::Relaxed);
        }
        if told.is_some() {
            tracing::info!(of = record.relation, "the job goes on");
        }
        Ok(())
    }
}

/// Rows of each second.
struct Pace {
    rate: NonZeroU32,
    /// When the rows that were moved so far are within the rate. What goes before the first ones is not made up for.
    due: Option<Instant>,
}

impl Pace {
    /// How long to wait after so many rows.
    fn moved(&mut self, rows: u64, now: Instant) -> Duration {
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let due = self.due.map_or(now, |due| due.max(earliest)) + Duration::from_secs(rows) / self.rate.get();
        self.due = Some(due);
        due.saturating_duration_since(now)
    }
}

/// How far standbys are behind, in time.
///
/// The server tells it (`replay_lag`), but goes by what the standby says of itself, and says nothing at first. So it is also
/// measured here: for how long the server has had what the standby lacks. The greater of both counts.
struct Lag {
    most: Duration,
    /// As many standbys have been seen at once.
    standbys: i64,
    flushed: Flushed,
}

impl Lag {
    async fn begin(most: Duration, client: &Client) -> Result<Self, JobError> {
        let mut lag = Self { most, standbys: 0, flushed: Flushed::default() };
        lag.look(client).await?;
        if lag.standbys == 0 {
            return Err(JobError::NoStandby);
        }
        Ok(lag)
    }

    /// Why the job has to wait, if it has. What is not known is not zero.
    async fn look(&mut self, client: &Client) -> Result<Option<String>, JobError> {
        let row = client
            .query_one(
                &format!(
                    "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0')::bigint,
                       pg_catalog.count(*) FILTER (WHERE state IS NULL), pg_catalog.count(replay_lsn),
                       pg_catalog.min(pg_catalog.pg_wal_lsn_diff(replay_lsn, '0/0'))::bigint,
                       pg_catalog.max(pg_catalog.date_part('epoch', replay_lag))
                         FILTER (WHERE replay_lsn < pg_catalog.pg_current_wal_flush_lsn())
                     FROM pg_catalog.pg_stat_replication WHERE state IS DISTINCT FROM 'backup' {MARK}"
                ),
                &[],
            )
            .await
            .map_err(doing("does not tell how far its standbys are"))?;
        let (flushed, unseen, standbys): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        if unseen > 0 {
            return Err(JobError::UnseenLag);
        }
        if standbys < self.standbys {
            let (gone, all) = (self.standbys - standbys, self.standbys);
            return Ok(Some(format!(
                "{gone} of {all} standbys are not connected, so nobody knows how far they are behind (if they are gone \
                 for good, stop the job and start it again)"
            )));
        }
        self.standbys = standbys;
        let told = row.get::<_, Option<f64>>(4).and_then(|told| Duration::try_from_secs_f64(told).ok());
        let lacks = self.flushed.lacked(row.get(3), flushed, Instant::now());
        let lag = told.unwrap_or_default().max(lacks);
        Ok((lag > self.most).then(|| {
            let seconds = lag.as_secs_f64();
            format!("a standby is {seconds:.1} s behind, more than --max-lag allows: the job waits for it")
        }))
    }
}

/// What the server had when, as far as a standby does not have it yet.
#[derive(Default)]
struct Flushed(VecDeque<(Instant, i64)>);

impl Flushed {
    /// For how long, at least, somebody has lacked something who has replayed so much of what is flushed now.
    fn lacked(&mut self, replayed: Option<i64>, flushed: i64, now: Instant) -> Duration {
        self.0.push_back((now, flushed));
        while self.0.front().is_some_and(|(_, place)| replayed.is_none_or(|replayed| *place <= replayed)) {
            self.0.pop_front();
        }
        self.0.front().map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_holds_over_every_stretch_of_time_and_a_pause_is_not_made_up_for() {
        let start = Instant::now();
        let mut pace = Pace { rate: NonZeroU32::new(100).unwrap(), due: None };
        let after = |millis: u64| start + Duration::from_millis(millis);
        let cases = [
            // 50 rows in no time, and in half of theirs.
            (after(0), 50, 500),
            (after(750), 50, 250),
            // Slower than the rate by 300 ms, which the next batch makes up for.
            (after(1800), 50, 0),
            (after(1800), 50, 200),
            // An hour later only a second is made up for.
            (after(3_600_000), 50, 0),
            (after(3_600_000), 100, 500),
        ];
        for (i, (now, rows, wait)) in cases.into_iter().enumerate() {
            assert_eq!(pace.moved(rows, now), Duration::from_millis(wait), "{i}");
        }
    }

    #[test]
    fn a_standby_is_behind_for_as_long_as_it_lacks_something() {
        let start = Instant::now();
        let mut flushed = Flushed::default();
        let cases = [
            (0, Some(100), 100, 0),
            // It has not got the next yet, and stands still.
            (1, Some(100), 200, 0),
            (3, Some(100), 300, 2),
            (9, Some(199), 300, 8),
            // It has what was there at 1, but not what was there at 3.
            (10, Some(200), 400, 7),
            (11, Some(400), 400, 0),
            // Nothing is written for an hour: nobody lacks anything.
            (3611, Some(400), 500, 0),
            (3612, Some(500), 500, 0),
        ];
        for (second, replayed, now, behind) in cases {
            let lacked = flushed.lacked(replayed, now, start + Duration::from_secs(second));
            assert_eq!(lacked, Duration::from_secs(behind), "{second}");
        }
    }
}
