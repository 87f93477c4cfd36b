//! Certificates and private keys from files in PEM form.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::keyring::{self, DiskError};

/// The longest file of a private key that is read: RSA keys of 16,384 bits take 13 kB.
const MAX_KEY: u64 = 64 * 1024;

/// What is wrong with the settings of TLS, or with the files that they name.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Settings that do not go together.
    #[error("{0}")]
    Settings(&'static str),
    /// A file without what it should hold.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A private key that cannot be read, or that others can read.
    #[error(transparent)]
    Key(#[from] DiskError),
    /// A certificate and a key that cannot be used together.
    #[error("certificate {certificate} cannot be used with key {key}: {reason}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: rustls::Error,
    },
    /// The system has no certificates of authorities.
    #[error("no certificate of an authority was found on this system{0}: name a file of them")]
    NoRoots(String),
    /// The host of the server is neither a name nor an address.
    #[error("\"{0}\" is no host name that a certificate could bear")]
    Host(String),
    /// The library refuses its own parameters.
    #[error("TLS cannot be set up: {0}")]
    Library(String),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Library(error.to_string())
    }
}

/// A file with a certificate and those of the authorities between it and a root, and the file of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificates.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What a [`Pair`] holds.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Pair {
    pub(super) fn load(&self) -> Result<Identity, TlsError> {
        let bytes = keyring::read_private(&self.key, MAX_KEY)?;
        // The library's own texts may quote what they do not understand.
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| TlsError::File {
            path: self.key.clone(),
            reason: "it holds no private key in PEM form (one without a passphrase)".to_owned(),
        })?;
        Ok(Identity { chain: certificates(&self.certificate)?, key })
    }

    /// The error for a certificate and a key that do not belong together.
    pub(super) fn mismatch(&self, reason: rustls::Error) -> TlsError {
        TlsError::Pair { certificate: self.certificate.clone(), key: self.key.clone(), reason }
    }
}

/// The certificates in a file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let problem = |reason: String| TlsError::File { path: path.into(), reason };
    let bytes = std::fs::read(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(problem("it holds no certificates in PEM form".to_owned())),
    }
}

/// The certificates in a file as authorities.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store
            .add(certificate)
            .map_err(|error| TlsError::File { path: path.into(), reason: error.to_string() })?;
    }
    Ok(store)
}
