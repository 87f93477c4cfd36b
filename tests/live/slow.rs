//! What a running proxy says of slow statements, and of its sessions.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::message::*;
use crate::support::{Cluster, Proxy, pgseal};

const POLICY: &str = "version = 1\n[table.\"public.people\"]\nemail = { type = \"text\" }\n";

fn start(environment: &[(&str, &str)]) -> (String, Proxy) {
    let cluster = Cluster::shared();
    let database = cluster.database("slow");
    cluster.connect(&database).run("CREATE TABLE people (id int PRIMARY KEY, email bytea)");
    let proxy = Proxy::start_with(cluster.address(), POLICY, environment);
    proxy.connect(&database).run("INSERT INTO people VALUES (1, 'canary-slow')");
    (database, proxy)
}

fn lines(proxy: &Proxy) -> Vec<Value> {
    let log = String::from_utf8(proxy.log()).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn slow(proxy: &Proxy) -> Vec<Value> {
    lines(proxy).into_iter().filter(|line| line["message"] == "slow statement").collect()
}

#[test]
fn a_slow_statement_is_told_with_where_its_time_went() {
    let (database, proxy) = start(&[("PGSEAL_SLOW_STATEMENT", "200")]);
    let mut client = proxy.connect(&database);
    let text = "SELECT email FROM people, pg_sleep(0.3) WHERE id = 1";
    assert_eq!(client.value(text).as_deref(), Some("canary-slow"));
    // A client that takes its time.
    client.send(&[parse("", text, &[]), bind("", "", &[], &[], &[])].concat());
    std::thread::sleep(Duration::from_millis(300));
    client.send(&[execute("", 0), sync()].concat());
    client.read_until_ready();
    let insert = "INSERT INTO people SELECT 2, NULL FROM pg_sleep(0.3)";
    client.send(&query(insert));
    client.read_until_ready();
    let digest = |text: &str| pgseal(&["audit", "digest", text]).1.trim().to_owned();
    let digests = [digest(text), digest(insert)];
    // On a machine that is busy, others may be slow too.
    let mut told = slow(&proxy);
    told.retain(|line| digests.iter().any(|digest| line["statement"] == **digest));
    let ms = |line: &Value, part: &str| line[part].as_f64().unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    for line in &told {
        let parts = ["client_ms", "analysis_ms", "sealing_ms", "server_ms", "opening_ms"];
        let sum: f64 = parts.iter().map(|part| ms(line, part)).sum();
        assert!(sum <= ms(line, "total_ms") + 1.0, "{line}");
        assert!(line["span"]["id"].is_u64(), "{line}");
    }
    assert!(ms(&told[0], "server_ms") > 250.0, "{}", told[0]);
    assert!(ms(&told[0], "opening_ms") > 0.0 && ms(&told[0], "analysis_ms") > 0.0, "{}", told[0]);
    assert!(ms(&told[1], "client_ms") > 250.0 && ms(&told[1], "server_ms") > 250.0, "{}", told[1]);
    let shape = |line: &Value| (line["statement"].as_str().unwrap().to_owned(), line["tag"].clone());
    assert_eq!(shape(&told[0]), (digests[0].clone(), "SELECT".into()));
    assert_eq!(shape(&told[0]), shape(&told[1]));
    assert_eq!((told[1]["statements"].as_u64(), told[1]["verdict"].as_str()), (Some(1), Some("rewrite")));
    assert_eq!(told[2]["tag"], "INSERT");
}

#[test]
fn what_is_logged_changes_by_signal() {
    let (database, proxy) = start(&[("PGSEAL_LOG", "info")]);
    let begun =
        |proxy: &Proxy| lines(proxy).iter().filter(|line| line["message"] == "a session begins").count();
    let changed = |proxy: &Proxy, times: usize| {
        let begun = Instant::now();
        while lines(proxy).iter().filter(|line| line["message"] == "what is logged has changed").count()
            < times
        {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    proxy.connect(&database);
    assert_eq!(begun(&proxy), 0);
    proxy.process().signal("USR1");
    changed(&proxy, 1);
    proxy.connect(&database).run("SELECT 1");
    assert_eq!(begun(&proxy), 1);
    proxy.process().signal("USR2");
    changed(&proxy, 2);
    proxy.connect(&database).run("SELECT 1");
    assert_eq!(begun(&proxy), 1);
}
