use std::sync::Arc;
use std::time::Duration;

use super::harness::*;
use crate::policy::Policy;
use crate::session::LEASE;
use crate::wire::frontend::Target;

#[test]
fn the_search_path_is_read_before_the_first_statement_and_after_what_may_change_it() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.answering = false;
    p.client(&query("select email from users"));
    let flight = p.sent_bytes();
    assert!(!String::from_utf8_lossy(&flight).contains("email"), "the statement waits");
    assert!(p.session.is_stalled());
    let answer = p.answer(&flight);
    p.server(&answer);
    assert_eq!(p.sent(), ["Query select email from public.users"]);
    assert!(p.told().is_empty(), "the flight's replies are the session's own");
    p.server(&[columns(&[("email", USERS, 2, 17)]), complete("SELECT 0"), ready('I')].concat());

    p.client(&query("set search_path = other"));
    assert_eq!(p.sent(), ["Query set search_path = other"]);
    p.server(&[complete("SET"), ready('I')].concat());
    p.client(&query("select v from plain"));
    assert!(p.sent()[0].starts_with("Close"));
}

#[test]
fn in_the_middle_of_a_pipeline_the_look_ends_with_flush() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("select v from plain"));
    p.server(&[columns(&[("v", PLAIN, 2, 25)]), complete("SELECT 0"), ready('I')].concat());
    p.sent();
    p.told();
    p.answering = false;
    p.client(&[parse("", "set search_path = other", &[]), bind("", "", &[]), execute("", 0)].concat());
    p.client(&[parse("", "select email from public.users", &[]), bind("", "", &[]), execute("", 0)].concat());
    p.client(&bare(b'S'));
    let sent = p.sent_bytes();
    let flight = sent.iter().position(|b| *b == b'C').unwrap();
    assert_eq!(sent.last_chunk::<5>(), Some(b"H\0\0\0\x04"));
    let answer = p.answer(&sent[flight..]);
    p.server(&[bare(b'1'), bare(b'2'), complete("SET"), answer].concat());
    let sent = p.sent();
    assert!(sent[0].starts_with("Parse") && sent[0].contains("users"), "{sent:?}");
    assert_eq!(sent.last().unwrap(), "Sync");
    assert_eq!(p.told(), ["ParseComplete", "BindComplete", "CommandComplete SET"]);
}

#[test]
fn a_look_that_fails_in_a_pipeline_is_the_answer_to_the_statement() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.answering = false;
    p.client(&query("select v from plain"));
    let flight = p.sent_bytes();
    let answer = p.answer(&flight);
    p.server(&answer);
    p.server(&[columns(&[("v", PLAIN, 2, 25)]), complete("SELECT 0"), ready('I')].concat());
    p.client(&[parse("", "set search_path = other", &[]), bind("", "", &[]), execute("", 0)].concat());
    p.client(&[parse("", "select email from public.users", &[]), bare(b'S')].concat());
    p.told();
    p.sent();
    p.server(&[bare(b'1'), bare(b'2'), complete("SET"), bare(b'3'), error("57014", &[])].concat());
    let told = p.told();
    assert!(told.last().unwrap().starts_with("ERROR 57014"), "{told:?}");
    assert_eq!(p.sent(), ["Sync"]);
    p.server(&ready('I'));
    assert_eq!(p.told(), ["Ready I"]);
}

#[test]
fn a_query_that_is_answered_by_a_failed_look_gets_its_ready_for_query() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("select v from plain"));
    p.server(&[complete("SELECT 0"), ready('I')].concat());
    p.answering = false;
    p.client(&[parse("", "set search_path = other", &[]), bind("", "", &[]), execute("", 0)].concat());
    p.client(&[query("select v from plain"), query("rollback")].concat());
    p.sent();
    p.told();
    p.server(&[bare(b'1'), bare(b'2'), complete("SET"), error("57014", &[])].concat());
    assert_eq!(p.sent(), ["Sync"]);
    p.server(&ready('I'));
    assert_eq!(p.told().last().unwrap(), "Ready I");
    assert!(!p.sent().is_empty(), "what follows goes on");
}

