//! Waiting until every proxy acts by what a pin says.
//!
//! A proxy sends a statement that it has rewritten only under a catalog which it read less than a lease ago. So a lease
//! after a pin was changed every statement that is *sent* goes by it. What was sent before may still wait in the
//! server's sockets, behind a long statement in one text or pipeline: that is over for a session which has been seen
//! waiting for its client since.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Client;

use crate::jobs::{JobError, doing};

/// Clocks and networks are no better than this.
const MARGIN: Duration = Duration::from_millis(500);
/// Pause between two looks at the server's sessions.
const LOOK: Duration = Duration::from_millis(20);
/// People are told of a wait that is as long.
const LONG: Duration = Duration::from_secs(5);
/// Pause between two looks whether transactions have ended.
const LOOK_AT_TRANSACTIONS: Duration = Duration::from_millis(50);
/// After so long, people are told what is waited for, and as often again.
const WORDS: Duration = Duration::from_secs(10);

/// Waits until statements that are sent go by what was announced before.
pub(super) async fn lease(lease: Duration) {
    if lease >= LONG {
        let seconds = lease.as_secs();
        tracing::info!(seconds, "waits for one catalog lease, until every proxy goes by what was announced");
    }
    sleep(lease + MARGIN).await;
}

/// Waits until whoever reads the catalog finds it there, in a snapshot from before too.
pub(super) async fn found(client: &Client, lease: Duration) -> Result<(), JobError> {
    self::lease(lease).await;
    older_gone(client).await
}

/// Waits until statements that are carried out do.
pub(in crate::jobs) async fn heard(client: &Client, lease: Duration) -> Result<(), JobError> {
    self::lease(lease).await;
    let mut waiting = sessions(client).await?;
    if waiting.unseen {
        tracing::warn!(
            "this role does not see what other roles' sessions do (GRANT pg_read_all_stats): another lease is waited for"
        );
        self::lease(lease).await;
    }
    let began = tokio::time::Instant::now();
    let mut told = began;
    while !waiting.busy.is_empty() {
        sleep(LOOK).await;
        let now = sessions(client).await?;
        waiting.busy.retain(|session| now.busy.contains(session));
        if told.elapsed() > WORDS {
            told = tokio::time::Instant::now();
            let (sessions, seconds) = (waiting.busy.len(), began.elapsed().as_secs());
            let pids: Vec<i32> = waiting.busy.iter().map(|(pid, _)| *pid).take(5).collect();
            tracing::warn!(
                sessions,
                seconds,
                ?pids,
                "waits for statements that began before the announcement"
            );
        }
    }
    Ok(())
}

/// Waits until the transactions that are under way have ended: they may have read the catalog as it was. Every role is
/// told of them.
pub(in crate::jobs) async fn older_gone(client: &Client) -> Result<(), JobError> {
    let mut left: Option<BTreeSet<String>> = None;
    let mut told = tokio::time::Instant::now();
    loop {
        let rows = client
            .query(
                "SELECT DISTINCT l.virtualtransaction FROM pg_catalog.pg_locks l
                 JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
                 WHERE l.locktype = 'virtualxid' AND l.granted AND a.usesysid IS NOT NULL
                   AND a.datname = pg_catalog.current_database() AND l.pid <> pg_catalog.pg_backend_pid()",
                &[],
            )
            .await
            .map_err(doing("does not show its transactions"))?;
        let now: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let still = match left.take() {
            Some(before) => before.intersection(&now).cloned().collect(),
            None => now,
        };
        if still.is_empty() {
            return Ok(());
        }
        if told.elapsed() > WORDS {
            told = tokio::time::Instant::now();
            tracing::warn!(
                transactions = still.len(),
                "waits for transactions that began before the announcement"
            );
        }
        left = Some(still);
        sleep(LOOK_AT_TRANSACTIONS).await;
    }
}

struct Sessions {
    /// Those that do not wait for their client, by process id and start.
    busy: BTreeSet<(i32, String)>,
    /// There are some of which this role is told nothing.
    unseen: bool,
}

async fn sessions(client: &Client) -> Result<Sessions, JobError> {
    let rows = client
        .query(
            "SELECT pid, backend_start::text, state IS NULL, wait_event IS NOT DISTINCT FROM 'ClientRead'
             FROM pg_catalog.pg_stat_activity
             WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
               AND (backend_type = 'client backend' OR backend_type IS NULL)",
            &[],
        )
        .await
        .map_err(doing("does not show its sessions"))?;
    let mut sessions = Sessions { busy: BTreeSet::new(), unseen: false };
    for row in &rows {
        let (is_unseen, waits): (bool, bool) = (row.get(2), row.get(3));
        sessions.unseen |= is_unseen;
        if !is_unseen && !waits {
            sessions.busy.insert((row.get(0), row.get(1)));
        }
    }
    Ok(sessions)
}
