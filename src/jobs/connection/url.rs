//! What a connection string says about TLS, in libpq's words.
//!
//! <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION>

use std::path::{Path, PathBuf};

use super::ConnectError;
use crate::net::tls::{Pair, Roots, Trust};

/// The parameters that are taken out here, since the library knows less of them.
const OURS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// What is said about TLS.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    mode: Option<String>,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// What that means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Never,
    /// If the server has it.
    Perhaps(Trust, Option<Pair>),
    Always(Trust, Option<Pair>),
}

/// Takes what is said about TLS out of a connection string. The rest is what the library reads.
pub(super) fn split(text: &str) -> (String, Said) {
    let mut said = Said::default();
    let rest = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        split_url(text, &mut said)
    } else {
        split_pairs(text, &mut said)
    };
    (rest, said)
}

impl Said {
    /// The last word counts, as with libpq.
    fn set(&mut self, name: &str, value: String) {
        match name {
            "sslmode" => self.mode = Some(value),
            "sslrootcert" => self.root = Some(value.into()),
            "sslcert" => self.certificate = Some(value.into()),
            _ => self.key = Some(value.into()),
        }
    }

    /// What is not said comes from the environment.
    pub(super) fn or_environment(mut self) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        self.mode = self.mode.or_else(|| variable("PGSSLMODE"));
        self.root = self.root.or_else(|| variable("PGSSLROOTCERT").map(Into::into));
        self.certificate = self.certificate.or_else(|| variable("PGSSLCERT").map(Into::into));
        self.key = self.key.or_else(|| variable("PGSSLKEY").map(Into::into));
        self
    }

    /// `home` is where libpq looks for a file of authorities when none is named.
    pub(super) fn wish(self, home: Option<&Path>) -> Result<Wish, ConnectError> {
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(Pair { certificate, key }),
            (None, None) => None,
            _ => return Err(ConnectError::Wrong("sslcert and sslkey belong together")),
        };
        let named = self.root.as_deref().map(Roots::from);
        let default = || {
            let file = home?.join(".postgresql/root.crt");
            file.is_file().then_some(Roots::File(file))
        };
        Ok(match self.mode.as_deref() {
            Some("disable") => Wish::Never,
            None | Some("prefer" | "allow") => Wish::Perhaps(Trust::Anyone, identity),
            // As libpq does: whoever names authorities wants them to count.
            Some("require") => match named {
                None => Wish::Always(Trust::Anyone, identity),
                Some(Roots::System) => {
                    return Err(ConnectError::Wrong("sslrootcert=system needs sslmode=verify-full"));
                }
                Some(roots) => Wish::Always(Trust::Authority(roots), identity),
            },
            Some("verify-ca") => match named.or_else(default) {
                Some(roots @ Roots::File(_)) => Wish::Always(Trust::Authority(roots), identity),
                Some(Roots::System) => {
                    return Err(ConnectError::Wrong("sslrootcert=system needs sslmode=verify-full"));
                }
                None => {
                    return Err(ConnectError::Wrong(
                        "sslmode=verify-ca needs a file of authorities: sslrootcert=FILE",
                    ));
                }
            },
            Some("verify-full") => {
                Wish::Always(Trust::Host(named.or_else(default).unwrap_or(Roots::System)), identity)
            }
            Some(_) => {
                return Err(ConnectError::Wrong(
                    "sslmode is disable, allow, prefer, require, verify-ca or verify-full",
                ));
            }
        })
    }
}

