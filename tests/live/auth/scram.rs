//! SCRAM towards clients, and whatever the server asks for.

use super::{EMPTY, PASSWORD, Users, line, proxy, psql, stored};
use crate::support::message::*;
use crate::support::{Authority, Cluster, Proxy, RawClient};

const WRONG: &str = "FATAL:  password authentication failed for user";

#[test]
fn a_user_comes_in_by_the_servers_own_verifier_and_no_password_is_kept() {
    let cluster = Cluster::shared();
    let users = Users::new(&[("by_scram", &stored(cluster, "by_scram"))]);
    let proxy = proxy(cluster, &users.file(), &[]);
    assert_eq!(psql(&proxy, "by_scram", PASSWORD, ""), (true, "by_scram".to_owned()));
    let (may, text) = psql(&proxy, "by_scram", "wrong", "");
    assert!(!may && text.contains(&format!("{WRONG} \"by_scram\"")), "{text}");
    // The same to whom nobody knows, and to whom only the server knows.
    for user in ["nobody", "by_md5"] {
        let (may, text) = psql(&proxy, user, PASSWORD, "");
        assert!(!may && text.contains(&format!("{WRONG} \"{user}\"")), "{text}");
    }
    // Another verifier of the same password is none that the server would know.
    let made = line("by_scram", PASSWORD);
    let secret = made.trim().split('"').nth(3).unwrap();
    users.write(&[("by_scram", secret)]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let text = loop {
        let (may, text) = psql(&proxy, "by_scram", PASSWORD, "");
        if !may {
            break text;
        }
        assert!(std::time::Instant::now() < deadline, "the new file is not read");
    };
    assert!(text.contains("cannot log in to the server as user \"by_scram\""), "{text}");
    assert!(text.contains("The server stores another SCRAM verifier than the proxy."), "{text}");
    assert!(text.contains("HINT:  Give the proxy the server's own verifier"), "{text}");
    // Until it is given that one.
    cluster.connect("postgres").run(&format!("CREATE ROLE by_line LOGIN PASSWORD '{secret}'"));
}

#[test]
fn the_servers_methods_are_answered_with_what_there_is() {
    let cluster = Cluster::shared();
    let names = ["by_scram", "by_password", "by_md5"];
    let verifier = stored(cluster, "by_password");
    let lines: Vec<_> =
        names.iter().map(|name| (*name, PASSWORD)).chain([("nobody_may", PASSWORD)]).collect();
    let users = Users::new(&lines);
    let by_password = proxy(cluster, &users.file(), &[]);
    for name in names {
        assert_eq!(psql(&by_password, name, PASSWORD, ""), (true, name.to_owned()));
        assert!(psql(&by_password, name, "wrong", "").1.contains(WRONG));
    }
    // The server's own word goes on as it is.
    let (may, text) = psql(&by_password, "nobody_may", PASSWORD, "");
    assert!(!may && text.contains("pg_hba.conf rejects connection"), "{text}");
    // What only a password answers cannot be answered without.
    let users = Users::new(&[("by_password", &verifier)]);
    let by_verifier = proxy(cluster, &users.file(), &[]);
    let (may, text) = psql(&by_verifier, "by_password", PASSWORD, "");
    assert!(!may && text.contains("asks for authentication by password"), "{text}");
    assert!(text.contains("HINT:"), "{text}");
}

#[test]
fn a_binding_is_offered_and_demanded_on_each_leg_of_its_own() {
    let authority = Authority::new();
    let (shown, own) = (authority.server("server"), authority.server("own"));
    let cluster = Cluster::encrypted(&shown, &authority);
    let users = Users::new(&[("by_scram", &stored(&cluster, "by_scram"))]);
    let (certificate, key) = (own.certificate.display().to_string(), own.key.display().to_string());
    let ca = authority.file().display().to_string();
    let proxy = proxy(
        &cluster,
        &users.file(),
        &[
            ("PGSEAL_TLS", "optional"),
            ("PGSEAL_TLS_CERT", &certificate),
            ("PGSEAL_TLS_KEY", &key),
            ("PGSEAL_UPSTREAM_CA", &ca),
        ],
    );
    for (mode, binding, may) in [
        ("require", "require", true),
        ("require", "prefer", true),
        ("require", "disable", true),
        ("disable", "prefer", true),
        ("disable", "require", false),
    ] {
        let (entered, text) =
            psql(&proxy, "by_scram", PASSWORD, &format!("sslmode={mode} channel_binding={binding}"));
        assert_eq!(entered, may, "{mode} {binding}: {text}");
    }
    assert!(psql(&proxy, "by_scram", "wrong", "sslmode=require channel_binding=require").1.contains(WRONG));
}

#[test]
fn somebody_in_the_middle_is_found_out_by_the_binding() {
    use crate::support::{Answer, Middle};
    let (authority, other) = (Authority::new(), Authority::new());
    let shown = authority.server("server");
    let cluster = Cluster::encrypted(&shown, &authority);
    let users = Users::new(&[("by_scram", PASSWORD)]);
    // The proxy verifies nothing, and somebody speaks TLS with it and with the server: a second proxy that relays.
    let relay = Proxy::start_with(cluster.address(), EMPTY, &[("PGSEAL_UPSTREAM_TLS", "require")]);
    let middle = Middle::start(relay.address(), &other.server("middle"), Answer::Yes);
    let users_file = users.file().display().to_string();
    let environment =
        [("PGSEAL_AUTH", "terminate"), ("PGSEAL_AUTH_FILE", &users_file), ("PGSEAL_UPSTREAM_TLS", "require")];
    let proxy = Proxy::start_with(middle.address(), EMPTY, &environment);
    let (may, text) = psql(&proxy, "by_scram", PASSWORD, "");
    assert!(!may && text.contains("cannot pass from one TLS connection to another"), "{text}");
    let direct = Proxy::start_with(cluster.address(), EMPTY, &environment);
    assert!(psql(&direct, "by_scram", PASSWORD, "").0);
    // Between client and proxy: the client sees another certificate than the proxy shows.
    let own = authority.server("own");
    let (certificate, key) = (own.certificate.display().to_string(), own.key.display().to_string());
    let proxy = super::proxy(
        Cluster::shared(),
        &Users::new(&[("by_scram", PASSWORD)]).file(),
        &[("PGSEAL_TLS", "optional"), ("PGSEAL_TLS_CERT", &certificate), ("PGSEAL_TLS_KEY", &key)],
    );
    let middle = Middle::start(proxy.address(), &other.server("middle2"), Answer::Yes);
    let connect = |binding: &str| {
        let output = std::process::Command::new(crate::support::binary("psql"))
            .args(["-XAtc", "SELECT 1"])
            .arg(format!(
                "host=127.0.0.1 port={} user=by_scram dbname=postgres password='{PASSWORD}' sslmode=require \
                 gssencmode=disable channel_binding={binding}",
                middle.address().port()
            ))
            .env("HOME", "/nonexistent")
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (may, text) = connect("require");
    assert!(!may && text.contains("channel binding"), "{text}");
}

#[test]
fn passwords_are_prepared_as_the_server_prepares_them() {
    let cluster = Cluster::shared();
    let mut server = cluster.connect("postgres");
    let passwords = [
        "plain",
        "I\u{AD}X",
        "\u{2168}",
        "a\u{A0}b",
        "\u{627}1",
        "\u{627}\u{628}",
        "x\u{7}",
        "\u{AD}",
        "\u{1F980}",
        "e\u{301}",
        "\u{221}",
        " \u{3000}z",
    ];
    // Not the default before version 14.
    server.run("SET password_encryption = 'scram-sha-256'");
    for (i, password) in passwords.iter().enumerate() {
        let user = format!("prepared_{i}");
        server.run(&format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'"));
        let text = stored(cluster, &user);
        let verifier = pgseal::scram::Verifier::parse(&text).expect("the server's form");
        assert_eq!(verifier.to_string(), text);
        let [_, head, _] = text.split('$').collect::<Vec<_>>()[..] else { panic!("{text}") };
        let salt = head.split(':').nth(1).unwrap();
        let salt = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, salt).unwrap();
        let ours = pgseal::scram::Verifier::of_password(password, &salt, verifier.iterations());
        assert_eq!(ours.to_string(), text, "{}", password.escape_unicode());
    }
}

#[test]
fn a_statement_can_be_cancelled_and_newer_protocols_are_negotiated() {
    let cluster = Cluster::shared();
    let users = Users::new(&[("by_scram", PASSWORD)]);
    let proxy = proxy(cluster, &users.file(), &[]);
    let mut client = RawClient::open(proxy.address());
    client
        .send(&startup((3 << 16) + 9999, &[("user", "by_scram"), ("database", "postgres"), ("_pq_.x", "1")]));
    assert_eq!(client.read().tag, b'v');
    let offer = client.read();
    assert_eq!((offer.tag, &offer.body[4..]), (b'R', &b"SCRAM-SHA-256\0\0"[..]));
    // A query in the place of an answer reaches nobody.
    client.send(&query("SELECT 'secret'"));
    let error = client.read();
    assert_eq!(error.sqlstate(), "08P01", "{error:?}");

    let url = format!("postgresql://by_scram:correct%20horse@{}/postgres?sslmode=disable", proxy.address());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let token = client.cancel_token();
        let sleep = tokio::spawn(async move { client.query("SELECT pg_sleep(25)", &[]).await });
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        token.cancel_query(tokio_postgres::NoTls).await.unwrap();
        assert_eq!(sleep.await.unwrap().unwrap_err().code().unwrap().code(), "57014");
    });
}
