//! ALTER TABLE.

use std::sync::Arc;

use super::definer::{Definer, Purpose, Sealing};
use super::elements;
use super::reader::{Name, Reader};
use super::table::read_bound;
use crate::catalog::{RelationKind, RelationName};
use crate::policy::quote_ident;
use crate::sql::lex::LexemeKind;
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::schema::{Planned, Relation, RelationColumn, alike};

/// What an ALTER leaves of the relation.
pub(super) struct Altered {
    /// False for IF EXISTS of a relation that is not known.
    pub(super) is_there: bool,
    /// The relation as it was named.
    pub(super) name: RelationName,
    /// As it is afterwards.
    pub(super) relation: Relation,
}

/// ALTER TABLE up to its actions.
pub(super) struct Head {
    pub(super) name: Name,
    if_exists: bool,
}

/// ALTER TABLE | VIEW ... [IF EXISTS] [ONLY] name [*]
pub(super) fn head(reader: &mut Reader<'_>) -> Option<Head> {
    reader.expect(&["alter"])?;
    reader.take_any(&["materialized", "foreign"]);
    reader.take_any(&["table", "view"]).then_some(())?;
    let if_exists = reader.take(&["if", "exists"]);
    reader.take(&["only"]);
    let name = reader.name()?;
    reader.symbol(b'*');
    Some(Head { name, if_exists })
}

