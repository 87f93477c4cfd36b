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

/// Sends each text to both by Query: the same answer, or a refusal where one is allowed.
fn same_or_refused(twin: &mut Twin, texts: &[(&str, bool)]) {
    for (text, may_refuse) in texts {
        let wanted = Answer::of(&twin.plain.query(text));
        let given = Answer::of(&twin.sealed.query(text));
        let is_refused = *may_refuse && given.is_refused();
        assert!(is_refused || given == wanted, "{text}: {given:?}, not {wanted:?}");
    }
}

#[test]
fn what_fails_behind_other_statements_of_a_text_does_not_undo_them() {
    let mut twin = Twin::start(Cluster::shared());
    same_or_refused(
        &mut twin,
        &[
            ("PREPARE r (text) AS SELECT id FROM people WHERE email = $1", false),
            ("SET work_mem = '5MB'; EXECUTE r('a', 'b')", true),
            ("BEGIN; UPDATE plain SET n = 78 WHERE id = 1; COMMIT; EXECUTE nothing('ada@example.com')", true),
            ("EXECUTE r('a', 'b')", false),
            ("EXECUTE nothing('a', 'b')", false),
        ],
    );
    // A text that is refused is not carried out at all: the error says that it was not the server's.
    for text in ["DEALLOCATE r; EXECUTE r('ada@example.com')", "SELECT 1; EXECUTE r('a', 'b')"] {
        let given = Answer::of(&twin.sealed.query(text));
        assert!(given.is_refused() && given.commands.is_empty(), "{text}: {given:?}");
    }
    same(&mut twin, &["EXECUTE r('ada@example.com')"]);
}

#[test]
fn declared_types_that_a_column_is_not_compared_with_are_refused() {
    let mut twin = Twin::start(Cluster::shared());
    for (prepare, execute) in [
        ("PREPARE p (date) AS SELECT id FROM people WHERE $1 IS NULL OR born = $1", "EXECUTE p('canary')"),
        ("PREPARE p (int) AS SELECT id FROM people WHERE email = $1", "EXECUTE p(1)"),
        ("PREPARE p (text[]) AS SELECT id FROM people WHERE email = $1", "EXECUTE p('{a}')"),
        ("PREPARE p (text) AS SELECT id FROM people WHERE email = ANY($1)", "EXECUTE p('{a}')"),
        ("PREPARE p (text) AS SELECT id FROM people WHERE level = $1", "EXECUTE p('1')"),
        ("PREPARE p (date) AS UPDATE people SET level = $1 WHERE id = 1", "EXECUTE p('2020-01-01')"),
        ("PREPARE p (int) AS UPDATE people SET email = $1 WHERE id = 1", "EXECUTE p(3)"),
    ] {
        same_or_refused(&mut twin, &[("DEALLOCATE ALL", false), (prepare, true), (execute, true)]);
    }
}

#[test]
fn what_is_only_asked_whether_it_is_null_is_read_as_its_type_all_the_same() {
    let mut twin = Twin::start(Cluster::shared());
    same(
        &mut twin,
        &[
            "SELECT id FROM people WHERE '12'::int IS NULL ORDER BY id",
            "SELECT id FROM people WHERE '12'::int IS NOT NULL ORDER BY id",
            "SELECT id FROM people WHERE 12::int8 IS NOT NULL ORDER BY id",
            "SELECT id FROM people WHERE 99999999999::int4 IS NOT NULL ORDER BY id",
            "SELECT id FROM people WHERE 'canary'::int IS NULL ORDER BY id",
            "SELECT id FROM people WHERE 'canary'::text::int IS NULL ORDER BY id",
            "SELECT id FROM people WHERE '99.95'::numeric(3,1) IS NULL ORDER BY id",
            "SELECT id FROM people WHERE '1985-12-10'::date IS NULL OR born = '1985-12-10'::date ORDER BY id",
            "SELECT id FROM people WHERE '1985-13-10'::date IS NULL OR born = '1985-12-10'::date ORDER BY id",
            "SELECT id FROM people WHERE 'x'::text IS NULL OR email = 'ada@example.com'::text ORDER BY id",
            "SELECT id FROM people WHERE CAST('xyz' AS varchar(2)) IS NULL OR email = 'ada@example.com' ORDER BY id",
            "SELECT id FROM people WHERE ARRAY['x'] IS NULL OR email = ANY (ARRAY['ada@example.com']) ORDER BY id",
            "SELECT id FROM people WHERE '{x}'::text[] IS NULL OR email = 'ada@example.com' ORDER BY id",
            "SELECT id FROM people WHERE '{x'::text[] IS NULL OR email = 'ada@example.com' ORDER BY id",
            "SELECT id FROM people WHERE date '1985-12-10' IS NULL OR born = date '1985-12-10' ORDER BY id",
            "SELECT id FROM people WHERE date '1985-12-41' IS NULL OR born = date '1985-12-10' ORDER BY id",
            "SELECT id FROM people WHERE -5 IS NULL OR level = -5 ORDER BY id",
            "SELECT id FROM people WHERE 1.5::int IS NULL OR level = 2 ORDER BY id",
        ],
    );
    for (text, values) in [
        ("SELECT id FROM people WHERE $1::int IS NULL ORDER BY id", ["canary", "12"]),
        (
            "SELECT id FROM people WHERE $1::date IS NULL OR born = '1985-12-10' ORDER BY id",
            ["x", "1985-12-10"],
        ),
        ("SELECT id FROM people WHERE $1::text IS NULL OR born = '1985-12-10' ORDER BY id", ["canary", "x"]),
        ("SELECT id FROM people WHERE $1::point IS NULL OR born = '1985-12-10' ORDER BY id", ["x", "(1,2)"]),
        (
            "SELECT id FROM people WHERE $1::int[] IS NULL OR born = '1985-12-10' ORDER BY id",
            ["canary", "{1}"],
        ),
    ] {
        for value in values {
            for how in [How::Text, How::Described] {
                let wanted = ask(&mut twin.plain, how, text, &[Some(value)]);
                let given = ask(&mut twin.sealed, how, text, &[Some(value)]);
                assert_eq!(given, wanted, "{text} {value}");
            }
        }
    }
    for (prepare, execute) in [
        ("PREPARE p AS SELECT id FROM people WHERE $1::int IS NULL", "EXECUTE p('canary')"),
        ("PREPARE p AS SELECT id FROM people WHERE $1::int IS NULL AND email = 'x'", "EXECUTE p('12')"),
        ("PREPARE p (int) AS SELECT id FROM people WHERE $1 IS NULL", "EXECUTE p('canary')"),
        ("PREPARE p AS SELECT id FROM people WHERE $1::text IS NOT NULL", "EXECUTE p('canary')"),
    ] {
        same_or_refused(&mut twin, &[("DEALLOCATE ALL", false), (prepare, false), (execute, true)]);
    }
}
