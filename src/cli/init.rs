//! `pgseal init`: a keyring with one active data key.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;

use crate::crypto::KeyId;
use crate::keyring::{self, KekSource, Keks, Keyring, State, os_entropy};

/// The name of the first data key; a policy that names none uses it.
pub const FIRST_KEY: &str = "default";

/// What [`init`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialized {
    /// The id of the data key [`FIRST_KEY`].
    pub key_id: KeyId,
    /// The key-encryption key as the keyring names it.
    pub kek: String,
    /// The file of the key-encryption key, if it was made and not found.
    pub kek_made: Option<PathBuf>,
}

/// Makes a keyring at `keyring` with one active data key, and the file of the key-encryption key `kek`
/// (as [`KekSource`] reads it; a relative path starts at the current folder) if it is absent. Both are readable by
/// their owner only, and on disk when this returns.
///
/// # Errors
/// There is a keyring already (it stays as it is), the key-encryption key cannot be used, or a file cannot be
/// written.
pub fn init(keyring: &Path, kek: &str) -> anyhow::Result<Initialized> {
    ensure!(!keyring.exists(), "{} exists already; nothing was changed", keyring.display());
    let mut entropy = os_entropy();
    let folder = keyring::make_folder_of(keyring)?;
    let source = kek.parse::<KekSource>()?.relative_to(&folder)?;
    let made = source.create_if_absent(&folder, &mut entropy)?;
    let provider = source.open_new(&folder)?;
    let mut ring = Keyring::new(source.to_string());
    let key_id = ring.add(FIRST_KEY, State::Active, provider.as_ref(), &mut entropy, Timestamp::now())?;
    ring.create(keyring, &mut entropy)?;
    let mut keks = Keks::default();
    keks.insert(&source.to_string(), provider);
    keyring::load_with(keyring, &mut keks).context("the new keyring does not open")?;
    let kek_made = match &source {
        KekSource::File(path) if made => Some(folder.join(path)),
        KekSource::File(_)
        | KekSource::Env(_)
        | KekSource::Passphrase(_)
        | KekSource::VaultTransit(_)
        | KekSource::AwsKms(_)
        | KekSource::Pkcs11(_) => None,
    };
    Ok(Initialized { key_id, kek: source.to_string(), kek_made })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_keyring_opens_and_its_files_are_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kek) = (folder.path().join("keys/keyring.toml"), folder.path().join("keys/kek"));
        let made = init(&path, &format!("file:{}", kek.display())).unwrap();
        assert_eq!(made.kek, "file:kek", "beside the keyring, so both can be moved together");
        assert_eq!(fs::canonicalize(made.kek_made.unwrap()).unwrap(), fs::canonicalize(&kek).unwrap());
        assert_eq!((mode(&path), mode(&kek), mode(&folder.path().join("keys"))), (0o600, 0o600, 0o700));
        assert_eq!(keyring::load(&path, None).unwrap().active(FIRST_KEY), Some(made.key_id));
        fs::rename(folder.path().join("keys"), folder.path().join("moved")).unwrap();
        assert!(keyring::load(&folder.path().join("moved/keyring.toml"), None).is_ok());
    }

    #[test]
    fn a_key_encryption_key_that_is_there_is_used_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let kek = format!("file:{}", folder.path().join("kek").display());
        init(&folder.path().join("a/keyring.toml"), &kek).unwrap();
        let before = fs::read(folder.path().join("kek")).unwrap();
        let second = init(&folder.path().join("b/keyring.toml"), &kek).unwrap();
        assert_eq!((second.kek_made, fs::read(folder.path().join("kek")).unwrap()), (None, before));
    }

    #[test]
    fn a_keyring_that_is_there_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kek) = (folder.path().join("keyring.toml"), folder.path().join("kek"));
        fs::write(&path, "anything").unwrap();
        let error = init(&path, &format!("file:{}", kek.display())).unwrap_err().to_string();
        assert!(error.contains("keyring.toml exists already"), "{error}");
        assert!(!kek.exists());
        assert_eq!(fs::read(&path).unwrap(), b"anything");
    }

    #[test]
    fn nothing_is_written_for_a_key_encryption_key_that_cannot_be_had() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        for kek in ["env:PGSEAL_NO_SUCH_VARIABLE", "vault:x"] {
            assert!(init(&path, kek).is_err(), "{kek}");
            assert!(!path.exists());
        }
    }
}
