//! Requests and answers: one of each for a connection, GET and HEAD, bounded in size and time.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Admin;

/// The longest head of a request.
const MAX_HEAD: usize = 8 * 1024;
/// Fields in it.
const MAX_FIELDS: usize = 64;
/// From the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the peer may take to close, so that the answer is not lost by a reset.
const LINGER: Duration = Duration::from_secs(1);

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// What a browser may do with it.
    pub(super) policy: String,
    pub(super) body: String,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Page,
    Status,
    Metrics,
    Health,
    Readiness,
}

impl Response {
    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self { status, content_type: "text/plain; charset=utf-8", policy: nothing(), body }
    }

    fn write(&self, head_only: bool) -> String {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            421 => "Misdirected Request",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "",
        };
        let allow = if self.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let body = if head_only { "" } else { &self.body };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n{allow}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
             Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Cross-Origin-Opener-Policy: same-origin\r\nContent-Security-Policy: {}\r\n\r\n{body}",
            self.status,
            self.content_type,
            self.body.len(),
            self.policy,
        )
    }
}

/// For what is no document: no browser is to run or load anything for it.
pub(super) fn nothing() -> String {
    "default-src 'none'; frame-ancestors 'none'".to_owned()
}

/// Reads a request and answers it.
pub(super) async fn answer(mut socket: TcpStream, admin: &Admin) {
    let conversation = async {
        let Some((head, complete)) = read_head(&mut socket).await? else { return Ok(()) };
        let (asked, head_only) =
            if complete { parse(&head) } else { (Err((431, "too long a request")), false) };
        let response = match asked {
            Ok(asked) => respond(asked, admin).await,
            Err((status, why)) => Response::text(status, format!("{why}\n")),
        };
        socket.write_all(response.write(head_only).as_bytes()).await?;
        socket.shutdown().await
    };
    if let Ok(Ok(())) = timeout(PATIENCE, conversation).await {
        let mut rest = [0; 1024];
        let _ = timeout(LINGER, async { while socket.read(&mut rest).await.is_ok_and(|n| n > 0) {} }).await;
    }
}

async fn respond(asked: Asked, admin: &Admin) -> Response {
    match asked {
        Asked::Page => admin.page.response(),
        Asked::Status => admin.status().await,
        Asked::Metrics => admin.exposition().await,
        Asked::Health => Response::text(200, "ok\n"),
        Asked::Readiness => {
            let reasons = admin.hindrances().await;
            if reasons.is_empty() {
                Response::text(200, "ready\n")
            } else {
                Response::text(503, reasons.join("\n") + "\n")
            }
        }
    }
}

/// The head of a request, and whether it is all of it; `None` if the peer said nothing.
async fn read_head(socket: &mut TcpStream) -> std::io::Result<Option<(Vec<u8>, bool)>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some((head, true)));
        }
        if head.len() >= MAX_HEAD {
            return Ok(Some((head, false)));
        }
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
}

/// What a head asks for, or the status and reason of a refusal; and whether no body is wanted.
fn parse(head: &[u8]) -> (Result<Asked, (u16, &'static str)>, bool) {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return (Err((431, "too many header fields")), false),
        Ok(httparse::Status::Partial) | Err(_) => return (Err((400, "no request of HTTP")), false),
    }
    let head_only = request.method == Some("HEAD");
    let mut hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().and_then(|field| std::str::from_utf8(field.value).ok());
    let asked = match (request.method, request.path) {
        _ if hosts.next().is_some() => Err((400, "more than one host")),
        _ if !host.is_some_and(is_own) => {
            Err((421, "the host of the request is none of this address: use its number, or localhost"))
        }
        (Some("GET" | "HEAD"), Some(path)) => match path.split('?').next() {
            Some("/") => Ok(Asked::Page),
            Some("/status.json") => Ok(Asked::Status),
            Some("/metrics") => Ok(Asked::Metrics),
            Some("/healthz") => Ok(Asked::Health),
            Some("/readyz") => Ok(Asked::Readiness),
            _ => Err((404, "there are /, /status.json, /metrics, /healthz and /readyz")),
        },
        _ => Err((405, "only GET and HEAD")),
    };
    (asked, head_only)
}

/// Whether a `Host` cannot be a name that somebody else's page was given to reach us by.
fn is_own(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            return rest.split_once(']').is_some_and(|(address, port)| {
                address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port.strip_prefix(':')))
            });
        }
        None => match host.split_once(':') {
            Some((name, port)) if is_port(Some(port)) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn is_port(port: Option<&str>) -> bool {
    port.is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Asked, u16> {
        parse(text.as_bytes()).0.map_err(|(status, _)| status)
    }

    #[test]
    fn requests_are_read_and_others_turned_away() {
        for (text, expected) in [
            ("GET / HTTP/1.1\r\nHost: localhost:9\r\n\r\n", Ok(Asked::Page)),
            ("HEAD /?x HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", Ok(Asked::Page)),
            ("GET /metrics HTTP/1.0\r\nHost: [::1]:9\r\n\r\n", Ok(Asked::Metrics)),
            ("GET /../etc HTTP/1.1\r\nHost: localhost\r\n\r\n", Err(404)),
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", Err(405)),
            ("GET / HTTP/1.1\r\n\r\n", Err(421)),
            ("GET / HTTP/1.1\r\nHost: attacker.example\r\n\r\n", Err(421)),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n", Err(400)),
            ("nonsense\r\n\r\n", Err(400)),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Err(421)),
        ] {
            assert_eq!(asked(text), expected, "{text}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(asked(&many), Err(431));
        assert!(parse(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").1);
    }

    #[test]
    fn hosts_are_numbers_or_this_machine() {
        for (host, own) in [
            ("localhost", true),
            ("LocalHost:6433", true),
            ("127.0.0.1:6433", true),
            ("10.1.2.3", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("[::1].example", false),
            ("[::1]:x", false),
            ("localhost.example", false),
            ("localhost:x", false),
            ("1.2.3.4.example:80", false),
            ("", false),
        ] {
            assert_eq!(is_own(host), own, "{host}");
        }
    }

    #[test]
    fn an_answer_names_its_length_and_what_browsers_may_do() {
        let answer = Response::text(200, "ok\n").write(true);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"));
        assert!(answer.contains("Content-Length: 3\r\n") && answer.contains("default-src 'none'"));
    }
}
