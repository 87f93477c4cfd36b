//! Random statements on a plaintext database directly and on an encrypted one through the proxy: the answers,
//! and afterwards the tables, are the same, or the proxy has refused.
//!
//! `make twin` runs it for ten minutes from a seed of its own; `PGSEAL_SECONDS=60` or `PGSEAL_GENERATED=100000` say how
//! long, and `PGSEAL_SEED=7` where to begin. The share that was refused is printed by reason.

mod dice;
mod queries;
mod tables;
mod writes;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use self::dice::Dice;
use self::tables::*;
use crate::support::{Cluster, Frame, Proxy, RawClient, message};

/// Statements of the run that is part of the tests.
const STATEMENTS: u64 = 1500;
/// So often the tables' contents are compared.
const BETWEEN_LOOKS: u64 = 100;

#[test]
fn generated_statements_get_the_same_answer_or_are_refused() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let time = number("PGSEAL_SECONDS").map(Duration::from_secs);
    let count = number("PGSEAL_GENERATED").unwrap_or(if time.is_some() { u64::MAX } else { STATEMENTS });
    let first = number("PGSEAL_SEED").unwrap_or(1);
    let mut twin = Twin::start(Cluster::shared());
    let mut run = Run { failures: String::new(), refused: BTreeMap::new(), failed: 0, statements: 0 };
    let start = Instant::now();
    for seed in first..first.saturating_add(count) {
        run.statement(&mut twin, seed);
        let over = time.is_some_and(|time| start.elapsed() >= time) || run.failures.len() > 20_000;
        if seed % BETWEEN_LOOKS == 0 || seed + 1 == first.saturating_add(count) || over {
            twin.compare_tables(seed, &mut run.failures);
        }
        if over {
            break;
        }
    }
    let Run { failures, refused, failed, statements } = run;
    let total: u64 = refused.values().sum();
    println!(
        "{statements} statements from seed {first} on: {} % refused, {} % failed on both sides",
        total * 100 / statements,
        failed * 100 / statements
    );
    let mut reasons: Vec<_> = refused.into_iter().collect();
    reasons.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    reasons.iter().for_each(|(reason, times)| println!("{times:6} {reason}"));
    assert!(
        failures.is_empty(),
        "\n{failures}\n(the tables are those of PGSEAL_SEED={first} PGSEAL_GENERATED={statements})"
    );
    assert!(total < statements * 3 / 5 && failed < statements / 5, "most statements should be carried out");
}

struct Run {
    failures: String,
    refused: BTreeMap<String, u64>,
    failed: u64,
    statements: u64,
}

impl Run {
    fn statement(&mut self, twin: &mut Twin, seed: u64) {
        let mut dice = Dice::new(seed);
        let request = dice.request();
        self.statements += 1;
        let sealed = Answer::of(&request.send(&mut twin.sealed), request.ordered);
        if let Some(reason) = sealed.refusal {
            *self.refused.entry(reason).or_default() += 1;
            return;
        }
        let plain = Answer::of(&request.send(&mut twin.plain), request.ordered);
        self.failed += u64::from(!plain.errors.is_empty());
        if let Some(difference) = plain.difference(&sealed) {
            let _ = writeln!(self.failures, "seed {seed}: {request:?}\n{difference}");
        }
    }
}

struct Twin {
    plain: RawClient,
    sealed: RawClient,
    _proxy: Proxy,
}

impl Twin {
    fn start(cluster: &Cluster) -> Self {
        let databases = [cluster.database("generated_plain"), cluster.database("generated_sealed")];
        for (database, sealed) in databases.iter().zip([false, true]) {
            cluster.connect(database).run(&schema(sealed));
        }
        let proxy = Proxy::start(cluster.address(), &policy());
        let mut twin = Self {
            plain: cluster.connect(&databases[0]),
            sealed: proxy.connect(&databases[1]),
            _proxy: proxy,
        };
        let mut dice = Dice::new(0);
        for (table, columns) in TABLES {
            for id in 1..10 {
                let values: Vec<String> = columns.iter().map(|(_, ty, _)| dice.stored(*ty)).collect();
                let insert = format!(
                    "INSERT INTO {table} VALUES ({id}, {}) ON CONFLICT DO NOTHING",
                    values.join(", ")
                );
                twin.plain.run(&insert);
                twin.sealed.run(&insert);
            }
        }
        twin
    }

    fn compare_tables(&mut self, seed: u64, failures: &mut String) {
        for (table, _) in TABLES {
            let look = format!("SELECT * FROM {table} ORDER BY id, n");
            let [plain, sealed] =
                [&mut self.plain, &mut self.sealed].map(|client| Answer::of(&client.query(&look), false));
            // Joins of large tables take long and tell no more than those of small ones.
            let few = format!("DELETE FROM {table} WHERE id > 12");
            self.plain.run(&few);
            self.sealed.run(&few);
            if let Some(difference) = plain.difference(&sealed) {
                writeln!(
                    failures,
                    "{table} differs after {seed}:
{difference}"
                )
                .unwrap();
            }
        }
    }
}

