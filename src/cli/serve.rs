//! `pgseal serve`.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, ServeArgs, block_on};
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::{keyring, net};

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: &ServeArgs) -> anyhow::Result<Exit> {
    let policy = Policy::load(&args.policy)?;
    let keys = keyring::load(&args.keyring, args.kek.as_deref())?;
    for (name, column) in policy.columns() {
        if keys.active(&column.key).is_none() {
            anyhow::bail!(
                "column {name} is to be sealed with key \"{}\", of which keyring {} has no active version",
                column.key,
                args.keyring.display()
            );
        }
    }
    let workers = match args.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let protected = policy.columns().count();
    let config = net::Config {
        upstream: args.upstream.clone(),
        policy: Arc::new(policy),
        keys: Arc::new(keys),
        workers,
        metrics: Metrics::new(),
    };
    block_on(async {
        let listener = TcpListener::bind(&args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        let address = listener.local_addr()?;
        let mut terminated = signal(SignalKind::terminate())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        tracing::info!(%address, upstream = args.upstream, workers, columns = protected, "serving");
        net::serve(listener, config, shutdown).await?;
        tracing::info!("stopped");
        Ok(Exit::Success)
    })
}