#[test]
fn an_old_catalog_is_read_again_before_a_statement_that_was_looked_up_in_it_and_only_then() {
    let cases = [
        (query("select email from users"), true),
        // What is not protected now may reach what is by a view or a rule that is newer than the catalog.
        (query("select v from plain"), true),
        (query("select my_function()"), true),
        (query("select 1, now(), count(*)"), false),
        (query("begin"), false),
        (query("set statement_timeout = 0"), false),
        ([bind("", "s", &[Some(b"x")]), execute("", 0), bare(b'S')].concat(), true),
    ];
    for (message, expected) in cases {
        let mut p = Peers::ready(usize::MAX, POLICY);
        p.client(&[parse("s", "select v from plain where v = $1", &[]), bare(b'S')].concat());
        p.server(&[bare(b'1'), ready('I')].concat());
        p.sent();
        p.answering = false;
        p.pass(LEASE + Duration::from_secs(1));
        p.client(&message);
        let sent = p.sent();
        assert_eq!(sent.iter().any(|l| l.contains("pg_class")), expected, "{sent:?}");
        assert_eq!(p.session.is_stalled(), expected, "{sent:?}");
    }
}

#[test]
fn one_session_reads_a_catalog_again_before_its_lease_ends() {
    let (mut first, mut second) = (Peers::ready(usize::MAX, POLICY), Peers::ready(usize::MAX, POLICY));
    let version = first.version(Duration::from_millis(1));
    for (p, begins) in [(&mut first, true), (&mut second, false)] {
        p.share(&version);
        p.client(&query("select v from plain"));
        p.server(&[columns(&[("v", PLAIN, 2, 25)]), complete("SELECT 0"), ready('I')].concat());
        p.sent();
        p.answering = false;
        p.pass(LEASE * 5 / 8);
        p.client(&query("select v from plain"));
        assert_eq!(p.sent().iter().any(|l| l.contains("pg_class")), begins);
    }
}

#[test]
fn what_is_analysed_has_a_quarter_of_the_lease_to_be_sent_and_the_rows_of_a_copy_have_all_time() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("copy users (email) from stdin"));
    p.pass(LEASE * 2);
    p.server(&frame(b'G', &[0, 0, 1, 0, 0]));
    // Longer than the lease, in which no catalog can be read, and never is all sent.
    p.client(&frame(b'd', b"a@b\n"));
    assert!(!p.session.is_overdue(p.now));
    p.sent();
    p.client(&bare(b'c'));
    p.server(&[complete("COPY 1"), ready('I')].concat());

    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("select v from plain"));
    p.server(&[columns(&[("v", PLAIN, 2, 25)]), complete("SELECT 0"), ready('I')].concat());
    p.sent();
    p.session.is_sent();
    p.pass(LEASE / 2 - Duration::from_secs(1));
    p.client(&query("select email from users where email = 'a@b'"));
    p.pass(LEASE / 2);
    assert!(!p.session.is_overdue(p.now));
    p.pass(Duration::from_secs(2));
    assert!(p.session.is_overdue(p.now));
    p.sent();
    p.session.is_sent();
    assert!(!p.session.is_overdue(p.now));
}

#[test]
fn in_a_failed_transaction_the_server_does_not_see_values_for_names_that_are_not_known() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("begin"));
    p.server(&[complete("BEGIN"), ready('T')].concat());
    p.client(&query("alter table users rename to people"));
    p.server(&[error("42601", &[]), ready('E')].concat());
    p.sent();
    p.told();
    p.client(&query("insert into people (email) values ('canary')"));
    let sent = p.sent();
    assert!(sent.len() == 1 && sent[0].contains("! refused by pgseal"), "{sent:?}");
    p.server(&[error("42601", &[]), ready('E')].concat());
    assert!(p.told()[0].contains("25P02"));
    p.client(&query("rollback"));
    assert_eq!(p.sent(), ["Query rollback"]);
}

