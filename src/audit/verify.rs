//! Whether an audit log is whole, and as it was written.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::chain::{self, Code, Head};
use crate::keyring::Keys;
use crate::secret::Secret;

/// Something about a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u64,
    /// What.
    pub found: Found,
}

/// What is found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Found {
    /// It is not what a proxy with this keyring has written behind the line before.
    #[error("changed: it is not what was written here behind the record before it")]
    Changed,
    /// It is no record.
    #[error("it is no record of an audit log")]
    NoRecord,
    /// Numbers are left out, or come again.
    #[error("record {found} stands where record {expected} should be: records were taken out or put in")]
    Number {
        /// The one that follows.
        expected: u64,
        /// The one that is there.
        found: u64,
    },
    /// The keyring cannot say.
    #[error("it is chained under key {0}, which the keyring does not have")]
    NoKey(String),
    /// An anchor's record is another one.
    #[error("record {0} is not the one that the anchor is of")]
    Anchor(u64),
    /// It is not there.
    #[error("record {0}, which the anchor is of, is not there: the end was cut off, or a file is missing")]
    AnchorMissing(u64),
    /// No fault: those before are elsewhere.
    #[error("the records before {0} are in another file")]
    Before(u64),
    /// No fault of the file.
    #[error("{0} records were lost here, since they could not be written")]
    Lost(u64),
    /// No fault of the file.
    #[error("a crash has torn {0} bytes of a record here")]
    Torn(u64),
    /// Nobody can know whether more followed.
    #[error("the log does not end in a stop: the proxy runs, was killed, or what followed was cut off")]
    Open,
}

impl Found {
    /// True if somebody has been at the file, or it cannot be told.
    pub fn is_problem(&self) -> bool {
        match self {
            Self::Changed
            | Self::NoRecord
            | Self::Number { .. }
            | Self::NoKey(_)
            | Self::Anchor(_)
            | Self::AnchorMissing(_) => true,
            Self::Before(_) | Self::Lost(_) | Self::Torn(_) | Self::Open => false,
        }
    }
}

/// What was found in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the lines.
    pub findings: Vec<Finding>,
    /// Whole records.
    pub records: u64,
    /// Number and code of the last one, as an anchor is written.
    pub last: Option<String>,
}

/// Looks through files that follow each other. `anchor` is what the ordinary log said of a record: number and code.
///
/// # Errors
/// A file cannot be read.
pub fn verify(files: &[PathBuf], keys: &Keys, anchor: Option<&str>) -> io::Result<Report> {
    let mut walk = Walk { keys, anchor, report: Report::default(), key: None, last: None, ends: false };
    let mut place = (Path::new(""), 0);
    for file in files {
        let mut reader = BufReader::new(File::open(file)?);
        let (mut line, mut number, mut is_first) = (Vec::new(), 0, true);
        while reader.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            place = (file, number);
            match line.strip_suffix(b"\n") {
                Some(whole) => walk.line(file, number, whole, is_first),
                None => walk.found(file, number, Found::Torn(u64::try_from(line.len()).unwrap_or_default())),
            }
            is_first = false;
            line.clear();
        }
    }
    let anchored = anchor.and_then(|anchor| anchor.split_once(':')?.0.parse::<u64>().ok());
    if let Some(number) = anchored.filter(|number| walk.last.is_none_or(|(last, _)| last < *number)) {
        walk.found(place.0, place.1, Found::AnchorMissing(number));
    }
    if !walk.ends {
        walk.found(place.0, place.1, Found::Open);
    }
    walk.report.last = walk.last.map(|(number, code)| format!("{number}:{code}"));
    Ok(walk.report)
}

struct Walk<'a> {
    keys: &'a Keys,
    anchor: Option<&'a str>,
    report: Report,
    /// `None` before the first beginning; `Some(None)` if the keyring does not have it.
    key: Option<Option<Secret<32>>>,
    last: Option<(u64, Code)>,
    ends: bool,
}

impl Walk<'_> {
    fn found(&mut self, file: &Path, line: u64, found: Found) {
        self.report.findings.push(Finding { file: file.to_owned(), line, found });
    }

    fn line(&mut self, file: &Path, number: u64, line: &[u8], is_first: bool) {
        let text = std::str::from_utf8(line).ok();
        let parsed =
            text.and_then(|text| Some((chain::split(text)?, serde_json::from_str::<Head>(text).ok()?)));
        let Some(((before, code), head)) = parsed else {
            return self.found(file, number, Found::NoRecord);
        };
        let begins = matches!(&*head.kind, "start" | "continued");
        if let Some(id) = head.key.as_ref().filter(|_| begins) {
            let key = self.keys.audit_key_of(id);
            if key.is_none() {
                self.found(file, number, Found::NoKey(id.clone()));
            }
            self.key = Some(key);
        }
        let expected = match self.last {
            Some((last, _)) => last + 1,
            // What came before is told by the first record itself, whose own code says whether that is true.
            None if is_first && head.n > 1 => {
                self.found(file, number, Found::Before(head.n));
                head.n
            }
            None => 1,
        };
        if head.n != expected {
            self.found(file, number, Found::Number { expected, found: head.n });
        }
        let previous = match self.last {
            Some((_, code)) => code,
            None => head.previous.as_deref().and_then(Code::parse).unwrap_or_default(),
        };
        let is_true = match &self.key {
            None => false,
            // Nothing can be said, which has been said.
            Some(None) => true,
            Some(Some(key)) => chain::code(key, previous, before.as_bytes()) == code,
        };
        if !is_true {
            self.found(file, number, Found::Changed);
        }
        if self.anchor.is_some_and(|anchor| is_of(anchor, head.n) && anchor != format!("{}:{code}", head.n)) {
            self.found(file, number, Found::Anchor(head.n));
        }
        if let Some(lost) = head.records.filter(|_| head.kind == "lost") {
            self.found(file, number, Found::Lost(lost));
        }
        if let Some(torn) = head.torn.filter(|torn| *torn > 0 && begins) {
            self.found(file, number, Found::Torn(torn));
        }
        self.report.records += 1;
        self.last = Some((head.n, code));
        self.ends = head.kind == "stop";
    }
}

fn is_of(anchor: &str, number: u64) -> bool {
    anchor.split_once(':').is_some_and(|(anchored, _)| anchored.parse() == Ok(number))
}
