//! The report of `pgseal check`, for people and as JSON.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::super::Exit;
use super::tally::{Line, Outcome, Refused};
use crate::catalog::{Finding, Grade};

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// About the policy, the keyring and the database, in the order of the policy's file.
    pub(super) findings: Vec<Finding>,
    /// How many columns of how many tables the policy encrypts; `None` if it is wrong in itself.
    pub(super) encrypted: Option<(usize, usize)>,
    /// What becomes of statements, if there were any to look at.
    pub(super) statements: Option<Statements>,
}

/// Statements and what becomes of them.
#[derive(Debug)]
pub(super) struct Statements {
    /// The database that they are for.
    pub(super) database: String,
    /// Most called first.
    pub(super) lines: Vec<Line>,
    /// Statements of other users, whose texts the server does not show to this one.
    pub(super) hidden: u64,
}

impl Report {
    /// Problems if anything stands in the way or is refused.
    pub(super) fn exit(&self) -> Exit {
        let problem = self.findings.iter().any(|finding| finding.grade == Grade::Problem);
        let refused = self.statements.iter().flat_map(|statements| &statements.lines);
        let refused = refused.into_iter().any(|line| matches!(line.outcome, Outcome::Refused(_)));
        if problem || refused { Exit::Problems } else { Exit::Success }
    }

    /// Prints it for people.
    pub(super) fn text(&self, policy: &Path, out: &mut impl Write) -> anyhow::Result<()> {
        for Finding { place, grade, message } in &self.findings {
            // Lines count from 1.
            let place = if place.line == 0 { String::new() } else { format!(":{place}") };
            writeln!(out, "{}{place}: {}: {message}", policy.display(), word(*grade))?;
        }
        if let Some((columns, tables)) = self.encrypted {
            writeln!(
                out,
                "{}: {columns} encrypted column{} in {tables} table{}",
                policy.display(),
                plural(columns),
                plural(tables)
            )?;
        }
        if let Some(statements) = &self.statements {
            statements.text(out)?;
        }
        Ok(())
    }

    /// Prints it as one object of JSON.
    pub(super) fn json(&self, policy: &Path, out: &mut impl Write) -> anyhow::Result<()> {
        let findings = self.findings.iter().map(|Finding { place, grade, message }| {
            json!({ "grade": word(*grade), "line": place.line, "column": place.column, "message": message })
        });
        let (columns, tables) = self.encrypted.unwrap_or_default();
        let report = json!({
            "policy": policy.display().to_string(),
            "encrypted_columns": columns,
            "encrypted_tables": tables,
            "findings": findings.collect::<Vec<_>>(),
            "statements": self.statements.as_ref().map(Statements::json),
        });
        writeln!(out, "{report:#}")?;
        Ok(())
    }
}

