//! What SCRAM is bound to.

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::db::rfc5912;

/// The channel binding `tls-server-end-point`: the server's certificate, hashed as it was for its own signature, but
/// never by MD5 or SHA-1. `None` for signatures of which PostgreSQL does not know the hash.
///
/// <https://www.rfc-editor.org/rfc/rfc5929#section-4>
pub fn server_end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let oid = Certificate::from_der(certificate).ok()?.signature_algorithm.oid;
    match oid {
        rfc5912::MD_5_WITH_RSA_ENCRYPTION
        | rfc5912::SHA_1_WITH_RSA_ENCRYPTION
        | rfc5912::SHA_256_WITH_RSA_ENCRYPTION
        | rfc5912::ECDSA_WITH_SHA_256 => Some(Sha256::digest(certificate).to_vec()),
        rfc5912::SHA_384_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_384 => {
            Some(Sha384::digest(certificate).to_vec())
        }
        rfc5912::SHA_512_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_512 => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}
