//! Sealing and opening for one worker thread: derived keys are kept, nonces are handed out.
//!
//! What a value costs is one cipher pass: the keys derived for a binding, the subkey of the nonce prefix
//! that is in use and the subkeys of prefixes that were met while opening are all kept, in bounded number.
//!
//! **Nonces of randomized values** have 24 bytes. The first 12, the prefix, are drawn for each derived key and
//! replaced after 2^20 values or a minute. The last 12 are drawn for each frame ([`Vault::begin_frame`]) and
//! counted up within it. So a process that was snapshotted, cloned or resumed does not go on with the nonces
//! of its twin, whatever it has in memory: the next frame draws again.

use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::{Entropy, EntropyError, Keys, State};
use crate::crypto::{
    Binding, Body, CipherFault, Envelope, EnvelopeError, KeyId, MAX_ENVELOPE, Mode, NotAuthentic,
    RandomizedKey, Subkey, ValueKey,
};
use crate::error::{ClientError, ClientFacing, SqlState};
use crate::metrics::{ValueCounts, WorkerMetrics};

/// Values sealed under one nonce prefix. Two frames of a prefix draw their starting points from 2^96, so
/// that at 2^20 values a repeated nonce has odds of 2^-56.
const PREFIX_VALUES: u32 = 1 << 20;
/// Age at which a prefix is replaced, so that a clone of the machine soon has prefixes of its own.
const PREFIX_AGE: Duration = Duration::from_secs(60);
/// Keys derived for bindings that are kept, about a kilobyte each. A policy has some dozens; beyond this
/// the cache starts anew.
const DERIVED_KEYS: usize = 1024;
/// Subkeys that are kept for opening, one place for each value of a byte. Rows that one proxy wrote within a
/// minute share one.
const OPENERS: usize = 256;
/// A nonce's last 12 bytes are a number of this many bits.
const NONCE_BITS: u32 = 96;

/// One worker's sealing and opening. Not shared between threads.
pub struct Vault {
    keys: Arc<Keys>,
    entropy: Entropy,
    derived: FxHashMap<(KeyId, usize), Derived>,
    /// Numbers the entries of `derived`, so that what is kept for one of the past matches no other.
    next_serial: u64,
    openers: Box<Openers>,
    frame: Frame,
    metrics: Arc<WorkerMetrics>,
}

/// The keys derived for one data key and binding.
struct Derived {
    /// Holding it keeps its address, by which the entry is found, from meaning another binding.
    _binding: Arc<Binding>,
    serial: u64,
    key: ValueKey,
    sealer: Option<Sealer>,
    counts: Arc<ValueCounts>,
}

/// The nonce prefix that a derived key seals under at present.
struct Sealer {
    prefix: [u8; 12],
    subkey: Subkey,
    /// When it is too old.
    until: Instant,
    values: u32,
}

type Openers = [Option<Opener>; OPENERS];

/// A subkey met while opening.
struct Opener {
    serial: u64,
    prefix: [u8; 12],
    subkey: Subkey,
}

/// Where the nonces of the frame are.
struct Frame {
    /// The last 12 bytes of the next nonce; `None` until the frame seals its first randomized value, so that
    /// a frame without one draws nothing.
    next: Option<u128>,
}

impl Vault {
    /// A vault over a snapshot of the keys. `entropy` is the operating system's, but for tests.
    pub fn new(keys: Arc<Keys>, entropy: Entropy) -> Self {
        Self {
            keys,
            entropy,
            derived: FxHashMap::default(),
            next_serial: 0,
            openers: Box::new([const { None }; OPENERS]),
            frame: Frame { next: None },
            metrics: Arc::default(),
        }
    }

