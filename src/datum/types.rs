//! Names, object ids and modifiers of the types that can be sealed.

use std::fmt;

use super::{Base, Oid, Type};

/// What a policy file's type name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeName {
    /// A type of PostgreSQL's own.
    Builtin(Type),
    /// A name that only the database's catalog can resolve (an enum), folded and unquoted.
    Named {
        /// The schema, if one is given.
        schema: Option<String>,
        /// The name.
        name: String,
        /// True for an array of it.
        array: bool,
    },
}

/// Why a type name is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Not the form of a type name.
    #[error("\"{0}\" is not a type name")]
    Syntax(String),
    /// A type of PostgreSQL that cannot be sealed.
    #[error("type {0} cannot be encrypted")]
    Unsupported(String),
    /// A modifier that the type does not have.
    #[error("type {0} takes no modifier")]
    NoModifier(String),
    /// A modifier out of its range.
    #[error("{what} of type {ty} must be between {min} and {max}")]
    Modifier {
        /// Length, precision or scale.
        what: &'static str,
        /// The type.
        ty: &'static str,
        /// The smallest that is allowed.
        min: i32,
        /// The largest.
        max: i32,
    },
}

/// Types whose values share a canonical form: the family's label goes into the derivation of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the labels say it")]
pub enum Family {
    Text,
    Int,
    Bool,
    Float,
    Numeric,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Inet,
    Cidr,
    Macaddr,
    Bytes,
    Json,
    Jsonb,
    Array(Box<Family>),
}

impl Family {
    /// The label, part of the stored format: it never changes.
    pub fn label(&self) -> String {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Float => "float",
            Self::Numeric => "numeric",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Inet => "inet",
            Self::Cidr => "cidr",
            Self::Macaddr => "macaddr",
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Array(element) => return format!("{}[]", element.label()),
        }
        .to_owned()
    }
}

/// One row of `pg_type` for a builtin type.
struct Row {
    base: Base,
    oid: Oid,
    array_oid: Oid,
    typlen: i16,
    /// As `format_type` prints it.
    name: &'static str,
}

/// `pg_type`: object ids and lengths are fixed by the server's source.
///
/// <https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat>
static BUILTIN: [Row; 22] = [
    row(Base::Bool, 16, 1000, 1, "boolean"),
    row(Base::Bytea, 17, 1001, -1, "bytea"),
    row(Base::Int8, 20, 1016, 8, "bigint"),
    row(Base::Int2, 21, 1005, 2, "smallint"),
    row(Base::Int4, 23, 1007, 4, "integer"),
    row(Base::Text, 25, 1009, -1, "text"),
    row(Base::Json, 114, 199, -1, "json"),
    row(Base::Cidr, 650, 651, -1, "cidr"),
    row(Base::Float4, 700, 1021, 4, "real"),
    row(Base::Float8, 701, 1022, 8, "double precision"),
    row(Base::Macaddr, 829, 1040, 6, "macaddr"),
    row(Base::Inet, 869, 1041, -1, "inet"),
    row(Base::Bpchar, 1042, 1014, -1, "character"),
    row(Base::Varchar, 1043, 1015, -1, "character varying"),
    row(Base::Date, 1082, 1182, 4, "date"),
    row(Base::Time, 1083, 1183, 8, "time without time zone"),
    row(Base::Timestamp, 1114, 1115, 8, "timestamp without time zone"),
    row(Base::Timestamptz, 1184, 1185, 8, "timestamp with time zone"),
    row(Base::Interval, 1186, 1187, 16, "interval"),
    row(Base::Numeric, 1700, 1231, -1, "numeric"),
    row(Base::Uuid, 2950, 2951, 16, "uuid"),
    row(Base::Jsonb, 3802, 3807, -1, "jsonb"),
];

const fn row(base: Base, oid: Oid, array_oid: Oid, typlen: i16, name: &'static str) -> Row {
    Row { base, oid, array_oid, typlen, name }
}

