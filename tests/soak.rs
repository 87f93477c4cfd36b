//! Many sessions at once that are killed, reset, stalled and cancelled at random, for a bounded time.
//!
//! Each session marks what it writes, and knows what it was told. Nothing of another session may ever show in its replies,
//! nothing that it was told is there may be missing, no session may hang (the raw client fails when nothing comes for
//! a minute and a half), and afterwards the proxy has its descriptors and its memory back.
//!
//! `make soak SECONDS=600` runs longer; `PGSEAL_SESSIONS` and `PGSEAL_SEED` are what they say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failed expectation is a failed test"
)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::message::*;
use support::{Cluster, Dice, Frame, Proxy, RawClient};

const POLICY: &str = r#"
version = 1
[table."public.marks"]
owner = { type = "text", mode = "deterministic" }
note = { type = "text" }
"#;

const TABLE: &str = "CREATE TABLE marks (id bigserial PRIMARY KEY, owner bytea, note bytea, round int); CREATE INDEX ON marks (owner)";

/// What may have grown that is not a leak: kept verdicts, allocators' own pools.
const MEMORY_SLACK_KB: usize = 40 * 1024;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What all sessions count.
#[derive(Default)]
struct Tally {
    steps: AtomicUsize,
    ends: Mutex<BTreeMap<&'static str, usize>>,
}

impl Tally {
    fn note(&self, what: &'static str) {
        *self.ends.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// One application: a session after the other, each with the same mark.
struct Application<'t> {
    mark: String,
    proxy: &'t Proxy,
    cluster: &'t Cluster,
    database: &'t str,
    dice: Dice,
    tally: &'t Tally,
    /// Rounds that it was told are committed.
    committed: Vec<usize>,
    /// Rounds that may or may not be: the connection ended before the answer.
    unknown: Vec<usize>,
    round: usize,
}

/// The session is over.
struct Over;

impl Application<'_> {
    fn run(&mut self, until: Instant) {
        while Instant::now() < until {
            let mut client = RawClient::connect(self.proxy.address(), "postgres", self.database);
            let steps = 1 + self.dice.roll(30);
            for _ in 0..steps {
                self.tally.steps.fetch_add(1, Ordering::Relaxed);
                if self.step(&mut client).is_err() || Instant::now() > until {
                    break;
                }
            }
            match self.dice.roll(3) {
                0 => {
                    self.tally.note("terminated");
                    client.send(&terminate());
                }
                1 => self.tally.note("closed"),
                _ => {
                    self.tally.note("reset");
                    reset(&client);
                }
            }
        }
    }

    fn step(&mut self, client: &mut RawClient) -> Result<(), Over> {
        match self.dice.roll(12) {
            0..=3 => self.insert(client),
            4..=6 => self.read_back(client),
            7 => self.pipeline(client),
            8 => self.cancel(client),
            9 => self.stall(client),
            10 => self.vanish(client),
            _ => self.kill(client),
        }
    }

    fn note_of(&self, round: usize) -> String {
        format!("{} wrote {round} {}", self.mark, "x".repeat(round % 700))
    }

    fn insert(&mut self, client: &mut RawClient) -> Result<(), Over> {
        self.round += 1;
        let (round, note) = (self.round, self.note_of(self.round));
        let sql = "INSERT INTO marks (owner, note, round) VALUES ($1, $2, $3::int) RETURNING owner, note";
        let text = round.to_string();
        let values = [Some(self.mark.as_bytes()), Some(note.as_bytes()), Some(text.as_bytes())];
        let frames = client.extended(sql, &values);
        if frames.last().is_none_or(|frame| frame.tag != b'Z') {
            self.unknown.push(round);
            return Err(Over);
        }
        assert_eq!(rows(&frames), [[self.mark.clone(), note]], "{}: {frames:?}", self.mark);
        self.committed.push(round);
        Ok(())
    }

