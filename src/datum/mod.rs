//! PostgreSQL's types: text and binary format to and from one canonical byte form.
//!
//! A value is sealed in one canonical form, whatever format the client sent it in; the forms are
//! normative (docs/format.md) and never change. This module knows no policy and no key.

use std::sync::Arc;

/// An object id of the server.
pub type Oid = u32;

/// The wire's two formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Format code 0.
    #[default]
    Text,
    /// Format code 1.
    Binary,
}

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
