//! Key-encryption keys: where they are and how they wrap data keys.
//!
//! A provider is asked at start, on reload and when keys change; never per statement. What asks a service has a limit
//! of time, and blocks its thread until then.

#[cfg(feature = "aws-kms")]
mod aws;
#[cfg(any(feature = "aws-kms", feature = "vault-transit"))]
mod http;
mod local;
mod passphrase;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "vault-transit")]
mod vault;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use self::local::{LocalKek, key_from_text};
pub use self::passphrase::PassphraseSource;
use super::disk::{self, DiskError, folder_of};
use super::{Entropy, EntropyError};
use crate::crypto::{CipherFault, KeyId};
use crate::secret::Secret;

/// What a wrap is bound to: it unwraps for no other name or id.
#[derive(Clone, Copy, Debug)]
pub struct WrapContext<'a> {
    /// The data key's name.
    pub name: &'a str,
    /// Its id.
    pub id: KeyId,
}

#[cfg(any(feature = "vault-transit", feature = "pkcs11"))]
impl WrapContext<'_> {
    /// The same as one string of bytes, for providers that bind such a one.
    fn associated_data(&self) -> Vec<u8> {
        crate::crypto::wrap_associated_data(self.name, self.id)
    }
}

/// Wraps and unwraps data keys with a key-encryption key, wherever that is.
pub trait KekProvider: Send {
    /// A data key in wrapped form.
    ///
    /// # Errors
    /// The provider cannot be reached or refuses.
    fn wrap(
        &self,
        context: WrapContext<'_>,
        key: &Secret<32>,
        entropy: &mut Entropy,
    ) -> Result<Vec<u8>, KekError>;

    /// A data key from its wrapped form. The caller checks that it has the id in `context`.
    ///
    /// # Errors
    /// As `wrap`, and the wrapped form was not made by this key for this context.
    fn unwrap(&self, context: WrapContext<'_>, wrapped: &[u8]) -> Result<Secret<32>, KekError>;

    /// True if what it knows was typed by somebody who will not be there to type it again on reload.
    fn is_typed(&self) -> bool {
        false
    }
}

/// Where a key-encryption key is: what stands in a keyring file and after `--kek`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KekSource {
    /// `file:PATH`: a file of 32 bytes. A relative path starts at the keyring's folder.
    File(PathBuf),
    /// `env:NAME`: an environment variable with 32 bytes in base64 or hexadecimal.
    Env(String),
    /// `passphrase:`, `passphrase:file:PATH` or `passphrase:env:NAME`.
    Passphrase(PassphraseSource),
    /// `vault-transit:KEY` or `vault-transit:MOUNT/KEY`.
    VaultTransit(String),
    /// `aws-kms:KEY`, where KEY is an id, an ARN or `alias/NAME`.
    AwsKms(String),
    /// `pkcs11:` and the rest of a URI as in RFC 7512.
    Pkcs11(String),
}

impl KekSource {
    /// Fetches the key, or what is needed to ask a service that has it. `folder` is the keyring's.
    ///
    /// # Errors
    /// It is not there, not 32 bytes, or may be read by others; the service cannot be asked.
    pub fn open(&self, folder: &Path) -> Result<Box<dyn KekProvider>, KekError> {
        Ok(match self {
            Self::File(_) | Self::Env(_) => Box::new(LocalKek(self.fetch(folder)?)),
            Self::Passphrase(source) => Box::new(passphrase::open(source, folder)?),
            #[cfg(feature = "vault-transit")]
            Self::VaultTransit(name) => Box::new(vault::VaultKek::open(name)?),
            #[cfg(feature = "aws-kms")]
            Self::AwsKms(key) => Box::new(aws::AwsKek::open(key)?),
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(uri) => Box::new(pkcs11::Pkcs11Kek::open(uri)?),
            #[cfg(not(all(feature = "vault-transit", feature = "aws-kms", feature = "pkcs11")))]
            other => return Err(KekError::NotBuilt { scheme: other.scheme() }),
        })
    }

    /// The same for one that wraps for the first time: a passphrase that is typed is asked for twice.
    ///
    /// # Errors
    /// As [`KekSource::open`].
    pub fn open_new(&self, folder: &Path) -> Result<Box<dyn KekProvider>, KekError> {
        match self {
            Self::Passphrase(source) => Ok(Box::new(passphrase::open_new(source, folder)?)),
            Self::File(_) | Self::Env(_) | Self::VaultTransit(_) | Self::AwsKms(_) | Self::Pkcs11(_) => {
                self.open(folder)
            }
        }
    }

