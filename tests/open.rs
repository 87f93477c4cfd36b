//! `pgseal open`: what was dumped from an encrypted database becomes a plaintext one, with the keyring and the policy alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[path = "support/mod.rs"]
mod support;

use support::{Cluster, Proxy, binary};

const POLICY: &str = r#"version = 1
[table."public.people"]
name = { type = "text" }
email = { type = "varchar(80)", mode = "deterministic" }
born = { type = "date" }
amount = { type = "numeric(12,2)", mode = "deterministic" }
visits = { type = "int4", mode = "deterministic" }
seen = { type = "timestamptz" }
raw = { type = "bytea" }
extra = { type = "jsonb" }
tags = { type = "text[]" }
ok = { type = "bool" }
mood = { type = "public.mood" }

[table.'public."Odd Name"']
'"the col"' = { type = "text", storage = "text" }
born = { type = "date", storage = "text", mode = "deterministic" }

[table."public.events"]
who = { type = "text" }

[table."public.parent"]
secret = { type = "uuid", mode = "deterministic" }
"#;

/// Run through the proxy on one database and directly on the other.
const STATEMENTS: &[&str] = &[
    "CREATE TYPE mood AS ENUM ('fine', 'so, so')",
    "CREATE TABLE people (id int PRIMARY KEY, name text, email varchar(80) NOT NULL, born date, amount numeric(12,2), \
     visits int4 DEFAULT 7, seen timestamptz, raw bytea, extra jsonb, tags text[], ok bool, mood mood, plain text)",
    "CREATE UNIQUE INDEX people_email ON people (email)",
    "CREATE TABLE \"Odd Name\" (\"the col\" text, born date, n int GENERATED ALWAYS AS IDENTITY, CHECK (n > 0))",
    "CREATE TABLE events (at date NOT NULL, who text) PARTITION BY RANGE (at)",
    "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')",
    "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')",
    "CREATE TABLE parent (id int, secret uuid)",
    "CREATE TABLE child (more text) INHERITS (parent)",
    "CREATE TABLE other (id int, t text)",
    "CREATE VIEW mails AS SELECT id, email FROM people",
    "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'a;b'; END $$",
    "INSERT INTO other VALUES (1, E'tab\\t; line\\n\\\\. \\\\x'), (2, NULL), (3, '')",
    "INSERT INTO people (id, name, email, born, amount, seen, raw, extra, tags, ok, mood, plain) VALUES \
     (1, E'it''s\\ta\\n\\\\ \"back\"', 'a@x', '1999-12-31', 12.5, '2026-03-29 01:30:00+00', '\\xe51000ff', \
     '{\"a\": [1, \"\\\\\"]}', '{\"a,b\",NULL,\"\\\\\"}', true, 'so, so', 'p')",
    "INSERT INTO people (id, name, email, visits) VALUES (2, '', 'b@x', NULL), (3, NULL, '\u{e9}@x', -2147483648)",
    "INSERT INTO people (id, name, email, born) VALUES (4, '\\N', '', 'infinity'), (5, '\\.', ';', '0001-01-01 BC')",
    "INSERT INTO \"Odd Name\" (\"the col\", born) VALUES ('one', '2000-01-01'), (NULL, NULL), ('', '2000-01-02')",
    "INSERT INTO events VALUES ('2026-02-01', 'early'), ('2026-08-01', 'late'), ('2026-09-01', NULL)",
    "INSERT INTO parent VALUES (1, '00000000-0000-0000-0000-000000000001')",
    "INSERT INTO child VALUES (2, '00000000-0000-0000-0000-000000000002', 'm')",
];

struct Site {
    cluster: Cluster,
    proxy: Proxy,
    /// Encrypted, and its plaintext twin.
    sealed: String,
    twin: String,
}

impl Site {
    fn start() -> Self {
        let cluster = Cluster::start();
        let (sealed, twin) = (cluster.database("sealed"), cluster.database("twin"));
        let proxy = Proxy::start(cluster.address(), POLICY);
        for statement in STATEMENTS {
            proxy.connect(&sealed).run(statement);
            cluster.connect(&twin).run(statement);
        }
        Self { cluster, proxy, sealed, twin }
    }

