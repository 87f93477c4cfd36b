//! COPY.

use super::Carried;
use super::statement::One;
use crate::sql::kinds::StatementHead;
use crate::sql::lex;
use crate::sql::refusal::Refusal;

impl One<'_> {
    /// Whether the table of COPY is one that the catalog knows.
    pub(super) fn copies_known(&self) -> bool {
        self.lexemes.get(1).is_some_and(|lexeme| lexeme.is_symbol(b'(')) || self.copied().is_some()
    }

    /// The table of COPY, and whether it is protected.
    fn copied(&self) -> Option<bool> {
        let mut parts = Vec::new();
        let mut at = 1;
        while let Some(lexeme) = self.lexemes.get(at).filter(|lexeme| lexeme.is_identifier()) {
            parts.push(lex::identifier(lexeme, self.text)?);
            if !self.lexemes.get(at + 1).is_some_and(|lexeme| lexeme.is_symbol(b'.')) {
                break;
            }
            at += 2;
        }
        let schema = self.cx.schema;
        let relation = match parts.as_slice() {
            [name] => schema.resolve(name, self.cx.search_path),
            [.., qualifier, name] => {
                schema.relation(&crate::catalog::RelationName::new(qualifier.clone(), name))
            }
            [] => None,
        }?;
        // An unqualified name that is protected elsewhere would have to be sent qualified.
        let ambiguous = parts.len() == 1 && schema.is_protected_name(&relation.name.name);
        Some(relation.is_protected || ambiguous)
    }

    pub(super) fn copy(
        &self,
        head: &StatementHead,
        name: String,
        at: Option<usize>,
    ) -> Result<Carried, Refusal> {
        match self.copied() {
            Some(false) if head.inner.is_none() => {
                Ok(Carried { looked_up: true, ..Carried::forward(head.effects) })
            }
            _ => Err(self.kind_refused(name, at)),
        }
    }
}
