//! What holds jobs up: their rate, their waits for locks, somebody who pauses them, and standbys that are behind. In all
//! three ways in which values are moved: row by row, value by value, and with a change of the type.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failed expectation is a failed test"
)]

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "support/site.rs"]
mod site;
#[path = "support/mod.rs"]
mod support;

use site::{Site, shown, wait};
use support::Cluster;

const POLICY: &str = r#"version = 1
[table."public.letters"]
note = { type = "text" }
[table."public.marked"]
mark = { type = "text", mode = "deterministic" }
[table."public.staff"]
born = { type = "date", state = "migrating" }
"#;

const SCHEMA: &str = "
CREATE TABLE letters (id int PRIMARY KEY, note bytea);
CREATE TABLE marked (id int PRIMARY KEY, mark bytea, n int NOT NULL DEFAULT 0);
CREATE INDEX ON marked (mark);
CREATE TABLE staff (id int PRIMARY KEY, born date);
";

/// Jobs of each kind, and what they are called by.
const JOBS: [([&str; 2], &str); 3] = [
    (["rotate", "letters"], "letters"),
    (["rotate", "marked"], "marked.mark"),
    (["encrypt", "staff"], "public.staff"),
];

fn start(cluster: Cluster, rows: u32) -> Site {
    let site = Site::start_in(cluster, 1, POLICY, SCHEMA);
    let list = |row: &dyn Fn(u32) -> String| (0..rows).map(row).collect::<Vec<_>>().join(", ");
    let mut client = site.through();
    client.run(&format!("INSERT INTO letters VALUES {}", list(&|n| format!("({n}, 'note {n}')"))));
    client.run(&format!("INSERT INTO marked (id, mark) VALUES {}", list(&|n| format!("({n}, 'mark {n}')"))));
    let staff = "INSERT INTO staff SELECT i, '1950-01-01'::date + i FROM generate_series(1, 600) i";
    site.direct().run(staff);
    site.promote();
    site
}

fn begin(site: &Site, job: [&str; 2], flags: &[&str]) -> Child {
    site.command(&[&job[..], flags].concat()).spawn().unwrap()
}

/// The jobs that have begun and not ended.
fn jobs(site: &Site) -> Vec<Value> {
    let listed = site.command(&["jobs", "list", "--json"]).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    serde_json::from_slice::<Value>(&listed.stdout).unwrap().as_array().unwrap().clone()
}

/// How far the only job is, if there is one.
fn done(site: &Site) -> Option<u64> {
    jobs(site).first().map(|job| job["done"].as_u64().unwrap())
}

