//! The status page in a browser: Chromium without a screen, whose document is read when the page has asked its proxy.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::admin::{free_address, status};
use crate::operate::Busy;
use crate::support::{Cluster, Proxy};

const POLICY: &str = "version = 1\n[table.\"public.people\"]\nnote = { type = \"text\" }\n";

/// Where Debian and others have it.
const PROGRAMS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// The document that a browser has made of the page.
fn document(address: &str) -> String {
    browse(address, &["--dump-dom".to_owned()])
}

/// What a browser prints when it has looked at the page.
fn browse(address: &str, arguments: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let profile = format!("--user-data-dir={}", folder.path().display());
    let output = PROGRAMS.iter().find_map(|program| {
        Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"])
            .args(arguments)
            .args([&profile, &format!("http://{address}/")])
            .output()
            .ok()
    });
    let output = output.expect("Chromium is missing: scripts/setup.sh chromium installs it");
    String::from_utf8(output.stdout).unwrap()
}

/// Pictures for a person to look at, in the folder that `PGSEAL_SCREENSHOTS` names, if it does.
fn pictures(address: &str) {
    let Some(folder) = std::env::var_os("PGSEAL_SCREENSHOTS").map(PathBuf::from) else { return };
    for (name, size, scheme) in [
        ("light", "1200,1900", 1),
        ("dark", "1200,1900", 0),
        ("phone", "390,3600", 1),
        ("phone-dark", "390,3600", 0),
    ] {
        let picture = folder.join(name).with_extension("png");
        browse(
            address,
            &[
                format!("--screenshot={}", picture.display()),
                format!("--window-size={size}"),
                format!("--blink-settings=preferredColorScheme={scheme}"),
                "--hide-scrollbars".to_owned(),
            ],
        );
        assert!(picture.exists(), "{}", picture.display());
    }
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

#[test]
fn the_page_shows_a_rotation_under_load() {
    let busy = Busy::start();
    assert!(busy.command(&["status"]).output().unwrap().status.success());
    busy.promote();
    let rotation = ["rotate", "default", "--rows-per-second", "40", "--batch", "1"];
    let mut rotation = busy.command(&rotation).spawn().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = busy.proxy.connect(&busy.database);
            while !done.load(Ordering::Relaxed) {
                client.query("SELECT note FROM people WHERE email = '7@x'");
                client.query("SELECT id FROM people WHERE note = 'canary'");
            }
        });
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let start = Instant::now();
            while status(busy.admin)["fleet"]["jobs"][0]["done"].as_u64().is_none_or(|done| done < 100) {
                assert!(start.elapsed() < Duration::from_secs(60), "{}", status(busy.admin));
                std::thread::sleep(Duration::from_millis(100));
            }
            let page = document(&busy.admin.to_string());
            let body = page.split("<script>").next().unwrap();
            for shown in [
                "value by value: <code>public.people.email</code>",
                "is under way",
                "<progress",
                "<code>default@1</code> 2,000",
                "<code>default@2</code>",
                "Key-encryption key <code>file</code>",
            ] {
                assert!(body.contains(shown), "{shown} in {body}");
            }
            assert!(!body.contains("canary") && !body.contains("7@x"), "{body}");
            pictures(&busy.admin.to_string());
        }));
        done.store(true, Ordering::Relaxed);
        looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    rotation.kill().unwrap();
    rotation.wait().unwrap();
}
