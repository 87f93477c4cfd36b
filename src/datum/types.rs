//! Names, object ids and modifiers of the types that can be sealed.

use std::fmt;

use super::{Base, Oid, Type};

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

/// The object id of a builtin array type's elements; `None` for any other type.
pub fn element_of(array: Oid) -> Option<Oid> {
    Some(Type::from_oid(array, -1)?.element()?.oid())
}

impl Type {
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

    /// Whether its text form depends on settings (DateStyle, TimeZone, IntervalStyle, extra_float_digits,
    /// bytea_output).
    pub fn depends_on_settings(&self) -> bool {
        matches!(
            self.scalar(),
            Base::Date
                | Base::Timestamp
                | Base::Timestamptz
                | Base::Interval
                | Base::Float4
                | Base::Float8
                | Base::Bytea
        )
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
pub(super) const VARHDRSZ: i32 = 4;
/// Microseconds are the finest fraction.
pub(super) const MAX_PRECISION: i32 = 6;
/// The upper half of an interval's modifier when all fields are allowed.
pub(super) const INTERVAL_FULL_RANGE: i32 = 0x7FFF;

#[cfg(test)]
mod tests {
    use super::super::TypeName;
    use super::*;

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
