//! The analysis against a server: what it sends is understood there, and results come from where it says.

use pgseal::catalog::{Catalog, EPILOGUE, Loader, PROLOGUE, QUERIES, Storage};
use pgseal::policy::Policy;
use pgseal::sql::{
    Arrival, Context, OutputValue, Parameter, Plan, Replacement, Schema, Use, Verdict, analyze,
};

use crate::support::{Cluster, RawClient, message};

/// Statements and their verdicts, as `sql`'s own tests read them.
const CORPUS: [&str; 4] = [
    include_str!("../corpus/select.sql"),
    include_str!("../corpus/modify.sql"),
    include_str!("../corpus/drivers.sql"),
    include_str!("../corpus/adversarial.sql"),
];

/// Statements that PostgreSQL itself refuses, whatever is encrypted.
const NOT_SQL: [&str; 3] =
    ["DISTINCT ON (email) id, email FROM users ORDER BY id", "SELECT id 'secret'", "email = 'secret' = true"];

#[test]
fn results_of_the_corpus_come_from_where_the_analysis_says() {
    let cluster = Cluster::shared();
    let database = cluster.database("analysis");
    let mut client = cluster.connect(&database);
    client.run(include_str!("../corpus/database.ddl"));
    let policy = Policy::parse(include_str!("../corpus/policy.toml"), "policy.toml").unwrap();
    let (schema, _) = Schema::build(&policy, &catalog(&mut client));
    let search_path = ["pg_catalog".to_owned(), "public".to_owned()];
    let cx = Context {
        schema: &schema,
        search_path: &search_path,
        standard_conforming_strings: true,
        utf8: true,
        is_protected_plan: &|name| name == "sealed_plan",
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (statement, shown) in statements() {
        let statement = statement.replace("app.public", &format!("{database}.public"));
        let verdict = analyze(&statement, Arrival::Query, &cx);
        let kind = match &verdict {
            Verdict::Forward(_) => "=> forward",
            Verdict::Refuse(_) => "=> refuse",
            Verdict::Rewrite(_) => "=> ",
        };
        // Ordered columns cannot be in a policy yet.
        if !shown.starts_with(kind) && !statement.contains("ledger") {
            wrong.push(format!("{statement}\n  {kind}, not {shown}"));
        }
        let Verdict::Rewrite(plan) = verdict else { continue };
        if plan.statements.len() != 1 {
            continue;
        }
        seen += 1;
        if let Err(why) = compare(&mut client, &schema, &plan, &statement) {
            wrong.push(format!("{statement}\n  {why}"));
        }
    }
    assert!(seen > 200, "only {seen} statements were rewritten");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same tables as they would be without encryption.
fn plaintext(ddl: &str) -> String {
    let types = [
        ("email bytea", "email text"),
        ("user_email bytea", "user_email text"),
        ("name bytea", "name varchar(80)"),
        ("ssn bytea", "ssn text"),
        ("born bytea", "born date"),
        ("active bytea", "active bool"),
        ("age bytea", "age int"),
        ("score bytea", "score numeric(10,2)"),
        ("mood bytea", "mood mood"),
        ("phone bytea", "phone text"),
        ("data bytea", "data jsonb"),
        ("labels bytea", "labels text[]"),
        ("actor bytea", "actor text"),
        ("\"Select\" bytea", "\"Select\" text"),
        ("amount bytea", "amount bigint"),
        ("secret bytea", "secret text"),
        ("get_byte(email, 0) = 229 AND octet_length(email) >= 22", "true"),
        ("'\\x61'::bytea", "'a'"),
        ("$1::bytea", "$1"),
    ];
    types.iter().fold(ddl.to_owned(), |ddl, (sealed, plain)| ddl.replace(sealed, plain))
}

#[test]
fn what_is_carried_out_is_what_a_plaintext_database_takes() {
    let cluster = Cluster::shared();
    let (sealed, plain) = (cluster.database("sealed"), cluster.database("plain"));
    let (mut client, mut twin) = (cluster.connect(&sealed), cluster.connect(&plain));
    client.run(include_str!("../corpus/database.ddl"));
    twin.run(&plaintext(include_str!("../corpus/database.ddl")));
    let policy = Policy::parse(include_str!("../corpus/policy.toml"), "policy.toml").unwrap();
    let (schema, _) = Schema::build(&policy, &catalog(&mut client));
    let search_path = ["pg_catalog".to_owned(), "public".to_owned()];
    let cx = Context {
        schema: &schema,
        search_path: &search_path,
        standard_conforming_strings: true,
        utf8: true,
        is_protected_plan: &|_| false,
    };
    let mut wrong = Vec::new();
    // What seals the value says so: the analysis hands the type on that the statement gives it.
    let refused_later =
        ["INSERT INTO users (born) SELECT d FROM (SELECT '2020-01-01' AS d) s", "interval 'secret'"];
    for (statement, _) in statements() {
        let statement = statement.replace("app.public", &format!("{sealed}.public"));
        let Verdict::Rewrite(plan) = analyze(&statement, Arrival::Query, &cx) else { continue };
        let known = NOT_SQL.iter().chain(&refused_later).any(|known| statement.contains(known));
        if plan.statements.len() != 1 || known {
            continue;
        }
        twin.send(&message::parse("", &statement.replace(&sealed, &plain), &[]));
        twin.send(&message::sync());
        if let Some(error) = twin.read_until_ready().iter().find(|frame| frame.tag == b'E') {
            wrong.push(format!(
                "{statement}\n  {} {}",
                error.sqlstate(),
                error.field(b'M').unwrap_or_default()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The statements of the corpus, and what it shows of each.
fn statements() -> Vec<(String, String)> {
    let blocks = CORPUS.iter().flat_map(|corpus| corpus.split("\n\n"));
    let statements = blocks.map(|block| {
        let lines = block.trim_matches('\n').lines().skip_while(|line| line.starts_with("--!"));
        let (statement, shown) = lines.fold((Vec::new(), Vec::new()), |(mut statement, mut shown), line| {
            let part = if line.starts_with("=> ") || !shown.is_empty() { &mut shown } else { &mut statement };
            part.push(line);
            (statement, shown)
        });
        (statement.join("\n"), shown.join("\n"))
    });
    statements.filter(|(statement, _)| !statement.is_empty()).collect()
}

/// Asks the server to describe what would be sent.
fn compare(client: &mut RawClient, schema: &Schema, plan: &Plan, statement: &str) -> Result<(), String> {
    let sent = edited(plan, statement);
    let types: Vec<u32> = plan.parameters.iter().map(declared).collect();
    client.send(&message::parse("", &sent, &types));
    client.send(&message::describe(b'S', ""));
    client.send(&message::sync());
    let frames = client.read_until_ready();
    if let Some(error) = frames.iter().find(|frame| frame.tag == b'E') {
        let message = error.field(b'M').unwrap_or_default();
        if NOT_SQL.iter().any(|known| statement.contains(known)) {
            return Ok(());
        }
        return Err(format!("{sent}\n  {} {message}", error.sqlstate()));
    }
    let Some(outputs) = plan.statements.iter().find_map(|statement| statement.outputs.as_ref()) else {
        return Ok(());
    };
    let fields =
        frames.iter().find(|frame| frame.tag == b'T').map(|frame| frame.fields()).unwrap_or_default();
    if fields.len() != outputs.len() {
        return Err(format!("{} columns, not {}", fields.len(), outputs.len()));
    }
    for (field, output) in fields.iter().zip(outputs) {
        let origin = Some((field.table, field.attribute)).filter(|(table, _)| *table != 0);
        let agrees = match &output.value {
            OutputValue::Plain => {
                origin.is_none_or(|(oid, number)| schema.sealed_column(oid, number).is_none())
            }
            OutputValue::Sealed(_) | OutputValue::SealedArray(_) => origin == output.origin,
        };
        if !agrees {
            return Err(format!("{}: {origin:?}, not {:?}", field.name, output.origin));
        }
    }
    Ok(())
}

fn catalog(client: &mut RawClient) -> Catalog {
    let mut loader = Loader::new();
    PROLOGUE.iter().for_each(|sql| drop(client.run(sql)));
    for (number, query) in QUERIES.iter().enumerate() {
        for frame in client.run(query.sql).iter().filter(|frame| frame.tag == b'D') {
            let values = frame.values();
            let fields: Vec<Option<&[u8]>> = values.iter().map(|value| value.as_deref()).collect();
            loader.row(number, &fields).unwrap();
        }
    }
    EPILOGUE.iter().for_each(|sql| drop(client.run(sql)));
    loader.finish().unwrap()
}

/// The text as a session sends it, with an envelope that stands for every value.
fn edited(plan: &Plan, text: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for edit in &plan.edits {
        out.push_str(text.get(at..edit.range.start).unwrap());
        match &edit.replacement {
            Replacement::Text(text) => out.push_str(text),
            Replacement::Sealed { usage, .. } => out.push_str(match usage.class.storage {
                Storage::Bytea => "'\\xe511'::pg_catalog.bytea",
                Storage::Text => "'pgs1.5RE'::pg_catalog.text",
            }),
            Replacement::SealedArray { usage, .. } => out.push_str(match usage.class.storage {
                Storage::Bytea => "'{}'::pg_catalog.bytea[]",
                Storage::Text => "'{}'::pg_catalog.text[]",
            }),
        }
        at = edit.range.end;
    }
    out.push_str(text.get(at..).unwrap());
    out
}

fn declared(parameter: &Parameter) -> u32 {
    let storage = |usage: &Use| usage.class.storage;
    match parameter {
        Parameter::Plain => 0,
        Parameter::Sealed(usage) => match storage(usage) {
            Storage::Bytea => 17,
            Storage::Text => 25,
        },
        Parameter::SealedArray(usage) => match storage(usage) {
            Storage::Bytea => 1001,
            Storage::Text => 1009,
        },
    }
}
