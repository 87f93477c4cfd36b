//! CREATE, ALTER and DROP.
//!
//! What makes a column that the policy names gives it its stored type, a CHECK that lets only sealed values in, and a
//! sealed default; what depends on an encrypted column has to mean the same over ciphertext; and no definition takes an
//! encrypted column out of its policy, or brings plaintext into it.

mod alter;
mod attached;
mod definer;
mod elements;
mod index;
mod query;
mod reader;
mod table;

use definer::Definer;
use query::Stored;
use reader::Name;
use table::Created;

use super::statement::One;
use super::{Carried, Made, OnePlan};
use crate::catalog::RelationName;
use crate::datum::Oid;
use crate::sql::kinds::{StatementHead, StatementKind};
use crate::sql::lex;
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::schema::Schema;

/// The object id of a relation that the text itself makes.
pub(super) const MADE_HERE: Oid = 0;

impl One<'_> {
    /// The schema that ALTER would rename with the protected relations in it, or the enum type of an encrypted
    /// column whose labels ALTER or DROP would take away.
    pub(super) fn unseats(&self, head: &StatementHead) -> Option<Refusal> {
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
            let (old, (new, _)) = (names.next()?, names.next_back()?);
            let (table, disagreement) = schema.renamed_schema(&old.0, &new)?;
            return Definer::new(self, old.0).agreed(Some(disagreement), &table, 2).err();
        }
        let adds = self.lexemes.iter().any(|lexeme| lexeme.is_word(self.text, "add"));
        if word(1, &["type"]) && (word(0, &["drop"]) || (word(0, &["alter"]) && !adds)) {
            let (name, at) = names.find(|(name, _)| schema.seals_type(name))?;
            return Some(self.kind_refused(name, Some(at)));
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
        let mut at_word = 1;
        let (first, skipped) = (word(0), ["or", "replace", "unique", "temp", "temporary"]);
        while skipped.contains(&word(at_word).as_str()) {
            at_word += 1;
        }
        let second = word(at_word);
        if first == "drop" && !Definer::new(self, String::new()).reader(0).holds_no_constant() {
            // No clause of it takes one.
            return Err(self.kind_refused(name, at));
        }
        match (first.as_str(), second.as_str()) {
            ("drop", "table") => Ok(self.drop_table(head)),
            // Nothing is left to protect.
            ("drop", _) => Ok(Carried { made: Made::Names, ..Carried::forward(head.effects) }),
            // Their bodies are the application's own; calls of them are looked at.
            ("create", "function" | "procedure") => match self.last_name(at_word + 1) {
                Some(function) => {
                    Ok(Carried { made: Made::Reaching(function), ..Carried::forward(head.effects) })
                }
                None => Err(self.kind_refused(name, at)),
            },
            ("create", "index") => self.attached(head, name, Definer::create_index),
            ("create", "trigger" | "constraint") => self.attached(head, name, Definer::create_trigger),
            ("create" | "alter", "policy") => self.attached(head, name, Definer::policy),
            ("create", "statistics") => self.attached(head, name, Definer::create_statistics),
            ("create" | "alter", "sequence" | "publication")
                if !self.last_name(at_word + 1).is_none_or(|own| self.cx.schema.is_protected_name(&own))
                    && attached::names_only(Definer::new(self, String::new()).reader(0)) =>
            {
                Ok(Carried::forward(head.effects))
            }
            ("create", "view" | "materialized") => {
                let definer = Definer::new(self, name);
                let reader = definer.reader(0);
                self.create_view(definer, reader, head)
            }
            ("create", "table" | "unlogged" | "global" | "local") => self.create_table(head, name),
            ("alter", "table" | "view" | "materialized") => self.alter_relation(head, name, at),
            _ => Err(self.kind_refused(name, at)),
        }
    }

    /// What is made on a table that is there already.
    fn attached<'s>(
        &'s self,
        head: &StatementHead,
        name: String,
        make: impl FnOnce(&mut Definer<'s>) -> Result<(), Refusal>,
    ) -> Result<Carried, Refusal> {
        let mut definer = Definer::new(self, name);
        match make(&mut definer) {
            Ok(()) => Ok(self.with_edits(Carried::forward(head.effects), definer, Made::Nothing)),
            Err(refusal) => self.unless_unknown(head, refusal),
        }
    }

    fn create_table(&self, head: &StatementHead, name: String) -> Result<Carried, Refusal> {
        let mut definer = Definer::new(self, name);
        let mut reader = definer.reader(0);
        let Some(created) = table::head(&mut reader) else {
            return definer.not_understood("a clause of CREATE TABLE", reader.at.min(reader.end - 1));
        };
        if let Some(stored) = Stored::read(reader) {
            return self.create_table_as(definer, &created, &stored, head);
        }
        match definer.create_table(&created, reader) {
            Ok(Created { relation, is_there }) => {
                let is_named = self.cx.schema.is_protected_name(&relation.name.name);
                let made = match (relation.is_protected || is_named) && !is_there {
                    true => self.overlaid(|schema| schema.with(relation)),
                    false => Made::Nothing,
                };
                Ok(self.with_edits(Carried::forward(head.effects), definer, made))
            }
            Err(refusal) => self.unless_alone(head, &created.name, refusal),
        }
    }

    fn alter_relation(
        &self,
        head: &StatementHead,
        name: String,
        at: Option<usize>,
    ) -> Result<Carried, Refusal> {
        let mut definer = Definer::new(self, name.clone());
        let mut reader = definer.reader(0);
        let Some(table) = alter::head(&mut reader) else { return Err(self.kind_refused(name, at)) };
        match definer.alter(&table, reader) {
            Ok(altered) => {
                let unresolved = !altered.is_there;
                let made = if unresolved {
                    Made::Nothing
                } else if altered.relation.is_protected {
                    self.overlaid(|schema| schema.without(&altered.name).with(altered.relation))
                } else if altered.name == altered.relation.name {
                    Made::Nothing
                } else {
                    Made::Names
                };
                let carried = Carried { unresolved, ..Carried::forward(head.effects) };
                Ok(self.with_edits(carried, definer, made))
            }
            Err(refusal) => self.unless_alone(head, &table.name, refusal),
        }
    }

    /// DROP TABLE: what comes behind it in the same text sees the tables gone.
    fn drop_table(&self, head: &StatementHead) -> Carried {
        let definer = Definer::new(self, String::new());
        let mut reader = definer.reader(2);
        reader.take(&["if", "exists"]);
        let (mut names, mut understood) = (Vec::new(), true);
        loop {
            match reader.name() {
                Some(name) => names.extend(self.meant(&name)),
                None => understood = false,
            }
            if !reader.symbol(b',') {
                break;
            }
        }
        reader.take_any(&["cascade", "restrict"]);
        let gone = |schema: &Schema| names.iter().fold(schema.clone(), |schema, name| schema.without(name));
        let made = if understood && reader.is_done() { self.overlaid(gone) } else { Made::Names };
        Carried { made, ..Carried::forward(head.effects) }
    }

    /// The relation that a name means.
    fn meant(&self, name: &Name) -> Option<RelationName> {
        let schema = self.cx.schema;
        let relation = match name.parts.as_slice() {
            [_] => schema.resolve(name.last(), self.cx.search_path),
            [.., qualifier, _] => schema.relation(&RelationName::new(qualifier.clone(), name.last())),
            [] => None,
        };
        relation.map(|relation| relation.name.clone())
    }

    /// What the statements behind this one in the same text see, if there are any.
    fn overlaid(&self, change: impl FnOnce(&Schema) -> Schema) -> Made {
        let behind = self.lexemes.last().and_then(|last| self.text.get(last.end..)).unwrap_or_default();
        let is_last = behind.bytes().all(|byte| byte == b';' || byte.is_ascii_whitespace());
        if is_last { Made::Nothing } else { Made::Schema(Box::new(change(self.cx.schema))) }
    }

    /// The verdict with what a definition edits.
    fn with_edits(&self, mut carried: Carried, definer: Definer<'_>, made: Made) -> Carried {
        carried.made = made;
        if definer.edits.is_empty() {
            return carried;
        }
        let plan = carried.plan.get_or_insert_with(|| OnePlan {
            edits: Vec::new(),
            parameters: Default::default(),
            outputs: None,
            copy: None,
            read_only: false,
            locks: Vec::new(),
        });
        plan.edits.extend(definer.edits);
        carried
    }

    /// The last part of the name that starts at a token.
    fn last_name(&self, mut at: usize) -> Option<String> {
        while self.lexemes.get(at + 1).is_some_and(|lexeme| lexeme.is_symbol(b'.')) {
            at += 2;
        }
        let lexeme = self.lexemes.get(at).filter(|lexeme| lexeme.is_identifier())?;
        lex::identifier(lexeme, self.text)
    }

    /// What was not understood of a table that is not protected is the server's to judge.
    fn unless_alone(&self, head: &StatementHead, table: &Name, refusal: Refusal) -> Result<Carried, Refusal> {
        match &*refusal.reason {
            _ if !self.leaves_protected_alone(table) => Err(refusal),
            Reason::NotUnderstood { .. } => Ok(Carried::forward(head.effects)),
            _ => self.unless_unknown(head, refusal),
        }
    }

    /// So is what is done to a table of a name that is not protected: it may have been made a moment ago.
    fn unless_unknown(&self, head: &StatementHead, refusal: Refusal) -> Result<Carried, Refusal> {
        match &*refusal.reason {
            Reason::UndefinedTable { name } if !self.names_protected(name) => {
                Ok(Carried { unresolved: true, ..Carried::forward(head.effects) })
            }
            _ => Err(refusal),
        }
    }

    /// Whether a name with its qualifiers is one of a protected relation in some schema.
    fn names_protected(&self, name: &str) -> bool {
        self.cx.schema.is_protected_name(name.rsplit('.').next().unwrap_or(name))
    }

    /// CREATE TABLE or ALTER TABLE of a table that is not protected, which names one that is as the target of a
    /// foreign key only, or where it means no relation.
    fn leaves_protected_alone(&self, table: &Name) -> bool {
        let takes_over = ["as", "like", "inherits", "inherit", "of", "attach", "detach", "rename", "schema"];
        !self.cx.schema.is_protected_name(table.last())
            && !self
                .lexemes
                .iter()
                .any(|lexeme| takes_over.iter().any(|word| lexeme.is_word(self.text, word)))
    }
}
