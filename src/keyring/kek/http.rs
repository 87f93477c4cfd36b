//! HTTP to the services that hold key-encryption keys: TLS, time limits, and what went wrong in words.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::KekError;
use crate::keyring::DiskError;

/// How long one call may take, from the look-up of the name to the last byte.
const TIME: Duration = Duration::from_secs(5);
/// A call that met a fault which may pass is made again after each of these.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(600)];
/// No answer is longer.
const MAX_ANSWER: u64 = 256 * 1024;
/// What is shown of a service's own words.
const MAX_WORDS: usize = 300;

/// A service at the other end.
pub(super) struct Service {
    /// As errors name it.
    name: String,
    agent: Agent,
}

/// What it said: a status and a body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; what is none is `Null`.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Service {
    /// A service whose certificate is verified by the authorities in a PEM file, or by those that this machine trusts.
    pub(super) fn new(name: &str, authorities: Option<&Path>) -> Result<Self, KekError> {
        let roots = match authorities {
            Some(path) => from_pem(path)?,
            None => {
                let found = rustls_native_certs::load_native_certs().certs;
                found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder().tls_config(tls);
        Ok(Self { name: name.into(), agent: limited(config) })
    }

    #[cfg(feature = "aws-kms")]
    /// A service of this machine or its network, which speaks no TLS and is reached by no proxy.
    pub(super) fn nearby(name: &str) -> Self {
        Self { name: name.into(), agent: limited(Agent::config_builder().proxy(None)) }
    }

    /// Makes a call; again, if it met a fault that may pass.
    pub(super) fn call(&self, request: &Request<Vec<u8>>) -> Result<Answer, KekError> {
        let mut pauses = PAUSES.iter();
        loop {
            let outcome = self.call_once(request);
            let may_pass = match &outcome {
                Ok(answer) => answer.status == 429 || answer.status >= 500,
                // Whoever does not answer in time has had his time.
                Err(KekError::Unreachable { is_slow, .. }) => !is_slow,
                Err(_) => false,
            };
            match pauses.next() {
                Some(pause) if may_pass => std::thread::sleep(*pause),
                Some(_) | None => return outcome,
            }
        }
    }

    fn call_once(&self, request: &Request<Vec<u8>>) -> Result<Answer, KekError> {
        let unreachable = |error: ureq::Error| KekError::Unreachable {
            service: self.name.clone(),
            is_slow: matches!(&error, ureq::Error::Timeout(_)),
            reason: match error {
                ureq::Error::Timeout(_) => format!("no answer within {} seconds", TIME.as_secs()),
                other => printable(&other.to_string()),
            },
        };
        let mut response = self.agent.run(request.clone()).map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(unreachable)?;
        Ok(Answer { status, body })
    }

    /// What the service refused, in its own words.
    pub(super) fn refused(&self, answer: &Answer, words: &str) -> KekError {
        let words = printable(words);
        let reason = match words.is_empty() {
            true => format!("status {}", answer.status),
            false => format!("status {}: {words}", answer.status),
        };
        KekError::Refused {
            service: self.name.clone(),
            reason,
            may_pass: answer.status == 429 || answer.status >= 500,
        }
    }
}

fn limited(config: ureq::config::ConfigBuilder<ureq::typestate::AgentScope>) -> Agent {
    let config = config.timeout_global(Some(TIME)).http_status_as_error(false).max_redirects(0);
    config.user_agent(concat!("pgseal/", env!("CARGO_PKG_VERSION"))).build().new_agent()
}

fn from_pem(path: &Path) -> Result<Vec<Certificate<'static>>, KekError> {
    let unreadable =
        |reason| KekError::Disk(DiskError::Io { doing: "cannot read", path: path.into(), reason });
    let pem = std::fs::read(path).map_err(unreadable)?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(unreadable(io::Error::other("it holds no certificate in PEM form")));
    }
    Ok(certificates)
}

/// A service's address: with TLS, except on this machine.
pub(super) fn check_address(variable: &str, address: &str) -> Result<(), KekError> {
    let refuse = |reason: &str| {
        Err(KekError::Setting { name: variable.into(), reason: format!("{reason}, as in https://host:8200") })
    };
    let Some((scheme, rest)) = address.split_once("://") else { return refuse("is to be an address") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match scheme {
        "https" if !host.is_empty() => Ok(()),
        "http" if is_here => Ok(()),
        "http" => refuse("is to be reached by https, since what is sent there is secret"),
        _ => refuse("is to be an address"),
    }
}

/// Words from outside, for a message of one line.
fn printable(words: &str) -> String {
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WORDS).collect();
    line.trim().to_owned()
}

/// An environment variable, if it is set to something.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_by_tls_or_stay_on_this_machine() {
        for good in [
            "https://vault",
            "https://vault:8200/x",
            "http://127.0.0.1:8200",
            "http://[::1]:1/",
            "http://localhost",
        ] {
            assert!(check_address("VAULT_ADDR", good).is_ok(), "{good}");
        }
        for bad in [
            "vault:8200",
            "http://vault:8200",
            "http://127.0.0.1.example.com",
            "ftp://127.0.0.1",
            "https://",
            "http://localhost@evil/",
        ] {
            let error = check_address("VAULT_ADDR", bad).unwrap_err().to_string();
            assert!(error.contains("VAULT_ADDR"), "{bad}: {error}");
        }
    }

    #[test]
    fn words_from_outside_take_one_short_line() {
        assert_eq!(printable("a\r\nb\x1b[1m\n"), "a  b [1m");
        assert_eq!(printable(&"x".repeat(1000)).len(), MAX_WORDS);
    }
}
