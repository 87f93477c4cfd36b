//! TLS on both sides, each on its own: what is offered to clients, and what is demanded of the server.
//!
//! Files are read by [`Tls::load`] and again by [`Tls::read`]; sessions that are open keep what they began with.
//! No session is resumed, so each handshake verifies certificates anew.

mod accept;
mod binding;
mod files;
mod names;
mod upstream;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;

pub use self::accept::{ClientSettings, ClientSide};
pub use self::binding::server_end_point;
pub use self::files::{Pair, TlsError};
pub(crate) use self::upstream::UpstreamError;
pub use self::upstream::{UpstreamSettings, UpstreamSide, UpstreamTls};
pub use self::verify::{Roots, Trust, connector};

/// The protocol's name in ALPN.
///
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>
const ALPN: &[u8] = b"postgresql";

/// How long a handshake may take. PostgreSQL allows a minute for it and authentication together.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Both sides' TLS.
pub struct Tls {
    /// Towards clients.
    pub client: ClientSide,
    /// Towards the server.
    pub upstream: UpstreamSide,
}

/// What a proxy is told about TLS.
pub struct Settings {
    /// Towards clients.
    pub client: ClientSettings,
    /// Towards the server.
    pub upstream: UpstreamSettings,
}

impl Tls {
    /// Reads all files that the settings name.
    ///
    /// # Errors
    /// Settings that do not go together, or a file that is not what it has to be.
    pub fn load(settings: Settings) -> Result<Self, TlsError> {
        Ok(Self {
            client: ClientSide::load(settings.client)?,
            upstream: UpstreamSide::load(settings.upstream)?,
        })
    }

    /// Reads all files again. The answer, when it is called, has new sessions use what was in them; until then all
    /// stays as it was.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn read(&self) -> Result<impl FnOnce() + use<'_>, TlsError> {
        let (client, upstream) = (self.client.read()?, self.upstream.read()?);
        Ok(|| {
            self.client.replace(client);
            self.upstream.replace(upstream);
        })
    }
}

/// A handshake that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("TLS handshake: {0}")]
    Failed(std::io::Error),
    #[error("TLS handshake: not done within {} seconds", HANDSHAKE.as_secs())]
    Late,
    #[error("TLS without a request for it, and without naming the protocol (ALPN)")]
    NoProtocol,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
