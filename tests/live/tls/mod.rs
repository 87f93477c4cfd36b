//! TLS on both sides.

mod client;
mod commands;
mod passthrough;
mod upstream;

use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Authority, Cluster, Issued, binary};

/// A cluster that speaks TLS, what it shows, and its authority.
fn encrypted() -> (&'static Authority, &'static Issued, &'static Cluster) {
    static SHARED: OnceLock<(Authority, Issued, Cluster)> = OnceLock::new();
    let (authority, shown, cluster) = SHARED.get_or_init(|| {
        let mut authority = Authority::new();
        let cluster = Cluster::encrypted(&authority.server("server"), &authority);
        authority.settle(cluster.folder());
        let path = |name| authority.folder().join(name);
        let shown = Issued { certificate: path("server.crt"), key: path("server.key") };
        (authority, shown, cluster)
    });
    (authority, shown, cluster)
}

/// What psql prints for `SELECT 'in'` at a connection string, and whether it came in.
fn psql(connection: &str) -> (bool, String) {
    let output = Command::new(binary("psql"))
        .args(["-XAtc", "SELECT 'in'", connection])
        // Nothing from the home of whoever runs the tests.
        .env("HOME", "/nonexistent")
        .env("PGCONNECT_TIMEOUT", "30")
        .output()
        .expect("psql runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
}
