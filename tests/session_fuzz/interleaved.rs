//! Valid messages in random order, cut at random places: what comes back through the proxy is what comes back
//! directly, frame by frame.
//!
//! Two clusters are made by the same steps, so that even object ids agree. One is a plaintext twin: its
//! protected column is text, and statements that the proxy refuses fail there for another reason.

use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::support::{Cluster, Field, Frame, Proxy, RawClient, message};
use crate::{Random, seeds};

pub(crate) const POLICY: &str =
    "version = 1\n[table.\"public.sealed\"]\nsecret = { type = \"text\", mode = \"deterministic\" }\n";

pub(crate) const SCHEMA: &str = "
CREATE TABLE plain (id int PRIMARY KEY, name text);
CREATE SCHEMA other;
CREATE TABLE other.plain (id int, name text, more int);
INSERT INTO other.plain VALUES (7, 'seven', 77);
CREATE TABLE sealed (id int PRIMARY KEY, secret {});
INSERT INTO plain SELECT n, 'name ' || n FROM generate_series(1, 3) n;
";

/// Statements that touch nothing protected, with the number of their parameters.
const PLAIN: &[(&str, usize)] = &[
    ("SELECT 1", 0),
    ("", 0),
    (";", 0),
    ("-- nothing", 0),
    ("SELECT $1::int + 1", 1),
    ("SELECT $1", 1),
    ("SELECT generate_series(1, 5)", 0),
    ("SELECT id, name FROM plain ORDER BY id", 0),
    ("SELECT * FROM plain ORDER BY id", 0),
    ("SELECT * FROM plain WHERE id = $1", 1),
    ("SELECT p.*, $2::text AS two FROM plain p WHERE id = $1 ORDER BY id", 2),
    ("INSERT INTO plain VALUES ($1, $2)", 2),
    ("INSERT INTO plain VALUES ($1, 'x') ON CONFLICT DO NOTHING RETURNING id", 1),
    ("UPDATE plain SET name = $2 WHERE id = $1", 2),
    ("DELETE FROM plain WHERE id = $1 RETURNING *", 1),
    ("SELECT 1/0", 0),
    ("SELECT 1/($1::int - 1)", 1),
    ("SELECT 1/(2 - n) FROM generate_series(1, 5) n", 0),
    ("SELEC", 0),
    ("SELECT * FROM missing", 0),
    ("SELECT missing FROM plain", 0),
    ("BEGIN", 0),
    ("BEGIN ISOLATION LEVEL REPEATABLE READ", 0),
    ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", 0),
    ("SHOW transaction_isolation", 0),
    ("COMMIT", 0),
    ("ROLLBACK", 0),
    ("COMMIT AND CHAIN", 0),
    ("SAVEPOINT a", 0),
    ("ROLLBACK TO a", 0),
    ("RELEASE a", 0),
    ("COPY plain FROM STDIN", 0),
    ("COPY plain TO STDOUT", 0),
    ("SET search_path = other, public", 0),
    ("SET LOCAL search_path = other", 0),
    ("RESET ALL", 0),
    ("SHOW search_path", 0),
    ("SELECT set_config('search_path', 'other', false)", 0),
    ("SET DateStyle = 'German'", 0),
    ("SELECT date '2020-01-02'", 0),
    ("PREPARE q AS SELECT 2", 0),
    ("EXECUTE q", 0),
    ("DEALLOCATE q", 0),
    ("DEALLOCATE ALL", 0),
    ("DISCARD ALL", 0),
    ("DECLARE c CURSOR FOR SELECT generate_series(1, 9)", 0),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT id FROM plain", 0),
    ("FETCH 2 FROM c", 0),
    ("MOVE 1 IN c", 0),
    ("CLOSE c", 0),
    ("CREATE TEMP TABLE t (a int)", 0),
    ("CREATE TEMP TABLE plain (id int, note text)", 0),
    ("DROP TABLE t", 0),
    ("DROP TABLE pg_temp.plain", 0),
    ("SELECT a FROM t", 0),
    ("INSERT INTO t VALUES ($1)", 1),
    ("LISTEN news", 0),
    ("NOTIFY news, 'hello'", 0),
    ("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$", 0),
    ("EXPLAIN SELECT 1", 0),
    ("VACUUM plain", 0),
    ("SELECT pg_advisory_lock_shared(1)", 0),
];

