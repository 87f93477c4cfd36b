//! From the queries' rows to a [`Catalog`].

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use super::queries::QUERIES;
use super::{
    Attribute, Catalog, Change, Dependent, DependentKind, Function, NamedType, Pin, Relation, RelationKind,
    RelationName,
};
use crate::datum::Oid;

/// Takes the rows of [`QUERIES`](super::QUERIES), in the order of the queries.
#[derive(Debug, Default)]
pub struct Loader {
    database: Option<(String, u32)>,
    relations: BTreeMap<Oid, Relation>,
    types: BTreeMap<Oid, NamedType>,
    functions: Vec<Function>,
    pins: Vec<Arc<Pin>>,
    changes: Vec<Change>,
}

/// The server's answer to a query of ours is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// There is no query of that index.
    #[error("there is no catalog query {0}")]
    NoSuchQuery(usize),
    /// A field is missing or NULL.
    #[error("the server's answer to the {query} query has no {field}")]
    Missing {
        /// The query.
        query: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field cannot be read.
    #[error("the server's answer to the {query} query has a {field} that is none")]
    Malformed {
        /// The query.
        query: &'static str,
        /// The field.
        field: &'static str,
    },
}

impl Loader {
    /// A loader that has seen no row.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one row of the query at `query` in [`QUERIES`](super::QUERIES), in text format.
    ///
    /// Each query sees its own snapshot, so rows about a relation that came or went between two of them are
    /// left out; the DDL that did it causes the next load.
    pub fn row(&mut self, query: usize, fields: &[Option<&[u8]>]) -> Result<(), CatalogError> {
        let name = QUERIES.get(query).ok_or(CatalogError::NoSuchQuery(query))?.name;
        let mut row = Row::new(name, fields);
        match query {
            0 => self.database(&mut row),
            1 => self.relation(&mut row),
            2 => self.column(&mut row),
            3 => self.parent(&mut row),
            4 => self.rule_reference(&mut row),
            5 => self.dependent(&mut row),
            6 => self.ty(&mut row),
            7 => self.function(&mut row),
            8 => self.pin(&mut row),
            _ => Err(CatalogError::NoSuchQuery(query)),
        }
    }

    /// The catalog, once all rows are in.
    pub fn finish(self) -> Result<Catalog, CatalogError> {
        let (database, server_version) =
            self.database.ok_or(CatalogError::Missing { query: "database", field: "row" })?;
        Ok(Catalog {
            database,
            server_version,
            relations: self.relations.into_values().collect(),
            types: self.types.into_values().collect(),
            functions: self.functions,
            pins: self.pins,
            changes: self.changes,
        })
    }

    fn database(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        self.database = Some((row.parse("database")?, row.parse("server_version_num")?));
        Ok(())
    }

    fn relation(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        let relation = Relation {
            oid: row.parse("oid")?,
            name: row.name()?,
            kind: row.parse("relkind")?,
            columns: Vec::new(),
            parents: Vec::new(),
            definition: row.optional("definition")?.map(str::to_owned),
            dependents: Vec::new(),
            rule_references: Vec::new(),
        };
        self.relations.insert(relation.oid, relation);
        Ok(())
    }

    fn column(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        let relation = self.relations.get_mut(&row.parse("attrelid")?);
        let attribute = Attribute {
            number: row.parse("attnum")?,
            name: row.parse("attname")?,
            type_oid: row.parse("atttypid")?,
            modifier: row.parse("atttypmod")?,
            not_null: row.bool("attnotnull")?,
            generated: row.bool("attgenerated")?,
            identity: row.bool("attidentity")?,
            default: row.optional("default")?.map(str::to_owned),
            nondeterministic_collation: row.bool("collation")?,
        };
        if let Some(relation) = relation {
            relation.columns.push(attribute);
        }
        Ok(())
    }

    fn parent(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        let relation = self.relations.get_mut(&row.parse("inhrelid")?);
        let parent = row.parse("inhparent")?;
        if let Some(relation) = relation {
            relation.parents.push(parent);
        }
        Ok(())
    }

