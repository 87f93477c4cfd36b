//! The shell: sockets around the session machine.
//!
//! One thread accepts; each worker thread runs a runtime of its own and keeps the sessions that it was given,
//! with its own vault and verdicts, so nothing is locked in a session's path. What sessions share is the
//! immutable policy and keys, and each database's last catalog.

pub mod auth;
mod catalogs;
mod leg;
mod limits;
mod relay;
pub mod tls;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

pub use self::limits::Limits;
pub use self::relay::reaches;

use self::auth::Auth;
use self::catalogs::Catalogs;
use self::limits::Places;
use self::tls::Tls;
use crate::keyring::{self, Keys, Vault};
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::session::Verdicts;

/// What a proxy serves with.
pub struct Config {
    /// The server's address, `host:port`.
    pub upstream: String,
    /// The columns to protect. Sessions go on under a new policy from the end of their transactions on; one that
    /// protects nothing neither follows nor is followed by another.
    pub policy: watch::Receiver<Arc<Policy>>,
    /// The keys; new ones take the place of those before.
    pub keys: watch::Receiver<Arc<Keys>>,
    /// How many sessions, and how long they may take to begin.
    pub limits: Limits,
    /// For how long a catalog that was read is acted by, at most [`LEASE`](crate::session::LEASE).
    pub lease: Duration,
    /// TLS on both sides.
    pub tls: Arc<Tls>,
    /// How clients are authenticated here; `None` where the server does it.
    pub auth: Option<Auth>,
    /// Worker threads; at least one is started.
    pub workers: usize,
    /// Counters.
    pub metrics: Metrics,
}

/// How far the end of the proxy has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not.
    Serving,
    /// Nobody is let in, and sessions end as soon as they are between two transactions.
    Draining,
    /// Sessions end now.
    Ending,
}

/// How long sessions that are ended may take to say their last words.
const LAST_WORDS: Duration = Duration::from_secs(6);

/// What every session of the process shares.
struct Shared {
    places: Places,
    config: Config,
    catalogs: Catalogs,
}

/// What the sessions of one worker share.
struct Worker {
    shared: Arc<Shared>,
    vault: RefCell<Vault>,
    verdicts: RefCell<Verdicts>,
    policy: RefCell<Arc<Policy>>,
    metrics: Metrics,
    stage: Cell<Stage>,
    /// The stage or the policy has changed.
    changed: Notify,
}

/// Accepts clients until the stage says otherwise, and returns when the last session is over.
///
/// # Errors
/// A worker thread cannot be started.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    mut stage: watch::Receiver<Stage>,
) -> io::Result<()> {
    let shared = Arc::new(Shared {
        places: Places::new(config.limits.sessions),
        config,
        catalogs: Catalogs::default(),
    });
    let workers = (0..shared.config.workers.max(1))
        .map(|i| start_worker(i, shared.clone(), stage.clone()))
        .collect::<io::Result<Vec<_>>>()?;
    let mut turn = workers.iter().cycle();
    loop {
        let accepted = tokio::select! {
            _ = stage.wait_for(|stage| *stage != Stage::Serving) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((client, _)) => {
                let sent = client.into_std().map(|c| turn.next().map(|w| w.sessions.send(c)));
                if let Err(error) = sent {
                    tracing::warn!(%error, "a connection could not be handed to a worker");
                }
            }
            // Out of descriptors, or a client that went away at once: neither is a reason to stop serving.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    drop(listener);
    for worker in workers {
        drop(worker.sessions);
        let joined = tokio::task::spawn_blocking(move || worker.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("a worker ended badly");
        }
    }
    Ok(())
}

struct Handle {
    sessions: mpsc::UnboundedSender<std::net::TcpStream>,
    thread: thread::JoinHandle<()>,
}

fn start_worker(i: usize, shared: Arc<Shared>, stage: watch::Receiver<Stage>) -> io::Result<Handle> {
    let (sessions, incoming) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name(format!("worker-{i}")).spawn(move || {
        let local = LocalSet::new();
        local.block_on(&runtime, work(shared, incoming, stage));
    })?;
    Ok(Handle { sessions, thread })
}

async fn work(
    shared: Arc<Shared>,
    mut incoming: mpsc::UnboundedReceiver<std::net::TcpStream>,
    mut stage: watch::Receiver<Stage>,
) {
    let mut keys = shared.config.keys.clone();
    let held = keys.borrow_and_update().clone();
    let mut policies = shared.config.policy.clone();
    let policy = policies.borrow_and_update().clone();
    let metrics = shared.config.metrics.for_worker();
    let vault = Vault::new(held, keyring::os_entropy()).counted_by(metrics.worker.clone());
    let worker = Rc::new(Worker {
        shared,
        vault: RefCell::new(vault),
        verdicts: RefCell::new(Verdicts::default()),
        policy: RefCell::new(policy),
        metrics,
        stage: Cell::new(Stage::Serving),
        changed: Notify::new(),
    });
    let mut sessions = JoinSet::new();
    loop {
        let client = tokio::select! {
            client = incoming.recv() => client,
            // Between two steps of any session: none is in the middle of a value.
            Ok(()) = keys.changed() => {
                let held = keys.borrow_and_update().clone();
                worker.vault.borrow_mut().use_keys(held);
                continue;
            }
            Ok(()) = policies.changed() => {
                worker.policy.replace(policies.borrow_and_update().clone());
                worker.changed.notify_waiters();
                continue;
            }
            _ = stage.wait_for(|stage| *stage != Stage::Serving) => None,
            Some(_) = sessions.join_next() => continue,
        };
        let Some(client) = client else { break };
        match TcpStream::from_std(client) {
            Ok(client) => {
                let worker = worker.clone();
                sessions.spawn_local(async move {
                    let _open = worker.metrics.session();
                    if let Err(error) = relay::run(client, &worker).await {
                        tracing::debug!(%error, "a connection was lost");
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "a connection could not be served"),
        }
    }
    drain(&worker, sessions, stage).await;
}

/// Waits for the sessions that are left.
async fn drain(worker: &Worker, mut sessions: JoinSet<()>, mut stage: watch::Receiver<Stage>) {
    loop {
        let now = *stage.borrow_and_update();
        worker.stage.set(now);
        worker.changed.notify_waiters();
        let all_are_over = async { while sessions.join_next().await.is_some() {} };
        if now == Stage::Ending {
            let _ = timeout(LAST_WORDS, all_are_over).await;
            return;
        }
        tokio::select! {
            () = all_are_over => return,
            changed = stage.changed() => if changed.is_err() { return },
        }
    }
}