/// Texts of several statements, for Query only.
const SEVERAL: &[&str] = &[
    "SELECT 1; SELECT 2",
    "SELECT 1; SELECT 1/0; SELECT 3",
    "BEGIN; SELECT 1",
    "BEGIN; SELECT 1/0; SELECT 2",
    "INSERT INTO plain VALUES (50, 'fifty'); ROLLBACK; SELECT count(*) FROM plain",
    "BEGIN; INSERT INTO plain VALUES (51, 'x'); COMMIT; SELECT 1/0",
    "COMMIT; BEGIN; SAVEPOINT a",
    "COPY plain TO STDOUT; SELECT 1",
    "COPY plain FROM STDIN; SELECT 1",
    "SELECT 1; COPY plain FROM STDIN; COPY plain FROM STDIN",
    "SET search_path = other; SELECT * FROM plain",
    "CREATE TEMP TABLE t (a int); SELECT * FROM t; DROP TABLE t",
    "LISTEN news; NOTIFY news",
    ";;",
    "SELECT 1; SELEC",
];

/// Statements on the protected table that are carried out.
const PROTECTED: &[(&str, usize)] = &[
    ("SELECT id, secret FROM sealed ORDER BY id", 0),
    ("SELECT * FROM sealed ORDER BY id", 0),
    ("SELECT secret, count(*) FROM sealed GROUP BY secret ORDER BY min(id)", 0),
    ("INSERT INTO sealed VALUES ($1, $2)", 2),
    ("INSERT INTO sealed VALUES ($1, 'a literal') RETURNING *", 1),
    ("UPDATE sealed SET secret = $2 WHERE id = $1", 2),
    ("SELECT id FROM sealed WHERE secret = $1 ORDER BY id", 1),
    ("DELETE FROM sealed WHERE id = $1", 1),
    ("SELECT id, 1/(2 - id) FROM sealed WHERE secret IS NOT NULL ORDER BY id", 0),
];

/// Statements that the proxy refuses.
const REFUSED: &[(&str, usize)] = &[
    ("SELECT lower(secret) FROM sealed", 0),
    ("SELECT secret || $1 FROM sealed", 1),
    ("SELECT id FROM sealed ORDER BY secret", 0),
];

/// What a script leaves, as far as both sides hold it alike.
const CONTENT: &str =
    "SELECT 'plain', id, name FROM plain UNION ALL SELECT 'sealed', id, (secret IS NULL)::text FROM sealed
    UNION ALL SELECT 'other', id, name FROM other.plain ORDER BY 1, 2, 3";

/// Counts stored values that are no envelopes.
const CLEAR: &str = r"SELECT count(*) FROM sealed WHERE left(encode(secret, 'escape'), 4) <> '\345'";

/// What stands for a refused statement on the twin.
const UNKNOWN: &str = "SELECT refused FROM sealed";

/// One message for each side, the same but for refused texts.
pub(crate) struct Both {
    direct: Vec<u8>,
    pub(crate) through: Vec<u8>,
    shown: String,
}

/// A client's script: messages in order.
pub(crate) type Script = Vec<Both>;

