//! What `serve` reads again while it runs: policy, keyring, certificates and the file of users, all of them or none.
//!
//! It is done at SIGHUP, and when a file has changed and is the same at two looks in a row, so that one that is being
//! written is not read half-way. A change that is only seen takes no protection away, since a file may be cut off
//! where it still reads well: for that, somebody has to ask by SIGHUP.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::ServeArgs;
use super::auth::WatchedUsers;
use super::keys::fleet::Held;
use crate::admin::Reload;
use crate::keyring::{self, Keks, KeyringError, Keys};
use crate::metrics::Metrics;
use crate::net::tls::Tls;
use crate::policy::Policy;

/// So often files are looked at.
const LOOK_AT_FILES: Duration = Duration::from_secs(1);

/// So long after a key-encryption key was out of reach it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The keyring's place among what is looked at.
const KEYRING: usize = 1;

/// So often it is looked whether the workers have let go of what was before.
const LOOK_AT_WORKERS: Duration = Duration::from_millis(20);

/// The files, and how they were when they were read.
pub(super) struct Watched {
    policy: PathBuf,
    keyring: PathBuf,
    keks: Keks,
    /// When to ask again what was out of reach.
    again: Option<Instant>,
    /// Certificates and their keys.
    others: Vec<PathBuf>,
    users: Option<WatchedUsers>,
    read: Vec<Option<Stamp>>,
    seen: Vec<Option<Stamp>>,
    metrics: Metrics,
}

/// What changes when a file is replaced, be it by a rename or through a link that is switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    length: u64,
}

/// Whom to tell what is new.
pub(super) struct Places {
    pub(super) policy: watch::Sender<Arc<Policy>>,
    pub(super) keys: watch::Sender<Arc<Keys>>,
    pub(super) tls: Arc<Tls>,
    /// What all workers and sessions work with by now.
    pub(super) in_use: watch::Sender<Held>,
    pub(super) state: watch::Sender<Reload>,
}

/// A policy whose sessions are in transactions that began before it went.
struct Leaving {
    policy: Weak<Policy>,
    digest: String,
}

/// Does not end.
pub(super) async fn reload(mut hangups: Signal, mut watched: Watched, places: Places) {
    let mut looks = tokio::time::interval(LOOK_AT_FILES);
    let mut leaving: Vec<Leaving> = Vec::new();
    loop {
        let is_asked = tokio::select! {
            Some(()) = hangups.recv() => true,
            _ = looks.tick() => {
                if watched.has_settled() || watched.is_to_be_asked_again() { false } else {
                    places.tell(&mut leaving);
                    continue;
                }
            }
        };
        // Where the keyring is as it was, its key-encryption keys need not be asked.
        let held = (!is_asked && watched.keyring_is_as_it_was()).then(|| places.keys.borrow().clone());
        watched.note();
        // A service may keep its asker waiting; the proxy goes on meanwhile.
        let asked = tokio::task::spawn_blocking(move || {
            let loaded = watched.load(held);
            (watched, loaded)
        });
        let Ok((given_back, loaded)) = asked.await else {
            tracing::error!("files can no longer be read again: reading them failed by a fault of ours");
            return std::future::pending().await;
        };
        watched = given_back;
        let done = match loaded {
            Ok(loaded) => watched.renew(loaded, &places, is_asked, &mut leaving).await,
            Err(error) => Err(error),
        };
        watched.metrics.reloads.count(&done);
        match done {
            Ok(()) => {
                let loaded = SystemTime::now();
                watched.metrics.has_reloaded(loaded);
                places.state.send_replace(Reload { loaded, failed: None });
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "policy, keyring and certificates were not read again: all stays as it was"
                );
                places.state.send_modify(|state| state.failed = Some((SystemTime::now(), error)));
            }
        }
        places.tell(&mut leaving);
    }
}

impl Places {
    /// Tells others of policy and keys that all workers and sessions are with; while a session goes on under a policy
    /// that is leaving, that is the proxy's policy to others.
    fn tell(&self, leaving: &mut Vec<Leaving>) {
        leaving.retain(|before| before.policy.strong_count() > 0);
        let mut held = Held::of(&self.keys.borrow(), &self.policy.borrow());
        if let Some(oldest) = leaving.first() {
            held.still_under(&oldest.digest);
        }
        self.in_use.send_if_modified(|told| {
            let is_new = *told != held;
            *told = held;
            is_new
        });
    }
}

impl Watched {
    pub(super) fn new(args: &ServeArgs, metrics: Metrics) -> Self {
        let others =
            [&args.tls_cert, &args.tls_key, &args.tls_client_ca, &args.upstream_cert, &args.upstream_key];
        let authorities = args.upstream_ca.as_ref().and_then(|named| named.file().map(Path::to_owned));
        let mut watched = Self {
            policy: args.sealing.policy().to_owned(),
            keyring: args.sealing.keyring().to_owned(),
            keks: Keks::new(args.sealing.kek()).counted_by(metrics.clone()),
            again: None,
            others: others.into_iter().flatten().cloned().chain(authorities).collect(),
            users: None,
            read: Vec::new(),
            seen: Vec::new(),
            metrics,
        };
        watched.note();
        watched
    }