    /// The same, whose values count among a worker's.
    #[must_use]
    pub fn counted_by(mut self, metrics: Arc<WorkerMetrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// The snapshot in use.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Switches to another snapshot. Derived keys go, those of keys that are no longer held with them.
    pub fn use_keys(&mut self, keys: Arc<Keys>) {
        self.keys = keys;
        self.derived.clear();
        self.openers.fill_with(|| None);
    }

    /// To be called before the first value of each frame that is sealed for the server: the frame's nonces
    /// start at a place drawn anew.
    pub fn begin_frame(&mut self) {
        self.frame.next = None;
    }

    /// Appends the envelope of a value's canonical bytes to `out`, sealed by the active version of
    /// `key_name`. `now` decides only when a nonce prefix is replaced.
    ///
    /// Bindings are told apart by their address: the same column is to be given by the same `Arc`.
    ///
    /// # Errors
    /// See [`SealError`]; `out` is then as it was.
    pub fn seal(
        &mut self,
        key_name: &str,
        binding: &Arc<Binding>,
        canonical: &[u8],
        out: &mut Vec<u8>,
        now: Instant,
    ) -> Result<(), SealError> {
        let id = self.keys.active(key_name).ok_or_else(|| SealError::NoActiveKey(key_name.into()))?;
        self.seal_under(id, binding, canonical, out, now)
    }

    /// The same under a version of a key that need not be the active one.
    ///
    /// # Errors
    /// See [`SealError`]; `out` is then as it was.
    pub fn seal_under(
        &mut self,
        id: KeyId,
        binding: &Arc<Binding>,
        canonical: &[u8],
        out: &mut Vec<u8>,
        now: Instant,
    ) -> Result<(), SealError> {
        let overhead = binding.mode.overhead().ok_or(SealError::OrderedNotSupported)?;
        if canonical.len() > MAX_ENVELOPE - overhead {
            return Err(SealError::TooLarge { bytes: canonical.len() });
        }
        let places = Places { next_serial: &mut self.next_serial, keys: &self.keys, metrics: &self.metrics };
        let derived = derived(&mut self.derived, places, id, binding).ok_or(SealError::NotHeld { id })?;
        match &mut derived.key {
            ValueKey::Deterministic(key) => key.seal(canonical, out)?,
            ValueKey::Randomized(key) => {
                let sealer = match &mut derived.sealer {
                    Some(sealer) if sealer.is_fresh(now) => sealer,
                    stale => stale.insert(Sealer::draw(key, &mut self.entropy, now)?),
                };
                sealer.values += 1;
                let nonce = self.frame.nonce(&mut self.entropy)?;
                key.seal(&sealer.subkey, &sealer.prefix, &nonce, canonical, out)?;
            }
        }
        derived.counts.sealed.add(1);
        Ok(())
    }

    /// Appends the canonical bytes of a sealed value to `out`, and returns the key that had sealed it.
    ///
    /// # Errors
    /// See [`OpenError`]; `out` is then as it was.
    pub fn open(
        &mut self,
        binding: &Arc<Binding>,
        envelope: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<KeyId, OpenError> {
        let Envelope { header, body } = Envelope::parse(envelope)?;
        if header.mode != binding.mode {
            return Err(OpenError::WrongMode { found: header.mode, expected: binding.mode });
        }
        let id = header.key_id;
        if header.mode == Mode::Ordered {
            return Err(OpenError::OrderedNotSupported { id });
        }
        let places = Places { next_serial: &mut self.next_serial, keys: &self.keys, metrics: &self.metrics };
        let derived = derived(&mut self.derived, places, id, binding).ok_or_else(|| self.keys.absence(id))?;
        let opened = match (&mut derived.key, &body) {
            (ValueKey::Randomized(key), Body::Randomized { prefix, .. }) => {
                key.open(opener(&mut self.openers, derived.serial, key, prefix), &body, out)
            }
            (ValueKey::Deterministic(key), body) => key.open(body, out),
            (ValueKey::Randomized(_), Body::Deterministic { .. } | Body::Ordered(_)) => Err(NotAuthentic),
        };
        opened.map_err(|NotAuthentic| OpenError::NotAuthentic { id })?;
        derived.counts.opened.add(1);
        Ok(id)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Keys {
    fn absence(&self, id: KeyId) -> OpenError {
        match self.absent(id) {
            Some(key) => {
                OpenError::NotLoaded { id, name: format!("{}@{}", key.name, key.version), state: key.state }
            }
            None => OpenError::UnknownKey { id },
        }
    }
}

impl Sealer {
    fn draw(key: &RandomizedKey, entropy: &mut Entropy, now: Instant) -> Result<Self, EntropyError> {
        let mut prefix = [0; 12];
        entropy(&mut prefix)?;
        Ok(Self { prefix, subkey: key.subkey(&prefix), until: now + PREFIX_AGE, values: 0 })
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.values < PREFIX_VALUES && now < self.until
    }
}

impl Frame {
    /// The last 12 bytes of a nonce, none of which is given twice in a frame.
    fn nonce(&mut self, entropy: &mut Entropy) -> Result<[u8; 12], EntropyError> {
        let nonce = match self.next {
            Some(next) => next,
            None => {
                let mut bytes = [0; 16];
                entropy(bytes.last_chunk_mut::<12>().ok_or(EntropyError)?)?;
                u128::from_be_bytes(bytes)
            }
        };
        self.next = Some((nonce + 1) & ((1 << NONCE_BITS) - 1));
        let [_, _, _, _, last @ ..] = nonce.to_be_bytes();
        Ok(last)
    }
}

/// What deriving a key takes of a vault.
struct Places<'a> {
    next_serial: &'a mut u64,
    keys: &'a Keys,
    metrics: &'a WorkerMetrics,
}

/// The keys of a data key for a binding, derived if they are not there; `None` if the data key is not held or
/// the mode is `ordered`.
fn derived<'a>(
    cache: &'a mut FxHashMap<(KeyId, usize), Derived>,
    places: Places<'_>,
    id: KeyId,
    binding: &Arc<Binding>,
) -> Option<&'a mut Derived> {
    let place = (id, Arc::as_ptr(binding).addr());
    if cache.len() >= DERIVED_KEYS && !cache.contains_key(&place) {
        cache.clear();
    }
    match cache.entry(place) {
        Entry::Occupied(entry) => Some(entry.into_mut()),
        Entry::Vacant(entry) => {
            let key = ValueKey::derive(places.keys.loaded(id)?.secret(), id, binding)?;
            let serial = *places.next_serial;
            *places.next_serial += 1;
            let counts = places.metrics.values(&binding.context, &id.to_string());
            Some(entry.insert(Derived { _binding: Arc::clone(binding), serial, key, sealer: None, counts }))
        }
    }
}

/// The subkey of a prefix, derived if it is not there. Each prefix has one place in the cache, so two that
/// share it take turns; forged envelopes can make opening slower that way and nothing else.
#[expect(clippy::indexing_slicing, reason = "a byte indexes 256 places")]
fn opener<'a>(cache: &'a mut Openers, serial: u64, key: &RandomizedKey, prefix: &[u8; 12]) -> &'a Subkey {
    let [.., salt] = serial.to_be_bytes();
    let [first, ..] = prefix;
    let place = &mut cache[usize::from(first ^ salt)];
    place.take_if(|opener| opener.serial != serial || opener.prefix != *prefix);
    &place.get_or_insert_with(|| Opener { serial, prefix: *prefix, subkey: key.subkey(prefix) }).subkey
}

