//! Rotation while everything around it is killed or full: the server, the proxies, the jobs, the disk, the keyring's writers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio_postgres::{Client, Error, NoTls};

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "support/site.rs"]
mod site;
#[path = "support/mod.rs"]
mod support;

use site::{LEASE, Site, shown};
use support::{Cluster, Proxy, binary, pgseal};

const POLICY: &str = r#"version = 1
[table."public.people"]
email = { type = "text", mode = "deterministic" }
note = { type = "text" }
[table."public.logins"]
email = { type = "text", mode = "deterministic", context = "public.people.email" }
"#;

const SCHEMA: &str = "
CREATE TABLE people (id int PRIMARY KEY, email bytea UNIQUE, note bytea, n int NOT NULL);
CREATE TABLE logins (id int PRIMARY KEY, email bytea REFERENCES people (email) ON UPDATE CASCADE);
";

/// Writers, and rows of each.
const WRITERS: i32 = 3;
const ROWS: i32 = 10;

/// What was answered to a client is on disk, or at least with the operating system, which is not killed here.
const DURABLE: &[(&str, &str)] = &[("synchronous_commit", "on")];

/// What a row holds.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    email: String,
    note: String,
    n: i32,
}

impl Row {
    fn of(id: i32, n: i32) -> Self {
        // Few different ones, so that values go and come again.
        Self { email: format!("p{id}-{}@x", n % 4), note: format!("note {n} of {id}"), n }
    }
}

/// Writers that know what they have written, while things are killed around them.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    written: AtomicU64,
    cut: AtomicU64,
}

