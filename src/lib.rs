//! pgseal
pub mod catalog;
pub mod cli;
pub mod crypto;
pub mod datum;
pub mod error;
pub mod keyring;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod secret;
pub mod session;
pub mod sql;
pub mod wire;
