//! Where the proxy listens, and where its server is.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::socket::{Accepted, Socket};

/// The port of a server that is not named with one.
const SERVER_PORT: u16 = 5432;
/// The port in the name of the proxy's own Unix socket, if none is named.
const PROXY_PORT: u16 = 6432;
/// What a name of a Unix socket to listen on begins with.
const UNIX: &str = "unix:";

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `host:port`.
    Tcp(String),
    /// A Unix socket, `/folder/.s.PGSQL.port`.
    Unix(PathBuf),
}

/// What is accepted from.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket, whose file goes with it.
    Unix(UnixListener, PathBuf),
}

impl Endpoint {
    /// Where to listen: `ADDRESS:PORT`, `unix:/folder` or `unix:/folder:port`.
    pub fn to_listen(text: &str) -> Self {
        match text.strip_prefix(UNIX) {
            Some(folder) => Self::in_folder(folder, PROXY_PORT),
            None => Self::Tcp(text.to_owned()),
        }
    }

    /// A server: `HOST:PORT`, `HOST`, `/folder` or `/folder:port`.
    pub fn of_server(text: &str) -> Self {
        if text.starts_with('/') {
            return Self::in_folder(text, SERVER_PORT);
        }
        let has_port = text.rsplit_once(':').is_some_and(|(host, port)| {
            port.parse::<u16>().is_ok() && (!host.contains(':') || host.starts_with('['))
        });
        Self::Tcp(if has_port { text.to_owned() } else { format!("{text}:{SERVER_PORT}") })
    }

    fn in_folder(text: &str, port: u16) -> Self {
        let named = text.rsplit_once(':').and_then(|(folder, port)| Some((folder, port.parse().ok()?)));
        let (folder, port) = named.unwrap_or((text, port));
        Self::Unix(Path::new(folder).join(format!(".s.PGSQL.{port}")))
    }

    /// The host's name or address; `None` for a Unix socket.
    pub fn host(&self) -> Option<&str> {
        let Self::Tcp(address) = self else { return None };
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
    }

    pub(super) async fn connect(&self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(address) => Socket::Tcp(TcpStream::connect(address).await?),
            Self::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Listener {
    /// Begins to listen; a Unix socket gets these permissions. One that a proxy left behind which is no more gives way.
    ///
    /// # Errors
    /// The address is taken, or the system refuses.
    pub async fn bind(endpoint: &Endpoint, permissions: u32) -> io::Result<Self> {
        let path = match endpoint {
            Endpoint::Tcp(address) => return Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Endpoint::Unix(path) => path,
        };
        match UnixStream::connect(path).await {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
        // Under its name only when nobody comes in who may not.
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let listener = UnixListener::bind(&temporary)?;
        let named = fs::set_permissions(&temporary, fs::Permissions::from_mode(permissions))
            .and_then(|()| fs::rename(&temporary, path));
        if let Err(error) = named {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(Self::Unix(listener, path.clone()))
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|a| a.to_string()).unwrap_or_default(),
            Self::Unix(_, path) => path.display().to_string(),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => Accepted::Tcp(listener.accept().await?.0.into_std()?),
            Self::Unix(listener, _) => Accepted::Unix(listener.accept().await?.0.into_std()?),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, expected, host) in [
            ("db:5433", "db:5433", Some("db")),
            ("db", "db:5432", Some("db")),
            ("10.0.0.1", "10.0.0.1:5432", Some("10.0.0.1")),
            ("[::1]:5433", "[::1]:5433", Some("::1")),
            ("[::1]", "[::1]:5432", Some("::1")),
            ("/run/postgresql", "/run/postgresql/.s.PGSQL.5432", None),
            ("/run/postgresql:5433", "/run/postgresql/.s.PGSQL.5433", None),
        ] {
            let endpoint = Endpoint::of_server(text);
            assert_eq!((endpoint.to_string().as_str(), endpoint.host()), (expected, host), "{text}");
        }
        assert_eq!(Endpoint::to_listen("unix:/run/x").to_string(), "/run/x/.s.PGSQL.6432");
        assert_eq!(Endpoint::to_listen("unix:/run/x:5432").to_string(), "/run/x/.s.PGSQL.5432");
        assert_eq!(Endpoint::to_listen("127.0.0.1:6432").to_string(), "127.0.0.1:6432");
    }
}