/// Why a value cannot be sealed. No text holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No version of this key is active.
    #[error("the keyring has no active version of data key \"{0}\"")]
    NoActiveKey(String),
    /// The version that the database asks for is not held.
    #[error("the values of this column are under key {id}, which this proxy does not hold")]
    NotHeld {
        /// From the context's pin.
        id: KeyId,
    },
    /// A version of the key retires, and the database does not say which one the values are under.
    #[error(
        "the database does not say under which version of data key \"{0}\" the values of this column are"
    )]
    NotPinned(String),
    /// The policy says that values may be plaintext, and the database not whether they are.
    #[error("the database does not say whether the values of this column are encrypted")]
    NotBegun,
    /// The database says that values are plaintext, and the policy that they are not.
    #[error("values of this column are plaintext, and this proxy's policy says that they are encrypted")]
    NotMigrating,
    /// The envelope would be larger than [`MAX_ENVELOPE`].
    #[error("a value of {bytes} bytes is too large to be sealed")]
    TooLarge {
        /// Size of its canonical form.
        bytes: usize,
    },
    /// Mode `ordered` needs a later release.
    #[error("this release cannot seal values in mode ordered")]
    OrderedNotSupported,
    /// No nonce can be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A fault of ours.
    #[error(transparent)]
    Cipher(#[from] CipherFault),
}

