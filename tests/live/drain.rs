//! How the proxy stops.

use std::time::{Duration, Instant};

use crate::support::message::*;
use crate::support::{Cluster, Proxy, RawClient};

/// It protects something, so transactions are followed.
const POLICY: &str = "version = 1\n[table.\"public.drained\"]\nsecret = { type = \"text\" }\n";

fn start(patience: &str) -> Proxy {
    Proxy::start_with(Cluster::shared().address(), POLICY, &[("PGSEAL_DRAIN_TIMEOUT", patience)])
}

/// What a session is told at its end.
fn is_ended(client: &mut RawClient) {
    let error = client.read();
    assert_eq!((error.sqlstate().as_str(), error.field(b'V').as_deref()), ("57P01", Some("FATAL")));
    let message = error.field(b'M').unwrap();
    assert_eq!(message, "terminating connection due to administrator command");
    assert!(client.try_read().is_none());
}

fn has_stopped(proxy: &Proxy) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while proxy.process().is_alive() {
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn transactions_are_finished_before_sessions_end() {
    let proxy = start("60");
    let connect = || proxy.connect("postgres");
    let (mut idle, mut open, mut failed, mut running, mut pipeline) =
        (connect(), connect(), connect(), connect(), connect());
    idle.run("SELECT 1");
    open.run("BEGIN");
    failed.run("BEGIN");
    failed.query("nonsense");
    running.send(&query("SELECT pg_sleep(2)"));
    // Not synced yet.
    pipeline.send(&[parse("", "SELECT 1", &[]), frame(b'H', b"")].concat());
    assert_eq!(pipeline.read().tag, b'1');
    std::thread::sleep(Duration::from_millis(300));
    proxy.process().signal("TERM");
    is_ended(&mut idle);
    // Nobody is let in, and those that are in go on.
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(proxy.address()).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(open.value("SELECT 'still here'").as_deref(), Some("still here"));
    assert_eq!(open.run("COMMIT").last().unwrap().status(), 'I');
    is_ended(&mut open);
    assert_eq!(failed.query("SELECT 1")[0].sqlstate(), "25P02");
    assert_eq!(failed.run("ROLLBACK").last().unwrap().status(), 'I');
    is_ended(&mut failed);
    assert!(running.read_until_ready().iter().any(|f| f.tag == b'D'));
    is_ended(&mut running);
    assert!(proxy.process().is_alive(), "a session is left");
    pipeline.send(&frame(b'S', b""));
    assert_eq!(pipeline.read().status(), 'I');
    is_ended(&mut pipeline);
    has_stopped(&proxy);
}

#[test]
fn what_is_not_done_in_time_is_ended() {
    let proxy = start("1");
    let (mut open, mut running) = (proxy.connect("postgres"), proxy.connect("postgres"));
    let mut waiting = RawClient::open(proxy.address());
    open.run("BEGIN");
    running.send(&query("SELECT pg_sleep(5)"));
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    proxy.process().signal("TERM");
    waiting.read_to_end();
    assert!(open.is_silent_for(Duration::from_millis(500)));
    is_ended(&mut open);
    is_ended(&mut running);
    assert!(begun.elapsed() > Duration::from_millis(900));
    has_stopped(&proxy);
}

#[test]
fn a_second_signal_and_an_interrupt_end_all_at_once() {
    for signals in [&["TERM", "TERM"][..], &["INT"]] {
        let proxy = start("600");
        let mut open = proxy.connect("postgres");
        open.run("BEGIN");
        for signal in signals {
            proxy.process().signal(signal);
            std::thread::sleep(Duration::from_millis(300));
        }
        is_ended(&mut open);
        has_stopped(&proxy);
    }
}
