//! The `pgseal` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgseal::cli::main()
}
