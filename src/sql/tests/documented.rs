//! The documentation's tables of SQL and of types, written from what the analysis does.

use std::fmt::Write as _;

use super::fixture::{Database, database};
use super::{BLESS, Block, blocks};
use crate::error::ClientFacing;
use crate::policy::Policy;
use crate::sql::{Verdict, lex};

const STATEMENTS: &str = include_str!("../../../tests/corpus/documented.sql");

/// Encrypted columns of the corpus's database by their mode, by which the summary knows what a statement is about.
const RANDOMIZED: [&str; 4] = ["ssn", "body", "data", "labels"];
const DETERMINISTIC: [&str; 9] =
    ["email", "name", "born", "active", "age", "score", "user_email", "phone", "title"];

/// The types of docs/sql.md.
const TYPES: [&str; 28] = [
    "text",
    "varchar(80)",
    "char(8)",
    "int2",
    "int4",
    "int8",
    "bool",
    "float4",
    "float8",
    "numeric(12,2)",
    "numeric",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "inet",
    "cidr",
    "macaddr",
    "bytea",
    "json",
    "jsonb",
    "mood",
    "text[]",
    "timetz",
    "money",
    "point",
];

/// A part of [`STATEMENTS`].
struct Section<'a> {
    title: &'a str,
    text: Vec<&'a str>,
    examples: Vec<Example>,
}

/// A statement with its verdict.
struct Example {
    statement: String,
    is_forwarded: bool,
    refused: Option<String>,
}

#[test]
fn the_documentation_says_what_the_analysis_does() {
    let sections = sections(&database());
    let tables = sections.iter().map(shown).collect::<String>();
    check("docs/sql.md", "statements", &tables);
    check("docs/sql.md", "types", &types());
    check("README.md", "summary", &summary(&sections));
}

fn sections(database: &Database) -> Vec<Section<'static>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for Block { comments, statement, .. } in blocks(STATEMENTS) {
        let mut comments = comments.iter().filter_map(|line| line.strip_prefix("--! ")).peekable();
        if let Some(title) = comments.next_if(|line| line.starts_with("# ")) {
            let title = title.trim_start_matches("# ");
            sections.push(Section { title, text: comments.collect(), examples: Vec::new() });
        }
        if statement.is_empty() {
            continue;
        }
        let (is_forwarded, refused) = match database.analyze(&statement) {
            Verdict::Refuse(refusal) => (false, Some(refusal.client_error().message.into_owned())),
            Verdict::Forward(_) => (true, None),
            Verdict::Rewrite(_) => (false, None),
        };
        let section = sections.last_mut().expect("a statement stands in a section");
        section.examples.push(Example { statement, is_forwarded, refused });
    }
    sections
}

fn shown(section: &Section<'_>) -> String {
    let mut out = format!("### {}\n\n", section.title);
    if !section.text.is_empty() {
        let _ = write!(out, "{}\n\n", section.text.join("\n"));
    }
    out.push_str("| statement | |\n|---|---|\n");
    for example in &section.examples {
        let verdict = match &example.refused {
            Some(message) => format!("refused: {}", cell(message)),
            None => "works".to_owned(),
        };
        let _ = writeln!(out, "| `{}` | {verdict} |", cell(&example.statement));
    }
    out.push('\n');
    out
}

fn summary(sections: &[Section<'_>]) -> String {
    let mut out = "| on a protected column | `randomized` | `deterministic` |\n|---|---|---|\n".to_owned();
    for section in sections {
        let cell_of = |own: &[&str], others: &[&str]| {
            let of_mode = section.examples.iter().filter(|example| {
                let (names_own, names_others) = (example.names(own), example.names(others));
                example.is_forwarded || names_own || !names_others
            });
            let works: Vec<bool> = of_mode.map(|example| example.refused.is_none()).collect();
            match (works.contains(&true), works.contains(&false)) {
                (true, false) => "yes",
                (false, true) => "refused",
                (true, true) => "in part",
                (false, false) => panic!("{}: no example of a mode", section.title),
            }
        };
        let (randomized, deterministic) =
            (cell_of(&RANDOMIZED, &DETERMINISTIC), cell_of(&DETERMINISTIC, &RANDOMIZED));
        let _ = writeln!(out, "| {} | {randomized} | {deterministic} |", section.title);
    }
    out
}

fn types() -> String {
    let mut out = "| type | `randomized` | `deterministic` |\n|---|---|---|\n".to_owned();
    for ty in TYPES {
        let cell_of = |mode: &str| {
            let text =
                format!("version = 1\n[table.\"s.t\"]\nc = {{ type = \"{ty}\", mode = \"{mode}\" }}\n");
            match Policy::parse(&text, "policy.toml") {
                Ok(_) => "yes".to_owned(),
                Err(problems) => {
                    // After the file, the line and the column.
                    let message = problems.to_string();
                    let reason = message.splitn(4, ':').last().unwrap_or_default();
                    format!("refused: {}", cell(reason.trim()))
                }
            }
        };
        let name = if ty == "mood" { "an enum, by its name" } else { ty };
        let _ = writeln!(out, "| {name} | {} | {} |", cell_of("randomized"), cell_of("deterministic"));
    }
    out
}

impl Example {
    /// Whether it has one of these words.
    fn names(&self, words: &[&str]) -> bool {
        let lexemes = lex::tokenize(&self.statement).unwrap_or_default();
        lexemes.iter().any(|lexeme| words.contains(&lexeme.text(&self.statement)))
    }
}

/// A text inside a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Holds what stands between a file's markers of that name to what it should be, or writes it.
fn check(file: &str, name: &str, wanted: &str) {
    let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {name}: written by {BLESS}=1 cargo test --lib sql:: -->\n"),
        format!("<!-- end {name} -->"),
    );
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{file} has no {begin}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{file} has no {end}"));
    let wanted = format!("\n{}\n\n", wanted.trim());
    if found == wanted {
        return;
    }
    assert!(
        std::env::var_os(BLESS).is_some(),
        "{file} is not true any more: run {BLESS}=1 cargo test --lib sql::"
    );
    std::fs::write(path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
}
