//! Canaries: values of protected columns, sent in every way, must not reach the server in any form.
//!
//! Looked through are the bytes that the proxy sent, a server log that holds all that PostgreSQL can log,
//! and every file of the server.

use base64::Engine as _;
use memchr::memmem;

use crate::fixture::{How, ask, policy, schema};
use crate::support::message::*;
use crate::support::{Cluster, Direction, Proxy, RawClient, Recorder};

/// A value for a protected text column, and one that may be seen (so that the search itself is tested).
const CANARY: &str = "canary-Q7xZ-yellow";
const VISIBLE: &str = "visible-W3vK-sparrow";

/// Canaries of other types, as PostgreSQL prints them, each with the forms to look for beside the text.
const DATE: (&str, &[&str]) = ("1907-03-29", &["1907-03-29", "29 Mar 1907"]);
const NUMBER: (&str, &[&str]) = ("1739562841", &["1739562841"]);

/// Statements with canaries; what comes of them does not matter here. `{c}` is the canary.
const STATEMENTS: &[&str] = &[
    // Accepted.
    "INSERT INTO people (id, email, ssn, city, notes, born, level) VALUES (1, '{c}1', '{c}', '{c}', '{\"k\": \"{c}\"}', '1907-03-29', 1739562841)",
    "INSERT INTO people (id, email) VALUES (2, E'{c}2'), (3, U&'{c}3'), (4, $x${c}4$x$), (5, '{c}' '5')",
    "INSERT INTO kinds (id, t, by, ta, js, vc) VALUES (1, '{c}', '{c}', ARRAY['{c}'], '[\"{c}\"]', 'c')",
    "INSERT INTO kinds (id, ta) VALUES (2, '{\"{c}\"}')",
    "UPDATE people SET ssn = '{c}', city = '{c}'::text WHERE email = '{c}1'",
    "UPDATE people SET ssn = CASE WHEN id = 1 THEN '{c}' ELSE '{c}x' END",
    "UPDATE people SET ssn = COALESCE(NULL, '{c}')",
    "UPDATE people SET (email, ssn) = ('{c}6', '{c}') WHERE id = 2",
    "UPDATE people SET (email, ssn) = (SELECT '{c}7', '{c}') WHERE id = 2",
    "SELECT * FROM people WHERE email = '{c}' OR email IN ('{c}', 'x') OR '{c}' = email",
    "SELECT * FROM people WHERE email = ANY('{{c},x}') OR email = ANY(ARRAY['{c}'])",
    "SELECT * FROM people WHERE email IS DISTINCT FROM '{c}' AND born <> '29 Mar 1907'",
    "SELECT * FROM people WHERE email = CAST('{c}' AS text) OR email = text '{c}'",
    "SELECT * FROM people WHERE email = (SELECT '{c}') OR email IN (VALUES ('{c}'))",
    "SELECT email FROM people UNION SELECT '{c}'",
    "SELECT email FROM people WHERE ROW(email, born) = ROW('{c}', DATE '1907-03-29')",
    "WITH x(e) AS (SELECT '{c}') SELECT * FROM people, x WHERE email = e",
    "DELETE FROM people USING (VALUES ('{c}')) v(e) WHERE email = v.e",
    "INSERT INTO people (id, email) VALUES (1, '{c}1') ON CONFLICT (id) DO UPDATE SET email = '{c}8', ssn = EXCLUDED.email",
    "INSERT INTO people (id, email) SELECT 20, '{c}'",
    "INSERT INTO orders (id, email, memo) VALUES (1, '{c}', '{c}') RETURNING *",
    "SELECT * FROM adults WHERE mail = '{c}'",
    "SELECT * FROM contacts WHERE email = '{c}'",
    "INSERT INTO adults (id, mail) VALUES (30, '{c}')",
    // In several statements, with and without an error.
    "BEGIN; UPDATE people SET ssn = '{c}'; SELECT 1/0; UPDATE people SET ssn = '{c}'",
    "UPDATE people SET ssn = '{c}'; SELECT * FROM plain; UPDATE people SET email = '{c}'",
    "ROLLBACK",
    // Errors that quote a value, of the proxy and of the server.
    "INSERT INTO people (id, email) VALUES (1, '{c}')",
    "INSERT INTO people (id, email) VALUES (40, '{c}'), (41, '{c}')",
    "INSERT INTO people (id, born) VALUES (50, '{c}')",
    "INSERT INTO people (id, level) VALUES (50, '{c}')",
    "INSERT INTO people (id, notes) VALUES (50, '{\"{c}')",
    "INSERT INTO people (id, city) VALUES (50, '{c}{c}{c}{c}')",
    "INSERT INTO people (id, email) VALUES ('x', '{c}')",
    "INSERT INTO people (id, email, nothing) VALUES (50, '{c}', 1)",
    "INSERT INTO people (id, email) VALUES (50, '{c}', 1)",
    "INSERT INTO people VALUES (NULL, NULL, '{c}')",
    "INSERT INTO people (id, email) VALUES (1/0, '{c}')",
    "INSERT INTO public.people (id, email) VALUES (50, '{c}') RETURNING 1/0",
    // Refused, by construct.
    "SELECT * FROM people WHERE email LIKE '{c}%'",
    "SELECT * FROM people WHERE lower(email) = '{c}'",
    "SELECT * FROM people WHERE ssn = '{c}'",
    "SELECT * FROM people WHERE email > '{c}' OR email BETWEEN '{c}' AND 'z'",
    "SELECT * FROM people WHERE email OPERATOR(pg_catalog.=) '{c}'",
    "UPDATE people SET email = '{c}' || 'x'",
    "UPDATE people SET email = lower('{c}'), ssn = concat('{c}', id)",
    "UPDATE people SET name = email, email = '{c}'",
    "SELECT '{c}' FROM people GROUP BY ssn",
    "COPY people (email) FROM PROGRAM 'echo {c}'",
    "EXPLAIN SELECT * FROM people WHERE email = '{c}'",
    "PREPARE p AS SELECT * FROM people WHERE email = '{c}'",
    "PREPARE q AS SELECT * FROM people WHERE email = $1",
    "EXECUTE q('{c}')",
    "EXECUTE q('{c}'::text)",
    "EXECUTE q(('{c}'))",
    "EXECUTE q('{c}', '{c}')",
    "EXECUTE q(lower('{c}'))",
    "EXECUTE q('{c}'::varchar(3))",
    "EXPLAIN ANALYZE EXECUTE q('{c}')",
    "EXECUTE never('{c}')",
    "PREPARE twice AS SELECT * FROM people WHERE email = $1; EXECUTE twice('{c}'); SELECT 1/0",
    "DEALLOCATE twice; EXECUTE twice('{c}')",
    "PREPARE nulls (text) AS SELECT 1 FROM people WHERE $1 IS NULL",
    "EXECUTE nulls('{c}')",
    "BEGIN; DECLARE k CURSOR FOR SELECT * FROM people WHERE ssn = '{c}' OR email = '{c}'; FETCH k; COMMIT",
    "CREATE TABLE made AS EXECUTE q('{c}')",
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM people WHERE email = '{c}'",
    "CREATE TABLE copy AS SELECT * FROM people WHERE email = '{c}'",
    "SELECT * INTO copy FROM people WHERE email = '{c}'",
    "CREATE INDEX i ON people (id) WHERE email = '{c}'",
    "CREATE VIEW v AS SELECT * FROM people WHERE email = '{c}'",
    "ALTER TABLE people ALTER COLUMN email SET DEFAULT '{c}'",
    "ALTER TABLE people ADD CHECK (email <> '{c}')",
    "CREATE RULE r AS ON UPDATE TO people DO ALSO UPDATE people SET email = '{c}'",
    "CREATE POLICY y ON people USING (email = '{c}')",
    "DO $$ BEGIN UPDATE people SET email = '{c}'; END $$",
    "MERGE INTO people USING plain ON people.id = plain.id WHEN MATCHED THEN UPDATE SET email = '{c}'",
    "WITH w AS (UPDATE people SET ssn = '{c}' RETURNING ssn) SELECT * FROM w",
    "SELECT * FROM ONLY people WHERE email = '{c}'",
    "SELECT * FROM people * WHERE email = '{c}'",
    // What does not parse, or is misread by others.
    "SELECT * FROM people WHERE email = '{c}' WHERE",
    "SELEC * FROM people WHERE email = '{c}'",
    "UPDATE people SET email = '{c}",
    "UPDATE people SET email = $a${c}",
    "UPDATE people SET email = '{c}' /* no end",
    "UPDATE \"people\" SET \"email\" = '{c}'",
    "UPDATE U&\"peopl\\0065\" SET email = '{c}'",
    "UPDATE PUBLIC.PEOPLE SET EMAIL = '{c}'",
    "UPDATE public . people SET email = '{c}'",
    "UPDATE people AS only SET email = '{c}' WHERE only.id = 1",
    "SELECT 1 '{c}' FROM people",
    "SET search_path = other, public; UPDATE public.people SET email = '{c}'",
    "CREATE TEMP TABLE people (id int); DROP TABLE pg_temp.people; UPDATE people SET email = '{c}'",
    "RESET search_path",
];

