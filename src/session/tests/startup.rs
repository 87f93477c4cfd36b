use super::harness::*;
use crate::session::Event;
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
