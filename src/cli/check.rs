//! `pgseal check`: everything that is wrong with a policy.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::database::Database;
use super::{CheckArgs, Exit, block_on};
use crate::catalog::{self, Catalog, Finding, Grade, Relation, RelationKind};
use crate::datum::{Base, Type};
use crate::keyring::{self, KeyringError, Keys};
use crate::policy::{Policy, PolicyError};
use crate::sql::{Consequence, Schema, SchemaProblem};

/// Prints a line for each finding, and a summary.
///
/// # Errors
/// The policy or the keyring cannot be read, or the database does not answer.
pub(super) fn run(args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let policy = match Policy::load(&args.policy) {
        Ok(policy) => policy,
        Err(PolicyError::Problems(wrong)) => {
            let problem = |p: crate::policy::Problem| Finding {
                place: p.place,
                grade: Grade::Problem,
                message: p.message,
            };
            return print(&args.policy, wrong.problems.into_iter().map(problem).collect(), out);
        }
        Err(error @ PolicyError::Read { .. }) => return Err(error.into()),
    };
    let (mut findings, mut keyring_opens) = (Vec::new(), true);
    if let Some(path) = &args.keyring {
        match keyring::load(path, args.kek.as_deref()) {
            Ok(keys) => findings.extend(missing_keys(&policy, &keys, path)),
            Err(error @ KeyringError::Disk(_)) => return Err(error.into()),
            Err(error) => {
                keyring_opens = false;
                writeln!(out, "problem: {error}")?;
            }
        }
    }
    if let Some(url) = &args.database {
        findings.extend(block_on(against(&policy, url))?);
    }
    let exit = print(&args.policy, findings, out)?;
    let (columns, tables) = (policy.columns().count(), policy.tables.len());
    writeln!(
        out,
        "{}: {columns} encrypted column{} in {tables} table{}",
        args.policy.display(),
        plural(columns),
        plural(tables)
    )?;
    Ok(if keyring_opens { exit } else { Exit::Problems })
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

/// Keys that the policy names and the keyring cannot seal with, where they are first named.
fn missing_keys(policy: &Policy, keys: &Keys, path: &Path) -> Vec<Finding> {
    let mut first = BTreeMap::new();
    for (_, column) in policy.columns() {
        let place = first.entry(&column.key).or_insert(column.place);
        *place = column.place.min(*place);
    }
    let missing =
        first.into_iter().filter(|(key, _)| keys.active(key).is_none()).map(|(key, place)| Finding {
            place,
            grade: Grade::Problem,
            message: format!("keyring {} has no active data key named {key}", path.display()),
        });
    missing.collect()
}

/// What the database says about the policy.
async fn against(policy: &Policy, url: &str) -> anyhow::Result<Vec<Finding>> {
    let database = Database::connect(url).await?;
    let catalog = database.catalog().await?;
    let mut findings = catalog::check(policy, &catalog, &database.statistics().await?);
    let (_, problems) = Schema::build(policy, &catalog);
    findings.extend(problems.into_iter().map(|problem| judged(policy, problem)));
    findings.extend(unsealed(policy, &catalog, &database).await);
    Ok(findings)
}

/// What the analysis says, at its place in the policy; a table that the policy does not name (a view, a partition)
/// has none.
fn judged(
    policy: &Policy,
    SchemaProblem { relation, column, consequence, message }: SchemaProblem,
) -> Finding {
    let table = policy.tables.get(&relation);
    let of_column = column.as_ref().and_then(|column| Some(table?.columns.get(column)?.place));
    let place = of_column.or(table.map(|table| table.place)).unwrap_or_default();
    let (grade, consequence) = match consequence {
        Consequence::Refused => (Grade::Problem, "; statements that name it are refused"),
        Consequence::WritesRefused => (Grade::Problem, "; statements that write to it are refused"),
        Consequence::Warning => (Grade::Warning, ""),
    };
    Finding { place, grade, message: format!("{relation}: {message}{consequence}") }
}

/// Columns that hold values that are not sealed.
async fn unsealed(policy: &Policy, catalog: &Catalog, database: &Database) -> Vec<Finding> {
    let mut findings = Vec::new();
    for relation in &catalog.relations {
        let Some(table) = policy.tables.get(&relation.name) else { continue };
        if !matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable) {
            continue;
        }
        for (column, of_policy) in &table.columns {
            let Some(is_sealed) = is_sealed(relation, column) else { continue };
            let name = relation.name.column(column);
            let (grade, message) = match database.any(&name, &format!("NOT ({is_sealed})")).await {
                Ok(false) => continue,
                Ok(true) => (
                    Grade::Problem,
                    format!(
                        "column {name} holds values that are not encrypted: reading them fails; columns that hold \
                         plaintext cannot be taken over in this version yet"
                    ),
                ),
                Err(error) => (
                    Grade::Warning,
                    format!("whether the values in column {name} are encrypted is not known: {error:#}"),
                ),
            };
            findings.push(Finding { place: of_policy.place, grade, message });
        }
    }
    findings
}

