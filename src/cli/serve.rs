//! `pgseal serve`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::auth::{self, Lookups};
use super::heartbeat::Heartbeat;
use super::keys::fleet::Held;
use super::logging::Logging;
use super::reload::{Places, Watched, reload};
use super::settings::AuditFail;
use super::{Exit, Negotiation, ServeArgs, TlsMode, WrongFlags, block_on};
use crate::admin::{self, Reload, Sources};
use crate::audit::{self, Audit, OnFailure};
use crate::keyring::Keys;
use crate::metrics::Metrics;
use crate::net;
use crate::net::tls::{self, ClientSettings, Pair, Tls, UpstreamSettings};
use crate::net::{Endpoint, Limits, Listener, Stage};

/// So often the log is told how far the audit log has come.
const ANCHORS: Duration = Duration::from_secs(600);

/// A file has grown to the limit of the process: the same number on all architectures that Linux runs on but MIPS.
const SIGXFSZ: i32 = 25;

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(args: &ServeArgs, logging: &Logging) -> anyhow::Result<Exit> {
    // Before the first counter is made.
    let recorder = args.admin.as_ref().map(|_| admin::record()).transpose().map_err(anyhow::Error::msg)?;
    let metrics = Metrics::new();
    let mut watched = Watched::new(args, metrics.clone());
    let (policy, keys) = watched.load(None)?;
    metrics.has_reloaded(SystemTime::now());
    let workers = match args.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    if args.tls == TlsMode::Mutual && args.listen.iter().any(|text| text.starts_with("unix:")) {
        return Err(WrongFlags(
            "--tls mutual cannot be had over Unix sockets: nobody shows a certificate there",
        )
        .into());
    }
    let protected = policy.columns().count();
    let tls = Arc::new(Tls::load(tls_settings(args))?);
    let (auth, helpers) = auth::settings(args, &keys)?;
    let authenticates = auth.is_some();
    let audit = audit(args, &keys, &metrics)?;
    let watched = watched.with_users(helpers.users);
    let (new_policy, policy) = watch::channel(Arc::new(policy));
    let (new_keys, keys) = watch::channel(keys);
    let config = net::Config {
        upstream: addresses(args),
        target: args.upstream_target.into(),
        policy: policy.clone(),
        keys: keys.clone(),
        limits: Limits {
            sessions: (args.max_sessions > 0).then_some(args.max_sessions),
            authentication: Duration::from_secs(args.authentication_timeout),
            connect: Duration::from_secs(args.connect_timeout),
            idle_session: seconds(args.idle_session_timeout),
            idle_in_transaction: seconds(args.idle_in_transaction_timeout),
            message: usize::try_from(args.max_message_size).unwrap_or(usize::MAX),
        },
        lease: Duration::from_secs(args.catalog_lease),
        tls: tls.clone(),
        auth,
        workers,
        audit: audit.clone(),
        slow: (args.slow_statement > 0).then(|| Duration::from_millis(args.slow_statement)),
        metrics: metrics.clone(),
    };
    block_on(async {
        let mut listeners = Vec::new();
        for text in &args.listen {
            let listener = Listener::bind(&Endpoint::to_listen(text), args.listen_permissions.0).await;
            listeners.push(listener.with_context(|| format!("cannot listen on {text}"))?);
        }
        let address = listeners.iter().map(Listener::address).collect::<Vec<_>>().join(",");
        let (hangups, terminated) = (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
        let (stage, stages) = watch::channel(Stage::Serving);
        let upstream_tls = tls.upstream.mode().as_str();
        tracing::info!(
            address,
            upstream = args.upstream.join(","),
            upstream_tls,
            workers,
            columns = protected,
            authenticates,
            "serving"
        );
        let (in_use, reported) = watch::channel(Held::of(&keys.borrow(), &policy.borrow()));
        let (state, reloads) = watch::channel(Reload { loaded: SystemTime::now(), failed: None });
        let (told, fleet) = watch::channel(None);
        let told_of = match (&args.admin, recorder) {
            (Some(address), Some(recorder)) => {
                let sources = Sources {
                    metrics,
                    recorder,
                    policy,
                    keys,
                    stage: stages.clone(),
                    upstream: addresses(args),
                    tls: tls.clone(),
                    audit: audit.clone(),
                    fleet,
                    reloads,
                };
                Some((listen_for_admin(address, args.admin_exposed).await?, sources))
            }
            _ => None,
        };
        let mut heartbeat = args.database.as_ref().map(|url| Heartbeat::new(url, reported, told));
        let places = Places { policy: new_policy, keys: new_keys, tls, in_use, state };
        tokio::select! {
            served = net::serve(listeners, config, stages) => served?,
            () = reload(hangups, watched, places) => {}
            () = answer(told_of) => {}
            () = report(&mut heartbeat) => {}
            () = look_up(helpers.lookups) => {}
            () = keep(audit.as_ref()) => {}
            () = logging.listen() => {}
            () = stop(terminated, &stage, Duration::from_secs(args.drain_timeout)) => {}
        }
        if let Some(heartbeat) = heartbeat {
            heartbeat.leave().await;
        }
        if let Some(audit) = audit {
            audit.close();
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

async fn listen_for_admin(address: &str, exposed: bool) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} for --admin"))?;
    let address = listener.local_addr()?;
    admin::check_address(address, exposed)?;
    tracing::info!(%address, "answering about this proxy by HTTP");
    Ok(listener)
}

async fn answer(admin: Option<(TcpListener, Sources)>) {
    match admin {
        Some((listener, sources)) => admin::serve(listener, sources).await,
        None => std::future::pending().await,
    }
}

async fn report(heartbeat: &mut Option<Heartbeat>) {
    match heartbeat {
        Some(heartbeat) => heartbeat.run().await,
        None => std::future::pending().await,
    }
}

async fn look_up(lookups: Option<Lookups>) {
    if let Some(lookups) = lookups {
        lookups.run().await;
    }
    std::future::pending().await
}

fn audit(args: &ServeArgs, keys: &Keys, metrics: &Metrics) -> anyhow::Result<Option<Arc<Audit>>> {
    let Some(path) = args.audit.clone() else { return Ok(None) };
    let on_failure = match args.audit_fail {
        AuditFail::Closed => OnFailure::Withhold,
        AuditFail::Open => OnFailure::GoOn,
    };
    let rotate_at = (args.audit_size > 0).then_some(args.audit_size);
    let settings = audit::Settings { path, rotate_at, on_failure };
    Ok(Some(Arc::new(Audit::open(&settings, keys, metrics.clone())?)))
}

/// Keeps the audit log on disk, opens it again at SIGHUP, and tells the log now and then how far it has come.
async fn keep(audit: Option<&Arc<Audit>>) {
    let Some(audit) = audit else { return std::future::pending().await };
    let (Ok(mut hangups), Ok(_too_long)) = (
        signal(SignalKind::hangup()),
        // A limit on the size of files makes writing fail, and does not end the process.
        signal(SignalKind::from_raw(SIGXFSZ)),
    ) else {
        tracing::error!("signals cannot be waited for: the audit log is not opened again");
        return std::future::pending().await;
    };
    let mut syncs = tokio::time::interval(Duration::from_secs(1));
    let mut anchors = tokio::time::interval(ANCHORS);
    loop {
        let audit = audit.clone();
        let work: fn(&Audit) = tokio::select! {
            Some(()) = hangups.recv() => Audit::reopen,
            _ = anchors.tick() => Audit::tell,
            _ = syncs.tick() => Audit::sync,
        };
        // The disk may keep its caller waiting.
        let _ = tokio::task::spawn_blocking(move || work(&audit)).await;
    }
}

fn addresses(args: &ServeArgs) -> Vec<Endpoint> {
    args.upstream.iter().map(|text| Endpoint::of_server(text)).collect()
}

/// None of them are for ever.
fn seconds(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
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
        addresses: addresses(args),
        mode: args.upstream_tls.map(Into::into),
        authorities: args.upstream_ca.as_ref().map(|named| named.0.clone()),
        identity: pair(&args.upstream_cert, &args.upstream_key),
        direct: args.upstream_tls_negotiation == Negotiation::Direct,
    };
    tls::Settings { client, upstream }
}
