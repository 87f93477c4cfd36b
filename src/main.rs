//! The `pgseal` command.
fn main() {}
