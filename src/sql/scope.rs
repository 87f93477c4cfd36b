//! What names mean: columns that a FROM clause offers, and tables that WITH makes.

use std::rc::Rc;

use super::types::Ty;
use crate::catalog::RelationName;
use crate::datum::Oid;

/// A relation and the number of a column.
pub(super) type Origin = (Oid, i16);

/// A type and its modifier.
pub(super) type Physical = (Oid, i32);

/// A column that a name can mean, or that a query gives.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// As PostgreSQL names it.
    pub(super) name: String,
    /// Whether it is encrypted.
    pub(super) ty: Ty,
    /// Where the server says that it comes from.
    pub(super) origin: Option<Origin>,
    /// The server's type and modifier, where known.
    pub(super) physical: Option<Physical>,
}

/// The columns of a query or relation.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// In order.
    pub(super) list: Vec<Column>,
    /// False if there may be more that nothing is known of, none of them encrypted.
    pub(super) complete: bool,
}

/// One item of a FROM clause.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its alias, or its name.
    pub(super) name: String,
    /// The relation, unless an alias hides its name.
    pub(super) relation: Option<RelationName>,
    /// Whether it has PostgreSQL's system columns.
    pub(super) has_system_columns: bool,
    /// Its columns.
    pub(super) columns: Columns,
}

/// A FROM clause: items for qualified names, columns for the others and for `*`.
#[derive(Clone, Debug)]
pub(super) struct From {
    /// What can qualify a column.
    pub(super) entries: Vec<Entry>,
    /// What can be named without, those that USING has merged once.
    pub(super) columns: Columns,
}

/// A query level: its FROM clause and the levels around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'s> {
    /// This level.
    pub(super) from: &'s From,
    /// The level around.
    pub(super) outer: Option<&'s Scope<'s>>,
}

/// What a query can see from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Env<'s> {
    /// The levels around.
    pub(super) outer: Option<&'s Scope<'s>>,
    /// Tables of WITH.
    pub(super) ctes: Ctes,
}

/// Tables of WITH, the innermost first.
#[derive(Clone, Debug, Default)]
pub(super) struct Ctes(Option<Rc<Cte>>);

#[derive(Debug)]
struct Cte {
    name: String,
    columns: Columns,
    rest: Ctes,
}

/// What a column's name means.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// This column.
    Column(&'a Column),
    /// Something that is not encrypted: a system column, or a column of a relation that is not known.
    Plain,
    /// An item of FROM as one value.
    WholeRow(&'a Entry),
    /// More than one column.
    Ambiguous,
    /// Nothing.
    Nothing,
}

impl Columns {
    /// Columns that nothing is known of but that they are not encrypted.
    pub(super) fn opaque() -> Self {
        Self { list: Vec::new(), complete: false }
    }

    /// Exactly these.
    pub(super) fn of(list: Vec<Column>) -> Self {
        Self { list, complete: true }
    }

    fn find(&self, name: &str) -> Found<'_> {
        let mut named = self.list.iter().filter(|column| column.name == name);
        match (named.next(), named.next()) {
            (Some(column), None) => Found::Column(column),
            (Some(_), Some(_)) => Found::Ambiguous,
            (None, _) => Found::Nothing,
        }
    }
}

impl Column {
    /// A column that is not encrypted and comes from nowhere.
    pub(super) fn plain(name: impl Into<String>) -> Self {
        Self { name: name.into(), ty: Ty::Plain, origin: None, physical: None }
    }
}

impl From {
    /// No FROM clause.
    pub(super) fn nothing() -> Self {
        Self { entries: Vec::new(), columns: Columns::of(Vec::new()) }
    }

    /// One item.
    pub(super) fn single(entry: Entry) -> Self {
        let columns = entry.columns.clone();
        Self { entries: vec![entry], columns }
    }

    /// Two, side by side.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self.columns.list.extend(other.columns.list);
        self.columns.complete &= other.columns.complete;
        self
    }
}

impl Scope<'_> {
    /// What an unqualified name means: the nearest column of that name, else an item of FROM.
    pub(super) fn column(&self, name: &str) -> Found<'_> {
        let mut opaque = false;
        let mut level = Some(self);
        while let Some(scope) = level {
            match scope.from.columns.find(name) {
                // A column of something unknown, nearer than this one, may be what is meant.
                Found::Column(column) if opaque && !matches!(column.ty, Ty::Plain) => {
                    return Found::Ambiguous;
                }
                Found::Nothing => {}
                found => return found,
            }
            if is_system_column(name) && scope.from.entries.iter().any(|entry| entry.has_system_columns) {
                return Found::Plain;
            }
            opaque |= !scope.from.columns.complete;
            level = scope.outer;
        }
        let mut level = Some(self);
        while let Some(scope) = level {
            if let Some(entry) = scope.from.entries.iter().find(|entry| entry.name == name) {
                return Found::WholeRow(entry);
            }
            level = scope.outer;
        }
        if opaque { Found::Plain } else { Found::Nothing }
    }

    /// Whether this level itself has a column of that name.
    pub(super) fn has_local(&self, name: &str) -> bool {
        !matches!(self.from.columns.find(name), Found::Nothing)
    }

    /// The nearest item of FROM of that name.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries(|entry| entry.name == name)
    }

    /// The nearest item of FROM that is that relation without an alias.
    pub(super) fn relation(&self, name: &RelationName) -> Option<&Entry> {
        self.entries(|entry| entry.relation.as_ref() == Some(name))
    }

    fn entries(&self, wanted: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let mut level = Some(self);
        while let Some(scope) = level {
            if let Some(entry) = scope.from.entries.iter().find(|entry| wanted(entry)) {
                return Some(entry);
            }
            level = scope.outer;
        }
        None
    }
}

impl Entry {
    /// What a name qualified by this item means.
    pub(super) fn column(&self, name: &str) -> Found<'_> {
        match self.columns.find(name) {
            Found::Nothing if self.has_system_columns && is_system_column(name) => Found::Plain,
            Found::Nothing if !self.columns.complete => Found::Plain,
            found => found,
        }
    }
}

impl Ctes {
    /// The same with one more in front.
    #[must_use]
    pub(super) fn with(&self, name: String, columns: Columns) -> Self {
        Self(Some(Rc::new(Cte { name, columns, rest: self.clone() })))
    }

    /// The nearest of that name.
    pub(super) fn find(&self, name: &str) -> Option<&Columns> {
        let mut at = self;
        while let Some(cte) = &at.0 {
            if cte.name == name {
                return Some(&cte.columns);
            }
            at = &cte.rest;
        }
        None
    }
}

/// <https://www.postgresql.org/docs/current/ddl-system-columns.html>
fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_that_name_hides_an_item_of_from_at_any_level() {
        let item = |name: &str, columns: &[&str]| {
            From::single(Entry {
                name: name.to_owned(),
                relation: None,
                has_system_columns: false,
                columns: Columns::of(columns.iter().map(|name| Column::plain(*name)).collect()),
            })
        };
        let (outer, inner) = (item("o", &["x", "t"]), item("t", &["a"]));
        let outer = Scope { from: &outer, outer: None };
        let scope = Scope { from: &inner, outer: Some(&outer) };
        assert!(matches!(scope.column("t"), Found::Column(column) if column.name == "t"));
        assert!(matches!(scope.column("o"), Found::WholeRow(entry) if entry.name == "o"));
        assert!(matches!(scope.column("y"), Found::Nothing));
    }
}
