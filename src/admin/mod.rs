//! The admin address: metrics, health, readiness, and a status page. Whoever reaches it can read and change nothing.
//!
//! | path | what it is |
//! |---|---|
//! | `/` | the status page: one self-contained document |
//! | `/status.json` | what the page shows |
//! | `/metrics` | Prometheus' text |
//! | `/healthz` | 200 while the process answers |
//! | `/readyz` | 200 if clients can be served, else 503 with the reasons |
//!
//! Nothing here holds SQL, a parameter, a value or a key: names, counts and times only. It listens on loopback unless
//! it is told otherwise in so many words, since whoever sees it learns which columns are protected. Requests that a
//! browser was tricked into (DNS rebinding) carry a foreign `Host`, and are turned away.

mod exposition;
mod history;
mod http;
mod page;
mod status;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, watch};

use self::history::History;
use crate::audit::Audit;
use crate::catalog::{Phase, Pin};
use crate::jobs::{Counted, Job};
use crate::keyring::Keys;
use crate::metrics::Metrics;
use crate::net::{self, Endpoint, Stage, tls::Tls};
use crate::policy::Policy;

/// Connections at a time. One too many is closed at once.
const CONNECTIONS: usize = 32;
/// How long a server's answer to "is it there" holds.
const REACHED_FOR: Duration = Duration::from_secs(1);

/// What is told, and where it comes from.
pub struct Sources {
    /// Counters.
    pub metrics: Metrics,
    /// The recorder behind them.
    pub recorder: PrometheusHandle,
    /// The policy in use.
    pub policy: watch::Receiver<Arc<Policy>>,
    /// The keys in use.
    pub keys: watch::Receiver<Arc<Keys>>,
    /// Whether the proxy is about to end.
    pub stage: watch::Receiver<Stage>,
    /// The server's addresses.
    pub upstream: Vec<Endpoint>,
    /// How to talk to it.
    pub tls: Arc<Tls>,
    /// The audit log, if there is one.
    pub audit: Option<Arc<Audit>>,
    /// What the database tells of proxies and jobs; `None` if the proxy does not look.
    pub fleet: watch::Receiver<Option<Fleet>>,
    /// How reading files again has gone.
    pub reloads: watch::Receiver<Reload>,
}

/// What the database tells of proxies, jobs and stored rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Proxies that report there.
    pub proxies: Vec<ProxySeen>,
    /// Jobs that have begun and not ended.
    pub jobs: Vec<Job>,
    /// Contexts of deterministic columns whose values are between two forms.
    pub moves: Vec<Pin>,
    /// Rows by key, as commands have counted them last.
    pub counted: Vec<Counted>,
}

impl Fleet {
    /// What a job moves: rows of a table, one by one, or values of a context, in all their rows at once.
    fn unit(&self, job: &Job) -> &'static str {
        let of_context = |pin: &Pin| pin.phase == Phase::Moving && pin.context == job.table;
        if self.moves.iter().any(of_context) { "value" } else { "row" }
    }
}

/// A proxy that reports in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySeen {
    /// Drawn at its start.
    pub id: String,
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub process: i64,
    /// Its release.
    pub version: String,
    /// Digest of the policy that it runs; empty if it does not say.
    pub policy: String,
    /// Seconds since it was heard of.
    pub age: i64,
    /// It was not heard of for so long that it may be gone.
    pub is_silent: bool,
    /// It is this one.
    pub is_this: bool,
}

/// How reading policy, keyring and certificates again has gone last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// When they were read well.
    pub loaded: SystemTime,
    /// Why a later attempt has failed, and when.
    pub failed: Option<(SystemTime, String)>,
}

/// Where an admin address may not be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the admin address {0} can be reached from elsewhere, and tells which columns are protected: use a loopback \
     address, or add --admin-exposed if only those who may know can reach it"
)]
pub struct Exposed(SocketAddr);

/// Answers what it is asked.
struct Admin {
    sources: Sources,
    started: Instant,
    history: std::sync::Mutex<History>,
    reached: Mutex<Option<(Instant, Result<(), String>)>>,
    page: page::Page,
}

/// Starts recording for the whole process, and gives what reads the records. To be called before [`Metrics::new`].
///
/// # Errors
/// Another recorder is there.
pub fn record() -> Result<PrometheusHandle, String> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
    Ok(handle)
}

/// Refuses an address that others can reach, unless it is said that they may.
///
/// # Errors
/// It is not a loopback address.
pub fn check_address(address: SocketAddr, exposed: bool) -> Result<(), Exposed> {
    if exposed || address.ip().to_canonical().is_loopback() { Ok(()) } else { Err(Exposed(address)) }
}

/// Answers requests. Does not end.
pub async fn serve(listener: TcpListener, sources: Sources) {
    let admin = Arc::new(Admin {
        sources,
        started: Instant::now(),
        history: std::sync::Mutex::default(),
        reached: Mutex::default(),
        page: page::Page::new(),
    });
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut samples = tokio::time::interval(history::PERIOD);
    loop {
        tokio::select! {
            _ = samples.tick() => admin.sample(),
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let Ok(permit) = free.clone().try_acquire_owned() else { continue };
                    let admin = admin.clone();
                    tokio::spawn(async move {
                        http::answer(socket, &admin).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the admin address could not be accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
        }
    }
}

impl Admin {
    fn sample(&self) {
        let totals = self.sources.metrics.totals();
        let mut history = self.history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        history.note(&totals);
    }

    /// Why clients cannot be served; empty if they can.
    async fn hindrances(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if *self.sources.stage.borrow() != Stage::Serving {
            reasons.push("the proxy is stopping".to_owned());
            return reasons;
        }
        if self.sources.audit.as_ref().is_some_and(|audit| audit.withholds()) {
            reasons.push("the audit log cannot be written, so no encrypted value is handed out".to_owned());
        }
        if let Err(error) = self.reach().await {
            reasons.push(format!("the server cannot be reached: {error}"));
        }
        reasons
    }

    /// Calls the server, unless that was just done.
    async fn reach(&self) -> Result<(), String> {
        let mut reached = self.reached.lock().await;
        if let Some((at, outcome)) = &*reached
            && at.elapsed() < REACHED_FOR
        {
            return outcome.clone();
        }
        let outcome = net::reaches(&self.sources.upstream, &self.sources.tls).await;
        *reached = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_need_no_word() {
        for (address, is_loopback) in [
            ("127.0.0.1:9", true),
            ("127.9.9.9:9", true),
            ("[::1]:9", true),
            ("[::ffff:127.0.0.1]:9", true),
            ("0.0.0.0:9", false),
            ("[::]:9", false),
            ("10.0.0.1:9", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(check_address(address, false).is_ok(), is_loopback, "{address}");
            assert!(check_address(address, true).is_ok());
        }
    }
}