/// The same by Parse and Bind; each value is the canary.
const WITH_PARAMETERS: &[&str] = &[
    "INSERT INTO people (id, email, ssn, city) VALUES (100, $1, $1, $2)",
    "INSERT INTO people (id, email, ssn) VALUES (101, $1::text, CAST($2 AS text))",
    "INSERT INTO people (id, email, ssn) VALUES (DEFAULT, $1, $2)",
    "INSERT INTO people (id, born, ssn) VALUES (102, now(), $1)",
    "INSERT INTO people (id, born, level) VALUES (102, $1, $2)",
    "UPDATE people SET ssn = $1, name = 'x' WHERE email = $2",
    "UPDATE people SET ssn = $1, name = $1",
    "UPDATE people SET name = upper($2), email = $2 WHERE ssn IS NULL",
    "SELECT * FROM people WHERE $1::text IS NULL OR email = $1",
    "SELECT * FROM people WHERE email = $1 AND name LIKE $2 AND email <> $2",
    "SELECT * FROM people WHERE email = ANY(ARRAY[$1, $2])",
    "SELECT email FROM people UNION SELECT $1",
    "SELECT * FROM people WHERE email LIKE $1",
    "SELECT * FROM people WHERE ssn = $1",
    "INSERT INTO people (id, email) SELECT 103, $1",
    "WITH x(e) AS (SELECT $1) SELECT * FROM people, x WHERE email = e",
    "SELECT * FROM people WHERE email = (SELECT $1 WHERE $1 IS NOT NULL)",
    "SELEC * FROM people WHERE email = $1",
    "INSERT INTO people (id, email) VALUES (1, $1)",
];

