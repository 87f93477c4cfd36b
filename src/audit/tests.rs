use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::keyring::{DataKey, State};
use crate::secret::Secret;

fn keys() -> Keys {
    Keys::new([DataKey::new("default", 1, State::Active, Secret::new([7; 32]))], [])
}

fn settings(folder: &TempDir) -> Settings {
    Settings { path: folder.path().join("audit"), rotate_at: None, on_failure: OnFailure::Withhold }
}

fn open(settings: &Settings) -> Audit {
    Audit::open(settings, &keys(), Metrics::new()).unwrap()
}

fn record(session: u64) -> Record<'static> {
    Record {
        session,
        user: "ann",
        database: "app",
        application: "a \"quoted\" name, \"chain\":\"",
        client: Some([127, 0, 0, 1].into()),
        statement: Some("00112233aabbccdd".to_owned()),
        within: "rows",
        rows: 3,
        columns: vec![("public.t.c".to_owned(), 2)],
    }
}

/// Four records: start, two of them, stop.
fn written(folder: &TempDir) -> Vec<String> {
    let audit = open(&settings(folder));
    audit.write(&[record(1)]).unwrap();
    audit.write(&[record(2)]).unwrap();
    audit.close();
    drop(audit);
    lines(&settings(folder).path)
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn found(files: &[PathBuf]) -> Vec<(u64, Found)> {
    let report = verify(files, &keys(), None).unwrap();
    report.findings.into_iter().map(|finding| (finding.line, finding.found)).collect()
}

fn found_in(lines: &[impl AsRef<str>]) -> Vec<(u64, Found)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let text: String = lines.iter().map(|line| format!("{}\n", line.as_ref())).collect();
    fs::write(&path, text).unwrap();
    found(&[path])
}

#[test]
fn a_record_says_who_has_opened_what() {
    let folder = tempfile::tempdir().unwrap();
    let lines = written(&folder);
    let line: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!((line["n"].as_u64(), line["kind"].as_str()), (Some(2), Some("opened")));
    assert_eq!((line["user"].as_str(), line["client"].as_str()), (Some("ann"), Some("127.0.0.1")));
    assert_eq!((line["rows"].as_u64(), line["columns"]["public.t.c"].as_u64()), (Some(3), Some(2)));
    assert_eq!(found(&[settings(&folder).path]), []);
}

#[test]
fn what_was_changed_taken_out_put_in_or_moved_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let lines = written(&folder);
    assert_eq!(lines.len(), 4);
    let changed = lines[1].replace("ann", "bob");
    assert_eq!(found_in(&[&lines[0], &changed, &lines[2], &lines[3]]), [(2, Found::Changed)]);
    let missing = found_in(&[&lines[0], &lines[2], &lines[3]]);
    assert_eq!(missing, [(2, Found::Number { expected: 2, found: 3 }), (2, Found::Changed)]);
    // Numbers made to fit do not help.
    let renumbered = lines[2].replace("\"n\":3", "\"n\":2");
    assert_eq!(found_in(&[&lines[0], &renumbered])[0], (2, Found::Changed));
    let moved = found_in(&[&lines[0], &lines[2], &lines[1], &lines[3]]);
    assert_eq!(moved.iter().filter(|(_, found)| *found == Found::Changed).count(), 3);
    assert_eq!(found_in(&[&lines[0], &"{}".to_owned()])[0], (2, Found::NoRecord));
    // The beginning was cut off, with and without a number that says so.
    assert_eq!(found_in(&lines[1..])[..2], [(1, Found::Before(2)), (1, Found::Changed)]);
}

#[test]
fn a_cut_end_is_told_as_what_it_may_be_and_an_anchor_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let lines = written(&folder);
    let path = settings(&folder).path;
    let last = verify(std::slice::from_ref(&path), &keys(), None).unwrap().last.unwrap();
    assert!(last.starts_with("4:"), "{last}");
    fs::write(&path, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    assert_eq!(found(std::slice::from_ref(&path)), [(2, Found::Open)]);
    let with = |anchor: &str| {
        let report = verify(std::slice::from_ref(&path), &keys(), Some(anchor)).unwrap();
        report.findings.into_iter().map(|finding| finding.found).collect::<Vec<_>>()
    };
    assert_eq!(with(&last), [Found::AnchorMissing(4), Found::Open]);
    assert_eq!(with(&format!("2:{}", "0".repeat(64))), [Found::Anchor(2), Found::Open]);
    // The proxy goes on behind what is left: that is a hole for whoever has the anchor, and for nobody else.
    open(&settings(&folder)).close();
    assert_eq!(with(&last), [Found::Anchor(4)]);
}

