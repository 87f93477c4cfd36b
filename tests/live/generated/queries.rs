//! FROM and SELECT.

use std::fmt::Write as _;

use super::dice::{Column, Dice, Scope};
use super::tables::*;

impl Dice {
    /// A table or view as an item of FROM with what it offers.
    pub(super) fn table(&mut self) -> (String, Scope) {
        let all: Vec<_> = TABLES.iter().chain(VIEWS).copied().collect();
        let (table, columns) = self.pick(&all);
        let alias = self.alias();
        let name = if self.one_in(2) { table.strip_prefix("public.").unwrap_or(table) } else { table };
        let only = if self.one_in(20) && table != "public.parts" { "ONLY " } else { "" };
        let between = self.pick(&[" ", " AS "]);
        let mut columns: Vec<Column> =
            columns.iter().map(|(name, ty, _)| Column { name: (*name).to_owned(), ty: *ty }).collect();
        if !table.ends_with("buyers") {
            columns.push(Column { name: "id".to_owned(), ty: Int });
            return (format!("{only}{name}{between}{alias}"), vec![(alias, columns)]);
        }
        // So that it can be put in order.
        columns.push(Column { name: "id".to_owned(), ty: Int });
        columns.push(Column { name: "n".to_owned(), ty: Int });
        (format!("(SELECT *, id AS n FROM {name}){between}{alias}"), vec![(alias, columns)])
    }

    pub(super) fn item(&mut self, depth: usize) -> (String, Scope) {
        if self.one_in(8) {
            return self.made_rows();
        }
        if depth == 0 || !self.one_in(5) {
            return self.table();
        }
        let (select, columns) = self.select(depth - 1, None);
        let alias = self.alias();
        (format!("({select}) {alias}"), vec![(alias, columns)])
    }

    /// Rows of constants: VALUES, or arrays side by side.
    pub(super) fn made_rows(&mut self) -> (String, Scope) {
        let alias = self.alias();
        let types = [Int, self.pick(&[Text, Varchar, Int, Date, Bool, Mood, Uuid, Timestamp])];
        let columns = types.iter().enumerate().map(|(n, ty)| Column { name: format!("v{n}"), ty: *ty });
        let columns: Vec<Column> = columns.collect();
        let item = if self.one_in(3) {
            let arrays: Vec<String> = types.iter().map(|ty| self.typed_array(*ty)).collect();
            format!("unnest({})", arrays.join(", "))
        } else {
            let rows: Vec<String> =
                (0..=self.below(2)).map(|row| format!("({row}, {})", self.constant(types[1]))).collect();
            format!("(VALUES {})", rows.join(", "))
        };
        (format!("{item} AS {alias}(v0, v1)"), vec![(alias, columns)])
    }

    /// An array with a cast.
    fn typed_array(&mut self, ty: Ty) -> String {
        let (name, _, values) = ty.facts();
        let name = name.split('(').next().unwrap();
        let quote = |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        let array = format!("{{{},{}}}", quote(self.pick(values)), quote(self.pick(values)));
        if self.simple {
            format!("'{}'::{name}[]", array.replace('\'', "''"))
        } else {
            self.parameters.push((Some(array.into_bytes()), 0, false));
            format!("${}::{name}[]", self.parameters.len())
        }
    }

