//! `pgseal auth`, and what `serve` is told about authentication.

mod lookup;

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use rustix::termios::{self, LocalModes, OptionalActions};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

pub(super) use self::lookup::Lookups;

use super::{AuthMethod, AuthMode, Exit, ServeArgs, TlsMode, WrongFlags};
use crate::keyring::{self, Keys};
use crate::net::auth::{Accounts, Auth, Strangers, Userlist, quoted};
use crate::scram::{DEFAULT_ITERATIONS, SALT_LENGTH, Verifier};
use crate::session::Method;

/// Make lines for the file of users that `serve --auth terminate` reads
#[derive(Debug, Args)]
pub(super) struct AuthArgs {
    #[command(subcommand)]
    command: AuthCommand,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    Line(LineArgs),
}

/// Print a user's line with the SCRAM verifier of a password
///
/// The password is asked for on a terminal, or is the first line of standard input. It is never an argument: those are
/// shown to every user of the machine. The verifier has a salt of its own: it is good for clients, and for a server that
/// is given the same one (ALTER ROLE app PASSWORD 'SCRAM-SHA-256$...').
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  pgseal auth line app >> users.txt
  pgseal auth line app < password-file >> users.txt
  psql -XAtc \"SELECT format('\\\"%s\\\" \\\"%s\\\"', rolname, rolpassword) FROM pg_authid
             WHERE rolname = 'app'\" >> users.txt     # the server's own verifier")]
struct LineArgs {
    /// The user's name.
    #[arg(value_name = "USER")]
    user: String,
    /// Rounds of hashing; the server's scram_iterations.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ITERATIONS)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    iterations: u32,
}

pub(super) fn run(args: &AuthArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let AuthCommand::Line(args) = &args.command;
    if args.user.is_empty() || args.user.contains(['\n', '\0']) {
        bail!("\"{}\" cannot be a user's name", args.user.escape_debug());
    }
    let password = read_password(&args.user)?;
    if password.is_empty() {
        bail!("the password is empty");
    }
    let mut salt = [0; SALT_LENGTH];
    keyring::os_entropy()(&mut salt)?;
    let verifier = Verifier::of_password(&password, &salt, args.iterations).to_string();
    writeln!(out, "{} {}", quoted(&args.user), quoted(&verifier))?;
    Ok(Exit::Success)
}

/// One line of standard input; on a terminal it is asked for twice, and not shown.
fn read_password(user: &str) -> anyhow::Result<Zeroizing<String>> {
    let input = io::stdin();
    if !input.is_terminal() {
        return read_line();
    }
    let before = termios::tcgetattr(&input).context("the terminal cannot be asked how it is set")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(&input, OptionalActions::Flush, &silent)
        .context("the terminal shows what is typed")?;
    let ask = |prompt: String| {
        write!(io::stderr(), "{prompt}")?;
        let line = read_line();
        writeln!(io::stderr())?;
        line
    };
    let typed =
        ask(format!("Password of {user}: ")).and_then(|first| Ok((first, ask("Once more: ".to_owned())?)));
    termios::tcsetattr(&input, OptionalActions::Flush, &before)?;
    let (first, second) = typed?;
    if *first != *second {
        bail!("the two are not the same");
    }
    Ok(first)
}

fn read_line() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(1024));
    io::stdin().lock().read_line(&mut line).context("the password cannot be read")?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}

/// The file of users, and what it was made with.
pub(super) struct WatchedUsers {
    pub(super) path: PathBuf,
    strangers: Strangers,
    users: watch::Sender<Arc<Userlist>>,
}

impl WatchedUsers {
    /// Reads the file again: new sessions are held against what is in it now.
    pub(super) fn load(&self) -> anyhow::Result<usize> {
        let list = Userlist::load(&self.path, &self.strangers)?;
        let users = list.len();
        self.users.send_replace(Arc::new(list));
        Ok(users)
    }
}

/// What authentication needs beside the sessions.
#[derive(Default)]
pub(super) struct Helpers {
    pub(super) users: Option<WatchedUsers>,
    pub(super) lookups: Option<Lookups>,
}

/// What the flags say about authentication.
pub(super) fn settings(args: &ServeArgs, keys: &Keys) -> anyhow::Result<(Option<Auth>, Helpers)> {
    let says_more = args.auth_file.is_some() || args.auth_query.is_some() || args.auth_method.is_some();
    if args.auth == AuthMode::Passthrough {
        if says_more {
            return Err(WrongFlags(
                "users are named, but the server authenticates them: give --auth terminate too",
            )
            .into());
        }
        return Ok((None, Helpers::default()));
    }
    let method = match args.auth_method.unwrap_or(AuthMethod::Scram) {
        AuthMethod::Scram => Method::Scram,
        AuthMethod::Certificate => Method::Certificate,
    };
    if method == Method::Certificate && args.tls != TlsMode::Mutual {
        return Err(
            WrongFlags("--auth-method certificate needs clients to show certificates: --tls mutual").into()
        );
    }
    let mut helpers = Helpers::default();
    let strangers = Strangers::new(keys)?;
    let accounts = match (&args.auth_file, &args.auth_query) {
        (Some(_), Some(_)) => {
            return Err(WrongFlags("users come from --auth-file or from --auth-query, not from both").into());
        }
        (Some(path), None) => {
            let (users, list) = watch::channel(Arc::default());
            let watched = WatchedUsers { path: path.clone(), strangers: Strangers::new(keys)?, users };
            watched.load()?;
            helpers.users = Some(watched);
            Accounts::File(list)
        }
        (None, Some(query)) => {
            let Some(database) = args.auth_database.as_ref().or(args.database.as_ref()) else {
                return Err(WrongFlags(
                    "--auth-query needs a login at the server to ask with: --auth-database URL",
                )
                .into());
            };
            let (asked, asks) = mpsc::channel(1024);
            helpers.lookups = Some(Lookups::new(database, query, asks));
            Accounts::Query(asked)
        }
        (None, None) if method == Method::Certificate => Accounts::Nobody,
        (None, None) => {
            return Err(WrongFlags(
                "--auth terminate needs to know users: --auth-file FILE or --auth-query SQL",
            )
            .into());
        }
    };
    let failures = (args.auth_failures > 0).then_some(args.auth_failures);
    Ok((Some(Auth::new(method, accounts, strangers, failures)), helpers))
}
