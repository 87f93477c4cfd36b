use bytes::BufMut as _;

use super::harness::*;
use crate::session::{ClientTls, Event, ServerLink};
use crate::wire::reader::{message, put_cstr};
use crate::wire::sasl;
use crate::wire::startup::write_negotiate;

fn negotiation(options: &[&str]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    write_negotiate(&mut out, 2, &options.iter().map(|o| o.as_bytes().to_vec()).collect::<Vec<_>>());
    out.to_vec()
}

#[test]
fn encryption_requests_are_declined_and_the_startup_packet_goes_on_as_it_came() {
    for chunk in [usize::MAX, 1] {
        let mut p = Peers::new(chunk, POLICY);
        p.client(&[0, 0, 0, 8, 4, 210, 22, 48]);
        p.client(&[0, 0, 0, 8, 4, 210, 22, 47]);
        assert_eq!(p.told_bytes(), b"NN");
        let packet = startup(3, 0, &[("user", "u"), ("database", "d"), ("application_name", "x")]);
        p.client(&packet);
        assert_eq!(p.sent_bytes(), packet);
        assert_eq!(p.session.database(), Some("d"));
    }
}

#[test]
fn a_newer_protocol_is_negotiated_down_in_the_servers_place_or_with_it() {
    for (server_says, options) in [(None, &["_pq_.a"][..]), (Some(&["_pq_.b"][..]), &["_pq_.a", "_pq_.b"])] {
        let mut p = Peers::new(usize::MAX, POLICY);
        p.client(&startup(3, 9999, &[("user", "u"), ("_pq_.a", "1")]));
        assert_eq!(p.sent_bytes(), startup(3, 2, &[("user", "u")]));
        if let Some(more) = server_says {
            p.server(&negotiation(more));
        }
        p.server(&auth_ok());
        assert_eq!(p.told_bytes(), [negotiation(options), auth_ok()].concat());
    }
}

#[test]
fn an_old_protocol_is_told_so() {
    let mut p = Peers::new(usize::MAX, POLICY);
    p.client(&[0, 0, 0, 8, 0, 2, 0, 0]);
    assert_eq!(p.told(), ["FATAL 0A000 unsupported frontend protocol 2.0: the proxy supports 3.0 to 3.2"]);
    assert!(p.session.has_ended());
}

#[test]
fn a_cancel_request_is_handed_on_as_it_came() {
    let packet = [0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2];
    let mut p = Peers::new(usize::MAX, POLICY);
    p.client(&packet);
    assert!(matches!(p.take_event(), Some(Event::Cancel(sent)) if sent == packet));
    assert!(p.sent_bytes().is_empty());
}

#[test]
fn a_query_in_a_passwords_place_does_not_reach_the_server() {
    let mut p = Peers::new(usize::MAX, POLICY);
    p.client(&startup(3, 0, &[("user", "u")]));
    p.sent_bytes();
    let asks = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];
    p.server(&asks);
    p.client(&query("select 'secret'"));
    assert!(p.sent_bytes().is_empty());
    assert_eq!(p.told().last().unwrap(), "FATAL 08P01 expected password response, got message type 81");
    assert!(p.session.has_ended());
}

#[test]
fn a_query_sent_ahead_of_authentication_waits_for_its_end() {
    let mut p = Peers::new(usize::MAX, POLICY);
    p.client(&[startup(3, 0, &[("user", "u")]), query("select * from plain")].concat());
    p.sent_bytes();
    p.server(&auth_ok());
    assert!(p.sent_bytes().is_empty());
    p.offer();
    p.server(&ready('I'));
    assert_eq!(p.sent(), ["Query select * from plain"]);
}

#[test]
fn broken_startup_packets_end_the_session() {
    for packet in [
        &[0, 0, 0, 3, 0, 3, 0, 0][..],
        &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
        &[0, 0, 0, 12, 0, 3, 0, 0, b'u', b's', b'e', b'r'],
        &[0, 0, 0, 9, 4, 210, 22, 47, 0],
    ] {
        let mut p = Peers::new(1, POLICY);
        p.client(packet);
        assert!(p.session.has_ended(), "{packet:?}");
        assert!(p.sent_bytes().is_empty());
    }
}

const SSL_REQUEST: [u8; 8] = crate::wire::startup::SSL_REQUEST;

