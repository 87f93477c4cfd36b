//! Certificates, made where they are used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::cluster::temporary_folder;

/// An authority with a folder for what it issues.
pub struct Authority {
    folder: PathBuf,
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is to say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The common name of its subject.
    pub name: &'a str,
    /// Host names and addresses.
    pub hosts: &'a [&'a str],
    /// A mail address.
    pub mail: Option<&'a str>,
    /// Its time is over.
    pub expired: bool,
}

/// A certificate and its key in files.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // A name of its own: among authorities of one name, signatures are what fails, with other texts.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = temporary_folder(None);
        fs::write(folder.join("ca.crt"), certificate.pem()).expect("a file");
        Self { folder, certificate, issuer: Issuer::new(params, key) }
    }

    /// The file of its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The folder of all its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Moves its files into a folder that somebody else removes: what is kept in a static is not dropped.
    pub fn settle(&mut self, folder: &Path) {
        let folder = folder.join("authority");
        fs::rename(&self.folder, &folder).expect("a folder moves");
        self.folder = folder;
    }

    /// A certificate for `localhost` and 127.0.0.1.
    pub fn server(&self, file: &str) -> Issued {
        self.issue(file, Wanted { name: "a server", hosts: &["localhost", "127.0.0.1"], ..Wanted::default() })
    }

    /// A certificate in `FILE.crt` and its key in `FILE.key`.
    pub fn issue(&self, file: &str, wanted: Wanted<'_>) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let params = parameters(wanted);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(file, &certificate.pem(), &key.serialize_pem())
    }

    /// A certificate that nobody has signed but its own key, and that is an authority's, as `openssl req -x509` makes
    /// them.
    pub fn self_signed(&self, file: &str, wanted: Wanted<'_>) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let mut params = parameters(wanted);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        self.write(file, &certificate.pem(), &key.serialize_pem())
    }

    fn write(&self, file: &str, certificate: &str, key: &str) -> Issued {
        let path = |end: &str| self.folder.join(format!("{file}.{end}"));
        let issued = Issued { certificate: path("crt"), key: path("key") };
        fs::write(&issued.certificate, certificate).expect("a file");
        fs::write(&issued.key, key).expect("a file");
        fs::set_permissions(&issued.key, fs::Permissions::from_mode(0o600)).expect("permissions");
        issued
    }

    /// A client that trusts this authority and nobody else, names the protocols and shows a certificate.
    pub fn client(&self, protocols: &[&str], shown: Option<&Issued>) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let (chain, key) = shown.read();
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Issued {
    /// The certificate and the key themselves.
    pub fn read(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_file_iter(&self.certificate).expect("a file");
        let chain = chain.map(|certificate| certificate.expect("a certificate")).collect();
        (chain, PrivateKeyDer::from_pem_file(&self.key).expect("a key"))
    }

    /// A server that shows it.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let (chain, key) = self.read();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions");
        Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).expect("a pair"))
    }
}

fn parameters(wanted: Wanted<'_>) -> CertificateParams {
    let hosts: Vec<String> = wanted.hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("host names");
    if let Some(mail) = wanted.mail {
        params.subject_alt_names.push(SanType::Rfc822Name(mail.try_into().expect("an address")));
    }
    params.distinguished_name = rcgen::DistinguishedName::new();
    if !wanted.name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, wanted.name);
    }
    let years = if wanted.expired { (2001, 2002) } else { (2001, 2101) };
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    params
}
