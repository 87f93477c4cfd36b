//! The admin address of a running proxy: what it tells, whom, and what it never does.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Cluster, Proxy, pgseal};

const POLICY: &str = r#"version = 1
[table."public.people"]
email = { type = "text", mode = "deterministic" }
note = { type = "text" }
"#;

/// A value that the admin address must not show.
const CANARY: &str = "canary-7f3a91";

struct Site {
    cluster: Cluster,
    database: String,
    proxy: Proxy,
    admin: SocketAddr,
}

/// An answer: status, header fields in lower case, body.
struct Answer {
    status: u16,
    fields: BTreeMap<String, String>,
    body: String,
}

pub(super) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let fields = lines.map(|line| line.split_once(": ").unwrap());
    let fields = fields.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, fields, body: body.to_owned() }
}

pub(super) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    (answer.status, answer.body)
}

/// The status page's data.
pub(super) fn status(address: SocketAddr) -> serde_json::Value {
    serde_json::from_str(&get(address, "/status.json").1).unwrap()
}

impl Site {
    fn start() -> Self {
        let cluster = Cluster::start();
        let database = cluster.database("app");
        cluster.connect(&database).run("CREATE TABLE people (id int PRIMARY KEY, email bytea, note bytea)");
        let admin = free_address();
        let (address, url) = (admin.to_string(), cluster.url(&database));
        let proxy = Proxy::start_with(
            cluster.address(),
            POLICY,
            &[("PGSEAL_ADMIN", &address), ("PGSEAL_DATABASE", &url)],
        );
        Self { cluster, database, proxy, admin }
    }

    /// Some work of every kind.
    fn work(&self) {
        let mut client = self.proxy.connect(&self.database);
        client.run(&format!("INSERT INTO people VALUES (1, '{CANARY}@example.com', '{CANARY}')"));
        client.extended("INSERT INTO people VALUES (2, $1, $2)", &[Some(b"b@example.com"), Some(b"x")]);
        for _ in 0..3 {
            assert_eq!(client.value("SELECT note FROM people WHERE id = 1").as_deref(), Some(CANARY));
            client.query(&format!("SELECT id FROM people WHERE note = '{CANARY}'"));
        }
        client.query(&format!("SELECT upper(email) FROM people WHERE email LIKE '{CANARY}%'"));
        client.run("SELECT 1");
    }
}

/// Samples by name and labels as they stand there; the text is checked on the way.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut types = BTreeMap::new();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else if !line.starts_with("# HELP ") {
            let (place, value) = line.rsplit_once(' ').unwrap();
            let name = place.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let kind = types.get(name).or_else(|| types.get(family?)).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(name.starts_with("pgseal_"), "{name}");
            assert!(found.insert(place.to_owned(), value.parse().unwrap()).is_none(), "{place} twice");
        }
    }
    found
}

