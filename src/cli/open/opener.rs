//! Opens one value of a column, and says why it cannot.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::Arc;

use anyhow::bail;
use zeroize::Zeroizing;

use crate::crypto::{self, Binding, Envelope};
use crate::datum::{self, Base, Format, Input, Purpose, Settings, Type, TypeName};
use crate::keyring::{Keys, Vault, os_entropy};
use crate::policy::{Column, ColumnName, ColumnState, Policy, RelationName, type_name};

/// Faults that are printed; the others are counted.
const SHOWN: u64 = 20;

/// A column of the policy.
pub(super) struct Target {
    pub(super) name: ColumnName,
    /// As a column of plaintext is declared.
    pub(super) declared: String,
    binding: Arc<Binding>,
    ty: Type,
    state: ColumnState,
}

/// The columns of a table.
pub(super) type Targets = BTreeMap<String, Arc<Target>>;

/// What opens values, and counts.
pub(super) struct Opener {
    vault: Vault,
    tables: BTreeMap<RelationName, Arc<Targets>>,
    settings: Settings,
    keeps_going: bool,
    canonical: Zeroizing<Vec<u8>>,
    envelope: Vec<u8>,
    /// Values that were opened, those that could not be, and other things that stay as they are.
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) left: u64,
}

impl Opener {
    pub(super) fn new(policy: &Policy, keys: Keys, keeps_going: bool) -> Self {
        let tables = policy.tables.iter().map(|(relation, table)| {
            let targets = table.columns.iter().map(|(name, column)| {
                (name.clone(), Arc::new(Target::new(relation.column(name.clone()), column)))
            });
            (relation.clone(), Arc::new(targets.collect()))
        });
        Self {
            tables: tables.collect(),
            vault: Vault::new(Arc::new(keys), os_entropy()),
            settings: Settings::default(),
            keeps_going,
            canonical: Zeroizing::default(),
            envelope: Vec::new(),
            opened: 0,
            failed: 0,
            left: 0,
        }
    }

    /// The encrypted columns of a table of the policy.
    pub(super) fn table(&self, name: &RelationName) -> Option<Arc<Targets>> {
        self.tables.get(name).cloned()
    }

    /// The plaintext of a stored value in text form; `None` if it is to stay as it is: it is plaintext still, or cannot be
    /// opened and that was to be put up with.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(
        &mut self,
        target: &Target,
        stored: &[u8],
        line: u64,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        match self.plaintext(target, stored) {
            Ok(plaintext) => {
                self.opened += u64::from(plaintext.is_some());
                Ok(plaintext)
            }
            Err(why) => {
                self.fault(target, line, &why)?;
                Ok(None)
            }
        }
    }

    /// A value that cannot be opened.
    ///
    /// # Errors
    /// That is not to be put up with.
    pub(super) fn fault(&mut self, target: &Target, line: u64, why: &str) -> anyhow::Result<()> {
        self.failed += 1;
        let message = format!("line {line}: column {}: {why}", target.name);
        if !self.keeps_going {
            bail!("{message}; --keep-going leaves such values as they are");
        }
        if self.failed <= SHOWN {
            say(&message);
        }
        Ok(())
    }

    /// Something else that stays as it is.
    pub(super) fn leave(&mut self, line: u64, what: &str) {
        self.left += 1;
        say(&format!("line {line}: {what}"));
    }

    fn plaintext(&mut self, target: &Target, stored: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.envelope.clear();
        if crypto::looks_like_text_envelope(stored) {
            crypto::decode_text(stored, &mut self.envelope).map_err(|error| error.to_string())?;
        } else {
            let (ty, source) =
                (Type::plain(Base::Bytea), Input { source: None, format: Format::Text, bytes: stored });
            let read =
                datum::canonical(source, &ty, Purpose::Store, false, &self.settings, &mut self.envelope);
            if read.is_err() || Envelope::parse(&self.envelope).is_err() {
                return match target.state {
                    ColumnState::Migrating => Ok(None),
                    ColumnState::Sealed => Err("it is not a sealed value".to_owned()),
                };
            }
        }
        self.canonical.clear();
        let opened = self.vault.open(&target.binding, &self.envelope, &mut self.canonical);
        opened.map_err(|error| match error {
            crate::keyring::OpenError::NotLoaded { state: crate::keyring::State::Archived, .. } => {
                format!("{error}: --with-archived opens it")
            }
            other => other.to_string(),
        })?;
        let mut text = Vec::new();
        datum::write(&self.canonical, &target.ty, Format::Text, &self.settings, &mut text)
            // The error's own words may quote the value.
            .map_err(|_| "what it holds is no value of the type that the policy declares".to_owned())?;
        Ok(Some(text))
    }
}

impl Target {
    fn new(name: ColumnName, column: &Column) -> Self {
        let ty = match &column.ty {
            TypeName::Builtin(ty) => ty.clone(),
            // An enum, whose labels are kept as text is.
            TypeName::Named { array: false, .. } => Type::plain(Base::Text),
            TypeName::Named { array: true, .. } => Type::plain(Base::Array(Box::new(Base::Text))),
        };
        let family = ty.family().label();
        let binding = Arc::new(Binding { mode: column.mode, family, context: column.context.clone() });
        Self { name, declared: type_name(&column.ty), binding, ty, state: column.state }
    }
}

/// Tells the user something; the values themselves go to standard output.
pub(super) fn say(message: &str) {
    // Where nobody can be told, the exit code tells.
    let _ = writeln!(io::stderr(), "pgseal: {message}");
}

/// Whether bytes have something in them that looks like a sealed value: in hexadecimal, or in text form.
pub(super) fn looks_sealed(bytes: &[u8]) -> bool {
    ["\\xe510", "\\xe511", "pgs1.5R"]
        .iter()
        .any(|head| memchr::memmem::find(bytes, head.as_bytes()).is_some())
}
