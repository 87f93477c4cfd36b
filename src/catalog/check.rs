//! What a policy and a catalog say about each other beside what the analysis tells.
//!
//! Whether a column can hold sealed values, and whether constraints, triggers and views still mean the same, is
//! judged where statements are (`sql::Schema`). Here is the rest: names that were likely meant, parents that were
//! forgotten, columns that are too narrow, defaults in plaintext, and leaks by frequency.

use std::collections::BTreeMap;

use super::{Attribute, Catalog, Relation};
use crate::crypto::Mode;
use crate::datum::{Base, Oid, Type};
use crate::policy::{Column, ColumnName, Place, Policy, RelationName, Table, quote_ident, type_name};

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

/// Everything that is found, in the order of the policy.
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
            return self.similar_relation(name, table.place);
        };
        let family = self.catalog.with_descendants(relation.oid);
        for (column, of_policy) in &table.columns {
            self.frequencies(&name.column(column), of_policy);
            for oid in &family {
                let Some(&member) = self.by_oid.get(oid) else { continue };
                self.parents(member, column, of_policy);
                self.column(member, column, of_policy);
            }
        }
    }

    fn frequencies(&mut self, name: &ColumnName, column: &Column) {
        if column.mode == Mode::Randomized || column.accept_leakage.is_some() {
            return;
        }
        let ty = self.catalog.resolve_type(&column.ty).map(|ty| ty.base);
        let values = match (ty, self.statistics.get(name)) {
            (Ok(Base::Bool), _) => "can only have 2 different values".to_owned(),
            (Ok(Base::Enum(ty)), _) => format!("can only have {} different values", ty.labels.len()),
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

    /// Through a parent that the policy leaves out, values would be written and read as if they were plain.
    fn parents(&mut self, relation: &Relation, column: &str, of_policy: &Column) {
        for parent in
            relation.parents.iter().filter_map(|oid| self.by_oid.get(oid).copied()).collect::<Vec<_>>()
        {
            let has_column = parent.columns.iter().any(|attribute| attribute.name == column);
            if has_column && !self.is_sealed(parent, column) {
                let message = format!(
                    "{0} is a partition or child of {1}, through which its column {column} would be written and read \
                     as if it were plain: name {1}, its partitions and children are covered with it",
                    relation.name, parent.name
                );
                self.problem(of_policy.place, message);
            }
        }
    }

    /// The policy names the column, or that of a relation above it.
    fn is_sealed(&self, relation: &Relation, column: &str) -> bool {
        self.policy.column(&relation.name.column(column)).is_some()
            || relation
                .parents
                .iter()
                .filter_map(|oid| self.by_oid.get(oid))
                .any(|parent| self.is_sealed(parent, column))
    }

    fn column(&mut self, relation: &Relation, column: &str, of_policy: &Column) {
        let name = relation.name.column(column);
        let Some(attribute) = relation.columns.iter().find(|attribute| attribute.name == column) else {
            let mut names = relation.columns.iter().map(|attribute| &attribute.name);
            if let Some(found) = names.find(|name| name.eq_ignore_ascii_case(column)) {
                let message = format!(
                    "table {} has no column {column}: is {} meant?",
                    relation.name,
                    quote_ident(found)
                );
                self.warn(of_policy.place, message);
            }
            return;
        };
        if !attribute.generated
            && attribute.default.as_deref().is_some_and(|default| !is_sealed_default(default))
        {
            self.warn(
                of_policy.place,
                format!(
                    "column {name} has a default in plaintext: statements that leave it to the default are refused, \
                     so drop it and let the application give the value"
                ),
            );
        }
        self.width(&name, attribute, of_policy);
    }

    /// A varchar with a length has to have room for the longest sealed value.
    fn width(&mut self, name: &ColumnName, attribute: &Attribute, column: &Column) {
        let Some(Type { base: Base::Varchar, modifier }) =
            Type::from_oid(attribute.type_oid, attribute.modifier)
        else {
            return;
        };
        let Some(width) = length(modifier) else { return };
        let Ok(ty) = self.catalog.resolve_type(&column.ty) else { return };
        let needed = longest(&ty).map(|bytes| sealed_text_width(column.mode, bytes));
        if needed.is_none_or(|needed| needed > width) {
            let needed = needed.map_or_else(|| "any number of".to_owned(), |n| format!("up to {n}"));
            self.problem(
                column.place,
                format!(
                    "column {name} is varchar({width}) in the database, and encrypted values of type {} have {needed} \
                     characters: make it text or bytea",
                    type_name(&column.ty)
                ),
            );
        }
    }

    /// Tells of a relation that may be the one that was meant.
    fn similar_relation(&mut self, name: &RelationName, place: Place) {
        let alike = |r: &&&RelationName| {
            r.name.eq_ignore_ascii_case(&name.name)
                && !r.schema.starts_with("pg_")
                && r.schema != "information_schema"
        };
        if let Some(found) = self.by_name.keys().find(alike) {
            self.warn(place, format!("there is no table {name}: is {found} meant?"));
        }
    }

    fn problem(&mut self, place: Place, message: String) {
        self.findings.push(Finding { place, grade: Grade::Problem, message });
    }

    fn warn(&mut self, place: Place, message: String) {
        self.findings.push(Finding { place, grade: Grade::Warning, message });
    }
}

/// The length in the modifier of a character type: PostgreSQL adds four bytes to it.
fn length(modifier: i32) -> Option<usize> {
    usize::try_from(modifier.checked_sub(4)?).ok()
}

/// A default that stores nothing, or a sealed value; or one that could not be read.
fn is_sealed_default(expression: &str) -> bool {
    matches!(expression, "" | "NULL")
        || ["NULL::", "'\\xe51", "'pgs1."].iter().any(|start| expression.starts_with(start))
}

/// The most bytes that a value's canonical form can have; `None` if there is no limit.
fn longest(ty: &Type) -> Option<usize> {
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
        Base::Varchar | Base::Bpchar => length(ty.modifier)?.saturating_mul(4),
        // A header of 8 bytes, and 2 for each group of four digits, of which the first and the last may be cut.
        Base::Numeric => 8 + 2 * ((length(ty.modifier)? >> 16).div_ceil(4) + 2),
        Base::Enum(ty) => ty.labels.iter().map(String::len).max()?,
        Base::Text | Base::Bytea | Base::Json | Base::Jsonb | Base::Array(_) => return None,
    })
}

