use super::harness::*;
use crate::wire::frontend::Target;

const REFUSED: &str = "select upper(email) from users where note = 'canary'";

fn stands_in(lines: &[String]) {
    assert!(lines.iter().all(|l| !l.contains("canary") && !l.contains("upper")), "{lines:?}");
    assert!(lines[0].contains("! refused by pgseal"), "{lines:?}");
}

#[test]
fn a_refused_query_is_answered_in_the_place_of_a_failing_one() {
    transcript(|p| {
        p.client(&query(REFUSED));
        stands_in(&p.sent());
        p.server(&[error("42601", &[(b'P', "1")]), ready('I')].concat());
        let told = p.told();
        assert!(told[0].starts_with("ERROR 0A000"), "{told:?}");
        assert!(told[0].contains("public.users.email"), "{told:?}");
        assert_eq!(told[1], "Ready I");
    });
}

#[test]
fn in_a_failed_transaction_a_refused_statement_gets_what_any_statement_gets() {
    transcript(|p| {
        p.client(&query("begin"));
        p.server(&[complete("BEGIN"), ready('T')].concat());
        p.client(&query("select v from plain"));
        p.server(&[error("22012", &[]), ready('E')].concat());
        p.told();
        p.client(&query(REFUSED));
        p.server(&[error("42601", &[]), ready('E')].concat());
        assert!(p.told()[0].starts_with("ERROR 25P02"));
        p.client(&query("rollback"));
        p.server(&[complete("ROLLBACK"), ready('I')].concat());
        assert_eq!(p.told(), ["CommandComplete ROLLBACK", "Ready I"]);
    });
}