#[test]
fn tls_is_offered_and_what_is_demanded_is_demanded() {
    let names = || Some(vec!["somebody".to_owned(), "u".to_owned()]);
    // (what the proxy demands, whether the client encrypts, the names that it shows, what it is told)
    let cases = [
        (ClientTls::Optional, false, None, None),
        (ClientTls::Optional, true, None, None),
        (ClientTls::Required, true, None, None),
        (ClientTls::Mutual, true, names(), None),
        (
            ClientTls::Required,
            false,
            None,
            Some("connection requires TLS: user \"u\", database \"d\", no encryption"),
        ),
        (
            ClientTls::Mutual,
            false,
            None,
            Some("connection requires TLS: user \"u\", database \"d\", no encryption"),
        ),
        (ClientTls::Mutual, true, None, Some("connection requires a valid client certificate")),
        (ClientTls::Mutual, true, Some(vec![]), Some("certificate authentication failed for user \"u\"")),
        (
            ClientTls::Mutual,
            true,
            Some(vec!["U".to_owned(), "us".to_owned()]),
            Some("certificate authentication failed for user \"u\""),
        ),
    ];
    for (tls, encrypts, names, expected) in cases {
        let mut p = Peers::with_tls(tls);
        if encrypts {
            p.client(&SSL_REQUEST);
            assert_eq!(p.told_bytes(), b"S");
            assert!(matches!(p.take_event(), Some(Event::Handshake)));
            p.session.secured(names, None);
        }
        let packet = startup(3, 0, &[("user", "u"), ("database", "d")]);
        p.client(&packet);
        match expected {
            None => assert_eq!(p.sent_bytes(), packet),
            Some(text) => {
                assert!(p.sent_bytes().is_empty());
                assert!(p.told()[0].starts_with(&format!("FATAL 28000 {text}")), "{:?}", p.told());
                assert!(p.session.has_ended());
            }
        }
    }
}

#[test]
fn bytes_behind_a_request_for_encryption_end_the_session() {
    for tls in [ClientTls::Off, ClientTls::Optional] {
        let mut p = Peers::with_tls(tls);
        p.client(&[SSL_REQUEST.to_vec(), startup(3, 0, &[("user", "u")])].concat());
        assert!(p.take_event().is_none());
        assert!(p.told()[0].starts_with("FATAL 08P01 received unencrypted data after SSL request"));
        assert!(p.session.has_ended() && p.sent_bytes().is_empty());
    }
}

fn offer(names: &[&[u8]]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    sasl::write_mechanisms(&mut out, names);
    out.to_vec()
}

fn first_response(mechanism: &str, data: &str) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    message(&mut out, b'p', |b| {
        put_cstr(b, mechanism.as_bytes());
        b.put_u32(u32::try_from(data.len()).unwrap());
        b.put_slice(data.as_bytes());
    });
    out.to_vec()
}

#[test]
fn a_binding_is_offered_only_where_it_holds_from_end_to_end() {
    let both: [&[u8]; 2] = [b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"];
    // (how the server is connected, what it offers, what the client is offered)
    let other: [&[u8]; 1] = [b"OAUTHBEARER"];
    let cases = [
        (ServerLink::Plain, &both[1..], &both[1..]),
        (ServerLink::Encrypted, &both[..], &both[1..]),
        (ServerLink::SameCertificate, &both[..], &both[..]),
        (ServerLink::Encrypted, &other[..], &other[..]),
    ];
    for chunk in [usize::MAX, 1] {
        for (link, offered, expected) in cases {
            let mut p = Peers::new(chunk, POLICY);
            p.client(&startup(3, 0, &[("user", "u")]));
            p.session.linked(link, None);
            p.server(&offer(offered));
            assert_eq!(p.told_bytes(), offer(expected), "{link:?}");
        }
    }
    let mut p = Peers::new(usize::MAX, POLICY);
    p.client(&startup(3, 0, &[("user", "u")]));
    p.session.linked(ServerLink::Encrypted, None);
    p.server(&offer(&both[..1]));
    assert!(p.told()[0].starts_with("FATAL 28000 SCRAM authentication of a client"), "{:?}", p.told());
}

#[test]
fn a_client_that_could_have_bound_is_told_what_cannot_work() {
    // (how the server is connected, what the client answers, whether that goes on)
    let cases = [
        (ServerLink::Plain, first_response("SCRAM-SHA-256", "y,,n=,r=x"), true),
        (ServerLink::Encrypted, first_response("SCRAM-SHA-256", "n,,n=,r=x"), true),
        (ServerLink::Encrypted, first_response("SCRAM-SHA-256", "y,,n=,r=x"), false),
        (
            ServerLink::SameCertificate,
            first_response("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n="),
            true,
        ),
        (ServerLink::Encrypted, vec![b'p', 0, 0, 0, 5, b'y'], true),
    ];
    for (link, answer, goes_on) in cases {
        let mut p = Peers::new(usize::MAX, POLICY);
        p.client(&startup(3, 0, &[("user", "u")]));
        p.sent_bytes();
        p.session.linked(link, None);
        p.server(&offer(&[b"SCRAM-SHA-256"]));
        p.told_bytes();
        p.client(&answer);
        if goes_on {
            assert_eq!(p.sent_bytes(), answer);
        } else {
            assert!(p.sent_bytes().is_empty());
            assert!(p.told()[0].contains("cannot pass from one TLS connection to another"));
        }
    }
}