pub(crate) fn script(random: &mut Random, protected: bool) -> Script {
    let mut script = Vec::new();
    let length = 5 + random.below(40);
    let names = ["", "", "", "s1", "s2"];
    let portals = ["", "", "", "p1"];
    // What the statements of these names are likely to be, so that most Binds fit.
    let mut parameters = [("", 0), ("s1", 0), ("s2", 0)];
    // Whole flights are more likely than stray messages.
    while script.len() < length {
        match random.below(16) {
            0..=3 => script.push(query(random, protected)),
            4..=8 => {
                let name = *random.pick(&names);
                let count = parse(random, protected, name, &mut script);
                parameters.iter_mut().filter(|(n, _)| *n == name).for_each(|(_, c)| *c = count);
                let portal = *random.pick(&portals);
                script.push(bind(random, portal, name, count));
                if !random.once_in(3) {
                    script.push(same(format!("Describe P {portal:?}"), message::describe(b'P', portal)));
                }
                script.push(execute(random, portal));
                if random.once_in(3) {
                    script.push(same("Sync".into(), message::sync()));
                }
            }
            9 => {
                let name = *random.pick(&names);
                let count = parse(random, protected, name, &mut script);
                parameters.iter_mut().filter(|(n, _)| *n == name).for_each(|(_, c)| *c = count);
            }
            10 => {
                let (name, count) = *random.pick(&parameters);
                let portal = *random.pick(&portals);
                script.push(bind(random, portal, name, count));
            }
            11 => {
                let (kind, name) = (*random.pick(b"SP"), *random.pick(&["", "s1", "s2", "p1"]));
                let shown = format!("Describe {} {name:?}", char::from(kind));
                script.push(same(shown, message::describe(kind, name)));
            }
            12 => {
                let portal = *random.pick(&portals);
                script.push(execute(random, portal));
            }
            13 => {
                let (kind, name) = (*random.pick(b"SP"), *random.pick(&["", "s1", "s2", "p1"]));
                let shown = format!("Close {} {name:?}", char::from(kind));
                script.push(same(shown, message::close(kind, name)));
            }
            14 => script.push(same("Sync".into(), message::sync())),
            _ => match random.below(4) {
                0 => script.push(same("CopyData".into(), message::copy_data(b"70\tseventy\n"))),
                1 => script.push(same("CopyDone".into(), message::copy_done())),
                2 => script.push(same("CopyFail".into(), message::copy_fail("no more"))),
                _ => script.push(same("Flush".into(), message::flush())),
            },
        }
        let copies = script.last().is_some_and(|m| m.shown.contains("FROM STDIN"));
        if copies && !random.once_in(4) {
            copy(random, &mut script);
        }
    }
    // Out of whatever state that was, and a sign that the end is reached.
    script.push(same("CopyFail".into(), message::copy_fail("the end")));
    script.push(same("Sync".into(), message::sync()));
    script.push(same("Query ROLLBACK".into(), message::query("ROLLBACK")));
    script.push(same("Query the end".into(), message::query(END)));
    script
}

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// As many are reported.
const FAILURES: usize = 3;

const END: &str = "SELECT 'the end'";

fn same(shown: String, bytes: Vec<u8>) -> Both {
    Both { direct: bytes.clone(), through: bytes, shown }
}

/// A statement: its text for the twin, for the proxy, and the number of its parameters.
fn statement(random: &mut Random, protected: bool) -> (&'static str, &'static str, usize) {
    let list = match random.below(10) {
        0..=3 if protected => PROTECTED,
        4 if protected => REFUSED,
        _ => PLAIN,
    };
    let (text, count) = *random.pick(list);
    let twin = if std::ptr::eq(list, REFUSED) { UNKNOWN } else { text };
    (twin, text, count)
}

fn query(random: &mut Random, protected: bool) -> Both {
    if random.once_in(4) {
        let text = *random.pick(SEVERAL);
        return same(format!("Query {text}"), message::query(text));
    }
    let (twin, text, count) = statement(random, protected);
    // A Query has no parameters, and its literals are known.
    let with_literals = |text: &str| {
        (1..=count).fold(text.to_owned(), |text, n| text.replace(&format!("${n}"), &format!("'{n}'")))
    };
    let (twin, text) = (with_literals(twin), with_literals(text));
    Both { direct: message::query(&twin), through: message::query(&text), shown: format!("Query {text}") }
}

fn parse(random: &mut Random, protected: bool, name: &str, script: &mut Script) -> usize {
    let (twin, text, count) = statement(random, protected);
    if random.once_in(3) && !name.is_empty() {
        script.push(same(format!("Close S {name:?}"), message::close(b'S', name)));
    }
    script.push(Both {
        direct: message::parse(name, twin, &[]),
        through: message::parse(name, text, &[]),
        shown: format!("Parse {name:?} {text}"),
    });
    count
}

fn bind(random: &mut Random, portal: &str, statement: &str, count: usize) -> Both {
    let count = if random.once_in(12) { random.below(4) } else { count };
    let values: Vec<Option<&[u8]>> = (0..count)
        .map(|_| *random.pick(&[Some(&b"1"[..]), Some(b"2"), Some(b"8"), None, Some(b"x")]))
        .collect();
    let results: &[u16] = if random.once_in(4) { &[1] } else { &[] };
    same(
        format!("Bind {portal:?} {statement:?} {count} values, results {results:?}"),
        message::bind(portal, statement, &[], &values, results),
    )
}

fn execute(random: &mut Random, portal: &str) -> Both {
    let limit = *random.pick(&[0, 0, 1, 2]);
    same(format!("Execute {portal:?} {limit}"), message::execute(portal, limit))
}

