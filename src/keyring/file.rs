//! What a keyring file says, read strictly and written whole.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::disk::{self, DiskError, Lock, folder_of};
use super::{
    AbsentKey, DataKey, Entropy, EntropyError, KekError, KekProvider, KekSource, Keks, Keys, State,
    WrapContext,
};
use crate::crypto::{KeyId, key_id};
use crate::secret::Secret;

/// The version of the file's form.
const FILE_VERSION: u32 = 1;
/// A key takes some 300 bytes, so this is room for more keys than there can be ids in use.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// Longest name of a data key, in bytes.
const MAX_NAME: usize = 63;
/// Longest wrapped key, in bytes; a KMS returns some hundreds.
const MAX_WRAPPED: usize = 4096;
/// One wrap, and a second one while the key-encryption key changes.
const MAX_WRAPS: usize = 2;
/// Ids collide at odds of one in 2^32 for each key there is, so a source of randomness that gives this many
/// in a row is broken.
const MAX_DRAWS: usize = 16;

/// The keyring: every data key that there was, in order of creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// Which key-encryption key wraps new data keys, as [`KekSource`] reads it.
    pub kek: String,
    /// The keys.
    pub keys: Vec<Entry>,
}

/// One version of a data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name that policies use.
    pub name: String,
    /// Its ordinal among the versions of the name, from 1.
    pub version: u32,
    /// The id in the envelopes that it seals.
    pub id: KeyId,
    /// What it is used for.
    pub state: State,
    /// When it was made, to the second.
    pub created: Timestamp,
    /// When it came into its state.
    pub since: Timestamp,
    /// The key, wrapped; none if it is destroyed.
    pub wraps: Vec<Wrap>,
}

/// A data key under a key-encryption key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrap {
    /// Which one, as [`KekSource`] reads it.
    pub kek: String,
    /// What [`KekProvider::wrap`] gave.
    pub key: Vec<u8>,
}

impl Keyring {
    /// A keyring without keys.
    pub fn new(kek: impl Into<String>) -> Self {
        Self { kek: kek.into(), keys: Vec::new() }
    }

