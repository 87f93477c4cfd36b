//! Policy, keyring and certificates read again while sessions go on.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::admin::{free_address, get, status};
use crate::harness::until;
use crate::support::{Cluster, Proxy, RawClient, message};

const EMAIL: &str =
    "version = 1\n[table.\"public.people\"]\nemail = { type = \"text\", mode = \"deterministic\" }\n";

/// A proxy with its admin address, in front of a database of its own.
struct Site {
    cluster: Cluster,
    database: String,
    proxy: Proxy,
    admin: std::net::SocketAddr,
}

fn with_note() -> String {
    format!("{EMAIL}note = {{ type = \"text\" }}\n")
}

impl Site {
    fn start(policy: &str) -> Self {
        let cluster = Cluster::start();
        let database = cluster.database("app");
        cluster
            .connect(&database)
            .run("CREATE TABLE people (id serial PRIMARY KEY, email bytea, note text); CREATE TABLE plain (v text)");
        let admin = free_address();
        let (address, url) = (admin.to_string(), cluster.url(&database));
        let proxy = Proxy::start_with(
            cluster.address(),
            policy,
            &[("PGSEAL_ADMIN", &address), ("PGSEAL_DATABASE", &url)],
        );
        Self { cluster, database, proxy, admin }
    }

    fn through(&self) -> RawClient {
        self.proxy.connect(&self.database)
    }

    fn direct(&self) -> RawClient {
        self.cluster.connect(&self.database)
    }

    /// Puts a policy in place as Kubernetes does: a link to a link, of which one is switched.
    fn switch(&self, text: &str, generation: u32) {
        let folder = self.proxy.folder();
        let (here, next, data) =
            (folder.join(format!("gen{generation}")), folder.join("..next"), folder.join("..data"));
        fs::create_dir(&here).unwrap();
        fs::write(here.join("policy.toml"), text).unwrap();
        symlink(&here, &next).unwrap();
        fs::rename(&next, &data).unwrap();
        let file = folder.join("policy.toml");
        if !file.is_symlink() {
            fs::remove_file(&file).unwrap();
            symlink("..data/policy.toml", &file).unwrap();
        }
    }

    fn digest(&self) -> String {
        status(self.admin)["policy"]["digest"].as_str().unwrap().to_owned()
    }

    /// The digest that the proxy reports to others.
    fn reported(&self) -> String {
        self.direct().value("SELECT policy FROM pgseal.proxy").unwrap_or_default()
    }

    fn reloads(&self, outcome: &str) -> u64 {
        let (text, start) =
            (get(self.admin, "/metrics").1, format!("pgseal_reloads_total{{outcome=\"{outcome}\"}} "));
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap()
    }
}

#[test]
fn sessions_go_on_under_a_new_policy_between_transactions() {
    let site = Site::start(EMAIL);
    let (mut idle, mut open, mut prepared) = (site.through(), site.through(), site.through());
    idle.run("INSERT INTO people(email, note) VALUES ('a', 'before')");
    prepared.send(
        &[message::parse("put", "INSERT INTO people(note) VALUES ($1)", &[]), message::frame(b'S', b"")]
            .concat(),
    );
    prepared.read_until_ready();
    open.run("BEGIN");
    open.run("INSERT INTO people(email, note) VALUES ('b', 'begun before')");
    let before = site.digest();
    until(30, "the first report", || (site.reported() == before).then_some(()));
    site.switch(&with_note(), 1);
    let after =
        until(30, "the policy is read again", || Some(site.digest()).filter(|digest| *digest != before));
    // To others it is the policy of the transaction that is still open.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(site.reported(), before);
    open.run("INSERT INTO people(email, note) VALUES ('c', 'within')");
    idle.run("INSERT INTO people(email, note) VALUES ('d', 'canary-1')");
    // A statement that was prepared before says what the server says of a changed plan, and sends nothing.
    prepared.send(
        &[
            message::bind("", "put", &[], &[Some(b"canary-2")], &[]),
            message::execute("", 0),
            message::frame(b'S', b""),
        ]
        .concat(),
    );
    let frames = prepared.read_until_ready();
    assert_eq!(frames[0].sqlstate(), "0A000");
    open.run("COMMIT");
    until(30, "all sessions are under the new policy", || (site.reported() == after).then_some(()));
    open.run("INSERT INTO people(email, note) VALUES ('e', 'canary-3')");
    let clear = "SELECT string_agg(note, ',' ORDER BY id) FROM people WHERE note NOT LIKE 'pgs1.%'";
    assert_eq!(site.direct().value(clear).as_deref(), Some("before,begun before,within"));
    assert_eq!(idle.value("SELECT note FROM people WHERE email = 'e'").as_deref(), Some("canary-3"));
    let seen = "SELECT count(*) FROM people WHERE note LIKE '%canary%'";
    assert_eq!(site.direct().value(seen).as_deref(), Some("0"));
    let log = String::from_utf8(site.proxy.log()).unwrap();
    assert!(
        log.contains("policy, keyring and certificates were read again") && log.contains(&after),
        "{log}"
    );
    assert!(site.reloads("ok") >= 1);
}