/// SQL that tells whether `v`, a value of the column, is an envelope; `None` if the column can hold none.
fn is_sealed(relation: &Relation, column: &str) -> Option<&'static str> {
    let attribute = relation.columns.iter().find(|attribute| attribute.name == column)?;
    match Type::from_oid(attribute.type_oid, attribute.modifier)?.base {
        Base::Bytea => Some("pg_catalog.substring(v, 1, 2) IN ('\\xe510', '\\xe511', '\\xe512')"),
        // The magic byte and the version in base64url.
        Base::Text | Base::Varchar => Some("pg_catalog.left(v, 7) = 'pgs1.5R'"),
        _ => None,
    }
}

/// Prints findings in the order of the file.
fn print(file: &Path, mut findings: Vec<Finding>, out: &mut impl Write) -> anyhow::Result<Exit> {
    findings.sort();
    for Finding { place, grade, message } in &findings {
        let word = match grade {
            Grade::Problem => "problem",
            Grade::Warning => "warning",
        };
        // Lines count from 1.
        let place = if place.line == 0 { String::new() } else { format!(":{place}") };
        writeln!(out, "{}{place}: {word}: {message}", file.display())?;
    }
    let problems = findings.iter().any(|finding| finding.grade == Grade::Problem);
    Ok(if problems { Exit::Problems } else { Exit::Success })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Runs the command on a policy and a fresh keyring.
    fn check(policy: &str) -> (Exit, String) {
        let folder = tempfile::tempdir().unwrap();
        let (file, keyring) = (folder.path().join("p.toml"), folder.path().join("keys/keyring.toml"));
        fs::write(&file, policy).unwrap();
        super::super::init::init(&keyring, &format!("file:{}", folder.path().join("keys/kek").display()))
            .unwrap();
        let args = CheckArgs { policy: file, keyring: Some(keyring), kek: None, database: None };
        let mut out = Vec::new();
        let exit = run(&args, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        (exit, text.replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn a_good_policy_gives_a_summary() {
        let policy = "version = 1\n[table.\"a.b\"]\nc = { type = \"text\" }\nd = { type = \"date\" }";
        assert_eq!(check(policy), (Exit::Success, "p.toml: 2 encrypted columns in 1 table\n".to_owned()));
    }

    #[test]
    fn problems_have_places_and_an_exit_code() {
        let (exit, text) = check("version = 1\n[table.\"a.b\"]\nc = { type = \"money\" }\nd = {}");
        assert_eq!(exit, Exit::Problems);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("p.toml:3:14: problem: type money cannot be encrypted"), "{text}");
        assert!(lines[1].starts_with("p.toml:4:5: problem: the column's type is missing"), "{text}");
    }

    #[test]
    fn keys_that_the_keyring_lacks_are_named_where_they_are_first_used() {
        let (exit, text) = check(
            "version = 1\n[table.\"a.b\"]\nz = { type = \"text\", key = \"health\" }\ny = { type = \"text\", key = \"health\" }",
        );
        assert_eq!(exit, Exit::Problems);
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            "p.toml:3:1: problem: keyring keys/keyring.toml has no active data key named health"
        );
    }
}
