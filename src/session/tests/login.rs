//! Authentication ended here, message by message.

use std::sync::Arc;

use bytes::BytesMut;
use zeroize::Zeroizing;

use super::harness::*;
use crate::scram::{Answer, MECHANISM, MECHANISM_PLUS, Offered, Secret, Verifier};
use crate::session::{Account, Event, Method, ServerLink};
use crate::wire::sasl;

const PASSWORD: &str = "correct horse";

fn verifier() -> Arc<Verifier> {
    Arc::new(Verifier::of_password(PASSWORD, b"0123456789abcdef", 4096))
}

fn account(password: Option<&str>) -> Account {
    Account {
        verifier: verifier(),
        is_known: true,
        password: password.map(|p| Zeroizing::new(p.to_owned())),
        nonces: ["for-client".to_owned(), "for-server".to_owned()],
    }
}

fn written(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    out.to_vec()
}

fn offer(names: &[&str]) -> Vec<u8> {
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    written(|out| sasl::write_mechanisms(out, &names))
}

fn data(code: u32, text: &str) -> Vec<u8> {
    written(|out| sasl::write_data(out, code, text.as_bytes()))
}

fn response(text: &str) -> Vec<u8> {
    written(|out| sasl::write_response(out, &[text.as_bytes()]))
}

fn first(mechanism: &str, text: &str) -> Vec<u8> {
    written(|out| sasl::write_initial_response(out, mechanism.as_bytes(), text.as_bytes()))
}

/// A message of AuthenticationSASL's family behind its code.
fn text(frame: &[u8]) -> &str {
    std::str::from_utf8(&frame[9..]).unwrap()
}

/// A client that has proved who it is, and its startup packet.
fn proved(chunk: usize, end_point: Option<&[u8]>, account: Account) -> Peers {
    let mut p = Peers::new(chunk, POLICY);
    p.session.terminate(Method::Scram);
    p.session.secured(None, end_point.map(<[u8]>::to_vec));
    let packet = startup(3, 0, &[("user", "u"), ("database", "d")]);
    p.client(&packet);
    assert!(matches!(p.take_event(), Some(Event::Login(user)) if user == "u"));
    assert!(p.sent_bytes().is_empty() && p.told_bytes().is_empty());
    p.session.recognized(account);
    let (mechanism, names) = match end_point {
        Some(_) => (MECHANISM_PLUS, &[MECHANISM_PLUS, MECHANISM][..]),
        None => (MECHANISM, &[MECHANISM][..]),
    };
    assert_eq!(p.told_bytes(), offer(names));
    let secret = Secret::Password(Zeroizing::new(PASSWORD.to_owned()));
    let (answer, message) = Answer::begin(secret, end_point, false, "client");
    p.client(&first(mechanism, &message));
    let (expected, message) = answer.respond(text(&p.told_bytes()).as_bytes()).unwrap();
    assert!(p.sent_bytes().is_empty());
    // What comes before it is let in waits.
    p.client(&[response(&message), query("select * from plain")].concat());
    assert!(matches!(p.take_event(), Some(Event::Judged(true))));
    expected.verify(text(&p.told_bytes()).as_bytes()).unwrap();
    assert_eq!(p.sent_bytes(), packet);
    p
}

#[test]
fn a_client_proves_itself_and_the_proxy_to_the_server_by_what_that_reveals() {
    for chunk in [usize::MAX, 1] {
        for (client, server) in [(None, None), (Some(&b"ours"[..]), None), (None, Some(&b"theirs"[..]))] {
            let mut p = proved(chunk, client, account(None));
            if let Some(server) = server {
                p.session.linked(ServerLink::Encrypted, Some(server.to_vec()));
            }
            p.server(&offer(&[MECHANISM_PLUS, MECHANISM][usize::from(server.is_none())..]));
            let sent = p.sent_bytes();
            let (mechanism, message) = sasl::read_initial_response(&sent[5..]).unwrap();
            let offered = Offered { verifier: verifier(), is_known: true, end_point: server };
            let (challenged, message) = offered.challenge(mechanism, message, "server").unwrap();
            p.server(&data(sasl::CONTINUE, &message));
            let proof = challenged.check(&p.sent_bytes()[5..]).unwrap();
            p.server(&data(sasl::FINAL, &proof.message));
            assert!(p.told_bytes().is_empty());
            p.server(&auth_ok());
            assert_eq!(p.told_bytes(), auth_ok());
            p.offer();
            p.server(&ready('I'));
            assert_eq!(p.sent(), ["Query select * from plain"]);
        }
    }
}

