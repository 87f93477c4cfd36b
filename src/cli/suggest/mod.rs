//! `pgseal init --suggest`: a policy proposed from a database's columns and the statements seen.

mod columns;
mod names;
mod usage;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::check::queries::{self, Texts, Way};
use super::check::{before_encryption, contents, is_own};
use super::database::Database;
use super::{Exit, InitArgs, block_on};
use crate::catalog::{self, Catalog, ColumnName, Grade, SessionFacts, Statistics};
use crate::policy::Policy;
use crate::sql::normalized::shape;
use crate::sql::{Consequence, Schema};
use columns::Proposal;
use usage::Usage;
use write::Told;

/// Prints the proposed policy, or writes it into a file that is not there yet.
///
/// # Errors
/// The database does not answer, the statements cannot be read, or the file exists or cannot be written.
pub(super) fn run(args: &InitArgs, url: &str, out: &mut impl Write) -> anyhow::Result<Exit> {
    let known = block_on(look(args, url))?;
    let text = proposed(&known)?;
    match &args.out {
        None => out.write_all(text.as_bytes())?,
        Some(file) => {
            create(file, &text)?;
            writeln!(out, "made the policy {}", file.display())?;
        }
    }
    Ok(Exit::Success)
}

/// What is known of a database and its statements.
struct Known {
    catalog: Catalog,
    facts: SessionFacts,
    statistics: Statistics,
    texts: Texts,
    sources: Vec<String>,
}

async fn look(args: &InitArgs, url: &str) -> anyhow::Result<Known> {
    let database = Database::connect(url).await?;
    let catalog = database.catalog().await?;
    let (mut texts, mut sources) = (Texts::default(), Vec::new());
    if let Some(file) = &args.queries {
        let queries = queries::read(&contents(file)?, &catalog.database);
        let sent = queries.sent.iter().filter(|sent| !is_own(&sent.text));
        sent.for_each(|sent| texts.add(&sent.text, sent.way, sent.calls));
        if let Some((line, why)) = queries.unread {
            sources.push(format!(
                "{} was not read from the statement at line {line} on: {why}.",
                file.display()
            ));
        }
    }
    // A look that fails ends what its connection can do.
    match Database::connect(url).await?.statements().await {
        Ok(Some(called)) => {
            let called = called.called.iter().filter(|(text, _)| !is_own(text));
            called.for_each(|(text, calls)| texts.add(text, Way::Normalized, *calls));
        }
        Ok(None) if args.queries.is_none() => sources.push(
            "The database has no pg_stat_statements, and no --queries were given: modes are those that constraints \
             and views ask for."
                .to_owned(),
        ),
        Ok(None) => {}
        Err(error) => sources.push(format!("pg_stat_statements could not be read: {error:#}.")),
    }
    let (facts, statistics) = (database.session().await?, database.statistics().await?);
    Ok(Known { catalog, facts, statistics, texts, sources })
}

fn proposed(known: &Known) -> anyhow::Result<String> {
    let Known { catalog, facts, statistics, texts, sources } = known;
    // One of each shape stands for all of it: modes do not depend on values.
    let mut shapes: BTreeMap<String, queries::Sent> = BTreeMap::new();
    for text in texts.list() {
        let one = shapes.entry(shape(&text.text).key);
        let one = one.or_insert_with(|| queries::Sent { calls: 0, ..text.clone() });
        one.calls = one.calls.saturating_add(text.calls);
    }
    let mut sent: Vec<queries::Sent> = shapes.into_values().collect();
    let statements = (sent.len(), sent.iter().map(|sent| sent.calls).fold(0, u64::saturating_add));
    // A view's query is printed under an empty search path: its names are whole.
    let views = catalog.relations.iter().filter_map(|relation| relation.definition.as_deref());
    sent.extend(views.map(|text| queries::Sent { text: text.to_owned(), way: Way::Query, calls: 0 }));
    let mut proposal = Proposal::new(catalog);
    let refused = Usage { sent: &sent, catalog, facts }.learn(&mut proposal)?;
    let told = Told {
        database: catalog.database.clone(),
        sources: sources.clone(),
        statements,
        obstacles: obstacles(&proposal, catalog, statistics)?,
        refused,
    };
    Ok(write::policy(&proposal, &told))
}

