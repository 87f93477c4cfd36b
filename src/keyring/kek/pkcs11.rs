//! `pkcs11:`: an AES key in a hardware module, or in a program that behaves as one.
//!
//! The key is named by a URI (RFC 7512). It wraps by CKM_AES_GCM, and never leaves the module.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::{KekError, KekProvider, WrapContext};
use crate::keyring::Entropy;
use crate::keyring::disk;
use crate::secret::Secret;

/// The first byte of a wrap.
const WRAP_VERSION: u8 = 1;
const NONCE_LEN: usize = 12;
const TAG_BITS: u64 = 128;
/// How long a module may take. It may be a library that asks a server far away.
const TIME: Duration = Duration::from_secs(10);
/// Longest PIN, in bytes.
const MAX_PIN: u64 = 256;

/// What a URI says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    module: Option<PathBuf>,
    token: Option<String>,
    object: Option<String>,
    pin_file: Option<PathBuf>,
}

impl Place {
    /// Reads what stands behind `pkcs11:`.
    fn parse(text: &str) -> Result<Self, KekError> {
        let mut place = Self::default();
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let attributes = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        for attribute in attributes {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value =
                decoded(value).ok_or_else(|| unfit(format!("{name} is not percent-encoded UTF-8")))?;
            match name {
                "token" => place.token = Some(value),
                "object" => place.object = Some(value),
                "type" if value == "secret-key" => {}
                "module-path" => place.module = Some(value.into()),
                "pin-source" => {
                    let path = value.strip_prefix("file://").or_else(|| value.strip_prefix("file:"));
                    place.pin_file = Some(path.unwrap_or(&value).into());
                }
                "pin-value" => {
                    return Err(unfit("a PIN has no place in it: name a file by pin-source".into()));
                }
                other => return Err(unfit(format!("{other} is not understood here"))),
            }
        }
        if place.token.is_none() || place.object.is_none() {
            return Err(unfit(
                "name the token and the key, as in pkcs11:token=T;object=K?module-path=/M.so".into(),
            ));
        }
        Ok(place)
    }

    fn pin(&self) -> Result<AuthPin, KekError> {
        let text = match &self.pin_file {
            Some(path) => {
                let bytes = disk::read_private(path, MAX_PIN)?;
                Zeroizing::new(String::from_utf8_lossy(&bytes).trim_ascii_end().to_owned())
            }
            None => {
                std::env::var("PGSEAL_PKCS11_PIN").map(Zeroizing::new).map_err(|_| KekError::Setting {
                    name: "PGSEAL_PKCS11_PIN".into(),
                    reason: "is not set, and the URI names no pin-source".into(),
                })?
            }
        };
        Ok(AuthPin::new(text.as_str().into()))
    }
}

/// A key in a module.
pub(super) struct Pkcs11Kek {
    pkcs11: Pkcs11,
    place: Place,
    pin: AuthPin,
}

impl Pkcs11Kek {
    pub(super) fn open(uri: &str) -> Result<Self, KekError> {
        let place = Place::parse(uri)?;
        let variable = || std::env::var_os("PGSEAL_PKCS11_MODULE").map(PathBuf::from);
        let module = place.module.clone().or_else(variable).ok_or_else(|| KekError::Setting {
            name: "PGSEAL_PKCS11_MODULE".into(),
            reason: "is not set, and the URI names no module-path".into(),
        })?;
        let pin = place.pin()?;
        let pkcs11 = in_time(move || {
            let pkcs11 = Pkcs11::new(&module).map_err(|error| failed("loading it", &error))?;
            match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
                // A reload: a module is initialised once in a process.
                Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(pkcs11),
                Err(error) => Err(failed("starting it", &error)),
            }
        })?;
        Ok(Self { pkcs11, place, pin })
    }

    /// Does something with the key, in a session of its own.
    fn with_key<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Session, ObjectHandle) -> Result<T, KekError> + Send + 'static,
    ) -> Result<T, KekError> {
        let (pkcs11, place, pin) = (self.pkcs11.clone(), self.place.clone(), self.pin.clone());
        in_time(move || {
            let wanted = place.token.as_deref().unwrap_or_default();
            let slots =
                pkcs11.get_slots_with_token().map_err(|error| failed("looking for tokens", &error))?;
            let slot = slots.into_iter().find(|slot| {
                pkcs11.get_token_info(*slot).is_ok_and(|info| info.label().trim_end() == wanted)
            });
            let slot = slot.ok_or_else(|| KekError::Setting {
                name: format!("Token {wanted:?}"),
                reason: "is not in the PKCS #11 module".into(),
            })?;
            let session =
                pkcs11.open_ro_session(slot).map_err(|error| failed("opening a session", &error))?;
            match session.login(UserType::User, Some(&pin)) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(failed("logging in", &error)),
            }
            let label = place.object.as_deref().unwrap_or_default();
            let template = [
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::KeyType(KeyType::AES),
                Attribute::Label(label.as_bytes().to_vec()),
            ];
            let keys =
                session.find_objects(&template).map_err(|error| failed("looking for the key", &error))?;
            match keys.as_slice() {
                [key] => act(&session, *key),
                other => Err(KekError::Setting {
                    name: format!("Key {label:?}"),
                    reason: format!("has to be one AES key of the token; there are {}", other.len()),
                }),
            }
        })
    }
}