    /// All that was committed is there, and nothing of anybody else.
    fn read_back(&mut self, client: &mut RawClient) -> Result<(), Over> {
        let sql = format!(
            "SELECT owner, note FROM marks WHERE owner = '{}' ORDER BY round DESC LIMIT 50",
            self.mark
        );
        let frames = if self.dice.roll(2) == 0 { client.query(&sql) } else { client.extended(&sql, &[]) };
        if frames.last().is_none_or(|frame| frame.tag != b'Z') {
            return Err(Over);
        }
        let found = rows(&frames);
        for row in &found {
            assert_eq!(row[0], self.mark);
            assert!(row[1].starts_with(&format!("{} wrote ", self.mark)), "{}: {row:?}", self.mark);
        }
        let at_least = self.committed.len().min(50);
        assert!(found.len() >= at_least, "{}: {} of {at_least} rows", self.mark, found.len());
        Ok(())
    }

    fn pipeline(&mut self, client: &mut RawClient) -> Result<(), Over> {
        let own = format!("SELECT owner, note FROM marks WHERE owner = '{}' LIMIT 3", self.mark);
        let echo = format!("SELECT '{}'", self.mark);
        let refused = "SELECT upper(owner) FROM marks";
        let texts = [&own, &echo, refused, &own, "SELECT 1/0", &echo];
        client.send(&texts.map(|sql| flight(sql, &[], &[], 0)).concat());
        for (i, sql) in texts.iter().enumerate() {
            let frames = client.read_until_ready();
            if frames.last().is_none_or(|frame| frame.tag != b'Z') {
                return Err(Over);
            }
            let error = frames.iter().find(|frame| frame.tag == b'E').map(Frame::sqlstate);
            let expected = match i {
                2 => Some("0A000"),
                4 => Some("22012"),
                _ => None,
            };
            assert_eq!(error.as_deref(), expected, "{sql}: {frames:?}");
            assert!(rows(&frames).iter().all(|row| row[0] == self.mark), "{sql}: {frames:?}");
        }
        Ok(())
    }

    fn cancel(&mut self, client: &mut RawClient) -> Result<(), Over> {
        self.tally.note("cancels");
        client.send(&query("SELECT pg_sleep(20)"));
        thread::sleep(Duration::from_millis(self.dice.roll(100)));
        let key = client.key.clone();
        loop {
            // One that comes before its statement cancels nothing.
            let mut canceller = RawClient::open(self.proxy.address());
            canceller.send(&cancel(&key));
            canceller.read_to_end();
            if !client.is_silent_for(Duration::from_millis(200)) {
                break;
            }
        }
        let frames = client.read_until_ready();
        if frames.last().is_none_or(|frame| frame.tag != b'Z') {
            return Err(Over);
        }
        assert_eq!(frames[frames.len() - 2].sqlstate(), "57014", "{frames:?}");
        Ok(())
    }

    /// Asks for much and does not read it for a while, or ever.
    fn stall(&mut self, client: &mut RawClient) -> Result<(), Over> {
        self.tally.note("stalls");
        client.send(&query(&format!(
            "SELECT '{}', repeat('y', 1000) FROM generate_series(1, 3000)",
            self.mark
        )));
        thread::sleep(Duration::from_millis(self.dice.roll(400)));
        if self.dice.roll(2) == 0 {
            return Err(Over);
        }
        let frames = client.read_until_ready();
        let mine = rows(&frames);
        assert!(mine.iter().all(|row| row[0] == self.mark));
        assert!(mine.len() == 3000 || frames.last().is_none_or(|frame| frame.tag != b'Z'), "{}", mine.len());
        Ok(())
    }

    /// Goes in the middle of a message, or of a transaction.
    fn vanish(&mut self, client: &mut RawClient) -> Result<(), Over> {
        self.tally.note("half messages");
        let insert =
            format!("BEGIN; INSERT INTO marks (owner, note) VALUES ('{}', 'never committed')", self.mark);
        if self.dice.roll(2) == 0 {
            client.try_send(&query(&insert));
            client.read_until_ready();
        }
        let message =
            flight("SELECT owner FROM marks WHERE owner = $1", &[], &[Some(self.mark.as_bytes())], 0);
        let sent = usize::try_from(self.dice.roll(message.len() as u64)).unwrap();
        client.try_send(&message[..sent]);
        Err(Over)
    }

