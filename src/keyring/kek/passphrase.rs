//! `passphrase:`: a key-encryption key that is derived from a passphrase by Argon2id.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::local::LocalKek;
use super::{KekError, KekProvider, WrapContext};
use crate::keyring::Entropy;
use crate::keyring::disk;
use crate::secret::Secret;

/// The first byte of a wrap.
const WRAP_VERSION: u8 = 1;
/// Memory in KiB, passes and lanes of new wraps: the second recommendation of RFC 9106 (section 4).
const COST: Cost = Cost { memory: 64 * 1024, passes: 3, lanes: 4 };
/// What a wrap may ask for at most: who can write the keyring could otherwise take all of a machine's memory.
const MOST: Cost = Cost { memory: 1024 * 1024, passes: 32, lanes: 32 };
/// Longest passphrase, in bytes.
const MAX_PASSPHRASE: u64 = 1024;
/// A new passphrase that is shorter can be tried out by whoever has the file.
const MIN_NEW: usize = 12;

const SALT_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 3 * 4 + SALT_LEN;

/// Where a passphrase comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PassphraseSource {
    /// It is asked for at the terminal.
    Terminal,
    /// The first line of a file. A relative path starts at the keyring's folder.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

impl PassphraseSource {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text.is_empty() => Some(Self::Terminal),
            Some(("file", path)) if !path.is_empty() => Some(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => {
                Some(Self::Env(name.into()))
            }
            None | Some(_) => None,
        }
    }

    fn read(&self, folder: &Path) -> Result<Zeroizing<String>, KekError> {
        let text = match self {
            Self::Terminal => ask("Passphrase of the keyring: ")?,
            Self::File(path) => {
                let bytes = disk::read_private(&folder.join(path), MAX_PASSPHRASE)?;
                let text = std::str::from_utf8(&bytes).map_err(|_| KekError::Passphrase("is not UTF-8"))?;
                Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
            }
            Self::Env(name) => std::env::var(name)
                .map(Zeroizing::new)
                .map_err(|_| KekError::NotInEnvironment { name: name.clone() })?,
        };
        if text.is_empty() { Err(KekError::Passphrase("is empty")) } else { Ok(text) }
    }
}

impl fmt::Display for PassphraseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminal => Ok(()),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
        }
    }
}

/// Reads a passphrase.
pub(super) fn open(source: &PassphraseSource, folder: &Path) -> Result<PassphraseKek, KekError> {
    Ok(PassphraseKek { passphrase: source.read(folder)?, derived: Mutex::default() })
}

/// Reads a passphrase that becomes one: a typed one is asked for twice.
pub(super) fn open_new(source: &PassphraseSource, folder: &Path) -> Result<PassphraseKek, KekError> {
    let kek = open(source, folder)?;
    if kek.passphrase.chars().count() < MIN_NEW {
        return Err(KekError::Passphrase("is too short: take at least 12 characters, better six words"));
    }
    match source {
        PassphraseSource::Terminal if *ask("The same once more: ")? != *kek.passphrase => {
            Err(KekError::Passphrase("was typed differently the second time"))
        }
        PassphraseSource::Terminal | PassphraseSource::File(_) | PassphraseSource::Env(_) => Ok(kek),
    }
}

fn ask(what: &str) -> Result<Zeroizing<String>, KekError> {
    rpassword::prompt_password(what).map(Zeroizing::new).map_err(|_| KekError::NoTerminal)
}

/// What Argon2id is told: how much memory in KiB, how many passes over it, in how many lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory: u32,
    passes: u32,
    lanes: u32,
}

/// Where a key is derived from, beside the passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recipe {
    cost: Cost,
    salt: [u8; SALT_LEN],
}

impl Recipe {
    fn to_head(self) -> [u8; HEAD_LEN] {
        let mut head = [0; HEAD_LEN];
        let Cost { memory, passes, lanes } = self.cost;
        let costs = [memory, passes, lanes].map(u32::to_be_bytes);
        let bytes = std::iter::once(WRAP_VERSION).chain(costs.into_iter().flatten()).chain(self.salt);
        for (to, from) in head.iter_mut().zip(bytes) {
            *to = from;
        }
        head
    }

    /// Reads a wrap's head; the rest is what [`LocalKek`] wrapped.
    fn split(wrapped: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = wrapped.split_first_chunk::<HEAD_LEN>()?;
        let (version, head) = head.split_first()?;
        let (memory, head) = head.split_first_chunk()?;
        let (passes, head) = head.split_first_chunk()?;
        let (lanes, salt) = head.split_first_chunk()?;
        let [memory, passes, lanes] =
            [memory, passes, lanes].map(|bytes: &[u8; 4]| u32::from_be_bytes(*bytes));
        let cost = Cost { memory, passes, lanes };
        let fits = cost.memory <= MOST.memory && cost.passes <= MOST.passes && cost.lanes <= MOST.lanes;
        let salt = salt.try_into().ok()?;
        (*version == WRAP_VERSION && fits).then_some((Self { cost, salt }, rest))
    }
}

/// A passphrase, and the keys that were derived from it.
pub(super) struct PassphraseKek {
    passphrase: Zeroizing<String>,
    /// The last one: a keyring that was wrapped in one go has one salt. A derivation takes a quarter of a second.
    derived: Mutex<Option<(Recipe, LocalKek)>>,
}

