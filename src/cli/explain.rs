//! `pgseal explain`: what the proxy would do with a statement, and why.

use std::io::Write;

use super::database::Database;
use super::{Exit, ExplainArgs, block_on};
use crate::catalog::{Class, SessionFacts};
use crate::datum::Purpose;
use crate::error::{ClientError, ClientFacing};
use crate::policy::Policy;
use crate::sql::{
    self, Arrival, Context, Edit, OutputValue, Parameter, Plan, Replacement, Schema, Use, Verdict,
};

/// Prints the verdict.
///
/// # Errors
/// The policy is wrong or cannot be read, or the database does not answer.
pub(super) fn run(args: &ExplainArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let policy = Policy::load(&args.policy.policy)?;
    let (catalog, facts) = block_on(async {
        let database = Database::connect(&args.database.database).await?;
        Ok((database.catalog().await?, database.session().await?))
    })?;
    let (schema, _) = Schema::build(&policy, &catalog);
    explain(&args.sql, &schema, &facts, out)
}

fn explain(text: &str, schema: &Schema, facts: &SessionFacts, out: &mut impl Write) -> anyhow::Result<Exit> {
    let context = Context {
        schema,
        search_path: &facts.schemas,
        standard_conforming_strings: true,
        utf8: true,
        names: &sql::NoNames,
    };
    match sql::analyze(text, Arrival::Parse { declared: &[] }, &context) {
        Verdict::Forward(_) => {
            writeln!(out, "forwarded: it reaches no encrypted column, and goes to the server byte for byte")?;
            Ok(Exit::Success)
        }
        Verdict::Rewrite(plan) => {
            writeln!(out, "rewritten: constants are encrypted, results decrypted")?;
            rewritten(text, &plan, out)?;
            Ok(Exit::Success)
        }
        Verdict::Refuse(refusal) => {
            refused(text, &refusal.client_error(), out)?;
            Ok(Exit::Problems)
        }
    }
}

fn rewritten(text: &str, plan: &Plan, out: &mut impl Write) -> anyhow::Result<()> {
    heading("Parameters", plan.parameters.is_empty(), out)?;
    for (i, parameter) in plan.parameters.iter().enumerate() {
        let role = match parameter {
            Parameter::Plain => "not encrypted".to_owned(),
            Parameter::NullTest(_) => "not sent, but for whether it is NULL".to_owned(),
            Parameter::Sealed(usage) => sealed(usage),
            Parameter::SealedArray(usage) => format!("each element {}", sealed(usage)),
        };
        writeln!(out, "  ${:<6} {role}", i + 1)?;
    }
    let literals: Vec<_> = plan.edits.iter().filter_map(|edit| Some((edit, literal(edit)?))).collect();
    heading("Literals", literals.is_empty(), out)?;
    for (edit, role) in literals {
        writeln!(out, "  {} {role}", text.get(edit.range.clone()).unwrap_or_default())?;
    }
    let outputs: Vec<_> = plan.statements.iter().filter_map(|statement| statement.outputs.as_ref()).collect();
    heading("Result columns", outputs.is_empty(), out)?;
    for (i, output) in outputs.into_iter().flatten().enumerate() {
        let role = match &output.value {
            OutputValue::Plain => "not encrypted".to_owned(),
            OutputValue::Sealed(class) => format!("decrypted: {}", described(class)),
            OutputValue::SealedArray(class) => format!("each element decrypted: {}", described(class)),
        };
        writeln!(out, "  {:<7} {role}", i + 1)?;
    }
    heading("Sent to the server", false, out)?;
    for line in sent(text, &plan.edits).lines() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn heading(title: &str, is_empty: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if !is_empty {
        writeln!(out, "\n{title}")?;
    }
    Ok(())
}

fn literal(edit: &Edit) -> Option<String> {
    match &edit.replacement {
        Replacement::Text(_) => None,
        Replacement::NullTest { .. } => Some("not sent, but for whether it is NULL".to_owned()),
        Replacement::Sealed { usage, .. } => Some(sealed(usage)),
        Replacement::SealedArray { usage, .. } => Some(format!("each element {}", sealed(usage))),
    }
}

fn sealed(usage: &Use) -> String {
    let purpose = match usage.purpose {
        Purpose::Store => "stored in",
        Purpose::Compare => "compared with",
    };
    format!("encrypted, {purpose} {}", described(&usage.class))
}

fn described(class: &Class) -> String {
    format!("{} ({}, {}, key {})", class.column, class.ty, class.binding.mode, class.key)
}

/// The edited text, with a name where a sealed value would stand.
fn sent(text: &str, edits: &[Edit]) -> String {
    let mut sent = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in edits {
        sent.push_str(text.get(copied..edit.range.start).unwrap_or_default());
        match &edit.replacement {
            Replacement::Text(replacement) => sent.push_str(replacement),
            Replacement::NullTest { .. } => sent.push_str(sql::NOT_NULL),
            Replacement::Sealed { usage, .. } | Replacement::SealedArray { usage, .. } => {
                sent.push_str(&format!("<{}, encrypted>", usage.class.column.column));
            }
        }
        copied = edit.range.end;
    }
    sent + text.get(copied..).unwrap_or_default()
}

/// As psql shows an error.
fn refused(text: &str, error: &ClientError, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "refused: {} ({})", error.message, error.code)?;
    if let Some((number, line, column)) = error.position.and_then(|position| place(text, position)) {
        let label = format!("LINE {number}: ");
        let indent = " ".repeat(label.chars().count() + column);
        writeln!(out, "{label}{line}\n{indent}^")?;
    }
    for (label, text) in [("DETAIL", &error.detail), ("HINT", &error.hint)] {
        if let Some(text) = text {
            writeln!(out, "{label}: {text}")?;
        }
    }
    Ok(())
}