impl Load {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Changes the rows of one writer, one after the other, through whichever proxy answers.
    async fn write(&self, writer: i32, urls: &Mutex<Vec<String>>) {
        let ids: Vec<i32> = (writer * 100..writer * 100 + ROWS).collect();
        let mut rows: Vec<Row> = ids.iter().map(|id| Row::of(*id, 0)).collect();
        let (mut client, mut backend) = connect(urls, writer).await;
        for turn in 0.. {
            if self.is_stopped() {
                break;
            }
            let place = turn % ids.len();
            let (id, before) = (ids[place], rows[place].clone());
            let after = Row::of(id, before.n + 1);
            match change(&client, id, &before, &after).await {
                Ok(()) => rows[place] = after,
                Err(error) => {
                    assert!(is_cut(&error), "writer {writer}: {error:?}");
                    self.cut.fetch_add(1, Ordering::Relaxed);
                    // Whether it was committed is not known; one of the two it is, when the server has done with the
                    // statement, of which nobody waits for the answer any more.
                    let cut = backend;
                    let found = loop {
                        (client, backend) = connect(urls, writer).await;
                        if ended(&client, cut).await.is_ok()
                            && let Ok(found) = find(&client, id).await
                        {
                            break found;
                        }
                    };
                    assert!(
                        found == before || found == after,
                        "{id}: {found:?} is neither {before:?} nor {after:?}"
                    );
                    rows[place] = found;
                }
            }
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        for (id, row) in ids.iter().zip(&rows) {
            assert_eq!(find(&client, *id).await.unwrap(), *row, "{id}");
        }
    }
}

/// Stops the writers when it goes.
struct Stop<'a>(&'a Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Changes a row that is found by its value, in one transaction with a row that refers to it.
async fn change(client: &Client, id: i32, before: &Row, after: &Row) -> Result<(), Error> {
    let found = client.query("SELECT id FROM people WHERE email = $1", &[&before.email]).await?;
    assert_eq!(found.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [id], "{before:?} is found");
    let changed = client
        .execute(
            "UPDATE people SET email = $2, note = $3, n = $4 WHERE email = $1",
            &[&before.email, &after.email, &after.note, &after.n],
        )
        .await?;
    assert_eq!(changed, 1, "{before:?} is changed");
    Ok(())
}

async fn find(client: &Client, id: i32) -> Result<Row, Error> {
    let sql = "SELECT p.email, p.note, p.n FROM people p JOIN logins l ON l.email = p.email WHERE l.id = $1";
    let row = client.query_one(sql, &[&id]).await?;
    Ok(Row { email: row.get(0), note: row.get(1), n: row.get(2) })
}

/// The session is over, or was told to try again.
fn is_cut(error: &Error) -> bool {
    let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
    error.is_closed() || code.is_empty() || ["57", "08", "40"].iter().any(|class| code.starts_with(class))
}

/// Waits until a process of the server is gone.
async fn ended(client: &Client, backend: i32) -> Result<(), Error> {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
    while client.query_one(sql, &[&backend]).await?.get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A session, and the process of the server that serves it.
async fn connect(urls: &Mutex<Vec<String>>, writer: i32) -> (Client, i32) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut turn = writer;
    loop {
        turn += 1;
        let url = {
            let urls = urls.lock().unwrap();
            urls[usize::try_from(turn).unwrap() % urls.len()].clone()
        };
        match tokio_postgres::connect(&url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                if let Ok(row) = client.query_one("SELECT pg_backend_pid()", &[]).await {
                    return (client, row.get(0));
                }
            }
            Err(error) => assert!(Instant::now() < deadline, "no session for a minute: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn fill(site: &Site) {
    let mut client = site.through();
    for writer in 0..WRITERS {
        for id in writer * 100..writer * 100 + ROWS {
            let Row { email, note, n } = Row::of(id, 0);
            client.run(&format!("INSERT INTO people VALUES ({id}, '{email}', '{note}', {n})"));
            client.run(&format!("INSERT INTO logins VALUES ({id}, '{email}')"));
        }
    }
    // Rows that nobody changes, so that there is something to move for a while.
    for start in (1000..4000).step_by(25) {
        let rows = (start..start + 25).map(|n| format!("({n}, 'o{n}@x', 'note {n}', 0)"));
        client.run(&format!("INSERT INTO people VALUES {}", rows.collect::<Vec<_>>().join(", ")));
    }
}

/// Rotates until it has ended, while `kill` is done to the site again and again; says how often. A job that goes on has to
/// wait a lease before it moves anything, so the `pause` (ms) between two that end it has to be longer.
fn rotate_under(site: &Site, (rate, pause): (&str, u64), kill: &(dyn Fn(&Site, u32) + Sync)) -> u32 {
    site.promote();
    let over = AtomicBool::new(false);
    let mut kills = 0;
    scope(|scope| {
        let job = scope.spawn(|| {
            let start = Instant::now();
            loop {
                let (code, text) = shown(
                    &site
                        .command(&["rotate", "default", "--batch", "50", "--rows-per-second", rate])
                        .output()
                        .unwrap(),
                );
                if code == 0 {
                    break;
                }
                assert!(start.elapsed() < Duration::from_secs(180), "it does not end: {text}");
                sleep(Duration::from_millis(50));
            }
            over.store(true, Ordering::Relaxed);
        });
        while !job.is_finished() {
            sleep(Duration::from_millis(pause + u64::from(kills * 337 % 900)));
            if !over.load(Ordering::Relaxed) {
                kill(site, kills);
                kills += 1;
            }
        }
        job.join().unwrap();
    });
    kills
}

/// Runs writers while `steps` are gone, and says how much they wrote and how often they were cut.
fn beside_writers(urls: &Mutex<Vec<String>>, steps: impl FnOnce()) -> (u64, u64) {
    let load = Load::default();
    scope(|scope| {
        for writer in 0..WRITERS {
            let load = &load;
            scope.spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(load.write(writer, urls));
            });
        }
        // Also if a step fails.
        let _stop = Stop(&load);
        steps();
    });
    (load.written.into_inner(), load.cut.into_inner())
}

/// Every value opens, none is under the first version, and that can be archived.
fn is_whole(site: &Site) {
    site.done(&["verify", "default"]);
    let start = Instant::now();
    loop {
        let (code, text) = shown(&site.command(&["keys", "archive", "default@1"]).output().unwrap());
        if code == 0 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{text}");
        sleep(Duration::from_millis(200));
    }
    let duplicates = "SELECT count(*) - count(DISTINCT email) FROM people";
    assert_eq!(site.direct().value(duplicates).as_deref(), Some("0"));
}

/// One of the server's processes is killed, so it throws all sessions out and recovers from its log.
fn kill_a_backend(site: &Site, turn: u32) {
    let pids = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid";
    let pids = psql(site, pids).unwrap_or_default();
    let pids: Vec<&str> = pids.lines().collect();
    if let Some(pid) = pids.get(turn as usize % pids.len().max(1)) {
        // It may have ended since.
        Command::new("kill").args(["-KILL", pid]).output().unwrap();
    }
    let start = Instant::now();
    while psql(site, "SELECT 1").is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "the server does not come back");
        sleep(Duration::from_millis(50));
    }
}

