//! Names in certificates.

use std::net::IpAddr;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::{Certificate, Version, attr::AttributeValue};

/// The names of whom a certificate is for, as far as a user can bear them: its subject's common name, and its
/// alternative names that are host names, mail addresses or URIs. Of a certificate that cannot be read, and of one
/// with several common names, there are none: which would be meant?
pub(super) fn users(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(certificate) else { return Vec::new() };
    let alternative = alternatives(&certificate).into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) | GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
        GeneralName::Rfc822Name(name) => Some(name.to_string()),
        _ => None,
    });
    common_name(&certificate).into_iter().chain(alternative).collect()
}

/// By what a certificate says which hosts it is for.
pub(super) enum Named {
    ByAlternatives,
    ByCommonName(String),
    Not,
}

pub(super) fn of_host(certificate: &CertificateDer<'_>) -> Named {
    let Ok(certificate) = Certificate::from_der(certificate) else { return Named::Not };
    let names_a_host =
        |name: &GeneralName| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_));
    if alternatives(&certificate).iter().any(names_a_host) {
        return Named::ByAlternatives;
    }
    common_name(&certificate).map_or(Named::Not, Named::ByCommonName)
}

/// Whether a common name is a host's, or its first label is `*` and the rest is the host's behind its first label.
pub(super) fn matches(common: &str, host: &str) -> bool {
    let (common, host) = (common.to_ascii_lowercase(), host.trim_end_matches('.').to_ascii_lowercase());
    let wild = || {
        let (domain, (label, rest)) = (common.strip_prefix("*.")?, host.split_once('.')?);
        // Addresses have no domains, and a star for a whole top level domain means nobody.
        let is_name = host.parse::<IpAddr>().is_err() && domain.contains('.');
        Some(is_name && !label.is_empty() && domain == rest)
    };
    common == host || wild().unwrap_or(false)
}

/// Whether a certificate is of the first version of X.509, which has no extensions.
pub(super) fn is_of_version_1(certificate: &CertificateDer<'_>) -> bool {
    Certificate::from_der(certificate).is_ok_and(|c| c.tbs_certificate.version == Version::V1)
}

/// Whether a certificate's time has come and is not over.
pub(super) fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let certificate = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = certificate.tbs_certificate.validity;
    let now = Duration::from_secs(now.as_secs());
    if now < validity.not_before.to_unix_duration() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.to_unix_duration() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// The only common name of the subject.
fn common_name(certificate: &Certificate) -> Option<String> {
    let attributes = certificate.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
    let mut names = attributes.filter(|attribute| attribute.oid == CN);
    let name = names.next()?;
    if names.next().is_some() {
        return None;
    }
    text(&name.value)
}

fn text(value: &AttributeValue) -> Option<String> {
    let utf8 = || value.decode_as::<Utf8StringRef<'_>>().ok().map(|s| s.as_str().to_owned());
    let printable = || value.decode_as::<PrintableStringRef<'_>>().ok().map(|s| s.as_str().to_owned());
    let teletex = || value.decode_as::<TeletexStringRef<'_>>().ok().map(|s| s.as_str().to_owned());
    let ia5 = || value.decode_as::<Ia5StringRef<'_>>().ok().map(|s| s.as_str().to_owned());
    utf8().or_else(printable).or_else(teletex).or_else(ia5)
}

fn alternatives(certificate: &Certificate) -> Vec<GeneralName> {
    let found = certificate.tbs_certificate.get::<SubjectAltName>();
    found.ok().flatten().map(|(_, names)| names.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_is_a_hosts_or_a_stars() {
        let cases = [
            ("db.example.com", "db.example.com", true),
            ("DB.example.com", "db.Example.com.", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.com", "example.com", false),
            ("*", "localhost", false),
            ("d*.example.com", "db.example.com", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("", "", true),
        ];
        for (common, host, expected) in cases {
            assert_eq!(matches(common, host), expected, "{common} {host}");
        }
    }
}