/// The line of a position (characters, counted from 1): its number, its text, and the characters before it.
fn place(text: &str, position: usize) -> Option<(usize, &str, usize)> {
    let mut before = position.checked_sub(1)?;
    for (number, line) in text.split('\n').enumerate() {
        let length = line.chars().count();
        if before <= length {
            return Some((number + 1, line, before));
        }
        before -= length + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Loader, QUERIES};

    const POLICY: &str = r#"version = 1
[table."public.users"]
email = { type = "text", mode = "deterministic" }
notes = { type = "jsonb" }"#;

    fn catalog() -> Catalog {
        let rows = [
            (0, "app|150000"),
            (1, "10|public|users|r|~"),
            (2, "10|1|id|23|-1|t|f|f|~|f"),
            (2, "10|2|email|17|-1|f|f|f|~|f"),
            (2, "10|3|notes|17|-1|f|f|f|~|f"),
        ];
        assert_eq!(QUERIES[2].name, "columns");
        let mut loader = Loader::new();
        for (query, row) in rows {
            let fields: Vec<_> = row.split('|').map(|f| (f != "~").then_some(f.as_bytes())).collect();
            loader.row(query, &fields).unwrap();
        }
        loader.finish().unwrap()
    }

    fn explained(text: &str) -> (Exit, String) {
        let policy = Policy::parse(POLICY, "p").unwrap();
        let (schema, problems) = Schema::build(&policy, &catalog());
        assert_eq!(problems, []);
        let facts = crate::cli::check::tally::tests::facts();
        let mut out = Vec::new();
        let exit = explain(text, &schema, &facts, &mut out).unwrap();
        (exit, String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_touches_nothing_is_forwarded() {
        let (exit, text) = explained("SELECT now()");
        assert_eq!(exit, Exit::Success);
        assert!(text.starts_with("forwarded: "), "{text}");
    }

    #[test]
    fn a_rewrite_shows_every_role() {
        let (exit, text) =
            explained("SELECT id, notes FROM users WHERE id = $1 AND email IN ('ada@example.com', $2)");
        assert_eq!(exit, Exit::Success);
        let email = "compared with public.users.email (text, deterministic, key default)";
        let lines = [
            "  $1      not encrypted".to_owned(),
            format!("  $2      encrypted, {email}"),
            format!("  'ada@example.com' encrypted, {email}"),
            "  1       not encrypted".to_owned(),
            "  2       decrypted: public.users.notes (jsonb, randomized, key default)".to_owned(),
        ];
        for line in lines {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("IN (<email, encrypted>"), "{text}");
        assert!(!text.split("Sent to the server").nth(1).unwrap().contains("ada@example.com"), "{text}");
    }

    #[test]
    fn a_refusal_shows_the_place_and_the_way_out() {
        let (exit, text) = explained("SELECT id\nFROM users ORDER BY email");
        assert_eq!(exit, Exit::Problems);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("refused: ") && lines[0].ends_with("(0A000)"), "{text}");
        assert_eq!(lines[1], "LINE 2: FROM users ORDER BY email");
        assert_eq!(lines[2].trim_start(), "^");
        assert!(text.contains("HINT: "), "{text}");
    }

    #[test]
    fn positions_are_found_in_their_lines() {
        assert_eq!(place("añb\ncd", 3), Some((1, "añb", 2)));
        assert_eq!(place("añb\ncd", 5), Some((2, "cd", 0)));
        assert_eq!(place("ab", 3), Some((1, "ab", 2)));
        assert_eq!(place("ab", 9), None);
        assert_eq!(place("ab", 0), None);
    }
}
