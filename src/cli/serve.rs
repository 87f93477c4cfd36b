//! `pgseal serve`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{Exit, Negotiation, ServeArgs, block_on};
use crate::metrics::Metrics;
use crate::net::tls::{self, ClientSettings, Pair, Tls, UpstreamSettings};
use crate::net::{Limits, Stage};
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
    let tls = Arc::new(Tls::load(tls_settings(args))?);
    let config = net::Config {
        upstream: args.upstream.clone(),
        policy: Arc::new(policy),
        keys: Arc::new(keys),
        limits: Limits {
            sessions: (args.max_sessions > 0).then_some(args.max_sessions),
            authentication: Duration::from_secs(args.authentication_timeout),
        },
        tls: tls.clone(),
        workers,
        metrics: Metrics::new(),
    };
    block_on(async {
        let listener = TcpListener::bind(&args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        let address = listener.local_addr()?;
        let (hangups, terminated) = (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
        let (stage, stages) = watch::channel(Stage::Serving);
        let upstream_tls = tls.upstream.mode().as_str();
        tracing::info!(%address, upstream = args.upstream, upstream_tls, workers, columns = protected, "serving");
        tokio::select! {
            served = net::serve(listener, config, stages) => served?,
            () = reload(hangups, &tls) => {}
            () = stop(terminated, &stage, Duration::from_secs(args.drain_timeout)) => {}
        }
        tracing::info!("stopped");
        Ok(Exit::Success)
    })
}

/// At SIGTERM, lets sessions finish their transactions for a time; at a second one, or at SIGINT, ends them.
async fn stop(mut terminated: Signal, stage: &watch::Sender<Stage>, patience: Duration) {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {
            tracing::info!(seconds = patience.as_secs(), "stopping: sessions may finish their transactions");
            stage.send_replace(Stage::Draining);
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
                () = tokio::time::sleep(patience) => {}
            }
        }
    }
    tracing::info!("stopping: sessions that are left are ended");
    stage.send_replace(Stage::Ending);
    std::future::pending().await
}

/// Reads the files of certificates again at each SIGHUP.
async fn reload(mut hangups: Signal, tls: &Tls) {
    loop {
        if hangups.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        match tls.reload() {
            Ok(()) => tracing::info!("certificates were read again: new sessions use them"),
            Err(error) => tracing::error!(%error, "certificates were not read again: all stays as it was"),
        }
    }
}

fn tls_settings(args: &ServeArgs) -> tls::Settings {
    let pair = |certificate: &Option<PathBuf>, key: &Option<PathBuf>| {
        Some(Pair { certificate: certificate.clone()?, key: key.clone()? })
    };
    let client = ClientSettings {
        mode: args.tls.into(),
        identity: pair(&args.tls_cert, &args.tls_key),
        authorities: args.tls_client_ca.clone(),
    };
    let upstream = UpstreamSettings {
        address: args.upstream.clone(),
        mode: args.upstream_tls.map(Into::into),
        authorities: args.upstream_ca.clone(),
        identity: pair(&args.upstream_cert, &args.upstream_key),
        direct: args.upstream_tls_negotiation == Negotiation::Direct,
    };
    tls::Settings { client, upstream }
}
