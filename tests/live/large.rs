//! Large values and slow readers, and the memory that the proxy takes for them.

use std::time::{Duration, Instant};

use crate::support::message::*;
use crate::support::{Cluster, Proxy, RawClient};

const ELSEWHERE: &str = "version = 1\n[table.\"public.people\"]\nssn = { type = \"text\" }\n";
const MEGABYTE: usize = 1 << 20;

/// A cluster whose log stays small, with a table for large values and a protected one.
fn set_up() -> (&'static Cluster, String, Proxy) {
    let cluster = Cluster::shared();
    let database = cluster.database("large");
    cluster.connect(&database).run(
        "CREATE TABLE big (id int, v text); ALTER TABLE big ALTER v SET STORAGE external; CREATE TABLE people (id int, ssn bytea)",
    );
    let proxy = Proxy::start(cluster.address(), ELSEWHERE);
    (cluster, database, proxy)
}

#[test]
fn a_value_of_100_megabytes_goes_both_ways_in_bounded_memory() {
    let (_, database, proxy) = set_up();
    let mut client = proxy.connect(&database);
    let value = vec![b'x'; 100 * MEGABYTE];
    client.send(&flight("INSERT INTO big VALUES (1, $1)", &[], &[Some(&value)], 0));
    assert!(client.read_until_ready().iter().all(|f| f.tag != b'E'));
    let frames = client.extended("SELECT v FROM big", &[]);
    let row = frames.iter().find(|f| f.tag == b'D').expect("a row");
    assert!(row.values()[0].as_deref() == Some(&value), "the value came back changed");
    let peak = proxy.process().memory_kb("VmHWM") / 1024;
    println!("the proxy's peak was {peak} MB");
    assert!(peak < 64, "the proxy's peak was {peak} MB");

    // A statement is read whole.
    let literal = format!("INSERT INTO big VALUES (2, '{}')", "x".repeat(10 * MEGABYTE));
    client.run(&literal);
    let peak = proxy.process().memory_kb("VmHWM") / 1024;
    println!("the proxy's peak was {peak} MB for a literal of 10");
    assert!(peak < 128, "the proxy's peak was {peak} MB");
}

#[test]
fn a_protected_value_of_10_megabytes_goes_both_ways() {
    let (_, database, proxy) = set_up();
    let mut client = proxy.connect(&database);
    let value = "é".repeat(5 * MEGABYTE).into_bytes();
    client.send(&flight("INSERT INTO people VALUES (1, $1)", &[], &[Some(&value)], 0));
    let frames = client.read_until_ready();
    assert!(frames.iter().all(|f| f.tag != b'E'), "{frames:?}");
    for format in [0, 1] {
        client.send(&flight("SELECT ssn FROM people", &[], &[], format));
        let frames = client.read_until_ready();
        let row = frames.iter().find(|f| f.tag == b'D').expect("a row");
        assert!(row.values()[0].as_deref() == Some(&value), "the value came back changed");
    }
}

#[test]
fn a_slow_reader_of_a_large_result_holds_the_server_back_and_not_the_memory() {
    let (_, database, proxy) = set_up();
    let mut client = proxy.connect(&database);
    client.send(&query("SELECT repeat('x', 10000) FROM generate_series(1, 30000)"));
    std::thread::sleep(Duration::from_secs(1));
    let held = proxy.process().memory_kb("VmRSS") / 1024;
    assert!(held < 64, "{held} MB are held for a reader that does not read");
    let rows = client.read_until_ready().iter().filter(|f| f.tag == b'D').count();
    assert_eq!(rows, 30000);
    let peak = proxy.process().memory_kb("VmHWM") / 1024;
    println!("the proxy's peak was {peak} MB for a result of 300");
    assert!(peak < 64, "the proxy's peak was {peak} MB");
}

#[test]
fn a_client_that_never_reads_answers_is_held_back() {
    let (_, database, proxy) = set_up();
    let mut client = proxy.connect(&database);
    let stream = client.stream().try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // Each flight asks for a hundred times what it sends; nobody reads.
    let flights = flight("SELECT repeat('x', 10000)", &[], &[], 0).repeat(100);
    let started = Instant::now();
    while client.try_send(&flights) && started.elapsed() < Duration::from_secs(10) {}
    let held = proxy.process().memory_kb("VmHWM") / 1024;
    assert!(held < 64, "{held} MB are held for a client that does not read");
}

#[test]
fn eighty_sessions_at_once_take_little_memory() {
    let (_, database, proxy) = set_up();
    let mut idle: Vec<RawClient> = (0..80).map(|_| proxy.connect(&database)).collect();
    for client in &mut idle {
        assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
    }
    let held = proxy.process().memory_kb("VmRSS") / 1024;
    println!("{held} MB with {} sessions", idle.len());
    assert!(held < 64, "{held} MB");
}
