//! As an operator would: files that change and a proxy that is told to stop, both under load, and what it tells of itself
//! meanwhile.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::admin::{free_address, get, status};
use crate::harness::until;
use crate::support::message::*;
use crate::support::{Authority, Cluster, Frame, Proxy, RawClient, pgseal};

const POLICY: &str = "version = 1\n[table.\"public.people\"]\nemail = { type = \"text\", mode = \"deterministic\" }\n\
                      note = { type = \"text\" }\n";

const SCHEMA: &str = "CREATE TABLE people (id serial PRIMARY KEY, email bytea UNIQUE, note bytea);
                      CREATE TABLE plain (id int PRIMARY KEY, v text)";

/// Answers of `/metrics` in their order, for the parser of Prometheus' client library; gives the families of the last.
pub(super) fn parsed(answers: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into()));
    let python = std::env::var_os("PGSEAL_TEST_PROMETHEUS")
        .map_or_else(|| home.join(".cache/pgseal-tests/prometheus"), Into::into)
        .join("bin/python");
    assert!(python.exists(), "{} is missing: scripts/setup.sh prometheus", python.display());
    let files = answers.iter().enumerate().map(|(number, text)| {
        let file = folder.path().join(number.to_string());
        fs::write(&file, text).unwrap();
        file
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/exposition.py");
    let output = Command::new(python).arg(script).args(files).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}\n{}", answers.last().unwrap());
    text
}

fn metrics(admin: SocketAddr) -> String {
    get(admin, "/metrics").1
}

