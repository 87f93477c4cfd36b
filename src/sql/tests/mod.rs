//! A corpus of statements with their verdicts, over one small database.

mod documented;
mod fixture;
mod schema;
mod shape;
mod text;

use std::fmt::Write as _;

use super::*;
use fixture::{Database, database};

/// The corpus: blocks of a statement, `=>` and what becomes of it, and roles. See [`shown`].
const CORPUS: [(&str, &str); 6] = [
    ("select", include_str!("../../../tests/corpus/select.sql")),
    ("modify", include_str!("../../../tests/corpus/modify.sql")),
    ("definitions", include_str!("../../../tests/corpus/definitions.sql")),
    ("drivers", include_str!("../../../tests/corpus/drivers.sql")),
    ("adversarial", include_str!("../../../tests/corpus/adversarial.sql")),
    ("documented", include_str!("../../../tests/corpus/documented.sql")),
];

/// Set to write what is given now into the corpus, for a person to read.
const BLESS: &str = "PGSEAL_BLESS";

#[test]
fn each_statement_of_the_corpus_has_its_verdict() {
    let database = database();
    let mut wrong = String::new();
    for (name, corpus) in CORPUS {
        let mut blessed = String::new();
        for Block { comments, statement, expected } in blocks(corpus) {
            if statement.is_empty() {
                let _ = write!(blessed, "{}\n\n", comments.join("\n"));
                continue;
            }
            let given = shown(&database, &statement);
            if given != expected {
                let _ = writeln!(wrong, "{name}: {statement}\n  given:\n{given}\n  expected:\n{expected}\n");
            }
            let comments = comments.iter().map(|line| format!("{line}\n")).collect::<String>();
            let _ = write!(blessed, "{comments}{statement}\n{given}\n\n");
        }
        if std::env::var_os(BLESS).is_some() {
            let path = format!("{}/tests/corpus/{name}.sql", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, format!("{}\n", blessed.trim_end())).unwrap();
        }
    }
    assert!(wrong.is_empty() || std::env::var_os(BLESS).is_some(), "{wrong}");
}

#[test]
fn long_statements_do_not_overflow_a_small_stack() {
    let terms = |n: usize, term: &str, glue: &str| vec![term; n].join(glue);
    let cases = [
        format!("SELECT id FROM users WHERE {}", terms(7_900, "email = 'a'", " OR ")),
        format!("SELECT {} FROM users", terms(15_900, "id", " + ")),
        terms(3_900, "SELECT email FROM users", " UNION ALL "),
        format!("SELECT id FROM users WHERE email IN ({})", terms(20_000, "'a'", ",")),
        format!("INSERT INTO users (id, email) VALUES {}", terms(5_000, "(1, 'a')", ",")),
        format!("SELECT id FROM users WHERE {}email = 'a'{}", "(".repeat(100), ")".repeat(100)),
    ];
    let small = std::thread::Builder::new().stack_size(2 << 20);
    let done = small.spawn(move || {
        let database = database();
        for statement in cases {
            let shown = shown(&database, &statement);
            assert!(shown.starts_with("=> SELECT") || shown.starts_with("=> INSERT"));
        }
    });
    done.unwrap().join().unwrap();
}

#[test]
fn problems_of_the_database_are_told_with_what_follows() {
    let problems: Vec<_> =
        database().problems.iter().map(|problem| (problem.consequence, problem.to_string())).collect();
    let view = "its query cannot be carried out over encrypted columns";
    let half = "column secret is encrypted in public.half_one, which is a part of it, but not in itself; \
                name public.halves in the policy instead";
    let expected = [
        (Consequence::Warning, "public.accounts: there is no such table yet".to_owned()),
        (Consequence::Warning, "public.buyers: there is no such table yet".to_owned()),
        (Consequence::Warning, "public.customers.mobile: there is no column mobile yet".to_owned()),
        (Consequence::Refused, format!("public.halves.secret: {half}")),
        (
            Consequence::Refused,
            "public.half_two.secret: column secret is encrypted in public.half_one, which has the same parent, \
             but not here; name their parent in the policy instead"
                .to_owned(),
        ),
        (
            Consequence::Refused,
            format!(
                "public.lowered: {view}: function lower cannot be carried out on encrypted column public.users.email"
            ),
        ),
        (
            Consequence::Refused,
            format!(
                "public.admins: {view}: it compares an encrypted column with a constant that is not encrypted"
            ),
        ),
        (Consequence::Refused, format!("public.all_halves: {view}: public.halves cannot be used: {half}")),
    ];
    assert_eq!(problems, expected);
}

/// A block of the corpus: lines of comment, a statement, and what is shown of it.
struct Block {
    comments: Vec<&'static str>,
    statement: String,
    expected: String,
}