    /// With the file of users, if there is one.
    pub(super) fn with_users(self, users: Option<WatchedUsers>) -> Self {
        let mut watched = Self { users, ..self };
        watched.note();
        watched
    }

    /// Policy and keys; each key that the policy names has to be able to seal. `held` stands in for what the keyring
    /// says.
    pub(super) fn load(&mut self, held: Option<Arc<Keys>>) -> anyhow::Result<(Policy, Arc<Keys>)> {
        let policy = Policy::load(&self.policy)?;
        let keys = match held {
            Some(keys) => keys,
            None => Arc::new(self.load_keys()?),
        };
        for (name, column) in policy.columns() {
            if keys.active(&column.key).is_none() {
                anyhow::bail!(
                    "column {name} is to be sealed with key \"{}\", of which keyring {} has no active version",
                    column.key,
                    self.keyring.display()
                );
            }
        }
        Ok((policy, keys))
    }

    fn load_keys(&mut self) -> Result<Keys, KeyringError> {
        self.keks.renew();
        let loaded = keyring::load_with(&self.keyring, &mut self.keks);
        self.metrics.keyring_loads.count(&loaded);
        let is_out_of_reach = loaded.as_ref().is_err_and(KeyringError::may_pass);
        self.again = is_out_of_reach.then(|| Instant::now() + ASK_AGAIN);
        loaded
    }

    /// Reads the rest and puts all in place.
    async fn renew(
        &self,
        (policy, keys): (Policy, Arc<Keys>),
        places: &Places,
        is_asked: bool,
        leaving: &mut Vec<Leaving>,
    ) -> anyhow::Result<()> {
        let before = places.policy.borrow().clone();
        check_change(&before, &policy, is_asked)?;
        let install_certificates = places.tls.read()?;
        // The last that can go wrong, and in place if it does not.
        let users = self.users.as_ref().map(WatchedUsers::load).transpose()?;
        install_certificates();
        let (digest, count) = (policy.digest(), keys.iter().count());
        // The keys first: a column of the new policy may need one of them. Those before are gone when every worker has
        // let go of them.
        let before_keys = places.keys.borrow().clone();
        if !Arc::ptr_eq(&before_keys, &keys) {
            drop(before_keys);
            let gone = Arc::downgrade(&places.keys.send_replace(keys));
            while gone.strong_count() > 0 {
                tokio::time::sleep(LOOK_AT_WORKERS).await;
            }
        }
        let is_new = digest != before.digest();
        if is_new {
            leaving.push(Leaving { policy: Arc::downgrade(&before), digest: before.digest() });
            drop(before);
            drop(places.policy.send_replace(Arc::new(policy)));
        }
        tracing::info!(
            policy = digest,
            policy_is_new = is_new,
            keys = count,
            users,
            "policy, keyring and certificates were read again"
        );
        Ok(())
    }

    fn keyring_is_as_it_was(&self) -> bool {
        self.again.is_none() && self.read.get(KEYRING) == Some(&Stamp::of(&self.keyring))
    }

    fn is_to_be_asked_again(&self) -> bool {
        self.again.is_some_and(|again| again <= Instant::now())
    }

    /// True once when the files are not as they were when they were read, and as they were at the last look.
    fn has_settled(&mut self) -> bool {
        let now = self.look();
        let before = std::mem::replace(&mut self.seen, now);
        self.seen != self.read && self.seen == before
    }

    fn note(&mut self) {
        self.read = self.look();
        self.seen.clone_from(&self.read);
    }

    fn look(&self) -> Vec<Option<Stamp>> {
        let users = self.users.as_ref().map(|users| &users.path);
        let files = [&self.policy, &self.keyring].into_iter().chain(&self.others).chain(users);
        files.map(|path| Stamp::of(path)).collect()
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            length: metadata.len(),
        })
    }
}

/// Refuses a change of policy that a running proxy does not make.
fn check_change(before: &Policy, after: &Policy, is_asked: bool) -> anyhow::Result<()> {
    if before.tables.is_empty() != after.tables.is_empty() {
        anyhow::bail!(
            "a policy that protects nothing cannot come or go while the proxy runs, for sessions under it are not \
             followed: restart the proxy"
        );
    }
    if let Some((lost, _)) = before.columns().find(|(name, _)| !is_asked && after.column(name).is_none()) {
        anyhow::bail!("the new policy no longer protects column {lost}: if that is meant, say so by SIGHUP");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protection_is_not_taken_away_unasked() {
        let policy = |columns: &str| Policy::parse(&format!("version = 1\n{columns}"), "p.toml").unwrap();
        let (none, one) = (policy(""), policy("[table.\"a.b\"]\nc = { type = \"text\" }"));
        let two = policy("[table.\"a.b\"]\nc = { type = \"text\" }\nd = { type = \"text\" }");
        for (before, after, asked, goes) in [
            (&one, &two, false, true),
            (&two, &one, false, false),
            (&two, &one, true, true),
            (&one, &none, true, false),
            (&none, &one, true, false),
            (&none, &none, false, true),
        ] {
            assert_eq!(check_change(before, after, asked).is_ok(), goes);
        }
    }
}
