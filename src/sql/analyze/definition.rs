//! CREATE, ALTER and DROP.

use sqlparser::ast::{self, CreateIndex, CreateView, Expr, IndexType};

use super::statement::One;
use super::{Carried, Made};
use crate::sql::OutputValue;
use crate::sql::analysis::{Analyzer, Named, ty_of};
use crate::sql::edits::Constants;
use crate::sql::kinds::{StatementHead, StatementKind};
use crate::sql::lex::{self, Parsed};
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::scope::{Ctes, Env};
use crate::sql::types::Meeting;

impl One<'_> {
    /// The schema that ALTER would rename with the protected relations in it, or the enum type of an encrypted
    /// column whose labels ALTER or DROP would take away.
    pub(super) fn unseats(&self, head: &StatementHead) -> Option<(String, usize)> {
        if head.kind != StatementKind::Definition {
            return None;
        }
        let word = |at: usize, words: &[&str]| {
            self.lexemes.get(at).is_some_and(|l| words.iter().any(|word| l.is_word(self.text, word)))
        };
        let schema = self.cx.schema;
        let names = self.lexemes.iter().skip(2).filter(|lexeme| lexeme.is_identifier());
        let mut names = names.filter_map(|lexeme| Some((lex::identifier(lexeme, self.text)?, lexeme.start)));
        if word(0, &["alter"]) && word(1, &["schema"]) && word(3, &["rename"]) {
            return names.next().filter(|(name, _)| schema.protects_in(name));
        }
        let adds = self.lexemes.iter().any(|lexeme| lexeme.is_word(self.text, "add"));
        if word(1, &["type"]) && (word(0, &["drop"]) || (word(0, &["alter"]) && !adds)) {
            return names.find(|(name, _)| schema.seals_type(name));
        }
        None
    }

    /// CREATE, ALTER and DROP that name something protected.
    pub(super) fn definition(
        &self,
        head: &StatementHead,
        name: String,
        at: Option<usize>,
    ) -> Result<Carried, Refusal> {
        let word = |at: usize| {
            self.lexemes.get(at).map(|l| l.text(self.text).to_ascii_lowercase()).unwrap_or_default()
        };
        let forward = |made| Ok(Carried { made, ..Carried::forward(head.effects) });
        let (first, mut at_word) = (word(0), 1);
        while matches!(word(at_word).as_str(), "or" | "replace" | "unique") {
            at_word += 1;
        }
        match (first.as_str(), word(at_word).as_str()) {
            // Nothing is left to protect.
            ("drop", _) => forward(Made::Names),
            // Their bodies are the application's own; calls of them are looked at.
            ("create", "function" | "procedure") => match self.last_name(at_word + 1) {
                Some(function) => forward(Made::Reaching(function)),
                None => Err(self.kind_refused(name, at)),
            },
            ("create", "index" | "view") => {
                let parsed = self.parse(self.lexemes, &name, at)?;
                match &parsed.statement {
                    ast::Statement::CreateIndex(index) => self.create_index(&parsed, index, head, name, at),
                    ast::Statement::CreateView(view) => self.create_view(&parsed, view, head, name, at),
                    _ => Err(self.kind_refused(name, at)),
                }
            }
            ("create" | "alter", "table") if self.leaves_protected_alone() => forward(Made::Nothing),
            _ => Err(self.kind_refused(name, at)),
        }
    }

    /// The last part of the name that starts at a token.
    fn last_name(&self, mut at: usize) -> Option<String> {
        while self.lexemes.get(at + 1).is_some_and(|lexeme| lexeme.is_symbol(b'.')) {
            at += 2;
        }
        let lexeme = self.lexemes.get(at).filter(|lexeme| lexeme.is_identifier())?;
        lex::identifier(lexeme, self.text)
    }

    /// CREATE TABLE or ALTER TABLE of a table that is not protected, which names one that is as the target of a
    /// foreign key only, or where it means no relation.
    fn leaves_protected_alone(&self) -> bool {
        let word = |at: usize| match self.lexemes.get(at) {
            Some(lexeme) if lexeme.is_identifier() => lex::identifier(lexeme, self.text).unwrap_or_default(),
            _ => String::new(),
        };
        let mut at = 2;
        while matches!(word(at).as_str(), "if" | "not" | "exists" | "only") {
            at += 1;
        }
        let Some(name) = self.last_name(at) else { return false };
        let takes_over = ["as", "like", "inherits", "inherit", "of", "attach", "detach", "rename", "schema"];
        !self.cx.schema.is_protected_name(&name)
            && !self
                .lexemes
                .iter()
                .any(|lexeme| takes_over.iter().any(|word| lexeme.is_word(self.text, word)))
    }

    fn create_index(
        &self,
        parsed: &Parsed,
        index: &CreateIndex,
        head: &StatementHead,
        name: String,
        at: Option<usize>,
    ) -> Result<Carried, Refusal> {
        let mut analyzer = Analyzer::new(self.text, parsed, self.cx.schema, self.cx.search_path);
        let Named::Relation(relation) = analyzer.named(&index.table_name, &Ctes::default()) else {
            return Err(self.kind_refused(name, at));
        };
        let ordinary = matches!(index.using, None | Some(IndexType::BTree | IndexType::Hash))
            && index.predicate.is_none()
            && index.with.is_empty()
            && index.index_options.is_empty()
            && index.alter_options.is_empty();
        if !relation.is_protected && analyzer.edits.is_empty() {
            return Ok(Carried::forward(head.effects));
        }
        for column in &index.columns {
            let Expr::Identifier(ident) = &column.column.expr else {
                return Err(self.kind_refused(name, at));
            };
            analyzer.look_at(ident);
            let Some(known) = relation.column(&ident.value) else { return Err(self.kind_refused(name, at)) };
            let sealed = !matches!(known.value, OutputValue::Plain);
            if sealed && (!ordinary || column.operator_class.is_some()) {
                return Err(self.kind_refused(name, at));
            }
            analyzer.comparable(&ty_of(&known.value), Meeting::Equality, "CREATE INDEX");
        }
        if !ordinary {
            return Err(self.kind_refused(name, at));
        }
        let constants = Constants { edits: Vec::new(), parameters: Default::default() };
        analyzer.effects = head.effects;
        let carried = self.carried(analyzer, constants, None, false, name)?;
        Ok(Carried { made: Made::Nothing, ..carried })
    }

    fn create_view(
        &self,
        parsed: &Parsed,
        view: &CreateView,
        head: &StatementHead,
        name: String,
        at: Option<usize>,
    ) -> Result<Carried, Refusal> {
        let takes_protected_name = view
            .name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .is_none_or(|ident| self.cx.schema.is_protected_name(&ident.value));
        if view.materialized || takes_protected_name {
            return Err(self.kind_refused(name, at));
        }
        let mut analyzer = Analyzer::new(self.text, parsed, self.cx.schema, self.cx.search_path);
        lex::with_stack(parsed.depth(), || analyzer.query(&view.query, &Env::default()));
        analyzer.finish_literals();
        let constants = analyzer.finish_constants();
        if !constants.edits.is_empty() || !constants.parameters.is_empty() {
            let construct = "a constant for an encrypted column in a view".to_owned();
            return Err(Refusal::new(Reason::NotUnderstood { construct, name }, analyzer.at));
        }
        analyzer.effects = head.effects;
        let mut carried = self.carried(analyzer, constants, None, false, name.clone())?;
        carried.made = match view.name.0.last().and_then(|part| part.as_ident()) {
            Some(ident) => Made::Reaching(ident.value.clone()),
            None => Made::Names,
        };
        Ok(carried)
    }
}
