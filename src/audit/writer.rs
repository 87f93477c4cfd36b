//! The file that is written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::chain::{self, Begin, Code, Head, Line};
use super::{AuditError, Record, Settings};
use crate::keyring::{Keys, lock_within};
use crate::secret::Secret;

/// Bytes of a record, as most are.
const USUAL: usize = 512;
/// The last record of a file is looked for in so many bytes; none is as long.
const TAIL: u64 = 1 << 20;
/// How long the end of a process that has the file is waited for.
const LOCK_WAIT: Duration = Duration::from_millis(500);

pub(super) struct Writer {
    path: PathBuf,
    rotate_at: Option<u64>,
    file: File,
    /// Of the file, as far as records are whole.
    length: u64,
    /// The first record of the file.
    first: u64,
    key: Secret<32>,
    key_id: String,
    /// Number and code of the last record.
    last: (u64, Code),
    /// What the ordinary log was told last.
    told: u64,
    unsynced: bool,
    /// The file may end in a part of a record.
    unsure: bool,
    failing: bool,
    lost: u64,
}

/// How a file ends.
struct Tail {
    last: (u64, Code),
    torn: u64,
}

impl Writer {
    pub(super) fn open(settings: &Settings, keys: &Keys) -> Result<Self, AuditError> {
        let path = &settings.path;
        let io = |source| AuditError::Io { path: path.clone(), source };
        let (key_id, key) = keys.audit_key().ok_or(AuditError::NoKey)?;
        let file = open(path).map_err(io)?;
        lock(&file).map_err(|error| error.map_or(AuditError::Locked(path.clone()), io))?;
        let tail = tail(&file).map_err(io)?.ok_or_else(|| AuditError::Foreign(path.clone()))?;
        let length = file.metadata().map_err(io)?.len() - tail.torn;
        file.set_len(length).map_err(io)?;
        let mut writer = Self {
            path: path.clone(),
            rotate_at: settings.rotate_at,
            file,
            length,
            first: if length == 0 { tail.last.0 + 1 } else { first(path).unwrap_or(1) },
            key,
            key_id: key_id.to_string(),
            last: tail.last,
            told: 0,
            unsynced: false,
            unsure: false,
            failing: false,
            lost: 0,
        };
        if tail.torn > 0 {
            tracing::warn!(
                bytes = tail.torn,
                "the last record of the audit log was torn, and was taken away"
            );
        }
        writer.begin("start", tail.torn).map_err(io)?;
        writer.tell();
        Ok(writer)
    }

