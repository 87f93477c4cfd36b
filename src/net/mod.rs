//! The shell: sockets around the session machine.
//!
//! One thread accepts; each worker thread runs a runtime of its own and keeps the sessions that it was given,
//! with its own vault and verdicts, so nothing is locked in a session's path. What sessions share is the
//! immutable policy and keys, and each database's last catalog.

pub mod auth;
mod catalogs;
mod endpoint;
mod leg;
mod limits;
mod relay;
mod route;
mod socket;
pub mod tls;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;
use tracing::Instrument as _;

pub use self::endpoint::{Endpoint, Listener};
pub use self::limits::Limits;
pub use self::relay::reaches;

use self::auth::Auth;
use self::catalogs::Catalogs;
use self::limits::Places;
use self::route::Seen;
use self::socket::Accepted;
use self::tls::Tls;
use crate::audit::Audit;
use crate::keyring::{self, Keys, Vault};
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::session::{Target, Verdicts};

/// What a proxy serves with.
pub struct Config {
    /// The server's addresses, tried in order.
    pub upstream: Vec<Endpoint>,
    /// What the server has to be.
    pub target: Target,
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
    /// Where to write down what was opened for whom, before it is sent; `None` for nowhere.
    pub audit: Option<Arc<Audit>>,
    /// Statements that take so long are told to the log; `None` for none.
    pub slow: Option<Duration>,
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
    /// Sessions that have begun, which is the number of the last one.
    begun: AtomicU64,
    seen: Seen,
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
    listeners: Vec<Listener>,
    config: Config,
    mut stage: watch::Receiver<Stage>,
) -> io::Result<()> {
    let shared = Arc::new(Shared {
        places: Places::new(config.limits.sessions),
        seen: Seen::new(config.upstream.len()),
        config,
        catalogs: Catalogs::default(),
        begun: AtomicU64::new(0),
    });
    let workers = (0..shared.config.workers.max(1))
        .map(|i| start_worker(i, shared.clone(), stage.clone()))
        .collect::<io::Result<Vec<_>>>()?;
    let mut turn = workers.iter().cycle();
    loop {
        let accepted = tokio::select! {
            _ = stage.wait_for(|stage| *stage != Stage::Serving) => break,
            accepted = accept(&listeners) => accepted,
        };
        match accepted {
            Ok(client) => {
                turn.next().map(|worker| worker.sessions.send(client));
            }
            // Out of descriptors, or a client that went away at once: neither is a reason to stop serving.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    drop(listeners);
    for worker in workers {
        drop(worker.sessions);
        let joined = tokio::task::spawn_blocking(move || worker.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("a worker ended badly");
        }
    }
    Ok(())
}

/// The next client of any listener.
async fn accept(listeners: &[Listener]) -> io::Result<Accepted> {
    let mut waiting: Vec<_> = listeners.iter().map(|listener| Box::pin(listener.accept())).collect();
    poll_fn(|cx| {
        let next = waiting.iter_mut().find_map(|accept| match accept.as_mut().poll(cx) {
            Poll::Ready(accepted) => Some(accepted),
            Poll::Pending => None,
        });
        next.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

struct Handle {
    sessions: mpsc::UnboundedSender<Accepted>,
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
    mut incoming: mpsc::UnboundedReceiver<Accepted>,
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
        match client.connect() {
            Ok(client) => {
                let worker = worker.clone();
                let id = worker.shared.begun.fetch_add(1, Ordering::Relaxed) + 1;
                // At the highest level, so that every line of a session has it, whatever is logged.
                let span = tracing::error_span!("session", id);
                let session = async move {
                    let _open = worker.metrics.session();
                    if let Err(error) = relay::run(client, id, &worker).await {
                        tracing::debug!(%error, "a connection was lost");
                    }
                };
                sessions.spawn_local(session.instrument(span));
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
