//! Failed attempts, unknown users, users from a query, and what is wrong with settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{EMPTY, PASSWORD, Users, line, proxy, psql, stored};
use crate::support::message::*;
use crate::support::{Cluster, Proxy, RawClient, pgseal};

#[test]
fn failed_attempts_are_limited_for_their_user() {
    let cluster = Cluster::shared();
    let users = Users::new(&[("by_scram", PASSWORD), ("by_password", PASSWORD)]);
    let proxy = proxy(cluster, &users.file(), &[("PGSEAL_AUTH_FAILURES", "3")]);
    for _ in 0..2 {
        assert!(psql(&proxy, "by_scram", "wrong", "").1.contains("password authentication failed"));
    }
    // Who comes in begins anew.
    assert!(psql(&proxy, "by_scram", PASSWORD, "").0);
    for _ in 0..3 {
        assert!(psql(&proxy, "by_scram", "wrong", "").1.contains("password authentication failed"));
    }
    let (may, text) = psql(&proxy, "by_scram", PASSWORD, "");
    assert!(!may && text.contains("too many failed attempts to log in as user \"by_scram\""), "{text}");
    assert!(psql(&proxy, "by_password", PASSWORD, "").0);
}

/// The challenge that a user gets: salt and iterations.
fn challenge(proxy: &Proxy, user: &str) -> String {
    let mut client = RawClient::open(proxy.address());
    client.send(&startup(3 << 16, &[("user", user), ("database", "postgres")]));
    assert_eq!(client.read().tag, b'R');
    let first = b"n,,n=,r=abc";
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend(u32::try_from(first.len()).unwrap().to_be_bytes());
    body.extend(first);
    client.send(&frame(b'p', &body));
    let text = String::from_utf8(client.read().body[4..].to_vec()).unwrap();
    text.split_once(',').unwrap().1.to_owned()
}

#[test]
fn a_user_who_is_not_known_looks_like_one() {
    let cluster = Cluster::shared();
    let users = Users::new(&[("by_scram", &stored(cluster, "by_scram"))]);
    let proxy = proxy(cluster, &users.file(), &[]);
    let known = challenge(&proxy, "by_scram");
    let unknown = challenge(&proxy, "unknown");
    assert_eq!(known, challenge(&proxy, "by_scram"));
    assert_eq!(unknown, challenge(&proxy, "unknown"));
    assert_ne!(unknown, challenge(&proxy, "unknown2"));
    assert_eq!(known.len(), unknown.len(), "{known} {unknown}");
}

#[test]
fn users_may_come_from_a_query() {
    let cluster = Cluster::shared();
    let database = cluster.url("postgres");
    let query = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin";
    let environment =
        [("PGSEAL_AUTH", "terminate"), ("PGSEAL_AUTH_QUERY", query), ("PGSEAL_AUTH_DATABASE", &database)];
    let proxy = Proxy::start_with(cluster.address(), EMPTY, &environment);
    assert_eq!(psql(&proxy, "by_scram", PASSWORD, ""), (true, "by_scram".to_owned()));
    for (user, password) in
        [("by_scram", "wrong"), ("nobody", PASSWORD), ("by_md5", PASSWORD), ("postgres", "")]
    {
        let (may, text) = psql(&proxy, user, password, "");
        let expected = format!("password authentication failed for user \"{user}\"");
        // libpq has no empty password to give.
        assert!(
            !may && (text.contains(&expected) || text.contains("no password supplied")),
            "{user}: {text}"
        );
    }
    let broken = [
        ("PGSEAL_AUTH", "terminate"),
        ("PGSEAL_AUTH_QUERY", "SELECT nothing"),
        ("PGSEAL_AUTH_DATABASE", &database),
    ];
    let proxy = Proxy::start_with(cluster.address(), EMPTY, &broken);
    let (may, text) = psql(&proxy, "by_scram", PASSWORD, "");
    assert!(!may && text.contains("the proxy cannot look up users"), "{text}");
}

#[test]
fn a_line_that_was_made_is_good_for_both_sides() {
    let cluster = Cluster::shared();
    let made = line("lined \"up\"", PASSWORD);
    let secret = made.trim().rsplit('"').nth(1).unwrap();
    assert!(made.starts_with("\"lined \"\"up\"\"\" \"SCRAM-SHA-256$4096:"), "{made}");
    cluster.connect("postgres").run(&format!("CREATE ROLE \"lined \"\"up\"\"\" LOGIN PASSWORD '{secret}'"));
    let users = Users::new(&[("lined \"up\"", secret)]);
    let proxy = proxy(cluster, &users.file(), &[]);
    assert!(psql(&proxy, "'lined \"up\"'", PASSWORD, "").0);
    assert!(!psql(&proxy, "'lined \"up\"'", "wrong", "").0);
}

#[test]
fn wrong_settings_are_refused_with_the_place() {
    let users = Users::new(&[("a", "md5d41d8cd98f00b204e9800998ecf8427e")]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (keyring, kek) = (path("keyring.toml"), format!("file:{}", path("kek")));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(pgseal(&["init", "--keyring", &keyring, "--kek", &kek]).0);
    fs::write(path("policy.toml"), EMPTY).unwrap();
    let open = folder.path().join("open.txt");
    fs::write(&open, "\"a\" \"b\"\n").unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let (file, open, policy) =
        (users.file().display().to_string(), open.display().to_string(), path("policy.toml"));
    for (flags, expected) in [
        (&["--auth", "terminate"][..], "--auth terminate needs to know users"),
        (&["--auth-file", &file], "give --auth terminate too"),
        (&["--auth", "terminate", "--auth-file", &file], "users.txt:1: MD5 hashes are of no use"),
        (&["--auth", "terminate", "--auth-file", &open], "open.txt"),
        (&["--auth", "terminate", "--auth-query", "SELECT 1"], "--auth-database URL"),
        (&["--auth", "terminate", "--auth-method", "certificate"], "--tls mutual"),
    ] {
        let common = [
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
        let arguments: Vec<&str> = common.iter().chain(flags).copied().collect();
        let (succeeded, text) = pgseal(&arguments);
        assert!(!succeeded && text.contains(expected), "{flags:?}: {text}");
    }
}
