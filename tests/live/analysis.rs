//! The analysis against a server: what it sends is understood there, and results come from where it says.

#[path = "../corpus/sealed_plan.rs"]
mod sealed_plan;

use pgseal::catalog::{Catalog, EPILOGUE, Loader, PROLOGUE, QUERIES, Storage};
use pgseal::policy::Policy;
use pgseal::sql::{
    self, Arrival, Context, NOT_NULL, NoNames, OutputValue, Parameter, Plan, Replacement, Schema, Use,
    Verdict, analyze,
};
use sealed_plan::SealedPlan;

use crate::support::{Cluster, Dice, RawClient, message};
use crate::versions::{is_newer, major};

/// Statements and their verdicts, as `sql`'s own tests read them.
const CORPUS: [&str; 6] = [
    include_str!("../corpus/select.sql"),
    include_str!("../corpus/modify.sql"),
    include_str!("../corpus/definitions.sql"),
    include_str!("../corpus/drivers.sql"),
    include_str!("../corpus/adversarial.sql"),
    include_str!("../corpus/documented.sql"),
];

/// Statements that PostgreSQL itself refuses, whatever is encrypted.
const NOT_SQL: [&str; 5] = [
    "DISTINCT ON (email) id, email FROM users ORDER BY id",
    "SELECT id 'secret'",
    "email = 'secret' = true",
    // Unless the client declares the parameters' types.
    "($1 IS NULL OR email = $2)",
    "($2 IS NULL OR id = $2 + 1)",
];

/// What the corpus is analysed under: its policy, and the catalog of its database.
struct Setting {
    schema: Schema,
    search_path: [String; 2],
    sealed_plan: SealedPlan,
}

impl Setting {
    fn read(client: &mut RawClient) -> Self {
        Self::of(&catalog(client))
    }

    fn of(catalog: &Catalog) -> Self {
        let (schema, _) = Schema::build(&policy(), catalog);
        let sealed_plan = SealedPlan::new(&schema);
        assert!(sealed_plan.0.is_some(), "the corpus's statement is rewritten");
        Self { schema, search_path: ["pg_catalog".to_owned(), "public".to_owned()], sealed_plan }
    }

    fn context(&self) -> Context<'_> {
        Context {
            schema: &self.schema,
            search_path: &self.search_path,
            standard_conforming_strings: true,
            utf8: true,
            names: &self.sealed_plan,
        }
    }
}

#[test]
fn results_of_the_corpus_come_from_where_the_analysis_says() {
    let cluster = Cluster::shared();
    let major = major(cluster);
    let database = cluster.database("analysis");
    let mut client = cluster.connect(&database);
    client.run(include_str!("../corpus/database.ddl"));
    client.run("PREPARE sealed_plan (bytea) AS SELECT email FROM users WHERE email = $1");
    client.run("DECLARE sealed_plan CURSOR WITH HOLD FOR SELECT email FROM users");
    let setting = Setting::read(&mut client);
    let cx = setting.context();
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
        if plan.statements.len() != 1 || is_newer(&statement, major) {
            continue;
        }
        seen += 1;
        if let Err(why) = compare(&mut client, &setting.schema, &plan, &statement) {
            wrong.push(format!("{statement}\n  {why}"));
        }
    }
    assert!(seen > 200, "only {seen} statements were rewritten");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same tables as they would be without encryption.