/// Types of PostgreSQL that are no enum and that cannot be sealed, so that a policy that names one is
/// told so (a name that is not listed is looked up in the catalog).
const UNSUPPORTED: [&str; 40] = [
    "timetz",
    "money",
    "xml",
    "bit",
    "varbit",
    "oid",
    "xid",
    "cid",
    "tid",
    "name",
    "regclass",
    "regtype",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "macaddr8",
    "tsvector",
    "tsquery",
    "pg_lsn",
    "serial",
    "bigserial",
    "smallserial",
    "serial4",
    "serial8",
    "serial2",
    "int4range",
    "int8range",
    "numrange",
    "daterange",
    "tsrange",
    "tstzrange",
    "record",
    "void",
    "jsonpath",
    "citext",
    "hstore",
];

impl Base {
    /// The element's type, for an array.
    pub fn element(&self) -> Option<&Self> {
        match self {
            Self::Array(element) => Some(element),
            _ => None,
        }
    }

    /// The object id of the type; 0 for an array of a type that has none.
    pub fn oid(&self) -> Oid {
        match self {
            Self::Enum(ty) => ty.oid,
            Self::Array(element) => element.array_oid(),
            _ => self.row().map_or(0, |row| row.oid),
        }
    }

    /// The object id of the type's array type; 0 if there is none.
    pub fn array_oid(&self) -> Oid {
        match self {
            Self::Enum(ty) => ty.array_oid,
            Self::Array(_) => 0,
            _ => self.row().map_or(0, |row| row.array_oid),
        }
    }

    /// The builtin type (or array of one) of an object id.
    pub(super) fn from_oid(oid: Oid) -> Option<Self> {
        BUILTIN.iter().find_map(|row| {
            if row.oid == oid {
                Some(row.base.clone())
            } else {
                (row.array_oid == oid).then(|| Self::Array(Box::new(row.base.clone())))
            }
        })
    }

    /// The type's name without a modifier, as the server's messages have it.
    pub(super) fn name(&self) -> String {
        Type { base: self.clone(), modifier: -1 }.name()
    }

    fn row(&self) -> Option<&'static Row> {
        BUILTIN.iter().find(|row| row.base == *self)
    }

    fn family(&self) -> Family {
        match self {
            Self::Bool => Family::Bool,
            Self::Int2 | Self::Int4 | Self::Int8 => Family::Int,
            Self::Float4 | Self::Float8 => Family::Float,
            Self::Numeric => Family::Numeric,
            Self::Text | Self::Varchar | Self::Bpchar | Self::Enum(_) => Family::Text,
            Self::Bytea => Family::Bytes,
            Self::Date => Family::Date,
            Self::Time => Family::Time,
            Self::Timestamp => Family::Timestamp,
            Self::Timestamptz => Family::Timestamptz,
            Self::Interval => Family::Interval,
            Self::Uuid => Family::Uuid,
            Self::Inet => Family::Inet,
            Self::Cidr => Family::Cidr,
            Self::Macaddr => Family::Macaddr,
            Self::Json => Family::Json,
            Self::Jsonb => Family::Jsonb,
            Self::Array(element) => Family::Array(Box::new(element.family())),
        }
    }
}

impl Type {
    /// Reads a type name as SQL has it, modifiers included: `varchar(80)`, `timestamp(3) with time zone`,
    /// `int4[]`, `app.mood`.
    pub fn parse(name: &str) -> Result<TypeName, TypeError> {
        Parser::new(name)?.type_name().map_err(|error| match error {
            TypeError::Syntax(_) => TypeError::Syntax(name.to_owned()),
            other => other,
        })
    }

