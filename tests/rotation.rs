//! Rotation of deterministic columns, value by value, beside running proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::time::{Duration, Instant};

#[path = "support/load.rs"]
mod load;
#[path = "support/site.rs"]
mod site;
#[path = "support/mod.rs"]
mod support;

use site::{Site, shown, wait};
use support::RawClient;

const POLICY: &str = r#"version = 1
[defaults]
mode = "deterministic"
[table."public.people"]
email = { type = "text" }
code = { type = "int4" }
note = { type = "text", mode = "randomized" }
[table."public.logins"]
email = { type = "text", context = "public.people.email" }
[table."public.visits"]
email = { type = "text", context = "public.people.email" }
other = { type = "text", context = "public.people.email" }
by = { type = "text", context = "public.people.email" }
[table."public.words"]
word = { type = "varchar(20)" }
"#;

const SCHEMA: &str = "
CREATE TABLE people (id int PRIMARY KEY, email bytea UNIQUE, code bytea, note bytea, n int NOT NULL DEFAULT 0);
CREATE TABLE logins (id int PRIMARY KEY, email bytea REFERENCES people (email), at int);
CREATE TABLE visits (email bytea, other bytea, n int, by bytea);
CREATE INDEX ON visits (email);
CREATE TABLE words (id serial PRIMARY KEY, word text);
CREATE VIEW known AS SELECT p.id, p.email, l.at FROM people p LEFT JOIN logins l ON l.email = p.email;
CREATE VIEW seen AS SELECT id, n FROM people WHERE email IN (SELECT email FROM visits);
CREATE VIEW seen_again AS SELECT id, n FROM seen;
";

fn fill(client: &mut RawClient) {
    let list = |rows: std::ops::Range<u32>, row: &dyn Fn(u32) -> String| {
        rows.map(row).collect::<Vec<_>>().join(", ")
    };
    let people = list(0..300, &|n| format!("({n}, 'p{n}@x', {}, 'note {n}')", n % 50));
    client.run(&format!("INSERT INTO people (id, email, code, note) VALUES {people}"));
    client.run(&format!(
        "INSERT INTO logins VALUES {}",
        list(0..200, &|n| format!("({n}, 'p{}@x', {n})", n % 100))
    ));
    client.run(&format!(
        "INSERT INTO visits VALUES {}",
        list(0..200, &|n| format!("('p{}@x', 'p{}@x', {n})", n % 120, (n + 1) % 120))
    ));
    client.run(&format!("INSERT INTO words (word) VALUES {}", list(0..100, &|n| format!("('w{}')", n % 30))));
}

/// Statements whose answers do not depend on how far a move is.
const READS: [&str; 15] = [
    "SELECT id, email, code, note FROM people ORDER BY id",
    "SELECT id FROM people WHERE email = 'p7@x'",
    "SELECT id FROM people WHERE email = ALL('{p7@x}')",
    "SELECT count(*) FROM people WHERE email <> ANY('{p7@x,p8@x}')",
    "SELECT CASE WHEN id > 1 THEN email ELSE 'hidden' END FROM people WHERE id < 4 ORDER BY id",
    "SELECT id FROM people WHERE email IN ('p7@x', 'p8@x', 'nobody') ORDER BY id",
    "SELECT count(*) FROM people WHERE email <> 'p7@x'",
    "SELECT id FROM people WHERE email = ANY('{p1@x,p2@x,none}') ORDER BY id",
    "SELECT count(*) FROM people WHERE email NOT IN ('p1@x', 'p2@x')",
    "SELECT p.id, l.id FROM people p JOIN logins l USING (email) ORDER BY 1, 2",
    "SELECT count(DISTINCT email) FROM (SELECT email FROM people UNION SELECT email FROM visits) a",
    "SELECT email, count(*) AS n FROM visits GROUP BY email HAVING email = 'p3@x'",
    "SELECT CASE email WHEN 'p1@x' THEN 'one' ELSE 'more' END, code FROM people WHERE code = 1 AND id < 60 ORDER BY id",
    "SELECT k.id FROM known k WHERE k.email IS NOT DISTINCT FROM 'p5@x' ORDER BY k.at",
    "SELECT word, count(*) FROM words WHERE word = 'w3' OR word = ANY(ARRAY['w4', 'w5']) GROUP BY word ORDER BY 2, min(id)",
];

