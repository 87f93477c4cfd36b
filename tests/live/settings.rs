//! Settings that values depend on, changed in every way: the answers are those of the plaintext database.

use crate::fixture::{Answer, Twin};
use crate::support::{Cluster, RawClient, message};

/// What each step gives in `born`, a sealed date, and `ts`, `tz` and `iv` of every format.
const LOOK: &str = "SELECT d, ts, tz, iv, f8, by FROM kinds WHERE id < 4 ORDER BY id";

#[test]
fn settings_are_followed_with_transactions_and_savepoints_undone() {
    let mut twin = Twin::start(Cluster::shared());
    let texts = [
        "SET datestyle = 'German'",
        "SET TIME ZONE 'Asia/Kathmandu'",
        "SET intervalstyle = iso_8601",
        "SET extra_float_digits = -10",
        "SET bytea_output = escape",
        "BEGIN",
        "SET LOCAL datestyle = 'SQL, DMY'",
        "SAVEPOINT a",
        "SET LOCAL timezone = 'America/St_Johns'",
        "SELECT set_config('intervalstyle', 'postgres_verbose', true), set_config('bytea_output', 'hex', false)",
        "ROLLBACK TO a",
        "RELEASE a",
        "SET datestyle = 'Postgres, YMD'",
        "ROLLBACK",
        "BEGIN; SET LOCAL datestyle = 'SQL, MDY'; SET LOCAL extra_float_digits = 0; COMMIT",
        "BEGIN; SET extra_float_digits = 0; COMMIT",
        "RESET timezone",
        "RESET ALL",
        "SET SESSION datestyle TO 'ISO, DMY'",
        "DISCARD ALL",
    ];
    for text in texts {
        for text in [text, LOOK] {
            let (given, wanted) = (twin.sealed.query(text), twin.plain.query(text));
            assert_eq!(Answer::of(&given), Answer::of(&wanted), "{text}");
        }
    }
}

#[test]
fn what_stands_behind_a_setting_in_one_flight_is_read_and_written_under_it() {
    let mut twin = Twin::start(Cluster::shared());
    // In one text: the same, or refused.
    for text in [
        "SET datestyle = 'SQL, DMY'; UPDATE people SET born = '02/03/2001' WHERE id = 1; SELECT born FROM people WHERE id = 1",
        "SET timezone = 'Asia/Tokyo'; SELECT tz FROM kinds ORDER BY id",
        "SET standard_conforming_strings = off; UPDATE people SET ssn = 'a\\\\b' WHERE id = 1",
        "SELECT set_config('datestyle', 'SQL, DMY', false), born FROM people ORDER BY id",
        "SELECT set_config('datestyle', 'SQL, DMY', false), id FROM people WHERE born = '02/03/2001'",
        "SELECT set_config('datestyle', 'SQL, DMY', false), email, level FROM people ORDER BY id",
    ] {
        let (given, wanted) = (Answer::of(&twin.sealed.query(text)), Answer::of(&twin.plain.query(text)));
        assert!(given == wanted || given.is_refused(), "{text}: {given:?}, not {wanted:?}");
        twin.sealed.query("RESET ALL");
        twin.plain.query("RESET ALL");
        twin.plain.query("UPDATE people SET born = '1985-12-10', ssn = '123-45-6789' WHERE id = 1");
    }
    // In one pipeline, where the server reports it too late.
    let run = |client: &mut RawClient| {
        let step = |sql: &str, values: &[Option<&[u8]>]| {
            [message::parse("", sql, &[]), message::bind("", "", &[], values, &[]), message::execute("", 0)]
                .concat()
        };
        let pipeline = [
            step("SET datestyle = 'German, DMY'", &[]),
            step("SET LOCAL timezone = 'Asia/Tokyo'", &[]),
            step("UPDATE people SET born = $1 WHERE id = 1", &[Some(b"02/03/2001")]),
            step("SELECT born FROM people ORDER BY id", &[]),
            step("SELECT tz FROM kinds ORDER BY id", &[]),
            message::sync(),
            step("SELECT tz FROM kinds ORDER BY id", &[]),
            step("RESET datestyle", &[]),
            step("SELECT born FROM people ORDER BY id", &[]),
            message::sync(),
        ];
        client.send(&pipeline.concat());
        [Answer::of(&client.read_until_ready()), Answer::of(&client.read_until_ready())]
    };
    assert_eq!(run(&mut twin.sealed), run(&mut twin.plain));
}

#[test]
fn defaults_of_the_role_count_from_the_first_statement_on() {
    let mut twin = Twin::start(Cluster::shared());
    for database in [&twin.plain_database, &twin.database] {
        let mut client = Cluster::shared().connect(database);
        client.run(&format!("ALTER DATABASE \"{database}\" SET datestyle = 'SQL, DMY'"));
        client.run(&format!("ALTER DATABASE \"{database}\" SET extra_float_digits = -5"));
    }
    twin.plain = Cluster::shared().connect(&twin.plain_database);
    twin.sealed = twin.proxy.connect(&twin.database);
    let (given, wanted) = (twin.sealed.query(LOOK), twin.plain.query(LOOK));
    assert_eq!(Answer::of(&given), Answer::of(&wanted));
}
