//! `pgseal encrypt` and `decrypt` of columns whose type changes, beside running proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::time::{Duration, Instant};

#[path = "support/site.rs"]
mod site;
#[path = "support/mod.rs"]
mod support;

use site::{Site, wait};
use support::{Dice, RawClient};

const POLICY: &str = r#"version = 1
[table."public.staff"]
born = { type = "date", state = "migrating" }
pay = { type = "numeric(12,2)", mode = "deterministic", state = "migrating" }
doc = { type = "jsonb", state = "migrating" }
mood = { type = "mood", state = "migrating" }
seen = { type = "timestamptz", state = "migrating" }
[table."public.loose"]
code = { type = "int8", mode = "deterministic", state = "migrating" }
"#;

const SCHEMA: &str = "
CREATE TYPE mood AS ENUM ('glad', 'it''s ok');
CREATE TABLE staff (id int PRIMARY KEY, born date, pay numeric(12,2), plain text, doc jsonb, mood mood NOT NULL,
    seen timestamptz DEFAULT NULL, n int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX staff_pay ON staff (pay);
CREATE VIEW paid AS SELECT id, pay FROM staff WHERE pay IS NOT NULL;
CREATE VIEW born (who, \"When\") WITH (security_barrier) AS SELECT p.id, s.born FROM paid p JOIN staff s USING (id);
COMMENT ON VIEW paid IS 'it''s what they get';
COMMENT ON COLUMN paid.pay IS 'a month';
CREATE TABLE loose (code int8, n int);
";

impl Site {
    /// Rows and plaintext rows of a column.
    fn counted(&self, column: &str) -> (u64, u64) {
        let found = self.column(column);
        (found["rows"].as_u64().unwrap(), found["plaintext"].as_u64().unwrap())
    }
}

/// What nothing but plaintext has in it: bytes of a document, and the digits of a numeric as the server stores them.
const CANARY: &str = "canary-of-the-documents";
const CANARY_DIGITS: [u8; 6] = [0xd2, 0x04, 0x2e, 0x16, 0x0b, 0x1a];

fn fill(client: &mut RawClient, rows: u32) {
    let row = |n: u32| {
        format!(
            "({n}, '{}-0{}-1{}', {n}{:02}.25, 'plain', '{{\"n\": {n}, \"is\": \"{CANARY}\"}}', 'it''s ok', NULL)",
            1900 + n % 120,
            n % 9 + 1,
            n % 9,
            n % 100
        )
    };
    for first in (0..rows).step_by(100) {
        let list: Vec<String> = (first..rows.min(first + 100)).map(row).collect();
        let columns = "id, born, pay, plain, doc, mood, seen";
        client.run(&format!("INSERT INTO staff ({columns}) VALUES {}", list.join(", ")));
    }
    client.run("UPDATE staff SET born = NULL, pay = NULL WHERE id % 10 = 7");
    client.run("UPDATE staff SET pay = 1234567866.67 WHERE id = 1");
    client.run("UPDATE staff SET seen = '2001-02-03 04:05:06.789+02' WHERE id % 2 = 0");
    client.run("INSERT INTO loose SELECT 5000000000 + i % 10, i FROM generate_series(1, 50) i");
}

/// What is the same in plaintext and encrypted.
const READS: [&str; 8] = [
    "SELECT id, born, pay, plain, doc, mood, seen, n FROM staff ORDER BY id",
    "SELECT id FROM staff WHERE pay = 303.25",
    "SELECT id FROM staff WHERE pay IN (303.25, 404.25, 9) ORDER BY id",
    "SELECT count(*), count(born) FROM staff WHERE born IS NOT NULL",
    "SELECT * FROM paid ORDER BY id LIMIT 5",
    "SELECT who, \"When\" FROM born ORDER BY who LIMIT 5",
    "SELECT code, count(*) FROM loose GROUP BY code ORDER BY count(*), min(n)",
    "SELECT s.id, l.n FROM staff s JOIN loose l ON l.n = s.id ORDER BY 1",
];

const SHAPE: &str = "
SELECT a.attrelid::regclass::text, a.attnum::text, a.attname::text, c.relacl::text, a.attacl::text, c.reloptions::text,
       obj_description(c.oid), col_description(c.oid, a.attnum), c.relowner::regrole::text, pg_get_viewdef(c.oid),
       CASE WHEN c.relkind = 'r' THEN c.oid::text END, a.attnotnull::text, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 ORDER BY 1, 2";

/// Tables and views, types left out.
fn shape(client: &mut RawClient) -> Vec<Vec<Option<String>>> {
    let mut rows = client.rows(SHAPE);
    rows.iter_mut().for_each(|row| drop(row.pop()));
    rows
}

fn types(client: &mut RawClient) -> Vec<String> {
    client.rows(SHAPE).into_iter().map(|mut row| row.pop().unwrap().unwrap()).collect()
}

#[test]
fn types_change_and_change_back_and_everything_else_stays() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client, 400);
    let mut direct = site.direct();
    direct.run(&format!(
        "CREATE ROLE reader_{0}; GRANT SELECT ON paid TO reader_{0}; GRANT SELECT (who) ON born TO reader_{0} WITH GRANT OPTION;
         CREATE ROLE owner_{0}; ALTER VIEW paid OWNER TO owner_{0}; GRANT SELECT ON staff TO owner_{0};
         REVOKE DELETE ON paid FROM owner_{0}",
        site.database
    ));
    let reads = |client: &mut RawClient| READS.map(|sql| client.rows(sql));
    let (before, shaped, typed) = (reads(&mut client), shape(&mut direct), types(&mut direct));
    assert_eq!(client.rows("SELECT count(*) FROM staff WHERE born < '1950-01-01'").len(), 1, "it is plain");
    assert_eq!(site.counted("public.staff.pay"), (360, 360));

    let text = site.done(&["encrypt", "staff", "--dry-run"]);
    for wanted in [
        "public.staff (born to bytea, pay to bytea, doc to bytea, mood to bytea, seen to bytea): 400 rows",
        "by a sample of 400 rows",
        "view public.paid is dropped and made again",
        "view public.born is dropped and made again",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    assert_eq!(direct.value("SELECT to_regnamespace('pgseal')::text").as_deref(), Some("pgseal"));
    assert_eq!(reads(&mut client), before, "after the dry run");

    let text = site.done(&["encrypt", "staff", "--batch", "64"]);
    assert!(text.contains("400 rows moved, 0 values could not be"), "{text}");
    site.done(&["encrypt", "loose.code"]);
    assert_eq!(reads(&mut client), before, "encrypted");
    assert_eq!(shape(&mut direct), shaped, "encrypted");
    let encrypted = types(&mut direct);
    assert_eq!(encrypted.iter().filter(|ty| *ty == "bytea").count(), 8, "{encrypted:?}");
    assert_eq!(site.counted("public.staff.pay"), (360, 0));
    assert_eq!(site.counted("public.loose.code"), (50, 0));
    assert!(site.done(&["verify"]).contains("1770 values open, 0 do not"));
    let left = direct.rows(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'pgseal'::regnamespace AND relname ~ '_[0-9]+|job'
         UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'pgseal'::regnamespace",
    );
    assert!(left.is_empty(), "{left:?}");
    client.run("INSERT INTO staff VALUES (1000, '1990-01-01', 5.5, '', '{}', 'glad')");
    let taken = client.query("INSERT INTO staff VALUES (1001, '1990-01-01', 5.50, '', '{}', 'glad')");
    assert!(taken.iter().any(|frame| frame.tag == b'E' && frame.sqlstate() == "23505"));
    let refused = direct.query("UPDATE staff SET born = '1990-01-01' WHERE id = 1000");
    assert!(refused.iter().any(|frame| frame.tag == b'E' && frame.sqlstate() == "23514"));
    client.run("DELETE FROM staff WHERE id = 1000");
    let text = site.done(&["encrypt", "staff"]);
    assert!(text.contains("0 rows moved"), "{text}");

    direct.run("CHECKPOINT");
    direct.run("VACUUM FULL staff");
    direct.run("SELECT pg_switch_wal()");
    client.run("UPDATE staff SET n = n + 1");
    // The test's servers commit without waiting for WAL; a checkpoint writes all of it.
    direct.run("CHECKPOINT");
    let wal =
        direct.rows("SELECT file_name, file_offset::text FROM pg_walfile_name_offset(pg_current_wal_lsn())");
    let (segment, offset) = (wal[0][0].clone().unwrap(), wal[0][1].as_deref().unwrap().parse().unwrap());
    assert!(offset > 10_000, "the update is in it");
    direct.run("CHECKPOINT");
    for (path, bytes) in site.cluster.files() {
        let shown = path.display().to_string();
        // Older WAL has plaintext, and so do the ends of files that are used again.
        let looked_at = match shown.ends_with(&segment) {
            true => &bytes[..offset],
            false if shown.contains("/base/") => &bytes[..],
            false => continue,
        };
        for canary in [CANARY.as_bytes(), &CANARY_DIGITS] {
            let found = looked_at.windows(canary.len()).any(|window| window == canary);
            assert!(!found, "{shown} holds plaintext");
        }
    }
    client.run("UPDATE staff SET n = n - 1");

    let text = site.done(&["decrypt", "staff", "--dry-run"]);
    assert!(text.contains("pay to numeric(12,2)") && text.contains("view public.paid"), "{text}");
    site.done(&["decrypt", "staff"]);
    site.done(&["decrypt", "loose"]);
    assert_eq!(reads(&mut client), before, "decrypted");
    assert_eq!((shape(&mut direct), types(&mut direct)), (shaped, typed), "decrypted");
    let checks = direct.value(
        "SELECT count(*)::text FROM pg_constraint WHERE contype = 'c' AND conrelid = 'staff'::regclass",
    );
    assert_eq!(checks.as_deref(), Some("0"));
    client.run("UPDATE staff SET born = born + 1 WHERE born < '1950-01-01'");
}

/// What a cursor holds beyond its transaction is of the types that there were then.
#[test]
fn cursors_that_hold_rows_from_before_a_change_give_them_or_an_error() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client, 20);
    let declare = "DECLARE held CURSOR WITH HOLD FOR SELECT id, born, pay FROM staff ORDER BY id";
    let rows = client.rows("SELECT id, born, pay FROM staff ORDER BY id");
    for work in ["encrypt", "decrypt"] {
        let mut holder = site.through();
        holder.run(declare);
        site.done(&[work, "staff"]);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1500) {
            // The first one may be told to try again.
            let _ = client.query("SELECT id, born, pay FROM staff ORDER BY id");
        }
        match answer(holder.query("FETCH 7 FROM held")) {
            Ok(found) => assert_eq!(found, rows[..7], "{work}"),
            Err(error) => println!("{work}: {error:?}"),
        }
    }
}