fn split_url(text: &str, said: &mut Said) -> String {
    // A password may hold a question mark.
    let from = text.find('@').unwrap_or(0);
    let Some(query) = text.get(from..).and_then(|rest| rest.find('?')).map(|at| from + at) else {
        return text.to_owned();
    };
    let (mut rest, parameters) =
        text.split_at_checked(query).map_or((text.to_owned(), ""), |(a, b)| (a.to_owned(), b));
    let mut separator = '?';
    for parameter in parameters.trim_start_matches('?').split('&') {
        match parameter.split_once('=') {
            Some((name, value)) if OURS.contains(&name) => said.set(name, decoded(value)),
            _ => {
                rest.push(separator);
                rest.push_str(parameter);
                separator = '&';
            }
        }
    }
    rest
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let code = behind.first_chunk::<2>().and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `name = value` and `name = 'value'`, with backslashes before what is meant as it stands.
fn split_pairs(text: &str, said: &mut Said) -> String {
    let mut rest = String::new();
    let mut left = text;
    while let Some((name, behind)) = left.split_once('=') {
        let (raw, value) = first_value(behind.trim_start());
        let name = name.trim();
        if OURS.contains(&name) {
            said.set(name, value);
        } else {
            rest.push_str(&format!("{name}={raw} "));
        }
        left = behind.trim_start().get(raw.len()..).unwrap_or_default();
    }
    rest.push_str(left);
    rest
}

/// The value at the front, as it stands and as it is meant.
fn first_value(text: &str) -> (&str, String) {
    let mut value = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            c if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '\'' if at == 0 => quoted = true,
            '\'' if quoted => return (text.get(..=at).unwrap_or(text), value),
            c if !quoted && c.is_whitespace() => return (text.get(..at).unwrap_or(text), value),
            c => value.push(c),
        }
    }
    (text, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(mode: &str, root: &str) -> Said {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Said { mode: some(mode), root: some(root).map(Into::into), ..Said::default() }
    }

    #[test]
    fn what_is_said_about_tls_is_taken_out() {
        let cases = [
            ("postgres://u@h/d", "postgres://u@h/d", said("", "")),
            ("postgres://u@h/d?sslmode=require", "postgres://u@h/d", said("require", "")),
            (
                "postgresql://u:a?b=c&d@h/d?connect_timeout=3&sslmode=verify-full&sslrootcert=%2Fa%20b.crt&x=%",
                "postgresql://u:a?b=c&d@h/d?connect_timeout=3&x=%",
                said("verify-full", "/a b.crt"),
            ),
            ("host=h sslmode=disable user=u", "host=h user=u ", said("disable", "")),
            (
                r"host = h  sslrootcert = 'a \'b' password='sslmode=x y' sslmode=verify-ca",
                "host=h password='sslmode=x y' ",
                said("verify-ca", "a 'b"),
            ),
            (r"password=a\ b sslmode=require", r"password=a\ b ", said("require", "")),
            ("nonsense", "nonsense", said("", "")),
        ];
        for (text, rest, expected) in cases {
            assert_eq!(split(text), (rest.to_owned(), expected), "{text}");
        }
    }

    #[test]
    fn each_mode_means_what_libpq_means_by_it() {
        let file = || Roots::File("ca.crt".into());
        let cases = [
            (said("", ""), Some(Wish::Perhaps(Trust::Anyone, None))),
            (said("allow", ""), Some(Wish::Perhaps(Trust::Anyone, None))),
            (said("prefer", "ca.crt"), Some(Wish::Perhaps(Trust::Anyone, None))),
            (said("disable", "ca.crt"), Some(Wish::Never)),
            (said("require", ""), Some(Wish::Always(Trust::Anyone, None))),
            (said("require", "ca.crt"), Some(Wish::Always(Trust::Authority(file()), None))),
            (said("require", "system"), None),
            (said("verify-ca", "ca.crt"), Some(Wish::Always(Trust::Authority(file()), None))),
            (said("verify-ca", ""), None),
            (said("verify-full", "ca.crt"), Some(Wish::Always(Trust::Host(file()), None))),
            (said("verify-full", "system"), Some(Wish::Always(Trust::Host(Roots::System), None))),
            (said("verify-full", ""), Some(Wish::Always(Trust::Host(Roots::System), None))),
            (said("Require", ""), None),
        ];
        for (said, expected) in cases {
            let case = format!("{said:?}");
            assert_eq!(said.wish(None).ok(), expected, "{case}");
        }
    }
}
