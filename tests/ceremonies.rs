//! The scripts of docs/ceremonies.md, each carried out as it stands there beside a running proxy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[path = "support/mod.rs"]
mod support;

use support::{Cluster, Proxy, binary};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ceremonies.md");

const POLICY: &str = r#"version = 1
[table."public.users"]
email = { type = "text", mode = "deterministic" }
note = { type = "text" }
"#;

/// A line of the page that is carried out and not shown as a step: it makes what the section takes for granted.
const PREPARED: &str = "# prepared: ";

/// A section with scripts.
struct Ceremony {
    heading: String,
    script: String,
}

#[test]
fn every_ceremony_does_what_the_page_says() {
    let ceremonies = ceremonies(&fs::read_to_string(PAGE).unwrap());
    assert!(ceremonies.len() >= 10, "the page was not read");
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(ceremony) = ceremonies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(text) = carry_out(ceremony) {
                        failures.lock().unwrap().push(format!("## {}\n{text}", ceremony.heading));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The sections of the page that have blocks of `sh`, all blocks of one as one script.
fn ceremonies(page: &str) -> Vec<Ceremony> {
    let mut found: Vec<Ceremony> = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap();
        let blocks = body.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
        let script = blocks.collect::<Vec<_>>().join("\n").replace(PREPARED, "");
        if !script.is_empty() {
            found.push(Ceremony { heading: heading.to_owned(), script });
        }
    }
    found
}

/// Runs a script with a cluster, rows and a proxy of its own; the application has to see its values afterwards.
fn carry_out(ceremony: &Ceremony) -> Result<(), String> {
    let cluster = Cluster::start();
    let database = cluster.database("app");
    let direct = cluster.url(&database);
    cluster.connect(&database).run("CREATE TABLE users (id int PRIMARY KEY, email bytea UNIQUE, note bytea)");
    let lease = ("PGSEAL_CATALOG_LEASE", "1");
    let proxy = Proxy::start_with(cluster.address(), POLICY, &[("PGSEAL_DATABASE", &direct), lease]);
    proxy.connect(&database).run("INSERT INTO users VALUES (1, 'ada@example.org', 'one')");
    let path = [
        Path::new(env!("CARGO_BIN_EXE_pgseal")).parent().unwrap().to_owned(),
        Path::new(&binary("psql")).parent().unwrap().to_owned(),
    ];
    let path = path.iter().map(|folder| format!("{}:", folder.display())).collect::<String>();
    let output = Command::new("timeout")
        .args(["120", "bash", "-euxo", "pipefail", "-c", &ceremony.script])
        .current_dir(proxy.folder())
        .env("PATH", path + &std::env::var("PATH").unwrap())
        .env("PGSEAL_KEYRING", "keyring/keyring.toml")
        .env("PGSEAL_POLICY", "policy.toml")
        .env("PGSEAL_DATABASE", &direct)
        .env("DATABASE_URL", proxy.url(&database))
        .env(lease.0, lease.1)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() {
        return Err(format!(
            "{}\n{text}\nthe proxy's log:\n{}",
            output.status,
            String::from_utf8_lossy(&proxy.log())
        ));
    }
    let rows = proxy.connect(&database).rows("SELECT email, note FROM users WHERE email = 'ada@example.org'");
    let expected = [[Some("ada@example.org".to_owned()), Some("one".to_owned())]];
    if rows != expected { Err(format!("the application reads {rows:?}\n{text}")) } else { Ok(()) }
}
