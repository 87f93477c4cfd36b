//! Data keys by name and version, wrapped by a key-encryption key, and the vault that seals with them.
//!
//! | module | what |
//! |---|---|
//! | `keys` | [`Keys`], the immutable snapshot that every worker shares |
//! | `vault` | [`Vault`], one worker's sealing and opening: caches and nonces |
//! | `file` | [`Keyring`], what the keyring file says |
//! | `versions` | [`VersionName`], and the states that a version goes through |
//! | `kek` | [`KekProvider`] and the providers |
//! | `keks` | [`Keks`], the providers that a keyring is opened with |
//! | `disk` | durable writes, the lock, and who may read |
//!
//! The file is documented in `docs/format.md`. `serve` calls [`load`] at start and on reload; commands that
//! change keys go through [`Keyring::create`] and [`Keyring::update`].

mod disk;
mod file;
mod kek;
mod keks;
mod keys;
mod vault;
mod versions;

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use disk::DiskError;
pub(crate) use disk::lock_within;
pub use file::{Entry, Keyring, KeyringError, Problem, Wrap};
pub use kek::{KekError, KekProvider, KekSource, PassphraseSource, WrapContext};
pub use keks::Keks;
pub use keys::{AbsentKey, DataKey, Keys, State};
pub use vault::{OpenError, SealError, Vault};
pub use versions::{ChangeError, VersionName, VersionNameError};

/// Fills its argument with unpredictable bytes.
pub type Entropy = Box<dyn FnMut(&mut [u8]) -> Result<(), EntropyError> + Send>;

/// No random bytes are to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct EntropyError;

/// The operating system's random bytes.
pub fn os_entropy() -> Entropy {
    Box::new(|bytes| getrandom::fill(bytes).map_err(|_| EntropyError))
}

/// Reads a keyring file and unwraps the keys that `serve` needs: staged, active and retiring ones.
///
/// `kek` names a key-encryption key to use instead of those that the file names, for a machine on which it
/// lies elsewhere.
///
/// # Errors
/// The file cannot be read or may be read by others, says something that it may not, or its keys do not
/// unwrap. The text names file, place and reason.
pub fn load(path: &Path, kek: Option<&str>) -> Result<Keys, KeyringError> {
    load_with(path, &mut Keks::new(kek))
}

/// The same with key-encryption keys that may be open already.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, keks: &mut Keks) -> Result<Keys, KeyringError> {
    Keyring::read(path)?.unlock(path, keks)
}

/// Reads a file of at most `limit` bytes that only its owner may read, or that root owns and the process's group may
/// read (as Kubernetes mounts secrets).
///
/// # Errors
/// It cannot be read, may be read or replaced by others, or is longer.
pub fn read_private(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, DiskError> {
    disk::read_private(path, limit)
}

/// The folder that a keyring is in, from which its relative paths start.
pub fn folder_of(path: &Path) -> PathBuf {
    disk::folder_of(path)
}

/// Makes the folder that a keyring is to be in, for its owner only, and returns it.
///
/// # Errors
/// It cannot be made.
pub fn make_folder_of(path: &Path) -> Result<PathBuf, DiskError> {
    disk::make_folder(path)?;
    Ok(disk::folder_of(path))
}
