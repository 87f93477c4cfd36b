//! The same messages sent to the server directly and through the proxy: the same frames come back.

use std::fmt::Write as _;
use std::time::Duration;

use crate::support::message::*;
use crate::support::{Cluster, Direction, Frame, Proxy, RawClient, Recorder};

/// Protects a table that the scripts below do not touch.
const ELSEWHERE: &str = r#"
version = 1
[table."public.protected_elsewhere"]
secret = { type = "text", mode = "deterministic" }
"#;

/// Protects nothing.
const EMPTY: &str = "version = 1\n";

/// One thing that a client sends; each script is answered by a known number of ReadyForQuery.
struct Script {
    name: &'static str,
    messages: Vec<Vec<u8>>,
}

fn script(name: &'static str, messages: impl IntoIterator<Item = Vec<u8>>) -> Script {
    Script { name, messages: messages.into_iter().collect() }
}

fn scripts() -> Vec<Script> {
    let rows = "SELECT n, repeat('x', n) FROM generate_series(1, 50) n";
    let some = |text: &'static str| Some(text.as_bytes());
    vec![
        script("a simple query", [query("SELECT 1 AS one, NULL AS nothing, 'é' AS text")]),
        script("an empty query", [query("")]),
        script("a query of spaces, comments and semicolons", [query(" ; /* x */ ; -- y")]),
        script(
            "several statements with different columns",
            [query(
                "SELECT 1 AS a; SELECT 'x' AS b, 2 AS c; INSERT INTO t VALUES (100, 'hundred'); SELECT count(*) FROM t",
            )],
        ),
        script("an error after a result, in one text", [query("SELECT 1; SELECT 1/0; SELECT 2")]),
        script(
            "a transaction that is rolled back in one text",
            [
                query("BEGIN; INSERT INTO t VALUES (101, 'gone'); ROLLBACK"),
                query("SELECT * FROM t WHERE id = 101"),
            ],
        ),
        script("a result without rows", [query("SELECT * FROM t WHERE false")]),
        script("a table without columns", [query("SELECT FROM t")]),
        script("a syntax error with its position", [query("SELECT 'é', FROM t")]),
        script("a notice", [query("DO $$ BEGIN RAISE NOTICE 'hello %', 1; END $$")]),
        script(
            "an error with every field",
            [query(
                "DO $$ BEGIN RAISE EXCEPTION 'm' USING DETAIL = 'd', HINT = 'h', ERRCODE = 'ZZ001', COLUMN = 'c', TABLE = 't'; END $$",
            )],
        ),
        script(
            "a failed transaction and its end",
            [query("BEGIN"), query("SELECT 1/0"), query("SELECT 1"), query("ROLLBACK")],
        ),
        script(
            "a savepoint that is returned to",
            [
                query("BEGIN; SAVEPOINT a"),
                query("SELECT 1/0"),
                query("ROLLBACK TO a"),
                query("SELECT 1; COMMIT"),
            ],
        ),
        script("an unnamed statement", [flight("SELECT $1::int + 1", &[], &[some("41")], 0)]),
        script("a result in binary", [flight("SELECT $1::int, now() < 'infinity'", &[23], &[some("41")], 1)]),
        script(
            "a statement described, then bound twice",
            [
                [parse("s", "SELECT id, name FROM t WHERE id = $1", &[]), describe(b'S', "s"), sync()]
                    .concat(),
                [bind("", "s", &[], &[some("1")], &[]), execute("", 0), sync()].concat(),
                [bind("", "s", &[1], &[Some(&[0, 0, 0, 2])], &[1, 0]), execute("", 0), sync()].concat(),
                [close(b'S', "s"), sync()].concat(),
            ],
        ),
        script(
            "a portal with a row limit, suspended and resumed",
            [[
                parse("", rows, &[]),
                bind("", "", &[], &[], &[]),
                describe(b'P', ""),
                execute("", 20),
                execute("", 20),
                execute("", 20),
                sync(),
            ]
            .concat()],
        ),
        script(
            "interleaved portals",
            [
                query("BEGIN"),
                [
                    parse("a", rows, &[]),
                    parse("b", "SELECT id FROM t ORDER BY id", &[]),
                    bind("pa", "a", &[], &[], &[]),
                    bind("pb", "b", &[], &[], &[1]),
                    execute("pa", 2),
                    execute("pb", 1),
                    execute("pa", 2),
                    execute("pb", 0),
                    close(b'P', "pa"),
                    execute("pb", 0),
                    sync(),
                ]
                .concat(),
                query("COMMIT; DEALLOCATE ALL"),
            ],
        ),
        script(
            "many flights in one write",
            [[
                flight("SELECT 1", &[], &[], 0),
                flight("SELECT 1/0", &[], &[], 0),
                flight("SELECT 2", &[], &[], 0),
                query("SELECT 3"),
                flight(
                    "INSERT INTO t VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
                    &[],
                    &[some("200"), None],
                    0,
                ),
            ]
            .concat()],
        ),
        script(
            "an error makes the rest of a batch void up to Sync",
            [[
                parse("", "INSERT INTO t VALUES (300, 'never')", &[]),
                bind("", "", &[], &[], &[]),
                execute("", 0),
                parse("", "SELECT 1/0", &[]),
                bind("", "", &[], &[], &[]),
                execute("", 0),
                parse("gone", "SELECT 1", &[]),
                describe(b'S', "gone"),
                close(b'S', "gone"),
                execute("", 0),
                sync(),
            ]
            .concat()],
        ),
        script(
            "statements and portals that do not exist",
            [
                [describe(b'S', "nobody"), sync()].concat(),
                [bind("", "nobody", &[], &[], &[]), sync()].concat(),
                [execute("nobody", 0), sync()].concat(),
                [close(b'S', "nobody"), close(b'P', "nobody"), sync()].concat(),
            ],
        ),
        script(
            "a statement name that is taken",
            [
                [parse("twice", "SELECT 1", &[]), sync()].concat(),
                [parse("twice", "SELECT 2", &[]), sync()].concat(),
                query("DEALLOCATE twice"),
            ],
        ),
        script("an empty statement", [flight("", &[], &[], 0)]),
        script(
            "a wrong number of parameters",
            [[parse("", "SELECT $1::int", &[]), bind("", "", &[], &[], &[]), sync()].concat()],
        ),
        script("a value that is no number", [flight("SELECT $1::int", &[], &[some("x")], 0)]),
        script("COPY out", [query("COPY t TO STDOUT"), query("COPY (SELECT 1, 'x') TO STDOUT (FORMAT csv)")]),
        script(
            "COPY in",
            [
                [
                    query("COPY t FROM STDIN"),
                    copy_data(b"400\tfour"),
                    copy_data(b" hundred\n401\t\\N\n"),
                    copy_done(),
                ]
                .concat(),
                query("SELECT * FROM t WHERE id >= 400 ORDER BY id"),
            ],
        ),
        script(
            "COPY in that the client fails",
            [[query("COPY t FROM STDIN"), copy_data(b"500\tx\n"), copy_fail("no more")].concat()],
        ),
        script(
            "COPY in that the server fails",
            [[query("COPY t FROM STDIN"), copy_data(b"x\ty\n"), copy_done()].concat()],
        ),
        script(
            "COPY in by the extended protocol, in a pipeline",
            [[
                parse("", "COPY t FROM STDIN (FORMAT csv)", &[]),
                bind("", "", &[], &[], &[]),
                execute("", 0),
                copy_data(b"600,\"six\nhundred\"\n"),
                copy_done(),
                sync(),
                query("SELECT name FROM t WHERE id = 600"),
            ]
            .concat()],
        ),
        script(
            "COPY in and more statements in one text",
            [[
                query("COPY t FROM STDIN; SELECT count(*) FROM t WHERE id = 700"),
                copy_data(b"700\tseven\n"),
                copy_done(),
            ]
            .concat()],
        ),
        script(
            "PREPARE, EXECUTE, DECLARE, FETCH",
            [
                query("PREPARE p AS SELECT name FROM t WHERE id = $1; EXECUTE p(1); DEALLOCATE p"),
                query(
                    "BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id; FETCH 2 FROM c; MOVE 1 IN c; CLOSE c; COMMIT",
                ),
            ],
        ),
        script(
            "settings that are reported",
            [
                query("SET application_name = 'x'; SET client_encoding = 'LATIN1'"),
                query("RESET client_encoding; RESET application_name"),
            ],
        ),
        script(
            "EXPLAIN, SHOW, VACUUM, a function call of a catalog function",
            [
                query("EXPLAIN (COSTS off) SELECT * FROM t WHERE id = 1"),
                query("SHOW search_path"),
                query("VACUUM t"),
                query("SELECT pg_catalog.upper(name) FROM t WHERE id = 1"),
            ],
        ),
        script(
            "DDL in and out of transactions",
            [
                query(
                    "CREATE TABLE u (a int); ALTER TABLE u ADD COLUMN b text; INSERT INTO u VALUES (1, 'x')",
                ),
                query("BEGIN; DROP TABLE u; ROLLBACK; SELECT * FROM u; DROP TABLE u"),
            ],
        ),
        script(
            "a notification to oneself",
            [query("LISTEN ch"), query("NOTIFY ch, 'payload'"), query("UNLISTEN *")],
        ),
        script("a large result", [query("SELECT repeat('x', 100000) FROM generate_series(1, 20)")]),
        script("a Sync alone, a Flush and a Sync", [sync(), [flush(), sync()].concat()]),
        script(
            "messages that are left over from another phase",
            [[copy_data(b"x"), copy_done(), copy_fail("x"), sync()].concat()],
        ),
    ]
}

