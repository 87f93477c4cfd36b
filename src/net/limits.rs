//! How many sessions, and how long they may take to begin.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};

/// What sessions may take of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at a time; `None` for as many as come.
    pub sessions: Option<usize>,
    /// From a client's connection until it has been let in.
    pub authentication: Duration,
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