impl Statements {
    fn text(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let all = Count::of(self.lines.iter());
        writeln!(
            out,
            "\nOnce these columns are encrypted, of {} call{} of {} statement{} in database {}:",
            all.calls,
            plural(all.calls),
            all.shapes,
            plural(all.shapes),
            self.database
        )?;
        for (title, count) in [
            ("forwarded", self.count(|outcome| matches!(outcome, Outcome::Forwarded))),
            ("rewritten", self.count(|outcome| matches!(outcome, Outcome::Rewritten))),
            ("refused", self.count(|outcome| matches!(outcome, Outcome::Refused(_)))),
            ("unknown", self.count(|outcome| matches!(outcome, Outcome::Unknown(_)))),
        ] {
            let share = share(count.calls, all.calls);
            writeln!(
                out,
                "  {title:<10} {:>10} calls {share:>5.1}%  {:>6} statement{}",
                count.calls,
                count.shapes,
                plural(count.shapes)
            )?;
        }
        if self.hidden > 0 {
            writeln!(
                out,
                "  {} statement{} of other users cannot be read by this one: GRANT pg_read_all_stats TO it to see them",
                self.hidden,
                plural(self.hidden)
            )?;
        }
        for (reason, lines) in self.reasons() {
            let count = Count::of(lines.iter().map(|(line, _)| *line));
            writeln!(
                out,
                "\nRefused, {reason}: {} call{} ({:.1}%)",
                count.calls,
                plural(count.calls),
                share(count.calls, all.calls)
            )?;
            let mut told = None;
            for (line, refused) in lines {
                writeln!(out, "  {:>8} {}", line.calls, line.statement)?;
                writeln!(out, "           {}", refused.message)?;
                if refused.hint != told {
                    if let Some(hint) = &refused.hint {
                        writeln!(out, "           {hint}")?;
                    }
                    told.clone_from(&refused.hint);
                }
            }
        }
        let unknown: Vec<_> = self.lines.iter().filter_map(unknown).collect();
        if !unknown.is_empty() {
            writeln!(out, "\nUnknown: they fail today too, or need another search_path")?;
        }
        for (line, why) in unknown {
            writeln!(out, "  {:>8} {}\n           {why}", line.calls, line.statement)?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let all = Count::of(self.lines.iter());
        let count = |count: Count| json!({ "calls": count.calls, "statements": count.shapes, "share": fraction(count.calls, all.calls) });
        let reasons = self.reasons().into_iter().map(|(reason, lines)| {
            let total = Count::of(lines.iter().map(|(line, _)| *line));
            let statements = lines.into_iter().map(|(line, refused)| {
                json!({
                    "statement": line.statement,
                    "calls": line.calls,
                    "share": fraction(line.calls, all.calls),
                    "message": refused.message,
                    "sqlstate": refused.code,
                    "column": refused.column,
                    "construct": refused.construct,
                    "hint": refused.hint,
                })
            });
            json!({
                "reason": reason,
                "calls": total.calls,
                "share": fraction(total.calls, all.calls),
                "statements": statements.collect::<Vec<_>>(),
            })
        });
        let unknown = self.lines.iter().filter_map(unknown);
        let unknown = unknown
            .map(|(line, why)| json!({ "statement": line.statement, "calls": line.calls, "message": why }));
        json!({
            "database": self.database,
            "calls": all.calls,
            "forwarded": count(self.count(|outcome| matches!(outcome, Outcome::Forwarded))),
            "rewritten": count(self.count(|outcome| matches!(outcome, Outcome::Rewritten))),
            "refused": count(self.count(|outcome| matches!(outcome, Outcome::Refused(_)))),
            "unknown": count(self.count(|outcome| matches!(outcome, Outcome::Unknown(_)))),
            "hidden": self.hidden,
            "reasons": reasons.collect::<Vec<_>>(),
            "unknown_statements": unknown.collect::<Vec<_>>(),
        })
    }

    fn count(&self, of: impl Fn(&Outcome) -> bool) -> Count {
        Count::of(self.lines.iter().filter(|line| of(&line.outcome)))
    }

    /// The refused lines by their reasons, the reason with the most calls first.
    fn reasons(&self) -> Vec<(&'static str, Vec<(&Line, &Refused)>)> {
        let mut reasons: BTreeMap<&'static str, Vec<(&Line, &Refused)>> = BTreeMap::new();
        for line in &self.lines {
            if let Outcome::Refused(refused) = &line.outcome {
                reasons.entry(refused.reason).or_default().push((line, refused));
            }
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, lines)| {
            std::cmp::Reverse(Count::of(lines.iter().map(|(line, _)| *line)).calls)
        });
        reasons
    }
}

#[derive(Clone, Copy)]
struct Count {
    calls: u64,
    shapes: usize,
}

impl Count {
    fn of<'a>(lines: impl Iterator<Item = &'a Line>) -> Self {
        lines.fold(Self { calls: 0, shapes: 0 }, |count, line| Self {
            calls: count.calls.saturating_add(line.calls),
            shapes: count.shapes + 1,
        })
    }
}

fn unknown(line: &Line) -> Option<(&Line, &str)> {
    match &line.outcome {
        Outcome::Unknown(why) => Some((line, why)),
        Outcome::Forwarded | Outcome::Rewritten | Outcome::Refused(_) => None,
    }
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Problem => "problem",
        Grade::Warning => "warning",
    }
}

fn plural<N: PartialEq + From<u8>>(number: N) -> &'static str {
    if number == N::from(1) { "" } else { "s" }
}

