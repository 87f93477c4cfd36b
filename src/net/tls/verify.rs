//! Whom a connection to a server may reach.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::files::{self, Pair, TlsError};
use super::names::{self, Named};
use super::{ALPN, provider};

/// Whom a server's certificate has to be from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// An authority that this system trusts.
    System,
    /// One of those in a file, or the certificate is itself in the file.
    File(PathBuf),
}

impl From<&Path> for Roots {
    /// The word `system` stands for the system's own.
    fn from(path: &Path) -> Self {
        if path.as_os_str() == "system" { Self::System } else { Self::File(path.into()) }
    }
}

/// What is verified of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: what is sent is safe from those who only listen.
    Anyone,
    /// That its certificate is from an authority.
    Authority(Roots),
    /// And that it bears the host's name.
    Host(Roots),
}

/// A configuration for connections to servers: whom to trust, and the certificate to show to a server that asks.
///
/// # Errors
/// A file that is not what it has to be.
pub fn connector(trust: &Trust, identity: Option<&Pair>) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let (by_name, roots) = match trust {
        Trust::Anyone => (false, None),
        Trust::Authority(roots) => (false, Some(roots)),
        Trust::Host(roots) => (true, Some(roots)),
    };
    let algorithms = provider.signature_verification_algorithms;
    let roots = roots.map(Anchors::load).transpose()?;
    let verifier = Verifier { roots, by_name, algorithms };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // Not more dangerous than the library's own: it does all that one does, and takes what libpq takes.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let identity = pair.load()?;
            builder
                .with_client_auth_cert(identity.chain, identity.key)
                .map_err(|reason| pair.mismatch(reason))?
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct Anchors {
    store: RootCertStore,
    /// The certificates of a file as they stand there: a server may show one of these.
    pinned: Vec<CertificateDer<'static>>,
}

impl Anchors {
    fn load(roots: &Roots) -> Result<Self, TlsError> {
        match roots {
            Roots::File(path) => {
                Ok(Self { store: files::authorities(path)?, pinned: files::certificates(path)? })
            }
            Roots::System => {
                let found = rustls_native_certs::load_native_certs();
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(found.certs);
                if store.is_empty() {
                    let reason = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
                    return Err(TlsError::NoRoots(reason));
                }
                Ok(Self { store, pinned: Vec::new() })
            }
        }
    }
}

#[derive(Debug)]
struct Verifier {
    /// Without them nothing is verified but that the server has the key of its certificate.
    roots: Option<Anchors>,
    by_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(anchors) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(certificate).map_err(|error| {
            if names::is_of_version_1(certificate) { Error::General(VERSION_1.to_owned()) } else { error }
        })?;
        if anchors.pinned.contains(certificate) {
            // What `openssl req -x509` makes is an authority's certificate, which no chain may end in. Somebody has
            // put this very one into the file.
            names::check_dates(certificate, now)?;
        } else {
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &anchors.store,
                intermediates,
                now,
                algorithms,
            )?;
        }
        if self.by_name {
            verify_name(&parsed, certificate, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

const VERSION_1: &str = "the server's certificate is of X.509 version 1, which cannot be verified: issue it with an \
                         extension, such as subjectAltName";

/// As libpq does: the alternative names decide, and the common name only of a certificate that has none of them.
///
/// <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBQ-SSL-CERTIFICATES>
fn verify_name(
    parsed: &ParsedCertificate<'_>,
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> Result<(), Error> {
    let Err(error) = verify_server_name(parsed, name) else { return Ok(()) };
    match names::of_host(certificate) {
        Named::ByCommonName(common) if names::matches(&common, &name.to_str()) => Ok(()),
        Named::ByCommonName(common) => Err(Error::General(format!(
            "invalid peer certificate: it is for \"{common}\", and not for \"{}\"",
            name.to_str()
        ))),
        Named::ByAlternatives | Named::Not => Err(error),
    }
}

/// True if it is the server's certificate that was found wanting, and not the connection.
pub(super) fn is_about_certificate(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(_) => true,
        Error::General(text) => text == VERSION_1 || text.starts_with("invalid peer certificate"),
        _ => false,
    }
}
