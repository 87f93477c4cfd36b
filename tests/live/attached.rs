//! What hangs on tables with encrypted columns: made through the proxy, it does what it does on a plaintext database.

use crate::ddl::Pair;
use crate::fixture::{How, ask};
use crate::support::Cluster;

const PEOPLE: &str =
    "CREATE TABLE people (id serial PRIMARY KEY, email text UNIQUE, ssn text, level int DEFAULT 3, bio text)";

#[test]
fn triggers_fire_by_conditions_over_encrypted_columns() {
    let mut pair = Pair::start(Cluster::shared(), "triggers");
    pair.same(
        How::Simple,
        &[
            PEOPLE,
            "CREATE TABLE log (what text)",
            "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_NAME); RETURN NEW; END $$",
            "CREATE TRIGGER a AFTER UPDATE OF email, id OR INSERT ON people FOR EACH ROW WHEN (NEW.email IS NOT NULL) EXECUTE FUNCTION t()",
            "CREATE OR REPLACE TRIGGER b AFTER UPDATE ON people FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION t()",
            "CREATE TRIGGER c AFTER UPDATE ON people FOR EACH ROW WHEN (OLD.bio IS DISTINCT FROM NEW.bio AND NEW.bio <> 'x') EXECUTE PROCEDURE t()",
            "CREATE CONSTRAINT TRIGGER d AFTER UPDATE ON people DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.id = NEW.id) EXECUTE FUNCTION t()",
            "CREATE TRIGGER e AFTER UPDATE ON people REFERENCING NEW TABLE AS n FOR EACH STATEMENT WHEN (true) EXECUTE FUNCTION t()",
            "INSERT INTO people (email, ssn, bio) VALUES ('ada@example.com', '123', 'b') RETURNING *",
            "UPDATE people SET email = email",
            "SELECT * FROM log",
            "UPDATE people SET email = 'bob@example.com', bio = 'y' WHERE email = 'ada@example.com'",
            "SELECT * FROM log",
            "CREATE TRIGGER f AFTER UPDATE ON nobody FOR EACH ROW WHEN (OLD.email = NEW.email) EXECUTE FUNCTION t()",
            "CREATE TRIGGER g AFTER UPDATE ON people FOR EACH ROW WHEN (id > 3) EXECUTE FUNCTION t()",
        ],
    );
    refused(
        &mut pair,
        &[
            "CREATE TRIGGER h AFTER UPDATE ON people FOR EACH ROW WHEN (NEW.email = 'ada') EXECUTE FUNCTION t()",
            "CREATE TRIGGER h AFTER UPDATE ON people FOR EACH ROW WHEN (NEW.email > OLD.email) EXECUTE FUNCTION t()",
            "CREATE TRIGGER h AFTER UPDATE ON people FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION t()",
            // The same value is another one each time that it is encrypted.
            "CREATE TRIGGER h AFTER UPDATE ON people FOR EACH ROW WHEN (OLD.ssn IS DISTINCT FROM NEW.ssn) EXECUTE FUNCTION t()",
        ],
    );
}

#[test]
fn policies_statistics_sequences_and_publications_go_through() {
    let mut pair = Pair::start(Cluster::shared(), "attached");
    pair.direct.run("CREATE ROLE reader_of_rows");
    pair.same(
        How::Simple,
        &[
            PEOPLE,
            "INSERT INTO people (email, ssn, bio) VALUES ('ada@example.com', '1', 'postgres'), ('bob@example.com', '2', 'reader'), (NULL, '3', 'reader')",
            "CREATE POLICY own ON people AS PERMISSIVE FOR SELECT TO PUBLIC, postgres USING (bio = current_user)",
            "CREATE POLICY known ON public.people AS RESTRICTIVE USING (email IS NOT NULL) WITH CHECK (EXISTS (SELECT 1 FROM people p WHERE p.email = people.email))",
            "ALTER POLICY known ON people RENAME TO \"is known\"",
            "ALTER POLICY own ON people TO PUBLIC USING (bio = 'reader')",
            "ALTER TABLE people ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "BEGIN",
            "GRANT SELECT ON people TO reader_of_rows",
            "SET LOCAL ROLE reader_of_rows",
            "SELECT id, email, ssn FROM people",
            "SELECT id FROM people WHERE email = 'ada@example.com'",
            "ROLLBACK",
            "DROP POLICY own ON people",
            "CREATE STATISTICS a ON id, bio FROM people",
            "CREATE STATISTICS IF NOT EXISTS b (ndistinct, mcv) ON email, level FROM people",
            "CREATE STATISTICS c ON lower(bio), (id + 1) FROM people",
            "ANALYZE people",
            "ALTER SEQUENCE people_id_seq OWNED BY people.id",
            "CREATE SEQUENCE more START 5 OWNED BY people.id",
            "CREATE PUBLICATION some FOR TABLE people WITH (publish = 'insert')",
            "ALTER PUBLICATION some SET TABLE people (id, email)",
            "DROP PUBLICATION some",
            "ALTER TABLE people SET (fillfactor = 70), ALTER id SET STATISTICS 100, ALTER id SET STATISTICS -1, ALTER email SET (n_distinct = -0.5)",
            "ALTER TABLE people ALTER id ADD GENERATED ALWAYS AS IDENTITY (START WITH 5)",
            "CREATE INDEX ON people ((email))",
            "CREATE INDEX ON people ((email IS NULL))",
            "SELECT id FROM people WHERE email = 'bob@example.com'",
            "DROP TABLE people",
            "SELECT id FROM people",
        ],
    );
    pair.same(How::Simple, &[PEOPLE]);
    refused(
        &mut pair,
        &[
            "CREATE POLICY x ON people USING (email = 'ada')",
            "CREATE POLICY x ON people USING (email = current_user)",
            "CREATE POLICY x ON people WITH CHECK (email > bio)",
            "CREATE STATISTICS s ON lower(email), id FROM people",
            "CREATE STATISTICS s ON (email = 'ada'), id FROM people",
            "CREATE PUBLICATION some FOR TABLE people WHERE (email = 'ada')",
            "CREATE INDEX ON people ((ssn))",
            "CREATE TABLE events (actor text) PARTITION BY LIST (coalesce(actor, actor))",
        ],
    );
}

