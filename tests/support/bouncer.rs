//! The distribution's PgBouncer in front of a server or a proxy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use super::cluster::{free_port, tail, temporary_folder, unprivileged, wait_for};
use super::supervised::Supervised;

/// A running PgBouncer; stopped and its folder removed when dropped.
pub struct Bouncer {
    folder: PathBuf,
    port: u16,
    process: Supervised,
}

impl Bouncer {
    /// Pools connections to `server`: `session` or `transaction`. What docs/pgbouncer.md has comes first; `more` are
    /// further lines of its section `[pgbouncer]`.
    pub fn start(server: SocketAddr, pooling: &str, more: &str) -> Self {
        // A port was free a moment ago; if somebody took it since, try another.
        (0..3).find_map(|_| Self::try_start(server, pooling, more)).expect("PgBouncer starts")
    }

    fn try_start(server: SocketAddr, pooling: &str, more: &str) -> Option<Self> {
        // It refuses to run as root, as PostgreSQL does.
        let user = unprivileged();
        let (folder, port) = (temporary_folder(user), free_port());
        let path = |name: &str| folder.join(name);
        let users = format!("\"postgres\" \"\"\n\"by_scram\" \"{}\"\n", super::PASSWORD);
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_file = {}\npool_mode = {pooling}\n{DOCUMENTED}{more}",
            server.ip(),
            server.port(),
            path("users").display(),
        );
        for (name, content) in [("users", users), ("settings", settings), ("log", String::new())] {
            fs::write(path(name), content).expect("a file is written");
            if let Some(user) = user {
                chown(path(name), Some(user.uid), Some(user.gid)).expect("root may give a file away");
            }
        }
        let (log, settings) = (path("log"), path("settings").display().to_string());
        let command = [program().display().to_string(), settings];
        let process = Supervised::start(&command, &[], user, &log, Some(&folder), "TERM");
        if !wait_for((Ipv4Addr::LOCALHOST, port).into(), || process.is_alive()) {
            let text = tail(&log);
            assert!(text.contains("in use"), "PgBouncer does not start:\n{text}");
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

    /// What it has logged last.
    pub fn log(&self) -> String {
        tail(&self.folder.join("log"))
    }
}

/// The settings that docs/pgbouncer.md recommends.
const DOCUMENTED: &str = "\
auth_type = trust
ignore_startup_parameters = extra_float_digits
max_client_conn = 500
default_pool_size = 3
";

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_owned()])
        .map(|folder| folder.join("pgbouncer"))
        .find(|path| path.is_file())
        .expect("PgBouncer: install it with scripts/setup.sh pgbouncer")
}
