//! Rotation of deterministic columns, value by value, beside running proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

#[path = "support/mod.rs"]
mod support;

use support::{Cluster, Proxy, RawClient};

const POLICY: &str = r#"version = 1
[defaults]
mode = "deterministic"
[table."public.people"]
email = { type = "text" }
code = { type = "int4" }
note = { type = "text", mode = "randomized" }
[table."public.logins"]
email = { type = "text", context = "public.people.email" }
[table."public.visits"]
email = { type = "text", context = "public.people.email" }
other = { type = "text", context = "public.people.email" }
by = { type = "text", context = "public.people.email" }
[table."public.words"]
word = { type = "varchar(20)" }
"#;

const SCHEMA: &str = "
CREATE TABLE people (id int PRIMARY KEY, email bytea UNIQUE, code bytea, note bytea, n int NOT NULL DEFAULT 0);
CREATE TABLE logins (id int PRIMARY KEY, email bytea REFERENCES people (email), at int);
CREATE TABLE visits (email bytea, other bytea, n int, by bytea);
CREATE INDEX ON visits (email);
CREATE TABLE words (id serial PRIMARY KEY, word text);
CREATE VIEW known AS SELECT p.id, p.email, l.at FROM people p LEFT JOIN logins l ON l.email = p.email;
";

const LEASE: (&str, &str) = ("PGSEAL_CATALOG_LEASE", "1");

/// Proxies that report in their database, and the commands beside them.
struct Site {
    cluster: Cluster,
    database: String,
    proxies: Vec<Proxy>,
}

