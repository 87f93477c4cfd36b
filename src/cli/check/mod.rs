//! `pgseal check`: everything that is wrong with a policy, and what becomes of an application's statements under it.

pub(super) mod queries;
mod report;
pub(super) mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, bail};

use super::database::{Database, MARK};
use super::{CheckArgs, Exit, Format, KeyringArg, block_on};
use crate::catalog::{self, Catalog, ColumnName, Finding, Grade, Relation, RelationKind};
use crate::datum::{Base, Type};
use crate::keyring::{self, KeyringError, Keys};
use crate::policy::{ColumnState, Place, Policy, PolicyError};
use crate::sql::normalized::shape;
use crate::sql::{Consequence, Schema, SchemaProblem};
use queries::{Texts, Way};
use report::{Report, Statements};
use tally::{Judge, tally};

/// Prints what is found.
///
/// # Errors
/// The policy, the keyring or the statements cannot be read, or the database does not answer.
pub(super) fn run(args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut report = report(args)?;
    report.findings.sort();
    match args.format {
        Format::Text => report.text(&args.policy.policy, out)?,
        Format::Json => report.json(&args.policy.policy, out)?,
    }
    Ok(report.exit())
}

fn report(args: &CheckArgs) -> anyhow::Result<Report> {
    let policy = match Policy::load(&args.policy.policy) {
        Ok(policy) => policy,
        Err(PolicyError::Problems(wrong)) => {
            let problem = |p: crate::policy::Problem| Finding {
                place: p.place,
                grade: Grade::Problem,
                message: p.message,
            };
            let findings = wrong.problems.into_iter().map(problem).collect();
            return Ok(Report { findings, ..Report::default() });
        }
        Err(error @ PolicyError::Read { .. }) => return Err(error.into()),
    };
    let encrypted = Some((policy.columns().count(), policy.tables.len()));
    let mut report = Report { encrypted, ..Report::default() };
    if let Some(KeyringArg { keyring: path }) = &args.keyring {
        match keyring::load(path, args.kek.kek.as_deref()) {
            Ok(keys) => report.findings.extend(missing_keys(&policy, &keys, path)),
            Err(error @ KeyringError::Disk(_)) => return Err(error.into()),
            Err(error) => report.findings.push(problem_of_no_place(error.to_string())),
        }
    }
    let source = args.from_pg_stat_statements.as_ref();
    match args.database.as_ref().map(|named| &named.database).or(source) {
        Some(url) if args.queries.is_some() || source.is_some() => {
            block_on(statements(&policy, args, url, &mut report))?;
        }
        Some(url) => report.findings.extend(block_on(against(&policy, url))?),
        None => {}
    }
    Ok(report)
}

fn problem_of_no_place(message: String) -> Finding {
    Finding { place: Place::default(), grade: Grade::Problem, message }
}

/// What becomes of the statements, and what will stand in the way, once the columns are encrypted.
async fn statements(policy: &Policy, args: &CheckArgs, url: &str, report: &mut Report) -> anyhow::Result<()> {
    let database = Database::connect(url).await?;
    let catalog = database.catalog().await?;
    let mut texts = Texts::default();
    if let Some(file) = &args.queries {
        let queries = queries::read(&contents(file)?, &catalog.database);
        let sent = queries.sent.iter().filter(|sent| !is_own(&sent.text));
        sent.for_each(|sent| texts.add(&sent.text, sent.way, sent.calls));
        if let Some((line, why)) = queries.unread {
            let message =
                format!("{} is not read from the statement at line {line} on: {why}", file.display());
            report.findings.push(problem_of_no_place(message));
        }
    }
    let mut hidden = 0;
    if let Some(source) = &args.from_pg_stat_statements {
        let Some(statistics) = Database::connect(source).await?.statements().await? else {
            bail!(
                "the database has no extension pg_stat_statements: CREATE EXTENSION pg_stat_statements, with \
                 shared_preload_libraries = 'pg_stat_statements' in the server's settings, or give statements by --queries"
            );
        };
        hidden = statistics.hidden;
        let called = statistics.called.iter().filter(|(text, _)| !is_own(text));
        called.for_each(|(text, calls)| texts.add(text, Way::Normalized, *calls));
    }
    let planned = catalog.once_encrypted(policy);
    let (schema, problems) = Schema::build(policy, &planned);
    let plaintext = texts_in_plaintext(policy, &catalog, &database).await;
    report.findings.extend(catalog::check(policy, &planned, &database.statistics().await?));
    report.findings.extend(before_encryption(policy, &catalog, &plaintext, &problems));
    report.findings.extend(problems.into_iter().map(|problem| judged(policy, problem)));
    let facts = database.session().await?;
    let (unblocked, _) = Schema::build(policy, &planned.without_dependents());
    let lines = tally(texts.list(), &Judge::new(&schema, &facts).beyond_what_blocks(&unblocked));
    report.statements = Some(Statements { database: catalog.database, lines, hidden });
    Ok(())
}

