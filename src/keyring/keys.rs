//! The keys that a process holds, as one immutable snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::crypto::{KeyId, Purpose, derive, key_id};
use crate::secret::Secret;

/// What a data key is used for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Opens only: added, and being rolled out before it seals anything.
    Staged,
    /// Seals and opens. At most one version of a name.
    Active,
    /// Opens only: rows are being moved off it.
    Retiring,
    /// Not loaded: kept for backups made before a rotation.
    Archived,
    /// Gone: a tombstone.
    Destroyed,
}

impl State {
    /// True if `serve` holds keys in this state.
    pub fn is_loaded(self) -> bool {
        match self {
            Self::Staged | Self::Active | Self::Retiring => true,
            Self::Archived | Self::Destroyed => false,
        }
    }

    /// The word in the keyring file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Archived => "archived",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One version of a data key, unwrapped.
#[derive(Debug)]
pub struct DataKey {
    /// The name that policies use.
    pub name: String,
    /// Its ordinal: `NAME@1` is the first version.
    pub version: u32,
    /// Staged, active or retiring; archived only where that was asked for.
    pub state: State,
    id: KeyId,
    secret: Secret<32>,
}

impl DataKey {
    /// A key and the id that follows from it.
    pub fn new(name: impl Into<String>, version: u32, state: State, secret: Secret<32>) -> Self {
        Self { name: name.into(), version, state, id: key_id(&secret), secret }
    }

    /// The id in the envelopes that it seals.
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn secret(&self) -> &Secret<32> {
        &self.secret
    }
}

/// A key that the keyring knows of and does not hold in memory, so that an error can say why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentKey {
    /// The name that policies use.
    pub name: String,
    /// Its ordinal.
    pub version: u32,
    /// The id in the envelopes that it sealed.
    pub id: KeyId,
    /// Archived or destroyed.
    pub state: State,
}

/// A snapshot of the keyring: what seals, what opens, and what is known and cannot.
#[derive(Debug, Default)]
pub struct Keys {
    loaded: HashMap<KeyId, DataKey>,
    absent: HashMap<KeyId, AbsentKey>,
    active: BTreeMap<String, KeyId>,
    /// The names of which a version retires.
    retiring: BTreeSet<String>,
}

impl Keys {
    /// A snapshot of these keys. Of two active versions of one name, which a keyring file cannot hold, the
    /// later in the list seals.
    pub fn new(
        loaded: impl IntoIterator<Item = DataKey>,
        absent: impl IntoIterator<Item = AbsentKey>,
    ) -> Self {
        let mut keys = Self::default();
        for key in loaded {
            if key.state == State::Active {
                keys.active.insert(key.name.clone(), key.id);
            } else if key.state == State::Retiring {
                keys.retiring.insert(key.name.clone());
            }
            keys.loaded.insert(key.id, key);
        }
        keys.absent.extend(absent.into_iter().map(|key| (key.id, key)));
        keys
    }

    /// The id of the version of `name` that seals; `None` if no version is active.
    pub fn active(&self, name: &str) -> Option<KeyId> {
        self.active.get(name).copied()
    }

    /// True if rows may still be under another version of `name` than the active one.
    pub fn is_retiring(&self, name: &str) -> bool {
        self.retiring.contains(name)
    }

    /// The key with this id, if it is held.
    pub fn loaded(&self, id: KeyId) -> Option<&DataKey> {
        self.loaded.get(&id)
    }

    /// The key with this id, if it is known and not held.
    pub fn absent(&self, id: KeyId) -> Option<&AbsentKey> {
        self.absent.get(&id)
    }

    /// Every key that is held, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &DataKey> {
        self.loaded.values()
    }

    /// A key by which users who are not known can be given salts: the same in every proxy of a fleet and after each
    /// start, for as long as the oldest version of the first name is there.
    pub fn mock_key(&self) -> Option<Secret<32>> {
        let oldest = self.iter().min_by_key(|key| (&key.name, key.version))?;
        Some(derive(oldest.secret(), Purpose::Mock, "", ""))
    }

    /// The key of the audit log's codes, and the id of the data key that it is derived from: the active one of the first
    /// name.
    pub fn audit_key(&self) -> Option<(KeyId, Secret<32>)> {
        let id = self.active.values().next()?;
        Some((*id, self.audit_key_of(&id.to_string())?))
    }

    /// The same by the id of the data key.
    pub fn audit_key_of(&self, id: &str) -> Option<Secret<32>> {
        let key = self.iter().find(|key| key.id.to_string() == id)?;
        Some(derive(key.secret(), Purpose::Audit, "", ""))
    }

    /// The names that can seal, in order.
    pub fn active_names(&self) -> impl Iterator<Item = &str> {
        self.active.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8, version: u32, state: State) -> DataKey {
        DataKey::new("default", version, state, Secret::new([byte; 32]))
    }

    #[test]
    fn only_the_active_version_seals_and_every_loaded_one_is_found_by_its_id() {
        let (staged, active, retiring) =
            (key(1, 3, State::Staged), key(2, 2, State::Active), key(3, 1, State::Retiring));
        let ids = [staged.id(), active.id(), retiring.id()];
        let gone = AbsentKey { name: "old".into(), version: 1, id: KeyId([9; 4]), state: State::Archived };
        let keys = Keys::new([staged, active, retiring], [gone.clone()]);
        assert_eq!(keys.active("default"), Some(ids[1]));
        assert_eq!(keys.active("old"), None);
        assert!(ids.iter().all(|id| keys.loaded(*id).is_some()));
        assert_eq!(keys.absent(KeyId([9; 4])), Some(&gone));
        assert_eq!(keys.active_names().collect::<Vec<_>>(), ["default"]);
    }

    #[test]
    fn a_snapshot_does_not_print_its_keys() {
        let shown = format!("{:?}", Keys::new([key(0xAB, 1, State::Active)], []));
        assert!(shown.contains("Secret<32>") && !shown.contains("171"), "{shown}");
    }

    #[test]
    fn the_audit_logs_key_is_what_the_format_says() {
        let keys = Keys::new([key(7, 1, State::Active)], []);
        let (id, secret) = keys.audit_key().unwrap();
        let hex: String = secret.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        // Computed by Python's hmac.
        assert_eq!(hex, "c8cdf5c96570453e573b5a60bc07cf469c935831e3542d9e98f004e46f93e45d");
        assert!(keys.audit_key_of(&id.to_string()).is_some() && keys.audit_key_of("00000000").is_none());
    }
}
