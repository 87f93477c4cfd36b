//! One schema twice: plaintext in a database that is asked directly, sealed in one behind the proxy.

use crate::support::{Cluster, Frame, Proxy, RawClient, message};

/// How a column of the fixture is kept.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    Plain,
    Randomized,
    Deterministic,
    /// Deterministic, and in the context of another column.
    Sharing(&'static str),
    /// Randomized, in a column that stays `text`.
    RandomizedText,
    /// Deterministic, in a column that stays `text`.
    DeterministicText,
}

pub(crate) use Kept::{Deterministic, DeterministicText, Plain, Randomized, RandomizedText, Sharing};

/// A table: its name, its columns (name, type, how it is kept, constraints), and rows as they would stand
/// in VALUES.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, &'static str, Kept, &'static str)],
    pub(crate) rows: &'static str,
}

/// What the tests ask about: customers with their orders, an unprotected table, and every type.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "people",
        columns: &[
            ("id", "int", Plain, "PRIMARY KEY"),
            ("name", "text", Plain, ""),
            ("email", "text", Deterministic, "UNIQUE"),
            ("ssn", "text", Randomized, ""),
            ("born", "date", Deterministic, ""),
            ("city", "varchar(20)", DeterministicText, ""),
            ("notes", "jsonb", Randomized, ""),
            ("level", "int", Deterministic, ""),
            ("team", "int", Plain, ""),
        ],
        rows: "
(1, 'Ada', 'ada@example.com', '123-45-6789', '1985-12-10', 'London', '{\"tea\": true}', 3, 1),
(2, 'Grace', 'grace@example.com', '987-65-4321', '1986-12-09', 'New York', '[1, 2]', 5, 1),
(3, 'Edgar', 'edgar@example.com', NULL, '1973-08-19', 'London', NULL, 3, 2),
(4, 'O''Brien', 'o''brien@example.com', '', NULL, '', '{}', NULL, NULL),
(5, 'Zoë', 'zoë@exämple.com 🦉', 'ß', '1985-12-10', NULL, '\"x\"', -7, 2),
(6, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 3)",
    },
    Table {
        name: "orders",
        columns: &[
            ("id", "int", Plain, "PRIMARY KEY"),
            ("email", "text", Sharing("public.people.email"), ""),
            ("person", "int", Plain, ""),
            ("total", "numeric(10,2)", Plain, ""),
            ("memo", "text", RandomizedText, ""),
            ("level", "int8", Sharing("public.people.level"), ""),
        ],
        rows: "
(1, 'ada@example.com', 1, 12.50, 'gift', 3),
(2, 'ada@example.com', 1, 99, NULL, 5),
(3, 'grace@example.com', 2, 5, '', 3),
(4, 'stranger@example.com', NULL, 1, 'no account', NULL),
(5, NULL, 3, 0, 'x', 4)",
    },
    Table {
        name: "plain",
        columns: &[
            ("id", "int", Plain, "PRIMARY KEY"),
            ("email", "text", Plain, ""),
            ("n", "int", Plain, ""),
        ],
        rows: "(1, 'ada@example.com', 1), (2, 'someone', 2), (3, NULL, 3)",
    },
    Table {
        name: "kinds",
        columns: &[
            ("id", "int", Plain, "PRIMARY KEY"),
            ("t", "text", Deterministic, ""),
            ("vc", "varchar(10)", Deterministic, ""),
            ("bp", "char(5)", Deterministic, ""),
            ("i2", "int2", Deterministic, ""),
            ("i4", "int4", Deterministic, ""),
            ("i8", "int8", Deterministic, ""),
            ("b", "bool", Deterministic, ""),
            ("f4", "float4", Deterministic, ""),
            ("f8", "float8", Deterministic, ""),
            ("n2", "numeric(12,2)", Deterministic, ""),
            ("n", "numeric", Randomized, ""),
            ("d", "date", Deterministic, ""),
            ("tm", "time", Deterministic, ""),
            ("ts", "timestamp", Deterministic, ""),
            ("tz", "timestamptz", Deterministic, ""),
            ("iv", "interval", Randomized, ""),
            ("u", "uuid", Deterministic, ""),
            ("ip", "inet", Deterministic, ""),
            ("by", "bytea", Deterministic, ""),
            ("js", "json", Randomized, ""),
            ("jb", "jsonb", Randomized, ""),
            ("ia", "int[]", Randomized, ""),
            ("ta", "text[]", Randomized, ""),
            ("mo", "mood", Deterministic, ""),
            ("tt", "text", RandomizedText, ""),
        ],
        rows: r#"
(1, 'text', 'varchar', 'bp', 1, 2, 3, true, 1.5, 2.5, 12.34, 1.20, '2024-02-29', '12:34:56.789', '2024-02-29 12:34:56.789',
 '2024-02-29 12:34:56.789+02', '1 year 2 mons 3 days 04:05:06.7', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '192.168.1.0/24', '\x00ff',
 '{"b" : 1, "a":2}', '{"b" : 1, "a":2, "a": 3}', '{1,NULL,3}', '{"a b",NULL,"",c}', 'ok', 'kept as text'),
(2, '', '', '', -32768, -2147483648, -9223372036854775808, false, '-Infinity', 'NaN', -0.005, 'NaN', '-infinity', '00:00', 'infinity',
 '-infinity', '-1 day +00:00:01', '00000000-0000-0000-0000-000000000000', '::1', '', '[]', 'null', '{}', '{{a,b},{c,d}}', 'sad', ''),
(3, 'naïve 🦀', 'ü', 'ü', 32767, 2147483647, 9223372036854775807, true, '3e38', '1e-300', 9999999999.99, 1e40, '0044-03-15 BC', '24:00', '1999-01-01',
 '0001-01-01 00:00:00+00 BC', '0', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '10.0.0.1', '\xe5100000', '"x"', '1.50', '[2:3]={7,8}', '{NULL}', 'happy', 'x'),
(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"#,
    },
];

