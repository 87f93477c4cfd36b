use super::harness::*;

#[test]
fn what_touches_nothing_protected_goes_on_byte_for_byte() {
    transcript(|p| {
        let asked = query("select /* c */  v from plain where v = 'x'");
        p.client(&asked);
        assert_eq!(p.sent_bytes(), asked);
        let answer = [
            columns(&[("v", PLAIN, 2, 25)]),
            row(&[Some(b"x")]),
            row(&[None]),
            complete("SELECT 2"),
            ready('I'),
        ]
        .concat();
        p.server(&answer);
        assert_eq!(p.told_bytes(), answer);
    });
}

#[test]
fn literals_of_protected_columns_are_sealed() {
    transcript(|p| {
        p.client(&query("insert into users (id, email, note) values (1, 'a@b', 'n')"));
        assert_eq!(
            p.sent(),
            [
                "Query insert into public.users (id, email, note) values (1, ('<sealed>'::pg_catalog.bytea), 'n')"
            ]
        );
        p.server(&[complete("INSERT 0 1"), ready('I')].concat());
        assert_eq!(p.told(), ["CommandComplete INSERT 0 1", "Ready I"]);
    });
}

#[test]
fn rows_are_opened_and_described_as_declared() {
    transcript(|p| {
        p.client(&query("select id, email, name from users"));
        assert_eq!(p.sent(), ["Query select id, email, name from public.users"]);
        let (email, name) = (hex(&p.sealed("email", "a@b")), hex(&p.sealed("name", "Ann")));
        p.server(&columns(&[("id", USERS, 1, 23), ("email", USERS, 2, 17), ("name", USERS, 3, 17)]));
        p.server(&row(&[Some(b"1"), Some(email.as_bytes()), Some(name.as_bytes())]));
        p.server(&row(&[Some(b"2"), None, None]));
        p.server(&[complete("SELECT 2"), ready('I')].concat());
        assert_eq!(
            p.told(),
            [
                "RowDescription id:23 email:25 name:25",
                r#"DataRow ["1", "a@b", "Ann"]"#,
                r#"DataRow ["2", "NULL", "NULL"]"#,
                "CommandComplete SELECT 2",
                "Ready I",
            ]
        );
    });
}

#[test]
fn several_result_sets_in_one_text_are_each_opened_by_their_own_statement() {
    transcript(|p| {
        p.client(&query("select v from plain; select email from users; select name, id from users"));
        p.sent();
        let (email, name) = (hex(&p.sealed("email", "a@b")), hex(&p.sealed("name", "Ann")));
        p.server(&[columns(&[("v", PLAIN, 2, 25)]), row(&[Some(b"x")]), complete("SELECT 1")].concat());
        p.server(&[columns(&[("email", USERS, 2, 17)]), row(&[Some(email.as_bytes())])].concat());
        p.server(&[complete("SELECT 1"), columns(&[("name", USERS, 3, 17), ("id", USERS, 1, 23)])].concat());
        p.server(&[row(&[Some(name.as_bytes()), Some(b"1")]), complete("SELECT 1"), ready('I')].concat());
        let rows: Vec<_> = p.told().into_iter().filter(|l| l.starts_with("DataRow")).collect();
        assert_eq!(rows, [r#"DataRow ["x"]"#, r#"DataRow ["a@b"]"#, r#"DataRow ["Ann", "1"]"#]);
    });
}

#[test]
fn positions_of_errors_are_those_of_the_clients_text() {
    transcript(|p| {
        let text = "update users set email = 'a@b' where id = 'nothing'";
        p.client(&query(text));
        let sent = p.sent_bytes();
        let sent = std::str::from_utf8(&sent[5..]).unwrap();
        let position = (sent.find("nothing").unwrap() + 1).to_string();
        p.server(&[error("42703", &[(b'P', &position)]), ready('I')].concat());
        let expected = text.find("nothing").unwrap() + 1;
        assert_eq!(p.told(), [format!("ERROR 42703 server says no at {expected}"), "Ready I".into()]);
    });
}

#[test]
fn envelopes_in_error_details_are_opened_and_cut_ones_hidden() {
    transcript(|p| {
        p.client(&query("insert into users (email) values ('a@b')"));
        p.sent();
        let email = hex(&p.sealed("email", "a@b"));
        let detail = format!("Key (email)=({email}) already exists, not ({}...).", &email[..30]);
        p.server(&[error("23505", &[(b'D', &detail), (b'q', "internal")]), ready('I')].concat());
        assert_eq!(
            p.told(),
            [
                "ERROR 23505 server says no detail: Key (email)=(a@b) already exists, not ((sealed)).",
                "Ready I"
            ]
        );
    });
}

#[test]
fn copy_of_an_unprotected_table_goes_both_ways_as_it_comes() {
    transcript(|p| {
        p.client(&query("copy plain from stdin"));
        p.sent();
        let begin = [b'G', 0, 0, 0, 7, 0, 0, 0];
        p.server(&begin);
        let data = [&b"d\0\0\0\x06ab"[..], b"c\0\0\0\x04"].concat();
        p.client(&data);
        assert_eq!(p.sent_bytes(), data);
        p.server(&[complete("COPY 1"), ready('I')].concat());
        assert_eq!(p.told_bytes(), [&begin[..], &complete("COPY 1"), &ready('I')].concat());
        p.client(&query("copy plain to stdout"));
        p.sent();
        let out = [&[b'H', 0, 0, 0, 7, 0, 0, 0][..], &data, &complete("COPY 1"), &ready('I')].concat();
        p.server(&out);
        assert_eq!(p.told_bytes(), out);
    });
}

#[test]
fn notices_and_notifications_go_on_at_any_time() {
    transcript(|p| {
        let notification = b"A\0\0\0\x0d\0\0\0\x01ch\0x\0".to_vec();
        p.server(&notification);
        p.client(&query("select v from plain"));
        let notice = {
            let mut n = error("00000", &[]);
            n[0] = b'N';
            n
        };
        p.server(
            &[columns(&[("v", PLAIN, 2, 25)]), notice.clone(), row(&[None]), notification.clone()].concat(),
        );
        let expected =
            [notification.clone(), columns(&[("v", PLAIN, 2, 25)]), notice, row(&[None]), notification]
                .concat();
        assert_eq!(p.told_bytes(), expected);
    });
}

#[test]
fn an_empty_policy_changes_not_one_byte_and_looks_at_none() {
    let mut p = Peers::ready(usize::MAX, "version = 1\n");
    let nonsense = [&b"\xff\0\0\0\0whatever"[..], &query("select 1")].concat();
    p.client(&nonsense);
    assert_eq!(p.sent_bytes(), nonsense);
    p.server(&nonsense);
    assert_eq!(p.told_bytes(), nonsense);
}
