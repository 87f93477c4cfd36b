//! Names in certificates.

use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::{Certificate, attr::AttributeValue};

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
