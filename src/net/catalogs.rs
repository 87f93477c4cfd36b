//! Each database's last catalog, shared by its sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::session::SchemaVersion;

type Slot = Option<Arc<SchemaVersion>>;

/// Catalogs by database name. The lock is taken once when a session begins; then it looks at its own
/// receiver, which costs an atomic load while nothing is new.
#[derive(Default)]
pub(super) struct Catalogs(Mutex<HashMap<String, watch::Sender<Slot>>>);

/// One session's view of its database's catalog.
pub(super) struct Subscription {
    sender: watch::Sender<Slot>,
    receiver: watch::Receiver<Slot>,
}

impl Catalogs {
    /// The catalog of a database, now and from now on.
    pub(super) fn subscribe(&self, database: &str) -> Subscription {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = all.entry(database.to_owned()).or_insert_with(|| watch::Sender::new(None)).clone();
        let mut receiver = sender.subscribe();
        receiver.mark_changed();
        Subscription { sender, receiver }
    }
}

impl Subscription {
    /// A catalog that this session has not seen.
    pub(super) fn news(&mut self) -> Slot {
        if self.receiver.has_changed().unwrap_or(false) {
            self.receiver.borrow_and_update().clone()
        } else {
            None
        }
    }

    /// Shares a catalog, unless a newer one is there.
    pub(super) fn publish(&self, version: Arc<SchemaVersion>) {
        self.sender.send_if_modified(|slot| {
            let newer = slot.as_ref().is_none_or(|old| version.read_at > old.read_at);
            if newer {
                *slot = Some(version);
            }
            newer
        });
    }
}
