//! Constants whose values have two sealed forms, since their context is being moved from one key to another.
//!
//! A literal is written in both by the session; a parameter is sent as an array of both, and every place where it
//! stands takes out of that what it needs. `pgseal.form_N` and `pgseal.forms_N` say which of two forms rows have, under
//! the snapshot of the statement that asks (`docs/lifecycle.md`).

use std::collections::BTreeSet;

use super::{Constants, storage_type};
use crate::catalog::Storage;
use crate::sql::analysis::{Analyzer, Constant, ConstantKind};
use crate::sql::types::Ty;
use crate::sql::{Edit, Lock, Parameter, Place, Replacement, Use};

/// The text for a value with both its forms given as SQL; the number is the pin's.
pub fn one_of(place: Place, pin: u32, old: &str, new: &str) -> String {
    match place {
        // In a subquery it is looked up once.
        // (A CASE has the least say in the name of a result column.)
        Place::Alone => format!("(SELECT CASE WHEN true THEN pgseal.form_{pin}({old}, {new}) END)"),
        Place::Any => format!("ANY (ARRAY[{old}, {new}])"),
        Place::All => format!("ALL (ARRAY[{old}, {new}])"),
        Place::Listed => format!("{old}, {new}"),
        Place::Argument => format!("ARRAY[{old}, {new}]"),
    }
}

/// The text for an array in which each element has both its forms, one behind the other.
pub fn each_of(place: Place, pin: u32, forms: &str, storage: Storage) -> String {
    match place {
        Place::Argument => forms.to_owned(),
        Place::Alone | Place::Any | Place::All | Place::Listed => {
            // With the cast it is an array behind ANY and ALL too, and no subquery.
            format!("(SELECT pgseal.forms_{pin}({forms}))::{}[]", storage_type(storage))
        }
    }
}

impl Analyzer<'_> {
    /// Replaces a constant, with its casts and parentheses, by what stands for both forms of its value.
    pub(super) fn form_edit(
        &mut self,
        constant: &Constant,
        usage: Use,
        is_array: bool,
        into: &mut Constants,
    ) {
        let (Some(range), Some(pin)) = (self.bytes(&constant.tokens), usage.class.moving()) else {
            self.not_understood("the place of a constant");
            return;
        };
        let replacement = match (constant.kind, is_array) {
            (ConstantKind::Parameter(number), _) => {
                let text = match is_array {
                    true => each_of(usage.place, pin.number, &format!("${number}"), usage.class.storage),
                    false => {
                        let form = |which| format!("(${number})[{which}]");
                        one_of(usage.place, pin.number, &form(1), &form(2))
                    }
                };
                // Where each use of it stands is written in its own text.
                let usage = Use { place: Place::Argument, ..usage };
                let role = if is_array { Parameter::SealedArray(usage) } else { Parameter::Sealed(usage) };
                self.parameter(number, role, &mut into.parameters);
                Replacement::Text(text)
            }
            (_, true) => Replacement::SealedArray { usage, value: self.written_value(constant) },
            (_, false) => Replacement::Sealed { usage, value: self.written_value(constant) },
        };
        into.edits.push(Edit { range, replacement });
    }

    /// The moves that have to stand still while the statement runs. What is compared with both forms, stored or read
    /// needs none.
    pub(in crate::sql) fn locks(&self) -> Vec<Lock> {
        let changes = self.announced.iter().copied().map(Lock::Change);
        if !self.changes {
            return changes.collect();
        }
        let is_looked_up = |constant: &&Constant| {
            // `UPDATE ... SET email = v.e FROM (VALUES ('x')) v (e) WHERE email = v.e` does both.
            let is_stored = matches!(constant.ty, Ty::Var(var) if self.inference.is_stored(var)
                && !self.inference.is_beside_column(var) && !self.inference.is_sought(var));
            constant.kind != ConstantKind::Null && constant.place == Place::Alone && !is_stored
        };
        let looked_up = self.constants.iter().filter(is_looked_up);
        let classes = looked_up.filter_map(|constant| self.inference.sealed_in(&constant.ty));
        let classes = classes.chain(self.inference.joined.iter().cloned());
        let pins = classes.filter_map(|class| class.moving().map(|pin| pin.number));
        pins.map(Lock::Move).chain(changes).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether a constant's value has two forms.
    pub(super) fn is_moving(&self, constant: &Constant) -> bool {
        self.inference.sealed_in(&constant.ty).is_some_and(|class| class.moving().is_some())
    }
}