impl Site {
    fn start(proxies: usize) -> Self {
        let cluster = Cluster::start();
        let database = cluster.database("app");
        cluster.connect(&database).run(SCHEMA);
        let url = cluster.url(&database);
        let environment = [("PGSEAL_DATABASE", &*url), LEASE];
        let first = Proxy::start_with(cluster.address(), POLICY, &environment);
        let mut all = vec![first];
        for _ in 1..proxies {
            let next = all[0].beside(cluster.address(), &environment);
            all.push(next);
        }
        Self { cluster, database, proxies: all }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgseal"));
        command.args(arguments).current_dir(self.proxies[0].folder());
        command.env("PGSEAL_KEYRING", "keyring/keyring.toml").env("PGSEAL_POLICY", "policy.toml");
        command.env("PGSEAL_DATABASE", self.cluster.url(&self.database)).env(LEASE.0, LEASE.1);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command that has to succeed.
    fn done(&self, arguments: &[&str]) -> String {
        let (code, text) = shown(&self.command(arguments).output().unwrap());
        assert_eq!(code, 0, "{arguments:?}\n{text}");
        text
    }

    /// Adds a version of the key and lets the proxies seal with it.
    fn promote(&self) {
        self.done(&["keys", "add", "default"]);
        let start = Instant::now();
        loop {
            let (code, text) = shown(&self.command(&["keys", "promote", "default"]).output().unwrap());
            if code == 0 {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn direct(&self) -> RawClient {
        self.cluster.connect(&self.database)
    }

    fn through(&self) -> RawClient {
        self.proxies[0].connect(&self.database)
    }
}

fn shown(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
}

fn wait(mut child: Child) -> (i32, String) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the job does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    shown(&child.wait_with_output().unwrap())
}

fn fill(client: &mut RawClient) {
    let list = |rows: std::ops::Range<u32>, row: &dyn Fn(u32) -> String| {
        rows.map(row).collect::<Vec<_>>().join(", ")
    };
    let people = list(0..300, &|n| format!("({n}, 'p{n}@x', {}, 'note {n}')", n % 50));
    client.run(&format!("INSERT INTO people (id, email, code, note) VALUES {people}"));
    client.run(&format!(
        "INSERT INTO logins VALUES {}",
        list(0..200, &|n| format!("({n}, 'p{}@x', {n})", n % 100))
    ));
    client.run(&format!(
        "INSERT INTO visits VALUES {}",
        list(0..200, &|n| format!("('p{}@x', 'p{}@x', {n})", n % 120, (n + 1) % 120))
    ));
    client.run(&format!("INSERT INTO words (word) VALUES {}", list(0..100, &|n| format!("('w{}')", n % 30))));
}

/// Statements whose answers do not depend on how far a move is.
const READS: [&str; 15] = [
    "SELECT id, email, code, note FROM people ORDER BY id",
    "SELECT id FROM people WHERE email = 'p7@x'",
    "SELECT id FROM people WHERE email = ALL('{p7@x}')",
    "SELECT count(*) FROM people WHERE email <> ANY('{p7@x,p8@x}')",
    "SELECT CASE WHEN id > 1 THEN email ELSE 'hidden' END FROM people WHERE id < 4 ORDER BY id",
    "SELECT id FROM people WHERE email IN ('p7@x', 'p8@x', 'nobody') ORDER BY id",
    "SELECT count(*) FROM people WHERE email <> 'p7@x'",
    "SELECT id FROM people WHERE email = ANY('{p1@x,p2@x,none}') ORDER BY id",
    "SELECT count(*) FROM people WHERE email NOT IN ('p1@x', 'p2@x')",
    "SELECT p.id, l.id FROM people p JOIN logins l USING (email) ORDER BY 1, 2",
    "SELECT count(DISTINCT email) FROM (SELECT email FROM people UNION SELECT email FROM visits) a",
    "SELECT email, count(*) AS n FROM visits GROUP BY email HAVING email = 'p3@x'",
    "SELECT CASE email WHEN 'p1@x' THEN 'one' ELSE 'more' END, code FROM people WHERE code = 1 AND id < 60 ORDER BY id",
    "SELECT k.id FROM known k WHERE k.email IS NOT DISTINCT FROM 'p5@x' ORDER BY k.at",
    "SELECT word, count(*) FROM words WHERE word = 'w3' OR word = ANY(ARRAY['w4', 'w5']) GROUP BY word ORDER BY 2, min(id)",
];

#[test]
fn values_move_and_every_statement_reads_as_before_in_each_phase() {
    let site = Site::start(1);
    let mut client = site.through();
    fill(&mut client);
    let reads = |client: &mut RawClient| READS.map(|sql| client.rows(sql));
    let before = reads(&mut client);
    let mut prepared = site.through();
    prepared.run("PREPARE by_email AS SELECT id FROM people WHERE email = $1");
    assert_eq!(prepared.rows("EXECUTE by_email('p9@x')").len(), 1);

    site.promote();
    assert_eq!(reads(&mut client), before, "promoted");
    let job =
        site.command(&["rotate", "default", "--batch", "5", "--rows-per-second", "150"]).spawn().unwrap();
    let mut direct = site.direct();
    let (mut looks, mut moving) = (0, 0);
    let mut job = Some(job);
    while job.as_mut().unwrap().try_wait().unwrap().is_none() {
        assert_eq!(reads(&mut client), before, "while values move");
        let named = client.run(
            "SELECT CASE WHEN id > 1 THEN email ELSE 'hidden' END, 'x' FROM people WHERE email = 'p1@x'",
        );
        let names: Vec<_> = named[0].fields().into_iter().map(|field| field.name).collect();
        assert_eq!(names, ["case", "?column?"]);
        client.run(&format!("UPDATE visits SET by = 'p{looks}@x' WHERE n = 5"));
        looks += 1;
        let phase = direct.rows("SELECT phase FROM pgseal.pin WHERE phase = 'moving'");
        moving += usize::from(!phase.is_empty());
        assert!(looks < 10_000);
    }
    let (code, text) = wait(job.take().unwrap());
    assert_eq!(code, 0, "{text}");
    assert!(moving > 20, "{moving} of {looks} looks were at a move");
    assert_eq!(reads(&mut client), before, "moved");
    let left = direct.value(
        "SELECT count(*)::text FROM pg_proc WHERE pronamespace = 'pgseal'::regnamespace
           OR oid IN (SELECT tgfoid FROM pg_trigger WHERE tgname LIKE '~~pgseal%')",
    );
    assert_eq!(left.as_deref(), Some("0"), "functions and triggers are gone");
    let text = site.done(&["keys", "archive", "default@1"]);
    assert!(text.contains("archived default@1"), "{text}");
    assert_eq!(reads(&mut client), before, "archived");
    site.done(&["keys", "destroy", "default@1", "--yes"]);
    assert_eq!(reads(&mut client), before, "destroyed");
    let pins = direct.value("SELECT count(*)::text FROM pgseal.pin");
    assert!(
        matches!(pins.as_deref(), Some("0" | "3")),
        "{pins:?}: gone if the proxy has dropped the key by now"
    );
}

#[test]
fn a_job_that_is_killed_again_and_again_goes_on_and_a_second_one_is_refused() {
    let site = Site::start(1);
    let mut client = site.through();
    fill(&mut client);
    let reads = |client: &mut RawClient| READS.map(|sql| client.rows(sql));
    let before = reads(&mut client);
    site.promote();
    let rotate = ["rotate", "default", "--batch", "4", "--rows-per-second", "120"];
    let mut killed = 0;
    for turn in 0..14_u64 {
        let mut job = site.command(&rotate).spawn().unwrap();
        // From the announcement over the first batches to the end of a context.
        std::thread::sleep(Duration::from_millis(150 + turn * 389 % 2900));
        if turn == 6 && job.try_wait().unwrap().is_none() {
            let (code, text) = shown(&site.command(&rotate).output().unwrap());
            assert!(code == 1 && text.contains("another job works on column"), "{text}");
        }
        killed += u32::from(job.try_wait().unwrap().is_none());
        let _ = job.kill();
        job.wait().unwrap();
        assert_eq!(reads(&mut client), before, "after kill {turn}");
        client.run(&format!("INSERT INTO words (word) VALUES ('late {turn}')"));
        assert_eq!(
            client.rows(&format!("SELECT 1 FROM words WHERE word = 'late {turn}'")).len(),
            1,
            "{turn}"
        );
    }
    assert!(killed > 3, "{killed}");
    // In the middle of a move no other version can be promoted, and the old one not be archived.
    let promoted = |arguments: &[&str]| shown(&site.command(arguments).output().unwrap());
    site.done(&["keys", "add", "default"]);
    let pins = site.direct().rows("SELECT phase FROM pgseal.pin WHERE phase <> 'new'");
    if !pins.is_empty() {
        let start = Instant::now();
        let text = loop {
            let (code, text) = promoted(&["keys", "promote", "default@3"]);
            assert_eq!(code, 1, "{text}");
            if !text.contains("does not hold it yet") {
                break text;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{text}");
        };
        assert!(text.contains("run \"pgseal rotate\" to its end first"), "{text}");
        let (code, text) = promoted(&["keys", "archive", "default@1"]);
        assert!(code == 1 && text.contains("rows are under it"), "{text}");
    }
    let (code, text) = wait(site.command(&["rotate", "default"]).spawn().unwrap());
    assert!(code == 0 && text.contains(" 0 values could not be"), "{text}");
    assert_eq!(reads(&mut client), before, "moved");
    site.done(&["verify"]);
    assert!(site.done(&["keys", "archive", "default@1"]).contains("archived default@1"));
}

/// At READ COMMITTED a statement that has waited for a row looks at its new version. What it compares that with was
/// read before: here a value moves in between, by hand, at the one moment that counts.
#[test]
fn a_row_that_moves_while_a_statement_waits_for_it_is_found() {
    let site = Site::start(1);
    let mut client = site.through();
    fill(&mut client);
    site.promote();
    let mut direct = site.direct();
    let rotate = ["rotate", "people.email", "--batch", "1", "--rows-per-second", "2"];
    let mut job = site.command(&rotate).spawn().unwrap();
    let number = || "SELECT number::text FROM pgseal.pin WHERE context = 'public.people.email'";
    let number = direct.value(number()).unwrap();
    let start = Instant::now();
    while direct.query(&format!("SELECT 1 FROM pgseal.map_{number}")).iter().all(|frame| frame.tag != b'D') {
        assert!(start.elapsed() < Duration::from_secs(30), "the job does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    job.kill().unwrap();
    job.wait().unwrap();

    let statements = [
        ("p100@x", "UPDATE people SET n = n + 1 WHERE email = 'p100@x'"),
        ("p101@x", "UPDATE people p SET n = p.n + 1 FROM visits v WHERE v.email = p.email AND v.n = 101"),
        ("p102@x", "UPDATE people SET n = n + 1 WHERE email IN ('nobody', 'p102@x')"),
        ("p103@x", "UPDATE people SET n = n + 1 WHERE email IS NOT DISTINCT FROM 'p103@x'"),
        ("p104@x", "DELETE FROM people WHERE email = ANY('{p104@x}')"),
        (
            "p105@x",
            "UPDATE people SET n = 1 WHERE id = (SELECT p.id FROM people p WHERE p.email = 'p105@x' FOR UPDATE)",
        ),
    ];
    for (value, statement) in statements {
        let forms = forms(&mut client, value);
        direct.run("BEGIN");
        // As a batch does it.
        direct.run(&format!("SELECT pg_advisory_xact_lock({}, {number} * 1024)", 0x7067_736c));
        direct.run(&format!("INSERT INTO pgseal.map_{number} VALUES ('{}', '{}')", forms[0], forms[1]));
        for (table, column) in [("people", "email"), ("visits", "email"), ("visits", "other")] {
            direct.run(&format!(
                "UPDATE {table} SET {column} = '{}' WHERE {column} = '{}'",
                forms[1], forms[0]
            ));
        }
        let mut waiting = site.through();
        let done = std::thread::spawn(move || {
            let frames = waiting.run(statement);
            frames.iter().find(|frame| frame.tag == b'C').unwrap().command()
        });
        let waits = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        let start = Instant::now();
        while site.direct().value(waits).as_deref() != Some("1") {
            assert!(start.elapsed() < Duration::from_secs(30), "{statement} does not wait");
            std::thread::sleep(Duration::from_millis(10));
        }
        direct.run("COMMIT");
        let command = done.join().unwrap();
        assert!(command.ends_with(" 1"), "{statement}: {command}");
    }
    site.done(&["rotate", "default"]);
    site.done(&["verify"]);
}

/// Both forms of a value of the context that is being moved, as EXPLAIN shows them.
fn forms(client: &mut RawClient, value: &str) -> Vec<String> {
    let plan = client.rows(&format!("EXPLAIN SELECT id FROM people WHERE email = '{value}'"));
    let text: String = plan.into_iter().flatten().flatten().collect();
    let forms: Vec<String> = text
        .split("\\x")
        .skip(1)
        .map(|rest| format!("\\x{}", rest.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap()))
        .collect();
    assert!(forms.len() >= 2, "{text}");
    forms
}

mod load {
    //! Writers and readers whose every answer is checked against what they know they have written.

    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use tokio_postgres::error::SqlState;
    use tokio_postgres::{Client, Error, IsolationLevel, NoTls, Statement, Transaction};

    /// What all workers share.
    #[derive(Default)]
    pub(super) struct Shared {
        pub(super) stop: AtomicBool,
        /// Times that the row of all was counted up.
        pub(super) hot: AtomicU64,
        pub(super) transactions: AtomicU64,
        /// Transactions that were told to try again, by isolation level.
        pub(super) retries: [AtomicU64; 3],
        /// Sessions that ended since their proxy had been stopped for too long.
        pub(super) cut: AtomicU64,
    }

    /// A worker, its rows, and what they hold.
    pub(super) struct Worker {
        number: u32,
        seed: u64,
        url: String,
        /// Persons by id: email, and the times that they were counted up.
        people: BTreeMap<i32, (String, i32)>,
        next: i32,
    }

    struct Session {
        client: Client,
        by_email: Statement,
        insert: Statement,
        change: Statement,
        upsert: Statement,
        join: Statement,
        list: Statement,
    }

    const LEVELS: [IsolationLevel; 3] =
        [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable];

    impl Worker {
        pub(super) fn new(number: u32, url: String) -> Self {
            let seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(number) + 1);
            Self {
                number,
                seed,
                url,
                people: BTreeMap::new(),
                next: i32::try_from(number).unwrap() * 1_000_000 + 1000,
            }
        }

        fn random(&mut self, below: u64) -> u64 {
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
            self.seed % below
        }

        /// The id of the row that is joined to, and of its visit's number.
        fn joined(&self) -> i32 {
            i32::try_from(self.number).unwrap() + 2000
        }

        /// One of the emails that only this worker writes; few, so that values go and come again.
        fn email(&mut self) -> String {
            let which = self.random(60);
            format!("w{}-{which}@x", self.number)
        }

        async fn connect(&self) -> Result<Session, Error> {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
            tokio::spawn(connection);
            let prepare = |sql: &'static str| client.prepare(sql);
            Ok(Session {
                by_email: prepare("SELECT id, n FROM people WHERE email = $1").await?,
                insert: prepare("INSERT INTO people (id, email, code) VALUES ($1, $2, 1)").await?,
                change: prepare("UPDATE people SET email = $2 WHERE email = $1").await?,
                upsert: prepare(
                    "INSERT INTO people (id, email) VALUES ($1, $2)
                     ON CONFLICT (email) DO UPDATE SET n = people.n + 1 RETURNING id",
                )
                .await?,
                join: prepare(
                    "UPDATE people p SET n = p.n + 1 FROM visits v WHERE v.email = p.email AND v.n = $1",
                )
                .await?,
                list: prepare("SELECT id, email, n FROM people WHERE id = ANY($1)").await?,
                client,
            })
        }

        /// Works until it is told to stop.
        pub(super) async fn run(&mut self, shared: &Shared) {
            let mut session = self.connect().await.expect("a session");
            // A row that others join to: this worker's own, by a number of its own.
            let (number, email) = (self.joined(), format!("w{}-joined@x", self.number));
            session
                .client
                .batch_execute(&format!(
                    "INSERT INTO people (id, email) VALUES ({number}, '{email}');
                     INSERT INTO visits (email, n) VALUES ('{email}', {})",
                    number + 10_000
                ))
                .await
                .expect("the joined row");
            self.people.insert(number, (email, 0));
            while !shared.stop.load(Ordering::Relaxed) {
                let level = usize::try_from(self.random(3)).unwrap();
                let before = self.people.clone();
                let kept = self.next;
                match self.transaction(&mut session, LEVELS[level], shared).await {
                    Ok(()) => drop(shared.transactions.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => {
                        (self.people, self.next) = (before, kept);
                        match error.code() {
                            Some(&SqlState::T_R_SERIALIZATION_FAILURE) => {
                                shared.retries[level].fetch_add(1, Ordering::Relaxed);
                                assert!(level > 0, "{error:?}: at READ COMMITTED");
                            }
                            // The hot row and the others are taken in any order.
                            Some(&SqlState::T_R_DEADLOCK_DETECTED) => {}
                            _ if error.is_closed() || error.code() == Some(&SqlState::CONNECTION_FAILURE) => {
                                shared.cut.fetch_add(1, Ordering::Relaxed);
                                session = self.connect().await.expect("a session");
                            }
                            _ => panic!("worker {}: {error:?}", self.number),
                        }
                    }
                }
            }
            self.check(&session).await;
        }

        async fn transaction(
            &mut self,
            session: &mut Session,
            level: IsolationLevel,
            shared: &Shared,
        ) -> Result<(), Error> {
            let Session { client, by_email, insert, change, upsert, join, list } = session;
            let transaction = client.build_transaction().isolation_level(level).start().await?;
            let mut hot = 0;
            for _ in 0..=self.random(3) {
                match self.random(9) {
                    0 | 1 => self.insert(&transaction, insert).await?,
                    2 => self.change(&transaction, change).await?,
                    3 => self.find(&transaction, by_email).await?,
                    4 => self.upsert(&transaction, upsert).await?,
                    5 => {
                        let number = self.joined();
                        let changed = transaction.execute(&*join, &[&(number + 10_000)]).await?;
                        assert_eq!(changed, 1, "the joined row is found");
                        self.people.get_mut(&number).unwrap().1 += 1;
                    }
                    6 => self.delete(&transaction).await?,
                    7 => {
                        let changed = transaction
                            .execute("UPDATE people SET n = n + 1 WHERE email = 'hot@x'", &[])
                            .await?;
                        assert_eq!(changed, 1, "the row of all is found");
                        hot += 1;
                    }
                    _ => {
                        let ids: Vec<i32> = self.people.keys().copied().collect();
                        let rows = transaction.query(&*list, &[&ids]).await?;
                        let found: BTreeMap<i32, (String, i32)> =
                            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
                        assert_eq!(found, self.people, "all rows are as they were written");
                    }
                }
            }
            transaction.commit().await?;
            shared.hot.fetch_add(hot, Ordering::Relaxed);
            Ok(())
        }

        fn holder(&self, email: &str) -> Option<i32> {
            self.people.iter().find(|(_, (held, _))| held == email).map(|(id, _)| *id)
        }

        async fn insert(&mut self, transaction: &Transaction<'_>, insert: &Statement) -> Result<(), Error> {
            let email = self.email();
            if let Some(id) = self.holder(&email) {
                // In a savepoint, as the transaction goes on.
                transaction.batch_execute("SAVEPOINT s").await?;
                let error = transaction.execute(insert, &[&(id + 500_000), &email]).await;
                let error = error.expect_err("a duplicate");
                if error.code() != Some(&SqlState::UNIQUE_VIOLATION) {
                    return Err(error);
                }
                return transaction.batch_execute("ROLLBACK TO s").await;
            }
            self.next += 1;
            let id = self.next;
            transaction.execute(insert, &[&id, &email]).await?;
            self.people.insert(id, (email, 0));
            Ok(())
        }

        async fn change(&mut self, transaction: &Transaction<'_>, change: &Statement) -> Result<(), Error> {
            let (from, to) = (self.email(), self.email());
            if self.holder(&to).is_some() && from != to {
                return Ok(());
            }
            let changed = transaction.execute(change, &[&from, &to]).await?;
            let holder = self.holder(&from);
            assert_eq!(changed, u64::from(holder.is_some()), "{from} is found where it is");
            if let Some(id) = holder {
                self.people.get_mut(&id).unwrap().0 = to;
            }
            Ok(())
        }

        async fn find(&mut self, transaction: &Transaction<'_>, by_email: &Statement) -> Result<(), Error> {
            let email = self.email();
            let rows = transaction.query(by_email, &[&email]).await?;
            let found: Vec<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let known = self.holder(&email).map(|id| (id, self.people[&id].1));
            assert_eq!(found, known.into_iter().collect::<Vec<_>>(), "{email}");
            Ok(())
        }

        async fn upsert(&mut self, transaction: &Transaction<'_>, upsert: &Statement) -> Result<(), Error> {
            let email = self.email();
            self.next += 1;
            let id: i32 = transaction.query_one(upsert, &[&self.next, &email]).await?.get(0);
            match self.holder(&email) {
                Some(holder) => {
                    assert_eq!(id, holder, "{email} conflicts with itself");
                    self.people.get_mut(&id).unwrap().1 += 1;
                }
                None => {
                    assert_eq!(id, self.next, "{email} is new");
                    self.people.insert(id, (email, 0));
                }
            }
            Ok(())
        }

        /// A value that goes, and its child before it.
        async fn delete(&mut self, transaction: &Transaction<'_>) -> Result<(), Error> {
            let email = self.email();
            let Some(id) = self.holder(&email) else { return Ok(()) };
            transaction
                .execute(&format!("INSERT INTO logins (id, email) VALUES ({id}, '{email}')"), &[])
                .await?;
            let gone = transaction
                .execute(
                    &format!("DELETE FROM logins l USING people p WHERE l.email = p.email AND p.id = {id}"),
                    &[],
                )
                .await?;
            assert_eq!(gone, 1, "the child of {email} is found");
            let gone = transaction.execute("DELETE FROM people WHERE email = $1", &[&email]).await?;
            assert_eq!(gone, 1, "{email} is found");
            self.people.remove(&id);
            Ok(())
        }

        async fn check(&self, session: &Session) {
            let rows = session
                .client
                .query(
                    "SELECT id, email, n FROM people WHERE id = $1 OR id BETWEEN $2 AND $2 + 999999",
                    &[&self.joined(), &(i32::try_from(self.number).unwrap() * 1_000_000 + 1000)],
                )
                .await
                .expect("all rows");
            let found: BTreeMap<i32, (String, i32)> =
                rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
            assert_eq!(found, self.people, "worker {}", self.number);
        }
    }
}

#[test]
fn nothing_is_lost_found_twice_or_missed_while_values_move_under_load() {
    use std::sync::atomic::Ordering;
    use tokio::runtime::Builder;

    let site = Site::start(2);
    let mut client = site.through();
    fill(&mut client);
    client.run("INSERT INTO people (id, email) VALUES (999, 'hot@x')");
    let shared = load::Shared::default();
    let seconds = |n: f64| std::thread::sleep(Duration::from_secs_f64(n));
    std::thread::scope(|scope| {
        for number in 1..=6_u32 {
            let url = site.proxies[number as usize % 2].url(&site.database);
            let shared = &shared;
            scope.spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                // Told to stop, whatever becomes of this one.
                struct Stop<'a>(&'a load::Shared);
                impl Drop for Stop<'_> {
                    fn drop(&mut self) {
                        self.0.stop.store(true, Ordering::Relaxed);
                    }
                }
                let _stop = Stop(shared);
                runtime.block_on(load::Worker::new(number, url).run(shared));
            });
        }
        // The second proxy stands still now and then, for longer than a lease.
        let shared = &shared;
        let process = site.proxies[1].process();
        scope.spawn(move || {
            for turn in 0.. {
                if shared.stop.load(Ordering::Relaxed) {
                    break;
                }
                seconds(1.1);
                process.signal("STOP");
                seconds([0.2, 1.7, 2.5, 0.6][turn % 4]);
                process.signal("CONT");
            }
        });
        let steps = || {
            for version in 1..=2 {
                seconds(0.5);
                site.promote();
                seconds(0.3);
                let (code, text) = shown(
                    &site
                        .command(&["rotate", "default", "--batch", "3", "--rows-per-second", "500"])
                        .output()
                        .unwrap(),
                );
                assert_eq!(code, 0, "{text}");
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let text = site.done(&["keys", "archive", &format!("default@{version}")]);
                assert!(text.contains("archived"), "{text}");
            }
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(steps));
        shared.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    let hot = site.direct().value("SELECT n::text FROM people WHERE id = 999").unwrap();
    assert_eq!(hot.parse::<u64>().unwrap(), shared.hot.load(Ordering::Relaxed), "no update is lost");
    let all = shared.transactions.load(Ordering::Relaxed);
    println!(
        "{all} transactions, tried again by level {:?}, {} sessions cut",
        shared.retries,
        shared.cut.load(Ordering::Relaxed)
    );
    assert!(all > 500, "{all}");
}
