//! INSERT, UPDATE, DELETE, MERGE and WITH around them.

use super::dice::{Column, Dice, Scope};
use super::tables::*;

impl Dice {
    pub(super) fn returning(&mut self, scope: &Scope) -> String {
        match self.below(3) {
            0 => String::new(),
            1 => " RETURNING *".to_owned(),
            _ => {
                let (column, ty) = self.column(scope, None).unwrap();
                format!(" RETURNING {column}, {} AS x", self.scalar(ty, scope, 1))
            }
        }
    }

    /// A table that is written to, its columns, and the same as a scope.
    pub(super) fn target(&mut self) -> (&'static str, &'static [Definition], Scope) {
        let (table, columns) = self.pick(TABLES);
        let offered = columns.iter().map(|(name, ty, _)| Column { name: (*name).to_owned(), ty: *ty });
        (table, columns, vec![("t".to_owned(), offered.collect())])
    }

    pub(super) fn insert(&mut self) -> String {
        let (table, columns, scope) = self.target();
        let some: Vec<Definition> = columns.iter().copied().filter(|_| !self.one_in(3)).collect();
        let names: Vec<&str> = some.iter().map(|(name, _, _)| *name).collect();
        let into = std::iter::once("id").chain(names.iter().copied()).collect::<Vec<_>>().join(", ");
        let source = if self.one_in(8) {
            let (item, inner) = self.made_rows();
            let alias = inner[0].0.clone();
            let values: Vec<String> = some.iter().map(|(_, ty, _)| self.scalar(*ty, &inner, 1)).collect();
            let id = format!("{alias}.v0 + {}", 1000 + self.below(900_000));
            let values = std::iter::once(id).chain(values).collect::<Vec<_>>().join(", ");
            format!("SELECT {values} FROM {item}")
        } else if self.one_in(4) {
            let (from, inner) = self.table();
            let values: Vec<String> = some.iter().map(|(_, ty, _)| self.scalar(*ty, &inner, 0)).collect();
            let alias = inner[0].0.clone();
            let id = format!("{alias}.id + {}", 100 + self.below(900_000));
            let values = std::iter::once(id).chain(values).collect::<Vec<_>>().join(", ");
            let condition = self.condition(&inner, 0);
            format!("SELECT {values} FROM {from} WHERE {condition} ORDER BY {alias}.id, {alias}.n LIMIT 3")
        } else {
            let rows = (0..=self.below(2)).map(|row| {
                let values: Vec<String> = some
                    .iter()
                    .map(|(_, ty, _)| if self.one_in(10) { "DEFAULT".to_owned() } else { self.constant(*ty) })
                    .collect();
                let id =
                    (if row == 0 { self.below(15) } else { 1_000_000 + self.below(9_000_000) }).to_string();
                format!("({})", std::iter::once(id).chain(values).collect::<Vec<_>>().join(", "))
            });
            format!("VALUES {}", rows.collect::<Vec<_>>().join(", "))
        };
        let conflict = match (names.first(), self.below(3)) {
            (Some(name), 0) if table != "public.parts" => {
                let ty = some[0].1;
                let value = match self.below(4) {
                    0 => self.constant(ty),
                    1 => format!("COALESCE(EXCLUDED.{name}, t.{name})"),
                    2 => format!(
                        "CASE WHEN {} THEN EXCLUDED.{name} ELSE t.{name} END",
                        self.condition(&scope, 0)
                    ),
                    _ => format!("EXCLUDED.{name}"),
                };
                let filter = if self.one_in(2) {
                    format!(" WHERE {}", self.condition(&scope, 0))
                } else {
                    String::new()
                };
                let target = match table {
                    "public.people" => self.pick(&["(id)", "(id)", "(email, n)"]),
                    _ => "(id)",
                };
                format!(" ON CONFLICT {target} DO UPDATE SET {name} = {value}{filter}")
            }
            (_, 1) => " ON CONFLICT DO NOTHING".to_owned(),
            _ => String::new(),
        };
        format!("INSERT INTO {table} AS t ({into}) {source}{conflict}{}", self.returning(&scope))
    }

