//! The key-encryption keys of a keyring, each fetched when it is first needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use super::{Entry, KekError, KekProvider, KekSource, KeyringError, WrapContext};
use crate::crypto::key_id;
use crate::metrics::Metrics;
use crate::secret::Secret;

/// What unwraps the keys of a keyring, and remembers what it has asked for.
#[derive(Default)]
pub struct Keks {
    instead: Option<String>,
    opened: BTreeMap<String, Box<dyn KekProvider>>,
    /// Those that did not answer: of two wraps, one of a service that is down is not waited for at each key.
    down: BTreeSet<String>,
    metrics: Option<Metrics>,
}

impl Keks {
    /// `instead` is a key-encryption key to use instead of those that a file names, for a machine on which it lies
    /// elsewhere.
    pub fn new(instead: Option<&str>) -> Self {
        Self { instead: instead.map(str::to_owned), ..Self::default() }
    }

    /// The same, whose calls are counted.
    #[must_use]
    pub fn counted_by(self, metrics: Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Takes one that is open already, under the name that a keyring has for it.
    pub fn insert(&mut self, kek: &str, provider: Box<dyn KekProvider>) {
        self.opened.insert(kek.to_owned(), provider);
    }

    /// Forgets all but what somebody typed, so that files and services are asked again.
    pub fn renew(&mut self) {
        self.opened.retain(|_, provider| provider.is_typed());
        self.down.clear();
    }

    /// The data key of an entry. `folder` is the keyring's.
    pub(super) fn unwrap(&mut self, entry: &Entry, folder: &Path) -> Result<Secret<32>, KeyringError> {
        let mut failed = None;
        // While the key-encryption key changes there are two wraps, of which one is enough.
        for wrap in &entry.wraps {
            let kek = self.instead.clone().unwrap_or_else(|| wrap.kek.clone());
            if self.down.contains(&kek) {
                continue;
            }
            let context = WrapContext { name: &entry.name, id: entry.id };
            let began = Instant::now();
            let unwrapped = match self.provider(&kek, folder) {
                Ok(provider) => provider.unwrap(context, &wrap.key),
                Err(reason) => {
                    self.count(&kek, began, &Err::<(), _>(()));
                    self.note(&kek, &reason);
                    failed = Some(KeyringError::Kek { kek, reason });
                    continue;
                }
            };
            self.count(&kek, began, &unwrapped);
            match unwrapped {
                Ok(secret) if key_id(&secret) == entry.id => return Ok(secret),
                Ok(secret) => {
                    let (expected, found) = (entry.id, key_id(&secret));
                    return Err(KeyringError::WrongId { key: entry.to_string(), expected, found });
                }
                Err(reason) => {
                    self.note(&kek, &reason);
                    failed = Some(KeyringError::Unwrap { key: entry.to_string(), kek, reason });
                }
            }
        }
        Err(failed.unwrap_or(KeyringError::Unwrap {
            key: entry.to_string(),
            kek: "none".into(),
            reason: KekError::NotAuthentic,
        }))
    }

    fn note(&mut self, kek: &str, reason: &KekError) {
        if reason.may_pass() {
            self.down.insert(kek.to_owned());
        }
    }

    fn count<T, E>(&self, kek: &str, began: Instant, outcome: &Result<T, E>) {
        if let Some(metrics) = &self.metrics {
            let provider = kek.parse::<KekSource>().map_or("unknown", |source| source.scheme());
            metrics.kek_was_called(provider, began, outcome);
        }
    }

    fn provider(&mut self, kek: &str, folder: &Path) -> Result<&dyn KekProvider, KekError> {
        if !self.opened.contains_key(kek) {
            self.opened.insert(kek.to_owned(), kek.parse::<KekSource>()?.open(folder)?);
        }
        self.opened
            .get(kek)
            .map(|provider| &**provider)
            .ok_or_else(|| KekError::UnknownProvider { text: kek.into() })
    }
}