/// In percent.
fn share(part: u64, whole: u64) -> f64 {
    100.0 * fraction(part, whole)
}

#[expect(clippy::cast_precision_loss, reason = "a share is shown with a few digits")]
fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::super::queries::Way;
    use super::super::tally::tests::tallied;
    use super::*;
    use crate::policy::Place;

    fn report() -> Report {
        let lines = tallied(
            Way::Query,
            &[
                (90, "SELECT id FROM orders"),
                (900, "SELECT id, email FROM users WHERE email = 'ada'"),
                (6, "SELECT id FROM users WHERE lower(email) = 'ada'"),
                (2, "SELECT id FROM users WHERE lower(email) = 'ada' AND id = 1"),
                (1, "SELECT id FROM users ORDER BY born"),
                (1, "SELECT id FROM missing"),
            ],
        );
        let place = Place { line: 3, column: 1 };
        let findings = vec![Finding { place, grade: Grade::Warning, message: "it leaks".to_owned() }];
        let statements = Statements { database: "app".to_owned(), lines, hidden: 3 };
        Report { findings, encrypted: Some((3, 1)), statements: Some(statements) }
    }

    #[test]
    fn a_report_for_people_begins_with_figures_and_groups_refusals_by_reason() {
        let mut out = Vec::new();
        report().text(Path::new("p.toml"), &mut out).unwrap();
        let wanted = "\
p.toml:3:1: warning: it leaks
p.toml: 3 encrypted columns in 1 table

Once these columns are encrypted, of 1000 calls of 6 statements in database app:
  forwarded          90 calls   9.0%       1 statement
  rewritten         900 calls  90.0%       1 statement
  refused             9 calls   0.9%       3 statements
  unknown             1 calls   0.1%       1 statement
  3 statements of other users cannot be read by this one: GRANT pg_read_all_stats TO it to see them

Refused, function: 8 calls (0.8%)
         6 SELECT id FROM users WHERE lower(email) = ?
           function lower cannot be carried out on encrypted column public.users.email
           Read the column and compute in the application, or take the column out of the policy. See docs/errors.md#function.
         2 SELECT id FROM users WHERE lower(email) = ? AND id = ?
           function lower cannot be carried out on encrypted column public.users.email

Refused, not ordered: 1 call (0.1%)
         1 SELECT id FROM users ORDER BY born
           column public.users.born is encrypted without order, so ORDER BY cannot be carried out on it
           Sort and compare by order in the application. See docs/errors.md#not-ordered.

Unknown: they fail today too, or need another search_path
         1 SELECT id FROM missing
           it names a relation that this database does not have
";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
        assert_eq!(report().exit(), Exit::Problems);
    }

    #[test]
    fn a_report_for_programs_has_the_same() {
        let mut out = Vec::new();
        report().json(Path::new("p.toml"), &mut out).unwrap();
        let json: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["encrypted_columns"], 3);
        assert_eq!(
            json["findings"][0],
            json!({ "grade": "warning", "line": 3, "column": 1, "message": "it leaks" })
        );
        let statements = &json["statements"];
        assert_eq!(statements["refused"], json!({ "calls": 9, "statements": 3, "share": 0.009 }));
        assert_eq!(statements["reasons"][0]["reason"], "function");
        let first = &statements["reasons"][0]["statements"][0];
        assert_eq!(first["column"], "public.users.email");
        assert_eq!(first["construct"], "function lower");
        assert_eq!(first["sqlstate"], "0A000");
        assert_eq!(statements["unknown_statements"][0]["calls"], 1);
    }

    #[test]
    fn only_refusals_and_problems_make_the_exit_code_one() {
        let of = |text| {
            let lines = tallied(Way::Query, &[(1, text)]);
            let statements = Some(Statements { database: "app".to_owned(), lines, hidden: 0 });
            Report { statements, ..Report::default() }.exit()
        };
        assert_eq!(of("SELECT email FROM users"), Exit::Success);
        assert_eq!(of("SELECT nope FROM users"), Exit::Success);
        assert_eq!(of("SELECT email || 'x' FROM users"), Exit::Problems);
    }
}
