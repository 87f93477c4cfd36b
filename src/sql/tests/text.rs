//! Texts as a whole: settings, search paths, sizes, effects.

use super::fixture::database;
use super::*;

fn refused(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Refuse(refusal) => Some(refusal.to_string()),
        Verdict::Forward(_) | Verdict::Rewrite(_) => None,
    }
}

fn plan(verdict: Verdict) -> std::sync::Arc<Plan> {
    match verdict {
        Verdict::Rewrite(plan) => plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_policy_everything_is_forwarded() {
    let schema = Schema::default();
    let cx = Context {
        schema: &schema,
        search_path: &[],
        standard_conforming_strings: false,
        utf8: false,
        names: &NoNames,
    };
    for text in ["", "SELECT 'unterminated", "EXECUTE x", "INSERT INTO users VALUES (1)"] {
        assert!(matches!(analyze(text, Arrival::Query, &cx), Verdict::Forward(_)), "{text}");
    }
}

#[test]
fn a_name_means_what_it_means_along_the_search_path() {
    let database = database();
    let text = "SELECT email FROM users WHERE email = 'x'";
    let cases: &[(&[&str], &str)] = &[
        (
            &["pg_catalog", "public", "other"],
            "SELECT email FROM public.users WHERE email = «users.email 'x'»",
        ),
        (&["pg_catalog", "other", "public"], "SELECT email FROM other.users WHERE email = 'x'"),
        (&["pg_temp_3", "pg_catalog", "public"], "SELECT email FROM pg_temp.users WHERE email = 'x'"),
        (
            &["pg_temp_9", "pg_catalog", "public"],
            "SELECT email FROM public.users WHERE email = «users.email 'x'»",
        ),
    ];
    for (path, expected) in cases {
        let plan = plan(database.analyze_under(text, path));
        assert_eq!(edited(&plan, text), *expected, "{path:?}");
    }
    let nowhere = database.analyze_under(text, &["pg_catalog"]);
    assert_eq!(refused(&nowhere).as_deref(), Some("relation \"users\" does not exist"));
    let temporary = "SELECT email FROM pg_temp.users WHERE email = 'x'";
    let verdict = database.analyze_under(temporary, &["pg_temp_3", "pg_catalog", "public"]);
    assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
}

#[test]
fn other_encodings_and_strings_are_refused_where_they_matter() {
    let database = database();
    let search_path = ["pg_catalog".to_owned(), "public".to_owned()];
    let under = |standard_conforming_strings, utf8, text| {
        let schema = &database.schema;
        let search_path = &search_path;
        let cx = Context { schema, search_path, standard_conforming_strings, utf8, names: &NoNames };
        refused(&analyze(text, Arrival::Query, &cx))
    };
    let (protected, plain) =
        ("SELECT id FROM users WHERE email = 'x'", "SELECT id FROM plain WHERE email = 'x'");
    assert!(under(true, false, protected).unwrap().contains("client_encoding"));
    assert!(under(false, true, protected).unwrap().contains("standard_conforming_strings"));
    assert_eq!(under(true, false, plain), None);
    assert_eq!(under(false, true, plain), None);
}

#[test]
fn positions_count_characters() {
    let database = database();
    let text = "SELECT 'é\u{1f600}', lower(email) FROM users";
    let Verdict::Refuse(refusal) = database.analyze(text) else { panic!() };
    assert_eq!(refusal.position, Some(14));
    assert_eq!(text.get(refusal.at.unwrap()..).unwrap().get(..5), Some("lower"));
}

#[test]
fn long_statements_take_time_that_is_linear_in_them() {
    let database = database();
    let chain = vec!["email = 'x'"; 5_000].join(" OR ");
    let plan_of_chain = plan(database.analyze(&format!("SELECT id FROM users WHERE {chain}")));
    assert_eq!(plan_of_chain.edits.len(), 5_001);
    let list = vec!["'x'"; 20_000].join(", ");
    let plan_of_list = plan(database.analyze(&format!("SELECT id FROM users WHERE email IN ({list})")));
    assert_eq!(plan_of_list.edits.len(), 20_001);
    let rows: Vec<String> = (0..10_000).map(|n| format!("(${}, 'b', ${})", 2 * n + 1, 2 * n + 2)).collect();
    let rows =
        plan(database.analyze(&format!("INSERT INTO users (email, name, bio) VALUES {}", rows.join(", "))));
    assert_eq!((rows.edits.len(), rows.parameters.len()), (10_001, 20_000));
    let deep = format!("SELECT id FROM users WHERE {}email = 'x'{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(refused(&database.analyze(&deep)).is_some());
    let unions = vec!["SELECT email FROM users"; 500].join(" UNION ALL ");
    assert_eq!(plan(database.analyze(&unions)).edits.len(), 500);
    let many = database.analyze("SELECT id FROM users WHERE email = $4000000000");
    assert!(refused(&many).is_some());
}

#[test]
fn what_a_text_may_change_is_told() {
    let database = database();
    let effects = |text: &str| match database.analyze(text) {
        Verdict::Forward(untouched) => untouched.effects,
        Verdict::Rewrite(plan) => plan.effects,
        Verdict::Refuse(refusal) => panic!("{text}: {refusal}"),
    };
    let nothing = Effects::default();
    for text in [
        "SELECT id FROM plain",
        "SELECT lower(name), now(), count(*), harmless() FROM plain",
        "SELECT email FROM users WHERE email = 'x'",
        "INSERT INTO users (email) VALUES ('x')",
        "UPDATE plain SET n = nextval('s')",
        "EXPLAIN SELECT 1",
    ] {
        assert_eq!(effects(text), nothing, "{text}");
    }
    for text in ["SELECT set_config('search_path', 'x', false)", "SELECT moves('x')", "SET search_path = x"] {
        assert!(effects(text).search_path, "{text}");
    }
    for text in ["CREATE TABLE x (a int)", "SELECT id INTO x FROM plain", "CREATE INDEX ON users (email)"] {
        assert!(effects(text).catalog, "{text}");
    }
}

#[test]
fn only_a_lone_query_that_changes_nothing_is_read_only() {
    let database = database();
    let cases = [
        ("SELECT email FROM users", true),
        ("SELECT email, count(*), coalesce(bio, 'x') FROM users GROUP BY email, bio", true),
        ("SELECT email FROM users FOR UPDATE", false),
        ("SELECT email, nextval('s') FROM users", false),
        ("SELECT email, harmless() FROM users", false),
        ("SELECT email FROM users; SELECT 1", false),
        ("WITH d AS (DELETE FROM plain RETURNING id) SELECT email FROM users", false),
        ("INSERT INTO users (email) VALUES ('x') RETURNING email", false),
    ];
    for (text, expected) in cases {
        let plan = plan(database.analyze(text));
        assert_eq!(plan.statements.first().map(|statement| statement.read_only), Some(expected), "{text}");
    }
}

#[test]
fn a_verdict_is_told_in_words_without_values() {
    let database = database();
    let text = "INSERT INTO users (email, bio)\nVALUES ($1, $2), ('secret', 'b') RETURNING id, ssn";
    let lines = describe(&database.analyze(text), text);
    let expected = [
        "rewritten: what it does to encrypted columns keeps its meaning",
        "  sent as: INSERT INTO public.users (email, bio)\nVALUES ($1, $2), ('(sealed)', 'b') RETURNING id, ssn",
        "  parameter $1: encrypted as deterministic, stored in public.users.email",
        "  parameter $2: not encrypted",
        "  literal at line 2, column 19: encrypted as deterministic, stored in public.users.email",
        "  result column 1: not encrypted",
        "  result column 2: decrypted as text of public.users.ssn",
    ];
    assert_eq!(lines, expected);
    let text = "SELECT id FROM users WHERE email LIKE 'a%'";
    let lines = describe(&database.analyze(text), text);
    assert!(
        lines.first().unwrap().starts_with("refused: LIKE cannot be carried out on encrypted column"),
        "{lines:?}"
    );
    assert_eq!(lines.get(1).unwrap(), "  at line 1, column 28");
    let forwarded = describe(&database.analyze("SELECT 1"), "SELECT 1");
    assert_eq!(forwarded, ["forwarded: it reaches no encrypted column"]);
}
