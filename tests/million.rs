//! The first encryption of text columns with a million rows, beside writers and readers. It takes minutes: `make long`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failed expectation is a failed test"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[path = "support/site.rs"]
mod site;
#[path = "support/mod.rs"]
mod support;

use site::Site;
use support::{Dice, RawClient};

const ROWS: u64 = 1_000_000;

/// Statements wait for a batch at most, on a machine that does all of this at once.
const LONGEST: Duration = Duration::from_secs(2);

const POLICY: &str = r#"version = 1
[table."public.people"]
email = { type = "text", mode = "deterministic", state = "migrating" }
note = { type = "text", state = "migrating" }
"#;

const SCHEMA: &str = "
CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, note text, n int NOT NULL DEFAULT 0);
CREATE VIEW known AS SELECT id, email FROM people WHERE email IS NOT NULL;
";

/// Writes rows of its own and reads those of all, and checks every answer.
struct Writer {
    client: RawClient,
    number: u64,
    dice: Dice,
    own: BTreeMap<u64, String>,
    statements: u64,
    longest: Duration,
}

impl Writer {
    fn ask(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let began = Instant::now();
        let rows = self.client.rows(sql);
        self.longest = self.longest.max(began.elapsed());
        self.statements += 1;
        rows
    }

    fn turn(&mut self, round: u64) {
        let some = |text: &str| Some(text.to_owned());
        let n = self.number;
        let any = 1 + self.dice.roll(ROWS);
        let (all, email) = (format!("SELECT email, note FROM people WHERE id = {any}"), format!("p{any}@x"));
        match self.dice.roll(6) {
            0 => {
                let id = ROWS * (n + 1) + round + 1;
                let email = format!("w{n}-{round}@x");
                self.ask(&format!(
                    "INSERT INTO people (id, email, note) VALUES ({id}, '{email}', 'note {email}')"
                ));
                self.own.insert(id, email);
            }
            1 => assert_eq!(self.ask(&all), [[some(&email), some(&format!("note {any}"))]]),
            2 => {
                let id = self.ask(&format!("SELECT id FROM known WHERE email = '{email}'"));
                assert_eq!(id, [[some(&any.to_string())]], "{email}");
            }
            3 => {
                let found =
                    self.ask(&format!("UPDATE people SET n = n + 1 WHERE email = '{email}' RETURNING id"));
                assert_eq!(found, [[some(&any.to_string())]], "{email}");
            }
            step => {
                let Some((&id, email)) = self.own.iter().next() else { return };
                let (before, after) = (email.clone(), format!("v{n}-{round}@x"));
                if step == 4 {
                    self.ask(&format!(
                        "UPDATE people SET email = '{after}', note = 'note {after}' WHERE email = '{before}'"
                    ));
                    let note = self.ask(&format!("SELECT note FROM people WHERE email = '{after}'"));
                    assert_eq!(note, [[some(&format!("note {after}"))]]);
                    self.own.insert(id, after);
                } else {
                    let gone = self.ask(&format!("DELETE FROM people WHERE email = '{before}' RETURNING id"));
                    assert_eq!(gone, [[some(&id.to_string())]], "{before}");
                    self.own.remove(&id);
                }
            }
        }
    }
}

#[test]
#[ignore = "takes minutes: a million rows"]
fn a_million_texts_are_encrypted_while_the_application_goes_on() {
    let site = Site::start(2, POLICY, SCHEMA);
    let mut direct = site.direct();
    direct.run(&format!(
        "INSERT INTO people SELECT i, 'p' || i || '@x', 'note ' || i, 0 FROM generate_series(1, {ROWS}) i"
    ));
    direct.run("VACUUM ANALYZE people");
    let megabytes = "SELECT (pg_total_relation_size('people') / 1048576)::text";
    for column in ["people.email", "people.note"] {
        let before = direct.value(megabytes).unwrap();
        let dry_run = site.done(&["encrypt", column, "--dry-run"]);
        let began = Instant::now();
        let job = site.command(&["encrypt", column]).spawn().unwrap();
        // While nothing is known of the values of the deterministic column, proxies refuse its table.
        while direct.value("SELECT to_regclass('pgseal.job')").is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "the job does not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(2));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let run = |number: u64| {
                let (stop, site) = (&stop, &site);
                move || {
                    let client = site.proxies[usize::try_from(number).unwrap() % 2].connect(&site.database);
                    let dice = Dice(0x9e37_79b9_7f4a_7c15 + number);
                    let (statements, longest) = (0, Duration::ZERO);
                    let mut writer =
                        Writer { client, number, dice, own: BTreeMap::new(), statements, longest };
                    let mut round = 0;
                    while !stop.load(Ordering::Relaxed) {
                        writer.turn(round);
                        round += 1;
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    for id in std::mem::take(&mut writer.own).into_keys() {
                        writer.client.run(&format!("DELETE FROM people WHERE id = {id}"));
                    }
                    (writer.statements, writer.longest)
                }
            };
            let running = [1, 2].map(|number| scope.spawn(run(number)));
            let ended = job.wait_with_output().unwrap();
            stop.store(true, Ordering::Relaxed);
            let (code, text) = site::shown(&ended);
            assert_eq!(code, 0, "{text}");
            eprintln!("{column}: {:?} in all; {before} MB before", began.elapsed());
            eprintln!("{} MB after\n{dry_run}", direct.value(megabytes).unwrap());
            for writer in running {
                let (statements, longest) = writer.join().unwrap();
                eprintln!("{statements} statements, longest {longest:?}");
                assert!(statements > 100 && longest < LONGEST, "{statements}, {longest:?}");
            }
        });
    }
    direct.run("VACUUM FULL people");
    eprintln!("{} MB after VACUUM FULL", direct.value(megabytes).unwrap());
    let status = site.done(&["status"]);
    assert_eq!(
        direct
            .value(
                "SELECT count(*)::text FROM people WHERE email NOT LIKE 'pgs1.%' OR note NOT LIKE 'pgs1.%'"
            )
            .unwrap(),
        "0",
        "{status}"
    );
    // What the server's files hold of the table by then.
    direct.run("ANALYZE people; CHECKPOINT");
    let file = direct.value("SELECT pg_relation_filepath('people')").unwrap();
    let bytes = std::fs::read(site.cluster.folder().join("data").join(file)).unwrap();
    assert!(bytes.len() > 100_000_000 && memchr::memmem::find(&bytes, b"@x").is_none(), "{}", bytes.len());
}
