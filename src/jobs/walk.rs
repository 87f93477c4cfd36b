//! Reading a table piece by piece.

use std::fmt::Write as _;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::retype::VERSION;
use super::table::{Order, Table};
use super::{JobError, MARK, doing, of_t};
use crate::catalog::Storage;

/// Blocks that are read at once of a table without a primary key: some thousand rows of usual size.
const BLOCKS: u64 = 64;

/// Where a walk is: behind which row, or before which block. `None` at the beginning.
pub(super) type Position = Option<Vec<String>>;

/// A version of a row, and what it holds.
pub(super) struct Stored {
    /// The primary key, in text; empty in a table without one.
    pub(super) key: Vec<String>,
    /// `ctid`.
    pub(super) place: String,
    /// `xmin`, which with `ctid` names one version.
    pub(super) version: String,
    /// A value for each column.
    pub(super) values: Vec<Option<Vec<u8>>>,
}

/// Reads those rows of a table that meet a condition, in its order.
pub(super) struct Walk<'a> {
    pub(super) table: &'a Table,
    pub(super) order: &'a Order,
    /// On table `t`.
    pub(super) condition: &'a str,
    /// The most rows that are read at once, where there is a primary key.
    pub(super) batch: u32,
    pub(super) form: Form,
}

/// How rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Values as they are stored, and `xmin` for the version.
    Stored,
    /// The version with the table's file; values in text, whatever their type is, or as they are stored.
    Versions {
        /// In text.
        as_text: bool,
    },
}

/// What was read.
pub(super) struct Piece {
    pub(super) rows: Vec<Stored>,
    /// Where the walk is behind it.
    pub(super) position: Position,
    /// Nothing is behind it.
    pub(super) is_last: bool,
}

