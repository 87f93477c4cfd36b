use super::harness::*;

fn damaged(p: &mut Peers) -> String {
    let mut email = p.sealed("email", "a@b");
    *email.last_mut().unwrap() ^= 1;
    hex(&email)
}

#[test]
fn a_value_that_cannot_be_opened_fails_a_lone_select() {
    transcript(|p| {
        p.client(&query("select email from users"));
        p.sent();
        let (good, bad) = (hex(&p.sealed("email", "a@b")), damaged(p));
        p.server(&columns(&[("email", USERS, 2, 17)]));
        p.server(&[row(&[Some(good.as_bytes())]), row(&[Some(bad.as_bytes())])].concat());
        p.server(&[row(&[Some(good.as_bytes())]), complete("SELECT 3"), ready('I')].concat());
        let told = p.told();
        assert_eq!(told[1], r#"DataRow ["a@b"]"#);
        assert!(told[2].starts_with("ERROR XX001"), "{told:?}");
        assert_eq!(told[3..], ["Ready I"]);
        assert!(p.sent().is_empty());
    });
}

#[test]
fn in_a_block_it_fails_the_block_on_the_server_too() {
    transcript(|p| {
        p.client(&query("begin"));
        p.server(&[complete("BEGIN"), ready('T')].concat());
        p.client(&query("select email from users"));
        p.told();
        p.sent();
        let bad = damaged(p);
        p.server(&[columns(&[("email", USERS, 2, 17)]), row(&[Some(bad.as_bytes())])].concat());
        p.server(&[complete("SELECT 1"), ready('T')].concat());
        assert!(p.told()[1].starts_with("ERROR XX001"));
        assert_eq!(p.sent(), [r#"Parse "_pgseal_" ! refused by pgseal []"#, "Sync"]);
        p.server(&[error("42601", &[]), ready('E')].concat());
        assert_eq!(p.told(), ["Ready E"]);
    });
}

#[test]
fn by_the_extended_protocol_the_rest_up_to_sync_is_swallowed() {
    transcript(|p| {
        p.client(&[parse("", "select email from users", &[]), bind("", "", &[]), execute("", 0)].concat());
        p.client(&[close(crate::wire::frontend::Target::Portal(b"")), bare(b'S')].concat());
        p.sent();
        let bad = damaged(p);
        p.server(&[bare(b'1'), parameters(&[]), columns(&[("email", USERS, 2, 17)]), bare(b'2')].concat());
        p.server(&[row(&[Some(bad.as_bytes())]), complete("SELECT 1"), bare(b'3'), ready('I')].concat());
        let told = p.told();
        assert!(told[2].starts_with("ERROR XX001"), "{told:?}");
        assert_eq!(told[3..], ["Ready I"]);
    });
}

#[test]
fn when_the_outcome_is_past_recalling_the_session_ends() {
    transcript(|p| {
        p.client(&query("insert into users (email) values ('x') returning email"));
        p.sent();
        let bad = damaged(p);
        p.server(&[columns(&[("email", USERS, 2, 17)]), row(&[Some(bad.as_bytes())])].concat());
        let told = p.told();
        assert!(told[1].starts_with("FATAL XX001"), "{told:?}");
        assert!(p.session.has_ended());
    });
}

#[test]
fn columns_that_come_from_elsewhere_than_the_analysis_says_are_not_handed_out() {
    transcript(|p| {
        p.client(&query("select email from users"));
        p.sent();
        let email = hex(&p.sealed("email", "a@b"));
        p.server(&columns(&[("email", USERS, 3, 17)]));
        p.server(&[row(&[Some(email.as_bytes())]), complete("SELECT 1"), ready('I')].concat());
        let told = p.told();
        assert!(told[0].starts_with("ERROR XX000"), "{told:?}");
        assert_eq!(told[1..], ["Ready I"]);
    });
}

#[test]
fn a_statement_without_a_plan_hands_out_no_sealed_column() {
    transcript(|p| {
        p.client(&query("fetch all from c"));
        p.sent();
        p.server(&[columns(&[("email", USERS, 2, 17)]), row(&[Some(b"\\xe5")])].concat());
        let told = p.told();
        assert!(told[0].starts_with("FATAL XX000"), "{told:?}");
        assert!(told.iter().all(|l| !l.starts_with("DataRow")));
    });
}