    /// The builtin type (or array of one) of an object id, with `atttypmod`. Intervals that are
    /// restricted to fields (`interval day to second`) are not among them.
    pub fn from_oid(oid: Oid, modifier: i32) -> Option<Self> {
        let ty = Self { base: Base::from_oid(oid)?, modifier };
        let fields = ty.scalar() == &Base::Interval && modifier >= 0 && modifier >> 16 != INTERVAL_FULL_RANGE;
        (!fields).then_some(ty)
    }

    /// A type without a modifier.
    pub fn plain(base: Base) -> Self {
        Self { base, modifier: -1 }
    }

    /// The type's object id.
    pub fn oid(&self) -> Oid {
        self.base.oid()
    }

    /// The object id of its array type; 0 if there is none.
    pub fn array_oid(&self) -> Oid {
        self.base.array_oid()
    }

    /// `pg_type.typlen`: bytes of a value, -1 if they vary.
    pub fn typlen(&self) -> i16 {
        match &self.base {
            Base::Enum(_) => 4,
            Base::Array(_) => -1,
            base => base.row().map_or(-1, |row| row.typlen),
        }
    }

    /// The element's type with its modifier, for an array.
    pub fn element(&self) -> Option<Self> {
        self.base.element().map(|base| Self { base: base.clone(), modifier: self.modifier })
    }

    /// The name as `format_type` prints it.
    pub fn name(&self) -> String {
        self.to_string()
    }

    /// The family whose canonical form its values have.
    pub fn family(&self) -> Family {
        self.base.family()
    }

    /// Whether equal values have equal canonical forms; else why not.
    pub fn allows_deterministic(&self) -> Result<(), &'static str> {
        match &self.base {
            Base::Numeric if self.numeric().is_none() => {
                Err("equal numerics may have different scales: declare one, as in numeric(12,2)")
            }
            Base::Bpchar if self.length().is_none() => {
                Err("equal bpchar values may have different padding: declare a length, as in char(12)")
            }
            Base::Interval => Err("equal intervals may be written in different fields"),
            Base::Json => Err("json has no equality"),
            Base::Jsonb => Err("equal jsonb values may have different number forms"),
            Base::Array(_) => Err("arrays are compared by element, which sealed values cannot be"),
            _ => Ok(()),
        }
    }

    /// The type itself, or an array's element type.
    fn scalar(&self) -> &Base {
        self.base.element().unwrap_or(&self.base)
    }

    /// Declared length in characters.
    pub(super) fn length(&self) -> Option<usize> {
        usize::try_from(self.modifier.checked_sub(VARHDRSZ)?).ok()
    }

    /// Declared precision and scale.
    pub(super) fn numeric(&self) -> Option<(i32, i32)> {
        let packed = self.modifier.checked_sub(VARHDRSZ).filter(|packed| *packed >= 0)?;
        // The scale is an 11-bit two's complement number.
        Some(((packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 0x400) - 0x400))
    }

    /// Declared digits of a second's fraction.
    pub(super) fn precision(&self) -> Option<u32> {
        let packed = if self.scalar() == &Base::Interval { self.modifier & 0xFFFF } else { self.modifier };
        u32::try_from(packed).ok().filter(|digits| *digits <= MAX_PRECISION as u32)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.scalar();
        match base {
            Base::Enum(ty) => f.write_str(&ty.name)?,
            Base::Bpchar => match self.length() {
                Some(n) => write!(f, "character({n})")?,
                None => f.write_str("bpchar")?,
            },
            Base::Varchar => match self.length() {
                Some(n) => write!(f, "character varying({n})")?,
                None => f.write_str("character varying")?,
            },
            Base::Numeric => match self.numeric() {
                Some((precision, scale)) => write!(f, "numeric({precision},{scale})")?,
                None => f.write_str("numeric")?,
            },
            Base::Time | Base::Timestamp | Base::Timestamptz | Base::Interval => {
                let name = base.row().map_or("", |row| row.name);
                let (word, zone) = name
                    .split_once(' ')
                    .map_or((name, ""), |(word, _)| (word, name.trim_start_matches(word)));
                match self.precision() {
                    Some(digits) => write!(f, "{word}({digits}){zone}")?,
                    None => f.write_str(name)?,
                }
            }
            _ => f.write_str(base.row().map_or("", |row| row.name))?,
        }
        if self.base.element().is_some() { f.write_str("[]") } else { Ok(()) }
    }
}