    fn fetch(&self, folder: &Path) -> Result<Secret<32>, KekError> {
        Ok(match self {
            Self::File(path) => {
                let path = folder.join(path);
                let bytes = disk::read_private(&path, 32).map_err(|error| match error {
                    DiskError::TooLarge { path, .. } => KekError::FileSize { path },
                    other => KekError::Disk(other),
                })?;
                Secret::from_slice(&bytes).ok_or(KekError::FileSize { path })?
            }
            Self::Env(name) => {
                let text = std::env::var(name).map(Zeroizing::new);
                let text = text.map_err(|_| KekError::NotInEnvironment { name: name.clone() })?;
                key_from_text(&text).ok_or_else(|| KekError::EnvironmentForm { name: name.clone() })?
            }
            Self::Passphrase(_) | Self::VaultTransit(_) | Self::AwsKms(_) | Self::Pkcs11(_) => {
                return Err(KekError::NotBuilt { scheme: self.scheme() });
            }
        })
    }

    /// Its kind: what stands before the colon.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Env(_) => "env",
            Self::Passphrase(_) => "passphrase",
            Self::VaultTransit(_) => "vault-transit",
            Self::AwsKms(_) => "aws-kms",
            Self::Pkcs11(_) => "pkcs11",
        }
    }

    /// The file that it is in, if any.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Passphrase(PassphraseSource::File(path)) => Some(path),
            Self::Env(_)
            | Self::Passphrase(PassphraseSource::Terminal | PassphraseSource::Env(_))
            | Self::VaultTransit(_)
            | Self::AwsKms(_)
            | Self::Pkcs11(_) => None,
        }
    }

    /// The same in another file; what is in none stays as it is.
    #[must_use]
    pub fn with_path(self, path: PathBuf) -> Self {
        match self {
            Self::File(_) => Self::File(path),
            Self::Passphrase(PassphraseSource::File(_)) => Self::Passphrase(PassphraseSource::File(path)),
            other @ (Self::Env(_)
            | Self::Passphrase(PassphraseSource::Terminal | PassphraseSource::Env(_))
            | Self::VaultTransit(_)
            | Self::AwsKms(_)
            | Self::Pkcs11(_)) => other,
        }
    }

    /// Makes a new key where there is none yet; true if it did. Only a file can be made.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create_if_absent(&self, folder: &Path, entropy: &mut Entropy) -> Result<bool, KekError> {
        let Self::File(path) = self else { return Ok(false) };
        let path = folder.join(path);
        if path.exists() {
            return Ok(false);
        }
        let key = Secret::<32>::try_fill(|bytes| entropy(bytes))?;
        disk::make_folder(&path)?;
        match disk::write_new(&path, key.expose(), entropy) {
            Ok(()) => Ok(true),
            // Somebody else was faster; theirs is as good.
            Err(DiskError::Exists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The same key as it is to stand in a keyring in `folder`: by its plain name if it lies beside it, so that
    /// both can be moved together, else by its whole path.
    ///
    /// # Errors
    /// The current folder is not known.
    pub fn relative_to(self, folder: &Path) -> Result<Self, KekError> {
        let Some(path) = self.path() else { return Ok(self) };
        let absolute = std::path::absolute(path).map_err(|reason| DiskError::Io {
            doing: "cannot resolve",
            path: path.into(),
            reason,
        })?;
        let beside = match (folder_of(&absolute).canonicalize(), folder.canonicalize()) {
            (Ok(own), Ok(keyring)) => own == keyring,
            (Err(_), _) | (_, Err(_)) => false,
        };
        let recorded = match absolute.file_name() {
            Some(name) if beside => name.into(),
            _ => absolute,
        };
        Ok(self.with_path(recorded))
    }
}

impl FromStr for KekSource {
    type Err = KekError;

    fn from_str(text: &str) -> Result<Self, KekError> {
        let unknown = || KekError::UnknownProvider { text: text.into() };
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        match scheme {
            "file" if !rest.is_empty() => Ok(Self::File(rest.into())),
            "env" if !rest.is_empty() && !rest.contains(['=', '\0']) => Ok(Self::Env(rest.into())),
            "passphrase" => PassphraseSource::parse(rest).map(Self::Passphrase).ok_or_else(unknown),
            "vault-transit" if is_path(rest) => Ok(Self::VaultTransit(rest.into())),
            "aws-kms" if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self::AwsKms(rest.into()))
            }
            "pkcs11" if !rest.is_empty() => Ok(Self::Pkcs11(rest.into())),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for KekSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Passphrase(source) => write!(f, "passphrase:{source}"),
            Self::VaultTransit(name) => write!(f, "vault-transit:{name}"),
            Self::AwsKms(key) => write!(f, "aws-kms:{key}"),
            Self::Pkcs11(uri) => write!(f, "pkcs11:{uri}"),
        }
    }
}

/// A mount and a key in Vault, as they stand in a path.
fn is_path(text: &str) -> bool {
    text.split('/').all(|part| {
        !part.is_empty()
            && part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    })
}

impl KekError {
    /// True if the same may work a while later: the service is down, or too busy.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { may_pass, .. } => *may_pass,
            Self::UnknownProvider { .. }
            | Self::Disk(_)
            | Self::FileSize { .. }
            | Self::NotInEnvironment { .. }
            | Self::EnvironmentForm { .. }
            | Self::NotAuthentic
            | Self::Passphrase(_)
            | Self::NoTerminal
            | Self::NotBuilt { .. }
            | Self::Setting { .. }
            | Self::BindsNothing
            | Self::Entropy(_)
            | Self::Cipher(_) => false,
        }
    }
}