/// What [`Catalog::before_encryption`] finds, without the CHECKs that the analysis tells more about.
pub(super) fn before_encryption(
    policy: &Policy,
    catalog: &Catalog,
    plaintext: &BTreeSet<ColumnName>,
    problems: &[SchemaProblem],
) -> impl Iterator<Item = Finding> {
    let is_told = |finding: &Finding| {
        let check = finding.message.split(" uses ").next().unwrap_or_default();
        check.starts_with("CHECK ")
            && problems.iter().any(|problem| problem.message.starts_with(&format!("{check} uses ")))
    };
    catalog.before_encryption(policy, plaintext).into_iter().filter(move |finding| !is_told(finding))
}

/// Whether a text that was logged or counted is one that this program itself asks, here or as a proxy.
pub(super) fn is_own(text: &str) -> bool {
    static OWN: OnceLock<BTreeSet<String>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let all = catalog::PROLOGUE.iter().copied().chain(catalog::QUERIES.iter().map(|query| query.sql));
        all.chain([catalog::SESSION_QUERY]).map(|sql| shape(sql).key).collect()
    });
    text.trim_end().ends_with(MARK) || own.contains(&shape(text).key)
}

/// A file's content, or that of standard input for `-`. A log may hold bytes that are no text.
pub(super) fn contents(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
    } else {
        bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Columns of type text that hold values that are not sealed.
async fn texts_in_plaintext(policy: &Policy, catalog: &Catalog, database: &Database) -> BTreeSet<ColumnName> {
    let mut found = BTreeSet::new();
    for relation in &catalog.relations {
        for column in policy.tables.get(&relation.name).iter().flat_map(|table| table.columns.keys()) {
            let name = relation.name.column(column);
            if let Some((is_sealed, _)) = is_sealed(relation, column)
                && database.any(&name, &format!("NOT ({is_sealed})")).await.unwrap_or(false)
            {
                found.insert(name);
            }
        }
    }
    found
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
            let Some((is_sealed, way_out)) = is_sealed(relation, column) else { continue };
            if of_policy.state == ColumnState::Migrating {
                // That is what it says.
                continue;
            }
            let name = relation.name.column(column);
            let (grade, message) = match database.any(&name, &format!("NOT ({is_sealed})")).await {
                Ok(false) => continue,
                Ok(true) => (
                    Grade::Problem,
                    format!(
                        "column {name} holds values that are not encrypted: reading them fails; {way_out}"
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

/// SQL that tells whether `v`, a value of the column, is an envelope, and what to do where it is none; `None` if the
/// column can hold none.
fn is_sealed(relation: &Relation, column: &str) -> Option<(&'static str, &'static str)> {
    let attribute = relation.columns.iter().find(|attribute| attribute.name == column)?;
    match Type::from_oid(attribute.type_oid, attribute.modifier)?.base {
        Base::Bytea => Some((
            "pg_catalog.substring(v, 1, 2) IN ('\\xe510', '\\xe511', '\\xe512')",
            "write them into a new column through the proxy",
        )),
        // The magic byte and the version in base64url.
        Base::Text | Base::Varchar => Some((
            "pg_catalog.left(v, 7) = 'pgs1.5R'",
            "give the column state = \"migrating\", and run pgseal encrypt (docs/lifecycle.md)",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{KekArg, PolicyArg};
    use super::*;

    /// Runs the command on a policy and a fresh keyring.
    fn check(policy: &str) -> (Exit, String) {
        let folder = tempfile::tempdir().unwrap();
        let (file, keyring) = (folder.path().join("p.toml"), folder.path().join("keys/keyring.toml"));
        fs::write(&file, policy).unwrap();
        super::super::init::init(&keyring, &format!("file:{}", folder.path().join("keys/kek").display()))
            .unwrap();
        let (policy, keyring) = (PolicyArg { policy: file }, Some(KeyringArg { keyring }));
        let args = CheckArgs { policy, keyring, ..no_args() };
        let mut out = Vec::new();
        let exit = run(&args, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        (exit, text.replace(&format!("{}/", folder.path().display()), ""))
    }

    fn no_args() -> CheckArgs {
        CheckArgs {
            policy: PolicyArg { policy: "p.toml".into() },
            keyring: None,
            kek: KekArg { kek: None },
            database: None,
            queries: None,
            from_pg_stat_statements: None,
            format: Format::Text,
        }
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
