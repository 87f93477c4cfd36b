//! The built proxy in front of a cluster, with a fresh keyring.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::client::RawClient;
use super::cluster::{free_port, tail, temporary_folder, wait_for};
use super::supervised::Supervised;

/// The program under test.
const PGSEAL: &str = env!("CARGO_BIN_EXE_pgseal");

/// A running `pgseal serve`; stopped and its folder removed when dropped.
pub struct Proxy {
    folder: PathBuf,
    port: u16,
    process: Supervised,
}

impl Proxy {
    /// Serves `upstream` under a policy text.
    pub fn start(upstream: SocketAddr, policy: &str) -> Self {
        Self::start_with(upstream, policy, &[])
    }

    /// The same with environment variables (`PGSEAL_...`).
    pub fn start_with(upstream: SocketAddr, policy: &str, environment: &[(&str, &str)]) -> Self {
        // A port was free a moment ago; if somebody took it since, try another.
        (0..3).find_map(|_| Self::try_start(upstream, policy, environment)).expect("a free port")
    }

    fn try_start(upstream: SocketAddr, policy: &str, environment: &[(&str, &str)]) -> Option<Self> {
        let (folder, port) = (temporary_folder(None), free_port());
        let path = |name: &str| folder.join(name).display().to_string();
        let keyring = path("keyring/keyring.toml");
        fs::create_dir(folder.join("keyring")).expect("a folder for the keyring");
        fs::write(folder.join("policy.toml"), policy).expect("the policy is written");
        let kek = format!("file:{}", path("keyring/kek"));
        let init = pgseal(&["init", "--keyring", &keyring, "--kek", &kek]);
        assert!(init.0, "pgseal init failed:\n{}", init.1);
        let policy = path("policy.toml");
        Self::serve(folder, port, upstream, &policy, &keyring, environment)
    }

    /// Another proxy with the same policy and keyring.
    pub fn beside(&self, upstream: SocketAddr, environment: &[(&str, &str)]) -> Self {
        self.beside_under("policy.toml", upstream, environment)
    }

    /// The same under another policy file of this one's folder.
    pub fn beside_under(&self, policy: &str, upstream: SocketAddr, environment: &[(&str, &str)]) -> Self {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let (policy, keyring) = (path(policy), path("keyring/keyring.toml"));
        let start =
            || Self::serve(temporary_folder(None), free_port(), upstream, &policy, &keyring, environment);
        (0..3).find_map(|_| start()).expect("a free port")
    }

    fn serve(
        folder: PathBuf,
        port: u16,
        upstream: SocketAddr,
        policy: &str,
        keyring: &str,
        environment: &[(&str, &str)],
    ) -> Option<Self> {
        let log = folder.join("log");
        let mut listen = format!("127.0.0.1:{port}");
        if let Some((_, also)) = environment.iter().find(|(name, _)| *name == "PGSEAL_LISTEN") {
            listen = format!("{listen},{also}");
        }
        let upstream = upstream.to_string();
        let command = [PGSEAL, "serve", "--listen", &listen, "--policy", policy, "--keyring", keyring];
        // The key-encryption key is named in the keyring.
        // What a test says of the server's address comes last and wins.
        // All is logged that there is, and looked through when the proxy goes.
        let environment =
            [&[("PGSEAL_UPSTREAM", upstream.as_str()), ("PGSEAL_LOG", "trace")], environment].concat();
        let process = Supervised::start(&command, &environment, None, &log, Some(&folder), "KILL");
        if !wait_for((Ipv4Addr::LOCALHOST, port).into(), || process.is_alive()) {
            let text = tail(&log);
            assert!(text.contains("in use"), "pgseal serve does not start:\n{text}");
            return None;
        }
        Some(Self { folder, port, process })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its process.
    pub fn process(&self) -> &Supervised {
        &self.process
    }

    /// The folder of its policy (`policy.toml`), keyring (`keyring/keyring.toml`) and log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A raw client through the proxy, as superuser.
    pub fn connect(&self, database: &str) -> RawClient {
        RawClient::connect(self.address(), "postgres", database)
    }

    /// A connection string for drivers and tools.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// All that it has logged.
    pub fn log(&self) -> Vec<u8> {
        fs::read(self.folder.join("log")).expect("the log is readable")
    }
}

/// What no log holds: values that tests call so, others that they protect, and SQL.
const NEVER_LOGGED: [&str; 6] = ["canary", "1739562841", "1907-03-29", "SELECT ", "INSERT INTO ", "VALUES ("];

impl Drop for Proxy {
    fn drop(&mut self) {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let told = log.lines().find(|line| NEVER_LOGGED.iter().any(|never| line.contains(never)));
        assert!(std::thread::panicking() || told.is_none(), "the log holds what it never should: {told:?}");
    }
}

/// Runs the program to its end: whether it succeeded, and what it printed.
pub fn pgseal(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(PGSEAL).args(arguments).output().expect("pgseal runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}
