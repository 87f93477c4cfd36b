//! `pgseal keys`: a key's life beside a running proxy and its rows.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: a failed expectation is a failed test"
)]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

#[path = "support/site.rs"]
mod site;
#[path = "support/mod.rs"]
mod support;

use site::{LEASE, Site, shown};
use support::{Cluster, Proxy};

const POLICY: &str = r#"version = 1
[table."public.users"]
email = { type = "text", mode = "deterministic" }
note = { type = "text" }
"#;

const SCHEMA: &str = "CREATE TABLE users (id int PRIMARY KEY, email bytea UNIQUE, note bytea)";

impl Site {
    /// Runs `pgseal keys`: its exit code and what it prints.
    fn keys(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = self.command(&[&["keys"], arguments].concat());
        shown(&command.env_remove("PGSEAL_POLICY").env_remove("PGSEAL_DATABASE").output().unwrap())
    }

    /// The same with policy and database.
    fn change(&self, arguments: &[&str]) -> (i32, String) {
        let url = self.cluster.url(&self.database);
        self.keys(&[arguments, &["--policy", "policy.toml", "--database", &url]].concat())
    }

    /// Repeats a change until it is carried out.
    fn change_in_time(&self, arguments: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let (code, text) = self.change(arguments);
            if code == 0 {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn id_of(&self, version: &str) -> String {
        let (_, list) = self.keys(&["list"]);
        let line = list.lines().find(|line| line.starts_with(&format!("{version} "))).unwrap();
        line.split_once(" id ").unwrap().1[..8].to_owned()
    }
}

#[test]
fn a_key_goes_from_staged_to_destroyed_beside_a_running_proxy() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    client.run("INSERT INTO users VALUES (1, 'ada@example.com', 'one')");
    let (first, list) = (site.id_of("default@1"), site.keys(&["list"]).1);
    assert_eq!(list.lines().count(), 1, "{list}");

    // Staged, and not before every proxy holds it.
    site.proxies[0].process().signal("STOP");
    let (code, text) = site.keys(&["add", "default"]);
    assert_eq!(code, 0, "{text}");
    let second = site.id_of("default@2");
    assert!(site.keys(&["list"]).1.contains("default@2  staged"));
    let (code, text) = site.keys(&["promote", "default@2"]);
    assert!(code == 1 && text.contains("--database"), "{text}");
    let (code, text) = site.change(&["promote", "default@2"]);
    assert!(code == 1 && text.contains("does not hold it yet"), "{text}");
    site.proxies[0].process().signal("CONT");
    let text = site.change_in_time(&["promote", "default"]);
    assert!(text.contains(&format!("promoted default@2 (id {second})")), "{text}");
    let list = site.keys(&["list"]).1;
    assert!(list.contains("default@1  retiring") && list.contains("default@2  active"), "{list}");

    // What is written from then on is under the new key, and the old one still opens. Values that are compared stay
    // under the old one until they are moved.
    let under = |id: &str| format!("SELECT count(*) FROM users WHERE substr(note, 3, 4) = '\\x{id}'");
    let start = Instant::now();
    for number in 2.. {
        client.run(&format!("INSERT INTO users VALUES ({number}, 'n{number}@example.com', 'new')"));
        if site.direct().value(&under(&second)) != Some("0".to_owned()) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the keyring is not read again");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.value("SELECT note FROM users WHERE id = 1").as_deref(), Some("one"));

    // Archived when no row is under it.
    let (code, text) = site.change(&["archive", "default@2"]);
    assert!(code == 1 && text.contains("only a retiring or staged version"), "{text}");
    let (code, text) = site.change(&["destroy", "default@1", "--yes"]);
    assert!(code == 1 && text.contains("only an archived version"), "{text}");
    // The other worker may still seal with it.
    let start = Instant::now();
    loop {
        let (code, text) = site.change(&["archive", "default@1"]);
        assert!(code == 1 && start.elapsed() < Duration::from_secs(20), "{text}");
        if text.contains("users.email: ") {
            break;
        }
        assert!(text.contains("still seals with it"), "{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let old = site.direct().value("SELECT email FROM users WHERE id = 1").unwrap();
    let text = site.done(&["rotate", "default"]);
    assert!(text.contains(" 0 values could not be"), "{text}");
    assert_eq!(client.value("SELECT id FROM users WHERE email = 'ada@example.com'").as_deref(), Some("1"));
    let (code, text) = site.change(&["archive", "default@1", "--dry-run"]);
    assert!(code == 0 && text.starts_with("would have archived default@1"), "{text}");
    let text = site.change_in_time(&["archive", "default@1"]);
    assert!(text.contains(&format!("archived default@1 (id {first})")), "{text}");

    // A late writer gets an error.
    let late = format!("INSERT INTO users VALUES (5000, '{old}', NULL)");
    let late = site.direct().query(&late);
    assert!(late.iter().any(|frame| frame.tag == b'E' && frame.sqlstate() == "23514"), "{late:?}");
    client.run("INSERT INTO users VALUES (5001, 'after@example.com', 'after')");
    // The CHECK is in no statement's way, for a session that reads the catalog anew either.
    site.through().run("INSERT INTO users VALUES (5002, 'anew@example.com', 'anew')");
    let fresh = site.proxies[0].beside(site.cluster.address(), &[LEASE]);
    fresh.connect(&site.database).run("INSERT INTO users VALUES (5003, 'fresh@example.com', 'fresh')");

    // Restored, its values may come again; archived once more, it can be destroyed.
    assert!(site.change(&["restore", "default@1"]).1.contains("restored default@1"));
    site.direct().run(&format!("INSERT INTO users VALUES (5000, '{old}', NULL)"));
    let start = Instant::now();
    while client.query("SELECT email FROM users WHERE id = 5000").iter().any(|frame| frame.tag == b'E') {
        assert!(start.elapsed() < Duration::from_secs(20), "the restored key is not read");
        std::thread::sleep(Duration::from_millis(50));
    }
    client.run("DELETE FROM users WHERE id = 5000");
    site.change_in_time(&["archive", "default@1"]);
    let (code, text) = site.change(&["destroy", "default@1"]);
    assert!(code == 1 && text.contains("--yes"), "{text}");
    assert_eq!(site.change(&["destroy", "default@1", "--yes"]).0, 0);
    let list = site.keys(&["list"]).1;
    assert!(list.contains("default@1  destroyed") && list.contains("kek -"), "{list}");
    assert_eq!(client.value("SELECT note FROM users WHERE id = 5001").as_deref(), Some("after"));
}

#[test]
fn a_proxy_that_is_silent_holds_a_promotion_up_until_it_is_told_to_be_gone() {
    let site = Site::start(1, POLICY, SCHEMA);
    site.keys(&["add", "default"]);
    // One that reported and was killed.
    let start = Instant::now();
    while site.direct().query("SELECT 1 FROM pgseal.proxy").iter().all(|frame| frame.tag != b'D') {
        assert!(start.elapsed() < Duration::from_secs(20), "the proxy does not report");
        std::thread::sleep(Duration::from_millis(50));
    }
    site.direct().run(
        "INSERT INTO pgseal.proxy (id, host, process, version, seen, keys) \
         VALUES ('dead', 'h', 1, '0', now() - interval '1 minute', '{}')",
    );
    let start = Instant::now();
    let text = loop {
        let (code, text) = site.change(&["promote", "default@2"]);
        assert!(code == 1, "{text}");
        if !text.contains("does not hold it yet") {
            break text;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{text}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(
        text.contains("proxy dead (h, process 1) was last heard of") && text.contains("--gone dead"),
        "{text}"
    );
    let (code, text) = site.change(&["promote", "default@2", "--gone", "dead"]);
    assert_eq!(code, 0, "{text}");
    // One that ends takes its report away.
    site.proxies[0].process().signal("TERM");
    let start = Instant::now();
    while site.direct().value("SELECT count(*) FROM pgseal.proxy") != Some("0".to_owned()) {
        assert!(start.elapsed() < Duration::from_secs(20), "the report stays");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, text) = site.change(&["archive", "default@1"]);
    assert!(code == 1 && text.contains("--no-proxies"), "{text}");
    // There is no row, but a proxy would go on sealing with it for the deterministic column.
    let (code, text) = site.change(&["archive", "default@1", "--no-proxies"]);
    assert!(code == 1 && text.contains("run \"pgseal rotate\" to its end first"), "{text}");
    site.done(&["rotate", "default"]);
    assert_eq!(site.change(&["archive", "default@1", "--no-proxies"]).0, 0);
}

#[test]
fn a_keyring_that_is_wrong_is_not_taken_and_the_one_before_goes_on() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    client.run("INSERT INTO users VALUES (1, 'ada@example.com', 'one')");
    let path = site.proxies[0].folder().join("keyring/keyring.toml");
    let whole = fs::read_to_string(&path).unwrap();
    let told = |what: &str| {
        let start = Instant::now();
        while !String::from_utf8_lossy(&site.proxies[0].log()).contains(what) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what} is not logged");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    told("keyring and certificates were not read again");
    client.run("INSERT INTO users VALUES (2, 'eve@example.com', 'two')");
    assert_eq!(client.value("SELECT note FROM users WHERE id = 1").as_deref(), Some("one"));
    fs::write(&path, &whole).unwrap();
    told("keyring and certificates were read again");
    assert_eq!(client.value("SELECT note FROM users WHERE id = 2").as_deref(), Some("two"));
}

#[test]
fn keys_are_wrapped_anew_exported_and_imported() {
    let site = Site::start(1, POLICY, SCHEMA);
    let mut client = site.through();
    client.run("INSERT INTO users VALUES (1, 'ada@example.com', 'one')");
    site.keys(&["add", "health"]);
    let (code, text) = site.keys(&["rewrap", "--kek", "file:keyring/new-kek"]);
    assert!(code == 0 && text.contains("wrapped 2 keys by file:new-kek"), "{text}");
    assert!(site.keys(&["list"]).1.contains("kek file:kek,file:new-kek"));
    let (code, text) = site.keys(&["rewrap", "--finish"]);
    assert!(code == 0 && text.contains("dropped 2 wraps"), "{text}");
    fs::remove_file(site.proxies[0].folder().join("keyring/kek")).unwrap();
    site.proxies[0].process().signal("HUP");
    assert_eq!(client.value("SELECT note FROM users WHERE id = 1").as_deref(), Some("one"));

    let (code, text) = site.keys(&["export", "copy.toml"]);
    assert!(code == 0 && text.contains("exported 2 keys"), "{text}");
    assert_eq!(site.keys(&["export", "copy.toml"]).0, 4, "nothing is overwritten");
    site.keys(&["add", "default"]);
    let (code, text) = site.keys(&["import", "copy.toml"]);
    assert!(code == 0 && text.contains("is here already"), "{text}");
    let (_, before) = site.keys(&["list"]);

    // Another keyring takes in what it does not have, under the next number.
    let other = site.proxies[0].folder().join("other");
    let keyring = other.join("keyring.toml").display().to_string();
    let kek = format!("file:{}", other.join("kek").display());
    let init = Command::new(env!("CARGO_BIN_EXE_pgseal"))
        .args(["init", "--keyring", &keyring, "--kek", &kek])
        .output()
        .unwrap();
    assert!(init.status.success());
    let (code, text) = site.keys(&["import", "copy.toml", "--keyring", &keyring]);
    assert!(code == 0 && text.contains("imported default@2") && text.contains("retiring"), "{text}");
    assert!(text.contains("imported health@1") && text.contains("staged"), "{text}");
    let (_, list) = site.keys(&["list", "--keyring", &keyring]);
    let id = site.id_of("default@1");
    assert!(list.contains(&format!("default@2  retiring  id {id}")), "{list}");
    assert_eq!(site.keys(&["list"]).1, before);
}

#[test]
fn a_login_that_may_make_no_schema_reports_in_the_one_that_is_there() {
    let cluster = Cluster::start();
    let database = cluster.database("app");
    let mut direct = cluster.connect(&database);
    direct.run("CREATE ROLE reporter LOGIN; CREATE SCHEMA pgseal AUTHORIZATION reporter");
    let url = cluster.url(&database).replace("postgres@", "reporter@");
    let _proxy = Proxy::start_with(cluster.address(), POLICY, &[("PGSEAL_DATABASE", &url)]);
    let start = Instant::now();
    while direct.query("SELECT 1 FROM pgseal.proxy").iter().all(|frame| frame.tag != b'D') {
        assert!(start.elapsed() < Duration::from_secs(20), "the proxy does not report");
        std::thread::sleep(Duration::from_millis(50));
    }
}
