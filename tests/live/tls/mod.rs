//! TLS on both sides.

mod client;
mod upstream;

use std::process::Command;

use crate::support::binary;

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
