//! Authentication relayed, under every combination of TLS.

use std::net::SocketAddr;

use super::{encrypted, psql};
use crate::support::{Cluster, Issued, PASSWORD, Proxy};

fn proxy(upstream: SocketAddr, upstream_tls: &str, shown: &Issued) -> Proxy {
    let (certificate, key) = (shown.certificate.display().to_string(), shown.key.display().to_string());
    Proxy::start_with(
        upstream,
        "version = 1\n",
        &[
            ("PGSEAL_TLS", "optional"),
            ("PGSEAL_TLS_CERT", &certificate),
            ("PGSEAL_TLS_KEY", &key),
            ("PGSEAL_UPSTREAM_TLS", upstream_tls),
        ],
    )
}

#[test]
fn scram_works_wherever_it_can_and_says_why_where_it_cannot() {
    let (authority, server, cluster) = encrypted();
    let own = authority.server("own");
    let plain = proxy(Cluster::shared().address(), "disable", &own);
    let tls = proxy(cluster.address(), "require", &own);
    let same = proxy(cluster.address(), "require", server);
    const CANNOT: &str = "cannot pass from one TLS connection to another";
    // (proxy, sslmode of the client, what it is told under channel_binding=disable, prefer and require)
    let cases = [
        ("plain", &plain, "disable", ["in", "in", "channel binding required"]),
        ("plain", &plain, "require", ["in", "in", "server did not offer"]),
        ("encrypted", &tls, "disable", ["in", "in", "channel binding required"]),
        ("encrypted", &tls, "require", ["in", CANNOT, "server did not offer"]),
        ("same", &same, "disable", ["in", "in", "channel binding required"]),
        ("same", &same, "require", ["in", "in", "in"]),
    ];
    for (name, proxy, mode, expected) in cases {
        for (binding, expected) in ["disable", "prefer", "require"].into_iter().zip(expected) {
            for (password, expected) in [(PASSWORD, expected), ("wrong", "")] {
                let answer = psql(&format!(
                    "host=127.0.0.1 port={} user=by_scram dbname=postgres password='{password}' sslmode={mode} \
                     channel_binding={binding} gssencmode=disable",
                    proxy.address().port()
                ));
                let case = format!("{name} {mode} {binding} {password}: {answer:?}");
                match expected {
                    "in" => assert_eq!(answer, (true, "in".to_owned()), "{case}"),
                    text => assert!(!answer.0 && answer.1.contains(text), "{case}"),
                }
                if expected == CANNOT {
                    assert!(answer.1.contains("HINT:  Connect with channel_binding=disable"), "{case}");
                }
            }
        }
    }
}

#[test]
fn passwords_work_under_every_combination() {
    let (authority, _, cluster) = encrypted();
    let own = authority.server("own2");
    for (upstream, upstream_tls) in [(Cluster::shared().address(), "disable"), (cluster.address(), "require")]
    {
        let proxy = proxy(upstream, upstream_tls, &own);
        for mode in ["disable", "require"] {
            for role in ["by_password", "by_md5"] {
                for (password, may) in [(PASSWORD, true), ("wrong", false)] {
                    let (entered, text) = psql(&format!(
                        "host=127.0.0.1 port={} user={role} dbname=postgres password='{password}' sslmode={mode}",
                        proxy.address().port()
                    ));
                    assert_eq!(entered, may, "{upstream_tls} {mode} {role} {password}: {text}");
                    assert!(may || text.contains("password authentication failed"), "{text}");
                }
            }
        }
    }
}
