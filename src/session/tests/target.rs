use super::harness::*;
use crate::session::{ClientTls, Event, Target};
use crate::wire::frame::HEAD;

const SHOW: &str = "Query SHOW transaction_read_only";
const IN_RECOVERY: &str = "Query SELECT pg_catalog.pg_is_in_recovery()";

fn greeted(target: Target) -> Peers {
    let mut p = Peers::new(usize::MAX, POLICY);
    p.session.choose(target);
    p.client(&startup(3, 0, &[("user", "u"), ("database", "d")]));
    p.sent_bytes();
    p
}

fn in_hot_standby(on: bool) -> Vec<u8> {
    [auth_ok(), parameter("in_hot_standby", if on { "on" } else { "off" })].concat()
}

/// Whether the shell was asked for another server, and whether it may be.
fn unsuited(p: &mut Peers) -> Option<(String, bool)> {
    while let Some(event) = p.take_event() {
        if let Event::Unsuited { error, may_go_on } = event {
            return Some((error.message.to_string(), may_go_on));
        }
    }
    None
}

fn answer(value: &str) -> Vec<u8> {
    [row(&[Some(value.as_bytes())]), ready('I')].concat()
}

#[test]
fn a_wrong_server_leaves_no_trace_and_the_next_one_is_greeted_as_it_was() {
    let mut p = greeted(Target::Primary);
    p.server(&[in_hot_standby(true), parameter("DateStyle", "German"), ready('I')].concat());
    assert_eq!(unsuited(&mut p), Some(("server is in hot standby mode".to_owned(), true)));
    assert!(p.told_bytes().is_empty());
    p.session.greet_another(String::new());
    assert_eq!(p.sent_bytes(), startup(3, 0, &[("user", "u"), ("database", "d")]));
    let right = [in_hot_standby(false), ready('I')].concat();
    p.server(&right);
    assert_eq!(unsuited(&mut p), None);
    assert_eq!(p.told_bytes(), right);
    assert!(p.session.is_ready());
}

#[test]
fn a_server_that_does_not_say_what_it_is_is_asked_before_the_client_is_told() {
    for (target, question, wanted, other) in [
        (Target::ReadWrite, SHOW, "off", "on"),
        (Target::ReadOnly, SHOW, "on", "off"),
        (Target::Primary, IN_RECOVERY, "f", "t"),
        (Target::Standby, IN_RECOVERY, "t", "f"),
    ] {
        for value in [wanted, other] {
            let mut p = greeted(target);
            let login = [auth_ok(), ready('I')].concat();
            p.server(&login);
            assert_eq!(p.sent(), [question]);
            assert!(p.told_bytes().is_empty());
            p.server(&answer(value));
            if value == wanted {
                assert_eq!((unsuited(&mut p), p.told_bytes()), (None, login), "{target:?}");
            } else {
                assert!(unsuited(&mut p).is_some() && p.told_bytes().is_empty(), "{target:?}");
            }
        }
    }
}

#[test]
fn who_has_given_a_password_is_not_taken_elsewhere() {
    for (target, stays) in [(Target::Standby, false), (Target::PreferStandby, true)] {
        let mut p = greeted(target);
        let asks = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];
        p.server(&asks);
        assert_eq!(p.told_bytes(), asks);
        p.client(b"p\0\0\0\x05\0");
        let rest = [in_hot_standby(false), ready('I')].concat();
        p.server(&rest);
        if stays {
            assert_eq!((unsuited(&mut p), p.told_bytes()), (None, rest));
        } else {
            assert_eq!(unsuited(&mut p).map(|(_, may_go_on)| may_go_on), Some(false));
            assert!(p.told_bytes().is_empty());
        }
    }
}

#[test]
fn a_server_that_starts_is_passed_over_and_other_errors_are_the_clients() {
    for (code, goes_on) in [("57P03", true), ("28P01", false)] {
        let mut p = greeted(Target::Any);
        let error = error(code, &[(b'M', "no")]);
        p.server(&error);
        assert_eq!(unsuited(&mut p).is_some(), goes_on);
        assert_eq!(p.told_bytes(), if goes_on { Vec::new() } else { error });
    }
}

#[test]
fn a_login_without_end_ends() {
    let mut p = Peers::with_tls(ClientTls::Off);
    p.session.choose(Target::Primary);
    p.client(&startup(3, 0, &[("user", "u")]));
    let notice = parameter("x", &"y".repeat(60_000 - HEAD));
    for _ in 0..5 {
        p.server(&notice);
    }
    assert!(p.session.has_ended());
}
