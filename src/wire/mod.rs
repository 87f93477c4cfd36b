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
pub mod startup;

pub use frame::{Head, MAX_SMALL, Side};
pub use reader::{Reader, WireError};
