//! TLS between proxy and server.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::encrypted;
use crate::support::message::*;
use crate::support::{
    Answer, Authority, Cluster, Direction, Frame, INJECTED, Issued, Middle, Proxy, RawClient, Recorder,
    Wanted,
};

const EMPTY: &str = "version = 1\n";
const START: &[(&str, &str)] = &[("user", "postgres"), ("database", "postgres")];

/// A proxy that demands `mode` of its server, if that is said, and a certificate of an authority.
fn proxy(upstream: SocketAddr, mode: Option<&str>, authorities: Option<&Path>) -> Proxy {
    let authorities = authorities.map(|path| path.display().to_string());
    let mut environment = Vec::new();
    environment.extend(mode.map(|mode| ("PGSEAL_UPSTREAM_TLS", mode)));
    environment.extend(authorities.as_ref().map(|path| ("PGSEAL_UPSTREAM_CA", path.as_str())));
    Proxy::start_with(upstream, EMPTY, &environment)
}

/// The error of a startup that the proxy refuses.
fn refusal(proxy: &Proxy) -> Frame {
    let mut client = RawClient::open(proxy.address());
    client.send(&startup(3 << 16, START));
    let frames = client.read_until_ready();
    let [error] = frames.as_slice() else { panic!("one error: {frames:?}") };
    assert_eq!(error.sqlstate(), "08001", "{error:?}");
    error.clone()
}

const IS_ENCRYPTED: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

#[test]
fn each_mode_encrypts_or_not() {
    let (authority, _, cluster) = encrypted();
    let ca = authority.file();
    let cases = [
        (None, None, "f"),
        (Some("disable"), None, "f"),
        (Some("require"), None, "t"),
        (Some("verify-ca"), Some(ca.as_path()), "t"),
        (Some("verify-full"), Some(&ca), "t"),
        (None, Some(&ca), "t"),
    ];
    for (mode, ca, expected) in cases {
        let proxy = proxy(cluster.address(), mode, ca);
        let mut client = proxy.connect("postgres");
        assert_eq!(client.value(IS_ENCRYPTED).as_deref(), Some(expected), "{mode:?}");
        // More than buffers hold, both ways.
        let large = "x".repeat(3_000_000);
        assert_eq!(client.value(&format!("SELECT md5('{large}')")).map(|v| v.len()), Some(32));
        assert_eq!(client.value("SELECT repeat('x', 5000000)").map(|v| v.len()), Some(5_000_000));
    }
}

#[test]
fn the_servers_certificate_decides() {
    let plain = Cluster::shared();
    let (ours, other) = (Authority::new(), Authority::new());
    let host = |name: &'static str| Wanted { name, ..Wanted::default() };
    let elsewhere = Wanted { name: "x", hosts: &["db.example.com"], ..Wanted::default() };
    let certificates = [
        ("right", ours.server("right")),
        ("for another host", ours.issue("elsewhere", elsewhere)),
        ("by its common name", ours.issue("common", host("127.0.0.1"))),
        ("for another host by its common name", ours.issue("uncommon", host("db.example.com"))),
        (
            "right by its common name, but not by others",
            ours.issue("both", Wanted { name: "127.0.0.1", hosts: &["db.example.com"], ..Wanted::default() }),
        ),
        (
            "expired",
            ours.issue(
                "old",
                Wanted { name: "x", hosts: &["127.0.0.1"], expired: true, ..Wanted::default() },
            ),
        ),
        ("from another authority", other.server("other")),
        ("signed by itself", ours.self_signed("self", host("127.0.0.1"))),
        (
            "signed by itself and expired",
            ours.self_signed("oldself", Wanted { expired: true, ..host("127.0.0.1") }),
        ),
    ];
    // (certificate, come in under: require, verify-ca, verify-full, verify-full with that certificate as authority)
    let expected = [
        ("right", [true, true, true, true]),
        ("for another host", [true, true, false, false]),
        ("by its common name", [true, true, true, true]),
        ("for another host by its common name", [true, true, false, false]),
        ("right by its common name, but not by others", [true, true, false, false]),
        ("expired", [true, false, false, false]),
        ("from another authority", [true, false, false, true]),
        ("signed by itself", [true, false, false, true]),
        ("signed by itself and expired", [true, false, false, false]),
    ];
    for ((name, shown), (also, expected)) in certificates.iter().zip(expected) {
        assert_eq!(*name, also);
        let middle = Middle::start(plain.address(), shown, Answer::Yes);
        let ours = ours.file();
        let ways = [
            (Some("require"), None),
            (Some("verify-ca"), Some(ours.as_path())),
            (None, Some(ours.as_path())),
            (Some("verify-full"), Some(shown.certificate.as_path())),
        ];
        for ((mode, ca), may) in ways.into_iter().zip(expected) {
            let proxy = proxy(middle.address(), mode, ca);
            if may {
                let mut client = proxy.connect("postgres");
                assert_eq!(client.value("SELECT 1").as_deref(), Some("1"), "{name} {mode:?}");
            } else {
                let error = refusal(&proxy);
                let detail = error.field(b'D').unwrap_or_default();
                assert!(detail.contains("certificate"), "{name} {mode:?}: {error:?}");
                assert!(error.field(b'H').unwrap().contains("--upstream-ca"), "{name} {mode:?}: {error:?}");
            }
        }
    }
}

