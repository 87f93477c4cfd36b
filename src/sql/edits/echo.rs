//! Constants that are only compared with each other, but are the value of an encrypted column all the same.
//!
//! `('ada' = '' OR name = 'ada')` is what drivers make of `($1 = '' OR name = $1)` when they write parameters into
//! the text themselves. Nothing in it says what the first `'ada'` is; that it stands a second time does.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::Class;
use crate::datum::Base;
use crate::sql::analysis::{Analyzer, Constant, ConstantKind};
use crate::sql::refusal::Reason;
use crate::sql::types::{Meeting, Ty};

impl Analyzer<'_> {
    /// Gives constants that are compared with constants the class of those that say the same, or refuses them.
    pub(super) fn seal_echoes(&mut self, constants: &[Constant]) {
        let unknown = |this: &Self, constant: &Constant| {
            constant.is_condition && matches!(this.inference.resolve(&constant.ty), Ty::Var(_))
        };
        if !constants.iter().any(|constant| unknown(self, constant)) {
            return;
        }
        let mut sealed: HashMap<String, Arc<Class>> = HashMap::new();
        for constant in constants.iter().filter(|constant| is_literal(constant.kind)) {
            if let Ty::Sealed(class) = self.inference.resolve(&constant.ty) {
                sealed.entry(self.value(constant)).or_insert(class);
            }
        }
        sealed.remove("");
        for constant in constants.iter().filter(|constant| is_literal(constant.kind)) {
            if !unknown(self, constant) {
                continue;
            }
            let Some(class) = sealed.get(&self.value(constant)) else { continue };
            self.at = Some(constant.range.start);
            let is_text = matches!(class.ty.base, Base::Text | Base::Varchar);
            let construct = "a comparison with another constant";
            if is_text && constant.kind == ConstantKind::String && constant.casts.is_empty() {
                self.meet(&Ty::Sealed(Arc::clone(class)), &constant.ty, Meeting::Equality, construct);
            } else {
                let (column, construct) = (class.column.clone(), construct.to_owned());
                self.refuse(Reason::Construct { construct, column });
            }
        }
    }
}

fn is_literal(kind: ConstantKind) -> bool {
    match kind {
        ConstantKind::String | ConstantKind::Number => true,
        ConstantKind::Bool | ConstantKind::Null | ConstantKind::Parameter(_) => false,
    }
}
