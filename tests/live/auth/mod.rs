//! Clients authenticated by the proxy itself.

mod certificates;
mod limits;
mod scram;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Cluster, PASSWORD, Proxy, binary};

const EMPTY: &str = "version = 1\n";

/// A folder with a file of users that nobody else may read.
struct Users(tempfile::TempDir);

impl Users {
    fn new(lines: &[(&str, &str)]) -> Self {
        let users = Self(tempfile::tempdir().unwrap());
        users.write(lines);
        users
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("users.txt")
    }

    fn write(&self, lines: &[(&str, &str)]) {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let text: String =
            lines.iter().map(|(user, secret)| format!("{} {}\n", quoted(user), quoted(secret))).collect();
        let new = self.0.path().join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, self.file()).unwrap();
    }
}

/// A proxy that authenticates users of a file, with settings of one's own.
fn proxy(cluster: &Cluster, users: &Path, more: &[(&str, &str)]) -> Proxy {
    let users = users.display().to_string();
    let mut environment = vec![("PGSEAL_AUTH", "terminate"), ("PGSEAL_AUTH_FILE", users.as_str())];
    environment.extend(more);
    Proxy::start_with(cluster.address(), EMPTY, &environment)
}

/// What the server has stored of a user's password.
fn stored(cluster: &Cluster, user: &str) -> String {
    let sql = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'");
    cluster.connect("postgres").value(&sql).unwrap()
}

/// What psql prints for a question about who is in, and whether it came in.
fn psql(proxy: &Proxy, user: &str, password: &str, more: &str) -> (bool, String) {
    let output = Command::new(binary("psql"))
        .args(["-XAtc", "SELECT current_user"])
        .arg(format!(
            "host=127.0.0.1 port={} user={user} dbname=postgres password='{password}' gssencmode=disable {more}",
            proxy.address().port()
        ))
        .env("HOME", "/nonexistent")
        .env("PGCONNECT_TIMEOUT", "30")
        .output()
        .expect("psql runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
}

/// The line that the program makes for a user.
fn line(user: &str, password: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pgseal"))
        .args(["auth", "line", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut program.stdin.take().unwrap(), format!("{password}\n").as_bytes())
        .unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