/// Beside the tables, in both databases.
const EXTRAS: &str = "
CREATE VIEW adults AS SELECT id, email AS mail, born FROM people WHERE team IS NOT NULL;
CREATE VIEW contacts AS SELECT p.name, p.email, o.total FROM people p LEFT JOIN orders o ON o.email = p.email;
CREATE SCHEMA other; CREATE TABLE other.people (id int, email text); INSERT INTO other.people VALUES (1, 'unprotected');
";

/// A client of each of the two databases, and the proxy before the sealed one.
pub(crate) struct Twin {
    pub(crate) plain: RawClient,
    pub(crate) sealed: RawClient,
    pub(crate) plain_database: String,
    pub(crate) database: String,
    pub(crate) proxy: Proxy,
}

impl Twin {
    /// Creates both in a cluster, fills the plaintext one directly and the sealed one through the proxy.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        Self::start_in(cluster, Text::Sealed)
    }

    /// The same, with its deterministic text columns in another state.
    pub(crate) fn start_in(cluster: &Cluster, text: Text) -> Self {
        let (plain_database, sealed_database) =
            (cluster.database("twin_plain"), cluster.database("twin_sealed"));
        cluster.connect(&plain_database).run(&schema_of(None));
        cluster.connect(&sealed_database).run(&schema_of(Some(text)));
        let proxy = Proxy::start(cluster.address(), &policy_of(text));
        let mut plain = cluster.connect(&plain_database);
        let mut sealed = proxy.connect(&sealed_database);
        for table in TABLES {
            let insert = format!("INSERT INTO {} VALUES {}", table.name, table.rows);
            plain.run(&insert);
            sealed.run(&insert);
        }
        Self { plain, sealed, plain_database, database: sealed_database, proxy }
    }
}

/// What becomes of the deterministic columns of type text and varchar.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// They are encrypted, as the others.
    Sealed,
    /// They are plaintext yet, and not in the policy.
    Plain,
    /// They are text, and the policy says that they are being migrated.
    Migrating,
}

impl Kept {
    fn is_of_text(self, ty: &str) -> bool {
        matches!(self, Deterministic | DeterministicText | Sharing(_))
            && (ty == "text" || ty.starts_with("varchar"))
    }
}

/// CREATE statements of the whole fixture, plaintext or as the server stores it.
pub(crate) fn schema(sealed: bool) -> String {
    schema_of(sealed.then_some(Text::Sealed))
}

fn schema_of(sealed: Option<Text>) -> String {
    let table = |table: &Table| {
        let column = |(name, ty, kept, constraints): &(&str, &str, Kept, &str)| {
            let stored = match kept {
                Plain => ty,
                _ if sealed.is_none() => ty,
                kept if kept.is_of_text(ty) && sealed != Some(Text::Sealed) => "text",
                Randomized | Deterministic | Sharing(_) => "bytea",
                RandomizedText | DeterministicText => "text",
            };
            format!("{name} {stored} {constraints}")
        };
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        format!("CREATE TABLE {} ({});\n", table.name, columns.join(", "))
    };
    let tables: String = TABLES.iter().map(table).collect();
    format!("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');\n{tables}{EXTRAS}")
}

/// The policy of the whole fixture.
pub(crate) fn policy() -> String {
    policy_of(Text::Sealed)
}

/// The same with its deterministic text columns in another state.
pub(crate) fn policy_of(of_text: Text) -> String {
    let mut text = "version = 1\n".to_owned();
    for table in TABLES {
        let entry = |(name, ty, kept, _): &(&str, &str, Kept, &str)| {
            let ty = if *ty == "mood" { "public.mood" } else { ty };
            let state = match (kept.is_of_text(ty), of_text) {
                (true, Text::Plain) => return None,
                (true, Text::Migrating) => ", state = \"migrating\"",
                (_, Text::Sealed | Text::Plain | Text::Migrating) => "",
            };
            Some(match kept {
                Plain => return None,
                Randomized | RandomizedText => format!("{name} = {{ type = \"{ty}\" }}\n"),
                Deterministic | DeterministicText => {
                    format!("{name} = {{ type = \"{ty}\", mode = \"deterministic\"{state} }}\n")
                }
                Sharing(context) => {
                    format!(
                        "{name} = {{ type = \"{ty}\", mode = \"deterministic\", context = \"{context}\"{state} }}\n"
                    )
                }
            })
        };
        let entries: String = table.columns.iter().filter_map(entry).collect();
        if !entries.is_empty() {
            text += &format!("\n[table.\"public.{}\"]\n{entries}", table.name);
        }
    }
    text
}

