//! Qualified names, and PostgreSQL's way of quoting them.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// A relation's qualified name, folded and unquoted.
///
/// Shown (and read) as `schema.name`, each part quoted as [`quote_ident`] does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    /// The schema.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

/// A column's qualified name, as refusals and logs show it.
///
/// Shown (and read) as `schema.table.column`, each part quoted as [`quote_ident`] does. That form is a
/// column's default context, so it is part of the stored format.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnName {
    /// The table.
    pub relation: RelationName,
    /// The column.
    pub column: String,
}

impl RelationName {
    /// A name from its parts, taken as they are.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// The name of one of its columns.
    pub fn column(&self, column: impl Into<String>) -> ColumnName {
        ColumnName { relation: self.clone(), column: column.into() }
    }
}

/// Why a text is no name of the wanted kind. `Display` says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The number of parts is another.
    #[error("a name like {expected} is expected here, and {found:?} is not one")]
    Parts {
        /// The wanted shape.
        expected: &'static str,
        /// What was read.
        found: String,
    },
    /// SQL would fold the capitals away, and it is not clear that this is meant.
    #[error(
        "{part:?} has capital letters outside of double quotes: write {} if the database shows it so, or {}",
        quoted(part),
        part.to_ascii_lowercase()
    )]
    Capitals {
        /// The part as written.
        part: String,
    },
    /// A part holds what only double quotes allow.
    #[error("{part:?} has to stand in double quotes: {}", quoted(part))]
    NeedsQuotes {
        /// The part as written.
        part: String,
    },
    /// A double quote stands where none can.
    #[error("the double quotes in {found:?} do not pair up around a whole part")]
    Quotes {
        /// What was read.
        found: String,
    },
    /// PostgreSQL cuts names to 63 bytes, so it knows no such name.
    #[error("{part:?} is longer than the 63 bytes of a PostgreSQL name")]
    TooLong {
        /// The part.
        part: String,
    },
}

/// An identifier as PostgreSQL's `quote_ident` gives it: in double quotes unless it is a plain lower-case
/// word that is no key word.
///
/// The key words are those of PostgreSQL 18 and stay so whatever the server's version: contexts of stored
/// values are written in this form (<https://www.postgresql.org/docs/18/functions-string.html>).
pub fn quote_ident(identifier: &str) -> String {
    let word = identifier.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && identifier.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if word && KEY_WORDS.binary_search(&identifier).is_err() {
        identifier.to_owned()
    } else {
        quoted(identifier)
    }
}

/// A text as a literal of SQL, for a session with `standard_conforming_strings` on, as it is by default.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// One identifier as SQL writes it, in double quotes or plain; plain capitals are refused.
pub fn parse_identifier(text: &str) -> Result<String, NameError> {
    let [part] = parts(text, "column")?;
    Ok(part)
}

impl FromStr for RelationName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let [schema, name] = parts(text, "schema.table")?;
        Ok(Self { schema, name })
    }
}

impl FromStr for ColumnName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let [schema, name, column] = parts(text, "schema.table.column")?;
        Ok(RelationName { schema, name }.column(column))
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.relation, quote_ident(&self.column))
    }
}

/// Longest name that PostgreSQL keeps: `NAMEDATALEN` less its terminator.
const MAX_NAME_BYTES: usize = 63;

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Splits at dots outside of double quotes into exactly `N` parts.
fn parts<const N: usize>(text: &str, expected: &'static str) -> Result<[String; N], NameError> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let part;
        (part, rest) = match rest.strip_prefix('"') {
            Some(inside) => quoted_part(inside, text)?,
            None => plain_part(rest, text)?,
        };
        if part.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong { part });
        }
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => break,
            None => return Err(NameError::Quotes { found: text.to_owned() }),
        }
    }
    let wrong = NameError::Parts { expected, found: text.to_owned() };
    if parts.iter().any(String::is_empty) {
        return Err(wrong);
    }
    parts.try_into().map_err(|_| wrong)
}

/// A part after its opening quote, and what follows its closing one.
fn quoted_part<'a>(inside: &'a str, text: &str) -> Result<(String, &'a str), NameError> {
    let mut part = String::new();
    let mut rest = inside;
    while let Some((before, after)) = rest.split_once('"') {
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                let _ = part.write_char('"');
                rest = more;
            }
            None if part.contains('\0') => break,
            None => return Ok((part, after)),
        }
    }
    Err(NameError::Quotes { found: text.to_owned() })
}