fn schema(sealed: bool) -> String {
    let mut out = "CREATE SCHEMA other; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');\n".to_owned();
    for (table, columns) in TABLES {
        write!(out, "CREATE TABLE {table} (id int").unwrap();
        for (name, ty, kept) in *columns {
            let stored = match kept {
                Bytea(_) if sealed => "bytea",
                Textual(_) if sealed => "text",
                _ => ty.facts().0,
            };
            write!(out, ", {name} {stored}").unwrap();
        }
        let end = match *table {
            "public.parts" => ", PRIMARY KEY (id)) PARTITION BY LIST (id)",
            "public.people" => ", PRIMARY KEY (id), UNIQUE (email, n))",
            _ => ", PRIMARY KEY (id))",
        };
        writeln!(out, "{end};").unwrap();
    }
    out + "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1, 2, 3);
           CREATE TABLE parts_2 PARTITION OF parts DEFAULT;"
        + DEFINE_VIEWS
}

fn policy() -> String {
    let mut out = "version = 1\n".to_owned();
    for (table, columns) in TABLES {
        let mut entries = String::new();
        for (name, ty, kept) in *columns {
            if let Bytea(how) | Textual(how) = kept {
                writeln!(entries, "{name} = {{ type = \"{}\", {how} }}", ty.facts().0).unwrap();
            }
        }
        if !entries.is_empty() {
            write!(out, "\n[table.\"{table}\"]\n{entries}").unwrap();
        }
    }
    out
}

/// A statement with its parameters: value, declared type, and whether it is sent in binary format.
#[derive(Debug)]
struct Request {
    sql: String,
    parameters: Vec<(Option<Vec<u8>>, u32, bool)>,
    /// By the simple protocol.
    simple: bool,
    /// Results in binary format.
    binary: bool,
    /// Its rows come in a certain order.
    ordered: bool,
}

impl Request {
    fn send(&self, client: &mut RawClient) -> Vec<Frame> {
        if self.simple {
            return client.query(&self.sql);
        }
        let types: Vec<u32> = self.parameters.iter().map(|(_, oid, _)| *oid).collect();
        let formats: Vec<u16> = self.parameters.iter().map(|(_, _, binary)| u16::from(*binary)).collect();
        let values: Vec<Option<&[u8]>> =
            self.parameters.iter().map(|(value, _, _)| value.as_deref()).collect();
        let messages = [
            message::parse("", &self.sql, &types),
            message::describe(b'S', ""),
            message::bind("", "", &formats, &values, &[u16::from(self.binary)]),
            message::execute("", 0),
            message::sync(),
        ];
        client.send(&messages.concat());
        client.read_until_ready()
    }
}

/// What a client is told, but for what differs between two databases of one schema.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    parameters: Vec<u32>,
    columns: Vec<(String, u32, i16, i32)>,
    rows: Vec<Vec<Option<String>>>,
    commands: Vec<String>,
    errors: Vec<String>,
    refusal: Option<String>,
}

impl Answer {
    fn of(frames: &[Frame], ordered: bool) -> Self {
        let mut answer = Self::default();
        // Types of a database's own have other object ids in another.
        let known = |oid: u32| if oid < 16384 { oid } else { u32::MAX };
        for frame in frames {
            match frame.tag {
                // In a list of varchar and unknown ones the proxy takes the latter for text, as the operator does.
                b't' => {
                    let types = frame.parameter_types().into_iter();
                    answer.parameters.extend(types.map(|oid| if oid == 1043 { 25 } else { known(oid) }));
                }
                b'T' => {
                    let fields = frame.fields().into_iter();
                    // The planner drops NULL from COALESCE, and a string keeps its length then.
                    let modifier =
                        |oid: u32, modifier: i32| if matches!(oid, 1042 | 1043) { -1 } else { modifier };
                    answer.columns.extend(
                        fields.map(|f| (f.name, known(f.oid), f.length, modifier(f.oid, f.modifier))),
                    );
                }
                b'D' => {
                    let values = frame.values().into_iter();
                    answer.rows.push(values.map(|v| Some(v?.escape_ascii().to_string())).collect());
                }
                b'C' => answer.commands.push(frame.command()),
                b'E' => {
                    if frame.sqlstate() == "0A000" {
                        answer.refusal = frame.field(b'M').map(|message| reason(&message));
                    }
                    // Of several faults each finds another one first.
                    answer.errors.push(frame.sqlstate().chars().take(2).collect());
                }
                _ => {}
            }
        }
        if !ordered {
            answer.rows.sort();
        }
        // Some faults are found by the server when it binds and by the proxy when it parses, or the other way
        // round, and a statement that failed tells nothing else.
        if !answer.errors.is_empty() {
            answer = Self { errors: answer.errors, refusal: answer.refusal, ..Self::default() };
        }
        answer
    }
}

impl Answer {
    /// In what it differs from another one.
    fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let missing = |rows: &[Vec<Option<String>>], from: &[Vec<Option<String>>]| {
            let mut left = from.to_vec();
            let is_missing = |row: &&Vec<Option<String>>| match left.iter().position(|other| other == *row) {
                Some(at) => {
                    left.remove(at);
                    false
                }
                None => true,
            };
            rows.iter().filter(is_missing).cloned().collect::<Vec<_>>()
        };
        let show = |answer: &Self, other: &Self| {
            let Self { parameters, columns, rows, commands, errors, .. } = answer;
            let rows = missing(rows, &other.rows);
            let columns = if *columns == other.columns { &[] } else { columns.as_slice() };
            format!("{errors:?} {commands:?} {parameters:?} {columns:?}\n           {rows:?}")
        };
        Some(format!("  plain    {}\n  sealed   {}\n", show(self, other), show(other, self)))
    }
}

/// A refusal's message without the names of columns.
fn reason(message: &str) -> String {
    let words = message.split_whitespace().map(|word| if word.contains('.') { "_" } else { word });
    words.collect::<Vec<_>>().join(" ")
}
