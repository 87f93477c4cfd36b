//! Tests against a live PostgreSQL: private clusters on free ports, removed afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a failed expectation is a failed test"
)]

mod analysis;
mod harness;
#[path = "../support/mod.rs"]
mod support;