/// What stands in the way once the columns are encrypted.
fn obstacles(
    proposal: &Proposal,
    catalog: &Catalog,
    statistics: &Statistics,
) -> anyhow::Result<BTreeMap<Option<ColumnName>, BTreeSet<String>>> {
    let policy = Policy::parse(&proposal.policy(&BTreeSet::new()), "the proposed policy")?;
    let planned = catalog.once_encrypted(&policy);
    let mut found: BTreeMap<Option<ColumnName>, BTreeSet<String>> = BTreeMap::new();
    let problems = Schema::build(&policy, &planned).1;
    let before: Vec<_> = before_encryption(&policy, catalog, &BTreeSet::new(), &problems).collect();
    let graded = |is_problem: bool, message: &str| {
        if is_problem { format!("in the way: {message}") } else { format!("note: {message}") }
    };
    for problem in problems {
        let column = problem.column.as_ref().map(|column| problem.relation.column(column));
        let column = column.filter(|column| proposal.columns.contains_key(column));
        let message = if column.is_some() { problem.message.clone() } else { problem.to_string() };
        let is_problem = problem.consequence != Consequence::Warning;
        found.entry(column).or_default().insert(graded(is_problem, &message));
    }
    let findings = catalog::check(&policy, &planned, statistics);
    for finding in findings.into_iter().chain(before) {
        let column = policy.columns().find(|(_, column)| column.place == finding.place).map(|(name, _)| name);
        let message = graded(finding.grade == Grade::Problem, &finding.message);
        found.entry(column).or_default().insert(message);
    }
    Ok(found)
}

