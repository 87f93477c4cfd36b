//! A policy held against a catalog: can the columns hold sealed values, and does what depends on them
//! still mean the same?
//!
//! Expressions (of policies, CHECKs, indexes, triggers, rules and views) are typed by the analysis; here is what
//! can be told from names, types and attribute numbers.

use std::collections::BTreeMap;

use super::{Attribute, Catalog, Dependent, DependentKind, Relation, RelationKind, Storage};
use crate::crypto::Mode;
use crate::datum::{Base, Oid, Type};
use crate::policy::{Column, ColumnName, Place, Policy, RelationName, Table, type_name};

/// `pg_stats.n_distinct` where it is known: a number of values, or, negative, a share of the rows.
pub type Statistics = BTreeMap<ColumnName, f64>;

/// Something that a policy and a database disagree about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where the policy names the table or column.
    pub place: Place,
    /// How bad it is.
    pub grade: Grade,
    /// What it is, and the way out.
    pub message: String,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Statements will fail or be refused, or values stay in plaintext.
    Problem,
    /// It works, but it may not be what is meant.
    Warning,
}

/// Everything that the two disagree about, in the order of the policy.
pub fn check(policy: &Policy, catalog: &Catalog, statistics: &Statistics) -> Vec<Finding> {
    let by_name = catalog.relations.iter().map(|r| (&r.name, r)).collect();
    let by_oid = catalog.relations.iter().map(|r| (r.oid, r)).collect();
    let mut checker = Checker { policy, catalog, statistics, by_name, by_oid, findings: Vec::new() };
    for (name, table) in &policy.tables {
        checker.table(name, table);
    }
    checker.findings.sort();
    checker.findings.dedup();
    checker.findings
}

/// A deterministic column with fewer different values than this is warned about: their frequencies tell
/// them apart.
const FEW_VALUES: f64 = 100.0;