/// Waits until the only job has moved something.
fn under_way(site: &Site) -> u64 {
    let start = Instant::now();
    loop {
        if let Some(done) = done(site).filter(|done| *done > 0) {
            return done;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "the job does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The job moves nothing, and lives.
fn stands_still(site: &Site, job: &mut Child) -> u64 {
    // What it was at when it was told to, and its next look.
    std::thread::sleep(Duration::from_millis(1500));
    let before = done(site).expect("it has not ended");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(done(site), Some(before), "it moves rows");
    assert!(job.try_wait().unwrap().is_none(), "it has ended");
    before
}

#[test]
fn a_paused_job_says_so_stays_so_when_it_is_started_again_and_goes_on_when_it_is_resumed() {
    let site = start(Cluster::start(), 600);
    let flags = ["--batch", "5", "--rows-per-second", "60", "--workers", "2"];
    for (command, name) in JOBS {
        let mut job = begin(&site, command, &flags);
        under_way(&site);
        let (code, text) = shown(&site.command(&["jobs", "pause", "nothing"]).output().unwrap());
        assert!(
            code == 1 && text.contains("no job is called nothing:\n") && text.contains("; running\n"),
            "{text}"
        );
        let text = site.done(&["jobs", "pause", name]);
        assert!(text.contains("; paused since 2"), "{name}: {text}");
        let before = stands_still(&site, &mut job);
        let status = site.command(&["status", "--json"]).output().unwrap();
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let shows = &status["jobs"][0];
        assert!(
            shows["running"] == true && shows["paused"].is_string() && shows["done"] == before,
            "{shows}"
        );
        assert!(site.done(&["status"]).contains("; paused since 2"));
        // Its process ends, and another is started.
        job.kill().unwrap();
        let (_, text) = shown(&job.wait_with_output().unwrap());
        assert!(text.contains("the job is paused since 2"), "{name}: {text}");
        let start = Instant::now();
        while jobs(&site)[0]["running"] == true {
            assert!(start.elapsed() < Duration::from_secs(10), "its session stays");
        }
        assert!(
            site.done(&["jobs", "list"]).contains(", and stopped: resume it, and run its command again\n")
        );
        let mut job = begin(&site, command, &flags);
        assert_eq!(stands_still(&site, &mut job), before, "{name}");
        let text = site.done(&["jobs", "resume"]);
        assert!(text.contains("; running\n"), "{name}: {text}");
        let (code, text) = wait(job);
        assert_eq!(code, 0, "{name}: {text}");
        assert!(
            text.contains("the job is paused since 2") && text.contains("the job goes on"),
            "{name}: {text}"
        );
        assert_eq!(site.done(&["jobs", "list"]), "no job has begun and not ended\n");
        assert_eq!(site.done(&["jobs", "pause"]), "no job has begun and not ended\n");
    }
    assert!(site.done(&["verify"]).contains("1800 values open, 0 do not"));
}

#[test]
fn a_job_moves_no_more_rows_each_second_than_it_may() {
    const RATE: u64 = 150;
    let site = start(Cluster::start(), 600);
    for (command, _) in JOBS {
        let job = begin(&site, command, &["--batch", "10", "--rows-per-second", "150", "--workers", "3"]);
        let first = (under_way(&site), Instant::now());
        let mut last = first;
        while let Some(done) = done(&site) {
            last = (done.max(last.0), Instant::now());
        }
        let (code, text) = wait(job);
        assert_eq!(code, 0, "{text}");
        let (rows, time) = (last.0 - first.0, last.1 - first.1);
        eprintln!("{command:?}: {rows} rows in {time:?}");
        assert!(rows > 200, "{command:?}: it was not watched for long enough");
        // A batch of each worker may be half done when it is looked at, and the look itself takes its time.
        let most = RATE as f64 * (time.as_secs_f64() + 0.3) + 30.0;
        assert!(rows as f64 <= most, "{command:?}: {rows} rows in {time:?}");
    }
}

#[test]
fn nobody_waits_for_a_job_that_waits_for_longer_than_it_may() {
    let site = start(Cluster::start(), 600);
    // The second flag is more than half of deadlock_timeout, which is a second.
    for (flag, most) in [("100", 100), ("60000", 500)] {
        let mut holder = site.direct();
        holder.run("BEGIN; LOCK TABLE letters IN SHARE MODE; UPDATE marked SET n = n + 1 WHERE id = 1");
        let begin_one = |what| begin(&site, ["rotate", what], &["--max-lock-wait", flag]);
        let running = [begin_one("letters"), begin_one("marked")];
        let mut watcher = site.direct();
        let mut writer = site.direct();
        let (mut waits, mut longest) = (std::collections::BTreeSet::new(), 0);
        let mut longest_of_others = Duration::ZERO;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            let waiting = watcher.rows(
                "SELECT query_start::text, (extract(epoch FROM clock_timestamp() - query_start) * 1000)::int::text
                 FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
            );
            for row in waiting {
                waits.insert(row[0].clone());
                longest = longest.max(row[1].as_ref().unwrap().parse::<i32>().unwrap());
            }
            // It would queue behind one who waits for the whole table.
            let began = Instant::now();
            writer.run("UPDATE marked SET n = n + 1 WHERE id = 2");
            longest_of_others = longest_of_others.max(began.elapsed());
        }
        eprintln!("{flag}: {} waits, longest {longest} ms, others {longest_of_others:?}", waits.len());
        assert!(waits.len() > 3, "it has tried again and again");
        // A busy machine is given half a second.
        assert!(longest < most + 500, "{flag}: it has waited for {longest} ms");
        assert!(
            longest_of_others < Duration::from_millis(u64::try_from(most).unwrap() + 500),
            "{longest_of_others:?}"
        );
        holder.run("COMMIT");
        for job in running {
            let (code, text) = wait(job);
            assert_eq!(code, 0, "{text}");
        }
        site.promote();
    }
}

#[test]
fn a_job_waits_for_standbys_that_are_behind_and_for_those_that_it_does_not_see() {
    let cluster = Cluster::start();
    cluster.connect("postgres").run("CREATE ROLE owner LOGIN");
    let site = start(cluster, 600);
    let mut direct = site.direct();
    let job = ["rotate", "letters"];
    let flags = ["--max-lag", "1", "--batch", "5", "--rows-per-second", "120"];
    let refused = |url: &str, wanted: &str| {
        for (job, _) in JOBS {
            let mut command = site.command(&[&job[..], &flags].concat());
            let (code, text) = shown(&command.env("PGSEAL_DATABASE", url).output().unwrap());
            assert!(code == 1 && text.contains(wanted), "{job:?}: {code}: {text}");
        }
        assert!(jobs(&site).is_empty());
    };
    let url = site.cluster.url(&site.database);
    refused(&url, "no standby streams from this server");
    let standby = site.cluster.standby();
    let mut there = standby.connect("postgres");
    direct.run(&format!(
        "ALTER TABLE letters OWNER TO owner; ALTER TABLE marked OWNER TO owner; ALTER TABLE staff OWNER TO owner;
         GRANT CREATE ON DATABASE {} TO owner; ALTER SCHEMA pgseal OWNER TO owner;
         GRANT ALL ON ALL TABLES IN SCHEMA pgseal TO owner",
        site.database
    ));
    let by_owner = url.replace("postgres@", "owner@").replace("user=postgres", "user=owner");
    assert_ne!(by_owner, url);
    refused(&by_owner, "GRANT pg_monitor to it");
    direct.run("GRANT pg_monitor TO owner");

    // A standby that replays nothing.
    there.run("SELECT pg_wal_replay_pause()");
    let running = site.command(&[&job[..], &flags].concat()).env("PGSEAL_DATABASE", &by_owner).spawn();
    let mut running = running.unwrap();
    under_way(&site);
    std::thread::sleep(Duration::from_millis(1500));
    let before = stands_still(&site, &mut running);
    assert!((1..600).contains(&before), "{before}");
    there.run("SELECT pg_wal_replay_resume()");
    let (code, text) = wait(running);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("s behind, more than --max-lag allows") && text.contains("the job goes on"),
        "{text}"
    );

    // One that goes away.
    site.done(&["rotate", "marked"]);
    site.promote();
    let mut running = begin(&site, job, &flags);
    under_way(&site);
    drop(there);
    drop(standby);
    stands_still(&site, &mut running);
    running.kill().unwrap();
    let (_, text) = shown(&running.wait_with_output().unwrap());
    assert!(text.contains("1 of 1 standbys are not connected"), "{text}");
    site.done(&job);
}
