//! Limits: how many sessions, how long they may take to begin, and how silent a peer may be.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::message::*;
use crate::support::{Cluster, Proxy, RawClient};

const EMPTY: &str = "version = 1\n";
const START: &[(&str, &str)] = &[("user", "postgres"), ("database", "postgres")];

#[test]
fn one_session_too_many_is_refused_as_postgresql_does() {
    let proxy = Proxy::start_with(Cluster::shared().address(), EMPTY, &[("PGSEAL_MAX_SESSIONS", "2")]);
    let (first, mut second) = (proxy.connect("postgres"), proxy.connect("postgres"));
    // Connections that have not begun take no place.
    let _waiting = RawClient::open(proxy.address());
    let mut third = RawClient::open(proxy.address());
    third.send(&startup(3 << 16, START));
    let frames = third.read_until_ready();
    let [error] = frames.as_slice() else { panic!("one error: {frames:?}") };
    assert_eq!((error.sqlstate().as_str(), error.field(b'V').as_deref()), ("53300", Some("FATAL")));
    assert_eq!(error.field(b'M').as_deref(), Some("sorry, too many clients already"));
    // A statement can be cancelled nevertheless.
    second.send(&query("SELECT pg_sleep(25)"));
    std::thread::sleep(Duration::from_millis(300));
    RawClient::open(proxy.address()).send(&cancel(&second.key));
    assert_eq!(second.read_until(b'E').last().unwrap().sqlstate(), "57014");
    // A place is free again when its session is over.
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut client = RawClient::open(proxy.address());
        client.send(&startup(3 << 16, START));
        if client.read_until_ready().last().unwrap().tag == b'Z' {
            break;
        }
        assert!(Instant::now() < deadline, "no place becomes free");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_client_has_so_long_to_be_let_in() {
    let environment = [("PGSEAL_AUTHENTICATION_TIMEOUT", "2")];
    let proxy = Proxy::start_with(Cluster::shared().address(), EMPTY, &environment);
    let mut inside = proxy.connect("postgres");
    let (mut silent, mut half, mut asked, mut waiting) = (
        RawClient::open(proxy.address()),
        RawClient::open(proxy.address()),
        RawClient::open(proxy.address()),
        RawClient::open(proxy.address()),
    );
    half.send(&startup(3 << 16, START)[..20]);
    asked.send(&ssl_request());
    waiting.send(&startup(3 << 16, &[("user", "by_scram"), ("database", "postgres")]));
    assert_eq!(silent.read_to_end(), b"");
    assert_eq!(half.read_to_end(), b"");
    assert_eq!(asked.read_to_end(), b"N");
    assert_eq!(waiting.read().tag, b'R');
    let error = waiting.read();
    assert_eq!(error.sqlstate(), "57014");
    assert_eq!(error.field(b'M').as_deref(), Some("canceling authentication due to timeout"));
    assert!(waiting.try_read().is_none());
    assert_eq!(inside.value("SELECT pg_sleep(0.5)").as_deref(), Some(""));
    assert_eq!(inside.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn a_silent_client_is_disconnected_as_postgresql_does_it() {
    const PROTECTING: &str = "version = 1\n[table.\"public.t\"]\nc = { type = \"text\" }\n";
    let environment = [("PGSEAL_IDLE_SESSION_TIMEOUT", "3"), ("PGSEAL_IDLE_IN_TRANSACTION_TIMEOUT", "1")];
    let proxy = Proxy::start_with(Cluster::shared().address(), PROTECTING, &environment);
    let [mut idle, mut open, mut failed, mut busy] = std::array::from_fn(|_| proxy.connect("postgres"));
    open.run("BEGIN");
    failed.run("BEGIN");
    failed.query("SELECT 1/0");
    // A statement that takes long is no silence, and each one begins the time anew.
    assert_eq!(busy.value("SELECT pg_sleep(1.5)").as_deref(), Some(""));
    busy.run("BEGIN");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(busy.value("SELECT 1").as_deref(), Some("1"));
    }
    busy.run("COMMIT");
    let text = |what: &str| format!("terminating connection due to {what} timeout");
    for (client, code, message) in [
        (&mut open, "25P03", text("idle-in-transaction")),
        (&mut failed, "25P03", text("idle-in-transaction")),
        (&mut idle, "57P05", text("idle-session")),
    ] {
        let error = client.read();
        assert_eq!((error.sqlstate().as_str(), error.field(b'M')), (code, Some(message)));
        assert_eq!(error.field(b'V').as_deref(), Some("FATAL"));
        assert!(client.try_read().is_none());
    }
    assert_eq!(busy.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn a_message_may_be_so_long() {
    const PROTECTING: &str = "version = 1\n[table.\"public.t\"]\nc = { type = \"text\" }\n";
    let environment = [("PGSEAL_MAX_MESSAGE_SIZE", "100000")];
    let proxy = Proxy::start_with(Cluster::shared().address(), PROTECTING, &environment);
    let mut client = proxy.connect("postgres");
    let statement = |length: usize| format!("SELECT length('{}')", "x".repeat(length));
    assert_eq!(client.value(&statement(90_000)).as_deref(), Some("90000"));
    let frames = client.query(&statement(100_000));
    let [error] = frames.as_slice() else { panic!("one error: {frames:?}") };
    assert_eq!((error.sqlstate().as_str(), error.field(b'V').as_deref()), ("54000", Some("FATAL")));
    assert!(error.field(b'H').unwrap().contains("--max-message-size"));
}

#[test]
fn the_system_watches_over_both_sides_of_a_silent_session() {
    let proxy = Proxy::start(Cluster::shared().address(), EMPTY);
    let _client = proxy.connect("postgres");
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{}/fd", proxy.process().pid()))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        // Columns: number, addresses, state (01: established), queues, the timer and its time, ..., inode.
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours: Vec<_> = lines
            .filter(|line| line.len() > 9 && line[3] == "01" && sockets.iter().any(|inode| inode == line[9]))
            .collect();
        if ours.len() == 2 && ours.iter().all(|line| line[5].starts_with("02:")) {
            break;
        }
        assert!(Instant::now() < deadline, "no timer of keepalive: {ours:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
