//! `pgseal check`: everything that is wrong with a policy.

use std::io::Write;

use super::database::Database;
use super::{CheckArgs, Exit};
use crate::policy::{Policy, PolicyError};

/// Reports to `out`.
pub(super) fn run(args: &CheckArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let policy = match Policy::load(&args.policy) {
        Ok(policy) => policy,
        Err(PolicyError::Problems(problems)) => {
            writeln!(out, "{problems}")?;
            return Ok(Exit::Problems);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(url) = &args.database {
        let catalog = super::block_on(async { Database::connect(url).await?.catalog().await })?;
        writeln!(out, "{} {}", catalog.relations.len(), policy.tables.len())?;
    }
    Ok(Exit::Success)
}
