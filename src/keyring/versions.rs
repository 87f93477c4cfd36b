//! Versions of data keys by name, and the changes of state that each may go through.
//!
//! ```text
//! staged ──► active ◄──► retiring ◄──► archived ──► destroyed
//!    └──────────────────────────────────►┘
//! ```
//!
//! What a change needs of the world (proxies that hold a key, tables without its values) is the commands' to prove;
//! here are the rules of the keyring itself.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::file::{Entry, Keyring};
use super::kek::{KekProvider, WrapContext};
use super::{Entropy, KeyringError, State, Wrap};
use crate::secret::Secret;

/// `NAME@N`, or `NAME` for whichever version is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionName {
    /// The data key's name.
    pub name: String,
    /// The ordinal, from 1.
    pub version: Option<u32>,
}

impl FromStr for VersionName {
    type Err = VersionNameError;

    fn from_str(text: &str) -> Result<Self, VersionNameError> {
        let wrong = || VersionNameError(text.to_owned());
        let (name, version) = match text.rsplit_once('@') {
            None => (text, None),
            Some((name, version)) => {
                let is_number = version.bytes().all(|b| b.is_ascii_digit());
                let version = version.parse().ok().filter(|version| is_number && *version > 0);
                (name, Some(version.ok_or_else(wrong)?))
            }
        };
        if name.is_empty() || name.contains('@') {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), version })
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.version.map_or(Ok(()), |version| write!(f, "@{version}"))
    }
}

/// Not the name of a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no version of a data key: it is written NAME@N, as in default@1")]
pub struct VersionNameError(String);

/// Why a version cannot change its state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such version.
    #[error("the keyring has no {0}")]
    Unknown(VersionName),
    /// It has to be said which.
    #[error("{name} has several versions that can be meant ({versions}): name one")]
    Ambiguous {
        /// The name.
        name: String,
        /// `NAME@N`, separated by commas.
        versions: String,
    },
    /// The change does not begin in this state.
    #[error("{version} is {state}; {rule}")]
    State {
        /// `NAME@N`.
        version: String,
        /// Its state.
        state: State,
        /// From which states the change is possible, and what to do first.
        rule: &'static str,
    },
}

const PROMOTABLE: &str = "only a staged or retiring version can be promoted (restore an archived one first)";
const ARCHIVABLE: &str = "only a retiring or staged version can be archived (promote another one first)";
const RESTORABLE: &str = "only an archived version can be restored";
const DESTRUCTIBLE: &str = "only an archived version can be destroyed";