fn plain_part<'a>(rest: &'a str, text: &str) -> Result<(String, &'a str), NameError> {
    let (part, rest) = match rest.find('.') {
        Some(dot) => rest.split_at(dot),
        None => (rest, ""),
    };
    let part = part.to_owned();
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii();
    if part.contains('"') {
        Err(NameError::Quotes { found: text.to_owned() })
    } else if part.chars().any(|c| c.is_ascii_uppercase()) {
        Err(NameError::Capitals { part })
    } else if !part.chars().all(allowed) || part.starts_with(|c: char| c.is_ascii_digit() || c == '$') {
        Err(NameError::NeedsQuotes { part })
    } else {
        Ok((part, rest))
    }
}

/// PostgreSQL 18's key words but the unreserved ones, sorted: `pg_get_keywords()` where `catcode <> 'U'`.
#[rustfmt::skip]
const KEY_WORDS: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast", "char", "character",
    "check", "coalesce", "collate", "collation", "column", "concurrently", "constraint", "create",
    "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
    "current_timestamp", "current_user", "dec", "decimal", "default", "deferrable", "desc", "distinct",
    "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float", "for", "foreign",
    "freeze", "from", "full", "grant", "greatest", "group", "grouping", "having", "ilike", "in",
    "initially", "inner", "inout", "int", "integer", "intersect", "interval", "into", "is", "isnull",
    "join", "json", "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg",
    "json_query", "json_scalar", "json_serialize", "json_table", "json_value", "lateral", "leading",
    "least", "left", "like", "limit", "localtime", "localtimestamp", "merge_action", "national",
    "natural", "nchar", "none", "normalize", "not", "notnull", "null", "nullif", "numeric", "offset",
    "on", "only", "or", "order", "out", "outer", "overlaps", "overlay", "placing", "position",
    "precision", "primary", "real", "references", "returning", "right", "row", "select", "session_user",
    "setof", "similar", "smallint", "some", "substring", "symmetric", "system_user", "table",
    "tablesample", "then", "time", "timestamp", "to", "trailing", "treat", "trim", "true", "union",
    "unique", "user", "using", "values", "varchar", "variadic", "verbose", "when", "where", "window",
    "with", "xmlattributes", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces",
    "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted_as_the_server_does() {
        // Right-hand sides are what `SELECT quote_ident(...)` of PostgreSQL 18 answers.
        let cases = [
            ("users", "users"),
            ("_x9", "_x9"),
            ("Users", "\"Users\""),
            ("a b", "\"a b\""),
            ("a.b", "\"a.b\""),
            ("9lives", "\"9lives\""),
            ("a$b", "\"a$b\""),
            ("naïve", "\"naïve\""),
            ("q\"q", "\"q\"\"q\""),
            ("", "\"\""),
            ("order", "\"order\""),
            ("user", "\"user\""),
            ("between", "\"between\""),
            ("verbose", "\"verbose\""),
            ("json_value", "\"json_value\""),
            ("abort", "abort"),
            ("name", "name"),
            ("value", "value"),
            ("values", "\"values\""),
            ("public", "public"),
        ];
        for (identifier, wanted) in cases {
            assert_eq!(quote_ident(identifier), wanted, "{identifier}");
        }
        assert!(KEY_WORDS.is_sorted());
        assert_eq!(KEY_WORDS.len(), 164);
    }

    #[test]
    fn names_read_as_they_are_shown() {
        for text in ["public.users", "public.\"Users\"", "\"a.b\".c", "a.\"b.c\"", "x.\"say \"\"hi\"\"\""] {
            assert_eq!(text.parse::<RelationName>().unwrap().to_string(), text);
        }
        assert_eq!("public.order".parse::<RelationName>().unwrap().to_string(), "public.\"order\"");
        assert_eq!("s.t.\"C\"".parse::<ColumnName>().unwrap().to_string(), "s.t.\"C\"");
        assert_eq!(parse_identifier("straße"), Ok("straße".to_owned()));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_way_out() {
        let long = "x".repeat(64);
        let cases = [
            ("users", "schema.table"),
            ("a.b.c", "schema.table"),
            ("", "schema.table"),
            (".users", "schema.table"),
            ("public.", "schema.table"),
            ("public.\"\"", "schema.table"),
            ("public.Users", "write \"Users\" if the database shows it so, or users"),
            ("public.my table", "double quotes: \"my table\""),
            ("public.9x", "double quotes: \"9x\""),
            ("public.a-b", "double quotes: \"a-b\""),
            ("public.\"x", "do not pair up"),
            ("public.x\"", "do not pair up"),
            ("public.\"x\"y", "do not pair up"),
            (&format!("public.{long}"), "63 bytes"),
        ];
        for (text, wanted) in cases {
            let message = text.parse::<RelationName>().unwrap_err().to_string();
            assert!(message.contains(wanted), "{text}: {message}");
        }
    }
}
