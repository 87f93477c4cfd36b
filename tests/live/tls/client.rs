//! TLS between client and proxy.

use std::fs;
use std::time::{Duration, Instant};

use super::psql;
use crate::support::message::*;
use crate::support::{Authority, Cluster, Issued, Proxy, RawClient, Wanted, pgseal};

const EMPTY: &str = "version = 1\n";
const START: &[(&str, &str)] = &[("user", "postgres"), ("database", "postgres")];

/// A proxy that shows `shown`.
fn proxy(mode: &str, shown: &Issued, authorities: Option<&Authority>) -> Proxy {
    let file = |path: &std::path::Path| path.display().to_string();
    let authorities = authorities.map(|a| file(&a.file()));
    let (certificate, key) = (file(&shown.certificate), file(&shown.key));
    let mut environment =
        vec![("PGSEAL_TLS", mode), ("PGSEAL_TLS_CERT", &certificate), ("PGSEAL_TLS_KEY", &key)];
    environment.extend(authorities.as_ref().map(|path| ("PGSEAL_TLS_CLIENT_CA", path.as_str())));
    Proxy::start_with(Cluster::shared().address(), EMPTY, &environment)
}

/// The only error of a client's startup.
fn refusal(mut client: RawClient, parameters: &[(&str, &str)]) -> (String, String) {
    client.send(&startup(3 << 16, parameters));
    let frames = client.read_until_ready();
    let [error] = frames.as_slice() else { panic!("one error: {frames:?}") };
    assert_eq!(error.field(b'V').as_deref(), Some("FATAL"));
    (error.sqlstate(), error.field(b'M').unwrap())
}

#[test]
fn psql_connects_by_every_sslmode_that_the_proxy_allows() {
    let (ours, other) = (Authority::new(), Authority::new());
    let shown = ours.server("proxy");
    let (optional, required) = (proxy("optional", &shown, None), proxy("required", &shown, None));
    let (ours, other) = (ours.file(), other.file());
    // (host, sslmode, root certificate, comes in where TLS is optional, where it is required)
    let cases = [
        ("localhost", "disable", None, Ok(()), Err("connection requires TLS")),
        ("localhost", "allow", None, Ok(()), Ok(())),
        ("localhost", "prefer", None, Ok(()), Ok(())),
        ("localhost", "require", None, Ok(()), Ok(())),
        ("localhost", "verify-full", Some(&ours), Ok(()), Ok(())),
        ("127.0.0.1", "verify-full", Some(&ours), Ok(()), Ok(())),
        ("localhost", "verify-ca", Some(&other), Err("verify failed"), Err("verify failed")),
        ("wrong.example", "verify-ca", Some(&ours), Ok(()), Ok(())),
        ("wrong.example", "verify-full", Some(&ours), Err("does not match"), Err("does not match")),
    ];
    for (host, mode, root, in_optional, in_required) in cases {
        for (proxy, expected) in [(&optional, in_optional), (&required, in_required)] {
            let root = root.map(|path| format!("sslrootcert={}", path.display())).unwrap_or_default();
            let port = proxy.address().port();
            let answer = psql(&format!(
                "host={host} hostaddr=127.0.0.1 port={port} user=postgres dbname=postgres sslmode={mode} gssencmode=disable {root}"
            ));
            match expected {
                Ok(()) => assert_eq!(answer, (true, "in".to_owned()), "{host} {mode}"),
                Err(part) => assert!(!answer.0 && answer.1.contains(part), "{host} {mode}: {answer:?}"),
            }
        }
    }
}

#[test]
fn a_session_through_tls_is_as_any_other() {
    let ours = Authority::new();
    let proxy = proxy("required", &ours.server("proxy"), None);
    let mut direct = Cluster::shared().connect("postgres");
    let mut through = RawClient::open(proxy.address()).secure_by_request(&ours.client(&[], None)).unwrap();
    through.start(START);
    let large = format!("SELECT '{}'", "x".repeat(3_000_000));
    let statements = [
        "SELECT 1; SELECT 2",
        "SELECT repeat(i::text, 50) FROM generate_series(1, 100000) i",
        &large,
        "SELECT 1/0",
    ];
    for statement in statements {
        assert!(direct.query(statement) == through.query(statement), "{:.20}", statement);
    }
    // Both sides send at the same time more than sockets and buffers hold.
    through.run("CREATE TEMPORARY TABLE t (v text)");
    through.send(&query("COPY t FROM STDIN"));
    assert_eq!(through.read().tag, b'G');
    let rows = frame(b'd', "some row\n".repeat(1000).as_bytes());
    for _ in 0..500 {
        through.send(&rows);
    }
    through.send(&frame(b'c', b""));
    assert_eq!(through.read().command(), "COPY 500000");
    assert_eq!(through.read().status(), 'I');
    assert_eq!(through.value("SELECT count(*) FROM t").as_deref(), Some("500000"));
    through.send(&terminate());
    assert!(through.try_read().is_none());
}