    pub(super) fn from(&mut self, depth: usize) -> (String, Scope) {
        let (mut from, mut scope) = self.item(depth);
        for _ in 0..self.below(3) {
            if self.one_in(6) {
                let (item, more) = self.lateral(&scope);
                from = format!("{from} {} JOIN LATERAL {item} ON true", self.pick(&["", "LEFT"]));
                scope.extend(more);
                continue;
            }
            let (item, more) = self.item(depth);
            let left = self.column(&scope, None);
            let right = left.as_ref().and_then(|(_, ty)| self.column(&more, Some(*ty)));
            match (left, right, self.below(4)) {
                (Some((left, _)), Some((right, _)), 0..=2) => {
                    let kind = self.pick(&["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                    from = format!("{from} {kind} {item} ON {left} = {right}");
                }
                _ => from = format!("{from} CROSS JOIN {item}"),
            }
            scope.extend(more);
        }
        (from, scope)
    }

    /// A subquery that may name what stands before it.
    fn lateral(&mut self, before: &Scope) -> (String, Scope) {
        let (from, inner) = self.table();
        let mut both = inner.clone();
        both.extend(before.iter().cloned());
        let (column, ty) = self.column(&both, None).unwrap();
        let condition = self.condition(&both, 1);
        let order = format!("{0}.id, {0}.n", inner[0].0);
        let alias = self.alias();
        let item =
            format!("(SELECT {column} AS l FROM {from} WHERE {condition} ORDER BY {order} LIMIT 2) {alias}");
        (item, vec![(alias, vec![Column { name: "l".to_owned(), ty }])])
    }

    // SELECT.

    /// A SELECT without ORDER BY and its columns; of these types if they are given.
    pub(super) fn select(&mut self, depth: usize, types: Option<&[Ty]>) -> (String, Vec<Column>) {
        let (from, scope) = self.from(depth);
        let mut columns = Vec::new();
        let mut items = Vec::new();
        let wanted: Vec<Ty> = match types {
            Some(types) => types.to_vec(),
            None => {
                (0..=self.below(3)).map(|_| self.column(&scope, None).map_or(Int, |(_, ty)| ty)).collect()
            }
        };
        let grouped = types.is_none() && self.one_in(4);
        let mut group = Vec::new();
        for (position, ty) in wanted.into_iter().enumerate() {
            let name = format!("c{position}");
            let item = match self.column(&scope, Some(ty)) {
                Some((column, _)) if grouped => {
                    group.push(column.clone());
                    column
                }
                _ if grouped => continue,
                _ => self.scalar(ty, &scope, depth + 1),
            };
            items.push(format!("{item} AS {name}"));
            columns.push(Column { name, ty });
        }
        if grouped {
            let (column, _) = self.column(&scope, None).unwrap();
            let aggregate = match self.below(5) {
                0 => format!("count({column})"),
                1 => format!("count(DISTINCT {column})"),
                2 => format!("count(*) FILTER (WHERE {})", self.condition(&scope, 0)),
                3 => format!("bool_or({column} IS NULL)::int"),
                _ => "count(*)".to_owned(),
            };
            items.push(format!("{aggregate} AS agg"));
            columns.push(Column { name: "agg".to_owned(), ty: Int });
        }
        let distinct = if !grouped && self.one_in(8) { "DISTINCT " } else { "" };
        let mut out = format!("SELECT {distinct}{} FROM {from}", items.join(", "));
        if !self.one_in(4) {
            write!(out, " WHERE {}", self.condition(&scope, depth + 1)).unwrap();
        }
        if !group.is_empty() {
            let list = group.join(", ");
            match self.below(8) {
                0 => write!(out, " GROUP BY ROLLUP ({list})").unwrap(),
                1 => write!(out, " GROUP BY CUBE ({list})").unwrap(),
                2 => write!(out, " GROUP BY GROUPING SETS (({list}), (), ({}))", group[0]).unwrap(),
                3 => {
                    let positions: Vec<String> = (1..=group.len()).map(|n| n.to_string()).collect();
                    write!(out, " GROUP BY {}", positions.join(", ")).unwrap();
                }
                _ => write!(out, " GROUP BY {list}").unwrap(),
            }
            if self.one_in(3) {
                write!(out, " HAVING count(*) > {}", self.below(2)).unwrap();
            }
        }
        (out, columns)
    }

    fn recursive(&mut self) -> String {
        let (table, columns) = self.pick(TABLES);
        let (column, ty, _) = self.pick(columns);
        let scope = vec![(
            "t".to_owned(),
            vec![
                Column { name: column.to_owned(), ty },
                Column { name: "id".to_owned(), ty: Int },
                Column { name: "n".to_owned(), ty: Int },
            ],
        )];
        let (first, further) = (self.condition(&scope, 0), self.condition(&scope, 0));
        let start = match self.below(4) {
            0 => format!("SELECT 0, {}", self.constant(ty)),
            _ => format!("SELECT t.id, t.{column} FROM {table} t WHERE t.id < 4 AND {first}"),
        };
        let union = self.pick(&["UNION", "UNION ALL"]);
        let outer = vec![("r".to_owned(), vec![Column { name: "c".to_owned(), ty }])];
        let condition = self.condition(&outer, 1);
        format!(
            "WITH RECURSIVE r(id, c) AS ({start} {union} SELECT t.id, t.{column} FROM {table} t JOIN r ON t.id = r.id + 1 \
             WHERE {further}) SELECT r.id, r.c FROM r WHERE {condition}"
        )
    }

    /// A query and whether its rows come in a certain order.
    pub(super) fn query(&mut self) -> (String, bool) {
        match self.below(11) {
            8 => (self.recursive(), false),
            9 => {
                let (from, scope) = self.table();
                let alias = scope[0].0.clone();
                let (column, _) = self.column(&scope, None).unwrap();
                let condition = self.condition(&scope, 1);
                match self.below(4) {
                    0 => (
                        format!(
                            "SELECT DISTINCT ON ({alias}.n) {alias}.n, {column} FROM {from} WHERE {condition} ORDER BY {alias}.n, {alias}.id"
                        ),
                        true,
                    ),
                    1 => (
                        format!(
                            "SELECT {alias}.n, {column} FROM {from} WHERE {condition} ORDER BY {alias}.n FETCH FIRST 2 ROWS WITH TIES"
                        ),
                        false,
                    ),
                    2 => (
                        format!(
                            "SELECT count(*), count({column}), bool_or({column} IS NULL) FROM {from} WHERE {condition}"
                        ),
                        true,
                    ),
                    _ => (
                        format!(
                            "SELECT {column} FROM {from} WHERE {condition} ORDER BY ({}) , {alias}.id, {alias}.n",
                            self.condition(&scope, 0)
                        ),
                        true,
                    ),
                }
            }
            10 => {
                let tables = ["people", "orders", "other.people", "plain", "parts"];
                let (left, right) = (self.pick(&tables), self.pick(&tables));
                let columns = self.pick(&["email, id", "email, n", "id", "n, born"]);
                let kind = self.pick(&["", "LEFT", "FULL"]);
                let list = self.pick(&["*", columns]);
                (
                    format!(
                        "SELECT {list} FROM (SELECT {columns} FROM {left}) a NATURAL {kind} JOIN (SELECT {columns} FROM {right}) b"
                    ),
                    false,
                )
            }
            0 => {
                let (left, columns) = self.select(1, None);
                let types: Vec<Ty> = columns.iter().map(|column| column.ty).collect();
                let right = match self.one_in(4) {
                    true => {
                        let row: Vec<String> = types.iter().map(|ty| self.constant(*ty)).collect();
                        format!("VALUES ({})", row.join(", "))
                    }
                    false => self.select(1, Some(&types)).0,
                };
                let op = self.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
                let (left, right) = if self.one_in(2) { (left, right) } else { (right, left) };
                (format!("{left} {op} {right}"), false)
            }
            1 => {
                let (inner, columns) = self.select(1, None);
                let name = self.pick(&["w", "people", "plain"]);
                let scope = vec![("q".to_owned(), columns)];
                let (column, ty) = self.column(&scope, None).unwrap();
                let item = self.scalar(ty, &scope, 1);
                let condition = self.condition(&scope, 1);
                (
                    format!(
                        "WITH {name} AS ({inner}) SELECT {column}, {item} FROM {name} q WHERE {condition}"
                    ),
                    false,
                )
            }
            2 => {
                let (from, scope) = self.table();
                let alias = scope[0].0.clone();
                let condition = self.condition(&scope, 2);
                let list =
                    self.pick(&["*".to_owned(), format!("{alias}.*"), format!("{alias}.id, {alias}.*")]);
                let limit = self.pick(&["", " LIMIT 3", " OFFSET 1", " FETCH FIRST 2 ROWS ONLY"]);
                (
                    format!(
                        "SELECT {list} FROM {from} WHERE {condition} ORDER BY {alias}.id, {alias}.n{limit}"
                    ),
                    true,
                )
            }
            3 => {
                let (from, scope) = self.table();
                let alias = scope[0].0.clone();
                let (column, ty) = self.column(&scope, None).unwrap();
                let window = match self.below(10) {
                    6 => format!("nth_value({column}, 2) OVER (PARTITION BY {alias}.n ORDER BY {alias}.id)"),
                    7 => format!(
                        "last_value({column}) OVER (ORDER BY {alias}.id ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING)"
                    ),
                    8 => format!("count({column}) OVER (PARTITION BY {column} ORDER BY {alias}.id)"),
                    9 => format!("COALESCE(lag({column}) OVER (ORDER BY {alias}.id), {})", self.constant(ty)),
                    0 => format!("lag({column}) OVER (ORDER BY {alias}.id)"),
                    1 => format!("lead({column}, 1, {}) OVER (ORDER BY {alias}.id)", self.constant(ty)),
                    2 => format!("first_value({column}) OVER (ORDER BY {alias}.id)"),
                    3 => format!("count(*) OVER (PARTITION BY {column})"),
                    // In binary, an array bears its elements' object id, which differs between two databases' enums.
                    4 if ty != Mood => {
                        format!("(SELECT array_agg({column} ORDER BY {alias}.id) FROM {from})")
                    }
                    _ => format!("row_number() OVER (ORDER BY {alias}.id)"),
                };
                (format!("SELECT {alias}.id, {window} FROM {from} ORDER BY {alias}.id"), true)
            }
            4 => {
                let tables = ["people", "orders", "other.people", "plain", "parts"];
                let (left, right) = (self.pick(&tables), self.pick(&tables));
                let kind = self.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                let column = self.pick(&["email", "born", "n", "id", "age", "name"]);
                let list = self.pick(&["*", column, "a.n, b.n"]);
                (format!("SELECT {list} FROM {left} a {kind} {right} b USING ({column})"), false)
            }
            _ => (self.select(2, None).0, false),
        }
    }
}
