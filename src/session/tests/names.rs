//! PREPARE, EXECUTE, DECLARE and FETCH, and the names that they share with Parse and Bind.

use super::harness::*;
use crate::wire::frontend::Target;

fn done(p: &mut Peers, tag: &str, status: char) {
    p.server(&[complete(tag), ready(status)].concat());
    p.told();
    p.sent();
}

fn run(p: &mut Peers, text: &str, tag: &str, status: char) {
    p.client(&query(text));
    done(p, tag, status);
}

#[test]
fn a_statement_of_prepare_is_executed_with_sealed_arguments() {
    transcript(|p| {
        p.client(&query("prepare q (text) as select email from users where email = $1"));
        assert_eq!(
            p.sent(),
            ["Query prepare q (pg_catalog.bytea) as select email from public.users where email = $1"]
        );
        done(p, "PREPARE", 'I');
        p.client(&query("execute q('a@b')"));
        assert_eq!(p.sent(), ["Query execute q(('<sealed>'::pg_catalog.bytea))"]);
        let email = hex(&p.sealed("email", "a@b"));
        p.server(&columns(&[("email", USERS, 2, 17)]));
        p.server(&[row(&[Some(email.as_bytes())]), complete("SELECT 1"), ready('I')].concat());
        assert_eq!(
            p.told(),
            ["RowDescription email:25", r#"DataRow ["a@b"]"#, "CommandComplete SELECT 1", "Ready I"]
        );
    });
}

#[test]
fn a_statement_of_prepare_can_be_bound_and_one_of_parse_executed() {
    transcript(|p| {
        run(p, "prepare q as select id from users where email = $1", "PREPARE", 'I');
        p.client(
            &[describe(Target::Statement(b"q")), bind("", "q", &[Some(b"a@b")]), execute("", 0), bare(b'S')]
                .concat(),
        );
        assert_eq!(p.sent()[1], r#"Bind "" "q" ["<sealed>"] [1]"#);
        let described = [parameters(&[17]), columns(&[("id", USERS, 1, 23)])].concat();
        p.server(&[described, bare(b'2'), complete("SELECT 0"), ready('I')].concat());
        assert_eq!(p.told()[0], "ParameterDescription [25]");
        p.client(&[parse("s", "insert into users (email) values ($1)", &[]), bare(b'S')].concat());
        p.server(&[bare(b'1'), ready('I')].concat());
        p.sent();
        p.client(&query("execute s('a@b')"));
        assert_eq!(p.sent(), ["Query execute s(('<sealed>'::pg_catalog.bytea))"]);
    });
}

#[test]
fn a_name_stands_for_another_statement_once_the_server_has_said_so() {
    transcript(|p| {
        p.client(&[parse("s", "select v from plain, users where email = $1", &[]), bare(b'S')].concat());
        p.server(&[bare(b'1'), ready('I')].concat());
        run(p, "deallocate all", "DEALLOCATE ALL", 'I');
        p.client(&query("prepare s(text) as insert into plain (v) values ($1)"));
        p.sent();
        let execution = [bind("", "s", &[Some(b"seen")]), execute("", 0), bare(b'S')].concat();
        p.client(&execution);
        assert!(p.sent().is_empty(), "what it stands for is not known yet");
        p.server(&[complete("PREPARE"), ready('I')].concat());
        assert_eq!(p.sent()[0], r#"Bind "" "s" ["seen"] []"#);
    });
}

#[test]
fn a_name_that_was_not_given_takes_no_values() {
    transcript(|p| {
        p.client(&query("prepare s(text) as select id from users where email = $1"));
        p.server(&[error("42P05", &[]), ready('I')].concat());
        p.sent();
        p.told();
        p.client(&query("execute s('canary')"));
        assert_eq!(p.sent(), ["Query ! refused by pgseal"]);
        p.server(&[error("42601", &[]), ready('I')].concat());
        assert_eq!(p.told()[0], "ERROR 26000 prepared statement \"s\" does not exist");
    });
}

#[test]
fn the_names_of_a_text_that_fails_are_those_that_came_before_its_error() {
    transcript(|p| {
        p.client(&query("prepare a as select id from users where email = $1; select 1 / 0; deallocate a"));
        p.server(&[complete("PREPARE"), error("22012", &[]), ready('I')].concat());
        p.sent();
        p.client(&query("execute a('a@b')"));
        assert_eq!(p.sent(), ["Query execute a(('<sealed>'::pg_catalog.bytea))"]);
    });
}

#[test]
fn a_statement_whose_names_have_moved_is_not_executed() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    run(&mut p, "prepare q (text) as select id from users where email = $1", "PREPARE", 'I');
    p.pass(std::time::Duration::from_secs(1));
    let other = "version = 1\n[table.\"public.users\"]\nname = { type = \"text\" }\n";
    let version = Peers::new(1, other).version(std::time::Duration::from_secs(60));
    p.share(&version);
    p.client(&query("execute q('canary')"));
    assert_eq!(p.sent(), ["Query ! refused by pgseal"]);
    p.server(&[error("42601", &[]), ready('I')].concat());
    assert!(p.told()[0].contains("cached plan must not change result type"));
}

#[test]
fn rows_of_a_cursor_are_opened() {
    transcript(|p| {
        run(p, "begin", "BEGIN", 'T');
        p.client(&query("declare c cursor for select email from users where email = 'a@b'"));
        assert_eq!(
            p.sent(),
            ["Query declare c cursor for select email from public.users where email = \
                 ('<sealed>'::pg_catalog.bytea)"]
        );
        done(p, "DECLARE CURSOR", 'T');
        let email = hex(&p.sealed("email", "a@b"));
        for fetch in ["fetch c", "fetch forward 5 from \"c\""] {
            p.client(&query(fetch));
            assert_eq!(p.sent(), [format!("Query {fetch}")]);
            p.server(&columns(&[("email", USERS, 2, 17)]));
            p.server(&[row(&[Some(email.as_bytes())]), complete("FETCH 1"), ready('T')].concat());
            assert_eq!(p.told()[..2], ["RowDescription email:25", r#"DataRow ["a@b"]"#]);
        }
        run(p, "close c", "CLOSE CURSOR", 'T');
        run(p, "commit", "COMMIT", 'I');
        let fetch = query("fetch c");
        p.client(&fetch);
        assert_eq!(p.sent_bytes(), fetch);
    });
}

#[test]
fn a_cursor_ends_with_its_transaction_unless_it_is_held() {
    transcript(|p| {
        run(p, "begin", "BEGIN", 'T');
        run(p, "declare c cursor for select email from users", "DECLARE CURSOR", 'T');
        run(p, "declare h cursor with hold for select email from users", "DECLARE CURSOR", 'T');
        run(p, "commit", "COMMIT", 'I');
        let email = hex(&p.sealed("email", "a@b"));
        p.client(&[describe(Target::Portal(b"h")), execute("h", 1), bare(b'S')].concat());
        p.server(&columns(&[("email", USERS, 2, 17)]));
        p.server(&[row(&[Some(email.as_bytes())]), bare(b's'), ready('I')].concat());
        assert_eq!(p.told()[..2], ["RowDescription email:25", r#"DataRow ["a@b"]"#]);
        run(p, "fetch c", "FETCH 0", 'I');
        run(p, "close h", "CLOSE CURSOR", 'I');
        p.client(&query("fetch h"));
        p.server(&columns(&[("email", USERS, 2, 17)]));
        let told = p.told();
        assert!(told[0].contains("XX000"), "no plan expects this column any more: {told:?}");
    });
}

#[test]
fn a_pipeline_waits_for_the_name_that_it_gives() {
    transcript(|p| {
        run(p, "begin", "BEGIN", 'T');
        p.client(&parse("", "declare c cursor for select email from users where email = $1", &[]));
        p.client(&[bind("", "", &[Some(b"a@b")]), execute("", 0)].concat());
        assert_eq!(p.sent()[1..], [r#"Bind "" "" ["<sealed>"] [1]"#, r#"Execute "" 0"#]);
        p.client(&[parse("", "fetch 1 from c", &[]), bind("", "", &[]), execute("", 0), bare(b'S')].concat());
        assert_eq!(p.sent(), ["Flush"]);
        p.server(&[bare(b'1'), bare(b'2'), complete("DECLARE CURSOR")].concat());
        let sent = p.sent();
        assert_eq!(sent[0], r#"Parse "" fetch 1 from c []"#, "{sent:?}");
        let email = hex(&p.sealed("email", "a@b"));
        let described = columns(&[("email", USERS, 2, 17)]);
        p.server(&[bare(b'1'), parameters(&[]), described, bare(b'2')].concat());
        p.server(&[row(&[Some(email.as_bytes())]), complete("FETCH 1"), ready('T')].concat());
        assert!(p.told().contains(&r#"DataRow ["a@b"]"#.to_owned()));
    });
}

#[test]
fn a_name_that_was_freed_takes_no_values() {
    for free in ["deallocate q", "deallocate all", "discard all"] {
        transcript(|p| {
            run(p, "prepare q (text) as select id from users where email = $1", "PREPARE", 'I');
            run(p, free, "DONE", 'I');
            p.client(&[bind("", "q", &[Some(b"canary")]), execute("", 0), bare(b'S')].concat());
            p.client(&query("execute q('canary')"));
            p.server(&[error("26000", &[]), ready('I'), error("42601", &[]), ready('I')].concat());
            p.client(&query("execute never_given('canary')"));
            let sent = p.sent();
            assert!(sent.iter().all(|line| !line.contains("canary")), "{free}: {sent:?}");
            let refused = sent.iter().filter(|line| *line == "Query ! refused by pgseal");
            assert_eq!(refused.count(), 2, "{free}: {sent:?}");
        });
    }
}

#[test]
fn constants_for_what_is_not_there_are_not_sent() {
    transcript(|p| {
        run(p, "prepare t (int) as select id, email from users limit $1", "PREPARE", 'I');
        for text in [
            "execute t((select count(*) from users where email = 'canary'))",
            "create table x as execute nosuch('canary')",
            "execute nosuch('canary')",
            "create table x as execute t((select count(*) from users where email = 'canary'))",
        ] {
            p.client(&query(text));
            assert_eq!(p.sent(), ["Query ! refused by pgseal"], "{text}");
            p.server(&[error("42601", &[]), ready('I')].concat());
            p.told();
        }
    });
}