    fn tool(&self, tool: &str, database: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary(tool));
        command.args(["-d", &self.cluster.url(database)]).args(arguments);
        command
    }

    fn dump(&self, database: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.tool("pg_dump", database, arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Runs `pgseal open`: exit code, output, messages.
    fn open(&self, arguments: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
        let path = format!(
            "{}:{}",
            binary("pg_restore").parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgseal"))
            .arg("open")
            .args(arguments)
            .args(["--policy", "policy.toml", "--keyring", "keyring/keyring.toml"])
            .current_dir(self.proxy.folder())
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // It may end before it has read all.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        (output.status.code().unwrap(), output.stdout, String::from_utf8(output.stderr).unwrap())
    }

    #[track_caller]
    fn opened(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let (code, output, messages) = self.open(arguments, input);
        assert_eq!(code, 0, "{messages}");
        output
    }

    /// Restores a dump in SQL into a new database.
    fn restored(&self, dump: &[u8]) -> String {
        let database = self.cluster.database("restored");
        let mut psql = self.tool("psql", &database, &["-q", "-v", "ON_ERROR_STOP=1"]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(dump).unwrap();
        assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(dump));
        database
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.proxy.folder().join(name)
    }
}

/// Without what differs in each dump.
fn comparable(dump: &[u8]) -> String {
    let text = String::from_utf8(dump.to_vec()).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_dump_of_every_form_becomes_the_plaintext_twin() {
    let site = Site::start();
    let twin = comparable(&site.dump(&site.twin, &[]));
    assert!(!comparable(&site.dump(&site.sealed, &[])).contains("1999-12-31"));
    for form in [&[][..], &["--inserts"], &["--column-inserts"], &["--inserts", "--rows-per-insert=3"]] {
        let opened = site.opened(&[], &site.dump(&site.sealed, form));
        let restored = site.restored(&opened);
        assert_eq!(comparable(&site.dump(&restored, &[])), twin, "{form:?}");
    }
    // An archive, in a file and in a folder.
    for (form, name) in [("-Fc", "archive"), ("-Fd", "folder")] {
        let path = site.folder(name);
        let text = path.display().to_string();
        site.dump(&site.sealed, &[form, "-f", &text]);
        let restored = site.restored(&site.opened(&[&text], b""));
        assert_eq!(comparable(&site.dump(&restored, &[])), twin, "{form}");
        let out = format!("{name}.sql");
        assert_eq!(site.open(&[&text, "--out", &out], b"").0, 0);
        assert_eq!(site.open(&[&text, "--out", &out], b"").0, 4, "nothing is overwritten");
    }
    // Data alone, in the order of the columns that COPY says.
    let restored = site.restored(&site.dump(&site.twin, &["--schema-only"]));
    let data = site.opened(&[], &site.dump(&site.sealed, &["--data-only", "--table=people"]));
    let mut psql = site.tool("psql", &restored, &["-q", "-v", "ON_ERROR_STOP=1"]);
    let mut child = psql.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&data).unwrap();
    assert!(child.wait().unwrap().success());
    let people = ["--data-only", "--table=people"];
    assert_eq!(comparable(&site.dump(&restored, &people)), comparable(&site.dump(&site.twin, &people)));
    let (code, _, messages) = site.open(&[], &site.dump(&site.sealed, &["--data-only", "--inserts"]));
    assert!(code == 4 && messages.contains("--column-inserts"), "{code}: {messages}");
    let (code, _, messages) = site.open(&[], &site.dump(&site.sealed, &["--encoding=LATIN1"]));
    assert!(code == 4 && messages.contains("--encoding=UTF8"), "{code}: {messages}");
}

#[test]
fn csv_and_single_values_are_opened() {
    let site = Site::start();
    for table in ["people", "\"Odd Name\""] {
        let copy = format!("COPY (SELECT * FROM {table} ORDER BY 1, 2) TO STDOUT CSV HEADER");
        let csv = |database: &str| {
            let output = site
                .tool("psql", database, &["-qAt", "-c", "SET timezone = 'UTC'", "-c", &copy])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let name = format!("public.{table}");
        let opened = String::from_utf8(site.opened(&["--csv", &name], csv(&site.sealed).as_bytes())).unwrap();
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&opened), sorted(&csv(&site.twin)), "{table}");
    }
    let (code, _, messages) = site.open(&["--csv", "public.people"], b"1,2\n");
    assert!(code == 4 && messages.contains("a CSV needs a header"), "{messages}");

    let stored = site.cluster.connect(&site.sealed).value("SELECT name FROM people WHERE id = 1").unwrap();
    let input = format!("{stored}\n\\N\n\n\\{stored}\n");
    let opened =
        String::from_utf8(site.opened(&["--values", "public.people.name"], input.as_bytes())).unwrap();
    let expected = "it's\\ta\\n\\\\ \"back\"";
    assert_eq!(opened, format!("{expected}\n\\N\n\n{expected}\n"));
}

#[test]
fn what_cannot_be_opened_is_named_and_stops_or_is_counted() {
    let site = Site::start();
    let dump = String::from_utf8(site.dump(&site.sealed, &[])).unwrap();
    let stored = site.cluster.connect(&site.sealed).value("SELECT email FROM people WHERE id = 1").unwrap();
    let changed = format!("{}00", &stored[..stored.len() - 2]);
    let damaged = dump.replace(&stored[1..], &changed[1..]);
    let line = 1 + dump.lines().position(|line| line.contains(&stored[1..])).unwrap();
    let (code, _, messages) = site.open(&[], damaged.as_bytes());
    assert_eq!(code, 1, "{messages}");
    assert!(messages.contains(&format!("line {line}: column public.people.email: key")), "{messages}");
    let (code, output, messages) = site.open(&["--keep-going"], damaged.as_bytes());
    assert!(code == 1 && messages.contains("1 could not be"), "{messages}");
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains(&changed[1..]) && output.contains("b@x"));
    // A value that was moved to another column, and plaintext.
    for (value, why) in [(stored.as_str(), "mode"), ("plain", "is not a sealed value")] {
        let (code, _, messages) = site.open(&["--values", "public.people.name"], value.as_bytes());
        assert!(
            code == 1 && messages.contains("line 1: column public.people.name") && messages.contains(why),
            "{messages}"
        );
    }
    // A dump that was cut off is none.
    let (code, _, messages) = site.open(&[], &dump.as_bytes()[..dump.find("\\.\n").unwrap()]);
    assert!(code == 4 && messages.contains("ends within the rows of public."), "{messages}");
    // Rows of a table that the policy does not have are not passed over in silence.
    let path = site.folder("policy.toml");
    let policy = fs::read_to_string(&path).unwrap();
    fs::write(&path, &policy[..policy.find("[table.\"public.parent\"]").unwrap()]).unwrap();
    let (code, _, messages) = site.open(&[], dump.as_bytes());
    assert!(code == 1 && messages.contains("rows of table public.parent look as if"), "{messages}");
}

#[test]
fn archived_keys_open_only_when_they_are_meant() {
    let site = Site::start();
    let dump = site.dump(&site.sealed, &[]);
    let path = site.folder("keyring/keyring.toml");
    let keys = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_pgseal"))
            .arg("keys")
            .args(arguments)
            .args(["--keyring", &path.display().to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    keys(&["add", "default"]);
    let text = fs::read_to_string(&path).unwrap();
    let archived = text
        .replace("state = \"active\"", "state = \"archived\"")
        .replace("state = \"staged\"", "state = \"active\"");
    fs::write(&path, archived).unwrap();
    let (code, _, messages) = site.open(&[], &dump);
    assert!(code == 1 && messages.contains("--with-archived opens it"), "{messages}");
    let restored = site.restored(&site.opened(&["--with-archived"], &dump));
    assert_eq!(comparable(&site.dump(&restored, &[])), comparable(&site.dump(&site.twin, &[])));
}