/// Puts files in place as Kubernetes does: each is a link through `..data`, which is switched to another folder.
fn switch(folder: &Path, generation: u32, files: &[(&str, Vec<u8>)]) {
    let (here, next) = (folder.join(format!("..gen{generation}")), folder.join("..next"));
    fs::create_dir(&here).unwrap();
    for (name, content) in files {
        let file = here.join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    symlink(here.file_name().unwrap(), &next).unwrap();
    fs::rename(&next, folder.join("..data")).unwrap();
    for (name, _) in files {
        let (file, link) = (folder.join(name), folder.join(format!("..{name}")));
        if !file.is_symlink() {
            symlink(Path::new("..data").join(name), &link).unwrap();
            fs::rename(&link, &file).unwrap();
        }
    }
}

/// Writes and reads through TLS until it is told to stop, by statements prepared once a session, and counts. Any error
/// is a failure.
fn work(number: usize, proxy: &Proxy, database: &str, authority: &Authority, done: &AtomicBool) -> u64 {
    let config = authority.client(&[], None);
    let mut rows = 0;
    while !done.load(Ordering::Relaxed) {
        let mut client = RawClient::open(proxy.address()).secure_by_request(&config).expect("a handshake");
        client.start(&[("user", "postgres"), ("database", database)]);
        let put = "INSERT INTO people (email, note) VALUES ($1, $2)";
        client.send(
            &[parse("put", put, &[]), parse("all", "SELECT note FROM people WHERE email = $1", &[])].concat(),
        );
        for _ in 0..25 {
            let (email, note) = (format!("w{number}-{rows}@x"), format!("canary {number} {rows}"));
            let flight = [
                bind("", "put", &[], &[Some(email.as_bytes()), Some(note.as_bytes())], &[]),
                execute("", 0),
                bind("", "all", &[], &[Some(email.as_bytes())], &[]),
                execute("", 0),
                sync(),
            ];
            client.send(&flight.concat());
            let frames = client.read_until_ready();
            assert_eq!(frames.last().map(|frame| frame.tag), Some(b'Z'), "the session ends: {frames:?}");
            assert!(frames.iter().all(|frame| frame.tag != b'E'), "{frames:?}");
            let found: Vec<_> = frames.iter().filter(|frame| frame.tag == b'D').map(|f| f.values()).collect();
            assert_eq!(found, [[Some(note.into_bytes())]]);
            rows += 1;
        }
        client.run(&format!(
            "BEGIN; INSERT INTO plain VALUES ({}, 'x'); COMMIT",
            number as u64 * 1_000_000 + rows
        ));
    }
    rows
}

#[test]
fn all_files_change_under_load_and_no_statement_fails() {
    let (authority, cluster) = (Authority::new(), Cluster::shared());
    let database = cluster.database("operate");
    cluster.connect(&database).run(SCHEMA);
    let (admin, secrets) = (free_address(), tempfile::tempdir().unwrap());
    let certificate = |generation: u32, number: u32| {
        let issued = authority.server(&format!("proxy{number}"));
        let read = |path: &Path| fs::read(path).unwrap();
        let files = [("tls.crt", read(&issued.certificate)), ("tls.key", read(&issued.key))];
        switch(secrets.path(), generation, &files);
    };
    certificate(0, 0);
    let path = |name: &str| secrets.path().join(name).display().to_string();
    let (address, crt, key) = (admin.to_string(), path("tls.crt"), path("tls.key"));
    let proxy = Proxy::start_with(
        cluster.address(),
        POLICY,
        &[
            ("PGSEAL_ADMIN", &address),
            ("PGSEAL_TLS", "required"),
            ("PGSEAL_TLS_CERT", &crt),
            ("PGSEAL_TLS_KEY", &key),
        ],
    );
    let folder = proxy.folder();
    let ring = folder.join("keyring");
    let other = format!("{POLICY}[table.\"public.to_come\"]\nv = {{ type = \"text\" }}\n");
    let done = AtomicBool::new(false);
    let mut answers = Vec::new();
    let rows: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|number| {
                let (proxy, database, authority, done) = (&proxy, &database, &authority, &done);
                scope.spawn(move || work(number, proxy, database, authority, done))
            })
            .collect();
        // Whatever fails here, they stop.
        let steps = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            std::thread::sleep(Duration::from_millis(500));
            answers.push(metrics(admin));
            for generation in 1..=3_u32 {
                let shown = || shown_certificate(&proxy, &authority);
                let (before, digest) = (shown(), status(admin)["policy"]["digest"].clone());
                let policy = if generation % 2 == 1 { &other } else { POLICY };
                switch(folder, generation, &[("policy.toml", policy.as_bytes().to_vec())]);
                certificate(generation, generation);
                let added = with_another_key(&ring);
                switch(&ring, generation, &[("keyring.toml", added)]);
                if generation % 2 == 0 {
                    // Only who asks for it takes protection away.
                    proxy.process().signal("HUP");
                }
                until(60, "all is read again", || {
                    let now = status(admin);
                    let keys = now["keys"].as_array().unwrap().len();
                    let is_new = now["policy"]["digest"] != digest && keys == generation as usize + 1;
                    (is_new && shown() != before).then_some(())
                });
                assert!(status(admin)["policy"]["failed"].is_null() || generation % 2 == 0);
                answers.push(metrics(admin));
            }
            std::thread::sleep(Duration::from_millis(500));
        }));
        done.store(true, Ordering::Relaxed);
        let rows = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        steps.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        rows
    });
    answers.push(metrics(admin));
    let families = parsed(&answers);
    assert!(
        families.contains("pgseal_kek_call_seconds") && families.contains("pgseal_batch_seconds"),
        "{families}"
    );
    let last = answers.last().unwrap();
    assert!(last.contains("pgseal_kek_calls_total{provider=\"file\",outcome=\"failed\"} 0\n"), "{last}");
    let direct = || cluster.connect(&database);
    assert_eq!(direct().value("SELECT count(*) FROM people"), Some(rows.to_string()));
    assert!(rows > 100, "{rows}");
    let clear = "SELECT count(*) FROM people WHERE position('canary'::bytea in note || email) > 0";
    assert_eq!(direct().value(clear).as_deref(), Some("0"));
}

fn shown_certificate(proxy: &Proxy, authority: &Authority) -> Vec<u8> {
    RawClient::open(proxy.address()).secure_by_request(&authority.client(&[], None)).unwrap().certificate()
}

/// The keyring with one more version of its key, made elsewhere, as by somebody who then changes the secret.
fn with_another_key(ring: &Path) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["keyring.toml", "kek"] {
        fs::copy(ring.join(name), folder.path().join(name)).unwrap();
    }
    let keyring = folder.path().join("keyring.toml");
    let added = pgseal(&["keys", "add", "default", "--keyring", &keyring.display().to_string()]);
    assert!(added.0, "{}", added.1);
    fs::read(keyring).unwrap()
}

/// A client that knows what to do when its proxy goes: connect again, to another one, between two transactions.
struct Patient<'a> {
    proxies: [&'a Proxy; 2],
    database: &'a str,
    client: RawClient,
    /// Times that it came again.
    moved: u64,
}

/// The session has ended before a statement was carried out.
struct Ended;

