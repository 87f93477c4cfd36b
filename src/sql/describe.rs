//! A verdict in words, for `pgseal explain`.

use super::{Edit, NOT_NULL, OutputValue, Parameter, Plan, Replacement, Statement, Use, Verdict, typename};
use crate::catalog::Class;
use crate::crypto::Mode;
use crate::datum::Purpose;
use crate::error::ClientFacing;

/// What the proxy would do with a text, and why: lines for people. Literals of encrypted columns are not shown
/// as values, only by their place.
pub fn describe(verdict: &Verdict, text: &str) -> Vec<String> {
    match verdict {
        Verdict::Forward(untouched) => {
            let mut lines = vec!["forwarded: it reaches no encrypted column".to_owned()];
            if untouched.unresolved {
                lines.push("  it may name a relation that is not in the database yet".to_owned());
            }
            lines
        }
        Verdict::Refuse(refusal) => {
            let error = refusal.client_error();
            let mut lines = vec![format!("refused: {} ({})", error.message, error.code)];
            if let Some(at) = refusal.at {
                lines.push(format!("  at {}", place(text, at)));
            }
            lines.extend(error.hint.map(|hint| format!("  hint: {hint}")));
            lines
        }
        Verdict::Rewrite(plan) => rewritten(plan, text),
    }
}

fn rewritten(plan: &Plan, text: &str) -> Vec<String> {
    let mut lines = vec!["rewritten: what it does to encrypted columns keeps its meaning".to_owned()];
    lines.push(format!("  sent as: {}", sent(plan, text)));
    for (index, parameter) in plan.parameters.iter().enumerate() {
        let role = match parameter {
            Parameter::Plain => "not encrypted".to_owned(),
            Parameter::NullTest(_) => "not sent, but for whether it is NULL".to_owned(),
            Parameter::Sealed(usage) => used(usage),
            Parameter::SealedArray(usage) => format!("an array, each element {}", used(usage)),
        };
        lines.push(format!("  parameter ${}: {role}", index + 1));
    }
    for Edit { range, replacement } in &plan.edits {
        let role = match replacement {
            Replacement::Text(_) => continue,
            Replacement::NullTest { .. } => "not sent, but for whether it is NULL".to_owned(),
            Replacement::Sealed { usage, .. } => used(usage),
            Replacement::SealedArray { usage, .. } => format!("an array, each element {}", used(usage)),
        };
        lines.push(format!("  literal at {}: {role}", place(text, range.start)));
    }
    for (number, statement) in plan.statements.iter().enumerate() {
        let prefix =
            if plan.statements.len() > 1 { format!("statement {}, ", number + 1) } else { String::new() };
        lines.extend(outputs(statement, &prefix));
    }
    lines
}

fn outputs(statement: &Statement, prefix: &str) -> Vec<String> {
    let outputs = statement.outputs.iter().flatten().enumerate();
    let lines = outputs.map(|(index, output)| {
        let role = match &output.value {
            OutputValue::Plain => "not encrypted".to_owned(),
            OutputValue::Sealed(class) => format!("decrypted as {} of {}", class.ty, class.column),
            OutputValue::SealedArray(class) => {
                format!("an array, each element decrypted as {} of {}", class.ty, class.column)
            }
        };
        format!("  {prefix}result column {}: {role}", index + 1)
    });
    lines.collect()
}

/// The text that the server gets, with a sign in place of each sealed value.
fn sent(plan: &Plan, text: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for Edit { range, replacement } in &plan.edits {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        match replacement {
            Replacement::Text(text) => out.push_str(text),
            Replacement::NullTest { .. } => out.push_str(NOT_NULL),
            Replacement::Sealed { .. } | Replacement::SealedArray { .. } => out.push_str("'(sealed)'"),
        }
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

fn used(usage: &Use) -> String {
    let Use { class, purpose, source, casts, is_conditional: _, place: _ } = usage;
    let doing = match purpose {
        Purpose::Store => "stored in",
        Purpose::Compare => "compared with",
    };
    let given = source.and_then(typename::name_of).map(|name| format!(", given as {name}"));
    let cast: String = casts.iter().map(|ty| format!(", cast to {ty}")).collect();
    format!("encrypted as {}, {doing} {}{}{cast}", mode(class), class.column, given.unwrap_or_default())
}

fn mode(class: &Class) -> &'static str {
    match class.binding.mode {
        Mode::Randomized => "randomized",
        Mode::Deterministic => "deterministic",
        Mode::Ordered => "ordered",
    }
}

/// Line and column of a byte, counted from 1 in characters.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}
