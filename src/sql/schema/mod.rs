//! A policy joined with a catalog: what each name means, and what stands in the way of using it.

mod build;
mod dependents;
mod family;
mod planned;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub(super) use planned::{Disagreement, Planned, PlannedColumn, alike};

use super::scan::ProtectedNames;
use super::{Effects, OutputValue};
use crate::catalog::{Change, Class, ColumnName, RelationKind, RelationName};
use crate::datum::{Base, Oid};

/// A policy joined with a catalog: relations whose columns have classes, views typed, functions and
/// relations that may not be touched with the reason.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    database: String,
    server_version: u32,
    relations: HashMap<RelationName, Arc<Relation>>,
    names_by_oid: HashMap<Oid, RelationName>,
    types: HashMap<RelationName, Oid>,
    /// Functions that reach a protected relation, by their name without schema.
    reaching: HashMap<String, Vec<RelationName>>,
    /// Functions that the policy says take or give encrypted values, by their name without schema.
    declared: HashMap<String, Vec<Arc<DeclaredFunction>>>,
    /// Functions that may change what names mean, or settings, by their name without schema.
    effects: HashMap<String, Vec<(RelationName, Effects)>>,
    /// What the policy says of its tables.
    planned: HashMap<RelationName, Planned>,
    names: ProtectedNames,
    /// A column's values are found by their ciphertexts, or its type is going to change.
    has_deterministic: bool,
    changing: Option<ColumnName>,
    /// False if the policy seals nothing.
    has_policy: bool,
}

/// Something about a table that keeps statements on it from being carried out, or that should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaProblem {
    /// The table.
    pub relation: RelationName,
    /// The column, where it is about one.
    pub column: Option<String>,
    /// What follows from it.
    pub consequence: Consequence,
    /// What it is.
    pub message: String,
}

/// The end of the message about a column that waits for the command that it is written into the policy for.
pub const NOT_BEGUN: &str = "is state = \"migrating\" in the policy, and the database does not say yet whether its values \
     are encrypted: run \"pgseal encrypt\" for it, or \"pgseal decrypt\"";

/// What follows from a [`SchemaProblem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consequence {
    /// Nothing.
    Warning,
    /// Statements that write to the table are refused.
    WritesRefused,
    /// Statements that name the table are refused.
    Refused,
}

/// A function that the policy declares.
#[derive(Debug)]
pub(super) struct DeclaredFunction {
    pub(super) name: RelationName,
    /// What each argument is stored as; `None` for one that is not encrypted.
    pub(super) arguments: Vec<Option<Arc<Class>>>,
    /// What its result is.
    pub(super) returns: Option<Arc<Class>>,
}

/// A relation as statements see it.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) oid: Oid,
    pub(super) name: RelationName,
    pub(super) kind: RelationKind,
    pub(super) columns: Vec<RelationColumn>,
    /// False where the catalog does not list columns (PostgreSQL's own relations).
    pub(super) columns_known: bool,
    /// The numbers of the columns by which it is partitioned.
    pub(super) partition_key: Vec<i16>,
    /// The names of its CHECK constraints.
    pub(super) checks: Vec<String>,
    /// It has encrypted columns, or reaches some.
    pub(super) is_protected: bool,
    /// Announced changes of its columns' types, or of those that it reaches.
    pub(super) changes: Vec<Change>,
    /// The classes of columns that its query or its row security joins while their values are moved.
    pub(super) joined: Vec<Arc<Class>>,
    /// Why no statement may name it.
    pub(super) blocked: Option<Arc<str>>,
    /// Why no statement may write to it.
    pub(super) writes_blocked: Option<Arc<str>>,
}

/// A column of a relation.
#[derive(Clone, Debug)]
pub(super) struct RelationColumn {
    pub(super) number: i16,
    pub(super) name: String,
    pub(super) value: OutputValue,
    /// `atttypid` and `atttypmod`.
    pub(super) physical: (Oid, i32),
    /// Computed by the server; COPY leaves it out.
    pub(super) generated: bool,
    /// There is no default, or it is NULL or a sealed value.
    pub(super) default_is_sealed: bool,
}

