//! PREPARE, EXECUTE, DECLARE and FETCH on both databases of the twin: the same answers, by SQL and by protocol.

use crate::fixture::{Answer, How, Twin, ask};
use crate::support::{Cluster, RawClient, message};

/// Sends each text to both by Query, and compares.
fn same(twin: &mut Twin, texts: &[&str]) {
    for text in texts {
        let wanted = Answer::of(&twin.plain.query(text));
        let given = Answer::of(&twin.sealed.query(text));
        assert_eq!(given, wanted, "{text}");
    }
}

#[test]
fn statements_are_prepared_and_executed_by_name() {
    let mut twin = Twin::start(Cluster::shared());
    same(
        &mut twin,
        &[
            "PREPARE by_email (text) AS SELECT id, email, ssn, born FROM people WHERE email = $1 ORDER BY id",
            "EXECUTE by_email('ada@example.com')",
            "EXECUTE by_email('nobody')",
            "EXECUTE by_email(NULL)",
            "EXECUTE by_email('o''brien@example.com'::text)",
            "EXECUTE by_email(E'grace\\u0040example.com')",
            "EXECUTE by_email",
            "EXECUTE by_email('a', 'b')",
            "PREPARE by_email AS SELECT 1",
            "PREPARE untyped AS SELECT id FROM people WHERE level = $1 AND team = $2 ORDER BY id",
            "EXECUTE untyped(3, 1)",
            "EXECUTE untyped('3', '1')",
            "EXECUTE untyped(99999999999, 1)",
            "EXECUTE untyped('x', 1)",
            "PREPARE wide (int8) AS SELECT id FROM people WHERE level = $1 ORDER BY id",
            "EXECUTE wide(3)",
            "EXECUTE wide(99999999999)",
            "PREPARE listed (text[]) AS SELECT id FROM people WHERE email = ANY($1) ORDER BY id",
            "EXECUTE listed('{ada@example.com,grace@example.com,NULL}')",
            "EXECUTE listed('{}'::text[])",
            "PREPARE asked (text) AS SELECT id FROM people WHERE $1 IS NULL OR team = 1 ORDER BY id",
            "EXECUTE asked('x')",
            "EXECUTE asked(NULL)",
            "PREPARE born (date) AS SELECT id FROM people WHERE born = $1 ORDER BY id",
            "EXECUTE born('10 Dec 1985')",
            "EXECUTE born('1985-12-10'::date)",
            "EXECUTE born('tomorrow-ish')",
            "PREPARE grow (int, text, varchar, numeric, bool) AS \
             INSERT INTO kinds (id, t, vc, n2, b) VALUES ($1, $2, $3, $4, $5) RETURNING id, t, vc, n2, b",
            "EXECUTE grow(100, 'x', 'y', 1.005, true)",
            "EXECUTE grow(101, 5, -7, -1e3, 'off')",
            "EXECUTE grow(102, 'x', 'much too long for it', 1, NULL)",
            "EXECUTE grow(103, 'x', 'y', 99999999999.99, NULL)",
            "EXECUTE grow(104, 1.50, 'y', 12, false)",
            "SELECT id, t, vc, n2, b FROM kinds WHERE id >= 100 ORDER BY id",
            "DEALLOCATE by_email",
            "DEALLOCATE by_email",
            "EXECUTE by_email('ada@example.com')",
            "PREPARE by_email AS SELECT email FROM plain WHERE email = $1",
            "EXECUTE by_email('ada@example.com')",
            "DEALLOCATE ALL",
            "PREPARE p AS SELECT email FROM people WHERE email = $1; EXECUTE p('ada@example.com'); DEALLOCATE p",
        ],
    );
    let explained = twin.sealed.query("PREPARE e AS SELECT id FROM people WHERE email = $1");
    assert!(Answer::of(&explained).errors.is_empty());
    let explained = Answer::of(&twin.sealed.query("EXPLAIN (COSTS OFF) EXECUTE e('ada@example.com')"));
    assert!(explained.errors.is_empty() && !explained.rows.is_empty(), "{explained:?}");
    assert!(!format!("{explained:?}").contains("ada@"), "{explained:?}");
}