#[test]
fn what_stands_in_the_way_is_listed_before_anything_is_touched() {
    let schema = "
        CREATE TABLE held (id int PRIMARY KEY, born date DEFAULT '2000-01-01', code int UNIQUE, at timestamptz);
        CREATE TABLE plain (x date);
        CREATE TABLE other (code int REFERENCES held (code), born date);
        CREATE INDEX later ON held ((born + 1));
        CREATE INDEX partly ON held (at) WHERE at > '2020-01-01';
        CREATE INDEX blocks ON held USING brin (at);
        CREATE MATERIALIZED VIEW copies AS SELECT born FROM held;
        CREATE VIEW young AS SELECT id FROM held WHERE born > '2000-01-01';
        CREATE VIEW dates AS SELECT id, at FROM held;
        CREATE RULE no AS ON INSERT TO dates DO INSTEAD NOTHING;
        ALTER TABLE held ADD CONSTRAINT late CHECK (at > '1900-01-01'), ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON held USING (born IS NOT NULL);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER touched AFTER UPDATE OF at ON held FOR EACH ROW EXECUTE FUNCTION f();
        CREATE PUBLICATION p FOR TABLE held;
        CREATE TABLE parts (id int, born date) PARTITION BY RANGE (id);
        CREATE TABLE other_type (born timestamp);";
    let policy = r#"version = 1
[table."public.held"]
born = { type = "date", state = "migrating" }
code = { type = "int4", mode = "deterministic", state = "migrating" }
at = { type = "timestamptz", mode = "deterministic", state = "migrating" }
[table."public.plain"]
x = { type = "date" }
[table."public.parts"]
born = { type = "date", state = "migrating" }
[table."public.other_type"]
born = { type = "date", state = "migrating" }
"#;
    let site = Site::start(1, policy, schema);
    let dump = |direct: &mut RawClient| {
        direct.rows("SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend
             WHERE objid >= 16384 AND pg_describe_object(classid, objid, objsubid) !~ 'pgseal|toast' ORDER BY 1")
    };
    let mut direct = site.direct();
    let before = dump(&mut direct);
    for arguments in [&["encrypt", "held.born"][..], &["encrypt", "held.born", "--dry-run"]] {
        let (code, text) = site.run(arguments);
        assert_eq!(code, 1, "{text}");
        for wanted in [
            "default value for column born",
            "index public.later",
            "materialized view public.copies",
            "policy own",
            "young",
            "publication",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
    }
    let (code, text) = site.run(&["encrypt", "held.at"]);
    assert_eq!(code, 1, "{text}");
    for wanted in
        ["constraint late", "index public.partly", "index public.blocks", "trigger touched", "rule no"]
    {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    let (code, text) = site.run(&["encrypt", "held.code", "--replicated"]);
    assert!(code == 1 && text.contains("constraint other_code_fkey"), "{text}");
    assert!(!text.contains("publication"), "{text}");
    let (code, text) = site.run(&["encrypt", "plain.x"]);
    assert!(code == 1 && text.contains("is not state = \"migrating\""), "{text}");
    let (code, text) = site.run(&["encrypt", "parts"]);
    assert!(code == 1 && text.contains("only a plain table"), "{text}");
    let (code, text) = site.run(&["encrypt", "other_type"]);
    assert!(code == 1 && text.contains("of another type"), "{text}");
    assert_eq!(dump(&mut direct), before);
}

/// Answers of a statement, or its error.
fn ask(client: &mut RawClient, sql: &str) -> Result<Vec<Vec<Option<String>>>, (String, String)> {
    answer(client.query(sql))
}

fn answer(frames: Vec<support::Frame>) -> Result<Vec<Vec<Option<String>>>, (String, String)> {
    if let Some(error) = frames.iter().find(|frame| frame.tag == b'E') {
        return Err((error.sqlstate(), error.field(b'M').unwrap()));
    }
    let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8(value).unwrap());
    let rows = frames.iter().filter(|frame| frame.tag == b'D');
    Ok(rows.map(|row| row.values().into_iter().map(text).collect()).collect())
}

/// What one writer has seen.
#[derive(Default)]
struct Told {
    statements: u64,
    retries: u64,
    parsed_again: u64,
    longest: Duration,
}

/// Writes and reads rows of its own, and checks every answer against what it has written.
struct Writer {
    client: RawClient,
    number: u64,
    model: std::collections::BTreeMap<u64, (String, String)>,
    dice: Dice,
    told: Told,
}

const BY_PAY: &str = "SELECT id, born FROM staff WHERE pay = $1";

impl Writer {
    fn new(site: &Site, number: u64) -> Self {
        let proxy = usize::try_from(number).unwrap() % site.proxies.len();
        let client = site.proxies[proxy].connect(&site.database);
        let mut writer = Self {
            client,
            number,
            model: Default::default(),
            dice: Dice(0x9e37_79b9 + number),
            told: Told::default(),
        };
        writer.prepare();
        writer
    }

    fn prepare(&mut self) {
        let close = support::message::close(b'S', "by_pay");
        let parse = support::message::parse("by_pay", BY_PAY, &[]);
        self.client.send(&[close, parse, support::message::sync()].concat());
        answer(self.client.read_until_ready()).unwrap();
    }

    /// Carries out a transaction, again and again until it goes through.
    fn carried(&mut self, isolation: Option<&str>, sql: &str) -> Vec<Vec<Option<String>>> {
        loop {
            let began = Instant::now();
            let mut result = match isolation {
                None => ask(&mut self.client, sql),
                Some(isolation) => {
                    let begin = format!("BEGIN ISOLATION LEVEL {isolation}");
                    ask(&mut self.client, &begin).unwrap();
                    ask(&mut self.client, "SELECT 1").unwrap();
                    if self.dice.roll(3) == 0 {
                        std::thread::sleep(Duration::from_millis(self.dice.roll(60)));
                    }
                    ask(&mut self.client, sql)
                }
            };
            if isolation.is_some() {
                match &result {
                    Ok(_) => {
                        if let Err(error) = ask(&mut self.client, "COMMIT") {
                            result = Err(error);
                        }
                    }
                    Err(_) => drop(ask(&mut self.client, "ROLLBACK")),
                }
            }
            self.told.statements += 1;
            self.told.longest = self.told.longest.max(began.elapsed());
            match result {
                Ok(rows) => return rows,
                Err((code, _)) if code == "40001" => self.told.retries += 1,
                Err(error) => panic!("{sql}: {error:?}"),
            }
        }
    }

    fn by_pay(&mut self, pay: &str) -> Vec<Vec<Option<String>>> {
        use support::message::{bind, describe, execute, sync};
        loop {
            let began = Instant::now();
            let bind = bind("", "by_pay", &[], &[Some(pay.as_bytes())], &[0]);
            self.client.send(&[bind, describe(b'P', ""), execute("", 0), sync()].concat());
            let frames = self.client.read_until_ready();
            self.told.longest = self.told.longest.max(began.elapsed());
            if let Some(fields) = frames.iter().find(|frame| frame.tag == b'T') {
                assert_eq!(fields.fields()[1].oid, 1082);
            }
            match answer(frames) {
                Ok(rows) => return rows,
                Err((code, _)) if code == "40001" => self.told.retries += 1,
                Err((code, message)) if code == "0A000" && message.starts_with("cached plan") => {
                    self.told.parsed_again += 1;
                    self.prepare();
                }
                Err(error) => panic!("{BY_PAY}: {error:?}"),
            }
        }
    }

    /// The rows of the model.
    fn rows(&self) -> Vec<Vec<Option<String>>> {
        let row = |(id, (born, pay)): (&u64, &(String, String))| {
            vec![Some(id.to_string()), Some(born.clone()), Some(pay.clone())]
        };
        self.model.iter().map(row).collect()
    }

    fn turn(&mut self, round: u64) {
        let isolation = [None, Some("READ COMMITTED"), Some("REPEATABLE READ"), Some("SERIALIZABLE")];
        let isolation = isolation[usize::try_from(self.dice.roll(4)).unwrap()];
        let n = self.number;
        let known: Vec<u64> = self.model.keys().copied().collect();
        let some = |dice: &mut Dice| known[usize::try_from(dice.roll(known.len() as u64)).unwrap()];
        let born = format!("19{}-0{}-1{}", 10 + self.dice.roll(80), 1 + self.dice.roll(9), self.dice.roll(9));
        let pay = format!("{}.{:02}", n * 10_000_000 + round, self.dice.roll(100));
        match self.dice.roll(8) {
            0 | 1 => {
                let id = 1_000_000 * (n + 1) + round;
                let sql = format!(
                    "INSERT INTO staff (id, born, pay, mood, n) VALUES ({id}, '{born}', {pay}, 'glad', {n})"
                );
                self.carried(isolation, &sql);
                self.model.insert(id, (born, pay));
            }
            2 | 3 if !known.is_empty() => {
                let id = some(&mut self.dice);
                self.carried(
                    isolation,
                    &format!("UPDATE staff SET born = '{born}', pay = {pay} WHERE id = {id}"),
                );
                self.model.insert(id, (born, pay));
            }
            4 if known.len() > 20 => {
                let id = some(&mut self.dice);
                let (_, pay) = self.model.remove(&id).unwrap();
                let gone =
                    self.carried(isolation, &format!("DELETE FROM staff WHERE pay = {pay} RETURNING id"));
                assert_eq!(gone, [[Some(id.to_string())]]);
            }
            5 if !known.is_empty() => {
                let id = some(&mut self.dice);
                let (born, pay) = self.model[&id].clone();
                assert_eq!(self.by_pay(&pay), [[Some(id.to_string()), Some(born)]], "{pay}");
            }
            6 if !known.is_empty() => {
                let id = some(&mut self.dice);
                let (_, pay) = self.model[&id].clone();
                let found = self.carried(isolation, &format!("SELECT p.id, b.\"When\" FROM paid p JOIN born b ON b.who = p.id WHERE p.pay IN ({pay}, 0.01)"));
                assert_eq!(found.len(), 1);
            }
            _ => {
                let sql = format!("SELECT id, born, pay FROM staff WHERE n = {n} ORDER BY id");
                assert_eq!(self.carried(isolation, &sql), self.rows());
            }
        }
    }
}

/// Changes types to and fro, killing the job again and again, while writers go on, and gives what they were told.
fn under_load(site: &Site, rounds: u64, writers: u64, kills: u64) -> Vec<Told> {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let is_over = || stop.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        let run = |number| {
            move || {
                let mut writer = Writer::new(site, number);
                let mut round = 0;
                while !is_over() {
                    writer.turn(round);
                    round += 1;
                }
                writer.told
            }
        };
        let is_over_at_end = Stop(&stop);
        let running: Vec<_> = (1..=writers).map(|number| scope.spawn(run(number))).collect();
        let mut dice = Dice(7);
        for round in 0..rounds {
            let work = if round % 2 == 0 { "encrypt" } else { "decrypt" };
            for _ in 0..kills {
                let mut job = site.command(&[work, "staff", "--batch", "100"]).spawn().unwrap();
                std::thread::sleep(Duration::from_millis(100 + dice.roll(5500)));
                let _ = job.kill();
                job.wait().unwrap();
                if running.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                    break;
                }
            }
            let (code, text) = wait(site.command(&[work, "staff"]).spawn().unwrap());
            assert_eq!(code, 0, "{work}: {text}");
            let ty = site.direct().value("SELECT pg_typeof(pay)::text FROM staff LIMIT 1").unwrap();
            assert_eq!(ty, if round % 2 == 0 { "bytea" } else { "numeric" });
            // Some time in the new state.
            std::thread::sleep(Duration::from_millis(300));
        }
        drop(is_over_at_end);
        running.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

/// Ends the writers, also when an expectation has failed.
struct Stop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// What `--dry-run` says of the lock.
fn longest_lock(dry_run: &str) -> Duration {
    let (_, behind) = dry_run.split_once("the table is locked for up to ").unwrap();
    Duration::from_secs_f64(behind.split_once(" s").unwrap().0.parse().unwrap())
}

#[test]
#[ignore = "takes minutes: a million rows"]
fn a_million_rows_change_their_types() {
    let site = Site::start(2, POLICY, SCHEMA);
    let mut direct = site.direct();
    direct.run(
        "INSERT INTO staff (id, born, pay, plain, doc, mood)
         SELECT i, '1930-01-01'::date + i % 25000, i + 0.25, repeat('x', 40), jsonb_build_object('n', i), 'glad'
         FROM generate_series(1, 1000000) i",
    );
    direct.run("CREATE INDEX ON staff (n)");
    direct.run("VACUUM ANALYZE staff");
    for work in ["encrypt", "decrypt"] {
        let dry_run = site.done(&[work, "staff", "--dry-run"]);
        let stop = std::sync::atomic::AtomicBool::new(false);
        let told: Vec<Told> = std::thread::scope(|scope| {
            let stopping = Stop(&stop);
            let run = |number| {
                let (site, stop) = (&site, &stop);
                move || {
                    let mut writer = Writer::new(site, number);
                    for round in 0.. {
                        writer.turn(round);
                        if stop.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    for id in writer.model.keys() {
                        ask(&mut writer.client, &format!("DELETE FROM staff WHERE id = {id}")).unwrap();
                    }
                    writer.told
                }
            };
            let running = [1, 2].map(|number| scope.spawn(run(number)));
            let began = Instant::now();
            let text = site.done(&[work, "staff", "--batch", "5000"]);
            eprintln!("{dry_run}{text}{work}: {:?} in all", began.elapsed());
            drop(stopping);
            running.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let lock = longest_lock(&dry_run);
        for Told { statements, retries, longest, .. } in told {
            eprintln!("{statements} statements, {retries} retries, longest {longest:?}");
            assert!(longest < lock, "longer than the dry run said: {lock:?}");
        }
    }
}

#[test]
fn types_change_under_load_and_however_often_the_job_is_killed() {
    let site = Site::start(2, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client, 1500);
    let before = client.rows("SELECT id, born, pay, doc, mood FROM staff WHERE n = 0 ORDER BY id");
    let told = under_load(&site, 4, 4, 3);
    for Told { statements, retries, parsed_again, longest } in &told {
        eprintln!(
            "{statements} statements, {retries} retries, {parsed_again} prepared again, longest {longest:?}"
        );
        assert!(*statements > 100 && *longest < Duration::from_secs(5));
    }
    assert_eq!(client.rows("SELECT id, born, pay, doc, mood FROM staff WHERE n = 0 ORDER BY id"), before);
    // Slow enough to be met, and begun before the other.
    let mut job =
        site.command(&["encrypt", "staff", "--batch", "50", "--rows-per-second", "200"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    let start = Instant::now();
    loop {
        let (code, text) = site.run(&["encrypt", "staff.born"]);
        if text.contains("another job works on column") {
            assert_eq!(code, 1);
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{text}");
    }
    assert!(job.wait().unwrap().success());
}
