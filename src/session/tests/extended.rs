use super::harness::*;
use crate::datum::Format;
use crate::wire::frontend::Target;

#[test]
fn parameters_are_sealed_and_types_shown_as_declared() {
    transcript(|p| {
        p.client(&parse("s", "select id, email from users where email = $1 and id = $2", &[]));
        p.client(&[describe(Target::Statement(b"s")), bare(b'S')].concat());
        assert_eq!(
            p.sent(),
            [
                r#"Parse "s" select id, email from public.users where email = $1 and id = $2 [17]"#,
                r#"Describe "S s""#,
                r#"Describe "S s""#,
                "Sync"
            ]
        );
        let described =
            [parameters(&[17, 23]), columns(&[("id", USERS, 1, 23), ("email", USERS, 2, 17)])].concat();
        p.server(&[bare(b'1'), described.clone(), described, ready('I')].concat());
        assert_eq!(
            p.told(),
            ["ParseComplete", "ParameterDescription [25, 23]", "RowDescription id:23 email:25", "Ready I"]
        );
        p.client(&bind_as("", "s", &[], &[Some(b"a@b"), Some(b"1")], &[Format::Text, Format::Binary]));
        p.client(&[execute("", 0), bare(b'S')].concat());
        assert_eq!(p.sent(), [r#"Bind "" "s" ["<sealed>", "1"] [1, 0]"#, r#"Execute "" 0"#, "Sync"]);
        let email = p.sealed("email", "a@b");
        p.server(&[bare(b'2'), row(&[Some(b"1"), Some(&email)]), complete("SELECT 1"), ready('I')].concat());
        assert_eq!(
            p.told(),
            ["BindComplete", r#"DataRow ["1", "a@b"]"#, "CommandComplete SELECT 1", "Ready I"]
        );
    });
}

#[test]
fn a_null_parameter_stays_null_and_a_format_for_all_is_spread() {
    transcript(|p| {
        p.client(&parse("", "insert into users (id, email, note) values ($1, $2, $3)", &[23, 25, 25]));
        let values = [Some(&[0, 0, 0, 1][..]), None, Some(b"n")];
        p.client(&bind_as("", "", &[Format::Binary], &values, &[]));
        let sent = p.sent();
        assert!(sent[0].ends_with("[23, 17, 25]"), "{sent:?}");
        assert_eq!(sent[1], "Bind \"\" \"\" [\"\\0\\0\\0\\u{1}\", \"NULL\", \"n\"] [1, 1, 1]");
    });
}

#[test]
fn arrays_of_parameters_are_sealed_element_by_element() {
    transcript(|p| {
        p.client(&parse("", "select id from users where email = any($1)", &[]));
        p.client(&bind("", "", &[Some(b"{a@b,NULL,\"c,d\"}")]));
        let sent = p.sent();
        assert!(sent[0].ends_with("[1001]"), "{sent:?}");
        let bound = sent.last().unwrap();
        assert_eq!(bound.matches("<sealed>").count(), 2, "{bound}");
        assert!(bound.contains("NULL") && !bound.contains("a@b") && !bound.contains("c,d"), "{bound}");
    });
}

#[test]
fn of_a_parameter_that_is_only_tested_for_null_the_server_learns_no_more() {
    transcript(|p| {
        p.client(&parse("", "select id from users where ($1::date is null or email = $2)", &[]));
        p.client(&describe(Target::Statement(b"")));
        let sent = p.sent();
        let text = "select id from public.users where ($1::pg_catalog.text is null or email = $2)";
        assert_eq!(sent[0], format!(r#"Parse "" {text} [25, 17]"#));
        p.server(&[bare(b'1'), parameters(&[25, 17]), columns(&[("id", USERS, 1, 23)])].concat());
        assert_eq!(p.told()[1], "ParameterDescription [1082, 25]");
        p.client(&bind_as("", "", &[Format::Binary], &[Some(&[0, 0, 1, 0]), Some(b"a@b")], &[]));
        assert_eq!(p.sent(), [r#"Bind "" "" ["", "<sealed>"] [0, 1]"#]);
        p.client(&bind("", "", &[None, Some(b"a@b")]));
        assert_eq!(p.sent(), [r#"Bind "" "" ["NULL", "<sealed>"] [0, 1]"#]);
        // Where nobody gives it a type, the server says so.
        for (declared, told) in [(1043, 25), (0, 0)] {
            p.client(&parse("", "select id from users where $1 is null or email = $2", &[declared, 25]));
            let sent = p.sent();
            assert!(sent[0].ends_with(&format!("[{told}, 17]")), "{sent:?}");
        }
    });
}

#[test]
fn many_messages_may_be_under_way_without_a_sync() {
    transcript(|p| {
        let mut asked = parse("a", "select v from plain where id = $1", &[]);
        asked.extend(parse("b", "select email from users where id = $1", &[]));
        for (portal, statement) in [("", "a"), ("x", "b"), ("", "b"), ("", "a")] {
            asked.extend(bind(portal, statement, &[Some(b"1")]));
            asked.extend(execute(portal, 0));
        }
        asked.extend(bare(b'H'));
        p.client(&asked);
        p.sent();
        let email = hex(&p.sealed("email", "a@b"));
        let opened = row(&[Some(email.as_bytes())]);
        let plain = row(&[Some(email.as_bytes())]);
        p.server(&[bare(b'1'), bare(b'1'), parameters(&[23]), columns(&[("email", USERS, 2, 17)])].concat());
        for rows in [&plain, &opened, &opened, &plain] {
            p.server(&[bare(b'2'), rows.clone(), complete("SELECT 1")].concat());
        }
        let rows: Vec<_> = p.told().into_iter().filter(|l| l.starts_with("DataRow")).collect();
        let untouched = r#"DataRow ["<sealed>"]"#;
        let expected = r#"DataRow ["a@b"]"#;
        // Rows of an unprotected statement are not looked at, whatever they hold.
        assert_eq!(rows, [untouched, expected, expected, untouched]);
    });
}

#[test]
fn an_error_discards_up_to_sync_and_what_was_parsed_there_never_was() {
    transcript(|p| {
        p.client(&[parse("s", "select email from users", &[]), bare(b'S')].concat());
        p.server(&[bare(b'1'), parameters(&[]), columns(&[("email", USERS, 2, 17)]), ready('I')].concat());
        // The second Parse of the name fails, and what stands behind it is discarded.
        p.client(
            &[parse("s", "select v from plain", &[]), bind("", "s", &[]), execute("", 0), bare(b'S')]
                .concat(),
        );
        p.server(&[error("42P05", &[]), ready('I')].concat());
        p.sent();
        p.told();
        p.client(&[bind("", "s", &[]), execute("", 0), bare(b'S')].concat());
        let email = hex(&p.sealed("email", "a@b"));
        p.server(&[bare(b'2'), row(&[Some(email.as_bytes())]), complete("SELECT 1"), ready('I')].concat());
        assert_eq!(p.told()[1], r#"DataRow ["a@b"]"#);
    });
}

#[test]
fn what_the_client_sends_while_the_server_discards_is_not_sent() {
    transcript(|p| {
        p.client(&[parse("", "select v from nowhere", &[]), bare(b'H')].concat());
        p.sent();
        p.server(&error("42P01", &[]));
        p.client(&[bind("", "", &[Some(b"secret")]), execute("", 0)].concat());
        assert!(p.sent().is_empty());
        p.client(&bare(b'S'));
        assert_eq!(p.sent(), ["Sync"]);
        p.server(&ready('I'));
        assert_eq!(p.told(), ["ERROR 42P01 server says no", "Ready I"]);
    });
}

#[test]
fn a_row_limit_suspends_a_portal_and_its_rows_are_opened_all_the_same() {
    transcript(|p| {
        p.client(&[query("begin"), parse("", "select email from users", &[])].concat());
        p.server(&[complete("BEGIN"), ready('T')].concat());
        p.client(&[bind("c", "", &[]), execute("c", 1), bare(b'S')].concat());
        let (a, b) = (hex(&p.sealed("email", "a")), hex(&p.sealed("email", "b")));
        p.server(&[bare(b'1'), parameters(&[]), columns(&[("email", USERS, 2, 17)]), bare(b'2')].concat());
        p.server(&[row(&[Some(a.as_bytes())]), bare(b's'), ready('T')].concat());
        p.client(&[execute("c", 0), bare(b'S')].concat());
        p.server(&[row(&[Some(b.as_bytes())]), complete("SELECT 1"), ready('T')].concat());
        let rows: Vec<_> =
            p.told().into_iter().filter(|l| l.starts_with("DataRow") || l.starts_with("Portal")).collect();
        assert_eq!(rows, [r#"DataRow ["a"]"#, "PortalSuspended", r#"DataRow ["b"]"#]);
    });
}

#[test]
fn a_sync_that_the_server_reads_during_copy_is_ignored_as_the_server_ignores_it() {
    transcript(|p| {
        p.client(
            &[parse("", "copy plain from stdin", &[]), bind("", "", &[]), execute("", 0), bare(b'S')]
                .concat(),
        );
        p.server(&[bare(b'1'), bare(b'2'), vec![b'G', 0, 0, 0, 7, 0, 0, 0]].concat());
        p.client(&[&b"d\0\0\0\x05x"[..], b"c\0\0\0\x04", &bare(b'S')].concat());
        p.server(&[complete("COPY 1"), ready('I')].concat());
        p.client(&query("select v from plain"));
        p.server(&[columns(&[("v", PLAIN, 2, 25)]), complete("SELECT 0"), ready('I')].concat());
        assert_eq!(p.told().last().unwrap(), "Ready I");
        assert!(!p.session.has_ended());
    });
}

#[test]
fn a_long_bind_of_an_unprotected_statement_goes_on_in_pieces() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&parse("", "insert into plain (v) values ($1)", &[]));
    p.sent();
    let long = vec![b'x'; 1 << 20];
    let frame = bind("", "", &[Some(&long)]);
    p.client(&frame[..100_000]);
    let first = p.sent_bytes();
    assert_eq!(first.len(), 100_000);
    p.client(&frame[100_000..]);
    assert_eq!([first, p.sent_bytes()].concat(), frame);
}

#[test]
fn malformed_messages_end_the_session() {
    for frame in [
        &b"Q\0\0\0\x03"[..],
        b"B\0\0\0\x0a\0\0\0\0\xff\xff",
        b"P\0\0\0\x08sel ",
        b"D\0\0\0\x06Xs\0",
        b"Z\0\0\0\x05I",
        b"p\0\0\0\x05\0",
        b"Q\x7f\xff\xff\xff",
    ] {
        let mut p = Peers::ready(1, POLICY);
        p.client(&parse("", "insert into users (email) values ($1)", &[]));
        p.sent();
        p.client(frame);
        if !p.session.has_ended() {
            p.client(&[0; 8]);
        }
        assert!(p.session.has_ended(), "{frame:?}");
        assert!(p.told()[0].starts_with("FATAL 08P01"), "{frame:?}");
    }
}

#[test]
fn stray_copy_data_in_a_pipeline_asks_for_the_replies_that_it_waits_for() {
    transcript(|p| {
        p.client(&[parse("", "select v from plain", &[]), frame(b'd', b"1\n"), bare(b'S')].concat());
        assert_eq!(p.sent(), [r#"Parse "" select v from plain []"#, "Flush"]);
        p.server(&bare(b'1'));
        assert_eq!(p.sent(), ["Sync"]);
        p.server(&ready('I'));
        assert_eq!(p.told(), ["ParseComplete", "Ready I"]);
    });
}

#[test]
fn a_query_behind_an_error_without_a_sync_is_discarded_too() {
    transcript(|p| {
        p.client(&[parse("", "selec", &[]), query("select v from plain")].concat());
        p.sent();
        p.server(&error("42601", &[]));
        p.client(&[query("select v from plain"), bare(b'S'), query("select v from plain")].concat());
        assert_eq!(p.sent(), ["Sync", "Query select v from plain"]);
        p.server(&[ready('I'), complete("SELECT 0"), ready('I')].concat());
        assert_eq!(p.told()[1..], ["Ready I", "CommandComplete SELECT 0", "Ready I"]);
    });
}

#[test]
fn a_message_that_copy_does_not_allow_is_not_shown_to_the_server() {
    transcript(|p| {
        p.client(&query("copy plain from stdin"));
        p.sent();
        p.server(&frame(b'G', &[0, 0, 0]));
        p.client(&query("select 'canary'"));
        assert_eq!(p.sent_bytes(), bare(b'Q'));
    });
}

#[test]
fn a_name_whose_meaning_depends_on_an_answer_is_not_used_before_it_comes() {
    transcript(|p| {
        p.client(&[parse("s", "insert into users (email) values ($1)", &[]), bare(b'S')].concat());
        p.server(&[bare(b'1'), ready('I')].concat());
        p.sent();
        p.client(&[parse("x", "selec", &[]), close(Target::Statement(b"s"))].concat());
        p.client(&[parse("s", "select v from plain where v = $1", &[]), bare(b'S')].concat());
        p.client(&bind("", "s", &[Some(b"canary")]));
        assert_eq!(p.sent().last().unwrap(), "Sync");
        // What would have given the name away is discarded.
        p.server(&[error("42601", &[]), ready('I')].concat());
        assert_eq!(p.sent(), [r#"Bind "" "s" ["<sealed>"] [1]"#]);
    });
}

#[test]
fn what_is_discarded_does_not_undo_what_came_behind_the_sync() {
    transcript(|p| {
        p.client(&[parse("", "selec", &[]), bare(b'S')].concat());
        p.client(&parse("", "insert into users (email) values ($1)", &[]));
        p.sent();
        p.server(&[error("42601", &[]), ready('I')].concat());
        p.client(&bind("", "", &[Some(b"canary")]));
        assert_eq!(p.sent(), [r#"Bind "" "" ["<sealed>"] [1]"#]);
    });
}

#[test]
fn stray_copy_data_that_was_discarded_does_not_keep_the_next_from_asking() {
    transcript(|p| {
        p.client(&[execute("", 0), frame(b'f', b"\0"), bare(b'S')].concat());
        p.server(&error("34000", &[]));
        p.server(&ready('I'));
        p.sent();
        p.client(&[close(Target::Statement(b"s")), frame(b'f', b"\0"), bare(b'S')].concat());
        assert_eq!(p.sent().last().unwrap(), "Flush");
    });
}