/// Modifiers of lengths and numerics count the header of a variable-length value.
const VARHDRSZ: i32 = 4;
/// The longest length that can be declared.
const MAX_LENGTH: i32 = 10 * 1024 * 1024;
/// The greatest precision and scale that can be declared.
const MAX_NUMERIC: i32 = 1000;
/// Microseconds are the finest fraction.
const MAX_PRECISION: i32 = 6;
/// The upper half of an interval's modifier when all fields are allowed.
const INTERVAL_FULL_RANGE: i32 = 0x7FFF;

/// A piece of a type name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// An unquoted word, folded.
    Word(String),
    /// A quoted identifier's content.
    Quoted(String),
    Number(i32),
    Mark(char),
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Parser {
    fn new(name: &str) -> Result<Self, TypeError> {
        let mut tokens = Vec::new();
        let mut chars = name.chars().peekable();
        let syntax = || TypeError::Syntax(name.to_owned());
        while let Some(c) = chars.next() {
            let mut run = |first: String, accept: fn(char) -> bool| {
                let mut word = first;
                while let Some(c) = chars.next_if(|c| accept(*c)) {
                    word.push(c);
                }
                word
            };
            tokens.push(match c {
                c if c.is_ascii_whitespace() => continue,
                '(' | ')' | '[' | ']' | ',' | '.' => Token::Mark(c),
                '-' | '0'..='9' => {
                    let digits = run(c.to_string(), |c| c.is_ascii_digit());
                    Token::Number(digits.parse().map_err(|_| syntax())?)
                }
                '"' => {
                    let mut word = String::new();
                    loop {
                        match chars.next() {
                            Some('"') if chars.next_if_eq(&'"').is_none() => break,
                            Some(c) => word.push(c),
                            None => return Err(syntax()),
                        }
                    }
                    Token::Quoted(word)
                }
                c if c.is_alphabetic() || c == '_' => {
                    let word = run(c.to_string(), |c| c.is_alphanumeric() || c == '_' || c == '$');
                    Token::Word(word.to_ascii_lowercase())
                }
                _ => return Err(syntax()),
            });
        }
        Ok(Self { tokens: tokens.into_iter().peekable() })
    }

    fn type_name(mut self) -> Result<TypeName, TypeError> {
        let (first, quoted) = self.identifier()?;
        let mut schema = None;
        let (mut name, mut name_quoted) = (first, quoted);
        if self.mark('.') {
            let (second, quoted) = self.identifier()?;
            schema = Some(std::mem::replace(&mut name, second));
            name_quoted = quoted;
        }
        // A name in pg_catalog is the type's own (int4), where SQL's spelling is a keyword (integer).
        let catalog = schema.as_deref() == Some("pg_catalog");
        if catalog || (schema.is_none() && !name_quoted) {
            if let Some(ty) = self.builtin(&name)? {
                return Ok(TypeName::Builtin(self.finish(ty)?));
            }
            if catalog || UNSUPPORTED.contains(&name.as_str()) {
                return Err(TypeError::Unsupported(name));
            }
        }
        if self.tokens.peek() == Some(&Token::Mark('(')) {
            return Err(TypeError::NoModifier(name));
        }
        let ty = self.finish(Type::plain(Base::Text))?;
        Ok(TypeName::Named { schema, name, array: ty.base.element().is_some() })
    }

    /// Reads what follows a builtin type's first word.
    fn builtin(&mut self, name: &str) -> Result<Option<Type>, TypeError> {
        let base = match name {
            "bool" | "boolean" => Base::Bool,
            "int2" | "smallint" => Base::Int2,
            "int4" | "int" | "integer" => Base::Int4,
            "int8" | "bigint" => Base::Int8,
            "float4" | "real" => Base::Float4,
            "float8" => Base::Float8,
            "double" => {
                self.words(&["precision"])?;
                Base::Float8
            }
            "float" => match self.modifiers()?.as_slice() {
                [] => Base::Float8,
                [bits] => match checked("precision", "float", *bits, 1, 53)? {
                    ..25 => Base::Float4,
                    _ => Base::Float8,
                },
                _ => return Err(TypeError::Syntax(name.to_owned())),
            },
            "numeric" | "decimal" | "dec" => return self.numeric().map(Some),
            "text" => Base::Text,
            "varchar" => return self.length(Base::Varchar, "varchar").map(Some),
            "bpchar" => return self.length(Base::Bpchar, "bpchar").map(Some),
            "char" | "character" | "nchar" => {
                if self.word("varying") {
                    return self.length(Base::Varchar, "varchar").map(Some);
                }
                let ty = self.length(Base::Bpchar, "char")?;
                // Without a length it is char(1).
                return Ok(Some(Type { modifier: ty.modifier.max(VARHDRSZ + 1), ..ty }));
            }
            "bytea" => Base::Bytea,
            "date" => Base::Date,
            "time" => return self.time(Base::Time, None).map(Some),
            "timestamp" => return self.time(Base::Timestamp, Some(Base::Timestamptz)).map(Some),
            "timestamptz" => {
                let modifier = self.precision("timestamptz")?;
                return Ok(Some(Type { base: Base::Timestamptz, modifier }));
            }
            "interval" => {
                let modifier = match self.precision("interval")? {
                    -1 => -1,
                    digits => (INTERVAL_FULL_RANGE << 16) | digits,
                };
                return Ok(Some(Type { base: Base::Interval, modifier }));
            }
            "uuid" => Base::Uuid,
            "inet" => Base::Inet,
            "cidr" => Base::Cidr,
            "macaddr" => Base::Macaddr,
            "json" => Base::Json,
            "jsonb" => Base::Jsonb,
            _ => return Ok(None),
        };
        if self.tokens.peek() == Some(&Token::Mark('(')) {
            return Err(TypeError::NoModifier(base.name()));
        }
        Ok(Some(Type::plain(base)))
    }

    fn numeric(&mut self) -> Result<Type, TypeError> {
        let (precision, scale) = match self.modifiers()?.as_slice() {
            [] => return Ok(Type::plain(Base::Numeric)),
            [precision] => (*precision, 0),
            [precision, scale] => (*precision, *scale),
            _ => return Err(TypeError::Syntax("numeric".to_owned())),
        };
        let precision = checked("precision", "numeric", precision, 1, MAX_NUMERIC)?;
        let scale = checked("scale", "numeric", scale, -MAX_NUMERIC, MAX_NUMERIC)?;
        Ok(Type { base: Base::Numeric, modifier: ((precision << 16) | (scale & 0x7FF)) + VARHDRSZ })
    }

    fn length(&mut self, base: Base, name: &'static str) -> Result<Type, TypeError> {
        let modifier = match self.modifiers()?.as_slice() {
            [] => -1,
            [n] => checked("length", name, *n, 1, MAX_LENGTH)? + VARHDRSZ,
            _ => return Err(TypeError::Syntax(name.to_owned())),
        };
        Ok(Type { base, modifier })
    }

    fn precision(&mut self, name: &'static str) -> Result<i32, TypeError> {
        match self.modifiers()?.as_slice() {
            [] => Ok(-1),
            [digits] => checked("precision", name, *digits, 0, MAX_PRECISION),
            _ => Err(TypeError::Syntax(name.to_owned())),
        }
    }

    /// `[(p)] [{with | without} time zone]`.
    fn time(&mut self, without: Base, with: Option<Base>) -> Result<Type, TypeError> {
        let modifier = self.precision("timestamp")?;
        let base = if self.word("with") {
            self.words(&["time", "zone"])?;
            with.ok_or_else(|| TypeError::Unsupported("time with time zone".to_owned()))?
        } else {
            if self.word("without") {
                self.words(&["time", "zone"])?;
            }
            without
        };
        Ok(Type { base, modifier })
    }

    /// `(n, ...)` if it is there.
    fn modifiers(&mut self) -> Result<Vec<i32>, TypeError> {
        let mut numbers = Vec::new();
        if self.mark('(') {
            loop {
                match self.tokens.next() {
                    Some(Token::Number(n)) => numbers.push(n),
                    other => return Err(unexpected(other)),
                }
                if self.mark(')') {
                    break;
                }
                if !self.mark(',') {
                    return Err(unexpected(self.tokens.next()));
                }
            }
        }
        Ok(numbers)
    }

    /// `[]`, `[n]`, `[][]` or `ARRAY` after the type (dimensions are not part of it), and the end.
    fn finish(mut self, ty: Type) -> Result<Type, TypeError> {
        let mut array = self.word("array");
        while self.mark('[') {
            array = true;
            if matches!(self.tokens.peek(), Some(Token::Number(_))) {
                self.tokens.next();
            }
            if !self.mark(']') {
                return Err(unexpected(self.tokens.next()));
            }
        }
        match self.tokens.next() {
            None if array => Ok(Type { base: Base::Array(Box::new(ty.base)), ..ty }),
            None => Ok(ty),
            other => Err(unexpected(other)),
        }
    }

    fn identifier(&mut self) -> Result<(String, bool), TypeError> {
        match self.tokens.next() {
            Some(Token::Word(word)) => Ok((word, false)),
            Some(Token::Quoted(word)) if !word.is_empty() => Ok((word, true)),
            other => Err(unexpected(other)),
        }
    }

    fn mark(&mut self, mark: char) -> bool {
        self.tokens.next_if_eq(&Token::Mark(mark)).is_some()
    }

    fn word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(w) if w == word)).is_some()
    }

    fn words(&mut self, words: &[&str]) -> Result<(), TypeError> {
        words.iter().all(|word| self.word(word)).then_some(()).ok_or_else(|| unexpected(None))
    }
}

