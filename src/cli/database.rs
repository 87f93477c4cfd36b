//! A connection to a database for the commands that look into one.

use anyhow::Context;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::catalog::{
    Catalog, ColumnName, EPILOGUE, Loader, PROLOGUE, Pin, QUERIES, RelationName, SESSION_QUERY, SessionFacts,
    Statistics,
};
use crate::jobs::{self, Counted, Job, connection, schema};
use crate::policy::quote_ident;

/// What this program's own statements end with.
pub(super) use crate::jobs::MARK;

/// How many values of a column are looked at.
const SAMPLE: u32 = 1000;

/// An open connection.
pub(super) struct Database(Client);

/// What pg_stat_statements tells.
#[derive(Debug, Default)]
pub(super) struct Called {
    /// Texts, whose constants are parameters, and their calls.
    pub(super) called: Vec<(String, u64)>,
    /// Statements whose texts this user may not see.
    pub(super) hidden: u64,
}

impl Database {
    /// Connects by a URL or key=value pairs; the password may come from PGPASSWORD or the password file.
    pub(super) async fn connect(url: &str) -> anyhow::Result<Self> {
        Ok(Self(connection::connect(url).await?))
    }

    /// Reads the catalog in one read-only transaction.
    pub(super) async fn catalog(&self) -> anyhow::Result<Catalog> {
        self.all(PROLOGUE).await?;
        let mut loader = Loader::new();
        for (index, query) in QUERIES.iter().enumerate() {
            let rows = self.rows(query.sql).await.with_context(|| format!("the {} query", query.name))?;
            for row in rows {
                loader.row(index, &fields(&row))?;
            }
        }
        self.all(EPILOGUE).await?;
        Ok(loader.finish()?)
    }

    /// What the session knows of itself.
    pub(super) async fn session(&self) -> anyhow::Result<SessionFacts> {
        let rows = self.rows(SESSION_QUERY).await?;
        Ok(SessionFacts::from_row(&rows.first().map(fields).unwrap_or_default())?)
    }

    /// What the server's statistics say about numbers of different values, as far as this user may see them.
    pub(super) async fn statistics(&self) -> anyhow::Result<Statistics> {
        let rows =
            self.rows("SELECT schemaname, tablename, attname, n_distinct FROM pg_catalog.pg_stats").await?;
        let one = |row: &SimpleQueryRow| {
            let column = RelationName::new(row.get(0)?, row.get(1)?).column(row.get(2)?);
            Some((column, row.get(3)?.parse().ok()?))
        };
        Ok(rows.iter().filter_map(one).collect())
    }

    /// Whether a condition on `v` holds for any of the first values of a column.
    pub(super) async fn any(&self, column: &ColumnName, condition: &str) -> anyhow::Result<bool> {
        let sql = format!(
            "SELECT 1 FROM (SELECT {name} AS v FROM {table} WHERE {name} IS NOT NULL LIMIT {SAMPLE}) s \
             WHERE {condition} LIMIT 1",
            name = quote_ident(&column.column),
            table = column.relation,
        );
        let answer = async {
            self.all(PROLOGUE).await?;
            // Where almost all are NULL, the first values may be far apart.
            self.rows("SET LOCAL statement_timeout = '10s'").await?;
            Ok(!self.rows(&sql).await?.is_empty())
        };
        let answer = answer.await;
        self.rows("ROLLBACK").await?;
        answer
    }

    /// The statements that pg_stat_statements has seen in this database, as clients sent them (not those inside of
    /// functions), with their calls; `None` if the extension is not there.
    ///
    /// <https://www.postgresql.org/docs/current/pgstatstatements.html>
    pub(super) async fn statements(&self) -> anyhow::Result<Option<Called>> {
        self.all(PROLOGUE).await?;
        let found = self
            .rows(
                "SELECT n.nspname, EXISTS (
                   SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
                   WHERE c.relname = 'pg_stat_statements' AND c.relnamespace = n.oid AND a.attname = 'toplevel')
                 FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
                 WHERE e.extname = 'pg_stat_statements'",
            )
            .await?;
        let Some((schema, has_level)) = found.first().and_then(|row| Some((row.get(0)?, row.get(1)? == "t")))
        else {
            self.all(EPILOGUE).await?;
            return Ok(None);
        };
        let level = if has_level { "AND s.toplevel" } else { "" };
        let rows = self
            .rows(&format!(
                "SELECT s.query, pg_catalog.sum(s.calls), pg_catalog.count(*)
                 FROM {}.pg_stat_statements s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
                 WHERE d.datname = pg_catalog.current_database() {level}
                 GROUP BY s.query",
                quote_ident(schema)
            ))
            .await?;
        self.all(EPILOGUE).await?;
        let mut called = Called::default();
        for row in &rows {
            let number =
                |index| row.get(index).and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
            match row.get(0) {
                // What the view has in place of a text that this user may not see, or that it has lost.
                None | Some("<insufficient privilege>") => called.hidden += number(2),
                Some(text) => called.called.push((text.to_owned(), number(1))),
            }
        }
        Ok(Some(called))
    }

    async fn all(&self, statements: &[&str]) -> anyhow::Result<()> {
        for statement in statements {
            self.rows(statement).await?;
        }
        Ok(())
    }

    /// Makes a table of schema `pgseal`. Whoever starts at the same time may make it first, so it is tried again.
    pub(super) async fn make(&self, table: &str) -> anyhow::Result<()> {
        let made = match schema::make(&self.0, table).await {
            Err(error) if schema::is_race(&error) => schema::make(&self.0, table).await,
            made => made,
        };
        made.context("the database makes no table in schema pgseal")
    }

    /// The jobs that have begun and not ended.
    pub(super) async fn jobs(&self) -> anyhow::Result<Vec<Job>> {
        Ok(jobs::under_way(&self.0).await?)
    }

    /// Contexts of deterministic columns of which the database says in which form their values are.
    pub(super) async fn pins(&self) -> anyhow::Result<Vec<Pin>> {
        Ok(jobs::pins(&self.0).await?)
    }

    /// What commands have counted last.
    pub(super) async fn counted(&self) -> anyhow::Result<Vec<Counted>> {
        Ok(jobs::counted(&self.0).await?)
    }

    /// The rows of a query, in text format.
    pub(super) async fn rows(&self, sql: &str) -> anyhow::Result<Vec<SimpleQueryRow>> {
        let marked = format!("{sql} {MARK}");
        let messages = self.0.simple_query(&marked).await.context("the database refuses a query")?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }
}

fn fields(row: &SimpleQueryRow) -> Vec<Option<&[u8]>> {
    (0..row.len()).map(|i| row.get(i).map(str::as_bytes)).collect()
}
