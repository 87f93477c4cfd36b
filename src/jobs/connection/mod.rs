//! A connection to a database for commands and jobs: straight to the server, by libpq's parameters.

mod tls;
mod url;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config};

use self::tls::Connector;
use self::url::Wish;
use crate::net::tls::{TlsError, Trust, connector};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The database cannot be reached, or does not let us in.
    #[error("cannot connect to the database")]
    Unreachable(#[source] tokio_postgres::Error),
    /// What names the database cannot be understood.
    #[error("{0}")]
    Wrong(&'static str),
    /// A file of TLS is not what it has to be.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Connects by a URL or key=value pairs; the password may come from PGPASSWORD or the password file.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(url: &str) -> Result<Client, ConnectError> {
    let (text, said) = url::split(url);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let wish = said.or_environment().wish(home.as_deref())?;
    // The library's message may quote the URL, password and all.
    let Ok(mut config) = text.parse::<Config>() else {
        return Err(ConnectError::Wrong(
            "the database is named by a URL (postgres://user@host:5432/name) or by key=value pairs \
             (host=... user=... dbname=...); this is neither, or it has a parameter that is not known here",
        ));
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
    let (client, connection) = config.connect(connector).await.map_err(ConnectError::Unreachable)?;
    // The connection's own error reaches whoever waits for an answer.
    tokio::spawn(connection);
    Ok(client)
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
