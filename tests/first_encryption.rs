//! The first encryption of deterministic text columns, and the way back, beside running proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::time::{Duration, Instant};

#[path = "support/load.rs"]
mod load;
#[path = "support/site.rs"]
mod site;
#[path = "support/mod.rs"]
mod support;

use site::{LEASE, Site, shown, wait};
use support::{RawClient, message};

/// What is encrypted from the beginning.
const BEFORE: &str = r#"version = 1
[table."public.people"]
note = { type = "text" }
"#;

/// The same with the columns that are encrypted here.
fn policy(state: &str) -> String {
    let column = |name: &str, ty: &str| {
        format!(
            "{name} = {{ type = \"{ty}\", mode = \"deterministic\", context = \"public.people.email\"{state} }}\n"
        )
    };
    [
        BEFORE,
        &column("email", "text"),
        "[table.\"public.logins\"]\n",
        &column("email", "varchar(40)"),
        "[table.\"public.visits\"]\n",
        &column("email", "text"),
        &column("other", "text"),
        &column("by", "text"),
        "[table.\"public.parts\"]\n",
        &column("email", "text"),
    ]
    .concat()
}

const MOVING: &str = "while values move";
const MIGRATING: &str = ", state = \"migrating\"";

const SCHEMA: &str = "
CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, code int, note NOTE, n int NOT NULL DEFAULT 0);
CREATE TABLE logins (id int PRIMARY KEY, email varchar(250) REFERENCES people (email), at int);
CREATE TABLE visits (email text, other text COLLATE \"POSIX\", n int, by text);
CREATE INDEX ON visits (email);
CREATE INDEX ON visits (other);
CREATE TABLE parts (id int, email text) PARTITION BY LIST (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES IN (0, 1);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES IN (2, 3);
CREATE VIEW known AS SELECT p.id, p.email, l.at FROM people p LEFT JOIN logins l ON l.email = p.email;
";

/// A database that is being encrypted, and one in plaintext that is sent the same.
struct Pair {
    site: Site,
    twin: RawClient,
}

impl Pair {
    fn start() -> Self {
        let site = Site::start(2, BEFORE, &SCHEMA.replace("NOTE", "bytea"));
        let twin = site.cluster.database("twin");
        let mut twin = site.cluster.connect(&twin);
        twin.run(&SCHEMA.replace("NOTE", "text"));
        let mut pair = Self { site, twin };
        let list = |rows: std::ops::Range<u32>, row: &dyn Fn(u32) -> String| {
            rows.map(row).collect::<Vec<_>>().join(", ")
        };
        let mut client = pair.site.through();
        let mut both = |sql: &str| {
            client.run(sql);
            pair.twin.run(sql);
        };
        let people = list(0..120, &|n| format!("({n}, 'p{n}@x', {}, 'note {n}')", n % 50));
        both(&format!("INSERT INTO people (id, email, code, note) VALUES {people}"));
        both(
            "INSERT INTO people (id, email) VALUES (900, ''), (901, NULL), (902, NULL), (903, 'it''s \\ \"q\" {ü}'),
             (904, ' p1@x'), (905, 'P1@x'), (906, 'NULL'), (907, 'pgs1'), (908, 'plaintext')",
        );
        let logins = list(0..60, &|n| format!("({n}, 'p{}@x', {n})", n % 40));
        both(&format!("INSERT INTO logins VALUES {logins}"));
        let visits = list(0..90, &|n| format!("('p{}@x', 'p{}@x', {n})", n % 50, (n + 1) % 50));
        both(&format!("INSERT INTO visits VALUES {visits}"));
        both(&format!("INSERT INTO parts VALUES {}", list(0..40, &|n| format!("({}, 'p{n}@x')", n % 4))));
        pair
    }

    /// Gives all proxies a policy, and waits until a command that needs it goes ahead.
    fn policy(&self, policy: &str) {
        let digest = || {
            let all = "SELECT count(DISTINCT policy)::text || ' ' || min(policy) FROM pgseal.proxy";
            self.site.direct().value(all).unwrap()
        };
        let (before, start) = (digest(), Instant::now());
        std::fs::write(self.site.proxies[0].folder().join("policy.toml"), policy).unwrap();
        for proxy in &self.site.proxies {
            proxy.process().signal("HUP");
        }
        while digest() == before || !digest().starts_with("1 ") {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "proxies do not say that they have the policy"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Says in the database what is about to come, while the proxies run under another policy.
    fn announce(&self, work: &str, policy: &str) {
        std::fs::write(self.site.proxies[0].folder().join("next.toml"), policy).unwrap();
        let mut command = self.site.command(&[work, "people.email"]);
        let (code, text) = shown(&command.env("PGSEAL_POLICY", "next.toml").output().unwrap());
        assert!(code == 1 && text.contains("proxies that run another policy"), "{text}");
    }

    /// Sends every statement to both, by one proxy and the other in turn, by each protocol.
    fn compare(&mut self, clients: &mut [RawClient; 2], round: usize, phase: &str) {
        for (at, statement) in STATEMENTS.iter().enumerate() {
            let sql = statement.replace("{r}", &round.to_string());
            let is_extended = !(at + round / 2).is_multiple_of(2);
            let through = answer(&mut clients[(at + round) % 2], &sql, is_extended);
            let wanted = answer(&mut self.twin, &sql, is_extended);
            assert_eq!(through, wanted, "{phase}, round {round}: {sql}");
        }
        for (options, data) in COPIES {
            let sql = format!("COPY visits (n, email, other) FROM STDIN WITH ({options})");
            let client = &mut clients[round % 2];
            let copy = |client: &mut RawClient| {
                client.send(&message::query(&sql));
                assert_eq!(client.read().tag, b'G', "{sql}");
                client.send(&message::copy_data(data.as_bytes()));
                client.send(&message::copy_done());
                client.read_until_ready().remove(0)
            };
            let copied = copy(client);
            // Values that nobody had before come in the old form until the proxy hears of the end.
            if phase == MOVING && copied.tag == b'E' && copied.sqlstate() == "40001" {
                continue;
            }
            assert_eq!(copied.tag, b'C', "{phase}: {sql}: {copied:?}");
            assert_eq!(copy(&mut self.twin).tag, b'C');
            let out = format!(
                "COPY (SELECT n, email, other FROM visits WHERE n >= 7000 ORDER BY n) TO STDOUT WITH ({options})"
            );
            let copied = |client: &mut RawClient| {
                let frames = client.run(&out).into_iter().filter(|frame| frame.tag == b'd');
                String::from_utf8(frames.flat_map(|frame| frame.body).collect()).unwrap()
            };
            assert_eq!(copied(client), copied(&mut self.twin), "{phase}: {out}");
            for client in [client, &mut self.twin] {
                client.run("DELETE FROM visits WHERE n >= 7000");
            }
        }
    }

    /// A proxy under another policy file of the first one's folder: what it answers is right, or refused. Gives how
    /// many statements it refuses.
    fn unaware(&mut self, policy: &str, phase: &str) -> usize {
        std::fs::write(self.site.proxies[0].folder().join("other.toml"), policy).unwrap();
        let address = self.site.cluster.address();
        // It does not report itself.
        let proxy = self.site.proxies[0].beside_under("other.toml", address, &[LEASE]);
        let mut refused = 0;
        for statement in STATEMENTS {
            let sql = statement.replace("{r}", "77");
            let mut client = proxy.connect(&self.site.database);
            client.run("BEGIN");
            self.twin.run("BEGIN");
            let (through, wanted) = (answer(&mut client, &sql, true), answer(&mut self.twin, &sql, true));
            self.twin.run("ROLLBACK");
            let is_refused = through
                .last()
                .is_some_and(|last| ["0A000", "55000", "XX001"].iter().any(|code| last.starts_with(code)));
            refused += usize::from(is_refused);
            assert!(is_refused || through == wanted, "{phase}: {sql}: {through:?}, not {wanted:?}");
        }
        refused
    }

    fn clients(&self) -> [RawClient; 2] {
        [0, 1].map(|at| self.site.proxies[at].connect(&self.site.database))
    }

    /// Compares for as long as a job runs.
    fn beside(&mut self, arguments: &[&str]) {
        let mut clients = self.clients();
        let mut job = Some(self.site.command(arguments).spawn().unwrap());
        let (mut direct, mut moving) = (self.site.direct(), 0);
        for round in 0.. {
            if job.as_mut().unwrap().try_wait().unwrap().is_some() {
                break;
            }
            self.compare(&mut clients, round, MOVING);
            let phase = direct.rows("SELECT phase FROM pgseal.pin WHERE phase = 'moving'");
            moving += usize::from(!phase.is_empty());
        }
        let (code, text) = wait(job.take().unwrap());
        assert_eq!(code, 0, "{text}");
        assert!(moving > 5, "{moving} rounds were at a move");
    }

    /// How many values of the columns are sealed, and how many are not.
    fn counts(&self) -> (u32, u32) {
        let count = "SELECT count(*) FILTER (WHERE e LIKE 'pgs1.%') || ' ' || count(*) FILTER (WHERE e NOT LIKE 'pgs1.%')
             FROM (SELECT email FROM people UNION ALL SELECT email FROM logins UNION ALL SELECT email FROM visits
                   UNION ALL SELECT other FROM visits UNION ALL SELECT by FROM visits UNION ALL SELECT email FROM parts) a (e)";
        let text = self.site.direct().value(count).unwrap();
        let (sealed, plain) = text.split_once(' ').unwrap();
        (sealed.parse().unwrap(), plain.parse().unwrap())
    }
}

/// What a client is told, as far as it is the same on both sides.
fn answer(client: &mut RawClient, sql: &str, is_extended: bool) -> Vec<String> {
    let frames = if is_extended { client.extended(sql, &[]) } else { client.query(sql) };
    let told = frames.into_iter().filter_map(|frame| match frame.tag {
        b'D' => {
            let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8(value).unwrap());
            Some(format!("{:?}", frame.values().into_iter().map(text).collect::<Vec<_>>()))
        }
        b'C' => Some(frame.command()),
        b'E' => Some(format!("{} {:?}", frame.sqlstate(), frame.field(b'D'))),
        _ => None,
    });
    told.collect()
}

/// Options of COPY, and data that has to be written with care.
const COPIES: [(&str, &str); 2] = [
    (
        "NULL 'none'",
        "7000\tp1@x\t\\\\x41\\tb\n7001\t\\none\tnone\n7002\t\\\\.\tnone\n7003\ta\\\\b\\tc\\nd\t\\x6eone\n",
    ),
    (
        "FORMAT csv, NULL 'none'",
        "7000,\"p1@x\",\"a\nb\"\n7001,\"none\",none\n7002,\"it's \"\"q\"\"\",\"a,b\"\n",
    ),
];

/// Statements that the plaintext database answers in the same way, in every phase; `{r}` is a number.
const STATEMENTS: [&str; 40] = [
    "SELECT id, email, code, note FROM people ORDER BY id",
    "SELECT id FROM people WHERE email = 'p7@x'",
    "SELECT id FROM people WHERE email = 'it''s \\ \"q\" {ü}' OR email = '' ORDER BY id",
    "SELECT id FROM people WHERE email = ANY('{\"it''s \\\\ \\\"q\\\" {ü}\",p3@x,\"\",NULL,\"NULL\"}') ORDER BY id",
    "SELECT id FROM people WHERE email = ANY(ARRAY['p1@x', 'it''s \\ \"q\" {ü}']) ORDER BY id",
    "SELECT count(*) FROM people WHERE email <> ALL('{p7@x,p8@x}')",
    "SELECT CASE WHEN id > 1 THEN email ELSE 'hid''den' END FROM people WHERE id < 4 ORDER BY id",
    "SELECT id FROM people WHERE email IN ('p7@x', 'p8@x', 'nobody') ORDER BY id",
    "SELECT count(*) FROM people WHERE email <> 'p7@x'",
    "SELECT count(*) FROM people WHERE email NOT IN ('p1@x', 'p2@x')",
    "SELECT p.id, l.id FROM people p JOIN logins l USING (email) ORDER BY 1, 2",
    "SELECT p.id, t.id FROM people p JOIN parts t ON t.email = p.email ORDER BY 1, 2",
    "SELECT count(DISTINCT email) FROM (SELECT email FROM people UNION SELECT email FROM visits) a",
    "SELECT count(*) FROM (SELECT email FROM people EXCEPT SELECT email FROM logins) a",
    "SELECT email, count(*) AS n FROM visits GROUP BY email HAVING email = 'p3@x'",
    "SELECT other, count(*) FROM visits WHERE other = 'p3@x' OR other = ANY('{p4@x}') GROUP BY other ORDER BY 2, min(n)",
    "SELECT CASE email WHEN 'p1@x' THEN 'one' ELSE 'more' END, code FROM people WHERE code = 1 ORDER BY id",
    "SELECT k.id FROM known k WHERE k.email IS NOT DISTINCT FROM 'p5@x' ORDER BY k.at",
    "SELECT email FROM parts WHERE id = 2 AND email IN (SELECT email FROM people WHERE code = 2)",
    "SELECT v.n FROM visits v, (VALUES ('p4@x'), ('p9@x')) AS w (e) WHERE v.email = w.e ORDER BY 1",
    "SELECT coalesce(email, 'none''s') FROM people WHERE id > 899 ORDER BY id",
    "SELECT id, email = 'p3@x' FROM people WHERE id < 5 ORDER BY id",
    "SELECT nullif(email, 'p2@x') FROM people WHERE id < 5 ORDER BY id",
    "INSERT INTO people (id, email, n) VALUES (1000, 'new {r}', 0) ON CONFLICT (id) DO UPDATE SET email = excluded.email",
    "INSERT INTO people (id, email) VALUES (1001, 'p5@x')",
    "INSERT INTO people (id, email) VALUES (5000, 'p5@x') ON CONFLICT (email) DO UPDATE SET n = people.n + 1 RETURNING id, email, n",
    "INSERT INTO logins VALUES (5000, 'no {r}', 1)",
    "INSERT INTO logins VALUES (5001, 'new {r}', 1) RETURNING email",
    "DELETE FROM people WHERE email = 'p3@x'",
    "DELETE FROM logins WHERE email = 'new {r}' RETURNING id",
    "UPDATE people SET email = 'moved ''{r}''' WHERE email = 'new {r}' RETURNING email, n",
    "UPDATE people SET email = 'p60@x' WHERE id = 60",
    "UPDATE visits SET by = 'p{r}@x', email = other WHERE n = 5 RETURNING email, other, by",
    "UPDATE visits v SET by = p.email FROM people p WHERE p.email = v.other AND v.n = 7 RETURNING v.by, p.id",
    "UPDATE people SET n = n + 1 WHERE email IN (SELECT email FROM visits WHERE n = 9) RETURNING id, n",
    "INSERT INTO visits (email, other, n) SELECT email, 'p{r}@x', 9000 FROM people WHERE email = 'p8@x' RETURNING email, other",
    "DELETE FROM visits WHERE n = 9000 AND other = 'p{r}@x'",
    "INSERT INTO parts SELECT 3, email FROM people WHERE email = 'P1@x' RETURNING *",
    "DELETE FROM parts WHERE email = 'P1@x'",
    "SELECT email FROM people WHERE email = 'pgs1' AND id = 907",
];

#[test]
fn text_is_encrypted_and_made_plaintext_again_and_every_answer_is_the_twin_s() {
    let mut pair = Pair::start();
    let mut clients = pair.clients();
    pair.compare(&mut clients, 0, "before");

    pair.announce("encrypt", &policy(MIGRATING));
    pair.compare(&mut clients, 1, "announced");
    pair.policy(&policy(MIGRATING));
    pair.compare(&mut clients, 2, "migrating");
    assert_eq!(pair.counts().0, 0, "nothing is encrypted before the job begins");
    for sql in [
        "SELECT 1 FROM people WHERE email = 'pgs1.x'",
        "UPDATE people SET email = 'pgs1.x' WHERE id = 1",
        "SELECT 1 FROM people WHERE lower(email) = 'x'",
        "ALTER TABLE people ALTER COLUMN email SET DEFAULT 'x'",
    ] {
        assert_eq!(clients[0].query(sql)[0].sqlstate(), "0A000", "{sql}");
    }
    let refused = |arguments: &[&str], wanted: &str| {
        let (code, text) = shown(&pair.site.command(arguments).output().unwrap());
        assert!(code == 1 && text.contains(wanted), "{arguments:?}: {text}");
    };
    pair.site.done(&["keys", "add", "default"]);
    let start = Instant::now();
    loop {
        let promote = ["keys", "promote", "default@2"];
        let (code, text) = shown(&pair.site.command(&promote).output().unwrap());
        assert_eq!(code, 1, "{text}");
        if text.contains("is state = \"migrating\" in the policy") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{text}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut direct = pair.site.direct();
    for (value, wanted) in
        [("pgs1.hello", "begin as encrypted ones do"), (&"x".repeat(50), "than the policy")]
    {
        direct.run(&format!("INSERT INTO people (id, email) VALUES (950, '{value}')"));
        direct.run(&format!("INSERT INTO logins VALUES (950, '{value}')"));
        refused(&["encrypt", "logins.email"], wanted);
        direct.run("DELETE FROM logins WHERE id = 950; DELETE FROM people WHERE id = 950");
    }
    let text = pair.site.done(&["encrypt", "people.email", "--dry-run"]);
    assert!(text.contains("context public.people.email (public.logins.email, "), "{text}");

    pair.beside(&["encrypt", "people.email", "--batch", "5", "--rows-per-second", "80"]);
    assert_eq!(pair.counts().1, 0, "all is encrypted");
    pair.compare(&mut clients, 3, "encrypted");
    let left = "SELECT (SELECT count(*) FROM pg_proc WHERE pronamespace = 'pgseal'::regnamespace)
         + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~~pgseal%')";
    assert_eq!(direct.value(left).as_deref(), Some("0"), "functions and triggers are gone");
    let map = direct.value("SELECT 'pgseal.map_' || number FROM pgseal.pin").unwrap();
    assert_eq!(direct.value(&format!("SELECT count(*) FROM {map}")).as_deref(), Some("0"));
    for sql in ["INSERT INTO parts VALUES (3, 'plain')", "UPDATE visits SET other = 'plain'"] {
        assert_eq!(direct.query(sql)[0].sqlstate(), "23514", "{sql}");
    }
    let open = "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND NOT convalidated";
    assert_eq!(direct.value(open).as_deref(), Some("0"));
    assert!(pair.site.done(&["encrypt", "people.email"]).contains("0 rows moved"), "it has ended");

    pair.policy(&policy(""));
    pair.compare(&mut clients, 4, "sealed");
    pair.site.done(&["verify"]);
    // A rotation, and then the way back from another version of the key.
    pair.site.done(&["keys", "promote", "default@2"]);
    pair.beside(&["rotate", "default", "--batch", "5", "--rows-per-second", "150"]);

    pair.announce("decrypt", &policy(MIGRATING));
    pair.compare(&mut clients, 5, "decryption announced");
    pair.policy(&policy(MIGRATING));
    pair.compare(&mut clients, 6, "migrating back");
    assert_eq!(pair.counts().1, 0, "nothing is plaintext before the job begins");
    pair.beside(&["decrypt", "people.email", "--batch", "5", "--rows-per-second", "80"]);
    assert_eq!(pair.counts().0, 0, "all is plaintext");
    pair.compare(&mut clients, 7, "decrypted");
    pair.policy(BEFORE);
    pair.compare(&mut clients, 8, "out of the policy");

    // A column that was plaintext and is made anew through the proxy is encrypted from the beginning.
    let fresh = "[table.\"public.fresh\"]\nemail = { type = \"text\", mode = \"deterministic\", context = \"public.people.email\" }\n";
    pair.policy(&[BEFORE, fresh].concat());
    clients[0].run("CREATE TABLE fresh (email text)");
    // A version retires, and what is known of the context was said of other columns.
    assert_eq!(clients[0].query("INSERT INTO fresh VALUES ('fresh')")[0].sqlstate(), "55000");
    pair.site.done(&["rotate", "default"]);
    std::thread::sleep(Duration::from_millis(1500));
    clients[0].run("INSERT INTO fresh VALUES ('fresh')");
    assert!(direct.value("SELECT email FROM fresh").unwrap().starts_with("\\xe511"));
    assert_eq!(clients[1].value("SELECT email FROM fresh WHERE email = 'fresh'").as_deref(), Some("fresh"));
    clients[0].run("DROP TABLE fresh");
    pair.policy(BEFORE);

    // And once more: what is known of the context by now was said of that column, and of no other.
    pair.announce("encrypt", &policy(MIGRATING));
    pair.policy(&policy(MIGRATING));
    pair.site.done(&["encrypt", "people.email"]);
    assert_eq!(pair.counts().1, 0);
    pair.compare(&mut clients, 9, "encrypted again");
    pair.site.done(&["verify"]);
}

#[test]
fn a_job_that_is_killed_again_and_again_goes_on_and_proxies_that_know_nothing_of_it_refuse() {
    let mut pair = Pair::start();
    // Before the database says what the column holds, nothing is stored in it or compared with it.
    assert!(pair.unaware(&policy(MIGRATING), "migrating, nothing announced") > 20);
    pair.announce("encrypt", &policy(MIGRATING));
    assert!(pair.unaware(&policy(""), "announced") > 20);
    pair.policy(&policy(MIGRATING));
    let mut clients = pair.clients();
    let mut round = 100;
    for (work, other) in [("encrypt", "decrypt"), ("decrypt", "encrypt")] {
        let arguments = [work, "people.email", "--batch", "4", "--rows-per-second", "80"];
        let (mut killed, mut unaware) = (0, 0);
        for turn in 0..8_u64 {
            let mut job = pair.site.command(&arguments).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(150 + turn * 389 % 2900));
            killed += u32::from(job.try_wait().unwrap().is_none());
            let _ = job.kill();
            job.wait().unwrap();
            round += 1;
            pair.compare(&mut clients, round, &format!("{work} killed {turn}"));
            let phase = "SELECT phase FROM pgseal.pin";
            if unaware == 0 && pair.site.direct().value(phase).as_deref() == Some("moving") {
                unaware = pair.unaware(&policy(""), &format!("{work} is cut off"));
                assert!(unaware > 20, "{work}");
                let (code, text) = shown(&pair.site.command(&[other, "people.email"]).output().unwrap());
                let wanted = format!("run \"pgseal {work}\" to its end first");
                assert!(code == 1 && text.contains(&wanted), "{text}");
                let text = pair.site.done(&["status"]);
                let wanted = format!("  public.people.email: phase moving of {work}, from ");
                assert!(text.contains("contexts between two forms") && text.contains(&wanted), "{text}");
                let status = pair.site.command(&["status", "--json"]).output().unwrap();
                let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
                let context = &status["contexts"][0];
                assert_eq!((&context["phase"], &context["work"]), (&"moving".into(), &work.into()));
                let plaintext = if work == "encrypt" { "old" } else { "new" };
                assert_eq!(context[plaintext], "plaintext");
            }
        }
        assert!(killed > 3 && unaware > 0, "{killed} {unaware}");
        pair.site.done(&[work, "people.email"]);
        let (sealed, plain) = pair.counts();
        assert_eq!(if work == "encrypt" { plain } else { sealed }, 0);
        round += 1;
        pair.compare(&mut clients, round, work);
        match work {
            "encrypt" => assert_eq!(pair.unaware(&policy(""), "encrypted"), 0),
            _ => assert!(pair.unaware(&policy(""), "decrypted") > 20),
        }
    }
}

#[test]
fn nothing_is_lost_found_twice_or_missed_while_values_are_encrypted_and_decrypted_under_load() {
    let pair = Pair::start();
    pair.announce("encrypt", &policy(MIGRATING));
    pair.policy(&policy(MIGRATING));
    let site = &pair.site;
    let done = load::with(site, |shared| {
        for work in ["encrypt", "decrypt", "encrypt"] {
            std::thread::sleep(Duration::from_millis(500));
            let arguments = [work, "people.email", "--batch", "3", "--rows-per-second", "500"];
            let (code, text) = shown(&site.command(&arguments).output().unwrap());
            assert_eq!(code, 0, "{text}");
            if shared.is_stopped() {
                return;
            }
        }
    });
    println!("{done}");
    assert_eq!(pair.counts().1, 0, "all is encrypted");
    site.done(&["verify"]);
}