#[test]
fn a_refused_parse_makes_the_server_discard_what_follows() {
    transcript(|p| {
        p.client(&[parse("a", "select v from plain", &[]), bind("", "a", &[]), execute("", 0)].concat());
        p.client(&[parse("s", REFUSED, &[]), bind("", "s", &[]), execute("", 0), bare(b'S')].concat());
        let sent = p.sent();
        assert!(sent.iter().all(|l| !l.contains("canary")), "{sent:?}");
        assert_eq!(sent[3], r#"Parse "s" ! refused by pgseal []"#);
        p.server(&[bare(b'1'), bare(b'2'), row(&[Some(b"x")]), complete("SELECT 1")].concat());
        p.server(&[error("42601", &[]), ready('I')].concat());
        let told = p.told();
        assert_eq!(told.len(), 6, "{told:?}");
        assert!(told[4].starts_with("ERROR 0A000"), "{told:?}");
        assert_eq!(told[5], "Ready I");
    });
}

#[test]
fn a_server_error_before_a_refused_statement_leaves_that_unanswered() {
    transcript(|p| {
        p.client(&[parse("", "select v from nowhere", &[]), parse("", REFUSED, &[]), bare(b'S')].concat());
        p.server(&[error("42P01", &[]), ready('I')].concat());
        assert_eq!(p.told(), ["ERROR 42P01 server says no", "Ready I"]);
    });
}

#[test]
fn a_parameter_that_is_no_value_of_its_column_fails_its_bind_and_is_not_sent() {
    transcript(|p| {
        p.client(&parse("s", "insert into users (email) values ($1)", &[]));
        p.server(&bare(b'1'));
        p.sent();
        p.client(&[bind("", "s", &[Some(b"canary\xff")]), execute("", 0), bare(b'S')].concat());
        let sent = p.sent();
        assert!(sent[0].contains("! refused by pgseal"), "{sent:?}");
        assert!(sent.iter().all(|l| !l.contains("canary")), "{sent:?}");
        p.server(&[error("26000", &[]), ready('I')].concat());
        let told = p.told();
        assert!(told[1].starts_with("ERROR 22021"), "{told:?}");
        assert_eq!(told[2], "Ready I");
    });
}

#[test]
fn another_error_than_the_expected_one_is_the_servers_own() {
    transcript(|p| {
        p.client(&query(REFUSED));
        p.server(&[error("57014", &[]), ready('I')].concat());
        assert_eq!(p.told(), ["ERROR 57014 server says no", "Ready I"]);
    });
}

#[test]
fn a_text_is_refused_whole() {
    transcript(|p| {
        p.client(&query(&format!("insert into users (email) values ('canary'); {REFUSED}")));
        stands_in(&p.sent());
    });
}

#[test]
fn copy_data_behind_a_refused_copy_does_not_reach_the_server() {
    transcript(|p| {
        p.client(
            &[
                &query("copy users (email) from stdin where email is null")[..],
                b"d\0\0\0\x0acanary",
                b"c\0\0\0\x04",
            ]
            .concat(),
        );
        stands_in(&p.sent());
        p.server(&[error("42601", &[]), ready('I')].concat());
        assert!(p.sent().is_empty());
        p.client(&query("select v from plain"));
        assert_eq!(p.sent(), ["Query select v from plain"]);
    });
}

#[test]
fn fast_path_calls_are_refused_but_for_large_objects() {
    transcript(|p| {
        let call = |oid: u32| [&b"F\0\0\0\x0e"[..], &oid.to_be_bytes(), &[0, 0, 0, 0, 0, 0]].concat();
        p.client(&call(871));
        assert_eq!(p.sent_bytes(), call(0));
        p.server(&[error("42883", &[]), ready('I')].concat());
        assert!(p.told()[0].starts_with("ERROR 0A000"));
        p.client(&call(952));
        assert_eq!(p.sent_bytes(), call(952));
    });
}

#[test]
fn other_encodings_than_utf8_may_not_touch_protected_tables() {
    transcript(|p| {
        p.encoding = "LATIN1";
        p.server(&parameter("client_encoding", p.encoding));
        p.client(&query("insert into users (email) values ('canary')"));
        stands_in(&p.sent());
        p.server(&[error("42601", &[]), ready('I')].concat());
        let plain = query("select v from plain");
        p.client(&plain);
        assert_eq!(p.sent_bytes(), plain);
    });
    transcript(|p| {
        p.client(&[parse("s", "insert into users (email) values ($1)", &[]), bare(b'S')].concat());
        p.encoding = "LATIN1";
        p.server(&[bare(b'1'), ready('I'), parameter("client_encoding", p.encoding)].concat());
        p.sent();
        p.client(&bind("", "s", &[Some(b"canary")]));
        stands_in(&p.sent());
    });
}

#[test]
fn what_a_protected_statement_gives_cannot_become_a_table() {
    transcript(|p| {
        p.client(&[parse("s", "insert into users (email) values ($1)", &[]), bare(b'S')].concat());
        p.server(&[bare(b'1'), ready('I')].concat());
        p.sent();
        p.client(&query("create table x as execute s('canary')"));
        stands_in(&p.sent());
        p.server(&[error("42601", &[]), ready('I')].concat());
        p.client(&[close(Target::Statement(b"s")), bare(b'S')].concat());
    });
}

#[test]
fn constants_for_a_statement_that_was_not_prepared_are_not_sent() {
    transcript(|p| {
        let refuse = |p: &mut Peers, bytes: &[u8]| {
            p.client(bytes);
            stands_in(&p.sent());
            p.server(&[error("42601", &[]), ready('I')].concat());
        };
        refuse(p, &query("prepare \"P\" as select upper(email) from users where email = $1"));
        refuse(p, &query("execute \"P\"('canary')"));
        refuse(p, &[parse("s", REFUSED, &[]), bare(b'S')].concat());
        refuse(p, &query("explain execute s('canary')"));
        refuse(p, &query("execute never_prepared('canary')"));
        p.client(&query("prepare \"P\" as select v from plain where v = $1"));
        p.server(&[complete("PREPARE"), ready('I')].concat());
        p.sent();
        p.client(&query("execute \"P\"('canary')"));
        assert_eq!(p.sent(), ["Query execute \"P\"('canary')"]);
    });
}