#[test]
fn a_server_without_tls_is_an_error_and_is_told_nothing() {
    let (ours, plain) = (Authority::new(), Cluster::shared());
    for (mode, ca) in [("require", None), ("verify-full", Some(ours.file()))] {
        let recorder = Recorder::start(plain.address());
        let proxy = proxy(recorder.address(), Some(mode), ca.as_deref());
        let error = refusal(&proxy);
        let expected =
            format!("the server does not take TLS connections, and --upstream-tls {mode} demands one");
        assert_eq!(error.field(b'D'), Some(expected));
        assert_eq!(recorder.bytes(0, Direction::Forward), ssl_request());
    }
    for answer in [Answer::No, Answer::Error] {
        let middle = Middle::start(plain.address(), &ours.server("x"), answer);
        let error = refusal(&proxy(middle.address(), Some("require"), None));
        assert!(error.field(b'D').unwrap().contains("does not take TLS"), "{error:?}");
        assert!(!format!("{error:?}").contains("injected"), "{error:?}");
    }
}

#[test]
fn what_comes_unencrypted_behind_the_servers_answer_is_refused() {
    let (ours, plain) = (Authority::new(), Cluster::shared());
    let shown = ours.server("server");
    for (answer, expected) in [
        (Answer::YesAndMore, "the server sent unencrypted data behind its answer"),
        (Answer::YesThenMore, "TLS handshake"),
    ] {
        let middle = Middle::start(plain.address(), &shown, answer);
        let error = refusal(&proxy(middle.address(), None, Some(&ours.file())));
        assert!(error.field(b'D').unwrap().contains(expected), "{error:?}");
        assert!(!format!("{error:?}").contains("injected"), "{error:?} {INJECTED:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    let (ours, plain) = (Authority::new(), Cluster::shared());
    let middle = Middle::start(plain.address(), &ours.server("server"), Answer::Silence);
    let begun = Instant::now();
    let error = refusal(&proxy(middle.address(), Some("require"), None));
    assert!(error.field(b'D').unwrap().contains("not done within"), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(40));
}

#[test]
fn nothing_of_a_session_or_a_cancel_request_is_readable_on_the_way() {
    let (authority, _, cluster) = encrypted();
    let recorder = Recorder::start(cluster.address());
    let proxy = proxy(recorder.address(), None, Some(&authority.file()));
    let mut client = RawClient::connect(proxy.address(), "only_encrypted", "postgres");
    client.send(&query("SELECT pg_sleep(25) AS canary"));
    std::thread::sleep(Duration::from_millis(300));
    let mut canceller = RawClient::open(proxy.address());
    canceller.send(&cancel(&client.key));
    assert!(canceller.try_read().is_none());
    let frames = client.read_until_ready();
    assert!(frames.iter().any(|f| f.tag == b'E' && f.sqlstate() == "57014"), "{frames:?}");
    for connection in [0, 1] {
        let sent = recorder.bytes(connection, Direction::Forward);
        let (request, rest) = sent.split_at(8);
        assert_eq!((request, rest.first()), (ssl_request().as_slice(), Some(&0x16)));
        assert!(memchr::memmem::find(rest, b"only_encrypted").is_none());
        assert!(memchr::memmem::find(rest, &client.key).is_none());
        assert!(memchr::memmem::find(rest, b"canary").is_none());
    }
}

#[test]
fn the_proxy_shows_a_certificate_to_a_server_that_asks() {
    let (authority, _, cluster) = encrypted();
    let path = |path: &Path| path.display().to_string();
    let start = |shown: &Issued| {
        let (ca, certificate, key) = (path(&authority.file()), path(&shown.certificate), path(&shown.key));
        Proxy::start_with(
            cluster.address(),
            EMPTY,
            &[
                ("PGSEAL_UPSTREAM_CA", &ca),
                ("PGSEAL_UPSTREAM_CERT", &certificate),
                ("PGSEAL_UPSTREAM_KEY", &key),
            ],
        )
    };
    let named = |name| Wanted { name, ..Wanted::default() };
    let right = start(&authority.issue("by_certificate", named("by_certificate")));
    let mut client = RawClient::connect(right.address(), "by_certificate", "postgres");
    assert_eq!(client.value("SELECT current_user").as_deref(), Some("by_certificate"));
    let wrong = start(&authority.issue("somebody", named("somebody")));
    let mut client = RawClient::open(wrong.address());
    client.send(&startup(3 << 16, &[("user", "by_certificate"), ("database", "postgres")]));
    let frames = client.read_until_ready();
    assert_eq!(frames[0].sqlstate(), "28000", "{frames:?}");
    // One that the server does not take at all.
    let foreign = start(&Authority::new().issue("by_certificate", named("by_certificate")));
    refusal_of_any_kind(&foreign);
}

/// In TLS 1.3 a server refuses a certificate when the handshake is over for the client.
fn refusal_of_any_kind(proxy: &Proxy) {
    let mut client = RawClient::open(proxy.address());
    client.send(&startup(3 << 16, START));
    let frames = client.read_until_ready();
    assert!(frames.iter().all(|f| f.tag == b'E'), "{frames:?}");
}

#[test]
fn authorities_are_read_again_and_sessions_go_on() {
    let (authority, _, cluster) = encrypted();
    let folder = Authority::new();
    let ca = folder.folder().join("upstream.crt");
    fs::copy(authority.file(), &ca).unwrap();
    let proxy = proxy(cluster.address(), None, Some(&ca));
    let mut old = proxy.connect("postgres");
    let reload = |expected: &str| {
        proxy.process().signal("HUP");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !String::from_utf8_lossy(&proxy.log()).contains(expected) {
            assert!(Instant::now() < deadline, "nothing is logged");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    fs::write(&ca, "nothing").unwrap();
    reload("certificates were not read again");
    proxy.connect("postgres");
    fs::copy(folder.file(), &ca).unwrap();
    reload("certificates were read again");
    refusal(&proxy);
    assert_eq!(old.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn tls_may_begin_at_once_with_servers_that_know_it() {
    let (ours, plain) = (Authority::new(), Cluster::shared());
    let shown = ours.server("server");
    let ca = ours.file().display().to_string();
    let direct = [("PGSEAL_UPSTREAM_CA", ca.as_str()), ("PGSEAL_UPSTREAM_TLS_NEGOTIATION", "direct")];
    // Another proxy in the place of a server.
    let (certificate, key) = (shown.certificate.display().to_string(), shown.key.display().to_string());
    let server = [("PGSEAL_TLS", "required"), ("PGSEAL_TLS_CERT", &certificate), ("PGSEAL_TLS_KEY", &key)];
    let server = Proxy::start_with(plain.address(), EMPTY, &server);
    let recorder = Recorder::start(server.address());
    let proxy = Proxy::start_with(recorder.address(), EMPTY, &direct);
    assert_eq!(proxy.connect("postgres").value("SELECT 1").as_deref(), Some("1"));
    assert_eq!(recorder.bytes(0, Direction::Forward).first(), Some(&0x16));
    // Somebody who speaks TLS but names no protocol, and a server that is older.
    let middle = Middle::start(plain.address(), &shown, Answer::Direct);
    let error = refusal(&Proxy::start_with(middle.address(), EMPTY, &direct));
    assert!(error.field(b'D').unwrap().contains("direct TLS needs PostgreSQL 17"), "{error:?}");
    if encrypted().2.connect("postgres").value("SHOW server_version_num").unwrap().as_str() < "170000" {
        refusal(&Proxy::start_with(encrypted().2.address(), EMPTY, &direct));
    }
}

#[test]
fn somebody_between_client_and_proxy_is_found_out() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let shown = ours.server("proxy");
    let (certificate, key) = (shown.certificate.display().to_string(), shown.key.display().to_string());
    let server = [("PGSEAL_TLS", "optional"), ("PGSEAL_TLS_CERT", &certificate), ("PGSEAL_TLS_KEY", &key)];
    let proxy = Proxy::start_with(Cluster::shared().address(), EMPTY, &server);
    let forged = theirs
        .self_signed("forged", Wanted { name: "localhost", hosts: &["localhost"], ..Wanted::default() });
    let middle = Middle::start(proxy.address(), &forged, Answer::Yes);
    let connect = |mode: &str, address: SocketAddr| {
        super::psql(&format!(
            "host=localhost hostaddr=127.0.0.1 port={} user=postgres dbname=postgres sslmode={mode} sslrootcert={}",
            address.port(),
            ours.file().display()
        ))
    };
    for mode in ["verify-ca", "verify-full"] {
        assert_eq!(connect(mode, proxy.address()), (true, "in".to_owned()), "{mode}");
        let (entered, text) = connect(mode, middle.address());
        assert!(!entered && text.contains("certificate"), "{mode}: {text}");
    }
}
