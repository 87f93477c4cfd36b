//! What was counted is written down for proxies to show.

use std::collections::BTreeSet;

use super::{Ground, StoredArgs};
use crate::catalog::ColumnName;
use crate::jobs::{self, connection};

/// Counts columns whose values were moved, if there are proxies that show it.
pub(super) async fn count_anew(args: &StoredArgs, columns: &BTreeSet<ColumnName>) -> anyhow::Result<()> {
    let client = connection::connect(&args.database.database).await?;
    if jobs::are_counts_shown(&client).await? {
        // Their types may be others now.
        let ground = Ground::new(args).await?;
        let mut counted =
            jobs::count(&client, &ground.schema, &ground.catalog, |column| columns.contains(column)).await?;
        let plaintext = jobs::plaintext(&client, &ground.policy, &ground.catalog).await?;
        counted.extend(plaintext.into_iter().filter(|column| columns.contains(&column.column)));
        jobs::keep_counts(&client, &counted).await?;
    }
    Ok(())
}

/// Nothing but a page that is a little older depends on counts that are written down.
pub(super) fn kept<E: std::fmt::Display>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "what was counted is not written down for proxies to show");
    }
}