#[test]
fn a_server_that_does_not_prove_itself_is_left() {
    let begun = |messages: &[Vec<u8>]| {
        let mut p = proved(usize::MAX, None, account(Some(PASSWORD)));
        messages.iter().for_each(|message| p.server(message));
        assert!(p.session.has_ended());
        p.told().pop().unwrap()
    };
    let scram = || offer(&[MECHANISM]);
    let challenge = data(sasl::CONTINUE, "r=for-serverx,s=MDEyMw==,i=4096");
    let unproved = "FATAL 28000 the proxy cannot log in to the server as user \"u\"";
    for messages in [
        vec![scram(), auth_ok()],
        vec![scram(), challenge.clone(), auth_ok()],
        vec![scram(), challenge.clone(), data(sasl::FINAL, "v=MDEyMw==")],
        vec![offer(&["OAUTHBEARER"])],
        vec![offer(&[MECHANISM_PLUS])],
    ] {
        assert!(begun(&messages).starts_with(unproved), "{}", begun(&messages));
    }
    for messages in
        [vec![challenge.clone()], vec![scram(), scram()], vec![scram(), challenge.clone(), challenge]]
    {
        assert!(begun(&messages).starts_with("FATAL 08006"), "{}", begun(&messages));
    }
}

#[test]
fn passwords_are_given_in_the_form_that_is_asked_for() {
    let asks = |code: u32, salt: &[u8]| {
        written(|out| {
            sasl::write_data(out, code, salt);
        })
    };
    let mut p = proved(usize::MAX, None, account(Some(PASSWORD)));
    p.server(&asks(sasl::CLEARTEXT, b""));
    assert_eq!(p.sent_bytes(), response("correct horse\0"));
    let mut p = proved(usize::MAX, None, account(Some(PASSWORD)));
    p.server(&asks(sasl::MD5, b"salt"));
    let sent = p.sent_bytes();
    assert!(sent[5..].starts_with(b"md5") && sent.len() == 5 + 35 + 1);
    for code in [sasl::CLEARTEXT, sasl::MD5] {
        let mut p = proved(usize::MAX, None, account(None));
        p.server(&asks(code, b"salt"));
        assert!(p.told()[0].contains("cannot log in to the server") && p.sent_bytes().is_empty());
    }
}

#[test]
fn who_does_not_prove_it_costs_the_server_nothing() {
    for known in [true, false] {
        let mut p = Peers::new(usize::MAX, POLICY);
        p.session.terminate(Method::Scram);
        p.client(&startup(3, 0, &[("user", "u")]));
        p.take_event();
        p.session.recognized(Account { is_known: known, ..account(None) });
        p.told_bytes();
        p.client(&first(MECHANISM, "n,,n=,r=client"));
        p.told_bytes();
        let wrong = "c=biws,r=clientfor-client,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        p.client(&response(wrong));
        assert!(matches!(p.take_event(), Some(Event::Judged(false))));
        assert_eq!(p.told(), ["FATAL 28P01 password authentication failed for user \"u\""]);
        assert!(p.session.has_ended() && p.sent_bytes().is_empty());
    }
}

#[test]
fn a_newer_protocol_is_negotiated_before_authentication() {
    let mut p = Peers::new(usize::MAX, POLICY);
    p.session.terminate(Method::Certificate);
    p.client(&startup(3, 9999, &[("user", "u"), ("_pq_.a", "1")]));
    let negotiated = p.told_bytes();
    assert_eq!(negotiated.first(), Some(&b'v'));
    p.take_event();
    p.session.recognized(account(None));
    assert_eq!(p.sent_bytes(), startup(3, 2, &[("user", "u")]));
    p.server(&[negotiated, auth_ok()].concat());
    assert_eq!(p.told_bytes(), auth_ok());
}