struct Checker<'a> {
    policy: &'a Policy,
    catalog: &'a Catalog,
    statistics: &'a Statistics,
    by_name: BTreeMap<&'a RelationName, &'a Relation>,
    by_oid: BTreeMap<Oid, &'a Relation>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn table(&mut self, name: &RelationName, table: &Table) {
        let Some(&relation) = self.by_name.get(name) else {
            let hint = self.similar_relation(name);
            let database = &self.catalog.database;
            let message = format!(
                "database {database} has no table {name}{hint}; its columns are encrypted once there is one"
            );
            return self.warn(table.place, message);
        };
        let kind = match relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable => None,
            RelationKind::View => Some("a view: name the tables that it reads"),
            RelationKind::MaterializedView => Some("a materialized view: name the tables that it reads"),
            RelationKind::ForeignTable => Some("a foreign table, which cannot be encrypted here"),
            RelationKind::Sequence => Some("a sequence"),
            RelationKind::CompositeType => Some("a composite type"),
        };
        if let Some(kind) = kind {
            return self.problem(table.place, format!("{name} is {kind}"));
        }
        let family = self.catalog.with_descendants(relation.oid);
        for (column, of_policy) in &table.columns {
            self.declared_type(&name.column(column), of_policy);
            self.parents(relation, column, of_policy);
            for oid in &family {
                let Some(&member) = self.by_oid.get(oid) else { continue };
                if member.oid != relation.oid {
                    if self.policy.column(&member.name.column(column)).is_some() {
                        continue;
                    }
                    self.other_parents(member, column, of_policy);
                }
                self.column(member, column, of_policy, table);
            }
        }
    }

    /// What is wrong with the column whatever the table.
    fn declared_type(&mut self, name: &ColumnName, column: &Column) {
        let ty = match self.catalog.resolve_type(&column.ty) {
            Ok(ty) => ty,
            Err(error) => return self.problem(column.place, format!("column {name}: {error}")),
        };
        if column.mode == Mode::Randomized || column.accept_leakage.is_some() {
            return;
        }
        let values = match (&ty.base, self.statistics.get(name)) {
            (Base::Bool, _) => "can only have 2 different values".to_owned(),
            (Base::Enum(ty), _) => format!("can only have {} different values", ty.labels.len()),
            (_, Some(n)) if *n > 0.0 && *n < FEW_VALUES => format!("has about {n} different values"),
            _ => return,
        };
        self.warn(
            column.place,
            format!(
                "column {name} is {} and {values}: the database cannot tell what they are, but everyone who reads \
                 it can tell how often each occurs, and that may be enough to guess them; make the column \
                 randomized, or accept it with accept_leakage = \"why\"",
                column.mode
            ),
        );
    }

    /// A partition or child is covered with its parent, and never without it.
    fn parents(&mut self, relation: &Relation, column: &str, of_policy: &Column) {
        let parents: Vec<_> =
            relation.parents.iter().filter_map(|oid| self.by_oid.get(oid).copied()).collect();
        for parent in parents {
            if !parent.columns.iter().any(|attribute| attribute.name == column) {
                continue;
            }
            let problem = match self.policy.column(&parent.name.column(column)) {
                Some(above) if same_class(above, of_policy) => continue,
                Some(_) => format!(
                    "column {} is sealed as in {} already, and here in another way: leave it out here",
                    relation.name.column(column),
                    parent.name
                ),
                None => format!(
                    "{0} is a partition or child of {1}, through which its column {column} would be read as if it \
                     were plain: name {1} instead, its partitions and children are covered with it",
                    relation.name, parent.name
                ),
            };
            self.problem(of_policy.place, problem);
        }
    }

    /// One column in one table: the policy's own, or one below it.
    fn column(&mut self, relation: &Relation, column: &str, of_policy: &Column, table: &Table) {
        let name = relation.name.column(column);
        let place = of_policy.place;
        let Some(attribute) = relation.columns.iter().find(|attribute| attribute.name == column) else {
            let hint = similar(relation.columns.iter().map(|a| a.name.as_str()), column);
            let message = format!(
                "table {} has no column {column}{hint}; it is encrypted once there is one",
                relation.name
            );
            return self.warn(place, message);
        };
        let Some(storage) = self.storage(&name, attribute, of_policy) else { return };
        if attribute.nondeterministic_collation && of_policy.mode != Mode::Randomized {
            self.problem(
                place,
                format!(
                    "column {name} has a nondeterministic collation, under which other bytes may count as equal: \
                     give it another collation, or make it bytea"
                ),
            );
        }
        if attribute.identity {
            self.problem(
                place,
                format!("column {name} is an identity column: its values are the server's, in plaintext"),
            );
        }
        match &attribute.default {
            _ if attribute.generated => {
                self.problem(place, format!("column {name} is generated: the server computes it, in plaintext"));
            }
            Some(default) if !is_sealed_default(default) => self.problem(
                place,
                format!(
                    "column {name} has a default, which the server would store in plaintext: drop the default, and \
                     let the application give the value"
                ),
            ),
            _ => {}
        }
        let uses: Vec<&Dependent> = relation
            .dependents
            .iter()
            .filter(|d| d.columns.contains(&attribute.number) || d.kind == DependentKind::BeforeRowTrigger)
            .collect();
        for dependent in uses {
            self.dependent(&name, attribute, of_policy, storage, table, dependent);
        }
    }

    /// Through another parent that the policy leaves out, values would be read as if they were plain.
    fn other_parents(&mut self, relation: &Relation, column: &str, of_policy: &Column) {
        let covered = |parent: &Relation| {
            self.catalog.relations.iter().any(|r| {
                self.policy.column(&r.name.column(column)).is_some()
                    && self.catalog.with_descendants(r.oid).contains(&parent.oid)
            })
        };
        let bare: Vec<_> = relation
            .parents
            .iter()
            .filter_map(|oid| self.by_oid.get(oid))
            .filter(|parent| parent.columns.iter().any(|a| a.name == column) && !covered(parent))
            .map(|parent| parent.name.clone())
            .collect();
        for parent in bare {
            let message = format!(
                "table {} inherits column {column} from {parent} too, which the policy does not seal",
                relation.name
            );
            self.problem(of_policy.place, message);
        }
    }

    /// What the server holds, if it can hold sealed values.
    fn storage(&mut self, name: &ColumnName, attribute: &Attribute, column: &Column) -> Option<Storage> {
        let physical = Type::from_oid(attribute.type_oid, attribute.modifier);
        match physical.as_ref().map(|ty| &ty.base) {
            Some(Base::Bytea) => return Some(Storage::Bytea),
            Some(Base::Text) => return Some(Storage::Text),
            Some(Base::Varchar) => {}
            _ => {
                let shown = physical.map_or_else(|| self.type_shown(attribute.type_oid), |ty| ty.to_string());
                self.problem(
                    column.place,
                    format!(
                        "column {name} has type {shown} in the database, which cannot hold encrypted values: it has to \
                         be bytea (or text), while the application goes on to see {}",
                        type_name(&column.ty)
                    ),
                );
                return None;
            }
        }
        let Some(width) = attribute.modifier.checked_sub(VARHDRSZ).and_then(|n| usize::try_from(n).ok())
        else {
            return Some(Storage::Text);
        };
        let ty = self.catalog.resolve_type(&column.ty).ok()?;
        let needed = longest(&ty).map(|bytes| sealed_text_width(column.mode, bytes));
        if needed.is_none_or(|needed| needed > width) {
            let needed = needed.map_or_else(|| "any length".to_owned(), |n| format!("up to {n} characters"));
            self.problem(
                column.place,
                format!(
                    "column {name} is varchar({width}) in the database, and encrypted values of type {} have {needed}: \
                     make it text or bytea",
                    type_name(&column.ty)
                ),
            );
        }
        Some(Storage::Text)
    }

    fn dependent(
        &mut self,
        name: &ColumnName,
        attribute: &Attribute,
        column: &Column,
        storage: Storage,
        table: &Table,
        dependent: &Dependent,
    ) {
        let randomized = column.mode == Mode::Randomized;
        let what = &dependent.name;
        let problem = match dependent.kind {
            DependentKind::Unique if randomized => format!(
                "column {name} is randomized, so {what} cannot keep it unique: every value is stored as a different one"
            ),
            DependentKind::Exclusion if randomized || dependent.expression.as_deref().is_some_and(orders) => {
                format!("exclusion constraint {what} compares column {name} in a way that its mode does not keep")
            }
            DependentKind::PartitionKey if randomized => {
                format!("column {name} is in the partition key of {what}, so it cannot be randomized")
            }
            DependentKind::PartitionKey if !matches!(dependent.expression.as_deref(), Some("list" | "hash")) => format!(
                "column {name} is in the partition key of {what}; only keys by list or hash keep their meaning"
            ),
            DependentKind::ForeignKey | DependentKind::ReferencedBy => {
                let Some(problem) = self.foreign_key(name, attribute, column, storage, dependent) else { return };
                problem
            }
            DependentKind::Index if randomized => {
                return self.warn(
                    column.place,
                    format!("index {what} is over column {name}, which is randomized: it finds nothing but NULLs"),
                );
            }
            DependentKind::BeforeRowTrigger if storage == Storage::Text && !table.before_triggers_acknowledged => {
                format!(
                    "trigger {what} runs before rows of {} are stored, and could change the encrypted text in column \
                     {name} (lower() would destroy it): make the column bytea, or read the trigger and write \
                     before_triggers = \"acknowledged\" in the table",
                    name.relation
                )
            }
            DependentKind::Unique
            | DependentKind::Exclusion
            | DependentKind::PartitionKey
            | DependentKind::Index
            | DependentKind::BeforeRowTrigger
            // Expressions are typed by the analysis.
            | DependentKind::Policy
            | DependentKind::Check
            | DependentKind::ExpressionIndex
            | DependentKind::ConditionalTrigger
            | DependentKind::Rule => return,
        };
        self.problem(column.place, problem);
    }

    /// Both ends of a foreign key have to be sealed alike.
    fn foreign_key(
        &self,
        name: &ColumnName,
        attribute: &Attribute,
        column: &Column,
        storage: Storage,
        key: &Dependent,
    ) -> Option<String> {
        let (oid, other_columns) = key.other_end.as_ref()?;
        let other = self.by_oid.get(oid)?;
        let position = key.columns.iter().position(|number| *number == attribute.number)?;
        let other_number = other_columns.get(position)?;
        let other_attribute = other.columns.iter().find(|a| a.number == *other_number)?;
        let other_name = other.name.column(&other_attribute.name);
        let shown = format!("foreign key {} ties column {name} to {other_name}", key.name);
        if column.mode == Mode::Randomized {
            return Some(format!("{shown}, but it is randomized, so no two of its values compare equal"));
        }
        let Some(other_column) = self.sealed_above(other, &other_attribute.name) else {
            return Some(format!(
                "{shown}, which is not encrypted: name it in the policy too, with context = '{}'",
                column.context
            ));
        };
        if !same_class(column, other_column) {
            return Some(format!(
                "{shown}, which is encrypted in another way: both need the same context, key and mode"
            ));
        }
        let other_storage = Type::from_oid(other_attribute.type_oid, -1)
            .map(|ty| if ty.base == Base::Bytea { Storage::Bytea } else { Storage::Text });
        (other_storage != Some(storage))
            .then(|| format!("{shown}; one of them is bytea and the other text, so they compare never equal"))
    }

    /// What the policy says about a column of a relation or of one above it.
    fn sealed_above(&self, relation: &Relation, column: &str) -> Option<&Column> {
        self.policy.column(&relation.name.column(column)).or_else(|| {
            let parents = relation.parents.iter().filter_map(|oid| self.by_oid.get(oid));
            parents.into_iter().find_map(|parent| self.sealed_above(parent, column))
        })
    }

    fn type_shown(&self, oid: Oid) -> String {
        self.catalog
            .types
            .iter()
            .find(|ty| ty.oid == oid)
            .map_or_else(|| format!("with object id {oid}"), |ty| ty.name.to_string())
    }

    /// A relation that may be the one that was meant.
    fn similar_relation(&self, name: &RelationName) -> String {
        let alike = |r: &&&RelationName| {
            r.name.eq_ignore_ascii_case(&name.name)
                && (r.name != name.name || r.schema != name.schema)
                && !r.schema.starts_with("pg_")
                && r.schema != "information_schema"
        };
        self.by_name.keys().find(alike).map_or_else(String::new, |found| format!(" (but it has {found})"))
    }

    fn problem(&mut self, place: Place, message: String) {
        self.findings.push(Finding { place, grade: Grade::Problem, message });
    }

    fn warn(&mut self, place: Place, message: String) {
        self.findings.push(Finding { place, grade: Grade::Warning, message });
    }
}