#[test]
fn plain_startups_are_refused_where_tls_is_required() {
    let ours = Authority::new();
    for mode in ["required", "mutual"] {
        let authorities = (mode == "mutual").then_some(&ours);
        let proxy = proxy(mode, &ours.server("proxy"), authorities);
        let (code, message) = refusal(RawClient::open(proxy.address()), START);
        assert_eq!(code, "28000");
        assert_eq!(
            message,
            "connection requires TLS: user \"postgres\", database \"postgres\", no encryption"
        );
        // GSSAPI is no way around it.
        let mut client = RawClient::open(proxy.address());
        client.send(&gssenc_request());
        assert_eq!(client.read_byte(), Some(b'N'));
        assert_eq!(refusal(client, START).0, "28000");
    }
}

#[test]
fn a_client_certificate_lets_in_the_user_whom_it_names() {
    let (ours, other) = (Authority::new(), Authority::new());
    let proxy = proxy("mutual", &ours.server("proxy"), Some(&ours));
    let named = |name, mail| Wanted { name, mail, ..Wanted::default() };
    let (matching, foreign, mail) = (
        ours.issue("postgres", named("postgres", None)),
        ours.issue("somebody", named("somebody", None)),
        ours.issue("mail", named("somebody", Some("postgres"))),
    );
    let host = ours.issue("host", Wanted { name: "x", hosts: &["postgres"], ..Wanted::default() });
    let expired = ours.issue("expired", Wanted { name: "postgres", expired: true, ..Wanted::default() });
    let from_elsewhere = other.issue("postgres", named("postgres", None));
    let of_nobody = ours.self_signed("selfsigned", named("postgres", None));

    let connect =
        |shown: Option<&Issued>| RawClient::open(proxy.address()).secure_by_request(&ours.client(&[], shown));
    for shown in [&matching, &mail, &host] {
        let mut client = connect(Some(shown)).unwrap();
        client.start(START);
        assert_eq!(client.value("SELECT current_user").as_deref(), Some("postgres"));
    }
    let (code, message) = refusal(connect(Some(&foreign)).unwrap(), START);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("28000", "certificate authentication failed for user \"postgres\"")
    );
    let (code, message) = refusal(connect(None).unwrap(), START);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("28000", "connection requires a valid client certificate")
    );
    for shown in [&expired, &from_elsewhere, &of_nobody] {
        // In TLS 1.3 the client is done before it is refused.
        let Ok(mut client) = connect(Some(shown)) else { continue };
        assert!(!client.try_send(&startup(3 << 16, START)) || client.try_read().is_none(), "{shown:?}");
    }
    let start = Instant::now();
    let told = || String::from_utf8(proxy.log()).unwrap().matches("a client could not be connected").count();
    while told() < 3 && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(told(), 3);
}

#[test]
fn what_comes_unencrypted_behind_a_request_for_tls_is_refused() {
    let ours = Authority::new();
    let optional = proxy("optional", &ours.server("proxy"), None);
    let off = Proxy::start(Cluster::shared().address(), EMPTY);
    for (proxy, request) in [(&optional, ssl_request()), (&off, ssl_request()), (&off, gssenc_request())] {
        let mut client = RawClient::open(proxy.address());
        client.send(&[request, startup(3 << 16, START)].concat());
        let frames = client.read_until_ready();
        let [error] = frames.as_slice() else { panic!("one error: {frames:?}") };
        assert_eq!(error.sqlstate(), "08P01");
        assert!(error.field(b'M').unwrap().starts_with("received unencrypted data after"), "{error:?}");
    }
    // Behind the answer it is no handshake.
    let mut client = RawClient::open(optional.address());
    client.send(&ssl_request());
    assert_eq!(client.read_byte(), Some(b'S'));
    client.send(&startup(3 << 16, START));
    let answer = client.read_to_end();
    assert!(answer.first().is_none_or(|byte| *byte == 0x15), "at most an alert: {answer:?}");
}

#[test]
fn clients_may_begin_with_tls_if_they_name_the_protocol() {
    let ours = Authority::new();
    for mode in ["optional", "required"] {
        let proxy = proxy(mode, &ours.server("proxy"), None);
        let open =
            |protocols: &[&str]| RawClient::open(proxy.address()).secure(&ours.client(protocols, None));
        let mut client = open(&["postgresql"]).unwrap();
        // Inside, TLS is not to be had a second time.
        client.send(&ssl_request());
        assert_eq!(client.read_byte(), Some(b'N'));
        client.start(START);
        assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
        let mut client = open(&[]).unwrap();
        assert!(!client.try_send(&startup(3 << 16, START)) || client.try_read().is_none());
        assert!(open(&["http/1.1"]).is_err());
    }
    let off = Proxy::start(Cluster::shared().address(), EMPTY);
    assert!(RawClient::open(off.address()).secure(&ours.client(&["postgresql"], None)).is_err());
}

