//! How many sessions, and how long they may take to begin.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::{ClientError, SqlState};
use crate::session::Rest;

/// What sessions may take of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at a time; `None` for as many as come.
    pub sessions: Option<usize>,
    /// From a client's connection until it has been let in.
    pub authentication: Duration,
    /// For connecting to one address of the server.
    pub connect: Duration,
    /// Between two transactions, until the client's next message; `None` for ever.
    pub idle_session: Option<Duration>,
    /// In a transaction, until the client's next message.
    pub idle_in_transaction: Option<Duration>,
    /// Bytes of a client's message, once it has been let in.
    pub message: usize,
}

/// The places of sessions that may be taken.
pub(super) struct Places(Option<Arc<Semaphore>>);

/// A session's place, free again when it is dropped.
pub(super) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self(limit.map(|limit| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))))
    }

    /// A place, if one is free.
    pub(super) fn take(&self) -> Option<Place> {
        let Some(free) = &self.0 else { return Some(Place { _permit: None }) };
        free.clone().try_acquire_owned().ok().map(|permit| Place { _permit: Some(permit) })
    }
}

/// The time by which a client has to be let in.
pub(super) struct Deadline {
    at: Instant,
    sleep: Option<std::pin::Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        let at = Instant::now() + time;
        Self { at, sleep: Some(Box::pin(sleep_until(at))) }
    }

    /// When it is.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// It is met: there is nothing to wait for any more.
    pub(super) fn meet(&mut self) {
        self.sleep = None;
    }

    /// Done when it has passed, and never if it was met.
    pub(super) async fn passed(&mut self) {
        match &mut self.sleep {
            Some(sleep) => sleep.await,
            None => std::future::pending().await,
        }
    }
}

/// How long a client has been silent.
#[derive(Default)]
pub(super) struct Silence(Option<(Rest, Instant)>);

impl Silence {
    /// Notes how the session stands now.
    pub(super) fn note(&mut self, rest: Option<Rest>, limits: &Limits) {
        let limit = |rest| match rest {
            Rest::Session => limits.idle_session,
            Rest::Transaction => limits.idle_in_transaction,
        };
        if self.0.map(|(rest, _)| rest) != rest {
            self.0 = rest.and_then(|rest| Some((rest, Instant::now() + limit(rest)?)));
        }
    }

    /// True if it may not last for ever.
    pub(super) fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Done when it has lasted too long, with what a client is told.
    pub(super) async fn passed(&self) -> ClientError {
        let Some((rest, until)) = self.0 else { return std::future::pending().await };
        sleep_until(until).await;
        match rest {
            Rest::Session => ClientError::fatal(
                SqlState::IDLE_SESSION_TIMEOUT,
                "terminating connection due to idle-session timeout",
            ),
            Rest::Transaction => ClientError::fatal(
                SqlState::IDLE_IN_TRANSACTION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            ),
        }
    }
}
