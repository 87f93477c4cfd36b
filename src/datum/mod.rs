//! PostgreSQL's types: text and binary format to and from one canonical byte form.
//!
//! A value is sealed in one canonical form, whatever format the client sent it in. The forms are
//! normative and never change; each file says its own, and this is the overview:
//!
//! | family | types | canonical bytes |
//! |---|---|---|
//! | `text` | text, varchar, bpchar, enum labels | UTF-8; the padding of `char(n)` is off |
//! | `int` | int2, int4, int8 | 8 bytes, big-endian two's complement |
//! | `bool` | bool | 1 byte, 0 or 1 |
//! | `float` | float4, float8 | IEEE 754 double, big-endian |
//! | `numeric` | numeric | PostgreSQL's binary form with its display scale |
//! | `date` | date | 4 bytes, days since 2000-01-01 |
//! | `time` | time | 8 bytes, microseconds since midnight |
//! | `timestamp`, `timestamptz` | each its own | 8 bytes, microseconds since 2000-01-01 (in UTC) |
//! | `interval` | interval | months (4), days (4), microseconds (8) |
//! | `uuid`, `inet`, `cidr`, `macaddr` | each its own | PostgreSQL's binary form |
//! | `bytes` | bytea | as is |
//! | `json` | json | the text as written |
//! | `jsonb` | jsonb | PostgreSQL's normalised text |
//! | element`[]` | arrays | PostgreSQL's binary array of canonical elements, element type 0 |
//!
//! [`canonical`] takes a client's value in, [`write()`] gives it out as the server would have printed or
//! sent it. The rules are those of the server's input and output functions, casts and operators; what
//! is not understood is an error with the server's own SQLSTATE, never a guess. This module knows no
//! policy and no key.

use std::sync::Arc;

mod boolean;
mod bytea;
mod codec;
mod convert;
mod cursor;
mod datetime;
mod error;
mod float;
mod integer;
mod json;
mod network;
mod numeric;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod type_name;
mod types;
mod uuid;

pub mod array;

pub use crate::wire::{Format, Oid};
pub use codec::{is_written_as_it_is, write};
pub use convert::{Input, canonical, cast, takes};
pub use datetime::zone::Zone;
pub use error::{DatumError, Quoted};
pub use settings::{ByteaOutput, DateForm, DateOrder, DateStyle, IntervalStyle, Settings};
pub use text::{check_utf8, utf8, valid_up_to};
pub use type_name::{TypeError, TypeName};
pub use types::{Family, element_of};

/// What a value is needed for: range and length are checked when storing, and a comparison value that
/// cannot exist in the column is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The value is assigned to the column.
    Store,
    /// The value is compared with the column.
    Compare,
}

/// A declared type: what the application sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// The type without its modifier.
    pub base: Base,
    /// `atttypmod` as the server encodes it (`varchar(80)` is 84), -1 for none.
    pub modifier: i32,
}

/// The types that can be sealed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is PostgreSQL's type of that name")]
pub enum Base {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Varchar,
    Bpchar,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Inet,
    Cidr,
    Macaddr,
    Json,
    Jsonb,
    Enum(Arc<EnumType>),
    Array(Box<Base>),
}

/// An enum type of the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnumType {
    /// Its object id, and that of its array type (0 if there is none).
    pub oid: Oid,
    /// See `oid`.
    pub array_oid: Oid,
    /// `schema.name`, quoted where needed.
    pub name: String,
    /// The labels in their order.
    pub labels: Vec<String>,
}
