//! The server's catalog as the analysis needs it, and the queries that fill it.
//!
//! Whoever has a connection runs [`PROLOGUE`], [`QUERIES`] and [`EPILOGUE`] over it, and hands the rows to a
//! [`Loader`]; this module has no connection and holds no credentials.

mod change;
mod check;
mod encrypted;
mod load;
mod pin;
mod queries;
mod session;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::crypto::{Binding, Mode};
use crate::datum::{Base, EnumType, Oid, Type, TypeName};
use crate::policy::type_name;
pub use crate::policy::{ColumnName, ColumnState, RelationName, Storage};
pub use change::{Change, ChangePhase};
pub use check::{Finding, Grade, Statistics, check};
pub use load::{CatalogError, Loader};
pub use pin::{Form, OWN_TRIGGER, Phase, Pin};
pub use queries::{CatalogQuery, EPILOGUE, PROLOGUE, QUERIES, SESSION_QUERY};
pub use session::SessionFacts;

/// How one protected column is sealed: the type of sealed expressions in the analysis.
///
/// Two sealed expressions may be compared if [`Class::compares_with`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The column that it was taken from, for messages.
    pub column: ColumnName,
    /// The type that the application sees.
    pub ty: Type,
    /// The name of the data key that seals.
    pub key: String,
    /// What the derived key is bound to.
    pub binding: Arc<Binding>,
    /// What the server holds.
    pub storage: Storage,
    /// Whether plaintext may be among the stored values.
    pub state: ColumnState,
    /// The server would describe it without the modifier of its type: it is an expression's.
    pub bare: bool,
    /// In which form its values are, where that is not under the active version of the key for sure.
    pub pin: Option<Arc<Pin>>,
}

impl Class {
    /// True if native equality of the two columns' ciphertexts means equality of their plaintexts.
    pub fn compares_with(&self, other: &Self) -> bool {
        self.binding.mode != Mode::Randomized
            && self.binding == other.binding
            && self.key == other.key
            && self.storage == other.storage
    }

    /// Whether its values are deterministic and may be plaintext, which only a pin tells.
    pub fn is_between(&self) -> bool {
        self.state == ColumnState::Migrating && self.binding.mode == Mode::Deterministic
    }

    /// The pin of a context whose values are being moved from one form to another.
    pub fn moving(&self) -> Option<&Arc<Pin>> {
        self.pin.as_ref().filter(|pin| pin.has_both())
    }
}

/// One database's relations, types and functions, as read from the server at one instant.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// `current_database()`.
    pub database: String,
    /// `server_version_num`, 150003 for 15.3.
    pub server_version: u32,
    /// Tables, views, partitions, foreign tables, sequences, of every schema (those of pg_catalog and
    /// information_schema without their columns).
    pub relations: Vec<Relation>,
    /// Enum types and domains.
    pub types: Vec<NamedType>,
    /// Functions and procedures outside pg_catalog and information_schema that may reach a protected relation.
    pub functions: Vec<Function>,
    /// Contexts of deterministic columns whose key was promoted.
    pub pins: Vec<Arc<Pin>>,
    /// Changes of columns' types that are announced.
    pub changes: Vec<Change>,
}

/// Why a policy's type name is no type of this database that can be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownType {
    /// Nothing is called so.
    #[error("the database has no type {0} (or not one that can be encrypted)")]
    Absent(String),
    /// Several schemas have one.
    #[error("several schemas have a type {name}: write one of {}", candidates.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// Where it was found.
        candidates: Vec<String>,
    },
    /// It is a domain.
    #[error("{0} is a domain: write the type that it is over; its checks see encrypted values")]
    Domain(String),
}

impl Catalog {
    /// The type that a policy's type name means here.
    pub fn resolve_type(&self, name: &TypeName) -> Result<Type, UnknownType> {
        let (wanted_schema, wanted, array) = match name {
            TypeName::Builtin(ty) => return Ok(ty.clone()),
            TypeName::Named { schema, name, array } => (schema, name, *array),
        };
        let fits = |ty: &&NamedType| {
            ty.name.name == *wanted && wanted_schema.as_ref().is_none_or(|schema| *schema == ty.name.schema)
        };
        let mut found = self.types.iter().filter(fits);
        let absent = || UnknownType::Absent(type_name(name));
        let ty = found.next().ok_or_else(absent)?;
        let candidates: Vec<_> = found.map(|other| other.name.to_string()).collect();
        if !candidates.is_empty() {
            let all = std::iter::once(ty.name.to_string()).chain(candidates).collect();
            return Err(UnknownType::Ambiguous { name: wanted.clone(), candidates: all });
        }
        let Some(labels) = &ty.labels else { return Err(UnknownType::Domain(ty.name.to_string())) };
        let base = Base::Enum(Arc::new(EnumType {
            oid: ty.oid,
            array_oid: ty.array_oid,
            name: ty.name.to_string(),
            labels: labels.clone(),
        }));
        Ok(Type { base: if array { Base::Array(Box::new(base)) } else { base }, modifier: -1 })
    }

