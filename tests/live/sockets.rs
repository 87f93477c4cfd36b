//! Unix sockets on both sides, and several addresses of a server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::message::*;
use crate::support::{Authority, Cluster, PASSWORD, Proxy, RawClient, binary};

const EMPTY: &str = "version = 1\n";

/// What psql prints over a Unix socket, or of a host.
fn psql(host: &str, port: &str, user: &str, sql: &str, more: &str) -> (bool, String) {
    let output = Command::new(binary("psql"))
        .args(["-XAtc", sql])
        .arg(format!("host={host} port={port} user={user} password='{PASSWORD}' dbname=postgres {more}"))
        .env("HOME", "/nonexistent")
        .env("PGCONNECT_TIMEOUT", "30")
        .output()
        .expect("psql runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
}

/// The server's address by its socket.
fn by_socket(cluster: &Cluster) -> String {
    format!("{}:{}", cluster.folder().display(), cluster.address().port())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Waits for the socket: the proxy listens on one address after the other, and the first was waited for.
fn listens(socket: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !socket.exists() {
        assert!(Instant::now() < deadline, "nobody listens on {}", socket.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn both_sides_may_be_unix_sockets() {
    let cluster = Cluster::shared();
    let (folder, upstream) = (tempfile::tempdir().unwrap(), by_socket(cluster));
    let listen = format!("unix:{}:7000", folder.path().display());
    let environment = [
        ("PGSEAL_UPSTREAM", upstream.as_str()),
        ("PGSEAL_LISTEN", &listen),
        ("PGSEAL_LISTEN_PERMISSIONS", "0750"),
    ];
    let proxy = Proxy::start_with(cluster.address(), EMPTY, &environment);
    let socket = folder.path().join(".s.PGSQL.7000");
    listens(&socket);
    assert_eq!(mode(&socket), 0o750);
    let host = folder.path().display().to_string();
    let sql = "SELECT inet_client_addr() IS NULL, length(repeat('x', 3000000))";
    assert_eq!(psql(&host, "7000", "postgres", sql, ""), (true, "t|3000000".to_owned()));
    // A request for TLS is answered no, as the server does over its own.
    let mut client = UnixStream::connect(&socket).unwrap();
    client.write_all(&ssl_request()).unwrap();
    let mut answer = [0];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    drop(client);
    // The server's socket with a client by TCP; a statement can be cancelled.
    let mut client = proxy.connect("postgres");
    client.send(&query("SELECT pg_sleep(25)"));
    std::thread::sleep(Duration::from_millis(300));
    RawClient::open(proxy.address()).send(&cancel(&client.key));
    assert_eq!(client.read_until(b'E').last().unwrap().sqlstate(), "57014");
    // The file goes with the proxy, and what a killed one leaves gives way.
    proxy.process().signal("INT");
    let deadline = Instant::now() + Duration::from_secs(20);
    while socket.exists() {
        assert!(Instant::now() < deadline, "the socket is left");
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = Proxy::start_with(cluster.address(), EMPTY, &environment);
    listens(&socket);
    drop(killed);
    assert!(socket.exists());
    let _again = Proxy::start_with(cluster.address(), EMPTY, &environment);
    // A file that was left is there before somebody listens on it.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(psql(&host, "7000", "postgres", "SELECT 1", ""), (true, "1".to_owned()));
}

#[test]
fn tls_may_be_required_of_those_who_come_over_a_network() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let own = authority.server("own");
    let (certificate, key) = (own.certificate.display().to_string(), own.key.display().to_string());
    let listen = format!("unix:{}", folder.path().display());
    let environment = [
        ("PGSEAL_LISTEN", listen.as_str()),
        ("PGSEAL_TLS", "required"),
        ("PGSEAL_TLS_CERT", &certificate),
        ("PGSEAL_TLS_KEY", &key),
    ];
    let proxy = Proxy::start_with(Cluster::shared().address(), EMPTY, &environment);
    let host = folder.path().display().to_string();
    assert_eq!(psql(&host, "6432", "by_scram", "SELECT 1", ""), (true, "1".to_owned()));
    let port = proxy.address().port().to_string();
    let (may, text) = psql("127.0.0.1", &port, "by_scram", "SELECT 1", "sslmode=disable");
    assert!(!may && text.contains("connection requires TLS"), "{text}");
}

#[test]
fn the_servers_addresses_are_tried_in_order() {
    let cluster = Cluster::shared();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let real = cluster.address();
    // One that is gone, a socket that is not there, and the server.
    let upstream = format!("{gone},/nonexistent,{real}");
    let proxy = Proxy::start_with(real, EMPTY, &[("PGSEAL_UPSTREAM", &upstream)]);
    let mut client = proxy.connect("postgres");
    assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
    client.send(&query("SELECT pg_sleep(25)"));
    std::thread::sleep(Duration::from_millis(300));
    RawClient::open(proxy.address()).send(&cancel(&client.key));
    assert_eq!(client.read_until(b'E').last().unwrap().sqlstate(), "57014");
    // None of them.
    let proxy = Proxy::start_with(real, EMPTY, &[("PGSEAL_UPSTREAM", &format!("{gone},/nonexistent"))]);
    let mut client = RawClient::open(proxy.address());
    client.send(&startup(3 << 16, &[("user", "postgres"), ("database", "postgres")]));
    assert_eq!(client.read().sqlstate(), "08001");
}