/// What a client is told, but for what differs between two databases of one schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Types of parameters, where they were asked for.
    pub(crate) parameters: Vec<u32>,
    /// Name, type, length, modifier and format of each column.
    pub(crate) columns: Vec<(String, u32, i16, i32, i16)>,
    /// Values with what is not ASCII escaped.
    pub(crate) rows: Vec<Vec<Option<String>>>,
    pub(crate) commands: Vec<String>,
    /// SQLSTATEs.
    pub(crate) errors: Vec<String>,
    /// Transaction status at each ReadyForQuery ([`ask`] keeps the last).
    pub(crate) status: String,
}

impl Answer {
    pub(crate) fn of(frames: &[Frame]) -> Self {
        let mut answer = Self::default();
        // Types of a database's own have other object ids in another.
        let known = |oid: u32| if oid < 16384 { oid } else { u32::MAX };
        for frame in frames {
            match frame.tag {
                // PostgreSQL compares varchar as text and says so; the proxy says the column's type.
                b't' => answer.parameters.extend(
                    frame.parameter_types().into_iter().map(|oid| if oid == 1043 { 25 } else { known(oid) }),
                ),
                b'T' => answer.columns.extend(
                    frame
                        .fields()
                        .into_iter()
                        .map(|f| (f.name, known(f.oid), f.length, f.modifier, f.format)),
                ),
                b'D' => answer
                    .rows
                    .push(frame.values().into_iter().map(|v| Some(v?.escape_ascii().to_string())).collect()),
                b'C' => answer.commands.push(frame.command()),
                b'E' => answer.errors.push(frame.sqlstate()),
                b'Z' => answer.status.push(frame.status()),
                _ => {}
            }
        }
        answer
    }

    /// The same with its rows in an order of their own, for statements that promise none.
    pub(crate) fn unordered(mut self) -> Self {
        self.rows.sort();
        self
    }

    /// True if the proxy (or the server) said that it cannot do this.
    pub(crate) fn is_refused(&self) -> bool {
        self.errors.iter().any(|e| e == "0A000")
    }
}

/// How a statement is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// By Query, its parameters written in as literals.
    Simple,
    /// By Parse and Bind, results in text format.
    Text,
    /// By Parse and Bind, results in binary format.
    Binary,
    /// By Parse, Describe, and a Bind in a later flight.
    Described,
}

/// Sends a statement with its parameters, and collects the answer.
pub(crate) fn ask(client: &mut RawClient, how: How, sql: &str, values: &[Option<&str>]) -> Answer {
    answer(&frames(client, how, sql, values))
}

/// Sends a statement with its parameters; what comes back.
pub(crate) fn frames(client: &mut RawClient, how: How, sql: &str, values: &[Option<&str>]) -> Vec<Frame> {
    let bytes: Vec<Option<&[u8]>> = values.iter().map(|v| v.map(str::as_bytes)).collect();
    match how {
        How::Simple => client.query(&inline(sql, values)),
        How::Text | How::Binary => {
            client.send(&message::flight(sql, &[], &bytes, u16::from(how == How::Binary)));
            client.read_until_ready()
        }
        How::Described => {
            // A statement that failed before is still there: its Close was skipped.
            let parse = [
                message::close(b'S', "st"),
                message::parse("st", sql, &[]),
                message::describe(b'S', "st"),
                message::sync(),
            ];
            client.send(&parse.concat());
            let mut frames = client.read_until_ready();
            // The server finds some faults only when it plans, which is at Bind; the proxy finds them at Parse.
            if frames.iter().any(|f| f.tag == b'E') {
                return frames;
            }
            let run = [
                message::bind("", "st", &[], &bytes, &[]),
                message::execute("", 0),
                message::close(b'S', "st"),
                message::sync(),
            ];
            client.send(&run.concat());
            frames.extend(client.read_until_ready());
            frames
        }
    }
}

/// The answer in what [`frames`] gave.
pub(crate) fn answer(frames: &[Frame]) -> Answer {
    let mut answer = Answer::of(frames);
    answer.status = answer.status.split_off(answer.status.len().saturating_sub(1));
    answer
}

/// The statement with `$n` replaced by literals.
fn inline(sql: &str, values: &[Option<&str>]) -> String {
    let mut sql = sql.to_owned();
    for (n, value) in values.iter().enumerate().rev() {
        let literal = value.map_or("NULL".to_owned(), |v| format!("'{}'", v.replace('\'', "''")));
        sql = sql.replace(&format!("${}", n + 1), &literal);
    }
    sql
}
