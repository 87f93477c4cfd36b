//! TLS towards the server.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::files::{Pair, TlsError};
use super::verify::{self, Roots, Trust};
use super::{ALPN, HANDSHAKE};
use crate::net::Endpoint;
use crate::net::socket::Socket;
use crate::wire::startup::SSL_REQUEST;

/// What is demanded of the server. None of them takes less than it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamTls {
    /// No TLS.
    Disable,
    /// TLS, whoever answers.
    Require,
    /// And a certificate from an authority.
    VerifyCa,
    /// And the certificate bears the host's name.
    VerifyFull,
}

impl UpstreamTls {
    /// As it is written on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// What is demanded if nothing is said: everything, except where traffic does not leave the machine.
    fn default_for(addresses: &[Endpoint], has_authorities: bool) -> Self {
        let stays = addresses.iter().filter_map(Endpoint::host).all(is_loopback);
        if has_authorities || !stays { Self::VerifyFull } else { Self::Disable }
    }
}

/// What a proxy is told about TLS towards its server.
#[derive(Debug)]
pub struct UpstreamSettings {
    /// The server's addresses.
    pub addresses: Vec<Endpoint>,
    /// What is demanded; by default everything, except of a server on a loopback address without `authorities`.
    pub mode: Option<UpstreamTls>,
    /// The authorities of the server's certificate; the system's if none are named.
    pub authorities: Option<PathBuf>,
    /// The certificate to show to a server that asks for one.
    pub identity: Option<Pair>,
    /// Begin with TLS at once, as servers from version 17 on allow.
    pub direct: bool,
}

/// TLS towards the server, ready for connections.
pub struct UpstreamSide {
    mode: UpstreamTls,
    direct: bool,
    demand: Option<Demand>,
}

struct Demand {
    trust: Trust,
    identity: Option<Pair>,
    current: RwLock<Arc<ClientConfig>>,
}

/// Why the server cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("{0}")]
    Lost(#[from] io::Error),
    #[error("the server did not answer in time")]
    Unanswered,
    #[error("the server does not take TLS connections, and --upstream-tls {0} demands one")]
    NoTls(&'static str),
    #[error("the server answers a request for TLS with what is no answer to it")]
    NoAnswer,
    #[error(
        "the server sent unencrypted data behind its answer to the request for TLS; somebody between it and the proxy \
         may have"
    )]
    Injected,
    #[error("{0}")]
    Certificate(rustls::Error),
    #[error("TLS handshake: {0}")]
    Handshake(io::Error),
    #[error("TLS handshake: not done within {} seconds", HANDSHAKE.as_secs())]
    Late,
    #[error("the server does not name the protocol (ALPN): direct TLS needs PostgreSQL 17 or newer")]
    NoProtocol,
}

impl UpstreamError {
    /// The way out.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Lost(_) | Self::Unanswered => "Is the server running, and is --upstream right?",
            Self::NoTls(_) => {
                "Switch TLS on at the server (ssl = on), or start the proxy with --upstream-tls disable if nobody can \
                 listen between the two."
            }
            Self::Certificate(_) => {
                "Start the proxy with the certificate of the server's authority: --upstream-ca FILE; and with the \
                 host's name as it stands in the certificate in --upstream, or with --upstream-tls verify-ca."
            }
            Self::NoProtocol => "Start the proxy without --upstream-tls-negotiation direct.",
            Self::NoAnswer | Self::Injected | Self::Handshake(_) | Self::Late => {
                "The logs of the proxy and of the server may tell more."
            }
        }
    }
}

impl UpstreamSide {
    pub(super) fn load(settings: UpstreamSettings) -> Result<Self, TlsError> {
        let UpstreamSettings { addresses, mode, authorities, identity, direct } = settings;
        let mode = mode.unwrap_or_else(|| UpstreamTls::default_for(&addresses, authorities.is_some()));
        for host in addresses.iter().filter_map(Endpoint::host) {
            name(host)?;
        }
        let roots = authorities.as_deref().map(Roots::from);
        let trust = match (mode, roots) {
            (UpstreamTls::Disable, None) if identity.is_none() && !direct => None,
            (UpstreamTls::Disable, _) => {
                return Err(TlsError::Settings(
                    "TLS to the server is off, and something is said about it: give --upstream-tls too",
                ));
            }
            (UpstreamTls::Require, None) => Some(Trust::Anyone),
            (UpstreamTls::Require, Some(_)) => {
                return Err(TlsError::Settings(
                    "--upstream-tls require does not look at the server's certificate, so --upstream-ca has no \
                     meaning with it: say verify-ca or verify-full",
                ));
            }
            (UpstreamTls::VerifyCa, Some(Roots::File(path))) => Some(Trust::Authority(Roots::File(path))),
            (UpstreamTls::VerifyCa, None | Some(Roots::System)) => {
                return Err(TlsError::Settings(
                    "--upstream-tls verify-ca needs --upstream-ca FILE: anybody gets a certificate from the \
                     system's authorities",
                ));
            }
            (UpstreamTls::VerifyFull, roots) => Some(Trust::Host(roots.unwrap_or(Roots::System))),
        };
        let demand = trust.map(|trust| {
            let current = RwLock::new(Arc::new(verify::connector(&trust, identity.as_ref())?));
            Ok::<_, TlsError>(Demand { trust, identity, current })
        });
        Ok(Self { mode, direct, demand: demand.transpose()? })
    }

