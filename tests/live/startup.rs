//! How sessions begin and end: negotiation, authentication, cancelling, notifications.

use std::time::Duration;

use crate::support::message::*;
use crate::support::{Cluster, PASSWORD, Proxy, RawClient};

const EMPTY: &str = "version = 1\n";

#[test]
fn ssl_and_gss_requests_are_answered_no_and_the_session_goes_on() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    let mut client = RawClient::open(proxy.address());
    client.send(&gssenc_request());
    assert_eq!(client.read_byte(), Some(b'N'));
    client.send(&ssl_request());
    assert_eq!(client.read_byte(), Some(b'N'));
    client.send(&startup(3 << 16, &[("user", "postgres"), ("database", "postgres")]));
    assert_eq!(client.read_until_ready().last().unwrap().status(), 'I');
    assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn versions_and_options_that_the_server_does_not_know_are_negotiated_down() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    let base = [("user", "postgres"), ("database", "postgres")];
    let greased = [base[0], base[1], ("_pq_.test_protocol_negotiation", "")];
    // (version, parameters)
    let cases: [(u32, &[(&str, &str)]); 4] = [
        ((3 << 16) | 2, &base),
        ((3 << 16) | 9999, &greased),
        (3 << 16, &greased),
        ((3 << 16) | 2, &[base[0], base[1], ("_pq_.a", "1"), ("_pq_.b", "2"), ("application_name", "x")]),
    ];
    for (version, parameters) in cases {
        let negotiate = |address| {
            let mut client = RawClient::open(address);
            client.send(&startup(version, parameters));
            let frames = client.read_until_ready();
            assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
            frames.into_iter().find(|f| f.tag == b'v')
        };
        let (direct, through) = (negotiate(cluster.address()), negotiate(proxy.address()));
        assert_eq!(direct, through, "version {version:#x} {parameters:?}");
    }
}

#[test]
fn an_old_protocol_gets_an_error() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    for version in [2 << 16, 4 << 16] {
        let mut client = RawClient::open(proxy.address());
        client.send(&startup(version, &[("user", "postgres")]));
        // The server answers protocol 2 in protocol 2's form, which is no frame.
        let answer = client.read_to_end();
        assert_eq!(answer.first(), Some(&b'E'), "{version:#x}");
    }
}

#[tokio::test]
async fn every_way_of_authentication_is_relayed() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    // (role, password, may enter)
    let cases = [
        ("postgres", "", true),
        ("by_password", PASSWORD, true),
        ("by_password", "wrong", false),
        ("by_md5", PASSWORD, true),
        ("by_md5", "wrong", false),
        ("by_scram", PASSWORD, true),
        ("by_scram", "wrong", false),
        ("nobody_may", PASSWORD, false),
        ("no_such_role", PASSWORD, false),
    ];
    for (role, password, may) in cases {
        let mut errors = Vec::new();
        for address in [cluster.address(), proxy.address()] {
            let mut config = tokio_postgres::Config::new();
            config.host("127.0.0.1").port(address.port()).user(role).dbname("postgres");
            config.password(password).connect_timeout(Duration::from_secs(10));
            match config.connect(tokio_postgres::NoTls).await {
                Ok((client, connection)) => {
                    assert!(may, "{role} came in by a wrong password");
                    let connection = tokio::spawn(connection);
                    let row = client.query_one("SELECT current_user::text", &[]).await.unwrap();
                    assert_eq!(row.get::<_, String>(0), role);
                    drop(client);
                    connection.await.unwrap().unwrap();
                }
                Err(error) => {
                    let error = error.as_db_error().unwrap_or_else(|| panic!("{role}: {error}"));
                    errors.push((error.code().clone(), error.message().to_owned()));
                }
            }
        }
        assert_eq!(errors.len(), if may { 0 } else { 2 }, "{role}");
        assert!(may || errors[0] == errors[1], "{role}: {errors:?}");
    }
}

#[test]
fn a_query_instead_of_a_password_is_not_run() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    for role in ["by_password", "by_md5", "by_scram"] {
        let mut client = RawClient::open(proxy.address());
        client.send(&startup(3 << 16, &[("user", role), ("database", "postgres")]));
        assert_eq!(client.read().tag, b'R');
        client.send(&query("SELECT 1"));
        let frames = client.read_until_ready();
        assert!(frames.iter().all(|f| !matches!(f.tag, b'D' | b'T' | b'Z')), "{role}: {frames:?}");
    }
}

#[test]
fn an_unknown_database_gets_the_servers_error() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    let refusal = |address| {
        let mut client = RawClient::open(address);
        client.send(&startup(3 << 16, &[("user", "postgres"), ("database", "no_such_database")]));
        client.read_until_ready()
    };
    assert_eq!(refusal(cluster.address()), refusal(proxy.address()));
}

#[test]
fn a_cancel_request_ends_the_right_query() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    let (mut wanted, mut other) = (proxy.connect("postgres"), proxy.connect("postgres"));
    wanted.send(&query("SELECT pg_sleep(25)"));
    other.send(&query("SELECT pg_sleep(1)"));
    std::thread::sleep(Duration::from_millis(300));
    let mut canceller = RawClient::open(proxy.address());
    canceller.send(&cancel(&wanted.key));
    assert!(canceller.try_read().is_none(), "a cancel request gets no answer");
    let frames = wanted.read_until_ready();
    assert!(frames.iter().any(|f| f.tag == b'E' && f.sqlstate() == "57014"), "{frames:?}");
    assert!(other.read_until_ready().iter().all(|f| f.tag != b'E'));
    assert_eq!(wanted.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn a_cancel_request_while_rows_stream_leaves_the_session_usable() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    let mut client = proxy.connect("postgres");
    client.send(&query("SELECT repeat('x', 1000), generate_series(1, 100000000)"));
    assert_eq!(client.read().tag, b'T');
    RawClient::open(proxy.address()).send(&cancel(&client.key));
    let last = client.read_until(b'E').pop().unwrap();
    assert_eq!(last.sqlstate(), "57014");
    assert_eq!(client.read().status(), 'I');
    assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn notifications_arrive_while_a_session_is_idle_and_in_the_middle_of_others() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    let database = cluster.database("notify");
    let mut listener = proxy.connect(&database);
    listener.run("LISTEN news");
    assert!(listener.is_silent_for(Duration::from_millis(100)));
    cluster.connect(&database).run("NOTIFY news, 'first'");
    let frame = listener.read();
    assert_eq!(frame.tag, b'A');
    assert!(frame.body.ends_with(b"news\0first\0"), "{frame:?}");
    proxy.connect(&database).run("NOTIFY news, 'second'");
    assert_eq!(listener.read().tag, b'A');
}

#[test]
fn both_ends_close_when_the_client_leaves() {
    let cluster = Cluster::shared();
    let proxy = Proxy::start(cluster.address(), EMPTY);
    let database = cluster.database("leaving");
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
    let mut watch = cluster.connect("postgres");
    let mut count = || watch.value(&sessions).unwrap().parse::<u32>().unwrap();
    let (mut polite, rude) = (proxy.connect(&database), proxy.connect(&database));
    assert_eq!(count(), 2);
    polite.send(&terminate());
    drop(rude);
    for _ in 0..200 {
        if count() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("server sessions are left");
}