impl ClientFacing for SealError {
    fn client_error(&self) -> ClientError {
        let code = match self {
            Self::NoActiveKey(_) | Self::NotHeld { .. } | Self::Entropy(_) | Self::Cipher(_) => {
                SqlState::INTERNAL
            }
            Self::NotPinned(_) | Self::NotBegun | Self::NotMigrating => {
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
            }
            Self::TooLarge { .. } => SqlState::PROGRAM_LIMIT_EXCEEDED,
            Self::OrderedNotSupported => SqlState::FEATURE_NOT_SUPPORTED,
        };
        let error = ClientError::error(code, self.to_string());
        match self {
            Self::NoActiveKey(_) => {
                error.with_hint("Add the key to the keyring, or name another in the policy.")
            }
            Self::NotHeld { .. } => {
                error.with_hint("Give this proxy the keyring that the others have, with this version not archived.")
            }
            Self::NotPinned(key) => error.with_detail(
                "A version of it retires, and a deterministic column's values are compared by their ciphertexts, so all have to \
                 be under one version."
            ).with_hint(format!("Run \"pgseal rotate {key}\".")),
            Self::NotBegun => error
                .with_detail("The policy says state = \"migrating\", and no move of its values has begun.")
                .with_hint("Run \"pgseal encrypt\" for it, or \"pgseal decrypt\"."),
            Self::NotMigrating => error.with_hint(
                "Give every proxy the policy that \"pgseal encrypt\" or \"pgseal decrypt\" was given, with \
                 state = \"migrating\".",
            ),
            Self::TooLarge { .. } => {
                error.with_detail(format!("A sealed value has at most {MAX_ENVELOPE} bytes."))
            }
            Self::OrderedNotSupported | Self::Entropy(_) | Self::Cipher(_) => error,
        }
    }
}

/// Why a sealed value cannot be opened. No text holds any byte of it but its key id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes are no envelope that this release knows.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// It was sealed in another mode than the column has.
    #[error("it is sealed in mode {found}, but the column's mode is {expected}")]
    WrongMode {
        /// What the envelope says.
        found: Mode,
        /// What the policy says.
        expected: Mode,
    },
    /// The keyring has never heard of the key.
    #[error("it is sealed with key {id}, which is not in the keyring")]
    UnknownKey {
        /// From the envelope.
        id: KeyId,
    },
    /// The key is archived or destroyed.
    #[error("it is sealed with key {id} ({name}), which is {state}")]
    NotLoaded {
        /// From the envelope.
        id: KeyId,
        /// `NAME@N`.
        name: String,
        /// Why it is not held.
        state: State,
    },
    /// Mode `ordered` needs a later release.
    #[error("it is sealed in mode ordered with key {id}, which this release cannot open")]
    OrderedNotSupported {
        /// From the envelope.
        id: KeyId,
    },
    /// The key is right and the bytes are not what it sealed for this column.
    #[error("key {id} did not seal these bytes for this column")]
    NotAuthentic {
        /// From the envelope.
        id: KeyId,
    },
}

impl OpenError {
    /// The key id in the envelope, for logs; `None` if it could not be read.
    pub fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::UnknownKey { id }
            | Self::NotLoaded { id, .. }
            | Self::OrderedNotSupported { id }
            | Self::NotAuthentic { id } => Some(*id),
            Self::Envelope(_) | Self::WrongMode { .. } => None,
        }
    }
}

impl ClientFacing for OpenError {
    fn client_error(&self) -> ClientError {
        let error = ClientError::error(SqlState::DATA_CORRUPTED, "a sealed value cannot be opened")
            .with_detail(format!("Of the value: {self}."));
        match self {
            Self::Envelope(EnvelopeError::NotAnEnvelope) => error
                .with_hint("The column may hold plaintext from before it was encrypted, or was written past the proxy."),
            Self::Envelope(EnvelopeError::Unsupported { .. }) => {
                error.with_hint("A later release may have sealed it; use that release or a newer one.")
            }
            Self::Envelope(EnvelopeError::Truncated | EnvelopeError::InvalidText) => {
                error.with_hint("It was damaged or cut after it was sealed.")
            }
            Self::WrongMode { .. } => error.with_hint("Compare the column's mode in the policy with the one it was sealed in."),
            Self::UnknownKey { .. } => error.with_hint("Import the keyring that holds this key."),
            Self::NotLoaded { state: State::Destroyed, .. } => error,
            Self::NotLoaded { .. } => error.with_hint("Restore the key, or open the value offline with archived keys."),
            Self::OrderedNotSupported { .. } => error.with_hint("Use a release that has mode ordered."),
            Self::NotAuthentic { .. } => error.with_hint(
                "It was changed, or sealed for another context or type: compare the column's context and type in the policy.",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