#[test]
fn another_key_tells_nothing() {
    let folder = tempfile::tempdir().unwrap();
    written(&folder);
    let other = Keys::new([DataKey::new("default", 1, State::Active, Secret::new([8; 32]))], []);
    let report = verify(&[settings(&folder).path], &other, None).unwrap();
    assert!(matches!(report.findings[..], [Finding { found: Found::NoKey(_), .. }]), "{report:?}");
}

#[test]
fn the_chain_goes_on_behind_a_record_that_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let audit = open(&settings);
    audit.write(&[record(1)]).unwrap();
    drop(audit);
    let whole = fs::read(&settings.path).unwrap();
    // Wherever the crash has come, in the second record or in the first.
    for length in [whole.len() - 1, whole.len() - 100, 20, 8, 0] {
        fs::write(&settings.path, &whole[..length]).unwrap();
        let audit = open(&settings);
        audit.write(&[record(2)]).unwrap();
        audit.close();
        drop(audit);
        let found = found(std::slice::from_ref(&settings.path));
        assert!(found.iter().all(|(_, found)| matches!(found, Found::Torn(_))), "{length}: {found:?}");
        assert_eq!(found.len(), usize::from(length > 0), "{length}");
    }
}

#[test]
fn a_file_of_something_else_is_left_alone_and_so_is_one_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    for text in ["hello", "hello\n", "{\"n\":1}\n"] {
        fs::write(&settings.path, text).unwrap();
        let error = Audit::open(&settings, &keys(), Metrics::new()).err().unwrap();
        assert!(matches!(error, AuditError::Foreign(_)), "{error}");
        assert_eq!(fs::read_to_string(&settings.path).unwrap(), text);
    }
    fs::remove_file(&settings.path).unwrap();
    let _open = open(&settings);
    let error = Audit::open(&settings, &keys(), Metrics::new()).err().unwrap();
    assert!(matches!(error, AuditError::Locked(_)), "{error}");
}

#[test]
fn files_that_are_put_aside_make_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { rotate_at: Some(1000), ..settings(&folder) };
    let audit = open(&settings);
    for session in 1..=10 {
        audit.write(&[record(session)]).unwrap();
    }
    // Somebody else puts it aside too.
    let elsewhere = folder.path().join("audit.z");
    fs::rename(&settings.path, &elsewhere).unwrap();
    audit.reopen();
    audit.write(&[record(11)]).unwrap();
    audit.close();
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    // The one without a number behind its name is the last.
    files.rotate_left(1);
    assert!(files.len() > 4, "{files:?}");
    assert_eq!(found(&files), []);
    let without_first = found(&files[1..]);
    assert!(matches!(without_first[..], [(1, Found::Before(_))]), "{without_first:?}");
    files.remove(1);
    assert!(found(&files).iter().any(|(_, found)| found.is_problem()));
}

#[test]
fn what_cannot_be_written_is_withheld_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    for on_failure in [OnFailure::Withhold, OnFailure::GoOn] {
        let settings = Settings { on_failure, ..settings(&folder) };
        let audit = open(&settings);
        audit.writer().break_file();
        assert_eq!(audit.write(&[record(1), record(2)]).is_err(), on_failure == OnFailure::Withhold);
        audit.writer().mend_file();
        audit.write(&[record(3)]).unwrap();
        audit.close();
    }
    let found = found(&[settings(&folder).path]);
    assert!(matches!(found[..], [(_, Found::Lost(2))]), "{found:?}");
}

#[test]
fn it_says_that_it_can_be_written_again_before_anybody_asks_for_values() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let audit = open(&settings);
    audit.writer().break_file();
    assert!(!audit.withholds(), "nothing has failed yet");
    assert!(audit.write(&[record(1)]).is_err() && audit.withholds());
    audit.sync();
    assert!(audit.withholds());
    audit.writer().mend_file();
    audit.sync();
    assert!(!audit.withholds());
    audit.close();
    drop(audit);
    let kinds: Vec<_> = lines(&settings.path)
        .iter()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds, ["start", "resumed", "stop"]);
    assert_eq!(found(&[settings.path]), []);
}

#[test]
fn a_file_that_was_emptied_by_somebody_else_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder);
    let audit = open(&settings);
    audit.write(&[record(1)]).unwrap();
    fs::OpenOptions::new().write(true).open(&settings.path).unwrap().set_len(0).unwrap();
    audit.write(&[record(2)]).unwrap();
    audit.sync();
    audit.write(&[record(3)]).unwrap();
    audit.close();
    drop(audit);
    let report = verify(&[settings.path], &keys(), None).unwrap();
    assert!(report.findings.iter().any(|finding| finding.found.is_problem()), "{:?}", report.findings);
}
