//! A generator of statements.

use super::Request;
use super::tables::*;

/// A column that an expression may name.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) ty: Ty,
}

/// What FROM offers: items by their alias.
pub(super) type Scope = Vec<(String, Vec<Column>)>;

/// A generator of statements.
pub(super) struct Dice {
    state: u64,
    pub(super) parameters: Vec<(Option<Vec<u8>>, u32, bool)>,
    pub(super) simple: bool,
    aliases: usize,
    /// The parameter that was made last.
    last: Option<(usize, Ty)>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            parameters: Vec::new(),
            simple: false,
            aliases: 0,
            last: None,
        };
        dice.next();
        dice
    }

    /// splitmix64.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(super) fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    pub(super) fn request(&mut self) -> Request {
        self.simple = self.one_in(3);
        let (sql, ordered) = match self.below(10) {
            0 => (self.insert(), false),
            1 => (self.update(), false),
            2 => match self.below(3) {
                0 => (self.delete(), false),
                1 => (self.merge(), false),
                _ => (self.writing_with(), false),
            },
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
    pub(super) fn constant(&mut self, ty: Ty) -> String {
        let (name, _, values) = ty.facts();
        let name = name.split('(').next().unwrap();
        let value = self.pick(values);
        if self.one_in(12) {
            return self.pick(&["NULL", "NULL", &format!("NULL::{name}")]).to_owned();
        }
        if !self.simple && self.one_in(2) {
            return self.parameter(ty, Some(value));
        }
        if self.one_in(12) {
            return self.foreign(ty, value);
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

    /// A constant that has another type first, or in the end.
    fn foreign(&mut self, ty: Ty, value: &str) -> String {
        let (name, _, _) = ty.facts();
        let quoted = format!("'{}'", value.replace('\'', "''"));
        match (ty, self.below(4)) {
            (Text | Varchar, 0 | 1) => format!("{quoted}::varchar({})", self.below(4) + 1),
            (Text | Varchar, 2) => format!("CAST({quoted} AS char({}))", self.below(4) + 1),
            (Char, 0) => format!("{quoted}::text"),
            (Char, 1) => format!("{quoted}::char(2)"),
            (Int | Int8, 0) => format!("{quoted}::numeric"),
            (Int | Int8, 1) => format!("{value}::bigint"),
            (Int | Int8, 2) => format!("{value}.0"),
            (Int | Int8, 3) => format!("{value}.6::int"),
            (Date, 0) => format!("{quoted}::timestamp"),
            (Date, 1) => format!("{quoted}::timestamp::date"),
            (Timestamp, 0) => format!("{quoted}::date"),
            (Timestamp, 1) => format!("{quoted}::timestamp(0)"),
            (Numeric, 0) => format!("{value}::numeric(12,1)"),
            (Numeric, 1) => format!("{quoted}::float8"),
            (Float, 0) => format!("{quoted}::float8::real"),
            (Bool, 0) => format!("{quoted}::text"),
            (Bool, 1) => "1::bool".to_owned(),
            (_, 0) => "'nonsense'".to_owned(),
            _ => format!("{quoted}::text::{name}"),
        }
    }

    /// A parameter that stands in the statement already, or a new one.
    fn again(&mut self, ty: Ty) -> String {
        match self.last.filter(|(_, last)| *last == ty) {
            Some((number, _)) if !self.simple => format!("${number}"),
            _ => self.constant(ty),
        }
    }

    pub(super) fn parameter(&mut self, ty: Ty, value: Option<&str>) -> String {
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
        self.last = Some((number, ty));
        match self.below(10) {
            0 if matches!(ty, Text | Varchar) && is_cast && !is_binary => {
                format!("${number}::varchar({})", self.below(6) + 1)
            }
            1 if is_cast && !is_binary && declared == 0 => format!("${number}::text::{name}"),
            _ if is_cast => format!("${number}::{name}"),
            _ => format!("${number}"),
        }
    }

    /// Several constants as an array.
    pub(super) fn array(&mut self, ty: Ty) -> String {
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
    pub(super) fn column(&mut self, scope: &Scope, ty: Option<Ty>) -> Option<(String, Ty)> {
        let fits = |column: &&Column| ty.is_none_or(|ty| column.ty == ty);
        let columns: Vec<_> = scope
            .iter()
            .flat_map(|(alias, columns)| {
                columns.iter().filter(fits).map(move |c| (format!("{alias}.{}", c.name), c.ty))
            })
            .collect();
        if columns.is_empty() { None } else { Some(self.pick(&columns)) }
    }

    pub(super) fn scalar(&mut self, ty: Ty, scope: &Scope, depth: usize) -> String {
        let column = self.column(scope, Some(ty)).map(|(column, _)| column);
        match (column, self.below(if depth == 0 { 6 } else { 15 })) {
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
            (Some(column), 11) => {
                let (value, then) = (self.constant(ty), self.scalar(ty, scope, 0));
                format!("CASE {column} WHEN {value} THEN {then} ELSE {column} END")
            }
            (_, 12) => {
                let (name, condition) = (ty.facts().0, self.condition(scope, 0));
                let (then, other) = (self.constant(ty), self.constant(ty));
                format!("(CASE WHEN {condition} THEN {then} ELSE {other} END)::{name}")
            }
            (Some(column), 13) => match ty {
                Text | Varchar | Mood => {
                    format!("{column}::{}", self.pick(&["text", "varchar", "varchar(30)"]))
                }
                Int => format!("{column}::int"),
                _ => format!("COALESCE({}, {column})", self.again(ty)),
            },
            (Some(column), 14) => format!("COALESCE({}, {column})", self.constant(ty)),
            _ => self.constant(ty),
        }
    }

    /// A subquery of one column, and of one row if `single`.
    pub(super) fn subquery(&mut self, ty: Ty, outer: &Scope, single: bool) -> String {
        let (from, scope) = self.table();
        let alias = scope[0].0.clone();
        let Some((column, _)) = self.column(&scope, Some(ty)) else {
            return match self.below(3) {
                0 => format!("(VALUES ({}))", self.constant(ty)),
                _ => format!("(SELECT {})", self.constant(ty)),
            };
        };
        let mut both = scope;
        if self.one_in(2) {
            both.extend(outer.iter().cloned());
        }
        let condition = self.condition(&both, 0);
        if single {
            return format!(
                "(SELECT {column} FROM {from} WHERE {condition} ORDER BY {alias}.id, {alias}.n LIMIT 1)"
            );
        }
        match self.below(5) {
            0 => {
                let op = self.pick(&["UNION", "EXCEPT", "INTERSECT", "UNION ALL"]);
                format!("(SELECT {column} FROM {from} WHERE {condition} {op} SELECT {})", self.constant(ty))
            }
            1 => format!("(SELECT DISTINCT {column} FROM {from} WHERE {condition})"),
            _ => format!("(SELECT {column} FROM {from} WHERE {condition})"),
        }
    }

    pub(super) fn condition(&mut self, scope: &Scope, depth: usize) -> String {
        let Some((column, ty)) = self.column(scope, None) else { return "true".to_owned() };
        match self.below(if depth == 0 { 14 } else { 26 }) {
            0 => format!("{column} IS NULL"),
            1 => format!("{column} IS NOT NULL"),
            2 => format!("{column} <> {}", self.constant(ty)),
            3 => {
                let not = self.pick(&["", "", "NOT "]);
                format!("{column} {not}IN ({}, {})", self.constant(ty), self.constant(ty))
            }
            4 => format!("{column} IS DISTINCT FROM {}", self.scalar(ty, scope, 0)),
            5 => format!("{column} = ANY({})", self.array(ty)),
            6 => match self.column(scope, Some(Int)) {
                Some((column, _)) => format!("{column} {} {}", self.pick(&["<", ">=", "="]), self.below(4)),
                None => "true".to_owned(),
            },
            7 => format!("{} = {column}", self.constant(ty)),
            8 => match self.column(scope, Some(Bool)) {
                Some((column, _)) => match self.below(4) {
                    0 => column,
                    1 => format!("NOT {column}"),
                    2 => format!("({column}) IS {}", self.pick(&["TRUE", "NOT TRUE", "FALSE", "UNKNOWN"])),
                    _ => format!("{column} IS NOT {}", self.pick(&["FALSE", "UNKNOWN"])),
                },
                None => format!("{column} IS NOT DISTINCT FROM {}", self.constant(ty)),
            },
            9 => format!("{column} <> ALL({})", self.array(ty)),
            10 => match self.column(scope, Some(ty)) {
                Some((other, _)) => {
                    format!("{column} {} {other}", self.pick(&["=", "<>", "IS NOT DISTINCT FROM"]))
                }
                None => "true".to_owned(),
            },
            14 => format!("({} OR {})", self.condition(scope, depth - 1), self.condition(scope, depth - 1)),
            15 => format!("({} AND {})", self.condition(scope, depth - 1), self.condition(scope, depth - 1)),
            16 => format!("NOT {}", self.condition(scope, depth - 1)),
            17 => {
                let (from, inner) = self.table();
                let Some((other, _)) = self.column(&inner, Some(ty)) else { return "1 = 1".to_owned() };
                let not = self.pick(&["", "NOT "]);
                format!("{not}EXISTS (SELECT 1 FROM {from} WHERE {other} = {column})")
            }
            18 => {
                let not = self.pick(&["", "NOT "]);
                format!("{column} {not}IN {}", self.subquery(ty, scope, false))
            }
            19 => {
                let (second, other) = self.column(scope, None).unwrap();
                let op = self.pick(&["=", "<>", "IS DISTINCT FROM"]);
                format!("({column}, {second}) {op} ({}, {})", self.constant(ty), self.constant(other))
            }
            20 => {
                let (second, other) = self.column(scope, None).unwrap();
                let mut row = || format!("({}, {})", self.constant(ty), self.constant(other));
                let rows = format!("{}, {}", row(), row());
                let source = self.pick(&[rows.clone(), format!("VALUES {rows}")]);
                format!("({column}, {second}) IN ({source})")
            }
            21 => {
                let (from, inner) = self.table();
                let Some((other, _)) = self.column(&inner, Some(ty)) else { return "2 = 2".to_owned() };
                let alias = inner[0].0.clone();
                match self.column(scope, Some(Int)) {
                    Some((id, _)) => format!("({column}, {id}) IN (SELECT {other}, {alias}.n FROM {from})"),
                    None => format!("{column} = ANY(SELECT {other} FROM {from})"),
                }
            }
            22 => {
                let constant = self.constant(ty);
                format!("({constant} IS NULL OR {column} = {})", self.again(ty))
            }
            23 => {
                let (constant, other) = (self.constant(ty), self.constant(ty));
                format!("({constant} = {other} OR {column} = {})", self.again(ty))
            }
            24 => {
                let (first, second) = (self.condition(scope, 0), self.condition(scope, 0));
                format!("CASE WHEN {first} THEN {second} ELSE {column} = {} END", self.constant(ty))
            }
            _ => format!("{column} = {}", self.scalar(ty, scope, depth.saturating_sub(1))),
        }
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
