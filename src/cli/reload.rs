//! What `serve` reads again while it runs: certificates, the keyring and the file of users.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::ServeArgs;
use super::auth::WatchedUsers;
use super::keys::fleet::Held;
use crate::keyring::{self, Keks, KeyringError, Keys};
use crate::metrics::Metrics;
use crate::net::tls::Tls;
use crate::policy::{ColumnName, Policy};

/// So often the keyring's file is looked at.
const LOOK_AT_FILES: Duration = Duration::from_secs(2);
/// So long after a key-encryption key was out of reach it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Reads the files of certificates again at each SIGHUP, and the keyring and the users when their files have changed as
/// well.
pub(super) async fn reload(
    mut hangups: Signal,
    tls: &Tls,
    mut watched: Watched,
    new_keys: watch::Sender<Arc<Keys>>,
    in_use: watch::Sender<Held>,
    metrics: &Metrics,
) {
    let mut looks = tokio::time::interval(LOOK_AT_FILES);
    loop {
        let mut hung_up = false;
        tokio::select! {
            Some(()) = hangups.recv() => {
                hung_up = true;
                match tls.reload() {
                    Ok(()) => tracing::info!("certificates were read again: new sessions use them"),
                    Err(error) => tracing::error!(%error, "certificates were not read again: all stays as it was"),
                }
            }
            _ = looks.tick() => {}
        }
        watched.look_at_users(hung_up);
        if !hung_up && !watched.has_changed() && !watched.is_to_be_asked_again() {
            continue;
        }
        watched.note();
        // A service may keep its asker waiting; the proxy goes on meanwhile.
        let asked = tokio::task::spawn_blocking(move || {
            let loaded = watched.load();
            (watched, loaded)
        });
        let Ok((given_back, loaded)) = asked.await else {
            tracing::error!("the keyring can no longer be read again: reading it failed by a fault of ours");
            return std::future::pending().await;
        };
        watched = given_back;
        match loaded {
            Ok(keys) => {
                metrics.keyrings_taken.increment(1);
                let keys = Arc::new(keys);
                let before = Arc::downgrade(&new_keys.send_replace(keys.clone()));
                tracing::info!(keys = keys.iter().count(), "the keyring was read again");
                // The keys before are gone when every worker has let go of them.
                while before.strong_count() > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                in_use.send_replace(Held::of(&keys));
            }
            Err(error) => {
                metrics.keyrings_failed.increment(1);
                tracing::error!(
                    error = format!("{error:#}"),
                    "the keyring was not read again: all stays as it was"
                );
            }
        }
    }
}

/// The keyring, and how its file was when it was read.
pub(super) struct Watched {
    keyring: PathBuf,
    keks: Keks,
    /// When to ask again what was out of reach.
    again: Option<Instant>,
    /// Columns and the keys that they name.
    columns: Vec<(ColumnName, String)>,
    stamp: Option<Stamp>,
    users: Option<(WatchedUsers, Option<Stamp>)>,
}

/// What changes when a file is replaced, be it by a rename or through a link that is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    length: u64,
}

impl Watched {
    pub(super) fn new(args: &ServeArgs, policy: &Policy) -> Self {
        let columns = policy.columns().map(|(name, column)| (name, column.key.clone())).collect();
        let (keyring, keks) = (args.keyring.clone(), Keks::new(args.kek.as_deref()));
        let mut watched = Self { keyring, keks, again: None, columns, stamp: None, users: None };
        watched.note();
        watched
    }

    /// With the file of users, if there is one.
    pub(super) fn with_users(self, users: Option<WatchedUsers>) -> Self {
        let users = users.map(|users| {
            let stamp = look(&users.path);
            (users, stamp)
        });
        Self { users, ..self }
    }

    /// Reads the file of users again if it has changed, or `anyway`.
    fn look_at_users(&mut self, anyway: bool) {
        let Some((users, stamp)) = &mut self.users else { return };
        let now = look(&users.path);
        if !anyway && now == *stamp {
            return;
        }
        *stamp = now;
        match users.load() {
            Ok(users) => {
                tracing::info!(users, "the users were read again: new sessions are held against them")
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the users were not read again: all stays as it was");
            }
        }
    }

    /// The keys; each that the policy names has to be able to seal.
    pub(super) fn load(&mut self) -> anyhow::Result<Keys> {
        self.keks.renew();
        let loaded = keyring::load_with(&self.keyring, &mut self.keks);
        let out_of_reach = loaded.as_ref().is_err_and(KeyringError::may_pass);
        self.again = out_of_reach.then(|| Instant::now() + ASK_AGAIN);
        let keys = loaded?;
        for (name, key) in &self.columns {
            if keys.active(key).is_none() {
                anyhow::bail!(
                    "column {name} is to be sealed with key \"{key}\", of which keyring {} has no active version",
                    self.keyring.display()
                );
            }
        }
        Ok(keys)
    }

    fn has_changed(&self) -> bool {
        look(&self.keyring) != self.stamp
    }

    fn is_to_be_asked_again(&self) -> bool {
        self.again.is_some_and(|again| again <= Instant::now())
    }

    fn note(&mut self) {
        self.stamp = look(&self.keyring);
    }
}

fn look(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        length: metadata.len(),
    })
}