#[test]
fn values_move_and_every_statement_reads_as_before_in_each_phase() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client);
    let reads = |client: &mut RawClient| READS.map(|sql| client.rows(sql));
    let before = reads(&mut client);
    let mut prepared = site.through();
    prepared.run("PREPARE by_email AS SELECT id FROM people WHERE email = $1");
    assert_eq!(prepared.rows("EXECUTE by_email('p9@x')").len(), 1);

    site.promote();
    assert_eq!(reads(&mut client), before, "promoted");
    let job =
        site.command(&["rotate", "default", "--batch", "5", "--rows-per-second", "150"]).spawn().unwrap();
    let mut direct = site.direct();
    let (mut looks, mut moving) = (0, 0);
    let mut job = Some(job);
    while job.as_mut().unwrap().try_wait().unwrap().is_none() {
        assert_eq!(reads(&mut client), before, "while values move");
        let named = client.run(
            "SELECT CASE WHEN id > 1 THEN email ELSE 'hidden' END, 'x' FROM people WHERE email = 'p1@x'",
        );
        let names: Vec<_> = named[0].fields().into_iter().map(|field| field.name).collect();
        assert_eq!(names, ["case", "?column?"]);
        client.run(&format!("UPDATE visits SET by = 'p{looks}@x' WHERE n = 5"));
        looks += 1;
        let phase = direct.rows("SELECT phase FROM pgseal.pin WHERE phase = 'moving'");
        moving += usize::from(!phase.is_empty());
        assert!(looks < 10_000);
    }
    let (code, text) = wait(job.take().unwrap());
    assert_eq!(code, 0, "{text}");
    assert!(moving > 20, "{moving} of {looks} looks were at a move");
    assert_eq!(reads(&mut client), before, "moved");
    let left = direct.value(
        "SELECT count(*)::text FROM pg_proc WHERE pronamespace = 'pgseal'::regnamespace
           OR oid IN (SELECT tgfoid FROM pg_trigger WHERE tgname LIKE '~~pgseal%')",
    );
    assert_eq!(left.as_deref(), Some("0"), "functions and triggers are gone");
    let text = site.done(&["keys", "archive", "default@1"]);
    assert!(text.contains("archived default@1"), "{text}");
    assert_eq!(reads(&mut client), before, "archived");
    site.done(&["keys", "destroy", "default@1", "--yes"]);
    assert_eq!(reads(&mut client), before, "destroyed");
    let pins = direct.value("SELECT count(*)::text FROM pgseal.pin");
    assert!(
        matches!(pins.as_deref(), Some("0" | "3")),
        "{pins:?}: gone if the proxy has dropped the key by now"
    );
}

#[test]
fn a_job_that_is_killed_again_and_again_goes_on_and_a_second_one_is_refused() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client);
    let reads = |client: &mut RawClient| READS.map(|sql| client.rows(sql));
    let before = reads(&mut client);
    site.promote();
    let rotate = ["rotate", "default", "--batch", "4", "--rows-per-second", "120"];
    let mut killed = 0;
    for turn in 0..14_u64 {
        let mut job = site.command(&rotate).spawn().unwrap();
        // From the announcement over the first batches to the end of a context.
        std::thread::sleep(Duration::from_millis(150 + turn * 389 % 2900));
        if turn == 6 && job.try_wait().unwrap().is_none() {
            let (code, text) = shown(&site.command(&rotate).output().unwrap());
            assert!(code == 1 && text.contains("another job works on column"), "{text}");
        }
        killed += u32::from(job.try_wait().unwrap().is_none());
        let _ = job.kill();
        job.wait().unwrap();
        assert_eq!(reads(&mut client), before, "after kill {turn}");
        client.run(&format!("INSERT INTO words (word) VALUES ('late {turn}')"));
        assert_eq!(
            client.rows(&format!("SELECT 1 FROM words WHERE word = 'late {turn}'")).len(),
            1,
            "{turn}"
        );
    }
    assert!(killed > 3, "{killed}");
    // In the middle of a move no other version can be promoted, and the old one not be archived.
    let promoted = |arguments: &[&str]| shown(&site.command(arguments).output().unwrap());
    site.done(&["keys", "add", "default"]);
    let pins = site.direct().rows("SELECT phase FROM pgseal.pin WHERE phase <> 'new'");
    if !pins.is_empty() {
        let start = Instant::now();
        let text = loop {
            let (code, text) = promoted(&["keys", "promote", "default@3"]);
            assert_eq!(code, 1, "{text}");
            if !text.contains("does not hold it yet") {
                break text;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{text}");
        };
        assert!(text.contains("run \"pgseal rotate\" to its end first"), "{text}");
        let (code, text) = promoted(&["keys", "archive", "default@1"]);
        assert!(code == 1 && text.contains("rows are under it"), "{text}");
    }
    let (code, text) = wait(site.command(&["rotate", "default"]).spawn().unwrap());
    assert!(code == 0 && text.contains(" 0 values could not be"), "{text}");
    assert_eq!(reads(&mut client), before, "moved");
    site.done(&["verify"]);
    assert!(site.done(&["keys", "archive", "default@1"]).contains("archived default@1"));
}