/// Writes a file that must not exist, as `init` does with a keyring.
fn create(file: &Path, text: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let mut opened = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists already; nothing was changed", file.display())
        }
        opened => opened.with_context(|| format!("{} cannot be made", file.display()))?,
    };
    opened.write_all(text.as_bytes())?;
    Ok(opened.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::super::check::tally::tests::{catalog, facts};
    use super::*;
    use crate::crypto::Mode;

    const ROWS: &str = "
        relations: 10|public|users|r|~
        columns: 10|1|id|23|-1|t|f|t|~|f
        columns: 10|2|email|1043|84|t|f|f|~|f
        columns: 10|3|born|1082|-1|f|f|f|~|f
        columns: 10|4|ssn|1042|15|f|f|f|~|f
        columns: 10|5|first_name|25|-1|f|f|f|~|f
        columns: 10|6|email_lower|25|-1|f|t|f|lower((email)::text)|f
        columns: 10|7|pin|17|-1|f|f|f|~|f
        columns: 10|8|health|3802|-1|f|f|f|~|f
        columns: 10|9|email_verified|16|-1|f|f|f|~|f
        columns: 10|10|phone|9999|-1|f|f|f|~|f
        dependents: 10|unique|users_email_key|{2}|btree|~|~
        dependents: 10|check|users_ssn|{4}|(ssn ~ '-')|~|~
        relations: 11|public|orders|r|~
        columns: 11|1|id|23|-1|t|f|t|~|f
        columns: 11|2|buyer|1043|84|f|f|f|~|f
        columns: 11|3|contact_email|25|-1|f|f|f|~|f
        dependents: 11|foreign key|orders_buyer_fkey|{2}|~|10|{2}
        relations: 12|public|Letters|p|~
        columns: 12|1|email|25|-1|f|f|f|~|f
        columns: 12|2|order|25|-1|f|f|f|~|f
        columns: 12|3|date_of_birth|1082|-1|f|f|f|~|f
        dependents: 12|partition key|Letters|{3}|range|~|~
        relations: 13|public|letters_1|r|~
        columns: 13|1|email|25|-1|f|f|f|~|f
        parents: 13|12
        relations: 14|public|both|v| SELECT u.id FROM (public.users u JOIN public.\"Letters\" l ON (((u.email)::text = l.email)));
        columns: 14|1|id|23|-1|f|f|f|~|f
        rule references: 14|10
        rule references: 14|12";

    const STATEMENTS: &str = "
        SELECT id FROM users WHERE ssn = $1 ORDER BY born;
        SELECT id FROM users WHERE ssn = 'secret' ORDER BY born;
        SELECT upper(first_name) FROM users;
        INSERT INTO users (health) VALUES ($1);
        SELECT id FROM users WHERE health = $1;
        SELECT o.id FROM orders o JOIN users u ON u.email = o.contact_email;
        SELECT u FROM users u;
        SELECT nope FROM users;";

    fn known(statements: &str) -> Known {
        let mut texts = Texts::default();
        let queries = queries::read(statements, "app");
        queries.sent.iter().for_each(|sent| texts.add(&sent.text, sent.way, sent.calls));
        let statistics = [("public.users.ssn".parse().unwrap(), 12.0)].into_iter().collect();
        Known { catalog: catalog(ROWS), facts: facts(), statistics, texts, sources: Vec::new() }
    }

    #[test]
    fn a_proposal_is_a_policy_with_the_modes_that_statements_need() {
        let text = proposed(&known(STATEMENTS)).unwrap();
        let policy = Policy::parse(&text, "p").unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let columns: Vec<String> = policy
            .columns()
            .map(|(name, column)| {
                let ty = crate::policy::type_name(&column.ty);
                let mode = if column.mode == Mode::Deterministic { "deterministic" } else { "randomized" };
                let context = if column.context == name.to_string() { "" } else { column.context.as_str() };
                format!("{name} {ty} {mode} {context}").trim_end().to_owned()
            })
            .collect();
        let wanted = [
            "public.\"Letters\".email text deterministic public.users.email",
            "public.orders.buyer character varying(80) deterministic public.users.email",
            "public.orders.contact_email text deterministic public.users.email",
            "public.users.born date randomized",
            "public.users.email character varying(80) deterministic",
            "public.users.first_name text randomized",
            "public.users.health jsonb randomized",
            "public.users.ssn character(11) deterministic",
        ];
        assert_eq!(columns, wanted, "{text}");
    }

    #[test]
    fn reasons_stand_beside_the_columns_and_no_value_does() {
        let text = proposed(&known(STATEMENTS)).unwrap();
        let flat = text.replace("\n#  ", "");
        for wanted in [
            "from 7 different statements in 8 calls",
            "# number of an identity document or a tax payer; compared by operator = (2 calls)\n",
            "note: column public.users.ssn is deterministic and has about 12 different values",
            "in the way: CHECK users_ssn uses encrypted columns: operator ~",
            "# date of birth; never compared in the statements seen\n# will be refused, 2 calls: ORDER BY\n",
            "# will be refused, 1 call: function upper\n",
            "# references public.users.email; foreign key orders_buyer_fkey with public.users.email\n",
            "# cannot be deterministic: equal jsonb values may have different number forms",
            "# - 1 call a row of u as one value would hand out encrypted columns",
            "# - public.users.pin: secret; it is bytea, so it may hold encrypted values already",
            "# - public.users.email_lower: e-mail address; it is generated by the server",
            "# - public.users.phone: phone number; its type is a domain or one that cannot be encrypted",
            "# - public.\"Letters\".date_of_birth: date of birth; the table is partitioned by its range",
        ] {
            assert!(flat.contains(wanted), "{wanted}\n{text}");
        }
        assert!(!text.contains("secret'") && !text.contains("nope"), "{text}");
    }

    #[test]
    fn without_statements_constraints_and_views_decide() {
        let text = proposed(&known("")).unwrap();
        assert!(text.contains("ssn = { type = \"char(11)\" }"), "{text}");
        assert!(text.contains("email = { type = \"varchar(80)\", mode = \"deterministic\" }"), "{text}");
        assert!(!text.contains("never compared"), "{text}");
        let nothing = Known { catalog: catalog(""), ..known("") };
        let text = proposed(&nothing).unwrap();
        assert!(text.contains("No column looks sensitive.") && Policy::parse(&text, "p").is_ok(), "{text}");
    }

    #[test]
    fn a_file_that_is_there_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        create(&file, "a").unwrap();
        let error = create(&file, "b").unwrap_err().to_string();
        assert!(error.contains("policy.toml exists already"), "{error}");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "a");
    }
}
