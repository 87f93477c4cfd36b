//! What the integration tests share: a private PostgreSQL, the proxy in front of it, and a raw client.
//!
//! Nothing here skips: a test that needs something absent fails and says what is missing.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "test code: each test binary uses a part of it, and a failed expectation is a failed test"
)]

mod authority;
mod bouncer;
mod client;
mod cluster;
mod dice;
mod middle;
mod proxy;
mod shim;
mod supervised;

pub use authority::{Authority, Issued, Wanted};
pub use bouncer::Bouncer;
pub use client::{Field, Frame, RawClient, message};
pub use cluster::{Cluster, PASSWORD, binary};
pub use dice::Dice;
pub use middle::{Answer, INJECTED, Middle};
pub use proxy::{Proxy, pgseal};
pub use shim::{Direction, Recorder};
pub use supervised::Supervised;
