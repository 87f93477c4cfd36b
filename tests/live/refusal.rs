//! A refused statement leaves the transaction where a failed one leaves it.

use crate::fixture::{Answer, Twin, policy, schema};
use crate::support::message::*;
use crate::support::{Cluster, Frame, Proxy};

/// Cannot be answered on an encrypted column.
const REFUSED: &str = "SELECT id FROM people WHERE ssn LIKE 'x%'";
/// Fails on any server, as a refused statement must seem to.
const FAILING: &str = "SELECT id FROM FROM people";

/// Messages around a statement that fails, sent together; `{}` stands for it.
fn scripts(bad: &str) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let count = "SELECT count(*) FROM plain";
    let insert = "INSERT INTO plain VALUES (900, 'x', 1)";
    let run = |sql: &str| [parse("", sql, &[]), bind("", "", &[], &[], &[]), execute("", 0)].concat();
    vec![
        ("alone", vec![query(bad), query(count)]),
        (
            "in a transaction",
            vec![query("BEGIN"), query(insert), query(bad), query(count), query("COMMIT"), query(count)],
        ),
        (
            "after a savepoint",
            vec![
                query("BEGIN"),
                query(insert),
                query("SAVEPOINT a"),
                query(bad),
                query(count),
                query("ROLLBACK TO a"),
                query(count),
                query("ROLLBACK"),
                query(count),
            ],
        ),
        ("last of several statements", vec![query(&format!("{insert}; {bad}")), query(count)]),
        ("first of several statements", vec![query(&format!("{bad}; {insert}")), query(count)]),
        ("behind a BEGIN in one text", vec![query(&format!("BEGIN; {bad}")), query(count)]),
        ("by Parse and Bind", vec![flight(bad, &[], &[], 0), query(count)]),
        (
            "by Parse and Bind in a transaction",
            vec![
                flight("BEGIN", &[], &[], 0),
                flight(bad, &[], &[], 0),
                flight(count, &[], &[], 0),
                flight("ROLLBACK", &[], &[], 0),
                flight(count, &[], &[], 0),
            ],
        ),
        (
            "described first",
            vec![
                [parse("s", bad, &[]), describe(b'S', "s"), sync()].concat(),
                [bind("", "s", &[], &[], &[]), execute("", 0), sync()].concat(),
            ],
        ),
        (
            "after work in an unsynced batch",
            vec![[run(insert), run(bad), run(count), sync()].concat(), query(count)],
        ),
        (
            "first in an unsynced batch",
            vec![[run(bad), run(insert), run(count), sync()].concat(), query(count)],
        ),
        ("twice in a batch", vec![[run(bad), run(bad), sync(), run(bad), sync()].concat(), query(count)]),
        ("behind an error of the server", vec![[run("SELECT 1/0"), run(bad), sync()].concat(), query(count)]),
        (
            "before an error of the server",
            vec![[run(bad), run("SELECT 1/0"), sync(), run("SELECT 1/0"), sync()].concat(), query(count)],
        ),
        (
            "between flights in one write",
            vec![
                [
                    flight(count, &[], &[], 0),
                    flight(bad, &[], &[], 0),
                    flight(count, &[], &[], 0),
                    query(bad),
                    query(count),
                ]
                .concat(),
            ],
        ),
        (
            "with a Flush",
            vec![[run(insert), flush(), run(bad), flush(), run(count), sync()].concat(), query(count)],
        ),
        (
            "as a statement whose name is used later",
            vec![
                [parse("later", bad, &[]), sync(), bind("", "later", &[], &[], &[]), execute("", 0), sync()]
                    .concat(),
                [close(b'S', "later"), sync()].concat(),
            ],
        ),
        (
            "and an unnamed statement stays",
            vec![
                [parse("", count, &[]), sync()].concat(),
                [parse("s2", bad, &[]), sync()].concat(),
                [bind("", "", &[], &[], &[]), execute("", 0), sync()].concat(),
            ],
        ),
    ]
}