#[test]
fn a_prepared_statement_whose_names_have_moved_is_not_bound() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&[parse("s", "select email from users where email = $1", &[]), bare(b'S')].concat());
    p.server(&[bare(b'1'), parameters(&[17]), columns(&[("email", USERS, 2, 17)]), ready('I')].concat());
    p.sent();
    p.client(&query("set search_path = nowhere"));
    p.server(&[complete("SET"), ready('I')].concat());
    p.sent();
    p.told();
    p.answering = false;
    p.client(&[bind("", "s", &[Some(b"canary")]), execute("", 0), bare(b'S')].concat());
    let flight = p.sent_bytes();
    let mut answer = p.answer(&flight);
    let at = memchr::memmem::find(&answer, b"public}").unwrap();
    answer[at..at + 6].copy_from_slice(b"nobody");
    p.server(&answer);
    let sent = p.sent();
    assert!(sent[0].contains("! refused by pgseal"), "{sent:?}");
    p.server(&[error("26000", &[]), ready('I')].concat());
    assert!(p.told()[0].contains("cached plan must not change result type"));
}

#[test]
fn a_look_that_the_server_discards_behind_an_error_is_begun_again() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("select v from plain"));
    p.server(&[complete("SELECT 0"), ready('I')].concat());
    p.answering = false;
    p.client(&[parse("", "create table t ()", &[]), bind("", "", &[]), execute("", 0)].concat());
    p.client(&[parse("", "select v from plain", &[]), bare(b'S'), query("select v from plain")].concat());
    p.sent();
    p.server(&[bare(b'1'), bare(b'2'), error("42P07", &[])].concat());
    assert_eq!(p.sent(), ["Sync"]);
    p.server(&ready('I'));
    assert!(p.sent()[0].starts_with("Close"));
    assert!(p.session.is_stalled());
}

#[test]
fn what_is_missing_is_read_before_a_pipeline_begins() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.answering = false;
    p.client(&[close(Target::Statement(b"s")), parse("s", "begin", &[])].concat());
    let flight = p.sent();
    assert_eq!(flight.last().unwrap(), "Sync");
    assert!(flight.iter().all(|line| !line.contains("begin")));
}

#[test]
fn transaction_control_inside_a_transaction_needs_no_look() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("begin"));
    p.server(&[complete("BEGIN"), ready('T')].concat());
    p.client(&query("set local search_path = other"));
    p.server(&[complete("SET"), ready('T')].concat());
    p.sent();
    p.answering = false;
    for text in ["set transaction isolation level serializable", "savepoint a", "commit"] {
        p.client(&query(text));
        assert_eq!(p.sent(), [format!("Query {text}")]);
        p.server(&[complete("X"), ready('T')].concat());
    }
    p.client(&query("select v from plain"));
    assert!(p.sent()[0].starts_with("Close"));
}

#[test]
fn a_catalog_that_takes_long_to_read_is_read_once_for_a_statement() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("select v from plain"));
    p.server(&[complete("SELECT 0"), ready('I')].concat());
    p.sent();
    p.pass(LEASE * 2);
    p.answering = false;
    p.client(&query("select email from users"));
    let flight = p.sent_bytes();
    p.pass(LEASE * 2);
    let answer = p.answer(&flight);
    p.server(&answer);
    assert!(p.sent()[0].starts_with("Query"), "no other look");
}

