//! Client certificates in the place of passwords, and beside them.

use super::{PASSWORD, Users, proxy, psql, stored};
use crate::support::{Authority, Cluster, Proxy, Wanted};

#[test]
fn a_certificate_lets_its_user_in_and_the_proxy_shows_its_own_to_the_server() {
    let authority = Authority::new();
    let cluster = Cluster::encrypted(&authority.server("server"), &authority);
    let own = authority.server("own");
    let of = |name: &'static str| authority.issue(name, Wanted { name, ..Wanted::default() });
    let (of_certificate, of_scram) = (of("by_certificate"), of("by_scram"));
    let path = |path: &std::path::Path| path.display().to_string();
    let (certificate, key, ca) = (path(&own.certificate), path(&own.key), path(&authority.file()));
    let (shown, shown_key) = (path(&of_certificate.certificate), path(&of_certificate.key));
    let environment = [
        ("PGSEAL_TLS", "mutual"),
        ("PGSEAL_TLS_CERT", certificate.as_str()),
        ("PGSEAL_TLS_KEY", &key),
        ("PGSEAL_TLS_CLIENT_CA", &ca),
        ("PGSEAL_UPSTREAM_CA", &ca),
        ("PGSEAL_UPSTREAM_CERT", &shown),
        ("PGSEAL_UPSTREAM_KEY", &shown_key),
    ];
    let mut by_certificate = environment.to_vec();
    by_certificate.extend([("PGSEAL_AUTH", "terminate"), ("PGSEAL_AUTH_METHOD", "certificate")]);
    let certificates = Proxy::start_with(cluster.address(), "version = 1\n", &by_certificate);
    let with = |issued: &crate::support::Issued| {
        format!("sslmode=require sslcert={} sslkey={}", path(&issued.certificate), path(&issued.key))
    };
    let entered = psql(&certificates, "by_certificate", "", &with(&of_certificate));
    assert_eq!(entered, (true, "by_certificate".to_owned()));
    let (may, text) = psql(&certificates, "by_certificate", "", &with(&of_scram));
    assert!(!may && text.contains("certificate authentication failed for user \"by_certificate\""), "{text}");
    let (may, text) = psql(&certificates, "by_certificate", "", "sslmode=require sslcert=/nonexistent");
    assert!(!may && text.contains("connection requires a valid client certificate"), "{text}");
    // The server asks for a password that nobody has given.
    let (may, text) = psql(&certificates, "by_scram", "", &with(&of_scram));
    assert!(!may && text.contains("asks for authentication by scram-sha-256"), "{text}");

    // Both: the certificate and the password.
    let users = Users::new(&[("by_scram", &stored(&cluster, "by_scram"))]);
    let both = proxy(&cluster, &users.file(), &environment);
    let entered = psql(&both, "by_scram", PASSWORD, &with(&of_scram));
    assert_eq!(entered, (true, "by_scram".to_owned()));
    assert!(!psql(&both, "by_scram", "wrong", &with(&of_scram)).0);
    assert!(!psql(&both, "by_scram", PASSWORD, &with(&of_certificate)).0);
}