fn checked(what: &'static str, ty: &'static str, n: i32, min: i32, max: i32) -> Result<i32, TypeError> {
    (min..=max).contains(&n).then_some(n).ok_or(TypeError::Modifier { what, ty, min, max })
}

/// The text is put in by [`Type::parse`].
fn unexpected(_: Option<Token>) -> TypeError {
    TypeError::Syntax(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_sql_has_them_and_printed_as_format_type_does() {
        for (given, printed, oid, modifier) in [
            ("text", "text", 25, -1),
            ("  TEXT ", "text", 25, -1),
            ("varchar(80)", "character varying(80)", 1043, 84),
            ("character varying ( 80 )", "character varying(80)", 1043, 84),
            ("varchar", "character varying", 1043, -1),
            ("char(5)", "character(5)", 1042, 9),
            ("char", "character(1)", 1042, 5),
            ("bpchar", "bpchar", 1042, -1),
            ("numeric", "numeric", 1700, -1),
            ("numeric(12,2)", "numeric(12,2)", 1700, 786_438),
            ("decimal(5)", "numeric(5,0)", 1700, 327_684),
            ("numeric(3,-2)", "numeric(3,-2)", 1700, 198_658),
            ("timestamp(3) with time zone", "timestamp(3) with time zone", 1184, 3),
            ("timestamptz(0)", "timestamp(0) with time zone", 1184, 0),
            ("timestamp", "timestamp without time zone", 1114, -1),
            ("time(2)", "time(2) without time zone", 1083, 2),
            ("interval(3)", "interval(3)", 1186, 0x7FFF_0003),
            ("interval", "interval", 1186, -1),
            ("int4[]", "integer[]", 1007, -1),
            ("integer[3][]", "integer[]", 1007, -1),
            ("numeric(5,1) array", "numeric(5,1)[]", 1231, 327_685),
            ("pg_catalog.int8", "bigint", 20, -1),
            ("integer", "integer", 23, -1),
            ("bigint", "bigint", 20, -1),
            ("double precision", "double precision", 701, -1),
            ("float(24)", "real", 700, -1),
            ("float", "double precision", 701, -1),
        ] {
            let Ok(TypeName::Builtin(ty)) = Type::parse(given) else {
                panic!("{given}: {:?}", Type::parse(given))
            };
            assert_eq!((ty.name().as_str(), ty.oid(), ty.modifier), (printed, oid, modifier), "{given}");
            assert_eq!(Type::from_oid(oid, modifier), Some(ty), "{given}");
        }
    }

    #[test]
    fn other_names_are_left_to_the_catalog() {
        for (given, schema, name, array) in [
            ("mood", None, "mood", false),
            ("App.Mood[]", Some("app"), "mood", true),
            ("\"My App\".\"a\"\"b\"", Some("My App"), "a\"b", false),
            ("\"text\"", None, "text", false),
        ] {
            let expected =
                TypeName::Named { schema: schema.map(str::to_owned), name: name.to_owned(), array };
            assert_eq!(Type::parse(given), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_is_no_type_that_can_be_sealed_is_refused() {
        for (given, message) in [
            ("", "\"\" is not a type name"),
            ("varchar(", "\"varchar(\" is not a type name"),
            ("varchar(0)", "length of type varchar must be between 1 and 10485760"),
            ("numeric(1001)", "precision of type numeric must be between 1 and 1000"),
            ("numeric(1,2,3)", "\"numeric(1,2,3)\" is not a type name"),
            ("timestamp(7)", "precision of type timestamp must be between 0 and 6"),
            ("text(5)", "type text takes no modifier"),
            ("mood(5)", "type mood takes no modifier"),
            ("time with time zone", "type time with time zone cannot be encrypted"),
            ("money", "type money cannot be encrypted"),
            ("pg_catalog.oid", "type oid cannot be encrypted"),
            ("int4[", "\"int4[\" is not a type name"),
            ("interval year to month", "\"interval year to month\" is not a type name"),
            ("double", "\"double\" is not a type name"),
            ("\"a", "\"\"a\" is not a type name"),
            ("a.b.c", "\"a.b.c\" is not a type name"),
        ] {
            assert_eq!(Type::parse(given).unwrap_err().to_string(), message, "{given}");
        }
    }

    #[test]
    fn deterministic_needs_one_form_per_value() {
        for (given, allowed) in [
            ("text", true),
            ("numeric", false),
            ("numeric(5)", true),
            ("numeric(5,2)", true),
            ("bpchar", false),
            ("char(5)", true),
            ("interval", false),
            ("json", false),
            ("jsonb", false),
            ("int4[]", false),
            ("float8", true),
        ] {
            let Ok(TypeName::Builtin(ty)) = Type::parse(given) else { panic!("{given}") };
            assert_eq!(ty.allows_deterministic().is_ok(), allowed, "{given}");
        }
    }

    #[test]
    fn labels_of_families_are_pinned() {
        for (given, label) in [
            ("varchar(3)", "text"),
            ("bpchar", "text"),
            ("int2", "int"),
            ("float4", "float"),
            ("bytea", "bytes"),
            ("timestamptz", "timestamptz"),
            ("int8[]", "int[]"),
            ("text[]", "text[]"),
        ] {
            let Ok(TypeName::Builtin(ty)) = Type::parse(given) else { panic!("{given}") };
            assert_eq!(ty.family().label(), label, "{given}");
        }
    }
}
