//! What older versions of the server do not have. Nothing is left out on the newest one that is supported.

use crate::support::Cluster;

/// Syntax, and the version that it came with.
const SYNTAX: [(u32, &str); 4] =
    [(15, "MERGE INTO"), (14, " COMPRESSION "), (15, "ON DELETE SET NULL ("), (14, "USING (EMAIL) AS ")];

/// Whether a server of this version takes a statement for a syntax error. It is said each time.
#[expect(clippy::print_stdout, reason = "nothing is left out in silence")]
pub(crate) fn is_newer(sql: &str, major: u32) -> bool {
    let sql = sql.to_uppercase();
    let newer = SYNTAX.iter().find(|(since, words)| major < *since && sql.contains(words));
    if let Some((since, words)) = newer {
        println!("not on PostgreSQL {major}: {words} is of version {since}");
    }
    newer.is_some()
}

/// The major version of the server under test.
pub(crate) fn major(cluster: &Cluster) -> u32 {
    let number = cluster.connect("postgres").value("SHOW server_version_num").expect("a number");
    number.parse::<u32>().expect("a number") / 10_000
}
