//! The same statements on a plaintext database directly and on an encrypted one through the proxy: the
//! answers are the same, or the proxy refuses.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::fixture::{How, TABLES, Twin, ask};
use crate::support::Cluster;

/// What a statement must do through the proxy.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    /// The plaintext database's answer, errors included.
    Same,
    /// 0A000.
    Refused,
}
use Expected::{Refused, Same};

type Case = (Expected, &'static str, &'static [Option<&'static str>]);

const CASES: &[Case] = &[
    // Reading.
    (Same, "SELECT * FROM people ORDER BY id", &[]),
    (Same, "SELECT * FROM orders ORDER BY id", &[]),
    (Same, "SELECT * FROM kinds ORDER BY id", &[]),
    (Same, "SELECT p.*, o.memo FROM people p JOIN orders o ON o.person = p.id ORDER BY o.id", &[]),
    (Same, "SELECT email AS e, ssn \"S\", 1 AS one FROM public.people AS q ORDER BY q.id", &[]),
    (Same, "SELECT \"people\".\"email\" FROM \"public\".\"people\" ORDER BY ID", &[]),
    (Same, "select EMAIL from PEOPLE order by id limit 2 offset 1", &[]),
    (Same, "TABLE plain", &[]),
    (Same, "SELECT count(*), count(ssn), count(DISTINCT born) FROM people", &[]),
    (Same, "SELECT id FROM people WHERE ssn IS NULL ORDER BY id", &[]),
    (Same, "SELECT id, ssn IS NOT NULL AS has FROM people ORDER BY id", &[]),
    // Equality.
    (Same, "SELECT id, ssn FROM people WHERE email = $1", &[Some("ada@example.com")]),
    (Same, "SELECT id FROM people WHERE $1 = email", &[Some("o'brien@example.com")]),
    (Same, "SELECT id FROM people WHERE email = $1", &[Some("")]),
    (Same, "SELECT id FROM people WHERE email = $1", &[None]),
    (Same, "SELECT id FROM people WHERE email <> $1 ORDER BY id", &[Some("ada@example.com")]),
    (Same, "SELECT id FROM people WHERE email != $1 AND team = $2 ORDER BY id", &[Some("x"), Some("1")]),
    (Same, "SELECT id FROM people WHERE email = $1::text", &[Some("grace@example.com")]),
    (Same, "SELECT id FROM people WHERE born = CAST($1 AS date) ORDER BY id", &[Some("1985-12-10")]),
    (Same, "SELECT id FROM people WHERE born = DATE '1985-12-10' ORDER BY id", &[]),
    (Same, "SELECT id FROM people WHERE born = '10 December 1985' ORDER BY id", &[]),
    (Same, "SELECT id FROM people WHERE level = 3 ORDER BY id", &[]),
    (Same, "SELECT id FROM people WHERE level = -7", &[]),
    (Same, "SELECT id FROM people WHERE level = $1 ORDER BY id", &[Some(" 3 ")]),
    (Same, "SELECT id FROM people WHERE city = $1 ORDER BY id", &[Some("London")]),
    (Refused, "SELECT id FROM people WHERE email = 'ada@' 'example.com'", &[]),
    (Same, "SELECT id FROM people WHERE email = 'ada@'\n 'example.com'", &[]),
    (Same, "SELECT id FROM people WHERE email = E'ada\\x40example.com'", &[]),
    (Same, "SELECT id FROM people WHERE email = U&'ada\\0040example.com'", &[]),
    (Same, "SELECT id FROM people WHERE email = $tag$ada@example.com$tag$", &[]),
    (
        Same,
        "SELECT id FROM people WHERE email IN ('ada@example.com', $1) ORDER BY id",
        &[Some("edgar@example.com")],
    ),
    (Same, "SELECT id FROM people WHERE email NOT IN ($1) ORDER BY id", &[Some("edgar@example.com")]),
    (
        Same,
        "SELECT id FROM people WHERE email = ANY($1) ORDER BY id",
        &[Some("{ada@example.com,\"o'brien@example.com\",NULL}")],
    ),
    (Same, "SELECT id FROM people WHERE email <> ALL($1::text[]) ORDER BY id", &[Some("{ada@example.com}")]),
    (Same, "SELECT id FROM people WHERE level = ANY($1) ORDER BY id", &[Some("{3,5}")]),
    (Same, "SELECT id FROM people WHERE email IS DISTINCT FROM $1 ORDER BY id", &[Some("ada@example.com")]),
    (Same, "SELECT id FROM people WHERE email IS NOT DISTINCT FROM $1 ORDER BY id", &[None]),
    (
        Same,
        "SELECT id FROM people WHERE (email = $1 OR born = $2) AND NOT name = $3 ORDER BY id",
        &[Some("ada@example.com"), Some("1973-08-19"), Some("Ada")],
    ),
    // Joins, sets, groups.
    (Same, "SELECT p.id, o.id, o.email FROM people p JOIN orders o ON p.email = o.email ORDER BY 1, 2", &[]),
    (Same, "SELECT p.id, o.id FROM people p LEFT JOIN orders o USING (email) ORDER BY 1, 2", &[]),
    (Same, "SELECT email, p.id, o.id FROM people p FULL JOIN orders o USING (email) ORDER BY 2, 3", &[]),
    (
        Same,
        "SELECT p.id FROM people p, orders o WHERE p.email = o.email AND o.total > 10 ORDER BY p.id, o.id",
        &[],
    ),
    (Same, "SELECT p.id, o.id FROM people p JOIN orders o ON p.level = o.level ORDER BY 1, 2", &[]),
    (Same, "SELECT a.id, b.id FROM people a JOIN people b ON a.born = b.born AND a.id < b.id", &[]),
    (
        Same,
        "SELECT id FROM people WHERE email IN (SELECT email FROM orders WHERE total > 1) ORDER BY id",
        &[],
    ),
    (
        Same,
        "SELECT id FROM people p WHERE EXISTS (SELECT FROM orders o WHERE o.email = p.email) ORDER BY id",
        &[],
    ),
    (
        Same,
        "SELECT id, (SELECT o.memo FROM orders o WHERE o.person = p.id ORDER BY o.id LIMIT 1) FROM people p ORDER BY id",
        &[],
    ),
    (Same, "SELECT s.e, s.id FROM (SELECT email AS e, id FROM people) s ORDER BY s.id", &[]),
    (
        Same,
        "WITH x AS (SELECT email, id FROM people WHERE email = $1) SELECT x.* FROM x",
        &[Some("ada@example.com")],
    ),
    (
        Same,
        "WITH x(e) AS (SELECT email FROM people) SELECT o.id FROM x JOIN orders o ON o.email = x.e ORDER BY 1",
        &[],
    ),
    (Same, "SELECT born, count(*) FROM people GROUP BY born", &[]),
    (Same, "SELECT level, count(*) FROM people GROUP BY 1", &[]),
    (Same, "SELECT DISTINCT born FROM people", &[]),
    (Same, "SELECT DISTINCT city, team FROM people", &[]),
    (Same, "SELECT email FROM people UNION SELECT email FROM orders", &[]),
    (Same, "SELECT email FROM people UNION ALL SELECT email FROM orders", &[]),
    (Same, "SELECT email FROM people INTERSECT SELECT email FROM orders", &[]),
    (Same, "SELECT email FROM people EXCEPT SELECT email FROM orders", &[]),
    (Same, "SELECT email, count(*) FROM orders GROUP BY email HAVING count(*) > 1", &[]),
    (Same, "SELECT * FROM adults ORDER BY id", &[]),
    (Same, "SELECT mail FROM adults WHERE mail = $1", &[Some("ada@example.com")]),
    (
        Same,
        "SELECT name, email, total FROM contacts WHERE email = $1 ORDER BY total",
        &[Some("ada@example.com")],
    ),
    (Same, "SELECT * FROM other.people", &[]),
    (Same, "SELECT email FROM other.people WHERE email LIKE 'un%'", &[]),
    // Writing.
    (
        Same,
        "INSERT INTO people VALUES (10, 'Ten', 'ten@example.com', $1, '2000-01-01', 'x', '[]', 1, 1)",
        &[Some("10-10")],
    ),
    (
        Same,
        "INSERT INTO people (id, email, ssn) VALUES ($1, $2, $3), (12, 'twelve', NULL) RETURNING id, email, ssn",
        &[Some("11"), Some("eleven"), Some("11-11")],
    ),
    (Same, "INSERT INTO people (ssn, id) VALUES (DEFAULT, 13) RETURNING *", &[]),
    (Same, "INSERT INTO people (id, email) VALUES (14, 'ada@example.com')", &[]),
    (
        Same,
        "INSERT INTO people (id, email, name) VALUES (15, 'ada@example.com', 'dup') ON CONFLICT (email) DO NOTHING",
        &[],
    ),
    (
        Same,
        "INSERT INTO people (id, email, ssn) VALUES (16, 'ada@example.com', $1) ON CONFLICT (email) DO UPDATE SET ssn = EXCLUDED.ssn, city = $2 RETURNING id, ssn, city",
        &[Some("new"), Some("Paris")],
    ),
    (
        Same,
        "INSERT INTO orders (id, email, total) SELECT id + 100, email, 1 FROM people WHERE email = $1",
        &[Some("ten")],
    ),
    (
        Same,
        "INSERT INTO orders (id, email) SELECT id + 100, email FROM people WHERE id = 10 RETURNING id, email",
        &[],
    ),
    (
        Same,
        "UPDATE people SET ssn = $1, name = $2 WHERE email = $3 RETURNING id, name, ssn",
        &[Some("000"), Some("Eleven"), Some("eleven")],
    ),
    (
        Same,
        "UPDATE people SET (email, born) = ($1, $2) WHERE id = 12 RETURNING email, born",
        &[Some("t"), Some("2001-02-03")],
    ),
    (
        Same,
        "UPDATE orders o SET email = p.email FROM people p WHERE p.id = o.person AND o.id = 5 RETURNING o.id, o.email",
        &[],
    ),
    (Same, "UPDATE people SET email = NULL, ssn = '' WHERE id = 12 RETURNING *", &[]),
    (Same, "UPDATE people SET city = 'a city whose name is too long' WHERE id = 1", &[]),
    (Same, "UPDATE people SET born = 'not a date' WHERE id = 1", &[]),
    (Same, "UPDATE people SET born = '2023-02-30' WHERE id = 1", &[]),
    (Same, "UPDATE people SET level = 3000000000 WHERE id = 1", &[]),
    (Same, "UPDATE people SET level = '12x' WHERE id = 1", &[]),
    (Same, "UPDATE people SET notes = '{bad' WHERE id = 1", &[]),
    (Same, "UPDATE people SET level = $1 WHERE id = 1 RETURNING level", &[Some("12x")]),
    (Same, "UPDATE kinds SET n2 = 1.005, f4 = 0.1, bp = 'ab  ' WHERE id = 1 RETURNING n2, f4, bp", &[]),
    (Same, "UPDATE kinds SET i2 = 40000 WHERE id = 1", &[]),
    (Same, "UPDATE kinds SET n2 = 1e10 WHERE id = 1", &[]),
    (Same, "UPDATE kinds SET mo = 'glad' WHERE id = 1", &[]),
    (Same, "UPDATE kinds SET vc = '12345678901' WHERE id = 1", &[]),
    (Same, "UPDATE kinds SET u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12' WHERE id = 1 RETURNING u", &[]),
    (
        Same,
        "DELETE FROM orders USING people p WHERE orders.email = p.email AND p.email = $1 RETURNING orders.id, p.email",
        &[Some("grace@example.com")],
    ),
    (Same, "DELETE FROM people WHERE email = $1", &[Some("ten@example.com")]),
    (Same, "DELETE FROM people WHERE id = 11 RETURNING *", &[]),
    // Errors that are the server's own.
    (Same, "SELECT nothing FROM people", &[]),
    (Same, "SELECT email FROM nothing", &[]),
    (Same, "SELECT email FROM people WHERE id = 'x'", &[]),
    (Same, "INSERT INTO people (id, email) VALUES (1, 'other')", &[]),
    (Same, "SELEC 1", &[]),
    // What cannot be answered rightly.
    (Refused, "SELECT id FROM people WHERE email LIKE 'ada%'", &[]),
    (Refused, "SELECT id FROM people WHERE email ILIKE $1", &[Some("ada%")]),
    (Refused, "SELECT id FROM people WHERE ssn = '123-45-6789'", &[]),
    (Refused, "SELECT id FROM people WHERE born < '2000-01-01'", &[]),
    (
        Refused,
        "SELECT id FROM people WHERE born BETWEEN $1 AND $2",
        &[Some("1980-01-01"), Some("1990-01-01")],
    ),
    (Refused, "SELECT id FROM people ORDER BY email", &[]),
    (Refused, "SELECT email FROM people ORDER BY 1", &[]),
    (Refused, "SELECT lower(email) FROM people", &[]),
    (Refused, "SELECT email || 'x' FROM people", &[]),
    (Refused, "SELECT level + 1 FROM people", &[]),
    (Refused, "SELECT max(born) FROM people", &[]),
    (Refused, "SELECT email::varchar(3) FROM people", &[]),
    (Refused, "SELECT length(ssn) FROM people", &[]),
    (Refused, "SELECT DISTINCT ssn FROM people", &[]),
    (Refused, "SELECT ssn, count(*) FROM people GROUP BY ssn", &[]),
    (Refused, "SELECT notes->'tea' FROM people", &[]),
    (Refused, "SELECT people FROM people", &[]),
    (Refused, "SELECT row_to_json(p) FROM people p", &[]),
    (Refused, "SELECT id FROM people WHERE email = name", &[]),
    (Refused, "SELECT id FROM people WHERE email = born::text", &[]),
    (Refused, "SELECT p.id FROM people p JOIN plain x ON x.email = p.email", &[]),
    (Refused, "UPDATE plain SET email = p.email FROM people p WHERE p.id = plain.id", &[]),
    (Refused, "UPDATE people SET email = name", &[]),
    (Refused, "UPDATE people SET ssn = email", &[]),
    (Refused, "INSERT INTO people (id, email) SELECT id + 50, email FROM plain", &[]),
    (Refused, "UPDATE people SET email = lower($1) WHERE id = 1", &[Some("X")]),
    (Refused, "UPDATE people SET email = 'a' || 'b' WHERE id = 1", &[]),
    (Refused, "UPDATE people SET name = $1, email = $1 WHERE id = 1", &[Some("both")]),
    (Refused, "SELECT mail FROM adults WHERE mail LIKE 'a%'", &[]),
    (Refused, "SELECT id FROM people WHERE email OPERATOR(pg_catalog.~~) 'ada%'", &[]),
    (Refused, "COPY people TO '/tmp/never'", &[]),
];

#[test]
fn the_statements_of_the_table_get_the_same_answer_or_are_refused() {
    let mut twin = Twin::start(Cluster::shared());
    let mut failures = String::new();
    for (expected, sql, values) in CASES {
        let writes = !sql.starts_with("SELECT") && !sql.starts_with("WITH") && !sql.starts_with("TABLE");
        for how in [How::Simple, How::Text, How::Binary, How::Described] {
            // Two literals may go two ways; one parameter may not.
            if how == How::Simple && *expected == Refused && sql.matches("$1").count() > 1 {
                continue;
            }
            // Every way starts from the same rows.
            let last = how == How::Described;
            let begin = |twin: &mut Twin| {
                twin.plain.run("BEGIN");
                twin.sealed.run("BEGIN");
            };
            if writes && !last {
                begin(&mut twin);
            }
            let mut got = ask(&mut twin.sealed, how, sql, values);
            if *expected == Refused {
                let status = if writes && !last { "E" } else { "I" };
                if !got.is_refused() || !got.rows.is_empty() || !got.status.ends_with(status) {
                    writeln!(failures, "should be refused ({how:?}): {sql}\n  got {got:?}").unwrap();
                }
            } else {
                let mut wanted = ask(&mut twin.plain, how, sql, values);
                if !sql.to_uppercase().contains("ORDER BY") {
                    (wanted, got) = (wanted.unordered(), got.unordered());
                }
                if wanted != got {
                    writeln!(failures, "differs ({how:?}): {sql}\n  wanted {wanted:?}\n  got    {got:?}")
                        .unwrap();
                }
            }
            if writes && !last {
                twin.plain.run("ROLLBACK");
                twin.sealed.run("ROLLBACK");
            }
        }
    }
    compare_tables(&mut twin, &mut failures);
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn generated_statements_get_the_same_answer_or_are_refused() {
    let mut twin = Twin::start(Cluster::shared());
    let mut failures = String::new();
    let mut refused = BTreeMap::<String, usize>::new();
    let count = std::env::var("PGSEAL_TWIN_STATEMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    for seed in 1..=count {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let sql = dice.statement();
        let how = [How::Simple, How::Text, How::Binary, How::Described][dice.below(4)];
        twin.sealed.run("BEGIN");
        let got = ask(&mut twin.sealed, how, &sql, &[]).unordered();
        if got.is_refused() {
            twin.sealed.run("ROLLBACK");
            *refused.entry(sql.split(' ').next().unwrap().to_owned()).or_default() += 1;
            continue;
        }
        twin.plain.run("BEGIN");
        let wanted = ask(&mut twin.plain, how, &sql, &[]).unordered();
        if wanted != got {
            writeln!(failures, "seed {seed} differs ({how:?}): {sql}\n  wanted {wanted:?}\n  got    {got:?}")
                .unwrap();
        }
        // COMMIT of a failed transaction rolls back, on both alike.
        let end = if seed % 3 == 0 { "COMMIT" } else { "ROLLBACK" };
        twin.plain.run(end);
        twin.sealed.run(end);
    }
    compare_tables(&mut twin, &mut failures);
    println!("of {count} statements these were refused: {refused:?}");
    assert!(failures.is_empty(), "\n{failures}");
}

fn compare_tables(twin: &mut Twin, failures: &mut String) {
    for table in TABLES {
        let all = format!("SELECT * FROM {} ORDER BY id", table.name);
        let (wanted, got) = (twin.plain.rows(&all), twin.sealed.rows(&all));
        if wanted != got {
            writeln!(failures, "{} holds\n  {got:?}\n  instead of\n  {wanted:?}", table.name).unwrap();
        }
    }
}

/// A small random generator (xorshift64*), so that a seed names a statement for good.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % n
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn statement(&mut self) -> String {
        match self.below(10) {
            0 => format!("DELETE FROM people WHERE {} RETURNING id", self.condition("people")),
            1 => {
                let (email, level) = (self.value("email"), self.value("level"));
                format!(
                    "INSERT INTO people (id, email, level) VALUES ({}, {email}, {level}) RETURNING *",
                    1000 + self.below(50)
                )
            }
            2 | 3 => {
                let column = self.pick(&["email", "ssn", "born", "level", "city", "name"]);
                let (value, condition) = (self.value(column), self.condition("people"));
                format!("UPDATE people SET {column} = {value} WHERE {condition} RETURNING id, {column}")
            }
            4 => {
                let (left, right) = (self.select("email"), self.select("email"));
                format!("{left} {} {right}", self.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]))
            }
            5 => {
                let column = self.pick(&["email", "born", "level", "city", "team"]);
                format!(
                    "SELECT {column}, count(*) FROM people WHERE {} GROUP BY {column}",
                    self.condition("people")
                )
            }
            6 | 7 => {
                let (kind, on) =
                    (self.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN"]), self.pick(&["email", "level"]));
                let (columns, condition) = (
                    self.pick(&["p.id, o.id", "p.*", "p.email, o.email, o.memo", "o.*, p.ssn"]),
                    self.condition("p"),
                );
                format!("SELECT {columns} FROM people p {kind} orders o ON o.{on} = p.{on} WHERE {condition}")
            }
            8 => {
                let inner = self.select("email");
                let negation = self.pick(&["", "NOT "]);
                format!("SELECT id, born FROM people WHERE email {negation}IN ({inner})")
            }
            _ => {
                let columns =
                    self.pick(&["*", "id, email, ssn", "born", "id, notes, city", "DISTINCT born, level"]);
                format!("SELECT {columns} FROM people WHERE {}", self.condition("people"))
            }
        }
    }

    fn select(&mut self, column: &str) -> String {
        let table = self.pick(&["people", "orders"]);
        let condition = if table == "people" { self.condition(table) } else { "total > 4".to_owned() };
        format!("SELECT {column} FROM {table} WHERE {condition}")
    }

    fn condition(&mut self, table: &str) -> String {
        let column = self.pick(&["email", "born", "level", "city", "ssn", "name", "team"]);
        let value = self.value(column);
        match self.below(9) {
            0 => format!("{table}.{column} IS NULL"),
            1 => format!("{table}.{column} IS NOT NULL"),
            2 => format!("{table}.{column} <> {value}"),
            3 => format!("{table}.{column} IN ({value}, {})", self.value(column)),
            4 => format!("NOT ({})", self.condition(table)),
            5 => format!("({} OR {})", self.condition(table), self.condition(table)),
            6 => format!("({} AND {})", self.condition(table), self.condition(table)),
            _ => format!("{table}.{column} = {value}"),
        }
    }

    fn value(&mut self, column: &str) -> &'static str {
        match column {
            "born" => self.pick(&["'1985-12-10'", "DATE '1973-08-19'", "NULL", "'2000-1-1'::date"]),
            "level" | "team" => self.pick(&["1", "3", "'5'", "-7", "NULL", "2 "]),
            "city" => self.pick(&["'London'", "''", "'New York'::varchar(20)", "NULL"]),
            "ssn" => self.pick(&["'123-45-6789'", "''", "NULL"]),
            "name" => self.pick(&["'Ada'", "'O''Brien'", "NULL"]),
            _ => self.pick(&[
                "'ada@example.com'",
                "'grace@example.com'::text",
                "E'o\\'brien@example.com'",
                "NULL",
                "'x'",
            ]),
        }
    }
}