#[test]
fn a_refusal_looks_like_a_failed_statement_wherever_it_stands() {
    let mut twin = Twin::start(Cluster::shared());
    let mut failures = Vec::new();
    for ((name, failing), (_, refused)) in scripts(FAILING).into_iter().zip(scripts(REFUSED)) {
        let expected = play(&mut twin.plain, &failing);
        let got = play(&mut twin.sealed, &refused);
        let shape = |frames: &[Frame], own: &str| -> Vec<String> {
            let shape = frames.iter().filter(|f| !matches!(f.tag, b'T')).map(|f| match f.tag {
                b'E' if f.sqlstate() == own => "refused".to_owned(),
                _ if f.tag == b'E' => f.sqlstate(),
                _ => format!("{f:?}"),
            });
            shape.collect()
        };
        let (expected, got) = (shape(&expected, "42601"), shape(&got, "0A000"));
        if expected != got {
            failures.push(format!("{name}\n  expected {expected:?}\n  got      {got:?}"));
        }
        twin.plain.query("ROLLBACK");
        twin.sealed.query("ROLLBACK");
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

#[test]
fn a_refusal_in_a_failed_transaction_is_what_the_server_says_there() {
    let mut twin = Twin::start(Cluster::shared());
    twin.sealed.run("BEGIN");
    twin.sealed.query("SELECT 1/0");
    for frames in [twin.sealed.query(REFUSED), twin.sealed.extended(REFUSED, &[])] {
        let answer = Answer::of(&frames);
        assert_eq!((answer.errors, answer.status), (vec!["25P02".to_owned()], "E".to_owned()));
    }
    twin.sealed.run("ROLLBACK");
}

#[test]
fn a_refusal_names_the_code_the_column_the_way_out_and_the_place() {
    let mut twin = Twin::start(Cluster::shared());
    // (statement, what the position points at)
    let cases = [
        ("SELECT id FROM people WHERE ssn LIKE 'x%'", "ssn"),
        ("SELECT 'é🦉', id FROM people WHERE ssn LIKE 'x%'", "ssn"),
        ("SELECT 1;\n SELECT lower(p.email) FROM people p", "email"),
        ("UPDATE plain SET email = (SELECT ssn FROM people LIMIT 1)", "ssn"),
    ];
    for (sql, column) in cases {
        for frames in [twin.sealed.query(sql), twin.sealed.extended(sql, &[])] {
            // Several statements are no prepared statement; the server says so itself.
            let Some(error) = frames.iter().find(|f| f.tag == b'E' && f.sqlstate() != "42601") else {
                assert!(sql.contains(';'), "{sql}: {frames:?}");
                continue;
            };
            let field = |code| error.field(code);
            assert_eq!(field(b'S').as_deref(), Some("ERROR"), "{sql}");
            assert_eq!(field(b'V').as_deref(), Some("ERROR"), "{sql}");
            assert_eq!(field(b'C').as_deref(), Some("0A000"), "{sql}");
            let texts = [b'M', b'D', b'H'].map(|code| field(code).unwrap_or_default()).concat();
            assert!(texts.contains(column), "{sql}: {texts}");
            assert!(field(b'H').is_some_and(|hint| !hint.is_empty()), "{sql}: no hint in {error:?}");
            let position: usize = field(b'P').expect("a position").parse().unwrap();
            let length = sql.chars().count();
            assert!((1..=length).contains(&position), "{sql}: position {position}");
            let rest: String = sql.chars().skip(position - 1).collect();
            let at = sql.find(&rest).unwrap();
            let statement = sql.rfind("SELECT").unwrap();
            assert!(
                at >= statement || sql.starts_with("UPDATE"),
                "{sql}: position {position} is before the statement"
            );
        }
    }
}

#[test]
fn a_bad_value_at_bind_leaves_the_unnamed_statement_as_it_was() {
    let mut twin = Twin::start(Cluster::shared());
    let sql = "SELECT id FROM people WHERE born = $1 ORDER BY id";
    for client in [&mut twin.plain, &mut twin.sealed] {
        let bound = |value: &'static str| {
            [bind("", "", &[], &[Some(value.as_bytes())], &[]), execute("", 0), sync()].concat()
        };
        client.send(&[parse("", sql, &[]), bound("2023-02-30")].concat());
        let bad = Answer::of(&client.read_until_ready());
        assert_eq!(bad.errors, ["22008"]);
        client.send(&bound("1985-12-10"));
        let good = Answer::of(&client.read_until_ready());
        assert_eq!(good.rows.len(), 2, "{good:?}");
    }
}

#[test]
fn a_plan_that_would_change_is_refused_at_bind() {
    let cluster = Cluster::shared();
    let database = cluster.database("moved");
    cluster.connect(&database).run(&schema(true));
    let proxy = Proxy::start(cluster.address(), &policy());
    let mut client = proxy.connect(&database);
    // Parsed while `people` is the unprotected table of another schema, bound when it is the protected one.
    client.run("SET search_path = other, public");
    client.send(&[parse("s", "INSERT INTO people (id, email) VALUES ($1, $2)", &[]), sync()].concat());
    client.read_until_ready();
    client.run("SET search_path = public");
    client.send(
        &[bind("", "s", &[], &[Some(b"77"), Some(b"plaintext-77")], &[]), execute("", 0), sync()].concat(),
    );
    let answer = Answer::of(&client.read_until_ready());
    // Either the plan is refused, or the row went where the statement was analysed to put it.
    if answer.errors.is_empty() {
        assert_eq!(client.value("SELECT count(*) FROM other.people WHERE id = 77").as_deref(), Some("1"));
    } else {
        assert_eq!(answer.errors, ["0A000"]);
    }
    assert_eq!(
        cluster.connect(&database).value("SELECT count(*) FROM public.people WHERE id = 77").as_deref(),
        Some("0")
    );
}

fn play(client: &mut crate::support::RawClient, messages: &[Vec<u8>]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for message in messages {
        client.send(message);
        let (mut syncs, mut rest) = (0, message.as_slice());
        while let [tag, a, b, c, d, ..] = rest {
            syncs += usize::from(matches!(tag, b'Q' | b'S'));
            rest = &rest[1 + u32::from_be_bytes([*a, *b, *c, *d]) as usize..];
        }
        frames.extend((0..syncs).flat_map(|_| client.read_until_ready()).collect::<Vec<_>>());
    }
    frames
}