/// Why a key-encryption key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// Not a form that this release knows.
    #[error(
        "\"{text}\" names no key-encryption key; there are file:PATH, env:NAME, \
             passphrase:[file:PATH|env:NAME], vault-transit:[MOUNT/]KEY, aws-kms:KEY and pkcs11:URI"
    )]
    UnknownProvider {
        /// What was given.
        text: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file has another size.
    #[error("{path} does not hold exactly 32 bytes")]
    FileSize {
        /// The file.
        path: PathBuf,
    },
    /// The variable is not set, or not text.
    #[error("environment variable {name} is not set")]
    NotInEnvironment {
        /// Its name.
        name: String,
    },
    /// The variable holds something else.
    #[error("environment variable {name} does not hold 32 bytes in base64 or hexadecimal")]
    EnvironmentForm {
        /// Its name.
        name: String,
    },
    /// Another key wrapped it, or it was changed.
    #[error(
        "it does not unwrap: another key-encryption key wrapped it, or its name, id or bytes were changed"
    )]
    NotAuthentic,
    /// A passphrase cannot be used.
    #[error("the passphrase {0}")]
    Passphrase(&'static str),
    /// Nobody can be asked.
    #[error(
        "the passphrase is asked for at a terminal, and there is none; use passphrase:file:PATH or passphrase:env:NAME"
    )]
    NoTerminal,
    /// The program was built without it.
    #[error("this program was built without {scheme}: build it with --features {scheme}")]
    NotBuilt {
        /// As it stands before the colon, and the feature's name.
        scheme: &'static str,
    },
    /// A setting that the provider needs.
    #[error("{name} {reason}")]
    Setting {
        /// Which.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The service cannot be reached.
    #[error("{service} cannot be reached: {reason}")]
    Unreachable {
        /// Which.
        service: String,
        /// Why.
        reason: String,
        /// True if it did not answer in time.
        is_slow: bool,
    },
    /// The service answered with an error.
    #[error("{service} refused: {reason}")]
    Refused {
        /// Which.
        service: String,
        /// In its words.
        reason: String,
        /// True if it may be better a while later.
        may_pass: bool,
    },
    /// The service's key authenticates nothing beside the data key.
    #[error("the key binds no associated data, so wraps could be exchanged; take one of type aes256-gcm96")]
    BindsNothing,
    /// No nonce can be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A fault of ours.
    #[error(transparent)]
    Cipher(#[from] CipherFault),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::os_entropy;
    use std::fs;

    #[test]
    fn sources_read_as_they_show() {
        for text in [
            "file:/etc/pgseal/kek",
            "file:kek",
            "env:PGSEAL_KEK",
            "passphrase:",
            "passphrase:file:words",
            "passphrase:env:WORDS",
            "vault-transit:app",
            "vault-transit:team/transit/app",
            "aws-kms:alias/app",
            "aws-kms:arn:aws:kms:eu-central-1:111122223333:key/x",
            "pkcs11:token=t;object=k",
        ] {
            assert_eq!(text.parse::<KekSource>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "kek",
            "file:",
            "env:",
            "env:A=B",
            "aws-kms:",
            "aws-kms:a b",
            "File:kek",
            "passphrase:x",
            "passphrase:file:",
            "vault-transit:",
            "vault-transit:a/../b",
            "vault-transit:a?b",
            "pkcs11:",
        ] {
            let error = bad.parse::<KekSource>().unwrap_err().to_string();
            assert!(error.contains("file:PATH"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_key_file_is_made_once_and_has_32_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let source: KekSource = "file:kek".parse().unwrap();
        assert!(source.create_if_absent(folder.path(), &mut os_entropy()).unwrap());
        let first = fs::read(folder.path().join("kek")).unwrap();
        assert!(!source.create_if_absent(folder.path(), &mut os_entropy()).unwrap());
        assert_eq!(fs::read(folder.path().join("kek")).unwrap(), first);
        assert!(source.open(folder.path()).is_ok());
        for size in [0, 31, 33] {
            fs::write(folder.path().join("kek"), vec![1; size]).unwrap();
            let error = source.open(folder.path()).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("exactly 32 bytes") && error.contains("kek"), "{size}: {error}");
        }
    }

    #[test]
    fn a_missing_or_unfit_variable_is_named() {
        let nowhere = Path::new("/");
        for (name, what) in [("PGSEAL_NO_SUCH_VARIABLE", "is not set"), ("PATH", "does not hold 32 bytes")] {
            let error = KekSource::Env(name.into()).open(nowhere).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_key_beside_the_keyring_is_recorded_by_its_name() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let beside = KekSource::File(folder.path().join("kek")).relative_to(folder.path()).unwrap();
        assert_eq!(beside, KekSource::File("kek".into()));
        let elsewhere = KekSource::File(other.path().join("kek"));
        assert_eq!(elsewhere.clone().relative_to(folder.path()).unwrap(), elsewhere);
    }
}
