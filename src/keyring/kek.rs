//! Key-encryption keys: where they are and how they wrap data keys.
//!
//! A provider is asked at start, on reload and when keys change; never per statement.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::disk::{self, DiskError, folder_of};
use super::{Entropy, EntropyError};
use crate::crypto::{CipherFault, KeyId, unwrap_key, wrap_key};
use crate::secret::Secret;

/// What a wrap is bound to: it unwraps for no other name or id.
#[derive(Clone, Copy, Debug)]
pub struct WrapContext<'a> {
    /// The data key's name.
    pub name: &'a str,
    /// Its id.
    pub id: KeyId,
}

/// Wraps and unwraps data keys with a key-encryption key, wherever that is.
pub trait KekProvider {
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
}

/// Where a key-encryption key is: what stands in a keyring file and after `--kek`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KekSource {
    /// `file:PATH`: a file of 32 bytes. A relative path starts at the keyring's folder.
    File(PathBuf),
    /// `env:NAME`: an environment variable with 32 bytes in base64 or hexadecimal.
    Env(String),
}

impl KekSource {
    /// Fetches the key. `folder` is the keyring's.
    ///
    /// # Errors
    /// It is not there, not 32 bytes, or may be read by others.
    pub fn open(&self, folder: &Path) -> Result<Box<dyn KekProvider>, KekError> {
        let key = match self {
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
        };
        Ok(Box::new(LocalKek(key)))
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
        let Self::File(path) = self else { return Ok(self) };
        let absolute = std::path::absolute(&path).map_err(|reason| DiskError::Io {
            doing: "cannot resolve",
            path: path.clone(),
            reason,
        })?;
        let beside = match (folder_of(&absolute).canonicalize(), folder.canonicalize()) {
            (Ok(own), Ok(keyring)) => own == keyring,
            (Err(_), _) | (_, Err(_)) => false,
        };
        Ok(Self::File(match absolute.file_name() {
            Some(name) if beside => name.into(),
            _ => absolute,
        }))
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
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for KekSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
        }
    }
}

/// Why a key-encryption key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// Not a form that this release knows.
    #[error("\"{text}\" names no key-encryption key; this release knows file:PATH and env:NAME")]
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
    /// No nonce can be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A fault of ours.
    #[error(transparent)]
    Cipher(#[from] CipherFault),
}

/// A key-encryption key that is at hand.
struct LocalKek(Secret<32>);

impl KekProvider for LocalKek {
    fn wrap(
        &self,
        context: WrapContext<'_>,
        key: &Secret<32>,
        entropy: &mut Entropy,
    ) -> Result<Vec<u8>, KekError> {
        let mut nonce = [0; 24];
        entropy(&mut nonce)?;
        Ok(wrap_key(&self.0, &nonce, context.name, context.id, key)?)
    }

    fn unwrap(&self, context: WrapContext<'_>, wrapped: &[u8]) -> Result<Secret<32>, KekError> {
        unwrap_key(&self.0, context.name, context.id, wrapped).map_err(|_| KekError::NotAuthentic)
    }
}

/// 32 bytes from 64 hexadecimal digits, or from base64 in either alphabet, padded or not.
fn key_from_text(text: &str) -> Option<Secret<32>> {
    let text = text.trim_ascii();
    if text.len() == 64 {
        return Secret::try_fill(|bytes| {
            text.as_bytes().chunks_exact(2).zip(bytes).try_for_each(|(pair, byte)| {
                let digits =
                    std::str::from_utf8(pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit));
                *byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(())?;
                Ok::<(), ()>(())
            })
        })
        .ok();
    }
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = Zeroizing::new(GeneralPurpose::new(alphabet, config).decode(text).ok()?);
    Secret::from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::os_entropy;
    use std::fs;

    #[test]
    fn sources_read_as_they_show() {
        for text in ["file:/etc/pgseal/kek", "file:kek", "env:PGSEAL_KEK"] {
            assert_eq!(text.parse::<KekSource>().unwrap().to_string(), text);
        }
        for bad in ["", "kek", "file:", "env:", "env:A=B", "aws-kms:alias/x", "File:kek"] {
            let error = bad.parse::<KekSource>().unwrap_err().to_string();
            assert!(error.contains("file:PATH"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn text_of_32_bytes_in_base64_or_hexadecimal_is_a_key_and_nothing_else_is() {
        let bytes: [u8; 32] = std::array::from_fn(|i| 0xF8 ^ u8::try_from(i).unwrap());
        for good in [
            "f8f9fafbfcfdfefff0f1f2f3f4f5f6f7e8e9eaebecedeeefe0e1e2e3e4e5e6e7",
            "F8F9FAFBFCFDFEFFF0F1F2F3F4F5F6F7E8E9EAEBECEDEEEFE0E1E2E3E4E5E6E7",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5uc=",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5uc\n",
            "-Pn6-_z9_v_w8fLz9PX29-jp6uvs7e7v4OHi4-Tl5uc",
        ] {
            assert_eq!(key_from_text(good).map(|key| *key.expose()), Some(bytes), "{good}");
        }
        for bad in [
            "",
            "password",
            "f8f9fafbfcfdfefff0f1f2f3f4f5f6f7e8e9eaebecedeeefe0e1e2e3e4e5e6+7",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5g==",
            "+Pn6-/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5uc=",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4OHi4+Tl5uf=",
        ] {
            assert!(key_from_text(bad).is_none(), "{bad}");
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