#[test]
fn all_is_read_again_or_nothing() {
    let site = Site::start(EMAIL);
    let before = site.digest();
    let mut client = site.through();
    // A key that the keyring does not have, and a file that is none.
    let other_key = with_note().replace("note = { type", "note = { key = \"other\", type");
    for (generation, (text, told)) in
        [(other_key.as_str(), "no active version"), ("nonsense", "policy.toml")].into_iter().enumerate()
    {
        site.switch(text, u32::try_from(generation).unwrap());
        let failed = until(30, "the failure is shown", || {
            let failed = status(site.admin)["policy"]["failed"]["error"].as_str()?.to_owned();
            failed.contains(told).then_some(failed)
        });
        assert!(!failed.is_empty());
        assert_eq!(site.digest(), before);
        client.run("INSERT INTO people(email) VALUES ('still sealed')");
    }
    assert!(site.reloads("failed") >= 2);
    // Protection is taken away by nobody but who asks for it.
    site.switch(&with_note(), 10);
    let both = until(30, "it is read again", || Some(site.digest()).filter(|digest| *digest != before));
    assert!(status(site.admin)["policy"]["failed"].is_null());
    site.switch(EMAIL, 11);
    until(30, "the failure is shown", || {
        status(site.admin)["policy"]["failed"]["error"].as_str()?.contains("no longer protects").then_some(())
    });
    assert_eq!(site.digest(), both);
    site.proxy.process().signal("HUP");
    until(30, "it is read again", || (site.digest() == before).then_some(()));
    // A policy that protects nothing does not come that way either.
    site.switch("version = 1\n", 12);
    site.proxy.process().signal("HUP");
    until(30, "the failure is shown", || {
        status(site.admin)["policy"]["failed"]["error"].as_str()?.contains("restart").then_some(())
    });
    assert_eq!(site.digest(), before);
    assert_eq!(client.value("SELECT count(*) FROM people").as_deref(), Some("2"));
}

#[test]
fn nothing_is_lost_while_policies_come_and_go() {
    let site = Site::start(&with_note());
    let done = AtomicBool::new(false);
    let first = with_note();
    let other = format!("{}[table.\"public.plain\"]\nv = {{ type = \"text\" }}\n", with_note());
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let work = |worker: u64| {
            let (site, done) = (&site, &done);
            move || {
                let (mut client, mut rows) = (site.through(), 0);
                while !done.load(Ordering::Relaxed) {
                    let email = format!("{worker}-{rows}@example.com");
                    if rows % 3 == 0 {
                        client.run("BEGIN");
                    }
                    client.run(&format!(
                        "INSERT INTO people(email, note) VALUES ('{email}', 'canary-{email}')"
                    ));
                    let note = client.value(&format!("SELECT note FROM people WHERE email = '{email}'"));
                    assert_eq!(note, Some(format!("canary-{email}")));
                    if rows % 3 == 2 {
                        client.run("COMMIT");
                    }
                    rows += 1;
                }
                client.query("COMMIT");
                rows
            }
        };
        let workers: Vec<_> = (0..4).map(|worker| scope.spawn(work(worker))).collect();
        for generation in 0..4 {
            let before = site.digest();
            site.switch(if generation % 2 == 0 { &other } else { &first }, generation);
            site.proxy.process().signal("HUP");
            until(30, "it is read again", || (site.digest() != before).then_some(()));
            std::thread::sleep(Duration::from_millis(300));
        }
        done.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let total: u64 = counts.iter().sum();
    assert_eq!(site.through().value("SELECT count(*) FROM people"), Some(total.to_string()));
    let clear =
        "SELECT count(*) FROM people WHERE note LIKE '%canary%' OR position('example'::bytea in email) > 0";
    assert_eq!(site.direct().value(clear).as_deref(), Some("0"));
}

#[test]
fn nothing_is_encrypted_while_a_proxy_runs_another_policy() {
    let site = Site::start(EMAIL);
    site.through().run("INSERT INTO people(email, note) VALUES ('a', 'plain')");
    let policy = format!("{EMAIL}note = {{ type = \"text\", state = \"migrating\" }}\n");
    let folder = site.proxy.folder();
    fs::write(folder.join("next.toml"), &policy).unwrap();
    let encrypt = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_pgseal"))
            .args(["encrypt", "people.note", "--policy", "next.toml", "--keyring", "keyring/keyring.toml"])
            .args(["--database", &site.cluster.url(&site.database)])
            .current_dir(folder)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    until(30, "the first report", || (site.reported() == site.digest()).then_some(()));
    let (code, text) = encrypt();
    assert!(code == 1 && text.contains("run another policy"), "{text}");
    assert_eq!(site.direct().value("SELECT note FROM people").as_deref(), Some("plain"));
    fs::write(folder.join("policy.toml"), &policy).unwrap();
    until(30, "it is encrypted", || {
        let (code, text) = encrypt();
        assert!(code == 0 || text.contains("run another policy"), "{text}");
        (code == 0).then_some(())
    });
    assert_eq!(site.direct().value("SELECT left(note, 5) FROM people").as_deref(), Some("pgs1."));
    assert_eq!(site.through().value("SELECT note FROM people").as_deref(), Some("plain"));
}
