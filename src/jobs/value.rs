//! One stored value: what it is, opened, sealed anew.

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use super::of_t;
use crate::catalog::{Class, Form, Storage};
use crate::crypto::{self, Envelope, EnvelopeError, HEADER_LEN, Header, KeyId, TEXT_PREFIX};
use crate::datum::{self, Base, DatumError, Format, Input, Purpose, Settings};
use crate::keyring::{OpenError, SealError, Vault};
use crate::policy::ColumnState;

/// What becomes of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Sealed values are sealed anew by the active version of their key.
    Rotate,
    /// Plaintext is sealed.
    Encrypt,
    /// Sealed values become plaintext again.
    Decrypt,
}

/// Why a value stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// It is plaintext, or damaged at its beginning.
    #[error("it is not a sealed value")]
    NotSealed,
    /// Its plaintext would be taken for a sealed value.
    #[error("its plaintext begins as a sealed value does")]
    Ambiguous,
    /// It is longer than the policy allows, say.
    #[error("it is not a value of the type that the policy declares")]
    OtherType,
}

/// Why a value cannot be opened, or not be moved. Says nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        Self(error.to_string())
    }
}

impl From<SealError> for Fault {
    fn from(error: SealError) -> Self {
        Self(error.to_string())
    }
}

impl From<EnvelopeError> for Fault {
    fn from(error: EnvelopeError) -> Self {
        Self(error.to_string())
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self(kind.to_string())
    }
}

impl From<DatumError> for Fault {
    /// The error's own words may quote the value.
    fn from(_: DatumError) -> Self {
        FaultKind::OtherType.into()
    }
}

impl Work {
    /// The command's name, and the job's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rotate => "rotate",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }

    /// The SQL condition on table `t` that holds where a column's value is still to be moved; `active` seals.
    pub(super) fn is_left(self, column: &str, class: &Class, active: KeyId) -> String {
        let value = of_t(column);
        let header = Header { mode: class.binding.mode, key_id: active };
        match (self, class.storage) {
            (Self::Rotate, storage) => {
                let other = format!("(NOT {})", begins(&value, storage, header));
                match (storage, class.state) {
                    (Storage::Text, ColumnState::Migrating) => {
                        format!("({} AND {other})", is_sealed_text(&value))
                    }
                    (Storage::Bytea | Storage::Text, _) => other,
                }
            }
            (Self::Encrypt, _) => format!("(NOT {})", is_sealed_text(&value)),
            (Self::Decrypt, _) => is_sealed_text(&value),
        }
    }
}

/// Whether a value of text storage is a sealed one; NULL for NULL.
pub(super) fn is_sealed_text(value: &str) -> String {
    format!("(pg_catalog.left({value}, {}) = '{TEXT_PREFIX}' COLLATE \"C\")", TEXT_PREFIX.len())
}

/// The condition that a value, given as SQL, begins with a header; NULL for NULL.
pub(super) fn begins(value: &str, storage: Storage, header: Header) -> String {
    let header = header.to_bytes();
    match storage {
        Storage::Bytea => {
            format!("(pg_catalog.substring({value}, 1, {HEADER_LEN}) = '\\x{}'::bytea)", hex(&header))
        }
        Storage::Text => {
            let mut start = Vec::new();
            crypto::encode_text(&header, &mut start);
            let start = String::from_utf8_lossy(&start).into_owned();
            format!("(pg_catalog.left({value}, {}) = '{start}' COLLATE \"C\")", start.len())
        }
    }
}