#[test]
fn names_of_sql_and_of_the_protocol_are_the_same() {
    let mut twin = Twin::start(Cluster::shared());
    let run = |client: &mut RawClient| {
        client.run("PREPARE q (text) AS SELECT id, email FROM people WHERE email = $1");
        let by_protocol = [
            message::describe(b'S', "q"),
            message::bind("", "q", &[], &[Some(b"ada@example.com")], &[1]),
            message::describe(b'P', ""),
            message::execute("", 0),
            message::parse("r", "SELECT id FROM people WHERE email = $1", &[]),
            message::sync(),
        ];
        client.send(&by_protocol.concat());
        let bound = Answer::of(&client.read_until_ready());
        (bound, Answer::of(&client.query("EXECUTE r('grace@example.com')")))
    };
    let (given, wanted) = (run(&mut twin.sealed), run(&mut twin.plain));
    assert_eq!(given, wanted);
    assert_eq!(given.1.rows.len(), 1);
    // EXECUTE takes no parameters of its own; that it is told so at another step keeps the value sealed.
    for client in [&mut twin.sealed, &mut twin.plain] {
        let answer = ask(client, How::Described, "EXECUTE q($1)", &[Some("ada@example.com")]);
        assert_eq!((answer.errors.len(), answer.rows.len()), (1, 0), "{answer:?}");
    }
}

#[test]
fn cursors_are_declared_and_fetched_from() {
    let mut twin = Twin::start(Cluster::shared());
    same(
        &mut twin,
        &[
            "BEGIN",
            "DECLARE c SCROLL CURSOR FOR SELECT id, email, ssn, level FROM people ORDER BY id",
            "FETCH c",
            "FETCH FORWARD 2 FROM c",
            "FETCH PRIOR IN c",
            "MOVE 1 FROM c",
            "FETCH ALL FROM \"c\"",
            "FETCH ABSOLUTE 1 c",
            "DECLARE b BINARY CURSOR FOR SELECT email, level, born, notes FROM people ORDER BY id",
            "FETCH ALL FROM b",
            "CLOSE b",
            "FETCH b",
            "ROLLBACK",
            "FETCH c",
            "DECLARE outside CURSOR FOR SELECT email FROM people",
            "DECLARE h CURSOR WITH HOLD FOR SELECT email FROM people WHERE email <> 'ada@example.com' ORDER BY id",
            "FETCH 1 FROM h",
            "BEGIN; FETCH 1 FROM h; ROLLBACK",
            "FETCH 1 FROM h",
            "CLOSE ALL",
            "FETCH 1 FROM h",
            "BEGIN; DECLARE t CURSOR FOR SELECT email FROM people ORDER BY id; FETCH 2 FROM t; CLOSE t; COMMIT",
            "BEGIN",
            "DECLARE u CURSOR FOR SELECT id, email FROM people WHERE id < 4 ORDER BY id FOR UPDATE",
            "FETCH 2 FROM u",
            "UPDATE people SET email = 'current@example.com', level = 9 WHERE CURRENT OF u RETURNING id, email, level",
            "DELETE FROM people WHERE CURRENT OF u",
            "SAVEPOINT s",
            "DECLARE c CURSOR FOR SELECT email FROM people ORDER BY id",
            "ROLLBACK TO s",
            "FETCH c",
            "ROLLBACK",
        ],
    );
}

#[test]
fn cursors_are_described_and_fetched_from_by_the_protocol() {
    let mut twin = Twin::start(Cluster::shared());
    let run = |client: &mut RawClient| {
        client.run("BEGIN");
        let declared = ask(
            client,
            How::Text,
            "DECLARE c CURSOR FOR SELECT id, email, born FROM people WHERE email <> $1 ORDER BY id",
            &[Some("ada@example.com")],
        );
        client.send(&[message::describe(b'P', "c"), message::execute("c", 1), message::sync()].concat());
        let described = Answer::of(&client.read_until_ready());
        let fetched = [How::Text, How::Binary, How::Described]
            .map(|how| ask(client, how, "FETCH FORWARD 1 FROM c", &[]));
        // In one pipeline, without waiting.
        let pipeline = [
            message::parse("", "DECLARE d CURSOR FOR SELECT email FROM people ORDER BY id", &[]),
            message::bind("", "", &[], &[], &[]),
            message::execute("", 0),
            message::parse("", "FETCH ALL FROM d", &[]),
            message::bind("", "", &[], &[], &[]),
            message::execute("", 0),
            message::sync(),
        ];
        client.send(&pipeline.concat());
        let piped = Answer::of(&client.read_until_ready());
        client.run("ROLLBACK");
        (declared, described, fetched, piped)
    };
    let (given, wanted) = (run(&mut twin.sealed), run(&mut twin.plain));
    assert_eq!(given, wanted);
    assert_eq!(given.3.rows.len(), 6);
}
