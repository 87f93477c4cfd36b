//! Stub.

pub mod init;