impl Walk<'_> {
    /// Reads on from a position.
    pub(super) async fn next(&self, client: &Client, from: &Position) -> Result<Piece, JobError> {
        match self.order {
            Order::Key(columns) => self.by_key(client, columns, from).await,
            Order::Blocks => self.by_blocks(client, from).await,
        }
    }

    /// How many values meet a condition.
    pub(super) async fn count(&self, client: &Client) -> Result<u64, JobError> {
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM ONLY {} t WHERE {} {MARK}",
            self.table.name, self.condition
        );
        let row = client.query_one(&sql, &[]).await.map_err(doing("does not count rows"))?;
        Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
    }

    /// So many of the rows, drawn at random.
    pub(super) async fn sample(&self, client: &Client, rows: u32) -> Result<Vec<Stored>, JobError> {
        let (key, keys) = match self.order {
            Order::Key(columns) => {
                let part = |(name, _): &(String, String)| format!("{}::text", of_t(name));
                (columns.iter().map(part).collect::<Vec<_>>().join(", "), columns.len())
            }
            Order::Blocks => (String::new(), 0),
        };
        let sql = format!("{} ORDER BY pg_catalog.random() LIMIT {rows} {MARK}", self.select(&key));
        let found = client.query(&sql, &[]).await.map_err(doing("does not give a sample of rows"))?;
        found.iter().map(|row| self.stored(row, keys)).collect()
    }

    /// So many of the rows, in any order and without their keys.
    pub(super) async fn first(&self, client: &Client, rows: u32) -> Result<Vec<Stored>, JobError> {
        let sql = format!("{} LIMIT {rows} {MARK}", self.select(""));
        let found = client.query(&sql, &[]).await.map_err(doing("does not give the first rows"))?;
        found.iter().map(|row| self.stored(row, 0)).collect()
    }

    async fn by_key(
        &self,
        client: &Client,
        columns: &[(String, String)],
        from: &Position,
    ) -> Result<Piece, JobError> {
        let list = |part: &dyn Fn(usize, &(String, String)) -> String| {
            columns.iter().enumerate().map(|(i, column)| part(i, column)).collect::<Vec<_>>().join(", ")
        };
        // Names with the table's, since ORDER BY takes a bare one for the output column, which is text.
        let key = list(&|_, (name, _)| of_t(name));
        let mut sql = self.select(&list(&|_, (name, _)| format!("{}::text", of_t(name))));
        if from.is_some() {
            let behind = list(&|i, (_, ty)| format!("${}::text::{ty}", i + 1));
            let _ = write!(sql, " AND ROW({key}) > ROW({behind})");
        }
        let _ = write!(sql, " ORDER BY {key} LIMIT {} {MARK}", self.batch);
        let parameters: Vec<&(dyn ToSql + Sync)> =
            from.iter().flatten().map(|part| part as &(dyn ToSql + Sync)).collect();
        let found = client.query(&sql, &parameters).await.map_err(doing("does not give the next rows"))?;
        let rows: Vec<Stored> =
            found.iter().map(|row| self.stored(row, columns.len())).collect::<Result<_, _>>()?;
        let is_last = u32::try_from(rows.len()).is_ok_and(|read| read < self.batch);
        let position = rows.last().map(|row| row.key.clone()).or_else(|| from.clone());
        Ok(Piece { rows, position, is_last })
    }

    async fn by_blocks(&self, client: &Client, from: &Position) -> Result<Piece, JobError> {
        let mut block: u64 = from.as_deref().and_then(|at| at.first()?.parse().ok()).unwrap_or_default();
        let size = "SELECT pg_catalog.pg_relation_size(($1::text)::regclass)
                    / pg_catalog.current_setting('block_size')::bigint";
        let size = client
            .query_one(size, &[&self.table.name.to_string()])
            .await
            .map_err(doing("does not tell a table's size"))?;
        let blocks = u64::try_from(size.get::<_, i64>(0)).unwrap_or_default();
        let mut rows = Vec::new();
        while rows.is_empty() && block < blocks {
            let (from, to) = (format!("({block},0)"), format!("({},0)", block + BLOCKS));
            let sql = self.select("") + " AND t.ctid >= $1::text::tid AND t.ctid < $2::text::tid " + MARK;
            let found =
                client.query(&sql, &[&from, &to]).await.map_err(doing("does not give the next rows"))?;
            rows = found.iter().map(|row| self.stored(row, 0)).collect::<Result<_, _>>()?;
            block += BLOCKS;
        }
        Ok(Piece { rows, position: Some(vec![block.to_string()]), is_last: block >= blocks })
    }

    fn select(&self, key: &str) -> String {
        let cast = if self.form == (Form::Versions { as_text: true }) { "::text" } else { "" };
        let value = |column: &super::Column| of_t(&column.name) + cast;
        let values: Vec<String> = self.table.columns.iter().map(value).collect();
        let version = match self.form {
            Form::Stored => "t.xmin::text",
            Form::Versions { .. } => VERSION,
        };
        let comma = if key.is_empty() { "" } else { ", " };
        format!(
            "SELECT {key}{comma}t.ctid::text, {version}, {} FROM ONLY {} t WHERE ({})",
            values.join(", "),
            self.table.name,
            self.condition
        )
    }

    fn stored(&self, row: &Row, keys: usize) -> Result<Stored, JobError> {
        let unread = || doing("gives a row in another form than was asked for");
        let text = |index: usize| row.try_get::<_, String>(index).map_err(unread());
        let value = |(i, column): (usize, &super::Column)| {
            let index = keys + 2 + i;
            let storage = match self.form {
                Form::Versions { as_text: true } => Storage::Text,
                Form::Stored | Form::Versions { as_text: false } => column.class.storage,
            };
            match storage {
                Storage::Bytea => row.try_get::<_, Option<Vec<u8>>>(index).map_err(unread()),
                Storage::Text => {
                    let text = row.try_get::<_, Option<String>>(index).map_err(unread())?;
                    Ok(text.map(String::into_bytes))
                }
            }
        };
        Ok(Stored {
            key: (0..keys).map(text).collect::<Result<_, _>>()?,
            place: text(keys)?,
            version: text(keys + 1)?,
            values: self.table.columns.iter().enumerate().map(value).collect::<Result<_, _>>()?,
        })
    }
}