#[test]
fn no_canary_reaches_the_server_in_any_form() {
    let cluster = Cluster::logging();
    let database = cluster.database("leak");
    cluster.connect(&database).run(&schema(true));
    let upstream = Recorder::start(cluster.address());
    let proxy = Proxy::start(upstream.address(), &policy());
    let mut client = proxy.connect(&database);

    client.run(&format!("INSERT INTO plain VALUES (1, '{VISIBLE}', 1)"));
    for statement in STATEMENTS {
        let sql = statement.replace("{c}", CANARY);
        for how in [How::Simple, How::Text, How::Described] {
            ask(&mut client, how, &sql, &[]);
        }
    }
    client.query("ROLLBACK");
    for sql in WITH_PARAMETERS {
        let count = if sql.contains("$2") { 2 } else { 1 };
        let values = vec![Some(CANARY); count];
        for how in [How::Text, How::Described] {
            ask(&mut client, how, sql, &values);
        }
        // Declared types, binary formats, and a type that the column does not have.
        for ty in [25, 1043, 17, 705, 23, 1082] {
            let bytes: Vec<Option<&[u8]>> = values.iter().map(|v| v.map(str::as_bytes)).collect();
            let types = vec![ty; count];
            let messages = [parse("", sql, &types), bind("", "", &[1], &bytes, &[]), execute("", 0), sync()];
            client.send(&messages.concat());
            client.read_until_ready();
        }
    }
    skipped_batches(&mut client);
    copies(&mut client, &proxy, &database);
    // Still the same session, unharmed.
    assert_eq!(client.value("SELECT n FROM plain WHERE id = 1").as_deref(), Some("1"));

    cluster.connect(&database).run("CHECKPOINT");
    assert!(!found(&upstream.all_bytes(Direction::Forward), VISIBLE).is_empty(), "the recorder records");
    assert!(!found(&cluster.log(), VISIBLE).is_empty(), "the server logs");
    let mut places = vec![("sent bytes".to_owned(), upstream.all_bytes(Direction::Forward))];
    places.extend(cluster.files().into_iter().map(|(path, content)| (path.display().to_string(), content)));
    places.push(("proxy's log".to_owned(), proxy.log()));
    let visible = places.iter().filter(|(_, content)| !found(content, VISIBLE).is_empty()).count();
    assert!(visible >= 3, "the visible value is in {visible} places only");
    let mut leaks = Vec::new();
    for (place, content) in &places {
        let texts = [CANARY].iter().chain(DATE.1).chain(NUMBER.1);
        leaks.extend(texts.flat_map(|text| found(content, text)).map(|leak| format!("{place}: {leak}")));
    }
    assert!(leaks.is_empty(), "\n{}\n", leaks.join("\n"));
    assert!(!cluster.log().windows(10).any(|w| w == DATE.0.as_bytes() || w == NUMBER.0.as_bytes()));
}

/// What the server skips after an error, it still receives.
fn skipped_batches(client: &mut RawClient) {
    let value = Some(CANARY.as_bytes());
    let insert = "INSERT INTO people (id, email) VALUES (200, $1)";
    let broken = ["SELECT 1/0", "SELECT * FROM nothing", "SELECT * FROM people WHERE ssn LIKE 'x'"];
    for statement in broken {
        let batch = [
            parse("", statement, &[]),
            bind("", "", &[], &[], &[]),
            execute("", 0),
            parse("skipped", insert, &[]),
            bind("", "skipped", &[], &[value], &[]),
            execute("", 0),
            parse("", &format!("UPDATE people SET ssn = '{CANARY}'"), &[]),
            bind("", "", &[], &[], &[]),
            execute("", 0),
            sync(),
            // The statement was never made, so nobody knows what this value is for.
            bind("", "skipped", &[], &[value], &[]),
            execute("", 0),
            sync(),
        ];
        client.send(&batch.concat());
        client.read_until_ready();
        client.read_until_ready();
    }
}

