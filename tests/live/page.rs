//! The status page in a browser: Chromium without a screen, whose document is read when the page has asked its proxy.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::admin::free_address;
use crate::support::{Cluster, Proxy};

const POLICY: &str = "version = 1\n[table.\"public.people\"]\nnote = { type = \"text\" }\n";

/// Where Debian and others have it.
const PROGRAMS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// The document that a browser has made of the page.
fn document(address: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let profile = format!("--user-data-dir={}", folder.path().display());
    let output = PROGRAMS.iter().find_map(|program| {
        Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"])
            .args([&profile, &format!("http://{address}/")])
            .output()
            .ok()
    });
    let output = output.expect("Chromium is missing: scripts/setup.sh chromium installs it");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_shows_the_proxy_to_everybody() {
    let (cluster, admin) = (Cluster::shared(), free_address().to_string());
    let database = cluster.database("page");
    cluster.connect(&database).run("CREATE TABLE people (id int, note bytea)");
    let proxy = Proxy::start_with(cluster.address(), POLICY, &[("PGSEAL_ADMIN", &admin)]);
    let mut client = proxy.connect(&database);
    client.run("INSERT INTO people VALUES (1, 'canary')");
    client.query("SELECT id FROM people WHERE note = '<b>canary</b>'");
    // The plots begin with the second sample.
    std::thread::sleep(Duration::from_millis(4500));
    let start = Instant::now();
    let page = loop {
        let page = document(&admin);
        if page.contains(">ready</span>") {
            break page;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{page}");
    };
    let body = page.split("<script>").next().unwrap();
    assert!(!body.contains("canary"), "{body}");
    for shown in [
        "<code>public.people.note</code>",
        "<td data-label=\"Reason\">not comparable</td>",
        "<td data-label=\"Mode\">randomized</td>",
        "<code>default@1</code>",
        "<polyline points=",
    ] {
        assert!(body.contains(shown), "{shown} in {body}");
    }
    // What a screen reader needs.
    assert!(page.contains("<html lang=\"en\">") && page.contains("<title>pgseal status</title>"));
    for (element, label) in [
        ("<table", "aria-labelledby="),
        ("<svg", "aria-label="),
        ("<section", "aria-labelledby="),
        ("<th", "scope="),
    ] {
        for found in body.split(element).skip(1).filter(|rest| !rest.starts_with("ead")) {
            let tag = found.split('>').next().unwrap();
            assert!(tag.contains(label), "{element}{tag}> has no {label}");
        }
    }
    for landmark in ["<header>", "<main>", "<footer"] {
        assert_eq!(body.matches(landmark).count(), 1, "{landmark}");
    }
}