/// Data after a COPY FROM STDIN; the statement may have failed, and then the server ignores it.
fn copy(random: &mut Random, script: &mut Script) {
    if random.once_in(2) {
        script.push(same("Sync".into(), message::sync()));
    }
    for n in 0..random.below(3) {
        let row = format!("{}\trow\n", 80 + n + random.below(3));
        script.push(same(format!("CopyData {row:?}"), message::copy_data(row.as_bytes())));
    }
    match random.below(4) {
        0 => script.push(same("CopyFail".into(), message::copy_fail("enough"))),
        1 => script.push(same("CopyData".into(), message::copy_data(b"no row\n"))),
        _ => {}
    }
    script.push(same("CopyDone".into(), message::copy_done()));
    script.push(same("Sync".into(), message::sync()));
}

/// Sends messages cut at random places and gives all frames up to the end of the script or of the connection,
/// and whether nothing came in time. Sometimes it takes its leave, or says that nothing more will be sent, before
/// the answers have come.
fn play(
    address: SocketAddr,
    database: &str,
    messages: &[&[u8]],
    random: &Random,
    patience: Duration,
) -> (Vec<Frame>, bool) {
    let mut client = RawClient::connect(address, "postgres", database);
    let mut bytes = messages.concat();
    let mut random = random.clone();
    let (leaves, closes) = (random.once_in(4), random.once_in(4));
    if leaves {
        bytes.extend(message::terminate());
    }
    let mut writer = client.stream().try_clone().unwrap();
    let sending = thread::spawn(move || {
        let mut rest = &bytes[..];
        // Mostly all at once; otherwise in pieces, some of them late.
        let most = *random.pick(&[1 << 20, 1 << 20, 200, 40, 7]);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(1 + random.below(most)));
            if writer.write_all(now).is_err() {
                break;
            }
            if random.once_in(10) {
                thread::sleep(Duration::from_micros(random.next() % 500));
            }
            rest = later;
        }
        if closes {
            let _ = writer.shutdown(std::net::Shutdown::Write);
        }
    });
    let (mut frames, mut hangs) = (Vec::new(), false);
    loop {
        if client.is_silent_for(patience) {
            hangs = true;
            break;
        }
        // Out of step in COPY, for one, PostgreSQL gives up, and closes.
        let Some(frame) = client.try_read() else { break };
        frames.push(frame);
        if let [.., row, complete, ready] = &frames[..] {
            let ended = row.tag == b'D' && complete.tag == b'C' && ready.tag == b'Z';
            if ended && row.body.ends_with(b"the end") && !leaves && !closes {
                break;
            }
        }
    }
    let _ = client.stream().shutdown(std::net::Shutdown::Both);
    sending.join().unwrap();
    (frames, hangs)
}

/// A frame as it is compared; `newest` is the last table of the schema.
fn comparable(frame: &Frame, newest: u32) -> String {
    match frame.tag {
        // The sender's process id.
        b'A' => format!("A({})", frame.body[4..].escape_ascii()),
        b'E' => {
            let (code, message) = (frame.sqlstate(), frame.field(b'M').unwrap_or_default());
            match &*code {
                // The refusal, and what the twin says in its place.
                // (Or it is not there to be refused.)
                "42P01" if message.contains("\"sealed\"") => "E(refused)".to_owned(),
                "0A000" if message.contains("encrypted") => "E(refused)".to_owned(),
                "42703" if message.contains("\"refused\"") => "E(refused)".to_owned(),
                // The proxy says it in the server's place, without the place in its source; and to a server that
                // gives up for a message inside of COPY it has shown another one.
                "25P02" => format!("E({code} {message})"),
                "08P01" => format!("E({code})"),
                _ => format!("E({})", frame.body.escape_ascii()),
            }
        }
        b'T' => {
            // Numbers of tables that were made since depend on which backends had temporary tables before.
            let hide =
                |field: Field| if field.table > newest { Field { table: u32::MAX, ..field } } else { field };
            format!("T{:?}", frame.fields().into_iter().map(hide).collect::<Vec<_>>())
        }
        tag => format!("{}({})", char::from(tag), frame.body.escape_ascii()),
    }
}

struct Twins {
    direct: Cluster,
    proxy: Proxy,
    behind: Cluster,
    newest: u32,
    seals: bool,
}