/// The four bytes that PostgreSQL adds to a length in a type modifier.
const VARHDRSZ: i32 = 4;

fn same_class(a: &Column, b: &Column) -> bool {
    (a.mode, &a.key, &a.context) == (b.mode, &b.key, &b.context)
}

/// An exclusion constraint's operators that are not all `=`.
fn orders(operators: &str) -> bool {
    operators.split(',').any(|operator| operator != "=")
}

/// A default that stores nothing, or a sealed value.
fn is_sealed_default(expression: &str) -> bool {
    let expression = expression.trim();
    expression.is_empty()
        || expression == "NULL"
        || expression.starts_with("NULL::")
        || expression.starts_with("'\\xe51")
        || expression.starts_with("'pgs1.")
}

fn similar<'a>(mut names: impl Iterator<Item = &'a str>, wanted: &str) -> String {
    names
        .find(|name| name.eq_ignore_ascii_case(wanted))
        .map_or_else(String::new, |found| format!(" (but it has {})", crate::policy::quote_ident(found)))
}

/// The most bytes that a value's canonical form can have; `None` if there is no limit.
fn longest(ty: &Type) -> Option<usize> {
    let modifier = usize::try_from(ty.modifier.checked_sub(VARHDRSZ)?);
    Some(match &ty.base {
        Base::Bool => 1,
        Base::Int2 | Base::Int4 | Base::Int8 | Base::Float4 | Base::Float8 => 8,
        Base::Date => 4,
        Base::Time | Base::Timestamp | Base::Timestamptz => 8,
        Base::Interval | Base::Uuid => 16,
        // Family, bits, flag, length, and the longer kind of address.
        Base::Inet | Base::Cidr => 4 + 16,
        Base::Macaddr => 6,
        // Four bytes are the most that a character has in UTF-8.
        Base::Varchar | Base::Bpchar => modifier.ok()?.saturating_mul(4),
        // A header of 8 bytes, and 2 for each group of four digits, of which two may be started.
        Base::Numeric => 8 + 2 * ((modifier.ok()? >> 16).div_ceil(4) + 2),
        Base::Enum(ty) => ty.labels.iter().map(String::len).max()?,
        Base::Text | Base::Bytea | Base::Json | Base::Jsonb | Base::Array(_) => return None,
    })
}

/// Characters of `pgs1.` and the envelope in base64url.
fn sealed_text_width(mode: Mode, bytes: usize) -> usize {
    let envelope = bytes.saturating_add(mode.overhead().unwrap_or(usize::MAX / 8));
    5 + envelope.saturating_mul(4).div_ceil(3)
}
