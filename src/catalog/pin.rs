//! Pins: under which version of its key a deterministic context's values are, while that is changing.
//!
//! Where equal values are compared by their ciphertexts, all of a context have to be under one version. A context
//! without a pin is under its key's active version. One whose key was promoted has a pin, which is the comment of the
//! table in schema `pgseal` that the move's map is (`docs/lifecycle.md`): written with it in one transaction, and read
//! with the catalog by every session, whatever role it has.

use serde::{Deserialize, Serialize};

use crate::crypto::KeyId;

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
    /// The version that the values are moved from.
    pub old: KeyId,
    /// The version that they are moved to.
    pub new: KeyId,
}

/// How far the values of a context have been moved from one version to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// All are under the old version, and new ones are sealed by it.
    Old,
    /// Each is under one of the two, in all of its rows at once; the map knows which.
    Moving,
    /// All are under the new version.
    New,
}

/// What stands in the comment.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Comment {
    key: String,
    context: String,
    phase: Phase,
    old: String,
    new: String,
}

impl Phase {
    /// The word of the comment.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Moving => "moving",
            Self::New => "new",
        }
    }
}

impl Pin {
    /// The pin that a map's name and comment tell; `None` if they tell none.
    pub fn read(table: &str, comment: &str) -> Option<Self> {
        let number = table.strip_prefix("map_")?.parse().ok()?;
        let Comment { key, context, phase, old, new } = serde_json::from_str(comment).ok()?;
        Some(Self { number, key, context, phase, old: old.parse().ok()?, new: new.parse().ok()? })
    }

    /// What stands in the map's comment.
    pub fn comment(&self) -> String {
        let Self { number: _, key, context, phase, old, new } = self;
        let comment = Comment {
            key: key.clone(),
            context: context.clone(),
            phase: *phase,
            old: old.to_string(),
            new: new.to_string(),
        };
        // A map of strings cannot fail to be written.
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
            old: KeyId([1, 2, 3, 4]),
            new: KeyId([5, 6, 7, 8]),
        };
        assert_eq!(Pin::read("map_7", &pin.comment()), Some(pin.clone()));
        assert_eq!(Pin::read("map_x", &pin.comment()), None);
        assert_eq!(Pin::read("map_7", "a map"), None);
        assert_eq!(Pin::read("map_7", &pin.comment().replace("moving", "resting")), None);
    }
}
