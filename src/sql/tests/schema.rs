//! What hangs on a table, and what follows from it.

use super::fixture::{Database, build, catalog, dependent, policy, table};
use super::*;
use crate::catalog::{Catalog, ColumnName, DependentKind, Relation, RelationName};
use crate::policy;

/// The corpus's database with a change to its table `users`.
fn with_users(change: impl FnOnce(&mut Relation)) -> Database {
    let mut catalog = catalog();
    let users = RelationName::new("public", "users");
    change(catalog.relations.iter_mut().find(|relation| relation.name == users).unwrap());
    build(&policy(), catalog)
}

fn verdict_of(database: &Database, text: &str) -> String {
    match database.analyze(text) {
        Verdict::Forward(_) => "forward".to_owned(),
        Verdict::Rewrite(_) => "rewrite".to_owned(),
        Verdict::Refuse(refusal) => refusal.to_string(),
    }
}

#[test]
fn each_dependent_keeps_its_meaning_or_stands_in_the_way() {
    use DependentKind as Kind;
    const READ: &str = "SELECT id FROM users";
    const WRITE: &str = "INSERT INTO users (id) VALUES (1)";
    // Kind, columns, expression; whether reading and writing go on.
    let cases: &[(Kind, &[i16], &str, bool, bool)] = &[
        (Kind::Check, &[2], "(email IS NOT NULL)", true, true),
        (Kind::Check, &[2], "(get_byte(email, 1) = ANY (ARRAY[16, 17]))", true, true),
        (Kind::Check, &[2], r#"("left"((email)::text, 5) = 'pgs1.'::text)"#, true, true),
        (Kind::Check, &[2], r#"("substring"(email, 3, 4) <> '\x01020304'::bytea)"#, true, false),
        (Kind::Check, &[2], "(length(email) > 3)", true, false),
        (Kind::Check, &[2], "((octet_length(email) >= 3) AND (octet_length(email) <= 100))", true, false),
        (Kind::Check, &[2], r#"("left"((email)::text, 3) <> '000'::text)"#, true, false),
        (Kind::Check, &[2], "(email <> 'x'::bytea)", true, false),
        (Kind::Check, &[2], "(length(lower((email)::text)) > 5)", true, false),
        (Kind::Check, &[10], "(lower(bio) <> 'x'::text)", true, true),
        (Kind::Check, &[1, 2], "((id > 5) OR (email IS NULL))", true, true),
        (Kind::Policy, &[2], "(email = (CURRENT_USER)::text)", false, false),
        (Kind::Policy, &[1], "(id > 5)", true, true),
        (
            Kind::Policy,
            &[2],
            "(email = ( SELECT customers.user_email FROM public.customers LIMIT 1))",
            true,
            true,
        ),
        (Kind::Unique, &[2], "btree", true, true),
        (Kind::Unique, &[1, 4], "btree", true, false),
        (Kind::Exclusion, &[2], "=", true, true),
        (Kind::Exclusion, &[2], "&&", true, false),
        (Kind::Exclusion, &[4], "=", true, false),
        (Kind::Index, &[4], "btree", true, true),
        (Kind::ExpressionIndex, &[2], "(email IS NOT NULL)", true, true),
        (Kind::ExpressionIndex, &[2], "lower((email)::text)", true, false),
        (Kind::PartitionKey, &[2], "hash", true, true),
        (Kind::PartitionKey, &[2], "range", true, false),
        (Kind::PartitionKey, &[4], "hash", true, false),
        (Kind::ConditionalTrigger, &[2], "(new.email IS DISTINCT FROM old.email)", true, true),
        (Kind::ConditionalTrigger, &[2], "(new.email = 'x'::bytea)", true, false),
        (Kind::BeforeRowTrigger, &[], "", true, true),
        (Kind::ForeignKey, &[2], "", true, false),
        (Kind::Rule, &[], "", false, false),
    ];
    for (kind, columns, expression, reads, writes) in cases {
        let database = with_users(|users| {
            let mut dependent = dependent(*kind, "d", columns, expression);
            dependent.expression = dependent.expression.filter(|expression| !expression.is_empty());
            users.dependents.push(dependent);
        });
        let case = format!("{kind:?} {columns:?} {expression}");
        let (read, write) = (verdict_of(&database, READ), verdict_of(&database, WRITE));
        assert_eq!(read == "rewrite", *reads, "{case}: {read}");
        assert_eq!(write == "rewrite", *writes, "{case}: {write}");
    }
}

#[test]
fn a_foreign_key_joins_columns_that_are_encrypted_alike() {
    for (column, agrees) in [(2_i16, true), (3, false), (4, false)] {
        let database = with_users(|users| {
            let mut key = dependent(DependentKind::ForeignKey, "fk", &[2], "");
            key.other_end = Some((102, vec![column]));
            users.dependents.push(key);
        });
        let verdict = verdict_of(&database, "DELETE FROM users");
        assert_eq!(verdict == "rewrite", agrees, "{verdict}");
    }
}

#[test]
fn text_before_triggers_are_acknowledged_by_the_policy() {
    let with_trigger = |acknowledged| {
        let (mut policy, mut catalog) = (policy(), catalog());
        let notes = RelationName::new("public", "notes");
        policy.tables.get_mut(&notes).unwrap().before_triggers_acknowledged = acknowledged;
        let relation = catalog.relations.iter_mut().find(|relation| relation.name == notes).unwrap();
        let mut trigger = dependent(DependentKind::BeforeRowTrigger, "lowers", &[], "");
        trigger.expression = None;
        relation.dependents.push(trigger);
        verdict_of(&build(&policy, catalog), "INSERT INTO notes (title) VALUES ('x')")
    };
    assert_eq!(with_trigger(true), "rewrite");
    assert!(with_trigger(false).contains("acknowledged"));
}

#[test]
fn what_the_server_computes_or_fills_in_is_not_stored_in_clear() {
    let default = |expression: &str| {
        with_users(|users| users.columns.get_mut(1).unwrap().default = Some(expression.to_owned()))
    };
    for expression in ["NULL::bytea", r"'\xe511aabb'::bytea"] {
        assert_eq!(
            verdict_of(&default(expression), "INSERT INTO users DEFAULT VALUES"),
            "rewrite",
            "{expression}"
        );
    }
    for expression in [r"'\x6162'::bytea", "convert_to(CURRENT_USER, 'UTF8')", ""] {
        let database = default(expression);
        for text in [
            "INSERT INTO users DEFAULT VALUES",
            "INSERT INTO users (id) VALUES (1)",
            "INSERT INTO users (email) VALUES (DEFAULT)",
            "UPDATE users SET email = DEFAULT",
            "MERGE INTO users USING plain ON false WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
        ] {
            assert!(verdict_of(&database, text).contains("default"), "{expression}: {text}");
        }
        assert_eq!(
            verdict_of(&database, "INSERT INTO users (email) VALUES ('x')"),
            "rewrite",
            "{expression}"
        );
    }
    let generated = |expression: &str| {
        with_users(|users| {
            let bio = users.columns.get_mut(9).unwrap();
            (bio.generated, bio.default) = (true, Some(expression.to_owned()));
        })
    };
    assert_eq!(verdict_of(&generated("upper('x'::text)"), "SELECT id FROM users"), "rewrite");
    for expression in ["lower((email)::text)", "email"] {
        assert!(
            verdict_of(&generated(expression), "SELECT id FROM users").contains("generated"),
            "{expression}"
        );
    }
}

#[test]
fn columns_that_cannot_hold_encrypted_values_refuse_their_table() {
    type Change = fn(&mut Relation);
    let cases: [(&str, Change); 3] = [
        ("neither bytea nor text", |users| users.columns.get_mut(1).unwrap().type_oid = 23),
        ("generated by the server", |users| users.columns.get_mut(1).unwrap().identity = true),
        ("only a table", |users| users.kind = crate::catalog::RelationKind::MaterializedView),
    ];
    for (wanted, change) in cases {
        let database = with_users(change);
        let verdict = verdict_of(&database, "SELECT id FROM users");
        assert!(verdict.contains("cannot be used"), "{wanted}: {verdict}");
        for rename in
            ["TABLE users RENAME TO people", "TABLE users RENAME email TO mail", "SCHEMA public RENAME TO p"]
        {
            let verdict = verdict_of(&database, &format!("ALTER {rename}"));
            // A materialized view is what its query gives under any name.
            let refused = verdict != "forward" && verdict != "rewrite";
            assert!(refused || wanted == "only a table", "{wanted}: {rename}: {verdict}");
        }
        assert!(database.problems.iter().any(|problem| problem.message.contains(wanted)), "{wanted}");
    }
}

#[test]
fn what_stands_in_the_way_of_a_partition_stands_in_that_of_its_parent() {
    let mut catalog = catalog();
    let partition =
        catalog.relations.iter_mut().find(|relation| relation.name.name == "events_2024").unwrap();
    partition.dependents.push(dependent(DependentKind::Check, "c", &[2], "(actor = 'x'::bytea)"));
    let database = build(&policy(), catalog);
    for table in ["events", "events_2024"] {
        let verdict = verdict_of(&database, &format!("DELETE FROM {table}"));
        assert!(verdict.contains("cannot be written to"), "{table}: {verdict}");
    }
}

#[test]
fn a_relation_whose_rules_reach_a_protected_one_is_protected() {
    let mut catalog = catalog();
    let plain = catalog.relations.iter_mut().find(|relation| relation.name.name == "orders").unwrap();
    plain.rule_references.push(101);
    let database = build(&policy(), catalog);
    assert!(verdict_of(&database, "INSERT INTO orders (id) VALUES (1)").contains("rules"));
}

#[test]
fn functions_of_the_policy_take_and_give_what_it_says() {
    let mut policy = policy();
    let email: ColumnName = "public.users.email".parse().unwrap();
    let function = policy::Function {
        arguments: vec![None, Some(email.clone())],
        returns: Some(email),
        place: policy::Place::default(),
    };
    policy.functions.insert(RelationName::new("public", "add_user"), function);
    let database = build(&policy, catalog());
    let text = "SELECT add_user('plain', $1), add_user('x', 'secret')";
    let Verdict::Rewrite(plan) = database.analyze(text) else { panic!() };
    assert_eq!(
        edited(&plan, text),
        "SELECT add_user('plain', $1), add_user('x', «users.email store 'secret'»)"
    );
    assert!(matches!(plan.parameters.as_slice(), [Parameter::Sealed(_)]));
    assert!(verdict_of(&database, "SELECT add_user('x', lower('secret'))").contains("cannot meet"));
    assert!(verdict_of(&database, "SELECT add_user(b => 'secret')").contains("named arguments"));
}

#[test]
fn a_table_that_is_not_there_yet_keeps_its_name_protected() {
    let database =
        build(&policy(), Catalog { relations: vec![table(1, "public", "plain", &[])], ..catalog() });
    assert!(verdict_of(&database, "INSERT INTO users (email) VALUES ('secret')").contains("does not exist"));
    assert_eq!(verdict_of(&database, "CREATE TABLE users (email text DEFAULT 'secret')"), "rewrite");
}

#[test]
fn a_column_that_is_not_there_yet_keeps_nobody_off_its_table() {
    let database = with_users(|users| users.columns.retain(|column| column.name != "email"));
    assert_eq!(verdict_of(&database, "SELECT ssn FROM users"), "rewrite");
    assert!(verdict_of(&database, "SELECT email FROM users").contains("does not exist"));
    assert_eq!(verdict_of(&database, "ALTER TABLE users ADD email text DEFAULT 'secret'"), "rewrite");
}

#[test]
fn a_column_that_was_made_for_sealed_values_and_has_lost_its_policy_refuses_its_table() {
    let check = r"((substr(email, 1, 2) = '\xe511'::bytea) AND (octet_length(email) >= 22))";
    let renamed = with_users(|users| {
        users.dependents.push(dependent(DependentKind::Check, "email_sealed_check", &[2], check));
        users.columns.get_mut(1).unwrap().name = "mail".to_owned();
    });
    for text in ["SELECT id FROM users", "UPDATE users SET mail = 'secret'"] {
        assert!(verdict_of(&renamed, text).contains("the policy does not name it"), "{text}");
    }
    let mut catalog = catalog();
    let plain = catalog.relations.iter_mut().find(|relation| relation.name.name == "plain").unwrap();
    plain.dependents.push(dependent(DependentKind::Check, "email_sealed_check", &[3], check));
    let database = build(&policy(), catalog);
    assert!(
        verdict_of(&database, "UPDATE plain SET email = 'secret'").contains("the policy does not name it")
    );
    let named = with_users(|users| {
        users.dependents.push(dependent(DependentKind::Check, "email_sealed_check", &[2], check));
    });
    assert_eq!(verdict_of(&named, "UPDATE users SET email = 'secret'"), "rewrite");
}

#[test]
fn a_column_that_children_have_of_their_own_binds_no_family() {
    let mut catalog = catalog();
    let child = |oid, name: &str, columns: &[(&str, crate::datum::Oid)]| Relation {
        parents: vec![120],
        ..table(oid, "public", name, columns)
    };
    catalog.relations.retain(|relation| relation.name.name != "half_one");
    catalog.relations.push(table(120, "public", "root", &[("id", 23)]));
    catalog.relations.push(child(121, "half_one", &[("id", 23), ("secret", 17)]));
    catalog.relations.push(child(122, "cousin", &[("id", 23), ("secret", 17)]));
    let database = build(&policy(), catalog);
    assert_eq!(verdict_of(&database, "UPDATE half_one SET secret = 'x'"), "rewrite");
    for text in ["UPDATE cousin SET secret = 'x'", "UPDATE root SET id = 1"] {
        assert_eq!(verdict_of(&database, text), "forward", "{text}");
    }
}
