//! TLS of the commands that look into a database.

use super::encrypted;
use crate::support::{Authority, Cluster, PASSWORD, Wanted, pgseal};

#[test]
fn check_connects_as_its_connection_string_says() {
    let (authority, _, cluster) = encrypted();
    let other = Authority::new();
    let policy = other.folder().join("policy.toml");
    std::fs::write(&policy, "version = 1\n").unwrap();
    let (ca, foreign) = (authority.file().display().to_string(), other.file().display().to_string());
    let named = |file, name| authority.issue(file, Wanted { name, ..Wanted::default() });
    let shown = named("check", "by_certificate");
    let (certificate, key) = (shown.certificate.display().to_string(), shown.key.display().to_string());
    let port = cluster.address().port();
    let url = |user: &str, rest: &str| format!("postgres://{user}@localhost:{port}/postgres?{rest}");
    let pairs = |host: &str, rest: &str| {
        format!("host={host} hostaddr=127.0.0.1 port={port} user=only_encrypted dbname=postgres {rest}")
    };
    let scram = format!("by_scram:{}", PASSWORD.replace(' ', "%20"));
    let plain = |mode: &str| {
        format!(
            "postgres://postgres@localhost:{}/postgres?sslmode={mode}",
            Cluster::shared().address().port()
        )
    };
    // (connection string, what is said if it does not connect)
    let cases = [
        (url("only_encrypted", "sslmode=disable"), Some("no pg_hba.conf entry")),
        (url("only_encrypted", "sslmode=prefer"), None),
        (url("only_encrypted", "connect_timeout=20"), None),
        (url("only_encrypted", "sslmode=require"), None),
        (url("only_encrypted", &format!("sslmode=verify-full&sslrootcert={ca}")), None),
        (url("only_encrypted", &format!("sslmode=verify-ca&sslrootcert={foreign}")), Some("certificate")),
        (url("only_encrypted", &format!("sslrootcert={foreign}&sslmode=require")), Some("certificate")),
        (url("only_encrypted", "sslmode=verify-ca"), Some("needs a file of authorities")),
        (pairs("localhost", &format!("sslmode=verify-full sslrootcert='{ca}'")), None),
        (pairs("wrong.example", &format!("sslmode=verify-ca sslrootcert={ca}")), None),
        (pairs("wrong.example", &format!("sslmode=verify-full sslrootcert={ca}")), Some("certificate")),
        (url("by_certificate", &format!("sslmode=require&sslcert={certificate}&sslkey={key}")), None),
        (url("by_certificate", "sslmode=require"), Some("certificate")),
        (url("by_certificate", &format!("sslcert={certificate}")), Some("belong together")),
        (url(&scram, "sslmode=require&channel_binding=require"), None),
        (url(&scram, "sslmode=disable&channel_binding=require"), Some("")),
        (plain("prefer"), None),
        (plain("require"), Some("does not support TLS")),
    ];
    for (url, expected) in cases {
        let flags = ["check", "--policy", policy.to_str().unwrap(), "--database", &url];
        let (done, text) = pgseal(&flags);
        match expected {
            None => assert!(done, "{url}: {text}"),
            Some(part) => assert!(!done && text.contains(part), "{url}: {text}"),
        }
        assert!(!text.contains(PASSWORD) && !text.contains("correct%20horse"), "{text}");
    }
}