/// Characters of `pgs1.` and the envelope in base64url; there is no bound where the mode's overhead has none.
fn sealed_text_width(mode: Mode, bytes: usize) -> usize {
    let envelope = mode.overhead().map_or(usize::MAX, |overhead| bytes.saturating_add(overhead));
    envelope.saturating_mul(4).div_ceil(3).saturating_add(5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Loader, QUERIES};

    /// A catalog from rows: the query's name, then its fields between bars, `~` for NULL.
    fn catalog(rows: &str) -> Catalog {
        let mut loader = Loader::new();
        for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let (query, fields) = row.split_once(": ").unwrap();
            let index = QUERIES.iter().position(|q| q.name == query).unwrap();
            let fields: Vec<_> = fields.split('|').map(|f| (f != "~").then_some(f.as_bytes())).collect();
            loader.row(index, &fields).unwrap();
        }
        loader.finish().unwrap()
    }

    fn findings(policy: &str, rows: &str) -> Vec<String> {
        let policy = Policy::parse(&format!("version = 1\n{policy}"), "p").unwrap_or_else(|e| panic!("{e}"));
        let catalog = catalog(&format!("database: app|150000\n{rows}"));
        let statistics =
            [("public.users.few".parse().unwrap(), 12.0), ("public.users.many".parse().unwrap(), -0.9)];
        let shown = |f: Finding| format!("{:?} {}: {}", f.grade, f.place, f.message);
        check(&policy, &catalog, &statistics.into_iter().collect()).into_iter().map(shown).collect()
    }

    const USERS: &str = "
        relations: 1|public|users|r|~
        columns: 1|1|id|23|-1|t|f|t|~|f
        columns: 1|2|email|17|-1|t|f|f|~|f
        columns: 1|3|name|25|-1|f|f|f|~|f";

    #[test]
    fn what_is_likely_wrong_is_told() {
        let column = |name: &str, rest: &str| format!("[table.\"public.users\"]\n{name} = {{ {rest} }}");
        let deterministic = "type = \"text\", mode = \"deterministic\"";
        let cases = [
            (
                "[table.\"public.user\"]\nx = { type = \"text\" }".to_owned(),
                "relations: 9|app|User|r|~",
                "Warning 2:8: there is no table public.\"user\": is app.\"User\" meant?",
            ),
            (
                column("e", "type = \"text\""),
                "columns: 1|9|E|25|-1|f|f|f|~|f",
                "Warning 3:1: table public.users has no column e: is \"E\" meant?",
            ),
            (
                column("v", "type = \"date\""),
                "columns: 1|9|v|1043|75|f|f|f|~|f",
                "varchar(71) in the database, and encrypted values of type date have up to 72 characters",
            ),
            (
                column("v", "type = \"text\""),
                "columns: 1|9|v|1043|60|f|f|f|~|f",
                "have any number of characters",
            ),
            (column("x", "type = \"text\""), "columns: 1|9|x|25|-1|f|f|f|'a'::text|f", "has a default"),
            (
                column("x", "type = \"text\""),
                "columns: 1|9|x|25|-1|f|f|f|NULLIF('a', 'b')|f",
                "has a default",
            ),
            (
                column("few", deterministic),
                "columns: 1|9|few|17|-1|f|f|f|~|f",
                "Warning 3:1: column public.users.few is deterministic and has about 12 different",
            ),
            (
                column("b", "type = \"bool\", mode = \"deterministic\""),
                "columns: 1|9|b|17|-1|f|f|f|~|f",
                "can only have 2 different",
            ),
        ];
        for (policy, rows, wanted) in cases {
            let shown = findings(&policy, &format!("{USERS}\n{rows}")).join("\n");
            assert!(shown.contains(wanted), "{policy}\n{rows}\n  gave: {shown}\n  not: {wanted}");
        }
    }

    #[test]
    fn what_is_fine_is_not_told() {
        let column = |name: &str, rest: &str| format!("[table.\"public.users\"]\n{name} = {{ {rest} }}");
        let cases = [
            (column("x", "type = \"text\""), "columns: 1|9|x|25|-1|f|f|f|NULL::text|f"),
            (column("x", "type = \"text\""), "columns: 1|9|x|17|-1|f|f|f|'\\xe510aabb'::bytea|f"),
            (column("v", "type = \"date\""), "columns: 1|9|v|1043|76|f|f|f|~|f"),
            (column("n", "type = \"text\""), "columns: 1|9|n|25|-1|f|f|f|~|t"),
            (
                column("many", "type = \"text\", mode = \"deterministic\""),
                "columns: 1|9|many|17|-1|f|f|f|~|f",
            ),
            (
                column(
                    "few",
                    "type = \"text\", mode = \"deterministic\", accept_leakage = \"public anyway\"",
                ),
                "columns: 1|9|few|17|-1|f|f|f|~|f",
            ),
            (column("m", "type = \"mood\""), "types: 77|78|app|mood|e|sad\ncolumns: 1|9|m|17|-1|f|f|f|~|f"),
        ];
        for (policy, rows) in cases {
            assert_eq!(findings(&policy, &format!("{USERS}\n{rows}")), [""; 0], "{policy}\n{rows}");
        }
    }

    #[test]
    fn partitions_are_covered_with_their_parent() {
        let rows = format!(
            "{USERS}
            relations: 2|public|eu|r|~
            columns: 2|1|email|17|-1|f|f|f|~|f
            columns: 2|2|name|25|-1|f|f|f|'x'::text|f
            parents: 2|1
            relations: 3|public|people|r|~
            columns: 3|1|name|25|-1|f|f|f|~|f
            parents: 2|3"
        );
        let cases = [
            ("[table.\"public.eu\"]\nemail = { type = \"text\" }", "name public.users, its partitions"),
            (
                "[table.\"public.users\"]\nname = { type = \"text\" }",
                "Warning 3:1: column public.eu.name has a default",
            ),
            (
                "[table.\"public.users\"]\nname = { type = \"text\" }",
                "eu is a partition or child of public.people",
            ),
        ];
        for (policy, wanted) in cases {
            let shown = findings(policy, &rows).join("\n");
            assert!(shown.contains(wanted), "{policy}\n  gave: {shown}");
        }
        assert_eq!(findings("[table.\"public.users\"]\nemail = { type = \"text\" }", &rows), [""; 0]);
    }
}
