//! CREATE TABLE.

use std::ops::Range;
use std::sync::Arc;

use super::MADE_HERE;
use super::definer::{Definer, Purpose, Sealing};
use super::elements::{self, ColumnDefinition, Constraint, Element, IndexElement, IndexKey, Like, Quality};
use super::reader::{Name, Reader};
use crate::catalog::{Class, RelationKind, RelationName, Storage};
use crate::datum;
use crate::sql::refusal::{Reason, Refusal};
use crate::sql::schema::{Disagreement, Planned, Relation, RelationColumn, alike};
use crate::sql::{OutputValue, sealed_check, typename};

/// What a CREATE TABLE makes.
pub(super) struct Created {
    pub(super) relation: Relation,
    /// It does nothing if there is such a table, and there is one.
    pub(super) is_there: bool,
}

/// CREATE TABLE up to its body.
pub(super) struct Head {
    pub(super) is_temporary: bool,
    pub(super) if_not_exists: bool,
    pub(super) name: Name,
}

/// What stands behind the elements.
struct Tail {
    inherits: Vec<Name>,
    partition_by: Option<(String, Vec<IndexElement>, usize)>,
}

/// CREATE [TEMP | UNLOGGED] TABLE [IF NOT EXISTS] name
pub(super) fn head(reader: &mut Reader<'_>) -> Option<Head> {
    reader.expect(&["create"])?;
    reader.take_any(&["global", "local"]);
    let is_temporary = reader.take_any(&["temp", "temporary"]);
    reader.take(&["unlogged"]);
    reader.expect(&["table"])?;
    let if_not_exists = reader.take(&["if", "not", "exists"]);
    Some(Head { is_temporary, if_not_exists, name: reader.name()? })
}