/// COPY data follows its statement without waiting for an answer.
fn copies(client: &mut RawClient, proxy: &Proxy, database: &str) {
    let copies: [(&str, &[&str]); 14] = [
        ("COPY people (id, email) FROM STDIN", &["300\t{c}\n"]),
        ("COPY people (id, email, ssn) FROM STDIN CSV", &["301,{c},\"{c}\n{c}\"\n"]),
        ("COPY people (id, email) FROM STDIN", &["302\t{c}", "{c}\n303\t", "{c}\n"]),
        ("COPY people FROM STDIN (FORMAT csv, BROKEN)", &["300,{c}\n"]),
        ("COPY people (id, email) FROM STDIN WHERE email <> ''", &["300\t{c}\n"]),
        // The server drops the first line; what is behind the end; what is one too many.
        ("COPY people (id, email) FROM STDIN CSV HEADER", &["{c},\"{c}\n{c}\"\n304,{c}\n"]),
        ("COPY people (id, email) FROM STDIN (HEADER match)", &["{c}\t{c}\n304\t{c}\n"]),
        ("COPY people (id, email) FROM STDIN", &["305\t{c}\n\\.\n{c}\n", "{c}"]),
        ("COPY people (id, email) FROM STDIN", &["306\t{c}\t{c}\n"]),
        // Values that cannot be sealed, with more behind them.
        ("COPY people (email, born) FROM STDIN", &["{c}\t{c}\n{c}\t{c}\n", "{c}"]),
        ("COPY people (email, level) FROM STDIN CSV", &["\"{c}\",\"{c}\"\n{c}", "{c}"]),
        ("COPY people (email) FROM STDIN BINARY", &["{c}{c}{c}"]),
        // Errors of the server that quote the row.
        ("COPY people (id, email) FROM STDIN", &["307\t{c}\n307\tx{c}\nx\tx{c}\n"]),
        ("COPY people (id, email) FROM STDIN", &["\\N\ty{c}\n"]),
    ];
    for (copy, data) in copies {
        let data: Vec<u8> =
            data.iter().flat_map(|data| copy_data(data.replace("{c}", CANARY).as_bytes())).collect();
        for end in [copy_done(), copy_fail(CANARY)] {
            client.send(&[query(copy), data.clone(), end.clone()].concat());
            client.read_until_ready();
            let extended = [
                parse("", copy, &[]),
                bind("", "", &[], &[], &[]),
                execute("", 0),
                data.clone(),
                end,
                sync(),
            ];
            // The outcome may be that the session ends; that is no leak.
            let mut other = proxy.connect(database);
            other.send(&extended.concat());
            other.read_until_ready();
        }
    }
    for copy in ["COPY people TO STDOUT", "COPY (SELECT email FROM people WHERE email = '{c}') TO STDOUT"] {
        client.query(&copy.replace("{c}", CANARY));
    }
}

/// Every form of `text` that is in `content`, by name, with what surrounds it.
fn found(content: &[u8], text: &str) -> Vec<String> {
    let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
    let utf16: Vec<u16> = text.encode_utf16().collect();
    let mut forms = vec![
        ("plain", text.as_bytes().to_vec()),
        ("lower case", text.to_lowercase().into_bytes()),
        ("upper case", text.to_uppercase().into_bytes()),
        ("hex", hex.clone().into_bytes()),
        ("upper hex", hex.to_uppercase().into_bytes()),
        ("UTF-16 LE", utf16.iter().flat_map(|u| u.to_le_bytes()).collect()),
        ("UTF-16 BE", utf16.iter().flat_map(|u| u.to_be_bytes()).collect()),
        ("reversed", text.bytes().rev().collect()),
    ];
    // Within a longer text, base64 depends on where the value begins; its edges mix with their neighbours.
    for shift in 0..3 {
        let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
        let encoded = engine.encode([&vec![0; shift], text.as_bytes()].concat());
        let (begin, end) = (shift * 8 / 6 + usize::from(shift > 0), encoded.len() - 2);
        forms.push(("base64", encoded.as_bytes()[begin..end].to_vec()));
    }
    let hit = |(name, form): (&str, Vec<u8>)| {
        let at = memmem::find(content, &form)?;
        let around = &content[at.saturating_sub(80)..content.len().min(at + form.len() + 40)];
        Some(format!("{text} as {name}: ...{}...", around.escape_ascii()))
    };
    forms.into_iter().filter_map(hit).collect()
}