impl Twins {
    fn start(policy: &str, protected_type: &str) -> Self {
        let (direct, behind) = (Cluster::start(), Cluster::start());
        let proxy = Proxy::start(behind.address(), policy);
        let mut twins = Self { direct, proxy, behind, newest: 0, seals: protected_type == "bytea" };
        for (cluster, ty) in [(&twins.direct, "text"), (&twins.behind, protected_type)] {
            cluster.connect("postgres").run("CREATE DATABASE fuzz");
            cluster.connect("fuzz").run(&SCHEMA.replace("{}", ty));
        }
        let newest = twins.direct.connect("fuzz").value("SELECT 'sealed'::regclass::oid");
        twins.newest = newest.unwrap().parse().unwrap();
        twins
    }

    /// Plays a script on both sides; the tables are put back first. What differs, if anything does.
    fn differ(&self, script: &[&Both], random: &Random, patience: Duration) -> Option<String> {
        for address in [self.direct.address(), self.behind.address()] {
            let mut client = RawClient::connect(address, "postgres", "fuzz");
            client.run("TRUNCATE plain, sealed; INSERT INTO plain SELECT n, 'name ' || n FROM generate_series(1, 3) n");
        }
        let (direct, through): (Vec<&[u8]>, Vec<&[u8]>) =
            script.iter().map(|m| (&m.direct[..], &m.through[..])).unzip();
        let (wanted, _) = play(self.direct.address(), "fuzz", &direct, random, PATIENCE);
        let (got, hangs) = play(self.proxy.address(), "fuzz", &through, random, patience);
        let (wanted, got): (Vec<_>, Vec<_>) =
            [wanted, got].map(|frames| frames.iter().map(|f| comparable(f, self.newest)).collect()).into();
        let content = [&self.direct, &self.behind].map(|cluster| cluster.connect("fuzz").rows(CONTENT));
        if content[0] != content[1] {
            return Some(format!(
                "the tables differ; direct:\n    {:?}\nthrough:\n    {:?}",
                content[0], content[1]
            ));
        }
        let clear = self.seals.then(|| self.behind.connect("fuzz").value(CLEAR).unwrap());
        if clear.is_some_and(|count| count != "0") {
            return Some("values are stored in clear".to_owned());
        }
        // In a failed transaction the server would look at the syntax and at names before it says so; what the
        // proxy cannot look up then is told so at once.
        let alike = |w: &str, g: &str| w == g || (w.starts_with("E(") && g.starts_with("E(25P02"));
        let at = wanted.iter().zip(&got).position(|(w, g)| !alike(w, g));
        let at = at.or((wanted.len() != got.len()).then(|| wanted.len().min(got.len())))?;
        let part = |frames: &[String]| frames[at.saturating_sub(4)..frames.len().min(at + 3)].join("\n    ");
        let end = if hangs { "; nothing more comes" } else { "" };
        Some(format!("frame {at} differs; direct:\n    {}\nthrough{end}:\n    {}", part(&wanted), part(&got)))
    }

    /// The shortest part of a script that still differs, as far as leaving out one message at a time finds it.
    fn shrink(&self, script: &Script, random: &Random) -> Option<String> {
        let mut kept: Vec<&Both> = script.iter().collect();
        let mut difference = self.differ(&kept, random, PATIENCE)?;
        // The end of the script stays.
        let mut at = kept.len().saturating_sub(4);
        while at > 0 {
            at -= 1;
            let mut fewer = kept.clone();
            fewer.remove(at);
            if let Some(still) = self.differ(&fewer, random, Duration::from_secs(2)) {
                (kept, difference) = (fewer, still);
            }
        }
        let shown: Vec<&str> = kept.iter().map(|m| &*m.shown).collect();
        Some(format!("    {}\n{difference}", shown.join("\n    ")))
    }
}

fn compare(policy: &str, ty: &str, protected: bool, rounds: u64) {
    let twins = Twins::start(policy, ty);
    let mut failures = Vec::new();
    for seed in seeds(rounds) {
        let mut random = Random::new(seed);
        let script = script(&mut random, protected);
        failures.extend(twins.shrink(&script, &random).map(|text| format!("seed {seed}:\n{text}")));
        if failures.len() >= FAILURES {
            break;
        }
    }
    assert!(twins.proxy.process().is_alive());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn an_empty_policy_changes_no_frame() {
    compare("version = 1\n", "text", false, 40);
}

#[test]
fn unprotected_statements_get_the_frames_of_a_direct_connection() {
    compare(POLICY, "bytea", false, 100);
}

#[test]
fn protected_statements_get_the_frames_of_a_plaintext_twin() {
    compare(POLICY, "bytea", true, 100);
}