impl PassphraseKek {
    /// Does something with the key that a recipe gives, or with the last one if there is any.
    fn with<T>(
        &self,
        recipe: impl FnOnce(Option<Recipe>) -> Result<Recipe, KekError>,
        act: impl FnOnce(Recipe, &LocalKek) -> Result<T, KekError>,
    ) -> Result<T, KekError> {
        let mut derived = self.derived.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let recipe = recipe(derived.as_ref().map(|(recipe, _)| *recipe))?;
        match &*derived {
            Some((last, kek)) if *last == recipe => act(recipe, kek),
            Some(_) | None => {
                let (_, kek) = derived.insert((recipe, LocalKek(self.derive(recipe)?)));
                act(recipe, kek)
            }
        }
    }

    fn derive(&self, Recipe { cost, salt }: Recipe) -> Result<Secret<32>, KekError> {
        // What Argon2 refuses here (no passes, less memory than lanes need) no wrap of ours has.
        let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32));
        let argon2 =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(|_| KekError::NotAuthentic)?);
        Secret::try_fill(|key| argon2.hash_password_into(self.passphrase.as_bytes(), &salt, key))
            .map_err(|_| KekError::NotAuthentic)
    }
}

impl KekProvider for PassphraseKek {
    fn wrap(
        &self,
        context: WrapContext<'_>,
        key: &Secret<32>,
        entropy: &mut Entropy,
    ) -> Result<Vec<u8>, KekError> {
        let mut salt = [0; SALT_LEN];
        entropy(&mut salt)?;
        let new = Recipe { cost: COST, salt };
        let recipe = |last: Option<Recipe>| Ok(last.filter(|last| last.cost == COST).unwrap_or(new));
        self.with(recipe, |recipe, kek| {
            Ok([recipe.to_head().as_slice(), &kek.wrap(context, key, entropy)?].concat())
        })
    }

    fn unwrap(&self, context: WrapContext<'_>, wrapped: &[u8]) -> Result<Secret<32>, KekError> {
        let (recipe, wrapped) = Recipe::split(wrapped).ok_or(KekError::NotAuthentic)?;
        self.with(|_| Ok(recipe), |_, kek| kek.unwrap(context, wrapped))
    }

    fn is_typed(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::KeyId;
    use crate::keyring::os_entropy;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const CONTEXT: WrapContext<'static> = WrapContext { name: "default", id: KeyId([1, 2, 3, 4]) };

    fn kek(passphrase: &str) -> PassphraseKek {
        PassphraseKek { passphrase: passphrase.to_owned().into(), derived: Mutex::default() }
    }

    #[test]
    fn a_key_comes_back_under_its_passphrase_only() {
        let (right, key) = (kek("correct horse battery"), Secret::new([7; 32]));
        let wrapped = right.wrap(CONTEXT, &key, &mut os_entropy()).unwrap();
        assert_eq!(wrapped.len(), HEAD_LEN + 72);
        let again = kek("correct horse battery").unwrap(CONTEXT, &wrapped).unwrap();
        assert_eq!(again.expose(), key.expose());
        assert!(matches!(kek("correct horse").unwrap(CONTEXT, &wrapped), Err(KekError::NotAuthentic)));
        let other = WrapContext { name: "other", ..CONTEXT };
        assert!(matches!(right.unwrap(other, &wrapped), Err(KekError::NotAuthentic)));
        // Keys that are wrapped in one go share a salt, so that they take one derivation.
        let second = right.wrap(CONTEXT, &key, &mut os_entropy()).unwrap();
        assert_eq!(second[..HEAD_LEN], wrapped[..HEAD_LEN]);
    }

    /// The expected bytes are another implementation's (OpenSSL 3's ARGON2ID).
    #[test]
    fn the_derivation_is_argon2id() {
        let recipe =
            Recipe { cost: Cost { memory: 64 * 1024, passes: 2, lanes: 1 }, salt: *b"somesaltsomesalt" };
        let key = kek("password").derive(recipe).unwrap();
        let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "fc33b78139231d34b71626bd6245c1d72efa190ad605c3d8166a72adcedfa2c2");
    }

    #[test]
    fn a_wrap_that_asks_for_too_much_or_is_cut_does_not_unwrap() {
        let least = Cost { memory: 8, passes: 1, lanes: 1 };
        let of = |cost: Cost| -> Vec<u8> {
            let recipe = Recipe { cost, salt: [0; SALT_LEN] };
            [recipe.to_head().as_slice(), &[0; 72]].concat()
        };
        for cost in [
            Cost { memory: u32::MAX, ..least },
            Cost { passes: 33, ..least },
            Cost { lanes: 33, ..least },
            Cost { passes: 0, ..least },
            Cost { lanes: 0, ..least },
            Cost { memory: 0, ..least },
        ] {
            assert!(matches!(kek("x").unwrap(CONTEXT, &of(cost)), Err(KekError::NotAuthentic)), "{cost:?}");
        }
        let whole = of(least);
        for len in 0..whole.len() {
            assert!(matches!(kek("x").unwrap(CONTEXT, &whole[..len]), Err(KekError::NotAuthentic)), "{len}");
        }
    }

    #[test]
    fn a_passphrase_is_the_first_line_of_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words");
        let source = PassphraseSource::parse("file:words").unwrap();
        fs::write(&path, "six words are better than one\r\nrest").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(*source.read(folder.path()).unwrap(), "six words are better than one");
        for (content, what) in [("", "is empty"), ("short", "too short")] {
            fs::write(&path, content).unwrap();
            let error = open_new(&source, folder.path()).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(source.read(folder.path()), Err(KekError::Disk(_))));
    }
}
