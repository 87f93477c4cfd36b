//! A primary and its standby behind one proxy: which of them a session is with.

use std::time::{Duration, Instant};

use crate::support::message::*;
use crate::support::{Cluster, Frame, PASSWORD, Proxy, RawClient, pgseal};

const POLICY: &str = "version = 1\n[table.\"public.t\"]\nv = { type = \"text\" }\n";

/// A proxy before both, in this order.
fn proxy(first: &Cluster, second: &Cluster, target: &str, more: &[(&str, &str)]) -> Proxy {
    let upstream = format!("{},{}", first.address(), second.address());
    let environment =
        [&[("PGSEAL_UPSTREAM", upstream.as_str()), ("PGSEAL_UPSTREAM_TARGET", target)], more].concat();
    Proxy::start_with(first.address(), POLICY, &environment)
}

/// What the proxy tells somebody who comes in: the frames up to ReadyForQuery, or up to an error.
fn login(proxy: &Proxy, user: &str) -> (RawClient, Vec<Frame>) {
    let mut client = RawClient::open(proxy.address());
    client.send(&startup(3 << 16, &[("user", user), ("database", "postgres")]));
    let mut frames = Vec::new();
    loop {
        let told = client.read();
        let (tag, over) = (told.tag, matches!(told.tag, b'Z' | b'E'));
        let asks_for_md5 = tag == b'R' && told.body.starts_with(&[0, 0, 0, 5]);
        let asks_for_password = tag == b'R' && told.body.starts_with(&[0, 0, 0, 3]);
        frames.push(told);
        assert!(!asks_for_md5);
        if asks_for_password {
            client.send(&frame(b'p', format!("{PASSWORD}\0").as_bytes()));
        }
        if over {
            return (client, frames);
        }
    }
}

/// The port of the server that a trusted client comes to, or the error.
fn port(proxy: &Proxy, user: &str) -> Result<String, String> {
    let (mut client, frames) = login(proxy, user);
    let last = frames.last().unwrap();
    if last.tag == b'E' {
        return Err(format!("{} {}", last.sqlstate(), last.field(b'M').unwrap_or_default()));
    }
    let ready = frames.iter().filter(|frame| frame.tag == b'K' || frame.tag == b'Z').count();
    assert_eq!(ready, 2, "one server's BackendKeyData and ReadyForQuery reach the client");
    Ok(client.value("SELECT current_setting('port')").unwrap())
}

fn port_of(cluster: &Cluster) -> String {
    cluster.address().port().to_string()
}

#[test]
fn a_session_is_with_the_server_that_is_wanted() {
    let primary = Cluster::start();
    let standby = primary.standby();
    let (of_primary, of_standby) = (Ok(port_of(&primary)), Ok(port_of(&standby)));
    for (target, wanted) in [
        ("any", [&of_primary, &of_standby]),
        ("read-write", [&of_primary; 2]),
        ("primary", [&of_primary; 2]),
        ("read-only", [&of_standby; 2]),
        ("standby", [&of_standby; 2]),
        ("prefer-standby", [&of_standby; 2]),
    ] {
        for (i, wanted) in wanted.into_iter().enumerate() {
            let (first, second) = if i == 0 { (&primary, &standby) } else { (&standby, &primary) };
            let proxy = proxy(first, second, target, &[]);
            assert_eq!(port(&proxy, "postgres"), *wanted, "{target} {i}");
            // And again, when it is known.
            assert_eq!(port(&proxy, "postgres"), *wanted, "{target} {i}");
        }
    }
    // A primary whose sessions are read-only by default is a primary.
    primary.connect("postgres").run("CREATE ROLE reader LOGIN");
    primary.connect("postgres").run("ALTER ROLE reader SET default_transaction_read_only = on");
    let known = "SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE rolname = 'reader'";
    let start = Instant::now();
    while standby.connect("postgres").value(known).as_deref() != Some("1") {
        assert!(start.elapsed() < Duration::from_secs(30), "the standby does not hear of it");
        std::thread::sleep(Duration::from_millis(20));
    }
    for (target, wanted) in [
        ("primary", of_primary.clone()),
        ("read-only", of_primary.clone()),
        ("read-write", Err("08001 session is read-only".to_owned())),
    ] {
        assert_eq!(port(&proxy(&primary, &standby, target, &[]), "reader"), wanted, "{target}");
    }
    // Neither.
    for (server, target, complaint) in [
        (&standby, "read-write", "session is read-only"),
        (&primary, "read-only", "session is not read-only"),
        (&standby, "primary", "server is in hot standby mode"),
        (&primary, "standby", "server is not in hot standby mode"),
    ] {
        let proxy = proxy(server, server, target, &[]);
        assert_eq!(port(&proxy, "postgres"), Err(format!("08001 {complaint}")), "{target}");
    }
    assert_eq!(port(&proxy(&primary, &primary, "prefer-standby", &[]), "postgres"), of_primary);

    // Who has given a password is told, and comes in at the second try.
    let two = proxy(&standby, &primary, "read-write", &[]);
    assert_eq!(port(&two, "by_password"), Err("08001 session is read-only".to_owned()));
    assert_eq!(port(&two, "by_password"), of_primary);
    let two = proxy(&primary, &standby, "prefer-standby", &[]);
    assert_eq!(port(&two, "by_password"), of_primary);
    assert_eq!(port(&two, "by_password"), of_standby);

    // A standby that is promoted: those who are there stay, and whoever comes is led there.
    let two = proxy(&primary, &standby, "primary", &[]);
    let mut there = standby.connect("postgres");
    assert_eq!(port(&two, "postgres"), of_primary);
    let watches = proxy(&standby, &primary, "standby", &[]);
    let (_stays, _) = login(&watches, "postgres");
    assert_eq!(there.value("SELECT pg_promote()").as_deref(), Some("t"));
    drop(primary);
    assert_eq!(port(&two, "postgres"), of_standby);
    assert_eq!(port(&watches, "postgres"), Err("08001 server is not in hot standby mode".to_owned()));
}

#[test]
fn a_client_whom_the_proxy_authenticates_is_taken_to_the_next_server() {
    let primary = Cluster::start();
    let standby = primary.standby();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    let mut superuser = primary.connect("postgres");
    let verifier = superuser.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'by_scram'").unwrap();
    std::fs::write(&file, format!("\"by_scram\" \"{verifier}\"\n")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = file.display().to_string();
    let two = proxy(
        &standby,
        &primary,
        "read-write",
        &[("PGSEAL_AUTH", "terminate"), ("PGSEAL_AUTH_FILE", &file), ("PGSEAL_MAX_SESSIONS", "1")],
    );
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(async {
            let url = format!(
                "host=127.0.0.1 port={} user=by_scram password='{PASSWORD}' dbname=postgres sslmode=disable",
                two.address().port()
            );
            let deadline = Instant::now() + Duration::from_secs(10);
            // The place of the session before may not be free yet.
            let (client, connection) = loop {
                match tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
                    Ok(connected) => break connected,
                    Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let driven = tokio::spawn(connection);
            let row = client.query_one("SELECT current_setting('port')", &[]).await.unwrap();
            let port: String = row.get(0);
            drop(client);
            driven.await.unwrap().unwrap();
            port
        });
        assert_eq!(found, port_of(&primary));
    }
}

#[test]
fn a_word_that_means_nothing_is_refused() {
    let (ok, text) = pgseal(&["serve", "--upstream", "h", "--upstream-target", "master"]);
    assert!(!ok && text.contains("prefer-standby"), "{text}");
}