impl KekProvider for Pkcs11Kek {
    fn wrap(
        &self,
        context: WrapContext<'_>,
        key: &Secret<32>,
        entropy: &mut Entropy,
    ) -> Result<Vec<u8>, KekError> {
        let mut nonce = [0; NONCE_LEN];
        entropy(&mut nonce)?;
        let (bound, key) = (context.associated_data(), Zeroizing::new(key.expose().to_vec()));
        self.with_key(move |session, handle| {
            let sealed = gcm(&mut nonce, &bound, |mechanism| session.encrypt(mechanism, handle, &key))?;
            let sealed = sealed.map_err(|error| failed("encrypting", &error))?;
            // Some modules draw a nonce of their own and write it where ours was.
            Ok([[WRAP_VERSION].as_slice(), &nonce, &sealed].concat())
        })
    }

    fn unwrap(&self, context: WrapContext<'_>, wrapped: &[u8]) -> Result<Secret<32>, KekError> {
        let (version, rest) = wrapped.split_first().ok_or(KekError::NotAuthentic)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(KekError::NotAuthentic)?;
        if *version != WRAP_VERSION || sealed.len() != 32 + 16 {
            return Err(KekError::NotAuthentic);
        }
        let (mut nonce, sealed, bound) = (*nonce, sealed.to_vec(), context.associated_data());
        self.with_key(move |session, handle| {
            match gcm(&mut nonce, &bound, |mechanism| session.decrypt(mechanism, handle, &sealed))? {
                Ok(key) => Secret::from_slice(&Zeroizing::new(key)).ok_or(KekError::NotAuthentic),
                // Modules do not agree on what they call a tag that is wrong.
                Err(Error::Pkcs11(
                    RvError::EncryptedDataInvalid
                    | RvError::EncryptedDataLenRange
                    | RvError::GeneralError
                    | RvError::FunctionFailed,
                    _,
                )) => Err(KekError::NotAuthentic),
                Err(error) => Err(failed("decrypting", &error)),
            }
        })
    }
}

fn gcm<T>(
    nonce: &mut [u8; NONCE_LEN],
    bound: &[u8],
    act: impl FnOnce(&Mechanism<'_>) -> Result<T, Error>,
) -> Result<Result<T, Error>, KekError> {
    let params =
        GcmParams::new(nonce, bound, TAG_BITS.into()).map_err(|error| failed("encrypting", &error))?;
    Ok(act(&Mechanism::AesGcm(params)))
}

/// Calls into a module on a thread of its own, which is left behind if it does not come back.
fn in_time<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, KekError> + Send + 'static,
) -> Result<T, KekError> {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::Builder::new().name("pkcs11".into()).spawn(move || {
        // Nobody listens any more if it took too long.
        let _ = tell.send(act());
    });
    let slow = || KekError::Unreachable {
        service: "the PKCS #11 module".into(),
        reason: format!("no answer within {} seconds", TIME.as_secs()),
        is_slow: true,
    };
    if thread.is_err() {
        return Err(slow());
    }
    told.recv_timeout(TIME).unwrap_or_else(|_| Err(slow()))
}

fn failed(doing: &str, error: &Error) -> KekError {
    KekError::Refused {
        service: "the PKCS #11 module".into(),
        reason: format!("{doing}: {error}"),
        may_pass: true,
    }
}

fn unfit(reason: String) -> KekError {
    KekError::Setting {
        name: "The URI of the PKCS #11 key".into(),
        reason: format!("does not fit: {reason}"),
    }
}

/// Percent-encoded text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                high * 16 + low
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_token_and_key() {
        let place =
            Place::parse("token=My%20token;object=kek;type=secret-key?module-path=/m.so&pin-source=file:/p")
                .unwrap();
        let expected = Place {
            module: Some("/m.so".into()),
            token: Some("My token".into()),
            object: Some("kek".into()),
            pin_file: Some("/p".into()),
        };
        assert_eq!(place, expected);
        for (bad, what) in [
            ("", "name the token"),
            ("token=a", "name the token"),
            ("token=a;object=b?pin-value=1234", "no place"),
            ("token=a;object=b;serial=1", "serial is not understood"),
            ("token=%zz;object=b", "percent"),
        ] {
            let error = Place::parse(bad).unwrap_err().to_string();
            assert!(error.contains(what) && !error.contains("1234"), "{bad}: {error}");
        }
    }
}
