//! Pins: in which form a deterministic context's values are stored, while that is changing.
//!
//! Where equal values are compared by what is stored of them, all of a context have to be in one form: under one version
//! of their key, or in plaintext before their first encryption. A context without a pin is under its key's active
//! version. One whose key was promoted, or that is being encrypted, has a pin, which is the comment of the table in
//! schema `pgseal` that the move's map is (`docs/lifecycle.md`): written with it in one transaction, and read with the
//! catalog by every session, whatever role it has.

use serde::{Deserialize, Serialize};

use crate::crypto::KeyId;
use crate::policy::Storage;

/// How the names of our own triggers begin. They go by their names, and ours are to come last.
pub const OWN_TRIGGER: &str = "~~pgseal_";

/// A context's pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The number in the names of the move's objects: `pgseal.map_7`, `pgseal.form_7`.
    pub number: u32,
    /// The name of the data key.
    pub key: String,
    /// What its values are bound to.
    pub context: String,
    /// How far the move is.
    pub phase: Phase,
    /// The form that the values are moved from.
    pub old: Form,
    /// The one that they are moved to.
    pub new: Form,
    /// The columns of the policy that it was made for. Of one that has come into the context since and may be plaintext,
    /// it says nothing.
    pub columns: Vec<String>,
}

/// In which form a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As it is.
    Plaintext,
    /// Under a version of its key.
    Sealed(KeyId),
}

/// How far the values of a context have been moved from one form to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// All are in the old form, and new ones are stored in it.
    Old,
    /// Each is in one of the two, in all of its rows at once; the map knows which.
    Moving,
    /// All are in the new form, and new ones are stored in it. Transactions may be open whose snapshot is older.
    Ending,
    /// All are in the new form.
    New,
}

/// What stands in the comment for [`Form::Plaintext`]. No key's id: those are eight hexadecimal digits.
const PLAINTEXT: &str = "plaintext";

/// What stands in the comment.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Comment {
    key: String,
    context: String,
    phase: Phase,
    old: String,
    new: String,
    #[serde(default)]
    columns: Vec<String>,
}

impl Phase {
    /// The word of the comment.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Moving => "moving",
            Self::Ending => "ending",
            Self::New => "new",
        }
    }
}

impl Form {
    /// The word of the comment: the id of the key, or `plaintext`.
    fn read(word: &str) -> Option<Self> {
        if word == PLAINTEXT { Some(Self::Plaintext) } else { word.parse().ok().map(Self::Sealed) }
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plaintext => f.write_str(PLAINTEXT),
            Self::Sealed(id) => id.fmt(f),
        }
    }
}

impl Pin {
    /// The form in which a new value is stored. What has moved already is put right by a trigger.
    pub fn stores(&self) -> Form {
        match self.phase {
            Phase::Old | Phase::Moving => self.old,
            Phase::Ending | Phase::New => self.new,
        }
    }

    /// Whether it can be about columns of a storage. Where plaintext is not stored, one of a column that was decrypted
    /// and made anew as `bytea` says nothing.
    pub fn is_about(&self, storage: Storage) -> bool {
        match storage {
            Storage::Text => true,
            Storage::Bytea => self.old != Form::Plaintext && self.new != Form::Plaintext,
        }
    }

    /// Whether a constant is compared in both forms: there are snapshots in which rows have one or the other.
    pub fn has_both(&self) -> bool {
        match self.phase {
            Phase::Moving | Phase::Ending => true,
            Phase::Old | Phase::New => false,
        }
    }

    /// Whether proxies that go by it seal values in a form, to store them or to compare with them.
    pub fn needs(&self, form: Form) -> bool {
        self.stores() == form || self.has_both() && (self.old == form || self.new == form)
    }

    /// Whether rows may hold plaintext, or constants be sent in it.
    pub fn has_plaintext(&self) -> bool {
        let has = |form: Form| form == Form::Plaintext;
        has(self.stores()) || self.has_both() && (has(self.old) || has(self.new))
    }

    /// The pin that a map's name and comment tell; `None` if they tell none.
    pub fn read(table: &str, comment: &str) -> Option<Self> {
        let number = table.strip_prefix("map_")?.parse().ok()?;
        let Comment { key, context, phase, old, new, columns } = serde_json::from_str(comment).ok()?;
        let (old, new) = (Form::read(&old)?, Form::read(&new)?);
        Some(Self { number, key, context, phase, old, new, columns })
    }

    /// What stands in the map's comment.
    pub fn comment(&self) -> String {
        let Self { number: _, key, context, phase, old, new, columns } = self;
        let comment = Comment {
            key: key.clone(),
            context: context.clone(),
            phase: *phase,
            old: old.to_string(),
            new: new.to_string(),
            columns: columns.clone(),
        };
        // Strings cannot fail to be written.
        serde_json::to_string(&comment).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_written_and_nothing_else_is() {
        let pin = Pin {
            number: 7,
            key: "default".into(),
            context: "public.users.email".into(),
            phase: Phase::Moving,
            old: Form::Sealed(KeyId([1, 2, 3, 4])),
            new: Form::Sealed(KeyId([5, 6, 7, 8])),
            columns: vec!["public.users.email".into(), "public.\"Q\".it's".into()],
        };
        assert_eq!(Pin::read("map_7", &pin.comment()), Some(pin.clone()));
        let first = Pin { old: Form::Plaintext, ..pin.clone() };
        assert_eq!(Pin::read("map_7", &first.comment()), Some(first));
        assert_eq!(Pin::read("map_7", &pin.comment().replace("01020304", "plain")), None);
        assert_eq!(Pin::read("map_x", &pin.comment()), None);
        assert_eq!(Pin::read("map_7", "a map"), None);
        assert_eq!(Pin::read("map_7", &pin.comment().replace("moving", "resting")), None);
    }

    #[test]
    fn a_pin_says_what_is_stored_in_each_phase() {
        let sealed = Form::Sealed(KeyId([1, 2, 3, 4]));
        let cases = [
            (Form::Plaintext, sealed, Phase::Old, Form::Plaintext, true),
            (Form::Plaintext, sealed, Phase::Moving, Form::Plaintext, true),
            (Form::Plaintext, sealed, Phase::Ending, sealed, true),
            (Form::Plaintext, sealed, Phase::New, sealed, false),
            (sealed, Form::Plaintext, Phase::Old, sealed, false),
            (sealed, Form::Plaintext, Phase::Moving, sealed, true),
            (sealed, Form::Plaintext, Phase::Ending, Form::Plaintext, true),
            (sealed, Form::Plaintext, Phase::New, Form::Plaintext, true),
        ];
        for (old, new, phase, stored, has_plaintext) in cases {
            let columns = Vec::new();
            let pin = Pin { number: 1, key: "k".into(), context: "c".into(), phase, old, new, columns };
            assert_eq!((pin.stores(), pin.has_plaintext()), (stored, has_plaintext), "{pin:?}");
            assert!(pin.is_about(Storage::Text) && !pin.is_about(Storage::Bytea), "{pin:?}");
        }
    }
}
