//! The wire protocol: frames, a checked reader, startup packets, and the messages that the proxy looks into.
//!
//! Everything here is pure: bytes in, values out. Lengths and counts from outside are checked against the
//! bytes that are there before anything is allocated or indexed, so a frame cannot make the proxy panic or
//! allocate more than it was sent. Hot messages (DataRow, Bind, CopyData) are read in place; the cold ones
//! that the proxy itself sends are encoded by [`pgwire`].
//!
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

pub mod backend;
pub mod frame;
pub mod frontend;
pub mod reader;
pub mod sasl;
pub mod startup;

pub use frame::{Head, MAX_SMALL, Side};
pub use reader::{Reader, WireError};

/// An object id of the server.
pub type Oid = u32;

/// The formats of a value, as a message's format codes name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Format code 0.
    #[default]
    Text,
    /// Format code 1.
    Binary,
}

impl Format {
    /// The format of a code; `None` for one that the protocol does not define.
    pub fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Text),
            1 => Some(Self::Binary),
            _ => None,
        }
    }
}