#[test]
fn metrics_count_what_was_done() {
    let site = Site::start();
    site.work();
    let answer = ask(site.admin, &format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", site.admin));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.fields["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(!answer.body.contains(CANARY), "{}", answer.body);
    let samples = samples(&answer.body);
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name} in {samples:#?}"));
    let sum = |start: &str| samples.iter().filter(|(n, _)| n.starts_with(start)).map(|(_, v)| v).sum::<f64>();
    // One of them looked whether the port is open.
    assert_eq!(value("pgseal_sessions_total"), 2.0);
    assert_eq!(value("pgseal_statements_total{verdict=\"refuse\"}"), 4.0);
    assert_eq!(value("pgseal_refusals_total{reason=\"not_comparable\"}"), 3.0);
    assert_eq!(sum("pgseal_values_sealed_total{context=\"public.people.email\""), 2.0);
    assert_eq!(sum("pgseal_values_opened_total{context=\"public.people.note\""), 3.0);
    assert!(value("pgseal_bytes_total{direction=\"client_to_server\"}") > 300.0);
    assert!(value("pgseal_messages_total{direction=\"server_to_client\"}") > 30.0);
    assert!(value("pgseal_batch_seconds_count") > 8.0);
    assert_eq!(value("pgseal_batch_seconds_bucket{le=\"+Inf\"}"), value("pgseal_batch_seconds_count"));
    assert!(value("pgseal_batch_seconds_sum") > 0.0);
    let age = format!("pgseal_catalog_age_seconds{{database=\"{}\"}}", site.database);
    assert!(value(&age) < 60.0);
    assert_eq!(value("pgseal_keyring_loads_total{outcome=\"taken\"}"), 1.0);
    assert_eq!(value("pgseal_ready"), 1.0);
    assert_eq!(value("pgseal_policy_columns{mode=\"deterministic\"}"), 1.0);
    assert_eq!(sum("pgseal_keys{name=\"default\",version=\"1\""), 1.0);
    // Sessions that are over count no more as open.
    let start = Instant::now();
    while get(site.admin, "/metrics").1.lines().all(|line| line != "pgseal_sessions_open 0") {
        assert!(start.elapsed() < Duration::from_secs(10), "a session stays open");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_status_tells_of_columns_keys_refusals_jobs_and_proxies() {
    let site = Site::start();
    site.work();
    let direct = || site.cluster.connect(&site.database);
    direct().run(
        "CREATE TABLE pgseal.job (work text NOT NULL, relation text NOT NULL, columns text[] NOT NULL, \
         target text NOT NULL, pass int NOT NULL DEFAULT 1, reached text[], done bigint NOT NULL DEFAULT 0, \
         total bigint NOT NULL, began timestamptz NOT NULL DEFAULT now(), moved timestamptz NOT NULL DEFAULT now(), \
         PRIMARY KEY (work, relation, columns))",
    );
    direct()
        .run("INSERT INTO pgseal.job VALUES ('rotate', 'public.people', '{note}', 'x', 1, NULL, 25, 100)");
    let start = Instant::now();
    let status = loop {
        let status = status(site.admin);
        if status["fleet"]["jobs"][0]["done"] == 25
            && status["history"]["samples"].as_array().unwrap().len() > 1
        {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{status:#}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(!status.to_string().contains(CANARY), "{status:#}");
    assert_eq!((&status["ready"], &status["stage"]), (&true.into(), &"serving".into()));
    assert_eq!(status["columns"][0]["column"], "email");
    assert_eq!(status["columns"][1]["values"][0]["opened"], 3);
    assert_eq!(status["keys"][0]["state"], "active");
    assert_eq!(status["fleet"]["proxies"][0]["this"], true);
    assert_eq!(status["fleet"]["proxies"][0]["policy"], status["policy"]["digest"]);
    let refusal = &status["refusals"][0];
    assert_eq!((&refusal["reason"], &refusal["count"]), (&"not comparable".into(), &3.into()), "{refusal}");
    assert_eq!(refusal["column"], "public.people.note");
    assert!(refusal["hint"].as_str().unwrap().contains("deterministic"), "{refusal}");
    // What the command says of it.
    let folder = site.proxy.folder();
    let output = Command::new(env!("CARGO_BIN_EXE_pgseal"))
        .args(["status", "--policy", "policy.toml", "--keyring", "keyring/keyring.toml"])
        .args(["--database", &site.cluster.url(&site.database)])
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(text.contains(&format!("policy {}", status["policy"]["digest"].as_str().unwrap())), "{text}");
}

#[test]
fn readiness_follows_the_server_and_the_end() {
    let site = Site::start();
    assert_eq!(get(site.admin, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(site.admin, "/readyz"), (200, "ready\n".to_owned()));
    let admin = site.admin.to_string();
    let health = |more: &[&str]| pgseal(&[&["health", "--admin", &admin], more].concat());
    assert_eq!(health(&[]), (true, "ok\n".to_owned()));
    assert_eq!(health(&["--ready"]), (true, "ready\n".to_owned()));
    let mut client = site.proxy.connect(&site.database);
    client.run("BEGIN");
    site.proxy.process().signal("TERM");
    let start = Instant::now();
    loop {
        let (code, text) = get(site.admin, "/readyz");
        if code == 503 {
            assert_eq!(text, "the proxy is stopping\n");
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(get(site.admin, "/healthz").0, 200);
    client.run("COMMIT");
}

#[test]
fn a_proxy_whose_server_is_away_is_not_ready() {
    let admin = free_address();
    // Where no test listens.
    let nobody = "127.0.0.1:1".parse().unwrap();
    let proxy = Proxy::start_with(nobody, POLICY, &[("PGSEAL_ADMIN", &admin.to_string())]);
    let (is_ready, why) = pgseal(&["health", "--ready", "--admin", &admin.to_string()]);
    assert!(!is_ready && why.starts_with("the server cannot be reached: "), "{why}");
    let (code, text) = get(admin, "/readyz");
    assert!(code == 503 && text.starts_with("the server cannot be reached: "), "{text}");
    assert_eq!(get(admin, "/healthz").0, 200);
    assert!(get(admin, "/metrics").1.contains("\npgseal_ready 0\n"));
    drop(proxy);
}

#[test]
fn requests_that_are_none_of_its_business_are_turned_away() {
    let admin = free_address();
    let proxy =
        Proxy::start_with(Cluster::shared().address(), POLICY, &[("PGSEAL_ADMIN", &admin.to_string())]);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\n\r\n", 421),
        ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("nonsense\r\n\r\n", 400),
    ] {
        assert_eq!(ask(admin, request).status, status, "{request}");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(9000));
    assert_eq!(ask(admin, &long).status, 431);
    let page = ask(admin, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(page.status, 200);
    for (field, part) in [
        ("content-security-policy", "default-src 'none'; style-src 'sha256-"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert!(page.fields[field].starts_with(part), "{field}: {}", page.fields[field]);
    }
    assert!(!page.fields["content-security-policy"].contains("unsafe"));
    let head = ask(admin, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.body.as_str(), &head.fields["content-length"]), ("", &page.fields["content-length"]));
    // Those that say nothing hold up nobody.
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(admin).unwrap()).collect();
    assert_eq!(get(admin, "/healthz").0, 200);
    drop((silent, proxy));
}

#[test]
fn an_address_that_others_can_reach_needs_a_word() {
    let (folder, cluster) = (tempfile::tempdir().unwrap(), Cluster::shared());
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("policy.toml"), POLICY).unwrap();
    let kek = format!("file:{}", path("keys/kek"));
    assert!(crate::support::pgseal(&["init", "--keyring", &path("keys/keyring.toml"), "--kek", &kek]).0);
    let output = Command::new(env!("CARGO_BIN_EXE_pgseal"))
        .args(["serve", "--listen", "127.0.0.1:0", "--upstream", &cluster.address().to_string()])
        .args(["--policy", &path("policy.toml"), "--keyring", &path("keys/keyring.toml")])
        .args(["--admin", "0.0.0.0:0"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--admin-exposed"), "{text}");
}