fn plaintext(ddl: &str) -> String {
    let types = [
        ("email bytea, ssn bytea, name bytea", "email text, ssn text, name varchar(20)"),
        ("body varchar", "body text"),
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
    let major = major(cluster);
    let (sealed, plain) = (cluster.database("sealed"), cluster.database("plain"));
    let (mut client, mut twin) = (cluster.connect(&sealed), cluster.connect(&plain));
    client.run(include_str!("../corpus/database.ddl"));
    twin.run(&plaintext(include_str!("../corpus/database.ddl")));
    let setting = Setting::read(&mut client);
    let cx = Context { names: &NoNames, ..setting.context() };
    let mut wrong = Vec::new();
    // What seals the value says so: the analysis hands the type on that the statement gives it.
    let refused_later = [
        "INSERT INTO users (born) SELECT d FROM (SELECT '2020-01-01' AS d) s",
        "interval 'secret'",
        "THEN '2020-01-01' END",
    ];
    for (statement, _) in statements() {
        let statement = statement.replace("app.public", &format!("{sealed}.public"));
        let Verdict::Rewrite(plan) = analyze(&statement, Arrival::Query, &cx) else { continue };
        let known = NOT_SQL.iter().chain(&refused_later).any(|known| statement.contains(known));
        if plan.statements.len() != 1 || known || is_newer(&statement, major) {
            continue;
        }
        twin.send(&message::parse("", &statement.replace(&sealed, &plain), &[]));
        twin.send(&message::describe(b'S', ""));
        twin.send(&message::sync());
        let frames = twin.read_until_ready();
        if let Some(error) = frames.iter().find(|frame| frame.tag == b'E') {
            wrong.push(format!(
                "{statement}\n  {} {}",
                error.sqlstate(),
                error.field(b'M').unwrap_or_default()
            ));
            continue;
        }
        let wanted = columns(&frames);
        let sent = edited(&plan, &statement);
        let types: Vec<u32> = plan.parameters.iter().map(declared).collect();
        client.send(&message::parse("", &sent, &types));
        client.send(&message::describe(b'S', ""));
        client.send(&message::sync());
        let mut given = columns(&client.read_until_ready());
        let outputs = plan.statements.iter().filter_map(|statement| statement.outputs.as_deref()).flatten();
        for (column, output) in given.iter_mut().zip(outputs) {
            (column.1, column.2) = match &output.value {
                OutputValue::Plain => continue,
                OutputValue::Sealed(class) if class.bare => (class.ty.oid(), -1),
                OutputValue::Sealed(class) => (class.ty.oid(), class.ty.modifier),
                OutputValue::SealedArray(class) => (class.ty.array_oid(), -1),
            };
        }
        // Types of a database's own have other object ids in another.
        let own = |column: &mut (String, u32, i32)| column.1 = column.1.min(FIRST_OWN_OID);
        let (mut wanted, mut given) = (wanted, given);
        wanted.iter_mut().for_each(own);
        given.iter_mut().for_each(own);
        if wanted != given {
            wrong.push(format!("{statement}\n  {given:?}, not {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_told_before_encryption_is_what_happens_after_it() {
    let cluster = Cluster::shared();
    let (sealed, plain) = (cluster.database("after"), cluster.database("before"));
    let (mut after, mut before) = (cluster.connect(&sealed), cluster.connect(&plain));
    after.run(include_str!("../corpus/database.ddl"));
    before.run(&plaintext(include_str!("../corpus/database.ddl")));
    let after = Setting::read(&mut after);
    let before = Setting::of(&catalog(&mut before).once_encrypted(&policy()));
    let shown = |statement: &str, setting: &Setting, database: &str| {
        let statement = statement.replace("app.public", &format!("{database}.public"));
        match analyze(&statement, Arrival::Query, &setting.context()) {
            Verdict::Forward(_) => "forwarded".to_owned(),
            Verdict::Rewrite(_) => "rewritten".to_owned(),
            Verdict::Refuse(refusal) => refusal.to_string(),
        }
    };
    let mut wrong = Vec::new();
    for (statement, _) in statements() {
        let (told, happens) = (shown(&statement, &before, &plain), shown(&statement, &after, &sealed));
        if told != happens {
            wrong.push(format!("{statement}\n  {told}\n  {happens}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// `FirstNormalObjectId`.
const FIRST_OWN_OID: u32 = 16384;

/// Name, type and modifier of each column of a description.
fn columns(frames: &[crate::support::Frame]) -> Vec<(String, u32, i32)> {
    let fields = frames.iter().find(|frame| frame.tag == b'T').map(|frame| frame.fields());
    fields.unwrap_or_default().into_iter().map(|field| (field.name, field.oid, field.modifier)).collect()
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

fn policy() -> Policy {
    Policy::parse(include_str!("../corpus/policy.toml"), "policy.toml").unwrap()
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
            Replacement::NullTest { .. } => out.push_str(NOT_NULL),
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
        Parameter::NullTest(_) => 25,
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

/// Statements made from those of the corpus by moving their tokens about.
struct Mutants {
    pieces: Vec<Vec<String>>,
    dice: Dice,
}

impl Mutants {
    fn new(seed: u64) -> Self {
        // Ordered columns cannot be in a policy yet, and definitions have no plan to look at.
        let is_definition = |statement: &str| ["CREATE", "ALTER"].iter().any(|word| statement.contains(word));
        let known = statements()
            .into_iter()
            .filter(|(statement, _)| !statement.contains("ledger") && !is_definition(statement));
        let pieces = known.filter_map(|(statement, _)| {
            let lexemes = pgseal::sql::lex::tokenize(&statement).ok()?;
            // EXPLAIN takes no parameters: constants stand for them.
            let texts = lexemes.iter().map(|lexeme| match lexeme.text(&statement) {
                parameter if parameter.starts_with('$') && !parameter.starts_with("$$") => "'p'".to_owned(),
                text => text.to_owned(),
            });
            Some(texts.collect())
        });
        Self { pieces: pieces.collect(), dice: Dice(seed) }
    }

    /// The same mutants in every run.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.roll(bound.max(1) as u64)).unwrap()
    }

    fn any_piece(&mut self) -> String {
        const WORDS: [&str; 40] = [
            "AND",
            "OR",
            "NOT",
            "AS",
            "ON",
            "IN",
            "IS",
            "FROM",
            "WHERE",
            "SELECT",
            "DISTINCT",
            "ALL",
            "ANY",
            "ONLY",
            "LATERAL",
            "USING",
            "JOIN",
            "LEFT",
            "NATURAL",
            "CROSS",
            "WITH",
            "RECURSIVE",
            "VALUES",
            "UNION",
            "ORDER",
            "BY",
            "LIMIT",
            "CASE",
            "END",
            "TABLE",
            "users",
            "email",
            "'secret'",
            "=",
            ",",
            "(",
            ")",
            "*",
            ".",
            "::",
        ];
        if self.below(2) == 0 {
            return WORDS[self.below(WORDS.len())].to_owned();
        }
        let statement = self.below(self.pieces.len());
        let piece = self.below(self.pieces[statement].len());
        self.pieces[statement][piece].clone()
    }

    /// Some tokens of another statement, from a place on.
    fn run(&mut self) -> Vec<String> {
        let statement = self.below(self.pieces.len());
        let (from, length) = (self.below(self.pieces[statement].len()), 1 + self.below(8));
        self.pieces[statement].iter().skip(from).take(length).cloned().collect()
    }

    fn statement(&mut self) -> String {
        let chosen = self.below(self.pieces.len());
        let mut pieces = self.pieces[chosen].clone();
        for _ in 0..1 + self.below(3) {
            let at = self.below(pieces.len());
            match self.below(6) {
                0 if pieces.len() > 1 => drop(pieces.remove(at)),
                1 => pieces.insert(at, self.any_piece()),
                2 => {
                    let run = self.run();
                    pieces.splice(at..at, run);
                }
                3 => {
                    let run = self.run();
                    let end = (at + run.len()).min(pieces.len());
                    pieces.splice(at..end, run);
                }
                4 => {
                    let other = self.below(pieces.len());
                    pieces.swap(at, other);
                }
                _ => pieces[at] = self.any_piece(),
            }
        }
        pieces.join(" ")
    }
}

/// How many mutants are tried: enough for some hundred that the server understands. `PGSEAL_MUTANTS` and
/// `PGSEAL_SEED` ask for more and others.
const MUTANTS: usize = 12_000;

#[test]
fn no_mutant_of_the_corpus_carries_a_plaintext_past_the_analysis() {
    let cluster = Cluster::shared();
    let mut client = cluster.connect(&cluster.database("mutants"));
    client.run(include_str!("../corpus/database.ddl"));
    let setting = Setting::read(&mut client);
    let cx = setting.context();
    let seed = std::env::var("PGSEAL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut mutants = Mutants::new(seed);
    let (mut understood, mut leaks) = ([0, 0], Vec::new());
    let count = std::env::var("PGSEAL_MUTANTS").ok().and_then(|count| count.parse().ok()).unwrap_or(MUTANTS);
    for _ in 0..count {
        let statement = mutants.statement();
        let verdict = analyze(&statement, Arrival::Query, &cx);
        let (sent, is_forwarded) = match &verdict {
            Verdict::Refuse(_) => continue,
            Verdict::Forward(_) => (statement.clone(), true),
            Verdict::Rewrite(plan) => (edited(plan, &statement), false),
        };
        let explains = ["select", "insert", "update", "delete", "with", "merge", "values", "table", "("];
        let lower = sent.trim_start().to_ascii_lowercase();
        if sent.contains(';') || sent.contains('$') || !explains.iter().any(|first| lower.starts_with(first))
        {
            continue;
        }
        // Planning is enough to see what the server compares with what.
        let frames = client.query(&format!("EXPLAIN (VERBOSE, COSTS OFF) {sent}"));
        if frames.iter().any(|frame| frame.tag == b'E') {
            continue;
        }
        let rows = frames.iter().filter(|frame| frame.tag == b'D').flat_map(|frame| frame.values());
        let lines: Vec<_> = rows.flatten().map(|line| String::from_utf8_lossy(&line).into_owned()).collect();
        let plan = lines.join("\n");
        understood[usize::from(is_forwarded)] += 1;
        // A constant that is bytea by its own words belongs to no column.
        let has_bytea = statement.to_ascii_lowercase().contains("bytea");
        if !has_bytea && let Some(why) = leak(&plan, is_forwarded) {
            leaks.push(format!("{statement}\n{sent}\n{why}\n{plan}\n"));
        }
    }
    let [rewritten, forwarded] = understood;
    assert!(leaks.is_empty(), "{} of {rewritten} and {forwarded}:\n{}", leaks.len(), leaks.join("\n"));
    assert!(
        rewritten > 100 && forwarded > 10,
        "only {rewritten} and {forwarded} were understood by the server"
    );
}

/// What in a plan shows that a value went to the server in clear, or that a protected table was reached.
fn leak(plan: &str, is_forwarded: bool) -> Option<String> {
    const PROTECTED: [&str; 7] =
        ["users", "customers", "notes", "archive", "events", "events_2024", "\"Weird Table\""];
    if is_forwarded
        && let Some(table) = PROTECTED.iter().find(|table| plan.contains(&format!(" on public.{table}")))
    {
        return Some(format!("reaches {table}"));
    }
    if is_forwarded {
        return None;
    }
    let constants = plan.match_indices("'\\x").map(|(at, _)| plan.get(at..).unwrap_or_default());
    let clear = constants
        .filter(|constant| !constant.starts_with("'\\xe511"))
        .find(|constant| constant.split_once("'::").is_some_and(|(_, ty)| ty.starts_with("bytea")));
    clear.map(|constant| format!("sends {}", constant.chars().take(40).collect::<String>()))
}
