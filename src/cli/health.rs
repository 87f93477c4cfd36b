//! `pgseal health`: asks the admin address of a proxy, for container images that have no other program to ask with.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::Exit;

/// How long connecting, asking and answering may take each.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any of these answers has.
const MAX_ANSWER: u64 = 64 * 1024;

/// Ask a running proxy whether it is well
///
/// For health checks of containers and services. The exit code is 0 if it answers that it is, and 1 otherwise, with the
/// reasons on standard output.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The admin address of the proxy, as `serve` was given it.
    #[arg(long, value_name = "ADDR", env = "PGSEAL_ADMIN", default_value = "127.0.0.1:6433")]
    admin: String,
    /// Ask whether it is ready to serve (`/readyz`), and not only whether it lives (`/healthz`).
    #[arg(long)]
    ready: bool,
}

pub(super) fn run(args: &HealthArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let path = if args.ready { "/readyz" } else { "/healthz" };
    match ask(&args.admin, path) {
        Ok((status, body)) => {
            write!(out, "{body}")?;
            Ok(if status == 200 { Exit::Success } else { Exit::Problems })
        }
        Err(error) => {
            writeln!(out, "no answer from {}: {error:#}", args.admin)?;
            Ok(Exit::Problems)
        }
    }
}

fn ask(admin: &str, path: &str) -> anyhow::Result<(u16, String)> {
    // A proxy that listens on all addresses is asked on this machine's own.
    let admin = admin.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    let address = admin.to_socket_addrs()?.next().context("the address is none")?;
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(&answer)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => anyhow::bail!("the answer is not whole"),
    };
    let status = head.code.context("the answer has no status")?;
    Ok((status, String::from_utf8_lossy(answer.get(length..).unwrap_or_default()).into_owned()))
}