impl Keyring {
    /// The version that a name stands for: that of its ordinal, or the only one in one of `states`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn version(&self, named: &VersionName, states: &[State]) -> Result<&Entry, ChangeError> {
        let of_name = self.keys.iter().filter(|key| key.name == named.name);
        let fitting: Vec<_> = match named.version {
            Some(version) => of_name.filter(|key| key.version == version).collect(),
            None => of_name.filter(|key| states.contains(&key.state)).collect(),
        };
        match *fitting {
            [] => Err(ChangeError::Unknown(named.clone())),
            [one] => Ok(one),
            _ => {
                let versions: Vec<_> = fitting.iter().map(ToString::to_string).collect();
                Err(ChangeError::Ambiguous { name: named.name.clone(), versions: versions.join(", ") })
            }
        }
    }

    /// A staged or retiring version becomes the active one, and the one that was active retires.
    ///
    /// # Errors
    /// There is no such version, or it is in another state.
    pub fn promote(&mut self, named: &VersionName, now: Timestamp) -> Result<Entry, ChangeError> {
        let chosen = self.version(named, &[State::Staged])?.clone();
        if chosen.state == State::Active {
            return Ok(chosen);
        }
        self.check(&chosen, &[State::Staged, State::Retiring], PROMOTABLE)?;
        for key in &mut self.keys {
            if key.name == chosen.name && key.state == State::Active {
                key.enter(State::Retiring, now);
            }
        }
        Ok(self.enter(&chosen, State::Active, now))
    }

    /// A retiring or staged version is no longer loaded by any proxy.
    ///
    /// # Errors
    /// As [`Keyring::promote`].
    pub fn archive(&mut self, named: &VersionName, now: Timestamp) -> Result<Entry, ChangeError> {
        let chosen = self.version(named, &[State::Retiring])?.clone();
        self.check(&chosen, &[State::Retiring, State::Staged, State::Archived], ARCHIVABLE)?;
        Ok(self.enter(&chosen, State::Archived, now))
    }

    /// An archived version is loaded again, and opens.
    ///
    /// # Errors
    /// As [`Keyring::promote`].
    pub fn restore(&mut self, named: &VersionName, now: Timestamp) -> Result<Entry, ChangeError> {
        let chosen = self.version(named, &[State::Archived])?.clone();
        self.check(&chosen, &[State::Archived, State::Retiring], RESTORABLE)?;
        Ok(self.enter(&chosen, State::Retiring, now))
    }

    /// An archived version's key is gone from this keyring; its id stays taken.
    ///
    /// # Errors
    /// As [`Keyring::promote`].
    pub fn destroy(&mut self, named: &VersionName, now: Timestamp) -> Result<Entry, ChangeError> {
        let chosen = self.version(named, &[State::Archived])?.clone();
        self.check(&chosen, &[State::Archived, State::Destroyed], DESTRUCTIBLE)?;
        let mut destroyed = self.enter(&chosen, State::Destroyed, now);
        destroyed.wraps.clear();
        for key in self.keys.iter_mut().filter(|key| key.id == chosen.id) {
            key.wraps.clear();
        }
        Ok(destroyed)
    }

    /// Gives every data key a second wrap, by the key-encryption key `kek`, which is the one for new keys from now on.
    /// `secret` unwraps a key. Returns how many got one.
    ///
    /// # Errors
    /// A key does not unwrap, or the provider refuses.
    pub fn rewrap(
        &mut self,
        kek: &str,
        provider: &dyn KekProvider,
        mut secret: impl FnMut(&Entry) -> Result<Secret<32>, KeyringError>,
        entropy: &mut Entropy,
    ) -> Result<usize, KeyringError> {
        let mut rewrapped = 0;
        for key in self.keys.iter_mut().filter(|key| key.state != State::Destroyed) {
            if key.wraps.iter().any(|wrap| wrap.kek == kek) {
                continue;
            }
            let data_key = secret(key)?;
            let context = WrapContext { name: &key.name, id: key.id };
            let wrapped = provider
                .wrap(context, &data_key, entropy)
                .map_err(|reason| KeyringError::Kek { kek: kek.to_owned(), reason })?;
            // Of an earlier change that was not finished, the wrap that is in use stays.
            key.wraps.truncate(1);
            key.wraps.push(Wrap { kek: kek.to_owned(), key: wrapped });
            rewrapped += 1;
        }
        self.kek = kek.to_owned();
        Ok(rewrapped)
    }

    /// Drops the wraps by other key-encryption keys than the keyring's own. Returns how many there were; a key without
    /// one by the keyring's own keeps what it has.
    pub fn drop_old_wraps(&mut self) -> usize {
        let mut dropped = 0;
        for key in &mut self.keys {
            if key.wraps.iter().any(|wrap| wrap.kek == self.kek) {
                let before = key.wraps.len();
                key.wraps.retain(|wrap| wrap.kek == self.kek);
                dropped += before - key.wraps.len();
            }
        }
        dropped
    }

    /// Takes in the keys of another keyring that are not here. Nothing here is overwritten: a key with the same id stays
    /// as it is, a version number that is taken gives way to the next one, and an active key retires if there is an
    /// active version of its name here. Returns what was added.
    pub fn merge(&mut self, other: &Self, now: Timestamp) -> Vec<Entry> {
        let mut added = Vec::new();
        for theirs in &other.keys {
            if self.keys.iter().any(|key| key.id == theirs.id) {
                continue;
            }
            let mut entry = theirs.clone();
            let of_name = || self.keys.iter().filter(|key| key.name == theirs.name);
            if of_name().any(|key| key.version == entry.version) {
                entry.version = of_name().map(|key| key.version).max().unwrap_or(0).saturating_add(1);
            }
            if entry.state == State::Active && of_name().any(|key| key.state == State::Active) {
                entry.enter(State::Retiring, now);
            }
            self.keys.push(entry.clone());
            added.push(entry);
        }
        added
    }

    fn check(&self, entry: &Entry, from: &[State], rule: &'static str) -> Result<(), ChangeError> {
        if from.contains(&entry.state) {
            return Ok(());
        }
        Err(ChangeError::State { version: entry.to_string(), state: entry.state, rule })
    }

    /// Puts a version into a state, in which it may be already, and returns it.
    fn enter(&mut self, entry: &Entry, state: State, now: Timestamp) -> Entry {
        let mut entered = entry.clone();
        entered.enter(state, now);
        for key in self.keys.iter_mut().filter(|key| key.id == entry.id) {
            *key = entered.clone();
        }
        entered
    }
}