#[test]
fn cancel_requests_come_through_tls_and_without_it() {
    let ours = Authority::new();
    let proxy = proxy("required", &ours.server("proxy"), None);
    let config = ours.client(&[], None);
    let mut client = RawClient::open(proxy.address()).secure_by_request(&config).unwrap();
    client.start(START);
    for encrypted in [true, false] {
        client.send(&query("SELECT pg_sleep(25)"));
        std::thread::sleep(Duration::from_millis(300));
        let mut canceller = RawClient::open(proxy.address());
        if encrypted {
            canceller = canceller.secure_by_request(&config).unwrap();
        }
        canceller.send(&cancel(&client.key));
        assert!(canceller.try_read().is_none());
        let frames = client.read_until_ready();
        assert!(frames.iter().any(|f| f.tag == b'E' && f.sqlstate() == "57014"), "{encrypted}: {frames:?}");
    }
}

#[test]
fn certificates_are_read_again_and_sessions_go_on() {
    let ours = Authority::new();
    let proxy = proxy("required", &ours.server("proxy"), None);
    let config = ours.client(&[], None);
    let connect = || {
        let mut client = RawClient::open(proxy.address()).secure_by_request(&config).unwrap();
        client.start(START);
        client
    };
    let signal = |expected: &str, times: usize| {
        proxy.process().signal("HUP");
        let deadline = Instant::now() + Duration::from_secs(20);
        while String::from_utf8_lossy(&proxy.log()).matches(expected).count() < times {
            assert!(Instant::now() < deadline, "nothing is logged");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let mut old = connect();
    // The files are replaced.
    ours.server("proxy");
    signal("certificates were read again", 1);
    let mut new = connect();
    assert_ne!(new.certificate(), old.certificate());
    // A key that does not belong to the certificate: all stays as it was.
    let issued = ours.server("another");
    fs::copy(&issued.key, ours.folder().join("proxy.key")).unwrap();
    signal("certificates were not read again", 1);
    assert_eq!(connect().certificate(), new.certificate());
    for client in [&mut old, &mut new] {
        assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
    }
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let ours = Authority::new();
    let proxy = proxy("optional", &ours.server("proxy"), None);
    let mut client = RawClient::open(proxy.address());
    client.send(&ssl_request());
    assert_eq!(client.read_byte(), Some(b'S'));
    let begun = Instant::now();
    assert_eq!(client.read_to_end(), b"");
    assert!(begun.elapsed() < Duration::from_secs(40));
    let log = String::from_utf8(proxy.log()).unwrap();
    assert!(log.contains("not done within"), "{log}");
}

#[test]
fn settings_that_do_not_go_together_are_told_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let ours = Authority::new();
    let (shown, other, readable) = (ours.server("proxy"), ours.server("other"), ours.server("readable"));
    fs::set_permissions(&readable.key, fs::Permissions::from_mode(0o644)).unwrap();
    let empty = ours.folder().join("empty.key");
    fs::write(&empty, "nothing").unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o600)).unwrap();
    let init = [
        "init",
        "--keyring",
        &file(&ours, "keys/ring"),
        "--kek",
        &format!("file:{}", file(&ours, "keys/kek")),
    ];
    assert!(pgseal(&init).0);
    fs::write(ours.folder().join("policy.toml"), EMPTY).unwrap();
    let path = |path: &std::path::Path| path.display().to_string();
    let (certificate, key, ca) = (path(&shown.certificate), path(&shown.key), path(&ours.file()));
    let pair = ["--tls-cert", &certificate, "--tls-key", &key];
    let cases: &[(&[&str], &str)] = &[
        (&["--tls", "required"], "--tls-cert and --tls-key"),
        (&["--tls", "required", "--tls-cert", &certificate], "--tls-key"),
        (&pair, "TLS towards them is off"),
        (&[&["--tls", "mutual"], &pair[..]].concat(), "--tls-client-ca"),
        (&[&["--tls", "optional", "--tls-client-ca", &ca], &pair[..]].concat(), "--tls mutual only"),
        (
            &["--tls", "optional", "--tls-cert", &certificate, "--tls-key", &path(&other.key)],
            "cannot be used with",
        ),
        (
            &[
                "--tls",
                "optional",
                "--tls-cert",
                &path(&readable.certificate),
                "--tls-key",
                &path(&readable.key),
            ],
            "its permissions are 0644",
        ),
        (&["--tls", "optional", "--tls-cert", &key, "--tls-key", &key], "holds no certificates"),
        (&["--tls", "optional", "--tls-cert", &certificate, "--tls-key", &path(&empty)], "no private key"),
    ];
    for (flags, expected) in cases {
        let (policy, keyring) = (file(&ours, "policy.toml"), file(&ours, "keys/ring"));
        let base = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            "127.0.0.1:1",
            "--policy",
            &policy,
            "--keyring",
            &keyring,
        ];
        let (served, text) = pgseal(&[&base, *flags].concat());
        assert!(!served && text.contains(expected), "{flags:?}: {text}");
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}

fn file(authority: &Authority, name: &str) -> String {
    authority.folder().join(name).display().to_string()
}
