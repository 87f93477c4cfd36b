//! A proposed policy as a file, with the reasons in comments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::columns::{Column, Proposal, quoted};
use crate::catalog::ColumnName;
use crate::crypto::Mode;

/// What the file tells beside the columns.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The database.
    pub(super) database: String,
    /// Where statements came from, and what could not be had.
    pub(super) sources: Vec<String>,
    /// How many statements were seen, and their calls.
    pub(super) statements: (usize, u64),
    /// What stands in the way of encryption: of a column, or of none in particular.
    pub(super) obstacles: BTreeMap<Option<ColumnName>, BTreeSet<String>>,
    /// What will be refused for a reason that is no column's, with the calls.
    pub(super) refused: BTreeMap<String, u64>,
}

/// The file.
pub(super) fn policy(proposal: &Proposal, told: &Told) -> String {
    let mut out = header(proposal, told);
    let mut table = None;
    for (name, column) in &proposal.columns {
        if table != Some(&name.relation) {
            let _ = writeln!(out, "\n[table.{}]", quoted(&name.relation.to_string()));
            table = Some(&name.relation);
        }
        reasons(&mut out, name, column, told);
        out.push_str(&column.line(name));
    }
    section(
        &mut out,
        "Before encryption, beside what stands at the columns:",
        told.obstacles.get(&None).into_iter().flatten().cloned(),
    );
    section(
        &mut out,
        "Will be refused, beside what stands at the columns:",
        told.refused.iter().map(|(why, calls)| format!("{} {why}", times(*calls))),
    );
    section(&mut out, "Left out:", proposal.left_out.iter().map(|(name, why)| format!("{name}: {why}")));
    out
}

fn header(proposal: &Proposal, told: &Told) -> String {
    let mut out = String::new();
    let (statements, calls) = told.statements;
    comment(
        &mut out,
        &format!(
            "Proposed by `pgseal init --suggest` for database {}, from names and types of its columns and from {statements} \
         different statement{} in {calls} call{}. A list of names finds what is usually meant: what is sensitive is for \
         you to say, and `pgseal check` tells what becomes of each statement under this file.",
            told.database,
            if statements == 1 { "" } else { "s" },
            if calls == 1 { "" } else { "s" },
        ),
    );
    for source in &told.sources {
        comment(&mut out, source);
    }
    if proposal.columns.is_empty() {
        comment(&mut out, "No column looks sensitive.");
    }
    out.push_str("\nversion = 1\n");
    out
}

fn reasons(out: &mut String, name: &ColumnName, column: &Column, told: &Told) {
    let mut line = column.because.clone();
    let compared: Vec<String> =
        column.compared.iter().map(|(construct, calls)| format!("{construct} ({})", times(*calls))).collect();
    if !compared.is_empty() {
        let _ = write!(line, "; compared by {}", compared.join(", "));
    } else if column.mode == Mode::Randomized && told.statements.0 > 0 {
        line.push_str("; never compared in the statements seen");
    }
    for constraint in &column.constraints {
        let _ = write!(line, "; {constraint}");
    }
    comment(out, &line);
    if column.mode == Mode::Randomized
        && (!column.constraints.is_empty()
            || column.refused.keys().any(|construct| construct == "operator ="))
        && let Err(why) = column.ty.allows_deterministic()
    {
        comment(out, &format!("cannot be deterministic: {why}"));
    }
    for (construct, calls) in &column.refused {
        comment(out, &format!("will be refused, {}: {construct}", times(*calls)));
    }
    for obstacle in told.obstacles.get(&Some(name.clone())).into_iter().flatten() {
        comment(out, obstacle);
    }
}

/// A statement inside of the database (a view's query) has no calls of its own.
fn times(calls: u64) -> String {
    match calls {
        0 => "in a view".to_owned(),
        1 => "1 call".to_owned(),
        calls => format!("{calls} calls"),
    }
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "\n# {title}");
    lines.for_each(|line| comment(out, &format!("- {line}")));
}

/// The longest line of comments, in characters.
const WIDTH: usize = 118;

/// A comment, in as many lines as it takes.
fn comment(out: &mut String, text: &str) {
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line != "#" {
            let _ = writeln!(out, "{line}");
            line = "#  ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}