#[test]
fn copies_of_a_table_let_only_sealed_values_in() {
    let mut pair = Pair::start(Cluster::shared(), "copies");
    let people = "CREATE TABLE people (id int, email text, ssn text)";
    pair.same(How::Simple, &[people]);
    for like in [
        "LIKE people",
        "more int, LIKE people INCLUDING ALL EXCLUDING CONSTRAINTS, less int",
        "LIKE people INCLUDING ALL",
    ] {
        let create = format!("CREATE TABLE renamed ({like})");
        pair.same(
            How::Simple,
            &[
                &create,
                "INSERT INTO renamed (id, email, ssn) VALUES (1, 'ada@example.com', '1') RETURNING email, ssn",
                "ALTER TABLE renamed ADD CONSTRAINT once UNIQUE (email)",
                "INSERT INTO renamed (id, email) VALUES (2, 'ada@example.com')",
            ],
        );
        for column in ["email", "ssn"] {
            let frames = pair.direct.query(&format!("UPDATE renamed SET {column} = 'in clear'"));
            assert_eq!(frames[0].sqlstate(), "23514", "{like}: {column}");
        }
        pair.same(How::Simple, &["DROP TABLE renamed"]);
    }
}

/// Each statement is refused with its place and a way out.
fn refused(pair: &mut Pair, statements: &[&str]) {
    for sql in statements {
        for how in [How::Simple, How::Described] {
            let answer = ask(&mut pair.sealed, how, sql, &[]);
            assert!(answer.is_refused(), "{sql}: {answer:?}");
        }
        let error = pair.sealed.query(sql).into_iter().find(|frame| frame.tag == b'E').unwrap();
        assert!(error.field(b'H').is_some() && error.field(b'P').is_some(), "{sql}: {error:?}");
    }
}

#[test]
fn what_one_session_protects_is_protected_in_every_other_once_it_is_told() {
    let mut pair = Pair::start(Cluster::shared(), "others");
    let (mut one, mut other) = (pair.through(), pair.through());
    one.run(PEOPLE);
    one.run("CREATE TABLE x (id int, email text)");
    other.run("INSERT INTO x VALUES (1, 'in clear')");
    other.run("SELECT email FROM people");
    for texts in [
        &["DROP TABLE x; CREATE TABLE x () INHERITS (people)"][..],
        &["DROP TABLE x", "CREATE TABLE x () INHERITS (people)"],
        &["BEGIN", "DROP TABLE x", "CREATE TABLE x () INHERITS (people)", "COMMIT"],
    ] {
        texts.iter().for_each(|text| drop(one.run(text)));
        // Nothing follows in the session that made it, which may even be gone.
        other.run("INSERT INTO x (id, email) VALUES (2, 'canary')");
        let stored = pair.direct.value("SELECT encode(email, 'hex') FROM x WHERE id = 2").unwrap();
        assert!(stored.starts_with("e511"), "{stored}");
        assert_eq!(other.value("SELECT email FROM x WHERE id = 2").as_deref(), Some("canary"));
        other.run("DROP TABLE x; CREATE TABLE x (id int, email text)");
        other.run("INSERT INTO x VALUES (1, 'in clear')");
    }
}
