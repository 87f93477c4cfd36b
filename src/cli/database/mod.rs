//! A connection to a database for the commands that look into one.

mod tls;
mod url;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, SimpleQueryMessage, SimpleQueryRow};

use self::tls::Connector;
use self::url::Wish;

use crate::catalog::{
    Catalog, ColumnName, EPILOGUE, Loader, PROLOGUE, QUERIES, RelationName, SESSION_QUERY, SessionFacts,
    Statistics,
};
use crate::net::tls::{Trust, connector};
use crate::policy::quote_ident;

/// The database cannot be reached, or does not let us in.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to the database")]
pub(super) struct Unreachable(#[source] tokio_postgres::Error);

/// What this program's own statements end with, so that they are known where statements are counted.
pub(super) const MARK: &str = "/* pgseal */";

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
        let (text, said) = url::split(url);
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let wish = said.or_environment().wish(home.as_deref())?;
        // The library's message may quote the URL, password and all.
        let Ok(mut config) = text.parse::<Config>() else {
            bail!(
                "the database is named by a URL (postgres://user@host:5432/name) or by key=value pairs \
                 (host=... user=... dbname=...); this is neither, or it has a parameter that is not known here"
            );
        };
        let (mode, trust, identity) = match &wish {
            Wish::Never => (SslMode::Disable, &Trust::Anyone, None),
            Wish::Perhaps(trust, identity) => (SslMode::Prefer, trust, identity.as_ref()),
            Wish::Always(trust, identity) => (SslMode::Require, trust, identity.as_ref()),
        };
        config.ssl_mode(mode);
        let connector = Connector(Arc::new(connector(trust, identity)?));
        if config.get_hosts().is_empty() {
            // An address without a name is what a certificate has to bear.
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        if config.get_hosts().is_empty() {
            config.host("localhost");
        }
        if config.get_user().is_none()
            && let Ok(user) = std::env::var("PGUSER").or_else(|_| std::env::var("USER"))
        {
            config.user(user);
        }
        if config.get_application_name().is_none() {
            config.application_name("pgseal");
        }
        if config.get_password().is_none()
            && let Some(password) = password(&config)
        {
            config.password(password);
        }
        let (client, connection) = config.connect(connector).await.map_err(Unreachable)?;
        // The connection's own error reaches whoever waits for an answer.
        tokio::spawn(connection);
        Ok(Self(client))
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

/// From PGPASSWORD, or the first line of the password file that fits.
///
/// <https://www.postgresql.org/docs/current/libpq-pgpass.html>
fn password(config: &Config) -> Option<String> {
    if let Ok(password) = std::env::var("PGPASSWORD") {
        return Some(password);
    }
    let file = std::env::var_os("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pgpass")))?;
    let host = match config.get_hosts().first()? {
        Host::Tcp(host) => host.as_str(),
        Host::Unix(_) => "localhost",
    };
    let port = config.get_ports().first().unwrap_or(&5432).to_string();
    let user = config.get_user()?;
    let wanted = [host, &port, config.get_dbname().unwrap_or(user), user];
    // As libpq does: a file that others may read is not used.
    (fs::metadata(&file).ok()?.permissions().mode() & 0o077 == 0).then_some(())?;
    fs::read_to_string(file).ok()?.lines().find_map(|line| password_of_line(line, wanted))
}

/// The password of `host:port:database:user:password` if the first four are those wanted or `*`.
fn password_of_line(line: &str, wanted: [&str; 4]) -> Option<String> {
    let mut parts = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' if parts.len() < 5 => parts.push(String::new()),
            '\\' => parts.last_mut()?.extend(chars.next()),
            c => parts.last_mut()?.push(c),
        }
    }
    let password = parts.pop()?;
    let fits =
        parts.len() == wanted.len() && parts.iter().zip(wanted).all(|(part, w)| part == "*" || part == w);
    (fits && !line.starts_with('#')).then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_password_file_fits_or_not() {
        let wanted = ["db", "5432", "app", "me"];
        let cases = [
            ("db:5432:app:me:secret", Some("secret")),
            ("*:*:*:*:with:colon", Some("with:colon")),
            ("*:*:*:me:back\\\\slash\\:", Some("back\\slash:")),
            ("d\\b:5432:app:me:x", Some("x")),
            ("db:5433:app:me:x", None),
            ("db:5432:app:me", None),
            ("#db:5432:app:me:x", None),
            ("", None),
        ];
        for (line, password) in cases {
            assert_eq!(password_of_line(line, wanted).as_deref(), password, "{line}");
        }
    }
}
