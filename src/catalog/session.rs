//! What a session knows of itself.

use super::load::{Array, CatalogError, Row};

/// The answer to [`SESSION_QUERY`](super::SESSION_QUERY).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// The effective search path: `current_schemas(true)`.
    pub schemas: Vec<String>,
    /// The setting `search_path` as it is written.
    pub search_path: String,
    /// `current_database()`.
    pub database: String,
    /// `server_version_num`.
    pub server_version: u32,
    /// The session's own temporary schema, once it has one.
    pub temporary_schema: Option<String>,
    /// The settings that texts and values depend on, with their names.
    pub settings: Vec<(&'static str, String)>,
}

/// The settings that texts and values depend on, in the order of the query's columns. From version 14 on, the server
/// reports those that it reports only when it has nothing left to do, which in a pipeline or a text of several
/// statements is too late.
const SETTINGS: [&str; 7] = [
    "extra_float_digits",
    "bytea_output",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "client_encoding",
    "standard_conforming_strings",
];

impl SessionFacts {
    /// Reads the query's one row, in text format.
    pub fn from_row(fields: &[Option<&[u8]>]) -> Result<Self, CatalogError> {
        let mut row = Row::new("session", fields);
        Ok(Self {
            schemas: row.parse::<Array<String>>("schemas")?.0,
            search_path: row.parse("search_path")?,
            database: row.parse("database")?,
            server_version: row.parse("server_version_num")?,
            // regnamespace shows oid 0 as a dash.
            temporary_schema: row
                .optional("temporary schema")?
                .filter(|name| *name != "-")
                .map(str::to_owned),
            settings: SETTINGS
                .into_iter()
                .map(|name| Ok((name, row.parse(name)?)))
                .collect::<Result<_, CatalogError>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_row_is_read() {
        let fields = [
            "{pg_temp_3,pg_catalog,\"My \\\"Schema\\\"\",public}",
            "\"My \"\"Schema\"\"\", public",
            "app",
            "150003",
            "pg_temp_3",
            "1",
            "hex",
            "ISO, DMY",
            "postgres",
            "Europe/Berlin",
            "UTF8",
            "on",
        ];
        let fields: Vec<_> = fields.iter().map(|field| Some(field.as_bytes())).collect();
        let facts = SessionFacts::from_row(&fields).unwrap();
        assert_eq!(facts.schemas, ["pg_temp_3", "pg_catalog", "My \"Schema\"", "public"]);
        assert_eq!(facts.server_version, 150_003);
        assert_eq!(facts.settings.get(2), Some(&("DateStyle", "ISO, DMY".to_owned())));
        assert_eq!(facts.temporary_schema.as_deref(), Some("pg_temp_3"));
        let error = SessionFacts::from_row(fields.get(..6).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "the server's answer to the session query has no bytea_output");
    }
}