    /// Reads a keyring file.
    ///
    /// # Errors
    /// It cannot be read, may be read by others, or says something that it may not.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let bytes = disk::read_private(path, MAX_FILE)?;
        Self::parse(&bytes).map_err(|problem| KeyringError::Content { path: path.into(), problem })
    }

    /// Writes a new keyring file, which is on disk when this returns.
    ///
    /// # Errors
    /// There is a file already, or it cannot be written.
    pub fn create(&self, path: &Path, entropy: &mut Entropy) -> Result<(), KeyringError> {
        disk::make_folder(path)?;
        let _lock = Lock::acquire(path)?;
        Ok(disk::write_new(path, self.to_toml().as_bytes(), entropy)?)
    }

    /// Changes a keyring file under its lock. The change is on disk when this returns; if `change` fails, the
    /// file is as it was.
    ///
    /// # Errors
    /// As [`Keyring::read`], the file cannot be written, or what `change` returns.
    pub fn update<T, E: From<KeyringError>>(
        path: &Path,
        entropy: &mut Entropy,
        change: impl FnOnce(&mut Self, &mut Entropy) -> Result<T, E>,
    ) -> Result<T, E> {
        // A link (as in a mounted secret) is followed, so that lock and rename meet the file itself.
        let path = path.canonicalize().map_err(|reason| {
            KeyringError::Disk(DiskError::Io { doing: "cannot read", path: path.into(), reason })
        })?;
        let _lock = Lock::acquire(&path).map_err(KeyringError::Disk)?;
        let mut keyring = Self::read(&path)?;
        let result = change(&mut keyring, entropy)?;
        disk::replace(&path, keyring.to_toml().as_bytes(), entropy).map_err(KeyringError::Disk)?;
        Ok(result)
    }

    /// Adds a new version of the key `name`, drawn from `entropy` and wrapped by `provider`, which is the one
    /// that [`Keyring::kek`] names, and returns its id. Nothing is written yet.
    ///
    /// # Errors
    /// The name is no name, another version is active already, or the provider refuses, or does not unwrap the keys
    /// that it wrapped before.
    pub fn add(
        &mut self,
        name: &str,
        state: State,
        provider: &dyn KekProvider,
        entropy: &mut Entropy,
        now: Timestamp,
    ) -> Result<KeyId, KeyringError> {
        if !is_name(name) {
            return Err(KeyringError::InvalidName { name: name.into() });
        }
        let versions = || self.keys.iter().filter(|key| key.name == name);
        if state == State::Active && versions().any(|key| key.state == State::Active) {
            return Err(KeyringError::ActiveAlready { name: name.into() });
        }
        let version = versions().map(|key| key.version).max().unwrap_or(0).saturating_add(1);
        self.prove(provider)?;
        let (id, secret) = self.draw(entropy)?;
        let wrapped = provider.wrap(WrapContext { name, id }, &secret, entropy);
        let key = wrapped.map_err(|reason| KeyringError::Kek { kek: self.kek.clone(), reason })?;
        let created = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let entry = Entry {
            name: name.into(),
            version,
            id,
            state,
            created,
            since: created,
            wraps: vec![Wrap { kek: self.kek.clone(), key }],
        };
        self.keys.push(entry);
        Ok(id)
    }

    /// Unwraps the keys that `serve` needs; the others are listed with their state. `path` is the keyring's
    /// own, `keks` what its key-encryption keys are fetched with.
    ///
    /// # Errors
    /// A key-encryption key cannot be had, or a key does not unwrap or has another id than the file says.
    pub fn unlock(&self, path: &Path, keks: &mut Keks) -> Result<Keys, KeyringError> {
        self.unlock_with(path, keks, false)
    }

    /// The same, with the archived keys too if that is wanted.
    ///
    /// # Errors
    /// As [`Keyring::unlock`].
    pub fn unlock_with(&self, path: &Path, keks: &mut Keks, archived: bool) -> Result<Keys, KeyringError> {
        let folder = folder_of(path);
        let is_wanted = |key: &&Entry| key.state.is_loaded() || (archived && key.state == State::Archived);
        let (loaded, absent): (Vec<_>, Vec<_>) = self.keys.iter().partition(is_wanted);
        let loaded = loaded.into_iter().map(|entry| {
            let secret = keks.unwrap(entry, &folder)?;
            Ok(DataKey::new(entry.name.clone(), entry.version, entry.state, secret))
        });
        let absent = absent.into_iter().map(|entry| AbsentKey {
            name: entry.name.clone(),
            version: entry.version,
            id: entry.id,
            state: entry.state,
        });
        Ok(Keys::new(loaded.collect::<Result<Vec<_>, KeyringError>>()?, absent))
    }

    /// Unwraps one key, whatever its state. `path` and `keks` as in [`Keyring::unlock`].
    ///
    /// # Errors
    /// As [`Keyring::unlock`]; a key that is destroyed, or not there, does not unwrap.
    pub fn unwrap_one(&self, path: &Path, keks: &mut Keks, id: KeyId) -> Result<Secret<32>, KeyringError> {
        match self.keys.iter().find(|key| key.id == id) {
            Some(entry) => keks.unwrap(entry, &folder_of(path)),
            None => Err(KeyringError::Unwrap {
                key: id.to_string(),
                kek: "none".into(),
                reason: KekError::NotAuthentic,
            }),
        }
    }

    /// Reads the text of a keyring file.
    ///
    /// # Errors
    /// The first problem in it, with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            Problem::at(&String::from_utf8_lossy(valid), valid.len(), "it is not UTF-8")
        })?;
        let raw: RawKeyring = toml::from_str(text)
            .map_err(|error| Problem::at(text, error.span().map_or(0, |span| span.start), error.message()))?;
        raw.check().map_err(|(offset, message)| Problem::at(text, offset, message))
    }

    /// The text of its file.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(FILE_HEAD);
        // Writing to a string does not fail.
        let _ = write!(text, "version = {FILE_VERSION}\nkek = {}\n", quoted(&self.kek));
        for Entry { name, version, id, state, created, since, wraps } in &self.keys {
            let _ = write!(
                text,
                "\n[[key]]\nname = {}\nversion = {version}\nid = \"{id}\"\nstate = \"{state}\"\n\
                 created = {created}\nsince = {since}\n",
                quoted(name)
            );
            for Wrap { kek, key } in wraps {
                let key = URL_SAFE_NO_PAD.encode(key);
                let _ = write!(text, "\n[[key.wrap]]\nkek = {}\nkey = \"{key}\"\n", quoted(kek));
            }
        }
        text
    }

    /// Sees that a provider unwraps what is here already: under another passphrase than the others, say, a new key could
    /// not be unwrapped together with them.
    fn prove(&self, provider: &dyn KekProvider) -> Result<(), KeyringError> {
        let loaded = self.keys.iter().filter(|key| key.state.is_loaded());
        let mut wraps = loaded.flat_map(|key| key.wraps.iter().map(move |wrap| (key, wrap)));
        let Some((key, wrap)) = wraps.find(|(_, wrap)| wrap.kek == self.kek) else { return Ok(()) };
        let context = WrapContext { name: &key.name, id: key.id };
        provider.unwrap(context, &wrap.key).map(|_| ()).map_err(|reason| KeyringError::Unwrap {
            key: key.to_string(),
            kek: self.kek.clone(),
            reason,
        })
    }

    /// A random key whose id no key of the keyring has or had.
    fn draw(&self, entropy: &mut Entropy) -> Result<(KeyId, Secret<32>), KeyringError> {
        for _ in 0..MAX_DRAWS {
            let secret = Secret::try_fill(|bytes| entropy(bytes))?;
            let id = key_id(&secret);
            if self.keys.iter().all(|key| key.id != id) {
                return Ok((id, secret));
            }
        }
        Err(EntropyError.into())
    }
}