const TABLE: &str =
    "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'one'), (2, 'two')";

fn policies() -> [(&'static str, &'static str); 2] {
    [("an empty policy", EMPTY), ("a policy for another table", ELSEWHERE)]
}

#[test]
fn scripts_get_the_same_frames_through_the_proxy_as_from_the_server() {
    let cluster = Cluster::shared();
    let mut failures = String::new();
    for (policy_name, policy) in policies() {
        let proxy = Proxy::start(cluster.address(), policy);
        // Two databases of one schema; object ids are masked.
        let (plain, proxied) = (cluster.database("direct"), cluster.database("proxied"));
        for database in [&plain, &proxied] {
            cluster.connect(database).run(TABLE);
            cluster.connect(database).run("CREATE TABLE protected_elsewhere (secret bytea)");
        }
        let (mut direct, mut through) = (cluster.connect(&plain), proxy.connect(&proxied));
        for script in scripts() {
            let expected = play(&mut direct, &script.messages);
            let got = play(&mut through, &script.messages);
            if expected != got {
                let name = script.name;
                writeln!(failures, "{policy_name}: {name}\n  expected {expected:?}\n  got      {got:?}")
                    .unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn an_empty_policy_changes_not_one_byte() {
    let cluster = Cluster::shared();
    let database = cluster.database("bytes");
    cluster.connect(&database).run(TABLE);
    let upstream = Recorder::start(cluster.address());
    let proxy = Proxy::start(upstream.address(), EMPTY);
    let downstream = Recorder::start(proxy.address());
    let mut client = RawClient::connect(downstream.address(), "postgres", &database);
    for script in scripts() {
        play(&mut client, &script.messages);
    }
    client.send(&terminate());
    assert!(client.try_read().is_none());
    for direction in [Direction::Forward, Direction::Back] {
        let (before, after) = (downstream.bytes(0, direction), upstream.all_bytes(direction));
        let first = before.iter().zip(&after).position(|(a, b)| a != b);
        let lengths = (before.len(), after.len());
        assert!(before == after, "{direction:?}: lengths {lengths:?}, first difference at {first:?}");
    }
}

#[test]
fn scripts_split_at_every_byte_get_the_same_frames() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), ELSEWHERE);
    let (plain, proxied) = (cluster.database("whole"), cluster.database("split"));
    for database in [&plain, &proxied] {
        cluster.connect(database).run(TABLE);
        cluster.connect(database).run("CREATE TABLE protected_elsewhere (secret bytea)");
    }
    let (mut direct, mut through) = (cluster.connect(&plain), proxy.connect(&proxied));
    let named = ["several statements with different columns", "interleaved portals", "COPY in"];
    for script in scripts().into_iter().filter(|s| named.contains(&s.name)) {
        let expected = play(&mut direct, &script.messages);
        let mut got = Vec::new();
        for message in &script.messages {
            for byte in message {
                through.send(&[*byte]);
                std::thread::sleep(Duration::from_micros(200));
            }
            got.extend(collect(&mut through, message));
        }
        assert_eq!(expected, got, "{}", script.name);
    }
}

/// Sends each message of a script and collects what comes back.
fn play(client: &mut RawClient, messages: &[Vec<u8>]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for message in messages {
        client.send(message);
        frames.extend(collect(client, message));
    }
    frames
}

/// As many answers as the message has Query and Sync in it, with what differs between databases masked.
fn collect(client: &mut RawClient, message: &[u8]) -> Vec<Frame> {
    let (mut syncs, mut rest) = (0, message);
    while let [tag, a, b, c, d, ..] = rest {
        syncs += usize::from(matches!(tag, b'Q' | b'S'));
        rest = &rest[1 + u32::from_be_bytes([*a, *b, *c, *d]) as usize..];
    }
    let frames = (0..syncs).flat_map(|_| client.read_until_ready()).collect::<Vec<_>>();
    frames.into_iter().map(mask).collect()
}

/// Object ids of tables and process ids differ.
fn mask(mut frame: Frame) -> Frame {
    match frame.tag {
        b'T' => {
            let fields = frame.fields();
            let mut at = 2;
            for field in fields {
                at += field.name.len() + 1;
                frame.body[at..at + 4].fill(if field.table == 0 { 0 } else { 0xff });
                at += 18;
            }
        }
        b'A' => frame.body[..4].fill(0),
        _ => {}
    }
    frame
}
