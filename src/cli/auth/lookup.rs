//! Users looked up in a database, over a login of the proxy's own.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::{Client, Statement};
use zeroize::Zeroizing;

use crate::jobs::connection::connect;
use crate::net::auth::{Lookup, LookupFailed};

/// So long the database may take for one user, connecting included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks.
pub(in crate::cli) struct Lookups {
    database: String,
    query: String,
    asks: mpsc::Receiver<Lookup>,
}

impl Lookups {
    pub(super) fn new(database: &str, query: &str, asks: mpsc::Receiver<Lookup>) -> Self {
        Self { database: database.to_owned(), query: query.to_owned(), asks }
    }

    /// Answers until nobody asks any more. One connection is kept, and made anew when it was lost.
    pub(in crate::cli) async fn run(mut self) {
        let mut kept = None;
        while let Some(Lookup { user, answer }) = self.asks.recv().await {
            let found = timeout(PATIENCE, self.look_up(&mut kept, &user)).await;
            let found = found.unwrap_or_else(|_| Err(anyhow::anyhow!("the database does not answer")));
            let found = found.map_err(|error| {
                kept = None;
                tracing::error!(error = format!("{error:#}"), "a user cannot be looked up");
                LookupFailed
            });
            // Whoever asked may have gone.
            let _ = answer.send(found);
        }
    }

    async fn look_up(
        &self,
        kept: &mut Option<(Client, Statement)>,
        user: &str,
    ) -> anyhow::Result<Option<Zeroizing<String>>> {
        if kept.as_ref().is_none_or(|(client, _)| client.is_closed()) {
            let client = connect(&self.database).await?;
            let statement = client.prepare(&self.query).await?;
            *kept = Some((client, statement));
        }
        let Some((client, statement)) = kept else { return Ok(None) };
        let mut rows = client.query(statement, &[&user]).await?;
        match (rows.pop(), rows.is_empty()) {
            (None, _) => Ok(None),
            // As PgBouncer has it: the name, and the secret.
            (Some(row), true) => {
                let last =
                    row.len().checked_sub(1).ok_or_else(|| anyhow::anyhow!("the query gives no column"))?;
                Ok(row.try_get::<_, Option<String>>(last)?.map(Zeroizing::new))
            }
            (Some(_), false) => anyhow::bail!("the query gives more than one row for a user"),
        }
    }
}