/// What is wrong in a keyring file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Why a keyring cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A file cannot be read or written, or may be read by others.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file says something that it may not.
    #[error("{path}, {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What, and where.
        problem: Problem,
    },
    /// A key-encryption key cannot be used.
    #[error("key-encryption key {kek}: {reason}")]
    Kek {
        /// Where it is.
        kek: String,
        /// What is wrong.
        reason: KekError,
    },
    /// A data key cannot be unwrapped.
    #[error("data key {key} under key-encryption key {kek}: {reason}")]
    Unwrap {
        /// `NAME@N`.
        key: String,
        /// Where the key-encryption key is.
        kek: String,
        /// What is wrong.
        reason: KekError,
    },
    /// What was unwrapped is another key than the file says.
    #[error("data key {key} unwraps to a key with id {found}, not {expected}")]
    WrongId {
        /// `NAME@N`.
        key: String,
        /// What the file says.
        expected: KeyId,
        /// What follows from the key.
        found: KeyId,
    },
    /// A data key cannot have this name.
    #[error("{name:?} is no name for a data key: {NAME_RULE}")]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// There can be one active version only.
    #[error("data key {name} has an active version already")]
    ActiveAlready {
        /// Its name.
        name: String,
    },
    /// No key can be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl KeyringError {
    /// True if the same may work a while later, since a service is down or too busy.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Kek { reason, .. } | Self::Unwrap { reason, .. } => reason.may_pass(),
            Self::Disk(_)
            | Self::Content { .. }
            | Self::WrongId { .. }
            | Self::InvalidName { .. }
            | Self::ActiveAlready { .. }
            | Self::Entropy(_) => false,
        }
    }
}