impl Definer<'_> {
    /// ALTER of a relation; the reader stands behind its name.
    pub(super) fn alter(&mut self, head: &Head, mut reader: Reader<'_>) -> Result<Altered, Refusal> {
        let name = &head.name;
        let mut is_there = true;
        let relation = match self.relation(name)? {
            Some(relation) => relation,
            // The server says that there is none, and must not see more than if there were.
            None if head.if_exists => {
                is_there = false;
                let name = self.made(name)?;
                Arc::new(Relation { columns_known: false, ..self.empty(name) })
            }
            None => self.existing(name)?,
        };
        let mut altered =
            Altered { is_there, name: relation.name.clone(), relation: Relation::clone(&relation) };
        if self.rename(&mut altered, &mut reader)? {
            return Ok(altered);
        }
        let is_table = matches!(
            relation.kind,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable
        );
        if !is_table {
            return self.not_understood("ALTER of this relation", name.token());
        }
        for action in reader.list() {
            self.action(&mut altered.relation, reader.inside(action))?;
        }
        Ok(altered)
    }

    /// RENAME and SET SCHEMA.
    fn rename(&mut self, altered: &mut Altered, reader: &mut Reader<'_>) -> Result<bool, Refusal> {
        let at = reader.at;
        if reader.take(&["set", "schema"]) {
            let Some(schema) = reader.identifier().filter(|_| reader.is_done()) else {
                return self.not_understood("SET SCHEMA", at);
            };
            self.rename_table(&mut altered.relation, None, Some(schema), at)?;
            return Ok(true);
        }
        if !reader.take(&["rename"]) {
            return Ok(false);
        }
        let not_understood = |this: &Self| this.not_understood("RENAME", at);
        if reader.take(&["constraint"]) {
            return if reader.holds_no_constant() { Ok(true) } else { not_understood(self) };
        }
        if reader.take(&["to"]) {
            let Some(name) = reader.identifier().filter(|_| reader.is_done()) else {
                return not_understood(self);
            };
            self.rename_table(&mut altered.relation, Some(name), None, reader.at - 1)?;
            return Ok(true);
        }
        reader.take(&["column"]);
        let (Some(old), true) = (reader.identifier(), reader.take(&["to"])) else {
            return not_understood(self);
        };
        let Some(new) = reader.identifier().filter(|_| reader.is_done()) else {
            return not_understood(self);
        };
        self.rename_column(&mut altered.relation, &old, &new, reader.at - 1)?;
        Ok(true)
    }

    /// The policy has to say of the new name what holds for the old one.
    fn rename_table(
        &mut self,
        relation: &mut Relation,
        name: Option<String>,
        schema: Option<String>,
        token: usize,
    ) -> Result<(), Refusal> {
        let old = relation.name.clone();
        let new = RelationName::new(schema.unwrap_or(old.schema.clone()), name.unwrap_or(old.name.clone()));
        self.shadows_none(&new, token)?;
        let is_view = matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView);
        if is_view {
            if self.schema.planned(&new).is_some() {
                return self.not_understood("a view of that name", token);
            }
        } else {
            self.agreed(self.schema.renamed(relation, &new), &new, token)?;
        }
        relation.name = new;
        Ok(())
    }

    fn rename_column(
        &self,
        relation: &mut Relation,
        old: &str,
        new: &str,
        token: usize,
    ) -> Result<(), Refusal> {
        let is_view = matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView);
        let planned = self.schema.planned(&relation.name);
        let Some(column) = relation.column(old) else {
            if !relation.columns_known {
                return Ok(());
            }
            return self.undefined(old, token);
        };
        if !is_view {
            let class = self.schema.class_by_policy(relation, column);
            let renamed = [(new, class.map(Arc::as_ref))];
            self.agreed(Planned::disagrees(planned, renamed), &relation.name, token)?;
        }
        let Some(column) = relation.columns.iter_mut().find(|column| column.name == old) else {
            return Ok(());
        };
        new.clone_into(&mut column.name);
        Ok(())
    }

    /// One action of ALTER TABLE.
    fn action(&mut self, relation: &mut Relation, mut reader: Reader<'_>) -> Result<(), Refusal> {
        let at = reader.at;
        if reader.take(&["add"]) {
            return self.add(relation, reader);
        }
        if reader.take(&["drop", "constraint"])
            || reader.take(&["no", "force"])
            || reader.is_one_of(&HARMLESS)
        {
            return self.without_constants(reader, at);
        }
        if reader.take(&["drop"]) {
            reader.take(&["column"]);
            reader.take(&["if", "exists"]);
            let Some(name) = reader.identifier() else { return self.not_understood("DROP", at) };
            self.without_constants(reader, at)?;
            relation.columns.retain(|column| column.name != name);
            return Ok(());
        }
        if reader.take(&["alter"]) {
            if reader.take(&["constraint"]) {
                return self.without_constants(reader, at);
            }
            reader.take(&["column"]);
            return self.alter_column(relation, reader);
        }
        if reader.take(&["set"]) {
            // Storage parameters, TABLESPACE, LOGGED, ACCESS METHOD: they hold no value of a column.
            return self.options(reader, at);
        }
        if reader.take(&["attach", "partition"]) {
            let Some(name) = reader.name() else { return self.not_understood("ATTACH PARTITION", at) };
            let Some(bound) = read_bound(&mut reader).filter(|_| reader.is_done()) else {
                return self.not_understood("ATTACH PARTITION", at);
            };
            let child = self.existing(&name)?;
            self.same_columns(relation, &child, name.token())?;
            return self.bound(relation, &bound);
        }
        if reader.take(&["inherit"]) {
            let Some(name) = reader.name() else { return self.not_understood("INHERIT", at) };
            let parent = self.existing(&name)?;
            return self.same_columns(&parent, relation, name.token());
        }
        let leaves = if reader.take(&["detach", "partition"]) {
            let Some(name) = reader.name() else { return self.not_understood("DETACH PARTITION", at) };
            self.existing(&name)?
        } else if reader.take(&["no", "inherit"]) {
            let Some(name) = reader.name() else { return self.not_understood("NO INHERIT", at) };
            self.existing(&name)?;
            Arc::new(relation.clone())
        } else {
            return self.not_understood("this action of ALTER TABLE", at);
        };
        // What was sealed by its parent's policy has to be so by its own.
        let columns =
            leaves.columns.iter().map(|column| (column.name.as_str(), column.class().map(Arc::as_ref)));
        let planned = self.schema.planned(&leaves.name);
        self.agreed(Planned::disagrees(planned, columns), &leaves.name, at)
    }

    /// An action that means the same over ciphertext. A constant in it belongs to no clause that it has: to one that was
    /// not kept apart, maybe, and the server's log would show it.
    fn without_constants(&self, rest: Reader<'_>, at: usize) -> Result<(), Refusal> {
        if rest.holds_no_constant() { Ok(()) } else { self.not_understood("this action of ALTER TABLE", at) }
    }

    /// SET of options in parentheses, which may hold constants of their own, or of something else.
    fn options(&self, mut rest: Reader<'_>, at: usize) -> Result<(), Refusal> {
        match rest.optional_group() {
            Some(_) => self.without_constants(rest, at),
            None => self.not_understood("this action of ALTER TABLE", at),
        }
    }

    /// ADD of a column or a constraint.
    fn add(&mut self, relation: &mut Relation, mut reader: Reader<'_>) -> Result<(), Refusal> {
        let at = reader.at;
        if let Some(constraint) = elements::table_constraint(&mut reader) {
            return match constraint.filter(|_| reader.is_done()) {
                Some(constraint) => self.constraint(relation, &constraint),
                None => self.not_understood("this constraint", at),
            };
        }
        reader.take(&["column"]);
        reader.take(&["if", "not", "exists"]);
        let resolve = |parts: &[String]| self.resolve_type(parts);
        let column = elements::column_definition(&mut reader, true, &resolve);
        let Some(column) = column.filter(|_| reader.is_done()) else {
            return self.not_understood("this column", at);
        };
        self.declare(relation, &column)?;
        self.qualities(relation, &column)
    }

    /// How a column that is there is sealed: as it is stored, else as the policy says.
    fn sealed_now(&self, relation: &Relation, column: &str) -> Option<Sealing> {
        let policy = self.sealing(&relation.name, column);
        let Some(class) = relation.column(column).and_then(RelationColumn::class) else { return policy };
        let ty = policy.filter(|policy| policy.class.ty == class.ty).and_then(|policy| policy.ty);
        Some(Sealing { ty, ..Sealing::of(class) })
    }

    fn alter_column(&mut self, relation: &mut Relation, mut reader: Reader<'_>) -> Result<(), Refusal> {
        let at = reader.at;
        let Some(name) = reader.identifier() else { return self.not_understood("ALTER COLUMN", at) };
        let sealing = self.sealed_now(relation, &name);
        if relation.is_protected && relation.columns_known && relation.column(&name).is_none() {
            return self.undefined(&name, at);
        }
        let action = reader.at;
        if reader.take(&["set", "data", "type"]) || reader.take(&["type"]) {
            return match sealing {
                Some(sealing) => self.alter_type(&name, &sealing, reader),
                None => self.alter_plain_type(relation, reader),
            };
        }
        if reader.take(&["set", "default"]) {
            let tokens = reader.at..reader.end;
            match sealing {
                Some(sealing) => self.default(&tokens, &sealing)?,
                None => self.plain_default(&tokens)?,
            }
            if let Some(column) = relation.columns.iter_mut().find(|column| column.name == name) {
                column.default_is_sealed = true;
            }
            return Ok(());
        }
        if reader.take(&["drop", "default"]) {
            self.without_constants(reader, action)?;
            if let Some(column) = relation.columns.iter_mut().find(|column| column.name == name) {
                column.default_is_sealed = true;
            }
            return Ok(());
        }
        let harmless: [&[&str]; 7] = [
            &["set", "not", "null"],
            &["drop", "not", "null"],
            &["set", "storage"],
            &["set", "compression"],
            &["reset"],
            &["drop", "identity"],
            &["drop", "expression"],
        ];
        let mut ahead = reader;
        if ahead.take(&["set"]) && ahead.is_symbol(b'(') {
            return self.options(ahead, action);
        }
        if reader.take(&["set", "statistics"]) {
            reader.at += usize::from(reader.peek().is_some_and(|sign| {
                sign.kind == LexemeKind::Operator || sign.kind == LexemeKind::Symbol(b'-')
            }));
            let one = reader.skip().is_some() && reader.is_done();
            return if one { Ok(()) } else { self.not_understood("SET STATISTICS", action) };
        }
        if harmless.iter().any(|words| reader.take(words)) {
            return self.without_constants(reader, action);
        }
        match sealing {
            Some(sealing) => self.construct("this ALTER COLUMN", sealing.column(), action),
            // Identity and sequence options.
            None if reader.take(&["add", "generated"])
                || reader.take(&["set", "generated"])
                || reader.take(&["restart"]) =>
            {
                match reader.holds_no_string() {
                    true => Ok(()),
                    false => self.not_understood("this ALTER COLUMN", action),
                }
            }
            None if reader.take(&["set", "expression", "as"]) => {
                let tokens = reader.at..reader.end;
                self.expression(&tokens, Some(relation), &Purpose::Plain("GENERATED ALWAYS AS"))
            }
            None => self.not_understood("this ALTER COLUMN", action),
        }
    }

    /// TYPE of a sealed column: the policy's type is declared, and what is stored stays as it is. USING may do no more
    /// than cast the column.
    fn alter_type(&mut self, name: &str, sealing: &Sealing, mut reader: Reader<'_>) -> Result<(), Refusal> {
        let at = reader.at;
        let resolve = |parts: &[String]| self.resolve_type(parts);
        let Some(ty) = elements::type_name(&mut reader, &resolve) else {
            return self.not_understood("this type", at);
        };
        self.stored_type(&ty, sealing)?;
        let Some(collation) = elements::collation(&mut reader) else {
            return self.not_understood("COLLATE", reader.at);
        };
        if let Some(collation) = &collation {
            self.collation(collation, sealing.column(), sealing.class.binding.mode)?;
        }
        let using = reader.at;
        if reader.take(&["using"]) {
            if !self.casts_only(name, sealing, reader) {
                return self.construct("USING", sealing.column(), using);
            }
            let column = format!("USING {}", quote_ident(name));
            self.edit(&(using..reader.end), column);
        } else if !reader.is_done() {
            return self.not_understood("this ALTER COLUMN", using);
        }
        Ok(())
    }

    /// Whether an expression is the column, or a cast of it to the policy's type.
    fn casts_only(&mut self, name: &str, sealing: &Sealing, mut reader: Reader<'_>) -> bool {
        let end = reader.end;
        if reader.is_symbol(b'(') {
            let mut outside = reader;
            if let Some(inside) = outside.group()
                && outside.is_done()
            {
                return self.casts_only(name, sealing, reader.inside(inside));
            }
        }
        if reader.identifier().as_deref() != Some(name) {
            return false;
        }
        while reader.peek().is_some_and(|lexeme| lexeme.kind == LexemeKind::DoubleColon) {
            reader.at += 1;
            let resolve = |parts: &[String]| self.resolve_type(parts);
            let Some(ty) = elements::type_name(&mut reader, &resolve) else { return false };
            let before = self.edits.len();
            let agrees = self.stored_type(&ty, sealing).is_ok();
            self.edits.truncate(before);
            if !agrees {
                return false;
            }
        }
        reader.at == end
    }

    /// TYPE of another column: its USING may not compute with encrypted ones.
    fn alter_plain_type(&mut self, relation: &Relation, mut reader: Reader<'_>) -> Result<(), Refusal> {
        reader.skip_to(&["using"]);
        if !reader.take(&["using"]) || !relation.is_protected {
            return Ok(());
        }
        let tokens = reader.at..reader.end;
        self.expression(&tokens, Some(relation), &Purpose::Plain("USING"))
    }

    /// Proves that a child's columns are sealed as its parent's.
    fn same_columns(&self, parent: &Relation, child: &Relation, token: usize) -> Result<(), Refusal> {
        for column in &parent.columns {
            let own = child.column(&column.name).and_then(RelationColumn::class);
            let target = |relation: &Relation| relation.name.column(&column.name);
            match (column.class(), own) {
                (None, None) => {}
                (Some(a), Some(b)) if alike(a, b) => {}
                (Some(_), Some(_)) => {
                    let (left, right) = (target(parent), target(child));
                    let construct = "one column".to_owned();
                    return self.refuse(Reason::DifferentlySealed { left, right, construct }, token);
                }
                (Some(class), None) => {
                    let (column, target) = (class.column.clone(), target(child).to_string());
                    return self.refuse(Reason::StoredInPlain { column, target }, token);
                }
                (None, Some(class)) => {
                    let (column, target) = (class.column.clone(), target(parent).to_string());
                    return self.refuse(Reason::StoredInPlain { column, target }, token);
                }
            }
        }
        Ok(())
    }
}

/// First words of actions that mean the same over ciphertext.
const HARMLESS: [&str; 10] =
    ["cluster", "disable", "enable", "force", "not", "owner", "replica", "reset", "validate", "without"];