    fn rule_reference(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        let relation = self.relations.get_mut(&row.parse("ev_class")?);
        let reference = row.parse("refobjid")?;
        if let Some(relation) = relation {
            relation.rule_references.push(reference);
        }
        Ok(())
    }

    fn dependent(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        let relation = self.relations.get_mut(&row.parse("relation")?);
        let kind = row.parse("kind")?;
        let name = row.parse("name")?;
        let columns = row.parse::<Array<i16>>("columns")?.0;
        let expression = row.optional("expression")?.map(str::to_owned);
        let other_end = match row.optional("other relation")? {
            Some(oid) => {
                let oid = oid.parse().map_err(|_| row.malformed("other relation"))?;
                Some((oid, row.parse::<Array<i16>>("other columns")?.0))
            }
            None => None,
        };
        if let Some(relation) = relation {
            // Attribute 0 stands for an expression.
            let columns = columns.into_iter().filter(|number| *number > 0).collect();
            relation.dependents.push(Dependent { kind, name, columns, expression, other_end });
        }
        Ok(())
    }

    fn ty(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        let (oid, array_oid) = (row.parse("oid")?, row.parse("typarray")?);
        let name = row.name()?;
        let labels = (row.text("typtype")? == "e").then(Vec::new);
        let label = row.optional("enumlabel")?;
        let ty = self.types.entry(oid).or_insert(NamedType { oid, array_oid, name, labels });
        if let (Some(labels), Some(label)) = (&mut ty.labels, label) {
            labels.push(label.to_owned());
        }
        Ok(())
    }

    fn function(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        let (oid, name) = (row.parse("oid")?, row.name()?);
        let body = row.parse("body")?;
        let returns = row.optional("row type")?;
        let returns_rows_of =
            returns.map(|oid| oid.parse().map_err(|_| row.malformed("row type"))).transpose()?;
        self.functions.push(Function { oid, name, body, returns_rows_of });
        Ok(())
    }

    /// One that is not understood keeps the catalog from being read: it may say that values are under another key.
    fn pin(&mut self, row: &mut Row<'_>) -> Result<(), CatalogError> {
        let (table, comment) = (row.text("relname")?, row.text("description")?);
        if let Some(change) = Change::read(table) {
            self.changes.push(change);
            return Ok(());
        }
        let pin = Pin::read(table, comment).ok_or_else(|| row.malformed("description"))?;
        self.pins.push(Arc::new(pin));
        Ok(())
    }
}

impl FromStr for RelationKind {
    type Err = ();

    fn from_str(relkind: &str) -> Result<Self, ()> {
        Ok(match relkind {
            "r" => Self::Table,
            "p" => Self::PartitionedTable,
            "v" => Self::View,
            "m" => Self::MaterializedView,
            "f" => Self::ForeignTable,
            "S" => Self::Sequence,
            "c" => Self::CompositeType,
            _ => return Err(()),
        })
    }
}

impl FromStr for DependentKind {
    type Err = ();

    fn from_str(kind: &str) -> Result<Self, ()> {
        Ok(match kind {
            "policy" => Self::Policy,
            "check" => Self::Check,
            "unique" => Self::Unique,
            "exclusion" => Self::Exclusion,
            "foreign key" => Self::ForeignKey,
            "referenced by" => Self::ReferencedBy,
            "index" => Self::Index,
            "expression index" => Self::ExpressionIndex,
            "partition key" => Self::PartitionKey,
            "before row trigger" => Self::BeforeRowTrigger,
            "conditional trigger" => Self::ConditionalTrigger,
            "rule" => Self::Rule,
            _ => return Err(()),
        })
    }
}

/// Fields of a row, read one after the other.
pub(super) struct Row<'a> {
    query: &'static str,
    fields: std::slice::Iter<'a, Option<&'a [u8]>>,
}