/// At READ COMMITTED a statement that has waited for a row looks at its new version. What it compares that with was
/// read before: here a value moves in between, by hand, at the one moment that counts.
#[test]
fn a_row_that_moves_while_a_statement_waits_for_it_is_found() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client);
    site.promote();
    let mut direct = site.direct();
    let rotate = ["rotate", "people.email", "--batch", "1", "--rows-per-second", "2"];
    let mut job = site.command(&rotate).spawn().unwrap();
    let number = moves(&mut direct);
    job.kill().unwrap();
    job.wait().unwrap();

    // Each finds one row, that of person {x}.
    let statements = [
        "UPDATE people SET n = n + 1 WHERE email = 'p{x}@x'",
        "UPDATE people p SET n = p.n + 1 FROM visits v WHERE v.email = p.email AND v.n = {x}",
        "UPDATE people SET n = n + 1 WHERE email IN ('nobody', 'p{x}@x')",
        "UPDATE people SET n = n + 1 WHERE email IS NOT DISTINCT FROM 'p{x}@x'",
        "UPDATE people SET n = 1 WHERE id = (SELECT p.id FROM people p WHERE p.email = 'p{x}@x' FOR UPDATE)",
        "SELECT n FROM seen WHERE id = {x} FOR NO KEY UPDATE",
        "SELECT n FROM seen_again WHERE id = {x} FOR UPDATE",
        "UPDATE people p SET email = v.e, n = 5 FROM (VALUES ('p{x}@x')) v (e) WHERE p.email = v.e",
        "MERGE INTO people p USING (VALUES ('p{x}@x', 9000)) v (e, id) ON p.email = v.e
         WHEN MATCHED THEN UPDATE SET n = p.n + 1 WHEN NOT MATCHED THEN INSERT (id, email) VALUES (v.id, v.e)",
        "UPDATE people p SET n = 1 FROM (SELECT coalesce(NULL, email) AS e FROM visits WHERE n = {x}) v WHERE p.email = v.e",
        "UPDATE people p SET n = 1 WHERE (p.email, p.id) IN (SELECT email, n FROM visits WHERE n = {x})",
        "UPDATE people p SET n = 1 WHERE (p.email, p.id) = ('p{x}@x', {x})",
        "UPDATE people p SET n = 1 WHERE p.id = {x} AND p.email = ANY (ARRAY(SELECT email FROM visits))",
        "UPDATE people p SET n = 1 WHERE p.id = {x} AND CASE p.email WHEN 'p{x}@x' THEN true ELSE false END",
        "UPDATE people p SET n = 1 WHERE p.id = {x} AND nullif(p.email, 'p{x}@x') IS NULL",
        "UPDATE people p SET n = 1 WHERE p.id = {x} AND NOT (p.email <> 'p{x}@x')",
        "UPDATE people p SET n = 1 WHERE p.id = {x} AND EXISTS (SELECT FROM visits v WHERE v.email = p.email)",
        "UPDATE people p SET n = 1 WHERE p.id = {x} AND p.email IN (SELECT email FROM visits UNION SELECT 'zz')",
        "UPDATE people p SET n = 1 WHERE p.id = {x} AND p.email IN (SELECT 'p{x}@x' UNION SELECT 'zz')",
        "WITH w AS (SELECT 'p{x}@x' AS e) UPDATE people p SET n = 1 FROM w WHERE p.email = w.e",
        "WITH w (e) AS (SELECT email FROM visits WHERE n = {x}) UPDATE people p SET n = 1 FROM w WHERE p.email = w.e",
        "SELECT p.n FROM people p JOIN visits v USING (email) WHERE v.n = {x} FOR UPDATE OF p",
        "SELECT p.n FROM (SELECT email FROM visits WHERE n = {x}) v NATURAL JOIN people p FOR UPDATE OF p",
        "INSERT INTO people (id, email) VALUES (9000, 'p{x}@x') ON CONFLICT (email) DO UPDATE SET n = 1",
        "INSERT INTO people (id, email) VALUES (9000, 'p{x}@x') ON CONFLICT (email) DO UPDATE SET n = 1
         WHERE people.email = 'p{x}@x'",
        "INSERT INTO people (id, email) VALUES ({x}, 'p{x}@x') ON CONFLICT (id) DO UPDATE SET n = 1
         WHERE people.email = excluded.email",
        "UPDATE people SET n = 1 WHERE id = {x} AND email = (SELECT email FROM visits WHERE n = {x})",
        "UPDATE people p SET n = 1 FROM (SELECT id FROM people) i, LATERAL (SELECT email AS e FROM visits v WHERE v.n = i.id) w
         WHERE i.id = {x} AND p.email = w.e",
        "UPDATE people p SET n = 1 FROM known k WHERE k.id = p.id AND k.email = p.email AND p.id = {x}",
        "UPDATE people SET n = 1 WHERE id = {x} AND email IS NOT DISTINCT FROM (SELECT email FROM visits WHERE n = {x})",
        "UPDATE people SET n = 1 WHERE id = {x} AND email = coalesce('p{x}@x', email)",
        "UPDATE people SET n = 1 WHERE id = {x} AND email = ANY (ARRAY[coalesce('p{x}@x', email)])",
        "UPDATE people SET n = 1 WHERE id = {x} AND coalesce(email, 'none') = 'p{x}@x'",
        "UPDATE people SET n = 1 WHERE id = {x} AND coalesce(NULL, email) = 'p{x}@x'",
        "UPDATE people SET n = 1 WHERE id = {x} AND email NOT IN (SELECT email FROM visits WHERE n <> {x} AND n < 120)",
        "DELETE FROM visits WHERE n = {x} AND email = ANY ('{p{x}@x}')",
        "DELETE FROM visits v USING people p WHERE p.email = v.email AND v.n = {x}",
        "UPDATE visits SET by = 'p{x}@x' WHERE email = 'p{x}@x' AND n = {x}",
        "UPDATE visits SET by = email WHERE (email = 'p{x}@x') IS TRUE AND n = {x}",
    ];
    let mut candidates = 20..120;
    for statement in statements {
        // One that has not moved.
        let (x, forms) = candidates
            .by_ref()
            .map(|x| (x, forms(&mut client, &format!("p{x}@x"))))
            .find(|(_, forms)| {
                direct.rows(&format!("SELECT FROM people WHERE email = '{}'", forms[0])).len() == 1
            })
            .unwrap();
        let statement = statement.replace("{x}", &x.to_string());
        direct.run("BEGIN");
        // As a batch does it.
        let bucket = u32::from_str_radix(&forms[0][14..16], 16).unwrap() + 1;
        for lock in [0, bucket] {
            direct.run(&format!("SELECT pg_advisory_xact_lock({}, {number} * 1024 + {lock})", 0x7067_736c));
        }
        direct.run(&format!("INSERT INTO pgseal.map_{number} VALUES ('{}', '{}')", forms[0], forms[1]));
        let update = |(table, column): (&str, &str)| {
            format!(
                "UPDATE {table} SET {column} = '{}' WHERE {column} = '{}' RETURNING 1",
                forms[1], forms[0]
            )
        };
        // (A row is changed by one of them only: no visit has a value twice.)
        let [a, b, c, d] =
            [("people", "email"), ("logins", "email"), ("visits", "email"), ("visits", "other")].map(update);
        direct.run(&format!("WITH a AS ({a}), b AS ({b}), c AS ({c}), d AS ({d}) SELECT"));
        let mut waiting = site.through();
        let (sent, mut seen) = (statement.clone(), site.direct());
        let done = std::thread::spawn(move || {
            let frames = waiting.query(&sent);
            let is_end = |frame: &&support::Frame| matches!(frame.tag, b'C' | b'E');
            let end = frames.iter().find(is_end).unwrap();
            if end.tag == b'C' { end.command() } else { format!("{end:?}") }
        });
        let waits = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        let start = Instant::now();
        while seen.value(waits).as_deref() != Some("1") {
            if start.elapsed() > Duration::from_secs(5) {
                panic!("{statement} does not wait: {:?}", done.is_finished().then(|| done.join()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        direct.run("COMMIT");
        let command = done.join().unwrap();
        assert!(command.ends_with(" 1"), "{statement}: {command}");
    }
    assert_eq!(client.value("SELECT count(*) FROM people WHERE id = 9000").as_deref(), Some("0"));
    site.done(&["rotate", "default"]);
    site.done(&["verify"]);
}

/// Waits until the first values of the emails' context have moved, and gives the number of their pin.
fn moves(direct: &mut RawClient) -> String {
    let number = "SELECT number::text FROM pgseal.pin WHERE context = 'public.people.email'";
    let number = direct.value(number).unwrap();
    let start = Instant::now();
    while direct.query(&format!("SELECT 1 FROM pgseal.map_{number}")).iter().all(|frame| frame.tag != b'D') {
        assert!(start.elapsed() < Duration::from_secs(30), "the job does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    number
}

/// Statements through the proxy, whose sessions share what one of them has read of the catalog.
fn busy_for(site: &Site, time: Duration) {
    let (mut client, start) = (site.through(), Instant::now());
    while start.elapsed() < time {
        client.run("SELECT id FROM people WHERE email = 'p8@x'");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const PHASE: &str = "SELECT phase FROM pgseal.pin WHERE context = 'public.people.email'";
const FIND: &str = "SELECT id FROM people WHERE email = 'p7@x'";

#[test]
fn a_snapshot_from_before_a_promotion_goes_on_to_be_written_in() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client);
    client.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
    client.run("SELECT id FROM people WHERE email = 'p7@x'");
    std::thread::scope(|scope| {
        scope.spawn(|| site.promote());
        // In this time a promotion that waits for nothing but proxies is carried out, and heard of. No other session is
        // there that would read the catalog for this one.
        std::thread::sleep(Duration::from_secs(6));
        client.run("INSERT INTO people (id, email) VALUES (1000, 'late@x')");
        client.run("COMMIT");
    });
    site.done(&["rotate", "default"]);
    assert_eq!(client.value("SELECT id FROM people WHERE email = 'late@x'").as_deref(), Some("1000"));
}

#[test]
fn a_snapshot_from_within_a_move_is_read_as_before_when_the_move_has_ended() {
    let site = Site::start(1, POLICY, SCHEMA);
    fill(&mut site.through());
    site.promote();
    let mut direct = site.direct();
    let rotate = ["rotate", "people.email", "--batch", "5", "--rows-per-second", "400"];
    let mut job = site.command(&rotate).spawn().unwrap();
    moves(&mut direct);
    let mut reader = site.through();
    // So it need not read the catalog itself, which in its transaction would be as of its snapshot.
    busy_for(&site, Duration::from_millis(200));
    reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    let emails = reader.rows("SELECT id, email FROM people ORDER BY id");
    let start = Instant::now();
    while direct.value(PHASE).as_deref() != Some("new") {
        assert!(start.elapsed() < Duration::from_secs(60), "the move does not end");
        busy_for(&site, Duration::from_millis(100));
    }
    busy_for(&site, Duration::from_secs(4));
    for n in [3, 7, 90, 250] {
        let found = reader.rows(&format!("SELECT id FROM people WHERE email = 'p{n}@x'"));
        assert_eq!(found, [[Some(n.to_string())]], "{n}");
        let named = reader
            .rows(&format!("SELECT count(*) FROM people p JOIN (VALUES ('p{n}@x')) v (e) ON p.email = v.e"));
        assert_eq!(named, [[Some("1".to_owned())]], "{n}");
    }
    assert_eq!(reader.rows("SELECT id, email FROM people ORDER BY id"), emails);
    assert!(job.try_wait().unwrap().is_none(), "it waits for those who see what was before");
    reader.run("COMMIT");
    let (code, text) = wait(job);
    assert_eq!(code, 0, "{text}");
    assert_eq!(site.through().rows(FIND).len(), 1);
}

#[test]
fn a_cursor_that_locks_rows_and_was_opened_before_a_move_finds_them() {
    let site = Site::start(1, POLICY, SCHEMA);
    fill(&mut site.through());
    site.promote();
    let mut reader = site.through();
    reader.run(&format!("BEGIN; DECLARE c CURSOR FOR {FIND} FOR UPDATE"));
    let rotate = ["rotate", "people.email", "--batch", "50"];
    let job = site.command(&rotate).spawn().unwrap();
    busy_for(&site, Duration::from_secs(5));
    assert_eq!(reader.rows("FETCH c"), [[Some("7".to_owned())]]);
    reader.run("COMMIT");
    let (code, text) = wait(job);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_row_that_a_trigger_keeps_as_it_is_keeps_a_move_from_ending() {
    for (at, body) in ["RETURN NULL;", "NEW.email := OLD.email; RETURN NEW;"].into_iter().enumerate() {
        let site = Site::start(1, POLICY, SCHEMA);
        let mut client = site.through();
        fill(&mut client);
        site.promote();
        let mut direct = site.direct();
        direct.run(&format!(
            "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
             CREATE TRIGGER guard BEFORE UPDATE ON people FOR EACH ROW WHEN (OLD.id = 110) EXECUTE FUNCTION guard()"
        ));
        let (code, text) = wait(site.command(&["rotate", "people.email"]).spawn().unwrap());
        assert!(code == 1 && text.contains("trigger"), "{at}: {text}");
        let joined = "SELECT p.id FROM people p JOIN visits v ON v.email = p.email WHERE p.id = 110";
        assert_eq!(client.rows(joined).len(), 1, "{at}");
        direct.run("DROP TRIGGER guard ON people");
        site.done(&["rotate", "people.email"]);
        assert_eq!(client.rows(joined).len(), 1, "{at}");
        site.done(&["verify"]);
    }
}

#[test]
fn a_child_that_comes_while_values_move_has_them_moved_too() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client);
    site.promote();
    let mut direct = site.direct();
    let job = site
        .command(&["rotate", "people.email", "--batch", "5", "--rows-per-second", "400"])
        .spawn()
        .unwrap();
    moves(&mut direct);
    // Past the proxies, by somebody who makes partitions every night.
    direct.run("CREATE TABLE a_visits () INHERITS (visits)");
    busy_for(&site, Duration::from_millis(1800));
    client.run("INSERT INTO a_visits (email, n) VALUES ('only here', 1), ('p7@x', 2)");
    let (code, text) = wait(job);
    if code != 0 {
        assert!(text.contains("again"), "{text}");
        site.done(&["rotate", "people.email"]);
    }
    for (value, count) in [("only here", 1), ("p7@x", 3)] {
        let found = client.rows(&format!("SELECT 1 FROM visits WHERE email = '{value}'"));
        assert_eq!(found.len(), count, "{value}");
    }
    let left = direct.value(
        "SELECT count(*)::text FROM pg_proc WHERE pronamespace = 'pgseal'::regnamespace
           OR oid IN (SELECT tgfoid FROM pg_trigger WHERE tgname LIKE '~~pgseal%')",
    );
    assert_eq!(left.as_deref(), Some("0"), "functions and triggers are gone");
    site.done(&["rotate", "default"]);
    site.done(&["keys", "archive", "default@1"]);
}

#[test]
fn a_move_goes_on_where_functions_are_nobodys_by_default() {
    let site = Site::start(1, POLICY, SCHEMA);
    fill(&mut site.through());
    site.promote();
    let mut direct = site.direct();
    direct.run(
        "CREATE ROLE app LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC",
    );
    let rotate = ["rotate", "people.email", "--batch", "5", "--rows-per-second", "300"];
    let job = site.command(&rotate).spawn().unwrap();
    moves(&mut direct);
    let mut app = RawClient::connect(site.proxies[0].address(), "app", &site.database);
    let update = "UPDATE people SET email = 'p7@x' WHERE email = ANY('{p7@x}')";
    assert!(app.run(update).iter().any(|frame| frame.tag == b'C' && frame.command() == "UPDATE 1"));
    assert_eq!(app.rows("SELECT p.id FROM people p JOIN (VALUES ('p7@x')) v (e) ON p.email = v.e").len(), 1);
    let (code, text) = wait(job);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn values_that_are_too_long_for_an_index_move_too() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client);
    let long: String = (0..9000_u32).map(|n| char::from(b'a' + (n * n % 26) as u8)).collect();
    client.run(&format!("INSERT INTO visits (by, n) VALUES ('{long}', 1)"));
    site.promote();
    site.done(&["rotate", "people.email"]);
    assert_eq!(client.rows(&format!("SELECT n FROM visits WHERE by = '{long}'")).len(), 1);
}

#[test]
fn a_job_that_stands_still_in_a_batch_keeps_nobody_waiting_for_long() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    fill(&mut client);
    site.promote();
    let mut direct = site.direct();
    let mut job = site.command(&["rotate", "people.email", "--batch", "1"]).spawn().unwrap();
    moves(&mut direct);
    let signal = |name: &str| {
        let pid = job.id().to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    let held = "SELECT count(*)::text FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    let mut is_held = false;
    for _ in 0..200 {
        signal("-STOP");
        std::thread::sleep(Duration::from_millis(50));
        is_held = direct.value(held).as_deref() == Some("1");
        if is_held {
            break;
        }
        signal("-CONT");
        std::thread::sleep(Duration::from_millis(3));
    }
    assert!(is_held, "it was stopped between two transactions each time");
    let start = Instant::now();
    while direct.value(held).as_deref() != Some("0") {
        assert!(start.elapsed() < Duration::from_secs(20), "its locks are there");
        std::thread::sleep(Duration::from_millis(100));
    }
    signal("-CONT");
    let status = job.wait().unwrap();
    assert!(!status.success(), "it is told");
    site.done(&["rotate", "default"]);
    site.done(&["verify"]);
}

#[test]
fn a_version_that_constants_are_sealed_by_is_not_archived_though_no_row_is_under_it() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    site.promote();
    client.run("INSERT INTO people (id, email) VALUES (1, 'a'); DELETE FROM people");
    let start = Instant::now();
    loop {
        let (code, text) = shown(&site.command(&["keys", "archive", "default@1"]).output().unwrap());
        assert_eq!(code, 1, "{text}");
        if text.contains("run \"pgseal rotate\" to its end first") {
            break;
        }
        assert!(text.contains("still seals with it") && start.elapsed() < Duration::from_secs(30), "{text}");
        std::thread::sleep(Duration::from_millis(100));
    }
    client.run("INSERT INTO people (id, email) VALUES (1, 'a')");
    site.done(&["rotate", "default"]);
    site.done(&["keys", "archive", "default@1"]);
    assert_eq!(client.rows("SELECT id FROM people WHERE email = 'a'").len(), 1);
}

#[test]
fn a_promotion_leaves_a_context_alone_that_a_job_is_at() {
    let site = Site::start(1, POLICY, SCHEMA);
    fill(&mut site.through());
    site.promote();
    site.done(&["rotate", "default"]);
    let mut direct = site.direct();
    direct.run("SELECT pg_advisory_lock(hashtextextended('pgseal.job public.people.email', 0))");
    let before = direct.value("SELECT string_agg(number::text, ' ' ORDER BY number) FROM pgseal.pin");
    site.done(&["keys", "add", "default"]);
    let start = Instant::now();
    loop {
        let (code, text) = shown(&site.command(&["keys", "promote", "default@3"]).output().unwrap());
        assert_eq!(code, 1, "{text}");
        if text.contains("another job works on column") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{text}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let after = direct.value("SELECT string_agg(number::text, ' ' ORDER BY number) FROM pgseal.pin");
    assert_eq!(after, before);
}

/// Both forms of a value of the context that is being moved, as EXPLAIN shows them.
fn forms(client: &mut RawClient, value: &str) -> Vec<String> {
    let plan = client.rows(&format!("EXPLAIN SELECT id FROM people WHERE email = '{value}'"));
    let text: String = plan.into_iter().flatten().flatten().collect();
    let forms: Vec<String> = text
        .split("\\x")
        .skip(1)
        .map(|rest| format!("\\x{}", rest.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap()))
        .collect();
    assert!(forms.len() >= 2, "{text}");
    forms
}

#[test]
fn nothing_is_lost_found_twice_or_missed_while_values_move_under_load() {
    let site = Site::start(2, POLICY, SCHEMA);
    fill(&mut site.through());
    let done = load::with(&site, |shared| {
        for version in 1..=2 {
            std::thread::sleep(Duration::from_millis(500));
            site.promote();
            std::thread::sleep(Duration::from_millis(300));
            let arguments = ["rotate", "default", "--batch", "3", "--rows-per-second", "500"];
            let (code, text) = shown(&site.command(&arguments).output().unwrap());
            assert_eq!(code, 0, "{text}");
            if shared.is_stopped() {
                return;
            }
            let text = site.done(&["keys", "archive", &format!("default@{version}")]);
            assert!(text.contains("archived"), "{text}");
        }
    });
    println!("{done}");
}
