//! Proxies that report in their database, and the commands beside them.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Cluster, Proxy, RawClient};

/// Proxies and commands wait for each other so long.
pub(crate) const LEASE: (&str, &str) = ("PGSEAL_CATALOG_LEASE", "1");

/// Proxies that report in their database, and the commands beside them.
pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) database: String,
    pub(crate) proxies: Vec<Proxy>,
}

#[allow(dead_code, reason = "each test binary uses a part of it")]
impl Site {
    pub(crate) fn start(proxies: usize, policy: &str, schema: &str) -> Self {
        Self::start_in(Cluster::start(), proxies, policy, schema)
    }

    /// The same in a cluster of one's own making.
    pub(crate) fn start_in(cluster: Cluster, proxies: usize, policy: &str, schema: &str) -> Self {
        let database = cluster.database("app");
        cluster.connect(&database).run(schema);
        let url = cluster.url(&database);
        let environment = [("PGSEAL_DATABASE", &*url), LEASE];
        let first = Proxy::start_with(cluster.address(), policy, &environment);
        let mut all = vec![first];
        for _ in 1..proxies {
            let next = all[0].beside(cluster.address(), &environment);
            all.push(next);
        }
        Self { cluster, database, proxies: all }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgseal"));
        command.args(arguments).current_dir(self.proxies[0].folder());
        command.env("PGSEAL_KEYRING", "keyring/keyring.toml").env("PGSEAL_POLICY", "policy.toml");
        command.env("PGSEAL_DATABASE", self.cluster.url(&self.database)).env(LEASE.0, LEASE.1);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command: its exit code and what it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String) {
        shown(&self.command(arguments).output().unwrap())
    }

    /// A command that has to succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let (code, text) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}\n{text}");
        text
    }

    /// Adds a version of the key and lets the proxies seal with it.
    pub(crate) fn promote(&self) {
        self.done(&["keys", "add", "default"]);
        let start = Instant::now();
        loop {
            let (code, text) = self.run(&["keys", "promote", "default"]);
            if code == 0 {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What `pgseal status` counts.
    pub(crate) fn status(&self) -> Value {
        let output = self.command(&["status", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A column of that.
    pub(crate) fn column(&self, name: &str) -> Value {
        let status = self.status();
        status["columns"].as_array().unwrap().iter().find(|c| c["column"] == name).unwrap().clone()
    }

    pub(crate) fn direct(&self) -> RawClient {
        self.cluster.connect(&self.database)
    }

    pub(crate) fn through(&self) -> RawClient {
        self.proxies[0].connect(&self.database)
    }
}

pub(crate) fn shown(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
}

#[allow(dead_code, reason = "each test binary uses a part of it")]
pub(crate) fn wait(child: Child) -> (i32, String) {
    wait_for(child, Duration::from_secs(120))
}

/// The same for so long.
#[allow(dead_code, reason = "each test binary uses a part of it")]
pub(crate) fn wait_for(mut child: Child, longest: Duration) -> (i32, String) {
    let deadline = Instant::now() + longest;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the job does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    shown(&child.wait_with_output().unwrap())
}
