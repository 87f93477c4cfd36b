//! `pgseal completions` and `pgseal man`: what a package carries beside the program, from the command line's own
//! definition.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::Exit;

/// Print completions for a shell
///
/// A package puts them where the shell looks; by hand, for bash:
/// `pgseal completions bash > ~/.local/share/bash-completion/completions/pgseal`
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(super) shell: Shell,
}

/// Write the manual pages, one for each command
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder to write them to; it is made if it is absent.
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs, mut command: Command, out: &mut impl Write) -> Exit {
    clap_complete::generate(args.shell, &mut command, "pgseal", out);
    Exit::Success
}

pub(super) fn man(args: &ManArgs, command: Command) -> anyhow::Result<Exit> {
    std::fs::create_dir_all(&args.out)
        .and_then(|()| clap_mangen::generate_to(command, &args.out))
        .with_context(|| format!("cannot write manual pages to {}", args.out.display()))?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn each_command_has_a_page_and_each_shell_its_completions() {
        let folder = tempfile::tempdir().unwrap();
        man(&ManArgs { out: folder.path().join("man") }, super::super::command()).unwrap();
        let page = |name: &str| std::fs::read_to_string(folder.path().join("man").join(name)).unwrap();
        for command in super::super::command().get_subcommands() {
            let name = command.get_name();
            assert!(page(&format!("pgseal-{name}.1")).contains(".SH SYNOPSIS"), "{name}");
        }
        assert!(page("pgseal-serve.1").contains("PGSEAL_UPSTREAM"), "the variables are in it");
        assert!(page("pgseal-keys-promote.1").contains("every proxy"));
        for shell in Shell::value_variants() {
            let mut out = Vec::new();
            completions(&CompletionsArgs { shell: *shell }, super::super::command(), &mut out);
            assert!(String::from_utf8(out).unwrap().contains("upstream-tls"), "{shell}");
        }
    }
}