    /// What is demanded.
    pub fn mode(&self) -> UpstreamTls {
        self.mode
    }

    /// What the files say now; `None` if TLS is off.
    pub(super) fn read(&self) -> Result<Option<Arc<ClientConfig>>, TlsError> {
        let read = |d: &Demand| verify::connector(&d.trust, d.identity.as_ref()).map(Arc::new);
        self.demand.as_ref().map(read).transpose()
    }

    /// New connections begin with this.
    pub(super) fn replace(&self, config: Option<Arc<ClientConfig>>) {
        if let (Some(demand), Some(config)) = (&self.demand, config) {
            *demand.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        }
    }

    /// Whether connections are encrypted.
    pub(crate) fn is_on(&self) -> bool {
        self.demand.is_some()
    }

    /// Asks the server at an address for TLS and does the handshake; `None` if TLS is off, or if nothing leaves the
    /// machine: over Unix sockets servers speak none.
    pub(crate) async fn secure(
        &self,
        socket: &mut Socket,
        address: &Endpoint,
    ) -> Result<Option<ClientConnection>, UpstreamError> {
        let (Some(demand), Some(host)) = (&self.demand, address.host()) else { return Ok(None) };
        let name = name(host).map_err(|error| UpstreamError::Lost(io::Error::other(error)))?;
        let secured = async {
            if !self.direct {
                self.request(socket).await?;
            }
            let config = demand.current.read().unwrap_or_else(PoisonError::into_inner).clone();
            let handshake = TlsConnector::from(config).connect(name, socket);
            let (_, connection) = handshake.await.map_err(of_handshake)?.into_inner();
            if self.direct && connection.alpn_protocol() != Some(ALPN) {
                return Err(UpstreamError::NoProtocol);
            }
            Ok(Some(connection))
        };
        timeout(HANDSHAKE, secured).await.map_err(|_| UpstreamError::Late)?
    }

    /// Sends SSLRequest and reads its answer.
    async fn request(&self, socket: &mut Socket) -> Result<(), UpstreamError> {
        socket.write_all(&SSL_REQUEST).await?;
        // The server has to be silent until we begin: more than its answer is not from it (CVE-2021-23222).
        let mut answer = [0; 2];
        match (socket.read(&mut answer).await?, answer) {
            (0, _) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            (1, [b'S', _]) => Ok(()),
            (_, [b'S', _]) => Err(UpstreamError::Injected),
            // An error in place of an answer comes from servers that know no SSLRequest. What it says is from
            // nobody knows whom, and is not shown.
            (_, [b'N' | b'E', _]) => Err(UpstreamError::NoTls(self.mode.as_str())),
            _ => Err(UpstreamError::NoAnswer),
        }
    }
}

fn of_handshake(error: io::Error) -> UpstreamError {
    let reason = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match reason {
        Some(reason) if verify::is_about_certificate(reason) => UpstreamError::Certificate(reason.clone()),
        _ => UpstreamError::Handshake(error),
    }
}

fn name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Host(host.to_owned()))
}

fn is_loopback(host: &str) -> bool {
    let is_name = host.eq_ignore_ascii_case("localhost");
    is_name || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_verified_unless_it_stays_on_the_machine() {
        let cases = [
            ("127.0.0.1:5432", false, UpstreamTls::Disable),
            ("localhost:5432", false, UpstreamTls::Disable),
            ("[::1]:5432", false, UpstreamTls::Disable),
            ("localhost:5432", true, UpstreamTls::VerifyFull),
            ("db:5432", false, UpstreamTls::VerifyFull),
            ("10.0.0.7:5432", false, UpstreamTls::VerifyFull),
            ("localhost.example.com:5432", false, UpstreamTls::VerifyFull),
            ("/run/postgresql", false, UpstreamTls::Disable),
            ("/run/postgresql,db", false, UpstreamTls::VerifyFull),
        ];
        for (address, has_authorities, expected) in cases {
            let addresses: Vec<_> = address.split(',').map(Endpoint::of_server).collect();
            assert_eq!(UpstreamTls::default_for(&addresses, has_authorities), expected, "{address}");
        }
    }
}