    pub(super) fn update(&mut self) -> String {
        let (table, columns, scope) = self.target();
        let (first, second) = (self.pick(columns), self.pick(columns));
        let (mut from, mut filter, mut all) = (String::new(), String::new(), scope.clone());
        if self.one_in(3) {
            let (item, more) = self.table();
            filter = format!("t.id = {}.id AND {}.n = t.n AND ", more[0].0, more[0].0);
            from = format!(" FROM {item}");
            // More than one row may match, and which one is taken is nobody's promise.
            if !item.contains("plain") && !item.contains("other") {
                from.clear();
                filter.clear();
            } else {
                all.extend(more);
            }
        }
        if self.one_in(6) {
            let rows = self.typed_rows(first.1);
            let set = match self.below(3) {
                0 => format!("v.x::{}", first.1.facts().0),
                1 => format!("COALESCE(v.x, t.{})", first.0),
                _ => "v.x".to_owned(),
            };
            let item = format!("(VALUES {rows}) AS v(id, x)");
            let returning = self.returning(&scope);
            return format!(
                "UPDATE {table} t SET {} = {set} FROM {item} WHERE v.id = t.id{returning}",
                first.0
            );
        }
        if self.one_in(6) {
            let (one, two) = (self.constant(first.1), self.constant(first.1));
            let case = format!("CASE WHEN (t.id = 1) THEN {one} WHEN (t.id = 2) THEN {two} ELSE NULL END");
            let name = first.1.facts().0;
            let set =
                self.pick(&[case.clone(), format!("({case})::{name}"), format!("CAST({case} AS {name})")]);
            return format!("UPDATE {table} t SET {} = {set} WHERE t.id IN (1, 2)", first.0);
        }
        let set = match self.below(3) {
            0 if first.0 != second.0 => {
                let values = format!("{}, {}", self.constant(first.1), self.scalar(second.1, &all, 1));
                format!("({}, {}) = ({values})", first.0, second.0)
            }
            _ => format!("{} = {}", first.0, self.scalar(first.1, &all, 1)),
        };
        let condition = self.condition(&all, 1);
        format!("UPDATE {table} t SET {set}{from} WHERE {filter}{condition}{}", self.returning(&scope))
    }

    /// Rows of an id and a constant.
    fn typed_rows(&mut self, ty: Ty) -> String {
        let rows = (1..=2 + self.below(2)).map(|id| format!("({id}, {})", self.constant(ty)));
        rows.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn delete(&mut self) -> String {
        let (table, _, scope) = self.target();
        let few = self.below(20);
        if self.one_in(3) {
            let (item, more) = self.table();
            let mut all = scope.clone();
            all.extend(more);
            let condition = self.condition(&all, 1);
            return format!("DELETE FROM {table} t USING {item} WHERE t.id % 20 = {few} AND {condition}");
        }
        let condition = self.condition(&scope, 1);
        format!("DELETE FROM {table} t WHERE t.id % 20 = {few} AND {condition}{}", self.returning(&scope))
    }

    pub(super) fn merge(&mut self) -> String {
        let (table, columns, scope) = self.target();
        // Each id once, so that no row is changed twice.
        let (other, others) = self.pick(TABLES);
        let offered = others.iter().map(|(name, ty, _)| Column { name: (*name).to_owned(), ty: *ty });
        let source: Scope = vec![("s".to_owned(), offered.collect())];
        let mut both = scope.clone();
        both.extend(source.clone());
        let (set, inserted) = (self.pick(columns), self.pick(columns));
        let mut out = format!("MERGE INTO {table} AS t USING {other} s ON t.id = s.id");
        if self.one_in(2) {
            out += &format!(" AND {}", self.condition(&both, 0));
        }
        if self.one_in(3) {
            let action = self.pick(&["DELETE", "DO NOTHING"]);
            out += &format!(" WHEN MATCHED AND {} THEN {action}", self.condition(&both, 0));
        }
        if self.one_in(2) {
            let condition = self.condition(&both, 0);
            let value = self.scalar(set.1, &both, 1);
            out += &format!(" WHEN MATCHED AND {condition} THEN UPDATE SET {} = {value}", set.0);
        } else {
            out += &format!(" WHEN MATCHED THEN UPDATE SET {} = {}", set.0, self.scalar(set.1, &both, 1));
        }
        if self.one_in(2) {
            let condition = self.condition(&source, 0);
            let (value, id) = (self.scalar(inserted.1, &source, 1), 1000 + self.below(900_000));
            out += &format!(
                " WHEN NOT MATCHED AND {condition} THEN INSERT (id, {}) VALUES (s.id + {id}, {value})",
                inserted.0
            );
        }
        out
    }

    /// A statement that writes inside of WITH.
    pub(super) fn writing_with(&mut self) -> String {
        let (table, columns, scope) = self.target();
        let (column, ty, _) = self.pick(columns);
        let condition = self.condition(&scope, 0);
        let write = match self.below(3) {
            0 => format!("DELETE FROM {table} t WHERE t.id % 20 = {} AND {condition}", self.below(20)),
            1 => format!("UPDATE {table} t SET {column} = {} WHERE {condition}", self.scalar(ty, &scope, 0)),
            _ => {
                let id = 1000 + self.below(900_000);
                format!("INSERT INTO {table} AS t (id, {column}) VALUES ({id}, {})", self.constant(ty))
            }
        };
        let inner = vec![("w".to_owned(), vec![Column { name: "c".to_owned(), ty }])];
        let item = self.scalar(ty, &inner, 1);
        let with = format!("WITH w AS ({write} RETURNING t.id, t.{column} AS c)");
        if self.one_in(2) {
            return format!("{with} SELECT w.id, {item} FROM w");
        }
        let (target, columns) = self.pick(TABLES);
        let fitting: Vec<&Definition> = columns.iter().filter(|(_, other, _)| *other == ty).collect();
        match fitting.first() {
            Some((name, _, _)) if target != table => {
                let id = 1000 + self.below(900_000);
                format!("{with} INSERT INTO {target} (id, {name}) SELECT w.id + {id}, {item} FROM w")
            }
            _ => format!("{with} SELECT count(*), count(w.c) FROM w"),
        }
    }
}