impl Problem {
    fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            message: message.into(),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

const FILE_HEAD: &str = "\
# pgseal keyring: the data keys, each wrapped by the key-encryption key. Sealed values cannot be opened without
# both, so keep copies of both, apart from each other. Change it with pgseal's commands, not by hand.

";

const NAME_RULE: &str = "it has 1 to 63 letters, digits, '_', '-' and '.' (ASCII)";

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The file's form; what leaves [`RawKeyring::check`] keeps its rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeyring {
    version: Spanned<u32>,
    kek: Spanned<String>,
    #[serde(default)]
    key: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: Spanned<String>,
    version: Spanned<u32>,
    id: Spanned<String>,
    state: Spanned<State>,
    created: Spanned<Datetime>,
    since: Spanned<Datetime>,
    #[serde(default)]
    wrap: Vec<RawWrap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWrap {
    kek: String,
    key: Spanned<String>,
}

/// A byte offset and what is wrong there.
type Fault = (usize, String);

fn fault<T>(place: &Spanned<T>, message: impl Into<String>) -> Fault {
    (place.span().start, message.into())
}

impl RawKeyring {
    fn check(self) -> Result<Keyring, Fault> {
        if *self.version.get_ref() != FILE_VERSION {
            let message = format!("this release reads version {FILE_VERSION} of the file");
            return Err(fault(&self.version, message));
        }
        self.kek.get_ref().parse::<KekSource>().map_err(|error| fault(&self.kek, error.to_string()))?;
        let mut keyring = Keyring::new(self.kek.into_inner());
        for raw in self.key {
            raw.check_against(&keyring.keys)?;
            keyring.keys.push(raw.check()?);
        }
        Ok(keyring)
    }
}

impl RawEntry {
    fn check_against(&self, earlier: &[Entry]) -> Result<(), Fault> {
        let same_id = |key: &&Entry| key.id.to_string() == *self.id.get_ref();
        if let Some(key) = earlier.iter().find(same_id) {
            return Err(fault(&self.id, format!("{key} has this id already")));
        }
        for key in earlier.iter().filter(|key| key.name == *self.name.get_ref()) {
            if key.version == *self.version.get_ref() {
                return Err(fault(&self.version, format!("there is a {key} already")));
            }
            if key.state == State::Active && *self.state.get_ref() == State::Active {
                return Err(fault(&self.state, format!("{key} is active already")));
            }
        }
        Ok(())
    }

    fn check(self) -> Result<Entry, Fault> {
        if !is_name(self.name.get_ref()) {
            return Err(fault(&self.name, format!("no name for a data key: {NAME_RULE}")));
        }
        if *self.version.get_ref() == 0 {
            return Err(fault(&self.version, "versions are counted from 1"));
        }
        let id = self.id.get_ref().parse().map_err(|error| fault(&self.id, format!("{error}")))?;
        let state = *self.state.get_ref();
        let fitting = if state == State::Destroyed { 0..=0 } else { 1..=MAX_WRAPS };
        if !fitting.contains(&self.wrap.len()) {
            let rule =
                "a key has one wrap, two while its key-encryption key changes, and none once it is destroyed";
            return Err(fault(&self.state, rule));
        }
        Ok(Entry {
            id,
            state,
            created: timestamp(&self.created)?,
            since: timestamp(&self.since)?,
            wraps: self.wrap.into_iter().map(RawWrap::check).collect::<Result<_, _>>()?,
            name: self.name.into_inner(),
            version: self.version.into_inner(),
        })
    }
}

impl RawWrap {
    fn check(self) -> Result<Wrap, Fault> {
        let key = URL_SAFE_NO_PAD.decode(self.key.get_ref());
        let key = key.map_err(|_| fault(&self.key, "a wrapped key is base64url without padding"))?;
        if !(1..=MAX_WRAPPED).contains(&key.len()) {
            return Err(fault(&self.key, format!("a wrapped key has 1 to {MAX_WRAPPED} bytes")));
        }
        Ok(Wrap { kek: self.kek, key })
    }
}

fn timestamp(raw: &Spanned<Datetime>) -> Result<Timestamp, Fault> {
    let text = raw.get_ref().to_string();
    text.parse().map_err(|_| fault(raw, "a time is given as 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests;