impl<'a> Patient<'a> {
    fn new(proxies: [&'a Proxy; 2], database: &'a str) -> Self {
        Self { proxies, database, client: proxies[0].connect(database), moved: 0 }
    }

    /// Sends messages that end in a Sync or are a Query.
    fn try_send(&mut self, messages: &[u8]) -> Result<Vec<Frame>, Ended> {
        // The other side may have closed: what it has said before is still there.
        let _ = self.client.try_send(messages);
        let frames = self.client.read_until_ready();
        match frames.iter().find(|frame| frame.tag == b'E') {
            None if frames.last().is_some_and(|frame| frame.tag == b'Z') => Ok(frames),
            Some(error) if error.sqlstate() == "57P01" => Err(Ended),
            other => panic!("neither an answer nor a farewell: {other:?}"),
        }
    }

    /// What begins a transaction, or is one: tried again elsewhere.
    fn begin(&mut self, messages: &[u8]) {
        while self.try_send(messages).is_err() {
            self.moved += 1;
            self.client = self.proxies[1].connect(self.database);
        }
    }

    /// What is within a transaction cannot be: that would be a transaction that has failed.
    fn go_on(&mut self, messages: &[u8]) {
        assert!(self.try_send(messages).is_ok(), "a session ends within its transaction");
    }
}

#[test]
fn a_proxy_stops_under_load_and_no_transaction_fails() {
    let cluster = Cluster::shared();
    let database = cluster.database("drained");
    cluster.connect(&database).run(SCHEMA);
    let first = Proxy::start_with(cluster.address(), POLICY, &[("PGSEAL_DRAIN_TIMEOUT", "60")]);
    let second = first.beside(cluster.address(), &[]);
    let (transactions, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (rows, moved): (Vec<u64>, Vec<u64>) = std::thread::scope(|scope| {
        let work = |number: u64| {
            let (proxies, database, done, transactions) =
                ([&first, &second], &database, &done, &transactions);
            move || {
                let (mut client, mut rows) = (Patient::new(proxies, database), 0);
                while !done.load(Ordering::Relaxed) {
                    let mut insert = || {
                        rows += 1;
                        format!("INSERT INTO people (email, note) VALUES ('{number}-{rows}@x', 'canary')")
                    };
                    match number % 3 {
                        // A statement by itself, carried out once.
                        0 => client.begin(&query(&insert())),
                        1 => client.begin(&flight(&insert(), &[], &[], 0)),
                        _ => {
                            client.begin(&query("BEGIN"));
                            client.go_on(&query(&insert()));
                            client.go_on(&flight(&insert(), &[], &[], 0));
                            client.go_on(&query("SELECT count(*) FROM people WHERE email = 'nobody'"));
                            client.go_on(&query("COMMIT"));
                        }
                    }
                    transactions.fetch_add(1, Ordering::Relaxed);
                }
                (rows, client.moved)
            }
        };
        let workers: Vec<_> = (0..9).map(|number| scope.spawn(work(number))).collect();
        until(60, "work begins", || (transactions.load(Ordering::Relaxed) > 200).then_some(()));
        first.process().signal("TERM");
        until(60, "the proxy ends", || (!first.process().is_alive()).then_some(()));
        let at_the_end = transactions.load(Ordering::Relaxed);
        until(60, "work goes on", || (transactions.load(Ordering::Relaxed) > at_the_end + 100).then_some(()));
        done.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).unzip()
    });
    assert_eq!(moved, [1; 9], "each client came again once");
    let direct = || cluster.connect(&database);
    assert_eq!(direct().value("SELECT count(*) FROM people"), Some(rows.iter().sum::<u64>().to_string()));
    let clear = "SELECT count(*) FROM people WHERE position('canary'::bytea in note) > 0";
    assert_eq!(direct().value(clear).as_deref(), Some("0"));
    let log = String::from_utf8(first.log()).unwrap();
    assert!(log.contains("sessions may finish their transactions"), "{log}");
}

/// The logins of docs/deploying.md: the proxy's own, and the owner of the tables.
const LOGINS: &str = "CREATE ROLE pgseal LOGIN; CREATE ROLE owner LOGIN; GRANT pgseal TO owner;
                      ALTER TABLE people OWNER TO owner; ALTER TABLE plain OWNER TO owner";

/// A proxy with all that its page can show: keys, jobs, counts, refusals.
pub(super) struct Busy {
    pub(super) cluster: Cluster,
    pub(super) database: String,
    pub(super) proxy: Proxy,
    pub(super) admin: SocketAddr,
}

fn url_of(user: &str, cluster: &Cluster, database: &str) -> String {
    format!("postgresql://{user}@{}/{database}?sslmode=disable", cluster.address())
}

impl Busy {
    pub(super) fn start() -> Self {
        let cluster = Cluster::start();
        let database = cluster.database("busy");
        let grant = format!("GRANT CREATE ON DATABASE {database} TO pgseal");
        cluster.connect(&database).run(&format!("{SCHEMA}; {LOGINS}; {grant}"));
        let admin = free_address();
        let (address, url) = (admin.to_string(), url_of("pgseal", &cluster, &database));
        let environment =
            [("PGSEAL_ADMIN", &*address), ("PGSEAL_DATABASE", &url), ("PGSEAL_CATALOG_LEASE", "1")];
        let proxy = Proxy::start_with(cluster.address(), POLICY, &environment);
        let busy = Self { cluster, database, proxy, admin };
        let mut client = busy.proxy.connect(&busy.database);
        for piece in 0..4 {
            let rows = (0..500).map(|i| piece * 500 + i).map(|i| format!("({i}, '{i}@x', 'canary {i}')"));
            client.run(&format!("INSERT INTO people VALUES {}", rows.collect::<Vec<_>>().join(", ")));
        }
        client.query("SELECT id FROM people WHERE note = 'canary'");
        busy
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgseal"));
        command.args(arguments).current_dir(self.proxy.folder());
        command.env("PGSEAL_KEYRING", "keyring/keyring.toml").env("PGSEAL_POLICY", "policy.toml");
        command.env("PGSEAL_DATABASE", url_of("owner", &self.cluster, &self.database));
        command.env("PGSEAL_CATALOG_LEASE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    }

    /// Another version of the key seals.
    pub(super) fn promote(&self) {
        self.done(&["keys", "add", "default"]);
        until(60, "it is promoted", || {
            self.command(&["keys", "promote", "default"]).output().unwrap().status.success().then_some(())
        });
    }
}

#[test]
fn a_rotation_is_seen_from_its_beginning_to_what_it_leaves() {
    let busy = Busy::start();
    let column = |name: &str| {
        let status = status(busy.admin);
        let columns = status["columns"].as_array().unwrap().clone();
        columns.into_iter().find(|column| column["column"] == name).unwrap()
    };
    assert!(column("email")["stored"].is_null(), "nobody has counted");
    let before = metrics(busy.admin);
    busy.done(&["status"]);
    let stored = until(60, "the counts are shown", || {
        Some(column("email")["stored"].clone()).filter(|s| !s.is_null())
    });
    let [old] = stored["keys"].as_object().unwrap().keys().cloned().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((&stored["keys"][&old], &stored["plaintext"]), (&2000.into(), &0.into()));
    assert!(stored["age_seconds"].as_u64().unwrap() < 60);

    busy.promote();
    until(60, "the move is announced", || {
        let moves = status(busy.admin)["fleet"]["moves"].clone();
        (moves[0]["phase"] == "old" && moves[0]["work"] == "rotate").then_some(())
    });
    let mut rotation = busy.command(&["rotate", "people.email", "--rows-per-second", "400", "--batch", "1"]);
    let rotation = rotation.spawn().unwrap();
    let job = until(60, "the job is shown", || {
        let job = status(busy.admin)["fleet"]["jobs"][0].clone();
        job["done"].as_u64().is_some_and(|done| done > 0).then_some(job)
    });
    assert_eq!((&job["by"], &job["table"]), (&"value".into(), &"public.people.email".into()));
    assert_eq!(job["total"], 2000);
    let while_it_runs = metrics(busy.admin);
    let total =
        "pgseal_job_rows{work=\"rotate\",by=\"value\",table=\"public.people.email\",state=\"total\"} 2000\n";
    assert!(while_it_runs.contains(total), "{while_it_runs}");
    assert!(while_it_runs.contains("pgseal_contexts_moving{phase=\"moving\"} 1\n"), "{while_it_runs}");
    let output = rotation.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What it has moved is counted anew; the other column is as it was counted before.
    let stored = until(60, "the new counts are shown", || {
        let stored = column("email")["stored"].clone();
        (stored["keys"].get(&old).is_none()).then_some(stored)
    });
    assert_eq!(stored["keys"].as_object().unwrap().values().collect::<Vec<_>>(), [&2000]);
    assert_eq!(column("note")["stored"]["keys"][&old], 2000);
    let after = until(60, "the job has gone", || {
        let text = metrics(busy.admin);
        (!text.contains("pgseal_job_rows{")).then_some(text)
    });
    assert!(
        after.contains(&format!("pgseal_stored_rows{{column=\"public.people.note\",key=\"{old}\"}} 2000\n"))
    );
    let families = parsed(&[before, while_it_runs, after]);
    for wanted in ["pgseal_stored_rows_age_seconds", "pgseal_contexts_moving", "pgseal_job_rows"] {
        assert!(families.lines().any(|family| family == wanted), "{wanted} in {families}");
    }
}