    /// Whether an expression or a view is left out: while somebody holds an exclusive lock they cannot be read.
    pub fn has_gaps(&self) -> bool {
        let needs = |kind: DependentKind| match kind {
            DependentKind::Policy
            | DependentKind::Check
            | DependentKind::ExpressionIndex
            | DependentKind::Rule => true,
            DependentKind::Unique
            | DependentKind::Exclusion
            | DependentKind::ForeignKey
            | DependentKind::ReferencedBy
            | DependentKind::Index
            | DependentKind::PartitionKey
            | DependentKind::BeforeRowTrigger
            | DependentKind::ConditionalTrigger => false,
        };
        self.relations.iter().filter(|relation| relation.oid >= 16384).any(|relation| {
            let is_view = matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView);
            (is_view && relation.definition.is_none())
                || relation.dependents.iter().any(|one| needs(one.kind) && one.expression.is_none())
                || relation.columns.iter().any(|column| column.default.as_deref() == Some(""))
        })
    }

    /// A relation and everything below it: its partitions and inheritance children, theirs and so on.
    pub fn with_descendants(&self, oid: Oid) -> BTreeSet<Oid> {
        let mut family = BTreeSet::from([oid]);
        loop {
            let before = family.len();
            for relation in &self.relations {
                if relation.parents.iter().any(|parent| family.contains(parent)) {
                    family.insert(relation.oid);
                }
            }
            if family.len() == before {
                return family;
            }
        }
    }
}

/// A row of pg_class with what depends on it.
#[derive(Clone, Debug)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: Oid,
    /// Schema and name.
    pub name: RelationName,
    /// `pg_class.relkind`.
    pub kind: RelationKind,
    /// Its columns in order, dropped ones left out.
    pub columns: Vec<Attribute>,
    /// Direct parents of a partition or an inheritance child.
    pub parents: Vec<Oid>,
    /// A view's (or materialized view's) definition, as `pg_get_viewdef` gives it under an empty search path;
    /// `None` too if it could not be read, so a view without one is opaque.
    pub definition: Option<String>,
    /// Constraints, indexes, policies, triggers and rules.
    pub dependents: Vec<Dependent>,
    /// Other relations that its rewrite rules (a view's own SELECT rule too) depend on.
    pub rule_references: Vec<Oid>,
}

/// `pg_class.relkind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is PostgreSQL's kind of that name")]
pub enum RelationKind {
    Table,
    PartitionedTable,
    View,
    MaterializedView,
    ForeignTable,
    Sequence,
    CompositeType,
}

/// A row of pg_attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// `attnum`.
    pub number: i16,
    /// `attname`.
    pub name: String,
    /// `atttypid`.
    pub type_oid: Oid,
    /// `atttypmod`.
    pub modifier: i32,
    /// `attnotnull`.
    pub not_null: bool,
    /// It has a collation under which different strings may be equal.
    pub nondeterministic_collation: bool,
    /// The default's expression, as `pg_get_expr` gives it (a generated column's too); empty if it could not
    /// be read.
    pub default: Option<String>,
    /// `attgenerated` is set.
    pub generated: bool,
    /// `attidentity` is set.
    pub identity: bool,
}

/// Something on a table that uses columns of it.
#[derive(Clone, Debug)]
pub struct Dependent {
    /// What it is.
    pub kind: DependentKind,
    /// Its name.
    pub name: String,
    /// The attribute numbers that it uses.
    pub columns: Vec<i16>,
    /// Its definition or expression where it has one, see [`DependentKind`]; `None` too if it could not be read,
    /// so a kind that needs one and has none is opaque.
    pub expression: Option<String>,
    /// The relation at the other end of a foreign key, and its columns in the order of `columns`.
    pub other_end: Option<(Oid, Vec<i16>)>,
}

/// Kinds of [`Dependent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependentKind {
    /// A row security policy: one for each of its USING and WITH CHECK expressions.
    Policy,
    /// A CHECK constraint.
    Check,
    /// A PRIMARY KEY or UNIQUE constraint, or a unique index: the access method is in `expression`.
    Unique,
    /// An exclusion constraint: its operators are in `expression`, with commas.
    Exclusion,
    /// A FOREIGN KEY, on the referencing table.
    ForeignKey,
    /// The same seen from the referenced table.
    ReferencedBy,
    /// A plain index over columns: `btree`, `hash`, ... is in `expression`.
    Index,
    /// An index's expressions (with commas) or its predicate, one of each, beside its entry as `Unique`,
    /// `Exclusion` or `Index` for plain columns.
    ExpressionIndex,
    /// The partition key: `list`, `hash` or `range` is in `expression`; or the expressions in it.
    PartitionKey,
    /// A BEFORE ROW trigger for INSERT or UPDATE, enabled or not: its WHEN condition, if any, is in `expression`.
    BeforeRowTrigger,
    /// Another trigger that has a WHEN condition, which is in `expression`.
    ConditionalTrigger,
    /// A rewrite rule other than a view's.
    Rule,
}

/// An enum type or a domain.
#[derive(Clone, Debug)]
pub struct NamedType {
    /// `pg_type.oid`.
    pub oid: Oid,
    /// `pg_type.typarray`.
    pub array_oid: Oid,
    /// Schema and name.
    pub name: RelationName,
    /// Labels of an enum in order; `None` for a domain.
    pub labels: Option<Vec<String>>,
}

/// A function or procedure.
#[derive(Clone, Debug)]
pub struct Function {
    /// `pg_proc.oid`.
    pub oid: Oid,
    /// Schema and name.
    pub name: RelationName,
    /// Its source text (`prosrc`); for a body in BEGIN ATOMIC the names of the relations and functions in it.
    pub body: String,
    /// The relation whose row type (or an array of it) it returns, if any.
    pub returns_rows_of: Option<Oid>,
}