    /// The server ends the session, at rest or at work.
    fn kill(&mut self, client: &mut RawClient) -> Result<(), Over> {
        if self.dice.roll(4) != 0 {
            return Ok(());
        }
        self.tally.note("killed servers");
        let Some(pid) = client.key.first_chunk::<4>().map(|pid| i32::from_be_bytes(*pid)) else {
            return Ok(());
        };
        let mut direct = self.cluster.connect(self.database);
        if self.dice.roll(2) == 0 {
            client.send(&query("SELECT pg_sleep(20)"));
        }
        direct.run(&format!("SELECT pg_terminate_backend({pid})"));
        let frames = client.read_until_ready();
        let code = frames.iter().find(|frame| frame.tag == b'E').map(Frame::sqlstate);
        assert!(matches!(code.as_deref(), Some("57P01") | None), "{frames:?}");
        Err(Over)
    }
}

fn rows(frames: &[Frame]) -> Vec<Vec<String>> {
    let values = frames.iter().filter(|frame| frame.tag == b'D').map(Frame::values);
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).unwrap();
    values.map(|row| row.into_iter().map(text).collect()).collect()
}

/// Makes the close of a socket a reset.
fn reset(client: &RawClient) {
    rustix::net::sockopt::set_socket_linger(client.stream(), Some(Duration::ZERO)).unwrap();
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn resident_kb(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn nothing_is_lost_or_mixed_up_or_kept_when_sessions_die_at_random() {
    let seconds = number("PGSEAL_SECONDS", 20);
    let (sessions, seed) = (number("PGSEAL_SESSIONS", 200), number("PGSEAL_SEED", 1));
    let cluster = Cluster::start_with(&[("max_connections", "600")]);
    let database = cluster.database("soak");
    cluster.connect(&database).run(TABLE);
    let proxy = Proxy::start(cluster.address(), POLICY);
    let pid = proxy.process().pid();
    // What a first session makes the proxy open stays open.
    proxy.connect(&database).run("SELECT count(*) FROM marks");
    let tally = Tally::default();
    let before = descriptors(pid);
    let until = Instant::now() + Duration::from_secs(seconds as u64);
    let mut warm = 0;
    let applications: Vec<Application<'_>> = thread::scope(|scope| {
        let running: Vec<_> = (0..sessions)
            .map(|i| {
                let mut application = Application {
                    mark: format!("application {i:04}"),
                    proxy: &proxy,
                    cluster: &cluster,
                    database: &database,
                    dice: Dice((seed as u64 * 100_003 + i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                    tally: &tally,
                    committed: Vec::new(),
                    unknown: Vec::new(),
                    round: 0,
                };
                scope.spawn(move || {
                    application.run(until);
                    application
                })
            })
            .collect();
        thread::sleep(until.saturating_duration_since(Instant::now()) / 3);
        warm = resident_kb(pid);
        running.into_iter().map(|thread| thread.join().expect("an application is content")).collect()
    });

    // Everything comes back.
    let deadline = Instant::now() + Duration::from_secs(30);
    let here = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()"
    );
    let mut direct = cluster.connect(&database);
    loop {
        let (left, open) = (direct.value(&here).unwrap(), descriptors(pid));
        if left == "0" && open <= before {
            break;
        }
        assert!(Instant::now() < deadline, "{left} sessions at the server; {before} descriptors, now {open}");
        thread::sleep(Duration::from_millis(100));
    }
    let now = resident_kb(pid);
    assert!(now <= warm + MEMORY_SLACK_KB, "{warm} kB at a third of the time, {now} kB at the end");

    // Everything that was told to be committed is there, and nothing that was not.
    let mut client = proxy.connect(&database);
    let mut total = 0;
    for application in &applications {
        let sql =
            format!("SELECT round, note FROM marks WHERE owner = '{}' ORDER BY round", application.mark);
        let found = client.rows(&sql);
        let found: Vec<usize> = found
            .into_iter()
            .map(|row| {
                let round =
                    row[0].as_ref().expect("a round: what was not committed has none").parse().unwrap();
                assert_eq!(row[1].as_ref(), Some(&application.note_of(round)));
                round
            })
            .collect();
        total += found.len();
        assert!(application.committed.iter().all(|round| found.binary_search(round).is_ok()));
        let known =
            |round: &usize| application.committed.contains(round) || application.unknown.contains(round);
        assert!(found.iter().all(known), "{}: {found:?}", application.mark);
    }
    println!(
        "{sessions} sessions at a time for {seconds} s: {} steps, {total} rows, {:?}, {warm} kB and {now} kB",
        tally.steps.load(Ordering::Relaxed),
        tally.ends.lock().unwrap()
    );
    assert!(total > 0);
}