impl Entry {
    fn enter(&mut self, state: State, now: Timestamp) {
        if self.state != state {
            self.state = state;
            self.since = Timestamp::from_second(now.as_second()).unwrap_or(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::KeyId;

    const STATES: [State; 5] =
        [State::Staged, State::Active, State::Retiring, State::Archived, State::Destroyed];

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn entry(version: u32, state: State) -> Entry {
        let wraps = vec![Wrap { kek: "file:kek".into(), key: vec![1] }];
        let created = "2025-01-01T00:00:00Z".parse().unwrap();
        let id = KeyId([0, 0, 0, u8::try_from(version).unwrap()]);
        Entry { name: "default".into(), version, id, state, created, since: created, wraps }
    }

    fn keyring(states: &[State]) -> Keyring {
        let mut keyring = Keyring::new("file:kek");
        keyring.keys.extend((1..).zip(states).map(|(version, state)| entry(version, *state)));
        keyring
    }

    #[test]
    fn each_change_begins_in_its_states_only() {
        type Change = fn(&mut Keyring, &VersionName, Timestamp) -> Result<Entry, ChangeError>;
        let changes: [(Change, State, &[State]); 4] = [
            (Keyring::promote, State::Active, &[State::Staged, State::Active, State::Retiring]),
            (Keyring::archive, State::Archived, &[State::Staged, State::Retiring, State::Archived]),
            (Keyring::restore, State::Retiring, &[State::Archived, State::Retiring]),
            (Keyring::destroy, State::Destroyed, &[State::Archived, State::Destroyed]),
        ];
        for (change, becomes, from) in changes {
            for state in STATES {
                let mut keyring = keyring(&[state]);
                let before = keyring.clone();
                let result = change(&mut keyring, &"default@1".parse().unwrap(), now());
                if from.contains(&state) {
                    let entry = result.unwrap();
                    assert_eq!(entry.state, becomes);
                    assert_eq!(keyring.keys[0], entry, "{state} to {becomes}");
                    assert_eq!(entry.since == now(), state != becomes, "{state} to {becomes}");
                    assert_eq!(entry.wraps.is_empty(), becomes == State::Destroyed);
                } else {
                    assert!(matches!(result, Err(ChangeError::State { .. })), "{state} to {becomes}");
                    assert_eq!(keyring, before);
                }
            }
        }
    }

    #[test]
    fn one_version_is_active_after_a_promotion() {
        let mut keyring = keyring(&[State::Retiring, State::Active, State::Staged]);
        assert_eq!(keyring.promote(&"default".parse().unwrap(), now()).unwrap().version, 3);
        let states: Vec<_> = keyring.keys.iter().map(|key| key.state).collect();
        assert_eq!(states, [State::Retiring, State::Retiring, State::Active]);
        // And back.
        keyring.promote(&"default@2".parse().unwrap(), now()).unwrap();
        let states: Vec<_> = keyring.keys.iter().map(|key| key.state).collect();
        assert_eq!(states, [State::Retiring, State::Active, State::Retiring]);
    }

    #[test]
    fn names_of_versions_are_read_strictly() {
        for good in ["default", "default@1", "a.b-c_1@4294967295"] {
            assert_eq!(good.parse::<VersionName>().unwrap().to_string(), good);
        }
        for bad in
            ["", "@1", "default@", "default@0", "default@+1", "default@x", "a@1@2", "default@4294967296"]
        {
            assert!(bad.parse::<VersionName>().is_err(), "{bad}");
        }
        let two = keyring(&[State::Staged, State::Staged]);
        let error = two.version(&"default".parse().unwrap(), &[State::Staged]).unwrap_err();
        assert!(error.to_string().contains("default@1, default@2"), "{error}");
        assert!(matches!(two.version(&"other".parse().unwrap(), &STATES), Err(ChangeError::Unknown(_))));
    }

    #[test]
    fn a_merge_overwrites_nothing() {
        let mut own = keyring(&[State::Active]);
        let mut other = keyring(&[State::Archived, State::Active]);
        // The same number, another key; and the same key in another state.
        other.keys[0].id = KeyId([9, 9, 9, 9]);
        other.keys.push(entry(1, State::Destroyed));
        let before = own.keys[0].clone();
        let added = own.merge(&other, now());
        assert_eq!(own.keys[0], before);
        let shown: Vec<_> = added.iter().map(|key| (key.version, key.state, key.id)).collect();
        assert_eq!(
            shown,
            [(2, State::Archived, KeyId([9, 9, 9, 9])), (3, State::Retiring, KeyId([0, 0, 0, 2])),]
        );
        assert_eq!(own.merge(&other, now()), []);
    }
}
