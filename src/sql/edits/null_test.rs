//! Constants that are only asked whether they are NULL.

use std::collections::{HashMap, HashSet};

use super::{Constants, storage_type};
use crate::catalog::Storage;
use crate::datum::{Base, Type};
use crate::sql::analysis::{Analyzer, Cast, Constant, ConstantKind};
use crate::sql::typename::{self, Modifier, TypeName};
use crate::sql::types::Ty;
use crate::sql::{Edit, Parameter, Replacement};

impl Analyzer<'_> {
    /// Hides constants of which the server needs to know no more than whether they are NULL. In
    /// `'ada' IS NULL OR name = 'ada'`, or with a parameter for each of the two, nothing says what the first one is,
    /// and it is the value of an encrypted column all the same.
    pub(in crate::sql) fn hide_null_tests(&mut self, constants: &mut Constants) {
        let parameters = self.parameters_asked();
        let mut is_cast_twice = false;
        for constant in self.constants.iter().filter(|constant| constant.is_null_test) {
            // What has become known of it has another use.
            if !matches!(self.inference.resolve(&constant.ty), Ty::Var(_)) {
                continue;
            }
            match constant.kind {
                ConstantKind::Null | ConstantKind::Bool => continue,
                ConstantKind::Parameter(number) => {
                    let Some(asked) = parameters.get(&number) else { continue };
                    constants.parameters.insert(number, asked.clone());
                    // It is read as its own type; a further cast would have to be carried out.
                    is_cast_twice |= matches!(
                        *constant.casts,
                        [_, _, ..] | [Cast { target: TypeName { modifier: Modifier::Other, .. }, .. }]
                    );
                }
                ConstantKind::String | ConstantKind::Number => {
                    let is_number = constant.kind == ConstantKind::Number;
                    let own = is_number.then(|| Some(Type::plain(self.number_type(constant))));
                    let casts = constant.casts.iter().map(|cast| self.type_of(cast));
                    let casts = own.into_iter().chain(casts).collect::<Option<_>>();
                    // A type that is not known here is not read: what is wrong for it is not told.
                    let casts = casts.unwrap_or_default();
                    let replacement = Replacement::NullTest { casts, value: self.written_value(constant) };
                    constants.edits.push(Edit { range: constant.range.clone(), replacement });
                }
            }
            for cast in &constant.casts {
                let Some(range) = self.bytes(&cast.target.tokens) else { continue };
                let text = if cast.is_prefix { "" } else { storage_type(Storage::Text) };
                constants.edits.push(Edit { range, replacement: Replacement::Text(text.to_owned()) });
            }
        }
        if is_cast_twice {
            self.not_understood("a cast of a parameter that is only asked whether it is NULL");
        }
    }

    /// The parameters that are asked for nothing else.
    fn parameters_asked(&self) -> HashMap<usize, Parameter> {
        let constants = || self.constants.iter().filter_map(|one| Some((one.kind.parameter()?, one)));
        let is_used = |(_, constant): &(usize, &Constant)| !constant.is_null_test;
        let used: HashSet<usize> = constants().filter(is_used).map(|(number, _)| number).collect();
        let mut asked = HashMap::new();
        for (number, constant) in constants().filter(|(number, _)| !used.contains(number)) {
            let is_known = asked.get(&number).is_some_and(|known| *known != Parameter::NullTest(None));
            if is_known {
                continue;
            }
            let role = match constant.casts.first().map(|cast| &cast.target) {
                None => Parameter::NullTest(None),
                Some(TypeName { oid: Some(element), is_array: true, .. }) => typename::array_of(*element)
                    .map_or(Parameter::Plain, |oid| Parameter::NullTest(Some(oid))),
                Some(TypeName { oid: Some(oid), .. }) => Parameter::NullTest(Some(*oid)),
                Some(TypeName { oid: None, .. }) => Parameter::Plain,
            };
            asked.insert(number, role);
        }
        asked.retain(|_, role| *role != Parameter::Plain);
        asked
    }

    /// The type of a cast, whatever it is of.
    fn type_of(&self, cast: &Cast) -> Option<Type> {
        let oid = cast.target.oid?;
        let element = self.modified_type(cast, oid)?;
        Some(match cast.target.is_array {
            true => Type { base: Base::Array(Box::new(element.base)), ..element },
            false => element,
        })
    }
}