impl<'a> Row<'a> {
    pub(super) fn new(query: &'static str, fields: &'a [Option<&'a [u8]>]) -> Self {
        Self { query, fields: fields.iter() }
    }

    /// The next field, `None` for NULL.
    pub(super) fn optional(&mut self, field: &'static str) -> Result<Option<&'a str>, CatalogError> {
        let value = self.fields.next().ok_or(CatalogError::Missing { query: self.query, field })?;
        value.map(|bytes| std::str::from_utf8(bytes).map_err(|_| self.malformed(field))).transpose()
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<&'a str, CatalogError> {
        self.optional(field)?.ok_or(CatalogError::Missing { query: self.query, field })
    }

    pub(super) fn parse<T: FromStr>(&mut self, field: &'static str) -> Result<T, CatalogError> {
        self.text(field)?.parse().map_err(|_| self.malformed(field))
    }

    fn bool(&mut self, field: &'static str) -> Result<bool, CatalogError> {
        match self.text(field)? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(self.malformed(field)),
        }
    }

    fn name(&mut self) -> Result<RelationName, CatalogError> {
        Ok(RelationName { schema: self.parse("schema")?, name: self.parse("name")? })
    }

    fn malformed(&self, field: &'static str) -> CatalogError {
        CatalogError::Malformed { query: self.query, field }
    }
}

/// A one-dimensional array without NULLs, in text form: `{a,"b c"}`.
pub(super) struct Array<T>(pub(super) Vec<T>);

impl<T: FromStr> FromStr for Array<T> {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or(())?;
        let mut elements = Vec::new();
        let mut element = String::new();
        let mut quoted = false;
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => element.push(chars.next().ok_or(())?),
                '"' => quoted = !quoted,
                ',' if !quoted => elements.push(std::mem::take(&mut element).parse().map_err(|_| ())?),
                c => element.push(c),
            }
        }
        if quoted {
            return Err(());
        }
        if !inside.is_empty() {
            elements.push(element.parse().map_err(|_| ())?);
        }
        Ok(Self(elements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds rows as psql shows them: fields between bars, `~` for NULL.
    fn load(rows: &[(&str, &str)]) -> Result<Catalog, CatalogError> {
        let mut loader = Loader::new();
        for (query, row) in rows {
            let index = QUERIES.iter().position(|q| q.name == *query).unwrap();
            let fields: Vec<_> = row.split('|').map(|f| (f != "~").then_some(f.as_bytes())).collect();
            loader.row(index, &fields)?;
        }
        loader.finish()
    }

    const DATABASE: (&str, &str) = ("database", "app|150018");

    #[test]
    fn rows_become_a_catalog() {
        let catalog = load(&[
            DATABASE,
            ("relations", "20|public|users|r|~"),
            ("relations", "30|public|v|v| SELECT 1;"),
            ("relations", "10|My Schema|T|p|~"),
            ("columns", "20|1|id|23|-1|t|f|t|~|f"),
            ("columns", "20|2|email|1043|84|f|f|f|'x'::text|t"),
            ("columns", "99|1|gone|23|-1|t|f|f|~|f"),
            ("parents", "20|10"),
            ("rule references", "30|20"),
            ("dependents", "20|check|c|{2}|(email <> ''::text)|~|~"),
            ("dependents", "20|foreign key|f|{2}|~|10|{1}"),
            ("dependents", "20|exclusion|x|{0,2}|&&,=|~|~"),
            ("types", "40|41|public|mood|e|sad"),
            ("types", "40|41|public|mood|e|it's ok"),
            ("types", "50|51|public|none|e|~"),
            ("types", "60|61|public|positive|d|~"),
            ("functions", "70|public|f|select 1|20"),
            ("functions", "71|public|g|select 1|~"),
        ])
        .unwrap();
        assert_eq!((catalog.database.as_str(), catalog.server_version), ("app", 150_018));
        let names: Vec<_> = catalog.relations.iter().map(|r| r.name.to_string()).collect();
        assert_eq!(names, ["\"My Schema\".\"T\"", "public.users", "public.v"]);
        let users = &catalog.relations[1];
        assert_eq!(users.kind, RelationKind::Table);
        assert_eq!(users.parents, [10]);
        let [id, email] = users.columns.as_slice() else { panic!("{:?}", users.columns) };
        assert!(id.not_null && id.identity && !id.generated && id.default.is_none());
        assert_eq!((email.type_oid, email.modifier, email.number), (1043, 84, 2));
        assert_eq!(email.default.as_deref(), Some("'x'::text"));
        assert!(email.nondeterministic_collation);
        let [check, foreign, exclusion] = users.dependents.as_slice() else { panic!() };
        assert_eq!((check.kind, check.other_end.as_ref()), (DependentKind::Check, None));
        assert_eq!(foreign.other_end, Some((10, vec![1])));
        assert_eq!((exclusion.columns.as_slice(), exclusion.expression.as_deref()), (&[2][..], Some("&&,=")));
        let view = &catalog.relations[2];
        assert_eq!(
            (view.definition.as_deref(), view.rule_references.as_slice()),
            (Some(" SELECT 1;"), &[20][..])
        );
        let labels: Vec<_> = catalog.types.iter().map(|t| t.labels.as_ref().map(Vec::len)).collect();
        assert_eq!(labels, [Some(2), Some(0), None]);
        let returned: Vec<_> = catalog.functions.iter().map(|f| f.returns_rows_of).collect();
        assert_eq!(returned, [Some(20), None]);
    }

    #[test]
    fn answers_that_cannot_be_are_refused() {
        let malformed = |query, field| Some(CatalogError::Malformed { query, field });
        let missing = |query, field| Some(CatalogError::Missing { query, field });
        let cases = [
            (vec![], missing("database", "row")),
            (vec![("database", "app")], missing("database", "server_version_num")),
            (vec![("database", "app|15.3")], malformed("database", "server_version_num")),
            (vec![("relations", "x|a|b|r|~")], malformed("relations", "oid")),
            (vec![("relations", "1|a|b|q|~")], malformed("relations", "relkind")),
            (vec![("relations", "1|~|b|r|~")], missing("relations", "schema")),
            (vec![("columns", "1|70000|a|1|1|t|t|t|~|f")], malformed("columns", "attnum")),
            (vec![("columns", "1|1|a|1|1|yes|t|t|~|f")], malformed("columns", "attnotnull")),
            (vec![("dependents", "1|surprise|a|{}|~|~|~")], malformed("dependents", "kind")),
            (vec![("dependents", "1|check|a|{1|~|~|~")], malformed("dependents", "columns")),
            (vec![("dependents", "1|foreign key|a|{1}|~|2|~")], missing("dependents", "other columns")),
        ];
        for (rows, wanted) in cases {
            assert_eq!(load(&rows).err(), wanted, "{rows:?}");
        }
        assert_eq!(Loader::new().row(9, &[]), Err(CatalogError::NoSuchQuery(9)));
        assert_eq!(Loader::new().row(0, &[Some(b"\xFF")]).err(), malformed("database", "database"));
    }

    #[test]
    fn arrays_are_read() {
        let cases: [(&str, Option<&[&str]>); 8] = [
            ("{}", Some(&[])),
            ("{a}", Some(&["a"])),
            ("{a,\"b,c\",\"\"}", Some(&["a", "b,c", ""])),
            ("{\"say \\\"hi\\\"\",\"\\\\\"}", Some(&["say \"hi\"", "\\"])),
            ("", None),
            ("{a", None),
            ("{\"a}", None),
            ("{a\\}", None),
        ];
        for (text, wanted) in cases {
            let read = text.parse::<Array<String>>().ok().map(|array| array.0);
            assert_eq!(
                read.as_deref().map(|a| a.iter().map(String::as_str).collect()),
                wanted.map(<[_]>::to_vec),
                "{text}"
            );
        }
    }
}