#[test]
fn what_a_pipeline_has_changed_is_read_again_behind_its_sync() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("select v from plain"));
    p.server(&[complete("SELECT 0"), ready('I')].concat());
    p.sent();
    p.client(&[parse("", "set search_path = other", &[]), bind("", "", &[]), execute("", 0)].concat());
    p.server(&[bare(b'1'), bare(b'2'), complete("SET")].concat());
    p.client(&parse("a", "select v from plain", &[]));
    // Read in the pipeline's own transaction, and void behind it.
    p.client(&[bare(b'S'), parse("b", "select v from plain", &[])].concat());
    assert_eq!(p.sent()[3..], [r#"Parse "a" select v from plain []"#, "Sync"]);
}

#[test]
fn in_a_block_the_catalog_is_read_in_a_subtransaction_that_is_rolled_back() {
    let mut p = Peers::ready(usize::MAX, POLICY);
    p.client(&query("begin"));
    p.server(&[complete("BEGIN"), ready('T')].concat());
    p.client(&query("create table t ()"));
    p.server(&[complete("CREATE TABLE"), ready('T')].concat());
    p.sent();
    p.told();
    p.answering = false;
    p.client(&query("select v from plain"));
    let sent = p.sent();
    let place = |part: &str| sent.iter().position(|line| line.contains(part)).expect(part);
    assert!(place("SAVEPOINT _pgseal_") < place("search_path = ''"));
    assert!(place("pg_get_viewdef") < place("ROLLBACK TO SAVEPOINT _pgseal_"));
    assert!(place("RELEASE SAVEPOINT _pgseal_") < place("current_schemas"));
    // A failure is undone, and tried once.
    p.server(&[bare(b'3'), error("57014", &[]), ready('E')].concat());
    assert!(p.sent().iter().any(|line| line.contains("ROLLBACK TO SAVEPOINT")));
    p.server(&[bare(b'3'), error("3B001", &[]), ready('E')].concat());
    assert_eq!(p.sent(), ["Query ! refused by pgseal"]);
    assert!(p.told().is_empty());
}

/// The fixture's policy without one of its tables, and the same with it.
fn without_users() -> String {
    POLICY.replace("public.users", "public.others")
}

#[test]
fn another_policy_holds_from_the_end_of_the_transaction_on() {
    let mut p = Peers::ready(usize::MAX, &without_users());
    let next = Arc::new(Policy::parse(POLICY, "test").unwrap());
    p.client(&query("select v from plain"));
    assert!(!p.session.use_policy(&next), "its answer is due");
    p.server(&[columns(&[("v", PLAIN, 2, 25)]), complete("SELECT 0"), ready('I')].concat());
    p.client(&query("begin"));
    p.server(&[complete("BEGIN"), ready('T')].concat());
    assert!(!p.session.use_policy(&next), "a transaction is open");
    p.client(&query("insert into users(email) values ('in the clear')"));
    assert_eq!(p.sent().last().unwrap(), "Query insert into users(email) values ('in the clear')");
    p.server(&[complete("INSERT 0 1"), ready('T')].concat());
    p.client(&query("commit"));
    p.server(&[complete("COMMIT"), ready('I')].concat());
    p.sent_bytes();
    assert!(p.session.use_policy(&next));
    assert!(p.session.use_policy(&next), "it is the same");
    // What was joined with the policy before is void, and a catalog that is joined with another is not taken.
    p.answering = false;
    p.client(&query("insert into users(email) values ('canary')"));
    let flight = p.sent_bytes();
    assert!(!flight.is_empty() && !String::from_utf8_lossy(&flight).contains("canary"));
    assert!(p.session.is_stalled());
}

#[test]
fn what_was_prepared_under_another_policy_is_analysed_again() {
    let mut p = Peers::ready(usize::MAX, &without_users());
    for (name, text) in [("a", "insert into users(email) values ($1)"), ("b", "select v from plain")] {
        p.client(&[parse(name, text, &[]), bare(b'S')].concat());
        p.server(&[bare(b'1'), ready('I')].concat());
    }
    p.client(&query("prepare c(text) as insert into users(email) values ($1)"));
    p.server(&[complete("PREPARE"), ready('I')].concat());
    p.sent_bytes();
    p.told_bytes();
    p.policy = Arc::new(Policy::parse(POLICY, "test").unwrap());
    let policy = p.policy.clone();
    assert!(p.session.use_policy(&policy));
    p.offer();
    p.client(&[bind("", "a", &[Some(b"canary")]), execute("", 0), bare(b'S')].concat());
    let sent = p.sent_bytes();
    assert!(!String::from_utf8_lossy(&sent).contains("canary"), "{sent:?}");
    p.server(&[error("26000", &[]), ready('I')].concat());
    let told = p.told();
    assert!(told[0].contains("cached plan must not change result type"), "{told:?}");
    p.client(&query("execute c('canary')"));
    let sent = p.sent_bytes();
    assert!(!String::from_utf8_lossy(&sent).contains("canary"), "{sent:?}");
    p.server(&[error("42601", &[]), ready('I')].concat());
    p.told();
    // What means the same goes on.
    p.client(&[bind("", "b", &[]), execute("", 0), bare(b'S')].concat());
    assert!(p.sent()[0].starts_with("Bind"));
}

#[test]
fn a_policy_that_protects_nothing_neither_comes_nor_goes() {
    let (none, some) = ("version = 1", POLICY);
    for (from, to) in [(none, some), (some, none)] {
        let mut p = Peers::ready(usize::MAX, from);
        assert!(!p.session.use_policy(&Arc::new(Policy::parse(to, "test").unwrap())));
    }
}
