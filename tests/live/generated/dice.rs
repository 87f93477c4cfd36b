//! A generator of statements.

use std::fmt::Write as _;

use super::Request;
use super::tables::*;

/// A column that an expression may name.
#[derive(Clone)]
struct Column {
    name: String,
    ty: Ty,
}

/// What FROM offers: items by their alias.
type Scope = Vec<(String, Vec<Column>)>;

/// A generator of statements.
pub(super) struct Dice {
    state: u64,
    parameters: Vec<(Option<Vec<u8>>, u32, bool)>,
    simple: bool,
    aliases: usize,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            parameters: Vec::new(),
            simple: false,
            aliases: 0,
        };
        dice.next();
        dice
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    pub(super) fn request(&mut self) -> Request {
        self.simple = self.one_in(3);
        let (sql, ordered) = match self.below(10) {
            0 => (self.insert(), false),
            1 => (self.update(), false),
            2 => (self.delete(), false),
            _ => self.query(),
        };
        let parameters = std::mem::take(&mut self.parameters);
        Request { sql, parameters, simple: self.simple, binary: self.one_in(3), ordered }
    }

    // Values.

    /// A value of a type as a literal, or NULL.
    pub(super) fn stored(&mut self, ty: Ty) -> String {
        if self.one_in(5) {
            "NULL".to_owned()
        } else {
            format!("'{}'", self.pick(ty.facts().2).replace('\'', "''"))
        }
    }

    /// A constant of a type in one of the forms that it may be written in, or a parameter.
    fn constant(&mut self, ty: Ty) -> String {
        let (name, _, values) = ty.facts();
        let name = name.split('(').next().unwrap();
        let value = self.pick(values);
        if self.one_in(12) {
            return self.pick(&["NULL", "NULL", &format!("NULL::{name}")]).to_owned();
        }
        if !self.simple && self.one_in(2) {
            return self.parameter(ty, Some(value));
        }
        let quoted = format!("'{}'", value.replace('\'', "''"));
        match self.below(8) {
            0 => format!("{quoted}::{name}"),
            1 => format!("CAST({quoted} AS {name})"),
            2 if matches!(ty, Date | Timestamp | Uuid | Interval | Jsonb) => format!("{name} {quoted}"),
            3 if ty == Text => format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "\\'")),
            4 if ty == Text => format!("$q${value}$q$"),
            2..=5 if matches!(ty, Int | Int8 | Bool) || (ty == Numeric && self.one_in(2)) => value.to_owned(),
            6 => format!("({quoted})"),
            _ => quoted,
        }
    }

    fn parameter(&mut self, ty: Ty, value: Option<&str>) -> String {
        let (name, oid, _) = ty.facts();
        let name = name.split('(').next().unwrap();
        let is_cast = self.one_in(3);
        let declared = if self.one_in(2) { oid } else { 0 };
        let encoded = value
            .and_then(|value| binary(ty, value))
            .filter(|_| (is_cast || declared != 0) && self.one_in(2));
        let is_binary = encoded.is_some();
        let value = if self.one_in(10) { None } else { encoded.or(value.map(|v| v.as_bytes().to_vec())) };
        self.parameters.push((value, declared, is_binary));
        let number = self.parameters.len();
        if is_cast { format!("${number}::{name}") } else { format!("${number}") }
    }

    /// Several constants as an array.
    fn array(&mut self, ty: Ty) -> String {
        let (name, _, _) = ty.facts();
        let name = name.split('(').next().unwrap();
        if self.one_in(2) {
            return format!("ARRAY[{}, {}]", self.constant(ty), self.constant(ty));
        }
        let quote = |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        let values = ty.facts().2;
        let array = format!("{{{},{}}}", quote(self.pick(values)), quote(self.pick(values)));
        if self.simple {
            format!("'{}'::{name}[]", array.replace('\'', "''"))
        } else {
            self.parameters.push((Some(array.into_bytes()), 0, false));
            let number = self.parameters.len();
            if self.one_in(2) { format!("${number}") } else { format!("${number}::{name}[]") }
        }
    }

    // Expressions.

    /// A column of a scope, of a type if one has it.
    fn column(&mut self, scope: &Scope, ty: Option<Ty>) -> Option<(String, Ty)> {
        let fits = |column: &&Column| ty.is_none_or(|ty| column.ty == ty);
        let columns: Vec<_> = scope
            .iter()
            .flat_map(|(alias, columns)| {
                columns.iter().filter(fits).map(move |c| (format!("{alias}.{}", c.name), c.ty))
            })
            .collect();
        if columns.is_empty() { None } else { Some(self.pick(&columns)) }
    }

    fn scalar(&mut self, ty: Ty, scope: &Scope, depth: usize) -> String {
        let column = self.column(scope, Some(ty)).map(|(column, _)| column);
        match (column, self.below(if depth == 0 { 6 } else { 12 })) {
            (Some(column), 0..=4) => column,
            (Some(column), 6) => format!("NULLIF({column}, {})", self.constant(ty)),
            (Some(column), 7) => format!("COALESCE({column}, {})", self.scalar(ty, scope, depth - 1)),
            (Some(column), 8) => {
                let condition = self.condition(scope, depth - 1);
                format!("CASE WHEN {condition} THEN {column} ELSE {} END", self.scalar(ty, scope, depth - 1))
            }
            (_, 9) => {
                let condition = self.condition(scope, depth - 1);
                format!("CASE WHEN {condition} THEN {} END", self.scalar(ty, scope, depth - 1))
            }
            (_, 10) => self.subquery(ty, scope, true),
            _ => self.constant(ty),
        }
    }

    /// A subquery of one column, and of one row if `single`.
    fn subquery(&mut self, ty: Ty, outer: &Scope, single: bool) -> String {
        let (from, scope) = self.table();
        let alias = scope[0].0.clone();
        let Some((column, _)) = self.column(&scope, Some(ty)) else {
            return format!("(SELECT {})", self.constant(ty));
        };
        let mut both = scope;
        if self.one_in(2) {
            both.extend(outer.iter().cloned());
        }
        let condition = self.condition(&both, 0);
        if single {
            format!("(SELECT {column} FROM {from} WHERE {condition} ORDER BY {alias}.id, {alias}.n LIMIT 1)")
        } else {
            format!("(SELECT {column} FROM {from} WHERE {condition})")
        }
    }

    fn condition(&mut self, scope: &Scope, depth: usize) -> String {
        let Some((column, ty)) = self.column(scope, None) else { return "true".to_owned() };
        match self.below(if depth == 0 { 10 } else { 16 }) {
            0 => format!("{column} IS NULL"),
            1 => format!("{column} IS NOT NULL"),
            2 => format!("{column} <> {}", self.constant(ty)),
            3 => format!("{column} IN ({}, {})", self.constant(ty), self.constant(ty)),
            4 => format!("{column} IS DISTINCT FROM {}", self.scalar(ty, scope, 0)),
            5 => format!("{column} = ANY({})", self.array(ty)),
            6 => match self.column(scope, Some(Int)) {
                Some((column, _)) => format!("{column} {} {}", self.pick(&["<", ">=", "="]), self.below(4)),
                None => "true".to_owned(),
            },
            7 => format!("{} = {column}", self.constant(ty)),
            10 => format!("({} OR {})", self.condition(scope, depth - 1), self.condition(scope, depth - 1)),
            11 => format!("({} AND {})", self.condition(scope, depth - 1), self.condition(scope, depth - 1)),
            12 => format!("NOT {}", self.condition(scope, depth - 1)),
            13 => {
                let (from, inner) = self.table();
                let Some((other, _)) = self.column(&inner, Some(ty)) else { return "1 = 1".to_owned() };
                format!("EXISTS (SELECT 1 FROM {from} WHERE {other} = {column})")
            }
            14 => format!("{column} IN {}", self.subquery(ty, scope, false)),
            15 => {
                let (second, other) = self.column(scope, None).unwrap();
                format!("({column}, {second}) = ({}, {})", self.constant(ty), self.constant(other))
            }
            _ => format!("{column} = {}", self.scalar(ty, scope, depth.saturating_sub(1))),
        }
    }

    // FROM.

    /// A table or view as an item of FROM with what it offers.
    fn table(&mut self) -> (String, Scope) {
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

    fn item(&mut self, depth: usize) -> (String, Scope) {
        if depth == 0 || !self.one_in(5) {
            return self.table();
        }
        let (select, columns) = self.select(depth - 1, None);
        let alias = self.alias();
        (format!("({select}) {alias}"), vec![(alias, columns)])
    }

    fn from(&mut self, depth: usize) -> (String, Scope) {
        let (mut from, mut scope) = self.item(depth);
        for _ in 0..self.below(3) {
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

    // SELECT.

    /// A SELECT without ORDER BY and its columns; of these types if they are given.
    fn select(&mut self, depth: usize, types: Option<&[Ty]>) -> (String, Vec<Column>) {
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
            write!(out, " GROUP BY {}", group.join(", ")).unwrap();
            if self.one_in(3) {
                write!(out, " HAVING count(*) > {}", self.below(2)).unwrap();
            }
        }
        (out, columns)
    }

    /// A query and whether its rows come in a certain order.
    fn query(&mut self) -> (String, bool) {
        match self.below(8) {
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
                let window = match self.below(6) {
                    0 => format!("lag({column}) OVER (ORDER BY {alias}.id)"),
                    1 => format!("lead({column}, 1, {}) OVER (ORDER BY {alias}.id)", self.constant(ty)),
                    2 => format!("first_value({column}) OVER (ORDER BY {alias}.id)"),
                    3 => format!("count(*) OVER (PARTITION BY {column})"),
                    4 => format!("(SELECT array_agg({column} ORDER BY {alias}.id) FROM {from})"),
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

    // Modifications.

    fn returning(&mut self, scope: &Scope) -> String {
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
    fn target(&mut self) -> (&'static str, &'static [Definition], Scope) {
        let (table, columns) = self.pick(TABLES);
        let offered = columns.iter().map(|(name, ty, _)| Column { name: (*name).to_owned(), ty: *ty });
        (table, columns, vec![("t".to_owned(), offered.collect())])
    }

    fn insert(&mut self) -> String {
        let (table, columns, scope) = self.target();
        let some: Vec<Definition> = columns.iter().copied().filter(|_| !self.one_in(3)).collect();
        let names: Vec<&str> = some.iter().map(|(name, _, _)| *name).collect();
        let into = std::iter::once("id").chain(names.iter().copied()).collect::<Vec<_>>().join(", ");
        let source = if self.one_in(4) {
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
                let value = if self.one_in(2) { format!("EXCLUDED.{name}") } else { self.constant(ty) };
                let filter = if self.one_in(2) {
                    format!(" WHERE {}", self.condition(&scope, 0))
                } else {
                    String::new()
                };
                format!(" ON CONFLICT (id) DO UPDATE SET {name} = {value}{filter}")
            }
            (_, 1) => " ON CONFLICT DO NOTHING".to_owned(),
            _ => String::new(),
        };
        format!("INSERT INTO {table} AS t ({into}) {source}{conflict}{}", self.returning(&scope))
    }

    fn update(&mut self) -> String {
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

    fn delete(&mut self) -> String {
        let (table, _, scope) = self.target();
        let condition = self.condition(&scope, 1);
        let few = self.below(20);
        format!("DELETE FROM {table} t WHERE t.id % 20 = {few} AND {condition}{}", self.returning(&scope))
    }
}

/// The binary form of a value, for some types.
fn binary(ty: Ty, value: &str) -> Option<Vec<u8>> {
    match ty {
        Text | Varchar | Char => Some(value.as_bytes().to_vec()),
        Int => value.parse::<i32>().ok().map(|n| n.to_be_bytes().to_vec()),
        Int8 => value.parse::<i64>().ok().map(|n| n.to_be_bytes().to_vec()),
        Float => value.parse::<f64>().ok().map(|n| n.to_be_bytes().to_vec()),
        Bool => Some(vec![u8::from(value == "true")]),
        Uuid => {
            let hex: Vec<u8> = value.bytes().filter(|b| *b != b'-').collect();
            hex.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
        }
        Jsonb => Some([b"\x01", value.as_bytes()].concat()),
        Date | Timestamp | Numeric | Mood | Interval | Array => None,
    }
}