    /// Writes all of the records or none.
    pub(super) fn write(&mut self, records: &[Record<'_>]) -> Result<(), ()> {
        let (mut lines, mut last) = (Vec::with_capacity(USUAL * records.len()), self.last);
        let mut result = Ok(());
        if self.lost > 0 {
            result = self.append("lost", &json!({ "records": self.lost }), &mut last, &mut lines);
        }
        for record in records {
            result = result.and_then(|()| self.append("opened", record, &mut last, &mut lines));
        }
        let written = result.and_then(|()| self.put(&lines, last));
        self.has_written(written)?;
        if self.rotate_at.is_some_and(|size| self.length >= size) {
            self.rotate();
        }
        Ok(())
    }

    /// Writes, if it can be written again, that records were lost or their values withheld until now.
    pub(super) fn resume(&mut self) {
        let (mut line, mut last) = (Vec::new(), self.last);
        let appended = match self.lost {
            0 => self.append("resumed", &json!({}), &mut last, &mut line),
            lost => self.append("lost", &json!({ "records": lost }), &mut last, &mut line),
        };
        let written = appended.and_then(|()| self.put(&line, last));
        // That it still cannot be was told before.
        let _ = self.has_written(written);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Notes how writing has gone, and tells the ordinary log when that changes.
    fn has_written(&mut self, written: io::Result<()>) -> Result<(), ()> {
        match written {
            Ok(()) => {
                if self.failing {
                    tracing::info!(lost = self.lost, "the audit log can be written again");
                }
                (self.failing, self.lost) = (false, 0);
                Ok(())
            }
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, "the audit log cannot be written");
                }
                self.failing = true;
                Err(())
            }
        }
    }

    pub(super) fn lose(&mut self, records: u64) {
        self.lost += records;
    }

    /// The file, if there is something of it that may not be on disk.
    pub(super) fn unsynced(&mut self) -> Option<io::Result<File>> {
        if self.unsynced {
            self.unsure = self.straighten().is_err();
        }
        std::mem::take(&mut self.unsynced).then(|| self.file.try_clone())
    }

    pub(super) fn tell(&mut self) {
        let (number, code) = self.last;
        if number != self.told {
            tracing::info!(anchor = format!("{number}:{code}"), "the audit log has come to this record");
            self.told = number;
        }
    }

    pub(super) fn close(&mut self) {
        self.note("stop");
        self.tell();
    }

    pub(super) fn reopen(&mut self) {
        let id = |metadata: io::Result<std::fs::Metadata>| metadata.map(|m| (m.dev(), m.ino())).ok();
        if id(std::fs::metadata(&self.path)) != id(self.file.metadata()) {
            self.note("rotated");
            self.go_on();
        }
    }

    /// Puts the file aside.
    fn rotate(&mut self) {
        let mut aside = self.path.clone().into_os_string();
        aside.push(format!(".{:012}", self.first));
        self.note("rotated");
        match std::fs::rename(&self.path, &aside) {
            Ok(()) => self.go_on(),
            Err(error) => {
                tracing::error!(%error, "the audit log cannot be put aside, and grows on");
                self.rotate_at = self.rotate_at.map(|size| self.length + size);
            }
        }
        self.tell();
    }

    /// Goes on in a new file, if there can be one.
    fn go_on(&mut self) {
        let opened = open(&self.path).and_then(|file| {
            lock(&file)
                .map_err(|error| error.unwrap_or_else(|| io::Error::other("another process has it")))?;
            Ok((file.metadata()?.len(), file))
        });
        match opened {
            Ok((0, file)) => {
                // What was written to the one before has to be there before anything that follows it.
                if let Err(error) = self.file.sync_data() {
                    tracing::error!(%error, "the audit log may not be on disk");
                }
                (self.file, self.length, self.first) = (file, 0, self.last.0 + 1);
                self.unsure = false;
                if let Err(error) = self.begin("continued", 0) {
                    tracing::error!(%error, "the audit log cannot be written");
                    self.failing = true;
                }
            }
            Ok(_) => tracing::error!("there is another file where the audit log was, which is left alone"),
            Err(error) => tracing::error!(%error, "the audit log cannot go on in a new file"),
        }
    }

    fn begin(&mut self, kind: &str, torn: u64) -> io::Result<()> {
        let (mut line, mut last) = (Vec::new(), self.last);
        let begin = Begin { version: 1, key: &self.key_id, previous: last.1.to_string(), torn };
        self.append(kind, &begin, &mut last, &mut line)?;
        self.put(&line, last)
    }

    /// Writes a record that says nothing but its kind, if that can be.
    fn note(&mut self, kind: &str) {
        let (mut line, mut last) = (Vec::new(), self.last);
        let noted = self.append(kind, &json!({}), &mut last, &mut line).and_then(|()| self.put(&line, last));
        if let Err(error) = noted {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }

    fn append(
        &self,
        kind: &str,
        rest: &impl Serialize,
        last: &mut (u64, Code),
        lines: &mut Vec<u8>,
    ) -> io::Result<()> {
        let line = Line { n: last.0 + 1, time: jiff::Timestamp::now().to_string(), kind, rest };
        *last = (line.n, chain::append(&line, &self.key, last.1, lines)?);
        Ok(())
    }

    /// Writes lines, whole or not at all.
    fn put(&mut self, lines: &[u8], last: (u64, Code)) -> io::Result<()> {
        if self.unsure {
            self.straighten()?;
        }
        if let Err(error) = self.file.write_all(lines) {
            self.unsure = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += u64::try_from(lines.len()).unwrap_or_default();
        self.last = last;
        self.unsynced = true;
        Ok(())
    }

    /// Takes away a part of an earlier attempt. Where somebody else has been at the file, that is what the numbers will
    /// tell. Not for each record: to ask for a file's length makes the next write dear, as the system then has to give it
    /// a time of its own.
    fn straighten(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() != self.length {
            self.file.set_len(self.length)?;
        }
        self.unsure = false;
        Ok(())
    }
}

#[cfg(test)]
impl Writer {
    /// From here on writing fails.
    pub(super) fn break_file(&mut self) {
        self.file = File::open(&self.path).expect("it is there");
    }

    pub(super) fn mend_file(&mut self) {
        self.file = open(&self.path).expect("it is there");
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// `None`: another process has it. One that was just killed may have it for a moment longer.
fn lock(file: &File) -> Result<(), Option<io::Error>> {
    lock_within(file, LOCK_WAIT).map_err(|error| match error {
        TryLockError::WouldBlock => None,
        TryLockError::Error(error) => Some(error),
    })
}

/// The last whole record; `None` if there is something else.
fn tail(mut file: &File) -> io::Result<Option<Tail>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = u64::try_from(bytes.len() - whole).unwrap_or_default();
    let lines = bytes.get(..whole).unwrap_or_default();
    if lines.is_empty() {
        // A first record that was torn is no other's file.
        let is_ours = from == 0 && (torn == 0 || bytes.starts_with(b"{\"n\":"));
        return Ok(is_ours.then_some(Tail { last: (0, Code::default()), torn }));
    }
    let last = lines.strip_suffix(b"\n").unwrap_or(lines).rsplit(|byte| *byte == b'\n').next();
    let last = last.and_then(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let (_, code) = chain::split(line)?;
        Some((serde_json::from_str::<Head>(line).ok()?.n, code))
    });
    Ok(last.map(|last| Tail { last, torn }))
}

/// The number of a file's first record.
fn first(path: &std::path::Path) -> Option<u64> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(TAIL).read_to_end(&mut bytes).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    Some(serde_json::from_slice::<Head>(line).ok()?.n)
}