/// The type of the server that values are stored as.
pub(super) fn sql_type(storage: Storage) -> &'static str {
    match storage {
        Storage::Bytea => "bytea",
        Storage::Text => "text",
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Opens and seals for one worker.
pub(super) struct Values {
    vault: Vault,
    settings: Settings,
    canonical: Zeroizing<Vec<u8>>,
    envelope: Vec<u8>,
}

impl Values {
    pub(super) fn new(vault: Vault) -> Self {
        let settings = Settings::default();
        Self { vault, settings, canonical: Zeroizing::default(), envelope: Vec::new() }
    }

    /// To be called before each batch: its nonces start at a place drawn anew.
    pub(super) fn begin_batch(&mut self) {
        self.vault.begin_frame();
    }

    /// Opens a stored value, keeps what it holds until the next call, and gives the key that had sealed it.
    pub(super) fn open(&mut self, class: &Class, stored: &[u8]) -> Result<KeyId, Fault> {
        let envelope = envelope_of(class.storage, stored, &mut self.envelope)?;
        self.canonical.clear();
        Ok(self.vault.open(&class.binding, envelope, &mut self.canonical)?)
    }

    /// The new form of a stored value; `None` if it has it already.
    pub(super) fn moved(
        &mut self,
        work: Work,
        class: &Arc<Class>,
        stored: &[u8],
        now: Instant,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let is_sealed = match class.storage {
            Storage::Bytea => Envelope::parse(stored).is_ok(),
            Storage::Text => crypto::looks_like_text_envelope(stored),
        };
        match (work, is_sealed) {
            (Work::Encrypt, true) | (Work::Decrypt, false) => Ok(None),
            (Work::Encrypt, false) => {
                self.canonical.clear();
                let input = Input { source: None, format: Format::Text, bytes: stored };
                let (ty, settings) = (&class.ty, &self.settings);
                datum::canonical(input, ty, Purpose::Store, false, settings, &mut self.canonical)?;
                self.sealed(class, now).map(Some)
            }
            (Work::Rotate, false) if class.state == ColumnState::Migrating => Ok(None),
            (Work::Rotate, false) => Err(FaultKind::NotSealed.into()),
            (Work::Rotate, true) => {
                let id = self.open(class, stored)?;
                if self.vault.keys().active(&class.key) == Some(id) {
                    return Ok(None);
                }
                self.sealed(class, now).map(Some)
            }
            (Work::Decrypt, true) => {
                self.open(class, stored)?;
                self.plaintext(class).map(Some)
            }
        }
    }

    /// The new form of a value whose column changes its type: plaintext comes, and goes, in text.
    pub(super) fn retyped(
        &mut self,
        work: Work,
        class: &Arc<Class>,
        stored: &[u8],
        now: Instant,
    ) -> Result<Vec<u8>, Fault> {
        let input = |bytes| Input { source: None, format: Format::Text, bytes };
        match work {
            Work::Encrypt | Work::Rotate => {
                self.canonical.clear();
                let (ty, settings) = (&class.ty, &self.settings);
                datum::canonical(input(stored), ty, Purpose::Store, false, settings, &mut self.canonical)?;
                self.sealed(class, now)
            }
            Work::Decrypt => {
                self.open(class, stored)?;
                let mut text = Vec::new();
                let (ty, settings) = (&class.ty, &self.settings);
                datum::write(&self.canonical, ty, Format::Text, settings, &mut text)?;
                // The policy may have had another length or precision when it was sealed.
                let mut again = Zeroizing::new(Vec::new());
                datum::canonical(input(&text), ty, Purpose::Store, false, settings, &mut again)?;
                if *again != *self.canonical {
                    return Err(FaultKind::OtherType.into());
                }
                let is_text = matches!(ty.base, Base::Text | Base::Varchar);
                if is_text && crypto::looks_like_text_envelope(&text) {
                    return Err(FaultKind::Ambiguous.into());
                }
                Ok(text)
            }
        }
    }

    /// The form of a stored value; `None` if it is neither a sealed one nor plaintext.
    pub(super) fn form_of(&mut self, class: &Class, stored: &[u8]) -> Option<Form> {
        if class.storage == Storage::Text && !crypto::looks_like_text_envelope(stored) {
            return Some(Form::Plaintext);
        }
        let envelope = envelope_of(class.storage, stored, &mut self.envelope).ok()?;
        Envelope::parse(envelope).ok().map(|envelope| Form::Sealed(envelope.header.key_id))
    }

    /// A stored value in another form. Different values stay different.
    pub(super) fn in_form(
        &mut self,
        class: &Class,
        stored: &[u8],
        (old, new): (Form, Form),
        now: Instant,
    ) -> Result<Vec<u8>, Fault> {
        match old {
            Form::Sealed(_) => drop(self.open(class, stored)?),
            Form::Plaintext => self.take(class, stored)?,
        }
        let Form::Sealed(key) = new else { return self.plaintext(class) };
        let mut envelope = Vec::new();
        self.vault.seal_under(key, &class.binding, &self.canonical, &mut envelope, now)?;
        Ok(as_stored(class, envelope))
    }

    /// Keeps what is plaintext, if it is a value of the column's type as it stands.
    fn take(&mut self, class: &Class, stored: &[u8]) -> Result<(), Fault> {
        self.canonical.clear();
        let input = Input { source: None, format: Format::Text, bytes: stored };
        datum::canonical(input, &class.ty, Purpose::Store, true, &self.settings, &mut self.canonical)?;
        // One that is too long by nothing but spaces would be cut, and might then be equal to another.
        if *self.canonical != stored { Err(FaultKind::OtherType.into()) } else { Ok(()) }
    }

    /// What is kept, as plaintext is stored.
    fn plaintext(&self, class: &Class) -> Result<Vec<u8>, Fault> {
        let mut text = Vec::new();
        datum::write(&self.canonical, &class.ty, Format::Text, &self.settings, &mut text)?;
        if crypto::looks_like_text_envelope(&text) {
            return Err(FaultKind::Ambiguous.into());
        }
        Ok(text)
    }

    /// Seals what is kept.
    fn sealed(&mut self, class: &Class, now: Instant) -> Result<Vec<u8>, Fault> {
        let mut envelope = Vec::new();
        self.vault.seal(&class.key, &class.binding, &self.canonical, &mut envelope, now)?;
        Ok(as_stored(class, envelope))
    }
}

/// The envelope of a stored value; `decoded` holds it where it had to be decoded.
fn envelope_of<'v>(
    storage: Storage,
    stored: &'v [u8],
    decoded: &'v mut Vec<u8>,
) -> Result<&'v [u8], EnvelopeError> {
    match storage {
        Storage::Bytea => Ok(stored),
        Storage::Text => {
            decoded.clear();
            crypto::decode_text(stored, decoded)?;
            Ok(decoded)
        }
    }
}

/// An envelope in the form that the column's storage has.
fn as_stored(class: &Class, envelope: Vec<u8>) -> Vec<u8> {
    match class.storage {
        Storage::Bytea => envelope,
        Storage::Text => {
            let mut text = Vec::new();
            crypto::encode_text(&envelope, &mut text);
            text
        }
    }
}
