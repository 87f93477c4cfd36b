//! A proxy's report of itself in the database, for the commands that change keys.

use tokio::sync::watch;

use super::database::Database;
use super::keys::fleet::{self, BEAT, Held, Identity};
use crate::admin::{Fleet, ProxySeen};
use crate::catalog::Phase;

/// Reports every few seconds, whatever happens to the connection.
pub(super) struct Heartbeat {
    url: String,
    who: Identity,
    /// What every worker works with.
    held: watch::Receiver<Held>,
    /// Who else reports, and which jobs go on, for the admin address.
    told: watch::Sender<Option<Fleet>>,
    database: Option<Database>,
}

impl Heartbeat {
    pub(super) fn new(url: &str, held: watch::Receiver<Held>, told: watch::Sender<Option<Fleet>>) -> Self {
        let mut id = [0; 8];
        // Two proxies that draw the same id would report as one; without randomness no key could be drawn either.
        let _ = getrandom::fill(&mut id);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let who =
            Identity { id: format!("{:016x}", u64::from_be_bytes(id)), host, process: std::process::id() };
        Self { url: url.to_owned(), who, held, told, database: None }
    }

    /// Does not end.
    pub(super) async fn run(&mut self) {
        let mut is_told = false;
        loop {
            match self.beat().await {
                Ok(()) if is_told => {
                    tracing::info!("this proxy reports in the database again");
                    is_told = false;
                }
                Ok(()) => {}
                Err(error) => {
                    self.database = None;
                    self.told.send_replace(None);
                    if !is_told {
                        let error = format!("{error:#}");
                        tracing::warn!(error, "this proxy cannot report in the database which keys it holds");
                    }
                    is_told = true;
                }
            }
            // A change is reported at once.
            let _ = tokio::time::timeout(BEAT, self.held.changed()).await;
        }
    }

    /// Takes the report away.
    pub(super) async fn leave(self) {
        if let Some(database) = &self.database
            && let Ok(Err(error)) = tokio::time::timeout(BEAT, fleet::leave(database, &self.who)).await
        {
            tracing::debug!(error = format!("{error:#}"), "the report stays in the database");
        }
    }

    async fn beat(&mut self) -> anyhow::Result<()> {
        let database = match &self.database {
            Some(database) => database,
            None => {
                let database = Database::connect(&self.url).await?;
                fleet::prepare(&database).await?;
                self.database.insert(database)
            }
        };
        let held = self.held.borrow_and_update().clone();
        tokio::time::timeout(3 * BEAT, fleet::report(database, &self.who, &held)).await??;
        if !self.told.is_closed() {
            let fleet = tokio::time::timeout(3 * BEAT, look(database, &self.who)).await??;
            self.told.send_replace(Some(fleet));
        }
        Ok(())
    }
}

/// What the database tells of proxies, jobs and counts. Those that this login may not see are none.
async fn look(database: &Database, me: &Identity) -> anyhow::Result<Fleet> {
    let seen = |proxy: fleet::Proxy| ProxySeen {
        is_this: proxy.id == me.id,
        id: proxy.id,
        host: proxy.host,
        process: proxy.process,
        version: proxy.version,
        policy: proxy.policy,
        age: proxy.age,
        is_silent: proxy.is_silent,
    };
    let proxies = fleet::proxies(database).await?.into_iter().map(seen).collect();
    let mut moves = database.pins().await.unwrap_or_default();
    moves.retain(|pin| pin.phase != Phase::New);
    Ok(Fleet {
        proxies,
        jobs: database.jobs().await.unwrap_or_default(),
        moves,
        counted: database.counted().await.unwrap_or_default(),
    })
}
