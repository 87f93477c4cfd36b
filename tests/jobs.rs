//! `pgseal status`, `rotate` and `verify` beside a running proxy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[path = "support/site.rs"]
mod site;
#[path = "support/mod.rs"]
mod support;

use site::{Site, wait_for};
use support::{Cluster, Proxy, RawClient};

const POLICY: &str = r#"version = 1
[table."public.users"]
note = { type = "text" }
memo = { type = "varchar(40)" }
[table."public.pairs"]
born = { type = "date" }
[table."public.loose"]
note = { type = "text" }
[table."public.parts"]
note = { type = "text" }
[table."public.marked"]
mark = { type = "text", mode = "deterministic", key = "default" }
"#;

const SCHEMA: &str = "
CREATE TABLE users (id int PRIMARY KEY, plain int, note bytea, memo text);
CREATE TABLE pairs (a int, \"B\" text, born bytea, PRIMARY KEY (\"B\", a));
CREATE TABLE loose (n int, note bytea);
CREATE TABLE parts (id int PRIMARY KEY, note bytea) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (20);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (20) TO (1000);
CREATE TABLE marked (id int PRIMARY KEY, mark bytea);
";

impl Site {
    /// Rows of a column by key id, and rows of plaintext.
    fn keys_of(&self, column: &str) -> (BTreeMap<String, u64>, u64) {
        let found = self.column(column);
        let keys = found["keys"].as_object().unwrap().iter();
        (
            keys.map(|(id, n)| (id.clone(), n.as_u64().unwrap())).collect(),
            found["plaintext"].as_u64().unwrap(),
        )
    }

    fn id_of(&self, version: u64) -> String {
        let status = self.status();
        let key = status["keys"].as_array().unwrap().iter().find(|key| key["version"] == version).unwrap();
        key["id"].as_str().unwrap().to_owned()
    }
}

fn wait(child: Child) -> (i32, String) {
    wait_for(child, Duration::from_secs(60))
}

/// One insert of so many rows, each written by `row`.
fn insert(client: &mut RawClient, table: &str, rows: std::ops::Range<u32>, row: impl Fn(u32) -> String) {
    let rows: Vec<String> = rows.map(row).collect();
    client.run(&format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
}

fn users(client: &mut RawClient, count: u32) {
    insert(client, "users", 0..count, |n| match n % 10 {
        9 => format!("({n}, {n}, NULL, NULL)"),
        _ => format!("({n}, {n}, 'note {n}', 'memo {n}')"),
    });
}

#[test]
fn every_kind_of_table_is_moved_and_reads_as_before() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    users(&mut client, 60);
    insert(&mut client, "pairs", 0..50, |n| format!("({n}, 'it''s {}', '1990-01-{:02}')", n % 3, n % 28 + 1));
    insert(&mut client, "loose", 0..50, |n| format!("({}, 'note {n}')", n % 5));
    insert(&mut client, "parts", 0..50, |n| format!("({n}, 'note {n}')"));
    let selects = [
        "SELECT id, note, memo FROM users ORDER BY id",
        "SELECT a, \"B\", born FROM pairs ORDER BY a",
        "SELECT n, note FROM loose",
        "SELECT id, note FROM parts ORDER BY id",
    ];
    let mut content = || {
        selects.map(|select| client.rows(select)).map(|mut rows| {
            rows.sort();
            rows
        })
    };
    let before = content();
    site.promote();
    let (first, second) = (site.id_of(1), site.id_of(2));
    assert_eq!(site.keys_of("public.users.note"), (BTreeMap::from([(first.clone(), 54)]), 0));
    assert_eq!(site.keys_of("public.users.memo"), (BTreeMap::from([(first.clone(), 54)]), 0));
    assert_eq!(site.keys_of("public.parts.note"), (BTreeMap::from([(first, 50)]), 0));

    let text = site.done(&["rotate", "users", "--dry-run"]);
    assert!(text.contains("public.users: 54 rows") && text.contains("54 rows in 1 transactions"), "{text}");
    let text = site.done(&["rotate", "default", "--dry-run"]);
    assert!(text.contains("context public.marked.mark (public.marked.mark): 0 rows"), "{text}");
    assert!(text.contains("no index begins with public.marked.mark"), "{text}");
    let (code, text) = site.run(&["rotate", "nothing"]);
    assert!(code == 2 && text.contains("no key, table or column nothing"), "{text}");

    for (what, rows) in
        [("users.note", 54), ("users", 54), ("pairs", 50), ("public.loose", 50), ("parts.note", 50)]
    {
        let text = site.done(&["rotate", what, "--batch", "7", "--workers", "3"]);
        assert!(text.contains(&format!("{rows} rows moved, 0 values could not be")), "{what}: {text}");
    }
    for (column, rows) in
        [("users.note", 54), ("users.memo", 54), ("pairs.born", 50), ("loose.note", 50), ("parts.note", 50)]
    {
        let wanted = (BTreeMap::from([(second.clone(), rows)]), 0);
        assert_eq!(site.keys_of(&format!("public.{column}")), wanted, "{column}");
    }
    assert_eq!(content(), before);
    let text = site.done(&["verify"]);
    assert!(text.contains("258 values open, 0 do not"), "{text}");
    assert!(site.done(&["verify", "loose", "--sample", "10"]).contains("10 values open, 0 do not"));
    assert_eq!(site.direct().value("SELECT to_regclass('pgseal.job')"), None, "nothing is left of the jobs");
    let text = site.done(&["status"]);
    assert!(text.contains(&format!("default@2 {second} (active): 54")), "{text}");
}

#[test]
fn what_does_not_open_is_named_by_its_key_and_left_alone() {
    let site = Site::start(1, POLICY, SCHEMA);
    users(&mut site.through(), 30);
    insert(&mut site.through(), "loose", 0..3, |n| format!("({n}, 'note')"));
    let mut direct = site.direct();
    direct.run("UPDATE users SET note = set_byte(note, 40, get_byte(note, 40) # 1) WHERE id = 3");
    direct.run("UPDATE users SET note = 'plain' WHERE id = 4");
    direct.run("UPDATE users SET memo = (SELECT memo FROM users WHERE id = 6) || 'x' WHERE id = 5");
    direct.run("UPDATE loose SET note = '\\x' WHERE n = 1");
    site.promote();
    assert_eq!(site.keys_of("public.users.note").1, 1);
    let (code, text) = site.run(&["verify"]);
    assert_eq!(code, 1, "{text}");
    for wanted in [
        "public.users.note: id = 3: key ",
        "public.users.note: id = 4: it is not a sealed value",
        "public.users.memo: id = 5: ",
        "public.loose.note: ctid = (0,4): it is not a sealed value",
        "53 values open, 4 do not",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    let (code, text) = site.run(&["rotate", "users", "--batch", "4"]);
    assert!(code == 1 && text.contains("id = 4: it is not a sealed value"), "{text}");
    assert!(text.contains("27 rows moved, 3 values could not be"), "{text}");
    let (first, second) = (site.id_of(1), site.id_of(2));
    assert_eq!(
        site.keys_of("public.users.note"),
        (BTreeMap::from([(first.clone(), 1), (second.clone(), 25)]), 1)
    );
    assert_eq!(site.keys_of("public.users.memo"), (BTreeMap::from([(first, 1), (second, 26)]), 0));
}

#[test]
fn rows_that_others_hold_are_waited_for_and_their_changes_kept() {
    let site = Site::start(1, POLICY, SCHEMA);
    users(&mut site.through(), 30);
    site.promote();
    let mut writer = site.through();
    writer.run("BEGIN");
    writer.run("UPDATE users SET note = 'changed' WHERE id = 7");
    writer.run("UPDATE users SET plain = -1 WHERE id = 8");
    let job = site.command(&["rotate", "users", "--batch", "3", "--workers", "2"]).spawn().unwrap();
    let second = site.id_of(2);
    let start = Instant::now();
    while site.keys_of("public.users.note").0.get(&second) != Some(&25) {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", site.keys_of("public.users.note"));
    }
    // A second runner is refused while the first one waits.
    let (code, text) = site.run(&["rotate", "users.memo"]);
    assert!(code == 1 && text.contains("another job works on column public.users.memo"), "{text}");
    assert_eq!(site.status()["jobs"][0]["table"], "public.users");
    writer.run("COMMIT");
    let (code, text) = wait(job);
    assert_eq!(code, 0, "{text}");
    assert_eq!(site.keys_of("public.users.note").0, BTreeMap::from([(second, 27)]));
    let rows = site.through().rows("SELECT note, plain FROM users WHERE id IN (7, 8) ORDER BY id");
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(rows, [[text("changed"), text("7")], [text("note 8"), text("-1")]]);
}

#[test]
fn a_killed_job_goes_on_and_no_write_beside_it_is_lost() {
    const ROWS: u32 = 400;
    let site = Site::start(1, POLICY, SCHEMA);
    users(&mut site.through(), ROWS);
    for version in 2..4 {
        site.promote();
        let stop = AtomicBool::new(false);
        let (models, kills) = std::thread::scope(|scope| {
            let writer = |who: u32| {
                let (site, stop) = (&site, &stop);
                move || {
                    let (mut client, mut model, mut n) = (site.through(), BTreeMap::new(), who);
                    while !stop.load(Ordering::Relaxed) {
                        // Each writer has rows of its own.
                        n = (n * 97 + 104_729) % 1_000_003;
                        let id = n % (ROWS / 2) * 2 + who;
                        client.run(&format!("UPDATE users SET note = 'round {version} {n}' WHERE id = {id}"));
                        model.insert(id, format!("round {version} {n}"));
                    }
                    model
                }
            };
            let writers: Vec<_> = (0..2).map(|who| scope.spawn(writer(who))).collect();
            let mut kills = 0;
            let arguments = ["rotate", "users", "--batch", "5", "--workers", "2", "--rows-per-second", "150"];
            for round in 0..8_u64 {
                let mut job = site.command(&arguments).spawn().unwrap();
                std::thread::sleep(Duration::from_millis(250 + round * 137 % 400));
                kills += u32::from(job.try_wait().unwrap().is_none());
                let _ = job.kill();
                job.wait().unwrap();
            }
            let text = site.done(&["rotate", "users", "--workers", "2"]);
            assert!(text.contains(" 0 values could not be"), "{text}");
            stop.store(true, Ordering::Relaxed);
            (writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>(), kills)
        });
        assert!(kills > 0, "every job had ended before it was killed");
        // What the writers have changed since the last walk is under the new key too.
        let id = site.id_of(version);
        assert_eq!(site.keys_of("public.users.note").0.keys().collect::<Vec<_>>(), [&id]);
        assert_eq!(site.keys_of("public.users.memo").0.keys().collect::<Vec<_>>(), [&id]);
        let model: BTreeMap<u32, String> = models.into_iter().flatten().collect();
        for row in site.through().rows("SELECT id, note, memo FROM users ORDER BY id") {
            let id: u32 = row[0].as_ref().unwrap().parse().unwrap();
            let memo = (id % 10 != 9).then(|| format!("memo {id}"));
            assert_eq!(row[2], memo, "{id}");
            if let Some(wanted) = model.get(&id) {
                assert_eq!(row[1].as_ref(), Some(wanted), "{id}");
            }
        }
        site.done(&["verify"]);
        site.done(&["rotate", "marked"]);
    }
    assert_eq!(site.direct().value("SELECT to_regclass('pgseal.job')"), None);
}

/// Two text columns in plaintext, one of which is being encrypted.
const MIGRATING: &str = r#"version = 1
[table."public.letters"]
body = { type = "text", state = "migrating" }
"#;

#[test]
fn a_text_column_is_encrypted_beside_its_application_and_made_plaintext_again() {
    let cluster = Cluster::start();
    let database = cluster.database("app");
    let mut direct = cluster.connect(&database);
    direct.run("CREATE TABLE letters (id int PRIMARY KEY, body text, narrow varchar(20))");
    insert(&mut direct, "letters", 0..50, |n| match n {
        7 => "(7, NULL, 'x')".to_owned(),
        8 => "(8, '', 'x')".to_owned(),
        n => format!("({n}, 'canary é {n}', 'x')"),
    });
    let before = direct.rows("SELECT id, body FROM letters ORDER BY id");
    let proxy =
        Proxy::start_with(cluster.address(), MIGRATING, &[("PGSEAL_DATABASE", &cluster.url(&database))]);
    let site = Site { cluster, database, proxies: vec![proxy] };
    let mut client = site.through();
    let select = "SELECT id, body FROM letters ORDER BY id";
    assert_eq!(client.rows(select), before, "plaintext is read");
    assert_eq!(client.query("SELECT id FROM letters WHERE body = 'canary'")[0].sqlstate(), "0A000");
    let copied = client.run("COPY (SELECT body FROM letters WHERE id < 3 ORDER BY id) TO STDOUT");
    let copied: Vec<u8> = copied.iter().filter(|f| f.tag == b'd').flat_map(|f| f.body.clone()).collect();
    assert_eq!(String::from_utf8(copied).unwrap(), "canary é 0\ncanary é 1\ncanary é 2\n");
    let extended = client.extended("SELECT body FROM letters WHERE id = $1", &[Some(b"2")]);
    assert!(
        extended.iter().any(|f| f.tag == b'D' && f.values()[0].as_deref() == Some("canary é 2".as_bytes()))
    );
    client.run("UPDATE letters SET body = 'canary new' WHERE id = 3");
    assert!(direct.value("SELECT body FROM letters WHERE id = 3").unwrap().starts_with("pgs1."));
    assert_eq!(site.keys_of("public.letters.body").1, 48);
    assert!(site.done(&["verify"]).contains("1 values open, 0 do not, 48 not encrypted yet"));

    // Plaintext that begins as an envelope does.
    direct.run("UPDATE letters SET body = 'pgs1.hello' WHERE id = 4");
    let (code, text) = site.run(&["encrypt", "letters.body"]);
    assert!(
        code == 1 && text.contains("1 values that begin as encrypted ones do") && text.contains("id = 4"),
        "{text}"
    );
    assert_eq!(site.keys_of("public.letters.body").1, 48, "nothing is changed");
    direct.run("UPDATE letters SET body = 'canary é 4' WHERE id = 4");

    let text = site.done(&["encrypt", "letters.body", "--batch", "7"]);
    assert!(text.contains("48 rows moved, 0 values could not be"), "{text}");
    assert_eq!(direct.value("SELECT count(*) FROM letters WHERE body LIKE '%canary%'").unwrap(), "0");
    let mut now = before.clone();
    now[3][1] = Some("canary new".to_owned());
    assert_eq!(client.rows(select), now);
    assert_eq!(site.keys_of("public.letters.body").1, 0);

    // A rotation meets plaintext in such a column and leaves it.
    direct.run("UPDATE letters SET body = 'plain' WHERE id = 5");
    site.promote();
    assert!(site.done(&["rotate", "letters"]).contains("48 rows moved, 0 values could not be"));
    let text = site.done(&["decrypt", "letters.body", "--workers", "2"]);
    assert!(text.contains("48 rows moved, 0 values could not be"), "{text}");
    now[5][1] = Some("plain".to_owned());
    assert_eq!(direct.rows(select), now);
    assert_eq!(client.rows(select), now);
}

#[test]
fn columns_that_cannot_be_encrypted_in_place_are_refused() {
    let cluster = Cluster::start();
    let database = cluster.database("app");
    let mut direct = cluster.connect(&database);
    direct.run("CREATE TABLE t (id int PRIMARY KEY, narrow varchar(20), bytes bytea, done text)");
    direct.run("INSERT INTO t VALUES (1, 'x', 'x', 'x')");
    let policy = r#"version = 1
[table."public.t"]
narrow = { type = "varchar(20)", state = "migrating" }
bytes = { type = "text", state = "migrating" }
done = { type = "text" }
"#;
    let proxy = Proxy::start(cluster.address(), policy);
    let site = Site { cluster, database, proxies: vec![proxy] };
    let (code, text) = site.run(&["encrypt", "t.narrow"]);
    assert!(code == 1 && text.contains("is varchar(20) in the database"), "{text}");
    let (code, text) = site.run(&["encrypt", "t.bytes"]);
    assert!(code == 1 && text.contains("is bytea already, and 1 of its values are not encrypted"), "{text}");
    let (code, text) = site.run(&["encrypt", "t.done"]);
    assert!(code == 1, "{text}");
    assert_eq!(site.direct().rows("SELECT narrow, bytes, done FROM t")[0][1].as_deref(), Some("\\x78"));
}
