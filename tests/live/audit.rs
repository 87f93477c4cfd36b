//! The audit log of a running proxy: what it tells, when it withholds, and what it finds.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::admin::{free_address, get};
use crate::support::message::*;
use crate::support::{Cluster, Proxy, RawClient, pgseal};

const POLICY: &str = r#"version = 1
[table."public.people"]
email = { type = "text", mode = "deterministic" }
note = { type = "text" }
"#;

const CANARY: &str = "canary-51ab";

struct Site {
    database: String,
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Site {
    /// With three people, the last of whom has no note.
    fn start(environment: &[(&str, &str)]) -> Self {
        let cluster = Cluster::shared();
        let database = cluster.database("audit");
        cluster.connect(&database).run(
            "CREATE TABLE people (id int PRIMARY KEY, email bytea UNIQUE, note bytea); CREATE ROLE ann_audit LOGIN; \
             GRANT ALL ON people TO ann_audit",
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit").display().to_string();
        let environment = [&[("PGSEAL_AUDIT", path.as_str())], environment].concat();
        let proxy = Proxy::start_with(cluster.address(), POLICY, &environment);
        let site = Self { database, proxy, folder };
        site.client("postgres").run(&format!(
            "INSERT INTO people VALUES (1, '{CANARY}1', '{CANARY}'), (2, '{CANARY}2', '{CANARY}'), (3, '{CANARY}3', NULL)"
        ));
        site
    }

    fn client(&self, user: &str) -> RawClient {
        let database = self.database.as_str();
        let parameters = [("user", user), ("database", database), ("application_name", "night shift")];
        RawClient::connect_with(self.proxy.address(), &parameters)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// Records of values that were opened.
    fn opened(&self) -> Vec<Value> {
        let records =
            self.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
        records.into_iter().filter(|record| record["kind"] == "opened").collect()
    }

    fn verify(&self) -> (bool, String) {
        let (path, keyring) = (self.path(), self.proxy.folder().join("keyring/keyring.toml"));
        pgseal(&["audit", "verify", path.to_str().unwrap(), "--keyring", keyring.to_str().unwrap()])
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        Cluster::shared().connect(&self.database).run("DROP OWNED BY ann_audit; DROP ROLE ann_audit");
    }
}

fn counts(record: &Value) -> (&str, u64, Option<u64>, Option<u64>) {
    let columns = &record["columns"];
    let count = |column: &str| columns[column].as_u64();
    (
        record["within"].as_str().unwrap(),
        record["rows"].as_u64().unwrap(),
        count("public.people.email"),
        count("public.people.note"),
    )
}

/// Tests of one role in one cluster take turns.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn turn() -> std::sync::MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn it_tells_who_has_opened_what() {
    let _turn = turn();
    let site = Site::start(&[]);
    assert_eq!(site.opened().len(), 0, "storing opens nothing");
    let mut ann = site.client("ann_audit");
    let mut boss = site.client("postgres");
    let text = "SELECT email, note FROM people WHERE id < 10";
    assert_eq!(ann.rows(text).len(), 3);
    boss.run("SET application_name = 'other'");
    boss.extended("SELECT /* other */ email, NOTE from people where id < $1", &[Some(b"3")]);
    boss.rows("SELECT count(email) FROM people");
    boss.rows("SELECT id FROM people WHERE email = 'x'");
    boss.query(&format!("INSERT INTO people (id, email) VALUES (9, '{CANARY}1')"));
    boss.query("COPY people (id, note) TO STDOUT");
    boss.run("BEGIN; DECLARE c CURSOR FOR SELECT note FROM people ORDER BY id");
    assert_eq!(boss.rows("FETCH 2 FROM c").len(), 2);
    boss.run("COMMIT");
    // A portal that is executed piece by piece.
    let flight = [
        parse("", "SELECT email FROM people ORDER BY id", &[]),
        bind("", "", &[], &[], &[]),
        execute("", 2),
        execute("", 2),
        sync(),
    ];
    boss.send(&flight.concat());
    boss.read_until_ready();
    let records = site.opened();
    let found: Vec<_> = records.iter().map(counts).collect();
    assert_eq!(
        found[..5],
        [
            ("rows", 3, Some(3), Some(2)),
            ("rows", 2, Some(2), Some(2)),
            ("error", 0, Some(1), None),
            ("copy", 3, None, Some(2)),
            ("rows", 2, None, Some(2)),
        ]
    );
    // Where the pieces are cut is the network's.
    let portal = &records[5..];
    assert_eq!(portal.iter().map(|record| record["rows"].as_u64().unwrap()).sum::<u64>(), 3);
    assert_eq!((&records[0]["user"], &records[1]["user"]), (&"ann_audit".into(), &"postgres".into()));
    assert_eq!(
        (&records[0]["application"], &records[1]["application"]),
        (&"night shift".into(), &"other".into())
    );
    assert_eq!(
        (&records[0]["database"], &records[0]["client"]),
        (&site.database.as_str().into(), &"127.0.0.1".into())
    );
    assert_ne!(records[0]["session"], records[1]["session"]);
    // Two texts of one shape.
    assert_eq!(records[0]["statement"], records[1]["statement"]);
    let (_, digest) = pgseal(&["audit", "digest", text]);
    assert_eq!(records[0]["statement"], digest.trim());
    assert!(!site.text().contains("canary"), "{}", site.text());
    assert!(site.verify().0, "{}", site.verify().1);
}

#[test]
fn a_change_is_found_and_a_killed_proxy_goes_on() {
    let _turn = turn();
    let site = Site::start(&[]);
    let mut ann = site.client("ann_audit");
    for _ in 0..3 {
        ann.rows("SELECT email FROM people");
    }
    site.proxy.process().signal("KILL");
    while site.proxy.process().is_alive() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let whole = site.text();
    // A record torn by the crash.
    fs::write(site.path(), &whole.as_bytes()[..whole.len() - 20]).unwrap();
    let path = site.path().display().to_string();
    let next = site.proxy.beside(Cluster::shared().address(), &[("PGSEAL_AUDIT", &path)]);
    RawClient::connect(next.address(), "ann_audit", &site.database).rows("SELECT email FROM people");
    next.process().signal("TERM");
    while next.process().is_alive() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (is_whole, told) = site.verify();
    assert!(is_whole && told.contains("torn") && !told.contains("does not end in a stop"), "{told}");
    let text = site.text();
    fs::write(site.path(), text.replacen("ann_audit", "bob_audit", 1)).unwrap();
    let (is_whole, told) = site.verify();
    assert!(!is_whole && told.contains(":2: problem: changed"), "{told}");
}

/// As a full disk: no file of the proxy may grow.
fn forbid_growth(site: &Site, forbidden: bool) {
    let size = if forbidden { "0" } else { "unlimited" };
    let pid = site.proxy.process().pid().to_string();
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={size}:unlimited")]).status();
    assert!(done.expect("prlimit runs").success());
}

#[test]
fn values_are_withheld_when_it_cannot_be_written() {
    let _turn = turn();
    let site = Site::start(&[]);
    let mut ann = site.client("ann_audit");
    forbid_growth(&site, true);
    // What opens nothing goes on.
    assert_eq!(ann.value("SELECT count(*) FROM people").as_deref(), Some("3"));
    ann.send(&query("SELECT id, email FROM people"));
    let answer = ann.read_to_end();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("58030") && answer.contains("audit log"), "{answer}");
    assert!(!answer.contains("canary"), "{answer}");
    forbid_growth(&site, false);
    assert_eq!(site.client("ann_audit").rows("SELECT email FROM people").len(), 3);
    assert_eq!(site.opened().len(), 1);
    assert!(site.verify().0, "{}", site.verify().1);
}

#[test]
fn a_proxy_that_withholds_values_is_not_ready_until_it_can_write() {
    let _turn = turn();
    for (fails, while_full) in [("closed", 503), ("open", 200)] {
        let admin = free_address();
        let site = Site::start(&[("PGSEAL_ADMIN", &admin.to_string()), ("PGSEAL_AUDIT_FAIL", fails)]);
        assert_eq!(get(admin, "/readyz").0, 200);
        forbid_growth(&site, true);
        let mut ann = site.client("ann_audit");
        ann.send(&query("SELECT id, email FROM people"));
        while ann.try_read().is_some_and(|frame| !matches!(frame.tag, b'E' | b'Z')) {}
        let (code, text) = get(admin, "/readyz");
        assert_eq!(code, while_full, "{text}");
        assert_eq!(text.contains("the audit log cannot be written"), fails == "closed", "{text}");
        assert_eq!(get(admin, "/healthz").0, 200);
        assert!(get(admin, "/metrics").1.contains("\npgseal_audit_failures_total 1\n"));
        forbid_growth(&site, false);
        // Nobody asks for values meanwhile.
        let start = Instant::now();
        while get(admin, "/readyz").0 != 200
            || !site.text().contains(r#""kind":"resumed""#) && fails == "closed"
        {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", get(admin, "/readyz").1);
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(site.client("ann_audit").rows("SELECT email FROM people").len(), 3);
        assert!(site.verify().0, "{}", site.verify().1);
    }
}

#[test]
fn sessions_go_on_without_it_if_that_was_said() {
    let _turn = turn();
    let site = Site::start(&[("PGSEAL_AUDIT_FAIL", "open")]);
    let mut ann = site.client("ann_audit");
    forbid_growth(&site, true);
    assert_eq!(ann.rows("SELECT email FROM people").len(), 3);
    assert_eq!(ann.rows("SELECT email FROM people").len(), 3);
    forbid_growth(&site, false);
    assert_eq!(ann.rows("SELECT email FROM people").len(), 3);
    let (is_whole, told) = site.verify();
    assert!(is_whole && told.contains("2 records were lost here"), "{told}");
}

#[test]
fn long_results_are_told_in_pieces_and_files_put_aside() {
    let _turn = turn();
    let site = Site::start(&[("PGSEAL_AUDIT_SIZE", "2000")]);
    let mut ann = site.client("ann_audit");
    ann.run("INSERT INTO people SELECT 100 + i, NULL, 'note' FROM generate_series(1, 20000) i");
    let begun = Instant::now();
    assert_eq!(ann.rows("SELECT note FROM people WHERE id > 100").len(), 20_000);
    site.proxy.process().signal("HUP");
    let mut files: Vec<_> =
        fs::read_dir(site.folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.rotate_left(1);
    assert!(files.len() > 1, "{files:?} in {:?}", begun.elapsed());
    let texts: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let records =
        texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rows: u64 = records.filter_map(|record| record["rows"].as_u64()).sum();
    assert_eq!(rows, 20_000);
    let keyring = site.proxy.folder().join("keyring/keyring.toml").display().to_string();
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let mut command = vec!["audit", "verify", "--keyring", &keyring];
    command.extend(names.iter().map(String::as_str));
    let (is_whole, told) = pgseal(&command);
    assert!(is_whole, "{told}");
}