fn blocks(corpus: &'static str) -> impl Iterator<Item = Block> {
    corpus.split("\n\n").map(|block| {
        let lines: Vec<&str> = block.trim_matches('\n').lines().collect();
        let is_comment = |line: &&&str| line.starts_with("--!");
        let comments: Vec<&str> = lines.iter().take_while(is_comment).copied().collect();
        let body = &lines[comments.len()..];
        let end = body.iter().position(|line| line.starts_with("=> ")).unwrap_or(body.len());
        Block { comments, statement: body[..end].join("\n"), expected: body[end..].join("\n") }
    })
}

/// A verdict as the corpus shows it.
///
/// `=> forward`, with `(unresolved)` where a newer catalog is asked for; `=> refuse CODE at POSITION: message`;
/// or `=> ` and the edited text, in which `«email 'x' store date»` is a literal to be sealed: its column, value,
/// purpose if it is stored, and the type that the statement gives it. Then parameters (`$1: email compare`) and
/// outputs that are encrypted (`2: email from users.2`); the encrypted columns of a COPY, and its format.
fn shown(database: &Database, statement: &str) -> String {
    let verdict = database.analyze(statement);
    let mut out = String::from("=> ");
    match &verdict {
        Verdict::Forward(untouched) => {
            out.push_str("forward");
            if untouched.unresolved {
                out.push_str(" (unresolved)");
            }
        }
        Verdict::Refuse(refusal) => {
            let error = crate::error::ClientFacing::client_error(refusal);
            let position = error.position.map_or("-".to_owned(), |position| position.to_string());
            let _ = write!(out, "refuse {} at {position}: {}", error.code, error.message);
        }
        Verdict::Rewrite(plan) => {
            out.push_str(&edited(plan, statement));
            if plan.unresolved {
                out.push_str(" (unresolved)");
            }
            for (index, parameter) in plan.parameters.iter().enumerate() {
                let array = matches!(parameter, Parameter::SealedArray(_));
                if let Parameter::NullTest(_) = parameter {
                    let _ = write!(out, "\n${}: null test", index + 1);
                }
                if let Some(usage) = parameter.usage() {
                    let _ = write!(
                        out,
                        "\n${}: {}{}",
                        index + 1,
                        if array { "array of " } else { "" },
                        used(usage)
                    );
                }
            }
            for copy in plan.statements.iter().filter_map(|statement| statement.copy.as_ref()) {
                let sealed = copy.columns.iter().enumerate().filter(|(_, column)| column.is_sealed());
                let sealed: Vec<_> =
                    sealed.map(|(index, column)| format!("{} {}", index + 1, column.name)).collect();
                let _ = write!(out, "\ncopy {:?}: {}", copy.direction, sealed.join(", "));
                let _ = write!(out, "; {:?}, header {:?}", copy.format, copy.header);
            }
            for statement in &plan.statements {
                for (index, output) in statement.outputs.iter().flatten().enumerate() {
                    let (array, class) = match &output.value {
                        OutputValue::Plain => continue,
                        OutputValue::Sealed(class) => ("", class),
                        OutputValue::SealedArray(class) => ("array of ", class),
                    };
                    let origin = output.origin.map_or("nowhere".to_owned(), |(oid, number)| {
                        format!("{}.{number}", database.relation_name(oid))
                    });
                    let _ = write!(out, "\n{}: {array}{} from {origin}", index + 1, short(class));
                }
            }
        }
    }
    out
}

fn edited(plan: &Plan, text: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for Edit { range, replacement } in &plan.edits {
        assert!(range.start >= at, "edits overlap in {text}");
        out.push_str(text.get(at..range.start).unwrap());
        match replacement {
            Replacement::Text(text) => out.push_str(text),
            Replacement::Sealed { usage, value } => {
                let _ = write!(out, "«{} '{value}'»", used(usage));
            }
            Replacement::SealedArray { usage, value } => {
                let _ = write!(out, "«array of {} '{value}'»", used(usage));
            }
            Replacement::NullTest { casts, value } => {
                let _ = write!(out, "«'{value}' asked whether it is NULL");
                for cast in casts {
                    let _ = write!(out, ", as {cast}");
                }
                out.push('»');
            }
        }
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap());
    out
}

fn used(usage: &Use) -> String {
    let purpose = match usage.purpose {
        crate::datum::Purpose::Store => " store",
        crate::datum::Purpose::Compare => "",
    };
    let source = usage.source.map(|oid| match typename::name_of(oid) {
        Some(name) => format!(" as {name}"),
        None => format!(" as {oid}"),
    });
    let casts: String = usage.casts.iter().map(|ty| format!(" cast to {ty}")).collect();
    format!("{}{purpose}{}{casts}", short(&usage.class), source.unwrap_or_default())
}

fn short(class: &Class) -> String {
    format!("{}.{}", class.column.relation.name, class.column.column)
}