/// What the server says, if it can be asked.
fn psql(site: &Site, sql: &str) -> Option<String> {
    let url = site.cluster.url(&site.database);
    let output = Command::new("timeout")
        .args(["10".as_ref(), binary("psql").as_os_str()])
        .args(["-XAtc", sql, &url])
        .output();
    output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_server_that_is_killed_loses_nothing() {
    let site = Site::start_in(Cluster::start_with(DURABLE), 2, POLICY, SCHEMA);
    fill(&site);
    let urls = Mutex::new(site.proxies.iter().map(|proxy| proxy.url(&site.database)).collect());
    let mut kills = 0;
    let (written, cut) =
        beside_writers(&urls, || kills = rotate_under(&site, ("500", 2500), &kill_a_backend));
    eprintln!("the server was killed {kills} times; {written} changes, {cut} sessions cut");
    assert!(kills >= 3 && cut > 0 && written > 100, "{kills} kills, {cut} cut, {written} written");
    is_whole(&site);
}

#[test]
fn proxies_that_are_killed_lose_nothing() {
    let site = Site::start_in(Cluster::start_with(DURABLE), 1, POLICY, SCHEMA);
    fill(&site);
    let url = site.cluster.url(&site.database);
    let start = || site.proxies[0].beside(site.cluster.address(), &[("PGSEAL_DATABASE", &url), LEASE]);
    let others = Mutex::new(vec![start(), start()]);
    let urls_of = |proxies: &[Proxy]| proxies.iter().map(|proxy| proxy.url(&site.database)).collect();
    let urls = Mutex::new(urls_of(&others.lock().unwrap()));
    let mut kills = 0;
    let kill = |_: &Site, turn: u32| {
        let which = turn as usize % 2;
        others.lock().unwrap()[which].process().signal("KILL");
        let next = start();
        let mut others = others.lock().unwrap();
        others[which] = next;
        *urls.lock().unwrap() = urls_of(&others);
    };
    let (written, cut) = beside_writers(&urls, || kills = rotate_under(&site, ("1500", 300), &kill));
    eprintln!("proxies were killed {kills} times; {written} changes, {cut} sessions cut");
    assert!(kills >= 3 && cut > 0 && written > 100, "{kills} kills, {cut} cut, {written} written");
    // The killed ones hold changes of keys up until somebody says that they are gone.
    forget_the_silent(&site);
    is_whole(&site);
}

/// Those that were killed do not report any more; a day later nobody waits for them.
fn forget_the_silent(site: &Site) {
    sleep(Duration::from_secs(4));
    site.direct().run("DELETE FROM pgseal.proxy WHERE seen < now() - interval '4 seconds'");
}

#[test]
fn a_full_disk_stops_a_rotation_and_loses_nothing() {
    // No file of the server may become larger, and its log of changes comes in files of 16 MB.
    let site = Site::start_in(Cluster::with_largest_file(24, DURABLE), 1, POLICY, SCHEMA);
    let mut client = site.through();
    let note = "n".repeat(1500);
    for start in (0..10_000).step_by(5) {
        let rows = (start..start + 5).map(|n| format!("({n}, 'p{n}@x', '{n} {note}', 0)"));
        client.run(&format!("INSERT INTO people VALUES {}", rows.collect::<Vec<_>>().join(", ")));
    }
    site.promote();
    let (code, text) = shown(&site.command(&["rotate", "default"]).output().unwrap());
    assert!(code != 0 && text.contains("could not"), "the disk has to be full: {code} {text}");
    assert_eq!(client.value("SELECT count(*) FROM people WHERE note IS NOT NULL").as_deref(), Some("10000"));
    assert_eq!(client.value("SELECT id FROM people WHERE email = 'p77@x'").as_deref(), Some("77"));
    // Room is made, and the same command goes on.
    let start = Instant::now();
    loop {
        site.direct().run("VACUUM people");
        let (code, text) = shown(&site.command(&["rotate", "default"]).output().unwrap());
        if code == 0 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{text}");
    }
    for id in [0, 4711, 9999] {
        let row = client.rows(&format!("SELECT note FROM people WHERE email = 'p{id}@x'"));
        assert_eq!(row, [[Some(format!("{id} {note}"))]]);
    }
    is_whole(&site);
}

#[test]
fn a_keyring_survives_the_death_of_its_writers() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = folder.path().join("keys/keyring.toml");
    let (keyring, kek) = (keyring.to_str().unwrap(), format!("file:{}/kek", folder.path().display()));
    let (is_made, text) = pgseal(&["init", "--keyring", keyring, "--kek", &kek]);
    assert!(is_made, "{text}");
    let versions = || {
        let (is_read, list) = pgseal(&["keys", "list", "--keyring", keyring]);
        assert!(is_read, "{list}");
        list.lines().count()
    };
    let (mut count, mut added) = (versions(), 0);
    for turn in 0..120_u64 {
        let mut writer = Command::new(env!("CARGO_BIN_EXE_pgseal"));
        let mut writer = writer
            .args(["keys", "add", "default", "--keyring", keyring])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_micros(turn * 7919 % 40_000));
        let _ = writer.kill();
        let is_done = writer.wait().unwrap().success();
        let now = versions();
        assert!(now == count || now == count + 1, "{count} versions became {now}");
        assert!(!is_done || now == count + 1, "what was said to be done is there");
        added += now - count;
        count = now;
    }
    // A disk that is full: no file may have a byte.
    let full = Command::new("bash")
        .args([
            "-c",
            "ulimit -f 0; exec \"$0\" keys add default --keyring \"$1\"",
            env!("CARGO_BIN_EXE_pgseal"),
            keyring,
        ])
        .output()
        .unwrap();
    assert!(!full.status.success());
    assert_eq!(versions(), count);
    assert!(added > 0, "no writer was let through");
    let left = fs::read_dir(folder.path().join("keys")).unwrap().count();
    assert!(left >= 1, "{left}");
    // What was cut off is in nobody's way.
    assert!(pgseal(&["keys", "add", "default", "--keyring", keyring]).0);
}