impl Relation {
    /// The column of that name.
    pub(super) fn column(&self, name: &str) -> Option<&RelationColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Why nothing can be written to this one through the proxy, if it is protected.
    pub(super) fn unwritable(&self) -> Option<Arc<str>> {
        match self.kind {
            RelationKind::View | RelationKind::MaterializedView => {
                Some("writing through a view over encrypted columns is not supported".into())
            }
            RelationKind::Table
            | RelationKind::PartitionedTable
            | RelationKind::ForeignTable
            | RelationKind::Sequence
            | RelationKind::CompositeType => self.writes_blocked.clone(),
        }
    }

    /// Whether a column is encrypted.
    pub(super) fn has_sealed(&self) -> bool {
        self.columns.iter().any(|column| !matches!(column.value, OutputValue::Plain))
    }
}

impl Schema {
    /// True if nothing is protected, so that every text can be forwarded without a look.
    pub fn is_empty(&self) -> bool {
        !self.has_policy
    }

    /// The database that the catalog was read from.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// `server_version_num` of its server.
    pub fn server_version(&self) -> u32 {
        self.server_version
    }

    /// The names that a text must not hold to be forwarded without being understood.
    pub fn names(&self) -> &ProtectedNames {
        &self.names
    }

    /// Whether values of some column are found by their ciphertexts, and so by the key that they are under; or may be
    /// plain now and encrypted soon.
    pub fn has_deterministic(&self) -> bool {
        self.has_deterministic
    }

    /// What a column holds, by its relation's object id and its number; `None` if it is not encrypted or not
    /// known.
    pub fn sealed_column(&self, relation: Oid, number: i16) -> Option<&OutputValue> {
        let relation = self.relations.get(self.names_by_oid.get(&relation)?)?;
        let column = relation.columns.iter().find(|column| column.number == number)?;
        match &column.value {
            OutputValue::Plain => None,
            value @ (OutputValue::Sealed(_) | OutputValue::SealedArray(_)) => Some(value),
        }
    }

    /// The name of a relation.
    pub(super) fn name_of(&self, relation: Oid) -> Option<&RelationName> {
        self.names_by_oid.get(&relation)
    }

    /// The type and modifier that a column has in the database.
    pub(super) fn physical(&self, (relation, number): (Oid, i16)) -> Option<(Oid, i32)> {
        let relation = self.relations.get(self.name_of(relation)?)?;
        relation.columns.iter().find(|column| column.number == number).map(|column| column.physical)
    }

    /// Whether the catalog knows a relation of this object id.
    pub fn knows(&self, relation: Oid) -> bool {
        self.names_by_oid.contains_key(&relation)
    }

    /// The encrypted columns of all relations, each relation's own and its views', partitions' and children's.
    pub fn sealed_columns(&self) -> impl Iterator<Item = (ColumnName, &Arc<Class>)> {
        self.relations.values().flat_map(|relation| {
            relation.columns.iter().filter_map(|column| match &column.value {
                OutputValue::Sealed(class) | OutputValue::SealedArray(class) => {
                    Some((relation.name.column(column.name.clone()), class))
                }
                OutputValue::Plain => None,
            })
        })
    }

    /// Whether the types of some table's columns are about to change, or have just changed.
    pub fn is_changing(&self) -> bool {
        self.changing.is_some()
    }

    /// A column whose type is about to change, or has just changed.
    pub(super) fn changing(&self) -> Option<&ColumnName> {
        self.changing.as_ref()
    }

    /// A column whose values are being moved from one form to another, or may be.
    pub(super) fn moving(&self) -> Option<&ColumnName> {
        self.relations.values().flat_map(|relation| &relation.columns).find_map(|column| {
            match &column.value {
                OutputValue::Sealed(class) | OutputValue::SealedArray(class) => {
                    (class.moving().is_some() || class.is_between()).then_some(&class.column)
                }
                OutputValue::Plain => None,
            }
        })
    }

