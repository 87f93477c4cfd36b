//! TLS towards clients.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, ServerConnection, WebPkiClientVerifier};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::files::{self, Pair, TlsError};
use super::{ALPN, HANDSHAKE, HandshakeError, names, provider};
use crate::net::socket::Socket;
use crate::session::ClientTls;

/// What a proxy is told about TLS towards its clients.
#[derive(Debug, Default)]
pub struct ClientSettings {
    /// What is offered and demanded.
    pub mode: ClientTls,
    /// The proxy's certificate and key; needed unless TLS is off.
    pub identity: Option<Pair>,
    /// The authorities whose certificates clients may show; needed if they have to.
    pub authorities: Option<PathBuf>,
}

/// TLS towards clients, ready to be offered.
pub struct ClientSide {
    mode: ClientTls,
    offer: Option<Offer>,
}

struct Offer {
    files: Files,
    current: RwLock<Arc<Served>>,
}

/// What handshakes are done with.
pub(super) struct Served {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

/// The files of a proxy that offers TLS.
struct Files {
    identity: Pair,
    authorities: Option<PathBuf>,
}

/// A handshake that was done.
pub(crate) struct Accepted {
    pub(crate) connection: ServerConnection,
    /// The names in the client's certificate, if one was demanded and shown.
    pub(crate) names: Option<Vec<String>>,
    /// The certificate that the client saw.
    pub(crate) certificate: CertificateDer<'static>,
}

impl ClientSide {
    pub(super) fn load(settings: ClientSettings) -> Result<Self, TlsError> {
        let ClientSettings { mode, identity, authorities } = settings;
        let files = match (mode, identity, authorities) {
            (ClientTls::Off, None, None) => None,
            (ClientTls::Off, ..) => {
                return Err(TlsError::Settings(
                    "certificates for clients are named, but TLS towards them is off: give --tls too",
                ));
            }
            (_, None, _) => {
                return Err(TlsError::Settings(
                    "--tls needs a certificate and a key: --tls-cert and --tls-key",
                ));
            }
            (ClientTls::Mutual, Some(_), None) => {
                return Err(TlsError::Settings(
                    "--tls mutual needs the authorities of clients' certificates: --tls-client-ca",
                ));
            }
            (ClientTls::Optional | ClientTls::Required, Some(_), Some(_)) => {
                return Err(TlsError::Settings("--tls-client-ca has a meaning with --tls mutual only"));
            }
            (_, Some(identity), authorities) => Some(Files { identity, authorities }),
        };
        let offer = files
            .map(|files| {
                let current = RwLock::new(Arc::new(files.read()?));
                Ok::<_, TlsError>(Offer { files, current })
            })
            .transpose()?;
        Ok(Self { mode, offer })
    }

    /// What is offered and demanded.
    pub(crate) fn mode(&self) -> ClientTls {
        self.mode
    }

    /// What the files say now; `None` if TLS is off.
    pub(super) fn read(&self) -> Result<Option<Served>, TlsError> {
        self.offer.as_ref().map(|offer| offer.files.read()).transpose()
    }

    /// New sessions begin with this.
    pub(super) fn replace(&self, served: Option<Served>) {
        if let (Some(offer), Some(served)) = (&self.offer, served) {
            *offer.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
        }
    }

    /// Does a handshake with a client that has asked for one, or that has begun with it (`direct`).
    pub(crate) async fn accept(&self, socket: &mut Socket, direct: bool) -> Result<Accepted, HandshakeError> {
        let Some(offer) = &self.offer else { return Err(HandshakeError::NoProtocol) };
        let served = offer.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let handshake = TlsAcceptor::from(served.config.clone()).accept(socket);
        let stream = timeout(HANDSHAKE, handshake)
            .await
            .map_err(|_| HandshakeError::Late)?
            .map_err(HandshakeError::Failed)?;
        let (_, connection) = stream.into_inner();
        // Without it a client of another protocol could be led to talk to us (ALPACA).
        if direct && connection.alpn_protocol() != Some(ALPN) {
            return Err(HandshakeError::NoProtocol);
        }
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        let names = shown.map(names::users);
        Ok(Accepted { connection, names, certificate: served.certificate.clone() })
    }
}

impl Files {
    fn read(&self) -> Result<Served, TlsError> {
        let identity = self.identity.load()?;
        let certificate = identity.chain.first().cloned().unwrap_or_else(|| Vec::new().into());
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match &self.authorities {
            Some(path) => {
                let roots = Arc::new(files::authorities(path)?);
                // A client without a certificate is told so by an error of ours, as PostgreSQL does, where an
                // alert of TLS would leave its user in the dark.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| TlsError::File { path: path.clone(), reason: error.to_string() })?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(identity.chain, identity.key)
            .map_err(|reason| self.identity.mismatch(reason))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Served { config: Arc::new(config), certificate })
    }
}
