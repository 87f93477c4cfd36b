//! The audit log: who has opened which column, as lines of JSON that are chained to each other.
//!
//! A record is written before the values that it tells of go out to the client, so nothing is read that is not
//! written down; where it cannot be written, the values are withheld, unless the operator has said that the sessions
//! go on. A record holds names and numbers, and the digest of the statement's shape: never a text or a value.
//!
//! Each line ends in a code (HMAC-SHA-256) over the code of the line before and its own bytes, under a key derived
//! from a data key. Whoever can write to the file and has no keyring can destroy it, but cannot change, take out or
//! add a record so that [`verify`](verify()) does not tell; only an end that was cut off looks like a proxy that was
//! killed there, which is why the last record's number and code are given to the ordinary log now and then.

mod chain;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub use self::verify::{Finding, Found, Report, verify};

use self::writer::Writer;
use crate::keyring::Keys;
use crate::metrics::Metrics;

/// What becomes of values whose record cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// They are withheld.
    Withhold,
    /// They go out; how many records are lost is written when writing is possible again.
    GoOn,
}

/// Where to, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file. Older ones lie beside it, with the number of their first record behind the name.
    pub path: PathBuf,
    /// A file is put aside from this size on; `None` for never.
    pub rotate_at: Option<u64>,
    /// What then.
    pub on_failure: OnFailure,
}

/// Values that were opened for a client.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    /// The session's number in the log.
    pub session: u64,
    /// Who has logged in.
    pub user: &'a str,
    /// The database.
    pub database: &'a str,
    /// What the application calls itself now.
    pub application: &'a str,
    /// Where it is; `None` on this machine, over a Unix socket.
    pub client: Option<IpAddr>,
    /// The digest of the statement's shape, if they come from a statement.
    pub statement: Option<String>,
    /// What holds them: `rows`, `copy`, or the text of an `error`.
    pub within: &'static str,
    /// So many rows.
    pub rows: u64,
    /// So many values of each column.
    #[serde(serialize_with = "as_map")]
    pub columns: Vec<(String, u64)>,
}

/// Why there is no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The system refused something.
    #[error("the audit log {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another proxy writes there.
    #[error("the audit log {} is written by another process", .0.display())]
    Locked(PathBuf),
    /// It does not end as such a log does.
    #[error("{} does not end in a record of an audit log: put it aside, and a new one begins", .0.display())]
    Foreign(PathBuf),
    /// The keyring has no key that seals.
    #[error("the keyring has no active key, of which that of the audit log is derived")]
    NoKey,
}

/// A record was not written: what it tells of must not go out.
#[derive(Debug)]
pub struct NotWritten;

/// The audit log of a process.
pub struct Audit {
    on_failure: OnFailure,
    metrics: Metrics,
    /// The last attempt to write has failed. Beside the writer, for nobody who asks is to wait for a disk.
    failing: AtomicBool,
    writer: Mutex<Writer>,
}

impl Audit {
    /// Goes on with the file, or begins it.
    ///
    /// # Errors
    /// It cannot be written, or is none.
    pub fn open(settings: &Settings, keys: &Keys, metrics: Metrics) -> Result<Self, AuditError> {
        let writer = Writer::open(settings, keys)?;
        let failing = AtomicBool::new(false);
        Ok(Self { on_failure: settings.on_failure, metrics, failing, writer: Mutex::new(writer) })
    }

    /// Writes records.
    ///
    /// # Errors
    /// They could not be written, and what they tell of is to be withheld.
    pub fn write(&self, records: &[Record<'_>]) -> Result<(), NotWritten> {
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let mut writer = self.writer();
        let written = writer.write(records);
        self.follow(&writer);
        if written.is_ok() {
            self.metrics.audit_records.increment(count);
            return Ok(());
        }
        self.metrics.audit_failures.increment(count);
        match self.on_failure {
            OnFailure::Withhold => Err(NotWritten),
            OnFailure::GoOn => {
                writer.lose(count);
                Ok(())
            }
        }
    }

    /// True while nothing that was opened is handed out, since the log cannot be written.
    pub fn withholds(&self) -> bool {
        self.on_failure == OnFailure::Withhold && self.failing.load(Ordering::Relaxed)
    }

    /// Has the system put on disk what was written, and sees whether what failed can be done by now. It may take its
    /// time.
    pub fn sync(&self) {
        if self.failing.load(Ordering::Relaxed) {
            let mut writer = self.writer();
            writer.resume();
            self.follow(&writer);
        }
        let file = self.writer().unsynced();
        if let Some(Err(error)) = file.map(|file| file.and_then(|file| file.sync_data())) {
            tracing::error!(%error, "the audit log may not be on disk");
        }
    }

    /// Goes on in a new file, if the old one was put aside by somebody else.
    pub fn reopen(&self) {
        let mut writer = self.writer();
        writer.reopen();
        self.follow(&writer);
    }

    /// Tells the ordinary log how far this one has come, so that a cut end can be found.
    pub fn tell(&self) {
        self.writer().tell();
    }

    /// Writes that nothing follows.
    pub fn close(&self) {
        self.writer().close();
        self.sync();
    }

    fn follow(&self, writer: &Writer) {
        self.failing.store(writer.is_failing(), Ordering::Relaxed);
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_map<S: serde::Serializer>(columns: &[(String, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(columns.iter().map(|(column, count)| (column, count)))
}