    /// Whether an enum type of that name is one of an encrypted column.
    pub(super) fn seals_type(&self, name: &str) -> bool {
        let oids = self.types.iter().filter(|(ty, _)| ty.name == name).map(|(_, oid)| *oid);
        let oids: Vec<Oid> = oids.collect();
        self.sealed_columns().any(|(_, class)| match class.ty.base.element().unwrap_or(&class.ty.base) {
            Base::Enum(own) => oids.contains(&own.oid),
            _ => false,
        })
    }

    pub(super) fn relation(&self, name: &RelationName) -> Option<Arc<Relation>> {
        self.relations.get(name).cloned()
    }

    /// The first relation of that name along a search path.
    pub(super) fn resolve(&self, name: &str, search_path: &[String]) -> Option<Arc<Relation>> {
        search_path.iter().find_map(|schema| self.relation(&RelationName::new(schema.clone(), name)))
    }

    /// Whether a relation, view, partition or function of that name is protected in some schema.
    pub(super) fn is_protected_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The function that a call may mean, if it may reach a protected relation.
    pub(super) fn reaching_function(&self, parts: &[&str], search_path: &[String]) -> Option<String> {
        match parts {
            ["pg_catalog", name] if RUN_TEXT.contains(name) => Some((*name).to_owned()),
            [name] => {
                let of_path = |function: &&RelationName| search_path.contains(&function.schema);
                let found = self.reaching.get(*name).and_then(|functions| functions.iter().find(of_path));
                found
                    .map(RelationName::to_string)
                    .or_else(|| RUN_TEXT.contains(name).then(|| (*name).to_owned()))
            }
            [.., schema, name] => {
                let functions = self.reaching.get(*name)?;
                functions.iter().find(|function| function.schema == *schema).map(RelationName::to_string)
            }
            [] => None,
        }
    }

    /// The function of the policy that a call may mean.
    pub(super) fn declared_function(
        &self,
        parts: &[&str],
        search_path: &[String],
    ) -> Option<Arc<DeclaredFunction>> {
        let (name, schema) = match parts {
            [name] => (*name, None),
            [.., schema, name] => (*name, Some(*schema)),
            [] => return None,
        };
        let of_name = self.declared.get(name)?;
        let called = of_name.iter().find(|function| match schema {
            Some(schema) => function.name.schema == schema,
            None => search_path.contains(&function.name.schema),
        });
        called.cloned()
    }

    /// What a call may do to the session's knowledge.
    pub(super) fn function_effects(&self, parts: &[&str], search_path: &[String]) -> Effects {
        let settings = Effects { search_path: true, settings: true, ..Effects::default() };
        let own = match parts {
            ["set_config"] | ["pg_catalog", "set_config"] => settings,
            _ => Effects::default(),
        };
        let (name, schema) = match parts {
            [name] => (*name, None),
            [.., schema, name] => (*name, Some(*schema)),
            [] => return own,
        };
        let functions = self.effects.get(name).into_iter().flatten();
        let called = functions.filter(|(function, _)| match schema {
            Some(schema) => function.schema == schema,
            None => search_path.contains(&function.schema),
        });
        called.fold(own, |effects, (_, more)| effects.and(*more))
    }

    /// An enum type by its name.
    pub(super) fn type_named(&self, parts: &[String], search_path: &[String]) -> Option<Oid> {
        let find = |schema: &str, name: &str| self.types.get(&RelationName::new(schema, name)).copied();
        match parts {
            [name] => search_path.iter().find_map(|schema| find(schema, name)),
            [schema, name] => find(schema, name),
            _ => None,
        }
    }
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "{}: {}", self.relation.column(column.clone()), self.message),
            None => write!(f, "{}: {}", self.relation, self.message),
        }
    }
}

/// Functions of PostgreSQL's own that run a query given as text, or read relations that they are not told.
///
/// <https://www.postgresql.org/docs/current/functions-xml.html#FUNCTIONS-XML-MAPPING>
const RUN_TEXT: [&str; 16] = [
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "database_to_xmlschema",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "table_to_xmlschema",
    "ts_rewrite",
    "ts_stat",
];