impl Definer<'_> {
    /// CREATE TABLE with elements, or as a partition; the reader stands behind the name.
    pub(super) fn create_table(&mut self, head: &Head, mut reader: Reader<'_>) -> Result<Created, Refusal> {
        let name = self.target(head)?;
        let resolve = |parts: &[String]| self.resolve_type(parts);
        let mut bound = None;
        let mut parents = Vec::new();
        let read = if reader.take(&["partition", "of"]) {
            let parent = reader.name();
            let elements = match reader.is_symbol(b'(') {
                true => {
                    reader.group().and_then(|inside| elements::elements(&reader, inside, false, &resolve))
                }
                false => Some(Vec::new()),
            };
            bound = read_bound(&mut reader);
            parents.extend(parent.clone());
            elements.zip(parent).filter(|_| bound.is_some()).map(|(elements, _)| elements)
        } else {
            reader.group().and_then(|inside| elements::elements(&reader, inside, true, &resolve))
        };
        let tail = read.and_then(|elements| Some((elements, read_tail(&mut reader)?)));
        let Some((elements, tail)) = tail.filter(|_| reader.is_done()) else {
            return self.not_understood("a clause of CREATE TABLE", reader.at.min(reader.end - 1));
        };
        parents.extend(tail.inherits);
        let is_there = head.if_not_exists && self.schema.relation(&name).is_some();
        let mut table = self.empty(name);
        let mut parent_of_bound = None;
        for parent in &parents {
            let relation = self.existing(parent)?;
            self.inherit(&mut table, &relation, parent.token())?;
            parent_of_bound = Some(relation);
        }
        for element in &elements {
            match element {
                Element::Column(column) => self.declare(&mut table, column)?,
                Element::Like(like) => self.like(&mut table, like)?,
                Element::Constraint(_) => {}
            }
        }
        table.is_protected |= table.has_sealed();
        for element in &elements {
            match element {
                Element::Column(column) => self.qualities(&mut table, column)?,
                Element::Constraint(constraint) => self.constraint(&table, constraint)?,
                Element::Like(_) => {}
            }
        }
        if let (Some(bound), Some(parent)) = (bound, parent_of_bound) {
            self.bound(&parent, &bound)?;
        }
        if let Some((strategy, keys, at)) = tail.partition_by {
            self.partition_by(&mut table, &strategy, &keys, at)?;
        }
        self.undecided(&mut table);
        Ok(Created { relation: table, is_there })
    }

    /// A table of which nothing is known yet but its name.
    pub(super) fn empty(&self, name: RelationName) -> Relation {
        Relation {
            oid: MADE_HERE,
            kind: RelationKind::Table,
            columns: Vec::new(),
            columns_known: true,
            partition_key: Vec::new(),
            checks: Vec::new(),
            is_protected: self.schema.planned(&name).is_some(),
            changes: Vec::new(),
            joined: Vec::new(),
            blocked: None,
            writes_blocked: None,
            name,
        }
    }

    /// The table that is to be made.
    pub(super) fn target(&mut self, head: &Head) -> Result<RelationName, Refusal> {
        let target = match head.is_temporary {
            true => RelationName::new("pg_temp", head.name.last()),
            false => self.made(&head.name)?,
        };
        self.shadows_none(&target, head.name.token())?;
        Ok(target)
    }

    /// Refuses a temporary relation of a protected name, which would be found before the protected one.
    pub(super) fn shadows_none(&self, relation: &RelationName, token: usize) -> Result<(), Refusal> {
        if relation.schema.starts_with("pg_temp") && self.schema.is_protected_name(&relation.name) {
            return self.refuse(Reason::Shadows { name: relation.name.clone() }, token);
        }
        Ok(())
    }

    /// Keeps statements of the same text off a table while a type of the policy is not known.
    fn undecided(&self, table: &mut Relation) {
        let Some(planned) = self.schema.planned(&table.name) else { return };
        let undecided = table.columns.iter().find_map(|column| {
            planned.columns.get(&column.name).and_then(|planned| planned.undecided.as_deref())
        });
        table.blocked = undecided.map(Arc::from);
    }

    /// Takes over a parent's columns.
    fn inherit(&self, table: &mut Relation, parent: &Relation, token: usize) -> Result<(), Refusal> {
        table.columns_known &= parent.columns_known;
        for column in &parent.columns {
            let own = self.sealing(&table.name, &column.name);
            match (&own, column.class()) {
                (None, _) => {}
                (Some(own), None) => {
                    return self.refuse(Reason::EntersPolicy { target: own.column().clone() }, token);
                }
                (Some(own), Some(class)) if alike(&own.class, class) => {}
                (Some(own), Some(class)) => return self.differently(&class.column, own.column(), token),
            }
            if let Some(known) = table.columns.iter().find(|known| known.name == column.name) {
                match (known.class(), column.class()) {
                    (None, None) => {}
                    (Some(a), Some(b)) if alike(a, b) => {}
                    (Some(a), _) | (_, Some(a)) => {
                        let target = table.name.column(&column.name);
                        return self.differently(&a.column, &target, token);
                    }
                }
                continue;
            }
            table.columns.push(RelationColumn { number: next_number(table), ..column.clone() });
        }
        Ok(())
    }

    fn differently<T>(
        &self,
        left: &crate::catalog::ColumnName,
        right: &crate::catalog::ColumnName,
        token: usize,
    ) -> Result<T, Refusal> {
        let (left, right) = (left.clone(), right.clone());
        self.refuse(Reason::DifferentlySealed { left, right, construct: "one column".to_owned() }, token)
    }

    /// LIKE: the columns are stored as those of the other table.
    fn like(&mut self, table: &mut Relation, like: &Like) -> Result<(), Refusal> {
        let source = self.existing(&like.table)?;
        let planned = self.schema.planned(&table.name);
        let columns =
            source.columns.iter().map(|column| (column.name.as_str(), column.class().map(Arc::as_ref)));
        self.agreed(Planned::disagrees(planned, columns), &table.name, like.table.token())?;
        if !source.columns_known && planned.is_some() {
            return self.not_understood("LIKE of this relation", like.table.token());
        }
        table.columns_known &= source.columns_known;
        for column in &source.columns {
            let column = RelationColumn {
                number: next_number(table),
                default_is_sealed: column.default_is_sealed || !like.with_defaults,
                ..column.clone()
            };
            if let Some(class) = column.class().filter(|_| !like.with_constraints) {
                let (mode, storage) = (class.binding.mode, class.storage);
                let check = sealed_check::constraint(&column.name, mode, storage, &table.checks);
                self.insert_behind(like.end.saturating_sub(1), format!(", {check}"));
            }
            table.columns.push(column);
        }
        Ok(())
    }

    /// Refuses a relation whose columns would not be what the policy says of their new names.
    pub(super) fn agreed(
        &self,
        disagreement: Option<Disagreement>,
        table: &RelationName,
        token: usize,
    ) -> Result<(), Refusal> {
        match disagreement {
            None => Ok(()),
            Some(Disagreement::Plain(column)) => {
                self.refuse(Reason::EntersPolicy { target: table.column(column) }, token)
            }
            Some(Disagreement::Unnamed(column, class) | Disagreement::Differs(column, class)) => {
                let (target, context) = (table.column(column), class.binding.context.clone());
                self.refuse(Reason::LeavesPolicy { column: class.column, context, target }, token)
            }
        }
    }

    /// How a column of a table that is made is sealed: as its policy says, or as its parent's.
    fn sealed_as(&self, table: &Relation, column: &str) -> Option<Sealing> {
        let inherited = || table.column(column)?.class().map(Sealing::of);
        self.sealing(&table.name, column).or_else(inherited)
    }

    /// A column's name and type.
    pub(super) fn declare(
        &mut self,
        table: &mut Relation,
        definition: &ColumnDefinition,
    ) -> Result<(), Refusal> {
        let sealing = self.sealed_as(table, &definition.name);
        let mut physical = (0, -1);
        if let Some(ty) = &definition.ty {
            match &sealing {
                Some(sealing) => self.stored_type(ty, sealing)?,
                None => {
                    let resolve = |parts: &[String]| self.resolve_type(parts);
                    let read = typename::read(self.one.text, self.one.lexemes, ty.start, &resolve);
                    physical.0 = read.filter(|ty| !ty.is_array).and_then(|ty| ty.oid).unwrap_or_default();
                }
            }
        }
        if table.column(&definition.name).is_some() {
            return Ok(());
        }
        if definition.ty.is_none() && table.columns_known {
            return self.undefined(&definition.name, definition.token);
        }
        let value = match sealing {
            Some(Sealing { class, .. }) => {
                physical = (stored(class.storage), -1);
                OutputValue::Sealed(class)
            }
            None => OutputValue::Plain,
        };
        table.columns.push(RelationColumn {
            number: next_number(table),
            name: definition.name.clone(),
            value,
            physical,
            generated: definition.qualities.iter().any(|q| matches!(q, Quality::Generated(_))),
            default_is_sealed: true,
        });
        Ok(())
    }

    /// What stands behind a column's type, and the CHECK behind all of it.
    pub(super) fn qualities(
        &mut self,
        table: &mut Relation,
        definition: &ColumnDefinition,
    ) -> Result<(), Refusal> {
        let sealing = self.sealed_as(table, &definition.name);
        let own = [(definition.name.clone(), definition.token)];
        for quality in &definition.qualities {
            match (quality, &sealing) {
                (Quality::Other, _) => {}
                (Quality::Default(tokens), Some(sealing)) => self.default(tokens, sealing)?,
                (Quality::Default(tokens), None) => self.plain_default(tokens)?,
                (Quality::Check(tokens), _) => self.check(tokens, table)?,
                (Quality::Unique(at), _) => {
                    self.unique(table, &definition.name, *at, unique_word(&self.reader(*at)))?;
                }
                (Quality::Identity(at), Some(sealing)) => {
                    return self.construct("GENERATED AS IDENTITY", sealing.column(), *at);
                }
                (Quality::Generated(tokens), Some(sealing)) => {
                    return self.construct("GENERATED ALWAYS AS", sealing.column(), tokens.start);
                }
                (Quality::Identity(_), None) => {}
                (Quality::Generated(tokens), None) => {
                    if table.is_protected {
                        self.expression(tokens, Some(table), &Purpose::Plain("GENERATED ALWAYS AS"))?;
                    }
                }
                (Quality::References(references), _) => self.foreign_key(&own, references, table)?,
                (Quality::Collate(collation), Some(sealing)) => {
                    self.collation(collation, sealing.column(), sealing.class.binding.mode)?;
                }
                (Quality::Collate(_), None) => {}
            }
        }
        if let (Some(sealing), Some(_)) = (sealing, &definition.ty) {
            let check = sealed_check::constraint(
                &definition.name,
                sealing.class.binding.mode,
                sealing.class.storage,
                &table.checks,
            );
            self.insert_behind(definition.end.saturating_sub(1), format!(" {check}"));
        }
        Ok(())
    }

    /// A sealed column's DEFAULT.
    pub(super) fn default(&mut self, tokens: &Range<usize>, sealing: &Sealing) -> Result<(), Refusal> {
        match &sealing.undecided {
            None => self.expression(tokens, None, &Purpose::Stored(&sealing.class)),
            Some(_) => self.not_understood("a default of a type that is made in the same text", tokens.start),
        }
    }

    fn check(&mut self, tokens: &Range<usize>, table: &Relation) -> Result<(), Refusal> {
        if !table.is_protected {
            return Ok(());
        }
        self.expression(tokens, Some(table), &Purpose::Plain("CHECK"))
    }

    fn unique(&self, table: &Relation, column: &str, token: usize, word: &str) -> Result<(), Refusal> {
        self.key_column(column, token, table, word).map(|_| ())
    }

    /// A constraint of the table.
    pub(super) fn constraint(&mut self, table: &Relation, constraint: &Constraint) -> Result<(), Refusal> {
        match constraint {
            Constraint::Other => Ok(()),
            Constraint::Check(tokens) => self.check(tokens, table),
            Constraint::Unique(columns) => {
                columns.iter().try_for_each(|(name, token)| self.unique(table, name, *token, "UNIQUE"))
            }
            Constraint::ForeignKey(columns, references) => self.foreign_key(columns, references, table),
            Constraint::Exclude { method, elements, predicate } => {
                if !table.is_protected {
                    return Ok(());
                }
                for (element, operator) in elements {
                    let token = element.token();
                    let Some(class) = self.key(element, table, "EXCLUDE")? else { continue };
                    let has_method = method.as_deref().is_none_or(is_equality_method);
                    if operator != "=" || !has_method {
                        let construct = format!("EXCLUDE WITH {operator}");
                        return self.construct(&construct, &class.column, token);
                    }
                }
                match predicate {
                    Some(tokens) => {
                        self.expression(tokens, Some(table), &Purpose::Plain("EXCLUDE ... WHERE"))
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// PARTITION BY: list and hash need equality, range needs order.
    fn partition_by(
        &mut self,
        table: &mut Relation,
        strategy: &str,
        keys: &[IndexElement],
        at: usize,
    ) -> Result<(), Refusal> {
        let construct = format!("PARTITION BY {}", strategy.to_uppercase());
        table.kind = RelationKind::PartitionedTable;
        for key in keys {
            if let IndexKey::Column(name, _) = &key.key
                && let Some(column) = table.column(name)
            {
                let number = column.number;
                table.partition_key.push(number);
            }
            if !table.has_sealed() {
                continue;
            }
            // The bounds of its partitions are values of the expression, and are not sealed.
            if let IndexKey::Expression(tokens) = &key.key {
                self.expression(tokens, Some(table), &Purpose::Plain(&construct))?;
                continue;
            }
            if let Some(class) = self.key(key, table, &construct)?
                && strategy == "range"
            {
                let column = class.column.clone();
                return self.refuse(Reason::NotOrdered { column, construct }, at);
            }
        }
        Ok(())
    }

    /// FOR VALUES: the values of a list are sealed as those of the parent's key.
    pub(super) fn bound(&mut self, parent: &Relation, bound: &Bound) -> Result<(), Refusal> {
        let keys = parent.partition_key.iter();
        let key = |number: &i16| parent.columns.iter().find(|column| column.number == *number);
        let sealed: Vec<Arc<Class>> =
            keys.filter_map(key).filter_map(RelationColumn::class).cloned().collect();
        // A key that is an expression over encrypted columns stands in the way of writes.
        if let (Some(why), Bound::List(_) | Bound::Range(_), true) =
            (&parent.writes_blocked, bound, parent.has_sealed())
        {
            let (relation, why) = (parent.name.clone(), Arc::clone(why));
            return Err(Refusal::new(Reason::WritesBlocked { relation, why }, None));
        }
        let Some(class) = sealed.first() else { return Ok(()) };
        match bound {
            Bound::Default | Bound::Hash => Ok(()),
            Bound::List(values) => {
                values.iter().try_for_each(|tokens| self.expression(tokens, None, &Purpose::Stored(class)))
            }
            Bound::Range(at) => {
                let (column, construct) = (class.column.clone(), "FOR VALUES FROM".to_owned());
                self.refuse(Reason::NotOrdered { column, construct }, *at)
            }
        }
    }
}

impl IndexElement {
    pub(super) fn token(&self) -> usize {
        match &self.key {
            IndexKey::Column(_, token) => *token,
            IndexKey::Expression(tokens) => tokens.start,
        }
    }
}

/// A partition's bound.
pub(super) enum Bound {
    Default,
    /// WITH (MODULUS, REMAINDER).
    Hash,
    /// IN: the values' tokens.
    List(Vec<Range<usize>>),
    /// FROM ... TO.
    Range(usize),
}

/// `DEFAULT` or `FOR VALUES ...`
pub(super) fn read_bound(reader: &mut Reader<'_>) -> Option<Bound> {
    if reader.take(&["default"]) {
        return Some(Bound::Default);
    }
    let at = reader.at;
    reader.expect(&["for", "values"])?;
    if reader.take(&["in"]) {
        let inside = reader.group()?;
        return Some(Bound::List(reader.inside(inside).list()));
    }
    if reader.take(&["with"]) {
        reader.group()?;
        return Some(Bound::Hash);
    }
    reader.expect(&["from"])?;
    reader.group()?;
    reader.expect(&["to"])?;
    reader.group()?;
    Some(Bound::Range(at))
}

/// What stands behind the elements: INHERITS, PARTITION BY, and options.
fn read_tail(reader: &mut Reader<'_>) -> Option<Tail> {
    let mut tail = Tail { inherits: Vec::new(), partition_by: None };
    if reader.take(&["inherits"]) {
        let inside = reader.group()?;
        let inside = reader.inside(inside);
        for item in inside.list() {
            let mut item = inside.inside(item);
            tail.inherits.push(item.name()?);
            item.is_done().then_some(())?;
        }
    }
    let at = reader.at;
    if reader.take(&["partition", "by"]) {
        let strategy = reader.identifier()?;
        let inside = reader.group()?;
        let inside = reader.inside(inside);
        let mut keys = Vec::new();
        for item in inside.list() {
            let mut item = inside.inside(item);
            keys.push(elements::index_element(&mut item)?);
            item.is_done().then_some(())?;
        }
        tail.partition_by = Some((strategy, keys, at));
    }
    options(reader)?;
    Some(tail)
}

/// USING, WITH, ON COMMIT and TABLESPACE.
pub(super) fn options(reader: &mut Reader<'_>) -> Option<()> {
    if reader.take(&["using"]) {
        reader.identifier()?;
    }
    if reader.take(&["with"]) {
        reader.group()?;
    } else {
        reader.take(&["without", "oids"]);
    }
    if reader.take(&["on", "commit"]) {
        let known =
            reader.take(&["drop"]) || reader.take(&["delete", "rows"]) || reader.take(&["preserve", "rows"]);
        known.then_some(())?;
    }
    if reader.take(&["tablespace"]) {
        reader.identifier()?;
    }
    Some(())
}

/// Whether an index of this method compares values by the equality of their type.
pub(super) fn is_equality_method(method: &str) -> bool {
    matches!(method, "btree" | "hash")
}

fn unique_word(reader: &Reader<'_>) -> &'static str {
    let mut reader = *reader;
    if reader.take(&["constraint"]) {
        let _ = reader.skip();
    }
    if reader.is("primary") { "PRIMARY KEY" } else { "UNIQUE" }
}

fn next_number(table: &Relation) -> i16 {
    i16::try_from(table.columns.len() + 1).unwrap_or(i16::MAX)
}

fn stored(storage: Storage) -> datum::Oid {
    match storage {
        Storage::Bytea => typename::BYTEA,
        Storage::Text => typename::TEXT,
    }
}
