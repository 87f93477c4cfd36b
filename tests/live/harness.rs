//! The test support itself.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Cluster, Supervised, message};

#[test]
fn a_cluster_answers_by_every_kind_of_query() {
    let cluster = Cluster::shared();
    let mut client = cluster.connect(&cluster.database("harness"));
    assert_eq!(client.value("SELECT 1 + 1").as_deref(), Some("2"));
    let frames = client.extended("SELECT $1::int + 1", &[Some(b"41")]);
    let tags: String = frames.iter().map(|f| char::from(f.tag)).collect();
    assert_eq!(tags, "12TDCZ");
    assert_eq!(frames[3].values(), [Some(b"42".to_vec())]);
    assert_eq!(client.query("SELECT * FROM nothing")[0].sqlstate(), "42P01");
    client.send(&message::terminate());
    assert!(client.try_read().is_none());
}

#[test]
fn a_cluster_is_gone_when_it_is_dropped() {
    let cluster = Cluster::start();
    let (address, folder, pid) = (cluster.address(), cluster.folder().to_owned(), cluster.server().pid());
    drop(cluster);
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!folder.exists(), "{} is left", folder.display());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_supervised_process_does_not_outlive_a_killed_test() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    // A shell stands in for the test process: it holds the supervisor's pipe, and is killed.
    let me = std::env::current_exe().unwrap();
    let mut test = Command::new(me)
        .args(["--ignored", "--exact", "harness::stands_in_for_a_test_that_is_killed"])
        .env("HARNESS_LOG", &log)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = loop {
        let pid = std::fs::read_to_string(&log).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let is_there = || std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(is_there());
    test.kill().unwrap();
    test.wait().unwrap();
    for _ in 0..500 {
        if !is_there() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("process {pid} is left");
}

#[test]
#[ignore = "started and killed by a_supervised_process_does_not_outlive_a_killed_test"]
fn stands_in_for_a_test_that_is_killed() {
    let log = std::path::PathBuf::from(std::env::var("HARNESS_LOG").expect("started by its test"));
    let sleeper = Supervised::start(&["sleep", "600"], &[], None, &log, None, "KILL");
    std::fs::write(&log, format!("{}\n", sleeper.pid())).unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

/// Looks until there is something to be seen, for so many seconds at most.
pub(super) fn until<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
