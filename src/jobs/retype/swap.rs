//! The one instant: under an exclusive lock, in one transaction, the columns change.

use std::sync::Arc;

use tokio_postgres::Client;

use super::prepare::{self, LEFT_FOR_THE_SWAP, VERSION};
use super::{Retype, preflight, views};
use crate::catalog::{ChangePhase, Storage};
use crate::jobs::runner::gives_way;
use crate::jobs::table::Order;
use crate::jobs::value::Values;
use crate::jobs::walk::{Form, Walk};
use crate::jobs::{JobError, Work, doing};
use crate::keyring::{Vault, os_entropy};
use crate::policy::quote_ident;
use crate::sql::sealed_check;

/// How a try has ended.
pub(super) enum Swapped {
    /// The columns have their new types.
    Done,
    /// Others hold the table, or one of its views.
    GaveWay,
    /// Too many rows have been written since values were prepared.
    TooManyLeft,
}

/// Tries once. Whatever comes between leaves everything as it was.
pub(super) async fn swap(job: &Retype<'_>, client: &Client) -> Result<Swapped, JobError> {
    client.batch_execute("BEGIN").await.map_err(doing("does not begin a transaction"))?;
    let ended = attempt(job, client).await;
    match ended {
        Ok(Swapped::Done) => match client.batch_execute("COMMIT").await {
            Ok(()) => Ok(Swapped::Done),
            Err(error) => Err(doing("does not commit the change")(error)),
        },
        Ok(Swapped::GaveWay | Swapped::TooManyLeft) | Err(_) => {
            let rolled_back = client.batch_execute("ROLLBACK").await;
            let ended = ended?;
            rolled_back.map_err(doing("does not roll the change back"))?;
            Ok(ended)
        }
    }
}

async fn attempt(job: &Retype<'_>, client: &Client) -> Result<Swapped, JobError> {
    let refused = || doing("refuses the change");
    let table = &job.target.table;
    let before = job.change(ChangePhase::Before).relation();
    // First that which statements lock first: so they wait there, and hold nothing of the table.
    let lock = format!(
        "LOCK TABLE {before} IN ACCESS EXCLUSIVE MODE; LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE",
        table.name
    );
    match client.batch_execute(&lock).await {
        Ok(()) => {}
        Err(error) if gives_way(&error) => return Ok(Swapped::GaveWay),
        Err(error) => return Err(refused()(error)),
    }
    let hindrances = preflight::hindrances(job, client).await?;
    if !hindrances.is_empty() {
        let list = hindrances.iter().map(|hindrance| format!("\n  {hindrance}")).collect();
        return Err(JobError::Unchangeable(table.name.clone(), list));
    }
    if !rest(job, client).await? {
        return Ok(Swapped::TooManyLeft);
    }
    let views = views::over(client, job.target.oid, &job.target.numbers).await?;
    let mut grants = Vec::new();
    for view in &views {
        grants.push(views::grants(client, view).await?);
    }
    let drops: String =
        views.iter().rev().map(|view| format!("DROP VIEW {} RESTRICT;\n", view.name)).collect();
    match client.batch_execute(&drops).await {
        Ok(()) => {}
        Err(error) if gives_way(&error) => return Ok(Swapped::GaveWay),
        Err(error) => return Err(refused()(error)),
    }
    let lookups = prepare::lookups(job, |i| prepare::lookup(job, i), &prepare::sealed(job));
    let alter =
        alter(job, &table.name.to_string(), |i| prepare::lookup(job, i), &own_checks(job, client).await?);
    client
        .batch_execute(&format!("{lookups}{alter};\n{}", prepare::drop_lookups(job)))
        .await
        .map_err(refused())?;
    for (view, grants) in views.iter().zip(&grants) {
        client.batch_execute(&view.create()).await.map_err(refused())?;
        let now = views::grants(client, view).await?;
        client.batch_execute(&view.grant(&now, grants)).await.map_err(refused())?;
        if views::grants(client, view).await? != *grants {
            let why = format!("\n  the grants of view {} cannot be made again by this role", view.name);
            return Err(JobError::Unchangeable(table.name.clone(), why));
        }
    }
    let after = job.change(ChangePhase::After).relation();
    let announce = format!(
        "DROP TABLE {before};
         CREATE TABLE {after} (seen int); INSERT INTO {after} VALUES (1); GRANT SELECT ON {after} TO PUBLIC;
         COMMENT ON TABLE {after} IS 'the types of columns of {} have changed'",
        job.target.oid
    );
    client.batch_execute(&announce).await.map_err(refused())?;
    Ok(Swapped::Done)
}

/// Prepares what has been written since, as far as it is little; false if it is more.
async fn rest(job: &Retype<'_>, client: &Client) -> Result<bool, JobError> {
    let sealed = prepare::sealed(job);
    let condition = format!(
        "({}) AND NOT EXISTS (SELECT FROM {sealed} s WHERE s.place = t.ctid AND s.version = {VERSION})",
        prepare::has_value(job)
    );
    let (order, form) = (Order::Key(Vec::new()), Form::Versions { as_text: job.work == Work::Encrypt });
    let walk = Walk {
        table: &job.target.table,
        order: &order,
        condition: &condition,
        batch: LEFT_FOR_THE_SWAP,
        form,
    };
    let rows = walk.first(client, LEFT_FOR_THE_SWAP + 1).await?;
    if u32::try_from(rows.len()).map_or(true, |rows| rows > LEFT_FOR_THE_SWAP) {
        return Ok(false);
    }
    let mut values = Values::new(Vault::new(Arc::clone(&job.keys), os_entropy()));
    let batch = prepare::seal(job, &mut values, &rows, &Order::Blocks);
    // A value that cannot be moved is named by the walk.
    if !batch.failures.is_empty() {
        return Ok(false);
    }
    prepare::insert(job, client, &sealed, &batch).await?;
    Ok(true)
}

/// CHECKs that let only encrypted values into the columns.
async fn own_checks(job: &Retype<'_>, client: &Client) -> Result<Vec<String>, JobError> {
    let rows = client
        .query(
            "SELECT conname::text, pg_catalog.pg_get_expr(conbin, conrelid) FROM pg_catalog.pg_constraint
             WHERE conrelid = $1 AND contype = 'c' AND conkey && $2",
            &[&job.target.oid, &job.target.numbers],
        )
        .await
        .map_err(doing("does not show the constraints of the table"))?;
    let checks = rows.iter().map(|row| (row.get::<_, String>(0), row.get::<_, String>(1)));
    Ok(checks
        .filter(|(name, expression)| sealed_check::is_ours(name, expression))
        .map(|(name, _)| name)
        .collect())
}

/// The one statement that changes a table, which may be a sample.
pub(super) fn alter(
    job: &Retype<'_>,
    table: &str,
    lookup: impl Fn(usize) -> String,
    own_checks: &[String],
) -> String {
    let mut actions = Vec::new();
    if job.work == Work::Decrypt {
        actions.extend(own_checks.iter().map(|check| format!("DROP CONSTRAINT {}", quote_ident(check))));
    }
    let mut taken = job.target.checks.clone();
    for (i, column) in job.target.table.columns.iter().enumerate() {
        let (name, ty, lookup) = (quote_ident(&column.name), prepare::new_type(job, i), lookup(i));
        // A default is NULL, if there is one, and it would not change its type by itself.
        actions.push(format!("ALTER COLUMN {name} DROP DEFAULT"));
        actions.push(format!(
            "ALTER COLUMN {name} TYPE {ty} USING CASE WHEN {name} IS NOT NULL THEN {lookup}(ctid, \
             pg_catalog.concat(pg_catalog.pg_relation_filenode(tableoid), ' ', xmin)) END"
        ));
        if job.work == Work::Encrypt {
            let check =
                sealed_check::constraint(&column.name, column.class.binding.mode, Storage::Bytea, &taken);
            taken.extend(check.split(' ').nth(1).map(|name| name.trim_matches('"').to_owned()));
            actions.push(format!("ADD {check}"));
        }
    }
    format!("ALTER TABLE {table} {}", actions.join(", "))
}
